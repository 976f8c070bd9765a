--
-- A hit asks for the same privileges as the query itself, each time.
--
\set ECHO none
\set QUIET on
\i sql/oracle.part.sql
\set ECHO all

CREATE ROLE ck_hit_reader;
CREATE ROLE ck_hit_group;
CREATE ROLE ck_hit_nobody;
GRANT CREATE ON SCHEMA public TO ck_hit_reader;
CREATE TABLE account (id int, owner text, secret text);
CREATE TABLE entry (account int, amount int);
CREATE TABLE part (id int, n int) PARTITION BY RANGE (id);
CREATE TABLE part_1 PARTITION OF part FOR VALUES FROM (0) TO (100);
INSERT INTO account VALUES (1, 'a', 's1'), (2, 'b', 's2');
INSERT INTO entry VALUES (1, 10), (1, 20), (2, 5);
INSERT INTO part VALUES (1, 1), (2, 2);
SELECT cache_track('account'), cache_track('entry'), cache_track('part');
\set whole '''SELECT * FROM account'''
\set ids '''SELECT id FROM account'''
\set joined '''SELECT owner, (SELECT sum(amount) FROM entry e WHERE e.account = a.id) FROM account a'''
\set nested '''WITH x AS (SELECT account, sum(amount) AS s FROM entry GROUP BY 1) SELECT a.id, x.s FROM (SELECT id FROM account) a JOIN x ON x.account = a.id'''
\set parts '''SELECT * FROM part'''
SELECT probe(:whole), probe(:ids), probe(:joined), probe(:nested), probe(:parts);

-- who has no privilege gets an error and never a row
SET ROLE ck_hit_nobody;
SELECT * FROM cached_query(:whole) AS (id int, owner text, secret text);
SELECT cached_query_json(:whole);
SELECT probe_error(:whole), probe_error(:joined), probe_error(:nested), probe_error(:parts);
SELECT state, reason FROM cache_explain(:ids);

-- one of two tables is not enough
RESET ROLE;
GRANT SELECT ON entry TO ck_hit_reader;
SET ROLE ck_hit_reader;
SELECT probe_error(:whole), probe_error(:joined), probe_error(:nested);
RESET ROLE;
GRANT SELECT ON account, part TO ck_hit_reader;
SET ROLE ck_hit_reader;
SELECT probe(:whole), probe(:joined), probe(:nested), probe(:parts);

-- revoked while the entry and the analysed query are there
RESET ROLE;
REVOKE SELECT ON entry, part FROM ck_hit_reader;
SET ROLE ck_hit_reader;
SELECT probe(:whole), probe_error(:joined), probe_error(:nested), probe_error(:parts);

-- columns
RESET ROLE;
REVOKE SELECT ON account FROM ck_hit_reader;
GRANT SELECT (id) ON account TO ck_hit_reader;
SET ROLE ck_hit_reader;
SELECT probe(:ids), probe_error(:whole);
RESET ROLE;
REVOKE SELECT (id) ON account FROM ck_hit_reader;
SET ROLE ck_hit_reader;
SELECT probe_error(:ids);

-- membership, and schemas
RESET ROLE;
GRANT SELECT ON account TO ck_hit_group;
GRANT ck_hit_group TO ck_hit_reader;
SET ROLE ck_hit_reader;
SELECT probe(:ids), probe(:ids);
RESET ROLE;
REVOKE ck_hit_group FROM ck_hit_reader;
SET ROLE ck_hit_reader;
SELECT probe_error(:ids);
RESET ROLE;
CREATE SCHEMA hidden;
CREATE TABLE hidden.t (a int);
SELECT cache_track('hidden.t');
GRANT SELECT ON hidden.t TO ck_hit_reader;
GRANT USAGE ON SCHEMA hidden TO ck_hit_reader;
SET ROLE ck_hit_reader;
SELECT probe('SELECT * FROM hidden.t');
SELECT probe('SELECT * FROM hidden.t');
RESET ROLE;
REVOKE USAGE ON SCHEMA hidden FROM ck_hit_reader;
SET ROLE ck_hit_reader;
SELECT probe_error('SELECT * FROM hidden.t');
RESET ROLE;

-- views: the owner's privileges below, the caller's above
CREATE VIEW plain AS SELECT a.id, e.amount FROM account a JOIN entry e ON e.account = a.id;
CREATE VIEW invoker WITH (security_invoker) AS SELECT a.id, e.amount FROM account a JOIN entry e ON e.account = a.id;
GRANT SELECT ON plain, invoker TO ck_hit_reader;
SELECT probe('SELECT * FROM plain'), probe('SELECT * FROM invoker');
SELECT probe('SELECT * FROM plain'), probe('SELECT * FROM invoker');
SET ROLE ck_hit_reader;
SELECT probe('SELECT * FROM plain'), probe_error('SELECT * FROM invoker');
RESET ROLE;
REVOKE SELECT ON plain FROM ck_hit_reader;
SET ROLE ck_hit_reader;
SELECT probe_error('SELECT * FROM plain');
RESET ROLE;
GRANT SELECT ON plain TO ck_hit_reader;
ALTER VIEW plain OWNER TO ck_hit_reader;
SELECT probe_error('SELECT * FROM plain');
SET ROLE ck_hit_reader;
SELECT probe_error('SELECT * FROM plain');
RESET ROLE;

-- functions
CREATE FUNCTION twice(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN $1 * 2; END';
REVOKE EXECUTE ON FUNCTION twice(int) FROM PUBLIC;
SELECT probe('SELECT twice(n) FROM part'), probe('SELECT twice(n) FROM part');
GRANT SELECT ON part TO ck_hit_reader;
SET ROLE ck_hit_reader;
SELECT probe_error('SELECT twice(n) FROM part');
RESET ROLE;

-- a function that runs as its owner asks for the owner's
CREATE FUNCTION sum_of_entries() RETURNS text LANGUAGE sql SECURITY DEFINER
SET search_path = public, oracle AS $$ SELECT oracle.probe('SELECT sum(amount) FROM entry') $$;
SELECT sum_of_entries();
SET ROLE ck_hit_nobody;
SELECT sum_of_entries();
SELECT probe_error('SELECT sum(amount) FROM entry');
RESET ROLE;

SELECT * FROM cache_check();
DROP VIEW plain, invoker;
DROP FUNCTION twice, sum_of_entries;
DROP TABLE account, entry, part;
DROP TABLE hidden.t;
DROP SCHEMA hidden;
DROP OWNED BY ck_hit_reader, ck_hit_group, ck_hit_nobody;
DROP ROLE ck_hit_reader, ck_hit_group, ck_hit_nobody;
SET client_min_messages = warning;
DROP SCHEMA oracle CASCADE;
