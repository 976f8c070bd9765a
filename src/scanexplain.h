/*-------------------------------------------------------------------------
 *
 * scanexplain.h
 *	  What EXPLAIN shows of a CachedResult.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CK_SCANEXPLAIN_H
#define CK_SCANEXPLAIN_H

#include "commands/explain.h"
#include "executor/execdesc.h"

#include "compat.h"
#include "serve.h"

typedef struct CkScanOutcome
{
	const char *state;			/* hit, miss, stale, bypass; NULL: never executed */
	uint32		cost_us;		/* of a hit: what computing it took */
	CkRequest  *request;		/* NULL: not known */
	QueryDesc  *child;			/* NULL: not started */
	const CkEntryMeta *meta;	/* of a hit: the entry's */
} CkScanOutcome;

extern void ck_scan_explain(CkScanOutcome *outcome, ExplainState *es);
extern const char *ck_explain_state(const CkRequest *request, CkState state);
extern char *ck_explain_reason(CkRequest *request);

#endif							/* CK_SCANEXPLAIN_H */
