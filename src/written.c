/*-------------------------------------------------------------------------
 *
 * written.c
 *	  Tracking without triggers: which tables has this transaction changed?
 *
 * The statistics system keeps, in the backend, a list of the tables that the
 * current transaction has changed, one for each subtransaction level, so as
 * to count dead rows right after a rollback.  heap_insert(), heap_update(),
 * heap_delete(), heap_multi_insert() and TRUNCATE enter the table themselves,
 * so the list knows of every change of a heap by whatever path: SQL, COPY,
 * partition routing, foreign keys, the apply workers of logical replication,
 * C functions.  It holds the table that has the row, not the one that the
 * statement names.  Under cachekit.track = all its tables are marked (xact.c)
 *
 *  - before the transaction registers, at PRE_COMMIT and PRE_PREPARE;
 *  - before a read of the same transaction asks whether it may use the cache.
 *
 * A change is counted after the row is written and before control returns to
 * anybody who could read, so "marked before the next read" holds as with
 * triggers, and more exactly: a statement that changes no row marks nothing.
 * Levels that are rolled back take their list along; those that are released
 * hand it to the level above.  PREPARE TRANSACTION does away with the list
 * after PRE_PREPARE.  The presence of a table counts, not its numbers, which
 * TRUNCATE and DROP set to zero.
 *
 * This is the only file that knows the inner side of the statistics system.
 * What the list does not tell, and who does:
 *
 *  - track_counts = off.  Whether a relation is counted is decided by the
 *	  value of the setting when the relation is opened, which may be any moment
 *	  before the change; so looking at the value at statement boundaries would
 *	  not do.  init.c puts an assign hook on PostgreSQL's setting: if it was off at
 *	  any moment of a transaction that writes, the transaction counts as having
 *	  written everything in its database (the schema cell, on which every entry
 *	  depends).  No session can take the hook away; it is there before any
 *	  session is.  Relations are opened anew in every transaction, and what
 *	  their relcache entries remember is set again then, so the past of other
 *	  transactions does not matter.
 *  - Rewrites (ALTER TABLE, CLUSTER, VACUUM FULL) fill another heap; ATTACH,
 *	  DETACH, INHERIT change no row: all of these change the shape (track.c).
 *	  What readers that lock less than the whole family may overlook is marked
 *	  by the event triggers (ddl.c), and entries depend on their being enabled.
 *  - Tables of other access methods than heap need not count: they are not
 *	  tracked by this (track.c).  Foreign tables are never tracked.
 *  - Another library's PRE_COMMIT callback that writes after ours has run
 *	  (libraries loaded before cachekit).  If it does so by SQL, the hooks on
 *	  the end of statements collect once more, and marks that come so late are
 *	  registered at once.  If it changes a heap directly, we notice in the commit
 *	  callback that the list has grown: from then on nothing older is used, but
 *	  a reader in between may have been served what the change made stale.
 *
 * No lock is needed: all of this is the backend's own.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/transam.h"
#include "access/xact.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"
#include "utils/pgstat_internal.h"

#include "catalogs.h"
#include "cells.h"
#include "compat.h"
#include "guc.h"
#include "segment.h"
#include "track.h"
#include "written.h"

#define MAX_REMEMBERED	10000

/* The cells that a changed row of a relation concerns. */
typedef struct Concerned
{
	Oid			relid;			/* hash key */
	uint64		generation;		/* ck_relations_generation of the catalogs read */
	int			ncells;
	uint32	   *cells;			/* in concerned_context */
} Concerned;

static HTAB *concerned = NULL;
static MemoryContext concerned_context = NULL;

/* track_counts was off at some moment of this transaction */
static bool uncounted = false;

/* the top of the outermost level's list when it was last collected */
static PgStat_TableXactStatus *collected = NULL;

/* ---------------- track_counts ---------------- */

/*
 * Called by the setting's assign hook before the variable changes: for SET, SET
 * LOCAL, their ends, SET clauses of functions, and changes of configuration
 * files alike.  What happens to it between transactions is seen by the value
 * that is left.
 */
void
ck_written_counting(bool on)
{
	if (IsTransactionState() && !(on && pgstat_track_counts))
		uncounted = true;
}

/* ---------------- cells of a table ---------------- */

static void
forget_concerned(void)
{
	if (concerned_context)
		MemoryContextDelete(concerned_context);
	concerned_context = NULL;
	concerned = NULL;
}

