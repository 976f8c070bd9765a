/*-------------------------------------------------------------------------
 *
 * table.c
 *	  The shared hash table of cache entries ("items").
 *
 * Items hang in chains from a fixed number of buckets.  Storing is: prepare
 * (allocate, which may evict others), write the value, link.  An item is
 * immutable then; a new value is a new item in the place of the old one.
 *
 * Locking
 *
 * A shard, one in 128 buckets, has an LWLock.  Held shared, its chains can be
 * walked and references added; held exclusively, chains and expiry can be
 * changed.  The order is shard, then arena; the evictor, who holds the arena
 * lock, only tries for the shard's (try_unlink()).  Nobody holds two shards,
 * but ck_table_check(), which takes all in order.
 *
 * An item's memory is freed by whoever drops the last reference.  The link is
 * one.  References are added only under the shard lock to a linked item, so
 * the count never rises from zero; they are dropped with no lock at all.
 *
 * Who reads with no lock at all is told of changes by the shard's sequence
 * number: see tableread.c.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/hashfn.h"

#include "clock.h"
#include "counters.h"
#include "segment.h"
#include "evict.h"
#include "queue.h"
#include "table_shared.h"

#define TABLE_MAGIC		0x436b5462
#define MIN_BUCKETS		1024
#define BYTES_PER_BUCKET 512

/* Milliseconds begin an hour before the table is made: none is below 1. */
#define ZERO_TIME_BEFORE (USECS_PER_HOUR)

/*---- Link to shared memory ----*/
CkSharedTable *ck_table = NULL;

/*---- Making ----*/

/*
 * The table is the last subsystem and takes the rest of the budget.
 */
Size
ck_table_size(Size budget)
{
	return 0;
}

static uint32
buckets_for(Size budget)
{
	uint32		n = MIN_BUCKETS;

	while (n < PG_INT32_MAX / 2 &&
		   (Size) n * BYTES_PER_BUCKET * 3 / 2 < budget)
		n *= 2;
	return n;
}

static CkSharedTable *
align_table(void *ptr)
{
	return (CkSharedTable *) TYPEALIGN(PG_CACHE_LINE_SIZE, ptr);
}

/*
 * Lay out shards, buckets, queues and arena in fresh memory.
 */
void
ck_table_init(void *ptr, Size size, Size budget)
{
	CkSharedTable *t = align_table(ptr);
	Size		usable = size - ((char *) t - (char *) ptr);
	Size		evict_size = ck_evict_size(budget);
	int			i;

	StaticAssertStmt(CK_ITEM_HEADER == 64, "item header is 64 bytes");
	t->magic = TABLE_MAGIC;
	t->nbuckets = buckets_for(budget);
	t->zero_time = ck_clock_now() - ZERO_TIME_BEFORE;
	t->evict_offset = TYPEALIGN(PG_CACHE_LINE_SIZE,
								offsetof(CkSharedTable, buckets) +
								(Size) t->nbuckets * sizeof(CkOff));
	t->arena_offset = TYPEALIGN(PG_CACHE_LINE_SIZE,
								t->evict_offset + evict_size);
	pg_atomic_init_u32(&t->next_id, 1);
	for (i = 0; i < CK_NUM_SHARDS; i++)
	{
		LWLockInitialize(&t->shards[i].lock,
						 ck_segment_tranche(CK_TRANCHE_TABLE));
		pg_atomic_init_u32(&t->shards[i].seq, 0);
	}

	ck_arena_init((char *) t + t->arena_offset, usable - t->arena_offset);
	ck_evict_init((char *) t + t->evict_offset, evict_size,
				  ck_arena_capacity());
}

void
ck_table_attach(void *ptr, Size size)
{
	CkSharedTable *t = align_table(ptr);

	Assert(t->magic == TABLE_MAGIC);
	ck_arena_attach((char *) t + t->arena_offset);
	ck_evict_attach((char *) t + t->evict_offset);
	ck_table = t;
	ck_table_forget_hits();
}

/*---- Times ----*/

/*
 * Milliseconds of a time, at least 1, at most what fits.
 */
uint64
ck_table_ms(TimestampTz t)
{
	TimestampTz ms;

	if (t <= ck_table->zero_time)
		return 1;
	ms = (t - ck_table->zero_time) / 1000;
	return Max(1, Min(ms, WHEN_MS_MASK));
}

