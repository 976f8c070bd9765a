/*-------------------------------------------------------------------------
 *
 * depwalk.h
 *	  What a query reads, and every reason why it may not be cached.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CK_DEPWALK_H
#define CK_DEPWALK_H

#include "nodes/parsenodes.h"

/* A reason why a result is not exact, or can not be kept at all. */
typedef struct CkReason
{
	bool		never;			/* not even with a ttl */
	char	   *text;
} CkReason;

typedef struct CkDepends
{
	List	   *relations;		/* Oids of tables and materialized views */
	List	   *references;		/* the same, once for each time it is named */
	List	   *functions;		/* Oids of every function called */
	List	   *types;			/* Oids of users' types met in expressions */
	List	   *permissions;	/* RangeTblEntry: what the executor would check */
	List	   *perminfos;		/* 16 and later: what their index means */
	List	   *reasons;		/* CkReason */
	List	   *settings;		/* names (char *) given to current_setting() */
	bool		uses_role;		/* the result depends on current_user etc. */
	bool		uses_path;		/* or may depend on search_path */
} CkDepends;

extern void ck_depwalk(Query *query, CkDepends *result);
extern bool ck_depwalk_names_in_literals(Query *query);
extern void ck_depwalk_reason(CkDepends *result, bool never, char *text);
extern bool ck_depwalk_has_record(TupleDesc desc);
extern bool ck_depwalk_unsafe_text(TupleDesc desc);

#endif							/* CK_DEPWALK_H */
