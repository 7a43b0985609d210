#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/json_shorten.h"

static void check(const char *in, const char *out)
{
    char text[256];
    (void)snprintf(text, sizeof text, "%s", in);
    assert_string_equal(dm_json_shorten(text), out);
}

static void numbers_have_no_noise(void **state)
{
    (void)state;
    check("{\"a\":0.051617000000000003,\"b\":[1.0,-2.5,0.10000000000000001]}",
          "{\"a\":0.051617,\"b\":[1.0,-2.5,0.1]}");
    check("0.30000000000000004", "0.30000000000000004"); /* needs them all */
    check("123456789.123456", "123456789.123456");
    check("1e+300", "1e+300");
}

static void what_is_no_double_stays(void **state)
{
    (void)state;
    check("{\"n\":12345678901234567890,\"s\":\"0.051617000000000003 \\\" "
          "0.10000000000000001\",\"t\":true,\"z\":null}",
          "{\"n\":12345678901234567890,\"s\":\"0.051617000000000003 \\\" "
          "0.10000000000000001\",\"t\":true,\"z\":null}");
    check("0.0", "0.0");
    check("\"", "\"");
    check("", "");
}

static void every_double_reads_back(void **state)
{
    (void)state;
    for (int i = 0; i < 20000; i++) {
        double value = ((double)rand() / 7.0 - 1e8) * (i % 3 == 0 ? 1e-12 : 1e3); /* NOLINT */
        char text[64];
        (void)snprintf(text, sizeof text, "%.17g", value);
        if (strpbrk(text, ".e") == NULL)
            continue;
        assert_true(strtod(dm_json_shorten(text), NULL) == value);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_have_no_noise),
        cmocka_unit_test(what_is_no_double_stays),
        cmocka_unit_test(every_double_reads_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
