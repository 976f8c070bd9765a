--
-- Denormalized tables: more kinds of keys, joins and sources; after each
-- change the target is what the query returns, whatever the mode.
--
SET client_min_messages = warning;
\set ECHO none
\set QUIET on
\i sql/denorm.part.sql
\set ECHO all
-- types of keys, and of the columns that lead to them
CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy');
CREATE TYPE pair AS (a int, b text);
CREATE DOMAIN positive AS int CHECK (VALUE > 0);
CREATE TABLE top (code char(5) PRIMARY KEY, bits bit(4), m mood, arr int[], p pair, pos positive,
	num numeric, f float8, day date, name text, doubled int GENERATED ALWAYS AS (length(name) * 2) STORED);
CREATE TABLE mid (id int PRIMARY KEY, code char(5), num int, f int, at timestamp, name varchar(10));
CREATE TABLE low (id int PRIMARY KEY, mid bigint, num numeric, v int NOT NULL);
INSERT INTO top SELECT 'code' || i, (i % 3)::bit(4), (enum_range(NULL::mood))[1 + i % 3], ARRAY[i % 3, i % 2],
	CASE WHEN i % 4 > 0 THEN ROW(i % 4, 'x')::pair END, 1 + i % 3, i, i, date '2024-01-01' + i, 'n' || i
