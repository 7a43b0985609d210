#include "engine/value_bare.h"

#include <math.h>
#include <string.h>

#include "base/bytes.h"
#include "engine/change_row.h"
#include "engine/float_text.h"

enum { MILLIS = 1000, MICROS = 1000000, NANOS = 1000000000, DAY = 86400 };
/* Of a decimal, without bytes that only repeat the sign: more than 2400 digits. */
enum { DECIMAL_BYTES_MAX = 1024, DECIMAL_DIGITS_MAX = 2500, BILLION_DIGITS = 9 };

struct bytes {
    const uint8_t *at;
    size_t n;
};

static struct bytes bytes_at(const void *data, uint64_t row)
{
    duckdb_string_t *v = &((duckdb_string_t *)(uintptr_t)data)[row];
    return (struct bytes){(const uint8_t *)duckdb_string_t_data(v), duckdb_string_t_length(*v)};
}

static int64_t integer_at(duckdb_type id, const void *data, uint64_t row)
{
    return id == DUCKDB_TYPE_INTEGER ? ((const int32_t *)data)[row] : ((const int64_t *)data)[row];
}

/* ---- decimals of any length ---- */

/* Without the bytes at its beginning that only repeat the sign. */
static struct bytes significant(struct bytes b)
{
    while (b.n > 1 && ((b.at[0] == 0 && b.at[1] < 0x80) || (b.at[0] == 0xff && b.at[1] >= 0x80))) {
        b.at++;
        b.n--;
    }
    return b;
}

/* Of an integer the bytes from the highest on. */
static struct bytes decimal_at(const struct dm_value_type *t, const void *data, uint64_t row, uint8_t *room)
{
    if (t->id == DUCKDB_TYPE_BLOB)
        return significant(bytes_at(data, row));
    dm_put_be64(room, (uint64_t)integer_at(t->id, data, row));
    return significant((struct bytes){room, 8});
}

/* Two's complement of up to 16 bytes. */
static dm_int128 int128_of(struct bytes b)
{
    unsigned __int128 v = b.at[0] >= 0x80 ? ~(unsigned __int128)0 : 0;
    for (size_t i = 0; i < b.n; i++)
        v = v << 8 | b.at[i];
    return (dm_int128)v;
}

/* The digits of its size, from the end of `out`; returns how many. Divides by a billion again and again. */
static size_t digits_of(struct bytes b, char out[DECIMAL_DIGITS_MAX])
{
    uint32_t words[DECIMAL_BYTES_MAX / 4 + 1];
    size_t n_words = (b.n + 3) / 4, n = 0;
    bool negative = b.at[0] >= 0x80;
    uint64_t carry = negative;
    for (size_t w = n_words; w-- > 0;) { /* the lowest word last */
        uint32_t v = 0;
        for (size_t k = 4; k-- > 0;) {
            size_t from_end = (n_words - 1 - w) * 4 + k;
            uint8_t byte = from_end < b.n ? b.at[b.n - 1 - from_end] : negative ? 0xff : 0;
            v = v << 8 | byte;
        }
        carry += negative ? (uint32_t)~v : v;
        words[w] = (uint32_t)carry;
        carry >>= 32;
    }
    for (size_t first = 0; first < n_words;) {
        uint64_t rest = 0;
        for (size_t w = first; w < n_words; w++) {
            rest = rest << 32 | words[w];
            words[w] = (uint32_t)(rest / NANOS);
            rest %= NANOS;
        }
        while (first < n_words && words[first] == 0)
            first++;
        for (int k = 0; k < BILLION_DIGITS && (first < n_words || rest != 0 || n == 0); k++, rest /= 10)
            out[DECIMAL_DIGITS_MAX - ++n] = (char)('0' + (int)(rest % 10));
    }
    return n;
}

