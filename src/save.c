/*-------------------------------------------------------------------------
 *
 * save.c
 *	  The cache across a restart: cachekit.save_on_shutdown.
 *
 * The postmaster writes a file as the last thing before it exits, after the
 * shutdown checkpoint and the end of its last child; the next postmaster reads
 * it before it has a child, and removes it before it reads it.  Only when the
 * library is preloaded, as only then the memory is the postmaster's, too.
 *
 * What is saved are the cells that were ever written to, as they are, the birth
 * record, and the entries.
 *
 * Why what is loaded is right
 *
 * origin.c makes sure that the cluster is the very one that stopped, without
 * anything written in between by anybody.  The cells are those of that moment.
 * So a stop and a start are a pause in which nothing happened, and what is
 * argued in doc/validity.md needs no change:
 *
 *  - Every commit before the stop had registered in the cells, since the library
 *	  was there from the start of the server, in every process.  Who had
 *	  registered and was not recorded is still in F, and the first reader helps,
 *	  as ever: the commit log is still there.
 *  - Transaction ids are 64-bit and go on where they ended: the shutdown
 *	  checkpoint has the next one.  latestCompletedXid begins just below it, so
 *	  it is not less than it was, and nothing that was finished is running for
 *	  any snapshot to come.  No older snapshot survives: exported ones are removed
 *	  by the start.
 *  - A prepared transaction is in the proc array again before the first snapshot
 *	  is taken.  If it was prepared after the memory was made, it is registered in
 *	  the cells that were saved, among F or as their hard horizon; if before, it
 *	  is among the suspects of the birth record that was saved.  COMMIT PREPARED
 *	  is found out by helping, whoever runs it.
 *  - Catalogs are the same, so what is derived from them is: an entry is found by
 *	  the same digest, and only by it.
 *  - Unlogged tables keep their rows over a clean stop; a start that empties them
 *	  recovers, and loads nothing.
 *
 * When the number of cells is another (cachekit.memory), stamps mean nothing.
 * Then cells and birth begin anew, as without a file, and only key/value
 * entries without tags are loaded, which depend on neither.
 *
 * What is not saved: entries whose stamps are no longer those of their cells,
 * which no snapshot to come can see as valid; statistics; ghosts; jobs of
 * workers.  Entries are written in the order of eviction, the hottest last, so
 * what does not fit when they are loaded is what is worth least.
 *
 * Locking: none; there is one process.  (Storing takes the locks of the table
 * as always, which are free.)  Nothing here raises an error.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "portability/instr_time.h"
#include "storage/fd.h"

#include "clock.h"
#include "counters.h"
#include "guc.h"
#include "kv_entry.h"
#include "origin.h"
#include "querystats.h"
#include "save.h"
#include "savefile.h"
#include "segment.h"
#include "serve.h"
#include "table.h"

#define SAVED_FILE		"cachekit.saved"	/* in the data directory */
#define TEMPORARY_FILE	"cachekit.saved.tmp"
#define SAVED_MAGIC		UINT64CONST(0x31646576617363)	/* "csaved1" */
#define CHUNK			8192

typedef struct CkSavedHeader
{
	uint64		magic;
	CkOrigin	origin;
	uint32		ncells;			/* of the array */
	uint32		ncells_saved;
	uint64		nitems;
	TimestampTz oldest;			/* time of storing */
	CkBirth		birth;
} CkSavedHeader;

/* In front of each cell, and each item's meta, key and value. */
typedef struct CkSavedCell
{
	uint32		number;
	CkCell		cell;
} CkSavedCell;

typedef struct CkSavedItem
{
	CkItemInfo	info;
	bool		in_use;
} CkSavedItem;

/* What became of the entries of a file. */
typedef struct Tally
{
	uint64		loaded;
	uint64		bytes;
	uint64		expired;
	uint64		no_room;
	uint64		other_cells;
} Tally;

/*---- Of the postmaster ----*/
static CkOrigin our_origin;		/* as of this server's start */
static bool have_origin = false;

/* ---------------- saving ---------------- */

