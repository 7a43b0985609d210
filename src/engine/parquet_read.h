/* parquet_read.h — rows of data files back into batches, by field id.
 *
 * Columns are matched by field id, so files written before a rename, add, or widening read correctly: a field that the
 * file lacks gives its default_json value, or null. Types are promoted (int→long, float→double, decimal).
 */
#ifndef DM_ENGINE_PARQUET_READ_H
#define DM_ENGINE_PARQUET_READ_H

#include <roaring/roaring.h>

#include "engine/engine.h"

/* One data file as a reader sees it. */
struct dm_scan_file {
    const char *path;
    uint32_t number; /* the dataset's file number, handed through */
    uint64_t rows;
    const roaring_bitmap_t *deleted; /* positions to leave out; NULL: none */
};

/* Called with up to 2048 rows at a time. ops are DM_OP_COPY. file_numbers[i] and positions[i] say where row i stands.
 * The batch is reused between calls. */
typedef enum dm_status (*dm_scan_fn)(void *ctx, const struct dm_batch *batch, const uint32_t *file_numbers,
                                     const uint32_t *positions, struct dm_error *err);

struct dm_scan_options {
    bool
        order_by_key; /* rows come in the order of the schema's key (memcmp order of dm_key_encode); spills to disk when large */
};

/* The visible rows of the files with the columns of `schema` (a subset of the dataset's fields is fine). */
enum dm_status dm_parquet_scan(struct dm_engine *e, const struct dm_scan_file *files, size_t n_files,
                               const struct dm_schema *schema, const struct dm_scan_options *options,
                               dm_scan_fn fn, void *ctx, struct dm_error *err) DM_MUST_USE;

/* Rows at given positions of one file (positions ascending, distinct), in that order, appended to `out` (batch of `schema`) with DM_OP_COPY.
 * Deleted rows are returned too. Fails when a position is past the end. */
enum dm_status dm_parquet_fetch(struct dm_engine *e, const char *path, const uint32_t *positions, size_t n,
                                const struct dm_schema *schema, struct dm_batch *out,
                                struct dm_error *err) DM_MUST_USE;
/* The same for the first of them that give most_bytes or a little more: *fetched, at least one. */
enum dm_status dm_parquet_fetch_some(struct dm_engine *e, const char *path, const uint32_t *positions,
                                     size_t n, const struct dm_schema *schema, size_t most_bytes,
                                     struct dm_batch *out, size_t *fetched, struct dm_error *err) DM_MUST_USE;

#endif
