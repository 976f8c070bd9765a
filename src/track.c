/*-------------------------------------------------------------------------
 *
 * track.c
 *	  Which writes of a relation are seen: its family, triggers and cells.
 *
 * A statement trigger fires on the table that the statement names; the rows
 * may lie in other members of the inheritance tree.  Therefore
 *
 *  - a writer of L marks the cells of L, of the partitioned tables above it,
 *    and of the plain children below it (ck_track_marks);
 *  - a reader of R depends on the cells of R and of the partitioned tables
 *    above it; with plain inheritance, whose parents are not locked by those
 *    who change the children's pedigree, on every relation of the family;
 *  - R is tracked when every member of its family, that is R, all above it,
 *    all below it, and all above those, has the triggers.
 *
 * If L and R share a row, either L is above or equal R (then it is among R's
 * dependencies), or below R (then R is marked by L if it is partitioned, and
 * L is among R's dependencies if not), or both are above the relation that
 * has the row (then L is in R's family).  ATTACH PARTITION locks all that it
 * moves, so the marks of a statement that holds its lock stay right; after
 * DETACH the marks taken before name the old and the new root.  Plain
 * children are marked, too, since NO INHERIT leaves no trace in the child: it
 * would find its entries from before INHERIT again.
 *
 * A key of R (keys.c) can be used when every member below R that holds rows
 * has a row trigger for it, and no link is plain inheritance.  The cells of a
 * key are those of the topmost partitioned table, for readers and writers of
 * any member alike: ck_keys_root() is a function of catalog rows that are part
 * of the shape, and so are the rows of pg_attribute that say which column a
 * name in a trigger's arguments means.
 *
 * "shape" is a string of bytes that differs whenever the meaning of reading R
 * may differ for other reasons than recorded writes: the members, their
 * storage, the catalog versions of their pg_class, pg_inherits and pg_trigger
 * rows.  It is part of the identity of entries, so DDL, which is not under
 * MVCC, leaves old entries unreachable instead of invalidating them.  A
 * snapshot that does not see the transactions which made this shape ("since")
 * goes past the cache: it may find a rewritten table empty, or lack what was
 * written to a partition before it was attached, and the cells tell of
 * neither.
 *
 * Catalog reads only; no relation is locked.  All callers hold a lock on R.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/indexing.h"
#include "catalog/namespace.h"
#include "catalog/pg_am.h"
#include "catalog/pg_attrdef.h"
#include "catalog/pg_class.h"
#include "catalog/pg_event_trigger.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_subscription_rel.h"
#include "catalog/pg_trigger.h"
#include "catalog/partition.h"
#include "commands/event_trigger.h"
#include "commands/trigger.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"

#include "compat.h"
#include "guc.h"
#include "keys.h"
#include "track.h"

#define MAX_FAMILY	4096

static Oid	extension_namespace = InvalidOid;

/*
 * The schema of the extension, learned from any of its functions; entry
 * points pass the function that they were called as.  Within a session the
 * extension may go and come back in another schema.
 */
void
ck_track_set_namespace(Oid function)
{
	static Oid	learned_from = InvalidOid;

	if (likely(function == learned_from))
		return;
	extension_namespace = get_func_namespace(function);
	learned_from = function;
}

/* The same, for hooks, which are not called by the user: see extension.c. */
void
ck_track_use_namespace(Oid namespace)
{
	if (OidIsValid(namespace))
		extension_namespace = namespace;
}

Oid
ck_track_namespace(void)
{
	return extension_namespace;
}

/* cache_invalidate(), or InvalidOid. */
Oid
ck_track_trigger_function(void)
{
	oidvector  *no_args = buildoidvector(NULL, 0);

	return GetSysCacheOid3(PROCNAMEARGSNSP, Anum_pg_proc_oid,
						   CStringGetDatum("cache_invalidate"),
						   PointerGetDatum(no_args),
						   ObjectIdGetDatum(extension_namespace));
}

/*
 * Add the children of a plain parent, and theirs.  Rows of pg_inherits that
 * are dead but still there count, too: who plans a statement on the parent
 * looks its children up first and waits for their locks then, and writes to
 * one that has left in the meantime.  (The planner's own snapshot keeps the
 * row until a moment before the statement's triggers fire.)
 */
