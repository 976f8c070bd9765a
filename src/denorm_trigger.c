/*-------------------------------------------------------------------------
 *
 * denorm_trigger.c
 *	  Triggers on the sources of denormalized tables.
 *
 * denorm_create() attaches to every source, its partitions and children, the
 * function denorm_refresh_row() as statement triggers, enabled always and
 * without arguments: BEFORE any change; AFTER INSERT, UPDATE and DELETE with
 * transition tables; AFTER TRUNCATE.  They serve all targets of the source.
 *
 * A statement's changed rows lead to keys by the statements of denorm_paths.c,
 * which are run with the transition tables in the place of the source.  Where
 * a path leads over other tables, new rows are joined with these as they are
 * now, and old rows with these as they were before the statement, for it may
 * have changed them as well: a foreign key's ON DELETE CASCADE, or a WITH that
 * writes, leave no partner to an old row.  "As they were" is a snapshot that
 * is fresh as to others' changes and has the command id of the statement's
 * beginning as to our own.  The BEFORE trigger notes it; since statements
 * nest, old rows are looked at with the command id of every statement of ours
 * on a source that has begun and not ended.
 *
 * The apply worker of a subscription fires row triggers only.  A table that one
 * writes to has besides the row trigger cachekit_denorm_apply, without
 * arguments and ENABLE REPLICA, which takes the row for a transition table.
 *
 * With arguments the function does what they say: the target, and names of
 * columns of the trigger's table that make up the key (by default those named
 * as the key's own columns).
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/objectaddress.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_trigger.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "common/hashfn.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/regproc.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/tuplestore.h"
#include "utils/varlena.h"

#include "compat.h"
#include "debug_point.h"
#include "denorm_queue.h"
#include "denorm_refresh.h"
#include "denorm_trigger.h"
#include "track.h"
#include "xact.h"

PG_FUNCTION_INFO_V1(cachekit_denorm_refresh_row);

#define OLD_TABLE		"cachekit_old"
#define NEW_TABLE		"cachekit_new"
#define TRIGGER_PREFIX	"cachekit_denorm_"

/* Rows of a transition table, or both. */
#define OLD_ROWS		1
#define NEW_ROWS		2

/* A statement on a source that has begun. */
typedef struct Statement
{
	Oid			relid;
	CommandId	cid;
	int			nest;			/* subtransaction level */
} Statement;

static List *statements = NIL;	/* in TopTransactionContext, the newest last */

/* ---------------- statements that have begun ---------------- */

static void
at_end(void)
{
	statements = NIL;
}

static void
at_sub_commit(int nest)
{
	ListCell   *lc;

	foreach(lc, statements)
	{
		Statement  *statement = lfirst(lc);

		if (statement->nest >= nest)
			statement->nest = nest - 1;
	}
}

static void
at_sub_abort(int nest)
{
	for (int i = list_length(statements) - 1; i >= 0; i--)
		if (((Statement *) list_nth(statements, i))->nest >= nest)
			statements = list_delete_nth_cell(statements, i);
}

static const CkXactHooks xact_hooks = {
	.end = at_end,
	.sub_commit = at_sub_commit,
	.sub_abort = at_sub_abort
};

static void
statement_begins(Oid relid)
{
	MemoryContext old = MemoryContextSwitchTo(TopTransactionContext);
	Statement  *statement = palloc(sizeof(Statement));

	if (ck_xact_join(&xact_hooks))
		Assert(statements == NIL);
	statement->relid = relid;
	statement->cid = GetCurrentCommandId(false);
	statement->nest = GetCurrentTransactionNestLevel();
	statements = lappend(statements, statement);
	MemoryContextSwitchTo(old);
}

/* The distinct command ids of those under way; the newest of relid ends. */
static List *
statement_ends(Oid relid)
{
	List	   *cids = NIL;
	ListCell   *lc;

	foreach(lc, statements)
		cids = list_append_unique_int(cids, (int) ((Statement *) lfirst(lc))->cid);
	for (int i = list_length(statements) - 1; i >= 0; i--)
	{
		if (((Statement *) list_nth(statements, i))->relid != relid)
			continue;
		statements = list_delete_nth_cell(statements, i);
		break;
	}
	return cids;
}

