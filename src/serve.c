/*-------------------------------------------------------------------------
 *
 * serve.c
 *	  Look up, check, lease, fill, publish: the engine of cached queries.
 *
 * A call goes through three steps.
 *
 *	ck_serve_start	may this transaction use the cache at all?  Fixes the
 *					snapshot, and the version of the database's schema that it
 *					sees, before anything is analysed.
 *	ck_serve_bind	may this query?  Works out the stamps that an entry must
 *					have to be valid for the snapshot, and the key.
 *	ck_serve_answer a hit delivers the entry; a miss takes the lease, looks
 *					again, computes, and stores the result under the stamps.
 *
 * A query on tables with keys is bound in two parts.  What its result depends
 * on is known when there is a plan (plandeps.c), which a hit must do without.
 * So an entry of such a query is judged by its own stamps: are they what the
 * snapshot sees now?  Who misses plans, and binds the rest
 * (ck_serve_bind_plan) before the plan is run.  A version is a function of
 * cell and snapshot, so it does not matter when it is taken.
 *
 * Why the order matters: the schema cell is read first, then invalidation
 * messages are accepted (ck_query_open), then catalogs are read.  So whatever
 * was analysed knows of every schema change that the stamp counts.  After the
 * query has run the schema cell is read again: a change that slipped in
 * between has registered by then, and the result is not stored.
 *
 * "Full", "stale", "too large" are not errors here: the query's rows are
 * delivered all the same.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "access/parallel.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "common/pg_prng.h"
#include "miscadmin.h"
#include "portability/instr_time.h"
#include "storage/lock.h"
#include "utils/inval.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "clock.h"
#include "compat.h"
#include "debug_point.h"
#include "derive.h"
#include "guc.h"
#include "lease.h"
#include "querystats.h"
#include "segment.h"
#include "serve.h"
#include "warm.h"
#include "written.h"
#include "xact.h"

/* ---------------- may we? ---------------- */

static CkBypass
session_bypass(void)
{
	if (!ck_guc_enabled)
		return CK_BYPASS_DISABLED;
	if (!ck_segment_attach())	/* first: this is where it is counted */
		return CK_BYPASS_NO_MEMORY;
	if (RecoveryInProgress())
		return CK_BYPASS_RECOVERY;
	if (IsParallelWorker())
		return CK_BYPASS_PARALLEL;
	if (IsolationIsSerializable())
		return CK_BYPASS_SERIALIZABLE;
	return CK_BYPASS_NONE;
}

static void
set_stamp(CkRequest *request, int i, uint32 cell, uint64 version)
{
	request->meta->stamps[i].cell = cell;
	request->meta->stamps[i].version = version;
	request->meta->stamps[i].zero = 0;
}

/*
 * Begin a call under request->snapshot, or the active one.  Sets request->bypass; the caller
 * goes on to ck_serve_bind() and ck_serve_answer() whatever it is.
 */
void
ck_serve_start(CkRequest *request)
{
	uint32		schema;
	uint64		version;

	request->meta = palloc(offsetof(CkEntryMeta, stamps) +
						   CK_MAX_STAMPS * sizeof(CkStamp));
	memset(request->meta, 0, offsetof(CkEntryMeta, stamps));
	request->lease = CK_LEASE_NONE;
	request->wants_refresh = false;
	if (request->snapshot == NULL)
		request->snapshot = GetActiveSnapshot();
	request->bypass = session_bypass();
	if (request->bypass != CK_BYPASS_NONE)
		return;
	request->flushes = ck_segment_flushes();
	ck_written_collect();
	schema = ck_cell_of(CK_DEP_SCHEMA, MyDatabaseId, 0);
	if (!ck_stamp_snapshot(request->snapshot, &request->wide))
		request->bypass = CK_BYPASS_SNAPSHOT;
	else if (ck_xact_is_dirty(schema))
		request->bypass = CK_BYPASS_OWN_WRITES;
	else if (!ck_stamp_birth(&request->wide, &request->meta->birth) ||
			 !ck_stamp_strict(schema, &request->wide, &version))
		request->bypass = CK_BYPASS_UNKNOWN_VERSION;
	else
		set_stamp(request, 0, schema, version);
}

