/*-------------------------------------------------------------------------
 *
 * cells.c
 *	  The fixed array of dependency cells: who committed writes to what.
 *
 * A dependency (a relation, the schema of a database, a tag) hashes to one
 * cell.  There is no registry that could fill up: two dependencies that share
 * a cell only see each other's commits, which costs a needless miss and never
 * a wrong row.  The array has four regions, so that strangers of very
 * different temper do not meet: schemas (rarely written, read by everybody),
 * relations, tags, keys.
 *
 * What a cell remembers, and why that suffices to tell which of its commits a
 * snapshot sees, is argued in doc/validity.md; the test itself is in
 * validity.c and works on a copy of the cell.
 *
 * Locking
 *
 * Each cell belongs to a partition with an LWLock.  All changes of a cell are
 * made with that lock held exclusively, and between two increments of the
 * cell's seq.  Readers copy the cell without the lock and take the copy for
 * good when seq was even and unchanged; after some failures they copy under
 * the lock, shared.  A copy is a few cache lines.  No function here holds two
 * partition locks, allocates, looks into the commit log or raises an error.
 *
 * CkBirth is written once by the backend that moves `state` from CK_UNBORN to
 * CK_BEING_BORN, and read only when state is CK_BORN.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/transam.h"
#include "common/hashfn.h"

#include "cells.h"
#include "compat.h"
#include "segment.h"

#define CELL_PARTITIONS		64
#define SCHEMA_CELLS		64
#define COPY_ATTEMPTS		8

/* A cell on cache lines of its own. */
typedef union CkSharedCell
{
	CkCell		cell;
	char		pad[TYPEALIGN(PG_CACHE_LINE_SIZE, sizeof(CkCell))];
} CkSharedCell;

typedef struct CkSharedCells
{
	CkBirth		birth;
	uint32		ncells;			/* all regions, which are, in this order: */
	uint32		first_relation;	/* after the schemas */
	uint32		first_tag;
	uint32		first_key;
	LWLockPadded locks[CELL_PARTITIONS];
	CkSharedCell cells[FLEXIBLE_ARRAY_MEMBER];
} CkSharedCells;

static CkSharedCells *shared = NULL;

/* One 16th of the budget, and at least 512 cells. */
Size
ck_cells_size(Size budget)
{
	Size		cells = Max(budget / 16 / sizeof(CkSharedCell), 512);

	return offsetof(CkSharedCells, cells) + cells * sizeof(CkSharedCell);
}

void
ck_cells_init(void *ptr, Size size, Size budget)
{
	CkSharedCells *s = ptr;

	s->ncells = (size - offsetof(CkSharedCells, cells)) / sizeof(CkSharedCell);
	s->first_relation = SCHEMA_CELLS;
	s->first_tag = SCHEMA_CELLS + s->ncells / 8;
	s->first_key = s->first_tag + s->ncells / 8;
	pg_atomic_init_u32(&s->birth.state, CK_UNBORN);
	for (int i = 0; i < CELL_PARTITIONS; i++)
		LWLockInitialize(&s->locks[i].lock, ck_segment_tranche(CK_TRANCHE_CELL));
	for (uint32 i = 0; i < s->ncells; i++)
		pg_atomic_init_u32(&s->cells[i].cell.seq, 0);
}

void
ck_cells_attach(void *ptr, Size size)
{
	shared = ptr;
}

uint32
ck_cells_count(void)
{
	return shared->ncells;
}

CkBirth *
ck_cells_birth(void)
{
	return &shared->birth;
}

static inline uint32
in_region(uint64 hash, uint32 first, uint32 end)
{
	return first + hash % (end - first);
}

