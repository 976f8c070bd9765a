/*-------------------------------------------------------------------------
 *
 * unit_core.c
 *	  Unit tests of the memory core: clock, counters, arena, evict, table.
 *
 * The source files are included as they are, over memory from palloc and a
 * stub in the place of segment.c.  So all this runs in one backend;
 * unit_shared.c has several.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "../../src/clock.c"
#include "../../src/counters.c"
#include "../../src/arena.c"
#include "../../src/queue.c"
#include "../../src/evict.c"
#include "../../src/item.c"
#include "../../src/pins.c"
#include "../../src/table.c"
#include "../../src/tableread.c"
#include "../../src/tablecheck.c"

#include "access/xact.h"
#include "common/pg_prng.h"
#include "funcapi.h"
#include "portability/instr_time.h"
#include "utils/builtins.h"
#include "utils/tuplestore.h"

#include "unit.h"

PG_MODULE_MAGIC;

PG_FUNCTION_INFO_V1(unit_basics);
PG_FUNCTION_INFO_V1(unit_replace);
PG_FUNCTION_INFO_V1(unit_expiry);
PG_FUNCTION_INFO_V1(unit_pins);
PG_FUNCTION_INFO_V1(unit_limits);
PG_FUNCTION_INFO_V1(unit_stress);
PG_FUNCTION_INFO_V1(unit_wear);
PG_FUNCTION_INFO_V1(unit_holes);
PG_FUNCTION_INFO_V1(unit_overhead);
PG_FUNCTION_INFO_V1(unit_cost);
PG_FUNCTION_INFO_V1(unit_counters);
PG_FUNCTION_INFO_V1(unit_hit_ratio);
PG_FUNCTION_INFO_V1(unit_compare_lru);
PG_FUNCTION_INFO_V1(unit_wear_figures);
PG_FUNCTION_INFO_V1(unit_speed);

#define MB ((Size) 1024 * 1024)

/* with numbers from here, all keys have the same length */
#define BASE 100000

/*---- The stub of segment.c ----*/

int			unit_tranche = 0;

int
ck_segment_tranche(CkTranche which)
{
	if (unit_tranche == 0)
		unit_tranche = LWLockNewTrancheId();
	LWLockRegisterTranche(unit_tranche, "cachekit_unit");
	return unit_tranche;
}

void
unit_attach(void *counters_ptr, Size counters_size, void *table_ptr,
			Size table_size)
{
	ck_counters_attach(counters_ptr, counters_size);
	ck_table_attach(table_ptr, table_size);
}

/*
 * Make a new cache of so many bytes, and forget the last one.
 */
