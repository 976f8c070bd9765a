--
-- The extension lives in any schema; another one may come in the course of
-- a session
--
SET client_min_messages = warning;
CREATE TABLE moved (a int);
INSERT INTO moved VALUES (1);
SELECT cache_track('moved');
SELECT tbl, tracked FROM cachekit_tracked_tables WHERE tbl = 'moved'::regclass;
DROP EXTENSION cachekit CASCADE;

CREATE SCHEMA elsewhere;
CREATE EXTENSION cachekit SCHEMA elsewhere;
SELECT elsewhere.cache_track('moved');
SELECT tbl, tracked FROM elsewhere.cachekit_tracked_tables;
SELECT * FROM elsewhere.cached_query('SELECT a FROM moved') AS t(a int);
SELECT state FROM elsewhere.cache_explain('SELECT a FROM moved');
UPDATE moved SET a = 2;
SELECT state FROM elsewhere.cache_explain('SELECT a FROM moved');
SELECT * FROM elsewhere.cached_query('SELECT a FROM moved') AS t(a int);

-- a new child is tracked by the event trigger
CREATE TABLE moved_child () INHERITS (moved);
SELECT tbl, tracked FROM elsewhere.cachekit_tracked_tables ORDER BY 1;

ALTER SCHEMA elsewhere RENAME TO nearby;
INSERT INTO moved_child VALUES (3);
SELECT * FROM nearby.cached_query('SELECT a FROM moved ORDER BY a') AS t(a int);
SELECT nearby.cache_untrack('moved');
SELECT * FROM nearby.cachekit_tracked_tables;

DROP EXTENSION cachekit;
DROP SCHEMA nearby;
DROP TABLE moved CASCADE;
CREATE EXTENSION cachekit;
