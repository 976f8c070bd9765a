\set i 5 + :client_id * 10
\set d random(1, 50)
BEGIN;
SAVEPOINT a;
UPDATE acct_a SET balance = balance + :d WHERE id = :i;
SELECT check_accounts(:i);
ROLLBACK TO a;
SELECT check_accounts(:i);
SAVEPOINT b;
UPDATE acct_b SET balance = balance + :d WHERE id = :i;
RELEASE b;
SELECT check_accounts(:i);
COMMIT;
BEGIN;
UPDATE acct_a SET balance = balance + :d WHERE id = :i;
\sleep 2 ms
ROLLBACK;
\sleep 12 ms
