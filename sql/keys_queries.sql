--
-- Queries that should be hard to derive keys from: each is asked before and
-- after writes to another key and to the key, through the cache and directly,
-- with every kind of plan.
--
\set ECHO none
\set QUIET on
\i sql/oracle.part.sql
SET jit = off;	-- the cost of plans that are set off would ask for it
\set ECHO all
CREATE TABLE cust (id int PRIMARY KEY, name text, region text, boss int);
CREATE TABLE ord (id int PRIMARY KEY, cust int, state text, total numeric);
CREATE TABLE line (ord int, no int, item text, qty int, PRIMARY KEY (ord, no));
CREATE TABLE pay (id bigint PRIMARY KEY, cust bigint, amount numeric);
CREATE TABLE word (w text COLLATE "C", n int);
CREATE DOMAIN code AS text CHECK (VALUE <> '');
CREATE TABLE coded (c code, n int);
CREATE TABLE amounts (a numeric, n int);
CREATE TABLE part (k int, v int, w int) PARTITION BY LIST (k);
CREATE TABLE part_1 PARTITION OF part FOR VALUES IN (1);
CREATE TABLE part_2 PARTITION OF part FOR VALUES IN (2, 3) PARTITION BY RANGE (v);
CREATE TABLE part_2a PARTITION OF part_2 FOR VALUES FROM (0) TO (100);
CREATE TABLE part_2b PARTITION OF part_2 DEFAULT;
CREATE TABLE part_n PARTITION OF part DEFAULT;
CREATE TABLE plain (k int, v int);
CREATE TABLE plain_child () INHERITS (plain);
CREATE TABLE free (id int, cust int);	-- no keys
INSERT INTO cust SELECT g, 'c' || g, 'r' || g % 3, g % 5 + 1 FROM generate_series(1, 30) g;
INSERT INTO ord SELECT g, nullif(g % 31, 0), CASE WHEN g % 2 = 0 THEN 'open' ELSE 'shut' END, g FROM generate_series(1, 310) g;
INSERT INTO line SELECT g % 310 + 1, g / 310, 'i' || g % 7, g FROM generate_series(0, 929) g;
INSERT INTO pay SELECT g, g % 30 + 1, g FROM generate_series(1, 90) g;
INSERT INTO word SELECT chr(97 + g % 26), g FROM generate_series(0, 77) g;
INSERT INTO coded SELECT chr(97 + g % 26), g FROM generate_series(0, 77) g;
INSERT INTO amounts SELECT g % 9, g FROM generate_series(1, 90) g;
INSERT INTO part SELECT nullif(g % 5, 4), g, g FROM generate_series(1, 90) g;
INSERT INTO plain SELECT g % 5, g FROM generate_series(1, 20) g;
INSERT INTO plain_child SELECT g % 5, g FROM generate_series(1, 20) g;
INSERT INTO free SELECT g, g FROM generate_series(1, 30) g;
CREATE INDEX ON ord (cust);
CREATE INDEX ON pay (cust);
ANALYZE cust, ord, line, pay, word, coded, amounts, part, plain, free;
SELECT cache_track('cust', 'id'), cache_track('ord', 'cust'), cache_track('line', 'ord'), cache_track('pay', 'cust'),
	cache_track('word', 'w'), cache_track('coded', 'c'), cache_track('amounts', 'a'), cache_track('part', 'k'),
	cache_track('plain'), cache_track('free');
CREATE VIEW barrier WITH (security_barrier) AS SELECT id, cust, total FROM ord WHERE state = 'open';
CREATE VIEW open_cust AS SELECT c.*, (SELECT count(*) FROM ord o WHERE o.cust = c.id AND state = 'open') AS n FROM cust c;
CREATE VIEW both_kinds AS SELECT 'o' AS kind, cust::bigint AS cust, total AS amount FROM ord UNION ALL SELECT 'p', cust, amount FROM pay;
CREATE VIEW per_cust AS SELECT cust, sum(total) AS s, count(*) AS n FROM ord GROUP BY cust;
CREATE VIEW ranked AS SELECT cust, id, rank() OVER (PARTITION BY cust ORDER BY total) AS r, count(*) OVER () AS everybody FROM ord;

