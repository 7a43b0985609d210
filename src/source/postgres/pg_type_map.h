/* pg_type_map.h — from a PostgreSQL type (oid and modifier) to a column type and the codec of its values.
 *
 * A struct pg_type_cache remembers what the catalog says about types; it asks over the connection it is given.
 * Owned by its user (zeroed struct is ready, pg_type_cache_release), one thread at a time. docs/types.md
 * describes the mapping.
 *
 *     struct pg_codec codec;
 *     if (pg_type_map(&cache, conn, typid, typmod, decimal, &codec, err) != DM_OK) …
 */
#ifndef DM_SOURCE_POSTGRES_PG_TYPE_MAP_H
#define DM_SOURCE_POSTGRES_PG_TYPE_MAP_H

#include "source/postgres/pg_connection.h"
#include "source/postgres/pg_value.h"

#define PG_TIME_OID 1083 /* time without time zone: time_as: concerns it */

struct pg_type_info {
    uint32_t oid;
    uint32_t base; /* domain: what it is over; else 0 */
    int32_t base_modifier;
    uint32_t element; /* true array (array_out): type of the elements; else 0 */
    char delimiter;
    bool known; /* false: the catalog has no such type (any more) */
};

struct pg_type_cache {
    size_t n;
    struct pg_type_info *types;
    const struct pg_charset *charset; /* owned; set by the owner: pg_source_catalog */
    bool time_as_text;                /* set by the owner: time columns are mirrored as the server's text */
};
void pg_type_cache_release(struct pg_type_cache *cache);

/* Loads what is not known yet of these types, their bases and elements, in few round trips. */
enum dm_status pg_type_cache_load(struct pg_type_cache *cache, PGconn *conn, const uint32_t *oids, size_t n,
                                  struct dm_error *err) DM_MUST_USE;

/* decimal: the configured type of an unbounded (or too wide) numeric, or NULL. */
enum dm_status pg_type_map(struct pg_type_cache *cache, PGconn *conn, uint32_t oid, int32_t modifier,
                           const struct dm_type *decimal, struct pg_codec *out,
                           struct dm_error *err) DM_MUST_USE;

#endif
