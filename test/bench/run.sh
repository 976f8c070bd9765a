#!/bin/bash
# run.sh
#   make bench: the figures of doc/benchmarks.md, on the server that PGHOST and
#   the like name.  Each figure is the median of RUNS (5) runs; what a row
#   compares is measured in turn, A B A B, in the same run.
#   ONLY="herd update" runs some of them.

set -u
RUNS=${RUNS:-5}
SECS=${SECS:-3}
ONLY=${ONLY:-get clients socket update bulk memory zipf herd hit library auto trackall keywrites keymix denorm}
export PGOPTIONS='-c client_min_messages=warning'
dir=$(mktemp -d)
trap 'stop_servers; rm -rf "$dir"' EXIT

sql() { psql -qXAt -v ON_ERROR_STOP=1 "$@"; }
median() { sort -g | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'; }
row() { printf '| %-66s | %-18s | %-16s |\n' "$1" "$2" "$3"; }
calc() { awk "BEGIN { printf \"%.3f\", $1 }"; }

# milliseconds FILE: how long psql takes for a script, by the server's own clock
milliseconds() {
  sql -c '\timing on' -f "$1" | sed -n 's/^Time: \([0-9.]*\) ms.*/\1/p' | tail -1
}
tps() { pgbench -n -M prepared -c "${3:-1}" -T "$2" -f "$1" 2>/dev/null |
  sed -n 's/^tps = \([0-9.]*\).*/\1/p'; }

setup() {
  sql <<'SQL'
CREATE EXTENSION IF NOT EXISTS cachekit;
CREATE EXTENSION IF NOT EXISTS cachekit_unit;
DROP TABLE IF EXISTS bench, bench_u, upd, upd_u, upd_n;
CREATE TABLE bench (id int PRIMARY KEY, v text, n numeric, k int) WITH (fillfactor = 50);
INSERT INTO bench SELECT g, 'value ' || g, g * 1.5, g % 100 FROM generate_series(1, 100000) g;
CREATE TABLE bench_u (LIKE bench INCLUDING ALL) WITH (fillfactor = 50);
INSERT INTO bench_u SELECT * FROM bench;
ALTER TABLE bench SET (autovacuum_enabled = off);
ALTER TABLE bench_u SET (autovacuum_enabled = off);
VACUUM (FREEZE, ANALYZE) bench, bench_u;
CREATE TABLE upd (id int PRIMARY KEY, v text, n numeric, k int)
  WITH (autovacuum_enabled = off);
INSERT INTO upd SELECT g, 'value ' || g, g * 1.5, g % 100 FROM generate_series(1, 50000) g;
CREATE TABLE upd_u (LIKE upd INCLUDING ALL) WITH (autovacuum_enabled = off);
CREATE TABLE upd_n (LIKE upd INCLUDING ALL) WITH (autovacuum_enabled = off);
INSERT INTO upd_u SELECT * FROM upd;
INSERT INTO upd_n SELECT * FROM upd;
CREATE TRIGGER nothing BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON upd_n
  FOR EACH STATEMENT EXECUTE FUNCTION unit_nothing();
SELECT cache_track('bench'), cache_track('upd');
SELECT cache_clear();
SELECT cache_set('bench', repeat('x', 100)), cache_set('other', repeat('y', 100));
SQL
}

loop() {                        # loop N CALL: an in-server loop
  echo "DO \$\$ DECLARE v text; BEGIN FOR i IN 1..$1 LOOP v := $2; END LOOP; END \$\$;"
}

bench_get() {
  # version() returns a constant text of about 100 bytes
  echo "SELECT count(version()) FROM generate_series(1, 1000000);" >"$dir/base.sql"
  echo "SELECT count(cache_get('bench')) FROM generate_series(1, 1000000);" >"$dir/get.sql"
  for _ in $(seq "$RUNS"); do
    a=$(milliseconds "$dir/base.sql"); b=$(milliseconds "$dir/get.sql")
    calc "$b - $a"; echo
  done | median >"$dir/out"
  row "cache_get of 100 bytes, over a constant C function" "at most 120 ns" \
    "$(calc "$(cat "$dir/out")") ns"
}

pair() {                        # pair FILE FILE: both at once, the longer time
  milliseconds "$1" >"$dir/p1" & milliseconds "$2" >"$dir/p2"; wait
  sort -g "$dir/p1" "$dir/p2" | tail -1
}

bench_clients() {
  echo "SELECT count(cache_get('bench')) FROM generate_series(1, 3000000);" >"$dir/1.sql"
  echo "SELECT count(cache_get('other')) FROM generate_series(1, 3000000);" >"$dir/2.sql"
  echo "SELECT count(version()) FROM generate_series(1, 3000000);" >"$dir/v.sql"
  for _ in $(seq "$RUNS"); do
    a=$(milliseconds "$dir/1.sql")
    echo "same $(calc "2 * $a / $(pair "$dir/1.sql" "$dir/1.sql")")"
    echo "different $(calc "2 * $a / $(pair "$dir/1.sql" "$dir/2.sql")")"
    v=$(milliseconds "$dir/v.sql")
    echo "none $(calc "2 * $v / $(pair "$dir/v.sql" "$dir/v.sql")")"
  done >"$dir/out"
  row "cache_get by 2 clients against 1, same key" "at least 1.8x" \
    "$(sed -n 's/^same //p' "$dir/out" | median)x"
  row "the same, different keys" "at least 1.8x" \
    "$(sed -n 's/^different //p' "$dir/out" | median)x"
  row "(version() by 2 clients against 1: what the machine gives)" "" \
    "$(sed -n 's/^none //p' "$dir/out" | median)x"
}

bench_socket() {
  echo "SELECT 1;" >"$dir/one.sql"
  q="select id, v, n from bench where k = 7 order by id limit 10"
  echo "SELECT * FROM cached_query('$q') AS t(id int, v text, n numeric);" >"$dir/rows.sql"
  echo "SELECT cached_query_json('$q');" >"$dir/json.sql"
  echo "$q;" >"$dir/direct.sql"
  echo "SELECT cache_get('bench');" >"$dir/kv.sql"
  for _ in $(seq "$RUNS"); do
    a=$(tps "$dir/one.sql" "$SECS")
    for what in rows json direct kv; do
      echo "$what $(calc "$(tps "$dir/$what.sql" "$SECS") / $a")"
    done
  done >"$dir/out"
  row "prepared cached_query hit, 10 rows, against SELECT 1" "at least 0.6x" \
    "$(sed -n 's/^rows //p' "$dir/out" | median)x"
  row "prepared cached_query_json hit, against SELECT 1" "at least 0.75x" \
    "$(sed -n 's/^json //p' "$dir/out" | median)x"
  row "(prepared cache_get of 100 bytes, against SELECT 1)" "" \
    "$(sed -n 's/^kv //p' "$dir/out" | median)x"
  row "(the query itself, prepared, against SELECT 1)" "" \
    "$(sed -n 's/^direct //p' "$dir/out" | median)x"
}

bench_update() {
  for t in upd upd_u upd_n; do
    cat >"$dir/$t.sql" <<SQL
DO \$\$ BEGIN FOR i IN 1..50000 LOOP UPDATE $t SET k = k + 1 WHERE id = i; END LOOP; END \$\$;
SQL
  done
  for i in $(seq $((RUNS * 2 + 1))); do
    # whoever comes first has a disadvantage
    case $((i % 3)) in
      0) order="upd upd_u upd_n" ;; 1) order="upd_u upd_n upd" ;; *) order="upd_n upd upd_u" ;;
    esac
    for t in $order; do
      sql -c "VACUUM FULL $t" -c "VACUUM (FREEZE, ANALYZE) $t" -c CHECKPOINT
      milliseconds "$dir/$t.sql" >"$dir/$t"
    done
    echo "tracked $(calc "$(cat "$dir/upd_u") / $(cat "$dir/upd")")"
    echo "nothing $(calc "$(cat "$dir/upd_u") / $(cat "$dir/upd_n")")"
  done >"$dir/out"
  row "single-row UPDATE, tracked against untracked, in-server" "at least 0.95x" \
    "$(sed -n 's/^tracked //p' "$dir/out" | median)x"
  row "(with a C trigger that does nothing, against untracked)" "" \
    "$(sed -n 's/^nothing //p' "$dir/out" | median)x"
}

