#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "column/row_json.h"
#include "engine/change_unavailable.h"

static bool is(const char *text)
{
    const struct dm_change_options options = {.unavailable = "<not sent>"};
    return dm_change_unavailable(&options, text, strlen(text));
}

static void test_forms_of_the_placeholder(void **state)
{
    (void)state;
    assert_true(is(DM_UNAVAILABLE_VALUE));
    assert_true(is("X19kZWJleml1bV91bmF2YWlsYWJsZV92YWx1ZQ==")); /* what Debezium sends for bytea */
    assert_true(is("X19kZWJleml1bV91bmF2YWlsYWJsZV92YWx1ZQ"));
    assert_true(is("5f5f646562657a69756d5f756e617661696c61626c655f76616c7565"));
    assert_true(is("\\x5F5F646562657A69756D5F756E617661696C61626C655F76616C7565"));
    assert_true(is("[\"" DM_UNAVAILABLE_VALUE "\"]"));
    assert_true(is("[ "
                   "95,95,100,101,98,101,122,105,117,109,95,117,110,97,118,97,105,108,97,98,108,101,95,118,"
                   "97,108,117,101 ]"));
    assert_true(is("{\"" DM_UNAVAILABLE_VALUE "\": \"" DM_UNAVAILABLE_VALUE "\"}"));
    assert_true(is("<not sent>"));
    assert_true(is("[\"<not sent>\"]"));
    assert_true(is("PG5vdCBzZW50Pg=="));
}

static void test_what_only_resembles_it(void **state)
{
    (void)state;
    static const char *const texts[] = {"",
                                        "_",
                                        "__debezium_unavailable_valu",
                                        "__debezium_unavailable_values",
                                        "__Debezium_unavailable_value",
                                        "X19kZWJleml1bV91bmF2YWlsYWJsZV92YWx1ZR==",
                                        "5f5f646562657a69756d5f756e617661696c61626c655f76616c7566",
                                        "[]",
                                        "[\"" DM_UNAVAILABLE_VALUE "\",\"a\"]",
                                        "[\"a\",\"" DM_UNAVAILABLE_VALUE "\"]",
                                        "[[\"" DM_UNAVAILABLE_VALUE "\"]]",
                                        "[95,95,100]",
                                        "[\"" DM_UNAVAILABLE_VALUE "\"",
                                        "{\"" DM_UNAVAILABLE_VALUE "\": 1}",
                                        "{\"a\": \"" DM_UNAVAILABLE_VALUE "\"}",
                                        "{\"" DM_UNAVAILABLE_VALUE "\": \"" DM_UNAVAILABLE_VALUE
                                        "\", \"a\": 1}",
                                        "{\"" DM_UNAVAILABLE_VALUE "\": \"" DM_UNAVAILABLE_VALUE "\""};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        if (is(texts[i]))
            fail_msg("%s", texts[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_forms_of_the_placeholder),
        cmocka_unit_test(test_what_only_resembles_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
