\set i random(1, 12)
SELECT check_accounts(:i);
SELECT check_shapes();
\sleep 300 us
