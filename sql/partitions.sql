--
-- Partitioned tables: written through the parent, directly, between leaves,
-- and changed in their build.
--
\set ECHO none
\set QUIET on
\i sql/oracle.part.sql
\set ECHO all
CREATE TABLE m (id int, d int, v int) PARTITION BY RANGE (d);
CREATE TABLE m1 PARTITION OF m FOR VALUES FROM (0) TO (100);
CREATE TABLE m2 PARTITION OF m FOR VALUES FROM (100) TO (200);
CREATE TABLE m3 PARTITION OF m FOR VALUES FROM (200) TO (300) PARTITION BY LIST (v);
CREATE TABLE m3a PARTITION OF m3 FOR VALUES IN (1);
CREATE TABLE m3b PARTITION OF m3 DEFAULT;
SELECT cache_track('m2');
SELECT tbl, tracked FROM cachekit_tracked_tables ORDER BY tbl::text;
INSERT INTO m VALUES (1, 10, 1), (2, 110, 1), (3, 210, 1), (4, 220, 2);
\set m '''SELECT * FROM m'''
\set m1 '''SELECT * FROM m1'''
\set m2 '''SELECT * FROM m2'''
\set m3 '''SELECT * FROM m3'''
\set m3a '''SELECT * FROM m3a'''
\set m3b '''SELECT * FROM m3b'''

-- through the root: everything below may have changed
CALL after('INSERT INTO m VALUES (5, 20, 1)', :m, :m1, :m2, :m3, :m3a, :m3b);
CALL after('UPDATE m SET v = v', :m, :m1, :m2, :m3, :m3a, :m3b);
CALL after('DELETE FROM m WHERE id = 5', :m, :m1, :m2, :m3, :m3a, :m3b);
-- through a leaf: its ancestors have changed, and with them, as far as the
-- cache can tell, what is beside it
CALL after('INSERT INTO m1 VALUES (6, 30, 1)', :m, :m1, :m2, :m3, :m3a, :m3b);
CALL after('INSERT INTO m3a VALUES (7, 230, 1)', :m, :m1, :m2, :m3, :m3a, :m3b);
CALL after('DELETE FROM m3b', :m, :m1, :m2, :m3, :m3a, :m3b);
CALL after('TRUNCATE m3a', :m, :m1, :m2, :m3, :m3a, :m3b);
-- through the middle
CALL after('INSERT INTO m3 VALUES (8, 240, 1), (9, 250, 3)', :m, :m1, :m2, :m3, :m3a, :m3b);
-- rows that move between leaves, at both levels
CALL after('UPDATE m SET d = 120 WHERE id = 1', :m, :m1, :m2, :m3, :m3a, :m3b);
CALL after('UPDATE m3 SET v = 1 WHERE id = 9', :m, :m1, :m2, :m3, :m3a, :m3b);
CALL after('UPDATE m SET d = 205, v = 4 WHERE id = 2', :m, :m1, :m2, :m3, :m3a, :m3b);
SELECT probe(:m), probe(:m3b), probe(:m), probe(:m3b);
COPY m FROM stdin;
20	50	1
21	260	9
\.
SELECT probe(:m), probe(:m3b), probe(:m), probe(:m3b);
COPY m1 FROM stdin;
22	51	1
\.
SELECT probe(:m), probe(:m1), probe(:m), probe(:m1);
CALL after('MERGE INTO m USING (VALUES (22, 150)) s(id, d) ON s.id = m.id WHEN MATCHED THEN UPDATE SET d = s.d', :m, :m1, :m2);
CALL after('INSERT INTO m2 SELECT id, d + 100, v FROM m1', :m, :m1, :m2);
CALL after('TRUNCATE m3', :m, :m1, :m3, :m3a);
CALL after('TRUNCATE ONLY m1', :m, :m1, :m2);

-- partitions made later are tracked at once
CREATE TABLE m4 PARTITION OF m FOR VALUES FROM (300) TO (400);
SELECT probe(:m), probe(:m), probe('SELECT * FROM m4');
CALL after('INSERT INTO m4 VALUES (30, 310, 1)', :m, 'SELECT * FROM m4', :m2);
CALL after('CREATE TABLE m5 PARTITION OF m FOR VALUES FROM (400) TO (500)', :m);
CALL after('INSERT INTO m VALUES (31, 410, 1)', :m, 'SELECT * FROM m5', :m2);
CALL after('CREATE TABLE mdef PARTITION OF m DEFAULT', :m);
CALL after('INSERT INTO m VALUES (32, 9999, 1)', :m, 'SELECT * FROM mdef', :m2);
BEGIN;
CREATE TABLE m6 PARTITION OF m FOR VALUES FROM (500) TO (600);
INSERT INTO m6 VALUES (33, 510, 1);
SELECT probe(:m), probe('SELECT * FROM m6');
COMMIT;
SELECT probe(:m), probe('SELECT * FROM m6');

