/*-------------------------------------------------------------------------
 *
 * querystats.c
 *	  Statistics of each query text, in shared memory.
 *
 * A fixed number of slots, eight to a set; a text that finds its set full
 * takes the place of the least used one there.
 *
 * Locking: one LWLock, held exclusively to give a slot to a text and shared
 * to copy one out.  `hash` is written last by whoever claims a slot, with the
 * lock held; counters are atomics and may be changed at any time.
 *
 * Caveat: a session that counts into a slot while it is given to another
 * text adds to the wrong line.  These are statistics.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "port/atomics.h"

#include "querystats.h"
#include "segment.h"

#define WAYS	8

typedef enum Counter
{
	HITS, MISSES, BYPASSES, FILL_US, SAVED_US, BYTES, NUM_QUERY_COUNTERS
} Counter;

typedef struct CkSharedQueryStat
{
	pg_atomic_uint64 hash;		/* 0: free */
	Oid			dbid;
	pg_atomic_uint64 queryid;	/* 0: none was computed yet */
	pg_atomic_uint64 counters[NUM_QUERY_COUNTERS];
	char		text[CK_QUERY_TEXT_MAX + 4];
} CkSharedQueryStat;

typedef struct CkSharedQueryStats
{
	LWLock		lock;
	uint32		nslots;
	CkSharedQueryStat slots[FLEXIBLE_ARRAY_MEMBER];
} CkSharedQueryStats;

static CkSharedQueryStats *shared = NULL;

Size
ck_querystats_size(Size budget)
{
	Size		n = Min(Max(budget / (128 * 1024), 64), 8192);

	return offsetof(CkSharedQueryStats, slots) +
		TYPEALIGN(WAYS, n) * sizeof(CkSharedQueryStat);
}

static void
clear_slot(CkSharedQueryStat *slot)
{
	for (int i = 0; i < NUM_QUERY_COUNTERS; i++)
		pg_atomic_write_u64(&slot->counters[i], 0);
}

void
ck_querystats_init(void *ptr, Size size, Size budget)
{
	CkSharedQueryStats *s = ptr;

	LWLockInitialize(&s->lock, ck_segment_tranche(CK_TRANCHE_QUERY));
	s->nslots = (size - offsetof(CkSharedQueryStats, slots)) / sizeof(CkSharedQueryStat);
	s->nslots -= s->nslots % WAYS;
	for (uint32 i = 0; i < s->nslots; i++)
	{
		pg_atomic_init_u64(&s->slots[i].hash, 0);
		pg_atomic_init_u64(&s->slots[i].queryid, 0);
		for (int c = 0; c < NUM_QUERY_COUNTERS; c++)
			pg_atomic_init_u64(&s->slots[i].counters[c], 0);
	}
}

void
ck_querystats_attach(void *ptr, Size size)
{
	shared = ptr;
}

/* Of a text of the current database; never 0. */
uint64
ck_querystats_hash(const char *text)
{
	return hash_bytes_extended((const unsigned char *) text, strlen(text),
							   MyDatabaseId) | 1;
}

static uint64
usage(CkSharedQueryStat *slot)
{
	if (pg_atomic_read_u64(&slot->hash) == 0)
		return 0;
	return 1 + pg_atomic_read_u64(&slot->counters[HITS]) +
		pg_atomic_read_u64(&slot->counters[MISSES]) +
		pg_atomic_read_u64(&slot->counters[BYPASSES]);
}

static uint32
find_slot(uint64 hash)
{
	uint32		first = (hash / 2 % (shared->nslots / WAYS)) * WAYS;

	for (uint32 i = first; i < first + WAYS; i++)
		if (pg_atomic_read_u64(&shared->slots[i].hash) == hash)
			return i;
	return CK_NO_QUERY_SLOT;
}

/* The lock is held exclusively. */
static uint32
claim_slot(uint64 hash)
{
	uint32		first = (hash / 2 % (shared->nslots / WAYS)) * WAYS;
	uint32		best = first;

	for (uint32 i = first + 1; i < first + WAYS; i++)
		if (usage(&shared->slots[i]) < usage(&shared->slots[best]))
			best = i;
	return best;
}

