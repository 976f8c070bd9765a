/*-------------------------------------------------------------------------
 *
 * track.h
 *	  Which writes of a relation are seen: its family, triggers and cells.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CK_TRACK_H
#define CK_TRACK_H

#include "lib/stringinfo.h"
#include "nodes/pg_list.h"
#include "utils/snapshot.h"

#define CK_TRIGGER_NAME		"cachekit_track"
#define CK_ROW_TRIGGER_NAME "cachekit_apply"
#define CK_DDL_TRIGGER_NAME "cachekit_ddl_command_end"
#define CK_DROP_TRIGGER_NAME "cachekit_sql_drop"

/* What was found out about one relation that a query reads. */
typedef struct CkTracked
{
	bool		tracked;		/* every write is seen, now */
	bool		own_ddl;		/* changed by this very transaction */
	char	   *why_not;		/* palloc'd, if not tracked */
	List	   *deps;			/* Oids whose cells a reader depends on */
	List	   *keys;			/* CkKeyDef: keys whose every change is seen */
	List	   *members;		/* Oids whose changes this may have missed */
} CkTracked;

extern void ck_track_set_namespace(Oid function);
extern void ck_track_use_namespace(Oid namespace);
extern Oid	ck_track_namespace(void);
extern Oid	ck_track_trigger_function(void);

extern List *ck_track_marks(Oid relid);
extern List *ck_track_row_marks(Oid relid);
extern List *ck_track_family(Oid relid, bool *foreign);
extern bool ck_track_needs_apply_triggers(List *family);
extern bool ck_track_has_triggers(Oid relid, bool with_apply);
extern const char *ck_track_tracker(Oid relid);
extern List *ck_track_keys(Oid relid);
extern void ck_track_describe(Oid relid, CkTracked *result,
							  StringInfo shape, List **since);
extern const char *ck_track_ddl_unwatched(StringInfo shape);

#endif							/* CK_TRACK_H */
