#include "engine/change_csv_split.h"

#include <stdlib.h>
#include <string.h>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "base/memory.h"

enum { BLOCK = 64, INDEX_BYTES = 32 << 10, HEAD_BYTES = 1000 };

void dm_csv_init(struct dm_csv *c, struct dm_change_input *in, size_t max_row)
{
    *c = (struct dm_csv){
        .in = in, .max_row = max_row, .next = in->begin, .indexed = in->begin, .next_line = 1};
    c->marks = dm_xalloc((INDEX_BYTES + BLOCK) * sizeof *c->marks);
    c->capacity = 64;
    c->fields = dm_xalloc(c->capacity * sizeof *c->fields);
    dm_buffer_init(&c->unescaped, SIZE_MAX);
}

void dm_csv_release(struct dm_csv *c)
{
    free(c->marks);
    free(c->fields);
    dm_buffer_release(&c->unescaped);
    *c = (struct dm_csv){0};
}

/* The next row begins at `offset`. */
static void go_to(struct dm_csv *c, size_t offset, uint64_t line)
{
    c->next = c->indexed = offset;
    c->n_marks = c->next_mark = 0;
    c->next_line = line;
}

void dm_csv_again(struct dm_csv *c, char delimiter)
{
    c->delimiter = delimiter;
    go_to(c, c->in->begin, c->line != 0 ? c->line : 1);
}

/* ---- marks ---- */

#ifdef __SSE2__
static inline uint64_t find_marks(const uint8_t *p, char delimiter)
{
    const __m128i d = _mm_set1_epi8(delimiter), q = _mm_set1_epi8('"'), lf = _mm_set1_epi8('\n'),
                  cr = _mm_set1_epi8('\r');
    uint64_t mask = 0;
    for (int i = 0; i < 4; i++) {
        __m128i v = _mm_loadu_si128((const __m128i *)(const void *)(p + 16 * i));
        __m128i hit = _mm_or_si128(_mm_or_si128(_mm_cmpeq_epi8(v, d), _mm_cmpeq_epi8(v, q)),
                                   _mm_or_si128(_mm_cmpeq_epi8(v, lf), _mm_cmpeq_epi8(v, cr)));
        mask |= (uint64_t)(unsigned)_mm_movemask_epi8(hit) << (16 * i);
    }
    return mask;
}
#else
static inline uint64_t find_marks(const uint8_t *p, char delimiter)
{
    uint64_t mask = 0;
    for (int i = 0; i < BLOCK; i++)
        mask |= (uint64_t)(p[i] == (uint8_t)delimiter || p[i] == '"' || p[i] == '\n' || p[i] == '\r') << i;
    return mask;
}
#endif

/* The input has DM_INPUT_PAD bytes behind its end, so the last block may reach over it. */
_Static_assert((int)BLOCK <= (int)DM_INPUT_PAD, "the window is padded for whole blocks");

static void index_more(struct dm_csv *c)
{
    const uint8_t *data = c->in->data;
    size_t end = c->in->end, at = c->indexed;
    size_t stop = end - at > INDEX_BYTES ? at + INDEX_BYTES : end;
    uint32_t *out = c->marks;
    for (; at < stop; at += BLOCK) {
        uint64_t mask = find_marks(data + at, c->delimiter);
        if (stop - at < BLOCK)
            mask &= (UINT64_C(1) << (stop - at)) - 1;
        for (; mask != 0; mask &= mask - 1)
            *out++ = (uint32_t)(at + (size_t)__builtin_ctzll(mask));
    }
    c->indexed = stop;
    c->next_mark = 0;
    c->n_marks = (size_t)(out - c->marks);
}

static inline bool next_mark(struct dm_csv *c, size_t *p)
{
    while (c->next_mark == c->n_marks) {
        if (c->indexed == c->in->end)
            return false;
        index_more(c);
    }
    *p = c->marks[c->next_mark++];
    return true;
}

/* ---- one row ---- */

enum split { SPLIT_ROW, SPLIT_MORE, SPLIT_CORRUPT };

static inline void add_field(struct dm_csv *c, size_t at, size_t n, bool quoted, bool escaped)
{
    if (c->n_fields == c->capacity && c->capacity < DM_CSV_FIELDS_MAX) {
        c->capacity *= 2;
        c->fields = dm_xrealloc(c->fields, c->capacity, sizeof *c->fields);
    }
    if (c->n_fields < c->capacity)
        c->fields[c->n_fields] = (struct dm_csv_field){
            .text = (const char *)c->in->data + at, .n = n, .quoted = quoted, .escaped = escaped};
    c->n_fields++;
}