/* ---------------- from changed rows to keys ---------------- */

/* A statement over the changed rows of one member of a source. */
typedef struct DeltaKey
{
	const void *of;				/* CkDenormSource or CkDenormLock */
	Oid			member;
	int			rows;
	int			padding;		/* hashed as bytes */
} DeltaKey;

typedef struct DeltaPlan
{
	DeltaKey	key;
	SPIPlanPtr	plan;
} DeltaPlan;

/* WITH the changed rows, by the names of the source's columns. */
static char *
delta_clause(Oid source, int rows)
{
	Relation	rel = RelationIdGetRelation(source);
	TupleDesc	desc = RelationGetDescr(rel);
	StringInfoData columns;
	StringInfoData buf;

	initStringInfo(&columns);
	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);

		if (!att->attisdropped && att->attgenerated != ATTRIBUTE_GENERATED_VIRTUAL)
			appendStringInfo(&columns, "%s%s", columns.len ? ", " : "",
							 quote_identifier(NameStr(att->attname)));
	}
	RelationClose(rel);
	initStringInfo(&buf);
	appendStringInfoString(&buf, "WITH " CK_DENORM_DELTA " AS (");
	if (rows & NEW_ROWS)
		appendStringInfo(&buf, "SELECT %s FROM " NEW_TABLE, columns.data);
	if (rows == (OLD_ROWS | NEW_ROWS))
		appendStringInfoString(&buf, " UNION ALL ");
	if (rows & OLD_ROWS)
		appendStringInfo(&buf, "SELECT %s FROM " OLD_TABLE, columns.data);
	appendStringInfoString(&buf, ") ");
	return buf.data;
}

