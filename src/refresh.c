/*-------------------------------------------------------------------------
 *
 * refresh.c
 *	  Query results that a worker computes: asking for them, and doing it.
 *
 * A session that was given a stale result, or wants a result to be kept, puts
 * what the worker needs to make the same call into a job (warm.c).  The worker
 * goes through the steps of the call, as the role and with the settings of who
 * asked: so what it stores is what that role would have stored, under the key
 * and the stamps that the worker itself has worked out, and nothing rests on
 * the job being true.
 *
 * Whose rights?  The role's that asked, in a read-only transaction and as a
 * security-restricted operation, in which it can not become another one.  A
 * call inside of a SECURITY DEFINER function is not left to a worker.  The
 * query is planned and run only if its key is the one asked for: with a table
 * or function in its place that was made since, it would not be.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "storage/proc.h"
#include "utils/guc.h"
#include "utils/syscache.h"
#include "utils/timeout.h"

#include "args.h"
#include "debug_point.h"
#include "guc.h"
#include "refresh.h"
#include "result.h"
#include "worker.h"

/* What makes a key (fingerprint.c), finds names, or bounds the work. */
static const char *const settings[] = {
	"array_nulls", "backslash_quote", "bytea_output", "cachekit.max_entry_size",
	"datestyle", "default_text_search_config", "extra_float_digits",
	"gin_fuzzy_search_limit", "intervalstyle", "lc_monetary", "lc_numeric",
	"lc_time", "quote_all_identifiers", "row_security", "search_path",
	"standard_conforming_strings", "statement_timeout", "timezone",
	"timezone_abbreviations", "transform_null_equals", "xmlbinary", "xmloption"
};

/* ---------------- asking ---------------- */

/* May this session leave work to a worker? */
bool
ck_refresh_possible(void)
{
	return ck_guc_workers > 0 && ck_guc_warm_share > 0 && ck_guc_enabled &&
		!InLocalUserIdChange() && !InSecurityRestrictedOperation();
}

/* One bit less than the key's hash, as 0 means no job. */
static uint64
job_hash(const CkRequest *request)
{
	return request->key.hash | 1;
}

static void
add_setting(StringInfo buf, const char *name)
{
	const char *value = GetConfigOption(name, true, false);

	if (value == NULL)
		return;
	appendBinaryStringInfo(buf, name, strlen(name) + 1);
	appendBinaryStringInfo(buf, value, strlen(value) + 1);
}

static bool
add_array(CkWarmJob *job, CkWarmPart part, ArrayType *array)
{
	return ck_warm_add_part(job, part, array, array ? VARSIZE(array) : 0);
}

/* false: it is too long. */
static bool
fill_job(CkWarmJob *job, const CkRequest *request, const char *text,
		 ArrayType *args, ArrayType *tags)
{
	StringInfoData buf;

	memset(job, 0, offsetof(CkWarmJob, data));
	job->hash = job_hash(request);
	job->dbid = MyDatabaseId;
	job->userid = GetUserId();
	job->session_userid = GetSessionUserId();
	job->json = request->form == CK_FORM_JSON;
	job->has_ttl = request->has_ttl;
	job->ttl = request->ttl;
	initStringInfo(&buf);
	for (int i = 0; i < lengthof(settings); i++)
		add_setting(&buf, settings[i]);
	return ck_warm_add_part(job, CK_WARM_QUERY, text, strlen(text) + 1) &&
		add_array(job, CK_WARM_ARGS, args) &&
		add_array(job, CK_WARM_TAGS, tags) &&
		ck_warm_add_part(job, CK_WARM_SETTINGS, buf.data, buf.len);
}

/*
 * After a call was answered: have it computed by a worker, if the answer was
 * stale or is about to be, and from now on, if it is to be kept warm.
 */
void
ck_refresh_note(CkRequest *request, const char *text, ArrayType *args,
				ArrayType *tags, bool keep_warm)
{
	CkWarmJob  *job;

	if (request->bypass != CK_BYPASS_NONE || !request->background)
		return;
	if (keep_warm && ck_warm_wanted_again(job_hash(request)) && !request->wants_refresh)
		return;
	if (!keep_warm && !request->wants_refresh)
		return;
	job = palloc(sizeof(CkWarmJob));
	if (fill_job(job, request, text, args, tags))
	{
		job->keep = keep_warm;
		ck_warm_put(job);
		ck_worker_call(MyDatabaseId);
	}
	pfree(job);
}

/* ---------------- doing ---------------- */

