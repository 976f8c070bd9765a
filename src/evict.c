/*-------------------------------------------------------------------------
 *
 * evict.c
 *	  Room for new items: allocation, and the choice of who has to go.
 *
 * The order is that of S3-FIFO (Yang et al., SOSP 2023).  A new item enters
 * the small queue, a tenth of the bytes.  At its end it goes on to the main
 * queue if it was used meanwhile, else it is dropped and its hash remembered
 * among the ghosts; a new item that is found there enters the main queue at
 * once.  At the end of the main queue an item that was used goes round again,
 * at most three times for one burst of use.  So a scan passes through the
 * small queue, and a hit never has to move anything: it raises two bits.
 *
 * What is added to that:
 *
 * - Cost.  An item whose cost for each byte is at least four times that of the
 *   items lately dropped is spared one round, 16 times: two, 64 times: three.
 *
 * - Size classes.  There is a pair of queues for each class of head pieces,
 *   so that a class in need finds victims whose slots it can use.  The queues
 *   together act like one pair: items carry the epoch (a 64th of the memory
 *   being allocated) in which they entered, and the oldest tail of all has to
 *   go unless the own one is half as old.  If the victim is of another
 *   class, the page of a victim is emptied and changes class: memory follows
 *   the load.  What is worth it moves to other pages of its class, where the
 *   coldest items make room.
 *
 * - Expiry.  While anything has a ttl, each search for room begins with a
 *   look at a few slots, round and round, for what has expired.
 *
 * Locking: everything here is guarded by the arena lock.  ck_evict_alloc()
 * takes it, and lets go of it now and then while it collects the pieces of a
 * large item; the head is marked unlinked, so nobody touches them.  All else
 * is called with the lock held.  A victim's shard lock comes before the arena
 * lock in the order, so it is only tried (CkEvictOps): failing that, the
 * item goes back into its queue and another one is taken.  An item is in a
 * queue exactly while it is in the table's chains, but for the moment that
 * somebody who holds the shard lock needs to get from one to the other.
 *
 * Work is bounded: so many tries for each piece, then there is no room.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "port/pg_bitutils.h"

#include "evict.h"

#define MAX_TRIES		96		/* for a piece, before there is no room */
#define PATIENT_TRIES	48		/* of these, tries that respect use and cost */
#define PIECES_AT_ONCE	32		/* to allocate in one hold of the lock */
#define SWEEP_SLOTS		16		/* slots to look at for expired items, */
#define SWEEP_MAX		128		/* and that many when there are */
#define PAGES_TO_COMPARE 3
#define PIECES_TO_LOOK	8
#define MOVE_MIN_SLOTS	4		/* in a page: up to 2 kB are copied */
#define MOVE_TRIES		12
#define SMALL_SHARE		10		/* the small queues' part: one tenth */
#define PROMOTE_FREQ	1		/* hits to pass from the small queue */

#define EPOCHS			64		/* to allocate as much as there is memory */
#define STAMP_MAX		((1U << ST_STAMP_BITS) - 1)

#define GHOST_WAYS		15
#define GHOST_FP_BITS	(32 - ST_STAMP_BITS)
#define GHOST_FP_MASK	((1U << GHOST_FP_BITS) - 1)

typedef struct CkSharedQueue
{
	CkOff		newest;
	CkOff		oldest;
	uint32		nitems;
	uint32		last_epoch;		/* in which an item entered */
} CkSharedQueue;

/* A cache line of fingerprints, the oldest of which is overwritten next. */
typedef struct CkSharedGhosts
{
	uint32		turn;
	uint32		entries[GHOST_WAYS];	/* fingerprint, and stamp above it */
} CkSharedGhosts;

