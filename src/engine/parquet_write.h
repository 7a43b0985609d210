/* parquet_write.h — batches into one Parquet file.
 *
 * Every column carries the Iceberg field id of the schema (list elements too); only plain and dictionary
 * encodings, which every reader knows (see parquet_write.c). Physical types as
 * Iceberg prescribes (decimals beyond 18 digits always as FIXED(16)): decimal by precision, uuid as FIXED(16), timestamps in microseconds.
 * Column statistics are computed from the values while they pass by (not read back from the file).
 * The file is fsynced (its folder is not) and must lie in an existing folder; on failure it is removed.
 * Rows stand in the file in the order of pulling: position = number of rows pulled before. A row group ends after row_group_rows
 * rows, or earlier when its rows are wide (bounded memory). Nothing to write: rows = 0 and no file.
 * Column names are the fields' names, except that an empty name, and a name equal to an earlier one but for case, gets "_<field id>"
 * appended: DuckDB cannot hold both. Readers go by field id.
 * Threads: any number of writers at once, each with its own pull. The batches are borrowed, strings are not copied on the way.
 * Failure: an error of `pull` is handed on as it is; nulls in required fields, decimals beyond their precision and text that is not
 * UTF-8 are DATA errors; disk and memory trouble is TRANSIENT.
 */
#ifndef DM_ENGINE_PARQUET_WRITE_H
#define DM_ENGINE_PARQUET_WRITE_H

#include "engine/engine.h"

/* Statistics of one leaf column (a list's element counts as the leaf; bounds are not kept for lists). */
struct dm_column_stats {
    int32_t field_id;
    uint64_t values; /* nulls included; for list elements: number of elements */
    uint64_t nulls;
    uint64_t nans;   /* floats only */
    bool has_bounds; /* some non-null, non-NaN value was seen, and the type has bounds */
    bool is_float;   /* nans is meaningful */
    uint8_t
        lower[64]; /* Iceberg single-value serialization, cut as the spec allows (16 code points: 64 bytes) */
    uint8_t lower_len;
    uint8_t upper[64];
    uint8_t upper_len;
};
/* Bounds rules: text is cut to 16 code points (lower: prefix; upper: prefix with its last code point increased; none possible:
 * no upper, has_bounds false), binary to 16 bytes likewise; decimal as minimal big-endian two's complement; float -0/+0: lower -0,
 * upper +0; infinite dates and timestamps are values like any other. */

struct dm_parquet_result {
    uint64_t rows;
    uint64_t file_bytes;
    size_t n_stats;
    struct dm_column_stats *stats; /* malloc; free with dm_parquet_result_release */
};
void dm_parquet_result_release(struct dm_parquet_result *r);

/* What to write next: DM_OK with a batch and a selection, DM_END when there is no more. `selection` lists the rows to write in order
 * (n_selection of them); NULL: all rows. All batches have columns equal in type to `schema`'s. Both stay valid until the next call.
 * UNCHANGED values must have been resolved. */
typedef enum dm_status (*dm_batch_pull)(void *ctx, const struct dm_batch **batch, const uint32_t **selection,
                                        size_t *n_selection, struct dm_error *err);

struct dm_parquet_options {
    const char *compression; /* zstd, snappy, uncompressed */
    int zstd_level; /* 0: zstd's own (3); 1 takes two thirds of the time and is as dense, but for long repeats in text */
    uint64_t
        max_bytes; /* stop pulling when about this many bytes of input were taken (then *more is set); 0: no limit */
    size_t row_group_rows; /* 0: default (122880) */
};

/* Writes one file. *more (may be NULL when max_bytes is 0) says that pull had not ended. */
enum dm_status dm_parquet_write(struct dm_engine *e, const char *path, const struct dm_schema *schema,
                                const struct dm_parquet_options *options, dm_batch_pull pull, void *ctx,
                                struct dm_parquet_result *result, bool *more,
                                struct dm_error *err) DM_MUST_USE;

/* The same for one batch in memory. */
enum dm_status dm_parquet_write_batch(struct dm_engine *e, const char *path, const struct dm_schema *schema,
                                      const struct dm_parquet_options *options, const struct dm_batch *batch,
                                      const uint32_t *selection, size_t n_selection,
                                      struct dm_parquet_result *result, struct dm_error *err) DM_MUST_USE;

#endif
