#include "engine_fixture.h"

#include "engine/column_stats.h"
#include "base/utf8.h"

static struct dm_column_stats stats_of(struct dm_type type, const void *values, const uint8_t *state,
                                       size_t n)
{
    struct dm_stats_gatherer g;
    struct dm_column_stats s;
    dm_stats_init(&g, type, true);
    dm_stats_fixed(&g, values, state, n);
    dm_stats_finish(&g, 7, &s);
    assert_int_equal(s.field_id, 7);
    return s;
}

static void assert_bounds(const struct dm_column_stats *s, const void *lower, size_t n_lower,
                          const void *upper, size_t n_upper)
{
    assert_true(s->has_bounds);
    assert_int_equal(s->lower_len, n_lower);
    assert_memory_equal(s->lower, lower, n_lower);
    assert_int_equal(s->upper_len, n_upper);
    assert_memory_equal(s->upper, upper, n_upper);
}

static void integers_are_little_endian_and_skip_nulls(void **state)
{
    (void)state;
    static const uint8_t states[] = {DM_NULL, DM_VALID, DM_VALID, DM_NULL, DM_VALID};
    static const int32_t v[] = {-1000, 5, -3, 1000, 258};
    struct dm_column_stats s = stats_of(dm_type_of(DM_INT32), v, states, 5);
    assert_int_equal(s.values, 5);
    assert_int_equal(s.nulls, 2);
    assert_bounds(&s, "\xfd\xff\xff\xff", 4, "\x02\x01\x00\x00", 4);
    s = stats_of(dm_type_of(DM_INT32), v, NULL, 5);
    assert_int_equal(s.nulls, 0);
    assert_bounds(&s, "\x18\xfc\xff\xff", 4, "\xe8\x03\x00\x00", 4);
    static const int64_t w[] = {DM_TIMESTAMP_NEG_INFINITY, 0, DM_TIMESTAMP_INFINITY};
    s = stats_of(dm_type_of(DM_TIMESTAMP), w, NULL, 3);
    assert_bounds(&s, "\x01\x00\x00\x00\x00\x00\x00\x80", 8, "\xff\xff\xff\xff\xff\xff\xff\x7f", 8);
    static const uint8_t b[] = {1, 1};
    s = stats_of(dm_type_of(DM_BOOL), b, NULL, 2);
    assert_bounds(&s, "\x01", 1, "\x01", 1);
    static const uint8_t none[] = {DM_NULL, DM_NULL};
    s = stats_of(dm_type_of(DM_INT64), w, none, 2);
    assert_int_equal(s.nulls, 2);
    assert_false(s.has_bounds);
}

static void floats_count_nans_and_widen_zero(void **state)
{
    (void)state;
    double v[] = {NAN, 0.0, 2.5, NAN, INFINITY};
    struct dm_column_stats s = stats_of(dm_type_of(DM_FLOAT64), v, NULL, 5);
    assert_true(s.is_float);
    assert_int_equal(s.nans, 2);
    assert_bounds(&s, "\x00\x00\x00\x00\x00\x00\x00\x80", 8, "\x00\x00\x00\x00\x00\x00\xf0\x7f", 8);
    float f[] = {-1.5f, -0.0f};
    s = stats_of(dm_type_of(DM_FLOAT32), f, NULL, 2);
    assert_bounds(&s, "\x00\x00\xc0\xbf", 4, "\x00\x00\x00\x00", 4);
    float nan[] = {NAN};
    s = stats_of(dm_type_of(DM_FLOAT32), nan, NULL, 1);
    assert_int_equal(s.nans, 1);
    assert_false(s.has_bounds);
}

