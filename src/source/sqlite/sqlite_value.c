#include "source/sqlite/sqlite_value.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/json_quote.h"
#include "base/utf8.h"
#include "column/value_parse.h"

/* ---- rules ---- */

static bool contains(const char *text, const char *word)
{
    return strcasestr(text, word) != NULL;
}

/* "DECIMAL(10, 2)" → 10, 2; "DECIMAL(10)" → 10, 0. False: no or impossible numbers. */
static bool precision_of(const char *declared, int *precision, int *scale)
{
    const char *open = strchr(declared, '(');
    if (open == NULL)
        return false;
    *scale = 0;
    int n = 0, m = 0;
    if (sscanf(open, " ( %d , %d %n", precision, scale, &n) >= 2 && n > 0 && open[n] == ')')
        return *precision >= 1 && *precision <= 38 && *scale >= 0 && *scale <= *precision;
    *scale = 0;
    return sscanf(open, " ( %d %n", precision, &m) == 1 && m > 0 && open[m] == ')' && *precision >= 1 &&
           *precision <= 38;
}

static bool starts_with_word(const char *text, const char *word)
{
    size_t n = strlen(word);
    return strncasecmp(text, word, n) == 0 && !isalnum((unsigned char)text[n]) && text[n] != '_';
}

static struct dm_sqlite_rule rule(enum dm_sqlite_rule_id id, enum dm_type_id type)
{
    return (struct dm_sqlite_rule){id, dm_type_of(type)};
}

/* The order of the tests is that of SQLite's affinity rules (datatype3, section 3.1), so that a column's
 * rule and what SQLite does to values on their way in always agree. */
struct dm_sqlite_rule dm_sqlite_rule_of(const char *declared, bool strict)
{
    if (declared == NULL || declared[0] == '\0')
        return rule(DM_SQLITE_LITERAL, DM_STRING);
    if (strict && strcasecmp(declared, "ANY") == 0)
        return rule(DM_SQLITE_LITERAL, DM_STRING);
    if (contains(declared, "INT"))
        return rule(DM_SQLITE_INTEGER, DM_INT64);
    if (contains(declared, "CHAR") || contains(declared, "CLOB") || contains(declared, "TEXT"))
        return rule(DM_SQLITE_TEXT, DM_STRING);
    if (contains(declared, "BLOB"))
        return rule(DM_SQLITE_BLOB, DM_BINARY);
    if (contains(declared, "REAL") || contains(declared, "FLOA") || contains(declared, "DOUB"))
        return rule(DM_SQLITE_REAL, DM_FLOAT64);
    if (starts_with_word(declared, "BOOLEAN") || starts_with_word(declared, "BOOL"))
        return rule(DM_SQLITE_BOOL, DM_BOOL);
    int precision, scale;
    if ((starts_with_word(declared, "NUMERIC") || starts_with_word(declared, "DECIMAL") ||
         starts_with_word(declared, "DEC") || starts_with_word(declared, "NUMBER")) &&
        precision_of(declared, &precision, &scale))
        return (struct dm_sqlite_rule){DM_SQLITE_DECIMAL, dm_type_decimal(precision, scale)};
    return rule(DM_SQLITE_PLAIN, DM_STRING);
}

/* ---- text ---- */

/* Unicode's table 3-7: no surrogates, no overlong forms, nothing above U+10FFFF. */
static bool utf8_valid(const unsigned char *s, size_t n)
{
    size_t i = 0;
    while (i < n) {
        unsigned char c = s[i];
        if (c < 0x80) {
            i++;
            continue;
        }
        size_t more = c >= 0xc2 && c <= 0xdf ? 1 : (c & 0xf0) == 0xe0 ? 2 : c >= 0xf0 && c <= 0xf4 ? 3 : 0;
        if (more == 0 || more >= n - i)
            return false;
        unsigned char low = 0x80, high = 0xbf;
        if (c == 0xe0)
            low = 0xa0;
        else if (c == 0xed)
            high = 0x9f;
        else if (c == 0xf0)
            low = 0x90;
        else if (c == 0xf4)
            high = 0x8f;
        if (s[i + 1] < low || s[i + 1] > high)
            return false;
        for (size_t k = 2; k <= more; k++)
            if ((s[i + k] & 0xc0) != 0x80)
                return false;
        i += more + 1;
    }
    return true;
}

