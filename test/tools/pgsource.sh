#!/bin/bash
# pgsource.sh MAJOR-VERSION
#   Prints the name of an archive with PostgreSQL's source, of the server's
#   own version if it can be had, else of the newest that can.
#
# It comes from the source packages of the same places that apt takes its
# packages from, with lists of its own: the machine's apt is not changed.
# Archives are kept in ${XDG_CACHE_HOME:-~/.cache}/cachekit; one that is there
# is taken without asking apt.

set -u
export LC_ALL=C
major=${1:?major version}
package=postgresql-$major
dir=${XDG_CACHE_HOME:-$HOME/.cache}/cachekit
own=$("${PG_CONFIG:-pg_config}" --version | sed -n 's/.*(Debian \(.*\))$/\1/p')

die() { printf 'pgsource.sh: %s\n' "$*" >&2; exit 1; }

# archives: those that are there, newest first.
archives() {
  find "$dir" -maxdepth 1 -name "${package}_*.orig.tar.*" | sort -rV
}

# source_lists: apt's lists, asking for source packages only.
source_lists() {
  local file

  for file in /etc/apt/sources.list /etc/apt/sources.list.d/*.list; do
    [ -f "$file" ] && sed -nE 's/^deb(-src)?[[:space:]]/deb-src /p' "$file" \
      >"$dir/apt/parts/$(basename "$file" .list).list"
  done
  for file in /etc/apt/sources.list.d/*.sources; do
    [ -f "$file" ] && sed 's/^Types:.*/Types: deb-src/' "$file" \
      >"$dir/apt/parts/${file##*/}"
  done
}

# apt PROGRAM ARGUMENTS...: with those lists and nothing of the machine's.
apt() {
  "$1" -qq -o Dir::Etc::sourcelist=/dev/null \
    -o Dir::Etc::sourceparts="$dir/apt/parts" \
    -o Dir::State::lists="$dir/apt/lists" -o Dir::Cache="$dir/apt/cache" \
    -o APT::Sandbox::User="$(id -un)" "${@:2}"
}

# versions: the server's own first, then the newest.
versions() {
  {
    echo "$own"
    apt apt-cache showsrc --only-source "$package" |
      sed -n 's/^Version: //p' | sort -rV
  } | awk 'NF && !seen[$0]++'
}

if [ -z "$(archives)" ]; then
  mkdir -p "$dir/apt/parts" "$dir/apt/lists/partial" "$dir/apt/cache" ||
    die "cannot write to $dir"
  source_lists
  apt apt-get update >&2 || echo "apt-get update failed, trying anyway" >&2
  cd "$dir" || exit 1
  for version in $(versions); do
    apt apt-get source --download-only --tar-only "$package=$version" >&2 &&
      break
  done
  rm -rf apt
fi
archives | grep -m 1 . || die "no source package of $package can be had"