static SPIPlanPtr
delta_plan(CkDenorm *denorm, const void *of, Oid source, const char *sql,
		   Oid member, int rows)
{
	DeltaKey	key;
	DeltaPlan  *entry;
	SPIPlanPtr	plan;

	if (denorm->delta_plans == NULL)
	{
		HASHCTL		ctl = {0};

		ctl.keysize = sizeof(DeltaKey);
		ctl.entrysize = sizeof(DeltaPlan);
		ctl.hcxt = denorm->cxt;
		denorm->delta_plans = hash_create("cachekit denorm statements", 32, &ctl,
										  HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	}
	memset(&key, 0, sizeof(key));
	key.of = of;
	key.member = member;
	key.rows = rows;
	entry = hash_search(denorm->delta_plans, &key, HASH_FIND, NULL);
	if (entry)
		return entry->plan;
	plan = ck_denorm_prepare(denorm, psprintf("%s%s", delta_clause(source, rows), sql),
							 0, NULL);
	entry = hash_search(denorm->delta_plans, &key, HASH_ENTER, NULL);
	entry->plan = plan;
	return plan;
}

/* A change of one member of a source, as one occurrence of it sees it. */
typedef struct Change
{
	CkDenorm   *denorm;
	CkDenormSource *source;
	Oid			member;
	int			rows;			/* which transition tables there are */
	List	   *cids;			/* of the statements under way */
} Change;

static void
run(SPIPlanPtr plan)
{
	if (SPI_execute_plan(plan, NULL, NULL, true, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not look at the changed rows of a source");
}

static void
collect_keys(Change *change, int rows, CkDenormKeys *keys)
{
	CkDenorm   *denorm = change->denorm;
	CkDenormSource *source = change->source;
	Datum	   *values = palloc(denorm->nscope * sizeof(Datum));
	bool	   *nulls = palloc(denorm->nscope * sizeof(bool));

	run(delta_plan(denorm, source, source->relid, source->keys_sql, change->member, rows));
	for (uint64 i = 0; i < SPI_processed; i++)
	{
		for (int k = 0; k < denorm->nscope; k++)
			values[k] = SPI_getbinval(SPI_tuptable->vals[i], SPI_tuptable->tupdesc,
									  k + 1, &nulls[k]);
		ck_denorm_keys_add(keys, values, nulls);
	}
	SPI_freetuptable(SPI_tuptable);
}

/* Old rows, with other tables as they were when `cid` was next. */
static void
collect_old_keys(Change *change, CommandId cid, CkDenormKeys *keys)
{
	PushCopiedSnapshot(GetLatestSnapshot());
	GetActiveSnapshot()->curcid = cid;
	collect_keys(change, OLD_ROWS, keys);
	PopActiveSnapshot();
}

static void
find_keys(Change *change, CkDenormKeys *keys)
{
	ListCell   *lc;

	if (change->source->full)
	{
		keys->full = true;
		return;
	}
	if (change->source->local || change->rows == NEW_ROWS)
	{
		PushActiveSnapshot(GetLatestSnapshot());
		collect_keys(change, change->rows, keys);
		PopActiveSnapshot();
		return;
	}
	if (change->rows & NEW_ROWS)
	{
		PushActiveSnapshot(GetLatestSnapshot());
		collect_keys(change, NEW_ROWS, keys);
		PopActiveSnapshot();
	}
	collect_old_keys(change, GetCurrentCommandId(false), keys);
	if (CK_FAULTY(CK_FAULT_DENORM_PAST))
		return;
	foreach(lc, change->cids)
		collect_old_keys(change, (CommandId) lfirst_int(lc), keys);
}

/* The hash of what a lock's statement returned; false: NULL, equal to nothing. */
static bool
hash_values(CkDenormLock *lock, HeapTuple tuple, TupleDesc desc, uint64 *hash)
{
	*hash = lock->salt;
	for (int i = 0; i < lock->ncols; i++)
	{
		bool		isnull;
		Datum		value = SPI_getbinval(tuple, desc, i + 1, &isnull);

		if (isnull)
			return false;
		if (OidIsValid(lock->hashers[i]))
			*hash = hash_combine64(*hash, (uint64)
								   DatumGetUInt32(OidFunctionCall1Coll(lock->hashers[i],
																	   lock->collations[i],
																	   value)));
	}
	return true;
}

static uint64 *
add_hashes(Change *change, CkDenormLock *lock, uint64 *hashes, int *n)
{
	run(delta_plan(change->denorm, lock, change->source->relid, lock->sql,
				   change->member, change->rows));
	hashes = hashes ?
		repalloc_huge(hashes, (Size) (*n + SPI_processed + 1) * sizeof(uint64)) :
		palloc((SPI_processed + 1) * sizeof(uint64));
	for (uint64 i = 0; i < SPI_processed; i++)
		if (hash_values(lock, SPI_tuptable->vals[i], SPI_tuptable->tupdesc, &hashes[*n]))
			(*n)++;
	SPI_freetuptable(SPI_tuptable);
	return hashes;
}

/* Round by round, each with a snapshot taken after the locks before it. */
static void
lock_edges(Change *change)
{
	List	   *locks = change->source->locks;
	int			i = 0;

	while (i < list_length(locks))
	{
		int			round = ((CkDenormLock *) list_nth(locks, i))->round;
		uint64	   *hashes = NULL;
		int			n = 0;

		PushActiveSnapshot(GetLatestSnapshot());
		for (; i < list_length(locks); i++)
		{
			CkDenormLock *lock = list_nth(locks, i);

			if (lock->round != round)
				break;
			hashes = add_hashes(change, lock, hashes, &n);
		}
		PopActiveSnapshot();
		ck_denorm_lock_values(change->denorm, CK_DENORM_LOCK_EDGE, hashes, n);
		CK_DEBUG_POINT("denorm_round");
	}
}

/* Does the member lack a column of the source, being a parent of it? */
static bool
lacks_columns(Oid member, Oid source)
{
	Relation	rel;
	bool		lacks = false;

	if (member == source)
		return false;
	rel = RelationIdGetRelation(source);
	for (int i = 0; i < RelationGetDescr(rel)->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(RelationGetDescr(rel), i);

		if (!att->attisdropped && get_attnum(member, NameStr(att->attname)) <= 0)
			lacks = true;
	}
	RelationClose(rel);
	return lacks;
}

static void
add_key_of_row(CkDenorm *denorm, CkDenormKeys *keys, AttrNumber *columns,
			   HeapTuple tuple, TupleDesc desc)
{
	Datum	   *values = palloc(denorm->nscope * sizeof(Datum));
	bool	   *nulls = palloc(denorm->nscope * sizeof(bool));

	for (int i = 0; i < denorm->nscope; i++)
		values[i] = heap_getattr(tuple, columns[i], desc, &nulls[i]);
	ck_denorm_keys_add(keys, values, nulls);
	pfree(values);
	pfree(nulls);
}

static void
add_keys_of_table(CkDenorm *denorm, CkDenormKeys *keys, AttrNumber *columns,
				  Tuplestorestate *store, TupleDesc desc)
{
	TupleTableSlot *slot;

	if (store == NULL)
		return;
	slot = MakeSingleTupleTableSlot(desc, &TTSOpsMinimalTuple);
	tuplestore_rescan(store);
	while (tuplestore_gettupleslot(store, true, false, slot))
	{
		bool		free;
		HeapTuple	tuple = ExecFetchSlotHeapTuple(slot, true, &free);

		add_key_of_row(denorm, keys, columns, tuple, desc);
		if (free)
			heap_freetuple(tuple);
	}
	ExecDropSingleTupleTableSlot(slot);
}

/* Column numbers of the source as numbers of one of its relatives. */
static AttrNumber *
member_columns(CkDenorm *denorm, CkDenormSource *source, Oid member)
{
	AttrNumber *result;

	if (member == source->relid)
		return source->columns;
	result = palloc(denorm->nscope * sizeof(AttrNumber));
	for (int i = 0; i < denorm->nscope; i++)
		result[i] = get_attnum(member, get_attname(source->relid, source->columns[i], false));
	return result;
}

/* Where a changed row itself holds the key, there is no need for a statement. */
static void
read_keys(CkDenorm *denorm, CkDenormSource *source, TriggerData *trigger, CkDenormKeys *keys)
{
	TupleDesc	desc = RelationGetDescr(trigger->tg_relation);
	AttrNumber *columns = member_columns(denorm, source,
										 RelationGetRelid(trigger->tg_relation));

	add_keys_of_table(denorm, keys, columns, trigger->tg_oldtable, desc);
	add_keys_of_table(denorm, keys, columns, trigger->tg_newtable, desc);
}

/* Can that be done, for all occurrences of the table?  Then do it. */
static bool
read_all_keys(CkDenorm *denorm, Oid member, int rows, TriggerData *trigger,
			  CkDenormKeys *keys, bool *concerned)
{
	List	   *sources = denorm->paths->sources;

	if (rows == 0)
		return false;
	for (int i = 0; i < list_length(sources); i++)
	{
		CkDenormSource *source = list_nth(sources, i);

		if (list_member_oid(list_nth(denorm->members, i), member) &&
			(source->columns == NULL || source->locks != NIL ||
			 lacks_columns(member, source->relid)))
			return false;
	}
	for (int i = 0; i < list_length(sources); i++)
		if (list_member_oid(list_nth(denorm->members, i), member))
		{
			*concerned = true;
			read_keys(denorm, list_nth(sources, i), trigger, keys);
		}
	return true;
}

/* By statements over the transition tables. */
static void
query_keys(CkDenorm *denorm, Oid member, int rows, List *cids, TriggerData *trigger,
		   CkDenormKeys *keys, bool *concerned)
{
	CkDenormEnv env;

	SPI_connect();
	if (SPI_register_trigger_data(trigger) < 0)
		elog(ERROR, "could not register transition tables");
	ck_denorm_enter(denorm, &env);
	CommandCounterIncrement();
	for (int i = 0; i < list_length(denorm->paths->sources); i++)
	{
		Change		change = {denorm, list_nth(denorm->paths->sources, i), member, rows, cids};

		if (!list_member_oid(list_nth(denorm->members, i), member))
			continue;
		*concerned = true;
		if (rows == 0 || lacks_columns(member, change.source->relid))
			keys->full = true;	/* TRUNCATE, for one */
		else
		{
			lock_edges(&change);
			CK_DEBUG_POINT("denorm_edges");
			find_keys(&change, keys);
		}
	}
	ck_denorm_leave(&env);
	SPI_finish();
}

/* One target's share of a change. */
static void
maintain(CkDenorm *denorm, Oid member, int rows, List *cids, TriggerData *trigger)
{
	CkDenormKeys *keys = ck_denorm_keys_make(denorm->nscope, denorm->scope,
											 CurrentMemoryContext);
	bool		concerned = false;

	if (!read_all_keys(denorm, member, rows, trigger, keys, &concerned))
		query_keys(denorm, member, rows, cids, trigger, keys, &concerned);
	CK_DEBUG_POINT("denorm_keys");
	if (concerned)
		ck_denorm_note_keys(denorm, keys);
	ck_denorm_keys_free(keys);
}

/* ---------------- the trigger function ---------------- */

static bool
is_empty(Tuplestorestate *store)
{
	return store == NULL || tuplestore_tuple_count(store) == 0;
}

/* An automatic trigger: all targets that the table is a source of. */
static void
maintain_all(TriggerData *trigger, List *cids)
{
	Oid			member = RelationGetRelid(trigger->tg_relation);
	List	   *targets = list_copy(ck_denorm_of_source(member));
	int			rows = 0;
	ListCell   *lc;

	if (trigger->tg_oldtable)
		rows |= OLD_ROWS;
	if (trigger->tg_newtable)
		rows |= NEW_ROWS;
	if (rows != 0 && is_empty(trigger->tg_oldtable) && is_empty(trigger->tg_newtable))
		return;
	foreach(lc, targets)
	{
		CkDenorm   *denorm = ck_denorm_get(lfirst_oid(lc), true);

		if (denorm && denorm->attached)
			maintain(denorm, member, rows, cids, trigger);
	}
}

static CkDenorm *
named_target(TriggerData *trigger)
{
	RangeVar   *name = makeRangeVarFromNameList(
							textToQualifiedNameList(cstring_to_text(trigger->tg_trigger->tgargs[0])));

	return ck_denorm_get(RangeVarGetRelid(name, NoLock, false), false);
}

/* The columns of the trigger's table that hold the key. */
static AttrNumber *
named_columns(CkDenorm *denorm, TriggerData *trigger)
{
	Trigger    *t = trigger->tg_trigger;
	AttrNumber *result = palloc(denorm->nscope * sizeof(AttrNumber));

	if (t->tgnargs > 1 && t->tgnargs - 1 != denorm->nkey)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("trigger \"%s\" must name %d key columns of \"%s\"",
						t->tgname, denorm->nkey, ck_denorm_name(denorm->target))));
	for (int i = 0; i < denorm->nscope; i++)
	{
		const char *name = denorm->scope[i]->name;

		for (int k = 0; t->tgnargs > 1 && k < denorm->nkey; k++)
			if (denorm->key[k] == denorm->scope_atts[i])
				name = t->tgargs[1 + k];
		result[i] = SPI_fnumber(RelationGetDescr(trigger->tg_relation), name);
		if (result[i] <= 0)
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_COLUMN),
					 errmsg("column \"%s\" of relation \"%s\" does not exist", name,
							RelationGetRelationName(trigger->tg_relation))));
		if (SPI_gettypeid(RelationGetDescr(trigger->tg_relation), result[i]) !=
			denorm->scope[i]->type)
			ereport(ERROR,
					(errcode(ERRCODE_DATATYPE_MISMATCH),
					 errmsg("column \"%s\" of relation \"%s\" is not of the key's type %s",
							name, RelationGetRelationName(trigger->tg_relation),
							format_type_be(denorm->scope[i]->type))));
	}
	return result;
}

