#include "column/key.h"

#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/memory.h"

#define SIGN64 (UINT64_C(1) << 63)
#define LIST_MAX_BYTES (UINT64_C(16) << 30) /* the keys of one batch */

static enum dm_status put_u64(struct dm_buffer *out, uint64_t v, struct dm_error *err)
{
    uint8_t bytes[8];
    dm_put_be64(bytes, v);
    return dm_buffer_append(out, bytes, sizeof bytes, err);
}

static enum dm_status put_u32(struct dm_buffer *out, uint32_t v, struct dm_error *err)
{
    uint8_t bytes[4];
    dm_put_be32(bytes, v);
    return dm_buffer_append(out, bytes, sizeof bytes, err);
}

/* Negative numbers have all bits turned, positive ones the sign bit only; then bits compare as the numbers do. */
static uint64_t float_order(double v)
{
    uint64_t bits;
    if (v != v)
        return UINT64_C(0x7ff8000000000000) | SIGN64; /* one NaN, above +infinity */
    if (v == 0)
        v = 0; /* -0 becomes +0 */
    memcpy(&bits, &v, sizeof bits);
    return (bits & SIGN64) != 0 ? ~bits : bits | SIGN64;
}

static enum dm_status put_fixed(const struct dm_column *c, size_t row, struct dm_buffer *out,
                                struct dm_error *err)
{
    const uint8_t *at = dm_column_fixed(c, row);
    int64_t i64;
    int32_t i32;
    double f64;
    float f32;
    dm_int128 i128;
    switch ((enum dm_type_id)c->type.id) {
    case DM_BOOL: return dm_buffer_append_byte(out, *at != 0, err);
    case DM_INT32: memcpy(&i32, at, sizeof i32); return put_u64(out, (uint64_t)(int64_t)i32 ^ SIGN64, err);
    case DM_DATE:
        memcpy(&i32, at, sizeof i32);
        return put_u32(out, (uint32_t)i32 ^ UINT32_C(0x80000000), err);
    case DM_INT64:
    case DM_TIME:
    case DM_TIMESTAMP:
    case DM_TIMESTAMPTZ:
    case DM_TIMESTAMP_NS: memcpy(&i64, at, sizeof i64); return put_u64(out, (uint64_t)i64 ^ SIGN64, err);
    case DM_FLOAT32: memcpy(&f32, at, sizeof f32); return put_u64(out, float_order((double)f32), err);
    case DM_FLOAT64: memcpy(&f64, at, sizeof f64); return put_u64(out, float_order(f64), err);
    case DM_DECIMAL:
        memcpy(&i128, at, sizeof i128);
        if (put_u64(out, (uint64_t)((unsigned __int128)i128 >> 64) ^ SIGN64, err) != DM_OK)
            return DM_FAIL;
        return put_u64(out, (uint64_t)i128, err);
    case DM_UUID: return dm_buffer_append(out, at, 16, err);
    case DM_STRING:
    case DM_BINARY:
    case DM_LIST: break;
    }
    return dm_fail(err, DM_ERROR_FATAL, NULL, "a key column has the unknown type %d", c->type.id);
}

/* 0x00 becomes 0x00 0xff, and 0x00 0x00 ends: a text that goes on is greater than one that ends there. */
static enum dm_status put_ended_bytes(const uint8_t *bytes, size_t n, struct dm_buffer *out,
                                      struct dm_error *err)
{
    while (n > 0) {
        const uint8_t *zero = memchr(bytes, 0, n);
        size_t run = zero != NULL ? (size_t)(zero - bytes) : n;
        if (dm_buffer_append(out, bytes, run, err) != DM_OK)
            return DM_FAIL;
        if (zero == NULL)
            break;
        if (dm_buffer_append(out, "\x00\xff", 2, err) != DM_OK)
            return DM_FAIL;
        bytes += run + 1;
        n -= run + 1;
    }
    return dm_buffer_append(out, "\x00\x00", 2, err);
}

