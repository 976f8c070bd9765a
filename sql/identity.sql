--
-- The same text is another query under other settings, roles and types.
--
\set ECHO none
\set QUIET on
\i sql/oracle.part.sql
\set ECHO all
CREATE TABLE t (id int PRIMARY KEY, ts timestamptz, d date, i interval, b bytea, f float8, n text, x text, m money);
SELECT cache_track('t');
INSERT INTO t VALUES (1, '2024-02-03 04:05:06+00', '2024-02-03', '1 day 2 hours', '\xdeadbeef', 0.1::float8 + 0.2, 'a', '<a/>', 12.5);
\set q '''SELECT ts::text AS ts, d::text AS d, i::text AS i, b::text AS b, f::text AS f FROM t'''

-- settings that show in text
SELECT probe(:q), probe(:q);
SET TimeZone = 'Asia/Tokyo';
SELECT probe(:q), probe(:q);
SET DateStyle = 'SQL, DMY';
SELECT probe(:q), probe(:q);
SET IntervalStyle = 'iso_8601';
SELECT probe(:q), probe(:q);
SET bytea_output = 'escape';
SELECT probe(:q), probe(:q);
SET extra_float_digits = 0;
SELECT probe(:q), probe(:q);
-- and back again: the old entry is still there
RESET TimeZone;
RESET DateStyle;
RESET IntervalStyle;
RESET bytea_output;
RESET extra_float_digits;
SELECT probe(:q);
SELECT cached_query_json(:q);

-- settings that show in JSON, without a cast in the query
\set j '''SELECT ts, d, i, b, f FROM t'''
SELECT probe(:j), probe(:j);
SET TimeZone = 'Asia/Tokyo';
SELECT probe(:j), probe(:j);
BEGIN;
SET LOCAL IntervalStyle = 'iso_8601';
SELECT probe(:j), probe(:j);
COMMIT;
SELECT probe(:j);
RESET TimeZone;
SELECT probe(:j);

-- settings that change what the query computes
\set c '''SELECT ts::date AS d, extract(hour FROM ts) AS h, date_trunc(''''day'''', ts) = ts AS e FROM t'''
SELECT probe(:c), probe(:c);
SET TimeZone = 'Pacific/Auckland';
SELECT probe(:c), probe(:c);
RESET TimeZone;
\set lit '''SELECT count(*) FROM t WHERE d = ''''03/02/2024'''''''
SET DateStyle = 'ISO, MDY';
SELECT probe(:lit), probe(:lit);
SET DateStyle = 'ISO, DMY';
SELECT probe(:lit), probe(:lit);
SET DateStyle = 'ISO, MDY';
SELECT probe(:lit);
RESET DateStyle;
\set par '''SELECT count(*) FROM t WHERE d = $1'''
SET DateStyle = 'ISO, MDY';
SELECT probe(:par, '{03/02/2024}'), probe(:par, '{03/02/2024}');
SET DateStyle = 'ISO, DMY';
SELECT probe(:par, '{03/02/2024}'), probe(:par, '{03/02/2024}');
SELECT probe(:par, '{2024-02-03}'), probe(:par, '{Feb 3 2024}');
RESET DateStyle;
SET transform_null_equals = on;
SELECT probe('SELECT count(*) FROM t WHERE n = NULL'), probe('SELECT count(*) FROM t WHERE n IS NULL');
RESET transform_null_equals;
SELECT probe('SELECT count(*) FROM t WHERE n = NULL');
SET standard_conforming_strings = off;
SET escape_string_warning = off;
SELECT probe($$SELECT 'a\\b' || n AS s FROM t$$), probe($$SELECT 'a\\b' || n AS s FROM t$$);
RESET standard_conforming_strings;
SELECT probe($$SELECT 'a\\b' || n AS s FROM t$$), probe($$SELECT 'a\\b' || n AS s FROM t$$);
RESET escape_string_warning;
SET array_nulls = off;
SELECT probe($$SELECT '{NULL}'::text[] || n AS s FROM t$$);
RESET array_nulls;
SELECT probe($$SELECT '{NULL}'::text[] || n AS s FROM t$$);
SELECT probe('SELECT m::text FROM t'), probe('SELECT m::text FROM t');
SET lc_monetary = 'C.UTF-8';
SELECT probe('SELECT m::text FROM t');
RESET lc_monetary;
SELECT probe('SELECT to_char(ts, ''TMMonth HH24'') FROM t'), probe('SELECT to_char(ts, ''TMMonth HH24'') FROM t');
SELECT probe('SELECT to_tsvector(''the cats'') @@ to_tsquery(''cat'') AS ok FROM t');
SET default_text_search_config = 'pg_catalog.english';
SELECT probe('SELECT to_tsvector(''the cats'') @@ to_tsquery(''cat'') AS ok FROM t');
SET default_text_search_config = 'pg_catalog.simple';
SELECT probe('SELECT to_tsvector(''the cats'') @@ to_tsquery(''cat'') AS ok FROM t');
RESET default_text_search_config;
SET xmlbinary = hex;
SELECT probe('SELECT xmlelement(name a, b)::text AS x FROM t');
RESET xmlbinary;
SELECT probe('SELECT xmlelement(name a, b)::text AS x FROM t');
SET xmloption = document;
SELECT probe_error('SELECT (n || ''x'')::xml::text FROM t');
RESET xmloption;
SELECT probe('SELECT (n || ''x'')::xml::text FROM t');
SET timezone_abbreviations = 'Australia';
SELECT probe('SELECT ts = ''2024-02-03 04:05 EST'' AS same FROM t'), probe('SELECT ts = ''2024-02-03 04:05 EST'' AS same FROM t');
RESET timezone_abbreviations;
SELECT probe('SELECT ts = ''2024-02-03 04:05 EST'' AS same FROM t');
-- settings that change nothing do not part entries
SELECT probe('SELECT * FROM t'), probe('SELECT * FROM t');
SET work_mem = '1MB';
SET enable_seqscan = off;
SET application_name = 'other';
SELECT probe('SELECT * FROM t');
RESET work_mem;
RESET enable_seqscan;
RESET application_name;
-- a function's SET clause is a setting like others
CREATE FUNCTION in_tokyo() RETURNS text LANGUAGE plpgsql SET TimeZone = 'Asia/Tokyo' AS
	$$ BEGIN RETURN oracle.probe('SELECT ts::text FROM public.t') || ' ' ||
		(cached_query_json('SELECT ts::text FROM public.t') -> 0 ->> 'ts'); END $$;
