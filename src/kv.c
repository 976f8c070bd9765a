/*-------------------------------------------------------------------------
 *
 * kv.c
 *	  SQL functions of the key/value cache.
 *
 * Entries belong to one database.  Writes take effect at commit, are seen at
 * once by their own transaction and follow savepoints, unless
 * cachekit.kv_transactional is off.  cachekit.enabled = off makes reads miss
 * and stores nothing, but what removes entries goes on working: a session can
 * not switch off what it owes to others.
 *
 * Without shared memory reads miss and writes say that nothing was stored.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/transam.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"

#include "args.h"
#include "cells.h"
#include "clock.h"
#include "counters.h"
#include "guc.h"
#include "kv_args.h"
#include "kv_entry.h"
#include "kv_pending.h"
#include "segment.h"
#include "table.h"
#include "xact.h"

PG_FUNCTION_INFO_V1(cachekit_cache_set);
PG_FUNCTION_INFO_V1(cachekit_cache_set_any);
PG_FUNCTION_INFO_V1(cachekit_cache_set_many);
PG_FUNCTION_INFO_V1(cachekit_cache_get);
PG_FUNCTION_INFO_V1(cachekit_cache_get_as);
PG_FUNCTION_INFO_V1(cachekit_cache_get_many);
PG_FUNCTION_INFO_V1(cachekit_cache_exists);
PG_FUNCTION_INFO_V1(cachekit_cache_ttl);
PG_FUNCTION_INFO_V1(cachekit_cache_touch);
PG_FUNCTION_INFO_V1(cachekit_cache_delete);
PG_FUNCTION_INFO_V1(cachekit_cache_delete_many);
PG_FUNCTION_INFO_V1(cachekit_cache_clear);
PG_FUNCTION_INFO_V1(cachekit_cache_invalidate_tag);

/*
 * Helpers
 */

/* Find an entry for a read that is counted. */
static bool
read_entry(const CkKey *key, CkKvEntry *entry)
{
	if (ck_kv_find(key, entry) == CK_KV_FOUND)
	{
		ck_kv_note_hit(key, entry);
		return true;
	}
	ck_count(CK_CTR_MISSES);
	return false;
}

/* Elements of a text array argument that must not be NULL. */
static int
text_elements(FunctionCallInfo fcinfo, int argno, const char *argument,
			  Datum **elems, bool **nulls)
{
	int			n;

	if (PG_ARGISNULL(argno))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("%s must not be null", argument)));
	deconstruct_array(PG_GETARG_ARRAYTYPE_P(argno), TEXTOID, -1, false,
					  TYPALIGN_INT, elems, nulls, &n);
	return n;
}

static text *
element(Datum elem, bool isnull)
{
	return isnull ? NULL : DatumGetTextPP(elem);
}

/*
 * Storing
 */

/* All of cache_set() but the value, which comes apart already. */
static bool
set_value(FunctionCallInfo fcinfo, CkValue *value)
{
	CkKvPut		put;

	put.key = ck_kv_key(TEXT_OR_NULL(0), "key");
	if (!ck_segment_attach())
		return false;
	put.value = value;
	put.cost_us = 0;
	ck_kv_put_ttl(&put, INTERVAL_OR_NULL(2));
	ck_kv_put_tags(&put, ARRAY_OR_NULL(3));
	return ck_kv_store(&put, ck_guc_kv_transactional);
}

/* cache_set(key text, value text, ttl interval, tags text[]) -> boolean */
Datum
cachekit_cache_set(PG_FUNCTION_ARGS)
{
	CkValue		value;

	ck_value_from_text(&value, TEXT_OR_NULL(1));
	PG_RETURN_BOOL(set_value(fcinfo, &value));
}

/* cache_set(key text, value anyelement, ttl, tags) -> boolean */
Datum
cachekit_cache_set_any(PG_FUNCTION_ARGS)
{
	CkValue		value;

	ck_value_from_datum(&value, get_fn_expr_argtype(fcinfo->flinfo, 1),
						PG_GETARG_DATUM(1), PG_ARGISNULL(1));
	PG_RETURN_BOOL(set_value(fcinfo, &value));
}

/* cache_set_many(keys text[], vals text[], ttl, tags) -> integer */
Datum
cachekit_cache_set_many(PG_FUNCTION_ARGS)
{
	Datum	   *keys;
	Datum	   *vals;
	bool	   *keynulls;
	bool	   *valnulls;
	int			n = text_elements(fcinfo, 0, "keys", &keys, &keynulls);
	int			nvals = text_elements(fcinfo, 1, "vals", &vals, &valnulls);
	int			stored = 0;
	CkKvPut		put;

	if (n != nvals)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("keys and vals must have the same number of elements"),
				 errdetail("keys has %d, vals has %d.", n, nvals)));
	if (!ck_segment_attach())
		PG_RETURN_INT32(0);

	put.cost_us = 0;
	ck_kv_put_ttl(&put, INTERVAL_OR_NULL(2));
	ck_kv_put_tags(&put, ARRAY_OR_NULL(3));
	for (int i = 0; i < n; i++)
	{
		CkValue		value;

		CHECK_FOR_INTERRUPTS();
		put.key = ck_kv_key(element(keys[i], keynulls[i]), "element of keys");
		ck_value_from_text(&value, element(vals[i], valnulls[i]));
		put.value = &value;
		if (ck_kv_store(&put, ck_guc_kv_transactional))
			stored++;
	}
	PG_RETURN_INT32(stored);
}

