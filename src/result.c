/*-------------------------------------------------------------------------
 *
 * result.c
 *	  Where the rows of a cached query go.
 *
 * Two kinds of targets: a tuplestore for set-returning functions, and one
 * jsonb array.  A target can be fed from an entry's bytes or by running the
 * query; in the latter case the bytes to be stored are collected along the
 * way until there are too many of them, so that a large result is neither
 * held twice nor delayed.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "executor/tuptable.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "tcop/dest.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/jsonb.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/tuplestore.h"

#include "codec.h"
#include "compare.h"
#include "result.h"

struct CkTarget
{
	DestReceiver pub;			/* first: what the executor sees */
	CkRequest  *request;
	TupleDesc	desc;			/* of the query's rows */
	MemoryContext context;		/* of the call */
	MemoryContext row_context;	/* reset for each row */

	/* Rows */
	Tuplestorestate *store;
	TupleDesc	wanted;			/* the caller's row type */
	int		   *map;			/* its columns in ours, -1: null; or NULL */
	Datum	   *values;			/* of wanted, with map */
	bool	   *nulls;

	/* JSON */
	JsonbParseState *json;
	FmgrInfo	to_jsonb;
	Jsonb	   *document;

	/* Bytes to be stored */
	StringInfo	fill;			/* NULL: nobody wants them */
	Size		limit;
	bool		overflow;

	/* Verification */
	CkComparison *comparison;
};

/* ---------------- bytes to be stored ---------------- */

static void
collect(CkTarget *target, MinimalTuple tuple)
{
	if (target->fill == NULL || target->overflow)
		return;
	if (target->fill->len + MAXALIGN(tuple->t_len) > target->limit)
	{
		target->overflow = true;
		pfree(target->fill->data);
		initStringInfo(target->fill);
		return;
	}
	ck_codec_append(target->fill, tuple);
}

/* ---------------- rows ---------------- */

static void
put_mapped(CkTarget *target, TupleTableSlot *slot)
{
	slot_getallattrs(slot);
	for (int i = 0; i < target->wanted->natts; i++)
	{
		int			from = target->map[i];

		target->nulls[i] = from < 0 || slot->tts_isnull[from];
		target->values[i] = target->nulls[i] ? (Datum) 0 : slot->tts_values[from];
	}
	tuplestore_putvalues(target->store, target->wanted, target->values, target->nulls);
}

static void
put_row(CkTarget *target, TupleTableSlot *slot)
{
	if (target->store == NULL)
		return;
	if (target->map)
		put_mapped(target, slot);
	else
		tuplestore_puttupleslot(target->store, slot);
}

static bool
receive_row(TupleTableSlot *slot, DestReceiver *self)
{
	CkTarget   *target = (CkTarget *) self;
	MemoryContext old = MemoryContextSwitchTo(target->row_context);
	MinimalTuple tuple = NULL;

	if (target->fill != NULL && !target->overflow)
		tuple = ck_codec_flatten(slot);
	MemoryContextSwitchTo(target->context);
	if (tuple != NULL)
		collect(target, tuple);
	MemoryContextSwitchTo(target->row_context);
	put_row(target, slot);
	MemoryContextSwitchTo(old);
	MemoryContextReset(target->row_context);
	return true;
}

static void
hit_rows(void *arg, const char *data, Size len)
{
	CkTarget   *target = arg;
	TupleTableSlot *slot = MakeSingleTupleTableSlot(target->desc, &TTSOpsMinimalTuple);
	CkCursor	cursor;
	MinimalTuple tuple;

	ck_codec_open(&cursor, data, len);
	while ((tuple = ck_codec_next(&cursor)) != NULL)
	{
		ExecStoreMinimalTuple(tuple, slot, false);
		put_row(target, slot);
	}
	ExecDropSingleTupleTableSlot(slot);
}

/*
 * Before the query runs: keep its row type, since functions that it calls may
 * run the same query and have it analysed anew.
 */
