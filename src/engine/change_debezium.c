#include "engine/change_debezium.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/calendar.h"
#include "base/memory.h"
#include "column/value_parse_number.h"
#include "engine/change_columns.h"

enum encoding {
    PLAIN = 0,
    DAYS,
    TIME_MS,
    TIME_US,
    TIME_NS,
    MOMENT_MS,
    MOMENT_US,
    MOMENT_NS,
    DECIMAL,          /* base64 of the unscaled value, big endian, two's complement */
    VARIABLE_DECIMAL, /* {"scale": …, "value": base64} */
    BASE64,
};

enum { VALUE_MAX = 64, DECIMAL_BYTES_MAX = 16 };

#define NS_PER_SECOND INT64_C(1000000000)
#define SECONDS_PER_DAY 86400

void dm_debezium_release(struct dm_debezium *d)
{
    free(d->schema_text);
    free(d->fields);
    *d = (struct dm_debezium){0};
}

/* ---- the schema ---- */

static enum encoding encoding_of(const char *name, const char *type)
{
    static const struct {
        const char *name;
        enum encoding encoding;
    } logical[] = {{"io.debezium.time.Date", DAYS},
                   {"io.debezium.time.Time", TIME_MS},
                   {"io.debezium.time.MicroTime", TIME_US},
                   {"io.debezium.time.NanoTime", TIME_NS},
                   {"io.debezium.time.Timestamp", MOMENT_MS},
                   {"io.debezium.time.MicroTimestamp", MOMENT_US},
                   {"io.debezium.time.NanoTimestamp", MOMENT_NS},
                   {"io.debezium.data.VariableScaleDecimal", VARIABLE_DECIMAL},
                   {"org.apache.kafka.connect.data.Date", DAYS},
                   {"org.apache.kafka.connect.data.Time", TIME_MS},
                   {"org.apache.kafka.connect.data.Timestamp", MOMENT_MS},
                   {"org.apache.kafka.connect.data.Decimal", DECIMAL}};
    for (size_t i = 0; name != NULL && i < sizeof logical / sizeof logical[0]; i++)
        if (strcmp(name, logical[i].name) == 0)
            return logical[i].encoding;
    return type != NULL && strcmp(type, "bytes") == 0 ? BASE64 : PLAIN;
}

/* Connect writes parameters as texts. */
static int scale_of(const json_t *field)
{
    const json_t *scale = json_object_get(json_object_get(field, "parameters"), "scale");
    int64_t v = 0;
    if (json_is_string(scale) &&
        dm_parse_int64(json_string_value(scale), json_string_length(scale), &v) != DM_PARSED)
        v = -1;
    else if (json_is_integer(scale))
        v = json_integer_value(scale);
    return v >= 0 && v <= 38 ? (int)v : -1;
}

/* The row's fields: those of "after" or "before", or of an event that was flattened. */
static const json_t *row_fields(const json_t *schema)
{
    const json_t *fields = json_object_get(schema, "fields");
    for (size_t i = 0; i < json_array_size(fields); i++) {
        const json_t *field = json_array_get(fields, i);
        const char *name = json_string_value(json_object_get(field, "field"));
        const json_t *inner = json_object_get(field, "fields");
        if (name != NULL && json_is_array(inner) &&
            (strcmp(name, "after") == 0 || strcmp(name, "before") == 0))
            return inner;
    }
    return fields;
}

void dm_debezium_learn(struct dm_debezium *d, const struct dm_schema *schema,
                       const struct dm_json_slice *text)
{
    if (d->schema_text != NULL && d->schema_n == text->n && memcmp(d->schema_text, text->text, text->n) == 0)
        return;
    dm_debezium_release(d);
    d->schema_text = dm_xstrndup(text->text, text->n);
    d->schema_n = text->n;
    json_t *root = json_loadb(text->text, text->n, 0, NULL);
    if (root == NULL)
        return;
    d->fields = dm_xzalloc(schema->n_fields, sizeof *d->fields);
    const json_t *fields = row_fields(root);
    for (size_t i = 0; i < json_array_size(fields); i++) {
        const json_t *field = json_array_get(fields, i);
        const char *name = json_string_value(json_object_get(field, "field"));
        enum dm_change_control ignored;
        int target = name != NULL ? dm_change_column(schema, name, strlen(name), &ignored) : -1;
        if (target < 0)
            continue;
        d->fields[target] = (struct dm_debezium_field){
            .encoding = (uint8_t)encoding_of(json_string_value(json_object_get(field, "name")),
                                             json_string_value(json_object_get(field, "type"))),
            .scale = scale_of(field)};
        if (d->fields[target].encoding == BASE64 && schema->fields[target].type.id != DM_BINARY)
            d->fields[target].encoding = PLAIN;
        d->any |= d->fields[target].encoding != PLAIN;
    }
    json_decref(root);
}