/* Does the snapshot see all that made the tables what they are? */
static bool
sees_tracking(CkRequest *request)
{
	ListCell   *lc;

	foreach(lc, request->query->since)
		if (XidInMVCCSnapshot(lfirst_oid(lc), request->snapshot))
			return false;
	return true;
}

static CkBypass
query_bypass(CkRequest *request)
{
	CkQuery    *query = request->query;

	if (!ck_derive_dependencies(query))
		return CK_BYPASS_NO_MEMORY;
	if (query->never || (query->inexact && !request->has_ttl))
		return CK_BYPASS_NOT_CACHEABLE;
	if (request->form == CK_FORM_JSON && query->unsafe_text && !request->has_ttl)
		return CK_BYPASS_NOT_CACHEABLE;
	if (query->own_ddl)
		return CK_BYPASS_OWN_WRITES;
	if (!sees_tracking(request))
		return CK_BYPASS_UNKNOWN_VERSION;
	if (request->permitted ? query->denied : !ck_derive_allowed(query))
		return CK_BYPASS_PRIVILEGE;
	return CK_BYPASS_NONE;
}

/* The version of a cell that the caller's own transaction has not written to. */
static CkBypass
own_version(CkRequest *request, uint32 cell, uint64 *version)
{
	if (ck_xact_is_dirty(cell))
		return CK_BYPASS_OWN_WRITES;
	if (!ck_stamp_version(cell, &request->wide, version))
		return CK_BYPASS_UNKNOWN_VERSION;
	return CK_BYPASS_NONE;
}

static CkBypass
stamp_cells(CkRequest *request, const uint32 *cells, int n)
{
	for (int i = 0; i < n; i++)
	{
		uint64		version;
		CkBypass	bypass = own_version(request, cells[i], &version);

		if (bypass != CK_BYPASS_NONE)
			return bypass;
		set_stamp(request, request->meta->nstamps++, cells[i], version);
	}
	return CK_BYPASS_NONE;
}

/* Stamp what the result depends on, and the tags. */
static CkBypass
stamp_all(CkRequest *request, const uint32 *cells, int n)
{
	CkBypass	bypass;

	request->meta->nstamps = 1; /* the schema's, from ck_serve_start() */
	request->meta->ntags = request->ntags;
	bypass = stamp_cells(request, cells, n);
	if (bypass == CK_BYPASS_NONE)
		bypass = stamp_cells(request, request->tags, request->ntags);
	return bypass;
}

/* The key if there is nothing to add to the digest, in the request itself. */
static void
make_plain_key(CkRequest *request)
{
	char	   *key = request->plain_key;

	memcpy(key, request->query->digest, CK_DIGEST_LEN);
	key[CK_DIGEST_LEN] = request->form;
	key[CK_DIGEST_LEN + 1] = CK_NO_PARAMS;
	request->key = ck_table_key(CK_KIND_QUERY, MyDatabaseId, key, CK_DIGEST_LEN + 2);
}

/*
 * The key of request->query, whose dependencies are known, with ->params.
 * false: one of them has no value.
 */
bool
ck_serve_key(CkRequest *request)
{
	CkQuery    *query = request->query;
	StringInfoData buf;

	if (query->params == NULL && query->depends.settings == NIL)
	{
		make_plain_key(request);
		return true;
	}
	initStringInfo(&buf);
	appendBinaryStringInfo(&buf, (char *) query->digest, CK_DIGEST_LEN);
	appendStringInfoChar(&buf, request->form);
	ck_fingerprint_named(query->depends.settings, &buf);
	if (!ck_fingerprint_params(request->params, query->params, &buf))
		return false;
	request->key = ck_table_key(CK_KIND_QUERY, MyDatabaseId, buf.data, buf.len);
	return true;
}

