/*-------------------------------------------------------------------------
 *
 * cached_query.h
 *	  What other entry points use of cached queries.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CK_CACHED_QUERY_H
#define CK_CACHED_QUERY_H

extern Datum ck_query_scalar_text(const char *query, bool *isnull);

#endif							/* CK_CACHED_QUERY_H */
