-- Time to live of cached queries, by moving the clock: builds with DEBUG=1 only.
LOAD 'cachekit';
SELECT count(*) = 0 AS release FROM pg_settings WHERE name = 'cachekit.debug_clock_shift' \gset
\if :release
\quit
\endif
CREATE TABLE tracked (id int);
CREATE TABLE untracked (id int);
INSERT INTO tracked VALUES (1);
INSERT INTO untracked VALUES (1);
SELECT cache_track('tracked');
CREATE FUNCTION ask(query text, ttl interval DEFAULT NULL) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	b record;
	a record;
	j jsonb;
BEGIN
	SELECT hits, misses, bypasses INTO b FROM cachekit_stats;
	j := cached_query_json(query, ttl => ttl);
	SELECT hits, misses, bypasses INTO a FROM cachekit_stats;
	RETURN CASE WHEN a.hits > b.hits THEN 'hit ' WHEN a.misses > b.misses THEN 'miss ' ELSE 'bypass ' END || j::text;
END $$;
\set u '''SELECT count(*) FROM untracked'''
\set t '''SELECT count(*) FROM tracked'''
\set n '''SELECT now() > ''''2000-01-01'''' AS late'''
-- untracked: for that long
SELECT ask(:u, '10 s'), ask(:u, '10 s'), ask(:n, '10 s'), ask(:n, '10 s');
INSERT INTO untracked VALUES (2);
SET cachekit.debug_clock_shift = '9s';
SELECT ask(:u, '10 s'), ask(:n, '10 s');
SET cachekit.debug_clock_shift = '11s';
SELECT ask(:u, '10 s'), ask(:u, '10 s'), ask(:n, '10 s');
-- who asks for fresher rows gets them, who asks for none gets the tables'
INSERT INTO untracked VALUES (3);
SET cachekit.debug_clock_shift = '16s';
SELECT ask(:u, '20 s'), ask(:u, '4 s'), ask(:u);
SELECT ask(:u, '4 s'), ask(:u, '20 s');
-- nothing that took no time is young enough for a ttl of none
SELECT ask(:u, '0'), ask(:u, '-1 s'), ask(:u, '0');
-- tracked: exact for as long as the ttl, then computed anew
SELECT ask(:t, '10 s'), ask(:t, '10 s'), ask(:t);
INSERT INTO tracked VALUES (2);
SELECT ask(:t, '10 s'), ask(:t, '10 s'), ask(:t);
SET cachekit.debug_clock_shift = '30s';
SELECT ask(:t), ask(:t), ask(:t, '5 s');
SET cachekit.debug_clock_shift = '10h';
SELECT ask(:t), ask(:t, '5 s');
-- the clock goes back
RESET cachekit.debug_clock_shift;
SELECT ask(:t), ask(:u, '10 s') LIKE '% [{"count": 3}]';
SELECT expirations > 0 AS expirations FROM cachekit_stats;
SELECT * FROM cache_check();
DROP FUNCTION ask;
DROP TABLE tracked, untracked;
