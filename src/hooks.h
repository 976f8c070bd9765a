/*-------------------------------------------------------------------------
 *
 * hooks.h
 *	  The hooks that everybody's statements pass.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CK_HOOKS_H
#define CK_HOOKS_H

extern void ck_hooks_init(bool track_all);

#endif							/* CK_HOOKS_H */
