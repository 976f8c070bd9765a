/*-------------------------------------------------------------------------
 *
 * fromscan.c
 *	  Custom Scan (CachedQuery): cached_query() in FROM.
 *
 * A function in FROM returns its rows in a tuplestore.  Here its scan is
 * replaced by one that streams the rows of a hit from the entry (reader.c).
 * All else is the function's own doing, the checks of its arguments and
 * of the column list included: a miss computes into a tuplestore as before.
 *
 * The function scan stays where it knows more than we do: with ordinality,
 * several functions, domains over row types, row types with dropped columns,
 * and whole-row references.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "commands/explain.h"
#include "executor/executor.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "nodes/extensible.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/pathnode.h"
#include "optimizer/restrictinfo.h"
#include "utils/acl.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/tuplestore.h"

#include "cached_query.h"
#include "compat.h"
#include "extension.h"
#include "fingerprint.h"
#include "fromscan.h"
#include "guc.h"
#include "reader.h"
#include "result.h"

typedef struct FromScan
{
	CustomScanState css;		/* first */
	List	   *arguments;		/* ExprStates */
	FunctionCallInfo call;
	FmgrInfo	function;
	int			nth;			/* the argument that is the query */
	MemoryContext context;		/* of what follows */
	bool		decided;
	const char *state;			/* for EXPLAIN */
	CkFound    *found;			/* of a hit */
	CkReader	reader;
	Tuplestorestate *store;		/* else */
	TupleTableSlot *slot;		/* for its rows */
} FromScan;

static Plan *make_plan(PlannerInfo *root, RelOptInfo *rel, CustomPath *path,
					   List *targets, List *clauses, List *children);
static Node *create_state(CustomScan *plan);
static void begin_scan(CustomScanState *node, EState *estate, int eflags);
static TupleTableSlot *exec_scan(CustomScanState *node);
static void end_scan(CustomScanState *node);
static void rescan(CustomScanState *node);
static void explain_scan(CustomScanState *node, List *ancestors, ExplainState *es);

static const CustomPathMethods path_methods = {
	.CustomName = "CachedQuery",
	.PlanCustomPath = make_plan
};

static const CustomScanMethods plan_methods = {
	.CustomName = "CachedQuery",
	.CreateCustomScanState = create_state
};

static const CustomExecMethods exec_methods = {
	.CustomName = "CachedQuery",
	.BeginCustomScan = begin_scan,
	.ExecCustomScan = exec_scan,
	.EndCustomScan = end_scan,
	.ReScanCustomScan = rescan,
	.ExplainCustomScan = explain_scan
};

void
ck_fromscan_init(void)
{
	RegisterCustomScanMethods(&plan_methods);
}

/* ---------------- planning ---------------- */

/* The call of cached_query() that is all of a function in FROM; or NULL. */
static FuncExpr *
lone_call(RangeTblEntry *rte)
{
	FuncExpr   *call;
	char	   *name;

	if (rte->funcordinality || list_length(rte->functions) != 1)
		return NULL;
	call = (FuncExpr *) linitial_node(RangeTblFunction, rte->functions)->funcexpr;
	if (!IsA(call, FuncExpr) || !call->funcretset ||
		!OidIsValid(ck_extension_namespace()) ||
		get_func_namespace(call->funcid) != ck_extension_namespace())
		return NULL;
	name = get_func_name(call->funcid);
	return name && strcmp(name, "cached_query") == 0 ? call : NULL;
}

/*
 * The columns of the entry as a target list, NIL: not our business.
 */
static List *
columns(RangeTblEntry *rte, Index rti)
{
	RangeTblFunction *function = linitial_node(RangeTblFunction, rte->functions);
	Oid			type;
	TupleDesc	desc;
	List	   *result = NIL;

	switch (get_expr_result_type(function->funcexpr, &type, &desc))
	{
		case TYPEFUNC_COMPOSITE:
			break;
		case TYPEFUNC_RECORD:
			desc = BuildDescFromLists(function->funccolnames, function->funccoltypes,
									  function->funccoltypmods,
									  function->funccolcollations);
			break;
		case TYPEFUNC_SCALAR:
			desc = CreateTemplateTupleDesc(1);
			TupleDescInitEntry(desc, 1, NULL, type, -1, 0);
			TupleDescInitEntryCollation(desc, 1, exprCollation(function->funcexpr));
			break;
		default:
			return NIL;
	}
	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);

		if (att->attisdropped)
			return NIL;
		result = lappend(result,
						 makeTargetEntry((Expr *) makeVar(rti, i + 1, att->atttypid,
														  att->atttypmod,
														  att->attcollation, 0),
										 i + 1, pstrdup(NameStr(att->attname)), false));
	}
	return result;
}