/* Where the statistics of the query's text are. */
static uint32
stats_slot(CkQuery *query)
{
	if (query->stats_hash == 0)
	{
		query->stats_hash = ck_querystats_hash(query->text);
		query->stats_slot = CK_NO_QUERY_SLOT;
	}
	query->stats_slot = ck_querystats_slot(query->text, query->stats_hash,
										   ck_query_tree(query)->queryId,
										   query->stats_slot);
	return query->stats_slot;
}

/*
 * Tie the call to request->query and ->params: stamps and key.  Changes
 * request->bypass only when it was CK_BYPASS_NONE.
 */
void
ck_serve_bind(CkRequest *request)
{
	if (request->bypass == CK_BYPASS_NONE)
		request->bypass = query_bypass(request);
	if (request->bypass != CK_BYPASS_NONE)
		return;
	if (!ck_serve_key(request))
	{
		request->bypass = CK_BYPASS_NOT_CACHEABLE;
		return;
	}
	ck_written_collect();		/* reading the parameters may have written */
	if (request->query->keyed == NIL)
		request->bypass = stamp_all(request, request->query->cells, request->query->ncells);
	request->meta->text_slot = stats_slot(request->query);
}

/*
 * Go on with the plan that is going to be run, of a query on tables with keys.
 * Sets request->bypass if its result is not to be stored.
 */
void
ck_serve_bind_plan(CkRequest *request, const PlannedStmt *plan)
{
	CkQuery    *query = request->query;

	request->plandeps = palloc(sizeof(CkPlanDeps));
	request->plandeps->textlen = 0;
	if (!query->deps_valid)
		request->bypass = CK_BYPASS_UNKNOWN_VERSION;	/* planning changed it */
	else if (!ck_plandeps(plan, request->params, query, request->plandeps))
		request->bypass = CK_BYPASS_NOT_CACHEABLE;
	else
		request->bypass = stamp_all(request, request->plandeps->cells,
									request->plandeps->ncells);
}

/* The same for who runs queries by ck_query_run(). */
void
ck_serve_plan(CkRequest *request)
{
	request->plan = ck_query_plan(request->query, request->params);
	ck_serve_bind_plan(request, linitial_node(PlannedStmt, request->plan->stmt_list));
}

/* The plan to be run, if there is one already. */
CachedPlan *
ck_serve_take_plan(CkRequest *request)
{
	CachedPlan *plan = request->plan;

	request->plan = NULL;
	return plan;
}

/* ---------------- looking up ---------------- */

static bool
find_entry(CkRequest *request, CkFound *found)
{
	CkSmall    *small = &found->small;

	switch (ck_table_read_small(&request->key, 0, small))
	{
		case CK_READ_ABSENT:
			return false;
		case CK_READ_HIT:
			found->info = small->info;
			found->item = small->item;
			found->pinned = false;
			found->meta = (const CkEntryMeta *) small->data;
			found->value = small->data + MAXALIGN(small->info.metalen);
			return true;
		case CK_READ_USE_PIN:
			break;
	}
	found->item = ck_table_pin(&request->key, 0);
	if (found->item == NULL)
		return false;
	ck_item_info(found->item, &found->info);
	found->pinned = true;
	found->meta = ck_item_meta(found->item);
	found->value = NULL;
	return true;
}

/* Give back what ck_serve_find() or ck_serve_lead() has found. */
void
ck_serve_leave(CkFound *found)
{
	if (found->pinned)
		ck_table_unpin(found->item);
	found->pinned = false;
}

static bool
same_tags(CkRequest *request, const CkEntryMeta *meta)
{
	const CkStamp *tags = &meta->stamps[meta->nstamps - meta->ntags];

	if (meta->ntags != request->ntags)
		return false;
	for (int i = 0; i < meta->ntags; i++)
		if (tags[i].cell != request->tags[i])
			return false;
	return true;
}

/*
 * Are an entry's own stamps what our snapshot sees?  If the question has no
 * answer for one of them, computing the result anew gives nothing to store:
 * request->bypass says so.
 */
