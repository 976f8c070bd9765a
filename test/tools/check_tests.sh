#!/bin/bash
# check_tests.sh
#   Each test has an expected output and each expected output a test; what
#   doc/validity.md calls the test of a case exists; doc/conformance.md explains
#   every known difference.

cd "$(dirname "$0")/../.." || exit 2
status=0

complain() { echo "check_tests: $*"; status=1; }

# pairs TEST-DIRECTORY SUFFIX EXPECTED-DIRECTORY
pairs() {
  local file name

  for file in "$1"/*."$2"; do
    name=$(basename "$file" ".$2")
    case $name in cachekit--* | *.part | '*') continue ;; esac
    [ -f "$3/$name.out" ] || complain "$file has no $3/$name.out"
  done
  for file in "$3"/*.out; do
    name=$(basename "$file" .out)
    [ -f "$1/$name.$2" ] || [ -f "$1/${name%_[0-9]}.$2" ] ||
      complain "$file is the output of no test"
  done
}

pairs sql sql expected
pairs test/specs spec test/expected
pairs test/unit/sql sql test/unit/expected

for name in $(grep -oE '\b[a-z0-9_]+\.(sql|spec|pl)\b' doc/validity.md | sort -u); do
  [ -n "$(find sql test -name "$name" -print -quit)" ] ||
    complain "doc/validity.md names $name, which does not exist"
done
for key in $(awk '/^= / { print $3 }' test/conformance/known | sort -u); do
  grep -qx "### $key" doc/conformance.md ||
    complain "doc/conformance.md does not explain $key"
done
for key in $(sed -n 's/^### //p' doc/conformance.md); do
  grep -qE "^= [^ ]+ $key( |$)" test/conformance/known ||
    complain "doc/conformance.md explains $key, which is not known"
done
exit $status
