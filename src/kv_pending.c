/*-------------------------------------------------------------------------
 *
 * kv_pending.c
 *	  Key/value writes of this transaction that are not published yet.
 *
 * A transactional write is kept in the backend until the transaction ends.
 * Publishing happens after the commit, when nothing may fail any more; so
 * the shared item of a set is prepared and written when cache_set() is
 * called, and only linked at commit.
 *
 * The operations form a stack in order of their subtransaction level.  There
 * is at most one operation for a key at one level: a later one at the same
 * level is laid over it.  The end of a subtransaction pops the operations of
 * its level and drops them, or lays them over those of the level below.  A
 * hash index, chained from the newest operation to the oldest, finds what
 * counts for a key.
 *
 * cache_clear() is one operation under the empty key.  Operations carry a
 * sequence number, and those older than the newest clear are void.
 *
 * add and incr are immediate.  They settle the key first: its pending state
 * is published, and an operation CK_OP_NONE remains, which says that the
 * shared entry counts, and that a pending clear is to spare it.
 *
 * All memory is in TopTransactionContext, which outlives the callbacks.
 * Callbacks allocate nothing.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "utils/memutils.h"

#include "cells.h"
#include "clock.h"
#include "counters.h"
#include "kv_pending.h"
#include "stamp.h"
#include "xact.h"

typedef enum CkOpKind
{
	CK_OP_NONE,					/* the shared entry counts */
	CK_OP_SET,
	CK_OP_DELETE,
	CK_OP_TOUCH,				/* of the shared entry or of an older set */
	CK_OP_CLEAR					/* of all keys; has the empty key */
} CkOpKind;

typedef struct CkOp
{
	CkKey		key;			/* key.data is palloc'd; NULL: the empty key */
	CkOpKind	kind;
	int			nest;
	uint32		seq;
	int			next;			/* older operation in the bucket, or -1 */
	bool		touched;		/* expires_at is not the item's own */
	TimestampTz expires_at;
	CkItem	   *item;			/* SET: prepared, written, disowned */
	uint64		dirty;			/* SET: stamps whose cells we had written */
} CkOp;

int			ck_kv_npending = 0; /* operations on the stack */
static uint64 pending_bytes = 0;	/* of their items */

static CkOp *ops = NULL;
static int	max_ops = 0;
static int *buckets = NULL;		/* 2 * max_ops heads of chains, -1: empty */
static uint32 next_seq = 1;
static uint32 clear_seq = 0;	/* of the newest clear; 0: none */

static const CkKey empty_key = {CK_KIND_KV, InvalidOid, NULL, 0, 0};

static const CkXactHooks hooks;

/*
 * The stack and its index
 */

static inline int *
bucket_of(uint64 hash)
{
	return &buckets[hash & (2 * max_ops - 1)];
}

/* The newest operation on a key from index i of a chain on, or NULL. */
static CkOp *
find_from(int i, const CkKey *key)
{
	for (; i >= 0; i = ops[i].next)
	{
		CkOp	   *op = &ops[i];

		if (op->key.hash == key->hash && op->key.len == key->len &&
			memcmp(op->key.data, key->data, key->len) == 0)
			return op;
	}
	return NULL;
}

static CkOp *
find(const CkKey *key)
{
	return ck_kv_npending == 0 ? NULL : find_from(*bucket_of(key->hash), key);
}

/* Put ops[i] at the head of its chain; all older ones are in it. */
static void
index_op(int i)
{
	int		   *head = bucket_of(ops[i].key.hash);

	ops[i].next = *head;
	*head = i;
}

static void
index_all(void)
{
	memset(buckets, 0xff, 2 * max_ops * sizeof(int));
	for (int i = 0; i < ck_kv_npending; i++)
		index_op(i);
}

/*
 * Make sure that one more operation fits, so that what follows can not fail.
 */
static void
reserve(void)
{
	int			n = Max(16, 2 * max_ops);
	int		   *new_buckets;

	if (ck_kv_npending < max_ops)
		return;
	new_buckets = MemoryContextAllocHuge(TopTransactionContext,
										 2 * (Size) n * sizeof(int));
	if (ops == NULL)
		ops = MemoryContextAlloc(TopTransactionContext, n * sizeof(CkOp));
	else
	{
		ops = repalloc_huge(ops, (Size) n * sizeof(CkOp));
		pfree(buckets);
	}
	max_ops = n;
	buckets = new_buckets;
	index_all();
}

/* Bytes of shared memory that this transaction's writes hold back. */
uint64
ck_kv_pending_bytes(void)
{
	return pending_bytes;
}

