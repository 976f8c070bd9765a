/*-------------------------------------------------------------------------
 *
 * extension.c
 *	  Is the extension in this database, and in which schema?
 *
 * SQL functions learn the schema from the function that they are called as
 * (ck_track_set_namespace).  Hooks of a preloaded library run in databases
 * without the extension, too, and ask here.
 *
 * The answer is kept in the backend.  Changes of pg_extension send no message
 * that a callback could hear, but the extension has event triggers, which come
 * and go with it in the same transaction: a change of any event trigger makes
 * us look again.  (While DROP EXTENSION is at work between its event triggers
 * and its row in pg_extension nobody plans a query.)
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/indexing.h"
#include "catalog/pg_extension.h"
#include "utils/fmgroids.h"
#include "utils/inval.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "extension.h"

static Oid	extension_namespace = InvalidOid;
static bool known = false;

static void
event_trigger_changed_cb(Datum arg, int cacheid, uint32 hashvalue)
{
	known = false;
}

static Oid
look_up(void)
{
	Relation	catalog = table_open(ExtensionRelationId, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;
	Oid			result = InvalidOid;

	ScanKeyInit(&key, Anum_pg_extension_extname, BTEqualStrategyNumber,
				F_NAMEEQ, CStringGetDatum("cachekit"));
	scan = systable_beginscan(catalog, ExtensionNameIndexId, true, NULL, 1, &key);
	tuple = systable_getnext(scan);
	if (HeapTupleIsValid(tuple))
		result = ((Form_pg_extension) GETSTRUCT(tuple))->extnamespace;
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
	return result;
}

/*
 * The schema of the extension; InvalidOid: it is not in this database.  In a
 * transaction only.  Reads a catalog the first time, and after changes of
 * event triggers; accepts no invalidation messages otherwise.
 */
Oid
ck_extension_namespace(void)
{
	if (unlikely(!known))
	{
		known = true;			/* before the look: messages may come with it */
		PG_TRY();
		{
			extension_namespace = look_up();
		}
		PG_CATCH();
		{
			known = false;
			PG_RE_THROW();
		}
		PG_END_TRY();
	}
	return extension_namespace;
}

/* Callbacks, once a backend. */
void
ck_extension_init(void)
{
	CacheRegisterSyscacheCallback(EVENTTRIGGERNAME, event_trigger_changed_cb, (Datum) 0);
}
