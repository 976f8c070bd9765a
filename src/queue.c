/*-------------------------------------------------------------------------
 *
 * queue.c
 *	  The order in which items are evicted.
 *
 * It is that of S3-FIFO (Yang et al., SOSP 2023).  A new item enters the small
 * queue, a tenth of the bytes.  At its end it goes on to the main queue if it
 * was used meanwhile, else it is dropped and its hash remembered among the
 * ghosts; a new item that is found there enters the main queue at once.  At
 * the end of the main queue an item that was used goes round again, at most
 * three times for one burst of use.  So a scan passes through the small queue,
 * and a hit never has to move anything: it raises two bits.
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
 *   go unless the own one is half as old.
 *
 * Locking: everything here is guarded by the arena lock, which all callers
 * hold.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "port/pg_bitutils.h"

#include "queue.h"

#define SMALL_SHARE		10		/* the small queues' part: one tenth */
#define PROMOTE_FREQ	1		/* hits to pass from the small queue */
#define MAX_ROUNDS		3		/* for its cost */

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

typedef struct CkSharedQueues
{
	/* never change */
	uint64		epoch_bytes;	/* length of an epoch */
	uint32		nghosts;		/* sets */

	/* all else under the arena lock */
	uint32		epoch;
	uint64		epoch_fill;		/* bytes allocated in this epoch */
	uint64		nttl;			/* linked items that can expire */
	int32		mean_density;	/* of dropped items, times 64; see density() */
	bool		have_mean;

	uint64		bytes[CK_NUM_QUEUES];
	uint64		classes[CK_NUM_QUEUES]; /* set of those with items */
	CkSharedQueue queues[CK_NUM_QUEUES][CK_MAX_CLASSES];

	CkSharedGhosts ghosts[FLEXIBLE_ARRAY_MEMBER];
} CkSharedQueues;

/*---- Link to shared memory ----*/
static CkSharedQueues *queues = NULL;

static uint32
ghost_sets_for(Size budget)
{
	return Max(budget / 100 / sizeof(CkSharedGhosts), 16);
}

/*
 * Bytes wanted out of a budget: most of it ghosts, 1 %.
 */
Size
ck_queue_size(Size budget)
{
	return offsetof(CkSharedQueues, ghosts) +
		ghost_sets_for(budget) * sizeof(CkSharedGhosts);
}

/*
 * Make empty queues in zeroed memory, for an arena of `capacity` bytes.
 */
void
ck_queue_init(void *ptr, Size size, uint64 capacity)
{
	queues = (CkSharedQueues *) ptr;
	queues->epoch_bytes = Max(capacity / EPOCHS, 1);
	queues->nghosts = (size - offsetof(CkSharedQueues, ghosts)) /
		sizeof(CkSharedGhosts);
	/* what was never set looks out of date */
	queues->epoch = 2 * EPOCHS;
}

void
ck_queue_attach(void *ptr)
{
	queues = (CkSharedQueues *) ptr;
}

/*---- Ghosts ----*/

static CkSharedGhosts *
ghost_set(uint64 hash, uint32 *fp)
{
	*fp = ((hash >> 7) & GHOST_FP_MASK) | 1;
	return &queues->ghosts[((hash >> 32) * queues->nghosts) >> 32];
}

static void
remember_ghost(uint64 hash)
{
	uint32		fp;
	CkSharedGhosts *set = ghost_set(hash, &fp);

	set->entries[set->turn] = fp | (queues->epoch & STAMP_MAX) << GHOST_FP_BITS;
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
			return ((queues->epoch - (entry >> GHOST_FP_BITS)) & STAMP_MAX) <=
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
	CkSharedQueue *q = &queues->queues[kind][cls];
	CkOff		off = ck_arena_off(item);

	item->newer = CK_OFF_NONE;
	item->older = q->newest;
	if (q->newest != CK_OFF_NONE)
		((CkItem *) ck_arena_ptr(q->newest))->newer = off;
	else
		q->oldest = off;
	q->newest = off;
	q->nitems++;
	q->last_epoch = queues->epoch;
	queues->bytes[kind] += ck_item_size(item);
	queues->classes[kind] |= UINT64CONST(1) << cls;
	ck_item_set_state(item, ST_QUEUE_MASK | ST_STAMP_MASK,
					  (uint32) kind << ST_QUEUE_SHIFT |
					  (queues->epoch & STAMP_MAX) << ST_STAMP_SHIFT);
}

