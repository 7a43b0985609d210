/* engine_fixture.h — for the tests of engine/ only: a temporary folder, an engine, and batches of every type with edge values. */
#ifndef DM_TEST_ENGINE_FIXTURE_H
#define DM_TEST_ENGINE_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <math.h>
#include <cmocka.h>

#include "../temp_folder.h"
#include "base/file.h"
#include "base/memory.h"
#include "engine/parquet_read.h"
#include "engine/parquet_write.h"

struct fixture {
    char folder[64];
    char path[128];
    struct dm_engine *engine;
    struct dm_error err;
};

#define assert_ok(f, call) \
    do { \
        if ((call) != DM_OK) \
            fail_msg("%s: %s", #call, (f)->err.message); \
    } while (0)

static inline int fixture_setup(void **state)
{
    struct fixture *f = dm_xzalloc(1, sizeof *f);
    strcpy(f->folder, "/tmp/dm-engine-XXXXXX");
    assert_true(temp_folder_make(f->folder));
    snprintf(f->path, sizeof f->path, "%s/file.parquet", f->folder);
    struct dm_engine_options options = {.memory_limit = 256u << 20, .threads = 2, .temp_folder = f->folder};
    assert_ok(f, dm_engine_open(&options, &f->engine, &f->err));
    *state = f;
    return 0;
}

static inline int fixture_teardown(void **state)
{
    struct fixture *f = *state;
    dm_engine_close(f->engine);
    assert_ok(f, dm_file_remove_tree(f->folder, &f->err));
    free(f);
    return 0;
}

static inline const struct dm_parquet_options *zstd(void)
{
    static const struct dm_parquet_options options = {.compression = "zstd"};
    return &options;
}

static inline void add_bytes(struct dm_column *c, const char *text, size_t n)
{
    struct dm_error err;
    assert_int_equal(dm_column_append_bytes(c, text, n, &err), DM_OK);
}

static inline void add_text(struct dm_column *c, const char *text)
{
    add_bytes(c, text, strlen(text));
}

static inline void add_int32(struct dm_column *c, int32_t v)
{
    dm_column_append_fixed(c, &v);
}

static inline void add_int64(struct dm_column *c, int64_t v)
{
    dm_column_append_fixed(c, &v);
}

static inline dm_int128 wide(const char *digits)
{
    bool negative = *digits == '-';
    dm_int128 v = 0;
    for (digits += negative; *digits != 0; digits++)
        v = v * 10 + (*digits - '0');
    return negative ? -v : v;
}

/* Appends edge value number `k` of the column's type (any k; they repeat); number 3 is null unless it must not be. */
static inline void add_edge_value(struct dm_column *c, size_t k, bool nulls)
{
    static const int32_t i32[] = {0, INT32_MIN, INT32_MAX, -1, 42};
    static const int64_t i64[] = {0, INT64_MIN, INT64_MAX, -1, 42};
    static const double f64[] = {0.0, -0.0, NAN, INFINITY, -INFINITY, 1.5, 5e-324, 1.7976931348623157e308};
    static const float f32[] = {0.0f, -0.0f, NAN, INFINITY, -INFINITY, 1.5f, 1e-45f, 3.4028235e38f};
    static const int32_t dates[] = {
        0, DM_DATE_INFINITY, DM_DATE_NEG_INFINITY, -719528, 2932896, -2440588 - 1, 2147483000};
    static const int64_t times[] = {0, 1, 86399999999, 86400000000};
    static const int64_t stamps[] = {0,
                                     DM_TIMESTAMP_INFINITY,
                                     DM_TIMESTAMP_NEG_INFINITY,
                                     -1,
                                     1700000000123456,
                                     -210866803200000000,
                                     INT64_MAX - 1,
                                     9214646400000000000};
    static const char *const texts[] = {"",
                                        "a",
                                        "twelve bytes",
                                        "thirteen byte",
                                        "'\"\\\n\t,;",
                                        "\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80",
                                        "a somewhat longer text that is never inlined, with an end"};
    if (nulls && k % 7 == 3) {
        dm_column_append_null(c);
        return;
    }
#define PICK(list) (list)[k % (sizeof(list) / sizeof *(list))]
    switch (c->type.id) {
    case DM_BOOL: {
        uint8_t b = k & 1;
        dm_column_append_fixed(c, &b);
        break;
    }
    case DM_INT32: add_int32(c, PICK(i32)); break;
    case DM_INT64: add_int64(c, PICK(i64)); break;
    case DM_FLOAT32: dm_column_append_fixed(c, &PICK(f32)); break;
    case DM_FLOAT64: dm_column_append_fixed(c, &PICK(f64)); break;
    case DM_DATE: add_int32(c, PICK(dates)); break;
    case DM_TIME: add_int64(c, PICK(times)); break;
    case DM_TIMESTAMP:
    case DM_TIMESTAMPTZ:
    case DM_TIMESTAMP_NS: add_int64(c, PICK(stamps)); break;
    case DM_DECIMAL: {
        dm_int128 limit = 1;
        for (int i = 0; i < c->type.precision; i++)
            limit *= 10;
        dm_int128 values[] = {0, limit - 1, 1 - limit, 1, -1, limit / 3};
        dm_column_append_fixed(c, &PICK(values));
        break;
    }
    case DM_STRING: add_text(c, PICK(texts)); break;
    case DM_BINARY: {
        char bytes[40];
        for (size_t i = 0; i < sizeof bytes; i++)
            bytes[i] = (char)(i * 37 + k);
        add_bytes(c, bytes, k * 5 % sizeof bytes);
        break;
    }
    case DM_UUID: {
        uint8_t uuid[16];
        for (size_t i = 0; i < sizeof uuid; i++)
            uuid[i] = k % 3 == 0 ? 0 : k % 3 == 1 ? 0xff : (uint8_t)(i * 17 + k + 0x70);
        dm_column_append_fixed(c, uuid);
        break;
    }
    case DM_LIST: /* empty, nulls inside, long */
        for (size_t i = 0; i < k % 5 * (k % 11); i++)
            add_edge_value(c->child, i + k, true);
        dm_column_close_list(c);
        break;
    default: fail_msg("type %d", c->type.id);
    }
#undef PICK
}

/* One column of every type and of a list of every type, "t0" … , field ids 1.. ; lists' elements 100 higher. */
static inline struct dm_schema *schema_of_all_types(void)
{
    static const int precisions[][2] = {{4, 2}, {9, 0}, {18, 6}, {38, 10}, {19, 19}};
    struct dm_schema *s = dm_schema_new();
    struct dm_type scalars[32];
    size_t n = 0;
    for (int id = DM_BOOL; id < DM_LIST; id++) {
        if (id != DM_DECIMAL)
            scalars[n++] = dm_type_of((enum dm_type_id)id);
    }
    for (size_t i = 0; i < sizeof precisions / sizeof *precisions; i++)
        scalars[n++] = dm_type_decimal(precisions[i][0], precisions[i][1]);
    for (size_t i = 0; i < 2 * n; i++) {
        char name[32];
        snprintf(name, sizeof name, "%s%zu", i < n ? "t" : "list", i % n);
        struct dm_field *f = dm_schema_add(s, name, i < n ? scalars[i] : dm_type_list(scalars[i - n]));
        f->id = (int32_t)i + 1;
        f->element_id = i < n ? 0 : (int32_t)i + 101;
    }
    return s;
}

static inline struct dm_batch *batch_of_edge_values(const struct dm_schema *s, size_t rows, size_t from)
{
    struct dm_batch *b = dm_batch_new(s);
    for (size_t k = from; k < from + rows; k++) {
        for (size_t i = 0; i < b->n_columns; i++)
            add_edge_value(&b->columns[i], k, !s->fields[i].required);
        dm_batch_end_row(b, DM_OP_INSERT);
    }
    return b;
}

/* Collects what a scan gives. */
struct rows_seen {
    struct dm_batch *batch;
    uint32_t *files;
    uint32_t *positions;
    size_t capacity;
    struct dm_error err;
};

static inline enum dm_status see_rows(void *ctx, const struct dm_batch *batch, const uint32_t *file_numbers,
                                      const uint32_t *positions, struct dm_error *err)
{
    struct rows_seen *seen = ctx;
    if (seen->batch == NULL)
        seen->batch = dm_batch_new(batch->schema);
    for (size_t i = 0; i < batch->rows; i++) {
        if (seen->batch->rows == seen->capacity) {
            seen->capacity = seen->capacity * 2 + 64;
            seen->files = dm_xrealloc(seen->files, seen->capacity, sizeof *seen->files);
            seen->positions = dm_xrealloc(seen->positions, seen->capacity, sizeof *seen->positions);
        }
        seen->files[seen->batch->rows] = file_numbers[i];
        seen->positions[seen->batch->rows] = positions[i];
        if (dm_batch_append_row(seen->batch, batch, i, err) != DM_OK)
            return DM_FAIL;
    }
    return DM_OK;
}

static inline void rows_seen_release(struct rows_seen *seen)
{
    dm_batch_free(seen->batch);
    free(seen->files);
    free(seen->positions);
    *seen = (struct rows_seen){0};
}

#endif