bench_bulk() {
  for t in bench bench_u; do echo "UPDATE $t SET k = k;" >"$dir/$t.sql"; done
  for _ in $(seq $((RUNS * 2 + 1))); do
    sql -c 'VACUUM bench' -c 'VACUUM bench_u' -c CHECKPOINT
    b=$(milliseconds "$dir/bench_u.sql")
    sql -c 'VACUUM bench_u' -c CHECKPOINT
    a=$(milliseconds "$dir/bench.sql")
    calc "$b / $a"; echo
  done | median >"$dir/out"
  row "UPDATE of 100,000 rows, tracked against untracked" "at least 0.99x" \
    "$(cat "$dir/out")x"
}

bench_memory() {
  sql -c "SELECT cache_clear()" \
    -c "SET cachekit.kv_transactional = off" \
    -c "SELECT count(cache_set('key' || lpad(g::text, 7, '0'), repeat('x', 100))) FROM generate_series(1, 600000) g" >/dev/null
  row "memory per entry besides key and value (10 + 100 bytes)" "at most 80 bytes" \
    "$(sql -c "SELECT round((bytes_total * 15.0 / 16) / entries - 110, 1) FROM cachekit_stats")"
  row "live bytes of the budget, 100-byte values" "at least 0.85" \
    "$(sql -c "SELECT round(bytes_used::numeric / bytes_total, 3) FROM cachekit_stats")"
  sql -c "SET cachekit.kv_transactional = off" \
    -c "SELECT count(cache_set('big' || g, repeat('x', 10000))) FROM generate_series(1, 20000) g" >/dev/null
  row "then shifted to 10 kB values" "at least 0.85" \
    "$(sql -c "SELECT round(bytes_used::numeric / bytes_total, 3) FROM cachekit_stats")"
  sql -c "SET cachekit.kv_transactional = off" \
    -c "SELECT count(cache_set('key' || lpad(g::text, 7, '0'), repeat('x', 100))) FROM generate_series(1, 900000) g" >/dev/null
  row "and back to 100-byte values" "at least 0.85" \
    "$(sql -c "SELECT round(bytes_used::numeric / bytes_total, 3) FROM cachekit_stats")"
  sql -c "SELECT cache_clear()" >/dev/null
  row "violations found by cache_check() after that" "0" \
    "$(sql -c "SELECT count(*) FROM cache_check()")"
}

