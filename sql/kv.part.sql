--
-- Key/value cache
--

CREATE FUNCTION cache_set(key text, value text,
						  ttl interval DEFAULT NULL, tags text[] DEFAULT NULL)
RETURNS boolean
AS 'MODULE_PATHNAME', 'cachekit_cache_set'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION cache_set(text, text, interval, text[]) IS
'stores a value under a key; false: not stored';

CREATE FUNCTION cache_set(key text, value anyelement,
						  ttl interval DEFAULT NULL, tags text[] DEFAULT NULL)
RETURNS boolean
AS 'MODULE_PATHNAME', 'cachekit_cache_set_any'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION cache_set(text, anyelement, interval, text[]) IS
'stores a value of any type under a key; false: not stored';

CREATE FUNCTION cache_set_many(keys text[], vals text[],
							   ttl interval DEFAULT NULL, tags text[] DEFAULT NULL)
RETURNS integer
AS 'MODULE_PATHNAME', 'cachekit_cache_set_many'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION cache_set_many(text[], text[], interval, text[]) IS
'stores several values; returns how many were stored';

CREATE FUNCTION cache_add(key text, value text,
						  ttl interval DEFAULT NULL, tags text[] DEFAULT NULL)
RETURNS boolean
AS 'MODULE_PATHNAME', 'cachekit_cache_add'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION cache_add(text, text, interval, text[]) IS
'stores a value only if the key has none; at once, atomic across sessions';

CREATE FUNCTION cache_add(key text, value anyelement,
						  ttl interval DEFAULT NULL, tags text[] DEFAULT NULL)
RETURNS boolean
AS 'MODULE_PATHNAME', 'cachekit_cache_add_any'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION cache_add(text, anyelement, interval, text[]) IS
'stores a value of any type only if the key has none; at once, atomic across sessions';

CREATE FUNCTION cache_incr(key text, delta bigint DEFAULT 1,
						   initial bigint DEFAULT NULL)
RETURNS bigint
AS 'MODULE_PATHNAME', 'cachekit_cache_incr'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION cache_incr(text, bigint, bigint) IS
'adds to a number, or sets it to initial if there is none; at once, atomic across sessions';

CREATE FUNCTION cache_get(key text)
RETURNS text
AS 'MODULE_PATHNAME', 'cachekit_cache_get'
LANGUAGE C VOLATILE PARALLEL RESTRICTED;
COMMENT ON FUNCTION cache_get(text) IS
'text form of the value of a key; NULL if there is none';

CREATE FUNCTION cache_get(key text, as_type anyelement)
RETURNS anyelement
AS 'MODULE_PATHNAME', 'cachekit_cache_get_as'
LANGUAGE C VOLATILE PARALLEL RESTRICTED;
COMMENT ON FUNCTION cache_get(text, anyelement) IS
'value of a key, which must have the type of the second argument; NULL if there is none';

CREATE FUNCTION cache_get_many(keys text[], OUT key text, OUT value text)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'cachekit_cache_get_many'
LANGUAGE C VOLATILE PARALLEL RESTRICTED;
COMMENT ON FUNCTION cache_get_many(text[]) IS
'text form of the values of those keys that have one';

CREATE FUNCTION cache_get_or_set(key text, query text,
								 ttl interval DEFAULT NULL, tags text[] DEFAULT NULL)
RETURNS text
AS 'MODULE_PATHNAME', 'cachekit_cache_get_or_set'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION cache_get_or_set(text, text, interval, text[]) IS
'value of a key; if there is none, one session runs the query and stores its first value';

CREATE FUNCTION cache_exists(key text)
RETURNS boolean
AS 'MODULE_PATHNAME', 'cachekit_cache_exists'
LANGUAGE C VOLATILE PARALLEL RESTRICTED;
COMMENT ON FUNCTION cache_exists(text) IS
'does the key have a value, NULL included?';

CREATE FUNCTION cache_ttl(key text)
RETURNS interval
AS 'MODULE_PATHNAME', 'cachekit_cache_ttl'
LANGUAGE C VOLATILE PARALLEL RESTRICTED;
COMMENT ON FUNCTION cache_ttl(text) IS
'time that the entry has left to live; NULL if it does not expire or there is none';

CREATE FUNCTION cache_touch(key text, ttl interval)
RETURNS boolean
AS 'MODULE_PATHNAME', 'cachekit_cache_touch'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION cache_touch(text, interval) IS
'gives an entry a new time to live; false: there is none';

CREATE FUNCTION cache_delete(key text)
RETURNS boolean
AS 'MODULE_PATHNAME', 'cachekit_cache_delete'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION cache_delete(text) IS
'removes an entry; false: there was none';

CREATE FUNCTION cache_delete_many(keys text[])
RETURNS integer
AS 'MODULE_PATHNAME', 'cachekit_cache_delete_many'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION cache_delete_many(text[]) IS
'removes several entries; returns how many there were';

CREATE FUNCTION cache_clear()
RETURNS bigint
AS 'MODULE_PATHNAME', 'cachekit_cache_clear'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION cache_clear() IS
'removes all key/value entries of this database; returns how many there were';

CREATE FUNCTION cache_invalidate_tag(tag text)
RETURNS void
AS 'MODULE_PATHNAME', 'cachekit_cache_invalidate_tag'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION cache_invalidate_tag(text) IS
'makes all entries with this tag invalid';

REVOKE ALL ON FUNCTION cache_set(text, text, interval, text[]) FROM PUBLIC;
REVOKE ALL ON FUNCTION cache_set(text, anyelement, interval, text[]) FROM PUBLIC;
REVOKE ALL ON FUNCTION cache_set_many(text[], text[], interval, text[]) FROM PUBLIC;
REVOKE ALL ON FUNCTION cache_add(text, text, interval, text[]) FROM PUBLIC;
REVOKE ALL ON FUNCTION cache_add(text, anyelement, interval, text[]) FROM PUBLIC;
REVOKE ALL ON FUNCTION cache_incr(text, bigint, bigint) FROM PUBLIC;
REVOKE ALL ON FUNCTION cache_get(text) FROM PUBLIC;
REVOKE ALL ON FUNCTION cache_get(text, anyelement) FROM PUBLIC;
REVOKE ALL ON FUNCTION cache_get_many(text[]) FROM PUBLIC;
REVOKE ALL ON FUNCTION cache_get_or_set(text, text, interval, text[]) FROM PUBLIC;
REVOKE ALL ON FUNCTION cache_exists(text) FROM PUBLIC;
REVOKE ALL ON FUNCTION cache_ttl(text) FROM PUBLIC;
REVOKE ALL ON FUNCTION cache_touch(text, interval) FROM PUBLIC;
REVOKE ALL ON FUNCTION cache_delete(text) FROM PUBLIC;
REVOKE ALL ON FUNCTION cache_delete_many(text[]) FROM PUBLIC;
REVOKE ALL ON FUNCTION cache_clear() FROM PUBLIC;
REVOKE ALL ON FUNCTION cache_invalidate_tag(text) FROM PUBLIC;