static bool
needs_whole_row(RelOptInfo *rel)
{
	return !bms_is_empty(rel->attr_needed[0 - rel->min_attr]);
}

/* set_rel_pathlist_hook: our path takes the place of the function's. */
void
ck_fromscan_paths(PlannerInfo *root, RelOptInfo *rel, Index rti, RangeTblEntry *rte)
{
	FuncExpr   *call = lone_call(rte);
	Path	   *plain;
	CustomPath *path;
	List	   *target;

	if (call == NULL || list_length(rel->pathlist) != 1 || needs_whole_row(rel))
		return;
	plain = linitial(rel->pathlist);
	target = columns(rte, rti);
	if (!IsA(plain, Path) || plain->pathtype != T_FunctionScan || target == NIL)
		return;
	path = makeNode(CustomPath);
	path->path = *plain;
	path->path.type = T_CustomPath;
	path->path.pathtype = T_CustomScan;
	path->path.parallel_safe = false;
	path->path.pathkeys = NIL;
	path->flags = CUSTOMPATH_SUPPORT_PROJECTION;
	path->custom_private = list_make2(target, call);
	path->methods = &path_methods;
	rel->pathlist = list_make1(path);
}

static Plan *
make_plan(PlannerInfo *root, RelOptInfo *rel, CustomPath *path, List *targets,
		  List *clauses, List *children)
{
	CustomScan *scan = makeNode(CustomScan);
	FuncExpr   *call = copyObject(lsecond(path->custom_private));

	scan->scan.plan.targetlist = targets;
	scan->scan.plan.qual = extract_actual_clauses(clauses, false);
	scan->custom_scan_tlist = copyObject(linitial(path->custom_private));
	scan->custom_exprs = call->args;
	scan->custom_private = list_make1_oid(call->funcid);
	scan->flags = path->flags;
	scan->methods = &plan_methods;
	return &scan->scan.plan;
}

/* ---------------- execution ---------------- */

static Node *
create_state(CustomScan *plan)
{
	FromScan   *scan = (FromScan *) newNode(sizeof(FromScan), T_CustomScanState);

	scan->css.methods = &exec_methods;
	return (Node *) scan;
}

static void
check_may_execute(Oid function)
{
	AclResult	result = CkProcAclCheck(function, GetUserId());

	if (result != ACLCHECK_OK)
		aclcheck_error(result, OBJECT_FUNCTION, get_func_name(function));
}

/* A call like the one that a function scan would make. */
static void
prepare_call(FromScan *scan, Oid function, int nargs)
{
	ReturnSetInfo *info = makeNode(ReturnSetInfo);

	fmgr_info(function, &scan->function);
	scan->call = palloc0(SizeForFunctionCallInfo(nargs));
	info->econtext = scan->css.ss.ps.ps_ExprContext;
	info->expectedDesc = scan->css.ss.ss_ScanTupleSlot->tts_tupleDescriptor;
	info->allowedModes = (int) (SFRM_ValuePerCall | SFRM_Materialize);
	InitFunctionCallInfoData(*scan->call, &scan->function, nargs, InvalidOid, NULL,
							 (Node *) info);
}

static void
begin_scan(CustomScanState *node, EState *estate, int eflags)
{
	FromScan   *scan = (FromScan *) node;
	CustomScan *plan = (CustomScan *) node->ss.ps.plan;
	Oid			function = linitial_oid(plan->custom_private);
	int			nargs = list_length(plan->custom_exprs);

	check_may_execute(function);
	scan->arguments = ExecInitExprList(plan->custom_exprs, &node->ss.ps);
	scan->nth = get_func_nargs(function) == CK_CACHED_QUERY_ARGS ? 0 : 1;
	scan->context = AllocSetContextCreate(estate->es_query_cxt, "cachekit scan",
										  ALLOCSET_SMALL_SIZES);
	scan->slot = ExecInitExtraTupleSlot(estate, node->ss.ss_ScanTupleSlot->tts_tupleDescriptor,
										&TTSOpsMinimalTuple);
	prepare_call(scan, function, nargs);
}

