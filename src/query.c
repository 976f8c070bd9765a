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
 * Transparent queries come from the planner as trees.  Their text only finds
 * them; which of several trees of one text it is, equal() decides.  What a
 * tree means is the business of whoever analysed it (the plan cache, mostly),
 * so the names in the text do not matter, and a change of functions etc. only
 * has the dependencies derived again (ck_query_refresh).
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
#include "optimizer/optimizer.h"
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
#include "xact.h"

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
static dlist_head buckets[QUERY_BUCKETS];	/* by hash, latest found first */
static CkQuery *by_id[QUERY_BUCKETS];	/* some of them: see find_id() */
static uint64 last_id = 0;
int			ck_query_planning = 0;

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

	if (query->analysed != ck_analysis_generation)
		return false;
	if (query->tree != NULL)
		return true;			/* whoever made the tree looks after that */
	if (!CachedPlanIsValid(query->source))
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
	dlist_delete(&query->link);
	if (!query->dead)
	{
		dlist_delete(&query->chain);
		nqueries--;
		if (by_id[query->id % QUERY_BUCKETS] == query)
			by_id[query->id % QUERY_BUCKETS] = NULL;
	}
	if (query->users > 0)
	{
		query->dead = true;
		dlist_push_head(&doomed, &query->link);
		return;
	}
	if (query->source)
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

/* An empty one, in a context of its own below the current one. */
static CkQuery *
new_query(const char *text, int len, uint64 hash, StringInfo settings)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "cachekit query",
												  ALLOCSET_SMALL_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	CkQuery    *query = palloc0(sizeof(CkQuery));

	query->context = context;
	query->hash = hash;
	query->id = ++last_id;
	query->text = pnstrdup(text, len);
	query->userid = GetUserId();
	query->session_userid = GetSessionUserId();
	initStringInfo(&query->settings);
	appendBinaryStringInfo(&query->settings, settings->data, settings->len);
	query->path_at = settings->len - strlen(namespace_search_path);
	MemoryContextSwitchTo(old);
	return query;
}

/* Keep what is complete.  Nothing fails here. */
static void
remember(CkQuery *query)
{
	trim_queries();
	if (query->source)
		SaveCachedPlan(query->source);
	MemoryContextSetParent(query->context, CacheMemoryContext);
	dlist_push_head(&queries, &query->link);
	dlist_push_head(&buckets[query->hash % QUERY_BUCKETS], &query->chain);
	nqueries++;
}

static CkQuery *
make_query(const char *text, uint64 hash, StringInfo settings)
{
	CkQuery    *query = new_query(text, strlen(text), hash, settings);
	MemoryContext old = MemoryContextSwitchTo(query->context);

	analyse(query);
	if (query->nargs > 0)
		query->params = bms_add_range(NULL, 1, query->nargs);
	MemoryContextSwitchTo(old);
	remember(query);
	return query;
}

/* External parameters that a query uses. */
static bool
collect_params(Node *node, void *context)
{
	CkQuery    *query = context;

	if (node == NULL)
		return false;
	if (IsA(node, Query))
		return query_tree_walker((Query *) node, collect_params, context, 0);
	if (IsA(node, Param) && ((Param *) node)->paramkind == PARAM_EXTERN)
		query->params = bms_add_member(query->params, ((Param *) node)->paramid);
	return expression_tree_walker(node, collect_params, context);
}

static CkQuery *
make_tree_query(Query *tree, const char *text, int len, uint64 hash, StringInfo settings)
{
	CkQuery    *query = new_query(text, len, hash, settings);
	MemoryContext old = MemoryContextSwitchTo(query->context);

	query->tree = copyObject(tree);
	query->desc = ExecCleanTypeFromTL(query->tree->targetList);
	query->messages = SharedInvalidMessageCounter;
	query->analysed = ck_analysis_generation;
	(void) collect_params((Node *) query->tree, query);
	extract_query_dependencies((Node *) query->tree, &query->relation_oids,
							   &query->inval_items, &query->depends_on_role);
	MemoryContextSwitchTo(old);
	remember(query);
	return query;
}

