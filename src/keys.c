/*-------------------------------------------------------------------------
 *
 * keys.c
 *	  Keys of tables: which rows a write changes, which rows a query reads.
 *
 * A key is a list of columns that cache_track() was told of.  For a result
 * that depends on the rows of one key value only, this value has a cell of its
 * own (plandeps.c finds such results out).  A row trigger marks the cells of
 * the old and the new values of each row, before the row changes.
 *
 * A cell is found by hashing the values with the extended hash function of
 * the column type's default hash operator class, so whatever the type's own
 * equality takes for equal meets in one cell: numeric 1.0 and 1.  Strings are
 * hashed under the C collation, whatever the column's; that agrees with every
 * deterministic collation, and readers use no other.  A row with a null in a
 * key equals nothing and has no cell.  All members of a partition tree share
 * the cells of the topmost table: rows move between them.
 *
 * Besides the keys a table has a bulk cell, on which everything that depends
 * on one of its keys depends, too.  It is marked when the rows are not looked
 * at one by one:
 *
 *	- TRUNCATE, and whatever amounts to a write of the table (invalidate.c);
 *	- when this transaction has changed more than MAX_KEYS_MARKED keys of the
 *	  table: many cells would cost others their entries for nothing, and each
 *	  has to be registered;
 *	- when the new values are not known yet, since another BEFORE ROW trigger
 *	  fires after ours and may change them, or the column is generated.  Ours
 *	  has a name that sorts behind others for this reason.
 *
 * Once the bulk cell is marked, rows are no longer looked at; and where the
 * library was there when the statement started, the trigger is not even fired
 * for the rest of it.  The executor works with a copy of the table's triggers
 * that is the statement's own (ResultRelInfo.ri_TrigDesc): ours is disabled
 * there, and if no other BEFORE ROW trigger is left, rows are changed as those
 * of a table without any, which spares locking each before it is updated.  A
 * statement runs at one subtransaction level from start to end, so the mark
 * does not go before the statement does; should the level differ
 * nevertheless, the trigger goes on to fire.  COPY and the apply workers
 * have copies that nobody tells us of.
 *
 * What is known of a trigger is kept for the next call, in backend memory,
 * until a relcache message about its table or one of the tables above.  While
 * a partition is being detached concurrently, writers may still take the old
 * root for theirs; readers use no keys then (track.c).
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "catalog/partition.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_trigger.h"
#include "common/hashfn.h"
#include "executor/tuptable.h"
#include "miscadmin.h"
#include "storage/proc.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/hsearch.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/typcache.h"
#include "utils/varlena.h"

#include "cells.h"
#include "compat.h"
#include "debug_point.h"
#include "keys.h"
#include "segment.h"
#include "xact.h"

#define MAX_KEYS_MARKED	256		/* of one table, by one transaction */

/* ---------------- definitions ---------------- */

/* NULL: the argument is not a list of column names. */
CkKeyDef *
ck_keys_parse(const char *argument)
{
	char	   *copy = pstrdup(argument);
	List	   *columns;
	ListCell   *lc;
	StringInfoData name;
	CkKeyDef   *key;

	if (!SplitIdentifierString(copy, ',', &columns) || columns == NIL)
		return NULL;
	initStringInfo(&name);
	foreach(lc, columns)
		appendStringInfo(&name, "%s%s", name.len ? ", " : "",
						 quote_identifier(lfirst(lc)));
	key = palloc(sizeof(CkKeyDef));
	key->name = name.data;
	key->columns = columns;
	key->events = 0;
	return key;
}

/* The element of `keys` that is the same key, or NULL. */
CkKeyDef *
ck_keys_find(List *keys, const CkKeyDef *key)
{
	ListCell   *lc;

	foreach(lc, keys)
		if (strcmp(((CkKeyDef *) lfirst(lc))->name, key->name) == 0)
			return lfirst(lc);
	return NULL;
}

