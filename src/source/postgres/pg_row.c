#include "source/postgres/pg_row.h"

#include <string.h>

#include "base/json_quote.h"
#include "base/utf8.h"
#include "source/postgres/pg_charset.h"

/* A row above the first is not kept whole: of each of its values no more than the second. */
enum { RAW_WHOLE = 1 << 20, RAW_VALUE = 1 << 10, SHOWN = 200 };

/* Working space for one report. */
struct spelled {
    size_t most;             /* of a value's bytes; the rest is left out */
    struct dm_buffer server; /* the value in the server's spelling and encoding */
    struct dm_buffer text;   /* the same in UTF-8, in hex when it has no such form */
};

static enum dm_status append_hex(struct dm_buffer *out, const uint8_t *p, size_t n)
{
    static const char digits[] = "0123456789abcdef";
    if (dm_buffer_append(out, "\\x", 2, NULL) != DM_OK || dm_buffer_reserve(out, 2 * n, NULL) != DM_OK)
        return DM_FAIL;
    for (size_t i = 0; i < n; i++) {
        out->data[out->len++] = (uint8_t)digits[p[i] >> 4];
        out->data[out->len++] = (uint8_t)digits[p[i] & 15];
    }
    return DM_OK;
}

/* A cut may go through a character. */
static size_t whole_characters(const uint8_t *p, size_t n)
{
    for (size_t back = 0; back < 4 && back < n; back++)
        if (dm_utf8_valid(p, n - back))
            return n - back;
    return n;
}

/* The value in `s->text`; false: null or unchanged. */
static bool spell(const struct pg_row_shape *shape, size_t i, const struct pg_raw_value *v, struct spelled *s)
{
    dm_buffer_clear(&s->server);
    dm_buffer_clear(&s->text);
    if (v->kind == PG_KIND_NULL || v->kind == PG_KIND_UNCHANGED)
        return false;
    const struct pg_codec *codec = &shape->codecs[i];
    bool cut = v->n > s->most;
    enum dm_status status;
    if (shape->binary && !(cut && codec->array && !codec->as_text))
        status = pg_value_spell_binary(codec, v->bytes, cut ? s->most : v->n, &s->server, NULL);
    else if (shape->binary)
        status = DM_OK; /* half of a binary array says nothing */
    else
        status = dm_buffer_append(&s->server, v->bytes, cut ? s->most : v->n, NULL);
    const uint8_t *p = s->server.data;
    size_t n = cut && codec->charset == NULL ? whole_characters(p, s->server.len) : s->server.len;
    bool text = n == 0 || (codec->charset == NULL
                               ? dm_utf8_valid(p, n) && dm_buffer_append(&s->text, p, n, NULL) == DM_OK
                               : pg_charset_append(codec->charset, &s->text, p, n) == PG_CHARSET_OK);
    if (status == DM_OK && !text)
        status = append_hex(&s->text, p, n);
    if (status == DM_OK && cut)
        status = dm_buffer_append(&s->text, "…", strlen("…"), NULL);
    (void)status; /* only a value beyond the maximum fails: what fits of it is kept */
    return true;
}

static enum dm_status raw_json(const struct pg_row_shape *shape, const struct pg_raw_value *values,
                               const struct pg_misfit *misfit, struct dm_buffer *out, struct spelled *s,
                               struct dm_error *err)
{
    enum dm_status status = dm_buffer_append_byte(out, '{', err);
    for (size_t i = 0; i < shape->schema->n_fields && status == DM_OK; i++) {
        if (values[i].kind == PG_KIND_UNCHANGED || (misfit->left_behind && values[i].kind == PG_KIND_NULL))
            continue;
        const char *name = shape->schema->fields[i].name;
        if (out->len > 1)
            status = dm_buffer_append(out, ", ", 2, err);
        if (status == DM_OK)
            status = dm_json_quote(out, name, strlen(name), err);
        if (status == DM_OK)
            status = dm_buffer_append(out, ": ", 2, err);
        if (status != DM_OK)
            break;
        status = spell(shape, i, &values[i], s) ? dm_json_quote(out, s->text.data, s->text.len, err)
                                                : dm_buffer_append(out, "null", 4, err);
    }
    return status == DM_OK ? dm_buffer_append_byte(out, '}', err) : status;
}

