#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "base/json_quote.h"

static struct dm_error err;

static void check(const char *bytes, size_t n, const char *expected)
{
    struct dm_buffer b;
    dm_buffer_init(&b, 4096);
    assert_int_equal(dm_json_quote(&b, bytes, n, &err), DM_OK);
    assert_string_equal(dm_buffer_text(&b), expected);
    dm_buffer_release(&b);
}

static void spelling(void **state)
{
    (void)state;
    check(NULL, 0, "\"\"");
    check("plain \xc3\xa4 \x7f", 10, "\"plain \xc3\xa4 \x7f\"");
    check("\"\\/", 3, "\"\\\"\\\\/\"");
    check("a\nb\t\0c", 6, "\"a\\u000ab\\u0009\\u0000c\"");
    check("\n", 1, "\"\\u000a\"");
    check("\xff", 1, "\"\xff\""); /* not its business */
}

/* Every character that there is in one byte comes back. */
static void is_json(void **state)
{
    (void)state;
    char all[127];
    struct dm_buffer b;
    dm_buffer_init(&b, 4096);
    for (int i = 0; i < 127; i++)
        all[i] = (char)(i + 1);
    assert_int_equal(dm_json_quote(&b, all, sizeof all, &err), DM_OK);
    json_t *back = json_loads(dm_buffer_text(&b), JSON_DECODE_ANY, NULL);
    assert_non_null(back);
    assert_int_equal(json_string_length(back), sizeof all);
    assert_memory_equal(json_string_value(back), all, sizeof all);
    json_decref(back);
    dm_buffer_release(&b);
}

static void limit(void **state)
{
    (void)state;
    static const char text[] = "ab\ncd";
    for (size_t max = 0; max < 12; max++) { /* "ab\u000acd" with its quotes is 12 bytes */
        struct dm_buffer b;
        dm_buffer_init(&b, max);
        assert_int_equal(dm_json_quote(&b, text, 5, &err), DM_FAIL);
        dm_buffer_release(&b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(spelling),
        cmocka_unit_test(is_json),
        cmocka_unit_test(limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
