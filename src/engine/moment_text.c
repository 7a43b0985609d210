#include "engine/moment_text.h"

#include <string.h>

#include "base/calendar.h"

enum { MICROS = 1000000 };

static enum dm_status append(struct dm_buffer *out, const char *text, struct dm_error *err)
{
    return dm_buffer_append(out, text, strlen(text), err);
}

static enum dm_status quote(struct dm_buffer *out, enum dm_spelling how, struct dm_error *err)
{
    return how == DM_SPELL_JSON ? dm_buffer_append_byte(out, '"', err) : DM_OK;
}

static enum dm_status put_date(struct dm_buffer *out, int64_t days, enum dm_spelling how,
                               struct dm_error *err)
{
    int64_t year;
    unsigned month, day;
    dm_date_of(days, &year, &month, &day);
    bool before_christ = how == DM_SPELL_PLAIN && year <= 0;
    if (before_christ)
        year = 1 - year;
    const char *sign = year < 0 ? "-" : year > 9999 && how != DM_SPELL_PLAIN ? "+" : "";
    return dm_buffer_printf(out, err, "%s%04lld-%02u-%02u%s", sign, (long long)(year < 0 ? -year : year),
                            month, day, before_christ ? " (BC)" : "");
}

static enum dm_status put_time(struct dm_buffer *out, int64_t v, int64_t per_second, struct dm_error *err)
{
    uint64_t size = v < 0 ? -(uint64_t)v : (uint64_t)v, second = (uint64_t)per_second;
    uint64_t seconds = size / second, fraction = size % second;
    if (dm_buffer_printf(out, err, "%s%02llu:%02u:%02u", v < 0 ? "-" : "",
                         (unsigned long long)(seconds / 3600), (unsigned)(seconds / 60 % 60),
                         (unsigned)(seconds % 60)) != DM_OK)
        return DM_FAIL;
    if (fraction == 0)
        return DM_OK;
    int digits = 0;
    for (; second > 1; second /= 10)
        digits++;
    for (; fraction % 10 == 0; fraction /= 10)
        digits--;
    return dm_buffer_printf(out, err, ".%0*llu", digits, (unsigned long long)fraction);
}

enum dm_status dm_infinity_text(struct dm_buffer *out, bool positive, enum dm_spelling how,
                                struct dm_error *err)
{
    if (quote(out, how, err) != DM_OK || append(out, positive ? "infinity" : "-infinity", err) != DM_OK)
        return DM_FAIL;
    return quote(out, how, err);
}

enum dm_status dm_date_text(struct dm_buffer *out, int32_t days, enum dm_spelling how, struct dm_error *err)
{
    if (days == INT32_MAX || days == -INT32_MAX)
        return dm_infinity_text(out, days > 0, how, err);
    if (quote(out, how, err) != DM_OK || put_date(out, days, how, err) != DM_OK)
        return DM_FAIL;
    return quote(out, how, err);
}

enum dm_status dm_time_text(struct dm_buffer *out, int64_t v, int64_t per_second, const char *zone,
                            enum dm_spelling how, struct dm_error *err)
{
    if (quote(out, how, err) != DM_OK || put_time(out, v, per_second, err) != DM_OK ||
        append(out, zone, err) != DM_OK)
        return DM_FAIL;
    return quote(out, how, err);
}

enum dm_status dm_timestamp_text(struct dm_buffer *out, __int128 v, int64_t per_second, bool zoned,
                                 enum dm_spelling how, struct dm_error *err)
{
    const int64_t day = INT64_C(86400) * per_second;
    int64_t days = (int64_t)(v / day), rest = (int64_t)(v % day);
    if (rest < 0) {
        rest += day;
        days--;
    }
    const char *zone = !zoned ? "" : how == DM_SPELL_JSON ? "Z" : "+00";
    if (quote(out, how, err) != DM_OK || put_date(out, days, how, err) != DM_OK ||
        dm_buffer_append_byte(out, how == DM_SPELL_JSON ? 'T' : ' ', err) != DM_OK ||
        put_time(out, rest, per_second, err) != DM_OK || append(out, zone, err) != DM_OK)
        return DM_FAIL;
    return quote(out, how, err);
}

static enum dm_status put_part(struct dm_buffer *out, int64_t n, const char *unit, bool *first,
                               struct dm_error *err)
{
    if (n == 0)
        return DM_OK;
    enum dm_status status = dm_buffer_printf(out, err, "%s%lld %s%s", *first ? "" : " ", (long long)n, unit,
                                             n == 1 || n == -1 ? "" : "s");
    *first = false;
    return status;
}

enum dm_status dm_interval_text(struct dm_buffer *out, int64_t months, int64_t days, int64_t micros,
                                enum dm_spelling how, struct dm_error *err)
{
    bool first = true;
    if (quote(out, how, err) != DM_OK || put_part(out, months / 12, "year", &first, err) != DM_OK ||
        put_part(out, months % 12, "month", &first, err) != DM_OK ||
        put_part(out, days, "day", &first, err) != DM_OK)
        return DM_FAIL;
    if (micros != 0 || first)
        if ((!first && dm_buffer_append_byte(out, ' ', err) != DM_OK) ||
            put_time(out, micros, MICROS, err) != DM_OK)
            return DM_FAIL;
    return quote(out, how, err);
}