/* ---- values ---- */

static int put_date(char *out, size_t size, int64_t days)
{
    int64_t year;
    unsigned month, day;
    dm_date_of(days, &year, &month, &day);
    const char *sign = year < 0 ? "-" : year > 9999 ? "+" : "";
    return snprintf(out, size, "%s%04" PRId64 "-%02u-%02u", sign, year < 0 ? -year : year, month, day);
}

static int put_time(char *out, size_t size, int64_t seconds, int64_t ns)
{
    return snprintf(out, size, "%02d:%02d:%02d.%09d", (int)(seconds / 3600), (int)(seconds / 60 % 60),
                    (int)(seconds % 60), (int)ns);
}

/* `v` counts units of which `per_second` are a second; returns the length, 0 when it is no time. */
static size_t put_moment(char *out, size_t size, int64_t v, int64_t per_second, bool dated)
{
    int64_t seconds = v / per_second - (v % per_second < 0), part = v - seconds * per_second;
    int64_t days = seconds / SECONDS_PER_DAY - (seconds % SECONDS_PER_DAY < 0);
    int n = 0;
    if (dated) {
        n = put_date(out, size, days);
        out[n++] = 'T';
        seconds -= days * SECONDS_PER_DAY;
    } else if (v < 0 || seconds > SECONDS_PER_DAY) {
        return 0;
    }
    return (size_t)n +
           (size_t)put_time(out + n, size - (size_t)n, seconds, part * (NS_PER_SECOND / per_second));
}

static int base64_digit(char c)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const char *at = c != 0 ? strchr(digits, c) : NULL;
    return at != NULL ? (int)(at - digits) : -1;
}

/* False: not base64, or more than `max` bytes. */
static bool base64_decode(const char *text, size_t n, uint8_t *out, size_t max, size_t *len)
{
    while (n > 0 && text[n - 1] == '=')
        n--;
    unsigned bits = 0, held = 0;
    *len = 0;
    for (size_t i = 0; i < n; i++) {
        int digit = base64_digit(text[i]);
        if (digit < 0)
            return false;
        held = held << 6 | (unsigned)digit;
        bits += 6;
        if (bits < 8)
            continue;
        bits -= 8;
        if (*len == max)
            return false;
        out[(*len)++] = (uint8_t)(held >> bits);
        held &= (1u << bits) - 1;
    }
    return n % 4 != 1;
}

static size_t put_decimal(char *out, size_t size, const char *text, size_t n, int scale)
{
    uint8_t bytes[DECIMAL_BYTES_MAX];
    size_t len;
    if (scale < 0 || scale > 38 || !base64_decode(text, n, bytes, sizeof bytes, &len) || len == 0)
        return 0;
    unsigned __int128 v = bytes[0] >= 0x80 ? ~(unsigned __int128)0 : 0;
    for (size_t i = 0; i < len; i++)
        v = v << 8 | bytes[i];
    bool negative = bytes[0] >= 0x80;
    v = negative ? -v : v;
    char digits[48];
    size_t at = sizeof digits, count = 0;
    while (v != 0 || count <= (size_t)scale) {
        if (count == (size_t)scale && scale > 0)
            digits[--at] = '.';
        digits[--at] = (char)('0' + (int)(v % 10));
        v /= 10;
        count++;
    }
    size_t total = sizeof digits - at;
    if (total + 1 > size)
        return 0;
    if (negative)
        *out++ = '-';
    memcpy(out, digits + at, total);
    return total + negative;
}

