\set i 1 + :client_id * 10
\set s random(0, 20000)
BEGIN;
SELECT many_subtransactions(80, 100 + :i);
\sleep :s us
COMMIT;
SELECT check_accounts(:i);
\sleep 60 ms
