/*-------------------------------------------------------------------------
 *
 * xact.h
 *	  What this transaction has written, and what happens at its end.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CK_XACT_H
#define CK_XACT_H

#include "table.h"

/*
 * Work of other modules at the end of (sub)transactions.  A module joins a
 * transaction when it has something to do at its end, and has left it when it
 * is over.  written.c, which is to look at what others do, joins all of them.
 *
 * pre_commit and pre_prepare come first, may write, and may raise; may_prepare
 * follows when nobody writes any more, and may refuse by raising; pre_register
 * runs before the marks are registered, after both, and may raise.  The others
 * must not.  commit runs after this transaction's writes are recorded in the
 * cells, end after commit and abort, and when the transaction is prepared and
 * no longer ours.  nest is the level of the subtransaction that ends (2 is the
 * first).
 */
typedef struct CkXactHooks
{
	void		(*pre_commit) (void);
	void		(*pre_prepare) (void);
	void		(*may_prepare) (void);
	void		(*pre_register) (void);
	void		(*commit) (void);
	void		(*end) (void);
	void		(*sub_commit) (int nest);
	void		(*sub_abort) (int nest);
} CkXactHooks;

extern void ck_xact_init(void);
extern bool ck_xact_join(const CkXactHooks *hooks);
extern void ck_xact_join_all(const CkXactHooks *hooks);

extern void ck_xact_note_hit(const CkKey *key, CkItem *item, uint32 id);

extern void ck_xact_mark(uint32 cell);
extern void ck_xact_mark_at(uint32 cell, int nest);
extern void ck_xact_mark_lost(void);
extern bool ck_xact_is_dirty(uint32 cell);
extern bool ck_xact_is_registered(void);

#endif							/* CK_XACT_H */
