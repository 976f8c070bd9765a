/*-------------------------------------------------------------------------
 *
 * denorm_def.h
 *	  Definitions of denormalized tables.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CK_DENORM_DEF_H
#define CK_DENORM_DEF_H

#include "executor/spi.h"
#include "lib/stringinfo.h"
#include "utils/hsearch.h"

#include "denorm_keys.h"
#include "denorm_paths.h"

typedef enum CkDenormMode
{
	CK_DENORM_IMMEDIATE,
	CK_DENORM_DEFERRED,
	CK_DENORM_ASYNC
} CkDenormMode;

/* Statements on the view and the target; for keys of one pattern of NULLs. */
typedef struct CkDenormMask
{
	uint64		mask;			/* bit i: column i of the scope is NULL */
	SPIPlanPtr	compute;		/* rows of the view */
	SPIPlanPtr	present;		/* ctid and rows of the target */
	double		cost;			/* the planner's, of compute */
} CkDenormMask;

/* A definition as this backend knows it; lives until the transaction's end. */
typedef struct CkDenorm
{
	Oid			target;
	Oid			view;
	Oid			owner;			/* of the target, as whom it is maintained */
	CkDenormMode mode;
	bool		attached;		/* by triggers of ours */
	char	  **settings;		/* "name=value" that the query is run under */
	int			nsettings;
	int			natts;			/* columns of the query's result */
	CkDenormColumn *atts;
	int			nkey;
	int		   *key;			/* numbers of columns, from 0 */
	int			nscope;
	CkDenormColumn **scope;
	int		   *scope_atts;		/* numbers of columns, from 0 */
	CkDenormPaths *paths;
	List	   *members;		/* of each source: List of Oid */

	/* local to this backend */
	MemoryContext cxt;
	uint64		generation;		/* catalogs that it was made from */
	StringInfoData settings_seen;	/* what the session's look like, */
	bool	   *settings_differ;	/* and which of ours differ from these */
	List	   *masks;			/* CkDenormMask */
	SPIPlanPtr	insert;
	SPIPlanPtr	update;
	SPIPlanPtr	delete;
	HTAB	   *delta_plans;	/* of denorm_trigger.c */
	List	   *other_plans;	/* SPIPlanPtr to be freed */
	double		cost_all;		/* the planner's, of the view as a whole; -1 */
} CkDenorm;

/* What ck_denorm_enter() changes. */
typedef struct CkDenormEnv
{
	Oid			user;
	int			security;
	int			guc_nest;
} CkDenormEnv;

/* A row of the table of definitions. */
typedef struct CkDenormRow
{
	Oid			target;
	Oid			view;
	List	   *key;			/* char * */
	CkDenormMode mode;
	bool		attached;
	List	   *sources;		/* Oid */
	List	   *settings;		/* char * */
} CkDenormRow;

extern CkDenorm *ck_denorm_get(Oid target, bool missing_ok);
extern List *ck_denorm_of_source(Oid relid);
extern List *ck_denorm_rows(void);
extern List *ck_denorm_ancestors(Oid relid);
extern void ck_denorm_insert_row(const CkDenormRow *row);
extern void ck_denorm_delete_row(Oid target);
extern void ck_denorm_update_mode(Oid target, CkDenormMode mode);
extern Relation ck_denorm_open(const char *name, LOCKMODE mode);
extern Oid	ck_denorm_table(const char *name);
extern const char *ck_denorm_mode_name(CkDenormMode mode);
extern void ck_denorm_check_query(Oid view, List *key);
extern List *ck_denorm_capture_settings(void);

extern void ck_denorm_enter(CkDenorm *denorm, CkDenormEnv *env);
extern void ck_denorm_leave(const CkDenormEnv *env);
extern SPIPlanPtr ck_denorm_prepare(CkDenorm *denorm, const char *sql, int nargs,
									Oid *types);
extern char *ck_denorm_name(Oid relid);

#endif							/* CK_DENORM_DEF_H */
