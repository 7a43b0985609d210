/* read_relation.h — inside engine/ only: the SQL text that reads data files by field id.
 *
 *     read_parquet(['a.parquet', …], schema = MAP {1: {name: 'id', type: 'BIGINT', default_value: NULL}, …})
 *
 * Besides the named columns it offers file_index (place in the list) and file_row_number.
 */
#ifndef DM_ENGINE_READ_RELATION_H
#define DM_ENGINE_READ_RELATION_H

#include "engine/parquet_read.h"

/* Appends the relation; names[i] is what field i is to be called. */
enum dm_status dm_read_relation(struct dm_buffer *sql, const struct dm_scan_file *files, size_t n_files,
                                const struct dm_schema *schema, char *const *names,
                                struct dm_error *err) DM_MUST_USE;

/* Appends an Iceberg JSON single value as an SQL literal that DuckDB casts to the type, or NULL for JSON null. */
enum dm_status dm_default_literal(struct dm_buffer *sql, const char *json, struct dm_type type,
                                  struct dm_error *err) DM_MUST_USE;

#endif
