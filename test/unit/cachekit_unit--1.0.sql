/* test/unit/cachekit_unit--1.0.sql */
\echo Use "CREATE EXTENSION cachekit_unit" to load this file. \quit

-- Each gives one row a check: "ok - ..." or "not ok - ...".
CREATE FUNCTION unit_basics() RETURNS SETOF text LANGUAGE c AS 'MODULE_PATHNAME';
CREATE FUNCTION unit_replace() RETURNS SETOF text LANGUAGE c AS 'MODULE_PATHNAME';
CREATE FUNCTION unit_expiry() RETURNS SETOF text LANGUAGE c AS 'MODULE_PATHNAME';
CREATE FUNCTION unit_pins() RETURNS SETOF text LANGUAGE c AS 'MODULE_PATHNAME';
CREATE FUNCTION unit_limits() RETURNS SETOF text LANGUAGE c AS 'MODULE_PATHNAME';
CREATE FUNCTION unit_stress(seed integer) RETURNS SETOF text LANGUAGE c AS 'MODULE_PATHNAME';
CREATE FUNCTION unit_wear() RETURNS SETOF text LANGUAGE c AS 'MODULE_PATHNAME';
CREATE FUNCTION unit_holes() RETURNS SETOF text LANGUAGE c AS 'MODULE_PATHNAME';
CREATE FUNCTION unit_overhead() RETURNS SETOF text LANGUAGE c AS 'MODULE_PATHNAME';
CREATE FUNCTION unit_cost() RETURNS SETOF text LANGUAGE c AS 'MODULE_PATHNAME';
CREATE FUNCTION unit_counters() RETURNS SETOF text LANGUAGE c AS 'MODULE_PATHNAME';
CREATE FUNCTION unit_cells() RETURNS SETOF text LANGUAGE c AS 'MODULE_PATHNAME';
CREATE FUNCTION unit_validity(histories integer) RETURNS SETOF text LANGUAGE c AS 'MODULE_PATHNAME';
CREATE FUNCTION unit_hit_ratio() RETURNS SETOF text LANGUAGE c AS 'MODULE_PATHNAME';

-- Figures, not checks: what an exact LRU and this cache make of the same load.
CREATE FUNCTION unit_compare_lru(budget_mb integer, vallen integer, skew float8,
	scans boolean, accesses integer,
	OUT lru_ratio float8, OUT our_ratio float8, OUT ns_per_access float8)
	RETURNS record LANGUAGE c AS 'MODULE_PATHNAME';
CREATE FUNCTION unit_wear_figures(budget_mb integer,
	OUT phase text, OUT items bigint, OUT live float8)
	RETURNS SETOF record LANGUAGE c AS 'MODULE_PATHNAME';

CREATE FUNCTION unit_speed(budget_mb integer, vallen integer, n integer,
	OUT operation text, OUT ns float8)
	RETURNS SETOF record LANGUAGE c AS 'MODULE_PATHNAME';

-- Several sessions over one dynamic segment; see unit_shared.c.
CREATE FUNCTION unit_shared_create(budget_mb integer) RETURNS bigint LANGUAGE c AS 'MODULE_PATHNAME';
CREATE FUNCTION unit_shared_churn(handle bigint, ms integer, nkeys integer, maxlen integer)
	RETURNS text LANGUAGE c AS 'MODULE_PATHNAME';
CREATE FUNCTION unit_shared_check(handle bigint) RETURNS SETOF text LANGUAGE c AS 'MODULE_PATHNAME';
CREATE FUNCTION unit_shared_clear(handle bigint) RETURNS SETOF text LANGUAGE c AS 'MODULE_PATHNAME';

-- A statement that runs after cachekit's own PRE_COMMIT callback, if this
-- library was loaded first.
CREATE FUNCTION unit_before_commit(sql text) RETURNS void LANGUAGE c STRICT AS 'MODULE_PATHNAME';
-- The same without a statement: a row of nulls, put into the heap.
CREATE FUNCTION unit_insert_before_commit(tbl regclass) RETURNS void LANGUAGE c STRICT AS 'MODULE_PATHNAME';
CREATE FUNCTION unit_nothing() RETURNS trigger LANGUAGE c AS 'MODULE_PATHNAME';
CREATE FUNCTION unit_cpu() RETURNS bigint LANGUAGE c AS 'MODULE_PATHNAME';