TimestampTz
ck_table_time(uint64 ms)
{
	return ck_table->zero_time + (TimestampTz) ms * 1000;
}

/*---- Keys, shards, chains ----*/

/*
 * Make a key; data is not copied.
 */
CkKey
ck_table_key(CkKind kind, Oid dbid, const void *data, uint16 len)
{
	CkKey		key;

	key.kind = kind;
	key.dbid = dbid;
	key.data = data;
	key.len = len;
	key.hash = hash_bytes_extended(data, len, (uint64) dbid << 8 | kind);
	return key;
}

static CkKey
key_of_item(const CkItem *item)
{
	return ck_table_key(item->kind, item->dbid, ck_item_key(item),
						item->keylen);
}

/*
 * The bucket that an item belongs to.
 */
uint32
ck_table_bucket(const CkItem *item)
{
	return ck_table_bucket_of_hash(key_of_item(item).hash);
}

static bool
item_has_key(const CkItem *item, const CkKey *key)
{
	return item->dbid == key->dbid && item->keylen == key->len &&
		item->kind == key->kind &&
		memcmp(ck_item_key(item), key->data, key->len) == 0;
}

/*
 * The link (in a bucket or an item) that leads to the item with this key; if
 * there is none, the last link of the chain, which is CK_OFF_NONE.  Under the
 * shard lock.
 */
CkOff *
ck_table_find_link(const CkKey *key)
{
	CkOff	   *link = &ck_table->buckets[ck_table_bucket_of_hash(key->hash)];

	Assert(LWLockHeldByMe(&ck_table_shard(key)->lock));
	while (*link != CK_OFF_NONE)
	{
		CkItem	   *item = ck_arena_ptr(*link);

		if (item_has_key(item, key))
			break;
		link = &item->chain;
	}
	return link;
}

/*
 * The same for an item that may or may not be there, and which is not looked
 * at but by its place.
 */
static CkOff *
find_link_to(uint32 bucket, const CkItem *item)
{
	CkOff	   *link = &ck_table->buckets[bucket];
	CkOff		wanted = ck_arena_off(item);

	Assert(LWLockHeldByMe(&ck_table_shard_of_bucket(bucket)->lock));
	while (*link != CK_OFF_NONE && *link != wanted)
		link = &((CkItem *) ck_arena_ptr(*link))->chain;
	return link;
}

/*
 * Let lock-free readers know that chains change.  What was written to an item
 * before is seen by whoever sees it linked.
 */
static void
begin_change(CkSharedShard *shard)
{
	uint32		seq = pg_atomic_read_u32(&shard->seq);

	Assert(LWLockHeldByMeInMode(&shard->lock, LW_EXCLUSIVE));
	Assert(seq % 2 == 0);
	pg_atomic_write_u32(&shard->seq, seq + 1);
	pg_write_barrier();
}

/*
 * The change is complete.  What is written from here on, by anybody, to the
 * memory of an item that was unlinked, comes after the new number.
 */
static void
end_change(CkSharedShard *shard)
{
	pg_write_barrier();
	pg_atomic_write_u32(&shard->seq, pg_atomic_read_u32(&shard->seq) + 1);
	pg_memory_barrier();
}

/*---- References ----*/

/*
 * Drop a reference.  True: it was the last one.
 */
static bool
drop_ref(CkItem *item)
{
	uint32		state = pg_atomic_sub_fetch_u32(&item->state, 1);

	Assert((state & ST_REFS_MASK) != ST_REFS_MASK);
	return (state & ST_REFS_MASK) == 0;
}

/*
 * Drop a reference that is not the link's, and the item with the last one.
 * Not under the arena lock.
 */
void
ck_table_unref(CkItem *item)
{
	if (!drop_ref(item))
		return;
	ck_arena_lock();
	ck_arena_give_chain(ck_arena_off(item));
	ck_arena_unlock();
}

/*
 * Drop the link's reference to an item that was taken out of its chain.
 */
static void
release_link(CkItem *item)
{
	Assert(ck_arena_locked());
	ck_queue_leave(item);
	if (drop_ref(item))
		ck_arena_give_chain(ck_arena_off(item));
}