static void
fresh_cache(Size budget)
{
	static char *memory = NULL;
	Size		counters_size = ck_counters_size(budget);

	if (memory != NULL)
		pfree(memory);
	ck_table_flush_hits();
	memory = MemoryContextAllocExtended(TopMemoryContext, budget,
										MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	ck_clock_shift_ms = 0;
	ck_counters_init(memory, counters_size, budget);
	ck_table_init(memory + counters_size, budget - counters_size, budget);
	unit_attach(memory, counters_size, memory + counters_size,
				budget - counters_size);
}

/*---- Reports ----*/

static ReturnSetInfo *rows;

void
unit_begin(FunctionCallInfo fcinfo)
{
#if PG_VERSION_NUM >= 160000
	InitMaterializedSRF(fcinfo, MAT_SRF_USE_EXPECTED_DESC);
#else
	SetSingleFuncCall(fcinfo, SRF_SINGLE_USE_EXPECTED);
#endif
	rows = (ReturnSetInfo *) fcinfo->resultinfo;
}

static void
put_row(const char *text)
{
	Datum		value = CStringGetTextDatum(text);
	bool		isnull = false;

	tuplestore_putvalues(rows->setResult, rows->setDesc, &value, &isnull);
}

void
unit_row(const char *fmt,...)
{
	char		buf[512];
	va_list		args;

	va_start(args, fmt);
	vsnprintf(buf, sizeof(buf), fmt, args);
	va_end(args);
	put_row(buf);
}

bool
unit_ok(bool ok, const char *fmt,...)
{
	char		buf[512];
	va_list		args;

	va_start(args, fmt);
	vsnprintf(buf, sizeof(buf), fmt, args);
	va_end(args);
	put_row(psprintf("%s - %s", ok ? "ok" : "not ok", buf));
	return ok;
}

static void
report_problem(const char *problem, void *arg)
{
	*(int *) arg += 1;
	unit_row("not ok - %s", problem);
}

void
unit_ok_table(const char *when)
{
	int			nproblems = 0;

	ck_table_check(report_problem, &nproblems);
	unit_ok(nproblems == 0, "invariants hold %s", when);
}

/*---- Values that can be verified ----*/

CkKey
unit_key(uint32 keyno, char *buf)
{
	int			len = sprintf(buf, "key:%u", keyno);

	return ck_table_key(CK_KIND_KV, UNIT_DBID, buf, len);
}

static inline char
value_byte(uint32 keyno, uint32 version, uint32 i)
{
	return (char) (keyno * 31 + version * 7 + i + (i >> 8));
}

CkItem *
unit_prepare(uint32 keyno, uint32 version, uint32 vallen, uint32 cost_us,
			 TimestampTz expires_at)
{
	char		buf[32];
	UnitMeta	meta = {keyno, version};
	CkItemSpec	spec = {0};
	CkItem	   *item;
	uint32		i = 0;

	spec.key = unit_key(keyno, buf);
	spec.typid = 25;
	spec.flags = (uint16) keyno;
	spec.meta = &meta;
	spec.metalen = sizeof(meta);
	spec.vallen = vallen;
	spec.cost_us = cost_us;
	spec.expires_at = expires_at;
	item = ck_table_prepare(&spec);
	while (item != NULL && i < vallen)
	{
		char		chunk[3000];
		uint32		n;

		for (n = 0; n < sizeof(chunk) && i + n < vallen; n++)
			chunk[n] = value_byte(keyno, version, i + n);
		ck_table_write(item, i, chunk, n);
		i += n;
	}
	return item;
}

bool
unit_store(uint32 keyno, uint32 version, uint32 vallen, uint32 cost_us,
		   TimestampTz expires_at)
{
	CkItem	   *item = unit_prepare(keyno, version, vallen, cost_us,
									expires_at);

	return item != NULL && ck_table_link(item, NULL, NULL);
}

static const char *
verify_bytes(const CkItemInfo *info, const UnitMeta *meta, uint32 keyno,
			 const char *value, uint32 offset, uint32 len)
{
	uint32		i;

	if (info->metalen != sizeof(UnitMeta) || meta->keyno != keyno ||
		info->typid != 25 || info->flags != (uint16) keyno)
		return "another key's item";
	for (i = 0; i < len; i++)
		if (value[i] != value_byte(keyno, meta->version, offset + i))
			return "wrong bytes in the value";
	return NULL;
}

const char *
unit_verify_small(const CkSmall *small, uint32 keyno)
{
	return verify_bytes(&small->info, (const UnitMeta *) small->data, keyno,
						small->data + MAXALIGN(small->info.metalen), 0,
						small->info.vallen);
}

const char *
unit_verify_item(const CkItem *item, uint32 keyno, uint32 *version)
{
	CkItemInfo	info;
	const UnitMeta *meta = ck_item_meta(item);
	const char *problem = NULL;
	uint32		i;

	ck_item_info(item, &info);
	*version = meta->version;
	for (i = 0; i < info.vallen && problem == NULL; i += 1000)
	{
		char		chunk[1000];
		uint32		n = Min(info.vallen - i, sizeof(chunk));

		ck_item_copy_value(item, i, chunk, n);
		problem = verify_bytes(&info, meta, keyno, chunk, i, n);
	}
	return problem;
}

/*
 * Read by both ways, which must agree.  -1: absent; else the version.
 */
static int64
read_both(uint32 keyno, const char **problem)
{
	char		buf[32];
	CkKey		key = unit_key(keyno, buf);
	TimestampTz now = ck_clock_now();
	CkSmall		small;
	CkReadResult r = ck_table_read_small(&key, now, &small);
	CkItem	   *item = ck_table_pin(&key, now);
	CkItemInfo	info;
	uint32		version;

	*problem = NULL;
	if (item == NULL)
	{
		if (r != CK_READ_ABSENT)
			*problem = "read_small finds what pin does not";
		return -1;
	}
	ck_item_info(item, &info);
	*problem = unit_verify_item(item, keyno, &version);
	if (*problem == NULL && r == CK_READ_ABSENT)
		*problem = "pin finds what read_small does not";
	if (*problem == NULL && (r == CK_READ_USE_PIN) !=
		(info.metalen + info.vallen > CK_SMALL_MAX))
		*problem = "read_small and the size do not agree";
	if (*problem == NULL && r == CK_READ_HIT)
	{
		*problem = unit_verify_small(&small, keyno);
		if (small.item != item || small.info.id != info.id ||
			memcmp(&small.info.stored_at, &info.stored_at, 8) != 0)
			*problem = "read_small and pin give different items";
	}
	ck_table_unpin(item);
	return version;
}

static bool
exists(uint32 keyno)
{
	const char *problem;
	int64		version = read_both(keyno, &problem);

	if (problem != NULL)
		unit_row("not ok - key %u: %s", keyno, problem);
	return version >= 0;
}

static bool
always(const CkItemInfo *info, const void *key, const void *meta, void *arg)
{
	return true;
}

static bool
count_item(const CkItemInfo *info, const void *key, const void *meta,
		   void *arg)
{
	*(int64 *) arg += 1;
	return true;
}

static int64
count_items(void)
{
	int64		n = 0;

	ck_table_foreach(count_item, &n);
	return n;
}

static int64
gauge(CkCounter which)
{
	return ck_counters_read(ck_counters_slot(UNIT_DBID), which);
}

/*
 * Remove everything; no page may be left in use.
 */
static void
ok_nothing_leaks(void)
{
	CkArenaUse	use;

	ck_table_unlink_if(always, NULL);
	ck_arena_lock();
	ck_arena_use(&use);
	ck_arena_unlock();
	unit_ok(use.nfree_pages == use.npages && use.slots_used == 0,
			"all pages are free when all is removed");
	unit_ok(gauge(CK_GAUGE_ENTRIES) == 0 && gauge(CK_GAUGE_BYTES) == 0,
			"the gauges are zero");
	unit_ok_table("in the empty table");
}

/*---- Tests ----*/

Datum
unit_basics(PG_FUNCTION_ARGS)
{
	static const uint32 lengths[] = {0, 1, 100, 1400, 1700, 1992, 1993, 2500,
	4200, 8000, 8192, 10240, 65536, 1000000};
	char		buf[32];
	CkKey		key;
	int			bad = 0;
	int			i;

	unit_begin(fcinfo);
	fresh_cache(16 * MB);
	unit_ok_table("in a new table");
	unit_ok(!exists(1), "what was not stored is absent");
	for (i = 0; i < lengthof(lengths); i++)
		bad += !unit_store(i, 1, lengths[i], 0, 0) || !exists(i);
	unit_ok(bad == 0, "values of 0 bytes to 1 MB are stored and read");
	unit_ok_table("with these");
	unit_ok(count_items() == lengthof(lengths) &&
			gauge(CK_GAUGE_ENTRIES) == lengthof(lengths),
			"foreach and the gauge count them all");

	for (i = 0; i < lengthof(lengths); i++)
		unit_store(i, 2, lengths[lengthof(lengths) - 1 - i], 0, 0);
	for (i = 0; i < lengthof(lengths); i++)
	{
		const char *problem;

		bad += read_both(i, &problem) != 2 || problem != NULL;
	}
	unit_ok(bad == 0, "new values take the place of the old");
	unit_ok(count_items() == lengthof(lengths), "and are as many");

	key = unit_key(3, buf);
	unit_ok(ck_table_unlink(&key) && !exists(3), "unlink removes");
	unit_ok(!ck_table_unlink(&key), "but once only");
	unit_ok(!unit_store(99, 1, 5 * MB, 0, 0),
			"more than a quarter of the memory is refused");
	ok_nothing_leaks();
	return (Datum) 0;
}

static bool
say_no(const CkItemInfo *resident, const void *resident_meta,
	   const CkItemInfo *fresh, const void *fresh_meta, void *arg)
{
	const UnitMeta *r = resident_meta;
	const UnitMeta *f = fresh_meta;

	*(int *) arg = r->version * 100 + f->version;
	return false;
}

static bool
if_newer(const CkItemInfo *resident, const void *resident_meta,
		 const CkItemInfo *fresh, const void *fresh_meta, void *arg)
{
	return ((const UnitMeta *) fresh_meta)->version >
		((const UnitMeta *) resident_meta)->version;
}

Datum
unit_replace(PG_FUNCTION_ARGS)
{
	const char *problem;
	char		buf[32];
	CkKey		key = unit_key(1, buf);
	CkItem	   *item;
	CkItem	   *pinned;
	CkSmall		small;
	uint32		version;
	int			seen = 0;

	unit_begin(fcinfo);
	fresh_cache(16 * MB);
	item = unit_prepare(1, 1, 100, 0, 0);
	unit_ok(!exists(1), "a prepared item is not seen");
	unit_ok(ck_table_link(item, say_no, &seen) && seen == 0,
			"nobody is asked when there is no resident");
	unit_ok(!ck_table_link(unit_prepare(1, 2, 100, 0, 0), say_no, &seen) &&
			seen == 102 && read_both(1, &problem) == 1,
			"who is asked may refuse");
	unit_ok(ck_table_link(unit_prepare(1, 5, 100, 0, 0), if_newer, NULL) &&
			!ck_table_link(unit_prepare(1, 4, 100, 0, 0), if_newer, NULL) &&
			read_both(1, &problem) == 5, "or accept");

	pinned = ck_table_pin(&key, ck_clock_now());
	unit_store(1, 6, 5000, 0, 0);
	unit_ok(unit_verify_item(pinned, 1, &version) == NULL && version == 5,
			"a pinned item stays as it was when it is replaced");
	unit_ok(read_both(1, &problem) == 6, "while others see the new one");
	unit_ok_table("with an unlinked item pinned");
	ck_table_unpin(pinned);

	unit_store(1, 7, 100, 0, ck_clock_now() + USECS_PER_SEC);
	ck_clock_shift_ms = 2000;
	unit_ok(ck_table_link(unit_prepare(1, 8, 100, 0, 0), say_no, &seen) &&
			read_both(1, &problem) == 8,
			"an expired resident is not asked for");

	unit_ok(ck_table_read_small(&key, ck_clock_now(), &small) == CK_READ_HIT,
			"read_small gives the item");
	unit_store(1, 9, 100, 0, 0);
	unit_ok(!ck_table_unlink_item(&key, small.item, small.info.id) &&
			exists(1), "unlink_item does not remove another item");
	ck_table_read_small(&key, ck_clock_now(), &small);
	unit_ok(ck_table_unlink_item(&key, small.item, small.info.id) &&
			!exists(1), "but the one that is meant");

	ck_table_discard(unit_prepare(2, 1, 20000, 0, 0));
	unit_ok(!exists(2), "a discarded item is not seen");
	ok_nothing_leaks();
	return (Datum) 0;
}

Datum
unit_expiry(PG_FUNCTION_ARGS)
{
	char		buf[32];
	CkKey		key;
	TimestampTz now;
	CkItem	   *item;
	CkItemInfo	info;
	int64		live_before;
	int			i;
	int			n;

	unit_begin(fcinfo);
	fresh_cache(8 * MB);
	now = ck_clock_now();
	key = unit_key(1, buf);
	unit_store(1, 1, 100, 0, now + 10 * USECS_PER_SEC);
	item = ck_table_pin(&key, now);
	ck_item_info(item, &info);
	ck_table_unpin(item);
	unit_ok(llabs(info.expires_at - now - 10 * USECS_PER_SEC) <= 2000 &&
			llabs(info.stored_at - now) <= 100000,
			"times come back within two milliseconds");
	unit_ok(exists(1), "an entry is there before its time is over");
	ck_clock_shift_ms = 11000;
	unit_ok(!exists(1) && gauge(CK_CTR_EXPIRATIONS) == 1 &&
			gauge(CK_GAUGE_ENTRIES) == 0, "and is gone, and counted, after");
	now = ck_clock_now();
	unit_store(1, 1, 100, 0, now);
	unit_ok(!exists(1), "what expires now is gone at once");

	unit_store(1, 2, 100, 0, now + USECS_PER_SEC);
	unit_ok(ck_table_touch(&key, now, now + 100 * USECS_PER_SEC),
			"touch finds an entry");
	ck_clock_shift_ms += 50000;
	unit_ok(exists(1), "which lives longer then");
	unit_ok(ck_table_touch(&key, ck_clock_now(), 0), "or forever");
	unit_ok_table("after touch");
	ck_clock_shift_ms += 1000000;
	unit_ok(exists(1), "whatever the time");
	now = ck_clock_now();
	unit_ok(ck_table_touch(&key, now, now - 1) &&
			!ck_table_touch(&key, now, 0) && !exists(1),
			"an expired entry can not be touched");

	/* expired first: every other entry has a ttl */
	fresh_cache(8 * MB);
	now = ck_clock_now();
	for (n = 0; gauge(CK_CTR_EVICTIONS) == 0; n++)
		unit_store(n, 1, 500, 0, n % 2 ? now + USECS_PER_SEC : 0);
	live_before = gauge(CK_GAUGE_ENTRIES);
	ck_clock_shift_ms = 5000;
	for (i = 0; i < n / 3; i++)
		unit_store(n + i, 1, 500, 0, 0);
	unit_ok(gauge(CK_CTR_EVICTIONS) < 10 &&
			gauge(CK_CTR_EXPIRATIONS) > live_before / 3,
			"the expired make room before anything else is evicted");
	unit_ok_table("after expiries");
	ck_table_unlink_if(always, NULL);
	ok_nothing_leaks();
	return (Datum) 0;
}

/*
 * Pin and prepare in a subtransaction that fails.
 */
static void
leak_in_subtransaction(const CkKey *key)
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	int			i;

	BeginInternalSubTransaction(NULL);
	for (i = 0; i < 50; i++)
	{
		ck_table_pin(key, ck_clock_now());
		unit_prepare(77, i, 20000, 0, 0);
	}
	RollbackAndReleaseCurrentSubTransaction();
	MemoryContextSwitchTo(context);
	CurrentResourceOwner = owner;
}