static enum dm_status put_list(const struct dm_column *c, size_t row, struct dm_buffer *out,
                               struct dm_error *err)
{
    const struct dm_column *child = c->child;
    for (size_t i = c->offsets[row]; i < c->offsets[row + 1]; i++) {
        bool null = child->state[i] == DM_NULL;
        if (dm_buffer_append_byte(out, null ? 0x01 : 0x02, err) != DM_OK)
            return DM_FAIL;
        if (null)
            continue;
        if (child->width != 0) {
            if (put_fixed(child, i, out, err) != DM_OK)
                return DM_FAIL;
            continue;
        }
        size_t n;
        const uint8_t *bytes = dm_column_bytes_at(child, i, &n);
        if (put_ended_bytes(bytes, n, out, err) != DM_OK)
            return DM_FAIL;
    }
    return dm_buffer_append_byte(out, 0x00, err);
}

static bool has_bytes(const struct dm_column *c)
{
    return c->type.id == DM_STRING || c->type.id == DM_BINARY;
}

/* The row's key columns must be VALID. */
static enum dm_status put_key(const struct dm_batch *b, size_t row, struct dm_buffer *out,
                              struct dm_error *err)
{
    size_t start = out->len;
    size_t n_keys = b->schema->n_keys;
    for (size_t k = 0; k < n_keys; k++) {
        const struct dm_column *c = &b->columns[b->schema->keys[k]];
        enum dm_status status;
        if (c->width != 0) {
            status = put_fixed(c, row, out, err);
        } else if (!has_bytes(c)) {
            status = put_list(c, row, out, err);
        } else {
            size_t n;
            const uint8_t *bytes = dm_column_bytes_at(c, row, &n);
            if (k + 1 < n_keys) {
                status = put_ended_bytes(bytes, n, out, err);
            } else {
                status = DM_OK;
                if (n_keys == 1 && (n == 0 || bytes[0] == 0))
                    status = dm_buffer_append_byte(out, 0, err);
                if (status == DM_OK)
                    status = dm_buffer_append(out, bytes, n, err);
            }
        }
        if (status != DM_OK)
            return DM_FAIL;
    }
    if (out->len - start > DM_KEY_MAX_BYTES)
        return dm_fail(err, DM_ERROR_DATA, NULL, "a key of %zu bytes is too long", out->len - start);
    return DM_OK;
}

static enum dm_status check_has_key(const struct dm_batch *b, struct dm_error *err)
{
    if (b->schema->n_keys == 0)
        return dm_fail(err, DM_ERROR_FATAL, NULL, "a key is asked of a table that has none");
    return DM_OK;
}

/* The first key column of the row that has no value; -1: all have one. */
static int missing_column(const struct dm_batch *b, size_t row)
{
    for (size_t k = 0; k < b->schema->n_keys; k++)
        if (b->columns[b->schema->keys[k]].state[row] != DM_VALID)
            return (int)b->schema->keys[k];
    return -1;
}

enum dm_status dm_key_encode(const struct dm_batch *b, size_t row, struct dm_buffer *out,
                             struct dm_error *err)
{
    if (check_has_key(b, err) != DM_OK)
        return DM_FAIL;
    int column = missing_column(b, row);
    if (column >= 0)
        return dm_fail(err, DM_ERROR_DATA, NULL, "key column \"%s\" is %s", b->schema->fields[column].name,
                       b->columns[column].state[row] == DM_NULL ? "null" : "not sent");
    size_t start = out->len;
    if (put_key(b, row, out, err) != DM_OK) {
        out->len = start;
        return DM_FAIL;
    }
    return DM_OK;
}

void dm_key_list_release(struct dm_key_list *keys)
{
    dm_buffer_release(&keys->bytes);
    free(keys->offsets);
    *keys = (struct dm_key_list){0};
}

/* ---- whole batches: the common single-column keys have loops of their own ---- */