static void
keep_desc(CkTarget *target)
{
	target->desc = CreateTupleDescCopy(target->desc);
}

static bool
run_query(void *arg, StringInfo fill, Size limit)
{
	CkTarget   *target = arg;

	keep_desc(target);
	target->row_context = AllocSetContextCreate(target->context, "cachekit row",
												ALLOCSET_DEFAULT_SIZES);
	target->fill = fill;
	target->limit = limit;
	target->overflow = false;
	ck_query_run(target->request->query, ck_serve_take_plan(target->request),
				 target->request->params, target->request->snapshot,
				 target->desc, &target->pub);
	target->fill = NULL;
	return fill == NULL || !target->overflow;
}

/* ---------------- verification ---------------- */

static bool
receive_verified(TupleTableSlot *slot, DestReceiver *self)
{
	ck_compare_row(((CkTarget *) self)->comparison, slot);
	return true;
}

static void
verify_rows(void *arg, const char *data, Size len)
{
	CkTarget   *target = arg;
	CkTarget	check = *target;

	keep_desc(target);
	check.desc = target->desc;
	check.pub.receiveSlot = receive_verified;
	check.comparison = ck_compare_begin(target->desc, data, len);
	ck_query_run(target->request->query, NULL, target->request->params,
				 target->request->snapshot, target->desc, &check.pub);
	ck_compare_end(check.comparison, target->request->query->text);
}

/* ---------------- JSON ---------------- */

static bool
receive_json(TupleTableSlot *slot, DestReceiver *self)
{
	CkTarget   *target = (CkTarget *) self;
	MemoryContext old = MemoryContextSwitchTo(target->context);
	HeapTuple	tuple;
	Jsonb	   *object;
	JsonbValue	value;

	slot_getallattrs(slot);
	tuple = heap_form_tuple(target->desc, slot->tts_values, slot->tts_isnull);
	object = DatumGetJsonbP(FunctionCall1(&target->to_jsonb,
										  HeapTupleGetDatum(tuple)));
	JsonbToJsonbValue(object, &value);
	(void) pushJsonbValue(&target->json, WJB_ELEM, &value);
	heap_freetuple(tuple);
	MemoryContextSwitchTo(old);
	return true;
}

/* Make to_jsonb(record) callable for rows of the query's type. */
static void
prepare_to_jsonb(CkTarget *target)
{
	Node	   *call;

	keep_desc(target);
	BlessTupleDesc(target->desc);
	fmgr_info(F_TO_JSONB, &target->to_jsonb);
	call = (Node *) makeFuncExpr(F_TO_JSONB, JSONBOID,
								 list_make1(makeNullConst(RECORDOID, -1, InvalidOid)),
								 InvalidOid, InvalidOid, COERCE_EXPLICIT_CALL);
	fmgr_info_set_expr(call, &target->to_jsonb);
}

static Jsonb *
build_json(CkTarget *target)
{
	Jsonb	   *result;

	prepare_to_jsonb(target);
	target->json = NULL;
	(void) pushJsonbValue(&target->json, WJB_BEGIN_ARRAY, NULL);
	ck_query_run(target->request->query, ck_serve_take_plan(target->request),
				 target->request->params, target->request->snapshot,
				 target->desc, &target->pub);
	result = JsonbValueToJsonb(pushJsonbValue(&target->json, WJB_END_ARRAY, NULL));
	return result;
}

static bool
run_json(void *arg, StringInfo fill, Size limit)
{
	CkTarget   *target = arg;

	target->document = build_json(target);
	if (fill == NULL)
		return true;
	if (VARSIZE(target->document) > limit)
		return false;
	appendBinaryStringInfo(fill, (char *) target->document,
						   VARSIZE(target->document));
	return true;
}

static void
hit_json(void *arg, const char *data, Size len)
{
	CkTarget   *target = arg;

	target->document = palloc(len);
	memcpy(target->document, data, len);
}

