/*-------------------------------------------------------------------------
 *
 * advice.c
 *	  What the view cachekit_advice is made of: the statements that
 *	  pg_stat_statements knows, and what can be said of the text of one.
 *
 * The texts are normalised: constants have become parameters, whose types must
 * be inferred as PREPARE does it.  That fails for some (`interval $1` is no
 * SQL), names may mean nothing, or something else, under the search_path of
 * whoever asks, and row security is that of who asks, too.  So each text is
 * analysed in a subtransaction: an error becomes a reason, and the locks are
 * given back.  Nothing is run.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/transam.h"
#include "access/xact.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "funcapi.h"
#include "nodes/nodeFuncs.h"
#include "parser/parsetree.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/lsyscache.h"
#include "utils/resowner.h"
#include "utils/tuplestore.h"

#include "counters.h"
#include "derive.h"
#include "keys.h"
#include "statements.h"
#include "track.h"

PG_FUNCTION_INFO_V1(cachekit_stat_statements);
PG_FUNCTION_INFO_V1(cachekit_stat_text);

/* ---------------- statements ---------------- */

/* Copy the rows of SPI's result. */
static void
put_spi_rows(ReturnSetInfo *info)
{
	int			ncolumns = info->setDesc->natts;
	Datum	   *values = palloc(ncolumns * sizeof(Datum));
	bool	   *nulls = palloc(ncolumns * sizeof(bool));

	for (uint64 i = 0; i < SPI_processed; i++)
	{
		heap_deform_tuple(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, values, nulls);
		tuplestore_putvalues(info->setResult, info->setDesc, values, nulls);
	}
}

/*
 * cachekit_stat_statements() -> (queryid, query, calls, total_exec_ms, rows,
 * since): of this database; no row without pg_stat_statements.
 */
Datum
cachekit_stat_statements(PG_FUNCTION_ARGS)
{
	char	   *query;

	InitMaterializedSRF(fcinfo, 0);
	SPI_connect();
	query = ck_statements_query();
	if (query != NULL)
	{
		if (SPI_execute(query, true, 0) != SPI_OK_SELECT)
			elog(ERROR, "could not read pg_stat_statements");
		put_spi_rows((ReturnSetInfo *) fcinfo->resultinfo);
	}
	SPI_finish();
	return (Datum) 0;
}

/* ---------------- one text ---------------- */

/* What was found out.  Lists are of the caller's memory. */
typedef struct Advice
{
	bool		exact;			/* cacheable as it is */
	bool		trackable;		/* would be, if its tables were tracked */
	bool		never;			/* not even with a ttl */
	char	   *reason;			/* NULL: none */
	int			nparameters;
	List	   *tables;			/* Oids: what users' relations it reads */
	List	   *columns;		/* of each, a column that could be its key, or 0 */
} Advice;

/* Is the operator an equality that a hash or an index could use? */
static bool
is_equality(Oid operator, Oid type)
{
	return op_mergejoinable(operator, type) || op_hashjoinable(operator, type);
}

static Node *
without_relabel(Node *node)
{
	while (node != NULL && IsA(node, RelabelType))
		node = (Node *) ((RelabelType *) node)->arg;
	return node;
}

/* If a clause is "column = parameter or constant", that column. */
static Var *
fixed_column(Node *clause)
{
	Node	   *left;
	Node	   *right;

	if (!IsA(clause, OpExpr) || list_length(((OpExpr *) clause)->args) != 2)
		return NULL;
	left = without_relabel(linitial(((OpExpr *) clause)->args));
	right = without_relabel(lsecond(((OpExpr *) clause)->args));
	if (!IsA(left, Var))
	{
		Node	   *swap = left;

		left = right;
		right = swap;
	}
	if (!IsA(left, Var) || !(IsA(right, Param) || IsA(right, Const)) ||
		((Var *) left)->varlevelsup > 0 || ((Var *) left)->varattno <= 0 ||
		!is_equality(((OpExpr *) clause)->opno, exprType(left)))
		return NULL;
	return (Var *) left;
}

