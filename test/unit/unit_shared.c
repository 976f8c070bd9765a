/*-------------------------------------------------------------------------
 *
 * unit_shared.c
 *	  The memory core under several sessions: stress with verification.
 *
 * One session makes a dynamic segment and hands its number to the others,
 * which store, read, pin and remove the same keys at random and verify every
 * byte they read, whatever the others do.  test/unit/shared.sh runs it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/pg_prng.h"
#include "miscadmin.h"
#include "portability/instr_time.h"
#include "storage/dsm.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/resowner.h"

#include "unit.h"

PG_FUNCTION_INFO_V1(unit_shared_create);
PG_FUNCTION_INFO_V1(unit_shared_churn);
PG_FUNCTION_INFO_V1(unit_shared_check);
PG_FUNCTION_INFO_V1(unit_shared_clear);

typedef struct SharedHead
{
	int			tranche;
	Size		budget;
	Size		counters_size;
} SharedHead;

#define HEAD_SIZE 256

static dsm_handle attached_handle = 0;

static void
attach_to(dsm_segment *seg)
{
	SharedHead *head = dsm_segment_address(seg);
	char	   *memory = (char *) head + HEAD_SIZE;

	dsm_pin_mapping(seg);
	unit_tranche = head->tranche;
	(void) ck_segment_tranche(CK_TRANCHE_ARENA);
	unit_attach(memory, head->counters_size, memory + head->counters_size,
				head->budget - head->counters_size);
	attached_handle = dsm_segment_handle(seg);
}

static void
attach_once(int64 handle)
{
	if (attached_handle == (dsm_handle) handle)
		return;
	attach_to(dsm_attach((dsm_handle) handle));
}

Datum
unit_shared_create(PG_FUNCTION_ARGS)
{
	Size		budget = (Size) PG_GETARG_INT32(0) * 1024 * 1024;
	dsm_segment *seg = dsm_create(HEAD_SIZE + budget, 0);
	SharedHead *head = dsm_segment_address(seg);
	char	   *memory = (char *) head + HEAD_SIZE;

	memset(head, 0, HEAD_SIZE + budget);
	head->tranche = ck_segment_tranche(CK_TRANCHE_ARENA);
	head->budget = budget;
	head->counters_size = ck_counters_size(budget);
	ck_counters_init(memory, head->counters_size, budget);
	ck_table_init(memory + head->counters_size, budget - head->counters_size,
				  budget);
	dsm_pin_segment(seg);
	attach_to(seg);
	PG_RETURN_INT64(attached_handle);
}

typedef struct Churn
{
	pg_prng_state prng;
	uint32		nkeys;
	uint32		maxlen;
	int64		ops;
	int64		hits;
	int64		pins;
	int64		retries;		/* read_small that had to give up */
	int64		no_room;
} Churn;

static uint32
churn_key(Churn *c)
{
	/* some keys are hot */
	uint64		r = pg_prng_uint64(&c->prng);

	return (r & 3) == 0 ? (r >> 8) % c->nkeys : (r >> 8) % (c->nkeys / 50 + 1);
}

static void
complain(const char *problem, uint32 keyno)
{
	if (problem != NULL)
		elog(ERROR, "key %u: %s", keyno, problem);
}

static void
churn_read(Churn *c, uint32 keyno)
{
	char		buf[32];
	CkKey		key = unit_key(keyno, buf);
	TimestampTz now = ck_clock_now();
	CkSmall		small;
	CkReadResult r = ck_table_read_small(&key, now, &small);
	CkItem	   *item;
	uint32		version;

	if (r == CK_READ_HIT)
	{
		complain(unit_verify_small(&small, keyno), keyno);
		ck_table_note_hit(&key, small.item, small.info.id);
		c->hits++;
		return;
	}
	if (r == CK_READ_ABSENT && c->ops % 4 != 0)
		return;
	item = ck_table_pin(&key, now);
	if (item == NULL)
		return;
	complain(unit_verify_item(item, keyno, &version), keyno);
	if (r == CK_READ_USE_PIN && item->vallen + item->metalen <= CK_SMALL_MAX)
		c->retries++;
	ck_table_note_hit(&key, item, item->id);
	ck_table_unpin(item);
	c->pins++;
}

