/*-------------------------------------------------------------------------
 *
 * unit_late.c
 *	  Another extension: one that writes at the very end of a transaction,
 *	  and a trigger that does nothing, to compare with.
 *
 * Callbacks run in the reverse order of their registration: this library is
 * loaded before cachekit, so its PRE_COMMIT callback runs after cachekit's.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <time.h>

#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "executor/spi.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

PG_FUNCTION_INFO_V1(unit_before_commit);
PG_FUNCTION_INFO_V1(unit_insert_before_commit);
PG_FUNCTION_INFO_V1(unit_nothing);
PG_FUNCTION_INFO_V1(unit_cpu);

void		_PG_init(void);

static char *statement = NULL;
static Oid	insert_into = InvalidOid;

/* A row of nulls, put into the heap with no statement. */
static void
insert_nulls(Oid relid)
{
	Relation	rel = table_open(relid, RowExclusiveLock);
	int			natts = RelationGetDescr(rel)->natts;
	Datum	   *values = palloc0(natts * sizeof(Datum));
	bool	   *nulls = palloc(natts * sizeof(bool));

	memset(nulls, true, natts * sizeof(bool));
	simple_heap_insert(rel, heap_form_tuple(RelationGetDescr(rel), values, nulls));
	table_close(rel, NoLock);
}

static void
late_cb(XactEvent event, void *arg)
{
	char	   *sql = statement;
	Oid			relid = insert_into;

	if (event == XACT_EVENT_ABORT)
		insert_into = InvalidOid;
	if (event != XACT_EVENT_PRE_COMMIT)
		return;
	insert_into = InvalidOid;
	if (OidIsValid(relid))
		insert_nulls(relid);
	if (sql == NULL)
		return;
	statement = NULL;
	PushActiveSnapshot(GetTransactionSnapshot());
	SPI_connect();
	SPI_execute(sql, false, 0);
	SPI_finish();
	PopActiveSnapshot();
	pfree(sql);
}

void
_PG_init(void)
{
	RegisterXactCallback(late_cb, NULL);
}

/* Run a statement when the current transaction is about to commit. */
Datum
unit_before_commit(PG_FUNCTION_ARGS)
{
	statement = MemoryContextStrdup(TopMemoryContext,
									text_to_cstring(PG_GETARG_TEXT_PP(0)));
	PG_RETURN_VOID();
}

/* Insert a row of nulls when the current transaction is about to commit. */
Datum
unit_insert_before_commit(PG_FUNCTION_ARGS)
{
	insert_into = PG_GETARG_OID(0);
	PG_RETURN_VOID();
}

/* A statement trigger's floor. */
Datum
unit_nothing(PG_FUNCTION_ARGS)
{
	TriggerData *data = (TriggerData *) fcinfo->context;

	if (!TRIGGER_FIRED_FOR_ROW(data->tg_event))
		return PointerGetDatum(NULL);
	if (TRIGGER_FIRED_BY_UPDATE(data->tg_event))
		return PointerGetDatum(data->tg_newtuple);
	return PointerGetDatum(data->tg_trigtuple);
}

/* unit_cpu(): the processor time that this backend has taken, microseconds */
Datum
unit_cpu(PG_FUNCTION_ARGS)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	PG_RETURN_INT64((int64) t.tv_sec * 1000000 + t.tv_nsec / 1000);
}