CREATE TABLE asked (n int GENERATED ALWAYS AS IDENTITY, q text, args text[] DEFAULT '{}');
INSERT INTO asked (q) VALUES
	('SELECT * FROM barrier WHERE cust = 1 AND total > 0'),
	('SELECT * FROM barrier b JOIN cust c ON c.id = b.cust WHERE b.cust = 1'),
	('SELECT * FROM open_cust WHERE id = 1'),
	('SELECT * FROM both_kinds WHERE cust = 1'),
	('SELECT * FROM both_kinds WHERE cust IN (1, NULL)'),
	('SELECT * FROM per_cust WHERE cust = 1 AND n > 0'),
	('SELECT * FROM per_cust WHERE s > 10 AND cust = 1'),
	('SELECT * FROM ranked WHERE cust = 1'),	-- everybody: all of them
	('SELECT * FROM ord o, LATERAL (SELECT * FROM line l WHERE l.ord = o.id LIMIT 1) l WHERE o.cust = 1'),
	('SELECT * FROM cust c, LATERAL (SELECT count(*) FROM ord WHERE cust = c.id) o WHERE c.id = 1'),
	('SELECT * FROM cust c LEFT JOIN ord o ON o.cust = c.id WHERE o.cust = 1'),
	('SELECT * FROM cust c LEFT JOIN ord o ON o.cust = c.id AND o.cust = 1'),
	('SELECT * FROM cust c LEFT JOIN ord o ON o.cust = c.id WHERE coalesce(o.cust, 1) = 1'),
	('SELECT * FROM cust c LEFT JOIN ord o ON o.cust = c.id WHERE c.id = 1 AND o.id IS NULL'),
	('SELECT * FROM cust c FULL JOIN pay p ON p.cust = c.id WHERE c.id = 1 AND p.cust = 1'),
	('SELECT * FROM ord a LEFT JOIN (cust c LEFT JOIN pay p ON p.cust = c.id) ON c.id = a.cust WHERE a.cust = 1'),
	('SELECT * FROM cust c WHERE id = 1 AND NOT EXISTS (SELECT FROM ord o WHERE o.cust = c.id AND o.total > 1000)'),
	('SELECT * FROM cust c WHERE id = 1 AND EXISTS (SELECT FROM ord o WHERE o.cust = c.boss)'),
	('SELECT * FROM cust WHERE id = 1 AND boss NOT IN (SELECT cust FROM ord WHERE cust = 1)'),
	('SELECT * FROM cust WHERE id = ANY (SELECT cust FROM ord WHERE cust = 1)'),
	('SELECT * FROM cust WHERE id = ALL (SELECT cust FROM ord WHERE cust = 1)'),
	('SELECT * FROM ord WHERE cust IN (1, NULL)'),
	('SELECT * FROM ord WHERE cust NOT IN (2, NULL)'),
	('SELECT * FROM ord WHERE cust = ANY (''{1,NULL,1}'')'),
	('SELECT * FROM ord WHERE cust = ALL (''{1,1}'')'),
	('SELECT * FROM ord WHERE cust = NULL'),
	('SELECT * FROM ord WHERE cust IS NOT DISTINCT FROM 1'),
	('SELECT * FROM ord WHERE (cust, state) = (1, ''open'')'),
	('SELECT * FROM ord WHERE (cust, id) IN ((1, 1), (1, 32))'),
	('SELECT * FROM ord WHERE (cust, id) > (1, 1) AND cust = 1'),
	('SELECT * FROM ord WHERE row(cust) = row(1)'),
	('SELECT * FROM ord WHERE (cust = 1 AND state = ''open'') OR (cust = 1 AND total > 5)'),
	('SELECT * FROM ord WHERE cust = 1 IS TRUE'),
	('SELECT * FROM ord WHERE CASE WHEN state = ''open'' THEN cust = 1 END'),
	('SELECT * FROM ord WHERE cust::text = ''1'''),
	('SELECT * FROM ord WHERE cust = 1.0'),
	('SELECT * FROM ord WHERE cust = 1::bigint AND cust = 1::smallint'),
	('SELECT * FROM pay WHERE cust = 1'),
	('SELECT * FROM pay p JOIN cust c ON c.id = p.cust WHERE c.id = 1'),
	('SELECT * FROM pay p JOIN cust c ON c.id = p.cust WHERE p.cust = 1::bigint'),
	('SELECT * FROM amounts WHERE a = 1.00'),
	('SELECT * FROM amounts WHERE a IN (1, 1.0)'),
	('SELECT * FROM amounts WHERE a = 1::float8'),
	('SELECT * FROM word WHERE w = ''a'''),
	('SELECT * FROM word WHERE w = ''a''::char(3)'),
	('SELECT * FROM word WHERE w = ''a''::name'),
	('SELECT * FROM word WHERE lower(w) = ''a'''),
	('SELECT * FROM word WHERE w LIKE ''a'''),	-- an equality in the end
	('SELECT * FROM word WHERE w COLLATE "POSIX" = ''a'''),
	('SELECT * FROM coded WHERE c = ''a'''),
	('SELECT * FROM coded WHERE c = ''a''::code'),
	('SELECT * FROM coded d JOIN word w ON w.w = d.c WHERE w.w = ''a'''),
	('SELECT * FROM part WHERE k = 1'),
	('SELECT * FROM part_1 WHERE k = 1'),
	('SELECT * FROM part WHERE k IN (1, 2) AND v < 50'),
	('SELECT count(*) FROM part_2 WHERE k = 2'),
	('SELECT * FROM part p JOIN part q ON q.k = p.k WHERE p.k = 1 AND q.v < 10'),
	('SELECT * FROM part_1'),	-- no condition: the partition holds key 1 alone, which may change
	('SELECT * FROM plain WHERE k = 1'),
	('WITH x AS MATERIALIZED (SELECT * FROM ord WHERE cust = 1) SELECT * FROM x a JOIN x b USING (id)'),
	('WITH x AS NOT MATERIALIZED (SELECT * FROM ord) SELECT * FROM x WHERE cust = 1'),
	('WITH x AS (SELECT * FROM ord) SELECT (SELECT count(*) FROM x WHERE cust = 1), (SELECT max(total) FROM x)'),
	('WITH RECURSIVE up AS (SELECT * FROM cust WHERE id = 1 UNION SELECT c.* FROM cust c JOIN up ON c.id = up.boss) SELECT * FROM up'),
	('WITH RECURSIVE t AS (SELECT id FROM cust WHERE id = 1 UNION SELECT o.cust FROM ord o JOIN t ON o.cust = t.id AND o.cust = 1) SELECT * FROM t'),
	('SELECT id FROM ord WHERE cust = 1 UNION ALL SELECT id FROM cust WHERE id = 1'),
	('SELECT cust FROM ord WHERE cust = 1 INTERSECT SELECT id FROM cust'),
	('SELECT * FROM (SELECT cust, total FROM ord UNION SELECT id, 0 FROM cust) u WHERE cust = 1'),
	('SELECT * FROM (SELECT cust, total FROM ord EXCEPT SELECT id, 1 FROM cust) u WHERE cust = 1'),
	('SELECT cust, state, sum(total) FROM ord WHERE cust = 1 GROUP BY GROUPING SETS ((cust), (state), ())'),
	('SELECT * FROM (SELECT cust, state, sum(total) FROM ord GROUP BY GROUPING SETS ((cust, state), (cust))) g WHERE cust = 1'),
	('SELECT * FROM (SELECT cust, state, sum(total) FROM ord GROUP BY GROUPING SETS ((cust), (state))) g WHERE cust = 1'),
	('SELECT cust, count(*) FROM ord GROUP BY cust HAVING cust = 1'),
	('SELECT count(*) FROM ord HAVING count(*) FILTER (WHERE cust = 1) > 0'),
	('SELECT * FROM (SELECT *, lag(total) OVER (PARTITION BY cust ORDER BY id) FROM ord) w WHERE cust = 1'),
	('SELECT * FROM (SELECT *, lag(total) OVER (ORDER BY id) FROM ord) w WHERE cust = 1'),
	('SELECT * FROM (SELECT * FROM ord ORDER BY total DESC LIMIT 300) l WHERE cust = 1'),
	('SELECT * FROM (SELECT DISTINCT ON (cust) * FROM ord ORDER BY cust, total) d WHERE cust = 1'),
	('SELECT * FROM (SELECT DISTINCT ON (state) * FROM ord ORDER BY state, total, cust) d WHERE cust = 1'),
	('SELECT max(total) FROM ord WHERE cust = 1'),
	('SELECT (SELECT max(id) FROM ord), (SELECT name FROM cust WHERE id = 1)'),
	('SELECT * FROM cust WHERE id = (SELECT 1)'),
	('SELECT * FROM cust WHERE id = (SELECT min(cust) FROM ord WHERE cust = 1)'),
	('SELECT c.name, CASE WHEN c.id = 1 THEN (SELECT sum(total) FROM ord o WHERE o.cust = c.id) END FROM cust c WHERE c.id = 1'),
	('SELECT ARRAY(SELECT id FROM ord WHERE cust = 1 ORDER BY 1)'),
	('SELECT * FROM (VALUES (1), (1)) v(k) JOIN ord ON ord.cust = v.k AND ord.cust = 1'),
	('SELECT * FROM (VALUES (1)) v(k) JOIN ord ON ord.cust = v.k'),
	('SELECT * FROM unnest(ARRAY[1, 2]) u(k) JOIN ord ON ord.cust = u.k'),
	('SELECT o.* FROM ord o JOIN free f ON f.cust = o.cust WHERE f.cust = 1'),
	('SELECT o.* FROM ord o JOIN free f ON f.cust = o.cust WHERE f.id = 1'),
	('SELECT * FROM ord NATURAL JOIN (SELECT 1 AS cust) k'),
	('SELECT * FROM ord a JOIN ord b ON b.cust = a.cust WHERE a.cust = 1'),
	('SELECT * FROM ord a JOIN ord b ON b.id = a.id WHERE a.cust = 1'),
	('SELECT * FROM ord a WHERE cust = 1 AND total = (SELECT max(total) FROM ord b WHERE b.cust = a.cust)'),
	('SELECT * FROM ord WHERE cust = 1 AND cust = 2'),
	('SELECT * FROM ord WHERE cust = 1 AND false'),
	('SELECT cust.name FROM cust LEFT JOIN ord ON ord.id = cust.id WHERE cust.id = 1');
