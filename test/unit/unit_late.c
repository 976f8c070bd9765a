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

#include "access/xact.h"
#include "executor/spi.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

PG_FUNCTION_INFO_V1(unit_before_commit);
PG_FUNCTION_INFO_V1(unit_nothing);

void		_PG_init(void);

static char *statement = NULL;

static void
late_cb(XactEvent event, void *arg)
{
	char	   *sql = statement;

	if (event != XACT_EVENT_PRE_COMMIT || sql == NULL)
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

/* A statement trigger's floor. */
Datum
unit_nothing(PG_FUNCTION_ARGS)
{
	return PointerGetDatum(NULL);
}
