-- questions.sql
--   What one may want to know of a package archive.  Every question has one
--   right answer (ties are broken, nothing depends on the time), so a cached
--   answer can be compared with a direct one row by row.

CREATE SCHEMA demo;

CREATE TABLE demo.questions (
  no      integer PRIMARY KEY,
  title   text NOT NULL,
  columns text NOT NULL,        -- the column list that cached_query needs
  args    text[] NOT NULL DEFAULT '{}',
  query   text NOT NULL
);

INSERT INTO demo.questions (no, title, columns, args, query) VALUES
(1, 'most wanted packages', 'target text, wanted_by bigint', '{}', $$
SELECT target, count(DISTINCT package_id) AS wanted_by
FROM dependencies
WHERE kind IN ('depends', 'pre-depends')
GROUP BY target
ORDER BY wanted_by DESC, target
LIMIT 20 $$),

(2, 'all that gnome pulls in', 'packages bigint, megabytes numeric', '{gnome}', $$
WITH RECURSIVE closure(id) AS (
  SELECT id FROM packages WHERE name = $1
  UNION
  SELECT t.id
  FROM closure c
  JOIN dependencies d ON d.package_id = c.id
    AND d.kind IN ('depends', 'pre-depends') AND d.alternative = 1
  JOIN packages t ON t.name = d.target
)
SELECT count(*), round(sum(p.installed_size) / 1024.0)
FROM closure JOIN packages p USING (id) $$),

(3, 'all that would miss libssl3', 'section text, packages bigint',
 '{libssl3}', $$
WITH RECURSIVE users(name) AS (
  SELECT $1
  UNION
  SELECT p.name
  FROM users u
  JOIN dependencies d ON d.target = u.name
    AND d.kind IN ('depends', 'pre-depends') AND d.alternative = 1
  JOIN packages p ON p.id = d.package_id
)
SELECT p.section, count(*)
FROM users JOIN packages p USING (name)
GROUP BY p.section
ORDER BY count(*) DESC, p.section $$),

(4, 'maintainer league',
 'rank bigint, name text, packages bigint, sections bigint, gigabytes numeric',
 '{}', $$
SELECT rank() OVER (ORDER BY count(*) DESC), m.name, count(*),
  count(DISTINCT p.section), round(sum(p.installed_size) / 1048576.0, 2)
FROM packages p JOIN maintainers m ON m.id = p.maintainer_id
GROUP BY m.id, m.name
ORDER BY count(*) DESC, m.name, m.id
LIMIT 25 $$),

(5, 'size by section',
 'section text, packages bigint, gigabytes numeric, median_kb double precision, largest text',
 '{}', $$
SELECT section, count(*), round(sum(installed_size) / 1048576.0, 2),
  percentile_cont(0.5) WITHIN GROUP (ORDER BY installed_size),
  (array_agg(name ORDER BY installed_size DESC, name))[1]
FROM packages
GROUP BY section
ORDER BY sum(installed_size) DESC, section $$),

(6, 'packages that nobody mentions', 'section text, packages bigint, share numeric',
 '{}', $$
SELECT p.section, count(*) FILTER (WHERE d.target IS NULL),
  round(100.0 * count(*) FILTER (WHERE d.target IS NULL) / count(*), 1)
FROM packages p
LEFT JOIN (SELECT DISTINCT target FROM dependencies) d ON d.target = p.name
GROUP BY p.section
ORDER BY 2 DESC, 1 $$),

(7, 'how deep gnome goes', 'depth integer, packages bigint, names text',
 '{gnome}', $$
WITH RECURSIVE walk(name, depth) AS (
  SELECT $1, 0
  UNION
  SELECT d.target, w.depth + 1
  FROM walk w
  JOIN packages p ON p.name = w.name
  JOIN dependencies d ON d.package_id = p.id
    AND d.kind IN ('depends', 'pre-depends')
  WHERE w.depth < 8
),
nearest AS (
  SELECT name, min(depth) AS depth FROM walk GROUP BY name
)
SELECT depth, count(*), left(string_agg(name, ' ' ORDER BY name), 60)
FROM nearest
GROUP BY depth
ORDER BY depth $$),