static List *
add_children(List *relids)
{
	Relation	catalog = table_open(InheritsRelationId, AccessShareLock);

	for (int i = 0; i < list_length(relids); i++)
	{
		ScanKeyData key;
		SysScanDesc scan;
		HeapTuple	tuple;

		ScanKeyInit(&key, Anum_pg_inherits_inhparent, BTEqualStrategyNumber,
					F_OIDEQ, ObjectIdGetDatum(list_nth_oid(relids, i)));
		scan = systable_beginscan(catalog, InheritsParentIndexId, true,
								  SnapshotAny, 1, &key);
		while (HeapTupleIsValid(tuple = systable_getnext(scan)))
			relids = list_append_unique_oid(relids,
											((Form_pg_inherits) GETSTRUCT(tuple))->inhrelid);
		systable_endscan(scan);
	}
	table_close(catalog, AccessShareLock);
	return relids;
}

/*
 * The relations whose cells a statement on `relid` writes to.  Palloc'd list.
 */
List *
ck_track_marks(Oid relid)
{
	List	   *result = list_make1_oid(relid);

	if (get_rel_relispartition(relid))
		result = list_concat(result, get_partition_ancestors(relid));
	else if (get_rel_relkind(relid) == RELKIND_RELATION && has_subclass(relid))
		result = add_children(result);
	return result;
}

/* ---------------- families ---------------- */

typedef struct Family
{
	List	   *members;
	StringInfo	shape;			/* pg_inherits rows met, or NULL */
	List	  **since;			/* their xids, or NULL */
	bool		own_ddl;
	bool		plain;			/* some link is not partitioning */
	bool		detaching;		/* some link is about to go */
} Family;

/* Append what identifies a catalog row's version; true if we made it. */
static bool
note_version(HeapTuple tuple, StringInfo shape, List **since)
{
	TransactionId xmin = HeapTupleHeaderGetRawXmin(tuple->t_data);

	if (shape)
		appendBinaryStringInfo(shape, (char *) &xmin, sizeof(xmin));
	if (since && !HeapTupleHeaderXminFrozen(tuple->t_data))
		*since = list_append_unique_oid(*since, xmin);
	return TransactionIdIsCurrentTransactionId(xmin);
}

/* The other end of every pg_inherits row of `relid`, up or down. */
static List *
inheritance_links(Family *family, Relation catalog, Oid relid, bool up)
{
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;
	List	   *result = NIL;

	ScanKeyInit(&key,
				up ? Anum_pg_inherits_inhrelid : Anum_pg_inherits_inhparent,
				BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(relid));
	scan = systable_beginscan(catalog,
							  up ? InheritsRelidSeqnoIndexId : InheritsParentIndexId,
							  true, NULL, 1, &key);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_inherits form = (Form_pg_inherits) GETSTRUCT(tuple);

		family->own_ddl |= note_version(tuple, family->shape, family->since);
		if (!get_rel_relispartition(form->inhrelid))
			family->plain = true;
		if (form->inhdetachpending)
			family->detaching = true;
		result = lappend_oid(result, up ? form->inhparent : form->inhrelid);
	}
	systable_endscan(scan);
	return result;
}

/* Add all that can be reached from members[start..] in one direction. */
static void
close_family(Family *family, Relation catalog, int start, bool up)
{
	for (int i = start; i < list_length(family->members); i++)
	{
		List	   *links;

		CHECK_FOR_INTERRUPTS();
		links = inheritance_links(family, catalog,
								  list_nth_oid(family->members, i), up);
		family->members = list_concat_unique_oid(family->members, links);
		list_free(links);
	}
}

/*
 * The ancestors of relid first, then what is below relid and above that.
 * Returns the number of the first part, relid included.
 */
