/*-------------------------------------------------------------------------
 *
 * fromscan.h
 *	  Custom Scan (CachedQuery): cached_query() in FROM.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CK_FROMSCAN_H
#define CK_FROMSCAN_H

#include "optimizer/paths.h"

extern void ck_fromscan_init(void);
extern void ck_fromscan_paths(PlannerInfo *root, RelOptInfo *rel, Index rti,
							  RangeTblEntry *rte);

#endif							/* CK_FROMSCAN_H */