static enum dm_status zeros(struct dm_buffer *out, int64_t n, struct dm_error *err)
{
    enum dm_status status = DM_OK;
    for (; n > 0 && status == DM_OK; n--)
        status = dm_buffer_append_byte(out, '0', err);
    return status;
}

static enum dm_status decimal_text(struct dm_buffer *out, struct bytes b, int64_t scale, struct dm_error *err)
{
    char room[DECIMAL_DIGITS_MAX];
    size_t n = digits_of(b, room);
    const char *digits = room + sizeof room - n;
    if (b.at[0] >= 0x80 && dm_buffer_append_byte(out, '-', err) != DM_OK)
        return DM_FAIL;
    if (scale <= 0)
        return dm_buffer_append(out, digits, n, err) == DM_OK ? zeros(out, digits[0] == '0' ? 0 : -scale, err)
                                                              : DM_FAIL;
    size_t whole = n > (size_t)scale ? n - (size_t)scale : 0;
    if ((whole == 0 ? dm_buffer_append_byte(out, '0', err) : dm_buffer_append(out, digits, whole, err)) !=
            DM_OK ||
        dm_buffer_append_byte(out, '.', err) != DM_OK || zeros(out, scale - (int64_t)n, err) != DM_OK)
        return DM_FAIL;
    return dm_buffer_append(out, digits + whole, n - whole, err);
}

static dm_int128 power_of_ten(unsigned n)
{
    dm_int128 v = 1;
    while (n-- > 0)
        v *= 10;
    return v;
}

/* Exactly, of a scale that is not larger than the column's. */
static bool append_decimal(const struct dm_value_type *t, const void *data, uint64_t row,
                           struct dm_column *column)
{
    uint8_t room[8];
    struct bytes b = decimal_at(t, data, row, room);
    unsigned more = column->type.scale - t->scale;
    if (column->type.id != DM_DECIMAL || t->scale > column->type.scale || b.n == 0 || b.n > 16)
        return false;
    dm_int128 v, most = power_of_ten(column->type.precision);
    if (__builtin_mul_overflow(int128_of(b), power_of_ten(more), &v) || v >= most || v <= -most)
        return false;
    dm_column_append_fixed(column, &v);
    return true;
}

/* ---- moments ---- */

static __int128 int96_of(struct bytes b)
{
    enum { JULIAN_1970 = 2440588 };
    int64_t days = (int64_t)dm_get_le32(b.at + 8) - JULIAN_1970;
    return (__int128)days * DAY * NANOS + (int64_t)dm_get_le64(b.at);
}

/* Of microseconds the extreme numbers are infinite, as DuckDB and the lake itself have it; of other units they are moments. */
static bool is_infinite(int64_t v, int64_t per_second)
{
    return per_second == MICROS && (v == DM_TIMESTAMP_INFINITY || v == DM_TIMESTAMP_NEG_INFINITY);
}

/* Into a column of microseconds or nanoseconds, if nothing is lost. The extreme numbers are the infinite moments, which only a value that is that number in
 * the file already may take: `same`. */
static bool append_moment(__int128 v, int64_t per_second, bool same, struct dm_column *column)
{
    int64_t wanted = column->type.id == DM_TIMESTAMP_NS ? NANOS : MICROS;
    if (column->type.id != DM_TIMESTAMP_NS && column->type.id != DM_TIMESTAMP &&
        column->type.id != DM_TIMESTAMPTZ)
        return false;
    bool infinite_one = same && is_infinite((int64_t)v, per_second);
    if (per_second > wanted && v % (per_second / wanted) != 0)
        return false;
    v = infinite_one ? v : per_second > wanted ? v / (per_second / wanted) : v * (wanted / per_second);
    int64_t infinite = infinite_one || (same && per_second == wanted) ? 0 : 1;
    if (v < DM_TIMESTAMP_NEG_INFINITY + infinite || v > DM_TIMESTAMP_INFINITY - infinite)
        return false;
    int64_t number = (int64_t)v;
    dm_column_append_fixed(column, &number);
    return true;
}

