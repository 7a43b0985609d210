#include "engine/change_json_split.h"

#include <string.h>

#include "base/json_scan.h"

enum { SNIFF_BYTES = 64 << 10, HEAD_BYTES = 1000, CUT_TOKEN_BYTES = 16 };

/* What an array wants next. */
enum { WANT_FIRST, WANT_VALUE, WANT_COMMA, WANT_NOTHING };

static uint64_t count_breaks(const char *p, size_t n)
{
    uint64_t count = 0;
    for (const char *end = p + n; (p = memchr(p, '\n', (size_t)(end - p))) != NULL; p++)
        count++;
    return count;
}

static void consume(struct dm_json_split *s, size_t n)
{
    s->next_line += count_breaks(dm_change_input_at(s->in), n);
    s->in->begin += n;
}

static struct dm_json_scan scan_window(const struct dm_json_split *s)
{
    return dm_json_scan_of(dm_change_input_at(s->in), dm_change_input_left(s->in));
}

/* The problem is not that the window ends: a token that the end cuts is short, or stands at the end itself. */
static bool is_genuine(const struct dm_json_scan *scan, const struct dm_change_input *in)
{
    return in->eof || scan->end - scan->at > CUT_TOKEN_BYTES;
}

/* ---- shape ---- */

/* The first line begins with a value. Others may follow there, and the last of them go on beyond the line. */
static enum dm_json_shape first_line_shape(const struct dm_json_split *s, struct dm_json_scan line)
{
    struct dm_json_slice v;
    const char *begin = line.at;
    for (bool good = true; good; good = dm_json_scan_value(&line, &v)) {
        dm_json_scan_space(&line);
        begin = line.at;
        if (line.at == line.end)
            return DM_JSON_LINES;
    }
    struct dm_json_scan whole = scan_window(s);
    whole.at = begin;
    return dm_json_scan_value(&whole, &v) ? DM_JSON_VALUES : DM_JSON_LINES;
}

static enum dm_json_shape find_shape(const struct dm_json_split *s)
{
    const char *at = dm_change_input_at(s->in);
    if (*at == '[')
        return DM_JSON_ARRAY_OF;
    const char *line_end = memchr(at, '\n', dm_change_input_left(s->in));
    if (line_end == NULL)
        return DM_JSON_LINES;
    struct dm_json_scan line = dm_json_scan_of(at, (size_t)(line_end - at)), whole = scan_window(s);
    struct dm_json_slice v;
    if (dm_json_scan_value(&line, &v))
        return first_line_shape(s, line);
    if (dm_json_scan_value(&whole, &v) || !is_genuine(&whole, s->in))
        return DM_JSON_VALUES;
    const char *next =
        line_end + 1; /* neither: a first line that is damaged when the second one begins a value */
    return next < whole.end && *next == '{' ? DM_JSON_LINES : DM_JSON_VALUES;
}

enum dm_status dm_json_split_init(struct dm_json_split *s, struct dm_change_input *in, size_t max_row,
                                  struct dm_error *err)
{
    *s = (struct dm_json_split){.in = in, .max_row = max_row, .next_line = 1, .state = WANT_FIRST};
    dm_buffer_init(&s->head, HEAD_BYTES);
    while (dm_change_input_left(in) < SNIFF_BYTES && !in->eof)
        if (dm_change_input_fill(in, err) != DM_OK)
            return DM_FAIL;
    if (dm_change_input_left(in) >= 3 && memcmp(dm_change_input_at(in), "\xef\xbb\xbf", 3) == 0)
        in->begin += 3;
    struct dm_json_scan space = scan_window(s);
    dm_json_scan_space(&space);
    consume(s, (size_t)(space.at - dm_change_input_at(in)));
    s->shape = find_shape(s);
    if (s->shape == DM_JSON_ARRAY_OF)
        consume(s, 1);
    return DM_OK;
}

void dm_json_split_release(struct dm_json_split *s)
{
    dm_buffer_release(&s->head);
}

/* ---- too large ---- */

static enum dm_status keep_head(struct dm_json_split *s, struct dm_error *err)
{
    size_t left = dm_change_input_left(s->in);
    dm_buffer_clear(&s->head);
    if (dm_buffer_append(&s->head, dm_change_input_at(s->in), left < HEAD_BYTES ? left : HEAD_BYTES, err) !=
        DM_OK)
        return DM_FAIL;
    s->text = (const char *)s->head.data;
    s->n = s->head.len;
    return DM_OK;
}

