/*-------------------------------------------------------------------------
 *
 * denorm.c
 *	  Denormalized tables: making, checking and dropping them.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_type.h"
#include "commands/dbcommands.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "funcapi.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "parser/parser.h"
#include "storage/lmgr.h"
#include "tcop/tcopprot.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/inval.h"
#include "utils/json.h"
#include "utils/jsonb.h"
#include "utils/lsyscache.h"
#include "utils/regproc.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/varlena.h"

#include "activity.h"
#include "compat.h"
#include "denorm_graph.h"
#include "denorm_queue.h"
#include "denorm_refresh.h"
#include "denorm_trigger.h"
#include "segment.h"
#include "track.h"
#include "worker.h"

PG_FUNCTION_INFO_V1(cachekit_denorm_create);
PG_FUNCTION_INFO_V1(cachekit_denorm_drop);
PG_FUNCTION_INFO_V1(cachekit_denorm_refresh);
PG_FUNCTION_INFO_V1(cachekit_denorm_verify);
PG_FUNCTION_INFO_V1(cachekit_denorm_set_mode);
PG_FUNCTION_INFO_V1(cachekit_stat_denorm);
PG_FUNCTION_INFO_V1(cachekit_stat_progress);
PG_FUNCTION_INFO_V1(cachekit_stat_workers);

#define VIEW_SUFFIX		"_def"

/* ---------------- arguments ---------------- */

static void
require(FunctionCallInfo fcinfo, int n, const char *name)
{
	if (PG_ARGISNULL(n))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("%s must not be null", name)));
}

static CkDenormMode
mode_argument(FunctionCallInfo fcinfo, int n)
{
	char	   *name;

	require(fcinfo, n, "mode");
	name = text_to_cstring(PG_GETARG_TEXT_PP(n));
	for (int mode = CK_DENORM_IMMEDIATE; mode <= CK_DENORM_ASYNC; mode++)
		if (strcmp(name, ck_denorm_mode_name(mode)) == 0)
			return mode;
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("mode \"%s\" does not exist", name),
			 errhint("Modes are immediate, deferred and async.")));
	return CK_DENORM_IMMEDIATE;
}

static List *
key_argument(FunctionCallInfo fcinfo, int n)
{
	Datum	   *values;
	bool	   *nulls;
	int			nvalues;
	List	   *result = NIL;
	ListCell   *lc;

	require(fcinfo, n, "key");
	deconstruct_array(PG_GETARG_ARRAYTYPE_P(n), TEXTOID, -1, false, TYPALIGN_INT,
					  &values, &nulls, &nvalues);
	if (nvalues == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("key must have at least one column")));
	for (int i = 0; i < nvalues; i++)
	{
		char	   *name = nulls[i] ? NULL : TextDatumGetCString(values[i]);

		if (name == NULL)
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("element of key must not be null")));
		foreach(lc, result)
			if (strcmp(lfirst(lc), name) == 0)
				ereport(ERROR,
						(errcode(ERRCODE_DUPLICATE_COLUMN),
						 errmsg("key column \"%s\" is given twice", name)));
		result = lappend(result, name);
	}
	return result;
}

/* The existing target that argument 0 names; its owner is the caller. */
static CkDenorm *
target_argument(FunctionCallInfo fcinfo)
{
	CkDenorm   *denorm;

	ck_track_set_namespace(fcinfo->flinfo->fn_oid);
	require(fcinfo, 0, "target");
	denorm = ck_denorm_get(PG_GETARG_OID(0), false);
	if (!CkRelationOwnerCheck(denorm->target, GetUserId()))
		aclcheck_error(ACLCHECK_NOT_OWNER, OBJECT_TABLE, get_rel_name(denorm->target));
	return denorm;
}

/* ---------------- making ---------------- */

static void
execute(const char *sql)
{
	int			code = SPI_execute(sql, false, 0);

	if (code < 0)
		elog(ERROR, "could not execute \"%s\": %s", sql, SPI_result_code_string(code));
}