static void
verify_json(void *arg, const char *data, Size len)
{
	CkTarget   *target = arg;
	Jsonb	   *direct = build_json(target);
	Jsonb	   *cached = palloc(len);

	memcpy(cached, data, len);
	/* the array's elements as a set: the order may be free */
	if (compareJsonbContainers(&direct->root, &cached->root) != 0 &&
		!DatumGetBool(DirectFunctionCall2(jsonb_contained,
										  JsonbPGetDatum(direct),
										  JsonbPGetDatum(cached))))
		ck_compare_mismatch(target->request->query->text);
}

/* ---------------- targets ---------------- */

static void
nothing(DestReceiver *self)
{
}

static void
nothing_startup(DestReceiver *self, int operation, TupleDesc typeinfo)
{
}

static CkTarget *
make_target(CkRequest *request)
{
	CkTarget   *target = palloc0(sizeof(CkTarget));

	target->pub.rStartup = nothing_startup;
	target->pub.rShutdown = nothing;
	target->pub.rDestroy = nothing;
	target->pub.mydest = DestNone;
	target->request = request;
	target->desc = ck_query_desc(request->query);
	target->context = CurrentMemoryContext;
	return target;
}

static void
wrong_column(TupleDesc wanted, int w, TupleDesc desc, int d)
{
	Form_pg_attribute a = TupleDescAttr(wanted, w);
	Form_pg_attribute b = TupleDescAttr(desc, d);

	ereport(ERROR,
			(errcode(ERRCODE_DATATYPE_MISMATCH),
			 errmsg("row type of the cached query does not match the caller's"),
			 errdetail("Column %d (\"%s\") is of type %s, the query returns %s.",
					   d + 1, NameStr(a->attname),
					   format_type_with_typemod(a->atttypid, a->atttypmod),
					   format_type_with_typemod(b->atttypid, b->atttypmod)),
			 errhint("Change the column list, or cast in the query.")));
}

static bool
same_type(Form_pg_attribute wanted, Form_pg_attribute ours)
{
	return wanted->atttypid == ours->atttypid &&
		(wanted->atttypmod < 0 || wanted->atttypmod == ours->atttypmod);
}

static int
live_columns(TupleDesc desc)
{
	int			n = 0;

	for (int i = 0; i < desc->natts; i++)
		if (!TupleDescAttr(desc, i)->attisdropped)
			n++;
	return n;
}

/*
 * Check the query's columns against the caller's row type, column by column,
 * and tell which is which when the latter has dropped ones.
 */
static int *
match_columns(TupleDesc wanted, TupleDesc desc)
{
	int		   *map = palloc(Max(wanted->natts, 1) * sizeof(int));
	int			next = 0;

	if (live_columns(wanted) != desc->natts)
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("row type of the cached query does not match the caller's"),
				 errdetail("The caller expects %d columns, the query returns %d.",
						   live_columns(wanted), desc->natts),
				 errhint("Change the column list, or the query.")));
	for (int i = 0; i < wanted->natts; i++)
	{
		map[i] = -1;
		if (TupleDescAttr(wanted, i)->attisdropped)
			continue;
		if (!same_type(TupleDescAttr(wanted, i), TupleDescAttr(desc, next)))
			wrong_column(wanted, i, desc, next);
		map[i] = next++;
	}
	if (wanted->natts == desc->natts)
	{
		pfree(map);
		return NULL;
	}
	return map;
}

/*
 * A target for a set-returning function: its result, in the caller's memory.
 */
