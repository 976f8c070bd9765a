/*-------------------------------------------------------------------------
 *
 * fingerprint.c
 *	  What makes two results the same result.
 *
 * The identity of a query's entries is a SHA-256 digest over: the query tree
 * after analysis and rewriting (names resolved, views expanded, row-security
 * quals in place), the settings that change results, the shape of the
 * relations read (track.c), the catalog versions of user-defined functions
 * called, the layout of composite columns, the types of parameters and, where
 * it matters, the role; followed by the exact bytes of the parameters.  No
 * decision rests on a fast hash.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/gin.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/transam.h"
#include "access/xact.h"
#include "catalog/pg_auth_members.h"
#include "catalog/pg_type.h"
#include "common/cryptohash.h"
#include "common/sha2.h"
#include "miscadmin.h"
#include "nodes/nodes.h"
#include "parser/parse_expr.h"
#include "parser/parser.h"
#include "pgtime.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/bytea.h"
#include "utils/datum.h"
#include "utils/float.h"
#include "utils/guc.h"
#include "utils/guc_tables.h"
#include "utils/lsyscache.h"
#include "utils/rls.h"
#include "utils/syscache.h"
#include "utils/typcache.h"
#include "utils/xml.h"

#include "compat.h"
#include "fingerprint.h"

/* As in utils/pg_locale.h, which needs the headers of ICU. */
extern PGDLLIMPORT char *locale_monetary;
extern PGDLLIMPORT char *locale_numeric;
extern PGDLLIMPORT char *locale_time;

#define MAX_PLAIN_PARAMS	256 /* longer ones are digested */

static void
add_int(StringInfo buf, int value)
{
	appendBinaryStringInfo(buf, (char *) &value, sizeof(value));
}

static void
add_string(StringInfo buf, const char *value)
{
	if (value)
		appendBinaryStringInfo(buf, value, strlen(value) + 1);
	else
		appendStringInfoChar(buf, '\0');
}

/*
 * The variable behind a string setting whose name is all that is exported.
 * Looking it up by name every time would cost more than all the rest.
 */
static char **
string_variable(const char *name)
{
	int			n;
	struct config_generic **settings = CkGucVariables(&n);

	for (int i = 0; i < n; i++)
		if (strcmp(settings[i]->name, name) == 0 && settings[i]->vartype == PGC_STRING)
			return ((struct config_string *) settings[i])->variable;
	elog(ERROR, "setting \"%s\" not found", name);
}

static const char *
hidden_setting(char ***variable, const char *name)
{
	if (unlikely(*variable == NULL))
		*variable = string_variable(name);
	return **variable;
}

/* The settings that can change what a query means or what it returns. */
typedef struct CkSettings
{
	int			numbers[10];
	const char *strings[6];
} CkSettings;

static void
read_settings(CkSettings *settings)
{
	static char **abbreviations = NULL;
	static char **search_config = NULL;
	int			flags = 0;

	flags |= Transform_null_equals ? 1 : 0;
	flags |= standard_conforming_strings ? 2 : 0;
	flags |= Array_nulls ? 4 : 0;
	flags |= quote_all_identifiers ? 8 : 0;
	flags |= row_security ? 16 : 0;
	*settings = (CkSettings)
	{
		.numbers = {
			flags, DateStyle, DateOrder, IntervalStyle, extra_float_digits,
			bytea_output, xmloption, xmlbinary, backslash_quote,
			GinFuzzySearchLimit
		},
		.strings = {
			pg_get_timezone_name(session_timezone),
			locale_monetary,
			locale_numeric,
			locale_time,
			hidden_setting(&abbreviations, "timezone_abbreviations"),
			hidden_setting(&search_config, "default_text_search_config")
		}
	};
}

/*
 * Append these settings, less search_path: the names in the tree are resolved.
 */
void
ck_fingerprint_settings(StringInfo buf)
{
	CkSettings	settings;

	read_settings(&settings);
	appendBinaryStringInfo(buf, (char *) settings.numbers, sizeof(settings.numbers));
	for (int i = 0; i < lengthof(settings.strings); i++)
		add_string(buf, settings.strings[i]);
}

