/*-------------------------------------------------------------------------
 *
 * denorm_paths.h
 *	  Which rows of a denormalized table does a changed source row concern?
 *
 *-------------------------------------------------------------------------
 */
#ifndef CK_DENORM_PATHS_H
#define CK_DENORM_PATHS_H

#include "nodes/parsenodes.h"

/* The relation of changed rows in the statements below; a WITH clause. */
#define CK_DENORM_DELTA	"cachekit_delta"

/* Values to be locked while a change is pending: see the banner of the .c. */
typedef struct CkDenormLock
{
	char	   *sql;			/* selects ncols columns, each value once */
	uint64		salt;			/* of the edge; part of what is locked */
	int			round;			/* locks of lower rounds come first */
	int			ncols;
	Oid		   *hashers;		/* hash functions; InvalidOid: any value */
	Oid		   *collations;
} CkDenormLock;

/* An occurrence of a table in the query. */
typedef struct CkDenormSource
{
	Oid			relid;
	bool		inh;			/* with its children */
	const char *full;			/* why all is recomputed; NULL: by key */
	char	   *keys_sql;		/* selects the scope's columns, each row once */
	bool		local;			/* which the changed row alone determines */
	AttrNumber *columns;		/* and holds, in these columns; or NULL */
	List	   *locks;			/* CkDenormLock, by round */
} CkDenormSource;

typedef struct CkDenormPaths
{
	List	   *scope;			/* columns (int, from 1) that are derived */
	List	   *sources;		/* CkDenormSource */
	bool		locks;			/* some source has any */
} CkDenormPaths;

extern CkDenormPaths *ck_denorm_paths(Query *query, List *key);
extern bool ck_denorm_unique(Query *query, List *key);
extern char *ck_denorm_operator_text(Oid opno);

#endif							/* CK_DENORM_PATHS_H */
