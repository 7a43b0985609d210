#include "column/column.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

static bool has_offsets(const struct dm_column *c)
{
    return c->width == 0;
}

void dm_column_init(struct dm_column *c, struct dm_type type)
{
    *c = (struct dm_column){.type = type, .width = (uint32_t)dm_type_width((enum dm_type_id)type.id)};
    if (type.id == DM_STRING || type.id == DM_BINARY)
        dm_buffer_init(&c->bytes, UINT32_MAX);
    if (type.id == DM_LIST) {
        c->child = dm_xzalloc(1, sizeof *c->child);
        dm_column_init(c->child, dm_type_element(type));
    }
}

void dm_column_release(struct dm_column *c)
{
    free(c->state);
    free(c->data);
    free(c->offsets);
    dm_buffer_release(&c->bytes);
    if (c->child != NULL) {
        dm_column_release(c->child);
        free(c->child);
    }
    *c = (struct dm_column){0};
}

void dm_column_clear(struct dm_column *c)
{
    c->length = c->nulls = c->unchanged = 0;
    dm_buffer_clear(&c->bytes);
    if (c->child != NULL)
        dm_column_clear(c->child);
}

void dm_column_truncate(struct dm_column *c, size_t length)
{
    assert(length <= c->length);
    for (size_t i = length; i < c->length; i++) {
        c->nulls -= c->state[i] == DM_NULL;
        c->unchanged -= c->state[i] == DM_UNCHANGED;
    }
    c->length = length;
    if (!has_offsets(c))
        return;
    uint32_t end = c->offsets != NULL ? c->offsets[length] : 0;
    if (c->child != NULL)
        dm_column_truncate(c->child, end);
    else
        c->bytes.len = end;
}

void dm_column_reserve(struct dm_column *c, size_t more)
{
    if (more <= c->capacity - c->length)
        return;
    size_t capacity = c->capacity < 64 ? 64 : c->capacity * 2;
    if (capacity < c->length + more)
        capacity = c->length + more;
    c->state = dm_xrealloc(c->state, capacity, 1);
    if (has_offsets(c)) {
        bool first = c->offsets == NULL;
        c->offsets = dm_xrealloc(c->offsets, capacity + 1, sizeof *c->offsets);
        if (first)
            c->offsets[0] = 0;
        if (first && c->child == NULL) { /* so that even an empty value has an address */
            c->bytes.data = dm_xalloc(64);
            c->bytes.capacity = 64;
        }
    } else {
        c->data = dm_xrealloc(c->data, capacity, c->width);
    }
    c->capacity = capacity;
}

size_t dm_column_bytes(const struct dm_column *c)
{
    size_t bytes = c->length * (1 + (c->width != 0 ? c->width : sizeof *c->offsets)) + c->bytes.len;
    return c->child != NULL ? bytes + dm_column_bytes(c->child) : bytes;
}

size_t dm_column_value_bytes(const struct dm_column *c, size_t row)
{
    if (c->width != 0)
        return c->width;
    size_t from = c->offsets[row], n = c->offsets[row + 1] - from;
    if (c->child == NULL)
        return n;
    if (c->child->width != 0 || n == 0)
        return n * (c->child->width + 1u);
    return n * (1 + sizeof *c->offsets) + (c->child->offsets[from + n] - c->child->offsets[from]);
}

static void append_empty(struct dm_column *c, enum dm_value_state state)
{
    dm_column_reserve(c, 1);
    if (has_offsets(c))
        c->offsets[c->length + 1] = c->offsets[c->length];
    else
        memset(c->data + c->length * c->width, 0, c->width);
    c->state[c->length++] = (uint8_t)state;
}

void dm_column_append_null(struct dm_column *c)
{
    append_empty(c, DM_NULL);
    c->nulls++;
}

void dm_column_append_unchanged(struct dm_column *c)
{
    append_empty(c, DM_UNCHANGED);
    c->unchanged++;
}

void dm_column_append_fixed(struct dm_column *c, const void *value)
{
    dm_column_reserve(c, 1);
    memcpy(c->data + c->length * c->width, value, c->width);
    c->state[c->length++] = DM_VALID;
}

enum dm_status dm_column_append_bytes(struct dm_column *c, const void *bytes, size_t n, struct dm_error *err)
{
    dm_column_reserve(c, 1);
    if (dm_buffer_append(&c->bytes, bytes, n, err) != DM_OK)
        return DM_FAIL;
    c->offsets[c->length + 1] = (uint32_t)c->bytes.len;
    c->state[c->length++] = DM_VALID;
    return DM_OK;
}

