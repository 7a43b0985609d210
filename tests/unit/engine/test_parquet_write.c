#include "engine_fixture.h"

#include <duckdb.h>

#include "base/bytes.h"

/* A second, independent look at the file: DuckDB opened by the test itself. The single value of a query as text. */
static char *ask(const char *sql)
{
    duckdb_database database;
    duckdb_connection c;
    duckdb_result result;
    assert_int_equal(duckdb_open(NULL, &database), DuckDBSuccess);
    assert_int_equal(duckdb_connect(database, &c), DuckDBSuccess);
    if (duckdb_query(c, sql, &result) != DuckDBSuccess)
        fail_msg("%s: %s", sql, duckdb_result_error(&result));
    char *text = duckdb_value_varchar(&result, 0, 0);
    char *copy = dm_xstrdup(text != NULL ? text : "NULL");
    duckdb_free(text);
    duckdb_destroy_result(&result);
    duckdb_disconnect(&c);
    duckdb_close(&database);
    return copy;
}

/* In the query PATH stands for the file. */
static void assert_answer(const char *expected, const char *query, const char *path)
{
    const char *at = strstr(query, "PATH");
    assert_non_null(at);
    char *sql = dm_xasprintf("%.*s%s%s", (int)(at - query), query, path, at + 4);
    char *answer = ask(sql);
    assert_string_equal(answer, expected);
    free(answer);
    free(sql);
}

/* Hands out batches of `rows` consecutive numbers until `total`. */
struct counter {
    struct dm_batch *batch;
    const uint32_t *selection;
    size_t n_selection;
    size_t rows, total, next;
    size_t fail_at; /* 0: never */
};

static enum dm_status count_on(void *ctx, const struct dm_batch **batch, const uint32_t **selection,
                               size_t *n_selection, struct dm_error *err)
{
    struct counter *c = ctx;
    if (c->next == c->total)
        return DM_END;
    if (c->fail_at != 0 && c->next >= c->fail_at)
        return dm_fail(err, DM_ERROR_CONFLICT, "my hint", "the source broke at %zu", c->next);
    dm_batch_clear(c->batch);
    for (size_t i = 0; i < c->rows && c->next < c->total; i++, c->next++) {
        char text[64];
        add_int64(&c->batch->columns[0], (int64_t)c->next);
        int n = snprintf(text, sizeof text, "row number %zu of a long way", c->next);
        add_bytes(&c->batch->columns[1], text, (size_t)n);
        dm_batch_end_row(c->batch, DM_OP_COPY);
    }
    *batch = c->batch;
    *selection = c->selection;
    *n_selection = c->n_selection;
    return DM_OK;
}

static struct dm_schema *counter_schema(void)
{
    struct dm_schema *s = dm_schema_new();
    dm_schema_add(s, "n", dm_type_of(DM_INT64))->id = 1;
    dm_schema_add(s, "text", dm_type_of(DM_STRING))->id = 2;
    return s;
}

static void order_is_kept_over_row_groups_and_batches(void **state)
{
    struct fixture *f = *state;
    struct dm_schema *s = counter_schema();
    struct counter c = {.batch = dm_batch_new(s), .rows = 3333, .total = 300000};
    struct dm_parquet_options options = {.compression = "zstd", .row_group_rows = 20480};
    struct dm_parquet_result r;
    bool more = true;
    assert_ok(f, dm_parquet_write(f->engine, f->path, s, &options, count_on, &c, &r, &more, &f->err));
    assert_false(more);
    assert_int_equal(r.rows, 300000);
    uint64_t bytes = 0;
    assert_ok(f, dm_file_size(f->path, &bytes, &f->err));
    assert_int_equal(r.file_bytes, bytes);
    assert_answer("true", "SELECT count(DISTINCT row_group_id) > 10 FROM parquet_metadata('PATH')", f->path);
    assert_answer("300000",
                  "SELECT count(*) FROM read_parquet('PATH', file_row_number=true) "
                  "WHERE n = file_row_number AND text = 'row number ' || n || ' of a long way'",
                  f->path);
    dm_parquet_result_release(&r);
    dm_batch_free(c.batch);
    dm_schema_unref(s);
}

