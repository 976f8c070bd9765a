--
-- Denormalized tables: making, changing and dropping them, and what is refused.
--
CREATE SCHEMA s;
CREATE TABLE c (id int PRIMARY KEY, name text NOT NULL);
CREATE TABLE o (id int PRIMARY KEY, c int REFERENCES c ON DELETE CASCADE, v numeric);
INSERT INTO c VALUES (1, 'one'), (2, 'two');
INSERT INTO o VALUES (1, 1, 10), (2, 1, 20), (3, 2, 5);

-- arguments
SELECT denorm_create(NULL, 'SELECT 1', '{a}');
SELECT denorm_create('d', NULL, '{a}');
SELECT denorm_create('d', 'SELECT id FROM c', NULL);
SELECT denorm_create('d', 'SELECT id FROM c', '{}');
SELECT denorm_create('d', 'SELECT id FROM c', '{id,NULL}');
SELECT denorm_create('d', 'SELECT id FROM c', '{id,id}');
SELECT denorm_create('d', 'SELECT id FROM c', '{nope}');
SELECT denorm_create('d', 'SELECT id FROM c', '{id}', 'sometimes');
SELECT denorm_create('d', 'SELECT id FROM c; SELECT 1', '{id}');
SELECT denorm_create('d', 'DELETE FROM c RETURNING id', '{id}');
SELECT denorm_create('d', 'SELECT id INTO x FROM c', '{id}');
SELECT denorm_create('d', 'SELECT id FROM c WHERE', '{id}');
SELECT denorm_create('d', 'SELECT id FROM c WHERE id = $1', '{id}');
SELECT denorm_create('c', 'SELECT id FROM c', '{id}');
SELECT denorm_create('nowhere.d', 'SELECT id FROM c', '{id}');
SELECT denorm_create('pg_temp.d', 'SELECT id FROM c', '{id}');
SELECT denorm_create('d', 'SELECT id, point(1, 2) AS p FROM c', '{p}');
SELECT denorm_create('d', 'SELECT c, v FROM o', '{c}', unique_key => true);
SELECT denorm_refresh('c');
SELECT denorm_drop('c');
SELECT * FROM denorm_verify('c');
SELECT denorm_refresh(NULL);

-- what can not be kept true is refused, by name
CREATE FUNCTION stable_one() RETURNS int LANGUAGE sql STABLE AS 'SELECT 1';
CREATE MATERIALIZED VIEW m AS SELECT * FROM c;
CREATE TEMP TABLE t (id int);
CREATE TABLE guarded (id int PRIMARY KEY);
CREATE UNLOGGED TABLE u (id int);
SELECT denorm_create('d', 'SELECT id, random() FROM c', '{id}');
SELECT denorm_create('d', 'SELECT id, now() AS at FROM c', '{id}');
SELECT denorm_create('d', 'SELECT id FROM c WHERE name = current_user', '{id}');
SELECT denorm_create('d', 'SELECT id, current_date AS day FROM c', '{id}');
SELECT denorm_create('d', 'SELECT id, current_setting(''TimeZone'') AS z FROM c', '{id}');
SELECT denorm_create('d', 'SELECT id, stable_one() FROM c', '{id}');
SELECT denorm_create('d', 'SELECT id, nextval(''pg_catalog.x'') FROM c', '{id}');
SELECT denorm_create('d', 'SELECT id, ctid FROM c', '{id}');
SELECT denorm_create('d', 'SELECT id, tableoid FROM c', '{id}');
SELECT denorm_create('d', 'SELECT id FROM c FOR UPDATE', '{id}');
SELECT denorm_create('d', 'SELECT id FROM c TABLESAMPLE SYSTEM (10)', '{id}');
SELECT denorm_create('d', 'SELECT id FROM m', '{id}');
SELECT denorm_create('d', 'SELECT id FROM t', '{id}');
SELECT denorm_create('d', 'SELECT id FROM u', '{id}');
SELECT denorm_create('d', 'SELECT oid FROM pg_class', '{oid}');
SELECT denorm_create('d', 'WITH RECURSIVE r AS (SELECT id FROM c UNION SELECT id + 1 FROM r WHERE id < 9) SELECT id FROM r', '{id}');
SELECT denorm_create('d', 'WITH w AS (DELETE FROM c RETURNING id) SELECT id FROM w', '{id}');
SELECT to_regclass('d'), to_regclass('d_def'), (SELECT count(*) FROM cachekit_denorm_def);

