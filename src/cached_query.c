/*-------------------------------------------------------------------------
 *
 * cached_query.c
 *	  cached_query(), cached_query_json(), cache_explain() and the functions
 *	  that invalidate query results by name.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "cached_query.h"
#include "derive.h"
#include "args.h"
#include "refresh.h"
#include "result.h"
#include "scanexplain.h"
#include "segment.h"
#include "track.h"

PG_FUNCTION_INFO_V1(cachekit_cached_query);
PG_FUNCTION_INFO_V1(cachekit_cached_query_rowtype);
PG_FUNCTION_INFO_V1(cachekit_cached_query_json);
PG_FUNCTION_INFO_V1(cachekit_cache_explain);
PG_FUNCTION_INFO_V1(cachekit_cache_invalidate_query);
PG_FUNCTION_INFO_V1(cachekit_cache_flush);
PG_FUNCTION_INFO_V1(cachekit_args_in);
PG_FUNCTION_INFO_V1(cachekit_args_out);

/* ---------------- arguments ---------------- */

/* keep_warm, of the options from argument n on. */
static bool
wants_warmth(FunctionCallInfo fcinfo, int n)
{
	return !PG_ARGISNULL(n + 3) && PG_GETARG_BOOL(n + 3);
}

/* Type cachekit_args is a text[] of another name: see the install script. */
Datum
cachekit_args_in(PG_FUNCTION_ARGS)
{
	PG_RETURN_DATUM(OidInputFunctionCall(F_ARRAY_IN, PG_GETARG_CSTRING(0), TEXTOID, -1));
}

Datum
cachekit_args_out(PG_FUNCTION_ARGS)
{
	PG_RETURN_CSTRING(OidOutputFunctionCall(F_ARRAY_OUT, PG_GETARG_DATUM(0)));
}

static char *
query_argument(FunctionCallInfo fcinfo, int n)
{
	if (PG_ARGISNULL(n))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("query must not be null")));
	return text_to_cstring(PG_GETARG_TEXT_PP(n));
}

static void
bind_parameters(FunctionCallInfo fcinfo, int n, CkRequest *request)
{
	Datum	   *args = NULL;
	bool	   *nulls = NULL;
	int			nargs = 0;

	if (!PG_ARGISNULL(n))
		deconstruct_array(PG_GETARG_ARRAYTYPE_P(n), TEXTOID, -1, false,
						  TYPALIGN_INT, &args, &nulls, &nargs);
	request->params = ck_query_params(request->query, args, nulls, nargs);
}

/* The options from ttl on, which is argument n. */
static void
read_options(FunctionCallInfo fcinfo, int n, CkRequest *request)
{
	if (!PG_ARGISNULL(n + 2))
		request->swr = ck_args_microseconds(PG_GETARG_INTERVAL_P(n + 2));
	if (request->swr < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("stale_while_revalidate must not be negative")));
	request->background = (request->swr > 0 || wants_warmth(fcinfo, n)) &&
		ck_refresh_possible();
	request->has_ttl = !PG_ARGISNULL(n);
	if (request->has_ttl)
		request->ttl = ck_args_microseconds(PG_GETARG_INTERVAL_P(n));
	if (!PG_ARGISNULL(n + 1) && ck_segment_attach())
		request->ntags = ck_args_tags(PG_GETARG_ARRAYTYPE_P(n + 1),
									  CK_MAX_TAGS, request->tags);
}

/* All arguments from `query`, which is argument n. */
static void
open_request(FunctionCallInfo fcinfo, int n, CkForm form, CkRequest *request)
{
	char	   *text = query_argument(fcinfo, n);

	ck_track_set_namespace(fcinfo->flinfo->fn_oid);
	memset(request, 0, sizeof(*request));
	request->form = form;
	if (PG_NARGS() > n + 2)
		read_options(fcinfo, n + 2, request);
	ck_serve_start(request);
	request->query = ck_query_open(text);
	bind_parameters(fcinfo, n + 1, request);
	ck_serve_bind(request);
}

/*
 * A call of cached_query() for rows, whose query is argument n, up to its
 * answer.  The caller closes request->query.
 */
