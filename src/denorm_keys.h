/*-------------------------------------------------------------------------
 *
 * denorm_keys.h
 *	  Sets of keys of a denormalized table.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CK_DENORM_KEYS_H
#define CK_DENORM_KEYS_H

#include "fmgr.h"
#include "utils/array.h"
#include "utils/hsearch.h"

/* A column of a denormalized table. */
typedef struct CkDenormColumn
{
	char	   *name;
	Oid			type;
	Oid			collation;
	int16		typlen;
	bool		typbyval;
	/* of key columns only: */
	char	   *equality;		/* as OPERATOR(schema.name) */
	char	   *less;
	FmgrInfo	equal;
	FmgrInfo	compare;
	FmgrInfo	hash;			/* fn_oid InvalidOid: the type has none */
} CkDenormColumn;

typedef struct CkDenormKey
{
	uint64		hash;
	int			next;			/* of the same hash; -1: none */
	Datum	   *values;
	bool	   *nulls;
} CkDenormKey;

/* Not for two backends, nor for columns that go away before it does. */
typedef struct CkDenormKeys
{
	MemoryContext cxt;
	int			natts;
	CkDenormColumn **atts;
	bool		full;			/* every key there is */
	int			n;
	int			max;
	CkDenormKey *keys;
	HTAB	   *index;			/* hash to the first of its keys */
} CkDenormKeys;

extern CkDenormKeys *ck_denorm_keys_make(int natts, CkDenormColumn **atts,
										 MemoryContext parent);
extern void ck_denorm_keys_free(CkDenormKeys *keys);
extern void ck_denorm_keys_add(CkDenormKeys *keys, const Datum *values, const bool *nulls);
extern void ck_denorm_keys_sort(CkDenormKeys *keys);
extern bool ck_denorm_keys_are_plain(CkDenormKeys *keys);
extern ArrayType *ck_denorm_key_text(CkDenormKeys *keys, const CkDenormKey *key);
extern void ck_denorm_keys_add_text(CkDenormKeys *keys, ArrayType *array);

#endif							/* CK_DENORM_KEYS_H */
