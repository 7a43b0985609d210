/* duckdb_type.h — inside engine/ only: our types as DuckDB's. */
#ifndef DM_ENGINE_DUCKDB_TYPE_H
#define DM_ENGINE_DUCKDB_TYPE_H

#include <duckdb.h>

#include "column/type.h"

/* Owned by the caller: duckdb_destroy_logical_type. */
duckdb_logical_type dm_duckdb_type_new(struct dm_type type);
/* The type as SQL, "DECIMAL(10,2)[]"; `out` of at least 32 bytes; returns out. */
const char *dm_duckdb_type_sql(struct dm_type type, char *out, size_t size);
/* Bytes that DuckDB uses for an unscaled decimal of the precision: 2, 4, 8 or 16. */
size_t dm_duckdb_decimal_width(unsigned precision);

#endif
