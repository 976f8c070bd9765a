-- cache_add and cache_incr, one session.
SELECT cache_clear() >= 0 AS cleared;
SELECT cache_add('lock', 'mine', '1 hour'), cache_add('lock', 'other'), cache_get('lock');
SELECT cache_delete('lock');
SELECT cache_add('lock', 42), cache_add('lock', 43), cache_get('lock', 0);
SELECT cache_set('null', NULL), cache_add('null', 'x'), cache_get('null') IS NULL AS null;
SELECT cache_add('null', 'x');
SELECT cache_add('large', repeat('x', 50000)), cache_add('large', 'small'), length(cache_get('large'));

-- absent: nothing, or the initial value
SELECT cache_incr('n'), cache_exists('n');
SELECT cache_incr('n', 1, 100), cache_incr('n', 1, 100), cache_incr('n', -50), cache_incr('n', delta => 0);
SELECT cache_get('n', 0::bigint);
SELECT cache_incr('zero', initial => 0), cache_incr('zero');

-- the type stays
SELECT cache_set('i2', 1::smallint), cache_set('i4', 1), cache_set('i8', 1::bigint), cache_set('t', ' 41 ');
SELECT cache_incr('i2'), cache_incr('i4'), cache_incr('i8', 10000000000), cache_incr('t');
SELECT cache_get('i2', 0::smallint), cache_get('i4', 0), cache_get('i8', 0::bigint), cache_get('t', ''::text);
SELECT cache_incr('i2', -10), cache_incr('i4', -10), cache_incr('t', -100);

-- limits
\set VERBOSITY sqlstate
SELECT cache_set('i2', 32767::smallint), cache_set('i4', 2147483647), cache_set('i8', 9223372036854775807),
	   cache_set('t', '-9223372036854775808');
SELECT cache_incr('i2');
SELECT cache_incr('i4');
SELECT cache_incr('i8');
SELECT cache_incr('t', -1);
SELECT cache_incr('i2', -65536);
SELECT cache_incr('i4', 9223372036854775807);
SELECT * FROM cache_get_many('{i2,i4,i8,t}');

-- what is no number
SELECT cache_set('t', 'many'), cache_set('num', 1.5), cache_set('json', '1'::jsonb), cache_set('big', '99999999999999999999'),
	   cache_set('nil', NULL::integer), cache_set('bool', true);
SELECT cache_incr('t');
SELECT cache_incr('num');
SELECT cache_incr('json');
SELECT cache_incr('big');
SELECT cache_incr('nil');
SELECT cache_incr('bool', 1, 1);
\set VERBOSITY default
SELECT cache_incr('num');
SELECT cache_incr('i4');

-- get_or_set
CREATE TABLE kv_calls (n integer);
SELECT cache_get_or_set('gos', 'SELECT 6 * 7'), cache_get('gos');
SELECT cache_get_or_set('gos', 'SELECT 1 / 0');
SELECT cache_get_or_set('gos err', 'SELECT 1 / 0');
SELECT cache_exists('gos err');
SELECT cache_get_or_set('gos null', 'SELECT NULL::integer') IS NULL AS null, cache_exists('gos null');
SELECT cache_get_or_set('gos null', 'SELECT 1 / 0') IS NULL AS null;
SELECT cache_get_or_set('gos none', 'SELECT 1 WHERE false') IS NULL AS null;
SELECT cache_get_or_set('gos json', $$SELECT '{"a": 1}'::jsonb$$, '1 hour', '{gos}'),
	   cache_ttl('gos json') > '50 min' AS ttl;
SELECT cache_invalidate_tag('gos');
SELECT cache_get_or_set('gos json', 'SELECT 2', tags => '{gos}');
-- what is not committed is not shown to others
BEGIN;
INSERT INTO kv_calls VALUES (1);
SELECT cache_get_or_set('calls', 'SELECT count(*) FROM kv_calls');
ROLLBACK;
SELECT cache_exists('calls');
SELECT cache_get_or_set('calls', 'SELECT count(*) FROM kv_calls');
BEGIN;
SELECT cache_delete('calls');
SELECT cache_get_or_set('calls', 'SELECT 5');
ROLLBACK;
SELECT cache_get('calls');
SET cachekit.enabled = off;
SELECT cache_get_or_set('calls', 'SELECT 6');
RESET cachekit.enabled;
DROP TABLE kv_calls;
SELECT cache_clear() > 0 AS cleared;
