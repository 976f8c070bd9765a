/*-------------------------------------------------------------------------
 *
 * denorm_def.c
 *	  Definitions of denormalized tables.
 *
 * What a user gives to denorm_create() is kept as a view, so that renaming,
 * dropping and dumping what it reads is PostgreSQL's affair.  The table
 * cachekit_denorm_def says which view belongs to which target; it and the
 * triggers on the sources are dumped by pg_dump.  Everything else is derived
 * from the view, once a backend, and derived again after changes of catalogs.
 *
 * The table is written here alone, as catalogs are (no privileges apply), and
 * read with a fresh snapshot at every isolation level: the trigger of a table
 * that has become a source after a transaction's snapshot must find it.
 *
 * Maintenance runs as the owner of the target, with a fixed search_path and
 * under the settings that denorm_create() was called with, so that the result
 * is a function of the sources alone.  SET ROLE is not possible inside.  Row
 * security is not forced on an owner; where it would apply, the statement
 * fails rather than leave rows out.  The cache is not asked.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/transam.h"
#include "access/xact.h"
#include "catalog/indexing.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_operator.h"
#include "catalog/pg_type.h"
#include "commands/extension.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "rewrite/rewriteHandler.h"
#include "tcop/tcopprot.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/guc.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/rls.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"
#include "utils/typcache.h"

#include "catalogs.h"
#include "compat.h"
#include "denorm_def.h"
#include "denorm_graph.h"
#include "denorm_paths.h"
#include "depwalk.h"
#include "fingerprint.h"
#include "guc.h"
#include "track.h"
#include "xact.h"

#define DEF_TABLE	"cachekit_denorm_def"

/* Columns of the table. */
enum
{
	DEF_TARGET = 1,
	DEF_VIEW,
	DEF_KEY,
	DEF_MODE,
	DEF_ATTACHED,
	DEF_SOURCES,
	DEF_SETTINGS
};
#define DEF_NATTS	DEF_SETTINGS

#define MAX_KEY_COLUMNS	32
#define SAFE_PATH	"pg_catalog, pg_temp"

/*
 * Settings that change what values look like, or mean; besides search_path.
 * They must be among those that ck_fingerprint_settings() reads.
 */
static const char *const captured[] = {
	"DateStyle", "IntervalStyle", "TimeZone", "array_nulls", "bytea_output",
	"default_text_search_config", "extra_float_digits", "lc_monetary",
	"lc_numeric", "lc_time", "quote_all_identifiers", "timezone_abbreviations",
	"transform_null_equals", "xmlbinary", "xmloption"
};

/* The targets that a relation is a source of, for this backend. */
typedef struct SourceEntry
{
	Oid			relid;
	List	   *targets;		/* Oid, ascending */
} SourceEntry;

typedef struct DenormEntry
{
	Oid			target;
	CkDenorm   *denorm;
} DenormEntry;

static HTAB *denorms = NULL;
static List *obsolete = NIL;	/* CkDenorm, perhaps still in use */
static HTAB *by_source = NULL;
static MemoryContext by_source_cxt = NULL;
static uint64 by_source_generation = 0;

/* ---------------- the table ---------------- */

const char *
ck_denorm_mode_name(CkDenormMode mode)
{
	switch (mode)
	{
		case CK_DENORM_IMMEDIATE:
			return "immediate";
		case CK_DENORM_DEFERRED:
			return "deferred";
		case CK_DENORM_ASYNC:
			return "async";
	}
	return NULL;
}

/* A table of the extension; InvalidOid while there is no extension. */
Oid
ck_denorm_table(const char *name)
{
	return get_relname_relid(name, ck_track_namespace());
}

Relation
ck_denorm_open(const char *name, LOCKMODE mode)
{
	Oid			relid = ck_denorm_table(name);

	if (!OidIsValid(relid))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("table %s of the extension does not exist", name),
				 errhint("Create the extension cachekit again.")));
	return table_open(relid, mode);
}

static List *
text_list(Datum array)
{
	Datum	   *values;
	int			n;
	List	   *result = NIL;

	deconstruct_array(DatumGetArrayTypeP(array), TEXTOID, -1, false, TYPALIGN_INT,
					  &values, NULL, &n);
	for (int i = 0; i < n; i++)
		result = lappend(result, TextDatumGetCString(values[i]));
	return result;
}

