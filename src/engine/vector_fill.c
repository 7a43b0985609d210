#include "engine/vector_fill.h"

#include <endian.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/memory.h"
#include "engine/duckdb_type.h"
#include "base/utf8.h"

void dm_fill_scratch_release(struct dm_fill_scratch *s)
{
    free(s->values);
    free(s->states);
    free(s->elements);
    *s = (struct dm_fill_scratch){0};
}

static void *scratch_room(void *memory, size_t *capacity, size_t n, size_t size)
{
    if (n <= *capacity)
        return memory;
    free(memory); /* the contents need not survive */
    *capacity = n * 2;
    return dm_xalloc(*capacity * size);
}

static inline size_t row_of(const struct dm_row_range *r, size_t i)
{
    return r->selection != NULL ? r->selection[i] : r->start + i;
}

/* Copies the states and sets the vector's validity; *state_out is NULL when all values are valid. */
static enum dm_status fill_states(duckdb_vector vector, const struct dm_column *c,
                                  const struct dm_row_range *r, struct dm_fill_scratch *scratch,
                                  const uint8_t **state_out, struct dm_error *err)
{
    *state_out = NULL;
    if (c->nulls == 0 && c->unchanged == 0)
        return DM_OK;
    const uint8_t *state = c->state + r->start;
    if (r->selection != NULL) {
        scratch->states = scratch_room(scratch->states, &scratch->states_capacity, r->n, 1);
        for (size_t i = 0; i < r->n; i++)
            scratch->states[i] = c->state[r->selection[i]];
        state = scratch->states;
    }
    size_t valid = 0, nulls = 0;
    for (size_t i = 0; i < r->n; i++) {
        valid += state[i] == DM_VALID;
        nulls += state[i] == DM_NULL;
    }
    if (valid == r->n)
        return DM_OK;
    if (valid + nulls != r->n)
        return dm_fail(err, DM_ERROR_FATAL, NULL,
                       "a value is still UNCHANGED (not filled in from the stored row)");
    duckdb_vector_ensure_validity_writable(vector);
    uint64_t *validity = duckdb_vector_get_validity(vector);
    for (size_t i = 0; i < r->n; i += 64) {
        size_t n = r->n - i < 64 ? r->n - i : 64;
        uint64_t bits = 0;
        for (size_t j = 0; j < n; j++)
            bits |= (uint64_t)(state[i + j] == DM_VALID) << j;
        validity[i / 64] = bits;
    }
    *state_out = state;
    return DM_OK;
}

/* The chosen values as one dense array: in place when they are neighbours, else gathered. */
static const void *dense_values(const struct dm_column *c, const struct dm_row_range *r,
                                struct dm_fill_scratch *scratch)
{
    if (r->selection == NULL)
        return c->data + r->start * c->width;
    scratch->values = scratch_room(scratch->values, &scratch->values_capacity, r->n * c->width, 1);
    uint8_t *out = scratch->values;
    switch (c->width) {
    case 1:
        for (size_t i = 0; i < r->n; i++)
            out[i] = c->data[r->selection[i]];
        break;
    case 4:
        for (size_t i = 0; i < r->n; i++)
            memcpy(out + i * 4, c->data + (size_t)r->selection[i] * 4, 4);
        break;
    case 8:
        for (size_t i = 0; i < r->n; i++)
            memcpy(out + i * 8, c->data + (size_t)r->selection[i] * 8, 8);
        break;
    default:
        for (size_t i = 0; i < r->n; i++)
            memcpy(out + i * 16, c->data + (size_t)r->selection[i] * 16, 16);
    }
    return out;
}

static dm_int128 power_of_ten(unsigned n)
{
    dm_int128 p = 1;
    while (n-- > 0)
        p *= 10;
    return p;
}

static enum dm_status fill_decimals(void *out, struct dm_type type, const dm_int128 *v, const uint8_t *state,
                                    size_t n, struct dm_error *err)
{
    dm_int128 limit = power_of_ten(type.precision);
    bool fits = true;
    for (size_t i = 0; i < n; i++)
        fits &= (state != NULL && state[i] != DM_VALID) || (v[i] < limit && v[i] > -limit);
    if (!fits)
        return dm_fail(err, DM_ERROR_DATA, NULL, "a value has more than %u digits", (unsigned)type.precision);
    switch (dm_duckdb_decimal_width(type.precision)) {
    case 2:
        for (size_t i = 0; i < n; i++)
            ((int16_t *)out)[i] = (int16_t)v[i];
        break;
    case 4:
        for (size_t i = 0; i < n; i++)
            ((int32_t *)out)[i] = (int32_t)v[i];
        break;
    case 8:
        for (size_t i = 0; i < n; i++)
            ((int64_t *)out)[i] = (int64_t)v[i];
        break;
    default: memcpy(out, v, n * sizeof *v);
    }
    return DM_OK;
}

