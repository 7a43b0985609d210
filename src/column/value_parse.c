#include "column/value_parse.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/json_scan.h"
#include "base/memory.h"
#include "base/utf8.h"
#include "column/value_parse_time.h"

enum { SHOWN_BYTES = 60 };

const char *dm_value_show(const char *text, size_t n, char *out, size_t size)
{
    bool cut = n > SHOWN_BYTES;
    if (cut) {
        n = SHOWN_BYTES;
        while (n > SHOWN_BYTES - 4 && ((uint8_t)text[n] & 0xc0) == 0x80)
            n--; /* not in the middle of a character */
    }
    size_t len = 0;
    out[len++] = '"';
    for (size_t i = 0, used; i < n; i += used) {
        for (used = 1; used < 4 && i + used < n && !dm_utf8_valid((const uint8_t *)text + i, used);)
            used++;
        uint8_t c = (uint8_t)text[i];
        bool character = dm_utf8_valid((const uint8_t *)text + i, used);
        used = character ? used : 1;
        cut |= len + 12 >= size;
        if (len + 12 >= size)
            break;
        if (c < 0x20 || c == 0x7f || !character) {
            len += (size_t)snprintf(out + len, size - len, "\\x%02x", c);
        } else {
            memcpy(out + len, text + i, used);
            len += used;
        }
    }
    (void)snprintf(out + len, size - len, cut ? "…\"" : "\"");
    return out;
}

static bool refuse(struct dm_value_problem *problem, const char *reason, const char *text, size_t n,
                   const char *what)
{
    char shown[SHOWN_BYTES * 2];
    (void)dm_value_show(text, n, shown, sizeof shown);
    problem->reason = reason;
    (void)snprintf(problem->message, sizeof problem->message, "%s %s", shown, what);
    return false;
}

/* What a value of the type looks like, and what lies beyond it. */
static const struct {
    const char *not_one;
    const char *beyond;
} words[] = {
    [DM_BOOL] = {"is not true or false", ""},
    [DM_INT32] = {"is not an integer", "is not an integer of 32 bits (-2147483648 to 2147483647)"},
    [DM_INT64] = {"is not an integer", "is not an integer of 64 bits"},
    [DM_FLOAT32] = {"is not a number", "is beyond the range of a 32-bit float"},
    [DM_FLOAT64] = {"is not a number", "is beyond the range of a 64-bit float"},
    [DM_DATE] = {"is not a date (yyyy-mm-dd)", "is not a day of the calendar, or has a time of day"},
    [DM_TIME] = {"is not a time of day (hh:mm:ss)", "is not a time of day of whole microseconds"},
    [DM_TIMESTAMP] = {"is not a timestamp without zone (yyyy-mm-ddThh:mm:ss)",
                      "is not a timestamp of whole microseconds"},
    [DM_TIMESTAMPTZ] = {"is not a timestamp (yyyy-mm-ddThh:mm:ssZ)",
                        "is not a timestamp of whole microseconds"},
    [DM_TIMESTAMP_NS] = {"is not a timestamp (yyyy-mm-ddThh:mm:ss)",
                         "is not a timestamp of whole nanoseconds from 1677-09-21 to 2262-04-11"},
    [DM_BINARY] = {"is not binary in hexadecimal digits", ""},
    [DM_UUID] = {"is not a UUID", ""},
};

static bool refuse_parsed(struct dm_value_problem *problem, enum dm_parsed parsed, struct dm_type type,
                          const char *text, size_t n)
{
    if (type.id == DM_DECIMAL && parsed == DM_PARSED_BEYOND) {
        char what[80];
        (void)snprintf(what, sizeof what, "has more digits than decimal(%u, %u) holds",
                       (unsigned)type.precision, (unsigned)type.scale);
        return refuse(problem, "value_out_of_range", text, n, what);
    }
    if (type.id == DM_DECIMAL)
        return refuse(problem, "wrong_type", text, n, "is not a number");
    return parsed == DM_PARSED_BEYOND ? refuse(problem, "value_out_of_range", text, n, words[type.id].beyond)
                                      : refuse(problem, "wrong_type", text, n, words[type.id].not_one);
}

static inline void *slot(struct dm_column *c)
{
    if (c->length == c->capacity)
        dm_column_reserve(c, 1);
    return c->data + c->length * c->width;
}

static inline bool closed(struct dm_column *c)
{
    c->state[c->length++] = DM_VALID;
    return true;
}

static enum dm_parsed parse_bool(const char *text, size_t n, uint8_t *out)
{
    static const struct {
        const char *text;
        uint8_t n, value;
    } spellings[] = {{"true", 4, 1}, {"false", 5, 0}, {"t", 1, 1},   {"f", 1, 0},
                     {"1", 1, 1},    {"0", 1, 0},     {"yes", 3, 1}, {"no", 2, 0}};
    for (size_t i = 0; i < sizeof spellings / sizeof spellings[0]; i++)
        if (n == spellings[i].n && strncasecmp(text, spellings[i].text, n) == 0) {
            *out = spellings[i].value;
            return DM_PARSED;
        }
    return DM_PARSED_WRONG;
}

