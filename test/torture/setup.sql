-- The tables of the storm, and the oracle: one statement, hence one snapshot,
-- that asks the cache and the tables the same questions.

CREATE TABLE acct_a (id int PRIMARY KEY, balance bigint) WITH (fillfactor = 50);
CREATE TABLE acct_b (id int PRIMARY KEY, balance bigint) WITH (fillfactor = 50);
INSERT INTO acct_a SELECT g, 1000 FROM generate_series(1, 200) g;
INSERT INTO acct_b SELECT g, 1000 FROM generate_series(1, 200) g;

-- columns come and go
CREATE TABLE shape (id int PRIMARY KEY, v int);
INSERT INTO shape SELECT g, 0 FROM generate_series(1, 10) g;

-- emptied and filled again
CREATE TABLE refilled (id int PRIMARY KEY, v int);
INSERT INTO refilled SELECT g, 0 FROM generate_series(1, 10) g;

-- rows move between partitions, partitions come and go
CREATE TABLE part (id int, k int, v int) PARTITION BY LIST (k);
CREATE TABLE part_1 PARTITION OF part FOR VALUES IN (1);
CREATE TABLE part_2 PARTITION OF part FOR VALUES IN (2) PARTITION BY RANGE (id);
CREATE TABLE part_2a PARTITION OF part_2 FOR VALUES FROM (0) TO (20);
CREATE TABLE part_2b PARTITION OF part_2 FOR VALUES FROM (20) TO (1000);
CREATE TABLE part_3 PARTITION OF part FOR VALUES IN (3);
INSERT INTO part SELECT g, 1 + g % 3, 0 FROM generate_series(1, 40) g;

-- plain inheritance
CREATE TABLE parent (id int, v int);
CREATE TABLE child () INHERITS (parent);
INSERT INTO parent SELECT g, 0 FROM generate_series(1, 5) g;
INSERT INTO child SELECT g, 0 FROM generate_series(6, 10) g;

-- functions that are replaced, one hidden behind the other
CREATE TABLE few (id int PRIMARY KEY);
INSERT INTO few SELECT generate_series(1, 5);
CREATE FUNCTION version_of(x int) RETURNS int IMMUTABLE LANGUAGE plpgsql
AS $$ BEGIN RETURN x + 1000; END $$;
CREATE FUNCTION hidden(x int) RETURNS int IMMUTABLE LANGUAGE plpgsql
AS $$ BEGIN RETURN version_of(x) * 2; END $$;

SELECT cache_track(t) FROM unnest('{acct_a, acct_b, shape, refilled, part, parent, few}'::regclass[]) t;

CREATE FUNCTION complain(question int, cached jsonb, direct jsonb)
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	RAISE WARNING 'MISMATCH question %: cached % direct % snapshot %',
		question, left(cached::text, 300), left(direct::text, 300),
		pg_current_snapshot();
END $$;

-- Asked of the tables, under the caller's snapshot.
CREATE FUNCTION planned_now(query text) RETURNS jsonb STABLE LANGUAGE plpgsql AS $$
DECLARE
	result jsonb;
BEGIN
	EXECUTE format($q$SELECT coalesce(jsonb_agg(to_jsonb(q)), '[]') FROM (%s) q$q$, query)
		INTO result;
	RETURN result;
END $$;

-- The same, transparently.
CREATE FUNCTION transparent(query text) RETURNS jsonb STABLE LANGUAGE plpgsql AS $$
DECLARE
	result jsonb;
BEGIN
	EXECUTE format($q$/*+ cachekit */ SELECT coalesce(jsonb_agg(to_jsonb(q)), '[]') FROM (%s) q$q$, query)
		INTO result;
	RETURN result;
END $$;

-- And by plans that live as long as they are valid.
CREATE FUNCTION static_accounts(arg int) RETURNS jsonb STABLE LANGUAGE plpgsql AS $$
DECLARE
	result jsonb;
BEGIN
	SELECT /*+ cachekit */ coalesce(jsonb_agg(to_jsonb(q)), '[]')
		INTO result
		FROM (SELECT a.id, a.balance + b.balance AS both FROM acct_a a JOIN acct_b b USING (id)
			WHERE a.id <= arg ORDER BY 1) q;
	RETURN result;
END $$;

CREATE FUNCTION static_parts() RETURNS jsonb STABLE LANGUAGE plpgsql AS $$
DECLARE
	result jsonb := '[]';
	r record;
BEGIN
	FOR r IN SELECT /*+ cachekit */ id, k, v FROM part_2 ORDER BY id LOOP
		result := result || to_jsonb(r);
	END LOOP;
	RETURN result;
END $$;

