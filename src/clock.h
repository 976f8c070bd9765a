/*-------------------------------------------------------------------------
 *
 * clock.h
 *	  The one place that reads the wall clock for ages and deadlines.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CK_CLOCK_H
#define CK_CLOCK_H

#include "datatype/timestamp.h"
#include "portability/instr_time.h"

#ifdef CACHEKIT_DEBUG
extern int	ck_clock_shift_ms;	/* added to the clock, for tests */
#endif

extern TimestampTz ck_clock_now(void);
extern uint32 ck_clock_since(instr_time start);

#ifdef CACHEKIT_DEBUG
extern int	ck_clock_shift_ms;	/* added to now; a GUC of guc.c */
#endif

#endif							/* CK_CLOCK_H */
