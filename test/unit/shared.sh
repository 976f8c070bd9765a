#!/bin/sh
# Several sessions over one dynamic segment, verifying all they read.
#
#	shared.sh [SESSIONS [MILLISECONDS]]
#
# psql must reach a server on which cachekit_unit is installed (PGHOST, PGPORT,
# PGDATABASE, ...).  The exit status is 0 if no session complained.
set -e

sessions=${1:-4}
ms=${2:-5000}
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
sql() { psql -X -q -A -t -v ON_ERROR_STOP=1 "$@"; }

sql -c 'SET client_min_messages = error; CREATE EXTENSION IF NOT EXISTS cachekit_unit'
failed=0
# keys, longest value
for load in '2000 400' '300 3000' '5000 20000' '20 100' '200 300000'
do
	set -- $load
	handle=$(sql -c 'SELECT unit_shared_create(4)')
	n=0
	pids=
	while [ $n -lt "$sessions" ]
	do
		n=$((n + 1))
		sql -c "SELECT unit_shared_churn($handle, $ms, $1, $2)" \
			>"$dir/$n" 2>&1 &
		pids="$pids $!"
	done
	# two that will not come to their end
	for how in cancel terminate
	do
		PGAPPNAME=$how sql -c "SELECT unit_shared_churn($handle, $ms, $1, $2)" \
			>/dev/null 2>&1 &
	done
	# checks in the middle of it
	sleep $((ms / 2000))
	sql -c "SELECT unit_shared_check($handle)" >"$dir/check"
	sql -c "SELECT pg_cancel_backend(pid) FROM pg_stat_activity
		WHERE application_name = 'cancel'" \
		-c "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
		WHERE application_name = 'terminate'" >"$dir/ended"
	[ "$(grep -c t "$dir/ended")" = 2 ] || failed=1
	for pid in $pids
	do
		wait "$pid" || failed=1
	done
	wait
	sql -c "SELECT unit_shared_clear($handle)" >>"$dir/check"
	echo "$1 keys, values up to $2 bytes"
	cat "$dir"/[0-9]*
	grep -v '^ok' "$dir/check" && failed=1
	rm -f "$dir"/*
done
[ $failed = 0 ] && echo 'ok' || echo 'not ok'
exit $failed
