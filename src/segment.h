/*-------------------------------------------------------------------------
 *
 * segment.h
 *	  Where shared memory comes from: main memory when preloaded, else one
 *	  dynamic segment made on first use.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CK_SEGMENT_H
#define CK_SEGMENT_H

#include "storage/lwlock.h"

/*
 * A part of the segment.  size() says how many bytes it wants out of a budget
 * (0: all that is left; the last subsystem only), init() fills fresh zeroed
 * memory once, attach() tells the backend where the part is.  init() runs
 * before attach() in the creating process, attach() in every other; init()
 * may run in the postmaster, so it may only touch the memory it is given.
 */
typedef struct CkSubsystem
{
	const char *name;
	Size		(*size) (Size budget);
	void		(*init) (void *ptr, Size size, Size budget);
	void		(*attach) (void *ptr, Size size);
} CkSubsystem;

/* LWLock tranches; see ck_segment_tranche(). */
typedef enum CkTranche
{
	CK_TRANCHE_CELL,
	CK_TRANCHE_TABLE,
	CK_TRANCHE_ARENA,
	CK_TRANCHE_QUERY,
	CK_TRANCHE_WARM,
	CK_NUM_TRANCHES
} CkTranche;

extern void ck_segment_configure(const CkSubsystem *subsystems, int n);
extern void ck_segment_shmem_request(void);
extern void ck_segment_shmem_startup(void);
extern void ck_segment_clear(void);

extern bool ck_segment_attach(void);
extern bool ck_segment_attached(void);
extern Size ck_segment_budget(void);
extern int	ck_segment_tranche(CkTranche which);

extern void ck_segment_lost_writer(uint64 xid);
extern uint64 ck_segment_lost_xid(uint32 *count);
extern uint64 ck_segment_flushes(void);
extern void ck_segment_note_flush(void);

#endif							/* CK_SEGMENT_H */