/* Was the query made by this user, under these settings? */
static bool
same_session(const CkQuery *query, StringInfo settings)
{
	return query->userid == GetUserId() &&
		query->session_userid == GetSessionUserId() &&
		query->settings.len == settings->len &&
		memcmp(query->settings.data, settings->data, settings->len) == 0;
}

/*
 * Does the query have this text, and this tree if it was made from one?  The
 * same text may have several trees: variables of a function, say.
 */
static bool
same_query(const CkQuery *query, const char *text, int len, uint64 hash,
		   StringInfo settings, Query *tree)
{
	return query->hash == hash &&
		same_session(query, settings) &&
		strncmp(query->text, text, len) == 0 && query->text[len] == '\0' &&
		(query->tree == NULL) == (tree == NULL) &&
		(tree == NULL || equal(query->tree, tree));
}

static CkQuery *
find_query(const char *text, int len, uint64 hash, StringInfo settings, Query *tree)
{
	dlist_head *bucket = &buckets[hash % QUERY_BUCKETS];
	dlist_iter	iter;

	if (bucket->head.next == NULL)
		return NULL;			/* not used yet */
	dlist_foreach(iter, bucket)
	{
		CkQuery    *query = dlist_container(CkQuery, chain, iter.cur);

		if (same_query(query, text, len, hash, settings, tree))
		{
			dlist_move_head(bucket, &query->chain);
			return query;
		}
	}
	return NULL;
}

/*
 * Settings as bytes in a buffer that is used again by the next call.  Most
 * often they are what they were then.
 */
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
	else
	{
		Size		len = ck_fingerprint_settings_are(buf.data);

		if (len > 0 && strcmp(buf.data + len, namespace_search_path) == 0)
			return &buf;
	}
	resetStringInfo(&buf);
	ck_fingerprint_settings(&buf);
	/* left out of an entry's identity, where names are resolved; not here */
	appendStringInfoString(&buf, namespace_search_path);
	return &buf;
}

static uint64
hash_text(const char *text, int len)
{
	return hash_bytes_extended((const unsigned char *) text, len, GetUserId());
}

/* Close what errors have left open. */
static void
at_xact_end(void)
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

static const CkXactHooks xact_hooks = {
	.end = at_xact_end
};

static void
use_query(CkQuery *query)
{
	if (!query->dead && query->link.prev != &queries.head)
		dlist_move_head(&queries, &query->link);
	if (ck_xact_join(&xact_hooks))
		Assert(nopen == 0);
	query->users++;
	nopen++;
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
	int			len = strlen(text);
	uint64		hash = hash_text(text, len);
	CkQuery    *query;

	AcceptInvalidationMessages();
	callback.callback = query_error_cb;
	callback.arg = unconstify(char *, text);
	callback.previous = error_context_stack;
	error_context_stack = &callback;

	query = find_query(text, len, hash, settings, NULL);
	if (query != NULL && (query->relative || !ck_query_means_the_same(query)))
	{
		free_query(query);
		query = NULL;
	}
	if (query == NULL)
		query = make_query(text, hash, settings);
	use_query(query);

	/* Analyses again if need be, and locks. */
	(void) CachedPlanGetTargetList(query->source, NULL);
	error_context_stack = callback.previous;
	return query;
}

/*
 * Might ck_query_open_tree() know a tree of this text already?  Cheap.
 */
bool
ck_query_known(const char *text, int len)
{
	uint64		hash;
	dlist_head *bucket;
	dlist_iter	iter;

	if (nqueries == 0)
		return false;
	hash = hash_text(text, len);
	bucket = &buckets[hash % QUERY_BUCKETS];
	if (bucket->head.next == NULL)
		return false;
	dlist_foreach(iter, bucket)
	{
		CkQuery    *query = dlist_container(CkQuery, chain, iter.cur);

		if (query->hash == hash && query->tree != NULL)
			return true;
	}
	return false;
}

