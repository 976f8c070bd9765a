/*-------------------------------------------------------------------------
 *
 * savefile.c
 *	  A file that is written once and read once, as a whole or not at all.
 *
 * The bytes are followed by their CRC-32C.  Writing goes to a temporary name;
 * only what is complete and on disk gets the real one.  Reading begins with a
 * pass over the whole file, so nothing of a damaged one is ever used.
 *
 * Nothing here raises an error: the writer is a postmaster about to exit, the
 * reader one that shall start whatever the file looks like.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <unistd.h>

#include "storage/fd.h"

#include "savefile.h"

#define BUFFER_SIZE		(256 * 1024)
#define CHUNK			8192

static void
fail(CkSaveFile *f)
{
	if (!f->failed)
		f->error = errno;
	f->failed = true;
}

static bool
open_file(CkSaveFile *f, const char *name, const char *mode)
{
	memset(f, 0, sizeof(*f));
	f->file = AllocateFile(name, mode);
	if (f->file == NULL)
	{
		fail(f);
		return false;
	}
	(void) setvbuf(f->file, NULL, _IOFBF, BUFFER_SIZE);
	INIT_CRC32C(f->crc);
	return true;
}

/* Begin to write.  false: errno is in f->error. */
bool
ck_savefile_create(CkSaveFile *f, const char *temporary)
{
	return open_file(f, temporary, PG_BINARY_W);
}

/* Failures are remembered until ck_savefile_commit(). */
void
ck_savefile_write(CkSaveFile *f, const void *data, Size len)
{
	if (f->failed || len == 0)
		return;
	COMP_CRC32C(f->crc, data, len);
	errno = ENOSPC;				/* if nobody says otherwise */
	if (fwrite(data, 1, len, f->file) != len)
		fail(f);
}

/*
 * Finish, and put the file in the place of any other of that name.  false: it
 * was not to be had, errno is in f->error, and there is no file left.
 */
bool
ck_savefile_commit(CkSaveFile *f, const char *temporary, const char *name)
{
	pg_crc32c	crc = f->crc;

	FIN_CRC32C(crc);
	ck_savefile_write(f, &crc, sizeof(crc));
	errno = ENOSPC;
	if (FreeFile(f->file) != 0)
		fail(f);
	if (!f->failed && durable_rename(temporary, name, LOG) != 0)
		fail(f);
	if (f->failed)
		unlink(temporary);
	return !f->failed;
}

/* Begin to read.  false: errno is in f->error. */
bool
ck_savefile_open(CkSaveFile *f, const char *name)
{
	return open_file(f, name, PG_BINARY_R);
}

bool
ck_savefile_read(CkSaveFile *f, void *data, Size len)
{
	if (!f->failed && fread(data, 1, len, f->file) != len)
		fail(f);
	return !f->failed;
}

bool
ck_savefile_skip(CkSaveFile *f, Size len)
{
	if (!f->failed && len > 0 && fseeko(f->file, len, SEEK_CUR) != 0)
		fail(f);
	return !f->failed;
}

/* Is the file what was written?  Reads it all, then goes back to its start. */
bool
ck_savefile_intact(CkSaveFile *f)
{
	char		chunk[CHUNK];
	pg_crc32c	crc;
	pg_crc32c	expected;
	off_t		left;

	if (fseeko(f->file, 0, SEEK_END) != 0)
		return false;
	left = ftello(f->file) - (off_t) sizeof(expected);
	if (left < 0 || fseeko(f->file, 0, SEEK_SET) != 0)
		return false;
	INIT_CRC32C(crc);
	while (left > 0)
	{
		Size		n = Min(left, (off_t) sizeof(chunk));

		if (!ck_savefile_read(f, chunk, n))
			return false;
		COMP_CRC32C(crc, chunk, n);
		left -= n;
	}
	FIN_CRC32C(crc);
	return ck_savefile_read(f, &expected, sizeof(expected)) &&
		EQ_CRC32C(crc, expected) && fseeko(f->file, 0, SEEK_SET) == 0;
}

void
ck_savefile_close(CkSaveFile *f)
{
	FreeFile(f->file);
}