/* Add the events that a trigger with this argument reports. */
List *
ck_keys_add(List *keys, const char *argument, int events)
{
	CkKeyDef   *key = ck_keys_parse(argument);
	CkKeyDef   *known;

	if (key == NULL)
		return keys;
	known = ck_keys_find(keys, key);
	if (known == NULL)
	{
		keys = lappend(keys, key);
		known = key;
	}
	known->events |= events;
	return keys;
}

/* ---------------- cells ---------------- */

/* The table whose key cells the rows of `relid` belong to. */
Oid
ck_keys_root(Oid relid)
{
	List	   *ancestors;
	Oid			root;

	if (!get_rel_relispartition(relid))
		return relid;
	ancestors = get_partition_ancestors(relid);
	root = ancestors == NIL ? relid : llast_oid(ancestors);
	list_free(ancestors);
	return root;
}

/* How to hash values of a column of this type; false: they can not be. */
bool
ck_keys_hash_function(Oid type, FmgrInfo *function, MemoryContext context)
{
	TypeCacheEntry *entry = lookup_type_cache(getBaseType(type),
											  TYPECACHE_HASH_EXTENDED_PROC);

	if (!OidIsValid(entry->hash_extended_proc))
		return false;
	fmgr_info_cxt(entry->hash_extended_proc, function, context);
	return true;
}

uint64
ck_keys_hash_start(Oid root, const CkKeyDef *key)
{
	return hash_bytes_extended((const unsigned char *) key->name,
							   strlen(key->name), root);
}

/* Go on with the value of the next column, which is not null. */
uint64
ck_keys_hash_value(uint64 hash, FmgrInfo *function, Datum value)
{
	return hash_combine64(hash,
						  DatumGetUInt64(FunctionCall2Coll(function, C_COLLATION_OID,
														   value, UInt64GetDatum(0))));
}

/* The segment must be attached. */
uint32
ck_keys_cell(uint64 hash)
{
	return ck_cell_of(CK_DEP_RELATION_KEY, MyDatabaseId, hash);
}

uint32
ck_keys_bulk_cell(Oid root)
{
	return ck_cell_of(CK_DEP_RELATION_BULK, MyDatabaseId, root);
}

/* ---------------- writers ---------------- */

typedef struct CkLocalColumn
{
	AttrNumber	attno;
	bool		byval;
	int16		len;
	FmgrInfo	hash;
	Datum		old;			/* of the row that is looked at */
	Datum		new;
} CkLocalColumn;

typedef struct CkLocalKey
{
	uint64		start;			/* ck_keys_hash_start() */
	int			ncolumns;
	CkLocalColumn *columns;
} CkLocalKey;

/* A row trigger that this backend has fired. */
typedef struct CkLocalTrigger
{
	Oid			trigger;		/* hash key */
	Oid			relid;
	MemoryContext context;		/* what follows */
	bool		stale;			/* forget it before the next call */
	List	   *above;			/* partitioned tables above relid */
	uint32		bulk_cell;
	bool		bulk_only;
	int			nkeys;
	CkLocalKey *keys;
	LocalTransactionId transaction; /* that nmarked counts for */
	int			nmarked;
} CkLocalTrigger;

static HTAB *triggers = NULL;
static CkLocalTrigger *last_trigger = NULL;
static uint64 generation = 1;	/* counts relcache messages */

/* A running statement's own copy of the triggers of a table with keys. */
typedef struct CkStatement
{
	MemoryContextCallback ended;
	struct CkStatement *next;
	TriggerDesc *desc;
	int			nest;			/* subtransaction level it runs at */
} CkStatement;

static CkStatement *statements = NULL;

