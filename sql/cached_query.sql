--
-- The forms of cached queries: parameters, empty results, row types, sizes.
--
\set ECHO none
\set QUIET on
\i sql/oracle.part.sql
\set ECHO all
CREATE TABLE t (id int PRIMARY KEY, v text, n numeric(10,2));
SELECT cache_track('t');
INSERT INTO t VALUES (1, 'one', 1.5), (2, NULL, 2.5), (3, 'three', NULL);

-- three forms, each with entries of its own kind
SELECT * FROM cached_query('SELECT * FROM t ORDER BY id') AS x(id int, v text, n numeric(10,2));
SELECT * FROM cached_query(NULL::t, 'SELECT * FROM t ORDER BY id');
SELECT cached_query_json('SELECT * FROM t ORDER BY id');
SELECT cache_reset_stats();
SELECT * FROM cached_query('SELECT * FROM t ORDER BY id') AS x(id int, v text, n numeric(10,2)) WHERE id = 2;
SELECT (x).v FROM cached_query(NULL::t, 'SELECT * FROM t ORDER BY id') x;
SELECT cached_query_json('SELECT * FROM t ORDER BY id') -> 2;
SELECT hits, misses, bypasses FROM cachekit_stats;
-- names of the caller's columns are the caller's
SELECT * FROM cached_query('SELECT id, v FROM t ORDER BY id') AS x("a b" int, "select" text);
SELECT probe_rows('SELECT * FROM t', 'id int, v text, n numeric(10,2)'), probe_rows('SELECT * FROM t', 'id int, v text, n numeric(10,2)');

-- parameters
SELECT * FROM cached_query('SELECT v FROM t WHERE id = $1', '{1}') AS x(v text);
SELECT * FROM cached_query('SELECT v FROM t WHERE id = $1', ARRAY['3']) AS x(v text);
SELECT * FROM cached_query('SELECT v FROM t WHERE id = $1', ARRAY[2]::text[]) AS x(v text);
-- (a row type of text needs the query to be typed)
SELECT * FROM cached_query(NULL::text, 'SELECT v FROM t WHERE id = $1'::text, '{1}');
SELECT cached_query_json('SELECT v FROM t WHERE id = ANY ($1) ORDER BY id', ARRAY['{1,3}']);
SELECT cached_query_json('SELECT $1::int + $2::int AS sum, $3 AS text, $4::date - $5::date AS days', '{1,2,"a \"quoted\" {text}",2024-03-01,2024-02-01}');
SELECT probe('SELECT * FROM t WHERE v IS NOT DISTINCT FROM $1', '{NULL}'), probe('SELECT * FROM t WHERE v IS NOT DISTINCT FROM $1', '{NULL}'), probe('SELECT * FROM t WHERE v IS NOT DISTINCT FROM $1', '{"NULL"}');
SELECT probe('SELECT * FROM t WHERE id > $1 LIMIT $2', '{0,NULL}'), probe('SELECT * FROM t WHERE id > $1 LIMIT $2', '{0,1}');
-- the same parameter in many places, and a generic plan after many calls
SELECT bool_and(cached_query_json('SELECT v FROM t WHERE id = $1 OR id = $1 + 10', ARRAY[g::text]) IS NOT DISTINCT FROM
	(SELECT coalesce(jsonb_agg(jsonb_build_object('v', v)), '[]') FROM t WHERE id = g))
FROM generate_series(1, 20) g;

-- no rows, no columns, null rows
SELECT probe('SELECT * FROM t WHERE false'), probe('SELECT * FROM t WHERE false'), probe('SELECT * FROM t WHERE id < 0'), probe('SELECT * FROM t WHERE id < 0');
SELECT count(*) FROM cached_query('SELECT id FROM t WHERE id < 0') AS x(id int);
SELECT count(*) FROM cached_query('SELECT id FROM t WHERE id < 0') AS x(id int);
CREATE TABLE nothing ();
SELECT count(*) FROM cached_query(NULL::nothing, 'SELECT FROM t');
SELECT count(*) FROM cached_query(NULL::nothing, 'SELECT FROM t');
SELECT cached_query_json('SELECT FROM t'), cached_query_json('SELECT FROM t');
SELECT probe('SELECT FROM t'), probe('SELECT NULL::int AS a, NULL::text AS b FROM t'), probe('SELECT NULL::int AS a, NULL::text AS b FROM t');
SELECT probe('VALUES (1, ''a''), (2, NULL)'), probe('VALUES (1, ''a''), (2, NULL)');
SELECT probe_rows('VALUES (1, ''a''), (2, NULL)', 'a int, b text'), probe_rows('TABLE t', 'id int, v text, n numeric(10,2)');
-- no table at all
SELECT probe('SELECT 1 AS one'), probe('SELECT 1 AS one');
SELECT depends_on FROM cache_explain('SELECT 1 AS one');
-- the same name twice
SELECT cached_query_json('SELECT id, id + 1 AS id FROM t WHERE id = 1'), cached_query_json('SELECT id, id + 1 AS id FROM t WHERE id = 1');

