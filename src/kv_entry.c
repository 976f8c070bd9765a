/*-------------------------------------------------------------------------
 *
 * kv_entry.c
 *	  Key/value entries as this transaction sees and makes them.
 *
 * An entry is an item of the table.  Its meta area is an array of stamps: one
 * for each tag, and for a type made by users its fingerprint (see kv_value.c)
 * under a cell number that no cell has.
 *
 * Tags
 *
 * The stamp of a tag says how many invalidations of it had been committed
 * when the entry was made, and the entry is valid as long as that is the
 * count.  "When it was made" means: as the snapshot of the calling statement
 * sees it, for what is stored was computed under that snapshot or a younger
 * one.  If the count is higher by the time of the call, the value may be what
 * the invalidation was meant to remove, and it is not stored.
 *
 * A transaction that has itself invalidated a tag does not see the entries
 * of others with that tag, and leaves them alone, as it may roll back.  What
 * it sets afterwards is valid; see kv_pending.c for how that survives.
 *
 * Locking: none here.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/transam.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/snapmgr.h"

#include "args.h"
#include "cells.h"
#include "clock.h"
#include "counters.h"
#include "guc.h"
#include "kv_entry.h"
#include "kv_pending.h"
#include "segment.h"
#include "xact.h"

#define FLAG_NULL		0x0001	/* of an item: its value is NULL */

#define MAX_TTL			(INT64CONST(30) * 365 * USECS_PER_DAY)

/* Where ck_table_read_small() copies to. */
static CkSmall small;

/*
 * Arguments
 */

/*
 * The table's key of a key given by the user; it points into the text.
 * Raises as above.
 */
CkKey
ck_kv_key(text *key, const char *argument)
{
	ck_args_check_length(key, argument, CK_KV_MAX_KEY_LEN);
	return ck_table_key(CK_KIND_KV, MyDatabaseId, VARDATA_ANY(key),
						VARSIZE_ANY_EXHDR(key));
}

/* The cell of a tag of this database.  The segment must be attached. */
static uint32
tag_cell(text *tag)
{
	ck_args_check_length(tag, "element of tags", CK_MAX_TAG_LEN);
	return ck_cell_of_tag(MyDatabaseId, VARDATA_ANY(tag),
						  VARSIZE_ANY_EXHDR(tag));
}

/*
 * When does something of this time to live, NULL for the default, expire?  A
 * month is 30 days.  What lasts longer than the table can count, some thirty
 * years, lasts for ever.  Returns false when it expires at once.
 */
bool
ck_kv_expiry(const Interval *ttl, TimestampTz *expires_at)
{
	int64		usecs;

	*expires_at = 0;
	if (ttl == NULL)
	{
		if (ck_guc_default_ttl > 0)
			*expires_at = ck_clock_now() + ck_guc_default_ttl * USECS_PER_SEC;
		return true;
	}
	usecs = ck_args_microseconds(ttl);
	if (usecs > MAX_TTL)
		return true;
	*expires_at = ck_clock_now() + usecs;
	return usecs > 0;
}

/* Set the expiry of an entry to be stored. */
void
ck_kv_put_ttl(CkKvPut *put, const Interval *ttl)
{
	put->expired = !ck_kv_expiry(ttl, &put->expires_at);
}

/* The snapshot of the calling statement, widened, if it is of any use. */
static bool
calling_snapshot(CkSnapshot *snap)
{
	return ActiveSnapshotSet() && ck_stamp_snapshot(GetActiveSnapshot(), snap);
}

static void
add_tag(CkKvPut *put, uint32 cell, const CkSnapshot *snap)
{
	CkStamp    *stamp = &put->stamps[put->nstamps];

	for (int i = 0; i < put->nstamps; i++)
		if (put->stamps[i].cell == cell)
			return;
	if (put->nstamps == CK_KV_MAX_TAGS)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("an entry must not have more than %d tags",
						CK_KV_MAX_TAGS)));
	stamp->cell = cell;
	stamp->zero = 0;
	stamp->version = ck_stamp_latest(cell);
	if (snap)
	{
		uint64		seen;

		if (!ck_stamp_version(cell, snap, &seen) || seen != stamp->version)
			put->stale = true;
	}
	if (ck_xact_is_dirty(cell))
		put->dirty |= UINT64CONST(1) << put->nstamps;
	put->nstamps++;
}

/*
 * Set the tags (NULL: none) of an entry to be stored.  The segment must be
 * attached.  Raises 22004 or 22023.
 */
void
ck_kv_put_tags(CkKvPut *put, ArrayType *tags)
{
	CkSnapshot	snap;
	bool		have_snap;
	Datum	   *elems;
	bool	   *nulls;
	int			n;

	put->nstamps = 0;
	put->dirty = 0;
	put->stale = false;
	if (tags == NULL)
		return;
	have_snap = calling_snapshot(&snap);
	deconstruct_array(tags, TEXTOID, -1, false, TYPALIGN_INT, &elems, &nulls, &n);
	for (int i = 0; i < n; i++)
		add_tag(put, tag_cell(nulls[i] ? NULL : DatumGetTextPP(elems[i])),
				have_snap ? &snap : NULL);
}