INSERT INTO asked (q, args) VALUES
	('SELECT * FROM ord WHERE cust = $1', '{1}'),
	('SELECT * FROM ord WHERE cust = $1::bigint', '{1}'),
	('SELECT * FROM ord WHERE cust = $1 + 0', '{1}'),
	('SELECT * FROM ord WHERE cust = coalesce($1, 2)', '{1}'),
	('SELECT * FROM ord WHERE cust = $1 OR $1 IS NULL', '{1}'),
	('SELECT * FROM ord WHERE cust = $1 OR $1 IS NULL', '{NULL}'),
	('SELECT * FROM ord WHERE cust = ANY ($1::int[])', '{"{1,NULL}"}'),
	('SELECT * FROM ord WHERE cust = ANY ($1::int[])', '{NULL}'),
	('SELECT * FROM ord WHERE cust = ANY ($1::bigint[])', '{"{1,9999999999}"}'),
	('SELECT * FROM ord WHERE cust = ANY ($1::int[][])', '{"{{1,2},{1,1}}"}'),
	('SELECT * FROM ord WHERE cust = ANY (ARRAY[$1, $2]::int[])', '{1,NULL}'),
	('SELECT * FROM ord WHERE cust IN ($1, $2 + 0)', '{1,1}'),
	('SELECT * FROM pay WHERE cust = $1::int', '{1}'),
	('SELECT * FROM amounts WHERE a = $1', '{1.000}'),
	('SELECT * FROM word WHERE w = $1', '{a}'),
	('SELECT * FROM coded WHERE c = $1', '{a}'),
	('SELECT * FROM part WHERE k = $1', '{1}'),
	('SELECT * FROM cust c LEFT JOIN ord o ON o.cust = c.id AND o.cust = $1 WHERE c.id = $1', '{1}'),
	('SELECT * FROM cust c, LATERAL (SELECT * FROM ord o WHERE o.cust = c.id AND c.id = $1 ORDER BY id LIMIT 2) o', '{1}');

