--
-- Rules: making and dropping them, and who sees them when.  What they do to
-- queries is tested with pg_stat_statements, in test/t.
--
LOAD 'cachekit';
SET client_min_messages = warning;
SELECT cache_rule_create(41);
RESET client_min_messages;
SET compute_query_id = on;
CREATE FUNCTION rules() RETURNS TABLE (queryid bigint, ttl interval, tags text[], swr interval, warm boolean, enabled boolean, state text)
LANGUAGE sql AS 'SELECT queryid, ttl, tags, stale_while_revalidate, keep_warm, enabled, state FROM cachekit_rules ORDER BY queryid';
SELECT cache_rule_create(42, '1 minute', '{a,b}', '10 s', true);
SELECT cache_rule_create(-43, enabled => false);
SELECT cache_rule_create(44, NULL, NULL, NULL, NULL, NULL);
SELECT * FROM rules();
-- again: in its place
SELECT cache_rule_create(42, ttl => '2 minutes');
SELECT cache_rule_create(-43);
SELECT * FROM rules();
SELECT cache_rule_drop(42), cache_rule_drop(42), cache_rule_drop(7);
SELECT * FROM rules();
SET compute_query_id = off;
SELECT queryid, state FROM rules();
SET compute_query_id = on;
SET cachekit.mode = off;
SELECT queryid, state FROM rules();
RESET cachekit.mode;

-- what a rule can not be
SELECT cache_rule_create(NULL);
SELECT cache_rule_create(0);
SELECT cache_rule_create(1, ttl => '0 s');
SELECT cache_rule_create(1, ttl => '-1 day');
SELECT cache_rule_create(1, stale_while_revalidate => '-1 s');
SELECT cache_rule_create(1, tags => ARRAY['a', NULL]);
SELECT cache_rule_create(1, tags => '{""}');
SELECT cache_rule_create(1, tags => ARRAY[repeat('x', 257)]);
SELECT cache_rule_create(1, tags => array_agg('t' || i)) FROM generate_series(1, 33) i;
SELECT cache_rule_create(1, tags => array_agg('t' || i)) FROM generate_series(1, 32) i;
SELECT cache_rule_drop(NULL);
SELECT cache_rule_drop(1);

-- the own transaction sees its changes, a rollback takes them back
BEGIN;
SELECT cache_rule_create(50);
SELECT queryid, state FROM rules();
SAVEPOINT s;
SELECT cache_rule_create(50, enabled => false);
SELECT cache_rule_create(51);
SELECT queryid, state FROM rules();
ROLLBACK TO s;
SELECT queryid, state FROM rules();
ROLLBACK;
SELECT queryid, state FROM rules();
BEGIN READ ONLY;
SELECT cache_rule_create(50);
ROLLBACK;
-- rules have no part in the snapshot, but nothing reads them when serializable
BEGIN ISOLATION LEVEL SERIALIZABLE;
SELECT cache_rule_create(50);
SELECT queryid, state FROM rules();
ROLLBACK;

-- direct writes, and what a restore does
INSERT INTO cachekit_rule (queryid, ttl) VALUES (60, '1 s');
SELECT queryid, state FROM rules();
INSERT INTO cachekit_rule (queryid, ttl) VALUES (61, '-1 s');
INSERT INTO cachekit_rule (queryid, tags) VALUES (61, '{""}');
UPDATE cachekit_rule SET enabled = queryid = 60;
SELECT queryid, state FROM rules();
COPY cachekit_rule FROM stdin;
62	00:00:05	{t}	\N	f	t	SELECT 1
\.
SELECT queryid, state FROM rules();
SET session_replication_role = replica;
DELETE FROM cachekit_rule WHERE queryid = 62;
RESET session_replication_role;
SELECT queryid, state FROM rules();
TRUNCATE cachekit_rule;
SELECT queryid, state FROM rules();
SELECT cachekit_stat_rule(60), cachekit_stat_rule(NULL);
CREATE TABLE t (id int);
CREATE TRIGGER wrong BEFORE INSERT ON t FOR EACH STATEMENT EXECUTE FUNCTION cachekit_on_rule_change();
INSERT INTO t VALUES (1);
DROP TABLE t;

-- EXECUTE is what it takes
SELECT cache_rule_create(70);
CREATE ROLE regress_admin;
CREATE ROLE regress_reader IN ROLE pg_read_all_stats;
CREATE ROLE regress_nobody;
GRANT EXECUTE ON FUNCTION cache_rule_create, cache_rule_drop TO regress_admin;
SET ROLE regress_admin;
SELECT cache_rule_create(71, ttl => '1 s', tags => '{a}');
SELECT cache_rule_drop(70);
SELECT current_user;
SELECT * FROM cachekit_rule;
DELETE FROM cachekit_rule;
SELECT cache_rule_create(72, ttl => '-1 s');
SELECT current_user;
SET ROLE regress_reader;
SELECT queryid, state FROM cachekit_rules;
SELECT count(*) FROM cachekit_advice;
SELECT cache_rule_create(73);
SELECT * FROM cachekit_rule;
SET ROLE regress_nobody;
SELECT cache_rule_create(74);
SELECT cache_rule_drop(71);
SELECT * FROM cachekit_rules;
SELECT * FROM cachekit_advice;
SELECT * FROM cachekit_stat_statements();
SELECT cachekit_stat_text('SELECT 1');
RESET ROLE;
-- what the path hides does no harm
CREATE SCHEMA evil;
CREATE FUNCTION evil.no(bigint, bigint) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RAISE 'called as %', current_user; END $$;
CREATE OPERATOR evil.= (LEFTARG = bigint, RIGHTARG = bigint, PROCEDURE = evil.no);
GRANT USAGE ON SCHEMA evil TO regress_admin;
SET ROLE regress_admin;
SET search_path = evil, public, pg_catalog;
SELECT cache_rule_create(75);
SELECT cache_rule_drop(75);
RESET search_path;
RESET ROLE;
DROP SCHEMA evil CASCADE;
DROP OWNED BY regress_admin;
DROP ROLE regress_admin, regress_reader, regress_nobody;

-- the extension goes and comes: with no rule
SELECT queryid, state FROM cachekit_rules;
DROP FUNCTION rules();
BEGIN;
DROP EXTENSION cachekit;
SELECT to_regclass('cachekit_rule');
ROLLBACK;
SELECT queryid, state FROM cachekit_rules;
DROP EXTENSION cachekit;
CREATE EXTENSION cachekit;
SELECT cachekit_stat_rule(71);
SELECT cache_rule_create(71);
SELECT queryid, state FROM cachekit_rules;
CREATE SCHEMA elsewhere;
BEGIN;
DROP EXTENSION cachekit;
CREATE EXTENSION cachekit SCHEMA elsewhere;
SELECT elsewhere.cache_rule_create(80);
SELECT queryid, state FROM elsewhere.cachekit_rules;
COMMIT;
SELECT queryid, state FROM elsewhere.cachekit_rules;
DROP EXTENSION cachekit;
DROP SCHEMA elsewhere;
CREATE EXTENSION cachekit;
