--
-- Plain inheritance: a statement on the parent reaches its children.
--
\set ECHO none
\set QUIET on
\i sql/oracle.part.sql
\set ECHO all
CREATE TABLE p (id int, v int);
CREATE TABLE c1 () INHERITS (p);
CREATE TABLE c2 (extra int) INHERITS (p);
CREATE TABLE g () INHERITS (c2);
SELECT cache_track('c1');
SELECT tbl, tracked FROM cachekit_tracked_tables ORDER BY tbl::text;
\set p '''SELECT * FROM p'''
\set only '''SELECT * FROM ONLY p'''
\set c1 '''SELECT * FROM c1'''
\set c2 '''SELECT * FROM c2'''
\set g '''SELECT * FROM g'''
INSERT INTO p VALUES (1, 1);
INSERT INTO c1 VALUES (2, 2);
INSERT INTO c2 VALUES (3, 3, 3);
INSERT INTO g VALUES (4, 4, 4);
CALL after('UPDATE p SET v = v + 1', :p, :only, :c1, :c2, :g);
CALL after('UPDATE ONLY p SET v = v + 1', :p, :only, :c1, :c2, :g);
CALL after('DELETE FROM p WHERE id = 4', :p, :only, :c1, :c2, :g);
CALL after('INSERT INTO g VALUES (5, 5, 5)', :p, :only, :c1, :c2, :g);
CALL after('UPDATE c2 SET v = v + 1 WHERE id = 5', :p, :only, :c1, :c2, :g);
CALL after('TRUNCATE c2', :p, :only, :c1, :c2, :g);
CALL after('TRUNCATE ONLY p', :p, :only, :c1);
CALL after('INSERT INTO c1 VALUES (6, 6)', :p, :only, :c1, :c2);
CALL after('MERGE INTO p USING (VALUES (6)) s(id) ON s.id = p.id WHEN MATCHED THEN UPDATE SET v = 66', :p, :c1);

-- children made later
CREATE TABLE c3 () INHERITS (p);
SELECT probe(:p), probe(:p), probe('SELECT * FROM c3');
CALL after('INSERT INTO c3 VALUES (7, 7)', :p, 'SELECT * FROM c3');
BEGIN;
CREATE TABLE c4 () INHERITS (p);
INSERT INTO c4 VALUES (8, 8);
SELECT probe(:p);
COMMIT;
SELECT probe(:p), probe(:p);

-- INHERIT and NO INHERIT
CREATE TABLE apart (id int, v int);
INSERT INTO apart VALUES (9, 9);
\set apart '''SELECT * FROM apart'''
CALL after('ALTER TABLE apart INHERIT p', :p, :apart);
CALL after('INSERT INTO apart VALUES (10, 10)', :p, :apart);
CALL after('UPDATE p SET v = v + 1 WHERE id = 10', :p, :apart);
CALL after('ALTER TABLE apart NO INHERIT p', :p, :apart);
CALL after('INSERT INTO apart VALUES (11, 11)', :p, :apart);
BEGIN;
ALTER TABLE apart INHERIT p;
INSERT INTO apart VALUES (12, 12);
SELECT probe(:p), probe(:apart);
ROLLBACK;
SELECT probe(:p), probe(:apart);
BEGIN;
ALTER TABLE c4 NO INHERIT p;
SELECT probe(:p);
INSERT INTO c4 VALUES (13, 13);
SELECT probe(:p), probe('SELECT * FROM c4');
ROLLBACK;
SELECT probe(:p), probe('SELECT * FROM c4');
CALL after('DROP TABLE c4', :p);

-- several parents; a second one that was not tracked gets tracked
CREATE TABLE p2 (id int, v int);
CREATE TABLE cb () INHERITS (p, p2);
SELECT tbl, tracked FROM cachekit_tracked_tables ORDER BY tbl::text;
\set p2 '''SELECT * FROM p2'''
CALL after('INSERT INTO cb VALUES (20, 20)', :p, :p2, 'SELECT * FROM cb');
CALL after('UPDATE p2 SET v = v + 1', :p, :p2, 'SELECT * FROM cb');
CALL after('DELETE FROM p WHERE id = 20', :p, :p2, 'SELECT * FROM cb');
-- a write through one parent, then a look through the other, in one transaction
SELECT probe(:p2), probe(:p2);
INSERT INTO cb VALUES (21, 21);
SELECT probe(:p), probe(:p2);
BEGIN;
UPDATE p SET v = v + 1;
SELECT probe(:p2), probe('SELECT * FROM cb');
ROLLBACK;
SELECT probe(:p2);

-- columns: children's rows through the parent
CALL after('ALTER TABLE p ADD w int DEFAULT 5', :p, :c1, :p2);
CALL after('ALTER TABLE p DROP w', :p, :c1, :p2);
CALL after('ALTER TABLE c1 ALTER v SET DEFAULT 1', :p, :c1);
SELECT state, reason FROM cache_explain('SELECT tableoid::regclass, * FROM p');
SELECT probe('SELECT tableoid, * FROM p'), probe('SELECT tableoid, * FROM p');

-- a foreign child
CREATE FOREIGN DATA WRAPPER nowhere;
CREATE SERVER nowhere FOREIGN DATA WRAPPER nowhere;
CREATE FOREIGN TABLE f () INHERITS (p) SERVER nowhere;
SELECT state, reason FROM cache_explain(:p);
SELECT probe(:only) NOT LIKE 'WRONG%', probe(:c2) NOT LIKE 'WRONG%';
SELECT cache_track('c2');
DROP FOREIGN TABLE f;
SELECT probe(:p), probe(:p);
DROP FOREIGN DATA WRAPPER nowhere CASCADE;
-- a temporary child
CREATE TEMP TABLE tempchild () INHERITS (p);
INSERT INTO tempchild VALUES (99, 99);
SELECT probe(:p), probe(:p);
-- though somebody has given it the triggers
SELECT cache_track('p');
SELECT state, reason LIKE 'temporary table pg_temp%.tempchild' FROM cache_explain(:p);
UPDATE tempchild SET v = 100;
SELECT probe(:p), probe(:p);
DROP TABLE tempchild;
SELECT probe(:p), probe(:p);

SELECT * FROM cache_check();
DROP TABLE p, p2, apart CASCADE;
SET client_min_messages = warning;
DROP SCHEMA oracle CASCADE;
