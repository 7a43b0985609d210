/* column.h — one typed, growing vector of values.
 *
 * The column owns its memory (malloc). dm_column_clear keeps capacity for reuse. Not thread safe; a finished
 * column may be read by many threads. `state` has one byte a value: NULL, VALID, or UNCHANGED (the source did not
 * send the value because it did not change: apply/ replaces it before anything is written).
 * NULL and UNCHANGED values still occupy a zeroed slot in `data` (or an empty range in `offsets`).
 *
 *     struct dm_column c;
 *     dm_column_init(&c, dm_type_of(DM_INT64));
 *     dm_column_append_fixed(&c, &value);              // width bytes
 *     dm_column_append_null(&c);
 *     dm_column_release(&c);
 */
#ifndef DM_COLUMN_COLUMN_H
#define DM_COLUMN_COLUMN_H

#include "base/buffer.h"
#include "base/error.h"
#include "column/type.h"

enum dm_value_state { DM_NULL = 0, DM_VALID = 1, DM_UNCHANGED = 2 };

struct dm_column {
    struct dm_type type;
    uint32_t width;          /* bytes per value in data; 0 for STRING, BINARY, LIST */
    size_t length;           /* values */
    size_t capacity;         /* values that state, data and offsets have room for */
    size_t nulls;            /* values whose state is DM_NULL */
    size_t unchanged;        /* values whose state is DM_UNCHANGED */
    uint8_t *state;          /* enum dm_value_state per value */
    uint8_t *data;           /* fixed-width values, native byte order, 16-byte aligned */
    uint32_t *offsets;       /* STRING, BINARY: into bytes; LIST: into child; length + 1 entries */
    struct dm_buffer bytes;  /* STRING, BINARY: at most 4 GiB - 1 */
    struct dm_column *child; /* LIST: the elements */
};

void dm_column_init(struct dm_column *c, struct dm_type type);
void dm_column_release(struct dm_column *c);
void dm_column_clear(struct dm_column *c);
/* Forgets the values from `length` on (length <= c->length). */
void dm_column_truncate(struct dm_column *c, size_t length);
/* Makes room for `more` values. */
void dm_column_reserve(struct dm_column *c, size_t more);
/* Bytes held by the values (not capacity). */
size_t dm_column_bytes(const struct dm_column *c);
size_t dm_column_value_bytes(const struct dm_column *c, size_t row); /* of one value */

void dm_column_append_null(struct dm_column *c);
void dm_column_append_unchanged(struct dm_column *c);
/* `value` points to c->width bytes in native order. */
void dm_column_append_fixed(struct dm_column *c, const void *value);
/* STRING and BINARY; fails when the column would pass 4 GiB. STRING is not validated here. */
enum dm_status dm_column_append_bytes(struct dm_column *c, const void *bytes, size_t n,
                                      struct dm_error *err) DM_MUST_USE;
/* LIST: append the elements to c->child, then close the value. To abandon: dm_column_truncate(c, c->length)
 * drops the elements that no closed value holds. */
void dm_column_close_list(struct dm_column *c);
/* Copies value `row` of `from` (same type) with its state. */
enum dm_status dm_column_append_value(struct dm_column *c, const struct dm_column *from, size_t row,
                                      struct dm_error *err) DM_MUST_USE;

/* Copies values first … first + n of `from` (same type), in one go. On failure c is as it was. */
enum dm_status dm_column_append_range(struct dm_column *c, const struct dm_column *from, size_t first,
                                      size_t n, struct dm_error *err) DM_MUST_USE;

/* Same state and same value; floats by bits except that all NaNs are equal. Types must be equal. */
bool dm_column_value_equal(const struct dm_column *a, size_t row_a, const struct dm_column *b, size_t row_b);

/* Typed reads; the value must be VALID. */
static inline int32_t dm_column_int32(const struct dm_column *c, size_t row)
{
    return ((const int32_t *)(const void *)c->data)[row];
}
static inline int64_t dm_column_int64(const struct dm_column *c, size_t row)
{
    return ((const int64_t *)(const void *)c->data)[row];
}
static inline const uint8_t *dm_column_fixed(const struct dm_column *c, size_t row)
{
    return c->data + row * c->width;
}
static inline const uint8_t *dm_column_bytes_at(const struct dm_column *c, size_t row, size_t *n)
{
    *n = c->offsets[row + 1] - c->offsets[row];
    return c->bytes.data + c->offsets[row];
}

#endif