static bool
own_stamps_hold(CkRequest *request, const CkEntryMeta *meta)
{
	if (meta->stamps[0].cell != request->meta->stamps[0].cell ||
		meta->stamps[0].version != request->meta->stamps[0].version ||
		!same_tags(request, meta))
		return false;
	for (int i = 1; i < meta->nstamps; i++)
	{
		uint64		version;

		request->bypass = own_version(request, meta->stamps[i].cell, &version);
		if (request->bypass != CK_BYPASS_NONE || version != meta->stamps[i].version)
			return false;
	}
	return true;
}

/* Are the entry's stamps those of our snapshot? */
static bool
stamps_hold(CkRequest *request, const CkEntryMeta *meta)
{
	if (meta->birth != request->meta->birth)
		return false;
	if (request->query->keyed != NIL)
		return own_stamps_hold(request, meta);
	return meta->nstamps == request->meta->nstamps &&
		meta->ntags == request->meta->ntags &&
		memcmp(meta->stamps, request->meta->stamps,
			   meta->nstamps * sizeof(CkStamp)) == 0;
}

/* When an entry may not be used any more, for its age; 0: never. */
static TimestampTz
end_of_use(CkRequest *request, const CkFound *found)
{
	TimestampTz end = found->info.expires_at;

	if (found->meta->inexact &&
		(end == 0 || found->info.stored_at + request->ttl < end))
		end = found->info.stored_at + request->ttl;
	return end;
}

static bool
in_time(CkRequest *request, const CkFound *found, int64 grace)
{
	TimestampTz end = end_of_use(request, found);

	return end == 0 || ck_clock_now() < end + grace;
}

/*
 * Is the entry what the query would return under our snapshot?  An inexact
 * one must be young enough for the caller, too.
 */
static bool
fits(CkRequest *request, const CkFound *found)
{
	return stamps_hold(request, found->meta) && in_time(request, found, 0);
}

/* ---------------- stale results on request ---------------- */

/* A moment that is not later than that of the active snapshot. */
static TimestampTz
snapshot_time(void)
{
	return ck_clock_now() - (GetCurrentTimestamp() - GetCurrentTransactionStartTimestamp());
}

/* The youngest moment as of which the entry is known to have been exact. */
static TimestampTz
last_known_valid(const CkFound *found)
{
	TimestampTz stored = found->info.stored_at;
	uint32		seen = ck_warm_last_valid(found->info.id);

	if (seen > 0)
		return stored + (TimestampTz) seen * 1000;
	if (found->meta->age_ms == CK_AGE_UNKNOWN)
		return 0;
	return stored - (TimestampTz) found->meta->age_ms * 1000;
}

/* A caller who may want the entry when it is stale has found it exact. */
static void
note_valid(const CkFound *found)
{
	int64		since = (snapshot_time() - found->info.stored_at) / 1000;

	if (!IsolationUsesXactSnapshot() && since > 0 && since < PG_UINT32_MAX)
		ck_warm_note_valid(found->info.id, (uint32) since);
}

/*
 * Are the entry's dependencies those of the call, the schema as it was, and
 * nothing of it written by ourselves?
 */
static bool
same_cells(CkRequest *request, const CkEntryMeta *meta)
{
	const CkEntryMeta *ours = request->meta;

	if (meta->birth != ours->birth ||
		memcmp(&meta->stamps[0], &ours->stamps[0], sizeof(CkStamp)) != 0 ||
		!same_tags(request, meta))
		return false;
	if (request->query->keyed == NIL && meta->nstamps != ours->nstamps)
		return false;
	for (int i = 1; i < meta->nstamps; i++)
		if (ck_xact_is_dirty(meta->stamps[i].cell) ||
			(request->query->keyed == NIL && meta->stamps[i].cell != ours->stamps[i].cell))
			return false;
	return true;
}

/*
 * May the caller, who has asked for it, be given an entry that does not fit?
 * It was exact not longer ago than he said, and its time was not over longer.
 * Never who has written, or lives in one snapshot: he would not see what he
 * has seen already.
 */
