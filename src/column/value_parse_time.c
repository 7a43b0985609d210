#include "column/value_parse_time.h"

#include <string.h>
#include <strings.h>

#include "base/calendar.h"

#define SECOND_NS INT64_C(1000000000)
#define DAY_NS (86400 * SECOND_NS)

enum { YEAR_DIGITS_MAX = 12 };

/* What is left of a text. */
struct rest {
    const char *at, *end;
};

static bool is_digit(const struct rest *r)
{
    return r->at < r->end && *r->at >= '0' && *r->at <= '9';
}

static bool take(struct rest *r, char c)
{
    if (r->at == r->end || *r->at != c)
        return false;
    r->at++;
    return true;
}

static bool take_two(struct rest *r, unsigned *out)
{
    if (r->end - r->at < 2)
        return false;
    unsigned a = (unsigned)((unsigned char)r->at[0] - '0'), b = (unsigned)((unsigned char)r->at[1] - '0');
    if (a > 9 || b > 9)
        return false;
    *out = a * 10 + b;
    r->at += 2;
    return true;
}

static unsigned month_length(int64_t year, unsigned month)
{
    static const uint8_t lengths[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    return lengths[month - 1] + (month == 2 && leap ? 1u : 0u);
}

static bool take_year(struct rest *r, int64_t *year)
{
    bool sign = r->at < r->end && (*r->at == '+' || *r->at == '-');
    bool negative = sign && *r->at == '-';
    r->at += sign;
    int64_t v = 0;
    int digits = 0;
    for (; is_digit(r) && digits < YEAR_DIGITS_MAX; digits++)
        v = v * 10 + (*r->at++ - '0');
    *year = negative ? -v : v;
    return sign ? digits >= 4 : digits == 4;
}

static enum dm_parsed take_date(struct rest *r, int64_t *days)
{
    int64_t year;
    unsigned month, day;
    if (!take_year(r, &year) || !take(r, '-') || !take_two(r, &month) || !take(r, '-') || !take_two(r, &day))
        return DM_PARSED_WRONG;
    if (month < 1 || month > 12 || day < 1 || day > month_length(year, month))
        return DM_PARSED_BEYOND;
    *days = dm_days_of(year, month, day);
    return DM_PARSED;
}

/* The digits behind the point as nanoseconds; digits beyond must be zero. */
static enum dm_parsed take_fraction(struct rest *r, unsigned *ns)
{
    if (!is_digit(r))
        return DM_PARSED_WRONG;
    unsigned unit = 100000000, v = 0;
    bool more = false;
    for (; is_digit(r); r->at++) {
        unsigned digit = (unsigned)(*r->at - '0');
        v += digit * unit;
        more |= unit == 0 && digit != 0;
        unit /= 10;
    }
    *ns = v;
    return more ? DM_PARSED_BEYOND : DM_PARSED;
}

static enum dm_parsed take_time(struct rest *r, int64_t *ns)
{
    unsigned hour, minute, second = 0, fraction = 0;
    if (!take_two(r, &hour) || !take(r, ':') || !take_two(r, &minute))
        return DM_PARSED_WRONG;
    enum dm_parsed parsed = DM_PARSED;
    if (take(r, ':')) {
        if (!take_two(r, &second))
            return DM_PARSED_WRONG;
        if (take(r, '.') || take(r, ','))
            parsed = take_fraction(r, &fraction);
    }
    if (parsed == DM_PARSED_WRONG)
        return parsed;
    *ns = ((int64_t)(hour * 60 + minute) * 60 + second) * SECOND_NS + fraction;
    if (minute > 59 || second > 59 || *ns > DAY_NS)
        return DM_PARSED_BEYOND;
    return parsed;
}

/* Nothing, or a zone up to the end of the text: *offset in nanoseconds. */
static enum dm_parsed take_zone(struct rest *r, bool *there, int64_t *offset)
{
    *offset = 0;
    *there = r->at < r->end;
    if (!*there)
        return DM_PARSED;
    if (r->end - r->at > 1)
        (void)take(r, ' ');
    size_t n = (size_t)(r->end - r->at);
    if ((n == 1 && (*r->at == 'Z' || *r->at == 'z')) || (n == 3 && strncasecmp(r->at, "utc", 3) == 0)) {
        r->at = r->end;
        return DM_PARSED;
    }
    bool negative = *r->at == '-';
    unsigned hours, minutes = 0;
    if ((!take(r, '+') && !take(r, '-')) || !take_two(r, &hours))
        return DM_PARSED_WRONG;
    if (r->at < r->end) {
        (void)take(r, ':');
        if (!take_two(r, &minutes) || r->at != r->end)
            return DM_PARSED_WRONG;
    }
    if (hours > 23 || minutes > 59)
        return DM_PARSED_BEYOND;
    *offset = (int64_t)(hours * 60 + minutes) * (negative ? -60 : 60) * SECOND_NS;
    return DM_PARSED;
}

/* 1, -1: an infinite moment; 0: not. */
static int infinite(const char *text, size_t n)
{
    int sign = n > 0 && *text == '-' ? -1 : 1;
    if (n > 0 && (*text == '-' || *text == '+')) {
        text++;
        n--;
    }
    return n == 8 && strncasecmp(text, "infinity", 8) == 0 ? sign : 0;
}

/* A date, or a date with a time and perhaps a zone. */
struct moment {
    int64_t days, ns, offset;
    bool timed, zoned;
};

static enum dm_parsed parse_moment(const char *text, size_t n, struct moment *m)
{
    struct rest r = {text, text + n};
    *m = (struct moment){0};
    enum dm_parsed date = take_date(&r, &m->days), time = DM_PARSED, zone = DM_PARSED;
    if (date == DM_PARSED_WRONG)
        return date;
    if (r.at != r.end) {
        m->timed = true;
        if (!take(&r, 'T') && !take(&r, ' ') && !take(&r, 't'))
            return DM_PARSED_WRONG;
        time = take_time(&r, &m->ns);
        if (time == DM_PARSED_WRONG)
            return time;
        zone = take_zone(&r, &m->zoned, &m->offset);
    }
    if (zone == DM_PARSED_WRONG || m->ns == DAY_NS)
        return zone == DM_PARSED_WRONG ? zone : DM_PARSED_BEYOND;
    return date != DM_PARSED ? date : time != DM_PARSED ? time : zone;
}

enum dm_parsed dm_parse_date(const char *text, size_t n, int32_t *days)
{
    int sign = infinite(text, n);
    if (sign != 0) {
        *days = sign > 0 ? DM_DATE_INFINITY : DM_DATE_NEG_INFINITY;
        return DM_PARSED;
    }
    struct moment m;
    enum dm_parsed parsed = parse_moment(text, n, &m);
    if (parsed != DM_PARSED)
        return parsed;
    if (m.zoned)
        return DM_PARSED_WRONG;
    if (m.ns != 0 || m.days <= DM_DATE_NEG_INFINITY || m.days >= DM_DATE_INFINITY)
        return DM_PARSED_BEYOND;
    *days = (int32_t)m.days;
    return DM_PARSED;
}

enum dm_parsed dm_parse_time(const char *text, size_t n, int64_t *us)
{
    struct rest r = {text, text + n};
    int64_t ns = 0;
    enum dm_parsed parsed = take_time(&r, &ns);
    *us = ns / 1000;
    if (parsed == DM_PARSED && ns % 1000 != 0)
        parsed = DM_PARSED_BEYOND;
    return parsed != DM_PARSED_WRONG && r.at != r.end ? DM_PARSED_WRONG : parsed;
}

/* In units of so many nanoseconds, a number that is known where this is called. */
static inline enum dm_parsed parse_instant(const char *text, size_t n, bool zoned, int64_t unit, int64_t *out)
{
    int sign = infinite(text, n);
    if (sign != 0) {
        *out = sign > 0 ? DM_TIMESTAMP_INFINITY : DM_TIMESTAMP_NEG_INFINITY;
        return DM_PARSED;
    }
    struct moment m;
    enum dm_parsed parsed = parse_moment(text, n, &m);
    if (parsed == DM_PARSED_WRONG || (m.zoned && !zoned))
        return DM_PARSED_WRONG;
    if (parsed != DM_PARSED)
        return parsed;
    if (m.ns % unit != 0)
        return DM_PARSED_BEYOND;
    /* the first day begins before 64 bits do */
    dm_int128 whole = (dm_int128)m.days * (DAY_NS / unit) + m.ns / unit - m.offset / unit;
    if (whole >= DM_TIMESTAMP_INFINITY || whole <= DM_TIMESTAMP_NEG_INFINITY)
        return DM_PARSED_BEYOND;
    *out = (int64_t)whole;
    return DM_PARSED;
}

enum dm_parsed dm_parse_timestamp(const char *text, size_t n, bool zoned, int64_t *us)
{
    return parse_instant(text, n, zoned, 1000, us);
}

enum dm_parsed dm_parse_timestamp_ns(const char *text, size_t n, int64_t *ns)
{
    return parse_instant(text, n, true, 1, ns);
}
