/*-------------------------------------------------------------------------
 *
 * depwalk.c
 *	  What a query reads, and every reason why it may not be cached.
 *
 * Works on the query after analysis and rewriting, where views are expanded
 * and row-security quals are in place.  Functions are refused by default:
 * immutable ones pass; of the stable ones those built-in functions pass whose
 * result is determined by their arguments and by settings that are part of an
 * entry's identity (fingerprint.c); volatile ones never do.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/sysattr.h"
#include "access/transam.h"
#include "access/tupdesc.h"
#include "catalog/pg_aggregate.h"
#include "catalog/pg_class.h"
#include "catalog/pg_language.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "nodes/execnodes.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parsetree.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/regproc.h"
#include "utils/syscache.h"
#include "utils/typcache.h"

#include "catalogs.h"
#include "compat.h"
#include "depwalk.h"

/*
 * Built-in stable functions that are determined by arguments and captured
 * settings, by name; overloads that are immutable do not matter here.  Sorted.
 * Left out on purpose: input functions of date and time types ('now'), casts
 * that fill in the current date, whatever looks into catalogs by name.
 */
static const char *const determined[] = {
	"anytextcat", "array_out", "array_to_json", "array_to_string", "cash_in",
	"cash_out", "concat", "concat_ws", "convert", "convert_from",
	"convert_to", "date", "date_cmp_timestamptz", "date_eq_timestamptz",
	"date_ge_timestamptz", "date_gt_timestamptz", "date_le_timestamptz",
	"date_lt_timestamptz", "date_ne_timestamptz", "date_out", "date_part",
	"date_trunc", "enum_first", "enum_in", "enum_last", "enum_out",
	"enum_range", "extract", "format", "generate_series", "in_range",
	"interval_in", "interval_out", "interval_pl_timestamptz", "json_agg",
	"json_agg_transfn", "json_build_array", "json_build_object",
	"json_object_agg", "json_object_agg_transfn", "jsonb_agg",
	"jsonb_agg_finalfn", "jsonb_agg_transfn", "jsonb_build_array",
	"jsonb_build_object", "jsonb_object_agg", "jsonb_object_agg_finalfn",
	"jsonb_object_agg_transfn", "jsonb_path_exists_tz", "jsonb_path_match_tz",
	"jsonb_path_query_array_tz", "jsonb_path_query_first_tz",
	"jsonb_path_query_tz", "length", "make_timestamptz", "money",
	"multirange_out", "numeric", "phraseto_tsquery", "plainto_tsquery",
	"quote_literal", "quote_nullable", "range_out", "record_out",
	"row_to_json", "textanycat", "time", "timestamp",
	"timestamp_cmp_timestamptz", "timestamp_eq_timestamptz",
	"timestamp_ge_timestamptz", "timestamp_gt_timestamptz",
	"timestamp_le_timestamptz", "timestamp_lt_timestamptz",
	"timestamp_ne_timestamptz", "timestamp_out", "timestamptz",
	"timestamptz_cmp_date", "timestamptz_cmp_timestamp",
	"timestamptz_eq_date", "timestamptz_eq_timestamp", "timestamptz_ge_date",
	"timestamptz_ge_timestamp", "timestamptz_gt_date",
	"timestamptz_gt_timestamp", "timestamptz_le_date",
	"timestamptz_le_timestamp", "timestamptz_lt_date",
	"timestamptz_lt_timestamp", "timestamptz_mi_interval",
	"timestamptz_ne_date", "timestamptz_ne_timestamp", "timestamptz_out",
	"timestamptz_pl_interval", "to_char", "to_date", "to_json", "to_jsonb",
	"to_number", "to_timestamp", "to_tsquery", "to_tsvector", "ts_headline",
	"websearch_to_tsquery", "xml_out"
};

typedef struct WalkState
{
	CkDepends  *result;
	List	   *types;			/* Oids seen as types of expressions */
	bool		makes_text;		/* some stable function calls output functions */
	bool		stable;			/* some function is stable, not determined */
	bool		row_security;	/* some policy applies */
} WalkState;

/* Add a reason, once. */
void
ck_depwalk_reason(CkDepends *result, bool never, char *text)
{
	CkReason   *reason;
	ListCell   *lc;

	foreach(lc, result->reasons)
		if (strcmp(((CkReason *) lfirst(lc))->text, text) == 0)
			return;
	reason = palloc(sizeof(CkReason));
	reason->never = never;
	reason->text = text;
	result->reasons = lappend(result->reasons, reason);
}

/* ---------------- types ---------------- */

/*
 * May the text form of a type's values depend on something that is not
 * captured?  The reg* types look names up; types of users that are not base
 * types are taken apart.
 */
