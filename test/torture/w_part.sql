\set i random(1, 40)
\set k random(1, 3)
\set what random(0, 6)
\if :what < 2
SELECT move_row(:i, :k);
\elif :what = 2
UPDATE part_2a SET v = v + 1 WHERE id = :i;
\elif :what = 3
BEGIN;
UPDATE part_2 SET v = v + 1 WHERE id = :i;
SELECT check_shapes();
COMMIT;
\elif :what = 4
UPDATE parent SET v = v + 1 WHERE id = 1 + :i % 10;
\elif :what = 5
UPDATE part_3 SET v = v + 1 WHERE id = :i;
\else
UPDATE child SET v = v + 1 WHERE id = 1 + :i % 10;
UPDATE shape SET v = v + 1 WHERE id = 1 + :i % 10;
UPDATE refilled SET v = v + 1 WHERE id = 1 + :i % 10;
\endif
SELECT check_shapes();
\sleep 6 ms
