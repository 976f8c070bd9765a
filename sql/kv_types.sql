-- Values of every kind of type go in and come out the same.
SELECT cache_clear() >= 0 AS cleared;

CREATE TYPE kv_pair AS (a integer, b text);
CREATE TYPE kv_nest AS (p kv_pair, list kv_pair[], t timestamptz);
CREATE TYPE kv_mood AS ENUM ('sad', 'happy');
CREATE DOMAIN kv_percent AS integer CHECK (VALUE BETWEEN 0 AND 100);
CREATE DOMAIN kv_word AS text CHECK (VALUE ~ '^\w+$');
CREATE TYPE kv_range AS RANGE (subtype = float8);
CREATE TABLE kv_row (id integer, body text, tags text[]);
INSERT INTO kv_row VALUES (1, repeat('long ', 30000), '{x,NULL,y}'), (2, NULL, '{}');

-- by value
SELECT cache_set('int2', 7::smallint), cache_set('int4', -42), cache_set('int8', 9876543210),
	   cache_set('bool', true), cache_set('float4', 1.5::real), cache_set('float8', -0.0::float8),
	   cache_set('date', date '2024-02-29'), cache_set('oid', 1::oid), cache_set('time', time '12:34:56');
SELECT cache_get('int2', 0::smallint), cache_get('int4', 0), cache_get('int8', 0::bigint),
	   cache_get('bool', false), cache_get('float4', 0::real), cache_get('float8', 0::float8),
	   cache_get('date', NULL::date), cache_get('oid', 0::oid), cache_get('time', NULL::time);
SELECT key, value FROM cache_get_many('{int2,int4,int8,bool,float4,float8,oid}');

