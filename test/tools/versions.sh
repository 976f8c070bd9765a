#!/bin/bash
# versions.sh [--clean] [VERSION...]
#   make versions: compile with gcc and clang against each version of
#   PostgreSQL, warnings being errors, and run the tests there.  As root.
#
# Each version lives in the Debian suite that has it, in a folder of its own
# (some 2 GB, made with debootstrap on first use and kept; --clean removes
# them).  Commands run there by chroot, in namespaces that end with them: the
# machine's own packages, servers and apt are not touched.
#
#   VERSIONS_DIR   where the folders are (${TMPDIR:-/tmp}/cachekit-versions)
#   DEBIAN_MIRROR  (http://deb.debian.org/debian)
#   COMPILERS      of: gcc clang; COMPILERS="" only tests
#   SUITES and others as of run.sh; SUITES="" only compiles.  KEEP keeps the
#                  work directory of a failed run below the version's folder
#
# Some 30 minutes a version, on two processors.

. "$(dirname "$0")/lib.sh"

DIR=${VERSIONS_DIR:-${TMPDIR:-/tmp}/cachekit-versions}
MIRROR=${DEBIAN_MIRROR:-http://deb.debian.org/debian}
COMPILERS=${COMPILERS-gcc clang}
WARNINGS="-Wall -Wextra -Werror -Wno-unused-parameter -Wno-sign-compare \
-Wdeclaration-after-statement"
declare -A SUITE_OF=([15]=bookworm [17]=trixie [18]=forky)

child=

# inside ROOT COMMAND...: with its own /proc, /dev/shm and process ids; what
# it leaves running ends with it.
inside() {
  unshare --mount --pid --fork --kill-child sh -c '
    mount -t proc proc "$0/proc" && mkdir -p "$0/dev/shm" &&
    mount -t tmpfs -o mode=1777 tmpfs "$0/dev/shm" && exec chroot "$0" "$@"' \
    "$1" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C HOME=/root \
    DEBIAN_FRONTEND=noninteractive ${http_proxy:+http_proxy="$http_proxy"} \
    "${@:2}" </dev/null &
  child=$!
  wait $child
}

# Nothing survives the process that holds the namespaces.
stop() {
  [ -z "$child" ] || kill -KILL "$child" 2>/dev/null
  exit 1
}

# From 18 on, what compiles queries is in a package of its own.
jit_package() { [ "$1" -lt 18 ] || echo "postgresql-$1-jit"; }

# make_root VERSION ROOT: Debian with that PostgreSQL, and nothing that is
# only recommended, so that a missing header shows.
make_root() {
  local version=$1 root=$2 suite=${SUITE_OF[$1]} script=sid

  rm -rf --one-file-system "$root" && mkdir "$root" || return 1
  [ ! -e "/usr/share/debootstrap/scripts/$suite" ] || script=$suite
  debootstrap --variant=minbase "$suite" "$root" "$MIRROR" \
    "/usr/share/debootstrap/scripts/$script" || return 1
  printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d"
  chmod 755 "$root/usr/sbin/policy-rc.d"
  echo force-unsafe-io >"$root/etc/dpkg/dpkg.cfg.d/unsafe-io"
  mkdir -p "$root/etc/postgresql-common"
  echo 'create_main_cluster = false' \
    >"$root/etc/postgresql-common/createcluster.conf"
  inside "$root" apt-get install -y -q --no-install-recommends \
    "postgresql-$version" "postgresql-server-dev-$version" \
    $(jit_package "$version") gcc clang libc6-dev make perl bzip2 \
    libipc-run-perl || return 1
  touch "$root/complete"
}

# have_root VERSION ROOT
have_root() {
  [ ! -e "$2/complete" ] || return 0
  echo "making $2 with PostgreSQL $1, log in $2.log"
  make_root "$1" "$2" >"$2.log" 2>&1 </dev/null || { tail -n 20 "$2.log"; false; }
}

copy_source() {
  rm -rf "$1/src/cachekit" && mkdir -p "$1/src/cachekit" &&
    tar -C "$CK_TOP" -c --exclude=./.git --exclude='*.o' --exclude='*.so' \
      --exclude='*.bc' --exclude=./tmp_check . |
    tar -C "$1/src/cachekit" -x --no-same-owner
}

# compile VERSION ROOT COMPILER DEBUG
compile() {
  local make="make -s PG_CONFIG=/usr/lib/postgresql/$1/bin/pg_config \
CC=$3 with_llvm=no ${4:+DEBUG=1}"

  inside "$2" sh -c "cd /src/cachekit && $make clean >/dev/null 2>&1;
    $make -j$(nproc) COPT='$WARNINGS'" >"$2.log" 2>&1
}

compile_all() {
  local version=$1 root=$2 compiler debug status

  for compiler in $COMPILERS; do
    for debug in "" 1; do
      compile "$version" "$root" "$compiler" "$debug"
      status=$?
      [ $status -eq 0 ] || grep -E 'error|warning' "$root.log" | head -n 40
      report $status "PostgreSQL $version, $(inside "$root" "$compiler" \
        --version | head -n 1)${debug:+, debug}"
    done
  done
}

# run_tests VERSION ROOT: prints what run.sh prints, and repeats its result.
run_tests() {
  local version=$1 log=$2.tests.log status out printer name settings=()

  for name in SUITES MODE VERIFY TESTS KEEP TORTURE_SECONDS FUZZ_SECONDS \
    SUITE_TIMEOUT; do
    settings+=("$name=${!name:-}")
  done
  exec {out}> >(exec tee "$log")
  printer=$!
  inside "$2" env "${settings[@]}" \
    PG_CONFIG="/usr/lib/postgresql/$version/bin/pg_config" \
    bash /src/cachekit/test/tools/run.sh >&$out 2>&1
  status=$?
  exec {out}>&-
  wait $printer
  repeat_result "$version" "$log" $status
}

# repeat_result VERSION LOG STATUS: what is below the last "== result".  A run
# that fails and counts no failure is one.
repeat_result() {
  local line before=$failed

  grep -qx '== result' "$2" || { report 1 "PostgreSQL $1, tests: ended early"; return; }
  while IFS= read -r line; do
    if [[ $line =~ ^([0-9]+)\ passed,\ ([0-9]+)\ failed$ ]]; then
      passed=$((passed + BASH_REMATCH[1]))
      failed=$((failed + BASH_REMATCH[2]))
    elif [ -n "$line" ]; then
      results+=("PostgreSQL $1: $line")
    fi
  done < <(tac "$2" | sed '/^== result$/,$d' | tac)
  [ "$3" -eq 0 ] || [ "$failed" -gt "$before" ] ||
    report 1 "PostgreSQL $1, tests: exit status $3"
}

check_version() {
  local version=$1 root=$DIR/${SUITE_OF[$1]}

  say "PostgreSQL $version"
  if ! have_root "$version" "$root" || ! copy_source "$root"; then
    report 1 "PostgreSQL $version, preparation"
    return
  fi
  compile_all "$version" "$root"
  [ -z "${SUITES-all}" ] || run_tests "$version" "$root"
}

trap stop INT TERM HUP
[ "$(id -u)" -eq 0 ] || die "must be run as root: it makes folders to chroot to"
if [ "${1:-}" = --clean ]; then
  rm -rf --one-file-system "$DIR"
  exit
fi
command -v debootstrap >/dev/null || die "please install debootstrap"
mkdir -p "$DIR" && [ -O "$DIR" ] && [ ! -L "$DIR" ] || die "$DIR is not ours"
chmod 755 "$DIR"
exec 9>"$DIR/lock"
flock -n 9 || die "another run uses $DIR"

for version in "${@:-15 17 18}"; do
  for v in $version; do
    [ -n "${SUITE_OF[$v]:-}" ] || die "do not know where to find PostgreSQL $v"
    check_version "$v"
  done
done

result
