/*-------------------------------------------------------------------------
 *
 * denorm_graph.c
 *	  What a query joins: occurrences of tables, and the equalities between.
 *
 * Levels.  A query is taken apart into levels: a level is one with its FROM
 * items; views, subqueries, common table expressions, sublinks and the arms of
 * set operations are levels of their own.  A FROM item that is a table is an
 * occurrence.  A column of a level's result is *row-determined* if it is the
 * same for all result rows on which one row of an occurrence has influence
 * through this level: an expression without aggregates, window functions,
 * sublinks and set-returning functions, and under DISTINCT ON one of its
 * columns, with window functions one by which all of them are partitioned;
 * none under LIMIT or GROUPING SETS.  Following row-determined columns
 * downwards, an expression may be traced to an expression over the columns of
 * one occurrence.
 *
 * Edges.  An edge X -> Y between occurrences says: a row x of X has influence
 * on result rows only together with rows y of Y for which f(x) = g(y).  It
 * comes from an equality that is a conjunct of
 *	- WHERE or an inner join's condition: both ways;
 *	- an outer join's condition: from the nullable side to the other one, and
 *	  both ways among occurrences of the nullable side;
 *	- a subquery's or sublink's WHERE with one side in the query around it:
 *	  outwards;
 *	- x IN (SELECT y ...): outwards, where the NULLs allow it.
 * Whatever stands above (HAVING, aggregates, NOT EXISTS) only decides what the
 * influence is, not where.
 *
 * Catalog reads only.  All is allocated in the current memory context.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/table.h"
#include "catalog/pg_class.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/clauses.h"
#include "optimizer/optimizer.h"
#include "parser/parse_coerce.h"
#include "parser/parsetree.h"
#include "rewrite/rewriteHandler.h"
#include "rewrite/rewriteManip.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#include "compat.h"
#include "denorm_graph.h"

#define MAX_DEPTH	64			/* of levels */

/* A query, once for each reference to it. */
struct CkLevel
{
	Query	   *query;			/* without join aliases */
	CkLevel	   *parent;
	CkLevel	  **sub;			/* by range table index; NULL: not a query */
	CkOccurrence **occ;			/* by range table index; NULL: not a table */
	Relids		nullable;		/* range table indexes, by outer joins here */
	bool		inner_nullable;	/* the level itself is, in the one around it */
	List	   *arms;
};

static CkLevel *make_level(CkGraph *graph, Query *query, CkLevel *parent,
						   bool nullable, List *arms);

/* ---------------- tracing expressions to occurrences ---------------- */

/* May the column of a level's result be traced further down? */
static bool
row_determined(Query *query, TargetEntry *tle)
{
	Node	   *expr = (Node *) tle->expr;
	ListCell   *lc;

	if (query->limitCount || query->limitOffset || query->groupingSets)
		return false;
	if (contain_aggs_of_level(expr, 0) || contain_window_function(expr) ||
		checkExprHasSubLink(expr) || expression_returns_set(expr))
		return false;
	if (query->hasDistinctOn &&
		(tle->ressortgroupref == 0 ||
		 get_sortgroupref_clause_noerr(tle->ressortgroupref,
									   query->distinctClause) == NULL))
		return false;
	if (query->hasWindowFuncs)
	{
		foreach(lc, query->windowClause)
			if (tle->ressortgroupref == 0 ||
				get_sortgroupref_clause_noerr(tle->ressortgroupref,
											  lfirst_node(WindowClause, lc)->partitionClause) == NULL)
				return false;
	}
	return true;
}

static List *trace_expr(CkLevel *level, Node *expr);

/* Of the type and collation that a set operation gives to its column. */
static bool
coerce_traced(CkTraced *traced, Oid type, Oid collation)
{
	if (exprCollation(traced->expr) != collation)
		return false;
	if (exprType(traced->expr) == type)
		return true;
	traced->expr = coerce_to_common_type(NULL, traced->expr, type, "set operation");
	exprSetCollation(traced->expr, collation);
	return !traced->occ->nullable || !contain_nonstrict_functions(traced->expr);
}