static void
relation_changed_cb(Datum arg, Oid relid)
{
	HASH_SEQ_STATUS status;
	CkLocalTrigger *known;

	generation++;
	if (triggers == NULL || hash_get_num_entries(triggers) == 0)
		return;
	hash_seq_init(&status, triggers);
	while ((known = hash_seq_search(&status)) != NULL)
		if (!OidIsValid(relid) || known->relid == relid ||
			list_member_oid(known->above, relid))
			known->stale = true;
}

/* May another trigger change a new row after this one has seen it? */
static bool
fires_before_another(Relation rel, Oid trigger, Oid function)
{
	TriggerDesc *desc = rel->trigdesc;
	bool		found = false;

	for (int i = 0; desc && i < desc->numtriggers; i++)
	{
		Trigger    *t = &desc->triggers[i];

		if (t->tgoid == trigger)
			found = true;
		else if (found && t->tgfoid != function &&
				 t->tgenabled != TRIGGER_DISABLED &&
				 TRIGGER_FOR_ROW(t->tgtype) && TRIGGER_FOR_BEFORE(t->tgtype) &&
				 (TRIGGER_FOR_INSERT(t->tgtype) || TRIGGER_FOR_UPDATE(t->tgtype)))
			return true;
	}
	return !found;
}

/* false: the value is not known when the trigger fires, or has no hash. */
static bool
describe_column(Relation rel, AttrNumber attno, CkLocalColumn *column,
				MemoryContext context)
{
	Form_pg_attribute att = TupleDescAttr(RelationGetDescr(rel), attno - 1);

	column->attno = attno;
	column->byval = att->attbyval;
	column->len = att->attlen;
	return att->attgenerated == '\0' &&
		ck_keys_hash_function(att->atttypid, &column->hash, context);
}

/* Does it name columns of the table?  Readers ask the same (track.c). */
static bool
key_exists(Oid relid, const CkKeyDef *def)
{
	ListCell   *lc;

	foreach(lc, def->columns)
		if (get_attnum(relid, lfirst(lc)) <= 0)
			return false;
	return true;
}

/* Add a key.  false: rows do not tell its values. */
static bool
describe_key(Relation rel, Oid root, const char *argument, CkLocalTrigger *known)
{
	CkKeyDef   *def = ck_keys_parse(argument);
	CkLocalKey *key = &known->keys[known->nkeys];
	MemoryContext context = known->context;
	ListCell   *lc;

	if (def == NULL || !key_exists(RelationGetRelid(rel), def))
		return true;			/* nobody uses it, see there */
	known->nkeys++;
	key->start = ck_keys_hash_start(root, def);
	key->ncolumns = 0;
	key->columns = MemoryContextAlloc(context,
									  list_length(def->columns) * sizeof(CkLocalColumn));
	foreach(lc, def->columns)
		if (!describe_column(rel, get_attnum(RelationGetRelid(rel), lfirst(lc)),
							 &key->columns[key->ncolumns++], context))
			return false;
	return true;
}

/* What the trigger is to do.  The segment is attached. */
static CkLocalTrigger *
learn_trigger(TriggerData *data)
{
	Relation	rel = data->tg_relation;
	Trigger    *trigger = data->tg_trigger;
	uint64		before = generation;
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "cachekit key trigger",
												  ALLOCSET_SMALL_SIZES);
	MemoryContext old;
	Oid			root = ck_keys_root(RelationGetRelid(rel));
	CkLocalTrigger fresh = {0};
	CkLocalTrigger *known;

	fresh.trigger = trigger->tgoid;
	fresh.relid = RelationGetRelid(rel);
	fresh.context = context;
	fresh.bulk_cell = ck_keys_bulk_cell(root);
	fresh.keys = MemoryContextAlloc(context, trigger->tgnargs * sizeof(CkLocalKey));
	fresh.bulk_only = fires_before_another(rel, trigger->tgoid, trigger->tgfoid);
	for (int i = 0; i < trigger->tgnargs; i++)
		if (!describe_key(rel, root, trigger->tgargs[i], &fresh))
			fresh.bulk_only = true;
	old = MemoryContextSwitchTo(context);
	fresh.above = rel->rd_rel->relispartition ?
		get_partition_ancestors(fresh.relid) : NIL;
	MemoryContextSwitchTo(old);
	fresh.stale = generation != before;

	if (triggers == NULL)
	{
		HASHCTL		ctl = {0};

		ctl.keysize = sizeof(Oid);
		ctl.entrysize = sizeof(CkLocalTrigger);
		ctl.hcxt = CacheMemoryContext;
		triggers = hash_create("cachekit key triggers", 64, &ctl,
							   HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	}
	known = hash_search(triggers, &fresh.trigger, HASH_ENTER, NULL);
	MemoryContextSetParent(context, CacheMemoryContext);
	*known = fresh;
	return known;
}

