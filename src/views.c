/*-------------------------------------------------------------------------
 *
 * views.c
 *	  What the views show, and cache_check().
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "funcapi.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"

#include "clock.h"
#include "counters.h"
#include "fingerprint.h"
#include "keys.h"
#include "querystats.h"
#include "segment.h"
#include "serve.h"
#include "table.h"
#include "track.h"

PG_FUNCTION_INFO_V1(cachekit_stat_counters);
PG_FUNCTION_INFO_V1(cachekit_stat_bypasses);
PG_FUNCTION_INFO_V1(cachekit_stat_entries);
PG_FUNCTION_INFO_V1(cachekit_stat_queries);
PG_FUNCTION_INFO_V1(cachekit_stat_table);
PG_FUNCTION_INFO_V1(cachekit_cache_reset_stats);
PG_FUNCTION_INFO_V1(cachekit_cache_check);

/* ---------------- counters ---------------- */

/* One row; all zero without memory. */
Datum
cachekit_stat_counters(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *info = (ReturnSetInfo *) fcinfo->resultinfo;
	Datum		values[CK_NUM_COUNTERS + 2];
	bool		nulls[CK_NUM_COUNTERS + 2] = {false};
	bool		attached = ck_segment_attach();
	uint16		slot = attached ? ck_counters_slot(MyDatabaseId) : 0;

	InitMaterializedSRF(fcinfo, 0);
	ck_table_flush_hits();
	for (int i = 0; i < CK_NUM_COUNTERS; i++)
		values[i] = Int64GetDatum(attached ? ck_counters_read(slot, i) : 0);
	values[CK_NUM_COUNTERS] = Int64GetDatum(attached ? ck_segment_budget() : 0);
	nulls[CK_NUM_COUNTERS + 1] = !attached;
	if (attached)
		values[CK_NUM_COUNTERS + 1] = TimestampTzGetDatum(ck_counters_reset_time(slot));
	tuplestore_putvalues(info->setResult, info->setDesc, values, nulls);
	return (Datum) 0;
}

/* (reason, count), every reason */
Datum
cachekit_stat_bypasses(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *info = (ReturnSetInfo *) fcinfo->resultinfo;
	bool		attached = ck_segment_attach();
	uint16		slot = attached ? ck_counters_slot(MyDatabaseId) : 0;

	InitMaterializedSRF(fcinfo, 0);
	for (int i = CK_BYPASS_NONE + 1; i < CK_NUM_BYPASSES; i++)
	{
		Datum		values[2];
		bool		nulls[2] = {false};

		values[0] = CStringGetTextDatum(ck_bypass_name(i));
		values[1] = Int64GetDatum(attached ? ck_counters_read_bypass(slot, i) : 0);
		tuplestore_putvalues(info->setResult, info->setDesc, values, nulls);
	}
	return (Datum) 0;
}

Datum
cachekit_cache_reset_stats(PG_FUNCTION_ARGS)
{
	if (ck_segment_attach())
	{
		ck_counters_reset(ck_counters_slot(MyDatabaseId));
		ck_querystats_reset(MyDatabaseId);
	}
	PG_RETURN_VOID();
}

/* ---------------- queries ---------------- */

static void
put_query(ReturnSetInfo *info, const CkQueryStat *stat)
{
	Datum		values[9];
	bool		nulls[9] = {false};

	values[0] = CStringGetTextDatum(stat->text);
	values[1] = Int64GetDatum(stat->hits + stat->misses + stat->bypasses);
	values[2] = Int64GetDatum(stat->hits);
	values[3] = Int64GetDatum(stat->misses);
	values[4] = Int64GetDatum(stat->bypasses);
	values[5] = Float8GetDatum(stat->fill_us / 1000.0);
	values[6] = Float8GetDatum(stat->saved_us / 1000.0);
	values[7] = Int64GetDatum(stat->bytes);
	values[8] = Int64GetDatum((int64) stat->queryid);
	nulls[8] = stat->queryid == 0;
	tuplestore_putvalues(info->setResult, info->setDesc, values, nulls);
}

