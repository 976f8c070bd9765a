/*-------------------------------------------------------------------------
 *
 * kv_entry.h
 *	  Key/value entries as this transaction sees and makes them.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CK_KV_ENTRY_H
#define CK_KV_ENTRY_H

#include "utils/array.h"
#include "utils/timestamp.h"

#include "kv_value.h"
#include "stamp.h"
#include "table.h"

#define CK_KV_MAX_KEY_LEN	1024	/* bytes */
#define CK_KV_MAX_TAGS		64	/* of one entry */
#define CK_KV_PRINT_CELL	PG_UINT32_MAX	/* "cell" of a type's fingerprint */

/* An entry that was found; ck_kv_close() it. */
typedef struct CkKvEntry
{
	const CkItemInfo *info;
	const CkStamp *stamps;		/* info->metalen bytes of them */
	TimestampTz expires_at;		/* as this transaction sees it; 0: never */
	const char *value;			/* the bytes, or NULL: ask the item */
	CkItem	   *item;
	bool		pinned;
	bool		own;			/* set by this transaction, not published */
	CkItemInfo	room;			/* what info points to, unless small */
} CkKvEntry;

/* Outcome of ck_kv_find(). */
typedef enum CkKvFound
{
	CK_KV_NOT_FOUND,
	CK_KV_FOUND,
	CK_KV_HIDDEN				/* valid for others; this transaction has
								 * invalidated one of its tags.  Closed, but
								 * entry->info can be read */
} CkKvFound;

/* An entry to be stored. */
typedef struct CkKvPut
{
	CkKey		key;
	CkValue    *value;
	TimestampTz expires_at;		/* 0: never */
	bool		expired;		/* its time is over before it begins */
	bool		stale;			/* a tag was invalidated since our snapshot */
	uint32		cost_us;
	int			nstamps;
	uint64		dirty;			/* stamps whose cells we have written */
	CkStamp		stamps[CK_KV_MAX_TAGS + 1];
} CkKvPut;

extern CkKey ck_kv_key(text *key, const char *argument);
extern bool ck_kv_expiry(const Interval *ttl, TimestampTz *expires_at);
extern void ck_kv_put_ttl(CkKvPut *put, const Interval *ttl);
extern void ck_kv_put_tags(CkKvPut *put, ArrayType *tags);

extern bool ck_kv_may_read(void);
extern CkKvFound ck_kv_find(const CkKey *key, CkKvEntry *entry);
extern bool ck_kv_is_null(const CkKvEntry *entry);
extern char *ck_kv_payload(const CkKvEntry *entry);
extern text *ck_kv_text(CkKvEntry *entry);
extern void ck_kv_close(CkKvEntry *entry);
extern void ck_kv_note_hit(const CkKey *key, const CkKvEntry *entry);

extern CkItem *ck_kv_prepare(const CkKvPut *put);
extern bool ck_kv_store(const CkKvPut *put, bool transactional);
extern void ck_kv_remove(const CkKey *key, bool transactional);

#endif							/* CK_KV_ENTRY_H */
