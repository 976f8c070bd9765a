/*-------------------------------------------------------------------------
 *
 * rule_create.c
 *	  cache_rule_create() and cache_rule_drop(), and what guards their table.
 *
 * The table is written to as its owner, since EXECUTE on the functions is what
 * gives the right to make rules.  It may as well be written to directly, by
 * superusers and by pg_restore: a CHECK constraint validates, and a statement
 * trigger, enabled always, tells the backends (rules.c).
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"

#include "args.h"
#include "compat.h"
#include "guc.h"
#include "rules.h"
#include "statements.h"

PG_FUNCTION_INFO_V1(cachekit_cache_rule_create);
PG_FUNCTION_INFO_V1(cachekit_cache_rule_drop);
PG_FUNCTION_INFO_V1(cachekit_stat_rule);
PG_FUNCTION_INFO_V1(cachekit_rule_is_valid);
PG_FUNCTION_INFO_V1(cachekit_on_rule_change);

/* ---------------- validation ---------------- */

static void
check_interval(Interval *value, const char *name, bool zero)
{
	int64		microseconds = ck_args_microseconds(value);

	if (microseconds < 0 || (microseconds == 0 && !zero))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s of a rule must %s", name,
						zero ? "not be negative" : "be positive"),
				 errhint("A rule with enabled => false has no effect.")));
}

static void
check_tags(ArrayType *tags)
{
	Datum	   *values;
	bool	   *nulls;
	int			n;

	deconstruct_array(tags, TEXTOID, -1, false, TYPALIGN_INT, &values, &nulls, &n);
	if (n > CK_MAX_TAGS)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("tags must not have more than %d elements", CK_MAX_TAGS)));
	for (int i = 0; i < n; i++)
		ck_args_check_length(nulls[i] ? NULL : DatumGetTextPP(values[i]),
							 "element of tags", CK_MAX_TAG_LEN);
}

/*
 * cachekit_rule_is_valid(queryid, ttl, tags, stale_while_revalidate) ->
 * boolean: the table's CHECK constraint.  Raises what is wrong, or is true.
 */
Datum
cachekit_rule_is_valid(PG_FUNCTION_ARGS)
{
	if (!PG_ARGISNULL(0) && PG_GETARG_INT64(0) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("queryid must not be 0"),
				 errhint("Take it from pg_stat_statements, or from EXPLAIN (VERBOSE).")));
	if (!PG_ARGISNULL(1))
		check_interval(PG_GETARG_INTERVAL_P(1), "ttl", false);
	if (!PG_ARGISNULL(2))
		check_tags(PG_GETARG_ARRAYTYPE_P(2));
	if (!PG_ARGISNULL(3))
		check_interval(PG_GETARG_INTERVAL_P(3), "stale_while_revalidate", true);
	PG_RETURN_BOOL(true);
}

/*
 * cachekit_on_rule_change() -> trigger, after each statement: the rules in the
 * memory of backends are out of date.
 */
Datum
cachekit_on_rule_change(PG_FUNCTION_ARGS)
{
	if (!CALLED_AS_TRIGGER(fcinfo) ||
		!TRIGGER_FIRED_AFTER(((TriggerData *) fcinfo->context)->tg_event))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function \"%s\" must be called as an AFTER trigger",
						"cachekit_on_rule_change")));
	CacheInvalidateRelcache(((TriggerData *) fcinfo->context)->tg_relation);
	PG_RETURN_POINTER(NULL);
}

/* ---------------- creation ---------------- */

/* The table of rules in the schema of this function. */
static Oid
rule_table(FunctionCallInfo fcinfo)
{
	Oid			namespace = get_func_namespace(fcinfo->flinfo->fn_oid);
	Oid			relid = get_relname_relid(CK_RULE_TABLE, namespace);

	if (!OidIsValid(relid))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("table \"%s\" does not exist", CK_RULE_TABLE),
				 errhint("Run ALTER EXTENSION cachekit UPDATE.")));
	return relid;
}

static int64
queryid_argument(FunctionCallInfo fcinfo)
{
	if (PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("queryid must not be null")));
	return PG_GETARG_INT64(0);
}

static Oid
owner_of(Oid relid)
{
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relid));
	Oid			owner;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for relation %u", relid);
	owner = ((Form_pg_class) GETSTRUCT(tuple))->relowner;
	ReleaseSysCache(tuple);
	return owner;
}