SELECT in_tokyo();
SELECT probe('SELECT ts::text FROM public.t'), in_tokyo(), probe('SELECT ts::text FROM public.t');
DROP FUNCTION in_tokyo;

-- search_path
CREATE SCHEMA a;
CREATE SCHEMA b;
CREATE TABLE a.s (v text);
CREATE TABLE b.s (v text);
INSERT INTO a.s VALUES ('a');
INSERT INTO b.s VALUES ('b');
SELECT cache_track('a.s'), cache_track('b.s');
CREATE FUNCTION a.fun() RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT 'fun of a' $$;
CREATE FUNCTION b.fun() RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT 'fun of b' $$;
\set s '''SELECT v, fun() FROM s'''
SET search_path = a, public, oracle;
SELECT probe(:s), probe(:s), cached_query_json(:s);
SET search_path = b, public, oracle;
SELECT probe(:s), probe(:s), cached_query_json(:s);
SET search_path = a, b, public, oracle;
SELECT probe(:s), cached_query_json(:s);
SET search_path = public, oracle;
SELECT probe('SELECT v, a.fun() FROM a.s');
-- a plan prepared under one path, run under another
SET search_path = a, public, oracle;
PREPARE p AS SELECT cached_query_json('SELECT v, fun() FROM s');
EXECUTE p;
SET search_path = b, public, oracle;
EXECUTE p;
EXECUTE p;
SET search_path = public, oracle;
DEALLOCATE p;
DROP SCHEMA a, b CASCADE;

-- parameters: bytes and types
\set e '''SELECT $1::text AS p, count(*) FROM t'''
SELECT probe(:e, '{a}'), probe(:e, '{a}'), probe(:e, '{b}'), probe(:e, '{A}'), probe(:e, '{"a "}'), probe(:e, '{""}'), probe(:e, '{NULL}'), probe(:e, '{NULL}');
SELECT probe('SELECT $1::numeric AS p FROM t', '{1.0}'), probe('SELECT $1::numeric AS p FROM t', '{1.00}'), probe('SELECT $1::numeric AS p FROM t', '{1.0}');
SELECT probe('SELECT $1::float8 AS p FROM t', '{0}'), probe('SELECT $1::float8 AS p FROM t', '{-0}'), probe('SELECT $1::float8 AS p FROM t', '{NaN}');
SELECT probe('SELECT $1::int + id AS p FROM t', '{1}'), probe('SELECT $1::bigint + id AS p FROM t', '{1}'), probe('SELECT $1::int + id AS p FROM t', '{ 1 }');
SELECT probe('SELECT $1::text || $2::text AS p FROM t', '{ab,c}'), probe('SELECT $1::text || $2::text AS p FROM t', '{a,bc}'),
	probe('SELECT $1::text AS a, $2::text AS b FROM t', '{ab,c}'), probe('SELECT $1::text AS a, $2::text AS b FROM t', '{a,bc}'),
	probe('SELECT $1::text AS a, $2::text AS b FROM t', '{NULL,abc}'), probe('SELECT $1::text AS a, $2::text AS b FROM t', '{abc,NULL}');
SELECT probe('SELECT $1::text AS p FROM t', ARRAY[repeat('x', 100000)]), probe('SELECT $1::text AS p FROM t', ARRAY[repeat('x', 100000)]),
	probe('SELECT $1::text AS p FROM t', ARRAY[repeat('x', 99999) || 'y']);
