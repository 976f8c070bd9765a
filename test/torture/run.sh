#!/bin/bash
# run.sh [SECONDS]
#   The storm: readers of every kind compare what the cache says with what
#   the tables say, in one statement and so under one snapshot, while writers
#   do all they can to make the two differ.  Normally started by `make test`
#   or `make torture`, which build with assertions and debug points and put
#   the programs into PATH; starts servers of its own.
#
#   exact runs   in both memory modes and with both trackers, without and with random delays at every
#                step of the algorithm, and with cachekit.verify: no mismatch
#                may occur, and the cache must have answered often enough
#   controls     the same storm against algorithms broken on purpose: the
#                storm must find each of them out, or it proves nothing
#
#   RUNS="exact-preload ..." picks among the runs by their names.

set -u -o pipefail
export LC_ALL=C TZ=UTC
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
SECONDS_ALL=${1:-60}
LEAST_HITS=20 # percent

if [ "$(id -u)" -eq 0 ]; then
  exec "$HERE/../tools/load.sh" torture "$SECONDS_ALL"
fi

. "$HERE/../tools/storm_server.sh"
SLOW='deadlock_timeout = 10s'
passed=0
failed=0
ddl_seen=0

# finish NAME: stop, and keep the log
finish() {
  stop
  mv "$LOG" "$LOG.$1"
}

# clients NUMBER SCRIPT SECONDS
clients() {
  pgbench -n --max-tries=10 -T "$3" -c "$1" -f "$HERE/$2.sql" >"$WORK/out.$2" 2>&1 &
}

# Somebody else finishes the transactions that w_prepare_other leaves, for as
# long as there are clients.
finish_prepared() {
  while [ -e "$WORK/storm" ]; do
    cat <<'EOS'
SELECT format('%s PREPARED %L',
	CASE WHEN random() < 0.7 THEN 'COMMIT' ELSE 'ROLLBACK' END, gid)
FROM pg_prepared_xacts WHERE gid LIKE 'other%' \gexec
EOS
    sleep 0.01
  done | psql -XqAt >/dev/null 2>&1
}

# One that runs for half the time and holds back everybody's horizon.
old_transaction() {
  sql -c "BEGIN; SELECT txid_current(), pg_sleep($1 / 2.0); COMMIT" >/dev/null
}

storm() {
  local t=$1 finisher

  : >"$WORK/storm"
  finish_prepared &
  finisher=$!
  old_transaction "$t" &
  clients 4 r_rc "$t"
  clients 4 r_rr "$t"
  clients 1 r_function "$t"
  clients 1 w_function "$t"
  clients 1 w_ddl "$t"
  clients 3 w_move "$t"
  clients 2 w_total "$t"
  clients 2 w_savepoint "$t"
  clients 2 w_prepare "$t"
  clients 2 w_prepare_other "$t"
  clients 1 w_subxact "$t"
  clients 2 w_part "$t"
  clients 12 w_burst "$t"
  clients 1 w_uncounted "$t"
  wait $(jobs -p | grep -vx "$finisher")
  rm "$WORK/storm"
  wait "$finisher"
}

# What the log has, since line $from, that must not be there.  (Who waits for
# a row that moves to another partition is told to try again, and does; a
# transaction that is just being prepared is busy.)
complaints() {
  tail -n +"$from" "$LOG" |
    grep -E '(ERROR|FATAL|PANIC): |TRAP:|terminated by signal|leak:' |
    grep -Ev 'moved to another partition|prepared transaction .* is busy'
}

# verdict NAME WHAT-WAS-EXPECTED-OR-EMPTY
verdict() {
  if [ -z "$2" ]; then
    passed=$((passed + 1))
    return
  fi
  failed=$((failed + 1))
  echo "  $1 FAILED: $2"
}

