/*-------------------------------------------------------------------------
 *
 * denorm_refresh.h
 *	  Computing rows of a denormalized table anew.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CK_DENORM_REFRESH_H
#define CK_DENORM_REFRESH_H

#include "activity.h"
#include "denorm_def.h"

typedef enum CkDenormLockKind
{
	CK_DENORM_LOCK_KEY,
	CK_DENORM_LOCK_EDGE
} CkDenormLockKind;

#define CK_DENORM_ALWAYS_BY_KEY	10	/* so few keys are never worth computing all */

extern void ck_denorm_lock_target(CkDenorm *denorm, bool exclusively);
extern void ck_denorm_lock_values(CkDenorm *denorm, CkDenormLockKind kind,
								  uint64 *hashes, int n);
extern bool ck_denorm_all_is_cheaper(CkDenorm *denorm, int nkeys);
extern int64 ck_denorm_apply(CkDenorm *denorm, CkDenormKeys *keys);
extern int64 ck_denorm_refresh_all(CkDenorm *denorm);
extern void ck_denorm_progress(CkDenorm *denorm, CkPhase phase, int64 total);
extern int64 ck_denorm_build(CkDenorm *denorm);

/* Rows of one key, of the query or the target. */
typedef struct CkDenormRows
{
	int			n;
	int			max;
	Datum	  **values;
	bool	  **nulls;
	ItemPointerData *tids;		/* of rows of the target */
	uint32	   *hashes;
	bool	   *matched;
} CkDenormRows;

/* Called with what both sides have for a value of the scope. */
typedef void (*CkDenormDiff) (CkDenorm *denorm, CkDenormRows *now,
							  CkDenormRows *present, void *arg);
extern void ck_denorm_compare_all(CkDenorm *denorm, CkDenormDiff diff, void *arg);

extern void ck_denorm_match(CkDenorm *denorm, CkDenormRows *now, CkDenormRows *present);
extern int	ck_denorm_partner(CkDenorm *denorm, CkDenormRows *now, int row,
							  CkDenormRows *present);

#endif							/* CK_DENORM_REFRESH_H */
