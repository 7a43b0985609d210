/* value_bare.h — inside engine/ only: values that DuckDB gives as they stand in a Parquet file, and what they mean (enum dm_meaning).
 *
 * Every number and every run of bytes has a text. Some have no value all the same, whatever column they are for: dm_value_beyond says which.
 */
#ifndef DM_ENGINE_VALUE_BARE_H
#define DM_ENGINE_VALUE_BARE_H

#include "column/value_parse.h"
#include "engine/value_text.h"

/* The text of a value whose type means something; `data` is its vector's. */
enum dm_status dm_bare_text(struct dm_buffer *out, const struct dm_value_type *t, const void *data,
                            uint64_t row, enum dm_spelling how, struct dm_error *err) DM_MUST_USE;
/* Appends the value to a column of another type where that is exact and needs no text: the usual cases. False: it was not appended. */
bool dm_bare_append(const struct dm_value_type *t, const void *data, uint64_t row, struct dm_column *column);

/* Is there something in this value (of any type, also in lists and structs) that is no value? NULL: no. Otherwise why, as a literal: a timestamp of the
 * least number (what NumPy and pandas write for "no time"), a time of day that no day has, a decimal without bytes. */
const char *dm_value_beyond(const struct dm_value_type *t, duckdb_vector vector, uint64_t row);

#endif