FROM generate_series(1, 8) i;
INSERT INTO mid SELECT i, 'code' || 1 + i % 9, 1 + i % 9, 1 + i % 9, timestamp '2024-01-01' + interval '1 day' * (i % 9), 'n' || 1 + i % 9
FROM generate_series(1, 24) i;
INSERT INTO low SELECT i, 1 + i % 25, 1 + i % 8, i FROM generate_series(1, 60) i;
INSERT INTO queries VALUES
('m_char', '{code}', 'SELECT t.code, count(l.id) AS n FROM top t LEFT JOIN mid m ON m.code = t.code LEFT JOIN low l ON l.mid = m.id GROUP BY t.code'),
('m_char_path', '{code}', 'SELECT t.code, sum(l.v) AS v FROM top t JOIN mid m ON m.name = t.name JOIN low l ON l.mid = m.id GROUP BY t.code'),
('m_bits', '{bits}', 'SELECT t.bits, sum(l.v) AS v FROM top t JOIN mid m ON m.code = t.code JOIN low l ON l.mid = m.id GROUP BY t.bits'),
('m_enum', '{m}', 'SELECT t.m, count(*) AS n FROM top t JOIN mid m ON m.code = t.code GROUP BY t.m'),
('m_array', '{arr}', 'SELECT t.arr, count(*) AS n FROM top t JOIN mid m ON m.code = t.code GROUP BY t.arr'),
('m_pair', '{p}', 'SELECT t.p, count(*) AS n, max(m.id) AS last FROM top t LEFT JOIN mid m ON m.code = t.code GROUP BY t.p'),
('m_domain', '{pos}', 'SELECT t.pos, count(*) AS n FROM top t JOIN mid m ON m.code = t.code GROUP BY t.pos'),
('m_generated', '{doubled}', 'SELECT t.doubled, count(*) AS n FROM top t JOIN mid m ON m.code = t.code GROUP BY t.doubled'),
-- joins of different types, whose edges are locked
('m_numeric', '{name}', 'SELECT t.name, sum(l.v) AS v FROM top t JOIN mid m ON m.num = t.num JOIN low l ON l.mid = m.id GROUP BY t.name'),
('m_float', '{name}', 'SELECT t.name, sum(l.v) AS v FROM top t JOIN mid m ON m.f = t.f JOIN low l ON l.mid = m.id GROUP BY t.name'),
('m_date', '{name}', 'SELECT t.name, sum(l.v) AS v FROM top t JOIN mid m ON m.at = t.day JOIN low l ON l.mid = m.id GROUP BY t.name'),
('m_expression', '{name}', 'SELECT t.name, sum(l.v) AS v FROM top t JOIN mid m ON upper(m.name) = upper(t.name) JOIN low l ON l.mid + 0 = m.id GROUP BY t.name'),
('m_union_types', '{name}', 'SELECT t.name, count(*) AS n FROM top t JOIN (SELECT num AS k FROM mid UNION ALL SELECT num FROM low UNION ALL SELECT f FROM mid WHERE id < 9) u ON u.k = t.num GROUP BY t.name'),
('m_union_key', '{k}', 'SELECT num AS k, count(*) AS n FROM mid GROUP BY num UNION ALL SELECT num, count(*) FROM low GROUP BY num'),
('m_two_columns', '{name,v}', 'SELECT t.name, l.v % 3 AS v, count(*) AS n FROM top t JOIN mid m ON m.code = t.code AND m.num = t.num JOIN low l ON l.mid = m.id GROUP BY 1, 2'),
-- constructs
('m_using', '{id}', 'SELECT id, m.num, l.v FROM mid m JOIN low l USING (id)'),
('m_natural', '{code}', 'SELECT code, count(*) AS n FROM (SELECT code, name FROM top) t NATURAL JOIN (SELECT code, name FROM mid) m GROUP BY code'),
('m_nested_outer', '{code}', 'SELECT t.code, m.id AS mid, l.id AS low FROM top t LEFT JOIN (mid m LEFT JOIN low l ON l.mid = m.id AND l.v % 2 = 0) ON m.code = t.code AND m.id % 2 = 0'),
('m_nested_inner', '{code}', 'SELECT t.code, count(l.id) AS n, count(m.id) AS m FROM top t LEFT JOIN (mid m JOIN low l ON l.mid = m.id) ON m.code = t.code GROUP BY t.code'),
('m_right_left', '{code}', 'SELECT t.code, m.id, l.v FROM low l RIGHT JOIN mid m ON l.mid = m.id RIGHT JOIN top t ON t.code = m.code'),
('m_full', '{id}', 'SELECT coalesce(m.id, l.id) AS id, m.num, l.v FROM mid m FULL JOIN low l ON l.id = m.id'),
('m_semi_row', '{code}', 'SELECT code, name FROM top WHERE (code, name) IN (SELECT code, name FROM mid)'),
('m_any_array', '{code}', 'SELECT code FROM top t WHERE t.name = ANY (ARRAY(SELECT m.name FROM mid m WHERE m.code = t.code))'),
('m_not_in', '{id}', 'SELECT id, num FROM mid WHERE id NOT IN (SELECT v FROM low)'),
('m_exists_value', '{code}', 'SELECT t.code, EXISTS (SELECT FROM mid m WHERE m.code = t.code AND EXISTS (SELECT FROM low l WHERE l.mid = m.id AND l.v > 30)) AS e FROM top t'),
('m_two_up', '{code}', 'SELECT t.code, (SELECT max((SELECT sum(l.v) FROM low l WHERE l.mid = m.id AND l.num <= t.num)) FROM mid m WHERE m.code = t.code) AS v FROM top t'),
('m_case', '{code}', 'SELECT t.code, CASE WHEN (SELECT count(*) FROM mid m WHERE m.code = t.code) > 2 THEN ''many'' ELSE ''few'' END AS c FROM top t'),
('m_intersect', '{code}', 'SELECT code FROM top INTERSECT SELECT code FROM mid'),
('m_except_all', '{code}', 'SELECT code FROM mid EXCEPT ALL SELECT code FROM top'),
('m_union', '{name}', 'SELECT name::text AS name FROM mid UNION SELECT name FROM top'),
('m_having_sub', '{code}', 'SELECT code, count(*) AS n FROM mid m GROUP BY code HAVING count(*) > (SELECT count(*) / 3 FROM low l WHERE l.v = 5)'),
('m_ordered', '{code}', 'SELECT m.code, percentile_disc(0.5) WITHIN GROUP (ORDER BY l.v) AS p, mode() WITHIN GROUP (ORDER BY l.num) AS most, rank(10) WITHIN GROUP (ORDER BY l.v) AS r FROM mid m JOIN low l ON l.mid = m.id GROUP BY m.code'),
('m_objects', '{code}', 'SELECT m.code, jsonb_object_agg(l.id, l.v) AS o, jsonb_agg(DISTINCT l.num) AS d, array_agg(l.v ORDER BY l.v DESC) FILTER (WHERE l.v % 2 = 0) AS even FROM mid m JOIN low l ON l.mid = m.id GROUP BY m.code'),
('m_lateral_left', '{code}', 'SELECT t.code, x.v, x.n FROM top t LEFT JOIN LATERAL (SELECT l.v, count(*) OVER () AS n FROM mid m JOIN low l ON l.mid = m.id WHERE m.code = t.code ORDER BY l.v LIMIT 2 OFFSET 1) x ON true'),
('m_lateral_twice', '{code}', 'SELECT t.code, y.s FROM top t, LATERAL (SELECT m.id FROM mid m WHERE m.code = t.code ORDER BY m.id DESC LIMIT 1) x, LATERAL (SELECT sum(l.v) AS s FROM low l WHERE l.mid = x.id) y'),
('m_window_cte', '{code}', 'WITH w AS (SELECT code, id, row_number() OVER (PARTITION BY code ORDER BY id) AS r FROM mid) SELECT t.code, w.id FROM top t JOIN w ON w.code = t.code AND w.r = 1'),
('m_window_two', '{code}', 'SELECT code, id, lag(id) OVER (PARTITION BY code ORDER BY id) AS before, ntile(2) OVER (PARTITION BY code, num ORDER BY id) AS half FROM mid'),
('m_cte_kept', '{code}', 'WITH s AS MATERIALIZED (SELECT mid, sum(v) AS v FROM low GROUP BY mid) SELECT m.code, sum(s.v) AS v, (SELECT count(*) FROM s x WHERE x.v > 100) AS big FROM mid m JOIN s ON s.mid = m.id GROUP BY m.code'),
('m_distinct_join', '{name}', 'SELECT t.name, d.id FROM top t JOIN (SELECT DISTINCT ON (code) code, id FROM mid ORDER BY code, num DESC, id) d ON d.code = t.code'),
('m_sets', '{code}', 'SELECT code, num, count(*) AS n FROM mid GROUP BY GROUPING SETS ((code), (num), ())'),
('m_series', '{code,i}', 'SELECT t.code, g.i, (SELECT count(*) FROM mid m WHERE m.code = t.code AND m.num > g.i) AS n FROM top t, generate_series(1, 2) g (i)'),
('m_unnest', '{code,e}', 'SELECT t.code, u.e, count(*) AS n FROM top t, unnest(t.arr) u (e) GROUP BY 1, 2'),
('m_limit_inside', '{code}', 'SELECT t.code, x.v FROM top t JOIN (SELECT m.code, l.v FROM mid m JOIN low l ON l.mid = m.id ORDER BY l.v DESC, l.id LIMIT 7) x ON x.code = t.code'),
('m_self', '{code}', 'SELECT a.code, count(*) AS n FROM mid a JOIN mid b ON b.num = a.num AND b.id > a.id JOIN mid c ON c.code = b.code GROUP BY a.code'),
('m_whole', '{one}', 'SELECT 1 AS one, count(*) AS n, sum(v) AS v FROM low'),
('m_x', '{x}', 'SELECT m.id AS x, m.num AS d, m.code AS r1 FROM mid m'),
('m_none', '{k}', 'SELECT 1 AS k, ''two'' AS v');
CREATE VIEW mids AS SELECT m.id, m.code, t.name FROM mid m JOIN top t ON t.code = m.code;
CREATE VIEW lows WITH (security_barrier) AS SELECT l.id, s.code, s.name, l.v FROM low l JOIN mids s ON s.id = l.mid WHERE l.v > 3;
INSERT INTO queries VALUES
('m_views', '{code}', 'SELECT code, count(*) AS n, sum(v) AS v FROM lows GROUP BY code'),
('m_view_path', '{name}', 'SELECT s.name, max(l.v) AS v FROM mids s LEFT JOIN lows l ON l.code = s.code GROUP BY s.name');
SELECT count(denorm_create(name, query, key)) FROM queries;
SELECT target, recomputed_by, full_for FROM cachekit_denorm ORDER BY target::text COLLATE "C";
SELECT * FROM wrong();
CREATE FUNCTION changes() RETURNS text[] LANGUAGE sql AS $f$ SELECT ARRAY[
	'UPDATE low SET v = v + 1 WHERE id % 7 = 0',
	'UPDATE low SET mid = mid + 1, num = num + 1 WHERE id % 5 = 0',
	'UPDATE low SET mid = NULL WHERE id IN (3, 4)',
	'INSERT INTO low SELECT i, i % 25, i % 8, i FROM generate_series(100, 120) i',
	'DELETE FROM low WHERE id % 11 = 0',
	'UPDATE mid SET code = ''code2'' WHERE id IN (1, 2)',
	'UPDATE mid SET num = num + 1, f = f + 2, at = at + interval ''1 day'', name = name || ''1'' WHERE id % 4 = 0',
	'UPDATE mid SET code = NULL, num = NULL, name = NULL WHERE id IN (5, 6)',
	'UPDATE mid SET id = id + 100 WHERE id IN (7, 8)',
	'DELETE FROM mid WHERE id IN (9, 10)',
	'INSERT INTO mid VALUES (9, ''code9'', 3, 4, ''2024-01-03'', ''n3''), (200, ''none'', 0, 0, NULL, NULL)',
	'INSERT INTO top VALUES (''code9'', ''0001'', ''sad'', ''{1,NULL}'', (1, NULL), 2, 9.0, 9, ''2024-01-10'', ''n9'')',
	'UPDATE top SET code = ''moved'', name = ''n77'', num = 2.00, f = 3, day = day - 2, p = (7, ''y''), arr = ''{7}'', m = ''sad'', bits = ''1111'' WHERE code = ''code3''',
	'UPDATE top SET p = NULL, arr = NULL, m = NULL, bits = NULL, pos = NULL, name = NULL WHERE code IN (''code1'', ''code4'')',
	'DELETE FROM top WHERE code = ''code5''',
	'WITH a AS (DELETE FROM low WHERE mid = 11 RETURNING *), b AS (DELETE FROM mid WHERE id = 11 RETURNING *) UPDATE top SET num = num + 1 WHERE code = ''code6''',
	'WITH a AS (INSERT INTO low VALUES (300, 300, 1, 1) RETURNING *) INSERT INTO mid VALUES (300, ''code2'', 2, 2, ''2024-01-05'', ''n2'')',
	'INSERT INTO mid SELECT i, ''code'' || i % 9, i % 5, i % 5, ''2024-01-04'', ''n'' || i % 5 FROM generate_series(195, 205) i ON CONFLICT (id) DO UPDATE SET code = excluded.code, num = excluded.num',
	'MERGE INTO low USING generate_series(110, 125) g ON g = id WHEN MATCHED AND g % 2 = 0 THEN DELETE WHEN MATCHED THEN UPDATE SET mid = 2 WHEN NOT MATCHED THEN INSERT VALUES (g, 3, 3, 3)',
	'TRUNCATE low',
	'INSERT INTO low SELECT i, 1 + i % 25, 1 + i % 8, i FROM generate_series(1, 20) i',
	'DELETE FROM mid',
	'TRUNCATE top'] $f$;