static Datum
text_array(List *list)
{
	Datum	   *values = palloc(Max(1, list_length(list)) * sizeof(Datum));
	ListCell   *lc;

	foreach(lc, list)
		values[foreach_current_index(lc)] = CStringGetTextDatum(lfirst(lc));
	return PointerGetDatum(construct_array(values, list_length(list), TEXTOID, -1,
										   false, TYPALIGN_INT));
}

static CkDenormMode
mode_by_name(const char *name)
{
	if (strcmp(name, "deferred") == 0)
		return CK_DENORM_DEFERRED;
	if (strcmp(name, "async") == 0)
		return CK_DENORM_ASYNC;
	return CK_DENORM_IMMEDIATE;
}

static CkDenormRow *
read_row(HeapTuple tuple, TupleDesc desc)
{
	Datum		values[DEF_NATTS];
	bool		nulls[DEF_NATTS];
	CkDenormRow *row = palloc0(sizeof(CkDenormRow));
	Datum	   *sources;
	int			n;

	heap_deform_tuple(tuple, desc, values, nulls);
	row->target = DatumGetObjectId(values[DEF_TARGET - 1]);
	row->view = DatumGetObjectId(values[DEF_VIEW - 1]);
	row->key = text_list(values[DEF_KEY - 1]);
	row->mode = mode_by_name(TextDatumGetCString(values[DEF_MODE - 1]));
	row->attached = DatumGetBool(values[DEF_ATTACHED - 1]);
	deconstruct_array(DatumGetArrayTypeP(values[DEF_SOURCES - 1]), REGCLASSOID,
					  sizeof(Oid), true, TYPALIGN_INT, &sources, NULL, &n);
	for (int i = 0; i < n; i++)
		row->sources = lappend_oid(row->sources, DatumGetObjectId(sources[i]));
	row->settings = text_list(values[DEF_SETTINGS - 1]);
	return row;
}

/* All definitions (CkDenormRow), as of now. */
List *
ck_denorm_rows(void)
{
	List	   *result = NIL;
	Relation	rel;
	SysScanDesc scan;
	HeapTuple	tuple;

	if (!OidIsValid(ck_denorm_table(DEF_TABLE)))
		return NIL;
	rel = ck_denorm_open(DEF_TABLE, AccessShareLock);
	scan = systable_beginscan(rel, InvalidOid, false, NULL, 0, NULL);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
		result = lappend(result, read_row(tuple, RelationGetDescr(rel)));
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	return result;
}

static CkDenormRow *
find_row(Oid target)
{
	List	   *rows = ck_denorm_rows();
	ListCell   *lc;

	foreach(lc, rows)
		if (((CkDenormRow *) lfirst(lc))->target == target)
			return lfirst(lc);
	return NULL;
}

static HeapTuple
form_row(Relation rel, const CkDenormRow *row)
{
	Datum		values[DEF_NATTS];
	bool		nulls[DEF_NATTS] = {false};
	Datum	   *sources = palloc(Max(1, list_length(row->sources)) * sizeof(Datum));
	ListCell   *lc;

	foreach(lc, row->sources)
		sources[foreach_current_index(lc)] = ObjectIdGetDatum(lfirst_oid(lc));
	values[DEF_TARGET - 1] = ObjectIdGetDatum(row->target);
	values[DEF_VIEW - 1] = ObjectIdGetDatum(row->view);
	values[DEF_KEY - 1] = text_array(row->key);
	values[DEF_MODE - 1] = CStringGetTextDatum(ck_denorm_mode_name(row->mode));
	values[DEF_ATTACHED - 1] = BoolGetDatum(row->attached);
	values[DEF_SOURCES - 1] =
		PointerGetDatum(construct_array(sources, list_length(row->sources), REGCLASSOID,
										sizeof(Oid), true, TYPALIGN_INT));
	values[DEF_SETTINGS - 1] = text_array(row->settings);
	return heap_form_tuple(RelationGetDescr(rel), values, nulls);
}

void
ck_denorm_insert_row(const CkDenormRow *row)
{
	Relation	rel = ck_denorm_open(DEF_TABLE, RowExclusiveLock);

	CatalogTupleInsert(rel, form_row(rel, row));
	CacheInvalidateRelcache(rel);
	table_close(rel, RowExclusiveLock);
	CommandCounterIncrement();
}

