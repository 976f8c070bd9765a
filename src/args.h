/*-------------------------------------------------------------------------
 *
 * args.h
 *	  Arguments that several SQL functions take.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CK_ARGS_H
#define CK_ARGS_H

#include "utils/array.h"
#include "utils/timestamp.h"

#define CK_MAX_TAGS		32		/* of one cached query */
#define CK_MAX_TAG_LEN	256		/* bytes */

extern int64 ck_args_microseconds(const Interval *interval);
extern void ck_args_check_length(text *value, const char *argument, int max);
extern int	ck_args_tags(ArrayType *tags, int max, uint32 *cells);

#endif							/* CK_ARGS_H */
