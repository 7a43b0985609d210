#include "base/json_scan.h"

#include <stdint.h>
#include <string.h>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

static bool problem(struct dm_json_scan *s, const char *text)
{
    s->problem = text;
    return false;
}

/* To the next quote, backslash or control character. */
static const char *plain_end(const char *at, const char *end)
{
#ifdef __SSE2__
    const __m128i quote = _mm_set1_epi8('"'), backslash = _mm_set1_epi8('\\'), control = _mm_set1_epi8(0x1f);
    for (; end - at >= 16; at += 16) {
        __m128i v = _mm_loadu_si128((const __m128i *)(const void *)at);
        __m128i hit = _mm_or_si128(_mm_cmpeq_epi8(v, quote), _mm_cmpeq_epi8(v, backslash));
        hit = _mm_or_si128(hit, _mm_cmpeq_epi8(_mm_min_epu8(v, control), v));
        unsigned mask = (unsigned)_mm_movemask_epi8(hit);
        if (mask != 0)
            return at + __builtin_ctz(mask);
    }
#endif
    while (at < end && *at != '"' && *at != '\\' && (uint8_t)*at >= 0x20)
        at++;
    return at;
}

static int hex_value(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

static bool scan_escape(struct dm_json_scan *s)
{
    if (s->end - s->at < 2)
        return problem(s, "a text is not closed");
    char c = s->at[1];
    if (c == 'u') {
        if (s->end - s->at < 6)
            return problem(s, "\\u needs four hexadecimal digits");
        for (int i = 2; i < 6; i++)
            if (hex_value(s->at[i]) < 0)
                return problem(s, "\\u needs four hexadecimal digits");
        s->at += 6;
        return true;
    }
    if (c == 0 || strchr("\"\\/bfnrt", c) == NULL)
        return problem(s, "no such escape in a text");
    s->at += 2;
    return true;
}

/* `at` stands on the opening quote. */
static bool scan_string(struct dm_json_scan *s, struct dm_json_slice *out)
{
    const char *start = ++s->at;
    bool escaped = false;
    for (;;) {
        s->at = plain_end(s->at, s->end);
        if (s->at == s->end)
            return problem(s, "a text is not closed");
        if (*s->at == '"')
            break;
        if (*s->at != '\\')
            return problem(s, "a control character (line break, tab) in a text; it must be escaped");
        escaped = true;
        if (!scan_escape(s))
            return false;
    }
    *out = (struct dm_json_slice){
        .text = start, .n = (size_t)(s->at - start), .kind = DM_JSON_STRING, .escaped = escaped};
    s->at++;
    return true;
}

static bool is_digit(const struct dm_json_scan *s)
{
    return s->at < s->end && *s->at >= '0' && *s->at <= '9';
}

static bool scan_digits(struct dm_json_scan *s)
{
    if (!is_digit(s))
        return problem(s, "not a number");
    while (is_digit(s))
        s->at++;
    return true;
}

static bool word(struct dm_json_scan *s, const char *text, size_t n)
{
    if ((size_t)(s->end - s->at) < n || memcmp(s->at, text, n) != 0)
        return false;
    s->at += n;
    return true;
}

static bool scan_number(struct dm_json_scan *s)
{
    if (*s->at == '-')
        s->at++;
    if (s->at < s->end && *s->at == 'I')
        return word(s, "Infinity", 8) || problem(s, "not a number");
    bool zero = s->at < s->end && *s->at == '0';
    const char *start = s->at;
    if (!scan_digits(s))
        return false;
    if (zero && s->at - start > 1)
        return problem(s, "a number with a zero in front");
    if (s->at < s->end && *s->at == '.') {
        s->at++;
        if (!scan_digits(s))
            return false;
    }
    if (s->at < s->end && (*s->at == 'e' || *s->at == 'E')) {
        s->at++;
        if (s->at < s->end && (*s->at == '+' || *s->at == '-'))
            s->at++;
        return scan_digits(s);
    }
    return true;
}

static bool scan_scalar(struct dm_json_scan *s, struct dm_json_slice *out)
{
    const char *start = s->at;
    switch (*start) {
    case '"': return scan_string(s, out);
    case 'n':
        out->kind = DM_JSON_NULL;
        if (!word(s, "null", 4))
            return problem(s, "not a value");
        break;
    case 't':
        out->kind = DM_JSON_TRUE;
        if (!word(s, "true", 4))
            return problem(s, "not a value");
        break;
    case 'f':
        out->kind = DM_JSON_FALSE;
        if (!word(s, "false", 5))
            return problem(s, "not a value");
        break;
    case 'N':
        out->kind = DM_JSON_NUMBER;
        if (!word(s, "NaN", 3))
            return problem(s, "not a value");
        break;
    default:
        out->kind = DM_JSON_NUMBER;
        if (*start != '-' && *start != 'I' && (*start < '0' || *start > '9'))
            return problem(s, "not a value");
        if (!scan_number(s))
            return false;
    }
    out->text = start;
    out->n = (size_t)(s->at - start);
    out->escaped = false;
    return true;
}

/* "name": — the value follows. */
static bool scan_key(struct dm_json_scan *s)
{
    struct dm_json_slice key;
    dm_json_scan_space(s);
    if (s->at == s->end || *s->at != '"')
        return problem(s, "a name in quotes is missing");
    if (!scan_string(s, &key))
        return false;
    dm_json_scan_space(s);
    if (s->at == s->end || *s->at != ':')
        return problem(s, "a colon is missing after a name");
    s->at++;
    return true;
}

/* A whole array or object without recursion: `open` remembers the kind of bracket of each level. */
static bool scan_nested(struct dm_json_scan *s, struct dm_json_slice *out)
{
    char open[DM_JSON_DEPTH] = {0};
    size_t depth = 0;
    const char *start = s->at;
    for (;;) {
        dm_json_scan_space(s);
        if (s->at == s->end)
            return problem(s, "a bracket is not closed");
        if (*s->at == '{' || *s->at == '[') {
            if (depth == DM_JSON_DEPTH)
                return problem(s, "nested too deeply");
            open[depth++] = *s->at;
            char close = *s->at++ == '{' ? '}' : ']';
            dm_json_scan_space(s);
            if (s->at == s->end || *s->at != close) {
                if (close == '}' && !scan_key(s))
                    return false;
                continue;
            }
        } else {
            struct dm_json_slice ignored;
            if (!scan_scalar(s, &ignored))
                return false;
            dm_json_scan_space(s);
        }
        while (s->at < s->end && (*s->at == '}' || *s->at == ']')) {
            if (open[depth - 1] != (*s->at == '}' ? '{' : '['))
                return problem(s, "the wrong bracket closes");
            s->at++;
            if (--depth == 0) {
                *out = (struct dm_json_slice){.text = start,
                                              .n = (size_t)(s->at - start),
                                              .kind = *start == '{' ? DM_JSON_OBJECT : DM_JSON_ARRAY};
                return true;
            }
            dm_json_scan_space(s);
        }
        if (s->at == s->end || *s->at != ',')
            return problem(s, s->at == s->end ? "a bracket is not closed" : "a comma or bracket is missing");
        s->at++;
        if (open[depth - 1] == '{' && !scan_key(s))
            return false;
    }
}

bool dm_json_scan_value(struct dm_json_scan *s, struct dm_json_slice *out)
{
    dm_json_scan_space(s);
    if (s->at == s->end)
        return problem(s, "a value is missing");
    return *s->at == '{' || *s->at == '[' ? scan_nested(s, out) : scan_scalar(s, out);
}

bool dm_json_scan_open(struct dm_json_scan *s, char bracket)
{
    dm_json_scan_space(s);
    if (s->at == s->end || *s->at != bracket)
        return problem(s, bracket == '{' ? "not an object" : "not an array");
    s->at++;
    return true;
}

/* The comma before all but the first, or the closing bracket. */
static bool next(struct dm_json_scan *s, bool *first, bool *more, char close)
{
    dm_json_scan_space(s);
    if (s->at == s->end)
        return problem(s, "a bracket is not closed");
    *more = *s->at != close;
    if (!*more) {
        s->at++;
        return true;
    }
    if (!*first) {
        if (*s->at != ',')
            return problem(s, "a comma or bracket is missing");
        s->at++;
        dm_json_scan_space(s);
    }
    *first = false;
    return true;
}

bool dm_json_scan_member(struct dm_json_scan *s, bool *first, bool *more, struct dm_json_slice *key,
                         struct dm_json_slice *value)
{
    if (!next(s, first, more, '}'))
        return false;
    if (!*more)
        return true;
    if (s->at == s->end || *s->at != '"')
        return problem(s, "a name in quotes is missing");
    if (!scan_string(s, key))
        return false;
    dm_json_scan_space(s);
    if (s->at == s->end || *s->at != ':')
        return problem(s, "a colon is missing after a name");
    s->at++;
    return dm_json_scan_value(s, value);
}

bool dm_json_scan_element(struct dm_json_scan *s, bool *first, bool *more, struct dm_json_slice *value)
{
    if (!next(s, first, more, ']'))
        return false;
    return !*more || dm_json_scan_value(s, value);
}

bool dm_json_scan_finish(struct dm_json_scan *s)
{
    dm_json_scan_space(s);
    return s->at == s->end || problem(s, "text after the value");
}

static unsigned hex4(const char *p)
{
    return (unsigned)(hex_value(p[0]) << 12 | hex_value(p[1]) << 8 | hex_value(p[2]) << 4 | hex_value(p[3]));
}

static size_t put_utf8(char *out, unsigned c)
{
    if (c < 0x80) {
        out[0] = (char)c;
        return 1;
    }
    if (c < 0x800) {
        out[0] = (char)(0xc0 | c >> 6);
        out[1] = (char)(0x80 | (c & 0x3f));
        return 2;
    }
    if (c < 0x10000) {
        out[0] = (char)(0xe0 | c >> 12);
        out[1] = (char)(0x80 | (c >> 6 & 0x3f));
        out[2] = (char)(0x80 | (c & 0x3f));
        return 3;
    }
    out[0] = (char)(0xf0 | c >> 18);
    out[1] = (char)(0x80 | (c >> 12 & 0x3f));
    out[2] = (char)(0x80 | (c >> 6 & 0x3f));
    out[3] = (char)(0x80 | (c & 0x3f));
    return 4;
}

/* `p` stands behind \u; returns what was read of it, 0 for half a pair. */
static size_t unescape_unicode(const char *p, const char *end, char *out, size_t *len)
{
    unsigned c = hex4(p);
    size_t used = 4;
    if (c >= 0xdc00 && c < 0xe000)
        return 0;
    if (c >= 0xd800 && c < 0xdc00) {
        if (end - p < 10 || p[4] != '\\' || p[5] != 'u')
            return 0;
        unsigned low = hex4(p + 6);
        if (low < 0xdc00 || low >= 0xe000)
            return 0;
        c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
        used = 10;
    }
    *len += put_utf8(out + *len, c);
    return used;
}

bool dm_json_unescape(const struct dm_json_slice *string, char *out, size_t *len)
{
    static const char plain[] = "\"\\/\b\f\n\r\t", letters[] = "\"\\/bfnrt";
    const char *p = string->text, *end = p + string->n;
    *len = 0;
    while (p < end) {
        const char *backslash = memchr(p, '\\', (size_t)(end - p));
        size_t n = (size_t)((backslash != NULL ? backslash : end) - p);
        memcpy(out + *len, p, n);
        *len += n;
        p += n;
        if (p == end)
            break;
        if (p[1] == 'u') {
            size_t used = unescape_unicode(p + 2, end, out, len);
            if (used == 0)
                return false;
            p += 2 + used;
        } else {
            out[(*len)++] = plain[strchr(letters, p[1]) - letters];
            p += 2;
        }
    }
    return true;
}