Datum
unit_pins(PG_FUNCTION_ARGS)
{
	char		buf[32];
	CkKey		key;
	CkItem	   *pinned[20];
	CkItem	   *prepared;
	CkItem	   *disowned;
	uint32		version;
	int			bad = 0;
	int			i;

	unit_begin(fcinfo);
	fresh_cache(8 * MB);
	for (i = 0; i < 20; i++)
	{
		unit_store(i, i, i * 700, 0, 0);
		key = unit_key(i, buf);
		pinned[i] = ck_table_pin(&key, ck_clock_now());
	}
	prepared = unit_prepare(50, 5, 30000, 0, 0);
	for (i = 100; i < 40000; i++)
		unit_store(i, 1, i % 3000, 0, 0);
	unit_ok(gauge(CK_CTR_EVICTIONS) > 10000, "many others were evicted");
	for (i = 0; i < 20; i++)
		bad += unit_verify_item(pinned[i], i, &version) != NULL ||
			version != i || !exists(i);
	unit_ok(bad == 0, "pinned items stay, and stay linked");
	unit_ok(unit_verify_item(prepared, 50, &version) == NULL && version == 5,
			"so does a prepared one");
	unit_ok_table("with pinned items");
	ck_table_link(prepared, NULL, NULL);
	unit_ok(exists(50), "which can be linked then");

	unit_ok(ck_table_unlink_if(always, NULL) > 20, "all can be unlinked");
	for (i = 0; i < 20; i++)
		bad += unit_verify_item(pinned[i], i, &version) != NULL ||
			version != i || exists(i);
	unit_ok(bad == 0, "pinned items are readable even then");
	for (i = 0; i < 20; i++)
		ck_table_unpin(pinned[i]);
	ok_nothing_leaks();

	unit_store(1, 1, 100, 0, 0);
	key = unit_key(1, buf);
	pinned[0] = ck_table_pin(&key, ck_clock_now());
	leak_in_subtransaction(&key);
	unit_ok(ck_item_refs(pinned[0]) == 2,
			"a failed subtransaction drops its pins and no others");
	ck_table_unpin(pinned[0]);
	BeginInternalSubTransaction(NULL);
	disowned = unit_prepare(2, 3, 100, 0, 0);
	ck_table_disown(disowned);
	RollbackAndReleaseCurrentSubTransaction();
	unit_ok(unit_verify_item(disowned, 2, &version) == NULL && version == 3,
			"a disowned item outlives it");
	ck_table_link(disowned, NULL, NULL);
	unit_ok(exists(2), "and can be linked");
	ok_nothing_leaks();
	return (Datum) 0;
}

