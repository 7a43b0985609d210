/* The key for people: messages, quarantine, verify. Not a form that anything is parsed from. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/calendar.h"
#include "column/key.h"

/* Fixed-size text that remembers whether something did not fit. */
struct text {
    char *out;
    size_t size;
    size_t len;
    bool cut;
};

static void add_bytes(struct text *t, const char *bytes, size_t n)
{
    if (t->cut)
        return;
    size_t room = t->size - 1 - t->len;
    if (n > room) {
        n = room;
        t->cut = true;
    }
    memcpy(t->out + t->len, bytes, n);
    t->len += n;
}

static void DM_PRINTF(2, 3) add(struct text *t, const char *fmt, ...)
{
    char piece[128];
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(piece, sizeof piece, fmt, args);
    va_end(args);
    if (n > 0)
        add_bytes(t, piece, (size_t)n < sizeof piece ? (size_t)n : sizeof piece - 1);
}

static void add_quoted(struct text *t, const uint8_t *bytes, size_t n)
{
    add_bytes(t, "\"", 1);
    for (size_t i = 0; i < n && !t->cut; i++) {
        if (bytes[i] == '"' || bytes[i] == '\\')
            add(t, "\\%c", bytes[i]);
        else if (bytes[i] < 0x20 || bytes[i] == 0x7f)
            add(t, "\\u%04x", bytes[i]);
        else
            add_bytes(t, (const char *)&bytes[i], 1);
    }
    add_bytes(t, "\"", 1);
}

static void add_hex(struct text *t, const uint8_t *bytes, size_t n)
{
    add_bytes(t, "x'", 2);
    for (size_t i = 0; i < n && !t->cut; i++)
        add(t, "%02x", bytes[i]);
    add_bytes(t, "'", 1);
}

static void add_decimal(struct text *t, dm_int128 v, unsigned scale)
{
    char digits[48];
    size_t at = sizeof digits;
    unsigned __int128 rest = v < 0 ? -(unsigned __int128)v : (unsigned __int128)v;
    unsigned n = 0;
    while (rest != 0 || n <= scale) {
        if (n == scale && scale > 0)
            digits[--at] = '.';
        digits[--at] = (char)('0' + (int)(rest % 10));
        rest /= 10;
        n++;
    }
    if (v < 0)
        digits[--at] = '-';
    add_bytes(t, digits + at, sizeof digits - at);
}

static void add_date(struct text *t, int64_t days)
{
    int64_t year;
    unsigned month, day;
    dm_date_of(days, &year, &month, &day);
    add(t, "%s%04" PRId64 "-%02u-%02u", year < 0 ? "-" : "", year < 0 ? -year : year, month, day);
}

enum { MICROS = 1000000, NANOS = 1000000000 };

/* `v` counts units of which `per_second` are a second. */
static void add_time(struct text *t, int64_t v, int64_t per_second)
{
    int64_t seconds = v / per_second;
    add(t, "%02" PRId64 ":%02" PRId64 ":%02" PRId64, seconds / 3600, seconds / 60 % 60, seconds % 60);
    if (v % per_second != 0)
        add(t, ".%0*" PRId64, per_second == NANOS ? 9 : 6, v % per_second);
}

static void add_timestamp(struct text *t, int64_t v, int64_t per_second, bool zone)
{
    if (v == DM_TIMESTAMP_INFINITY || v == DM_TIMESTAMP_NEG_INFINITY) {
        add(t, v > 0 ? "infinity" : "-infinity");
        return;
    }
    int64_t whole = 86400 * per_second, of_day = v % whole, day = v / whole - (of_day < 0);
    add_date(t, day);
    add_bytes(t, "T", 1);
    add_time(t, of_day < 0 ? of_day + whole : of_day, per_second);
    if (zone)
        add_bytes(t, "Z", 1);
}

static void add_float(struct text *t, double v, int digits)
{
    char shortest[40];
    for (int n = digits; n <= digits + 3; n++) { /* as few digits as give the same value back */
        (void)snprintf(shortest, sizeof shortest, "%.*g", n, v);
        double back = strtod(shortest, NULL);
        if (digits < 10 ? (float)back == (float)v : back == v)
            break;
    }
    add_bytes(t, shortest, strlen(shortest));
}

