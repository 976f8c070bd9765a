/*-------------------------------------------------------------------------
 *
 * validity.c
 *	  Which commits of a cell does a snapshot see?  Pure functions.
 *
 * The algorithm and its proof are in doc/validity.md.  Nothing here takes a
 * lock, allocates, or looks anywhere but at its arguments.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "validity.h"
#include "debug_point.h"

/* The 64-bit value of `xid`, known to lie within 2^31 of `near_xid`. */
CkXid
ck_validity_widen(TransactionId xid, CkXid near_xid)
{
	return near_xid + (int32) (xid - (TransactionId) near_xid);
}

/*
 * Was top-level transaction `xid` still running when the snapshot was taken?
 * Exact without pg_subtrans: xip[] has every running top-level xid even when
 * the snapshot's subtransactions overflowed.  The own xid is not in it, and
 * comes out as finished: callers look out for it.
 */
bool
ck_validity_running(CkXid xid, const CkSnapshot *snap)
{
	TransactionId x = (TransactionId) xid;

	if (xid < snap->xmin)
		return false;
	if (xid >= snap->xmax)
		return true;
	for (uint32 i = 0; i < snap->xcnt; i++)
		if (snap->xip[i] == x)
			return true;
	return false;
}

/*
 * The ring from the newest commit back: how many at its end does the snapshot
 * not see?  false if the ones that it sees are not a prefix.
 */
static bool
count_unseen(const CkCell *cell, const CkSnapshot *snap, uint32 *unseen)
{
	uint32		pos = cell->ringpos;
	bool		met_seen = false;

	*unseen = 0;
	for (int i = 0; i < cell->nring; i++)
	{
		pos = (pos + CK_CELL_RING - 1) % CK_CELL_RING;
		if (!ck_validity_running(cell->ring[pos].xid, snap))
			met_seen = true;
		else if (met_seen)
			return false;
		else
			(*unseen)++;
	}
	return true;
}

/* Does the snapshot surely see all that the ring has forgotten? */
static inline bool
sees_forgotten(const CkCell *cell, const CkSnapshot *snap)
{
	return !cell->forgot ||
		snap->xmin > cell->hz_xid ||
		snap->xmax > cell->hz_latest + 1;
}

/*
 * VERSION(cell, snapshot): how many of the cell's commits the snapshot sees.
 * CK_VERDICT_HELP: *help has finished but nobody has recorded its fate; the
 * caller does that and asks again with a new copy of the cell.
 */
CkVerdict
ck_validity_version(const CkCell *cell, const CkSnapshot *snap,
					uint64 *version, CkXid *help)
{
	uint32		unseen;

	if (CK_ANY_NAIVE_FAULT())
	{
		*version = cell->version;
		return CK_VERDICT_KNOWN;
	}
	if (cell->hard_xid >= snap->xmin)
		return CK_VERDICT_UNKNOWN;
	if (cell->nflights == 0 && cell->maxxid < snap->xmin)
	{
		*version = cell->version;
		return CK_VERDICT_KNOWN;
	}
	for (int i = 0; i < cell->nflights; i++)
	{
		if (cell->flights[i] == snap->own)
			return CK_VERDICT_UNKNOWN;
		if (!ck_validity_running(cell->flights[i], snap))
		{
			*help = cell->flights[i];
			return CK_VERDICT_HELP;
		}
	}
	if (CK_FAULTY(CK_FAULT_NO_RING))
		unseen = 0;
	else if (!count_unseen(cell, snap, &unseen) || !sees_forgotten(cell, snap))
		return CK_VERDICT_UNKNOWN;
	*version = cell->version - unseen;
	return CK_VERDICT_KNOWN;
}

/*
 * How many of the transactions that were running when the memory was made
 * does the snapshot see as finished?  false: the snapshot may be older than
 * that instant, or there were too many of them to keep apart.
 *
 * The list never changes, and snapshots are ordered by the instants they were
 * taken at: equal numbers mean equal sets.
 */
bool
ck_validity_birth(const CkBirth *birth, const CkSnapshot *snap, uint32 *version)
{
	*version = birth->nsuspects;
	if (snap->xmin >= birth->xmax)
		return true;
	if (birth->xmin_only || snap->xmax <= birth->xmax)
		return false;
	for (uint32 i = 0; i < birth->nsuspects; i++)
	{
		if (birth->suspects[i] == snap->own)
			return false;
		if (ck_validity_running(birth->suspects[i], snap))
			(*version)--;
	}
	return true;
}
