--
-- Denormalized tables over queries of every kind: after each change of any
-- source the target is what the query returns.
--
SET client_min_messages = warning;
\set ECHO none
\set QUIET on
\i sql/denorm.part.sql
\set ECHO all
CREATE TABLE customers (id int PRIMARY KEY, name text NOT NULL, region text);
CREATE TABLE orders (id int PRIMARY KEY, customer_id int REFERENCES customers ON DELETE CASCADE ON UPDATE CASCADE,
	status text NOT NULL, total numeric, at date NOT NULL);
CREATE TABLE lines (order_id int REFERENCES orders ON DELETE CASCADE ON UPDATE CASCADE, no int, product int NOT NULL, qty int,
	PRIMARY KEY (order_id, no));
CREATE TABLE products (id int PRIMARY KEY, parent int, name text);
CREATE TABLE events (customer_id int, day date NOT NULL, what text) PARTITION BY RANGE (day);
CREATE TABLE events_1 PARTITION OF events FOR VALUES FROM ('2024-01-01') TO ('2024-02-01');
-- another order of columns
CREATE TABLE events_2 (what text, gone int, day date NOT NULL, customer_id int);
ALTER TABLE events_2 DROP COLUMN gone;
ALTER TABLE events ATTACH PARTITION events_2 FOR VALUES FROM ('2024-02-01') TO ('2024-03-01');
CREATE VIEW open_orders AS SELECT id, customer_id, total FROM orders WHERE status = 'open';
CREATE FUNCTION label(text) RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT upper($1) || '!' $$;
CREATE FUNCTION add_up(int, int) RETURNS int LANGUAGE sql IMMUTABLE AS $$ SELECT $1 + coalesce($2, 0) $$;
CREATE AGGREGATE my_sum(int) (SFUNC = add_up, STYPE = int, INITCOND = '0');

CREATE PROCEDURE fill() LANGUAGE sql AS $$
	INSERT INTO customers SELECT i, 'c' || i, CASE WHEN i % 4 > 0 THEN 'r' || i % 4 END FROM generate_series(1, 12) i;
	INSERT INTO orders SELECT i, 1 + i % 12, CASE WHEN i % 3 = 0 THEN 'open' ELSE 'done' END, i * 1.5, date '2024-01-01' + i % 50 FROM generate_series(1, 60) i;
	INSERT INTO lines SELECT 1 + i % 60, i, i % 7, CASE WHEN i % 5 > 0 THEN i % 5 END FROM generate_series(1, 200) i;
	INSERT INTO products SELECT i, CASE WHEN i > 1 THEN i / 2 END, 'p' || i FROM generate_series(0, 9) i;
	INSERT INTO events SELECT i % 15, date '2024-01-01' + i % 50, 'e' || i % 3 FROM generate_series(1, 100) i;
$$;
CALL fill();

