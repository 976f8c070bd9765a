/*-------------------------------------------------------------------------
 *
 * unit_validity.c
 *	  The validity rule against a model of what snapshots see; which cells.
 *
 * Random histories: transactions begin, register, finish and are recorded in
 * any order that PostgreSQL allows (registered before they finish, recorded
 * by themselves or by a reader's help after that), while snapshots are taken
 * and asked again and again.  Transactions finish one after the other, so the
 * set of committed writers that a snapshot sees is told by their number.
 * Whenever two answers of VERSION() are equal, these numbers must be.
 *
 * The cells are the real ones, over private memory, with room for little, so
 * that overflow and forgetting happen all the time.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/transam.h"
#include "common/pg_prng.h"

#define CK_CELL_FLIGHTS 2
#define CK_CELL_RING	2

#include "compat.h"

/* The only thing that cells.c asks of the server. */
static struct
{
	FullTransactionId latestCompletedXid;
}			model_xids;

#undef CkXidVars
#define CkXidVars (&model_xids)

/* These are tested here, not those of another file of this library. */
#define ck_cells_size model_cells_size
#define ck_cells_init model_cells_init
#define ck_cells_attach model_cells_attach
#define ck_cells_count model_cells_count
#define ck_cell_of model_cell_of
#define ck_cell_of_tag model_cell_of_tag
#define ck_cells_copy model_cells_copy
#define ck_cells_register model_cells_register
#define ck_cells_resolve model_cells_resolve
#define ck_cells_bump model_cells_bump
#define ck_cells_birth model_cells_birth
#define ck_cells_check model_cells_check

#include "unit.h"
#include "debug_point.h"

static int	model_fault = CK_FAULT_NONE;

#undef CK_FAULTY
#define CK_FAULTY(fault) (model_fault == (fault))
#undef CK_ANY_NAIVE_FAULT
#define CK_ANY_NAIVE_FAULT() (model_fault == CK_FAULT_BUMP_AT_COMMIT)

#include "../../src/cells.c"
#include "../../src/validity.c"

PG_FUNCTION_INFO_V1(unit_cells);
PG_FUNCTION_INFO_V1(unit_validity);

#define MAX_XIDS		400		/* of one history */
#define MAX_SNAPSHOTS	12
#define FIRST_XID		(UINT64CONST(0x1FFFFFF80))	/* crosses 2^33 */
#define CELL			100

typedef enum State
{
	RUNNING, REGISTERED, FINISHED, DONE
} State;

typedef struct ModelXact
{
	State		state;
	bool		writer;
	bool		committed;
} ModelXact;

typedef struct ModelSnapshot
{
	CkSnapshot	snap;
	TransactionId xip[MAX_XIDS];
	int			sees;			/* committed writers finished before it */
} ModelSnapshot;

static ModelXact xacts[MAX_XIDS];
static int	nxacts;
static int	finished_writers;	/* committed, in the order of their ends */
static int	sees_at[2 * MAX_XIDS];	/* by version; -1: not met yet */
static ModelSnapshot snapshots[MAX_SNAPSHOTS];
static int	nsnapshots;
static int64 asked;
static int64 known;
static int64 wrong;
static int64 settled;			/* told by ck_cells_settled() */
static int64 hasty;				/* by which it should not have been */

static int
dice(pg_prng_state *prng, int n)
{
	return (int) pg_prng_uint64_range(prng, 0, n - 1);
}

static void
fresh_history(void *memory, Size size)
{
	memset(memory, 0, size);
	ck_cells_init(memory, size, size * 32);
	ck_cells_attach(memory, size);
	nxacts = nsnapshots = finished_writers = 0;
	memset(sees_at, -1, sizeof(sees_at));
	model_xids.latestCompletedXid = FullTransactionIdFromU64(FIRST_XID - 1);
}

static void
begin_xact(pg_prng_state *prng)
{
	if (nxacts == MAX_XIDS)
		return;
	xacts[nxacts].state = RUNNING;
	xacts[nxacts].writer = dice(prng, 3) > 0;
	nxacts++;
}

/* The next step of a transaction's life. */
static void
advance_xact(pg_prng_state *prng, int i)
{
	ModelXact  *x = &xacts[i];
	CkXid		xid = FIRST_XID + i;

	if (x->state == RUNNING && x->writer)
	{
		if (!CK_ANY_NAIVE_FAULT())
			ck_cells_register(CELL, xid);
		x->state = REGISTERED;
	}
	else if (x->state == RUNNING || x->state == REGISTERED)
	{
		x->committed = x->writer && dice(prng, 4) > 0;
		if (x->committed)
			finished_writers++;
		if (xid > U64FromFullTransactionId(model_xids.latestCompletedXid))
			model_xids.latestCompletedXid = FullTransactionIdFromU64(xid);
		x->state = x->writer ? FINISHED : DONE;
	}
	else if (x->state == FINISHED)
	{
		if (CK_ANY_NAIVE_FAULT() && x->committed)
			ck_cells_bump(CELL);
		ck_cells_resolve(CELL, xid, x->committed);
		x->state = DONE;
	}
}

