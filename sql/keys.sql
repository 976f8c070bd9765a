--
-- Key-precise dependencies: a write leaves the entries of other keys alone.
--
\set ECHO none
\set QUIET on
\i sql/oracle.part.sql
\set ECHO all
CREATE TABLE customers (id int PRIMARY KEY, name text);
CREATE TABLE orders (id int PRIMARY KEY, customer_id int REFERENCES customers ON DELETE CASCADE ON UPDATE CASCADE, total int);
INSERT INTO customers SELECT g, 'c' || g FROM generate_series(1, 9) g;
INSERT INTO orders SELECT g, g % 9 + 1, g FROM generate_series(1, 90) g;
SELECT cache_track('customers', 'id'), cache_track('orders', 'customer_id');
\set o1 '''SELECT * FROM orders WHERE customer_id = 1'''
\set o2 '''SELECT * FROM orders WHERE customer_id = 2'''
\set j1 '''SELECT * FROM customers c LEFT JOIN orders o ON o.customer_id = c.id WHERE c.id = 1'''
\set j2 '''SELECT * FROM customers c LEFT JOIN orders o ON o.customer_id = c.id WHERE c.id = 2'''
\set all '''SELECT count(*), sum(total) FROM orders'''

-- every kind of write
CALL after('', :o1, :o2, :j1, :j2, :all);
CALL after('UPDATE orders SET total = total + 1 WHERE customer_id = 1', :o1, :o2, :j1, :j2, :all);
CALL after('UPDATE customers SET name = ''new'' WHERE id = 2', :o1, :o2, :j1, :j2, :all);
CALL after('INSERT INTO orders VALUES (100, 1, 1)', :o1, :o2, :j1, :j2, :all);
CALL after('DELETE FROM orders WHERE id = 100', :o1, :o2, :j1, :j2, :all);
CALL after('UPDATE orders SET customer_id = 2 WHERE id = 9', :o1, :o2, :j1, :j2, :all);	-- both
CALL after('UPDATE orders SET customer_id = NULL WHERE id = 9', :o1, :o2, :j1, :j2, :all);
CALL after('UPDATE orders SET customer_id = 3 WHERE customer_id IS NULL', :o1, :o2, :j1, :j2, :all);
CALL after('UPDATE orders SET total = 0 WHERE id < 0', :o1, :o2, :all);	-- no row
CALL after('INSERT INTO orders VALUES (9, 1, 1) ON CONFLICT (id) DO UPDATE SET customer_id = 2', :o1, :o2, :all);
CALL after('INSERT INTO orders VALUES (9, 4, 1) ON CONFLICT DO NOTHING', :o1, :o2, :all);
CALL after('MERGE INTO orders o USING (VALUES (9, 1), (200, 5)) s(id, c) ON s.id = o.id WHEN MATCHED THEN UPDATE SET customer_id = s.c WHEN NOT MATCHED THEN INSERT VALUES (s.id, s.c, 0)', :o1, :o2, :all);
CALL after('WITH d AS (DELETE FROM orders WHERE id = 200 RETURNING *) INSERT INTO orders SELECT id, 1, total FROM d', :o1, :o2, :all);
CALL after('INSERT INTO customers VALUES (50, ''fifty'')', :j1, :j2);
CALL after('UPDATE customers SET id = 51 WHERE id = 2', :o1, :o2, :j1, :j2);	-- cascades
CALL after('DELETE FROM customers WHERE id = 51', :o1, :o2, :j1, :j2);
CALL after('TRUNCATE orders', :o1, :o2, :j1, :all);
INSERT INTO customers VALUES (2, 'two');
INSERT INTO orders SELECT g, g % 9 + 1, g FROM generate_series(1, 90) g;
CALL after('CREATE FUNCTION both_() RETURNS int LANGUAGE sql AS $f$ UPDATE orders SET total = 7 WHERE customer_id = 2; SELECT 1 $f$', :o1, :o2);
CALL after('SELECT both_()', :o1, :o2);
DROP FUNCTION both_;
CALL after('SELECT cache_invalidate_table(''orders'')', :o1, :o2, :j1, :all);
CALL after('SET session_replication_role = replica; UPDATE orders SET total = total + 1 WHERE customer_id = 1; RESET session_replication_role', :o1, :o2);
SELECT probe(:o1), probe(:o2);
COPY orders FROM stdin;
300	1	5
\.
SELECT probe(:o1), probe(:o2), probe(:o1);

