\set i 9 + :client_id * 10
\set d random(1, 50)
\set n random(1, 2000000000)
BEGIN;
UPDATE acct_a SET balance = balance + :d WHERE id = :i;
UPDATE part SET v = v + :d WHERE id = :i;
PREPARE TRANSACTION 'other:n';
SELECT check_accounts(:i);
\sleep 15 ms