typedef struct CkSharedEvict
{
	/* never change */
	uint64		epoch_bytes;	/* length of an epoch */
	uint32		nghosts;		/* sets */

	/* all else under the arena lock */
	uint32		epoch;
	uint64		epoch_fill;		/* bytes allocated in this epoch */
	uint64		nttl;			/* linked items that can expire */
	uint32		sweep_page;
	uint32		sweep_slot;
	int32		mean_density;	/* of dropped items, times 64; see density() */
	bool		have_mean;

	uint64		bytes[CK_NUM_QUEUES];
	uint64		classes[CK_NUM_QUEUES]; /* set of those with items */
	CkSharedQueue queues[CK_NUM_QUEUES][CK_MAX_CLASSES];

	CkSharedGhosts ghosts[FLEXIBLE_ARRAY_MEMBER];
} CkSharedEvict;

/* A search for room, as it is handed down. */
typedef struct CkLocalSearch
{
	int			cls;			/* of the slot wanted */
	uint64		now_ms;
	const CkEvictOps *ops;
} CkLocalSearch;

/*---- Link to shared memory ----*/
static CkSharedEvict *evict = NULL;

static uint32
ghost_sets_for(Size budget)
{
	return Max(budget / 100 / sizeof(CkSharedGhosts), 16);
}

/*
 * Bytes wanted out of a budget: the ghosts, 1 % of it.
 */
Size
ck_evict_size(Size budget)
{
	return offsetof(CkSharedEvict, ghosts) +
		ghost_sets_for(budget) * sizeof(CkSharedGhosts);
}

/*
 * Make empty queues in zeroed memory, for an arena of `capacity` bytes.
 */
void
ck_evict_init(void *ptr, Size size, uint64 capacity)
{
	evict = (CkSharedEvict *) ptr;
	evict->epoch_bytes = Max(capacity / EPOCHS, 1);
	evict->nghosts = (size - offsetof(CkSharedEvict, ghosts)) /
		sizeof(CkSharedGhosts);
	/* what was never set looks out of date */
	evict->epoch = 2 * EPOCHS;
}

void
ck_evict_attach(void *ptr)
{
	evict = (CkSharedEvict *) ptr;
}

/*---- Ghosts ----*/

static CkSharedGhosts *
ghost_set(uint64 hash, uint32 *fp)
{
	*fp = ((hash >> 7) & GHOST_FP_MASK) | 1;
	return &evict->ghosts[((hash >> 32) * evict->nghosts) >> 32];
}

static void
remember_ghost(uint64 hash)
{
	uint32		fp;
	CkSharedGhosts *set = ghost_set(hash, &fp);

	set->entries[set->turn] = fp | (evict->epoch & STAMP_MAX) << GHOST_FP_BITS;
	set->turn = (set->turn + 1) % GHOST_WAYS;
}

/*
 * Was the key dropped within the last turnover?  Forgets it.
 */
static bool
recall_ghost(uint64 hash)
{
	uint32		fp;
	CkSharedGhosts *set = ghost_set(hash, &fp);
	int			i;

	for (i = 0; i < GHOST_WAYS; i++)
	{
		uint32		entry = set->entries[i];

		if ((entry & GHOST_FP_MASK) == fp)
		{
			set->entries[i] = 0;
			return ((evict->epoch - (entry >> GHOST_FP_BITS)) & STAMP_MAX) <=
				EPOCHS;
		}
	}
	return false;
}

/*---- Queues ----*/

static int
class_of_item(CkItem *item)
{
	return ck_arena_class_of(ck_arena_off(item));
}

/*
 * Put an item, which is in no queue, at the new end of one.
 */
static void
enqueue(CkItem *item, CkQueueKind kind)
{
	int			cls = class_of_item(item);
	CkSharedQueue *q = &evict->queues[kind][cls];
	CkOff		off = ck_arena_off(item);

	item->newer = CK_OFF_NONE;
	item->older = q->newest;
	if (q->newest != CK_OFF_NONE)
		((CkItem *) ck_arena_ptr(q->newest))->newer = off;
	else
		q->oldest = off;
	q->newest = off;
	q->nitems++;
	q->last_epoch = evict->epoch;
	evict->bytes[kind] += ck_item_size(item);
	evict->classes[kind] |= UINT64CONST(1) << cls;
	ck_item_set_state(item, ST_QUEUE_MASK | ST_STAMP_MASK,
					  (uint32) kind << ST_QUEUE_SHIFT |
					  (evict->epoch & STAMP_MAX) << ST_STAMP_SHIFT);
}