static int
find_family(Family *family, Oid relid)
{
	Relation	catalog = table_open(InheritsRelationId, AccessShareLock);
	List	   *up;
	int			nup;

	family->members = list_make1_oid(relid);
	close_family(family, catalog, 0, true);
	up = list_copy(family->members);
	nup = list_length(up);

	family->members = list_make1_oid(relid);
	close_family(family, catalog, 0, false);
	if (family->plain)
		close_family(family, catalog, 0, true);
	family->members = list_concat_unique_oid(up, family->members);
	table_close(catalog, AccessShareLock);
	return nup;
}

/*
 * Every relation that must have triggers for `relid` to be tracked, and for
 * plain inheritance their whole connected component.
 */
List *
ck_track_family(Oid relid, bool *foreign)
{
	Family		family = {0};
	Relation	catalog = table_open(InheritsRelationId, AccessShareLock);
	int			before;

	family.members = list_make1_oid(relid);
	do
	{
		before = list_length(family.members);
		close_family(&family, catalog, 0, true);
		close_family(&family, catalog, 0, false);
	} while (list_length(family.members) > before);
	table_close(catalog, AccessShareLock);

	*foreign = false;
	for (int i = 0; i < list_length(family.members); i++)
		if (get_rel_relkind(list_nth_oid(family.members, i)) == RELKIND_FOREIGN_TABLE)
			*foreign = true;
	return family.members;
}

/*
 * The relations whose cells the change of a row that lies in `relid` itself
 * concerns (written.c): the table and the partitioned tables above it, also
 * one that it is just being detached from.  NIL: nothing depends on it.
 * Palloc'd.  A relation that is gone was dropped by the caller's transaction.
 */
List *
ck_track_row_marks(Oid relid)
{
	Family		family = {0};
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relid));
	Form_pg_class form;
	Relation	catalog;
	bool		is_partition;

	if (!HeapTupleIsValid(tuple))
		return list_make1_oid(relid);
	form = (Form_pg_class) GETSTRUCT(tuple);
	if (form->relkind == RELKIND_TOASTVALUE ||
		form->relpersistence == RELPERSISTENCE_TEMP)
	{
		ReleaseSysCache(tuple);
		return NIL;
	}
	is_partition = form->relispartition;
	ReleaseSysCache(tuple);
	family.members = list_make1_oid(relid);
	if (!is_partition)
		return family.members;
	catalog = table_open(InheritsRelationId, AccessShareLock);
	close_family(&family, catalog, 0, true);
	table_close(catalog, AccessShareLock);
	return family.members;
}

/* ---------------- triggers ---------------- */

/* Does some subscription write to one of these relations? */
bool
ck_track_needs_apply_triggers(List *family)
{
	Relation	catalog = table_open(SubscriptionRelRelationId, AccessShareLock);
	SysScanDesc scan = systable_beginscan(catalog, InvalidOid, false, NULL, 0, NULL);
	HeapTuple	tuple;
	bool		result = false;

	while (!result && HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_subscription_rel form = (Form_pg_subscription_rel) GETSTRUCT(tuple);

		result = list_member_oid(family, form->srrelid);
	}
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
	return result;
}

/* The events that a trigger reports without fail; 0: it does not count. */
static int
trigger_coverage(HeapTuple tuple, Relation catalog, bool row)
{
	Form_pg_trigger form = (Form_pg_trigger) GETSTRUCT(tuple);
	bool		conditional;

	(void) heap_getattr(tuple, Anum_pg_trigger_tgqual,
						RelationGetDescr(catalog), &conditional);
	conditional = !conditional || form->tgattr.dim1 > 0;
	if (conditional || !TRIGGER_FOR_BEFORE(form->tgtype) ||
		(TRIGGER_FOR_ROW(form->tgtype) != 0) != row)
		return 0;
	if (form->tgenabled != TRIGGER_FIRES_ALWAYS &&
		!(row && form->tgenabled == TRIGGER_FIRES_ON_REPLICA))
		return 0;
	return form->tgtype & (TRIGGER_TYPE_INSERT | TRIGGER_TYPE_DELETE |
						   TRIGGER_TYPE_UPDATE | TRIGGER_TYPE_TRUNCATE);
}

/* What the triggers of one relation amount to. */
typedef struct Coverage
{
	int			statement;
	int			row;
	List	   *keys;			/* CkKeyDef, with the events seen for each */
	bool		own_ddl;
} Coverage;

