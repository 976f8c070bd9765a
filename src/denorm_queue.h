/*-------------------------------------------------------------------------
 *
 * denorm_queue.h
 *	  Keys that are computed later: at commit, or by a worker.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CK_DENORM_QUEUE_H
#define CK_DENORM_QUEUE_H

#include "denorm_def.h"

extern void ck_denorm_note_keys(CkDenorm *denorm, CkDenormKeys *keys);
extern void ck_denorm_note_all(CkDenorm *denorm);
extern void ck_denorm_forget_queue(Oid target);
extern void ck_denorm_release_aside(Oid target);
extern int64 ck_denorm_drain_all(Oid target);
extern bool ck_denorm_queue_waits(void);
extern void ck_denorm_prepared_committed(void);

#endif							/* CK_DENORM_QUEUE_H */
