-- harness.sql
--   Asks the questions directly and through the cache, with times, and
--   compares the answers row by row.

CREATE EXTENSION cachekit;

-- The statement that asks the cache: $1 and $2 are the query and its args.
CREATE FUNCTION demo.cached(columns text) RETURNS text
LANGUAGE sql IMMUTABLE AS $$
  SELECT 'SELECT * FROM cached_query($1, $2) AS t(' || columns || ')'
$$;

-- Median of the milliseconds that a question takes, and the rows of its
-- answer.  The answer is computed in full and thrown away.
CREATE FUNCTION demo.timed(q demo.questions, through_cache boolean,
                           rounds integer, OUT ms numeric, OUT n bigint)
LANGUAGE plpgsql AS $$
DECLARE
  started timestamptz;
  times double precision[];
BEGIN
  FOR i IN 1..rounds LOOP
    started := clock_timestamp();
    IF through_cache THEN
      EXECUTE demo.cached(q.columns) USING q.query, q.args;
    ELSE
      EXECUTE q.query USING q.args[1];
    END IF;
    GET DIAGNOSTICS n = ROW_COUNT;
    times := times
      || extract(epoch FROM clock_timestamp() - started)::double precision;
  END LOOP;
  SELECT 1000 * percentile_cont(0.5) WITHIN GROUP (ORDER BY t)
  INTO ms FROM unnest(times) t;
END
$$;

-- The oracle: how many rows of the cached and the direct answer have no
-- partner in the other, under one snapshot.  Right is 0.
CREATE FUNCTION demo.wrong(q demo.questions) RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
  result bigint;
BEGIN
  EXECUTE 'WITH direct AS MATERIALIZED (' || q.query || '),'
    ' cached AS MATERIALIZED (SELECT * FROM cached_query($2, $3)'
    ' AS t(' || q.columns || '))'
    ' SELECT count(*) FROM ((TABLE direct EXCEPT ALL TABLE cached)'
    ' UNION ALL (TABLE cached EXCEPT ALL TABLE direct)) AS difference'
  INTO result USING q.args[1], q.query, q.args;
  RETURN result;
END
$$;

-- Every question: directly, the first time (a miss that fills the cache) and
-- again (hits).  The direct ones have a warm-up first, the cache has none.
CREATE FUNCTION demo.race()
RETURNS TABLE (no integer, question text, "rows" bigint, direct_ms numeric,
               first_ms numeric, hit_ms numeric, speedup numeric, wrong bigint)
LANGUAGE plpgsql AS $$
DECLARE
  q demo.questions;
BEGIN
  FOR q IN SELECT * FROM demo.questions ORDER BY 1 LOOP
    no := q.no;
    question := q.title;
    PERFORM demo.timed(q, false, 1);
    SELECT round(ms, 1), n FROM demo.timed(q, false, 3) INTO direct_ms, rows;
    SELECT round(ms, 1) FROM demo.timed(q, true, 1) INTO first_ms;
    SELECT round(ms, 3) FROM demo.timed(q, true, 9) INTO hit_ms;
    speedup := round(direct_ms / greatest(hit_ms, 0.001));
    wrong := demo.wrong(q);
    RETURN NEXT;
  END LOOP;
END
$$;

-- What the cache would do for each question now, without asking it.
CREATE FUNCTION demo.states()
RETURNS TABLE (no integer, state text, depends_on text)
LANGUAGE sql AS $$
  SELECT q.no, min(e.state),
    (SELECT string_agg(left(d::text, 3), ' ' ORDER BY d::text)
     FROM unnest(min(e.depends_on)) d)
  FROM demo.questions q, cache_explain(q.query, q.args) e
  GROUP BY q.no
$$;

CREATE TABLE demo.before (no integer, state text, depends_on text);
CREATE TABLE demo.checks (wrong bigint);

-- Remember the states; to be called before a write.
CREATE PROCEDURE demo.remember() LANGUAGE sql AS $$
  TRUNCATE demo.before;
  INSERT INTO demo.before SELECT * FROM demo.states();
$$;

-- What became of the entries; then every question again, with the oracle.
CREATE FUNCTION demo.aftermath()
RETURNS TABLE (no integer, question text, depends_on text, before text,
               after text, wrong bigint)
LANGUAGE plpgsql AS $$
DECLARE
  q demo.questions;
  after_write jsonb;
BEGIN
  SELECT jsonb_object_agg(s.no, s.state) FROM demo.states() s
  INTO after_write;
  FOR q IN SELECT * FROM demo.questions ORDER BY 1 LOOP
    SELECT q.no, q.title, b.depends_on, b.state
    FROM demo.before b WHERE b.no = q.no
    INTO no, question, depends_on, before;
    after := after_write ->> q.no::text;
    wrong := demo.wrong(q);
    INSERT INTO demo.checks VALUES (wrong);
    RETURN NEXT;
  END LOOP;
END
$$;