static void decimals_are_minimal_big_endian(void **state)
{
    (void)state;
    struct dm_type type = dm_type_decimal(38, 2);
    dm_int128 v[] = {127, -128};
    struct dm_column_stats s = stats_of(type, v, NULL, 2);
    assert_bounds(&s, "\x80", 1, "\x7f", 1);
    dm_int128 w[] = {128, -129, 0};
    s = stats_of(type, w, NULL, 3);
    assert_bounds(&s, "\xff\x7f", 2, "\x00\x80", 2);
    dm_int128 zero[] = {0};
    s = stats_of(type, zero, NULL, 1);
    assert_bounds(&s, "\x00", 1, "\x00", 1);
    dm_int128 big[] = {wide("99999999999999999999999999999999999999"),
                       -wide("99999999999999999999999999999999999999")};
    s = stats_of(type, big, NULL, 2);
    assert_bounds(&s, "\xb4\xc4\xb3\x57\xa5\x79\x3b\x85\xf6\x75\xdd\xc0\x00\x00\x00\x01", 16,
                  "\x4b\x3b\x4c\xa8\x5a\x86\xc4\x7a\x09\x8a\x22\x3f\xff\xff\xff\xff", 16);
}

static void uuids_order_as_unsigned_bytes(void **state)
{
    (void)state;
    uint8_t v[3][16] = {{0x80}, {0x7f, 0xff}, {0x80, 0, 1}};
    struct dm_column_stats s = stats_of(dm_type_of(DM_UUID), v, NULL, 3);
    assert_bounds(&s, v[1], 16, v[2], 16);
}

static struct dm_column_stats stats_of_texts(enum dm_type_id id, const char *const *texts, size_t n)
{
    struct dm_stats_gatherer g;
    struct dm_column_stats s;
    dm_stats_init(&g, dm_type_of(id), true);
    for (size_t i = 0; i < n; i++) {
        uint8_t head[8] = {0};
        size_t len = strlen(texts[i]);
        memcpy(head, texts[i], len < 8 ? len : 8);
        uint64_t number = 0;
        for (int k = 0; k < 8; k++)
            number = number << 8 | head[k];
        dm_stats_bytes(&g, (const uint8_t *)texts[i], len, number);
    }
    dm_stats_count(&g, n, 0);
    dm_stats_finish(&g, 1, &s);
    return s;
}

#define ASSERT_TEXT_BOUNDS(id, lower, upper, ...) \
    do { \
        const char *const texts_[] = {__VA_ARGS__}; \
        struct dm_column_stats s_ = stats_of_texts(id, texts_, sizeof texts_ / sizeof *texts_); \
        assert_bounds(&s_, lower, sizeof(lower) - 1, upper, sizeof(upper) - 1); \
    } while (0)

#define A16 \
    "\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3" \
    "\xa4\xc3\xa4\xc3\xa4\xc3\xa4"
#define MAX4 "\xf4\x8f\xbf\xbf\xf4\x8f\xbf\xbf\xf4\x8f\xbf\xbf\xf4\x8f\xbf\xbf"

