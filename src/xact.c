/*-------------------------------------------------------------------------
 *
 * xact.c
 *	  What this transaction has written, and what happens at its end.
 *
 * A write marks its cells in a backend-local set: a trigger does so before the
 * first row changes, or written.c does before anybody asks.  Nothing shared is
 * touched, and from then on this transaction bypasses the cache for what
 * depends on these cells.  The set follows
 * savepoints.  At PRE_COMMIT (and PRE_PREPARE) the transaction registers in
 * the cells, which is before anybody can see it; after the commit it records
 * itself, unless a reader has done so already.
 *
 * COMMIT PREPARED runs in some other backend, and no callback tells of it:
 * a prepared transaction stays registered until a reader whose snapshot sees
 * it as finished looks up its fate.  The same covers the moment between a
 * commit's visibility and our callback.
 *
 * This is the only file with transaction callbacks.  Other modules take part
 * through CkXactHooks, in the transactions that they join: what has nothing to
 * do at the end of one costs nothing there, not even a look.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "utils/memutils.h"

#include "cells.h"
#include "debug_point.h"
#include "segment.h"
#include "xact.h"

#define MAX_HOOKS	16

/* A cell that this transaction has written to. */
typedef struct CkLocalMark
{
	uint32		cell;
	int			nest;			/* subtransaction level it belongs to */
	bool		registered;		/* in the cell's flights */
} CkLocalMark;

static CkLocalMark *marks = NULL;
static int	nmarks = 0;
static int	max_marks = 0;
static uint64 *dirty_bits = NULL;	/* one bit a cell, as in marks[] */
static bool lost = false;		/* wrote, but could not reach the memory */
static CkXid registering = 0;	/* our xid once we have registered anything */
static bool past_pre_commit = false;	/* what comes now is registered at once */

/* Who takes part in this transaction's end; first, who does in all of them. */
static int	nhooks = 0;
static int	npermanent = 0;
static const CkXactHooks *hooks[MAX_HOOKS];

#define CALL_HOOKS(callback, ...) \
	do \
	{ \
		for (int i = 0; i < nhooks; i++) \
			if (hooks[i]->callback) \
				hooks[i]->callback(__VA_ARGS__); \
	} while (0)

/*
 * Take part in this transaction's end.  Once or more often is the same.  true:
 * it is the first time, so what the module keeps for the end is empty.
 */
bool
ck_xact_join(const CkXactHooks *h)
{
	for (int i = 0; i < nhooks; i++)
		if (hooks[i] == h)
			return false;
	Assert(nhooks < MAX_HOOKS);
	hooks[nhooks++] = h;
	return true;
}

/* Take part in the end of every transaction of this backend. */
void
ck_xact_join_all(const CkXactHooks *h)
{
	(void) ck_xact_join(h);
	npermanent = nhooks;
}

static void
end_all(void)
{
	CALL_HOOKS(end);
	nhooks = npermanent;
}

static const CkXactHooks hits_hooks = {
	.end = ck_table_flush_hits
};

/* ck_table_note_hit(), which the item is told by this transaction's end. */
void
ck_xact_note_hit(const CkKey *key, CkItem *item, uint32 id)
{
	(void) ck_xact_join(&hits_hooks);
	ck_table_note_hit(key, item, id);
}

static void
set_bit(uint32 cell, bool on)
{
	if (on)
		dirty_bits[cell / 64] |= UINT64CONST(1) << (cell % 64);
	else
		dirty_bits[cell / 64] &= ~(UINT64CONST(1) << (cell % 64));
}

static bool
is_marked(uint32 cell)
{
	return nmarks > 0 &&
		(dirty_bits[cell / 64] & (UINT64CONST(1) << (cell % 64))) != 0;
}

/*
 * Has this transaction written, as it stands, to what the cell stands for?
 */
bool
ck_xact_is_dirty(uint32 cell)
{
	return lost || is_marked(cell);
}

static CkLocalMark *
add_mark(void)
{
	if (dirty_bits == NULL)
		dirty_bits = MemoryContextAllocZero(TopMemoryContext,
											(ck_cells_count() / 64 + 1) * sizeof(uint64));
	if (marks == NULL)
	{
		max_marks = 32;
		marks = MemoryContextAlloc(TopMemoryContext, max_marks * sizeof(CkLocalMark));
	}
	else if (nmarks == max_marks)
	{
		marks = repalloc_huge(marks, 2 * (Size) max_marks * sizeof(CkLocalMark));
		max_marks *= 2;
	}
	return &marks[nmarks];
}

static void
register_mark(CkLocalMark *mark)
{
	if (mark->registered)
		return;
	mark->registered = true;
	if (CK_FAULTY(CK_FAULT_BUMP_BOTH))
		ck_cells_bump(mark->cell);
	if (!CK_ANY_NAIVE_FAULT())
		ck_cells_register(mark->cell, registering);
}

/*
 * The xid to register.  A statement's trigger fires before its first row is
 * written, so there may be none yet; registration must not wait for it.
 */
static void
fix_own_xid(void)
{
	if (registering == 0)
		registering = U64FromFullTransactionId(GetTopFullTransactionId());
}

