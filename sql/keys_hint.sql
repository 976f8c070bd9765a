--
-- Keys and queries that are cached as they are.
--
\set ECHO none
\set QUIET on
\i sql/oracle.part.sql
\set ECHO all
CREATE TABLE orders (id int PRIMARY KEY, customer_id int, total int);
INSERT INTO orders SELECT g, g % 9 + 1, g FROM generate_series(1, 90) g;
SELECT cache_track('orders', 'customer_id');
-- how the cache answers a statement, with what EXPLAIN says
CREATE FUNCTION ask(query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	b record;
	a record;
	plan text;
BEGIN
	b := oracle.counters();
	EXECUTE query INTO plan;
	a := oracle.counters();
	EXECUTE 'EXPLAIN (FORMAT json) ' || query INTO plan;
	RETURN format('%s%s%s, %s', CASE WHEN a.hits > b.hits THEN 'hit' END,
				  CASE WHEN a.misses > b.misses THEN 'miss' END,
				  CASE WHEN a.bypasses > b.bypasses THEN 'bypass' END,
				  plan::jsonb #>> '{0,Plan,Depends On}');
END $$;
SELECT ask('/*+ cachekit */ SELECT sum(total) FROM orders WHERE customer_id = 1');
SELECT ask('/*+ cachekit */ SELECT sum(total) FROM orders WHERE customer_id = 1');
SELECT ask('/*+ cachekit */ SELECT sum(total) FROM orders WHERE customer_id IN (2, 3)');
SELECT ask('/*+ cachekit */ SELECT sum(total) FROM orders');
UPDATE orders SET total = total + 1 WHERE customer_id = 2;
SELECT ask('/*+ cachekit */ SELECT sum(total) FROM orders WHERE customer_id = 1');
SELECT ask('/*+ cachekit */ SELECT sum(total) FROM orders WHERE customer_id IN (2, 3)');
SELECT ask('/*+ cachekit */ SELECT sum(total) FROM orders');
BEGIN;
UPDATE orders SET total = total + 1 WHERE customer_id = 2;
SELECT ask('/*+ cachekit */ SELECT sum(total) FROM orders WHERE customer_id = 1');
SELECT ask('/*+ cachekit */ SELECT sum(total) FROM orders WHERE customer_id IN (2, 3)');
SELECT ask('/*+ cachekit */ SELECT max(total) FROM orders WHERE customer_id = 2');
SELECT ask('/*+ cachekit */ SELECT max(total) FROM orders WHERE customer_id = 3');
COMMIT;
SELECT ask('/*+ cachekit */ SELECT sum(total) FROM orders WHERE customer_id IN (2, 3)');
SELECT ask('/*+ cachekit */ SELECT max(total) FROM orders WHERE customer_id = 2');
-- parameters, and plans for any of them
SET plan_cache_mode = force_generic_plan;
PREPARE p(int) AS /*+ cachekit */ SELECT count(*), sum(total) FROM orders WHERE customer_id = $1;
EXECUTE p(4);
EXECUTE p(5);
UPDATE orders SET total = total + 1 WHERE customer_id = 4;
SELECT hits, misses FROM oracle.counters() \gset before_
EXECUTE p(5);
SELECT hits - :before_hits AS hits, misses - :before_misses AS misses FROM oracle.counters();
EXECUTE p(4);
SELECT hits - :before_hits AS hits, misses - :before_misses AS misses FROM oracle.counters();
RESET plan_cache_mode;
-- a cursor
BEGIN;
DECLARE c CURSOR FOR /*+ cachekit */ SELECT id FROM orders WHERE customer_id = 6 ORDER BY id;
FETCH 3 FROM c;
FETCH ALL FROM c;
COMMIT;
UPDATE orders SET total = total + 1 WHERE customer_id = 4;
DEALLOCATE p;
DROP FUNCTION ask;
DROP TABLE orders;
DROP SCHEMA oracle CASCADE;
