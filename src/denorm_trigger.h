/*-------------------------------------------------------------------------
 *
 * denorm_trigger.h
 *	  Triggers on the sources of denormalized tables.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CK_DENORM_TRIGGER_H
#define CK_DENORM_TRIGGER_H

#include "denorm_def.h"

extern void ck_denorm_attach(CkDenorm *denorm);
extern void ck_denorm_detach(Oid relid);
extern void ck_denorm_subscribed(Oid relid);
extern void ck_denorm_table_changed(Oid relid, bool altered);
extern void ck_denorm_dropped(List *relids, bool child_of_source);

#endif							/* CK_DENORM_TRIGGER_H */