static bool
unsafe_text(Oid type)
{
	char		typtype = get_typtype(type);
	Oid			element;
	Oid			output;
	bool		varlena;

	if (type == RECORDOID || type == UNKNOWNOID || type == InvalidOid)
		return false;			/* its parts are looked at on their own */
	if (type < FirstNormalObjectId)
	{
		element = get_element_type(type);
		if (OidIsValid(element))
			type = element;
		return type == REGPROCOID || type == REGPROCEDUREOID ||
			type == REGOPEROID || type == REGOPERATOROID ||
			type == REGCLASSOID || type == REGCOLLATIONOID ||
			type == REGTYPEOID || type == REGROLEOID ||
			type == REGNAMESPACEOID || type == REGCONFIGOID ||
			type == REGDICTIONARYOID || type == ACLITEMOID;
	}
	element = get_element_type(type);
	if (OidIsValid(element))
		return unsafe_text(element);
	if (typtype == TYPTYPE_DOMAIN)
		return unsafe_text(getBaseType(type));
	if (typtype == TYPTYPE_RANGE)
		return unsafe_text(get_range_subtype(type));
	if (typtype == TYPTYPE_MULTIRANGE)
		return unsafe_text(get_multirange_range(type));
	if (typtype == TYPTYPE_COMPOSITE)
	{
		TupleDesc	desc = lookup_rowtype_tupdesc_copy(type, -1);

		return ck_depwalk_unsafe_text(desc);
	}
	if (typtype == TYPTYPE_ENUM)
		return false;
	getTypeOutputInfo(type, &output, &varlena);
	return func_volatile(output) != PROVOLATILE_IMMUTABLE;
}

/* Does a row of this shape have text that depends on more than the row? */
bool
ck_depwalk_unsafe_text(TupleDesc desc)
{
	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);

		if (!att->attisdropped && unsafe_text(att->atttypid))
			return true;
	}
	return false;
}

/* Is there a column of anonymous row type (its layout is known locally only)? */
bool
ck_depwalk_has_record(TupleDesc desc)
{
	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);

		if (!att->attisdropped &&
			(att->atttypid == RECORDOID || att->atttypid == RECORDARRAYOID))
			return true;
	}
	return false;
}

/* ---------------- functions ---------------- */

static int
compare_names(const void *a, const void *b)
{
	return strcmp((const char *) a, *(const char *const *) b);
}

static bool
is_determined(Oid function)
{
	char	   *name;

	if (function >= FirstNormalObjectId)
		return false;
	name = get_func_name(function);
	return name != NULL &&
		bsearch(name, determined, lengthof(determined), sizeof(char *),
				compare_names) != NULL;
}

static bool visit_function(Oid function, void *context);

/* An aggregate is as stable as its functions, whatever its own row says. */
static void
visit_aggregate(Oid aggregate, WalkState *state)
{
	HeapTuple	tuple = SearchSysCache1(AGGFNOID, ObjectIdGetDatum(aggregate));
	Form_pg_aggregate form;

	if (!HeapTupleIsValid(tuple))
		return;
	form = (Form_pg_aggregate) GETSTRUCT(tuple);
	(void) visit_function(form->aggtransfn, state);
	(void) visit_function(form->aggfinalfn, state);
	(void) visit_function(form->aggcombinefn, state);
	(void) visit_function(form->aggserialfn, state);
	(void) visit_function(form->aggdeserialfn, state);
	(void) visit_function(form->aggmtransfn, state);
	(void) visit_function(form->aggminvtransfn, state);
	(void) visit_function(form->aggmfinalfn, state);
	ReleaseSysCache(tuple);
}

/*
 * May the function call others, with the rights of who runs the query?  Then
 * one user's result is not another's: the other may lack these rights.
 */
static bool
calls_as_user(Oid function)
{
	HeapTuple	tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
	Form_pg_proc form;
	bool		result;

	if (!HeapTupleIsValid(tuple))
		return true;
	form = (Form_pg_proc) GETSTRUCT(tuple);
	result = !form->prosecdef && form->prolang != INTERNALlanguageId &&
		form->prolang != ClanguageId;
	ReleaseSysCache(tuple);
	return result;
}

/* Callback of check_functions_in_node(); also for lone functions. */
static bool
visit_function(Oid function, void *context)
{
	WalkState  *state = context;
	CkDepends  *result = state->result;

	if (!OidIsValid(function) || list_member_oid(result->functions, function))
		return false;
	result->functions = lappend_oid(result->functions, function);
	if (function >= FirstNormalObjectId &&
		get_func_prokind(function) == PROKIND_AGGREGATE)
		visit_aggregate(function, state);
	if (function >= FirstNormalObjectId && calls_as_user(function))
		result->uses_role = true;
	switch (func_volatile(function))
	{
		case PROVOLATILE_IMMUTABLE:
			break;
		case PROVOLATILE_STABLE:
			if (is_determined(function))
				state->makes_text = true;
			else
			{
				state->stable = true;
				result->uses_role = true;
				result->uses_path = true;
				ck_depwalk_reason(result, false,
								  psprintf("function %s is stable",
										   format_procedure(function)));
			}
			break;
		default:
			ck_depwalk_reason(result, true,
							  psprintf("function %s is volatile",
									   format_procedure(function)));
			break;
	}
	return false;
}

