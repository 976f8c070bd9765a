/*-------------------------------------------------------------------------
 *
 * cached_query.h
 *	  What other entry points use of cached queries.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CK_CACHED_QUERY_H
#define CK_CACHED_QUERY_H

#include "fmgr.h"

#include "serve.h"

#define CK_CACHED_QUERY_ARGS	6	/* one more with a row type in front */

extern void ck_cached_query_open(FunctionCallInfo fcinfo, int n, CkRequest *request);
extern void ck_cached_query_answered(FunctionCallInfo fcinfo, int n, CkRequest *request);
extern Datum ck_query_scalar_text(const char *query, bool *isnull);

#endif							/* CK_CACHED_QUERY_H */