/*
 * Reading
 */

/* cache_get(key text) -> text */
Datum
cachekit_cache_get(PG_FUNCTION_ARGS)
{
	CkKey		key = ck_kv_key(TEXT_OR_NULL(0), "key");
	CkKvEntry	entry;
	text	   *result = NULL;

	if (ck_kv_may_read() && read_entry(&key, &entry))
		result = ck_kv_text(&entry);
	if (result == NULL)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(result);
}

/* Raise unless the entry's type is what the caller asks for. */
static void
check_asked_type(Oid stored, Oid asked)
{
	if (!OidIsValid(asked))
		ereport(ERROR,
				(errcode(ERRCODE_INDETERMINATE_DATATYPE),
				 errmsg("could not determine the type of as_type")));
	if (stored != asked)
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("cached value is not of the type asked for"),
				 errdetail("The value is of type %s, as_type is of type %s.",
						   format_type_be(stored), format_type_be(asked))));
}

/* cache_get(key text, as_type anyelement) -> anyelement */
Datum
cachekit_cache_get_as(PG_FUNCTION_ARGS)
{
	CkKey		key = ck_kv_key(TEXT_OR_NULL(0), "key");
	CkKvEntry	entry;
	Oid			typid;
	uint32		len;
	char	   *payload;

	if (!ck_kv_may_read() || !read_entry(&key, &entry))
		PG_RETURN_NULL();
	typid = entry.info->typid;
	len = entry.info->vallen;
	check_asked_type(typid, get_fn_expr_argtype(fcinfo->flinfo, 1));
	payload = ck_kv_is_null(&entry) ? NULL : ck_kv_payload(&entry);
	ck_kv_close(&entry);
	if (payload == NULL)
		PG_RETURN_NULL();
	PG_RETURN_DATUM(ck_value_to_datum(typid, payload, len));
}

/* Append a row for the key to the result, if there is an entry. */
static void
put_hit(ReturnSetInfo *rsinfo, text *keytext)
{
	CkKey		key = ck_kv_key(keytext, "element of keys");
	CkKvEntry	entry;
	Datum		values[2];
	bool		nulls[2] = {false, false};
	text	   *value;

	if (!ck_kv_may_read() || !read_entry(&key, &entry))
		return;
	value = ck_kv_text(&entry);
	values[0] = PointerGetDatum(keytext);
	values[1] = PointerGetDatum(value);
	nulls[1] = (value == NULL);
	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	if (value)
		pfree(value);
}

/* cache_get_many(keys text[]) -> TABLE(key text, value text) */
Datum
cachekit_cache_get_many(PG_FUNCTION_ARGS)
{
	Datum	   *keys;
	bool	   *nulls;
	int			n = text_elements(fcinfo, 0, "keys", &keys, &nulls);

	InitMaterializedSRF(fcinfo, 0);
	for (int i = 0; i < n; i++)
	{
		CHECK_FOR_INTERRUPTS();
		if (!nulls[i])
			put_hit((ReturnSetInfo *) fcinfo->resultinfo,
					DatumGetTextPP(keys[i]));
	}
	return (Datum) 0;
}

/* cache_exists(key text) -> boolean */
Datum
cachekit_cache_exists(PG_FUNCTION_ARGS)
{
	CkKey		key = ck_kv_key(TEXT_OR_NULL(0), "key");
	CkKvEntry	entry;

	if (!ck_kv_may_read() || ck_kv_find(&key, &entry) != CK_KV_FOUND)
		PG_RETURN_BOOL(false);
	ck_kv_close(&entry);
	PG_RETURN_BOOL(true);
}

/* cache_ttl(key text) -> interval, NULL when there is no entry or no expiry */
Datum
cachekit_cache_ttl(PG_FUNCTION_ARGS)
{
	CkKey		key = ck_kv_key(TEXT_OR_NULL(0), "key");
	CkKvEntry	entry;
	Interval   *left;
	int64		usecs;

	if (!ck_kv_may_read() || ck_kv_find(&key, &entry) != CK_KV_FOUND)
		PG_RETURN_NULL();
	ck_kv_close(&entry);
	if (entry.expires_at == 0)
		PG_RETURN_NULL();
	usecs = Max(entry.expires_at - ck_clock_now(), 1);
	left = palloc0(sizeof(Interval));
	left->day = usecs / USECS_PER_DAY;
	left->time = usecs % USECS_PER_DAY;
	PG_RETURN_INTERVAL_P(left);
}

/*
 * Changing and removing
 */