CREATE PROCEDURE write_key(first int, last int) LANGUAGE plpgsql AS $$ BEGIN
	UPDATE cust SET name = name || '.' WHERE id BETWEEN first AND last;
	UPDATE ord SET total = total + 1 WHERE cust BETWEEN first AND last;
	UPDATE line SET qty = qty + 1 WHERE ord BETWEEN first AND last;
	UPDATE pay SET amount = amount + 1 WHERE cust BETWEEN first AND last;
	UPDATE word SET n = n + 1 WHERE w BETWEEN chr(96 + first) AND chr(96 + last);
	UPDATE coded SET n = n + 1 WHERE c BETWEEN chr(96 + first) AND chr(96 + last);
	UPDATE amounts SET n = n + 1 WHERE a BETWEEN first AND last;
	UPDATE part SET w = w + 1 WHERE k BETWEEN first AND last;
	UPDATE plain SET v = v + 1 WHERE k BETWEEN first AND last;
END $$;
CREATE FUNCTION probe_all() RETURNS text[] LANGUAGE sql AS $$ SELECT array_agg(probe(q, args) ORDER BY n) FROM asked $$;
CREATE TABLE seen (what text, said text[]);
-- rows come to key 1 from others, and leave it
CREATE PROCEDURE move_keys() LANGUAGE plpgsql AS $$ BEGIN
	UPDATE cust SET boss = boss % 5 + 1 WHERE id IN (1, 9);
	UPDATE ord SET cust = CASE cust WHEN 1 THEN 5 ELSE 1 END WHERE id IN (1, 40, 41);
	UPDATE line SET ord = CASE ord WHEN 1 THEN 7 ELSE 1 END, no = 99 WHERE (ord, no) = (7, 1) OR no = 99;
	UPDATE pay SET cust = CASE cust WHEN 1 THEN 5 ELSE 1 END WHERE id IN (30, 33);
	UPDATE word SET w = CASE w WHEN 'a' THEN 'q' ELSE 'a' END WHERE w IN ('a', 'q');
	UPDATE coded SET c = CASE c WHEN 'a' THEN 'q' ELSE 'a' END WHERE c IN ('a', 'q');
	UPDATE amounts SET a = CASE a WHEN 1 THEN 8 ELSE 1.000 END WHERE a IN (8, 1);
	UPDATE part SET k = CASE k WHEN 1 THEN 2 ELSE 1 END WHERE v IN (11, 12, 13);
	DELETE FROM part WHERE k IS NULL;
	DELETE FROM ord WHERE cust IS NULL OR id >= 1000;
	INSERT INTO part VALUES (1, 1, 1), (NULL, 1, 1);
	INSERT INTO ord VALUES (1000, 1, 'open', 1), (1001, NULL, 'open', 1);
