/*-------------------------------------------------------------------------
 *
 * debug_point.c
 *	  Wait and delay points for tests; see debug_point.h.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "debug_point.h"

#ifdef CACHEKIT_DEBUG

#include "common/pg_prng.h"
#include "miscadmin.h"
#include "storage/lock.h"

char	   *ck_debug_point = NULL;
int			ck_debug_delay = 0;
int			ck_debug_fault = CK_FAULT_NONE;

/* The advisory lock that `name` is to wait for; false: none. */
static bool
point_lock(const char *name, int64 *key)
{
	size_t		len = strlen(name);

	if (ck_debug_point == NULL || strncmp(ck_debug_point, name, len) != 0 ||
		ck_debug_point[len] != ':')
		return false;
	*key = strtoll(ck_debug_point + len + 1, NULL, 10);
	return true;
}

/*
 * Called with no LWLock held.  Waits as pg_advisory_lock(key) would, so that
 * pg_locks and isolationtester see it.
 */
void
ck_debug_point_reached(const char *name)
{
	int64		key;

	if (ck_debug_delay > 0)
		pg_usleep(pg_prng_uint64_range(&pg_global_prng_state, 0, ck_debug_delay));

	if (point_lock(name, &key))
	{
		LOCKTAG		tag;

		SET_LOCKTAG_ADVISORY(tag, MyDatabaseId, (uint32) (key >> 32), (uint32) key, 1);
		(void) LockAcquire(&tag, ShareLock, false, false);
		LockRelease(&tag, ShareLock, false);
	}
}

#endif							/* CACHEKIT_DEBUG */