static bool
may_be_stale(CkRequest *request, const CkFound *found)
{
	if (request->swr <= 0 || request->bypass != CK_BYPASS_NONE ||
		IsolationUsesXactSnapshot() ||
		TransactionIdIsValid(GetTopTransactionIdIfAny()) ||
		!same_cells(request, found->meta) ||
		!in_time(request, found, request->swr))
		return false;
	return stamps_hold(request, found->meta) ||
		ck_clock_now() - last_known_valid(found) <= request->swr;
}

/* ---------------- before it expires ---------------- */

/*
 * Is it our turn to compute an entry anew before its time is over?  So drawn
 * that who does is likely to be done in time, and few do (Vattani, Chierichetti,
 * Lowenstein: Optimal Probabilistic Cache Stampede Prevention, 2015); but not
 * in the first nine tenths of its life, as busy keys draw very often.
 */
static bool
is_due(CkRequest *request, const CkFound *found)
{
	TimestampTz end = end_of_use(request, found);
	int64		left;

	if (end == 0)
		return false;
	left = end - ck_clock_now();
	if (left > (end - found->info.stored_at) / 10)
		return false;
	return left <= -log(1.0 - pg_prng_double(&pg_global_prng_state)) * found->info.cost_us;
}

/*
 * Become the one who computes, if nobody does: the lease is kept for
 * ck_serve_lead().  Who has just been overtaken has no reason to.
 */
static bool
take_lead(CkRequest *request, const CkFound *found)
{
	CkFound		now;
	bool		same;

	if (!request->may_lead)
		return false;
	request->lease = ck_lease_acquire(request->key.hash, false);
	if (request->lease == CK_LEASE_NONE)
		return false;
	same = find_entry(request, &now) && now.info.id == found->info.id;
	if (same)
	{
		ck_serve_leave(&now);
		return true;
	}
	ck_lease_release(request->key.hash);
	request->lease = CK_LEASE_NONE;
	return false;
}

/* The value's bytes, aligned, before the entry is left; copied with no lock held. */
const char *
ck_serve_value(const CkFound *found)
{
	char	   *copy;

	if (found->value != NULL)
		return found->value;
	copy = MemoryContextAllocHuge(CurrentMemoryContext, Max(found->info.vallen, 1));
	ck_item_copy_value(found->item, 0, copy, found->info.vallen);
	return copy;
}

static void
count_hit(CkRequest *request, const CkFound *found)
{
	ck_count(CK_CTR_HITS);
	ck_count_n(CK_CTR_TIME_SAVED_US, found->info.cost_us);
	ck_xact_note_hit(&request->key, found->item, found->info.id);
	ck_querystats_hit(request->meta->text_slot, found->info.cost_us);
}

/* An entry that does not fit: is it delivered nevertheless? */
static bool
serve_stale(CkRequest *request, CkFound *found)
{
	if (!may_be_stale(request, found))
		return false;
	if (!request->background && (!request->may_lead || take_lead(request, found)))
		return false;
	found->stale = true;
	request->wants_refresh = request->background;
	ck_count(CK_CTR_STALE_HITS);
	return true;
}

/* An entry that fits: is it rather computed anew by ourselves? */
static bool
compute_early(CkRequest *request, const CkFound *found)
{
	if (!is_due(request, found))
		return false;
	request->wants_refresh = request->background;
	return !request->background && take_lead(request, found);
}

/*
 * Find the entry if it is there and valid, or its caller takes it as it is,
 * which is counted as a hit.  The caller leaves it in the end.  What is not a
 * hit, for all but one caller, may be one for this: then request->lease is
 * his, and ck_serve_lead() gives it to him.
 */
CkState
ck_serve_find(CkRequest *request, CkFound *found)
{
	bool		valid;

	found->stale = false;
	if (request->lease != CK_LEASE_NONE || !find_entry(request, found))
		return CK_STATE_ABSENT;
	valid = fits(request, found);
	if (valid ? compute_early(request, found) : !serve_stale(request, found))
	{
		ck_serve_leave(found);
		return valid ? CK_STATE_ABSENT : CK_STATE_STALE;
	}
	if (valid && request->swr > 0)
		note_valid(found);
	count_hit(request, found);
	return CK_STATE_HIT;
}

