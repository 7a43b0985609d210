#include "engine/value_text.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "base/calendar.h"

enum { MICROS_PER_SECOND = 1000000, NANOS_PER_SECOND = 1000000000 };

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

/* An unscaled integer with its decimal point. */
static enum dm_status append_int128(struct dm_buffer *out, __int128 v, unsigned scale, struct dm_error *err)
{
    char digits[64];
    size_t at = sizeof digits;
    unsigned __int128 rest = v < 0 ? -(unsigned __int128)v : (unsigned __int128)v;
    unsigned n = 0;
    do {
        if (n == scale && scale != 0)
            digits[--at] = '.';
        digits[--at] = (char)('0' + (int)(rest % 10));
        rest /= 10;
        n++;
    } while (rest != 0 || n <= scale);
    if (v < 0)
        digits[--at] = '-';
    return dm_buffer_append(out, digits + at, sizeof digits - at, err);
}

/* DuckDB's own text of a scalar; `value` is destroyed. */
static enum dm_status append_duckdb(struct dm_buffer *out, duckdb_value value, bool json,
                                    struct dm_error *err)
{
    char *text = duckdb_get_varchar(value);
    duckdb_destroy_value(&value);
    if (text == NULL)
        return dm_fail(err, DM_ERROR_FATAL, NULL, "DuckDB gives no text of a value");
    enum dm_status status = json ? dm_json_string(out, text, strlen(text), err) : append(out, text, err);
    duckdb_free(text);
    return status;
}

static enum dm_status append_float(struct dm_buffer *out, double v, bool single, bool json,
                                   struct dm_error *err)
{
    if (json && isnan(v))
        return append(out, "\"NaN\"", err);
    if (json && isinf(v))
        return append(out, v > 0 ? "\"Infinity\"" : "\"-Infinity\"", err);
    return append_duckdb(out, single ? duckdb_create_float((float)v) : duckdb_create_double(v), false, err);
}

static enum dm_status append_iso_date(struct dm_buffer *out, int64_t days, struct dm_error *err)
{
    int64_t year;
    unsigned month, day;
    dm_date_of(days, &year, &month, &day);
    const char *sign = year < 0 ? "-" : year > 9999 ? "+" : "";
    return dm_buffer_printf(out, err, "%s%04lld-%02u-%02u", sign, (long long)(year < 0 ? -year : year), month,
                            day);
}

/* `v` counts units of which `per_second` are a second. */
static enum dm_status append_iso_time(struct dm_buffer *out, int64_t v, int per_second, struct dm_error *err)
{
    int64_t seconds = v / per_second;
    int fraction = (int)(v % per_second);
    if (dm_buffer_printf(out, err, "%02d:%02d:%02d", (int)(seconds / 3600), (int)(seconds / 60 % 60),
                         (int)(seconds % 60)) != DM_OK)
        return DM_FAIL;
    if (fraction == 0)
        return DM_OK;
    int digits = per_second == NANOS_PER_SECOND ? 9 : 6;
    for (; fraction % 10 == 0; fraction /= 10)
        digits--;
    return dm_buffer_printf(out, err, ".%0*d", digits, fraction);
}

static enum dm_status append_infinity(struct dm_buffer *out, bool positive, struct dm_error *err)
{
    return append(out, positive ? "\"infinity\"" : "\"-infinity\"", err);
}

static enum dm_status json_date(struct dm_buffer *out, int32_t days, struct dm_error *err)
{
    if (days == INT32_MAX || days == -INT32_MAX)
        return append_infinity(out, days > 0, err);
    if (dm_buffer_append_byte(out, '"', err) != DM_OK || append_iso_date(out, days, err) != DM_OK)
        return DM_FAIL;
    return dm_buffer_append_byte(out, '"', err);
}

/* 2026-11-21, `between`, 10:05:59.123456789. DuckDB's own text fails for the first hours that 64 bits of nanoseconds hold. */
static enum dm_status append_iso_timestamp(struct dm_buffer *out, __int128 v, int per_second, char between,
                                           struct dm_error *err)
{
    const int64_t day = INT64_C(86400) * per_second;
    int64_t days = (int64_t)(v / day), rest = (int64_t)(v % day);
    if (rest < 0) {
        rest += day;
        days--;
    }
    if (append_iso_date(out, days, err) != DM_OK ||
        dm_buffer_append_byte(out, (uint8_t)between, err) != DM_OK)
        return DM_FAIL;
    return append_iso_time(out, rest, per_second, err);
}

