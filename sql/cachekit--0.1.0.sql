/* sql/cachekit--0.1.0.sql */

-- complain if script is sourced in psql, rather than via CREATE EXTENSION
\echo Use "CREATE EXTENSION cachekit" to load this file. \quit
--
-- Key/value cache
--

CREATE FUNCTION cache_set(key text, value text,
						  ttl interval DEFAULT NULL, tags text[] DEFAULT NULL)
RETURNS boolean
AS 'MODULE_PATHNAME', 'cachekit_cache_set'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION cache_set(text, text, interval, text[]) IS
'stores a value under a key; false: not stored';

CREATE FUNCTION cache_set(key text, value anyelement,
						  ttl interval DEFAULT NULL, tags text[] DEFAULT NULL)
RETURNS boolean
AS 'MODULE_PATHNAME', 'cachekit_cache_set_any'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION cache_set(text, anyelement, interval, text[]) IS
'stores a value of any type under a key; false: not stored';

CREATE FUNCTION cache_set_many(keys text[], vals text[],
							   ttl interval DEFAULT NULL, tags text[] DEFAULT NULL)
RETURNS integer
AS 'MODULE_PATHNAME', 'cachekit_cache_set_many'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION cache_set_many(text[], text[], interval, text[]) IS
'stores several values; returns how many were stored';

CREATE FUNCTION cache_add(key text, value text,
						  ttl interval DEFAULT NULL, tags text[] DEFAULT NULL)
RETURNS boolean
AS 'MODULE_PATHNAME', 'cachekit_cache_add'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION cache_add(text, text, interval, text[]) IS
'stores a value only if the key has none; at once, atomic across sessions';

CREATE FUNCTION cache_add(key text, value anyelement,
						  ttl interval DEFAULT NULL, tags text[] DEFAULT NULL)
RETURNS boolean
AS 'MODULE_PATHNAME', 'cachekit_cache_add_any'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION cache_add(text, anyelement, interval, text[]) IS
'stores a value of any type only if the key has none; at once, atomic across sessions';

CREATE FUNCTION cache_incr(key text, delta bigint DEFAULT 1,
						   initial bigint DEFAULT NULL)
RETURNS bigint
AS 'MODULE_PATHNAME', 'cachekit_cache_incr'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION cache_incr(text, bigint, bigint) IS
'adds to a number, or sets it to initial if there is none; at once, atomic across sessions';

CREATE FUNCTION cache_get(key text)
RETURNS text
AS 'MODULE_PATHNAME', 'cachekit_cache_get'
LANGUAGE C VOLATILE PARALLEL RESTRICTED;
COMMENT ON FUNCTION cache_get(text) IS
'text form of the value of a key; NULL if there is none';

CREATE FUNCTION cache_get(key text, as_type anyelement)
RETURNS anyelement
AS 'MODULE_PATHNAME', 'cachekit_cache_get_as'
LANGUAGE C VOLATILE PARALLEL RESTRICTED;
COMMENT ON FUNCTION cache_get(text, anyelement) IS
'value of a key, which must have the type of the second argument; NULL if there is none';

CREATE FUNCTION cache_get_many(keys text[], OUT key text, OUT value text)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'cachekit_cache_get_many'
LANGUAGE C VOLATILE PARALLEL RESTRICTED;
COMMENT ON FUNCTION cache_get_many(text[]) IS
'text form of the values of those keys that have one';

CREATE FUNCTION cache_get_or_set(key text, query text,
								 ttl interval DEFAULT NULL, tags text[] DEFAULT NULL)
RETURNS text
AS 'MODULE_PATHNAME', 'cachekit_cache_get_or_set'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION cache_get_or_set(text, text, interval, text[]) IS
'value of a key; if there is none, one session runs the query and stores its first value';

CREATE FUNCTION cache_exists(key text)
RETURNS boolean
AS 'MODULE_PATHNAME', 'cachekit_cache_exists'
LANGUAGE C VOLATILE PARALLEL RESTRICTED;
COMMENT ON FUNCTION cache_exists(text) IS
'does the key have a value, NULL included?';

CREATE FUNCTION cache_ttl(key text)
RETURNS interval
AS 'MODULE_PATHNAME', 'cachekit_cache_ttl'
LANGUAGE C VOLATILE PARALLEL RESTRICTED;
COMMENT ON FUNCTION cache_ttl(text) IS
'time that the entry has left to live; NULL if it does not expire or there is none';

CREATE FUNCTION cache_touch(key text, ttl interval)
RETURNS boolean
AS 'MODULE_PATHNAME', 'cachekit_cache_touch'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION cache_touch(text, interval) IS
'gives an entry a new time to live; false: there is none';

CREATE FUNCTION cache_delete(key text)
RETURNS boolean
AS 'MODULE_PATHNAME', 'cachekit_cache_delete'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION cache_delete(text) IS
'removes an entry; false: there was none';

CREATE FUNCTION cache_delete_many(keys text[])
RETURNS integer
AS 'MODULE_PATHNAME', 'cachekit_cache_delete_many'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION cache_delete_many(text[]) IS
'removes several entries; returns how many there were';

CREATE FUNCTION cache_clear()
RETURNS bigint
AS 'MODULE_PATHNAME', 'cachekit_cache_clear'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION cache_clear() IS
'removes all key/value entries of this database; returns how many there were';

