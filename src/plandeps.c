/*-------------------------------------------------------------------------
 *
 * plandeps.c
 *	  What a result depends on, read off the plan that computes it.
 *
 * A result depends on the rows of a table that its plan's scans let pass.  A
 * scan whose conditions say "key = constant" lets no other row pass, whatever
 * stands above it; joins, subqueries, views, outer joins, what is equal to
 * what: all that has been settled by the planner.  doc/validity.md has the
 * argument.  The rules are:
 *
 *	- A scan is *fixed* by a key if its conditions, all of which must hold,
 *	  contain an equality of every column of the key with values that are
 *	  known here: constants, parameters of the query, arrays of them.  Values
 *	  that are worked out during execution do not count.
 *	- Equality is what the hash operator family of the column's type calls so,
 *	  under a deterministic collation.  The hash functions of one family agree
 *	  about values of different types.
 *	- A table depends on keys if every entry of the range table that stands for
 *	  it, or a member of its partition tree, is scanned, and every scan of
 *	  these is fixed.  An entry that is not scanned has been proved not to
 *	  matter with the help of constraints, which writes of other rows may take
 *	  part in; an entry of a partitioned table is scanned when some partition is.
 *	- If the query names the table only once, one fixed scan suffices: entries
 *	  without a scan are then others of the same reference, such as the
 *	  planner leaves behind when it answers min() and max() by an index.
 *	- Whatever is not understood (foreign and custom scans, TABLESAMPLE, new
 *	  kinds of nodes) fixes nothing.
 *
 * Otherwise the result depends on the whole table.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/hash.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "nodes/pathnodes.h"
#include "parser/parsetree.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/typcache.h"

#include "cells.h"
#include "compat.h"
#include "debug_point.h"
#include "keys.h"
#include "plandeps.h"

#define MAX_VALUES		32		/* keys of one table that a result depends on */
#define MAX_SHOWN		40		/* bytes of a value in descriptions */

/* A column that is equal to one of some values. */
typedef struct Fixed
{
	char	   *column;
	FmgrInfo	hash;			/* of the values */
	Oid			type;
	int			nvalues;		/* without nulls: these equal nothing */
	Datum	   *values;
} Fixed;

/* What is known of one entry of the range table. */
typedef struct Scanned
{
	bool		scanned;
	bool		free;			/* some scan is not fixed */
} Scanned;

/* The keys that a table's scans are fixed to. */
typedef struct Chosen
{
	int			nhashes;
	uint64		hashes[MAX_VALUES];
	char	   *shown[MAX_VALUES];
} Chosen;

typedef struct Walk
{
	const PlannedStmt *plan;
	const CkQuery *query;
	ParamListInfo params;
	Scanned    *entries;		/* by range table index */
	Oid		   *roots;			/* the same; InvalidOid: no table with keys */
	Chosen	   *chosen;			/* by position in query->keyed */
	bool		opaque;			/* some node may scan what we do not see */
	bool		outer_join;
} Walk;

/* ---------------- conditions ---------------- */

static Node *
strip_relabel(Node *node)
{
	while (node && IsA(node, RelabelType))
		node = (Node *) ((RelabelType *) node)->arg;
	return node;
}

/* The value of a constant or of a parameter from outside; false: neither. */
static bool
known_value(Node *node, ParamListInfo params, Datum *value, bool *isnull)
{
	node = strip_relabel(node);
	if (node && IsA(node, Const))
	{
		*value = ((Const *) node)->constvalue;
		*isnull = ((Const *) node)->constisnull;
		return true;
	}
	if (node && IsA(node, Param) && ((Param *) node)->paramkind == PARAM_EXTERN)
	{
		int			id = ((Param *) node)->paramid;
		ParamExternData data;
		ParamExternData *param;

		if (params == NULL || id <= 0 || id > params->numParams)
			return false;
		if (params->paramFetch)
			param = params->paramFetch(params, id, false, &data);
		else
			param = &params->params[id - 1];
		if (param->ptype != ((Param *) node)->paramtype)
			return false;
		*value = param->value;
		*isnull = param->isnull;
		return true;
	}
	return false;
}

