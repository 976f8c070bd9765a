/*-------------------------------------------------------------------------
 *
 * invalidate.c
 *	  The trigger functions, and attaching them.
 *
 * cache_track() gives every member of a table's family (track.c) one
 * statement trigger that fires before anything changes, always: in replica
 * role, too.  The apply worker of logical replication fires row triggers
 * only, so members that a subscription writes to get a second one, which
 * fires in replica role alone and costs other sessions nothing to run.
 *
 * Members with rows of a table with keys get a row trigger with the keys for
 * arguments, each a list of columns, which fires always.  It marks the keys
 * of the rows only; the statement trigger goes on to mark the table.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "access/transam.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "catalog/namespace.h"
#include "catalog/objectaddress.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "args.h"
#include "cells.h"
#include "compat.h"
#include "counters.h"
#include "guc.h"
#include "invalidate.h"
#include "keys.h"
#include "kv_pending.h"
#include "segment.h"
#include "track.h"
#include "xact.h"

PG_FUNCTION_INFO_V1(cachekit_cache_invalidate);
PG_FUNCTION_INFO_V1(cachekit_cache_invalidate_tags);
PG_FUNCTION_INFO_V1(cachekit_cache_track);
PG_FUNCTION_INFO_V1(cachekit_cache_untrack);
PG_FUNCTION_INFO_V1(cachekit_cache_invalidate_table);

/* ---------------- marking ---------------- */

static void
mark(CkDepKind kind, Oid object)
{
	if (ck_segment_attach())
		ck_xact_mark(ck_cell_of(kind, MyDatabaseId, object));
	else
		ck_xact_mark_lost();
}

/* mark() for a table alone; the same one often comes again and again. */
static inline void
mark_table(Oid relid)
{
	static Oid	last_relid = InvalidOid;
	static uint32 last_cell;

	if (unlikely(relid != last_relid))
	{
		mark(CK_DEP_RELATION, relid);
		if (!ck_segment_attached())
			return;
		last_cell = ck_cell_of(CK_DEP_RELATION, MyDatabaseId, relid);
		last_relid = relid;
		return;
	}
	ck_xact_mark(last_cell);
}

static void
mark_bulk(Oid root)
{
	mark(CK_DEP_RELATION_BULK, root);
}

static void
mark_family(Oid relid)
{
	List	   *relids = ck_track_marks(relid);
	ListCell   *lc;

	foreach(lc, relids)
		mark(CK_DEP_RELATION, lfirst_oid(lc));
	list_free(relids);
}

/*
 * This transaction does what amounts to a write of the relation, of any of its
 * rows.
 */
void
ck_invalidate_relation(Oid relid)
{
	mark_family(relid);
	mark_bulk(ck_keys_root(relid));
}

/* This transaction has dropped the relation. */
void
ck_invalidate_dropped(Oid relid)
{
	mark(CK_DEP_RELATION, relid);
	mark_bulk(relid);
}

/* This transaction changes what functions, types or operators mean. */
void
ck_invalidate_schema(void)
{
	mark(CK_DEP_SCHEMA, 0);
}

/* ---------------- triggers ---------------- */

static TriggerData *
trigger_data(FunctionCallInfo fcinfo, const char *name)
{
	if (!CALLED_AS_TRIGGER(fcinfo))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function \"%s\" must be called as a trigger", name)));
	return (TriggerData *) fcinfo->context;
}

/* What a trigger function returns so that the change goes its way. */
static Datum
go_on(TriggerData *data)
{
	if (!TRIGGER_FIRED_FOR_ROW(data->tg_event))
		return PointerGetDatum(NULL);
	if (TRIGGER_FIRED_BY_UPDATE(data->tg_event))
		return PointerGetDatum(data->tg_newtuple);
	return PointerGetDatum(data->tg_trigtuple);
}

/* cache_invalidate() -> trigger; arguments of a row trigger are keys */
Datum
cachekit_cache_invalidate(PG_FUNCTION_ARGS)
{
	TriggerData *data = trigger_data(fcinfo, "cache_invalidate");
	Relation	rel = data->tg_relation;

	if (TRIGGER_FIRED_FOR_ROW(data->tg_event) && data->tg_trigger->tgnargs > 0)
	{
		ck_keys_mark_row(data);
		return go_on(data);
	}
	if (TRIGGER_FIRED_BY_TRUNCATE(data->tg_event))
		mark_bulk(ck_keys_root(RelationGetRelid(rel)));
	if (likely(!rel->rd_rel->relispartition && !rel->rd_rel->relhassubclass))
		mark_table(RelationGetRelid(rel));
	else
		mark_family(RelationGetRelid(rel));
	return go_on(data);
}