(8, 'dependencies with most alternatives',
 'name text, kind text, clause integer, alternatives bigint', '{}', $$
SELECT p.name, d.kind, d.clause, count(*)
FROM dependencies d JOIN packages p ON p.id = d.package_id
GROUP BY p.name, d.kind, d.clause
HAVING count(*) > 3
ORDER BY count(*) DESC, p.name, d.kind, d.clause
LIMIT 30 $$),

(9, 'families by name', 'family text, packages bigint, sources bigint, maintainers bigint',
 '{}', $$
SELECT split_part(name, '-', 1), count(*), count(DISTINCT source),
  count(DISTINCT maintainer_id)
FROM packages
GROUP BY 1
HAVING count(*) >= 50
ORDER BY 2 DESC, 1 $$),

(10, 'heaviest metapackages', 'name text, packages bigint, gigabytes numeric',
 '{metapackages}', $$
WITH RECURSIVE closure(root, id) AS (
  SELECT id, id FROM packages WHERE section = $1 AND name LIKE '%-all'
  UNION
  SELECT c.root, t.id
  FROM closure c
  JOIN dependencies d ON d.package_id = c.id
    AND d.kind IN ('depends', 'pre-depends') AND d.alternative = 1
  JOIN packages t ON t.name = d.target
)
SELECT r.name, count(*), round(sum(p.installed_size) / 1048576.0, 2)
FROM closure c
JOIN packages r ON r.id = c.root
JOIN packages p ON p.id = c.id
GROUP BY r.name
ORDER BY sum(p.installed_size) DESC, r.name
LIMIT 15 $$),

(11, 'pairs that need each other', 'one text, other text', '{}', $$
SELECT a.name, b.name
FROM dependencies x
JOIN packages a ON a.id = x.package_id
JOIN packages b ON b.name = x.target
JOIN dependencies y ON y.package_id = b.id AND y.target = a.name
WHERE x.kind = 'depends' AND y.kind = 'depends' AND a.name < b.name
ORDER BY a.name, b.name $$),

(12, 'wishes that nobody fulfils', 'target text, kind text, wanted_by bigint',
 '{}', $$
SELECT d.target, d.kind, count(DISTINCT d.package_id)
FROM dependencies d
WHERE d.kind IN ('depends', 'pre-depends', 'recommends')
  AND NOT EXISTS (SELECT FROM packages p WHERE p.name = d.target)
  AND NOT EXISTS (SELECT FROM provides v WHERE v.name = d.target)
GROUP BY d.target, d.kind
ORDER BY 3 DESC, 1, 2
LIMIT 40 $$),

(13, 'languages by tag', 'language text, packages bigint, median_kb double precision, maintainers bigint',
 '{implemented-in::}', $$
SELECT substr(t.tag, length($1) + 1), count(*),
  percentile_cont(0.5) WITHIN GROUP (ORDER BY p.installed_size),
  count(DISTINCT p.maintainer_id)
FROM tags t JOIN packages p ON p.id = t.package_id
WHERE starts_with(t.tag, $1)
GROUP BY 1
ORDER BY 2 DESC, 1 $$),

(14, 'summaries that say fast', 'name text, section text, summary text',
 '{fast|quick|speed}', $$
SELECT name, section, summary
FROM packages
WHERE summary ~* ('\m(' || $1 || ')')
ORDER BY name $$),

(15, 'cheap packages with dear dependencies',
 'name text, own_kb bigint, dependencies_kb numeric', '{}', $$
SELECT p.name, p.installed_size, sum(t.installed_size)
FROM packages p
JOIN dependencies d ON d.package_id = p.id AND d.kind = 'depends'
  AND d.alternative = 1
JOIN packages t ON t.name = d.target
GROUP BY p.id, p.name, p.installed_size
ORDER BY sum(t.installed_size) - p.installed_size DESC, p.name
LIMIT 20 $$),

(16, 'what is asked of libc6', 'kind text, relation text, version text, packages bigint',
 '{libc6}', $$
SELECT kind, relation, version, count(DISTINCT package_id)
FROM dependencies
WHERE target = $1
GROUP BY kind, relation, version
ORDER BY 4 DESC, 1, 2, 3 $$);