static enum dm_status json_timestamp(struct dm_buffer *out, int64_t v, int per_second, const char *zone,
                                     struct dm_error *err)
{
    if (v == INT64_MAX || v == -INT64_MAX)
        return append_infinity(out, v > 0, err);
    if (dm_buffer_append_byte(out, '"', err) != DM_OK ||
        append_iso_timestamp(out, v, per_second, 'T', err) != DM_OK)
        return DM_FAIL;
    return dm_buffer_printf(out, err, "%s\"", zone);
}

static enum dm_status append_nanos(struct dm_buffer *out, int64_t ns, bool zoned, bool json,
                                   struct dm_error *err)
{
    if (json)
        return json_timestamp(out, ns, NANOS_PER_SECOND, zoned ? "Z" : "", err);
    if (ns == INT64_MAX || ns == -INT64_MAX)
        return append(out, ns > 0 ? "infinity" : "-infinity", err);
    if (append_iso_timestamp(out, ns, NANOS_PER_SECOND, ' ', err) != DM_OK)
        return DM_FAIL;
    return append(out, zoned ? "+00" : "", err);
}

__int128 dm_value_int96(duckdb_string_t v)
{
    enum { JULIAN_1970 = 2440588 };
    const char *bytes = duckdb_string_t_data(&v);
    assert(duckdb_string_t_length(v) == 12);
    int64_t days = (int64_t)dm_get_le32(bytes + 8) - JULIAN_1970;
    return (__int128)days * 86400 * NANOS_PER_SECOND + (int64_t)dm_get_le64(bytes);
}

/* No number of it is infinite. */
static enum dm_status append_int96(struct dm_buffer *out, duckdb_string_t v, bool json, struct dm_error *err)
{
    if ((json && dm_buffer_append_byte(out, '"', err) != DM_OK) ||
        append_iso_timestamp(out, dm_value_int96(v), NANOS_PER_SECOND, json ? 'T' : ' ', err) != DM_OK)
        return DM_FAIL;
    return json ? dm_buffer_append_byte(out, '"', err) : DM_OK;
}

static enum dm_status json_time(struct dm_buffer *out, int64_t us, struct dm_error *err)
{
    if (dm_buffer_append_byte(out, '"', err) != DM_OK ||
        append_iso_time(out, us, MICROS_PER_SECOND, err) != DM_OK)
        return DM_FAIL;
    return dm_buffer_append_byte(out, '"', err);
}

static enum dm_status append_bytes(struct dm_buffer *out, const struct dm_value_type *t, duckdb_string_t v,
                                   bool json, struct dm_error *err)
{
    size_t n = duckdb_string_t_length(v);
    const char *bytes = duckdb_string_t_data(&v);
    if (t->id == DUCKDB_TYPE_VARCHAR)
        return json ? dm_json_string(out, bytes, n, err) : dm_buffer_append(out, bytes, n, err);
    if (append(out, json ? "\"" : "\\x", err) != DM_OK || dm_buffer_reserve(out, n * 2 + 1, err) != DM_OK)
        return DM_FAIL;
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < n; i++) {
        out->data[out->len++] = (uint8_t)digits[(unsigned char)bytes[i] >> 4];
        out->data[out->len++] = (uint8_t)digits[(unsigned char)bytes[i] & 15];
    }
    return json ? dm_buffer_append_byte(out, '"', err) : DM_OK;
}

static enum dm_status append_enum(struct dm_buffer *out, const struct dm_value_type *t, const void *data,
                                  uint64_t row, bool json, struct dm_error *err)
{
    uint64_t index = t->internal == DUCKDB_TYPE_UTINYINT    ? VALUE(uint8_t)
                     : t->internal == DUCKDB_TYPE_USMALLINT ? VALUE(uint16_t)
                                                            : VALUE(uint32_t);
    char *text = duckdb_enum_dictionary_value(t->type, index);
    if (text == NULL)
        return dm_fail(err, DM_ERROR_FATAL, NULL, "DuckDB gives no text of an enum value");
    enum dm_status status = json ? dm_json_string(out, text, strlen(text), err) : append(out, text, err);
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
    return append_int128(out, v, t->scale, err);
}

static enum dm_status append_value(struct dm_buffer *out, const struct dm_value_type *t, duckdb_vector vector,
                                   uint64_t row, bool json, struct dm_error *err);

