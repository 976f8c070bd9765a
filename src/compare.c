/*-------------------------------------------------------------------------
 *
 * compare.c
 *	  Are the rows that a query gives those of an entry?
 *
 * For cachekit.verify.  Rows are compared bit by bit, as a multiset: the order
 * of equal sort keys is free.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "executor/tuptable.h"
#include "miscadmin.h"
#include "utils/memutils.h"

#include "codec.h"
#include "compare.h"

struct CkComparison
{
	MemoryContext context;
	TupleDesc	desc;
	List	   *expected;		/* MinimalTuples, to be met in this order */
	List	   *surplus;		/* rows that were not the expected ones */
};

/*
 * Begin with the entry's rows; data, aligned to eight bytes, must stay.  All
 * is allocated in the current memory context.
 */
CkComparison *
ck_compare_begin(TupleDesc desc, const char *data, Size len)
{
	CkComparison *comparison = palloc0(sizeof(CkComparison));
	CkCursor	cursor;
	MinimalTuple tuple;

	comparison->context = CurrentMemoryContext;
	comparison->desc = desc;
	ck_codec_open(&cursor, data, len);
	while ((tuple = ck_codec_next(&cursor)) != NULL)
		comparison->expected = lappend(comparison->expected, tuple);
	return comparison;
}

/* Rows in the expected order go at once; others wait for the end. */
void
ck_compare_row(CkComparison *comparison, TupleTableSlot *slot)
{
	MemoryContext old = MemoryContextSwitchTo(comparison->context);
	MinimalTuple tuple = ck_codec_flatten(slot);

	if (comparison->expected != NIL &&
		ck_codec_same_row(comparison->desc, linitial(comparison->expected), tuple))
	{
		comparison->expected = list_delete_first(comparison->expected);
		pfree(tuple);
	}
	else
		comparison->surplus = lappend(comparison->surplus, tuple);
	MemoryContextSwitchTo(old);
}

/* Are the rows left over on both sides the same ones in another order? */
static bool
same_rows(CkComparison *comparison)
{
	ListCell   *lc;

	foreach(lc, comparison->surplus)
	{
		ListCell   *other;
		bool		found = false;

		CHECK_FOR_INTERRUPTS();
		foreach(other, comparison->expected)
		{
			if (!ck_codec_same_row(comparison->desc, lfirst(lc), lfirst(other)))
				continue;
			comparison->expected = foreach_delete_current(comparison->expected, other);
			found = true;
			break;
		}
		if (!found)
			return false;
	}
	return comparison->expected == NIL;
}

void
ck_compare_mismatch(const char *text)
{
	ereport(ERROR,
			(errcode(ERRCODE_DATA_CORRUPTED),
			 errmsg("cached result differs from the query's result"),
			 errdetail("Query: %s", text),
			 errhint("This is a bug of cachekit, unless the query's result is not determined by its snapshot (LIMIT without ORDER BY, for example).")));
}

/* After the last row: raises XX001 unless the rows are the same. */
void
ck_compare_end(CkComparison *comparison, const char *text)
{
	if (!same_rows(comparison))
		ck_compare_mismatch(text);
}
