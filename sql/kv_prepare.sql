-- Prepared transactions and key/value writes.
SELECT cache_clear() >= 0 AS cleared, cache_set('k', 'v');

-- what is pending would not survive
BEGIN;
SELECT cache_set('prepared', 'v');
PREPARE TRANSACTION 'kv';
SELECT cache_exists('prepared');
BEGIN;
SELECT cache_delete('k');
SAVEPOINT s;
SELECT cache_set('prepared', 'v');
PREPARE TRANSACTION 'kv';
BEGIN;
SELECT cache_clear();
\set VERBOSITY sqlstate
PREPARE TRANSACTION 'kv';
\set VERBOSITY default
SELECT cache_get('k');

-- the rest needs a server with max_prepared_transactions
SELECT current_setting('max_prepared_transactions') = '0' AS none \gset
\if :none
\quit
\endif

-- what was rolled back or is immediate is no obstacle
BEGIN;
SAVEPOINT s;
SELECT cache_set('prepared', 'v');
ROLLBACK TO s;
SELECT cache_add('added', 'v');
SET LOCAL cachekit.kv_transactional = off;
SELECT cache_set('k', 'prepared');
PREPARE TRANSACTION 'kv';
SELECT cache_get('k'), cache_get('added');
ROLLBACK PREPARED 'kv';
SELECT cache_get('k');

-- a tag is invalidated when it commits
SELECT cache_set('k', 'v', tags => '{t}');
BEGIN;
SELECT cache_invalidate_tag('t');
PREPARE TRANSACTION 'kv';
SELECT cache_exists('k');
ROLLBACK PREPARED 'kv';
SELECT cache_exists('k');
BEGIN;
SELECT cache_invalidate_tag('t');
PREPARE TRANSACTION 'kv';
SELECT cache_exists('k');
COMMIT PREPARED 'kv';
SELECT cache_exists('k');
SELECT cache_clear() > 0 AS cleared;

-- nor what the maintenance of denormalized tables writes while it is prepared
CREATE TABLE source (g int, v int);
SELECT denorm_create('target', 'SELECT g, sum(v) AS s FROM source GROUP BY g', '{g}', 'deferred');
CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	PERFORM public.cache_set('noted ' || NEW.g, 'v'::text);
	RETURN NEW;
END $$;
CREATE TRIGGER note BEFORE INSERT OR UPDATE ON target FOR EACH ROW EXECUTE FUNCTION note();
BEGIN;
INSERT INTO source VALUES (1, 1);
PREPARE TRANSACTION 'kv';
BEGIN;
SAVEPOINT s;
SELECT cache_set('k', 'v');
ROLLBACK TO s;
INSERT INTO source VALUES (2, 1);
PREPARE TRANSACTION 'kv';
SELECT cache_set('k', 'v'), cache_exists('noted 1'), cache_exists('noted 2');
INSERT INTO source VALUES (3, 1);
SELECT cache_exists('noted 3'), cache_clear() > 0 AS cleared;
SELECT denorm_drop('target');
DROP TABLE source;
DROP FUNCTION note CASCADE;
