--
-- The same text, another meaning: settings asked for by name, parameter types,
-- settings that change what an index returns, operators of strangers.
--
CREATE TABLE doc (tenant int, what text);
INSERT INTO doc VALUES (1, 'one'), (2, 'two'), (2, 'deux');
SELECT cache_track('doc');
-- current_setting() of a constant name is part of an entry's identity
CREATE VIEW mine WITH (security_barrier) AS
	SELECT what FROM doc WHERE tenant = current_setting('app.tenant')::int;
SELECT cacheable, reason FROM cache_explain('SELECT * FROM mine');
SET app.tenant = 1;
SELECT cached_query_json('SELECT * FROM mine ORDER BY what');
SET app.tenant = 2;
SELECT cached_query_json('SELECT * FROM mine ORDER BY what');
SELECT state FROM cache_explain('SELECT * FROM mine ORDER BY what');
SET app.tenant = 1;
SELECT cached_query_json('SELECT * FROM mine ORDER BY what');
RESET app.tenant;
SELECT cached_query_json('SELECT * FROM mine ORDER BY what');
SELECT cacheable, reason
FROM cache_explain('SELECT current_setting(what) FROM doc');
SELECT cached_query_json('SELECT current_setting(''app.'' || ''tenant'', true) AS s', ttl => '1 hour');
SELECT state FROM cache_explain('SELECT current_setting(''app.'' || ''tenant'', true) AS s');
-- row security that asks for a setting
ALTER TABLE doc ENABLE ROW LEVEL SECURITY;
CREATE POLICY tenants ON doc USING (tenant = current_setting('app.tenant')::int);
CREATE ROLE cachekit_tenant;
GRANT SELECT ON doc TO cachekit_tenant;
SET ROLE cachekit_tenant;
SET app.tenant = 2;
SELECT cached_query_json('SELECT what FROM doc ORDER BY what');
SET app.tenant = 1;
SELECT cached_query_json('SELECT what FROM doc ORDER BY what');
SELECT state FROM cache_explain('SELECT what FROM doc ORDER BY what');
RESET ROLE;
RESET app.tenant;
SELECT cached_query_json('SELECT count(*) FROM doc');
-- parameters are inferred anew when a column changes its type
CREATE TABLE par (a int);
INSERT INTO par VALUES (1);
SELECT cache_track('par');
SELECT cached_query_json('SELECT * FROM par WHERE a = $1', '{1}');
ALTER TABLE par ALTER a TYPE text;
SELECT cached_query_json('SELECT * FROM par WHERE a = $1', '{1}');
ALTER TABLE par ALTER a TYPE numeric USING a::numeric;
SELECT cached_query_json('SELECT * FROM par WHERE a < $1', '{1.5}');
-- an index that returns some of the rows only
CREATE TABLE words (v tsvector);
INSERT INTO words SELECT to_tsvector('simple', 'a b' || i) FROM generate_series(1, 20000) i;
CREATE INDEX ON words USING gin (v);
SELECT cache_track('words');
SET enable_seqscan = off;
SET gin_fuzzy_search_limit = 100;
SELECT (cached_query_json($$SELECT count(*) FROM words WHERE v @@ 'a'::tsquery$$)->0->>'count')::int < 20000 AS some;
RESET gin_fuzzy_search_limit;
SELECT cached_query_json($$SELECT count(*) FROM words WHERE v @@ 'a'::tsquery$$);
RESET enable_seqscan;
-- what a stranger put into the search path does not run in our DDL trigger
CREATE FUNCTION evil(oid, regclass) RETURNS boolean LANGUAGE plpgsql
	AS 'BEGIN RAISE EXCEPTION ''evil''; END';
CREATE OPERATOR = (LEFTARG = oid, RIGHTARG = regclass, FUNCTION = evil);
CREATE FUNCTION evil(text, text[]) RETURNS boolean LANGUAGE plpgsql
	AS 'BEGIN RAISE EXCEPTION ''evil''; END';
CREATE TABLE innocent (a int);
GRANT SELECT ON innocent TO cachekit_tenant;
DROP TABLE innocent;
DROP OPERATOR = (oid, regclass);
DROP FUNCTION evil(oid, regclass), evil(text, text[]);
SELECT * FROM cache_check();
DROP VIEW mine;
DROP TABLE doc, par, words;
DROP ROLE cachekit_tenant;