static void
dequeue(CkItem *item)
{
	int			cls = class_of_item(item);
	CkQueueKind kind = ck_item_queue(item);
	CkSharedQueue *q = &queues->queues[kind][cls];

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
		queues->classes[kind] &= ~(UINT64CONST(1) << cls);
	queues->bytes[kind] -= ck_item_size(item);
	ck_item_set_state(item, ST_QUEUE_MASK, 0);
}

static void
requeue(CkItem *item, CkQueueKind kind)
{
	dequeue(item);
	enqueue(item, kind);
}

/*
 * Let others go first: an item goes back to the new end of its queue.
 */
void
ck_queue_defer(CkItem *item)
{
	requeue(item, ck_item_queue(item));
}

/*
 * Take in an item that was just put into the table.  It goes to the main queue
 * if the caller knows it to be in use, or a ghost does.
 */
void
ck_queue_enter(CkItem *item, uint64 hash, bool in_use)
{
	Assert(ck_arena_locked());
	Assert(ck_item_queue(item) == CK_QUEUE_NONE);
	if (recall_ghost(hash))
		in_use = true;
	enqueue(item, in_use ? CK_QUEUE_MAIN : CK_QUEUE_SMALL);
	if (ck_item_expires_ms(item) != 0)
		queues->nttl++;
}

/*
 * Let go of an item that was taken out of the table.
 */
void
ck_queue_leave(CkItem *item)
{
	Assert(ck_arena_locked());
	dequeue(item);
	if (ck_item_expires_ms(item) != 0)
		queues->nttl--;
}

/*
 * A linked item got a ttl (+1) or lost it (-1).
 */
void
ck_queue_ttl_changed(int change)
{
	Assert(ck_arena_locked());
	queues->nttl += change;
}

/*
 * Number of linked items that can expire.
 */
uint64
ck_queue_nttl(void)
{
	Assert(ck_arena_locked());
	return queues->nttl;
}

/*
 * Advance the epoch by an allocation.
 */
void
ck_queue_allocated(uint32 size)
{
	queues->epoch_fill += size;
	while (queues->epoch_fill >= queues->epoch_bytes)
	{
		queues->epoch_fill -= queues->epoch_bytes;
		queues->epoch++;
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
	if (!queues->have_mean)
		queues->mean_density = density(item) * 64;
	else
		queues->mean_density += density(item) - queues->mean_density / 64;
	queues->have_mean = true;
}

/*
 * Rounds that an item is spared for its cost: one for each factor of four.
 */
static uint32
rounds_for_cost(CkItem *item)
{
	int32		excess;

	if (!queues->have_mean)
		return 0;
	excess = density(item) - queues->mean_density / 64;
	return excess <= 0 ? 0 : Min(excess / 32, MAX_ROUNDS);
}

/*
 * Let go of an item that is being evicted.
 */
void
ck_queue_evicted(CkItem *item, uint64 hash)
{
	count_dropped(item);
	if (ck_item_queue(item) == CK_QUEUE_SMALL)
		remember_ghost(hash);
	ck_queue_leave(item);
}

/*---- Order ----*/

/*
 * An item at the end of its queue that deserves it goes to (the new end of)
 * the main queue.
 */
bool
ck_queue_spare(CkItem *item)
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
	CkSharedQueue *q = &queues->queues[kind][cls];
	CkItem	   *item = ck_arena_ptr(q->oldest);
	uint32		stamp = pg_atomic_read_u32(&item->state) >> ST_STAMP_SHIFT;
	uint32		age = (queues->epoch - stamp) & STAMP_MAX;

	/* stamps wrap around; a queue that has been idle for so long is older */
	return Max(age, queues->epoch - q->last_epoch);
}