/*
 * The column of the scanned table that an expression is, or NULL.  Index-only
 * scans name the columns of their index.
 */
static char *
scan_column(Node *node, Scan *scan, List *indextlist, Oid relid, Oid *type)
{
	Var		   *var = (Var *) strip_relabel(node);

	if (var && IsA(var, Var) && var->varno == INDEX_VAR)
	{
		TargetEntry *entry = get_tle_by_resno(indextlist, var->varattno);

		var = entry ? (Var *) entry->expr : NULL;
	}
	if (var == NULL || !IsA(var, Var) || var->varno != (int) scan->scanrelid ||
		var->varattno <= 0)
		return NULL;
	*type = var->vartype;
	return get_attname(relid, var->varattno, true);
}

/*
 * How to hash the other side of an equality with a column of type `column`;
 * false: the operator is not this type's equality.
 */
static bool
equality_hash(Oid operator, Oid collation, Oid column, bool column_left,
			  FmgrInfo *hash)
{
	TypeCacheEntry *entry = lookup_type_cache(getBaseType(column),
											  TYPECACHE_HASH_OPFAMILY);
	int			strategy;
	Oid			left;
	Oid			right;
	Oid			function;

	if (!OidIsValid(entry->hash_opf) ||
		!op_in_opfamily(operator, entry->hash_opf))
		return false;
	if (OidIsValid(collation) && !get_collation_isdeterministic(collation))
		return false;
	get_op_opfamily_properties(operator, entry->hash_opf, false,
							   &strategy, &left, &right);
	if (left == right)
		return ck_keys_hash_function(column, hash, CurrentMemoryContext);
	function = get_opfamily_proc(entry->hash_opf, column_left ? right : left,
								 column_left ? right : left, HASHEXTENDED_PROC);
	if (!OidIsValid(function))
		return false;
	fmgr_info(function, hash);
	return true;
}

static Fixed *
make_fixed(char *column, Oid type, int room)
{
	Fixed	   *fixed = palloc0(sizeof(Fixed));

	fixed->column = column;
	fixed->type = type;
	fixed->values = palloc(Max(room, 1) * sizeof(Datum));
	return fixed;
}

static Fixed *
fixed_by_operator(OpExpr *op, Scan *scan, List *indextlist, Oid relid, ParamListInfo params)
{
	for (int side = 0; side < 2 && list_length(op->args) == 2; side++)
	{
		Node	   *other = list_nth(op->args, 1 - side);
		Oid			type;
		char	   *column = scan_column(list_nth(op->args, side), scan,
										 indextlist, relid, &type);
		Datum		value;
		bool		isnull;
		Fixed	   *fixed;

		if (column == NULL || !known_value(other, params, &value, &isnull))
			continue;
		fixed = make_fixed(column, exprType(other), 1);
		if (!equality_hash(op->opno, op->inputcollid, type, side == 0, &fixed->hash))
			return NULL;
		if (!isnull)
			fixed->values[fixed->nvalues++] = value;
		return fixed;
	}
	return NULL;
}

static bool
array_values(Datum array, Oid element, Fixed *fixed)
{
	ArrayType  *a = DatumGetArrayTypeP(array);
	int16		len;
	bool		byval;
	char		align;
	Datum	   *values;
	bool	   *nulls;
	int			n;

	if (ARR_ELEMTYPE(a) != element)
		return false;
	if (ArrayGetNItems(ARR_NDIM(a), ARR_DIMS(a)) > MAX_VALUES)
		return false;
	get_typlenbyvalalign(element, &len, &byval, &align);
	deconstruct_array(a, element, len, byval, align, &values, &nulls, &n);
	for (int i = 0; i < n; i++)
		if (!nulls[i])
			fixed->values[fixed->nvalues++] = values[i];
	return true;
}