/* The query's text, which must be one SELECT; without what ends it. */
static char *
query_text(const char *text)
{
	List	   *parsed = pg_parse_query(text);
	RawStmt    *raw;
	char	   *result;

	if (list_length(parsed) != 1)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("the query of a denormalized table must be one statement"),
				 errdetail("There are %d.", list_length(parsed))));
	raw = linitial_node(RawStmt, parsed);
	if (!IsA(raw->stmt, SelectStmt) || ((SelectStmt *) raw->stmt)->intoClause)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("the query of a denormalized table must be a SELECT"),
				 errhint("Give a query that only reads.")));
	result = pstrdup(text + raw->stmt_location);
	if (raw->stmt_len > 0)
		result[raw->stmt_len] = '\0';
	return result;
}

/* Where the target is to be; an error if something is there. */
static RangeVar *
new_target(text *name)
{
	RangeVar   *target = makeRangeVarFromNameList(textToQualifiedNameList(name));
	Oid			schema = RangeVarGetCreationNamespace(target);

	if (isAnyTempNamespace(schema))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_TABLE_DEFINITION),
				 errmsg("a denormalized table can not be temporary")));
	target->schemaname = get_namespace_name(schema);
	if (OidIsValid(get_relname_relid(target->relname, schema)))
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_TABLE),
				 errmsg("relation \"%s\" already exists", target->relname),
				 errhint("denorm_create() makes the table itself.")));
	return target;
}

/* A free name for the view. */
static char *
view_name(RangeVar *target)
{
	Oid			schema = get_namespace_oid(target->schemaname, false);

	for (int i = 0;; i++)
	{
		char	   *suffix = i == 0 ? pstrdup(VIEW_SUFFIX) : psprintf(VIEW_SUFFIX "%d", i);
		int			len = pg_mbcliplen(target->relname, strlen(target->relname),
									   NAMEDATALEN - 1 - strlen(suffix));
		char	   *name = psprintf("%.*s%s", len, target->relname, suffix);

		if (!OidIsValid(get_relname_relid(name, schema)))
			return name;
	}
}

static List *
key_numbers(Oid view, List *key)
{
	List	   *result = NIL;
	ListCell   *lc;

	foreach(lc, key)
	{
		AttrNumber	attno = get_attnum(view, lfirst(lc));

		if (attno <= 0)
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_COLUMN),
					 errmsg("key column \"%s\" is not in the query's result",
							(char *) lfirst(lc))));
		result = lappend_int(result, attno);
	}
	return result;
}

static char *
quoted_list(List *names)
{
	StringInfoData buf;
	ListCell   *lc;

	initStringInfo(&buf);
	foreach(lc, names)
		appendStringInfo(&buf, "%s%s", buf.len ? ", " : "", quote_identifier(lfirst(lc)));
	return buf.data;
}

/* The key's index, and what replication identifies rows by. */
static void
add_index(CkDenorm *denorm, List *key, bool unique, bool not_null)
{
	char	   *table = ck_denorm_name(denorm->target);

	if (unique && not_null)
	{
		execute(psprintf("ALTER TABLE %s ADD PRIMARY KEY (%s)", table, quoted_list(key)));
		return;
	}
	if (unique)
		execute(psprintf("CREATE UNIQUE INDEX ON %s (%s) NULLS NOT DISTINCT", table,
						 quoted_list(key)));
	else
		execute(psprintf("CREATE INDEX ON %s (%s)", table, quoted_list(key)));
	execute(psprintf("ALTER TABLE %s REPLICA IDENTITY FULL", table));
}

/* Recompute by scope needs an index that begins with it. */
static bool
scope_is_prefix(CkDenorm *denorm)
{
	for (int i = 0; i < denorm->nscope; i++)
		if (denorm->scope_atts[i] != denorm->key[i])
			return false;
	return true;
}

static void
add_scope_index(CkDenorm *denorm)
{
	List	   *names = NIL;

	if (scope_is_prefix(denorm))
		return;
	for (int i = 0; i < denorm->nscope; i++)
		names = lappend(names, denorm->scope[i]->name);
	execute(psprintf("CREATE INDEX ON %s (%s)", ck_denorm_name(denorm->target),
					 quoted_list(names)));
}

