/* What may be shown, and that dm_print is fprintf but for the texts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/shown.h"

static void shows(const char *text, size_t n, const char *expected)
{
    char *shown = dm_shown(text, n);
    assert_string_equal(shown, expected);
    free(shown);
}

static void texts(void **state)
{
    (void)state;
    shows("", 0, "");
    shows("plain \xc3\xa4 \\ \xf0\x9f\x98\x80 \xc2\xa0", 18, "plain \xc3\xa4 \\ \xf0\x9f\x98\x80 \xc2\xa0");
    shows("a\nb\tc\rd\x1b[31m\x7f", 13, "a\\nb\\tc\\rd\\x1b[31m\\x7f");
    shows("\0x", 2, "\\x00x");
    shows("\xc2\x9b"
          "31m",
          5, "\\x9b31m");               /* a control in two bytes */
    shows("\xff\xc3", 2, "\\xff\\xc3"); /* no UTF-8 */
    shows("\xe2\x80\xae"
          "gpj",
          6, "\\u202egpj"); /* right to left */
    shows("\xe2\x80\xa8\xe2\x81\xa6\xd8\x9c", 8, "\\u2028\\u2066\\u061c");
    shows("\xed\xa0\x80", 3, "\\xed\\xa0\\x80"); /* a surrogate */
}

static char *formatted(const char *fmt, ...) DM_PRINTF(1, 2);
static char *formatted(const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    char *text = dm_vshown_format(fmt, args);
    va_end(args);
    return text;
}

#define same(...) \
    do { \
        char expected[512]; \
        (void)snprintf(expected, sizeof expected, __VA_ARGS__); \
        char *got = formatted(__VA_ARGS__); \
        assert_string_equal(got, expected); \
        free(got); \
    } while (0)

static void formats(void **state)
{
    (void)state;
    same("nothing\n");
    same("100%% of %s\n", "it");
    same("%d %i %u %x %X %o %c", -1, 2, 3U, 255U, 255U, 8U, 'z');
    same("%ld %lld %zu %jd %td %hhd %hd", -1L, -2LL, (size_t)3, (intmax_t)-4, (ptrdiff_t)-5, (signed char)6,
         (short)7);
    same("%" PRIu64 " %" PRId64 " %016" PRIx64, UINT64_MAX, INT64_MIN, UINT64_C(0xabc));
    same("%5d|%-5d|%05d|%+d|%.3d|%*d|%-*d|", 42, 42, 42, 42, 7, 6, 1, 6, 2);
    same("%f %.2f %g %8.3e|%s", 1.5, 2.25, 1e300, 3.0, "end");
    same("%10s|%-10s|%.2s|%.*s|%*s|%-*s|", "right", "left", "cut", 3, "star", 8, "x", 8, "y");
    char *got = formatted("%-8s|%8s|%.3s\n%c", "a\nb", "\x1b", "\n\n\n\n", '\x1b');
    assert_string_equal(got, "a\\nb    |    \\x1b|\\n\\n\\n\n\\x1b");
    free(got);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(texts), cmocka_unit_test(formats)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