static void
make_concerned(void)
{
	HASHCTL		ctl = {0};

	concerned_context = AllocSetContextCreate(TopMemoryContext,
											  "cachekit written tables",
											  ALLOCSET_DEFAULT_SIZES);
	ctl.keysize = sizeof(Oid);
	ctl.entrysize = sizeof(Concerned);
	ctl.hcxt = concerned_context;
	concerned = hash_create("cachekit written tables", 64, &ctl,
							HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
}

/* Work out the cells from the catalogs, as they are now. */
static void
find_cells(Oid relid, Concerned *entry)
{
	uint64		generation = ck_relations_generation;
	List	   *relids = ck_track_row_marks(relid);
	int			n = 0;

	entry->generation = 0;
	entry->ncells = 0;
	if (entry->cells)
		pfree(entry->cells);
	entry->cells = NULL;
	if (relids != NIL)
	{
		ListCell   *lc;

		entry->cells = MemoryContextAlloc(concerned_context,
										  list_length(relids) * sizeof(uint32));
		foreach(lc, relids)
			entry->cells[n++] = ck_cell_of(CK_DEP_RELATION, MyDatabaseId,
										   lfirst_oid(lc));
		list_free(relids);
	}
	entry->ncells = n;
	entry->generation = generation;
}

/* The same table is written again and again; the next message ends it. */
static const Concerned *
cells_concerned(Oid relid)
{
	Concerned  *entry;
	bool		found;

	if (concerned != NULL && hash_get_num_entries(concerned) > MAX_REMEMBERED)
		forget_concerned();
	if (concerned == NULL)
		make_concerned();
	entry = hash_search(concerned, &relid, HASH_ENTER, &found);
	if (!found)
	{
		entry->generation = 0;
		entry->cells = NULL;
	}
	if (entry->generation != ck_relations_generation)
		find_cells(relid, entry);
	return entry;
}

/* ---------------- collecting ---------------- */

static void
mark_all(Oid relid, int nest)
{
	const Concerned *entry = cells_concerned(relid);

	for (int i = 0; i < entry->ncells; i++)
		ck_xact_mark_at(entry->cells[i], nest);
}

void
ck_written_collect(void)
{
	PgStat_SubXactStatus *level;

	if (ck_guc_track != CK_TRACK_ALL ||
		!TransactionIdIsValid(GetTopTransactionIdIfAny()) ||
		!OidIsValid(MyDatabaseId))
		return;
	if (!ck_segment_attach())
	{
		ck_xact_mark_lost();
		return;
	}
	if (uncounted || !pgstat_track_counts)
		ck_xact_mark_at(ck_cell_of(CK_DEP_SCHEMA, MyDatabaseId, 0), 1);

	/* The getter adds an empty level if the current one has changed nothing. */
	level = pgstat_get_xact_stack_level(GetCurrentTransactionNestLevel());
	for (; level != NULL; level = level->prev)
	{
		for (PgStat_TableXactStatus *t = level->first; t != NULL; t = t->next)
			if (CkTableStatusId(t->parent) >= FirstNormalObjectId)
				mark_all(CkTableStatusId(t->parent), level->nest_level);
		if (level->nest_level == 1)
			collected = level->first;
	}
}

void
ck_written_collect_late(void)
{
	if (unlikely(ck_xact_is_registered()))
		ck_written_collect();
}

/*
 * Everybody sees us already.  New tables are put at the top of the list, and
 * at this point nothing has left it; ON COMMIT DROP adds catalogs.
 */
static void
look_for_late_changes(void)
{
	PgStat_TableXactStatus *t;

	if (!TransactionIdIsValid(GetTopTransactionIdIfAny()) ||
		!OidIsValid(MyDatabaseId) || !ck_segment_attached())
		return;
	for (t = pgstat_get_xact_stack_level(1)->first; t != NULL && t != collected; t = t->next)
	{
		if (CkTableStatusId(t->parent) < FirstNormalObjectId)
			continue;
		ck_cells_bump(ck_cell_of(CK_DEP_SCHEMA, MyDatabaseId, 0));
		return;
	}
}

static void
at_end(void)
{
	uncounted = false;
	collected = NULL;
}

const CkXactHooks ck_written_hooks = {
	.pre_register = ck_written_collect,
	.commit = look_for_late_changes,
	.end = at_end
};
