/*-------------------------------------------------------------------------
 *
 * denorm_queue.c
 *	  Keys that are computed later: at commit, or by a worker.
 *
 * Modes deferred and async collect keys in the backend until the transaction
 * is about to commit, each once.  Savepoints are not followed: a key too many
 * costs time only.  Then they are computed, or become rows of the table
 * cachekit_denorm_queue, which so are there if and only if the changes are.
 *
 * That is done in the PRE_COMMIT callback, after the deferred triggers of the
 * transaction; those that the writes to the target queue are run by us.
 *
 * The queue is emptied in batches, by workers or by whoever calls
 * denorm_wait() when there are none.  A batch takes rows that nobody else has
 * locked (SKIP LOCKED), computes their keys, each once, deletes the rows, and
 * commits.  If it fails, its keys are tried one by one; one that fails waits
 * longer each time and is set aside after MAX_ATTEMPTS, to be seen in
 * cachekit_denorm, until denorm_refresh() succeeds.  A crash leaves either all
 * of a batch or nothing; applying a key again changes nothing.
 *
 * A queue longer than cachekit.denorm_queue_limit is not made longer: who
 * would add to it computes the keys himself, as in mode deferred.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/indexing.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "storage/bufmgr.h"
#include "storage/latch.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"
#include "utils/wait_event.h"
#include "utils/xid8.h"

#include "activity.h"
#include "args.h"
#include "compat.h"
#include "debug_point.h"
#include "denorm_queue.h"
#include "denorm_refresh.h"
#include "extension.h"
#include "guc.h"
#include "track.h"
#include "worker.h"
#include "xact.h"

PG_FUNCTION_INFO_V1(cachekit_denorm_wait);
PG_FUNCTION_INFO_V1(cachekit_denorm_drain);

#define QUEUE_TABLE		"cachekit_denorm_queue"

/* Columns of the queue. */
enum
{
	QUEUE_TARGET = 1,
	QUEUE_KEY,
	QUEUE_XID,
	QUEUE_QUEUED_AT,
	QUEUE_ATTEMPTS,
	QUEUE_RETRY_AT,
	QUEUE_ERROR,
	QUEUE_SET_ASIDE
};
#define QUEUE_NATTS		QUEUE_SET_ASIDE

#define MAX_ATTEMPTS	5
#define BATCH			1000	/* rows of the queue */
#define MAX_QUEUED		10000	/* keys of a transaction; more are "all" */
#define FULL_ROWS_PAGE	50		/* rows of the queue in a page, at least */

/* What this transaction has to do for a target. */
typedef struct Pending
{
	Oid			target;
	CkDenormKeys *keys;
	CkDenormColumn **atts;		/* the scope that the keys are of */
	int			natts;
} Pending;

static List *pending = NIL;		/* in TopTransactionContext */
static bool queued = false;		/* this transaction has added to the queue */
static BlockNumber queue_end = 0;	/* where our last row went */

static const CkXactHooks hooks;

/* ---------------- collecting ---------------- */

static Pending *
pending_for(CkDenorm *denorm)
{
	MemoryContext old;
	Pending    *result;
	ListCell   *lc;

	foreach(lc, pending)
	{
		result = lfirst(lc);
		if (result->target == denorm->target)
			return result;
	}
	old = MemoryContextSwitchTo(TopTransactionContext);
	result = palloc(sizeof(Pending));
	result->target = denorm->target;
	result->atts = denorm->scope;
	result->natts = denorm->nscope;
	result->keys = ck_denorm_keys_make(denorm->nscope, denorm->scope,
									   TopTransactionContext);
	pending = lappend(pending, result);
	(void) ck_xact_join(&hooks);
	MemoryContextSwitchTo(old);
	return result;
}

/* Are the pending keys of the scope that the target has now? */
static bool
same_scope(Pending *p, CkDenorm *denorm)
{
	if (p->natts != denorm->nscope)
		return false;
	for (int i = 0; i < p->natts; i++)
		if (p->atts[i]->type != denorm->scope[i]->type ||
			strcmp(p->atts[i]->name, denorm->scope[i]->name) != 0)
			return false;
	return true;
}

