/*-------------------------------------------------------------------------
 *
 * counters.h
 *	  Statistics counters of each database, in shared memory.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CK_COUNTERS_H
#define CK_COUNTERS_H

#include "datatype/timestamp.h"

/* What is counted.  The order is that of the columns of cachekit_stats. */
typedef enum CkCounter
{
	CK_CTR_HITS,				/* reads answered from the cache (query and KV) */
	CK_CTR_MISSES,				/* cacheable reads that found nothing valid */
	CK_CTR_BYPASSES,			/* reads that could not use the cache */
	CK_CTR_FILLS,				/* query results stored */
	CK_CTR_SETS,				/* KV values stored */
	CK_CTR_EVICTIONS,			/* live entries removed for room */
	CK_CTR_EXPIRATIONS,			/* entries removed because their ttl was over */
	CK_CTR_INVALIDATIONS,		/* lookups that met an entry made stale by a
								 * write, and entries removed by name */
	CK_CTR_OVERSIZE,			/* values not stored: larger than max_entry_size */
	CK_CTR_NO_ROOM,				/* values not stored: no memory could be freed */
	CK_CTR_LEASE_WAITS,			/* readers that waited for another's fill */
	CK_CTR_STALE_HITS,			/* hits on what was stale, by stale_while_revalidate */
	CK_CTR_TIME_SAVED_US,		/* sum of the cost of each hit, microseconds */
	CK_CTR_LOADED,				/* entries that a shutdown saved and the start has
								 * loaded */
	/* gauges: go up and down with the entries, never reset */
	CK_GAUGE_ENTRIES,
	CK_GAUGE_BYTES,
	CK_NUM_COUNTERS
} CkCounter;

#define CK_FIRST_GAUGE CK_GAUGE_ENTRIES

/* Why a read went past the cache; one counter each. */
typedef enum CkBypass
{
	CK_BYPASS_NONE,
	CK_BYPASS_DISABLED,
	CK_BYPASS_NO_MEMORY,
	CK_BYPASS_RECOVERY,
	CK_BYPASS_PARALLEL,
	CK_BYPASS_SERIALIZABLE,
	CK_BYPASS_SNAPSHOT,			/* not an MVCC snapshot, or none */
	CK_BYPASS_OWN_WRITES,
	CK_BYPASS_UNKNOWN_VERSION,	/* the snapshot is older than what is known */
	CK_BYPASS_NOT_CACHEABLE,	/* the query itself; see cache_explain() */
	CK_BYPASS_PRIVILEGE,		/* the executor is left to raise the error */
	CK_NUM_BYPASSES
} CkBypass;

extern Size ck_counters_size(Size budget);
extern void ck_counters_init(void *ptr, Size size, Size budget);
extern void ck_counters_attach(void *ptr, Size size);

extern uint16 ck_counters_nslots(void);
extern uint16 ck_counters_slot(Oid dbid);
extern void ck_counters_add(uint16 slot, CkCounter which, int64 n);
extern void ck_count(CkCounter which);
extern void ck_count_n(CkCounter which, int64 n);
extern void ck_count_bypass(CkBypass why);
extern int64 ck_counters_read(uint16 slot, CkCounter which);
extern int64 ck_counters_read_bypass(uint16 slot, CkBypass why);
extern TimestampTz ck_counters_reset_time(uint16 slot);
extern void ck_counters_reset(uint16 slot);
extern const char *ck_bypass_name(CkBypass why);

#endif							/* CK_COUNTERS_H */
