/*-------------------------------------------------------------------------
 *
 * query.c
 *	  Query texts that this backend has analysed.
 *
 * A hit must neither parse nor plan.  Each backend remembers the texts that it
 * has seen lately, by text, user and settings, with the analysed tree in a
 * CachedPlanSource (PostgreSQL's own plan cache, as PREPARE uses it) and what
 * was derived from the tree: dependencies, reasons, identity.
 *
 * What can make that out of date, and how it is noticed:
 *
 *  - a relation or type in the tree changes: the plan cache analyses again,
 *	  and the deletion of the old tree's context tells us (tree_gone_cb);
 *  - functions, operators, casts or roles change, so that the text may mean
 *	  something else: callbacks count `ck_analysis_generation`, and a query of an
 *	  older one is analysed anew;
 *  - some other catalog row that was looked at changes, such as members of
 *	  inheritance trees or triggers: callbacks count `generation`, and a query
 *	  of an older one derives its dependencies again;
 *  - a literal such as 'today' was turned into a date by the analysis: a text
 *	  with one is analysed every time;
 *  - an object made since hides the one that a name meant, which the plan
 *	  cache does not look for: when relations or types came or went
 *	  (ck_names_generation), the names in the text are resolved again and compared.
 *
 * The caller has the locks that the plan cache takes on every use, and has
 * thereby accepted all invalidation messages sent before.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <ctype.h>

#include "access/xact.h"
#include "catalog/namespace.h"
#include "common/hashfn.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "parser/analyze.h"
#include "parser/parse_type.h"
#include "storage/sinval.h"
#include "tcop/tcopprot.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

#include "catalogs.h"
#include "compat.h"
#include "query.h"

#define MAX_QUERIES		256		/* remembered by one backend */
#define QUERY_BUCKETS	256

/* What a name in the text meant. */
typedef struct CkLocalName
{
	RangeVar   *relation;		/* one of these two */
	TypeName   *type;
	Oid			meant;			/* InvalidOid: nothing (a CTE, say) */
} CkLocalName;

static dlist_head queries = DLIST_STATIC_INIT(queries);
static int	nqueries = 0;
static dlist_head doomed = DLIST_STATIC_INIT(doomed);	/* dead, but in use */
static int	nopen = 0;
static CkQuery *buckets[QUERY_BUCKETS]; /* last one found of each hash */

/* ---------------- names ---------------- */

static Oid
meaning_of(const CkLocalName *name)
{
	if (name->relation)
		return RangeVarGetRelid(name->relation, NoLock, true);
	return LookupTypeNameOid(NULL, name->type, true);
}

/*
 * Might a string literal name a time relative to now, as input functions of
 * date and time types allow?  They are called by the analysis.
 */
static bool
is_relative_time(const char *string)
{
	static const char *const words[] = {"now", "today", "tomorrow", "yesterday"};

	for (int i = 0; i < lengthof(words); i++)
	{
		size_t		len = strlen(words[i]);

		for (const char *p = string; *p; p++)
			if (pg_strncasecmp(p, words[i], len) == 0 &&
				(p == string || !isalnum((unsigned char) p[-1])) &&
				!isalnum((unsigned char) p[len]))
				return true;
	}
	return false;
}

static void
add_name(CkQuery *query, RangeVar *relation, TypeName *type)
{
	CkLocalName *name = palloc0(sizeof(CkLocalName));

	name->relation = relation;
	name->type = type;
	name->meant = meaning_of(name);
	query->names = lappend(query->names, name);
}

/* Note what a raw parse tree's meaning depends on. */
static bool
collect_names(Node *node, void *context)
{
	CkQuery    *query = context;

	if (node == NULL)
		return false;
	if (IsA(node, RangeVar))
	{
		add_name(query, (RangeVar *) node, NULL);
		return false;
	}
	if (IsA(node, TypeName) && ((TypeName *) node)->names)
	{
		add_name(query, NULL, (TypeName *) node);
		return false;
	}
	if (IsA(node, A_Const) && !((A_Const *) node)->isnull &&
		nodeTag(&((A_Const *) node)->val) == T_String &&
		is_relative_time(strVal(&((A_Const *) node)->val)))
		query->relative = true;
	return raw_expression_tree_walker(node, collect_names, context);
}