static uint32
hashed_cell(CkDepKind kind, Oid dbid, uint64 object)
{
	uint64		id[2] = {object, ((uint64) kind << 32) | dbid};
	uint64		h;

	h = hash_bytes_extended((const unsigned char *) id, sizeof(id), 0);
	switch (kind)
	{
		case CK_DEP_SCHEMA:
			return in_region(h, 0, shared->first_relation);
		case CK_DEP_TAG:
			return in_region(h, shared->first_tag, shared->first_key);
		case CK_DEP_RELATION_KEY:
			return in_region(h, shared->first_key, shared->ncells);
		default:
			return in_region(h, shared->first_relation, shared->first_tag);
	}
}

/*
 * The cell of a dependency of database `dbid`.  A table's bulk cell is never
 * the table's own: else every write would cost the entries of all its keys.
 */
uint32
ck_cell_of(CkDepKind kind, Oid dbid, uint64 object)
{
	uint32		cell = hashed_cell(kind, dbid, object);

	if (kind != CK_DEP_RELATION_BULK ||
		cell != hashed_cell(CK_DEP_RELATION, dbid, object))
		return cell;
	return cell + 1 < shared->first_tag ? cell + 1 : shared->first_relation;
}

uint32
ck_cell_of_tag(Oid dbid, const char *tag, int len)
{
	return ck_cell_of(CK_DEP_TAG, dbid,
					  hash_bytes_extended((const unsigned char *) tag, len, 0));
}

static inline LWLock *
partition_lock(uint32 cell)
{
	return &shared->locks[cell % CELL_PARTITIONS].lock;
}

/* Begin and end of a change; the partition lock is held exclusively. */
static CkCell *
begin_change(uint32 cell)
{
	CkCell	   *c = &shared->cells[cell].cell;

	Assert(!LWLockHeldByMe(partition_lock(cell)));
	LWLockAcquire(partition_lock(cell), LW_EXCLUSIVE);
	pg_atomic_write_u32(&c->seq, pg_atomic_read_u32(&c->seq) + 1);
	pg_write_barrier();
	return c;
}

static void
end_change(uint32 cell, CkCell *c)
{
	pg_write_barrier();
	pg_atomic_write_u32(&c->seq, pg_atomic_read_u32(&c->seq) + 1);
	LWLockRelease(partition_lock(cell));
}

/*
 * Do all snapshots of this xmin see all of the cell's writers, none of which
 * is in flight?  Then its version is known, as ck_validity_version() would
 * find, and most cells most of the time are like that.  No lock, and one
 * cache line.
 */
bool
ck_cells_settled(uint32 cell, CkXid xmin, uint64 *version)
{
	CkCell	   *c = &shared->cells[cell].cell;
	uint32		seq = pg_atomic_read_u32(&c->seq);
	bool		settled;

	Assert(cell < shared->ncells);
	pg_read_barrier();
	settled = c->nflights == 0 && c->maxxid < xmin && c->hard_xid < xmin;
	*version = c->version;
	pg_read_barrier();
	return settled && seq % 2 == 0 && pg_atomic_read_u32(&c->seq) == seq;
}

/* Copy a cell as it was at one instant.  Takes no lock as a rule. */
void
ck_cells_copy(uint32 cell, CkCell *out)
{
	CkCell	   *c = &shared->cells[cell].cell;

	Assert(cell < shared->ncells);
	for (int i = 0; i < COPY_ATTEMPTS; i++)
	{
		uint32		seq = pg_atomic_read_u32(&c->seq);

		pg_read_barrier();
		if (seq & 1)
			continue;
		memcpy(out, c, sizeof(CkCell));
		pg_read_barrier();
		if (pg_atomic_read_u32(&c->seq) == seq)
			return;
	}
	LWLockAcquire(partition_lock(cell), LW_SHARED);
	memcpy(out, c, sizeof(CkCell));
	LWLockRelease(partition_lock(cell));
}

static int
find_flight(const CkCell *c, CkXid xid)
{
	for (int i = 0; i < c->nflights; i++)
		if (c->flights[i] == xid)
			return i;
	return -1;
}

