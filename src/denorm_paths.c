/*-------------------------------------------------------------------------
 *
 * denorm_paths.c
 *	  Which rows of a denormalized table does a changed source row concern?
 *
 * The target of a query Q has key columns.  When rows of a source change, all
 * target rows whose key is among some set K are computed again.  K must have
 * the keys of every row of Q's result, before or after the change, on which a
 * changed row has influence; more of them cost time only.
 *
 * Levels.  Q is taken apart into levels: a level is a query with its FROM
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
 * Paths.  If a chain of edges leads from an occurrence to expressions that
 * the key columns are traced to, K is found by joining the changed rows along
 * the chain, and nothing else: other conditions could only make K smaller.
 * An expression at the end of an edge is replaced by the one at its start
 * where they are of one type, so most paths are of length zero ("local").
 * Key columns are traced to occurrences that are not nullable by outer joins,
 * since a row that loses its partner turns up with other keys.  The columns
 * that can be reached from all occurrences are the scope; an occurrence that
 * reaches none has no path, and the target is computed anew as a whole.
 *
 * Locks.  Keys found by joining with other tables may be missed when these
 * change at the same time.  Let w1 change a row x whose path leads over an
 * occurrence Y, and w2 a row y of it, neither seeing the other.  w1 locks, for
 * every edge of its path, the value f(x) with which it looks for partners; w2
 * locks g(y) for every edge by which anybody's path enters Y.  These are the
 * same if x and y belong together, so the second waits for the first, and
 * looks for its keys with a snapshot taken afterwards.  Paths are walked edge
 * by edge ("round"), each with a snapshot taken after the locks of the one
 * before.  If neither's path leads over the other's occurrence, both find all
 * of their common keys, and lock those.  Rounds are ordered by the way that is
 * left to the key, for entering an occurrence as for leaving it, so that
 * statements do not deadlock over edges.
 *
 * Catalog reads only.  All is allocated in the current memory context.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/sysattr.h"
#include "access/table.h"
#include "catalog/pg_class.h"
#include "catalog/pg_operator.h"
#include "common/hashfn.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/clauses.h"
#include "optimizer/optimizer.h"
#include "optimizer/tlist.h"
#include "parser/parse_coerce.h"
#include "parser/parse_relation.h"
#include "parser/parsetree.h"
#include "rewrite/rewriteHandler.h"
#include "rewrite/rewriteManip.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/ruleutils.h"
#include "utils/syscache.h"
#include "utils/typcache.h"

#include "compat.h"
#include "denorm_paths.h"

#define MAX_DEPTH	64			/* of levels */

typedef struct Level Level;

/* A table in FROM. */
typedef struct Occurrence
{
	int			id;
	Oid			relid;
	bool		inh;
	bool		nullable;		/* by an outer join, at its level or above */
	List	   *arms;			/* ids of the set operations' arms around it */
} Occurrence;

/* A query, once for each reference to it. */
struct Level
{
	Query	   *query;			/* without join aliases */
	Level	   *parent;
	Level	  **sub;			/* by range table index; NULL: not a query */
	Occurrence **occ;			/* by range table index; NULL: not a table */
	Relids		nullable;		/* range table indexes, by outer joins here */
	bool		inner_nullable;	/* the level itself is, in the one around it */
	List	   *arms;
};

/* An expression over one occurrence, whose Vars are of varno 1. */
typedef struct Traced
{
	Occurrence *occ;
	Node	   *expr;
} Traced;

typedef struct Equality
{
	Node	   *from;
	Node	   *to;
	Oid			opno;
	Oid			collation;
} Equality;

typedef struct Edge
{
	Occurrence *from;
	Occurrence *to;
	List	   *equalities;
	uint64		salt;
	int			rank;			/* greater than that of whatever follows it on a path */
} Edge;

/* A key column is this expression of that occurrence. */
typedef struct Anchor
{
	int			column;
	Occurrence *occ;
	Node	   *expr;
	List	   *arms;			/* good only for occurrences within these */
} Anchor;

