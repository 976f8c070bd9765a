/*-------------------------------------------------------------------------
 *
 * rules.c
 *	  Which queries a DBA wants cached, by query identifier.
 *
 * The table cachekit_rule holds them.  Each backend keeps the enabled ones in
 * a hash table, since it asks whenever it plans a query.  A trigger of the
 * table sends a relcache message for it after every statement that writes to
 * it (rule_create.c); DDL on the table sends one by itself.  On receipt the
 * hash table is out of date, and is made anew by whoever asks next.
 *
 * Rules are read as catalogs are: the newest committed ones and our own,
 * whatever the transaction's snapshot.  The message is sent after the commit
 * is visible, and the snapshot of the scan is taken after the message, so
 * none is missed.
 *
 * Locking: asking must not block, nor add a lock that a deadlock could be made
 * of, since it happens in everybody's queries.  The table is locked for the
 * scan only if that is possible at once.  If not (somebody drops the
 * extension, or alters the table), there are no rules for this query.  Under
 * SERIALIZABLE, where nothing is cached, a reader could come to conflict with
 * a writer of rules; the table is not read there.
 *
 * Nothing here plans a query or raises an error for what the table contains:
 * its CHECK constraint has done that.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/hsearch.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "args.h"
#include "debug_point.h"
#include "extension.h"
#include "rules.h"
#include "segment.h"

/* Columns of cachekit_rule: see the install script. */
enum
{
	COL_QUERYID = 1,
	COL_TTL,
	COL_TAGS,
	COL_STALE,
	COL_KEEP_WARM,
	COL_ENABLED
};

static HTAB *rules = NULL;		/* CkRule by queryid; NULL: there are none */
static MemoryContext rules_context = NULL;	/* holds it */
static bool valid = false;		/* it is what the table says */
static bool without_memory = false; /* it lacks what needs shared memory */
static Oid	read_from = InvalidOid; /* the table */
static Oid	read_in = InvalidOid;	/* the schema, when it was read */

static void
relation_changed_cb(Datum arg, Oid relid)
{
	if (relid == read_from || !OidIsValid(relid))
		valid = false;
}

/* Forget all rules. */
static void
reset(void)
{
	if (rules_context == NULL)
		rules_context = AllocSetContextCreate(CacheMemoryContext,
											  "cachekit rules",
											  ALLOCSET_SMALL_SIZES);
	rules = NULL;
	MemoryContextReset(rules_context);
}

