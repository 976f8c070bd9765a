# denorm.sh
#   Benchmarks of denormalized tables; sourced by run.sh.

DENORM_ROWS=${DENORM_ROWS:-1000000}

# Sources of DENORM_ROWS rows; groups of ten, whose rows lie together.
denorm_setup() {
  sql >/dev/null <<SQL
SELECT denorm_drop(target) FROM cachekit_denorm WHERE target::text LIKE 'dn_%';
DROP MATERIALIZED VIEW IF EXISTS dn_view;
DROP TABLE IF EXISTS dn, dn_bare;
CREATE TABLE dn (id int PRIMARY KEY, g int NOT NULL, v numeric NOT NULL)
  WITH (fillfactor = 50, autovacuum_enabled = off);
INSERT INTO dn SELECT i, i / 10, i FROM generate_series(1, $DENORM_ROWS) i;
CREATE INDEX ON dn (g);
CREATE TABLE dn_bare (LIKE dn INCLUDING ALL) WITH (fillfactor = 50, autovacuum_enabled = off);
INSERT INTO dn_bare SELECT * FROM dn;
CREATE MATERIALIZED VIEW dn_view AS SELECT g, count(*) AS n, sum(v) AS v FROM dn GROUP BY g;
CREATE UNIQUE INDEX ON dn_view (g);
SELECT denorm_create('dn_sums', 'SELECT g, count(*) AS n, sum(v) AS v FROM dn GROUP BY g', '{g}');
VACUUM (FREEZE, ANALYZE) dn, dn_bare, dn_view, dn_sums;
SQL
  printf '\\set id random(1, %s)\nUPDATE dn SET v = v + 1 WHERE id = :id;\n' "$DENORM_ROWS" >"$dir/dn.sql"
  sed 's/UPDATE dn /UPDATE dn_bare /' "$dir/dn.sql" >"$dir/dn_bare.sql"
}

# keep_apart FILE TABLE: each of 8 clients has groups of its own
keep_apart() {
  printf '\\set id random(1, %s / 8 - 10) + :client_id * (%s / 8)\nUPDATE %s SET v = v + 1 WHERE id = :id;\n' \
    "$DENORM_ROWS" "$DENORM_ROWS" "$2" >"$1"
}

bench_denorm() {
  denorm_setup
  echo "REFRESH MATERIALIZED VIEW CONCURRENTLY dn_view;" >"$dir/refresh.sql"
  keep_apart "$dir/dn8.sql" dn
  keep_apart "$dir/dn8_bare.sql" dn_bare
  for _ in $(seq "$RUNS"); do
    r=$(milliseconds "$dir/refresh.sql")
    i=$(tps "$dir/dn.sql" "$SECS")
    b=$(tps "$dir/dn_bare.sql" "$SECS")
    echo "refresh $(calc "$r * $i / 1000")"
    echo "immediate $(calc "$b / $i")"
    i8=$(tps "$dir/dn8.sql" "$SECS" 8)
    b8=$(tps "$dir/dn8_bare.sql" "$SECS" 8)
    echo "scale $(calc "($i8 / $i) / ($b8 / $b)")"
  done >"$dir/out"
  row "one-row change, immediate, against REFRESH ... CONCURRENTLY" "at least 1000x" \
    "$(sed -n 's/^refresh //p' "$dir/out" | median)x"
  row "one-row UPDATE, immediate count and sum, against bare: time" "at most 2.5x" \
    "$(sed -n 's/^immediate //p' "$dir/out" | median)x"
  row "8 writers of different keys against 1, relative to bare" "at least 0.8" \
    "$(sed -n 's/^scale //p' "$dir/out" | median)"
  sql -c "SELECT denorm_set_mode('dn_sums', 'deferred')" >/dev/null
  sql -c "SELECT pg_stat_reset_single_table_counters('dn_sums'::regclass)" >/dev/null
  sql -c "DO \$\$ BEGIN FOR i IN 1..100 LOOP UPDATE dn SET v = v + 1 WHERE id = 4711; END LOOP; END \$\$"
  row "deferred: rows written for 100 changes of one key" "1" \
    "$(sql -c "SELECT pg_stat_force_next_flush(), pg_sleep(1)" -c "SELECT n_tup_upd FROM pg_stat_user_tables WHERE relname = 'dn_sums'" | tail -1)"
  sql -c "SELECT denorm_set_mode('dn_sums', 'async')" >/dev/null
  for _ in $(seq "$RUNS"); do
    i=$(tps "$dir/dn.sql" "$SECS")
    sql -c "SELECT denorm_wait()" >/dev/null
    b=$(tps "$dir/dn_bare.sql" "$SECS")
    echo "async $(calc "$b / $i")"
  done >"$dir/out"
  row "one-row UPDATE, async, against bare: time (worker running)" "at most 1.3x" \
    "$(sed -n 's/^async //p' "$dir/out" | median)x"
  for _ in $(seq "$RUNS"); do
    sql -c "ALTER SYSTEM SET cachekit.workers = 0" -c "SELECT pg_reload_conf(), pg_sleep(0.5)" >/dev/null
    sql -c "DO \$\$ BEGIN FOR i IN 1..20000 LOOP UPDATE dn SET v = v + 1 WHERE id = i * 17; COMMIT; END LOOP; END \$\$"
    sql -c "ALTER SYSTEM RESET cachekit.workers" -c "SELECT pg_reload_conf(), pg_sleep(0.5)" >/dev/null
    echo "SELECT denorm_wait();" >"$dir/wait.sql"
    calc "20000 * 1000 / $(milliseconds "$dir/wait.sql")"; echo
  done | median >"$dir/out"
  row "async: changes per second drained by one worker" "" "$(cat "$dir/out")"
  row "rows that are wrong after all this" "0" \
    "$(sql -c "SELECT count(*) FROM denorm_verify('dn_sums')")"
  sql -c "SELECT denorm_drop('dn_sums')" >/dev/null
}