CREATE TABLE top_ AS SELECT * FROM top;
ALTER TABLE top_ DROP doubled;
CREATE TABLE mid_ AS TABLE mid;
CREATE TABLE low_ AS TABLE low;
CREATE PROCEDURE fill() LANGUAGE sql AS $$
	TRUNCATE top, mid, low;
	INSERT INTO top SELECT * FROM top_;
	INSERT INTO mid TABLE mid_;
	INSERT INTO low TABLE low_;
$$;
CALL change(VARIADIC changes());
SELECT count(denorm_set_mode(name::regclass, 'deferred')) FROM queries;
CALL fill();
CALL change(VARIADIC changes());
SELECT count(denorm_set_mode(name::regclass, 'async')) FROM queries;
CALL fill();
CALL change(VARIADIC changes());
SELECT count(denorm_drop(name::regclass)) FROM queries;
DROP VIEW lows, mids;
DROP TABLE top, mid, low, top_, mid_, low_;
DROP TYPE mood, pair;
DROP DOMAIN positive;
DROP PROCEDURE fill;
DROP FUNCTION changes;
TRUNCATE queries;

-- inheritance: a parent, it alone, and a child that is written through it
CREATE TABLE animal (id int, kind text, legs int);
CREATE TABLE dog (tricks int, breed text) INHERITS (animal);
CREATE TABLE puppy (age int) INHERITS (dog);
INSERT INTO queries VALUES
('i_all', '{kind}', 'SELECT kind, count(*) AS n, sum(legs) AS legs FROM animal GROUP BY kind'),
('i_only', '{kind}', 'SELECT kind, count(*) AS n, sum(legs) AS legs FROM ONLY animal GROUP BY kind'),
('i_child', '{breed}', 'SELECT breed, count(*) AS n, sum(tricks) AS tricks FROM dog GROUP BY breed'),
('i_child_parent', '{kind}', 'SELECT a.kind, count(*) AS n FROM animal a JOIN dog d ON d.legs = a.legs GROUP BY a.kind'),
('i_leaf', '{kind,age}', 'SELECT kind, age, count(*) AS n FROM puppy GROUP BY kind, age');
SELECT count(denorm_create(name, query, key)) FROM queries;
SELECT target, recomputed_by, full_for FROM cachekit_denorm ORDER BY target::text COLLATE "C";
CALL change(
	'INSERT INTO animal SELECT i, ''k'' || i % 3, i % 5 FROM generate_series(1, 10) i',
	'INSERT INTO dog SELECT i, ''k'' || i % 3, 4, i, ''b'' || i % 2 FROM generate_series(11, 20) i',
	'INSERT INTO puppy SELECT i, ''k'' || i % 3, 4, i, ''b'' || i % 2, i % 2 FROM generate_series(21, 30) i',
	'UPDATE animal SET legs = legs + 1 WHERE id % 4 = 0',
	'UPDATE animal SET kind = ''k9'' WHERE id IN (1, 11, 21)',
	'UPDATE ONLY animal SET kind = ''k8'' WHERE id IN (2, 12, 22)',
	'UPDATE dog SET breed = ''b7'', legs = 3 WHERE id IN (13, 23)',
	'UPDATE puppy SET age = 9, kind = ''k7'' WHERE id > 28',
	'DELETE FROM animal WHERE id IN (5, 15, 25)',
	'DELETE FROM dog WHERE id IN (16, 26)',
	'ALTER TABLE puppy NO INHERIT dog',
	'UPDATE puppy SET kind = ''k6''',
	'ALTER TABLE puppy INHERIT dog',
	'UPDATE puppy SET kind = ''k5'' WHERE id = 27',
	'CREATE TABLE cat (lives int) INHERITS (animal)',
	'INSERT INTO cat VALUES (50, ''k1'', 4, 9)',
	'DROP TABLE cat',
	'TRUNCATE ONLY animal',
	'TRUNCATE animal');