-- duplicates and order are kept
SELECT string_agg(x::text, ' ') FROM cached_query('SELECT id % 2 FROM t, generate_series(1, 3) ORDER BY 1 DESC') AS q(x int);
SELECT string_agg(x::text, ' ') FROM cached_query('SELECT id % 2 FROM t, generate_series(1, 3) ORDER BY 1 DESC') AS q(x int);

-- row types with dropped columns, of domains, scalars, nested ones
CREATE TABLE holes (a int, b text, c int, d text);
INSERT INTO holes VALUES (1, 'b', 3, 'd'), (NULL, NULL, NULL, NULL);
SELECT cache_track('holes');
ALTER TABLE holes DROP b, DROP c;
ALTER TABLE holes ADD e int DEFAULT 5;
SELECT * FROM cached_query(NULL::holes, 'SELECT * FROM holes');
SELECT * FROM cached_query(NULL::holes, 'SELECT * FROM holes');
SELECT * FROM cached_query(NULL::holes, 'SELECT 7, ''x''::text, 8');
SELECT x, x IS NULL AS "null" FROM cached_query(NULL::holes, 'SELECT a, d, e FROM holes') x;
SELECT cached_query(NULL::holes, 'SELECT a, d, e FROM holes');
SELECT probe('SELECT * FROM holes'), probe('SELECT holes FROM holes'), probe('SELECT holes FROM holes'), probe('SELECT array_agg(holes) AS h FROM holes'), probe('SELECT array_agg(holes) AS h FROM holes');
ALTER TABLE holes DROP e;
SELECT * FROM cached_query(NULL::holes, 'SELECT * FROM holes');
CREATE DOMAIN posint AS int CHECK (VALUE > 0);
SELECT * FROM cached_query(NULL::posint, 'SELECT id::posint FROM t ORDER BY id');
SELECT * FROM cached_query(NULL::int, 'SELECT id FROM t ORDER BY id');
SELECT * FROM cached_query(NULL::text[], 'SELECT array_agg(v ORDER BY id) FROM t');
CREATE TYPE pair AS (a int, b text);
SELECT * FROM cached_query(NULL::pair, 'SELECT id, v FROM t ORDER BY id');
SELECT * FROM cached_query(NULL::pair, 'SELECT id, v FROM t ORDER BY id') WHERE b IS NULL;
-- as a function's result, in joins, laterally, in a subquery, WITH ORDINALITY
SELECT t.id, q.* FROM t, LATERAL cached_query('SELECT v, n FROM t WHERE id = $1', ARRAY[t.id::text]) AS q(v text, n numeric(10,2)) ORDER BY t.id;
SELECT * FROM cached_query(NULL::int, 'SELECT id FROM t ORDER BY id') WITH ORDINALITY AS q(x, ord);
SELECT * FROM ROWS FROM (cached_query(NULL::int, 'SELECT id FROM t ORDER BY id'), generate_series(1, 4)) AS q(a, b);
SELECT (SELECT count(*) FROM cached_query(NULL::int, 'SELECT id FROM t WHERE id <= $1', ARRAY[id::text])) FROM t ORDER BY id;
SELECT id, cached_query(NULL::text, 'SELECT v FROM t ORDER BY id'::text) FROM t ORDER BY id LIMIT 4;
-- a reader that stops early stores the whole result
SELECT * FROM cached_query(NULL::int, 'SELECT id + 100 FROM t ORDER BY id') LIMIT 1;
SELECT count(*) FROM cached_query(NULL::int, 'SELECT id + 100 FROM t ORDER BY id');
BEGIN;
DECLARE c CURSOR FOR SELECT * FROM cached_query(NULL::int, 'SELECT id + 200 FROM t ORDER BY id') x;
FETCH 2 FROM c;
CLOSE c;
SELECT count(*) FROM cached_query(NULL::int, 'SELECT id + 200 FROM t ORDER BY id');
COMMIT;
-- rescans
SELECT count(*) FROM (SELECT 1 FROM generate_series(1, 3) g, LATERAL (SELECT g, q.* FROM cached_query(NULL::int, 'SELECT id FROM t') q OFFSET 0) x) y;