/* A text value of a row. In a UTF-16 database SQLite would replace lone surrogates by U+FFFD when asked for
 * UTF-8; `intact` tells whether that would have happened. */
struct text {
    const unsigned char *bytes;
    size_t n;
    bool intact;
};

static bool utf16_intact(const uint16_t *units, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (units[i] < 0xd800 || units[i] > 0xdfff)
            continue;
        if (units[i] > 0xdbff || i + 1 == n || units[i + 1] < 0xdc00 || units[i + 1] > 0xdfff)
            return false;
        i++;
    }
    return true;
}

static struct text text_of(sqlite3_stmt *row, int i)
{
    struct text t = {.intact = true};
    if (sqlite3_value_encoding(sqlite3_column_value(row, i)) != SQLITE_UTF8) {
        const void *units = sqlite3_column_text16(row, i);
        t.intact = utf16_intact(units, (size_t)sqlite3_column_bytes16(row, i) / 2);
    }
    t.bytes = sqlite3_column_text(row, i);
    t.n = (size_t)sqlite3_column_bytes(row, i);
    t.intact = t.intact && t.bytes != NULL && utf8_valid(t.bytes, t.n);
    return t;
}

enum { real_text_size = 40 };

/* The shortest decimal text that reads back as the same double, always with a point or an exponent. SQLite
 * stores no NaN; infinities are written as SQLite's own dump writes them. */
static void real_text(double v, char out[real_text_size])
{
    if (isinf(v)) {
        (void)snprintf(out, real_text_size, "%s", v > 0 ? "9e999" : "-9e999");
        return;
    }
    for (int digits = 15; digits <= 17; digits++) {
        (void)snprintf(out, real_text_size, "%.*g", digits, v);
        if (strtod(out, NULL) == v)
            break;
    }
    size_t n = strlen(out);
    if (strpbrk(out, ".e") == NULL)
        (void)snprintf(out + n, real_text_size - n, ".0");
}

/* ---- decimals ---- */

static dm_int128 power_of_ten(int n)
{
    dm_int128 p = 1;
    while (n-- > 0)
        p *= 10;
    return p;
}

static const char *decimal_of_integer(int64_t v, struct dm_type type, dm_int128 *out)
{
    dm_int128 limit = power_of_ten(type.precision - type.scale);
    if (v >= limit || v <= -limit)
        return "value_out_of_range";
    *out = (dm_int128)v * power_of_ten(type.scale);
    return NULL;
}

/* A double stands for the decimal of the given scale whose nearest double it is; none: it does not fit. */
static const char *decimal_of_real(double v, struct dm_type type, dm_int128 *out)
{
    char text[400];
    if (!isfinite(v))
        return "value_out_of_range";
    (void)snprintf(text, sizeof text, "%.*f", type.scale, v);
    if (strtod(text, NULL) != v)
        return "value_out_of_range";
    dm_int128 limit = power_of_ten(type.precision), n = 0;
    for (const char *p = text; *p != '\0'; p++) {
        if (*p < '0' || *p > '9')
            continue;
        if (n >= limit / 10 + 1)
            return "value_out_of_range";
        n = n * 10 + (*p - '0');
    }
    if (n >= limit)
        return "value_out_of_range";
    *out = v < 0 ? -n : n;
    return NULL;
}

static const char *append_decimal(struct dm_column *c, struct dm_type type, sqlite3_stmt *row, int i)
{
    dm_int128 v = 0;
    const char *reason = "value_type";
    if (sqlite3_column_type(row, i) == SQLITE_INTEGER)
        reason = decimal_of_integer(sqlite3_column_int64(row, i), type, &v);
    else if (sqlite3_column_type(row, i) == SQLITE_FLOAT)
        reason = decimal_of_real(sqlite3_column_double(row, i), type, &v);
    if (reason == NULL)
        dm_column_append_fixed(c, &v);
    return reason;
}

/* ---- append ---- */

static const char *append_bytes(struct dm_column *c, const void *bytes, size_t n)
{
    struct dm_error ignored = {0};
    return dm_column_append_bytes(c, n > 0 ? bytes : "", n, &ignored) == DM_OK ? NULL : "value_too_large";
}

static const char *append_text(struct dm_column *c, sqlite3_stmt *row, int i)
{
    struct text t = text_of(row, i);
    return t.intact ? append_bytes(c, t.bytes, t.n) : "invalid_utf8";
}

