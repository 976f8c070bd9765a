/*-------------------------------------------------------------------------
 *
 * fingerprint.h
 *	  What makes two results the same result.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CK_FINGERPRINT_H
#define CK_FINGERPRINT_H

#include "access/tupdesc.h"
#include "lib/stringinfo.h"
#include "nodes/params.h"
#include "nodes/parsenodes.h"

#define CK_DIGEST_LEN	32
#define CK_NO_PARAMS	'p'		/* what ck_fingerprint_params() begins with */

extern void ck_fingerprint_settings(StringInfo buf);
extern Size ck_fingerprint_settings_are(const char *bytes);
extern void ck_fingerprint_tree(Query *query, StringInfo buf);
extern bool ck_fingerprint_functions(List *functions, StringInfo buf);
extern void ck_fingerprint_type(Oid type, StringInfo buf, List **relids);
extern void ck_fingerprint_desc(TupleDesc desc, StringInfo buf, List **relids);
extern void ck_fingerprint_role(StringInfo buf);
extern void ck_fingerprint_named(List *settings, StringInfo buf);
extern bool ck_fingerprint_params(ParamListInfo params, Bitmapset *used,
								  StringInfo buf);
extern char *ck_fingerprint_hex(const void *data, Size len);
extern void ck_fingerprint_digest(const void *data, Size len, uint8 *digest);

#endif							/* CK_FINGERPRINT_H */