-- immediate: seen at once, gone after a rollback
SELECT denorm_create('s.sums', 'SELECT c.id, c.name, count(o.id) AS n, coalesce(sum(o.v), 0) AS v
	FROM public.c LEFT JOIN public.o ON o.c = c.id GROUP BY c.id;', '{id}');
\d s.sums
TABLE s.sums;
SELECT * FROM cachekit_denorm \gx
BEGIN;
INSERT INTO o VALUES (4, 2, 7);
SELECT * FROM s.sums WHERE id = 2;
SAVEPOINT a;
UPDATE o SET c = 1 WHERE id = 3;
SELECT * FROM s.sums ORDER BY id;
ROLLBACK TO a;
SELECT * FROM s.sums ORDER BY id;
ROLLBACK;
SELECT * FROM s.sums ORDER BY id;
-- only what differs is written
SELECT xmin AS before FROM s.sums WHERE id = 1 \gset
UPDATE o SET v = v WHERE id = 1;
UPDATE c SET name = name;
SELECT xmin = :'before'::xid AS untouched FROM s.sums WHERE id = 1;
SELECT denorm_refresh('s.sums');
-- damage is found, and repaired
UPDATE s.sums SET v = -1 WHERE id = 1;
DELETE FROM s.sums WHERE id = 2;
INSERT INTO s.sums VALUES (99, 'x');
SELECT * FROM denorm_verify('s.sums') ORDER BY key;
SELECT denorm_refresh('s.sums');
SELECT * FROM denorm_verify('s.sums');

-- deferred: at commit, once
CREATE TABLE log (id int, n bigint, what text);
-- (maintenance has a search_path of its own)
CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO public.log VALUES (coalesce(new.id, old.id), new.n, tg_op);
	RETURN NULL;
END $$;
CREATE TRIGGER note AFTER INSERT OR UPDATE OR DELETE ON s.sums FOR EACH ROW EXECUTE FUNCTION note();
SELECT denorm_set_mode('s.sums', 'deferred');
BEGIN;
DO $$ BEGIN FOR i IN 100 .. 199 LOOP INSERT INTO o VALUES (i, 1, 1); END LOOP; END $$;
SELECT n FROM s.sums WHERE id = 1;
COMMIT;
SELECT n FROM s.sums WHERE id = 1;
SELECT * FROM log;
BEGIN;
INSERT INTO o VALUES (200, 2, 1);
SAVEPOINT a;
DELETE FROM o WHERE c = 1;
ROLLBACK TO a;
COMMIT;
SELECT * FROM log;
BEGIN;
DELETE FROM o WHERE id >= 100;
PREPARE TRANSACTION 'denorm';
SELECT n FROM s.sums ORDER BY id;
COMMIT PREPARED 'denorm';
SELECT n FROM s.sums ORDER BY id;
TRUNCATE log;
-- triggers that the writes to the target defer are run, too
CREATE TABLE marks (id int PRIMARY KEY);
INSERT INTO marks VALUES (1), (2);
ALTER TABLE s.sums ADD FOREIGN KEY (id) REFERENCES marks DEFERRABLE INITIALLY DEFERRED;
INSERT INTO c VALUES (3, 'three');
INSERT INTO marks VALUES (3);
INSERT INTO c VALUES (3, 'three');
SELECT * FROM denorm_verify('s.sums');
SELECT denorm_set_mode('s.sums', 'never');

-- a target as a source
SELECT denorm_create('total', 'SELECT n > 1 AS many, sum(v) AS v, count(*) AS n FROM s.sums GROUP BY 1', '{many}', 'deferred');
INSERT INTO o VALUES (300, 3, 1000), (301, 3, 1000);
TABLE total;
SELECT * FROM denorm_verify('total');
SELECT denorm_drop('total');

-- tracked and cached like any table
SELECT cache_track('s.sums');
SELECT cached_query_json('SELECT id, n FROM s.sums ORDER BY id');
SELECT cached_query_json('SELECT id, n FROM s.sums ORDER BY id');
INSERT INTO o VALUES (302, 3, 1);
SELECT cached_query_json('SELECT id, n FROM s.sums ORDER BY id');

-- DDL on sources, as for a view
ALTER TABLE o DROP COLUMN v;
ALTER TABLE o ALTER COLUMN v TYPE float8;
ALTER TABLE o RENAME COLUMN v TO value;
ALTER TABLE o RENAME TO "Orders of c";
ALTER TABLE c SET SCHEMA s;
ALTER TABLE s.sums RENAME TO summary;
ALTER TABLE s.summary SET SCHEMA public;
ALTER TABLE "Orders of c" ADD COLUMN extra text DEFAULT 'x';
ALTER TABLE summary ADD COLUMN mine int DEFAULT 7;
INSERT INTO "Orders of c" VALUES (303, 3, 100);
SELECT * FROM summary WHERE id = 3;
SELECT * FROM denorm_verify('summary');
SELECT target, definition, sources FROM cachekit_denorm;
DROP TABLE "Orders of c";
DROP TABLE "Orders of c" CASCADE;
SELECT count(*) FROM cachekit_denorm;
SELECT tgname FROM pg_trigger WHERE tgrelid = 's.c'::regclass AND tgname LIKE 'cachekit\_denorm%';
DROP TABLE summary, log, marks;
-- dropping the target
SELECT denorm_create('names', 'SELECT name, count(*) AS n FROM s.c GROUP BY name', '{name}');
DROP TABLE names;
SELECT to_regclass('names_def'), count(*) FROM cachekit_denorm_def;
SELECT tgname FROM pg_trigger WHERE tgrelid = 's.c'::regclass AND tgname LIKE 'cachekit\_denorm%';
SELECT denorm_create('names', 'SELECT name, count(*) AS n FROM s.c GROUP BY name', '{name}');
SELECT denorm_drop('names', keep_table => true);
INSERT INTO s.c VALUES (4, 'four');
TABLE names ORDER BY name;
DROP TABLE names;

-- types whose equality is not that of bytes
CREATE TABLE odd (k numeric, t char(5), v json);
SELECT denorm_create('d', 'SELECT k, t, count(*) AS n, min(v::text)::json AS v FROM odd GROUP BY k, t', '{k,t}');
INSERT INTO odd VALUES (1.0, 'a', '{}'), (1.00, 'a  ', '[1]'), (NULL, NULL, NULL), (NULL, NULL, 'null'), (1, NULL, '2');
SELECT k::int, t, n, v FROM d ORDER BY k, t;
UPDATE odd SET k = 2.50 WHERE k = 1 AND t IS NULL;
DELETE FROM odd WHERE v::text = '[1]';
SELECT k::text, t, n, v FROM d ORDER BY k, t;
SELECT * FROM denorm_verify('d');
SELECT denorm_drop('d');
DROP TABLE odd;

-- bulk: a change of very many keys
CREATE TABLE big (id int PRIMARY KEY, g int, v int);
INSERT INTO big SELECT i, i % 3000, i FROM generate_series(1, 9000) i;
SELECT denorm_create('d', 'SELECT g, sum(v) AS v FROM big GROUP BY g', '{g}');
UPDATE big SET v = v + 1;
SELECT * FROM denorm_verify('d');
CREATE INDEX ON big (g);
ANALYZE big, d;
UPDATE big SET g = g + 1 WHERE id < 1500;
SELECT * FROM denorm_verify('d');
BEGIN;
DO $$ BEGIN FOR i IN 1 .. 1200 LOOP UPDATE big SET v = 0 WHERE id = i; END LOOP; END $$;
SELECT count(*) < 1100 AS bounded FROM pg_locks WHERE locktype = 'advisory';
COMMIT;
SELECT * FROM denorm_verify('d');
SELECT denorm_drop('d');
DROP TABLE big;

-- settings are those of the creation
CREATE TABLE at (id int PRIMARY KEY, t timestamptz);
SET TimeZone = 'UTC';
SET DateStyle = 'ISO';
SELECT denorm_create('d', 'SELECT id, t::date AS day, t::text AS text, to_char(t, ''HH24'') AS hour FROM at', '{id}');
SET TimeZone = 'Asia/Tokyo';
SET DateStyle = 'German';
INSERT INTO at VALUES (1, '2024-01-01 23:30+00');
TABLE d;
SHOW TimeZone;
SELECT * FROM denorm_verify('d');
RESET TimeZone;
RESET DateStyle;
SELECT denorm_drop('d');
DROP TABLE at;

-- by hand
CREATE TABLE base (id int PRIMARY KEY, k int, v int);
CREATE TABLE other (k int, what text);
SELECT denorm_create('d', 'SELECT k, sum(v) AS v, (SELECT count(*) FROM other x WHERE x.k = b.k) AS n FROM base b GROUP BY k', '{k}', attach => false);
SELECT count(*) FROM pg_trigger WHERE tgname LIKE 'cachekit\_denorm%';
CREATE TRIGGER by_row AFTER INSERT OR UPDATE OR DELETE ON base FOR EACH ROW EXECUTE FUNCTION denorm_refresh_row('d', 'k');
CREATE TRIGGER by_statement AFTER INSERT ON other REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION denorm_refresh_row('public.d');
INSERT INTO base VALUES (1, 1, 10), (2, 1, 20), (3, 2, 30);
INSERT INTO other VALUES (1, 'x'), (2, 'y'), (2, 'z');
TABLE d ORDER BY k;
UPDATE base SET k = 3 WHERE id = 2;
DELETE FROM base WHERE id = 3;
TABLE d ORDER BY k;
SELECT * FROM denorm_verify('d');
-- not what its triggers say
DELETE FROM other;
SELECT * FROM denorm_verify('d');
CREATE TRIGGER whole AFTER DELETE ON other FOR EACH STATEMENT EXECUTE FUNCTION denorm_refresh_row('d');
DELETE FROM other;
SELECT * FROM denorm_verify('d');
CREATE TRIGGER wrong AFTER UPDATE ON base FOR EACH ROW EXECUTE FUNCTION denorm_refresh_row('d', 'nope');
UPDATE base SET v = 0;
DROP TRIGGER wrong ON base;
CREATE TRIGGER wrong AFTER UPDATE ON base FOR EACH ROW EXECUTE FUNCTION denorm_refresh_row('d', 'k', 'v');
UPDATE base SET v = 0;
DROP TRIGGER wrong ON base;
CREATE TRIGGER wrong BEFORE UPDATE ON base FOR EACH ROW EXECUTE FUNCTION denorm_refresh_row('d', 'k');
UPDATE base SET v = 0;
DROP TRIGGER wrong ON base;
CREATE TRIGGER wrong AFTER UPDATE ON base FOR EACH ROW EXECUTE FUNCTION denorm_refresh_row('base', 'k');
UPDATE base SET v = 0;
DROP TRIGGER wrong ON base;
CREATE TRIGGER wrong AFTER UPDATE ON other FOR EACH ROW EXECUTE FUNCTION denorm_refresh_row('d', 'what');
INSERT INTO other VALUES (1, 'x');
UPDATE other SET what = 'y';
DROP TRIGGER wrong ON other;
CREATE TRIGGER wrong AFTER UPDATE ON base FOR EACH ROW EXECUTE FUNCTION denorm_refresh_row();
UPDATE base SET v = 0;
SELECT denorm_refresh_row();
SELECT denorm_drop('d');
DROP TABLE base, other;

-- roles
CREATE ROLE denorm_maker;
CREATE ROLE denorm_writer;
GRANT CREATE, USAGE ON SCHEMA public TO denorm_maker;
CREATE TABLE theirs (id int PRIMARY KEY, v int);
GRANT SELECT, INSERT, UPDATE ON theirs TO denorm_writer;
SET ROLE denorm_maker;
SELECT denorm_create('d', 'SELECT id, v FROM theirs', '{id}');
RESET ROLE;
GRANT EXECUTE ON FUNCTION denorm_create, denorm_drop, denorm_verify, denorm_set_mode, denorm_refresh, denorm_wait TO denorm_maker;
SET ROLE denorm_maker;
SELECT denorm_create('d', 'SELECT id, v FROM theirs', '{id}');
RESET ROLE;
GRANT SELECT, TRIGGER ON theirs TO denorm_maker;
SET ROLE denorm_maker;
SELECT denorm_create('d', 'SELECT id, v FROM theirs', '{id}');
RESET ROLE;
ALTER TABLE theirs OWNER TO denorm_maker;
SET ROLE denorm_maker;
SELECT denorm_create('d', 'SELECT id, v FROM theirs', '{id}');
-- who writes to the source need not be allowed anything on the target
SET ROLE denorm_writer;
INSERT INTO theirs VALUES (1, 1);
TABLE d;
SET ROLE denorm_maker;
TABLE d;
SELECT * FROM denorm_verify('d');
SELECT denorm_set_mode('d', 'async');
SET ROLE denorm_writer;
INSERT INTO theirs VALUES (2, 2);
TABLE cachekit_denorm_queue;
SET ROLE denorm_maker;
SELECT denorm_wait('d');
TABLE d ORDER BY id;
RESET ROLE;
-- row security of the target does not hold back its maintenance
ALTER TABLE d ENABLE ROW LEVEL SECURITY;
ALTER TABLE d FORCE ROW LEVEL SECURITY;
SELECT denorm_set_mode('d', 'immediate');
SET ROLE denorm_writer;
INSERT INTO theirs VALUES (3, 3);
RESET ROLE;
TABLE d ORDER BY id;
-- that of a source does not let rows be left out
CREATE TABLE guard (id int PRIMARY KEY);
ALTER TABLE guard ENABLE ROW LEVEL SECURITY;
GRANT SELECT, TRIGGER ON guard TO denorm_maker;
SET ROLE denorm_maker;
SELECT denorm_create('g', 'SELECT id FROM guard', '{id}');
RESET ROLE;
-- others' targets
CREATE ROLE denorm_other;
GRANT EXECUTE ON FUNCTION denorm_drop, denorm_verify, denorm_set_mode, denorm_refresh TO denorm_other;
SET ROLE denorm_other;
SELECT denorm_drop('d');
SELECT denorm_refresh('d');
SELECT denorm_set_mode('d', 'async');
SELECT * FROM denorm_verify('d');
RESET ROLE;
SELECT denorm_drop('d');
DROP TABLE theirs, guard, guarded;
DROP OWNED BY denorm_maker, denorm_writer, denorm_other;
DROP ROLE denorm_maker, denorm_writer, denorm_other;
DROP MATERIALIZED VIEW m;
DROP TABLE s.c CASCADE;
DROP SCHEMA s CASCADE;
DROP FUNCTION stable_one, note;
DROP TABLE t, u;
SELECT count(*) FROM pg_trigger WHERE tgname LIKE 'cachekit\_denorm%';
SELECT * FROM cache_check();
