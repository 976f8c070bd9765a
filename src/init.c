/*-------------------------------------------------------------------------
 *
 * init.c
 *	  _PG_init: settings, subsystems, callbacks.  Nobody includes this.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/ipc.h"
#include "utils/guc_tables.h"

#include "activity.h"
#include "admission.h"
#include "catalogs.h"
#include "cells.h"
#include "counters.h"
#include "extension.h"
#include "fromscan.h"
#include "guc.h"
#include "hooks.h"
#include "keys.h"
#include "querystats.h"
#include "rules.h"
#include "save.h"
#include "scan.h"
#include "segment.h"
#include "table.h"
#include "warm.h"
#include "worker.h"
#include "written.h"
#include "xact.h"

PG_MODULE_MAGIC;

void		_PG_init(void);

static const CkSubsystem subsystems[] = {
	{"counters", ck_counters_size, ck_counters_init, ck_counters_attach},
	{"cells", ck_cells_size, ck_cells_init, ck_cells_attach},
	{"admission", ck_admission_size, ck_admission_init, ck_admission_attach},
	{"activity", ck_activity_size, ck_activity_init, ck_activity_attach},
	{"query statistics", ck_querystats_size, ck_querystats_init, ck_querystats_attach},
	{"warm", ck_warm_size, ck_warm_init, ck_warm_attach},
	{"table", ck_table_size, ck_table_init, ck_table_attach}
};

static shmem_request_hook_type prev_shmem_request = NULL;
static shmem_startup_hook_type prev_shmem_startup = NULL;
static GucBoolAssignHook prev_track_counts = NULL;

static void
shmem_request(void)
{
	if (prev_shmem_request)
		prev_shmem_request();
	ck_segment_shmem_request();
}

static void
shmem_startup(void)
{
	if (prev_shmem_startup)
		prev_shmem_startup();
	ck_segment_shmem_startup();
	if (IsPostmasterEnvironment && !IsUnderPostmaster)
	{
		ck_save_load();
		on_shmem_exit(ck_save_at_exit, (Datum) 0);
	}
}

/* ---------------- under cachekit.track = all ---------------- */

static void
assign_track_counts(bool newval, void *extra)
{
	ck_written_counting(newval);
	if (prev_track_counts)
		prev_track_counts(newval, extra);
}

static void
track_all(void)
{
	struct config_bool *track_counts = ck_guc_find_bool(&pgstat_track_counts);

	prev_track_counts = track_counts->assign_hook;
	track_counts->assign_hook = assign_track_counts;
	ck_xact_join_all(&ck_written_hooks);
}

/* ---------------- loading ---------------- */

/*
 * Runs in the postmaster when preloaded, else in each backend on its first
 * use of the library.
 */
void
_PG_init(void)
{
	ck_guc_define();
	ck_segment_configure(subsystems, lengthof(subsystems));
	ck_xact_init();
	ck_keys_init();
	ck_catalogs_init();
	ck_extension_init();
	ck_rules_init();
	ck_scan_init();
	ck_fromscan_init();
	ck_hooks_init(process_shared_preload_libraries_in_progress &&
				  ck_guc_track == CK_TRACK_ALL);
	if (!process_shared_preload_libraries_in_progress)
		return;
	prev_shmem_request = shmem_request_hook;
	shmem_request_hook = shmem_request;
	prev_shmem_startup = shmem_startup_hook;
	shmem_startup_hook = shmem_startup;
	if (ck_guc_track == CK_TRACK_ALL)
		track_all();
	ck_worker_init();
}
