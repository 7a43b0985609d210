/* The default of a column that was added later, as Iceberg writes single values in JSON. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "source/postgres/pg_datetime.h"
#include "source/postgres/pg_table.h"

static char *json_text(const char *text, size_t n)
{
    char *out = dm_xalloc(6 * n + 3), *o = out;
    *o++ = '"';
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c == '"' || c == '\\') {
            *o++ = '\\';
            *o++ = (char)c;
        } else if (c < 0x20) {
            o += snprintf(o, 7, "\\u%04x", c);
        } else {
            *o++ = (char)c;
        }
    }
    *o++ = '"';
    *o = '\0';
    return out;
}

/* Decimals are JSON strings with exactly `scale` digits behind the point. */
static char *json_decimal(dm_int128 unscaled, int scale)
{
    char digits[48];
    int n = 0;
    unsigned __int128 magnitude = unscaled < 0 ? -(unsigned __int128)unscaled : (unsigned __int128)unscaled;
    for (; magnitude > 0 || n <= scale; magnitude /= 10)
        digits[n++] = (char)('0' + (int)(magnitude % 10));
    char text[64], *o = text;
    *o++ = '"';
    if (unscaled < 0)
        *o++ = '-';
    while (n > 0) {
        if (n == scale)
            *o++ = '.';
        *o++ = digits[--n];
    }
    *o++ = '"';
    *o = '\0';
    return dm_xstrdup(text);
}

/* "2020-01-01 10:00:00+00" becomes "2020-01-01T10:00:00.000000+00:00". Only years 0001 to 9999 have a JSON
 * form. */
static char *json_moment(int64_t micros, bool zone)
{
    if (micros < INT64_C(-62135596800000000) || micros >= INT64_C(253402300800000000))
        return NULL;
    char date[64];
    int64_t days = micros / INT64_C(86400000000) - (micros % INT64_C(86400000000) < 0);
    int64_t rest = micros - days * INT64_C(86400000000);
    return dm_xasprintf("\"%sT%02d:%02d:%02d.%06d%s\"", pg_date_spell(days, date, sizeof date),
                        (int)(rest / 3600000000), (int)(rest / 60000000 % 60), (int)(rest / 1000000 % 60),
                        (int)(rest % 1000000), zone ? "+00:00" : "");
}

static char *json_date(int32_t days)
{
    char text[64];
    return days >= -719162 && days < 2932897 ? dm_xasprintf("\"%s\"", pg_date_spell(days, text, sizeof text))
                                             : NULL;
}

static char *json_hex(const char *text, size_t n)
{
    return n >= 2 ? dm_xasprintf("\"%.*s\"", (int)(n - 2), text + 2) : NULL;
}

static char *json_number(const struct pg_codec *codec, const uint8_t *value)
{
    int32_t i32;
    int64_t i64;
    memcpy(&i32, value, sizeof i32);
    memcpy(&i64, value, sizeof i64);
    if (codec->id == PG_CODEC_INT2 || codec->id == PG_CODEC_INT4)
        return dm_xasprintf("%d", i32);
    if (codec->id == PG_CODEC_INT8 || codec->id == PG_CODEC_OID)
        return dm_xasprintf("%lld", (long long)i64);
    double d;
    float f;
    memcpy(&d, value, sizeof d);
    memcpy(&f, value, sizeof f);
    if (codec->id == PG_CODEC_FLOAT4)
        return isfinite(f) ? dm_xasprintf("%.9g", (double)f) : NULL;
    return isfinite(d) ? dm_xasprintf("%.17g", d) : NULL;
}

static char *json_value(const struct pg_codec *codec, const char *text, size_t n)
{
    if (codec->array)
        return NULL;
    if (codec->id == PG_CODEC_TEXT || codec->id == PG_CODEC_JSONB)
        return json_text(text, n);
    if (codec->id == PG_CODEC_BYTEA)
        return json_hex(text, n);
    _Alignas(16) uint8_t value[16];
    if (pg_scalar_from_text(codec, text, n, value) != PG_VALUE_OK)
        return NULL;
    int32_t i32;
    int64_t i64;
    dm_int128 i128;
    memcpy(&i32, value, sizeof i32);
    memcpy(&i64, value, sizeof i64);
    memcpy(&i128, value, sizeof i128);
    switch ((enum pg_codec_id)codec->id) {
    case PG_CODEC_BOOL: return dm_xstrdup(value[0] ? "true" : "false");
    case PG_CODEC_DECIMAL: return json_decimal(i128, codec->type.scale);
    case PG_CODEC_DATE: return json_date(i32);
    case PG_CODEC_TIME: {
        int seconds = (int)(i64 / 1000000);
        return i64 < INT64_C(86400000000)
                   ? dm_xasprintf("\"%02d:%02d:%02d.%06d\"", seconds / 3600, seconds / 60 % 60, seconds % 60,
                                  (int)(i64 % 1000000))
                   : NULL;
    }
    case PG_CODEC_TIMESTAMP:
    case PG_CODEC_TIMESTAMPTZ: return json_moment(i64, codec->id == PG_CODEC_TIMESTAMPTZ);
    case PG_CODEC_UUID: return json_text(text, n);
    default: return json_number(codec, value);
    }
}

struct default_value {
    const struct pg_codec *codec;
    char *json;
};

static enum pg_value_result take_default(void *ctx, const char *text, size_t n)
{
    struct default_value *d = ctx;
    if (text != NULL && d->json == NULL)
        d->json = json_value(d->codec, text, n);
    return PG_VALUE_OK;
}

char *pg_default_json(const struct pg_codec *codec, const char *missing_array)
{
    struct default_value d = {codec, NULL};
    if (pg_array_text_each(missing_array, strlen(missing_array), codec->array ? ',' : codec->delimiter,
                           take_default, &d) != PG_VALUE_OK) {
        free(d.json);
        return NULL;
    }
    return d.json;
}