static void
churn_step(Churn *c)
{
	uint32		keyno = churn_key(c);
	int			what = pg_prng_uint64(&c->prng) % 100;
	uint32		vallen = pg_prng_uint64(&c->prng) % c->maxlen;
	char		buf[32];
	CkKey		key = unit_key(keyno, buf);

	if (pg_prng_uint64(&c->prng) % 2)
		vallen /= 40;
	c->ops++;
	if (what < 60)
		churn_read(c, keyno);
	else if (what < 90)
		c->no_room += !unit_store(keyno, c->ops, vallen, what, what < 65 ?
								  ck_clock_now() + 5000 : 0);
	else if (what < 95)
		ck_table_unlink(&key);
	else if (what < 98)
		ck_table_touch(&key, ck_clock_now(), ck_clock_now() + 20000);
	else
	{
		CkItem	   *item = unit_prepare(keyno, 1, vallen, 0, 0);

		if (item != NULL)
			ck_table_discard(item);
	}
	if (c->ops % 20 == 0)
		ck_table_flush_hits();
}

/*
 * Let an interrupt come while references are held: who is cancelled or
 * terminated must not leave them behind.
 */
static void
churn_interruptible(Churn *c)
{
	uint32		keyno = churn_key(c);
	char		buf[32];
	CkKey		key = unit_key(keyno, buf);
	CkItem	   *pinned = ck_table_pin(&key, ck_clock_now());
	CkItem	   *prepared = unit_prepare(keyno, 1, 1000, 0, 0);

	CHECK_FOR_INTERRUPTS();
	if (prepared != NULL)
		ck_table_discard(prepared);
	if (pinned != NULL)
		ck_table_unpin(pinned);
}

Datum
unit_shared_churn(PG_FUNCTION_ARGS)
{
	Churn		c = {0};
	instr_time	start;
	instr_time	now;

	attach_once(PG_GETARG_INT64(0));
	c.nkeys = PG_GETARG_INT32(2);
	c.maxlen = PG_GETARG_INT32(3);
	pg_prng_seed(&c.prng, MyProcPid);
	INSTR_TIME_SET_CURRENT(start);
	do
	{
		int			i;

		churn_interruptible(&c);
		for (i = 0; i < 100; i++)
			churn_step(&c);
		INSTR_TIME_SET_CURRENT(now);
		INSTR_TIME_SUBTRACT(now, start);
	} while (INSTR_TIME_GET_MILLISEC(now) < PG_GETARG_INT32(1));
	PG_RETURN_TEXT_P(cstring_to_text(psprintf(
		"%lld operations, %lld hits, %lld pins, %lld small reads gave up, %lld no room",
		(long long) c.ops, (long long) c.hits, (long long) c.pins,
		(long long) c.retries, (long long) c.no_room)));
}

Datum
unit_shared_check(PG_FUNCTION_ARGS)
{
	attach_once(PG_GETARG_INT64(0));
	unit_begin(fcinfo);
	unit_ok_table("in shared memory");
	return (Datum) 0;
}

static bool
everything(const CkItemInfo *info, const void *key, const void *meta,
		   void *arg)
{
	return true;
}

/*
 * Remove everything, when nobody else is at work: all pages must be free.
 */
Datum
unit_shared_clear(PG_FUNCTION_ARGS)
{
	CkArenaUse	use;

	attach_once(PG_GETARG_INT64(0));
	unit_begin(fcinfo);
	unit_ok_table("before all is removed");
	ck_table_unlink_if(everything, NULL);
	ck_arena_lock();
	ck_arena_use(&use);
	ck_arena_unlock();
	unit_ok(use.nfree_pages == use.npages, "all pages are free");
	unit_ok_table("after that");
	return (Datum) 0;
}
