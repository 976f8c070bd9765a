--
-- The oracle of the tests of cached queries.
--
-- probe() asks the cache and the tables in one statement, hence under one
-- snapshot, and tells how the cache answered (hit, miss, bypass), by its
-- counters.  It adds both answers when they differ: no expected output has
-- such a line.
--
CREATE SCHEMA oracle;
GRANT USAGE ON SCHEMA oracle TO PUBLIC;

CREATE FUNCTION oracle.counters(OUT hits bigint, OUT misses bigint, OUT bypasses bigint)
LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
	SELECT s.hits, s.misses, s.bypasses INTO hits, misses, bypasses
	FROM cachekit_stat_counters() s;
END $$;

-- the elements of an array as a set
CREATE FUNCTION oracle.sorted(rows jsonb) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
	RETURN (SELECT coalesce(jsonb_agg(e ORDER BY e), '[]') FROM jsonb_array_elements(rows) e);
END $$;

CREATE FUNCTION oracle.probe(query text, args text[] DEFAULT '{}', ttl interval DEFAULT NULL)
RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
	b record;
	a record;
	cached jsonb;
	direct jsonb;
	plain text := query;
	state text;
BEGIN
	FOR i IN REVERSE coalesce(array_length(args, 1), 0) .. 1 LOOP
		plain := replace(plain, '$' || i, quote_nullable(args[i]));
	END LOOP;
	b := oracle.counters();
	EXECUTE format('SELECT cached_query_json($1, $2, ttl => $3),'
				   ' (SELECT coalesce(jsonb_agg(to_jsonb(oracle_row)), ''[]'') FROM (%s) oracle_row)', plain)
		INTO cached, direct USING query, args, ttl;
	a := oracle.counters();
	state := CASE WHEN a.hits > b.hits THEN 'hit'
				  WHEN a.misses > b.misses THEN 'miss'
				  WHEN a.bypasses > b.bypasses THEN 'bypass' END;
	IF oracle.sorted(cached) IS DISTINCT FROM oracle.sorted(direct) THEN
		RETURN format('WRONG %s: cached %s, direct %s', state, cached, direct);
	END IF;
	RETURN state;
END $$;

-- The same for the form that returns rows; columns are those of rowtype.
CREATE FUNCTION oracle.probe_rows(query text, columns text, args text[] DEFAULT '{}')
RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
	b record;
	a record;
	wrong bigint;
	plain text := query;
	state text;
BEGIN
	FOR i IN REVERSE coalesce(array_length(args, 1), 0) .. 1 LOOP
		plain := replace(plain, '$' || i, quote_nullable(args[i]));
	END LOOP;
	b := oracle.counters();
	EXECUTE format('WITH cached AS MATERIALIZED (SELECT oracle_row::text FROM cached_query($1, $2) AS oracle_row(%s)),'
				   ' direct AS MATERIALIZED (SELECT oracle_row::text FROM (%s) oracle_row)'
				   ' SELECT (SELECT count(*) FROM (SELECT * FROM cached EXCEPT ALL SELECT * FROM direct) y)'
				   '      + (SELECT count(*) FROM (SELECT * FROM direct EXCEPT ALL SELECT * FROM cached) y)',
				   columns, plain)
		INTO wrong USING query, args;
	a := oracle.counters();
	state := CASE WHEN a.hits > b.hits THEN 'hit'
				  WHEN a.misses > b.misses THEN 'miss'
				  WHEN a.bypasses > b.bypasses THEN 'bypass' END;
	RETURN CASE WHEN wrong = 0 THEN state ELSE format('WRONG %s: %s rows', state, wrong) END;
END $$;

-- Fill, see that a hit comes next, write, commit, and look again: one line
-- per query, "before -> after".
CREATE PROCEDURE oracle.after(write text, VARIADIC queries text[])
LANGUAGE plpgsql AS $$
DECLARE
	q text;
	before text[] := '{}';
	line text := '';
BEGIN
	FOREACH q IN ARRAY queries LOOP
		PERFORM oracle.probe(q);
		before := before || oracle.probe(q);
	END LOOP;
	COMMIT;
	IF write <> '' THEN
		EXECUTE write;
	END IF;
	COMMIT;
	FOR i IN 1 .. array_length(queries, 1) LOOP
		line := line || format('%s%s -> %s', CASE WHEN i > 1 THEN ', ' ELSE '' END,
							   before[i], oracle.probe(queries[i]));
	END LOOP;
	RAISE NOTICE '%', line;
END $$;

-- Run a query directly and through the cache: are the errors the same?
CREATE FUNCTION oracle.probe_error(query text, args text[] DEFAULT '{}')
RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
	cached text := 'no error';
	direct text := 'no error';
	plain text := query;
BEGIN
	FOR i IN REVERSE coalesce(array_length(args, 1), 0) .. 1 LOOP
		plain := replace(plain, '$' || i, quote_nullable(args[i]));
	END LOOP;
	BEGIN
		PERFORM cached_query_json(query, args);
	EXCEPTION WHEN OTHERS THEN
		cached := SQLSTATE || ' ' || SQLERRM;
	END;
	BEGIN
		EXECUTE plain;
	EXCEPTION WHEN OTHERS THEN
		direct := SQLSTATE || ' ' || SQLERRM;
	END;
	RETURN CASE WHEN cached = direct THEN cached
				ELSE format('WRONG: cached %s, direct %s', cached, direct) END;
END $$;
SET search_path = public, oracle;