/* The stamps of an entry, and how many. */
static int
stamps_of(const CkItemInfo *info, const void *meta, const CkStamp **stamps)
{
	if (info->kind == CK_KIND_QUERY)
	{
		*stamps = ((const CkEntryMeta *) meta)->stamps;
		return ((const CkEntryMeta *) meta)->nstamps;
	}
	*stamps = meta;
	return info->metalen / sizeof(CkStamp);
}

/*
 * Can a snapshot to come see the entry as valid?  It sees all commits that are
 * counted, and versions do not go down.
 */
static bool
is_current(const CkItemInfo *info, const void *meta)
{
	const CkStamp *stamps;
	int			n = stamps_of(info, meta, &stamps);

	for (int i = 0; i < n; i++)
	{
		CkCell		cell;

		if (stamps[i].cell == CK_KV_PRINT_CELL)
			continue;
		ck_cells_copy(stamps[i].cell, &cell);
		if (cell.version != stamps[i].version)
			return false;
	}
	return true;
}

static bool
count_item(CkItem *item, const CkItemInfo *info, bool in_use, void *arg)
{
	CkSavedHeader *header = arg;

	if (is_current(info, ck_item_meta(item)))
	{
		header->nitems++;
		header->oldest = Min(header->oldest, info->stored_at);
	}
	return true;
}

static bool
write_item(CkItem *item, const CkItemInfo *info, bool in_use, void *arg)
{
	CkSaveFile *file = arg;
	CkSavedItem saved;
	char		chunk[CHUNK];

	if (!is_current(info, ck_item_meta(item)))
		return true;
	memset(&saved, 0, sizeof(saved));
	saved.info = *info;
	saved.in_use = in_use;
	ck_savefile_write(file, &saved, sizeof(saved));
	ck_savefile_write(file, ck_item_meta(item), info->metalen);
	ck_savefile_write(file, ck_item_key(item), info->keylen);
	for (uint32 at = 0; at < info->vallen; at += CHUNK)
	{
		uint32		n = Min(CHUNK, info->vallen - at);

		ck_item_copy_value(item, at, chunk, n);
		ck_savefile_write(file, chunk, n);
	}
	return !file->failed;
}

/* Count the cells ever written to, and write them if there is a file. */
static uint32
save_cells(CkSaveFile *file)
{
	uint32		n = 0;

	for (uint32 i = 0; i < ck_cells_count(); i++)
	{
		CkSavedCell saved;

		memset(&saved, 0, sizeof(saved));
		saved.number = i;
		ck_cells_copy(i, &saved.cell);
		if (ck_cells_untouched(&saved.cell))
			continue;
		n++;
		if (file != NULL)
			ck_savefile_write(file, &saved, sizeof(saved));
	}
	return n;
}

static void
fill_header(CkSavedHeader *header, TimestampTz now)
{
	memset(header, 0, sizeof(*header));
	header->magic = SAVED_MAGIC;
	header->origin = our_origin;
	header->ncells = ck_cells_count();
	header->ncells_saved = save_cells(NULL);
	header->oldest = now;
	memcpy(&header->birth, ck_cells_birth(), sizeof(CkBirth));
	(void) ck_table_walk(count_item, header, now);
}

static void
save(void)
{
	static CkSavedHeader header;
	TimestampTz now = ck_clock_now();
	CkSaveFile	file;
	instr_time	start;

	INSTR_TIME_SET_CURRENT(start);
	fill_header(&header, now);
	if (ck_savefile_create(&file, TEMPORARY_FILE))
	{
		ck_savefile_write(&file, &header, sizeof(header));
		(void) save_cells(&file);
		(void) ck_table_walk(write_item, &file, now);
		(void) ck_savefile_commit(&file, TEMPORARY_FILE, SAVED_FILE);
	}
	errno = file.error;
	if (file.failed)
		ereport(LOG,
				(errcode_for_file_access(),
				 errmsg("cachekit could not save the cache in file \"%s\": %m",
						SAVED_FILE)));
	else
		ereport(LOG,
				(errmsg("cachekit saved %llu entries in %u ms",
						(unsigned long long) header.nitems,
						ck_clock_since(start) / 1000)));
}

