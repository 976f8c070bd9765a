# storm_server.sh
#   A server of its own for a script that runs as an unprivileged user with
#   the programs in PATH; sourced by test/torture/run.sh and test/fuzz/run.sh,
#   which set HERE, their directory, before.  Sets WORK, LOG and what reaches
#   the server; KEEP, if not empty, keeps the work directory.

WORK=$(mktemp -d "${TMPDIR:-/tmp}/cachekit-${HERE##*/}.XXXXXX") || exit 1
export PGHOST=$WORK PGPORT=5432 PGUSER=postgres PGDATABASE=postgres
LOG=$WORK/log

clean_up() {
  trap - EXIT
  jobs -p | xargs -r kill 2>/dev/null
  [ ! -f "$WORK/data/postmaster.pid" ] ||
    pg_ctl -D "$WORK/data" -m immediate -s stop
  if [ -n "${KEEP:-}" ]; then echo "left: $WORK"; else rm -rf "$WORK"; fi
}
trap clean_up EXIT
trap 'exit 130' INT TERM HUP

sql() { psql -XqAt -v ON_ERROR_STOP=1 "$@"; }

# start MODE [SETTING]...: with the extension and what setup.sql makes
start() {
  local mode=$1
  shift

  initdb -D "$WORK/data" -U postgres -A trust -E UTF8 --locale=C --no-sync \
    --no-instructions >"$WORK/initdb" 2>&1 || { cat "$WORK/initdb"; exit 1; }
  {
    cat "$HERE/../$mode.conf"
    printf '%s\n' "listen_addresses = ''" "unix_socket_directories = '$WORK'" \
      "max_prepared_transactions = 20" "$@"
  } >>"$WORK/data/postgresql.conf"
  pg_ctl -D "$WORK/data" -l "$LOG" -w -s start || { cat "$LOG"; exit 1; }
  sql -c 'CREATE EXTENSION cachekit' -f "$HERE/setup.sql" >"$WORK/setup" ||
    exit 1
}

stop() {
  pg_ctl -D "$WORK/data" -m fast -w -s stop
  rm -rf "$WORK/data"
}