CREATE FUNCTION cache_invalidate_tag(tag text)
RETURNS void
AS 'MODULE_PATHNAME', 'cachekit_cache_invalidate_tag'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION cache_invalidate_tag(text) IS
'makes all entries with this tag invalid';

REVOKE ALL ON FUNCTION cache_set(text, text, interval, text[]) FROM PUBLIC;
REVOKE ALL ON FUNCTION cache_set(text, anyelement, interval, text[]) FROM PUBLIC;
REVOKE ALL ON FUNCTION cache_set_many(text[], text[], interval, text[]) FROM PUBLIC;
REVOKE ALL ON FUNCTION cache_add(text, text, interval, text[]) FROM PUBLIC;
REVOKE ALL ON FUNCTION cache_add(text, anyelement, interval, text[]) FROM PUBLIC;
REVOKE ALL ON FUNCTION cache_incr(text, bigint, bigint) FROM PUBLIC;
REVOKE ALL ON FUNCTION cache_get(text) FROM PUBLIC;
REVOKE ALL ON FUNCTION cache_get(text, anyelement) FROM PUBLIC;
REVOKE ALL ON FUNCTION cache_get_many(text[]) FROM PUBLIC;
REVOKE ALL ON FUNCTION cache_get_or_set(text, text, interval, text[]) FROM PUBLIC;
REVOKE ALL ON FUNCTION cache_exists(text) FROM PUBLIC;
REVOKE ALL ON FUNCTION cache_ttl(text) FROM PUBLIC;
REVOKE ALL ON FUNCTION cache_touch(text, interval) FROM PUBLIC;
REVOKE ALL ON FUNCTION cache_delete(text) FROM PUBLIC;
REVOKE ALL ON FUNCTION cache_delete_many(text[]) FROM PUBLIC;
REVOKE ALL ON FUNCTION cache_clear() FROM PUBLIC;
REVOKE ALL ON FUNCTION cache_invalidate_tag(text) FROM PUBLIC;

--
-- Cached queries
--

CREATE FUNCTION cached_query(query text, args text[] DEFAULT '{}',
							 ttl interval DEFAULT NULL, tags text[] DEFAULT NULL,
							 stale_while_revalidate interval DEFAULT NULL,
							 keep_warm boolean DEFAULT false)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'cachekit_cached_query'
LANGUAGE C VOLATILE PARALLEL UNSAFE ROWS 100;
COMMENT ON FUNCTION cached_query(text, text[], interval, text[], interval, boolean) IS
'rows of a query, from the cache where that is exact';

-- A text[] by another name.  cached_query('SELECT ...', '{42}') would be
-- ambiguous between the form above and the one below, because both arguments
-- are untyped literals; a literal prefers a type of the string category.
CREATE TYPE cachekit_args;
CREATE FUNCTION cachekit_args_in(cstring)
RETURNS cachekit_args
AS 'MODULE_PATHNAME', 'cachekit_args_in'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION cachekit_args_in(cstring) IS
'input function of cachekit_args';
CREATE FUNCTION cachekit_args_out(cachekit_args)
RETURNS cstring
AS 'MODULE_PATHNAME', 'cachekit_args_out'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION cachekit_args_out(cachekit_args) IS
'output function of cachekit_args';
CREATE TYPE cachekit_args (
	INPUT = cachekit_args_in, OUTPUT = cachekit_args_out,
	INTERNALLENGTH = VARIABLE, ALIGNMENT = int4, STORAGE = extended,
	CATEGORY = 'S', PREFERRED = true
);
COMMENT ON TYPE cachekit_args IS
'arguments of a cached query, given as an array literal';

CREATE FUNCTION cached_query(query text, args cachekit_args,
							 ttl interval DEFAULT NULL, tags text[] DEFAULT NULL,
							 stale_while_revalidate interval DEFAULT NULL,
							 keep_warm boolean DEFAULT false)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'cachekit_cached_query'
LANGUAGE C VOLATILE PARALLEL UNSAFE ROWS 100;
COMMENT ON FUNCTION cached_query(text, cachekit_args, interval, text[], interval, boolean) IS
'rows of a query, from the cache where that is exact';

CREATE FUNCTION cached_query(rowtype anyelement, query text, args text[] DEFAULT '{}',
							 ttl interval DEFAULT NULL, tags text[] DEFAULT NULL,
							 stale_while_revalidate interval DEFAULT NULL,
							 keep_warm boolean DEFAULT false)
RETURNS SETOF anyelement
AS 'MODULE_PATHNAME', 'cachekit_cached_query_rowtype'
LANGUAGE C VOLATILE PARALLEL UNSAFE ROWS 100;
COMMENT ON FUNCTION cached_query(anyelement, text, text[], interval, text[], interval, boolean) IS
'rows of a query, of the type of the first argument, from the cache where that is exact';

CREATE FUNCTION cached_query_json(query text, args text[] DEFAULT '{}',
								  ttl interval DEFAULT NULL, tags text[] DEFAULT NULL,
								  stale_while_revalidate interval DEFAULT NULL,
								  keep_warm boolean DEFAULT false)
RETURNS jsonb
AS 'MODULE_PATHNAME', 'cachekit_cached_query_json'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION cached_query_json(text, text[], interval, text[], interval, boolean) IS
'rows of a query as an array of objects, from the cache where that is exact';

