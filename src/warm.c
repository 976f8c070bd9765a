/*-------------------------------------------------------------------------
 *
 * warm.c
 *	  Which query results a worker is asked to compute, in shared memory.
 *
 * A fixed number of jobs, eight to a set.  A job has all that is needed to
 * make the call again, and is known by the hash of the entry's key: one that
 * comes again takes the place of the one before, and if its set is full, of
 * the one that was not read for the longest time.  A job that is lost, or that
 * two keys of one hash share, costs a miss.
 *
 * A job is done once, for who was given a stale result, or kept.  A job to be
 * done once is removed by the worker that takes it.  One that is kept stays
 * while its entry is read between two refreshes: what nobody has read since
 * the last one is forgotten instead of being computed again, so that what
 * changes more often than it is read costs at most one computation in vain for
 * each reader that misses.  Who fails to do a job forgets it.  Nothing is ever
 * marked as being worked at, so nothing can be left so.
 *
 * Besides, there is a word for each of some entries: when a reader who would
 * take it stale has last found it valid.  The word has the item's id and the
 * time, so it can not be taken for another's.
 *
 * Locking: one LWLock, a leaf, exclusively to put, copy out or remove a job (4
 * kB).  `hash`, `reads` and `read_at` are atomics, which readers of
 * a kept entry change without it; to change those of a job that has just taken
 * the slot does no harm.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "port/atomics.h"
#include "utils/timestamp.h"

#include "segment.h"
#include "warm.h"

#define WAYS		8
#define UNREAD_SECONDS	300		/* after that a kept job is forgotten */

typedef struct CkSharedJob
{
	pg_atomic_uint64 hash;		/* 0: free */
	pg_atomic_uint64 read_at;	/* the last call */
	pg_atomic_uint32 reads;		/* calls since the last refresh */
	CkWarmJob	job;
} CkSharedJob;

typedef struct CkSharedWarm
{
	LWLock		lock;
	uint32		nslots;
	uint32		nmarks;			/* a power of two */
	CkSharedJob slots[FLEXIBLE_ARRAY_MEMBER];	/* followed by the marks */
} CkSharedWarm;

static CkSharedWarm *shared = NULL;
static pg_atomic_uint64 *marks = NULL;

static uint32
slots_for(Size budget)
{
	return TYPEALIGN(WAYS, Min(Max(budget / (512 * 1024), 8), 4096));
}

static uint32
marks_for(Size budget)
{
	uint32		n = 64;

	while (n < 65536 && n * (Size) 16384 < budget)
		n *= 2;
	return n;
}

Size
ck_warm_size(Size budget)
{
	return offsetof(CkSharedWarm, slots) + slots_for(budget) * sizeof(CkSharedJob) +
		marks_for(budget) * sizeof(pg_atomic_uint64);
}

static pg_atomic_uint64 *
marks_of(CkSharedWarm *s)
{
	return (pg_atomic_uint64 *) &s->slots[s->nslots];
}

void
ck_warm_init(void *ptr, Size size, Size budget)
{
	CkSharedWarm *s = ptr;

	LWLockInitialize(&s->lock, ck_segment_tranche(CK_TRANCHE_WARM));
	s->nslots = slots_for(budget);
	s->nmarks = marks_for(budget);
	for (uint32 i = 0; i < s->nslots; i++)
	{
		pg_atomic_init_u64(&s->slots[i].hash, 0);
		pg_atomic_init_u64(&s->slots[i].read_at, 0);
		pg_atomic_init_u32(&s->slots[i].reads, 0);
	}
	for (uint32 i = 0; i < s->nmarks; i++)
		pg_atomic_init_u64(&marks_of(s)[i], 0);
}

void
ck_warm_attach(void *ptr, Size size)
{
	shared = ptr;
	marks = marks_of(shared);
}

/* ---------------- the texts of a job ---------------- */

static Size
offset_of(const CkWarmJob *job, CkWarmPart part)
{
	Size		offset = 0;

	for (int i = 0; i < part; i++)
		offset += MAXALIGN(job->len[i]);
	return offset;
}

/* To be added in order, each once.  false: there is no room. */
bool
ck_warm_add_part(CkWarmJob *job, CkWarmPart part, const void *data, Size len)
{
	Size		offset = offset_of(job, part);

	if (len > CK_WARM_DATA || offset + MAXALIGN(len) > CK_WARM_DATA)
		return false;
	job->len[part] = len;
	if (len > 0)
		memcpy(job->data + offset, data, len);
	return true;
}

/* NULL: the job has no such part. */
const char *
ck_warm_part(const CkWarmJob *job, CkWarmPart part)
{
	return job->len[part] == 0 ? NULL : job->data + offset_of(job, part);
}

/* ---------------- jobs ---------------- */

static CkSharedJob *
set_of(uint64 hash)
{
	return &shared->slots[((hash >> 1) % (shared->nslots / WAYS)) * WAYS];
}

