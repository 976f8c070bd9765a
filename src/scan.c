/*-------------------------------------------------------------------------
 *
 * scan.c
 *	  Custom Scan (CachedResult): the top of a plan that may not have to run.
 *
 * The planner hook (planner.c) puts this node in the place of a whole plan.
 * The plan itself, the child, is a PlannedStmt of its own, run by a QueryDesc
 * of its own, and started only if there is no valid entry.
 *
 * Deciding.  Nothing is decided before the first row is asked for.  Then the
 * steps of serve.c are taken under the snapshot of the outer query:
 *
 *	hit		rows come from the entry (reader.c); the child is not started
 *	miss	the child runs; its rows are delivered and stored
 *	bypass	the child runs, and that is all
 *
 * Order matters, as in serve.c: the schema cell is read, then invalidation
 * messages are accepted, then the dependencies are derived (again, if there
 * was a reason).  The child was planned before that.  It is used only if
 * nothing has happened since that could make the plan another one: neither
 * generation of catalogs.c has moved, or the one for functions etc. has not
 * and the digest, which covers the relations' shapes and the functions'
 * versions, is the same.  Otherwise the tree is planned again.  So what is
 * stored under a digest and stamps was always computed by a plan that is as
 * new as these.
 *
 * Locks and references.  The outer PlannedStmt has the child's range table (or
 * the tree's, if there is no child yet), so the plan cache locks what it would
 * lock, and the executor checks the same privileges, on a hit as well.  The
 * tables that the query names are kept open as scans would keep them, so that
 * DDL of this very transaction finds them in use: a cursor's from begin to
 * end, others' from the first row if they are asked for in parts.  A run that
 * gives all rows at once leaves no moment for DDL in between.
 *
 * Two ways to run the child.
 *
 *	all		The executor was asked for everything (the run's count is zero, or
 *			the query gives one row at most).
 *			Then the first call computes the whole result, or as much of it as
 *			may be stored, under the lease; it is published and the lease given
 *			back before any row leaves, so that a slow client keeps nobody
 *			waiting.  Rows that do not fit follow from the child.
 *	parts	A cursor, or Execute with a row limit.  Nothing is computed that is
 *			not asked for, no lease is taken, rows pass through and are
 *			collected on the way; they are published if the end is reached
 *			without having gone backwards.
 *
 * Parallel mode is entered here, not by the outer executor run: a lease must
 * be waited for outside of it.
 *
 * Mode auto (admission.c): results that nobody has asked to cache are stored
 * on second sight if they took long enough, and then only.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/parallel.h"
#include "access/table.h"
#include "access/xact.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "portability/instr_time.h"
#include "storage/lmgr.h"
#include "tcop/dest.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "admission.h"
#include "catalogs.h"
#include "clock.h"
#include "codec.h"
#include "compare.h"
#include "compat.h"
#include "debug_point.h"
#include "derive.h"
#include "extension.h"
#include "guc.h"
#include "reader.h"
#include "refresh.h"
#include "scan.h"
#include "scanexplain.h"
#include "track.h"

int			ck_scan_planning = 0;

static CkScanRun current_run = {NULL, false};

static Node *create_state(CustomScan *plan);
static void begin_scan(CustomScanState *node, EState *estate, int eflags);
static TupleTableSlot *next_row(CustomScanState *node);
static void end_scan(CustomScanState *node);
static void rescan(CustomScanState *node);
static void shutdown_scan(CustomScanState *node);
static void explain_scan(CustomScanState *node, List *ancestors, ExplainState *es);

static const CustomScanMethods plan_methods = {
	.CustomName = "CachedResult",
	.CreateCustomScanState = create_state
};

static const CustomExecMethods exec_methods = {
	.CustomName = "CachedResult",
	.BeginCustomScan = begin_scan,
	.ExecCustomScan = next_row,
	.EndCustomScan = end_scan,
	.ReScanCustomScan = rescan,
	.ShutdownCustomScan = shutdown_scan,
	.ExplainCustomScan = explain_scan
};

/* Where the next row comes from. */
typedef enum Source
{
	UNDECIDED,
	ENTRY,						/* the reader, on an entry */
	BUFFER,						/* the reader, on rows computed ahead */
	CHILD
} Source;