CREATE FUNCTION cache_explain(query text, args text[] DEFAULT '{}',
							  OUT cacheable boolean, OUT state text, OUT reason text,
							  OUT depends_on regclass[], OUT key text,
							  OUT dependencies text[])
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'cachekit_cache_explain'
LANGUAGE C VOLATILE PARALLEL UNSAFE ROWS 1;
COMMENT ON FUNCTION cache_explain(text, text[]) IS
'whether a query is cacheable, every reason why not, and what it depends on';

CREATE FUNCTION cache_invalidate_query(query text, args text[] DEFAULT '{}')
RETURNS boolean
AS 'MODULE_PATHNAME', 'cachekit_cache_invalidate_query'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION cache_invalidate_query(text, text[]) IS
'removes the cached results of a query; false: there were none';
REVOKE ALL ON FUNCTION cache_invalidate_query(text, text[]) FROM PUBLIC;

CREATE FUNCTION cache_invalidate_table(tbl regclass)
RETURNS void
AS 'MODULE_PATHNAME', 'cachekit_cache_invalidate_table'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION cache_invalidate_table(regclass) IS
'invalidates, at commit, all results that depend on a table';
REVOKE ALL ON FUNCTION cache_invalidate_table(regclass) FROM PUBLIC;

CREATE FUNCTION cache_flush()
RETURNS bigint
AS 'MODULE_PATHNAME', 'cachekit_cache_flush'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION cache_flush() IS
'removes all cached query results of this database; returns how many';
REVOKE ALL ON FUNCTION cache_flush() FROM PUBLIC;

--
-- Tracking
--

CREATE FUNCTION cache_invalidate()
RETURNS trigger
AS 'MODULE_PATHNAME', 'cachekit_cache_invalidate'
LANGUAGE C;
COMMENT ON FUNCTION cache_invalidate() IS
'trigger function: invalidates results that depend on the table, or on keys of its rows';

CREATE FUNCTION cache_invalidate_tags()
RETURNS trigger
AS 'MODULE_PATHNAME', 'cachekit_cache_invalidate_tags'
LANGUAGE C;
COMMENT ON FUNCTION cache_invalidate_tags() IS
'trigger function: invalidates the tags that its templates make of OLD and NEW';

CREATE FUNCTION cache_track(tbl regclass, VARIADIC key_columns name[] DEFAULT '{}')
RETURNS void
AS 'MODULE_PATHNAME', 'cachekit_cache_track'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION cache_track(regclass, name[]) IS
'attaches the triggers that let queries on a table be cached exactly';
REVOKE ALL ON FUNCTION cache_track(regclass, name[]) FROM PUBLIC;

CREATE FUNCTION cache_untrack(tbl regclass, VARIADIC key_columns name[] DEFAULT '{}')
RETURNS void
AS 'MODULE_PATHNAME', 'cachekit_cache_untrack'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION cache_untrack(regclass, name[]) IS
'removes the triggers that cache_track() attached, or one key only';
REVOKE ALL ON FUNCTION cache_untrack(regclass, name[]) FROM PUBLIC;

CREATE FUNCTION cachekit_on_ddl()
RETURNS event_trigger
AS 'MODULE_PATHNAME', 'cachekit_on_ddl'
LANGUAGE C;
COMMENT ON FUNCTION cachekit_on_ddl() IS
'event trigger function: what schema changes mean for the cache';

CREATE EVENT TRIGGER cachekit_ddl_command_end ON ddl_command_end
	EXECUTE FUNCTION cachekit_on_ddl();
ALTER EVENT TRIGGER cachekit_ddl_command_end ENABLE ALWAYS;
COMMENT ON EVENT TRIGGER cachekit_ddl_command_end IS
'tells cachekit of schema changes; without it nothing is cached exactly';

CREATE FUNCTION cachekit_on_drop()
RETURNS event_trigger
AS 'MODULE_PATHNAME', 'cachekit_on_drop'
LANGUAGE C;
COMMENT ON FUNCTION cachekit_on_drop() IS
'event trigger function: what dropped tables mean for the cache';

CREATE EVENT TRIGGER cachekit_sql_drop ON sql_drop
	EXECUTE FUNCTION cachekit_on_drop();
ALTER EVENT TRIGGER cachekit_sql_drop ENABLE ALWAYS;
COMMENT ON EVENT TRIGGER cachekit_sql_drop IS
'tells cachekit of dropped tables; without it nothing is cached exactly';

--
-- Rules
--

CREATE FUNCTION cachekit_rule_is_valid(queryid bigint, ttl interval, tags text[],
									   stale_while_revalidate interval)
RETURNS boolean
AS 'MODULE_PATHNAME', 'cachekit_rule_is_valid'
LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION cachekit_rule_is_valid(bigint, interval, text[], interval) IS
'raises an error if a rule can not be so';

-- src/rules.c reads the columns by number.
CREATE TABLE cachekit_rule (
	queryid bigint PRIMARY KEY,
	ttl interval,
	tags text[],
	stale_while_revalidate interval,
	keep_warm boolean NOT NULL DEFAULT false,
	enabled boolean NOT NULL DEFAULT true,
	query text,
	CHECK (cachekit_rule_is_valid(queryid, ttl, tags, stale_while_revalidate))
);
COMMENT ON TABLE cachekit_rule IS
'queries that are cached by rule; see cache_rule_create()';
SELECT pg_catalog.pg_extension_config_dump('cachekit_rule', '');

