/*-------------------------------------------------------------------------
 *
 * planner.c
 *	  Which queries are answered from the cache as they are.
 *
 * The planner hook.  A SELECT that is wanted in the cache, because of a hint, a
 * rule, or cachekit.mode = auto, gets a plan whose only node is a CachedResult
 * (scan.c).  All others are planned as ever.
 *
 * Eager or lazy.  If there is an entry under the query's key, valid or not, the
 * query itself is not planned: most likely it will not have to run.  If there
 * is none, or the parameters are not known yet (a generic plan), it is planned
 * now, and the plan goes with the node.  So a miss never plans twice, and the
 * plan cache compares the costs of real plans; the cost of a node without a
 * child is that of the latest plan.
 *
 * Mode auto must cost cheap queries next to nothing.  What counts as cheap is
 * first of all the planner's estimate: a query must be estimated at
 * COST_PER_MS for each millisecond of cachekit.min_exec_time.  (A unit of cost
 * is hardly ever more than 50 microseconds.)  To plan a query and have it
 * afterwards it must be copied, which for the smallest ones is as much as the
 * limit of two percent; so after some cheap ones in a row of the same
 * structure that is not done until one of them is dear.  Whether
 * what was estimated dear really is, the scan finds out.
 *
 * What a plan is made for is fixed when it is made: a prepared statement that
 * was planned in mode off stays as it is.  A change of rules makes others anew,
 * since their plans list the table of rules among what they depend on.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/parallel.h"
#include "access/transam.h"
#include "access/xlog.h"
#include "catalog/pg_class.h"
#include "common/hashfn.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "tcop/pquery.h"
#include "tcop/tcopprot.h"
#include "utils/lsyscache.h"
#include "utils/snapmgr.h"

#include "catalogs.h"
#include "cells.h"
#include "compat.h"
#include "derive.h"
#include "extension.h"
#include "guc.h"
#include "hint.h"
#include "planner.h"
#include "rules.h"
#include "scan.h"
#include "segment.h"
#include "track.h"

#define COST_PER_MS			20
#define US_PER_COST			10	/* the other way round, for a plan not made */
#define CHEAP_IN_A_ROW		8	/* before a query is not copied any more */
#define STRUCTURES			1024
#define CHEAP_RUNS			16	/* before a query is planned as ever */
#define LOOK_AGAIN			256 /* plannings later */

int			ck_planner_off = 0; /* > 0: a command that is not to be cached runs */

static uint8 cheap_in_a_row[STRUCTURES];

/* What is planned, as the hook was given it. */
typedef struct Planning
{
	Query	   *parse;
	const char *text;
	int			cursor_options;
	ParamListInfo params;
	planner_hook_type next;		/* after us */
	const char *statement;		/* its own part of the text */
	int			len;
	CkWish		wish;
} Planning;

static PlannedStmt *
plan_next(Planning *planning)
{
	return planning->next(planning->parse, planning->text, planning->cursor_options,
						  planning->params);
}

/* ---------------- may we? ---------------- */

/*
 * A cursor whose current row an UPDATE may refer to must be the scan that it
 * seems to be.
 */
static bool
may_be_current_of(const Query *parse)
{
	return !parse->hasAggs && !parse->hasWindowFuncs && !parse->hasTargetSRFs &&
		parse->groupClause == NIL && parse->groupingSets == NIL &&
		parse->distinctClause == NIL && parse->havingQual == NULL &&
		(parse->setOperations != NULL ||
		 (list_length(parse->jointree->fromlist) == 1 &&
		  IsA(linitial(parse->jointree->fromlist), RangeTblRef)));
}

/* Cheap checks of what is planned, and of the state that the session is in. */
static bool
is_eligible(Query *parse, const char *text, int cursor_options)
{
	if (parse->commandType != CMD_SELECT || parse->utilityStmt != NULL ||
		parse->rowMarks != NIL || parse->hasModifyingCTE || text == NULL ||
		(parse->rtable == NIL && !parse->hasSubLinks))
		return false;
	if (ck_scan_planning > 0 || ck_query_planning > 0 || ck_planner_off > 0 ||
		!ck_guc_enabled ||
		IsParallelWorker() || !ActiveSnapshotSet())
		return false;
	return (cursor_options & CURSOR_OPT_FAST_PLAN) == 0 || !may_be_current_of(parse);
}

