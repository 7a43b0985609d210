/* vector_read.h — inside engine/ only: values of a DuckDB vector appended to a struct dm_column. */
#ifndef DM_ENGINE_VECTOR_READ_H
#define DM_ENGINE_VECTOR_READ_H

#include <duckdb.h>

#include "column/column.h"

/* Values from .. from + n of a flat vector of the column's type; texts are copied. */
enum dm_status dm_vector_read(duckdb_vector vector, size_t from, size_t n, struct dm_column *column,
                              struct dm_error *err) DM_MUST_USE;

#endif