static CkRule *
new_rule(uint64 queryid)
{
	CkRule	   *rule;

	if (rules == NULL)
	{
		HASHCTL		ctl = {0};

		ctl.keysize = sizeof(uint64);
		ctl.entrysize = sizeof(CkRule);
		ctl.hcxt = rules_context;
		rules = hash_create("cachekit rules", 64, &ctl,
							HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	}
	rule = hash_search(rules, &queryid, HASH_ENTER, NULL);
	memset((char *) rule + sizeof(uint64), 0, sizeof(CkRule) - sizeof(uint64));
	return rule;
}

/* Column of a row, or `missing` when it is null. */
static Datum
column(HeapTuple tuple, TupleDesc desc, int number, Datum missing)
{
	bool		isnull;
	Datum		value = heap_getattr(tuple, number, desc, &isnull);

	return isnull ? missing : value;
}

static int64
interval_column(HeapTuple tuple, TupleDesc desc, int number)
{
	Interval   *value = DatumGetIntervalP(column(tuple, desc, number, (Datum) 0));

	return value ? ck_args_microseconds(value) : 0;
}

/* Remember one row; false: its tags need shared memory, which is not there. */
static bool
add_rule(HeapTuple tuple, TupleDesc desc)
{
	Datum		tags = column(tuple, desc, COL_TAGS, (Datum) 0);
	CkRule	   *rule;

	if (!DatumGetBool(column(tuple, desc, COL_ENABLED, BoolGetDatum(false))))
		return true;
	if (DatumGetPointer(tags) != NULL && !ck_segment_attach())
		return false;
	rule = new_rule((uint64) DatumGetInt64(column(tuple, desc, COL_QUERYID, (Datum) 0)));
	rule->ttl = interval_column(tuple, desc, COL_TTL);
	rule->has_ttl = rule->ttl > 0;
	rule->swr = interval_column(tuple, desc, COL_STALE);
	rule->keep_warm = DatumGetBool(column(tuple, desc, COL_KEEP_WARM, BoolGetDatum(false)));
	if (DatumGetPointer(tags) != NULL)
		rule->ntags = ck_args_tags(DatumGetArrayTypeP(tags), CK_MAX_TAGS, rule->tags);
	return true;
}

/* Remember all enabled rules of the table, which is locked. */
static bool
read_table(Relation table)
{
	MemoryContext scratch = AllocSetContextCreate(CurrentMemoryContext,
												  "cachekit rule rows",
												  ALLOCSET_SMALL_SIZES);
	MemoryContext old = MemoryContextSwitchTo(scratch);
	SysScanDesc scan = systable_beginscan(table, InvalidOid, false, NULL, 0, NULL);
	HeapTuple	tuple;
	bool		complete = true;

	CK_DEBUG_POINT("rules");
	while (complete && HeapTupleIsValid(tuple = systable_getnext(scan)))
		complete = add_rule(tuple, RelationGetDescr(table));
	systable_endscan(scan);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(scratch);
	return complete;
}

/*
 * Read the table; if that is impossible now, there are no rules for now, nor
 * while there is no shared memory to find the cells of tags in.
 */
static void
load(Oid namespace)
{
	Relation	table;
	Oid			relid;

	reset();
	relid = get_relname_relid(CK_RULE_TABLE, namespace);
	read_from = relid;
	if (!OidIsValid(relid) || IsolationIsSerializable() ||
		!ConditionalLockRelationOid(relid, AccessShareLock))
		return;
	table = try_table_open(relid, NoLock);
	if (table == NULL)
	{
		UnlockRelationOid(relid, AccessShareLock);
		return;
	}
	read_in = namespace;
	valid = true;				/* before the scan: messages may come with it */
	without_memory = !read_table(table);
	if (without_memory)
		reset();
	table_close(table, AccessShareLock);
}

static void
load_if_needed(void)
{
	Oid			namespace = ck_extension_namespace();

	if (likely(valid && namespace == read_in &&
			   !(without_memory && ck_segment_attach())))
		return;
	valid = false;
	if (!OidIsValid(namespace))
	{
		rules = NULL;
		read_from = InvalidOid;
		return;
	}
	PG_TRY();
	{
		load(namespace);
	}
	PG_CATCH();
	{
		valid = false;
		rules = NULL;
		PG_RE_THROW();
	}
	PG_END_TRY();
}

/*
 * Has this database an enabled rule?  In a transaction only.  Reads the table
 * the first time and after a change of it; neither plans nor waits.
 */
bool
ck_rules_any(void)
{
	load_if_needed();
	return rules != NULL;
}

/*
 * The enabled rule for a query identifier; NULL: there is none.  As
 * ck_rules_any().  Good until the next call of either: copy what is needed for
 * longer.
 */
const CkRule *
ck_rules_find(uint64 queryid)
{
	load_if_needed();
	if (likely(rules == NULL))
		return NULL;
	return hash_search(rules, &queryid, HASH_FIND, NULL);
}

/*
 * The table of rules, InvalidOid if there is none.  A plan that was made with
 * or without a rule lists it among the relations that it depends on, so that
 * it is made anew when the rules change.
 */
Oid
ck_rules_table(void)
{
	load_if_needed();
	return read_from;
}

/* Callbacks, once a backend. */
void
ck_rules_init(void)
{
	CacheRegisterRelcacheCallback(relation_changed_cb, (Datum) 0);
}
