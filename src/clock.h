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

#ifdef CACHEKIT_DEBUG
extern int	ck_clock_shift_ms;	/* added to the clock, for tests */
#endif

extern TimestampTz ck_clock_now(void);

#ifdef CACHEKIT_DEBUG
extern int	ck_clock_shift_ms;	/* added to now; a GUC of guc.c */
#endif

#endif							/* CK_CLOCK_H */
