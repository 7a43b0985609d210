/* Rows of the quarantine as lines that can be edited and taken in again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "mirror/quarantine/quarantine_line.h"

static const char *json_line(const char *raw, enum dm_op op, uint64_t raw_bytes, bool why)
{
    static struct dm_buffer out;
    struct dm_error err = {0};
    dm_buffer_release(&out);
    dm_buffer_init(&out, 1 << 16);
    const struct dm_quarantine_row row = {
        .id = 7, .reason = "wrong_type", .message = "a \"b\"", .raw = raw, .raw_bytes = raw_bytes, .op = op};
    assert_int_equal(dm_quarantine_line_json(&out, &row, why, &err), DM_OK);
    return dm_buffer_text(&out);
}

static void json_lines(void **state)
{
    (void)state;
    assert_string_equal(json_line("{\"a\": 1.50, \"b\": \"x\"}", DM_OP_UPDATE, 0, false),
                        "{\"a\": 1.50, \"b\": \"x\"}\n");
    assert_string_equal(json_line("{\"a\": 1}", DM_OP_DELETE, 0, false),
                        "{\"_change_request_type\": \"d\", \"a\": 1}\n");
    assert_string_equal(json_line("{\"a\": 1, \"_change_request_type\": \"D\"}", DM_OP_DELETE, 0, false),
                        "{\"a\": 1, \"_change_request_type\": \"D\"}\n"); /* it says so itself */
    assert_string_equal(json_line("{}", DM_OP_DELETE, 0, false), "{\"_change_request_type\": \"d\"}\n");
    assert_string_equal(json_line("{\n  \"a\":\r\n1}", DM_OP_UPDATE, 0, false), "{   \"a\":  1}\n");
    assert_string_equal(json_line("\"1,2,\\\"\"", DM_OP_UPDATE, 0, false),
                        "{\"_raw\": \"\\\"1,2,\\\\\\\"\\\"\"}\n");
    assert_string_equal(json_line("{\"a\": ", DM_OP_UPDATE, 0, false), "{\"_raw\": \"{\\\"a\\\": \"}\n");
    assert_string_equal(json_line("{\"a\": 1}", DM_OP_UPDATE, 99, false), "{\"_raw\": \"{\\\"a\\\": 1}\"}\n");
    assert_string_equal(json_line(NULL, DM_OP_UPDATE, 0, false), "{\"_raw\": \"\"}\n");
    assert_string_equal(json_line("{\"a\": 1}", DM_OP_UPDATE, 0, true),
                        "{\"_quarantine_id\": 7, \"_quarantine_reason\": \"wrong_type\", "
                        "\"_quarantine_message\": \"a \\\"b\\\"\", \"a\": 1}\n");
}

static struct dm_schema *schema_of_two(void)
{
    struct dm_schema *s = dm_schema_new();
    dm_schema_add(s, "id", dm_type_of(DM_INT64));
    dm_schema_add(s, "a,\"b\"", dm_type_of(DM_STRING));
    return s;
}

static const char *csv_line(const struct dm_schema *s, const char *raw, enum dm_op op, bool *no_object)
{
    static struct dm_buffer out;
    struct dm_error err = {0};
    dm_buffer_release(&out);
    dm_buffer_init(&out, 1 << 16);
    const struct dm_quarantine_row row = {.id = 7, .reason = "r", .message = "m", .raw = raw, .op = op};
    assert_int_equal(dm_quarantine_line_csv(&out, &row, s, false, false, no_object, &err), DM_OK);
    return dm_buffer_text(&out);
}

static void csv_lines(void **state)
{
    (void)state;
    struct dm_schema *s = schema_of_two();
    struct dm_error err = {0};
    struct dm_buffer header;
    bool none = false;
    dm_buffer_init(&header, 1 << 16);
    assert_int_equal(dm_quarantine_line_csv_header(&header, s, false, false, &err), DM_OK);
    assert_string_equal(dm_buffer_text(&header), "id,\"a,\"\"b\"\"\",_change_request_type\r\n");
    assert_string_equal(csv_line(s, "{\"a,\\\"b\\\"\": \"x\\ny\", \"id\": 1e5}", DM_OP_UPDATE, &none),
                        "1e5,\"x\ny\",\r\n");
    assert_false(none);
    assert_string_equal(csv_line(s, "{\"id\": null, \"a,\\\"b\\\"\": \"\"}", DM_OP_DELETE, &none),
                        ",\"\",d\r\n");
    assert_string_equal(
        csv_line(s, "{\"id\": [1, 2], \"other\": 3, \"_change_request_type\": \"u\"}", DM_OP_UPDATE, &none),
        "\"[1, 2]\",,u\r\n");
    assert_string_equal(csv_line(s, "{\"a,\\\"b\\\"\": \" x\", \"id\": \"\\u00e9\"}", DM_OP_UPDATE, &none),
                        "é,\" x\",\r\n");
    assert_string_equal(csv_line(s, "\"1,2,3\"", DM_OP_UPDATE, &none), "");
    assert_true(none);
    assert_string_equal(csv_line(s, "{\"id\": 1", DM_OP_UPDATE, &none), "");
    assert_true(none);
    dm_buffer_release(&header);
    dm_schema_unref(s);
}

static void a_full_buffer_is_an_error(void **state)
{
    (void)state;
    struct dm_error err = {0};
    struct dm_buffer out;
    dm_buffer_init(&out, 8);
    const struct dm_quarantine_row row = {.reason = "r", .message = "m", .raw = "{\"a\": 123456}"};
    assert_int_equal(dm_quarantine_line_json(&out, &row, false, &err), DM_FAIL);
    dm_buffer_release(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(json_lines),
        cmocka_unit_test(csv_lines),
        cmocka_unit_test(a_full_buffer_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
