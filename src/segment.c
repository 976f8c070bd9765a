/*-------------------------------------------------------------------------
 *
 * segment.c
 *	  Where shared memory comes from.
 *
 * Preloaded: one stretch of main shared memory, of cachekit.memory bytes,
 * filled at server start.  Not preloaded: a control struct of some hundred
 * bytes in the slack that PostgreSQL leaves in main memory, and one dynamic
 * segment that the first user makes and pins.  Either way the segment is cut
 * up among the subsystems by one table, and what lies in it refers to itself
 * by offsets only.  When the wanted size cannot be had (/dev/shm of a
 * container is often small), half of it is tried, and so on down to 1 MB; in
 * the end the session warns once and does without.
 *
 * A backend crash makes the postmaster start over: main memory is made anew
 * and the dynamic segment removed, so the next user begins with an empty one.
 *
 * Locking: CkSharedControl.lock is held exclusively while the dynamic segment
 * is made or attached; `ready` is set last.  The rest of the control struct
 * is atomics.  Both segment kinds keep the layout until the server stops.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "storage/dsm.h"
#include "storage/ipc.h"
#include "storage/shmem.h"
#include "utils/memutils.h"
#include "utils/resowner.h"
#include "utils/timestamp.h"

#include "guc.h"
#include "segment.h"

/* In the names: the layout version, so that a new .so cannot meet old memory. */
#define CONTROL_NAME	"cachekit control 1"
#define MEMORY_NAME		"cachekit memory 1"
#define SMALLEST_BUDGET ((Size) 1024 * 1024)
#define MAX_SUBSYSTEMS	8
#define RETRY_AFTER		10000	/* ms, when there was no memory */

typedef struct CkSharedControl
{
	LWLock		lock;			/* making and attaching the dynamic segment */
	int			control_tranche;
	int			tranches[CK_NUM_TRANCHES];
	dsm_handle	handle;			/* dynamic segment, if it is one */
	Size		budget;			/* bytes, once ready */
	pg_atomic_uint32 ready;
	pg_atomic_uint32 lost_writers;
	pg_atomic_uint64 lost_xid;	/* newest writer that could not register */
	pg_atomic_uint64 flushes;
} CkSharedControl;

static const char *const tranche_names[CK_NUM_TRANCHES] = {
	"cachekit_cell", "cachekit_table", "cachekit_arena", "cachekit_query",
	"cachekit_warm"
};

static const CkSubsystem *subsystems = NULL;
static int	nsubsystems = 0;

static CkSharedControl *control = NULL;
static bool attached = false;
static bool gave_up = false;	/* warned already */
static char *main_memory = NULL;	/* where it begins, if preloaded */

/* The subsystems in the order of their places; the last takes the rest. */
void
ck_segment_configure(const CkSubsystem *table, int n)
{
	Assert(n <= MAX_SUBSYSTEMS);
	subsystems = table;
	nsubsystems = n;
}

static Size
wanted_budget(void)
{
	return (Size) ck_guc_memory * 1024;
}

/* Cut the segment up and run one callback of each subsystem. */
static void
walk_subsystems(char *base, Size budget, bool init)
{
	Size		at = 0;

	for (int i = 0; i < nsubsystems; i++)
	{
		Size		size = subsystems[i].size(budget);

		if (size == 0)
			size = budget - at;
		if (init)
			subsystems[i].init(base + at, size, budget);
		else
			subsystems[i].attach(base + at, size);
		at += TYPEALIGN(PG_CACHE_LINE_SIZE, size);
	}
	Assert(at <= TYPEALIGN(PG_CACHE_LINE_SIZE, budget));
}

static void
init_control(void)
{
	memset(control, 0, sizeof(*control));
	control->control_tranche = LWLockNewTrancheId();
	for (int i = 0; i < CK_NUM_TRANCHES; i++)
		control->tranches[i] = LWLockNewTrancheId();
	LWLockInitialize(&control->lock, control->control_tranche);
	control->handle = DSM_HANDLE_INVALID;
	pg_atomic_init_u32(&control->ready, 0);
	pg_atomic_init_u32(&control->lost_writers, 0);
	pg_atomic_init_u64(&control->lost_xid, 0);
	pg_atomic_init_u64(&control->flushes, 0);
}

