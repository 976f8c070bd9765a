/*-------------------------------------------------------------------------
 *
 * evict.c
 *	  Room for new items.
 *
 * A slot is taken from what is free, else others are dropped until there is
 * one, in the order that queue.c keeps:
 *
 * - While anything has a ttl, the search begins with a look at a few slots,
 *   round and round, for what has expired.
 *
 * - If a class has many holes, one of its pages is emptied into others.
 *
 * - The item whose turn it is goes.  If that does not free a slot of the class
 *   in need, a page of its class is emptied, and changes class: memory follows
 *   the load.  What is worth it moves to other pages of its class, where the
 *   coldest items make room.
 *
 * Locking: everything here is guarded by the arena lock.  ck_evict_alloc()
 * takes it, and lets go of it now and then while it collects the pieces of a
 * large item; the head is marked unlinked, so nobody touches them.
 *
 * A victim's shard lock comes before the arena lock in the order, so it is
 * only tried (CkEvictOps): failing that, the item goes back into its queue and
 * another one is taken.  An item is in a queue exactly while it is in the
 * table's chains, but for the moment that somebody who holds the shard lock
 * needs to get from one to the other.
 *
 * Work is bounded: so many tries for each piece, then there is no room.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "evict.h"
#include "queue.h"

#define MAX_TRIES		96		/* for a piece, before there is no room */
#define PATIENT_TRIES	48		/* of these, tries that respect use and cost */
#define PIECES_AT_ONCE	32		/* to allocate in one hold of the lock */
#define SWEEP_SLOTS		16		/* slots to look at for expired items, */
#define SWEEP_MAX		128		/* and that many when there are */
#define PAGES_TO_COMPARE 3
#define PIECES_TO_LOOK	8
#define MOVE_MIN_SLOTS	4		/* in a page: up to 2 kB are copied */
#define MOVE_TRIES		12

/* Where the search for expired items goes on; under the arena lock. */
typedef struct CkSharedSweep
{
	uint32		page;
	uint32		slot;
} CkSharedSweep;

/* A search for room, as it is handed down. */
typedef struct CkLocalSearch
{
	int			cls;			/* of the slot wanted */
	uint64		now_ms;
	const CkEvictOps *ops;
} CkLocalSearch;

/*---- Link to shared memory ----*/
static CkSharedSweep *sweep = NULL;

#define SWEEP_SIZE MAXALIGN(sizeof(CkSharedSweep))

/*
 * Bytes wanted out of a budget.
 */
Size
ck_evict_size(Size budget)
{
	return SWEEP_SIZE + ck_queue_size(budget);
}

/*
 * Begin in zeroed memory, for an arena of `capacity` bytes.
 */
void
ck_evict_init(void *ptr, Size size, uint64 capacity)
{
	ck_queue_init((char *) ptr + SWEEP_SIZE, size - SWEEP_SIZE, capacity);
}

void
ck_evict_attach(void *ptr)
{
	sweep = (CkSharedSweep *) ptr;
	ck_queue_attach((char *) ptr + SWEEP_SIZE);
}

/*
 * Drop an item for good, if its pins and locks allow.  expired_ms as for
 * CkTryUnlink.
 */
static bool
drop(CkItem *item, uint64 expired_ms, const CkEvictOps *ops)
{
	uint64		hash;

	if (ck_item_refs(item) > 1 || !ops->try_unlink(item, expired_ms, &hash))
		return false;
	if (expired_ms == 0)
		ck_queue_evicted(item, hash);
	else
		ck_queue_leave(item);
	ck_arena_give_chain(ck_arena_off(item));
	return true;
}

/*
 * Would dropping the item make room for a slot of the class?
 */
static bool
frees_slot(CkItem *item, int cls)
{
	CkOff		off = ck_arena_off(item);
	int			i;

	for (i = 0; i < PIECES_TO_LOOK && off != CK_OFF_NONE; i++)
	{
		int			c = ck_arena_class_of(off);

		if (c == cls || c == 0)
			return true;
		off = ((CkPiece *) ck_arena_ptr(off))->next;
	}
	return false;
}

/*
 * The item that a slot in use belongs to; NULL: the slot is free.
 */
