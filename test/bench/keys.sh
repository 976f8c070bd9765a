# keys.sh
#   Keys: sourced by run.sh, whose functions it uses.
#
#   keywrites  what a table's row trigger costs its writers, next to a C
#              trigger that does nothing
#   keymix     reads by customer and writes, at several rates of writing: two
#              tables of its own, for reads of all customers alike and for
#              reads that prefer some (READS="uniform 1.3", the number being
#              the exponent of a Zipf distribution); PLOT=file.svg draws the
#              last

KEY_ROWS=100000
COPY_ROWS=1000000
MIX_SECS=${MIX_SECS:-5}
READS=${READS:-uniform 1.3}
ORDERS=${ORDERS:-100}			# of each of 1,000 customers
ITEMS=${ITEMS:-10}			# of each order

# ---- writes ----

# One table for each way to watch it: not at all, by a trigger that does
# nothing, by a key with 100 values, by one that is different in each row.
WATCHED="none row few many"

keywrites_setup() {
  local t

  for t in $WATCHED; do
    sql -c "DROP TABLE IF EXISTS kw_$t" \
      -c "CREATE TABLE kw_$t (id int PRIMARY KEY, v text, n numeric, k int) WITH (autovacuum_enabled = off)" \
      -c "INSERT INTO kw_$t SELECT g, 'value ' || g, g * 1.5, g % 100 FROM generate_series(1, $KEY_ROWS) g"
  done
  sql -c "CREATE TRIGGER nothing BEFORE INSERT OR UPDATE OR DELETE ON kw_row FOR EACH ROW EXECUTE FUNCTION unit_nothing()" \
    -c "CREATE TRIGGER nothing_too BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON kw_row FOR EACH STATEMENT EXECUTE FUNCTION unit_nothing()" \
    -c "SELECT cache_track('kw_few', 'k'), cache_track('kw_many', 'id')" >/dev/null
}

# cpu_ms FILE: the processor time of the backend.  The writes wait for the disk
# at times, which would hide what triggers cost.
cpu_ms() {
  { echo 'SELECT unit_cpu() AS begun \gset'; cat "$1"; echo 'SELECT (unit_cpu() - :begun) / 1000.0;'; } |
    sql -f - | tail -1
}

# keywrites_compare SCRIPT-MAKER: cpu_ms of each, in turn, into $dir/out
keywrites_compare() {
  local t

  for t in $WATCHED; do "$1" "kw_$t" >"$dir/$t.sql"; done
  for i in $(seq $((RUNS * 2 + 1))); do
    for t in $(printf '%s\n' $WATCHED $WATCHED | tail -n +$((i % 4 + 1)) | head -n 4); do
      sql -c "VACUUM kw_$t" -c CHECKPOINT
      echo "$t $(cpu_ms "$dir/$t.sql")"
    done
  done >"$dir/out"
}

# of TABLE: its median
of() { sed -n "s/^$1 //p" "$dir/out" | median; }

many_rows() { echo "UPDATE $1 SET n = n;"; }
single_rows() {
  echo "DO \$\$ BEGIN FOR i IN 1..20000 LOOP UPDATE $1 SET n = n WHERE id = i; END LOOP; END \$\$;"
}
copy_rows() {
  echo "TRUNCATE $1;"
  echo 'SELECT unit_cpu() AS begun \gset'
  echo "COPY $1 FROM '$dir/rows';"
}