/*
 * Finding
 */

/* May a read use the cache?  If not, the reason is counted. */
bool
ck_kv_may_read(void)
{
	if (unlikely(!ck_segment_attached()) && !ck_segment_attach())
		return false;
	if (likely(ck_guc_enabled))
		return true;
	ck_count_bypass(CK_BYPASS_DISABLED);
	return false;
}

static bool
print_matches(Oid typid, uint64 print)
{
	uint64		now;

	return ck_value_type_print(typid, &now) && now == print;
}

/*
 * Are the stamps of an entry still true?  For a pending entry of our own,
 * dirty says for which cells our writes came before it.
 */
static CkKvFound
check_stamps(const CkItemInfo *info, const CkStamp *stamps, uint64 dirty)
{
	int			n = info->metalen / sizeof(CkStamp);
	CkKvFound	result = CK_KV_FOUND;

	for (int i = 0; i < n; i++)
	{
		uint32		cell = stamps[i].cell;

		if (cell == CK_KV_PRINT_CELL)
		{
			if (!print_matches(info->typid, stamps[i].version))
				return CK_KV_NOT_FOUND;
			continue;
		}
		if (ck_stamp_latest(cell) != stamps[i].version)
			return CK_KV_NOT_FOUND;
		if (ck_xact_is_dirty(cell) && (dirty & (UINT64CONST(1) << i)) == 0)
			result = CK_KV_HIDDEN;
	}
	return result;
}

static inline bool
is_over(TimestampTz expires_at)
{
	return expires_at != 0 && expires_at <= ck_clock_now();
}

/* Open the pending entry of our own that `view` tells of. */
static CkKvFound
open_own(const CkKvView *view, CkKvEntry *entry)
{
	entry->item = view->item;
	entry->pinned = false;
	entry->own = true;
	entry->value = NULL;
	ck_item_info(view->item, &entry->room);
	entry->info = &entry->room;
	entry->stamps = ck_item_meta(view->item);
	entry->expires_at = view->touched ? view->expires_at : entry->room.expires_at;
	if (is_over(entry->expires_at) ||
		check_stamps(entry->info, entry->stamps, view->dirty) != CK_KV_FOUND)
		return CK_KV_NOT_FOUND;
	return CK_KV_FOUND;
}

/* Get hold of the shared entry of a key, valid or not. */
static bool
open_shared(const CkKey *key, CkKvEntry *entry)
{
	entry->own = false;
	switch (ck_table_read_small(key, 0, &small))
	{
		case CK_READ_HIT:
			entry->info = &small.info;
			entry->stamps = (const CkStamp *) small.data;
			entry->value = small.data + MAXALIGN(small.info.metalen);
			entry->item = small.item;
			entry->pinned = false;
			break;
		case CK_READ_ABSENT:
			return false;
		case CK_READ_USE_PIN:
			entry->item = ck_table_pin(key, 0);
			if (entry->item == NULL)
				return false;
			ck_item_info(entry->item, &entry->room);
			entry->info = &entry->room;
			entry->stamps = ck_item_meta(entry->item);
			entry->value = NULL;
			entry->pinned = true;
			break;
	}
	entry->expires_at = entry->info->expires_at;
	return true;
}

/* Remove a shared entry that is no longer valid for anybody, and close it. */
static void
drop_shared(const CkKey *key, CkKvEntry *entry, CkCounter why)
{
	if (ck_table_unlink_item(key, entry->item, entry->info->id))
		ck_count(why);
	ck_kv_close(entry);
}

/* Is a shared entry that has an expiry or stamps valid?  Closes it if not. */
static CkKvFound
check_shared(const CkKey *key, CkKvEntry *entry)
{
	CkKvFound	found;

	if (is_over(entry->info->expires_at))
	{
		drop_shared(key, entry, CK_CTR_EXPIRATIONS);
		return CK_KV_NOT_FOUND;
	}
	found = check_stamps(entry->info, entry->stamps, 0);
	if (found == CK_KV_NOT_FOUND)
		drop_shared(key, entry, CK_CTR_INVALIDATIONS);
	else if (found == CK_KV_HIDDEN)
		ck_kv_close(entry);
	return found;
}

/*
 * Find the live entry of a key as this transaction sees it.  The segment must
 * be attached.  When CK_KV_FOUND, the entry must be closed, and may be good
 * only until the next call of this function.
 */
CkKvFound
ck_kv_find(const CkKey *key, CkKvEntry *entry)
{
	CkKvView	view;
	CkKvFound	found;

	view.touched = false;
	if (unlikely(ck_kv_npending > 0))
	{
		ck_kv_pending_look(key, &view);
		if (view.sight == CK_KV_ABSENT)
			return CK_KV_NOT_FOUND;
		if (view.sight == CK_KV_OWN)
			return open_own(&view, entry);
	}
	if (!open_shared(key, entry))
		return CK_KV_NOT_FOUND;
	if (entry->info->expires_at != 0 || entry->info->metalen > 0)
	{
		found = check_shared(key, entry);
		if (found != CK_KV_FOUND)
			return found;
	}
	if (view.touched)
	{
		entry->expires_at = view.expires_at;
		if (is_over(view.expires_at))
		{
			ck_kv_close(entry);
			return CK_KV_NOT_FOUND;
		}
	}
	return CK_KV_FOUND;
}