CREATE FUNCTION cachekit_on_rule_change()
RETURNS trigger
AS 'MODULE_PATHNAME', 'cachekit_on_rule_change'
LANGUAGE C;
COMMENT ON FUNCTION cachekit_on_rule_change() IS
'trigger function: tells sessions that rules have changed';
CREATE TRIGGER cachekit_rule_change
	AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON cachekit_rule
	FOR EACH STATEMENT EXECUTE FUNCTION cachekit_on_rule_change();
ALTER TABLE cachekit_rule ENABLE ALWAYS TRIGGER cachekit_rule_change;
COMMENT ON TRIGGER cachekit_rule_change ON cachekit_rule IS
'tells sessions that rules have changed';

CREATE FUNCTION cache_rule_create(queryid bigint, ttl interval DEFAULT NULL,
								  tags text[] DEFAULT NULL,
								  stale_while_revalidate interval DEFAULT NULL,
								  keep_warm boolean DEFAULT false,
								  enabled boolean DEFAULT true)
RETURNS void
AS 'MODULE_PATHNAME', 'cachekit_cache_rule_create'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION cache_rule_create(bigint, interval, text[], interval, boolean, boolean) IS
'caches the query with this identifier, wherever it is run in this database';
REVOKE ALL ON FUNCTION cache_rule_create(bigint, interval, text[], interval, boolean, boolean)
	FROM PUBLIC;

CREATE FUNCTION cache_rule_drop(queryid bigint)
RETURNS boolean
AS 'MODULE_PATHNAME', 'cachekit_cache_rule_drop'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION cache_rule_drop(bigint) IS
'removes a rule; false: there was none';
REVOKE ALL ON FUNCTION cache_rule_drop(bigint) FROM PUBLIC;

--
-- Denormalized tables
--

CREATE TABLE cachekit_denorm_def (
	target regclass PRIMARY KEY,
	definition regclass NOT NULL,
	key text[] NOT NULL,
	mode text NOT NULL CHECK (mode IN ('immediate', 'deferred', 'async')),
	attached boolean NOT NULL,
	sources regclass[] NOT NULL,
	settings text[] NOT NULL
);
COMMENT ON TABLE cachekit_denorm_def IS
'definitions of denormalized tables; see the view cachekit_denorm';
SELECT pg_catalog.pg_extension_config_dump('cachekit_denorm_def', '');

CREATE TABLE cachekit_denorm_queue (
	target regclass NOT NULL,
	key text[],
	xid xid8 NOT NULL,
	queued_at timestamptz NOT NULL,
	attempts integer NOT NULL,
	retry_at timestamptz,
	error text,
	set_aside boolean NOT NULL
);
COMMENT ON TABLE cachekit_denorm_queue IS
'keys of denormalized tables in mode async that are still to be computed';
SELECT pg_catalog.pg_extension_config_dump('cachekit_denorm_queue', '');

REVOKE ALL ON cachekit_denorm_def, cachekit_denorm_queue FROM PUBLIC;

CREATE FUNCTION denorm_create(target text, query text, key text[],
							  mode text DEFAULT 'immediate',
							  unique_key boolean DEFAULT NULL,
							  attach boolean DEFAULT true)
RETURNS regclass
AS 'MODULE_PATHNAME', 'cachekit_denorm_create'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION denorm_create(text, text, text[], text, boolean, boolean) IS
'makes a table of a query''s result, and keeps it true when the sources change';
REVOKE ALL ON FUNCTION denorm_create(text, text, text[], text, boolean, boolean) FROM PUBLIC;

CREATE FUNCTION denorm_drop(target regclass, keep_table boolean DEFAULT false)
RETURNS void
AS 'MODULE_PATHNAME', 'cachekit_denorm_drop'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION denorm_drop(regclass, boolean) IS
'drops a denormalized table, or only stops maintaining it';
REVOKE ALL ON FUNCTION denorm_drop(regclass, boolean) FROM PUBLIC;

CREATE FUNCTION denorm_refresh(target regclass)
RETURNS bigint
AS 'MODULE_PATHNAME', 'cachekit_denorm_refresh'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION denorm_refresh(regclass) IS
'computes a denormalized table anew; returns how many rows had to be written';
REVOKE ALL ON FUNCTION denorm_refresh(regclass) FROM PUBLIC;

CREATE FUNCTION denorm_verify(target regclass, OUT key jsonb, OUT problem text)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'cachekit_denorm_verify'
LANGUAGE C VOLATILE PARALLEL UNSAFE ROWS 1;
COMMENT ON FUNCTION denorm_verify(regclass) IS
'where a denormalized table differs from its query; no row when it is true';
REVOKE ALL ON FUNCTION denorm_verify(regclass) FROM PUBLIC;

CREATE FUNCTION denorm_set_mode(target regclass, mode text)
RETURNS void
AS 'MODULE_PATHNAME', 'cachekit_denorm_set_mode'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION denorm_set_mode(regclass, text) IS
'when changes of the sources are followed: immediate, deferred or async';
REVOKE ALL ON FUNCTION denorm_set_mode(regclass, text) FROM PUBLIC;