void dm_column_close_list(struct dm_column *c)
{
    dm_column_reserve(c, 1);
    c->offsets[c->length + 1] = (uint32_t)c->child->length;
    c->state[c->length++] = DM_VALID;
}

enum dm_status dm_column_append_value(struct dm_column *c, const struct dm_column *from, size_t row,
                                      struct dm_error *err)
{
    if (from->state[row] == DM_NULL) {
        dm_column_append_null(c);
        return DM_OK;
    }
    if (from->state[row] == DM_UNCHANGED) {
        dm_column_append_unchanged(c);
        return DM_OK;
    }
    if (c->width != 0) {
        dm_column_append_fixed(c, dm_column_fixed(from, row));
        return DM_OK;
    }
    if (c->child == NULL) {
        size_t n;
        const uint8_t *bytes = dm_column_bytes_at(from, row, &n);
        return dm_column_append_bytes(c, bytes, n, err);
    }
    for (size_t i = from->offsets[row]; i < from->offsets[row + 1]; i++)
        if (dm_column_append_value(c->child, from->child, i, err) != DM_OK)
            return DM_FAIL;
    dm_column_close_list(c);
    return DM_OK;
}

/* The offsets of n values that were appended to bytes or child, which end at `end` there. */
static void append_offsets(struct dm_column *c, const struct dm_column *from, size_t first, size_t n,
                           size_t end)
{
    uint32_t shift = (uint32_t)end - from->offsets[first + n]; /* modulo 2^32 */
    for (size_t i = 1; i <= n; i++)
        c->offsets[c->length + i] = from->offsets[first + i] + shift;
}

enum dm_status dm_column_append_range(struct dm_column *c, const struct dm_column *from, size_t first,
                                      size_t n, struct dm_error *err)
{
    if (n == 0)
        return DM_OK;
    dm_column_reserve(c, n);
    if (c->width != 0) {
        memcpy(c->data + c->length * c->width, from->data + first * c->width, n * c->width);
    } else {
        size_t begin = from->offsets[first], len = from->offsets[first + n] - begin;
        enum dm_status status = DM_OK;
        if (c->child != NULL)
            status = dm_column_append_range(c->child, from->child, begin, len, err);
        else if (len != 0)
            status = dm_buffer_append(&c->bytes, from->bytes.data + begin, len, err);
        if (status != DM_OK)
            return DM_FAIL;
        append_offsets(c, from, first, n, c->child != NULL ? c->child->length : c->bytes.len);
    }
    memcpy(c->state + c->length, from->state + first, n);
    for (size_t i = 0; i < n; i++) {
        c->nulls += from->state[first + i] == DM_NULL;
        c->unchanged += from->state[first + i] == DM_UNCHANGED;
    }
    c->length += n;
    return DM_OK;
}

static bool fixed_equal(const struct dm_column *a, size_t row_a, const struct dm_column *b, size_t row_b)
{
    const uint8_t *x = dm_column_fixed(a, row_a);
    const uint8_t *y = dm_column_fixed(b, row_b);
    if (memcmp(x, y, a->width) == 0)
        return true;
    if (a->type.id == DM_FLOAT32) {
        float f, g;
        memcpy(&f, x, sizeof f);
        memcpy(&g, y, sizeof g);
        return f != f && g != g;
    }
    if (a->type.id == DM_FLOAT64) {
        double f, g;
        memcpy(&f, x, sizeof f);
        memcpy(&g, y, sizeof g);
        return f != f && g != g;
    }
    return false;
}

bool dm_column_value_equal(const struct dm_column *a, size_t row_a, const struct dm_column *b, size_t row_b)
{
    if (a->state[row_a] != b->state[row_b])
        return false;
    if (a->state[row_a] != DM_VALID)
        return true;
    if (a->width != 0)
        return fixed_equal(a, row_a, b, row_b);
    size_t n = a->offsets[row_a + 1] - a->offsets[row_a];
    if (n != b->offsets[row_b + 1] - b->offsets[row_b])
        return false;
    if (a->child == NULL)
        return n == 0 || memcmp(a->bytes.data + a->offsets[row_a], b->bytes.data + b->offsets[row_b], n) == 0;
    for (size_t i = 0; i < n; i++)
        if (!dm_column_value_equal(a->child, a->offsets[row_a] + i, b->child, b->offsets[row_b] + i))
            return false;
    return true;
}