static void
dequeue(CkItem *item)
{
	int			cls = class_of_item(item);
	CkQueueKind kind = ck_item_queue(item);
	CkSharedQueue *q = &evict->queues[kind][cls];

	Assert(kind != CK_QUEUE_NONE && q->nitems > 0);
	if (item->newer != CK_OFF_NONE)
		((CkItem *) ck_arena_ptr(item->newer))->older = item->older;
	else
		q->newest = item->older;
	if (item->older != CK_OFF_NONE)
		((CkItem *) ck_arena_ptr(item->older))->newer = item->newer;
	else
		q->oldest = item->newer;
	if (--q->nitems == 0)
		evict->classes[kind] &= ~(UINT64CONST(1) << cls);
	evict->bytes[kind] -= ck_item_size(item);
	ck_item_set_state(item, ST_QUEUE_MASK, 0);
}

static void
requeue(CkItem *item, CkQueueKind kind)
{
	dequeue(item);
	enqueue(item, kind);
}

/*
 * Take in an item that was just put into the table.  It goes to the main queue
 * if the caller knows it to be in use, or a ghost does.
 */
void
ck_evict_enter(CkItem *item, uint64 hash, bool in_use)
{
	Assert(ck_arena_locked());
	Assert(ck_item_queue(item) == CK_QUEUE_NONE);
	if (recall_ghost(hash))
		in_use = true;
	enqueue(item, in_use ? CK_QUEUE_MAIN : CK_QUEUE_SMALL);
	if (ck_item_expires_ms(item) != 0)
		evict->nttl++;
}

/*
 * Let go of an item that was taken out of the table.
 */
void
ck_evict_leave(CkItem *item)
{
	Assert(ck_arena_locked());
	dequeue(item);
	if (ck_item_expires_ms(item) != 0)
		evict->nttl--;
}

/*
 * A linked item got a ttl (+1) or lost it (-1).
 */
void
ck_evict_ttl_changed(int change)
{
	Assert(ck_arena_locked());
	evict->nttl += change;
}

/*
 * Number of linked items that can expire.
 */
uint64
ck_evict_nttl(void)
{
	Assert(ck_arena_locked());
	return evict->nttl;
}

/*
 * Advance the epoch by an allocation.
 */
static void
count_allocated(uint32 size)
{
	evict->epoch_fill += size;
	while (evict->epoch_fill >= evict->epoch_bytes)
	{
		evict->epoch_fill -= evict->epoch_bytes;
		evict->epoch++;
	}
}

/*---- Cost ----*/

/*
 * Binary logarithm of the cost of a byte, in sixteenths, from an arbitrary
 * zero.
 */
static int32
density(CkItem *item)
{
	uint64		d = ((uint64) item->cost_us << 16) / ck_item_size(item);
	int			bit;

	if (d < 16)
		return d * 4;
	bit = pg_leftmost_one_pos64(d);
	return bit * 16 + ((d >> (bit - 4)) & 15);
}

static void
count_dropped(CkItem *item)
{
	if (!evict->have_mean)
		evict->mean_density = density(item) * 64;
	else
		evict->mean_density += density(item) - evict->mean_density / 64;
	evict->have_mean = true;
}

/*
 * Rounds that an item is spared for its cost: one for each factor of four.
 */
static uint32
rounds_for_cost(CkItem *item)
{
	int32		excess;

	if (!evict->have_mean)
		return 0;
	excess = density(item) - evict->mean_density / 64;
	return excess <= 0 ? 0 : Min(excess / 32, 3);
}

/*---- Victims ----*/

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
	{
		count_dropped(item);
		if (ck_item_queue(item) == CK_QUEUE_SMALL)
			remember_ghost(hash);
	}
	ck_evict_leave(item);
	ck_arena_give_chain(ck_arena_off(item));
	return true;
}