/* Row groups are also cut by bytes; the order must hold there too. */
static void wide_rows_make_small_row_groups_in_order(void **state)
{
    struct fixture *f = *state;
    struct dm_schema *s = counter_schema();
    struct dm_batch *b = dm_batch_new(s);
    size_t wide_bytes = 100000;
    char *text = dm_xalloc(wide_bytes);
    memset(text, 'x', wide_bytes);
    for (int64_t i = 0; i < 3000; i++) { /* 300 MB, beyond the engine's memory limit in one row group */
        add_int64(&b->columns[0], i);
        memcpy(text, &(uint64_t){UINT64_C(0x3030303030303030) + (uint64_t)(i % 10)}, 8);
        add_bytes(&b->columns[1], text, wide_bytes);
        dm_batch_end_row(b, DM_OP_COPY);
    }
    struct dm_parquet_result r;
    assert_ok(f, dm_parquet_write_batch(f->engine, f->path, s, zstd(), b, NULL, 0, &r, &f->err));
    assert_answer("true", "SELECT count(DISTINCT row_group_id) > 4 FROM parquet_metadata('PATH')", f->path);
    assert_answer("3000",
                  "SELECT count(*) FROM read_parquet('PATH', file_row_number=true) WHERE n = file_row_number "
                  "AND text[1] = (n % 10)::VARCHAR AND len(text) = 100000",
                  f->path);
    dm_parquet_result_release(&r);
    free(text);
    dm_batch_free(b);
    dm_schema_unref(s);
}

static void selections_choose_and_order_rows(void **state)
{
    struct fixture *f = *state;
    struct dm_schema *s = schema_of_all_types();
    struct dm_batch *b = batch_of_edge_values(s, 6000, 0);
    uint32_t *selection = dm_xalloc(6000 * sizeof *selection);
    size_t n = 0;
    for (uint32_t i = 0; i < 2500; i++) /* neighbours first: read in place */
        selection[n++] = 1000 + i;
    for (uint32_t i = 0; i < 2500; i++) /* then scattered and backwards */
        selection[n++] = 5999 - 2 * i;
    struct dm_parquet_result r;
    assert_ok(f, dm_parquet_write_batch(f->engine, f->path, s, zstd(), b, selection, n, &r, &f->err));
    assert_int_equal(r.rows, n);
    uint32_t *positions = dm_xalloc(n * sizeof *positions);
    for (uint32_t i = 0; i < n; i++)
        positions[i] = i;
    struct dm_batch *back = dm_batch_new(s);
    assert_ok(f, dm_parquet_fetch(f->engine, f->path, positions, n, s, back, &f->err));
    for (size_t i = 0; i < n; i++)
        for (size_t c = 0; c < b->n_columns; c++)
            if (!dm_column_value_equal(&back->columns[c], i, &b->columns[c], selection[i]))
                fail_msg("row %zu column %s", i, s->fields[c].name);
    dm_parquet_result_release(&r);
    free(positions);
    free(selection);
    dm_batch_free(back);
    dm_batch_free(b);
    dm_schema_unref(s);
}

static void field_ids_and_types_are_icebergs(void **state)
{
    struct fixture *f = *state;
    struct dm_schema *s = schema_of_all_types();
    struct dm_batch *b = batch_of_edge_values(s, 100, 0);
    struct dm_parquet_result r;
    assert_ok(f, dm_parquet_write_batch(f->engine, f->path, s, zstd(), b, NULL, 0, &r, &f->err));
    for (size_t i = 0; i < s->n_fields; i++) {
        char sql[512], expected[32];
        snprintf(sql, sizeof sql, "SELECT field_id FROM parquet_schema('%s') WHERE name = '%s'", f->path,
                 s->fields[i].name);
        snprintf(expected, sizeof expected, "%d", (int)s->fields[i].id);
        char *answer = ask(sql);
        assert_string_equal(answer, expected);
        free(answer);
    }
    assert_answer(
        "[119, 120, 121, 122, 123, 124, 125, 126, 127, 128, 129, 130, 131, 132, 133, 134, 135, 136]",
        "SELECT list(field_id ORDER BY field_id)::VARCHAR FROM parquet_schema('PATH') WHERE name = 'element'",
        f->path);
    assert_answer("FIXED_LEN_BYTE_ARRAY/16",
                  "SELECT type || '/' || type_length FROM parquet_schema('PATH') WHERE name = 't12'",
                  f->path);
    assert_answer("UUIDType()", "SELECT logical_type FROM parquet_schema('PATH') WHERE name = 't12'",
                  f->path);
    assert_answer("INT32,INT32,INT64,FIXED_LEN_BYTE_ARRAY",
                  "SELECT string_agg(type, ',' ORDER BY name) FROM parquet_schema('PATH') WHERE name IN "
                  "('t13','t14','t15','t16')",
                  f->path);
    assert_answer("true",
                  "SELECT logical_type LIKE 'TimestampType(isAdjustedToUTC=1%MICROS=Micro%' FROM "
                  "parquet_schema('PATH') WHERE name = 't8'",
                  f->path);
    assert_answer("true",
                  "SELECT logical_type LIKE 'TimestampType(isAdjustedToUTC=0%MICROS=Micro%' FROM "
                  "parquet_schema('PATH') WHERE name = 't7'",
                  f->path);
    assert_answer("true",
                  "SELECT logical_type LIKE 'TimestampType(isAdjustedToUTC=0%NANOS=Nano%' FROM "
                  "parquet_schema('PATH') WHERE name = 't9'",
                  f->path);
    assert_answer("true",
                  "SELECT logical_type LIKE 'TimeType(isAdjustedToUTC=0%MICROS=Micro%' FROM "
                  "parquet_schema('PATH') WHERE name = 't6'",
                  f->path);
    /* The edge values of INT32 are what DuckDB's delta encoding makes unreadable for others. */
    assert_answer("0",
                  "SELECT count(*) FROM parquet_metadata('PATH') WHERE encodings LIKE '%DELTA%' OR encodings "
                  "LIKE '%STREAM%'",
                  f->path);
    assert_answer("ZSTD", "SELECT max(compression) FROM parquet_metadata('PATH')", f->path);
    dm_parquet_result_release(&r);
    dm_batch_free(b);
    dm_schema_unref(s);
}

