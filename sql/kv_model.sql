-- Key/value writes against a table that is written alike: random operations in
-- blocks within blocks, which end well or badly, in transactions that commit
-- or roll back.  What the cache and the table say must be the same throughout.
CREATE TABLE model (key text PRIMARY KEY, value int);
SELECT cache_clear() >= 0 AS cleared, setseed(0.29);

-- One operation on both.
CREATE FUNCTION operate() RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	k text := 'k' || floor(random() * 6)::int;
	v int := floor(random() * 1000)::int;
	what text := (ARRAY['set', 'set', 'set', 'delete', 'many', 'delete many', 'touch', 'clear'])
		[floor(random() * 7.3)::int + 1];
BEGIN
	CASE what
	WHEN 'set' THEN
		PERFORM cache_set(k, v);
		INSERT INTO model VALUES (k, v) ON CONFLICT (key) DO UPDATE SET value = v;
	WHEN 'delete' THEN
		PERFORM cache_delete(k);
		DELETE FROM model WHERE key = k;
	WHEN 'many' THEN
		PERFORM cache_set(m, v) FROM unnest(ARRAY['k1', 'k2', k || 'x']) m;
		INSERT INTO model SELECT m, v FROM unnest(ARRAY['k1', 'k2', k || 'x']) m
			ON CONFLICT (key) DO UPDATE SET value = v;
	WHEN 'delete many' THEN
		PERFORM cache_delete(m) FROM unnest(ARRAY['k1', k, k || 'x']) m;
		DELETE FROM model WHERE key IN ('k1', k, k || 'x');
	WHEN 'touch' THEN
		PERFORM cache_touch(k, '1 hour');
	WHEN 'clear' THEN
		PERFORM cache_clear();
		DELETE FROM model;
	END CASE;
END $$;

-- Raises what differs now.
CREATE FUNCTION compare(at text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	odds text;
BEGIN
	SELECT string_agg(format('%s is %s, not %s', k, coalesce(c::text, 'absent'),
							 coalesce(value::text, 'absent')), '; ' ORDER BY k) INTO odds
	FROM (SELECT 'k' || i || x AS k FROM generate_series(0, 5) i, unnest('{"",x}'::text[]) x) keys
		 CROSS JOIN LATERAL (SELECT cache_get(k, NULL::int) AS c) cached LEFT JOIN model ON key = k
	WHERE c IS DISTINCT FROM value;
	IF odds IS NOT NULL THEN
		RAISE '%: %', at, odds;
	END IF;
END $$;

-- A block of operations and of blocks within it.
CREATE FUNCTION block(depth int) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	FOR i IN 1 .. floor(random() * 4)::int LOOP
		PERFORM operate();
		IF depth < 3 AND random() < 0.4 THEN
			BEGIN
				PERFORM block(depth + 1);
				IF random() < 0.5 THEN
					RAISE division_by_zero;
				END IF;
			EXCEPTION WHEN division_by_zero THEN NULL;
			END;
			PERFORM compare('within');
		END IF;
	END LOOP;
END $$;

CREATE PROCEDURE run(n int) LANGUAGE plpgsql AS $$
BEGIN
	FOR i IN 1 .. n LOOP
		-- often everything is within a block that is undone
		BEGIN
			PERFORM block(1);
			IF random() < 0.5 THEN
				RAISE division_by_zero;
			END IF;
		EXCEPTION WHEN division_by_zero THEN NULL;
		END;
		PERFORM compare('before the end');
		IF random() < 0.5 THEN
			PERFORM block(0);
		END IF;
		IF random() < 0.3 THEN
			ROLLBACK;
		ELSE
			COMMIT;
		END IF;
		PERFORM compare('after the end');
	END LOOP;
END $$;
CALL run(1000);
SELECT cache_clear() >= 0 AS cleared;
SELECT count(*) FROM cache_check();
DROP TABLE model;
DROP FUNCTION operate, compare, block;
DROP PROCEDURE run;
