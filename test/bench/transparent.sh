# transparent.sh
#   Hits of transparent mode: sourced by run.sh, whose functions it uses.

# ratio RUNS FUNCTION-A FUNCTION-B: median of B / A, taking turns in who is
# first.
ratio() {
  local i a b

  for i in $(seq "$1"); do
    if [ $((i % 2)) = 0 ]; then a=$("$2"); b=$("$3"); else b=$("$3"); a=$("$2"); fi
    calc "$b / $a"
    echo
  done | median
}

# script_tps PROTOCOL FILE
script_tps() { pgbench -n -c 1 -M "$1" -T "$SECS" -f "$2" 2>/dev/null |
  sed -n 's/^tps = \([0-9.]*\).*/\1/p'; }

# ---- hits ----

hit_setup() {
  sql >/dev/null <<'SQL'
DROP TABLE IF EXISTS shop, customer, sale, item, many_result;
CREATE TABLE shop AS SELECT g AS id, 'shop ' || g AS name FROM generate_series(1, 100) g;
CREATE TABLE customer AS SELECT g AS id, 'customer ' || g AS name FROM generate_series(1, 1000) g;
CREATE TABLE sale AS SELECT g AS id, g % 100 + 1 AS shop, g % 1000 + 1 AS customer
  FROM generate_series(1, 100000) g;
CREATE TABLE item AS SELECT g AS id, g % 100000 + 1 AS sale, g % 97 AS amount
  FROM generate_series(1, 200000) g;
SELECT cache_track('shop'), cache_track('customer'), cache_track('sale'), cache_track('item');
CREATE UNLOGGED TABLE many_result AS SELECT id, customer, 'sale ' || id AS name
  FROM sale ORDER BY id LIMIT 10000;
VACUUM ANALYZE;
SQL
  echo "SELECT 1;" >"$dir/one.sql"
  cat >"$dir/join.sql" <<'SQL'
/*+ cachekit */ SELECT s.name, c.name, sum(i.amount) FROM shop s JOIN sale ON sale.shop = s.id
JOIN customer c ON c.id = sale.customer JOIN item i ON i.sale = sale.id
WHERE s.id = 7 GROUP BY 1, 2 ORDER BY 3 DESC, 1, 2 LIMIT 1;
SQL
  sed 's/LIMIT 1;/LIMIT 10;/' "$dir/join.sql" >"$dir/join10.sql"
  echo "/*+ cachekit */ SELECT id, customer, 'sale ' || id AS name FROM sale ORDER BY id LIMIT 10000;" \
    >"$dir/many.sql"
  echo "SELECT id, customer, name FROM many_result;" >"$dir/many_table.sql"
}

# is_hit FILE: else the figure would be another one
is_hit() {
  sql -f "$1" -c "EXPLAIN $(cat "$1")" | grep -q 'Cache: hit' ||
    { echo "not answered from the cache: $1" >&2; return 1; }
}

# discarded_ms FILE: what the executor takes, with the rows thrown away
discarded_ms() {
  for _ in 1 2 3 4 5 6 7; do echo "EXPLAIN (ANALYZE, TIMING OFF) $(cat "$1")"; done |
    sql -f - | sed -n 's/^Execution Time: \([0-9.]*\) ms/\1/p' | median
}

one_tps() { script_tps "$protocol" "$dir/one.sql"; }
join_tps() { script_tps "$protocol" "$dir/join.sql"; }
join10_tps() { script_tps "$protocol" "$dir/join10.sql"; }
many_tps() { script_tps prepared "$dir/many.sql"; }
many_table_tps() { script_tps prepared "$dir/many_table.sql"; }
many_rate() { calc "1 / $(discarded_ms "$dir/many.sql")"; }
many_table_rate() { calc "1 / $(discarded_ms "$dir/many_table.sql")"; }

bench_hit() {
  hit_setup
  is_hit "$dir/join.sql" && is_hit "$dir/many.sql" || return 1
  protocol=prepared
  row "hit of a join of 4 tables, prepared, against SELECT 1" "at least 0.8x" \
    "$(ratio "$RUNS" one_tps join_tps)x"
  row "(the same with 10 rows)" "" "$(ratio "$RUNS" one_tps join10_tps)x"
  for protocol in simple extended; do
    row "the same, $protocol protocol" "at least 0.3x" \
      "$(ratio "$RUNS" one_tps join_tps)x"
  done
  row "hit of 10,000 rows against a scan of a table of them" "at least 1.2x" \
    "$(ratio "$RUNS" many_table_rate many_rate)x"
  row "(the same, sent to the client)" "" \
    "$(ratio "$RUNS" many_table_tps many_tps)x"
}
