--
-- What is not cached, and that cache_explain() says why, all of it; and what
-- a ttl makes of it.
--
\set ECHO none
\set QUIET on
\i sql/oracle.part.sql
\set ECHO all
CREATE TABLE t (id int PRIMARY KEY, v text);
CREATE TABLE untracked (id int);
SELECT cache_track('t');
INSERT INTO t VALUES (1, 'one'), (2, 'two');
INSERT INTO untracked VALUES (1);
CREATE TEMP TABLE tmp (id int);
CREATE SEQUENCE seq;
CREATE FOREIGN DATA WRAPPER nowhere;
CREATE SERVER nowhere FOREIGN DATA WRAPPER nowhere;
CREATE FOREIGN TABLE foreign_t (id int) SERVER nowhere;
CREATE FUNCTION stable_f() RETURNS int LANGUAGE sql STABLE AS $$ SELECT id FROM untracked $$;
CREATE FUNCTION volatile_f() RETURNS int LANGUAGE sql VOLATILE AS $$ SELECT id FROM untracked $$;
CREATE FUNCTION few(x int) RETURNS bool LANGUAGE sql STABLE AS $$ SELECT count(*) < 100 FROM untracked $$;
CREATE DOMAIN limited AS int CHECK (few(VALUE));
CREATE DOMAIN small AS int CHECK (VALUE < 100);
CREATE VIEW view_untracked AS SELECT * FROM untracked;
CREATE VIEW view_volatile AS SELECT id, volatile_f() FROM t;
CREATE VIEW view_lock AS SELECT * FROM t FOR UPDATE;
CREATE MATERIALIZED VIEW mv AS SELECT * FROM untracked;
\pset format unaligned
SELECT q, e.cacheable, e.state, e.reason, e.depends_on FROM (VALUES
	('SELECT * FROM t'),
	('SELECT * FROM mv'),
	('SELECT * FROM untracked'),
	('SELECT * FROM view_untracked'),
	('SELECT * FROM t JOIN untracked USING (id)'),
	('SELECT * FROM t WHERE id IN (SELECT id FROM untracked)'),
	('SELECT (SELECT max(id) FROM untracked) FROM t'),
	('WITH w AS (SELECT * FROM untracked) SELECT * FROM t'),
	('SELECT * FROM t UNION SELECT id, NULL FROM untracked'),
	('SELECT * FROM t WHERE false AND EXISTS (SELECT 1 FROM untracked)'),
	('SELECT * FROM tmp'),
	('SELECT * FROM pg_class'),
	('SELECT * FROM seq'),
	('SELECT * FROM foreign_t'),
	('SELECT nextval(''seq'') FROM t'),
	('SELECT * FROM t FOR UPDATE'),
	('SELECT * FROM t FOR KEY SHARE'),
	('SELECT * FROM (SELECT * FROM t FOR SHARE) x'),
	('SELECT * FROM view_lock'),
	('SELECT ctid, * FROM t'),
	('SELECT xmin FROM t'),
	('SELECT tableoid FROM t'),
	('SELECT t FROM t WHERE ctid = ''(0,1)'''),
	('SELECT * FROM t TABLESAMPLE SYSTEM (50)'),
	('SELECT * FROM t TABLESAMPLE BERNOULLI (50) REPEATABLE (1)'),
	('SELECT random() FROM t'),
	('SELECT * FROM t WHERE id > random()'),
	('SELECT * FROM t ORDER BY random()'),
	('SELECT count(*) FROM t GROUP BY random()'),
	('SELECT * FROM t LIMIT (random() * 10)::int'),
	('SELECT count(*) FILTER (WHERE random() > 0.5) FROM t'),
	('SELECT sum(id) OVER (ORDER BY random()) FROM t'),
	('SELECT CASE WHEN id = 1 THEN random() END FROM t'),
	('SELECT * FROM t, LATERAL (SELECT random() AS r OFFSET 0) x'),
	('SELECT gen_random_uuid()'),
	('SELECT clock_timestamp()'),
	('SELECT now()'),
	('SELECT current_timestamp'),
	('SELECT current_date, localtime'),
	('SELECT * FROM t WHERE v < now()::text'),
	('SELECT ''now''::timestamptz'),
	('SELECT ''today''::date - date ''2000-01-01'''),
	('SELECT v::date FROM t'),
	('SELECT v::timestamptz FROM t'),
	('SELECT age(timestamp ''2000-01-01'')'),
	('SELECT age(timestamp ''2000-01-01'', timestamp ''2001-01-01'')'),
	('SELECT current_setting(''work_mem'')'),
	('SELECT current_schema, current_catalog'),
	('SELECT current_schema()'),
	('SELECT current_database()'),
	('SELECT version()'),
	('SELECT txid_current()'),
	('SELECT pg_backend_pid()'),
	('SELECT inet_client_addr()'),
	('SELECT pg_relation_size(''t'')'),
	('SELECT ''t''::text::regclass'),
	('SELECT to_regclass(''t'')'),
	('SELECT id::regclass::text FROM t'),
	('SELECT has_table_privilege(''t'', ''SELECT'')'),
	('SELECT pg_typeof(id) FROM t'),
	('SELECT pg_get_viewdef(''mv''::regclass)'),
	('SELECT obj_description(1, ''pg_class'')'),
	('SELECT pg_sleep(0)'),
	('SELECT lo_get(1)'),
	('SELECT query_to_xml(''SELECT 1'', true, true, '''')'),
	('SELECT table_to_xml(''t'', true, true, '''')'),
	('SELECT ts_stat(''SELECT 1'')'),
	('SELECT dblink FROM (SELECT 1 AS dblink) x'),
	('SELECT stable_f()'),
	('SELECT volatile_f()'),
	('SELECT * FROM volatile_f()'),
	('SELECT * FROM view_volatile'),
	('SELECT * FROM cached_query(NULL::int, ''SELECT 1'')'),
	('SELECT cache_get(''k'')'),
	('SELECT ROW(1, 2)'),
	('SELECT array_agg(ROW(id, v)) FROM t'),
	('SELECT to_char(now(), ''YYYY''), random(), * FROM untracked, tmp, pg_class FOR UPDATE OF untracked'),
	('SELECT id::limited FROM t'),
	('SELECT ARRAY[id]::limited[] FROM t'),
	('SELECT id::small FROM t'),
	('SELECT current_user, session_user'),
	('SELECT to_char(date ''2000-01-01'', ''YYYY'')'),
	('SELECT date_trunc(''day'', timestamptz ''2000-01-01 00:00+00'')'),
	('SELECT concat(id, v), format(''%s'', id) FROM t'),
	('SELECT to_jsonb(t), row_to_json(t) FROM t')
) AS x(q), LATERAL cache_explain(q) e;
\pset format aligned
-- settings asked for by name are part of the identity
CREATE ROLE regress_ck_plain;
SELECT probe('SELECT current_setting(''ck.x'', true) AS x FROM t'), probe('SELECT current_setting(''ck.x'', true) AS x FROM t');
SET ck.x = 'one';
SELECT probe('SELECT current_setting(''ck.x'', true) AS x FROM t'), probe('SELECT current_setting(''ck.x'', true) AS x FROM t'), probe('SELECT current_setting(''ck.x'') AS x FROM t');
BEGIN;
SET LOCAL ck.x = '';
SELECT probe('SELECT current_setting(''ck.x'', true) AS x FROM t'), probe('SELECT current_setting(''ck.x'') AS x FROM t');
COMMIT;
SELECT probe('SELECT current_setting(''ck.x'', true) AS x FROM t');
SELECT probe_error('SELECT current_setting(''ck.nosuch'')'), probe_error('SELECT current_setting(NULL)'), probe('SELECT current_setting(v, true) FROM t');
SELECT probe('SELECT current_setting(''data_directory'') AS x'), probe('SELECT current_setting(''data_directory'') AS x');
SELECT probe('SELECT current_setting(''role'') AS a, current_setting(''is_superuser'') AS b, current_setting(''session_authorization'') AS c, current_setting(''transaction_isolation'') AS d, current_setting(''transaction_read_only'') AS e, current_setting(''TimeZone'') AS f');
SET ROLE regress_ck_plain;
SELECT left(probe_error('SELECT current_setting(''data_directory'') AS x'), 5) AS sqlstate;
SELECT probe('SELECT current_setting(''role'') AS a, current_setting(''is_superuser'') AS b, current_setting(''session_authorization'') AS c, current_setting(''transaction_isolation'') AS d, current_setting(''transaction_read_only'') AS e, current_setting(''TimeZone'') AS f');
RESET ROLE;
BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;
SELECT probe('SELECT current_setting(''role'') AS a, current_setting(''is_superuser'') AS b, current_setting(''session_authorization'') AS c, current_setting(''transaction_isolation'') AS d, current_setting(''transaction_read_only'') AS e, current_setting(''TimeZone'') AS f');
COMMIT;
DROP ROLE regress_ck_plain;
SELECT cached_query_json('SELECT 1 FROM untracked'), cached_query_json('SELECT 1 FROM untracked');
SELECT probe('SELECT * FROM untracked'), probe('SELECT stable_f()'), probe('SELECT * FROM pg_language');
-- what is not tracked may be written to at once
INSERT INTO untracked VALUES (2);
SELECT probe('SELECT * FROM untracked');

