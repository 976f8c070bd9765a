/*-------------------------------------------------------------------------
 *
 * unit.h
 *	  What the unit tests share.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UNIT_H
#define UNIT_H

#include "fmgr.h"

#include "arena.h"
#include "clock.h"
#include "counters.h"
#include "evict.h"
#include "item.h"
#include "segment.h"
#include "table.h"
#include "table_shared.h"

/* Meta area of every value that the tests store. */
typedef struct UnitMeta
{
	uint32		keyno;
	uint32		version;
} UnitMeta;

#define UNIT_DBID 5

/* in unit_core.c */
extern int	unit_tranche;
extern void unit_attach(void *counters, Size counters_size,
						void *table, Size table_size);
extern CkKey unit_key(uint32 keyno, char *buf);
extern CkItem *unit_prepare(uint32 keyno, uint32 version, uint32 vallen,
							uint32 cost_us, TimestampTz expires_at);
extern bool unit_store(uint32 keyno, uint32 version, uint32 vallen,
					   uint32 cost_us, TimestampTz expires_at);
extern const char *unit_verify_small(const CkSmall *small, uint32 keyno);
extern const char *unit_verify_item(const CkItem *item, uint32 keyno,
									uint32 *version);
extern void unit_begin(FunctionCallInfo fcinfo);
extern void unit_row(const char *fmt,...) pg_attribute_printf(1, 2);
extern bool unit_ok(bool ok, const char *fmt,...) pg_attribute_printf(2, 3);
extern void unit_ok_table(const char *when);

#endif							/* UNIT_H */