Datum
unit_limits(PG_FUNCTION_ARGS)
{
	CkItem	   *held[64];
	char	   *longkey = palloc(CK_MAX_KEY_LEN);
	char	   *longmeta = palloc(CK_MAX_META_LEN);
	CkItemSpec	spec = {0};
	CkItem	   *item;
	CkSmall		small;
	int			n;
	int			i;

	unit_begin(fcinfo);
	fresh_cache(8 * MB);
	memset(longkey, 'k', CK_MAX_KEY_LEN);
	memset(longmeta, 'm', CK_MAX_META_LEN);
	spec.key = ck_table_key(CK_KIND_QUERY, 7, longkey, CK_MAX_KEY_LEN);
	spec.meta = longmeta;
	spec.metalen = CK_MAX_META_LEN;
	spec.vallen = 0;
	item = ck_table_prepare(&spec);
	unit_ok(item && ck_table_link(item, NULL, NULL) &&
			(item = ck_table_pin(&spec.key, ck_clock_now())) != NULL &&
			memcmp(ck_item_meta(item), longmeta, CK_MAX_META_LEN) == 0 &&
			memcmp(ck_item_key(item), longkey, CK_MAX_KEY_LEN) == 0,
			"the longest key and meta area are kept");
	ck_table_unpin(item);
	unit_ok(ck_table_read_small(&spec.key, ck_clock_now(), &small) ==
			CK_READ_USE_PIN, "they are too long for read_small");
	spec.key.len--;
	spec.key = ck_table_key(CK_KIND_QUERY, 7, longkey, CK_MAX_KEY_LEN - 1);
	unit_ok(ck_table_pin(&spec.key, ck_clock_now()) == NULL,
			"a prefix is another key");
	spec.key = ck_table_key(CK_KIND_KV, 7, longkey, CK_MAX_KEY_LEN);
	unit_ok(ck_table_pin(&spec.key, ck_clock_now()) == NULL,
			"another kind is another key");
	spec.key = ck_table_key(CK_KIND_QUERY, 8, longkey, CK_MAX_KEY_LEN);
	unit_ok(ck_table_pin(&spec.key, ck_clock_now()) == NULL,
			"another database is another key");

	/* fill the memory with what can not be evicted */
	for (n = 0; n < 64; n++)
		if ((held[n] = unit_prepare(n, 1, n < 15 ? 500000 : 50000, 0, 0)) == NULL)
			break;
	unit_ok(n > 15 && n < 30, "memory in use is not given away");
	for (i = 0; i < 20000; i++)
		unit_store(1000 + i, 1, 100, 0, 0);
	unit_ok(!unit_store(1, 1, 100000, 0, 0), "no room is an answer");
	unit_ok_table("in a full table");
	while (--n >= 0)
		ck_table_discard(held[n]);
	unit_ok(unit_store(1, 1, 100000, 0, 0), "there is room again");
	unit_ok_table("after that");
	ck_table_unlink_if(always, NULL);
	ok_nothing_leaks();
	return (Datum) 0;
}

