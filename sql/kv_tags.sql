-- Tags, one session.
SELECT cache_clear() >= 0 AS cleared;
SELECT cache_set('a', 'x', tags => '{red}'), cache_set('b', 'x', tags => '{red,blue}'),
	   cache_set('c', 'x', tags => '{blue,blue}'), cache_set('d', 'x');
SELECT string_agg(key, ' ') FROM cache_get_many('{a,b,c,d}');
SELECT cache_invalidate_tag('red');
SELECT string_agg(key, ' ') FROM cache_get_many('{a,b,c,d}');
SELECT cache_invalidate_tag('red');
SELECT cache_invalidate_tag('green');
SELECT string_agg(key, ' ') FROM cache_get_many('{a,b,c,d}');
SELECT cache_add('a', 'again', tags => '{red}'), cache_add('c', 'again');
SELECT cache_get('a'), cache_get('c');
SELECT cache_invalidate_tag('blue');
SELECT cache_exists('c'), cache_touch('c', '1 h'), cache_delete('c'), cache_ttl('c') IS NULL AS absent;

-- values too large for the short path, many tags, types of users
CREATE TYPE kv_tag_pair AS (a integer, b integer);
SELECT cache_set('large', repeat('x', 50000), tags => '{t1,t2}'),
	   cache_set('many', 'x', tags => (SELECT array_agg('t' || i) FROM generate_series(1, 64) i)),
	   cache_set('pair', ROW(1, 2)::kv_tag_pair,
				 tags => (SELECT array_agg('t' || i) FROM generate_series(1, 64) i));
SELECT length(cache_get('large')), cache_get('many'), cache_get('pair');
SELECT cache_invalidate_tag('t2');
SELECT cache_exists('large'), cache_exists('many'), cache_exists('pair');
SELECT cache_set('many', 'x', tags => (SELECT array_agg('t' || i) FROM generate_series(1, 64) i)),
	   cache_set('pair', ROW(1, 2)::kv_tag_pair,
				 tags => (SELECT array_agg('t' || i) FROM generate_series(1, 64) i));
SELECT cache_invalidate_tag('t64');
SELECT cache_exists('many'), cache_exists('pair');

-- in a transaction: seen here at once, by rollback undone
SELECT cache_set('a', 'x', tags => '{red}'), cache_set('b', 'x', tags => '{blue}');
BEGIN;
SELECT cache_invalidate_tag('red');
SELECT cache_exists('a'), cache_exists('b');
ROLLBACK;
SELECT cache_exists('a'), cache_exists('b');
BEGIN;
SAVEPOINT s;
SELECT cache_invalidate_tag('red');
SELECT cache_exists('a');
ROLLBACK TO s;
SELECT cache_exists('a');
COMMIT;
SELECT cache_exists('a');
BEGIN;
SAVEPOINT s;
SELECT cache_invalidate_tag('red');
RELEASE s;
SELECT cache_exists('a');
COMMIT;
SELECT cache_exists('a');

-- invalidated, then set: it lives, also after the commit
BEGIN;
SELECT cache_invalidate_tag('red');
SELECT cache_set('a', 'after', tags => '{red}'), cache_set('c', 'after', tags => '{blue,red}');
SELECT cache_get('a'), cache_get('c');
COMMIT;
SELECT cache_get('a'), cache_get('c');
SELECT cache_invalidate_tag('red');
SELECT cache_exists('a'), cache_exists('c');

-- set, then invalidated: it is gone
BEGIN;
SELECT cache_set('a', 'before', tags => '{red}');
SELECT cache_invalidate_tag('red');
SELECT cache_exists('a');
COMMIT;
SELECT cache_exists('a');

-- invalidated, set, invalidated, and that again with savepoints
BEGIN;
SELECT cache_invalidate_tag('red');
SELECT cache_set('a', 'between', tags => '{red}');
SELECT cache_invalidate_tag('red');
SELECT cache_exists('a');
SELECT cache_set('a', 'last', tags => '{red}');
SAVEPOINT s;
SELECT cache_invalidate_tag('red');
SELECT cache_exists('a');
ROLLBACK TO s;
SELECT cache_get('a');
COMMIT;
SELECT cache_get('a');
BEGIN;
SAVEPOINT s;
SELECT cache_invalidate_tag('red');
SELECT cache_set('a', 'inside', tags => '{red}');
RELEASE s;
SELECT cache_get('a');
COMMIT;
SELECT cache_get('a');

-- the entry of a tag that this transaction has invalidated can be replaced
BEGIN;
SELECT cache_invalidate_tag('red');
SELECT cache_add('a', 'added'), cache_get('a');
COMMIT;
SELECT cache_get('a');

-- incr keeps the tags
SELECT cache_set('n', 1, tags => '{red}');
SELECT cache_incr('n');
SELECT cache_invalidate_tag('red');
SELECT cache_incr('n') IS NULL AS absent, cache_incr('n', 1, 10);

-- immediate
SET cachekit.kv_transactional = off;
SELECT cache_set('a', 'x', tags => '{red}');
BEGIN;
SELECT cache_invalidate_tag('red');
SELECT cache_exists('a');
ROLLBACK;
SELECT cache_exists('a');
SELECT cache_set('a', 'x', tags => '{red}');
SELECT cache_get('a');
RESET cachekit.kv_transactional;

-- switched off, invalidation works nevertheless
SET cachekit.enabled = off;
SELECT cache_invalidate_tag('red');
RESET cachekit.enabled;
SELECT cache_exists('a');
DROP TYPE kv_tag_pair;
SELECT cache_clear() > 0 AS cleared;
