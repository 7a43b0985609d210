/* Values from text and from binary, without a server. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the four above it */
#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "source/postgres/pg_datetime.h"
#include "source/postgres/pg_numeric.h"

static dm_int128 big(const char *digits)
{
    dm_int128 v = 0;
    for (const char *c = digits; *c != '\0'; c++)
        v = v * 10 + (*c - '0');
    return v;
}

static void test_decimal_text(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int precision, scale;
        enum pg_value_result result;
        const char *digits; /* of the magnitude */
        bool negative;
    } cases[] = {
        {"0", 5, 2, PG_VALUE_OK, "0", false},
        {"-12.5", 5, 2, PG_VALUE_OK, "1250", true},
        {"999.99", 5, 2, PG_VALUE_OK, "99999", false},
        {"1000.00", 5, 2, PG_VALUE_DECIMAL_RANGE, "", false},
        {"1.005", 5, 2, PG_VALUE_DECIMAL_RANGE, "", false},
        {"1.00000", 5, 2, PG_VALUE_OK, "100", false},
        {"99999999999999999999999999999999999999", 38, 0, PG_VALUE_OK,
         "99999999999999999999999999999999999999", false},
        {"-9999999999999999999999999999.9999999999", 38, 10, PG_VALUE_OK,
         "99999999999999999999999999999999999999", true},
        {"100000000000000000000000000000000000000", 38, 0, PG_VALUE_DECIMAL_RANGE, "", false},
        {"0.00000000000000000000000000000000000001", 38, 38, PG_VALUE_OK, "1", false},
        {"123456789012345678901234567890", 38, 0, PG_VALUE_OK, "123456789012345678901234567890", false},
        {"NaN", 5, 2, PG_VALUE_NAN, "", false},
        {"Infinity", 5, 2, PG_VALUE_INFINITE, "", false},
        {"-Infinity", 5, 2, PG_VALUE_INFINITE, "", false},
        {"", 5, 2, PG_VALUE_MALFORMED, "", false},
        {"-", 5, 2, PG_VALUE_MALFORMED, "", false},
        {".", 5, 2, PG_VALUE_MALFORMED, "", false},
        {"1e5", 5, 2, PG_VALUE_MALFORMED, "", false},
        {"1.2.3", 5, 2, PG_VALUE_MALFORMED, "", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        dm_int128 v = 7;
        enum pg_value_result r = pg_decimal_from_text(cases[i].text, strlen(cases[i].text),
                                                      cases[i].precision, cases[i].scale, &v);
        if (r != cases[i].result)
            fprintf(stderr, "%s\n", cases[i].text);
        assert_int_equal(r, cases[i].result);
        dm_int128 wanted = cases[i].negative ? -big(cases[i].digits) : big(cases[i].digits);
        if (r == PG_VALUE_OK)
            assert_true(v == wanted);
    }
}

/* 1234567.8 at several scales: weight 1, digits 123 4567 8000. */
static void test_decimal_binary(void **state)
{
    (void)state;
    uint8_t wire[14] = {0, 3, 0, 1, 0, 0, 0, 1, 0, 123, 4567 >> 8, 4567 & 255, 8000 >> 8, 8000 & 255};
    dm_int128 v;
    assert_int_equal(pg_decimal_from_binary(wire, 14, 10, 1, &v), PG_VALUE_OK);
    assert_true(v == 12345678);
    assert_int_equal(pg_decimal_from_binary(wire, 14, 20, 7, &v), PG_VALUE_OK);
    assert_true(v == INT64_C(12345678000000));
    assert_int_equal(pg_decimal_from_binary(wire, 14, 20, 0, &v), PG_VALUE_DECIMAL_RANGE);
    assert_int_equal(pg_decimal_from_binary(wire, 14, 7, 1, &v), PG_VALUE_DECIMAL_RANGE);
    assert_int_equal(pg_decimal_from_binary(wire, 13, 20, 1, &v), PG_VALUE_MALFORMED);
    wire[4] = 0x40;
    assert_int_equal(pg_decimal_from_binary(wire, 14, 10, 1, &v), PG_VALUE_OK);
    assert_true(v == -12345678);
    wire[8] = 0xFF; /* a digit above 9999 */
    assert_int_equal(pg_decimal_from_binary(wire, 14, 38, 1, &v), PG_VALUE_MALFORMED);
    const uint8_t huge[10] = {0, 1, 0x7F, 0xFF, 0, 0, 0, 0, 0, 1};
    assert_int_equal(pg_decimal_from_binary(huge, 10, 38, 0, &v), PG_VALUE_DECIMAL_RANGE);
    const uint8_t zero[8] = {0, 0, 0x7F, 0xFF, 0, 0, 0, 0};
    assert_int_equal(pg_decimal_from_binary(zero, 8, 1, 0, &v), PG_VALUE_OK);
    assert_true(v == 0);
    const uint8_t nan[8] = {0, 0, 0, 0, 0xC0, 0, 0, 0};
    assert_int_equal(pg_decimal_from_binary(nan, 8, 1, 0, &v), PG_VALUE_NAN);
    struct dm_buffer text;
    struct dm_error err;
    dm_buffer_init(&text, 1000);
    wire[8] = 0;
    assert_int_equal(pg_numeric_spell(wire, 14, &text, &err), DM_OK);
    assert_string_equal(dm_buffer_text(&text), "-1234567.8");
    dm_buffer_clear(&text);
    const uint8_t small[10] = {0, 1, 0xFF, 0xFE, 0, 0, 0, 7, 0, 120}; /* 0.0000012 shown with 7 digits */
    assert_int_equal(pg_numeric_spell(small, 10, &text, &err), DM_OK);
    assert_string_equal(dm_buffer_text(&text), "0.0000012");
    dm_buffer_release(&text);
}