/* A trigger attached by hand. */
static void
maintain_named(TriggerData *trigger)
{
	CkDenorm   *denorm = named_target(trigger);
	CkDenormKeys *keys = ck_denorm_keys_make(denorm->nscope, denorm->scope,
											 CurrentMemoryContext);
	TupleDesc	desc = RelationGetDescr(trigger->tg_relation);

	if (TRIGGER_FIRED_FOR_ROW(trigger->tg_event))
	{
		AttrNumber *columns = named_columns(denorm, trigger);

		add_key_of_row(denorm, keys, columns, trigger->tg_trigtuple, desc);
		if (TRIGGER_FIRED_BY_UPDATE(trigger->tg_event))
			add_key_of_row(denorm, keys, columns, trigger->tg_newtuple, desc);
	}
	else if (trigger->tg_oldtable || trigger->tg_newtable)
	{
		AttrNumber *columns = named_columns(denorm, trigger);

		add_keys_of_table(denorm, keys, columns, trigger->tg_oldtable, desc);
		add_keys_of_table(denorm, keys, columns, trigger->tg_newtable, desc);
	}
	else
		keys->full = true;
	ck_denorm_note_keys(denorm, keys);
	ck_denorm_keys_free(keys);
}

static Tuplestorestate *
store_of(HeapTuple tuple)
{
	Tuplestorestate *store = tuplestore_begin_heap(false, false, work_mem);

	tuplestore_puttuple(store, tuple);
	return store;
}