static void
forget_trigger(CkLocalTrigger *known)
{
	last_trigger = NULL;
	MemoryContextDelete(known->context);
	(void) hash_search(triggers, &known->trigger, HASH_REMOVE, NULL);
}

static CkLocalTrigger *
find_trigger(TriggerData *data)
{
	Oid			trigger = data->tg_trigger->tgoid;
	CkLocalTrigger *known = last_trigger;

	if (likely(known != NULL && known->trigger == trigger && !known->stale))
		return known;
	known = triggers == NULL ? NULL : hash_search(triggers, &trigger, HASH_FIND, NULL);
	if (known != NULL && known->stale)
	{
		forget_trigger(known);
		known = NULL;
	}
	if (known == NULL)
		known = learn_trigger(data);
	last_trigger = known;
	return known;
}

/* ---------------- statements ---------------- */

static void
statement_ended_cb(void *arg)
{
	for (CkStatement **s = &statements; *s != NULL; s = &(*s)->next)
	{
		if (*s == arg)
		{
			*s = (*s)->next;
			return;
		}
	}
}

static bool
has_key_trigger(const TriggerDesc *desc)
{
	if (!desc->trig_insert_before_row && !desc->trig_update_before_row &&
		!desc->trig_delete_before_row)
		return false;
	for (int i = 0; i < desc->numtriggers; i++)
		if (desc->triggers[i].tgnargs > 0 &&
			strcmp(desc->triggers[i].tgname, CK_KEY_TRIGGER_NAME) == 0)
			return true;
	return false;
}

/*
 * A statement has been started: remember its copies of the triggers of tables
 * with keys, as long as they are there.
 */
void
ck_keys_statement(EState *estate)
{
	ListCell   *lc;

	foreach(lc, estate->es_opened_result_relations)
	{
		TriggerDesc *desc = ((ResultRelInfo *) lfirst(lc))->ri_TrigDesc;
		CkStatement *s;

		if (desc == NULL || !has_key_trigger(desc))
			continue;
		s = MemoryContextAlloc(estate->es_query_cxt, sizeof(CkStatement));
		s->desc = desc;
		s->nest = GetCurrentTransactionNestLevel();
		s->next = statements;
		s->ended.func = statement_ended_cb;
		s->ended.arg = s;
		statements = s;
		MemoryContextRegisterResetCallback(estate->es_query_cxt, &s->ended);
	}
}

static bool
fires_before_row(const TriggerDesc *desc, int event)
{
	for (int i = 0; i < desc->numtriggers; i++)
		if (desc->triggers[i].tgenabled != TRIGGER_DISABLED &&
			TRIGGER_TYPE_MATCHES(desc->triggers[i].tgtype, TRIGGER_TYPE_ROW,
								 TRIGGER_TYPE_BEFORE, event))
			return true;
	return false;
}