-- Questions about the two accounts: rows, a sum, a join, an argument.
CREATE FUNCTION check_accounts(arg int) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	r record;
BEGIN
	FOR r IN
		SELECT * FROM (VALUES
		(1, cached_query_json('SELECT id, balance FROM acct_a WHERE id <= 50 ORDER BY id'),
			(SELECT coalesce(jsonb_agg(to_jsonb(q)), '[]') FROM (SELECT id, balance FROM acct_a WHERE id <= 50 ORDER BY id) q)),
		(2, cached_query_json('SELECT sum(balance) AS s FROM acct_b'),
			(SELECT coalesce(jsonb_agg(to_jsonb(q)), '[]') FROM (SELECT sum(balance) AS s FROM acct_b) q)),
		(3, cached_query_json('SELECT sum(a.balance) AS a, sum(b.balance) AS b FROM acct_a a JOIN acct_b b USING (id)'),
			(SELECT coalesce(jsonb_agg(to_jsonb(q)), '[]') FROM (SELECT sum(a.balance) AS a, sum(b.balance) AS b FROM acct_a a JOIN acct_b b USING (id)) q)),
		(4, cached_query_json('SELECT balance FROM acct_a WHERE id = $1', ARRAY[arg::text]),
			(SELECT coalesce(jsonb_agg(to_jsonb(q)), '[]') FROM (SELECT balance FROM acct_a WHERE id = arg) q)),
		(101, transparent('SELECT id, balance FROM acct_a WHERE id <= 50 ORDER BY id'),
			planned_now('SELECT id, balance FROM acct_a WHERE id <= 50 ORDER BY id')),
		(102, transparent('SELECT sum(a.balance) AS a, sum(b.balance) AS b FROM acct_a a JOIN acct_b b USING (id)'),
			planned_now('SELECT sum(a.balance) AS a, sum(b.balance) AS b FROM acct_a a JOIN acct_b b USING (id)')),
		(103, static_accounts(arg),
			planned_now(format('SELECT a.id, a.balance + b.balance AS both FROM acct_a a JOIN acct_b b USING (id) WHERE a.id <= %s ORDER BY 1', arg)))
		) v (question, cached, direct)
		WHERE cached IS DISTINCT FROM direct
	LOOP
		PERFORM complain(r.question, r.cached, r.direct);
	END LOOP;
END $$;