static enum dm_status append_elements(struct dm_buffer *out, const struct dm_value_type *t,
                                      duckdb_vector child, uint64_t from, uint64_t n, bool json,
                                      struct dm_error *err)
{
    if (dm_buffer_append_byte(out, '[', err) != DM_OK)
        return DM_FAIL;
    for (uint64_t i = 0; i < n; i++)
        if ((i > 0 && append(out, json ? "," : ", ", err) != DM_OK) ||
            append_value(out, t, child, from + i, json, err) != DM_OK)
            return DM_FAIL;
    return dm_buffer_append_byte(out, ']', err);
}

static enum dm_status append_struct(struct dm_buffer *out, const struct dm_value_type *t,
                                    duckdb_vector vector, uint64_t row, bool json, struct dm_error *err)
{
    for (size_t i = 0; i < t->n; i++) {
        if (append(out, i == 0 ? "{" : json ? "," : ", ", err) != DM_OK)
            return DM_FAIL;
        enum dm_status status = json ? dm_json_string(out, t->names[i], strlen(t->names[i]), err)
                                     : dm_buffer_printf(out, err, "'%s'", t->names[i]);
        if (status != DM_OK || append(out, json ? ":" : ": ", err) != DM_OK ||
            append_value(out, &t->children[i], duckdb_struct_vector_get_child(vector, i), row, json, err) !=
                DM_OK)
            return DM_FAIL;
    }
    return dm_buffer_append_byte(out, '}', err);
}

static enum dm_status append_map(struct dm_buffer *out, const struct dm_value_type *t, duckdb_vector vector,
                                 duckdb_list_entry entry, bool json, struct dm_error *err)
{
    duckdb_vector pairs = duckdb_list_vector_get_child(vector);
    duckdb_vector keys = duckdb_struct_vector_get_child(pairs, 0),
                  values = duckdb_struct_vector_get_child(pairs, 1);
    if (append(out, json ? "[" : "{", err) != DM_OK)
        return DM_FAIL;
    for (uint64_t i = entry.offset; i < entry.offset + entry.length; i++)
        if ((i > entry.offset && append(out, json ? "," : ", ", err) != DM_OK) ||
            (json && append(out, "{\"key\":", err) != DM_OK) ||
            append_value(out, &t->children[0], keys, i, json, err) != DM_OK ||
            append(out, json ? ",\"value\":" : "=", err) != DM_OK ||
            append_value(out, &t->children[1], values, i, json, err) != DM_OK ||
            (json && append(out, "}", err) != DM_OK))
            return DM_FAIL;
    return append(out, json ? "]" : "}", err);
}

static enum dm_status append_nested(struct dm_buffer *out, const struct dm_value_type *t,
                                    duckdb_vector vector, uint64_t row, bool json, struct dm_error *err)
{
    const duckdb_list_entry *lists = duckdb_vector_get_data(vector);
    switch (t->id) {
    case DUCKDB_TYPE_LIST:
        return append_elements(out, &t->children[0], duckdb_list_vector_get_child(vector), lists[row].offset,
                               lists[row].length, json, err);
    case DUCKDB_TYPE_ARRAY:
        return append_elements(out, &t->children[0], duckdb_array_vector_get_child(vector),
                               row * t->array_size, t->array_size, json, err);
    case DUCKDB_TYPE_MAP: return append_map(out, t, vector, lists[row], json, err);
    default: return append_struct(out, t, vector, row, json, err);
    }
}

/* Dates and times. */
static enum dm_status append_moment(struct dm_buffer *out, const struct dm_value_type *t, const void *data,
                                    uint64_t row, bool json, struct dm_error *err)
{
    switch (t->id) {
    case DUCKDB_TYPE_DATE:
        return json ? json_date(out, VALUE(int32_t), err)
                    : append_duckdb(out, duckdb_create_date(VALUE(duckdb_date)), false, err);
    case DUCKDB_TYPE_TIME:
        return json ? json_time(out, VALUE(int64_t), err)
                    : append_duckdb(out, duckdb_create_time(VALUE(duckdb_time)), false, err);
    case DUCKDB_TYPE_TIMESTAMP:
        return json ? json_timestamp(out, VALUE(int64_t), MICROS_PER_SECOND, "", err)
                    : append_duckdb(out, duckdb_create_timestamp(VALUE(duckdb_timestamp)), false, err);
    case DUCKDB_TYPE_TIMESTAMP_TZ:
        return json ? json_timestamp(out, VALUE(int64_t), MICROS_PER_SECOND, "Z", err)
                    : append_duckdb(out, duckdb_create_timestamp_tz(VALUE(duckdb_timestamp)), false, err);
    case DUCKDB_TYPE_TIMESTAMP_S:
        return append_duckdb(out, duckdb_create_timestamp_s(VALUE(duckdb_timestamp_s)), json, err);
    case DUCKDB_TYPE_TIMESTAMP_MS:
        return append_duckdb(out, duckdb_create_timestamp_ms(VALUE(duckdb_timestamp_ms)), json, err);
    case DUCKDB_TYPE_TIMESTAMP_NS: return append_nanos(out, VALUE(int64_t), t->zoned, json, err);
    case DUCKDB_TYPE_TIME_TZ:
        return append_duckdb(out, duckdb_create_time_tz_value(VALUE(duckdb_time_tz)), json, err);
    default: return append_duckdb(out, duckdb_create_interval(VALUE(duckdb_interval)), json, err);
    }
}

