-- A result with a ttl is computed anew by a reader before it expires.  Builds
-- with DEBUG=1 only; noverify: each hit would run the slow query.
LOAD 'cachekit';
SELECT count(*) = 0 AS release FROM pg_settings WHERE name = 'cachekit.debug_clock_shift' \gset
\if :release
\quit
\endif
SELECT cache_flush() >= 0 AS flushed;
CREATE TABLE early (id int);
INSERT INTO early VALUES (1);
-- (what takes long is the run, not the planning)
CREATE FUNCTION early_slow(x int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS $$
BEGIN PERFORM pg_sleep(1.5); RETURN x; END $$;
CREATE FUNCTION early_ask(times int) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  FOR i IN 1..times LOOP
    PERFORM cached_query_json('SELECT early_slow(id) FROM early', ttl => '100 s');
  END LOOP;
END $$;
SELECT early_ask(1);
SELECT cache_reset_stats();
-- not in the first nine tenths of its life, however often it is asked for
SET cachekit.debug_clock_shift = '80s';
SELECT early_ask(500);
SELECT hits, misses FROM cachekit_stats;
-- with some 3 seconds left and a cost of 1.5, one call in seven draws the lot;
-- the first of them computes, and nobody does after that
SET cachekit.debug_clock_shift = '97s';
SELECT early_ask(500);
SELECT hits, misses, invalidations FROM cachekit_stats;
SELECT expires_in > '90 s' AS renewed FROM cachekit_entries WHERE kind = 'query';
RESET cachekit.debug_clock_shift;
DROP FUNCTION early_ask, early_slow;
DROP TABLE early;