/* The row trigger of the apply worker: as if the row were a statement's. */
static void
maintain_row(TriggerData *trigger)
{
	Trigger		named = *trigger->tg_trigger;
	TriggerData row = *trigger;

	named.tgoldtable = OLD_TABLE;
	named.tgnewtable = NEW_TABLE;
	row.tg_trigger = &named;
	if (!TRIGGER_FIRED_BY_INSERT(trigger->tg_event))
		row.tg_oldtable = store_of(trigger->tg_trigtuple);
	if (!TRIGGER_FIRED_BY_DELETE(trigger->tg_event))
		row.tg_newtable = store_of(TRIGGER_FIRED_BY_UPDATE(trigger->tg_event) ?
								   trigger->tg_newtuple : trigger->tg_trigtuple);
	maintain_all(&row, NIL);
	if (row.tg_oldtable)
		tuplestore_end(row.tg_oldtable);
	if (row.tg_newtable)
		tuplestore_end(row.tg_newtable);
}

/* denorm_refresh_row() -> trigger */
Datum
cachekit_denorm_refresh_row(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = (TriggerData *) fcinfo->context;
	Oid			relid;

	if (!CALLED_AS_TRIGGER(fcinfo))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function \"%s\" must be called as a trigger", "denorm_refresh_row")));
	ck_track_set_namespace(fcinfo->flinfo->fn_oid);
	relid = RelationGetRelid(trigger->tg_relation);
	if (trigger->tg_trigger->tgnargs > 0)
	{
		if (!TRIGGER_FIRED_AFTER(trigger->tg_event))
			ereport(ERROR,
					(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
					 errmsg("trigger \"%s\" must be an AFTER trigger",
							trigger->tg_trigger->tgname)));
		maintain_named(trigger);
	}
	else if (TRIGGER_FIRED_FOR_ROW(trigger->tg_event) &&
			 TRIGGER_FIRED_AFTER(trigger->tg_event) &&
			 trigger->tg_trigger->tgenabled == TRIGGER_FIRES_ON_REPLICA)
		maintain_row(trigger);
	else if (TRIGGER_FIRED_FOR_ROW(trigger->tg_event))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("row trigger \"%s\" must name a denormalized table",
						trigger->tg_trigger->tgname),
				 errhint("Its arguments are the table, and the columns that hold the key.")));
	else if (TRIGGER_FIRED_BEFORE(trigger->tg_event))
		statement_begins(relid);
	else
		maintain_all(trigger, statement_ends(relid));
	return PointerGetDatum(NULL);
}