/* "42" or "(42, \"ab\")". */
static enum dm_status key_text(const struct pg_row_shape *shape, const struct pg_raw_value *values,
                               struct dm_buffer *out, struct spelled *sp, struct dm_error *err)
{
    const struct dm_schema *s = shape->schema;
    enum dm_status status = s->n_keys > 1 ? dm_buffer_append_byte(out, '(', err) : DM_OK;
    for (size_t i = 0; i < s->n_keys && status == DM_OK; i++) {
        if (i > 0)
            status = dm_buffer_append(out, ", ", 2, err);
        if (status != DM_OK)
            break;
        if (!spell(shape, s->keys[i], &values[s->keys[i]], sp))
            status = dm_buffer_append(out, "null", 4, err);
        else if (s->fields[s->keys[i]].type.id == DM_STRING && s->n_keys > 1)
            status = dm_json_quote(out, sp->text.data, sp->text.len, err);
        else
            status = dm_buffer_append(out, sp->text.data, sp->text.len, err);
    }
    return status == DM_OK && s->n_keys > 1 ? dm_buffer_append_byte(out, ')', err) : status;
}

static uint64_t row_bytes(const struct pg_row_shape *shape, const struct pg_raw_value *values)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < shape->schema->n_fields; i++)
        bytes += values[i].n;
    return bytes;
}

/* At least so many bytes a value has when it is decoded. Texts only grow on their way into UTF-8, or lose a quarter (EUC_TW); no fixed-width
 * type, and no array of one, has a fourth of its spelling or less. */
static uint64_t least_bytes(const struct pg_codec *codec, const struct pg_raw_value *v, bool binary)
{
    bool as_it_is = codec->id == PG_CODEC_TEXT || codec->id == PG_CODEC_JSONB || codec->id == PG_CODEC_BYTEA;
    if (codec->array || !as_it_is)
        return v->n / 4;
    if (codec->id == PG_CODEC_BYTEA && !binary)
        return v->n / 2;
    return codec->charset != NULL ? v->n / 4 * 3 : v->n;
}

static size_t largest_value(const struct pg_row_shape *shape, const struct pg_raw_value *values)
{
    size_t largest = 0;
    for (size_t i = 1; i < shape->schema->n_fields; i++)
        if (values[i].n > values[largest].n)
            largest = i;
    return largest;
}

bool pg_row_surely_too_large(const struct pg_row_shape *shape, const struct pg_raw_value *values,
                             struct pg_misfit *misfit)
{
    uint64_t least = 0, all = row_bytes(shape, values);
    if (shape->max_bytes == 0 || all <= shape->max_bytes)
        return false;
    for (size_t i = 0; i < shape->schema->n_fields; i++)
        least += least_bytes(&shape->codecs[i], &values[i], shape->binary);
    if (least <= shape->max_bytes)
        return false;
    *misfit = (struct pg_misfit){
        .column = largest_value(shape, values), .result = PG_VALUE_ROW_TOO_LARGE, .bytes = all};
    return true;
}

bool pg_row_too_large(const struct pg_row_shape *shape, const struct pg_raw_value *values,
                      const struct dm_batch *batch, struct pg_misfit *misfit)
{
    if (shape->max_bytes == 0 || row_bytes(shape, values) <= shape->max_bytes / 16)
        return false; /* decoded, nothing has 16 times the bytes that came */
    uint64_t bytes = dm_batch_row_bytes(batch, batch->rows);
    *misfit = (struct pg_misfit){
        .column = largest_value(shape, values), .result = PG_VALUE_ROW_TOO_LARGE, .bytes = bytes};
    return bytes > shape->max_bytes;
}