/* column = ANY (array) */
static Fixed *
fixed_by_array(ScalarArrayOpExpr *op, Scan *scan, List *indextlist, Oid relid,
			   ParamListInfo params)
{
	Node	   *array = strip_relabel(lsecond(op->args));
	Oid			element = get_base_element_type(exprType(array));
	Oid			type;
	char	   *column = scan_column(linitial(op->args), scan, indextlist, relid, &type);
	Fixed	   *fixed;
	Datum		value;
	bool		isnull;

	if (!op->useOr || column == NULL || !OidIsValid(element))
		return NULL;
	fixed = make_fixed(column, element, MAX_VALUES);
	if (!equality_hash(op->opno, op->inputcollid, type, true, &fixed->hash))
		return NULL;
	if (IsA(array, ArrayExpr))
	{
		ListCell   *lc;

		if (((ArrayExpr *) array)->multidims ||
			list_length(((ArrayExpr *) array)->elements) > MAX_VALUES)
			return NULL;
		foreach(lc, ((ArrayExpr *) array)->elements)
		{
			if (!known_value(lfirst(lc), params, &value, &isnull))
				return NULL;
			if (!isnull)
				fixed->values[fixed->nvalues++] = value;
		}
		return fixed;
	}
	if (!known_value(array, params, &value, &isnull))
		return NULL;
	if (!isnull && !array_values(value, element, fixed))
		return NULL;
	return fixed;
}

/* Add what a list of conditions, all of which must hold, fixes. */
static List *
add_fixed(List *result, List *quals, Scan *scan, List *indextlist, Oid relid,
		  ParamListInfo params)
{
	ListCell   *lc;

	foreach(lc, quals)
	{
		Node	   *node = lfirst(lc);
		Fixed	   *fixed = NULL;

		if (IsA(node, OpExpr))
			fixed = fixed_by_operator((OpExpr *) node, scan, indextlist, relid, params);
		else if (IsA(node, ScalarArrayOpExpr))
			fixed = fixed_by_array((ScalarArrayOpExpr *) node, scan, indextlist,
								   relid, params);
		else if (is_andclause(node))
			result = add_fixed(result, ((BoolExpr *) node)->args, scan, indextlist,
							   relid, params);
		if (fixed)
			result = lappend(result, fixed);
	}
	return result;
}

/* ---------------- keys ---------------- */

/* The fixing of a column with the fewest values, or NULL. */
static Fixed *
find_fixed(List *fixed, const char *column)
{
	Fixed	   *best = NULL;
	ListCell   *lc;

	foreach(lc, fixed)
	{
		Fixed	   *f = lfirst(lc);

		if (strcmp(f->column, column) == 0 &&
			(best == NULL || f->nvalues < best->nvalues))
			best = f;
	}
	return best;
}

static void
append_value(StringInfo buf, Oid type, Datum value)
{
	Oid			output;
	bool		varlena;
	char	   *text;
	int			len;

	getTypeOutputInfo(type, &output, &varlena);
	text = OidOutputFunctionCall(output, value);
	len = pg_mbcliplen(text, strlen(text), MAX_SHOWN);
	appendBinaryStringInfo(buf, text, len);
	if (text[len] != '\0')
		appendStringInfoString(buf, "...");
}

static bool
choose(Chosen *chosen, uint64 hash, char *shown)
{
	for (int i = 0; i < chosen->nhashes; i++)
		if (chosen->hashes[i] == hash)
			return true;
	if (chosen->nhashes == MAX_VALUES)
		return false;
	chosen->hashes[chosen->nhashes] = hash;
	chosen->shown[chosen->nhashes++] = shown;
	return true;
}

