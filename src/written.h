/*-------------------------------------------------------------------------
 *
 * written.h
 *	  Tracking without triggers: which tables has this transaction changed?
 *
 *-------------------------------------------------------------------------
 */
#ifndef CK_WRITTEN_H
#define CK_WRITTEN_H

#include "xact.h"

/* track_counts is about to be set.  Raises and allocates nothing. */
extern void ck_written_counting(bool on);

/*
 * Mark the cells of every table that this transaction has changed by now, at
 * the subtransaction level that changed it.  Called before a read asks what is
 * dirty, and before the transaction registers.  Needs a transaction; may read
 * catalogs, allocate, and raise what that raises.  Takes no lock that lasts.
 */
extern void ck_written_collect(void);

/* After a statement: as above, if the transaction has registered already. */
extern void ck_written_collect_late(void);

extern const CkXactHooks ck_written_hooks;

#endif							/* CK_WRITTEN_H */