/* Deliver the entry that was found, and leave it. */
static void
deliver(CkRequest *request, const CkProducer *producer, CkFound *found)
{
	const char *value = ck_serve_value(found);
	bool		inexact = found->meta->inexact;

	ck_serve_leave(found);
	if (ck_guc_verify && !inexact && !found->stale)
		producer->verify(producer->arg, value, found->info.vallen);
	producer->hit(producer->arg, value, found->info.vallen);
}

/*
 * Is there an entry of the key, valid or not, and what did it cost?  For the
 * planner; request->key alone must be known.
 */
bool
ck_serve_present(CkRequest *request, uint32 *cost_us)
{
	CkFound		found;

	if (!find_entry(request, &found))
		return false;
	*cost_us = found.info.cost_us;
	ck_serve_leave(&found);
	return true;
}

/* What would happen now?  Counts and delivers nothing. */
CkState
ck_serve_state(CkRequest *request)
{
	CkFound		found;
	bool		valid;

	if (!find_entry(request, &found))
		return CK_STATE_ABSENT;
	valid = fits(request, &found);
	ck_serve_leave(&found);
	return valid ? CK_STATE_HIT : CK_STATE_STALE;
}

/* ---------------- filling ---------------- */

/*
 * Entries whose stamps are of the same cells are ordered: a newer one stays.
 */
static bool
may_replace(const CkItemInfo *resident, const void *resident_meta,
			const CkItemInfo *fresh, const void *fresh_meta, void *arg)
{
	const CkEntryMeta *old = resident_meta;
	const CkEntryMeta *new = fresh_meta;

	if (old->nstamps != new->nstamps || old->inexact || new->inexact)
		return true;
	if (old->birth > new->birth)
		return false;
	for (int i = 0; i < old->nstamps; i++)
	{
		if (old->stamps[i].cell != new->stamps[i].cell)
			return true;
		if (old->stamps[i].version > new->stamps[i].version)
			return false;
	}
	return true;
}

/*
 * Has the schema stayed as it was, as far as the query was derived from it, and
 * nobody flushed, while we computed?  The query may have called itself, and
 * been derived anew: then it has another identity, unless nothing mattered.
 */
static bool
still_good(CkRequest *request)
{
	uint64		version;
	const CkStamp *schema = &request->meta->stamps[0];

	AcceptInvalidationMessages();
	return ck_derive_is_current(request->query) &&
		memcmp(request->key.data, request->query->digest, CK_DIGEST_LEN) == 0 &&
		ck_segment_flushes() == request->flushes &&
		ck_stamp_strict(schema->cell, &request->wide, &version) &&
		version == schema->version;
}

/* The relations read and the keys, after the stamps, for those who watch. */
static void
finish_meta(CkRequest *request)
{
	CkEntryMeta *meta = repalloc(request->meta, offsetof(CkEntryMeta, stamps) +
								 CK_MAX_STAMPS * sizeof(CkStamp) +
								 CK_MAX_DEPS * sizeof(Oid) + CK_MAX_KEYS_TEXT);
	Oid		   *oids = (Oid *) &meta->stamps[meta->nstamps];
	ListCell   *lc;

	request->meta = meta;
	foreach(lc, request->query->depends.relations)
		if (meta->nrelations < CK_MAX_DEPS)
			oids[meta->nrelations++] = lfirst_oid(lc);
	meta->inexact = request->query->inexact ||
		(request->form == CK_FORM_JSON && request->query->unsafe_text);
	request->metalen = offsetof(CkEntryMeta, stamps) +
		meta->nstamps * sizeof(CkStamp) + meta->nrelations * sizeof(Oid);
	if (request->plandeps != NULL && request->plandeps->textlen > 0)
	{
		meta->keyslen = request->plandeps->textlen;
		memcpy((char *) meta + request->metalen, request->plandeps->text, meta->keyslen);
		request->metalen += meta->keyslen;
	}
}

