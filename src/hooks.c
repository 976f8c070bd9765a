/*-------------------------------------------------------------------------
 *
 * hooks.c
 *	  The hooks that everybody's statements pass.
 *
 * Most of these statements are none of our business, and what they pay is less
 * the instructions than the code and data to be fetched.  So the ways past us
 * are together here, with the variables that they look at, call no other file
 * of ours, and keep what needs a larger frame out of line.  The ends of
 * transactions are the other such place: xact.c.
 *
 * CREATE TABLE AS and REFRESH MATERIALIZED VIEW keep their result themselves:
 * queries planned by them are not cached.  With cachekit.explain off, EXPLAIN
 * is to show, and to run, plans without the cache; those that are in the plan
 * cache are replaced when the executor starts.
 *
 * A scan must know whether the executor runs to the end: see scan.c.  A
 * statement that writes may have triggers that can be left out: see keys.c.
 *
 * COMMIT PREPARED may make rows of the queue visible, and no callback tells of
 * it.  Under cachekit.track = all, statements of other libraries' PRE_COMMIT
 * callbacks are collected when they end: see written.c.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "commands/explain.h"
#include "executor/executor.h"
#include "nodes/parsenodes.h"
#include "optimizer/paths.h"
#include "optimizer/planner.h"
#include "tcop/utility.h"

#include "compat.h"
#include "denorm_queue.h"
#include "fromscan.h"
#include "guc.h"
#include "hooks.h"
#include "keys.h"
#include "planner.h"
#include "scan.h"
#include "written.h"

#define UTILITY_ARGS \
	PlannedStmt *statement, const char *text, bool read_only_tree, \
	ProcessUtilityContext context, ParamListInfo params, \
	QueryEnvironment *environment, DestReceiver *dest, QueryCompletion *completion
#define UTILITY_PASS \
	statement, text, read_only_tree, context, params, environment, dest, completion

/* What is called after us; never NULL but for the last. */
static planner_hook_type next_planner;
static ExecutorStart_hook_type next_start;
static ExecutorRun_hook_type next_run;
static ExecutorFinish_hook_type next_finish;
static ProcessUtility_hook_type next_utility;
static set_rel_pathlist_hook_type next_pathlist;

static int	plain_explains = 0; /* EXPLAINs running, with cachekit.explain off */
static bool tracking_all = false;

/* ---------------- planner ---------------- */

static PlannedStmt *
plan(Query *parse, const char *text, int cursor_options, ParamListInfo params)
{
	if (ck_guc_mode == CK_MODE_OFF)
		return next_planner(parse, text, cursor_options, params);
	return ck_planner(parse, text, cursor_options, params, next_planner);
}

static void
add_paths(PlannerInfo *root, RelOptInfo *rel, Index rti, RangeTblEntry *rte)
{
	if (next_pathlist)
		next_pathlist(root, rel, rti, rte);
	if (unlikely(rte->rtekind == RTE_FUNCTION))
		ck_fromscan_paths(root, rel, rti, rte);
}

/* ---------------- utility commands ---------------- */

static bool
is_plain_explain(Node *command)
{
	return IsA(command, ExplainStmt) && !ck_guc_explain;
}

static bool
is_not_cached(Node *command)
{
	return IsA(command, CreateTableAsStmt) || IsA(command, RefreshMatViewStmt) ||
		is_plain_explain(command);
}

static bool
commits_prepared(Node *command)
{
	return IsA(command, TransactionStmt) &&
		((TransactionStmt *) command)->kind == TRANS_STMT_COMMIT_PREPARED;
}

static pg_noinline void
run_uncached(UTILITY_ARGS)
{
	volatile bool plain = is_plain_explain(statement->utilityStmt);

	ck_planner_off++;
	plain_explains += plain;
	PG_TRY();
	{
		next_utility(UTILITY_PASS);
	}
	PG_FINALLY();
	{
		ck_planner_off--;
		plain_explains -= plain;
	}
	PG_END_TRY();
}

static void
process_utility(UTILITY_ARGS)
{
	bool		prepared = commits_prepared(statement->utilityStmt);

	if (ck_guc_mode != CK_MODE_OFF && is_not_cached(statement->utilityStmt))
		run_uncached(UTILITY_PASS);
	else
		next_utility(UTILITY_PASS);
	if (unlikely(prepared))
		ck_denorm_prepared_committed();
	if (unlikely(tracking_all))
		ck_written_collect_late();
}

/* ---------------- executor ---------------- */

/* Put the plan as it is without the cache in the place of ours. */
static pg_noinline void
use_plain_plan(QueryDesc *desc)
{
	CkScanInfo *info = ck_scan_info(desc->plannedstmt->planTree);

	if (info == NULL)
		return;
	desc->plannedstmt = info->child ? info->child :
		ck_scan_plan_tree(copyObject(info->tree), desc->sourceText,
						  info->cursor_options, desc->params);
}

static bool
have_triggers(List *relations)
{
	ListCell   *lc;

	foreach(lc, relations)
		if (((ResultRelInfo *) lfirst(lc))->ri_TrigDesc)
			return true;
	return false;
}

static void
executor_start(QueryDesc *desc, int eflags)
{
	if (unlikely(plain_explains > 0) && desc->plannedstmt->planTree)
		use_plain_plan(desc);
	next_start(desc, eflags);
	if (have_triggers(desc->estate->es_opened_result_relations))
		ck_keys_statement(desc->estate);
}

static pg_noinline void
run_custom_scan(CK_RUN_ARGS)
{
	CkScanRun	outer;

	if (ck_scan_info(desc->plannedstmt->planTree) == NULL)
	{
		next_run(CK_RUN_PASS);
		return;
	}
	outer = ck_scan_begin_run(desc, count == 0 && ScanDirectionIsForward(direction));
	PG_TRY();
	{
		next_run(CK_RUN_PASS);
	}
	PG_FINALLY();
	{
		ck_scan_end_run(outer);
	}
	PG_END_TRY();
}

static void
executor_run(CK_RUN_ARGS)
{
	if (IsA(desc->plannedstmt->planTree, CustomScan))
		run_custom_scan(CK_RUN_PASS);
	else
		next_run(CK_RUN_PASS);
}

static void
executor_finish(QueryDesc *desc)
{
	next_finish(desc);
	ck_written_collect_late();
}

/* ---------------- loading ---------------- */

/* Once, when the library is loaded. */
void
ck_hooks_init(bool track_all)
{
	next_planner = planner_hook ? planner_hook : standard_planner;
	planner_hook = plan;
	next_pathlist = set_rel_pathlist_hook;
	set_rel_pathlist_hook = add_paths;
	next_utility = ProcessUtility_hook ? ProcessUtility_hook : standard_ProcessUtility;
	ProcessUtility_hook = process_utility;
	next_start = ExecutorStart_hook ? ExecutorStart_hook : standard_ExecutorStart;
	ExecutorStart_hook = executor_start;
	next_run = ExecutorRun_hook ? ExecutorRun_hook : standard_ExecutorRun;
	ExecutorRun_hook = executor_run;
	tracking_all = track_all;
	if (!track_all)
		return;
	next_finish = ExecutorFinish_hook ? ExecutorFinish_hook : standard_ExecutorFinish;
	ExecutorFinish_hook = executor_finish;
}
