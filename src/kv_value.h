/*-------------------------------------------------------------------------
 *
 * kv_value.h
 *	  Values of any type as flat bytes, and back.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CK_KV_VALUE_H
#define CK_KV_VALUE_H

/*
 * A value taken apart.  data points at len bytes: the payload without any
 * varlena header, the bytes of a by-value datum, the text of a cstring.  It
 * belongs to the current memory context, to the datum it came from, or (by
 * value) to this very struct, which must therefore not be copied.
 */
typedef struct CkValue
{
	Oid			typid;
	bool		isnull;
	uint32		len;
	const char *data;
	Datum		byval;			/* room for a by-value datum */
} CkValue;

extern void ck_value_from_datum(CkValue *value, Oid typid, Datum datum,
								bool isnull);
extern void ck_value_from_text(CkValue *value, text *txt);
extern char *ck_value_buffer(uint32 len);
extern Datum ck_value_to_datum(Oid typid, char *payload, uint32 len);
extern text *ck_value_to_text(Oid typid, char *payload, uint32 len);
extern bool ck_value_type_print(Oid typid, uint64 *print);

#endif							/* CK_KV_VALUE_H */
