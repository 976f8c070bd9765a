#!/bin/bash
# check_layers.sh
#   Who may include and call what in src/.  The layers are those of the table
#   of source files in doc/architecture.md: a file includes only headers of
#   rows above its own, or of its own row.

cd "$(dirname "$0")/../.." || exit 2
status=0

complain() { echo "check_layers: $*"; status=1; }

# Lines "rank layer file", from table rows such as | L2 | a.c a.h | ... |
layers=$(awk -F'|' '$2 ~ /^ *L[0-9] *$/ {
    n++; gsub(/[ L]/, "", $2); gsub(/`/, "", $3)
    for (i = split($3, file, " "); i > 0; i--) print n, $2, file[i]
  }' doc/architecture.md)

rank() { awk -v f="$1" '$3 == f { print $1 }' <<<"$layers"; }
layer() { awk -v f="$1" '$3 == f { print $2 }' <<<"$layers"; }

for path in src/*.[ch]; do
  file=${path#src/}
  [ -n "$(rank "$file")" ] || complain "$file is not in doc/architecture.md"
done
awk '{ print $3 }' <<<"$layers" | sort | uniq -d | while read -r file; do
  echo "check_layers: $file is twice in doc/architecture.md"
done
for file in $(awk '{ print $3 }' <<<"$layers"); do
  [ -f "src/$file" ] || complain "doc/architecture.md has $file, src/ does not"
done

for path in src/*.[ch]; do
  file=${path#src/}
  own=$(rank "$file")
  for header in $(sed -n 's/^#include "\([a-z_]*\.h\)".*/\1/p' "$path"); do
    [ -f "src/$header" ] || continue
    other=$(rank "$header")
    [ "${other:-0}" -le "${own:-0}" ] ||
      complain "$file includes $header, which is above it"
  done
done

# only PATTERN WHAT FILE...: the pattern occurs in these files alone.
only() {
  local pattern=$1 what=$2 file
  shift 2

  for file in $(grep -lE "$pattern" src/*.[ch]); do
    case " $* " in *" ${file#src/} "*) ;; *) complain "$what in ${file#src/}" ;; esac
  done
}

# of_layers DIGITS: the files of these layers.
of_layers() { awk -v d="$1" 'index(d, $2) { printf "%s ", $3 }' <<<"$layers"; }

only '\bLWLock(Acquire|Release|Conditional|Initialize)' "LWLock" \
  $(of_layers 12) stamp.c
[ "$(grep -E '\bLWLock(Acquire|Release)' src/stamp.c |
  grep -vc XactTruncationLock)" -eq 0 ] ||
  complain "stamp.c takes another LWLock than XactTruncationLock"
only '\bRegister(Sub)?XactCallback' "transaction callback" xact.c
only '\bDefineCustom[A-Za-z]*Variable' "setting" guc.c
only '_hook *= ' "hook" init.c hooks.c
only '\bSPI_[a-z]' "SPI" $(of_layers 45)
only '\b(SpinLock|s_lock)' "spinlock"
only '^#include "init.h"' "init.h"

exit $status
