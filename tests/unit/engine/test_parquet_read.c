#include "engine_fixture.h"

#include <math.h>

static void write_file(struct fixture *f, const char *path, const struct dm_schema *s,
                       const struct dm_batch *b)
{
    struct dm_parquet_result r;
    assert_ok(f, dm_parquet_write_batch(f->engine, path, s, zstd(), b, NULL, 0, &r, &f->err));
    assert_int_equal(r.rows, b->rows);
    dm_parquet_result_release(&r);
}

static void every_type_comes_back_the_same(void **state)
{
    struct fixture *f = *state;
    struct dm_schema *s = schema_of_all_types();
    struct dm_batch *b = batch_of_edge_values(s, 5000, 0);
    write_file(f, f->path, s, b);
    struct dm_scan_file file = {.path = f->path, .number = 77, .rows = 5000};
    struct rows_seen seen = {0};
    assert_ok(f, dm_parquet_scan(f->engine, &file, 1, s, NULL, see_rows, &seen, &f->err));
    assert_int_equal(seen.batch->rows, 5000);
    char *found = dm_xzalloc(5000, 1);
    for (size_t i = 0; i < 5000; i++) {
        assert_int_equal(seen.files[i], 77);
        assert_true(seen.positions[i] < 5000);
        assert_int_equal(found[seen.positions[i]]++, 0);
        assert_int_equal(seen.batch->ops[i], DM_OP_COPY);
        for (size_t c = 0; c < s->n_fields; c++)
            if (!dm_column_value_equal(&seen.batch->columns[c], i, &b->columns[c], seen.positions[i]))
                fail_msg("row %u column %s differs", seen.positions[i], s->fields[c].name);
    }
    free(found);
    rows_seen_release(&seen);
    dm_batch_free(b);
    dm_schema_unref(s);
}

static struct dm_schema *pair_schema(enum dm_type_id key, enum dm_type_id value)
{
    struct dm_schema *s = dm_schema_new();
    struct dm_field *f = dm_schema_add(s, "k", dm_type_of(key));
    f->id = 1;
    f->required = true;
    dm_schema_add(s, "v", dm_type_of(value))->id = 2;
    dm_schema_add_key(s, 0);
    return s;
}

/* k = start + step * i, v = "v<k>" */
static void write_numbers(struct fixture *f, const char *path, int64_t start, int64_t step, size_t n)
{
    struct dm_schema *s = pair_schema(DM_INT64, DM_STRING);
    struct dm_batch *b = dm_batch_new(s);
    for (size_t i = 0; i < n; i++) {
        char text[64];
        int64_t k = start + step * (int64_t)i;
        add_int64(&b->columns[0], k);
        snprintf(text, sizeof text, "value number %lld", (long long)k);
        add_text(&b->columns[1], text);
        dm_batch_end_row(b, DM_OP_INSERT);
    }
    write_file(f, path, s, b);
    dm_batch_free(b);
    dm_schema_unref(s);
}

static void deleted_positions_are_left_out_of_each_file(void **state)
{
    struct fixture *f = *state;
    struct dm_scan_file files[12];
    char paths[12][128];
    for (uint32_t i = 0; i < 12; i++) {
        snprintf(paths[i], sizeof paths[i], "%s/%u.parquet", f->folder, i);
        write_numbers(f, paths[i], 1000000 * i, 1, 5000 + i);
        roaring_bitmap_t *deleted = i % 4 == 3 ? NULL : roaring_bitmap_create();
        if (i % 4 < 2)
            for (uint32_t p = i; p < 5000 + i; p += 3 + i)
                roaring_bitmap_add(deleted, p);
        files[i] =
            (struct dm_scan_file){.path = paths[i], .number = 100 - i, .rows = 5000 + i, .deleted = deleted};
    }
    struct dm_schema *s = pair_schema(DM_INT64, DM_STRING);
    struct rows_seen seen = {0};
    assert_ok(f, dm_parquet_scan(f->engine, files, 12, s, NULL, see_rows, &seen, &f->err));
    size_t expected = 0;
    for (uint32_t i = 0; i < 12; i++)
        expected +=
            files[i].rows - (files[i].deleted != NULL ? roaring_bitmap_get_cardinality(files[i].deleted) : 0);
    assert_int_equal(seen.batch->rows, expected);
    for (size_t i = 0; i < seen.batch->rows; i++) {
        uint32_t file = 100 - seen.files[i];
        assert_int_equal(dm_column_int64(&seen.batch->columns[0], i),
                         1000000 * (int64_t)file + seen.positions[i]);
        if (files[file].deleted != NULL)
            assert_false(roaring_bitmap_contains(files[file].deleted, seen.positions[i]));
    }
    rows_seen_release(&seen);
    for (int i = 0; i < 12; i++)
        if (files[i].deleted != NULL)
            roaring_bitmap_free((roaring_bitmap_t *)(uintptr_t)files[i].deleted);
    dm_schema_unref(s);
}

