/*-------------------------------------------------------------------------
 *
 * kv_compute.c
 *	  cache_get_or_set(): a value, or the query that gives it.
 *
 * One session computes, the others wait for its value.  The value is stored
 * at once, since it comes from a query and not from the caller, unless the
 * caller's transaction has written: then it may be made of what is not
 * committed, and is stored at commit.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/transam.h"
#include "access/xact.h"
#include "fmgr.h"
#include "portability/instr_time.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "cached_query.h"
#include "counters.h"
#include "kv_args.h"
#include "kv_entry.h"
#include "kv_pending.h"
#include "lease.h"

PG_FUNCTION_INFO_V1(cachekit_cache_get_or_set);

/* Rounds of waiting for others that compute the same value. */

/*
 * Run the query and store its value.  The tags of the put are those from
 * before the query, its time to live counts from now.
 */
static text *
compute(CkKvPut *put, const char *query, const Interval *ttl)
{
	CkValue		value;
	CkKvView	view;
	instr_time	start;
	instr_time	duration;
	bool		isnull;
	Datum		datum;
	text	   *result;

	INSTR_TIME_SET_CURRENT(start);
	datum = ck_query_scalar_text(query, &isnull);
	INSTR_TIME_SET_CURRENT(duration);
	INSTR_TIME_SUBTRACT(duration, start);

	result = isnull ? NULL : DatumGetTextPP(datum);
	ck_value_from_text(&value, result);
	put->value = &value;
	ck_kv_put_ttl(put, ttl);
	put->cost_us = Min(INSTR_TIME_GET_MICROSEC(duration), PG_UINT32_MAX);

	/*
	 * What this transaction has not committed must not show up elsewhere, and
	 * what is pending for the key would undo an immediate store at commit.
	 */
	ck_kv_pending_look(&put->key, &view);
	(void) ck_kv_store(put, view.sight != CK_KV_SHARED ||
					   TransactionIdIsValid(GetTopTransactionIdIfAny()));
	return result;
}

/*
 * Find the entry, or become the one that computes it.  True: found.  A
 * transaction that has written never waits, so that no deadlock can come of
 * this.
 */
static bool
find_or_lease(const CkKey *key, CkKvEntry *entry, CkLease *lease)
{
	bool		may_wait = !TransactionIdIsValid(GetTopTransactionIdIfAny());

	*lease = CK_LEASE_NONE;
	if (ck_kv_find(key, entry) == CK_KV_FOUND)
		return true;
	*lease = ck_lease_acquire(key->hash, may_wait);
	if (*lease != CK_LEASE_OWNED && may_wait)
		ck_count(CK_CTR_LEASE_WAITS);
	/* Somebody may have published between our look and our lease. */
	return *lease != CK_LEASE_NONE && ck_kv_find(key, entry) == CK_KV_FOUND;
}

/* cache_get_or_set(key text, query text, ttl interval, tags text[]) -> text */
Datum
cachekit_cache_get_or_set(PG_FUNCTION_ARGS)
{
	CkKvPut		put = {.key = ck_kv_key(TEXT_OR_NULL(0), "key")};
	CkKvEntry	entry;
	CkLease		lease;
	char	   *query;
	text	   *result;

	if (PG_ARGISNULL(1))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("query must not be null")));
	query = text_to_cstring(PG_GETARG_TEXT_PP(1));
	if (!ck_kv_may_read())
	{
		bool		isnull;
		Datum		datum = ck_query_scalar_text(query, &isnull);

		if (isnull)
			PG_RETURN_NULL();
		PG_RETURN_DATUM(datum);
	}

	ck_kv_put_tags(&put, ARRAY_OR_NULL(3));
	if (find_or_lease(&put.key, &entry, &lease))
	{
		ck_kv_note_hit(&put.key, &entry);
		result = ck_kv_text(&entry);
	}
	else
	{
		ck_count(CK_CTR_MISSES);
		result = compute(&put, query, INTERVAL_OR_NULL(2));
	}
	if (lease != CK_LEASE_NONE)
		ck_lease_release(put.key.hash);
	if (result == NULL)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(result);
}