/* Every combination of the values of the columns from `at` on. */
static bool
choose_combinations(Fixed **columns, const CkKeyDef *key, int at, uint64 hash,
					const char *shown, Chosen *chosen)
{
	Fixed	   *fixed = columns[at];

	for (int i = 0; i < fixed->nvalues; i++)
	{
		StringInfoData buf;
		uint64		h = ck_keys_hash_value(hash, &fixed->hash, fixed->values[i]);
		bool		done;

		initStringInfo(&buf);
		appendStringInfo(&buf, "%s%s%s=", shown, at > 0 ? ", " : "", fixed->column);
		append_value(&buf, fixed->type, fixed->values[i]);
		if (at + 1 == list_length(key->columns))
			done = choose(chosen, h, buf.data);
		else
			done = choose_combinations(columns, key, at + 1, h, buf.data, chosen);
		if (!done)
			return false;
	}
	return true;
}

/* Is the scan fixed by this key?  Then add its values. */
static bool
use_key(const CkKeyDef *key, Oid root, List *fixed, Chosen *chosen)
{
	Fixed	  **columns = palloc(list_length(key->columns) * sizeof(Fixed *));
	int			n = 0;
	ListCell   *lc;

	foreach(lc, key->columns)
	{
		columns[n] = find_fixed(fixed, lfirst(lc));
		if (columns[n] == NULL)
			return false;
		if (columns[n++]->nvalues == 0)
			return true;		/* nothing equals null */
	}
	return choose_combinations(columns, key, 0, ck_keys_hash_start(root, key),
							   "", chosen);
}

/* ---------------- scans ---------------- */

static int
keyed_position(const CkQuery *query, Oid root)
{
	ListCell   *lc;

	foreach(lc, query->keyed)
		if (((CkKeyed *) lfirst(lc))->root == root)
			return foreach_current_index(lc);
	return -1;
}

/* Do all of the query's tables of this root have the key? */
static bool
common_key(const CkQuery *query, Oid root, const CkKeyDef *key)
{
	ListCell   *lc;

	foreach(lc, query->keyed)
	{
		CkKeyed    *keyed = lfirst(lc);

		if (keyed->root == root && ck_keys_find(keyed->keys, key) == NULL)
			return false;
	}
	return true;
}

/* The first key that fixes the scan. */
static bool
use_some_key(Walk *walk, Oid root, List *fixed)
{
	int			position = keyed_position(walk->query, root);
	CkKeyed    *keyed = list_nth(walk->query->keyed, position);
	ListCell   *lc;

	foreach(lc, keyed->keys)
	{
		Chosen		before = walk->chosen[position];

		if (common_key(walk->query, root, lfirst(lc)) &&
			use_key(lfirst(lc), root, fixed, &walk->chosen[position]))
			return true;
		walk->chosen[position] = before;
	}
	return false;
}

/* A scan of a table, with its conditions. */
static void
visit_scan(Walk *walk, Scan *scan, List *quals, List *more, List *indextlist)
{
	Index		rti = scan->scanrelid;
	RangeTblEntry *rte;
	List	   *fixed;

	if (rti == 0 || !OidIsValid(walk->roots[rti]))
		return;
	rte = rt_fetch(rti, walk->plan->rtable);
	fixed = add_fixed(NIL, quals, scan, indextlist, rte->relid, walk->params);
	fixed = add_fixed(fixed, more, scan, indextlist, rte->relid, walk->params);
	walk->entries[rti].scanned = true;
	if (!use_some_key(walk, walk->roots[rti], fixed))
		walk->entries[rti].free = true;
}

static void visit_plan(Walk *walk, Plan *plan);

static void
visit_plans(Walk *walk, List *plans)
{
	ListCell   *lc;

	foreach(lc, plans)
		visit_plan(walk, lfirst(lc));
}

