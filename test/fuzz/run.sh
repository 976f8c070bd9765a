#!/bin/bash
# run.sh [SECONDS]
#   The fuzzer (fuzz.pl): most of the time against the cache as it is, in both
#   memory modes; then against faults planted on purpose, each of which it must
#   find within a minute.  Normally started by `make test` or `make fuzz`,
#   which build with assertions and debug points and put the programs into
#   PATH; starts servers of its own.
#
#   SEED=n   where to begin (the time of day)
#   ONE=n    run this seed only, and print the fewest statements that show
#            what is wrong

set -u -o pipefail
export LC_ALL=C TZ=UTC
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
SECONDS_ALL=${1:-60}
SEED=${SEED:-$(date +%s)}
FAULT_SECONDS=60

if [ "$(id -u)" -eq 0 ]; then
  exec "$HERE/../tools/load.sh" fuzz "$SECONDS_ALL"
fi

. "$HERE/../tools/storm_server.sh"
passed=0
failed=0

count() {
  if [ "$2" = ok ]; then
    passed=$((passed + 1))
    echo "ok     $1"
  else
    failed=$((failed + 1))
    echo "not ok $1: $2"
  fi
}

# clean NAME ARGUMENTS...: nothing may be wrong, and it must have had hits.
clean() {
  local name=$1 status out=$WORK/out hits checks
  shift

  perl "$HERE/fuzz.pl" "$@" 2>&1 | tee "$out"
  status=${PIPESTATUS[0]}
  hits=$(sed -En 's/.* ([0-9]+) hit,.*/\1/p' "$out" | tail -n 1)
  checks=$(sed -En 's/.* ([0-9]+) statements,.*/\1/p' "$out" | tail -n 1)
  if [ "$status" -ne 0 ]; then
    count "$name" "something is wrong, see above"
  elif [ "${hits:-0}" -lt $((${checks:-0} / 20 + 1)) ]; then
    count "$name" "too few hits to prove anything"
  elif grep -E 'TRAP:|PANIC:|was terminated by signal|leak:' "$LOG"; then
    count "$name" "complaints in the log"
  elif [ -n "$(psql -XqAt -c 'SELECT * FROM cache_check()')" ]; then
    count "$name" "cache_check() complains"
  else
    count "$name" ok
  fi
}

# fault NAME: must be found in time.
fault() {
  local start=$SECONDS status

  timeout $((FAULT_SECONDS + 30)) perl "$HERE/fuzz.pl" --seed "$SEED" \
    --seconds $FAULT_SECONDS --bursts 0 \
    --settings "SET cachekit.debug_fault = '$1'" >"$WORK/out" 2>&1
  status=$?
  if [ $status -eq 1 ] && grep -q WRONG "$WORK/out"; then
    count "fault $1, found after $((SECONDS - start)) s" ok
  else
    tail -n 5 "$WORK/out"
    count "fault $1" "not found"
  fi
}

echo "seed $SEED"
start preload
if [ -n "${ONE:-}" ]; then
  clean "seed $ONE" --seed "$ONE" --one
else
  clean fuzz-preload --seed "$SEED" --seconds $((SECONDS_ALL * 2 / 3))
  for name in forget_old_key outer_as_inner bump_at_commit; do fault $name; done
  stop
  start ondemand
  clean fuzz-ondemand --seed $((SEED + 100000000)) --seconds $((SECONDS_ALL / 3))
fi
stop
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