static const char *append_number_text(struct dm_column *c, sqlite3_stmt *row, int i)
{
    char text[real_text_size];
    if (sqlite3_column_type(row, i) == SQLITE_INTEGER)
        (void)snprintf(text, sizeof text, "%lld", (long long)sqlite3_column_int64(row, i));
    else
        real_text(sqlite3_column_double(row, i), text);
    return append_bytes(c, text, strlen(text));
}

static enum dm_status hex(struct dm_buffer *out, const unsigned char *bytes, size_t n, struct dm_error *err)
{
    static const char digits[] = "0123456789abcdef";
    if (dm_buffer_reserve(out, n * 2, err) != DM_OK)
        return DM_FAIL;
    for (size_t k = 0; k < n; k++) {
        out->data[out->len++] = (uint8_t)digits[bytes[k] >> 4];
        out->data[out->len++] = (uint8_t)digits[bytes[k] & 15];
    }
    return DM_OK;
}

static enum dm_status quoted(struct dm_buffer *out, struct text t, struct dm_error *err)
{
    enum dm_status status = dm_buffer_append_byte(out, '\'', err);
    for (size_t k = 0; status == DM_OK && k < t.n; k++) {
        if (t.bytes[k] == '\'')
            status = dm_buffer_append_byte(out, '\'', err);
        if (status == DM_OK)
            status = dm_buffer_append_byte(out, t.bytes[k], err);
    }
    return status == DM_OK ? dm_buffer_append_byte(out, '\'', err) : status;
}

static const char *append_literal(struct dm_column *c, sqlite3_stmt *row, int i)
{
    int class = sqlite3_column_type(row, i);
    if (class == SQLITE_INTEGER || class == SQLITE_FLOAT)
        return append_number_text(c, row, i);
    struct dm_buffer out;
    dm_buffer_init(&out, UINT32_MAX);
    struct dm_error ignored = {0};
    const char *reason = NULL;
    enum dm_status status = DM_OK;
    if (class == SQLITE_TEXT) {
        struct text t = text_of(row, i);
        if (!t.intact)
            reason = "invalid_utf8";
        else
            status = quoted(&out, t, &ignored);
    } else {
        status = dm_buffer_append(&out, "X'", 2, &ignored);
        if (status == DM_OK)
            status = hex(&out, sqlite3_column_blob(row, i), (size_t)sqlite3_column_bytes(row, i), &ignored);
        if (status == DM_OK)
            status = dm_buffer_append_byte(&out, '\'', &ignored);
    }
    if (status != DM_OK)
        reason = "value_too_large";
    if (reason == NULL)
        reason = append_bytes(c, out.data, out.len);
    dm_buffer_release(&out);
    return reason;
}

static const char *append_bool(struct dm_column *c, sqlite3_stmt *row, int i)
{
    int64_t v = sqlite3_column_int64(row, i);
    if (v != 0 && v != 1)
        return "value_out_of_range";
    uint8_t b = (uint8_t)v;
    dm_column_append_fixed(c, &b);
    return NULL;
}

/* Its texts are times by declaration; one that is none goes to quarantine. */
static const char *append_moment(struct dm_column *c, sqlite3_stmt *row, int i)
{
    struct text t = text_of(row, i);
    struct dm_value_problem problem;
    if (!t.intact)
        return "invalid_utf8";
    return dm_value_parse(c, (const char *)t.bytes, t.n, &problem) ? NULL : problem.reason;
}

const char *dm_sqlite_append(struct dm_column *c, struct dm_sqlite_rule r, sqlite3_stmt *row, int i)
{
    int class = sqlite3_column_type(row, i);
    if (class == SQLITE_NULL) {
        dm_column_append_null(c);
        return NULL;
    }
    int64_t integer;
    double real;
    switch (r.id) {
    case DM_SQLITE_BOOL: return class == SQLITE_INTEGER ? append_bool(c, row, i) : "value_type";
    case DM_SQLITE_INTEGER:
        if (class != SQLITE_INTEGER)
            return "value_type";
        integer = sqlite3_column_int64(row, i);
        dm_column_append_fixed(c, &integer);
        return NULL;
    case DM_SQLITE_REAL:
        if (class != SQLITE_FLOAT)
            return "value_type";
        real = sqlite3_column_double(row, i);
        dm_column_append_fixed(c, &real);
        return NULL;
    case DM_SQLITE_DECIMAL: return append_decimal(c, r.type, row, i);
    case DM_SQLITE_TEXT: return class == SQLITE_TEXT ? append_text(c, row, i) : "value_type";
    case DM_SQLITE_BLOB:
        if (class != SQLITE_BLOB)
            return "value_type";
        return append_bytes(c, sqlite3_column_blob(row, i), (size_t)sqlite3_column_bytes(row, i));
    case DM_SQLITE_PLAIN:
        if (class == SQLITE_BLOB)
            return "value_type";
        return class == SQLITE_TEXT ? append_text(c, row, i) : append_number_text(c, row, i);
    case DM_SQLITE_MOMENT: return class == SQLITE_TEXT ? append_moment(c, row, i) : "value_type";
    case DM_SQLITE_LITERAL: return append_literal(c, row, i);
    }
    return "value_type";
}

