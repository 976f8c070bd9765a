/*-------------------------------------------------------------------------
 *
 * save.h
 *	  The cache across a restart.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CK_SAVE_H
#define CK_SAVE_H

extern void ck_save_load(void);
extern void ck_save_at_exit(int code, Datum arg);

#endif							/* CK_SAVE_H */
