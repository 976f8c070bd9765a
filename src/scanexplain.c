/*-------------------------------------------------------------------------
 *
 * scanexplain.c
 *	  What EXPLAIN shows of a CachedResult.
 *
 * State, reason, key, dependencies and time saved; and the plan below, if it
 * was started, as a plan of its own, since that is what it is.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/ruleutils.h"

#include "compat.h"
#include "fingerprint.h"
#include "scanexplain.h"

/* What happens, or would happen, to a call. */
const char *
ck_explain_state(const CkRequest *request, CkState state)
{
	if (request->bypass != CK_BYPASS_NONE)
		return "bypass";
	switch (state)
	{
		case CK_STATE_HIT:
			return "hit";
		case CK_STATE_STALE:
			return "stale";
		default:
			return "miss";
	}
}

/* Why a call goes past the cache, and why its query is not exact; or NULL. */
char *
ck_explain_reason(CkRequest *request)
{
	StringInfoData buf;
	ListCell   *lc;

	initStringInfo(&buf);
	foreach(lc, request->query->depends.reasons)
		appendStringInfo(&buf, "%s%s", buf.len ? "; " : "",
						 ((CkReason *) lfirst(lc))->text);
	if (request->bypass != CK_BYPASS_NONE &&
		request->bypass != CK_BYPASS_NOT_CACHEABLE)
		appendStringInfo(&buf, "%s%s", buf.len ? "; " : "",
						 ck_bypass_name(request->bypass));
	return buf.len ? buf.data : NULL;
}

/* Keys are known from the entry, or from the plan. */
static void
explain_keys(CkScanOutcome *outcome, ExplainState *es)
{
	CkQuery    *query = outcome->request->query;
	const char *text = NULL;
	int			len = 0;
	CkPlanDeps	deps = {0};
	List	   *names;

	if (outcome->meta)
		text = ck_serve_keys_text(outcome->meta, &len);
	else if (outcome->child &&
			 ck_plandeps(outcome->child->plannedstmt, outcome->request->params,
						 query, &deps))
		text = deps.text, len = deps.textlen;
	names = ck_plandeps_names(query->depends.relations, text, len);
	ExplainPropertyList("Depends On", names, es);
}

static void
explain_dependencies(CkRequest *request, ExplainState *es)
{
	List	   *names = NIL;
	ListCell   *lc;

	if (!request->query->deps_valid)
		return;
	foreach(lc, request->query->depends.relations)
	{
		Oid			relid = lfirst_oid(lc);
		char	   *name = get_rel_name(relid);

		if (name == NULL)
			continue;
		names = lappend(names, es->verbose ?
						quote_qualified_identifier(get_namespace_name(get_rel_namespace(relid)), name) :
						(char *) quote_identifier(name));
	}
	ExplainPropertyList("Depends On", names, es);
}

static void
explain_child(CkScanOutcome *outcome, ExplainState *es)
{
	ExplainState saved = *es;

	ExplainOpenGroup("Cached Plan", "Cached Plan", true, es);
	if (es->format == EXPLAIN_FORMAT_TEXT)
		es->indent++;
	es->settings = false;		/* shown once, with the outer plan */
	ExplainPrintPlan(es, outcome->child);
	if (es->costs)
		ExplainPrintJITSummary(es, outcome->child);
	if (es->format == EXPLAIN_FORMAT_TEXT)
		es->indent--;
	ExplainCloseGroup("Cached Plan", "Cached Plan", true, es);

	/* what belongs to the outer plan */
	es->settings = saved.settings;
	es->indent = saved.indent;
	es->pstmt = saved.pstmt;
	es->rtable = saved.rtable;
	es->rtable_names = saved.rtable_names;
	es->deparse_cxt = saved.deparse_cxt;
	es->printed_subplans = saved.printed_subplans;
	es->hide_workers = saved.hide_workers;
}

void
ck_scan_explain(CkScanOutcome *outcome, ExplainState *es)
{
	CkRequest  *request = outcome->request;
	char	   *reason;

	if (outcome->state)
		ExplainPropertyText("Cache", outcome->state, es);
	if (request)
	{
		reason = ck_explain_reason(request);
		if (reason && request->bypass != CK_BYPASS_NONE)
			ExplainPropertyText("Reason", reason, es);
		if (request->key.data)
			ExplainPropertyText("Key", ck_fingerprint_hex(request->key.data,
														  request->key.len), es);
		if (request->query->deps_valid && request->query->keyed != NIL)
			explain_keys(outcome, es);
		else
			explain_dependencies(request, es);
	}
	if (es->analyze && es->timing && outcome->cost_us > 0)
		ExplainPropertyFloat("Time Saved", "ms", outcome->cost_us / 1000.0, 3, es);
	if (outcome->child)
		explain_child(outcome, es);
}
