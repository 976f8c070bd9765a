/*-------------------------------------------------------------------------
 *
 * reader.h
 *	  Rows of an entry, one after the other.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CK_READER_H
#define CK_READER_H

#include "access/htup.h"

#include "serve.h"

typedef struct CkReader
{
	const char *data;			/* all of the rows; or NULL, and */
	CkFound    *found;			/* they are in this pinned item */
	Size		len;			/* of the rows */
	Size		next;			/* where the next row begins */

	char	   *window;			/* a copy of a part of the item */
	Size		window_size;
	Size		window_at;
	Size		window_len;

	bool		both_ways;		/* rows may be asked for backwards */
	uint32	   *starts;			/* with both_ways: of the rows met so far */
	int			nstarts;
	int			max_starts;
	int			position;		/* with both_ways: rows before the next one */
} CkReader;

extern void ck_reader_open_bytes(CkReader *reader, const char *data, Size len);
extern void ck_reader_open_entry(CkReader *reader, CkFound *found, bool both_ways);
extern MinimalTuple ck_reader_next(CkReader *reader);
extern MinimalTuple ck_reader_previous(CkReader *reader);
extern void ck_reader_rewind(CkReader *reader);

#endif							/* CK_READER_H */