/*
 * Are the settings still what was appended, at `bytes`?  Then the number of
 * bytes they take, else 0.
 */
Size
ck_fingerprint_settings_are(const char *bytes)
{
	const char *at = bytes + sizeof(((CkSettings *) NULL)->numbers);
	CkSettings	settings;

	read_settings(&settings);
	if (memcmp(bytes, settings.numbers, sizeof(settings.numbers)) != 0)
		return 0;
	for (int i = 0; i < lengthof(settings.strings); i++)
	{
		const char *value = settings.strings[i] ? settings.strings[i] : "";

		if (strcmp(at, value) != 0)
			return 0;
		at += strlen(at) + 1;
	}
	return at - bytes;
}

/*
 * Append the tree's text without the fields that tell where in the source a
 * token stood.  Inside of names the output functions put a backslash before a
 * blank, so the patterns cannot be met by chance.
 */
void
ck_fingerprint_tree(Query *query, StringInfo buf)
{
	static const char *const places[] = {
		":location ", ":stmt_location ", ":stmt_len "
	};
	char	   *text = nodeToString(query);
	char	   *p = text;

	while (*p)
	{
		bool		skipped = false;

		for (int i = 0; *p == ':' && i < lengthof(places); i++)
		{
			size_t		len = strlen(places[i]);

			if (strncmp(p, places[i], len) != 0)
				continue;
			p += len;
			p += strspn(p, "-0123456789");
			skipped = true;
			break;
		}
		if (!skipped)
			appendStringInfoCharMacro(buf, *p++);
	}
	pfree(text);
}

/*
 * The versions of user-defined functions.  true: one of them was changed by
 * this very transaction.
 */
bool
ck_fingerprint_functions(List *functions, StringInfo buf)
{
	bool		own = false;
	ListCell   *lc;

	foreach(lc, functions)
	{
		Oid			oid = lfirst_oid(lc);
		HeapTuple	tuple;
		TransactionId xmin;

		if (oid < FirstNormalObjectId)
			continue;
		tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(oid));
		if (!HeapTupleIsValid(tuple))
			continue;
		xmin = HeapTupleHeaderGetRawXmin(tuple->t_data);
		own |= TransactionIdIsCurrentTransactionId(xmin);
		add_int(buf, oid);
		add_int(buf, xmin);
		appendBinaryStringInfo(buf, (char *) &tuple->t_self, sizeof(ItemPointerData));
		ReleaseSysCache(tuple);
	}
	return own;
}

static void
add_type(Oid type, StringInfo buf, List **relids, int depth)
{
	Oid			element;
	TupleDesc	desc;

	add_int(buf, type);
	if (type < FirstNormalObjectId || depth > 16)
		return;
	type = getBaseType(type);
	element = get_element_type(type);
	if (OidIsValid(element))
		add_type(element, buf, relids, depth + 1);
	if (get_typtype(type) != TYPTYPE_COMPOSITE)
		return;
	*relids = list_append_unique_oid(*relids, get_typ_typrelid(type));
	desc = lookup_rowtype_tupdesc(type, -1);
	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);

		add_int(buf, att->attisdropped);
		add_string(buf, NameStr(att->attname));
		add_type(att->attisdropped ? InvalidOid : att->atttypid, buf, relids,
				 depth + 1);
	}
	ReleaseTupleDesc(desc);
}

/*
 * The layout of a type, composite ones taken apart.  Their relations, whose
 * changes change the layout, are added to *relids.
 */
void
ck_fingerprint_type(Oid type, StringInfo buf, List **relids)
{
	add_type(type, buf, relids, 0);
}

/* The same for a result's columns. */
void
ck_fingerprint_desc(TupleDesc desc, StringInfo buf, List **relids)
{
	for (int i = 0; i < desc->natts; i++)
		add_type(TupleDescAttr(desc, i)->atttypid, buf, relids, 0);
}

/*
 * Who the user is, and who is a member of what: for results that hang on the
 * user's rights in ways that can not be seen.
 */
