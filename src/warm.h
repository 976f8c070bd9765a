/*-------------------------------------------------------------------------
 *
 * warm.h
 *	  Which query results a worker is asked to compute, in shared memory.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CK_WARM_H
#define CK_WARM_H

#define CK_WARM_DATA	3960	/* bytes of texts that a job may have */

/* Texts of a job, one after the other in `data`, each aligned to eight. */
typedef enum CkWarmPart
{
	CK_WARM_QUERY,				/* with its final zero */
	CK_WARM_ARGS,				/* a text[], or nothing */
	CK_WARM_TAGS,				/* likewise */
	CK_WARM_SETTINGS,			/* name, value, each with its final zero */
	CK_WARM_PARTS
} CkWarmPart;

/* All that is needed to make a call of cached_query() again. */
typedef struct CkWarmJob
{
	uint64		hash;			/* of the entry's key; 0: no job */
	Oid			dbid;
	Oid			userid;			/* who asked, and is to compute it */
	Oid			session_userid; /* of the session that did */
	bool		keep;			/* again whenever it is out of date; else once */
	bool		json;
	bool		has_ttl;
	int64		ttl;			/* microseconds */
	uint16		len[CK_WARM_PARTS];
	char		data[CK_WARM_DATA] pg_attribute_aligned(8);
} CkWarmJob;

extern Size ck_warm_size(Size budget);
extern void ck_warm_init(void *ptr, Size size, Size budget);
extern void ck_warm_attach(void *ptr, Size size);

extern bool ck_warm_add_part(CkWarmJob *job, CkWarmPart part, const void *data, Size len);
extern const char *ck_warm_part(const CkWarmJob *job, CkWarmPart part);

extern bool ck_warm_wanted_again(uint64 hash);
extern void ck_warm_put(const CkWarmJob *job);
extern bool ck_warm_next(Oid dbid, uint32 *position, CkWarmJob *job);
extern bool ck_warm_may_refresh(uint64 hash);
extern void ck_warm_forget(uint64 hash);
extern bool ck_warm_any(Oid dbid);

extern void ck_warm_note_valid(uint32 id, uint32 since_ms);
extern uint32 ck_warm_last_valid(uint32 id);

#endif							/* CK_WARM_H */
