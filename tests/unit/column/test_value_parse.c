#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <math.h>
#include <cmocka.h>

#include "base/calendar.h"
#include "base/memory.h"
#include "column/key.h"
#include "column/value_parse.h"
#include "column/value_parse_time.h"

#define DECIMAL(p, s) dm_type_decimal(p, s)
#define TYPE(id) dm_type_of(id)

/* What the text is as a value, spelled by dm_key_text; or "reason". To be freed. */
static char *parsed(struct dm_type type, const char *text, size_t n)
{
    struct dm_schema *schema = dm_schema_new();
    dm_schema_add(schema, "v", type);
    dm_schema_add_key(schema, 0);
    struct dm_batch *b = dm_batch_new(schema);
    struct dm_value_problem problem = {0};
    char out[400];
    char *exact = malloc(n + 1); /* so that a read behind the text is seen by the sanitizer */
    assert_non_null(exact);
    if (n > 0)
        memcpy(exact, text, n);
    if (dm_value_parse(&b->columns[0], exact, n, &problem)) {
        dm_batch_end_row(b, DM_OP_UPDATE);
        (void)dm_key_text(b, 0, out, sizeof out);
    } else {
        assert_int_equal(b->columns[0].length, 0);
        assert_non_null(problem.reason);
        assert_true(strlen(problem.message) > 5);
        snprintf(out, sizeof out, "%s", problem.reason);
    }
    free(exact);
    dm_batch_free(b);
    dm_schema_unref(schema);
    return dm_xstrdup(out);
}

static void check(struct dm_type type, const char *text, const char *expected, int line)
{
    char *found = parsed(type, text, strlen(text));
    if (strcmp(found, expected) != 0) {
        char name[32];
        fail_msg("line %d: \"%s\" as %s is %s, not %s", line, text, dm_type_name(type, name, sizeof name),
                 found, expected);
    }
    free(found);
}
#define CHECK(type, text, expected) check(type, text, expected, __LINE__)
#define WRONG "wrong_type"
#define BEYOND "value_out_of_range"

static void integers(void **state)
{
    (void)state;
    CHECK(TYPE(DM_INT32), "0", "0");
    CHECK(TYPE(DM_INT32), "-0", "0");
    CHECK(TYPE(DM_INT32), "+7", "7");
    CHECK(TYPE(DM_INT32), "007", "7");
    CHECK(TYPE(DM_INT32), " 42 ", "42");
    CHECK(TYPE(DM_INT32), "2147483647", "2147483647");
    CHECK(TYPE(DM_INT32), "2147483648", BEYOND);
    CHECK(TYPE(DM_INT32), "-2147483648", "-2147483648");
    CHECK(TYPE(DM_INT32), "-2147483649", BEYOND);
    CHECK(TYPE(DM_INT64), "9223372036854775807", "9223372036854775807");
    CHECK(TYPE(DM_INT64), "9223372036854775808", BEYOND);
    CHECK(TYPE(DM_INT64), "-9223372036854775808", "-9223372036854775808");
    CHECK(TYPE(DM_INT64), "-9223372036854775809", BEYOND);
    CHECK(TYPE(DM_INT64), "999999999999999999", "999999999999999999");
    CHECK(TYPE(DM_INT64), "123456789012345678901234567890123456789012345678901234567890", BEYOND);
    CHECK(TYPE(DM_INT32), "12.00", "12");
    CHECK(TYPE(DM_INT32), "1e3", "1000");
    CHECK(TYPE(DM_INT32), "1500e-2", "15");
    CHECK(TYPE(DM_INT32), "1.9", BEYOND); /* DuckDB casts this to 2 */
    CHECK(TYPE(DM_INT32), "0.5", BEYOND);
    CHECK(TYPE(DM_INT32), "1e99999999999999999999", BEYOND);
    CHECK(TYPE(DM_INT32), "0e99999999999999999999", "0");
    CHECK(TYPE(DM_INT32), "", WRONG);
    CHECK(TYPE(DM_INT32), "-", WRONG);
    CHECK(TYPE(DM_INT32), ".", WRONG);
    CHECK(TYPE(DM_INT32), "1e", WRONG);
    CHECK(TYPE(DM_INT32), "1e+", WRONG);
    CHECK(TYPE(DM_INT32), "--1", WRONG);
    CHECK(TYPE(DM_INT32), "1 2", WRONG);
    CHECK(TYPE(DM_INT32), "1,000", WRONG);
    CHECK(TYPE(DM_INT32), "0x10", WRONG);
    CHECK(TYPE(DM_INT32), "12a", WRONG);
    CHECK(TYPE(DM_INT32), "true", WRONG);
    CHECK(TYPE(DM_INT64), "\xd9\xa1", WRONG); /* an Arabic digit */
}