/*
 * Does the text still mean what it meant when it was analysed, as far as
 * messages accepted by now tell?
 */
bool
ck_query_means_the_same(CkQuery *query)
{
	uint64		now = ck_names_generation;
	ListCell   *lc;

	if (query->analysed != ck_analysis_generation ||
		!CachedPlanIsValid(query->source))
		return false;
	if (query->names_checked == ck_names_generation)
		return true;
	if (query->names_in_literals)
		return false;
	foreach(lc, query->names)
	{
		CkLocalName *name = lfirst(lc);

		if (meaning_of(name) != name->meant)
			return false;
	}
	query->names_checked = now;
	return true;
}

/* ---------------- analysis ---------------- */

/* Let errors of the inner query point into it, not into the outer one. */
static void
query_error_cb(void *arg)
{
	const char *text = arg;
	int			position = geterrposition();

	if (position > 0)
	{
		errposition(0);
		internalerrposition(position);
		internalerrquery(text);
	}
	else
		errcontext("cached query \"%s\"", text);
}

static void
not_a_select(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("cached queries must be SELECT, VALUES or TABLE statements"),
			 errhint("Run statements that change data or the session directly.")));
}

/* The one statement of the text, which must be a plain query. */
static RawStmt *
parse(const char *text)
{
	List	   *statements = pg_parse_query(text);
	RawStmt    *raw;
	SelectStmt *leftmost;

	if (statements == NIL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("query must not be empty")));
	if (list_length(statements) > 1)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("query must be a single statement"),
				 errhint("Cache each of the statements by itself.")));
	raw = linitial_node(RawStmt, statements);
	if (!IsA(raw->stmt, SelectStmt))
		not_a_select();
	leftmost = (SelectStmt *) raw->stmt;
	while (leftmost->op != SETOP_NONE)
		leftmost = leftmost->larg;
	if (leftmost->intoClause)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("SELECT INTO can not be cached"),
				 errhint("Use CREATE TABLE AS, outside of the cache.")));
	return raw;
}

static void
check_argument_types(const Oid *types, int n)
{
	for (int i = 0; i < n; i++)
		if (types[i] == InvalidOid || types[i] == UNKNOWNOID)
			ereport(ERROR,
					(errcode(ERRCODE_INDETERMINATE_DATATYPE),
					 errmsg("could not determine data type of parameter $%d", i + 1),
					 errhint("Add a cast to the parameter, such as $%d::text.", i + 1)));
}

static void
analyse(CkQuery *query)
{
	RawStmt    *raw = parse(query->text);
	List	   *trees;
	Query	   *tree;

	query->names = NIL;
	query->messages = SharedInvalidMessageCounter;
	query->names_checked = ck_names_generation;
	query->analysed = ck_analysis_generation;
	(void) collect_names((Node *) copyObject(raw->stmt), query);

	query->source = CreateCachedPlan(raw, query->text, CMDTAG_SELECT);
	trees = pg_analyze_and_rewrite_varparams(raw, query->text, &query->argtypes,
											 &query->nargs, NULL);
	check_argument_types(query->argtypes, query->nargs);
	tree = linitial_node(Query, trees);
	if (tree->hasModifyingCTE || tree->commandType != CMD_SELECT)
		not_a_select();
	query->names_in_literals = ck_depwalk_names_in_literals(tree);
	CompleteCachedPlan(query->source, trees, NULL, query->argtypes,
					   query->nargs, NULL, NULL, CURSOR_OPT_PARALLEL_OK, false);
}

static void
free_query(CkQuery *query)
{
	if (buckets[query->hash % QUERY_BUCKETS] == query)
		buckets[query->hash % QUERY_BUCKETS] = NULL;
	dlist_delete(&query->link);
	if (!query->dead)
		nqueries--;
	if (query->users > 0)
	{
		query->dead = true;
		dlist_push_head(&doomed, &query->link);
		return;
	}
	DropCachedPlan(query->source);
	MemoryContextDelete(query->context);
}