static bool append_time(int64_t v, int64_t per_second, struct dm_column *column)
{
    if (column->type.id != DM_TIME || (per_second > MICROS && v % (per_second / MICROS) != 0))
        return false;
    v = per_second > MICROS ? v / (per_second / MICROS) : v * (MICROS / per_second);
    dm_column_append_fixed(column, &v);
    return true;
}

static double half_of(struct bytes b)
{
    unsigned bits = dm_get_le16(b.at), exponent = bits >> 10 & 31, fraction = bits & 1023;
    double v = exponent == 31  ? (fraction != 0 ? (double)NAN : (double)INFINITY)
               : exponent == 0 ? ldexp(fraction, -24)
                               : ldexp(fraction + 1024, (int)exponent - 25);
    return bits & 0x8000 ? -v : v;
}

static bool append_half(double v, struct dm_column *column)
{
    float single = (float)v;
    if (column->type.id != DM_FLOAT32 && column->type.id != DM_FLOAT64)
        return false;
    if (column->type.id == DM_FLOAT32)
        dm_column_append_fixed(column, &single);
    else
        dm_column_append_fixed(column, &v);
    return true;
}

static bool append_unsigned(uint64_t v, struct dm_column *column)
{
    int32_t narrow = (int32_t)v;
    if (column->type.id == DM_INT32 && v <= INT32_MAX)
        dm_column_append_fixed(column, &narrow);
    else if (column->type.id == DM_INT64 && v <= INT64_MAX)
        dm_column_append_fixed(column, &v);
    else
        return false;
    return true;
}

static uint64_t unsigned_at(duckdb_type id, const void *data, uint64_t row)
{
    return id == DUCKDB_TYPE_INTEGER ? ((const uint32_t *)data)[row] : ((const uint64_t *)data)[row];
}

bool dm_bare_append(const struct dm_value_type *t, const void *data, uint64_t row, struct dm_column *column)
{
    struct dm_value_problem ignored;
    struct bytes b;
    int32_t days;
    switch (t->meaning) {
    case DM_MEANS_UNSIGNED: return append_unsigned(unsigned_at(t->id, data, row), column);
    case DM_MEANS_DATE:
        days = ((const int32_t *)data)[row];
        if (column->type.id == DM_DATE)
            dm_column_append_fixed(column, &days);
        return column->type.id == DM_DATE;
    case DM_MEANS_TIME: return append_time(integer_at(t->id, data, row), t->per_second, column);
    case DM_MEANS_MOMENT: return append_moment(integer_at(t->id, data, row), t->per_second, true, column);
    case DM_MEANS_INT96: return append_moment(int96_of(bytes_at(data, row)), NANOS, false, column);
    case DM_MEANS_DECIMAL: return append_decimal(t, data, row, column);
    case DM_MEANS_TEXT:
        b = bytes_at(data, row);
        return column->type.id == DM_STRING && dm_value_parse(column, (const char *)b.at, b.n, &ignored);
    case DM_MEANS_UUID:
        if (column->type.id == DM_UUID)
            dm_column_append_fixed(column, bytes_at(data, row).at);
        return column->type.id == DM_UUID;
    case DM_MEANS_HALF: return append_half(half_of(bytes_at(data, row)), column);
    case DM_MEANS_INTERVAL:
    case DM_MEANS_NULL:
    case DM_MEANS_ITSELF: break;
    }
    return false;
}

/* ---- texts ---- */

static enum dm_status float_text(struct dm_buffer *out, double v, enum dm_spelling how, struct dm_error *err)
{
    static const char *const names[] = {"\"NaN\"", "\"Infinity\"", "\"-Infinity\""};
    char text[DM_FLOAT_TEXT_MAX];
    size_t n = dm_float32_text((float)v, text);
    if (how == DM_SPELL_JSON && !isfinite(v)) {
        const char *name = names[isnan(v) ? 0 : v > 0 ? 1 : 2];
        return dm_buffer_append(out, name, strlen(name), err);
    }
    return dm_buffer_append(out, text, n, err);
}

