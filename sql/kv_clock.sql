-- Time to live, by moving the clock: builds with DEBUG=1 only.
LOAD 'cachekit';
SELECT count(*) = 0 AS release FROM pg_settings WHERE name = 'cachekit.debug_clock_shift' \gset
\if :release
\quit
\endif
SELECT cache_clear() >= 0 AS cleared;
SELECT cache_set('sec', 'x', '10 s'), cache_set('hour', 'y', '1 hour'), cache_set('never', 'z');
SELECT cache_set('large', repeat('x', 100000), '10 s'), cache_incr('n', 1, 1), cache_touch('n', '10 s');
SET cachekit.debug_clock_shift = '9s';
SELECT key, length(value) FROM cache_get_many('{sec,hour,never,large,n}');
SELECT cache_incr('n');
SELECT cache_ttl('sec') BETWEEN '0' AND '1 s' AS sec;
SET cachekit.debug_clock_shift = '11s';
SELECT key, length(value) FROM cache_get_many('{sec,hour,never,large,n}');
SELECT cache_incr('n') IS NULL AS over;
SELECT cache_delete('sec'), cache_touch('sec', '1 day');
BEGIN;
SELECT cache_set('sec', 'again', '10 s'), cache_touch('hour', '10 s');
SELECT cache_get('sec'), cache_get('hour');
SET LOCAL cachekit.debug_clock_shift = '22s';
SELECT cache_exists('sec'), cache_exists('hour');
COMMIT;
SELECT cache_get('sec'), cache_get('hour');
SET cachekit.debug_clock_shift = '1d';
SELECT key FROM cache_get_many('{sec,hour,never}');
SELECT cache_clear();
RESET cachekit.debug_clock_shift;