CREATE FUNCTION denorm_wait(target regclass DEFAULT NULL,
							timeout interval DEFAULT '1 minute')
RETURNS boolean
AS 'MODULE_PATHNAME', 'cachekit_denorm_wait'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION denorm_wait(regclass, interval) IS
'waits until all changes committed before are applied; false: they are not';
REVOKE ALL ON FUNCTION denorm_wait(regclass, interval) FROM PUBLIC;

CREATE FUNCTION denorm_refresh_row()
RETURNS trigger
AS 'MODULE_PATHNAME', 'cachekit_denorm_refresh_row'
LANGUAGE C;
COMMENT ON FUNCTION denorm_refresh_row() IS
'trigger function: computes the rows of denormalized tables that a change concerns';

CREATE FUNCTION cachekit_denorm_drain()
RETURNS bigint
AS 'MODULE_PATHNAME', 'cachekit_denorm_drain'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION cachekit_denorm_drain() IS
'what a background worker does in one transaction; returns how many keys';
REVOKE ALL ON FUNCTION cachekit_denorm_drain() FROM PUBLIC;

CREATE FUNCTION cachekit_stat_denorm(target regclass, OUT recomputed_by text[],
									 OUT full_for regclass[])
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'cachekit_stat_denorm'
LANGUAGE C VOLATILE PARALLEL RESTRICTED ROWS 1;
COMMENT ON FUNCTION cachekit_stat_denorm(regclass) IS
'by which columns a denormalized table is computed, and for which sources as a whole';
REVOKE ALL ON FUNCTION cachekit_stat_denorm(regclass) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION cachekit_stat_denorm(regclass) TO pg_monitor;

CREATE VIEW cachekit_denorm AS
SELECT d.target, d.definition, d.key, d.mode, d.sources, s.recomputed_by, s.full_for,
	   q.pending, q.set_aside, q.lag, q.last_error
FROM cachekit_denorm_def d
	 LEFT JOIN LATERAL cachekit_stat_denorm(d.target) s ON true,
	 LATERAL (SELECT count(*) FILTER (WHERE NOT set_aside) AS pending,
					 count(*) FILTER (WHERE set_aside) AS set_aside,
					 clock_timestamp() - min(queued_at) FILTER (WHERE NOT set_aside) AS lag,
					 (array_agg(error ORDER BY retry_at DESC NULLS LAST)
					  FILTER (WHERE error IS NOT NULL))[1] AS last_error
			  FROM cachekit_denorm_queue WHERE target = d.target) q;
COMMENT ON VIEW cachekit_denorm IS
'denormalized tables: how they are maintained, and what is still to be done';

CREATE FUNCTION cachekit_stat_progress(
	OUT pid integer, OUT datid oid, OUT target oid, OUT phase text,
	OUT rows_done bigint, OUT rows_total bigint, OUT started timestamptz)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'cachekit_stat_progress'
LANGUAGE C VOLATILE PARALLEL RESTRICTED ROWS 1;
COMMENT ON FUNCTION cachekit_stat_progress() IS
'long operations on denormalized tables of all databases';
REVOKE ALL ON FUNCTION cachekit_stat_progress() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION cachekit_stat_progress() TO pg_monitor;

CREATE VIEW cachekit_progress AS
SELECT p.pid, p.datid, d.datname, p.target::regclass AS target, p.phase,
	   p.rows_done, p.rows_total, p.started
FROM cachekit_stat_progress() p JOIN pg_catalog.pg_database d ON d.oid = p.datid
WHERE d.datname = pg_catalog.current_database();
COMMENT ON VIEW cachekit_progress IS
'builds and refreshes of denormalized tables of this database that are running';

CREATE FUNCTION cachekit_stat_workers(
	OUT datid oid, OUT pid integer, OUT state text, OUT keys bigint,
	OUT warmed bigint, OUT started timestamptz, OUT active timestamptz,
	OUT warm_time interval)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'cachekit_stat_workers'
LANGUAGE C VOLATILE PARALLEL RESTRICTED ROWS 1;
COMMENT ON FUNCTION cachekit_stat_workers() IS
'background workers of all databases';
REVOKE ALL ON FUNCTION cachekit_stat_workers() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION cachekit_stat_workers() TO pg_monitor;

CREATE VIEW cachekit_workers AS
SELECT w.datid, d.datname, w.pid, w.state, w.keys, w.warmed, w.started, w.active,
	w.warm_time
FROM cachekit_stat_workers() w LEFT JOIN pg_catalog.pg_database d ON d.oid = w.datid;
COMMENT ON VIEW cachekit_workers IS
'background workers of all databases, and what they have done';

GRANT SELECT ON cachekit_denorm, cachekit_progress, cachekit_workers TO pg_monitor;

--
-- Watching
--

CREATE FUNCTION cachekit_stat_counters(
	OUT hits bigint, OUT misses bigint, OUT bypasses bigint, OUT fills bigint,
	OUT sets bigint, OUT evictions bigint, OUT expirations bigint,
	OUT invalidations bigint, OUT oversize bigint, OUT no_room bigint,
	OUT lease_waits bigint, OUT stale_hits bigint, OUT time_saved_us bigint, OUT loaded bigint, OUT entries bigint,
	OUT bytes_used bigint, OUT bytes_total bigint, OUT stats_reset timestamptz)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'cachekit_stat_counters'
