--
-- Keys of partitioned tables: one set of cells for the whole tree.
--
\set ECHO none
\set QUIET on
\i sql/oracle.part.sql
\set ECHO all
CREATE TABLE m (region text, id int, k int, v int) PARTITION BY LIST (region);
CREATE TABLE m_eu PARTITION OF m FOR VALUES IN ('eu');
CREATE TABLE m_us (v int, k int, region text, id int);	-- other positions
ALTER TABLE m ATTACH PARTITION m_us FOR VALUES IN ('us');
CREATE TABLE m_rest PARTITION OF m DEFAULT PARTITION BY RANGE (id);
CREATE TABLE m_rest1 PARTITION OF m_rest FOR VALUES FROM (0) TO (1000);
INSERT INTO m SELECT (ARRAY['eu', 'us', 'xx'])[g % 3 + 1], g, g % 10, 0 FROM generate_series(0, 299) g;
SELECT cache_track('m', 'k');
SELECT tbl, tracked, keys FROM cachekit_tracked_tables ORDER BY tbl::text;
SELECT tgrelid::regclass, tgname FROM pg_trigger WHERE tgname LIKE '%keys' ORDER BY 1;
\set k1 '''SELECT sum(v), count(*) FROM m WHERE k = 1'''
\set k2 '''SELECT sum(v), count(*) FROM m WHERE k = 2'''
\set eu1 '''SELECT sum(v), count(*) FROM m WHERE k = 1 AND region = ''''eu'''''''
\set leaf1 '''SELECT sum(v), count(*) FROM m_us WHERE k = 1'''
\set leaf2 '''SELECT sum(v), count(*) FROM m_us WHERE k = 2'''
\set sub1 '''SELECT sum(v), count(*) FROM m_rest WHERE k = 1'''
\set all '''SELECT sum(v), count(*) FROM m'''
SELECT dependencies FROM cache_explain(:k1);
SELECT dependencies FROM cache_explain(:eu1);
SELECT dependencies FROM cache_explain(:leaf1);
SELECT dependencies FROM cache_explain('SELECT max(id) FROM m WHERE k = 1');
SELECT dependencies FROM cache_explain('SELECT * FROM m JOIN m_us u ON u.k = m.k WHERE m.k = 3');
SELECT dependencies FROM cache_explain('SELECT * FROM m JOIN m_us u ON u.id = m.id WHERE m.k = 3');
SELECT dependencies FROM cache_explain('SELECT * FROM m WHERE k = 3 AND region = $1', '{none}');
CALL after('UPDATE m SET v = v + 1 WHERE k = 1', :k1, :k2, :eu1, :leaf1, :leaf2, :sub1, :all);
CALL after('UPDATE m SET v = v + 1 WHERE k = 2 AND region = ''us''', :k1, :k2, :eu1, :leaf1, :leaf2, :sub1, :all);
CALL after('UPDATE m_us SET v = v + 1 WHERE k = 1', :k1, :k2, :eu1, :leaf1, :leaf2, :sub1, :all);
CALL after('INSERT INTO m VALUES (''us'', 1, 1, 5)', :k1, :k2, :leaf1, :leaf2);
CALL after('INSERT INTO m_rest VALUES (''xx'', 1, 1, 5)', :k1, :k2, :leaf1, :sub1);
CALL after('UPDATE m SET region = ''eu'' WHERE id = 1', :k1, :k2, :eu1, :leaf1, :leaf2, :sub1);	-- moves
CALL after('UPDATE m SET k = 2 WHERE id = 1', :k1, :k2, :eu1, :leaf1, :leaf2, :sub1);
CALL after('DELETE FROM m WHERE k = 2', :k1, :k2, :leaf1, :leaf2);
CALL after('TRUNCATE m_us', :k1, :k2, :eu1, :leaf1);
CALL after('COPY m FROM PROGRAM ''printf "us\t900\t2\t9\n"''', :k1, :k2, :leaf1, :leaf2);
-- new partitions
CREATE TABLE m_asia PARTITION OF m FOR VALUES IN ('asia');
SELECT tbl, tracked, keys FROM cachekit_tracked_tables ORDER BY tbl::text;
CALL after('INSERT INTO m VALUES (''asia'', 2, 1, 5)', :k1, :k2, 'SELECT * FROM m_asia WHERE k = 1');
CALL after('INSERT INTO m_asia VALUES (''asia'', 2, 2, 5)', :k1, :k2, 'SELECT * FROM m_asia WHERE k = 1');
-- attach and detach: the cells are those of another root then
CREATE TABLE apart (region text, id int, k int, v int);
INSERT INTO apart VALUES ('afr', 1, 1, 100), ('afr', 2, 2, 100);
SELECT cache_track('apart', 'id');
\set apart1 '''SELECT * FROM apart WHERE k = 1'''
SELECT probe(:apart1), probe(:apart1), probe(:k1), probe(:k1);
ALTER TABLE m ATTACH PARTITION apart FOR VALUES IN ('afr');
SELECT tbl, tracked, keys FROM cachekit_tracked_tables ORDER BY tbl::text;
CALL after('UPDATE apart SET v = v + 1 WHERE k = 1', :apart1, :k1, :k2);
CALL after('UPDATE m SET v = v + 1 WHERE k = 2', :apart1, :k1, :k2);
BEGIN;
UPDATE m SET v = v + 1 WHERE k = 1;
SELECT probe(:apart1), probe(:k1), probe(:k2);
COMMIT;
ALTER TABLE m DETACH PARTITION apart;
SELECT probe(:apart1), probe(:apart1), probe(:k1), probe(:k1);
CALL after('UPDATE apart SET v = v + 1 WHERE k = 1', :apart1, :k1, :k2);
CALL after('UPDATE apart SET v = v + 1 WHERE k = 2', :apart1, :k1, :k2);
-- an intermediate level changes its root
ALTER TABLE m DETACH PARTITION m_rest;
CALL after('UPDATE m_rest SET v = v + 1 WHERE k = 1', :sub1, 'SELECT * FROM m_rest1 WHERE k = 1', :k1);
ALTER TABLE m ATTACH PARTITION m_rest DEFAULT;
CALL after('UPDATE m_rest1 SET v = v + 1 WHERE k = 1', :sub1, 'SELECT * FROM m_rest1 WHERE k = 1', :k1, :k2);
-- one leaf without the key's trigger
ALTER TABLE m_eu DISABLE TRIGGER zz_cachekit_keys;
SELECT tbl, tracked, keys FROM cachekit_tracked_tables ORDER BY tbl::text;
CALL after('UPDATE m SET v = v + 1 WHERE k = 2', :k1, :leaf1);
ALTER TABLE m_eu ENABLE ALWAYS TRIGGER zz_cachekit_keys;
SELECT cache_untrack('m', 'k');
SELECT tbl, tracked, keys FROM cachekit_tracked_tables ORDER BY tbl::text;
CALL after('UPDATE m SET v = v + 1 WHERE id = 7', :k1, 'SELECT * FROM m WHERE id = 7', 'SELECT * FROM m WHERE id = 8');
-- detached concurrently: two transactions, and a state in between
ALTER TABLE m DETACH PARTITION m_rest;
ALTER TABLE m ATTACH PARTITION apart FOR VALUES IN ('afr');
CALL after('', 'SELECT * FROM apart WHERE id = 1', 'SELECT * FROM m WHERE id = 1');
ALTER TABLE m DETACH PARTITION apart CONCURRENTLY;
CALL after('UPDATE apart SET v = v + 1 WHERE id = 1', 'SELECT * FROM apart WHERE id = 1', 'SELECT * FROM m WHERE id = 1');
SELECT cache_untrack('m'), cache_untrack('apart'), cache_untrack('m_rest');
SELECT * FROM cachekit_tracked_tables;
DROP TABLE m, m_rest, apart;
DROP SCHEMA oracle CASCADE;
