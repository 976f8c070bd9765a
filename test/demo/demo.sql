-- demo.sql
--   The cache at work: questions, writes, and what became of the answers.

\pset footer off
\pset null ''

-- Writes to these tables invalidate.
SELECT cache_track('maintainers'), cache_track('packages'),
  cache_track('dependencies'), cache_track('provides'), cache_track('tags')
\g /dev/null

\echo
\echo '== The tables'
SELECT (SELECT count(*) FROM packages) AS packages,
  (SELECT count(*) FROM maintainers) AS maintainers,
  (SELECT count(*) FROM dependencies) AS dependencies,
  (SELECT count(*) FROM provides) AS provides,
  (SELECT count(*) FROM tags) AS tags;

\echo '== The questions: directly, through cached_query() the first time, and again'
\echo '   (milliseconds; "wrong" counts rows that differ from the direct answer)'
CREATE TABLE demo.result AS SELECT * FROM demo.race();
INSERT INTO demo.checks SELECT wrong FROM demo.result;
SELECT no, question, rows, direct_ms, first_ms, hit_ms,
  speedup || 'x' AS "speed-up", wrong
FROM demo.result ORDER BY no;

\echo '== A transaction that writes, and rolls back'
\echo '   It sees its own rows at once, the other sessions none, and no entry is lost.'
\echo
CALL demo.remember();
\set ECHO queries
BEGIN;
UPDATE packages SET section = 'attic' WHERE name LIKE 'python3-%';
\set ECHO none
SELECT * FROM cached_query('SELECT section, count(*) FROM packages GROUP BY 1')
  AS t(section text, packages bigint) WHERE section = 'attic';
SELECT after AS "inside, the cache says", count(*) AS questions,
  sum(wrong) AS wrong
FROM demo.aftermath() GROUP BY 1 ORDER BY 1;
SELECT array_agg(wrong) AS inside FROM demo.checks \gset
\set ECHO queries
ROLLBACK;
\set ECHO none
TRUNCATE demo.checks;
INSERT INTO demo.checks SELECT unnest(:'inside'::bigint[]);
SELECT after AS "after the rollback", count(*) AS questions, sum(wrong) AS wrong
FROM demo.aftermath() GROUP BY 1 ORDER BY 1;

\echo '== A maintainer gets a new name: only the answer that reads maintainers goes'
\echo
CALL demo.remember();
\set ECHO queries
UPDATE maintainers SET name = 'The Perl People' WHERE name = 'Debian Perl Group';
\set ECHO none
SELECT * FROM demo.aftermath();

\echo '== Two changes in one transaction: what gnome needs'
\echo '   All answers that read dependencies go, at the commit and not before.'
\echo
CALL demo.remember();
\set ECHO queries
BEGIN;
DELETE FROM dependencies
  WHERE target = 'firefox-esr'
  AND package_id = (SELECT id FROM packages WHERE name = 'gnome');
INSERT INTO dependencies
  SELECT id, 'depends', 99, 1, 'postgresql' FROM packages WHERE name = 'gnome';
COMMIT;
\set ECHO none
SELECT * FROM demo.aftermath();

\echo '== A package moves to another section'
\echo
CALL demo.remember();
\set ECHO queries
UPDATE packages SET section = 'database' WHERE name = 'gnome';
\set ECHO none
SELECT * FROM demo.aftermath();

\echo '== cachekit_stats'
\x on
SELECT * FROM cachekit_stats;
\x off

\echo '== A denormalized table: a package at a glance, kept true while the archive changes'
\echo
\set ECHO queries
SELECT denorm_create('package_summary', $$
  SELECT p.id, p.name, p.version, m.name AS maintainer,
    (SELECT count(DISTINCT d.target) FROM dependencies d
     WHERE d.package_id = p.id AND d.kind = 'depends') AS depends_on,
    (SELECT count(DISTINCT r.package_id) FROM dependencies r
     WHERE r.target = p.name) AS needed_by,
    (SELECT array_agg(t.tag ORDER BY t.tag) FROM tags t WHERE t.package_id = p.id) AS tags
  FROM packages p JOIN maintainers m ON m.id = p.maintainer_id $$, '{id}')
\g /dev/null
SELECT recomputed_by, full_for, sources FROM cachekit_denorm;
SELECT name, maintainer, depends_on, needed_by FROM package_summary WHERE name = 'gnome';
\set ECHO none
\timing on
\set ECHO queries
INSERT INTO dependencies SELECT id, 'recommends', 1000, 1, 'gnome' FROM packages WHERE name = 'postgresql';
DELETE FROM dependencies WHERE kind = 'depends' AND clause = 99
  AND package_id = (SELECT id FROM packages WHERE name = 'gnome');
UPDATE maintainers SET name = upper(name)
  WHERE id = (SELECT maintainer_id FROM packages WHERE name = 'gnome');
\set ECHO none
\timing off
\set ECHO queries
SELECT name, maintainer, depends_on, needed_by FROM package_summary WHERE name = 'gnome';
SELECT count(*) AS "rows that are wrong" FROM denorm_verify('package_summary');
\set ECHO none

\echo '== The end'
SELECT count(*) AS "answers compared", count(*) FILTER (WHERE wrong > 0) AS wrong
FROM demo.checks;
DO $$
BEGIN
  IF EXISTS (SELECT FROM demo.checks WHERE wrong > 0) THEN
    RAISE 'a cached answer was wrong';
  END IF;
  IF EXISTS (SELECT FROM denorm_verify('package_summary')) THEN
    RAISE 'the denormalized table is not true';
  END IF;
  IF EXISTS (SELECT FROM cache_check()) THEN
    RAISE 'cache_check() found something';
  END IF;
END
$$;
