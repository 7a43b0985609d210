#include "engine/text_table.h"

#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/memory.h"
#include "base/shown.h"

enum { HELD_ROWS = 1000, HELD_BYTES = 4 << 20, GAP = 2, WIDTH_MIN = 4 };
#define HELD_MAX ((size_t)4 << 30)

static size_t terminal_width(FILE *out)
{
    struct winsize size;
    int fd = fileno(out);
    if (fd < 0 || !isatty(fd) || ioctl(fd, TIOCGWINSZ, &size) != 0)
        return 0;
    return size.ws_col;
}

/* Decodes one code point (the text is valid UTF-8; other bytes count as themselves). */
static uint32_t code_point(const unsigned char *p, size_t *bytes)
{
    size_t n = p[0] < 0xc0 ? 1 : p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;
    uint32_t cp = n == 1 ? p[0] : p[0] & (0x7fu >> n);
    for (size_t i = 1; i < n; i++) {
        if ((p[i] & 0xc0) != 0x80) {
            *bytes = 1;
            return p[0];
        }
        cp = cp << 6 | (p[i] & 0x3fu);
    }
    *bytes = n;
    return cp;
}

/* Places on the screen: 2 for East Asian wide characters and emoji, 0 for combining marks. A rough table, good enough to align. */
static size_t cell_width(uint32_t cp)
{
    static const uint32_t wide[][2] = {{0x1100, 0x115f}, {0x2e80, 0xa4cf},   {0xac00, 0xd7a3},
                                       {0xf900, 0xfaff}, {0xfe30, 0xfe6f},   {0xff00, 0xff60},
                                       {0xffe0, 0xffe6}, {0x1f300, 0x1faff}, {0x20000, 0x3fffd}};
    if ((cp >= 0x300 && cp <= 0x36f) || (cp >= 0x200b && cp <= 0x200f) || (cp >= 0xfe00 && cp <= 0xfe0f))
        return 0;
    for (size_t i = 0; i < sizeof wide / sizeof *wide; i++)
        if (cp >= wide[i][0] && cp <= wide[i][1])
            return 2;
    return 1;
}

static size_t text_width(const char *text)
{
    size_t width = 0, bytes;
    for (const unsigned char *p = (const unsigned char *)text; *p != 0; p += bytes)
        width += cell_width(code_point(p, &bytes));
    return width;
}

/* Bytes of the beginning that fits into `width` places. */
static size_t bytes_that_fit(const char *text, size_t width)
{
    const unsigned char *p = (const unsigned char *)text;
    size_t bytes;
    for (; *p != 0; p += bytes) {
        size_t w = cell_width(code_point(p, &bytes));
        if (w > width)
            break;
        width -= w;
    }
    return (size_t)(p - (const unsigned char *)text);
}

static enum dm_status append_escaped(struct dm_buffer *out, const char *text, size_t n, struct dm_error *err)
{
    char *shown = dm_shown(text, n);
    enum dm_status status = dm_buffer_append(out, shown, strlen(shown) + 1, err);
    free(shown);
    return status;
}

enum dm_status dm_text_table_init(struct dm_text_table *t, FILE *out, size_t n, const char *const *names,
                                  const bool *right, struct dm_error *err)
{
    *t = (struct dm_text_table){.out = out, .n = n, .terminal_width = terminal_width(out)};
    dm_buffer_init(&t->held, HELD_MAX);
    t->right = dm_xzalloc(n + 1, sizeof *t->right);
    t->widths = dm_xzalloc(n + 1, sizeof *t->widths);
    t->names = dm_xzalloc(n + 1, sizeof *t->names);
    for (size_t i = 0; i < n; i++) {
        t->right[i] = right[i];
        if (append_escaped(&t->held, names[i], strlen(names[i]), err) != DM_OK)
            return DM_FAIL;
        t->names[i] = dm_xstrdup((const char *)t->held.data);
        dm_buffer_clear(&t->held);
        t->widths[i] = text_width(t->names[i]);
    }
    return DM_OK;
}