/* ---------------- tags by row ---------------- */

/*
 * Replace each {column} of a template by the row's value.  NULL when one of
 * the values is null: such a row has no such tag.
 */
static char *
fill_template(const char *template, Relation rel, HeapTuple tuple)
{
	StringInfoData buf;
	const char *p = template;

	initStringInfo(&buf);
	while (*p)
	{
		const char *end;
		char	   *column;
		char	   *value;
		int			attno;

		if (*p != '{')
		{
			appendStringInfoChar(&buf, *p++);
			continue;
		}
		end = strchr(p, '}');
		if (end == NULL)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("tag template \"%s\" lacks a closing brace", template)));
		column = pnstrdup(p + 1, end - p - 1);
		attno = SPI_fnumber(RelationGetDescr(rel), column);
		if (attno <= 0)
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_COLUMN),
					 errmsg("column \"%s\" of tag template \"%s\" does not exist",
							column, template),
					 errdetail("Table \"%s\" has no such column.",
							   RelationGetRelationName(rel))));
		value = SPI_getvalue(tuple, RelationGetDescr(rel), attno);
		if (value == NULL)
			return NULL;
		appendStringInfoString(&buf, value);
		p = end + 1;
	}
	return buf.data;
}

static void
invalidate_tag_of(const char *template, Relation rel, HeapTuple tuple)
{
	char	   *filled = fill_template(template, rel, tuple);
	text	   *tag;
	uint32		cell;

	if (filled == NULL)
		return;
	tag = cstring_to_text(filled);
	ck_args_check_length(tag, "tag", CK_MAX_TAG_LEN);
	if (!ck_segment_attach())
	{
		ck_xact_mark_lost();
		return;
	}
	cell = ck_cell_of_tag(MyDatabaseId, VARDATA_ANY(tag), VARSIZE_ANY_EXHDR(tag));
	ck_xact_mark(cell);
	ck_kv_pending_invalidate(cell);
}

/* cache_invalidate_tags() -> trigger; arguments are templates */
Datum
cachekit_cache_invalidate_tags(PG_FUNCTION_ARGS)
{
	TriggerData *data = trigger_data(fcinfo, "cache_invalidate_tags");
	Trigger    *trigger = data->tg_trigger;

	if (!TRIGGER_FIRED_FOR_ROW(data->tg_event))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function \"cache_invalidate_tags\" must be fired for each row"),
				 errhint("Create the trigger with FOR EACH ROW.")));
	if (trigger->tgnargs == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("function \"cache_invalidate_tags\" needs at least one tag template"),
				 errhint("For example: cache_invalidate_tags('user:{user_id}').")));
	for (int i = 0; i < trigger->tgnargs; i++)
	{
		invalidate_tag_of(trigger->tgargs[i], data->tg_relation, data->tg_trigtuple);
		if (TRIGGER_FIRED_BY_UPDATE(data->tg_event))
			invalidate_tag_of(trigger->tgargs[i], data->tg_relation, data->tg_newtuple);
	}
	return go_on(data);
}

/* ---------------- attaching ---------------- */

static char *
table_name(Oid relid)
{
	return quote_qualified_identifier(get_namespace_name(get_rel_namespace(relid)),
									  get_rel_name(relid));
}

static void
run_ddl(const char *format,...) pg_attribute_printf(1, 2);

static void
run_ddl(const char *format,...)
{
	StringInfoData sql;

	initStringInfo(&sql);
	for (;;)
	{
		va_list		args;
		int			needed;

		va_start(args, format);
		needed = appendStringInfoVA(&sql, format, args);
		va_end(args);
		if (needed == 0)
			break;
		enlargeStringInfo(&sql, needed);
	}
	if (SPI_execute(sql.data, false, 0) < 0)
		elog(ERROR, "could not execute \"%s\"", sql.data);
	pfree(sql.data);
}

static void
drop_trigger(Oid relid, const char *name)
{
	if (OidIsValid(get_trigger_oid(relid, name, true)))
		run_ddl("DROP TRIGGER %s ON %s", name, table_name(relid));
}

static void
drop_triggers(Oid relid)
{
	drop_trigger(relid, CK_TRIGGER_NAME);
	drop_trigger(relid, CK_ROW_TRIGGER_NAME);
}