static void
visit_plan(Walk *walk, Plan *plan)
{
	if (plan == NULL)
		return;
	check_stack_depth();
	switch (nodeTag(plan))
	{
		case T_SeqScan:
			visit_scan(walk, (Scan *) plan, plan->qual, NIL, NIL);
			break;
		case T_IndexScan:
			visit_scan(walk, (Scan *) plan, plan->qual,
					   ((IndexScan *) plan)->indexqualorig, NIL);
			break;
		case T_IndexOnlyScan:
			visit_scan(walk, (Scan *) plan, plan->qual,
					   ((IndexOnlyScan *) plan)->recheckqual,
					   ((IndexOnlyScan *) plan)->indextlist);
			break;
		case T_BitmapHeapScan:	/* what is below it reads indexes only */
			visit_scan(walk, (Scan *) plan, plan->qual,
					   ((BitmapHeapScan *) plan)->bitmapqualorig, NIL);
			return;
		case T_TidScan:
		case T_TidRangeScan:
		case T_SampleScan:
			visit_scan(walk, (Scan *) plan, NIL, NIL, NIL);
			break;
		case T_ForeignScan:
		case T_CustomScan:
			walk->opaque = true;
			break;
		case T_Append:
			visit_plans(walk, ((Append *) plan)->appendplans);
			break;
		case T_MergeAppend:
			visit_plans(walk, ((MergeAppend *) plan)->mergeplans);
			break;
		case T_SubqueryScan:
			visit_plan(walk, ((SubqueryScan *) plan)->subplan);
			break;
		case T_NestLoop:
		case T_MergeJoin:
		case T_HashJoin:
			if (IS_OUTER_JOIN(((Join *) plan)->jointype))
				walk->outer_join = true;
			break;
		default:
			break;
	}
	visit_plan(walk, plan->lefttree);
	visit_plan(walk, plan->righttree);
}

/* ---------------- the whole ---------------- */

static void
find_roots(Walk *walk)
{
	ListCell   *lc;

	foreach(lc, walk->plan->rtable)
	{
		RangeTblEntry *rte = lfirst(lc);
		Oid			root;

		if (rte->rtekind != RTE_RELATION ||
			(rte->relkind != RELKIND_RELATION && rte->relkind != RELKIND_PARTITIONED_TABLE))
			continue;
		root = ck_keys_root(rte->relid);
		if (keyed_position(walk->query, root) >= 0)
			walk->roots[foreach_current_index(lc) + 1] = root;
	}
}

/* Does the range table entry stand for partitions that have entries, too? */
static bool
has_children(const PlannedStmt *plan, Index rti)
{
	ListCell   *lc;

	foreach(lc, plan->appendRelations)
		if (((AppendRelInfo *) lfirst(lc))->parent_relid == rti)
			return true;
	return false;
}

/* Do the result's scans of this root's tables see rows of the keys only? */
static bool
depends_on_keys(Walk *walk, Oid root)
{
	CkKeyed    *keyed = list_nth(walk->query->keyed, keyed_position(walk->query, root));
	bool		once = keyed->nreferences == 1 && !walk->opaque;
	bool		seen = false;

	for (Index rti = 1; rti <= list_length(walk->plan->rtable); rti++)
	{
		const Scanned *entry = &walk->entries[rti];

		if (walk->roots[rti] != root)
			continue;
		if (entry->free)
			return CK_FAULTY(CK_FAULT_OUTER_AS_INNER) && walk->outer_join;
		if (!entry->scanned && !once && !has_children(walk->plan, rti))
			return false;
		seen |= entry->scanned;
	}
	return seen;
}

static bool
add_cell(CkPlanDeps *result, uint32 cell)
{
	for (int i = 0; i < result->ncells; i++)
		if (result->cells[i] == cell)
			return true;
	if (result->ncells == CK_MAX_DEPS)
		return false;
	result->cells[result->ncells++] = cell;
	return true;
}

/* As long as there is room; the last one that has none is shown as "...". */
static void
add_text(CkPlanDeps *result, Oid relid, const char *shown)
{
	int			room = CK_MAX_KEYS_TEXT - result->textlen;
	int			need = 8 + strlen(shown) + 1;

	if (need + 12 > room)
	{
		if (room < 12)
			return;
		shown = "...";
		need = 12;
	}
	snprintf(result->text + result->textlen, need, "%08X%s", relid, shown);
	result->textlen += need;
}

