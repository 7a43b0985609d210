/* parquet_maker.h — for the fuzz target of Parquet values only: a Parquet file of any physical values under any annotation, made from the bytes of a fuzzer.
 *
 * One row group; a column "id" of 0, 1, 2, … and columns "c0", "c1", … of up to 7 rows, each a page, optional or a list, maybe with a dictionary, a CRC, in either version
 * of data pages. The file is well formed but for what the bytes say otherwise (lengths, scales, annotations that do not fit).
 */
#ifndef DM_FUZZ_PARQUET_MAKER_H
#define DM_FUZZ_PARQUET_MAKER_H

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

enum { MAKER_COLUMNS = 8, MAKER_ROWS = 7 };

/* The fuzzer's bytes; zeros when they are used up. */
struct source {
    const uint8_t *at, *end;
};

static inline uint8_t draw(struct source *s)
{
    return s->at < s->end ? *s->at++ : 0;
}

static inline unsigned draw_below(struct source *s, unsigned n)
{
    return draw(s) % n;
}

struct out {
    uint8_t *data;
    size_t n, capacity;
};

static inline void put(struct out *o, const void *bytes, size_t n)
{
    if (o->n + n > o->capacity) {
        o->capacity = (o->n + n) * 2;
        o->data = realloc(o->data, o->capacity);
        if (o->data == NULL)
            abort();
    }
    if (n > 0)
        memcpy(o->data + o->n, bytes, n);
    o->n += n;
}

static inline void put_byte(struct out *o, unsigned b)
{
    uint8_t byte = (uint8_t)b;
    put(o, &byte, 1);
}

static inline void put_le(struct out *o, uint64_t v, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++)
        put_byte(o, (unsigned)(v >> (8 * i) & 0xff));
}

/* ---- Thrift, every field with its number written out ---- */

static inline void put_varint(struct out *o, uint64_t v)
{
    for (; v >= 0x80; v >>= 7)
        put_byte(o, (unsigned)(v & 0x7f) | 0x80);
    put_byte(o, (unsigned)v);
}

static inline void put_integer(struct out *o, int64_t v)
{
    put_varint(o, (uint64_t)v << 1 ^ (uint64_t)(v >> 63));
}

static inline void put_field(struct out *o, unsigned type, unsigned id)
{
    put_byte(o, type);
    put_integer(o, id);
}

static inline void put_i32(struct out *o, unsigned id, int64_t v)
{
    put_field(o, 5, id);
    put_integer(o, v);
}

static inline void put_i64(struct out *o, unsigned id, int64_t v)
{
    put_field(o, 6, id);
    put_integer(o, v);
}

static inline void put_text(struct out *o, unsigned id, const char *text)
{
    put_field(o, 8, id);
    put_varint(o, strlen(text));
    put(o, text, strlen(text));
}

static inline void put_list(struct out *o, unsigned id, unsigned element, unsigned n)
{
    put_field(o, 9, id);
    put_byte(o, n << 4 | element);
}

/* ---- one column ---- */

struct maker_column {
    char name[8];
    unsigned physical; /* 0 to 7 */
    unsigned length;   /* of 7 */
    int converted;     /* -1: none */
    unsigned logical;  /* 0: none; 200: a TIMESTAMP, 201: a TIME … whose parameters follow */
    int64_t scale, precision;
    unsigned unit, bits;
    bool flag;
    bool repeated, dictionary, v2, crc;
    size_t rows;
    size_t offset, data_offset, bytes, n_levels;
};