/*
 * Random operations on 2000 keys; what is read must be the last value stored.
 */
#define STRESS_KEYS 2000
#define STRESS_PINS 10

typedef struct StressState
{
	pg_prng_state prng;
	int64		versions[STRESS_KEYS];	/* -1: removed */
	CkItem	   *pinned[STRESS_PINS];
	uint32		pinned_key[STRESS_PINS];
	uint32		pinned_version[STRESS_PINS];
	int			bad;
	int			hits;
} StressState;

static uint32
random_length(pg_prng_state *prng, int maxbits)
{
	uint64		r = pg_prng_uint64(prng);

	return r >> 8 & ((UINT64CONST(1) << (r % (maxbits + 1))) - 1);
}

static void
stress_read(StressState *s, uint32 k)
{
	const char *problem;
	int64		version = read_both(k, &problem);

	if (problem != NULL || (version >= 0 && version != s->versions[k]))
		s->bad++;
	if (version >= 0)
		s->hits++;
}

static void
stress_pin(StressState *s, uint32 k)
{
	int			i = k % STRESS_PINS;
	char		buf[32];
	CkKey		key = unit_key(k, buf);
	uint32		version;

	if (s->pinned[i] != NULL)
	{
		if (unit_verify_item(s->pinned[i], s->pinned_key[i], &version) ||
			version != s->pinned_version[i])
			s->bad++;
		ck_table_unpin(s->pinned[i]);
	}
	s->pinned[i] = ck_table_pin(&key, ck_clock_now());
	if (s->pinned[i] != NULL)
	{
		CkItemInfo	info;

		ck_item_info(s->pinned[i], &info);
		s->pinned_key[i] = k;
		s->pinned_version[i] = s->versions[k];
		ck_table_note_hit(&key, s->pinned[i], info.id);
	}
}

static void
stress_step(StressState *s, uint32 version, int maxbits)
{
	uint32		k = pg_prng_uint64(&s->prng) % STRESS_KEYS;
	int			what = pg_prng_uint64(&s->prng) % 100;
	char		buf[32];
	CkKey		key = unit_key(k, buf);

	if (what < 40)
	{
		TimestampTz expires_at = what < 5 ? ck_clock_now() + what * 1000 : 0;

		if (unit_store(k, version, random_length(&s->prng, maxbits),
					   what, expires_at))
			s->versions[k] = version;
	}
	else if (what < 85)
		stress_read(s, k);
	else if (what < 90)
	{
		ck_table_unlink(&key);
		s->versions[k] = -1;
	}
	else if (what < 97)
		stress_pin(s, k);
	else if (what < 99)
		ck_table_touch(&key, ck_clock_now(), what == 97 ? 0 :
					   ck_clock_now() + 10000);
	else
	{
		CkItem	   *item = unit_prepare(k, version,
										random_length(&s->prng, maxbits), 0, 0);

		if (item != NULL)
			ck_table_discard(item);
	}
}

Datum
unit_stress(PG_FUNCTION_ARGS)
{
	static const int phase_bits[] = {8, 16, 11, 18, 7, 14};
	StressState *s = palloc0(sizeof(StressState));
	uint32		version = 0;
	int			phase;
	int			i;

	unit_begin(fcinfo);
	fresh_cache(2 * MB);
	pg_prng_seed(&s->prng, PG_GETARG_INT32(0));
	for (phase = 0; phase < lengthof(phase_bits); phase++)
	{
		for (i = 0; i < 20000; i++)
			stress_step(s, ++version, phase_bits[phase]);
		unit_ok(s->bad == 0, "all reads are right: values up to %d bytes",
				(1 << phase_bits[phase]) - 1);
		unit_ok_table("after that");
	}
	unit_ok(s->hits > 1000, "many reads were hits");
	for (i = 0; i < STRESS_PINS; i++)
		if (s->pinned[i] != NULL)
			ck_table_unpin(s->pinned[i]);
	ck_table_flush_hits();
	ok_nothing_leaks();
	return (Datum) 0;
}

static uint32 size_of_key(int k, uint32 vallen);
static bool cache_access(uint32 keyno, uint32 vallen);

/*
 * Store `times` the budget in values of one size; the part of the budget that
 * is live data then.
 */
static double
fill(uint32 *keyno, uint32 vallen, Size budget, int times)
{
	int64		n = times * budget / (vallen + 80);

	while (n-- > 0)
	{
		unit_store(*keyno, 1, size_of_key(*keyno, vallen) -
				   size_of_key(*keyno, 1) + 1, 0, 0);
		(*keyno)++;
	}
	return (double) gauge(CK_GAUGE_BYTES) / budget;
}

Datum
unit_wear(PG_FUNCTION_ARGS)
{
	static const uint32 phases[] = {100, 10240, 100, 1700, 100, 5000, 600, 10240};
	uint32		keyno = 0;
	int			i;

	unit_begin(fcinfo);
	fresh_cache(32 * MB);
	for (i = 0; i < lengthof(phases); i++)
	{
		double		live = fill(&keyno, phases[i], 32 * MB, 2);

		if (!unit_ok(live >= 0.85, "85 %% is live data: values of %u bytes",
					 phases[i]))
			unit_row("# %.3f", live);
	}
	unit_ok_table("after all this");
	ok_nothing_leaks();
	return (Datum) 0;
}

