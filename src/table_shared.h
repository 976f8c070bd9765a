/*-------------------------------------------------------------------------
 *
 * table_shared.h
 *	  The table's structures in shared memory; for table*.c, item.c and pins.c.
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

static inline uint32
ck_table_bucket_of_hash(uint64 hash)
{
	return (uint32) hash & (ck_table->nbuckets - 1);
}

static inline CkSharedShard *
ck_table_shard_of_bucket(uint32 bucket)
{
	return &ck_table->shards[bucket % CK_NUM_SHARDS];
}

static inline CkSharedShard *
ck_table_shard(const CkKey *key)
{
	return ck_table_shard_of_bucket(ck_table_bucket_of_hash(key->hash));
}

/*
 * The item that a link leads to, or NULL.
 */
static inline CkItem *
ck_table_follow(CkOff off)
{
	return off == CK_OFF_NONE ? NULL : ck_arena_ptr(off);
}

/* in table.c */
extern uint64 ck_table_ms(TimestampTz t);
extern TimestampTz ck_table_time(uint64 ms);
extern uint32 ck_table_bucket(const CkItem *item);
extern CkOff *ck_table_find_link(const CkKey *key);
extern void ck_table_unref(CkItem *item);
extern void ck_table_reap(const CkKey *key, uint64 now_ms);

/* in tableread.c */
extern void ck_table_forget_hits(void);

/* in pins.c */
extern void ck_pins_reserve(void);
extern void ck_pins_add(CkItem *item);
extern void ck_pins_remove(CkItem *item);

#endif							/* CK_TABLE_SHARED_H */
