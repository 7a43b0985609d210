#include "engine/value_text.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "engine/float_text.h"
#include "engine/value_bare.h"

enum { MILLIS_PER_SECOND = 1000, MICROS_PER_SECOND = 1000000, NANOS_PER_SECOND = 1000000000 };

#define VALUE(type) (((const type *)data)[row])

static enum dm_status append(struct dm_buffer *out, const char *text, struct dm_error *err)
{
    return dm_buffer_append(out, text, strlen(text), err);
}

bool dm_value_is_null(duckdb_vector vector, uint64_t row)
{
    const uint64_t *validity = duckdb_vector_get_validity(vector);
    return validity != NULL && (validity[row / 64] >> (row % 64) & 1) == 0;
}

enum dm_status dm_json_string(struct dm_buffer *out, const char *text, size_t n, struct dm_error *err)
{
    if (dm_buffer_append_byte(out, '"', err) != DM_OK)
        return DM_FAIL;
    size_t done = 0;
    for (size_t i = 0; i <= n; i++) {
        unsigned char c = i < n ? (unsigned char)text[i] : '"'; /* the end flushes like something to escape */
        if (c >= 0x20 && c != '"' && c != '\\' && c != 0x7f)
            continue;
        if (dm_buffer_append(out, text + done, i - done, err) != DM_OK)
            return DM_FAIL;
        done = i + 1;
        if (i == n)
            break;
        static const char names[] = "btnvfr"; /* 8 to 13; JSON has no \v */
        enum dm_status status = c == '"' || c == '\\' ? dm_buffer_printf(out, err, "\\%c", c)
                                : c >= 8 && c <= 13 && c != 11
                                    ? dm_buffer_printf(out, err, "\\%c", names[c - 8])
                                    : dm_buffer_printf(out, err, "\\u%04x", c);
        if (status != DM_OK)
            return DM_FAIL;
    }
    return dm_buffer_append_byte(out, '"', err);
}

enum dm_status dm_value_integer(struct dm_buffer *out, unsigned __int128 size, bool negative, unsigned scale,
                                struct dm_error *err)
{
    char digits[64];
    size_t at = sizeof digits;
    unsigned n = 0;
    do {
        if (n == scale && scale != 0)
            digits[--at] = '.';
        digits[--at] = (char)('0' + (int)(size % 10));
        size /= 10;
        n++;
    } while (size != 0 || n <= scale);
    if (negative)
        digits[--at] = '-';
    return dm_buffer_append(out, digits + at, sizeof digits - at, err);
}

static enum dm_status append_integer(struct dm_buffer *out, __int128 v, unsigned scale, struct dm_error *err)
{
    return dm_value_integer(out, v < 0 ? -(unsigned __int128)v : (unsigned __int128)v, v < 0, scale, err);
}

static enum dm_status append_float(struct dm_buffer *out, double v, bool single, enum dm_spelling how,
                                   struct dm_error *err)
{
    if (how == DM_SPELL_JSON && isnan(v))
        return append(out, "\"NaN\"", err);
    if (how == DM_SPELL_JSON && isinf(v))
        return append(out, v > 0 ? "\"Infinity\"" : "\"-Infinity\"", err);
    char text[DM_FLOAT_TEXT_MAX];
    size_t n = single ? dm_float32_text((float)v, text) : dm_float64_text(v, text);
    return dm_buffer_append(out, text, n, err);
}

static enum dm_status append_bytes(struct dm_buffer *out, const struct dm_value_type *t, duckdb_string_t v,
                                   enum dm_spelling how, struct dm_error *err)
{
    size_t n = duckdb_string_t_length(v);
    const char *bytes = duckdb_string_t_data(&v);
    if (t->id == DUCKDB_TYPE_VARCHAR)
        return how == DM_SPELL_JSON ? dm_json_string(out, bytes, n, err)
                                    : dm_buffer_append(out, bytes, n, err);
    if (append(out, how == DM_SPELL_JSON ? "\"" : "\\x", err) != DM_OK ||
        dm_buffer_reserve(out, n * 2 + 1, err) != DM_OK)
        return DM_FAIL;
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < n; i++) {
        out->data[out->len++] = (uint8_t)digits[(unsigned char)bytes[i] >> 4];
        out->data[out->len++] = (uint8_t)digits[(unsigned char)bytes[i] & 15];
    }
    return how == DM_SPELL_JSON ? dm_buffer_append_byte(out, '"', err) : DM_OK;
}

