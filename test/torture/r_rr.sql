\set i random(1, 12)
\set d random(0, 15000)
\set e random(0, 8000)
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT count(*) FROM pg_class WHERE oid = 1259;
\sleep :d us
SELECT check_accounts(:i);
SELECT check_shapes();
\sleep :e us
SELECT check_accounts(:i);
SELECT check_shapes();
COMMIT;
