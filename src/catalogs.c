/*-------------------------------------------------------------------------
 *
 * catalogs.c
 *	  Noticing changes of catalogs that analysed queries were derived from.
 *
 * Counters, increased by invalidation callbacks.  Whoever keeps what was read
 * from catalogs keeps the counter, too, and compares.  Where it costs much to
 * begin anew, relations count only if somebody has said that they matter
 * (ck_catalogs_watch), since messages about others come all the time.
 * Types count when some query makes a value one of a domain.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/hsearch.h"
#include "utils/inval.h"
#include "utils/memutils.h"
#include "utils/syscache.h"

#include "catalogs.h"

#define MAX_WATCHED		50000

uint64		ck_catalog_generation = 1;
uint64		ck_analysis_generation = 1;
uint64		ck_names_generation = 1;
uint64		ck_relations_generation = 1;

/* A relation whose changes count. */
typedef struct CkWatched
{
	Oid			relid;
	bool		rowtype;		/* its row type is in some tree */
} CkWatched;

static HTAB *watched = NULL;
static bool types_watched = false;

static void
catalog_changed_cb(Datum arg, int cacheid, uint32 hashvalue)
{
	ck_catalog_generation++;
}

static void
analysis_changed_cb(Datum arg, int cacheid, uint32 hashvalue)
{
	ck_analysis_generation++;
}

static void
names_changed_cb(Datum arg, int cacheid, uint32 hashvalue)
{
	ck_names_generation++;
}

/* The constraints of a domain, it may be. */
static void
type_changed_cb(Datum arg, int cacheid, uint32 hashvalue)
{
	if (types_watched)
		ck_analysis_generation++;
}

static void
relation_changed_cb(Datum arg, Oid relid)
{
	CkWatched  *entry = NULL;

	ck_relations_generation++;
	if (watched != NULL && OidIsValid(relid))
		entry = hash_search(watched, &relid, HASH_FIND, NULL);
	if (entry != NULL || !OidIsValid(relid))
		ck_catalog_generation++;
	if (!OidIsValid(relid) || (entry != NULL && entry->rowtype))
		ck_analysis_generation++;	/* the plan cache does not look for it */
}

/* true: some of them were not watched before. */
bool
ck_catalogs_watch(List *relids, bool rowtype)
{
	bool		some_new = false;
	ListCell   *lc;

	if (watched != NULL && hash_get_num_entries(watched) > MAX_WATCHED)
	{
		hash_destroy(watched);
		watched = NULL;
		ck_catalog_generation++;
		ck_analysis_generation++;
	}
	if (watched == NULL)
	{
		HASHCTL		ctl = {0};

		ctl.keysize = sizeof(Oid);
		ctl.entrysize = sizeof(CkWatched);
		ctl.hcxt = CacheMemoryContext;
		watched = hash_create("cachekit watched relations", 256, &ctl,
							  HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	}
	foreach(lc, relids)
	{
		Oid			relid = lfirst_oid(lc);
		bool		found;
		CkWatched  *entry = hash_search(watched, &relid, HASH_ENTER, &found);

		some_new |= !found || (rowtype && !entry->rowtype);
		entry->rowtype = rowtype || (found && entry->rowtype);
	}
	return some_new;
}

/*
 * Changes of types count from now on.  They are rare, but for new types, which
 * come with each new table.
 */
void
ck_catalogs_watch_types(void)
{
	if (types_watched)
		return;
	types_watched = true;
	ck_analysis_generation++;	/* one may have changed unwatched */
}

/* Callbacks, once a backend. */
void
ck_catalogs_init(void)
{
	static const int analysis[] = {
		PROCOID, OPEROID, CASTSOURCETARGET, COLLOID, AUTHOID, AUTHMEMMEMROLE,
		NAMESPACEOID, TSCONFIGOID, ENUMOID
	};

	for (int i = 0; i < lengthof(analysis); i++)
		CacheRegisterSyscacheCallback(analysis[i], analysis_changed_cb, (Datum) 0);
	CacheRegisterSyscacheCallback(EVENTTRIGGERNAME, catalog_changed_cb, (Datum) 0);
	CacheRegisterSyscacheCallback(SUBSCRIPTIONRELMAP, catalog_changed_cb, (Datum) 0);
	CacheRegisterSyscacheCallback(TYPEOID, type_changed_cb, (Datum) 0);
	CacheRegisterSyscacheCallback(RELNAMENSP, names_changed_cb, (Datum) 0);
	CacheRegisterSyscacheCallback(TYPENAMENSP, names_changed_cb, (Datum) 0);
	CacheRegisterRelcacheCallback(relation_changed_cb, (Datum) 0);
}