static struct dm_field *add_field(struct dm_schema *s, int id, const char *name, struct dm_type type,
                                  const char *json)
{
    struct dm_field *f = dm_schema_add(s, name, type);
    f->id = id;
    f->element_id = id + 100;
    f->default_json = dm_xstrdup(json);
    return f;
}

static void renamed_and_widened_fields_are_found_by_id(void **state)
{
    struct fixture *f = *state;
    struct dm_schema *old = dm_schema_new();
    add_field(old, 1, "i", dm_type_of(DM_INT32), NULL);
    add_field(old, 2, "f", dm_type_of(DM_FLOAT32), NULL);
    add_field(old, 3, "d", dm_type_decimal(7, 2), NULL);
    add_field(old, 4, "gone", dm_type_of(DM_STRING), NULL);
    add_field(old, 5, "l", dm_type_list(dm_type_of(DM_INT32)), NULL);
    struct dm_batch *b = batch_of_edge_values(old, 100, 0);
    write_file(f, f->path, old, b);

    struct dm_schema *s = dm_schema_new();
    add_field(s, 5, "LIST", dm_type_list(dm_type_of(DM_INT64)), NULL);
    add_field(s, 3, "gone", dm_type_decimal(30, 2), NULL); /* takes the name of another field */
    add_field(s, 2, "file_row_number", dm_type_of(DM_FLOAT64), NULL);
    add_field(s, 1, "i", dm_type_of(DM_INT64), NULL);
    add_field(s, 9, "new", dm_type_of(DM_STRING), NULL);
    struct dm_batch *back = dm_batch_new(s);
    uint32_t positions[100];
    for (uint32_t i = 0; i < 100; i++)
        positions[i] = i;
    assert_ok(f, dm_parquet_fetch(f->engine, f->path, positions, 100, s, back, &f->err));
    for (size_t i = 0; i < 100; i++) {
        assert_int_equal(back->columns[3].state[i], b->columns[0].state[i]);
        if (b->columns[0].state[i] == DM_VALID) {
            assert_int_equal(dm_column_int64(&back->columns[3], i), dm_column_int32(&b->columns[0], i));
            double d;
            float g;
            memcpy(&d, dm_column_fixed(&back->columns[2], i), sizeof d);
            memcpy(&g, dm_column_fixed(&b->columns[1], i), sizeof g);
            if (!((isnan(d) && isnan(g)) || (d == (double)g && !signbit(d) == !signbit(g))))
                fail_msg("row %zu: %g became %g", i, (double)g, d);
            assert_memory_equal(dm_column_fixed(&back->columns[1], i), dm_column_fixed(&b->columns[2], i),
                                16);
        }
        assert_int_equal(back->columns[4].state[i], DM_NULL);
        size_t from = b->columns[4].offsets[i], to = b->columns[4].offsets[i + 1],
               at = back->columns[0].offsets[i];
        assert_int_equal(back->columns[0].offsets[i + 1] - at, to - from);
        for (; from < to; from++, at++) {
            assert_int_equal(back->columns[0].child->state[at], b->columns[4].child->state[from]);
            assert_int_equal(dm_column_int64(back->columns[0].child, at),
                             dm_column_int32(b->columns[4].child, from));
        }
    }
    dm_batch_free(back);
    dm_batch_free(b);
    dm_schema_unref(s);
    dm_schema_unref(old);
}

