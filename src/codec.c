/*-------------------------------------------------------------------------
 *
 * codec.c
 *	  Result sets as flat bytes.
 *
 * An encoded result is a sequence of minimal tuples, each aligned to eight
 * bytes; t_len tells where the next begins.  Tuples refer to nothing outside
 * of themselves: values stored out of line are fetched (compressed ones stay
 * compressed), expanded objects flattened.  The row type is not part of the
 * bytes: it follows from the identity of the entry.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/detoast.h"
#include "access/htup_details.h"
#include "utils/datum.h"
#include "utils/expandeddatum.h"

#include "codec.h"
#include "compat.h"

static Datum
flat_value(Datum value)
{
	struct varlena *v = (struct varlena *) DatumGetPointer(value);

	if (!VARATT_IS_EXTERNAL(v))
		return value;
	if (VARATT_IS_EXTERNAL_EXPANDED(v))
	{
		ExpandedObjectHeader *eoh = DatumGetEOHP(value);
		Size		size = EOH_get_flat_size(eoh);
		void	   *flat = palloc(size);

		EOH_flatten_into(eoh, flat, size);
		return PointerGetDatum(flat);
	}
	return PointerGetDatum(detoast_external_attr(v));
}

/* The slot's row as a self-contained tuple in the current memory context. */
MinimalTuple
ck_codec_flatten(TupleTableSlot *slot)
{
	TupleDesc	desc = slot->tts_tupleDescriptor;
	Datum	   *values;

	slot_getallattrs(slot);
	values = palloc(Max(desc->natts, 1) * sizeof(Datum));
	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);

		if (slot->tts_isnull[i])
			values[i] = (Datum) 0;
		else if (att->attlen == -1)
			values[i] = flat_value(slot->tts_values[i]);
		else
			values[i] = slot->tts_values[i];
	}
	return CkFormMinimalTuple(desc, values, slot->tts_isnull);
}

void
ck_codec_append(StringInfo buf, MinimalTuple tuple)
{
	static const char zeros[MAXIMUM_ALIGNOF] = {0};
	Size		len = tuple->t_len;

	appendBinaryStringInfo(buf, (char *) tuple, len);
	appendBinaryStringInfo(buf, zeros, MAXALIGN(len) - len);
}

/* data must be aligned to eight bytes and outlive the cursor. */
void
ck_codec_open(CkCursor *cursor, const char *data, Size len)
{
	Assert((uintptr_t) data % MAXIMUM_ALIGNOF == 0);
	cursor->next = data;
	cursor->end = data + len;
}

/* The next row, inside of the data; NULL at the end. */
MinimalTuple
ck_codec_next(CkCursor *cursor)
{
	MinimalTuple tuple = (MinimalTuple) cursor->next;

	if (cursor->next >= cursor->end)
		return NULL;
	cursor->next += MAXALIGN(tuple->t_len);
	return tuple;
}

/* Equal to the last bit of every value, whatever its compression. */
bool
ck_codec_same_row(TupleDesc desc, MinimalTuple a, MinimalTuple b)
{
	HeapTupleData ta;
	HeapTupleData tb;

	ta.t_len = a->t_len + MINIMAL_TUPLE_OFFSET;
	ta.t_data = (HeapTupleHeader) ((char *) a - MINIMAL_TUPLE_OFFSET);
	tb.t_len = b->t_len + MINIMAL_TUPLE_OFFSET;
	tb.t_data = (HeapTupleHeader) ((char *) b - MINIMAL_TUPLE_OFFSET);
	for (int i = 1; i <= desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i - 1);
		bool		anull;
		bool		bnull;
		Datum		va = heap_getattr(&ta, i, desc, &anull);
		Datum		vb = heap_getattr(&tb, i, desc, &bnull);

		if (anull != bnull)
			return false;
		if (!anull && !datum_image_eq(va, vb, att->attbyval, att->attlen))
			return false;
	}
	return true;
}
