/*-------------------------------------------------------------------------
 *
 * codec.h
 *	  Result sets as flat bytes.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CK_CODEC_H
#define CK_CODEC_H

#include "access/htup.h"
#include "executor/tuptable.h"
#include "lib/stringinfo.h"

/* Position in an encoded result. */
typedef struct CkCursor
{
	const char *next;
	const char *end;
} CkCursor;

extern MinimalTuple ck_codec_flatten(TupleTableSlot *slot);
extern void ck_codec_append(StringInfo buf, MinimalTuple tuple);
extern void ck_codec_open(CkCursor *cursor, const char *data, Size len);
extern MinimalTuple ck_codec_next(CkCursor *cursor);
extern bool ck_codec_same_row(TupleDesc desc, MinimalTuple a, MinimalTuple b);

#endif							/* CK_CODEC_H */