/* Replace the row of a target by another, or by none. */
static void
replace_row(Oid target, const CkDenormRow *row)
{
	Relation	rel = ck_denorm_open(DEF_TABLE, RowExclusiveLock);
	SysScanDesc scan = systable_beginscan(rel, InvalidOid, false, NULL, 0, NULL);
	HeapTuple	tuple;

	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		bool		isnull;
		HeapTuple	copy;

		if (DatumGetObjectId(heap_getattr(tuple, DEF_TARGET, RelationGetDescr(rel),
										  &isnull)) != target)
			continue;
		if (row == NULL)
			CatalogTupleDelete(rel, &tuple->t_self);
		else
		{
			copy = form_row(rel, row);
			CatalogTupleUpdate(rel, &tuple->t_self, copy);
		}
		break;
	}
	systable_endscan(scan);
	CacheInvalidateRelcache(rel);
	table_close(rel, RowExclusiveLock);
	CommandCounterIncrement();
}

void
ck_denorm_delete_row(Oid target)
{
	replace_row(target, NULL);
}

void
ck_denorm_update_mode(Oid target, CkDenormMode mode)
{
	CkDenormRow *row = find_row(target);

	row->mode = mode;
	replace_row(target, row);
}

/* ---------------- which targets has a source? ---------------- */

static bool
row_has_source(const CkDenormRow *row, List *family)
{
	ListCell   *lc;

	foreach(lc, row->sources)
		if (list_member_oid(family, lfirst_oid(lc)))
			return true;
	return false;
}

static void
watch_definitions(void)
{
	Oid			table = ck_denorm_table(DEF_TABLE);

	if (OidIsValid(table))
		(void) ck_catalogs_watch(list_make1_oid(table), false);
}

static void
reset_by_source(void)
{
	HASHCTL		ctl = {0};

	if (by_source_cxt == NULL)
		by_source_cxt = AllocSetContextCreate(CacheMemoryContext,
											  "cachekit denorm sources",
											  ALLOCSET_SMALL_SIZES);
	else
		MemoryContextReset(by_source_cxt);
	ctl.keysize = sizeof(Oid);
	ctl.entrysize = sizeof(SourceEntry);
	ctl.hcxt = by_source_cxt;
	by_source = hash_create("cachekit denorm sources", 64, &ctl,
							HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	by_source_generation = ck_catalog_generation;
}

/*
 * The targets (Oid, ascending) that may have to do with a table: it, or a
 * relative by inheritance, is a source.  Not to be freed, and good until
 * the next look into catalogs.
 */
List *
ck_denorm_of_source(Oid relid)
{
	SourceEntry *entry;
	MemoryContext old;
	List	   *targets = NIL;
	List	   *family;
	ListCell   *lc;
	bool		foreign;

	watch_definitions();
	if (by_source == NULL || by_source_generation != ck_catalog_generation)
		reset_by_source();
	entry = hash_search(by_source, &relid, HASH_FIND, NULL);
	if (entry != NULL)
		return entry->targets;

	(void) ck_catalogs_watch(list_make1_oid(relid), false);
	family = ck_track_family(relid, &foreign);
	foreach(lc, ck_denorm_rows())
	{
		CkDenormRow *row = lfirst(lc);

		if (row_has_source(row, family))
			targets = lappend_oid(targets, row->target);
	}
	list_sort(targets, list_oid_cmp);
	old = MemoryContextSwitchTo(by_source_cxt);
	entry = hash_search(by_source, &relid, HASH_ENTER, NULL);
	entry->targets = list_copy(targets);
	MemoryContextSwitchTo(old);
	return entry->targets;
}

/* ---------------- what follows from a definition ---------------- */

/* Raise an error unless values of the type can be told apart and sorted. */
static TypeCacheEntry *
key_type(Oid type, const char *column)
{
	TypeCacheEntry *entry = lookup_type_cache(type,
											  TYPECACHE_EQ_OPR | TYPECACHE_LT_OPR |
											  TYPECACHE_EQ_OPR_FINFO |
											  TYPECACHE_CMP_PROC_FINFO |
											  TYPECACHE_HASH_PROC);

	if (!OidIsValid(entry->eq_opr) || !OidIsValid(entry->lt_opr) ||
		!OidIsValid(entry->cmp_proc_finfo.fn_oid))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_FUNCTION),
				 errmsg("column \"%s\" can not be part of a key", column),
				 errdetail("Type %s has no default B-tree operator class.",
						   format_type_be(type))));
	return entry;
}