typedef struct CachedScan
{
	CustomScanState css;		/* first */
	CkScanInfo *info;
	int			eflags;
	List	   *relations;		/* open */
	CkQuery    *query;
	CkRequest	request;
	CkScanOutcome outcome;		/* for EXPLAIN */

	Source		source;
	CkFound    *found;
	CkReader	reader;
	TupleTableSlot *slot;		/* for the reader's rows */

	QueryDesc  *child;
	bool		child_done;		/* it has given its last row */
	bool		in_parallel;
	bool		moved_back;		/* rows may have been given out of order */

	CkLease		lease;
	bool		admitted;		/* to be stored if it is complete and small */
	bool		watched;		/* only to be timed */
	bool		overflow;
	StringInfoData bytes;		/* rows collected */
	MemoryContext row_context;
	instr_time	start;
} CachedScan;

/* ---------------- plan node ---------------- */

static void
copy_info(ExtensibleNode *to, const ExtensibleNode *from)
{
	CkScanInfo *copy = (CkScanInfo *) to;
	const CkScanInfo *info = (const CkScanInfo *) from;
	ExtensibleNode node = copy->node;

	*copy = *info;
	copy->node = node;
	copy->tree = copyObject(info->tree);
	copy->text = pstrdup(info->text);
	copy->relids = list_copy(info->relids);
	copy->child = copyObject(info->child);
}

static bool
equal_infos(const ExtensibleNode *a, const ExtensibleNode *b)
{
	return equal(((const CkScanInfo *) a)->tree, ((const CkScanInfo *) b)->tree);
}

static void
out_info(StringInfo buf, const ExtensibleNode *node)
{
	char	   *tree = nodeToString(((const CkScanInfo *) node)->tree);

	appendStringInfo(buf, " :tree %s", tree);
	pfree(tree);
}

static void
read_info(ExtensibleNode *node)
{
	elog(ERROR, "plans with a CachedResult can not be read");
}

static const ExtensibleNodeMethods info_methods = {
	.extnodename = "CachekitScan",
	.node_size = sizeof(CkScanInfo),
	.nodeCopy = copy_info,
	.nodeEqual = equal_infos,
	.nodeOut = out_info,
	.nodeRead = read_info
};

void
ck_scan_init(void)
{
	RegisterCustomScanMethods(&plan_methods);
	RegisterExtensibleNodeMethods(&info_methods);
}

/*
 * The node for a query.  Its columns are those of the tree; what they are
 * computed from is of no interest, so their expressions are nulls of the type.
 */
CustomScan *
ck_scan_plan(CkScanInfo *info, bool backward)
{
	CustomScan *scan = makeNode(CustomScan);
	AttrNumber	n = 0;
	ListCell   *lc;

	foreach(lc, info->tree->targetList)
	{
		TargetEntry *entry = lfirst_node(TargetEntry, lc);
		Oid			type = exprType((Node *) entry->expr);
		int32		typmod = exprTypmod((Node *) entry->expr);
		Oid			collation = exprCollation((Node *) entry->expr);
		TargetEntry *column;

		if (entry->resjunk)
			continue;
		n++;
		scan->custom_scan_tlist =
			lappend(scan->custom_scan_tlist,
					makeTargetEntry((Expr *) makeNullConst(type, typmod, collation),
									n, entry->resname, false));
		column = makeTargetEntry((Expr *) makeVar(INDEX_VAR, n, type, typmod,
												  collation, 0),
								 n, entry->resname, false);
		column->resorigtbl = entry->resorigtbl;
		column->resorigcol = entry->resorigcol;
		scan->scan.plan.targetlist = lappend(scan->scan.plan.targetlist, column);
	}
	scan->flags = backward ? CUSTOMPATH_SUPPORT_BACKWARD_SCAN : 0;
	scan->methods = &plan_methods;
	scan->custom_private = list_make1(info);
	return scan;
}

/* The private part of a plan if that is one of ours, else NULL. */
CkScanInfo *
ck_scan_info(Plan *plan)
{
	if (!IsA(plan, CustomScan) || ((CustomScan *) plan)->methods != &plan_methods)
		return NULL;
	return linitial(((CustomScan *) plan)->custom_private);
}

/*
 * Plan a tree, which is scribbled on, as if there were no cache, through all
 * the hooks that there are.
 */
