/*-------------------------------------------------------------------------
 *
 * derive.c
 *	  What follows from an analysed query: cells, reasons, identity.
 *
 * Kept with the query until the tree is replaced, or a catalog row that was
 * looked at changes (catalogs.c).  What depends on uncommitted changes of our
 * own is not kept.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_proc.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "storage/procarray.h"
#include "storage/sinval.h"
#include "utils/acl.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "catalogs.h"
#include "cells.h"
#include "compat.h"
#include "derive.h"
#include "keys.h"
#include "segment.h"
#include "track.h"

static void
tree_gone_cb(void *arg)
{
	CkQuery    *query = arg;

	query->deps_valid = false;
	query->tree_watched = false;
}

static void
add_cell(CkQuery *query, uint32 cell)
{
	for (int i = 0; i < query->ncells; i++)
		if (query->cells[i] == cell)
			return;
	if (query->ncells == CK_MAX_DEPS)
	{
		ck_depwalk_reason(&query->depends, true, "too many tables and partitions");
		return;
	}
	query->cells[query->ncells++] = cell;
}

static void
add_keyed(CkQuery *query, Oid relid, const CkTracked *tracked)
{
	CkKeyed    *keyed = palloc(sizeof(CkKeyed));

	keyed->relid = relid;
	keyed->root = ck_keys_root(relid);
	keyed->nreferences = 0;
	keyed->keys = tracked->keys;
	keyed->deps = tracked->deps;
	query->keyed = lappend(query->keyed, keyed);
}

static void
count_references(CkQuery *query)
{
	ListCell   *lc;
	ListCell   *reference;

	if (query->keyed == NIL)
		return;
	foreach(reference, query->depends.references)
	{
		Oid			root = ck_keys_root(lfirst_oid(reference));

		foreach(lc, query->keyed)
			if (((CkKeyed *) lfirst(lc))->root == root)
				((CkKeyed *) lfirst(lc))->nreferences++;
	}
}

static void
describe_relations(CkQuery *query, StringInfo identity)
{
	ListCell   *lc;

	foreach(lc, query->depends.relations)
	{
		CkTracked	tracked;
		ListCell   *dep;
		uint64		messages = SharedInvalidMessageCounter;

		ck_track_describe(lfirst_oid(lc), &tracked, identity, &query->since);
		query->own_ddl |= tracked.own_ddl;
		if (ck_catalogs_watch(tracked.members, false) &&
			messages != SharedInvalidMessageCounter)
			query->own_ddl = true;	/* one may have changed unwatched: not kept */
		if (!tracked.tracked)
			ck_depwalk_reason(&query->depends, false, tracked.why_not);
		else if (tracked.keys != NIL)
		{
			add_keyed(query, lfirst_oid(lc), &tracked);
			continue;
		}
		foreach(dep, tracked.deps)
			add_cell(query, ck_cell_of(CK_DEP_RELATION, MyDatabaseId, lfirst_oid(dep)));
	}
	count_references(query);
}

/* Leave out what every snapshot sees, now and later, imported ones included. */
static void
trim_since(CkQuery *query)
{
	TransactionId oldest;
	ListCell   *lc;

	if (query->since == NIL)
		return;
	oldest = GetOldestNonRemovableTransactionId(NULL);
	foreach(lc, query->since)
		if (TransactionIdPrecedes(lfirst_oid(lc), oldest))
			query->since = foreach_delete_current(query->since, lc);
}

static void
sum_up_reasons(CkQuery *query)
{
	ListCell   *lc;

	query->never = query->inexact = false;
	foreach(lc, query->depends.reasons)
	{
		query->inexact = true;
		if (((CkReason *) lfirst(lc))->never)
			query->never = true;
	}
}

static bool
may_call_all(List *functions)
{
	ListCell   *lc;

	foreach(lc, functions)
		if (CkProcAclCheck(lfirst_oid(lc), GetUserId()) != ACLCHECK_OK)
			return false;
	return true;
}