static void
fill_key_column(CkDenormColumn *att, MemoryContext cxt)
{
	TypeCacheEntry *entry = key_type(att->type, att->name);

	if (att->equality)
		return;
	att->equality = ck_denorm_operator_text(entry->eq_opr);
	att->less = ck_denorm_operator_text(entry->lt_opr);
	fmgr_info_cxt(entry->eq_opr_finfo.fn_oid, &att->equal, cxt);
	fmgr_info_cxt(entry->cmp_proc_finfo.fn_oid, &att->compare, cxt);
	if (OidIsValid(entry->hash_proc))
		fmgr_info_cxt(entry->hash_proc, &att->hash, cxt);
}

static void
read_columns(CkDenorm *denorm)
{
	Relation	view = table_open(denorm->view, AccessShareLock);
	TupleDesc	desc = RelationGetDescr(view);

	denorm->natts = desc->natts;
	denorm->atts = palloc0(desc->natts * sizeof(CkDenormColumn));
	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute form = TupleDescAttr(desc, i);
		CkDenormColumn *att = &denorm->atts[i];

		att->name = pstrdup(NameStr(form->attname));
		att->type = form->atttypid;
		att->collation = form->attcollation;
		att->typlen = form->attlen;
		att->typbyval = form->attbyval;
	}
	table_close(view, NoLock);
}

static int
column_number(CkDenorm *denorm, const char *name)
{
	for (int i = 0; i < denorm->natts; i++)
		if (strcmp(denorm->atts[i].name, name) == 0)
			return i;
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_COLUMN),
			 errmsg("key column \"%s\" is not in the query's result", name)));
	return -1;
}

static void
derive_key(CkDenorm *denorm, List *names)
{
	ListCell   *lc;

	denorm->nkey = list_length(names);
	denorm->key = palloc(denorm->nkey * sizeof(int));
	foreach(lc, names)
		denorm->key[foreach_current_index(lc)] = column_number(denorm, lfirst(lc));
	for (int i = 0; i < denorm->nkey; i++)
		fill_key_column(&denorm->atts[denorm->key[i]], denorm->cxt);
}

static void
derive_scope(CkDenorm *denorm)
{
	List	   *scope = denorm->paths->scope;
	ListCell   *lc;

	denorm->nscope = list_length(scope);
	denorm->scope = palloc(denorm->nscope * sizeof(CkDenormColumn *));
	denorm->scope_atts = palloc(denorm->nscope * sizeof(int));
	foreach(lc, scope)
	{
		int			i = foreach_current_index(lc);

		denorm->scope_atts[i] = lfirst_int(lc) - 1;
		denorm->scope[i] = &denorm->atts[lfirst_int(lc) - 1];
	}
}

static void
derive_settings(CkDenorm *denorm, List *settings)
{
	ListCell   *lc;

	denorm->nsettings = list_length(settings);
	denorm->settings = palloc(Max(1, denorm->nsettings) * sizeof(char *));
	foreach(lc, settings)
		denorm->settings[foreach_current_index(lc)] = pstrdup(lfirst(lc));
}

static Oid
relation_owner(Oid relid)
{
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relid));
	Oid			owner;

	if (!HeapTupleIsValid(tuple))
		return InvalidOid;
	owner = ((Form_pg_class) GETSTRUCT(tuple))->relowner;
	ReleaseSysCache(tuple);
	return owner;
}

/* The parents of a table, and theirs: a statement on one may write to it. */
List *
ck_denorm_ancestors(Oid relid)
{
	Relation	catalog = table_open(InheritsRelationId, AccessShareLock);
	List	   *result = list_make1_oid(relid);

	for (int i = 0; i < list_length(result); i++)
	{
		ScanKeyData key;
		SysScanDesc scan;
		HeapTuple	tuple;

		ScanKeyInit(&key, Anum_pg_inherits_inhrelid, BTEqualStrategyNumber, F_OIDEQ,
					ObjectIdGetDatum(list_nth_oid(result, i)));
		scan = systable_beginscan(catalog, InheritsRelidSeqnoIndexId, true, NULL, 1, &key);
		while (HeapTupleIsValid(tuple = systable_getnext(scan)))
			result = list_append_unique_oid(result,
											((Form_pg_inherits) GETSTRUCT(tuple))->inhparent);
		systable_endscan(scan);
	}
	table_close(catalog, AccessShareLock);
	return list_delete_first(result);
}