-- own writes: keys that were not written go on to hit
SELECT probe(:o1), probe(:o2), probe(:all);
BEGIN;
UPDATE orders SET total = total + 1 WHERE customer_id = 1;
SELECT probe(:o1), probe(:o2), probe(:all);
SELECT state, reason, dependencies FROM cache_explain(:o1);
SAVEPOINT a;
UPDATE orders SET total = total + 1 WHERE customer_id = 2;
SELECT probe(:o2);
ROLLBACK TO a;
SELECT probe(:o2);
SELECT probe('SELECT sum(total) FROM orders WHERE customer_id = 1');	-- no entry, and none to be made
SELECT probe('SELECT sum(total) FROM orders WHERE customer_id = 2');
SELECT probe('SELECT sum(total) FROM orders WHERE customer_id = 2');
COMMIT;
SELECT probe(:o1), probe(:o2), probe(:all);
BEGIN;
UPDATE orders SET total = total + 1 WHERE customer_id = 1;
ROLLBACK;
SELECT probe(:o1), probe(:o2), probe(:all);
DO $$ BEGIN
	BEGIN
		UPDATE orders SET total = -1 WHERE customer_id = 1;
		RAISE EXCEPTION 'no';
	EXCEPTION WHEN raise_exception THEN NULL;
	END;
	UPDATE orders SET total = -2 WHERE customer_id = 2;
END $$;
SELECT probe(:o1), probe(:o2), probe(:all);
-- a trigger that reads in the middle of the statement: before and after its row
CREATE FUNCTION look() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
	RAISE NOTICE '% %: %, %', TG_WHEN, NEW.id,
		probe('SELECT total FROM orders WHERE customer_id = 1'), probe('SELECT total FROM orders WHERE customer_id = 2');
	RETURN NEW;
END $$;
CREATE TRIGGER aa_look BEFORE UPDATE ON orders FOR EACH ROW EXECUTE FUNCTION look();
CREATE TRIGGER look_after AFTER UPDATE ON orders FOR EACH ROW EXECUTE FUNCTION look();
SELECT probe('SELECT total FROM orders WHERE customer_id = 1'), probe('SELECT total FROM orders WHERE customer_id = 2');
UPDATE orders SET total = total + 1 WHERE id IN (9, 10);
DROP TRIGGER aa_look ON orders;
DROP TRIGGER look_after ON orders;

-- another trigger changes the key before ours sees it, and after: then all
-- keys of the table go
SELECT probe(:o1), probe(:o2), probe(:o1), probe(:o2);
CREATE FUNCTION redirect() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.customer_id := 1; RETURN NEW; END $$;
CREATE TRIGGER redirect BEFORE INSERT OR UPDATE ON orders FOR EACH ROW EXECUTE FUNCTION redirect();
CALL after('INSERT INTO orders VALUES (400, 3, 1)', :o1, :o2);
CALL after('DELETE FROM orders WHERE id = 400', :o1, :o2);
ALTER TRIGGER redirect ON orders RENAME TO zzz;
CALL after('INSERT INTO orders VALUES (400, 3, 1)', :o1, :o2);
ALTER TABLE orders DISABLE TRIGGER zzz;
CALL after('INSERT INTO orders VALUES (401, 3, 1)', :o1, :o2);
DROP TRIGGER zzz ON orders;
DROP FUNCTION redirect, look;

