/*-------------------------------------------------------------------------
 *
 * denorm_keys.c
 *	  Sets of keys of a denormalized table.
 *
 * Two keys are one if the default equality of their types says so, NULLs
 * being equal.  The hash is the same in all sessions; a column of a type that
 * can not be hashed adds nothing to it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

#include "denorm_keys.h"

typedef struct IndexEntry
{
	uint64		hash;
	int			first;
} IndexEntry;

static void
make_index(CkDenormKeys *keys)
{
	HASHCTL		ctl = {0};

	ctl.keysize = sizeof(uint64);
	ctl.entrysize = sizeof(IndexEntry);
	ctl.hcxt = keys->cxt;
	keys->index = hash_create("cachekit denorm keys", 64, &ctl,
							  HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
}

/* An empty set, in a context of its own.  The columns are not copied. */
CkDenormKeys *
ck_denorm_keys_make(int natts, CkDenormColumn **atts, MemoryContext parent)
{
	MemoryContext cxt = AllocSetContextCreate(parent, "cachekit denorm keys",
											  ALLOCSET_SMALL_SIZES);
	CkDenormKeys *keys = MemoryContextAllocZero(cxt, sizeof(CkDenormKeys));

	keys->cxt = cxt;
	keys->natts = natts;
	keys->atts = atts;
	return keys;
}

void
ck_denorm_keys_free(CkDenormKeys *keys)
{
	MemoryContextDelete(keys->cxt);
}

static uint64
hash_key(CkDenormKeys *keys, const Datum *values, const bool *nulls)
{
	uint64		hash = keys->natts;

	for (int i = 0; i < keys->natts; i++)
	{
		CkDenormColumn *att = keys->atts[i];
		uint32		h = 0;

		if (nulls[i])
			h = 1;
		else if (OidIsValid(att->hash.fn_oid))
			h = DatumGetUInt32(FunctionCall1Coll(&att->hash, att->collation, values[i]));
		hash = hash_combine64(hash, (uint64) h);
	}
	return hash_bytes_extended((unsigned char *) &hash, sizeof(hash), 0);
}

static bool
same_key(CkDenormKeys *keys, const CkDenormKey *key, const Datum *values,
		 const bool *nulls)
{
	for (int i = 0; i < keys->natts; i++)
	{
		CkDenormColumn *att = keys->atts[i];

		if (key->nulls[i] != nulls[i])
			return false;
		if (!nulls[i] &&
			!DatumGetBool(FunctionCall2Coll(&att->equal, att->collation,
											key->values[i], values[i])))
			return false;
	}
	return true;
}

/* The key with this hash, if it is there; *first: the chain's beginning. */
static bool
find_key(CkDenormKeys *keys, uint64 hash, const Datum *values, const bool *nulls,
		 int *first)
{
	IndexEntry *entry;

	*first = -1;
	if (keys->index == NULL)
	{
		/* few keys need no index */
		for (int i = 0; i < keys->n; i++)
			if (keys->keys[i].hash == hash &&
				same_key(keys, &keys->keys[i], values, nulls))
				return true;
		return false;
	}
	entry = hash_search(keys->index, &hash, HASH_FIND, NULL);
	if (entry == NULL)
		return false;
	*first = entry->first;
	for (int i = entry->first; i >= 0; i = keys->keys[i].next)
		if (same_key(keys, &keys->keys[i], values, nulls))
			return true;
	return false;
}

#define INDEX_FROM	8			/* keys */

static void
index_key(CkDenormKeys *keys, int i)
{
	bool		found;
	IndexEntry *entry = hash_search(keys->index, &keys->keys[i].hash, HASH_ENTER, &found);

	keys->keys[i].next = found ? entry->first : -1;
	entry->first = i;
}

