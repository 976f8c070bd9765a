/*-------------------------------------------------------------------------
 *
 * tablecheck.c
 *	  Verifies every invariant of the table, the queues and the arena.
 *
 * Locking: all shards, shared and in order, then the arena.  Everybody else
 * takes one shard at most, and the evictor, who goes against the order, does
 * not wait; so there is no circle.  Nothing can be linked or unlinked while
 * this goes on, but references may be dropped, and one backend may be in the
 * middle of allocating a large item.  Problems are collected in a local
 * buffer and reported when the locks are released.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "counters.h"
#include "queue.h"
#include "table_shared.h"

#define MAX_PROBLEMS	20
#define PROBLEM_LEN		160

typedef struct CkLocalProblems
{
	int			n;
	char		text[MAX_PROBLEMS][PROBLEM_LEN];
} CkLocalProblems;

/* What was found by one way of walking, to be compared with the others. */
typedef struct CkLocalCensus
{
	uint64		slots_used;		/* by looking at each slot of each page */
	uint64		pieces;			/* by following the pieces of each head */
	uint64		queued;			/* heads that say they are in a queue */
	uint64		linked;			/* by walking the chains */
	uint64		linked_bytes;
	uint64		ttls;
} CkLocalCensus;

static void
add_problem(CkLocalProblems *problems, const char *fmt, uint64 a, uint64 b)
{
	if (problems->n < MAX_PROBLEMS)
		snprintf(problems->text[problems->n++], PROBLEM_LEN, fmt,
				 (unsigned long long) a, (unsigned long long) b);
}

static void
add_text(CkLocalProblems *problems, const char *text)
{
	if (text != NULL && problems->n < MAX_PROBLEMS)
		strlcpy(problems->text[problems->n++], text, PROBLEM_LEN);
}

/*
 * Follow the pieces of a head.
 */
static void
check_pieces(CkOff head, CkLocalCensus *census, CkLocalProblems *problems)
{
	CkItem	   *item = ck_arena_ptr(head);
	uint64		limit = ck_arena_capacity() / CK_MIN_SLOT;
	uint64		room = 0;
	uint64		n = 0;
	CkOff		off;

	for (off = head; off != CK_OFF_NONE;)
	{
		CkPiece    *piece = ck_arena_ptr(off);

		if (!ck_arena_valid(off, CK_MIN_SLOT) || ck_arena_class_of(off) < 0 ||
			++n > limit)
		{
			add_problem(problems, "item %llu: pieces are out of bounds or a circle at %llu",
						head, off);
			return;
		}
		if (piece->owner != head)
		{
			add_problem(problems, "item %llu: piece %llu belongs to another",
						head, off);
			return;
		}
		room += ck_arena_slot_size(ck_arena_class_of(off)) - sizeof(CkPiece);
		off = piece->next;
	}
	census->pieces += n;

	if (ck_item_queue(item) == CK_QUEUE_NONE)
		return;					/* may be half made */
	if (room + sizeof(CkPiece) < ck_item_size(item))
		add_problem(problems, "item %llu: pieces have room for %llu bytes only",
					head, room);
}

/*
 * Look at every slot of every page.
 */
static void
check_slots(CkLocalCensus *census, CkLocalProblems *problems)
{
	uint32		page;
	int			i;

	for (page = 0; page < ck_arena_npages(); page++)
	{
		int			n = ck_arena_page_nslots(page);
		int			nfree = 0;

		for (i = 0; i < n; i++)
		{
			CkOff		off = ck_arena_page_slot(page, i);
			CkPiece    *piece = ck_arena_ptr(off);

			if (piece->owner == CK_OFF_NONE)
			{
				nfree++;
				continue;
			}
			census->slots_used++;
			if (piece->owner == off)
			{
				check_pieces(off, census, problems);
				if (ck_item_queue(ck_arena_ptr(off)) != CK_QUEUE_NONE)
					census->queued++;
			}
			else if (!ck_arena_valid(piece->owner, CK_ITEM_HEADER) ||
					 ((CkPiece *) ck_arena_ptr(piece->owner))->owner != piece->owner)
				add_problem(problems, "piece %llu: owner %llu is no item",
							off, piece->owner);
		}
		if (n > 0 && nfree != ck_arena_page_nfree(page))
			add_problem(problems, "page %llu: has %llu free slots, says otherwise",
						page, nfree);
	}
}