void
ck_fingerprint_role(StringInfo buf)
{
	Relation	catalog = table_open(AuthMemRelationId, AccessShareLock);
	SysScanDesc scan = systable_beginscan(catalog, InvalidOid, false, NULL, 0, NULL);
	HeapTuple	tuple;

	add_string(buf, GetUserNameFromId(GetUserId(), false));
	add_string(buf, GetUserNameFromId(GetSessionUserId(), false));
	add_int(buf, superuser());
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_auth_members form = (Form_pg_auth_members) GETSTRUCT(tuple);

		add_int(buf, form->roleid);
		add_int(buf, form->member);
		add_int(buf, HeapTupleHeaderGetRawXmin(tuple->t_data));
	}
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
}

void
ck_fingerprint_digest(const void *data, Size len, uint8 *digest)
{
	pg_cryptohash_ctx *ctx = pg_cryptohash_create(PG_SHA256);

	if (ctx == NULL ||
		pg_cryptohash_init(ctx) < 0 ||
		pg_cryptohash_update(ctx, data, len) < 0 ||
		pg_cryptohash_final(ctx, digest, CK_DIGEST_LEN) < 0)
		elog(ERROR, "could not compute SHA-256 digest");
	pg_cryptohash_free(ctx);
}

/* A key as users see it: 128 bits of its digest, in hexadecimal. */
char *
ck_fingerprint_hex(const void *data, Size len)
{
	uint8		digest[CK_DIGEST_LEN];
	char	   *hex = palloc(33);

	ck_fingerprint_digest(data, len, digest);
	for (int i = 0; i < 16; i++)
		snprintf(hex + 2 * i, 3, "%02x", digest[i]);
	return hex;
}

static void
add_param(ParamExternData *param, StringInfo buf)
{
	int16		len;
	bool		byval;
	Datum		value = param->value;
	Size		size;

	appendStringInfoChar(buf, param->isnull ? 'n' : 'v');
	if (param->isnull)
		return;
	get_typlenbyval(param->ptype, &len, &byval);
	if (byval)
	{
		appendBinaryStringInfo(buf, (char *) &value, sizeof(Datum));
		return;
	}
	if (len == -1)
	{
		struct varlena *v = PG_DETOAST_DATUM_PACKED(value);

		size = VARSIZE_ANY_EXHDR(v);
		add_int(buf, size);
		appendBinaryStringInfo(buf, VARDATA_ANY(v), size);
		return;
	}
	size = datumGetSize(value, byval, len);
	add_int(buf, size);
	appendBinaryStringInfo(buf, DatumGetPointer(value), size);
}

/* The values of settings that the query asks for by name. */
void
ck_fingerprint_named(List *settings, StringInfo buf)
{
	ListCell   *lc;

	foreach(lc, settings)
	{
		const char *value = GetConfigOption(lfirst(lc), true, true);

		appendStringInfoChar(buf, value ? 's' : 'n');
		add_string(buf, value);
	}
}

/* The n-th parameter, from 1; NULL: it has no value now. */
static ParamExternData *
param_at(ParamListInfo params, int n, ParamExternData *workspace)
{
	ParamExternData *param;

	if (params == NULL || n > params->numParams)
		return NULL;
	param = params->paramFetch ? params->paramFetch(params, n, true, workspace) :
		&params->params[n - 1];
	return OidIsValid(param->ptype) ? param : NULL;
}

/*
 * The exact bytes of the parameters whose numbers are in `used`; their types
 * are part of the tree.  Long ones are replaced by their digest, told apart by
 * the first byte.  false: one of them has no value.
 */
bool
ck_fingerprint_params(ParamListInfo params, Bitmapset *used, StringInfo buf)
{
	int			start = buf->len;
	int			n = -1;

	appendStringInfoChar(buf, CK_NO_PARAMS);
	while ((n = bms_next_member(used, n)) >= 0)
	{
		ParamExternData workspace;
		ParamExternData *param = param_at(params, n, &workspace);

		if (param == NULL)
			return false;
		add_param(param, buf);
	}
	if (buf->len - start > MAX_PLAIN_PARAMS)
	{
		uint8		digest[CK_DIGEST_LEN];

		ck_fingerprint_digest(buf->data + start, buf->len - start, digest);
		buf->len = start;
		appendStringInfoChar(buf, 'd');
		appendBinaryStringInfo(buf, (char *) digest, CK_DIGEST_LEN);
	}
	return true;
}