static void
add_to_gauges(const CkItem *item, int sign)
{
	ck_counters_add(item->slot, CK_GAUGE_ENTRIES, sign);
	ck_counters_add(item->slot, CK_GAUGE_BYTES,
					sign * (int64) ck_item_size(item));
}

/*
 * Take the item that a link leads to out of the table.  Under the shard lock,
 * exclusively.
 */
static void
unlink_locked(CkSharedShard *shard, CkOff *link)
{
	CkItem	   *item = ck_table_follow(*link);

	begin_change(shard);
	*link = item->chain;
	end_change(shard);
	add_to_gauges(item, -1);

	ck_arena_lock();
	release_link(item);
	ck_arena_unlock();
}

/*
 * The same for an item that has expired.
 */
static void
unlink_expired_locked(CkSharedShard *shard, CkOff *link)
{
	ck_counters_add(ck_table_follow(*link)->slot, CK_CTR_EXPIRATIONS, 1);
	unlink_locked(shard, link);
}

/*
 * Evict an item, if that can be done at once: see CkTryUnlink.
 *
 * The item is in a queue, and the arena lock is held.  So it is in a chain, or
 * on its way between by somebody who holds the shard lock; if we get that, it
 * is in the chain.  With it held exclusively no reference can be added, so if
 * there is none but the link's, nobody can get at the item any more.
 */
static bool
try_unlink(CkItem *item, uint64 expired_ms, uint64 *hash)
{
	CkKey		key = key_of_item(item);
	CkSharedShard *shard = ck_table_shard(&key);
	CkOff	   *link;

	Assert(ck_arena_locked());
	if (!LWLockConditionalAcquire(&shard->lock, LW_EXCLUSIVE))
		return false;
	if (ck_item_refs(item) > 1 ||
		(expired_ms != 0 && !ck_item_expired(item, expired_ms)))
	{
		LWLockRelease(&shard->lock);
		return false;
	}

	link = find_link_to(ck_table_bucket_of_hash(key.hash), item);
	Assert(*link == ck_arena_off(item));
	begin_change(shard);
	*link = item->chain;
	end_change(shard);
	add_to_gauges(item, -1);
	LWLockRelease(&shard->lock);

	ck_counters_add(item->slot, expired_ms != 0 ? CK_CTR_EXPIRATIONS :
					CK_CTR_EVICTIONS, 1);
	*hash = key.hash;
	return true;
}

/*
 * Move a piece of an item to another slot, if that can be done at once: see
 * CkTryMove.  What was said of try_unlink() holds here.
 */
static bool
try_move(CkItem *item, CkOff from, CkOff to)
{
	CkKey		key = key_of_item(item);
	CkSharedShard *shard = ck_table_shard(&key);
	CkOff	   *link;

	Assert(ck_arena_locked());
	if (!LWLockConditionalAcquire(&shard->lock, LW_EXCLUSIVE))
		return false;
	if (ck_item_refs(item) > 1)
	{
		LWLockRelease(&shard->lock);
		return false;
	}

	link = find_link_to(ck_table_bucket_of_hash(key.hash), item);
	Assert(*link == ck_arena_off(item));
	begin_change(shard);
	ck_item_move_piece(item, from, to);
	if (*link == from)
		*link = to;
	end_change(shard);
	LWLockRelease(&shard->lock);
	return true;
}

static const CkEvictOps evict_ops = {try_unlink, try_move};

/*---- Storing ----*/

/*
 * Fill the header, meta and key of a new item.
 */
static void
fill_item(CkItem *item, const CkItemSpec *spec, uint64 stored_ms)
{
	uint64		expires_ms = 0;

	if (spec->expires_at != 0)
		expires_ms = ck_table_ms(spec->expires_at);

	item->chain = item->newer = item->older = CK_OFF_NONE;
	item->id = pg_atomic_fetch_add_u32(&ck_table->next_id, 1);
	item->dbid = spec->key.dbid;
	item->typid = spec->typid;
	item->cost_us = spec->cost_us;
	pg_atomic_init_u32(&item->hits, 0);
	item->stored_low = (uint32) stored_ms;
	item->vallen = spec->vallen;
	item->keylen = spec->key.len;
	item->metalen = spec->metalen;
	item->kind = spec->key.kind;
	item->slot = ck_counters_slot(spec->key.dbid);
	pg_atomic_init_u64(&item->when,
					   expires_ms |
					   (uint64) spec->flags << WHEN_FLAGS_SHIFT |
					   (stored_ms >> 32) << WHEN_STORED_SHIFT);
	if (spec->metalen > 0)
		memcpy((char *) item + CK_ITEM_HEADER, spec->meta, spec->metalen);
	memcpy((char *) item + CK_ITEM_HEADER + spec->metalen,
		   spec->key.data, spec->key.len);
}