static CkItem *
item_of_slot(uint32 page, int slot)
{
	CkPiece    *piece = ck_arena_ptr(ck_arena_page_slot(page, slot));

	return piece->owner == CK_OFF_NONE ? NULL : ck_arena_ptr(piece->owner);
}

/*
 * What emptying a page costs: pieces, those to be moved counting fivefold.
 * -1: it can not be emptied.
 */
static int
page_loss(uint32 page)
{
	int			n = ck_arena_page_nslots(page);
	int			loss = 0;
	int			i;

	for (i = 0; i < n; i++)
	{
		CkItem	   *item = item_of_slot(page, i);

		if (item == NULL)
			continue;
		if (ck_item_queue(item) == CK_QUEUE_NONE || ck_item_refs(item) > 1)
			return -1;
		loss += ck_item_worthy(item) ? 5 : 1;
	}
	return loss;
}

/*
 * Drop one of the class's items, as if the class had to give way to itself.
 * False: that did not work out, or the item was spared.
 */
static bool
drop_coldest(int cls, const CkEvictOps *ops)
{
	CkItem	   *item = ck_queue_coldest(cls);

	if (item == NULL || ck_queue_spare(item))
		return false;
	if (drop(item, 0, ops))
		return true;
	ck_queue_defer(item);
	return false;
}

/*
 * Move a piece out of a page, into a free slot of its class.  If there is none
 * a colder item goes for it.  False: that did not work out; the item may be
 * gone altogether.
 */
static bool
move_out(uint32 page, int slot, const CkEvictOps *ops)
{
	CkOff		from = ck_arena_page_slot(page, slot);
	CkPiece    *piece = ck_arena_ptr(from);
	CkOff		to = ck_arena_take_elsewhere(page);
	int			tries;

	for (tries = 0; to == CK_OFF_NONE && tries < MOVE_TRIES; tries++)
	{
		if (!drop_coldest(ck_arena_class_of(from), ops))
			continue;
		if (ck_arena_page_nslots(page) == 0 || piece->owner == CK_OFF_NONE)
			return false;
		to = ck_arena_take_elsewhere(page);
	}
	if (to == CK_OFF_NONE)
		return false;

	((CkPiece *) ck_arena_ptr(to))->owner = piece->owner;
	if (!ops->try_move(ck_arena_ptr(piece->owner), from, to))
	{
		ck_arena_give(to);
		return false;
	}
	if (piece->owner == from)
		ck_queue_moved(ck_arena_ptr(to));
	ck_arena_give(from);
	return true;
}

/*
 * Move or drop all items that have a piece in a page.  False: one could not
 * go.  Items that are not worthy are moved only if that costs nobody else.
 */
static bool
empty_page(uint32 page, bool sparse, const CkEvictOps *ops)
{
	bool		movable = ck_arena_page_nslots(page) >= MOVE_MIN_SLOTS;
	int			i;

	/* the page is closed with its last item, and has no slots from then on */
	for (i = 0; i < ck_arena_page_nslots(page); i++)
	{
		CkItem	   *item = item_of_slot(page, i);

		if (item == NULL)
			continue;
		if (ck_item_queue(item) == CK_QUEUE_NONE)
			return false;
		if (movable && (sparse || ck_item_worthy(item)) && move_out(page, i, ops))
			continue;
		if (ck_arena_page_nslots(page) == 0)
			break;
		item = item_of_slot(page, i);
		if (item != NULL && !drop(item, 0, ops))
			return false;
	}
	return true;
}

/*
 * Take a page away from the victim's class: the one that costs least, among
 * those of the few oldest items.
 */
static bool
steal_page(CkItem *victim, const CkEvictOps *ops)
{
	uint32		best_page = 0;
	int			best_loss = -1;
	CkOff		off = ck_arena_off(victim);
	int			i;

	for (i = 0; i < PAGES_TO_COMPARE && off != CK_OFF_NONE; i++)
	{
		uint32		page = ck_arena_page_of(off);
		int			loss = page_loss(page);

		if (loss >= 0 && (best_loss < 0 || loss < best_loss))
		{
			best_loss = loss;
			best_page = page;
		}
		off = ((CkItem *) ck_arena_ptr(off))->newer;
	}
	return best_loss >= 0 && empty_page(best_page, false, ops);
}

