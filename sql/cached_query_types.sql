--
-- Values of every kind come back as they were, from both forms.
--
\set ECHO none
\set QUIET on
\i sql/oracle.part.sql
\set ECHO all
-- probe a query with columns of these types in both forms, twice
CREATE FUNCTION forms(query text, columns text) RETURNS text LANGUAGE sql AS
	$$ SELECT concat_ws(' ', probe_rows(query, columns), probe_rows(query, columns), probe(query), probe(query)) $$;

CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy');
CREATE TYPE pair AS (a int, b text);
CREATE TYPE nested AS (p pair, m mood, arr pair[]);
CREATE DOMAIN posint AS int CHECK (VALUE > 0);
CREATE DOMAIN pairs AS pair[];
CREATE TYPE floatrange AS RANGE (subtype = float8, subtype_diff = float8mi, multirange_type_name = floatmultirange);
CREATE TABLE v (
	id int PRIMARY KEY, b bool, i2 int2, i8 int8, f4 float4, f8 float8, n numeric, m money,
	c "char", ch char(5), vc varchar(5), t text, nm name, by bytea, bi bit(5), vb bit varying,
	d date, ti time, tz timetz, ts timestamp, tsz timestamptz, iv interval,
	u uuid, j json, jb jsonb, x xml, ine inet, ci cidr, ma macaddr, ma8 macaddr8,
	pt point, bx box, ci2 circle, pa path, po polygon, ls lseg, li line,
	tv tsvector, tq tsquery, r int4range, mr int4multirange, fr floatrange, fmr floatmultirange,
	e mood, ea mood[], co pair, ne nested, dm posint, dma pairs, ia int[], ta text[], iaa int[][], oi oid, lsn pg_lsn);
SELECT cache_track('v');
INSERT INTO v VALUES (1, true, -3, 9223372036854775807, 0.1, 1e-300, 12345678901234567890.123456789, 12.34,
	'x', 'ab', 'abc', 'text', 'name', '\x00ff00', '10101', '101', '2024-02-29', '23:59:59.999999', '12:00:00+05:30',
	'infinity', '2024-02-29 12:00+00', '1 year 2 mons -3 days 04:05:06.789', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11',
	'{"b": 1,  "a": [1, null]}', '{"b": 1, "a": [1, null]}', '<a b="c">d</a>', '192.168.0.1/24', '10.0.0.0/8', '08:00:2b:01:02:03', '08:00:2b:01:02:03:04:05',
	'(1,2)', '((1,2),(3,4))', '<(1,2),3>', '[(1,2),(3,4)]', '((1,2),(3,4),(5,6))', '[(1,2),(3,4)]', '{1,2,3}',
	to_tsvector('simple', 'the cat sat'), 'cat & sat', '[1,5)', '{[1,3),[5,7)}', '[0.5,1.5)', '{[0.5,1.5)}',
	'ok', '{sad,happy}', '(1,"a b")', ROW(ROW(2, NULL)::pair, 'sad', ARRAY[ROW(3, 'x')::pair, NULL]), 7, ARRAY[ROW(1, 'q')::pair], '{1,NULL,3}', '{"a,b",NULL,"NULL",""}', '{{1,2},{3,4}}', 4711, '16/B374D848');
INSERT INTO v (id) VALUES (2);
INSERT INTO v (id, f4, f8, n, d, ts, tsz, r, mr, ia, ta, t, jb, iv) VALUES (3, 'NaN', '-Infinity', 'NaN', '-infinity', '0001-01-01 BC', '294276-12-31', 'empty', '{}', '{}', '{}', '', '[]', '0'),
	(4, '-0', '-0', 'Infinity', '4713-01-01 BC', '-infinity', 'infinity', '(,)', '{(,)}', '[0:1]={1,2}', '{"\"\\"}', E'\n\t\\', '"s"', '-178000000 years');