-- ATTACH PARTITION and INHERIT do not wait for those who read the parent, so
-- a plan made before need not agree with one made after, under one snapshot:
-- the cache must agree with one of the two.
CREATE FUNCTION check_between(question int, query text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	before jsonb;
	cached jsonb;
	after jsonb;
BEGIN
	SELECT planned_now(query), cached_query_json(query), planned_now(query)
		INTO before, cached, after;
	IF cached IS DISTINCT FROM before AND cached IS DISTINCT FROM after THEN
		PERFORM complain(question, cached, after);
	END IF;
END $$;

-- Questions about tables whose shape or storage changes.
CREATE FUNCTION check_shapes() RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	r record;
BEGIN
	FOR r IN
		SELECT * FROM (VALUES
		(5, cached_query_json('SELECT * FROM shape ORDER BY id'),
			(SELECT coalesce(jsonb_agg(to_jsonb(q)), '[]') FROM (SELECT * FROM shape ORDER BY id) q)),
		(6, cached_query_json('SELECT count(*) AS n, sum(v) AS s FROM refilled'),
			(SELECT coalesce(jsonb_agg(to_jsonb(q)), '[]') FROM (SELECT count(*) AS n, sum(v) AS s FROM refilled) q)),
		(8, cached_query_json('SELECT count(*) AS n, sum(v) AS s FROM part_2'),
			(SELECT coalesce(jsonb_agg(to_jsonb(q)), '[]') FROM (SELECT count(*) AS n, sum(v) AS s FROM part_2) q)),
		(9, cached_query_json('SELECT count(*) AS n, sum(v) AS s FROM part_2a'),
			(SELECT coalesce(jsonb_agg(to_jsonb(q)), '[]') FROM (SELECT count(*) AS n, sum(v) AS s FROM part_2a) q)),
		(11, cached_query_json('SELECT count(*) AS n, sum(v) AS s FROM child'),
			(SELECT coalesce(jsonb_agg(to_jsonb(q)), '[]') FROM (SELECT count(*) AS n, sum(v) AS s FROM child) q)),
		(104, transparent('SELECT * FROM shape ORDER BY id'),
			planned_now('SELECT * FROM shape ORDER BY id')),
		(105, transparent('SELECT count(*) AS n, sum(v) AS s FROM refilled'),
			planned_now('SELECT count(*) AS n, sum(v) AS s FROM refilled')),
		(106, static_parts(), planned_now('SELECT id, k, v FROM part_2 ORDER BY id'))
		) v (question, cached, direct)
		WHERE cached IS DISTINCT FROM direct
	LOOP
		PERFORM complain(r.question, r.cached, r.direct);
	END LOOP;
	PERFORM check_between(7, 'SELECT k, count(*) AS n, sum(v) AS s FROM part GROUP BY k ORDER BY k');
	PERFORM check_between(10, 'SELECT count(*) AS n, sum(v) AS s FROM parent');
END $$;

-- Functions are not locked by those who call them: whoever asks this holds
-- the advisory lock 77, shared; whoever replaces them holds it exclusively.
CREATE FUNCTION check_functions() RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	r record;
BEGIN
	FOR r IN
		SELECT * FROM (VALUES
		(12, cached_query_json('SELECT id, version_of(id) AS v FROM few ORDER BY id'),
			(SELECT coalesce(jsonb_agg(to_jsonb(q)), '[]') FROM (SELECT id, version_of(id) AS v FROM few ORDER BY id) q)),
		(13, cached_query_json('SELECT id, hidden(id) AS v FROM few ORDER BY id'),
			(SELECT coalesce(jsonb_agg(to_jsonb(q)), '[]') FROM (SELECT id, hidden(id) AS v FROM few ORDER BY id) q)),
		(107, transparent('SELECT id, hidden(id) AS v FROM few ORDER BY id'),
			planned_now('SELECT id, hidden(id) AS v FROM few ORDER BY id'))
		) v (question, cached, direct)
		WHERE cached IS DISTINCT FROM direct
	LOOP
		PERFORM complain(r.question, r.cached, r.direct);
	END LOOP;
END $$;

CREATE FUNCTION many_subtransactions(n int, base int) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	FOR i IN 1..n LOOP
		BEGIN
			UPDATE acct_b SET balance = balance + 1 WHERE id = base + i % 5;
		EXCEPTION WHEN division_by_zero THEN NULL;
		END;
	END LOOP;
END $$;

-- Its new partition may be detached just now.
CREATE FUNCTION move_row(i int, to_k int) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	UPDATE part SET k = to_k, v = v + 1 WHERE id = i;
EXCEPTION WHEN check_violation THEN NULL;
END $$;

-- DDL gives way: a prepared transaction may hold what it wants.
CREATE FUNCTION change_something(what int, n int) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	SET LOCAL lock_timeout = '50ms';
	CASE what
		WHEN 0 THEN
			TRUNCATE refilled;
			INSERT INTO refilled SELECT g, n FROM generate_series(1, n % 20) g;
		WHEN 1 THEN
			TRUNCATE refilled;
			INSERT INTO refilled VALUES (1, n);
			PERFORM check_shapes();
			RAISE EXCEPTION division_by_zero;
		WHEN 2 THEN
			EXECUTE format('ALTER TABLE shape ADD COLUMN IF NOT EXISTS extra int DEFAULT %s', n);
		WHEN 3 THEN
			ALTER TABLE shape DROP COLUMN IF EXISTS extra;
		WHEN 4 THEN
			ALTER TABLE part DETACH PARTITION part_3;
			UPDATE part_3 SET v = v + 1;
			PERFORM check_shapes();
			ALTER TABLE part ATTACH PARTITION part_3 FOR VALUES IN (3);
		WHEN 5 THEN
			ALTER TABLE child NO INHERIT parent;
			UPDATE child SET v = v + 1;
			ALTER TABLE child INHERIT parent;
		WHEN 6 THEN
			ALTER TABLE shape ALTER COLUMN v TYPE bigint USING v + 1;
		WHEN 7 THEN
			ALTER TABLE shape ALTER COLUMN v TYPE int USING v - 1;
		WHEN 8 THEN
			CREATE TABLE part_4 PARTITION OF part FOR VALUES IN (4);
			INSERT INTO part VALUES (n, 4, 1);
		WHEN 9 THEN
			DROP TABLE IF EXISTS part_4;
		WHEN 10 THEN
			ALTER TABLE part DETACH PARTITION part_3;
		WHEN 11 THEN
			ALTER TABLE part ATTACH PARTITION part_3 FOR VALUES IN (3);
		WHEN 12 THEN
			ALTER TABLE child NO INHERIT parent;
		WHEN 13 THEN
			ALTER TABLE child INHERIT parent;
		WHEN 14 THEN
			ALTER TABLE part_2 DETACH PARTITION part_2b;
			ALTER TABLE part_2 ATTACH PARTITION part_2b FOR VALUES FROM (20) TO (1000);
	END CASE;
	RAISE LOG 'CHANGED %', what;
EXCEPTION
	-- it gave way, or is in that state already
	WHEN lock_not_available OR division_by_zero OR duplicate_table OR
		undefined_table OR wrong_object_type OR undefined_object THEN NULL;
END $$;

CREATE FUNCTION replace_function(n int) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE format('CREATE OR REPLACE FUNCTION version_of(x int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS %L',
				   format('BEGIN RETURN x + %s; END', n));
END $$;

CREATE FUNCTION check_structures() RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	problem text;
BEGIN
	FOR problem IN SELECT * FROM cache_check() LOOP
		RAISE WARNING 'MISMATCH cache_check: %', problem;
	END LOOP;
END $$;
