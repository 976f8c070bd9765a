/*-------------------------------------------------------------------------
 *
 * commands.h
 *	  What transparent mode must know of the command that is running.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CK_COMMANDS_H
#define CK_COMMANDS_H

#include "executor/executor.h"
#include "tcop/utility.h"

#include "compat.h"

extern ProcessUtility_hook_type ck_commands_next_utility;
extern ExecutorStart_hook_type ck_commands_next_start;
extern ExecutorRun_hook_type ck_commands_next_run;

extern void ck_commands_utility(PlannedStmt *statement, const char *text,
								bool read_only_tree, ProcessUtilityContext context,
								ParamListInfo params, QueryEnvironment *environment,
								DestReceiver *dest, QueryCompletion *completion);
extern void ck_commands_start(QueryDesc *desc, int eflags);
extern void ck_commands_run(CK_RUN_ARGS);

#endif							/* CK_COMMANDS_H */
