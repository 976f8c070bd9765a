/*-------------------------------------------------------------------------
 *
 * savefile.h
 *	  A file that is written once and read once, as a whole or not at all.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CK_SAVEFILE_H
#define CK_SAVEFILE_H

#include <stdio.h>

#include "port/pg_crc32c.h"

typedef struct CkSaveFile
{
	FILE	   *file;
	pg_crc32c	crc;			/* of what was written */
	bool		failed;
	int			error;			/* errno of the first failure */
} CkSaveFile;

extern bool ck_savefile_create(CkSaveFile *f, const char *temporary);
extern void ck_savefile_write(CkSaveFile *f, const void *data, Size len);
extern bool ck_savefile_commit(CkSaveFile *f, const char *temporary, const char *name);

extern bool ck_savefile_open(CkSaveFile *f, const char *name);
extern bool ck_savefile_intact(CkSaveFile *f);
extern bool ck_savefile_read(CkSaveFile *f, void *data, Size len);
extern bool ck_savefile_skip(CkSaveFile *f, Size len);
extern void ck_savefile_close(CkSaveFile *f);

#endif							/* CK_SAVEFILE_H */