CkTarget *
ck_result_rows(FunctionCallInfo fcinfo, CkRequest *request)
{
	ReturnSetInfo *info = (ReturnSetInfo *) fcinfo->resultinfo;
	CkTarget   *target = make_target(request);

	if (info == NULL || !IsA(info, ReturnSetInfo) ||
		(info->allowedModes & SFRM_Materialize) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("set-valued function called in context that cannot accept a set")));
	if (info->expectedDesc == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cached_query() must be called with a column definition list"),
				 errhint("Use it in FROM with AS name(column type, ...), pass a row type, or use cached_query_json().")));
	InitMaterializedSRF(fcinfo, MAT_SRF_USE_EXPECTED_DESC);
	target->store = info->setResult;
	target->wanted = info->setDesc;
	target->map = match_columns(info->setDesc, target->desc);
	if (target->map)
	{
		target->values = palloc(info->setDesc->natts * sizeof(Datum));
		target->nulls = palloc(info->setDesc->natts * sizeof(bool));
	}
	target->pub.receiveSlot = receive_row;
	return target;
}

CkTarget *
ck_result_json(CkRequest *request)
{
	CkTarget   *target = make_target(request);

	target->pub.receiveSlot = receive_json;
	return target;
}

/* The document, after ck_result_answer(). */
Datum
ck_result_json_datum(CkTarget *target)
{
	return JsonbPGetDatum(target->document);
}

static void
prepare(void *arg)
{
	keep_desc((CkTarget *) arg);
}

static void
set_producer(CkProducer *producer, CkTarget *target)
{
	producer->arg = target;
	producer->prepare = prepare;
	if (target->request->form == CK_FORM_ROWS)
	{
		producer->hit = hit_rows;
		producer->run = run_query;
		producer->verify = verify_rows;
	}
	else
	{
		producer->hit = hit_json;
		producer->run = run_json;
		producer->verify = verify_json;
	}
}

/* Answer the target's request into it. */
void
ck_result_answer(CkTarget *target)
{
	CkProducer	producer;

	set_producer(&producer, target);
	ck_serve_answer(target->request, &producer);
}

/* Store the request's result, and give it to nobody: see ck_serve_refresh(). */
bool
ck_result_refresh(CkRequest *request)
{
	CkTarget   *target = make_target(request);
	CkProducer	producer;

	target->pub.receiveSlot = request->form == CK_FORM_ROWS ? receive_row : receive_json;
	set_producer(&producer, target);
	return ck_serve_refresh(request, &producer);
}

/* ---------------- single values ---------------- */

typedef struct ScalarReceiver
{
	DestReceiver pub;
	MemoryContext context;
	int			nrows;
	char	   *text;
} ScalarReceiver;

static bool
receive_scalar(TupleTableSlot *slot, DestReceiver *self)
{
	ScalarReceiver *receiver = (ScalarReceiver *) self;
	MemoryContext old = MemoryContextSwitchTo(receiver->context);
	Oid			output;
	bool		varlena;
	bool		isnull;
	Datum		value = slot_getattr(slot, 1, &isnull);

	if (receiver->nrows++ == 0 && !isnull)
	{
		getTypeOutputInfo(TupleDescAttr(slot->tts_tupleDescriptor, 0)->atttypid,
						  &output, &varlena);
		receiver->text = OidOutputFunctionCall(output, value);
	}
	MemoryContextSwitchTo(old);
	return receiver->nrows < 1;
}

/*
 * Run a query without parameters past the cache; *value is the text form of
 * the only column of its first row, NULL if there is no row.
 */
void
ck_result_scalar(CkQuery *query, Snapshot snapshot, Datum *value, bool *isnull)
{
	ScalarReceiver receiver = {.nrows = 0};

	if (ck_query_desc(query)->natts != 1)
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("the query must return one column"),
				 errdetail("It returns %d columns.", ck_query_desc(query)->natts)));
	receiver.pub.receiveSlot = receive_scalar;
	receiver.pub.rStartup = nothing_startup;
	receiver.pub.rShutdown = nothing;
	receiver.pub.rDestroy = nothing;
	receiver.pub.mydest = DestNone;
	receiver.context = CurrentMemoryContext;
	ck_query_run(query, NULL, NULL, snapshot, CreateTupleDescCopy(ck_query_desc(query)),
				 &receiver.pub);
	*isnull = receiver.text == NULL;
	*value = *isnull ? (Datum) 0 : CStringGetTextDatum(receiver.text);
}
