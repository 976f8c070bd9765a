/*-------------------------------------------------------------------------
 *
 * guc.h
 *	  Every setting of cachekit; defined in guc.c, read by all.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CK_GUC_H
#define CK_GUC_H

/* cachekit.mode: which SELECTs are answered without being asked to. */
typedef enum CkMode
{
	CK_MODE_OFF,
	CK_MODE_HINT,				/* those with a hint or a rule */
	CK_MODE_AUTO				/* and all that are worth it */
} CkMode;

/* cachekit.track: who sees writes of tables. */
typedef enum CkTrack
{
	CK_TRACK_TRIGGERS,
	CK_TRACK_ALL				/* preloaded only; triggers besides do no harm */
} CkTrack;

extern bool ck_guc_admission;
extern bool ck_guc_enabled;
extern bool ck_guc_explain;
extern bool ck_guc_kv_transactional;
extern bool ck_guc_save_on_shutdown;
extern bool ck_guc_verify;
extern int	ck_guc_default_ttl;		/* seconds; 0: none */
extern int	ck_guc_denorm_queue_limit;	/* keys; 0: none */
extern int	ck_guc_lease_timeout;	/* milliseconds; 0: never wait */
extern int	ck_guc_max_entry_size;	/* kB */
extern int	ck_guc_memory;			/* kB */
extern int	ck_guc_min_exec_time;	/* milliseconds */
extern int	ck_guc_mode;			/* CkMode */
extern int	ck_guc_track;			/* CkTrack; fixed from the server's start */
extern int	ck_guc_warm_share;		/* percent of a worker's time; 0: none */
extern int	ck_guc_worker_idle_timeout; /* milliseconds */
extern int	ck_guc_workers;			/* in all; 0: none are started */
#ifdef CACHEKIT_DEBUG
extern bool ck_guc_debug_twice;
#else
#define ck_guc_debug_twice false
#endif

struct config_bool;

extern void ck_guc_define(void);
extern struct config_bool *ck_guc_find_bool(const bool *variable);

#endif							/* CK_GUC_H */
