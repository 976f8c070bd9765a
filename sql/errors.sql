--
-- Misuse is told; nothing else is an error.
--
\set ECHO none
\set QUIET on
\i sql/oracle.part.sql
\set ECHO all
CREATE TABLE t (id int PRIMARY KEY, v text);
INSERT INTO t VALUES (1, 'one'), (2, 'two');
SELECT cache_track('t');
-- SQLSTATE and texts of what a statement raises
CREATE FUNCTION state_of(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	d text;
	h text;
BEGIN
	EXECUTE statement;
	RETURN 'no error';
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS d = PG_EXCEPTION_DETAIL, h = PG_EXCEPTION_HINT;
	RETURN concat_ws(' / ', SQLSTATE, SQLERRM, nullif(d, ''), nullif(h, ''));
END $$;
\pset format unaligned
\pset tuples_only on

-- the query argument
SELECT state_of($$SELECT cached_query_json(NULL)$$);
SELECT state_of($$SELECT cached_query_json('')$$);
SELECT state_of($$SELECT cached_query_json('  -- nothing')$$);
SELECT state_of($$SELECT cached_query_json(';')$$);
SELECT state_of($$SELECT cached_query_json('SELECT 1;')$$);
SELECT state_of($$SELECT cached_query_json('SELECT 1; SELECT 2')$$);
SELECT state_of($$SELECT cached_query_json('SELECT 1; DROP TABLE t')$$);
SELECT state_of($$SELECT cached_query_json('INSERT INTO t VALUES (3)')$$);
SELECT state_of($$SELECT cached_query_json('UPDATE t SET v = 1 RETURNING *')$$);
SELECT state_of($$SELECT cached_query_json('DELETE FROM t')$$);
SELECT state_of($$SELECT cached_query_json('MERGE INTO t USING t s ON s.id = t.id WHEN MATCHED THEN DELETE')$$);
SELECT state_of($$SELECT cached_query_json('WITH w AS (DELETE FROM t RETURNING *) SELECT * FROM w')$$);
SELECT state_of($$SELECT cached_query_json('SELECT * FROM (WITH w AS (DELETE FROM t RETURNING *) SELECT * FROM w) x')$$);
SELECT state_of($$SELECT cached_query_json('SELECT * INTO n FROM t')$$);
SELECT state_of($$SELECT cached_query_json('SELECT 1 INTO n UNION SELECT 2')$$);
SELECT state_of($$SELECT cached_query_json('CREATE TABLE n (id int)')$$);
SELECT state_of($$SELECT cached_query_json('CREATE TABLE n AS SELECT 1')$$);
SELECT state_of($$SELECT cached_query_json('DROP TABLE t')$$);
SELECT state_of($$SELECT cached_query_json('TRUNCATE t')$$);
SELECT state_of($$SELECT cached_query_json('BEGIN')$$);
SELECT state_of($$SELECT cached_query_json('COMMIT')$$);
SELECT state_of($$SELECT cached_query_json('SET work_mem = 1')$$);
SELECT state_of($$SELECT cached_query_json('SHOW work_mem')$$);
SELECT state_of($$SELECT cached_query_json('EXPLAIN SELECT 1')$$);
SELECT state_of($$SELECT cached_query_json('COPY t TO STDOUT')$$);
SELECT state_of($$SELECT cached_query_json('CALL p()')$$);
SELECT state_of($$SELECT cached_query_json('DO $x$ BEGIN END $x$')$$);
SELECT state_of($$SELECT cached_query_json('DECLARE c CURSOR FOR SELECT 1')$$);
SELECT state_of($$SELECT cached_query_json('FETCH c')$$);
SELECT state_of($$SELECT cached_query_json('PREPARE p AS SELECT 1')$$);
SELECT state_of($$SELECT cached_query_json('EXECUTE p')$$);
SELECT state_of($$SELECT cached_query_json('LISTEN x')$$);
SELECT state_of($$SELECT cached_query_json('VACUUM t')$$);
SELECT state_of($$SELECT cached_query_json('LOCK TABLE t')$$);
SELECT count(*) FROM t;
-- a rule may rewrite a SELECT into nothing else
SELECT state_of($$SELECT cached_query_json('VALUES (1), (2)')$$), state_of($$SELECT cached_query_json('TABLE t')$$), state_of($$SELECT cached_query_json('(SELECT 1)')$$), state_of($$SELECT cached_query_json('WITH w AS (SELECT 1) SELECT * FROM w')$$);

-- arguments
SELECT state_of($$SELECT cached_query_json('SELECT $1::int', '{}')$$);
SELECT state_of($$SELECT cached_query_json('SELECT $1::int', NULL)$$);
SELECT state_of($$SELECT cached_query_json('SELECT $2::int', '{1}')$$);
SELECT state_of($$SELECT cached_query_json('SELECT $2::int', '{1,2}')$$);
SELECT state_of($$SELECT cached_query_json('SELECT $1::int', '{1,2}')$$);
SELECT state_of($$SELECT cached_query_json('SELECT 1', '{1}')$$);
SELECT state_of($$SELECT cached_query_json('SELECT $0', '{1}')$$);
SELECT state_of($$SELECT cached_query_json('SELECT $70000::int', '{1}')$$);
SELECT state_of($$SELECT cached_query_json('SELECT * FROM t WHERE id = $1', '{one}')$$);
SELECT state_of($$SELECT cached_query_json('SELECT * FROM t WHERE id = $1', '{99999999999}')$$);
SELECT state_of($$SELECT cached_query_json('SELECT * FROM t WHERE id = $1 AND v = $2', '{1,NULL}')$$);
SELECT state_of($$SELECT cached_query_json('SELECT $1 IS NULL', '{1}')$$);
SELECT state_of($$SELECT cached_query_json('SELECT $1::date', '{2024-02-30}')$$);
SELECT state_of($$SELECT cached_query_json('SELECT $1::json', '{"{"}')$$);
SELECT state_of($$SELECT cached_query_json('SELECT $1', '{{1,2},{3,4}}')$$);
SELECT state_of($$SELECT cached_query_json('SELECT $1, $2::text, $3::text, $4::text', '{{1,2},{3,4}}')$$);
CREATE DOMAIN small AS int CHECK (VALUE < 10);
SELECT state_of($$SELECT cached_query_json('SELECT $1::small', '{5}')$$);
SELECT state_of($$SELECT cached_query_json('SELECT $1::small', '{50}')$$);
SELECT state_of($$SELECT cached_query_json('SELECT $1::regclass', '{nowhere}')$$);
DROP DOMAIN small;

-- ttl and tags
SELECT state_of($$SELECT cached_query_json('SELECT 1', ttl => '-1 second')$$);
SELECT state_of($$SELECT cached_query_json('SELECT 1', ttl => '0')$$);
SELECT state_of($$SELECT cached_query_json('SELECT now() IS NULL', ttl => '0')$$);
SELECT state_of($$SELECT cached_query_json('SELECT now() IS NULL', ttl => '-100 years')$$);
SELECT state_of($$SELECT cached_query_json('SELECT now() IS NULL', ttl => '178000000 years')$$);
SELECT state_of($$SELECT cached_query_json('SELECT now() IS NULL', ttl => '290000 years')$$);
SELECT state_of($$SELECT cached_query_json('SELECT 1', tags => '{}')$$);
SELECT state_of($$SELECT cached_query_json('SELECT 1', tags => '{NULL}')$$);
SELECT state_of($$SELECT cached_query_json('SELECT 1', tags => '{""}')$$);
SELECT state_of($$SELECT cached_query_json('SELECT 1', tags => ARRAY[repeat('x', 5000)])$$);
SELECT state_of($$SELECT cached_query_json('SELECT 1', tags => (SELECT array_agg('tag' || g) FROM generate_series(1, 1000) g))$$);

-- columns
SELECT state_of($$SELECT cached_query('SELECT 1')$$);
SELECT state_of($$SELECT * FROM cached_query('SELECT 1')$$);
SELECT state_of($$SELECT * FROM cached_query('SELECT 1') AS x(a int)$$);
SELECT state_of($$SELECT * FROM cached_query('SELECT 1') AS x(a bigint)$$);
SELECT state_of($$SELECT * FROM cached_query('SELECT 1, ''x''::varchar(5)') AS x(a int, b varchar(6))$$);
SELECT state_of($$SELECT * FROM cached_query('SELECT 1, ''x''::varchar(5)') AS x(a int, b varchar)$$);
SELECT state_of($$SELECT * FROM cached_query('SELECT 1, 2') AS x(a int)$$);
SELECT state_of($$SELECT * FROM cached_query('SELECT 1') AS x(a int, b int)$$);
SELECT state_of($$SELECT * FROM cached_query(NULL::t, 'SELECT id FROM t')$$);
SELECT state_of($$SELECT * FROM cached_query(NULL::t, 'SELECT v, id FROM t')$$);
SELECT state_of($$SELECT * FROM cached_query(NULL::int, 'SELECT v FROM t')$$);
SELECT state_of($$SELECT * FROM cached_query(NULL::int, 'SELECT id, v FROM t')$$);
SELECT state_of($$SELECT (cached_query(NULL::t, 'SELECT * FROM t')).v$$);
SELECT state_of($$SELECT cached_query(NULL::int, 'SELECT id FROM t')$$);
SELECT state_of($$SELECT * FROM cached_query(ROW(1, 2), 'SELECT 1, 2')$$);
SELECT state_of($$SELECT CASE WHEN true THEN cached_query(NULL::int, 'SELECT 1') END$$);
-- on a hit, too
SELECT probe('SELECT id, v FROM t');
SELECT state_of($$SELECT * FROM cached_query('SELECT id, v FROM t') AS x(a int, b int)$$), state_of($$SELECT * FROM cached_query('SELECT id, v FROM t') AS x(a int, b int)$$);

-- the query's own errors, the same on both ways
SELECT probe_error('SELEC 1');
SELECT probe_error('SELECT * FROM nowhere');
SELECT probe_error('SELECT nothing FROM t');
SELECT probe_error('SELECT nofunction(id) FROM t');
SELECT probe_error('SELECT id + ''x'' FROM t');
SELECT probe_error('SELECT v::int FROM t');
SELECT probe_error('SELECT 1 / (id - 1) FROM t');
SELECT probe_error('SELECT (SELECT id FROM t)');
SELECT probe_error('SELECT id FROM t GROUP BY v');
SELECT probe_error('SELECT * FROM t LIMIT -1');
SELECT probe_error('SELECT id FROM t FOR UPDATE OF nowhere');
SELECT probe_error('SELECT ''unterminated FROM t');
-- position, context and cursor point into the inner query
SELECT cached_query_json('SELECT nothing FROM t');
SELECT cached_query_json('SELEC 1');
SELECT cached_query_json('SELECT 1 / (id - 1) FROM t');
SELECT cached_query_json('SELECT $1::int', '{x}');

-- other functions
SELECT state_of($$SELECT * FROM cache_explain(NULL)$$);
SELECT state_of($$SELECT * FROM cache_explain('DELETE FROM t')$$);
SELECT state_of($$SELECT * FROM cache_explain('SELECT $1::int')$$);
SELECT state_of($$SELECT cache_invalidate_query(NULL)$$);
SELECT state_of($$SELECT cache_invalidate_query('DROP TABLE t')$$);
SELECT state_of($$SELECT cache_invalidate_table(NULL)$$);
SELECT state_of($$SELECT cache_invalidate_table('nowhere')$$);
SELECT state_of($$SELECT cache_invalidate_table(0)$$);
SELECT state_of($$SELECT cache_track(NULL)$$);
SELECT state_of($$SELECT cache_track('nowhere')$$);
SELECT state_of($$SELECT cache_track(0)$$);
SELECT state_of($$SELECT cache_untrack(NULL)$$);
SELECT state_of($$SELECT cache_track('t', 'nocolumn')$$);
SELECT state_of($$SELECT cache_track('t', VARIADIC '{NULL}')$$);
SELECT state_of($$SELECT cache_track('t', 'ctid')$$);
CREATE VIEW vw AS SELECT 1;
CREATE MATERIALIZED VIEW mv AS SELECT 1;
CREATE TEMP TABLE tmp (id int);
CREATE SEQUENCE seq;
CREATE INDEX idx ON t (v);
CREATE TYPE comp AS (a int);
CREATE FOREIGN DATA WRAPPER nowhere;
CREATE SERVER nowhere FOREIGN DATA WRAPPER nowhere;
CREATE FOREIGN TABLE ft (id int) SERVER nowhere;
SELECT n, state_of(format('SELECT cache_track(%L)', n)) FROM unnest('{vw,mv,tmp,seq,idx,comp,ft,pg_class,information_schema.sql_features}'::text[]) n;
SELECT n, state_of(format('SELECT cache_untrack(%L)', n)) FROM unnest('{vw,mv,tmp,seq,idx,comp,ft,pg_class}'::text[]) n;
SELECT state_of($$SELECT cache_track('t'); SELECT cache_track('t')$$);
SELECT state_of($$SELECT cache_untrack('t'); SELECT cache_untrack('t')$$);
DROP FOREIGN DATA WRAPPER nowhere CASCADE;
DROP TABLE tmp;
DROP TYPE comp;
DROP VIEW vw;
DROP MATERIALIZED VIEW mv;
DROP SEQUENCE seq;

-- trigger functions where they do not belong
SELECT state_of('SELECT cache_invalidate()');
SELECT state_of('SELECT cache_invalidate_tags()');
SELECT state_of('SELECT cachekit_on_ddl()');
CREATE TRIGGER x BEFORE INSERT ON t EXECUTE FUNCTION cache_invalidate_tags('a');
SELECT state_of('INSERT INTO t VALUES (10)');
DROP TRIGGER x ON t;
CREATE TRIGGER x BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION cache_invalidate_tags();
SELECT state_of('INSERT INTO t VALUES (10)');
DROP TRIGGER x ON t;
CREATE TRIGGER x BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION cache_invalidate_tags('a{nocolumn}');
SELECT state_of('INSERT INTO t VALUES (10)');
DROP TRIGGER x ON t;
CREATE TRIGGER x BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION cache_invalidate_tags('a{id');
SELECT state_of('INSERT INTO t VALUES (10)');
DROP TRIGGER x ON t;
CREATE TRIGGER x BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION cache_invalidate_tags('');
SELECT state_of('INSERT INTO t VALUES (10)');
DROP TRIGGER x ON t;
CREATE TRIGGER x AFTER INSERT ON t FOR EACH ROW EXECUTE FUNCTION cache_invalidate_tags('a}{id}');
SELECT state_of('INSERT INTO t VALUES (10)');
DROP TRIGGER x ON t;

-- settings
SELECT state_of('SET cachekit.nosuch = 1');
-- 17 repeats the unit in the range
SELECT regexp_replace(state_of('SET cachekit.max_entry_size = 0'), ' (kB|ms)\y', '', 'g');
SELECT regexp_replace(state_of('SET cachekit.lease_timeout = -1'), ' (kB|ms)\y', '', 'g');
SELECT state_of('SET cachekit.enabled = maybe');

\pset tuples_only off
\pset format aligned
SELECT * FROM cache_check();
DROP TABLE t;
DROP FUNCTION state_of;
SET client_min_messages = warning;
DROP SCHEMA oracle CASCADE;