/* The keys that a row trigger's arguments name. */
static void
add_keys(HeapTuple tuple, Relation catalog, int events, Coverage *coverage)
{
	Form_pg_trigger form = (Form_pg_trigger) GETSTRUCT(tuple);
	bool		isnull;
	bytea	   *args = DatumGetByteaPP(heap_getattr(tuple, Anum_pg_trigger_tgargs,
													RelationGetDescr(catalog), &isnull));
	const char *arg = VARDATA_ANY(args);

	if (form->tgenabled != TRIGGER_FIRES_ALWAYS)
		events = 0;				/* or not in every session */
	for (int i = 0; i < form->tgnargs; i++, arg += strlen(arg) + 1)
		coverage->keys = ck_keys_add(coverage->keys, arg, events);
}

static void
read_triggers(Oid relid, Coverage *coverage, StringInfo shape, List **since)
{
	Oid			function = ck_track_trigger_function();
	Relation	catalog = table_open(TriggerRelationId, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;

	memset(coverage, 0, sizeof(*coverage));
	ScanKeyInit(&key, Anum_pg_trigger_tgrelid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(relid));
	scan = systable_beginscan(catalog, TriggerRelidNameIndexId, true, NULL, 1, &key);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_trigger form = (Form_pg_trigger) GETSTRUCT(tuple);

		if (form->tgfoid != function)
			continue;
		coverage->statement |= trigger_coverage(tuple, catalog, false);
		if (form->tgnargs == 0)
			coverage->row |= trigger_coverage(tuple, catalog, true);
		else if (TRIGGER_FOR_ROW(form->tgtype))
			add_keys(tuple, catalog, trigger_coverage(tuple, catalog, true), coverage);
		coverage->own_ddl |= note_version(tuple, shape, since);
		if (shape)
		{
			appendBinaryStringInfo(shape, (char *) &form->oid, sizeof(Oid));
			appendStringInfoChar(shape, form->tgenabled);
		}
	}
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
}

#define STATEMENT_EVENTS (TRIGGER_TYPE_INSERT | TRIGGER_TYPE_DELETE | \
						  TRIGGER_TYPE_UPDATE | TRIGGER_TYPE_TRUNCATE)
#define ROW_EVENTS (TRIGGER_TYPE_INSERT | TRIGGER_TYPE_DELETE | TRIGGER_TYPE_UPDATE)

static bool
covered(const Coverage *coverage, bool with_apply)
{
	return coverage->statement == STATEMENT_EVENTS &&
		(!with_apply || (coverage->row & ROW_EVENTS) == ROW_EVENTS);
}

/* The keys that row triggers of the relation itself name, seen or not. */
List *
ck_track_keys(Oid relid)
{
	Coverage	coverage;

	read_triggers(relid, &coverage, NULL, NULL);
	return coverage.keys;
}

/* Does the relation itself have all the triggers, enabled? */
bool
ck_track_has_triggers(Oid relid, bool with_apply)
{
	Coverage	coverage;

	read_triggers(relid, &coverage, NULL, NULL);
	return covered(&coverage, with_apply);
}

/* ---------------- without triggers ---------------- */

/* Does the list of written.c tell of every change of the relation's own rows? */
static bool
seen_without_triggers(Oid relid)
{
	HeapTuple	tuple;
	Form_pg_class form;
	bool		result;

	if (ck_guc_track != CK_TRACK_ALL)
		return false;
	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relid));
	if (!HeapTupleIsValid(tuple))
		return false;
	form = (Form_pg_class) GETSTRUCT(tuple);
	result = form->relkind == RELKIND_PARTITIONED_TABLE ||
		(form->relkind == RELKIND_RELATION && form->relam == HEAP_TABLE_AM_OID);
	ReleaseSysCache(tuple);
	return result;
}

/*
 * Who watches the relation itself: "triggers", "all", "both", or NULL.  A
 * trigger counts even if it is not as it must be.
 */
const char *
ck_track_tracker(Oid relid)
{
	StringInfoData triggers;
	Coverage	coverage;

	initStringInfo(&triggers);
	read_triggers(relid, &coverage, &triggers, NULL);
	if (!seen_without_triggers(relid))
		return triggers.len > 0 ? "triggers" : NULL;
	return triggers.len > 0 ? "both" : "all";
}