static void
register_tranches(void)
{
	LWLockRegisterTranche(control->control_tranche, "cachekit_control");
	for (int i = 0; i < CK_NUM_TRANCHES; i++)
		LWLockRegisterTranche(control->tranches[i], tranche_names[i]);
}

/* ---------------- preloaded: main shared memory ---------------- */

/* From shmem_request_hook. */
void
ck_segment_shmem_request(void)
{
	RequestAddinShmemSpace(MAXALIGN(sizeof(CkSharedControl)));
	RequestAddinShmemSpace(add_size(wanted_budget(), PG_CACHE_LINE_SIZE));
}

/*
 * From shmem_startup_hook: in the postmaster, again after a crash, and in
 * every child where processes do not inherit memory.
 */
void
ck_segment_shmem_startup(void)
{
	bool		found_control;
	bool		found;
	char	   *base;
	Size		budget = wanted_budget();

	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	control = ShmemInitStruct(CONTROL_NAME, sizeof(CkSharedControl), &found_control);
	base = ShmemInitStruct(MEMORY_NAME, budget + PG_CACHE_LINE_SIZE, &found);
	base = (char *) CACHELINEALIGN(base);
	main_memory = base;
	if (!found_control)
		init_control();
	if (!found)
	{
		memset(base, 0, budget);
		walk_subsystems(base, budget, true);
		control->budget = budget;
		pg_atomic_write_u32(&control->ready, 1);
	}
	LWLockRelease(AddinShmemInitLock);

	register_tranches();
	walk_subsystems(base, budget, false);
	attached = true;
}

/*
 * Begin anew with empty memory: in the postmaster, before anybody else can have
 * looked at it.
 */
void
ck_segment_clear(void)
{
	Assert(main_memory != NULL && !IsUnderPostmaster);
	memset(main_memory, 0, control->budget);
	walk_subsystems(main_memory, control->budget, true);
	walk_subsystems(main_memory, control->budget, false);
}

/* ---------------- not preloaded: a dynamic segment ---------------- */

/*
 * Find or make the control struct.  The slack of main memory may be used up:
 * that is an error of ShmemInitStruct, which becomes "no memory" here.
 */
static bool
find_control(void)
{
	MemoryContext context = CurrentMemoryContext;
	volatile uint32 holdoff = InterruptHoldoffCount;

	if (control != NULL)
		return true;
	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	PG_TRY();
	{
		bool		found;

		control = ShmemInitStruct(CONTROL_NAME, sizeof(CkSharedControl), &found);
		if (!found)
			init_control();
	}
	PG_CATCH();
	{
		control = NULL;
		MemoryContextSwitchTo(context);
		FlushErrorState();
		InterruptHoldoffCount = holdoff + 1;	/* errfinish() zeroed it */
	}
	PG_END_TRY();
	LWLockRelease(AddinShmemInitLock);
	if (control != NULL)
		register_tranches();
	return control != NULL;
}

/* One attempt at making, or mapping, the segment; NULL when it fails. */
static dsm_segment *
try_dsm(dsm_handle handle, Size size)
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	volatile uint32 holdoff = InterruptHoldoffCount;
	dsm_segment *volatile seg = NULL;

	CurrentResourceOwner = NULL;	/* mapped for good: nobody's resource */
	PG_TRY();
	{
		if (handle == DSM_HANDLE_INVALID)
			seg = dsm_create(size, DSM_CREATE_NULL_IF_MAXSEGMENTS);
		else
			seg = dsm_attach(handle);
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(context);
		FlushErrorState();
		InterruptHoldoffCount = holdoff;
		seg = NULL;
	}
	PG_END_TRY();
	CurrentResourceOwner = owner;
	return seg;
}