void
ck_cached_query_open(FunctionCallInfo fcinfo, int n, CkRequest *request)
{
	open_request(fcinfo, n, CK_FORM_ROWS, request);
}

/*
 * A call whose query is argument n was answered: is a worker to go on with it?
 * Before the query is closed.
 */
void
ck_cached_query_answered(FunctionCallInfo fcinfo, int n, CkRequest *request)
{
	if (!request->background || request->bypass != CK_BYPASS_NONE)
		return;
	ck_refresh_note(request, request->query->text,
					PG_ARGISNULL(n + 1) ? NULL : PG_GETARG_ARRAYTYPE_P(n + 1),
					PG_ARGISNULL(n + 3) ? NULL : PG_GETARG_ARRAYTYPE_P(n + 3),
					wants_warmth(fcinfo, n + 2));
}

static Datum
answer_rows(FunctionCallInfo fcinfo, int n)
{
	CkRequest	request;
	CkTarget   *target;

	open_request(fcinfo, n, CK_FORM_ROWS, &request);
	target = ck_result_rows(fcinfo, &request);
	ck_result_answer(target);
	ck_cached_query_answered(fcinfo, n, &request);
	ck_query_close(request.query);
	return (Datum) 0;
}

/* cached_query(query, args, ttl, tags, ...) -> SETOF record */
Datum
cachekit_cached_query(PG_FUNCTION_ARGS)
{
	return answer_rows(fcinfo, 0);
}

/* cached_query(rowtype, query, args, ttl, tags, ...) -> SETOF anyelement */
Datum
cachekit_cached_query_rowtype(PG_FUNCTION_ARGS)
{
	return answer_rows(fcinfo, 1);
}

/* cached_query_json(query, args, ttl, tags, ...) -> jsonb */
Datum
cachekit_cached_query_json(PG_FUNCTION_ARGS)
{
	CkRequest	request;
	CkTarget   *target;

	open_request(fcinfo, 0, CK_FORM_JSON, &request);
	target = ck_result_json(&request);
	ck_result_answer(target);
	ck_cached_query_answered(fcinfo, 0, &request);
	ck_query_close(request.query);
	return ck_result_json_datum(target);
}

/* For cache_get_or_set(): one value as text, computed now. */
Datum
ck_query_scalar_text(const char *text, bool *isnull)
{
	CkQuery    *query = ck_query_open(text);
	Datum		result;

	(void) ck_query_params(query, NULL, NULL, 0);
	ck_result_scalar(query, GetActiveSnapshot(), &result, isnull);
	ck_query_close(query);
	return result;
}

/* ---------------- explanation ---------------- */

static Datum
relations_array(List *relations)
{
	int			n = list_length(relations);
	Datum	   *oids = palloc(Max(n, 1) * sizeof(Datum));

	for (int i = 0; i < n; i++)
		oids[i] = ObjectIdGetDatum(list_nth_oid(relations, i));
	return PointerGetDatum(construct_array(oids, n, REGCLASSOID, sizeof(Oid),
										   true, TYPALIGN_INT));
}

/* The better one of the two forms that a query's result may be kept in. */
static CkState
best_state(CkRequest *request)
{
	CkState		rows = ck_serve_state(request);
	CkState		json;

	request->form = CK_FORM_JSON;
	(void) ck_serve_key(request);
	json = ck_serve_state(request);
	request->form = CK_FORM_ROWS;
	(void) ck_serve_key(request);	/* both may be kept in the request */
	return Min(rows, json);
}

static const char *
state_name(CkRequest *request)
{
	CkState		state = CK_STATE_ABSENT;

	if (request->bypass == CK_BYPASS_NONE)
		state = best_state(request);
	if (request->bypass == CK_BYPASS_NONE && state != CK_STATE_HIT &&
		request->query->keyed != NIL)
	{
		ck_serve_plan(request);
		ReleaseCachedPlan(ck_serve_take_plan(request), CurrentResourceOwner);
	}
	return ck_explain_state(request, state);
}