/* {"scale": 2, "value": "…"} */
static size_t put_variable_decimal(char *out, size_t size, const struct dm_change_cell *cell)
{
    struct dm_json_scan s = dm_json_scan_of(cell->text, cell->n);
    struct dm_json_slice key, v, value = {0};
    int64_t scale = -1;
    bool first = true, more;
    if (!dm_json_scan_open(&s, '{'))
        return 0;
    while (dm_json_scan_member(&s, &first, &more, &key, &v) && more) {
        if (key.n == 5 && memcmp(key.text, "scale", 5) == 0 &&
            dm_parse_int64(v.text, v.n, &scale) != DM_PARSED)
            return 0;
        if (key.n == 5 && memcmp(key.text, "value", 5) == 0)
            value = v;
    }
    if (value.kind != DM_JSON_STRING || scale < 0 || scale > 38)
        return 0;
    return put_decimal(out, size, value.text, value.n, (int)scale);
}

/* Bytes as hexadecimal digits, which is how a text means binary. */
static enum dm_status put_binary(struct dm_change_cell *cell, struct dm_buffer *scratch, struct dm_error *err)
{
    static const char hex[] = "0123456789abcdef";
    size_t room = cell->n / 4 * 3 + 3, len;
    if (dm_buffer_reserve(scratch, 2 * room, err) != DM_OK)
        return DM_FAIL;
    uint8_t *out = scratch->data + scratch->len, *bytes = out + room;
    if (!base64_decode(cell->text, cell->n, bytes, room, &len))
        return DM_OK;
    for (size_t i = 0; i < len; i++) { /* from the front: the digits stay behind the bytes */
        uint8_t byte = bytes[i];
        out[2 * i] = (uint8_t)hex[byte >> 4];
        out[2 * i + 1] = (uint8_t)hex[byte & 15];
    }
    scratch->len += 2 * len;
    cell->text = (const char *)out;
    cell->n = 2 * len;
    return DM_OK;
}

static size_t put_value(char *out, size_t size, const struct dm_debezium_field *f,
                        const struct dm_change_cell *cell)
{
    enum encoding encoding = (enum encoding)f->encoding;
    if (encoding == DECIMAL)
        return put_decimal(out, size, cell->text, cell->n, f->scale);
    if (encoding == VARIABLE_DECIMAL)
        return put_variable_decimal(out, size, cell);
    int64_t v;
    if (dm_parse_int64(cell->text, cell->n, &v) != DM_PARSED)
        return 0;
    switch (encoding) {
    case DAYS: return v > INT32_MAX || v < -INT32_MAX ? 0 : (size_t)put_date(out, size, v);
    case TIME_MS: return put_moment(out, size, v, 1000, false);
    case TIME_US: return put_moment(out, size, v, 1000000, false);
    case TIME_NS: return put_moment(out, size, v, NS_PER_SECOND, false);
    case MOMENT_MS: return put_moment(out, size, v, 1000, true);
    case MOMENT_US: return put_moment(out, size, v, 1000000, true);
    default: return put_moment(out, size, v, NS_PER_SECOND, true);
    }
}

enum dm_status dm_debezium_decode(const struct dm_debezium *d, struct dm_change_row *row,
                                  struct dm_buffer *scratch, struct dm_error *err)
{
    for (size_t i = 0; d->any && i < row->schema->n_fields; i++) {
        struct dm_change_cell *cell = &row->cells[i];
        if (d->fields[i].encoding == PLAIN || cell->kind != DM_CELL_TEXT)
            continue;
        if (d->fields[i].encoding == BASE64) {
            if (put_binary(cell, scratch, err) != DM_OK)
                return DM_FAIL;
            continue;
        }
        char text[VALUE_MAX];
        size_t n = put_value(text, sizeof text, &d->fields[i], cell);
        if (n == 0)
            continue;
        if (dm_buffer_append(scratch, text, n, err) != DM_OK)
            return DM_FAIL;
        cell->text = (const char *)scratch->data + scratch->len - n;
        cell->n = n;
    }
    return DM_OK;
}