static void
count_bytes(CkItem *item, int sign)
{
	CkItemInfo	info;

	ck_item_info(item, &info);
	pending_bytes += sign * (int64) info.size;
}

/* Nothing is pending any more; the memory goes with its context. */
static void
forget_all(void)
{
	ops = NULL;
	buckets = NULL;
	max_ops = 0;
	ck_kv_npending = 0;
	pending_bytes = 0;
	next_seq = 1;
	clear_seq = 0;
}

static void
refresh_clear_seq(void)
{
	CkOp	   *op = find(&empty_key);

	clear_seq = op ? op->seq : 0;
}

static void
drop_item(CkOp *op)
{
	if (op->item)
	{
		count_bytes(op->item, -1);
		ck_table_discard(op->item);
	}
	op->item = NULL;
}

/* Lay a newer operation over an older one on the same key. */
static void
lay_over(CkOp *old, CkOp *newer)
{
	old->seq = newer->seq;
	if (newer->kind == CK_OP_TOUCH)
	{
		if (old->kind != CK_OP_SET)
			old->kind = CK_OP_TOUCH;
		old->touched = true;
		old->expires_at = newer->expires_at;
		return;
	}
	drop_item(old);
	old->kind = newer->kind;
	old->touched = newer->touched;
	old->expires_at = newer->expires_at;
	old->item = newer->item;
	old->dirty = newer->dirty;
}

/* Take the top of the stack off, without freeing what it points to. */
static CkOp
pop(void)
{
	CkOp		op = ops[--ck_kv_npending];

	Assert(*bucket_of(op.key.hash) == ck_kv_npending);
	*bucket_of(op.key.hash) = op.next;
	return op;
}

static void
free_key(CkOp *op)
{
	if (op->key.data)
		pfree((void *) op->key.data);
}

/*
 * Note an operation at the current level.  Raises only for lack of memory,
 * and then before anything has changed: an item becomes ours (it is taken
 * off its resource owner) as the very last thing.
 */
static void
note(const CkKey *key, CkOpKind kind, TimestampTz expires_at, CkItem *item,
	 uint64 dirty)
{
	int			nest = GetCurrentTransactionNestLevel();
	CkOp	   *old = find(key);
	CkOp		op = {.key = *key,.kind = kind,.nest = nest};

	/* first of all, as reserve() leaves something behind */
	if (ck_xact_join(&hooks))
		Assert(ops == NULL && ck_kv_npending == 0 && clear_seq == 0);
	op.touched = (kind == CK_OP_TOUCH);
	op.expires_at = expires_at;
	op.item = item;
	op.dirty = dirty;
	if (old == NULL || old->nest != nest)
	{
		reserve();
		if (key->len > 0)
			op.key.data = memcpy(MemoryContextAlloc(TopTransactionContext,
													key->len),
								 key->data, key->len);
		old = NULL;
	}
	op.seq = next_seq++;
	if (item)
	{
		count_bytes(item, 1);
		ck_table_disown(item);
	}

	if (old)
		lay_over(old, &op);
	else
	{
		ops[ck_kv_npending] = op;
		index_op(ck_kv_npending++);
	}
	if (kind == CK_OP_CLEAR)
		clear_seq = op.seq;
}

/*
 * What this transaction sees
 */

/* What this transaction sees of a key. */
void
ck_kv_pending_look(const CkKey *key, CkKvView *view)
{
	CkOp	   *op = find(key);

	view->sight = (clear_seq != 0 && op == NULL) ? CK_KV_ABSENT : CK_KV_SHARED;
	view->touched = false;
	for (; op != NULL; op = find_from(op->next, key))
	{
		if (op->seq < clear_seq)
		{
			view->sight = CK_KV_ABSENT;
			return;
		}
		if (op->touched && !view->touched)
		{
			view->touched = true;
			view->expires_at = op->expires_at;
		}
		if (op->kind == CK_OP_TOUCH)
			continue;
		if (op->kind == CK_OP_SET)
		{
			view->sight = CK_KV_OWN;
			view->item = op->item;
			view->dirty = op->dirty;
		}
		else if (op->kind == CK_OP_DELETE)
			view->sight = CK_KV_ABSENT;
		return;
	}
}

/* The operation counts: newer than all others on its key and any clear. */
static bool
is_effective(CkOp *op)
{
	return op->kind != CK_OP_CLEAR && op->seq > clear_seq &&
		find(&op->key) == op;
}