/* Add a key unless it is there; its values are copied. */
void
ck_denorm_keys_add(CkDenormKeys *keys, const Datum *values, const bool *nulls)
{
	uint64		hash;
	int			first;
	CkDenormKey *key;
	MemoryContext old;

	if (keys->full)
		return;
	hash = hash_key(keys, values, nulls);
	if (find_key(keys, hash, values, nulls, &first))
		return;
	old = MemoryContextSwitchTo(keys->cxt);
	if (keys->n == keys->max)
	{
		keys->max = Max(8, 2 * keys->max);
		keys->keys = keys->keys ?
			repalloc_huge(keys->keys, (Size) keys->max * sizeof(CkDenormKey)) :
			palloc(keys->max * sizeof(CkDenormKey));
	}
	key = &keys->keys[keys->n];
	key->hash = hash;
	key->values = palloc(keys->natts * sizeof(Datum));
	key->nulls = palloc(keys->natts * sizeof(bool));
	for (int i = 0; i < keys->natts; i++)
	{
		key->nulls[i] = nulls[i];
		key->values[i] = nulls[i] ? (Datum) 0 :
			datumCopy(keys->atts[i]->typlen == -1 ?
					  PointerGetDatum(PG_DETOAST_DATUM(values[i])) : values[i],
					  keys->atts[i]->typbyval, keys->atts[i]->typlen);
	}
	keys->n++;
	if (keys->index != NULL)
		index_key(keys, keys->n - 1);
	else if (keys->n > INDEX_FROM)
	{
		make_index(keys);
		for (int i = 0; i < keys->n; i++)
			index_key(keys, i);
	}
	MemoryContextSwitchTo(old);
}

static int
compare_hashes(const void *a, const void *b)
{
	uint64		x = ((const CkDenormKey *) a)->hash;
	uint64		y = ((const CkDenormKey *) b)->hash;

	return (x > y) - (x < y);
}

/* By hash, which is the order of locking.  No keys can be added afterwards. */
void
ck_denorm_keys_sort(CkDenormKeys *keys)
{
	if (keys->n > 1)
		qsort(keys->keys, keys->n, sizeof(CkDenormKey), compare_hashes);
}

/*
 * Is the text of the keys the same whatever the settings and the role, so that
 * it can be made anywhere?
 */
bool
ck_denorm_keys_are_plain(CkDenormKeys *keys)
{
	static const Oid plain[] = {
		BOOLOID, CHAROID, NAMEOID, INT8OID, INT2OID, INT4OID, TEXTOID, OIDOID,
		BPCHAROID, VARCHAROID, NUMERICOID, UUIDOID
	};

	for (int i = 0; i < keys->natts; i++)
	{
		bool		found = false;

		for (int k = 0; k < lengthof(plain); k++)
			found |= keys->atts[i]->type == plain[k];
		if (!found)
			return false;
	}
	return true;
}

/* A key as text, to be kept in a table. */
ArrayType *
ck_denorm_key_text(CkDenormKeys *keys, const CkDenormKey *key)
{
	Datum	   *texts = palloc(keys->natts * sizeof(Datum));
	int			dims[1] = {keys->natts};
	int			lbs[1] = {1};

	for (int i = 0; i < keys->natts; i++)
	{
		Oid			output;
		bool		varlena;

		if (key->nulls[i])
			continue;
		getTypeOutputInfo(keys->atts[i]->type, &output, &varlena);
		texts[i] = CStringGetTextDatum(OidOutputFunctionCall(output, key->values[i]));
	}
	return construct_md_array(texts, key->nulls, 1, dims, lbs, TEXTOID, -1, false,
							  TYPALIGN_INT);
}

/* The opposite; what has another number of columns means every key. */
void
ck_denorm_keys_add_text(CkDenormKeys *keys, ArrayType *array)
{
	Datum	   *texts;
	bool	   *nulls;
	int			n;
	Datum	   *values;

	deconstruct_array(array, TEXTOID, -1, false, TYPALIGN_INT, &texts, &nulls, &n);
	if (n != keys->natts)
	{
		keys->full = true;
		return;
	}
	values = palloc0(n * sizeof(Datum));
	for (int i = 0; i < n; i++)
	{
		Oid			input;
		Oid			ioparam;

		if (nulls[i])
			continue;
		getTypeInputInfo(keys->atts[i]->type, &input, &ioparam);
		values[i] = OidInputFunctionCall(input, text_to_cstring(DatumGetTextPP(texts[i])), ioparam, -1);
	}
	ck_denorm_keys_add(keys, values, nulls);
}