static int hex_digit(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

static enum dm_parsed parse_uuid(const char *text, size_t n, uint8_t *out)
{
    bool hyphens = n == 36;
    if (!hyphens && n != 32)
        return DM_PARSED_WRONG;
    for (size_t i = 0; i < 16; i++) {
        if (hyphens && (i == 4 || i == 6 || i == 8 || i == 10) && *text++ != '-')
            return DM_PARSED_WRONG;
        int high = hex_digit(text[0]), low = hex_digit(text[1]);
        if (high < 0 || low < 0)
            return DM_PARSED_WRONG;
        out[i] = (uint8_t)(high << 4 | low);
        text += 2;
    }
    return DM_PARSED;
}

static bool full(struct dm_value_problem *problem, const char *text, size_t n)
{
    return refuse(problem, "value_out_of_range", text, n, "does not fit: a batch holds 4 GiB of one column");
}

static bool parse_string(struct dm_column *c, const char *text, size_t n, struct dm_value_problem *problem)
{
    if (!dm_utf8_valid((const uint8_t *)text, n))
        return refuse(problem, "invalid_utf8", text, n, "is not valid UTF-8");
    struct dm_error ignored;
    return dm_column_append_bytes(c, text, n, &ignored) == DM_OK || full(problem, text, n);
}

static bool parse_binary(struct dm_column *c, const char *text, size_t n, struct dm_value_problem *problem)
{
    const char *digits = text;
    size_t n_digits = n;
    if (n >= 2 && text[0] == '\\' && text[1] == 'x') {
        digits += 2;
        n_digits -= 2;
    }
    bool good = n_digits % 2 == 0;
    for (size_t i = 0; i < n_digits && good; i++)
        good = hex_digit(digits[i]) >= 0;
    if (!good)
        return refuse_parsed(problem, DM_PARSED_WRONG, c->type, text, n);
    dm_column_reserve(c, 1);
    struct dm_error ignored;
    if (dm_buffer_reserve(&c->bytes, n_digits / 2, &ignored) != DM_OK)
        return full(problem, text, n);
    for (size_t i = 0; i < n_digits; i += 2)
        c->bytes.data[c->bytes.len++] = (uint8_t)(hex_digit(digits[i]) << 4 | hex_digit(digits[i + 1]));
    c->offsets[c->length + 1] = (uint32_t)c->bytes.len;
    return closed(c);
}

static bool parse_element(struct dm_column *child, const struct dm_json_slice *v,
                          struct dm_value_problem *problem)
{
    if (child->length >= UINT32_MAX - 1)
        return full(problem, v->text, v->n);
    if (v->kind == DM_JSON_NULL) {
        dm_column_append_null(child);
        return true;
    }
    if (!v->escaped)
        return dm_value_parse(child, v->text, v->n, problem);
    char small[256];
    char *plain = v->n <= sizeof small ? small : dm_xalloc(v->n);
    size_t n;
    bool good = dm_json_unescape(v, plain, &n)
                    ? dm_value_parse(child, plain, n, problem)
                    : refuse(problem, "invalid_utf8", v->text, v->n, "holds half of a surrogate pair");
    if (plain != small)
        free(plain);
    return good;
}

static bool parse_list(struct dm_column *c, const char *text, size_t n, struct dm_value_problem *problem)
{
    struct dm_json_scan s = dm_json_scan_of(text, n);
    struct dm_json_slice v;
    bool first = true, more = true, good = dm_json_scan_open(&s, '[');
    dm_column_reserve(c, 1);
    while (good && (good = dm_json_scan_element(&s, &first, &more, &v)) && more)
        if (!parse_element(c->child, &v, problem)) {
            dm_column_truncate(c, c->length);
            return false;
        }
    if (!good || !dm_json_scan_finish(&s)) {
        dm_column_truncate(c, c->length);
        return refuse(problem, "wrong_type", text, n, "is not a list as a JSON array");
    }
    dm_column_close_list(c);
    return true;
}

static enum dm_parsed parse_int32(const char *text, size_t n, int32_t *out)
{
    int64_t v = 0;
    enum dm_parsed parsed = dm_parse_int64(text, n, &v);
    if (parsed == DM_PARSED && (v > INT32_MAX || v < INT32_MIN))
        return DM_PARSED_BEYOND;
    *out = (int32_t)v;
    return parsed;
}

static enum dm_parsed parse_fixed(struct dm_type type, const char *text, size_t n, void *out)
{
    switch ((enum dm_type_id)type.id) {
    case DM_BOOL: return parse_bool(text, n, out);
    case DM_INT32: return parse_int32(text, n, out);
    case DM_INT64: return dm_parse_int64(text, n, out);
    case DM_FLOAT32: return dm_parse_float32(text, n, out);
    case DM_FLOAT64: return dm_parse_float64(text, n, out);
    case DM_DECIMAL: return dm_parse_decimal(text, n, type.precision, type.scale, out);
    case DM_DATE: return dm_parse_date(text, n, out);
    case DM_TIME: return dm_parse_time(text, n, out);
    case DM_TIMESTAMP: return dm_parse_timestamp(text, n, false, out);
    case DM_TIMESTAMPTZ: return dm_parse_timestamp(text, n, true, out);
    case DM_TIMESTAMP_NS: return dm_parse_timestamp_ns(text, n, out);
    case DM_UUID: return parse_uuid(text, n, out);
    case DM_STRING:
    case DM_BINARY:
    case DM_LIST: break;
    }
    return DM_PARSED_WRONG;
}

bool dm_value_parse(struct dm_column *c, const char *text, size_t n, struct dm_value_problem *problem)
{
    if (c->type.id == DM_STRING)
        return parse_string(c, text, n, problem);
    if (c->type.id == DM_BINARY)
        return parse_binary(c, text, n, problem);
    if (c->type.id == DM_LIST)
        return parse_list(c, text, n, problem);
    while (n > 0 && (*text == ' ' || *text == '\t')) { /* space around a number or a date means nothing */
        text++;
        n--;
    }
    while (n > 0 && (text[n - 1] == ' ' || text[n - 1] == '\t'))
        n--;
    enum dm_parsed parsed = parse_fixed(c->type, text, n, slot(c));
    return parsed == DM_PARSED ? closed(c) : refuse_parsed(problem, parsed, c->type, text, n);
}