LANGUAGE C VOLATILE PARALLEL RESTRICTED ROWS 1;
COMMENT ON FUNCTION cachekit_stat_counters() IS
'the cache''s counters for this database';

CREATE VIEW cachekit_stats AS
SELECT hits, misses, bypasses, fills, sets, entries, bytes_used, bytes_total,
	   evictions, expirations, invalidations, oversize, no_room, lease_waits, stale_hits,
	   round(time_saved_us::numeric / 1000.0, 3) AS time_saved_ms,
	   round(hits::numeric / nullif(hits + misses, 0::bigint)::numeric, 4) AS hit_ratio,
	   stats_reset, loaded
FROM cachekit_stat_counters();
COMMENT ON VIEW cachekit_stats IS
'the cache in this database: one row of counters since stats_reset';

CREATE FUNCTION cachekit_stat_bypasses(OUT reason text, OUT count bigint)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'cachekit_stat_bypasses'
LANGUAGE C VOLATILE PARALLEL RESTRICTED ROWS 10;
COMMENT ON FUNCTION cachekit_stat_bypasses() IS
'how often queries of this database went past the cache, by reason';

CREATE VIEW cachekit_bypasses AS
SELECT reason, count FROM cachekit_stat_bypasses();
COMMENT ON VIEW cachekit_bypasses IS
'how often queries of this database went past the cache, by reason';

CREATE FUNCTION cachekit_stat_entries(
	OUT kind text, OUT key text, OUT type regtype, OUT query text,
	OUT depends_on regclass[], OUT hits bigint, OUT bytes bigint,
	OUT value_bytes bigint, OUT age interval, OUT expires_in interval,
	OUT cost_ms float8, OUT saved_ms float8, OUT dependencies text[])
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'cachekit_stat_entries'
LANGUAGE C VOLATILE PARALLEL RESTRICTED ROWS 1000;
COMMENT ON FUNCTION cachekit_stat_entries() IS
'the entries of this database that are in the cache now';

CREATE VIEW cachekit_entries AS
SELECT * FROM cachekit_stat_entries();
COMMENT ON VIEW cachekit_entries IS
'the entries of this database that are in the cache now';

CREATE FUNCTION cachekit_stat_queries(
	OUT query text, OUT calls bigint, OUT hits bigint, OUT misses bigint,
	OUT bypasses bigint, OUT fill_ms float8, OUT saved_ms float8, OUT bytes bigint,
	OUT queryid bigint)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'cachekit_stat_queries'
LANGUAGE C VOLATILE PARALLEL RESTRICTED ROWS 100;
COMMENT ON FUNCTION cachekit_stat_queries() IS
'statistics of cached queries of this database, by text';

CREATE VIEW cachekit_queries AS
SELECT * FROM cachekit_stat_queries();
COMMENT ON VIEW cachekit_queries IS
'statistics of cached queries of this database, by text';

CREATE FUNCTION cachekit_stat_table(tbl regclass, OUT tracked boolean, OUT gap text,
	OUT tracker text, OUT keys text[])
RETURNS record
AS 'MODULE_PATHNAME', 'cachekit_stat_table'
LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED;
COMMENT ON FUNCTION cachekit_stat_table(regclass) IS
'whether every write to a table is seen, if not, why, who watches it, and by which keys';

CREATE VIEW cachekit_tracked_tables AS
SELECT t.relid::pg_catalog.regclass AS tbl, s.tracked, s.gap, s.tracker, s.keys
FROM (SELECT tgrelid AS relid FROM pg_catalog.pg_trigger
	  WHERE NOT tgisinternal AND tgfoid = 'cache_invalidate()'::pg_catalog.regprocedure::pg_catalog.oid
	  UNION
	  SELECT oid FROM pg_catalog.pg_class
	  WHERE pg_catalog.current_setting('cachekit.track', true) = 'all'
		AND relkind IN ('r', 'p') AND relpersistence <> 't' AND oid >= 16384) t,
	 LATERAL cachekit_stat_table(t.relid) s;
COMMENT ON VIEW cachekit_tracked_tables IS
'tables with cachekit''s triggers, under cachekit.track = all every table, and what is missing for exact results';

CREATE FUNCTION cachekit_stat_statements(
	OUT queryid bigint, OUT query text, OUT calls bigint, OUT total_exec_ms float8,
	OUT rows bigint, OUT since timestamptz)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'cachekit_stat_statements'
LANGUAGE C VOLATILE PARALLEL RESTRICTED ROWS 1000;
COMMENT ON FUNCTION cachekit_stat_statements() IS
'the statements of this database in pg_stat_statements, if that is installed';

CREATE FUNCTION cachekit_stat_rule(queryid bigint)
RETURNS text
AS 'MODULE_PATHNAME', 'cachekit_stat_rule'
LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED;
COMMENT ON FUNCTION cachekit_stat_rule(bigint) IS
'whether a rule is active in this session, or why not';

CREATE VIEW cachekit_rules AS
SELECT r.queryid, r.ttl, r.tags, r.stale_while_revalidate, r.keep_warm, r.enabled,
	   cachekit_stat_rule(r.queryid) AS state,
	   coalesce(s.query, r.query) AS query, s.calls,
	   round((s.total_exec_ms / nullif(s.calls, 0::bigint))::numeric, 3) AS mean_exec_ms
