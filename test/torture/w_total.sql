\set i 3 + :client_id * 10
\set d random(-50, 50)
\set s random(0, 9000)
UPDATE acct_b SET balance = balance + :d WHERE id = :i;
SELECT check_accounts(:i);
\sleep :s us
BEGIN;
UPDATE acct_b SET balance = balance - :d WHERE id = :i;
UPDATE acct_a SET balance = balance + :d WHERE id = :i;
\sleep :s us
COMMIT;
SELECT check_accounts(:i);
\sleep 5 ms
