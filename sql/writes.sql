--
-- Every way to write to a table is seen by cached queries.
--
\set ECHO none
\set QUIET on
\i sql/oracle.part.sql
\set ECHO all

CREATE TABLE item (id int PRIMARY KEY, grp int, val text);
CREATE TABLE line (id int PRIMARY KEY, item int REFERENCES item ON DELETE CASCADE ON UPDATE CASCADE, n int);
CREATE TABLE other (id int);
SELECT cache_track('item'), cache_track('line'), cache_track('other');
INSERT INTO item SELECT g, g % 3, 'v' || g FROM generate_series(1, 10) g;
INSERT INTO line SELECT g, g, g FROM generate_series(1, 10) g;
\set q_item '''SELECT * FROM item'''
\set q_line '''SELECT sum(n), count(*) FROM line'''
\set q_join '''SELECT grp, sum(n) FROM item JOIN line ON line.item = item.id GROUP BY grp'''
\set q_other '''SELECT * FROM other'''

-- nothing written: all stay
CALL after('', :q_item, :q_line, :q_join, :q_other);
-- another table's entry stays
CALL after('INSERT INTO other VALUES (1)', :q_item, :q_line, :q_join, :q_other);

CALL after('INSERT INTO item VALUES (11, 0, ''new'')', :q_item, :q_line, :q_join, :q_other);
CALL after('INSERT INTO item VALUES (11, 0, ''x'') ON CONFLICT DO NOTHING', :q_item, :q_join);
CALL after('INSERT INTO item VALUES (11, 0, ''y'') ON CONFLICT (id) DO UPDATE SET val = excluded.val', :q_item);
CALL after('UPDATE item SET val = val || ''u'' WHERE id = 3', :q_item, :q_join);
CALL after('UPDATE item SET grp = l.n FROM line l WHERE l.item = item.id AND l.id = 4', :q_item, :q_join);
CALL after('DELETE FROM item WHERE id = 11', :q_item, :q_line);
CALL after('MERGE INTO item USING (VALUES (1, ''m''), (50, ''n'')) s(id, v) ON s.id = item.id'
		   ' WHEN MATCHED THEN UPDATE SET val = s.v WHEN NOT MATCHED THEN INSERT VALUES (s.id, 1, s.v)', :q_item, :q_join);
CALL after('MERGE INTO item USING (VALUES (50)) s(id) ON s.id = item.id WHEN MATCHED THEN DELETE', :q_item);
CALL after('WITH w AS (INSERT INTO item VALUES (12, 1, ''cte'') RETURNING id) UPDATE line SET n = 100 WHERE id = 1', :q_item, :q_line);
CALL after('WITH w AS (DELETE FROM item WHERE id = 12 RETURNING *) SELECT count(*) FROM w', :q_item, :q_line);
CALL after('WITH w AS (DELETE FROM item WHERE id = -1 RETURNING *) INSERT INTO other SELECT id FROM w', :q_item, :q_line);

-- foreign keys that cascade
CALL after('DELETE FROM item WHERE id = 10', :q_item, :q_line, :q_join, :q_other);
CALL after('UPDATE item SET id = 109 WHERE id = 9', :q_item, :q_line, :q_join);
ALTER TABLE line DROP CONSTRAINT line_item_fkey,
	ADD FOREIGN KEY (item) REFERENCES item ON DELETE SET NULL;
CALL after('DELETE FROM item WHERE id = 109', :q_item, :q_line, :q_join);

-- TRUNCATE, and its CASCADE
CALL after('TRUNCATE line', :q_item, :q_line, :q_join, :q_other);
INSERT INTO line SELECT id, id, 7 FROM item;
CALL after('TRUNCATE item CASCADE', :q_item, :q_line, :q_join, :q_other);
CALL after('TRUNCATE item, line RESTART IDENTITY', :q_item, :q_line);

-- COPY
SELECT probe(:q_item), probe(:q_item);
COPY item FROM stdin;
1	1	copied
2	1	copied
\.
SELECT probe(:q_item), probe(:q_item);
BEGIN;
TRUNCATE other;
COPY other FROM stdin WITH (FREEZE);
42
\.
SELECT probe(:q_other);
COMMIT;
SELECT probe(:q_other), probe(:q_other);

-- updatable views, with and without INSTEAD OF triggers, and rules
CREATE VIEW item1 AS SELECT * FROM item WHERE grp = 1;
CALL after('UPDATE item1 SET val = ''by view'' WHERE id = 1', :q_item, 'SELECT * FROM item1');
CALL after('INSERT INTO item1 VALUES (20, 1, ''by view'')', :q_item, 'SELECT * FROM item1');
CREATE VIEW item2 AS SELECT grp, count(*) FROM item GROUP BY grp;
CREATE FUNCTION item2_write() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	DELETE FROM item WHERE grp = OLD.grp;
	RETURN OLD;
