--
-- Tags on cached queries, by hand and by triggers; views and counters.
--
\set ECHO none
\set QUIET on
\i sql/oracle.part.sql
\set ECHO all
CREATE TABLE t (id int PRIMARY KEY, owner text, v int);
CREATE TABLE src (id int, val int);
SELECT cache_track('t');
INSERT INTO t VALUES (1, 'ann', 1), (2, 'bob', 2);
INSERT INTO src VALUES (1, 1), (2, 2);
CREATE FUNCTION tagged(query text, VARIADIC tags text[]) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	b record;
	a record;
BEGIN
	b := oracle.counters();
	PERFORM cached_query_json(query, ttl => '1 hour', tags => tags);
	a := oracle.counters();
	RETURN CASE WHEN a.hits > b.hits THEN 'hit' WHEN a.misses > b.misses THEN 'miss' ELSE 'bypass' END;
END $$;
\set q1 '''SELECT 1 AS q, count(*) FROM src'''
\set q2 '''SELECT 2 AS q, count(*) FROM src'''
\set q3 '''SELECT 3 AS q, count(*) FROM t'''
SELECT tagged(:q1, 'a'), tagged(:q2, 'a', 'b'), tagged(:q3, 'b');
SELECT tagged(:q1, 'a'), tagged(:q2, 'a', 'b'), tagged(:q3, 'b');
SELECT cache_invalidate_tag('a');
SELECT tagged(:q1, 'a'), tagged(:q2, 'a', 'b'), tagged(:q3, 'b');
SELECT cache_invalidate_tag('b');
SELECT tagged(:q1, 'a'), tagged(:q2, 'a', 'b'), tagged(:q3, 'b');
SELECT cache_invalidate_tag('none');
SELECT tagged(:q1, 'a'), tagged(:q2, 'a', 'b'), tagged(:q3, 'b');
-- other tags, or another order of them
SELECT tagged(:q2, 'b', 'a') IN ('hit', 'miss'), tagged(:q1, 'b'), tagged(:q1, 'a') IN ('hit', 'miss');
SELECT cache_invalidate_tag('b');
SELECT tagged(:q1, 'b'), tagged(:q1, 'b');
-- at commit, and not at all on rollback
BEGIN;
SELECT cache_invalidate_tag('b');
SELECT tagged(:q1, 'b'), tagged(:q3, 'x');
ROLLBACK;
SELECT tagged(:q1, 'b');
BEGIN;
SAVEPOINT s;
SELECT cache_invalidate_tag('b');
ROLLBACK TO s;
SELECT tagged(:q1, 'b');
SELECT cache_invalidate_tag('b');
COMMIT;
SELECT tagged(:q1, 'b'), tagged(:q1, 'b');

-- triggers that fill in templates
CREATE TRIGGER tags AFTER INSERT OR UPDATE OR DELETE ON src FOR EACH ROW
	EXECUTE FUNCTION cache_invalidate_tags('src:{id}', 'all', 'pair:{id}/{val}');
SELECT tagged(:q1, 'src:1'), tagged(:q2, 'src:2'), tagged('SELECT 4 FROM src', 'all'), tagged('SELECT 5 FROM src', 'pair:1/1'), tagged('SELECT 6 FROM src', 'pair:1/7');
UPDATE src SET val = 7 WHERE id = 1;
SELECT tagged(:q1, 'src:1'), tagged(:q2, 'src:2'), tagged('SELECT 4 FROM src', 'all'), tagged('SELECT 5 FROM src', 'pair:1/1'), tagged('SELECT 6 FROM src', 'pair:1/7');
UPDATE src SET id = 3 WHERE id = 1;
SELECT tagged(:q1, 'src:1'), tagged(:q2, 'src:2'), tagged('SELECT 7 FROM src', 'src:3');
INSERT INTO src VALUES (3, NULL);
SELECT tagged(:q1, 'src:1'), tagged(:q2, 'src:2'), tagged('SELECT 7 FROM src', 'src:3');
DELETE FROM src WHERE id = 2;
SELECT tagged(:q1, 'src:1'), tagged(:q2, 'src:2'), tagged('SELECT 7 FROM src', 'src:3');
BEGIN;
DELETE FROM src;
SELECT tagged(:q2, 'src:2'), tagged('SELECT 7 FROM src', 'src:3');
ROLLBACK;
SELECT tagged(:q2, 'src:2'), tagged('SELECT 7 FROM src', 'src:3');
DROP TRIGGER tags ON src;
CREATE TRIGGER tags BEFORE UPDATE ON src FOR EACH ROW WHEN (OLD.val IS DISTINCT FROM NEW.val)
	EXECUTE FUNCTION cache_invalidate_tags('src:{id}');