/* Table and view, both empty of meaning; *view: its OID. */
static Oid
make_relations(RangeVar *name, const char *query, Oid *view)
{
	char	   *view_text = quote_qualified_identifier(name->schemaname, view_name(name));
	char	   *table_text = quote_qualified_identifier(name->schemaname, name->relname);
	Oid			schema = get_namespace_oid(name->schemaname, false);
	Oid			target;

	execute(psprintf("CREATE VIEW %s AS %s", view_text, query));
	execute(psprintf("CREATE TABLE %s AS SELECT * FROM %s WITH NO DATA", table_text,
					 view_text));
	*view = RangeVarGetRelid(makeRangeVarFromNameList(
								 textToQualifiedNameList(cstring_to_text(view_text))), NoLock, false);
	target = get_relname_relid(name->relname, schema);
	execute(psprintf("COMMENT ON VIEW %s IS %s", view_text,
					 quote_literal_cstr(psprintf("query of the denormalized table %s",
												 table_text))));
	return target;
}

/* Stop writers of all sources until the end of the transaction. */
static void
lock_sources(List *sources)
{
	ListCell   *lc;

	foreach(lc, sources)
		LockRelationOid(lfirst_oid(lc), ShareRowExclusiveLock);
	AcceptInvalidationMessages();
}

/*
 * denorm_create(target, query, key, mode, unique_key, attach) -> regclass
 */
Datum
cachekit_denorm_create(PG_FUNCTION_ARGS)
{
	CkDenormRow row = {0};
	CkDenorm   *denorm;
	RangeVar   *name;
	char	   *query;
	List	   *key_atts;
	Query	   *tree;
	bool		unique;

	ck_track_set_namespace(fcinfo->flinfo->fn_oid);
	require(fcinfo, 0, "target");
	require(fcinfo, 1, "query");
	row.key = key_argument(fcinfo, 2);
	row.mode = mode_argument(fcinfo, 3);
	row.attached = PG_ARGISNULL(5) || PG_GETARG_BOOL(5);
	query = query_text(text_to_cstring(PG_GETARG_TEXT_PP(1)));
	name = new_target(PG_GETARG_TEXT_PP(0));

	SPI_connect();
	row.target = make_relations(name, query, &row.view);
	key_atts = key_numbers(row.view, row.key);
	ck_denorm_check_query(row.view, key_atts);
	tree = ck_denorm_view_query(row.view);
	row.sources = ck_denorm_relations(tree);
	row.settings = ck_denorm_capture_settings();
	lock_sources(row.sources);
	ck_denorm_insert_row(&row);
	denorm = ck_denorm_get(row.target, false);
	if (row.attached)
		ck_denorm_attach(denorm);
	denorm = ck_denorm_get(row.target, false);
	(void) ck_denorm_build(denorm);
	unique = PG_ARGISNULL(4) ? ck_denorm_unique(tree, key_atts) : PG_GETARG_BOOL(4);
	add_index(denorm, row.key, unique, ck_denorm_not_null(tree, key_atts));
	add_scope_index(denorm);
	SPI_finish();
	PG_RETURN_OID(row.target);
}

/* denorm_drop(target, keep_table) */
Datum
cachekit_denorm_drop(PG_FUNCTION_ARGS)
{
	CkDenorm   *denorm = target_argument(fcinfo);
	bool		keep = !PG_ARGISNULL(1) && PG_GETARG_BOOL(1);
	char	   *view = ck_denorm_name(denorm->view);
	List	   *members = denorm->members;
	ListCell   *lc;
	ListCell   *lc2;

	SPI_connect();
	ck_denorm_lock_target(denorm, true);
	ck_denorm_delete_row(denorm->target);
	ck_denorm_forget_queue(denorm->target);
	execute(psprintf("DROP VIEW %s", view));
	foreach(lc, members)
		foreach(lc2, (List *) lfirst(lc))
			ck_denorm_detach(lfirst_oid(lc2));
	if (!keep)
		execute(psprintf("DROP TABLE %s", ck_denorm_name(denorm->target)));
	SPI_finish();
	PG_RETURN_VOID();
}

/* denorm_set_mode(target, mode) */
Datum
cachekit_denorm_set_mode(PG_FUNCTION_ARGS)
{
	CkDenorm   *denorm = target_argument(fcinfo);
	CkDenormMode mode = mode_argument(fcinfo, 1);
	List	   *sources = NIL;
	ListCell   *lc;

	foreach(lc, denorm->paths->sources)
		sources = list_append_unique_oid(sources, ((CkDenormSource *) lfirst(lc))->relid);
	lock_sources(sources);
	ck_denorm_update_mode(denorm->target, mode);
	/* what is queued is still a worker's, or denorm_wait()'s */
	PG_RETURN_VOID();
}