static void missing_fields_get_their_default(void **state)
{
    struct fixture *f = *state;
    write_numbers(f, f->path, 0, 1, 3);
    static const uint8_t uuid[16] = {0xf7, 0x9c, 0x3e, 0x09, 0x67, 0x7c, 0x4b, 0xbd,
                                     0xa4, 0x79, 0x3f, 0x34, 0x9c, 0xb7, 0x85, 0xe7};
    struct dm_schema *s = dm_schema_new();
    add_field(s, 1, "k", dm_type_of(DM_INT64), "-1"); /* present: the default does not count */
    add_field(s, 10, "b", dm_type_of(DM_BOOL), "true");
    add_field(s, 11, "i", dm_type_of(DM_INT32), "-2147483648");
    add_field(s, 12, "l", dm_type_of(DM_INT64), "9223372036854775807");
    add_field(s, 13, "f", dm_type_of(DM_FLOAT32), "1.5");
    add_field(s, 14, "d", dm_type_of(DM_FLOAT64), "0.1");
    add_field(s, 15, "n", dm_type_decimal(38, 2), "\"-999999999999999999999999999999999999.99\"");
    add_field(s, 16, "date", dm_type_of(DM_DATE), "\"1969-12-31\"");
    add_field(s, 17, "time", dm_type_of(DM_TIME), "\"23:59:59.999999\"");
    add_field(s, 18, "ts", dm_type_of(DM_TIMESTAMP), "\"1970-01-01T00:00:01.000002\"");
    add_field(s, 19, "tz", dm_type_of(DM_TIMESTAMPTZ), "\"1970-01-01T00:00:01.000002+00:00\"");
    add_field(s, 20, "s", dm_type_of(DM_STRING), "\"it's \\\"\\n\\\\x\xc3\xa4\"");
    add_field(s, 21, "x", dm_type_of(DM_BINARY), "\"00ff27Ab5c\"");
    add_field(s, 22, "u", dm_type_of(DM_UUID), "\"f79c3e09-677c-4bbd-a479-3f349cb785e7\"");
    add_field(s, 23, "li", dm_type_list(dm_type_of(DM_INT32)), "[1, null, 3]");
    add_field(s, 24, "ls", dm_type_list(dm_type_of(DM_STRING)), "[\"it's, [a] \\\\\", null, \"NULL\"]");
    add_field(s, 25, "le", dm_type_list(dm_type_of(DM_STRING)), "[]");
    add_field(s, 26, "null", dm_type_of(DM_STRING), "null");
    add_field(s, 27, "ns", dm_type_of(DM_TIMESTAMP_NS), "\"1970-01-01T00:00:01.000000002\"");
    struct dm_batch *b = dm_batch_new(s);
    assert_ok(f, dm_parquet_fetch(f->engine, f->path, (uint32_t[]){1}, 1, s, b, &f->err));
    assert_int_equal(b->rows, 1);
    const struct dm_column *c = b->columns;
    assert_int_equal(dm_column_int64(&c[0], 0), 1);
    assert_int_equal(c[1].data[0], 1);
    assert_int_equal(dm_column_int32(&c[2], 0), INT32_MIN);
    assert_int_equal(dm_column_int64(&c[3], 0), INT64_MAX);
    assert_memory_equal(c[4].data, &(float){1.5f}, 4);
    assert_memory_equal(c[5].data, &(double){0.1}, 8);
    assert_memory_equal(c[6].data, &(dm_int128){wide("-99999999999999999999999999999999999999")}, 16);
    assert_int_equal(dm_column_int32(&c[7], 0), -1);
    assert_int_equal(dm_column_int64(&c[8], 0), 86399999999);
    assert_int_equal(dm_column_int64(&c[9], 0), 1000002);
    assert_int_equal(dm_column_int64(&c[10], 0), 1000002);
    assert_int_equal(dm_column_int64(&c[18], 0), 1000000002);
    assert_int_equal(c[11].bytes.len, 11);
    assert_memory_equal(c[11].bytes.data, "it's \"\n\\x\xc3\xa4", 11);
    assert_int_equal(c[12].bytes.len, 5);
    assert_memory_equal(c[12].bytes.data, "\x00\xff\x27\xab\x5c", 5);
    assert_memory_equal(c[13].data, uuid, 16);
    assert_int_equal(c[14].child->length, 3);
    assert_int_equal(dm_column_int32(c[14].child, 2), 3);
    assert_int_equal(c[14].child->state[1], DM_NULL);
    assert_int_equal(c[15].child->length, 3);
    assert_int_equal(c[15].child->state[1], DM_NULL);
    assert_int_equal(c[15].child->bytes.len, 12 + 4 - 1);
    assert_memory_equal(c[15].child->bytes.data, "it's, [a] \\NULL", 15);
    assert_int_equal(c[16].state[0], DM_VALID);
    assert_int_equal(c[16].child->length, 0);
    assert_int_equal(c[17].state[0], DM_NULL);
    dm_batch_free(b);

    free(s->fields[2].default_json);
    s->fields[2].default_json = dm_xstrdup("{\"no\": \"default\"}");
    b = dm_batch_new(s);
    assert_int_equal(dm_parquet_fetch(f->engine, f->path, (uint32_t[]){1}, 1, s, b, &f->err), DM_FAIL);
    assert_non_null(strstr(f->err.message, "field i"));
    dm_batch_free(b);
    dm_schema_unref(s);
}

