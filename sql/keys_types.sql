--
-- Keys of any type: equal values meet in one cell, whatever they look like.
--
\set ECHO none
\set QUIET on
\i sql/oracle.part.sql
\set ECHO all
CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy');
CREATE DOMAIN percent AS numeric(5, 2);
CREATE TYPE pair AS (a int, b text);
CREATE TABLE t (i2 smallint, i4 int, i8 bigint, n numeric, f4 float4, f8 float8, p percent,
	s text, v varchar(20), c char(8), nm name, bin bytea, u uuid, d date, ts timestamp,
	tz timestamptz, iv interval, b bool, m mood, arr int[], j jsonb, net inet, r int4range, pr pair, x int);
CREATE FUNCTION filler(n int) RETURNS t LANGUAGE sql AS $$
	SELECT ROW(n, n, n, n, n, n, n, 's' || n, 'v' || n, 'c' || n, 'n' || n, ('\x0' || n)::bytea,
		lpad(n::text, 32, '0')::uuid, date '2020-01-01' + n, timestamp '2020-01-01' + n * interval '1 day',
		timestamptz '2020-01-01 00:00+00' + n * interval '1 day', n * interval '1 day', n = 1,
		(enum_range(NULL::mood))[n], ARRAY[n, 1], to_jsonb(n), ('10.0.0.' || n)::inet,
		int4range(n, n + 1), ROW(n, 'p' || n)::pair, 0)::t $$;
INSERT INTO t SELECT (filler(g)).* FROM generate_series(1, 3) g;
DO $$ DECLARE a name; BEGIN
	FOR a IN SELECT attname FROM pg_attribute WHERE attrelid = 't'::regclass AND attnum > 0 AND attname <> 'x' ORDER BY attnum LOOP
		PERFORM cache_track('t', a);
	END LOOP;
END $$;
SELECT keys FROM cachekit_tracked_tables;

-- For one column: the entry of the value goes with a write of it, in the form
-- in which the write gives it; that of another value stays.
CREATE PROCEDURE key_of(col text, value text, other text, written text DEFAULT NULL)
LANGUAGE plpgsql AS $$
DECLARE
	q text := format('SELECT x FROM t WHERE %s = %s', col, value);
	o text := format('SELECT x FROM t WHERE %s = %s', col, other);
BEGIN
	RAISE NOTICE '%', (SELECT array_to_string(dependencies, ', ') FROM cache_explain(q));
	CALL after(format('UPDATE t SET x = x + 1 WHERE %s = %s', col, coalesce(written, value)), q, o);