PlannedStmt *
ck_scan_plan_tree(Query *tree, const char *text, int cursor_options,
				  ParamListInfo params)
{
	PlannedStmt *plan;

	tree->queryId = 0;			/* it is not another statement */
	ck_scan_planning++;
	PG_TRY();
	{
		plan = planner(tree, text, cursor_options, params);
	}
	PG_FINALLY();
	{
		ck_scan_planning--;
	}
	PG_END_TRY();
	plan->queryId = 0;
	return plan;
}

/* ---------------- runs of the executor ---------------- */

/* Around a run; what is returned is given to ck_scan_end_run(). */
CkScanRun
ck_scan_begin_run(QueryDesc *desc, bool all)
{
	CkScanRun	outer = current_run;

	current_run.estate = desc->estate;
	current_run.all = all;
	return outer;
}

void
ck_scan_end_run(CkScanRun outer)
{
	current_run = outer;
}

static bool
asked_for_all(CachedScan *scan)
{
	return current_run.estate == scan->css.ss.ps.state && current_run.all;
}

static bool
runs_to_the_end(CachedScan *scan)
{
	return current_run.estate == scan->css.ss.ps.state &&
		(current_run.all || scan->info->single_row) &&
		(scan->eflags & EXEC_FLAG_BACKWARD) == 0;
}

/* ---------------- the child ---------------- */

/* Is a plan that was made then what would be planned now? */
static bool
is_current(CachedScan *scan, uint64 analysis, uint64 catalogs, const uint8 *digest)
{
	if (analysis != ck_analysis_generation)
		return false;
	return catalogs == ck_catalog_generation ||
		(scan->query->deps_valid &&
		 memcmp(digest, scan->query->digest, CK_DIGEST_LEN) == 0);
}

/*
 * Keep the plan of a query without parameters, unless one is in use.  Whatever
 * happens to its relations, an index dropped, say, raises a generation.
 */
static void
remember_plan(CkQuery *query, PlannedStmt *plan, uint64 analysis, uint64 catalogs)
{
	MemoryContext old;

	if (query->params || query->users > 1 || query->dead || !query->deps_valid)
		return;
	if (query->plan_context)
		MemoryContextDelete(query->plan_context);
	query->plan_context = NULL;
	query->plan = NULL;
	query->plan_context = AllocSetContextCreate(query->context, "cachekit plan",
												ALLOCSET_SMALL_SIZES);
	old = MemoryContextSwitchTo(query->plan_context);
	query->plan = copyObject(plan);
	MemoryContextSwitchTo(old);
	query->plan_analysis = analysis;
	query->plan_catalogs = catalogs;
	(void) ck_catalogs_watch(plan->relationOids, false);
}

/* Take the locks that the plan cache takes for a plan that it keeps. */
static void
lock_relations(PlannedStmt *plan)
{
	ListCell   *lc;

	foreach(lc, plan->rtable)
	{
		RangeTblEntry *rte = lfirst_node(RangeTblEntry, lc);

		if (rte->rtekind == RTE_RELATION)
			LockRelationOid(rte->relid, rte->rellockmode);
	}
}

/* A plan for the tree, made before or now. */
static PlannedStmt *
find_plan(CachedScan *scan)
{
	CkScanInfo *info = scan->info;
	CkQuery    *query = scan->query;
	EState	   *estate = scan->css.ss.ps.state;
	uint64		analysis;
	uint64		catalogs;
	PlannedStmt *plan;

	if (info->child && is_current(scan, info->analysis, info->catalogs, info->digest))
		return info->child;
	if (query->plan)
	{
		/* members of trees that the outer plan does not know of, too */
		lock_relations(query->plan);
		if (query->plan_analysis == ck_analysis_generation &&
			query->plan_catalogs == ck_catalog_generation)
			return query->plan;
	}
	analysis = ck_analysis_generation;
	catalogs = ck_catalog_generation;
	plan = ck_scan_plan_tree(copyObject(info->tree), estate->es_sourceText,
							 info->cursor_options, estate->es_param_list_info);
	query->cost = Max(plan->planTree->total_cost, 1);
	remember_plan(query, plan, analysis, catalogs);
	return plan;
}