static void fetch_gives_the_rows_in_order(void **state)
{
    struct fixture *f = *state;
    write_numbers(f, f->path, 0, 7, 300000);
    struct dm_schema *s = pair_schema(DM_INT64, DM_STRING);
    struct dm_batch *b = dm_batch_new(s);
    static const size_t counts[] = {1, 5, 200, 201, 50000};
    uint32_t *positions = dm_xalloc(50000 * sizeof *positions);
    size_t total = 0;
    for (size_t k = 0; k < 5; k++) { /* appended one after the other to the same batch */
        for (size_t i = 0; i < counts[k]; i++)
            positions[i] = (uint32_t)(299999 - (counts[k] - 1 - i) * (299999 / counts[k]));
        assert_ok(f, dm_parquet_fetch(f->engine, f->path, positions, counts[k], s, b, &f->err));
        assert_int_equal(b->rows, total + counts[k]);
        for (size_t i = 0; i < counts[k]; i++)
            assert_int_equal(dm_column_int64(&b->columns[0], total + i), 7 * (int64_t)positions[i]);
        total += counts[k];
    }
    positions[0] = 3;
    positions[1] = 300000;
    assert_int_equal(dm_parquet_fetch(f->engine, f->path, positions, 2, s, b, &f->err), DM_FAIL);
    assert_non_null(strstr(f->err.message, "300000 is past the end"));
    assert_int_equal(b->rows, total);
    assert_int_equal(b->columns[0].length, total);
    assert_int_equal(b->columns[1].length, total);
    free(positions);
    dm_batch_free(b);
    dm_schema_unref(s);
}

static int compare_bytes(const uint8_t *a, size_t n, const uint8_t *b, size_t m)
{
    int c = memcmp(a, b, n < m ? n : m);
    return c != 0 ? c : (n > m) - (n < m);
}

/* The order of key.h, written down a second time. */
static int compare_values(const struct dm_column *a, size_t i, size_t j)
{
    if (a->width == 0) {
        size_t n, m;
        const uint8_t *x = dm_column_bytes_at(a, i, &n), *y = dm_column_bytes_at(a, j, &m);
        return compare_bytes(x, n, y, m);
    }
    const uint8_t *x = dm_column_fixed(a, i), *y = dm_column_fixed(a, j);
    if (a->type.id == DM_UUID || a->type.id == DM_BOOL)
        return memcmp(x, y, a->width);
    if (a->type.id == DM_FLOAT64 || a->type.id == DM_FLOAT32) {
        double d, e;
        if (a->type.id == DM_FLOAT64) {
            memcpy(&d, x, 8);
            memcpy(&e, y, 8);
        } else {
            float g, h;
            memcpy(&g, x, 4);
            memcpy(&h, y, 4);
            d = (double)g;
            e = (double)h;
        }
        if (isnan(d) || isnan(e))
            return isnan(d) - isnan(e);
        return (d > e) - (d < e);
    }
    dm_int128 v = 0, w = 0;
    if (a->width == 16) {
        memcpy(&v, x, 16);
        memcpy(&w, y, 16);
    } else {
        v = a->width == 8 ? dm_column_int64(a, i) : dm_column_int32(a, i);
        w = a->width == 8 ? dm_column_int64(a, j) : dm_column_int32(a, j);
    }
    return (v > w) - (v < w);
}