END $$;
CALL key_of('i2', '1', '2');
CALL key_of('i2', '1::int', '2::bigint');
CALL key_of('i4', '1', '2');
CALL key_of('i4', '1::bigint', '2::smallint');
CALL key_of('i8', '1', '2::bigint');
CALL key_of('i8', '5000000000', '2');
CALL key_of('n', '1', '2.00', '1.000');
CALL key_of('n', '1.0', '''NaN''');
CALL key_of('f4', '1::float8', '2::float4');
CALL key_of('f8', '1', '2::float4');
INSERT INTO t (f8, x) VALUES ('-0', 0);
CALL key_of('f8', '0', '2', '''-0''');
CALL key_of('p', '1', '2.0');
CALL key_of('s', '''s1''', '''s2''');
CALL key_of('s', '''s1''::varchar', '''S1''');
CALL key_of('s', '''s1''::name', '''s2''::name');
CALL key_of('v', '''v1''', '''v2''::text');
CALL key_of('c', '''c1''', '''c2''', '''c1    ''');
CALL key_of('c', '''c1''::text', '''c2''::text');
CALL key_of('nm', '''n1''', '''n2''::text');
CALL key_of('bin', '''\x01''', '''\x02''');
CALL key_of('u', '''00000000-0000-0000-0000-000000000001''', '''00000000000000000000000000000002''', '''{00000000000000000000000000000001}''');
CALL key_of('d', '''2020-01-02''', '''2020-01-03''');
CALL key_of('d', 'timestamp ''2020-01-02''', 'timestamp ''2020-01-03''');
CALL key_of('ts', '''2020-01-02 00:00''', '''2020-01-03''');
CALL key_of('tz', '''2020-01-02 00:00+00''', '''2020-01-03 00:00+00''', '''2020-01-02 02:00+02''');
CALL key_of('iv', '''1 day''', '''2 days''', '''24 hours''');
CALL key_of('m', '''sad''', '''ok''');
CALL key_of('arr', '''{1,1}''', '''{2,1}''');
CALL key_of('j', '''1''', '''2''', '''1.0''');
CALL key_of('net', '''10.0.0.1''', '''10.0.0.2''', '''10.0.0.1/32''');
CALL key_of('r', '''[1,1]''', '''[2,3)''', '''[1,2)''');
CALL key_of('pr', 'ROW(1, ''p1'')::pair', 'ROW(2, ''p2'')::pair');
-- text parameters go through the column's type
SELECT dependencies FROM cache_explain('SELECT x FROM t WHERE n = $1', '{1.000}');
SELECT dependencies FROM cache_explain('SELECT x FROM t WHERE tz = ANY ($1)', '{"{2020-01-02 00:00+00,2020-01-02 02:00+02}"}');
-- rows that were there before a rewrite without rewriting
ALTER TABLE t ALTER v TYPE text;
CALL key_of('v', '''v1''', '''v2''::text');
-- columns added later, with a value for the old rows
ALTER TABLE t ADD late int DEFAULT 7;
SELECT cache_track('t', 'late');
CALL after('UPDATE t SET late = 8 WHERE i4 = 1', 'SELECT count(*) FROM t WHERE late = 7', 'SELECT count(*) FROM t WHERE late = 8', 'SELECT count(*) FROM t WHERE late = 9');
-- values out of line
ALTER TABLE t ALTER s SET STORAGE EXTERNAL;
UPDATE t SET s = repeat('abc', 5000) WHERE i4 = 3;
CALL after('UPDATE t SET x = x + 1 WHERE i4 = 3', 'SELECT x FROM t WHERE s = repeat(''abc'', 5000)', 'SELECT x FROM t WHERE s = ''s2''');

-- collations
CREATE COLLATION nd (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
CREATE TABLE coll (plain text, other text COLLATE "C", blind text COLLATE nd, x int);
INSERT INTO coll VALUES ('a', 'a', 'a', 0), ('A', 'A', 'A', 0), ('b', 'b', 'b', 0);
SELECT cache_track('coll', 'plain'), cache_track('coll', 'other'), cache_track('coll', 'blind');
SELECT dependencies FROM cache_explain('SELECT x FROM coll WHERE plain = ''a''');
SELECT dependencies FROM cache_explain('SELECT x FROM coll WHERE plain = ''a'' COLLATE "C"');
SELECT dependencies FROM cache_explain('SELECT x FROM coll WHERE plain = ''a'' COLLATE nd');
SELECT dependencies FROM cache_explain('SELECT x FROM coll WHERE blind = ''a''');
SELECT dependencies FROM cache_explain('SELECT x FROM coll WHERE blind = ''a'' COLLATE "C"');
CALL after('UPDATE coll SET x = x + 1 WHERE plain = ''A''', 'SELECT x FROM coll WHERE plain = ''a''', 'SELECT x FROM coll WHERE plain = ''a'' COLLATE nd', 'SELECT x FROM coll WHERE blind = ''a''', 'SELECT x FROM coll WHERE blind = ''a'' COLLATE "C"');
DROP TABLE coll;
DROP COLLATION nd;
DROP TABLE t CASCADE;
DROP PROCEDURE key_of;
DROP TYPE mood, pair;
DROP DOMAIN percent;
DROP SCHEMA oracle CASCADE;