SELECT tagged('SELECT 7 FROM src', 'src:3');
UPDATE src SET val = val;
SELECT tagged('SELECT 7 FROM src', 'src:3');
UPDATE src SET val = 70;
SELECT tagged('SELECT 7 FROM src', 'src:3'), (SELECT count(*) FROM src WHERE val = 70);
-- key/value entries and queries share tags
SELECT cache_set('k', 'v', tags => '{src:3}');
UPDATE src SET val = 71;
SELECT cache_get('k'), tagged('SELECT 7 FROM src', 'src:3');
DROP TRIGGER tags ON src;

-- counters
SELECT cache_flush() >= 0;
SELECT cache_reset_stats();
SELECT hits, misses, bypasses, fills, hit_ratio FROM cachekit_stats;
SELECT cached_query_json('SELECT count(*) FROM t'), cached_query_json('SELECT count(*) FROM t'), cached_query_json('SELECT count(*) FROM t');
SELECT cached_query_json('SELECT count(*) FROM src');
BEGIN;
UPDATE t SET v = 0;
SELECT cached_query_json('SELECT count(*) FROM t');
ROLLBACK;
SELECT hits, misses, bypasses, fills, hit_ratio, entries > 0 AS entries, bytes_used > 0 AS used, bytes_total >= bytes_used AS total FROM cachekit_stats;
SELECT * FROM cachekit_bypasses WHERE count > 0 ORDER BY reason;
SELECT query, calls, hits, misses, bypasses, bytes > 0 AS bytes, fill_ms >= 0 AS fill FROM cachekit_queries ORDER BY query COLLATE "C";
SELECT kind, query, depends_on, hits, value_bytes > 0 AS value, bytes > value_bytes AS bytes, age >= '0' AS age, expires_in,
	key = (SELECT key FROM cache_explain('SELECT count(*) FROM t')) AS "key of rows form"
FROM cachekit_entries WHERE kind = 'query';
SELECT count(*) FROM cached_query('SELECT count(*) FROM t') AS x(n bigint);
SELECT count(*) FROM cachekit_entries WHERE key = (SELECT key FROM cache_explain('SELECT count(*) FROM t'));
SELECT cached_query_json('SELECT 9 FROM t', ttl => '1 hour');
SELECT query, expires_in BETWEEN '59 minutes' AND '1 hour' AS hour FROM cachekit_entries WHERE expires_in IS NOT NULL AND kind = 'query';
UPDATE t SET v = 3;
SELECT cached_query_json('SELECT count(*) FROM t');
SELECT invalidations > 0 AS invalidations, hits, misses FROM cachekit_stats;
SELECT tbl, tracked, gap FROM cachekit_tracked_tables;
SELECT cache_reset_stats();
SELECT hits, misses, bypasses FROM cachekit_stats;
SELECT count(*) FROM cachekit_queries;
-- a dropped table that entries knew
SELECT cached_query_json('SELECT count(*) FROM t');
SELECT * FROM cache_check();
DROP TABLE t, src;
SELECT count(*) FROM cachekit_entries WHERE query LIKE '%FROM t' AND depends_on::text ~ '[0-9]';
SELECT cache_flush() > 0;
DROP FUNCTION tagged;
SET client_min_messages = warning;
DROP SCHEMA oracle CASCADE;