/*
 * Make an item that nobody else sees yet; others may be evicted for it.  NULL:
 * there is no room, or it is larger than a quarter of the memory.
 */
static CkItem *
make_item(const CkItemSpec *spec, uint64 now_ms, uint64 stored_ms)
{
	uint32		flat = CK_ITEM_HEADER + spec->metalen + spec->key.len;
	uint64		size = (uint64) flat + spec->vallen;
	CkItem	   *item;

	Assert(spec->key.len <= CK_MAX_KEY_LEN);
	Assert(spec->metalen <= CK_MAX_META_LEN);
	if (spec->vallen > CK_MAX_VALUE_LEN || size > ck_arena_capacity() / 4)
		return NULL;
	item = ck_evict_alloc(size, flat, now_ms, &evict_ops);
	if (item == NULL)
		return NULL;
	ck_item_rewind();
	fill_item(item, spec, stored_ms);
	return item;
}

/*
 * Make an item, to be written and linked.  NULL: as above.
 *
 * It is discarded together with the current resource owner, unless it was
 * linked, discarded or disowned before.  No locks may be held.
 */
CkItem *
ck_table_prepare(const CkItemSpec *spec)
{
	uint64		now_ms = ck_table_ms(ck_clock_now());
	CkItem	   *item;

	ck_pins_reserve();
	item = make_item(spec, now_ms, now_ms);
	if (item != NULL)
		ck_pins_add(item);
	return item;
}

/*
 * Make an item that was stored at another time and has been of use, or not.
 * It belongs to nobody until it is linked: there must be nobody else who uses
 * the memory, and who fails gives it up as a whole.
 */
CkItem *
ck_table_restore(const CkItemSpec *spec, const CkItemInfo *saved, bool in_use)
{
	CkItem	   *item = make_item(spec, ck_table_ms(ck_clock_now()),
								 ck_table_ms(saved->stored_at));

	if (item == NULL)
		return NULL;
	pg_atomic_init_u32(&item->hits, saved->hits);
	if (in_use)
		ck_item_set_state(item, ST_FREQ_MASK, 1U << ST_FREQ_SHIFT);
	return item;
}

/*
 * Times as old as this can be told from now on.  Before anything is stored.
 */
void
ck_table_reach_back(TimestampTz oldest)
{
	ck_table->zero_time = Min(ck_table->zero_time, oldest - ZERO_TIME_BEFORE);
}

/*
 * Leave a prepared item to the caller, who must link or discard it, come what
 * may.
 */
void
ck_table_disown(CkItem *item)
{
	ck_pins_remove(item);
}

/*
 * Drop a prepared item.
 */
void
ck_table_discard(CkItem *item)
{
	Assert(ck_item_queue(item) == CK_QUEUE_NONE);
	ck_pins_remove(item);
	ck_table_unref(item);
}

/*
 * Ask the caller whether the fresh item may take the resident's place.
 */
static bool
ask_replace(const CkItem *resident, const CkItem *fresh,
			CkMayReplace may_replace, void *arg)
{
	CkItemInfo	resident_info;
	CkItemInfo	fresh_info;

	ck_item_info(resident, &resident_info);
	ck_item_info(fresh, &fresh_info);
	return may_replace(&resident_info, ck_item_meta(resident),
					   &fresh_info, ck_item_meta(fresh), arg);
}

/*
 * Put an item into the link that leads to its predecessor, or is the last of
 * its chain.  The predecessor's use counts for the new one.
 */
static void
link_locked(CkSharedShard *shard, CkOff *link, CkItem *item, uint64 hash)
{
	CkItem	   *old = ck_table_follow(*link);
	bool		in_use = ck_item_freq(item) > 0 || (old != NULL && ck_item_worthy(old));

	item->chain = old ? old->chain : CK_OFF_NONE;
	begin_change(shard);
	*link = ck_arena_off(item);
	end_change(shard);
	add_to_gauges(item, 1);
	if (old != NULL)
		add_to_gauges(old, -1);

	ck_arena_lock();
	ck_queue_enter(item, hash, in_use);
	if (old != NULL)
		release_link(old);
	ck_arena_unlock();
}