static enum dm_status append_enum(struct dm_buffer *out, const struct dm_value_type *t, const void *data,
                                  uint64_t row, enum dm_spelling how, struct dm_error *err)
{
    uint64_t index = t->internal == DUCKDB_TYPE_UTINYINT    ? VALUE(uint8_t)
                     : t->internal == DUCKDB_TYPE_USMALLINT ? VALUE(uint16_t)
                                                            : VALUE(uint32_t);
    char *text = duckdb_enum_dictionary_value(t->type, index);
    if (text == NULL)
        return dm_fail(err, DM_ERROR_FATAL, NULL, "DuckDB gives no text of an enum value");
    enum dm_status status =
        how == DM_SPELL_JSON ? dm_json_string(out, text, strlen(text), err) : append(out, text, err);
    duckdb_free(text);
    return status;
}

static enum dm_status append_decimal(struct dm_buffer *out, const struct dm_value_type *t, const void *data,
                                     uint64_t row, struct dm_error *err)
{
    __int128 v = t->internal == DUCKDB_TYPE_SMALLINT  ? VALUE(int16_t)
                 : t->internal == DUCKDB_TYPE_INTEGER ? VALUE(int32_t)
                 : t->internal == DUCKDB_TYPE_BIGINT  ? VALUE(int64_t)
                                                      : VALUE(__int128);
    return append_integer(out, v, t->scale, err);
}

static enum dm_status append_value(struct dm_buffer *out, const struct dm_value_type *t, duckdb_vector vector,
                                   uint64_t row, enum dm_spelling how, struct dm_error *err);

static enum dm_status append_elements(struct dm_buffer *out, const struct dm_value_type *t,
                                      duckdb_vector child, uint64_t from, uint64_t n, enum dm_spelling how,
                                      struct dm_error *err)
{
    if (dm_buffer_append_byte(out, '[', err) != DM_OK)
        return DM_FAIL;
    for (uint64_t i = 0; i < n; i++)
        if ((i > 0 && append(out, how == DM_SPELL_JSON ? "," : ", ", err) != DM_OK) ||
            append_value(out, t, child, from + i, how, err) != DM_OK)
            return DM_FAIL;
    return dm_buffer_append_byte(out, ']', err);
}

static enum dm_status append_struct(struct dm_buffer *out, const struct dm_value_type *t,
                                    duckdb_vector vector, uint64_t row, enum dm_spelling how,
                                    struct dm_error *err)
{
    for (size_t i = 0; i < t->n; i++) {
        if (append(out, i == 0 ? "{" : how == DM_SPELL_JSON ? "," : ", ", err) != DM_OK)
            return DM_FAIL;
        enum dm_status status = how == DM_SPELL_JSON
                                    ? dm_json_string(out, t->names[i], strlen(t->names[i]), err)
                                    : dm_buffer_printf(out, err, "'%s'", t->names[i]);
        if (status != DM_OK || append(out, how == DM_SPELL_JSON ? ":" : ": ", err) != DM_OK ||
            append_value(out, &t->children[i], duckdb_struct_vector_get_child(vector, i), row, how, err) !=
                DM_OK)
            return DM_FAIL;
    }
    return dm_buffer_append_byte(out, '}', err);
}

static enum dm_status append_map(struct dm_buffer *out, const struct dm_value_type *t, duckdb_vector vector,
                                 duckdb_list_entry entry, enum dm_spelling how, struct dm_error *err)
{
    duckdb_vector pairs = duckdb_list_vector_get_child(vector);
    duckdb_vector keys = duckdb_struct_vector_get_child(pairs, 0),
                  values = duckdb_struct_vector_get_child(pairs, 1);
    if (append(out, how == DM_SPELL_JSON ? "[" : "{", err) != DM_OK)
        return DM_FAIL;
    for (uint64_t i = entry.offset; i < entry.offset + entry.length; i++)
        if ((i > entry.offset && append(out, how == DM_SPELL_JSON ? "," : ", ", err) != DM_OK) ||
            (how == DM_SPELL_JSON && append(out, "{\"key\":", err) != DM_OK) ||
            append_value(out, &t->children[0], keys, i, how, err) != DM_OK ||
            append(out, how == DM_SPELL_JSON ? ",\"value\":" : "=", err) != DM_OK ||
            append_value(out, &t->children[1], values, i, how, err) != DM_OK ||
            (how == DM_SPELL_JSON && append(out, "}", err) != DM_OK))
            return DM_FAIL;
    return append(out, how == DM_SPELL_JSON ? "]" : "}", err);
}