/* \x and digits; a text in JSON. */
static enum dm_status hex_text(struct dm_buffer *out, struct bytes b, enum dm_spelling how,
                               struct dm_error *err)
{
    const char *quote = how == DM_SPELL_JSON ? "\"" : "";
    enum dm_status status = dm_buffer_printf(out, err, "%s\\x", how == DM_SPELL_JSON ? "\"\\" : "");
    for (size_t i = 0; i < b.n && status == DM_OK; i++)
        status = dm_buffer_printf(out, err, "%02x", b.at[i]);
    return status == DM_OK ? dm_buffer_append(out, quote, strlen(quote), err) : DM_FAIL;
}

static enum dm_status uuid_text(struct dm_buffer *out, struct bytes b, enum dm_spelling how,
                                struct dm_error *err)
{
    const char *quote = how == DM_SPELL_JSON ? "\"" : "";
    enum dm_status status = dm_buffer_append(out, quote, strlen(quote), err);
    for (size_t i = 0; i < b.n && status == DM_OK; i++)
        status =
            dm_buffer_printf(out, err, "%s%02x", i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "", b.at[i]);
    return status == DM_OK ? dm_buffer_append(out, quote, strlen(quote), err) : DM_FAIL;
}

static enum dm_status bytes_text(struct dm_buffer *out, const struct dm_value_type *t, struct bytes b,
                                 enum dm_spelling how, struct dm_error *err)
{
    switch (t->meaning) {
    case DM_MEANS_INT96: return dm_timestamp_text(out, int96_of(b), NANOS, false, how, err);
    case DM_MEANS_UUID: return uuid_text(out, b, how, err);
    case DM_MEANS_HALF: return float_text(out, half_of(b), how, err);
    case DM_MEANS_INTERVAL:
        return dm_interval_text(out, dm_get_le32(b.at), dm_get_le32(b.at + 4),
                                (int64_t)dm_get_le32(b.at + 8) * MILLIS, how, err);
    default:
        return how == DM_SPELL_JSON ? dm_raw_string(out, (const char *)b.at, b.n, SIZE_MAX, err)
                                    : dm_buffer_append(out, b.at, b.n, err);
    }
}

enum dm_status dm_bare_text(struct dm_buffer *out, const struct dm_value_type *t, const void *data,
                            uint64_t row, enum dm_spelling how, struct dm_error *err)
{
    uint8_t room[8];
    struct bytes b;
    switch (t->meaning) {
    case DM_MEANS_UNSIGNED: return dm_value_integer(out, unsigned_at(t->id, data, row), false, 0, err);
    case DM_MEANS_DATE: return dm_date_text(out, ((const int32_t *)data)[row], how, err);
    case DM_MEANS_TIME:
        /* in JSON as a column of times reads it */
        return dm_time_text(out, integer_at(t->id, data, row), t->per_second,
                            t->zoned && how != DM_SPELL_JSON ? "+00" : "", how, err);
    case DM_MEANS_MOMENT:
        if (is_infinite(integer_at(t->id, data, row), t->per_second))
            return dm_infinity_text(out, integer_at(t->id, data, row) > 0, how, err);
        return dm_timestamp_text(out, integer_at(t->id, data, row), t->per_second, t->zoned, how, err);
    case DM_MEANS_DECIMAL:
        b = decimal_at(t, data, row, room);
        return b.n == 0 || b.n > DECIMAL_BYTES_MAX ? hex_text(out, b, how, err)
                                                   : decimal_text(out, b, (int32_t)t->scale, err);
    default: return bytes_text(out, t, bytes_at(data, row), how, err);
    }
}

/* ---- what is no value ---- */

static const char *moment_beyond(int64_t v)
{
    return v == INT64_MIN ? "is the least number of 64 bits, which is no time (NaT)" : NULL;
}