static void
start_child(CachedScan *scan)
{
	EState	   *estate = scan->css.ss.ps.state;
	MemoryContext old = MemoryContextSwitchTo(estate->es_query_cxt);

	scan->child = CreateQueryDesc(find_plan(scan), estate->es_sourceText,
								  estate->es_snapshot, InvalidSnapshot,
								  None_Receiver, estate->es_param_list_info,
								  estate->es_queryEnv, estate->es_instrument);
	standard_ExecutorStart(scan->child, scan->eflags | EXEC_FLAG_SKIP_TRIGGERS);
	scan->child_done = false;
	MemoryContextSwitchTo(old);
}

static void
enter_parallel_mode(CachedScan *scan)
{
	if (!scan->child->plannedstmt->parallelModeNeeded)
		return;
	scan->child->estate->es_use_parallel_mode = true;
	EnterParallelMode();
	scan->in_parallel = true;
}

static void
shutdown_child(CachedScan *scan)
{
	if (scan->child && (scan->eflags & EXEC_FLAG_BACKWARD) == 0)
		(void) ExecShutdownNode(scan->child->planstate);
	if (scan->in_parallel)
	{
		scan->in_parallel = false;
		ExitParallelMode();
	}
}

static void
end_child(CachedScan *scan)
{
	if (scan->child == NULL)
		return;
	if (scan->in_parallel)
		shutdown_child(scan);
	if ((scan->eflags & EXEC_FLAG_EXPLAIN_ONLY) == 0)
		standard_ExecutorFinish(scan->child);
	standard_ExecutorEnd(scan->child);
	FreeQueryDesc(scan->child);
	scan->child = NULL;
}

/* The child's next row; NULL at its end. */
static TupleTableSlot *
child_row(CachedScan *scan)
{
	EState	   *estate = scan->child->estate;
	MemoryContext old = MemoryContextSwitchTo(estate->es_query_cxt);
	TupleTableSlot *slot;

	estate->es_direction = scan->css.ss.ps.state->es_direction;
	ResetPerTupleExprContext(estate);
	slot = ExecProcNode(scan->child->planstate);
	if (!TupIsNull(slot) && estate->es_junkFilter)
		slot = ExecFilterJunk(estate->es_junkFilter, slot);
	MemoryContextSwitchTo(old);
	return TupIsNull(slot) ? NULL : slot;
}

/* ---------------- storing ---------------- */

static void
release_lease(CachedScan *scan)
{
	if (scan->lease != CK_LEASE_NONE)
		ck_lease_release(scan->request.key.hash);
	scan->lease = CK_LEASE_NONE;
}

static bool
is_auto(CachedScan *scan)
{
	return scan->info->wish.origin == CK_ORIGIN_AUTO && ck_guc_admission;
}

/* Keep a row; it has to be there even if it is one too many. */
static void
collect(CachedScan *scan, TupleTableSlot *slot)
{
	MemoryContext old = MemoryContextSwitchTo(scan->row_context);
	MinimalTuple tuple = ck_codec_flatten(slot);

	MemoryContextSwitchTo(old);
	if (scan->bytes.len + MAXALIGN(tuple->t_len) > (Size) ck_guc_max_entry_size * 1024)
		scan->overflow = true;
	ck_codec_append(&scan->bytes, tuple);
	MemoryContextReset(scan->row_context);
}

static void
begin_collecting(CachedScan *scan)
{
	initStringInfo(&scan->bytes);
	scan->row_context = AllocSetContextCreate(CurrentMemoryContext, "cachekit row",
											  ALLOCSET_DEFAULT_SIZES);
}

/* The whole result is collected, or more than can be stored. */
static void
finish_collecting(CachedScan *scan)
{
	uint32		cost = ck_clock_since(scan->start);

	scan->admitted = false;
	if (scan->overflow)
	{
		ck_serve_oversize(&scan->request, cost);
		if (is_auto(scan))
			ck_admission_in_vain(scan->request.key.hash);
	}
	else if (!is_auto(scan) || cost / 1000 >= ck_guc_min_exec_time)
	{
		scan->query->cheap_runs = 0;
		ck_serve_publish(&scan->request, &scan->bytes, cost);
	}
	else
		scan->query->cheap_runs++;
	release_lease(scan);
}

/*
 * Start the child of a miss, and see by its plan what the result depends on.
 * false: it is not to be stored after all.
 */
