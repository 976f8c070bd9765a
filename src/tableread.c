/*-------------------------------------------------------------------------
 *
 * tableread.c
 *	  Reading items of the table, and counting that they were of use.
 *
 * There are two ways.  ck_table_pin() takes the shard lock, shared, and adds a
 * reference; the item can be read at leisure then.  ck_table_read_small()
 * copies small items with no lock at all.
 *
 * Reading without a lock (ck_table_read_small())
 *
 * Each shard has a sequence number which is odd while its chains are being
 * changed.  The reader reads it, walks the chain, copies the item, and reads
 * it again.  If it was even and is the same, then no item of this shard was
 * linked, unlinked or moved meanwhile.  What was found by walking the chain
 * was thus linked all the time; a linked item's memory is neither freed nor
 * written to (but for fields that the reader does not use, or which are
 * atomic); hence the copy is good.  The order matters in two places: an item
 * is unlinked, and seq advanced, before its memory is given back, with a
 * barrier between, so whoever sees new contents in old memory sees the new
 * seq; and an item is written before seq becomes odd and it is linked.
 *
 * If seq is not the same, the reader may have seen anything: an item that has
 * been freed, its memory in use for a value, a page of another class.  So
 * nothing read is trusted: an offset is used only within the segment's pages,
 * lengths are limited by their bit fields and then by the segment and the
 * destination, chains and pieces are followed a bounded number of times.  All
 * that is copied is thrown away.  The reader never writes to shared memory.
 *
 * Caveats: hits are counted in the backend first, and those still pending
 * when an item goes, or the backend, are lost.  They are added without
 * excluding others, by atomic operations.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "port/pg_bitutils.h"

#include "table_shared.h"

#define MAX_CHAIN		64		/* for the lock-free reader */
#define MAX_SMALL_PIECES 8		/* same */
#define READ_TRIES		4

#define HIT_SLOTS		64			/* bits of pending_hits */
#define MAX_PENDING		64

/* Hits of an item that are not yet written to it, and where it may be. */
typedef struct CkLocalHits
{
	uint32		id;
	uint32		bucket;
	uint32		pending;
} CkLocalHits;

/*---- Local variables ----*/
static CkLocalHits hit_slots[HIT_SLOTS];
static uint64 pending_hits = 0; /* one bit a slot that has some */

/*---- Reading with a pin ----*/

/*
 * Add a reference to a linked item, under the shard lock.  False: there are
 * thousands already.
 */
static bool
add_ref(CkItem *item)
{
	uint32		old = pg_atomic_read_u32(&item->state);

	do
	{
		Assert((old & ST_REFS_MASK) > 0);
		if ((old & ST_REFS_MASK) == ST_REFS_MASK)
			return false;
	} while (!pg_atomic_compare_exchange_u32(&item->state, &old, old + 1));
	return true;
}

/*
 * Find an item and pin it; NULL: there is none that has not expired.  It stays
 * readable, even if it is unlinked, until ck_table_unpin() or the end of the
 * current resource owner.
 */
CkItem *
ck_table_pin(const CkKey *key, TimestampTz now)
{
	CkSharedShard *shard = ck_table_shard(key);
	uint64		now_ms = ck_table_ms(now);
	CkItem	   *item;
	bool		expired;

	ck_pins_reserve();
	LWLockAcquire(&shard->lock, LW_SHARED);
	item = ck_table_follow(*ck_table_find_link(key));
	expired = item != NULL && ck_item_expired(item, now_ms);
	if (item != NULL && (expired || !add_ref(item)))
		item = NULL;
	LWLockRelease(&shard->lock);

	if (item != NULL)
	{
		ck_pins_add(item);
		ck_item_rewind();
	}
	else if (expired)
		ck_table_reap(key, now_ms);
	return item;
}

void
ck_table_unpin(CkItem *item)
{
	ck_pins_remove(item);
	ck_table_unref(item);
}

/*---- Reading without a lock ----*/

/*
 * Copy the beginning of an item, wherever that is.  What is in `head` stays
 * as it is from here on, whatever happens to the item.
 */
static bool
copy_head(CkOff off, CkItem *head)
{
	if (!ck_arena_valid(off, CK_ITEM_HEADER))
		return false;
	memcpy(head, ck_arena_ptr(off), CK_ITEM_HEADER);
	pg_compiler_barrier();
	return true;
}

static bool
head_has_key(CkOff off, const CkItem *head, const CkKey *key)
{
	if (head->dbid != key->dbid || head->keylen != key->len ||
		head->kind != key->kind || !ck_arena_valid(off, ck_item_flat(head)))
		return false;
	return memcmp((char *) ck_arena_ptr(off) + CK_ITEM_HEADER + head->metalen,
				  key->data, key->len) == 0;
}

/*
 * Copy a value of at most CK_SMALL_MAX bytes from the pieces that seem to
 * belong to an item.  False: they do not, so something has changed.
 */