/*
 * The class whose turn it is to lose an item of this kind of queue; -1: there
 * is none.  The class in need itself is preferred while it is at least half as
 * old as the oldest one, since its slots can be used at once.
 */
static int
choose_class(CkQueueKind kind, int own)
{
	uint64		rest = queues->classes[kind];
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
	if (queues->classes[kind] & (UINT64CONST(1) << own))
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
	if (queues->classes[CK_QUEUE_MAIN] == 0 ||
		queues->bytes[CK_QUEUE_SMALL] * SMALL_SHARE >
		queues->bytes[CK_QUEUE_SMALL] + queues->bytes[CK_QUEUE_MAIN])
		return CK_QUEUE_SMALL;
	return CK_QUEUE_MAIN;
}

/*
 * The item whose turn it is to make room for a slot of a class; NULL: there is
 * none at all.
 */
CkItem *
ck_queue_victim(int own)
{
	CkQueueKind kind = choose_kind();
	int			cls = choose_class(kind, own);

	return cls < 0 ? NULL : ck_arena_ptr(queues->queues[kind][cls].oldest);
}

/*
 * The item of this class whose turn it is, or NULL.
 */
CkItem *
ck_queue_coldest(int cls)
{
	CkQueueKind kind = choose_kind();

	if (queues->queues[kind][cls].nitems == 0)
		kind = (kind == CK_QUEUE_SMALL) ? CK_QUEUE_MAIN : CK_QUEUE_SMALL;
	if (queues->queues[kind][cls].nitems == 0)
		return NULL;
	return ck_arena_ptr(queues->queues[kind][cls].oldest);
}

/*
 * Let the neighbours in the queue know that an item has moved.
 */
void
ck_queue_moved(CkItem *item)
{
	CkSharedQueue *q = &queues->queues[ck_item_queue(item)][class_of_item(item)];
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
 * Visit all items, those that would be evicted first in front, until `visit`
 * says false.
 */
bool
ck_queue_foreach(bool (*visit) (CkItem *item, void *arg), void *arg)
{
	for (int kind = CK_QUEUE_SMALL; kind < CK_NUM_QUEUES; kind++)
		for (int cls = 0; cls < ck_arena_nclasses(); cls++)
		{
			CkOff		off = queues->queues[kind][cls].oldest;

			while (off != CK_OFF_NONE)
			{
				CkItem	   *item = ck_arena_ptr(off);

				if (!visit(item, arg))
					return false;
				off = item->newer;
			}
		}
	return true;
}

/*---- Checking ----*/

static const char *
check_queue(CkQueueKind kind, int cls, uint64 *nitems, uint64 *nbytes)
{
	CkSharedQueue *q = &queues->queues[kind][cls];
	CkOff		newer = CK_OFF_NONE;
	CkOff		off;
	uint32		n = 0;

	for (off = q->newest; off != CK_OFF_NONE;)
	{
		CkItem	   *item = ck_arena_ptr(off);

		if (!ck_arena_valid(off, CK_ITEM_HEADER) || ++n > q->nitems)
			return "queue: a queue is out of bounds or a circle";
		if (item->piece.owner != off)
			return "queue: a queue contains what is no item";
		if (item->newer != newer)
			return "queue: a queue is wrongly linked";
		if (ck_item_queue(item) != kind || class_of_item(item) != cls)
			return "queue: an item is in a queue where it does not belong";
		if (ck_item_refs(item) < 1)
			return "queue: an item in a queue has no reference";
		*nbytes += ck_item_size(item);
		newer = off;
		off = item->older;
	}
	*nitems += n;
	if (q->oldest != newer || n != q->nitems)
		return "queue: a queue has not as many items as it says";
	if ((n > 0) != ((queues->classes[kind] >> cls) & 1))
		return "queue: the set of classes with items is wrong";
	return NULL;
}

/*
 * Verify the queues; NULL or the first problem.  Gives the number of items and
 * their bytes.  Under the arena lock, and all shard locks.
 */
const char *
ck_queue_check(uint64 *nitems, uint64 *nbytes)
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
		if (*nbytes - before != queues->bytes[kind])
			return "queue: a queue has not as many bytes as it says";
	}
	return NULL;
}