/*
 * Make a prepared item, written in full, visible in the place of any other
 * with its key.  If there is one that has not expired, and may_replace is not
 * NULL and says no, then the new item is discarded and the answer is false.
 */
bool
ck_table_link(CkItem *item, CkMayReplace may_replace, void *arg)
{
	CkKey		key = key_of_item(item);
	CkSharedShard *shard = ck_table_shard(&key);
	uint64		now_ms = ck_table_ms(ck_clock_now());
	CkOff	   *link;
	CkItem	   *old;

	Assert(ck_item_queue(item) == CK_QUEUE_NONE);
	Assert(ck_item_refs(item) == 1);
	LWLockAcquire(&shard->lock, LW_EXCLUSIVE);
	link = ck_table_find_link(&key);
	old = ck_table_follow(*link);
	if (old != NULL && ck_item_expired(old, now_ms))
		ck_counters_add(old->slot, CK_CTR_EXPIRATIONS, 1);
	else if (old != NULL && may_replace != NULL &&
			 !ask_replace(old, item, may_replace, arg))
	{
		LWLockRelease(&shard->lock);
		ck_table_discard(item);
		return false;
	}
	link_locked(shard, link, item, key.hash);
	LWLockRelease(&shard->lock);

	/* the caller's reference is the link's now */
	ck_pins_remove(item);
	return true;
}

/*---- Removing and changing ----*/

/*
 * Unlink the item of this key if it is there and has expired.
 */
void
ck_table_reap(const CkKey *key, uint64 now_ms)
{
	CkSharedShard *shard = ck_table_shard(key);
	CkOff	   *link;

	LWLockAcquire(&shard->lock, LW_EXCLUSIVE);
	link = ck_table_find_link(key);
	if (*link != CK_OFF_NONE && ck_item_expired(ck_table_follow(*link), now_ms))
		unlink_expired_locked(shard, link);
	LWLockRelease(&shard->lock);
}

/*
 * Remove what a link leads to, if there is anything.  False: there was not, or
 * it had expired anyway.
 */
static bool
remove_locked(CkSharedShard *shard, CkOff *link, uint64 now_ms)
{
	if (*link == CK_OFF_NONE)
		return false;
	if (ck_item_expired(ck_table_follow(*link), now_ms))
	{
		unlink_expired_locked(shard, link);
		return false;
	}
	unlink_locked(shard, link);
	return true;
}

/*
 * Remove the item with this key.  False: there was none.
 */
bool
ck_table_unlink(const CkKey *key)
{
	CkSharedShard *shard = ck_table_shard(key);
	uint64		now_ms = ck_table_ms(ck_clock_now());
	bool		removed;

	LWLockAcquire(&shard->lock, LW_EXCLUSIVE);
	removed = remove_locked(shard, ck_table_find_link(key), now_ms);
	LWLockRelease(&shard->lock);
	return removed;
}

/*
 * Remove this very item, which need not be there any more.  The id is what
 * tells it; it may have moved.
 */
bool
ck_table_unlink_item(const CkKey *key, CkItem *item, uint32 id)
{
	CkSharedShard *shard = ck_table_shard(key);
	uint64		now_ms = ck_table_ms(ck_clock_now());
	bool		removed = false;
	CkOff	   *link;

	LWLockAcquire(&shard->lock, LW_EXCLUSIVE);
	link = ck_table_find_link(key);
	if (*link != CK_OFF_NONE && ck_table_follow(*link)->id == id)
		removed = remove_locked(shard, link, now_ms);
	LWLockRelease(&shard->lock);
	return removed;
}

static void
set_expiry_locked(CkSharedShard *shard, CkItem *item, uint64 expires_ms)
{
	uint64		when = pg_atomic_read_u64(&item->when);
	int			change = (expires_ms != 0) - ((when & WHEN_MS_MASK) != 0);

	begin_change(shard);
	pg_atomic_write_u64(&item->when, (when & ~WHEN_MS_MASK) | expires_ms);
	end_change(shard);
	if (change != 0)
	{
		ck_arena_lock();
		ck_queue_ttl_changed(change);
		ck_arena_unlock();
	}
}

