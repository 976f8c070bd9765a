/*-------------------------------------------------------------------------
 *
 * statements.h
 *	  pg_stat_statements, wherever it is.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CK_STATEMENTS_H
#define CK_STATEMENTS_H

extern char *ck_statements_query(void);
extern char *ck_statements_text(int64 queryid);

#endif							/* CK_STATEMENTS_H */