static void
check_linked(CkOff off, uint32 bucket, CkLocalCensus *census,
			 CkLocalProblems *problems)
{
	CkItem	   *item = ck_arena_ptr(off);

	if (item->piece.owner != off)
		add_problem(problems, "item %llu: linked in bucket %llu, but is no item",
					off, bucket);
	else if (ck_table_bucket(item) != bucket)
		add_problem(problems, "item %llu: in bucket %llu, where it does not belong",
					off, bucket);
	if (ck_item_refs(item) < 1)
		add_problem(problems, "item %llu: linked in bucket %llu, but without reference",
					off, bucket);
	if (ck_item_queue(item) == CK_QUEUE_NONE)
		add_problem(problems, "item %llu: linked in bucket %llu, but in no queue",
					off, bucket);
	census->linked++;
	census->linked_bytes += ck_item_size(item);
	if (ck_item_expires_ms(item) != 0)
		census->ttls++;
}

/*
 * Walk all chains.
 */
static void
check_chains(CkLocalCensus *census, CkLocalProblems *problems)
{
	uint64		limit = ck_arena_capacity() / CK_MIN_SLOT;
	uint32		b;

	for (b = 0; b < ck_table->nbuckets; b++)
	{
		CkOff		off = ck_table->buckets[b];

		while (off != CK_OFF_NONE)
		{
			if (!ck_arena_valid(off, CK_ITEM_HEADER) || census->linked > limit)
			{
				add_problem(problems, "bucket %llu: chain is out of bounds or a circle at %llu",
							b, off);
				return;
			}
			check_linked(off, b, census, problems);
			off = ((CkItem *) ck_arena_ptr(off))->chain;
		}
	}
}

/*
 * Compare the different ways of counting.
 */
static void
compare_census(CkLocalCensus *c, CkLocalProblems *problems)
{
	CkArenaUse	use;
	uint64		queued;
	uint64		bytes;

	ck_arena_use(&use);
	add_text(problems, ck_queue_check(&queued, &bytes));
	if (c->slots_used != use.slots_used)
		add_problem(problems, "arena: %llu slots are in use, the classes say %llu",
					c->slots_used, use.slots_used);
	if (c->pieces != c->slots_used)
		add_problem(problems, "arena: %llu pieces belong to items, %llu slots are in use",
					c->pieces, c->slots_used);
	if (c->linked != queued || c->linked != c->queued)
		add_problem(problems, "table: %llu items are in chains, %llu in queues",
					c->linked, queued);
	if (c->linked_bytes != bytes)
		add_problem(problems, "table: %llu bytes are in chains, %llu in queues",
					c->linked_bytes, bytes);
	if (c->ttls != ck_queue_nttl())
		add_problem(problems, "table: %llu items can expire, the count is %llu",
					c->ttls, ck_queue_nttl());
}

static void
check_gauges(CkLocalCensus *c, CkLocalProblems *problems)
{
	int64		entries = 0;
	int64		bytes = 0;
	uint16		i;

	for (i = 0; i < ck_counters_nslots(); i++)
	{
		entries += ck_counters_read(i, CK_GAUGE_ENTRIES);
		bytes += ck_counters_read(i, CK_GAUGE_BYTES);
	}
	if (entries != c->linked)
		add_problem(problems, "counters: %llu items are linked, the gauges say %llu",
					c->linked, entries);
	if (bytes != c->linked_bytes)
		add_problem(problems, "counters: %llu bytes are linked, the gauges say %llu",
					c->linked_bytes, bytes);
}

/*
 * Verify everything and report what is wrong.  No locks may be held; all
 * others wait meanwhile.
 */
void
ck_table_check(CkReport report, void *arg)
{
	CkLocalProblems *problems = palloc0(sizeof(CkLocalProblems));
	CkLocalCensus census = {0};
	int			i;

	for (i = 0; i < CK_NUM_SHARDS; i++)
		LWLockAcquire(&ck_table->shards[i].lock, LW_SHARED);
	ck_arena_lock();

	add_text(problems, ck_arena_check());
	/* a broken arena is not safe to walk */
	if (problems->n == 0)
	{
		check_slots(&census, problems);
		check_chains(&census, problems);
		compare_census(&census, problems);
		check_gauges(&census, problems);
	}

	ck_arena_unlock();
	for (i = CK_NUM_SHARDS - 1; i >= 0; i--)
		LWLockRelease(&ck_table->shards[i].lock);

	for (i = 0; i < problems->n; i++)
		report(problems->text[i], arg);
	pfree(problems);
}
