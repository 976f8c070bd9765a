/*-------------------------------------------------------------------------
 *
 * arena.h
 *	  Page and slot allocator over one stretch of shared memory.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CK_ARENA_H
#define CK_ARENA_H

#include "offset.h"

#define CK_PAGE_SIZE	8192

/* to be completed by arena.c's author: see the design notes */

#endif							/* CK_ARENA_H */
