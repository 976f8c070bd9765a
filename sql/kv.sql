-- The verbs of the key/value cache, one session.
SELECT cache_clear() >= 0 AS cleared;

-- set and get
SELECT cache_set('a', 'one');
SELECT cache_get('a');
SELECT cache_get('no such key') IS NULL AS absent;
SELECT cache_set('a', 'two'), cache_get('a');
SELECT cache_get('a');
SELECT cache_set(key => 'named', value => 'x', ttl => '1 hour', tags => '{t}');
SELECT cache_get(key => 'named'), cache_get(key => 'named', as_type => NULL::text);

-- an empty value and NULL are values
SELECT cache_set('empty', ''), cache_set('null', NULL);
SELECT cache_get('empty') = '' AS empty, cache_get('null') IS NULL AS null,
	   cache_exists('empty'), cache_exists('null'), cache_exists('none');

-- keys differ by every byte, and may hold anything
SELECT cache_set('A', 'upper'), cache_set('a ', 'blank'), cache_set(E'a\nb', 'line'),
	   cache_set('ключ', 'значение');
SELECT cache_get('a'), cache_get('A'), cache_get('a '), cache_get(E'a\nb'), cache_get('ключ');
SELECT cache_set(repeat('k', 1024), 'long key');
SELECT cache_get(repeat('k', 1024)), cache_get(repeat('k', 1023)) IS NULL AS absent;

-- delete
SELECT cache_delete('A'), cache_delete('no such key');
SELECT cache_delete('A'), cache_get('A') IS NULL AS gone;
SELECT cache_delete('null'), cache_exists('null');

-- several at once
SELECT cache_set_many('{m1,m2,m3}', '{x,NULL,z}');
SELECT * FROM cache_get_many('{m3,nope,m1,NULL,m2,m1}');
SELECT * FROM cache_get_many('{}');
SELECT m.value FROM cache_get_many(keys => ARRAY['m1']) m WHERE m.key = 'm1';
SELECT cache_set_many('{d,d}', '{first,last}'), cache_set_many('{}', '{}');
SELECT cache_get('d');
SELECT cache_delete_many('{m1,m2,nope,NULL,m1}');
SELECT * FROM cache_get_many('{m1,m2,m3}');

-- clear
SELECT cache_clear() > 0 AS cleared;
SELECT cache_clear();
SELECT cache_get('a') IS NULL AS gone;
SELECT cache_set_many('{a,b,c}', '{1,2,3}'), cache_clear(), cache_clear();
SELECT cache_set_many('{a,b,c}', '{1,2,3}');
SELECT cache_clear();

-- large values, and values that are too large
SELECT cache_set('large', repeat('0123456789', 10000));
SELECT cache_get('large') = repeat('0123456789', 10000) AS same;
SET cachekit.max_entry_size = '8kB';
SELECT cache_set('large', repeat('x', 8192));
SELECT length(cache_get('large'));
SELECT cache_set('large', repeat('x', 8193));
SELECT cache_get('large') IS NULL AS old_value_gone;
SELECT cache_set('large', repeat('x', 8192)), cache_add('other', repeat('x', 8193));
SELECT cache_set_many('{s,l}', ARRAY['small', repeat('x', 8193)]);
SELECT key, length(value) FROM cache_get_many('{s,l,large,other}');
RESET cachekit.max_entry_size;

-- switched off: reads miss, nothing is stored, removals work
SELECT cache_set_many('{a,b,c,d}', '{1,2,3,4}');
SET cachekit.enabled = off;
SELECT cache_get('a') IS NULL AS miss, cache_exists('a'), cache_ttl('a') IS NULL AS miss;
SELECT count(*) FROM cache_get_many('{a,b}');
SELECT cache_set('a', 'new'), cache_add('x', 'new'), cache_incr('b'), cache_incr('x', 1, 1);
SELECT cache_delete('c');
RESET cachekit.enabled;
SELECT cache_get('a') IS NULL AS not_the_old_one, cache_get('b') AS b,
	   cache_get('c') IS NULL AS deleted, cache_get('d') AS d, cache_exists('x');

-- without transactions
SET cachekit.kv_transactional = off;
BEGIN;
SELECT cache_set('now', 'stays'), cache_delete('b'), cache_touch('d', '1 hour');
ROLLBACK;
RESET cachekit.kv_transactional;
SELECT cache_get('now'), cache_exists('b'), cache_ttl('d') > '50 min' AS touched;

-- nobody may use it unasked
CREATE ROLE regress_kv_user;
SET ROLE regress_kv_user;
SELECT cache_get('a');
SELECT cache_set('a', 'b');
SELECT cache_clear();
RESET ROLE;
GRANT EXECUTE ON FUNCTION cache_get(text) TO regress_kv_user;
SET ROLE regress_kv_user;
SELECT cache_get('now');
RESET ROLE;
REVOKE EXECUTE ON FUNCTION cache_get(text) FROM regress_kv_user;
DROP ROLE regress_kv_user;

SELECT cache_clear() > 0 AS cleared;
