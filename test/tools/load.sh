#!/bin/bash
# load.sh torture|bench [SECONDS]
#   Runs test/torture/run.sh (assertions on; it starts its own servers) or
#   test/bench/run.sh (as users build it) on a private server, which the
#   script finds by PGHOST, PGPORT, PGUSER and PGDATABASE.

what=${1:?torture or bench}
seconds=${2:-60}
. "$(dirname "$0")/lib.sh"

[ -f "$CK_TOP/test/$what/run.sh" ] || die "there is no test/$what/run.sh"
if [ "$what" = torture ]; then
  make_tree debug
else
  make_tree release
  start_server src/test/preload.conf
fi
cd src && as_user env TMPDIR="$CK_WORK" bash "test/$what/run.sh" "$seconds"