static bool
start_filling(CachedScan *scan)
{
	CkRequest  *request = &scan->request;

	start_child(scan);
	if (scan->admitted && scan->query->keyed != NIL &&
		request->bypass == CK_BYPASS_NONE)
		ck_serve_bind_plan(request, scan->child->plannedstmt);
	ck_serve_missed(request);
	if (request->bypass == CK_BYPASS_NONE)
		return true;
	scan->outcome.state = "bypass";
	scan->admitted = scan->watched = false;
	release_lease(scan);
	return false;
}

/* Run the child, and look how long it takes or what it gives on the way. */
static void
pass_through(CachedScan *scan)
{
	if (scan->child == NULL)
		start_child(scan);
	if (scan->admitted)
		begin_collecting(scan);
	else if (runs_to_the_end(scan))
		enter_parallel_mode(scan);
	scan->source = CHILD;
}

/* Compute the whole result, or as much of it as can be stored. */
static void
compute(CachedScan *scan)
{
	TupleTableSlot *slot;

	CK_DEBUG_POINT("fill");
	if (!start_filling(scan))
	{
		pass_through(scan);
		return;
	}
	begin_collecting(scan);
	if (runs_to_the_end(scan))
		enter_parallel_mode(scan);
	while (!scan->overflow && (slot = child_row(scan)) != NULL)
		collect(scan, slot);
	if (!scan->overflow)
	{
		scan->child_done = true;
		shutdown_child(scan);
	}
	finish_collecting(scan);
	scan->source = BUFFER;
	ck_reader_open_bytes(&scan->reader, scan->bytes.data, scan->bytes.len);
}

/* The child, whose rows were passed through, has given the last one. */
static void
child_ended(CachedScan *scan)
{
	scan->child_done = true;
	shutdown_child(scan);
	if (scan->admitted)
		finish_collecting(scan);
	if (scan->watched)
	{
		scan->watched = false;
		if (ck_clock_since(scan->start) / 1000 >= ck_guc_min_exec_time)
		{
			scan->query->cheap_runs = 0;
			ck_admission_worthy(scan->request.key.hash);
		}
		else
			scan->query->cheap_runs++;
	}
}

/* ---------------- deciding ---------------- */

/* Does the session still want what it wanted when it was planned? */
static bool
is_wanted(CachedScan *scan)
{
	if (scan->info->wish.origin == CK_ORIGIN_AUTO)
		return ck_guc_mode == CK_MODE_AUTO;
	return ck_guc_mode != CK_MODE_OFF;
}

static CkQuery *
open_query(CachedScan *scan)
{
	CkScanInfo *info = scan->info;
	CkQuery    *query = ck_query_reopen(info->query_id);

	if (query == NULL)
	{
		query = ck_query_open_tree(info->tree, info->text, strlen(info->text));
		info->query_id = query->id;
	}
	ck_query_refresh(query);
	return query;
}

/* Tie the request to the query: see serve.c about the order. */
static void
bind_request(CachedScan *scan)
{
	CkRequest  *request = &scan->request;
	CkWish	   *wish = &scan->info->wish;
	EState	   *estate = scan->css.ss.ps.state;

	ck_track_use_namespace(ck_extension_namespace());
	request->form = CK_FORM_ROWS;
	request->has_ttl = wish->has_ttl;
	request->ttl = wish->ttl;
	request->ntags = wish->ntags;
	memcpy(request->tags, wish->tags, wish->ntags * sizeof(uint32));
	request->snapshot = estate->es_snapshot;
	request->permitted = true;
	request->params = estate->es_param_list_info;
	request->swr = wish->swr;
	request->background = (wish->swr > 0 || wish->keep_warm) &&
		request->params == NULL && wish->ntags == 0 && ck_refresh_possible();
	request->may_lead = !is_auto(scan) && !ck_guc_debug_twice && runs_to_the_end(scan);
	ck_serve_start(request);
	AcceptInvalidationMessages();
	scan->query = open_query(scan);
	request->query = scan->query;
	if (!is_wanted(scan) && request->bypass == CK_BYPASS_NONE)
		request->bypass = CK_BYPASS_DISABLED;
	ck_serve_bind(request);
}

/* Compare what is found with what the query gives, when asked to. */
static void
verify(CachedScan *scan)
{
	CkFound    *found = scan->found;
	CkComparison *comparison;
	TupleTableSlot *slot;

	if (!ck_guc_verify || found->meta->inexact || found->stale)
		return;
	comparison = ck_compare_begin(scan->slot->tts_tupleDescriptor,
								  ck_serve_value(found), found->info.vallen);
	start_child(scan);
	while ((slot = child_row(scan)) != NULL)
		ck_compare_row(comparison, slot);
	end_child(scan);
	ck_compare_end(comparison, scan->info->text);
}

