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
 * What the query joins, and by which equalities, is a graph of occurrences of
 * tables and edges between them: see denorm_graph.c.
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

#include "access/htup_details.h"
#include "catalog/pg_operator.h"
#include "common/hashfn.h"
#include "lib/stringinfo.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parsetree.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/ruleutils.h"
#include "utils/syscache.h"
#include "utils/typcache.h"

#include "denorm_graph.h"
#include "denorm_paths.h"

#define MAX_RANKS	64			/* where paths run in circles there is no end */

/* A key column is this expression of that occurrence. */
typedef struct Anchor
{
	int			column;
	CkOccurrence *occ;
	Node	   *expr;
	List	   *arms;			/* good only for occurrences within these */
} Anchor;

/* ---------------- anchors ---------------- */

static bool
add_anchor(CkGraph *graph, int column, CkOccurrence *occ, Node *expr, List *arms)
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
same_as_key(CkEquality *equality)
{
	Oid			type = exprType(equality->from);

	return type == exprType(equality->to) &&
		exprCollation(equality->from) == exprCollation(equality->to) &&
		equality->opno == lookup_type_cache(type, TYPECACHE_EQ_OPR)->eq_opr;
}

/* What is equal to an anchor at the end of an edge is one at its start. */
static void
spread_anchors(CkGraph *graph)
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
			CkEdge	   *edge = lfirst(lc1);
			List	   *anchors = list_copy(graph->anchors);

			foreach(lc2, edge->equalities)
			{
				CkEquality   *equality = lfirst(lc2);

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
find_anchors(CkGraph *graph, CkLevel *top, List *key)
{
	ListCell   *lc;

	foreach(lc, key)
	{
		List	   *traced = ck_graph_trace(top, lfirst_int(lc));
		ListCell   *lc2;

		foreach(lc2, traced)
		{
			CkTraced	   *one = lfirst(lc2);

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
	CkOccurrence *occ;
	CkEdge	   *by;				/* the last edge; NULL: it is the start */
	struct Reached *before;
	int			depth;
} Reached;

static bool
is_reached(List *reached, CkOccurrence *occ)
{
	ListCell   *lc;

	foreach(lc, reached)
		if (((Reached *) lfirst(lc))->occ == occ)
			return true;
	return false;
}

/* All that edges lead to, the nearest first. */
static List *
reach(CkGraph *graph, CkOccurrence *start)
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
			CkEdge	   *edge = lfirst(lc);
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
nearest_anchor(CkGraph *graph, CkOccurrence *start, List *reached, int column, Reached **where)
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
				ck_graph_within(anchor->arms, start->arms))
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
alias_of(CkOccurrence *occ, CkOccurrence *start)
{
	return occ == start ? pstrdup("d") : psprintf("r%d", occ->id);
}

/* With casts, since the value is to have the type that the expression has. */
static char *
expression_text(Node *expr, CkOccurrence *occ, CkOccurrence *start)
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
append_from(StringInfo buf, List *ends, CkOccurrence *start)
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
			CkEquality   *equality = lfirst(lc2);

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
edge_salt(CkEdge *edge)
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
		CkEquality   *equality = lfirst(lc);

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
make_lock(CkEdge *edge, bool entering, Reached *way, CkOccurrence *start, int round)
{
	CkDenormLock *lock = palloc0(sizeof(CkDenormLock));
	CkOccurrence *side = entering ? edge->to : edge->from;
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
		CkEquality   *equality = lfirst(lc);
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
	CkOccurrence *occ;
	List	   *anchors;		/* Anchor, one for each column of the key */
	List	   *ends;			/* Reached, likewise */
	List	   *columns;		/* int: columns that have an anchor */
} Route;

static Route *
make_plan(CkGraph *graph, CkOccurrence *occ, List *key)
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

	for (int pass = 0; more && pass < MAX_RANKS; pass++)
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
										 -((CkEdge *) lfirst(lc))->rank));
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
	CkGraph		graph = {0};
	CkLevel	   *top = ck_graph_make(&graph, query);
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
