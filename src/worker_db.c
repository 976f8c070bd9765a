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
 * Besides, it computes query results for who has asked for it (refresh.c), in
 * rounds through the jobs in shared memory (warm.c): when woken and several
 * times a second.  These have a share of its time at most, and each job a
 * transaction of its own; one that fails is forgotten.
 *
 * It is not in the way of DROP DATABASE, CREATE DATABASE ... TEMPLATE and the
 * like, which end it whatever it is doing: see ck_worker_may_be_ended().  It
 * also ends when idle for a while.  Whoever commits work before its slot is
 * given back is served in a last look after that, and who commits later starts
 * another worker: so no work is left behind.
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
#include "utils/timeout.h"
#include "utils/timestamp.h"
#include "utils/wait_event.h"

#include "activity.h"
#include "debug_point.h"
#include "denorm_queue.h"
#include "guc.h"
#include "refresh.h"
#include "segment.h"
#include "track.h"
#include "worker.h"

#define NAP_MS			250		/* idle, between looks */
#define GATHER_MS		10		/* after some work, for more to come together */
#define FULL_TURN		500		/* rows; so many are not waited for */
#define ERROR_PAUSE_MS	1000

#define WARM_SLICE_US	5000	/* looking whether results have to be computed */

/* Instead of how much was done. */
#define LEAVE	(-1)			/* the worker should end */
#define WAITS	(-2)			/* nothing, but there is something to be done later */
#define FAILED	(-3)

static int	own_slot = -1;

static CkWarmJob warm_job;		/* being done */
static uint32 warm_position = 0;	/* in the round through the jobs */
static bool warm_round = true;	/* there is a round to be made, or finished */
static TimestampTz warm_not_before = 0;
static int64 warm_time = 0;		/* microseconds not yet reported */