static void
find_statement(Planning *planning)
{
	int			location = planning->parse->stmt_location;
	int			len = planning->parse->stmt_len;
	PlannedStmt *command;

	if (location <= 0 && len <= 0 && ActivePortal &&
		ActivePortal->sourceText == planning->text)
	{
		/* of DECLARE and EXPLAIN, where the command alone has a location */
		command = linitial_node(PlannedStmt, ActivePortal->stmts);
		location = command->stmt_location;
		len = command->stmt_len;
	}
	planning->statement = planning->text + Max(location, 0);
	planning->len = location >= 0 && len > 0 ? len : strlen(planning->statement);
	if (location > 0 && CK_STATEMENT_IS_WITHOUT_COMMENTS)
	{
		int			start = ck_hint_statement_start(planning->text, location);

		planning->statement = planning->text + start;
		planning->len += location - start;
	}
}

/* ---------------- is it wanted? ---------------- */

static void
wish_by_hint(CkHint *hint, CkWish *wish)
{
	ListCell   *lc;

	wish->origin = CK_ORIGIN_HINT;
	wish->has_ttl = hint->has_ttl;
	wish->ttl = hint->ttl;
	wish->swr = hint->swr;
	wish->keep_warm = hint->keep_warm;
	wish->ntags = 0;
	foreach(lc, hint->tags)
		wish->tags[wish->ntags++] =
			ck_cell_of_tag(MyDatabaseId, lfirst(lc), strlen(lfirst(lc)));
}

static void
wish_by_rule(const CkRule *rule, CkWish *wish)
{
	wish->origin = CK_ORIGIN_RULE;
	wish->has_ttl = rule->has_ttl;
	wish->ttl = rule->ttl;
	wish->swr = rule->swr;
	wish->keep_warm = rule->keep_warm;
	wish->ntags = rule->ntags;
	memcpy(wish->tags, rule->tags, rule->ntags * sizeof(uint32));
}

/*
 * Does anybody want it to be cached?  Then *wish says how.  A hint has the
 * last word, then a rule.
 */
static bool
is_wanted(Planning *planning)
{
	CkHint		hint;
	const CkRule *rule;
	CkWish	   *wish = &planning->wish;

	if (strstr(planning->text, "/*+") != NULL &&
		ck_hint_find(planning->statement, planning->len,
					 planning->text != debug_query_string, &hint))
	{
		if (hint.nocache || !ck_segment_attach())
			return false;
		wish_by_hint(&hint, wish);
		return true;
	}
	rule = planning->parse->queryId ? ck_rules_find(planning->parse->queryId) : NULL;
	if (RecoveryInProgress() || (rule == NULL && ck_guc_mode != CK_MODE_AUTO))
		return false;
	if (rule != NULL)
	{
		wish_by_rule(rule, wish);
		return true;
	}
	memset(wish, 0, offsetof(CkWish, tags));
	wish->origin = CK_ORIGIN_AUTO;
	return true;
}

/* ---------------- the outer plan ---------------- */

/*
 * The range table of a query that is not planned yet: what the executor is to
 * check, and the plan cache to lock.
 */
static bool
collect_rtes(Node *node, void *context)
{
	PlannedStmt *plan = context;
	ListCell   *lc;

	if (node == NULL)
		return false;
	if (!IsA(node, Query))
		return expression_tree_walker(node, collect_rtes, context);
	foreach(lc, ((Query *) node)->rtable)
		CkAddOuterRte((Query *) node, lfirst_node(RangeTblEntry, lc), plan);
	return query_tree_walker((Query *) node, collect_rtes, context, 0);
}

