/*-------------------------------------------------------------------------
 *
 * commands.c
 *	  What transparent mode must know of the command that is running.
 *
 * CREATE TABLE AS and REFRESH MATERIALIZED VIEW keep their result themselves:
 * queries planned by them are not cached.  With cachekit.explain off, EXPLAIN
 * is to show, and to run, plans without the cache; those that are in the plan
 * cache are replaced when the executor starts.
 *
 * A scan must know whether the executor runs to the end: see scan.c.  A
 * statement that writes may have triggers that can be left out: see keys.c.
 *
 * Besides, COMMIT PREPARED may make rows of the queue visible, and no callback
 * tells of it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "commands/explain.h"
#include "nodes/parsenodes.h"

#include "commands.h"
#include "denorm_queue.h"
#include "guc.h"
#include "keys.h"
#include "planner.h"
#include "scan.h"

ProcessUtility_hook_type ck_commands_next_utility = NULL;
ExecutorStart_hook_type ck_commands_next_start = NULL;
ExecutorRun_hook_type ck_commands_next_run = NULL;

static int	plain_explains = 0; /* EXPLAINs running, with cachekit.explain off */

static bool
is_plain_explain(Node *statement)
{
	return IsA(statement, ExplainStmt) && !ck_guc_explain;
}

static bool
is_not_cached(Node *statement)
{
	return IsA(statement, CreateTableAsStmt) || IsA(statement, RefreshMatViewStmt) ||
		is_plain_explain(statement);
}

static bool
commits_prepared(Node *statement)
{
	return IsA(statement, TransactionStmt) &&
		((TransactionStmt *) statement)->kind == TRANS_STMT_COMMIT_PREPARED;
}

static void
next_utility(PlannedStmt *statement, const char *text, bool read_only_tree,
			 ProcessUtilityContext context, ParamListInfo params,
			 QueryEnvironment *environment, DestReceiver *dest,
			 QueryCompletion *completion)
{
	bool		prepared = commits_prepared(statement->utilityStmt);

	(ck_commands_next_utility ? ck_commands_next_utility : standard_ProcessUtility)
		(statement, text, read_only_tree, context, params, environment, dest,
		 completion);
	if (prepared)
		ck_denorm_prepared_committed();
}

/* ProcessUtility_hook */
void
ck_commands_utility(PlannedStmt *statement, const char *text, bool read_only_tree,
					ProcessUtilityContext context, ParamListInfo params,
					QueryEnvironment *environment, DestReceiver *dest,
					QueryCompletion *completion)
{
	volatile bool plain = is_plain_explain(statement->utilityStmt);

	if (ck_guc_mode == CK_MODE_OFF || !is_not_cached(statement->utilityStmt))
	{
		next_utility(statement, text, read_only_tree, context, params, environment,
					 dest, completion);
		return;
	}
	ck_planner_off++;
	plain_explains += plain;
	PG_TRY();
	{
		next_utility(statement, text, read_only_tree, context, params, environment,
					 dest, completion);
	}
	PG_FINALLY();
	{
		ck_planner_off--;
		plain_explains -= plain;
	}
	PG_END_TRY();
}

/* Put the plan as it is without the cache in the place of ours. */
static void
use_plain_plan(QueryDesc *desc)
{
	CkScanInfo *info = ck_scan_info(desc->plannedstmt->planTree);

	if (info == NULL)
		return;
	desc->plannedstmt = info->child ? info->child :
		ck_scan_plan_tree(copyObject(info->tree), desc->sourceText,
						  info->cursor_options, desc->params);
}

/* ExecutorStart_hook */
void
ck_commands_start(QueryDesc *desc, int eflags)
{
	if (plain_explains > 0 && desc->plannedstmt->planTree)
		use_plain_plan(desc);
	(ck_commands_next_start ? ck_commands_next_start : standard_ExecutorStart)
		(desc, eflags);
	if (desc->estate->es_opened_result_relations != NIL)
		ck_keys_statement(desc->estate);
}

static void
next_run(CK_RUN_ARGS)
{
	(ck_commands_next_run ? ck_commands_next_run : standard_ExecutorRun) (CK_RUN_PASS);
}

/* ExecutorRun_hook */
void
ck_commands_run(CK_RUN_ARGS)
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