/*
 * One step towards a slot.  False: there is nobody left to drop.
 */
static bool
make_room(CkLocalSearch *search, bool patient)
{
	CkItem	   *victim = ck_queue_victim(search->cls);
	bool		dropped;

	if (victim == NULL)
		return false;
	if (patient && ck_queue_spare(victim))
		return true;
	if (frees_slot(victim, search->cls))
		dropped = drop(victim, 0, search->ops);
	else
		dropped = steal_page(victim, search->ops);

	/* let others go first next time; it may be gone with half of a page */
	if (!dropped && victim->piece.owner == ck_arena_off(victim))
		ck_queue_defer(victim);
	return true;
}

/*
 * Look at the next few slots for expired items; go on while there are some.
 */
static void
sweep_expired(CkLocalSearch *search)
{
	int			left = SWEEP_SLOTS;
	int			looked;

	for (looked = 0; left > 0 && looked < SWEEP_MAX; left--, looked++)
	{
		CkItem	   *item;

		if (sweep->slot >= ck_arena_page_nslots(sweep->page))
		{
			sweep->slot = 0;
			sweep->page = (sweep->page + 1) % ck_arena_npages();
			continue;
		}
		item = item_of_slot(sweep->page, sweep->slot);
		sweep->slot++;
		if (item != NULL && ck_item_queue(item) != CK_QUEUE_NONE &&
			ck_item_expired(item, search->now_ms) &&
			drop(item, search->now_ms, search->ops))
			left += SWEEP_SLOTS;
	}
}

/*
 * Take a slot of the class; drop others for it if need be.
 */
static CkOff
find_slot(CkLocalSearch *search)
{
	CkOff		off = ck_arena_take(search->cls);
	uint32		page;
	int			tries;

	if (off != CK_OFF_NONE)
		return off;
	if (ck_queue_nttl() > 0)
		sweep_expired(search);
	if (!ck_arena_can_take(search->cls) &&
		ck_arena_sparse_page(search->cls, &page) && page_loss(page) >= 0)
		empty_page(page, true, search->ops);

	for (tries = 0; tries < MAX_TRIES; tries++)
	{
		off = ck_arena_take(search->cls);
		if (off != CK_OFF_NONE)
			return off;
		if (!make_room(search, tries < PATIENT_TRIES))
			break;
	}
	return ck_arena_take(search->cls);
}

/*
 * Allocate the pieces of an item of `size` bytes, of which the first `flat`
 * must be in the head piece; drop others for it.  NULL: there is no room.
 * The item is unlinked and has one reference, the caller's.
 *
 * Takes the arena lock, so the caller must not hold it, and no shard's.
 */
CkItem *
ck_evict_alloc(uint32 size, uint32 flat, uint64 now_ms,
			   const CkEvictOps *ops)
{
	CkLocalSearch search = {0, now_ms, ops};
	CkItem	   *item = NULL;
	CkPiece    *last = NULL;
	uint32		need = size;
	int			npieces = 0;

	ck_arena_lock();
	while (need > 0)
	{
		CkOff		off;
		uint32		slot;

		search.cls = ck_arena_choose(need, last ? sizeof(CkPiece) : flat, size);
		off = find_slot(&search);
		if (off == CK_OFF_NONE)
		{
			if (item != NULL)
				ck_arena_give_chain(ck_arena_off(item));
			ck_arena_unlock();
			return NULL;
		}

		if (item == NULL)
		{
			item = ck_arena_ptr(off);
			pg_atomic_init_u32(&item->state, 1);
		}
		else
			last->next = off;
		last = ck_arena_ptr(off);
		last->owner = ck_arena_off(item);
		slot = ck_arena_slot_size(search.cls);
		need = (slot >= need) ? 0 : need - slot + sizeof(CkPiece);

		if (++npieces % PIECES_AT_ONCE == 0 && need > 0)
		{
			ck_arena_unlock();
			ck_arena_lock();
		}
	}
	ck_queue_allocated(size);
	ck_arena_unlock();
	return item;
}
