#include "registry/period.h"

#include <stddef.h>
#include <string.h>

enum { months_max = 12000, day_seconds = 86400 };
static const int64_t days_max = 366000;

struct designator {
    char letter;
    int64_t months, days, seconds;
};

static const struct designator date_part[] = {
    {'Y', 12, 0, 0}, {'M', 1, 0, 0}, {'W', 0, 7, 0}, {'D', 0, 1, 0}};
static const struct designator time_part[] = {{'H', 0, 0, 3600}, {'M', 0, 0, 60}, {'S', 0, 0, 1}};

/* Reads "<digits><letter>"… as far as it goes, each designator once and in order. */
static bool read_part(const char **text, const struct designator *d, size_t n, struct dm_period *sum,
                      bool *any)
{
    size_t next = 0;
    while (**text >= '0' && **text <= '9') {
        int64_t number = 0;
        for (; **text >= '0' && **text <= '9'; (*text)++) {
            number = number * 10 + (**text - '0');
            if (number > INT64_C(1000) * 366 * day_seconds)
                return false;
        }
        while (next < n && d[next].letter != **text)
            next++;
        if (next == n)
            return false;
        int64_t months = number * d[next].months;
        if (months > months_max)
            return false;
        sum->months += (int32_t)months;
        sum->days += number * d[next].days;
        sum->seconds += number * d[next].seconds;
        *any = true;
        next++;
        (*text)++;
    }
    return true;
}

bool dm_period_parse(const char *text, struct dm_period *out)
{
    struct dm_period p = {0};
    bool any = false, any_time = false;
    if (*text++ != 'P' || !read_part(&text, date_part, sizeof date_part / sizeof *date_part, &p, &any))
        return false;
    if (*text == 'T') {
        text++;
        if (!read_part(&text, time_part, sizeof time_part / sizeof *time_part, &p, &any_time) || !any_time)
            return false;
    }
    if (*text != '\0' || !(any || any_time) || p.months > months_max || p.days > days_max ||
        p.seconds > days_max * day_seconds || (p.months == 0 && p.days == 0 && p.seconds == 0))
        return false;
    *out = p;
    return true;
}

/* Days since 1970-01-01 and back, proleptic Gregorian; the year is counted from March, so that the leap day is its last. */
static int64_t days_of_civil(int64_t y, int m, int d)
{
    y -= m <= 2;
    int64_t era = (y >= 0 ? y : y - 399) / 400;
    int64_t year_of_era = y - era * 400;
    int64_t day_of_year = (153 * (m + (m > 2 ? -3 : 9)) + 2) / 5 + d - 1;
    return era * 146097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719468;
}

static void civil_of_days(int64_t days, int64_t *y, int *m, int *d)
{
    days += 719468;
    int64_t era = (days >= 0 ? days : days - 146096) / 146097;
    int64_t day_of_era = days - era * 146097;
    int64_t year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int64_t shifted = (5 * day_of_year + 2) / 153;
    *d = (int)(day_of_year - (153 * shifted + 2) / 5 + 1);
    *m = (int)(shifted < 10 ? shifted + 3 : shifted - 9);
    *y = year_of_era + era * 400 + (*m <= 2);
}

static int days_in_month(int64_t y, int m)
{
    int64_t next = m == 12 ? days_of_civil(y + 1, 1, 1) : days_of_civil(y, m + 1, 1);
    return (int)(next - days_of_civil(y, m, 1));
}

int64_t dm_period_before(int64_t wall_us, struct dm_period p)
{
    const int64_t day_us = INT64_C(1000000) * day_seconds;
    int64_t days = wall_us / day_us - (wall_us % day_us < 0);
    int64_t in_day = wall_us - days * day_us;
    int64_t y;
    int m, d;
    civil_of_days(days, &y, &m, &d);
    int64_t month = y * 12 + (m - 1) - p.months;
    y = month / 12 - (month % 12 < 0);
    m = (int)(month - y * 12) + 1;
    int last = days_in_month(y, m);
    days = days_of_civil(y, m, d < last ? d : last) - p.days;
    return days * day_us + in_day - p.seconds * 1000000;
}