INSERT INTO queries VALUES
('d_left', '{id}', 'SELECT c.id, c.name, count(o.id) AS n, sum(o.total) AS total, min(o.at), max(o.at) FROM customers c LEFT JOIN orders o ON o.customer_id = c.id GROUP BY c.id'),
('d_plain', '{id}', 'SELECT o.id, c.name, o.total * 2 AS twice FROM orders o JOIN customers c ON c.id = o.customer_id'),
('d_three', '{id}', 'SELECT c.id, count(DISTINCT l.product) AS products, string_agg(l.no::text, '','' ORDER BY l.no) AS nos, jsonb_agg(l.qty ORDER BY l.no, l.order_id) AS qty FROM customers c JOIN orders o ON o.customer_id = c.id JOIN lines l ON l.order_id = o.id GROUP BY c.id'),
('d_region', '{region}', 'SELECT region, count(*) AS n, array_agg(name ORDER BY name) AS names FROM customers GROUP BY region'),
('d_region_orders', '{region,status}', 'SELECT c.region, o.status, count(*) AS n, sum(total) FILTER (WHERE total > 20) AS big FROM customers c JOIN orders o ON o.customer_id = c.id GROUP BY 1, 2'),
('d_expr', '{month}', 'SELECT date_trunc(''month'', at)::date AS month, sum(total) AS total, percentile_cont(0.5) WITHIN GROUP (ORDER BY total) AS median FROM orders GROUP BY 1'),
('d_having', '{customer_id}', 'SELECT customer_id, count(*) AS n FROM orders GROUP BY customer_id HAVING count(*) > 4'),
('d_distinct_on', '{customer_id}', 'SELECT DISTINCT ON (customer_id) customer_id, id, at FROM orders ORDER BY customer_id, at DESC, id DESC'),
('d_distinct', '{product}', 'SELECT DISTINCT product FROM lines'),
('d_union', '{id}', 'SELECT id, ''order'' AS kind, total AS v FROM orders UNION ALL SELECT customer_id, ''event'', count(*) FROM events GROUP BY customer_id'),
('d_except', '{id}', 'SELECT id FROM customers EXCEPT SELECT customer_id FROM orders WHERE status = ''open'''),
('d_exists', '{id}', 'SELECT id, name FROM customers c WHERE EXISTS (SELECT FROM orders o WHERE o.customer_id = c.id AND o.total > 70)'),
('d_not_exists', '{id}', 'SELECT id, name FROM customers c WHERE NOT EXISTS (SELECT FROM orders o JOIN lines l ON l.order_id = o.id WHERE o.customer_id = c.id AND l.qty = 4)'),
('d_in', '{id}', 'SELECT id, name FROM customers WHERE id IN (SELECT customer_id FROM orders WHERE status = ''open'')'),
('d_not_in', '{id}', 'SELECT id, name FROM customers WHERE id NOT IN (SELECT customer_id FROM orders WHERE status = ''open'')'),
('d_scalar', '{id}', 'SELECT c.id, (SELECT max(total) FROM orders o WHERE o.customer_id = c.id) AS biggest, (SELECT count(*) FROM events e WHERE e.customer_id = c.id) AS events FROM customers c'),
('d_cte', '{id}', 'WITH t AS (SELECT customer_id, sum(total) AS total FROM orders GROUP BY customer_id), n AS (SELECT * FROM t WHERE total > 50) SELECT c.id, c.name, n.total, t.total AS again FROM customers c LEFT JOIN t ON t.customer_id = c.id LEFT JOIN n ON n.customer_id = c.id'),
('d_subquery', '{customer_id}', 'SELECT s.customer_id, s.n, c.region FROM (SELECT customer_id, count(*) AS n FROM orders GROUP BY customer_id) s JOIN customers c ON c.id = s.customer_id'),
('d_lateral', '{id}', 'SELECT c.id, x.order_id, x.total FROM customers c, LATERAL (SELECT o.id AS order_id, o.total FROM orders o WHERE o.customer_id = c.id ORDER BY o.total DESC NULLS LAST, o.id LIMIT 3) x'),
('d_lateral_rank', '{id,rank}', 'SELECT c.id, x.rank, x.order_id FROM customers c, LATERAL (SELECT o.id AS order_id, row_number() OVER (ORDER BY o.at, o.id) AS rank FROM orders o WHERE o.customer_id = c.id) x WHERE x.rank <= 2'),
('d_window', '{customer_id}', 'SELECT customer_id, id, sum(total) OVER (PARTITION BY customer_id ORDER BY id) AS running FROM orders'),
('d_window_pk', '{customer_id,id}', 'SELECT customer_id, id, rank() OVER (PARTITION BY customer_id ORDER BY total) AS r, count(*) OVER (PARTITION BY customer_id) AS n FROM orders'),
('d_window_all', '{id}', 'SELECT id, rank() OVER (ORDER BY total) AS r FROM orders'),
('d_self', '{id}', 'SELECT p.id, p.name, count(k.id) AS kids, max(k.name) AS last FROM products p LEFT JOIN products k ON k.parent = p.id GROUP BY p.id'),
('d_self_inner', '{id,kid}', 'SELECT p.id, k.id AS kid, g.name AS grandchild FROM products p JOIN products k ON k.parent = p.id LEFT JOIN products g ON g.parent = k.id AND g.id % 2 = 0'),
('d_view', '{customer_id}', 'SELECT customer_id, count(*) AS n, label(max(name)) AS l FROM open_orders o JOIN customers c ON c.id = o.customer_id GROUP BY customer_id'),
('d_partitioned', '{customer_id}', 'SELECT customer_id, count(*) AS n, array_agg(DISTINCT what) AS what FROM events GROUP BY customer_id'),
('d_one_partition', '{what}', 'SELECT what, count(*) AS n FROM events_2 GROUP BY what'),
('d_user_agg', '{product}', 'SELECT product, my_sum(qty) AS qty, bool_or(qty IS NULL) AS any_null FROM lines GROUP BY product'),
('d_right', '{name}', 'SELECT c.name, o.id FROM orders o RIGHT JOIN customers c ON c.id = o.customer_id AND o.status = ''open'''),
('d_full', '{k}', 'SELECT coalesce(c.id, e.customer_id) AS k, count(c.id) AS c, count(e.day) AS e FROM customers c FULL JOIN events e ON e.customer_id = c.id GROUP BY 1'),
('d_nullable_key', '{id,oid}', 'SELECT c.id, o.id AS oid, o.total FROM customers c LEFT JOIN orders o ON o.customer_id = c.id AND o.status = ''open'''),
('d_anti', '{id}', 'SELECT c.id FROM customers c LEFT JOIN orders o ON o.customer_id = c.id AND o.total > 60 WHERE o.id IS NULL'),
('d_limit', '{id}', 'SELECT id, total FROM orders ORDER BY total DESC NULLS LAST, id LIMIT 5'),
('d_nested', '{region}', 'SELECT c.region, sum(t.n) AS n FROM customers c JOIN (SELECT o.customer_id, l.product, count(*) AS n FROM orders o JOIN lines l ON l.order_id = o.id GROUP BY 1, 2) t ON t.customer_id = c.id GROUP BY c.region'),
('d_cross', '{id}', 'SELECT c.id, (SELECT count(*) FROM products) AS n FROM customers c'),
('d_inequality', '{id}', 'SELECT c.id, count(*) AS n FROM customers c JOIN products p ON p.id < c.id GROUP BY c.id'),
('d_coalesce', '{id}', 'SELECT c.id, count(*) AS n FROM customers c JOIN (SELECT p.id, k.id AS kid FROM products p LEFT JOIN products k ON k.parent = p.id) s ON coalesce(s.kid, 0) + 1 = c.id GROUP BY c.id'),
('d_json', '{id}', 'SELECT id, json_build_object(''name'', name, ''region'', region) AS j FROM customers'),
('d_union_inside', '{id}', 'SELECT c.id, sum(u.v) AS v FROM customers c JOIN (SELECT customer_id, total AS v FROM orders UNION ALL SELECT customer_id, 1 FROM events) u ON u.customer_id = c.id GROUP BY c.id'),
('d_grouping', '{region}', 'SELECT region, grouping(region) AS g, count(*) AS n FROM customers GROUP BY ROLLUP (region)'),
('d_srf', '{w}', 'SELECT unnest(ARRAY[name, region]) AS w, count(*) AS n FROM customers GROUP BY 1'),
('d_values', '{status}', 'SELECT v.status, count(o.id) AS n FROM (VALUES (''open''), (''done''), (''lost'')) v (status) LEFT JOIN orders o ON o.status = v.status GROUP BY 1');
SELECT count(denorm_create(name, query, key)) FROM queries;
SELECT target, key, recomputed_by, full_for, (SELECT count(*) FROM pg_index WHERE indrelid = target AND indisunique) AS unique
FROM cachekit_denorm ORDER BY target::text COLLATE "C";

