/* One scalar of fixed width, from text and from binary: the two switches stand side by side on purpose. */
#include <math.h>
#include <string.h>

#include "base/bytes.h"
#include "source/postgres/pg_datetime.h"
#include "source/postgres/pg_numeric.h"
#include "source/postgres/pg_value.h"

const char *pg_value_reason(enum pg_value_result r)
{
    switch (r) {
    case PG_VALUE_OK: return "ok";
    case PG_VALUE_MALFORMED: return "malformed_value";
    case PG_VALUE_NAN: return "numeric_nan";
    case PG_VALUE_INFINITE: return "numeric_infinity";
    case PG_VALUE_DECIMAL_RANGE: return "decimal_out_of_range";
    case PG_VALUE_TIMESTAMP_RANGE: return "timestamp_out_of_range";
    case PG_VALUE_ARRAY_SHAPE: return "array_shape";
    case PG_VALUE_UTF8: return "invalid_utf8";
    case PG_VALUE_NOT_SENT: return "unchanged_value";
    case PG_VALUE_TOO_LARGE:
    case PG_VALUE_ROW_TOO_LARGE: return "row_too_large";
    }
    return "unknown";
}

const char *pg_value_rule(enum pg_value_result r)
{
    switch (r) {
    case PG_VALUE_OK: return "it fits";
    case PG_VALUE_MALFORMED: return "the value cannot be read as its type";
    case PG_VALUE_NAN: return "a decimal column cannot hold NaN";
    case PG_VALUE_INFINITE: return "a decimal column cannot hold infinity";
    case PG_VALUE_DECIMAL_RANGE: return "the value has more digits than the decimal column";
    case PG_VALUE_TIMESTAMP_RANGE: return "the moment is beyond 64 bits of microseconds since 1970";
    case PG_VALUE_ARRAY_SHAPE: return "only arrays of one dimension that start at index 1 can be lists";
    case PG_VALUE_UTF8:
        return "the text has no form in UTF-8 (the database's encoding does not guarantee one)";
    case PG_VALUE_NOT_SENT:
        return "the server did not send the unchanged value (REPLICA IDENTITY FULL makes it)";
    case PG_VALUE_TOO_LARGE: return "the value is too large";
    case PG_VALUE_ROW_TOO_LARGE: return "the row is larger than memory_limit allows";
    }
    return "unknown";
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static enum pg_value_result uuid_from_text(const char *s, size_t n, uint8_t out[16])
{
    size_t digits = 0;
    for (size_t i = 0; i < n; i++) {
        if (s[i] == '-')
            continue;
        int value = hex_digit(s[i]);
        if (value < 0 || digits == 32)
            return PG_VALUE_MALFORMED;
        out[digits / 2] = (uint8_t)(digits % 2 == 0 ? value << 4 : out[digits / 2] | value);
        digits++;
    }
    return digits == 32 ? PG_VALUE_OK : PG_VALUE_MALFORMED;
}

static enum pg_value_result int_from_text(const char *s, size_t n, int64_t min, int64_t max, bool narrow,
                                          void *out)
{
    int64_t wide;
    enum pg_value_result r = pg_int_from_text(s, n, min, max, &wide);
    if (r != PG_VALUE_OK)
        return r;
    int32_t value = (int32_t)wide;
    if (narrow)
        memcpy(out, &value, sizeof value);
    else
        memcpy(out, &wide, sizeof wide);
    return PG_VALUE_OK;
}

enum pg_value_result pg_scalar_from_text(const struct pg_codec *codec, const char *s, size_t n, void *out)
{
    switch ((enum pg_codec_id)codec->id) {
    case PG_CODEC_BOOL:
        if (n != 1 || (s[0] != 't' && s[0] != 'f'))
            return PG_VALUE_MALFORMED;
        *(uint8_t *)out = s[0] == 't';
        return PG_VALUE_OK;
    case PG_CODEC_INT2: return int_from_text(s, n, INT16_MIN, INT16_MAX, true, out);
    case PG_CODEC_INT4: return int_from_text(s, n, INT32_MIN, INT32_MAX, true, out);
    case PG_CODEC_INT8: return int_from_text(s, n, INT64_MIN, INT64_MAX, false, out);
    case PG_CODEC_OID: return int_from_text(s, n, 0, UINT32_MAX, false, out);
    case PG_CODEC_FLOAT4: return pg_float4_from_text(s, n, out);
    case PG_CODEC_FLOAT8: return pg_float8_from_text(s, n, out);
    case PG_CODEC_DECIMAL: return pg_decimal_from_text(s, n, codec->type.precision, codec->type.scale, out);
    case PG_CODEC_DATE: return pg_date_from_text(s, n, out);
    case PG_CODEC_TIME: return pg_time_from_text(s, n, out);
    case PG_CODEC_TIMESTAMP:
    case PG_CODEC_TIMESTAMPTZ: return pg_timestamp_from_text(s, n, out);
    case PG_CODEC_UUID: return uuid_from_text(s, n, out);
    case PG_CODEC_BYTEA:
    case PG_CODEC_TEXT:
    case PG_CODEC_JSONB: break;
    }
    return PG_VALUE_MALFORMED;
}

/* NaN payloads do not survive the text form, so they are not kept from the binary form either: one NaN. */
static void float4_from_bits(uint32_t bits, void *out)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    if (isnan(value))
        value = NAN;
    memcpy(out, &value, sizeof value);
}