SELECT count(denorm_drop(name::regclass)) FROM queries;
TRUNCATE queries;
DROP TABLE animal CASCADE;
SELECT count(*) FROM pg_trigger WHERE tgname LIKE 'cachekit\_denorm%';

-- partitions of partitions, a default one, keys that move between them
CREATE TABLE part (k int, sub text, v int) PARTITION BY LIST (k);
CREATE TABLE part_1 PARTITION OF part FOR VALUES IN (1, NULL) PARTITION BY HASH (sub);
CREATE TABLE part_1a PARTITION OF part_1 FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE part_1b PARTITION OF part_1 FOR VALUES WITH (MODULUS 2, REMAINDER 1);
CREATE TABLE part_rest PARTITION OF part DEFAULT;
INSERT INTO queries VALUES
('p_all', '{k,sub}', 'SELECT k, sub, sum(v) AS v, count(*) AS n FROM part GROUP BY k, sub'),
('p_middle', '{sub}', 'SELECT sub, sum(v) AS v FROM part_1 GROUP BY sub'),
('p_leaf', '{sub}', 'SELECT sub, sum(v) AS v FROM part_1a GROUP BY sub'),
('p_join', '{sub}', 'SELECT a.sub, count(*) AS n FROM part a JOIN part_1 b ON b.v = a.v GROUP BY a.sub');
SELECT count(denorm_create(name, query, key)) FROM queries;
CALL change(
	'INSERT INTO part SELECT nullif(i % 4, 3), ''s'' || nullif(i % 5, 4), i % 10 FROM generate_series(1, 60) i',
	'UPDATE part SET k = 1 WHERE k = 2 AND v < 5',
	'UPDATE part SET sub = ''s'' || v WHERE k = 1 AND v % 3 = 0',
	'UPDATE part_1 SET v = v + 1',
	'UPDATE part SET k = NULL WHERE k = 1 AND sub IS NULL',
	'DELETE FROM part_1a WHERE v = 3',
	'COPY part FROM PROGRAM ''printf "1\\ts0\\t7\\n5\\t\\\\N\\t7\\n"''',
	'CREATE TABLE part_5 (v int, sub text, k int)',
	'INSERT INTO part_5 VALUES (1, ''s1'', 7)',
	'ALTER TABLE part ATTACH PARTITION part_5 FOR VALUES IN (7)',
	'UPDATE part SET k = 7 WHERE v = 6',
	'ALTER TABLE part DETACH PARTITION part_rest',
	'ALTER TABLE part ATTACH PARTITION part_rest DEFAULT',
	'TRUNCATE part_1b',
	'ALTER TABLE part_1 DETACH PARTITION part_1b',
	'DROP TABLE part_1b');
