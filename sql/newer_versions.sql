--
-- What later versions of PostgreSQL brought.  The output is the same on all:
-- where there is no such thing, nothing is looked at.
--
\set ECHO none
\set QUIET on
\i sql/oracle.part.sql
CREATE FUNCTION at_least(version int) RETURNS boolean LANGUAGE sql AS
'SELECT current_setting(''server_version_num'')::int / 10000 >= version';
CREATE FUNCTION expect(wanted text, got text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	IF wanted IS DISTINCT FROM got THEN
		RAISE EXCEPTION 'expected %, got %', wanted, got;
	END IF;
END $$;
CREATE FUNCTION cacheable(query text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	RETURN (SELECT e.cacheable FROM cache_explain(query) e);
END $$;
\set ECHO all

CREATE TABLE item (id int, doc jsonb);
INSERT INTO item VALUES (1, '{"a": 1, "t": "now"}'), (2, '{"a": 2, "t": "today"}');
SELECT cache_track('item');

-- 16: constructors, whose text depends on settings and catalogs
DO $$
DECLARE
	q text := 'SELECT json_array(''2020-01-01 00:00 UTC''::timestamptz)::text';
BEGIN
	IF NOT at_least(16) THEN
		RETURN;
	END IF;
	PERFORM expect('true', cacheable('SELECT json_object(''k'': id) FROM item'));
	PERFORM expect('false', cacheable('SELECT json_array(''item''::regclass)'));
	SET LOCAL TimeZone = 'UTC';
	PERFORM expect('miss', probe(q));
	PERFORM expect('hit', probe(q));
	SET LOCAL TimeZone = 'Asia/Tokyo';
	PERFORM expect('miss', probe(q));
END $$;

-- 17: functions that read dates from documents; 'now' is not a constant
DO $$
BEGIN
	IF NOT at_least(17) THEN
		RETURN;
	END IF;
	PERFORM expect('true', cacheable('SELECT json_value(doc, ''$.a'') FROM item'));
	PERFORM expect('true', cacheable('SELECT json_value(doc, ''$.a'' RETURNING int) FROM item'));
	PERFORM expect('true', cacheable('SELECT json_query(doc, ''$'') FROM item'));
	PERFORM expect('true', cacheable('SELECT json_exists(doc, ''$.a'') FROM item'));
	PERFORM expect('true', cacheable('SELECT j.* FROM item, json_table(doc, ''$'' COLUMNS (a int PATH ''$.a'')) j'));
	PERFORM expect('false', cacheable('SELECT json_value(doc, ''$.t'' RETURNING timestamptz) FROM item'));
	PERFORM expect('false', cacheable('SELECT json_value(doc, ''$.t'' RETURNING regclass) FROM item'));
	PERFORM expect('false', cacheable('SELECT json_query(doc, ''$.t'' RETURNING date[] WITH WRAPPER) FROM item'));
	PERFORM expect('false', cacheable('SELECT j.* FROM item, json_table(doc, ''$'' COLUMNS (t date PATH ''$.t'')) j'));
END $$;

-- 17: MERGE returns rows
DO $$
BEGIN
	IF NOT at_least(17) THEN
		RETURN;
	END IF;
	PERFORM cached_query_json('WITH m AS (MERGE INTO item USING (VALUES (1)) v (id) ON v.id = item.id'
							  ' WHEN MATCHED THEN DO NOTHING RETURNING item.id) SELECT * FROM m');
	RAISE EXCEPTION 'not refused';
EXCEPTION WHEN feature_not_supported THEN
	NULL;
END $$;
DO $$
BEGIN
	IF NOT at_least(17) THEN
		RETURN;
	END IF;
	PERFORM probe('SELECT id FROM item');
	PERFORM expect('hit', probe('SELECT id FROM item'));
	EXECUTE 'WITH m AS (MERGE INTO item USING (VALUES (1)) v (id) ON v.id = item.id'
			' WHEN MATCHED THEN UPDATE SET id = 10 RETURNING item.id) SELECT * FROM m';
	PERFORM expect('bypass', probe('SELECT id FROM item'));
END $$;

-- 18: columns that are computed when read
DO $$
DECLARE
	q text := 'SELECT id, twice FROM virt';
	part text := 'SELECT id, twice FROM parent';
BEGIN
	IF NOT at_least(18) THEN
		RETURN;
	END IF;
	EXECUTE 'CREATE TABLE virt (id int, twice int GENERATED ALWAYS AS (id * 2) VIRTUAL)';
	INSERT INTO virt VALUES (1), (2);
	EXECUTE 'CREATE TABLE parent (id int, twice int GENERATED ALWAYS AS (id * 2) VIRTUAL) PARTITION BY LIST (id)';
	EXECUTE 'CREATE TABLE child PARTITION OF parent DEFAULT';
	INSERT INTO parent VALUES (1), (2);
	PERFORM cache_track('virt'), cache_track('parent');
	COMMIT;
	PERFORM probe(q), probe(part);
	PERFORM expect('hit', probe(q)), expect('hit', probe(part));
	COMMIT;
	EXECUTE 'ALTER TABLE virt ALTER twice SET EXPRESSION AS (id * 2 + 1)';
	EXECUTE 'ALTER TABLE parent ALTER twice SET EXPRESSION AS (id * 2 + 1)';
	PERFORM expect('bypass', probe(q)), expect('bypass', probe(part));
	COMMIT;
	PERFORM expect('miss', probe(q)), expect('miss', probe(part));
	PERFORM expect('hit', probe(q)), expect('hit', probe(part));
	COMMIT;
	EXECUTE 'ALTER TABLE virt ALTER twice SET EXPRESSION AS (id)';
	ROLLBACK;
	PERFORM expect('hit', probe(q));
END $$;

DO $$
BEGIN
	IF NOT at_least(18) THEN
		RETURN;
	END IF;
	EXECUTE 'CREATE TABLE virt2 (id int, twice int GENERATED ALWAYS AS (id * 2) VIRTUAL, v int)';
	PERFORM denorm_create('by_virt', 'SELECT twice, count(*) AS n, sum(v) AS v FROM virt2 GROUP BY twice', '{twice}');
	PERFORM denorm_create('by_id', 'SELECT id, max(twice) AS t FROM virt2 GROUP BY id', '{id}');
	INSERT INTO virt2 VALUES (1), (2), (2);
	PERFORM expect('2', (SELECT n::text FROM by_virt WHERE twice = 4));
	UPDATE virt2 SET id = id + 1, v = 7;
	DELETE FROM virt2 WHERE id = 2;
	PERFORM expect('0', (SELECT count(*)::text FROM denorm_verify('by_virt')));
	PERFORM expect('0', (SELECT count(*)::text FROM denorm_verify('by_id')));
	PERFORM denorm_drop('by_virt'), denorm_drop('by_id');
END $$;

-- 18: names for the grouping expressions
DO $$
BEGIN
	PERFORM probe('SELECT id + 1, count(*) FROM item GROUP BY ROLLUP (1)');
	PERFORM expect('hit', probe('SELECT id + 1, count(*) FROM item GROUP BY ROLLUP (1)'));
	PERFORM expect('false', cacheable('SELECT now() - interval ''1 day'', count(*) FROM item GROUP BY 1'));
END $$;
SELECT * FROM cache_check();
SET client_min_messages = warning;
DROP TABLE IF EXISTS item, virt, virt2, parent;
DROP FUNCTION at_least, expect, cacheable;
DROP SCHEMA oracle CASCADE;
