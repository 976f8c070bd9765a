--
-- The fuzzer's oracle: asks the cache and the tables under one snapshot.
-- STABLE functions run all their queries under the snapshot of the statement
-- that calls them.
--
CREATE SCHEMA oracle;

CREATE FUNCTION oracle.sorted(rows jsonb) RETURNS jsonb LANGUAGE sql IMMUTABLE AS
$$ SELECT coalesce(jsonb_agg(e ORDER BY e), '[]') FROM jsonb_array_elements(rows) e $$;

CREATE FUNCTION oracle.verdict(b cachekit_stats, cached jsonb, direct jsonb) RETURNS text
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
	a cachekit_stats;
BEGIN
	IF oracle.sorted(cached) IS DISTINCT FROM oracle.sorted(direct) THEN
		RETURN format('WRONG: cached %s, direct %s', cached, direct);
	END IF;
	SELECT * INTO a FROM cachekit_stats;
	RETURN CASE WHEN a.hits > b.hits THEN 'hit' WHEN a.misses > b.misses THEN 'miss' ELSE 'bypass' END;
END $$;

-- cached_query_json: `plain` is the query with its arguments written out
CREATE FUNCTION oracle.ask(query text, args text[], plain text) RETURNS text
LANGUAGE plpgsql STABLE AS $$
DECLARE
	b cachekit_stats;
	cached jsonb;
	direct jsonb;
BEGIN
	SELECT * INTO b FROM cachekit_stats;
	EXECUTE 'SELECT cached_query_json($1, $2)' INTO cached USING query, args;
	EXECUTE format('/*+ nocache */ SELECT jsonb_agg(to_jsonb(x_)) FROM (%s) x_', plain) INTO direct;
	RETURN oracle.verdict(b, cached, coalesce(direct, '[]'));
END $$;

-- transparent mode, with parameters of the statement
CREATE FUNCTION oracle.hint(query text, args int[], plain text) RETURNS text
LANGUAGE plpgsql STABLE AS $$
DECLARE
	b cachekit_stats;
	cached jsonb;
	direct jsonb;
BEGIN
	SELECT * INTO b FROM cachekit_stats;
	EXECUTE format('/*+ cachekit */ SELECT jsonb_agg(to_jsonb(x_)) FROM (%s) x_', query) INTO cached
		USING args[1], args[2], args[3], args[4], args[5], args[6], args[7], args[8];
	EXECUTE format('/*+ nocache */ SELECT jsonb_agg(to_jsonb(x_)) FROM (%s) x_', plain) INTO direct;
	RETURN oracle.verdict(b, coalesce(cached, '[]'), coalesce(direct, '[]'));
END $$;
