/*-------------------------------------------------------------------------
 *
 * offset.h
 *	  References inside the shared segment.
 *
 * The segment may be mapped at a different address in every backend, so
 * nothing in it ever holds a pointer.  A CkOff counts units of eight bytes
 * from the start of the arena; zero is "none".  32 bits reach 32 GB.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CK_OFFSET_H
#define CK_OFFSET_H

typedef uint32 CkOff;

#define CK_OFF_UNIT		8
#define CK_OFF_NONE		((CkOff) 0)

#endif							/* CK_OFFSET_H */
