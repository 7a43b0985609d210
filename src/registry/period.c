#include "registry/period.h"

#include <stddef.h>
#include <string.h>

#include "base/calendar.h"

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

static unsigned days_in_month(int64_t y, unsigned m)
{
    int64_t next = m == 12 ? dm_days_of(y + 1, 1, 1) : dm_days_of(y, m + 1, 1);
    return (unsigned)(next - dm_days_of(y, m, 1));
}

int64_t dm_period_before(int64_t wall_us, struct dm_period p)
{
    const int64_t day_us = INT64_C(1000000) * day_seconds;
    int64_t days = wall_us / day_us - (wall_us % day_us < 0);
    int64_t in_day = wall_us - days * day_us;
    int64_t y;
    unsigned m, d;
    dm_date_of(days, &y, &m, &d);
    int64_t month = y * 12 + (int64_t)m - 1 - p.months;
    y = month / 12 - (month % 12 < 0);
    m = (unsigned)(month - y * 12) + 1;
    unsigned last = days_in_month(y, m);
    days = dm_days_of(y, m, d < last ? d : last) - p.days;
    return days * day_us + in_day - p.seconds * 1000000;
}
