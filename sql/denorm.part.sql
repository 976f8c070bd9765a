--
-- Shared by tests of denormalized tables: queries and their targets, changes of
-- the sources one by one, and what is wrong after each.
--
CREATE TABLE queries (name text PRIMARY KEY, key text[], query text);
-- what denorm_verify() finds, and where the table is not the query's result
CREATE FUNCTION wrong() RETURNS TABLE (name text, problem text) LANGUAGE plpgsql AS $$
DECLARE
	q record;
BEGIN
	FOR q IN SELECT * FROM queries LOOP
		RETURN QUERY SELECT q.name, v.key::text || ' ' || v.problem FROM denorm_verify(q.name::regclass) v;
		RETURN QUERY EXECUTE format('SELECT %L, r || '' extra'' FROM
			(SELECT row_::text FROM %I row_ EXCEPT ALL SELECT row_::text FROM (%s) row_) x (r)', q.name, q.name, q.query);
		RETURN QUERY EXECUTE format('SELECT %L, r || '' missing'' FROM
			(SELECT row_::text FROM (%s) row_ EXCEPT ALL SELECT row_::text FROM %I row_) x (r)', q.name, q.query, q.name);
	END LOOP;
END $$;

-- one statement at a time, each a transaction
CREATE PROCEDURE change(VARIADIC statements text[]) LANGUAGE plpgsql AS $$
DECLARE
	s text;
	w record;
BEGIN
	FOREACH s IN ARRAY statements LOOP
		EXECUTE s;
		-- what DDL changes in the sources is looked at when it commits
		IF s !~ '^(ALTER|DROP) TABLE' AND
			NOT EXISTS (SELECT FROM cachekit_denorm WHERE mode <> 'immediate') THEN
			FOR w IN SELECT * FROM wrong() LOOP
				RAISE WARNING 'at once, %: % %', s, w.name, w.problem;
			END LOOP;
		END IF;
		COMMIT;
		IF NOT denorm_wait() THEN
			RAISE WARNING '%: not applied', s;
		END IF;
		FOR w IN SELECT * FROM wrong() LOOP
			RAISE WARNING '%: % %', s, w.name, w.problem;
		END LOOP;
		COMMIT;
	END LOOP;
END $$;