static bool
add_keyed(Walk *walk, const CkKeyed *keyed, CkPlanDeps *result)
{
	const Chosen *chosen = &walk->chosen[keyed_position(walk->query, keyed->root)];
	ListCell   *lc;

	if (!depends_on_keys(walk, keyed->root))
	{
		foreach(lc, keyed->deps)
			if (!add_cell(result, ck_cell_of(CK_DEP_RELATION, MyDatabaseId, lfirst_oid(lc))))
				return false;
		return true;
	}
	for (int i = 0; i < chosen->nhashes; i++)
	{
		if (!add_cell(result, ck_keys_cell(chosen->hashes[i])))
			return false;
		add_text(result, keyed->relid, chosen->shown[i]);
	}
	if (chosen->nhashes == 0)
		add_text(result, keyed->relid, "none");
	return add_cell(result, ck_keys_bulk_cell(keyed->root));
}

/* ---------------- for those who watch ---------------- */

/* As in SQL, qualified where need be; its number if it is gone. */
static char *
shown_name(Oid relid)
{
	char	   *name = get_rel_name(relid);

	if (name == NULL)
		return psprintf("%u", relid);
	if (RelationIsVisible(relid))
		return pstrdup(quote_identifier(name));
	return quote_qualified_identifier(get_namespace_name(get_rel_namespace(relid)), name);
}

/* Add "table(key)" for each description of keys of a table. */
static List *
add_shown(List *names, Oid relid, const char *text, int textlen)
{
	for (int at = 0; at < textlen; at += strlen(text + at) + 1)
	{
		char		digits[9];

		strlcpy(digits, text + at, sizeof(digits));
		if (strtoul(digits, NULL, 16) == relid)
			names = lappend(names, psprintf("%s(%s)", shown_name(relid), text + at + 8));
	}
	return names;
}

/*
 * What a result depends on, in words (char *): its relations, and the
 * description of keys that ck_plandeps() made.
 */
List *
ck_plandeps_names(List *relations, const char *text, int textlen)
{
	List	   *names = NIL;
	ListCell   *lc;

	foreach(lc, relations)
	{
		int			before = list_length(names);

		names = add_shown(names, lfirst_oid(lc), text, textlen);
		if (list_length(names) == before)
			names = lappend(names, shown_name(lfirst_oid(lc)));
	}
	return names;
}

/* The same as text[]. */
ArrayType *
ck_plandeps_array(List *names)
{
	ArrayBuildState *result = initArrayResult(TEXTOID, CurrentMemoryContext, false);
	ListCell   *lc;

	foreach(lc, names)
		result = accumArrayResult(result, CStringGetTextDatum(lfirst(lc)), false,
								  TEXTOID, CurrentMemoryContext);
	return DatumGetArrayTypeP(makeArrayResult(result, CurrentMemoryContext));
}

/* ---------------- entry point ---------------- */

/*
 * The cells that the result of `plan`, a plan of `query`, depends on, those of
 * tables without keys included.  false: they are too many.  The segment must
 * be attached, and the tables locked as running the plan does.
 */
bool
ck_plandeps(const PlannedStmt *plan, ParamListInfo params, const CkQuery *query,
			CkPlanDeps *result)
{
	int			nentries = list_length(plan->rtable) + 1;
	Walk		walk = {0};
	ListCell   *lc;

	walk.plan = plan;
	walk.query = query;
	walk.params = params;
	walk.entries = palloc0(nentries * sizeof(Scanned));
	walk.roots = palloc0(nentries * sizeof(Oid));
	walk.chosen = palloc0(Max(list_length(query->keyed), 1) * sizeof(Chosen));
	find_roots(&walk);
	visit_plan(&walk, plan->planTree);
	visit_plans(&walk, plan->subplans);

	result->textlen = 0;
	result->ncells = query->ncells;
	memcpy(result->cells, query->cells, query->ncells * sizeof(uint32));
	foreach(lc, query->keyed)
		if (!add_keyed(&walk, lfirst(lc), result))
			return false;
	return true;
}