/* (query, calls, hits, misses, bypasses, fill_ms, saved_ms, bytes, queryid) */
Datum
cachekit_stat_queries(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *info = (ReturnSetInfo *) fcinfo->resultinfo;
	CkQueryStat stat;

	InitMaterializedSRF(fcinfo, 0);
	if (!ck_segment_attach())
		return (Datum) 0;
	for (uint32 i = 0; i < ck_querystats_count(); i++)
		if (ck_querystats_read(i, MyDatabaseId, &stat))
			put_query(info, &stat);
	return (Datum) 0;
}

/* ---------------- entries ---------------- */

/*
 * Copies of entries, taken under the table's locks where nothing can be
 * allocated: one pass measures, the next copies into the room made.
 */
typedef struct EntryCopy
{
	CkItemInfo	info;
	/* key, then meta, each aligned */
} EntryCopy;

typedef struct EntryCopies
{
	char	   *data;			/* NULL while measuring */
	Size		used;
	Size		size;
} EntryCopies;

static bool
copy_entry(const CkItemInfo *info, const void *key, const void *meta, void *arg)
{
	EntryCopies *copies = arg;
	Size		need = MAXALIGN(sizeof(EntryCopy)) + MAXALIGN(info->keylen) +
		MAXALIGN(info->metalen);
	char	   *at;

	if (info->dbid != MyDatabaseId)
		return true;
	if (copies->data == NULL)
	{
		copies->used += need;
		return true;
	}
	if (copies->used + need > copies->size)
		return true;			/* came since we measured */
	at = copies->data + copies->used;
	((EntryCopy *) at)->info = *info;
	at += MAXALIGN(sizeof(EntryCopy));
	memcpy(at, key, info->keylen);
	memcpy(at + MAXALIGN(info->keylen), meta, info->metalen);
	copies->used += need;
	return true;
}

static void
take_copies(EntryCopies *copies)
{
	memset(copies, 0, sizeof(*copies));
	ck_table_foreach(copy_entry, copies);
	copies->size = copies->used + copies->used / 8 + 4096;
	copies->data = MemoryContextAllocHuge(CurrentMemoryContext, copies->size);
	copies->used = 0;
	ck_table_foreach(copy_entry, copies);
}

static Datum
relations_of(const CkEntryMeta *meta)
{
	const Oid  *oids = (const Oid *) &meta->stamps[meta->nstamps];
	Datum	   *values = palloc(Max(meta->nrelations, 1) * sizeof(Datum));

	for (int i = 0; i < meta->nrelations; i++)
		values[i] = ObjectIdGetDatum(oids[i]);
	return PointerGetDatum(construct_array(values, meta->nrelations, REGCLASSOID,
										   sizeof(Oid), true, TYPALIGN_INT));
}

static Datum
dependencies_of(const CkEntryMeta *meta)
{
	const Oid  *oids = (const Oid *) &meta->stamps[meta->nstamps];
	List	   *relations = NIL;
	const char *text;
	int			len;

	for (int i = 0; i < meta->nrelations; i++)
		relations = lappend_oid(relations, oids[i]);
	text = ck_serve_keys_text(meta, &len);
	return PointerGetDatum(ck_plandeps_array(ck_plandeps_names(relations, text, len)));
}

static Interval *
interval_of(int64 microseconds)
{
	Interval   *result = palloc0(sizeof(Interval));

	result->time = microseconds;
	return result;
}

static void
put_entry(ReturnSetInfo *info, const EntryCopy *copy, const char *key,
		  const char *meta, TimestampTz now)
{
	const CkItemInfo *item = &copy->info;
	bool		is_query = item->kind == CK_KIND_QUERY;
	CkQueryStat stat;
	Datum		values[13];
	bool		nulls[13] = {false};
	bool		has_text;

	has_text = is_query &&
		((const CkEntryMeta *) meta)->text_slot < ck_querystats_count() &&
		ck_querystats_read(((const CkEntryMeta *) meta)->text_slot, MyDatabaseId, &stat);
	values[0] = CStringGetTextDatum(is_query ? "query" : "kv");
	values[1] = is_query ? CStringGetTextDatum(ck_fingerprint_hex(key, item->keylen)) :
		PointerGetDatum(cstring_to_text_with_len(key, item->keylen));
	nulls[2] = is_query;
	values[2] = ObjectIdGetDatum(item->typid);
	nulls[3] = !has_text;
	if (has_text)
		values[3] = CStringGetTextDatum(stat.text);
	nulls[4] = !is_query;
	if (is_query)
		values[4] = relations_of((const CkEntryMeta *) meta);
	values[5] = Int64GetDatum(item->hits);
	values[6] = Int64GetDatum(item->size);
	values[7] = Int64GetDatum(item->vallen);
	values[8] = IntervalPGetDatum(interval_of(now - item->stored_at));
	nulls[9] = item->expires_at == 0;
	values[9] = IntervalPGetDatum(interval_of(item->expires_at - now));
	values[10] = Float8GetDatum(item->cost_us / 1000.0);
	values[11] = Float8GetDatum((double) item->cost_us * item->hits / 1000.0);
	nulls[12] = !is_query;
	if (is_query)
		values[12] = dependencies_of((const CkEntryMeta *) meta);
	tuplestore_putvalues(info->setResult, info->setDesc, values, nulls);
}

