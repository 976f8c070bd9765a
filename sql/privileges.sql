--
-- Whoever may not run a query may not read its cached result, and hears the
-- same words.
--
\set ECHO none
\set QUIET on
\i sql/oracle.part.sql
\set ECHO all
CREATE ROLE regress_ck_owner;
CREATE ROLE regress_ck_alice;
CREATE ROLE regress_ck_bob;
CREATE ROLE regress_ck_staff;
CREATE TABLE t (id int PRIMARY KEY, owner text, secret int);
ALTER TABLE t OWNER TO regress_ck_owner;
SELECT cache_track('t');
INSERT INTO t VALUES (1, 'regress_ck_alice', 10), (2, 'regress_ck_bob', 20), (3, 'regress_ck_staff', 30);
GRANT SELECT ON t TO regress_ck_alice;
\set q '''SELECT * FROM t'''
\set ids '''SELECT id FROM t'''
\set cnt '''SELECT count(*) FROM t'''

-- tables and columns
SELECT probe(:q), probe(:ids), probe(:cnt);
SET ROLE regress_ck_alice;
SELECT probe(:q), probe(:ids), probe(:cnt);
SET ROLE regress_ck_bob;
SELECT probe_error(:q), probe_error(:ids), probe_error(:cnt);
SELECT cached_query_json(:q);
SELECT * FROM cached_query(:ids) AS (id int);
SELECT state, reason FROM cache_explain(:q);
RESET ROLE;
GRANT SELECT (id) ON t TO regress_ck_bob;
SELECT probe(:q), probe(:q), probe(:ids), probe(:cnt);
SET ROLE regress_ck_bob;
SELECT probe(:ids), probe(:ids), probe(:cnt), probe_error(:q), probe_error('SELECT sum(secret) FROM t');
RESET ROLE;
REVOKE SELECT (id) ON t FROM regress_ck_bob;
SELECT probe(:ids), probe(:cnt);
SET ROLE regress_ck_bob;
SELECT probe_error(:ids), probe_error(:cnt);
-- the same session, in mid-transaction
RESET ROLE;
GRANT SELECT ON t TO regress_ck_bob;
SELECT probe(:q), probe(:q);
BEGIN;
SET LOCAL ROLE regress_ck_bob;
SELECT probe(:q);
RESET ROLE;
REVOKE ALL ON t FROM regress_ck_bob;
SET LOCAL ROLE regress_ck_bob;
SELECT probe_error(:q);
ROLLBACK;
SET ROLE regress_ck_bob;
SELECT probe(:q);
RESET ROLE;
REVOKE ALL ON t FROM regress_ck_bob;
-- by membership, and no longer
GRANT SELECT ON t TO regress_ck_staff;
GRANT regress_ck_staff TO regress_ck_bob;
SET ROLE regress_ck_bob;
SELECT probe(:q), probe(:q);
RESET ROLE;
REVOKE regress_ck_staff FROM regress_ck_bob;
SET ROLE regress_ck_bob;
SELECT probe_error(:q);
RESET ROLE;
ALTER ROLE regress_ck_bob NOINHERIT;	-- 16 looks at it when granting
GRANT regress_ck_staff TO regress_ck_bob;
SET ROLE regress_ck_bob;
SELECT probe_error(:q);
RESET ROLE;
ALTER ROLE regress_ck_bob INHERIT;
REVOKE regress_ck_staff FROM regress_ck_bob;
-- a superuser, and no longer
ALTER ROLE regress_ck_bob SUPERUSER;
SET ROLE regress_ck_bob;
SELECT probe(:q), probe(:q);
RESET ROLE;
ALTER ROLE regress_ck_bob NOSUPERUSER;
SET ROLE regress_ck_bob;
SELECT probe_error(:q);
RESET ROLE;

-- schemas
CREATE SCHEMA hidden;
CREATE TABLE hidden.h (id int);
SELECT cache_track('hidden.h');
GRANT SELECT ON hidden.h TO PUBLIC;
GRANT USAGE ON SCHEMA hidden TO regress_ck_alice;
SELECT probe('SELECT * FROM hidden.h');
SET ROLE regress_ck_alice;
SELECT probe('SELECT * FROM hidden.h');
SET ROLE regress_ck_bob;
SELECT probe_error('SELECT * FROM hidden.h');
RESET ROLE;
REVOKE USAGE ON SCHEMA hidden FROM regress_ck_alice;
SET ROLE regress_ck_alice;
SELECT probe_error('SELECT * FROM hidden.h');
RESET ROLE;
DROP SCHEMA hidden CASCADE;