/* A column of a part of a set operation; NIL if not every arm has it. */
static List *
trace_part(CkLevel *level, Node *node, AttrNumber attno)
{
	SetOperationStmt *operation = (SetOperationStmt *) node;
	List	   *left;
	List	   *right;
	ListCell   *lc;

	if (IsA(node, RangeTblRef))
	{
		CkLevel	   *arm = level->sub[((RangeTblRef *) node)->rtindex];

		return arm ? ck_graph_trace(arm, attno) : NIL;
	}
	left = trace_part(level, operation->larg, attno);
	right = trace_part(level, operation->rarg, attno);
	if (left == NIL || right == NIL)
		return NIL;
	left = list_concat(left, right);
	foreach(lc, left)
		if (!coerce_traced(lfirst(lc), list_nth_oid(operation->colTypes, attno - 1),
						   list_nth_oid(operation->colCollations, attno - 1)))
			return NIL;
	return left;
}

/* Column attno of a level's result, as expressions over occurrences. */
List *
ck_graph_trace(CkLevel *level, AttrNumber attno)
{
	Query	   *query = level->query;
	TargetEntry *tle;

	if (attno <= 0)
		return NIL;
	if (query->setOperations)
	{
		if (query->limitCount || query->limitOffset)
			return NIL;
		return trace_part(level, query->setOperations, attno);
	}
	tle = get_tle_by_resno(query->targetList, attno);
	if (tle == NULL || tle->resjunk || !row_determined(query, tle))
		return NIL;
	return trace_expr(level, (Node *) tle->expr);
}

/* Is the column computed when it is read, so that changed rows lack it? */
static bool
is_virtual(Oid relid, AttrNumber attno)
{
	return get_attgenerated(relid, attno) == ATTRIBUTE_GENERATED_VIRTUAL;
}

/* A column of some item, as expressions over occurrences. */
static List *
trace_var(CkLevel *level, Var *var)
{
	RangeTblEntry *rte;

	for (Index i = 0; i < var->varlevelsup; i++)
	{
		level = level->parent;
		if (level == NULL)
			return NIL;
	}
	rte = rt_fetch(var->varno, level->query->rtable);
	if (level->occ[var->varno])
	{
		CkTraced	   *traced;

		if (var->varattno <= 0 || is_virtual(rte->relid, var->varattno))
			return NIL;
		traced = palloc(sizeof(CkTraced));
		traced->occ = level->occ[var->varno];
		traced->expr = (Node *) makeVar(1, var->varattno, var->vartype,
										var->vartypmod, var->varcollid, 0);
		return list_make1(traced);
	}
	if (level->sub[var->varno])
		return ck_graph_trace(level->sub[var->varno], var->varattno);
	if (rte->rtekind == RTE_JOIN && var->varattno > 0)
		return trace_expr(level, list_nth(rte->joinaliasvars, var->varattno - 1));
	return NIL;
}

typedef struct TraceContext
{
	CkLevel	   *level;
	CkOccurrence *occ;
	bool		failed;
} TraceContext;

/* Replaces each Var by what it is traced to, all of one occurrence. */
static Node *
trace_mutator(Node *node, void *arg)
{
	TraceContext *context = arg;

	if (node == NULL || context->failed)
		return node;
	if (IsA(node, Var))
	{
		List	   *traced = trace_var(context->level, (Var *) node);
		CkTraced	   *one;

		if (list_length(traced) != 1)
		{
			context->failed = true;
			return node;
		}
		one = linitial(traced);
		if (context->occ != NULL && context->occ != one->occ)
			context->failed = true;
		context->occ = one->occ;
		return one->expr;
	}
	if (IsA(node, SubLink) || IsA(node, Param) || IsA(node, Aggref) ||
		IsA(node, GroupingFunc) || IsA(node, WindowFunc) || IsA(node, Query))
	{
		context->failed = true;
		return node;
	}
	return expression_tree_mutator(node, trace_mutator, context);
}

/*
 * The expression as one over the columns of a single occurrence; with a
 * column of a set operation there is one for each arm.  NIL: there is none.
 */
