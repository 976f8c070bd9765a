/*-------------------------------------------------------------------------
 *
 * querystats.h
 *	  Statistics of each query text, in shared memory.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CK_QUERYSTATS_H
#define CK_QUERYSTATS_H

#define CK_QUERY_TEXT_MAX	400 /* bytes of a text that are kept */
#define CK_NO_QUERY_SLOT	PG_UINT32_MAX

/* A copy of one text's statistics. */
typedef struct CkQueryStat
{
	uint64		queryid;		/* PostgreSQL's; 0: none was computed */
	uint64		hits;
	uint64		misses;
	uint64		bypasses;
	uint64		fill_us;		/* time spent computing, microseconds */
	uint64		saved_us;
	uint64		bytes;			/* of the newest result stored */
	char		text[CK_QUERY_TEXT_MAX + 4];
} CkQueryStat;

extern Size ck_querystats_size(Size budget);
extern void ck_querystats_init(void *ptr, Size size, Size budget);
extern void ck_querystats_attach(void *ptr, Size size);

extern uint64 ck_querystats_hash(const char *text);
extern uint32 ck_querystats_slot(const char *text, uint64 hash, uint64 queryid,
								 uint32 hint);
extern void ck_querystats_hit(uint32 slot, uint32 saved_us);
extern void ck_querystats_fill(uint32 slot, uint32 fill_us, Size bytes);
extern void ck_querystats_bypass(uint32 slot);
extern uint32 ck_querystats_count(void);
extern bool ck_querystats_read(uint32 slot, Oid dbid, CkQueryStat *out);
extern void ck_querystats_reset(Oid dbid);

#endif							/* CK_QUERYSTATS_H */
