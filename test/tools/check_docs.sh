#!/bin/bash
# check_docs.sh
#   doc/reference.md covers every SQL object, column and setting; what the
#   documents say of files and tests exists.

cd "$(dirname "$0")/../.." || exit 2
reference=doc/reference.md
status=0

complain() { echo "check_docs: $*"; status=1; }

version=$(sed -n "s/^default_version *= *'\(.*\)'/\1/p" cachekit.control)
script=sql/cachekit--$version.sql
[ -f "$script" ] || { complain "no $script"; exit 1; }
grep -q "\"version\": \"$version\"" META.json ||
  complain "META.json is not of version $version"
grep -q "^## $version" CHANGELOG.md || complain "CHANGELOG.md lacks $version"

# Functions as "name(", other objects as words.
for name in $(sed -nE 's/^CREATE FUNCTION ([a-z_]+)\(.*/\1/p' "$script" | sort -u); do
  grep -q "^$name(" $reference || complain "no signature of $name()"
done
for name in $(sed -nE \
  's/^CREATE (VIEW|TYPE|EVENT TRIGGER|TABLE|DOMAIN) ([a-z_]+).*/\2/p' "$script" |
  sort -u); do
  grep -q "\`$name\`\|^### $name" $reference || complain "nothing on $name"
done
for name in $(grep -oE 'OUT [a-z_]+' "$script" | sed 's/OUT //' | sort -u); do
  grep -qw "$name" $reference || complain "nothing on column $name"
done
for name in $(grep -oE '"cachekit\.[a-z_]+"' src/guc.c | tr -d '"'); do
  grep -q "\`$name\`" $reference || complain "nothing on $name"
  case $name in cachekit.debug_*) continue ;; esac
  grep -q "\`$name\`" README.md || complain "README.md lacks $name"
done
for name in $(sed -n '/^ck_bypass_name/,/^}/p' src/counters.c |
  grep -oE '"[a-z_]+"' | tr -d '"' | grep -vx none); do
  grep -q "^| \`$name\`" $reference || complain "nothing on reason $name"
done

# Relative links, and files named in backquotes.
for doc in *.md doc/*.md; do
  for link in $(grep -oE '\]\([^)#:]+' "$doc" | sed 's/](//'); do
    [ -e "$(dirname "$doc")/$link" ] || complain "$doc: no $link"
  done
  for file in $(grep -oE '`(src|sql|test|doc|expected)/[A-Za-z0-9_./-]+\.[a-z]+`' \
    "$doc" | tr -d '`' | sort -u); do
    [ -e "$file" ] || complain "$doc: no $file"
  done
done
exit $status