/*
 * An item at the end of its queue that deserves it goes to (the new end of)
 * the main queue.
 */
static bool
spare(CkItem *item)
{
	CkQueueKind kind = ck_item_queue(item);
	uint32		freq = ck_item_freq(item);
	uint32		spared = (pg_atomic_read_u32(&item->state) & ST_SPARED_MASK) >>
		ST_SPARED_SHIFT;

	if (freq >= (kind == CK_QUEUE_SMALL ? PROMOTE_FREQ : 1))
	{
		freq = (kind == CK_QUEUE_SMALL) ? 0 : freq - 1;
		spared = 0;
	}
	else if (spared < rounds_for_cost(item))
		spared++;
	else
		return false;

	requeue(item, CK_QUEUE_MAIN);
	ck_item_set_state(item, ST_FREQ_MASK | ST_SPARED_MASK,
					  freq << ST_FREQ_SHIFT | spared << ST_SPARED_SHIFT);
	return true;
}

/*
 * Age of the oldest item of a queue, which has one, in epochs.
 */
static uint32
queue_age(CkQueueKind kind, int cls)
{
	CkSharedQueue *q = &evict->queues[kind][cls];
	CkItem	   *item = ck_arena_ptr(q->oldest);
	uint32		stamp = pg_atomic_read_u32(&item->state) >> ST_STAMP_SHIFT;
	uint32		age = (evict->epoch - stamp) & STAMP_MAX;

	/* stamps wrap around; a queue that has been idle for so long is older */
	return Max(age, evict->epoch - q->last_epoch);
}

/*
 * The class whose turn it is to lose an item of this kind of queue; -1: there
 * is none.  The class in need itself is preferred while it is at least half as
 * old as the oldest one, since its slots can be used at once.
 */
static int
choose_class(CkQueueKind kind, int own)
{
	uint64		rest = evict->classes[kind];
	uint32		oldest_age = 0;
	int			oldest = -1;

	while (rest != 0)
	{
		int			cls = pg_rightmost_one_pos64(rest);
		uint32		age = queue_age(kind, cls);

		rest &= rest - 1;
		if (oldest < 0 || age > oldest_age)
		{
			oldest = cls;
			oldest_age = age;
		}
	}
	if (evict->classes[kind] & (UINT64CONST(1) << own))
	{
		uint32		age = queue_age(kind, own);

		if (age * 2 + 4 >= oldest_age)
			return own;
	}
	return oldest;
}

/*
 * The kind of queue whose turn it is to lose an item.
 */
static CkQueueKind
choose_kind(void)
{
	if (evict->classes[CK_QUEUE_MAIN] == 0 ||
		evict->bytes[CK_QUEUE_SMALL] * SMALL_SHARE >
		evict->bytes[CK_QUEUE_SMALL] + evict->bytes[CK_QUEUE_MAIN])
		return CK_QUEUE_SMALL;
	return CK_QUEUE_MAIN;
}

/*
 * The item whose turn it is, or NULL.
 */