static PlannedStmt *
outer_plan(Planning *planning, CkQuery *query, CkScanInfo *info)
{
	PlannedStmt *child = info->child;
	PlannedStmt *plan = makeNode(PlannedStmt);
	bool		backward = (planning->cursor_options & CURSOR_OPT_SCROLL) != 0;
	CustomScan *scan;

	if (child)
		backward |= ExecSupportsBackwardScan(child->planTree);
	scan = ck_scan_plan(info, backward);
	plan->commandType = CMD_SELECT;
	plan->queryId = info->tree->queryId;
	plan->canSetTag = info->tree->canSetTag;
	plan->stmt_location = info->tree->stmt_location;
	plan->stmt_len = info->tree->stmt_len;
	plan->planTree = (Plan *) scan;
	if (child)
	{
		CkTakeRtes(plan, child);
		plan->relationOids = child->relationOids;
		plan->invalItems = child->invalItems;
		plan->dependsOnRole = child->dependsOnRole;
		plan->transientPlan = child->transientPlan;
		scan->scan.plan.startup_cost = child->planTree->startup_cost;
		scan->scan.plan.total_cost = child->planTree->total_cost;
		scan->scan.plan.plan_rows = child->planTree->plan_rows;
		scan->scan.plan.plan_width = child->planTree->plan_width;
		child->queryId = 0;
		return plan;
	}
	(void) collect_rtes((Node *) info->tree, plan);
	plan->relationOids = list_copy(query->relation_oids);
	plan->invalItems = copyObject(query->inval_items);
	plan->dependsOnRole = query->depends_on_role;
	scan->scan.plan.total_cost = query->cost;
	return plan;
}

/*
 * Does the query give one row at most, whatever is in its tables?  Functions
 * ask for one row of what they expect to be one, and not for the end.
 */
static bool
is_single_row(Query *tree)
{
	Const	   *limit = (Const *) tree->limitCount;

	if (limit != NULL && IsA(limit, Const) && !limit->constisnull &&
		tree->limitOption == LIMIT_OPTION_COUNT &&
		DatumGetInt64(limit->constvalue) <= 1)
		return true;
	if (tree->setOperations != NULL || tree->hasTargetSRFs ||
		tree->groupClause != NIL || tree->groupingSets != NIL)
		return false;
	return tree->hasAggs || tree->jointree->fromlist == NIL;
}

static CkScanInfo *
make_info(Planning *planning, CkQuery *query, Query *tree)
{
	CkScanInfo *info = (CkScanInfo *) newNode(sizeof(CkScanInfo), T_ExtensibleNode);

	info->node.extnodename = "CachekitScan";
	info->tree = tree;
	info->text = pstrdup(query->text);	/* the query may go before the plan */
	info->relids = list_copy(query->depends.relations);
	info->single_row = is_single_row(tree);
	info->query_id = query->id;
	info->cursor_options = planning->cursor_options;
	info->wish = planning->wish;
	info->analysis = ck_analysis_generation;
	info->catalogs = ck_catalog_generation;
	if (query->deps_valid)
		memcpy(info->digest, query->digest, CK_DIGEST_LEN);
	return info;
}

/* ---------------- eager or lazy ---------------- */

/*
 * Is there an entry under the query's key?  Then it is not planned now.
 */
static bool
is_present(Planning *planning, CkQuery *query)
{
	CkRequest	request = {.form = CK_FORM_ROWS};
	uint32		cost_us;

	if (query->never || query->own_ddl || (query->params && !planning->params) ||
		(planning->cursor_options & CURSOR_OPT_FAST_PLAN))
		return false;
	request.query = query;
	request.params = planning->params;
	if (!ck_serve_key(&request) || !ck_serve_present(&request, &cost_us))
		return false;
	if (query->cost == 0)
		query->cost = Max(cost_us / US_PER_COST, 1);
	return true;
}

static bool
is_cheap(Cost cost)
{
	return cost < (Cost) ck_guc_min_exec_time * COST_PER_MS;
}

/* Was it tried in mode auto lately, without being worth it? */
static bool
is_backed_off(CkQuery *query)
{
	return query->cheap_runs >= CHEAP_RUNS &&
		++query->passed_over % LOOK_AGAIN != 0;
}

/* Nobody has asked for it: is the query one that can be cached exactly? */
static bool
is_exact(CkQuery *query)
{
	return !query->never && !query->inexact && query->depends.relations != NIL;
}

/*
 * Plan a query that is wanted and known, or to be made known.
 */