typedef struct Graph
{
	List	   *occurrences;
	List	   *edges;
	List	   *anchors;
	int			next_arm;
	int			depth;
} Graph;

static Level *make_level(Graph *graph, Query *query, Level *parent,
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

static List *trace_expr(Level *level, Node *expr);
static List *trace_column(Level *level, AttrNumber attno);

/* Of the type and collation that a set operation gives to its column. */
static bool
coerce_traced(Traced *traced, Oid type, Oid collation)
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
trace_part(Level *level, Node *node, AttrNumber attno)
{
	SetOperationStmt *operation = (SetOperationStmt *) node;
	List	   *left;
	List	   *right;
	ListCell   *lc;

	if (IsA(node, RangeTblRef))
	{
		Level	   *arm = level->sub[((RangeTblRef *) node)->rtindex];

		return arm ? trace_column(arm, attno) : NIL;
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
static List *
trace_column(Level *level, AttrNumber attno)
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
trace_var(Level *level, Var *var)
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
		Traced	   *traced;

		if (var->varattno <= 0 || is_virtual(rte->relid, var->varattno))
			return NIL;
		traced = palloc(sizeof(Traced));
		traced->occ = level->occ[var->varno];
		traced->expr = (Node *) makeVar(1, var->varattno, var->vartype,
										var->vartypmod, var->varcollid, 0);
		return list_make1(traced);
	}
	if (level->sub[var->varno])
		return trace_column(level->sub[var->varno], var->varattno);
	if (rte->rtekind == RTE_JOIN && var->varattno > 0)
		return trace_expr(level, list_nth(rte->joinaliasvars, var->varattno - 1));
	return NIL;
}

typedef struct TraceContext
{
	Level	   *level;
	Occurrence *occ;
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
		Traced	   *one;

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
trace_expr(Level *level, Node *expr)
{
	TraceContext context = {level, NULL, false};
	Traced	   *traced;
	Node	   *mutated;

	if (IsA(expr, Var))
		return trace_var(level, (Var *) expr);
	mutated = trace_mutator(expr, &context);
	if (context.failed || context.occ == NULL)
		return NIL;
	/* a row made of NULLs by an outer join must not be equal to anything */
	if (context.occ->nullable && contain_nonstrict_functions(mutated))
		return NIL;
	traced = palloc(sizeof(Traced));
	traced->occ = context.occ;
	traced->expr = mutated;
	return list_make1(traced);
}

/* ---------------- edges ---------------- */

/* Is `inner` within every arm that `outer` is in? */
static bool
within_arms(List *outer, List *inner)
{
	return list_difference_int(outer, inner) == NIL;
}

static void
add_edge(Graph *graph, Traced *from, Traced *to, Oid opno, Oid collation)
{
	Edge	   *edge = NULL;
	Equality   *equality;
	ListCell   *lc;

	if (from->occ == to->occ || !within_arms(to->occ->arms, from->occ->arms))
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
		edge = palloc0(sizeof(Edge));
		edge->from = from->occ;
		edge->to = to->occ;
		graph->edges = lappend(graph->edges, edge);
	}
	equality = palloc(sizeof(Equality));
	equality->from = from->expr;
	equality->to = to->expr;
	equality->opno = opno;
	equality->collation = collation;
	edge->equalities = lappend(edge->equalities, equality);
}

static void
add_edges(Graph *graph, List *from, List *to, Oid opno, Oid collation)
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
operand_item(Level *level, Node *operand)
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
note_equality(Graph *graph, Level *level, Node *conjunct, Relids nullable)
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
		Traced	   *one = lfirst(lc);
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
note_any_sublink(Graph *graph, Level *level, Level *sub, SubLink *link, bool condition)
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
		inner = trace_column(sub, ((Param *) right)->paramid);
		if (outer == NIL || inner == NIL)
			continue;
		if (condition || (never_null(outer) && never_null(inner)))
			add_edges(graph, inner, outer, commutator, collation);
	}
}

