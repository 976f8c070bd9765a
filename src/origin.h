/*-------------------------------------------------------------------------
 *
 * origin.h
 *	  What a saved cache is good for: the state of the cluster and the programs
 *	  that it comes from.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CK_ORIGIN_H
#define CK_ORIGIN_H

#include "catalog/pg_control.h"
#include "port/pg_crc32c.h"

/* As it is in the file; zeroed before it is filled. */
typedef struct CkOrigin
{
	pg_crc32c	library;		/* of the file that we were loaded from */
	int32		track;			/* cachekit.track */
	char		server[64];		/* server_version */
	char		collations[96]; /* versions of libc and ICU */
	ControlFileData control;	/* as the shutdown left it */
} CkOrigin;

extern bool ck_origin_of_programs(CkOrigin *origin);
extern bool ck_origin_of_cluster(CkOrigin *origin);
extern const char *ck_origin_needs_recovery(void);
extern const char *ck_origin_difference(const CkOrigin *saved, const CkOrigin *ours);

#endif							/* CK_ORIGIN_H */