static void names_of_any_spelling_are_kept(void **state)
{
    struct fixture *f = *state;
    static const char *const names[] = {"a",
                                        "A",
                                        "it's \"quoted\"",
                                        "\xc3\xa4\xe2\x82\xac",
                                        "",
                                        "select",
                                        "__duckdb_field_id",
                                        "a.b",
                                        "{x: 1}",
                                        "A_2",
                                        "  ",
                                        "element"};
    static const char *const expected[] = {"a",
                                           "A_2",
                                           "it's \"quoted\"",
                                           "\xc3\xa4\xe2\x82\xac",
                                           "_5",
                                           "select",
                                           "__duckdb_field_id_7",
                                           "a.b",
                                           "{x: 1}",
                                           "A_2_10",
                                           "  ",
                                           "element"};
    enum { N = sizeof names / sizeof *names };
    struct dm_schema *s = dm_schema_new();
    for (int i = 0; i < N; i++)
        dm_schema_add(s, names[i], dm_type_of(DM_INT32))->id = i + 1;
    struct dm_batch *b = dm_batch_new(s);
    for (int i = 0; i < N; i++)
        add_int32(&b->columns[i], i);
    dm_batch_end_row(b, DM_OP_COPY);
    char *path = dm_xasprintf("%s/it's [a]*?.parquet", f->folder);
    struct dm_parquet_result r;
    assert_ok(f, dm_parquet_write_batch(f->engine, path, s, zstd(), b, NULL, 0, &r, &f->err));
    char *quoted = dm_xasprintf("%s/it''s [a]*?.parquet", f->folder);
    for (int i = 0; i < N; i++) {
        char sql[512];
        snprintf(sql, sizeof sql, "SELECT name FROM parquet_schema('%s') WHERE field_id = %d", quoted, i + 1);
        char *answer = ask(sql);
        assert_string_equal(answer, expected[i]);
        free(answer);
    }
    struct dm_batch *back = dm_batch_new(s);
    assert_ok(f, dm_parquet_fetch(f->engine, path, &(uint32_t){0}, 1, s, back, &f->err));
    for (int i = 0; i < N; i++)
        assert_int_equal(dm_column_int32(&back->columns[i], 0), i);
    dm_parquet_result_release(&r);
    dm_batch_free(back);
    dm_batch_free(b);
    dm_schema_unref(s);
    free(path);
    free(quoted);
}

static void nothing_to_write_makes_no_file(void **state)
{
    struct fixture *f = *state;
    struct dm_schema *s = counter_schema();
    struct counter c = {.batch = dm_batch_new(s), .rows = 10, .total = 0};
    struct dm_parquet_result r;
    bool more = true;
    assert_ok(f, dm_parquet_write(f->engine, f->path, s, zstd(), count_on, &c, &r, &more, &f->err));
    assert_int_equal(r.rows, 0);
    assert_false(more);
    assert_false(dm_file_exists(f->path));
    c.total = 20;
    uint32_t none;
    c.selection = &none; /* batches, but no row selected */
    assert_ok(f, dm_parquet_write(f->engine, f->path, s, zstd(), count_on, &c, &r, &more, &f->err));
    assert_int_equal(r.rows, 0);
    assert_false(dm_file_exists(f->path));
    dm_parquet_result_release(&r);
    dm_batch_free(c.batch);
    dm_schema_unref(s);
}

