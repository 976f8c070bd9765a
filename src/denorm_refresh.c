/*-------------------------------------------------------------------------
 *
 * denorm_refresh.c
 *	  Computing rows of a denormalized table anew.
 *
 * For a set of keys, the rows that the query has for each are computed and
 * compared with those of the target; what differs is written.  Rows are the
 * same if their bytes are.  A key may have several rows.
 *
 * Locks, all of them heavyweight, with advisory tags of our own classes, held
 * until the transaction ends:
 *
 *	target	shared by who works key by key, exclusive for who computes all, or
 *			has so many keys that locking each is out of the question
 *	edge	see denorm_paths.c
 *	key		exclusive, in the order of their hashes
 *
 * Who holds a key's lock computes it with a snapshot taken afterwards, which
 * sees whatever those wrote who held it before.  So of all transactions that
 * changed sources of the key, the last to compute it has seen the others'
 * changes, and its result stays.  Two keys of one hash share a lock.
 *
 * Under REPEATABLE READ and SERIALIZABLE the same is done with a fresh
 * snapshot, not the transaction's.  If the transaction's own would give
 * another result, or the target's row was changed by somebody whom it does
 * not see, the transaction can not go on as if it were alone: 40001.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "miscadmin.h"
#include "nodes/plannodes.h"
#include "storage/lock.h"
#include "storage/proc.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/memutils.h"
#include "utils/plancache.h"
#include "utils/resowner.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"

#include "activity.h"
#include "compat.h"
#include "debug_point.h"
#include "denorm_refresh.h"
#include "xact.h"

/* The fourth field of advisory lock tags; see also lease.c. */
#define TARGET_CLASS	108
#define EDGE_CLASS		109
#define KEY_CLASS		110

#define MAX_LOCKS		1000	/* of a transaction, then the target's */
#define BATCH			1000	/* rows fetched at a time */

/* Of edges and keys, in the transaction of this local number. */
static int	locks_taken = 0;
static LocalTransactionId locks_of = InvalidLocalTransactionId;

/* ---------------- locks ---------------- */

/* Until the transaction's end.  Shared and exclusive may be held together. */
void
ck_denorm_lock_target(CkDenorm *denorm, bool exclusively)
{
	LOCKTAG		tag;

	SET_LOCKTAG_ADVISORY(tag, MyDatabaseId, denorm->target, 0, TARGET_CLASS);
	(void) LockAcquire(&tag, exclusively ? ExclusiveLock : ShareLock, false, false);
}

static int
compare_hashes(const void *a, const void *b)
{
	uint64		x = *(const uint64 *) a;
	uint64		y = *(const uint64 *) b;

	return (x > y) - (x < y);
}

static void
lock_hash(CkDenorm *denorm, CkDenormLockKind kind, uint64 hash)
{
	LOCKTAG		tag;

	hash = hash_combine64(hash, denorm->target);
	SET_LOCKTAG_ADVISORY(tag, MyDatabaseId, (uint32) (hash >> 32), (uint32) hash,
						 kind == CK_DENORM_LOCK_KEY ? KEY_CLASS : EDGE_CLASS);
	if (LockAcquire(&tag, ExclusiveLock, false, false) == LOCKACQUIRE_OK)
		locks_taken++;
}

/*
 * Lock keys or values of edges in the order of their hashes, which are sorted
 * here.  Past a number of locks it is the target that is locked.
 */
void
ck_denorm_lock_values(CkDenorm *denorm, CkDenormLockKind kind, uint64 *hashes, int n)
{
	if (CK_FAULTY(kind == CK_DENORM_LOCK_KEY ? CK_FAULT_DENORM_KEYS : CK_FAULT_DENORM_EDGES))
		return;
	if (locks_of != CkMyLocalXid)
	{
		locks_of = CkMyLocalXid;
		locks_taken = 0;
	}
	if (locks_taken + n > MAX_LOCKS)
	{
		ck_denorm_lock_target(denorm, true);
		return;
	}
	ck_denorm_lock_target(denorm, false);
	qsort(hashes, n, sizeof(uint64), compare_hashes);
	for (int i = 0; i < n; i++)
		lock_hash(denorm, kind, hashes[i]);
}