/*
 * Holes that were left by removals are used before anything is evicted.
 */
Datum
unit_holes(PG_FUNCTION_ARGS)
{
	Size		budget = 16 * MB;
	int64		kept;
	int			bad = 0;
	int			n;
	int			i;

	unit_begin(fcinfo);
	fresh_cache(budget);
	n = budget / 250;
	for (i = 0; i < n; i++)
		unit_store(BASE + i, 1, 100, 0, 0);
	for (i = 0; i < n; i++)
	{
		char		buf[32];
		CkKey		key = unit_key(BASE + i, buf);

		if (i % 3 != 0)
			ck_table_unlink(&key);
	}
	kept = count_items();
	unit_ok(gauge(CK_CTR_EVICTIONS) == 0, "nothing was evicted so far");
	for (i = 0; i < budget * 55 / 100 / 10400; i++)
		unit_store(i, 1, 10240, 0, 0);
	unit_ok(count_items() == kept + i && gauge(CK_CTR_EVICTIONS) == 0,
			"large values fit where small ones were");
	for (i = 0; i < n; i += 3)
		bad += !exists(BASE + i);
	unit_ok(bad == 0, "small values that had to move are still found");
	unit_ok_table("after that");
	ok_nothing_leaks();
	return (Datum) 0;
}

Datum
unit_wear_figures(PG_FUNCTION_ARGS)
{
	static const uint32 phases[] = {100, 10240, 100, 300, 1050, 1700, 2500, 5000, 600, 10240, 100};
	Size		budget = PG_GETARG_INT32(0) * MB;
	uint32		keyno = 0;
	int			i;

	unit_begin(fcinfo);
	fresh_cache(budget);
	for (i = 0; i < lengthof(phases); i++)
	{
		double		live = fill(&keyno, phases[i], budget, 2);
		Datum		values[3];
		bool		nulls[3] = {0};

		values[0] = CStringGetTextDatum(psprintf("%u", phases[i]));
		values[1] = Int64GetDatum(gauge(CK_GAUGE_ENTRIES));
		values[2] = Float8GetDatum(live);
		tuplestore_putvalues(rows->setResult, rows->setDesc, values, nulls);
	}
	return (Datum) 0;
}

Datum
unit_overhead(PG_FUNCTION_ARGS)
{
	Size		budget = 16 * MB;
	double		overhead;
	double		sum = 0;
	uint32		vallen;

	unit_begin(fcinfo);
	for (vallen = 96; vallen <= 112; vallen++)
	{
		uint32		keyno = 1000000;

		fresh_cache(budget);
		fill(&keyno, vallen, budget, 2);
		/* keys have 11 bytes, and there are 8 of meta */
		overhead = (double) budget / gauge(CK_GAUGE_ENTRIES) - vallen - 11 - 8;
		sum += overhead;
		if ((vallen == 100 && overhead > 80) || overhead > 82)
			unit_row("not ok - %u bytes: overhead %.1f", vallen, overhead);
	}
	unit_ok(sum / 17 <= 78, "values of about 100 bytes cost at most 80 more");
	ok_nothing_leaks();
	return (Datum) 0;
}

Datum
unit_cost(PG_FUNCTION_ARGS)
{
	int64		cheap = 0;
	int64		dear = 0;
	int			n;
	int			i;

	unit_begin(fcinfo);
	fresh_cache(8 * MB);
	/* a tenth of the items is a thousand times as dear */
	for (n = 0; gauge(CK_CTR_EVICTIONS) < 1000; n++)
		unit_store(BASE + n, 1, 400, n % 10 == 5 ? 50000 : 50, 0);
	for (i = 0; i < n; i++)
		unit_store(BASE + n + i, 1, 400, 50, 0);
	for (i = 0; i < n; i++)
	{
		if (exists(BASE + i))
			*(i % 10 == 5 ? &dear : &cheap) += 1;
	}
	if (!unit_ok(dear > n / 10 * 8 / 10, "dear items survive a turnover") ||
		!unit_ok(cheap < n / 10, "cheap items do not"))
		unit_row("# of %d: %lld dear, %lld cheap", n, (long long) dear,
				 (long long) cheap);

	/* cheap items, but of use */
	for (i = 0; i < 5 * n; i++)
	{
		unit_store(BASE + 2 * n + i, 1, 400, 50, 0);
		cache_access(BASE + 2 * n + i, 400);
	}
	for (dear = 0, i = 5; i < n; i += 10)
		dear += exists(BASE + i);
	if (!unit_ok(dear < n / 10 / 10, "but give way to what is used"))
		unit_row("# of %d: %lld dear", n, (long long) dear);
	unit_ok_table("after that");
	return (Datum) 0;
}

Datum
unit_counters(PG_FUNCTION_ARGS)
{
	uint16		slot;
	int			i;

	unit_begin(fcinfo);
	fresh_cache(8 * MB);
	slot = ck_counters_slot(1001);
	unit_ok(slot == ck_counters_slot(1001), "a database keeps its slot");
	unit_ok(slot != ck_counters_slot(1002), "another one has another");
	ck_counters_add(slot, CK_CTR_HITS, 5);
	ck_counters_add(slot, CK_GAUGE_ENTRIES, 3);
	ck_counters_add(slot, CK_GAUGE_ENTRIES, -1);
	unit_ok(ck_counters_read(slot, CK_CTR_HITS) == 5 &&
			ck_counters_read(slot, CK_GAUGE_ENTRIES) == 2, "sums are right");
	ck_count_bypass(CK_BYPASS_OWN_WRITES);
	ck_count(CK_CTR_MISSES);
	i = ck_counters_slot(MyDatabaseId);
	unit_ok(ck_counters_read(i, CK_CTR_BYPASSES) == 1 &&
			ck_counters_read_bypass(i, CK_BYPASS_OWN_WRITES) == 1 &&
			ck_counters_read_bypass(i, CK_BYPASS_DISABLED) == 0 &&
			ck_counters_read(i, CK_CTR_MISSES) == 1,
			"one's own events are counted");
	unit_ok(ck_counters_reset_time(slot) > 0, "counting began at some time");
	ck_clock_shift_ms = 1000;
	ck_counters_reset(slot);
	unit_ok(ck_counters_read(slot, CK_CTR_HITS) == 0 &&
			ck_counters_read(slot, CK_GAUGE_ENTRIES) == 2 &&
			ck_counters_reset_time(slot) > GetCurrentTimestamp(),
			"reset spares the gauges");
	for (i = 0; i < 20; i++)
		slot = ck_counters_slot(2000 + i);
	unit_ok(slot == ck_counters_nslots() - 1 &&
			slot == ck_counters_slot(InvalidOid), "latecomers share the last slot");
	unit_ok(strcmp(ck_bypass_name(CK_BYPASS_OWN_WRITES), "own_writes") == 0 &&
			strcmp(ck_bypass_name(CK_BYPASS_PRIVILEGE), "privilege") == 0,
			"reasons have names");
	return (Datum) 0;
}