/* ---------------- attaching ---------------- */

static const struct
{
	const char *suffix;
	const char *event;
}			triggers[] =
{
	{"apply", "AFTER INSERT OR UPDATE OR DELETE ON %s"},	/* see attach_apply() */
	{"before", "BEFORE INSERT OR UPDATE OR DELETE ON %s"},
	{"delete", "AFTER DELETE ON %s REFERENCING OLD TABLE AS " OLD_TABLE},
	{"insert", "AFTER INSERT ON %s REFERENCING NEW TABLE AS " NEW_TABLE},
	{"truncate", "AFTER TRUNCATE ON %s"},
	{"update", "AFTER UPDATE ON %s REFERENCING OLD TABLE AS " OLD_TABLE
	" NEW TABLE AS " NEW_TABLE}
};

static bool attaching = false;	/* our own DDL fires the event trigger */

static void
execute(const char *sql)
{
	if (SPI_execute(sql, false, 0) < 0)
		elog(ERROR, "could not execute \"%s\"", sql);
}

#define APPLY_TRIGGER	0		/* the one that is not attached to all */

static void
attach_one(Oid relid, int i)
{
	bool		apply = i == APPLY_TRIGGER;
	char	   *name = psprintf(TRIGGER_PREFIX "%s", triggers[i].suffix);
	char	   *table = ck_denorm_name(relid);

	if (OidIsValid(get_trigger_oid(relid, name, true)))
		return;
	execute(psprintf("CREATE TRIGGER %s %s FOR EACH %s"
					 " EXECUTE FUNCTION %s.denorm_refresh_row()",
					 name, psprintf(triggers[i].event, table), apply ? "ROW" : "STATEMENT",
					 quote_identifier(get_namespace_name(ck_track_namespace()))));
	execute(psprintf("ALTER TABLE ONLY %s ENABLE %s TRIGGER %s", table,
					 apply ? "REPLICA" : "ALWAYS", name));
}

