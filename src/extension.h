/*-------------------------------------------------------------------------
 *
 * extension.h
 *	  Is the extension in this database, and in which schema?
 *
 *-------------------------------------------------------------------------
 */
#ifndef CK_EXTENSION_H
#define CK_EXTENSION_H

extern void ck_extension_init(void);
extern Oid	ck_extension_namespace(void);

#endif							/* CK_EXTENSION_H */