static void
identify(CkQuery *query, Query *tree)
{
	StringInfoData identity;
	TupleDesc	desc = ck_query_desc(query);
	List	   *rowtypes = NIL;
	const char *missing;
	ListCell   *lc;

	initStringInfo(&identity);
	ck_fingerprint_tree(tree, &identity);
	appendBinaryStringInfo(&identity, query->settings.data, query->path_at);
	appendBinaryStringInfo(&identity, (char *) query->argtypes,
						   query->nargs * sizeof(Oid));
	describe_relations(query, &identity);
	if (ck_fingerprint_functions(query->depends.functions, &identity))
		query->own_ddl = true;
	ck_fingerprint_desc(desc, &identity, &rowtypes);
	foreach(lc, query->depends.types)
		ck_fingerprint_type(lfirst_oid(lc), &identity, &rowtypes);
	rowtypes = list_difference_oid(rowtypes, query->depends.relations);
	if (ck_catalogs_watch(rowtypes, true) &&
		(query->tree != NULL || query->messages != SharedInvalidMessageCounter))
	{
		ck_analysis_generation++;	/* the tree may be older than the types */
		query->own_ddl = true;
	}
	missing = ck_track_ddl_unwatched(&identity);
	if (missing)
		ck_depwalk_reason(&query->depends, false,
						  psprintf("event trigger %s is not enabled always", missing));
	if (query->depends.uses_role)
		ck_fingerprint_role(&identity);
	if (query->depends.uses_path)
		appendStringInfoString(&identity, namespace_search_path);
	ck_fingerprint_digest(identity.data, identity.len, query->digest);
}

static void
watch_tree(CkQuery *query)
{
	MemoryContextCallback *callback;

	if (query->tree_watched || query->tree != NULL)
		return;
	callback = MemoryContextAlloc(query->source->query_context,
								  sizeof(MemoryContextCallback));
	callback->func = tree_gone_cb;
	callback->arg = query;
	MemoryContextRegisterResetCallback(query->source->query_context, callback);
	query->tree_watched = true;
}

static void
derive(CkQuery *query)
{
	Query	   *tree = ck_query_tree(query);

	query->ncells = 0;
	query->keyed = NIL;
	query->since = NIL;
	query->own_ddl = false;
	ck_depwalk(tree, &query->depends);
	if (ck_depwalk_has_record(ck_query_desc(query)))
		ck_depwalk_reason(&query->depends, true, "column of type record");
	query->unsafe_text = ck_depwalk_unsafe_text(ck_query_desc(query));
	query->denied = !may_call_all(query->depends.functions);
	identify(query, tree);
	trim_since(query);
	sum_up_reasons(query);
	watch_tree(query);
}

/*
 * Bring the dependencies up to date.  false: there is no shared memory.
 * What depends on uncommitted changes of our own is derived every time.
 */
bool
ck_derive_dependencies(CkQuery *query)
{
	MemoryContext old;
	uint64		checked = ck_catalog_generation;

	if (!ck_segment_attach())
		return false;
	if (query->deps_valid && query->deps_checked == ck_catalog_generation && !query->own_ddl)
		return true;
	query->deps_valid = false;
	if (query->deps_context == NULL)
		query->deps_context = AllocSetContextCreate(query->context,
													"cachekit dependencies",
													ALLOCSET_SMALL_SIZES);
	MemoryContextReset(query->deps_context);
	old = MemoryContextSwitchTo(query->deps_context);
	query->deps_valid = true;	/* tree_gone_cb may take it back */
	PG_TRY();
	{
		derive(query);
	}
	PG_CATCH();
	{
		query->deps_valid = false;
		PG_RE_THROW();
	}
	PG_END_TRY();
	MemoryContextSwitchTo(old);
	query->deps_checked = checked;
	return true;
}

/*
 * Is what was derived, and the tree it was derived from, still current, as far
 * as messages accepted by now tell?
 */
bool
ck_derive_is_current(CkQuery *query)
{
	return query->deps_valid &&
		query->deps_checked == ck_catalog_generation &&
		ck_query_means_the_same(query);
}

/*
 * May the current user run the query?  Nothing is raised: whoever may not is
 * sent to the executor, which says so in its own words.
 */
bool
ck_derive_allowed(CkQuery *query)
{
	return !query->denied &&
		CkCheckPermissions(query->depends.permissions, query->depends.perminfos);
}
