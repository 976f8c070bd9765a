/*-------------------------------------------------------------------------
 *
 * counters.c
 *	  Statistics counters of each database, in shared memory.
 *
 * A database has a slot, found by its OID or claimed on first use; a slot has
 * a few stripes, each on cache lines of its own, so that backends seldom
 * write to the same line.  A counter is the sum over the stripes; a stripe of
 * a gauge alone may well be below zero.
 *
 * Locking: none.  A slot is claimed by compare-and-exchange of its database
 * OID and never given up; counters are only ever added to, atomically.
 *
 * Caveats: when all slots are taken, the databases that come later share the
 * last one, and their figures are mixed up there.  ck_counters_reset() zeroes
 * one counter after the other: what is counted meanwhile is partly kept.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "port/atomics.h"

#include "clock.h"
#include "segment.h"
#include "counters.h"

#define NUM_STRIPES		4
#define MIN_SLOTS		8
#define MAX_SLOTS		256		/* an item keeps its slot in one byte */
#define NUM_CELLS		(CK_NUM_COUNTERS + CK_NUM_BYPASSES)

typedef union CkSharedStripe
{
	pg_atomic_uint64 cells[NUM_CELLS];	/* counters, then bypasses */
	char		pad[TYPEALIGN(PG_CACHE_LINE_SIZE, NUM_CELLS * 8)];
} CkSharedStripe;

typedef struct CkSharedCounterSlot
{
	pg_atomic_uint32 dbid;		/* zero: not claimed */
	pg_atomic_uint64 reset_time;	/* a TimestampTz; zero: just claimed */
	char		pad[PG_CACHE_LINE_SIZE - 16];
	CkSharedStripe stripes[NUM_STRIPES];
} CkSharedCounterSlot;

typedef struct CkSharedCounters
{
	uint32		nslots;
	char		pad[PG_CACHE_LINE_SIZE - sizeof(uint32)];
	CkSharedCounterSlot slots[FLEXIBLE_ARRAY_MEMBER];
} CkSharedCounters;

/*---- Link to shared memory, and this backend's own slot ----*/
static CkSharedCounters *counters = NULL;
static Oid	own_slot_dbid = InvalidOid;
static uint16 own_slot = 0;

static uint32
counter_slots_for(Size budget)
{
	Size		n = budget / (1024 * 1024);

	return Min(Max(n, MIN_SLOTS), MAX_SLOTS);
}

/*
 * Bytes wanted out of a budget.
 */
Size
ck_counters_size(Size budget)
{
	return offsetof(CkSharedCounters, slots) +
		counter_slots_for(budget) * sizeof(CkSharedCounterSlot);
}

void
ck_counters_init(void *ptr, Size size, Size budget)
{
	CkSharedCounters *c = (CkSharedCounters *) ptr;
	uint32		i;
	int			s;
	int			k;

	c->nslots = counter_slots_for(budget);
	Assert(size >= ck_counters_size(budget));
	for (i = 0; i < c->nslots; i++)
	{
		pg_atomic_init_u32(&c->slots[i].dbid, InvalidOid);
		pg_atomic_init_u64(&c->slots[i].reset_time, 0);
		for (s = 0; s < NUM_STRIPES; s++)
			for (k = 0; k < NUM_CELLS; k++)
				pg_atomic_init_u64(&c->slots[i].stripes[s].cells[k], 0);
	}
}

void
ck_counters_attach(void *ptr, Size size)
{
	counters = (CkSharedCounters *) ptr;
	own_slot_dbid = InvalidOid;
}

uint16
ck_counters_nslots(void)
{
	return counters->nslots;
}

/*
 * Is this the slot of dbid, or can it become so?
 */
static bool
claim_counter_slot(CkSharedCounterSlot *slot, Oid dbid)
{
	uint32		found = InvalidOid;

	if (pg_atomic_read_u32(&slot->dbid) == dbid)
		return true;
	if (!pg_atomic_compare_exchange_u32(&slot->dbid, &found, dbid))
		return found == dbid;
	pg_atomic_write_u64(&slot->reset_time, (uint64) ck_clock_now());
	return true;
}

/*
 * The slot of a database.  Never fails: whoever finds no slot of its own
 * shares the last one.  May be called under any lock.
 */
