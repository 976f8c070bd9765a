/*-------------------------------------------------------------------------
 *
 * invalidate.h
 *	  Attaching triggers and marking writes.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CK_INVALIDATE_H
#define CK_INVALIDATE_H

extern void ck_invalidate_relation(Oid relid);
extern void ck_invalidate_dropped(Oid relid);
extern void ck_invalidate_schema(void);
extern void ck_invalidate_extend_family(Oid relid);

#endif							/* CK_INVALIDATE_H */
