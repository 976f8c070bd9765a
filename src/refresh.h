/*-------------------------------------------------------------------------
 *
 * refresh.h
 *	  Query results that a worker computes: asking for them, and doing it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CK_REFRESH_H
#define CK_REFRESH_H

#include "utils/array.h"

#include "serve.h"
#include "warm.h"

/* What has become of a job. */
typedef enum CkRefresh
{
	CK_REFRESH_DONE,			/* computed and stored */
	CK_REFRESH_NONE,			/* not needed, or not possible now */
	CK_REFRESH_USELESS			/* to be forgotten */
} CkRefresh;

extern bool ck_refresh_possible(void);
extern void ck_refresh_note(CkRequest *request, const char *text, ArrayType *args,
							ArrayType *tags, bool keep_warm);
extern CkRefresh ck_refresh_run(const CkWarmJob *job);

#endif							/* CK_REFRESH_H */
