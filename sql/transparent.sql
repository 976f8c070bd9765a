--
-- Transparent mode: an unchanged SELECT is answered from the cache.
--
SET client_min_messages = warning;
SELECT cache_flush() >= 0 AS loaded;
CREATE TABLE tr_item (id int PRIMARY KEY, grp int, name text);
INSERT INTO tr_item SELECT i, i % 10, 'item ' || i FROM generate_series(1, 200) i;
CREATE TABLE tr_group (grp int PRIMARY KEY, title text);
INSERT INTO tr_group SELECT i, 'group ' || i FROM generate_series(0, 9) i;
CREATE TABLE tr_untracked (a int);
INSERT INTO tr_untracked VALUES (1);
ANALYZE tr_item, tr_group, tr_untracked;
SELECT cache_track('tr_item');
SELECT cache_track('tr_group');
CREATE VIEW tr_view AS SELECT title, count(*) AS n FROM tr_item JOIN tr_group USING (grp)
  GROUP BY title ORDER BY title LIMIT 2;

-- what the cache did for a query; run by EXPLAIN ANALYZE
CREATE FUNCTION tr_state(query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  j json;
BEGIN
  EXECUTE 'EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF, FORMAT JSON) ' || query INTO j;
  RETURN coalesce(j -> 0 -> 'Plan' ->> 'Cache', 'no cache') ||
    coalesce(': ' || (j -> 0 -> 'Plan' ->> 'Reason'), '');
END $$;
-- a plan, with keys blotted out: they have OIDs in them
CREATE FUNCTION tr_explain(command text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
  line text;
BEGIN
  FOR line IN EXECUTE command LOOP
    RETURN NEXT regexp_replace(line, 'Key: "?[0-9a-f]{32}"?', 'Key: ...');
  END LOOP;
END $$;
CREATE VIEW tr_counts AS SELECT hits, misses, fills, bypasses FROM cachekit_stats;

-- hits, writes, own writes
SELECT cache_reset_stats();
/*+ cachekit */ SELECT * FROM tr_view;
/*+ cachekit */ SELECT * FROM tr_view;
UPDATE tr_item SET grp = 0 WHERE id = 1;
/*+ cachekit */ SELECT * FROM tr_view;
/*+ cachekit */ SELECT * FROM tr_view;
BEGIN;
DELETE FROM tr_item WHERE grp = 0;
/*+ cachekit */ SELECT * FROM tr_view;
SAVEPOINT s;
ROLLBACK TO s;
/*+ cachekit */ SELECT * FROM tr_view;
ROLLBACK;
/*+ cachekit */ SELECT * FROM tr_view;
SELECT * FROM tr_counts;
-- the same entry as that of the wrapped query
SELECT state FROM cache_explain('SELECT * FROM tr_view');
SELECT tr_state('SELECT * FROM tr_view');

-- where a hint counts
SELECT cache_flush() >= 0 AS flushed;
SELECT tr_state('/*+ cachekit */ SELECT 1 FROM tr_item WHERE id = 1');
SELECT tr_state('/*+ cachekit */ SELECT 1 FROM tr_item WHERE id = 1');
SELECT tr_state('/*+ CacheKit() */ -- a comment
  /* another /* one */ */ ((SELECT 1 FROM tr_item WHERE id = 1))');
SELECT tr_state('/*+ cachekit */ VALUES (1, ''a'')');
SELECT tr_state('/*+ cachekit */ TABLE tr_group');
SELECT tr_state('/*+ cachekit */ WITH g AS (SELECT * FROM tr_group) SELECT count(*) FROM g');
-- and where not
SELECT tr_state('SELECT 1 FROM tr_item WHERE id = 1 /*+ cachekit */');
SELECT tr_state('SELECT /*+ cachekit */ 1 FROM tr_item WHERE id = 1');
SELECT tr_state('SELECT ''/*+ cachekit */'' FROM tr_item WHERE id = 1');
SELECT tr_state('/* + cachekit */ SELECT 1 FROM tr_item WHERE id = 1');
SELECT tr_state('/* cachekit */ SELECT 1 FROM tr_item WHERE id = 1');
SELECT tr_state('-- /*+ cachekit */
  SELECT 1 FROM tr_item WHERE id = 1');
SELECT tr_state('/*+ SeqScan(tr_item) */ SELECT 1 FROM tr_item WHERE id = 1');
SELECT tr_state('/*+ cachekit(nocache) */ SELECT 1 FROM tr_item WHERE id = 1');
SELECT tr_state('/*+ nocache */ SELECT 1 FROM tr_item WHERE id = 1');
SET cachekit.mode = off;
SELECT tr_state('/*+ cachekit */ SELECT 1 FROM tr_item WHERE id = 1');
RESET cachekit.mode;
-- what is wrong with a hint is a warning
SELECT tr_state('/*+ cachekit(ttl=soon, tags, swr, speed=high, , nocache=1) */ SELECT 1 FROM tr_item WHERE id = 1');
SELECT tr_state('/*+ cachekit please */ SELECT 1 FROM tr_item WHERE id = 1');
SELECT tr_state('/*+ cachekit(ttl=-1s) */ SELECT 1 FROM tr_item WHERE id = 1');
-- several statements in one string
/*+ cachekit */ SELECT 'one' FROM tr_item WHERE id = 1\; SELECT 'two' FROM tr_item WHERE id = 1;
SELECT tr_state('/*+ cachekit */ SELECT ''one'' FROM tr_item WHERE id = 1'),
  tr_state('/*+ cachekit */ SELECT ''two'' FROM tr_item WHERE id = 1');

-- options
SELECT tr_state('/*+ cachekit */ SELECT * FROM tr_untracked');
SELECT tr_state('/*+ cachekit(ttl=1h) */ SELECT * FROM tr_untracked');
SELECT tr_state('/*+ cachekit(ttl=1h) */ SELECT * FROM tr_untracked');
SELECT tr_state('/*+ cachekit(tags=red blue) */ SELECT 1 FROM tr_item WHERE id = 2');
SELECT tr_state('/*+ cachekit(tags=red blue) */ SELECT 1 FROM tr_item WHERE id = 2');
SELECT cache_invalidate_tag('blue');
SELECT tr_state('/*+ cachekit(tags=red blue) */ SELECT 1 FROM tr_item WHERE id = 2');
-- what can not be cached
SELECT tr_state('/*+ cachekit */ SELECT random() FROM tr_item WHERE id = 1');
SELECT tr_state('/*+ cachekit */ SELECT now() FROM tr_item WHERE id = 1');
SELECT tr_state('/*+ cachekit */ SELECT 1 FROM tr_item WHERE id = 1 FOR UPDATE');
BEGIN ISOLATION LEVEL SERIALIZABLE;
SELECT tr_state('/*+ cachekit */ SELECT 1 FROM tr_item WHERE id = 1');
COMMIT;
SET cachekit.enabled = off;
SELECT tr_state('/*+ cachekit */ SELECT 1 FROM tr_item WHERE id = 1');
RESET cachekit.enabled;

-- prepared statements, generic and custom plans
PREPARE tr_q (int) AS /*+ cachekit */ SELECT id, name FROM tr_item WHERE grp = $1 ORDER BY id LIMIT 2;
SELECT cache_reset_stats();
EXECUTE tr_q(3);
EXECUTE tr_q(3);
EXECUTE tr_q(4);
SET plan_cache_mode = force_generic_plan;
EXECUTE tr_q(3);
EXECUTE tr_q(5);
SET plan_cache_mode = force_custom_plan;
EXECUTE tr_q(5);
EXECUTE tr_q(NULL);
EXECUTE tr_q(NULL);
RESET plan_cache_mode;
SELECT * FROM tr_counts;
UPDATE tr_item SET name = 'new' WHERE id = 3;
EXECUTE tr_q(3);
-- DDL between executions
ALTER TABLE tr_item RENAME COLUMN name TO label;
ALTER TABLE tr_item RENAME COLUMN label TO name;
EXECUTE tr_q(3);
ALTER TABLE tr_item ALTER COLUMN name TYPE varchar(100);
EXECUTE tr_q(3);
ALTER TABLE tr_item ALTER COLUMN name TYPE text;
EXECUTE tr_q(3);
EXECUTE tr_q(3);
DEALLOCATE tr_q;

-- cursors: complete results are stored, partial ones are not
SELECT cache_flush() >= 0 AS flushed;
SELECT cache_reset_stats();
BEGIN;
DECLARE c SCROLL CURSOR FOR /*+ cachekit */ SELECT title, count(*) FROM tr_group GROUP BY title ORDER BY title;
FETCH 3 c;
CLOSE c;
SELECT * FROM tr_counts;
DECLARE c NO SCROLL CURSOR FOR /*+ cachekit */ SELECT title, count(*) FROM tr_group GROUP BY title ORDER BY title;
FETCH 3 c;
FETCH ALL c;
CLOSE c;
SELECT * FROM tr_counts;
DECLARE c SCROLL CURSOR FOR /*+ cachekit */ SELECT title, count(*) FROM tr_group GROUP BY title ORDER BY title;
FETCH 2 c;
FETCH BACKWARD 1 c;
FETCH LAST c;
FETCH NEXT c;
FETCH PRIOR c;
FETCH ABSOLUTE 2 c;
MOVE BACKWARD ALL c;
FETCH 1 c;
FETCH RELATIVE 3 c;
SELECT * FROM tr_counts;
-- a write of our own after the cursor was opened does not show in it
DECLARE late CURSOR FOR /*+ cachekit */ SELECT sum(grp) FROM tr_group;
UPDATE tr_group SET grp = grp + 100;
FETCH ALL late;
-- open cursors keep what they read from
DROP TABLE tr_group CASCADE;
ROLLBACK;
BEGIN;
DECLARE h CURSOR WITH HOLD FOR /*+ cachekit */ SELECT title, count(*) FROM tr_group GROUP BY title ORDER BY title;
FETCH 1 h;
COMMIT;
FETCH 1 h;
CLOSE h;
-- gone backwards before the end: not stored
SELECT cache_flush() >= 0 AS flushed;
SELECT cache_reset_stats();
BEGIN;
DECLARE c SCROLL CURSOR FOR /*+ cachekit */ SELECT title, count(*) FROM tr_group GROUP BY title ORDER BY title;
FETCH 3 c;
FETCH BACKWARD 2 c;
FETCH FORWARD ALL c;
COMMIT;
SELECT * FROM tr_counts;
-- what UPDATE may refer to is the scan that it seems to be
BEGIN;
DECLARE u CURSOR FOR /*+ cachekit */ SELECT * FROM tr_item WHERE id = 5;
FETCH u;
UPDATE tr_item SET name = 'current' WHERE CURRENT OF u;
SELECT name FROM tr_item WHERE id = 5;
ROLLBACK;

-- PL/pgSQL, SQL functions, DO
SELECT cache_flush() >= 0 AS flushed;
CREATE FUNCTION tr_loop(g int) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  r record;
  total int := 0;
  n int;
BEGIN
  FOR r IN SELECT /*+ cachekit */ id FROM tr_item WHERE grp = g ORDER BY id LOOP
    total := total + r.id;
  END LOOP;
  SELECT /*+ cachekit */ count(*) INTO n FROM tr_item WHERE grp = g;
  RETURN total || '/' || n;
END $$;
SELECT cache_reset_stats();
SELECT tr_loop(7), tr_loop(7), tr_loop(8);
SELECT * FROM tr_counts;
CREATE FUNCTION tr_sql(g int) RETURNS bigint LANGUAGE sql STABLE SECURITY DEFINER AS $$
  /*+ cachekit */ SELECT count(*) FROM tr_item WHERE grp > g $$;
SELECT tr_sql(1), tr_sql(1), tr_sql(2);
SELECT * FROM tr_counts;
DO $$
DECLARE
  a int;
BEGIN
  EXECUTE '/*+ cachekit */ SELECT count(*) FROM tr_item WHERE grp < $1' INTO a USING 3;
  EXECUTE '/*+ cachekit */ SELECT count(*) FROM tr_item WHERE grp < $1' INTO a USING 3;
  RAISE WARNING 'counted %', a;
END $$;
SELECT * FROM tr_counts;

-- commands that keep the result themselves; COPY
SELECT cache_reset_stats();
CREATE TABLE tr_copy AS /*+ cachekit */ SELECT count(*) AS n FROM tr_item;
INSERT INTO tr_copy /*+ cachekit */ SELECT count(*) FROM tr_item;
CREATE MATERIALIZED VIEW tr_mat AS /*+ cachekit */ SELECT count(*) AS n FROM tr_item;
REFRESH MATERIALIZED VIEW tr_mat;
SELECT * FROM tr_counts;
COPY (/*+ cachekit */ SELECT count(*) FROM tr_item) TO STDOUT;
COPY (/*+ cachekit */ SELECT count(*) FROM tr_item) TO STDOUT;
SELECT * FROM tr_counts;

-- a large result is read from the entry piece by piece
SELECT cache_reset_stats();
CREATE FUNCTION tr_sum(hint text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  r record;
  n int := 0;
  h bigint := 0;
BEGIN
  FOR r IN EXECUTE hint || ' SELECT a.id, b.id AS other, a.name || b.name AS both, repeat(a.name, a.id) AS long
    FROM tr_item a, tr_item b WHERE b.id < 20 ORDER BY 1, 2' LOOP
    n := n + 1;
    h := (h * 31 + hashtext(r::text)) % 1000000007;
  END LOOP;
  RETURN n || ' ' || h;
END $$;
SELECT tr_sum('') = tr_sum('/*+ cachekit */') AS filled, tr_sum('') = tr_sum('/*+ cachekit */') AS hit;
SELECT * FROM tr_counts;
-- too large: delivered whole, not stored
SET cachekit.max_entry_size = 64;
SELECT cache_flush() >= 0 AS flushed;
SELECT tr_sum('') = tr_sum('/*+ cachekit */') AS once, tr_sum('') = tr_sum('/*+ cachekit */') AS twice;
SELECT fills, oversize FROM cachekit_stats;
RESET cachekit.max_entry_size;

-- privileges and row security
CREATE ROLE tr_reader;
GRANT SELECT ON tr_group TO tr_reader;
SELECT tr_state('/*+ cachekit */ SELECT count(*) FROM tr_item');
SELECT tr_state('/*+ cachekit */ SELECT count(*) FROM tr_item');
SET ROLE tr_reader;
/*+ cachekit */ SELECT count(*) FROM tr_item;
RESET ROLE;
GRANT SELECT ON tr_item TO tr_reader;
SET ROLE tr_reader;
/*+ cachekit */ SELECT count(*) FROM tr_item;
RESET ROLE;
ALTER TABLE tr_item ENABLE ROW LEVEL SECURITY;
CREATE POLICY tr_small ON tr_item TO tr_reader USING (id <= 10);
/*+ cachekit */ SELECT count(*) FROM tr_item;
SET ROLE tr_reader;
/*+ cachekit */ SELECT count(*) FROM tr_item;
/*+ cachekit */ SELECT count(*) FROM tr_item;
RESET ROLE;
ALTER TABLE tr_item DISABLE ROW LEVEL SECURITY;

-- EXPLAIN
SELECT tr_explain('EXPLAIN (COSTS OFF) /*+ cachekit */ SELECT a FROM tr_untracked ORDER BY a');
SET enable_seqscan = off;
SELECT tr_explain('EXPLAIN (COSTS OFF) /*+ cachekit */ SELECT name FROM tr_item WHERE id = 1');
SELECT tr_state('/*+ cachekit */ SELECT name FROM tr_item WHERE id = 1');
UPDATE tr_item SET name = 'x' WHERE id = 1;
SELECT l FROM tr_explain('EXPLAIN (COSTS OFF, VERBOSE, FORMAT YAML) /*+ cachekit */ SELECT name FROM tr_item WHERE id = 1') y, regexp_split_to_table(y, E'\n') l WHERE l ~ 'Cache|Key|Depends|tr_item';
SELECT count(*) > 10 FROM tr_explain('EXPLAIN (COSTS OFF, VERBOSE, FORMAT XML) /*+ cachekit */ SELECT name FROM tr_item WHERE id = 1') x, regexp_split_to_table(x, E'\n');
SET cachekit.explain = off;
SELECT tr_explain('EXPLAIN (COSTS OFF) /*+ cachekit */ SELECT name FROM tr_item WHERE id = 1');
PREPARE tr_e AS /*+ cachekit */ SELECT name FROM tr_item WHERE id = 1;
EXECUTE tr_e;
SELECT tr_explain('EXPLAIN (COSTS OFF) EXECUTE tr_e');
RESET cachekit.explain;
SELECT tr_explain('EXPLAIN (COSTS OFF) EXECUTE tr_e');
RESET enable_seqscan;

-- cached_query() in FROM streams its hits, too
SELECT tr_explain('EXPLAIN (COSTS OFF) SELECT sum(g) FROM cached_query(''SELECT grp FROM tr_item'') AS q(g int) WHERE g > 1');
SELECT cache_reset_stats();
SELECT count(*), sum(g) FROM cached_query('SELECT grp FROM tr_item') AS q(g int) WHERE g > 1;
SELECT count(*), sum(g) FROM cached_query('SELECT grp FROM tr_item') AS q(g int) WHERE g > 1;
SELECT i.id, q.* FROM (VALUES (3), (3), (4), (5)) i(id), LATERAL
  cached_query('SELECT name, id FROM tr_item WHERE id = $1', ARRAY[i.id::text]) AS q(name text, item int) ORDER BY 1;
SELECT a.x, b.x FROM cached_query('SELECT grp FROM tr_group WHERE grp < 3') a(x int)
  LEFT JOIN cached_query('SELECT grp FROM tr_group WHERE grp < 2') b(x int) ON b.x < a.x ORDER BY 1, 2;
SELECT q FROM cached_query(NULL::tr_group, 'SELECT * FROM tr_group WHERE grp = 1') q;
SELECT q.n FROM cached_query('SELECT grp FROM tr_group WHERE grp < 3') WITH ORDINALITY q(x, n);
SELECT x FROM cached_query(NULL::int, 'SELECT grp FROM tr_group WHERE grp = 1'::text) x;
UPDATE tr_item SET grp = q.g FROM cached_query('SELECT 7') q(g int) WHERE id = 2 RETURNING id, q.g;
SELECT * FROM tr_counts;
SELECT * FROM cached_query('SELECT name, id FROM tr_item') AS q(name int, item int);

-- mode auto
SET cachekit.mode = auto;
SET cachekit.min_exec_time = 0;
SELECT cache_flush() >= 0 AS flushed;
SELECT tr_state('SELECT sum(id) FROM tr_item');
SELECT tr_state('SELECT sum(id) FROM tr_item');
SELECT tr_state('SELECT sum(id) FROM tr_item');
SELECT tr_state('/*+ nocache */ SELECT sum(id) FROM tr_item');
SELECT tr_state('SELECT sum(a) FROM tr_untracked');
SELECT tr_state('SELECT random() FROM tr_item LIMIT 1');
SELECT tr_state('SELECT 1');
SELECT tr_state('/*+ cachekit */ SELECT min(id) FROM tr_item');
SELECT tr_state('SELECT min(id) FROM tr_item');
-- invalidated before it was used: passed over twice, then stored again
SELECT tr_state('SELECT max(grp) FROM tr_item');
SELECT tr_state('SELECT max(grp) FROM tr_item');
UPDATE tr_item SET grp = grp WHERE id = 1;
SELECT tr_state('SELECT max(grp) FROM tr_item') FROM generate_series(1, 4);
SET cachekit.admission = off;
SELECT tr_state('SELECT min(grp) FROM tr_item');
SELECT tr_state('SELECT min(grp) FROM tr_item');
-- what is cached by name is not cached twice
SELECT cache_reset_stats();
SELECT cached_query_json('SELECT max(id) AS m FROM tr_item');
SELECT * FROM tr_counts;
RESET cachekit.admission;
-- cheap queries are left alone
SET cachekit.min_exec_time = 1000;
SELECT tr_state('SELECT count(grp) FROM tr_item') FROM generate_series(1, 3);
RESET cachekit.min_exec_time;
RESET cachekit.mode;
-- for one function only
CREATE FUNCTION tr_auto() RETURNS bigint LANGUAGE plpgsql
  SET cachekit.mode = auto SET cachekit.min_exec_time = 0 AS $$
BEGIN
  RETURN (SELECT n FROM (SELECT count(*) AS n FROM tr_item, tr_group) s);
END $$;
SELECT cache_reset_stats();
SELECT tr_auto() FROM generate_series(1, 3);
SELECT hits, fills FROM cachekit_stats;
SELECT * FROM cache_check();

DROP FUNCTION tr_state, tr_explain, tr_loop, tr_sql, tr_sum, tr_auto;
DROP VIEW tr_view, tr_counts;
DROP MATERIALIZED VIEW tr_mat;
DROP TABLE tr_item, tr_group, tr_untracked, tr_copy;
DROP ROLE tr_reader;