bench_keywrites() {
  keywrites_setup || return
  keywrites_compare many_rows
  row "UPDATE of 100,000 rows, key of 100 values, over untracked" "at most 1.5x" \
    "$(calc "$(of few) / $(of none)")x"
  row "the same, key different in each row" "at most 1.5x" "$(calc "$(of many) / $(of none)")x"
  row "(the same, C row trigger that does nothing)" "" "$(calc "$(of row) / $(of none)")x"
  row "keys of an updated row, over that trigger" "at most 0.6 us" \
    "$(calc "($(of few) - $(of row)) * 1000 / $KEY_ROWS") us"
  keywrites_compare single_rows
  row "single-row UPDATE in the server, key, over untracked" "at most 1.15x" \
    "$(calc "$(of few) / $(of none)")x"
  row "(the same, C triggers that do nothing)" "" "$(calc "$(of row) / $(of none)")x"
  chmod 755 "$dir"
  sql -c "COPY (SELECT g, 'value ' || g, g * 1.5, g % 100 FROM generate_series(1, $COPY_ROWS) g) TO STDOUT" \
    >"$dir/rows"
  chmod 644 "$dir/rows"
  RUNS=1 keywrites_compare copy_rows
  row "COPY of a million rows, key of 100 values, over untracked" "at most 1.35x" \
    "$(calc "$(of few) / $(of none)")x"
  row "the same, key different in each row" "at most 1.35x" "$(calc "$(of many) / $(of none)")x"
  row "(the same, C row trigger that does nothing)" "" "$(calc "$(of row) / $(of none)")x"
  for t in $WATCHED; do sql -c "DROP TABLE kw_$t"; done
}

# ---- a mix of reads and writes ----

keymix_setup() {
  sql -v orders="$ORDERS" -v items="$ITEMS" >/dev/null <<'SQL'
DROP TABLE IF EXISTS kcustomer, korder, kitem, kpayment;
CREATE TABLE kcustomer (id int PRIMARY KEY, name text, visits int) WITH (fillfactor = 50);
CREATE TABLE korder (id int PRIMARY KEY, customer int, status int) WITH (fillfactor = 50);
CREATE TABLE kitem (id int PRIMARY KEY, customer int, orderid int, amount int) WITH (fillfactor = 50);
CREATE TABLE kpayment (id int PRIMARY KEY, customer int, orderid int, paid int) WITH (fillfactor = 50);
INSERT INTO kcustomer SELECT g, 'customer ' || g, 0 FROM generate_series(1, 1000) g;
INSERT INTO korder SELECT g, g % 1000 + 1, 0 FROM generate_series(1, 1000 * :orders) g;
INSERT INTO kitem SELECT g, o % 1000 + 1, o, g % 97
  FROM generate_series(1, 1000 * :orders * :items) g, LATERAL (SELECT g % (1000 * :orders) + 1 AS o) x;
INSERT INTO kpayment SELECT g, g % 1000 + 1, g, g % 89 FROM generate_series(1, 1000 * :orders) g;
CREATE INDEX ON korder (customer);
CREATE INDEX ON kitem (customer, orderid);
CREATE INDEX ON kpayment (customer, orderid);
VACUUM ANALYZE kcustomer, korder, kitem, kpayment;
SELECT cache_untrack(t) FROM unnest('{kcustomer,korder,kitem,kpayment}'::regclass[]) t;
SQL
  cat >"$dir/join" <<'SQL'
SELECT c.name, c.visits, o.status, count(DISTINCT o.id) AS orders, sum(i.amount) AS amount, sum(p.paid) AS paid
FROM kcustomer c JOIN korder o ON o.customer = c.id
JOIN kitem i ON i.customer = o.customer AND i.orderid = o.id
LEFT JOIN kpayment p ON p.customer = c.id AND p.orderid = o.id
WHERE c.id = $1 GROUP BY c.id, o.status
SQL
  cat >"$dir/write.sql" <<'SQL'
\set c random(1, 1000)
\set t random(1, 4)
\if :t = 1
UPDATE kcustomer SET visits = visits + 1 WHERE id = :c;
\elif :t = 2
UPDATE korder SET status = (status + 1) % 3 WHERE id = :c;
\elif :t = 3
UPDATE kitem SET amount = amount + 1 WHERE id = :c;
\else
UPDATE kpayment SET paid = paid + 1 WHERE id = :c;
\endif
SQL
}

