/*-------------------------------------------------------------------------
 *
 * kv_value.c
 *	  Values of any type as flat bytes, and back.
 *
 * A value in shared memory is read by other sessions, so nothing in it may
 * point anywhere: toasted and expanded values are made flat, composite ones
 * lose their out-of-line fields, and anonymous records are refused, because
 * what describes them is known to their own session only.
 *
 * The layout of a type made by users can change under a stored value (ALTER
 * TYPE ... ALTER ATTRIBUTE).  Reading the bytes by the new layout could
 * crash, and the session that alters the type need not have loaded this
 * library.  So the value is stored with a fingerprint of everything that
 * says how its bytes are read, down through attributes, elements and base
 * types, and whoever reads it compares.  Built-in types do not change.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/detoast.h"
#include "access/heaptoast.h"
#include "access/htup_details.h"
#include "access/transam.h"
#include "access/tupmacs.h"
#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"
#include "utils/typcache.h"

#include "kv_value.h"

static void describe_type(StringInfo buf, Oid typid);

/* Refuse a type whose values mean nothing outside of this session. */
static void
refuse_type(Oid typid)
{
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("values of type %s cannot be cached",
					format_type_be(typid)),
			 errhint("Cast the value to a named type, or to jsonb or text.")));
}

static void
check_type(Oid typid)
{
	if (!OidIsValid(typid))
		ereport(ERROR,
				(errcode(ERRCODE_INDETERMINATE_DATATYPE),
				 errmsg("could not determine the type of the value")));
	if (typid == RECORDARRAYOID)
		refuse_type(typid);
	if (typid != CSTRINGOID && get_typtype(typid) == TYPTYPE_PSEUDO)
		refuse_type(typid);
}

/* Make a composite value free of out-of-line fields. */
static struct varlena *
flatten_composite(struct varlena *flat)
{
	HeapTupleHeader td = (HeapTupleHeader) flat;
	TupleDesc	desc;

	if (HeapTupleHeaderGetTypeId(td) == RECORDOID)
		refuse_type(RECORDOID);
	if (!HeapTupleHeaderHasExternal(td))
		return flat;
	desc = lookup_rowtype_tupdesc(HeapTupleHeaderGetTypeId(td),
								  HeapTupleHeaderGetTypMod(td));
	flat = (struct varlena *)
		DatumGetPointer(toast_flatten_tuple_to_datum(td, VARSIZE(flat), desc));
	ReleaseTupleDesc(desc);
	return flat;
}

static void
take_varlena(CkValue *value, Datum datum)
{
	struct varlena *flat;

	if (type_is_rowtype(value->typid))
		flat = flatten_composite(PG_DETOAST_DATUM(datum));
	else
		flat = PG_DETOAST_DATUM_PACKED(datum);
	value->data = VARDATA_ANY(flat);
	value->len = VARSIZE_ANY_EXHDR(flat);
}

/*
 * Take a datum of the given type apart.  Raises 0A000 for anonymous records
 * and pseudo-types, and whatever detoasting raises.
 */
void
ck_value_from_datum(CkValue *value, Oid typid, Datum datum, bool isnull)
{
	int16		typlen;
	bool		typbyval;

	check_type(typid);
	value->typid = typid;
	value->isnull = isnull;
	value->data = NULL;
	value->len = 0;
	if (isnull)
		return;

	get_typlenbyval(typid, &typlen, &typbyval);
	if (typbyval)
	{
		store_att_byval(&value->byval, datum, typlen);
		value->data = (const char *) &value->byval;
		value->len = typlen;
	}
	else if (typlen == -1)
		take_varlena(value, datum);
	else
	{
		value->data = DatumGetCString(datum);
		value->len = typlen > 0 ? typlen : strlen(value->data);
	}
}

/* The same for the commonest type; NULL makes a NULL value. */
void
ck_value_from_text(CkValue *value, text *txt)
{
	value->typid = TEXTOID;
	value->isnull = (txt == NULL);
	value->data = txt ? VARDATA_ANY(txt) : NULL;
	value->len = txt ? VARSIZE_ANY_EXHDR(txt) : 0;
}

/*
 * Room for a payload of len bytes, with a varlena header before it and a
 * terminating zero after it, as the next two functions want it.  Returns the
 * place of the payload.
 */
