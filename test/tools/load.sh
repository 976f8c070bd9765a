#!/bin/bash
# load.sh torture|fuzz|bench [SECONDS]
#   Runs test/torture/run.sh or test/fuzz/run.sh (assertions on; they start
#   servers of their own), or test/bench/run.sh (as users build it) on a
#   private server, which the script finds by PGHOST, PGPORT, PGUSER and
#   PGDATABASE.

what=${1:?torture, fuzz or bench}
seconds=${2:-60}
. "$(dirname "$0")/lib.sh"

[ -f "$CK_TOP/test/$what/run.sh" ] || die "there is no test/$what/run.sh"
if [ "$what" != bench ]; then
  make_tree debug
else
  make_tree release
  start_server src/test/preload.conf
fi
cd src && as_user env TMPDIR="$CK_WORK" bash "test/$what/run.sh" "$seconds"