/* When does the pending entry that this transaction sees expire?  0: never */
static TimestampTz
expiry_of(const CkKvView *view)
{
	CkItemInfo	info;

	if (view->touched)
		return view->expires_at;
	ck_item_info(view->item, &info);
	return info.expires_at;
}

/* Number of entries set by this transaction that have not expired. */
int64
ck_kv_pending_count_own(TimestampTz now)
{
	int64		count = 0;

	for (int i = 0; i < ck_kv_npending; i++)
	{
		CkKvView	view;
		TimestampTz expires_at;

		if (!is_effective(&ops[i]))
			continue;
		ck_kv_pending_look(&ops[i].key, &view);
		if (view.sight != CK_KV_OWN)
			continue;
		expires_at = expiry_of(&view);
		if (expires_at == 0 || expires_at > now)
			count++;
	}
	return count;
}

/*
 * Writes
 */

/*
 * A set: item has been prepared in the current resource owner and written,
 * and belongs to this module from here on.  dirty has a bit for each stamp of
 * its meta area whose cell this transaction has written to.
 */
void
ck_kv_pending_set(const CkKey *key, CkItem *item, uint64 dirty)
{
	note(key, CK_OP_SET, 0, item, dirty);
}

/* A delete, also of a key that does not exist now: it may at commit. */
void
ck_kv_pending_delete(const CkKey *key)
{
	note(key, CK_OP_DELETE, 0, NULL, 0);
}

/* A new expiry (0: never) for an entry that this transaction sees. */
void
ck_kv_pending_touch(const CkKey *key, TimestampTz expires_at)
{
	note(key, CK_OP_TOUCH, expires_at, NULL, 0);
}

/* All entries of this database go at commit. */
void
ck_kv_pending_clear(void)
{
	note(&empty_key, CK_OP_CLEAR, 0, NULL, 0);
}

static bool
item_has_stamp(CkItem *item, uint32 cell)
{
	const CkStamp *stamps = ck_item_meta(item);
	CkItemInfo	info;

	ck_item_info(item, &info);
	for (int i = 0; i < info.metalen / (int) sizeof(CkStamp); i++)
		if (stamps[i].cell == cell)
			return true;
	return false;
}

/*
 * This transaction invalidates a tag: what it has set with that tag before is
 * gone.  To be called whenever the cell of a tag is marked.
 */
void
ck_kv_pending_invalidate(uint32 cell)
{
	int			n = ck_kv_npending;

	for (int i = 0; i < n; i++)
	{
		CkKvView	view;
		CkKey		key = ops[i].key;

		if (!is_effective(&ops[i]))
			continue;
		ck_kv_pending_look(&key, &view);
		if (view.sight == CK_KV_OWN && item_has_stamp(view.item, cell))
			ck_kv_pending_delete(&key);
	}
}

/*
 * Publishing
 */

/*
 * Stamps of cells that this transaction had written to before the set: its
 * own commit has moved them on by one.  If they moved further, somebody else
 * invalidated the entry meanwhile, and it is left to be found stale.
 */
static void
restamp(CkItem *item, uint64 dirty)
{
	CkStamp    *stamps = (CkStamp *) ck_item_meta(item);

	if (!TransactionIdIsValid(GetTopTransactionIdIfAny()))
		return;					/* nothing was recorded */
	for (int i = 0; dirty != 0; i++, dirty >>= 1)
	{
		CkCell		copy;

		if ((dirty & 1) == 0)
			continue;
		ck_cells_copy(stamps[i].cell, &copy);
		if (copy.version == stamps[i].version + 1)
			stamps[i].version = copy.version;
	}
}

static void
publish_set(CkOp *op, bool committed)
{
	CkItem	   *item = op->item;

	op->item = NULL;
	if (committed && op->dirty != 0)
		restamp(item, op->dirty);
	count_bytes(item, -1);
	if (ck_table_link(item, NULL, NULL))
		ck_count(CK_CTR_SETS);
}

/* Apply what the transaction sees of the key of its newest operation. */
static void
publish(CkOp *op, bool committed)
{
	if (op->kind == CK_OP_SET)
		publish_set(op, committed);
	else if (op->kind == CK_OP_DELETE && ck_table_unlink(&op->key))
		ck_count(CK_CTR_INVALIDATIONS);
	if (op->touched)
		(void) ck_table_touch(&op->key, ck_clock_now(), op->expires_at);
}