SELECT count(denorm_drop(name::regclass)) FROM queries;
TRUNCATE queries;
DROP TABLE part;

-- by hand, in the other modes
CREATE TABLE base (id int PRIMARY KEY, k int, v int);
INSERT INTO queries VALUES ('h_sums', '{k}', 'SELECT k, sum(v) AS v FROM base GROUP BY k');
SELECT denorm_create(name, query, key, 'deferred', attach => false) FROM queries;
CREATE TRIGGER mine AFTER INSERT OR UPDATE OR DELETE ON base FOR EACH ROW EXECUTE FUNCTION denorm_refresh_row('h_sums', 'k');
BEGIN;
INSERT INTO base SELECT i, i % 3, i FROM generate_series(1, 9) i;
SELECT count(*) FROM h_sums;
COMMIT;
CALL change(
	'UPDATE base SET k = k + 1 WHERE id < 4',
	'DELETE FROM base WHERE k = 0');
SELECT denorm_set_mode('h_sums', 'async');
CALL change(
	'INSERT INTO base SELECT i, i % 5, i FROM generate_series(11, 19) i',
	'UPDATE base SET k = NULL WHERE id = 12');
SELECT denorm_set_mode('h_sums', 'immediate');
CALL change('UPDATE base SET v = v * 2, k = 1 - k WHERE id > 10');
SELECT denorm_drop('h_sums');
TRUNCATE queries;
DROP TABLE base;

