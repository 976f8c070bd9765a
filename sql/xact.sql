--
-- Own writes, savepoints, triggers that read, cursors, prepared transactions.
--
\set ECHO none
\set QUIET on
\i sql/oracle.part.sql
\set ECHO all
CREATE TABLE acc (id int PRIMARY KEY, v int);
CREATE TABLE log (id serial, what text);
SELECT cache_track('acc'), cache_track('log');
INSERT INTO acc VALUES (1, 10), (2, 20);
\set q '''SELECT * FROM acc'''
\set sum '''SELECT sum(v) FROM acc'''
SELECT probe(:q), probe(:q), probe(:sum), probe(:sum);

-- own writes: seen at once, by nobody else's entry
BEGIN;
SELECT probe(:q);
UPDATE acc SET v = v + 1;
SELECT probe(:q), probe(:sum);
SELECT state, reason FROM cache_explain(:q);
ROLLBACK;
SELECT probe(:q), probe(:sum);

-- savepoints
BEGIN;
SAVEPOINT a;
UPDATE acc SET v = 0;
SELECT probe(:q);
ROLLBACK TO a;
SELECT probe(:q), probe(:sum);
INSERT INTO acc VALUES (3, 30);
SELECT probe(:sum);
RELEASE a;
SELECT probe(:sum);
SAVEPOINT b;
SELECT probe(:sum);
ROLLBACK TO b;
SELECT probe(:sum);
COMMIT;
SELECT probe(:q), probe(:sum), probe(:q), probe(:sum);
BEGIN;
SAVEPOINT a;
SAVEPOINT b;
DELETE FROM acc WHERE id = 3;
RELEASE b;
SELECT probe(:sum);
ROLLBACK TO a;
SELECT probe(:sum);
SAVEPOINT c;
UPDATE acc SET v = v + 100;
RELEASE c;
SELECT probe(:sum);
COMMIT;
SELECT probe(:q), probe(:sum), probe(:q), probe(:sum);

-- a mark of the outer level outlives a rolled back inner one of the same table
BEGIN;
UPDATE acc SET v = v + 1;
SAVEPOINT a;
UPDATE acc SET v = v + 1;
ROLLBACK TO a;
SELECT probe(:sum);
COMMIT;
SELECT probe(:sum), probe(:sum);
BEGIN;
SAVEPOINT a;
UPDATE acc SET v = v + 1;
ROLLBACK TO a;
UPDATE acc SET v = v + 1;
SELECT probe(:sum);
ROLLBACK TO a;
SELECT probe(:sum);
COMMIT;
SELECT probe(:sum);

-- plpgsql blocks with exceptions
DO $$
BEGIN
	BEGIN
		UPDATE acc SET v = v / 0;
	EXCEPTION WHEN division_by_zero THEN
		RAISE NOTICE 'after the error: %', probe('SELECT sum(v) FROM acc');
	END;
	BEGIN
		UPDATE acc SET v = v + 1;
		RAISE NOTICE 'inside: %', probe('SELECT sum(v) FROM acc');
	EXCEPTION WHEN division_by_zero THEN
		NULL;
	END;
	RAISE NOTICE 'behind: %', probe('SELECT sum(v) FROM acc');
END $$;
SELECT probe(:sum), probe(:sum);

-- many levels and many savepoints
DO $$
DECLARE
	wrong int := 0;
BEGIN
	FOR i IN 1 .. 200 LOOP
		BEGIN
			UPDATE acc SET v = v + 1 WHERE id = 1;
			IF i % 3 = 0 THEN
				RAISE SQLSTATE 'XX123';
			END IF;
		EXCEPTION WHEN SQLSTATE 'XX123' THEN
			NULL;
		END;
		IF probe('SELECT * FROM acc') LIKE 'WRONG%' THEN
			wrong := wrong + 1;
		END IF;
	END LOOP;
	RAISE NOTICE '% wrong', wrong;
END $$;
SELECT probe(:sum), probe(:sum);

-- triggers of the user that read through the cache in the middle of a write
CREATE FUNCTION look() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	RAISE NOTICE '% % %: % %', TG_WHEN, TG_OP, TG_LEVEL,
		probe('SELECT * FROM acc'), probe('SELECT sum(v) FROM acc');
	IF TG_OP = 'DELETE' AND TG_LEVEL = 'ROW' THEN
		RETURN OLD;
	END IF;
	RETURN NEW;