-- column by column
SELECT a.attname, forms(format('SELECT id, %I FROM v', a.attname), format('id int, %I %s', a.attname, format_type(a.atttypid, a.atttypmod)))
FROM pg_attribute a WHERE attrelid = 'v'::regclass AND attnum > 1 ORDER BY attnum;
-- all at once, on a hit
SELECT count(*) FROM cached_query(NULL::v, 'SELECT * FROM v');
SELECT cached_query_json('SELECT * FROM v') IS NOT NULL;
SELECT count(*) FROM (SELECT whole::text FROM cached_query(NULL::v, 'SELECT * FROM v') whole EXCEPT ALL SELECT v::text FROM v) y;
SELECT probe('SELECT * FROM v');
-- whole rows, arrays of rows, anonymous rows
SELECT forms('SELECT v FROM v', 'v v'), forms('SELECT array_agg(v) AS a FROM v', 'a v[]');
SELECT forms('SELECT co, (ne).p, ((ne).arr)[1] AS e FROM v', 'co pair, p pair, e pair');
SELECT state, reason FROM cache_explain('SELECT ROW(id, t) AS r FROM v');
SELECT probe('SELECT ROW(id, t) AS r FROM v'), probe('SELECT ARRAY[ROW(1, 2)] AS r'), probe('SELECT (ROW(id, t)).* FROM v') IS NOT NULL;
SELECT probe('SELECT array_agg(x) AS a FROM (SELECT id, t FROM v) x');
-- computed: text, aggregates, JSON
SELECT probe('SELECT id::text, f8::text, n::text, iv::text, ia::text, e::text, co::text, tsz::text FROM v') IN ('miss', 'bypass');
SELECT forms('SELECT json_agg(j) AS a, jsonb_agg(jb) AS b, json_object_agg(id, t) AS c FROM v WHERE id > 1', 'a json, b jsonb, c json');
SELECT forms('SELECT string_agg(t, '','' ORDER BY id) AS a, array_agg(ia) FILTER (WHERE id = 1) AS b, sum(n) AS s, avg(f8) AS av, stddev(id) AS sd, percentile_cont(0.5) WITHIN GROUP (ORDER BY id) AS pc, mode() WITHIN GROUP (ORDER BY e) AS mo FROM v', 'a text, b int[], s numeric, av float8, sd numeric, pc float8, mo mood');
SELECT forms('SELECT id, rank() OVER (ORDER BY id), lag(t) OVER (ORDER BY id), sum(id) OVER (ORDER BY id ROWS 1 PRECEDING) FROM v', 'id int, r bigint, l text, s bigint');
SELECT forms('SELECT id, e, grouping(id, e), count(*) FROM v GROUP BY GROUPING SETS ((id), (e), ())', 'id int, e mood, g int, c bigint');
SELECT forms('WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM r WHERE n < 100) SELECT r.n, id FROM r JOIN v ON v.id = r.n', 'n int, id int');
SELECT forms('SELECT x.* FROM v, xmltable(''/a'' PASSING x COLUMNS b text PATH ''@b'', d text PATH ''.'') x', 'b text, d text');
SELECT forms('SELECT k, value FROM v, jsonb_each(jb) AS q(k, value) WHERE jsonb_typeof(jb) = ''object''', 'k text, value jsonb');
SELECT forms('SELECT * FROM jsonb_to_recordset(''[{"a": 1, "b": "x"}]'') AS x(a int, b text)', 'a int, b text');
SELECT forms('SELECT (jsonb_populate_record(NULL::pair, ''{"a": 1, "b": "x"}'')).*', 'a int, b text');
SELECT forms('SELECT unnest(ARRAY[1, 2]), unnest(ARRAY[''a'', ''b'', ''c''])', 'a int, b text');
SELECT forms('SELECT CASE WHEN b THEN t END, coalesce(t, ''none''), nullif(id, 1), greatest(id, i2), ARRAY[id, 7], t IS DISTINCT FROM ''x'', (SELECT max(id) FROM v), EXISTS (SELECT 1 FROM v), id IN (SELECT id FROM v) FROM v', 'a text, b text, c int, d int, e int[], f bool, g int, h bool, i bool');
SELECT forms('SELECT t COLLATE "C", t LIKE ''t%'', t ~ ''^t'', upper(t), length(t), md5(t), substring(t FROM 2 FOR 2), position(''e'' in t), trim(t), overlay(t placing ''x'' from 1) FROM v', 'a text, b bool, c bool, d text, e int, f text, g text, h int, i text, j text');

-- toasted, compressed, external; the table's toast goes away afterwards
CREATE TABLE fat (id int, plain text, comp text, ext text, by bytea, arr text[], jb jsonb);
ALTER TABLE fat ALTER ext SET STORAGE EXTERNAL, ALTER comp SET STORAGE EXTENDED;
SELECT cache_track('fat');
INSERT INTO fat SELECT g, 'p', repeat('compress me ', 90000), (SELECT string_agg(md5(i::text || g), '') FROM generate_series(1, 32768) i),
	decode(repeat('00ff', 5000), 'hex'), ARRAY(SELECT repeat(i::text, 100) FROM generate_series(1, 300) i), jsonb_build_object('k', repeat('v', 20000))