/* ---------------- DDL ---------------- */

/* Is an event trigger of ours there, for all commands and always? */
static bool
event_trigger_enabled(const char *name, StringInfo shape)
{
	HeapTuple	tuple = SearchSysCache1(EVENTTRIGGERNAME, CStringGetDatum(name));
	Form_pg_event_trigger form;
	bool		unfiltered;
	bool		result;

	if (!HeapTupleIsValid(tuple))
		return false;
	form = (Form_pg_event_trigger) GETSTRUCT(tuple);
	(void) SysCacheGetAttr(EVENTTRIGGERNAME, tuple, Anum_pg_event_trigger_evttags,
						   &unfiltered);
	result = form->evtenabled == TRIGGER_FIRES_ALWAYS && unfiltered &&
		get_func_namespace(form->evtfoid) == extension_namespace;
	if (shape)
	{
		appendBinaryStringInfo(shape, (char *) &form->oid, sizeof(Oid));
		(void) note_version(tuple, shape, NULL);
	}
	ReleaseSysCache(tuple);
	return result;
}

/*
 * The name of the event trigger that is not as it must be to see DDL and
 * REFRESH; NULL: they are all there.  Their versions are added to *shape:
 * what was stored before one was disabled is not to be used when it is back.
 */
const char *
ck_track_ddl_unwatched(StringInfo shape)
{
	if (!event_trigger_enabled(CK_DDL_TRIGGER_NAME, shape))
		return CK_DDL_TRIGGER_NAME;
	if (!event_trigger_enabled(CK_DROP_TRIGGER_NAME, shape))
		return CK_DROP_TRIGGER_NAME;
	return NULL;
}

/* ---------------- description ---------------- */

static char *
qualified_name(Oid relid)
{
	char	   *name = get_rel_name(relid);

	if (name == NULL)
		return psprintf("%u", relid);
	return quote_qualified_identifier(get_namespace_name(get_rel_namespace(relid)),
									  name);
}

/* The versions of the expressions that are computed when a row is read. */
static void
describe_expressions(Oid relid, CkTracked *result, StringInfo shape, List **since)
{
	Relation	catalog = table_open(AttrDefaultRelationId, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;

	ScanKeyInit(&key, Anum_pg_attrdef_adrelid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(relid));
	scan = systable_beginscan(catalog, AttrDefaultIndexId, true, NULL, 1, &key);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_attrdef form = (Form_pg_attrdef) GETSTRUCT(tuple);

		if (get_attgenerated(relid, form->adnum) != ATTRIBUTE_GENERATED_VIRTUAL)
			continue;			/* a default */
		appendBinaryStringInfo(shape, (char *) &form->oid, sizeof(Oid));
		result->own_ddl |= note_version(tuple, shape, since);
	}
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
}

/* pg_class's part of the shape; false if the relation is gone. */
static bool
describe_class(Oid relid, CkTracked *result, StringInfo shape, List **since)
{
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relid));
	Form_pg_class form;

	if (!HeapTupleIsValid(tuple))
		return false;
	form = (Form_pg_class) GETSTRUCT(tuple);
	appendBinaryStringInfo(shape, (char *) &relid, sizeof(Oid));
	appendBinaryStringInfo(shape, (char *) &form->relfilenode, sizeof(Oid));
	result->own_ddl |= note_version(tuple, shape, since);
	ReleaseSysCache(tuple);
	if (CK_VIRTUAL_COLUMNS)
		describe_expressions(relid, result, shape, since);
	return true;
}

static void
not_tracked(CkTracked *result, char *why)
{
	result->tracked = false;
	if (result->why_not == NULL)
		result->why_not = why;
}

/* The keys of which every change is seen in this member, too. */
static List *
keys_of_both(List *keys, const Coverage *coverage)
{
	List	   *result = NIL;
	ListCell   *lc;

	foreach(lc, keys)
	{
		CkKeyDef   *here = ck_keys_find(coverage->keys, lfirst(lc));

		if (here != NULL && (here->events & ROW_EVENTS) == ROW_EVENTS)
			result = lappend(result, lfirst(lc));
	}
	return result;
}