-- attach and detach
CREATE TABLE loose (id int, d int, v int);
INSERT INTO loose VALUES (40, 610, 1);
\set loose '''SELECT * FROM loose'''
CALL after('ALTER TABLE m ATTACH PARTITION loose FOR VALUES FROM (600) TO (700)', :m, :loose);
SELECT tbl, tracked FROM cachekit_tracked_tables WHERE NOT tracked;
CALL after('INSERT INTO loose VALUES (41, 611, 1)', :m, :loose, :m2);
CALL after('INSERT INTO m VALUES (42, 612, 1)', :m, :loose);
CALL after('ALTER TABLE m DETACH PARTITION loose', :m, :loose, :m2);
CALL after('INSERT INTO loose VALUES (43, 613, 1)', :m, :loose);
SELECT probe(:m), probe(:m), probe(:loose), probe(:loose);
DROP TABLE mdef;
ALTER TABLE m DETACH PARTITION m6 CONCURRENTLY;
SELECT probe(:m), probe('SELECT * FROM m6'), probe(:m), probe('SELECT * FROM m6');
-- a written partition moves between two parents in one transaction
CREATE TABLE n (LIKE m) PARTITION BY RANGE (d);
SELECT cache_track('n');
\set n '''SELECT * FROM n'''
SELECT probe(:m), probe(:n), probe(:m), probe(:n);
BEGIN;
INSERT INTO m4 VALUES (50, 350, 1);
ALTER TABLE m DETACH PARTITION m4;
UPDATE m4 SET v = 77;
SELECT probe(:m), probe(:n);
ALTER TABLE n ATTACH PARTITION m4 FOR VALUES FROM (300) TO (400);
INSERT INTO m4 VALUES (51, 351, 1);
SELECT probe(:m), probe(:n);
COMMIT;
SELECT probe(:m), probe(:n), probe(:m), probe(:n);
CALL after('INSERT INTO m4 VALUES (52, 352, 1)', :m, :n, 'SELECT * FROM m4');
BEGIN;
ALTER TABLE n DETACH PARTITION m4;
INSERT INTO m4 VALUES (53, 353, 1);
SELECT probe(:n);
ROLLBACK;
SELECT probe(:n), probe('SELECT * FROM m4');

-- a foreign key that cascades into leaves
CREATE TABLE one (id int PRIMARY KEY);
CREATE TABLE many (id int REFERENCES one ON DELETE CASCADE) PARTITION BY HASH (id);
CREATE TABLE many0 PARTITION OF many FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE many1 PARTITION OF many FOR VALUES WITH (MODULUS 2, REMAINDER 1);
SELECT cache_track('one'), cache_track('many');
INSERT INTO one SELECT generate_series(1, 10);
INSERT INTO many SELECT generate_series(1, 10);
CALL after('DELETE FROM one WHERE id < 5', 'SELECT * FROM one', 'SELECT * FROM many', 'SELECT * FROM many0', 'SELECT * FROM many1');
CALL after('TRUNCATE one CASCADE', 'SELECT * FROM many', 'SELECT * FROM many0');

-- a leaf without its trigger: all of its ancestors are out, others not
DROP TRIGGER cachekit_track ON m1;
SELECT probe(:m), probe(:m1), probe(:m2) IN ('hit', 'miss');
SELECT reason FROM cache_explain(:m);
INSERT INTO m1 VALUES (60, 60, 1);
SELECT cache_track('m');
SELECT probe(:m), probe(:m1), probe(:m), probe(:m1);
-- an ancestor's trigger covers what goes through it
DROP TRIGGER cachekit_track ON m;
SELECT probe(:m), probe(:m1);
INSERT INTO m VALUES (61, 61, 1);
SELECT cache_track('m');
SELECT probe(:m), probe(:m1), probe(:m), probe(:m1);
-- disabled by ALTER TABLE, it comes back: the rest of the tree is tracked
ALTER TABLE m1 DISABLE TRIGGER cachekit_track;
SELECT probe(:m), probe(:m1), probe(:m), probe(:m1);
INSERT INTO m1 VALUES (62, 60, 1);
SELECT probe(:m), probe(:m1), probe(:m), probe(:m1);

-- a partition that triggers cannot watch
CREATE FOREIGN DATA WRAPPER nowhere;
CREATE SERVER nowhere FOREIGN DATA WRAPPER nowhere;
CREATE FOREIGN TABLE mf PARTITION OF m FOR VALUES FROM (900) TO (1000) SERVER nowhere;
SELECT state, reason FROM cache_explain(:m);
SELECT cache_track('m');
DROP FOREIGN TABLE mf;
SELECT probe(:m), probe(:m);
DROP FOREIGN DATA WRAPPER nowhere CASCADE;

-- many partitions
CREATE TABLE big (id int) PARTITION BY LIST (id);
DO $$ BEGIN FOR i IN 1 .. 200 LOOP EXECUTE format('CREATE TABLE big%s PARTITION OF big FOR VALUES IN (%s)', i, i); END LOOP; END $$;
SELECT cache_track('big');
INSERT INTO big SELECT generate_series(1, 200);
CALL after('INSERT INTO big77 VALUES (77)', 'SELECT count(*) FROM big', 'SELECT * FROM big77', 'SELECT * FROM big78');

SELECT cache_untrack('m1');
SELECT tbl FROM cachekit_tracked_tables WHERE tbl::text LIKE 'm_';
SELECT * FROM cache_check();
DROP TABLE m, n, m6, loose, many, one, big;
SET client_min_messages = warning;
DROP SCHEMA oracle CASCADE;
