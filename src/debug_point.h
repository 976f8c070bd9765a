/*-------------------------------------------------------------------------
 *
 * debug_point.h
 *	  Named places where a test can hold a session, slow it down, or break
 *	  the algorithm on purpose.  Empty unless built with CACHEKIT_DEBUG.
 *
 * A session waits at a point named in its own setting, e.g.
 *		SET cachekit.debug_point = 'publish:4711'
 * by taking, and giving back, the advisory lock 4711 there: the test holds
 * that lock in another session, and isolationtester sees the wait.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CK_DEBUG_POINT_H
#define CK_DEBUG_POINT_H

#ifdef CACHEKIT_DEBUG

/* Deliberate faults: controls that the torture test must find out. */
typedef enum CkFault
{
	CK_FAULT_NONE,
	CK_FAULT_BUMP_IN_TRIGGER,	/* naive: count the write when it is made */
	CK_FAULT_BUMP_AT_COMMIT,	/* naive: count it after the commit */
	CK_FAULT_BUMP_BOTH,			/* naive: before and after the commit */
	CK_FAULT_NO_RING,			/* exact, less the test against the snapshot */
	CK_FAULT_FORGET_OLD_KEY,	/* a row that moves leaves its old key unmarked */
	CK_FAULT_OUTER_AS_INNER,	/* an outer join fixes keys on both its sides */
	CK_FAULT_DENORM_EDGES,		/* denormalized tables: no locks of edges */
	CK_FAULT_DENORM_KEYS,		/* no locks of keys */
	CK_FAULT_DENORM_PAST,		/* old rows joined with tables as they are now */
	CK_FAULT_DENORM_SNAPSHOT	/* the transaction's snapshot, not a fresh one */
} CkFault;

extern char *ck_debug_point;
extern int	ck_debug_delay;		/* microseconds, at every point, random */
extern int	ck_debug_fault;

extern void ck_debug_point_reached(const char *name);

#define CK_DEBUG_POINT(name) ck_debug_point_reached(name)
#define CK_FAULTY(fault) (ck_debug_fault == (fault))
#define CK_ANY_NAIVE_FAULT() \
	(ck_debug_fault >= CK_FAULT_BUMP_IN_TRIGGER && \
	 ck_debug_fault <= CK_FAULT_BUMP_BOTH)

#else

#define CK_DEBUG_POINT(name) ((void) 0)
#define CK_FAULTY(fault) false
#define CK_ANY_NAIVE_FAULT() false

#endif							/* CACHEKIT_DEBUG */

#endif							/* CK_DEBUG_POINT_H */
