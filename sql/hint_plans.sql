--
-- The plan of a hinted query, kept for its misses, follows changes of what it
-- was made for.
--
SET client_min_messages = warning;
SELECT cache_flush() >= 0 AS loaded;
CREATE TABLE hp (id int, v int);
INSERT INTO hp SELECT i, i FROM generate_series(1, 1000) i;
CREATE INDEX hp_id ON hp (id);
ANALYZE hp;
SELECT cache_track('hp');
CREATE FUNCTION hp_missed() RETURNS bool LANGUAGE plpgsql AS $$
DECLARE
  one bool;
BEGIN
  SELECT misses = 1 AND hits = 0 INTO one FROM cachekit_stats;
  PERFORM cache_reset_stats();
  RETURN one;
END $$;

-- an index goes
SELECT cache_reset_stats();
/*+ cachekit */ SELECT v FROM hp WHERE id = 7;
SELECT hp_missed();
UPDATE hp SET v = 70 WHERE id = 7;
/*+ cachekit */ SELECT v FROM hp WHERE id = 7;
SELECT hp_missed();
DROP INDEX hp_id;
UPDATE hp SET v = 71 WHERE id = 7;
/*+ cachekit */ SELECT v FROM hp WHERE id = 7;
SELECT hp_missed();

-- a domain gets a constraint, which the planner had left out as there was none
CREATE DOMAIN hp_domain AS int;
CREATE VIEW hp_view AS SELECT v::hp_domain FROM hp WHERE id = 7;
SELECT cache_reset_stats();
/*+ cachekit */ SELECT * FROM hp_view;
SELECT hp_missed();
UPDATE hp SET v = 72 WHERE id = 7;
/*+ cachekit */ SELECT * FROM hp_view;
SELECT hp_missed();
ALTER DOMAIN hp_domain ADD CONSTRAINT hp_small CHECK (value < 10);
/*+ cachekit */ SELECT * FROM hp_view;
SELECT * FROM cached_query(NULL::hp_view, 'SELECT * FROM hp_view');
ALTER DOMAIN hp_domain DROP CONSTRAINT hp_small;
/*+ cachekit */ SELECT * FROM hp_view;
ALTER DOMAIN hp_domain ADD CONSTRAINT hp_random CHECK (value > random());
SELECT cacheable, reason FROM cache_explain('SELECT * FROM hp_view');
/*+ cachekit */ SELECT * FROM hp_view;

DROP VIEW hp_view;
DROP DOMAIN hp_domain;
DROP FUNCTION hp_missed;
DROP TABLE hp;