SELECT probe('SELECT $1::bpchar(3) AS p FROM t', '{ab}'), probe('SELECT $1::bpchar(5) AS p FROM t', '{ab}');
SELECT probe('SELECT $1::interval AS p FROM t', '{1 mon}'), probe('SELECT $1::interval AS p FROM t', '{30 days}');
SELECT probe('SELECT $1::name AS p FROM t', '{abc}'), probe('SELECT $1::name AS p FROM t', '{abd}'), probe('SELECT $1::name AS p FROM t', '{abc}');
-- equal by a collation, not by bytes
CREATE COLLATION ignore_case (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
SELECT probe('SELECT $1::text COLLATE ignore_case AS p, ($1::text COLLATE ignore_case) = n AS same FROM t', '{A}'),
	probe('SELECT $1::text COLLATE ignore_case AS p, ($1::text COLLATE ignore_case) = n AS same FROM t', '{a}'),
	probe('SELECT $1::text COLLATE ignore_case AS p, ($1::text COLLATE ignore_case) = n AS same FROM t', '{A}');
SELECT probe('SELECT n < ''B'' COLLATE "C" AS c FROM t'), probe('SELECT n < ''B'' COLLATE ignore_case AS c FROM t');
DROP COLLATION ignore_case;

-- names of columns, literals, order
SELECT probe('SELECT id AS one FROM t'), probe('SELECT id AS two FROM t'), probe('SELECT id AS one FROM t'), probe('  SELECT  id  AS one /* the same */ FROM t  '), probe('select t.id "one" from public.t');
SELECT probe('SELECT ''a'' FROM t'), probe('SELECT ''b'' FROM t'), probe('SELECT 1 FROM t'), probe('SELECT 1.0 FROM t'), probe('SELECT ''1'' FROM t'), probe('SELECT 1::bigint FROM t');
SELECT probe('SELECT id FROM t ORDER BY id'), probe('SELECT id FROM t ORDER BY id DESC'), probe('SELECT id FROM t LIMIT 1'), probe('SELECT id FROM t LIMIT 0'), probe('SELECT id FROM t OFFSET 1');
SELECT probe('SELECT '':location 5'' AS s FROM t'), probe('SELECT '':location 6'' AS s FROM t');
SELECT probe('SELECT 1 AS ":location 5" FROM t'), probe('SELECT 1 AS ":location 6" FROM t'), probe('SELECT 1 AS ":location -1" FROM t');
SELECT probe('SELECT b FROM t WHERE b = ''\x3a6c6f636174696f6e2035'''), probe('SELECT b FROM t WHERE b = ''\x3a6c6f636174696f6e2036''');
SELECT probe('SELECT count(*) FROM t x JOIN t y USING (id)'), probe('SELECT count(*) FROM t x LEFT JOIN t y USING (id)'), probe('SELECT count(*) FROM t x JOIN t y ON x.id = y.id'), probe('SELECT count(DISTINCT id) FROM t'), probe('SELECT count(id) FILTER (WHERE id > 1) FROM t');
SELECT probe('SELECT id FROM t UNION SELECT 1'), probe('SELECT id FROM t UNION ALL SELECT 1'), probe('SELECT id FROM t INTERSECT SELECT 1'), probe('SELECT id FROM t EXCEPT SELECT 1');

-- roles: current_user and session_user
CREATE ROLE regress_ck_alice;
CREATE ROLE regress_ck_bob;
CREATE ROLE regress_ck_carol;
GRANT regress_ck_bob TO regress_ck_alice, regress_ck_carol;
GRANT SELECT ON t TO PUBLIC;
\set u '''SELECT current_user AS c, session_user AS s, user AS u, count(*) FROM t'''
SELECT probe(:u), probe(:u);
SET ROLE regress_ck_alice;
SELECT probe(:u), probe(:u);
RESET ROLE;
SELECT probe(:u);
SET SESSION AUTHORIZATION regress_ck_alice;
SELECT probe(:u), probe(:u);
SET ROLE regress_ck_bob;
SELECT probe(:u), probe(:u);
RESET SESSION AUTHORIZATION;
SET SESSION AUTHORIZATION regress_ck_carol;
SET ROLE regress_ck_bob;
SELECT probe(:u), probe(:u);
RESET SESSION AUTHORIZATION;
SET ROLE regress_ck_bob;
SELECT probe(:u), probe(:u);
RESET ROLE;
-- a renamed role is another one
ALTER ROLE regress_ck_bob RENAME TO regress_ck_bert;
SET ROLE regress_ck_bert;
SELECT probe(:u), probe(:u);
RESET ROLE;
ALTER ROLE regress_ck_alice RENAME TO regress_ck_bob;
SET ROLE regress_ck_bob;
SELECT probe(:u), probe(:u);
RESET ROLE;
-- who does not ask who he is shares entries with all
SELECT probe('SELECT id FROM t WHERE id = 1'), probe('SELECT id FROM t WHERE id = 1');
SET ROLE regress_ck_carol;
SELECT probe('SELECT id FROM t WHERE id = 1');
RESET ROLE;
REVOKE ALL ON t FROM PUBLIC;
DROP ROLE regress_ck_bert, regress_ck_bob, regress_ck_carol;

SELECT * FROM cache_check();
DROP TABLE t;
SET client_min_messages = warning;
DROP SCHEMA oracle CASCADE;