END $$;
-- one leaves, and none comes
CREATE PROCEDURE leave_key() LANGUAGE plpgsql AS $$ BEGIN
	UPDATE ord SET cust = 7 WHERE id = (SELECT max(id) FROM ord WHERE cust = 1 AND id < 1000);
	UPDATE pay SET cust = 7 WHERE id = (SELECT max(id) FROM pay WHERE cust = 1);
END $$;
CREATE PROCEDURE ask_all() LANGUAGE plpgsql AS $$ BEGIN
	TRUNCATE seen;
	COMMIT;
	PERFORM cache_flush();
	PERFORM probe_all();
	COMMIT;
	INSERT INTO seen SELECT 'before', probe_all();
	COMMIT;
	CALL write_key(2, 6);
	COMMIT;
	INSERT INTO seen SELECT 'others', probe_all();
	COMMIT;
	CALL write_key(1, 1);
	COMMIT;
	INSERT INTO seen SELECT 'key', probe_all();
	COMMIT;
	CALL move_keys();
	COMMIT;
	INSERT INTO seen SELECT 'moved', probe_all();
	COMMIT;
	CALL leave_key();
	COMMIT;
	INSERT INTO seen SELECT 'left', probe_all();
END $$;
CREATE VIEW outcome AS SELECT (a.said)[n] AS before, (b.said)[n] AS others, (c.said)[n] AS key, (d.said)[n] AS moved,
	(e.said)[n] AS gone, n, q, args
	FROM asked, seen a, seen b, seen c, seen d, seen e
	WHERE a.what = 'before' AND b.what = 'others' AND c.what = 'key' AND d.what = 'moved' AND e.what = 'left';