static CkItem *
choose_victim(int own)
{
	CkQueueKind kind = choose_kind();
	int			cls = choose_class(kind, own);

	return cls < 0 ? NULL : ck_arena_ptr(evict->queues[kind][cls].oldest);
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
 * Is an item worth a place?  Not one in the small queue that was never used.
 */
static bool
is_worthy(CkItem *item)
{
	return ck_item_queue(item) == CK_QUEUE_MAIN || ck_item_freq(item) > 0;
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
		loss += is_worthy(item) ? 5 : 1;
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
	CkQueueKind kind = choose_kind();
	CkItem	   *item;

	if (evict->queues[kind][cls].nitems == 0)
		kind = (kind == CK_QUEUE_SMALL) ? CK_QUEUE_MAIN : CK_QUEUE_SMALL;
	if (evict->queues[kind][cls].nitems == 0)
		return false;
	item = ck_arena_ptr(evict->queues[kind][cls].oldest);
	if (spare(item))
		return false;
	if (drop(item, 0, ops))
		return true;
	requeue(item, kind);
	return false;
}

/*
 * Let the neighbours in the queue know that an item has moved.
 */
static void
mend_queue(CkItem *item)
{
	CkSharedQueue *q = &evict->queues[ck_item_queue(item)][class_of_item(item)];
	CkOff		off = ck_arena_off(item);

	if (item->newer != CK_OFF_NONE)
		((CkItem *) ck_arena_ptr(item->newer))->older = off;
	else
		q->newest = off;
	if (item->older != CK_OFF_NONE)
		((CkItem *) ck_arena_ptr(item->older))->newer = off;
	else
		q->oldest = off;
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
		mend_queue(ck_arena_ptr(to));
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
		if (movable && (sparse || is_worthy(item)) && move_out(page, i, ops))
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
	CkItem	   *victim = choose_victim(search->cls);
	bool		dropped;

	if (victim == NULL)
		return false;
	if (patient && spare(victim))
		return true;
	if (frees_slot(victim, search->cls))
		dropped = drop(victim, 0, search->ops);
	else
		dropped = steal_page(victim, search->ops);

	/* let others go first next time; it may be gone with half of a page */
	if (!dropped && victim->piece.owner == ck_arena_off(victim))
		requeue(victim, ck_item_queue(victim));
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

		if (evict->sweep_slot >= ck_arena_page_nslots(evict->sweep_page))
		{
			evict->sweep_slot = 0;
			evict->sweep_page = (evict->sweep_page + 1) % ck_arena_npages();
			continue;
		}
		item = item_of_slot(evict->sweep_page, evict->sweep_slot);
		evict->sweep_slot++;
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
	if (evict->nttl > 0)
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
	count_allocated(size);
	ck_arena_unlock();
	return item;
}

/*---- Checking ----*/

static const char *
check_queue(CkQueueKind kind, int cls, uint64 *nitems, uint64 *nbytes)
{
	CkSharedQueue *q = &evict->queues[kind][cls];
	CkOff		newer = CK_OFF_NONE;
	CkOff		off;
	uint32		n = 0;

	for (off = q->newest; off != CK_OFF_NONE;)
	{
		CkItem	   *item = ck_arena_ptr(off);

		if (!ck_arena_valid(off, CK_ITEM_HEADER) || ++n > q->nitems)
			return "evict: a queue is out of bounds or a circle";
		if (item->piece.owner != off)
			return "evict: a queue contains what is no item";
		if (item->newer != newer)
			return "evict: a queue is wrongly linked";
		if (ck_item_queue(item) != kind || class_of_item(item) != cls)
			return "evict: an item is in a queue where it does not belong";
		if (ck_item_refs(item) < 1)
			return "evict: an item in a queue has no reference";
		*nbytes += ck_item_size(item);
		newer = off;
		off = item->older;
	}
	*nitems += n;
	if (q->oldest != newer || n != q->nitems)
		return "evict: a queue has not as many items as it says";
	if ((n > 0) != ((evict->classes[kind] >> cls) & 1))
		return "evict: the set of classes with items is wrong";
	return NULL;
}

/*
 * Verify the queues; NULL or the first problem.  Gives the number of items and
 * their bytes.  Under the arena lock, and all shard locks.
 */
const char *
ck_evict_check(uint64 *nitems, uint64 *nbytes)
{
	int			kind;
	int			cls;

	*nitems = *nbytes = 0;
	for (kind = CK_QUEUE_SMALL; kind < CK_NUM_QUEUES; kind++)
	{
		uint64		before = *nbytes;

		for (cls = 0; cls < ck_arena_nclasses(); cls++)
		{
			const char *problem = check_queue(kind, cls, nitems, nbytes);

			if (problem != NULL)
				return problem;
		}
		if (*nbytes - before != evict->bytes[kind])
			return "evict: a queue has not as many bytes as it says";
	}
	return NULL;
}