FROM generate_series(1, 1) g;
SELECT length(comp), length(ext), pg_column_size(comp) < 100000 AS compressed FROM fat;
SELECT forms('SELECT * FROM fat', 'id int, plain text, comp text, ext text, by bytea, arr text[], jb jsonb');
SELECT forms('SELECT fat FROM fat', 'f fat'), forms('SELECT ROW(id, ext)::pair AS p, ARRAY[comp, ext] AS a FROM fat', 'p pair, a text[]');
SELECT forms('SELECT substr(ext, 100, 200) AS a, arr[5] AS b, comp || ext AS c FROM fat', 'a text, b text, c text');
CREATE TABLE kept AS SELECT * FROM cached_query('SELECT ext, comp FROM fat') AS x(ext text, comp text);
BEGIN;
DECLARE c CURSOR WITH HOLD FOR SELECT md5(ext), md5(comp) FROM cached_query('SELECT ext, comp FROM fat') AS x(ext text, comp text);
COMMIT;
SELECT md5(ext) AS ext, md5(comp) AS comp FROM fat \gset was_
SELECT * FROM cached_query('SELECT md5(ext), md5(comp) FROM fat') AS x(a text, b text) WHERE (a, b) IS DISTINCT FROM (:'was_ext', :'was_comp');
TRUNCATE fat;
VACUUM fat;
FETCH c;
CLOSE c;
SELECT count(*) FROM cached_query('SELECT ext, comp FROM fat') AS x(ext text, comp text);
SELECT md5(ext) = :'was_ext' AND md5(comp) = :'was_comp' AS same FROM kept;
DROP TABLE kept, fat;

-- types whose text depends on catalogs: rows are cached, JSON is not
CREATE TABLE reg (c regclass, p regproc, t regtype, r regrole, n regnamespace);
SELECT cache_track('reg');
INSERT INTO reg VALUES ('v', 'forms', 'mood', 'postgres', 'public');
SELECT probe_rows('SELECT * FROM reg', 'c regclass, p regproc, t regtype, r regrole, n regnamespace'), probe_rows('SELECT * FROM reg', 'c regclass, p regproc, t regtype, r regrole, n regnamespace'), probe('SELECT * FROM reg'), probe('SELECT * FROM reg');
ALTER TABLE v RENAME TO v2;
SELECT probe_rows('SELECT * FROM reg', 'c regclass, p regproc, t regtype, r regrole, n regnamespace'), probe('SELECT * FROM reg');
SELECT state, reason FROM cache_explain('SELECT c::text FROM reg');
DROP TABLE reg;

-- a base type of the user
CREATE TYPE mytype;
SET client_min_messages = warning;	-- 18 shows where
CREATE FUNCTION mytype_in(cstring) RETURNS mytype LANGUAGE internal IMMUTABLE STRICT AS 'textin';
CREATE FUNCTION mytype_out(mytype) RETURNS cstring LANGUAGE internal IMMUTABLE STRICT AS 'textout';
RESET client_min_messages;
CREATE TYPE mytype (INPUT = mytype_in, OUTPUT = mytype_out, LIKE = text);
CREATE TABLE my (id int, m mytype);
SELECT cache_track('my');
INSERT INTO my VALUES (1, 'one'), (2, NULL), (3, repeat('x', 5000)::mytype);
SELECT forms('SELECT * FROM my', 'id int, m mytype'), probe('SELECT * FROM my WHERE m::text = $1', '{one}'), probe('SELECT $1::mytype AS m FROM my', '{one}'), probe('SELECT $1::mytype AS m FROM my', '{two}');
DROP TABLE my;
DROP TYPE mytype CASCADE;

-- parameters of many types
SELECT probe('SELECT $1::mood AS e, $2::pair AS p, $3::int4range AS r, $4::jsonb AS j, $5::int[] AS a, $6::bytea AS b, $7::inet AS i, $8::xml::text AS x, $9::bit(3) AS bi, $10::tsvector AS tv, $11::posint AS d, $12::interval AS iv, $13::uuid AS u, $14::bool AS bo, $15::point AS pt',
	'{ok,"(1,x)","[1,3)","{\"a\":1}","{1,NULL}","\\\\x00ff",10.0.0.1,"<a/>",101,"''a'':1",5,"1 mon",a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11,t,"(1,2)"}') IN ('miss', 'bypass');

SELECT * FROM cache_check();
DROP TABLE v2;
DROP FUNCTION forms;
DROP DOMAIN posint, pairs;
DROP TYPE nested, pair, mood, floatrange;
SET client_min_messages = warning;
DROP SCHEMA oracle CASCADE;