/*
 * The same for a tree that somebody else has analysed and rewritten, and whose
 * relations he has locked.  The tree is copied if it is new, the text, of
 * `len` bytes, too.
 */
CkQuery *
ck_query_open_tree(Query *tree, const char *text, int len)
{
	StringInfo	settings = current_settings();
	uint64		hash = hash_text(text, len);
	CkQuery    *query = find_query(text, len, hash, settings, tree);

	if (query == NULL)
		query = make_tree_query(tree, text, len, hash, settings);
	use_query(query);
	return query;
}

/* A query that is remembered; NULL: it is not any more. */
static CkQuery *
find_id(uint64 id)
{
	CkQuery    *query = by_id[id % QUERY_BUCKETS];
	dlist_iter	iter;

	if (query != NULL && query->id == id)
		return query;
	dlist_foreach(iter, &queries)
	{
		query = dlist_container(CkQuery, link, iter.cur);
		if (query->id == id)
			return by_id[id % QUERY_BUCKETS] = query;
	}
	return NULL;
}

/*
 * Open again what has this id, if it is still there, and user and settings are
 * still those that it was made for.
 */
CkQuery *
ck_query_reopen(uint64 id)
{
	CkQuery    *query = find_id(id);

	if (query == NULL || !same_session(query, current_settings()))
		return NULL;
	use_query(query);
	return query;
}

/*
 * Derive a tree's dependencies again if something that its meaning may depend
 * on has changed, as far as messages accepted by now tell.
 */
void
ck_query_refresh(CkQuery *query)
{
	if (query->analysed == ck_analysis_generation)
		return;
	query->deps_valid = false;
	query->analysed = ck_analysis_generation;
}

/* Callers that are left by an error do not get here: see at_xact_end(). */
void
ck_query_close(CkQuery *query)
{
	Assert(query->users > 0);
	query->users--;
	nopen--;
	if (query->dead && query->users == 0)
		free_query(query);
}

TupleDesc
ck_query_desc(CkQuery *query)
{
	return query->tree ? query->desc : query->source->resultDesc;
}

Query *
ck_query_tree(CkQuery *query)
{
	return query->tree ? query->tree :
		linitial_node(Query, query->source->query_list);
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
 * The plan for these parameters, for ck_query_run() or to be released by the
 * current resource owner.  A snapshot must be active.  Transparent mode leaves
 * it alone: the query is cached already.
 */
CachedPlan *
ck_query_plan(CkQuery *query, ParamListInfo params)
{
	ErrorContextCallback callback;
	CachedPlan *plan;

	callback.callback = query_error_cb;
	callback.arg = query->text;
	callback.previous = error_context_stack;
	error_context_stack = &callback;
	ck_query_planning++;
	PG_TRY();
	{
		plan = GetCachedPlan(query->source, params, CurrentResourceOwner, NULL);
	}
	PG_FINALLY();
	{
		ck_query_planning--;
	}
	PG_END_TRY();
	error_context_stack = callback.previous;
	return plan;
}

/*
 * Run the query under the given snapshot, which must be active, and send the
 * rows, which must be of type `rows`, to dest.  Uses up the plan, if one is
 * given, else makes one.
 */
void
ck_query_run(CkQuery *query, CachedPlan *plan, ParamListInfo params,
			 Snapshot snapshot, TupleDesc rows, DestReceiver *dest)
{
	ErrorContextCallback callback;
	QueryDesc  *desc;

	if (plan == NULL)
		plan = ck_query_plan(query, params);
	callback.callback = query_error_cb;
	callback.arg = query->text;
	callback.previous = error_context_stack;
	error_context_stack = &callback;

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
