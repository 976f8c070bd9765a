/*-------------------------------------------------------------------------
 *
 * kv_atomic.c
 *	  cache_add() and cache_incr(): immediate, and atomic across sessions.
 *
 * Both read the entry, make a new one out of what they saw, and link it on
 * condition that the shared entry is still the one they saw (or none).  If it
 * is not, they start over.  Somebody's attempt always succeeds.
 *
 * What this transaction has pending for the key is published first, so that
 * there is only one truth to compare with.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "common/int.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "counters.h"
#include "guc.h"
#include "kv_args.h"
#include "kv_entry.h"
#include "kv_pending.h"
#include "segment.h"
#include "table.h"

PG_FUNCTION_INFO_V1(cachekit_cache_add);
PG_FUNCTION_INFO_V1(cachekit_cache_add_any);
PG_FUNCTION_INFO_V1(cachekit_cache_incr);

/* The shared entry that a new one may replace. */
typedef struct CkExpected
{
	bool		exists;
	uint32		id;
	TimestampTz expires_at;		/* touched meanwhile? */
} CkExpected;

/* CkMayReplace, under a shard's lock. */
static bool
is_expected(const CkItemInfo *resident, const void *resident_meta,
			const CkItemInfo *fresh, const void *fresh_meta, void *arg)
{
	const CkExpected *expected = arg;

	return expected->exists && resident->id == expected->id &&
		resident->expires_at == expected->expires_at;
}

/* Find the shared entry of a settled key, and what may be replaced. */
static bool
find_expected(const CkKey *key, CkKvEntry *entry, CkExpected *expected)
{
	CkKvFound	found;

	CHECK_FOR_INTERRUPTS();
	found = ck_kv_find(key, entry);
	expected->exists = (found != CK_KV_NOT_FOUND);
	if (found == CK_KV_NOT_FOUND)
		return false;
	expected->id = entry->info->id;
	expected->expires_at = entry->info->expires_at;
	return found == CK_KV_FOUND;
}

/* Link an item if it may be; count it. */
static bool
link_if_expected(CkItem *item, CkExpected *expected)
{
	if (!ck_table_link(item, is_expected, expected))
		return false;
	ck_count(CK_CTR_SETS);
	return true;
}

/*
 * cache_add
 */

/* Store the entry unless there is one. */
static bool
add_entry(CkKvPut *put)
{
	CkKvEntry	entry;
	CkExpected	expected;

	ck_kv_pending_settle(&put->key);
	for (;;)
	{
		CkItem	   *item;

		if (find_expected(&put->key, &entry, &expected))
		{
			ck_kv_close(&entry);
			return false;
		}
		item = ck_kv_prepare(put);
		if (item == NULL)
			return false;
		if (link_if_expected(item, &expected))
			return true;
	}
}

/* All of cache_add() but the value, which comes apart already. */
static bool
add_value(FunctionCallInfo fcinfo, CkValue *value)
{
	CkKvPut		put;

	put.key = ck_kv_key(TEXT_OR_NULL(0), "key");
	if (!ck_segment_attach())
		return false;
	put.value = value;
	put.cost_us = 0;
	ck_kv_put_ttl(&put, INTERVAL_OR_NULL(2));
	ck_kv_put_tags(&put, ARRAY_OR_NULL(3));
	if (!ck_guc_enabled || put.expired || put.stale)
		return false;
	return add_entry(&put);
}

/* cache_add(key text, value text, ttl interval, tags text[]) -> boolean */
Datum
cachekit_cache_add(PG_FUNCTION_ARGS)
{
	CkValue		value;

	ck_value_from_text(&value, TEXT_OR_NULL(1));
	PG_RETURN_BOOL(add_value(fcinfo, &value));
}

/* cache_add(key text, value anyelement, ttl, tags) -> boolean */
Datum
cachekit_cache_add_any(PG_FUNCTION_ARGS)
{
	CkValue		value;

	ck_value_from_datum(&value, get_fn_expr_argtype(fcinfo->flinfo, 1),
						PG_GETARG_DATUM(1), PG_ARGISNULL(1));
	PG_RETURN_BOOL(add_value(fcinfo, &value));
}

/*
 * cache_incr
 */