static void decimals(void **state)
{
    (void)state;
    CHECK(DECIMAL(10, 2), "1.5", "1.50");
    CHECK(DECIMAL(10, 2), "-1.50", "-1.50");
    CHECK(DECIMAL(10, 2), ".5", "0.50");
    CHECK(DECIMAL(10, 2), "5.", "5.00");
    CHECK(DECIMAL(10, 2), "1.500000", "1.50");
    CHECK(DECIMAL(10, 2), "1.505", BEYOND);
    CHECK(DECIMAL(10, 2), "99999999.99", "99999999.99");
    CHECK(DECIMAL(10, 2), "100000000", BEYOND);
    CHECK(DECIMAL(10, 2), "100000000.00", BEYOND);
    CHECK(DECIMAL(10, 2), "-99999999.99", "-99999999.99");
    CHECK(DECIMAL(10, 2), "0000000000000000000000001.5", "1.50");
    CHECK(DECIMAL(10, 2), "15e-1", "1.50");
    CHECK(DECIMAL(10, 2), "1.5E2", "150.00");
    CHECK(DECIMAL(10, 2), "1e-3", BEYOND);
    CHECK(DECIMAL(38, 0), "99999999999999999999999999999999999999", "99999999999999999999999999999999999999");
    CHECK(DECIMAL(38, 0), "100000000000000000000000000000000000000", BEYOND);
    CHECK(DECIMAL(38, 0), "1e37", "10000000000000000000000000000000000000");
    CHECK(DECIMAL(38, 0), "1e38", BEYOND);
    CHECK(DECIMAL(38, 38), "0.12345678901234567890123456789012345678",
          "0.12345678901234567890123456789012345678");
    CHECK(DECIMAL(38, 38), "1", BEYOND);
    CHECK(DECIMAL(38, 18), "12345678901234567890.123456789012345678",
          "12345678901234567890.123456789012345678");
    CHECK(DECIMAL(38, 18), "12345678901234567890.1234567890123456789", BEYOND);
    CHECK(DECIMAL(38, 18), "123456789012345678901", BEYOND);
    CHECK(DECIMAL(1, 1), "0.1", "0.1");
    CHECK(DECIMAL(5, 2), "NaN", WRONG);
    CHECK(DECIMAL(5, 2), "1.2.3", WRONG);
    CHECK(DECIMAL(5, 2), "$5", WRONG);
}

static void floats(void **state)
{
    (void)state;
    CHECK(TYPE(DM_FLOAT64), "1.5", "1.5");
    CHECK(TYPE(DM_FLOAT64), "-0", "-0");
    CHECK(TYPE(DM_FLOAT64), "1e300", "1e+300");
    CHECK(TYPE(DM_FLOAT64), "1.7976931348623157e308", "1.7976931348623157e+308");
    CHECK(TYPE(DM_FLOAT64), "1.8e308", BEYOND);
    CHECK(TYPE(DM_FLOAT64), "5e-324", "4.94065645841247e-324");
    CHECK(TYPE(DM_FLOAT64), "1e-400", BEYOND);
    CHECK(TYPE(DM_FLOAT64), "0e-400", "0");
    CHECK(TYPE(DM_FLOAT64), "NaN", "nan");
    CHECK(TYPE(DM_FLOAT64), "Infinity", "inf");
    CHECK(TYPE(DM_FLOAT64), "-inf", "-inf");
    CHECK(TYPE(DM_FLOAT64), "nan(1)", WRONG);
    CHECK(TYPE(DM_FLOAT64), "0x1p3", WRONG);
    CHECK(TYPE(DM_FLOAT64), "1.5f", WRONG);
    CHECK(TYPE(DM_FLOAT32), "0.1", "0.1");
    CHECK(TYPE(DM_FLOAT32), "3.4028235e38", "3.4028235e+38");
    CHECK(TYPE(DM_FLOAT32), "3.5e38", BEYOND);
    CHECK(TYPE(DM_FLOAT32), "16777217", "16777216"); /* the nearest: 24 bits */
}

