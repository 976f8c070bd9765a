/*-------------------------------------------------------------------------
 *
 * worker_db.c
 *	  The worker of a database: what it does, and when it ends.
 *
 * In turn: a batch of the queue of each denormalized table, in a transaction
 * of its own.  An error aborts that transaction, is reported in the server's
 * log, and work goes on after a pause.  When there is nothing to do the worker
 * waits for its latch, which is set when somebody commits work.
 *
 * It must not be in the way of DROP DATABASE or CREATE DATABASE ... TEMPLATE,
 * which wait some seconds for others to leave.  They hold a lock on the
 * database that who connects would need as well; the worker tries for it
 * between transactions and several times a second while idle, and ends if it
 * can not have it.  It also ends when idle for a while.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_database.h"
#include "catalog/pg_type.h"
#include "commands/extension.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/lock.h"
#include "tcop/tcopprot.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"
#include "utils/wait_event.h"

#include "activity.h"
#include "denorm_queue.h"
#include "guc.h"
#include "segment.h"
#include "track.h"
#include "worker.h"

#define NAP_MS			250		/* between looks whether we are in the way */
#define ERROR_PAUSE_MS	1000

static int	own_slot = -1;

static void
leave(int code, Datum arg)
{
	if (own_slot >= 0)
		ck_worker_end(own_slot, DatumGetObjectId(arg));
	own_slot = -1;
}

/* Is somebody about to drop or copy the database? */
static bool
in_the_way(void)
{
	LOCKTAG		tag;

	SET_LOCKTAG_OBJECT(tag, InvalidOid, DatabaseRelationId, MyDatabaseId, 0);
	if (LockAcquire(&tag, RowExclusiveLock, false, true) == LOCKACQUIRE_NOT_AVAIL)
		return true;
	LockRelease(&tag, RowExclusiveLock, false);
	return false;
}

/* The extension's schema becomes known; false: it is not in this database. */
static bool
find_extension(void)
{
	bool		isnull;
	bool		found;

	SPI_connect();
	if (SPI_execute("SELECT extnamespace FROM pg_catalog.pg_extension"
					" WHERE extname OPERATOR(pg_catalog.=) 'cachekit'", true, 1) != SPI_OK_SELECT)
		elog(ERROR, "could not look for the extension");
	found = SPI_processed > 0;
	if (found)
		ck_track_use_namespace(DatumGetObjectId(SPI_getbinval(SPI_tuptable->vals[0],
														   SPI_tuptable->tupdesc,
														   1, &isnull)));
	SPI_finish();
	return found;
}

static void
begin(void)
{
	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	PushActiveSnapshot(GetTransactionSnapshot());
}

static void
end(void)
{
	PopActiveSnapshot();
	CommitTransactionCommand();
	pgstat_report_stat(true);
}

/*
 * A turn of work.  Returns what was done; -1: the worker should end.
 */
static int64
turn(void)
{
	int64		n = -1;

	begin();
	if (!in_the_way() && find_extension())
	{
		n = ck_denorm_drain_all(InvalidOid);
		if (n == 0 && ck_denorm_queue_waits())
			n = -2;
	}
	end();
	return n;
}

static int64
turn_or_report(void)
{
	MemoryContext cxt = CurrentMemoryContext;
	volatile int64 n = 0;

	PG_TRY();
	{
		n = turn();
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(cxt);
		HOLD_INTERRUPTS();
		EmitErrorReport();
		AbortCurrentTransaction();
		FlushErrorState();
		RESUME_INTERRUPTS();
		(void) WaitLatch(MyLatch, WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, ERROR_PAUSE_MS,
						 PG_WAIT_EXTENSION);
	}
	PG_END_TRY();
	MemoryContextSwitchTo(cxt);
	return n;
}

static void
wait_for_work(void)
{
	(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, NAP_MS,
					 PG_WAIT_EXTENSION);
	ResetLatch(MyLatch);
}

static void
work(void)
{
	TimestampTz idle_since = GetCurrentTimestamp();

	for (;;)
	{
		int64		n;

		CHECK_FOR_INTERRUPTS();
		if (ConfigReloadPending)
		{
			ConfigReloadPending = false;
			ProcessConfigFile(PGC_SIGHUP);
		}
		pgstat_report_activity(STATE_RUNNING, "working");
		n = turn_or_report();
		pgstat_report_activity(STATE_IDLE, NULL);
		if (n == -1 || ck_guc_workers == 0)
			break;
		ck_worker_note(own_slot, n > 0, Max(n, 0), 0);
		if (n != 0)
			idle_since = GetCurrentTimestamp();
		if (n > 0)
			continue;
		if (GetCurrentTimestamp() >
			idle_since + (TimestampTz) ck_guc_worker_idle_timeout * 1000)
			break;
		wait_for_work();
	}
}

/* Entry point; the argument is our slot, bgw_extra the database. */
void
cachekit_worker_main(Datum arg)
{
	Oid			dbid;
	int			slot = DatumGetInt32(arg);

	memcpy(&dbid, MyBgworkerEntry->bgw_extra, sizeof(dbid));
	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	pqsignal(SIGTERM, die);
	BackgroundWorkerUnblockSignals();
	if (!ck_segment_attach() || !ck_worker_begin(slot, dbid))
		proc_exit(0);
	own_slot = slot;
	before_shmem_exit(leave, ObjectIdGetDatum(dbid));
	BackgroundWorkerInitializeConnectionByOid(dbid, InvalidOid, 0);
	(void) set_config_option("search_path", "pg_catalog, pg_temp", PGC_USERSET,
							 PGC_S_SESSION, GUC_ACTION_SET, true, 0, false);
	work();
	proc_exit(0);
}