static void texts_are_cut_to_sixteen_code_points(void **state)
{
    (void)state;
    ASSERT_TEXT_BOUNDS(DM_STRING, "abc", "b", "b", "abc", "abcd", "azzzzzzzzzzzzzzz");
    ASSERT_TEXT_BOUNDS(DM_STRING, "", "", "");
    ASSERT_TEXT_BOUNDS(DM_STRING, "0123456789abcdef", "0123456789abcdef", "0123456789abcdef");
    ASSERT_TEXT_BOUNDS(DM_STRING, "0123456789abcdef", "0123456789abcdeg", "0123456789abcdef!");
    /* cut and whole with one prefix, in both orders: the longer one decides the upper bound */
    ASSERT_TEXT_BOUNDS(DM_STRING, "0123456789abcdef", "0123456789abcdeg", "0123456789abcdef!",
                       "0123456789abcdef");
    ASSERT_TEXT_BOUNDS(DM_STRING, "0123456789abcdef", "0123456789abcdeg", "0123456789abcdef",
                       "0123456789abcdef!");
    ASSERT_TEXT_BOUNDS(DM_STRING, A16,
                       "\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3"
                       "\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa5",
                       A16 "x");
    /* increased over a code unit boundary, over the surrogates, and where the last code point is the highest */
    ASSERT_TEXT_BOUNDS(DM_STRING, "012345678901234\x7f", "012345678901234\xc2\x80", "012345678901234\x7fx");
    ASSERT_TEXT_BOUNDS(DM_STRING, "012345678901234\xdf\xbf", "012345678901234\xe0\xa0\x80",
                       "012345678901234\xdf\xbfx");
    ASSERT_TEXT_BOUNDS(DM_STRING, "012345678901234\xed\x9f\xbf", "012345678901234\xee\x80\x80",
                       "012345678901234\xed\x9f\xbfx");
    ASSERT_TEXT_BOUNDS(DM_STRING, "012345678901234\xef\xbf\xbf", "012345678901234\xf0\x90\x80\x80",
                       "012345678901234\xef\xbf\xbfx");
    ASSERT_TEXT_BOUNDS(DM_STRING, "01234567890123a\xf4\x8f\xbf\xbf", "01234567890123b",
                       "01234567890123a\xf4\x8f\xbf\xbfx");
    static const char *const highest[] = {MAX4 MAX4 MAX4 MAX4 "x"};
    assert_false(stats_of_texts(DM_STRING, highest, 1).has_bounds);
    /* 64 bytes is what a bound can have */
    ASSERT_TEXT_BOUNDS(DM_STRING, MAX4 MAX4 MAX4 MAX4, MAX4 MAX4 MAX4 MAX4, MAX4 MAX4 MAX4 MAX4);
}

static void binaries_are_cut_to_sixteen_bytes(void **state)
{
    (void)state;
    ASSERT_TEXT_BOUNDS(DM_BINARY, "0123456789abcdef", "0123456789abcdeg", "0123456789abcdef!");
    ASSERT_TEXT_BOUNDS(DM_BINARY, "0123456789abcde\xff", "0123456789abcdf", "0123456789abcde\xff!");
    static const char *const highest[] = {
        "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"};
    assert_false(stats_of_texts(DM_BINARY, highest, 1).has_bounds);
}

/* Random texts: the bounds must hold for every value, whatever the shortcut by first bytes did. */
static void bounds_hold_for_random_texts(void **state)
{
    (void)state;
    unsigned seed = 12345;
    for (int round = 0; round < 200; round++) {
        enum { N = 300 };
        char texts[N][40];
        const char *pointers[N];
        for (int i = 0; i < N; i++) {
            int n = rand_r(&seed) % 30;
            for (int k = 0; k < n; k++)
                texts[i][k] = (char)("abxyz~\x01\x7f"[rand_r(&seed) % (round % 8 + 1)]);
            texts[i][n] = 0;
            pointers[i] = texts[i];
        }
        struct dm_column_stats s = stats_of_texts(DM_STRING, pointers, N);
        assert_true(s.has_bounds);
        char lower[65] = {0}, upper[65] = {0};
        memcpy(lower, s.lower, s.lower_len);
        memcpy(upper, s.upper, s.upper_len);
        bool tight = false;
        for (int i = 0; i < N; i++) {
            assert_true(strcmp(lower, texts[i]) <= 0);
            assert_true(strcmp(texts[i], upper) <= 0);
            tight |= strncmp(texts[i], lower, 16) == 0;
        }
        assert_true(tight);
    }
}

