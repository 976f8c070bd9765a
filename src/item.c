/*-------------------------------------------------------------------------
 *
 * item.c
 *	  Reading an item that one has pinned, writing one that one has prepared.
 *
 * Locking: none.  A pinned item can not go away, and its contents never
 * change; the fields that do, expiry and hits, are read atomically.  A
 * prepared item is seen by nobody else.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "table_shared.h"

/*
 * Where in an item's value the last access ended: values are read and written
 * from start to end, in chunks, and there may be thousands of pieces.
 */
typedef struct CkLocalCursor
{
	const CkItem *item;
	uint32		id;				/* of the item: its memory may be another's now */
	CkOff		piece;
	uint32		start;			/* offset in the value of the piece's first
								 * byte */
} CkLocalCursor;

/*---- Local variables ----*/
static CkLocalCursor value_cursor;

/*
 * Describe an item that is pinned, prepared, or locked by its shard's lock.
 */
void
ck_item_info(const CkItem *item, CkItemInfo *info)
{
	CkItem	   *it = unconstify(CkItem *, item);
	uint64		when = pg_atomic_read_u64(&it->when);

	info->kind = item->kind;
	info->dbid = item->dbid;
	info->typid = item->typid;
	info->flags = (uint16) (when >> WHEN_FLAGS_SHIFT);
	info->keylen = item->keylen;
	info->metalen = item->metalen;
	info->vallen = item->vallen;
	info->size = ck_item_size(item);
	info->cost_us = item->cost_us;
	info->hits = pg_atomic_read_u32(&it->hits);
	info->id = item->id;
	info->stored_at = ck_table_time((when >> WHEN_STORED_SHIFT) << 32 |
									item->stored_low);
	info->expires_at = (when & WHEN_MS_MASK) == 0 ? 0 :
		ck_table_time(when & WHEN_MS_MASK);
}

/*
 * The key's bytes; not aligned.
 */
const void *
ck_item_key(const CkItem *item)
{
	return (const char *) item + CK_ITEM_HEADER + item->metalen;
}

/*
 * The meta area; aligned to eight bytes.
 */
const void *
ck_item_meta(const CkItem *item)
{
	return (const char *) item + CK_ITEM_HEADER;
}

/*
 * Forget the cursor.  To be called whenever a reference is taken: the pieces
 * of an item that nobody held may have moved.
 */
void
ck_item_rewind(void)
{
	value_cursor.item = NULL;
}

/*
 * Copy a piece of an item to another slot of the same class, and let the
 * item's other pieces know.  The caller holds the arena lock and the item's
 * shard lock exclusively, nobody has a reference to the item, and lock-free
 * readers are being told.  Links from outside of the item are the caller's.
 */
void
ck_item_move_piece(CkItem *item, CkOff from, CkOff to)
{
	CkPiece    *piece = &item->piece;
	CkOff		head = ck_arena_off(item);

	Assert(ck_arena_class_of(from) == ck_arena_class_of(to));
	memcpy(ck_arena_ptr(to), ck_arena_ptr(from),
		   ck_arena_slot_size(ck_arena_class_of(from)));
	if (from == head)
	{
		CkOff		off = to;

		for (; off != CK_OFF_NONE; off = piece->next)
		{
			piece = ck_arena_ptr(off);
			piece->owner = to;
		}
		return;
	}
	while (piece->next != from)
	{
		Assert(piece->next != CK_OFF_NONE);
		piece = ck_arena_ptr(piece->next);
	}
	piece->next = to;
}

/*
 * The part of the value at `offset` that is in one piece; *len is how long it
 * is, at most.
 */
static char *
seek_value(const CkItem *item, uint32 offset, uint32 *len)
{
	CkLocalCursor *c = &value_cursor;

	if (c->item != item || c->id != item->id || offset < c->start)
	{
		c->item = item;
		c->id = item->id;
		c->piece = ck_arena_off(item);
		c->start = 0;
	}
	for (;;)
	{
		CkPiece    *piece = ck_arena_ptr(c->piece);
		uint32		header = c->piece == ck_arena_off(item) ?
			ck_item_flat(item) : sizeof(CkPiece);
		uint32		room;

		Assert(piece->owner == ck_arena_off(item));
		room = ck_arena_slot_size(ck_arena_class_of(c->piece)) - header;
		if (offset < c->start + room)
		{
			*len = c->start + room - offset;
			return (char *) piece + header + (offset - c->start);
		}
		Assert(piece->next != CK_OFF_NONE);
		c->start += room;
		c->piece = piece->next;
	}
}

/*
 * Write a part of the value of a prepared item.
 */
void
ck_table_write(CkItem *item, uint32 offset, const void *data, uint32 len)
{
	const char *src = data;

	Assert((uint64) offset + len <= item->vallen);
	while (len > 0)
	{
		uint32		n;
		char	   *dst = seek_value(item, offset, &n);

		n = Min(n, len);
		memcpy(dst, src, n);
		src += n;
		offset += n;
		len -= n;
	}
}

/*
 * Copy a part of the value of a pinned item.
 */
void
ck_item_copy_value(const CkItem *item, uint32 offset, void *dst, uint32 len)
{
	char	   *to = dst;

	Assert((uint64) offset + len <= item->vallen);
	while (len > 0)
	{
		uint32		n;
		char	   *src = seek_value(item, offset, &n);

		n = Min(n, len);
		memcpy(to, src, n);
		to += n;
		offset += n;
		len -= n;
	}
}