static void add_uuid(struct text *t, const uint8_t *u)
{
    for (size_t i = 0; i < 16; i++)
        add(t, i == 4 || i == 6 || i == 8 || i == 10 ? "-%02x" : "%02x", u[i]);
}

static void add_fixed(struct text *t, const struct dm_column *c, size_t row)
{
    const uint8_t *at = dm_column_fixed(c, row);
    switch ((enum dm_type_id)c->type.id) {
    case DM_BOOL: add(t, *at ? "true" : "false"); return;
    case DM_INT32: add(t, "%" PRId32, dm_column_int32(c, row)); return;
    case DM_INT64: add(t, "%" PRId64, dm_column_int64(c, row)); return;
    case DM_FLOAT32: {
        float f;
        memcpy(&f, at, sizeof f);
        add_float(t, (double)f, 6);
        return;
    }
    case DM_FLOAT64: {
        double f;
        memcpy(&f, at, sizeof f);
        add_float(t, f, 15);
        return;
    }
    case DM_DECIMAL: {
        dm_int128 v;
        memcpy(&v, at, sizeof v);
        add_decimal(t, v, c->type.scale);
        return;
    }
    case DM_DATE: {
        int32_t days = dm_column_int32(c, row);
        if (days == DM_DATE_INFINITY || days == DM_DATE_NEG_INFINITY)
            add(t, days > 0 ? "infinity" : "-infinity");
        else
            add_date(t, days);
        return;
    }
    case DM_TIME: add_time(t, dm_column_int64(c, row), MICROS); return;
    case DM_TIMESTAMP:
    case DM_TIMESTAMPTZ:
        add_timestamp(t, dm_column_int64(c, row), MICROS, c->type.id == DM_TIMESTAMPTZ);
        return;
    case DM_TIMESTAMP_NS: add_timestamp(t, dm_column_int64(c, row), NANOS, false); return;
    case DM_UUID: add_uuid(t, at); return;
    case DM_STRING:
    case DM_BINARY:
    case DM_LIST: return;
    }
}

static void add_value(struct text *t, const struct dm_column *c, size_t row)
{
    if (c->state[row] != DM_VALID) {
        add(t, c->state[row] == DM_NULL ? "null" : "unchanged");
        return;
    }
    if (c->width != 0) {
        add_fixed(t, c, row);
        return;
    }
    if (c->child == NULL) {
        size_t n;
        const uint8_t *bytes = dm_column_bytes_at(c, row, &n);
        if (c->type.id == DM_BINARY)
            add_hex(t, bytes, n);
        else
            add_quoted(t, bytes, n);
        return;
    }
    add_bytes(t, "[", 1);
    for (size_t i = c->offsets[row]; i < c->offsets[row + 1] && !t->cut; i++) {
        if (i > c->offsets[row])
            add_bytes(t, ", ", 2);
        add_value(t, c->child, i);
    }
    add_bytes(t, "]", 1);
}

size_t dm_fixed_text(const struct dm_column *c, size_t row, char *out, size_t size)
{
    struct text t = {.out = out, .size = size};
    add_fixed(&t, c, row);
    out[t.len] = '\0';
    return t.len;
}

const char *dm_key_text(const struct dm_batch *b, size_t row, char *out, size_t size)
{
    static const char ellipsis[] = "\xe2\x80\xa6";
    if (size == 0)
        return out;
    struct text t = {.out = out, .size = size};
    size_t n_keys = b->schema->n_keys;
    if (n_keys != 1)
        add_bytes(&t, "(", 1);
    for (size_t k = 0; k < n_keys && !t.cut; k++) {
        if (k > 0)
            add_bytes(&t, ", ", 2);
        add_value(&t, &b->columns[b->schema->keys[k]], row);
    }
    if (n_keys != 1)
        add_bytes(&t, ")", 1);
    if (t.cut && size > sizeof ellipsis) {
        if (t.len > size - sizeof ellipsis)
            t.len = size - sizeof ellipsis;
        while (t.len > 0 && ((uint8_t)out[t.len] & 0xc0) == 0x80)
            t.len--; /* not in the middle of a character */
        memcpy(out + t.len, ellipsis, sizeof ellipsis - 1);
        t.len += sizeof ellipsis - 1;
    }
    out[t.len] = '\0';
    return out;
}