-- functions
CREATE FUNCTION twice(x int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN 2 * x; END $$;
\set f '''SELECT twice(id) FROM t'''
SELECT probe(:f), probe(:f);
SET ROLE regress_ck_alice;
SELECT probe(:f) NOT LIKE 'WRONG%', probe(:f);
RESET ROLE;
REVOKE EXECUTE ON FUNCTION twice FROM PUBLIC;
SELECT probe(:f), probe(:f);
SET ROLE regress_ck_alice;
SELECT probe_error(:f);
SELECT state, reason FROM cache_explain(:f);
RESET ROLE;
GRANT EXECUTE ON FUNCTION twice TO regress_ck_alice;
SET ROLE regress_ck_alice;
SELECT probe(:f) NOT LIKE 'WRONG%', probe(:f);
RESET ROLE;
-- a function that calls a function that only some may call
CREATE FUNCTION inner_f(x int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN x; END $$;
CREATE FUNCTION outer_f(x int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN inner_f(x); END $$;
REVOKE EXECUTE ON FUNCTION inner_f FROM PUBLIC;
SELECT probe('SELECT outer_f(id) FROM t'), probe('SELECT outer_f(id) FROM t');
SET ROLE regress_ck_alice;
SELECT probe_error('SELECT outer_f(id) FROM t');
RESET ROLE;
GRANT EXECUTE ON FUNCTION inner_f TO regress_ck_alice;
SET ROLE regress_ck_alice;
SELECT probe('SELECT outer_f(id) FROM t'), probe('SELECT outer_f(id) FROM t');
RESET ROLE;
REVOKE EXECUTE ON FUNCTION inner_f FROM regress_ck_alice;
SET ROLE regress_ck_alice;
SELECT probe_error('SELECT outer_f(id) FROM t');
RESET ROLE;
-- aggregates check what they are made of with their owner's rights
CREATE FUNCTION add_up(s int, x int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN s + x; END $$;
CREATE AGGREGATE my_sum(int) (SFUNC = add_up, STYPE = int, INITCOND = '0');
ALTER AGGREGATE my_sum(int) OWNER TO regress_ck_owner;
SELECT probe('SELECT my_sum(id) FROM t'), probe('SELECT my_sum(id) FROM t');
REVOKE EXECUTE ON FUNCTION add_up FROM PUBLIC;
SELECT probe_error('SELECT my_sum(id) FROM t');
DROP AGGREGATE my_sum(int);
DROP FUNCTION add_up, outer_f, inner_f, twice;

-- views run as their owner, or as who asks
CREATE TABLE base (id int, v int);
SELECT cache_track('base');
INSERT INTO base VALUES (1, 1);
CREATE VIEW as_owner AS SELECT * FROM base;
ALTER VIEW as_owner OWNER TO regress_ck_owner;
CREATE VIEW as_invoker WITH (security_invoker) AS SELECT * FROM base;
GRANT SELECT ON as_owner, as_invoker TO regress_ck_alice;
\set own '''SELECT * FROM as_owner'''
\set inv '''SELECT * FROM as_invoker'''
SELECT probe_error(:own), probe(:inv);
GRANT SELECT ON base TO regress_ck_owner;
SELECT probe(:own), probe(:inv);
SET ROLE regress_ck_alice;
SELECT probe(:own), probe_error(:inv);
RESET ROLE;
GRANT SELECT ON base TO regress_ck_alice;
SELECT probe(:own), probe(:inv);
SET ROLE regress_ck_alice;
SELECT probe(:own), probe(:inv), probe(:inv);
RESET ROLE;
REVOKE SELECT ON base FROM regress_ck_alice, regress_ck_owner;
SELECT probe(:inv);
SET ROLE regress_ck_alice;
SELECT probe_error(:own), probe_error(:inv);
RESET ROLE;
GRANT SELECT ON base TO regress_ck_alice, regress_ck_owner;
SET ROLE regress_ck_alice;
SELECT probe(:own), probe(:inv);
RESET ROLE;
ALTER VIEW as_invoker RESET (security_invoker);
REVOKE SELECT ON base FROM regress_ck_alice;
SET ROLE regress_ck_alice;
SELECT probe(:inv);
RESET ROLE;
ALTER VIEW as_owner SET (security_invoker);
SET ROLE regress_ck_alice;
SELECT probe_error(:own);
RESET ROLE;
DROP VIEW as_owner, as_invoker;
DROP TABLE base;

-- row security
GRANT SELECT ON t TO regress_ck_alice, regress_ck_bob;
SET ROLE regress_ck_alice;
SELECT probe(:q), probe(:q);
RESET ROLE;
ALTER TABLE t ENABLE ROW LEVEL SECURITY;
SET ROLE regress_ck_alice;
SELECT probe(:q), probe(:q), cached_query_json(:ids);
RESET ROLE;
CREATE POLICY mine ON t USING (owner = current_user);
SELECT probe(:q), probe(:q);
SET ROLE regress_ck_alice;
SELECT probe(:q), probe(:q), cached_query_json(:ids);
SET ROLE regress_ck_bob;
SELECT probe(:q), probe(:q), cached_query_json(:ids);
SET ROLE regress_ck_owner;
SELECT probe(:q), probe(:q), cached_query_json(:ids);
SET ROLE regress_ck_alice;
SELECT probe(:q);
-- forced upon the owner
RESET ROLE;
ALTER TABLE t FORCE ROW LEVEL SECURITY;
SET ROLE regress_ck_owner;
SELECT probe(:q), probe(:q), cached_query_json(:ids);
RESET ROLE;
ALTER TABLE t NO FORCE ROW LEVEL SECURITY;
-- row_security = off: an error for whom it matters
SET ROLE regress_ck_alice;
SET row_security = off;
SELECT probe_error(:q);
RESET row_security;
SELECT probe(:q) NOT LIKE 'WRONG%', probe(:q);
RESET ROLE;
SET row_security = off;
SELECT probe(:q), probe(:q);
RESET row_security;
-- BYPASSRLS
ALTER ROLE regress_ck_bob BYPASSRLS;
SET ROLE regress_ck_bob;
SELECT probe(:q), probe(:q), cached_query_json(:ids);
RESET ROLE;
ALTER ROLE regress_ck_bob NOBYPASSRLS;
SET ROLE regress_ck_bob;
SELECT probe(:q), probe(:q), cached_query_json(:ids);
-- policies altered, added, for roles, dropped
RESET ROLE;
ALTER POLICY mine ON t USING (owner = current_user OR id = 3);
SET ROLE regress_ck_alice;
SELECT probe(:q), probe(:q), cached_query_json(:ids);
RESET ROLE;
CREATE POLICY for_staff ON t TO regress_ck_staff USING (true);
SET ROLE regress_ck_alice;
SELECT probe(:q), probe(:q), cached_query_json(:ids);
RESET ROLE;
GRANT regress_ck_staff TO regress_ck_alice;
SET ROLE regress_ck_alice;
SELECT probe(:q), probe(:q), cached_query_json(:ids);
RESET ROLE;
REVOKE regress_ck_staff FROM regress_ck_alice;
SET ROLE regress_ck_alice;
SELECT probe(:q), probe(:q), cached_query_json(:ids);
RESET ROLE;
CREATE POLICY only_small ON t AS RESTRICTIVE USING (id < 3);
SET ROLE regress_ck_alice;
SELECT probe(:q), probe(:q), cached_query_json(:ids);
RESET ROLE;
DROP POLICY only_small ON t;
DROP POLICY for_staff ON t;
SET ROLE regress_ck_alice;
SELECT probe(:q), probe(:q), cached_query_json(:ids);
-- a policy that reads another table
RESET ROLE;
CREATE TABLE allowed (id int, who text);
GRANT SELECT ON allowed TO PUBLIC;
ALTER POLICY mine ON t USING (id IN (SELECT a.id FROM allowed a WHERE a.who = current_user));
SET ROLE regress_ck_alice;
SELECT state, reason FROM cache_explain(:q);
RESET ROLE;
SELECT cache_track('allowed');
INSERT INTO allowed VALUES (1, 'regress_ck_alice'), (2, 'regress_ck_bob');
SET ROLE regress_ck_alice;
SELECT probe(:q), probe(:q), cached_query_json(:ids);
SET ROLE regress_ck_bob;
SELECT probe(:q), probe(:q), cached_query_json(:ids);
RESET ROLE;
INSERT INTO allowed VALUES (3, 'regress_ck_bob');
SET ROLE regress_ck_bob;
SELECT probe(:q), probe(:q), cached_query_json(:ids);
-- a policy that asks for a setting: each value has its own, with a ttl, too
RESET ROLE;
ALTER POLICY mine ON t USING (owner = current_setting('ck.tenant', true));
SET ROLE regress_ck_alice;
SET ck.tenant = 'regress_ck_alice';
SELECT state, reason FROM cache_explain(:q);
SELECT probe(:q), probe(:q), probe(:q, ttl => '1 hour'), probe(:q, ttl => '1 hour');
SET ck.tenant = 'regress_ck_bob';
SELECT probe(:q), probe(:q), probe(:q, ttl => '1 hour'), probe(:q, ttl => '1 hour');
RESET ck.tenant;
RESET ROLE;
-- a policy that calls a function
CREATE FUNCTION may_see(owner text) RETURNS bool LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN owner LIKE '%bob'; END $$;
ALTER POLICY mine ON t USING (may_see(owner));
SET ROLE regress_ck_alice;
SELECT probe(:q), probe(:q), cached_query_json(:ids);
RESET ROLE;
CREATE OR REPLACE FUNCTION may_see(owner text) RETURNS bool LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN owner LIKE '%alice'; END $$;
SET ROLE regress_ck_alice;
SELECT probe(:q), probe(:q), cached_query_json(:ids);
RESET ROLE;
-- an untracked table with a policy, with a ttl: each role has its own
ALTER POLICY mine ON t USING (owner = current_user);
SELECT cache_untrack('t');
SET ROLE regress_ck_alice;
SELECT probe(:q, ttl => '1 hour'), probe(:q, ttl => '1 hour');
SET ROLE regress_ck_bob;
SELECT probe(:q, ttl => '1 hour'), probe(:q, ttl => '1 hour');
SET ROLE regress_ck_owner;
SELECT probe(:q, ttl => '1 hour'), probe(:q, ttl => '1 hour');
RESET ROLE;
REVOKE SELECT ON t FROM regress_ck_bob;
SET ROLE regress_ck_bob;
SELECT cached_query_json(:q, ttl => '1 hour');
RESET ROLE;
SELECT cache_track('t');

-- SECURITY DEFINER functions ask as their owner
CREATE FUNCTION as_alice() RETURNS text LANGUAGE plpgsql SECURITY DEFINER AS
	$$ BEGIN RETURN oracle.probe('SELECT * FROM public.t') || cached_query_json('SELECT id FROM public.t')::text; END $$;
ALTER FUNCTION as_alice OWNER TO regress_ck_alice;
SELECT as_alice(), as_alice();
SET ROLE regress_ck_bob;
SELECT as_alice(), probe_error(:q);
RESET ROLE;
DROP FUNCTION as_alice;

-- views over it, also with a barrier, show what their owner may see
CREATE VIEW v AS SELECT * FROM t;
ALTER VIEW v OWNER TO regress_ck_alice;
GRANT SELECT ON v TO regress_ck_bob;
SET ROLE regress_ck_bob;
SELECT probe('SELECT * FROM v'), probe('SELECT * FROM v'), cached_query_json('SELECT id FROM v');
RESET ROLE;
DROP VIEW v;
DROP POLICY mine ON t;
ALTER TABLE t DISABLE ROW LEVEL SECURITY;

-- who may do what with the cache itself
SELECT p.oid::regprocedure AS "for PUBLIC"
FROM pg_proc p JOIN pg_depend d ON d.objid = p.oid AND d.classid = 'pg_proc'::regclass
	JOIN pg_extension e ON e.oid = d.refobjid AND d.refclassid = 'pg_extension'::regclass
WHERE e.extname = 'cachekit' AND has_function_privilege('regress_ck_bob', p.oid, 'EXECUTE')
ORDER BY p.oid::regprocedure::text COLLATE "C";
SELECT c.oid::regclass AS "for PUBLIC"
FROM pg_class c JOIN pg_depend d ON d.objid = c.oid AND d.classid = 'pg_class'::regclass
	JOIN pg_extension e ON e.oid = d.refobjid AND d.refclassid = 'pg_extension'::regclass
WHERE e.extname = 'cachekit' AND has_table_privilege('regress_ck_bob', c.oid, 'SELECT');
SET ROLE regress_ck_bob;
SELECT cache_flush();
SELECT cache_invalidate_query('SELECT 1');
SELECT cache_invalidate_table('t');
SELECT cache_track('t');
SELECT cache_untrack('t');
SELECT cache_reset_stats();
SELECT * FROM cachekit_entries;
SELECT count(*) FROM cachekit_stats;
SET cachekit.verify = on;
RESET ROLE;
-- the right to call it is not the right to alter the table
GRANT EXECUTE ON FUNCTION cache_track, cache_untrack TO regress_ck_bob;
SET ROLE regress_ck_bob;
SELECT cache_track('t');
SELECT cache_untrack('t');
RESET ROLE;
REVOKE EXECUTE ON FUNCTION cache_track, cache_untrack FROM regress_ck_bob;
-- an owner can, with the right to call it
GRANT EXECUTE ON FUNCTION cache_track, cache_untrack TO regress_ck_owner;
SET ROLE regress_ck_owner;
SELECT cache_untrack('t');
SELECT cache_track('t');
RESET ROLE;
SELECT probe(:q), probe(:q);
REVOKE EXECUTE ON FUNCTION cache_track, cache_untrack FROM regress_ck_owner;

SELECT * FROM cache_check();
DROP TABLE t, allowed;
DROP FUNCTION may_see;
DROP ROLE regress_ck_alice, regress_ck_bob, regress_ck_staff, regress_ck_owner;
SET client_min_messages = warning;
DROP SCHEMA oracle CASCADE;
