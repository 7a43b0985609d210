/* Values into columns: variable-length types, arrays, and the fixed-width ones straight into the vector. */
#include "source/postgres/pg_value.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/bytes.h"
#include "base/memory.h"
#include "source/postgres/pg_charset.h"

static enum pg_value_result append_text(const struct pg_codec *codec, struct dm_column *c, const void *bytes,
                                        size_t n)
{
    dm_column_reserve(c, 1);
    switch (pg_charset_append(codec->charset, &c->bytes, bytes, n)) {
    case PG_CHARSET_NOT_TEXT: return PG_VALUE_UTF8;
    case PG_CHARSET_NO_ROOM: return PG_VALUE_TOO_LARGE;
    case PG_CHARSET_OK: break;
    }
    c->offsets[c->length + 1] = (uint32_t)c->bytes.len;
    c->state[c->length++] = DM_VALID;
    return PG_VALUE_OK;
}

/* A hex digit's value, 0xFF for anything else. */
static uint8_t nibble(char ch)
{
    if (ch >= '0' && ch <= '9')
        return (uint8_t)(ch - '0');
    if (ch >= 'a' && ch <= 'f')
        return (uint8_t)(ch - 'a' + 10);
    return ch >= 'A' && ch <= 'F' ? (uint8_t)(ch - 'A' + 10) : 0xFF;
}

static enum pg_value_result append_bytea_hex(struct dm_column *c, const char *s, size_t n)
{
    if (n < 2 || n % 2 != 0 || s[0] != '\\' || s[1] != 'x')
        return PG_VALUE_MALFORMED;
    size_t size = n / 2 - 1;
    dm_column_reserve(c, 1);
    if (dm_buffer_reserve(&c->bytes, size, NULL) != DM_OK)
        return PG_VALUE_TOO_LARGE;
    uint8_t *out = c->bytes.data + c->bytes.len;
    unsigned bad = 0;
    for (size_t i = 0; i < size; i++) {
        unsigned high = nibble(s[2 + 2 * i]), low = nibble(s[3 + 2 * i]);
        bad |= high | low;
        out[i] = (uint8_t)(high << 4 | low);
    }
    if (bad > 0x0F)
        return PG_VALUE_MALFORMED;
    c->bytes.len += size;
    c->offsets[c->length + 1] = (uint32_t)c->bytes.len;
    c->state[c->length++] = DM_VALID;
    return PG_VALUE_OK;
}

static struct pg_codec element_codec(const struct pg_codec *codec)
{
    struct pg_codec element = *codec;
    element.array = false;
    element.type = dm_type_element(codec->type);
    return element;
}

/* ---- text ---- */

/* Fixed-width values are decoded where they will stand. */
static inline void *next_slot(struct dm_column *c)
{
    dm_column_reserve(c, 1);
    return c->data + c->length * c->width;
}

static enum pg_value_result scalar_text(const struct pg_codec *codec, struct dm_column *c, const char *text,
                                        size_t n)
{
    if (codec->id == PG_CODEC_TEXT || codec->id == PG_CODEC_JSONB)
        return append_text(codec, c, text, n);
    if (codec->id == PG_CODEC_BYTEA)
        return append_bytea_hex(c, text, n);
    enum pg_value_result r = pg_scalar_from_text(codec, text, n, next_slot(c));
    if (r == PG_VALUE_OK)
        c->state[c->length++] = DM_VALID;
    return r;
}

/* One element from *i on; `scratch` has room for the whole text. Leaves *i behind the element. */
static enum pg_value_result next_element(const char *s, size_t n, size_t *i, char delimiter, char *scratch,
                                         const char **element, size_t *size)
{
    size_t at = *i, out = 0;
    bool quoted = at < n && s[at] == '"';
    if (quoted) {
        for (at++; at < n && s[at] != '"'; at++) {
            at += s[at] == '\\';
            if (at >= n)
                return PG_VALUE_MALFORMED;
            scratch[out++] = s[at];
        }
        if (at++ >= n)
            return PG_VALUE_MALFORMED;
    } else {
        if (at < n && s[at] == '{')
            return PG_VALUE_ARRAY_SHAPE;
        while (at < n && s[at] != delimiter && s[at] != '}') {
            at += s[at] == '\\';
            if (at >= n)
                return PG_VALUE_MALFORMED;
            scratch[out++] = s[at++];
        }
        if (out == 0)
            return PG_VALUE_MALFORMED;
    }
    *i = at;
    *size = out;
    *element = !quoted && out == 4 && strncasecmp(scratch, "null", 4) == 0 ? NULL : scratch;
    return PG_VALUE_OK;
}

