/*-------------------------------------------------------------------------
 *
 * serve.h
 *	  Look up, check, lease, fill, publish: the engine of cached queries.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CK_SERVE_H
#define CK_SERVE_H

#include "args.h"
#include "counters.h"
#include "lease.h"
#include "plandeps.h"
#include "query.h"
#include "stamp.h"
#include "table.h"

#define CK_MAX_STAMPS	(1 + CK_MAX_DEPS + CK_MAX_TAGS)

/* The form in which a result is kept; part of the key. */
typedef enum CkForm
{
	CK_FORM_ROWS = 'r',			/* codec.c's rows */
	CK_FORM_JSON = 'j'			/* one jsonb datum */
} CkForm;

/*
 * Meta area of a query's item.  The stamps are the schema's, those of tables
 * and keys, and the last `ntags` of tags.  They are followed by the Oids of the
 * relations and the description of keys (see CkPlanDeps).
 */
typedef struct CkEntryMeta
{
	uint32		birth;			/* see ck_stamp_birth() */
	uint32		text_slot;		/* querystats.c */
	uint16		nstamps;
	uint16		ntags;
	uint16		nrelations;
	uint16		keyslen;
	uint32		inexact;		/* stored on the strength of a ttl */
	uint32		age_ms;			/* from the snapshot to the storing, at most;
								 * CK_AGE_UNKNOWN */
	CkStamp		stamps[FLEXIBLE_ARRAY_MEMBER];
} CkEntryMeta;

#define CK_AGE_UNKNOWN	PG_UINT32_MAX

/* One call.  The caller fills the first part before ck_serve_start(). */
typedef struct CkRequest
{
	CkForm		form;
	bool		has_ttl;
	int64		ttl;			/* microseconds */
	int			ntags;
	uint32		tags[CK_MAX_TAGS];	/* cells */
	Snapshot	snapshot;		/* NULL: the active one */
	bool		permitted;		/* somebody else has checked privileges */
	int64		swr;			/* stale results may be this old, microseconds */
	bool		background;		/* a worker can be asked to compute it */
	bool		may_lead;		/* ck_serve_lead() will follow unless it is a hit */
	CkQuery    *query;			/* before ck_serve_bind() */
	ParamListInfo params;

	/* Worked out by serve.c. */
	CkBypass	bypass;
	CkSnapshot	wide;
	uint64		flushes;
	CkKey		key;			/* until the next ck_serve_key() */
	char		plain_key[CK_DIGEST_LEN + 2];
	CkEntryMeta *meta;			/* has room for all the stamps; the rest follows
								 * when it is complete */
	int			metalen;
	CkPlanDeps *plandeps;		/* of a query on tables with keys that missed */
	CachedPlan *plan;			/* the plan they are of, to be run: NULL if none */
	bool		wants_refresh;	/* a hit, but to be computed by a worker */
	CkLease		lease;			/* taken by ck_serve_find() for ck_serve_lead() */
} CkRequest;

/* Whether an entry is there; the best first. */
typedef enum CkState
{
	CK_STATE_HIT,
	CK_STATE_STALE,				/* an entry that does not fit */
	CK_STATE_ABSENT
} CkState;

/* An entry that was found: copied if it is small, else pinned. */
typedef struct CkFound
{
	CkItemInfo	info;
	CkItem	   *item;
	bool		pinned;
	bool		stale;			/* delivered by request of `swr` */
	const CkEntryMeta *meta;
	const char *value;			/* NULL: to be read from the pinned item */
	CkSmall		small;
} CkFound;

/*
 * How a result reaches the caller.  `hit` gets the stored bytes, aligned to
 * eight; `run` computes and delivers, and appends the bytes to be stored to
 * `fill` unless that is NULL: false when they are not worth keeping (more than
 * `limit`).  `verify` raises an error when the bytes are not what running the
 * query gives.
 */
typedef struct CkProducer
{
	void		(*hit) (void *arg, const char *data, Size len);
	bool		(*run) (void *arg, StringInfo fill, Size limit);
	void		(*verify) (void *arg, const char *data, Size len);
	void		(*prepare) (void *arg);	/* before the query may be planned */
	void	   *arg;
} CkProducer;

extern void ck_serve_start(CkRequest *request);
extern void ck_serve_bind(CkRequest *request);
extern bool ck_serve_key(CkRequest *request);
extern const char *ck_serve_keys_text(const CkEntryMeta *meta, int *len);
extern void ck_serve_bind_plan(CkRequest *request, const PlannedStmt *plan);
extern void ck_serve_plan(CkRequest *request);
extern CachedPlan *ck_serve_take_plan(CkRequest *request);
extern void ck_serve_answer(CkRequest *request, const CkProducer *producer);
extern CkState ck_serve_state(CkRequest *request);
extern bool ck_serve_is_needed(CkRequest *request);
extern bool ck_serve_refresh(CkRequest *request, const CkProducer *producer);

/* The steps of ck_serve_answer(), for those who deliver row by row. */
extern bool ck_serve_present(CkRequest *request, uint32 *cost_us);
extern CkState ck_serve_find(CkRequest *request, CkFound *found);
extern const char *ck_serve_value(const CkFound *found);
extern void ck_serve_leave(CkFound *found);
extern CkState ck_serve_lead(CkRequest *request, CkFound *found, CkLease *lease);
extern void ck_serve_publish(CkRequest *request, StringInfo bytes, uint32 cost_us);
extern void ck_serve_oversize(CkRequest *request, uint32 cost_us);
extern void ck_serve_bypassed(CkRequest *request);
extern void ck_serve_missed(CkRequest *request);

#endif							/* CK_SERVE_H */