static bool
copy_small_value(CkOff off, const CkItem *head, char *to)
{
	CkPiece		piece = head->piece;
	uint32		header = ck_item_flat(head);
	uint32		left = head->vallen;
	int			i;

	for (i = 0; i < MAX_SMALL_PIECES; i++)
	{
		int			cls = ck_arena_class_of(off);
		uint32		n;

		if (cls < 0 || ck_arena_slot_size(cls) < header)
			return false;
		n = Min(left, ck_arena_slot_size(cls) - header);
		if (!ck_arena_valid(off, header + n))
			return false;
		memcpy(to, (char *) ck_arena_ptr(off) + header, n);
		to += n;
		left -= n;
		if (left == 0)
			return true;

		off = piece.next;
		header = sizeof(CkPiece);
		if (!ck_arena_valid(off, header))
			return false;
		memcpy(&piece, ck_arena_ptr(off), header);
		pg_compiler_barrier();
	}
	return false;
}

static CkReadResult
copy_small(CkOff off, CkItem *head, uint64 now_ms, CkSmall *out)
{
	if (ck_item_expired(head, now_ms))
		return CK_READ_ABSENT;
	if (head->metalen + head->vallen > CK_SMALL_MAX)
		return CK_READ_USE_PIN;

	ck_item_info(head, &out->info);
	out->item = ck_arena_ptr(off);
	memcpy(out->data, ck_item_meta(out->item), head->metalen);
	if (!copy_small_value(off, head, out->data + MAXALIGN(head->metalen)))
		return CK_READ_USE_PIN;
	return CK_READ_HIT;
}

/*
 * One attempt, whose outcome means something only if nothing has changed.
 */
static CkReadResult
try_read_small(const CkKey *key, uint64 now_ms, CkSmall *out)
{
	volatile CkOff *bucket = &ck_table->buckets[ck_table_bucket_of_hash(key->hash)];
	CkOff		off = *bucket;
	int			i;

	for (i = 0; i < MAX_CHAIN; i++)
	{
		CkItem		head;

		if (off == CK_OFF_NONE)
			return CK_READ_ABSENT;
		if (!copy_head(off, &head))
			return CK_READ_USE_PIN;
		if (head_has_key(off, &head, key))
			return copy_small(off, &head, now_ms, out);
		off = head.chain;
	}
	return CK_READ_USE_PIN;
}

/*
 * Read an item whose meta area and value are at most CK_SMALL_MAX bytes, with
 * no lock and no write to shared memory: see the top of this file.
 */
CkReadResult
ck_table_read_small(const CkKey *key, TimestampTz now, CkSmall *out)
{
	CkSharedShard *shard = ck_table_shard(key);
	uint64		now_ms = ck_table_ms(now);
	int			i;

	for (i = 0; i < READ_TRIES; i++)
	{
		uint32		seq = pg_atomic_read_u32(&shard->seq);
		CkReadResult result;

		if (seq % 2 != 0)
			continue;
		pg_read_barrier();
		result = try_read_small(key, now_ms, out);
		pg_read_barrier();
		if (pg_atomic_read_u32(&shard->seq) == seq)
			return result;
	}
	return CK_READ_USE_PIN;
}

/*---- Hits ----*/

/*
 * Write pending hits to their item, if it is still there.
 */
static void
flush_hits(CkLocalHits *h)
{
	CkSharedShard *shard;
	CkItem	   *item;

	if (h->pending == 0)
		return;
	shard = ck_table_shard_of_bucket(h->bucket);
	LWLockAcquire(&shard->lock, LW_SHARED);
	item = ck_table_follow(ck_table->buckets[h->bucket]);
	while (item != NULL && item->id != h->id)
		item = ck_table_follow(item->chain);
	if (item != NULL)
	{
		uint32		freq = Min(ck_item_freq(item) + h->pending, 3);

		pg_atomic_fetch_add_u32(&item->hits, h->pending);
		ck_item_set_state(item, ST_FREQ_MASK, freq << ST_FREQ_SHIFT);
	}
	LWLockRelease(&shard->lock);
	h->pending = 0;
}

/*
 * Note that an item was of use.  It need not be pinned, nor be there any more:
 * the id is what tells it.
 */
void
ck_table_note_hit(const CkKey *key, CkItem *item, uint32 id)
{
	CkLocalHits *h = &hit_slots[(key->hash >> 40) % HIT_SLOTS];
	uint32		bucket = ck_table_bucket_of_hash(key->hash);

	if (h->id != id || h->bucket != bucket)
	{
		flush_hits(h);
		h->id = id;
		h->bucket = bucket;
	}
	pending_hits |= UINT64CONST(1) << (h - hit_slots);
	if (++h->pending >= MAX_PENDING)
		flush_hits(h);
}

/*
 * Write all pending hits to their items; at the end of a transaction.
 */
void
ck_table_flush_hits(void)
{
	while (pending_hits != 0)
	{
		flush_hits(&hit_slots[pg_rightmost_one_pos64(pending_hits)]);
		pending_hits &= pending_hits - 1;
	}
}

/*
 * Forget them, when this backend has attached to another table.
 */
void
ck_table_forget_hits(void)
{
	memset(hit_slots, 0, sizeof(hit_slots));
	pending_hits = 0;
}
