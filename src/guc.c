/*-------------------------------------------------------------------------
 *
 * guc.c
 *	  Definition of every setting.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <limits.h>

#include "miscadmin.h"
#include "utils/guc_tables.h"

#include "clock.h"
#include "compat.h"
#include "debug_point.h"
#include "guc.h"

bool		ck_guc_admission = true;
bool		ck_guc_enabled = true;
bool		ck_guc_explain = true;
bool		ck_guc_kv_transactional = true;
bool		ck_guc_save_on_shutdown = false;
bool		ck_guc_verify = false;
int			ck_guc_default_ttl = 0;
int			ck_guc_denorm_queue_limit = 1000000;
int			ck_guc_lease_timeout = 10000;
int			ck_guc_max_entry_size = 4096;
int			ck_guc_memory = 65536;
int			ck_guc_min_exec_time = 5;
int			ck_guc_mode = CK_MODE_HINT;
int			ck_guc_track = CK_TRACK_TRIGGERS;

static const struct config_enum_entry mode_options[] = {
	{"off", CK_MODE_OFF, false},
	{"hint", CK_MODE_HINT, false},
	{"auto", CK_MODE_AUTO, false},
	{"false", CK_MODE_OFF, true},
	{"no", CK_MODE_OFF, true},
	{"0", CK_MODE_OFF, true},
	{NULL, 0, false}
};

static bool track_at_start = false; /* preloaded, so that "all" can be had */

static const struct config_enum_entry track_options[] = {
	{"triggers", CK_TRACK_TRIGGERS, false},
	{"all", CK_TRACK_ALL, false},
	{NULL, 0, false}
};
int			ck_guc_warm_share = 10;
int			ck_guc_worker_idle_timeout = 10000;
int			ck_guc_workers = 2;

#ifdef CACHEKIT_DEBUG
bool		ck_guc_debug_twice = false;

static const struct config_enum_entry fault_options[] = {
	{"none", CK_FAULT_NONE, false},
	{"bump_in_trigger", CK_FAULT_BUMP_IN_TRIGGER, false},
	{"bump_at_commit", CK_FAULT_BUMP_AT_COMMIT, false},
	{"bump_both", CK_FAULT_BUMP_BOTH, false},
	{"no_ring", CK_FAULT_NO_RING, false},
	{"forget_old_key", CK_FAULT_FORGET_OLD_KEY, false},
	{"outer_as_inner", CK_FAULT_OUTER_AS_INNER, false},
	{"denorm_edges", CK_FAULT_DENORM_EDGES, false},
	{"denorm_keys", CK_FAULT_DENORM_KEYS, false},
	{"denorm_past", CK_FAULT_DENORM_PAST, false},
	{"denorm_snapshot", CK_FAULT_DENORM_SNAPSHOT, false},
	{NULL, 0, false}
};

static void
define_debug_settings(void)
{
	DefineCustomIntVariable("cachekit.debug_clock_shift",
							"Moves cachekit's clock, for tests.",
							NULL, &ck_clock_shift_ms,
							0, INT_MIN, INT_MAX,
							PGC_SUSET, GUC_UNIT_MS | GUC_NOT_IN_SAMPLE,
							NULL, NULL, NULL);
	DefineCustomIntVariable("cachekit.debug_delay",
							"Longest random delay at every debug point, in microseconds.",
							NULL, &ck_debug_delay,
							0, 0, 1000000,
							PGC_SUSET, GUC_NOT_IN_SAMPLE,
							NULL, NULL, NULL);
	DefineCustomEnumVariable("cachekit.debug_fault",
							 "Breaks the algorithm on purpose, for tests.",
							 NULL, &ck_debug_fault,
							 CK_FAULT_NONE, fault_options,
							 PGC_SUSET, GUC_NOT_IN_SAMPLE,
							 NULL, NULL, NULL);
	DefineCustomStringVariable("cachekit.debug_point",
							   "Debug point to wait at, as name:advisory_lock.",
							   NULL, &ck_debug_point,
							   "",
							   PGC_SUSET, GUC_NOT_IN_SAMPLE,
							   NULL, NULL, NULL);
	DefineCustomBoolVariable("cachekit.debug_twice",
							 "Answers each transparent query from the cache, after storing it if need be.",
							 NULL, &ck_guc_debug_twice,
							 false,
							 PGC_SUSET, GUC_NOT_IN_SAMPLE,
							 NULL, NULL, NULL);
}
#endif

/*
 * "all" needs every session to have the library from its beginning.  Where it
 * is loaded later, say so once and go on with triggers, as SHOW will tell: an
 * error would refuse ALTER SYSTEM, by which preloading is arranged.
 */
static bool
check_track(int *newval, void **extra, GucSource source)
{
	static bool warned = false;

	if (*newval != CK_TRACK_ALL || track_at_start)
		return true;
	*newval = CK_TRACK_TRIGGERS;
	if (!warned)
		ereport(WARNING,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("cachekit.track = all has no effect"),
				 errdetail("The library was not loaded at server start."),
				 errhint("Add cachekit to shared_preload_libraries and restart the server.")));
	warned = true;
	return true;
}

/*
 * Define all settings.  cachekit.memory and cachekit.track can only be
 * start-time settings when the library is preloaded; loaded later the former
 * is read once, by whoever makes the segment, and the latter is "triggers".
 */