/* control->lock is held exclusively. */
static dsm_segment *
make_segment(Size *budget)
{
	dsm_segment *seg = NULL;

	for (*budget = wanted_budget(); *budget >= SMALLEST_BUDGET; *budget /= 2)
	{
		seg = try_dsm(DSM_HANDLE_INVALID, *budget + PG_CACHE_LINE_SIZE);
		if (seg != NULL)
			break;
	}
	return seg;
}

static bool
make_or_map(void)
{
	dsm_segment *seg;
	Size		budget;
	char	   *base;
	bool		fresh;

	fresh = pg_atomic_read_u32(&control->ready) == 0;
	if (fresh)
		seg = make_segment(&budget);
	else
	{
		budget = control->budget;
		seg = try_dsm(control->handle, 0);
	}
	if (seg == NULL)
		return false;

	base = (char *) CACHELINEALIGN(dsm_segment_address(seg));
	if (fresh)
	{
		memset(base, 0, budget);
		walk_subsystems(base, budget, true);
		dsm_pin_segment(seg);
		control->handle = dsm_segment_handle(seg);
		control->budget = budget;
		pg_write_barrier();
		pg_atomic_write_u32(&control->ready, 1);
	}
	walk_subsystems(base, budget, false);
	return true;
}

static void
warn_once(void)
{
	if (gave_up)
		return;
	gave_up = true;
	ereport(WARNING,
			(errcode(ERRCODE_OUT_OF_MEMORY),
			 errmsg("cachekit could not get shared memory"),
			 errdetail("Queries of this session run uncached."),
			 errhint("Lower cachekit.memory, or load cachekit with shared_preload_libraries.")));
}

/*
 * Make sure that this backend has the segment mapped, making it if nobody
 * has.  Never raises an error: false means that there is no cache.
 */
bool
ck_segment_attach(void)
{
	static TimestampTz failed_at = 0;

	if (likely(attached))
		return true;
	if (main_memory != NULL || !IsUnderPostmaster)
		return false;
	if (failed_at != 0 &&
		!TimestampDifferenceExceeds(failed_at, GetCurrentTimestamp(), RETRY_AFTER))
		return false;
	if (find_control())
	{
		LWLockAcquire(&control->lock, LW_EXCLUSIVE);
		attached = make_or_map();
		LWLockRelease(&control->lock);
	}
	if (!attached)
	{
		failed_at = GetCurrentTimestamp();
		warn_once();
	}
	return attached;
}

bool
ck_segment_attached(void)
{
	return attached;
}

/* Bytes of the whole segment; it must be attached. */
Size
ck_segment_budget(void)
{
	return control->budget;
}

/* The id of a tranche; the control struct exists wherever this is asked. */
int
ck_segment_tranche(CkTranche which)
{
	return control->tranches[which];
}

/*
 * A transaction that changed a tracked table can not reach the segment, for
 * lack of memory to map it.  Whoever has it mapped will trust no entry until
 * its snapshot is past this transaction.  Called before the commit.
 */
void
ck_segment_lost_writer(uint64 xid)
{
	uint64		old;

	if (!find_control())
		return;					/* then nobody else has it either */
	old = pg_atomic_read_u64(&control->lost_xid);
	while (old < xid &&
		   !pg_atomic_compare_exchange_u64(&control->lost_xid, &old, xid))
		;
	pg_atomic_fetch_add_u32(&control->lost_writers, 1);
}

uint64
ck_segment_lost_xid(uint32 *count)
{
	*count = pg_atomic_read_u32(&control->lost_writers);
	pg_read_barrier();
	return pg_atomic_read_u64(&control->lost_xid);
}

/* How often anybody flushed: a fill that began before is not stored. */
uint64
ck_segment_flushes(void)
{
	return pg_atomic_read_u64(&control->flushes);
}

void
ck_segment_note_flush(void)
{
	pg_atomic_fetch_add_u64(&control->flushes, 1);
}