static void
visit_operator(Oid operator, WalkState *state)
{
	if (OidIsValid(operator))
		(void) visit_function(get_opcode(operator), state);
}

static void
visit_sort_clauses(List *clauses, WalkState *state)
{
	ListCell   *lc;

	foreach(lc, clauses)
	{
		SortGroupClause *clause = lfirst_node(SortGroupClause, lc);

		visit_operator(clause->eqop, state);
		visit_operator(clause->sortop, state);
	}
}

/* ---------------- relations ---------------- */

static void
visit_relation(RangeTblEntry *rte, WalkState *state)
{
	CkDepends  *result = state->result;
	char	   *name;

	/* A view's own entry stays for the sake of permissions only. */
	if (rte->relkind == RELKIND_VIEW)
		return;
	name = get_rel_name(rte->relid);
	if (rte->tablesample)
		ck_depwalk_reason(result, false, psprintf("TABLESAMPLE of %s", name));
	if (get_rel_persistence(rte->relid) == RELPERSISTENCE_TEMP)
		ck_depwalk_reason(result, true, psprintf("temporary table %s", name));
	else if (rte->relid < FirstNormalObjectId)
		ck_depwalk_reason(result, false, psprintf("system catalog %s", name));
	else if (rte->relkind == RELKIND_SEQUENCE)
		ck_depwalk_reason(result, false, psprintf("sequence %s", name));
	else if (rte->relkind == RELKIND_FOREIGN_TABLE)
		ck_depwalk_reason(result, false, psprintf("foreign table %s", name));
	else
	{
		result->relations = list_append_unique_oid(result->relations, rte->relid);
		result->references = lappend_oid(result->references, rte->relid);
	}
}

static void
visit_rtes(Query *query, WalkState *state)
{
	ListCell   *lc;

	foreach(lc, query->rtable)
	{
		RangeTblEntry *rte = lfirst_node(RangeTblEntry, lc);

		CkKeepPermission(query, rte, &state->result->permissions,
						 &state->result->perminfos);
		if (rte->securityQuals != NIL)
			state->row_security = true;
		if (rte->rtekind == RTE_RELATION)
			visit_relation(rte, state);
		else if (rte->rtekind == RTE_NAMEDTUPLESTORE)
			ck_depwalk_reason(state->result, true,
							  psprintf("transition table %s", rte->enrname));
	}
}

/* ---------------- the walk ---------------- */

static bool walk(Node *node, void *context);

static bool
visit_query(Query *query, WalkState *state)
{
	ListCell   *lc;

	if (query->rowMarks != NIL)
		ck_depwalk_reason(state->result, true, "locking clause");
	visit_rtes(query, state);
	visit_sort_clauses(query->sortClause, state);
	visit_sort_clauses(query->groupClause, state);
	visit_sort_clauses(query->distinctClause, state);
	foreach(lc, query->windowClause)
	{
		WindowClause *window = lfirst_node(WindowClause, lc);

		visit_sort_clauses(window->partitionClause, state);
		visit_sort_clauses(window->orderClause, state);
	}
	return query_tree_walker(query, walk, state, 0);
}

static void
visit_sql_value(SQLValueFunction *value, WalkState *state)
{
	switch (value->op)
	{
		case SVFOP_CURRENT_ROLE:
		case SVFOP_CURRENT_USER:
		case SVFOP_USER:
		case SVFOP_SESSION_USER:
			state->result->uses_role = true;
			break;
		case SVFOP_CURRENT_CATALOG:
		case SVFOP_CURRENT_SCHEMA:
			ck_depwalk_reason(state->result, false,
							  "current_catalog or current_schema");
			break;
		default:
			ck_depwalk_reason(state->result, false, "current date or time");
			break;
	}
}

/*
 * current_setting('name'): the value is part of the key.  true: it is that.
 */
static bool
visit_setting(Node *node, WalkState *state)
{
	FuncExpr   *call = (FuncExpr *) node;
	Const	   *name;
	char	   *string;
	ListCell   *lc;

	if (!IsA(node, FuncExpr) ||
		(call->funcid != F_CURRENT_SETTING_TEXT &&
		 call->funcid != F_CURRENT_SETTING_TEXT_BOOL))
		return false;
	name = linitial(call->args);
	if (!IsA(name, Const) || name->constisnull)
	{
		ck_depwalk_reason(state->result, true,
						  "current_setting() of a name that is not constant");
		return true;
	}
	string = TextDatumGetCString(name->constvalue);
	foreach(lc, state->result->settings)
		if (strcmp(lfirst(lc), string) == 0)
			return true;
	state->result->settings = lappend(state->result->settings, string);
	return true;
}

