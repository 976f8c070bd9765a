#!/bin/bash
# run.sh
#   make test: every suite, in both memory modes, without and with
#   cachekit.verify; all of them run even if one fails.  Parts of it:
#
#   make test SUITES="regress isolation" MODE=preload VERIFY=off TESTS="kv"
#
#   SUITES   of: checks unit regress isolation tap torture fuzz
#   MODE     preload | ondemand (empty: both)
#   VERIFY   off | on (empty: both): also run every hit's query and compare
#   TESTS    names, without their suffix (empty: all)
#   TORTURE_SECONDS  (60), FUZZ_SECONDS (60)
#   KEEP     not empty: keep the work directory of a failed run
#
# A test with a line "noverify: why" is left out when VERIFY is on, one with
# "only: preload" or "only: ondemand" runs in that mode only.

. "$(dirname "$0")/lib.sh"

SUITES=${SUITES:-checks unit regress isolation tap torture fuzz}
MODES=${MODE:-preload ondemand}
VERIFIES=${VERIFY:-off on}
TESTS=${TESTS:-}
CK_KEEP=${KEEP:-}
SUITE_TIMEOUT=${SUITE_TIMEOUT:-900}
export PGISOLATIONTIMEOUT=${PGISOLATIONTIMEOUT:-60}

# wanted NAME: is it among TESTS?
wanted() {
  [ -z "$TESTS" ] || case " $TESTS " in *" $1 "*) ;; *) false ;; esac
}

# select_tests DIRECTORY SUFFIX MODE VERIFY: names, the install tests first.
select_tests() {
  local file name other=ondemand

  [ "$3" = preload ] || other=preload
  for file in "$1"/install*."$2" "$1"/*."$2"; do
    name=$(basename "$file" ".$2")
    [ -f "$file" ] && wanted "$name" || continue
    case $name in cachekit--* | *.part) continue ;; esac
    grep -q "only: $other" "$file" && continue
    [ "$4" = on ] && grep -q 'noverify:' "$file" && continue
    echo "$name"
  done | awk '!seen[$0]++'
}

# without_expected DIRECTORY NAMES...: those that have no expected output; one
# of them would end pg_regress' whole run.
without_expected() {
  local name directory=$1

  for name in "${@:2}"; do
    [ -f "$directory/$name.out" ] || echo "$name"
  done
}

# make_config MODE VERIFY: prints the name of a configuration file.
make_config() {
  local file=$CK_WORK/out/$1-verify-$2.conf

  {
    cat "src/test/$1.conf"
    [ "$2" = off ] || echo "cachekit.verify = on"
  } | as_user tee "$file" >/dev/null
  echo "$file"
}

# count_regress LABEL STATUS OUTPUT-DIRECTORY: from pg_regress' last line.
count_regress() {
  local label=$1 status=$2 out=$3 line all bad=0

  line=$(grep -E 'All [0-9]+ tests passed|[0-9]+ of [0-9]+ tests failed' \
    "$out/runner.log" | tail -n 1)
  all=$(sed -En 's/.*(All|of) ([0-9]+) tests.*/\2/p' <<<"$line")
  [ -z "$line" ] || bad=$(sed -En 's/.*[^0-9]([0-9]+) of .*/\1/p' <<<" $line")
  all=${all:-0}
  bad=${bad:-0}
  if [ "$status" -ne 0 ] && [ "$bad" -eq 0 ]; then
    bad=1
    all=$((all + 1))
  fi
  if [ "$bad" -gt 0 ]; then
    [ ! -s "$out/regression.diffs" ] || head -n 600 "$out/regression.diffs"
    [ -n "$line" ] || tail -n 30 "$out/log/postmaster.log" 2>/dev/null
  fi
  if crashed "$out/log/postmaster.log"; then
    echo "the server crashed or leaked, see above"
    [ "$bad" -gt 0 ] || { bad=1; all=$((all + 1)); }
  fi
  count "$label" $((all - bad)) "$bad"
}

# runner_lines: pg_regress without its preparations.
runner_lines() {
  grep --line-buffered -Ev \
    '^(CREATE|ALTER) (DATABASE|EXTENSION)|^=+ .* =+$|^running on|^[+]{3}|^$'
}