/* The tables whose triggers are to tell of changes of a source. */
static List *
source_members(CkDenormSource *source)
{
	List	   *members = source->inh ?
		find_all_inheritors(source->relid, NoLock, NULL) : list_make1_oid(source->relid);

	return list_concat_unique_oid(members, ck_denorm_ancestors(source->relid));
}

static void
derive(CkDenorm *denorm, CkDenormRow *row)
{
	Relation	view;
	Query	   *query;
	List	   *key = NIL;
	List	   *watched = list_make2_oid(denorm->target, denorm->view);
	ListCell   *lc;

	read_columns(denorm);
	derive_key(denorm, row->key);
	derive_settings(denorm, row->settings);
	for (int i = 0; i < denorm->nkey; i++)
		key = lappend_int(key, denorm->key[i] + 1);
	view = table_open(denorm->view, AccessShareLock);
	query = copyObject(get_view_query(view));
	table_close(view, NoLock);
	denorm->paths = ck_denorm_paths(query, key);
	derive_scope(denorm);
	foreach(lc, denorm->paths->sources)
	{
		List	   *members = source_members(lfirst(lc));

		denorm->members = lappend(denorm->members, members);
		watched = list_concat(watched, members);
	}
	(void) ck_catalogs_watch(watched, false);
}

static CkDenorm *
make_denorm(CkDenormRow *row)
{
	MemoryContext cxt = AllocSetContextCreate(CurrentMemoryContext,
											  "cachekit denorm",
											  ALLOCSET_SMALL_SIZES);
	MemoryContext old = MemoryContextSwitchTo(cxt);
	CkDenorm   *denorm = palloc0(sizeof(CkDenorm));
	CkDenormEnv env;

	denorm->cxt = cxt;
	denorm->target = row->target;
	denorm->view = row->view;
	denorm->mode = row->mode;
	denorm->attached = row->attached;
	denorm->owner = relation_owner(row->target);
	denorm->cost_all = -1;
	(void) ck_catalogs_watch(list_make2_oid(row->target, row->view), false);
	denorm->generation = ck_catalog_generation;
	/* names in the statements must be qualified */
	ck_denorm_enter(denorm, &env);
	derive(denorm, row);
	ck_denorm_leave(&env);
	MemoryContextSwitchTo(old);
	MemoryContextSetParent(cxt, CacheMemoryContext);
	return denorm;
}

static void
free_denorm(CkDenorm *denorm)
{
	ListCell   *lc;

	foreach(lc, denorm->other_plans)
		SPI_freeplan(lfirst(lc));
	MemoryContextDelete(denorm->cxt);
}

/* At the end of a transaction nobody uses what is outdated. */
static void
at_end(void)
{
	ListCell   *lc;

	foreach(lc, obsolete)
		free_denorm(lfirst(lc));
	list_free(obsolete);
	obsolete = NIL;
}

static const CkXactHooks xact_hooks = {
	.end = at_end
};

static void
discard(DenormEntry *entry)
{
	MemoryContext old = MemoryContextSwitchTo(TopMemoryContext);

	obsolete = lappend(obsolete, entry->denorm);
	(void) ck_xact_join(&xact_hooks);
	MemoryContextSwitchTo(old);
	(void) hash_search(denorms, &entry->target, HASH_REMOVE, NULL);
}

/*
 * The definition of a target.  NULL: there is none, and missing_ok.  What is
 * returned stays valid until the end of the transaction, if perhaps outdated.
 */