/* To a table whose family a subscription writes to. */
static void
attach_apply(Oid relid)
{
	bool		foreign;

	if (get_rel_relkind(relid) == RELKIND_RELATION &&
		ck_track_needs_apply_triggers(ck_track_family(relid, &foreign)))
		attach_one(relid, APPLY_TRIGGER);
}

static void
check_member(Oid relid)
{
	if (!CkRelationOwnerCheck(relid, GetUserId()))
		aclcheck_error(ACLCHECK_NOT_OWNER, get_relkind_objtype(get_rel_relkind(relid)),
					   get_rel_name(relid));
	if (get_rel_relkind(relid) == RELKIND_FOREIGN_TABLE)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("foreign table \"%s\" can not be a source of a denormalized table",
						ck_denorm_name(relid)),
				 errdetail("Its changes are not seen.")));
}

static void
attach_to_members(CkDenorm *denorm)
{
	ListCell   *lc;
	ListCell   *lc2;

	foreach(lc, denorm->members)
		foreach(lc2, (List *) lfirst(lc))
		{
			check_member(lfirst_oid(lc2));
			for (int i = APPLY_TRIGGER + 1; i < lengthof(triggers); i++)
				attach_one(lfirst_oid(lc2), i);
			attach_apply(lfirst_oid(lc2));
			/* others may know that it is the source of nothing */
			CacheInvalidateRelcacheByRelid(lfirst_oid(lc2));
		}
}

/*
 * Attach what is missing to all members of all sources, as the current user;
 * writers are waited for.  SPI must be connected.
 */
void
ck_denorm_attach(CkDenorm *denorm)
{
	attaching = true;
	PG_TRY();
	{
		attach_to_members(denorm);
	}
	PG_FINALLY();
	{
		attaching = false;
	}
	PG_END_TRY();
}

static void
drop_triggers(Oid relid)
{
	for (int i = 0; i < lengthof(triggers); i++)
	{
		char	   *name = psprintf(TRIGGER_PREFIX "%s", triggers[i].suffix);

		if (OidIsValid(get_trigger_oid(relid, name, true)))
			execute(psprintf("DROP TRIGGER %s ON %s", name, ck_denorm_name(relid)));
	}
}

static void
drop_view(Oid relid)
{
	execute(psprintf("DROP VIEW %s", ck_denorm_name(relid)));
}

/* Who drops a target need not own its sources. */
static void
execute_as_owner(Oid relid, void (*what) (Oid relid))
{
	Relation	rel = RelationIdGetRelation(relid);
	Oid			user;
	int			security;

	GetUserIdAndSecContext(&user, &security);
	SetUserIdAndSecContext(rel->rd_rel->relowner,
						   security | SECURITY_LOCAL_USERID_CHANGE);
	RelationClose(rel);
	what(relid);
	SetUserIdAndSecContext(user, security);
}

