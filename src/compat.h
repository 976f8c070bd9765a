/*-------------------------------------------------------------------------
 *
 * compat.h
 *	  Differences between PostgreSQL 15, 16, 17 and 18, and nothing else.
 *
 * Included after postgres.h by the files that need it.  A version test
 * anywhere else in the tree is a mistake, unless what differs is the very
 * algorithm of one function.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CK_COMPAT_H
#define CK_COMPAT_H

#if PG_VERSION_NUM < 150000
#error "cachekit needs PostgreSQL 15 or later"
#endif

#include "access/transam.h"
#include "catalog/pg_attribute.h"
#include "nodes/parsenodes.h"
#include "nodes/pg_list.h"
#include "nodes/plannodes.h"
#include "nodes/primnodes.h"

/* 16 moved what tells whether query identifiers are computed. */
#if PG_VERSION_NUM >= 160000
#include "nodes/queryjumble.h"
#else
#include "utils/queryjumble.h"
#endif

/* 16 renamed the fields of tables' statistics. */
#if PG_VERSION_NUM >= 160000
#define CkTableStatusId(status) ((status)->id)
#else
#define CkTableStatusId(status) ((status)->t_id)
#endif

/* 17 renamed the shared variable cache of transaction ids. */
#if PG_VERSION_NUM >= 170000
#define CkXidVars TransamVariables
#else
#define CkXidVars ShmemVariableCache
#endif

/* 17 moved the local number of a backend's transaction; see storage/proc.h. */
#if PG_VERSION_NUM >= 170000
#define CkMyLocalXid (MyProc->vxid.lxid)
#else
#define CkMyLocalXid (MyProc->lxid)
#endif

/* 18 lets the caller log the failure. */
#if PG_VERSION_NUM >= 180000
#define CkConditionalXactLockTableWait(xid) \
	ConditionalXactLockTableWait(xid, false)
#else
#define CkConditionalXactLockTableWait(xid) ConditionalXactLockTableWait(xid)
#endif

/* 16 made one function of the privilege checks. */
#if PG_VERSION_NUM >= 160000
#define CkProcAclCheck(function, role) \
	object_aclcheck(ProcedureRelationId, function, role, ACL_EXECUTE)
#else
#define CkProcAclCheck(function, role) \
	pg_proc_aclcheck(function, role, ACL_EXECUTE)
#endif

#if PG_VERSION_NUM >= 160000
#define CkRelationOwnerCheck(relation, role) \
	object_ownercheck(RelationRelationId, relation, role)
#else
#define CkRelationOwnerCheck(relation, role) pg_class_ownercheck(relation, role)
#endif

/* 16 moved what is to be checked out of the range table. */
#if PG_VERSION_NUM >= 160000
#define CkCheckPermissions(rtes, perminfos) \
	ExecCheckPermissions(rtes, perminfos, false)
#else
#define CkCheckPermissions(rtes, perminfos) \
	((void) (perminfos), ExecCheckRTPerms(rtes, false))
#endif

/*
 * Copies what the executor would check of one range table entry, if anything,
 * to the end of the lists that CkCheckPermissions() takes.
 */
static inline void
CkKeepPermission(Query *query, RangeTblEntry *rte, List **rtes, List **perminfos)
{
#if PG_VERSION_NUM >= 160000
	RangeTblEntry *copy;

	if (rte->perminfoindex == 0)
		return;
	*perminfos = lappend(*perminfos,
						 copyObject(list_nth(query->rteperminfos,
											 rte->perminfoindex - 1)));
	copy = copyObject(rte);
	copy->perminfoindex = list_length(*perminfos);
	*rtes = lappend(*rtes, copy);
#else
	if (rte->rtekind == RTE_RELATION && rte->requiredPerms != 0)
		*rtes = lappend(*rtes, copyObject(rte));
#endif
}

/*
 * Adds what the executor would check, or the plan cache lock, of one range
 * table entry to a PlannedStmt that is made by hand.
 */
static inline void
CkAddOuterRte(Query *query, RangeTblEntry *rte, PlannedStmt *plan)
{
	RangeTblEntry *copy;

#if PG_VERSION_NUM >= 160000
	if (rte->rtekind != RTE_RELATION && rte->perminfoindex == 0)
		return;
#else
	if (rte->rtekind != RTE_RELATION)
		return;
#endif
	copy = makeNode(RangeTblEntry);
	*copy = *rte;
	copy->tablesample = NULL;
	copy->subquery = NULL;
	copy->securityQuals = NIL;
	plan->rtable = lappend(plan->rtable, copy);
#if PG_VERSION_NUM >= 160000
	if (rte->perminfoindex != 0)
	{
		plan->permInfos = lappend(plan->permInfos,
								  list_nth(query->rteperminfos,
										   rte->perminfoindex - 1));
		copy->perminfoindex = list_length(plan->permInfos);
	}
#endif
#if PG_VERSION_NUM >= 180000
	plan->unprunableRelids = bms_add_member(plan->unprunableRelids,
											list_length(plan->rtable));
#endif
}

