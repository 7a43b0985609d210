/* Binary values back into the server's spelling. Only rows on their way to quarantine come here. */
#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "source/postgres/pg_datetime.h"
#include "source/postgres/pg_numeric.h"
#include "source/postgres/pg_value.h"

static enum dm_status spell_hex(const uint8_t *p, size_t n, struct dm_buffer *out, struct dm_error *err)
{
    enum dm_status status = dm_buffer_append(out, "\\x", 2, err);
    for (size_t i = 0; i < n && status == DM_OK; i++)
        status = dm_buffer_printf(out, err, "%02x", p[i]);
    return status;
}

static enum dm_status spell_uuid(const uint8_t *p, struct dm_buffer *out, struct dm_error *err)
{
    enum dm_status status = DM_OK;
    for (int i = 0; i < 16 && status == DM_OK; i++)
        status = dm_buffer_printf(out, err, i == 4 || i == 6 || i == 8 || i == 10 ? "-%02x" : "%02x", p[i]);
    return status;
}

/* Moments that do not fit our own range are spelled from the server's integer. */
static enum dm_status spell_moment(const struct pg_codec *codec, const uint8_t *p, struct dm_buffer *out,
                                   struct dm_error *err)
{
    char text[96];
    int64_t micros = (int64_t)dm_get_be64(p);
    if (micros == INT64_MAX || micros == INT64_MIN)
        return dm_buffer_printf(out, err, "%s", micros > 0 ? "infinity" : "-infinity");
    bool zone = codec->id == PG_CODEC_TIMESTAMPTZ;
    if (micros < INT64_MAX - PG_EPOCH_MICROS)
        return dm_buffer_printf(out, err, "%s",
                                pg_timestamp_spell(micros + PG_EPOCH_MICROS, zone, text, sizeof text));
    /* 400 years are a whole number of days, and the calendar repeats */
    int64_t cycle = INT64_C(146097) * 86400000000;
    (void)pg_timestamp_spell(micros - cycle + PG_EPOCH_MICROS, zone, text, sizeof text);
    long year = 0;
    int used = 0;
    if (sscanf(text, "%ld%n", &year, &used) != 1)
        return dm_buffer_printf(out, err, "%s", text);
    return dm_buffer_printf(out, err, "%ld%s", year + 400, text + used);
}

static enum dm_status spell_scalar(const struct pg_codec *codec, const uint8_t *p, size_t n,
                                   struct dm_buffer *out, struct dm_error *err)
{
    char text[64];
    if (codec->id == PG_CODEC_TEXT)
        return dm_buffer_append(out, p, n, err);
    if (codec->id == PG_CODEC_JSONB)
        return n > 0 ? dm_buffer_append(out, p + 1, n - 1, err) : DM_OK;
    if (codec->id == PG_CODEC_BYTEA)
        return spell_hex(p, n, out, err);
    if (codec->id == PG_CODEC_DECIMAL)
        return pg_numeric_spell(p, n, out, err);
    if ((codec->id == PG_CODEC_TIMESTAMP || codec->id == PG_CODEC_TIMESTAMPTZ) && n == 8)
        return spell_moment(codec, p, out, err);
    _Alignas(16) uint8_t value[16];
    if (pg_scalar_from_binary(codec, p, n, value) != PG_VALUE_OK)
        return spell_hex(p, n, out, err);
    int32_t i32;
    int64_t i64;
    memcpy(&i32, value, sizeof i32);
    memcpy(&i64, value, sizeof i64);
    switch ((enum pg_codec_id)codec->id) {
    case PG_CODEC_BOOL: return dm_buffer_append(out, value[0] ? "t" : "f", 1, err);
    case PG_CODEC_INT2:
    case PG_CODEC_INT4: return dm_buffer_printf(out, err, "%d", i32);
    case PG_CODEC_INT8:
    case PG_CODEC_OID: return dm_buffer_printf(out, err, "%lld", (long long)i64);
    case PG_CODEC_FLOAT4: {
        float f;
        memcpy(&f, value, sizeof f);
        return dm_buffer_printf(out, err, "%.9g", (double)f);
    }
    case PG_CODEC_FLOAT8: {
        double d;
        memcpy(&d, value, sizeof d);
        return dm_buffer_printf(out, err, "%.17g", d);
    }
    case PG_CODEC_DATE: return dm_buffer_printf(out, err, "%s", pg_date_spell(i32, text, sizeof text));
    case PG_CODEC_TIME: return dm_buffer_printf(out, err, "%s", pg_time_spell(i64, text, sizeof text));
    case PG_CODEC_UUID: return spell_uuid(value, out, err);
    default: return spell_hex(p, n, out, err);
    }
}