/* cache_touch(key text, ttl interval) -> boolean */
Datum
cachekit_cache_touch(PG_FUNCTION_ARGS)
{
	CkKey		key = ck_kv_key(TEXT_OR_NULL(0), "key");
	CkKvEntry	entry;
	TimestampTz expires_at;

	if (!ck_segment_attach() || ck_kv_find(&key, &entry) != CK_KV_FOUND)
		PG_RETURN_BOOL(false);
	ck_kv_close(&entry);
	if (!ck_kv_expiry(INTERVAL_OR_NULL(1), &expires_at))
		ck_kv_remove(&key, ck_guc_kv_transactional);
	else if (ck_guc_kv_transactional)
		ck_kv_pending_touch(&key, expires_at);
	else
	{
		ck_kv_pending_settle(&key);
		(void) ck_table_touch(&key, ck_clock_now(), expires_at);
	}
	PG_RETURN_BOOL(true);
}

/* Remove the entry of a key; was there one, as this transaction sees it? */
static bool
delete_key(text *keytext, const char *argument)
{
	CkKey		key = ck_kv_key(keytext, argument);
	CkKvEntry	entry;
	bool		found;

	if (!ck_segment_attach())
		return false;
	found = (ck_kv_find(&key, &entry) == CK_KV_FOUND);
	if (found)
		ck_kv_close(&entry);
	ck_kv_remove(&key, ck_guc_kv_transactional);
	return found;
}

/* cache_delete(key text) -> boolean */
Datum
cachekit_cache_delete(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(delete_key(TEXT_OR_NULL(0), "key"));
}

/* cache_delete_many(keys text[]) -> integer */
Datum
cachekit_cache_delete_many(PG_FUNCTION_ARGS)
{
	Datum	   *keys;
	bool	   *nulls;
	int			n = text_elements(fcinfo, 0, "keys", &keys, &nulls);
	int			deleted = 0;

	for (int i = 0; i < n; i++)
	{
		CHECK_FOR_INTERRUPTS();
		if (!nulls[i] && delete_key(DatumGetTextPP(keys[i]), "element of keys"))
			deleted++;
	}
	PG_RETURN_INT32(deleted);
}

/* What the visitors of cache_clear() need to know. */
typedef struct CkKvCount
{
	TimestampTz now;
	int64		count;
} CkKvCount;

static bool
is_live(const CkItemInfo *info, CkKvCount *state)
{
	return info->kind == CK_KIND_KV && info->dbid == MyDatabaseId &&
		(info->expires_at == 0 || info->expires_at > state->now);
}

/* CkVisit, under a shard's lock: count what this transaction sees. */
static bool
count_seen(const CkItemInfo *info, const void *key, const void *meta, void *arg)
{
	CkKvCount  *state = arg;
	CkKvView	view;
	CkKey		k;

	if (!is_live(info, state))
		return true;
	if (ck_kv_npending > 0)
	{
		k = ck_table_key(CK_KIND_KV, MyDatabaseId, key, info->keylen);
		ck_kv_pending_look(&k, &view);
		if (view.sight != CK_KV_SHARED)
			return true;
	}
	state->count++;
	return true;
}

/* CkVisit, under a shard's lock: take all, count the live ones. */
static bool
take_all(const CkItemInfo *info, const void *key, const void *meta, void *arg)
{
	if (info->kind != CK_KIND_KV || info->dbid != MyDatabaseId)
		return false;
	if (is_live(info, arg))
		((CkKvCount *) arg)->count++;
	return true;
}

/*
 * cache_clear() -> bigint: the entries of this database, as this transaction
 * sees them.  Entries of invalidated tags count until a read meets them.
 */
Datum
cachekit_cache_clear(PG_FUNCTION_ARGS)
{
	CkKvCount	state = {0};

	if (!ck_segment_attach())
		PG_RETURN_INT64(0);
	state.now = ck_clock_now();
	state.count = ck_kv_pending_count_own(state.now);
	if (ck_guc_kv_transactional)
	{
		ck_table_foreach(count_seen, &state);
		ck_kv_pending_clear();
	}
	else
	{
		if (ck_kv_npending > 0)
			ck_kv_pending_clear();
		ck_counters_add(ck_counters_slot(MyDatabaseId), CK_CTR_INVALIDATIONS,
						ck_table_unlink_if(take_all, &state));
	}
	PG_RETURN_INT64(state.count);
}

/*
 * cache_invalidate_tag(tag text) -> void.  The commit of a transaction id is
 * what others see, so there must be one.
 */
Datum
cachekit_cache_invalidate_tag(PG_FUNCTION_ARGS)
{
	text	   *tag = TEXT_OR_NULL(0);
	bool		at_commit = ck_guc_kv_transactional && !RecoveryInProgress();
	uint32		cell;

	ck_args_check_length(tag, "tag", CK_MAX_TAG_LEN);
	if (at_commit)
		(void) GetTopFullTransactionId();
	if (!ck_segment_attach())
	{
		if (at_commit)
			ck_xact_mark_lost();
		PG_RETURN_VOID();
	}
	cell = ck_cell_of_tag(MyDatabaseId, VARDATA_ANY(tag),
						  VARSIZE_ANY_EXHDR(tag));
	ck_kv_pending_invalidate(cell);
	if (at_commit)
		ck_xact_mark(cell);
	else
		ck_cells_bump(cell);
	PG_RETURN_VOID();
}
