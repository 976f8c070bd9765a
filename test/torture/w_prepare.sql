\set i 7 + :client_id * 10
\set d random(1, 50)
\set s random(0, 20000)
BEGIN;
UPDATE acct_a SET balance = balance + :d WHERE id = :i;
UPDATE acct_b SET balance = balance + :d WHERE id = :i;
PREPARE TRANSACTION 'own:client_id';
SELECT check_accounts(:i);
\sleep :s us
SELECT check_accounts(:i);
\if :d > 25
COMMIT PREPARED 'own:client_id';
\else
ROLLBACK PREPARED 'own:client_id';
\endif
SELECT check_accounts(:i);
\sleep 10 ms