/* Replace the row trigger for keys; without keys just remove it. */
static void
attach_keys(Oid relid, List *keys)
{
	StringInfoData args;
	ListCell   *lc;

	drop_trigger(relid, CK_KEY_TRIGGER_NAME);
	if (keys == NIL)
		return;
	initStringInfo(&args);
	foreach(lc, keys)
		appendStringInfo(&args, "%s%s", args.len ? ", " : "",
						 quote_literal_cstr(((CkKeyDef *) lfirst(lc))->name));
	run_ddl("CREATE TRIGGER " CK_KEY_TRIGGER_NAME
			" BEFORE INSERT OR UPDATE OR DELETE ON %s"
			" FOR EACH ROW EXECUTE FUNCTION %s.cache_invalidate(%s)",
			table_name(relid),
			quote_identifier(get_namespace_name(ck_track_namespace())), args.data);
	run_ddl("ALTER TABLE ONLY %s ENABLE ALWAYS TRIGGER " CK_KEY_TRIGGER_NAME,
			table_name(relid));
}

static void
attach_triggers(Oid relid, bool with_apply)
{
	char	   *table = table_name(relid);
	const char *schema = quote_identifier(get_namespace_name(ck_track_namespace()));

	drop_triggers(relid);
	run_ddl("CREATE TRIGGER " CK_TRIGGER_NAME
			" BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON %s"
			" FOR EACH STATEMENT EXECUTE FUNCTION %s.cache_invalidate()",
			table, schema);
	run_ddl("ALTER TABLE ONLY %s ENABLE ALWAYS TRIGGER " CK_TRIGGER_NAME, table);
	if (!with_apply || get_rel_relkind(relid) != RELKIND_RELATION)
		return;
	run_ddl("CREATE TRIGGER " CK_ROW_TRIGGER_NAME
			" BEFORE INSERT OR UPDATE OR DELETE ON %s"
			" FOR EACH ROW EXECUTE FUNCTION %s.cache_invalidate()",
			table, schema);
	run_ddl("ALTER TABLE ONLY %s ENABLE REPLICA TRIGGER " CK_ROW_TRIGGER_NAME, table);
}

/* The keys that the row triggers of all members name. */
static List *
keys_of_family(List *family)
{
	List	   *result = NIL;
	ListCell   *lc;
	ListCell   *key;

	foreach(lc, family)
		foreach(key, ck_track_keys(lfirst_oid(lc)))
			result = ck_keys_add(result, ((CkKeyDef *) lfirst(key))->name, 0);
	return result;
}

static List *
keys_without(List *keys, const CkKeyDef *key)
{
	return list_delete_ptr(keys, ck_keys_find(keys, key));
}

static bool
has_keys(Oid relid, List *keys)
{
	List	   *present = ck_track_keys(relid);
	ListCell   *lc;

	if (list_length(present) != list_length(keys))
		return false;
	foreach(lc, keys)
		if (ck_keys_find(present, lfirst(lc)) == NULL)
			return false;
	return true;
}

/* Is some link of the family plain inheritance?  Then keys are of no use. */
static bool
is_plain_family(List *family)
{
	int			ntop = 0;
	ListCell   *lc;

	foreach(lc, family)
		if (!get_rel_relispartition(lfirst_oid(lc)))
			ntop++;
	return ntop > 1;
}

static bool
may_attach(Oid relid, bool only_owned)
{
	if (!only_owned || CkRelationOwnerCheck(relid, GetUserId()))
		return true;
	ereport(WARNING,
			(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
			 errmsg("table %s is not tracked", table_name(relid)),
			 errdetail("Queries on its parents are not cached until it is."),
			 errhint("Its owner can call cache_track().")));
	return false;
}

/* Give a member of a family the triggers and keys that it lacks. */
static void
attach_to_member(Oid relid, List *keys, bool with_apply, bool only_owned)
{
	bool		holds_rows = get_rel_relkind(relid) == RELKIND_RELATION;
	bool		tracked = ck_track_has_triggers(relid, with_apply && holds_rows);
	bool		keyed = !holds_rows || has_keys(relid, keys);

	if ((tracked && keyed) || !may_attach(relid, only_owned))
		return;
	if (!tracked)
		attach_triggers(relid, with_apply);
	if (!keyed)
		attach_keys(relid, keys);
}

static void
detach_from_member(Oid relid, List *keys, bool keys_only)
{
	char		relkind = get_rel_relkind(relid);

	if (relkind == RELKIND_FOREIGN_TABLE)
		return;
	if (!keys_only)
		drop_triggers(relid);
	if (relkind == RELKIND_RELATION && !has_keys(relid, keys))
		attach_keys(relid, keys);
}

