/* Days and dates: against the C library, there and back, and far away. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <time.h>

#include <cmocka.h>

#include "base/calendar.h"

static void against_the_library(void **state)
{
    (void)state;
    for (int64_t days = -800000; days < 3000000; days++) {
        int64_t year;
        unsigned month, day;
        dm_date_of(days, &year, &month, &day);
        time_t seconds = (time_t)days * 86400;
        struct tm t;
        assert_non_null(gmtime_r(&seconds, &t));
        if (year != t.tm_year + 1900 || month != (unsigned)t.tm_mon + 1 || day != (unsigned)t.tm_mday ||
            dm_days_of(year, month, day) != days)
            fail_msg("day %lld is %lld-%u-%u", (long long)days, (long long)year, month, day);
    }
}

static void known_days(void **state)
{
    (void)state;
    assert_int_equal(dm_days_of(1970, 1, 1), 0);
    assert_int_equal(dm_days_of(1969, 12, 31), -1);
    assert_int_equal(dm_days_of(2000, 2, 29), 11016);
    assert_int_equal(dm_days_of(-4713, 11, 24), -2440588); /* where Julian days begin */
    assert_int_equal(dm_days_of(2024, 2, 30), dm_days_of(2024, 3, 1));
    assert_int_equal(dm_days_of(2000, 3, 0), dm_days_of(2000, 2, 29));
    assert_int_equal(dm_days_of(5881580, 7, 11), INT32_MAX); /* the last that 32 bits hold */
    int64_t year;
    unsigned month, day;
    dm_date_of(INT64_C(1) << 40, &year, &month, &day);
    assert_int_equal(dm_days_of(year, month, day), INT64_C(1) << 40);
    dm_date_of(-(INT64_C(1) << 40), &year, &month, &day);
    assert_int_equal(dm_days_of(year, month, day), -(INT64_C(1) << 40));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(against_the_library),
        cmocka_unit_test(known_days),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
