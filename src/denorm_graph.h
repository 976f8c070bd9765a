/*-------------------------------------------------------------------------
 *
 * denorm_graph.h
 *	  What a query joins: occurrences of tables, and the equalities between.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CK_DENORM_GRAPH_H
#define CK_DENORM_GRAPH_H

#include "nodes/parsenodes.h"

typedef struct CkLevel CkLevel;

/* A table in FROM. */
typedef struct CkOccurrence
{
	int			id;
	Oid			relid;
	bool		inh;
	bool		nullable;		/* by an outer join, at its level or above */
	List	   *arms;			/* ids of the set operations' arms around it */
} CkOccurrence;

/* An expression over one occurrence, whose Vars are of varno 1. */
typedef struct CkTraced
{
	CkOccurrence *occ;
	Node	   *expr;
} CkTraced;

typedef struct CkEquality
{
	Node	   *from;
	Node	   *to;
	Oid			opno;
	Oid			collation;
} CkEquality;

typedef struct CkEdge
{
	CkOccurrence *from;
	CkOccurrence *to;
	List	   *equalities;
	uint64		salt;
	int			rank;			/* greater than that of whatever follows it on a path */
} CkEdge;

typedef struct CkGraph
{
	List	   *occurrences;
	List	   *edges;
	List	   *anchors;		/* of a key: denorm_paths.c */
	int			next_arm;
	int			depth;
} CkGraph;

extern CkLevel *ck_graph_make(CkGraph *graph, Query *query);
extern List *ck_graph_trace(CkLevel *level, AttrNumber attno);
extern bool ck_graph_within(List *outer, List *inner);

extern Query *ck_denorm_view_query(Oid relid);
extern List *ck_denorm_relations(Query *query);
extern bool ck_denorm_not_null(Query *query, List *key);

#endif							/* CK_DENORM_GRAPH_H */