/* DuckDB holds a UUID as a signed 128-bit integer whose order is that of the bytes: the top bit is flipped. */
static void fill_uuids(duckdb_hugeint *out, const uint8_t *v, size_t n)
{
    for (size_t i = 0; i < n; i++, v += 16) {
        out[i].upper = (int64_t)(dm_get_be64(v) ^ UINT64_C(1) << 63);
        out[i].lower = dm_get_be64(v + 8);
    }
}

static enum dm_status fill_fixed(duckdb_vector vector, const struct dm_column *c,
                                 const struct dm_row_range *r, const uint8_t *state,
                                 struct dm_stats_gatherer *stats, struct dm_fill_scratch *scratch,
                                 struct dm_error *err)
{
    const void *values = dense_values(c, r, scratch);
    void *out = duckdb_vector_get_data(vector);
    if (c->type.id == DM_DECIMAL) {
        if (fill_decimals(out, c->type, values, state, r->n, err) != DM_OK)
            return DM_FAIL;
    } else if (c->type.id == DM_UUID) {
        fill_uuids(out, values, r->n);
    } else {
        memcpy(out, values, r->n * c->width);
    }
    dm_stats_fixed(stats, values, state, r->n);
    return DM_OK;
}

static enum dm_status fill_bytes(duckdb_vector vector, const struct dm_column *c,
                                 const struct dm_row_range *r, const uint8_t *state,
                                 struct dm_stats_gatherer *stats, struct dm_error *err)
{
    duckdb_string_t *out = duckdb_vector_get_data(vector);
    size_t nulls = 0;
    for (size_t i = 0; i < r->n; i++) {
        if (state != NULL && state[i] != DM_VALID) {
            nulls++;
            memset(&out[i], 0, sizeof out[i]);
            continue;
        }
        size_t n;
        const uint8_t *bytes = dm_column_bytes_at(c, row_of(r, i), &n);
        if (c->type.id == DM_STRING && !dm_utf8_valid(bytes, n))
            return dm_fail(err, DM_ERROR_DATA, NULL, "a text is not valid UTF-8");
        uint64_t head = 0;
        duckdb_string_t s;
        memset(&s, 0, sizeof s);
        if (n <= sizeof s.value.inlined.inlined) {
            s.value.inlined.length = (uint32_t)n;
            if (n != 0)
                memcpy(s.value.inlined.inlined, bytes, n);
            memcpy(&head, s.value.inlined.inlined, sizeof head);
        } else {
            s.value.pointer.length = (uint32_t)n;
            memcpy(s.value.pointer.prefix, bytes, sizeof s.value.pointer.prefix);
            s.value.pointer.ptr = (char *)(uintptr_t)bytes; /* only read */
            memcpy(&head, bytes, sizeof head);
        }
        out[i] = s;
        dm_stats_bytes(stats, bytes, n, be64toh(head));
    }
    dm_stats_count(stats, r->n, nulls);
    return DM_OK;
}

static enum dm_status fill_lists(duckdb_vector vector, const struct dm_column *c,
                                 const struct dm_row_range *r, struct dm_stats_gatherer *stats,
                                 struct dm_fill_scratch *scratch, struct dm_error *err)
{
    duckdb_list_entry *out = duckdb_vector_get_data(vector);
    uint64_t total = 0;
    for (size_t i = 0; i < r->n; i++) {
        size_t row = row_of(r, i);
        out[i] = (duckdb_list_entry){.offset = total, .length = c->offsets[row + 1] - c->offsets[row]};
        total += out[i].length;
    }
    if (duckdb_list_vector_reserve(vector, total) != DuckDBSuccess ||
        duckdb_list_vector_set_size(vector, total) != DuckDBSuccess)
        return dm_fail(err, DM_ERROR_TRANSIENT, NULL, "no room for %llu list elements",
                       (unsigned long long)total);
    if (total == 0)
        return DM_OK;
    struct dm_row_range elements = {.n = total};
    if (r->selection == NULL) {
        elements.start = c->offsets[r->start];
    } else {
        scratch->elements =
            scratch_room(scratch->elements, &scratch->elements_capacity, total, sizeof *scratch->elements);
        size_t at = 0;
        for (size_t i = 0; i < r->n; i++)
            for (uint32_t e = c->offsets[row_of(r, i)]; e < c->offsets[row_of(r, i) + 1]; e++)
                scratch->elements[at++] = e;
        elements.selection = scratch->elements;
    }
    return dm_vector_fill(duckdb_list_vector_get_child(vector), c->child, &elements, stats, scratch, err);
}

enum dm_status dm_vector_fill(duckdb_vector vector, const struct dm_column *column,
                              const struct dm_row_range *range, struct dm_stats_gatherer *stats,
                              struct dm_fill_scratch *scratch, struct dm_error *err)
{
    const uint8_t *state;
    if (fill_states(vector, column, range, scratch, &state, err) != DM_OK)
        return DM_FAIL;
    if (column->type.id == DM_LIST) /* the states were used up: elements may overwrite the scratch */
        return fill_lists(vector, column, range, stats, scratch, err);
    if (column->width != 0)
        return fill_fixed(vector, column, range, state, stats, scratch, err);
    return fill_bytes(vector, column, range, state, stats, err);
}