END $$;
CREATE TRIGGER t INSTEAD OF DELETE ON item2 FOR EACH ROW EXECUTE FUNCTION item2_write();
CALL after('DELETE FROM item2 WHERE grp = 1', :q_item, 'SELECT * FROM item2');
CREATE TABLE inbox (id int);
CREATE RULE r AS ON INSERT TO inbox DO INSTEAD INSERT INTO item VALUES (NEW.id, 5, 'by rule');
CALL after('INSERT INTO inbox VALUES (30)', :q_item);
CREATE RULE also AS ON UPDATE TO other DO ALSO DELETE FROM item WHERE id = 30;
CALL after('UPDATE other SET id = 43', :q_item, :q_other);
DROP RULE also ON other;

-- triggers that write, functions that write
CREATE FUNCTION write_item() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO item SELECT coalesce(max(id), 0) + 1, 6, 'by trigger' FROM item;
	RETURN NULL;
END $$;
CREATE TRIGGER t AFTER INSERT ON other FOR EACH ROW EXECUTE FUNCTION write_item();
CALL after('INSERT INTO other VALUES (1), (2)', :q_item, :q_other);
DROP TRIGGER t ON other;
CREATE CONSTRAINT TRIGGER t AFTER INSERT ON other DEFERRABLE INITIALLY DEFERRED
	FOR EACH ROW EXECUTE FUNCTION write_item();
CALL after('INSERT INTO other VALUES (3)', :q_item, :q_other);
DROP TRIGGER t ON other;
CREATE FUNCTION write_function() RETURNS int LANGUAGE sql AS
	$$ UPDATE item SET val = 'by function' WHERE grp = 6; SELECT 1 $$;
CALL after('SELECT write_function()', :q_item, :q_other);
CALL after('DO $x$ BEGIN PERFORM write_function(); DELETE FROM other; END $x$', :q_item, :q_other);
PREPARE w(int) AS INSERT INTO item VALUES ($1, 7, 'prepared');
CALL after('EXECUTE w(70)', :q_item);
CALL after('EXECUTE w(71)', :q_item);
CALL after('EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF) EXECUTE w(72)', :q_item);
CALL after('UPDATE item SET val = ''empty'' WHERE false', :q_item);

-- a cursor's position
BEGIN;
DECLARE c CURSOR FOR SELECT * FROM item WHERE grp = 7 FOR UPDATE;
FETCH 1 FROM c;
SELECT probe(:q_item);
UPDATE item SET val = 'by cursor' WHERE CURRENT OF c;
SELECT probe(:q_item);
COMMIT;
SELECT probe(:q_item), probe(:q_item);

-- a session can not switch off what it owes as a writer
SET cachekit.enabled = off;
INSERT INTO item VALUES (80, 8, 'disabled');
RESET cachekit.enabled;
SELECT probe(:q_item), probe(:q_item);
BEGIN;
SET LOCAL cachekit.enabled = off;
DELETE FROM item WHERE id = 80;
COMMIT;
SELECT probe(:q_item), probe(:q_item);
SET session_replication_role = replica;
INSERT INTO item VALUES (81, 8, 'replica role');
SELECT probe(:q_item), probe(:q_item);
UPDATE item SET val = 'again' WHERE id = 81;
RESET session_replication_role;
SELECT probe(:q_item), probe(:q_item);
SET session_replication_role = replica;
TRUNCATE other;
RESET session_replication_role;
SELECT probe(:q_other), probe(:q_other);

-- CREATE TABLE AS and SELECT INTO write elsewhere
CALL after('CREATE TABLE copy_of AS SELECT * FROM item', :q_item);
CALL after('DROP TABLE copy_of', :q_item);

-- maintenance changes no row
SELECT probe(:q_item), probe(:q_item);
VACUUM item;
ANALYZE item;
SELECT probe(:q_item);
REINDEX TABLE item;
SELECT probe(:q_item) IN ('hit', 'miss');
CLUSTER item USING item_pkey;
SELECT probe(:q_item) IN ('hit', 'miss');
VACUUM FULL item;
SELECT probe(:q_item) IN ('hit', 'miss'), probe(:q_item);

-- what was not committed was not written
SELECT probe(:q_item);
BEGIN;
DELETE FROM item;
ROLLBACK;
SELECT probe(:q_item);

-- writing through the cache is no way
SELECT cached_query_json('INSERT INTO item VALUES (1) RETURNING *');

SELECT * FROM cache_check();
DROP TABLE line, other, inbox, item CASCADE;
DROP FUNCTION item2_write, write_item, write_function;
SET client_min_messages = warning;
DROP SCHEMA oracle CASCADE;