enum pg_value_result pg_array_text_each(const char *s, size_t n, char delimiter, pg_element_fn fn, void *ctx)
{
    if (n > 0 && s[0] == '[')
        return PG_VALUE_ARRAY_SHAPE; /* "[2:3]={…}" */
    if (n < 2 || s[0] != '{' || s[n - 1] != '}')
        return PG_VALUE_MALFORMED;
    if (n == 2)
        return PG_VALUE_OK;
    char small[512];
    char *scratch = n <= sizeof small ? small : dm_xalloc(n);
    enum pg_value_result r = PG_VALUE_OK;
    for (size_t i = 1; r == PG_VALUE_OK; i++) {
        const char *element;
        size_t size;
        r = next_element(s, n, &i, delimiter, scratch, &element, &size);
        if (r == PG_VALUE_OK)
            r = fn(ctx, element, size);
        if (r != PG_VALUE_OK)
            break;
        if (i >= n || (s[i] != delimiter && s[i] != '}'))
            r = PG_VALUE_MALFORMED;
        else if (s[i] == '}') {
            r = i == n - 1 ? PG_VALUE_OK : PG_VALUE_MALFORMED;
            break;
        }
    }
    if (scratch != small)
        free(scratch);
    return r;
}

struct list_target {
    struct pg_codec codec;
    struct dm_column *child;
};

static enum pg_value_result append_element(void *ctx, const char *text, size_t n)
{
    struct list_target *target = ctx;
    if (text == NULL) {
        dm_column_append_null(target->child);
        return PG_VALUE_OK;
    }
    return scalar_text(&target->codec, target->child, text, n);
}

static enum pg_value_result array_text(const struct pg_codec *codec, struct dm_column *c, const char *text,
                                       size_t n)
{
    struct list_target target = {element_codec(codec), c->child};
    enum pg_value_result r = pg_array_text_each(text, n, codec->delimiter, append_element, &target);
    if (r == PG_VALUE_OK)
        dm_column_close_list(c);
    else
        dm_column_truncate(c, c->length);
    return r;
}

enum pg_value_result pg_value_from_text(const struct pg_codec *codec, struct dm_column *c, const char *text,
                                        size_t n)
{
    return codec->array ? array_text(codec, c, text, n) : scalar_text(codec, c, text, n);
}

/* ---- binary ---- */

static enum pg_value_result scalar_binary(const struct pg_codec *codec, struct dm_column *c, const uint8_t *p,
                                          size_t n)
{
    if (codec->id == PG_CODEC_TEXT || codec->id == PG_CODEC_BYTEA)
        return codec->id == PG_CODEC_TEXT                       ? append_text(codec, c, p, n)
               : dm_column_append_bytes(c, p, n, NULL) == DM_OK ? PG_VALUE_OK
                                                                : PG_VALUE_TOO_LARGE;
    if (codec->id == PG_CODEC_JSONB)
        return n >= 1 && p[0] == 1 ? append_text(codec, c, p + 1, n - 1) : PG_VALUE_MALFORMED;
    enum pg_value_result r = pg_scalar_from_binary(codec, p, n, next_slot(c));
    if (r == PG_VALUE_OK)
        c->state[c->length++] = DM_VALID;
    return r;
}

/* array_send: int32 dimensions, int32 has nulls, oid of the elements; per dimension int32 length and lower
 * bound; then per element int32 length (-1 null) and bytes. */
static enum pg_value_result array_binary(const struct pg_codec *codec, struct dm_column *c, const uint8_t *p,
                                         size_t n)
{
    if (n < 12)
        return PG_VALUE_MALFORMED;
    int32_t dimensions = (int32_t)dm_get_be32(p);
    if (dimensions == 0 && n == 12) {
        dm_column_close_list(c);
        return PG_VALUE_OK;
    }
    if (dimensions < 1 || dimensions > 6 || n < 12 + 8 * (size_t)dimensions)
        return PG_VALUE_MALFORMED;
    if (dimensions > 1 || (int32_t)dm_get_be32(p + 16) != 1)
        return PG_VALUE_ARRAY_SHAPE;
    uint32_t count = dm_get_be32(p + 12);
    struct pg_codec element = element_codec(codec);
    enum pg_value_result r = PG_VALUE_OK;
    size_t at = 20;
    for (uint32_t i = 0; i < count && r == PG_VALUE_OK; i++) {
        if (n - at < 4) {
            r = PG_VALUE_MALFORMED;
            break;
        }
        uint32_t size = dm_get_be32(p + at);
        at += 4;
        if (size == UINT32_MAX) {
            dm_column_append_null(c->child);
        } else if (size > n - at) {
            r = PG_VALUE_MALFORMED;
        } else {
            r = scalar_binary(&element, c->child, p + at, size);
            at += size;
        }
    }
    if (r == PG_VALUE_OK && at != n)
        r = PG_VALUE_MALFORMED;
    if (r == PG_VALUE_OK)
        dm_column_close_list(c);
    else
        dm_column_truncate(c, c->length);
    return r;
}

enum pg_value_result pg_value_from_binary(const struct pg_codec *codec, struct dm_column *c, const uint8_t *p,
                                          size_t n)
{
    if (!codec->array)
        return scalar_binary(codec, c, p, n);
    if (codec->as_text)
        return array_text(codec, c, (const char *)p, n);
    return array_binary(codec, c, p, n);
}
