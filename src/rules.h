/*-------------------------------------------------------------------------
 *
 * rules.h
 *	  Which queries a DBA wants cached, by query identifier.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CK_RULES_H
#define CK_RULES_H

#include "serve.h"

#define CK_RULE_TABLE	"cachekit_rule"

/* An enabled rule. */
typedef struct CkRule
{
	uint64		queryid;		/* hash key - must be first */
	bool		has_ttl;
	int64		ttl;			/* microseconds, positive */
	int64		swr;			/* stale_while_revalidate, microseconds; 0: none */
	bool		keep_warm;
	int			ntags;
	uint32		tags[CK_MAX_TAGS];	/* cells */
} CkRule;

extern void ck_rules_init(void);
extern bool ck_rules_any(void);
extern const CkRule *ck_rules_find(uint64 queryid);
extern Oid	ck_rules_table(void);

#endif							/* CK_RULES_H */