void
ck_guc_define(void)
{
	GucContext	start_context;

	track_at_start = process_shared_preload_libraries_in_progress;
	start_context = track_at_start ? PGC_POSTMASTER : PGC_SIGHUP;

	DefineCustomBoolVariable("cachekit.admission",
							 "Lets mode auto store a result only when it is asked for again and was worth it before.",
							 "Off: the first result is stored, and nothing is backed off.",
							 &ck_guc_admission,
							 true,
							 PGC_USERSET, 0,
							 NULL, NULL, NULL);
	DefineCustomIntVariable("cachekit.default_ttl",
							"Time to live of key/value entries stored without one; 0 means none.",
							NULL, &ck_guc_default_ttl,
							0, 0, INT_MAX,
							PGC_USERSET, GUC_UNIT_S,
							NULL, NULL, NULL);
	DefineCustomIntVariable("cachekit.denorm_queue_limit",
							"Keys of asynchronous denormalized tables that may wait in a database.",
							"Who would add more computes them at commit; 0 means no limit.",
							&ck_guc_denorm_queue_limit,
							1000000, 0, INT_MAX,
							PGC_SUSET, 0,
							NULL, NULL, NULL);
	DefineCustomBoolVariable("cachekit.enabled",
							 "Answers reads from the cache and stores results in it.",
							 "Writers go on to invalidate what they must, whatever this says.",
							 &ck_guc_enabled,
							 true,
							 PGC_USERSET, 0,
							 NULL, NULL, NULL);
	DefineCustomBoolVariable("cachekit.explain",
							 "EXPLAIN shows the cache above the plan.",
							 "Off: EXPLAIN shows and runs the plan as it is without the cache.",
							 &ck_guc_explain,
							 true,
							 PGC_USERSET, 0,
							 NULL, NULL, NULL);
	DefineCustomBoolVariable("cachekit.kv_transactional",
							 "Key/value writes take effect at commit and vanish on rollback.",
							 NULL, &ck_guc_kv_transactional,
							 true,
							 PGC_USERSET, 0,
							 NULL, NULL, NULL);
	DefineCustomIntVariable("cachekit.lease_timeout",
							"How long a reader waits for another that computes the same result.",
							"After that it computes alone; 0 never waits.",
							&ck_guc_lease_timeout,
							10000, 0, INT_MAX,
							PGC_USERSET, GUC_UNIT_MS,
							NULL, NULL, NULL);
	DefineCustomIntVariable("cachekit.max_entry_size",
							"Largest result or value that is stored.",
							NULL, &ck_guc_max_entry_size,
							4096, 1, 512 * 1024,
							PGC_USERSET, GUC_UNIT_KB,
							NULL, NULL, NULL);
	DefineCustomIntVariable("cachekit.memory",
							"Shared memory of the cache, all included.",
							NULL, &ck_guc_memory,
							65536, 1024, 16 * 1024 * 1024,
							start_context, GUC_UNIT_KB,
							NULL, NULL, NULL);
	DefineCustomIntVariable("cachekit.min_exec_time",
							"Mode auto stores results that took at least this long to compute.",
							NULL, &ck_guc_min_exec_time,
							5, 0, INT_MAX,
							PGC_USERSET, GUC_UNIT_MS,
							NULL, NULL, NULL);
	DefineCustomEnumVariable("cachekit.mode",
							 "Which SELECTs are answered from the cache as they are.",
							 "off: none; hint: those with a hint or a rule; auto: and all that are worth it.",
							 &ck_guc_mode,
							 CK_MODE_HINT, mode_options,
							 PGC_USERSET, 0,
							 NULL, NULL, NULL);
	DefineCustomBoolVariable("cachekit.save_on_shutdown",
							 "A clean shutdown saves the cache, and the next start loads it.",
							 "Needs cachekit in shared_preload_libraries.",
							 &ck_guc_save_on_shutdown,
							 false,
							 PGC_SIGHUP, 0,
							 NULL, NULL, NULL);
	DefineCustomEnumVariable("cachekit.track",
							 "Who sees writes: triggers on tracked tables, or the server itself on all.",
							 "\"all\" needs cachekit in shared_preload_libraries.",
							 &ck_guc_track,
							 CK_TRACK_TRIGGERS, track_options,
							 start_context, 0,
							 check_track, NULL, NULL);
	DefineCustomBoolVariable("cachekit.verify",
							 "Runs the query on every hit, too, and raises an error when the rows differ.",
							 "For tests: it makes hits slower than misses.",
							 &ck_guc_verify,
							 false,
							 PGC_SUSET, 0,
							 NULL, NULL, NULL);
	DefineCustomIntVariable("cachekit.warm_share",
							"Share of a worker's time for computing query results, in percent.",
							"0: workers compute none.",
							&ck_guc_warm_share,
							10, 0, 100,
							PGC_SIGHUP, 0,
							NULL, NULL, NULL);
	DefineCustomIntVariable("cachekit.worker_idle_timeout",
							"How long a background worker without work stays.",
							NULL, &ck_guc_worker_idle_timeout,
							10000, 0, INT_MAX,
							PGC_SIGHUP, GUC_UNIT_MS,
							NULL, NULL, NULL);
	DefineCustomIntVariable("cachekit.workers",
							"Most background workers of cachekit, one for each database with work.",
							"They count among max_worker_processes; 0 starts none.",
							&ck_guc_workers,
							2, 0, 64,
							PGC_SIGHUP, 0,
							NULL, NULL, NULL);
#ifdef CACHEKIT_DEBUG
	define_debug_settings();
#endif

	MarkGUCPrefixReserved("cachekit");
}

/* The setting, PostgreSQL's own among them, that has this variable. */
struct config_bool *
ck_guc_find_bool(const bool *variable)
{
	int			n;
	struct config_generic **settings = CkGucVariables(&n);

	for (int i = 0; i < n; i++)
		if (settings[i]->vartype == PGC_BOOL &&
			((struct config_bool *) settings[i])->variable == variable)
			return (struct config_bool *) settings[i];
	elog(ERROR, "could not find a setting");
}
