/*-------------------------------------------------------------------------
 *
 * activity.h
 *	  What long operations and background workers are doing, in shared memory.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CK_ACTIVITY_H
#define CK_ACTIVITY_H

#include "datatype/timestamp.h"

typedef enum CkPhase
{
	CK_PHASE_BUILDING,
	CK_PHASE_REFRESHING,
	CK_PHASE_DRAINING
} CkPhase;

typedef struct CkProgress
{
	int			pid;
	Oid			dbid;
	Oid			target;
	CkPhase		phase;
	int64		done;
	int64		total;			/* an estimate; 0: unknown */
	TimestampTz started;
} CkProgress;

typedef struct CkWorkerInfo
{
	Oid			dbid;
	int			pid;			/* 0: starting */
	TimestampTz started;
	TimestampTz active;			/* last time it found work; 0: never */
	int64		keys;			/* denormalized keys drained */
	int64		warmed;			/* results computed for later readers */
	int64		warm_time;		/* microseconds that went into these */
	bool		busy;
} CkWorkerInfo;

extern Size ck_activity_size(Size budget);
extern void ck_activity_init(void *ptr, Size size, Size budget);
extern void ck_activity_attach(void *ptr, Size size);

extern void ck_progress_start(Oid target, CkPhase phase, int64 total);
extern void ck_progress_update(int64 done);
extern void ck_progress_end(void);
extern int	ck_progress_slots(void);
extern bool ck_progress_read(int slot, CkProgress *out);

extern int	ck_worker_claim(Oid dbid, int limit, bool *there);
extern bool ck_worker_begin(int slot, Oid dbid);
extern void ck_worker_note(int slot, bool busy, int64 keys, int64 warmed,
						   int64 warm_time);
extern void ck_worker_give_up(int slot, Oid dbid);
extern void ck_worker_end(int slot, Oid dbid);
extern int	ck_worker_slots(void);
extern bool ck_worker_read(int slot, CkWorkerInfo *out);
extern int	ck_worker_procno(Oid dbid);
extern void ck_worker_may_be_ended(void);

#endif							/* CK_ACTIVITY_H */
