#!/bin/bash
# deps.sh
#   Installs what building, testing and the demo need, with apt-get.  Does
#   nothing when all is there.  Makes and starts no database cluster.
#
# PG_MAJOR chooses the version of PostgreSQL to install (default 15, or else
# the distribution's own); PG_CONFIG one that is there already.

set -u
export LC_ALL=C DEBIAN_FRONTEND=noninteractive

missing=()

have_postgres() {
  local config=${PG_CONFIG:-pg_config} bin program

  bin=$("$config" --bindir 2>/dev/null) || return 1
  for program in postgres initdb psql pgbench; do
    [ -x "$bin/$program" ] || return 1
  done
  [ -f "$("$config" --pgxs)" ] &&
    [ -f "$("$config" --includedir-server)/postgres.h" ]
}

have_compiler() {
  command -v gcc >/dev/null && echo 'int main(void) { return 0; }' |
    gcc -x c -include stdlib.h -o /dev/null - 2>/dev/null
}

as_root() {
  if [ "$(id -u)" -eq 0 ]; then "$@"
  elif command -v sudo >/dev/null; then
    sudo env DEBIAN_FRONTEND=noninteractive "$@"
  else
    echo "deps.sh: neither root nor sudo, cannot run: $*" >&2
    return 1
  fi
}

# The version to install: as asked for, else what the distribution has.
pg_major() {
  local major=${PG_MAJOR:-15}

  if ! apt-cache show "postgresql-server-dev-$major" >/dev/null 2>&1; then
    major=$(apt-cache depends postgresql |
      sed -n 's/.*Depends: postgresql-\([0-9]*\)$/\1/p' | head -n 1)
  fi
  echo "$major"
}

# Keep the packages from making and starting a cluster, during this only.
install_postgres() {
  local major no_main=/etc/postgresql-common/createcluster.d/cachekit.conf

  major=$(pg_major)
  as_root apt-get install -y -q --no-install-recommends postgresql-common ||
    return 1
  as_root mkdir -p "${no_main%/*}"
  echo 'create_main_cluster = false' | as_root tee "$no_main" >/dev/null
  as_root apt-get install -y -q --no-install-recommends \
    "postgresql-$major" "postgresql-server-dev-$major" "$@"
  local status=$?
  as_root rm -f "$no_main"
  return $status
}

have_postgres || missing+=(postgresql)
have_compiler || missing+=(gcc libc6-dev)
command -v make >/dev/null || missing+=(make)
command -v prove >/dev/null && perl -MTest::More -e 1 2>/dev/null ||
  missing+=(perl)
command -v bzip2 >/dev/null || missing+=(bzip2)
perl -MIPC::Run -e 1 2>/dev/null || missing+=(libipc-run-perl)
[ ${#missing[@]} -eq 0 ] && exit 0

echo "installing: ${missing[*]}"
command -v apt-get >/dev/null || {
  echo "deps.sh: no apt-get here; please install: ${missing[*]}" >&2
  exit 1
}
as_root apt-get update -q || echo "apt-get update failed, trying anyway" >&2
if [ "${missing[0]}" = postgresql ]; then
  install_postgres "${missing[@]:1}" || exit 1
  have_postgres || {
    echo "deps.sh: PostgreSQL is still incomplete; is another pg_config" \
      "first in PATH? PG_CONFIG chooses one" >&2
    exit 1
  }
else
  as_root apt-get install -y -q --no-install-recommends "${missing[@]}"
fi </dev/null