-- savepoints, rollbacks and prepared transactions, in every mode
CREATE TABLE base (id int PRIMARY KEY, k int, v int);
INSERT INTO base SELECT i, i % 3, i FROM generate_series(1, 9) i;
INSERT INTO queries VALUES
('r_sums', '{k}', 'SELECT k, sum(v) AS v, count(*) AS n FROM base GROUP BY k'),
('r_all', '{id}', 'SELECT id, v FROM base ORDER BY v DESC, id LIMIT 3');
SELECT count(denorm_create(name, query, key)) FROM queries;
\t on
SELECT statement
FROM unnest('{immediate,deferred,async}'::text[]) WITH ORDINALITY m (mode, i),
	unnest(ARRAY[
		format('SELECT %L, count(denorm_set_mode(name::regclass, %L)) FROM queries', mode, mode),
		'BEGIN', 'UPDATE base SET v = v + 100, k = k + 1', 'DELETE FROM base WHERE id < 3', 'ROLLBACK',
		'SELECT denorm_wait()', 'SELECT count(*) FROM wrong()',
		'BEGIN', 'SAVEPOINT a', 'UPDATE base SET k = 7', 'ROLLBACK TO a', 'UPDATE base SET k = 1 WHERE id = 2',
		'SAVEPOINT b', 'INSERT INTO base SELECT max(id) + 1, 2, 50 FROM base', 'RELEASE b', 'COMMIT',
		'SELECT denorm_wait()', 'SELECT count(*) FROM wrong()',
		'BEGIN', 'UPDATE base SET v = v * 2 WHERE k = 1', 'PREPARE TRANSACTION ''denorm''',
		'SELECT denorm_wait()', 'SELECT count(*) FROM wrong()',
		'ROLLBACK PREPARED ''denorm''', 'SELECT denorm_wait()', 'SELECT count(*) FROM wrong()',
		'BEGIN', 'UPDATE base SET v = v * 2, k = k + 1 WHERE k = 1', 'PREPARE TRANSACTION ''denorm''',
		'COMMIT PREPARED ''denorm''', 'SELECT denorm_wait()', 'SELECT count(*) FROM wrong()',
		'BEGIN ISOLATION LEVEL SERIALIZABLE', 'UPDATE base SET v = v + 1', 'DELETE FROM base WHERE k = 2', 'COMMIT',
		'SELECT denorm_wait()', 'SELECT count(*) FROM wrong()']) WITH ORDINALITY s (statement, j)
ORDER BY m.i, s.j \gexec
\t off
SELECT count(denorm_drop(name::regclass)) FROM queries;
TRUNCATE queries;
DROP TABLE base;

