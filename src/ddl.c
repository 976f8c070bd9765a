/*-------------------------------------------------------------------------
 *
 * ddl.c
 *	  What schema changes mean for the cache: the event triggers.
 *
 * Most DDL needs no action: the shape of a relation (track.c) is part of the
 * identity of entries, so altering, truncating or rewriting a table leaves
 * its old entries unreachable.  Left to do:
 *
 *	- functions, types, operators and the like may change what is hidden from
 *	  the query tree (a function called by a function, a label of an enum): the
 *	  schema cell of the database, on which all entries depend;
 *	- REFRESH MATERIALIZED VIEW writes to it, and no trigger can watch that;
 *	- a new partition or child of a tracked table is tracked, too;
 *	- a table that a subscription comes to write to needs a row trigger;
 *	- a dropped child of a tracked table takes its rows along;
 *	- denormalized tables, and their sources, may be among all these.
 *
 * The queries here run in everybody's DDL, under everybody's search_path: all
 * names and operators in them are qualified.
 *
 * The event triggers are enabled always; a query is exact only while they are.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_subscription_rel.h"
#include "commands/event_trigger.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "tcop/cmdtag.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "denorm_trigger.h"
#include "invalidate.h"
#include "track.h"

PG_FUNCTION_INFO_V1(cachekit_on_ddl);
PG_FUNCTION_INFO_V1(cachekit_on_drop);

/* Words in the tags of commands that change more than relations. */
static const char *const semantic_words[] = {
	"FUNCTION", "PROCEDURE", "ROUTINE", "AGGREGATE", "OPERATOR", "TYPE",
	"DOMAIN", "CAST", "COLLATION", "CONVERSION", "TEXT SEARCH", "LANGUAGE",
	"TRANSFORM", "EXTENSION", "OWNED", "DROP SCHEMA", "IMPORT FOREIGN"
};

static bool
changes_semantics(const char *tag)
{
	for (int i = 0; i < lengthof(semantic_words); i++)
		if (strstr(tag, semantic_words[i]) != NULL)
			return true;
	return false;
}

/* GRANT or REVOKE: are functions among the objects, which others may call? */
static bool
grants_functions(void)
{
	if (SPI_execute("SELECT FROM pg_catalog.pg_event_trigger_ddl_commands()"
					" WHERE object_type OPERATOR(pg_catalog.=)"
					" ANY (ARRAY['FUNCTION', 'PROCEDURE', 'ROUTINE'])",
					false, 1) != SPI_OK_SELECT)
		elog(ERROR, "could not read the commands of an event trigger");
	return SPI_processed > 0;
}

/* The tables and materialized views that the command dealt with. */
static List *
command_relations(void)
{
	List	   *result = NIL;

	if (SPI_execute("SELECT DISTINCT objid FROM pg_catalog.pg_event_trigger_ddl_commands()"
					" WHERE classid OPERATOR(pg_catalog.=)"
					" 'pg_catalog.pg_class'::pg_catalog.regclass::pg_catalog.oid",
					false, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not read the commands of an event trigger");
	for (uint64 i = 0; i < SPI_processed; i++)
	{
		bool		isnull;
		Datum		oid = SPI_getbinval(SPI_tuptable->vals[i], SPI_tuptable->tupdesc,
										1, &isnull);

		if (!isnull)
			result = lappend_oid(result, DatumGetObjectId(oid));
	}
	return result;
}

/* What a command on tables means for partition and inheritance trees. */
typedef enum FamilyChange
{
	FAMILY_SAME,
	FAMILY_NEW,					/* a table was made, perhaps in a tree */
	FAMILY_ALTERED				/* rows have come or gone with a member */
} FamilyChange;

static FamilyChange
family_change(Node *parsetree)
{
	ListCell   *lc;

	if (!IsA(parsetree, AlterTableStmt))
		return FAMILY_NEW;
	foreach(lc, ((AlterTableStmt *) parsetree)->cmds)
		switch (lfirst_node(AlterTableCmd, lc)->subtype)
		{
			case AT_AttachPartition:
			case AT_DetachPartition:
			case AT_DetachPartitionFinalize:
			case AT_AddInherit:
			case AT_DropInherit:
				return FAMILY_ALTERED;
			default:
				break;
		}
	return FAMILY_SAME;
}

/* NO INHERIT names the parent, which is nothing to the table any more. */
static void
former_parents_changed(Node *parsetree)
{
	ListCell   *lc;

	if (!IsA(parsetree, AlterTableStmt))
		return;
	foreach(lc, ((AlterTableStmt *) parsetree)->cmds)
	{
		AlterTableCmd *cmd = lfirst_node(AlterTableCmd, lc);
		Oid			parent;

		if (cmd->subtype != AT_DropInherit)
			continue;
		parent = RangeVarGetRelid(castNode(RangeVar, cmd->def), NoLock, true);
		if (OidIsValid(parent))
			ck_denorm_table_changed(parent, true);
	}
}

static void
relations_changed(FamilyChange family)
{
	List	   *relations = command_relations();
	ListCell   *lc;

	foreach(lc, relations)
	{
		Oid			relid = lfirst_oid(lc);

		switch (get_rel_relkind(relid))
		{
			case RELKIND_RELATION:
			case RELKIND_PARTITIONED_TABLE:
				ck_invalidate_extend_family(relid);
				if (family != FAMILY_SAME)
					ck_denorm_table_changed(relid, family == FAMILY_ALTERED);
				break;
			case RELKIND_MATVIEW:
				ck_invalidate_relation(relid);
				break;
			default:
				break;
		}
	}
}

static List *
subscribed_relations(void)
{
	Relation	catalog = table_open(SubscriptionRelRelationId, AccessShareLock);
	SysScanDesc scan = systable_beginscan(catalog, InvalidOid, false, NULL, 0, NULL);
	HeapTuple	tuple;
	List	   *result = NIL;

	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
		result = lappend_oid(result,
							 ((Form_pg_subscription_rel) GETSTRUCT(tuple))->srrelid);
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
	return result;
}

static void
subscriptions_changed(void)
{
	List	   *relations = subscribed_relations();
	ListCell   *lc;

	foreach(lc, relations)
	{
		ck_invalidate_extend_family(lfirst_oid(lc));
		ck_denorm_subscribed(lfirst_oid(lc));
	}
}

static void
check_event_trigger(FunctionCallInfo fcinfo, const char *name)
{
	if (!CALLED_AS_EVENT_TRIGGER(fcinfo))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function \"%s\" must be called as an event trigger", name)));
	ck_track_set_namespace(fcinfo->flinfo->fn_oid);
}