/* The writer's statistics of every type, against values looked at one by one. */
static void statistics_come_from_the_selected_rows(void **state)
{
    struct fixture *f = *state;
    struct dm_schema *s = schema_of_all_types();
    struct dm_batch *b = batch_of_edge_values(s, 5000, 0);
    uint32_t *selection = dm_xalloc(5000 * sizeof *selection);
    size_t n = 0;
    for (uint32_t i = 0; i < 5000; i += 3)
        selection[n++] = i;
    struct dm_parquet_result r;
    assert_ok(f, dm_parquet_write_batch(f->engine, f->path, s, zstd(), b, selection, n, &r, &f->err));
    assert_int_equal(r.n_stats, s->n_fields);
    for (size_t c = 0; c < s->n_fields; c++) {
        const struct dm_column *column = &b->columns[c];
        const struct dm_column *leaf = column->child != NULL ? column->child : column;
        uint64_t values = 0, nulls = 0, nans = 0;
        for (size_t i = 0; i < n; i++) {
            size_t from = column->child != NULL ? column->offsets[selection[i]] : selection[i];
            size_t to = column->child != NULL ? column->offsets[selection[i] + 1] : from + 1;
            for (; from < to; from++) {
                values++;
                nulls += leaf->state[from] == DM_NULL;
                float g = 0;
                double d = 0;
                if (leaf->state[from] == DM_VALID && leaf->type.id == DM_FLOAT32)
                    memcpy(&g, dm_column_fixed(leaf, from), 4);
                if (leaf->state[from] == DM_VALID && leaf->type.id == DM_FLOAT64)
                    memcpy(&d, dm_column_fixed(leaf, from), 8);
                nans += isnan(g) || isnan(d);
            }
        }
        assert_int_equal(r.stats[c].field_id,
                         column->child != NULL ? s->fields[c].element_id : s->fields[c].id);
        assert_int_equal(r.stats[c].values, values);
        assert_int_equal(r.stats[c].nulls, nulls);
        assert_int_equal(r.stats[c].nans, nans);
        assert_int_equal(r.stats[c].is_float, leaf->type.id == DM_FLOAT32 || leaf->type.id == DM_FLOAT64);
        assert_int_equal(r.stats[c].has_bounds, column->child == NULL);
    }
    assert_bounds(&r.stats[1], "\x00\x00\x00\x80", 4, "\xff\xff\xff\x7f", 4);
    dm_parquet_result_release(&r);
    free(selection);
    dm_batch_free(b);
    dm_schema_unref(s);
}

static void utf8_is_told_from_other_bytes(void **state)
{
    (void)state;
    static const char *const good[] = {"",
                                       "a",
                                       "12345678",
                                       "123456789",
                                       "\xc2\x80",
                                       "\xdf\xbf",
                                       "\xe0\xa0\x80",
                                       "\xed\x9f\xbf",
                                       "\xee\x80\x80",
                                       "\xf0\x90\x80\x80",
                                       "\xf4\x8f\xbf\xbf",
                                       "1234567\xc3\xa4 and more"};
    static const char *const bad[] = {"\x80",
                                      "\xc0\x80",
                                      "\xc1\xbf",
                                      "\xc2",
                                      "\xc2g",
                                      "\xe0\x9f\xbf",
                                      "\xed\xa0\x80",
                                      "\xe2\x82",
                                      "\xf0\x8f\xbf\xbf",
                                      "\xf4\x90\x80\x80",
                                      "\xf5\x80\x80\x80",
                                      "\xff",
                                      "12345678\xe2\x82",
                                      "1234567\xc3(",
                                      "\xf0\x9f\x98"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        assert_true(dm_utf8_valid((const uint8_t *)good[i], strlen(good[i])));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(dm_utf8_valid((const uint8_t *)bad[i], strlen(bad[i])));
    assert_true(dm_utf8_valid((const uint8_t *)"a\0b", 3));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(integers_are_little_endian_and_skip_nulls),
        cmocka_unit_test(floats_count_nans_and_widen_zero),
        cmocka_unit_test(decimals_are_minimal_big_endian),
        cmocka_unit_test(uuids_order_as_unsigned_bytes),
        cmocka_unit_test(texts_are_cut_to_sixteen_code_points),
        cmocka_unit_test(binaries_are_cut_to_sixteen_bytes),
        cmocka_unit_test(bounds_hold_for_random_texts),
        cmocka_unit_test_setup_teardown(statistics_come_from_the_selected_rows, fixture_setup,
                                        fixture_teardown),
        cmocka_unit_test(utf8_is_told_from_other_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
