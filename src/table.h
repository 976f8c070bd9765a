/*-------------------------------------------------------------------------
 *
 * table.h
 *	  The shared hash table of cache entries ("items").
 *
 * An item is a header, a key, an opaque "meta" area (the dependency stamps
 * of a query result, the tag stamps of a KV value) and a value, possibly in
 * several pieces.  All but the bookkeeping fields are immutable once the
 * item is linked: whoever changes a value links a new item in its place.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CK_TABLE_H
#define CK_TABLE_H

#include "datatype/timestamp.h"

typedef enum CkKind
{
	CK_KIND_KV = 1,
	CK_KIND_QUERY = 2
} CkKind;

#define CK_MAX_KEY_LEN	1280	/* bytes; SQL keys are at most 1024 */
#define CK_MAX_META_LEN	2048	/* bytes */
#define CK_SMALL_MAX	2000	/* bytes of meta + value that
								 * ck_table_read_small() can copy */

/* What identifies an item.  hash is filled by ck_table_key(). */
typedef struct CkKey
{
	CkKind		kind;
	Oid			dbid;
	const void *data;
	uint16		len;
	uint64		hash;
} CkKey;

/* What a caller says of an item it wants to store. */
typedef struct CkItemSpec
{
	CkKey		key;
	Oid			typid;			/* KV: type of the value; QUERY: 0 */
	uint16		flags;			/* the caller's; given back by CkItemInfo */
	const void *meta;
	uint16		metalen;
	uint32		vallen;
	TimestampTz expires_at;		/* 0: never */
	uint32		cost_us;		/* what a miss costs, for eviction */
} CkItemSpec;

/* What a reader is told of an item. */
typedef struct CkItemInfo
{
	CkKind		kind;
	Oid			dbid;
	Oid			typid;
	uint16		flags;
	uint16		keylen;
	uint16		metalen;
	uint32		vallen;
	uint32		size;			/* bytes asked of the arena, header included */
	uint32		cost_us;
	uint32		hits;
	uint32		id;				/* differs for each item ever made (mod 2^32) */
	TimestampTz stored_at;
	TimestampTz expires_at;
} CkItemInfo;

typedef struct CkItem CkItem;	/* opaque, in shared memory */

/* Result of ck_table_read_small(). */
typedef enum CkReadResult
{
	CK_READ_ABSENT,
	CK_READ_HIT,
	CK_READ_USE_PIN				/* too large, or too busy: take the pin path */
} CkReadResult;

typedef struct CkSmall
{
	CkItemInfo	info;
	CkItem	   *item;			/* for ck_table_note_hit() and
								 * ck_table_unlink_item() only: not pinned */
	/* meta first, then value at data + MAXALIGN(info.metalen) */
	char		data[CK_SMALL_MAX + 16] pg_attribute_aligned(8);
} CkSmall;

/*
 * May `fresh` take the place of `resident`?  Called with the shard lock held
 * exclusively: no allocation, no errors, no other locks.  Meta areas are
 * passed as flat bytes (an item's meta area is never split over pieces).
 */
typedef bool (*CkMayReplace) (const CkItemInfo *resident, const void *resident_meta,
							  const CkItemInfo *fresh, const void *fresh_meta,
							  void *arg);

/*
 * Visit an item under the shard's lock: same restrictions.  key is flat too.
 * True means "remove it" to ck_table_unlink_if(), "go on" to
 * ck_table_foreach().
 */
typedef bool (*CkVisit) (const CkItemInfo *info, const void *key, const void *meta,
						 void *arg);

extern Size ck_table_size(Size budget);
extern void ck_table_init(void *ptr, Size size, Size budget);
extern void ck_table_attach(void *ptr, Size size);

extern CkKey ck_table_key(CkKind kind, Oid dbid, const void *data, uint16 len);

/* Storing: prepare, write, then link or discard. */
extern CkItem *ck_table_prepare(const CkItemSpec *spec);
extern void ck_table_write(CkItem *item, uint32 offset, const void *data, uint32 len);
extern bool ck_table_link(CkItem *item, CkMayReplace may_replace, void *arg);
extern void ck_table_discard(CkItem *item);
extern void ck_table_disown(CkItem *item);

/* Reading. */
extern CkReadResult ck_table_read_small(const CkKey *key, TimestampTz now, CkSmall *out);
extern CkItem *ck_table_pin(const CkKey *key, TimestampTz now);
extern void ck_table_unpin(CkItem *item);
extern void ck_item_info(const CkItem *item, CkItemInfo *info);
extern const void *ck_item_key(const CkItem *item);
extern const void *ck_item_meta(const CkItem *item);
extern void ck_item_copy_value(const CkItem *item, uint32 offset, void *dst, uint32 len);
extern void ck_table_note_hit(const CkKey *key, CkItem *item, uint32 id);
extern void ck_table_flush_hits(void);

/* Removing and changing. */
extern bool ck_table_unlink(const CkKey *key);
extern bool ck_table_unlink_item(const CkKey *key, CkItem *item, uint32 id);
extern bool ck_table_touch(const CkKey *key, TimestampTz now, TimestampTz expires_at);
extern int64 ck_table_unlink_if(CkVisit pred, void *arg);

/* Across a restart, while nobody else has the memory. */
typedef bool (*CkVisitItem) (CkItem *item, const CkItemInfo *info, bool in_use, void *arg);
extern bool ck_table_walk(CkVisitItem visit, void *arg, TimestampTz now);
extern void ck_table_reach_back(TimestampTz oldest);
extern CkItem *ck_table_restore(const CkItemSpec *spec, const CkItemInfo *saved, bool in_use);

/* Watching. */
extern void ck_table_foreach(CkVisit visit, void *arg);
typedef void (*CkReport) (const char *problem, void *arg);
extern void ck_table_check(CkReport report, void *arg);

#endif							/* CK_TABLE_H */
