/* A row as JSON: every type, exact, and nothing lost. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <jansson.h>

#include "column/row_json.h"

static struct dm_error err;

static void expect(const struct dm_batch *b, size_t row, const char *expected)
{
    struct dm_buffer out;
    dm_buffer_init(&out, 1 << 20);
    assert_int_equal(dm_row_json(b, row, &out, &err), DM_OK);
    assert_int_equal(dm_buffer_append_byte(&out, 0, &err), DM_OK);
    assert_string_equal((const char *)out.data, expected);
    json_t *parsed = json_loads((const char *)out.data, 0, NULL); /* it is JSON */
    assert_non_null(parsed);
    json_decref(parsed);
    dm_buffer_release(&out);
}

static void text(struct dm_column *c, const char *bytes, size_t n)
{
    assert_int_equal(dm_column_append_bytes(c, bytes, n, &err), DM_OK);
}

static void test_every_type(void **state)
{
    (void)state;
    struct dm_schema *s = dm_schema_new();
    static const enum dm_type_id ids[] = {DM_BOOL,      DM_INT32,       DM_INT64,  DM_FLOAT32,
                                          DM_FLOAT64,   DM_DATE,        DM_TIME,   DM_STRING,
                                          DM_TIMESTAMP, DM_TIMESTAMPTZ, DM_BINARY, DM_UUID};
    const int64_t ns = 1714557600000000001;
    static const char *const names[] = {"b", "i", "l", "f", "d", "day", "time", "s", "ts", "tz", "bin", "id"};
    for (size_t i = 0; i < 12; i++)
        dm_schema_add(s, names[i], dm_type_of(ids[i]));
    dm_schema_add(s, "dec", dm_type_decimal(38, 4));
    dm_schema_add(s, "li\"st", dm_type_list(dm_type_of(DM_STRING)));
    dm_schema_add(s, "ns", dm_type_of(DM_TIMESTAMP_NS));
    dm_schema_add_key(s, 1);
    struct dm_batch *b = dm_batch_new(s);
    const uint8_t yes = 1;
    const int32_t i = INT32_MIN, day = 19844;
    const int64_t l = INT64_MAX, time = 3723000001, ts = 1714557600000000, tz = 1714557600500000;
    const float f = 0.1f;
    const double d = 0.1;
    const uint8_t uuid[16] = {0x12, 0x34, 0x56, 0x78, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};
    dm_int128 dec = 1;
    for (int n = 0; n < 37; n++)
        dec = dec * 10 + n % 10;
    dec = -dec;
    const void *const fixed[] = {&yes, &i, &l, &f, &d, &day, &time, NULL, &ts, &tz, NULL, uuid, &dec};
    for (size_t c = 0; c < 13; c++)
        if (fixed[c] != NULL)
            dm_column_append_fixed(&b->columns[c], fixed[c]);
    text(&b->columns[7], "a\"\\\n\x01\xc3\xa4", 7);
    text(&b->columns[10], "\x00\xff", 2);
    text(b->columns[13].child, "x", 1);
    dm_column_append_null(b->columns[13].child);
    dm_column_close_list(&b->columns[13]);
    dm_column_append_fixed(&b->columns[14], &ns);
    dm_batch_end_row(b, DM_OP_UPDATE);
    expect(b, 0,
           "{\"_change_request_type\": \"u\", \"b\": true, \"i\": -2147483648, \"l\": 9223372036854775807, "
           "\"f\": 0.1, \"d\": 0.1, \"day\": \"2024-05-01\", \"time\": \"01:02:03.000001\", "
           "\"s\": \"a\\\"\\\\\\u000a\\u0001\xc3\xa4\", \"ts\": \"2024-05-01T10:00:00\", "
           "\"tz\": \"2024-05-01T10:00:00.500000Z\", \"bin\": \"\\\\x00ff\", "
           "\"id\": \"12345678-0102-0304-0506-0708090a0b0c\", "
           "\"dec\": -1012345678901234567890123456789012.3456, \"li\\\"st\": [\"x\", null], "
           "\"ns\": \"2024-05-01T10:00:00.000000001\"}");
    const double odd[] = {NAN, INFINITY, -INFINITY};
    static const char *const odd_text[] = {"NaN", "Infinity", "-Infinity"};
    for (size_t n = 0; n < 3; n++) {
        for (size_t c = 0; c < 15; c++)
            if (c == 4)
                dm_column_append_fixed(&b->columns[c], &odd[n]);
            else
                dm_column_append_unchanged(&b->columns[c]);
        dm_batch_end_row(b, DM_OP_DELETE);
        char expected[1024] = "{\"_change_request_type\": \"d\"";
        for (size_t c = 0; c < 15; c++)
            (void)snprintf(expected + strlen(expected), sizeof expected - strlen(expected),
                           ", \"%s\": \"%s\"", c == 13 ? "li\\\"st" : s->fields[c].name,
                           c == 4 ? odd_text[n] : DM_UNAVAILABLE_VALUE);
        (void)snprintf(expected + strlen(expected), sizeof expected - strlen(expected), "}");
        expect(b, n + 1, expected);
    }
    dm_batch_free(b);
    dm_schema_unref(s);
}

static void test_full_buffer(void **state)
{
    (void)state;
    struct dm_schema *s = dm_schema_new();
    dm_schema_add(s, "s", dm_type_of(DM_STRING));
    dm_schema_add_key(s, 0);
    struct dm_batch *b = dm_batch_new(s);
    text(&b->columns[0], "0123456789", 10);
    dm_batch_end_row(b, DM_OP_UPDATE);
    static const char whole[] = "{\"_change_request_type\": \"u\", \"s\": \"0123456789\"}";
    for (size_t max = 1; max < sizeof whole + 3; max++) {
        struct dm_buffer out;
        dm_buffer_init(&out, max);
        enum dm_status status = dm_row_json(b, 0, &out, &err);
        assert_int_equal(status, max >= sizeof whole - 1 ? DM_OK : DM_FAIL);
        dm_buffer_release(&out);
    }
    dm_batch_free(b);
    dm_schema_unref(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_every_type), cmocka_unit_test(test_full_buffer)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
