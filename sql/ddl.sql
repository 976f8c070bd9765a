--
-- Schema changes.  In all of this the answers are those of the direct query;
-- a hit after a change that mattered would be a wrong one.
--
\set ECHO none
\set QUIET on
\i sql/oracle.part.sql
\set ECHO all
CREATE TABLE t (id int PRIMARY KEY, v int, note text);
SELECT cache_track('t');
INSERT INTO t VALUES (1, 10, 'a'), (2, 20, 'b');
\set q '''SELECT * FROM t'''
\set sum '''SELECT sum(v) FROM t'''

-- ALTER TABLE
CALL after('ALTER TABLE t ALTER v TYPE int USING v * 2', :q, :sum);
CALL after('ALTER TABLE t ALTER v TYPE bigint', :q, :sum);
CALL after('ALTER TABLE t ALTER v TYPE numeric(10,2)', :q, :sum);
CALL after('ALTER TABLE t ADD d int DEFAULT 7', :q, :sum);
CALL after('ALTER TABLE t ALTER d SET DEFAULT 8', :q);
CALL after('ALTER TABLE t DROP d', :q, :sum);
CALL after('ALTER TABLE t RENAME note TO remark', :q);
CALL after('ALTER TABLE t ADD e int GENERATED ALWAYS AS (id * 2) STORED', :q);
CALL after('ALTER TABLE t DROP COLUMN e', :q);
CALL after('ALTER TABLE t SET UNLOGGED', :q);
CALL after('ALTER TABLE t SET LOGGED', :q);
CALL after('CREATE INDEX t_v ON t (v)', :q, :sum);
CALL after('DROP INDEX t_v', :q, :sum);
-- inside one transaction, rolled back
SELECT probe(:q), probe(:q);
BEGIN;
ALTER TABLE t ADD f int DEFAULT 1;
SELECT probe(:q), probe(:q);
ROLLBACK;
SELECT probe(:q);
BEGIN;
SAVEPOINT s;
ALTER TABLE t ALTER v TYPE int USING v + 1;
SELECT probe(:q);
ROLLBACK TO s;
SELECT probe(:q), probe(:q);
COMMIT;
SELECT probe(:q), probe(:q);

-- rename, move, drop and re-create; the same text means another table
CALL after('ALTER TABLE t RENAME TO t_old; CREATE TABLE t (id int); INSERT INTO t VALUES (99)', :q);
SELECT cache_track('t');
CALL after('DROP TABLE t; ALTER TABLE t_old RENAME TO t', :q);
SELECT probe(:sum);
CREATE SCHEMA s1;
CREATE SCHEMA s2;
SET search_path = s1, s2, public, oracle;
CALL after('ALTER TABLE public.t SET SCHEMA s2', :q);
CALL after('CREATE TABLE s1.t (id int, other text)', :q);
SELECT cache_track('s1.t');
CALL after('INSERT INTO s1.t VALUES (5, ''five'')', :q, 'SELECT * FROM s2.t');
CALL after('DROP TABLE s1.t', :q);
CALL after('CREATE VIEW s1.t AS SELECT 1 AS id', :q);
CALL after('CREATE OR REPLACE VIEW s1.t AS SELECT id FROM s2.t WHERE id > 1', :q);
CALL after('DROP VIEW s1.t', :q);
-- a temporary table hides it
SELECT probe(:q), probe(:q);
CREATE TEMP TABLE t (x text);
INSERT INTO t VALUES ('temporary');
SELECT probe(:q), probe('SELECT * FROM s2.t');
SELECT state, reason FROM cache_explain(:q);
DROP TABLE pg_temp.t;
SELECT probe(:q);
BEGIN;
CREATE TEMP TABLE t ON COMMIT DROP AS SELECT 'gone'::text AS y;
SELECT probe(:q);
COMMIT;
SELECT probe(:q);
CREATE TEMP VIEW t AS SELECT 3 AS three;
SELECT probe(:q);
DROP VIEW pg_temp.t;
SELECT probe(:q);
-- schemas renamed beneath a path
CALL after('ALTER SCHEMA s1 RENAME TO s0; ALTER SCHEMA s2 RENAME TO s1', :q);
ALTER TABLE s1.t SET SCHEMA public;
DROP SCHEMA s0, s1;
SET search_path = public, oracle;
DROP TABLE t;
CREATE TABLE t (id int PRIMARY KEY, v int, note text);
INSERT INTO t VALUES (1, 10, 'a'), (2, 20, 'b');
SELECT cache_track('t');