static void rows_come_in_key_order_of_every_type(void **state)
{
    struct fixture *f = *state;
    for (enum dm_type_id id = DM_BOOL; id < DM_LIST; id++) {
        struct dm_schema *s = dm_schema_new();
        struct dm_type type = id == DM_DECIMAL ? dm_type_decimal(38, 3) : dm_type_of(id);
        add_field(s, 1, "k", type, NULL)->required = true;
        add_field(s, 2, "n", dm_type_of(DM_INT32), NULL)->required = true;
        dm_schema_add_key(s, 0);
        dm_schema_add_key(s, 1);
        struct dm_batch *b = dm_batch_new(s);
        for (size_t k = 0; k < 3000; k++) {
            if (id == DM_STRING) {
                static const char *const parts[] = {
                    "a", "B", "\xc3\xa4", "\xf0\x9f\x98\x80", "\xef\xbf\xbd", "b", " ", "0", "\x01", ""};
                char text[64];
                snprintf(text, sizeof text, "%s%s%s%s", parts[k % 10], parts[k / 10 % 10],
                         k % 2 ? "in the middle a lot of" : "", parts[k / 100 % 10]);
                add_text(&b->columns[0], text);
            } else {
                add_edge_value(&b->columns[0], k, false);
            }
            add_int32(&b->columns[1], (int32_t)(k * 7919 % 3000) - 1500);
            dm_batch_end_row(b, DM_OP_INSERT);
        }
        write_file(f, f->path, s, b);
        struct dm_scan_file file = {.path = f->path, .number = 1, .rows = b->rows};
        struct rows_seen seen = {0};
        assert_ok(f, dm_parquet_scan(f->engine, &file, 1, s, &(struct dm_scan_options){.order_by_key = true},
                                     see_rows, &seen, &f->err));
        assert_int_equal(seen.batch->rows, 3000);
        for (size_t i = 1; i < 3000; i++) {
            int c = compare_values(&seen.batch->columns[0], i - 1, i);
            if (c == 0)
                c = compare_values(&seen.batch->columns[1], i - 1, i);
            if (c > 0)
                fail_msg("type %d: rows %zu and %zu out of order", id, i - 1, i);
        }
        rows_seen_release(&seen);
        dm_batch_free(b);
        dm_schema_unref(s);
    }
}

static enum dm_status stop_at_once(void *ctx, const struct dm_batch *batch, const uint32_t *file_numbers,
                                   const uint32_t *positions, struct dm_error *err)
{
    (void)batch, (void)file_numbers, (void)positions;
    ++*(int *)ctx;
    return dm_fail(err, DM_ERROR_CONFLICT, NULL, "enough");
}

static void a_failing_reader_stops_the_scan(void **state)
{
    struct fixture *f = *state;
    write_numbers(f, f->path, 0, 1, 100000);
    struct dm_schema *s = pair_schema(DM_INT64, DM_STRING);
    struct dm_scan_file file = {.path = f->path};
    int calls = 0;
    assert_int_equal(dm_parquet_scan(f->engine, &file, 1, s, NULL, stop_at_once, &calls, &f->err), DM_FAIL);
    assert_int_equal(calls, 1);
    assert_int_equal(f->err.class, DM_ERROR_CONFLICT);
    struct rows_seen seen = {0}; /* and the connection is good for the next scan */
    assert_ok(f, dm_parquet_scan(f->engine, &file, 1, s, NULL, see_rows, &seen, &f->err));
    assert_int_equal(seen.batch->rows, 100000);
    rows_seen_release(&seen);
    dm_schema_unref(s);
}

static void missing_and_damaged_files_are_named(void **state)
{
    struct fixture *f = *state;
    struct dm_schema *s = pair_schema(DM_INT64, DM_STRING);
    struct dm_batch *b = dm_batch_new(s);
    assert_int_equal(dm_parquet_fetch(f->engine, f->path, (uint32_t[]){1}, 1, s, b, &f->err), DM_FAIL);
    assert_int_equal(f->err.class, DM_ERROR_FATAL);
    assert_non_null(strstr(f->err.message, f->path));
    assert_ok(f, dm_file_write(f->path, "PAR1 this is not a Parquet file at all PAR0", 43, &f->err));
    assert_int_equal(dm_parquet_fetch(f->engine, f->path, (uint32_t[]){1}, 1, s, b, &f->err), DM_FAIL);
    assert_int_equal(f->err.class, DM_ERROR_FATAL);
    assert_non_null(strstr(f->err.message, f->path));
    dm_batch_free(b);
    dm_schema_unref(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
        TEST(every_type_comes_back_the_same),
        TEST(deleted_positions_are_left_out_of_each_file),
        TEST(renamed_and_widened_fields_are_found_by_id),
        TEST(missing_fields_get_their_default),
        TEST(fetch_gives_the_rows_in_order),
        TEST(rows_come_in_key_order_of_every_type),
        TEST(a_failing_reader_stops_the_scan),
        TEST(missing_and_damaged_files_are_named),
#undef TEST
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