# pg_regress_suite LABEL CONFIG DIRECTORY MAKE-VARIABLES...: one temporary
# server, one run.  PGXS' own rules do it, from the private tree.
pg_regress_suite() {
  local label=$1 config=$2 directory=$3 out status
  shift 3

  out=$CK_WORK/out/${label//, /-}
  say "$label"
  as_user mkdir -p "$out"
  as_user timeout -k 20 "$SUITE_TIMEOUT" \
    make -s --no-print-directory -C "$directory" installcheck \
    PG_CONFIG="$PG_CONFIG" DEBUG=1 "$@" EXTRA_REGRESS_OPTS="--temp-instance=$out/instance \
--temp-config=$config --outputdir=$out --encoding=UTF8 --no-locale" \
    </dev/null 2>&1 | as_user tee "$out/runner.log" | runner_lines
  status=${PIPESTATUS[0]}
  count_regress "$label" $status "$out"
  as_user rm -rf "$out/instance"
}

# The house rules, on the source and on the library that was built of it.
suite_checks() {
  local check name

  say "checks"
  for check in src/test/tools/check_*.sh; do
    name=$(basename "$check" .sh)
    wanted "$name" || continue
    as_user bash "$check" </dev/null 2>&1
    report $? "$name"
  done
}

# The unit tests need no cachekit in the server.
suite_unit() {
  local status

  [ -f src/test/unit/Makefile ] || return 0
  ! wanted unit ||
    pg_regress_suite unit "$(make_config ondemand off)" src/test/unit
  [ -f src/test/unit/shared.sh ] && wanted shared || return 0
  say "unit, several sessions"
  start_server src/test/ondemand.conf
  as_user timeout 300 sh src/test/unit/shared.sh 4 2000 </dev/null 2>&1
  status=$?
  stop_server
  if [ $status -eq 0 ] && ! crashed out/server.log; then
    count shared 1 0
  else
    count shared 0 1
  fi
}

# suite_sql regress|isolation
suite_sql() {
  local mode verify label

  for verify in $VERIFIES; do
    for mode in $MODES; do
      label="$1, $mode"
      [ "$verify" = off ] || label+=", verify"
      if [ "$1" = regress ]; then
        sql_run "$label" "$mode" "$verify" src/sql sql src/expected \
          ISOLATION= REGRESS
      else
        sql_run "$label" "$mode" "$verify" src/test/specs spec \
          src/test/expected REGRESS= ISOLATION
      fi
    done
  done
}

# sql_run LABEL MODE VERIFY TESTS SUFFIX EXPECTED OTHER-SUITE=  THIS-SUITE
sql_run() {
  local tests missing

  tests=$(select_tests "$4" "$5" "$2" "$3")
  missing=$(without_expected "$6" $tests)
  if [ -n "$missing" ]; then
    say "$1: no expected output:" $missing
    count "$1, no expected output" 0 "$(wc -w <<<"$missing")"
    tests=$(grep -vxF "$missing" <<<"$tests")
  fi
  [ -z "$tests" ] || pg_regress_suite "$1" "$(make_config "$2" "$3")" src \
    TAP_TESTS= "$7" "$8=${tests//$'\n'/ }"
}

# count_tap LABEL STATUS LOG: from prove's summary.
count_tap() {
  local all bad

  all=$(sed -En 's/^Files=[0-9]+, Tests=([0-9]+),.*/\1/p' "$3" | tail -n 1)
  bad=$(sed -En 's/.*\(Wstat: .*Tests: [0-9]+ Failed: ([0-9]+)\).*/\1/p' "$3" |
    awk '{ n += ($1 > 0 ? $1 : 1) } END { print n + 0 }')
  all=${all:-0}
  [ "$2" -eq 0 ] || [ "$bad" -gt 0 ] || bad=1
  [ "$all" -ge "$bad" ] || all=$bad
  count "$1" $((all - bad)) "$bad"
}

# The second mode runs only the files that ask for it by CACHEKIT_MODE.
suite_tap() {
  local mode name label out status first=1
  local -a files

  for mode in $MODES; do
    files=()
    for name in $(select_tests src/test/t pl "$mode" off); do
      [ "$first" ] || grep -q CACHEKIT_MODE "src/test/t/$name.pl" || continue
      files+=("test/t/$name.pl")
    done
    first=
    [ ${#files[@]} -gt 0 ] || continue
    label="tap, $mode"
    out=$CK_WORK/out/tap-$mode
    say "$label"
    as_user mkdir -p "$out"
    (
      cd src && as_user env CACHEKIT_MODE="$mode" PGPORT=65432 \
        TESTDIR="$out" TESTDATADIR="$out" TESTLOGDIR="$out/log" \
        PG_REGRESS="$CK_PGXS/src/test/regress/pg_regress" \
        timeout -k 20 "$SUITE_TIMEOUT" \
        prove -I "$CK_PGXS/src/test/perl" -I test/t -I . "${files[@]}"
    ) </dev/null 2>&1 | as_user tee "$out/runner.log"
    status=$?
    [ $status -eq 0 ] || tap_logs "$out"
    count_tap "$label" $status "$out/runner.log"
  done
}

# tap_logs DIRECTORY: the end of each failed file's own log.
tap_logs() {
  local log

  for log in "$1"/tmp_check/log/regress_log_* "$1"/log/regress_log_*; do
    grep -q '\(^\|) \)not ok \|^#.*died\|timed out' "$log" 2>/dev/null || continue
    printf -- '--- %s\n' "${log##*/}"
    tail -n 60 "$log"
  done
}

# load_suite torture|fuzz SECONDS: starts servers of its own, and counts by
# itself.
load_suite() {
  local out=$CK_WORK/out/$1.log line status

  [ -f "src/test/$1/run.sh" ] && wanted "$1" || return 0
  say "$1"
  (
    cd src && as_user env TMPDIR="$CK_WORK" \
      timeout -k 20 "$SUITE_TIMEOUT" bash "test/$1/run.sh" "$2"
  ) </dev/null 2>&1 | as_user tee "$out"
  status=$?
  line=$(grep -E '^[0-9]+ passed, [0-9]+ failed$' "$out" | tail -n 1)
  [ -n "$line" ] || line="1 passed, 0 failed"
  [[ $line =~ ^([0-9]+)\ passed,\ ([0-9]+) ]]
  if [ $status -ne 0 ] && [ "${BASH_REMATCH[2]}" -eq 0 ]; then
    count "$1" 0 1
  else
    count "$1" "${BASH_REMATCH[1]}" "${BASH_REMATCH[2]}"
  fi
}

suite_torture() { load_suite torture "${TORTURE_SECONDS:-60}"; }
suite_fuzz() { load_suite fuzz "${FUZZ_SECONDS:-60}"; }

say "build"
make_tree debug
grep -h 'warning:' out/build.log
echo "PostgreSQL $(postgres --version | sed 's/.*PostgreSQL) //')," \
  "assertions on, as user $CK_USER, in $CK_WORK"

for suite in $SUITES; do
  case $suite in
    regress | isolation) suite_sql $suite ;;
    checks | unit | tap | torture | fuzz) suite_$suite ;;
    *) die "no suite called $suite" ;;
  esac
done

result
