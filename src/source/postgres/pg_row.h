/* pg_row.h — one row of a table on its way into a batch, and into quarantine when it does not fit.
 *
 * A struct pg_row_shape names the columns (schema) and their codecs, index by index. Values point into the
 * message they came in. Nothing is owned; one thread at a time.
 */
#ifndef DM_SOURCE_POSTGRES_PG_ROW_H
#define DM_SOURCE_POSTGRES_PG_ROW_H

#include "column/batch.h"
#include "source/postgres/pg_value.h"

struct pg_row_shape {
    const struct dm_schema *schema;
    const struct pg_codec *codecs; /* schema->n_fields of them */
    bool binary;                   /* the values are in COPY's binary form */
    uint64_t max_bytes;            /* of a row's values; 0: no limit */
};

/* The kinds are pgoutput's own letters. */
enum pg_kind { PG_KIND_NULL = 'n', PG_KIND_UNCHANGED = 'u', PG_KIND_TEXT = 't', PG_KIND_BINARY = 'b' };

struct pg_raw_value {
    enum pg_kind kind;
    uint32_t n;
    const uint8_t *bytes;
};

/* Why a row does not fit: a value, or a key column that is null. */
struct pg_misfit {
    size_t column;
    bool null_key;
    enum pg_value_result result; /* ROW_TOO_LARGE: the column is the one with the largest value */
    uint64_t bytes;              /* ROW_TOO_LARGE: of the row */
    bool left_behind; /* its long values were not sent, and stand as nulls: nobody knows whose column it is */
};

/* Too large already by what came of it, whatever the decoders make of the values: then it need not be decoded. */
bool pg_row_surely_too_large(const struct pg_row_shape *shape, const struct pg_raw_value *values,
                             struct pg_misfit *misfit);
/* The row at the end of the batch, decoded and not ended. */
bool pg_row_too_large(const struct pg_row_shape *shape, const struct pg_raw_value *values,
                      const struct dm_batch *batch, struct pg_misfit *misfit);

/* Makes "{"a": "1", "b": null}" and the message, and hands them to `fn`. values[i] belongs to
 * schema->fields[i]. */
enum dm_status pg_report_misfit(const struct pg_row_shape *shape, const struct pg_raw_value *values,
                                const struct pg_misfit *misfit, enum dm_op op,
                                enum dm_status (*fn)(void *ctx, const struct dm_bad_row *row,
                                                     struct dm_error *err),
                                void *ctx, struct dm_error *err) DM_MUST_USE;

#endif