-- a bulk change touches each key once; of very many keys all are computed
CREATE TABLE big (id int PRIMARY KEY, few int, many int, v int);
INSERT INTO big SELECT i, i % 10, i / 4, i FROM generate_series(1, 100000) i;
CREATE TABLE written (target text, what text, n int);
CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO public.written VALUES (tg_relname, tg_op, 1);
	RETURN NULL;
END $$;
INSERT INTO queries VALUES
('b_few', '{few}', 'SELECT few, sum(v) AS v, count(*) AS n FROM big GROUP BY few'),
('b_many', '{many}', 'SELECT many, sum(v) AS v FROM big GROUP BY many');
SELECT count(denorm_create(name, query, key)) FROM queries;
VACUUM ANALYZE big, b_few, b_many;
CREATE TRIGGER note AFTER INSERT OR UPDATE OR DELETE ON b_few FOR EACH ROW EXECUTE FUNCTION note();
CREATE FUNCTION locks(OUT target regclass, OUT whole bigint, OUT keys bigint) RETURNS SETOF record LANGUAGE sql AS $$
	SELECT t, count(*) FILTER (WHERE objsubid = 108 AND classid = t::oid AND mode = 'ExclusiveLock'),
		count(*) FILTER (WHERE objsubid = 110) FROM pg_locks, unnest('{b_few,b_many}'::regclass[]) t
	WHERE locktype = 'advisory' AND pid = pg_backend_pid() GROUP BY t ORDER BY t::text $$;
BEGIN;
UPDATE big SET v = v + 1;
SELECT * FROM locks();
COMMIT;
SELECT target, what, sum(n) FROM written GROUP BY 1, 2;
SELECT * FROM wrong();
SELECT count(denorm_set_mode(name::regclass, 'deferred')) FROM queries;
BEGIN;
UPDATE big SET v = v + 1;
UPDATE big SET v = v + 1 WHERE id < 50000;
COMMIT;
SELECT target, what, sum(n) FROM written GROUP BY 1, 2;
SELECT * FROM wrong();
SELECT count(denorm_set_mode(name::regclass, 'async')) FROM queries;
UPDATE big SET v = v + 1 WHERE few < 5;
SELECT denorm_wait();
SELECT target, what, sum(n) FROM written GROUP BY 1, 2;
SELECT * FROM wrong();
SELECT count(denorm_drop(name::regclass)) FROM queries;
TRUNCATE queries;
DROP TABLE big, written;
DROP FUNCTION note, locks;

-- settings: those of the creation in maintenance, the session's elsewhere
CREATE TABLE at (id int PRIMARY KEY, t timestamptz, name text, x text);
CREATE FUNCTION settings() RETURNS text LANGUAGE sql AS $$
	SELECT concat_ws(' ', current_setting('TimeZone'), current_setting('DateStyle'), current_setting('IntervalStyle'),
		current_setting('extra_float_digits'), current_setting('search_path'), current_setting('row_security'),
		current_setting('cachekit.mode'), current_setting('quote_all_identifiers'), current_user) $$;
SET TimeZone = 'UTC';
SET DateStyle = 'ISO, DMY';
SET IntervalStyle = 'postgres';
INSERT INTO queries VALUES
('s_day', '{day}', 'SELECT t::date AS day, count(*) AS n, string_agg(t::text || quote_ident(name) || (x::float8 / 3)::text, '' '' ORDER BY id) AS all FROM at GROUP BY 1');
SELECT denorm_create(name, query, key) FROM queries;
-- a target of this one, which was made under other settings
SET TimeZone = 'America/New_York';
SET extra_float_digits = -5;
SELECT denorm_create('s_next', 'SELECT n, min(day::timestamptz)::text AS first, (max(n::float8) / 3)::text AS f FROM s_day GROUP BY n', '{n}');
CREATE FUNCTION look() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	IF public.settings() NOT IN ('UTC ISO, DMY postgres 1 pg_catalog, pg_temp off off off ' || current_user,
		'America/New_York ISO, DMY postgres -5 pg_catalog, pg_temp off off off ' || current_user) THEN
		RAISE WARNING 'not the settings of the creation: %', public.settings();
	END IF;
	RETURN NULL;
END $$;
CREATE TRIGGER look AFTER INSERT OR UPDATE ON s_day FOR EACH ROW EXECUTE FUNCTION look();
CREATE TRIGGER look AFTER INSERT OR UPDATE ON s_next FOR EACH ROW EXECUTE FUNCTION look();
CREATE PROCEDURE with_settings(n int, VARIADIC settings text[] DEFAULT '{}') LANGUAGE plpgsql AS $$
DECLARE
	before text;
	w record;