/* The fast way and the library's must give the same bits. */
static void floats_are_the_nearest(void **state)
{
    (void)state;
    unsigned seed = 4711;
    for (int i = 0; i < 200000; i++) {
        char text[64];
        uint64_t digits = (uint64_t)rand_r(&seed) * (uint64_t)rand_r(&seed);
        int keep = (int)((unsigned)rand_r(&seed) % 19);
        for (int k = 0; k < keep; k++)
            digits /= 10;
        int exponent = (int)((unsigned)rand_r(&seed) % 60) - 30;
        snprintf(text, sizeof text, "%s%llue%d", i % 2 ? "-" : "", (unsigned long long)digits, exponent);
        double d = 0;
        float f = 0;
        assert_int_equal(dm_parse_float64(text, strlen(text), &d), DM_PARSED);
        double expected = strtod(text, NULL);
        if (memcmp(&d, &expected, sizeof d) != 0)
            fail_msg("%s: %.17g, not %.17g", text, d, expected);
        float single = strtof(text, NULL);
        enum dm_parsed status = dm_parse_float32(text, strlen(text), &f);
        if (isinf(single) || (single == 0 && digits != 0))
            assert_int_equal(status, DM_PARSED_BEYOND);
        else if (status != DM_PARSED || memcmp(&f, &single, sizeof f) != 0)
            fail_msg("%s: %.9g, not %.9g", text, (double)f, (double)single);
    }
}

static void dates(void **state)
{
    (void)state;
    CHECK(TYPE(DM_DATE), "1970-01-01", "1970-01-01");
    CHECK(TYPE(DM_DATE), "2024-02-29", "2024-02-29");
    CHECK(TYPE(DM_DATE), "2023-02-29", BEYOND);
    CHECK(TYPE(DM_DATE), "1900-02-29", BEYOND);
    CHECK(TYPE(DM_DATE), "2000-02-29", "2000-02-29");
    CHECK(TYPE(DM_DATE), "2024-13-01", BEYOND);
    CHECK(TYPE(DM_DATE), "2024-00-01", BEYOND);
    CHECK(TYPE(DM_DATE), "2024-04-31", BEYOND);
    CHECK(TYPE(DM_DATE), "0001-01-01", "0001-01-01");
    CHECK(TYPE(DM_DATE), "-0044-03-15", "-0044-03-15");
    CHECK(TYPE(DM_DATE), "+12026-11-21", "12026-11-21");
    CHECK(TYPE(DM_DATE), "12026-11-21", WRONG);
    CHECK(TYPE(DM_DATE), "+9999999-01-01", BEYOND);
    CHECK(TYPE(DM_DATE), "infinity", "infinity");
    CHECK(TYPE(DM_DATE), "-infinity", "-infinity");
    CHECK(TYPE(DM_DATE), "2024-01-01T00:00:00", "2024-01-01");
    CHECK(TYPE(DM_DATE), "2024-01-01 00:00:01", BEYOND);
    CHECK(TYPE(DM_DATE), "2024-01-01T00:00:00Z", WRONG);
    CHECK(TYPE(DM_DATE), "01/02/2024", WRONG);
    CHECK(TYPE(DM_DATE), "20240101", WRONG);
    CHECK(TYPE(DM_DATE), "2024-1-1", WRONG);
    CHECK(TYPE(DM_DATE), "2024-01-01x", WRONG);
    CHECK(TYPE(DM_DATE), "2024-01", WRONG);
    CHECK(TYPE(DM_DATE), "24-01-01", WRONG);
}

static void times(void **state)
{
    (void)state;
    CHECK(TYPE(DM_TIME), "10:05", "10:05:00");
    CHECK(TYPE(DM_TIME), "23:59:59.999999", "23:59:59.999999");
    CHECK(TYPE(DM_TIME), "23:59:59.999999000", "23:59:59.999999");
    CHECK(TYPE(DM_TIME), "23:59:59.9999991", BEYOND);
    CHECK(TYPE(DM_TIME), "10:05:59,5", "10:05:59.500000");
    CHECK(TYPE(DM_TIME), "24:00:00", "24:00:00");
    CHECK(TYPE(DM_TIME), "24:00:01", BEYOND);
    CHECK(TYPE(DM_TIME), "25:00", BEYOND);
    CHECK(TYPE(DM_TIME), "10:60", BEYOND);
    CHECK(TYPE(DM_TIME), "10:05:60", BEYOND);
    CHECK(TYPE(DM_TIME), "10:05:59.", WRONG);
    CHECK(TYPE(DM_TIME), "10", WRONG);
    CHECK(TYPE(DM_TIME), "10:05Z", WRONG);
    CHECK(TYPE(DM_TIME), "10:05:59 PM", WRONG);
}

