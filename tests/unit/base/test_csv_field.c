/* Fields of CSV: quotes, and what a spreadsheet would run. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/csv_field.h"

static void is(const char *text, bool sheet, const char *expected)
{
    struct dm_error err = {0};
    struct dm_buffer b;
    dm_buffer_init(&b, 4096);
    assert_int_equal(dm_csv_field(&b, text, strlen(text), sheet, &err), DM_OK);
    assert_string_equal(dm_buffer_text(&b), expected);
    dm_buffer_release(&b);
}

static void fields(void **state)
{
    (void)state;
    is("", false, "\"\"");
    is("plain text", false, "plain text");
    is(" a", false, "\" a\"");
    is("a\"b,c\n", false, "\"a\"\"b,c\n\"");
    is("=1+1", false, "=1+1");
}

static void sheets(void **state)
{
    (void)state;
    static const char *const same[] = {"a=1", "-77", "+1.5", "-1e9", "-1.25E-07", "2026-01-01", "a", "'=1"};
    for (size_t i = 0; i < sizeof same / sizeof *same; i++)
        is(same[i], true, same[i]);
    is("=1+1", true, "'=1+1");
    is("=a,b", true, "\"'=a,b\"");
    is("-1+cmd", true, "'-1+cmd");
    is("-", true, "'-");
    is("-1e", true, "'-1e");
    is("@x", true, "'@x");
    is("+49 30", true, "'+49 30");
    is("\t=1", true, "'\t=1");
    is("\r=1", true, "\"'\r=1\"");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(fields), cmocka_unit_test(sheets)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
