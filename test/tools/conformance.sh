#!/bin/bash
# conformance.sh
#   make conformance: PostgreSQL's own suites, with queries cached wherever
#   that is allowed: regression and isolation tests of the server, those of
#   PL/pgSQL, and those of the contrib modules with types or operators.
#
# The same tests run on three servers, one after the other: "stock" without
# cachekit; "verify" with every SELECT that can be cached answered from the
# cache, and each hit compared with the query's own rows; "cached" the same
# without that comparison.  The outputs of the latter two are compared with
# those of stock.  What may differ is in test/conformance/known, line by line,
# and explained in doc/conformance.md; any other difference is a failure, and
# so are a known one that does not occur, fewer hits than LEAST_HITS, a crash, and
# a complaint of cache_check().
#
#   SUITES   of: regress isolation plpgsql, and names of contrib modules
#   RUNS     of: verify cached
#   TESTS    names in the schedule's order, instead of all (of one suite)
#   HITS     least number of hits, instead of LEAST_HITS
#   KEEP     not empty: keep the work directory of a failed run
#
# The source (pgsource.sh) may be of another minor version than the server,
# which is why outputs are not compared with PostgreSQL's expected ones.

. "$(dirname "$0")/lib.sh"

CONTRIB="bloom btree_gin btree_gist citext cube dblink file_fdw hstore intarray
ltree pg_trgm postgres_fdw seg tablefunc xml2"
SUITES=${SUITES:-regress isolation plpgsql $CONTRIB}
RUNS=${RUNS:-verify cached}
TESTS=${TESTS:-}
CK_KEEP=${KEEP:-}
SUITE_TIMEOUT=${SUITE_TIMEOUT:-1500}
declare -A LEAST_HITS=([regress]=3000 [isolation]=400) # others: 1
KNOWN=src/test/conformance/known
export PGISOLATIONTIMEOUT=${PGISOLATIONTIMEOUT:-300}

# database_of SUITE
database_of() {
  case $1 in
    regress) echo regression ;;
    isolation) echo isolation_regression ;;
    *) echo "regression_${1//-/_}" ;;
  esac
}

# source_of SUITE: its directory.
source_of() {
  case $1 in
    regress | isolation) echo "$CK_WORK/pgsrc/src/test/$1" ;;
    plpgsql) echo "$CK_WORK/pgsrc/src/pl/plpgsql/src" ;;
    *) echo "$CK_WORK/pgsrc/contrib/$1" ;;
  esac
}

# tests_of SUITE: arguments for the runner.
tests_of() {
  if [ -n "$TESTS" ]; then echo "$TESTS"; return; fi
  case $1 in
    regress) echo --schedule=parallel_schedule ;;
    isolation) echo --schedule=isolation_schedule ;;
    *) sed -e ':a' -e '/\\$/N; s/\\\n//; ta' "$(source_of "$1")/Makefile" |
      sed -n 's/^REGRESS *= *//p' ;;
  esac
}

# unpack_suites: all of them, and the library that the regression tests load.
unpack_suites() {
  local archive major

  major=$("$PG_CONFIG" --version | sed -E 's/PostgreSQL ([0-9]+).*/\1/')
  archive=$("$CK_TOP/test/tools/pgsource.sh" "$major") || return 1
  echo "suites of ${archive##*/}"
  as_user mkdir -p pgsrc out/lib || return 1
  as_user tar -C pgsrc -xf - --strip-components=1 --wildcards \
    '*/src/test/regress' '*/src/test/isolation' '*/src/pl/plpgsql/src' \
    '*/contrib' \
    -I "$(decompressor "$archive")" <"$archive" || return 1
  as_user cp -L "$("$PG_CONFIG" --pkglibdir)"/{refint,autoinc}.so out/lib &&
    as_user make -s -C pgsrc/src/test/regress -f - regress.so \
      >out/regress-build.log 2>&1 <<<"
MODULES = regress
PGXS := $("$PG_CONFIG" --pgxs)
override with_llvm = no
include \$(PGXS)" || { cat out/regress-build.log; return 1; }
  as_user mv pgsrc/src/test/regress/regress.so out/lib
}

decompressor() {
  case $1 in
    *.bz2) echo bzip2 ;;
    *.xz) echo xz ;;
    *) echo gzip ;;
  esac
}

# make_config RUN: prints the name of a configuration file.  Its first part
# is what pg_regress gives to a temporary server.
make_config() {
  local file=$CK_WORK/out/$1.conf

  {
    cat <<END
fsync = off
max_prepared_transactions = 2
log_autovacuum_min_duration = 0
log_checkpoints = on
log_line_prefix = '%m %b[%p] %q%a '
log_lock_waits = on
log_temp_files = 128kB
compute_query_id = regress
END
    [ "$1" = stock ] || cat src/test/conformance/cached.conf
    [ "$1" != verify ] || echo "cachekit.verify = on"
  } | as_user tee "$file" >/dev/null
  echo "$file"
}