static CkSharedJob *
find(uint64 hash)
{
	CkSharedJob *set = set_of(hash);

	for (int i = 0; i < WAYS; i++)
		if (pg_atomic_read_u64(&set[i].hash) == hash)
			return &set[i];
	return NULL;
}

/*
 * The entry is read by who wants it to be kept.  false: it is not among those
 * that are, see ck_warm_put().  No lock.
 */
bool
ck_warm_wanted_again(uint64 hash)
{
	CkSharedJob *slot = find(hash);

	if (slot == NULL || !slot->job.keep)
		return false;
	pg_atomic_write_u64(&slot->read_at, GetCurrentTimestamp());
	pg_atomic_write_u32(&slot->reads, 1);
	return true;
}

/* The lock is held exclusively. */
static CkSharedJob *
slot_for(uint64 hash)
{
	CkSharedJob *set = set_of(hash);
	CkSharedJob *result = find(hash);

	if (result != NULL)
		return result;
	result = set;
	for (int i = 0; i < WAYS; i++)
	{
		if (pg_atomic_read_u64(&set[i].hash) == 0)
			return &set[i];
		if (pg_atomic_read_u64(&set[i].read_at) < pg_atomic_read_u64(&result->read_at))
			result = &set[i];
	}
	return result;
}

/* Add a job, or renew it; one that was kept stays so. */
void
ck_warm_put(const CkWarmJob *job)
{
	CkSharedJob *slot;
	bool		keep;

	LWLockAcquire(&shared->lock, LW_EXCLUSIVE);
	slot = slot_for(job->hash);
	keep = job->keep ||
		(pg_atomic_read_u64(&slot->hash) == job->hash && slot->job.keep);
	slot->job = *job;
	slot->job.keep = keep;
	pg_atomic_write_u64(&slot->read_at, GetCurrentTimestamp());
	pg_atomic_write_u32(&slot->reads, 1);
	pg_atomic_write_u64(&slot->hash, job->hash);
	LWLockRelease(&shared->lock);
}

/* Is it a kept one that nobody reads any more? */
static bool
is_unread(CkSharedJob *slot, TimestampTz now)
{
	return slot->job.keep &&
		(TimestampTz) pg_atomic_read_u64(&slot->read_at) + UNREAD_SECONDS * USECS_PER_SEC < now;
}

/*
 * The next job of the database from *position on, which is moved behind it;
 * one that is to be done once is removed.  false: there is none up to the end,
 * and *position is back at the beginning.
 */
bool
ck_warm_next(Oid dbid, uint32 *position, CkWarmJob *job)
{
	TimestampTz now = GetCurrentTimestamp();
	bool		found = false;

	while (!found && *position < shared->nslots)
	{
		CkSharedJob *slot = &shared->slots[(*position)++];

		if (pg_atomic_read_u64(&slot->hash) == 0)
			continue;
		LWLockAcquire(&shared->lock, LW_EXCLUSIVE);
		if (pg_atomic_read_u64(&slot->hash) != 0 && slot->job.dbid == dbid)
		{
			found = !is_unread(slot, now);
			if (found)
				*job = slot->job;
			if (!found || !slot->job.keep)
				pg_atomic_write_u64(&slot->hash, 0);
		}
		LWLockRelease(&shared->lock);
	}
	if (!found)
		*position = 0;
	return found;
}

/*
 * A kept job's entry is out of date.  true: it was read since the last time,
 * which is counted anew from now.
 */
bool
ck_warm_may_refresh(uint64 hash)
{
	CkSharedJob *slot = find(hash);

	return slot != NULL && pg_atomic_exchange_u32(&slot->reads, 0) > 0;
}

void
ck_warm_forget(uint64 hash)
{
	CkSharedJob *slot;

	LWLockAcquire(&shared->lock, LW_EXCLUSIVE);
	slot = find(hash);
	if (slot != NULL)
		pg_atomic_write_u64(&slot->hash, 0);
	LWLockRelease(&shared->lock);
}

/* Are there jobs of the database? */
bool
ck_warm_any(Oid dbid)
{
	for (uint32 i = 0; i < shared->nslots; i++)
		if (pg_atomic_read_u64(&shared->slots[i].hash) != 0 &&
			shared->slots[i].job.dbid == dbid)
			return true;
	return false;
}

/* ---------------- when was it valid? ---------------- */

/* The item of this id was valid, so long after it was stored.  No lock. */
void
ck_warm_note_valid(uint32 id, uint32 since_ms)
{
	pg_atomic_uint64 *mark = &marks[id & (shared->nmarks - 1)];
	uint64		old = pg_atomic_read_u64(mark);

	if ((uint32) (old >> 32) != id || (uint32) old < since_ms)
		pg_atomic_write_u64(mark, (uint64) id << 32 | since_ms);
}

/* The same, to be read; 0: it is not known. */
uint32
ck_warm_last_valid(uint32 id)
{
	uint64		mark = pg_atomic_read_u64(&marks[id & (shared->nmarks - 1)]);

	return (uint32) (mark >> 32) == id ? (uint32) mark : 0;
}