/* The description of keys, for ck_plandeps_names(). */
const char *
ck_serve_keys_text(const CkEntryMeta *meta, int *len)
{
	*len = meta->keyslen;
	return (const char *) &meta->stamps[meta->nstamps] + meta->nrelations * sizeof(Oid);
}

static void
publish(CkRequest *request, StringInfo fill, uint32 cost_us)
{
	CkItemSpec	spec = {0};
	CkItem	   *item;
	int64		age;

	CK_DEBUG_POINT("publish");
	if (!still_good(request) || (request->has_ttl && request->ttl <= 0))
		return;
	finish_meta(request);
	age = (ck_clock_now() - snapshot_time()) / 1000 + 1;
	request->meta->age_ms = IsolationUsesXactSnapshot() || age >= CK_AGE_UNKNOWN ?
		CK_AGE_UNKNOWN : Max(age, 1);
	spec.key = request->key;
	spec.meta = request->meta;
	spec.metalen = request->metalen;
	spec.vallen = fill->len;
	spec.cost_us = cost_us;
	if (request->has_ttl)
		spec.expires_at = ck_clock_now() + request->ttl;
	item = ck_table_prepare(&spec);
	if (item == NULL)
	{
		ck_count(CK_CTR_NO_ROOM);
		return;
	}
	ck_table_write(item, 0, fill->data, fill->len);
	if (ck_table_link(item, may_replace, NULL))
		ck_count(CK_CTR_FILLS);
}

/*
 * Store a complete result that was computed under request->snapshot, unless it
 * is out of date already.
 */
void
ck_serve_publish(CkRequest *request, StringInfo bytes, uint32 cost_us)
{
	ck_querystats_fill(request->meta->text_slot, cost_us, bytes->len);
	publish(request, bytes, cost_us);
}

/* The result is too large to be stored. */
void
ck_serve_oversize(CkRequest *request, uint32 cost_us)
{
	ck_querystats_fill(request->meta->text_slot, cost_us, 0);
	ck_count(CK_CTR_OVERSIZE);
}

/* Run the query, deliver its rows and store them. */
static void
fill(CkRequest *request, const CkProducer *producer)
{
	Size		limit = (Size) ck_guc_max_entry_size * 1024;
	StringInfoData bytes;
	instr_time	start;
	uint32		cost;
	bool		complete;

	INSTR_TIME_SET_CURRENT(start);
	initStringInfo(&bytes);
	CK_DEBUG_POINT("fill");
	complete = producer->run(producer->arg, &bytes, limit);
	cost = ck_clock_since(start);
	if (complete)
		ck_serve_publish(request, &bytes, cost);
	else
		ck_serve_oversize(request, cost);
	pfree(bytes.data);
}

/*
 * May this transaction wait for another that computes the same?  Not if it
 * holds what the other may need: see lease.c.
 */
static bool
may_wait(CkRequest *request)
{
	ListCell   *lc;

	if (TransactionIdIsValid(GetTopTransactionIdIfAny()))
		return false;
	foreach(lc, request->query->depends.relations)
	{
		LOCKTAG		tag;

		SET_LOCKTAG_RELATION(tag, MyDatabaseId, lfirst_oid(lc));
		if (CkLockHeldByMe(&tag, AccessExclusiveLock))
			return false;
	}
	return true;
}

/*
 * Nothing valid was found: one of those who miss computes, the others wait for
 * their turn and look again.  An entry that fits is a hit after giving the
 * lease back; one that does not (our snapshot is another) is no reason to keep
 * others waiting either.  Otherwise it is a miss, to be counted by
 * ck_serve_missed(), and the lease, if *lease says that we have one, to be
 * released after publishing.
 */