/* Where a value stands while it is thrown away. */
struct skip {
    size_t depth;
    bool text, escape, done;
};

/* True: the byte belongs to the value. */
static bool skip_byte(struct skip *k, char byte)
{
    if (k->escape) {
        k->escape = false;
    } else if (k->text) {
        k->escape = byte == '\\';
        k->text = byte != '"';
        k->done = !k->text && k->depth == 0;
    } else if (byte == '"') {
        k->text = true;
    } else if (byte == '{' || byte == '[') {
        k->depth++;
    } else if (k->depth == 0 && (byte == ',' || byte == ']' || byte == ' ' || byte == '\n')) {
        k->done = true;
        return false;
    } else if (byte == '}' || byte == ']') {
        k->done = k->depth <= 1;
        k->depth -= k->depth > 0;
    }
    return true;
}

/* Throws the value (or line) that begins at `begin` away as it comes, without holding it. */
static enum dm_json_result skip_value(struct dm_json_split *s, struct dm_error *err)
{
    struct dm_change_input *in = s->in;
    struct skip k = {0};
    if (keep_head(s, err) != DM_OK)
        return DM_JSON_FAILED;
    while (!k.done) {
        if (dm_change_input_left(in) == 0) {
            if (dm_change_input_fill(in, err) != DM_OK)
                return DM_JSON_FAILED;
            if (dm_change_input_left(in) == 0)
                break;
        }
        const char *at = dm_change_input_at(in);
        size_t left = dm_change_input_left(in), n = 0;
        if (s->shape == DM_JSON_LINES) {
            const char *line_end = memchr(at, '\n', left);
            k.done = line_end != NULL;
            n = line_end != NULL ? (size_t)(line_end - at) + 1 : left;
        }
        while (s->shape != DM_JSON_LINES && n < left && !k.done)
            n += skip_byte(&k, at[n]);
        consume(s, n);
    }
    s->pending = s->line_seen = 0;
    return DM_JSON_TOO_LARGE;
}

/* ---- lines ---- */

/* Another value may begin on the line behind one: it is then looked at more closely. */
static bool may_hold_several(const char *at, size_t n)
{
    const char *end = at + n;
    for (const char *p = at; (p = memchr(p, '}', (size_t)(end - p))) != NULL; p++) {
        const char *next = p + 1;
        while (next < end && (*next == ' ' || *next == '\t'))
            next++;
        if (next < end && *next == '{')
            return true;
    }
    return false;
}

/* Takes the value at `begin` when there is something behind it on its line. The line's end need not have been seen. */
static bool take_one_of_several(struct dm_json_split *s, const char *at, size_t n)
{
    struct dm_json_scan scan = dm_json_scan_of(at, n);
    struct dm_json_slice v;
    if (!dm_json_scan_value(&scan, &v) || v.kind != DM_JSON_OBJECT)
        return false;
    size_t used = (size_t)(scan.at - at);
    while (scan.at < scan.end && (*scan.at == ' ' || *scan.at == '\t' || *scan.at == '\r'))
        scan.at++;
    if (scan.at == scan.end || *scan.at != '{' || used > s->max_row)
        return false;
    s->text = at;
    s->n = s->pending = used;
    s->line_seen = s->line_seen > used ? s->line_seen - used : 0;
    s->nth++;
    s->line_done = false;
    return true;
}

/* Bytes of the line at `begin`, without its end; *ended: its end is in the window. */
static size_t line_length(struct dm_json_split *s, bool *ended)
{
    const char *at = dm_change_input_at(s->in);
    size_t left = dm_change_input_left(s->in);
    const char *line_end = memchr(at + s->line_seen, '\n', left - s->line_seen);
    *ended = line_end != NULL;
    s->line_seen = line_end != NULL ? (size_t)(line_end - at) : left;
    return s->line_seen;
}

