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

/* 17 renamed the shared variable cache of transaction ids. */
#if PG_VERSION_NUM >= 170000
#define CkXidVars TransamVariables
#else
#define CkXidVars ShmemVariableCache
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

/* 17 can ask for stronger locks at once. */
#if PG_VERSION_NUM >= 170000
#define CkLockHeldByMe(tag, mode) LockHeldByMe(tag, mode, false)
#else
#define CkLockHeldByMe(tag, mode) LockHeldByMe(tag, mode)
#endif

/* 18 no longer asks whether a query is run once only. */
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

#endif							/* CK_COMPAT_H */
