/*-------------------------------------------------------------------------
 *
 * hint.h
 *	  Hints in comments: what the author of a query wants of the cache.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CK_HINT_H
#define CK_HINT_H

#include "nodes/pg_list.h"

typedef struct CkHint
{
	bool		nocache;
	bool		has_ttl;
	int64		ttl;			/* microseconds */
	int64		swr;			/* microseconds; 0: not asked for */
	bool		keep_warm;
	List	   *tags;			/* char * */
} CkHint;

extern int	ck_hint_statement_start(const char *text, int first_word);
extern bool ck_hint_find(const char *text, int len, bool inner, CkHint *hint);

#endif							/* CK_HINT_H */