/*
 * Give an item another expiry (0: never), in its place.  False: there is no
 * such item, or it had expired by `now`.
 */
bool
ck_table_touch(const CkKey *key, TimestampTz now, TimestampTz expires_at)
{
	CkSharedShard *shard = ck_table_shard(key);
	uint64		now_ms = ck_table_ms(now);
	CkOff	   *link;
	bool		found = false;

	LWLockAcquire(&shard->lock, LW_EXCLUSIVE);
	link = ck_table_find_link(key);
	if (*link != CK_OFF_NONE)
	{
		if (ck_item_expired(ck_table_follow(*link), now_ms))
			unlink_expired_locked(shard, link);
		else
		{
			set_expiry_locked(shard, ck_table_follow(*link),
							  expires_at == 0 ? 0 : ck_table_ms(expires_at));
			found = true;
		}
	}
	LWLockRelease(&shard->lock);
	return found;
}

static bool
visit_item(const CkItem *item, CkVisit visit, void *arg)
{
	CkItemInfo	info;

	ck_item_info(item, &info);
	return visit(&info, ck_item_key(item), ck_item_meta(item), arg);
}

/*
 * Remove the items that `pred` says true to, and, unasked, those that have
 * expired.  Gives the number of the former.  One shard after the other is
 * locked: what is linked meanwhile is seen or not.
 */
int64
ck_table_unlink_if(CkVisit pred, void *arg)
{
	uint64		now_ms = ck_table_ms(ck_clock_now());
	int64		removed = 0;
	uint32		s;
	uint32		b;

	for (s = 0; s < CK_NUM_SHARDS; s++)
	{
		CkSharedShard *shard = &ck_table->shards[s];

		LWLockAcquire(&shard->lock, LW_EXCLUSIVE);
		for (b = s; b < ck_table->nbuckets; b += CK_NUM_SHARDS)
		{
			CkOff	   *link = &ck_table->buckets[b];

			while (*link != CK_OFF_NONE)
			{
				CkItem	   *item = ck_table_follow(*link);

				if (!ck_item_expired(item, now_ms) &&
					!visit_item(item, pred, arg))
					link = &item->chain;
				else if (remove_locked(shard, link, now_ms))
					removed++;
			}
		}
		LWLockRelease(&shard->lock);
	}
	return removed;
}

/*
 * Visit all items that have not expired, until `visit` says false.  One shard
 * after the other is locked.
 */
void
ck_table_foreach(CkVisit visit, void *arg)
{
	uint64		now_ms = ck_table_ms(ck_clock_now());
	bool		go_on = true;
	uint32		s;
	uint32		b;

	for (s = 0; s < CK_NUM_SHARDS && go_on; s++)
	{
		CkSharedShard *shard = &ck_table->shards[s];

		LWLockAcquire(&shard->lock, LW_SHARED);
		for (b = s; b < ck_table->nbuckets && go_on; b += CK_NUM_SHARDS)
		{
			CkItem	   *item = ck_table_follow(ck_table->buckets[b]);

			for (; item != NULL && go_on; item = ck_table_follow(item->chain))
			{
				if (!ck_item_expired(item, now_ms))
					go_on = visit_item(item, visit, arg);
			}
		}
		LWLockRelease(&shard->lock);
	}
}

typedef struct CkLocalWalk
{
	CkVisitItem visit;
	void	   *arg;
	uint64		now_ms;
} CkLocalWalk;

static bool
walk_item(CkItem *item, void *arg)
{
	CkLocalWalk *walk = arg;
	CkItemInfo	info;

	if (ck_item_expired(item, walk->now_ms))
		return true;
	ck_item_info(item, &info);
	ck_item_rewind();
	return walk->visit(item, &info, ck_item_worthy(item), walk->arg);
}

/*
 * Visit all items that have not expired by `now`, the hottest at the end,
 * until `visit` says false.  No lock is taken: there must be nobody else.
 */
bool
ck_table_walk(CkVisitItem visit, void *arg, TimestampTz now)
{
	CkLocalWalk walk = {visit, arg, ck_table_ms(now)};

	return ck_queue_foreach(walk_item, &walk);
}
