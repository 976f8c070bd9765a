/*-------------------------------------------------------------------------
 *
 * activity.c
 *	  What long operations and background workers are doing, in shared memory.
 *
 * Two small arrays of slots.  Without the shared memory nothing is shown, and
 * there are no workers.
 *
 * Locking: none.  A slot is claimed by compare-and-exchange of its first
 * field and written by its owner alone; the fields are atomics, read one
 * after the other.  What is shown may so be of two moments.  The slot of a
 * worker is claimed by who asks for it (pid 0), and given up by the worker;
 * one that never came is taken over after a while.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "port/atomics.h"
#include "storage/lwlock.h"
#include "storage/proc.h"
#include "utils/timestamp.h"

#include "activity.h"
#include "clock.h"
#include "compat.h"
#include "segment.h"

#define PROGRESS_SLOTS	32
#define WORKER_SLOTS	64
#define START_SECONDS	15		/* a worker that has not come by then */

typedef struct CkSharedProgress
{
	pg_atomic_uint32 pid;		/* zero: free */
	pg_atomic_uint32 dbid;
	pg_atomic_uint32 target;
	pg_atomic_uint32 phase;
	pg_atomic_uint64 done;
	pg_atomic_uint64 total;
	pg_atomic_uint64 started;
} CkSharedProgress;

typedef struct CkSharedWorker
{
	pg_atomic_uint32 dbid;		/* zero: free */
	pg_atomic_uint32 pid;		/* zero: claimed, and not yet there */
	pg_atomic_uint32 procno;	/* of the process */
	pg_atomic_uint32 busy;
	pg_atomic_uint64 started;	/* claimed, or begun */
	pg_atomic_uint64 active;
	pg_atomic_uint64 keys;
	pg_atomic_uint64 warmed;
	pg_atomic_uint64 warm_time;
} CkSharedWorker;

typedef struct CkSharedActivity
{
	CkSharedProgress progress[PROGRESS_SLOTS];
	CkSharedWorker workers[WORKER_SLOTS];
} CkSharedActivity;

static CkSharedActivity *shared = NULL;
static CkSharedProgress *own_progress = NULL;

Size
ck_activity_size(Size budget)
{
	return MAXALIGN(sizeof(CkSharedActivity));
}

void
ck_activity_init(void *ptr, Size size, Size budget)
{
	CkSharedActivity *activity = ptr;

	for (int i = 0; i < PROGRESS_SLOTS; i++)
	{
		CkSharedProgress *slot = &activity->progress[i];

		pg_atomic_init_u32(&slot->pid, 0);
		pg_atomic_init_u32(&slot->dbid, 0);
		pg_atomic_init_u32(&slot->target, 0);
		pg_atomic_init_u32(&slot->phase, 0);
		pg_atomic_init_u64(&slot->done, 0);
		pg_atomic_init_u64(&slot->total, 0);
		pg_atomic_init_u64(&slot->started, 0);
	}
	for (int i = 0; i < WORKER_SLOTS; i++)
	{
		CkSharedWorker *slot = &activity->workers[i];

		pg_atomic_init_u32(&slot->dbid, 0);
		pg_atomic_init_u32(&slot->pid, 0);
		pg_atomic_init_u32(&slot->procno, 0);
		pg_atomic_init_u32(&slot->busy, 0);
		pg_atomic_init_u64(&slot->started, 0);
		pg_atomic_init_u64(&slot->active, 0);
		pg_atomic_init_u64(&slot->keys, 0);
		pg_atomic_init_u64(&slot->warmed, 0);
		pg_atomic_init_u64(&slot->warm_time, 0);
	}
}

void
ck_activity_attach(void *ptr, Size size)
{
	shared = ptr;
}

/* ---------------- progress ---------------- */

/*
 * This backend begins a long operation on a target.  Inside of another one
 * nothing changes: the outer one is shown.
 */