/*
 * This transaction is about to write to what the cell stands for.  The
 * segment must be attached.  The set of marks is bounded by the number of
 * cells.  A mark that arrives after PRE_COMMIT (from another extension's
 * callback) is registered at once.
 */
void
ck_xact_mark(uint32 cell)
{
	ck_xact_mark_at(cell, GetCurrentTransactionNestLevel());
}

/* The same, and it did so at the given subtransaction level (1 is the top). */
void
ck_xact_mark_at(uint32 cell, int nest)
{
	CkLocalMark *mark;

	if (is_marked(cell))
		return;
	mark = add_mark();
	mark->cell = cell;
	mark->nest = nest;
	mark->registered = false;
	set_bit(cell, true);
	nmarks++;
	if (CK_FAULTY(CK_FAULT_BUMP_IN_TRIGGER))
		ck_cells_bump(cell);
	if (past_pre_commit)
	{
		fix_own_xid();
		register_mark(mark);
	}
}

/*
 * This transaction is about to write, but the shared memory can not be
 * reached: it reads past the cache from now on, and if anybody else has the
 * memory, nothing stored before this transaction ends will be used after.
 */
void
ck_xact_mark_lost(void)
{
	lost = true;
	if (past_pre_commit)
	{
		fix_own_xid();
		ck_segment_lost_writer(registering);
	}
}

/* Is it past PRE_COMMIT, so that what is marked now is registered at once? */
bool
ck_xact_is_registered(void)
{
	return past_pre_commit;
}

static void
forget_all(void)
{
	for (int i = 0; i < nmarks; i++)
		set_bit(marks[i].cell, false);
	nmarks = 0;
	lost = false;
	registering = 0;
	past_pre_commit = false;
}

/* Before anybody can see us; an error here aborts the transaction. */
static void
register_all(void)
{
	FullTransactionId xid;

	CALL_HOOKS(pre_register);
	past_pre_commit = true;
	if (nmarks == 0 && !lost)
		return;
	xid = GetTopFullTransactionIdIfAny();
	if (!FullTransactionIdIsValid(xid))
		return;
	registering = U64FromFullTransactionId(xid);
	if (lost)
		ck_segment_lost_writer(registering);
	for (int i = 0; i < nmarks; i++)
		register_mark(&marks[i]);
	CK_DEBUG_POINT("registered");
}

/* We have committed, and others see it already: must not fail. */
static void
record_all(void)
{
	if (registering != 0 && nmarks > 0)
		CK_DEBUG_POINT("committed");
	for (int i = 0; i < nmarks; i++)
	{
		if (!marks[i].registered)
			continue;
		if (CK_FAULTY(CK_FAULT_BUMP_AT_COMMIT) || CK_FAULTY(CK_FAULT_BUMP_BOTH))
			ck_cells_bump(marks[i].cell);
		ck_cells_resolve(marks[i].cell, registering, true);
	}
	forget_all();
}

static void
unregister_all(void)
{
	for (int i = 0; i < nmarks; i++)
		if (marks[i].registered)
			ck_cells_resolve(marks[i].cell, registering, false);
	forget_all();
}

static void
at_pre_commit(void)
{
	CALL_HOOKS(pre_commit);
	register_all();
}

static void
at_pre_prepare(void)
{
	CALL_HOOKS(pre_prepare);
	CALL_HOOKS(may_prepare);
	register_all();
}

static void
at_commit(void)
{
	record_all();
	CALL_HOOKS(commit);
	end_all();
}

static void
at_abort(void)
{
	unregister_all();
	end_all();
}

static void
at_prepare(void)
{
	forget_all();				/* stays registered: see the banner */
	end_all();
}

static void
xact_cb(XactEvent event, void *arg)
{
	switch (event)
	{
		case XACT_EVENT_PRE_COMMIT:
			at_pre_commit();
			break;
		case XACT_EVENT_PRE_PREPARE:
			at_pre_prepare();
			break;
		case XACT_EVENT_COMMIT:
			at_commit();
			break;
		case XACT_EVENT_PREPARE:
			at_prepare();
			break;
		case XACT_EVENT_ABORT:
			at_abort();
			break;
		default:				/* parallel workers write nothing */
			break;
	}
}

/* Marks of a subtransaction: the parent's, or gone with it. */
static void
end_marks(int nest, bool commit)
{
	int			kept = 0;

	for (int i = 0; i < nmarks; i++)
	{
		if (marks[i].nest >= nest)
		{
			if (!commit)
			{
				set_bit(marks[i].cell, false);
				continue;
			}
			marks[i].nest = nest - 1;
		}
		marks[kept++] = marks[i];
	}
	nmarks = kept;
}

static void
subxact_cb(SubXactEvent event, SubTransactionId mySubid,
		   SubTransactionId parentSubid, void *arg)
{
	int			nest = GetCurrentTransactionNestLevel();

	if (event == SUBXACT_EVENT_COMMIT_SUB)
	{
		end_marks(nest, true);
		CALL_HOOKS(sub_commit, nest);
	}
	else if (event == SUBXACT_EVENT_ABORT_SUB)
	{
		end_marks(nest, false);
		CALL_HOOKS(sub_abort, nest);
	}
}

void
ck_xact_init(void)
{
	RegisterXactCallback(xact_cb, NULL);
	RegisterSubXactCallback(subxact_cb, NULL);
}