static void
lock_keys(CkDenorm *denorm, CkDenormKeys *keys)
{
	uint64	   *hashes = palloc(Max(1, keys->n) * sizeof(uint64));

	ck_denorm_keys_sort(keys);
	for (int i = 0; i < keys->n; i++)
		hashes[i] = keys->keys[i].hash;
	ck_denorm_lock_values(denorm, CK_DENORM_LOCK_KEY, hashes, keys->n);
	pfree(hashes);
}

/* ---------------- progress ---------------- */

static const CkXactHooks progress_hooks = {
	.end = ck_progress_end
};

/* Show a long operation until ck_progress_end(), or an error. */
void
ck_denorm_progress(CkDenorm *denorm, CkPhase phase, int64 total)
{
	(void) ck_xact_join(&progress_hooks);
	ck_progress_start(denorm->target, phase, total);
}

/* ---------------- statements ---------------- */

/* A list of the query's columns, each with a prefix. */
static char *
column_list(CkDenorm *denorm, const char *prefix)
{
	StringInfoData buf;

	initStringInfo(&buf);
	for (int i = 0; i < denorm->natts; i++)
		appendStringInfo(&buf, "%s%s%s", i ? ", " : "", prefix,
						 quote_identifier(denorm->atts[i].name));
	return buf.data;
}

/* WHERE the scope's columns are $1, $2 ..., or NULL where the mask says so. */
static char *
key_condition(CkDenorm *denorm, uint64 mask)
{
	StringInfoData buf;

	initStringInfo(&buf);
	for (int i = 0; i < denorm->nscope; i++)
	{
		CkDenormColumn *att = denorm->scope[i];

		appendStringInfo(&buf, "%s x.%s ", i ? " AND" : " WHERE",
						 quote_identifier(att->name));
		if (mask & (UINT64CONST(1) << i))
			appendStringInfoString(&buf, "IS NULL");
		else
			appendStringInfo(&buf, "%s $%d", att->equality, i + 1);
	}
	return buf.data;
}

static Oid *
scope_types(CkDenorm *denorm)
{
	Oid		   *types = palloc(denorm->nscope * sizeof(Oid));

	for (int i = 0; i < denorm->nscope; i++)
		types[i] = denorm->scope[i]->type;
	return types;
}

/* What the planner thinks of a statement; 0 if it can not be told. */
static double
plan_cost(SPIPlanPtr plan)
{
	List	   *sources = SPI_plan_get_plan_sources(plan);
	CachedPlan *cached;
	double		cost = 0;

	if (list_length(sources) != 1)
		return 0;
	cached = GetCachedPlan(linitial(sources), NULL, CurrentResourceOwner, NULL);
	if (list_length(cached->stmt_list) == 1)
		cost = linitial_node(PlannedStmt, cached->stmt_list)->planTree->total_cost;
	ReleaseCachedPlan(cached, CurrentResourceOwner);
	return cost;
}

static CkDenormMask *
statements_for(CkDenorm *denorm, uint64 mask)
{
	CkDenormMask *result;
	MemoryContext old;
	ListCell   *lc;

	foreach(lc, denorm->masks)
	{
		result = lfirst(lc);
		if (result->mask == mask)
			return result;
	}
	result = MemoryContextAllocZero(denorm->cxt, sizeof(CkDenormMask));
	result->mask = mask;
	result->compute =
		ck_denorm_prepare(denorm, psprintf("SELECT %s FROM %s x%s",
										   column_list(denorm, "x."),
										   ck_denorm_name(denorm->view),
										   key_condition(denorm, mask)),
						  denorm->nscope, scope_types(denorm));
	result->present =
		ck_denorm_prepare(denorm, psprintf("SELECT %s, x.ctid FROM ONLY %s x%s",
										   column_list(denorm, "x."),
										   ck_denorm_name(denorm->target),
										   key_condition(denorm, mask)),
						  denorm->nscope, scope_types(denorm));
	result->cost = plan_cost(result->compute);
	old = MemoryContextSwitchTo(denorm->cxt);
	denorm->masks = lappend(denorm->masks, result);
	MemoryContextSwitchTo(old);
	return result;
}