/*
 * (kind, key, type, query, depends_on, hits, bytes, value_bytes, age,
 * expires_in, cost, saved, dependencies)
 */
Datum
cachekit_stat_entries(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *info = (ReturnSetInfo *) fcinfo->resultinfo;
	EntryCopies copies;
	TimestampTz now = ck_clock_now();
	char	   *at;

	InitMaterializedSRF(fcinfo, 0);
	if (!ck_segment_attach())
		return (Datum) 0;
	ck_table_flush_hits();
	take_copies(&copies);
	for (at = copies.data; at < copies.data + copies.used;)
	{
		EntryCopy  *copy = (EntryCopy *) at;
		char	   *key = at + MAXALIGN(sizeof(EntryCopy));
		char	   *meta = key + MAXALIGN(copy->info.keylen);

		if (copy->info.expires_at == 0 || copy->info.expires_at > now)
			put_entry(info, copy, key, meta, now);
		at = meta + MAXALIGN(copy->info.metalen);
	}
	return (Datum) 0;
}

/* ---------------- tables ---------------- */

static Datum
names_of_keys(List *keys)
{
	List	   *names = NIL;
	ListCell   *lc;

	foreach(lc, keys)
		names = lappend(names, ((CkKeyDef *) lfirst(lc))->name);
	return PointerGetDatum(ck_plandeps_array(names));
}

/* cachekit_stat_table(regclass) -> (tracked, gap, tracker, keys): is every write seen? */
Datum
cachekit_stat_table(PG_FUNCTION_ARGS)
{
	TupleDesc	desc;
	Datum		values[4];
	bool		nulls[4] = {false};
	CkTracked	tracked;
	StringInfoData shape;
	const char *missing;
	const char *tracker;

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	ck_track_set_namespace(fcinfo->flinfo->fn_oid);
	initStringInfo(&shape);
	ck_track_describe(PG_GETARG_OID(0), &tracked, &shape, NULL);
	missing = ck_track_ddl_unwatched(NULL);
	if (tracked.tracked && missing)
	{
		tracked.tracked = false;
		tracked.why_not = psprintf("event trigger %s is not enabled always", missing);
	}
	values[0] = BoolGetDatum(tracked.tracked);
	nulls[1] = tracked.tracked;
	if (!nulls[1])
		values[1] = CStringGetTextDatum(tracked.why_not);
	tracker = ck_track_tracker(PG_GETARG_OID(0));
	nulls[2] = tracker == NULL;
	if (!nulls[2])
		values[2] = CStringGetTextDatum(tracker);
	values[3] = names_of_keys(tracked.tracked ? tracked.keys : NIL);
	return HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls));
}

/* ---------------- self-check ---------------- */

static void
report_problem(const char *problem, void *arg)
{
	ReturnSetInfo *info = arg;
	Datum		value = CStringGetTextDatum(problem);
	bool		null = false;

	tuplestore_putvalues(info->setResult, info->setDesc, &value, &null);
}

/* cache_check() -> SETOF text: violated invariants, none when all is well */
Datum
cachekit_cache_check(PG_FUNCTION_ARGS)
{
	InitMaterializedSRF(fcinfo, MAT_SRF_USE_EXPECTED_DESC);
	if (ck_segment_attach())
	{
		ck_table_check(report_problem, fcinfo->resultinfo);
		ck_cells_check(report_problem, fcinfo->resultinfo);
	}
	return (Datum) 0;
}