static enum dm_status append_nested(struct dm_buffer *out, const struct dm_value_type *t,
                                    duckdb_vector vector, uint64_t row, enum dm_spelling how,
                                    struct dm_error *err)
{
    const duckdb_list_entry *lists = duckdb_vector_get_data(vector);
    switch (t->id) {
    case DUCKDB_TYPE_LIST:
        return append_elements(out, &t->children[0], duckdb_list_vector_get_child(vector), lists[row].offset,
                               lists[row].length, how, err);
    case DUCKDB_TYPE_ARRAY:
        return append_elements(out, &t->children[0], duckdb_array_vector_get_child(vector),
                               row * t->array_size, t->array_size, how, err);
    case DUCKDB_TYPE_MAP: return append_map(out, t, vector, lists[row], how, err);
    default: return append_struct(out, t, vector, row, how, err);
    }
}

static enum dm_status append_timestamp(struct dm_buffer *out, int64_t v, int64_t per_second, bool zoned,
                                       enum dm_spelling how, struct dm_error *err)
{
    if (v == INT64_MAX || v == -INT64_MAX)
        return dm_infinity_text(out, v > 0, how, err);
    return dm_timestamp_text(out, v, per_second, zoned, how, err);
}

/* 40 bits of microseconds; 24 bits that count the offset down from 15:59:59. */
static enum dm_status append_time_tz(struct dm_buffer *out, uint64_t bits, enum dm_spelling how,
                                     struct dm_error *err)
{
    enum { OFFSET_MAX = 16 * 3600 - 1 };
    int offset = OFFSET_MAX - (int)(bits & 0xffffff);
    unsigned size = (unsigned)(offset < 0 ? -offset : offset);
    char zone[32];
    int n = snprintf(zone, sizeof zone, "%c%02u", offset < 0 ? '-' : '+', size / 3600);
    if (size % 3600 != 0)
        n += snprintf(zone + n, sizeof zone - (size_t)n, ":%02u", size / 60 % 60);
    if (size % 60 != 0)
        (void)snprintf(zone + n, sizeof zone - (size_t)n, ":%02u", size % 60);
    return dm_time_text(out, (int64_t)(bits >> 24), MICROS_PER_SECOND, zone, how, err);
}

/* Dates and times. */
static enum dm_status append_moment(struct dm_buffer *out, const struct dm_value_type *t, const void *data,
                                    uint64_t row, enum dm_spelling how, struct dm_error *err)
{
    switch (t->id) {
    case DUCKDB_TYPE_DATE: return dm_date_text(out, VALUE(int32_t), how, err);
    case DUCKDB_TYPE_TIME: return dm_time_text(out, VALUE(int64_t), MICROS_PER_SECOND, "", how, err);
    case DUCKDB_TYPE_TIME_TZ: return append_time_tz(out, VALUE(uint64_t), how, err);
    case DUCKDB_TYPE_TIME_NS: return dm_time_text(out, VALUE(int64_t), NANOS_PER_SECOND, "", how, err);
    case DUCKDB_TYPE_TIMESTAMP:
        return append_timestamp(out, VALUE(int64_t), MICROS_PER_SECOND, false, how, err);
    case DUCKDB_TYPE_TIMESTAMP_TZ:
        return append_timestamp(out, VALUE(int64_t), MICROS_PER_SECOND, true, how, err);
    case DUCKDB_TYPE_TIMESTAMP_S: return append_timestamp(out, VALUE(int64_t), 1, false, how, err);
    case DUCKDB_TYPE_TIMESTAMP_MS:
        return append_timestamp(out, VALUE(int64_t), MILLIS_PER_SECOND, false, how, err);
    case DUCKDB_TYPE_TIMESTAMP_NS:
        return append_timestamp(out, VALUE(int64_t), NANOS_PER_SECOND, false, how, err);
    default: {
        duckdb_interval v = VALUE(duckdb_interval);
        return dm_interval_text(out, v.months, v.days, v.micros, how, err);
    }
    }
}