/* OIDs of those dropped that meet a condition. */
static List *
dropped_objects(const char *condition)
{
	List	   *result = NIL;

	if (SPI_execute(psprintf("SELECT objid FROM pg_catalog.pg_event_trigger_dropped_objects()"
							 " WHERE NOT is_temporary AND %s", condition),
					false, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not read the objects of an event trigger");
	for (uint64 i = 0; i < SPI_processed; i++)
	{
		bool		isnull;
		Datum		oid = SPI_getbinval(SPI_tuptable->vals[i], SPI_tuptable->tupdesc,
										1, &isnull);

		result = lappend_oid(result, DatumGetObjectId(oid));
	}
	return result;
}

/*
 * on sql_drop: a child of plain inheritance takes its rows away from its
 * parents, which are not locked, and whose readers depend on its cell.
 */
Datum
cachekit_on_drop(PG_FUNCTION_ARGS)
{
	List	   *tables;
	List	   *views;
	List	   *sources;
	ListCell   *lc;

	check_event_trigger(fcinfo, "cachekit_on_drop");
	SPI_connect();
	tables = dropped_objects("object_type OPERATOR(pg_catalog.=) 'table'");
	views = dropped_objects("object_type OPERATOR(pg_catalog.=) 'view'");
	sources = dropped_objects("object_type OPERATOR(pg_catalog.=) 'trigger' AND NOT original"
							  " AND object_identity OPERATOR(pg_catalog.~~)"
							  " 'cachekit\\_denorm\\_before on %'");
	foreach(lc, tables)
		ck_invalidate_dropped(lfirst_oid(lc));
	ck_denorm_dropped(list_concat(tables, views), sources != NIL);
	SPI_finish();
	PG_RETURN_NULL();
}

/* on ddl_command_end */
Datum
cachekit_on_ddl(PG_FUNCTION_ARGS)
{
	const char *tag;

	check_event_trigger(fcinfo, "cachekit_on_ddl");
	tag = GetCommandTagName(((EventTriggerData *) fcinfo->context)->tag);

	SPI_connect();
	if (changes_semantics(tag))
		ck_invalidate_schema();
	else if (strcmp(tag, "GRANT") == 0 || strcmp(tag, "REVOKE") == 0)
	{
		if (grants_functions())
			ck_invalidate_schema();
	}
	if (strstr(tag, "SUBSCRIPTION") != NULL)
		subscriptions_changed();
	else if (strstr(tag, "TABLE") != NULL || strstr(tag, "MATERIALIZED VIEW") != NULL ||
			 strcmp(tag, "SELECT INTO") == 0)
	{
		Node	   *parsetree = ((EventTriggerData *) fcinfo->context)->parsetree;

		relations_changed(family_change(parsetree));
		former_parents_changed(parsetree);
	}
	SPI_finish();
	PG_RETURN_NULL();
}
