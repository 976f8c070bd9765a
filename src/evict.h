/*-------------------------------------------------------------------------
 *
 * evict.h
 *	  Room for new items.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CK_EVICT_H
#define CK_EVICT_H

#include "item.h"

/*
 * Take a linked item out of the table, if that is possible at once: it is not
 * pinned, and its shard's lock is free; if expired_ms is not zero, only if it
 * has expired by then.  Called with the arena lock held, must not wait.  Sets
 * the hash of the item's key.  The item's memory is the caller's then.
 */
typedef bool (*CkTryUnlink) (CkItem *item, uint64 expired_ms, uint64 *hash);

/*
 * Move a piece of a linked item from one slot to another, under the same
 * conditions.  The neighbours in the queue are left to the caller.
 */
typedef bool (*CkTryMove) (CkItem *item, CkOff from, CkOff to);

typedef struct CkEvictOps
{
	CkTryUnlink try_unlink;
	CkTryMove	try_move;
} CkEvictOps;

extern Size ck_evict_size(Size budget);
extern void ck_evict_init(void *ptr, Size size, uint64 capacity);
extern void ck_evict_attach(void *ptr);

extern CkItem *ck_evict_alloc(uint32 size, uint32 flat, uint64 now_ms,
							  const CkEvictOps *ops);

#endif							/* CK_EVICT_H */
