--
-- Which keys a result depends on is read off its plan.
--
\set ECHO none
\set QUIET on
\i sql/oracle.part.sql
\set ECHO all
CREATE TABLE customers (id int PRIMARY KEY, name text, city text);
CREATE TABLE orders (id int PRIMARY KEY, customer_id int, status text, total numeric);
CREATE TABLE lines (order_id int, line_no int, item text, qty int, PRIMARY KEY (order_id, line_no));
CREATE TABLE plain (id int PRIMARY KEY, customer_id int);
CREATE INDEX ON orders (customer_id);
INSERT INTO customers SELECT g, 'c' || g, 'town' || g % 7 FROM generate_series(1, 200) g;
INSERT INTO orders SELECT g, g % 200 + 1, 'open', g FROM generate_series(1, 2000) g;
INSERT INTO lines SELECT g % 2000 + 1, g / 2000, 'item', g FROM generate_series(0, 5999) g;
INSERT INTO plain SELECT g, g FROM generate_series(1, 20) g;
ANALYZE customers, orders, lines, plain;
SELECT cache_track('customers', 'id'), cache_track('orders', 'customer_id'),
	cache_track('orders', 'id'), cache_track('lines', 'order_id', 'line_no'), cache_track('plain');
SELECT tbl, tracked, keys FROM cachekit_tracked_tables ORDER BY tbl::text;
CREATE FUNCTION deps(query text, args text[] DEFAULT '{}') RETURNS text LANGUAGE sql AS
$$ SELECT array_to_string(dependencies, ', ') FROM cache_explain(query, args) $$;

