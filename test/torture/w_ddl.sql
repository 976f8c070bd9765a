\set what random(0, 14)
\set n random(1, 1000)
\set pause random(50, 300)
SELECT change_something(:what, :n);
SELECT check_shapes();
\sleep :pause ms
SELECT check_structures();
