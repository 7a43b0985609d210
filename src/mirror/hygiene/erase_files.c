#include "mirror/hygiene/erase_files.h"

#include <stdlib.h>

#include "base/memory.h"

/* ---- finding ---- */

struct search {
    struct dm_erase_match *match;
    dm_erase_hit fn;
    void *ctx;
};

static enum dm_status look(void *ctx, const struct dm_batch *batch, const uint32_t *files,
                           const uint32_t *positions, struct dm_error *err)
{
    struct search *s = ctx;
    if (dm_erase_match_batch(s->match, batch, err) != DM_OK)
        return DM_FAIL;
    for (size_t i = 0; i < batch->rows; i++)
        if (dm_erase_match_has(s->match, i))
            s->fn(s->ctx, files[i], positions[i]);
    return DM_OK;
}

enum dm_status dm_erase_find(struct dm_engine *e, const struct dm_scan_file *files, size_t n, bool physical,
                             struct dm_erase_match *match, dm_erase_hit fn, void *ctx, struct dm_error *err)
{
    const struct dm_schema *columns = dm_erase_match_columns(match);
    if (n == 0 || columns->n_fields == 0)
        return DM_OK;
    struct search s = {.match = match, .fn = fn, .ctx = ctx};
    struct dm_scan_file *all = dm_xalloc(n * sizeof *all);
    for (size_t i = 0; i < n; i++) {
        all[i] = files[i];
        if (physical)
            all[i].deleted = NULL;
    }
    struct dm_scan_options options = {0};
    enum dm_status status = dm_parquet_scan(e, all, n, columns, &options, look, &s, err);
    free(all);
    return status;
}

/* ---- writing anew ---- */

struct anew {
    struct dm_engine *e;
    const struct dm_schema *schema;
    struct dm_erase_match *match;
    const struct dm_erase_output *out;
    struct dm_parquet_options options;
    struct dm_batch *batch;
    uint64_t rows;
};

static enum dm_status flush(struct anew *a, struct dm_error *err)
{
    if (a->batch->rows == 0)
        return DM_OK;
    uint32_t number = 0;
    char *path = NULL;
    struct dm_parquet_result result = {0};
    enum dm_status status = a->out->new_file(a->out->ctx, &number, &path, err);
    if (status == DM_OK)
        status = dm_parquet_write_batch(a->e, path, a->schema, &a->options, a->batch, NULL, 0, &result, err);
    if (status == DM_OK)
        status = a->out->written(a->out->ctx, number, path, a->batch, &result, err);
    a->rows += a->batch->rows;
    dm_parquet_result_release(&result);
    free(path);
    dm_batch_free(a->batch); /* gives the memory back, which clearing would keep */
    a->batch = dm_batch_new(a->schema);
    return status;
}

static enum dm_status take(void *ctx, const struct dm_batch *batch, const uint32_t *files,
                           const uint32_t *positions, struct dm_error *err)
{
    struct anew *a = ctx;
    (void)files;
    (void)positions;
    enum dm_status status = dm_erase_match_batch(a->match, batch, err);
    for (size_t i = 0; i < batch->rows && status == DM_OK; i++)
        if (!dm_erase_match_has(a->match, i))
            status = dm_batch_append_row(a->batch, batch, i, err);
    if (status == DM_OK && dm_batch_bytes(a->batch) >= a->out->most_bytes)
        status = flush(a, err);
    return status;
}

enum dm_status dm_erase_write_anew(struct dm_engine *e, const struct dm_scan_file *file,
                                   const struct dm_schema *schema, struct dm_erase_match *match,
                                   const char *compression, const struct dm_erase_output *out, uint64_t *rows,
                                   struct dm_error *err)
{
    struct anew a = {
        .e = e, .schema = schema, .match = match, .out = out, .options = {.compression = compression}};
    a.batch = dm_batch_new(schema);
    struct dm_scan_options options = {0};
    enum dm_status status = dm_parquet_scan(e, file, 1, schema, &options, take, &a, err);
    if (status == DM_OK)
        status = flush(&a, err);
    *rows = a.rows;
    dm_batch_free(a.batch);
    return status;
}