static void
read_entry(CachedScan *scan)
{
	scan->outcome.state = "hit";
	scan->outcome.cost_us = scan->found->info.cost_us;
	if (is_auto(scan))
		ck_admission_useful(scan->request.key.hash);
	verify(scan);
	scan->source = ENTRY;
	ck_reader_open_entry(&scan->reader, scan->found,
						 (scan->eflags & (EXEC_FLAG_BACKWARD | EXEC_FLAG_REWIND |
										  EXEC_FLAG_MARK)) != 0);
}

/* May the result be stored? */
static void
admit(CachedScan *scan)
{
	scan->admitted = true;
	if (!is_auto(scan))
		return;
	switch (ck_admission_ask(scan->request.key.hash))
	{
		case CK_ADMIT_STORE:
			break;
		case CK_ADMIT_WATCH:
			scan->watched = true;
			/* FALLTHROUGH */
		case CK_ADMIT_SKIP:
			scan->admitted = false;
			break;
	}
}

/* For tests: store the result, and answer from the entry nevertheless. */
static void
answer_twice(CachedScan *scan)
{
	compute(scan);
	if (scan->source != BUFFER)
		return;
	end_child(scan);
	if (ck_serve_find(&scan->request, scan->found) == CK_STATE_HIT)
		read_entry(scan);
	else
		pass_through(scan);
}

static void
miss(CachedScan *scan, CkState state)
{
	CkRequest  *request = &scan->request;

	if (state == CK_STATE_STALE)
	{
		ck_count(CK_CTR_INVALIDATIONS);
		if (is_auto(scan) && scan->found->info.hits == 0 &&
			ck_table_unlink_item(&request->key, scan->found->item,
								 scan->found->info.id))
			ck_admission_in_vain(request->key.hash);	/* once an entry */
	}
	scan->outcome.state = "miss";
	admit(scan);
	if (scan->admitted && ck_guc_debug_twice)
		answer_twice(scan);
	else if (!scan->admitted || !runs_to_the_end(scan))
	{
		(void) start_filling(scan);
		pass_through(scan);
	}
	else if (ck_serve_lead(request, scan->found, &scan->lease) == CK_STATE_HIT)
		read_entry(scan);
	else
		compute(scan);
}

static void
decide(CachedScan *scan)
{
	CkRequest  *request = &scan->request;
	CkState		state = CK_STATE_ABSENT;

	INSTR_TIME_SET_CURRENT(scan->start);
	bind_request(scan);
	if (request->bypass == CK_BYPASS_NONE)
	{
		scan->found = palloc(sizeof(CkFound));
		scan->found->pinned = false;
		state = ck_serve_find(request, scan->found);
	}
	if (request->bypass != CK_BYPASS_NONE)
	{
		scan->outcome.state = "bypass";
		ck_serve_bypassed(request);
		pass_through(scan);
		return;
	}
	if (state == CK_STATE_HIT)
		read_entry(scan);
	else
		miss(scan, state);
	ck_refresh_note(request, scan->info->text, NULL, NULL, scan->info->wish.keep_warm);
}

/* ---------------- execution ---------------- */

static Node *
create_state(CustomScan *plan)
{
	CachedScan *scan = (CachedScan *) newNode(sizeof(CachedScan), T_CustomScanState);

	scan->css.methods = &exec_methods;
	scan->info = linitial(plan->custom_private);
	scan->lease = CK_LEASE_NONE;
	return (Node *) scan;
}

/* For EXPLAIN: show the plan, and what would happen. */
static void
look_ahead(CachedScan *scan)
{
	CkRequest  *request = &scan->request;
	CkState		state = CK_STATE_ABSENT;

	if (scan->css.ss.ps.state->es_snapshot == NULL)
		return;
	bind_request(scan);
	if (request->bypass == CK_BYPASS_NONE)
		state = ck_serve_state(request);
	start_child(scan);
	if (state != CK_STATE_HIT && scan->query->keyed != NIL &&
		request->bypass == CK_BYPASS_NONE)
		ck_serve_bind_plan(request, scan->child->plannedstmt);
	scan->outcome.state = ck_explain_state(request, state);
}

