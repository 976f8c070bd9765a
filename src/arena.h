/*-------------------------------------------------------------------------
 *
 * arena.h
 *	  Page and slot allocator over one stretch of shared memory.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CK_ARENA_H
#define CK_ARENA_H

#include "offset.h"
#include "storage/lwlock.h"

#define CK_PAGE_SIZE	8192	/* bytes */
#define CK_MIN_SLOT		64		/* bytes */
#define CK_MAX_CLASSES	64		/* so that a set of classes is a uint64 */

/*
 * What every slot begins with.  A slot in use belongs to the item whose head
 * piece is at `owner` (a head owns itself); a free slot has owner zero.
 */
typedef struct CkPiece
{
	CkOff		next;			/* next piece of the item; of a free slot: next
								 * free slot of the page */
	CkOff		owner;
} CkPiece;

typedef struct CkArenaUse
{
	uint32		npages;
	uint32		nfree_pages;
	uint64		slots_used;
	uint64		bytes_used;		/* slot bytes, after rounding */
} CkArenaUse;

extern char *ck_arena_base;		/* what offsets count from, in this backend */

static inline void *
ck_arena_ptr(CkOff off)
{
	return ck_arena_base + (Size) off * CK_OFF_UNIT;
}

static inline CkOff
ck_arena_off(const void *ptr)
{
	return (CkOff) (((const char *) ptr - ck_arena_base) / CK_OFF_UNIT);
}

extern void ck_arena_init(void *ptr, Size size);
extern void ck_arena_attach(void *ptr);
extern uint64 ck_arena_capacity(void);

/* The lock of the allocator and of the queues in evict.c. */
extern void ck_arena_lock(void);
extern void ck_arena_unlock(void);
extern bool ck_arena_locked(void);

/* Size classes: 0 is the largest, a whole page. */
extern int	ck_arena_nclasses(void);
extern uint32 ck_arena_slot_size(int cls);
extern int	ck_arena_choose(uint32 need, uint32 flat, uint32 total);

/* Slots. */
extern CkOff ck_arena_take(int cls);
extern CkOff ck_arena_take_elsewhere(uint32 page);
extern bool ck_arena_can_take(int cls);
extern void ck_arena_give(CkOff off);
extern void ck_arena_give_chain(CkOff head);

/* Finding out about a slot; the first two without a lock, of any number. */
extern bool ck_arena_valid(CkOff off, Size len);
extern int	ck_arena_class_of(CkOff off);
extern uint32 ck_arena_page_of(CkOff off);

/* Pages, for eviction and checks. */
extern uint32 ck_arena_npages(void);
extern int	ck_arena_page_nslots(uint32 page);
extern int	ck_arena_page_nfree(uint32 page);
extern CkOff ck_arena_page_slot(uint32 page, int slot);
extern bool ck_arena_sparse_page(int except, uint32 *page);

extern void ck_arena_use(CkArenaUse *use);
extern const char *ck_arena_check(void);

#endif							/* CK_ARENA_H */