typedef struct SublinkContext
{
	Graph	   *graph;
	Level	   *level;
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
		Level	   *sub = make_level(context->graph, (Query *) link->subselect,
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
find_nullable(Level *level, Node *node)
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
note_conditions(Graph *graph, Level *level, Node *quals, Relids nullable,
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
walk_join_tree(Graph *graph, Level *level, Node *node, SublinkContext *sublinks)
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
add_occurrence(Graph *graph, Level *level, int rti, RangeTblEntry *rte, List *arms)
{
	Occurrence *occ = palloc0(sizeof(Occurrence));

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
cte_query(Level *level, RangeTblEntry *rte, Level **definer)
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
add_item(Graph *graph, Level *level, int rti, List *arms)
{
	RangeTblEntry *rte = rt_fetch(rti, level->query->rtable);
	bool		nullable = level->inner_nullable || bms_is_member(rti, level->nullable);
	Level	   *definer;
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
add_items(Graph *graph, Level *level, Node *node)
{
	Relids		items = NULL;
	int			rti = -1;

	find_items(node, &items);
	while ((rti = bms_next_member(items, rti)) >= 0)
		add_item(graph, level, rti, level->arms);
}

static void
add_arms(Graph *graph, Level *level, Node *node)
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
static Level *
make_level(Graph *graph, Query *query, Level *parent, bool nullable, List *arms)
{
	Level	   *level = palloc0(sizeof(Level));
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
	level->sub = palloc0(n * sizeof(Level *));
	level->occ = palloc0(n * sizeof(Occurrence *));
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

/* ---------------- anchors ---------------- */

static bool
add_anchor(Graph *graph, int column, Occurrence *occ, Node *expr, List *arms)
{
	Anchor	   *anchor;
	ListCell   *lc;

	foreach(lc, graph->anchors)
	{
		anchor = lfirst(lc);
		if (anchor->column == column && anchor->occ == occ && equal(anchor->expr, expr))
			return false;
	}
	anchor = palloc(sizeof(Anchor));
	anchor->column = column;
	anchor->occ = occ;
	anchor->expr = expr;
	anchor->arms = arms;
	graph->anchors = lappend(graph->anchors, anchor);
	return true;
}

/* Does the operator say that values are the same, as keys are compared? */
static bool
same_as_key(Equality *equality)
{
	Oid			type = exprType(equality->from);

	return type == exprType(equality->to) &&
		exprCollation(equality->from) == exprCollation(equality->to) &&
		equality->opno == lookup_type_cache(type, TYPECACHE_EQ_OPR)->eq_opr;
}

/* What is equal to an anchor at the end of an edge is one at its start. */
static void
spread_anchors(Graph *graph)
{
	bool		more;

	do
	{
		ListCell   *lc1;
		ListCell   *lc2;
		ListCell   *lc3;

		more = false;
		foreach(lc1, graph->edges)
		{
			Edge	   *edge = lfirst(lc1);
			List	   *anchors = list_copy(graph->anchors);

			foreach(lc2, edge->equalities)
			{
				Equality   *equality = lfirst(lc2);

				if (!same_as_key(equality))
					continue;
				foreach(lc3, anchors)
				{
					Anchor	   *anchor = lfirst(lc3);

					if (anchor->occ == edge->to && equal(anchor->expr, equality->to))
						more |= add_anchor(graph, anchor->column, edge->from,
										   equality->from, anchor->arms);
				}
			}
		}
	} while (more);
}

static void
find_anchors(Graph *graph, Level *top, List *key)
{
	ListCell   *lc;

	foreach(lc, key)
	{
		List	   *traced = trace_column(top, lfirst_int(lc));
		ListCell   *lc2;

		foreach(lc2, traced)
		{
			Traced	   *one = lfirst(lc2);

			if (!one->occ->nullable)
				add_anchor(graph, lfirst_int(lc), one->occ, one->expr, one->occ->arms);
		}
	}
	spread_anchors(graph);
}

/* ---------------- paths ---------------- */

/* How an occurrence is reached from another. */
typedef struct Reached
{
	Occurrence *occ;
	Edge	   *by;				/* the last edge; NULL: it is the start */
	struct Reached *before;
	int			depth;
} Reached;

static bool
is_reached(List *reached, Occurrence *occ)
{
	ListCell   *lc;

	foreach(lc, reached)
		if (((Reached *) lfirst(lc))->occ == occ)
			return true;
	return false;
}

/* All that edges lead to, the nearest first. */
static List *
reach(Graph *graph, Occurrence *start)
{
	Reached    *first = palloc0(sizeof(Reached));
	List	   *reached = list_make1(first);

	first->occ = start;
	for (int i = 0; i < list_length(reached); i++)
	{
		Reached    *at = list_nth(reached, i);
		ListCell   *lc;

		foreach(lc, graph->edges)
		{
			Edge	   *edge = lfirst(lc);
			Reached    *next;

			if (edge->from != at->occ || is_reached(reached, edge->to))
				continue;
			next = palloc0(sizeof(Reached));
			next->occ = edge->to;
			next->by = edge;
			next->before = at;
			next->depth = at->depth + 1;
			reached = lappend(reached, next);
		}
	}
	return reached;
}

/* The nearest anchor of a column; NULL if there is none. */
static Anchor *
nearest_anchor(Graph *graph, Occurrence *start, List *reached, int column, Reached **where)
{
	ListCell   *lc1;
	ListCell   *lc2;

	foreach(lc1, reached)
	{
		Reached    *at = lfirst(lc1);

		foreach(lc2, graph->anchors)
		{
			Anchor	   *anchor = lfirst(lc2);

			if (anchor->column == column && anchor->occ == at->occ &&
				within_arms(anchor->arms, start->arms))
			{
				*where = at;
				return anchor;
			}
		}
	}
	return NULL;
}

/* ---------------- statements ---------------- */

static char *
alias_of(Occurrence *occ, Occurrence *start)
{
	return occ == start ? pstrdup("d") : psprintf("r%d", occ->id);
}

/* With casts, since the value is to have the type that the expression has. */
static char *
expression_text(Node *expr, Occurrence *occ, Occurrence *start)
{
	return deparse_expression(expr, deparse_context_for(alias_of(occ, start), occ->relid),
							  true, true);
}

/* An operator as SQL writes it, whatever the search path is. */
char *
ck_denorm_operator_text(Oid opno)
{
	HeapTuple	tuple = SearchSysCache1(OPEROID, ObjectIdGetDatum(opno));
	Form_pg_operator form = (Form_pg_operator) GETSTRUCT(tuple);
	char	   *result = psprintf("OPERATOR(%s.%s)",
								  quote_identifier(get_namespace_name(form->oprnamespace)),
								  NameStr(form->oprname));

	ReleaseSysCache(tuple);
	return result;
}

/* FROM the changed rows, joined along the way to each of `ends`. */
static void
append_from(StringInfo buf, List *ends, Occurrence *start)
{
	List	   *steps = NIL;
	ListCell   *lc;

	appendStringInfoString(buf, " FROM " CK_DENORM_DELTA " d");
	foreach(lc, ends)
	{
		List	   *way = NIL;

		for (Reached *at = lfirst(lc); at->by != NULL; at = at->before)
			way = lcons(at, way);
		steps = list_concat_unique_ptr(steps, way);
	}
	foreach(lc, steps)
	{
		Reached    *at = lfirst(lc);
		ListCell   *lc2;

		appendStringInfo(buf, " JOIN %s%s %s ON ", at->occ->inh ? "" : "ONLY ",
						 quote_qualified_identifier(get_namespace_name(get_rel_namespace(at->occ->relid)),
													get_rel_name(at->occ->relid)),
						 alias_of(at->occ, start));
		foreach(lc2, at->by->equalities)
		{
			Equality   *equality = lfirst(lc2);

			appendStringInfo(buf, "%s%s %s %s",
							 lc2 == list_head(at->by->equalities) ? "" : " AND ",
							 expression_text(equality->from, at->by->from, start),
							 ck_denorm_operator_text(equality->opno),
							 expression_text(equality->to, at->occ, start));
		}
	}
}

/* A number for the edge that is the same in all sessions. */
static uint64
edge_salt(Edge *edge)
{
	StringInfoData buf;
	ListCell   *lc;

	if (edge->salt != 0)
		return edge->salt;
	initStringInfo(&buf);
	appendStringInfo(&buf, "%d:%u %d:%u", edge->from->id, edge->from->relid,
					 edge->to->id, edge->to->relid);
	foreach(lc, edge->equalities)
	{
		Equality   *equality = lfirst(lc);

		appendStringInfo(&buf, " %s %u %s",
						 expression_text(equality->from, edge->from, NULL),
						 equality->opno,
						 expression_text(equality->to, edge->to, NULL));
	}
	edge->salt = hash_bytes_extended((unsigned char *) buf.data, buf.len, 0);
	return edge->salt;
}

/*
 * The values of one side of an edge.  entering: of its end, which is where
 * the changed rows are; else of its start, at the end of the way there.
 */
static CkDenormLock *
make_lock(Edge *edge, bool entering, Reached *way, Occurrence *start, int round)
{
	CkDenormLock *lock = palloc0(sizeof(CkDenormLock));
	Occurrence *side = entering ? edge->to : edge->from;
	StringInfoData buf;
	ListCell   *lc;

	lock->salt = edge_salt(edge);
	lock->round = round;
	lock->ncols = list_length(edge->equalities);
	lock->hashers = palloc0(lock->ncols * sizeof(Oid));
	lock->collations = palloc0(lock->ncols * sizeof(Oid));
	initStringInfo(&buf);
	appendStringInfoString(&buf, "SELECT");
	foreach(lc, edge->equalities)
	{
		Equality   *equality = lfirst(lc);
		int			i = foreach_current_index(lc);
		Oid			left;
		Oid			right;

		appendStringInfo(&buf, "%s %s", i ? "," : "",
						 expression_text(entering ? equality->to : equality->from,
										 side, start));
		lock->collations[i] = equality->collation;
		if (get_op_hash_functions(equality->opno, &left, &right))
			lock->hashers[i] = entering ? right : left;
	}
	append_from(&buf, way ? list_make1(way) : NIL, start);
	lock->sql = buf.data;
	return lock;
}

static int
compare_rounds(const ListCell *a, const ListCell *b)
{
	return ((CkDenormLock *) lfirst(a))->round - ((CkDenormLock *) lfirst(b))->round;
}

/* What one occurrence's changes lead to, before locks are known. */
typedef struct Route
{
	Occurrence *occ;
	List	   *anchors;		/* Anchor, one for each column of the key */
	List	   *ends;			/* Reached, likewise */
	List	   *columns;		/* int: columns that have an anchor */
} Route;

static Route *
make_plan(Graph *graph, Occurrence *occ, List *key)
{
	Route	   *route = palloc0(sizeof(Route));
	List	   *reached = reach(graph, occ);
	ListCell   *lc;

	route->occ = occ;
	foreach(lc, key)
	{
		Reached    *where = NULL;
		Anchor	   *anchor = nearest_anchor(graph, occ, reached, lfirst_int(lc), &where);

		if (anchor == NULL)
			continue;
		route->columns = lappend_int(route->columns, lfirst_int(lc));
		route->anchors = lappend(route->anchors, anchor);
		route->ends = lappend(route->ends, where);
	}
	return route;
}

/* The columns that all occurrences with a path can name. */
static List *
common_scope(List *plans, List *key)
{
	List	   *scope = list_copy(key);
	ListCell   *lc;

	foreach(lc, plans)
	{
		Route	   *route = lfirst(lc);

		if (list_intersection_int(scope, route->columns) != NIL)
			scope = list_intersection_int(scope, route->columns);
	}
	return scope;
}

/* Keep the anchors of the scope; none at all if one is missing. */
static void
restrict_plan(Route *route, List *scope)
{
	List	   *anchors = NIL;
	List	   *ends = NIL;
	ListCell   *lc;

	foreach(lc, scope)
	{
		for (int i = 0; i < list_length(route->columns); i++)
			if (list_nth_int(route->columns, i) == lfirst_int(lc))
			{
				anchors = lappend(anchors, list_nth(route->anchors, i));
				ends = lappend(ends, list_nth(route->ends, i));
			}
	}
	if (list_length(anchors) < list_length(scope))
		anchors = ends = NIL;
	route->anchors = anchors;
	route->ends = ends;
}

/* The edges of a plan's paths, as the Reached that they lead to. */
static List *
plan_steps(Route *route)
{
	List	   *steps = NIL;
	ListCell   *lc;

	foreach(lc, route->ends)
		for (Reached *at = lfirst(lc); at->by != NULL; at = at->before)
			steps = list_append_unique_ptr(steps, at);
	return steps;
}

/* The type without a length: "character" would be one of 1. */
static char *
type_text(Oid type)
{
	return format_type_extended(type, -1, FORMAT_TYPE_TYPEMOD_GIVEN |
								FORMAT_TYPE_FORCE_QUALIFY);
}

static char *
keys_statement(Route *route, Query *query)
{
	StringInfoData buf;
	ListCell   *lc;

	initStringInfo(&buf);
	appendStringInfoString(&buf, "SELECT DISTINCT");
	foreach(lc, route->anchors)
	{
		Anchor	   *anchor = lfirst(lc);

		Oid			type = exprType((Node *) get_tle_by_resno(query->targetList,
														  anchor->column)->expr);

		appendStringInfo(&buf, "%s CAST(%s AS %s)", foreach_current_index(lc) ? "," : "",
						 expression_text(anchor->expr, anchor->occ, route->occ),
						 type_text(type));
	}
	append_from(&buf, route->ends, route->occ);
	return buf.data;
}

/*
 * All statements lock edges in one order, the greatest rank first.  Where
 * paths run against each other there is none, and they may deadlock.
 */
static void
rank_edges(List *plans)
{
	bool		more = true;

	for (int pass = 0; more && pass < MAX_DEPTH; pass++)
	{
		ListCell   *lc;
		ListCell   *lc2;

		more = false;
		foreach(lc, plans)
			foreach(lc2, ((Route *) lfirst(lc))->ends)
				for (Reached *at = lfirst(lc2); at->by && at->before->by; at = at->before)
					if (at->before->by->rank <= at->by->rank)
					{
						at->before->by->rank = at->by->rank + 1;
						more = true;
					}
	}
}

/* When a step's edge is locked; in any case after the one before it. */
static int
step_round(Reached *at)
{
	int			round = -at->by->rank;

	return at->before->by ? Max(round, step_round(at->before) + 1) : round;
}

/* Locks for entering this occurrence, and for its own way. */
static List *
plan_locks(Route *route, List *plans)
{
	List	   *locks = NIL;
	List	   *entering = NIL;
	ListCell   *lc;
	ListCell   *lc2;

	foreach(lc, plans)
	{
		foreach(lc2, plan_steps(lfirst(lc)))
		{
			Reached    *at = lfirst(lc2);

			if (at->occ == route->occ)
				entering = list_append_unique_ptr(entering, at->by);
		}
	}
	foreach(lc, entering)
		locks = lappend(locks, make_lock(lfirst(lc), true, NULL, route->occ,
										 -((Edge *) lfirst(lc))->rank));
	foreach(lc, plan_steps(route))
	{
		Reached    *at = lfirst(lc);

		locks = lappend(locks, make_lock(at->by, false, at->before, route->occ,
										 step_round(at)));
	}
	list_sort(locks, compare_rounds);
	return locks;
}

/* Are all columns of the scope columns of the occurrence as they stand? */
static AttrNumber *
plain_columns(Route *route, Query *query)
{
	AttrNumber *result = palloc(list_length(route->anchors) * sizeof(AttrNumber));
	ListCell   *lc;

	foreach(lc, route->anchors)
	{
		Anchor	   *anchor = lfirst(lc);
		TargetEntry *tle = get_tle_by_resno(query->targetList, anchor->column);

		if (!IsA(anchor->expr, Var) ||
			exprType(anchor->expr) != exprType((Node *) tle->expr))
			return NULL;
		result[foreach_current_index(lc)] = ((Var *) anchor->expr)->varattno;
	}
	return result;
}

static CkDenormSource *
make_source(Route *route, List *plans, Query *query)
{
	CkDenormSource *source = palloc0(sizeof(CkDenormSource));

	source->relid = route->occ->relid;
	source->inh = route->occ->inh;
	if (route->anchors == NIL)
		source->full = "no equality leads from it to the key";
	else
	{
		source->keys_sql = keys_statement(route, query);
		source->local = plan_steps(route) == NIL;
		if (source->local)
			source->columns = plain_columns(route, query);
	}
	source->locks = plan_locks(route, plans);
	return source;
}

/*
 * Find, for each occurrence of a table in the query, how the keys that its
 * changes concern are found.  key: column numbers of the query's result.
 */
CkDenormPaths *
ck_denorm_paths(Query *query, List *key)
{
	CkDenormPaths *result = palloc0(sizeof(CkDenormPaths));
	Graph		graph = {0};
	Level	   *top = make_level(&graph, query, NULL, false, NIL);
	List	   *plans = NIL;
	ListCell   *lc;

	find_anchors(&graph, top, key);
	foreach(lc, graph.occurrences)
		plans = lappend(plans, make_plan(&graph, lfirst(lc), key));
	result->scope = common_scope(plans, key);
	foreach(lc, plans)
		restrict_plan(lfirst(lc), result->scope);
	rank_edges(plans);
	foreach(lc, plans)
	{
		CkDenormSource *source = make_source(lfirst(lc), plans, query);

		result->sources = lappend(result->sources, source);
		result->locks |= source->locks != NIL;
	}
	return result;
}

/* The tables that a query reads, through views as well, each once. */
List *
ck_denorm_relations(Query *query)
{
	Graph		graph = {0};
	List	   *result = NIL;
	ListCell   *lc;

	(void) make_level(&graph, query, NULL, false, NIL);
	foreach(lc, graph.occurrences)
		result = list_append_unique_oid(result, ((Occurrence *) lfirst(lc))->relid);
	return result;
}

/* Can provably no column of the key be NULL? */
bool
ck_denorm_not_null(Query *query, List *key)
{
	Graph		graph = {0};
	Level	   *top = make_level(&graph, query, NULL, false, NIL);
	ListCell   *lc;

	foreach(lc, key)
		if (!never_null(trace_column(top, lfirst_int(lc))))
			return false;
	return true;
}

/*
 * Is there provably one row for each value of the key?  True for what is
 * grouped, or made distinct, by a part of the key.
 */
bool
ck_denorm_unique(Query *query, List *key)
{
	List	   *clauses;
	ListCell   *lc;

	if (query->setOperations || query->groupingSets || query->hasTargetSRFs)
		return false;
	clauses = query->distinctClause ? query->distinctClause : query->groupClause;
	if (clauses == NIL)
		return query->hasAggs;
	foreach(lc, clauses)
	{
		TargetEntry *tle = get_sortgroupclause_tle(lfirst(lc), query->targetList);

		if (tle->resjunk || !list_member_int(key, tle->resno))
			return false;
	}
	return true;
}
