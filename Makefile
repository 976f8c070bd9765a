# cachekit: build with PGXS
#   make && make install && make installcheck     against a running server
#   make test        everything, in private servers; installs what is missing
#   make demo        the cache at work on the Debian package archive
#   make demo-shell  the same, then psql on the demo's server
#   make torture [SECONDS=600]        make fuzz [SECONDS=600]        make bench
#   make conformance PostgreSQL's own suites, with queries cached
#   make versions    compile, and make test, on PostgreSQL 15, 17 and 18 (as root)
# DEBUG=1 turns on assertions, debug points and -Werror.

MODULE_big = cachekit
OBJS = $(patsubst %.c,%.o,$(sort $(wildcard src/*.c)))
EXTENSION = cachekit
DATA = $(sort $(wildcard sql/cachekit--*.sql))
PGFILEDESC = "cachekit - query results cached in shared memory"
# Names of other libraries that are loaded before are not taken for our own.
SHLIB_LINK += -Wl,-Bsymbolic

PG_CFLAGS = -Wall -Wextra -Wno-unused-parameter -Wno-sign-compare
ifdef DEBUG
PG_CFLAGS += -DCACHEKIT_DEBUG -DUSE_ASSERT_CHECKING -Werror
endif
ifneq ($(findstring clang,$(CC)),)
# meets the gcc options of PostgreSQL's own build
PG_CFLAGS += -Wno-unknown-warning-option -Wno-ignored-attributes \
	-Wno-ignored-optimization-argument
endif

# The tests "install" and "install_*" come first.
TESTS_SQL = $(sort $(patsubst sql/%.sql,%,\
	$(filter-out sql/cachekit--% %.part.sql,$(wildcard sql/*.sql))))
TESTS_ISO = $(sort $(patsubst test/specs/%.spec,%,$(wildcard test/specs/*.spec)))
REGRESS = $(filter install install_%,$(TESTS_SQL)) \
	$(filter-out install install_%,$(TESTS_SQL))
REGRESS_OPTS = --load-extension=cachekit
ISOLATION = $(filter install install_%,$(TESTS_ISO)) \
	$(filter-out install install_%,$(TESTS_ISO))
ISOLATION_OPTS = --inputdir=test --load-extension=cachekit

# The TAP tests start servers of their own (not as root):
# make installcheck TAP_TESTS=1
PROVE_TESTS = $(sort $(wildcard test/t/*.pl))
EXTRA_CLEAN = $(wildcard src/*.bc)

PG_CONFIG ?= pg_config
PGXS := $(shell $(PG_CONFIG) --pgxs 2>/dev/null)

# Without the clang that PostgreSQL was built with there is no bitcode.
CLANG_OF_PG := $(shell sed -n 's/^CLANG = *//p' \
	"$(dir $(PGXS))../Makefile.global" 2>/dev/null)
ifeq ($(shell command -v $(or $(CLANG_OF_PG),none)),)
override with_llvm = no
endif

.PHONY: deps test conformance demo demo-shell torture fuzz bench versions

ifneq ($(PGXS),)
include $(PGXS)
$(OBJS): $(wildcard src/*.h) Makefile
else							# before deps.sh has installed it
all install installcheck clean:
	@echo "pg_config not found: run test/tools/deps.sh or set PG_CONFIG"; false
endif

deps:
	@test/tools/deps.sh
test:
	@test/tools/run.sh
conformance:
	@test/tools/conformance.sh
versions:
	@test/tools/versions.sh
demo:
	@test/demo/demo.sh
demo-shell:
	@test/demo/demo.sh --shell
torture fuzz bench:
	@test/tools/load.sh $@ $(SECONDS)