static inline struct maker_column draw_column(struct source *s, unsigned number, size_t rows)
{
    static const uint8_t logicals[] = {0, 1, 4, 5, 6, 7, 8, 10, 11, 12, 13, 14, 15, 17, 18, 3};
    static const uint8_t lengths[] = {1, 2, 3, 4, 5, 8, 9, 12, 13, 16, 17, 32, 40, 200};
    struct maker_column c = {.rows = rows, .converted = -1};
    c.name[0] = 'c';
    c.name[1] = (char)('0' + number);
    unsigned kind = draw(s);
    c.physical = kind & 7;
    c.repeated = (kind & 8) != 0;
    c.dictionary = (kind & 16) != 0 && c.physical != 0;
    c.v2 = (kind & 32) != 0;
    c.crc = (kind & 64) != 0;
    c.length = lengths[draw_below(s, sizeof lengths)];
    unsigned said = draw(s);
    c.logical = logicals[said % sizeof logicals];
    if (said & 0x80) /* the older form instead, or besides */
        c.converted = (int)draw_below(s, 24);
    if ((said & 0xc0) == 0xc0)
        c.logical = 0;
    c.precision = (int8_t)draw(s);
    c.scale = (int8_t)draw(s);
    unsigned parameter = draw(s);
    c.unit = parameter & 3;
    c.flag = (parameter & 4) != 0;
    c.bits = 8u << (parameter >> 3 & 3);
    return c;
}

static inline void put_logical(struct out *o, const struct maker_column *c)
{
    if (c->logical == 0)
        return;
    put_field(o, 12, 10);
    put_field(o, 12, c->logical);
    if (c->logical == 5) {
        put_i32(o, 1, c->scale);
        put_i32(o, 2, c->precision);
    } else if (c->logical == 7 || c->logical == 8) {
        put_field(o, c->flag ? 1 : 2, 1);
        put_field(o, 12, 2);
        put_field(o, 12, c->unit);
        put_byte(o, 0);
        put_byte(o, 0);
    } else if (c->logical == 10) {
        put_field(o, 3, 1);
        put_byte(o, c->bits);
        put_field(o, c->flag ? 1 : 2, 2);
    }
    put_byte(o, 0);
    put_byte(o, 0);
}

static inline void put_leaf(struct out *o, const struct maker_column *c)
{
    put_i32(o, 1, c->physical);
    if (c->physical == 7)
        put_i32(o, 2, c->length);
    put_i32(o, 3, c->repeated ? 0 : 1);
    put_text(o, 4, c->repeated ? "element" : c->name);
    if (c->converted >= 0)
        put_i32(o, 6, c->converted);
    if (c->converted == 5 || c->logical == 5) {
        put_i32(o, 7, c->scale);
        put_i32(o, 8, c->precision);
    }
    put_logical(o, c);
    put_byte(o, 0);
}

static inline void put_elements(struct out *o, const struct maker_column *c)
{
    if (c->repeated) {
        put_i32(o, 3, 1);
        put_text(o, 4, c->name);
        put_i32(o, 5, 1);
        put_i32(o, 6, 3);
        put_byte(o, 0);
        put_i32(o, 3, 2);
        put_text(o, 4, "list");
        put_i32(o, 5, 1);
        put_byte(o, 0);
    }
    put_leaf(o, c);
}

/* A value of so many bytes: an extreme one, or what comes. */
static inline void put_bytes(struct out *o, struct source *s, unsigned n)
{
    static const int64_t numbers[] = {0,         1,         -1,       INT64_MAX,   INT64_MIN,      -INT64_MAX,
                                      INT32_MAX, INT32_MIN, 86400000, 86400000000, 86400000000000, 999999999};
    static const uint8_t fills[] = {0, 0xff, 0x7f, 0x80};
    unsigned how = draw(s);
    if (how < 64) {
        int64_t v = numbers[how % (sizeof numbers / sizeof numbers[0])];
        for (unsigned i = 0; i < n; i++)
            put_byte(o, i < 8 ? (unsigned)((uint64_t)v >> (8 * i) & 0xff) : v < 0 ? 0xff : 0);
    } else if (how < 128) {
        for (unsigned i = 0; i < n; i++)
            put_byte(o, i == 0 ? fills[how % 4] : how & 4 ? 0xff : 0);
    } else {
        for (unsigned i = 0; i < n; i++)
            put_byte(o, draw(s));
    }
}