/* Make room: the least recently used one that nobody uses. */
static void
trim_queries(void)
{
	dlist_iter	iter;

	if (nqueries < MAX_QUERIES)
		return;
	dlist_reverse_foreach(iter, &queries)
	{
		CkQuery    *query = dlist_container(CkQuery, link, iter.cur);

		if (query->users == 0)
		{
			free_query(query);
			return;
		}
	}
}

static CkQuery *
make_query(const char *text, uint64 hash, StringInfo settings)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "cachekit query",
												  ALLOCSET_SMALL_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	CkQuery    *query = palloc0(sizeof(CkQuery));

	query->context = context;
	query->hash = hash;
	query->text = pstrdup(text);
	query->userid = GetUserId();
	query->session_userid = GetSessionUserId();
	initStringInfo(&query->settings);
	appendBinaryStringInfo(&query->settings, settings->data, settings->len);
	query->path_at = settings->len - strlen(namespace_search_path);
	analyse(query);
	MemoryContextSwitchTo(old);

	/* From here on nothing fails: keep it. */
	trim_queries();
	SaveCachedPlan(query->source);
	MemoryContextSetParent(context, CacheMemoryContext);
	dlist_push_head(&queries, &query->link);
	nqueries++;
	return query;
}

static bool
same_query(const CkQuery *query, const char *text, uint64 hash, StringInfo settings)
{
	return query->hash == hash &&
		query->userid == GetUserId() &&
		query->session_userid == GetSessionUserId() &&
		query->settings.len == settings->len &&
		memcmp(query->settings.data, settings->data, settings->len) == 0 &&
		strcmp(query->text, text) == 0;
}

static CkQuery *
find_query(const char *text, uint64 hash, StringInfo settings)
{
	CkQuery    *query = buckets[hash % QUERY_BUCKETS];
	dlist_iter	iter;

	if (query != NULL && same_query(query, text, hash, settings))
		return query;
	dlist_foreach(iter, &queries)
	{
		query = dlist_container(CkQuery, link, iter.cur);
		if (same_query(query, text, hash, settings))
			return query;
	}
	return NULL;
}

/* Settings as bytes in a buffer that is used again by the next call. */
static StringInfo
current_settings(void)
{
	static StringInfoData buf = {0};

	if (buf.data == NULL)
	{
		MemoryContext old = MemoryContextSwitchTo(TopMemoryContext);

		initStringInfo(&buf);
		MemoryContextSwitchTo(old);
	}
	resetStringInfo(&buf);
	ck_fingerprint_settings(&buf);
	return &buf;
}

/*
 * search_path is left out of an entry's identity: names are resolved in the
 * tree.  Here it must count.
 */
static uint64
hash_query(const char *text, StringInfo settings)
{
	uint64		h;

	appendStringInfoString(settings, namespace_search_path);
	h = hash_bytes_extended((const unsigned char *) text, strlen(text), GetUserId());
	return hash_combine64(h, hash_bytes_extended((unsigned char *) settings->data,
												 settings->len, 0));
}

/*
 * Find or make the analysed form of a query text, up to date, with the locks
 * on its relations that running it would take.  To be given back with
 * ck_query_close().  Raises whatever is wrong with the query.
 */
CkQuery *
ck_query_open(const char *text)
{
	ErrorContextCallback callback;
	StringInfo	settings = current_settings();
	uint64		hash = hash_query(text, settings);
	CkQuery    *query;

	AcceptInvalidationMessages();
	callback.callback = query_error_cb;
	callback.arg = unconstify(char *, text);
	callback.previous = error_context_stack;
	error_context_stack = &callback;

	query = find_query(text, hash, settings);
	if (query != NULL && (query->relative || !ck_query_means_the_same(query)))
	{
		free_query(query);
		query = NULL;
	}
	if (query == NULL)
		query = make_query(text, hash, settings);
	else if (query->link.prev != &queries.head)
		dlist_move_head(&queries, &query->link);
	buckets[hash % QUERY_BUCKETS] = query;

	/* Analyses again if need be, and locks. */
	query->users++;
	nopen++;
	(void) CachedPlanGetTargetList(query->source, NULL);
	error_context_stack = callback.previous;
	return query;
}