SELECT * FROM wrong();

CREATE FUNCTION changes() RETURNS text[] LANGUAGE sql AS $f$ SELECT ARRAY[
	'INSERT INTO orders VALUES (101, 3, ''open'', 99, ''2024-01-15''), (102, 3, ''open'', NULL, ''2024-01-15''), (103, NULL, ''done'', 5, ''2024-03-01'')',
	'INSERT INTO lines VALUES (101, 1, 3, 4), (102, 1, 99, NULL)',
	'UPDATE orders SET customer_id = 4 WHERE id = 101',
	'UPDATE orders SET customer_id = NULL WHERE id = 102',
	'UPDATE orders SET customer_id = 5, status = ''open'' WHERE id IN (102, 103)',
	'UPDATE orders SET total = total + 50 WHERE id % 7 = 0',
	'UPDATE orders SET status = CASE status WHEN ''open'' THEN ''done'' ELSE ''open'' END WHERE id % 5 = 0',
	'UPDATE lines SET qty = 4 WHERE no % 11 = 0',
	'UPDATE lines SET order_id = order_id + 1 WHERE no % 13 = 0 AND order_id < 59',
	'UPDATE customers SET region = NULL WHERE id IN (1, 2)',
	'UPDATE customers SET region = ''new'', name = ''x'' || name WHERE id IN (2, 3)',
	'DELETE FROM lines WHERE qty IS NULL',
	'DELETE FROM orders WHERE id IN (1, 2, 3)',
	'DELETE FROM customers WHERE id = 7',
	'UPDATE customers SET id = 77 WHERE id = 8',
	'INSERT INTO customers VALUES (200, ''late'', ''r1''), (201, ''alone'', NULL)',
	'INSERT INTO customers VALUES (200, ''again'', ''r2''), (202, ''other'', ''r2'') ON CONFLICT (id) DO UPDATE SET region = excluded.region',
	'MERGE INTO customers c USING (VALUES (201, ''merged''), (203, ''made'')) v (id, name) ON v.id = c.id WHEN MATCHED THEN UPDATE SET name = v.name WHEN NOT MATCHED THEN INSERT VALUES (v.id, v.name)',
	'MERGE INTO orders o USING generate_series(10, 20) g ON g = o.id WHEN MATCHED AND g < 13 THEN DELETE WHEN MATCHED THEN UPDATE SET total = 1',
	'UPDATE products SET parent = 3 WHERE id IN (2, 8)',
	'DELETE FROM products WHERE id IN (3, 4)',
	'INSERT INTO products VALUES (20, 2, ''twenty''), (21, 20, ''kid''), (22, 21, ''grandkid'')',
	'UPDATE products SET id = 30 WHERE id = 20',
	'UPDATE products SET parent = 30 WHERE parent = 20',
	'INSERT INTO events VALUES (3, ''2024-01-20'', ''new''), (3, ''2024-02-20'', ''e1''), (NULL, ''2024-02-20'', ''e1'')',
	'INSERT INTO events_2 VALUES (''direct'', ''2024-02-10'', 4)',
	'UPDATE events SET day = day + 31 WHERE what = ''e2'' AND day < ''2024-01-10''',
	'UPDATE events_1 SET what = ''e9'' WHERE customer_id = 1',
	'DELETE FROM events_2 WHERE customer_id < 4',
	'TRUNCATE events_1',
	'WITH d AS (DELETE FROM lines WHERE order_id = 40 RETURNING *), o AS (DELETE FROM orders WHERE id = 41 RETURNING *) UPDATE customers SET name = name || ''w'' WHERE id IN (5, 6)',
	'WITH d AS (DELETE FROM products WHERE id = 22 RETURNING *) DELETE FROM products WHERE id = 21',
	'UPDATE orders SET total = 3 WHERE false',
	'DELETE FROM customers WHERE id IN (4, 5, 6)',
	'TRUNCATE lines',
	'TRUNCATE customers CASCADE'] $f$;