/* Append a commit to the ring; the oldest one falls into the horizons. */
static void
push_commit(CkCell *c, CkXid xid)
{
	CkRingEntry *e = &c->ring[c->ringpos];

	if (c->nring == CK_CELL_RING)
	{
		c->forgot = true;
		c->hz_xid = Max(c->hz_xid, e->xid);
		c->hz_latest = Max(c->hz_latest, e->latest);
	}
	else
		c->nring++;
	e->xid = xid;
	e->latest = U64FromFullTransactionId(CkXidVars->latestCompletedXid);
	c->ringpos = (c->ringpos + 1) % CK_CELL_RING;
	c->version++;
}

/*
 * A writer is about to commit (or to prepare): from now on every reader
 * finds it here until it is resolved.  Called before the transaction leaves
 * the proc array.  When the cell has no room, the writer becomes a hard
 * horizon, and its commit is counted at once.
 */
void
ck_cells_register(uint32 cell, CkXid xid)
{
	CkCell	   *c = begin_change(cell);

	if (find_flight(c, xid) < 0)
	{
		c->maxxid = Max(c->maxxid, xid);
		if (c->nflights < CK_CELL_FLIGHTS)
			c->flights[c->nflights++] = xid;
		else
		{
			c->hard_xid = Max(c->hard_xid, xid);
			c->version++;
		}
	}
	end_change(cell, c);
}

/*
 * The fate of a registered writer is known: count its commit, or forget it.
 * Does nothing when somebody else has done so before.
 */
void
ck_cells_resolve(uint32 cell, CkXid xid, bool committed)
{
	CkCell	   *c = begin_change(cell);
	int			i = find_flight(c, xid);

	if (i >= 0)
	{
		c->flights[i] = c->flights[--c->nflights];
		if (committed)
			push_commit(c, xid);
	}
	end_change(cell, c);
}

/* A change that every snapshot sees at once, whatever its age. */
void
ck_cells_bump(uint32 cell)
{
	CkCell	   *c = begin_change(cell);

	push_commit(c, 0);
	end_change(cell, c);
}

/* Is a copy of a cell as the functions above leave it? */
static const char *
cell_problem(const CkCell *c)
{
	if (c->nflights > CK_CELL_FLIGHTS || c->nring > CK_CELL_RING ||
		c->ringpos >= CK_CELL_RING)
		return "counts out of range";
	if (c->version < c->nring)
		return "fewer commits counted than remembered";
	if (c->forgot && c->nring < CK_CELL_RING)
		return "forgot a commit without need";
	for (int i = 0; i < c->nflights; i++)
	{
		if (c->flights[i] == 0 || c->flights[i] > c->maxxid)
			return "registered writer newer than the newest";
		for (int j = 0; j < i; j++)
			if (c->flights[i] == c->flights[j])
				return "writer registered twice";
	}
	for (int i = 0; i < c->nring; i++)
		if (c->ring[i].xid > c->maxxid)
			return "recorded writer newer than the newest";
	return NULL;
}

/* Has nothing ever been written to what the cell stands for? */
bool
ck_cells_untouched(const CkCell *cell)
{
	return cell->version == 0 && cell->maxxid == 0;
}

/*
 * Make a cell what it was when the server stopped.  Only while nobody else
 * has the memory.  false: that is no cell.
 */
bool
ck_cells_restore(uint32 cell, const CkCell *saved)
{
	CkCell	   *c;

	if (cell >= shared->ncells || cell_problem(saved) != NULL)
		return false;
	c = &shared->cells[cell].cell;
	*c = *saved;
	pg_atomic_init_u32(&c->seq, 0);
	return true;
}

/* Report what is wrong with any cell. */
void
ck_cells_check(void (*report) (const char *problem, void *arg), void *arg)
{
	for (uint32 i = 0; i < shared->ncells; i++)
	{
		CkCell		copy;
		const char *problem;

		ck_cells_copy(i, &copy);
		problem = cell_problem(&copy);
		if (problem)
			report(psprintf("cell %u: %s", i, problem), arg);
	}
}
