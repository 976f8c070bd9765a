/*-------------------------------------------------------------------------
 *
 * reader.c
 *	  Rows of an entry, one after the other.
 *
 * A small entry has been copied by whoever found it.  Of a large one, which is
 * pinned, a window of some kilobytes at a time is copied out of shared memory:
 * its pieces are not contiguous, nor aligned as a tuple must be, and the rows
 * of a window stay in the processor's cache on their way to the client.
 *
 * A reader that may go both ways remembers where each row begins.
 *
 * Everything is allocated in the memory context that is current when a reader
 * is opened or asked, which must live as long as the reader.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "utils/memutils.h"

#include "reader.h"

#define WINDOW	(16 * 1024)

/* Rows in the backend's memory, aligned to eight bytes. */
void
ck_reader_open_bytes(CkReader *reader, const char *data, Size len)
{
	memset(reader, 0, sizeof(*reader));
	reader->data = data;
	reader->len = len;
}

/* Rows of an entry, which the caller leaves after the last row. */
void
ck_reader_open_entry(CkReader *reader, CkFound *found, bool both_ways)
{
	ck_reader_open_bytes(reader, found->value, found->info.vallen);
	reader->found = found;
	reader->both_ways = both_ways;
}

/* Make the window begin at `at`, with at least `need` bytes. */
static void
move_window(CkReader *reader, Size at, Size need)
{
	if (need > reader->window_size)
	{
		if (reader->window)
			pfree(reader->window);
		reader->window_size = Max(need, WINDOW);
		reader->window = MemoryContextAllocHuge(CurrentMemoryContext,
												reader->window_size);
	}
	reader->window_at = at;
	reader->window_len = Min(reader->window_size, reader->len - at);
	ck_item_copy_value(reader->found->item, at, reader->window, reader->window_len);
}

static bool
in_window(const CkReader *reader, Size at, Size need)
{
	return at >= reader->window_at &&
		at + need <= reader->window_at + reader->window_len;
}

/* The row that begins at `at`; valid until the next call. */
static MinimalTuple
row_at(CkReader *reader, Size at)
{
	MinimalTuple tuple;

	if (reader->data)
		return (MinimalTuple) (reader->data + at);
	if (!in_window(reader, at, sizeof(uint32)))
		move_window(reader, at, sizeof(uint32));
	tuple = (MinimalTuple) (reader->window + (at - reader->window_at));
	if (!in_window(reader, at, tuple->t_len))
	{
		move_window(reader, at, tuple->t_len);
		tuple = (MinimalTuple) reader->window;
	}
	return tuple;
}

/* Remember where the next row begins, if it was not met before. */
static void
note_start(CkReader *reader)
{
	if (reader->position++ < reader->nstarts)
		return;
	if (reader->nstarts == reader->max_starts)
	{
		reader->max_starts = Max(2 * reader->max_starts, 256);
		reader->starts = reader->starts ?
			repalloc_huge(reader->starts, reader->max_starts * sizeof(uint32)) :
			palloc(reader->max_starts * sizeof(uint32));
	}
	reader->starts[reader->nstarts++] = reader->next;
}

/* The next row, valid until the reader is asked again; NULL at the end. */
MinimalTuple
ck_reader_next(CkReader *reader)
{
	MinimalTuple tuple;

	if (reader->next >= reader->len)
	{
		if (reader->both_ways && reader->position == reader->nstarts)
			reader->position++; /* behind the last row, once */
		return NULL;
	}
	tuple = row_at(reader, reader->next);
	if (reader->both_ways)
		note_start(reader);
	reader->next += MAXALIGN(tuple->t_len);
	return tuple;
}

/* The row before the one that was given last; NULL at the beginning. */
MinimalTuple
ck_reader_previous(CkReader *reader)
{
	MinimalTuple tuple;

	Assert(reader->both_ways);
	if (reader->position <= 1)
	{
		ck_reader_rewind(reader);
		return NULL;
	}
	reader->position--;
	tuple = row_at(reader, reader->starts[reader->position - 1]);
	reader->next = reader->starts[reader->position - 1] + MAXALIGN(tuple->t_len);
	return tuple;
}

/* Begin again. */
void
ck_reader_rewind(CkReader *reader)
{
	reader->next = 0;
	reader->position = 0;
}