bool
ck_kv_is_null(const CkKvEntry *entry)
{
	return (entry->info->flags & FLAG_NULL) != 0;
}

/* The bytes of the value in a buffer of ck_value_buffer(). */
char *
ck_kv_payload(const CkKvEntry *entry)
{
	uint32		len = entry->info->vallen;
	char	   *payload = ck_value_buffer(len);

	if (entry->value)
		memcpy(payload, entry->value, len);
	else
		ck_item_copy_value(entry->item, 0, payload, len);
	return payload;
}

void
ck_kv_close(CkKvEntry *entry)
{
	if (entry->pinned)
		ck_table_unpin(entry->item);
	entry->pinned = false;
}

/* The value in text form, NULL for a NULL; closes the entry. */
text *
ck_kv_text(CkKvEntry *entry)
{
	Oid			typid = entry->info->typid;
	uint32		len = entry->info->vallen;
	bool		isnull = ck_kv_is_null(entry);
	char	   *payload = isnull ? NULL : ck_kv_payload(entry);

	ck_kv_close(entry);
	return isnull ? NULL : ck_value_to_text(typid, payload, len);
}

/* Count a read that was answered by the entry. */
void
ck_kv_note_hit(const CkKey *key, const CkKvEntry *entry)
{
	ck_count(CK_CTR_HITS);
	if (entry->own)
		return;
	ck_xact_note_hit(key, entry->item, entry->info->id);
	if (entry->info->cost_us > 0)
		ck_counters_add(ck_counters_slot(MyDatabaseId), CK_CTR_TIME_SAVED_US,
						entry->info->cost_us);
}

/*
 * Storing
 */

/* The meta area: the tags, then the type's fingerprint if it has one. */
static uint16
build_meta(const CkKvPut *put, CkStamp *meta)
{
	int			n = put->nstamps;
	uint64		print;

	memcpy(meta, put->stamps, n * sizeof(CkStamp));
	if (!ck_value_type_print(put->value->typid, &print))
		elog(ERROR, "cache lookup failed for type %u", put->value->typid);
	if (put->value->typid >= FirstNormalObjectId)
	{
		meta[n].version = print;
		meta[n].cell = CK_KV_PRINT_CELL;
		meta[n].zero = 0;
		n++;
	}
	return n * sizeof(CkStamp);
}

/*
 * Make an item, not linked, in the current resource owner.  NULL: it is too
 * large, or there is no room; counted.
 */
CkItem *
ck_kv_prepare(const CkKvPut *put)
{
	CkStamp		meta[CK_KV_MAX_TAGS + 1];
	CkItemSpec	spec = {0};
	CkItem	   *item;

	if (put->value->len > (uint64) ck_guc_max_entry_size * 1024)
	{
		ck_count(CK_CTR_OVERSIZE);
		return NULL;
	}
	spec.key = put->key;
	spec.typid = put->value->typid;
	spec.flags = put->value->isnull ? FLAG_NULL : 0;
	spec.metalen = build_meta(put, meta);
	spec.meta = meta;
	spec.vallen = put->value->len;
	spec.expires_at = put->expires_at;
	spec.cost_us = put->cost_us;
	item = ck_table_prepare(&spec);
	if (item == NULL)
		ck_count(CK_CTR_NO_ROOM);
	else if (put->value->len > 0)
		ck_table_write(item, 0, put->value->data, put->value->len);
	return item;
}

/*
 * Pending entries can not be evicted: one transaction may hold back a quarter
 * of the memory, so that the others go on.
 */
static bool
may_hold_back_more(void)
{
	if (ck_kv_pending_bytes() < ck_segment_budget() / 4)
		return true;
	ck_count(CK_CTR_NO_ROOM);
	return false;
}

/*
 * Store an entry, at commit or at once.  Returns false when it is not stored;
 * then there is no entry of that key, not even an old one.
 */
bool
ck_kv_store(const CkKvPut *put, bool transactional)
{
	CkItem	   *item = NULL;

	if (ck_guc_enabled && !put->expired && !put->stale &&
		(!transactional || may_hold_back_more()))
		item = ck_kv_prepare(put);
	if (item == NULL)
	{
		ck_kv_remove(&put->key, transactional);
		return false;
	}
	if (transactional)
		ck_kv_pending_set(&put->key, item, put->dirty);
	else
	{
		ck_kv_pending_settle(&put->key);
		if (!ck_table_link(item, NULL, NULL))
			return false;
		ck_count(CK_CTR_SETS);
	}
	return true;
}

/* Remove the entry of a key, at commit or at once. */
void
ck_kv_remove(const CkKey *key, bool transactional)
{
	if (transactional)
		ck_kv_pending_delete(key);
	else
	{
		ck_kv_pending_settle(key);
		if (ck_table_unlink(key))
			ck_count(CK_CTR_INVALIDATIONS);
	}
}
