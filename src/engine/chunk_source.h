/* chunk_source.h — inside engine/ only: what feeds the table function dm_pull_<number>. */
#ifndef DM_ENGINE_CHUNK_SOURCE_H
#define DM_ENGINE_CHUNK_SOURCE_H

#include <duckdb.h>

#include "base/error.h"
#include "column/schema.h"

struct dm_chunk_source {
    const struct dm_schema *schema;
    char **names; /* one a field, distinct without regard to case */
    /* Fills the chunk and sets its size; 0 rows is the end. A failure is kept by the source; DuckDB only hears that there was one. */
    enum dm_status (*fill)(struct dm_chunk_source *source, duckdb_data_chunk chunk);
};

/* Registers dm_pull_<number> on the connection; it reads `*slot` at the time of each query. */
enum dm_status dm_chunk_source_register(duckdb_connection c, unsigned number, struct dm_chunk_source **slot,
                                        struct dm_error *err) DM_MUST_USE;

#endif
