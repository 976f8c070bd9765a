/*-------------------------------------------------------------------------
 *
 * keys.h
 *	  Keys of tables: which rows a write changes, which rows a query reads.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CK_KEYS_H
#define CK_KEYS_H

#include "commands/trigger.h"
#include "fmgr.h"
#include "nodes/execnodes.h"
#include "nodes/pg_list.h"

#define CK_KEY_TRIGGER_NAME "zz_cachekit_keys"	/* fires last: see keys.c */

/* A key as an argument of a row trigger names it. */
typedef struct CkKeyDef
{
	char	   *name;			/* canonical: quoted columns, joined by ", " */
	List	   *columns;		/* char * */
	int			events;			/* TRIGGER_TYPE_... that are seen without fail */
} CkKeyDef;

/* Definitions. */
extern CkKeyDef *ck_keys_parse(const char *argument);
extern CkKeyDef *ck_keys_find(List *keys, const CkKeyDef *key);
extern List *ck_keys_add(List *keys, const char *argument, int events);

/* From key values to cells; the same for readers and writers. */
extern Oid	ck_keys_root(Oid relid);
extern bool ck_keys_hash_function(Oid type, FmgrInfo *function, MemoryContext context);
extern uint64 ck_keys_hash_start(Oid root, const CkKeyDef *key);
extern uint64 ck_keys_hash_value(uint64 hash, FmgrInfo *function, Datum value);
extern uint32 ck_keys_cell(uint64 hash);
extern uint32 ck_keys_bulk_cell(Oid root);

/* Writers. */
extern void ck_keys_mark_row(TriggerData *data);
extern void ck_keys_statement(EState *estate);
extern void ck_keys_init(void);

#endif							/* CK_KEYS_H */