/*
 * The slot of a text, given its hash, PostgreSQL's identifier of the query (0:
 * not computed) and the slot where it was last.  Claims one if need be.
 * CK_NO_QUERY_SLOT without memory.
 */
uint32
ck_querystats_slot(const char *text, uint64 hash, uint64 queryid, uint32 hint)
{
	uint32		i;
	int			len;

	if (shared == NULL)
		return CK_NO_QUERY_SLOT;
	if (hint < shared->nslots && pg_atomic_read_u64(&shared->slots[hint].hash) == hash)
		return hint;
	i = find_slot(hash);
	if (i != CK_NO_QUERY_SLOT)
	{
		if (queryid != 0)
			pg_atomic_write_u64(&shared->slots[i].queryid, queryid);
		return i;
	}

	len = pg_mbcliplen(text, strlen(text), CK_QUERY_TEXT_MAX);
	LWLockAcquire(&shared->lock, LW_EXCLUSIVE);
	i = find_slot(hash);		/* somebody else may have been faster */
	if (i == CK_NO_QUERY_SLOT)
	{
		CkSharedQueryStat *slot;

		i = claim_slot(hash);
		slot = &shared->slots[i];
		clear_slot(slot);
		slot->dbid = MyDatabaseId;
		pg_atomic_write_u64(&slot->queryid, queryid);
		memcpy(slot->text, text, len);
		strcpy(slot->text + len, text[len] == '\0' ? "" : "...");
		pg_write_barrier();
		pg_atomic_write_u64(&slot->hash, hash);
	}
	LWLockRelease(&shared->lock);
	return i;
}

static void
add(uint32 slot, Counter which, uint64 n)
{
	if (shared != NULL && slot < shared->nslots)
		pg_atomic_fetch_add_u64(&shared->slots[slot].counters[which], n);
}

void
ck_querystats_hit(uint32 slot, uint32 saved_us)
{
	add(slot, HITS, 1);
	add(slot, SAVED_US, saved_us);
}

/* bytes 0: the result was not stored. */
void
ck_querystats_fill(uint32 slot, uint32 fill_us, Size bytes)
{
	add(slot, MISSES, 1);
	add(slot, FILL_US, fill_us);
	if (shared != NULL && slot < shared->nslots)
		pg_atomic_write_u64(&shared->slots[slot].counters[BYTES], bytes);
}

void
ck_querystats_bypass(uint32 slot)
{
	add(slot, BYPASSES, 1);
}

uint32
ck_querystats_count(void)
{
	return shared == NULL ? 0 : shared->nslots;
}

/* Copy a slot out; false if it is free or of another database. */
bool
ck_querystats_read(uint32 i, Oid dbid, CkQueryStat *out)
{
	CkSharedQueryStat *slot = &shared->slots[i];
	bool		ours;

	LWLockAcquire(&shared->lock, LW_SHARED);
	ours = pg_atomic_read_u64(&slot->hash) != 0 && slot->dbid == dbid;
	if (ours)
	{
		out->queryid = pg_atomic_read_u64(&slot->queryid);
		out->hits = pg_atomic_read_u64(&slot->counters[HITS]);
		out->misses = pg_atomic_read_u64(&slot->counters[MISSES]);
		out->bypasses = pg_atomic_read_u64(&slot->counters[BYPASSES]);
		out->fill_us = pg_atomic_read_u64(&slot->counters[FILL_US]);
		out->saved_us = pg_atomic_read_u64(&slot->counters[SAVED_US]);
		out->bytes = pg_atomic_read_u64(&slot->counters[BYTES]);
		memcpy(out->text, slot->text, sizeof(out->text));
	}
	LWLockRelease(&shared->lock);
	return ours;
}

/* Forget all texts of a database. */
void
ck_querystats_reset(Oid dbid)
{
	if (shared == NULL)
		return;
	LWLockAcquire(&shared->lock, LW_EXCLUSIVE);
	for (uint32 i = 0; i < shared->nslots; i++)
	{
		CkSharedQueryStat *slot = &shared->slots[i];

		if (pg_atomic_read_u64(&slot->hash) != 0 && slot->dbid == dbid)
			pg_atomic_write_u64(&slot->hash, 0);
	}
	LWLockRelease(&shared->lock);
}