CREATE FUNCTION wrong() RETURNS TABLE(query text, args text[], said text) LANGUAGE sql AS $$
	SELECT q, args, concat_ws(' / ', before, others, key, moved, gone) FROM outcome
	WHERE concat(before, others, key, moved, gone) LIKE '%WRONG%' ORDER BY n $$;
CALL ask_all();
SELECT * FROM wrong();
-- most are told apart by key; which ones is the business of keys_plans
SELECT count(*) > 100 AS cached, count(*) FILTER (WHERE others = 'hit') BETWEEN 55 AND 90 AS of_keys,
	count(*) FILTER (WHERE others = 'hit' AND key = 'hit') < 5 AS seen FROM outcome WHERE before = 'hit';
-- no plan makes a difference to what is right
SET plan_cache_mode = force_generic_plan;
CALL ask_all();
SELECT * FROM wrong();
SET plan_cache_mode = force_custom_plan;
SET enable_indexscan = off;
SET enable_indexonlyscan = off;
CALL ask_all();
SELECT * FROM wrong();
SET enable_bitmapscan = off;
SET enable_hashjoin = off;
SET enable_nestloop = off;
CALL ask_all();
SELECT * FROM wrong();
RESET enable_hashjoin;
SET enable_mergejoin = off;
SET enable_hashagg = off;
SET enable_partitionwise_join = on;
SET enable_partitionwise_aggregate = on;
SET from_collapse_limit = 1;
CALL ask_all();
SELECT * FROM wrong();
RESET ALL;
SET jit = off;
SET search_path = public, oracle;
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SET min_parallel_table_scan_size = 0;
SET constraint_exclusion = on;
CALL ask_all();
SELECT * FROM wrong();

DROP VIEW outcome, barrier, open_cust, both_kinds, per_cust, ranked;
DROP PROCEDURE ask_all, write_key, move_keys, leave_key;
DROP FUNCTION probe_all, wrong;
DROP TABLE asked, seen, cust, ord, line, pay, word, coded, amounts, part, plain, plain_child, free;
DROP DOMAIN code;
DROP SCHEMA oracle CASCADE;