/*
 * The postmaster exits, with all its children gone.  It also comes here for
 * an immediate shutdown and, with another code, after a crash of a child:
 * the cluster has not been shut down cleanly then.
 */
void
ck_save_at_exit(int code, Datum arg)
{
	uint32		lost;

	if (code != 0 || !ck_guc_save_on_shutdown || !have_origin ||
		!ck_segment_attached() || !ck_origin_of_cluster(&our_origin))
		return;
	(void) ck_segment_lost_xid(&lost);
	if (lost == 0)				/* as always when preloaded */
		save();
}

/* ---------------- loading ---------------- */

static bool
load_cells(CkSaveFile *file, const CkSavedHeader *header)
{
	CkBirth    *birth = ck_cells_birth();

	for (uint32 i = 0; i < header->ncells_saved; i++)
	{
		CkSavedCell saved;

		if (!ck_savefile_read(file, &saved, sizeof(saved)) ||
			!ck_cells_restore(saved.number, &saved.cell))
			return false;
	}
	memcpy(birth, &header->birth, sizeof(CkBirth));
	if (pg_atomic_read_u32(&birth->state) != CK_BORN)
		pg_atomic_write_u32(&birth->state, CK_UNBORN);
	return birth->nsuspects <= CK_MAX_SUSPECTS;
}

/* Are the lengths that an item says what they can be? */
static bool
plausible(const CkItemInfo *info)
{
	return (info->kind == CK_KIND_KV || info->kind == CK_KIND_QUERY) &&
		info->keylen <= CK_MAX_KEY_LEN && info->metalen <= CK_MAX_META_LEN;
}

/* Does the entry depend on cells? */
static bool
has_stamps(const CkItemInfo *info, const void *meta)
{
	const CkStamp *stamps;
	int			n = stamps_of(info, meta, &stamps);

	for (int i = 0; i < n; i++)
		if (stamps[i].cell != CK_KV_PRINT_CELL)
			return true;
	return false;
}

/* Read a value, into the item if there is one. */
static bool
load_value(CkSaveFile *file, CkItem *item, uint32 len)
{
	char		chunk[CHUNK];

	if (item == NULL)
		return ck_savefile_skip(file, len);
	for (uint32 at = 0; at < len; at += CHUNK)
	{
		uint32		n = Min(CHUNK, len - at);

		if (!ck_savefile_read(file, chunk, n))
			return false;
		ck_table_write(item, at, chunk, n);
	}
	return true;
}

/* Make the item if it is wanted; NULL: not, for the reason counted. */
static CkItem *
make_item(const CkSavedItem *saved, const char *key, void *meta, bool same_cells,
		  Tally *tally)
{
	const CkItemInfo *info = &saved->info;
	CkItemSpec	spec = {0};
	CkItem	   *item;

	if (info->expires_at != 0 && info->expires_at <= ck_clock_now())
	{
		tally->expired++;
		return NULL;
	}
	if (!same_cells && has_stamps(info, meta))
	{
		tally->other_cells++;
		return NULL;
	}
	if (info->kind == CK_KIND_QUERY)
		((CkEntryMeta *) meta)->text_slot = CK_NO_QUERY_SLOT;
	spec.key = ck_table_key(info->kind, info->dbid, key, info->keylen);
	spec.typid = info->typid;
	spec.flags = info->flags;
	spec.meta = meta;
	spec.metalen = info->metalen;
	spec.vallen = info->vallen;
	spec.expires_at = info->expires_at;
	spec.cost_us = info->cost_us;
	item = ck_table_restore(&spec, info, saved->in_use);
	if (item == NULL)
		tally->no_room++;
	return item;
}

static bool
load_item(CkSaveFile *file, bool same_cells, Tally *tally)
{
	CkSavedItem saved;
	char		key[CK_MAX_KEY_LEN];
	char		meta[CK_MAX_META_LEN] pg_attribute_aligned(8);
	CkItem	   *item;

	if (!ck_savefile_read(file, &saved, sizeof(saved)) ||
		!plausible(&saved.info) ||
		!ck_savefile_read(file, meta, saved.info.metalen) ||
		!ck_savefile_read(file, key, saved.info.keylen))
		return false;
	item = make_item(&saved, key, meta, same_cells, tally);
	if (!load_value(file, item, saved.info.vallen))
		return false;
	if (item == NULL)
		return true;
	if (ck_table_link(item, NULL, NULL))
	{
		tally->loaded++;
		tally->bytes += saved.info.size;
		ck_counters_add(ck_counters_slot(saved.info.dbid), CK_CTR_LOADED, 1);
	}
	return true;
}

