-- Bad arguments, by SQLSTATE; and the wording of some.
SELECT cache_clear() >= 0 AS cleared;
SELECT cache_set('', 'v');
SELECT cache_get(repeat('k', 1025));
SELECT cache_set(NULL, 'v');
SELECT cache_set('k', 'v', tags => ARRAY[repeat('t', 257)]);
SELECT cache_set_many('{a,b}', '{1}');
SELECT cache_invalidate_tag(NULL);
\set VERBOSITY sqlstate
-- keys
SELECT cache_get('');
SELECT cache_get(NULL);
SELECT cache_get(NULL, 0);
SELECT cache_get('', 0);
SELECT cache_set(NULL, 1);
SELECT cache_add('', 'v');
SELECT cache_add(NULL, 1);
SELECT cache_exists(NULL);
SELECT cache_ttl('');
SELECT cache_touch(NULL, '1 hour');
SELECT cache_delete(NULL);
SELECT cache_incr(NULL);
SELECT cache_incr(repeat('k', 1025));
SELECT cache_incr('k', NULL);
SELECT cache_get_or_set(NULL, 'SELECT 1');
SELECT cache_get_or_set('k', NULL);
-- characters are not bytes
SELECT cache_set(repeat('ж', 512), 'fits');
SELECT cache_set(repeat('ж', 513), 'does not');
-- arrays
SELECT cache_get_many(NULL);
SELECT cache_get_many(ARRAY['']);
SELECT cache_set_many(NULL, '{}');
SELECT cache_set_many('{}', NULL);
SELECT cache_set_many('{a,b}', '{1}');
SELECT cache_set_many('{a,NULL}', '{1,2}');
SELECT cache_exists('a');
SELECT cache_delete_many(NULL);
SELECT cache_delete_many(ARRAY['']);
-- tags
SELECT cache_set('k', 'v', tags => '{a,NULL}');
SELECT cache_set('k', 'v', tags => ARRAY['']);
SELECT cache_set('k', 'v', tags => ARRAY[repeat('t', 257)]);
SELECT cache_set('k', 'v', tags => ARRAY[repeat('t', 256)]);
SELECT cache_set('k', 'v', tags => (SELECT array_agg('t' || i) FROM generate_series(1, 64) i));
SELECT cache_set('k', 'v', tags => (SELECT array_agg('t' || i) FROM generate_series(1, 100) i));
SELECT cache_set('k', 'v', tags => (SELECT array_agg('t' || i % 5) FROM generate_series(1, 100) i));
SELECT cache_set('k', 'v', tags => '{}'), cache_set('k', 'v', tags => '{{a,b},{c,d}}');
SELECT cache_invalidate_tag('');
SELECT cache_invalidate_tag(repeat('t', 257));
-- an error leaves what was there
SELECT cache_get('k');
SELECT cache_clear() > 0 AS cleared;
