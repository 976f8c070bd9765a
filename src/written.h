/*-------------------------------------------------------------------------
 *
 * written.h
 *	  Tracking without triggers: which tables has this transaction changed?
 *
 *-------------------------------------------------------------------------
 */
#ifndef CK_WRITTEN_H
#define CK_WRITTEN_H

/* Once, in the postmaster, under cachekit.track = all. */
extern void ck_written_init(void);

/*
 * Mark the cells of every table that this transaction has changed by now, at
 * the subtransaction level that changed it.  Called before a read asks what is
 * dirty, and before the transaction registers.  Needs a transaction; may read
 * catalogs, allocate, and raise what that raises.  Takes no lock that lasts.
 */
extern void ck_written_collect(void);

/* After a statement: as above, if the transaction has registered already. */
extern void ck_written_collect_late(void);

/* In the commit callback: a change that escaped; allocates and raises nothing. */
extern void ck_written_at_commit(void);

/* At the end of any transaction. */
extern void ck_written_at_end(void);

#endif							/* CK_WRITTEN_H */