static void timestamps(void **state)
{
    (void)state;
    struct dm_type ts = TYPE(DM_TIMESTAMP), tz = TYPE(DM_TIMESTAMPTZ);
    CHECK(ts, "2026-11-21T10:05:59.123456", "2026-11-21T10:05:59.123456");
    CHECK(ts, "2026-11-21 10:05:59", "2026-11-21T10:05:59");
    CHECK(ts, "2026-11-21t10:05", "2026-11-21T10:05:00");
    CHECK(ts, "2026-11-21", "2026-11-21T00:00:00");
    CHECK(ts, "1969-12-31T23:59:59.999999", "1969-12-31T23:59:59.999999");
    CHECK(ts, "2026-11-21T10:05:59Z", WRONG);
    CHECK(ts, "2026-11-21T10:05:59+02", WRONG);
    CHECK(ts, "2026-11-21T24:00:00", BEYOND);
    CHECK(ts, "2026-11-21T10:05:59.1234567", BEYOND);
    CHECK(ts, "2026-11-21T10:05:59.123456700", BEYOND);
    CHECK(ts, "2026-11-21T10:05:59.123456000", "2026-11-21T10:05:59.123456");
    CHECK(ts, "2026-02-30T10:05:59", BEYOND);
    CHECK(ts, "2026-11-21X10:05:59", WRONG);
    CHECK(ts, "2026-11-21T", WRONG);
    CHECK(ts, "1700000000", WRONG);
    CHECK(tz, "2026-11-21T10:05:59Z", "2026-11-21T10:05:59Z");
    CHECK(tz, "2026-11-21T10:05:59", "2026-11-21T10:05:59Z");
    CHECK(tz, "2026-11-21T10:05:59+02", "2026-11-21T08:05:59Z");
    CHECK(tz, "2026-11-21T10:05:59+02:30", "2026-11-21T07:35:59Z");
    CHECK(tz, "2026-11-21T10:05:59-0230", "2026-11-21T12:35:59Z");
    CHECK(tz, "2026-11-21 10:05:59.000 +0000", "2026-11-21T10:05:59Z");
    CHECK(tz, "2026-11-21 10:05:59 UTC", "2026-11-21T10:05:59Z");
    CHECK(tz, "2026-11-21T10:05:59+24:00", BEYOND);
    CHECK(tz, "2026-11-21T10:05:59+2", WRONG);
    CHECK(tz, "2026-11-21T10:05:59 CET", WRONG);
    CHECK(tz, "2026-11-21T10:05:59+02:00x", WRONG);
    CHECK(tz, "infinity", "infinity");
    CHECK(ts, "-Infinity", "-infinity");
    /* the ends of 64 bits of microseconds; the extreme integers mean infinity and are no moments */
    CHECK(ts, "+294247-01-10T04:00:54.775806", "294247-01-10T04:00:54.775806");
    CHECK(ts, "+294247-01-10T04:00:54.775807", BEYOND);
    CHECK(ts, "-290308-12-21T19:59:05.224194", "-290308-12-21T19:59:05.224194");
    CHECK(ts, "-290308-12-21T19:59:05.224193", BEYOND);
    CHECK(ts, "+9999999-01-01T00:00:00", BEYOND);
}