# run exact|control NAME SECONDS SETTINGS
run() {
  local kind=$1 name=$2 seconds=$3 from checks hits wrong ddl percent bad=
  local -x PGOPTIONS=$4

  case " ${RUNS:-$name} " in *" $name "*) ;; *) return ;; esac
  PGOPTIONS= sql -c 'SELECT cache_reset_stats(), cache_flush()' >/dev/null
  from=$(($(wc -l <"$LOG") + 1))
  rm -f "$WORK"/out.*
  storm "$seconds"
  [ "$kind" = control ] || PGOPTIONS= sql -c 'SELECT check_structures()' >/dev/null
  IFS='|' read -r checks hits < <(PGOPTIONS= sql \
    -c 'SELECT hits + misses + bypasses, hits FROM cachekit_stats')
  wrong=$(tail -n +"$from" "$LOG" | grep -c 'WARNING: *MISMATCH')
  ddl=$(tail -n +"$from" "$LOG" | grep -c 'LOG: *CHANGED')
  percent=$((100 * hits / (checks > 0 ? checks : 1)))
  printf '%-24s %8s %10s %10s %4s%% %5s %11s\n' "$name" "$seconds" "$checks" \
    "$hits" "$percent" "$ddl" "$wrong"
  if [ "$kind" = control ]; then
    [ "$wrong" -gt 0 ] || bad="the storm did not find it out"
  elif [ "$wrong" -gt 0 ]; then
    bad="wrong answers"
    tail -n +"$from" "$LOG" | grep -A 8 'WARNING: *MISMATCH' | head -n 40
  elif [ "$percent" -lt $LEAST_HITS ]; then
    bad="too few hits to prove anything"
  elif [ "$ddl" -eq 0 ] && [ "$seconds" -ge 10 ]; then
    bad="no DDL came through"
  fi
  ddl_seen=$((ddl_seen + ddl))
  if complaints | head -n 20 | grep .; then bad+=" complaints in the log"; fi
  if grep -h 'aborted' "$WORK"/out.* | head -n 3 | grep .; then
    bad+=" clients aborted"
  fi
  verdict "$name" "$bad"
}

# A share of the time for each exact run; the controls need little.
control_time=$((SECONDS_ALL / 12))
[ $control_time -ge 5 ] || control_time=5
[ $control_time -le 10 ] || control_time=10
share() {
  local t=$(((SECONDS_ALL - 6 * control_time) * $1 / 100))

  echo $((t < 3 ? 3 : t))
}

DELAY='-c cachekit.debug_delay=3000'
FAULT='-c cachekit.debug_delay=1000 -c cachekit.debug_fault'

printf '%-24s %8s %10s %10s %5s %5s %11s\n' run seconds checks hits '' ddl mismatches
start preload "$SLOW"
run exact exact-preload "$(share 15)" ''
run exact exact-preload-delay "$(share 15)" "$DELAY"
run exact verify-preload "$(share 5)" '-c cachekit.verify=on -c cachekit.debug_delay=500'
for fault in bump_in_trigger bump_at_commit bump_both no_ring; do
  run control control-$fault $control_time "$FAULT=$fault"
done
finish preload
start preload "$SLOW" 'cachekit.track = all'
run exact exact-all "$(share 15)" ''
run exact exact-all-delay "$(share 15)" "$DELAY"
run exact verify-all "$(share 5)" '-c cachekit.verify=on -c cachekit.debug_delay=500'
for fault in bump_at_commit no_ring; do
  run control control-all-$fault $control_time "$FAULT=$fault"
done
finish all
start ondemand "$SLOW"
run exact exact-ondemand "$(share 10)" ''
run exact exact-ondemand-delay "$(share 15)" "$DELAY"
run exact verify-ondemand "$(share 5)" '-c cachekit.verify=on -c cachekit.debug_delay=500'
finish ondemand

# DDL gives way to whoever holds a lock, so a run of seconds may see none.
[ "$ddl_seen" -gt 0 ] && bad= || bad="no DDL came through"
verdict "schema changes" "$bad"
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