static enum dm_status append_number(struct dm_buffer *out, const struct dm_value_type *t, const void *data,
                                    uint64_t row, enum dm_spelling how, struct dm_error *err)
{
    switch (t->id) {
    case DUCKDB_TYPE_TINYINT: return append_integer(out, VALUE(int8_t), 0, err);
    case DUCKDB_TYPE_SMALLINT: return append_integer(out, VALUE(int16_t), 0, err);
    case DUCKDB_TYPE_INTEGER: return append_integer(out, VALUE(int32_t), 0, err);
    case DUCKDB_TYPE_BIGINT: return append_integer(out, VALUE(int64_t), 0, err);
    case DUCKDB_TYPE_UTINYINT: return append_integer(out, VALUE(uint8_t), 0, err);
    case DUCKDB_TYPE_USMALLINT: return append_integer(out, VALUE(uint16_t), 0, err);
    case DUCKDB_TYPE_UINTEGER: return append_integer(out, VALUE(uint32_t), 0, err);
    case DUCKDB_TYPE_UBIGINT: return append_integer(out, VALUE(uint64_t), 0, err);
    case DUCKDB_TYPE_HUGEINT: return append_integer(out, VALUE(__int128), 0, err);
    case DUCKDB_TYPE_UHUGEINT: return dm_value_integer(out, VALUE(unsigned __int128), false, 0, err);
    case DUCKDB_TYPE_DECIMAL: return append_decimal(out, t, data, row, err);
    case DUCKDB_TYPE_FLOAT: return append_float(out, (double)VALUE(float), true, how, err);
    default: return append_float(out, VALUE(double), false, how, err);
    }
}

static enum dm_status append_uuid(struct dm_buffer *out, duckdb_hugeint v, enum dm_spelling how,
                                  struct dm_error *err)
{
    uint64_t high = (uint64_t)v.upper ^ UINT64_C(1) << 63; /* the top bit is flipped, see vector_fill.c */
    const char *quote = how == DM_SPELL_JSON ? "\"" : "";
    return dm_buffer_printf(out, err, "%s%08x-%04x-%04x-%04x-%012llx%s", quote, (unsigned)(high >> 32),
                            (unsigned)(high >> 16 & 0xffff), (unsigned)(high & 0xffff),
                            (unsigned)(v.lower >> 48), (unsigned long long)(v.lower & 0xffffffffffff), quote);
}

static enum dm_status append_value(struct dm_buffer *out, const struct dm_value_type *t, duckdb_vector vector,
                                   uint64_t row, enum dm_spelling how, struct dm_error *err)
{
    if (t->id == DUCKDB_TYPE_SQLNULL || dm_value_is_null(vector, row))
        return append(out, how == DM_SPELL_JSON ? "null" : "NULL", err);
    const void *data = duckdb_vector_get_data(vector);
    if (t->meaning > DM_MEANS_NULL)
        return dm_bare_text(out, t, data, row, how, err);
    if (dm_value_type_is_number(t))
        return append_number(out, t, data, row, how, err);
    switch (t->id) {
    case DUCKDB_TYPE_BOOLEAN: return append(out, VALUE(bool) ? "true" : "false", err);
    case DUCKDB_TYPE_VARCHAR:
    case DUCKDB_TYPE_BLOB: return append_bytes(out, t, VALUE(duckdb_string_t), how, err);
    case DUCKDB_TYPE_ENUM: return append_enum(out, t, data, row, how, err);
    case DUCKDB_TYPE_UUID: return append_uuid(out, VALUE(duckdb_hugeint), how, err);
    case DUCKDB_TYPE_LIST:
    case DUCKDB_TYPE_ARRAY:
    case DUCKDB_TYPE_MAP:
    case DUCKDB_TYPE_STRUCT: return append_nested(out, t, vector, row, how, err);
    default: return append_moment(out, t, data, row, how, err);
    }
}

enum dm_status dm_value_text(struct dm_buffer *out, const struct dm_value_type *t, duckdb_vector vector,
                             uint64_t row, enum dm_spelling how, struct dm_error *err)
{
    return append_value(out, t, vector, row, how, err);
}
