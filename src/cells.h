/*-------------------------------------------------------------------------
 *
 * cells.h
 *	  The fixed array of dependency cells: who committed writes to what.
 *
 * doc/validity.md has the algorithm and its proof.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CK_CELLS_H
#define CK_CELLS_H

#include "port/atomics.h"
#include "storage/lwlock.h"

/* A 64-bit top-level transaction id (FullTransactionId's value). */
typedef uint64 CkXid;

#ifndef CK_CELL_FLIGHTS
#define CK_CELL_FLIGHTS 8		/* writers between PRE_COMMIT and record */
#endif
#ifndef CK_CELL_RING
#define CK_CELL_RING	8		/* recorded commits remembered by name */
#endif

typedef struct CkRingEntry
{
	CkXid		xid;			/* 0: a bump that every snapshot sees */
	CkXid		latest;			/* latestCompletedXid when it was recorded */
} CkRingEntry;

/*
 * One cell.  All fields are guarded by the lock of the cell's partition and
 * published by seq (odd while being changed), so that a reader may copy the
 * cell without the lock.
 */
typedef struct CkCell
{
	pg_atomic_uint32 seq;
	uint8		nflights;
	uint8		nring;			/* valid entries of ring[] */
	uint8		ringpos;		/* next place to write */
	bool		forgot;			/* an entry was ever evicted from the ring */
	uint64		version;		/* V: number of recorded commits */
	CkXid		maxxid;			/* newest xid ever registered */
	CkXid		hz_xid;			/* newest xid evicted from the ring */
	CkXid		hz_latest;		/* newest `latest` evicted with it */
	CkXid		hard_xid;		/* hard horizon: overflowed writers */
	CkXid		flights[CK_CELL_FLIGHTS];
	CkRingEntry ring[CK_CELL_RING];
} CkCell;

/* What a cell stands for; part of the hash. */
typedef enum CkDepKind
{
	CK_DEP_RELATION = 1,
	CK_DEP_RELATION_KEY,
	CK_DEP_RELATION_BULK,
	CK_DEP_SCHEMA,
	CK_DEP_TAG
} CkDepKind;

/*
 * The instant from which commits are known: the transactions running then
 * may have written before anybody watched.  Immutable once `state` says so.
 */
#define CK_MAX_SUSPECTS 128
#define CK_UNBORN		0
#define CK_BEING_BORN	1
#define CK_BORN			2

typedef struct CkBirth
{
	pg_atomic_uint32 state;		/* CK_UNBORN, CK_BEING_BORN, CK_BORN */
	bool		xmin_only;		/* too many suspects: wait until all are gone */
	CkXid		xmax;			/* xmax of the snapshot taken at that instant */
	uint32		nsuspects;
	CkXid		suspects[CK_MAX_SUSPECTS];	/* sorted */
} CkBirth;

extern Size ck_cells_size(Size budget);
extern void ck_cells_init(void *ptr, Size size, Size budget);
extern void ck_cells_attach(void *ptr, Size size);

extern uint32 ck_cells_count(void);
extern uint32 ck_cell_of(CkDepKind kind, Oid dbid, uint64 object);
extern uint32 ck_cell_of_tag(Oid dbid, const char *tag, int len);

extern bool ck_cells_settled(uint32 cell, CkXid xmin, uint64 *version);
extern void ck_cells_copy(uint32 cell, CkCell *out);
extern void ck_cells_register(uint32 cell, CkXid xid);
extern void ck_cells_resolve(uint32 cell, CkXid xid, bool committed);
extern void ck_cells_bump(uint32 cell);
extern CkBirth *ck_cells_birth(void);
extern bool ck_cells_untouched(const CkCell *cell);
extern bool ck_cells_restore(uint32 cell, const CkCell *saved);
extern void ck_cells_check(void (*report) (const char *problem, void *arg), void *arg);

#endif							/* CK_CELLS_H */