/* Ours must give strtod's bits for everything the server may send. */
static void test_floats(void **state)
{
    (void)state;
    srand(20261121);
    for (int i = 0; i < 200000; i++) {
        uint64_t bits = (uint64_t)rand() << 42 ^ (uint64_t)rand() << 21 ^ (uint64_t)rand();
        double d, back;
        memcpy(&d, &bits, sizeof d);
        if (i % 2 == 0)
            d = (double)(rand() % 100000) / 100;
        if (!isfinite(d))
            continue;
        char text[64];
        int n = snprintf(text, sizeof text, i % 3 == 0 ? "%.15g" : "%.17g", d);
        double wanted = strtod(text, NULL);
        assert_int_equal(pg_float8_from_text(text, (size_t)n, &back), PG_VALUE_OK);
        assert_memory_equal(&back, &wanted, sizeof back);
        float f = (float)d, g, wanted_f;
        if (!isfinite(f))
            continue;
        n = snprintf(text, sizeof text, "%.*g", i % 3 == 0 ? 6 : 9, (double)f);
        wanted_f = strtof(text, NULL);
        assert_int_equal(pg_float4_from_text(text, (size_t)n, &g), PG_VALUE_OK);
        assert_memory_equal(&g, &wanted_f, sizeof g);
    }
    double d;
    static const char *const bad[] = {"",    "-",   "1e", "nan", "0x10", "1.5 ",
                                      "inf", "1,5", "e5", "--1", "1e+-5"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        if (pg_float8_from_text(bad[i], strlen(bad[i]), &d) != PG_VALUE_MALFORMED)
            fprintf(stderr, "%s\n", bad[i]);
        assert_int_equal(pg_float8_from_text(bad[i], strlen(bad[i]), &d), PG_VALUE_MALFORMED);
    }
}

static void test_integers(void **state)
{
    (void)state;
    int64_t v;
    assert_int_equal(pg_int_from_text("-9223372036854775808", 20, INT64_MIN, INT64_MAX, &v), PG_VALUE_OK);
    assert_true(v == INT64_MIN);
    assert_int_equal(pg_int_from_text("9223372036854775807", 19, INT64_MIN, INT64_MAX, &v), PG_VALUE_OK);
    assert_int_equal(pg_int_from_text("9223372036854775808", 19, INT64_MIN, INT64_MAX, &v),
                     PG_VALUE_MALFORMED);
    assert_int_equal(pg_int_from_text("32768", 5, INT16_MIN, INT16_MAX, &v), PG_VALUE_MALFORMED);
    assert_int_equal(pg_int_from_text("", 0, INT16_MIN, INT16_MAX, &v), PG_VALUE_MALFORMED);
    assert_int_equal(pg_int_from_text("1x", 2, INT16_MIN, INT16_MAX, &v), PG_VALUE_MALFORMED);
}

