/*-------------------------------------------------------------------------
 *
 * validity.h
 *	  Which commits of a cell does a snapshot see?  Pure functions.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CK_VALIDITY_H
#define CK_VALIDITY_H

#include "cells.h"
#include "utils/snapshot.h"

/* A snapshot with 64-bit bounds.  xip is borrowed from the Snapshot. */
typedef struct CkSnapshot
{
	CkXid		xmin;
	CkXid		xmax;
	CkXid		own;			/* own top-level xid, 0: none */
	const TransactionId *xip;
	uint32		xcnt;
} CkSnapshot;

typedef enum CkVerdict
{
	CK_VERDICT_KNOWN,
	CK_VERDICT_UNKNOWN,
	CK_VERDICT_HELP				/* settle *help first, then ask again */
} CkVerdict;

extern CkXid ck_validity_widen(TransactionId xid, CkXid near_xid);
extern bool ck_validity_running(CkXid xid, const CkSnapshot *snap);
extern CkVerdict ck_validity_version(const CkCell *cell, const CkSnapshot *snap,
									 uint64 *version, CkXid *help);
extern bool ck_validity_birth(const CkBirth *birth, const CkSnapshot *snap,
							  uint32 *version);

#endif							/* CK_VALIDITY_H */
