# lib.sh
#   Shared by the scripts of test/tools and test/demo; sourced with bash.  Also
#   the one way in which runners count and print results.
#
# Everything that runs PostgreSQL runs as an unprivileged user, in one work
# directory under ${TMPDIR:-/tmp}:
#
#   src/         a copy of the source tree, where the build happens
#   pg/          a copy of the PostgreSQL installation with cachekit added;
#                its programs find their files relative to themselves
#   data/ sock/  the server of start_server, if any
#   out/         what the test runners write
#
# The source tree and the system's PostgreSQL are only read.

set -u -o pipefail
unset MAKEFLAGS MFLAGS MAKELEVEL MAKEFILES MAKEOVERRIDES
for v in $(compgen -v | grep '^PG'); do
  case $v in PG_CONFIG | PG_MAJOR) ;; *) unset "$v" ;; esac
done
export LC_ALL=C TZ=UTC

CK_TOP=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
CK_WORK=
CK_KEEP=

say() { printf '\n== %s\n' "$*"; }
die() { printf '%s: %s\n' "${0##*/}" "$*" >&2; exit 1; }

# What a runner has counted, and the lines to be repeated at its end.
passed=0
failed=0
results=()

# report STATUS [WHAT]: one test.  Of one that has no name only a failure shows.
report() {
  if [ "$1" -eq 0 ]; then
    passed=$((passed + 1))
    [ -z "${2:-}" ] || echo "ok     $2"
  else
    failed=$((failed + 1))
    results+=("not ok ${2:-}")
    echo "not ok ${2:-}"
  fi
}

# count LABEL PASSED FAILED: many, which have been printed.
count() {
  passed=$((passed + $2))
  failed=$((failed + $3))
  [ "$3" -eq 0 ] && results+=("$1: $2 ok") || results+=("$1: $2 ok, $3 not ok")
}

# result: the end of every runner, and its exit status.
result() {
  say "result"
  [ ${#results[@]} -eq 0 ] || printf '%s\n' "${results[@]}"
  echo "$passed passed, $failed failed"
  [ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
}

# The user that runs the servers: whoever calls, but never root.
pick_user() {
  if [ "$(id -u)" -ne 0 ]; then id -un
  elif id postgres >/dev/null 2>&1; then echo postgres
  else echo nobody
  fi
}

# as_user COMMAND...: run as that user, with its home in the work directory.
as_user() {
  if [ "$(id -u)" -ne 0 ]; then
    HOME=$CK_WORK "$@"
  else
    runuser -u "$CK_USER" -- env HOME="$CK_WORK" USER="$CK_USER" "$@"
  fi
}

# make_work: the work directory, removed by clean_up when the script ends.
make_work() {
  CK_USER=$(pick_user)
  CK_WORK=$(mktemp -d "${TMPDIR:-/tmp}/cachekit.XXXXXX") || exit 1
  trap clean_up EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM HUP
  chmod 755 "$CK_WORK"
  if [ "$(id -u)" -eq 0 ]; then
    chown "$CK_USER" "$CK_WORK"
    as_user test -w "$CK_WORK" ||
      die "user $CK_USER cannot reach $CK_WORK; set TMPDIR to a public place"
  fi
  cd "$CK_WORK" || exit 1
  as_user mkdir src pg out sock
}

# clean_up: stop every server below the work directory, then remove it.
clean_up() {
  local status=$? file pid

  trap - EXIT INT TERM HUP
  [ -n "$CK_WORK" ] || exit "$status"
  cd /
  find "$CK_WORK" -name postmaster.pid 2>/dev/null | while read -r file; do
    pid=$(head -n 1 "$file" 2>/dev/null)
    case $(readlink "/proc/$pid/cwd" 2>/dev/null) in
      "$CK_WORK"/*)
        kill -QUIT "$pid"
        for _ in $(seq 50); do
          kill -0 "$pid" 2>/dev/null || break
          sleep 0.1
        done ;;
    esac
  done
  if [ -n "$CK_KEEP" ] && [ "$status" -ne 0 ]; then
    echo "left for inspection: $CK_WORK"
  else
    rm -rf "$CK_WORK"
  fi
  exit "$status"
}

# make_tree debug|release: install what is missing, build, set CK_BIN.
make_tree() {
  "$CK_TOP/test/tools/deps.sh" || die "cannot install what is missing"
  make_work
  CK_BIN=$("$CK_TOP/test/tools/tree.sh" "$1" "$CK_WORK") ||
    die "the build failed"
  export PG_CONFIG=$CK_BIN/pg_config PATH=$CK_BIN:$PATH
  CK_PGXS=$(dirname "$("$PG_CONFIG" --pgxs)")/../..
}

# start_server CONFIG-FILE: a private server on a unix socket, and the
# environment to reach it.
start_server() {
  local log=$CK_WORK/out/server.log

  as_user initdb -D "$CK_WORK/data" -U postgres -A trust -E UTF8 --locale=C \
    --no-sync --no-instructions >"$CK_WORK/out/initdb.log" 2>&1 ||
    { cat "$CK_WORK/out/initdb.log"; die "initdb failed"; }
  {
    echo "listen_addresses = ''"
    echo "unix_socket_directories = '$CK_WORK/sock'"
    cat "$1"
  } | as_user tee -a "$CK_WORK/data/postgresql.conf" >/dev/null
  as_user pg_ctl -D "$CK_WORK/data" -l "$log" -w -s start ||
    { tail -n 30 "$log"; die "the server did not start"; }
  export PGHOST=$CK_WORK/sock PGPORT=5432 PGUSER=postgres PGDATABASE=postgres
}

stop_server() {
  as_user pg_ctl -D "$CK_WORK/data" -m fast -w -s stop
  as_user rm -rf "$CK_WORK/data"
  unset PGHOST PGPORT PGUSER PGDATABASE
}

# crashed LOG: what no test may leave in the server's log.
crashed() {
  grep -E 'TRAP:|PANIC:|was terminated by signal|reference leak|buffer leak' \
    "$1" 2>/dev/null
}
