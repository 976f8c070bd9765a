#!/bin/bash
# check_gucs.sh
#   Settings are defined in alphabetical order, in each function of guc.c.

cd "$(dirname "$0")/../.." || exit 2
awk '
  /^}/ { last = "" }
  match($0, /DefineCustom[A-Za-z]*Variable\("[a-z_.]*"/) {
    name = substr($0, RSTART, RLENGTH)
    gsub(/.*\("|"/, "", name)
    if (name <= last) { print "check_gucs: " name " after " last; bad = 1 }
    last = name
    n++
  }
  END {
    if (n == 0) print "check_gucs: found no setting"
    exit bad || n == 0
  }' src/guc.c