/*---- Hit ratio ----*/

/* An exact LRU list of so many bytes. */
typedef struct Lru
{
	int64		max;			/* bytes */
	int64		n;
	int			newest;
	int			oldest;
	int		   *newer;			/* of each key; -1: none; -2: not there */
	int		   *older;
} Lru;

static uint32
size_of_key(int k, uint32 vallen)
{
	char		buf[32];
	uint32		h = hash_bytes_uint32(k);

	/* zero: mixed, small ones more often */
	if (vallen == 0)
		vallen = 50 + (h & ((64 << ((h >> 16) % 8)) - 1));
	return CK_ITEM_HEADER + sizeof(UnitMeta) + sprintf(buf, "key:%u", k) +
		vallen;
}

static void
lru_unlink(Lru *lru, int k, uint32 vallen)
{
	if (lru->newer[k] >= 0)
		lru->older[lru->newer[k]] = lru->older[k];
	else
		lru->newest = lru->older[k];
	if (lru->older[k] >= 0)
		lru->newer[lru->older[k]] = lru->newer[k];
	else
		lru->oldest = lru->newer[k];
	lru->newer[k] = -2;
	lru->n -= size_of_key(k, vallen);
}

static bool
lru_access(Lru *lru, int k, uint32 vallen)
{
	bool		hit = lru->newer[k] != -2;

	if (hit)
		lru_unlink(lru, k, vallen);
	lru->newer[k] = -1;
	lru->older[k] = lru->newest;
	if (lru->newest >= 0)
		lru->newer[lru->newest] = k;
	else
		lru->oldest = k;
	lru->newest = k;
	lru->n += size_of_key(k, vallen);
	while (lru->n > lru->max)
		lru_unlink(lru, lru->oldest, vallen);
	return hit;
}

/* A load: Zipf over nkeys; with scans, stretches of keys read but once. */
typedef struct Load
{
	pg_prng_state prng;
	double	   *cdf;
	int			nkeys;
	int			nscan;			/* keys that only scans use */
	bool		scans;
	int			scan_at;
	int			scan_left;
} Load;

