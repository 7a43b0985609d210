/* vector_fill.h — inside engine/ only: values of a struct dm_column into a DuckDB vector, statistics on the way.
 *
 * STRING and BINARY vectors point into the column's bytes (no copy): the column must stay as it is until DuckDB has taken the
 * chunk, that is, until the table function is called again.
 */
#ifndef DM_ENGINE_VECTOR_FILL_H
#define DM_ENGINE_VECTOR_FILL_H

#include <duckdb.h>

#include "column/column.h"
#include "engine/column_stats.h"

/* Which values: start .. start + n, or those that `selection` lists. */
struct dm_row_range {
    const uint32_t *selection; /* NULL: dense */
    size_t start;
    size_t n;
};

/* Scratch memory, reused between calls; zeroed struct is ready. */
struct dm_fill_scratch {
    uint8_t *values;
    uint8_t *states;
    uint32_t *elements;
    size_t values_capacity, states_capacity, elements_capacity;
};
void dm_fill_scratch_release(struct dm_fill_scratch *s);

/* Fills the vector with range->n values. For a LIST the gatherer is that of the elements. The error names no column: the caller does. */
enum dm_status dm_vector_fill(duckdb_vector vector, const struct dm_column *column,
                              const struct dm_row_range *range, struct dm_stats_gatherer *stats,
                              struct dm_fill_scratch *scratch, struct dm_error *err) DM_MUST_USE;

#endif
