#include "source/postgres/pg_copy_binary.h"

#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/memory.h"

#define ROW_MAX ((size_t)2 << 30) /* the server cannot send more in one row */
#define HEADER_BYTES 19

void pg_copy_parser_init(struct pg_copy_parser *p, const struct pg_row_shape *shape)
{
    *p = (struct pg_copy_parser){.shape = shape};
    dm_buffer_init(&p->rest, ROW_MAX);
    p->values = dm_xzalloc(shape->schema->n_fields + 2, sizeof *p->values);
}

void pg_copy_parser_release(struct pg_copy_parser *p)
{
    dm_buffer_release(&p->rest);
    free(p->values);
    *p = (struct pg_copy_parser){0};
}

static enum dm_status fail_format(struct dm_error *err, const char *what)
{
    return dm_fail(err, DM_ERROR_FATAL, NULL, "COPY sent bytes that are not its binary format: %s", what);
}

/* Length of the header at `bytes`; 0: not all there yet. */
static enum dm_status read_header(const uint8_t *bytes, size_t n, size_t *used, struct dm_error *err)
{
    static const char signature[] = "PGCOPY\n\377\r\n";
    *used = 0;
    if (n < HEADER_BYTES)
        return DM_OK;
    if (memcmp(bytes, signature, sizeof signature) != 0) /* its NUL is part of the signature */
        return fail_format(err, "no signature");
    uint32_t extension = dm_get_be32(bytes + 15);
    if (extension > ROW_MAX)
        return fail_format(err, "header extension");
    if (n - HEADER_BYTES >= extension)
        *used = HEADER_BYTES + extension;
    return DM_OK;
}

static size_t fields_of(const struct pg_copy_parser *p)
{
    return p->shape->schema->n_fields + (p->guarded ? 1 : 0);
}

/* The guard's field. */
static bool left_behind(const struct pg_copy_parser *p, struct pg_misfit *misfit)
{
    const struct pg_raw_value *size = &p->values[p->shape->schema->n_fields];
    if (!p->guarded || size->kind == PG_KIND_NULL || size->n != sizeof(uint64_t))
        return false;
    *misfit = (struct pg_misfit){
        .result = PG_VALUE_ROW_TOO_LARGE, .left_behind = true, .bytes = dm_get_be64(size->bytes)};
    return true;
}

/* Cuts the row into fields without decoding. Length of the row, or 0 when it is not all there. */
static enum dm_status cut_row(struct pg_copy_parser *p, const uint8_t *bytes, size_t n, size_t *used,
                              struct dm_error *err)
{
    size_t fields = fields_of(p), at = 2;
    *used = 0;
    for (size_t i = 0; i < fields; i++) {
        if (n - at < 4)
            return DM_OK;
        uint32_t size = dm_get_be32(bytes + at);
        at += 4;
        if (size == UINT32_MAX) {
            p->values[i] = (struct pg_raw_value){.kind = PG_KIND_NULL};
            continue;
        }
        if (size > INT32_MAX)
            return fail_format(err, "field length");
        if (size > n - at)
            return DM_OK;
        p->values[i] = (struct pg_raw_value){.kind = PG_KIND_BINARY, .n = size, .bytes = bytes + at};
        at += size;
    }
    *used = at;
    return DM_OK;
}

static bool decode_row(const struct pg_copy_parser *p, struct dm_batch *batch, struct pg_misfit *misfit)
{
    const struct dm_schema *schema = p->shape->schema;
    for (size_t i = 0; i < schema->n_fields; i++) {
        const struct pg_raw_value *v = &p->values[i];
        if (v->kind == PG_KIND_NULL) {
            if (schema->fields[i].required) {
                *misfit = (struct pg_misfit){.column = i, .null_key = true};
                return false;
            }
            dm_column_append_null(&batch->columns[i]);
            continue;
        }
        enum pg_value_result r =
            pg_value_from_binary(&p->shape->codecs[i], &batch->columns[i], v->bytes, v->n);
        if (r != PG_VALUE_OK) {
            *misfit = (struct pg_misfit){.column = i, .result = r};
            return false;
        }
    }
    return true;
}

/* The rows that are complete in `bytes`; *used: how far that was. */
static enum dm_status read_rows(struct pg_copy_parser *p, const uint8_t *bytes, size_t n, size_t *used,
                                struct dm_batch *batch, dm_bad_row_fn bad_row, void *ctx,
                                struct dm_error *err)
{
    size_t at = 0;
    if (!p->header_seen) {
        if (read_header(bytes, n, &at, err) != DM_OK)
            return DM_FAIL;
        p->header_seen = at > 0;
    }
    while (p->header_seen && n - at >= 2) {
        if (p->ended)
            return fail_format(err, "bytes behind the trailer");
        uint16_t fields = dm_get_be16(bytes + at);
        if (fields == UINT16_MAX) {
            p->ended = true;
            at += 2;
            continue;
        }
        if (fields != fields_of(p))
            return fail_format(err, "number of fields");
        size_t row;
        if (cut_row(p, bytes + at, n - at, &row, err) != DM_OK)
            return DM_FAIL;
        if (row == 0)
            break;
        at += row;
        struct pg_misfit misfit = {0};
        if (!left_behind(p, &misfit) && !pg_row_surely_too_large(p->shape, p->values, &misfit) &&
            decode_row(p, batch, &misfit) && !pg_row_too_large(p->shape, p->values, batch, &misfit)) {
            dm_batch_end_row(batch, DM_OP_COPY);
            continue;
        }
        dm_batch_undo_row(batch);
        if (pg_report_misfit(p->shape, p->values, &misfit, DM_OP_COPY, bad_row, ctx, err) != DM_OK)
            return DM_FAIL;
    }
    *used = at;
    return DM_OK;
}

enum dm_status pg_copy_parser_feed(struct pg_copy_parser *p, const uint8_t *bytes, size_t n,
                                   struct dm_batch *batch, dm_bad_row_fn bad_row, void *ctx,
                                   struct dm_error *err)
{
    size_t used = 0;
    if (p->rest.len == 0) { /* the usual way: nothing is copied */
        if (read_rows(p, bytes, n, &used, batch, bad_row, ctx, err) != DM_OK)
            return DM_FAIL;
        return dm_buffer_append(&p->rest, bytes + used, n - used, err);
    }
    if (dm_buffer_append(&p->rest, bytes, n, err) != DM_OK ||
        read_rows(p, p->rest.data, p->rest.len, &used, batch, bad_row, ctx, err) != DM_OK)
        return DM_FAIL;
    memmove(p->rest.data, p->rest.data + used, p->rest.len - used);
    p->rest.len -= used;
    return DM_OK;
}