/* The same, from a plan for all of it. */
static inline void
CkTakeRtes(PlannedStmt *plan, const PlannedStmt *from)
{
	plan->rtable = from->rtable;
#if PG_VERSION_NUM >= 160000
	plan->permInfos = from->permInfos;
#endif
#if PG_VERSION_NUM >= 180000
	if (from->rtable != NIL)
		plan->unprunableRelids = bms_add_range(NULL, 1, list_length(from->rtable));
#endif
}

/* 16 has SQL/JSON constructors, which make text of values of any type. */
static inline bool
CkIsJsonConstructor(Node *node)
{
#if PG_VERSION_NUM >= 160000
	return IsA(node, JsonConstructorExpr);
#else
	return false;
#endif
}

/*
 * 17 has SQL/JSON query functions, which may call the input function of any
 * type with no node to show it.  The type, or InvalidOid for other nodes.
 */
static inline Oid
CkJsonQueryType(Node *node)
{
#if PG_VERSION_NUM >= 170000
	if (IsA(node, JsonExpr))
		return ((JsonExpr *) node)->returning->typid;
#endif
	return InvalidOid;
}

/* 18 has headers of their own for EXPLAIN's state and output. */
#if PG_VERSION_NUM >= 180000
#include "commands/explain_format.h"
#include "commands/explain_state.h"
#endif

/* 18 lets a statement begin with its first word, not with comments before. */
#define CK_STATEMENT_IS_WITHOUT_COMMENTS (PG_VERSION_NUM >= 180000)

/* 18 has columns that are computed when read, by what pg_attrdef says. */
#define CK_VIRTUAL_COLUMNS (PG_VERSION_NUM >= 180000)
#ifndef ATTRIBUTE_GENERATED_VIRTUAL
#define ATTRIBUTE_GENERATED_VIRTUAL 'v'
#endif

/* 17 can ask for stronger locks at once. */
#if PG_VERSION_NUM >= 170000
#define CkLockHeldByMe(tag, mode) LockHeldByMe(tag, mode, false)
#else
#define CkLockHeldByMe(tag, mode) LockHeldByMe(tag, mode)
#endif

/* 18 no longer asks whether a query is run once only. */
#if PG_VERSION_NUM >= 180000
#define CK_RUN_ARGS		QueryDesc *desc, ScanDirection direction, uint64 count
#define CK_RUN_PASS		desc, direction, count
#else
#define CK_RUN_ARGS		QueryDesc *desc, ScanDirection direction, uint64 count, bool once
#define CK_RUN_PASS		desc, direction, count, once
#endif
#if PG_VERSION_NUM >= 180000
#define CkExecutorRun(desc) ExecutorRun(desc, ForwardScanDirection, 0)
#else
#define CkExecutorRun(desc) ExecutorRun(desc, ForwardScanDirection, 0, true)
#endif

/* 18 can leave room before the tuple. */
#if PG_VERSION_NUM >= 180000
#define CkFormMinimalTuple(desc, values, isnull) \
	heap_form_minimal_tuple(desc, values, isnull, 0)
#else
#define CkFormMinimalTuple(desc, values, isnull) \
	heap_form_minimal_tuple(desc, values, isnull)
#endif

/*
 * 16 passes what the planner knows, if it is the planner that asks; 18 has
 * grouped expressions in a range table entry of their own.
 */
#if PG_VERSION_NUM >= 180000
#define CkFlattenJoinAliases(query, node) \
	flatten_join_alias_vars(NULL, query, \
							(query)->hasGroupRTE ? \
							flatten_group_exprs(NULL, query, node) : (node))
#elif PG_VERSION_NUM >= 160000
#define CkFlattenJoinAliases(query, node) \
	flatten_join_alias_vars(NULL, query, node)
#else
#define CkFlattenJoinAliases(query, node) flatten_join_alias_vars(query, node)
#endif

/* 16 keeps the settings in a hash table and makes an array on demand. */
#if PG_VERSION_NUM >= 160000
#define CkGucVariables(n) get_guc_variables(n)
#else
#define CkGucVariables(n) (*(n) = GetNumConfigOptions(), get_guc_variables())
#endif

/* Our own PGPROC's number. */
#if PG_VERSION_NUM >= 170000
#define CK_MY_PROCNO	MyProcNumber
#else
#define CK_MY_PROCNO	(MyProc->pgprocno)
#endif

#endif							/* CK_COMPAT_H */