-- by reference, of fixed length and without a length
SELECT cache_set('uuid', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'::uuid),
	   cache_set('interval', interval '1 month 2 days 3 hours'),
	   cache_set('point', point(1,2)), cache_set('mac', '08:00:2b:01:02:03'::macaddr),
	   cache_set('cstring', 'zero-terminated'::cstring);
SELECT cache_get('uuid', NULL::uuid), cache_get('interval', NULL::interval),
	   cache_get('point', NULL::point), cache_get('mac', NULL::macaddr);
SELECT cache_get('cstring');

-- varlena
SELECT cache_set('numeric', 12345678901234567890.0987654321),
	   cache_set('jsonb', '{"b": [1, null, {"c": "d"}], "a": 1.50}'::jsonb),
	   cache_set('json', '{"b": 1,  "a":2}'::json),
	   cache_set('bytea', '\x00ff0001'::bytea), cache_set('inet', '::1/64'::inet),
	   cache_set('bits', B'10110'),
	   cache_set('tsvector', to_tsvector('simple', 'the quick fox'));
SELECT cache_get('numeric', 0::numeric), cache_get('jsonb', NULL::jsonb) -> 'b' -> 2 ->> 'c' AS d,
	   cache_get('json', NULL::json), cache_get('bytea', NULL::bytea), cache_get('inet', NULL::inet),
	   cache_get('bits', NULL::bit), cache_get('tsvector', NULL::tsvector);
SELECT cache_get('bits');
SELECT key, value FROM cache_get_many('{numeric,jsonb,json,bytea}');

-- arrays and ranges
SELECT cache_set('ints', '[0:2]={1,NULL,3}'::integer[]), cache_set('words', ARRAY[['a','b'],['c','d']]),
	   cache_set('range', int4range(1, 10)), cache_set('multi', '{[1,3),[5,8)}'::int4multirange),
	   cache_set('none', '{}'::text[]);
SELECT cache_get('ints', NULL::integer[]), (cache_get('words', NULL::text[]))[2][1],
	   upper(cache_get('range', NULL::int4range)), cache_get('multi', NULL::int4multirange),
	   cache_get('none', NULL::text[]);

-- types made by users
SELECT cache_set('pair', ROW(1, 'x,y')::kv_pair), cache_set('mood', 'happy'::kv_mood),
	   cache_set('percent', 99::kv_percent), cache_set('frange', kv_range(0.5, 1.5)),
	   cache_set('pairs', ARRAY[(1, NULL), (NULL, 'b')]::kv_pair[]),
	   cache_set('nest', ROW((1, 'a'), ARRAY[(2, 'b')::kv_pair], '2024-01-01 UTC')::kv_nest);
SELECT cache_get('pair', NULL::kv_pair), (cache_get('pair', NULL::kv_pair)).b,
	   cache_get('mood', NULL::kv_mood), cache_get('percent', NULL::kv_percent),
	   cache_get('frange', NULL::kv_range), cache_get('pairs', NULL::kv_pair[]),
	   ((cache_get('nest', NULL::kv_nest)).list)[1].b;
SELECT cache_get('pair'), cache_get('mood'), cache_get('pairs');

-- what has string literals, and domains over text, is text
SELECT cache_set('varchar', 'v'::varchar), cache_set('name', 'n'::name), cache_set('word', 'w'::kv_word);
SELECT cache_get('varchar', ''::text), cache_get('name', ''::text), cache_get('word', ''::text);

-- rows of tables, with values stored out of line
SELECT cache_set('row' || id, r) FROM kv_row r ORDER BY id;
SELECT cache_get('row1', NULL::kv_row) = r AS same, length((cache_get('row1', NULL::kv_row)).body)
  FROM kv_row r WHERE id = 1;
SELECT (cache_get('row2', NULL::kv_row)).*;
SELECT cache_set('body', body), cache_set('rows', array_agg(r) OVER ()) FROM kv_row r WHERE id = 1;
SELECT cache_get('body') = body AS same, (cache_get('rows', NULL::kv_row[]))[1] = r AS same
  FROM kv_row r WHERE id = 1;
DELETE FROM kv_row;
SELECT length(cache_get('body')), length((cache_get('row1', NULL::kv_row)).body);

-- expanded objects
DO $$
DECLARE
	list integer[] := '{}';
	pair kv_pair;
BEGIN
	FOR i IN 1..5 LOOP
		list := list || i;
	END LOOP;
	pair.a := 5;
	pair.b := repeat('b', 3);
	RAISE NOTICE 'set % %', cache_set('plist', list), cache_set('ppair', pair);
	list[1] := 100;
	RAISE NOTICE 'got % %', cache_get('plist', list), cache_get('ppair', pair);
END
$$;
SELECT cache_get('plist'), cache_get('ppair');

-- NULLs have a type, too
SELECT cache_set('nulljson', NULL::jsonb), cache_set('nullpair', NULL::kv_pair);
SELECT cache_get('nulljson', NULL::jsonb) IS NULL AS null, cache_get('nullpair', NULL::kv_pair) IS NULL AS null,
	   cache_exists('nulljson'), cache_exists('nullpair');

-- the type must be the very same
\set VERBOSITY sqlstate
SELECT cache_get('int4', 0::bigint);
SELECT cache_get('percent', 0);
SELECT cache_get('nulljson', NULL::json);
SELECT cache_get('int4', NULL);
\set VERBOSITY default
SELECT cache_get('jsonb', ''::text);

-- anonymous records have no type that others would know
SELECT cache_set('record', ROW(1, 2));
SELECT cache_set('records', ARRAY[ROW(1, 2)]);
SELECT cache_set('void', pg_sleep(0));
SELECT cache_exists('record'), cache_exists('records'), cache_exists('void');

-- a type that changes takes its values along, others stay
ALTER TYPE kv_pair ADD ATTRIBUTE c date;
SELECT cache_exists('pair'), cache_exists('pairs'), cache_exists('nest'), cache_exists('mood');
SELECT cache_get('pair', NULL::kv_pair) IS NULL AS absent;
SELECT cache_set('pair', ROW(1, 'x', '2024-02-29')::kv_pair);
BEGIN;
ALTER TYPE kv_pair ALTER ATTRIBUTE a TYPE text;
SELECT cache_get('pair') IS NULL AS absent;
SELECT cache_set('pair', ROW('text', 'x', '2024-02-29')::kv_pair);
SELECT cache_get('pair', NULL::kv_pair);
COMMIT;
SELECT cache_get('pair', NULL::kv_pair);
ALTER TYPE kv_mood ADD VALUE 'calm';
ALTER TYPE kv_mood RENAME VALUE 'happy' TO 'glad';
SELECT cache_get('mood');
ALTER TABLE kv_row ALTER COLUMN body TYPE integer USING 0;
SELECT cache_exists('row1'), cache_exists('rows');
DROP TYPE kv_mood;
SELECT cache_exists('mood'), cache_get('mood') IS NULL AS absent;
DROP TABLE kv_row;
SELECT cache_exists('row2');
DROP TYPE kv_nest, kv_pair, kv_range;
DROP DOMAIN kv_percent, kv_word;
SELECT cache_exists('pair'), cache_exists('percent'), cache_exists('frange'), cache_exists('word');

SELECT cache_clear() > 0 AS cleared;
