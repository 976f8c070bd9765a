/*-------------------------------------------------------------------------
 *
 * statements.c
 *	  pg_stat_statements, wherever it is.
 *
 * The extension may be missing, in any schema, of an old version, out of
 * bounds for the user, or there without its library having been preloaded, in
 * which case its functions raise an error.  In all these cases there are no
 * statements.  All queries here run under the caller's search_path: names and
 * operators in them are qualified.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/builtins.h"

#include "statements.h"

/*
 * The view's qualified name, and the expression for when counting began.
 * The setting is there only if the library was loaded at server start.
 */
static const char find_view[] =
"SELECT v.name, CASE WHEN v.has_since THEN 'pg_catalog.min(s.stats_since)'"
"  WHEN pg_catalog.to_regclass(v.name OPERATOR(pg_catalog.||) '_info') IS NOT NULL"
"  THEN '(SELECT stats_reset FROM ' OPERATOR(pg_catalog.||) v.name"
"       OPERATOR(pg_catalog.||) '_info)'"
"  ELSE 'NULL::pg_catalog.timestamptz' END"
" FROM (SELECT pg_catalog.format('%I.pg_stat_statements', n.nspname) AS name,"
"         pg_catalog.bool_or(a.attname OPERATOR(pg_catalog.=) 'stats_since') AS has_since"
"       FROM pg_catalog.pg_extension e"
"         JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) e.extnamespace"
"         JOIN pg_catalog.pg_class c ON c.relnamespace OPERATOR(pg_catalog.=) n.oid"
"           AND c.relname OPERATOR(pg_catalog.=) 'pg_stat_statements'"
"         JOIN pg_catalog.pg_attribute a ON a.attrelid OPERATOR(pg_catalog.=) c.oid"
"       WHERE e.extname OPERATOR(pg_catalog.=) 'pg_stat_statements'"
"         AND pg_catalog.has_schema_privilege(n.oid, 'USAGE')"
"         AND pg_catalog.has_table_privilege(c.oid, 'SELECT')"
"       GROUP BY n.nspname"
"       HAVING pg_catalog.bool_or(a.attname OPERATOR(pg_catalog.=) 'total_exec_time')) v"
" WHERE EXISTS (SELECT FROM pg_catalog.pg_settings"
"   WHERE name OPERATOR(pg_catalog.=) 'pg_stat_statements.max'"
"     AND context OPERATOR(pg_catalog.=) 'postmaster')";

/* false: there are no statements.  Strings are SPI's. */
static bool
find(char **view, char **since)
{
	TupleDesc	desc;

	if (SPI_execute(find_view, true, 1) != SPI_OK_SELECT)
		elog(ERROR, "could not look for pg_stat_statements");
	if (SPI_processed == 0)
		return false;
	desc = SPI_tuptable->tupdesc;
	*view = SPI_getvalue(SPI_tuptable->vals[0], desc, 1);
	*since = SPI_getvalue(SPI_tuptable->vals[0], desc, 2);
	return true;
}

/*
 * A query for (queryid, query, calls, total_exec_time, rows, since): the
 * statements of this database that the user may see, of all users together.
 * Times are milliseconds.  NULL: there are none.  SPI must be connected.
 */
char *
ck_statements_query(void)
{
	char	   *view;
	char	   *since;

	if (!find(&view, &since))
		return NULL;
	return psprintf("SELECT s.queryid, pg_catalog.min(s.query),"
					" pg_catalog.sum(s.calls)::pg_catalog.int8,"
					" pg_catalog.sum(s.total_exec_time)::pg_catalog.float8,"
					" pg_catalog.sum(s.rows)::pg_catalog.int8, %s"
					" FROM %s s WHERE s.dbid OPERATOR(pg_catalog.=) %u"
					" AND s.queryid IS NOT NULL GROUP BY s.queryid",
					since, view, MyDatabaseId);
}

/*
 * The text of a statement, or NULL; of SPI's memory, like all of its results.
 * SPI must be connected.
 */
char *
ck_statements_text(int64 queryid)
{
	Oid			type = INT8OID;
	Datum		value = Int64GetDatum(queryid);
	char	   *view;
	char	   *since;
	char	   *query;

	if (!find(&view, &since))
		return NULL;
	query = psprintf("SELECT pg_catalog.min(s.query) FROM %s s"
					 " WHERE s.dbid OPERATOR(pg_catalog.=) %u"
					 " AND s.queryid OPERATOR(pg_catalog.=) $1", view, MyDatabaseId);
	if (SPI_execute_with_args(query, 1, &type, &value, NULL, true, 1) != SPI_OK_SELECT ||
		SPI_processed != 1)
		elog(ERROR, "could not read pg_stat_statements");
	return SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1);
}