static void
open_relations(CachedScan *scan)
{
	MemoryContext old = MemoryContextSwitchTo(scan->css.ss.ps.state->es_query_cxt);
	ListCell   *lc;

	if (scan->relations == NIL)
		foreach(lc, scan->info->relids)
			scan->relations = lappend(scan->relations, table_open(lfirst_oid(lc), NoLock));
	MemoryContextSwitchTo(old);
}

static void
begin_scan(CustomScanState *node, EState *estate, int eflags)
{
	CachedScan *scan = (CachedScan *) node;

	scan->eflags = eflags;
	scan->slot = ExecInitExtraTupleSlot(estate, node->ss.ss_ScanTupleSlot->tts_tupleDescriptor,
										&TTSOpsMinimalTuple);
	if (eflags & EXEC_FLAG_EXPLAIN_ONLY)
	{
		look_ahead(scan);
		return;
	}
	if ((scan->info->cursor_options & ~CURSOR_OPT_PARALLEL_OK) != 0)
		open_relations(scan);
}

static TupleTableSlot *
reader_row(CachedScan *scan)
{
	MinimalTuple tuple;

	if (ScanDirectionIsBackward(scan->css.ss.ps.state->es_direction))
		tuple = ck_reader_previous(&scan->reader);
	else
		tuple = ck_reader_next(&scan->reader);
	return tuple ? ExecStoreMinimalTuple(tuple, scan->slot, false) : NULL;
}

/* A row of the child, on its way to whoever asked. */
static TupleTableSlot *
passing_row(CachedScan *scan)
{
	TupleTableSlot *slot;

	if (scan->admitted &&
		(scan->moved_back ||
		 !ScanDirectionIsForward(scan->css.ss.ps.state->es_direction)))
		scan->admitted = scan->watched = false;
	slot = child_row(scan);
	if (slot == NULL)
	{
		if (!scan->child_done && ScanDirectionIsForward(scan->css.ss.ps.state->es_direction))
			child_ended(scan);
	}
	else if (scan->admitted)
	{
		collect(scan, slot);
		if (scan->overflow)
			finish_collecting(scan);
	}
	return slot;
}

static TupleTableSlot *
next_row(CustomScanState *node)
{
	CachedScan *scan = (CachedScan *) node;
	TupleTableSlot *slot = NULL;

	if (scan->source == UNDECIDED)
	{
		if (!asked_for_all(scan))
			open_relations(scan);
		decide(scan);
	}
	if (scan->source != CHILD)
		slot = reader_row(scan);
	if (scan->source == BUFFER && slot == NULL && !scan->child_done)
		scan->source = CHILD;	/* rows that did not fit */
	if (scan->source == CHILD)
		slot = passing_row(scan);
	return slot ? slot : ExecClearTuple(scan->slot);
}

static void
rescan(CustomScanState *node)
{
	CachedScan *scan = (CachedScan *) node;

	switch (scan->source)
	{
		case UNDECIDED:
			break;
		case ENTRY:
			ck_reader_rewind(&scan->reader);
			break;
		case BUFFER:
			if (scan->child_done)
			{
				ck_reader_rewind(&scan->reader);
				break;
			}
			/* FALLTHROUGH */
		case CHILD:
			scan->moved_back = true;
			scan->source = CHILD;
			ExecReScan(scan->child->planstate);
			break;
	}
}

static void
shutdown_scan(CustomScanState *node)
{
	CachedScan *scan = (CachedScan *) node;

	if (scan->in_parallel)
		shutdown_child(scan);
}

static void
end_scan(CustomScanState *node)
{
	CachedScan *scan = (CachedScan *) node;
	ListCell   *lc;

	release_lease(scan);
	if (scan->found)
		ck_serve_leave(scan->found);
	end_child(scan);
	if (scan->query)
		ck_query_close(scan->query);
	foreach(lc, scan->relations)
		table_close(lfirst(lc), NoLock);
}

static void
explain_scan(CustomScanState *node, List *ancestors, ExplainState *es)
{
	CachedScan *scan = (CachedScan *) node;

	scan->outcome.request = scan->query ? &scan->request : NULL;
	scan->outcome.child = scan->child;
	scan->outcome.meta = scan->source == ENTRY ? scan->found->meta : NULL;
	ck_scan_explain(&scan->outcome, es);
}