/* INSERT, UPDATE and DELETE of one row; the last parameter is its ctid. */
static void
prepare_writes(CkDenorm *denorm)
{
	StringInfoData set;
	StringInfoData values;
	Oid		   *types;
	Oid			tid = TIDOID;

	if (denorm->delete)
		return;
	types = palloc((denorm->natts + 1) * sizeof(Oid));
	initStringInfo(&set);
	initStringInfo(&values);
	for (int i = 0; i < denorm->natts; i++)
	{
		types[i] = denorm->atts[i].type;
		appendStringInfo(&set, "%s%s = $%d", i ? ", " : "",
						 quote_identifier(denorm->atts[i].name), i + 1);
		appendStringInfo(&values, "%s$%d", i ? ", " : "", i + 1);
	}
	types[denorm->natts] = TIDOID;
	denorm->insert =
		ck_denorm_prepare(denorm, psprintf("INSERT INTO %s (%s) VALUES (%s)",
										   ck_denorm_name(denorm->target),
										   column_list(denorm, ""), values.data),
						  denorm->natts, types);
	denorm->update =
		ck_denorm_prepare(denorm, psprintf("UPDATE ONLY %s SET %s WHERE ctid = $%d",
										   ck_denorm_name(denorm->target), set.data,
										   denorm->natts + 1),
						  denorm->natts + 1, types);
	denorm->delete =
		ck_denorm_prepare(denorm, psprintf("DELETE FROM ONLY %s WHERE ctid = $1",
										   ck_denorm_name(denorm->target)),
						  1, &tid);
}

/* Would computing every row cost less than computing those of n keys? */
bool
ck_denorm_all_is_cheaper(CkDenorm *denorm, int nkeys)
{
	CkDenormMask *statements;

	if (nkeys <= CK_DENORM_ALWAYS_BY_KEY)
		return false;
	statements = statements_for(denorm, 0);
	if (denorm->cost_all < 0)
	{
		SPIPlanPtr	plan;

		plan = ck_denorm_prepare(denorm, psprintf("SELECT * FROM %s ORDER BY %s",
												  ck_denorm_name(denorm->view),
												  quote_identifier(denorm->scope[0]->name)),
								 0, NULL);
		denorm->cost_all = plan_cost(plan);
		plan = ck_denorm_prepare(denorm, psprintf("SELECT * FROM %s ORDER BY %s",
												  ck_denorm_name(denorm->target),
												  quote_identifier(denorm->scope[0]->name)),
								 0, NULL);
		denorm->cost_all += plan_cost(plan);
	}
	return (double) nkeys * statements->cost > denorm->cost_all;
}

/* ---------------- sets of rows ---------------- */

static void
add_row(CkDenormRows *rows, CkDenorm *denorm, HeapTuple tuple, TupleDesc desc)
{
	int			i = rows->n;

	if (rows->n == rows->max)
	{
		rows->max = Max(4, 2 * rows->max);
		rows->values = rows->values ?
			repalloc(rows->values, rows->max * sizeof(Datum *)) :
			palloc(rows->max * sizeof(Datum *));
		rows->nulls = rows->nulls ?
			repalloc(rows->nulls, rows->max * sizeof(bool *)) :
			palloc(rows->max * sizeof(bool *));
		rows->tids = rows->tids ?
			repalloc(rows->tids, rows->max * sizeof(ItemPointerData)) :
			palloc(rows->max * sizeof(ItemPointerData));
	}
	rows->values[i] = palloc(desc->natts * sizeof(Datum));
	rows->nulls[i] = palloc(desc->natts * sizeof(bool));
	heap_deform_tuple(tuple, desc, rows->values[i], rows->nulls[i]);
	if (desc->natts > denorm->natts)
		rows->tids[i] = *(ItemPointer) DatumGetPointer(rows->values[i][denorm->natts]);
	rows->n++;
}