/* Tables and keys in words; for keys the query is planned. */
static Datum
dependencies_array(CkRequest *request)
{
	CkPlanDeps	keys = {0};
	List	   *names;

	if (request->query->keyed != NIL)
	{
		CachedPlan *plan = ck_query_plan(request->query, request->params);

		if (!request->query->deps_valid ||
			!ck_plandeps(linitial_node(PlannedStmt, plan->stmt_list),
						 request->params, request->query, &keys))
			keys.textlen = 0;
		ReleaseCachedPlan(plan, CurrentResourceOwner);
	}
	names = ck_plandeps_names(request->query->depends.relations, keys.text, keys.textlen);
	return PointerGetDatum(ck_plandeps_array(names));
}

/*
 * cache_explain(query, args) -> (cacheable, state, reason, depends_on, key,
 * dependencies)
 */
Datum
cachekit_cache_explain(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *info = (ReturnSetInfo *) fcinfo->resultinfo;
	CkRequest	request;
	Datum		values[6];
	bool		nulls[6] = {false};
	char	   *reasons;

	InitMaterializedSRF(fcinfo, 0);
	open_request(fcinfo, 0, CK_FORM_ROWS, &request);
	if (request.bypass == CK_BYPASS_DISABLED && ck_segment_attach())
		(void) ck_derive_dependencies(request.query);	/* explain all the same */
	else if (!request.query->deps_valid)
		(void) ck_derive_dependencies(request.query);

	values[0] = BoolGetDatum(request.query->deps_valid && !request.query->inexact);
	values[1] = CStringGetTextDatum(state_name(&request));
	reasons = ck_explain_reason(&request);
	nulls[2] = reasons == NULL;
	if (reasons)
		values[2] = CStringGetTextDatum(reasons);
	values[3] = relations_array(request.query->deps_valid ?
								request.query->depends.relations : NIL);
	nulls[4] = request.bypass != CK_BYPASS_NONE;
	if (!nulls[4])
		values[4] = CStringGetTextDatum(ck_fingerprint_hex(request.key.data,
														request.key.len));
	nulls[5] = !request.query->deps_valid;
	if (!nulls[5])
		values[5] = dependencies_array(&request);
	tuplestore_putvalues(info->setResult, info->setDesc, values, nulls);
	ck_query_close(request.query);
	return (Datum) 0;
}

/* ---------------- invalidation by name ---------------- */

static bool
unlink_form(CkRequest *request, CkForm form)
{
	char	   *key = palloc(request->key.len);
	CkKey		other;

	memcpy(key, request->key.data, request->key.len);
	key[CK_DIGEST_LEN] = form;
	other = ck_table_key(CK_KIND_QUERY, MyDatabaseId, key, request->key.len);
	return ck_table_unlink(&other);
}

/*
 * cache_invalidate_query(query, args) -> boolean: was there an entry?  It is
 * looked for with the caller's settings and role.
 */
Datum
cachekit_cache_invalidate_query(PG_FUNCTION_ARGS)
{
	CkRequest	request;
	bool		found = false;

	open_request(fcinfo, 0, CK_FORM_ROWS, &request);
	if (ck_segment_attach() && ck_derive_dependencies(request.query))
	{
		ck_segment_note_flush();
		(void) ck_serve_key(&request);
		found = unlink_form(&request, CK_FORM_ROWS);
		found |= unlink_form(&request, CK_FORM_JSON);
		if (found)
			ck_count(CK_CTR_INVALIDATIONS);
	}
	ck_query_close(request.query);
	PG_RETURN_BOOL(found);
}

static bool
is_our_query(const CkItemInfo *info, const void *key, const void *meta, void *arg)
{
	return info->kind == CK_KIND_QUERY && info->dbid == MyDatabaseId;
}

/* cache_flush() -> bigint: entries removed */
Datum
cachekit_cache_flush(PG_FUNCTION_ARGS)
{
	int64		n = 0;

	if (ck_segment_attach())
	{
		ck_segment_note_flush();
		n = ck_table_unlink_if(is_our_query, NULL);
		ck_count_n(CK_CTR_INVALIDATIONS, n);
	}
	PG_RETURN_INT64(n);
}