END $$;
SELECT probe(:q), probe(:q);
CREATE TRIGGER a_before BEFORE INSERT OR UPDATE OR DELETE ON acc EXECUTE FUNCTION look();
CREATE TRIGGER z_before BEFORE INSERT OR UPDATE OR DELETE ON acc EXECUTE FUNCTION look();
CREATE TRIGGER b_row BEFORE INSERT OR UPDATE OR DELETE ON acc FOR EACH ROW EXECUTE FUNCTION look();
CREATE TRIGGER a_row AFTER INSERT OR UPDATE OR DELETE ON acc FOR EACH ROW EXECUTE FUNCTION look();
CREATE TRIGGER a_after AFTER INSERT OR UPDATE OR DELETE ON acc EXECUTE FUNCTION look();
CREATE CONSTRAINT TRIGGER deferred AFTER INSERT OR UPDATE OR DELETE ON acc
	DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION look();
SELECT probe(:q) IN ('hit', 'miss'), probe(:q), probe(:sum), probe(:sum);
UPDATE acc SET v = v + 1;
SELECT probe(:q), probe(:sum);
BEGIN;
DELETE FROM acc WHERE id = 2;
SELECT probe(:q), probe(:sum);
SET CONSTRAINTS ALL IMMEDIATE;
ROLLBACK;
SELECT probe(:q), probe(:sum);
INSERT INTO acc VALUES (2, 0) ON CONFLICT (id) DO UPDATE SET v = 7;
DROP TRIGGER a_before ON acc;
DROP TRIGGER z_before ON acc;
DROP TRIGGER b_row ON acc;
DROP TRIGGER a_row ON acc;
DROP TRIGGER a_after ON acc;
DROP TRIGGER deferred ON acc;

-- the query itself calls a function that writes what it reads: never cached
CREATE FUNCTION next_v() RETURNS int LANGUAGE sql VOLATILE AS
	$$ UPDATE acc SET v = v + 1 WHERE id = 1 RETURNING v $$;
SELECT state, reason FROM cache_explain('SELECT next_v(), sum(v) FROM acc');
SELECT cached_query_json('SELECT next_v() - next_v() AS d');
SELECT probe(:sum), probe(:sum);
-- a statement that writes and reads in one: the snapshot is from before
WITH w AS (UPDATE acc SET v = v + 1000 RETURNING v)
SELECT probe(:sum), (SELECT count(*) FROM w);
SELECT probe(:sum), probe(:sum);
UPDATE acc SET v = (cached_query_json('SELECT max(v) AS m FROM acc') -> 0 ->> 'm')::int;
SELECT count(DISTINCT v) FROM acc;
INSERT INTO acc SELECT id + 10, (cached_query_json('SELECT count(*) AS n FROM acc') -> 0 ->> 'n')::int FROM acc;
SELECT count(*), sum(v) FROM acc WHERE id > 10;

-- cursors keep their snapshot, cached and direct
SELECT probe(:sum);
BEGIN;
DECLARE c CURSOR FOR SELECT x = (SELECT jsonb_agg(to_jsonb(a)) FROM acc a)
	FROM generate_series(1, 3), LATERAL cached_query_json('SELECT * FROM acc') x;
FETCH 1 FROM c;
UPDATE acc SET v = v + 1;
FETCH 1 FROM c;
CLOSE c;
ROLLBACK;
BEGIN;
DECLARE c CURSOR WITH HOLD FOR SELECT * FROM cached_query('SELECT id FROM acc ORDER BY id') AS (id int);
FETCH 1 FROM c;
COMMIT;
DELETE FROM acc WHERE id > 10;
FETCH ALL FROM c;
CLOSE c;
SELECT probe(:sum), probe(:q);
-- a cursor opened before a write, first read after it
BEGIN;
DECLARE c CURSOR FOR SELECT cached_query_json('SELECT sum(v) FROM acc') AS cached,
	(SELECT jsonb_agg(to_jsonb(x)) FROM (SELECT sum(v) FROM acc) x) AS direct;
CREATE TEMP TABLE before_write AS SELECT sum(v) FROM acc;
UPDATE acc SET v = v + 1;
CREATE FUNCTION fetch_one() RETURNS text LANGUAGE plpgsql AS $$
DECLARE r record; c refcursor := 'c';
BEGIN
	FETCH c INTO r;
	RETURN CASE WHEN r.cached = r.direct AND r.direct -> 0 -> 'sum' = (SELECT to_jsonb(sum) FROM before_write)
		   THEN 'same' ELSE 'WRONG ' || r::text END;
END $$;
SELECT fetch_one();
ROLLBACK;