/* How the triggers of a family are to change. */
typedef enum CkAttach
{
	ATTACH_ALL,
	ATTACH_OWNED,				/* by the current user; warn of the others */
	DETACH_ALL,
	DETACH_KEYS					/* that are not among those given */
} CkAttach;

/*
 * Bring every member of a family to the same state; quiet when it is there.
 * The commands that do it fire the event trigger, which comes here again and
 * must not mind what is half done.
 */
static void
change_family(List *family, List *keys, CkAttach change)
{
	static bool changing = false;
	bool		with_apply = ck_track_needs_apply_triggers(family);
	ListCell   *lc;

	if (changing)
		return;
	changing = true;
	PG_TRY();
	{
		foreach(lc, family)
		{
			if (change == DETACH_ALL || change == DETACH_KEYS)
				detach_from_member(lfirst_oid(lc), keys, change == DETACH_KEYS);
			else
				attach_to_member(lfirst_oid(lc), keys, with_apply,
								 change == ATTACH_OWNED);
		}
	}
	PG_FINALLY();
	{
		changing = false;
	}
	PG_END_TRY();
}

/* Raise an error unless the relation is one that triggers can watch. */
static void
check_trackable(Oid relid)
{
	char		kind = get_rel_relkind(relid);
	const char *what = NULL;
	const char *hint = NULL;

	if (kind == '\0')
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("relation with OID %u does not exist", relid)));
	if (relid < FirstNormalObjectId)
		what = "a system catalog", hint = "Queries on catalogs are cached only with a ttl.";
	else if (kind == RELKIND_VIEW)
		what = "a view", hint = "Track the tables that it reads.";
	else if (kind == RELKIND_FOREIGN_TABLE)
		what = "a foreign table", hint = "Give cached_query() a ttl instead.";
	else if (kind == RELKIND_MATVIEW)
		what = "a materialized view", hint = "It needs no triggers: REFRESH is seen as it is.";
	else if (kind != RELKIND_RELATION && kind != RELKIND_PARTITIONED_TABLE)
		what = "not a table", hint = "Only tables can be tracked.";
	else if (get_rel_persistence(relid) == RELPERSISTENCE_TEMP)
		what = "a temporary table", hint = "Temporary tables are private to a session and never cached.";
	if (what)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("can not track \"%s\"", get_rel_name(relid)),
				 errdetail("It is %s.", what),
				 errhint("%s", hint)));
}

/* Even where nothing is left to attach: tracking counts as a write. */
static void
check_owner(Oid relid)
{
	if (!CkRelationOwnerCheck(relid, GetUserId()))
		aclcheck_error(ACLCHECK_NOT_OWNER,
					   get_relkind_objtype(get_rel_relkind(relid)),
					   get_rel_name(relid));
}

/* The names in key_columns; NIL: there are none. */
static List *
column_names(ArrayType *columns)
{
	Datum	   *values;
	bool	   *nulls;
	int			n;
	List	   *result = NIL;

	deconstruct_array(columns, NAMEOID, NAMEDATALEN, false, TYPALIGN_CHAR,
					  &values, &nulls, &n);
	for (int i = 0; i < n; i++)
	{
		if (nulls[i])
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("element of key_columns must not be null")));
		result = lappend(result, pstrdup(NameStr(*DatumGetName(values[i]))));
	}
	return result;
}

/* Raise an error unless rows can be told apart by this column. */
static void
check_key_column(Oid relid, const char *name)
{
	AttrNumber	attno = get_attnum(relid, name);
	FmgrInfo	hash;

	if (attno <= 0)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_COLUMN),
				 errmsg("column \"%s\" of relation \"%s\" does not exist",
						name, get_rel_name(relid))));
	if (get_attgenerated(relid, attno) != '\0')
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("generated column \"%s\" can not be a key", name),
				 errdetail("It is computed after the triggers have seen the row."),
				 errhint("Use the columns that it is generated from.")));
	if (!ck_keys_hash_function(get_atttype(relid, attno), &hash, CurrentMemoryContext))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_FUNCTION),
				 errmsg("column \"%s\" of type %s can not be a key", name,
						format_type_be(get_atttype(relid, attno))),
				 errhint("A key column's type must have a default hash operator class with an extended hash function.")));
}

