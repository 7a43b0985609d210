#include "engine/vector_read.h"

#include <string.h>

#include "base/bytes.h"
#include "engine/duckdb_type.h"

static inline bool is_valid(const uint64_t *validity, size_t i)
{
    return validity == NULL || (validity[i / 64] >> (i % 64) & 1) != 0;
}

static void read_decimals(dm_int128 *out, const void *data, size_t from, size_t n, unsigned precision)
{
    switch (dm_duckdb_decimal_width(precision)) {
    case 2:
        for (size_t i = 0; i < n; i++)
            out[i] = ((const int16_t *)data)[from + i];
        break;
    case 4:
        for (size_t i = 0; i < n; i++)
            out[i] = ((const int32_t *)data)[from + i];
        break;
    case 8:
        for (size_t i = 0; i < n; i++)
            out[i] = ((const int64_t *)data)[from + i];
        break;
    default: memcpy(out, (const dm_int128 *)data + from, n * sizeof *out);
    }
}

static void read_fixed(const void *data, size_t from, size_t n, struct dm_column *c)
{
    uint8_t *out = c->data + c->length * c->width;
    if (c->type.id == DM_DECIMAL) {
        read_decimals((dm_int128 *)(void *)out, data, from, n, c->type.precision);
    } else if (c->type.id == DM_UUID) {
        const duckdb_hugeint *v = (const duckdb_hugeint *)data + from;
        for (size_t i = 0; i < n; i++) { /* the top bit is flipped, see vector_fill.c */
            dm_put_be64(out + i * 16, (uint64_t)v[i].upper ^ UINT64_C(1) << 63);
            dm_put_be64(out + i * 16 + 8, v[i].lower);
        }
    } else {
        memcpy(out, (const uint8_t *)data + from * c->width, n * c->width);
    }
    const uint8_t *state = c->state + c->length;
    for (size_t i = 0; i < n; i++) /* what stands under a null is undefined there and zero here */
        if (state[i] != DM_VALID)
            memset(out + i * c->width, 0, c->width);
}

static enum dm_status read_bytes(const void *data, size_t from, size_t n, struct dm_column *c,
                                 struct dm_error *err)
{
    const duckdb_string_t *v = (const duckdb_string_t *)data + from;
    const uint8_t *state = c->state + c->length;
    size_t total = 0;
    for (size_t i = 0; i < n; i++)
        total += state[i] == DM_VALID ? v[i].value.inlined.length : 0;
    if (dm_buffer_reserve(&c->bytes, total, err) != DM_OK)
        return DM_FAIL;
    for (size_t i = 0; i < n; i++) {
        if (state[i] == DM_VALID) {
            size_t len = v[i].value.inlined.length;
            const char *from_bytes = len <= sizeof v[i].value.inlined.inlined ? v[i].value.inlined.inlined
                                                                              : v[i].value.pointer.ptr;
            if (len != 0)
                memcpy(c->bytes.data + c->bytes.len, from_bytes, len);
            c->bytes.len += len;
        }
        c->offsets[c->length + i + 1] = (uint32_t)c->bytes.len;
    }
    return DM_OK;
}

static enum dm_status read_lists(duckdb_vector vector, const void *data, size_t from, size_t n,
                                 struct dm_column *c, struct dm_error *err)
{
    const duckdb_list_entry *v = (const duckdb_list_entry *)data + from;
    const uint8_t *state = c->state + c->length;
    duckdb_vector child = duckdb_list_vector_get_child(vector);
    for (size_t i = 0; i < n;) {
        /* neighbouring lists are read in one go */
        size_t next = i, elements = 0, start = v[i].offset;
        while (next < n && (state[next] != DM_VALID || elements == 0 || v[next].offset == start + elements ||
                            v[next].length == 0)) {
            size_t len = state[next] == DM_VALID ? v[next].length : 0;
            if (elements == 0 && len != 0)
                start = v[next].offset;
            elements += len;
            if (c->child->length + elements > UINT32_MAX)
                return dm_fail(err, DM_ERROR_DATA, NULL, "too many list elements in one batch");
            c->offsets[c->length + next + 1] = (uint32_t)(c->child->length + elements);
            next++;
        }
        if (elements != 0 && dm_vector_read(child, start, elements, c->child, err) != DM_OK)
            return DM_FAIL;
        i = next;
    }
    return DM_OK;
}

enum dm_status dm_vector_read(duckdb_vector vector, size_t from, size_t n, struct dm_column *column,
                              struct dm_error *err)
{
    dm_column_reserve(column, n);
    const void *data = duckdb_vector_get_data(vector);
    const uint64_t *validity = duckdb_vector_get_validity(vector);
    uint8_t *state = column->state + column->length;
    size_t valid = 0;
    for (size_t i = 0; i < n; i++) {
        state[i] = is_valid(validity, from + i) ? DM_VALID : DM_NULL;
        valid += state[i] == DM_VALID;
    }
    enum dm_status status = DM_OK;
    if (column->width != 0)
        read_fixed(data, from, n, column);
    else if (column->child == NULL)
        status = read_bytes(data, from, n, column, err);
    else
        status = read_lists(vector, data, from, n, column, err);
    if (status != DM_OK)
        return DM_FAIL;
    column->nulls += n - valid;
    column->length += n;
    return DM_OK;
}