/* The number that an entry holds; closes it.  Raises if there is none. */
static int64
entry_number(CkKvEntry *entry)
{
	Oid			typid = entry->info->typid;
	uint32		len = entry->info->vallen;
	bool		isnull = ck_kv_is_null(entry);
	char	   *payload = ck_kv_payload(entry);

	ck_kv_close(entry);
	if (isnull)
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("cannot increment a null value")));
	switch (typid)
	{
		case INT2OID:
			return DatumGetInt16(ck_value_to_datum(typid, payload, len));
		case INT4OID:
			return DatumGetInt32(ck_value_to_datum(typid, payload, len));
		case INT8OID:
			return DatumGetInt64(ck_value_to_datum(typid, payload, len));
		case TEXTOID:
			return DatumGetInt64(DirectFunctionCall1(int8in,
													 CStringGetDatum(payload)));
		default:
			ereport(ERROR,
					(errcode(ERRCODE_DATATYPE_MISMATCH),
					 errmsg("cannot increment a value of type %s",
							format_type_be(typid)),
					 errhint("Types smallint, integer, bigint and text can be incremented.")));
	}
	return 0;					/* not reached */
}

static void
raise_out_of_range(Oid typid)
{
	ereport(ERROR,
			(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
			 errmsg("incremented value is out of range for type %s",
					typid == TEXTOID ? "bigint" : format_type_be(typid))));
}

/* Take a number apart as a value of one of the types above. */
static void
number_value(CkValue *value, Oid typid, int64 number)
{
	Datum		datum = (Datum) 0;

	switch (typid)
	{
		case INT2OID:
			if (number < PG_INT16_MIN || number > PG_INT16_MAX)
				raise_out_of_range(typid);
			datum = Int16GetDatum((int16) number);
			break;
		case INT4OID:
			if (number < PG_INT32_MIN || number > PG_INT32_MAX)
				raise_out_of_range(typid);
			datum = Int32GetDatum((int32) number);
			break;
		case INT8OID:
			datum = Int64GetDatum(number);
			break;
		default:
			ck_value_from_text(value,
							   cstring_to_text(psprintf(INT64_FORMAT, number)));
			return;
	}
	ck_value_from_datum(value, typid, datum, false);
}

/* Give the new entry the time to live and the tags of the old one. */
static void
inherit(CkKvPut *put, const CkKvEntry *entry)
{
	put->expires_at = entry->info->expires_at;
	put->nstamps = entry->info->metalen / sizeof(CkStamp);
	memcpy(put->stamps, entry->stamps, entry->info->metalen);
}

/* What the entry is to become.  False: there is none, and no initial value. */
static bool
next_number(CkKvPut *put, CkKvEntry *entry, bool found, int64 delta,
			const int64 *initial, int64 *number)
{
	Oid			typid;

	if (!found)
	{
		if (initial == NULL)
			return false;
		*number = *initial;
		ck_kv_put_ttl(put, NULL);
		ck_kv_put_tags(put, NULL);
		number_value(put->value, INT8OID, *number);
		return true;
	}
	typid = entry->info->typid;
	inherit(put, entry);
	if (pg_add_s64_overflow(entry_number(entry), delta, number))
		raise_out_of_range(typid);
	number_value(put->value, typid, *number);
	return true;
}

/* False: the result is NULL. */
static bool
incr_entry(const CkKey *key, int64 delta, const int64 *initial, int64 *number)
{
	CkValue		value;
	CkKvPut		put = {.key = *key,.value = &value};
	CkKvEntry	entry;
	CkExpected	expected;

	ck_kv_pending_settle(key);
	for (;;)
	{
		bool		found = find_expected(key, &entry, &expected);
		CkItem	   *item;

		if (!next_number(&put, &entry, found, delta, initial, number))
			return false;
		item = ck_kv_prepare(&put);
		if (item == NULL)
		{
			/* Leave no number behind that lacks an increment. */
			ck_kv_remove(key, false);
			return false;
		}
		if (link_if_expected(item, &expected))
			return true;
	}
}

/* cache_incr(key text, delta bigint, initial bigint) -> bigint */
Datum
cachekit_cache_incr(PG_FUNCTION_ARGS)
{
	CkKey		key = ck_kv_key(TEXT_OR_NULL(0), "key");
	int64		initial = PG_ARGISNULL(2) ? 0 : PG_GETARG_INT64(2);
	int64		number;

	if (PG_ARGISNULL(1))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("delta must not be null")));
	if (!ck_segment_attach() || !ck_guc_enabled)
		PG_RETURN_NULL();
	if (!incr_entry(&key, PG_GETARG_INT64(1),
					PG_ARGISNULL(2) ? NULL : &initial, &number))
		PG_RETURN_NULL();
	PG_RETURN_INT64(number);
}
