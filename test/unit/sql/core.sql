CREATE EXTENSION cachekit_unit;
-- the memory core: every row must begin with "ok"
SELECT * FROM unit_basics();
SELECT * FROM unit_replace();
SELECT * FROM unit_expiry();
SELECT * FROM unit_pins();
SELECT * FROM unit_limits();
SELECT * FROM unit_stress(1);
SELECT * FROM unit_stress(2) AS t WHERE t NOT LIKE 'ok%';
SELECT * FROM unit_wear();
SELECT * FROM unit_holes();
SELECT * FROM unit_overhead();
SELECT * FROM unit_cost();
SELECT * FROM unit_counters();
SELECT * FROM unit_hit_ratio();
-- the validity rule, against a model
SELECT * FROM unit_validity(500);
SELECT * FROM unit_cells();