struct spelling {
    const struct pg_codec *element;
    const uint8_t *p;
    size_t n;
    size_t at;
};

static enum dm_status spell_element(struct spelling *s, struct dm_buffer *out, struct dm_error *err)
{
    if (s->n - s->at < 4) {
        s->at = s->n;
        return dm_buffer_printf(out, err, "(damaged)");
    }
    uint32_t size = dm_get_be32(s->p + s->at);
    s->at += 4;
    if (size == UINT32_MAX)
        return dm_buffer_append(out, "NULL", 4, err);
    if (size > s->n - s->at) {
        s->at = s->n;
        return dm_buffer_printf(out, err, "(damaged)");
    }
    struct dm_buffer plain;
    dm_buffer_init(&plain, out->max);
    enum dm_status status = spell_scalar(s->element, s->p + s->at, size, &plain, err);
    s->at += size;
    bool quote = s->element->id == PG_CODEC_TEXT || s->element->id == PG_CODEC_JSONB ||
                 s->element->id == PG_CODEC_BYTEA || s->element->id >= PG_CODEC_TIMESTAMP;
    if (status == DM_OK && quote)
        status = dm_buffer_append_byte(out, '"', err);
    for (size_t i = 0; i < plain.len && status == DM_OK; i++) {
        if (plain.data[i] == '"' || plain.data[i] == '\\')
            status = dm_buffer_append_byte(out, '\\', err);
        if (status == DM_OK)
            status = dm_buffer_append_byte(out, plain.data[i], err);
    }
    if (status == DM_OK && quote)
        status = dm_buffer_append_byte(out, '"', err);
    dm_buffer_release(&plain);
    return status;
}

/* Elements of one dimension, and of the ones inside it. */
static enum dm_status spell_dimension(struct spelling *s, int dimension, int dimensions,
                                      struct dm_buffer *out, struct dm_error *err)
{
    uint32_t count = dm_get_be32(s->p + 12 + 8 * dimension);
    enum dm_status status = dm_buffer_append_byte(out, '{', err);
    for (uint32_t i = 0; i < count && s->at < s->n && status == DM_OK; i++) {
        if (i > 0)
            status = dm_buffer_append_byte(out, (uint8_t)s->element->delimiter, err);
        if (status == DM_OK)
            status = dimension + 1 < dimensions ? spell_dimension(s, dimension + 1, dimensions, out, err)
                                                : spell_element(s, out, err);
    }
    return status == DM_OK ? dm_buffer_append_byte(out, '}', err) : status;
}

static enum dm_status spell_array(const struct pg_codec *codec, const uint8_t *p, size_t n,
                                  struct dm_buffer *out, struct dm_error *err)
{
    uint32_t dimensions = n >= 12 ? dm_get_be32(p) : 0;
    if (n < 12 || dimensions > 6 || n < 12 + 8 * (size_t)dimensions)
        return spell_hex(p, n, out, err);
    if (dimensions == 0)
        return dm_buffer_append(out, "{}", 2, err);
    bool shifted = false;
    for (uint32_t d = 0; d < dimensions; d++) {
        shifted = shifted || dm_get_be32(p + 16 + 8 * d) != 1;
        if (dm_get_be32(p + 12 + 8 * d) ==
            0) /* the server has no such arrays, and they would never end here */
            return spell_hex(p, n, out, err);
    }
    enum dm_status status = DM_OK;
    for (uint32_t d = 0; d < dimensions && shifted && status == DM_OK; d++) {
        int64_t low = (int32_t)dm_get_be32(p + 16 + 8 * d), count = (int32_t)dm_get_be32(p + 12 + 8 * d);
        status = dm_buffer_printf(out, err, "[%lld:%lld]", (long long)low, (long long)(low + count - 1));
    }
    if (shifted && status == DM_OK)
        status = dm_buffer_append_byte(out, '=', err);
    struct pg_codec element = *codec;
    element.array = false;
    element.type = dm_type_element(codec->type);
    struct spelling s = {&element, p, n, 12 + 8 * (size_t)dimensions};
    return status == DM_OK ? spell_dimension(&s, 0, (int)dimensions, out, err) : status;
}

enum dm_status pg_value_spell_binary(const struct pg_codec *codec, const uint8_t *p, size_t n,
                                     struct dm_buffer *out, struct dm_error *err)
{
    if (codec->as_text)
        return dm_buffer_append(out, p, n, err);
    return codec->array ? spell_array(codec, p, n, out, err) : spell_scalar(codec, p, n, out, err);
}