char *
ck_value_buffer(uint32 len)
{
	char	   *buf = palloc((Size) VARHDRSZ + len + 1);

	buf[VARHDRSZ + len] = '\0';
	return buf + VARHDRSZ;
}

/*
 * Make a datum out of a payload in a buffer of ck_value_buffer(), which it
 * takes over.  The caller has made sure that the type is as it was.
 */
Datum
ck_value_to_datum(Oid typid, char *payload, uint32 len)
{
	char	   *buf = payload - VARHDRSZ;
	int16		typlen;
	bool		typbyval;

	get_typlenbyval(typid, &typlen, &typbyval);
	if (typlen == -1)
	{
		SET_VARSIZE(buf, VARHDRSZ + len);
		return PointerGetDatum(buf);
	}
	if (typlen > 0 && len != typlen)
		elog(ERROR, "cached value of type %u has %u bytes, expected %d",
			 typid, len, typlen);

	memmove(buf, payload, len + 1); /* to an aligned place */
	if (typbyval)
		return fetch_att(buf, true, typlen);
	return PointerGetDatum(buf);
}

/* The text form of a payload, as the type's output function gives it. */
text *
ck_value_to_text(Oid typid, char *payload, uint32 len)
{
	Datum		datum;
	Oid			output;
	bool		isvarlena;

	if (typid == TEXTOID)
	{
		SET_VARSIZE(payload - VARHDRSZ, VARHDRSZ + len);
		return (text *) (payload - VARHDRSZ);
	}
	datum = ck_value_to_datum(typid, payload, len);
	getTypeOutputInfo(typid, &output, &isvarlena);
	return cstring_to_text(OidOutputFunctionCall(output, datum));
}

/* Append how the fields of a composite type are read. */
static void
describe_composite(StringInfo buf, Oid typid)
{
	TupleDesc	desc = lookup_rowtype_tupdesc_noerror(typid, -1, true);

	if (desc == NULL)
		return;
	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);

		appendStringInfo(buf, "(%s %d %d %d %c", NameStr(att->attname),
						 att->attisdropped, att->attlen, att->atttypmod,
						 att->attalign);
		if (!att->attisdropped)
			describe_type(buf, att->atttypid);
		appendStringInfoChar(buf, ')');
	}
	ReleaseTupleDesc(desc);
}

/* Append all that says how the bytes of a type are read. */
static void
describe_type(StringInfo buf, Oid typid)
{
	HeapTuple	tuple;
	FormData_pg_type type;

	appendStringInfo(buf, " %u", typid);
	if (typid < FirstNormalObjectId)
		return;
	check_stack_depth();
	tuple = SearchSysCache1(TYPEOID, ObjectIdGetDatum(typid));
	if (!HeapTupleIsValid(tuple))
		return;
	memcpy(&type, GETSTRUCT(tuple), offsetof(FormData_pg_type, typtypmod));
	ReleaseSysCache(tuple);

	appendStringInfo(buf, " %d %d %c %c", type.typlen, type.typbyval,
					 type.typalign, type.typtype);
	if (type.typtype == TYPTYPE_COMPOSITE)
		describe_composite(buf, typid);
	else if (type.typtype == TYPTYPE_DOMAIN)
		describe_type(buf, type.typbasetype);
	else if (type.typtype == TYPTYPE_RANGE)
		describe_type(buf, get_range_subtype(typid));
	else if (type.typtype == TYPTYPE_MULTIRANGE)
		describe_type(buf, get_multirange_range(typid));
	else if (OidIsValid(type.typelem))
		describe_type(buf, type.typelem);
}

/*
 * The fingerprint to be stored with values of a type and compared when they
 * are read; 0 for built-in types.  Returns false when there is no such type
 * (any more).
 */
bool
ck_value_type_print(Oid typid, uint64 *print)
{
	StringInfoData buf;

	*print = 0;
	if (typid < FirstNormalObjectId)
		return true;
	if (!SearchSysCacheExists1(TYPEOID, ObjectIdGetDatum(typid)))
		return false;
	initStringInfo(&buf);
	describe_type(&buf, typid);
	*print = hash_bytes_extended((unsigned char *) buf.data, buf.len, 0);
	pfree(buf.data);
	return true;
}