static void nanoseconds(void **state)
{
    (void)state;
    struct dm_type ns = TYPE(DM_TIMESTAMP_NS);
    CHECK(ns, "2026-11-21T10:05:59.123456789", "2026-11-21T10:05:59.123456789");
    CHECK(ns, "2026-11-21 10:05:59,000000001", "2026-11-21T10:05:59.000000001");
    CHECK(ns, "2026-11-21T10:05:59.1234567", "2026-11-21T10:05:59.123456700");
    CHECK(ns, "2026-11-21T10:05:59.123", "2026-11-21T10:05:59.123000000");
    CHECK(ns, "2026-11-21T10:05:59", "2026-11-21T10:05:59");
    CHECK(ns, "2026-11-21", "2026-11-21T00:00:00");
    CHECK(ns, "2026-11-21T10:05:59.123456789000", "2026-11-21T10:05:59.123456789");
    CHECK(ns, "2026-11-21T10:05:59.1234567891", BEYOND);
    CHECK(ns, "1969-12-31T23:59:59.999999999", "1969-12-31T23:59:59.999999999");
    /* with a zone: that moment in UTC */
    CHECK(ns, "2026-11-21T10:05:59.000000001Z", "2026-11-21T10:05:59.000000001");
    CHECK(ns, "2026-11-21T10:05:59.000000001+02:00", "2026-11-21T08:05:59.000000001");
    CHECK(ns, "2026-11-21 22:05:59.000000001 -0230", "2026-11-22T00:35:59.000000001");
    CHECK(ns, "2026-11-21T10:05:59 CET", WRONG);
    CHECK(ns, "2026-11-21T24:00:00", BEYOND);
    CHECK(ns, "1700000000000000000", WRONG);
    CHECK(ns, "infinity", "infinity");
    CHECK(ns, "-infinity", "-infinity");
    /* the ends of 64 bits of nanoseconds; the zone counts */
    CHECK(ns, "2262-04-11T23:47:16.854775806", "2262-04-11T23:47:16.854775806");
    CHECK(ns, "2262-04-11T23:47:16.854775807", BEYOND);
    CHECK(ns, "2262-04-11T23:47:16.854775807+01", "2262-04-11T22:47:16.854775807");
    CHECK(ns, "2262-04-11T23:47:16-01", BEYOND);
    CHECK(ns, "1677-09-21T00:12:43.145224194", "1677-09-21T00:12:43.145224194");
    CHECK(ns, "1677-09-21T00:12:43.145224193", BEYOND);
    CHECK(ns, "9999-12-31", BEYOND);
    CHECK(ns, "0001-01-01T00:00:00", BEYOND);
    CHECK(ns, "+9999999-01-01T00:00:00", BEYOND);
    CHECK(dm_type_list(ns), "[\"2026-11-21T10:05:59.123456789Z\", null]",
          "[2026-11-21T10:05:59.123456789, null]");
}

/* Every day of some centuries, there and back. */
static void calendar(void **state)
{
    (void)state;
    int64_t expected = -800000;
    for (int64_t days = -800000; days < 800000; days++) {
        int64_t year;
        unsigned month, day;
        dm_date_of(days, &year, &month, &day);
        char text[32];
        snprintf(text, sizeof text, "%s%04lld-%02u-%02u", year < 0 ? "-" : "",
                 (long long)(year < 0 ? -year : year), month, day);
        int32_t back;
        if (dm_parse_date(text, strlen(text), &back) != DM_PARSED || back != expected++)
            fail_msg("day %lld is %s", (long long)days, text);
    }
}

static void others(void **state)
{
    (void)state;
    CHECK(TYPE(DM_BOOL), "true", "true");
    CHECK(TYPE(DM_BOOL), "F", "false");
    CHECK(TYPE(DM_BOOL), "Yes", "true");
    CHECK(TYPE(DM_BOOL), "0", "false");
    CHECK(TYPE(DM_BOOL), "2", WRONG);
    CHECK(TYPE(DM_BOOL), "on", WRONG);
    CHECK(TYPE(DM_BOOL), "", WRONG);
    CHECK(TYPE(DM_UUID), "00112233-4455-6677-8899-AABBCCDDEEFF", "00112233-4455-6677-8899-aabbccddeeff");
    CHECK(TYPE(DM_UUID), "00112233445566778899aabbccddeeff", "00112233-4455-6677-8899-aabbccddeeff");
    CHECK(TYPE(DM_UUID), "00112233-4455-6677-8899-aabbccddeef", WRONG);
    CHECK(TYPE(DM_UUID), "0011-22334455-6677-8899-aabbccddeeff", WRONG);
    CHECK(TYPE(DM_UUID), "g0112233445566778899aabbccddeeff", WRONG);
    CHECK(TYPE(DM_BINARY), "\\x00fF", "x'00ff'");
    CHECK(TYPE(DM_BINARY), "00ff", "x'00ff'");
    CHECK(TYPE(DM_BINARY), "", "x''");
    CHECK(TYPE(DM_BINARY), "0", WRONG);
    CHECK(TYPE(DM_BINARY), "zz", WRONG);
    CHECK(TYPE(DM_STRING), "", "\"\"");
    CHECK(TYPE(DM_STRING), " a\"b ", "\" a\\\"b \"");
    CHECK(TYPE(DM_STRING), "\xf0\x9f\x98\x80", "\"\xf0\x9f\x98\x80\"");
    CHECK(TYPE(DM_STRING), "\xff", "invalid_utf8");
    CHECK(TYPE(DM_STRING), "\xed\xa0\x80", "invalid_utf8"); /* half of a surrogate pair */
    CHECK(TYPE(DM_STRING), "\xc0\x80", "invalid_utf8");
}

