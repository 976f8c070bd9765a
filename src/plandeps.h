/*-------------------------------------------------------------------------
 *
 * plandeps.h
 *	  What a result depends on, read off the plan that computes it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CK_PLANDEPS_H
#define CK_PLANDEPS_H

#include "lib/stringinfo.h"
#include "nodes/plannodes.h"
#include "utils/array.h"

#include "query.h"

/* Largest description of an entry's keys, in bytes. */
#define CK_MAX_KEYS_TEXT	512

/*
 * Description of keys, for those who watch: for each, the table's Oid in eight
 * hexadecimal digits, what is to be shown in parentheses, and a null byte.
 */
typedef struct CkPlanDeps
{
	int			ncells;
	uint32		cells[CK_MAX_DEPS];
	int			textlen;
	char		text[CK_MAX_KEYS_TEXT];
} CkPlanDeps;

extern List *ck_plandeps_names(List *relations, const char *text, int textlen);
extern ArrayType *ck_plandeps_array(List *names);
extern bool ck_plandeps(const PlannedStmt *plan, ParamListInfo params,
						const CkQuery *query, CkPlanDeps *result);

#endif							/* CK_PLANDEPS_H */
