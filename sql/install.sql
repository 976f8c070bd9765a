--
-- What the extension consists of; going and coming back.
--
LOAD 'cachekit';
-- everything has a comment
SELECT pg_describe_object(classid, objid, 0) AS "without comment"
FROM pg_depend d
WHERE refclassid = 'pg_extension'::regclass AND deptype = 'e'
	AND refobjid = (SELECT oid FROM pg_extension WHERE extname = 'cachekit')
	AND obj_description(objid, classid::regclass::name) IS NULL
	-- types that come with a view or another type
	AND NOT (classid = 'pg_type'::regclass AND EXISTS (SELECT FROM pg_type t
			 WHERE t.oid = objid AND (typrelid <> 0 OR typelem <> 0)))
ORDER BY 1;
SELECT obj_description(oid, 'pg_extension') FROM pg_extension WHERE extname = 'cachekit';
-- the functions, and what they promise to the planner
SELECT p.oid::regprocedure AS function, prokind AS kind, provolatile AS vol, proparallel AS par,
	proisstrict AS strict, prosecdef AS secdef, proretset AS set, format_type(prorettype, NULL) AS returns
FROM pg_proc p JOIN pg_depend d ON d.objid = p.oid AND d.classid = 'pg_proc'::regclass AND d.deptype = 'e'
	JOIN pg_extension e ON e.oid = d.refobjid AND e.extname = 'cachekit'
ORDER BY p.oid::regprocedure::text COLLATE "C";
-- the views and their columns
SELECT c.oid::regclass AS view, string_agg(attname || ' ' || format_type(atttypid, atttypmod), ', ' ORDER BY attnum) AS columns
FROM pg_class c JOIN pg_depend d ON d.objid = c.oid AND d.classid = 'pg_class'::regclass AND d.deptype = 'e'
	JOIN pg_extension e ON e.oid = d.refobjid AND e.extname = 'cachekit'
	JOIN pg_attribute a ON a.attrelid = c.oid AND attnum > 0
GROUP BY c.oid ORDER BY c.oid::regclass::text COLLATE "C";
SELECT evtname, evtevent, evtenabled, evttags FROM pg_event_trigger ORDER BY evtname COLLATE "C";
SELECT name, context, vartype, unit FROM pg_settings WHERE name LIKE 'cachekit.%' AND name NOT LIKE 'cachekit.debug%' AND name NOT IN ('cachekit.memory', 'cachekit.track') ORDER BY name COLLATE "C";
-- functions of the C library are called by the name that the script gives
SELECT count(*) FROM pg_proc WHERE probin LIKE '%cachekit%' AND prosrc NOT LIKE 'cachekit%';

-- gone with all that depends on it, and nothing else
CREATE TABLE t (id int PRIMARY KEY, v text);
INSERT INTO t VALUES (1, 'one');
SELECT cache_track('t');
CREATE VIEW uses_it AS SELECT cached_query_json('SELECT * FROM t') AS j;
CREATE TRIGGER tags AFTER UPDATE ON t FOR EACH ROW EXECUTE FUNCTION cache_invalidate_tags('t:{id}');
SELECT * FROM uses_it;
DROP EXTENSION cachekit;
BEGIN;
DROP EXTENSION cachekit CASCADE;
UPDATE t SET v = 'in between';
ROLLBACK;
SELECT * FROM uses_it;
UPDATE t SET v = 'uno';
SELECT * FROM uses_it;
DROP EXTENSION cachekit CASCADE;
SELECT count(*) FROM pg_trigger WHERE tgrelid = 't'::regclass;
SELECT count(*) FROM pg_event_trigger;
UPDATE t SET v = 'unseen';
CREATE TABLE while_away (id int);
DROP TABLE while_away;
-- and back: what was stored before is not used
CREATE EXTENSION cachekit;
SELECT state, reason FROM cache_explain('SELECT * FROM t');
SELECT cache_track('t');
SELECT cached_query_json('SELECT * FROM t'), cached_query_json('SELECT * FROM t');
-- in one transaction that fails
BEGIN;
DROP EXTENSION cachekit CASCADE;
UPDATE t SET v = 'away';
CREATE EXTENSION cachekit;
SELECT cache_track('t');
SELECT cached_query_json('SELECT * FROM t');
ROLLBACK;
SELECT cached_query_json('SELECT * FROM t');
-- and in one that does not
BEGIN;
DROP EXTENSION cachekit CASCADE;
UPDATE t SET v = 'away';
CREATE EXTENSION cachekit;
SELECT cache_track('t');
UPDATE t SET v = v || ' and back';
SELECT cached_query_json('SELECT * FROM t');
COMMIT;
SELECT cached_query_json('SELECT * FROM t');
UPDATE t SET v = 'home';
SELECT cached_query_json('SELECT * FROM t');

-- every upgrade path leads to the default version
SELECT count(*) AS "no way to the default version"
FROM pg_available_extension_versions v
WHERE name = 'cachekit' AND version <> (SELECT default_version FROM pg_available_extensions WHERE name = 'cachekit')
	AND NOT EXISTS (SELECT FROM pg_extension_update_paths('cachekit') p
					WHERE p.source = v.version AND p.target = (SELECT default_version FROM pg_available_extensions WHERE name = 'cachekit') AND path IS NOT NULL);
ALTER EXTENSION cachekit UPDATE;
-- it stays where it is, in the schema that it was made in
ALTER EXTENSION cachekit SET SCHEMA pg_catalog;
-- only a superuser makes it
SELECT superuser, trusted, relocatable FROM pg_available_extension_versions WHERE name = 'cachekit' AND version = (SELECT extversion FROM pg_extension WHERE extname = 'cachekit');
SELECT * FROM cache_check();
DROP TABLE t;