/* The bulk cell is marked: the running statement needs the trigger no more. */
static void
fire_no_more(Trigger *trigger)
{
	for (CkStatement *s = statements; s != NULL; s = s->next)
	{
		TriggerDesc *desc = s->desc;

		if (trigger < desc->triggers || trigger >= desc->triggers + desc->numtriggers)
			continue;
		if (s->nest != GetCurrentTransactionNestLevel())
			return;
		trigger->tgenabled = TRIGGER_DISABLED;
		desc->trig_insert_before_row = fires_before_row(desc, TRIGGER_TYPE_INSERT);
		desc->trig_update_before_row = fires_before_row(desc, TRIGGER_TYPE_UPDATE);
		desc->trig_delete_before_row = fires_before_row(desc, TRIGGER_TYPE_DELETE);
		return;
	}
}

/* ---------------- rows ---------------- */

static void
mark_cell(CkLocalTrigger *known, uint32 cell)
{
	if (ck_xact_is_dirty(cell))
		return;
	if (known->transaction != CkMyLocalXid)
	{
		known->transaction = CkMyLocalXid;
		known->nmarked = 0;
	}
	if (++known->nmarked > MAX_KEYS_MARKED)
		cell = known->bulk_cell;
	ck_xact_mark(cell);
}

/* Read the key's values of a row.  false: one of them is null. */
static bool
read_key(const CkLocalKey *key, TupleTableSlot *slot, bool new)
{
	for (int i = 0; i < key->ncolumns; i++)
	{
		CkLocalColumn *column = &key->columns[i];
		bool		isnull;
		Datum		value = slot_getattr(slot, column->attno, &isnull);

		if (isnull)
			return false;
		if (new)
			column->new = value;
		else
			column->old = value;
	}
	return true;
}

/* Are the values that were read the same bytes? */
static bool
same_values(const CkLocalKey *key)
{
	for (int i = 0; i < key->ncolumns; i++)
	{
		const CkLocalColumn *column = &key->columns[i];

		if (column->old != column->new &&
			(column->byval ||
			 !datumIsEqual(column->old, column->new, false, column->len)))
			return false;
	}
	return true;
}

static void
mark_key(CkLocalTrigger *known, const CkLocalKey *key, bool new)
{
	uint64		hash = key->start;

	for (int i = 0; i < key->ncolumns; i++)
	{
		CkLocalColumn *column = &key->columns[i];

		hash = ck_keys_hash_value(hash, &column->hash, new ? column->new : column->old);
	}
	mark_cell(known, ck_keys_cell(hash));
}

static void
mark_changed_key(CkLocalTrigger *known, const CkLocalKey *key, TriggerData *data)
{
	bool		old = read_key(key, data->tg_trigslot, false);
	bool		new = read_key(key, data->tg_newslot, true);

	if (old && new && same_values(key))
		new = false;
	else if (CK_FAULTY(CK_FAULT_FORGET_OLD_KEY))
		old = false;
	if (old)
		mark_key(known, key, false);
	if (new)
		mark_key(known, key, true);
}

/*
 * A row trigger with keys for arguments fires: mark what the row's keys are
 * and will be.  May raise errors of a type's hash function.
 */
void
ck_keys_mark_row(TriggerData *data)
{
	CkLocalTrigger *known;

	if (unlikely(!ck_segment_attach()))
	{
		ck_xact_mark_lost();
		return;
	}
	known = find_trigger(data);
	if (unlikely(known->bulk_only))
		ck_xact_mark(known->bulk_cell);
	if (ck_xact_is_dirty(known->bulk_cell))
	{
		fire_no_more(data->tg_trigger);
		return;
	}
	for (int i = 0; i < known->nkeys; i++)
	{
		const CkLocalKey *key = &known->keys[i];

		if (TRIGGER_FIRED_BY_UPDATE(data->tg_event))
			mark_changed_key(known, key, data);
		else if (read_key(key, data->tg_trigslot, false))
			mark_key(known, key, false);
	}
}

/* Callback, once a backend. */
void
ck_keys_init(void)
{
	CacheRegisterRelcacheCallback(relation_changed_cb, (Datum) 0);
}