CkDenorm *
ck_denorm_get(Oid target, bool missing_ok)
{
	DenormEntry *entry;
	CkDenormRow *row;
	CkDenorm   *denorm;

	watch_definitions();
	if (denorms == NULL)
	{
		HASHCTL		ctl = {0};

		ctl.keysize = sizeof(Oid);
		ctl.entrysize = sizeof(DenormEntry);
		ctl.hcxt = CacheMemoryContext;
		denorms = hash_create("cachekit denorms", 32, &ctl,
							  HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	}
	entry = hash_search(denorms, &target, HASH_FIND, NULL);
	if (entry != NULL && entry->denorm->generation == ck_catalog_generation)
		return entry->denorm;
	if (entry != NULL)
		discard(entry);
	row = find_row(target);
	if (row == NULL || get_rel_relkind(row->view) != RELKIND_VIEW ||
		get_rel_relkind(target) == '\0')
	{
		if (missing_ok)
			return NULL;
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("\"%s\" is not a denormalized table", ck_denorm_name(target)),
				 errhint("Denormalized tables are made by denorm_create().")));
	}
	denorm = make_denorm(row);
	entry = hash_search(denorms, &target, HASH_ENTER, NULL);
	entry->denorm = denorm;
	return denorm;
}

/* "schema"."name", or the number of what is gone. */
char *
ck_denorm_name(Oid relid)
{
	char	   *name = get_rel_name(relid);

	if (name == NULL)
		return psprintf("%u", relid);
	return quote_qualified_identifier(get_namespace_name(get_rel_namespace(relid)), name);
}

/* ---------------- what can be maintained ---------------- */

static void
refuse(const char *what)
{
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("a denormalized table can not be maintained with this query"),
			 errdetail("It has: %s.", what),
			 errhint("The query must be determined by the rows of ordinary tables.")));
}

/* Constructs whose value is not that of the sources. */
static bool
refuse_walker(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, Query))
	{
		if (((Query *) node)->rowMarks != NIL)
			refuse("FOR UPDATE or FOR SHARE");
		return query_tree_walker((Query *) node, refuse_walker, context, 0);
	}
	if (IsA(node, SQLValueFunction))
		refuse("the current date, time or role");
	if (IsA(node, Var) && ((Var *) node)->varattno < 0)
		refuse("a system column");
	return expression_tree_walker(node, refuse_walker, context);
}

static void
check_source(Oid relid)
{
	char	   *name = ck_denorm_name(relid);

	switch (get_rel_relkind(relid))
	{
		case RELKIND_RELATION:
		case RELKIND_PARTITIONED_TABLE:
			break;
		case RELKIND_MATVIEW:
			refuse(psprintf("materialized view %s", name));
			break;
		case RELKIND_FOREIGN_TABLE:
			refuse(psprintf("foreign table %s", name));
			break;
		default:
			refuse(psprintf("relation %s, which is not a table", name));
	}
	if (relid < FirstNormalObjectId)
		refuse(psprintf("system catalog %s", name));
	if (get_rel_persistence(relid) == RELPERSISTENCE_TEMP)
		refuse(psprintf("temporary table %s", name));
	/* a crash would empty it, and not the target */
	if (get_rel_persistence(relid) == RELPERSISTENCE_UNLOGGED)
		refuse(psprintf("unlogged table %s", name));
	if (check_enable_rls(relid, InvalidOid, true) == RLS_ENABLED)
		refuse(psprintf("row security, which applies to table %s", name));
}

/*
 * Raise an error unless the view's query can be kept in a table.  Names what
 * stands in the way.
 */
void
ck_denorm_check_query(Oid view, List *key)
{
	char	   *sql = psprintf("SELECT * FROM %s", ck_denorm_name(view));
	RawStmt    *raw = linitial_node(RawStmt, pg_parse_query(sql));
	Query	   *query;
	CkDepends	depends;
	Relation	rel;
	List	   *relations;
	ListCell   *lc;

	if (list_length(key) > MAX_KEY_COLUMNS)
		ereport(ERROR,
				(errcode(ERRCODE_TOO_MANY_COLUMNS),
				 errmsg("a key must not have more than %d columns", MAX_KEY_COLUMNS)));
	query = linitial_node(Query, pg_analyze_and_rewrite_fixedparams(raw, sql, NULL, 0, NULL));
	(void) refuse_walker((Node *) query, NULL);
	ck_depwalk(query, &depends);
	rel = table_open(view, AccessShareLock);
	relations = ck_denorm_relations(get_view_query(rel));
	table_close(rel, NoLock);
	foreach(lc, relations)
		check_source(lfirst_oid(lc));
	foreach(lc, depends.reasons)
		refuse(((CkReason *) lfirst(lc))->text);
	if (depends.settings != NIL)
		refuse("current_setting()");
	foreach(lc, depends.relations)
		if (!list_member_oid(relations, lfirst_oid(lc)))
			refuse(psprintf("table %s in an unknown place", ck_denorm_name(lfirst_oid(lc))));
}

