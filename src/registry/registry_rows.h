/* registry_rows.h — what registry_table.c needs of registry.c beyond registry.h. Internal to the registry. */
#ifndef DM_REGISTRY_REGISTRY_ROWS_H
#define DM_REGISTRY_REGISTRY_ROWS_H

#include "registry/registry.h"

/* The entry of the source's table with that stable id; *out NULL: none, or the id is 0. */
enum dm_status dm_registry_get_source(struct sqlite3 *db, const char *origin, uint64_t source_id,
                                      struct dm_relational_schema **out, struct dm_error *err) DM_MUST_USE;
/* Another name for a schema; relationships that point to it follow. */
enum dm_status dm_registry_rename(struct sqlite3 *db, int64_t schema, const char *from, const char *to,
                                  struct dm_error *err) DM_MUST_USE;

#endif
