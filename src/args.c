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

/* Raise an error unless the tag is 1 to CK_MAX_TAG_LEN bytes long. */
void
ck_args_check_tag(const char *tag, int len)
{
	if (len < 1 || len > CK_MAX_TAG_LEN)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("tag must be 1 to %d bytes long", CK_MAX_TAG_LEN),
				 errdetail("It is %d bytes long.", len)));
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
				 errmsg("argument \"tags\" must not have more than %d elements", max)));
	for (int i = 0; i < n; i++)
	{
		text	   *tag;
		uint32		cell;
		bool		known = false;

		if (nulls[i])
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("argument \"tags\" must not contain nulls")));
		tag = DatumGetTextPP(values[i]);
		ck_args_check_tag(VARDATA_ANY(tag), VARSIZE_ANY_EXHDR(tag));
		cell = ck_cell_of_tag(MyDatabaseId, VARDATA_ANY(tag), VARSIZE_ANY_EXHDR(tag));
		for (int j = 0; j < ncells; j++)
			known |= cells[j] == cell;
		if (!known)
			cells[ncells++] = cell;
	}
	return ncells;
}