static void
evaluate_arguments(FromScan *scan)
{
	ListCell   *lc;
	int			i = 0;

	foreach(lc, scan->arguments)
	{
		NullableDatum *arg = &scan->call->args[i++];

		arg->value = ExecEvalExpr((ExprState *) lfirst(lc),
								  scan->css.ss.ps.ps_ExprContext, &arg->isnull);
	}
}

/* Look up; what is not a hit that can be streamed, the function answers. */
static void
decide(FromScan *scan)
{
	MemoryContext old = MemoryContextSwitchTo(scan->context);
	ReturnSetInfo *info = (ReturnSetInfo *) scan->call->resultinfo;
	CkRequest	request;
	CkTarget   *target;

	scan->decided = true;
	evaluate_arguments(scan);
	ck_cached_query_open(scan->call, scan->nth, &request);
	target = ck_result_rows(scan->call, &request);
	scan->store = info->setResult;
	scan->found = palloc(sizeof(CkFound));
	scan->found->pinned = false;
	request.may_lead = true;
	if (request.bypass == CK_BYPASS_NONE && !ck_guc_verify &&
		ck_serve_find(&request, scan->found) == CK_STATE_HIT)
	{
		scan->state = "hit";
		ck_reader_open_entry(&scan->reader, scan->found, false);
	}
	else
	{
		scan->found = NULL;
		scan->state = request.bypass == CK_BYPASS_NONE ? "miss" : "bypass";
		ck_result_answer(target);
	}
	ck_cached_query_answered(scan->call, scan->nth, &request);
	ck_query_close(request.query);
	MemoryContextSwitchTo(old);
}

static TupleTableSlot *
next_row(ScanState *node)
{
	FromScan   *scan = (FromScan *) node;
	TupleTableSlot *slot = node->ss_ScanTupleSlot;
	MemoryContext old;
	MinimalTuple tuple;
	bool		should_free;

	if (!scan->decided)
		decide(scan);
	if (scan->found)
	{
		old = MemoryContextSwitchTo(scan->context);
		tuple = ck_reader_next(&scan->reader);
		MemoryContextSwitchTo(old);
		if (tuple == NULL)
			return ExecClearTuple(slot);
		ExecForceStoreMinimalTuple(tuple, slot, false);
		return slot;
	}
	if (!tuplestore_gettupleslot(scan->store, true, false, scan->slot))
		return ExecClearTuple(slot);
	tuple = ExecFetchSlotMinimalTuple(scan->slot, &should_free);
	ExecForceStoreMinimalTuple(tuple, slot, should_free);
	return slot;
}

/* Nothing that the planner has left to us can be rechecked. */
static bool
recheck(ScanState *node, TupleTableSlot *slot)
{
	return true;
}

static TupleTableSlot *
exec_scan(CustomScanState *node)
{
	return ExecScan(&node->ss, next_row, recheck);
}

/* Forget the rows. */
static void
give_up(FromScan *scan)
{
	if (scan->found)
		ck_serve_leave(scan->found);
	scan->found = NULL;
	if (scan->store)
		tuplestore_end(scan->store);
	scan->store = NULL;
	scan->decided = false;
	MemoryContextReset(scan->context);
}

static void
rescan(CustomScanState *node)
{
	FromScan   *scan = (FromScan *) node;

	ExecScanReScan(&node->ss);
	if (!scan->decided)
		return;
	if (node->ss.ps.chgParam != NULL)
		give_up(scan);			/* the arguments may be others */
	else if (scan->found)
		ck_reader_rewind(&scan->reader);
	else
		tuplestore_rescan(scan->store);
}

static void
end_scan(CustomScanState *node)
{
	FromScan   *scan = (FromScan *) node;

	if (scan->decided)
		give_up(scan);
}

static void
explain_scan(CustomScanState *node, List *ancestors, ExplainState *es)
{
	FromScan   *scan = (FromScan *) node;

	if (scan->state)
		ExplainPropertyText("Cache", scan->state, es);
}