/* The first column of a table that the WHERE clause fixes; 0: none. */
static int
key_column(Query *tree, Oid relid)
{
	List	   *clauses;
	ListCell   *lc;

	if (tree->jointree == NULL || tree->jointree->quals == NULL)
		return 0;
	clauses = is_andclause(tree->jointree->quals) ?
		((BoolExpr *) tree->jointree->quals)->args :
		list_make1(tree->jointree->quals);
	foreach(lc, clauses)
	{
		Var		   *var = fixed_column(lfirst(lc));

		if (var != NULL && rt_fetch(var->varno, tree->rtable)->rtekind == RTE_RELATION &&
			rt_fetch(var->varno, tree->rtable)->relid == relid)
			return var->varattno;
	}
	return 0;
}

/*
 * Could the table be tracked by that column, as far as cache_track() is
 * concerned?
 */
static bool
may_be_key(Oid relid, int column)
{
	char		relkind = get_rel_relkind(relid);
	FmgrInfo	hash;

	if (relkind != RELKIND_RELATION && relkind != RELKIND_PARTITIONED_TABLE)
		return false;
	if ((has_subclass(relid) && relkind != RELKIND_PARTITIONED_TABLE) ||
		(has_superclass(relid) && !get_rel_relispartition(relid)))
		return false;			/* plain inheritance */
	return get_attgenerated(relid, column) == '\0' &&
		ck_keys_hash_function(get_atttype(relid, column), &hash, CurrentMemoryContext);
}

/* What collect_tables() fills in. */
typedef struct TableWalk
{
	List	   *tables;			/* Oids of users' relations, foreign ones, too */
	List	   *repeated;		/* of those, the ones that occur more than once */
} TableWalk;

/* Add the relations anywhere in the tree. */
static bool
collect_tables(Node *node, void *context)
{
	TableWalk  *walk = context;

	if (node == NULL)
		return false;
	if (IsA(node, RangeTblEntry))
	{
		RangeTblEntry *rte = (RangeTblEntry *) node;

		if (rte->rtekind != RTE_RELATION || rte->relid < FirstNormalObjectId ||
			rte->relkind == RELKIND_VIEW)
			return false;
		if (list_member_oid(walk->tables, rte->relid))
			walk->repeated = list_append_unique_oid(walk->repeated, rte->relid);
		else
			walk->tables = lappend_oid(walk->tables, rte->relid);
		return false;
	}
	if (IsA(node, Query))
		return query_tree_walker((Query *) node, collect_tables, context,
								 QTW_EXAMINE_RTES_BEFORE);
	return expression_tree_walker(node, collect_tables, context);
}

/* Might cache_track() make the query exact? */
static bool
is_trackable(CkQuery *query, Query *tree)
{
	CkDepends	depends;
	ListCell   *lc;
	bool		foreign;

	ck_depwalk(tree, &depends);
	if (depends.reasons != NIL || query->never)
		return false;
	foreach(lc, depends.relations)
	{
		(void) ck_track_family(lfirst_oid(lc), &foreign);
		if (foreign)
			return false;
	}
	return true;
}

static char *
join_reasons(List *reasons)
{
	StringInfoData buf;
	ListCell   *lc;

	initStringInfo(&buf);
	foreach(lc, reasons)
		appendStringInfo(&buf, "%s%s", buf.len ? "; " : "",
						 ((CkReason *) lfirst(lc))->text);
	return buf.len ? buf.data : NULL;
}

static void
examine(const char *text, Advice *advice)
{
	CkQuery    *query = ck_query_open(text);
	Query	   *tree = linitial_node(Query, query->source->query_list);
	TableWalk	walk = {0};
	ListCell   *lc;

	if (!ck_derive_dependencies(query))
	{
		advice->never = true;
		advice->reason = pstrdup(ck_bypass_name(CK_BYPASS_NO_MEMORY));
		ck_query_close(query);
		return;
	}
	advice->exact = !query->inexact;
	advice->never = query->never;
	advice->trackable = is_trackable(query, tree);
	advice->reason = join_reasons(query->depends.reasons);
	advice->nparameters = query->nargs;
	(void) collect_tables((Node *) tree, &walk);
	advice->tables = walk.tables;
	foreach(lc, walk.tables)
	{
		int			column = key_column(tree, lfirst_oid(lc));

		/* Each scan of a table must fix the key: only one is looked at. */
		if (column != 0 && (list_member_oid(walk.repeated, lfirst_oid(lc)) ||
							!may_be_key(lfirst_oid(lc), column)))
			column = 0;
		advice->columns = lappend_int(advice->columns, column);
	}
	ck_query_close(query);
}

