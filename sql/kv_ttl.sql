-- Time to live, without waiting.
SELECT cache_clear() >= 0 AS cleared;

-- over before it begins
SELECT cache_set('a', 'old'), cache_set('b', 'old'), cache_set('c', 'old');
SELECT cache_set('a', 'x', '0'), cache_set('b', 'x', '-1 day'), cache_set('new', 'x', '0');
SELECT cache_exists('a'), cache_exists('b'), cache_exists('new');
SELECT cache_add('new', 'x', '0'), cache_exists('new');
SELECT cache_touch('c', '0'), cache_touch('none', '1 hour');
SELECT cache_exists('c');
SELECT cache_set_many('{d,e}', '{1,2}', '-1 s');

-- over before the next statement
SELECT cache_set('a', 'short', '1 microsecond'), cache_set('b', repeat('large', 10000), '1 microsecond');
SELECT cache_get('a') IS NULL AS absent, cache_get('b') IS NULL AS absent, cache_ttl('a') IS NULL AS absent;
SELECT cache_add('a', 'again', '1 microsecond');
SELECT cache_add('a', 'again');
SELECT cache_get('a'), cache_ttl('a') IS NULL AS never;

-- cache_ttl
SELECT cache_set('min', 'x', '1 minute'), cache_set('day', 'x', '36 hours'),
	   cache_set('month', 'x', '1 month'), cache_set('mixed', 'x', '1 month -29 days');
SELECT cache_ttl('min') BETWEEN '1 s' AND '1 min' AS min,
	   cache_ttl('day') BETWEEN '35 hours' AND '36 hours' AS day,
	   cache_ttl('month') BETWEEN '29 days 20 hours' AND '30 days' AS month,
	   cache_ttl('mixed') BETWEEN '23 hours' AND '1 day' AS mixed,
	   cache_ttl('none') IS NULL AS none;
SELECT cache_set('ages', 'x', '178000000 years'), cache_set('past', 'x', '-178000000 years');
SELECT cache_get('ages'), cache_ttl('ages') IS NULL AS never, cache_exists('past');

-- cache_touch
SELECT cache_touch('min', '2 hours'), cache_touch('day', NULL), cache_touch('a', '1 day');
SELECT cache_ttl('min') > '1 hour' AS min, cache_ttl('day') IS NULL AS never, cache_ttl('a') > '23 hours' AS day;
SELECT cache_touch('a', '1 microsecond');
SELECT cache_exists('a');
SELECT cache_touch('a', '1 hour');

-- a value set anew has a life of its own
SELECT cache_set('min', 'x');
SELECT cache_ttl('min') IS NULL AS never;

-- the default
SET cachekit.default_ttl = '10min';
SELECT cache_set('def', 'x'), cache_set('own', 'x', '1 day'), cache_add('add', 'x'), cache_incr('incr', 1, 1);
SELECT cache_ttl('def') BETWEEN '9 min' AND '10 min' AS def, cache_ttl('own') > '20 hours' AS own,
	   cache_ttl('add') BETWEEN '9 min' AND '10 min' AS add, cache_ttl('incr') BETWEEN '9 min' AND '10 min' AS incr;
SELECT cache_touch('own', NULL);
SELECT cache_ttl('own') BETWEEN '9 min' AND '10 min' AS own;
RESET cachekit.default_ttl;
SELECT cache_incr('incr');
SELECT cache_ttl('incr') > '9 min' AS incr_keeps;

-- pending
BEGIN;
SELECT cache_set('p', 'x', '1 microsecond');
SELECT cache_exists('p');
COMMIT;
SELECT cache_exists('p');
SELECT cache_clear() > 0 AS cleared;