static PlannedStmt *
plan_cached(Planning *planning)
{
	bool		automatic = planning->wish.origin == CK_ORIGIN_AUTO;
	Query	   *parse = planning->parse;
	CkQuery    *query;
	CkScanInfo *info;
	PlannedStmt *plan = NULL;

	ck_track_use_namespace(ck_extension_namespace());
	query = ck_query_open_tree(parse, planning->statement, planning->len);
	ck_query_refresh(query);
	if (!ck_derive_dependencies(query) || (automatic && !is_exact(query)) ||
		(automatic && ck_guc_admission && is_backed_off(query)))
		plan = plan_next(planning);
	else if (is_present(planning, query))
		plan = outer_plan(planning, query, make_info(planning, query, parse));
	else
	{
		info = make_info(planning, query, copyObject(parse));
		info->child = plan_next(planning);
		query->cost = Max(info->child->planTree->total_cost, 1);
		plan = automatic && ck_guc_admission && is_cheap(query->cost) ? info->child :
			outer_plan(planning, query, info);
	}
	ck_query_close(query);
	return plan;
}

/* ---------------- mode auto ---------------- */

/* Queries of the same structure have the same number, and some others too. */
static int
structure_of(Query *parse)
{
	uint32		h = list_length(parse->targetList) * 8 +
		(parse->hasAggs ? 1 : 0) + (parse->hasSubLinks ? 2 : 0) +
		(parse->sortClause != NIL ? 4 : 0);
	ListCell   *lc;

	if (parse->jointree->quals)
		h = hash_combine(h, nodeTag(parse->jointree->quals));
	foreach(lc, parse->rtable)
		h = hash_combine(h, murmurhash32(lfirst_node(RangeTblEntry, lc)->relid));
	return h % STRUCTURES;
}

/*
 * A query that nobody has asked to cache, and that is not known yet: plan it
 * as ever; if it is dear, give it a node above.
 */
static PlannedStmt *
plan_automatically(Planning *planning)
{
	uint8	   *cheap = &cheap_in_a_row[structure_of(planning->parse)];
	Query	   *tree = NULL;
	CkQuery    *query;
	CkScanInfo *info;
	PlannedStmt *plan;
	uint64		analysis = ck_analysis_generation;

	if (*cheap < CHEAP_IN_A_ROW)
		tree = copyObject(planning->parse);
	plan = plan_next(planning);
	if (is_cheap(plan->planTree->total_cost))
	{
		*cheap = Min(*cheap + 1, CHEAP_IN_A_ROW);
		return plan;
	}
	*cheap = 0;
	if (tree == NULL || !ck_segment_attach())
		return plan;
	ck_track_use_namespace(ck_extension_namespace());
	query = ck_query_open_tree(tree, planning->statement, planning->len);
	ck_query_refresh(query);
	if (ck_derive_dependencies(query) && is_exact(query) &&
		analysis == ck_analysis_generation)
	{
		query->cost = plan->planTree->total_cost;
		info = make_info(planning, query, tree);
		info->child = plan;
		info->catalogs = 0;		/* the digest alone tells: it is younger */
		plan = outer_plan(planning, query, info);
	}
	ck_query_close(query);
	return plan;
}

/*
 * Let a plan that may be kept (it is not made for known parameters) depend on
 * the table of rules.
 */
static PlannedStmt *
depend_on_rules(Planning *planning, PlannedStmt *plan)
{
	Oid			table;

	if (plan->queryId == 0 || planning->params != NULL)
		return plan;
	table = ck_rules_table();
	if (OidIsValid(table))
		plan->relationOids = lappend_oid(plan->relationOids, table);
	return plan;
}

static PlannedStmt *
plan_query(Planning *planning)
{
	if (!is_wanted(planning) || !OidIsValid(ck_extension_namespace()))
		return plan_next(planning);
	if (planning->wish.origin == CK_ORIGIN_AUTO && ck_guc_admission &&
		!ck_query_known(planning->statement, planning->len))
		return plan_automatically(planning);
	return plan_cached(planning);
}

/* The hook, but in mode off: see hooks.c.  next is called after us. */
PlannedStmt *
ck_planner(Query *parse, const char *text, int cursor_options, ParamListInfo params,
		   planner_hook_type next)
{
	Planning	planning;

	planning.parse = parse;
	planning.text = text;
	planning.cursor_options = cursor_options;
	planning.params = params;
	planning.next = next;
	if (!is_eligible(parse, text, cursor_options))
		return plan_next(&planning);
	find_statement(&planning);
	return depend_on_rules(&planning, plan_query(&planning));
}