/* Is the error about the session, not about the text? */
static bool
must_be_raised(ErrorData *error)
{
	int			category = ERRCODE_TO_CATEGORY(error->sqlerrcode);

	return category == ERRCODE_OPERATOR_INTERVENTION ||
		category == ERRCODE_INSUFFICIENT_RESOURCES;
}

/* examine(), with errors as reasons and all locks given back. */
static void
examine_softly(const char *text, Advice *advice)
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	ErrorData  *volatile error = NULL;

	memset(advice, 0, sizeof(*advice));
	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(context);
	PG_TRY();
	{
		examine(text, advice);
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		FlushErrorState();
	}
	PG_END_TRY();
	RollbackAndReleaseCurrentSubTransaction();
	MemoryContextSwitchTo(context);
	CurrentResourceOwner = owner;
	if (error == NULL)
		return;
	if (must_be_raised(error))
		ReThrowError(error);
	memset(advice, 0, sizeof(*advice));
	advice->never = true;
	advice->reason = error->message;
}

/*
 * Rows written to a table, by statements on whatever member of its tree, as
 * the statistics system has counted them.
 */
static int64
rows_written(Oid relid)
{
	List	   *members = find_all_inheritors(relid, NoLock, NULL);
	ListCell   *lc;
	int64		n = 0;

	foreach(lc, members)
	{
		Datum		member = ObjectIdGetDatum(lfirst_oid(lc));

		n += DatumGetInt64(DirectFunctionCall1(pg_stat_get_tuples_inserted, member)) +
			DatumGetInt64(DirectFunctionCall1(pg_stat_get_tuples_updated, member)) +
			DatumGetInt64(DirectFunctionCall1(pg_stat_get_tuples_deleted, member));
	}
	return n;
}

/* Three arrays, of one element for each table. */
static void
put_tables(const Advice *advice, Datum *values)
{
	int			n = list_length(advice->tables);
	Datum	   *oids = palloc(Max(n, 1) * sizeof(Datum));
	Datum	   *written = palloc(Max(n, 1) * sizeof(Datum));
	Datum	   *columns = palloc(Max(n, 1) * sizeof(Datum));
	bool	   *nulls = palloc(Max(n, 1) * sizeof(bool));
	int			dims[1] = {n};
	int			bounds[1] = {1};

	for (int i = 0; i < n; i++)
	{
		Oid			relid = list_nth_oid(advice->tables, i);
		int			column = list_nth_int(advice->columns, i);
		char	   *name = column ? get_attname(relid, column, true) : NULL;

		oids[i] = ObjectIdGetDatum(relid);
		written[i] = Int64GetDatum(rows_written(relid));
		nulls[i] = name == NULL;
		columns[i] = name ? CStringGetTextDatum(name) : (Datum) 0;
	}
	values[0] = PointerGetDatum(construct_array(oids, n, REGCLASSOID, sizeof(Oid),
												true, TYPALIGN_INT));
	values[1] = PointerGetDatum(construct_array(written, n, INT8OID, sizeof(int64),
												FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
	values[2] = PointerGetDatum(construct_md_array(columns, nulls, n > 0 ? 1 : 0, dims,
												   bounds, TEXTOID, -1, false,
												   TYPALIGN_INT));
}

/*
 * cachekit_stat_text(query) -> (exact, trackable, never, reason, parameters,
 * tables, rows_written, key_columns)
 */
Datum
cachekit_stat_text(PG_FUNCTION_ARGS)
{
	TupleDesc	desc;
	Advice		advice;
	Datum		values[8];
	bool		nulls[8] = {false};

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	ck_track_set_namespace(fcinfo->flinfo->fn_oid);
	examine_softly(text_to_cstring(PG_GETARG_TEXT_PP(0)), &advice);
	values[0] = BoolGetDatum(advice.exact);
	values[1] = BoolGetDatum(advice.trackable);
	values[2] = BoolGetDatum(advice.never);
	nulls[3] = advice.reason == NULL;
	if (!nulls[3])
		values[3] = CStringGetTextDatum(advice.reason);
	values[4] = Int32GetDatum(advice.nparameters);
	put_tables(&advice, &values[5]);
	return HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls));
}