static List *
trace_expr(CkLevel *level, Node *expr)
{
	TraceContext context = {level, NULL, false};
	CkTraced	   *traced;
	Node	   *mutated;

	if (IsA(expr, Var))
		return trace_var(level, (Var *) expr);
	mutated = trace_mutator(expr, &context);
	if (context.failed || context.occ == NULL)
		return NIL;
	/* a row made of NULLs by an outer join must not be equal to anything */
	if (context.occ->nullable && contain_nonstrict_functions(mutated))
		return NIL;
	traced = palloc(sizeof(CkTraced));
	traced->occ = context.occ;
	traced->expr = mutated;
	return list_make1(traced);
}

/* ---------------- edges ---------------- */

/* Is `inner` within every arm that `outer` is in? */
bool
ck_graph_within(List *outer, List *inner)
{
	return list_difference_int(outer, inner) == NIL;
}

static void
add_edge(CkGraph *graph, CkTraced *from, CkTraced *to, Oid opno, Oid collation)
{
	CkEdge	   *edge = NULL;
	CkEquality   *equality;
	ListCell   *lc;

	if (from->occ == to->occ || !ck_graph_within(to->occ->arms, from->occ->arms))
		return;
	foreach(lc, graph->edges)
	{
		edge = lfirst(lc);
		if (edge->from == from->occ && edge->to == to->occ)
			break;
		edge = NULL;
	}
	if (edge == NULL)
	{
		edge = palloc0(sizeof(CkEdge));
		edge->from = from->occ;
		edge->to = to->occ;
		graph->edges = lappend(graph->edges, edge);
	}
	equality = palloc(sizeof(CkEquality));
	equality->from = from->expr;
	equality->to = to->expr;
	equality->opno = opno;
	equality->collation = collation;
	edge->equalities = lappend(edge->equalities, equality);
}

static void
add_edges(CkGraph *graph, List *from, List *to, Oid opno, Oid collation)
{
	ListCell   *lc1;
	ListCell   *lc2;

	foreach(lc1, from)
		foreach(lc2, to)
			add_edge(graph, lfirst(lc1), lfirst(lc2), opno, collation);
}

/* "a = b", of a B-tree operator family; false: it is not that. */
static bool
match_equality(Node *node, Node **left, Node **right, Oid *opno, Oid *commutator,
			   Oid *collation)
{
	OpExpr	   *op = (OpExpr *) node;

	if (!IsA(node, OpExpr) || list_length(op->args) != 2)
		return false;
	*left = linitial(op->args);
	*right = lsecond(op->args);
	*opno = op->opno;
	*commutator = get_commutator(op->opno);
	*collation = op->inputcollid;
	return OidIsValid(*commutator) && op_mergejoinable(op->opno, exprType(*left)) &&
		op_strict(op->opno);
}

/* The range table index at this level that the operand comes from; 0: above. */
static int
operand_item(CkLevel *level, Node *operand)
{
	Relids		relids = pull_varnos(NULL, operand);
	int			item = 0;

	if (bms_membership(relids) == BMS_SINGLETON)
		item = bms_singleton_member(relids);
	return item;
}

/*
 * An equality among the conditions of a level.  nullable: NULL in WHERE and
 * inner joins, else the items of the outer join's nullable side.
 */
static void
note_equality(CkGraph *graph, CkLevel *level, Node *conjunct, Relids nullable)
{
	Node	   *left;
	Node	   *right;
	Oid			opno;
	Oid			commutator;
	Oid			collation;
	List	   *l;
	List	   *r;
	int			litem;
	int			ritem;
	bool		to_right;
	bool		to_left;

	if (!match_equality(conjunct, &left, &right, &opno, &commutator, &collation))
		return;
	l = trace_expr(level, left);
	r = trace_expr(level, right);
	if (l == NIL || r == NIL)
		return;
	litem = operand_item(level, left);
	ritem = operand_item(level, right);
	if (litem == 0 && ritem == 0)
		return;
	/* A side that is not of this level is only ever led to. */
	to_right = litem != 0 && (nullable == NULL || bms_is_member(litem, nullable));
	to_left = ritem != 0 && (nullable == NULL || bms_is_member(ritem, nullable));
	if (to_right)
		add_edges(graph, l, r, opno, collation);
	if (to_left)
		add_edges(graph, r, l, commutator, collation);
}

