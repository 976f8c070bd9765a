--
-- A string of several statements: each has its own hint, or none.
--
SET client_min_messages = warning;
SELECT cache_flush() >= 0 AS loaded;
CREATE TABLE hs (id int, v int);
INSERT INTO hs VALUES (1, 10), (2, 20);
SELECT cache_track('hs');
CREATE FUNCTION hs_counted() RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
  n bigint;
BEGIN
  SELECT hits + misses + bypasses INTO n FROM cachekit_stats;
  PERFORM cache_reset_stats();
  RETURN n;
END $$;
SELECT cache_reset_stats();

-- queries: one, one, two
/*+ cachekit */ SELECT sum(v) FROM hs\; SELECT sum(v) FROM hs;
SELECT hs_counted();
SELECT sum(v) FROM hs\; /*+ cachekit */ SELECT sum(v) FROM hs;
SELECT hs_counted();
/*+ cachekit */ SELECT sum(v) FROM hs\; /*+ cachekit */ SELECT sum(v) FROM hs;
SELECT hs_counted();

-- cursors: one, one
BEGIN\; DECLARE a CURSOR FOR /*+ cachekit */ SELECT sum(v) FROM hs\;
  DECLARE b CURSOR FOR SELECT sum(v) FROM hs\; FETCH a\; FETCH b\; COMMIT;
SELECT hs_counted();
BEGIN\; DECLARE a CURSOR FOR /*+ nocache */ SELECT sum(v) FROM hs\;
  DECLARE b CURSOR FOR /*+ cachekit */ SELECT sum(v) FROM hs\; FETCH a\; FETCH b\; COMMIT;
SELECT hs_counted();

-- prepared statements, and a query of EXPLAIN: one, one
PREPARE a AS SELECT sum(v) FROM hs\; PREPARE b AS /*+ cachekit */ SELECT sum(v) FROM hs;
EXECUTE a;
EXECUTE b;
SELECT hs_counted();
SELECT 1 AS one\; EXPLAIN (COSTS OFF) SELECT v FROM hs WHERE id = 1\;
  EXPLAIN (COSTS OFF) /*+ cachekit */ SELECT 1 AS one\; /*+ cachekit */ SELECT sum(v) FROM hs;
SELECT hs_counted();
-- the hint of one is not that of a query that another asks by a function: one
CREATE FUNCTION hs_sum() RETURNS bigint LANGUAGE plpgsql AS $$
BEGIN
  RETURN sum(v) FROM hs;
END $$;
/*+ cachekit */ SELECT hs_sum() FROM hs WHERE false\; SELECT hs_sum();
SELECT hs_counted();

DEALLOCATE ALL;
DROP FUNCTION hs_counted, hs_sum;
DROP TABLE hs;