/*
 * Run a statement that writes to the table, as the table's owner.  `%s` in it
 * is the table's name.  Returns the number of rows.  An error gives the user
 * id back by itself, when the (sub)transaction is aborted.
 */
static uint64
write_table(Oid relid, const char *statement, int nargs, Oid *types,
			Datum *values, const char *nulls)
{
	Oid			user;
	int			context;
	char	   *name;
	int			result;

	name = quote_qualified_identifier(get_namespace_name(get_rel_namespace(relid)),
									  CK_RULE_TABLE);
	GetUserIdAndSecContext(&user, &context);
	SetUserIdAndSecContext(owner_of(relid), context | SECURITY_LOCAL_USERID_CHANGE);
	result = SPI_execute_with_args(psprintf(statement, name), nargs, types, values,
								   nulls, false, 0);
	SetUserIdAndSecContext(user, context);
	if (result != SPI_OK_INSERT && result != SPI_OK_DELETE)
		elog(ERROR, "could not write to the table of rules");
	return SPI_processed;
}

/* A rule that can not work is made all the same: settings may change. */
static void
warn_without_ids(void)
{
	if (!IsQueryIdEnabled())
		ereport(WARNING,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("rules have no effect, because query identifiers are not computed"),
				 errhint("Set compute_query_id to on, or preload pg_stat_statements.")));
}

/*
 * cache_rule_create(queryid, ttl, tags, stale_while_revalidate, keep_warm,
 * enabled): in the place of a rule for that query, if there is one.
 */
Datum
cachekit_cache_rule_create(PG_FUNCTION_ARGS)
{
	static const char statement[] =
	"INSERT INTO %s AS r (queryid, ttl, tags, stale_while_revalidate, keep_warm,"
	" enabled, query) VALUES ($1, $2, $3, $4, $5, $6, $7)"
	" ON CONFLICT (queryid) DO UPDATE SET ttl = excluded.ttl, tags = excluded.tags,"
	" stale_while_revalidate = excluded.stale_while_revalidate,"
	" keep_warm = excluded.keep_warm, enabled = excluded.enabled,"
	" query = coalesce(excluded.query, r.query)";
	Oid			types[] = {
		INT8OID, INTERVALOID, TEXTARRAYOID, INTERVALOID, BOOLOID, BOOLOID, TEXTOID
	};
	Datum		values[7];
	char		nulls[8] = "       ";
	Oid			relid = rule_table(fcinfo);
	int64		queryid = queryid_argument(fcinfo);
	char	   *text;

	for (int i = 0; i < 6; i++)
	{
		values[i] = PG_GETARG_DATUM(i);
		nulls[i] = PG_ARGISNULL(i) ? 'n' : ' ';
	}
	for (int i = 4; i < 6; i++)	/* their defaults */
		if (nulls[i] == 'n')
		{
			values[i] = BoolGetDatum(i == 5);
			nulls[i] = ' ';
		}
	SPI_connect();
	text = ck_statements_text(queryid);
	nulls[6] = text == NULL ? 'n' : ' ';
	values[6] = text == NULL ? (Datum) 0 : CStringGetTextDatum(text);
	(void) write_table(relid, statement, 7, types, values, nulls);
	SPI_finish();
	warn_without_ids();
	PG_RETURN_VOID();
}

/* cache_rule_drop(queryid) -> boolean: was there one? */
Datum
cachekit_cache_rule_drop(PG_FUNCTION_ARGS)
{
	Oid			type = INT8OID;
	Datum		value = Int64GetDatum(queryid_argument(fcinfo));
	Oid			relid = rule_table(fcinfo);
	uint64		n;

	SPI_connect();
	n = write_table(relid, "DELETE FROM %s WHERE queryid OPERATOR(pg_catalog.=) $1",
					1, &type, &value, NULL);
	SPI_finish();
	PG_RETURN_BOOL(n > 0);
}

/* ---------------- watching ---------------- */

/* cachekit_stat_rule(queryid) -> text: what comes of the rule in this session */
Datum
cachekit_stat_rule(PG_FUNCTION_ARGS)
{
	const char *state = "active";

	if (ck_rules_find((uint64) PG_GETARG_INT64(0)) == NULL)
		state = "inactive";
	else if (ck_guc_mode == CK_MODE_OFF)
		state = "mode_off";
	else if (!IsQueryIdEnabled())
		state = "no_query_id";
	PG_RETURN_TEXT_P(cstring_to_text(state));
}
