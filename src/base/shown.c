#include "base/shown.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/utf8.h"

/* ---- texts ---- */

/* A string that grows; out of memory ends the process, as elsewhere (memory.h). */
struct text {
    char *bytes;
    size_t n, room;
};

static char *more(struct text *t, size_t n)
{
    if (t->n + n + 1 > t->room) {
        t->room = (t->n + n + 1) * 2;
        t->bytes = dm_xrealloc(t->bytes, t->room, 1);
    }
    return t->bytes + t->n;
}

static void add(struct text *t, const char *bytes, size_t n)
{
    memcpy(more(t, n), bytes, n);
    t->n += n;
    t->bytes[t->n] = '\0';
}

/* Controls; line and paragraph separators; marks, embeddings, overrides and isolates of direction. */
bool dm_shown_written(uint32_t c)
{
    return c < 0x20 || (c >= 0x7f && c <= 0x9f) || c == 0x200e || c == 0x200f || c == 0x061c ||
           (c >= 0x2028 && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069);
}

static void add_shown(struct text *t, const char *text, size_t n)
{
    for (size_t i = 0, length; i < n; i += length) {
        const uint8_t *p = (const uint8_t *)text + i;
        uint32_t c = dm_utf8_character(p, n - i, &length);
        char written[16];
        int size = 0;
        if (length == 0) { /* no UTF-8 */
            size = snprintf(written, sizeof written, "\\x%02x", *p);
            length = 1;
        } else if (c == '\n' || c == '\t' || c == '\r') {
            size = snprintf(written, sizeof written, "\\%c", c == '\n' ? 'n' : c == '\t' ? 't' : 'r');
        } else if (dm_shown_written(c)) {
            size = snprintf(written, sizeof written, c < 0x100 ? "\\x%02x" : "\\u%04x", (unsigned)c);
        }
        add(t, size > 0 ? written : text + i, size > 0 ? (size_t)size : length);
    }
}

char *dm_shown(const char *text, size_t n)
{
    struct text t = {0};
    (void)more(&t, n);
    t.bytes[0] = '\0';
    add_shown(&t, text, n);
    return t.bytes;
}

/* ---- formats ---- */

/* One conversion: "%-24.*s". */
struct conversion {
    char spec[48]; /* without the stars, their numbers put in */
    char kind;     /* s, d, … */
    int longs;     /* of l; -1 h, -2 hh, 3 z, 4 j, 5 t */
    int precision; /* -1: none */
    int width;     /* negative: left */
    const char *end;
};

static const char *read_number(const char *at, int *out, va_list *args)
{
    if (*at == '*') {
        *out = va_arg(*args, int);
        return at + 1;
    }
    *out = 0;
    while (*at >= '0' && *at <= '9')
        *out = *out * 10 + (*at++ - '0');
    return at;
}

static void read_conversion(const char *at, struct conversion *c, va_list *args)
{
    const char *begin = at++;
    *c = (struct conversion){.precision = -1};
    size_t flags = strspn(at, "-+ #0");
    bool left = memchr(at, '-', flags) != NULL;
    at = read_number(at + flags, &c->width, args);
    if (left && c->width > 0)
        c->width = -c->width;
    if (*at == '.')
        at = read_number(at + 1, &c->precision, args);
    const char *length = at;
    for (; *at == 'l' || *at == 'h'; at++)
        c->longs += *at == 'l' ? 1 : -1;
    if (*at == 'z' || *at == 'j' || *at == 't')
        c->longs = *at == 'z' ? 3 : *at == 'j' ? 4 : 5, at++;
    c->kind = *at;
    c->end = *at != '\0' ? at + 1 : at;
    char precision[16] = "";
    if (c->precision >= 0)
        (void)snprintf(precision, sizeof precision, ".%d", c->precision);
    (void)snprintf(c->spec, sizeof c->spec, "%%%s%.*s%d%s%.*s%c", left ? "-" : "", (int)flags, begin + 1,
                   c->width < 0 ? -c->width : c->width, precision, (int)(at - length), length, c->kind);
    if (c->width == 0) /* a 0 there would be a flag */
        (void)snprintf(c->spec, sizeof c->spec, "%%%.*s%s%.*s%c", (int)flags, begin + 1, precision,
                       (int)(at - length), length, c->kind);
}

