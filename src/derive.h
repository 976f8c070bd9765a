/*-------------------------------------------------------------------------
 *
 * derive.h
 *	  What follows from an analysed query: cells, reasons, identity.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CK_DERIVE_H
#define CK_DERIVE_H

#include "query.h"

extern bool ck_derive_dependencies(CkQuery *query);
extern bool ck_derive_is_current(CkQuery *query);
extern bool ck_derive_allowed(CkQuery *query);

#endif							/* CK_DERIVE_H */
