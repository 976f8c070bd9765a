/*-------------------------------------------------------------------------
 *
 * stamp.h
 *	  Dependency stamps: a cell and how many of its commits were seen.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CK_STAMP_H
#define CK_STAMP_H

#include "validity.h"

/* Stored in the meta area of items, in shared memory. */
typedef struct CkStamp
{
	uint64		version;
	uint32		cell;
	uint32		zero;			/* padding, always 0: stamps are compared bytewise */
} CkStamp;

extern bool ck_stamp_snapshot(Snapshot snapshot, CkSnapshot *out);
extern bool ck_stamp_version(uint32 cell, const CkSnapshot *snap, uint64 *version);
extern bool ck_stamp_strict(uint32 cell, const CkSnapshot *snap, uint64 *version);
extern bool ck_stamp_birth(const CkSnapshot *snap, uint32 *version);
extern uint64 ck_stamp_latest(uint32 cell);

#endif							/* CK_STAMP_H */