/* As GetSnapshotData() makes it. */
static void
take_snapshot(pg_prng_state *prng)
{
	ModelSnapshot *s = &snapshots[nsnapshots < MAX_SNAPSHOTS ? nsnapshots++ :
								  dice(prng, MAX_SNAPSHOTS)];

	memset(&s->snap, 0, sizeof(s->snap));
	s->snap.xmax = U64FromFullTransactionId(model_xids.latestCompletedXid) + 1;
	s->snap.xmin = s->snap.xmax;
	for (int i = 0; i < nxacts && FIRST_XID + i < s->snap.xmax; i++)
	{
		if (xacts[i].state >= FINISHED)
			continue;
		s->snap.xmin = Min(s->snap.xmin, FIRST_XID + i);
		s->xip[s->snap.xcnt++] = (TransactionId) (FIRST_XID + i);
	}
	s->snap.xip = s->xip;
	s->sees = finished_writers;
}

/* What stamp.c does, with the model for a commit log. */
static void
ask(const ModelSnapshot *s)
{
	CkCell		copy;
	CkXid		help;
	uint64		version;
	uint64		quick;
	bool		quickly = ck_cells_settled(CELL, s->snap.xmin, &quick);
	CkVerdict	verdict;

	for (;;)
	{
		ck_cells_copy(CELL, &copy);
		verdict = ck_validity_version(&copy, &s->snap, &version, &help);
		if (verdict != CK_VERDICT_HELP)
			break;
		if (xacts[help - FIRST_XID].state < FINISHED)
			wrong++;			/* helped one that still runs */
		ck_cells_resolve(CELL, help, xacts[help - FIRST_XID].committed);
	}
	asked++;
	if (quickly)
	{
		settled++;
		if (verdict != CK_VERDICT_KNOWN || quick != version)
			hasty++;
	}
	if (verdict == CK_VERDICT_UNKNOWN)
		return;
	known++;
	if (version >= lengthof(sees_at) ||
		(sees_at[version] >= 0 && sees_at[version] != s->sees))
		wrong++;
	else
		sees_at[version] = s->sees;
}

/* The oldest one that is not through, or a random one. */
static int
straggler(pg_prng_state *prng)
{
	if (dice(prng, 4) == 0)
		return dice(prng, nxacts);
	for (int i = 0; i < nxacts; i++)
		if (xacts[i].state != DONE)
			return i;
	return 0;
}

static void
run_history(pg_prng_state *prng)
{
	for (int step = 0; step < 3000; step++)
	{
		int			what = dice(prng, 12);

		if (what < 2)
			begin_xact(prng);
		else if (what < 6 && nxacts > 0)
			advance_xact(prng, nxacts - 1 - dice(prng, Min(nxacts, 10)));
		else if (what < 8 && nxacts > 0)
			advance_xact(prng, straggler(prng));
		else if (what < 9)
			take_snapshot(prng);
		else if (nsnapshots > 0)
			ask(&snapshots[dice(prng, nsnapshots)]);
	}
}

static void
run_histories(int n, int fault, void *memory, Size size)
{
	pg_prng_state prng;

	model_fault = fault;
	asked = known = wrong = settled = hasty = 0;
	for (int i = 0; i < n; i++)
	{
		pg_prng_seed(&prng, i);
		fresh_history(memory, size);
		run_history(&prng);
	}
}

/* unit_validity(histories): and the controls, which must be found out */
Datum
unit_validity(PG_FUNCTION_ARGS)
{
	Size		size = ck_cells_size(0);
	void	   *memory = palloc(size + PG_CACHE_LINE_SIZE);
	int			n = PG_GETARG_INT32(0);

	memory = (void *) CACHELINEALIGN(memory);
	unit_begin(fcinfo);
	run_histories(n, CK_FAULT_NONE, memory, size);
	unit_ok(wrong == 0 && asked > 0, "equal versions mean equal sets of commits");
	unit_ok(known * 50 > asked && known > n, "and versions are known, in cells with so little room");
	unit_ok(hasty == 0 && settled > n, "and the same where the cell is settled");
	run_histories(n, CK_FAULT_NO_RING, memory, size);
	unit_ok(wrong > 0, "without the test against the ring they do not");
	run_histories(n, CK_FAULT_BUMP_AT_COMMIT, memory, size);
	unit_ok(wrong > 0, "nor with a count of commits alone");
	return (Datum) 0;
}

/*
 * unit_cells(): of a table's two cells.  Were they one, every write of the
 * table would cost the entries of all its keys.
 */
Datum
unit_cells(PG_FUNCTION_ARGS)
{
	Size		size = ck_cells_size(0);
	void	   *memory = palloc(size + PG_CACHE_LINE_SIZE);
	int			same = 0;
	int			outside = 0;

	unit_begin(fcinfo);
	fresh_history((void *) CACHELINEALIGN(memory), size);
	for (Oid table = FirstNormalObjectId; table < FirstNormalObjectId + 10000; table++)
	{
		uint32		bulk = ck_cell_of(CK_DEP_RELATION_BULK, 1, table);

		same += bulk == ck_cell_of(CK_DEP_RELATION, 1, table);
		outside += bulk < shared->first_relation || bulk >= shared->first_tag;
	}
	unit_ok(same == 0, "a table's bulk cell is not the cell of the table");
	unit_ok(outside == 0, "but one of the same region");
	return (Datum) 0;
}
