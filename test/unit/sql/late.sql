-- Writes of another extension's PRE_COMMIT callback, which runs after
-- cachekit's, are registered all the same.  In a session that has loaded this
-- library first.
LOAD 'cachekit_unit';
CREATE EXTENSION IF NOT EXISTS cachekit_unit;
CREATE EXTENSION cachekit;
CREATE TABLE late (a int);
INSERT INTO late VALUES (1);
SELECT cache_track('late');
CREATE FUNCTION unit_oracle(OUT cached text, OUT direct text) LANGUAGE sql AS
$$ SELECT cached_query_json('SELECT count(*) FROM late')->0->>'count', (SELECT count(*)::text FROM late) $$;
SELECT * FROM unit_oracle();
SELECT * FROM unit_oracle();
-- the first mark of the transaction, with no xid so far
SELECT unit_before_commit('INSERT INTO late VALUES (2)');
SELECT * FROM unit_oracle();
-- with an xid, but nothing marked
BEGIN;
CREATE TEMP TABLE unrelated (a int);
SELECT unit_before_commit('INSERT INTO late VALUES (3)');
COMMIT;
SELECT * FROM unit_oracle();
-- besides other marks
BEGIN;
CREATE TABLE other (a int);
SELECT cache_track('other');
SELECT unit_before_commit('INSERT INTO late VALUES (4)');
COMMIT;
SELECT * FROM unit_oracle();
SELECT * FROM cache_check();
DROP EXTENSION cachekit CASCADE;
DROP TABLE late, other;
DROP FUNCTION unit_oracle();
