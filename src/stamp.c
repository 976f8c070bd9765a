/*-------------------------------------------------------------------------
 *
 * stamp.c
 *	  Dependency stamps: a cell and how many of its commits were seen.
 *
 * The impure shell round validity.c: it fetches copies of cells, settles
 * writers that have finished but were not recorded ("helping"), and makes
 * sure that the instant from which commits are known (CkBirth) exists.
 *
 * Locking: none of its own is held across calls.  The commit log is read
 * with no lock of cachekit's held; between that and ck_cells_resolve()
 * somebody else may have settled the same writer, which resolve() notices.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/transam.h"
#include "access/xact.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "storage/lwlock.h"
#include "storage/procarray.h"
#include "utils/snapmgr.h"

#include "compat.h"
#include "debug_point.h"
#include "segment.h"
#include "stamp.h"

/* Rounds of helping after which a busy cell is left alone. */
#define MAX_ROUNDS	64

/* Milliseconds to wait for another session that makes the birth record. */
#define MAX_BIRTH_WAITS	200

static inline CkXid
newest_completed(void)
{
	return U64FromFullTransactionId(CkXidVars->latestCompletedXid);
}

/*
 * Widen a snapshot.  Its xmax is at most latestCompletedXid + 1 and nothing in
 * it is 2^31 older, so any recent 64-bit xid serves as the point to measure
 * from; reading eight bytes needs no lock.  false: not a snapshot whose
 * visibility rules the cells can follow.
 */
bool
ck_stamp_snapshot(Snapshot snapshot, CkSnapshot *out)
{
	CkXid		near_xid;

	if (snapshot == NULL || snapshot->snapshot_type != SNAPSHOT_MVCC ||
		snapshot->takenDuringRecovery)
		return false;
	near_xid = newest_completed();
	out->xmin = ck_validity_widen(snapshot->xmin, near_xid);
	out->xmax = ck_validity_widen(snapshot->xmax, near_xid);
	out->own = U64FromFullTransactionId(GetTopFullTransactionIdIfAny());
	out->xip = snapshot->xip;
	out->xcnt = snapshot->xcnt;
	return true;
}

/*
 * Did a finished transaction commit?  When the commit log no longer reaches
 * back to it (a registered writer that nobody asked about for two billion
 * transactions) "yes" is the safe answer: it costs a miss.
 */
static bool
did_commit(CkXid xid)
{
	TransactionId x = (TransactionId) xid;
	bool		result;

	if (xid + PG_INT32_MAX < newest_completed())
		return true;			/* beyond what 32 bits can compare */
	LWLockAcquire(XactTruncationLock, LW_SHARED);
	if (TransactionIdPrecedes(x, CkXidVars->oldestClogXid))
		result = true;
	else
		result = TransactionIdDidCommit(x);
	LWLockRelease(XactTruncationLock);
	return result;
}

/* Record or forget a registered writer that is known to have finished. */
static void
help(uint32 cell, CkXid xid)
{
	bool		committed = did_commit(xid);

	CK_DEBUG_POINT("help");
	ck_cells_resolve(cell, xid, committed);
}

/*
 * How many of the commits of `cell` does the snapshot see?  false: unknown.
 */
bool
ck_stamp_version(uint32 cell, const CkSnapshot *snap, uint64 *version)
{
	if (ck_cells_settled(cell, snap->xmin, version))
		return true;
	for (int i = 0; i < MAX_ROUNDS; i++)
	{
		CkCell		copy;
		CkXid		finished;

		ck_cells_copy(cell, &copy);
		switch (ck_validity_version(&copy, snap, version, &finished))
		{
			case CK_VERDICT_KNOWN:
				return true;
			case CK_VERDICT_UNKNOWN:
				return false;
			case CK_VERDICT_HELP:
				help(cell, finished);
				break;
		}
	}
	return false;
}

/*
 * A transaction's locks go after its invalidation messages are sent: once its
 * xid lock is free, whoever accepts messages has seen its catalog changes.
 */
static bool
messages_sent(CkXid xid)
{
	return xid == 0 || CkConditionalXactLockTableWait((TransactionId) xid);
}

/*
 * As ck_stamp_version(), for a cell whose writers change what is not under
 * MVCC (functions, types): known only when the snapshot sees every writer
 * that ever registered, and their invalidation messages have been sent.  The
 * caller accepts messages afterwards.
 */
