/* json_scan.h — JSON from outside, scanned where it lies: nothing is copied, numbers keep their spelling.
 *
 * For bulk input, where a tree of nodes would cost more than the parsing, and where a number must not pass through a double. The
 * grammar is RFC 8259, strictly, with one addition that Python and JavaScript tools write: NaN, Infinity and -Infinity as numbers. UTF-8 is
 * not checked here (dm_utf8_valid). Nesting is limited to DM_JSON_DEPTH.
 *
 * Memory: values are slices of the bytes given. Threads: no state. Failure: `problem` says what is wrong and `at` stands there.
 *
 *     struct dm_json_scan s = dm_json_scan_of(bytes, n);
 *     struct dm_json_slice v;
 *     if (!dm_json_scan_value(&s, &v)) … s.problem, s.at
 */
#ifndef DM_BASE_JSON_SCAN_H
#define DM_BASE_JSON_SCAN_H

#include <stdbool.h>
#include <stddef.h>

enum { DM_JSON_DEPTH = 200 };

enum dm_json_kind {
    DM_JSON_NULL = 1,
    DM_JSON_FALSE,
    DM_JSON_TRUE,
    DM_JSON_NUMBER,
    DM_JSON_STRING,
    DM_JSON_ARRAY,
    DM_JSON_OBJECT,
};

/* STRING: what stands between the quotes, still escaped when `escaped`. All others: the whole spelling. */
struct dm_json_slice {
    const char *text;
    size_t n;
    enum dm_json_kind kind;
    bool escaped;
};

struct dm_json_scan {
    const char *at, *end;
    const char *problem; /* a literal; NULL: none so far */
};

static inline struct dm_json_scan dm_json_scan_of(const char *bytes, size_t n)
{
    return (struct dm_json_scan){.at = bytes, .end = bytes + n};
}

static inline void dm_json_scan_space(struct dm_json_scan *s)
{
    while (s->at < s->end && (*s->at == ' ' || *s->at == '\n' || *s->at == '\r' || *s->at == '\t'))
        s->at++;
}

/* Space, then one whole value (nested ones are checked to their ends). */
bool dm_json_scan_value(struct dm_json_scan *s, struct dm_json_slice *out);

/* The members of an object: dm_json_scan_open(s, '{'), then dm_json_scan_member until `*more` is false; arrays likewise with '[' and
 * dm_json_scan_element. A false result is a problem. `first` must be true at first and is kept by the functions. */
bool dm_json_scan_open(struct dm_json_scan *s, char bracket);
bool dm_json_scan_member(struct dm_json_scan *s, bool *first, bool *more, struct dm_json_slice *key,
                         struct dm_json_slice *value);
bool dm_json_scan_element(struct dm_json_scan *s, bool *first, bool *more, struct dm_json_slice *value);
/* Space to the end, or the problem "text after the value". */
bool dm_json_scan_finish(struct dm_json_scan *s);

/* The characters of a STRING slice into `out` (at least n bytes, which is always enough); *len: bytes written. False: half of a surrogate
 * pair, which is no character. */
bool dm_json_unescape(const struct dm_json_slice *string, char *out, size_t *len);

#endif
