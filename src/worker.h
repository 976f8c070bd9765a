/*-------------------------------------------------------------------------
 *
 * worker.h
 *	  Background workers: who starts them, and what they do.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CK_WORKER_H
#define CK_WORKER_H

/* in worker.c */
extern void ck_worker_init(void);
extern void ck_worker_want(Oid dbid);
extern void ck_worker_call(Oid dbid);

/* in worker_db.c */
extern PGDLLEXPORT void cachekit_worker_main(Datum arg);

/* in worker.c */
extern PGDLLEXPORT void cachekit_launcher_main(Datum arg);

#endif							/* CK_WORKER_H */