/* ---------------- the environment of maintenance ---------------- */

/* "name=value" of the settings that matter, as they are now. */
List *
ck_denorm_capture_settings(void)
{
	List	   *result = NIL;

	for (int i = 0; i < lengthof(captured); i++)
	{
		const char *value = GetConfigOption(captured[i], true, false);

		if (value)
			result = lappend(result, psprintf("%s=%s", captured[i], value));
	}
	return result;
}

static void
set_locally(const char *name, const char *value)
{
	(void) set_config_option(name, value, PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
}

/* Would a "name=value" change anything? */
static bool
differs(char *setting)
{
	char	   *equals = strchr(setting, '=');
	const char *now;

	*equals = '\0';
	now = GetConfigOption(setting, true, false);
	*equals = '=';
	return now == NULL || strcmp(now, equals + 1) != 0;
}

/*
 * Which of the captured settings differ from the session's?  Looking at each
 * by its name is slow, so the answer is kept with what all of them look like.
 */
static void
compare_settings(CkDenorm *denorm)
{
	StringInfo	seen = &denorm->settings_seen;

	if (seen->data != NULL && ck_fingerprint_settings_are(seen->data) > 0)
		return;
	if (seen->data == NULL)
	{
		MemoryContext old = MemoryContextSwitchTo(denorm->cxt);

		initStringInfo(seen);
		denorm->settings_differ = palloc(denorm->nsettings * sizeof(bool));
		MemoryContextSwitchTo(old);
	}
	resetStringInfo(seen);
	ck_fingerprint_settings(seen);
	for (int i = 0; i < denorm->nsettings; i++)
		denorm->settings_differ[i] = differs(denorm->settings[i]);
}

static void
use_settings(CkDenorm *denorm)
{
	if (denorm->nsettings == 0)
		return;					/* they are not known yet */
	compare_settings(denorm);
	for (int i = 0; i < denorm->nsettings; i++)
	{
		char	   *setting = denorm->settings[i];
		char	   *equals = strchr(setting, '=');

		if (!denorm->settings_differ[i])
			continue;
		*equals = '\0';
		set_locally(setting, equals + 1);
		*equals = '=';
	}
}

/*
 * Become who maintains the table.  An error needs no ck_denorm_leave(): the
 * end of the (sub)transaction does the same.
 */
void
ck_denorm_enter(CkDenorm *denorm, CkDenormEnv *env)
{
	GetUserIdAndSecContext(&env->user, &env->security);
	SetUserIdAndSecContext(denorm->owner,
						   env->security | SECURITY_LOCAL_USERID_CHANGE |
						   SECURITY_NOFORCE_RLS);
	env->guc_nest = NewGUCNestLevel();
	if (strcmp(namespace_search_path, SAFE_PATH) != 0)
		set_locally("search_path", SAFE_PATH);
	if (row_security)
		set_locally("row_security", "off");
	if (ck_guc_mode != CK_MODE_OFF)
		set_locally("cachekit.mode", "off");
	use_settings(denorm);
}

void
ck_denorm_leave(const CkDenormEnv *env)
{
	AtEOXact_GUC(true, env->guc_nest);
	SetUserIdAndSecContext(env->user, env->security);
}

/* A plan that is kept as long as the definition.  SPI must be connected. */
SPIPlanPtr
ck_denorm_prepare(CkDenorm *denorm, const char *sql, int nargs, Oid *types)
{
	SPIPlanPtr	plan = SPI_prepare_cursor(sql, nargs, types, CURSOR_OPT_GENERIC_PLAN);
	MemoryContext old;

	if (plan == NULL)
		elog(ERROR, "could not prepare \"%s\": %s", sql,
			 SPI_result_code_string(SPI_result));
	if (SPI_keepplan(plan) != 0)
		elog(ERROR, "could not keep a plan");
	old = MemoryContextSwitchTo(denorm->cxt);
	denorm->other_plans = lappend(denorm->other_plans, plan);
	MemoryContextSwitchTo(old);
	return plan;
}
