--
-- Literals whose meaning is found when the query is analysed, and may change
-- before it is run again by the same session.
--
\set ECHO none
\set QUIET on
\i sql/oracle.part.sql
\set ECHO all
CREATE TYPE mood AS ENUM ('sad', 'happy');
CREATE TABLE t (id int PRIMARY KEY, m mood, d date, rel oid);
SELECT cache_track('t');
INSERT INTO t VALUES (1, 'sad', current_date), (2, 'sad', NULL), (3, 'happy', NULL);

-- labels that change places
\set q '''SELECT count(*) FROM t WHERE m = ''''sad'''''''
\set p '''SELECT count(*) FROM t WHERE m = $1'''
SELECT probe(:q), probe(:q), probe(:p, '{sad}'), probe(:p, '{sad}');
ALTER TYPE mood RENAME VALUE 'sad' TO 'x';
SELECT probe_error(:q);
ALTER TYPE mood RENAME VALUE 'happy' TO 'sad';
ALTER TYPE mood RENAME VALUE 'x' TO 'happy';
SELECT probe(:q), probe(:q), cached_query_json(:q), probe(:p, '{sad}'), probe(:p, '{sad}');
BEGIN;
ALTER TYPE mood RENAME VALUE 'sad' TO 'x';
SELECT probe_error(:q);
ROLLBACK;
SELECT probe(:q);

-- names that get hidden
CREATE SCHEMA a;
SET search_path = a, public, oracle;
UPDATE t SET rel = 'public.t'::regclass WHERE id = 1;
\set r '''SELECT count(*) FROM public.t WHERE rel = ''''t''''::regclass'''
SELECT probe(:r), probe(:r), cached_query_json(:r);
CREATE TABLE a.t (id int);
SELECT probe(:r), probe(:r), cached_query_json(:r);
DROP TABLE a.t;
SELECT probe(:r), cached_query_json(:r);
CREATE TYPE a.kind AS (x int);
CREATE TYPE public.kind AS (y int);
\set y '''SELECT ''''kind''''::regtype = ''''public.kind''''::regtype AS same FROM public.t'''
SELECT probe(:y), probe(:y);
DROP TYPE a.kind;
SELECT probe(:y), probe(:y);
DROP TYPE public.kind;
DROP SCHEMA a;
SET search_path = public, oracle;

-- the time of the analysis
-- (a session that lives past midnight; here only that none of it is wrong)
SELECT bool_and(probe(q) NOT LIKE 'WRONG%' AND probe(q) NOT LIKE 'WRONG%') FROM (VALUES
	('SELECT count(*) FROM t WHERE d = ''today'''),
	('SELECT count(*) FROM t WHERE d < ''Tomorrow'''),
	('SELECT ''now''::timestamptz'),
	('SELECT timestamp ''yesterday 10:00'''),
	('SELECT time ''now'''),
	('SELECT ''{today}''::date[]'),
	('SELECT ''[yesterday,today)''::daterange'),
	('SELECT CAST('' NOW '' AS timestamp)'),
	('SELECT ''today'' || id FROM t'),
	('SELECT ''infinity''::date, ''epoch''::timestamptz')
) AS x(q);
-- each transaction has its own now
SELECT cached_query_json('SELECT ''now''::timestamptz AS t') = cached_query_json('SELECT ''now''::timestamptz AS t') AS same_transaction;
SELECT cached_query_json('SELECT ''now''::timestamptz AS t') AS first \gset
SELECT pg_sleep(0.01);
SELECT cached_query_json('SELECT ''now''::timestamptz AS t') = :'first' AS other_transaction;
SELECT probe('SELECT count(*) FROM t WHERE d = ''today'''), probe('SELECT count(*) FROM t WHERE d = ''today''');
SELECT probe('SELECT count(*) FROM t WHERE d = $1', '{today}'), probe('SELECT count(*) FROM t WHERE d = $1', '{today}');

SELECT * FROM cache_check();
DROP TABLE t;
DROP TYPE mood;
SET client_min_messages = warning;
DROP SCHEMA oracle CASCADE;
