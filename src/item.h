/*-------------------------------------------------------------------------
 *
 * item.h
 *	  Layout of an item in shared memory; for table.c and those around it.
 *
 * The header is 64 bytes, one cache line, because there is one for each small
 * value.  It is followed, in the same piece, by the meta area and the key; the
 * value begins there and goes on in further pieces, if any.
 *
 *		+--------+------+-----+-------     +-------+-----     +-------+--
 *		| CkItem | meta | key | value -->  | piece | ... -->  | piece |
 *		+--------+------+-----+-------     +-------+-----     +-------+--
 *
 * Times are kept in milliseconds since the table was made, more or less (see
 * ck_table_ms()), in 40 bits, which is 34 years.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CK_ITEM_H
#define CK_ITEM_H

#include "port/atomics.h"

#include "arena.h"
#include "table.h"

struct CkItem
{
	/* under the arena lock; owner is the item itself */
	CkPiece		piece;

	/* under the shard lock, exclusively; lock-free readers check seq */
	CkOff		chain;

	/* under the arena lock */
	CkOff		newer;			/* neighbours in the queue */
	CkOff		older;

	pg_atomic_uint32 state;		/* see below */

	/* never change once the item is linked */
	uint32		id;
	Oid			dbid;
	Oid			typid;
	uint32		cost_us;

	pg_atomic_uint32 hits;		/* approximate */

	/* never change once the item is linked */
	uint32		stored_low;		/* ms, the lower 32 bits */
	uint64		vallen:30,
				keylen:11,
				metalen:12,
				kind:2,
				slot:8;			/* in counters.c */

	/* changes under the shard lock, exclusively: see WHEN_... below */
	pg_atomic_uint64 when;
};

#define CK_ITEM_HEADER	sizeof(CkItem)
#define CK_MAX_VALUE_LEN ((1U << 30) - 1)

/*
 * The state of an item.  References may be added under the shard lock in any
 * mode, and dropped without; the link counts as one.  FREQ is raised under the
 * shard lock in any mode, and lowered under the arena lock; the other bits
 * change under the arena lock.  As these are bits of one word, every change is
 * a compare-and-exchange or an addition.
 */
#define ST_REFS_MASK	0x00003fffU
#define ST_FREQ_SHIFT	14		/* hits since the queue last looked: 0..3 */
#define ST_FREQ_MASK	(3U << ST_FREQ_SHIFT)
#define ST_SPARED_SHIFT 16		/* rounds survived for its cost: 0..3 */
#define ST_SPARED_MASK	(3U << ST_SPARED_SHIFT)
#define ST_QUEUE_SHIFT	18		/* CkQueueKind */
#define ST_QUEUE_MASK	(3U << ST_QUEUE_SHIFT)
#define ST_STAMP_SHIFT	20		/* when it entered its queue: epoch, mod 4096 */
#define ST_STAMP_BITS	12
#define ST_STAMP_MASK	(((1U << ST_STAMP_BITS) - 1) << ST_STAMP_SHIFT)

typedef enum CkQueueKind
{
	CK_QUEUE_NONE,				/* not linked */
	CK_QUEUE_SMALL,
	CK_QUEUE_MAIN
} CkQueueKind;

#define CK_NUM_QUEUES 3

/* The word `when`: expiry in ms (0: never), the caller's flags, stored_high */
#define WHEN_MS_BITS		40
#define WHEN_MS_MASK		((UINT64CONST(1) << WHEN_MS_BITS) - 1)
#define WHEN_FLAGS_SHIFT	40
#define WHEN_STORED_SHIFT	56

static inline uint32
ck_item_refs(CkItem *item)
{
	return pg_atomic_read_u32(&item->state) & ST_REFS_MASK;
}

static inline uint32
ck_item_freq(CkItem *item)
{
	return (pg_atomic_read_u32(&item->state) & ST_FREQ_MASK) >> ST_FREQ_SHIFT;
}

static inline CkQueueKind
ck_item_queue(CkItem *item)
{
	return (pg_atomic_read_u32(&item->state) & ST_QUEUE_MASK) >>
		ST_QUEUE_SHIFT;
}

/* Is an item worth a place?  Not one in the small queue that was never used. */
static inline bool
ck_item_worthy(CkItem *item)
{
	return ck_item_queue(item) == CK_QUEUE_MAIN || ck_item_freq(item) > 0;
}

/*
 * Change the bits of mask, which are the caller's to change.
 */
static inline void
ck_item_set_state(CkItem *item, uint32 mask, uint32 value)
{
	uint32		old = pg_atomic_read_u32(&item->state);

	while (!pg_atomic_compare_exchange_u32(&item->state, &old,
										   (old & ~mask) | value))
		;
}

/*
 * Bytes of the head piece in front of the value.
 */
static inline uint32
ck_item_flat(const CkItem *item)
{
	return CK_ITEM_HEADER + item->metalen + item->keylen;
}

/*
 * Bytes asked of the arena, but for the headers of further pieces.
 */
static inline uint32
ck_item_size(const CkItem *item)
{
	return ck_item_flat(item) + item->vallen;
}

static inline uint64
ck_item_expires_ms(CkItem *item)
{
	return pg_atomic_read_u64(&item->when) & WHEN_MS_MASK;
}

static inline bool
ck_item_expired(CkItem *item, uint64 now_ms)
{
	uint64		expires_ms = ck_item_expires_ms(item);

	return expires_ms != 0 && expires_ms <= now_ms;
}

extern void ck_item_rewind(void);
extern void ck_item_move_piece(CkItem *item, CkOff from, CkOff to);

#endif							/* CK_ITEM_H */