static enum dm_status append_number(struct dm_buffer *out, const struct dm_value_type *t, const void *data,
                                    uint64_t row, bool json, struct dm_error *err)
{
    switch (t->id) {
    case DUCKDB_TYPE_TINYINT: return append_int128(out, VALUE(int8_t), 0, err);
    case DUCKDB_TYPE_SMALLINT: return append_int128(out, VALUE(int16_t), 0, err);
    case DUCKDB_TYPE_INTEGER: return append_int128(out, VALUE(int32_t), 0, err);
    case DUCKDB_TYPE_BIGINT: return append_int128(out, VALUE(int64_t), 0, err);
    case DUCKDB_TYPE_UTINYINT: return append_int128(out, VALUE(uint8_t), 0, err);
    case DUCKDB_TYPE_USMALLINT: return append_int128(out, VALUE(uint16_t), 0, err);
    case DUCKDB_TYPE_UINTEGER: return append_int128(out, VALUE(uint32_t), 0, err);
    case DUCKDB_TYPE_UBIGINT: return append_int128(out, VALUE(uint64_t), 0, err);
    case DUCKDB_TYPE_HUGEINT: return append_int128(out, VALUE(__int128), 0, err);
    case DUCKDB_TYPE_UHUGEINT:
        return append_duckdb(out, duckdb_create_uhugeint(VALUE(duckdb_uhugeint)), false, err);
    case DUCKDB_TYPE_DECIMAL: return append_decimal(out, t, data, row, err);
    case DUCKDB_TYPE_FLOAT: return append_float(out, (double)VALUE(float), true, json, err);
    default: return append_float(out, VALUE(double), false, json, err);
    }
}

static enum dm_status append_value(struct dm_buffer *out, const struct dm_value_type *t, duckdb_vector vector,
                                   uint64_t row, bool json, struct dm_error *err)
{
    if (t->id == DUCKDB_TYPE_SQLNULL || dm_value_is_null(vector, row))
        return append(out, json ? "null" : "NULL", err);
    const void *data = duckdb_vector_get_data(vector);
    if (dm_value_type_is_number(t))
        return append_number(out, t, data, row, json, err);
    switch (t->id) {
    case DUCKDB_TYPE_BOOLEAN: return append(out, VALUE(bool) ? "true" : "false", err);
    case DUCKDB_TYPE_VARCHAR:
    case DUCKDB_TYPE_BLOB:
        return t->int96 ? append_int96(out, VALUE(duckdb_string_t), json, err)
                        : append_bytes(out, t, VALUE(duckdb_string_t), json, err);
    case DUCKDB_TYPE_ENUM: return append_enum(out, t, data, row, json, err);
    case DUCKDB_TYPE_UUID: { /* stored with the top bit flipped, see vector_fill.c */
        duckdb_hugeint v = VALUE(duckdb_hugeint);
        duckdb_uhugeint bits = {.lower = v.lower, .upper = (uint64_t)v.upper ^ UINT64_C(1) << 63};
        return append_duckdb(out, duckdb_create_uuid(bits), json, err);
    }
    case DUCKDB_TYPE_LIST:
    case DUCKDB_TYPE_ARRAY:
    case DUCKDB_TYPE_MAP:
    case DUCKDB_TYPE_STRUCT: return append_nested(out, t, vector, row, json, err);
    default: return append_moment(out, t, data, row, json, err);
    }
}

enum dm_status dm_value_plain(struct dm_buffer *out, const struct dm_value_type *t, duckdb_vector vector,
                              uint64_t row, struct dm_error *err)
{
    return append_value(out, t, vector, row, false, err);
}

enum dm_status dm_value_json(struct dm_buffer *out, const struct dm_value_type *t, duckdb_vector vector,
                             uint64_t row, struct dm_error *err)
{
    return append_value(out, t, vector, row, true, err);
}