FROM cachekit_rule r LEFT JOIN cachekit_stat_statements() s ON s.queryid = r.queryid;
COMMENT ON VIEW cachekit_rules IS
'queries that are cached by rule, and what pg_stat_statements knows of them';

CREATE FUNCTION cachekit_stat_text(
	query text, OUT exact boolean, OUT trackable boolean, OUT never boolean,
	OUT reason text, OUT parameters integer, OUT tables regclass[],
	OUT rows_written bigint[], OUT key_columns text[])
RETURNS record
AS 'MODULE_PATHNAME', 'cachekit_stat_text'
LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;
COMMENT ON FUNCTION cachekit_stat_text(text) IS
'whether a query could be cached, and what is known of the tables that it reads';

-- What would be worth caching.  The estimate, and what it assumes:
--
-- Reads of a query come at a rate r = calls / period, and have k different
-- sets of arguments, each an entry: k = 1 without parameters; with them k is
-- not known, and taken to be sqrt(calls), which is near to what skewed demand
-- shows.  Writes to its tables come at a rate w.  If both are independent of
-- each other and of the past (Poisson), the event before a read of an entry is
-- another read of it, and not a write, with probability (r/k) / (r/k + w): a
-- hit.  With a ttl of T instead, an entry that is stored serves r/k * T reads
-- on average: (r/k) / (r/k + 1/T).  The first read of each entry is no hit,
-- so that both are taken times 1 - k/calls.
--
-- w is rows written, by the statistics of tables, as if each row were written
-- by a transaction of its own: too many, so that the hit ratio is too low.
-- (Statements that change no row count for the cache, but not here.)  Where
-- the WHERE clause fixes a column of a table by equality, tracking it by that
-- column leaves each entry the w/k writes to its own key: keyed_hit_ratio, and
-- expected_hit_ratio if it is tracked so already.
--
-- Periods begin when pg_stat_statements, and the database's statistics, were
-- reset; if the latter never were, both are taken to be of the same period.
--
-- A hit saves what the query takes on average, less 0.01 ms for the lookup.
CREATE VIEW cachekit_advice AS
WITH statements AS (
	SELECT queryid, query, calls, total_exec_ms, total_exec_ms / calls AS mean_exec_ms,
		   greatest(extract(epoch FROM now() - since), 1::numeric)::float8 AS seconds
	FROM cachekit_stat_statements()
	WHERE calls > 0
	  AND query ~* '^(\s|\(|/\*.*?\*/|--[^\n]*\n)*(select|values|table|with)\y'
	ORDER BY total_exec_ms DESC
	LIMIT 200
), texts AS (
	SELECT s.*, t.*,
		   CASE WHEN t.parameters = 0 THEN 1::float8 ELSE ceil(sqrt(s.calls::float8)) END AS k,
		   CASE WHEN d.stats_reset IS NULL THEN s.seconds
		   ELSE greatest(extract(epoch FROM now() - d.stats_reset), 1::numeric)::float8 END
		   AS table_seconds
	FROM statements s,
		 -- date '2026-01-01' is normalised to date $1, which is no SQL
		 LATERAL cachekit_stat_text(regexp_replace(s.query,
			'\y(date|interval|(?:time|timestamp)(?:tz| with(?:out)? time zone)?)\s+(\$\d+)',
			'\2::\1', 'gi')) t,
		 (SELECT stats_reset FROM pg_catalog.pg_stat_database
		  WHERE datname = pg_catalog.current_database()) d
), rates AS (
	SELECT x.*, x.calls / x.seconds / x.k AS entry_reads,
		   w.written / x.table_seconds AS writes,
		   (w.written - w.keyed_now + w.keyed_now / x.k) / x.table_seconds AS writes_now,
		   (w.written - w.keyed + w.keyed / x.k) / x.table_seconds AS keyed_writes,
		   greatest(1 - x.k / x.calls, 0) AS not_first,
		   w.keyed_tables, w.track, w.track_by_key
	FROM texts x, LATERAL (
		SELECT coalesce(sum(written), 0)::float8 AS written,
			   coalesce(sum(written) FILTER (WHERE key IS NOT NULL), 0)::float8 AS keyed,
			   coalesce(sum(written) FILTER (WHERE g.is_key), 0)::float8 AS keyed_now,
			   count(key) AS keyed_tables,
			   string_agg(format('SELECT %s(%L); ', 'cache_track'::regproc, tbl), ''
						  ORDER BY n) FILTER (WHERE NOT g.tracked) AS track,
			   string_agg(CASE WHEN key IS NULL
						  THEN format('SELECT %s(%L); ', 'cache_track'::regproc, tbl)
						  ELSE format('SELECT %s(%L, %L); ', 'cache_track'::regproc, tbl, key)
						  END, '' ORDER BY n)
			   FILTER (WHERE NOT g.tracked OR (key IS NOT NULL AND NOT g.is_key)) AS track_by_key
		FROM unnest(x.tables, x.rows_written, x.key_columns)
			 WITH ORDINALITY AS u(tbl, written, key, n),
			 LATERAL (SELECT tracked, coalesce(quote_ident(u.key) = ANY (keys), false) AS is_key
					  FROM cachekit_stat_table(u.tbl)) g) w
), ratios AS (
	SELECT r.*,
		   not_first * entry_reads / (entry_reads + writes_now) AS exact_ratio,
		   not_first * entry_reads / (entry_reads + keyed_writes) AS keyed_ratio,
		   not_first * entry_reads / (entry_reads + 1 / 60.0::float8) AS ttl_ratio,
		   u.queryid IS NOT NULL AS ruled
	FROM rates r LEFT JOIN cachekit_rule u ON u.queryid = r.queryid AND u.enabled
), verdicts AS (
	SELECT *,
		   CASE WHEN never OR cardinality(tables) = 0 THEN 'none'
				WHEN exact THEN 'rule'
				WHEN trackable THEN 'track'
				ELSE 'ttl' END AS advice,
		   CASE WHEN never OR cardinality(tables) = 0 THEN 0
				WHEN trackable THEN exact_ratio
				ELSE ttl_ratio END AS hit_ratio
	FROM ratios
), comments (pattern) AS (
	-- PostgreSQL 18 has statements begin behind them
	VALUES ('^(\s|/\*([^*]|\*+[^*/])*\*+/|--[^\n]*\n)+')
), by_id AS (
	SELECT queryid, sum(hits) AS hits, sum(misses) AS misses
	FROM cachekit_stat_queries() WHERE queryid IS NOT NULL GROUP BY 1
), by_text AS (
	-- of sessions that computed no identifiers
	SELECT rtrim(regexp_replace(query, pattern, ''), E' \t\r\n') AS text,
		   sum(hits) AS hits, sum(misses) AS misses
	FROM cachekit_stat_queries(), comments WHERE queryid IS NULL GROUP BY 1
)
SELECT queryid, query, calls,
	   round(mean_exec_ms::numeric, 3) AS mean_exec_ms,
	   round(total_exec_ms::numeric, 3) AS total_exec_ms,
	   tables, exact AS cacheable, reason, ruled,
	   round((writes * seconds / calls)::numeric, 4) AS writes_per_call,
	   round(hit_ratio::numeric, 4) AS expected_hit_ratio,
	   CASE WHEN advice IN ('rule', 'track') AND keyed_tables > 0
	   THEN round(keyed_ratio::numeric, 4) END AS keyed_hit_ratio,
	   round((calls * hit_ratio * greatest(mean_exec_ms - 0.01::float8, 0))::numeric, 3)
	   AS expected_saving_ms,
	   advice,
	   CASE WHEN advice = 'none' OR ruled THEN NULL
	   ELSE CASE WHEN advice = 'ttl' THEN ''
				 WHEN keyed_ratio > hit_ratio + 0.1::float8 THEN coalesce(track_by_key, '')
				 ELSE coalesce(track, '') END
			|| format(CASE WHEN advice = 'ttl' THEN 'SELECT %s(%s, ttl => ''1 minute'');'
					  ELSE 'SELECT %s(%s);' END, 'cache_rule_create'::regproc, queryid)
	   END AS suggestion,
	   (CASE WHEN t.hits IS NULL THEN i.hits ELSE t.hits + coalesce(i.hits, 0) END)::bigint AS hits,
	   (CASE WHEN t.misses IS NULL THEN i.misses ELSE t.misses + coalesce(i.misses, 0) END)::bigint
	   AS misses