bool
ck_stamp_strict(uint32 cell, const CkSnapshot *snap, uint64 *version)
{
	static uint64 checked_version = 0;
	static uint32 checked_cell = PG_UINT32_MAX;
	CkCell		copy;

	if (checked_cell == cell && ck_cells_settled(cell, snap->xmin, version) &&
		checked_version == *version)
		return true;
	if (!ck_stamp_version(cell, snap, version))
		return false;
	ck_cells_copy(cell, &copy);
	if (copy.nflights != 0 || copy.version != *version)
		return false;
	if (checked_cell == cell && checked_version == *version)
		return true;
	for (int i = 0; i < copy.nring; i++)
		if (!messages_sent(copy.ring[i].xid))
			return false;
	if (!messages_sent(copy.hz_xid) || !messages_sent(copy.hard_xid))
		return false;
	checked_cell = cell;
	checked_version = *version;
	return true;
}

static int
compare_xids(const void *a, const void *b)
{
	CkXid		x = *(const CkXid *) a;
	CkXid		y = *(const CkXid *) b;

	return (x > y) - (x < y);
}

/*
 * List the transactions that run now, prepared ones included, and our own:
 * they may have written before there was a cell to register in.  A private
 * snapshot, so that the caller's are not disturbed.
 */
static void
fill_birth(CkBirth *birth)
{
	static SnapshotData snapshot = {.snapshot_type = SNAPSHOT_MVCC};
	CkXid		near_xid;
	CkXid		own;
	uint32		n;

	GetSnapshotData(&snapshot);
	near_xid = newest_completed();
	own = U64FromFullTransactionId(GetTopFullTransactionIdIfAny());
	birth->xmax = ck_validity_widen(snapshot.xmax, near_xid);
	n = snapshot.xcnt + (own != 0 ? 1 : 0);
	if (n > CK_MAX_SUSPECTS)
	{
		birth->xmin_only = true;
		birth->xmax = Max(birth->xmax, own + 1);
		birth->nsuspects = 0;
		return;
	}
	for (uint32 i = 0; i < snapshot.xcnt; i++)
		birth->suspects[i] = ck_validity_widen(snapshot.xip[i], near_xid);
	if (own != 0)
		birth->suspects[n - 1] = own;
	qsort(birth->suspects, n, sizeof(CkXid), compare_xids);
	birth->nsuspects = n;
}

static void
make_birth(CkBirth *birth)
{
	PG_TRY();
	{
		fill_birth(birth);
	}
	PG_CATCH();
	{
		pg_atomic_write_u32(&birth->state, CK_UNBORN);
		PG_RE_THROW();
	}
	PG_END_TRY();
	pg_write_barrier();
	pg_atomic_write_u32(&birth->state, CK_BORN);
}

/*
 * Make the birth record, or find that it is made.  Another session that makes
 * it needs microseconds, unless it is put to sleep by the scheduler: a herd
 * of first readers waits for it rather than run all without the cache.
 * false: not known yet.
 */
static bool
birth_known(CkBirth *birth)
{
	for (int i = 0; i < MAX_BIRTH_WAITS; i++)
	{
		uint32		expected = CK_UNBORN;

		if (likely(pg_atomic_read_u32(&birth->state) == CK_BORN))
		{
			pg_read_barrier();
			return true;
		}
		if (pg_atomic_compare_exchange_u32(&birth->state, &expected,
										   CK_BEING_BORN))
		{
			make_birth(birth);
			return true;
		}
		pg_usleep(1000);
	}
	return false;
}

/*
 * The version of "everything that escaped the cells": transactions running
 * when the memory was made, and writers that could not reach it since.
 * Entries of different values never match.  false: unknown.
 */
bool
ck_stamp_birth(const CkSnapshot *snap, uint32 *version)
{
	CkBirth    *birth = ck_cells_birth();
	uint32		nlost;

	if (!birth_known(birth) || !ck_validity_birth(birth, snap, version))
		return false;
	if (ck_segment_lost_xid(&nlost) >= snap->xmin)
		return false;
	*version += nlost * (CK_MAX_SUSPECTS + 1);
	return true;
}

/*
 * Commits counted by now, whatever the caller's snapshot sees: for entries
 * that are not bound to one (key/value).
 */
uint64
ck_stamp_latest(uint32 cell)
{
	CkCell		copy;
	CkXid		own = U64FromFullTransactionId(GetTopFullTransactionIdIfAny());
	bool		helped = false;

	ck_cells_copy(cell, &copy);
	for (int i = 0; i < copy.nflights; i++)
	{
		CkXid		xid = copy.flights[i];

		if (xid == own || TransactionIdIsInProgress((TransactionId) xid))
			continue;
		help(cell, xid);
		helped = true;
	}
	if (helped)
		ck_cells_copy(cell, &copy);
	return copy.version;
}