uint16
ck_counters_slot(Oid dbid)
{
	uint32		i;

	Assert(counters != NULL);
	if (!OidIsValid(dbid))
		return counters->nslots - 1;
	for (i = 0; i < counters->nslots; i++)
	{
		if (claim_counter_slot(&counters->slots[i], dbid))
			return i;
	}
	return counters->nslots - 1;
}

/*
 * Processes of neighbouring pids take different stripes.
 */
static void
add_to_cell(uint16 slot, int cell, int64 n)
{
	CkSharedStripe *stripe;

	Assert(slot < counters->nslots);
	stripe = &counters->slots[slot].stripes[MyProcPid % NUM_STRIPES];
	pg_atomic_fetch_add_u64(&stripe->cells[cell], n);
}

static int64
sum_cell(uint16 slot, int cell)
{
	int64		sum = 0;
	int			s;

	Assert(slot < counters->nslots);
	for (s = 0; s < NUM_STRIPES; s++)
		sum += (int64)
			pg_atomic_read_u64(&counters->slots[slot].stripes[s].cells[cell]);
	return sum;
}

/*
 * Add n, which may be negative, to a counter of a slot.  Never blocks, may be
 * called under any lock.  The memory must be attached.
 */
void
ck_counters_add(uint16 slot, CkCounter which, int64 n)
{
	add_to_cell(slot, which, n);
}

static uint16
slot_of_mine(void)
{
	if (own_slot_dbid != MyDatabaseId || !OidIsValid(own_slot_dbid))
	{
		own_slot = ck_counters_slot(MyDatabaseId);
		own_slot_dbid = MyDatabaseId;
	}
	return own_slot;
}

/*
 * Count one event of this session's database; nothing happens when no memory
 * is attached.
 */
void
ck_count(CkCounter which)
{
	if (counters != NULL)
		add_to_cell(slot_of_mine(), which, 1);
}

/* As ck_count(), n at once. */
void
ck_count_n(CkCounter which, int64 n)
{
	if (counters != NULL)
		add_to_cell(slot_of_mine(), which, n);
}

/*
 * Count one bypass, in all and for its reason.
 */
void
ck_count_bypass(CkBypass why)
{
	if (counters == NULL)
		return;
	add_to_cell(slot_of_mine(), CK_CTR_BYPASSES, 1);
	add_to_cell(slot_of_mine(), CK_NUM_COUNTERS + why, 1);
}

int64
ck_counters_read(uint16 slot, CkCounter which)
{
	return sum_cell(slot, which);
}

int64
ck_counters_read_bypass(uint16 slot, CkBypass why)
{
	return sum_cell(slot, CK_NUM_COUNTERS + why);
}

/*
 * When the counters began to count.
 */
TimestampTz
ck_counters_reset_time(uint16 slot)
{
	Assert(slot < counters->nslots);
	return (TimestampTz) pg_atomic_read_u64(&counters->slots[slot].reset_time);
}

/*
 * Begin again at zero, but for the gauges, which tell what is there.
 */
void
ck_counters_reset(uint16 slot)
{
	CkSharedCounterSlot *c = &counters->slots[slot];
	int			s;
	int			k;

	Assert(slot < counters->nslots);
	for (s = 0; s < NUM_STRIPES; s++)
	{
		for (k = 0; k < NUM_CELLS; k++)
		{
			if (k < CK_FIRST_GAUGE || k >= CK_NUM_COUNTERS)
				pg_atomic_write_u64(&c->stripes[s].cells[k], 0);
		}
	}
	pg_atomic_write_u64(&c->reset_time, (uint64) ck_clock_now());
}

/*
 * The name of a reason, as the view cachekit_bypasses shows it.
 */
const char *
ck_bypass_name(CkBypass why)
{
	static const char *const names[] = {
		"none", "disabled", "no_memory", "recovery", "parallel",
		"serializable", "snapshot", "own_writes", "unknown_version",
		"not_cacheable", "privilege"
	};

	StaticAssertStmt(lengthof(names) == CK_NUM_BYPASSES,
					 "each reason has a name");
	Assert(why >= 0 && why < CK_NUM_BYPASSES);
	return names[why];
}