/* Argument n, key_columns, as a key; NULL: there is none. */
static CkKeyDef *
key_argument(FunctionCallInfo fcinfo, int n)
{
	StringInfoData name;
	List	   *columns;
	ListCell   *lc;

	if (PG_NARGS() <= n || PG_ARGISNULL(n))
		return NULL;
	columns = column_names(PG_GETARG_ARRAYTYPE_P(n));
	if (columns == NIL)
		return NULL;
	initStringInfo(&name);
	foreach(lc, columns)
		appendStringInfo(&name, "%s%s", name.len ? ", " : "",
						 quote_identifier(lfirst(lc)));
	return ck_keys_parse(name.data);
}

static List *
trackable_family(Oid relid)
{
	bool		foreign;
	List	   *family = ck_track_family(relid, &foreign);

	if (foreign)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("can not track \"%s\"", get_rel_name(relid)),
				 errdetail("A partition or child of it is a foreign table."),
				 errhint("Give cached_query() a ttl instead.")));
	return family;
}

static Oid
table_argument(FunctionCallInfo fcinfo)
{
	ck_track_set_namespace(fcinfo->flinfo->fn_oid);
	if (PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("tbl must not be null")));
	return PG_GETARG_OID(0);
}

/*
 * cache_track(tbl, VARIADIC key_columns): attach all triggers to the whole
 * family; a key is added to those that it has.  Tracking counts as a write of
 * the table.
 */
Datum
cachekit_cache_track(PG_FUNCTION_ARGS)
{
	Oid			relid = table_argument(fcinfo);
	CkKeyDef   *key;
	List	   *family;
	List	   *keys;
	ListCell   *lc;

	check_trackable(relid);
	check_owner(relid);
	key = key_argument(fcinfo, 1);
	if (key)
		foreach(lc, key->columns)
			check_key_column(relid, lfirst(lc));
	SPI_connect();
	family = trackable_family(relid);
	keys = keys_of_family(family);
	if (key && is_plain_family(family))
		ereport(NOTICE,
				(errmsg("keys of table \"%s\" are not used", get_rel_name(relid)),
				 errdetail("It has parents or children by inheritance other than partitioning.")));
	else if (key)
		keys = ck_keys_add(keys, key->name, 0);
	change_family(family, keys, ATTACH_ALL);
	ck_invalidate_relation(relid);
	SPI_finish();
	PG_RETURN_VOID();
}

/*
 * cache_untrack(tbl, VARIADIC key_columns): remove the triggers from the whole
 * family, or only what is there for one key.
 */
Datum
cachekit_cache_untrack(PG_FUNCTION_ARGS)
{
	Oid			relid = table_argument(fcinfo);
	CkKeyDef   *key;
	List	   *keys = NIL;
	bool		foreign;
	List	   *family;

	check_trackable(relid);
	check_owner(relid);
	key = key_argument(fcinfo, 1);
	SPI_connect();
	family = ck_track_family(relid, &foreign);
	if (key)
		keys = keys_without(keys_of_family(family), key);
	change_family(family, keys, key ? DETACH_KEYS : DETACH_ALL);
	ck_invalidate_relation(relid);
	SPI_finish();
	PG_RETURN_VOID();
}

/*
 * A relation was made or altered: if its family has a tracked member, the
 * others are to be tracked, too.  SPI must be connected.
 *
 * It may have left a parent that was not locked (NO INHERIT).  Who still
 * takes it for a child depends on its cell.
 */
void
ck_invalidate_extend_family(Oid relid)
{
	bool		foreign;
	List	   *family;
	ListCell   *lc;
	bool		tracked = false;

	if (get_rel_persistence(relid) == RELPERSISTENCE_TEMP)
		return;
	if (ck_guc_track == CK_TRACK_ALL || ck_track_has_triggers(relid, false))
		ck_invalidate_relation(relid);
	family = ck_track_family(relid, &foreign);
	if (foreign)
		return;
	foreach(lc, family)
		tracked |= ck_track_has_triggers(lfirst_oid(lc), false);
	if (tracked)
		change_family(family,
					  is_plain_family(family) ? NIL : keys_of_family(family),
					  ATTACH_OWNED);
}

/*
 * cache_invalidate_table(tbl): as if this transaction wrote to it.  A standby
 * has nothing cached that depends on tables.
 */
Datum
cachekit_cache_invalidate_table(PG_FUNCTION_ARGS)
{
	Oid			relid = table_argument(fcinfo);

	if (get_rel_relkind(relid) == '\0')
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("relation with OID %u does not exist", relid)));
	if (RecoveryInProgress())
		PG_RETURN_VOID();
	(void) GetTopTransactionId();	/* what is registered at commit */
	ck_invalidate_relation(relid);
	ck_count(CK_CTR_INVALIDATIONS);
	PG_RETURN_VOID();
}