-- constants and parameters, on either side
SELECT deps('SELECT * FROM orders WHERE customer_id = 42');
SELECT deps('SELECT * FROM orders WHERE 42 = customer_id');
SELECT deps('SELECT * FROM orders WHERE customer_id = $1', '{42}');
SELECT deps('SELECT * FROM orders WHERE customer_id = $1', '{NULL}');
SELECT deps('SELECT * FROM orders WHERE customer_id = $1 AND total > 3', '{42}');
SELECT deps('SELECT * FROM orders WHERE id = 5');
SELECT deps('SELECT id FROM orders WHERE id = 5');	-- index-only scan
SELECT deps('SELECT * FROM orders WHERE customer_id = 40 + 2');
SELECT deps('SELECT * FROM orders WHERE customer_id = 42::bigint');
SELECT deps('SELECT * FROM orders WHERE customer_id = 42::smallint');
SELECT deps('SELECT * FROM lines WHERE order_id = 7 AND line_no = $1', '{1}');
-- lists
SELECT deps('SELECT * FROM orders WHERE customer_id IN (1, 2, 3)');
SELECT deps('SELECT * FROM orders WHERE customer_id IN (1, $1)', '{9}');
SELECT deps('SELECT * FROM orders WHERE customer_id = ANY ($1)', '{"{3,4,NULL,4}"}');
SELECT deps('SELECT * FROM orders WHERE customer_id = ANY ($1)', '{"{}"}');
SELECT deps('SELECT * FROM lines WHERE order_id IN (1, 2) AND line_no IN (0, 1)');
SELECT deps('SELECT * FROM orders WHERE customer_id = ANY ($1)', ARRAY[array(SELECT generate_series(1, 33))::text]);
-- not fixed
SELECT deps('SELECT * FROM orders');
SELECT deps('SELECT * FROM orders WHERE customer_id = 1 OR id = 2');
SELECT deps('SELECT * FROM orders WHERE customer_id > 42');
SELECT deps('SELECT * FROM orders WHERE customer_id <> 42');
SELECT deps('SELECT * FROM orders WHERE customer_id + 0 = 42');
SELECT deps('SELECT * FROM orders WHERE customer_id = 42.0');
SELECT deps('SELECT * FROM orders WHERE customer_id IS NULL');
SELECT deps('SELECT * FROM orders WHERE NOT customer_id = 42');
SELECT deps('SELECT * FROM orders WHERE status = ''open''');
SELECT deps('SELECT * FROM orders WHERE customer_id <> ALL (''{1,2}'')');
SELECT deps('SELECT * FROM lines WHERE order_id = 7');	-- half of the key
SELECT deps('SELECT * FROM orders WHERE customer_id = (SELECT id FROM customers WHERE name = ''c42'')');
SELECT deps('SELECT * FROM plain WHERE customer_id = 42');	-- has no key
-- joins
SELECT deps('SELECT * FROM customers c JOIN orders o ON o.customer_id = c.id WHERE c.id = 42');
SELECT deps('SELECT * FROM customers c, orders o WHERE o.customer_id = c.id AND o.customer_id = $1', '{42}');
SELECT deps('SELECT * FROM customers c JOIN orders o ON o.customer_id = c.id JOIN lines l ON l.order_id = o.id WHERE c.id = 42');
SELECT deps('SELECT * FROM customers c LEFT JOIN orders o ON o.customer_id = c.id WHERE c.id = 42');
SELECT deps('SELECT * FROM customers c LEFT JOIN orders o ON o.customer_id = c.id AND c.id = 42');
SELECT deps('SELECT * FROM customers c RIGHT JOIN orders o ON o.customer_id = c.id AND o.customer_id = 42');
SELECT deps('SELECT * FROM customers c FULL JOIN orders o ON o.customer_id = c.id WHERE c.id = 42');
SELECT deps('SELECT * FROM customers c FULL JOIN orders o ON o.customer_id = c.id WHERE coalesce(c.id, o.customer_id) = 42');
-- subqueries, views, set operations, aggregates, windows
SELECT deps('SELECT * FROM customers c WHERE id = 42 AND EXISTS (SELECT FROM orders o WHERE o.customer_id = c.id)');
SELECT deps('SELECT * FROM customers c WHERE id = 42 AND NOT EXISTS (SELECT FROM orders o WHERE o.customer_id = 42)');
SELECT deps('SELECT * FROM customers WHERE id IN (SELECT customer_id FROM orders WHERE id = 5)');
SELECT deps('SELECT name, (SELECT count(*) FROM orders o WHERE o.customer_id = c.id) FROM customers c WHERE id = 42');
SELECT deps('SELECT name, (SELECT count(*) FROM orders o WHERE o.customer_id = 42) FROM customers c WHERE id = 42');
SELECT deps('WITH o AS MATERIALIZED (SELECT * FROM orders WHERE customer_id = 42) SELECT count(*) FROM o');
SELECT deps('WITH o AS MATERIALIZED (SELECT * FROM orders) SELECT count(*) FROM o WHERE customer_id = 42');
SELECT deps('WITH unused AS (SELECT * FROM lines) SELECT count(*) FROM orders WHERE customer_id = 42');
CREATE VIEW per_customer AS SELECT customer_id, count(*) AS n, sum(total) FROM orders GROUP BY customer_id;
SELECT deps('SELECT * FROM per_customer WHERE customer_id = 42');
SELECT deps('SELECT * FROM per_customer WHERE n = 42');
SELECT deps('SELECT id FROM orders WHERE customer_id = 42 UNION SELECT id FROM orders WHERE customer_id = 43');
SELECT deps('SELECT id FROM orders WHERE customer_id = 42 EXCEPT SELECT order_id FROM lines');
SELECT deps('SELECT max(id), min(id) FROM orders WHERE customer_id = 42');
SELECT deps('SELECT id, rank() OVER (PARTITION BY status ORDER BY total) FROM orders WHERE customer_id = 42 ORDER BY 1 LIMIT 3');
SELECT deps('SELECT customer_id, rank() OVER (PARTITION BY customer_id ORDER BY total) FROM orders ORDER BY 1 LIMIT 3');
SELECT deps('SELECT * FROM generate_series(1, 3) g, LATERAL (SELECT * FROM orders WHERE customer_id = 42 LIMIT g) o');
SELECT deps('SELECT * FROM generate_series(1, 3) g, LATERAL (SELECT * FROM orders WHERE customer_id = g LIMIT 1) o');
-- once fixed, once free
SELECT deps('SELECT * FROM orders a, orders b WHERE a.customer_id = 42 AND b.total = a.total');
SELECT deps('SELECT * FROM orders a, orders b WHERE a.customer_id = 42 AND b.id = 7');
-- not scanned at all: a join that a unique index lets go, a contradiction
SELECT deps('SELECT o.* FROM orders o LEFT JOIN customers c ON c.id = o.customer_id WHERE o.customer_id = 42');
SELECT deps('SELECT a.* FROM orders a LEFT JOIN orders b ON b.id = a.id WHERE a.customer_id = 42');
SELECT deps('SELECT * FROM orders WHERE false');
-- every kind of scan
BEGIN;
SET LOCAL enable_indexscan = off;
SET LOCAL enable_bitmapscan = off;
SELECT deps('SELECT /* seq */ * FROM orders WHERE customer_id = 42');
SET LOCAL enable_bitmapscan = on;
SELECT deps('SELECT /* bitmap */ * FROM orders WHERE customer_id = 42');
SELECT deps('SELECT /* bitmap */ * FROM orders WHERE customer_id = 42 AND id = 6');
SELECT deps('SELECT /* bitmap */ * FROM orders WHERE customer_id = 42 OR id = 6');
SET LOCAL enable_indexscan = on;
SET LOCAL enable_bitmapscan = off;
SET LOCAL enable_seqscan = off;
SELECT deps('SELECT /* index */ * FROM orders WHERE customer_id = 42');
SELECT deps('SELECT /* index only */ customer_id FROM orders WHERE customer_id IN (42, 43)');
SET LOCAL parallel_setup_cost = 0;
SET LOCAL parallel_tuple_cost = 0;
SET LOCAL min_parallel_table_scan_size = 0;
SET LOCAL enable_seqscan = on;
SET LOCAL enable_indexscan = off;
SELECT deps('SELECT /* parallel */ count(*) FROM orders WHERE customer_id = 42');
COMMIT;
SELECT deps('SELECT * FROM orders TABLESAMPLE system (50) WHERE customer_id = 42');
-- generic plans
SET plan_cache_mode = force_generic_plan;
SELECT deps('SELECT * FROM orders WHERE customer_id = $1', '{41}'), deps('SELECT * FROM orders WHERE customer_id = $1', '{42}');
SELECT deps('SELECT * FROM orders WHERE customer_id IN ($1, $2)', '{41,NULL}');
SELECT deps('SELECT * FROM orders WHERE customer_id = $1 + 1', '{41}');
SELECT deps('SELECT * FROM customers c JOIN orders o ON o.customer_id = c.id WHERE c.id = $1', '{42}');
RESET plan_cache_mode;
-- an expression that fails is not worked out before its time
SELECT probe('SELECT count(*) FROM plain p WHERE p.id < 0 AND EXISTS (SELECT FROM orders WHERE customer_id = 1 / (p.id - p.id))');

-- entries say the same
SELECT cache_flush() >= 0 AS flushed;
SELECT probe('SELECT count(*) FROM orders WHERE customer_id IN (42, 43)');
SELECT probe('SELECT count(*) FROM customers c JOIN orders o ON o.customer_id = c.id WHERE c.id = 42');
SELECT probe('SELECT count(*) FROM orders o JOIN plain p ON p.customer_id = o.customer_id WHERE o.id = 42');
SELECT probe('SELECT count(*) FROM orders');
SELECT dependencies FROM cachekit_entries ORDER BY dependencies::text COLLATE "C";
-- many keys, long values
CREATE TABLE words (word text, n int);
SELECT cache_track('words', 'word');
SELECT deps('SELECT * FROM words WHERE word = ''' || repeat('long', 50) || '''');
SELECT length(deps('SELECT * FROM words WHERE word = ANY ($1)', ARRAY[(SELECT array_agg(repeat('x', 40) || g) FROM generate_series(1, 32) g)::text])) < 600 AS short;
DROP TABLE customers, orders, lines, plain, words CASCADE;
DROP FUNCTION deps;
DROP SCHEMA oracle CASCADE;