void dm_text_table_release(struct dm_text_table *t)
{
    for (size_t i = 0; t->names != NULL && i < t->n; i++)
        free(t->names[i]);
    free(t->names);
    free(t->right);
    free(t->widths);
    dm_buffer_release(&t->held);
    *t = (struct dm_text_table){0};
}

enum dm_status dm_text_table_cell(struct dm_text_table *t, const char *text, size_t n, struct dm_error *err)
{
    return append_escaped(&t->held, text, n, err);
}

/* Takes width from the widest column until the table fits. */
static void fit_terminal(struct dm_text_table *t)
{
    if (t->terminal_width == 0 || t->n == 0)
        return;
    size_t total = GAP * (t->n - 1);
    for (size_t i = 0; i < t->n; i++)
        total += t->widths[i];
    while (total > t->terminal_width) {
        size_t widest = 0;
        for (size_t i = 1; i < t->n; i++)
            if (t->widths[i] > t->widths[widest])
                widest = i;
        if (t->widths[widest] <= WIDTH_MIN)
            break;
        t->widths[widest]--;
        total--;
    }
}

static void print_cell(const struct dm_text_table *t, size_t column, const char *text)
{
    size_t width = text_width(text), room = t->widths[column];
    size_t bytes = strlen(text);
    bool cut = t->terminal_width != 0 && width > room;
    if (cut) {
        bytes = bytes_that_fit(text, room - 1);
        width = room;
    }
    int pad = width < room ? (int)(room - width) : 0;
    bool last = column + 1 == t->n;
    fprintf(t->out, "%*s", t->right[column] ? pad : 0, "");
    fwrite(text, 1, bytes, t->out);
    fprintf(t->out, "%s%*s%s", cut ? "\xe2\x80\xa6" : "", t->right[column] || last ? 0 : pad, "",
            last ? "\n" : "  ");
}

static void print_header(const struct dm_text_table *t)
{
    for (size_t i = 0; i < t->n; i++)
        print_cell(t, i, t->names[i]);
    for (size_t i = 0; i < t->n; i++) {
        for (size_t k = 0; k < t->widths[i]; k++)
            putc('-', t->out);
        fputs(i + 1 < t->n ? "  " : "\n", t->out);
    }
}

static enum dm_status flush_rows(struct dm_text_table *t, struct dm_error *err)
{
    const char *text = (const char *)t->held.data;
    if (!t->started) {
        for (size_t i = 0; i < t->held_rows * t->n; i++, text += strlen(text) + 1) {
            size_t width = text_width(text);
            if (width > t->widths[i % t->n])
                t->widths[i % t->n] = width;
        }
        fit_terminal(t);
        print_header(t);
        t->started = true;
        text = (const char *)t->held.data;
    }
    for (size_t i = 0; i < t->held_rows * t->n; i++, text += strlen(text) + 1)
        print_cell(t, i % t->n, text);
    dm_buffer_clear(&t->held);
    t->held_rows = 0;
    return ferror(t->out) ? dm_fail_errno(err, "cannot write the result") : DM_OK;
}

enum dm_status dm_text_table_end_row(struct dm_text_table *t, struct dm_error *err)
{
    t->held_rows++;
    bool enough = t->started || t->held_rows >= HELD_ROWS || t->held.len >= HELD_BYTES;
    return enough ? flush_rows(t, err) : DM_OK;
}

enum dm_status dm_text_table_finish(struct dm_text_table *t, uint64_t rows, struct dm_error *err)
{
    if (flush_rows(t, err) != DM_OK)
        return DM_FAIL;
    if (fprintf(t->out, "(%llu row%s)\n", (unsigned long long)rows, rows == 1 ? "" : "s") < 0)
        return dm_fail_errno(err, "cannot write the result");
    return DM_OK;
}