CALL change(VARIADIC changes());

-- partitions that come and go
INSERT INTO events_1 (customer_id, day, what) SELECT i % 5, date '2024-01-01' + i % 20, 'again' FROM generate_series(1, 30) i;
CALL change(
	'CREATE TABLE events_3 PARTITION OF events FOR VALUES FROM (''2024-03-01'') TO (''2024-04-01'')',
	'INSERT INTO events VALUES (2, ''2024-03-05'', ''third'')',
	'INSERT INTO events_3 VALUES (3, ''2024-03-06'', ''third'')');
SELECT tgrelid::regclass, count(*) FROM pg_trigger WHERE tgname LIKE 'cachekit\_denorm%' AND tgrelid::regclass::text LIKE 'events%' GROUP BY 1 ORDER BY 1;
ALTER TABLE events DETACH PARTITION events_3;
SELECT * FROM wrong();
INSERT INTO events_3 VALUES (3, '2024-03-07', 'not seen');
SELECT * FROM wrong();
ALTER TABLE events ATTACH PARTITION events_3 FOR VALUES FROM ('2024-03-01') TO ('2024-04-01');
SELECT * FROM wrong();
DROP TABLE events_3;
SELECT * FROM wrong();

-- the same at commit, and by a worker
SELECT count(denorm_set_mode(name::regclass, 'deferred')) FROM queries;
TRUNCATE customers, orders, lines, products, events;
CALL fill();
SELECT * FROM wrong();
CALL change(VARIADIC changes());
SELECT count(denorm_set_mode(name::regclass, 'async')) FROM queries;
TRUNCATE customers, orders, lines, products, events;
CALL fill();
SELECT denorm_wait();
SELECT * FROM wrong();
CALL change(VARIADIC changes());

SELECT count(denorm_drop(name::regclass)) FROM queries;
SELECT count(*) FROM pg_trigger WHERE tgname LIKE 'cachekit\_denorm%';
SELECT count(*) FROM cachekit_denorm_def;
DROP TABLE customers, orders, lines, products, events, queries CASCADE;
DROP AGGREGATE my_sum(int);
DROP FUNCTION wrong, label, add_up, changes;
DROP PROCEDURE change, fill;
