#include "mirror/hygiene/erase_files.h"

#include <stdlib.h>

#include "base/memory.h"

struct dm_schema *dm_erase_key_schema(const struct dm_schema *dataset, const struct dm_schema *stored)
{
    struct dm_schema *keys = dm_schema_new();
    for (size_t k = 0; k < dataset->n_keys; k++) {
        const struct dm_field *of = &dataset->fields[dataset->keys[k]];
        int at = dm_schema_find_id(stored, of->id);
        if (at < 0) {
            dm_schema_unref(keys);
            return NULL;
        }
        dm_schema_add_copy(keys, &stored->fields[at]);
        dm_schema_add_key(keys, (uint32_t)k);
    }
    return keys;
}

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
    const struct dm_suppressed *set;
    const struct dm_erase_output *out;
    struct dm_parquet_options options;
    uint32_t *column_of;        /* key column k of the file's columns */
    struct dm_batch *key_batch; /* borrows columns */
    struct dm_key_list keys;
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

/* The keys of a batch of whole rows. */
static enum dm_status encode_keys(struct anew *a, const struct dm_batch *batch, struct dm_error *err)
{
    struct dm_batch *view = a->key_batch;
    for (size_t k = 0; k < view->n_columns; k++)
        view->columns[k] = batch->columns[a->column_of[k]];
    view->rows = batch->rows;
    enum dm_status status = dm_key_list_encode(&a->keys, view, err);
    for (size_t k = 0; k < view->n_columns; k++)
        view->columns[k] = (struct dm_column){0};
    view->rows = 0;
    return status;
}

static enum dm_status take(void *ctx, const struct dm_batch *batch, const uint32_t *files,
                           const uint32_t *positions, struct dm_error *err)
{
    struct anew *a = ctx;
    (void)files;
    (void)positions;
    enum dm_status status = encode_keys(a, batch, err);
    for (size_t i = 0; i < batch->rows && status == DM_OK; i++)
        if (!dm_suppressed_has(a->set, a->keys.bytes.data + a->keys.offsets[i],
                               a->keys.offsets[i + 1] - a->keys.offsets[i]))
            status = dm_batch_append_row(a->batch, batch, i, err);
    if (status == DM_OK && dm_batch_bytes(a->batch) >= a->out->most_bytes)
        status = flush(a, err);
    return status;
}

enum dm_status dm_erase_write_anew(struct dm_engine *e, const struct dm_scan_file *file,
                                   const struct dm_schema *schema, const struct dm_schema *keys,
                                   const struct dm_suppressed *set, const char *compression,
                                   const struct dm_erase_output *out, uint64_t *rows, struct dm_error *err)
{
    struct anew a = {
        .e = e, .schema = schema, .set = set, .out = out, .options = {.compression = compression}};
    a.column_of = dm_xzalloc(keys->n_fields + 1, sizeof *a.column_of);
    for (size_t k = 0; k < keys->n_fields; k++)
        a.column_of[k] = (uint32_t)dm_schema_find_id(schema, keys->fields[k].id);
    a.key_batch = dm_batch_new(keys);
    for (size_t k = 0; k < a.key_batch->n_columns; k++)
        dm_column_release(&a.key_batch->columns[k]);
    a.batch = dm_batch_new(schema);
    struct dm_scan_options options = {0};
    enum dm_status status = dm_parquet_scan(e, file, 1, schema, &options, take, &a, err);
    if (status == DM_OK)
        status = flush(&a, err);
    *rows = a.rows;
    for (size_t k = 0; k < a.key_batch->n_columns; k++)
        a.key_batch->columns[k] = (struct dm_column){0};
    dm_batch_free(a.key_batch);
    dm_batch_free(a.batch);
    dm_key_list_release(&a.keys);
    free(a.column_of);
    return status;
}