/*
 * Members below `relid` narrow the keys down; *keys is NIL when none is left,
 * and `first` says that there has been no such member yet.
 */
static void
describe_keys(const Coverage *coverage, bool *first, List **keys)
{
	*keys = keys_of_both(*first ? coverage->keys : *keys, coverage);
	*first = false;
}

/* Which column each name means is part of the shape. */
static void
describe_key_columns(Oid relid, CkTracked *result, StringInfo shape, List **since)
{
	ListCell   *lc;
	ListCell   *name;

	foreach(lc, result->keys)
	{
		CkKeyDef   *key = lfirst(lc);

		foreach(name, key->columns)
		{
			HeapTuple	tuple = SearchSysCacheAttName(relid, lfirst(name));

			if (!HeapTupleIsValid(tuple))	/* it has been renamed, say */
			{
				result->keys = foreach_delete_current(result->keys, lc);
				break;
			}
			appendBinaryStringInfo(shape,
								   (char *) &((Form_pg_attribute) GETSTRUCT(tuple))->attnum,
								   sizeof(AttrNumber));
			result->own_ddl |= note_version(tuple, shape, since);
			ReleaseSysCache(tuple);
		}
	}
}

static void
describe_member(Oid relid, bool with_apply, CkTracked *result, bool *first_leaf,
				StringInfo shape, List **since)
{
	Coverage	coverage;
	bool		listed;
	char		relkind = get_rel_relkind(relid);

	if (!describe_class(relid, result, shape, since))
	{
		not_tracked(result, psprintf("relation %u is gone", relid));
		return;
	}
	if (relkind == RELKIND_MATVIEW)
		return;					/* only REFRESH writes to it: see ddl.c */
	if (relkind == RELKIND_FOREIGN_TABLE)
	{
		not_tracked(result, psprintf("foreign table %s", qualified_name(relid)));
		return;
	}
	if (get_rel_persistence(relid) == RELPERSISTENCE_TEMP)
	{
		/* a child of one session, whose rows the others do not see */
		not_tracked(result, psprintf("temporary table %s", qualified_name(relid)));
		return;
	}
	listed = seen_without_triggers(relid);
	if (listed && ck_track_keys(relid) == NIL)
		memset(&coverage, 0, sizeof(coverage));	/* its triggers do not matter */
	else
		read_triggers(relid, &coverage, shape, since);
	result->own_ddl |= coverage.own_ddl;
	if (!listed && !covered(&coverage, with_apply && relkind == RELKIND_RELATION))
		not_tracked(result, psprintf("table %s is not tracked", qualified_name(relid)));
	if (relkind == RELKIND_RELATION)
		describe_keys(&coverage, first_leaf, &result->keys);
}

/*
 * All about one ordinary table, partitioned table or materialized view:
 * appends to *shape what identifies its state, and to *since the xids (32-bit;
 * subtransactions, too) that a snapshot must see for this to hold for it.
 */
void
ck_track_describe(Oid relid, CkTracked *result, StringInfo shape, List **since)
{
	Family		family = {0};
	int			nup;
	bool		with_apply;
	bool		first_leaf = true;
	ListCell   *lc;

	memset(result, 0, sizeof(*result));
	result->tracked = true;
	family.shape = shape;
	family.since = since;
	nup = find_family(&family, relid);
	result->members = family.members;
	result->own_ddl = family.own_ddl;
	result->deps = family.plain ? list_copy(family.members) :
		list_truncate(list_copy(family.members), nup);
	if (list_length(family.members) > MAX_FAMILY)
	{
		not_tracked(result, psprintf("table %s has too many partitions",
									 qualified_name(relid)));
		return;
	}
	with_apply = ck_track_needs_apply_triggers(family.members);
	foreach(lc, family.members)
		describe_member(lfirst_oid(lc), with_apply, result, &first_leaf, shape, since);
	if (family.plain || family.detaching)
		result->keys = NIL;
	describe_key_columns(relid, result, shape, since);
}