/* ---------------- refreshing and verifying ---------------- */

/* denorm_refresh(target) -> bigint: rows written */
Datum
cachekit_denorm_refresh(PG_FUNCTION_ARGS)
{
	CkDenorm   *denorm = target_argument(fcinfo);
	CkDenormEnv env;
	int64		written;

	SPI_connect();
	ck_denorm_lock_target(denorm, true);
	/* before the refresh, whose snapshot so sees the changes */
	ck_denorm_release_aside(denorm->target);
	ck_denorm_enter(denorm, &env);
	written = ck_denorm_refresh_all(denorm);
	ck_denorm_leave(&env);
	SPI_finish();
	PG_RETURN_INT64(written);
}

typedef struct VerifyState
{
	ReturnSetInfo *info;
} VerifyState;

/* Integers and booleans as such, all else as a string. */
static void
append_json(StringInfo buf, Oid type, Datum value)
{
	Oid			output;
	bool		varlena;
	char	   *text;

	if (type == BOOLOID)
	{
		appendStringInfoString(buf, DatumGetBool(value) ? "true" : "false");
		return;
	}
	getTypeOutputInfo(type, &output, &varlena);
	text = OidOutputFunctionCall(output, value);
	if (type == INT2OID || type == INT4OID || type == INT8OID)
		appendStringInfoString(buf, text);
	else
		escape_json(buf, text);
}

/* {"column": value, ...} of a row's key */
static Datum
key_json(CkDenorm *denorm, CkDenormRows *rows, int row)
{
	StringInfoData buf;

	initStringInfo(&buf);
	appendStringInfoChar(&buf, '{');
	for (int i = 0; i < denorm->nkey; i++)
	{
		CkDenormColumn *att = &denorm->atts[denorm->key[i]];

		appendStringInfoString(&buf, i ? ", " : "");
		escape_json(&buf, att->name);
		appendStringInfoString(&buf, ": ");
		if (rows->nulls[row][denorm->key[i]])
			appendStringInfoString(&buf, "null");
		else
			append_json(&buf, att->type, rows->values[row][denorm->key[i]]);
	}
	appendStringInfoChar(&buf, '}');
	return DirectFunctionCall1(jsonb_in, CStringGetDatum(buf.data));
}

static void
report(CkDenorm *denorm, VerifyState *state, CkDenormRows *rows, int row,
	   const char *problem)
{
	Datum		values[2];
	bool		nulls[2] = {false};

	values[0] = key_json(denorm, rows, row);
	values[1] = CStringGetTextDatum(problem);
	tuplestore_putvalues(state->info->setResult, state->info->setDesc, values, nulls);
}

static void
report_differences(CkDenorm *denorm, CkDenormRows *now, CkDenormRows *present, void *arg)
{
	VerifyState *state = arg;

	ck_denorm_match(denorm, now, present);
	for (int i = 0; i < now->n; i++)
	{
		int			partner;

		if (now->matched[i])
			continue;
		partner = ck_denorm_partner(denorm, now, i, present);
		if (partner >= 0)
			present->matched[partner] = true;
		report(denorm, state, now, i, partner >= 0 ? "different" : "missing");
	}
	for (int j = 0; j < present->n; j++)
		if (!present->matched[j])
			report(denorm, state, present, j, "extra");
}

/* denorm_verify(target) -> (key, problem), under the caller's snapshot */
Datum
cachekit_denorm_verify(PG_FUNCTION_ARGS)
{
	VerifyState state;
	CkDenorm   *denorm;
	CkDenormEnv env;

	InitMaterializedSRF(fcinfo, 0);
	denorm = target_argument(fcinfo);
	state.info = (ReturnSetInfo *) fcinfo->resultinfo;
	SPI_connect();
	ck_denorm_enter(denorm, &env);
	ck_denorm_compare_all(denorm, report_differences, &state);
	ck_denorm_leave(&env);
	SPI_finish();
	return (Datum) 0;
}

/* ---------------- what the views show ---------------- */