static void float8_from_bits(uint64_t bits, void *out)
{
    double value;
    memcpy(&value, &bits, sizeof value);
    if (isnan(value))
        value = (double)NAN;
    memcpy(out, &value, sizeof value);
}

static enum pg_value_result word_from_binary(enum pg_codec_id id, const uint8_t *p, size_t n, void *out)
{
    if (n != 4)
        return PG_VALUE_MALFORMED;
    uint32_t word = dm_get_be32(p);
    if (id == PG_CODEC_FLOAT4) {
        float4_from_bits(word, out);
    } else if (id == PG_CODEC_OID) {
        int64_t wide = word;
        memcpy(out, &wide, sizeof wide);
    } else {
        memcpy(out, &word, sizeof word);
    }
    return PG_VALUE_OK;
}

static enum pg_value_result double_word_from_binary(enum pg_codec_id id, const uint8_t *p, size_t n,
                                                    void *out)
{
    if (n != 8)
        return PG_VALUE_MALFORMED;
    uint64_t word = dm_get_be64(p);
    if (id == PG_CODEC_FLOAT8)
        float8_from_bits(word, out);
    else
        memcpy(out, &word, sizeof word);
    return PG_VALUE_OK;
}

enum pg_value_result pg_scalar_from_binary(const struct pg_codec *codec, const uint8_t *p, size_t n,
                                           void *out)
{
    enum pg_codec_id id = (enum pg_codec_id)codec->id;
    switch (id) {
    case PG_CODEC_BOOL:
        if (n != 1)
            return PG_VALUE_MALFORMED;
        *(uint8_t *)out = p[0] != 0;
        return PG_VALUE_OK;
    case PG_CODEC_INT2: {
        if (n != 2)
            return PG_VALUE_MALFORMED;
        int32_t value = (int16_t)dm_get_be16(p);
        memcpy(out, &value, sizeof value);
        return PG_VALUE_OK;
    }
    case PG_CODEC_INT4:
    case PG_CODEC_OID:
    case PG_CODEC_FLOAT4: return word_from_binary(id, p, n, out);
    case PG_CODEC_INT8:
    case PG_CODEC_FLOAT8:
    case PG_CODEC_TIME: return double_word_from_binary(id, p, n, out);
    case PG_CODEC_DECIMAL: return pg_decimal_from_binary(p, n, codec->type.precision, codec->type.scale, out);
    case PG_CODEC_DATE: return pg_date_from_binary(p, n, out);
    case PG_CODEC_TIMESTAMP:
    case PG_CODEC_TIMESTAMPTZ: return pg_timestamp_from_binary(p, n, out);
    case PG_CODEC_UUID:
        if (n != 16)
            return PG_VALUE_MALFORMED;
        memcpy(out, p, 16);
        return PG_VALUE_OK;
    case PG_CODEC_BYTEA:
    case PG_CODEC_TEXT:
    case PG_CODEC_JSONB: break;
    }
    return PG_VALUE_MALFORMED;
}