static enum dm_status message_text(const struct pg_row_shape *shape, const struct pg_raw_value *values,
                                   const struct pg_misfit *misfit, struct dm_buffer *out, struct spelled *s,
                                   struct dm_error *err)
{
    const struct dm_field *f = &shape->schema->fields[misfit->column];
    if (misfit->null_key)
        return dm_buffer_printf(out, err, "key column \"%s\" is null", f->name);
    if (misfit->result == PG_VALUE_ROW_TOO_LARGE)
        return dm_buffer_printf(out, err,
                                "the row has %llu bytes%s%s%s; with this memory_limit a row may have %llu (a "
                                "sixteenth of it)",
                                (unsigned long long)misfit->bytes,
                                misfit->left_behind ? "" : ", most of them in column \"",
                                misfit->left_behind ? "" : f->name, misfit->left_behind ? "" : "\"",
                                (unsigned long long)shape->max_bytes);
    bool spelled = spell(shape, misfit->column, &values[misfit->column], s) && s->text.len > 0;
    size_t shown = spelled ? s->text.len : 0;
    if (shown > SHOWN)
        shown = whole_characters(s->text.data, SHOWN);
    return dm_buffer_printf(out, err, "column \"%s\" (%s): %s: %.*s%s", f->name,
                            f->source_type != NULL ? f->source_type : "?", pg_value_rule(misfit->result),
                            (int)shown, spelled ? (const char *)s->text.data : "",
                            spelled && s->text.len > shown ? "…" : "");
}

/* The three texts of the report, each in a buffer. */
static enum dm_status describe(const struct pg_row_shape *shape, const struct pg_raw_value *values,
                               const struct pg_misfit *misfit, struct dm_buffer texts[3], struct spelled *s,
                               struct dm_error *err)
{
    if (raw_json(shape, values, misfit, &texts[0], s, err) != DM_OK)
        return DM_FAIL;
    s->most = s->most < RAW_VALUE ? s->most : RAW_VALUE;
    if (key_text(shape, values, &texts[1], s, err) != DM_OK)
        return DM_FAIL;
    return message_text(shape, values, misfit, &texts[2], s, err);
}

enum dm_status pg_report_misfit(const struct pg_row_shape *shape, const struct pg_raw_value *values,
                                const struct pg_misfit *misfit, enum dm_op op,
                                enum dm_status (*fn)(void *ctx, const struct dm_bad_row *row,
                                                     struct dm_error *err),
                                void *ctx, struct dm_error *err)
{
    uint64_t bytes = row_bytes(shape, values);
    if (bytes < misfit->bytes)
        bytes = misfit->bytes;
    bool whole = bytes <= RAW_WHOLE;
    struct spelled s = {.most = whole ? RAW_WHOLE : RAW_VALUE};
    struct dm_buffer texts[3];
    dm_buffer_init(&s.server, UINT32_MAX);
    dm_buffer_init(&s.text, UINT32_MAX);
    for (size_t i = 0; i < 3; i++)
        dm_buffer_init(&texts[i], UINT32_MAX);
    enum dm_status status = describe(shape, values, misfit, texts, &s, err);
    if (status == DM_OK) {
        struct dm_bad_row row = {
            .reason = misfit->null_key ? "null_key" : pg_value_reason(misfit->result),
            .message = dm_buffer_text(&texts[2]),
            .key = shape->schema->n_keys > 0 ? dm_buffer_text(&texts[1]) : NULL,
            .raw = dm_buffer_text(&texts[0]),
            .raw_bytes = whole ? 0 : bytes,
            .op = op,
        };
        status = fn(ctx, &row, err);
    }
    for (size_t i = 0; i < 3; i++)
        dm_buffer_release(&texts[i]);
    dm_buffer_release(&s.server);
    dm_buffer_release(&s.text);
    return status;
}
