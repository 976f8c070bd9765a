/*-------------------------------------------------------------------------
 *
 * pins.c
 *	  What references to items this backend holds, and who shall drop them.
 *
 * A backend may raise an error at any time while it holds a pinned or a
 * prepared item.  So each is remembered with the resource owner that was
 * current, and dropped with it if nobody did so before.  Nobody is warned:
 * below an error that is the normal way.
 *
 * Nothing here is shared, and no lock is held when these are called; dropping
 * a reference may take the arena lock.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "storage/ipc.h"
#include "utils/memutils.h"
#include "utils/resowner.h"

#include "table_shared.h"

typedef struct CkLocalPin
{
	CkItem	   *item;
	ResourceOwner owner;		/* NULL: until the backend exits */
} CkLocalPin;

/*---- Local variables ----*/
static CkLocalPin *pins = NULL;
static int	npins = 0;
static int	max_pins = 0;

/*
 * Drop the references of one resource owner.
 */
static void
release_pins_of(ResourceOwner owner)
{
	int			i;

	for (i = npins - 1; i >= 0; i--)
	{
		CkItem	   *item = pins[i].item;

		if (pins[i].owner != owner)
			continue;
		pins[i] = pins[--npins];
		ck_table_unref(item);
	}
}

static void
pins_release_cb(ResourceReleasePhase phase, bool isCommit, bool isTopLevel,
				void *arg)
{
	if (phase == RESOURCE_RELEASE_AFTER_LOCKS && npins > 0)
		release_pins_of(CurrentResourceOwner);
}

static void
pins_exit_cb(int code, Datum arg)
{
	release_pins_of(NULL);
}

/*
 * Make sure that ck_pins_add() can not fail.
 */
void
ck_pins_reserve(void)
{
	if (npins < max_pins)
		return;
	if (pins == NULL)
	{
		pins = MemoryContextAlloc(TopMemoryContext, 16 * sizeof(CkLocalPin));
		max_pins = 16;
		before_shmem_exit(pins_exit_cb, (Datum) 0);
		RegisterResourceReleaseCallback(pins_release_cb, NULL);
	}
	else
	{
		pins = repalloc(pins, 2 * max_pins * sizeof(CkLocalPin));
		max_pins *= 2;
	}
}

/*
 * Remember a reference for the current resource owner.  Room for it was made
 * with ck_pins_reserve().
 */
void
ck_pins_add(CkItem *item)
{
	Assert(npins < max_pins);
	pins[npins].item = item;
	pins[npins].owner = CurrentResourceOwner;
	npins++;
}

/*
 * Forget a reference: if there are several, one of the current owner's, else
 * the latest.  It is no error if there is none, see ck_table_disown().
 */
void
ck_pins_remove(CkItem *item)
{
	int			found = -1;
	int			i;

	for (i = npins - 1; i >= 0; i--)
	{
		if (pins[i].item != item)
			continue;
		if (found < 0)
			found = i;
		if (pins[i].owner == CurrentResourceOwner)
		{
			found = i;
			break;
		}
	}
	if (found < 0)
		return;

	/* keep the order, which makes "the latest" quick to find */
	memmove(&pins[found], &pins[found + 1],
			(npins - found - 1) * sizeof(CkLocalPin));
	npins--;
}
