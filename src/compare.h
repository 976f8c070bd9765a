/*-------------------------------------------------------------------------
 *
 * compare.h
 *	  Are the rows that a query gives those of an entry?
 *
 *-------------------------------------------------------------------------
 */
#ifndef CK_COMPARE_H
#define CK_COMPARE_H

#include "executor/tuptable.h"

typedef struct CkComparison CkComparison;

extern CkComparison *ck_compare_begin(TupleDesc desc, const char *data, Size len);
extern void ck_compare_row(CkComparison *comparison, TupleTableSlot *slot);
extern void ck_compare_end(CkComparison *comparison, const char *text);
extern void ck_compare_mismatch(const char *text);

#endif							/* CK_COMPARE_H */