-- with a ttl: for that long, and then some are never
SELECT probe('SELECT count(*) FROM untracked', ttl => '1 hour'), probe('SELECT count(*) FROM untracked', ttl => '1 hour');
SELECT probe('SELECT now() > ''2000-01-01'' AS x', ttl => '1 hour'), probe('SELECT now() > ''2000-01-01'' AS x', ttl => '1 hour');
SELECT probe('SELECT max(t.id) FROM t, untracked', ttl => '1 hour'), probe('SELECT max(t.id) FROM t, untracked', ttl => '1 hour');
SELECT probe('SELECT count(*) FROM pg_language', ttl => '1 hour'), probe('SELECT count(*) FROM pg_language', ttl => '1 hour');
SELECT probe('SELECT last_value FROM seq', ttl => '1 hour'), probe('SELECT last_value FROM seq', ttl => '1 hour');
SELECT probe('SELECT random() < 2 AS r', ttl => '1 hour'), probe('SELECT random() < 2 AS r', ttl => '1 hour');
SELECT probe('SELECT * FROM tmp', ttl => '1 hour'), probe('SELECT * FROM tmp', ttl => '1 hour');
SELECT cached_query_json('SELECT * FROM t FOR UPDATE', ttl => '1 hour') = cached_query_json('SELECT * FROM t FOR UPDATE', ttl => '1 hour');
SELECT probe('SELECT volatile_f() IS NULL AS v', ttl => '1 hour'), probe('SELECT volatile_f() IS NULL AS v', ttl => '1 hour');
SELECT probe('SELECT nextval(''seq'') > 0 AS n', ttl => '1 hour'), probe('SELECT nextval(''seq'') > 0 AS n', ttl => '1 hour');
-- less than exact, as asked for
INSERT INTO untracked VALUES (3);
SELECT cached_query_json('SELECT count(*) FROM untracked', ttl => '1 hour'), cached_query_json('SELECT count(*) FROM untracked');
-- but what is tracked stays exact
SELECT cached_query_json('SELECT t.id FROM t, untracked WHERE untracked.id = 1', ttl => '1 hour');
INSERT INTO t VALUES (3, 'three');
SELECT cached_query_json('SELECT t.id FROM t, untracked WHERE untracked.id = 1', ttl => '1 hour');
-- within the writing transaction, too
BEGIN;
DELETE FROM t WHERE id = 3;
SELECT cached_query_json('SELECT t.id FROM t, untracked WHERE untracked.id = 1', ttl => '1 hour');
ROLLBACK;
-- a change of its schema is seen
ALTER TABLE untracked ADD x int;
SELECT probe('SELECT * FROM untracked', ttl => '1 hour'), probe('SELECT * FROM untracked', ttl => '1 hour');

DROP FOREIGN DATA WRAPPER nowhere CASCADE;
SELECT * FROM cache_check();
SET client_min_messages = warning;
DROP TABLE t, untracked, tmp CASCADE;
DROP SEQUENCE seq;
DROP DOMAIN limited, small;
DROP FUNCTION stable_f, volatile_f, few;
DROP SCHEMA oracle CASCADE;