-- views
CREATE VIEW v AS SELECT id, v FROM t;
CREATE VIEW vv AS SELECT sum(v) AS s FROM v;
\set v '''SELECT * FROM v'''
\set vv '''SELECT * FROM vv'''
CALL after('CREATE OR REPLACE VIEW v AS SELECT id, v + 1000 AS v FROM t', :v, :vv, :q);
CALL after('UPDATE t SET v = v + 1', :v, :vv);
CALL after('ALTER VIEW v RENAME COLUMN v TO w', :v, :vv);
CALL after('ALTER VIEW v SET (security_barrier)', :v, :vv);
DROP VIEW vv, v;

-- functions, also those that only functions call
CREATE FUNCTION inner_f(x int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN x + 1; END $$;
CREATE FUNCTION outer_f(x int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN inner_f(x) * 10; END $$;
CREATE FUNCTION sql_f(x int) RETURNS int LANGUAGE sql IMMUTABLE AS $$ SELECT inner_f(x) $$;
\set f '''SELECT outer_f(v), sql_f(v) FROM t'''
CALL after('CREATE OR REPLACE FUNCTION inner_f(x int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS ''BEGIN RETURN x + 2; END''', :f, :q);
CALL after('CREATE OR REPLACE FUNCTION outer_f(x int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS ''BEGIN RETURN x; END''', :f);
CALL after('ALTER FUNCTION outer_f SET search_path = pg_catalog', :f);
CALL after('ALTER FUNCTION outer_f STABLE', :f);
CALL after('ALTER FUNCTION outer_f IMMUTABLE', :f);
-- a better match appears
CREATE FUNCTION pick(x numeric) RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT 'numeric' $$;
CALL after('CREATE FUNCTION pick(x int) RETURNS text LANGUAGE sql IMMUTABLE AS $x$ SELECT ''int'' $x$', 'SELECT pick(v) FROM t');
CALL after('DROP FUNCTION pick(int)', 'SELECT pick(v) FROM t');
BEGIN;
CREATE OR REPLACE FUNCTION inner_f(x int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN x + 3; END $$;
SELECT probe(:f), probe(:q);
ROLLBACK;
SELECT probe(:f), probe(:q);

-- aggregates are what their functions are
CREATE TABLE factor (f int);
INSERT INTO factor VALUES (2);
CREATE FUNCTION add_factor(s int, x int) RETURNS int LANGUAGE sql STABLE AS $$ SELECT s + x * (SELECT sum(f)::int FROM factor) $$;
CREATE FUNCTION add_plain(s int, x int) RETURNS int LANGUAGE sql IMMUTABLE AS $$ SELECT s + x $$;
CREATE FUNCTION final_factor(s int) RETURNS int LANGUAGE sql STABLE AS $$ SELECT s * (SELECT sum(f)::int FROM factor) $$;
CREATE AGGREGATE sum_factor(int) (SFUNC = add_factor, STYPE = int, INITCOND = '0');
CREATE AGGREGATE sum_final(int) (SFUNC = add_plain, STYPE = int, INITCOND = '0', FINALFUNC = final_factor);
CREATE AGGREGATE sum_plain(int) (SFUNC = add_plain, STYPE = int, INITCOND = '0');
SELECT cacheable, reason FROM cache_explain('SELECT sum_factor(v) FROM t');
SELECT cacheable, reason FROM cache_explain('SELECT sum_final(v) FROM t');
SELECT cacheable, reason FROM cache_explain('SELECT sum_factor(v) OVER () FROM t');
CALL after('UPDATE factor SET f = 3', 'SELECT sum_factor(v) FROM t', 'SELECT sum_final(v) FROM t', 'SELECT sum_plain(v) FROM t');
CALL after('CREATE OR REPLACE FUNCTION add_plain(s int, x int) RETURNS int LANGUAGE sql IMMUTABLE AS $x$ SELECT s + x + 1 $x$', 'SELECT sum_plain(v) FROM t');
DROP AGGREGATE sum_factor(int), sum_final(int), sum_plain(int);

-- operators, casts
CREATE FUNCTION op_f(a int, b int) RETURNS int LANGUAGE sql IMMUTABLE AS $$ SELECT a * 100 + b $$;
CREATE OPERATOR public.#### (LEFTARG = int, RIGHTARG = int, FUNCTION = op_f);
CALL after('CREATE OR REPLACE FUNCTION op_f(a int, b int) RETURNS int LANGUAGE sql IMMUTABLE AS ''SELECT a''', 'SELECT v #### 1 AS x FROM t');
DROP OPERATOR #### (int, int);

-- types
CREATE TYPE mood AS ENUM ('sad', 'happy');
ALTER TABLE t ADD m mood DEFAULT 'sad';
CREATE TYPE pair AS (a int, b mood);
\set m '''SELECT m FROM t'''
\set mt '''SELECT m::text FROM t'''
\set row '''SELECT to_jsonb(t) AS x FROM t'''
\set pair '''SELECT ROW(id, m)::pair AS p FROM t'''
CALL after('ALTER TYPE mood RENAME VALUE ''sad'' TO ''blue''', :m, :mt, :row, :pair);
CALL after('ALTER TYPE mood ADD VALUE ''middle'' BEFORE ''happy''', :m, :mt);
CALL after('ALTER TYPE pair RENAME ATTRIBUTE a TO first', :pair);
CALL after('ALTER TYPE pair RENAME TO two; CREATE TYPE pair AS (x int, y mood)', 'SELECT ROW(id, m)::pair AS p FROM t');
DROP TYPE pair, two;
-- the row type of a table that the query does not read
CREATE TABLE shape (a int, b int);
\set shape '''SELECT to_jsonb(ROW(id, v)::shape) AS j FROM t'''
CALL after('ALTER TABLE shape RENAME a TO renamed', :shape, 'SELECT ROW(id, v)::shape AS s FROM t');
CALL after('ALTER TABLE shape DROP b; ALTER TABLE shape ADD b int', :shape, 'SELECT ROW(id, v)::shape AS s FROM t');
DROP TABLE shape;
CREATE DOMAIN positive AS int CHECK (VALUE > 0);
-- (the first query with a domain makes the session watch types)
DO $$ BEGIN PERFORM cached_query_json('SELECT v::positive FROM t'); END $$;
CALL after('ALTER DOMAIN positive ADD CHECK (VALUE < 1000)', 'SELECT v::positive FROM t');
DROP DOMAIN positive;
CREATE COLLATION mine (locale = 'C');
CALL after('ALTER COLLATION mine RENAME TO mine2; CREATE COLLATION mine (locale = ''POSIX'')', 'SELECT max(note COLLATE mine) FROM t');
DROP COLLATION mine;
DROP COLLATION mine2;

-- materialized views
CREATE MATERIALIZED VIEW mv AS SELECT id, v FROM t;
CREATE UNIQUE INDEX ON mv (id);
\set mv '''SELECT * FROM mv'''
SELECT cacheable, reason FROM cache_explain(:mv);
CALL after('UPDATE t SET v = v + 1', :mv, :q);
CALL after('REFRESH MATERIALIZED VIEW mv', :mv, :q);
CALL after('UPDATE t SET v = v + 1', :mv);
CALL after('', :mv);
UPDATE t SET v = v + 1 WHERE id = 1;
SELECT probe(:mv), probe(:mv);
REFRESH MATERIALIZED VIEW CONCURRENTLY mv;
SELECT probe(:mv), probe(:mv);
REFRESH MATERIALIZED VIEW CONCURRENTLY mv;
SELECT probe(:mv) NOT LIKE 'WRONG%', probe(:mv);
BEGIN;
UPDATE t SET v = 0;
REFRESH MATERIALIZED VIEW mv;
SELECT probe(:mv), probe(:q);
ROLLBACK;
SELECT probe(:mv), probe(:q);
REFRESH MATERIALIZED VIEW mv WITH NO DATA;
SELECT probe_error(:mv);
REFRESH MATERIALIZED VIEW mv;
SELECT probe(:mv), probe(:mv);
DROP MATERIALIZED VIEW mv;

-- without its triggers a table is not tracked, at once; what was stored
-- before is not used when they come back
SELECT probe(:sum), probe(:sum);
ALTER TABLE t DISABLE TRIGGER cachekit_track;
SELECT probe(:sum);
SELECT state, reason FROM cache_explain(:sum);
UPDATE t SET v = v + 1;
SELECT probe(:sum);
ALTER TABLE t ENABLE ALWAYS TRIGGER cachekit_track;
SELECT probe(:sum), probe(:sum);
ALTER TABLE t DISABLE TRIGGER ALL;
UPDATE t SET v = v + 1;
ALTER TABLE t ENABLE TRIGGER ALL;
SELECT probe(:sum);
SELECT tbl, tracked, gap FROM cachekit_tracked_tables;
SELECT cache_track('t');
SELECT probe(:sum), probe(:sum);
DROP TRIGGER cachekit_track ON t;
UPDATE t SET v = v + 1;
SELECT probe(:sum);
SELECT cache_track('t');
SELECT probe(:sum), probe(:sum);
SELECT cache_untrack('t');
UPDATE t SET v = v + 1;
SELECT probe(:sum);
SELECT cache_track('t');
SELECT probe(:sum), probe(:sum);
-- the same within one transaction
BEGIN;
ALTER TABLE t DISABLE TRIGGER USER;
UPDATE t SET v = v + 1;
SELECT probe(:sum);
ALTER TABLE t ENABLE ALWAYS TRIGGER cachekit_track;
SELECT probe(:sum);
COMMIT;
SELECT probe(:sum), probe(:sum);
-- rolled back, it never was
BEGIN;
ALTER TABLE t DISABLE TRIGGER USER;
SELECT probe(:sum);
ROLLBACK;
SELECT probe(:sum);
-- a trigger of the right name that does nothing of the kind
SELECT cache_untrack('t');
CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;
CREATE TRIGGER cachekit_track BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON t EXECUTE FUNCTION nothing();
ALTER TABLE t ENABLE ALWAYS TRIGGER cachekit_track;
SELECT state, reason FROM cache_explain(:sum);
DROP TRIGGER cachekit_track ON t;
-- triggers made by hand do as well, if they miss nothing
CREATE TRIGGER mine BEFORE INSERT OR UPDATE OR DELETE ON t EXECUTE FUNCTION cache_invalidate();
ALTER TABLE t ENABLE ALWAYS TRIGGER mine;
SELECT state, reason FROM cache_explain(:sum);
CREATE TRIGGER mine2 BEFORE TRUNCATE ON t EXECUTE FUNCTION cache_invalidate();
ALTER TABLE t ENABLE ALWAYS TRIGGER mine2;
SELECT probe(:sum), probe(:sum);
DROP TRIGGER mine ON t;
CREATE TRIGGER mine BEFORE INSERT OR UPDATE OF v OR DELETE ON t EXECUTE FUNCTION cache_invalidate();
ALTER TABLE t ENABLE ALWAYS TRIGGER mine;
SELECT state, reason FROM cache_explain(:sum);
DROP TRIGGER mine ON t;
CREATE TRIGGER mine AFTER INSERT OR UPDATE OR DELETE ON t EXECUTE FUNCTION cache_invalidate();
ALTER TABLE t ENABLE ALWAYS TRIGGER mine;
SELECT state, reason FROM cache_explain(:sum);
DROP TRIGGER mine ON t;
DROP TRIGGER mine2 ON t;
SELECT cache_track('t');

-- without the event trigger nothing is exact; what was stored before it was
-- disabled is not used when it comes back
SELECT probe(:f), probe(:f), probe(:sum);
ALTER EVENT TRIGGER cachekit_ddl_command_end DISABLE;
SELECT state, reason FROM cache_explain(:f);
SELECT probe(:f);
CREATE OR REPLACE FUNCTION inner_f(x int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN x + 44; END $$;
ALTER EVENT TRIGGER cachekit_ddl_command_end ENABLE;
SELECT state, reason FROM cache_explain(:f);
ALTER EVENT TRIGGER cachekit_ddl_command_end ENABLE ALWAYS;
SELECT probe(:f), probe(:f);
-- in replica role it fires, too
SET session_replication_role = replica;
CREATE OR REPLACE FUNCTION inner_f(x int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN x + 45; END $$;
RESET session_replication_role;
SELECT probe(:f), probe(:f);

SELECT * FROM cache_check();
DROP TABLE t, factor;
DROP TYPE mood;
DROP FUNCTION sql_f, outer_f, inner_f, pick, add_factor, add_plain, final_factor, op_f, nothing;
SET client_min_messages = warning;
DROP SCHEMA oracle CASCADE;
