/*-------------------------------------------------------------------------
 *
 * kv_args.h
 *	  Arguments of the SQL functions that may be NULL.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CK_KV_ARGS_H
#define CK_KV_ARGS_H

#define TEXT_OR_NULL(n) \
	(PG_ARGISNULL(n) ? NULL : PG_GETARG_TEXT_PP(n))
#define INTERVAL_OR_NULL(n) \
	(PG_ARGISNULL(n) ? NULL : PG_GETARG_INTERVAL_P(n))
#define ARRAY_OR_NULL(n) \
	(PG_ARGISNULL(n) ? NULL : PG_GETARG_ARRAYTYPE_P(n))

#endif							/* CK_KV_ARGS_H */
