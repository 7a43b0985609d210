/* Rows in quarantine by the names of now. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "mirror/quarantine/quarantine_names.h"

static const char *now(const char *raw, const char *then_fields, const char *now_fields)
{
    static struct dm_buffer out;
    struct dm_error err = {0};
    struct dm_schema *then = dm_quarantine_names_parse(then_fields);
    struct dm_schema *names = dm_quarantine_names_parse(now_fields);
    dm_buffer_release(&out);
    dm_buffer_init(&out, 1 << 16);
    assert_int_equal(dm_quarantine_names_translate(&out, raw, then, names, &err), DM_OK);
    dm_schema_unref(then);
    dm_schema_unref(names);
    return dm_buffer_text(&out);
}

static void renamed(void **state)
{
    (void)state;
    assert_string_equal(now("{\"a\": 1.50, \"b\": \"x\\n\"}", "{\"a\":1,\"b\":2}", "{\"b\":1,\"a\":2}"),
                        "{\"b\": 1.50, \"a\": \"x\\n\"}"); /* they changed names with each other */
    assert_string_equal(now("{\"\\u0061\": [1, {\"a\": 2}], \"_change_request_type\": \"d\"}", "{\"a\":1}",
                            "{\"n \\\" m\":1}"),
                        "{\"n \\\" m\": [1, {\"a\": 2}], \"_change_request_type\": \"d\"}");
    assert_string_equal(now("{\"A\": null}", "{\"a\":1}", "{\"b\":1}"), "{\"b\": null}");
}

static void gone(void **state)
{
    (void)state;
    assert_string_equal(now("{\"a\": 1, \"b\": 2}", "{\"a\":1,\"b\":2}", "{\"b\":2,\"a\":3}"), "{\"b\": 2}");
    assert_string_equal(now("{\"a\": 1}", "{\"a\":1}", "{\"b\":2}"), "{}");
}

/* What was no column's: it is not taken for one that has the name now, unless that is a new column. */
static void of_no_column(void **state)
{
    (void)state;
    assert_string_equal(now("{\"a\": 1, \"b\": 2}", "{\"a\":1}", "{\"b\":1}"), "{\"b\": 1}");
    assert_string_equal(now("{\"a\": 1, \"b\": 2}", "{\"a\":1}", "{\"c\":1,\"b\":2}"),
                        "{\"c\": 1, \"b\": 2}");
}

static void events(void **state)
{
    (void)state;
    assert_string_equal(
        now("{\"op\": \"u\", \"before\": null, \"after\": {\"a\": 1}, \"source\": {\"a\": 2}}", "{\"a\":1}",
            "{\"b\":1}"),
        "{\"op\": \"u\", \"before\": null, \"after\": {\"b\": 1}, \"source\": {\"a\": 2}}");
    assert_string_equal(now("{\"payload\": {\"before\": {\"a\": 1}}}", "{\"a\":1}", "{\"b\":1}"),
                        "{\"payload\": {\"before\": {\"b\": 1}}}");
}

static void no_objects(void **state)
{
    (void)state;
    assert_string_equal(now("\"1,2\"", "{\"a\":1}", "{\"b\":1}"), "\"1,2\"");
    assert_string_equal(now("{\"a\": ", "{\"a\":1}", "{\"b\":1}"), "{\"a\": ");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(renamed), cmocka_unit_test(gone),       cmocka_unit_test(of_no_column),
        cmocka_unit_test(events),  cmocka_unit_test(no_objects),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