static int
next_access(Load *load)
{
	double		r;
	int			low = 0;
	int			high = load->nkeys - 1;

	if (load->scans && load->scan_left == 0 &&
		pg_prng_double(&load->prng) < 1.0 / load->nkeys)
		load->scan_left = load->nkeys / 4;
	if (load->scan_left > 0 && pg_prng_double(&load->prng) < 0.5)
	{
		load->scan_left--;
		load->scan_at = (load->scan_at + 1) % load->nscan;
		return load->nkeys + load->scan_at;
	}
	r = pg_prng_double(&load->prng) * load->cdf[load->nkeys - 1];
	while (low < high)
	{
		int			mid = (low + high) / 2;

		if (load->cdf[mid] < r)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

static bool
cache_access(uint32 keyno, uint32 vallen)
{
	char		buf[32];
	CkKey		key = unit_key(keyno, buf);
	TimestampTz now = ck_clock_now();
	CkSmall		small;
	CkItem	   *item;

	switch (ck_table_read_small(&key, now, &small))
	{
		case CK_READ_HIT:
			ck_table_note_hit(&key, small.item, small.info.id);
			return true;
		case CK_READ_USE_PIN:
			item = ck_table_pin(&key, now);
			if (item != NULL)
			{
				CkItemInfo	info;

				ck_item_info(item, &info);
				ck_table_note_hit(&key, item, info.id);
				ck_table_unpin(item);
				return true;
			}
			break;
		case CK_READ_ABSENT:
			break;
	}
		unit_store(keyno, 1, size_of_key(keyno, vallen) - size_of_key(keyno, 1) + 1,
			   1000, 0);
	return false;
}

static void
compare_lru(Size budget, uint32 vallen, double skew, bool scans,
			int naccesses, double *lru_ratio, double *our_ratio,
			double *ns_per_access)
{
	Load		load = {0};
	Lru			lru = {0};
	uint32		keyno = 1 << 30;
	int64		lru_hits = 0;
	int64		our_hits = 0;
	int64		measured = 0;
	double		sum = 0;
	instr_time	start;
	instr_time	end;
	int			nall;
	int			i;

	/* how many entries fit? */
	fresh_cache(budget);
	fill(&keyno, vallen, budget, 2);
	lru.max = gauge(CK_GAUGE_BYTES);
	lru.newest = lru.oldest = -1;

	load.nkeys = gauge(CK_GAUGE_ENTRIES) * 10;
	load.nscan = load.nkeys * 4;
	load.scans = scans;
	pg_prng_seed(&load.prng, 42);
	load.cdf = palloc_extended(load.nkeys * sizeof(double), MCXT_ALLOC_HUGE);
	for (i = 0; i < load.nkeys; i++)
		load.cdf[i] = sum += pow(i + 1, -skew);
	nall = load.nkeys + load.nscan;
	lru.newer = palloc_extended(nall * sizeof(int), MCXT_ALLOC_HUGE);
	lru.older = palloc_extended(nall * sizeof(int), MCXT_ALLOC_HUGE);
	for (i = 0; i < nall; i++)
		lru.newer[i] = -2;

	fresh_cache(budget);
	INSTR_TIME_SET_CURRENT(start);
	for (i = 0; i < naccesses; i++)
	{
		int			k = next_access(&load);
		bool		ours = cache_access(k, vallen);
		bool		theirs = lru_access(&lru, k, vallen);

		if (i % 10 == 0)
			ck_table_flush_hits();
		/* the first third warms up; a scan's keys are nobody's hits */
		if (i >= naccesses / 3 && k < load.nkeys)
		{
			measured++;
			our_hits += ours;
			lru_hits += theirs;
		}
	}
	INSTR_TIME_SET_CURRENT(end);
	INSTR_TIME_SUBTRACT(end, start);
	*lru_ratio = (double) lru_hits / measured;
	*our_ratio = (double) our_hits / measured;
	*ns_per_access = INSTR_TIME_GET_MICROSEC(end) * 1000.0 / naccesses;
}

Datum
unit_hit_ratio(PG_FUNCTION_ARGS)
{
	double		lru;
	double		ours;
	double		ns;

	unit_begin(fcinfo);
	compare_lru(4 * MB, 100, 0.9, false, 1000000, &lru, &ours, &ns);
	if (!unit_ok(ours >= lru, "Zipf 0.9 over ten times the budget: LRU or better"))
		unit_row("# lru %.4f ours %.4f", lru, ours);
	compare_lru(4 * MB, 100, 0.9, true, 1000000, &lru, &ours, &ns);
	if (!unit_ok(ours >= lru + 0.05, "with scans: clearly better"))
		unit_row("# lru %.4f ours %.4f", lru, ours);
	compare_lru(4 * MB, 0, 0.9, false, 1000000, &lru, &ours, &ns);
	if (!unit_ok(ours >= lru, "values of 50 bytes to 8 kB: LRU or better"))
		unit_row("# lru %.4f ours %.4f", lru, ours);
	unit_ok_table("after that");
	ok_nothing_leaks();
	return (Datum) 0;
}

Datum
unit_compare_lru(PG_FUNCTION_ARGS)
{
	TupleDesc	desc;
	Datum		values[3];
	bool		nulls[3] = {0};
	double		lru;
	double		ours;
	double		ns;

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	compare_lru(PG_GETARG_INT32(0) * MB, PG_GETARG_INT32(1),
				PG_GETARG_FLOAT8(2), PG_GETARG_BOOL(3), PG_GETARG_INT32(4),
				&lru, &ours, &ns);
	values[0] = Float8GetDatum(lru);
	values[1] = Float8GetDatum(ours);
	values[2] = Float8GetDatum(ns);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(desc, values, nulls)));
}

/*---- Speed ----*/

static instr_time stopwatch;

/*
 * Put a row: nanoseconds an operation since the last one.
 */
static void
put_lap(const char *what, int n)
{
	instr_time	now;
	Datum		values[2];
	bool		nulls[2] = {0};

	INSTR_TIME_SET_CURRENT(now);
	INSTR_TIME_SUBTRACT(now, stopwatch);
	values[0] = CStringGetTextDatum(what);
	values[1] = Float8GetDatum(INSTR_TIME_GET_MICROSEC(now) * 1000.0 / n);
	tuplestore_putvalues(rows->setResult, rows->setDesc, values, nulls);
	INSTR_TIME_SET_CURRENT(stopwatch);
}

/*
 * Nanoseconds of the elementary operations, in a cache that is filled with
 * values of one size, keys at random.  Making the key is included.
 */
Datum
unit_speed(PG_FUNCTION_ARGS)
{
	Size		budget = PG_GETARG_INT32(0) * MB;
	uint32		vallen = PG_GETARG_INT32(1);
	int			n = PG_GETARG_INT32(2);
	uint32		nkeys = budget / (vallen + 100) * 9 / 10;
	TimestampTz now = ck_clock_now();
	char	   *value = palloc0(vallen);
	pg_prng_state prng;
	CkSmall		small;
	int			i;

	unit_begin(fcinfo);
	fresh_cache(budget);
	pg_prng_seed(&prng, 1);
	INSTR_TIME_SET_CURRENT(stopwatch);
	for (i = 0; i < nkeys; i++)
		unit_store(BASE + i, 1, vallen, 0, 0);
	put_lap("store, memory free", nkeys);
	for (i = 0; i < n; i++)
	{
		char		buf[32];
		CkKey		key = unit_key(BASE + pg_prng_uint64(&prng) % nkeys, buf);

		value[0] += key.hash;
	}
	put_lap("make a key", n);
	for (i = 0; i < n; i++)
	{
		char		buf[32];
		CkKey		key = unit_key(BASE + pg_prng_uint64(&prng) % nkeys, buf);

		if (ck_table_read_small(&key, now, &small) == CK_READ_HIT)
			value[0] += small.data[0];
	}
	put_lap("read_small", n);
	for (i = 0; i < n; i++)
	{
		char		buf[32];
		CkKey		key = unit_key(BASE + pg_prng_uint64(&prng) % nkeys, buf);
		CkItem	   *item = ck_table_pin(&key, now);

		if (item != NULL)
		{
			ck_item_copy_value(item, 0, value, vallen);
			ck_table_unpin(item);
		}
	}
	put_lap("pin, copy, unpin", n);
	for (i = 0; i < n; i++)
		unit_store(BASE + pg_prng_uint64(&prng) % nkeys, 1, vallen, 0, 0);
	put_lap("store, replacing", n);
	for (i = 0; i < n; i++)
		unit_store(BASE + nkeys + i, 1, vallen, 0, 0);
	put_lap("store, evicting", n);
	return (Datum) 0;
}
