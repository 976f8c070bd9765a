/*-------------------------------------------------------------------------
 *
 * worker.c
 *	  Background workers: who starts them.
 *
 * A database has at most one worker at a time, a dynamic background worker
 * which whoever has work for it starts, and which ends when it has been idle
 * for a while (worker_db.c).  cachekit.workers bounds their number.
 *
 * When preloaded there is a launcher besides.  At server start, and after a
 * crash, it gives every database a worker once, which ends at once unless
 * there is work left from before: rows of the queue have survived, those who
 * would have started the worker have not.  The launcher is connected to no
 * database.  Not preloaded, work that was left waits for the next that is added,
 * or for denorm_wait().
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "catalog/pg_database.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/proc.h"
#include "storage/procarray.h"
#include "tcop/tcopprot.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/wait_event.h"

#include "activity.h"
#include "guc.h"
#include "segment.h"
#include "worker.h"

#define LIBRARY			"cachekit"
#define ROUND_PAUSE_MS	100

/* _PG_init, when preloaded. */
void
ck_worker_init(void)
{
	BackgroundWorker worker = {0};

	if (IsBinaryUpgrade)
		return;
	worker.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
	worker.bgw_start_time = BgWorkerStart_RecoveryFinished;
	worker.bgw_restart_time = 10;
	strlcpy(worker.bgw_library_name, LIBRARY, sizeof(worker.bgw_library_name));
	strlcpy(worker.bgw_function_name, "cachekit_launcher_main",
			sizeof(worker.bgw_function_name));
	strlcpy(worker.bgw_name, "cachekit launcher", sizeof(worker.bgw_name));
	strlcpy(worker.bgw_type, "cachekit launcher", sizeof(worker.bgw_type));
	RegisterBackgroundWorker(&worker);
}

/* false: no slot of the server's for background workers is left. */
static bool
start_worker(Oid dbid, int slot)
{
	BackgroundWorker worker = {0};

	worker.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
	worker.bgw_start_time = BgWorkerStart_RecoveryFinished;
	worker.bgw_restart_time = BGW_NEVER_RESTART;
	strlcpy(worker.bgw_library_name, LIBRARY, sizeof(worker.bgw_library_name));
	strlcpy(worker.bgw_function_name, "cachekit_worker_main",
			sizeof(worker.bgw_function_name));
	snprintf(worker.bgw_name, sizeof(worker.bgw_name), "cachekit worker of database %u", dbid);
	strlcpy(worker.bgw_type, "cachekit worker", sizeof(worker.bgw_type));
	worker.bgw_main_arg = Int32GetDatum(slot);
	memcpy(worker.bgw_extra, &dbid, sizeof(dbid));
	return RegisterDynamicBackgroundWorker(&worker, NULL);
}

/* See to it that a database has a worker, if it may and can have one. */
void
ck_worker_want(Oid dbid)
{
	int			slot;
	bool		there;

	if (ck_guc_workers == 0 || IsBinaryUpgrade || RecoveryInProgress() ||
		!ck_segment_attach() || ck_worker_procno(dbid) >= 0)
		return;
	slot = ck_worker_claim(dbid, ck_guc_workers, &there);
	if (slot >= 0 && !start_worker(dbid, slot))
	{
		static bool complained = false;

		ck_worker_give_up(slot, dbid);
		if (!complained)
			ereport(WARNING,
					(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
					 errmsg("could not start a background worker of cachekit"),
					 errhint("You may need to increase max_worker_processes.")));
		complained = true;
	}
}

/*
 * There is something to do in a database.  Also called after a commit, where
 * nothing may fail.
 */
void
ck_worker_call(Oid dbid)
{
	int			procno = ck_segment_attached() ? ck_worker_procno(dbid) : -1;

	if (procno >= 0)
		SetLatch(&GetPGProcByNumber(procno)->procLatch);
	else
		ck_worker_want(dbid);
}

/* ---------------- the launcher ---------------- */

/* Databases that can be connected to, templates left out. */
static List *
databases(void)
{
	MemoryContext cxt = CurrentMemoryContext;
	MemoryContext old;
	Relation	rel;
	TableScanDesc scan;
	HeapTuple	tuple;
	List	   *result = NIL;

	StartTransactionCommand();
	(void) GetTransactionSnapshot();
	rel = table_open(DatabaseRelationId, AccessShareLock);
	scan = table_beginscan_catalog(rel, 0, NULL);
	while (HeapTupleIsValid(tuple = heap_getnext(scan, ForwardScanDirection)))
	{
		Form_pg_database form = (Form_pg_database) GETSTRUCT(tuple);

		if (!form->datallowconn || form->datistemplate)
			continue;
		old = MemoryContextSwitchTo(cxt);
		result = lappend_oid(result, form->oid);
		MemoryContextSwitchTo(old);
	}
	table_endscan(scan);
	table_close(rel, AccessShareLock);
	CommitTransactionCommand();
	return result;
}

static void
pause_for(long ms)
{
	(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_EXIT_ON_PM_DEATH | (ms > 0 ? WL_TIMEOUT : 0),
					 ms, PG_WAIT_EXTENSION);
	ResetLatch(MyLatch);
	CHECK_FOR_INTERRUPTS();
	if (ConfigReloadPending)
	{
		ConfigReloadPending = false;
		ProcessConfigFile(PGC_SIGHUP);
	}
}

/* A worker for every database, as many at a time as there may be. */
static void
first_round(void)
{
	List	   *waiting = databases();

	while (waiting != NIL && ck_guc_workers > 0)
	{
		bool		there;
		Oid			dbid = linitial_oid(waiting);
		int			slot = ck_worker_claim(dbid, ck_guc_workers, &there);

		if (slot < 0 && !there)
		{
			pause_for(ROUND_PAUSE_MS);
			continue;
		}
		if (slot >= 0 && !start_worker(dbid, slot))
		{
			ck_worker_give_up(slot, dbid);
			pause_for(ROUND_PAUSE_MS);
			continue;
		}
		waiting = list_delete_first(waiting);
	}
}

void
cachekit_launcher_main(Datum arg)
{
	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	pqsignal(SIGTERM, die);
	BackgroundWorkerUnblockSignals();
	BackgroundWorkerInitializeConnection(NULL, NULL, 0);
	if (!ck_segment_attach())
		proc_exit(0);
	pgstat_report_activity(STATE_RUNNING, "starting workers");
	first_round();
	pgstat_report_activity(STATE_IDLE, NULL);
	for (;;)
		pause_for(0);
}
