-- Key/value writes follow transactions and savepoints.
SELECT cache_clear() >= 0 AS cleared;
SELECT cache_set_many('{a,b,c}', '{1,2,3}');

-- seen at once, gone with a rollback
BEGIN;
SELECT cache_set('a', 'mine'), cache_set('new', 'mine'), cache_delete('b'), cache_touch('c', '1 hour');
SELECT cache_get('a'), cache_get('new'), cache_exists('b'), cache_get('c'), cache_ttl('c') > '50 min' AS touched;
SELECT * FROM cache_get_many('{a,b,c,new}');
ROLLBACK;
SELECT * FROM cache_get_many('{a,b,c,new}');
SELECT cache_ttl('c') IS NULL AS untouched;

-- kept by a commit
BEGIN;
SELECT cache_set('a', 'mine'), cache_set('new', 'mine'), cache_delete('b'), cache_touch('c', '1 hour');
SELECT cache_set('new', 'again'), cache_delete('b');
COMMIT;
SELECT * FROM cache_get_many('{a,b,c,new}');
SELECT cache_ttl('c') > '50 min' AS touched;

-- a failed statement takes its own writes and the transaction's along
BEGIN;
SELECT cache_set('a', 'doomed');
SELECT cache_set('c', 'doomed'), 1 / 0;
COMMIT;
SELECT cache_get('a'), cache_get('c');
SELECT cache_set('alone', 'doomed'), 1 / (cache_exists('a')::integer - 1);
SELECT cache_exists('alone');

-- savepoints
SELECT cache_clear(), cache_set_many('{a,b,c,d}', '{1,2,3,4}');
BEGIN;
SELECT cache_set('a', 'one');
SAVEPOINT s1;
SELECT cache_set('a', 'two'), cache_delete('b'), cache_set('x', 'two');
SAVEPOINT s2;
SELECT cache_delete('a'), cache_set('b', 'three'), cache_touch('x', '1 hour'), cache_delete('c');
SELECT * FROM cache_get_many('{a,b,c,d,x}');
ROLLBACK TO s2;
SELECT * FROM cache_get_many('{a,b,c,d,x}');
SELECT cache_ttl('x') IS NULL AS untouched;
SELECT cache_set('d', 'three');
RELEASE s2;
SELECT * FROM cache_get_many('{a,b,c,d,x}');
ROLLBACK TO s1;
SELECT * FROM cache_get_many('{a,b,c,d,x}');
SELECT cache_set('b', 'four'), cache_touch('a', '1 hour');
RELEASE s1;
COMMIT;
SELECT * FROM cache_get_many('{a,b,c,d,x}');
SELECT cache_ttl('a') > '50 min' AS touched, cache_ttl('b') IS NULL AS untouched;

-- a touch, then a set; a set, then touches in other subtransactions
BEGIN;
SELECT cache_touch('b', '1 hour'), cache_set('b', 'five');
SELECT cache_set('e', 'five', '1 hour');
SAVEPOINT s1;
SELECT cache_touch('e', '1 day');
SAVEPOINT s2;
SELECT cache_touch('e', NULL);
SELECT cache_ttl('e') IS NULL AS never;
ROLLBACK TO s2;
SELECT cache_ttl('e') > '20 hours' AS a_day;
RELEASE s1;
SELECT cache_ttl('e') > '20 hours' AS a_day;
COMMIT;
SELECT cache_get('b'), cache_ttl('b') IS NULL AS never, cache_get('e'), cache_ttl('e') > '20 hours' AS a_day;
BEGIN;
SELECT cache_touch('e', '-1 s');
SELECT cache_exists('e'), cache_touch('e', '1 s');
ROLLBACK;
SELECT cache_exists('e');

-- clear
SELECT cache_clear(), cache_set_many('{a,b,c}', '{1,2,3}');
BEGIN;
SELECT cache_set('a', 'mine'), cache_set('x', 'mine'), cache_delete('b');
SELECT cache_clear();
SELECT count(*) FROM cache_get_many('{a,b,c,x}');
SELECT cache_clear(), cache_delete('c'), cache_touch('a', '1 h');
SELECT cache_set('c', 'after'), cache_clear(), cache_set('d', 'after');
SELECT * FROM cache_get_many('{a,b,c,d,x}');
ROLLBACK;
SELECT * FROM cache_get_many('{a,b,c,d,x}');
BEGIN;
SELECT cache_set('x', 'mine');
SAVEPOINT s1;
SELECT cache_clear();
SELECT cache_set('a', 'after');
SELECT * FROM cache_get_many('{a,b,c,x}');
ROLLBACK TO s1;
SELECT * FROM cache_get_many('{a,b,c,x}');
SELECT cache_set('y', 'mine');
SAVEPOINT s2;
SELECT cache_clear(), cache_set('b', 'after');
RELEASE s2;
SELECT * FROM cache_get_many('{a,b,c,x,y}');
COMMIT;
SELECT * FROM cache_get_many('{a,b,c,x,y}');

