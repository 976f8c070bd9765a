#!/bin/bash
# tree.sh debug|release WORK-DIRECTORY
#   Builds a copy of the source in WORK/src and installs it into a copy of
#   the PostgreSQL installation in WORK/pg; prints the directory of that
#   copy's programs.  See lib.sh.

CK_BUILD=${1:?debug or release}
work=${2:?work directory}
. "$(dirname "$0")/lib.sh"
CK_WORK=$work
CK_USER=$(pick_user)
CONFIG=${PG_CONFIG:-pg_config}
log=$CK_WORK/out/build.log
cd "$CK_WORK" || exit 1

copy_source() {
  tar -C "$CK_TOP" -c --exclude=./.git --exclude='*.o' --exclude='*.so' \
    --exclude='*.bc' --exclude=./results --exclude=./output_iso \
    --exclude=./tmp_check --exclude=./regression.* . |
    as_user tar -C "$CK_WORK/src" -x --no-same-owner
}

# Programs, share and library directories are copied, headers linked to: so
# pg_config and PGXS work from the copy, too.
copy_postgres() {
  local option dir

  for option in --bindir --sharedir --pkglibdir; do
    dir=$("$CONFIG" $option)
    [ -e "pg$dir" ] && continue
    as_user mkdir -p "pg$dir" && as_user cp -RL "$dir/." "pg$dir/" || return 1
  done
  for option in --includedir --includedir-server --libdir; do
    dir=$("$CONFIG" $option)
    [ -e "pg$dir" ] && continue
    as_user mkdir -p "pg${dir%/*}" && as_user ln -s "$dir" "pg$dir" || return 1
  done
}

# build DIRECTORY
build() {
  local debug=
  [ "$CK_BUILD" = debug ] && debug=DEBUG=1
  as_user make -s -C "$1" -j"$(nproc)" install PG_CONFIG="$bin/pg_config" $debug
}

bin=$CK_WORK/pg$("$CONFIG" --bindir)
{
  copy_source && copy_postgres && build src &&
    { [ ! -f src/test/unit/Makefile ] || build src/test/unit; }
} </dev/null 2>&1 | as_user tee "$log" >/dev/null ||
  { cat "$log" >&2; exit 1; }
echo "$bin"