static inline void put_value(struct out *o, struct source *s, const struct maker_column *c)
{
    static const uint8_t sizes[] = {1, 4, 8, 12, 4, 8, 0, 0};
    if (c->physical == 6) {
        unsigned n = draw(s) % 41;
        put_le(o, n, 4);
        put_bytes(o, s, n);
    } else {
        put_bytes(o, s, c->physical == 7 ? c->length : sizes[c->physical]);
    }
}

/* Runs of one level each. */
static inline void put_levels(struct out *o, const uint8_t *levels, size_t n, bool sized)
{
    if (sized)
        put_le(o, n * 2, 4);
    for (size_t i = 0; i < n; i++) {
        put_varint(o, 1 << 1);
        put_byte(o, levels[i]);
    }
}

static inline void put_page(struct out *o, const struct maker_column *c, unsigned kind,
                            const struct out *body, const struct out *header)
{
    put_i32(o, 1, kind);
    put_i32(o, 2, (int64_t)body->n);
    put_i32(o, 3, (int64_t)body->n);
    if (c->crc)
        put_i32(o, 4, (int32_t)(uint32_t)crc32_z(0, body->data, body->n));
    put_field(o, 12, kind == 0 ? 5 : kind == 2 ? 7 : 8);
    put(o, header->data, header->n);
    put_byte(o, 0);
    put_byte(o, 0);
    put(o, body->data, body->n);
}

static inline void put_dictionary(struct out *file, struct source *s, const struct maker_column *c,
                                  unsigned n)
{
    struct out body = {0}, header = {0};
    for (unsigned i = 0; i < n; i++)
        put_value(&body, s, c);
    put_i32(&header, 1, n);
    put_i32(&header, 2, 0);
    put_page(file, c, 2, &body, &header);
    free(body.data);
    free(header.data);
}

static inline void put_values(struct out *body, struct source *s, const struct maker_column *c, unsigned n,
                              unsigned distinct)
{
    if (c->dictionary) {
        put_byte(body, 8); /* bits of an index */
        for (unsigned i = 0; i < n; i++) {
            put_varint(body, 1 << 1);
            put_byte(body, draw_below(s, distinct));
        }
    } else if (c->physical == 0) {
        for (unsigned i = 0; i < (n + 7) / 8; i++)
            put_byte(body, draw(s));
    } else {
        for (unsigned i = 0; i < n; i++)
            put_value(body, s, c);
    }
}

static inline void put_data_page(struct out *file, struct source *s, struct maker_column *c,
                                 unsigned distinct)
{
    uint8_t definition[MAKER_ROWS * 3], repetition[MAKER_ROWS * 3];
    struct out body = {0}, header = {0}, levels = {0};
    unsigned n = 0, values = 0;
    for (size_t row = 0; row < c->rows; row++) {
        unsigned shape = draw(s) & 3; /* of a list: null, empty, one, two */
        unsigned elements = !c->repeated ? 1 : shape > 1 ? shape - 1 : 1;
        for (unsigned i = 0; i < elements; i++) {
            bool there = c->repeated ? shape > 1 : shape != 0;
            definition[n] = (uint8_t)(!c->repeated ? there : there ? 2 : shape);
            repetition[n++] = i > 0;
            values += there;
        }
    }
    if (c->repeated)
        put_levels(&levels, repetition, n, !c->v2);
    size_t repetition_bytes = levels.n;
    put_levels(&levels, definition, n, !c->v2);
    put(&body, levels.data, levels.n);
    put_values(&body, s, c, values, distinct);
    put_i32(&header, 1, n);
    if (c->v2) {
        put_i32(&header, 2, n - values);
        put_i32(&header, 3, (int64_t)c->rows);
        put_i32(&header, 4, c->dictionary ? 8 : 0);
        put_i32(&header, 5, (int64_t)(levels.n - repetition_bytes));
        put_i32(&header, 6, (int64_t)repetition_bytes);
        put_field(&header, 2, 7);
    } else {
        put_i32(&header, 2, c->dictionary ? 8 : 0);
        put_i32(&header, 3, 3);
        put_i32(&header, 4, 3);
    }
    c->n_levels = n;
    put_page(file, c, c->v2 ? 3 : 0, &body, &header);
    free(levels.data);
    free(body.data);
    free(header.data);
}

