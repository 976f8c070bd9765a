/*-------------------------------------------------------------------------
 *
 * scan.h
 *	  Custom Scan (CachedResult): the top of a plan that may not have to run.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CK_SCAN_H
#define CK_SCAN_H

#include "commands/explain.h"
#include "executor/execdesc.h"
#include "nodes/extensible.h"
#include "nodes/plannodes.h"

#include "compat.h"
#include "serve.h"

/* Why a query is cached. */
typedef enum CkOrigin
{
	CK_ORIGIN_HINT,
	CK_ORIGIN_RULE,
	CK_ORIGIN_AUTO
} CkOrigin;

/* What is wanted of the cache for a query. */
typedef struct CkWish
{
	CkOrigin	origin;
	bool		has_ttl;
	int64		ttl;			/* microseconds */
	int64		swr;			/* microseconds; 0: not wanted */
	bool		keep_warm;
	int			ntags;
	uint32		tags[CK_MAX_TAGS];	/* cells */
} CkWish;

/*
 * The private part of the plan node.  The tree is what was to be planned; the
 * child is its plan, or NULL if that is to be made when it is needed.
 */
typedef struct CkScanInfo
{
	ExtensibleNode node;
	Query	   *tree;
	char	   *text;
	List	   *relids;			/* tables that the query names */
	bool		single_row;		/* it gives one at most */
	uint64		query_id;		/* CkQuery's */
	int			cursor_options;
	CkWish		wish;
	PlannedStmt *child;
	uint64		analysis;		/* ck_analysis_generation before planning, */
	uint64		catalogs;		/* ck_catalog_generation, */
	uint8		digest[CK_DIGEST_LEN];	/* and the query's digest then */
} CkScanInfo;

extern int	ck_scan_planning;	/* depth of planner calls for our own ends */

extern void ck_scan_init(void);
extern CustomScan *ck_scan_plan(CkScanInfo *info, bool backward);
extern CkScanInfo *ck_scan_info(Plan *plan);
extern PlannedStmt *ck_scan_plan_tree(Query *tree, const char *text, int cursor_options,
									  ParamListInfo params);

/* Brackets of a run of the executor. */
typedef struct CkScanRun
{
	EState	   *estate;
	bool		all;			/* forward, to the end */
} CkScanRun;

extern CkScanRun ck_scan_begin_run(QueryDesc *desc, bool all);
extern void ck_scan_end_run(CkScanRun outer);

#endif							/* CK_SCAN_H */