/* A quoted value whose opening quote stands at `open`; *after: behind its closing quote. */
static enum split split_quoted(struct dm_csv *c, size_t open, size_t *after)
{
    const struct dm_change_input *in = c->in;
    const uint8_t *data = in->data;
    bool escaped = false;
    size_t p;
    for (;;) {
        if (!next_mark(c, &p)) {
            c->problem = "a quote is never closed";
            return in->eof ? SPLIT_CORRUPT : SPLIT_MORE;
        }
        if (data[p] == '"') {
            if (p + 1 == in->end && !in->eof)
                return SPLIT_MORE;
            if (p + 1 == in->end || data[p + 1] != '"')
                break;
            escaped = true;
            (void)next_mark(c, &p); /* the second of the two */
        } else if (data[p] == '\n') {
            c->breaks++;
        } else if (data[p] == '\r') {
            if (p + 1 == in->end && !in->eof)
                return SPLIT_MORE;
            c->breaks += data[p + 1] != '\n';
        }
    }
    add_field(c, open + 1, p - open - 1, true, escaped);
    c->any_escaped |= escaped;
    *after = p + 1;
    return SPLIT_ROW;
}

static enum split end_row(struct dm_csv *c, size_t row_end, size_t next)
{
    c->row_end = row_end;
    c->next = next;
    return SPLIT_ROW;
}

static enum split split_row(struct dm_csv *c)
{
    const struct dm_change_input *in = c->in;
    const char *data = (const char *)in->data;
    size_t field = in->begin, p;
    c->n_fields = 0;
    c->breaks = 0;
    c->any_escaped = false;
    for (;;) {
        bool more = next_mark(c, &p);
        if (!more) {
            if (!in->eof)
                return SPLIT_MORE;
            add_field(c, field, in->end - field, false, false);
            return end_row(c, in->end, in->end);
        }
        if (data[p] == '"') {
            if (p != field)
                continue;
            size_t after;
            enum split split = split_quoted(c, p, &after);
            if (split != SPLIT_ROW)
                return split;
            more = next_mark(c, &p);
            if (!more && !in->eof)
                return SPLIT_MORE;
            if (!more && after == in->end)
                return end_row(c, in->end, in->end);
            if (!more || p != after) {
                c->problem = "a value goes on behind its closing quote";
                return SPLIT_CORRUPT;
            }
        } else {
            add_field(c, field, p - field, false, false);
        }
        if (data[p] == c->delimiter) {
            field = p + 1;
            continue;
        }
        c->breaks++;
        if (data[p] == '\r' && p + 1 == in->end && !in->eof)
            return SPLIT_MORE;
        if (data[p] == '\n' || p + 1 == in->end || data[p + 1] != '\n')
            return end_row(c, p, p + 1);
        size_t ignored;
        (void)next_mark(c, &ignored);
        return end_row(c, p, p + 2);
    }
}

static enum dm_csv_result unescape(struct dm_csv *c, struct dm_error *err)
{
    dm_buffer_clear(&c->unescaped);
    if (dm_buffer_reserve(&c->unescaped, c->row_bytes, err) != DM_OK)
        return DM_CSV_FAILED;
    size_t kept = c->n_fields < DM_CSV_FIELDS_MAX ? c->n_fields : DM_CSV_FIELDS_MAX;
    for (size_t i = 0; i < kept; i++) {
        struct dm_csv_field *f = &c->fields[i];
        if (!f->escaped)
            continue;
        uint8_t *start = c->unescaped.data + c->unescaped.len, *out = start;
        for (size_t k = 0; k < f->n; k++) {
            *out++ = (uint8_t)f->text[k];
            k += f->text[k] == '"';
        }
        f->text = (const char *)start;
        f->n = (size_t)(out - start);
        c->unescaped.len += f->n;
    }
    return DM_CSV_ROW;
}

/* ---- rows that are no rows ---- */