-- many keys at once: one bulk cell for all
CREATE TABLE wide (k int, v int);
SELECT cache_track('wide', 'k');
INSERT INTO wide SELECT g, 0 FROM generate_series(1, 2000) g;
CALL after('INSERT INTO wide SELECT g, 0 FROM generate_series(1, 2000) g WHERE g <> 1999', 'SELECT * FROM wide WHERE k = 1999');
CALL after('INSERT INTO wide SELECT g % 5, 0 FROM generate_series(1, 2000) g', 'SELECT count(*) FROM wide WHERE k = 1999', 'SELECT count(*) FROM wide WHERE k = 1');
BEGIN;
SAVEPOINT a;
UPDATE wide SET v = 1;
SELECT probe('SELECT count(*) FROM wide WHERE k = 1999');
ROLLBACK TO a;
SELECT probe('SELECT count(*) FROM wide WHERE k = 1999');
UPDATE wide SET v = 1 WHERE k = 1999;
SELECT probe('SELECT count(*) FROM wide WHERE k = 1999');
COMMIT;
SELECT probe('SELECT count(*) FROM wide WHERE k = 1999');
-- ... and then its trigger is left out for the rest of the statement
CREATE FUNCTION calls(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	line text;
	calls int;
	result text := '';
BEGIN
	FOR line IN EXECUTE 'EXPLAIN (ANALYZE, TIMING OFF, COSTS OFF, SUMMARY OFF) ' || statement LOOP
		IF line ~ '^Trigger .*(keys|other)' THEN
			calls := substring(line, 'calls=(\d+)');
			result := concat_ws(', ', nullif(result, ''), substring(line, '^Trigger ([^: ]*)') || ': ' ||
				CASE WHEN calls < 5 THEN 'none' WHEN calls < 900 THEN 'some' ELSE 'all' END);
		END IF;
	END LOOP;
	RETURN result;
END $$;
SELECT calls('UPDATE wide SET v = 2');
SELECT calls('INSERT INTO wide SELECT g, 0 FROM generate_series(1, 2000) g');
SELECT calls('DELETE FROM wide WHERE v = 0');
SELECT calls('UPDATE wide SET v = 3 WHERE k <= 100');
CALL after('UPDATE wide SET v = v + 1', 'SELECT k, v FROM wide WHERE k = 1', 'SELECT k, v FROM wide WHERE k = 1999');
BEGIN;
SAVEPOINT a;
SELECT calls('UPDATE wide SET v = 4'), calls('UPDATE wide SET v = 5');
ROLLBACK TO a;
SELECT calls('UPDATE wide SET v = 6 WHERE k = 7');
SELECT probe('SELECT v FROM wide WHERE k = 7'), probe('SELECT v FROM wide WHERE k = 8');
COMMIT;
SELECT probe('SELECT v FROM wide WHERE k = 7'), probe('SELECT v FROM wide WHERE k = 8');
-- what a function does in the middle, and takes back, is not the statement's
CREATE FUNCTION in_vain(k int) RETURNS int LANGUAGE plpgsql AS $$ BEGIN
	IF k = 3 THEN
		BEGIN
			INSERT INTO wide SELECT g, 0 FROM generate_series(3000, 4000) g;
			RAISE EXCEPTION 'no';
		EXCEPTION WHEN raise_exception THEN NULL;
		END;
	END IF;
	RETURN k;
END $$;
SELECT probe('SELECT k, v FROM wide WHERE k = 4'), probe('SELECT k, v FROM wide WHERE k = 8');
BEGIN;
UPDATE wide SET v = v + in_vain(k) WHERE k < 6;
SELECT probe('SELECT k, v FROM wide WHERE k = 4');
COMMIT;
SELECT probe('SELECT k, v FROM wide WHERE k = 4'), probe('SELECT k, v FROM wide WHERE k = 8');
-- others' triggers go on
CREATE FUNCTION other() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
	IF TG_OP = 'UPDATE' THEN NEW.v := NEW.v + 1000; END IF;
	RETURN coalesce(NEW, OLD);
END $$;
CREATE TRIGGER other BEFORE UPDATE ON wide FOR EACH ROW EXECUTE FUNCTION other();
SELECT calls('UPDATE wide SET v = 0');
SELECT DISTINCT v FROM wide;
ALTER TRIGGER other ON wide RENAME TO zzz_other;
SELECT calls('UPDATE wide SET v = 0');
SELECT calls('MERGE INTO wide USING generate_series(1, 3000) g ON g = k AND v > 0 WHEN MATCHED THEN UPDATE SET v = 0 WHEN NOT MATCHED THEN INSERT VALUES (g, 7)');
SELECT count(*), sum(v) FROM wide;
DROP TRIGGER zzz_other ON wide;
TRUNCATE wide;
INSERT INTO wide SELECT g, 0 FROM generate_series(1, 2000) g;
CREATE UNIQUE INDEX ON wide (k);
SELECT calls('INSERT INTO wide SELECT g, 0 FROM generate_series(2001, 3000) g ON CONFLICT (k) DO UPDATE SET v = wide.v + 1');
CALL after('INSERT INTO wide SELECT g, 0 FROM generate_series(2001, 3000) g ON CONFLICT (k) DO UPDATE SET v = wide.v + 1', 'SELECT k, v FROM wide WHERE k = 2001', 'SELECT k, v FROM wide WHERE k = 3000');
DROP TABLE wide;
DROP FUNCTION calls, in_vain, other;

-- keys come and go
SELECT cache_track('orders', 'customer_id'), cache_track('orders');	-- nothing new
CALL after('SELECT cache_track(''orders'', ''id'')', :o1);
SELECT keys FROM cachekit_tracked_tables WHERE tbl = 'orders'::regclass;
CALL after('UPDATE orders SET total = 0 WHERE id = 9', 'SELECT * FROM orders WHERE id = 9', 'SELECT * FROM orders WHERE id = 10', :o1, :o2);
CALL after('SELECT cache_untrack(''orders'', ''customer_id'')', :o1, 'SELECT * FROM orders WHERE id = 9');
SELECT keys FROM cachekit_tracked_tables WHERE tbl = 'orders'::regclass;
CALL after('UPDATE orders SET total = 1 WHERE customer_id = 5', :o1, 'SELECT * FROM orders WHERE id = 9');
SELECT cache_untrack('orders', 'customer_id');	-- is not there
CALL after('ALTER TABLE orders DISABLE TRIGGER zz_cachekit_keys', 'SELECT * FROM orders WHERE id = 9');
SELECT keys FROM cachekit_tracked_tables WHERE tbl = 'orders'::regclass;
CALL after('UPDATE orders SET total = 2 WHERE id = 10', 'SELECT * FROM orders WHERE id = 9');
ALTER TABLE orders ENABLE TRIGGER zz_cachekit_keys;	-- not always: not in replica role
SELECT keys FROM cachekit_tracked_tables WHERE tbl = 'orders'::regclass;
CALL after('UPDATE orders SET total = 3 WHERE id = 10', 'SELECT * FROM orders WHERE id = 9');
ALTER TABLE orders ENABLE ALWAYS TRIGGER zz_cachekit_keys;
CALL after('UPDATE orders SET total = 4 WHERE id = 10', 'SELECT * FROM orders WHERE id = 9');
SELECT cache_untrack('orders');
SELECT state, reason FROM cache_explain(:o1);
SELECT count(*) FROM pg_trigger WHERE tgrelid = 'orders'::regclass AND NOT tgisinternal;

-- columns change places: names in the trigger's arguments mean others now
CREATE TABLE swap (a int, b int, v int);
INSERT INTO swap VALUES (1, 2, 0), (2, 1, 0);
SELECT cache_track('swap', 'a');
\set sa '''SELECT * FROM swap WHERE a = 1'''
SELECT probe(:sa), probe(:sa);
ALTER TABLE swap RENAME a TO x;
SELECT keys FROM cachekit_tracked_tables WHERE tbl = 'swap'::regclass;
SELECT probe('SELECT * FROM swap WHERE x = 1'), probe('SELECT * FROM swap WHERE x = 1');
CALL after('UPDATE swap SET v = v + 1 WHERE x = 2', 'SELECT * FROM swap WHERE x = 1');
ALTER TABLE swap RENAME b TO a;
CALL after('UPDATE swap SET v = v + 1 WHERE a = 2', :sa, 'SELECT * FROM swap WHERE x = 1', 'SELECT * FROM swap WHERE a = 2');
ALTER TABLE swap ALTER a TYPE numeric;
CALL after('UPDATE swap SET v = v + 1 WHERE a = 1.0', :sa, 'SELECT * FROM swap WHERE a = 2');
ALTER TABLE swap DROP a;
SELECT keys FROM cachekit_tracked_tables WHERE tbl = 'swap'::regclass;
UPDATE swap SET v = 9;
DROP TABLE swap;

-- a trigger by hand
CREATE TABLE byhand (a int, "B b" int, v int);
INSERT INTO byhand SELECT g % 3, g % 5, g FROM generate_series(1, 30) g;
SELECT cache_track('byhand');
CREATE TRIGGER mine BEFORE INSERT OR UPDATE OR DELETE ON byhand FOR EACH ROW EXECUTE FUNCTION cache_invalidate('a, "B b"', 'nowhere', 'a, , b');
ALTER TABLE byhand ENABLE ALWAYS TRIGGER mine;
SELECT keys FROM cachekit_tracked_tables WHERE tbl = 'byhand'::regclass;
CALL after('UPDATE byhand SET v = v + 1 WHERE a = 1 AND "B b" = 1', 'SELECT * FROM byhand WHERE a = 1 AND "B b" = 1', 'SELECT * FROM byhand WHERE a = 1 AND "B b" = 2');
SELECT dependencies FROM cache_explain('SELECT * FROM byhand WHERE a = 1 AND "B b" = 1');
DROP TRIGGER mine ON byhand;
CREATE TRIGGER mine BEFORE INSERT OR UPDATE OR DELETE ON byhand FOR EACH ROW WHEN (pg_trigger_depth() > 5) EXECUTE FUNCTION cache_invalidate('a');
ALTER TABLE byhand ENABLE ALWAYS TRIGGER mine;
SELECT keys FROM cachekit_tracked_tables WHERE tbl = 'byhand'::regclass;
DROP TRIGGER mine ON byhand;
CREATE TRIGGER mine AFTER INSERT OR UPDATE OR DELETE ON byhand FOR EACH ROW EXECUTE FUNCTION cache_invalidate('a');
ALTER TABLE byhand ENABLE ALWAYS TRIGGER mine;
SELECT keys FROM cachekit_tracked_tables WHERE tbl = 'byhand'::regclass;
DROP TABLE byhand;

-- what can not be a key
CREATE TABLE bad (a int, g int GENERATED ALWAYS AS (a + 1) STORED, p point, c text);
SELECT cache_track('bad', 'g');
SELECT cache_track('bad', 'p');
SELECT cache_track('bad', 'nowhere');
CREATE TABLE bad_child () INHERITS (bad);
SELECT cache_track('bad', 'a');
SELECT tbl, keys FROM cachekit_tracked_tables ORDER BY tbl::text;
-- a table with a key gets a child
CREATE TABLE parent (a int, v int);
SELECT cache_track('parent', 'a');
INSERT INTO parent VALUES (1, 1), (2, 2);
\set p1 '''SELECT * FROM parent WHERE a = 1'''
SELECT probe(:p1), probe(:p1);
CREATE TABLE child () INHERITS (parent);
SELECT tbl, tracked, keys FROM cachekit_tracked_tables WHERE tbl IN ('parent'::regclass, 'child') ORDER BY tbl::text;
CALL after('INSERT INTO child VALUES (1, 3)', :p1);
CALL after('INSERT INTO parent VALUES (1, 3)', :p1);
SELECT dependencies FROM cache_explain(:p1);
DROP TABLE bad, bad_child, parent, child;

-- row security: the policy's conditions are conditions, too
CREATE TABLE secret (owner text, k int, v int);
INSERT INTO secret SELECT 'regress_ck_' || CASE WHEN g % 2 = 0 THEN 'eve' ELSE 'adam' END, g, g FROM generate_series(1, 10) g;
CREATE ROLE regress_ck_eve;
CREATE ROLE regress_ck_adam;
GRANT ALL ON secret TO regress_ck_eve, regress_ck_adam;
ALTER TABLE secret ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON secret USING (owner = current_user);
SELECT cache_track('secret', 'k');
GRANT USAGE ON SCHEMA oracle TO regress_ck_eve, regress_ck_adam;
SET ROLE regress_ck_eve;
SELECT probe('SELECT * FROM secret WHERE k = 2'), probe('SELECT * FROM secret WHERE k = 2');
SET ROLE regress_ck_adam;
SELECT probe('SELECT * FROM secret WHERE k = 2'), probe('SELECT * FROM secret WHERE k = 2');
SELECT dependencies FROM cache_explain('SELECT * FROM secret WHERE k = 2');
RESET ROLE;
UPDATE secret SET owner = 'regress_ck_adam' WHERE k = 2;
SET ROLE regress_ck_eve;
SELECT probe('SELECT * FROM secret WHERE k = 2');
SET ROLE regress_ck_adam;
SELECT probe('SELECT * FROM secret WHERE k = 2');
RESET ROLE;
DROP TABLE secret;
REVOKE ALL ON SCHEMA oracle FROM regress_ck_eve, regress_ck_adam;
DROP ROLE regress_ck_eve;
DROP ROLE regress_ck_adam;

-- serializable, tags, ttl
SELECT cache_track('orders', 'customer_id');
BEGIN ISOLATION LEVEL SERIALIZABLE;
SELECT probe(:o1);
COMMIT;
SELECT cached_query_json('SELECT 1 AS one FROM orders WHERE id = 1 AND customer_id = 2', tags => '{t1}');
SELECT probe('SELECT 1 AS one FROM orders WHERE id = 1 AND customer_id = 2');	-- has other tags
SELECT cached_query_json('SELECT 1 AS one FROM orders WHERE id = 1 AND customer_id = 2', tags => '{t1}');
SELECT state FROM cache_explain('SELECT 1 AS one FROM orders WHERE id = 1 AND customer_id = 2');
SELECT cache_invalidate_tag('t1');
SELECT hits, misses FROM oracle.counters() \gset before_
SELECT cached_query_json('SELECT 1 AS one FROM orders WHERE id = 1 AND customer_id = 2', tags => '{t1}');
SELECT hits - :before_hits AS hits, misses - :before_misses AS misses FROM oracle.counters();
SELECT * FROM cache_check();
DROP TABLE orders, customers;
DROP SCHEMA oracle CASCADE;