static const char *time_beyond(int64_t v, int64_t per_second)
{
    return v < 0 || v > DAY * per_second ? "is not a time of day" : NULL;
}

static const char *date_beyond(int32_t v)
{
    return v == INT32_MIN ? "is the least number of 32 bits, which is no date" : NULL;
}

static const char *decimal_beyond(struct bytes b)
{
    return b.n == 0                  ? "is a decimal without a byte"
           : b.n > DECIMAL_BYTES_MAX ? "is a decimal of more than 1024 bytes"
                                     : NULL;
}

static const char *bare_beyond(const struct dm_value_type *t, const void *data, uint64_t row)
{
    uint8_t room[8];
    switch (t->meaning) {
    case DM_MEANS_DATE: return date_beyond(((const int32_t *)data)[row]);
    case DM_MEANS_TIME: return time_beyond(integer_at(t->id, data, row), t->per_second);
    case DM_MEANS_MOMENT: return moment_beyond(integer_at(t->id, data, row));
    case DM_MEANS_DECIMAL: return decimal_beyond(decimal_at(t, data, row, room));
    default: return NULL;
    }
}

static const char *elements_beyond(const struct dm_value_type *t, duckdb_vector child, uint64_t from,
                                   uint64_t n)
{
    const char *why = NULL;
    for (uint64_t i = from; i < from + n && why == NULL; i++)
        why = dm_value_beyond(t, child, i);
    return why;
}

static const char *nested_beyond(const struct dm_value_type *t, duckdb_vector vector, uint64_t row)
{
    const duckdb_list_entry *lists = duckdb_vector_get_data(vector);
    if (t->id == DUCKDB_TYPE_LIST)
        return elements_beyond(&t->children[0], duckdb_list_vector_get_child(vector), lists[row].offset,
                               lists[row].length);
    if (t->id == DUCKDB_TYPE_ARRAY)
        return elements_beyond(&t->children[0], duckdb_array_vector_get_child(vector), row * t->array_size,
                               t->array_size);
    const char *why = NULL;
    if (t->id == DUCKDB_TYPE_MAP) {
        duckdb_vector pairs = duckdb_list_vector_get_child(vector);
        for (uint64_t i = 0; i < 2 && why == NULL; i++)
            why = elements_beyond(&t->children[i], duckdb_struct_vector_get_child(pairs, i),
                                  lists[row].offset, lists[row].length);
        return why;
    }
    for (uint64_t i = 0; i < t->n && why == NULL; i++)
        why = dm_value_beyond(&t->children[i], duckdb_struct_vector_get_child(vector, i), row);
    return why;
}

const char *dm_value_beyond(const struct dm_value_type *t, duckdb_vector vector, uint64_t row)
{
    if (t->id == DUCKDB_TYPE_SQLNULL || dm_value_is_null(vector, row))
        return NULL;
    if (t->n != 0)
        return nested_beyond(t, vector, row);
    const void *data = duckdb_vector_get_data(vector);
    if (t->meaning != DM_MEANS_ITSELF)
        return bare_beyond(t, data, row);
    switch (t->id) {
    case DUCKDB_TYPE_DATE: return date_beyond(((const int32_t *)data)[row]);
    case DUCKDB_TYPE_TIME: return time_beyond(((const int64_t *)data)[row], MICROS);
    case DUCKDB_TYPE_TIME_NS: return time_beyond(((const int64_t *)data)[row], NANOS);
    case DUCKDB_TYPE_TIMESTAMP:
    case DUCKDB_TYPE_TIMESTAMP_TZ:
    case DUCKDB_TYPE_TIMESTAMP_S:
    case DUCKDB_TYPE_TIMESTAMP_MS:
    case DUCKDB_TYPE_TIMESTAMP_NS: return moment_beyond(((const int64_t *)data)[row]);
    default: return NULL;
    }
}