static void add_text(struct text *t, const struct conversion *c, const char *text)
{
    size_t n = text == NULL ? 0 : c->precision >= 0 ? strnlen(text, (size_t)c->precision) : strlen(text);
    size_t from = t->n;
    add_shown(t, text != NULL ? text : "", n);
    size_t wrote = t->n - from, width = (size_t)(c->width < 0 ? -c->width : c->width);
    if (wrote >= width)
        return;
    size_t pad = width - wrote;
    (void)more(t, pad);
    if (c->width > 0)
        memmove(t->bytes + from + pad, t->bytes + from, wrote);
    memset(t->bytes + (c->width > 0 ? from : t->n), ' ', pad);
    t->n += pad;
    t->bytes[t->n] = '\0';
}

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored \
    "-Wformat-nonliteral" /* the caller's format, in pieces; the compiler has checked the whole */
static void add_number(struct text *t, const struct conversion *c, va_list *args)
{
    char out[512];
    int n = 0;
    if (strchr("feEgGaA", c->kind) != NULL)
        n = snprintf(out, sizeof out, c->spec, va_arg(*args, double));
    else if (c->kind == 'p')
        n = snprintf(out, sizeof out, c->spec, va_arg(*args, void *));
    else if (c->longs == 1)
        n = snprintf(out, sizeof out, c->spec, va_arg(*args, long));
    else if (c->longs == 2)
        n = snprintf(out, sizeof out, c->spec, va_arg(*args, long long));
    else if (c->longs == 3)
        n = snprintf(out, sizeof out, c->spec, va_arg(*args, size_t));
    else if (c->longs == 4)
        n = snprintf(out, sizeof out, c->spec, va_arg(*args, intmax_t));
    else if (c->longs == 5)
        n = snprintf(out, sizeof out, c->spec, va_arg(*args, ptrdiff_t));
    else
        n = snprintf(out, sizeof out, c->spec, va_arg(*args, int));
    add(t, out, n < 0 ? 0 : (size_t)n < sizeof out ? (size_t)n : sizeof out - 1);
}
#pragma GCC diagnostic pop

char *dm_vshown_format(const char *fmt, va_list given)
{
    struct text t = {0};
    va_list args;
    va_copy(args, given);
    (void)more(&t, strlen(fmt));
    t.bytes[0] = '\0';
    while (*fmt != '\0') {
        size_t plain = strcspn(fmt, "%");
        add(&t, fmt, plain);
        fmt += plain;
        if (*fmt == '\0')
            break;
        struct conversion c;
        read_conversion(fmt, &c, &args);
        fmt = c.end;
        char one;
        if (c.kind == '%')
            add(&t, "%", 1);
        else if (c.kind == 's')
            add_text(&t, &c, va_arg(args, const char *));
        else if (c.kind == 'c')
            one = (char)va_arg(args, int), add_shown(&t, &one, 1);
        else
            add_number(&t, &c, &args);
    }
    va_end(args);
    return t.bytes;
}

int dm_print(FILE *out, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    char *text = dm_vshown_format(fmt, args);
    va_end(args);
    size_t n = strlen(text);
    bool wrote = fwrite(text, 1, n, out) == n;
    free(text);
    return wrote ? (int)n : -1;
}

void dm_print_lines(FILE *out, const char *before, const char *text)
{
    for (const char *line = text; line != NULL;) {
        const char *end = strchr(line, '\n');
        (void)dm_print(out, "%s%.*s\n", line == text ? before : "       ",
                       end != NULL ? (int)(end - line) : (int)strlen(line), line);
        line = end != NULL && end[1] != '\0' ? end + 1 : NULL;
    }
}