bench_zipf() {
  for scans in false true; do
    set -- $(sql -F ' ' -c "SELECT round(our_ratio::numeric, 4), round(lru_ratio::numeric, 4)
                     FROM unit_compare_lru(4, 100, 0.9, $scans, 2000000)")
    [ "$scans" = false ] && what="hit ratio, Zipf 0.9 over 10x the budget" ||
      what="the same with scans"
    row "$what" "at least LRU's ($2)" "$1"
  done
}

bench_herd() {
  sql >/dev/null <<'SQL'
CREATE TABLE IF NOT EXISTS herd (id int);
TRUNCATE herd;
INSERT INTO herd SELECT 1;
CREATE OR REPLACE FUNCTION slow(int) RETURNS int LANGUAGE plpgsql IMMUTABLE
  AS 'BEGIN PERFORM pg_sleep(1); RETURN $1; END';
SELECT cache_track('herd');
SELECT 1 FROM cache_flush();
SELECT cache_reset_stats();
SQL
  echo "SELECT cached_query_json('select slow(id) from herd');" >"$dir/herd.sql"
  sql -c "SELECT pg_sleep(0)" >/dev/null
  start=$(date +%s.%N)
  for i in $(seq 50); do psql -qXAt -f "$dir/herd.sql" >/dev/null & done
  wait
  end=$(date +%s.%N)
  row "herd: 50 sessions, one 1 s query, cold: executions" "1" \
    "$(sql -c "SELECT fills FROM cachekit_stats")"
  row "all answered within (50 psql processes started and ended)" "1.2 s + overhead" \
    "$(calc "$end - $start") s"
}

. "$(dirname "$0")/transparent.sh"
. "$(dirname "$0")/others.sh"
. "$(dirname "$0")/keys.sh"
. "$(dirname "$0")/denorm.sh"

setup >/dev/null || exit 1
sql -c "SELECT version()"
echo "cachekit $(sql -c "SELECT extversion FROM pg_extension WHERE extname = 'cachekit'"), $RUNS runs"
echo
row "what" "reach" "measured"
row "---" "---" "---"
for b in $ONLY; do "bench_$b"; done