static void max_bytes_ends_a_file_and_the_next_goes_on(void **state)
{
    struct fixture *f = *state;
    struct dm_schema *s = counter_schema();
    struct counter c = {.batch = dm_batch_new(s), .rows = 1000, .total = 10000};
    struct dm_parquet_options options = {.compression = "snappy", .max_bytes = 200000};
    uint64_t total = 0;
    int files = 0;
    for (bool more = true; more; files++) {
        struct dm_parquet_result r;
        assert_ok(f, dm_parquet_write(f->engine, f->path, s, &options, count_on, &c, &r, &more, &f->err));
        if (r.rows != 0) {
            char expected[32];
            snprintf(expected, sizeof expected, "%llu", (unsigned long long)total);
            assert_answer(expected, "SELECT min(n) FROM 'PATH'", f->path);
        }
        total += r.rows;
        dm_parquet_result_release(&r);
    }
    assert_int_equal(total, 10000);
    assert_true(files >= 3);
    dm_batch_free(c.batch);
    dm_schema_unref(s);
}

static void pull_errors_come_back_and_leave_no_file(void **state)
{
    struct fixture *f = *state;
    struct dm_schema *s = counter_schema();
    static const size_t at[] = {0, 5000, 200000};
    for (int i = 0; i < 3; i++) {
        struct counter c = {.batch = dm_batch_new(s), .rows = 1000, .total = 300000, .fail_at = at[i]};
        if (i == 0) {
            c.next = 1; /* the very first pull fails */
            c.fail_at = 1;
        }
        struct dm_parquet_result r;
        assert_int_equal(dm_parquet_write(f->engine, f->path, s, zstd(), count_on, &c, &r, NULL, &f->err),
                         DM_FAIL);
        assert_int_equal(f->err.class, DM_ERROR_CONFLICT);
        assert_non_null(strstr(f->err.message, "the source broke at"));
        assert_string_equal(f->err.hint, "my hint");
        assert_false(dm_file_exists(f->path));
        dm_batch_free(c.batch);
    }
    dm_schema_unref(s);
}

/* Writes one row of one column and expects a failure of the class that names the column. */
static void expect_refusal(struct fixture *f, struct dm_type type, bool required,
                           void (*add)(struct dm_column *), enum dm_error_class class)
{
    struct dm_schema *s = dm_schema_new();
    struct dm_field *field = dm_schema_add(s, "the column", type);
    field->id = 1;
    field->required = required;
    struct dm_batch *b = dm_batch_new(s);
    add(&b->columns[0]);
    dm_batch_end_row(b, DM_OP_COPY);
    struct dm_parquet_result r;
    assert_int_equal(dm_parquet_write_batch(f->engine, f->path, s, zstd(), b, NULL, 0, &r, &f->err), DM_FAIL);
    assert_int_equal(f->err.class, class);
    assert_non_null(strstr(f->err.message, "the column"));
    assert_false(dm_file_exists(f->path));
    dm_batch_free(b);
    dm_schema_unref(s);
}

static void add_bad_utf8(struct dm_column *c)
{
    add_text(c, "ok until \xed\xa0\x80"); /* a surrogate */
}

static void add_too_many_digits(struct dm_column *c)
{
    dm_column_append_fixed(c, &(dm_int128){10000});
}

static void values_that_do_not_fit_are_refused(void **state)
{
    struct fixture *f = *state;
    expect_refusal(f, dm_type_of(DM_STRING), false, add_bad_utf8, DM_ERROR_DATA);
    expect_refusal(f, dm_type_decimal(4, 1), false, add_too_many_digits, DM_ERROR_DATA);
    expect_refusal(f, dm_type_of(DM_STRING), true, dm_column_append_null, DM_ERROR_DATA);
    expect_refusal(f, dm_type_of(DM_INT64), false, dm_column_append_unchanged, DM_ERROR_FATAL);
}