/* The first bytes of the row stand for it. */
static enum dm_csv_result too_large(struct dm_csv *c, struct dm_error *err)
{
    size_t n = dm_change_input_left(c->in) < HEAD_BYTES ? dm_change_input_left(c->in) : HEAD_BYTES;
    dm_buffer_clear(&c->unescaped);
    if (dm_buffer_append(&c->unescaped, dm_change_input_at(c->in), n, err) != DM_OK)
        return DM_CSV_FAILED;
    c->fields[0] = (struct dm_csv_field){.text = (const char *)c->unescaped.data, .n = n};
    return DM_CSV_TOO_LARGE;
}

enum skip { SKIP_START, SKIP_PLAIN, SKIP_QUOTED, SKIP_QUOTE };

/* The state behind one byte of a row that is thrown away. */
static enum skip skip_byte(enum skip state, char byte, char delimiter)
{
    if (state == SKIP_QUOTED)
        return byte == '"' ? SKIP_QUOTE : SKIP_QUOTED;
    if (byte == '"' && state != SKIP_PLAIN)
        return SKIP_QUOTED; /* opening, or the second of two */
    return byte == delimiter ? SKIP_START : SKIP_PLAIN;
}

/* Throws a row away as it comes, without holding it. */
static enum dm_csv_result skip_row(struct dm_csv *c, struct dm_error *err)
{
    if (too_large(c, err) == DM_CSV_FAILED)
        return DM_CSV_FAILED;
    struct dm_change_input *in = c->in;
    enum skip state = SKIP_START;
    bool carriage = false, done = false; /* the byte before was CR; the row has ended */
    uint64_t line = c->line;
    for (;;) {
        if (in->begin == in->end) {
            if (dm_change_input_fill(in, err) != DM_OK)
                return DM_CSV_FAILED;
            if (in->begin == in->end)
                break;
        }
        char byte = (char)in->data[in->begin];
        if (done) {
            in->begin += carriage && byte == '\n';
            break;
        }
        in->begin++;
        bool is_break = byte == '\r' || byte == '\n';
        line += is_break && !(byte == '\n' && carriage);
        carriage = byte == '\r';
        done = is_break && state != SKIP_QUOTED;
        if (!is_break)
            state = skip_byte(state, byte, c->delimiter);
        if (done && !carriage)
            break;
    }
    if (!done && state == SKIP_QUOTED) {
        (void)dm_fail(err, DM_ERROR_DATA, "close the quote (a quote in a quoted value is written twice)",
                      "line %llu: a quote that opens there is never closed", (unsigned long long)c->line);
        return DM_CSV_FAILED;
    }
    go_to(c, in->begin, line);
    return DM_CSV_TOO_LARGE;
}

/* The line in which a corrupt row begins is the row. False: its end is not in the window yet. */
static bool end_corrupt(struct dm_csv *c)
{
    const struct dm_change_input *in = c->in;
    const uint8_t *data = in->data;
    size_t p = in->begin;
    while (p < in->end && data[p] != '\n' && data[p] != '\r')
        p++;
    if (!in->eof && p + 1 >= in->end)
        return false;
    c->row_bytes = p - in->begin;
    p += p < in->end && data[p] == '\r' && p + 1 < in->end && data[p + 1] == '\n';
    go_to(c, p < in->end ? p + 1 : p, c->line + 1);
    return true;
}

enum dm_csv_result dm_csv_next(struct dm_csv *c, struct dm_error *err)
{
    struct dm_change_input *in = c->in;
    for (;;) {
        in->begin = c->next;
        c->line = c->next_line;
        if (in->begin == in->end && in->eof)
            return DM_CSV_END;
        enum split split = in->begin == in->end ? SPLIT_MORE : split_row(c);
        if (split == SPLIT_CORRUPT && end_corrupt(c))
            return c->row_bytes > c->max_row ? too_large(c, err) : DM_CSV_CORRUPT;
        if (split != SPLIT_ROW) {
            if (dm_change_input_left(in) > c->max_row)
                return skip_row(c, err);
            if (dm_change_input_fill(in, err) != DM_OK)
                return DM_CSV_FAILED;
            go_to(c, in->begin, c->line);
            continue;
        }
        c->row_bytes = c->row_end - in->begin;
        c->next_line = c->line + c->breaks;
        if (c->row_bytes == 0)
            continue;
        if (c->row_bytes > c->max_row)
            return too_large(c, err);
        return c->any_escaped ? unescape(c, err) : DM_CSV_ROW;
    }
}