static void lists(void **state)
{
    (void)state;
    struct dm_type ints = dm_type_list(TYPE(DM_INT32)), texts = dm_type_list(TYPE(DM_STRING)),
                   decimals_ = dm_type_list(DECIMAL(5, 2));
    CHECK(ints, "[]", "[]");
    CHECK(ints, "[1, null, -3]", "[1, null, -3]");
    CHECK(ints, " [1,2] ", "[1, 2]");
    CHECK(ints, "[1,]", WRONG);
    CHECK(ints, "[1", WRONG);
    CHECK(ints, "[1] 2", WRONG);
    CHECK(ints, "{}", WRONG);
    CHECK(ints, "1", WRONG);
    CHECK(ints, "[1.5]", BEYOND);
    CHECK(ints, "[1, 3000000000]", BEYOND);
    CHECK(ints, "[[1]]", WRONG);
    CHECK(ints, "[\"1\"]", "[1]");
    CHECK(texts, "[\"a\\u00e9\\n\", \"\", null]", "[\"a\xc3\xa9\\u000a\", \"\", null]");
    CHECK(texts, "[\"\\ud800\"]", "invalid_utf8");
    CHECK(texts, "[\"\\ud83d\\ude00\"]", "[\"\xf0\x9f\x98\x80\"]");
    CHECK(decimals_, "[1.10, 12345678901234567890]", BEYOND);
    CHECK(decimals_, "[1.10]", "[1.10]");
}

/* A list that fails half-way leaves no elements behind. */
static void failed_list_leaves_nothing(void **state)
{
    (void)state;
    struct dm_column c;
    dm_column_init(&c, dm_type_list(TYPE(DM_INT32)));
    struct dm_value_problem problem;
    assert_true(dm_value_parse(&c, "[1,2]", 5, &problem));
    assert_false(dm_value_parse(&c, "[3,4,x]", 7, &problem));
    assert_false(dm_value_parse(&c, "[3,4,\"x\"]", 9, &problem));
    assert_true(dm_value_parse(&c, "[5]", 3, &problem));
    assert_int_equal(c.length, 2);
    assert_int_equal(c.child->length, 3);
    assert_int_equal(dm_column_int32(c.child, 2), 5);
    dm_column_release(&c);
}

static void message_names_the_value(void **state)
{
    (void)state;
    struct dm_column c;
    dm_column_init(&c, TYPE(DM_INT32));
    struct dm_value_problem problem;
    assert_false(dm_value_parse(&c, "ab\n\xff", 4, &problem));
    assert_string_equal(problem.message, "\"ab\\x0a\\xff\" is not an integer");
    char longer[200];
    memset(longer, 'x', sizeof longer);
    memcpy(longer + 58, "\xe2\x82\xac", 3); /* the cut would be in the middle of this character */
    assert_false(dm_value_parse(&c, longer, sizeof longer, &problem));
    assert_null(strstr(problem.message, "\xe2\x82\xac"));
    assert_non_null(strstr(problem.message, "…"));
    dm_column_release(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(integers),
        cmocka_unit_test(decimals),
        cmocka_unit_test(floats),
        cmocka_unit_test(floats_are_the_nearest),
        cmocka_unit_test(dates),
        cmocka_unit_test(times),
        cmocka_unit_test(timestamps),
        cmocka_unit_test(nanoseconds),
        cmocka_unit_test(calendar),
        cmocka_unit_test(others),
        cmocka_unit_test(lists),
        cmocka_unit_test(failed_list_leaves_nothing),
        cmocka_unit_test(message_names_the_value),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
