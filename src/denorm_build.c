/*-------------------------------------------------------------------------
 *
 * denorm_build.c
 *	  Filling a new denormalized table.
 *
 * The rows of the query go into the table as CREATE TABLE AS would put them
 * there, and are counted for cachekit_progress on their way.  Nobody else sees
 * the table yet.  If it has triggers, indexes or constraints by now, which an
 * event trigger may have given to it, it is an INSERT that fills it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/heapam.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "executor/spi.h"
#include "tcop/dest.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "activity.h"
#include "debug_point.h"
#include "denorm_refresh.h"

/* A receiver of rows that puts them into a table. */
typedef struct Builder
{
	DestReceiver pub;			/* first: what the executor sees */
	Relation	rel;
	CommandId	cid;
	BulkInsertState bulk;
	int64		rows;
} Builder;

static bool
receive_row(TupleTableSlot *slot, DestReceiver *self)
{
	Builder    *builder = (Builder *) self;

	table_tuple_insert(builder->rel, slot, builder->cid, TABLE_INSERT_SKIP_FSM,
					   builder->bulk);
	ck_progress_update(++builder->rows);
	CK_DEBUG_POINT("denorm_building");
	return true;
}

static void
nothing(DestReceiver *self)
{
}

static void
nothing_startup(DestReceiver *self, int operation, TupleDesc typeinfo)
{
}

static bool
is_plain(Relation rel)
{
	return rel->trigdesc == NULL && rel->rd_rules == NULL && !rel->rd_rel->relhasindex &&
		RelationGetDescr(rel)->constr == NULL;
}

static int64
put_rows(Relation rel, const char *query)
{
	Builder		builder = {
		.pub = {
			.receiveSlot = receive_row,
			.rStartup = nothing_startup,
			.rShutdown = nothing,
			.rDestroy = nothing,
			.mydest = DestNone
		},
		.rel = rel,
		.cid = GetCurrentCommandId(true),
		.bulk = GetBulkInsertState()
	};
	SPIExecuteOptions options = {.read_only = true, .dest = &builder.pub};

	PushActiveSnapshot(GetLatestSnapshot());
	if (SPI_execute_extended(query, &options) < 0)
		elog(ERROR, "could not fill a denormalized table");
	PopActiveSnapshot();
	FreeBulkInsertState(builder.bulk);
	table_finish_bulk_insert(rel, TABLE_INSERT_SKIP_FSM);
	CommandCounterIncrement();
	return builder.rows;
}

static int64
insert_rows(const char *target, const char *query)
{
	SPIPlanPtr	plan = SPI_prepare(psprintf("INSERT INTO %s %s", target, query), 0, NULL);

	if (plan == NULL)
		elog(ERROR, "could not prepare the build of a denormalized table");
	if (SPI_execute_snapshot(plan, NULL, NULL, GetLatestSnapshot(), InvalidSnapshot,
							 false, true, 0) < 0)
		elog(ERROR, "could not fill a denormalized table");
	return SPI_processed;
}

/*
 * Fill an empty target.  SPI must be connected.
 */
int64
ck_denorm_build(CkDenorm *denorm)
{
	CkDenormEnv env;
	Relation	rel;
	char	   *query;
	int64		rows;

	ck_denorm_enter(denorm, &env);
	ck_denorm_lock_target(denorm, true);
	CommandCounterIncrement();
	ck_denorm_progress(denorm, CK_PHASE_BUILDING, 0);
	rel = table_open(denorm->target, RowExclusiveLock);
	query = psprintf("SELECT * FROM %s", ck_denorm_name(denorm->view));
	rows = is_plain(rel) ? put_rows(rel, query) :
		insert_rows(ck_denorm_name(denorm->target), query);
	table_close(rel, NoLock);
	ck_progress_end();
	ck_denorm_leave(&env);
	return rows;
}