/* Every key of the target is to be computed at the end of the transaction. */
void
ck_denorm_note_all(CkDenorm *denorm)
{
	pending_for(denorm)->keys->full = true;
}

/* The sources of these keys have changed. */
void
ck_denorm_note_keys(CkDenorm *denorm, CkDenormKeys *keys)
{
	Pending    *p;

	if (denorm->mode == CK_DENORM_IMMEDIATE)
	{
		(void) ck_denorm_apply(denorm, keys);
		return;
	}
	if (!keys->full && keys->n == 0)
		return;
	p = pending_for(denorm);
	if (keys->full || !same_scope(p, denorm))
		p->keys->full = true;
	for (int i = 0; i < keys->n; i++)
		ck_denorm_keys_add(p->keys, keys->keys[i].values, keys->keys[i].nulls);
}

/* ---------------- the queue ---------------- */

/*
 * A role that may do with the queue what it likes, with a safe search_path.
 */
static void
become_owner_of_queue(CkDenormEnv *env)
{
	Relation	rel = ck_denorm_open(QUEUE_TABLE, AccessShareLock);
	Oid			owner = rel->rd_rel->relowner;

	table_close(rel, AccessShareLock);
	GetUserIdAndSecContext(&env->user, &env->security);
	SetUserIdAndSecContext(owner, env->security | SECURITY_LOCAL_USERID_CHANGE);
	env->guc_nest = NewGUCNestLevel();
	(void) set_config_option("search_path", "pg_catalog, pg_temp", PGC_USERSET,
							 PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
}

static char *
queue_name(void)
{
	return ck_denorm_name(ck_denorm_table(QUEUE_TABLE));
}

/* read_only: under the active snapshot, else a new one of the transaction. */
static SPITupleTable *
query_queue(const char *sql, bool read_only, int nargs, Oid *types, Datum *values)
{
	CkDenormEnv env;
	int			code;

	become_owner_of_queue(&env);
	code = SPI_execute_with_args(sql, nargs, types, values, NULL, read_only, 0);
	if (code < 0)
		elog(ERROR, "could not execute \"%s\": %s", sql, SPI_result_code_string(code));
	ck_denorm_leave(&env);
	return SPI_tuptable;
}

/*
 * A row of the queue.  It has no index, unless somebody has made one: what is
 * in it is read from one end to the other, and the writer is not to pay.
 */
static void
insert_row(Relation rel, Datum *values, bool *nulls)
{
	HeapTuple	tuple = heap_form_tuple(RelationGetDescr(rel), values, nulls);

	if (rel->rd_rel->relhasindex)
		CatalogTupleInsert(rel, tuple);
	else
		simple_heap_insert(rel, tuple);
	queue_end = ItemPointerGetBlockNumber(&tuple->t_self);
	heap_freetuple(tuple);
}

static void
add_to_queue(CkDenorm *denorm, CkDenormKeys *keys)
{
	Relation	rel = ck_denorm_open(QUEUE_TABLE, RowExclusiveLock);
	Datum		values[QUEUE_NATTS] = {0};
	bool		nulls[QUEUE_NATTS] = {false};
	bool		all = keys->full || keys->n > MAX_QUEUED;

	values[QUEUE_TARGET - 1] = ObjectIdGetDatum(denorm->target);
	values[QUEUE_XID - 1] = FullTransactionIdGetDatum(GetTopFullTransactionId());
	values[QUEUE_QUEUED_AT - 1] = TimestampTzGetDatum(GetCurrentTimestamp());
	values[QUEUE_ATTEMPTS - 1] = Int32GetDatum(0);
	nulls[QUEUE_RETRY_AT - 1] = true;
	nulls[QUEUE_ERROR - 1] = true;
	values[QUEUE_SET_ASIDE - 1] = BoolGetDatum(false);
	nulls[QUEUE_KEY - 1] = all;
	for (int i = 0; i < (all ? 1 : keys->n); i++)
	{
		if (!all)
			values[QUEUE_KEY - 1] = PointerGetDatum(ck_denorm_key_text(keys, &keys->keys[i]));
		insert_row(rel, values, nulls);
	}
	table_close(rel, RowExclusiveLock);
	queued = true;
	(void) ck_xact_join(&hooks);
}

/* May so many pages have more rows than the queue may? */
static bool
may_be_full(BlockNumber blocks)
{
	return (double) blocks * FULL_ROWS_PAGE > ck_guc_denorm_queue_limit;
}

static BlockNumber
queue_pages(void)
{
	Relation	rel = ck_denorm_open(QUEUE_TABLE, AccessShareLock);
	BlockNumber blocks = RelationGetNumberOfBlocks(rel);

	table_close(rel, AccessShareLock);
	return blocks;
}

/*
 * A prepared transaction has been committed in this database, of which no
 * callback tells: call a worker, if there may be rows for it.  In a transaction.
 */
void
ck_denorm_prepared_committed(void)
{
	ck_track_use_namespace(ck_extension_namespace());
	if (OidIsValid(ck_denorm_table(QUEUE_TABLE)) && queue_pages() > 0)
		ck_worker_call(MyDatabaseId);
}

/*
 * Is the queue longer than it may be?  Its size is looked at once a second, or
 * when our own rows get that far; its rows, once a second if it is large.
 */
static bool
queue_is_full(void)
{
	static TimestampTz looked = 0;
	static TimestampTz measured = 0;
	static bool full = false;
	TimestampTz now = GetCurrentTimestamp();

	if (ck_guc_denorm_queue_limit == 0)
		return false;
	if (looked != 0 && now < looked + USECS_PER_SEC)
		return full;
	if (measured != 0 && now < measured + USECS_PER_SEC && !may_be_full(queue_end + 1))
		return false;
	measured = now;
	full = false;
	if (may_be_full(queue_pages()))
	{
		SPI_connect();
		PushActiveSnapshot(GetLatestSnapshot());
		(void) query_queue(psprintf("SELECT FROM %s OFFSET %d LIMIT 1", queue_name(),
									ck_guc_denorm_queue_limit), true, 0, NULL, NULL);
		full = SPI_processed > 0;
		PopActiveSnapshot();
		SPI_finish();
		looked = now;
	}
	return full;
}

/* Rows of a target that is gone. */
void
ck_denorm_forget_queue(Oid target)
{
	Oid			type = OIDOID;
	Datum		value = ObjectIdGetDatum(target);

	SPI_connect();
	(void) query_queue(psprintf("DELETE FROM %s WHERE target = $1", queue_name()),
					   false, 1, &type, &value);
	SPI_finish();
}

/* The keys that were set aside are true again. */
void
ck_denorm_release_aside(Oid target)
{
	Oid			type = OIDOID;
	Datum		value = ObjectIdGetDatum(target);

	SPI_connect();
	(void) query_queue(psprintf("DELETE FROM %s WHERE target = $1 AND set_aside",
								queue_name()), false, 1, &type, &value);
	SPI_finish();
}

/* ---------------- the end of the transaction ---------------- */

static int
compare_targets(const ListCell *a, const ListCell *b)
{
	Oid			x = ((Pending *) lfirst(a))->target;
	Oid			y = ((Pending *) lfirst(b))->target;

	return (x > y) - (x < y);
}

static void
settle(Pending *p)
{
	CkDenorm   *denorm = ck_denorm_get(p->target, true);
	CkDenormEnv env;

	if (denorm == NULL)
		return;
	if (!same_scope(p, denorm))
		p->keys->full = true;
	if (denorm->mode != CK_DENORM_ASYNC || queue_is_full())
	{
		(void) ck_denorm_apply(denorm, p->keys);
		return;
	}
	if (p->keys->n <= CK_DENORM_ALWAYS_BY_KEY && ck_denorm_keys_are_plain(p->keys))
	{
		add_to_queue(denorm, p->keys);
		return;
	}
	SPI_connect();
	ck_denorm_enter(denorm, &env);
	if (ck_denorm_all_is_cheaper(denorm, p->keys->n))
		p->keys->full = true;
	add_to_queue(denorm, p->keys);
	ck_denorm_leave(&env);
	SPI_finish();
}

/*
 * The transaction is about to commit, or to be prepared.  What is written
 * here may be a source itself, so go on until nothing is left.
 */
static void
at_pre_commit(void)
{
	bool		some = pending != NIL;

	while (pending != NIL)
	{
		List	   *now = pending;
		ListCell   *lc;

		pending = NIL;
		list_sort(now, compare_targets);
		foreach(lc, now)
		{
			PushActiveSnapshot(GetTransactionSnapshot());
			settle(lfirst(lc));
			PopActiveSnapshot();
		}
		AfterTriggerFireDeferred();
	}
	if (some && queued)
		ck_worker_want(MyDatabaseId);
}

static void
at_end(void)
{
	pending = NIL;
	queued = false;
}

static void
at_commit(void)
{
	if (queued)
		ck_worker_call(MyDatabaseId);
}

static const CkXactHooks hooks = {
	.pre_commit = at_pre_commit,
	.pre_prepare = at_pre_commit,
	.commit = at_commit,
	.end = at_end
};

/* ---------------- emptying the queue ---------------- */

/* A row of the queue that we have locked. */
typedef struct QueueItem
{
	Oid			target;
	ItemPointerData tid;
	ArrayType  *key;			/* NULL: all */
	int			attempts;
} QueueItem;

static QueueItem *
make_item(HeapTuple row, TupleDesc desc)
{
	QueueItem  *item = palloc0(sizeof(QueueItem));
	bool		isnull;
	Datum		key;

	item->tid = *(ItemPointer) DatumGetPointer(SPI_getbinval(row, desc, 1, &isnull));
	item->target = DatumGetObjectId(SPI_getbinval(row, desc, 2, &isnull));
	key = SPI_getbinval(row, desc, 3, &isnull);
	item->key = isnull ? NULL : DatumGetArrayTypePCopy(key);
	item->attempts = DatumGetInt32(SPI_getbinval(row, desc, 4, &isnull));
	return item;
}

/* Those that are first in the queue, of one target or of all. */
static List *
lock_items(Oid target)
{
	Oid			type = OIDOID;
	Datum		value = ObjectIdGetDatum(target);
	List	   *result = NIL;
	SPITupleTable *rows;

	rows = query_queue(psprintf("SELECT ctid, target::oid, key, attempts FROM %s"
								" WHERE ($1 = 0::oid OR target = $1) AND NOT set_aside"
								" AND (retry_at IS NULL OR retry_at <= clock_timestamp())"
								" LIMIT %d FOR UPDATE SKIP LOCKED",
								queue_name(), BATCH), false, 1, &type, &value);
	for (uint64 i = 0; i < SPI_processed; i++)
		result = lappend(result, make_item(rows->vals[i], rows->tupdesc));
	return result;
}

static void
delete_items(List *items)
{
	Datum	   *tids = palloc(Max(1, list_length(items)) * sizeof(Datum));
	Oid			type = TIDARRAYOID;
	Datum		value;
	ListCell   *lc;

	foreach(lc, items)
		tids[foreach_current_index(lc)] = PointerGetDatum(&((QueueItem *) lfirst(lc))->tid);
	value = PointerGetDatum(construct_array(tids, list_length(items), TIDOID,
											sizeof(ItemPointerData), false,
											TYPALIGN_SHORT));
	(void) query_queue(psprintf("DELETE FROM %s WHERE ctid = ANY ($1)", queue_name()),
					   false, 1, &type, &value);
}

/* An error that says nothing about the key. */
static bool
is_transient(int sqlerrcode)
{
	return sqlerrcode == ERRCODE_T_R_SERIALIZATION_FAILURE ||
		sqlerrcode == ERRCODE_T_R_DEADLOCK_DETECTED ||
		sqlerrcode == ERRCODE_LOCK_NOT_AVAILABLE;
}

static void
note_failure(QueueItem *item, ErrorData *error)
{
	Oid			types[4] = {TIDOID, TEXTOID, BOOLOID, INT4OID};
	Datum		values[4];
	bool		transient = is_transient(error->sqlerrcode);

	values[0] = PointerGetDatum(&item->tid);
	values[1] = CStringGetTextDatum(error->message ? error->message : "unknown error");
	values[2] = BoolGetDatum(!transient && item->attempts + 1 >= MAX_ATTEMPTS);
	values[3] = Int32GetDatum(item->attempts + (transient ? 0 : 1));
	/* 0.1, 0.4, 1.6, 6.4 seconds */
	(void) query_queue(psprintf("UPDATE %s SET error = $2, set_aside = $3, attempts = $4,"
								" retry_at = clock_timestamp() +"
								" 0.025 * power(4, least($4 + 1, 6)) * interval '1 second'"
								" WHERE ctid = $1", queue_name()), false, 4, types, values);
}

/* The keys of the items, in a set; under the definition's settings. */
static CkDenormKeys *
item_keys(CkDenorm *denorm, List *items)
{
	CkDenormKeys *keys = ck_denorm_keys_make(denorm->nscope, denorm->scope,
											 CurrentMemoryContext);
	CkDenormEnv env;
	ListCell   *lc;

	ck_denorm_enter(denorm, &env);
	foreach(lc, items)
	{
		QueueItem  *item = lfirst(lc);

		if (item->key)
			ck_denorm_keys_add_text(keys, item->key);
		else
			keys->full = true;
	}
	ck_denorm_leave(&env);
	return keys;
}

/* Apply and delete items.  NULL, or the error that it failed with. */
static ErrorData *
try_items(CkDenorm *denorm, List *items)
{
	MemoryContext cxt = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	ErrorData  *volatile error = NULL;

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(cxt);
	PG_TRY();
	{
		(void) ck_denorm_apply(denorm, item_keys(denorm, items));
		delete_items(items);
		ReleaseCurrentSubTransaction();
		MemoryContextSwitchTo(cxt);
		CurrentResourceOwner = owner;
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(cxt);
		error = CopyErrorData();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
		MemoryContextSwitchTo(cxt);
		CurrentResourceOwner = owner;
		if (error->sqlerrcode == ERRCODE_QUERY_CANCELED ||
			error->sqlerrcode == ERRCODE_ADMIN_SHUTDOWN)
			ReThrowError(error);
	}
	PG_END_TRY();
	return error;
}

/* Work off rows of one target. */
static void
drain_items(Oid target, List *items)
{
	CkDenorm   *denorm = ck_denorm_get(target, true);
	ErrorData  *error;
	ListCell   *lc;

	if (denorm == NULL)
	{
		ck_denorm_forget_queue(target);
		return;
	}
	CK_DEBUG_POINT("denorm_draining");
	error = try_items(denorm, items);
	if (error && list_length(items) == 1)
		note_failure(linitial(items), error);
	if (error == NULL || list_length(items) == 1)
		return;
	foreach(lc, items)
	{
		error = try_items(denorm, list_make1(lfirst(lc)));
		if (error)
			note_failure(lfirst(lc), error);
	}
}

static int
compare_items(const ListCell *a, const ListCell *b)
{
	Oid			x = ((QueueItem *) lfirst(a))->target;
	Oid			y = ((QueueItem *) lfirst(b))->target;

	return (x > y) - (x < y);
}

/*
 * A batch of all that has work, or of one target; targets in the order of
 * their oids.  Returns the number of rows worked on; 0: there is nothing to do
 * now.
 */
int64
ck_denorm_drain_all(Oid target)
{
	int			n;
	List	   *items;

	SPI_connect();
	items = lock_items(target);
	n = list_length(items);
	list_sort(items, compare_items);
	for (int i = 0; i < n;)
	{
		Oid			first = ((QueueItem *) list_nth(items, i))->target;
		List	   *some = NIL;

		for (; i < n && ((QueueItem *) list_nth(items, i))->target == first; i++)
			some = lappend(some, list_nth(items, i));
		drain_items(first, some);
	}
	SPI_finish();
	return n;
}

/* Are there rows that can be worked on later only? */
bool
ck_denorm_queue_waits(void)
{
	bool		result;

	SPI_connect();
	(void) query_queue(psprintf("SELECT FROM %s WHERE NOT set_aside LIMIT 1", queue_name()),
					   true, 0, NULL, NULL);
	result = SPI_processed > 0;
	SPI_finish();
	return result;
}

/* cachekit_denorm_drain() -> bigint: what a worker does in a transaction */
Datum
cachekit_denorm_drain(PG_FUNCTION_ARGS)
{
	ck_track_set_namespace(fcinfo->flinfo->fn_oid);
	PG_RETURN_INT64(ck_denorm_drain_all(InvalidOid));
}

/* ---------------- waiting ---------------- */

/* How many rows of before are left?  Those set aside are counted apart. */
static int64
rows_left(Oid target, Datum snapshot, int64 *aside)
{
	Oid			types[2] = {OIDOID, PG_SNAPSHOTOID};
	Datum		values[2] = {ObjectIdGetDatum(target), snapshot};
	SPITupleTable *rows;
	bool		isnull;
	int64		left;

	PushActiveSnapshot(GetLatestSnapshot());
	rows = query_queue(psprintf("SELECT count(*) FILTER (WHERE NOT set_aside),"
								" count(*) FILTER (WHERE set_aside) FROM %s"
								" WHERE ($1 = 0::oid OR target = $1)"
								" AND pg_visible_in_snapshot(xid, $2)", queue_name()),
					   true, 2, types, values);
	left = DatumGetInt64(SPI_getbinval(rows->vals[0], rows->tupdesc, 1, &isnull));
	*aside = DatumGetInt64(SPI_getbinval(rows->vals[0], rows->tupdesc, 2, &isnull));
	SPI_freetuptable(rows);
	PopActiveSnapshot();
	return left;
}

static Datum
snapshot_now(void)
{
	bool		isnull;
	Datum		result;
	MemoryContext old = CurrentMemoryContext;

	PushActiveSnapshot(GetLatestSnapshot());
	if (SPI_execute("SELECT pg_catalog.pg_current_snapshot()", true, 1) != SPI_OK_SELECT)
		elog(ERROR, "could not get a snapshot");
	result = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull);
	MemoryContextSwitchTo(old);
	result = PointerGetDatum(PG_DETOAST_DATUM_COPY(result));
	PopActiveSnapshot();
	return result;
}