static Datum
names_array(CkDenorm *denorm)
{
	Datum	   *values = palloc(denorm->nscope * sizeof(Datum));

	for (int i = 0; i < denorm->nscope; i++)
		values[i] = CStringGetTextDatum(denorm->scope[i]->name);
	return PointerGetDatum(construct_array(values, denorm->nscope, TEXTOID, -1, false,
										   TYPALIGN_INT));
}

/*
 * cachekit_stat_denorm(target) -> (recomputed_by text[], full_for regclass[]):
 * how changes of the sources are followed.
 */
Datum
cachekit_stat_denorm(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *info = (ReturnSetInfo *) fcinfo->resultinfo;
	CkDenorm   *denorm;
	Datum		values[2];
	bool		nulls[2] = {false};
	List	   *full = NIL;
	ListCell   *lc;
	Datum	   *oids;

	InitMaterializedSRF(fcinfo, 0);
	ck_track_set_namespace(fcinfo->flinfo->fn_oid);
	denorm = PG_ARGISNULL(0) ? NULL : ck_denorm_get(PG_GETARG_OID(0), true);
	if (denorm == NULL)
		return (Datum) 0;
	foreach(lc, denorm->paths->sources)
	{
		CkDenormSource *source = lfirst(lc);

		if (source->full)
			full = list_append_unique_oid(full, source->relid);
	}
	oids = palloc(Max(1, list_length(full)) * sizeof(Datum));
	foreach(lc, full)
		oids[foreach_current_index(lc)] = ObjectIdGetDatum(lfirst_oid(lc));
	values[0] = names_array(denorm);
	values[1] = PointerGetDatum(construct_array(oids, list_length(full), REGCLASSOID,
												sizeof(Oid), true, TYPALIGN_INT));
	tuplestore_putvalues(info->setResult, info->setDesc, values, nulls);
	return (Datum) 0;
}

/* Long operations in all databases. */
Datum
cachekit_stat_progress(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *info = (ReturnSetInfo *) fcinfo->resultinfo;
	static const char *const phases[] = {"building", "refreshing", "draining"};

	InitMaterializedSRF(fcinfo, 0);
	for (int i = 0; ck_segment_attach() && i < ck_progress_slots(); i++)
	{
		CkProgress	p;
		Datum		values[7];
		bool		nulls[7] = {false};

		if (!ck_progress_read(i, &p))
			continue;
		values[0] = Int32GetDatum(p.pid);
		values[1] = ObjectIdGetDatum(p.dbid);
		values[2] = ObjectIdGetDatum(p.target);
		values[3] = CStringGetTextDatum(phases[p.phase]);
		values[4] = Int64GetDatum(p.done);
		values[5] = Int64GetDatum(p.total);
		nulls[5] = p.total == 0;
		values[6] = TimestampTzGetDatum(p.started);
		tuplestore_putvalues(info->setResult, info->setDesc, values, nulls);
	}
	return (Datum) 0;
}

/* Background workers of all databases. */
Datum
cachekit_stat_workers(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *info = (ReturnSetInfo *) fcinfo->resultinfo;

	InitMaterializedSRF(fcinfo, 0);
	for (int i = 0; ck_segment_attach() && i < ck_worker_slots(); i++)
	{
		CkWorkerInfo w;
		Interval   *warm_time = palloc0(sizeof(Interval));
		Datum		values[8];
		bool		nulls[8] = {false};

		if (!ck_worker_read(i, &w))
			continue;
		values[0] = ObjectIdGetDatum(w.dbid);
		values[1] = Int32GetDatum(w.pid);
		nulls[1] = w.pid == 0;
		values[2] = CStringGetTextDatum(w.pid == 0 ? "starting" : w.busy ? "working" : "idle");
		values[3] = Int64GetDatum(w.keys);
		values[4] = Int64GetDatum(w.warmed);
		values[5] = TimestampTzGetDatum(w.started);
		values[6] = TimestampTzGetDatum(w.active);
		nulls[6] = w.active == 0;
		warm_time->time = w.warm_time;
		values[7] = IntervalPGetDatum(warm_time);
		tuplestore_putvalues(info->setResult, info->setDesc, values, nulls);
	}
	return (Datum) 0;
}