void
ck_progress_start(Oid target, CkPhase phase, int64 total)
{
	if (own_progress != NULL || !ck_segment_attach())
		return;
	for (int i = 0; i < PROGRESS_SLOTS; i++)
	{
		CkSharedProgress *slot = &shared->progress[i];
		uint32		expected = 0;

		if (!pg_atomic_compare_exchange_u32(&slot->pid, &expected, MyProcPid))
			continue;
		pg_atomic_write_u32(&slot->dbid, MyDatabaseId);
		pg_atomic_write_u32(&slot->target, target);
		pg_atomic_write_u32(&slot->phase, phase);
		pg_atomic_write_u64(&slot->done, 0);
		pg_atomic_write_u64(&slot->total, Max(total, 0));
		pg_atomic_write_u64(&slot->started, ck_clock_now());
		own_progress = slot;
		return;
	}
}

void
ck_progress_update(int64 done)
{
	if (own_progress)
		pg_atomic_write_u64(&own_progress->done, done);
}

/* Also at the end of a transaction, for operations that failed. */
void
ck_progress_end(void)
{
	if (own_progress == NULL)
		return;
	pg_atomic_write_u32(&own_progress->target, InvalidOid);
	pg_atomic_write_u32(&own_progress->pid, 0);
	own_progress = NULL;
}

int
ck_progress_slots(void)
{
	return PROGRESS_SLOTS;
}

/* false: the slot is free. */
bool
ck_progress_read(int slot, CkProgress *out)
{
	CkSharedProgress *p = &shared->progress[slot];

	out->pid = pg_atomic_read_u32(&p->pid);
	out->dbid = pg_atomic_read_u32(&p->dbid);
	out->target = pg_atomic_read_u32(&p->target);
	out->phase = pg_atomic_read_u32(&p->phase);
	out->done = pg_atomic_read_u64(&p->done);
	out->total = pg_atomic_read_u64(&p->total);
	out->started = pg_atomic_read_u64(&p->started);
	return out->pid != 0 && OidIsValid(out->target);
}

/* ---------------- workers ---------------- */

static bool
never_came(CkSharedWorker *slot)
{
	return pg_atomic_read_u32(&slot->pid) == 0 &&
		(int64) pg_atomic_read_u64(&slot->started) + START_SECONDS * USECS_PER_SEC <
		ck_clock_now();
}

/*
 * A slot for a new worker of a database; -1: it has one (*there), or there
 * are `limit` workers already.  The segment must be attached.
 */
int
ck_worker_claim(Oid dbid, int limit, bool *there)
{
	int			used = 0;

	*there = false;
	for (int i = 0; i < WORKER_SLOTS; i++)
	{
		uint32		owner = pg_atomic_read_u32(&shared->workers[i].dbid);

		if (owner != 0 && never_came(&shared->workers[i]) &&
			pg_atomic_compare_exchange_u32(&shared->workers[i].dbid, &owner, 0))
			owner = 0;
		used += owner != 0;
		*there |= owner == dbid;
	}
	if (*there || used >= limit)
		return -1;
	for (int i = 0; i < WORKER_SLOTS; i++)
	{
		CkSharedWorker *slot = &shared->workers[i];
		uint32		expected = 0;

		if (pg_atomic_read_u32(&slot->dbid) != 0)
			continue;
		pg_atomic_write_u64(&slot->started, ck_clock_now());
		if (!pg_atomic_compare_exchange_u32(&slot->dbid, &expected, dbid))
			continue;
		pg_atomic_write_u32(&slot->pid, 0);
		pg_atomic_write_u32(&slot->busy, 0);
		pg_atomic_write_u64(&slot->active, 0);
		pg_atomic_write_u64(&slot->keys, 0);
		pg_atomic_write_u64(&slot->warmed, 0);
		pg_atomic_write_u64(&slot->warm_time, 0);
		return i;
	}
	return -1;
}

