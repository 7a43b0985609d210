/* registry.h — where relational schemas are kept: tables dm_schema and dm_descriptor in the lake's catalog.db.
 *
 * The functions run on the caller's connection, inside its transaction if it has one open (a commit's, so that a schema and its dataset appear
 * together). Not thread safe: callers hold the mirror's lake mutex, or a connection of their own.
 * Each descriptor is a row of its own with a stable id, so that it can be addressed alone.
 */
#ifndef DM_REGISTRY_REGISTRY_H
#define DM_REGISTRY_REGISTRY_H

#include "registry/relational_schema.h"

struct sqlite3;

/* The functions that write call it themselves; cheap when the tables are there. */
enum dm_status dm_registry_create_tables(struct sqlite3 *db, struct dm_error *err) DM_MUST_USE;
/* *out NULL: there is none of that name. Names without a dot are completed, here and below. */
enum dm_status dm_registry_get(struct sqlite3 *db, const char *name, struct dm_relational_schema **out,
                               struct dm_error *err) DM_MUST_USE;
/* All, by name. A catalog without the tables gives none. */
enum dm_status dm_registry_list(struct sqlite3 *db, struct dm_relational_schemas *out,
                                struct dm_error *err) DM_MUST_USE;
/* Inserts (a new name) or replaces; sets the ids and times. Descriptors that stay keep their ids. Checks no rules: that is schema_rules.h. */
enum dm_status dm_registry_put(struct sqlite3 *db, struct dm_relational_schema *s,
                               struct dm_error *err) DM_MUST_USE;
enum dm_status dm_registry_remove(struct sqlite3 *db, const char *name, struct dm_error *err) DM_MUST_USE;

/* Several changes as one, also inside a transaction of the caller's: begin, puts, end with their status (which it returns; not DM_OK: all are undone).
 * *own, for dm_registry_end: there was no transaction, and the write lock is taken from the start, so that no read grows stale. */
enum dm_status dm_registry_begin(struct sqlite3 *db, bool *own, struct dm_error *err) DM_MUST_USE;
enum dm_status dm_registry_end(struct sqlite3 *db, bool own, enum dm_status status,
                               struct dm_error *err) DM_MUST_USE;

struct dm_table;
/* What a source's table says of itself, as the dataset `name` of source `origin`: columns, key, relationships from foreign keys (names of their
 * targets by `target_name`, NULL result: the target is not mirrored). Declared relationships and texts of an entry that is there already stay.
 * An entry of that origin with the table's id and another name is renamed, and relationships to it follow. Writes only when something changed.
 * A dataset of that name that a person declared is a CONFIG error. */
typedef char *(*dm_target_name)(void *ctx, const char *schema, const char *table); /* malloc'ed */
enum dm_status dm_registry_put_table(struct sqlite3 *db, const char *origin, const char *name,
                                     const struct dm_table *table, dm_target_name target_name, void *ctx,
                                     struct dm_error *err) DM_MUST_USE;

#endif
