/*-------------------------------------------------------------------------
 *
 * clock.c
 *	  The one place that reads the wall clock for ages and deadlines.
 *
 * Tests shift the clock instead of sleeping: a build with CACHEKIT_DEBUG adds
 * ck_clock_shift_ms, which guc.c binds to cachekit.debug_clock_shift.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/timestamp.h"

#include "clock.h"

#ifdef CACHEKIT_DEBUG
int			ck_clock_shift_ms = 0;
#endif

/*
 * Now, in microseconds; may be called under a lock.
 */
TimestampTz
ck_clock_now(void)
{
	TimestampTz now = GetCurrentTimestamp();

#ifdef CACHEKIT_DEBUG
	now += (TimestampTz) ck_clock_shift_ms * 1000;
#endif
	return now;
}