/* Every day from 5000 BC to 12000: spelling and reading are inverse, and days follow each other. */
static void test_calendar(void **state)
{
    (void)state;
    int32_t first, last, back;
    assert_int_equal(pg_date_from_text("4714-11-24 BC", 13, &first), PG_VALUE_OK);
    assert_int_equal(first, -2440588); /* day 0 of the Julian day count */
    assert_int_equal(pg_date_from_text("12000-12-31", 11, &last), PG_VALUE_OK);
    for (int32_t day = first; day <= last; day++) {
        char text[64];
        (void)pg_date_spell(day, text, sizeof text);
        assert_int_equal(pg_date_from_text(text, strlen(text), &back), PG_VALUE_OK);
        assert_int_equal(back, day);
    }
    static const char *const bad[] = {"2020-13-01",  "2020-00-01", "2020-1-1", "20-01-01",
                                      "2020-01-01x", "",           "infinit",  "2020-01-01 AD"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(pg_date_from_text(bad[i], strlen(bad[i]), &back), PG_VALUE_MALFORMED);
}

static void test_moments(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t micros;
    } cases[] = {
        {"1970-01-01 00:00:00", 0},
        {"1969-12-31 23:59:59.999999", -1},
        {"1970-01-01 02:00:00.5+02", 500000},
        {"1970-01-01 00:00:00-00:00:01", 1000000},
        {"1970-01-01 05:30:00+05:30", 0},
        {"0001-01-01 00:00:00+00 BC", INT64_C(-62167219200000000)},
        {"infinity", INT64_MAX},
        {"-infinity", -INT64_MAX},
        {"294247-01-10 04:00:54.775806", INT64_MAX - 1},
    };
    int64_t v;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(pg_timestamp_from_text(cases[i].text, strlen(cases[i].text), &v), PG_VALUE_OK);
        if (v != cases[i].micros)
            fprintf(stderr, "%s\n", cases[i].text);
        assert_true(v == cases[i].micros);
    }
    assert_int_equal(pg_timestamp_from_text("294247-01-10 04:00:54.775807", 28, &v),
                     PG_VALUE_TIMESTAMP_RANGE);
    assert_int_equal(pg_timestamp_from_text("294247-01-10 04:00:54.775808", 28, &v),
                     PG_VALUE_TIMESTAMP_RANGE);
    assert_int_equal(pg_timestamp_from_text("2020-01-01", 10, &v), PG_VALUE_MALFORMED);
    assert_int_equal(pg_timestamp_from_text("2020-01-01 10:00", 16, &v), PG_VALUE_MALFORMED);
    uint8_t wire[8];
    dm_put_be64(wire, (uint64_t)(INT64_MAX - 1 - PG_EPOCH_MICROS));
    assert_int_equal(pg_timestamp_from_binary(wire, 8, &v), PG_VALUE_OK);
    assert_true(v == INT64_MAX - 1);
    dm_put_be64(wire, (uint64_t)(INT64_MAX - PG_EPOCH_MICROS));
    assert_int_equal(pg_timestamp_from_binary(wire, 8, &v), PG_VALUE_TIMESTAMP_RANGE);
}

struct seen {
    char text[256];
    size_t used;
};

static enum pg_value_result see(void *ctx, const char *text, size_t n)
{
    struct seen *s = ctx;
    s->used += (size_t)snprintf(s->text + s->used, sizeof s->text - s->used, "<%.*s>",
                                text != NULL ? (int)n : 1, text != NULL ? text : "~");
    return PG_VALUE_OK;
}

static void test_array_text(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        char delimiter;
        enum pg_value_result result;
        const char *elements;
    } cases[] = {
        {"{}", ',', PG_VALUE_OK, ""},
        {"{1,2}", ',', PG_VALUE_OK, "<1><2>"},
        {"{NULL,\"NULL\",null}", ',', PG_VALUE_OK, "<~><NULL><~>"},
        {"{\"a,b\",\"q\\\"\\\\\",\"\",\"{}\"}", ',', PG_VALUE_OK, "<a,b><q\"\\><><{}>"},
        {"{(0,0),(1,1);(2,2),(3,3)}", ';', PG_VALUE_OK, "<(0,0),(1,1)><(2,2),(3,3)>"},
        {"{{1},{2}}", ',', PG_VALUE_ARRAY_SHAPE, NULL},
        {"[0:1]={1,2}", ',', PG_VALUE_ARRAY_SHAPE, NULL},
        {"{1,}", ',', PG_VALUE_MALFORMED, NULL},
        {"{\"a}", ',', PG_VALUE_MALFORMED, NULL},
        {"{\"a\"b}", ',', PG_VALUE_MALFORMED, NULL},
        {"{a}b}", ',', PG_VALUE_MALFORMED, NULL},
        {"{a\\}", ',', PG_VALUE_MALFORMED, NULL},
        {"", ',', PG_VALUE_MALFORMED, NULL},
        {"{", ',', PG_VALUE_MALFORMED, NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct seen s = {{0}, 0};
        enum pg_value_result r =
            pg_array_text_each(cases[i].text, strlen(cases[i].text), cases[i].delimiter, see, &s);
        if (r != cases[i].result)
            fprintf(stderr, "%s\n", cases[i].text);
        assert_int_equal(r, cases[i].result);
        if (cases[i].elements != NULL)
            assert_string_equal(s.text, cases[i].elements);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_decimal_text), cmocka_unit_test(test_decimal_binary),
        cmocka_unit_test(test_floats),       cmocka_unit_test(test_integers),
        cmocka_unit_test(test_calendar),     cmocka_unit_test(test_moments),
        cmocka_unit_test(test_array_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