-- exception blocks
DO $$
BEGIN
	PERFORM cache_set('k', 'kept');
	FOR i IN 1..100 LOOP
		BEGIN
			PERFORM cache_set('k', 'thrown away'), cache_set('k' || i, 'thrown away');
			IF i % 2 = 0 THEN
				RAISE EXCEPTION 'undo';
			END IF;
			PERFORM cache_set('k', 'kept ' || i);
		EXCEPTION WHEN raise_exception THEN
			NULL;
		END;
	END LOOP;
END
$$;
SELECT cache_get('k');
SELECT count(*) FROM generate_series(1, 100) i WHERE cache_exists('k' || i);

-- many keys in one transaction
BEGIN;
SELECT count(*) FROM generate_series(1, 5000) i WHERE cache_set('many' || i, i);
SAVEPOINT s1;
SELECT count(*) FROM generate_series(1, 5000) i WHERE i % 2 = 0 AND cache_delete('many' || i);
ROLLBACK TO s1;
SELECT count(*) FROM generate_series(1, 5000) i WHERE i % 5 = 0 AND cache_delete('many' || i);
RELEASE s1;
SELECT count(*) FROM generate_series(1, 5000) i WHERE cache_get('many' || i, 0) = i;
COMMIT;
SELECT count(*) FROM generate_series(1, 5000) i WHERE cache_get('many' || i, 0) = i;

-- large values
BEGIN;
SELECT cache_set('large', repeat('x', 100000));
SELECT length(cache_get('large'));
COMMIT;
SELECT length(cache_get('large'));

-- a set that fails deletes, with the transaction
BEGIN;
SELECT cache_set('large', repeat('x', 10000000));
SELECT cache_exists('large');
ROLLBACK;
SELECT cache_exists('large');
SELECT cache_set('large', repeat('x', 10000000));
SELECT cache_exists('large');

-- add and incr are immediate, and publish what was pending for their key
SELECT cache_clear() > 0 AS cleared, cache_set_many('{n,o}', '{1,1}');
BEGIN;
SELECT cache_set('n', 10), cache_set('o', 10);
SELECT cache_incr('n', 5);
SELECT cache_get('n');
SELECT cache_delete('x'), cache_add('x', 'added');
ROLLBACK;
SELECT * FROM cache_get_many('{n,o,x}');
BEGIN;
SELECT cache_clear();
SELECT cache_incr('n'), cache_incr('n', 1, 7), cache_incr('n');
COMMIT;
SELECT * FROM cache_get_many('{n,o,x}');
BEGIN;
SELECT cache_set('n', 100);
SAVEPOINT s1;
SELECT cache_set('n', 200);
SELECT cache_add('n', 'no'), cache_incr('n');
ROLLBACK TO s1;
SELECT cache_get('n');
COMMIT;
SELECT cache_get('n');
BEGIN;
SELECT cache_touch('n', '1 hour'), cache_incr('n');
ROLLBACK;
SELECT cache_get('n'), cache_ttl('n') > '50 min' AS kept;

-- immediate writes over pending ones
BEGIN;
SELECT cache_set('n', 'pending');
SET LOCAL cachekit.kv_transactional = off;
SELECT cache_set('n', 'immediate'), cache_get('n');
ROLLBACK;
SELECT cache_get('n');
SELECT cache_clear() > 0 AS cleared;

-- what a savepoint has undone leaves nothing to the next transaction
BEGIN;
SAVEPOINT s;
SELECT count(cache_set('undone' || i, 'v'::text)) FROM generate_series(1, 200) i;
ROLLBACK TO s;
COMMIT;
BEGIN;
SELECT count(cache_set('n' || i, 'v' || i)) FROM generate_series(1, 12) i;
SELECT count(*) FROM (SELECT repeat('x', 10) || i FROM generate_series(1, 10000) i ORDER BY 1) x;
SELECT i FROM generate_series(1, 12) i WHERE cache_get('n' || i) IS DISTINCT FROM 'v' || i;
COMMIT;
SELECT i FROM generate_series(1, 12) i WHERE cache_get('n' || i) IS DISTINCT FROM 'v' || i;
DO $$
BEGIN
	PERFORM cache_set('undone', 1), 1 / 0;
EXCEPTION WHEN division_by_zero THEN NULL;
END $$;
SELECT cache_set('done', 1), cache_get('undone', NULL::int);
SELECT cache_get('done', NULL::int), cache_clear() > 0 AS cleared;