/* Can the traced expression not be NULL? */
static bool
never_null(List *traced)
{
	ListCell   *lc;

	foreach(lc, traced)
	{
		CkTraced	   *one = lfirst(lc);
		HeapTuple	tuple;
		bool		notnull;

		if (!IsA(one->expr, Var) || one->occ->nullable)
			return false;
		tuple = SearchSysCache2(ATTNUM, ObjectIdGetDatum(one->occ->relid),
								Int16GetDatum(((Var *) one->expr)->varattno));
		if (!HeapTupleIsValid(tuple))
			return false;
		notnull = ((Form_pg_attribute) GETSTRUCT(tuple))->attnotnull;
		ReleaseSysCache(tuple);
		if (!notnull)
			return false;
	}
	return traced != NIL;
}

/*
 * x = ANY (SELECT y ...): rows of the subquery matter to those x that are
 * equal.  As a condition NULL is as good as false; elsewhere NULLs would
 * matter to all x, or all y to an x that is NULL.
 */
static void
note_any_sublink(CkGraph *graph, CkLevel *level, CkLevel *sub, SubLink *link, bool condition)
{
	List	   *tests;
	ListCell   *lc;

	if (link->testexpr == NULL)
		return;
	tests = IsA(link->testexpr, BoolExpr) &&
		((BoolExpr *) link->testexpr)->boolop == AND_EXPR ?
		((BoolExpr *) link->testexpr)->args : list_make1(link->testexpr);
	foreach(lc, tests)
	{
		Node	   *left;
		Node	   *right;
		Oid			opno;
		Oid			commutator;
		Oid			collation;
		List	   *outer;
		List	   *inner;

		if (!match_equality(lfirst(lc), &left, &right, &opno, &commutator, &collation))
			continue;
		while (IsA(right, RelabelType))
			right = (Node *) ((RelabelType *) right)->arg;
		if (!IsA(right, Param) || ((Param *) right)->paramkind != PARAM_SUBLINK)
			continue;
		outer = trace_expr(level, left);
		inner = ck_graph_trace(sub, ((Param *) right)->paramid);
		if (outer == NIL || inner == NIL)
			continue;
		if (condition || (never_null(outer) && never_null(inner)))
			add_edges(graph, inner, outer, commutator, collation);
	}
}

typedef struct SublinkContext
{
	CkGraph	   *graph;
	CkLevel	   *level;
	List	   *conditions;		/* sublinks that are conjuncts of WHERE */
} SublinkContext;

static bool
sublink_walker(Node *node, void *arg)
{
	SublinkContext *context = arg;

	if (node == NULL)
		return false;
	if (IsA(node, SubLink))
	{
		SubLink    *link = (SubLink *) node;
		CkLevel	   *sub = make_level(context->graph, (Query *) link->subselect,
									 context->level, false, context->level->arms);

		if (link->subLinkType == ANY_SUBLINK)
			note_any_sublink(context->graph, context->level, sub, link,
							 list_member_ptr(context->conditions, link));
		return sublink_walker(link->testexpr, arg);
	}
	if (IsA(node, Query))
		return false;			/* levels of their own */
	return expression_tree_walker(node, sublink_walker, arg);
}

/* Every sublink of a query, wherever it stands; subqueries are not entered. */
static void
walk_sublinks(Query *query, SublinkContext *context)
{
	ListCell   *lc;

	(void) sublink_walker((Node *) query->targetList, context);
	(void) sublink_walker((Node *) query->jointree, context);
	(void) sublink_walker(query->havingQual, context);
	(void) sublink_walker(query->limitCount, context);
	(void) sublink_walker(query->limitOffset, context);
	(void) sublink_walker((Node *) query->windowClause, context);
	foreach(lc, query->rtable)
	{
		RangeTblEntry *rte = lfirst_node(RangeTblEntry, lc);

		(void) sublink_walker((Node *) rte->functions, context);
		(void) sublink_walker((Node *) rte->values_lists, context);
		(void) sublink_walker((Node *) rte->tablefunc, context);
	}
}

/* ---------------- levels ---------------- */

static void
find_items(Node *node, Relids *items)
{
	ListCell   *lc;

	if (IsA(node, RangeTblRef))
		*items = bms_add_member(*items, ((RangeTblRef *) node)->rtindex);
	else if (IsA(node, FromExpr))
	{
		foreach(lc, ((FromExpr *) node)->fromlist)
			find_items(lfirst(lc), items);
	}
	else
	{
		find_items(((JoinExpr *) node)->larg, items);
		find_items(((JoinExpr *) node)->rarg, items);
	}
}

