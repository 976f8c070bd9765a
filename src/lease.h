/*-------------------------------------------------------------------------
 *
 * lease.h
 *	  Single flight: one session computes, the others wait.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CK_LEASE_H
#define CK_LEASE_H

typedef enum CkLease
{
	CK_LEASE_OWNED,				/* we compute; release after publishing */
	CK_LEASE_WAITED,			/* the same, but others computed before us */
	CK_LEASE_NONE				/* compute alone */
} CkLease;

extern CkLease ck_lease_acquire(uint64 hash, bool may_wait);
extern void ck_lease_release(uint64 hash);

#endif							/* CK_LEASE_H */