# make_databases RUN: as pg_regress makes them, but for the extension, which
# is in a schema of its own, and there in databases that tests make.
make_databases() {
  local suite name

  if [ "$1" != stock ]; then
    psql -qX -v ON_ERROR_STOP=1 template1 -c 'CREATE SCHEMA cachekit' \
      -c 'CREATE EXTENSION cachekit SCHEMA cachekit' || return 1
  fi
  for suite in $SUITES; do
    name=$(database_of "$suite")
    psql -qX -v ON_ERROR_STOP=1 template1 -c "CREATE DATABASE $name" || return 1
    psql -qX -v ON_ERROR_STOP=1 "$name" -c "
      ALTER DATABASE $name SET lc_messages TO 'C';
      ALTER DATABASE $name SET lc_monetary TO 'C';
      ALTER DATABASE $name SET lc_numeric TO 'C';
      ALTER DATABASE $name SET lc_time TO 'C';
      ALTER DATABASE $name SET bytea_output TO 'hex';
      ALTER DATABASE $name SET timezone_abbreviations TO 'Default'" || return 1
  done
}

# run_suite SUITE OUTPUT-DIRECTORY: under the same path in each run.
run_suite() {
  local now=$CK_WORK/out/now runner=regress/pg_regress source

  [ "$1" != isolation ] || runner=isolation/pg_isolation_regress
  source=$(source_of "$1")
  as_user mkdir -p "$now" "$2"
  (
    cd "$source" &&
      as_user timeout -k 20 "$SUITE_TIMEOUT" "$CK_PGXS/src/test/$runner" \
        --inputdir=. --outputdir="$now" --dlpath="$CK_WORK/out/lib" --bindir= \
        --use-existing --dbname="$(database_of "$1")" \
        --host="$PGHOST" --port="$PGPORT" --user="$PGUSER" \
        --max-concurrent-tests=20 $(tests_of "$1")
  ) </dev/null >out/runner.log 2>&1
  grep -qE ' tests? (passed|failed)' out/runner.log ||
    { tail -n 20 out/runner.log; return 1; }
  as_user mv out/runner.log "$now"/* "$2" && as_user rmdir "$now"
}

# differences STOCK-OUTPUT OUTPUT: the lines, without their numbers.
differences() {
  diff -U0 "$1" "$2" | sed -n '3,$p' | grep -v '^@@'
}

# known RUN SUITE/TEST: the lines of the section "= SUITE/TEST KEY", or of
# "= SUITE/TEST KEY RUN" for a difference in that run only.
known() {
  awk -v run="$1" -v name="$2" '
    /^= / { on = $2 == name && ($4 == "" || $4 == run); next }
    on && /^[-+]/' "$KNOWN"
}

# compare SUITE RUN: all outputs with those of stock.
compare() {
  local suite=$1 stock=out/stock-$1 run=out/$2-$1 file name found same=0 all=0

  for file in "$stock"/results/*.out; do
    name=$(basename "$file" .out)
    all=$((all + 1))
    found=$(differences "$file" "$run/results/$name.out" 2>&1)
    if [ "$found" = "$(known "$2" "$suite/$name")" ]; then
      same=$((same + 1))
      report 0
    else
      report 1 "$2: $suite/$name"
      diff -U3 "$file" "$run/results/$name.out" | head -n 60
    fi
  done
  [ "$(ls "$stock/results")" = "$(ls "$run/results")" ]
  report $? "$2: $suite: outputs of the same tests as on stock"
  echo "$same of $all outputs as they must be"
}

# exercised SUITE RUN: was the cache used, and is it sound?
exercised() {
  local database least=${HITS:-${LEAST_HITS[$1]:-1}} hits bad

  database=$(database_of "$1")
  psql -qXAt -F ' ' -R ', ' "$database" -c "
    SELECT name, value FROM cachekit.cachekit_stats s,
      jsonb_each_text(to_jsonb(s)) WITH ORDINALITY e (name, value)
    WHERE name IN ('hits', 'misses', 'fills', 'bypasses', 'evictions')
    UNION ALL (SELECT reason, count::text FROM cachekit.cachekit_bypasses
      WHERE count > 0 ORDER BY count DESC)" | fold -sw 78 | sed 's/^/    /'
  hits=$(psql -qXAt "$database" -c 'SELECT hits FROM cachekit.cachekit_stats')
  [ "${hits:-0}" -ge "$least" ]
  report $? "$2: $1: ${hits:-0} hits, at least $least"
  bad=$(psql -qXAt "$database" -c 'SELECT * FROM cachekit.cache_check()')
  [ -z "$bad" ]
  report $? "$2: $1: cache_check finds nothing${bad:+, but $bad}"
}

# run_server RUN: its suites, on a server of its own.
run_server() {
  local suite

  say "$1"
  SECONDS=0
  start_server "$(make_config "$1")" && make_databases "$1" ||
    die "no server for $1"
  for suite in $SUITES; do
    run_suite "$suite" "out/$1-$suite" || die "$suite did not run"
    echo "$suite:$(grep -hoE '[A-Z0-9][a-z0-9 ]* tests? (passed|failed)' "out/$1-$suite/runner.log")"
    [ "$1" = stock ] || { compare "$suite" "$1"; exercised "$suite" "$1"; }
  done
  ! grep 'WARNING:.*invalid configuration parameter name "cachekit' out/server.log
  report $? "$1: test/conformance/cached.conf names settings only"
  ! crashed out/server.log
  report $? "$1: the server neither crashed nor leaked"
  stop_server
  echo "$SECONDS s"
  as_user mv out/server.log "out/$1-server.log"
}

say "build"
make_tree debug
unpack_suites || die "no suites to run"
for run in stock $RUNS; do
  run_server "$run"
done

result