# keymix_reads uniform|EXPONENT: whom the reads ask for
keymix_reads() {
  case $1 in
    uniform) draw='random(1, 1000)' ;;
    *) draw="random_zipfian(1, 1000, $1)" ;;
  esac
  {
    echo "\\set c $draw"
    echo "SELECT * FROM cached_query(\$q\$$(cat "$dir/join")\$q\$, ARRAY[:c::text])" \
      'AS t(name text, visits int, status int, orders bigint, amount bigint, paid bigint);'
  } >"$dir/cached.sql"
  { echo "\\set c $draw"; sed 's/\$1/:c/; $s/$/;/' "$dir/join"; } >"$dir/direct.sql"
}

# keymix_run READ-SCRIPT PERCENT: tps of all statements
keymix_run() {
  local writes=() out

  [ "$2" -eq 0 ] || writes=(-f "$dir/write.sql@$2")
  sql -c 'SELECT cache_reset_stats()' >/dev/null
  out=$(pgbench -n -M prepared -c 8 -j 2 -T "$MIX_SECS" -f "$1@$((100 - $2))" "${writes[@]}" 2>/dev/null)
  sed -n 's/^tps = \([0-9.]*\).*/\1/p' <<<"$out" | head -n 1
}

# keymix_track: all tables; with an argument, by customer
keymix_track() {
  local t

  for t in kcustomer:id korder:customer kitem:customer kpayment:customer; do
    if [ $# -gt 0 ]; then sql -c "SELECT cache_track('${t%:*}', '${t#*:}')" >/dev/null
    else sql -c "SELECT cache_track('${t%:*}')" >/dev/null
    fi
  done
}

# keymix_table uniform|EXPONENT
keymix_table() {
  local percent way script

  keymix_reads "$1"
  sql -c "SELECT cache_untrack(t) FROM unnest('{kcustomer,korder,kitem,kpayment}'::regclass[]) t" >/dev/null
  for way in direct wide keyed; do
    case $way in wide) keymix_track ;; keyed) keymix_track by_key ;; esac
    script=$dir/cached.sql
    [ $way = direct ] && script=$dir/direct.sql
    [ $way = direct ] || sql -c "SELECT count(*) FROM generate_series(1, 1000) c, LATERAL ($(sed '1d; s/:c::text/c::text/; s/;$//' "$script")) q" >/dev/null	# warm
    for percent in 0 1 5 20 50; do
      echo "$way $percent $(keymix_run "$script" "$percent")" \
        "$(sql -c 'SELECT coalesce(round(hit_ratio, 3), 0) FROM cachekit_stats')"
    done
  done >"$dir/mix"
  echo
  echo "Reads of a 4-table join by customer ($1), writes spread over 1,000 customers, 8 clients:"
  echo
  echo "| writes | uncached, tps | table-wide, tps | hit ratio | by key, tps | hit ratio | at best | over uncached |"
  echo "| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |"
  # At best a read hits if the last that happened to its customer was a read.
  awk -v reads="$1" '{ tps[$1, $2] = $3; hit[$1, $2] = $4 }
    function best(p,    c, weight, all, sum) {
      if (reads == "uniform")
        return 1 - p / 100
      for (c = 1; c <= 1000; c++)
        all += c ^ -reads
      for (c = 1; c <= 1000; c++) {
        weight = c ^ -reads / all
        sum += weight * weight * (100 - p) / (weight * (100 - p) + p / 1000)
      }
      return sum
    }
    END {
      n = split("0 1 5 20 50", rates, " ")
      for (i = 1; i <= n; i++) {
        p = rates[i]
        printf "| %d %% | %d | %d | %.3f | %d | %.3f | %.3f | %.1fx |\n", p, tps["direct", p],
          tps["wide", p], hit["wide", p], tps["keyed", p], hit["keyed", p], best(p),
          tps["keyed", p] / tps["direct", p]
      }
    }' "$dir/mix"
}

bench_keymix() {
  local reads

  keymix_setup || return
  for reads in $READS; do keymix_table "$reads"; done
  [ -z "${PLOT:-}" ] || awk -f "$(dirname "$0")/plot.awk" "$dir/mix" >"$PLOT"
}