/* Does the pending clear take this entry?  CkVisit, under a shard's lock. */
static bool
is_cleared(const CkItemInfo *info, const void *key, const void *meta, void *arg)
{
	CkKey		k;
	CkOp	   *op;

	if (info->kind != CK_KIND_KV || info->dbid != MyDatabaseId)
		return false;
	if (ck_kv_npending == 1)
		return true;
	k = ck_table_key(CK_KIND_KV, MyDatabaseId, key, info->keylen);
	op = find(&k);
	return op == NULL || op->seq < clear_seq;
}

static void
publish_clear(void)
{
	int64		n = ck_table_unlink_if(is_cleared, NULL);

	ck_counters_add(ck_counters_slot(MyDatabaseId), CK_CTR_INVALIDATIONS, n);
}

/* The transaction has committed: CkXactHooks.commit.  Must not fail. */
static void
at_commit(void)
{
	if (clear_seq != 0)
		publish_clear();
	for (int i = 0; i < ck_kv_npending; i++)
	{
		if (is_effective(&ops[i]))
			publish(&ops[i], true);
		else
			drop_item(&ops[i]);
	}
}

/*
 * Take the item that the transaction sees off the operation that holds it.
 */
static CkItem *
take_item(const CkKey *key, CkItem *item)
{
	CkOp	   *op = find(key);

	while (op->item != item)
		op = find_from(op->next, key);
	op->item = NULL;
	return item;
}

/*
 * From here on the shared entry of this key counts, and pending clears spare
 * it.  Raises only for lack of memory, before anything has changed.
 */
static void
set_aside(const CkKey *key)
{
	CkOp	   *op = find(key);

	if (op == NULL)
		note(key, CK_OP_NONE, 0, NULL, 0);
	for (; op != NULL; op = find_from(op->next, key))
	{
		drop_item(op);
		op->kind = CK_OP_NONE;
		op->touched = false;
		op->seq = next_seq++;
	}
}

/*
 * Publish what is pending for a key now, for an immediate write that follows.
 * A later rollback does not undo it.
 */
void
ck_kv_pending_settle(const CkKey *key)
{
	CkOp		seen = {.key = *key,.kind = CK_OP_NONE};
	CkKvView	view;

	if (ck_kv_npending == 0)
		return;
	ck_kv_pending_look(key, &view);
	if (view.sight == CK_KV_SHARED && !view.touched)
		return;
	if (view.sight == CK_KV_OWN)
	{
		seen.kind = CK_OP_SET;
		seen.item = take_item(key, view.item);
	}
	else if (view.sight == CK_KV_ABSENT)
		seen.kind = CK_OP_DELETE;
	seen.touched = view.touched && view.sight != CK_KV_ABSENT;
	seen.expires_at = view.expires_at;
	set_aside(key);
	publish(&seen, false);
}

/*
 * Ends of transactions: see xact.h for when they are called
 */

/* Also if nothing is pending: the stack's memory may be there, and goes. */
static void
at_end(void)
{
	for (int i = 0; i < ck_kv_npending; i++)
		drop_item(&ops[i]);
	forget_all();
}

/* A pending set is memory of this backend, and would not survive it. */
static void
may_prepare(void)
{
	for (int i = 0; i < ck_kv_npending; i++)
		if (ops[i].kind != CK_OP_NONE)
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("cannot PREPARE a transaction that has written key/value entries"),
					 errhint("Set cachekit.kv_transactional to off before the writes, or commit without PREPARE.")));
	forget_all();
}

/* The operations of a subtransaction become its parent's. */
static void
at_sub_commit(int nest)
{
	int			n = ck_kv_npending;
	int			first = n;

	while (first > 0 && ops[first - 1].nest >= nest)
	{
		(void) pop();
		first--;
	}
	for (int i = first; i < n; i++)
	{
		CkOp		op = ops[i];
		CkOp	   *old = find(&op.key);

		op.nest = nest - 1;
		if (old != NULL && old->nest == nest - 1)
		{
			lay_over(old, &op);
			free_key(&op);
			continue;
		}
		ops[ck_kv_npending] = op;
		index_op(ck_kv_npending++);
	}
	refresh_clear_seq();
}

static void
at_sub_abort(int nest)
{
	while (ck_kv_npending > 0 && ops[ck_kv_npending - 1].nest >= nest)
	{
		CkOp		op = pop();

		drop_item(&op);
		free_key(&op);
	}
	refresh_clear_seq();
}

static const CkXactHooks hooks = {
	.commit = at_commit,
	.may_prepare = may_prepare,
	.end = at_end,
	.sub_commit = at_sub_commit,
	.sub_abort = at_sub_abort
};
