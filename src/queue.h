/*-------------------------------------------------------------------------
 *
 * queue.h
 *	  The order in which items are evicted.
 *
 * All of these but the first three and the last are called under the arena
 * lock.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CK_QUEUE_H
#define CK_QUEUE_H

#include "item.h"

extern Size ck_queue_size(Size budget);
extern void ck_queue_init(void *ptr, Size size, uint64 capacity);
extern void ck_queue_attach(void *ptr);

/* Coming and going. */
extern void ck_queue_enter(CkItem *item, uint64 hash, bool in_use);
extern void ck_queue_leave(CkItem *item);
extern void ck_queue_evicted(CkItem *item, uint64 hash);
extern void ck_queue_moved(CkItem *item);
extern void ck_queue_allocated(uint32 size);
extern void ck_queue_ttl_changed(int change);
extern uint64 ck_queue_nttl(void);

/* Whose turn it is. */
extern CkItem *ck_queue_victim(int own);
extern CkItem *ck_queue_coldest(int cls);
extern bool ck_queue_spare(CkItem *item);
extern void ck_queue_defer(CkItem *item);

extern const char *ck_queue_check(uint64 *nitems, uint64 *nbytes);

/* The first to be evicted first; without a lock, when there is nobody else. */
extern bool ck_queue_foreach(bool (*visit) (CkItem *item, void *arg), void *arg);

#endif							/* CK_QUEUE_H */