CkState
ck_serve_lead(CkRequest *request, CkFound *found, CkLease *lease)
{
	bool		patient;
	CkState		state = CK_STATE_ABSENT;

	if (request->lease != CK_LEASE_NONE)
	{
		*lease = request->lease;
		request->lease = CK_LEASE_NONE;
		return CK_STATE_ABSENT;
	}
	patient = may_wait(request);
	*lease = ck_lease_acquire(request->key.hash, patient);
	if (patient && *lease != CK_LEASE_OWNED)
		ck_count(CK_CTR_LEASE_WAITS);
	if (*lease != CK_LEASE_NONE)
		state = ck_serve_state(request);
	if (state == CK_STATE_HIT ||
		(state == CK_STATE_STALE && *lease == CK_LEASE_WAITED))
	{
		ck_lease_release(request->key.hash);
		*lease = CK_LEASE_NONE;
		if (ck_serve_find(request, found) == CK_STATE_HIT)
			return CK_STATE_HIT;
	}
	return CK_STATE_ABSENT;
}

/* Count a call that goes past the cache. */
void
ck_serve_bypassed(CkRequest *request)
{
	ck_count_bypass(request->bypass);
	ck_querystats_bypass(stats_slot(request->query));
}

/* Count a call that found nothing, after ck_serve_bind_plan(). */
void
ck_serve_missed(CkRequest *request)
{
	if (request->bypass != CK_BYPASS_NONE)
		ck_serve_bypassed(request);
	else
		ck_count(CK_CTR_MISSES);
}

/* Answer the call: from the cache if that is exact, else by running it. */
void
ck_serve_answer(CkRequest *request, const CkProducer *producer)
{
	CkFound		found;
	CkState		state = CK_STATE_ABSENT;
	CkLease		lease = CK_LEASE_NONE;

	request->may_lead = true;
	if (request->bypass == CK_BYPASS_NONE)
		state = ck_serve_find(request, &found);
	if (request->bypass != CK_BYPASS_NONE)
	{
		ck_serve_bypassed(request);
		(void) producer->run(producer->arg, NULL, 0);
		return;
	}
	if (state == CK_STATE_STALE)
		ck_count(CK_CTR_INVALIDATIONS);
	if (state != CK_STATE_HIT)
		state = ck_serve_lead(request, &found, &lease);
	if (state == CK_STATE_HIT)
	{
		deliver(request, producer, &found);
		return;
	}
	if (request->query->keyed != NIL && request->bypass == CK_BYPASS_NONE)
	{
		producer->prepare(producer->arg);
		ck_serve_plan(request);
	}
	ck_serve_missed(request);
	if (request->bypass == CK_BYPASS_NONE)
		fill(request, producer);
	else
		(void) producer->run(producer->arg, NULL, 0);
	if (lease != CK_LEASE_NONE)
		ck_lease_release(request->key.hash);
}

/* ---------------- for workers ---------------- */

/* Before an entry expires, workers compute it anew: so long. */
static int64
time_ahead(int64 life)
{
	return Min(Max(life / 10, USECS_PER_SEC), life / 2);
}

/*
 * Is the entry not there, does it not fit, or is it about to expire?  May
 * change request->bypass.
 */
bool
ck_serve_is_needed(CkRequest *request)
{
	CkFound		found;
	TimestampTz end;
	bool		needed;

	if (!find_entry(request, &found))
		return true;
	end = end_of_use(request, &found);
	needed = !fits(request, &found) ||
		(end != 0 && end - ck_clock_now() < time_ahead(end - found.info.stored_at));
	ck_serve_leave(&found);
	return needed;
}

/*
 * Compute and store the result, counting neither hit nor miss.  false: it can
 * not be stored, as request->bypass says, or somebody else is at it.
 */
bool
ck_serve_refresh(CkRequest *request, const CkProducer *producer)
{
	if (ck_lease_acquire(request->key.hash, false) == CK_LEASE_NONE)
		return false;
	if (request->query->keyed != NIL)
	{
		producer->prepare(producer->arg);
		ck_serve_plan(request);
	}
	if (request->bypass == CK_BYPASS_NONE)
		fill(request, producer);
	else if (request->plan != NULL)
		ReleaseCachedPlan(ck_serve_take_plan(request), CurrentResourceOwner);
	ck_lease_release(request->key.hash);
	return request->bypass == CK_BYPASS_NONE;
}