/* Remove the triggers, unless the table is a source of something. */
void
ck_denorm_detach(Oid relid)
{
	ListCell   *lc;

	CommandCounterIncrement();
	AcceptInvalidationMessages();
	if (get_rel_relkind(relid) == '\0')
		return;
	foreach(lc, ck_denorm_of_source(relid))
	{
		CkDenorm   *denorm = ck_denorm_get(lfirst_oid(lc), true);

		if (denorm && denorm->attached)
			return;
	}
	attaching = true;
	PG_TRY();
	{
		execute_as_owner(relid, drop_triggers);
	}
	PG_FINALLY();
	{
		attaching = false;
	}
	PG_END_TRY();
}

/* ---------------- DDL ---------------- */

/*
 * A table was made: it may be a child of a source.  Or (altered) a tree has
 * got or lost a member, by ATTACH or DETACH PARTITION, INHERIT or NO INHERIT,
 * which changes what the query returns.  SPI must be connected.
 */
void
ck_denorm_table_changed(Oid relid, bool altered)
{
	List	   *targets;
	ListCell   *lc;

	if (attaching)
		return;
	targets = list_copy(ck_denorm_of_source(relid));
	foreach(lc, targets)
	{
		CkDenorm   *denorm = ck_denorm_get(lfirst_oid(lc), true);

		if (denorm == NULL || !denorm->attached)
			continue;
		ck_denorm_attach(denorm);
		if (altered)
			ck_denorm_note_all(denorm);
	}
}

/*
 * A subscription has come to write to the table.  Its maker need not own it.
 * SPI must be connected.
 */
void
ck_denorm_subscribed(Oid relid)
{
	ListCell   *lc;
	ListCell   *lc2;

	foreach(lc, ck_denorm_of_source(relid))
	{
		CkDenorm   *denorm = ck_denorm_get(lfirst_oid(lc), true);

		if (denorm == NULL || !denorm->attached)
			continue;
		attaching = true;
		PG_TRY();
		{
			foreach(lc2, find_all_inheritors(relid, NoLock, NULL))
				execute_as_owner(lfirst_oid(lc2), attach_apply);
		}
		PG_FINALLY();
		{
			attaching = false;
		}
		PG_END_TRY();
		return;
	}
}

/* Remove triggers from what was a source of a definition that is gone. */
static void
detach_sources(CkDenormRow *row)
{
	ListCell   *lc;

	foreach(lc, row->sources)
	{
		List	   *members;
		ListCell   *lc2;

		if (get_rel_relkind(lfirst_oid(lc)) == '\0')
			continue;
		members = list_concat(find_all_inheritors(lfirst_oid(lc), NoLock, NULL),
							  ck_denorm_ancestors(lfirst_oid(lc)));
		foreach(lc2, members)
			ck_denorm_detach(lfirst_oid(lc2));
	}
}

static void
definition_dropped(CkDenormRow *row)
{
	ck_denorm_delete_row(row->target);
	if (get_rel_relkind(row->target) != '\0')
		ereport(WARNING,
				(errcode(ERRCODE_WARNING),
				 errmsg("\"%s\" is no longer maintained", ck_denorm_name(row->target)),
				 errdetail("The view that defines it has been dropped.")));
	else if (get_rel_relkind(row->view) == RELKIND_VIEW)
		execute_as_owner(row->view, drop_view);
	ck_denorm_forget_queue(row->target);
	detach_sources(row);
}

/* Some source has lost a child with its rows; which one is not known. */
static void
child_dropped(CkDenormRow *row)
{
	CkDenorm   *denorm;
	ListCell   *lc;
	bool		family = false;

	foreach(lc, row->sources)
		family |= has_subclass(lfirst_oid(lc));
	denorm = family ? ck_denorm_get(row->target, true) : NULL;
	if (denorm && denorm->attached)
		ck_denorm_note_all(denorm);
}

/*
 * Relations are gone: targets, views that define them, or a child of a source.
 * SPI must be connected.
 */
void
ck_denorm_dropped(List *relids, bool child_of_source)
{
	ListCell   *lc;

	if (relids == NIL)
		return;
	foreach(lc, ck_denorm_rows())
	{
		CkDenormRow *row = lfirst(lc);

		if (list_member_oid(relids, row->target) || list_member_oid(relids, row->view))
			definition_dropped(row);
		else if (child_of_source)
			child_dropped(row);
	}
}
