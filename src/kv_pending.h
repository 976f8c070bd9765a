/*-------------------------------------------------------------------------
 *
 * kv_pending.h
 *	  Key/value writes of this transaction that are not published yet.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CK_KV_PENDING_H
#define CK_KV_PENDING_H

#include "table.h"

/* What this transaction sees of a key. */
typedef enum CkKvSight
{
	CK_KV_SHARED,				/* what everybody sees */
	CK_KV_ABSENT,				/* deleted or cleared here */
	CK_KV_OWN					/* set here: item */
} CkKvSight;

typedef struct CkKvView
{
	CkKvSight	sight;
	bool		touched;		/* expires_at holds, for SHARED and OWN */
	TimestampTz expires_at;
	CkItem	   *item;			/* OWN: not linked yet */
	uint64		dirty;			/* OWN: stamps whose cells we had written */
} CkKvView;

extern int	ck_kv_npending;

extern void ck_kv_pending_look(const CkKey *key, CkKvView *view);
extern void ck_kv_pending_set(const CkKey *key, CkItem *item, uint64 dirty);
extern void ck_kv_pending_delete(const CkKey *key);
extern void ck_kv_pending_touch(const CkKey *key, TimestampTz expires_at);
extern void ck_kv_pending_clear(void);
extern void ck_kv_pending_settle(const CkKey *key);
extern void ck_kv_pending_invalidate(uint32 cell);
extern uint64 ck_kv_pending_bytes(void);
extern int64 ck_kv_pending_count_own(TimestampTz now);

#endif							/* CK_KV_PENDING_H */