static bool is_number(int class)
{
    return class == SQLITE_INTEGER || class == SQLITE_FLOAT;
}

static double as_double(sqlite3_stmt *row, int i)
{
    return sqlite3_column_double(row, i);
}

bool dm_sqlite_same(struct dm_sqlite_rule r, sqlite3_stmt *a, int i, sqlite3_stmt *b, int j)
{
    int x = sqlite3_column_type(a, i), y = sqlite3_column_type(b, j);
    bool as_text = r.type.id == DM_STRING;
    if (is_number(x) && is_number(y) && (x == y || !as_text))
        return x == SQLITE_INTEGER && y == SQLITE_INTEGER
                   ? sqlite3_column_int64(a, i) == sqlite3_column_int64(b, j)
                   : as_double(a, i) == as_double(b, j);
    if (x != y)
        return false;
    if (x == SQLITE_NULL)
        return true;
    /* For TEXT, sqlite3_column_blob gives the bytes in the database's encoding, the same on both sides. */
    const void *p = x == SQLITE_TEXT ? (const void *)sqlite3_column_text(a, i) : sqlite3_column_blob(a, i);
    const void *q = x == SQLITE_TEXT ? (const void *)sqlite3_column_text(b, j) : sqlite3_column_blob(b, j);
    int n = sqlite3_column_bytes(a, i), m = sqlite3_column_bytes(b, j);
    return n == m && (n == 0 || memcmp(p, q, (size_t)n) == 0);
}

/* ---- JSON of a row that does not fit ---- */

static enum dm_status json_hex(struct dm_buffer *out, const char *kind, const unsigned char *bytes, size_t n,
                               size_t most, struct dm_error *err)
{
    size_t kept = n < most ? n : most;
    if (dm_buffer_printf(out, err, "{\"%s\": \"", kind) != DM_OK || hex(out, bytes, kept, err) != DM_OK)
        return DM_FAIL;
    return kept < n ? dm_buffer_printf(out, err, "…\"}") : dm_buffer_append(out, "\"}", 2, err);
}

static enum dm_status json_text(struct dm_buffer *out, struct text t, size_t most, struct dm_error *err)
{
    if (t.n <= most)
        return dm_json_quote(out, t.bytes, t.n, err);
    most = dm_utf8_whole((const char *)t.bytes, most);
    if (dm_json_quote(out, t.bytes, most, err) != DM_OK)
        return DM_FAIL;
    out->len--; /* the quote comes behind the dots */
    return dm_buffer_printf(out, err, "…\"");
}

enum dm_status dm_sqlite_json(struct dm_buffer *out, const char *name, sqlite3_stmt *row, int i, size_t most,
                              struct dm_error *err)
{
    if (dm_json_quote(out, name, strlen(name), err) != DM_OK || dm_buffer_append(out, ": ", 2, err) != DM_OK)
        return DM_FAIL;
    char number[real_text_size];
    struct text t;
    switch (sqlite3_column_type(row, i)) {
    case SQLITE_INTEGER: return dm_buffer_printf(out, err, "%lld", (long long)sqlite3_column_int64(row, i));
    case SQLITE_FLOAT:
        real_text(sqlite3_column_double(row, i), number);
        return dm_buffer_append(out, number, strlen(number), err);
    case SQLITE_TEXT:
        t = text_of(row, i);
        return t.intact ? json_text(out, t, most, err) : json_hex(out, "text_hex", t.bytes, t.n, most, err);
    case SQLITE_BLOB:
        return json_hex(out, "blob_hex", sqlite3_column_blob(row, i), (size_t)sqlite3_column_bytes(row, i),
                        most, err);
    default: return dm_buffer_append(out, "null", 4, err);
    }
}
