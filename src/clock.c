/*-------------------------------------------------------------------------
 *
 * clock.c
 *	  The one place that reads the wall clock for ages and deadlines of entries;
 *	  and how durations are measured.
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

/* Microseconds since then, by the clock that durations are measured with. */
uint32
ck_clock_since(instr_time start)
{
	instr_time	now;

	INSTR_TIME_SET_CURRENT(now);
	INSTR_TIME_SUBTRACT(now, start);
	return (uint32) Min(INSTR_TIME_GET_MICROSEC(now), PG_UINT32_MAX);
}
