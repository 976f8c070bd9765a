/*-------------------------------------------------------------------------
 *
 * query.h
 *	  Query texts that this backend has analysed.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CK_QUERY_H
#define CK_QUERY_H

#include "lib/ilist.h"
#include "nodes/params.h"
#include "nodes/plannodes.h"
#include "tcop/dest.h"
#include "utils/plancache.h"
#include "utils/snapshot.h"

#include "depwalk.h"
#include "fingerprint.h"

#define CK_MAX_DEPS		64		/* cells of one entry, tags not counted */

/* A table with keys; what a result depends on is read off its plan. */
typedef struct CkKeyed
{
	Oid			relid;
	Oid			root;			/* see ck_keys_root() */
	int			nreferences;	/* to tables of this root, in the query */
	List	   *keys;			/* CkKeyDef */
	List	   *deps;			/* Oids: depends on these, if on no key */
} CkKeyed;

/*
 * An analysed query.  Lives until it is not used for long, or something that
 * it was derived from has changed; `users` keeps it in place meanwhile.
 */
typedef struct CkQuery
{
	dlist_node	link;			/* most recently used first */
	dlist_node	chain;			/* of its hash bucket */
	uint64		hash;			/* of text and user */
	uint64		id;				/* never used again */
	char	   *text;
	StringInfoData settings;	/* as they were for the analysis */
	int			path_at;		/* where search_path begins in them */
	Oid			userid;
	Oid			session_userid;
	int			users;
	bool		dead;			/* to be freed by its last user */
	MemoryContext context;		/* holds this */
	CachedPlanSource *source;	/* of a text that we analysed; or */
	Query	   *tree;			/* given to the planner, analysed and rewritten */
	TupleDesc	desc;			/* of the tree's rows */
	Bitmapset  *params;			/* external parameters that the tree uses */
	List	   *names;			/* what the text's names meant: see query.c */
	bool		names_in_literals;	/* 't'::regclass and the like */
	uint64		names_checked;	/* generations of catalogs then: query.c */
	uint64		messages;		/* SharedInvalidMessageCounter before analysis */
	uint64		analysed;
	bool		tree_watched;
	bool		relative;		/* means something else tomorrow */

	/* Of a tree, by planner.c: what it was like to plan and to run it. */
	Cost		cost;			/* of the latest plan; 0: not known */
	int			cheap_runs;		/* in a row that were not worth caching */
	int			passed_over;	/* times it was planned as if there were no cache */
	List	   *relation_oids;	/* as in a PlannedStmt */
	List	   *inval_items;
	bool		depends_on_role;
	MemoryContext plan_context; /* holds: */
	PlannedStmt *plan;			/* its plan, if it has no parameters; or NULL */
	uint64		plan_analysis;	/* generations of catalogs.c when that was made */
	uint64		plan_catalogs;

	uint64		stats_hash;		/* querystats.c; 0: not known yet */
	uint32		stats_slot;

	int			nargs;
	Oid		   *argtypes;

	/* Derived from the rewritten tree; valid while deps_valid. */
	bool		deps_valid;
	uint64		deps_checked;	/* generation of catalogs then */
	MemoryContext deps_context;
	CkDepends	depends;
	bool		never;			/* some reason rules out even a ttl */
	bool		inexact;		/* some reason asks for a ttl */
	bool		own_ddl;		/* reads what this transaction has changed */
	bool		denied;			/* the user may not call some function */
	bool		unsafe_text;	/* text of some column is not determined */
	int			ncells;			/* of tables that it depends on in any case */
	uint32		cells[CK_MAX_DEPS];
	List	   *keyed;			/* CkKeyed: depends on rows of these, maybe */
	List	   *since;			/* xids that a snapshot must see */
	uint8		digest[CK_DIGEST_LEN];
} CkQuery;

extern int	ck_query_planning;	/* depth of planning what is cached by name */

extern CkQuery *ck_query_open(const char *text);
extern bool ck_query_known(const char *text, int len);
extern CkQuery *ck_query_open_tree(Query *tree, const char *text, int len);
extern CkQuery *ck_query_reopen(uint64 id);
extern void ck_query_refresh(CkQuery *query);
extern Query *ck_query_tree(CkQuery *query);
extern void ck_query_close(CkQuery *query);
extern TupleDesc ck_query_desc(CkQuery *query);
extern ParamListInfo ck_query_params(CkQuery *query, Datum *args, bool *nulls, int nargs);
extern bool ck_query_means_the_same(CkQuery *query);
extern CachedPlan *ck_query_plan(CkQuery *query, ParamListInfo params);
extern void ck_query_run(CkQuery *query, CachedPlan *plan, ParamListInfo params,
						 Snapshot snapshot, TupleDesc rows, DestReceiver *dest);

#endif							/* CK_QUERY_H */