static bool is_integer(struct dm_type type)
{
    return type.id == DM_INT32 || type.id == DM_INT64 || type.id == DM_TIME || type.id == DM_TIMESTAMP ||
           type.id == DM_TIMESTAMPTZ || type.id == DM_TIMESTAMP_NS;
}

static enum dm_status list_integers(struct dm_key_list *keys, const struct dm_column *c, size_t rows,
                                    struct dm_error *err)
{
    if (dm_buffer_reserve(&keys->bytes, rows * 8, err) != DM_OK)
        return DM_FAIL;
    bool wide = c->width == sizeof(int64_t);
    bool complete = c->nulls == 0 && c->unchanged == 0;
    uint8_t *at = keys->bytes.data;
    for (size_t i = 0; i < rows; i++) {
        keys->offsets[i] = (size_t)(at - keys->bytes.data);
        if (!complete && c->state[i] != DM_VALID)
            continue;
        int64_t v = wide ? dm_column_int64(c, i) : dm_column_int32(c, i);
        dm_put_be64(at, (uint64_t)v ^ SIGN64);
        at += 8;
    }
    keys->bytes.len = (size_t)(at - keys->bytes.data);
    return DM_OK;
}

static enum dm_status list_texts(struct dm_key_list *keys, const struct dm_column *c, size_t rows,
                                 struct dm_error *err)
{
    size_t total = rows > 0 ? c->offsets[rows] - c->offsets[0] : 0;
    if (dm_buffer_reserve(&keys->bytes, total + rows, err) !=
        DM_OK) /* rows: a 0x00 in front of each, at worst */
        return DM_FAIL;
    size_t len = 0;
    uint8_t *out = keys->bytes.data;
    for (size_t i = 0; i < rows; i++) {
        keys->offsets[i] = len;
        if (c->state[i] != DM_VALID)
            continue;
        size_t n;
        const uint8_t *bytes = dm_column_bytes_at(c, i, &n);
        if (n > DM_KEY_MAX_BYTES)
            return dm_fail(err, DM_ERROR_DATA, NULL, "a key of %zu bytes is too long", n);
        if (n == 0 || bytes[0] == 0)
            out[len++] = 0;
        if (n > 0)
            memcpy(out + len, bytes, n);
        len += n;
    }
    keys->bytes.len = len;
    return DM_OK;
}

static enum dm_status list_any(struct dm_key_list *keys, const struct dm_batch *b, struct dm_error *err)
{
    for (size_t i = 0; i < b->rows; i++) {
        keys->offsets[i] = keys->bytes.len;
        if (missing_column(b, i) < 0 && put_key(b, i, &keys->bytes, err) != DM_OK)
            return DM_FAIL;
    }
    return DM_OK;
}

enum dm_status dm_key_list_encode(struct dm_key_list *keys, const struct dm_batch *b, struct dm_error *err)
{
    keys->n = 0;
    keys->bytes.len = 0;
    keys->bytes.max = LIST_MAX_BYTES;
    if (check_has_key(b, err) != DM_OK)
        return DM_FAIL;
    if (keys->capacity < b->rows + 1) {
        keys->capacity = b->rows + 1 + b->rows / 2;
        keys->offsets = dm_xrealloc(keys->offsets, keys->capacity, sizeof *keys->offsets);
    }
    const struct dm_column *first = &b->columns[b->schema->keys[0]];
    bool single = b->schema->n_keys == 1;
    enum dm_status status;
    if (single && is_integer(first->type))
        status = list_integers(keys, first, b->rows, err);
    else if (single && has_bytes(first))
        status = list_texts(keys, first, b->rows, err);
    else
        status = list_any(keys, b, err);
    if (status != DM_OK) {
        keys->bytes.len = 0;
        return DM_FAIL;
    }
    keys->offsets[b->rows] = keys->bytes.len;
    keys->n = b->rows;
    return DM_OK;
}
