/*-------------------------------------------------------------------------
 *
 * args.c
 *	  Arguments that several SQL functions take.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/builtins.h"

#include "args.h"
#include "cells.h"

/* Longer intervals are as good as for ever, and would overflow sums. */
#define MAX_MICROSECONDS	(INT64CONST(100) * 366 * USECS_PER_DAY)

/* An interval as microseconds, a month being 30 days; within a century. */
int64
ck_args_microseconds(const Interval *interval)
{
	double		days = (double) interval->month * DAYS_PER_MONTH + interval->day;
	double		result = days * USECS_PER_DAY + interval->time;

	if (result > MAX_MICROSECONDS)
		return MAX_MICROSECONDS;
	if (result < -MAX_MICROSECONDS)
		return -MAX_MICROSECONDS;
	return (int64) result;
}

/*
 * A key or a tag given by the user must be there, and of 1 to max bytes.
 * Raises 22004 or 22023, naming the argument.
 */
void
ck_args_check_length(text *value, const char *argument, int max)
{
	if (unlikely(value == NULL))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("%s must not be null", argument)));
	if (unlikely(VARSIZE_ANY_EXHDR(value) < 1 || VARSIZE_ANY_EXHDR(value) > max))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s must be 1 to %d bytes long", argument, max),
				 errdetail("It is %d bytes long.",
						   (int) VARSIZE_ANY_EXHDR(value))));
}

/*
 * The cells of an array of tags, each once.  The segment must be attached.
 */
int
ck_args_tags(ArrayType *tags, int max, uint32 *cells)
{
	Datum	   *values;
	bool	   *nulls;
	int			n;
	int			ncells = 0;

	deconstruct_array(tags, TEXTOID, -1, false, TYPALIGN_INT, &values, &nulls, &n);
	if (n > max)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("tags must not have more than %d elements", max)));
	for (int i = 0; i < n; i++)
	{
		text	   *tag;
		uint32		cell;
		bool		known = false;

		tag = nulls[i] ? NULL : DatumGetTextPP(values[i]);
		ck_args_check_length(tag, "element of tags", CK_MAX_TAG_LEN);
		cell = ck_cell_of_tag(MyDatabaseId, VARDATA_ANY(tag), VARSIZE_ANY_EXHDR(tag));
		for (int j = 0; j < ncells; j++)
			known |= cells[j] == cell;
		if (!known)
			cells[ncells++] = cell;
	}
	return ncells;
}
