# others.sh
#   What statements pay that are none of cachekit's business: sourced by run.sh,
#   whose functions it uses.
#
#   These ratios are near to 1, and what disturbs them is not: whether client
#   and backend share a processor is worth 30 %, the place of a server in memory
#   some percent, and a virtual machine's speed changes within seconds.  So both
#   servers and both pgbench run at once, one client each, all of it on one
#   processor, whose time the kernel divides fairly: what costs more gets less
#   done.  The servers are started anew for each run.  The figure is the median,
#   and two standard errors of the mean.

OTHERS_RUNS=$((RUNS * 2 + 1))

# server NAME SETTINGS...: make one in $dir/NAME, with the settings of the first
# one but for the library and its own.
server() {
  local data=$dir/$1

  [ ! -d "$data" ] || return 0
  "$(pg_config --bindir)/initdb" -D "$data" -U "$PGUSER" -A trust -E UTF8 --locale=C --no-sync \
    >/dev/null || return 1
  sql -c "SELECT format('%s = %L', name, setting || coalesce(unit, '')) FROM pg_settings
          WHERE source = 'configuration file' AND name NOT LIKE 'cachekit%'
            AND unit IS DISTINCT FROM '8kB'
            AND name NOT IN ('shared_preload_libraries', 'unix_socket_directories')" \
    >>"$data/postgresql.conf"
  printf '%s\n' "unix_socket_directories = '$data'" "listen_addresses = ''" \
    "autovacuum = off" "${@:2}" >>"$data/postgresql.conf"
  start "$1" || return 1
  (on "$1"; grep -q '^shared_preload' "$data/postgresql.conf" && sql -c 'CREATE EXTENSION cachekit'
    pgbench -q -i -s 5 >/dev/null 2>&1; sql -c 'VACUUM ANALYZE')
}

on() { export PGHOST=$dir/$1; }
# start NAME: anew, if it runs
start() {
  local ctl

  ctl="$(pg_config --bindir)/pg_ctl"
  [ ! -f "$dir/$1/postmaster.pid" ] || "$ctl" -D "$dir/$1" -m fast -w -s stop
  taskset -c 0 "$ctl" -D "$dir/$1" -l "$dir/$1.log" -w -s start ||
    { cat "$dir/$1.log" >&2; return 1; }
}
stop_servers() {
  local file

  for file in "$dir"/*/postmaster.pid; do
    [ ! -f "$file" ] || "$(pg_config --bindir)/pg_ctl" -D "${file%/*}" -m immediate -s stop
  done
}

# both A B SECONDS PGBENCH-ARGUMENTS...: tps of server B / A, at once
both() {
  local name

  for name in "$1" "$2"; do
    (on "$name" && taskset -c 0 pgbench -n -c 1 -T "$3" "${@:4}" 2>/dev/null |
      sed -n 's/^tps = \([0-9.]*\).*/\1/p' >"$dir/$name.tps") &
  done
  wait
  calc "$(cat "$dir/$2.tps") / $(cat "$dir/$1.tps")"
  echo
}

# spread FILE: of ratios: median, and two standard errors of the mean
spread() {
  awk -v m="$(median <"$1")" '{ n++; s += log($1); q += log($1) ^ 2 }
    END { printf "%.3fx +- %.3f", m, 2 * sqrt((q - s * s / n) / (n - 1) / n) }' "$1"
}

# compare A B REACH-SELECT REACH-TPCB WHAT: pgbench's scripts on both servers
compare() {
  local i protocol

  rm -f "$dir"/ratio.*
  for i in $(seq "$OTHERS_RUNS"); do
    if [ $((i % 2)) = 0 ]; then start "$1"; start "$2"; else start "$2"; start "$1"; fi
    both "$1" "$2" 1 -S >/dev/null
    for protocol in prepared simple; do
      both "$1" "$2" "$SECS" -M $protocol -S >>"$dir/ratio.select.$protocol"
      both "$1" "$2" "$SECS" -M $protocol >>"$dir/ratio.tpcb.$protocol"
    done
  done
  for protocol in prepared simple; do
    row "$5: select-only, $protocol" "$3" "$(spread "$dir/ratio.select.$protocol")"
    row "the same, TPC-B, $protocol" "$4" "$(spread "$dir/ratio.tpcb.$protocol")"
  done
}

bench_library() {
  server bare && server bare2 &&
    server off "shared_preload_libraries = 'cachekit'" "cachekit.mode = off" || return 1
  compare bare off "at least 0.99x" "at least 0.99x" "library, mode off, against none"
  compare bare bare2 "" "" "(no library against none)"
}

bench_auto() {
  server off "shared_preload_libraries = 'cachekit'" "cachekit.mode = off" &&
    server auto "shared_preload_libraries = 'cachekit'" "cachekit.mode = auto" || return 1
  compare off auto "at least 0.98x" "at least 0.98x" "mode auto against off"
}

bench_trackall() {
  server off "shared_preload_libraries = 'cachekit'" "cachekit.mode = off" &&
    server all "shared_preload_libraries = 'cachekit'" "cachekit.mode = off" \
      "cachekit.track = all" || return 1
  compare off all "" "at least 0.97x" "track = all against triggers on no table"
}
