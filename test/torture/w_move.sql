\set i 1 + :client_id * 10
\set d random(-50, 50)
\set s random(0, 6000)
BEGIN;
UPDATE acct_a SET balance = balance - :d WHERE id = :i;
SELECT check_accounts(:i);
\sleep :s us
UPDATE acct_a SET balance = balance + :d WHERE id = :i + 1;
SELECT check_accounts(:i + 1);
COMMIT;
\sleep 3 ms