static enum dm_json_result next_line(struct dm_json_split *s, struct dm_error *err)
{
    struct dm_change_input *in = s->in;
    for (;;) {
        const char *at = dm_change_input_at(in);
        size_t left = dm_change_input_left(in);
        bool ended;
        size_t n = line_length(s, &ended);
        s->line = s->next_line;
        if (!ended && !in->eof) {
            if ((s->nth > 0 || left >= SNIFF_BYTES) && take_one_of_several(s, at, left))
                return DM_JSON_VALUE;
            if (left > s->max_row)
                return skip_value(s, err);
            if (dm_change_input_fill(in, err) != DM_OK)
                return DM_JSON_FAILED;
            continue;
        }
        if (left == 0)
            return DM_JSON_END;
        if ((s->nth > 0 || may_hold_several(at, n)) && take_one_of_several(s, at, n))
            return DM_JSON_VALUE;
        if (n > s->max_row)
            return skip_value(s, err);
        struct dm_json_scan space = dm_json_scan_of(at, n);
        dm_json_scan_space(&space);
        if (space.at == space.end) { /* an empty line */
            consume(s, n + ended);
            s->nth = s->line_seen = 0;
            continue;
        }
        s->text = at;
        s->n = n;
        s->pending = n + ended;
        s->nth += s->nth > 0;
        s->line_done = true;
        return DM_JSON_VALUE;
    }
}

/* ---- arrays, and values one after the other ---- */

static enum dm_json_result not_json(const struct dm_json_split *s, const char *at, const char *problem,
                                    struct dm_error *err)
{
    uint64_t line =
        s->next_line + count_breaks(dm_change_input_at(s->in), (size_t)(at - dm_change_input_at(s->in)));
    (void)dm_fail(err, DM_ERROR_DATA,
                  "mend the file, or write one object a line (NDJSON): there a bad line stands alone",
                  "line %llu: this is not JSON: %s", (unsigned long long)line, problem);
    return DM_JSON_FAILED;
}

/* Past space, and in arrays past a comma or to the end. DM_JSON_VALUE: a value begins at `begin`. */
static enum dm_json_result find_value(struct dm_json_split *s, struct dm_error *err)
{
    struct dm_change_input *in = s->in;
    for (;;) {
        struct dm_json_scan space = scan_window(s);
        dm_json_scan_space(&space);
        consume(s, (size_t)(space.at - dm_change_input_at(in)));
        bool array = s->shape == DM_JSON_ARRAY_OF;
        if (dm_change_input_left(in) == 0) {
            if (in->eof && array && s->state != WANT_NOTHING)
                return not_json(s, dm_change_input_at(in), "the file ends before the array does", err);
            if (in->eof)
                return DM_JSON_END;
            if (dm_change_input_fill(in, err) != DM_OK)
                return DM_JSON_FAILED;
            continue;
        }
        char next = *dm_change_input_at(in);
        if (!array || s->state == WANT_VALUE || (s->state == WANT_FIRST && next != ']')) {
            s->state = WANT_COMMA;
            return DM_JSON_VALUE;
        }
        if (s->state == WANT_NOTHING || (next != ',' && next != ']'))
            return not_json(s, dm_change_input_at(in),
                            s->state == WANT_NOTHING ? "text behind the array" : "a comma is missing", err);
        s->state = next == ',' ? WANT_VALUE : WANT_NOTHING;
        consume(s, 1);
    }
}

static enum dm_json_result next_value(struct dm_json_split *s, struct dm_error *err)
{
    struct dm_change_input *in = s->in;
    enum dm_json_result found = find_value(s, err);
    if (found != DM_JSON_VALUE)
        return found;
    s->line = s->next_line;
    for (;;) {
        struct dm_json_scan scan = scan_window(s);
        struct dm_json_slice v;
        bool good = dm_json_scan_value(&scan, &v);
        if (!good && is_genuine(&scan, in))
            return not_json(s, scan.at, scan.problem, err);
        s->pending = (size_t)(scan.at - dm_change_input_at(in));
        if (good && s->pending > s->max_row)
            return skip_value(s, err);
        if (good && (scan.at < scan.end || in->eof)) { /* else a number might go on */
            s->text = dm_change_input_at(in);
            s->n = s->pending;
            return DM_JSON_VALUE;
        }
        if (dm_change_input_left(in) > s->max_row)
            return skip_value(s, err);
        if (dm_change_input_fill(in, err) != DM_OK)
            return DM_JSON_FAILED;
    }
}

enum dm_json_result dm_json_split_next(struct dm_json_split *s, struct dm_error *err)
{
    if (s->shape == DM_JSON_LINES) {
        if (s->pending == 0) /* behind one that was thrown away with the rest of its line */
            s->nth = 0;
        s->in->begin += s->pending;
        s->pending = 0;
        if (s->line_done) {
            s->next_line++;
            s->nth = s->line_seen = 0;
            s->line_done = false;
        }
        return next_line(s, err);
    }
    consume(s, s->pending);
    s->pending = 0;
    return next_value(s, err);
}
