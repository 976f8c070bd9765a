/*-------------------------------------------------------------------------
 *
 * origin.c
 *	  What a saved cache is good for: the state of the cluster and the programs
 *	  that it comes from.
 *
 * A saved cache may be used by a server that begins exactly where the one that
 * saved it ended.  That is known by pg_control.
 *
 *  - The last thing that a clean shutdown writes is a checkpoint record, when
 *	  all who could write are gone, and its place into pg_control, together with
 *	  the state DB_SHUTDOWNED.  We read pg_control after that, in the postmaster,
 *	  when its last child has ended.
 *  - A server that starts changes pg_control, on disk, before anybody can write
 *	  (to DB_IN_PRODUCTION, or to one of the states of recovery).  If it is
 *	  stopped cleanly, it writes another shutdown checkpoint, at a later place
 *	  in the WAL, even if nothing was written meanwhile; otherwise the state
 *	  is another.  That holds for servers without this library, and for
 *	  postgres --single, too.
 *  - pg_resetwal, pg_rewind, pg_upgrade and pg_checksums write another
 *	  pg_control; a base backup has one of a server that runs; a standby stops in
 *	  DB_SHUTDOWNED_IN_RECOVERY.  Another cluster has another identifier.
 *
 * So if all bytes of pg_control are those of the shutdown, the data are.  One
 * thing is left: a server that is asked to recover replays WAL although the
 * state is DB_SHUTDOWNED.  It is asked so by three files, and if one of them is
 * there nothing is used (ck_origin_needs_recovery).
 *
 * The same data do not give the same result with other programs.  PostgreSQL's
 * version, the very library file, and the versions of the libraries that sort
 * strings must be the same; they are read at server start, as they are the ones
 * that run.  With another cachekit.track the writers of a table may be seen or
 * not, which the entries do not tell.
 *
 * Not noticed, as PostgreSQL does not either while it runs: other extensions'
 * libraries, time zone data, dictionaries, and locale data that are replaced
 * without another version of libc or ICU.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "access/xlog.h"
#include "access/xlog_internal.h"
#include "catalog/pg_collation.h"
#include "storage/fd.h"
#include "utils/guc.h"

#include "guc.h"
#include "origin.h"

#define CHUNK			8192

/* As in utils/pg_locale.h, which needs the headers of ICU. */
extern char *get_collation_actual_version(char collprovider, const char *collcollate);

/* Read a file from its start, `len` bytes or all; false: it can not be read. */
static bool
read_file(const char *name, void *data, Size len, pg_crc32c *crc)
{
	char		chunk[CHUNK];
	int			fd = OpenTransientFile(name, O_RDONLY | PG_BINARY);
	ssize_t		n;

	if (fd < 0)
		return false;
	INIT_CRC32C(*crc);
	if (data != NULL)
		n = read(fd, data, len) == (ssize_t) len ? 0 : -1;
	else
		while ((n = read(fd, chunk, sizeof(chunk))) > 0)
			COMP_CRC32C(*crc, chunk, n);
	FIN_CRC32C(*crc);
	CloseTransientFile(fd);
	return n == 0;
}

/* The version of one provider's collations, appended; in the postmaster. */
static void
add_collations(char *to, Size size, char provider, const char *locale)
{
	MemoryContext context = CurrentMemoryContext;
	char	   *volatile version = NULL;

	PG_TRY();
	{
		version = get_collation_actual_version(provider, locale);
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(context);
		FlushErrorState();
	}
	PG_END_TRY();
	strlcat(to, version ? version : "-", size);
	strlcat(to, " ", size);
}

/* Fill in what is known of ourselves.  To be called at server start. */
bool
ck_origin_of_programs(CkOrigin *origin)
{
	Dl_info		info;

	memset(origin, 0, sizeof(*origin));
	if (dladdr((void *) ck_origin_of_programs, &info) == 0 ||
		!read_file(info.dli_fname, NULL, 0, &origin->library))
		return false;
	origin->track = ck_guc_track;
	strlcpy(origin->server, GetConfigOption("server_version", false, false),
			sizeof(origin->server));
	add_collations(origin->collations, sizeof(origin->collations),
				   COLLPROVIDER_LIBC, "en_US.UTF-8");
	add_collations(origin->collations, sizeof(origin->collations),
				   COLLPROVIDER_ICU, "und");
	return true;
}

/*
 * Read pg_control, which nobody else writes meanwhile: there is a postmaster
 * without children.  false: it is not that of a cluster shut down cleanly.
 */
bool
ck_origin_of_cluster(CkOrigin *origin)
{
	ControlFileData *control = &origin->control;
	pg_crc32c	crc;

	if (!read_file(XLOG_CONTROL_FILE, control, sizeof(*control), &crc))
		return false;
	INIT_CRC32C(crc);
	COMP_CRC32C(crc, control, offsetof(ControlFileData, crc));
	FIN_CRC32C(crc);
	return EQ_CRC32C(crc, control->crc) && control->state == DB_SHUTDOWNED;
}

/* The file that makes the server replay WAL before it is used; NULL: none. */
const char *
ck_origin_needs_recovery(void)
{
	static const char *const names[] = {
		STANDBY_SIGNAL_FILE, RECOVERY_SIGNAL_FILE, BACKUP_LABEL_FILE
	};

	for (int i = 0; i < lengthof(names); i++)
	{
		struct stat st;

		if (stat(names[i], &st) == 0 || errno != ENOENT)
			return names[i];
	}
	return NULL;
}

/* Why what was saved there can not be used here; NULL: it can. */
const char *
ck_origin_difference(const CkOrigin *saved, const CkOrigin *ours)
{
	if (memcmp(saved->server, ours->server, sizeof(ours->server)) != 0)
		return "it was saved by another version of PostgreSQL";
	if (saved->library != ours->library)
		return "it was saved by another build of cachekit";
	if (memcmp(saved->collations, ours->collations, sizeof(ours->collations)) != 0)
		return "it was saved with other versions of libc or ICU";
	if (saved->track != ours->track)
		return "cachekit.track was different";
	if (memcmp(&saved->control, &ours->control, sizeof(ours->control)) != 0)
		return "the cluster was started or changed since, or is another";
	return NULL;
}