static inline void put_chunk(struct out *file, struct source *s, struct maker_column *c)
{
    unsigned distinct = c->dictionary ? 1 + draw_below(s, 4) : 0;
    c->offset = file->n;
    if (c->dictionary)
        put_dictionary(file, s, c, distinct);
    c->data_offset = file->n;
    put_data_page(file, s, c, distinct);
    c->bytes = file->n - c->offset;
}

static inline void put_metadata(struct out *o, const struct maker_column *c)
{
    put_i64(o, 2, (int64_t)c->offset);
    put_field(o, 12, 3);
    put_i32(o, 1, c->physical);
    put_list(o, 2, 5, 3);
    put_integer(o, 0);
    put_integer(o, 3);
    put_integer(o, 8);
    put_list(o, 3, 8, c->repeated ? 3 : 1);
    put_varint(o, strlen(c->name));
    put(o, c->name, strlen(c->name));
    if (c->repeated)
        put(o,
            "\x04list\x07"
            "element",
            13);
    put_i32(o, 4, 0);
    put_i64(o, 5, (int64_t)c->n_levels);
    put_i64(o, 6, (int64_t)c->bytes);
    put_i64(o, 7, (int64_t)c->bytes);
    put_i64(o, 9, (int64_t)c->data_offset);
    if (c->dictionary)
        put_i64(o, 11, (int64_t)c->offset);
    put_byte(o, 0);
    put_byte(o, 0);
}

/* Returns how many columns there are besides "id", which is columns[0]; the file's bytes in *file are to be freed. */
static inline unsigned make_parquet(struct source *s, struct out *file,
                                    struct maker_column columns[MAKER_COLUMNS + 1], size_t *rows)
{
    unsigned n = 1 + draw_below(s, MAKER_COLUMNS);
    *rows = 1 + draw_below(s, MAKER_ROWS);
    columns[0] = (struct maker_column){.name = "id", .physical = 2, .converted = -1, .rows = *rows};
    for (unsigned i = 0; i < n; i++)
        columns[i + 1] = draw_column(s, i, *rows);
    put(file, "PAR1", 4);
    struct out ids = {0};
    for (size_t i = 0; i < *rows; i++)
        put_byte(&ids, 1); /* is there */
    for (
        size_t i = 0; i < *rows;
        i++) { /* 1, the extreme that put_bytes has at 12, … does not matter: a byte each of 128 and more is taken as it comes */
        put_byte(&ids, 128);
        put_le(&ids, i, 8);
    }
    struct source fixed = {ids.data, ids.data + ids.n};
    put_chunk(file, &fixed, &columns[0]);
    free(ids.data);
    for (unsigned i = 0; i < n; i++)
        put_chunk(file, s, &columns[i + 1]);
    size_t footer = file->n;
    unsigned n_elements = 1;
    for (unsigned i = 0; i <= n; i++)
        n_elements += columns[i].repeated ? 3 : 1;
    put_i32(file, 1, 2);
    put_field(file, 9, 2);
    put_byte(file, 0xfc);
    put_varint(file, n_elements);
    put_text(file, 4, "schema");
    put_i32(file, 5, n + 1);
    put_byte(file, 0);
    for (unsigned i = 0; i <= n; i++)
        put_elements(file, &columns[i]);
    put_i64(file, 3, (int64_t)*rows);
    put_list(file, 4, 12, 1);
    put_list(file, 1, 12, n + 1);
    for (unsigned i = 0; i <= n; i++)
        put_metadata(file, &columns[i]);
    put_i64(file, 2, (int64_t)footer);
    put_i64(file, 3, (int64_t)*rows);
    put_byte(file, 0);
    put_byte(file, 0);
    put_le(file, file->n - footer, 4);
    put(file, "PAR1", 4);
    return n;
}

#endif