-- stable functions read through the snapshot of the query that calls them
CREATE FUNCTION stable_sum() RETURNS jsonb LANGUAGE sql STABLE AS
	$$ SELECT cached_query_json('SELECT sum(v) FROM acc') $$;
BEGIN;
SELECT stable_sum() = (SELECT jsonb_agg(to_jsonb(x)) FROM (SELECT sum(v) FROM acc) x);
UPDATE acc SET v = v + 1;
SELECT stable_sum() = (SELECT jsonb_agg(to_jsonb(x)) FROM (SELECT sum(v) FROM acc) x);
WITH w AS (UPDATE acc SET v = v + 1 RETURNING *)
SELECT stable_sum() = (SELECT jsonb_agg(to_jsonb(x)) FROM (SELECT sum(v) FROM acc) x), count(*) FROM w;
COMMIT;
SELECT probe(:sum), probe(:sum);

-- isolation levels, read-only transactions
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT probe(:sum), probe(:q), probe(:q);
UPDATE acc SET v = v + 1;
SELECT probe(:sum);
COMMIT;
BEGIN ISOLATION LEVEL SERIALIZABLE;
SELECT probe(:sum);
SELECT state, reason FROM cache_explain(:sum);
COMMIT;
BEGIN READ ONLY;
SELECT probe(:sum), probe(:sum);
COMMIT;

-- prepared transactions
BEGIN;
UPDATE acc SET v = v + 1;
PREPARE TRANSACTION 'ck_1';
SELECT probe(:sum), probe(:sum);
COMMIT PREPARED 'ck_1';
SELECT probe(:sum), probe(:sum);
BEGIN;
UPDATE acc SET v = v + 1;
SELECT probe(:sum);
PREPARE TRANSACTION 'ck_2';
SELECT probe(:sum), probe(:sum);
ROLLBACK PREPARED 'ck_2';
SELECT probe(:sum), probe(:sum);
BEGIN;
SAVEPOINT s;
UPDATE acc SET v = v + 1 WHERE id = 1;
RELEASE s;
SAVEPOINT s;
DELETE FROM acc;
ROLLBACK TO s;
INSERT INTO log (what) VALUES ('prepared');
PREPARE TRANSACTION 'ck_3';
SELECT probe(:sum), probe('SELECT * FROM log'), probe('SELECT * FROM log');
COMMIT PREPARED 'ck_3';
SELECT probe(:sum), probe('SELECT * FROM log'), probe(:sum), probe('SELECT * FROM log');
-- more writers in flight than a cell has room for
DO $$ BEGIN PERFORM probe('SELECT * FROM log'); END $$;
SELECT string_agg(format('BEGIN; INSERT INTO log (what) VALUES (''m%s''); PREPARE TRANSACTION ''ck_many_%s'';', g, g), ' ') AS many,
	string_agg(format('%s PREPARED ''ck_many_%s''; SELECT probe(''SELECT * FROM log'') NOT LIKE ''WRONG%%'' AS ok;',
		CASE WHEN g % 3 = 0 THEN 'ROLLBACK' ELSE 'COMMIT' END, g), ' ' ORDER BY g % 5, g) AS finish
FROM generate_series(1, 12) g \gset
:many
SELECT probe('SELECT * FROM log') NOT LIKE 'WRONG%';
:finish
SELECT count(*) FROM pg_prepared_xacts;
SELECT probe('SELECT * FROM log') NOT LIKE 'WRONG%';

-- errors in the middle of a fill leave nothing behind
SELECT cached_query_json('SELECT 1 / (v - v) FROM acc');
BEGIN;
SELECT cached_query_json('SELECT 1 / (v - v) FROM acc');
ROLLBACK;
DO $$
BEGIN
	FOR i IN 1 .. 50 LOOP
		BEGIN
			PERFORM cached_query_json('SELECT 1 / (v - v) FROM acc');
		EXCEPTION WHEN division_by_zero THEN
			NULL;
		END;
	END LOOP;
END $$;
SELECT count(*) FROM pg_locks
WHERE locktype = 'advisory' AND database = (SELECT oid FROM pg_database WHERE datname = current_database());
SELECT probe(:sum), probe(:sum);

-- cached queries in cached queries
SELECT state, reason FROM cache_explain('SELECT cached_query_json(''SELECT sum(v) FROM acc'')');
SELECT probe('SELECT cached_query_json(''SELECT sum(v) FROM acc'') AS x');

SELECT * FROM cache_check();
DROP FUNCTION stable_sum, look, next_v;
DROP TABLE acc, log;
SET client_min_messages = warning;
DROP SCHEMA oracle CASCADE;