/* All that follows the header.  false: it is not what it should be. */
static bool
load_all(CkSaveFile *file, const CkSavedHeader *header, Tally *tally)
{
	bool		same_cells = header->ncells == ck_cells_count();

	if (same_cells ? !load_cells(file, header) :
		!ck_savefile_skip(file, (Size) header->ncells_saved * sizeof(CkSavedCell)))
		return false;
	ck_table_reach_back(header->oldest);
	for (uint64 i = 0; i < header->nitems; i++)
		if (!load_item(file, same_cells, tally))
			return false;
	return true;
}

/* Why a file that is open can not be used, or NULL; *header is read. */
static const char *
reason_against(CkSaveFile *file, CkSavedHeader *header)
{
	const char *reason;

	if (!have_origin)
		return "the library's own file can not be read";
	if (!ck_origin_of_cluster(&our_origin))
		return "the cluster was not shut down cleanly";
	if (ck_origin_needs_recovery() != NULL)
		return "the server is going to recover";
	if (!ck_savefile_read(file, header, sizeof(*header)) ||
		header->magic != SAVED_MAGIC)
		return "it is not a saved cache";
	reason = ck_origin_difference(&header->origin, &our_origin);
	if (reason != NULL)
		return reason;
	if (!ck_savefile_intact(file) || !ck_savefile_read(file, header, sizeof(*header)))
		return "it is damaged";
	return NULL;
}

static void
report(const CkSavedHeader *header, const Tally *tally, instr_time start)
{
	ereport(LOG,
			(errmsg("cachekit loaded %llu of %llu saved entries, %llu kB, in %u ms",
					(unsigned long long) tally->loaded,
					(unsigned long long) header->nitems,
					(unsigned long long) tally->bytes / 1024,
					ck_clock_since(start) / 1000),
			 tally->loaded == header->nitems ? 0 :
			 errdetail("Not loaded: %llu expired, %llu for which there was no room, %llu that depend on cells, whose number has changed with cachekit.memory.",
					   (unsigned long long) tally->expired,
					   (unsigned long long) tally->no_room,
					   (unsigned long long) tally->other_cells)));
}

static void
use_file(CkSaveFile *file)
{
	static CkSavedHeader header;
	Tally		tally = {0};
	instr_time	start;
	const char *reason;

	INSTR_TIME_SET_CURRENT(start);
	reason = reason_against(file, &header);
	if (reason == NULL && !load_all(file, &header, &tally))
	{
		ck_segment_clear();
		reason = "it is damaged";
	}
	if (reason == NULL)
		report(&header, &tally, start);
	else
		ereport(LOG,
				(errmsg("cachekit does not use the cache saved in file \"%s\": %s",
						SAVED_FILE, reason)));
}

/*
 * The postmaster starts, and has made the memory; it comes here again after a
 * crash of a child, when there is no file any more.  Whatever is there, it is
 * gone afterwards.
 */
void
ck_save_load(void)
{
	CkSaveFile	file;

	if (!have_origin)			/* the file may be another's by now */
		have_origin = ck_origin_of_programs(&our_origin);
	unlink(TEMPORARY_FILE);
	if (!ck_savefile_open(&file, SAVED_FILE))
	{
		errno = file.error;
		if (errno == ENOENT)
			return;
		ereport(LOG,
				(errcode_for_file_access(),
				 errmsg("could not open file \"%s\": %m", SAVED_FILE)));
		(void) durable_unlink(SAVED_FILE, LOG);
		return;
	}
	(void) durable_unlink(SAVED_FILE, LOG);
	if (ck_guc_save_on_shutdown)
		use_file(&file);
	ck_savefile_close(&file);
}
