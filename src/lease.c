/*-------------------------------------------------------------------------
 *
 * lease.c
 *	  Single flight: one session computes, the others wait.
 *
 * A lease is a heavyweight lock with an advisory tag of our own class, held
 * exclusively.  The lock manager gives what a condition variable would have to
 * be taught: release at abort and backend death, deadlock detection, pg_locks,
 * an orderly queue, and isolationtester sees the wait.  Whoever has waited owns
 * the lease in its turn, looks whether the entry is there now, and gives the
 * lease back at once if so; if the leader has failed, the first in the queue
 * is the new leader and the others go on waiting.
 *
 * No new deadlock can exist because of a lease.  A waiter waits for the
 * leader, and the leader (which holds nothing else on this account) for
 * relation locks that the waiter's own query would need as well; whoever
 * blocks the leader would block the waiter.  The exception is a waiter that
 * itself holds what the leader needs: a transaction that has written, or
 * holds an access exclusive lock.  The caller finds that out and passes
 * may_wait = false.  A session that holds a lease never waits for another
 * (cached queries may nest).
 *
 * The wait is bounded by cachekit.lease_timeout, by means of lock_timeout
 * inside of a subtransaction, whose error is caught: a reader that would not
 * have waited without the cache must not fail for waiting.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/parallel.h"
#include "access/xact.h"
#include "miscadmin.h"
#include "storage/lock.h"
#include "storage/proc.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/resowner.h"

#include "guc.h"
#include "lease.h"
#include "xact.h"

/* The fourth field of an advisory lock tag; PostgreSQL itself uses 1 and 2. */
#define LEASE_CLASS		107

static int	leases_held = 0;
static int	lease_nest = 0;		/* subtransaction level of the lease held */
static ResourceOwner lease_owner = NULL;	/* and who owns its lock */

static LOCKTAG
lease_tag(uint64 hash)
{
	LOCKTAG		tag;

	SET_LOCKTAG_ADVISORY(tag, MyDatabaseId, (uint32) (hash >> 32),
						 (uint32) hash, LEASE_CLASS);
	return tag;
}

/*
 * A (sub)transaction ends.  The lock manager has released, or is about to
 * release, what an error has left.
 */
static void
at_end(void)
{
	leases_held = 0;
}

static void
at_sub_abort(int nest)
{
	if (lease_nest >= nest)
		leases_held = 0;
}

static const CkXactHooks hooks = {
	.end = at_end,
	.sub_abort = at_sub_abort
};

/* lock_timeout for the wait: ours, or the session's if that is shorter. */
static void
set_wait_limit(void)
{
	char		buf[32];
	int			limit = ck_guc_lease_timeout;

	if (LockTimeout > 0)
		limit = Min(limit, LockTimeout);
	snprintf(buf, sizeof(buf), "%dms", limit);
	(void) set_config_option("lock_timeout", buf, PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
}

/* Errors that only mean that the wait was in vain. */
static bool
wait_failed_softly(int sqlerrcode)
{
	return sqlerrcode == ERRCODE_LOCK_NOT_AVAILABLE ||
		sqlerrcode == ERRCODE_T_R_DEADLOCK_DETECTED;
}

static void
lock_with_limit(const LOCKTAG *tag)
{
	int			nest = NewGUCNestLevel();

	set_wait_limit();
	(void) LockAcquire(tag, ExclusiveLock, false, false);
	AtEOXact_GUC(true, nest);
}

/*
 * Wait until it is our turn.  false: it took too long.  The subtransaction's
 * end hands the lock to the owner of the transaction around it.
 */
static bool
wait_for_turn(const LOCKTAG *tag)
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	volatile bool result = true;

	BeginInternalSubTransaction(NULL);
	PG_TRY();
	{
		lock_with_limit(tag);
		ReleaseCurrentSubTransaction();
		MemoryContextSwitchTo(context);
		CurrentResourceOwner = owner;
	}
	PG_CATCH();
	{
		ErrorData  *error;

		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
		MemoryContextSwitchTo(context);
		CurrentResourceOwner = owner;
		if (!wait_failed_softly(error->sqlerrcode))
			ReThrowError(error);
		FreeErrorData(error);
		result = false;
	}
	PG_END_TRY();
	return result;
}

static void
note_lease(ResourceOwner owner)
{
	if (ck_xact_join(&hooks))
		Assert(leases_held == 0);
	leases_held++;
	lease_nest = GetCurrentTransactionNestLevel();
	lease_owner = owner;
}

/*
 * Become the one that computes the entry of this hash.  CK_LEASE_OWNED: at
 * once; CK_LEASE_WAITED: after others, so look whether it is still needed.
 * In both cases release with ck_lease_release() after publishing; an error
 * releases it, too.  Two keys of one hash share a lease, harmlessly.
 */
CkLease
ck_lease_acquire(uint64 hash, bool may_wait)
{
	LOCKTAG		tag = lease_tag(hash);

	if (leases_held > 0 || IsInParallelMode())
		return CK_LEASE_NONE;
	if (LockAcquire(&tag, ExclusiveLock, false, true) != LOCKACQUIRE_NOT_AVAIL)
	{
		note_lease(CurrentResourceOwner);
		return CK_LEASE_OWNED;
	}
	if (!may_wait || ck_guc_lease_timeout == 0 || !wait_for_turn(&tag))
		return CK_LEASE_NONE;
	note_lease(CurTransactionResourceOwner);
	return CK_LEASE_WAITED;
}

void
ck_lease_release(uint64 hash)
{
	LOCKTAG		tag = lease_tag(hash);
	ResourceOwner owner = CurrentResourceOwner;

	leases_held--;
	CurrentResourceOwner = lease_owner;
	(void) LockRelease(&tag, ExclusiveLock, false);
	CurrentResourceOwner = owner;
}
