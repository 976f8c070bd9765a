#!/bin/bash
# check_symbols.sh [LIBRARY]
#   The library exports nothing but names with our prefixes: PostgreSQL loads
#   all extensions into one namespace.

cd "$(dirname "$0")/../.." || exit 2
library=${1:-cachekit.so}
[ -f "$library" ] || { echo "check_symbols: no $library; build first"; exit 2; }

strangers=$(nm -D --defined-only "$library" | awk '{ print $NF }' |
  grep -vE '^(ck_|cachekit_|pg_finfo_cachekit_)[a-z0-9_]+$' |
  grep -vxE '_PG_init|Pg_magic_func|_init|_fini')
[ -z "$strangers" ] || { echo "check_symbols: exported:" $strangers; exit 1; }