/* Fills level->nullable. */
static void
find_nullable(CkLevel *level, Node *node)
{
	ListCell   *lc;

	if (IsA(node, FromExpr))
	{
		foreach(lc, ((FromExpr *) node)->fromlist)
			find_nullable(level, lfirst(lc));
	}
	else if (IsA(node, JoinExpr))
	{
		JoinExpr   *join = (JoinExpr *) node;

		find_nullable(level, join->larg);
		find_nullable(level, join->rarg);
		if (join->jointype == JOIN_LEFT || join->jointype == JOIN_FULL)
			find_items(join->rarg, &level->nullable);
		if (join->jointype == JOIN_RIGHT || join->jointype == JOIN_FULL)
			find_items(join->larg, &level->nullable);
	}
}

static void
note_conditions(CkGraph *graph, CkLevel *level, Node *quals, Relids nullable,
				SublinkContext *sublinks)
{
	List	   *conjuncts = make_ands_implicit((Expr *) quals);
	ListCell   *lc;

	foreach(lc, conjuncts)
	{
		note_equality(graph, level, lfirst(lc), nullable);
		if (nullable == NULL && IsA(lfirst(lc), SubLink))
			sublinks->conditions = lappend(sublinks->conditions, lfirst(lc));
	}
}

/* The conditions of the join tree. */
static void
walk_join_tree(CkGraph *graph, CkLevel *level, Node *node, SublinkContext *sublinks)
{
	ListCell   *lc;

	if (IsA(node, FromExpr))
	{
		foreach(lc, ((FromExpr *) node)->fromlist)
			walk_join_tree(graph, level, lfirst(lc), sublinks);
		note_conditions(graph, level, ((FromExpr *) node)->quals, NULL, sublinks);
	}
	else if (IsA(node, JoinExpr))
	{
		JoinExpr   *join = (JoinExpr *) node;
		Relids		nullable = NULL;

		walk_join_tree(graph, level, join->larg, sublinks);
		walk_join_tree(graph, level, join->rarg, sublinks);
		if (join->jointype == JOIN_FULL)
			return;
		if (join->jointype == JOIN_LEFT)
			find_items(join->rarg, &nullable);
		else if (join->jointype == JOIN_RIGHT)
			find_items(join->larg, &nullable);
		note_conditions(graph, level, join->quals, nullable, sublinks);
	}
}

static void
add_occurrence(CkGraph *graph, CkLevel *level, int rti, RangeTblEntry *rte, List *arms)
{
	CkOccurrence *occ = palloc0(sizeof(CkOccurrence));

	occ->id = list_length(graph->occurrences) + 1;
	occ->relid = rte->relid;
	occ->inh = rte->inh;
	occ->nullable = level->inner_nullable || bms_is_member(rti, level->nullable);
	occ->arms = arms;
	graph->occurrences = lappend(graph->occurrences, occ);
	level->occ[rti] = occ;
}

/* What a view selects, as it was analysed; a copy. */
Query *
ck_denorm_view_query(Oid relid)
{
	Relation	view = table_open(relid, AccessShareLock);
	Query	   *result = copyObject(get_view_query(view));

	table_close(view, NoLock);
	return result;
}

/* The common table expression of an entry, and the level that defines it. */
static Query *
cte_query(CkLevel *level, RangeTblEntry *rte, CkLevel **definer)
{
	ListCell   *lc;

	for (Index i = 0; i < rte->ctelevelsup && level; i++)
		level = level->parent;
	*definer = level;
	if (level == NULL)
		return NULL;
	foreach(lc, level->query->cteList)
	{
		CommonTableExpr *cte = lfirst_node(CommonTableExpr, lc);

		if (strcmp(cte->ctename, rte->ctename) == 0)
			return castNode(Query, cte->ctequery);
	}
	return NULL;
}

