#!/bin/bash
# demo.sh [--shell]
#   make demo: builds cachekit, starts a private server, loads the package
#   archive that this machine knows ("apt-cache dumpavail"; without one a
#   small sample), and runs demo.sql.  Nothing is left behind; with --shell
#   (make demo-shell) psql on that server comes first.
#
#   DEMO_SAMPLE=1 takes the sample in any case.

. "$(dirname "$0")/../tools/lib.sh"

# The stanzas that apt knows; false if they are too few.
archive() {
  apt-cache dumpavail >out/archive.txt 2>/dev/null
  [ "$(grep -c '^Package:' out/archive.txt)" -ge 10000 ]
}

update_archive() {
  if [ "$(id -u)" -eq 0 ]; then apt-get update -q
  elif command -v sudo >/dev/null; then sudo apt-get update -q
  else false
  fi </dev/null
}

# find_archive: a machine may not have fetched its package lists yet.
find_archive() {
  command -v apt-cache >/dev/null || return 1
  archive || { update_archive >/dev/null 2>&1 && archive; }
}

run_sql() {
  as_user psql -X -q -P pager=off -v ON_ERROR_STOP=1 "$@"
}

shell() {
  say "psql on the demo's server; \\q stops it and removes everything"
  cat <<'HELP'
   Tables: packages, maintainers, dependencies, provides, tags. Try:
     \timing
     SELECT * FROM cached_query('SELECT section, count(*) FROM packages
       GROUP BY 1 ORDER BY 2 DESC LIMIT 5') AS t(section text, n bigint);
     SELECT * FROM cache_explain('SELECT now(), count(*) FROM packages');
     SELECT no, title, query FROM demo.questions;
     SELECT * FROM demo.race();      TABLE cachekit_queries;
HELP
  trap : INT
  as_user psql -X
}

say "build"
make_tree release
echo "PostgreSQL $(postgres --version | sed 's/.*PostgreSQL) //'), as user" \
  "$CK_USER, in $CK_WORK"

say "data"
if [ -z "${DEMO_SAMPLE:-}" ] && find_archive; then
  echo "the package archive of this machine, from apt-cache dumpavail"
else
  echo "the small sample (there is no package archive here, or not wanted)"
  cp src/test/demo/sample.txt out/archive.txt
fi
as_user mkdir tsv
as_user perl src/test/demo/load.pl tsv <out/archive.txt ||
  die "cannot read the archive"

start_server src/test/demo/demo.conf
run_sql -c 'CREATE DATABASE demo' || exit 1
export PGDATABASE=demo
cd src/test/demo || exit 1
run_sql -v dir="$CK_WORK/tsv" -f schema.sql -f questions.sql -f harness.sql \
  -f demo.sql || status=$?
if [ "${1:-}" = --shell ]; then shell; fi
stop_server
exit "${status:-0}"