/* Callers that are left by an error do not get here: see the next function. */
void
ck_query_close(CkQuery *query)
{
	Assert(query->users > 0);
	query->users--;
	nopen--;
	if (query->dead && query->users == 0)
		free_query(query);
}

/* Close what errors have left open. */
void
ck_query_at_xact_end(void)
{
	dlist_iter	iter;

	if (nopen == 0)
		return;
	nopen = 0;
	dlist_foreach(iter, &queries)
		dlist_container(CkQuery, link, iter.cur)->users = 0;
	while (!dlist_is_empty(&doomed))
	{
		CkQuery    *query = dlist_head_element(CkQuery, link, &doomed);

		query->users = 0;
		free_query(query);
	}
}

TupleDesc
ck_query_desc(CkQuery *query)
{
	return query->source->resultDesc;
}

/* ---------------- parameters ---------------- */

typedef struct ArgumentError
{
	int			number;
} ArgumentError;

static void
argument_error_cb(void *arg)
{
	errcontext("parameter $%d of the cached query", ((ArgumentError *) arg)->number);
}

static void
check_argument_count(CkQuery *query, int nargs)
{
	if (nargs < query->nargs)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_PARAMETER),
				 errmsg("there is no value for parameter $%d", nargs + 1),
				 errdetail("The query has %d parameters, \"args\" has %d elements.",
						   query->nargs, nargs),
				 errhint("Pass one element for each parameter.")));
	if (nargs > query->nargs)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_PARAMETER),
				 errmsg("there is no parameter $%d", query->nargs + 1),
				 errdetail("The query has %d parameters, \"args\" has %d elements.",
						   query->nargs, nargs),
				 errhint("Pass one element for each parameter.")));
}

/*
 * Turn text arguments into values by the input functions of the inferred
 * types, in the current memory context.  NULL without parameters.
 */
ParamListInfo
ck_query_params(CkQuery *query, Datum *args, bool *nulls, int nargs)
{
	ErrorContextCallback callback;
	ArgumentError state;
	ParamListInfo params;

	check_argument_count(query, nargs);
	if (nargs == 0)
		return NULL;
	callback.callback = argument_error_cb;
	callback.arg = &state;
	callback.previous = error_context_stack;
	error_context_stack = &callback;
	params = makeParamList(nargs);
	for (int i = 0; i < nargs; i++)
	{
		ParamExternData *param = &params->params[i];
		Oid			input;
		Oid			ioparam;
		char	   *string = nulls[i] ? NULL : TextDatumGetCString(args[i]);

		state.number = i + 1;
		getTypeInputInfo(query->argtypes[i], &input, &ioparam);
		param->value = OidInputFunctionCall(input, string, ioparam, -1);
		param->isnull = nulls[i];
		param->pflags = PARAM_FLAG_CONST;
		param->ptype = query->argtypes[i];
	}
	error_context_stack = callback.previous;
	return params;
}

/* ---------------- execution ---------------- */

/*
 * Run the query under the given snapshot, which must be active, and send the
 * rows, which must be of type `rows`, to dest.
 */
void
ck_query_run(CkQuery *query, ParamListInfo params, Snapshot snapshot,
			 TupleDesc rows, DestReceiver *dest)
{
	ErrorContextCallback callback;
	CachedPlan *plan;
	QueryDesc  *desc;

	callback.callback = query_error_cb;
	callback.arg = query->text;
	callback.previous = error_context_stack;
	error_context_stack = &callback;

	plan = GetCachedPlan(query->source, params, CurrentResourceOwner, NULL);
	if (!equalTupleDescs(query->source->resultDesc, rows))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("the query's row type has changed while it was called"),
				 errhint("Call it again.")));
	desc = CreateQueryDesc(linitial_node(PlannedStmt, plan->stmt_list), query->text,
						   snapshot, InvalidSnapshot, dest, params, NULL, 0);
	ExecutorStart(desc, 0);
	CkExecutorRun(desc);
	ExecutorFinish(desc);
	ExecutorEnd(desc);
	FreeQueryDesc(desc);
	ReleaseCachedPlan(plan, CurrentResourceOwner);

	error_context_stack = callback.previous;
}