static void
use_settings(const CkWarmJob *job)
{
	const char *p = ck_warm_part(job, CK_WARM_SETTINGS);
	const char *end = p + job->len[CK_WARM_SETTINGS];

	while (p != NULL && p < end)
	{
		const char *value = p + strlen(p) + 1;

		(void) set_config_option(p, value, PGC_USERSET, PGC_S_SESSION,
								 GUC_ACTION_SAVE, true, DEBUG1, false);
		p = value + strlen(value) + 1;
	}
}

static ParamListInfo
parameters(CkQuery *query, const CkWarmJob *job)
{
	ArrayType  *array = (ArrayType *) ck_warm_part(job, CK_WARM_ARGS);
	Datum	   *args = NULL;
	bool	   *nulls = NULL;
	int			nargs = 0;

	if (array != NULL)
		deconstruct_array(array, TEXTOID, -1, false, TYPALIGN_INT, &args, &nulls, &nargs);
	return ck_query_params(query, args, nulls, nargs);
}

/* Is a bypass over by itself, so that the job may be tried again? */
static bool
is_passing(CkBypass bypass)
{
	return bypass == CK_BYPASS_UNKNOWN_VERSION || bypass == CK_BYPASS_NO_MEMORY;
}

static CkRefresh
compute_if_needed(CkRequest *request, const CkWarmJob *job)
{
	if (request->bypass == CK_BYPASS_NONE && job_hash(request) != job->hash)
		return CK_REFRESH_USELESS;
	if (request->bypass == CK_BYPASS_NONE && !ck_serve_is_needed(request))
		return CK_REFRESH_NONE;
	if (request->bypass == CK_BYPASS_NONE)
	{
		if (job->keep && !ck_warm_may_refresh(job->hash))
			return CK_REFRESH_USELESS;
		if (ck_result_refresh(request))
			return CK_REFRESH_DONE;
	}
	return request->bypass == CK_BYPASS_NONE || is_passing(request->bypass) ?
		CK_REFRESH_NONE : CK_REFRESH_USELESS;
}

/* The steps of cached_query.c's calls. */
static CkRefresh
call_again(const CkWarmJob *job)
{
	ArrayType  *tags = (ArrayType *) ck_warm_part(job, CK_WARM_TAGS);
	CkRequest	request;
	CkRefresh	result;

	memset(&request, 0, sizeof(request));
	request.form = job->json ? CK_FORM_JSON : CK_FORM_ROWS;
	request.has_ttl = job->has_ttl;
	request.ttl = job->ttl;
	if (tags != NULL)
		request.ntags = ck_args_tags(tags, CK_MAX_TAGS, request.tags);
	ck_serve_start(&request);
	request.query = ck_query_open(ck_warm_part(job, CK_WARM_QUERY));
	request.params = parameters(request.query, job);
	ck_serve_bind(&request);
	result = compute_if_needed(&request, job);
	ck_query_close(request.query);
	return result;
}

static bool
role_exists(Oid userid)
{
	return SearchSysCacheExists1(AUTHOID, ObjectIdGetDatum(userid));
}

/*
 * Do a job, in a transaction of its own that has an active snapshot.  Raises
 * what the query raises.  The session's user becomes who it was for the call,
 * too: results may depend on it, and it is part of their keys.  No end of a
 * transaction restores it.
 */
CkRefresh
ck_refresh_run(const CkWarmJob *job)
{
	volatile CkRefresh result = CK_REFRESH_USELESS;
	Oid			session = GetSessionUserId();
	Oid			userid;
	int			context;
	int			nest = NewGUCNestLevel();

	if (!role_exists(job->userid) || !role_exists(job->session_userid))
		return result;
	GetUserIdAndSecContext(&userid, &context);
	use_settings(job);
	PG_TRY();
	{
		SetSessionAuthorization(job->session_userid, superuser_arg(job->session_userid));
		SetUserIdAndSecContext(job->userid, context | SECURITY_LOCAL_USERID_CHANGE |
							   SECURITY_RESTRICTED_OPERATION);
		XactReadOnly = true;
		if (StatementTimeout > 0)
			enable_timeout_after(STATEMENT_TIMEOUT, StatementTimeout);
		CK_DEBUG_POINT("refresh");
		result = call_again(job);
		disable_timeout(STATEMENT_TIMEOUT, false);
	}
	PG_FINALLY();
	{
		SetUserIdAndSecContext(userid, context);
		SetSessionAuthorization(session, true);
	}
	PG_END_TRY();
	AtEOXact_GUC(true, nest);
	return result;
}
