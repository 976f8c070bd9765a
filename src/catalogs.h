/*-------------------------------------------------------------------------
 *
 * catalogs.h
 *	  Noticing changes of catalogs that analysed queries were derived from.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CK_CATALOGS_H
#define CK_CATALOGS_H

#include "nodes/pg_list.h"

extern uint64 ck_catalog_generation;	/* watched relations, event triggers,
										 * subscriptions */
extern uint64 ck_analysis_generation;	/* functions, operators, casts, labels,
										 * roles */
extern uint64 ck_names_generation;	/* relations and types came or went */
extern uint64 ck_relations_generation;	/* anything about any relation */

extern void ck_catalogs_init(void);
extern bool ck_catalogs_watch(List *relids, bool rowtype);
extern void ck_catalogs_watch_types(void);

#endif							/* CK_CATALOGS_H */