static void
leave(int code, Datum arg)
{
	if (own_slot >= 0)
		ck_worker_end(own_slot, DatumGetObjectId(arg));
	own_slot = -1;
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
 * A turn of work on the queue.  Returns what was done, or one of the above.
 */
static int64
turn(void)
{
	int64		n = LEAVE;

	begin();
	if (find_extension())
	{
		n = ck_denorm_drain_all(InvalidOid);
		if (n == 0 && ck_denorm_queue_waits())
			n = WAITS;
	}
	end();
	return n;
}

/* Do it; an error ends its transaction and goes to the log: FAILED. */
static int64
run_or_report(int64 (*what) (void))
{
	MemoryContext cxt = CurrentMemoryContext;
	volatile int64 n = FAILED;

	PG_TRY();
	{
		n = what();
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(cxt);
		HOLD_INTERRUPTS();
		disable_all_timeouts(false);
		QueryCancelPending = false;
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

/* ---------------- results to be computed ---------------- */

/* One job, in a transaction of its own that is as its readers' would be. */
static int64
do_job(void)
{
	CkRefresh	outcome;

	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	XactIsoLevel = XACT_READ_COMMITTED;
	XactReadOnly = true;
	PushActiveSnapshot(GetTransactionSnapshot());
	outcome = ck_refresh_run(&warm_job);
	PopActiveSnapshot();
	CommitTransactionCommand();
	pgstat_report_stat(false);
	return outcome == CK_REFRESH_DONE ? 1 : outcome == CK_REFRESH_NONE ? 0 : FAILED;
}

/*
 * Go on with the round through the jobs, but for some milliseconds if nothing
 * is to be computed, and one job otherwise.  Then there is a pause in
 * proportion, so that no more than the share of our time goes into it.
 * Returns how many results were computed.
 */
static int64
warm(void)
{
	TimestampTz start = GetCurrentTimestamp();
	TimestampTz now = start;
	int64		n = 0;

	if (!warm_round || ck_guc_warm_share == 0 || start < warm_not_before)
		return 0;
	while (n <= 0 && now < start + WARM_SLICE_US)
	{
		warm_round = ck_warm_next(MyDatabaseId, &warm_position, &warm_job);
		if (!warm_round)
			break;
		n = run_or_report(do_job);
		if (n < 0)
			ck_warm_forget(warm_job.hash);
		now = GetCurrentTimestamp();
	}
	warm_time += now - start;
	warm_not_before = now + (now - start) * (100 - ck_guc_warm_share) / ck_guc_warm_share;
	return Max(n, 0);
}

/* ---------------- the worker's life ---------------- */

/*
 * SIGINT: a statement or a wait for a lock has lasted for too long.  Not so if
 * it comes from others, see ck_worker_may_be_ended().
 */
static void
cancel(SIGNAL_ARGS)
{
	if (get_timeout_indicator(STATEMENT_TIMEOUT, false) ||
		get_timeout_indicator(LOCK_TIMEOUT, false))
		StatementCancelHandler(postgres_signal_arg);
}

/* Until there is work; a round that was begun goes on as soon as it may. */
static void
wait_for_work(void)
{
	long		ms = NAP_MS;

	if (warm_round)
		ms = Min(Max((warm_not_before - GetCurrentTimestamp()) / 1000 + 1, 1), NAP_MS);
	(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, ms,
					 PG_WAIT_EXTENSION);
	ResetLatch(MyLatch);
	warm_round = true;
}

/*
 * Changes that come one by one are worked off together, not in a transaction
 * each.  Nobody sets our latch for nothing meanwhile.
 */
static void
gather(int64 n)
{
	if (n < FULL_TURN)
		(void) WaitLatch(NULL, WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, GATHER_MS,
						 PG_WAIT_EXTENSION);
}

/* Leave, see above. */
static void
retire(void)
{
	int64		n;

#ifdef CACHEKIT_DEBUG
	begin();
	CK_DEBUG_POINT("worker_retiring");
	end();
#endif
	leave(0, ObjectIdGetDatum(MyDatabaseId));
	n = run_or_report(turn);
	if (n > 0 || n == WAITS || n == FAILED)
		ck_worker_want(MyDatabaseId);
}

static void
work(void)
{
	TimestampTz idle_since = GetCurrentTimestamp();

	for (;;)
	{
		int64		n;
		int64		warmed;

		CHECK_FOR_INTERRUPTS();
		if (ConfigReloadPending)
		{
			ConfigReloadPending = false;
			ProcessConfigFile(PGC_SIGHUP);
		}
		pgstat_report_activity(STATE_RUNNING, "working");
		n = run_or_report(turn);
		warmed = n == LEAVE || n == FAILED ? 0 : warm();
		pgstat_report_activity(STATE_IDLE, NULL);
		if (n == LEAVE || ck_guc_workers == 0)
			break;
		ck_worker_note(own_slot, n > 0 || warmed > 0, Max(n, 0), warmed, warm_time);
		warm_time = 0;
		if (n != 0 || ck_warm_any(MyDatabaseId))
			idle_since = GetCurrentTimestamp();
		if (n > 0)
			gather(n);
		else if (GetCurrentTimestamp() >
				 idle_since + (TimestampTz) ck_guc_worker_idle_timeout * 1000)
		{
			retire();
			break;
		}
		else
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
	pqsignal(SIGINT, cancel);
	BackgroundWorkerUnblockSignals();
	if (!ck_segment_attach() || !ck_worker_begin(slot, dbid))
		proc_exit(0);
	own_slot = slot;
	before_shmem_exit(leave, ObjectIdGetDatum(dbid));
	BackgroundWorkerInitializeConnectionByOid(dbid, InvalidOid, 0);
	ck_worker_may_be_ended();
	(void) set_config_option("search_path", "pg_catalog, pg_temp", PGC_USERSET,
							 PGC_S_SESSION, GUC_ACTION_SET, true, 0, false);
	work();
	proc_exit(0);
}