static void
add_item(CkGraph *graph, CkLevel *level, int rti, List *arms)
{
	RangeTblEntry *rte = rt_fetch(rti, level->query->rtable);
	bool		nullable = level->inner_nullable || bms_is_member(rti, level->nullable);
	CkLevel	   *definer;
	Query	   *cte;

	switch (rte->rtekind)
	{
		case RTE_RELATION:
			if (rte->relkind == RELKIND_VIEW)
				level->sub[rti] = make_level(graph, ck_denorm_view_query(rte->relid), level,
											 nullable, arms);
			else
				add_occurrence(graph, level, rti, rte, arms);
			break;
		case RTE_SUBQUERY:
			level->sub[rti] = make_level(graph, rte->subquery, level, nullable, arms);
			break;
		case RTE_CTE:
			cte = cte_query(level, rte, &definer);
			if (cte == NULL || rte->self_reference)
				ereport(ERROR,
						(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
						 errmsg("WITH RECURSIVE is not supported in denormalized tables")));
			level->sub[rti] = make_level(graph, cte, definer, nullable, arms);
			break;
		default:				/* joins, functions, VALUES: no source */
			break;
	}
}

static void
add_items(CkGraph *graph, CkLevel *level, Node *node)
{
	Relids		items = NULL;
	int			rti = -1;

	find_items(node, &items);
	while ((rti = bms_next_member(items, rti)) >= 0)
		add_item(graph, level, rti, level->arms);
}

static void
add_arms(CkGraph *graph, CkLevel *level, Node *node)
{
	if (IsA(node, SetOperationStmt))
	{
		add_arms(graph, level, ((SetOperationStmt *) node)->larg);
		add_arms(graph, level, ((SetOperationStmt *) node)->rarg);
	}
	else
		add_item(graph, level, ((RangeTblRef *) node)->rtindex,
				 lappend_int(list_copy(level->arms), ++graph->next_arm));
}

/* Take a query apart; its occurrences and edges go to the graph. */
static CkLevel *
make_level(CkGraph *graph, Query *query, CkLevel *parent, bool nullable, List *arms)
{
	CkLevel	   *level = palloc0(sizeof(CkLevel));
	SublinkContext sublinks = {graph, level, NIL};
	int			n;

	CHECK_FOR_INTERRUPTS();
	if (++graph->depth > MAX_DEPTH)
		ereport(ERROR,
				(errcode(ERRCODE_STATEMENT_TOO_COMPLEX),
				 errmsg("query of a denormalized table is nested too deeply")));
	query = copyObject(query);
	level->query = query;
	level->parent = parent;
	level->inner_nullable = nullable;
	level->arms = arms;
	n = list_length(query->rtable) + 1;
	level->sub = palloc0(n * sizeof(CkLevel *));
	level->occ = palloc0(n * sizeof(CkOccurrence *));
	if (query->setOperations)
		add_arms(graph, level, query->setOperations);
	else
	{
		query->targetList = (List *) CkFlattenJoinAliases(query, (Node *) query->targetList);
		query->havingQual = CkFlattenJoinAliases(query, query->havingQual);
		query->jointree = (FromExpr *) CkFlattenJoinAliases(query, (Node *) query->jointree);
		find_nullable(level, (Node *) query->jointree);
		add_items(graph, level, (Node *) query->jointree);
		walk_join_tree(graph, level, (Node *) query->jointree, &sublinks);
		walk_sublinks(query, &sublinks);
	}
	graph->depth--;
	return level;
}

/* Take a query apart.  The graph is zeroed before. */
CkLevel *
ck_graph_make(CkGraph *graph, Query *query)
{
	return make_level(graph, query, NULL, false, NIL);
}

/* ---------------- what is asked of a query ---------------- */

/* The tables that a query reads, through views as well, each once. */
List *
ck_denorm_relations(Query *query)
{
	CkGraph		graph = {0};
	List	   *result = NIL;
	ListCell   *lc;

	(void) ck_graph_make(&graph, query);
	foreach(lc, graph.occurrences)
		result = list_append_unique_oid(result, ((CkOccurrence *) lfirst(lc))->relid);
	return result;
}

/* Can provably no column of the key be NULL? */
bool
ck_denorm_not_null(Query *query, List *key)
{
	CkGraph		graph = {0};
	CkLevel	   *top = ck_graph_make(&graph, query);
	ListCell   *lc;

	foreach(lc, key)
		if (!never_null(ck_graph_trace(top, lfirst_int(lc))))
			return false;
	return true;
}
