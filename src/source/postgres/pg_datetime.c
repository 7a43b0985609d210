#include "source/postgres/pg_datetime.h"

#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "base/calendar.h"

#define MICROS_PER_DAY INT64_C(86400000000)

struct cursor {
    const char *p;
    const char *end;
};

/* Reads at least `least` digits and at most `most`. */
static bool take_digits(struct cursor *c, int least, int most, int64_t *out)
{
    int64_t value = 0;
    int count = 0;
    while (c->p < c->end && count < most && (unsigned char)(*c->p - '0') <= 9) {
        value = value * 10 + (*c->p - '0');
        c->p++;
        count++;
    }
    *out = value;
    return count >= least;
}

static bool take_char(struct cursor *c, char wanted)
{
    if (c->p >= c->end || *c->p != wanted)
        return false;
    c->p++;
    return true;
}

static bool take_date(struct cursor *c, int64_t *year, int64_t *month, int64_t *day)
{
    return take_digits(c, 4, 7, year) && take_char(c, '-') && take_digits(c, 2, 2, month) &&
           take_char(c, '-') && take_digits(c, 2, 2, day) && *month >= 1 && *month <= 12 && *day >= 1 &&
           *day <= 31 && *year >= 1;
}

static bool take_time(struct cursor *c, int64_t *micros)
{
    int64_t hour, minute, second, fraction = 0;
    if (!take_digits(c, 2, 2, &hour) || !take_char(c, ':') || !take_digits(c, 2, 2, &minute) ||
        !take_char(c, ':') || !take_digits(c, 2, 2, &second) || hour > 24 || minute > 59 || second > 60)
        return false;
    if (take_char(c, '.')) {
        const char *start = c->p;
        if (!take_digits(c, 1, 6, &fraction))
            return false;
        for (long digits = c->p - start; digits < 6; digits++)
            fraction *= 10;
    }
    *micros = ((hour * 60 + minute) * 60 + second) * 1000000 + fraction;
    return true;
}

/* "+05:30:15", seconds east of UTC; nothing there is 0. */
static bool take_zone(struct cursor *c, int64_t *seconds)
{
    *seconds = 0;
    if (c->p >= c->end || (*c->p != '+' && *c->p != '-'))
        return true;
    int64_t sign = *c->p++ == '-' ? -1 : 1;
    int64_t hour, minute = 0, second = 0;
    if (!take_digits(c, 2, 2, &hour) || (take_char(c, ':') && !take_digits(c, 2, 2, &minute)) ||
        (take_char(c, ':') && !take_digits(c, 2, 2, &second)))
        return false;
    *seconds = sign * ((hour * 60 + minute) * 60 + second);
    return true;
}

static bool take_end(struct cursor *c, int64_t *year)
{
    if (c->end - c->p == 3 && memcmp(c->p, " BC", 3) == 0) {
        *year = 1 - *year; /* 1 BC is year 0 */
        c->p = c->end;
    }
    return c->p == c->end;
}

/* 1: "infinity", -1: "-infinity", 0: neither. */
static int infinity_of(const char *s, size_t n)
{
    if (n == 8 && memcmp(s, "infinity", 8) == 0)
        return 1;
    return n == 9 && memcmp(s, "-infinity", 9) == 0 ? -1 : 0;
}

enum pg_value_result pg_date_from_text(const char *s, size_t n, int32_t *out)
{
    struct cursor c = {s, s + n};
    int64_t year, month, day;
    if (!take_date(&c, &year, &month, &day) || !take_end(&c, &year)) {
        int infinite = infinity_of(s, n);
        if (infinite == 0)
            return PG_VALUE_MALFORMED;
        *out = infinite > 0 ? DM_DATE_INFINITY : DM_DATE_NEG_INFINITY;
        return PG_VALUE_OK;
    }
    int64_t days = dm_days_of(year, (unsigned)month, (unsigned)day);
    if (days >= DM_DATE_INFINITY || days <= DM_DATE_NEG_INFINITY)
        return PG_VALUE_TIMESTAMP_RANGE;
    *out = (int32_t)days;
    return PG_VALUE_OK;
}

enum pg_value_result pg_time_from_text(const char *s, size_t n, int64_t *out)
{
    struct cursor c = {s, s + n};
    return take_time(&c, out) && c.p == c.end ? PG_VALUE_OK : PG_VALUE_MALFORMED;
}

static enum pg_value_result checked_timestamp(int64_t days, int64_t micros, int64_t *out)
{
    int64_t value;
    if (__builtin_mul_overflow(days, MICROS_PER_DAY, &value) ||
        __builtin_add_overflow(value, micros, &value) || value == DM_TIMESTAMP_INFINITY ||
        value <= DM_TIMESTAMP_NEG_INFINITY)
        return PG_VALUE_TIMESTAMP_RANGE;
    *out = value;
    return PG_VALUE_OK;
}