-- sizes
CREATE TABLE big AS SELECT g AS id, md5(g::text) AS v FROM generate_series(1, 20000) g;
SELECT cache_track('big');
SELECT probe_rows('SELECT * FROM big', 'id int, v text'), probe_rows('SELECT * FROM big', 'id int, v text');
SELECT probe_rows('SELECT id FROM big ORDER BY v DESC', 'id int'), probe_rows('SELECT id FROM big ORDER BY v DESC', 'id int');
SELECT probe('SELECT repeat(v, 3000) AS v FROM big WHERE id <= 10'), probe('SELECT repeat(v, 3000) AS v FROM big WHERE id <= 10');
-- larger than allowed: passes through, whole
SET cachekit.max_entry_size = '16kB';
SELECT cache_reset_stats();
SELECT count(*), count(DISTINCT v) FROM cached_query('SELECT * FROM big') AS x(id int, v text) WHERE id > 0;
SELECT count(*) FROM cached_query('SELECT id, v || ''x'' FROM big') AS x(id int, v text);
SELECT jsonb_array_length(cached_query_json('SELECT id FROM big WHERE id <= 5000'));
SELECT probe('SELECT repeat(''x'', 15000) AS v'), probe('SELECT repeat(''x'', 15000) AS v'), probe('SELECT repeat(''x'', 17000) AS v'), probe('SELECT repeat(''x'', 17000) AS v');
SELECT oversize > 0 AS oversize FROM cachekit_stats;
RESET cachekit.max_entry_size;
SELECT count(*), sum(x), min(x), max(x) FROM cached_query('SELECT g FROM generate_series(1, 1000000) g') AS q(x int);
SELECT count(*), sum(x), min(x), max(x) FROM cached_query('SELECT g FROM generate_series(1, 1000000) g') AS q(x int);
SELECT probe('SELECT ''' || repeat('long query text ', 10000) || ''' AS x') AS text, probe('SELECT ''' || repeat('long query text ', 10000) || ''' AS x') AS again;
-- many different texts: more than a session remembers
SELECT count(*), sum((cached_query_json(format('SELECT %s + count(*) AS n FROM t', g)) -> 0 ->> 'n')::int) FROM generate_series(1, 600) g;
SELECT count(*), sum((cached_query_json(format('SELECT %s + count(*) AS n FROM t', g)) -> 0 ->> 'n')::int) FROM generate_series(1, 600) g;
INSERT INTO t VALUES (4, 'four', 4);
SELECT count(*), sum((cached_query_json(format('SELECT %s + count(*) AS n FROM t', g)) -> 0 ->> 'n')::int) FROM generate_series(1, 600) g;
-- the query frees itself in the middle of its own run
CREATE FUNCTION inner_queries(x int) RETURNS int LANGUAGE plpgsql VOLATILE AS $$
BEGIN
	PERFORM cached_query_json(format('SELECT %s AS a, count(*) FROM t', g)) FROM generate_series(1, 300) g;
	RETURN x;
END $$;
SELECT probe('SELECT inner_queries(id) FROM t') NOT LIKE 'WRONG%', probe('SELECT inner_queries(id) FROM t') NOT LIKE 'WRONG%';
DROP FUNCTION inner_queries;

-- switched off
SET cachekit.enabled = off;
SELECT probe('SELECT * FROM t'), probe_rows('SELECT * FROM t', 'id int, v text, n numeric(10,2)');
SELECT cacheable, state, reason FROM cache_explain('SELECT * FROM t');
RESET cachekit.enabled;
SELECT probe('SELECT * FROM t'), probe('SELECT * FROM t');

-- invalidation by name
SELECT probe('SELECT * FROM t WHERE id = $1', '{1}'), probe('SELECT * FROM t WHERE id = $1', '{2}');
SELECT cache_invalidate_query('SELECT * FROM t WHERE id = $1', '{1}'), cache_invalidate_query('SELECT * FROM t WHERE id = $1', '{1}'), cache_invalidate_query('SELECT never FROM (SELECT 1 AS never) x');
SELECT probe('SELECT * FROM t WHERE id = $1', '{1}'), probe('SELECT * FROM t WHERE id = $1', '{2}');
SELECT probe('SELECT * FROM t'), probe('SELECT * FROM big LIMIT 0'), probe('SELECT * FROM big LIMIT 0');
SELECT cache_invalidate_table('t');
SELECT probe('SELECT * FROM t'), probe('SELECT * FROM t'), probe('SELECT * FROM big LIMIT 0');
BEGIN;
SELECT cache_invalidate_table('t');
SELECT probe('SELECT * FROM t');
ROLLBACK;
SELECT probe('SELECT * FROM t');
SELECT cache_flush() > 0;
SELECT cache_flush();
SELECT probe('SELECT * FROM t'), probe('SELECT * FROM t');

SELECT * FROM cache_check();
DROP TABLE t, nothing, holes, big;
DROP TYPE pair;
DROP DOMAIN posint;
SET client_min_messages = warning;
DROP SCHEMA oracle CASCADE;