/* The worker is there.  false: too late, the slot is somebody else's. */
bool
ck_worker_begin(int slot, Oid dbid)
{
	uint32		expected = 0;

	if (pg_atomic_read_u32(&shared->workers[slot].dbid) != dbid ||
		!pg_atomic_compare_exchange_u32(&shared->workers[slot].pid, &expected, MyProcPid))
		return false;
	pg_atomic_write_u32(&shared->workers[slot].procno, CK_MY_PROCNO);
	pg_atomic_write_u64(&shared->workers[slot].started, ck_clock_now());
	return true;
}

void
ck_worker_note(int slot, bool busy, int64 keys, int64 warmed, int64 warm_time)
{
	CkSharedWorker *worker = &shared->workers[slot];

	pg_atomic_write_u32(&worker->busy, busy);
	if (busy || keys > 0 || warmed > 0)
		pg_atomic_write_u64(&worker->active, ck_clock_now());
	pg_atomic_fetch_add_u64(&worker->keys, keys);
	pg_atomic_fetch_add_u64(&worker->warmed, warmed);
	pg_atomic_fetch_add_u64(&worker->warm_time, warm_time);
}

/* A claimed slot is not needed, as the worker could not be started. */
void
ck_worker_give_up(int slot, Oid dbid)
{
	uint32		owner = dbid;

	(void) pg_atomic_compare_exchange_u32(&shared->workers[slot].dbid, &owner, InvalidOid);
}

void
ck_worker_end(int slot, Oid dbid)
{
	CkSharedWorker *worker = &shared->workers[slot];

	if (pg_atomic_read_u32(&worker->dbid) != dbid ||
		pg_atomic_read_u32(&worker->pid) != MyProcPid)
		return;
	pg_atomic_write_u32(&worker->pid, 0);
	pg_atomic_write_u32(&worker->dbid, InvalidOid);
}

int
ck_worker_slots(void)
{
	return WORKER_SLOTS;
}

/* false: the slot is free. */
bool
ck_worker_read(int slot, CkWorkerInfo *out)
{
	CkSharedWorker *worker = &shared->workers[slot];

	out->dbid = pg_atomic_read_u32(&worker->dbid);
	out->pid = pg_atomic_read_u32(&worker->pid);
	out->busy = pg_atomic_read_u32(&worker->busy) != 0;
	out->started = pg_atomic_read_u64(&worker->started);
	out->active = pg_atomic_read_u64(&worker->active);
	out->keys = pg_atomic_read_u64(&worker->keys);
	out->warmed = pg_atomic_read_u64(&worker->warmed);
	out->warm_time = pg_atomic_read_u64(&worker->warm_time);
	return OidIsValid(out->dbid);
}

/*
 * The process that serves a database, by the number of its PGPROC; -1: none,
 * or none yet.  Asked by every commit that has work for it, so we look first
 * where it was last.
 */
int
ck_worker_procno(Oid dbid)
{
	static int	last = 0;

	for (int i = 0; i < WORKER_SLOTS; i++)
	{
		int			at = (last + i) % WORKER_SLOTS;
		CkSharedWorker *worker = &shared->workers[at];

		if (pg_atomic_read_u32(&worker->dbid) != dbid)
			continue;
		last = at;
		return pg_atomic_read_u32(&worker->pid) == 0 ? -1 :
			(int) pg_atomic_read_u32(&worker->procno);
	}
	return -1;
}

/*
 * We, a worker, are to make way at once for DROP DATABASE and all others who
 * need the database for themselves.  They wait some seconds for other sessions
 * to leave, and terminate those of autovacuum: so we go as one of these.
 *
 * The flag means one thing more: who has waited deadlock_timeout for a lock of
 * ours sends us SIGINT, which worker_db.c does not take for a cancel.
 */
void
ck_worker_may_be_ended(void)
{
	LWLockAcquire(ProcArrayLock, LW_EXCLUSIVE);
	MyProc->statusFlags |= PROC_IS_AUTOVACUUM;
	ProcGlobal->statusFlags[MyProc->pgxactoff] = MyProc->statusFlags;
	LWLockRelease(ProcArrayLock);
}
