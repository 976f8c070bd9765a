/*-------------------------------------------------------------------------
 *
 * result.h
 *	  Where the rows of a cached query go.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CK_RESULT_H
#define CK_RESULT_H

#include "fmgr.h"

#include "serve.h"

typedef struct CkTarget CkTarget;

extern CkTarget *ck_result_rows(FunctionCallInfo fcinfo, CkRequest *request);
extern CkTarget *ck_result_json(CkRequest *request);
extern Datum ck_result_json_datum(CkTarget *target);
extern void ck_result_answer(CkTarget *target);
extern bool ck_result_refresh(CkRequest *request);
extern void ck_result_scalar(CkQuery *query, Snapshot snapshot,
							 Datum *value, bool *isnull);

#endif							/* CK_RESULT_H */