static void unwritable_folder_is_transient_and_named(void **state)
{
    struct fixture *f = *state;
    struct dm_schema *s = counter_schema();
    struct counter c = {.batch = dm_batch_new(s), .rows = 10, .total = 10};
    struct dm_parquet_result r;
    char path[128];
    snprintf(path, sizeof path, "%s/missing/x.parquet", f->folder);
    assert_int_equal(dm_parquet_write(f->engine, path, s, zstd(), count_on, &c, &r, NULL, &f->err), DM_FAIL);
    assert_int_equal(f->err.class, DM_ERROR_TRANSIENT);
    assert_non_null(strstr(f->err.message, path));
    dm_batch_free(c.batch);
    dm_schema_unref(s);
}

/* Lists with more elements than a vector holds, nulls among them. */
static void long_lists_keep_their_nulls(void **state)
{
    struct fixture *f = *state;
    struct dm_schema *s = dm_schema_new();
    struct dm_field *field = dm_schema_add(s, "l", dm_type_list(dm_type_of(DM_STRING)));
    field->id = 1;
    field->element_id = 2;
    struct dm_batch *b = dm_batch_new(s);
    for (size_t row = 0; row < 5; row++) {
        for (size_t i = 0; i < 10000 * row; i++) {
            if (i % 3 == 0)
                dm_column_append_null(b->columns[0].child);
            else
                add_text(b->columns[0].child, i % 2 ? "short" : "an element that is not inlined");
        }
        if (row == 2) {
            dm_column_truncate(&b->columns[0], row);
            dm_column_append_null(&b->columns[0]);
        } else {
            dm_column_close_list(&b->columns[0]);
        }
        dm_batch_end_row(b, DM_OP_COPY);
    }
    struct dm_parquet_result r;
    assert_ok(f, dm_parquet_write_batch(f->engine, f->path, s, zstd(), b, NULL, 0, &r, &f->err));
    assert_int_equal(r.stats[0].field_id, 2);
    assert_int_equal(r.stats[0].values, 80000);
    assert_int_equal(r.stats[0].nulls, 3334 + 10000 + 13334);
    assert_false(r.stats[0].has_bounds);
    struct dm_batch *back = dm_batch_new(s);
    assert_ok(f, dm_parquet_fetch(f->engine, f->path, (uint32_t[]){0, 1, 2, 3, 4}, 5, s, back, &f->err));
    for (size_t i = 0; i < 5; i++)
        assert_true(dm_column_value_equal(&b->columns[0], i, &back->columns[0], i));
    dm_parquet_result_release(&r);
    dm_batch_free(back);
    dm_batch_free(b);
    dm_schema_unref(s);
}

struct many {
    struct fixture *f;
    int number;
};

#include <pthread.h>

static void *write_many(void *arg)
{
    struct many *m = arg;
    struct dm_schema *s = counter_schema();
    for (int i = 0; i < 30; i++) {
        struct counter c = {.batch = dm_batch_new(s), .rows = 100, .total = 1000 + (size_t)m->number};
        char path[128];
        snprintf(path, sizeof path, "%s/%d-%d.parquet", m->f->folder, m->number, i);
        struct dm_parquet_result r;
        struct dm_error err;
        if (dm_parquet_write(m->f->engine, path, s, zstd(), count_on, &c, &r, NULL, &err) != DM_OK ||
            r.rows != c.total)
            m->number = -1;
        dm_parquet_result_release(&r);
        dm_batch_free(c.batch);
    }
    dm_schema_unref(s);
    return NULL;
}

static void threads_write_at_once(void **state)
{
    struct many many[4];
    pthread_t threads[4];
    for (int i = 0; i < 4; i++) {
        many[i] = (struct many){*state, i};
        assert_int_equal(pthread_create(&threads[i], NULL, write_many, &many[i]), 0);
    }
    for (int i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(many[i].number, i);
    }
    struct fixture *f = *state;
    assert_answer("120,120180",
                  "SELECT count(DISTINCT filename) || ',' || count(*) FROM read_parquet('PATH/*.parquet', "
                  "filename=true)",
                  f->folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
        TEST(order_is_kept_over_row_groups_and_batches),
        TEST(wide_rows_make_small_row_groups_in_order),
        TEST(selections_choose_and_order_rows),
        TEST(field_ids_and_types_are_icebergs),
        TEST(names_of_any_spelling_are_kept),
        TEST(nothing_to_write_makes_no_file),
        TEST(max_bytes_ends_a_file_and_the_next_goes_on),
        TEST(pull_errors_come_back_and_leave_no_file),
        TEST(values_that_do_not_fit_are_refused),
        TEST(unwritable_folder_is_transient_and_named),
        TEST(long_lists_keep_their_nulls),
        TEST(threads_write_at_once),
#undef TEST
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