/* What a statement returns, under the active snapshot. */
static void
fetch_rows(CkDenorm *denorm, SPIPlanPtr plan, const CkDenormKey *key, CkDenormRows *rows)
{
	char		spi_nulls[64] = "";

	for (int i = 0; i < denorm->nscope; i++)
		spi_nulls[i] = key->nulls[i] ? 'n' : ' ';
	memset(rows, 0, sizeof(*rows));
	if (SPI_execute_plan(plan, key->values, spi_nulls, true, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not compute rows of a denormalized table");
	for (uint64 i = 0; i < SPI_processed; i++)
		add_row(rows, denorm, SPI_tuptable->vals[i], SPI_tuptable->tupdesc);
}

static bool
same_values(CkDenorm *denorm, CkDenormRows *a, int i, CkDenormRows *b, int j, bool key_only)
{
	int			n = key_only ? denorm->nkey : denorm->natts;

	for (int k = 0; k < n; k++)
	{
		int			att = key_only ? denorm->key[k] : k;

		if (a->nulls[i][att] != b->nulls[j][att])
			return false;
		if (!a->nulls[i][att] &&
			!datum_image_eq(a->values[i][att], b->values[j][att],
							denorm->atts[att].typbyval, denorm->atts[att].typlen))
			return false;
	}
	return true;
}

static void
hash_rows(CkDenorm *denorm, CkDenormRows *rows)
{
	rows->hashes = palloc0(Max(1, rows->n) * sizeof(uint32));
	rows->matched = palloc0(Max(1, rows->n) * sizeof(bool));
	for (int i = 0; i < rows->n; i++)
		for (int k = 0; k < denorm->natts; k++)
			rows->hashes[i] =
				hash_combine(rows->hashes[i],
							 rows->nulls[i][k] ? 1 :
							 datum_image_hash(rows->values[i][k], denorm->atts[k].typbyval,
											  denorm->atts[k].typlen));
}

typedef struct HashedRow
{
	uint32		hash;
	int			row;
} HashedRow;

static int
compare_hashed(const void *a, const void *b)
{
	const HashedRow *x = a;
	const HashedRow *y = b;

	if (x->hash != y->hash)
		return x->hash > y->hash ? 1 : -1;
	return x->row - y->row;
}

static HashedRow *
sort_rows(CkDenormRows *rows)
{
	HashedRow  *result = palloc(Max(1, rows->n) * sizeof(HashedRow));

	for (int i = 0; i < rows->n; i++)
	{
		result[i].hash = rows->hashes[i];
		result[i].row = i;
	}
	qsort(result, rows->n, sizeof(HashedRow), compare_hashed);
	return result;
}

/* Mark as matched the rows that are the same on both sides, each once. */
void
ck_denorm_match(CkDenorm *denorm, CkDenormRows *now, CkDenormRows *present)
{
	HashedRow  *a;
	HashedRow  *b;
	int			j = 0;

	hash_rows(denorm, now);
	hash_rows(denorm, present);
	a = sort_rows(now);
	b = sort_rows(present);
	for (int i = 0; i < now->n; i++)
	{
		while (j < present->n && b[j].hash < a[i].hash)
			j++;
		for (int k = j; k < present->n && b[k].hash == a[i].hash; k++)
			if (!present->matched[b[k].row] &&
				same_values(denorm, now, a[i].row, present, b[k].row, false))
			{
				now->matched[a[i].row] = present->matched[b[k].row] = true;
				break;
			}
	}
}

static bool
same_rows(CkDenorm *denorm, CkDenormRows *a, CkDenormRows *b)
{
	if (a->n != b->n)
		return false;
	ck_denorm_match(denorm, a, b);
	for (int i = 0; i < a->n; i++)
		if (!a->matched[i])
			return false;
	return true;
}

/* ---------------- writing ---------------- */

/* Fresh for reading; and what must have been visible to be written over. */
static Snapshot
crosscheck(void)
{
	return IsolationUsesXactSnapshot() ? GetTransactionSnapshot() : InvalidSnapshot;
}

static void
write_row(CkDenorm *denorm, SPIPlanPtr plan, CkDenormRows *rows, int row, ItemPointer tid)
{
	Datum	   *values = palloc((denorm->natts + 1) * sizeof(Datum));
	char	   *spi_nulls = palloc(denorm->natts + 1);
	int			n = 0;

	if (rows)
		for (; n < denorm->natts; n++)
		{
			values[n] = rows->values[row][n];
			spi_nulls[n] = rows->nulls[row][n] ? 'n' : ' ';
		}
	values[n] = PointerGetDatum(tid);
	spi_nulls[n] = ' ';
	if (SPI_execute_snapshot(plan, values, spi_nulls, GetActiveSnapshot(), crosscheck(),
							 false, true, 0) < 0)
		elog(ERROR, "could not write to a denormalized table");
}

#define MAX_PAIRING		1000	/* rows; more of one key are deleted, inserted */

/* The unmatched row of the target with the same key as a new one; -1: none. */
int
ck_denorm_partner(CkDenorm *denorm, CkDenormRows *now, int row, CkDenormRows *present)
{
	if (present->n > MAX_PAIRING || now->n > MAX_PAIRING)
		return -1;
	for (int j = 0; j < present->n; j++)
		if (!present->matched[j] && same_values(denorm, now, row, present, j, true))
			return j;
	return -1;
}

/* Make the target have the rows of now.  Adds the number of rows written. */
static void
write_differences(CkDenorm *denorm, CkDenormRows *now, CkDenormRows *present, void *arg)
{
	int64	   *written = arg;
	int		   *partner = palloc(Max(1, now->n) * sizeof(int));

	ck_denorm_match(denorm, now, present);
	prepare_writes(denorm);
	for (int i = 0; i < now->n; i++)
	{
		if (now->matched[i])
			continue;
		partner[i] = ck_denorm_partner(denorm, now, i, present);
		if (partner[i] >= 0)
			present->matched[partner[i]] = true;
	}
	for (int j = 0; j < present->n; j++)
		if (!present->matched[j])
		{
			write_row(denorm, denorm->delete, NULL, 0, &present->tids[j]);
			(*written)++;
		}
	for (int pass = 0; pass < 2; pass++)
		for (int i = 0; i < now->n; i++)
		{
			if (now->matched[i] || (partner[i] >= 0) != (pass == 0))
				continue;
			write_row(denorm, pass == 0 ? denorm->update : denorm->insert, now, i,
					  pass == 0 ? &present->tids[partner[i]] : NULL);
			(*written)++;
		}
}

/* ---------------- by key ---------------- */

static void
raise_not_serializable(CkDenorm *denorm)
{
	ereport(ERROR,
			(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
			 errmsg("could not serialize access due to concurrent changes of sources of \"%s\"",
					ck_denorm_name(denorm->target)),
			 errhint("The transaction might succeed if retried.")));
}

/* Does the transaction's own snapshot give the same rows? */
static void
check_own_snapshot(CkDenorm *denorm, CkDenormMask *statements, const CkDenormKey *key,
				   CkDenormRows *now)
{
	CkDenormRows seen;

	if (!IsolationUsesXactSnapshot() || CK_FAULTY(CK_FAULT_DENORM_SNAPSHOT))
		return;
	PushActiveSnapshot(GetTransactionSnapshot());
	fetch_rows(denorm, statements->compute, key, &seen);
	PopActiveSnapshot();
	if (!same_rows(denorm, now, &seen))
		raise_not_serializable(denorm);
}

static uint64
null_mask(CkDenorm *denorm, const CkDenormKey *key)
{
	uint64		mask = 0;

	for (int i = 0; i < denorm->nscope; i++)
		if (key->nulls[i])
			mask |= UINT64CONST(1) << i;
	return mask;
}

static void
apply_key(CkDenorm *denorm, const CkDenormKey *key, int64 *written)
{
	CkDenormMask *statements = statements_for(denorm, null_mask(denorm, key));
	CkDenormRows now;
	CkDenormRows present;

	fetch_rows(denorm, statements->compute, key, &now);
	check_own_snapshot(denorm, statements, key, &now);
	fetch_rows(denorm, statements->present, key, &present);
	write_differences(denorm, &now, &present, written);
}

/*
 * Compute the rows of some keys, or of all if that is cheaper, and write what
 * differs.  Returns the number of rows written.  The keys end up sorted.
 */
int64
ck_denorm_apply(CkDenorm *denorm, CkDenormKeys *keys)
{
	CkDenormEnv env;
	MemoryContext cxt;
	MemoryContext old;
	int64		written = 0;

	if (!keys->full && keys->n == 0)
		return 0;
	SPI_connect();
	ck_denorm_enter(denorm, &env);
	if (keys->full || ck_denorm_all_is_cheaper(denorm, keys->n))
		written = ck_denorm_refresh_all(denorm);
	else
	{
		lock_keys(denorm, keys);
		CK_DEBUG_POINT("denorm_locked");
		CommandCounterIncrement();
		PushActiveSnapshot(CK_FAULTY(CK_FAULT_DENORM_SNAPSHOT) ?
						   GetTransactionSnapshot() : GetLatestSnapshot());
		cxt = AllocSetContextCreate(CurrentMemoryContext, "cachekit denorm key",
									ALLOCSET_SMALL_SIZES);
		for (int i = 0; i < keys->n; i++)
		{
			CHECK_FOR_INTERRUPTS();
			old = MemoryContextSwitchTo(cxt);
			apply_key(denorm, &keys->keys[i], &written);
			MemoryContextSwitchTo(old);
			MemoryContextReset(cxt);
		}
		PopActiveSnapshot();
	}
	ck_denorm_leave(&env);
	SPI_finish();
	return written;
}

/* ---------------- all ---------------- */

/* One side of a comparison, sorted by the scope. */
typedef struct Stream
{
	CkDenorm   *denorm;
	Portal		portal;
	SPITupleTable *batch;
	uint64		n;				/* rows of the batch */
	uint64		at;
	bool		ended;
	MemoryContext cxt;			/* of the batch */
	int64		read;
} Stream;

static void
open_stream(Stream *stream, CkDenorm *denorm, Oid relid, bool with_ctid)
{
	StringInfoData sql;
	SPIPlanPtr	plan;

	memset(stream, 0, sizeof(*stream));
	stream->denorm = denorm;
	initStringInfo(&sql);
	appendStringInfo(&sql, "SELECT %s%s FROM %s%s x ORDER BY", column_list(denorm, "x."),
					 with_ctid ? ", x.ctid" : "", with_ctid ? "ONLY " : "",
					 ck_denorm_name(relid));
	for (int i = 0; i < denorm->nscope; i++)
		appendStringInfo(&sql, "%s x.%s USING %s", i ? "," : "",
						 quote_identifier(denorm->scope[i]->name), denorm->scope[i]->less);
	plan = SPI_prepare(sql.data, 0, NULL);
	if (plan == NULL)
		elog(ERROR, "could not prepare \"%s\"", sql.data);
	stream->portal = SPI_cursor_open(NULL, plan, NULL, NULL, true);
}

/* The next row, or NULL.  Its memory is good until a batch later. */
static HeapTuple
peek_stream(Stream *stream)
{
	if (stream->at < stream->n)
		return stream->batch->vals[stream->at];
	if (stream->ended)
		return NULL;
	if (stream->batch)
		SPI_freetuptable(stream->batch);
	SPI_cursor_fetch(stream->portal, true, BATCH);
	stream->batch = SPI_tuptable;
	stream->n = SPI_processed;
	stream->at = 0;
	stream->ended = stream->n == 0;
	CHECK_FOR_INTERRUPTS();
	return stream->ended ? NULL : stream->batch->vals[0];
}

static void
close_stream(Stream *stream)
{
	if (stream->batch)
		SPI_freetuptable(stream->batch);
	SPI_cursor_close(stream->portal);
}

/* The order of two rows by the scope, as ORDER BY ... USING sorts them. */
static int
compare_scopes(CkDenorm *denorm, HeapTuple a, TupleDesc adesc, HeapTuple b, TupleDesc bdesc)
{
	for (int i = 0; i < denorm->nscope; i++)
	{
		CkDenormColumn *att = denorm->scope[i];
		bool		anull;
		bool		bnull;
		Datum		x = heap_getattr(a, denorm->scope_atts[i] + 1, adesc, &anull);
		Datum		y = heap_getattr(b, denorm->scope_atts[i] + 1, bdesc, &bnull);
		int			order;

		if (anull || bnull)
		{
			if (anull != bnull)
				return anull ? 1 : -1;
			continue;
		}
		order = DatumGetInt32(FunctionCall2Coll(&att->compare, att->collation, x, y));
		if (order != 0)
			return order;
	}
	return 0;
}

/* Move the rows that are of the same scope as `like` from stream to rows. */
static void
take_group(Stream *stream, HeapTuple like, TupleDesc like_desc, CkDenormRows *rows)
{
	HeapTuple	tuple;

	memset(rows, 0, sizeof(*rows));
	while ((tuple = peek_stream(stream)) != NULL &&
		   compare_scopes(stream->denorm, tuple, stream->batch->tupdesc,
						  like, like_desc) == 0)
	{
		add_row(rows, stream->denorm, heap_copytuple(tuple), stream->batch->tupdesc);
		stream->at++;
		stream->read++;
	}
}

/*
 * Go through query and target side by side, scope by scope, under the active
 * snapshot; diff is called for each, in a memory context that is reset after.
 * SPI must be connected, and ck_denorm_enter() called.
 */
void
ck_denorm_compare_all(CkDenorm *denorm, CkDenormDiff diff, void *arg)
{
	Stream		query;
	Stream		target;
	MemoryContext cxt = AllocSetContextCreate(CurrentMemoryContext,
											  "cachekit denorm group",
											  ALLOCSET_DEFAULT_SIZES);

	open_stream(&query, denorm, denorm->view, false);
	open_stream(&target, denorm, denorm->target, true);
	for (;;)
	{
		HeapTuple	a = peek_stream(&query);
		HeapTuple	b = peek_stream(&target);
		CkDenormRows now;
		CkDenormRows present;
		MemoryContext old;
		HeapTuple	like;
		TupleDesc	desc;

		if (a == NULL && b == NULL)
			break;
		if (a == NULL || (b != NULL &&
						  compare_scopes(denorm, a, query.batch->tupdesc,
										 b, target.batch->tupdesc) > 0))
			like = b, desc = target.batch->tupdesc;
		else
			like = a, desc = query.batch->tupdesc;
		old = MemoryContextSwitchTo(cxt);
		like = heap_copytuple(like);
		desc = CreateTupleDescCopy(desc);
		take_group(&query, like, desc, &now);
		take_group(&target, like, desc, &present);
		diff(denorm, &now, &present, arg);
		MemoryContextSwitchTo(old);
		MemoryContextReset(cxt);
		ck_progress_update(query.read + target.read);
		CK_DEBUG_POINT("denorm_comparing");
	}
	close_stream(&query);
	close_stream(&target);
	MemoryContextDelete(cxt);
}

/* What the transaction's own snapshot has, if that is not the latest. */
static char *
digest(CkDenorm *denorm, Snapshot snapshot)
{
	char	   *result;

	PushActiveSnapshot(snapshot);
	if (SPI_execute(psprintf("SELECT pg_catalog.count(*)::text || ' ' ||"
							 " pg_catalog.sum(pg_catalog.hashtextextended((x.*)::text, 0))"
							 " FROM %s x", ck_denorm_name(denorm->view)),
					true, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not compute a denormalized table");
	result = SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1);
	PopActiveSnapshot();
	return result ? result : "";
}

/* Rows that a comparison reads, query and target: twice the target's. */
static int64
estimated_rows(CkDenorm *denorm)
{
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(denorm->target));
	double		rows;

	if (!HeapTupleIsValid(tuple))
		return 0;
	rows = ((Form_pg_class) GETSTRUCT(tuple))->reltuples;
	ReleaseSysCache(tuple);
	return (int64) (2 * Max(rows, 0));
}

/*
 * Compute all and write what differs.  Returns the number of rows written.
 * SPI must be connected, and ck_denorm_enter() called.
 */
int64
ck_denorm_refresh_all(CkDenorm *denorm)
{
	int64		written = 0;

	ck_denorm_lock_target(denorm, true);
	CommandCounterIncrement();
	if (IsolationUsesXactSnapshot() &&
		strcmp(digest(denorm, GetLatestSnapshot()),
			   digest(denorm, GetTransactionSnapshot())) != 0)
		raise_not_serializable(denorm);
	ck_denorm_progress(denorm, CK_PHASE_REFRESHING, estimated_rows(denorm));
	PushActiveSnapshot(GetLatestSnapshot());
	ck_denorm_compare_all(denorm, write_differences, &written);
	PopActiveSnapshot();
	ck_progress_end();
	return written;
}