enum pg_value_result pg_timestamp_from_text(const char *s, size_t n, int64_t *out)
{
    struct cursor c = {s, s + n};
    int64_t year, month, day, micros, zone;
    if (take_date(&c, &year, &month, &day) && take_char(&c, ' ') && take_time(&c, &micros) &&
        take_zone(&c, &zone) && take_end(&c, &year))
        return checked_timestamp(dm_days_of(year, (unsigned)month, (unsigned)day), micros - zone * 1000000,
                                 out);
    int infinite = infinity_of(s, n);
    if (infinite == 0)
        return PG_VALUE_MALFORMED;
    *out = infinite > 0 ? DM_TIMESTAMP_INFINITY : DM_TIMESTAMP_NEG_INFINITY;
    return PG_VALUE_OK;
}

enum pg_value_result pg_date_from_binary(const uint8_t *p, size_t n, int32_t *out)
{
    if (n != 4)
        return PG_VALUE_MALFORMED;
    int32_t days = (int32_t)dm_get_be32(p);
    if (days == INT32_MAX || days == INT32_MIN) {
        *out = days > 0 ? DM_DATE_INFINITY : DM_DATE_NEG_INFINITY;
        return PG_VALUE_OK;
    }
    int64_t since_1970 = (int64_t)days + PG_EPOCH_DAYS;
    if (since_1970 >= DM_DATE_INFINITY || since_1970 <= DM_DATE_NEG_INFINITY)
        return PG_VALUE_TIMESTAMP_RANGE;
    *out = (int32_t)since_1970;
    return PG_VALUE_OK;
}

enum pg_value_result pg_timestamp_from_binary(const uint8_t *p, size_t n, int64_t *out)
{
    if (n != 8)
        return PG_VALUE_MALFORMED;
    int64_t micros = (int64_t)dm_get_be64(p);
    if (micros == INT64_MAX || micros == INT64_MIN) {
        *out = micros > 0 ? DM_TIMESTAMP_INFINITY : DM_TIMESTAMP_NEG_INFINITY;
        return PG_VALUE_OK;
    }
    if (micros >= INT64_MAX - PG_EPOCH_MICROS || micros + PG_EPOCH_MICROS <= DM_TIMESTAMP_NEG_INFINITY)
        return PG_VALUE_TIMESTAMP_RANGE;
    *out = micros + PG_EPOCH_MICROS;
    return PG_VALUE_OK;
}

static int spell_days(int64_t days, char *out, size_t size, bool *bc)
{
    int64_t year;
    unsigned month, day;
    dm_date_of(days, &year, &month, &day);
    *bc = year <= 0;
    return snprintf(out, size, "%04lld-%02u-%02u", (long long)(*bc ? 1 - year : year), month, day);
}

const char *pg_date_spell(int64_t days, char *out, size_t size)
{
    if (days == DM_DATE_INFINITY || days == DM_DATE_NEG_INFINITY) {
        (void)snprintf(out, size, "%s", days > 0 ? "infinity" : "-infinity");
        return out;
    }
    bool bc;
    int n = spell_days(days, out, size, &bc);
    if (bc)
        (void)snprintf(out + n, size - (size_t)n, " BC");
    return out;
}

const char *pg_time_spell(int64_t micros, char *out, size_t size)
{
    int64_t seconds = micros / 1000000;
    int n = snprintf(out, size, "%02lld:%02lld:%02lld", (long long)(seconds / 3600),
                     (long long)(seconds / 60 % 60), (long long)(seconds % 60));
    if (micros % 1000000 != 0) {
        (void)snprintf(out + n, size - (size_t)n, ".%06lld", (long long)(micros % 1000000));
        for (size_t end = strlen(out); out[end - 1] == '0'; end--)
            out[end - 1] = '\0';
    }
    return out;
}

const char *pg_timestamp_spell(int64_t micros, bool zone, char *out, size_t size)
{
    if (micros == DM_TIMESTAMP_INFINITY || micros == DM_TIMESTAMP_NEG_INFINITY) {
        (void)snprintf(out, size, "%s", micros > 0 ? "infinity" : "-infinity");
        return out;
    }
    int64_t days = micros / MICROS_PER_DAY - (micros % MICROS_PER_DAY < 0);
    bool bc;
    char time[32];
    int n = spell_days(days, out, size, &bc);
    (void)snprintf(out + n, size - (size_t)n, " %s%s%s",
                   pg_time_spell(micros - days * MICROS_PER_DAY, time, sizeof time), zone ? "+00" : "",
                   bc ? " BC" : "");
    return out;
}
