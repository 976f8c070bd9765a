/*-------------------------------------------------------------------------
 *
 * guc.h
 *	  Every setting of cachekit; defined in guc.c, read by all.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CK_GUC_H
#define CK_GUC_H

extern bool ck_guc_enabled;
extern bool ck_guc_kv_transactional;
extern bool ck_guc_verify;
extern int	ck_guc_default_ttl;		/* seconds; 0: none */
extern int	ck_guc_lease_timeout;	/* milliseconds; 0: never wait */
extern int	ck_guc_max_entry_size;	/* kB */
extern int	ck_guc_memory;			/* kB */

extern void ck_guc_define(void);

#endif							/* CK_GUC_H */