static void
visit_var(Var *var, WalkState *state)
{
	if (var->varattno < 0 && var->varattno != TableOidAttributeNumber)
		ck_depwalk_reason(state->result, false, "system column");
}

/* What the constraints of a domain call when a value becomes one of it. */
static void
visit_domain(Oid type, WalkState *state)
{
	DomainConstraintRef *ref = palloc0(sizeof(DomainConstraintRef));
	ListCell   *lc;

	ck_catalogs_watch_types();
	/* the context calls back about it when it is reset */
	InitDomainConstraintRef(type, ref, CurrentMemoryContext, false);
	foreach(lc, ref->constraints)
		(void) walk((Node *) ((DomainConstraintState *) lfirst(lc))->check_expr, state);
}

/* Expression nodes that check_functions_in_node() skips. */
static void
visit_json(Node *node, WalkState *state)
{
	Oid			type = CkJsonQueryType(node);
	Oid			input;
	Oid			ioparam;

	if (CkIsJsonConstructor(node))
		state->makes_text = true;
	if (!OidIsValid(type))
		return;
	getTypeInputInfo(type, &input, &ioparam);
	(void) visit_function(input, state);
	if (contain_mutable_functions(node))
		ck_depwalk_reason(state->result, false, "SQL/JSON expression");
}

static bool
has_type(Node *node)
{
	switch (nodeTag(node))
	{
		case T_Var:
		case T_Const:
		case T_Param:
		case T_FuncExpr:
		case T_OpExpr:
		case T_RelabelType:
		case T_CoerceViaIO:
		case T_ArrayCoerceExpr:
		case T_ConvertRowtypeExpr:
		case T_Aggref:
		case T_WindowFunc:
		case T_FieldSelect:
		case T_ArrayExpr:
		case T_RowExpr:
		case T_SubscriptingRef:
		case T_FieldStore:
		case T_MinMaxExpr:
		case T_NullIfExpr:
		case T_CaseExpr:
		case T_CoalesceExpr:
		case T_CoerceToDomain:
			return true;
		default:
			return false;
	}
}

static bool
walk(Node *node, void *context)
{
	WalkState  *state = context;

	if (node == NULL)
		return false;
	if (IsA(node, Query))
		return visit_query((Query *) node, state);
	if (has_type(node))
		state->types = list_append_unique_oid(state->types, exprType(node));
	if (IsA(node, Var))
		visit_var((Var *) node, state);
	else if (IsA(node, SQLValueFunction))
		visit_sql_value((SQLValueFunction *) node, state);
	else if (IsA(node, CoerceToDomain))
		visit_domain(((CoerceToDomain *) node)->resulttype, state);
	else if (IsA(node, NextValueExpr))
		ck_depwalk_reason(state->result, true, "nextval");
	else if (!visit_setting(node, state))
	{
		(void) check_functions_in_node(node, visit_function, state);
		visit_json(node, state);
	}
	return expression_tree_walker(node, walk, state);
}

/*
 * Fill *result for a rewritten query.  Everything is allocated in the current
 * memory context.
 */
void
ck_depwalk(Query *query, CkDepends *result)
{
	WalkState	state = {result, NIL, false, false, false};
	ListCell   *lc;

	memset(result, 0, sizeof(*result));
	(void) walk((Node *) query, &state);
	foreach(lc, state.types)
		if (lfirst_oid(lc) >= FirstNormalObjectId)
			result->types = lappend_oid(result->types, lfirst_oid(lc));
	if (state.row_security && state.stable)
		ck_depwalk_reason(result, true, "row security and a stable function");
	if (!state.makes_text)
		return;
	foreach(lc, state.types)
		if (unsafe_text(lfirst_oid(lc)))
			ck_depwalk_reason(result, false,
							  psprintf("text of type %s depends on catalogs",
									   format_type_be(lfirst_oid(lc))));
}

/* ---------------- literals ---------------- */

static bool
is_resolved_name(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, Query))
		return query_tree_walker((Query *) node, is_resolved_name, context, 0);
	if (IsA(node, Const))
		return ((Const *) node)->consttype == REGCLASSOID ||
			((Const *) node)->consttype == REGTYPEOID;
	return expression_tree_walker(node, is_resolved_name, context);
}

/*
 * Are there names of relations or types in literals ('t'::regclass), which the
 * analysis has resolved?
 */
bool
ck_depwalk_names_in_literals(Query *query)
{
	return query_tree_walker(query, is_resolved_name, NULL, 0);
}