FROM verdicts CROSS JOIN comments
	 LEFT JOIN by_id i USING (queryid)
	 LEFT JOIN by_text t ON t.text = regexp_replace(query, pattern, '')
ORDER BY expected_saving_ms DESC;
COMMENT ON VIEW cachekit_advice IS
'what would be worth caching of the statements that pg_stat_statements knows';

CREATE FUNCTION cache_reset_stats()
RETURNS void
AS 'MODULE_PATHNAME', 'cachekit_cache_reset_stats'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION cache_reset_stats() IS
'zeroes the counters of this database';
REVOKE ALL ON FUNCTION cache_reset_stats() FROM PUBLIC;

CREATE FUNCTION cache_check()
RETURNS SETOF text
AS 'MODULE_PATHNAME', 'cachekit_cache_check'
LANGUAGE C VOLATILE PARALLEL UNSAFE ROWS 1;
COMMENT ON FUNCTION cache_check() IS
'walks every invariant of the shared structures; returns violations, no row when all is well';
REVOKE ALL ON FUNCTION cache_check() FROM PUBLIC;

REVOKE ALL ON FUNCTION cachekit_stat_counters(), cachekit_stat_bypasses(),
	cachekit_stat_entries(), cachekit_stat_queries(), cachekit_stat_statements(),
	cachekit_stat_rule(bigint), cachekit_stat_text(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION cachekit_stat_counters(), cachekit_stat_bypasses(),
	cachekit_stat_entries(), cachekit_stat_queries() TO pg_monitor;
GRANT SELECT ON cachekit_stats, cachekit_bypasses, cachekit_entries,
	cachekit_queries, cachekit_tracked_tables TO pg_monitor;
GRANT EXECUTE ON FUNCTION cachekit_stat_statements(), cachekit_stat_rule(bigint),
	cachekit_stat_text(text), cachekit_stat_queries() TO pg_read_all_stats;
GRANT SELECT ON cachekit_rules, cachekit_advice TO pg_read_all_stats;
