/*-------------------------------------------------------------------------
 *
 * planner.h
 *	  Which queries are answered from the cache as they are.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CK_PLANNER_H
#define CK_PLANNER_H

#include "optimizer/planner.h"

extern int	ck_planner_off;

extern PlannedStmt *ck_planner(Query *parse, const char *text, int cursor_options,
							   ParamListInfo params, planner_hook_type next);

#endif							/* CK_PLANNER_H */
