#include "mirror/verify/verify_rows.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/memory.h"
#include "column/key.h"
#include "engine/parquet_write.h"
#include "mirror/quarantine/bad_row_key.h"
#include "mirror/quarantine/quarantine_table.h"

enum { batch_rows = 16384, batch_bytes = 4 << 20 };

/* Reasons that reading the row cannot find: its content is sound, the stream lacked something. Any other reason shows when the row is read, so that a
 * sound row that is missing in the lake is a difference even if it was in quarantine once. */
static const char *const stream_reasons[] = {"unchanged_value_unknown", "row_too_large"};

/* ---- the keys that the stream put aside ---- */

struct key_hashes {
    const struct dm_suppression *hasher;
    const struct dm_schema *schema;
    size_t n, room;
    struct dm_key_hash *items;
};

static bool add_hash(void *ctx, const uint8_t *key, size_t len)
{
    struct key_hashes *h = ctx;
    if (h->n == h->room) {
        h->room = h->room > 0 ? h->room * 2 : 64;
        h->items = dm_xrealloc(h->items, h->room, sizeof *h->items);
    }
    dm_suppression_hash(h->hasher, key, len, &h->items[h->n++]);
    return false;
}

static enum dm_status add_row(void *ctx, const struct dm_quarantine_row *row, struct dm_error *err)
{
    struct key_hashes *h = ctx;
    (void)err;
    (void)dm_bad_row_keys(h->schema, row->raw, row->key, add_hash, h);
    return DM_OK;
}

/* *out NULL: none. */
static enum dm_status load_put_aside(const struct dm_verify_rows *r, struct sqlite3 *db, uint32_t dataset,
                                     const struct dm_schema *schema, struct dm_suppressed **out,
                                     struct dm_error *err)
{
    struct key_hashes h = {.hasher = r->left_out->suppression, .schema = schema};
    enum dm_status status = DM_OK;
    for (size_t i = 0; i < sizeof stream_reasons / sizeof *stream_reasons && status == DM_OK; i++) {
        struct dm_quarantine_choice choice = {.dataset = dataset, .reason = stream_reasons[i]};
        status = dm_quarantine_each(db, &choice, add_row, &h, err);
    }
    *out = status == DM_OK && h.n > 0 ? dm_suppressed_new(h.hasher, h.items, h.n) : NULL;
    free(h.items);
    return status;
}

/* ---- the table ---- */

struct pull {
    struct dm_verify_rows *r;
    struct dm_copy_reader *reader;
    struct dm_batch *batch;
    struct dm_suppressed *put_aside;
    struct dm_batch *keys; /* of rows whose key is in put_aside; NULL: nobody asks */
    uint32_t *selection;   /* room for what the batch has */
    size_t room;
    bool ended;
};

static enum dm_status count_bad_row(void *ctx, const struct dm_bad_row *row, struct dm_error *err)
{
    struct pull *p = ctx;
    (void)row;
    (void)err;
    p->r->unfit++;
    return DM_OK;
}

static enum dm_status keep_key(struct pull *p, size_t row, struct dm_error *err)
{
    const struct dm_schema *s = p->batch->schema;
    for (size_t k = 0; k < s->n_keys; k++)
        if (dm_column_append_value(&p->keys->columns[k], &p->batch->columns[s->keys[k]], row, err) != DM_OK)
            return DM_FAIL;
    dm_batch_end_row(p->keys, DM_OP_COPY);
    return DM_OK;
}

static enum dm_status keep_keys(struct pull *p, struct dm_error *err)
{
    if (p->keys == NULL)
        return DM_OK;
    struct dm_key_list keys = {0};
    enum dm_status status = dm_key_list_encode(&keys, p->batch, err);
    for (size_t i = 0; i < p->batch->rows && status == DM_OK; i++)
        if (dm_suppressed_has(p->put_aside, keys.bytes.data + keys.offsets[i],
                              keys.offsets[i + 1] - keys.offsets[i]))
            status = keep_key(p, i, err);
    dm_key_list_release(&keys);
    return status;
}

static enum dm_status next(void *ctx, const struct dm_batch **batch, const uint32_t **selection, size_t *n,
                           struct dm_error *err)
{
    struct pull *p = ctx;
    *batch = p->batch;
    *selection = NULL;
    *n = 0;
    if (p->ended)
        return DM_END;
    if (p->r->stop != NULL && *p->r->stop != 0)
        return dm_fail(err, DM_ERROR_TRANSIENT, NULL, "stopped");
    dm_batch_clear(p->batch);
    enum dm_status status =
        p->r->type->copy_next(p->reader, p->batch, batch_rows, batch_bytes, count_bad_row, p, err);
    if (status == DM_FAIL)
        return status;
    p->ended = status == DM_END;
    if (p->room < p->batch->rows) {
        p->room = p->batch->rows;
        p->selection = dm_xrealloc(p->selection, p->room, sizeof *p->selection);
    }
    *selection = p->selection;
    if (dm_left_out_select(p->r->left_out, p->batch, p->selection, n, err) != DM_OK ||
        keep_keys(p, err) != DM_OK)
        return DM_FAIL;
    return p->ended && p->batch->rows == 0 ? DM_END : DM_OK;
}

static void hand_out(struct dm_verify_file *f, struct dm_parquet_result *result)
{
    f->n = result->rows > 0;
    f->file = (struct dm_scan_file){.path = f->path, .number = 1, .rows = result->rows};
    dm_parquet_result_release(result);
}

enum dm_status dm_verify_rows_read(struct dm_verify_rows *r, struct sqlite3 *db, uint32_t dataset,
                                   const struct dm_table *table, const struct dm_schema *schema,
                                   const struct dm_schema *plain, struct dm_error *err)
{
    struct pull p = {.r = r};
    struct dm_parquet_options options = {.compression = "snappy"};
    struct dm_parquet_result result = {0};
    if (schema->n_keys > 0 && load_put_aside(r, db, dataset, schema, &p.put_aside, err) != DM_OK)
        return DM_FAIL;
    enum dm_status status = r->type->copy_read(r->copy, table, 0, 1, &p.reader, err);
    if (status == DM_OK) {
        r->key_columns = dm_schema_keys(plain);
        p.batch = dm_batch_new(schema);
        p.keys = p.put_aside != NULL ? dm_batch_new(r->key_columns) : NULL;
        r->all.path = dm_xasprintf("%s/source.parquet", r->folder);
        status = dm_parquet_write(r->engine, r->all.path, plain, &options, next, &p, &result, NULL, err);
        r->rows = result.rows;
        hand_out(&r->all, &result);
        r->type->copy_reader_close(p.reader);
    }
    if (status == DM_OK && p.keys != NULL && p.keys->rows > 0) {
        r->put_aside.path = dm_xasprintf("%s/put-aside.parquet", r->folder);
        status = dm_parquet_write_batch(r->engine, r->put_aside.path, r->key_columns, &options, p.keys, NULL,
                                        0, &result, err);
        hand_out(&r->put_aside, &result);
    }
    free(p.selection);
    dm_batch_free(p.keys);
    dm_batch_free(p.batch);
    dm_suppressed_unref(p.put_aside);
    return status;
}

static void file_release(struct dm_verify_file *f)
{
    if (f->path != NULL)
        (void)unlink(f->path);
    free(f->path);
    *f = (struct dm_verify_file){0};
}

void dm_verify_rows_release(struct dm_verify_rows *r)
{
    file_release(&r->all);
    file_release(&r->put_aside);
    dm_schema_unref(r->key_columns);
    r->key_columns = NULL;
}
