/* ISO-8601 periods. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#include "registry/period.h"

static void test_parse(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int32_t months;
        int64_t days, seconds;
    } good[] = {{"P3M", 3, 0, 0},
                {"P1Y6M", 18, 0, 0},
                {"P90D", 0, 90, 0},
                {"P2W", 0, 14, 0},
                {"PT12H", 0, 0, 43200},
                {"P1DT1M", 0, 1, 60},
                {"P1Y2M3W4DT5H6M7S", 14, 25, 18367},
                {"PT90S", 0, 0, 90}};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        struct dm_period p;
        assert_true(dm_period_parse(good[i].text, &p));
        assert_int_equal(p.months, good[i].months);
        assert_int_equal(p.days, good[i].days);
        assert_int_equal(p.seconds, good[i].seconds);
    }
    static const char *const bad[] = {"",
                                      "P",
                                      "3M",
                                      "P3",
                                      "PT",
                                      "P0D",
                                      "P1M1Y",
                                      "P1D1D",
                                      "P1.5M",
                                      "P-1M",
                                      "p3m",
                                      "P3M ",
                                      "P1S",
                                      "PT1D",
                                      "P1DT",
                                      "P1001Y",
                                      "P99999999999999999999D",
                                      "P3X",
                                      " P3M",
                                      "PM",
                                      "P12001M"};
    struct dm_period p;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (dm_period_parse(bad[i], &p))
            fail_msg("accepted: %s", bad[i]);
}

static int64_t moment(int y, int m, int d, int h)
{
    struct tm t = {.tm_year = y - 1900, .tm_mon = m - 1, .tm_mday = d, .tm_hour = h};
    return (int64_t)timegm(&t) * 1000000 + 123456;
}

static void before(int64_t from, const char *period, int64_t expected)
{
    struct dm_period p;
    assert_true(dm_period_parse(period, &p));
    assert_int_equal(dm_period_before(from, p), expected);
}

static void test_before(void **state)
{
    (void)state;
    before(moment(2026, 11, 21, 10), "P3M", moment(2026, 8, 21, 10));
    before(moment(2026, 5, 31, 0), "P3M", moment(2026, 2, 28, 0));
    before(moment(2024, 5, 31, 23), "P3M", moment(2024, 2, 29, 23));
    before(moment(2026, 1, 15, 1), "P1M", moment(2025, 12, 15, 1));
    before(moment(2026, 1, 15, 1), "P13M", moment(2024, 12, 15, 1));
    before(moment(2026, 1, 15, 1), "P100Y", moment(1926, 1, 15, 1));
    before(moment(1970, 1, 1, 0), "PT1H", moment(1969, 12, 31, 23));
    before(moment(2026, 3, 1, 12), "P1DT12H", moment(2026, 2, 28, 0));
    /* Every day of many years, against the C library. */
    for (int64_t day = -200000; day < 100000; day += 97) {
        time_t at = (time_t)(day * 86400);
        struct tm t;
        assert_non_null(gmtime_r(&at, &t));
        t.tm_year--; /* P1Y; 29 February becomes 28 */
        if (t.tm_mon == 1 && t.tm_mday == 29)
            t.tm_mday = 28;
        before(day * INT64_C(86400000000), "P1Y", (int64_t)timegm(&t) * 1000000);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_parse), cmocka_unit_test(test_before)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
