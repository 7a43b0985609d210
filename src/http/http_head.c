#include "http/http_head.h"

#include <stdbool.h>
#include <string.h>
#include <strings.h>

struct head {
    unsigned seen; /* bits of `once` */
    bool old;      /* HTTP/1.0 */
    bool length, coding, host;
    struct dm_error *err;
};

static enum dm_status bad(const struct head *h, const char *why)
{
    return dm_fail(h->err, DM_ERROR_CONFIG, NULL, "the request is not well formed: %s", why);
}

/* RFC 9110, token. */
static bool is_token(const char *text, size_t n)
{
    static const char marks[] = "!#$%&'*+-.^_`|~";
    for (size_t i = 0; i < n; i++) {
        char c = text[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!letter && memchr(marks, c, sizeof marks - 1) == NULL)
            return false;
    }
    return n > 0;
}

static bool is_control(unsigned char c)
{
    return (c < 0x20 && c != '\t') || c == 0x7f;
}

/* "POST /v1/… HTTP/1.1" */
static enum dm_status first_line(struct head *h, const char *line, size_t n)
{
    const char *space = memchr(line, ' ', n), *last = memrchr(line, ' ', n);
    if (space == NULL || space == last || !is_token(line, (size_t)(space - line)) || space[1] != '/' ||
        memchr(space + 1, ' ', (size_t)(last - space - 1)) != NULL ||
        memchr(space + 1, '\t', (size_t)(last - space - 1)) != NULL)
        return bad(h, "its first line is not method, path and version, with single spaces");
    size_t rest = n - (size_t)(last + 1 - line);
    if (rest != 8 || (memcmp(last + 1, "HTTP/1.1", 8) != 0 && memcmp(last + 1, "HTTP/1.0", 8) != 0))
        return bad(h, "its version is not HTTP/1.1");
    h->old = last[8] == '0';
    return DM_OK;
}

static bool is(const char *text, size_t n, const char *wanted)
{
    return n == strlen(wanted) && strncasecmp(text, wanted, n) == 0;
}

/* Headers that decide something may be there once. */
static enum dm_status note(struct head *h, const char *name, size_t n, const char *value, size_t size)
{
    static const char *const once[] = {"Host",         "Content-Length",   "Transfer-Encoding",
                                       "Content-Type", "Content-Encoding", "Authorization",
                                       "Origin",       "Sec-Fetch-Site",   "Idempotency-Key"};
    for (size_t i = 0; i < sizeof once / sizeof *once; i++) {
        if (!is(name, n, once[i]))
            continue;
        if ((h->seen & (1U << i)) != 0)
            return bad(h, "a header that may be there once is there twice");
        h->seen |= 1U << i;
    }
    if (is(name, n, "Host"))
        h->host = size > 0;
    if (is(name, n, "Content-Length")) {
        h->length = true;
        if (size == 0 || size > 18)
            return bad(h, "Content-Length is no number of bytes");
        for (size_t i = 0; i < size; i++)
            if (value[i] < '0' || value[i] > '9')
                return bad(h, "Content-Length is no number of bytes");
    }
    if (is(name, n, "Transfer-Encoding")) {
        h->coding = true;
        if (!is(value, size, "chunked"))
            return bad(h, "Transfer-Encoding can be: chunked");
    }
    return DM_OK;
}

static enum dm_status header(struct head *h, const char *line, size_t n)
{
    const char *colon = memchr(line, ':', n);
    if (colon == NULL || !is_token(line, (size_t)(colon - line)))
        return bad(h, "a header is not a name, a colon and a value, on one line");
    const char *value = colon + 1, *end = line + n;
    while (value < end && (*value == ' ' || *value == '\t'))
        value++;
    while (end > value && (end[-1] == ' ' || end[-1] == '\t'))
        end--;
    return note(h, line, (size_t)(colon - line), value, (size_t)(end - value));
}

static enum dm_status whole(const struct head *h)
{
    if (!h->host)
        return bad(h, "it has no Host");
    if (h->coding && (h->length || h->old))
        return bad(h, h->length ? "it has Content-Length and Transfer-Encoding"
                                : "HTTP/1.0 has no Transfer-Encoding");
    return DM_OK;
}

enum dm_status dm_http_head_check(const char *bytes, size_t n, struct dm_error *err)
{
    struct head h = {.err = err};
    size_t from = 0;
    for (size_t i = 0; i < n; i++) {
        bool ends = bytes[i] == '\r' && i + 1 < n && bytes[i + 1] == '\n';
        if (bytes[i] == '\r' && i + 1 == n)
            break;
        if (!ends && is_control((unsigned char)bytes[i]))
            return bad(&h, "a line ends in something else than CR and LF, or holds a control character");
        if (!ends)
            continue;
        if (from > 0 && i == from)
            return whole(&h);
        enum dm_status status = from == 0 ? first_line(&h, bytes, i) : header(&h, bytes + from, i - from);
        if (status != DM_OK)
            return status;
        from = ++i + 1;
    }
    return n < DM_HTTP_HEAD_MAX ? DM_TIMEOUT : bad(&h, "its headers are longer than 16 KiB");
}