BEGIN
	FOR i IN 1 .. cardinality(settings) LOOP
		EXECUTE 'SET ' || settings[i];
	END LOOP;
	before = settings();
	FOR i IN 1 .. 2 LOOP
		INSERT INTO at VALUES (n * 10 + i, timestamptz '2024-01-01 22:00+00' + i * interval '1 hour' + n * interval '7 hours', 'a' || n, '0.1');
		UPDATE at SET x = '0.3' WHERE id = n * 10 + i - 10;
		-- an error in the middle
		BEGIN
			INSERT INTO at VALUES (n * 10 + 5, now(), 'a', 'no number');
			RAISE WARNING 'no error';
		EXCEPTION WHEN invalid_text_representation THEN
			NULL;
		END;
		IF settings() <> before THEN
			RAISE WARNING '% became %', before, settings();
		END IF;
	END LOOP;
	RESET ALL;
	SET client_min_messages = warning;
	FOR w IN SELECT 's_day', * FROM denorm_verify('s_day') UNION ALL SELECT 's_next', * FROM denorm_verify('s_next') LOOP
		RAISE WARNING '%: %', settings, w;
	END LOOP;
END $$;
CALL with_settings(1);
CALL with_settings(2, 'TimeZone = UTC', 'DateStyle = ''ISO, DMY''');
CALL with_settings(3, 'TimeZone = ''Asia/Tokyo''');
CALL with_settings(4, 'TimeZone = UTC', 'DateStyle = ''ISO, DMY''');
CALL with_settings(5, 'DateStyle = German', 'IntervalStyle = iso_8601', 'extra_float_digits = 0');
CALL with_settings(6, 'quote_all_identifiers = on');
CALL with_settings(7, 'TimeZone = utc', 'search_path = public, pg_catalog', 'row_security = off', 'cachekit.mode = auto');
CALL with_settings(8);
SET TimeZone = 'UTC';
SET DateStyle = 'ISO, DMY';
TABLE s_day ORDER BY day;
SELECT * FROM wrong();
RESET ALL;
SET client_min_messages = warning;
TABLE s_next ORDER BY n;
SELECT denorm_drop('s_next'), denorm_drop('s_day');
TRUNCATE queries;
DROP TABLE at;
DROP PROCEDURE with_settings;
DROP FUNCTION settings, look;

-- a target that others refer to, with constraints of its own
CREATE TABLE c (id int PRIMARY KEY, name text);
INSERT INTO c VALUES (1, 'one'), (2, 'two');
INSERT INTO queries VALUES ('t_names', '{id}', 'SELECT id, upper(name) AS name, count(*) AS n FROM c GROUP BY id');
SELECT denorm_create(name, query, key) FROM queries;
ALTER TABLE t_names ADD UNIQUE (name) DEFERRABLE, ADD CHECK (name <> 'BAD');
CREATE INDEX ON t_names (n, name);
CREATE TABLE refers (t int REFERENCES t_names);
INSERT INTO refers VALUES (1);
CALL change('UPDATE c SET name = ''uno'' WHERE id = 1', 'INSERT INTO c VALUES (3, ''three'')');
UPDATE c SET name = 'uno' WHERE id = 2;
UPDATE c SET name = 'bad' WHERE id = 2;
DELETE FROM c WHERE id = 1;
-- names change hands
UPDATE c SET name = CASE id WHEN 1 THEN 'three' ELSE 'uno' END WHERE id IN (1, 3);
BEGIN;
SET CONSTRAINTS ALL DEFERRED;
UPDATE c SET name = CASE id WHEN 1 THEN 'three' ELSE 'uno' END WHERE id IN (1, 3);
COMMIT;
SELECT * FROM wrong();
SELECT denorm_set_mode('t_names', 'deferred');
DELETE FROM c WHERE id = 1;
UPDATE c SET name = 'bad' WHERE id = 2;
DELETE FROM c WHERE id = 2;
SELECT * FROM wrong();
TABLE t_names ORDER BY id;
DROP TABLE refers;
SELECT denorm_drop('t_names');
DROP TABLE c, queries;
DROP FUNCTION wrong;
DROP PROCEDURE change;
SELECT count(*) FROM pg_trigger WHERE tgname LIKE 'cachekit\_denorm%';
SELECT * FROM cache_check();