static void
nap(void)
{
	(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, 10,
					 PG_WAIT_EXTENSION);
	ResetLatch(MyLatch);
	CHECK_FOR_INTERRUPTS();
}

/*
 * denorm_wait(target, timeout) -> boolean: have all changes that were
 * committed before now been applied?
 */
Datum
cachekit_denorm_wait(PG_FUNCTION_ARGS)
{
	Oid			target = PG_ARGISNULL(0) ? InvalidOid : PG_GETARG_OID(0);
	int64		timeout = PG_ARGISNULL(1) ? PG_INT64_MAX / 2 :
		ck_args_microseconds(PG_GETARG_INTERVAL_P(1));
	TimestampTz end = GetCurrentTimestamp() + timeout;
	Datum		snapshot;
	int64		left;
	int64		aside;

	ck_track_set_namespace(fcinfo->flinfo->fn_oid);
	if (OidIsValid(target))
		(void) ck_denorm_get(target, false);
	SPI_connect();
	snapshot = snapshot_now();
	while ((left = rows_left(target, snapshot, &aside)) > 0 &&
		   GetCurrentTimestamp() < end)
	{
		if (ck_guc_workers > 0)
		{
			ck_worker_call(MyDatabaseId);
			nap();
		}
		else if (ck_denorm_drain_all(target) == 0)
			nap();
	}
	SPI_finish();
	PG_RETURN_BOOL(left == 0 && aside == 0);
}
