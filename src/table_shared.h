/*-------------------------------------------------------------------------
 *
 * table_shared.h
 *	  The table's structures in shared memory; for table*.c and pins.c only.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CK_TABLE_SHARED_H
#define CK_TABLE_SHARED_H

#include "item.h"

#define CK_NUM_SHARDS	128		/* with the arena's, below MAX_SIMUL_LWLOCKS */

/* A shard is the buckets whose number is its own, modulo CK_NUM_SHARDS. */
typedef struct CkSharedShard
{
	LWLock		lock;
	char		pad1[PG_CACHE_LINE_SIZE - sizeof(LWLock)];

	/* odd while a holder of the exclusive lock changes chains or expiry */
	pg_atomic_uint32 seq;
	char		pad2[PG_CACHE_LINE_SIZE - sizeof(pg_atomic_uint32)];
} CkSharedShard;

typedef struct CkSharedTable
{
	/* never change */
	uint32		magic;
	uint32		nbuckets;		/* a power of two */
	TimestampTz zero_time;		/* what milliseconds count from */
	Size		evict_offset;	/* bytes from the start of this struct */
	Size		arena_offset;
	char		pad1[PG_CACHE_LINE_SIZE - 32];

	pg_atomic_uint32 next_id;
	char		pad2[PG_CACHE_LINE_SIZE - sizeof(pg_atomic_uint32)];

	CkSharedShard shards[CK_NUM_SHARDS];
	CkOff		buckets[FLEXIBLE_ARRAY_MEMBER]; /* as CkItem.chain */
} CkSharedTable;

extern CkSharedTable *ck_table;	/* NULL: not attached */

/* in table.c */
extern uint64 ck_table_ms(TimestampTz t);
extern TimestampTz ck_table_time(uint64 ms);
extern uint32 ck_table_bucket(const CkItem *item);
extern void ck_table_unref(CkItem *item);

/* in pins.c */
extern void ck_pins_reserve(void);
extern void ck_pins_add(CkItem *item);
extern void ck_pins_remove(CkItem *item);

#endif							/* CK_TABLE_SHARED_H */
