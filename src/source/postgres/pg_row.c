#include "source/postgres/pg_row.h"

#include <string.h>

#include "base/json_quote.h"

#define RAW_ROW_MAX (1u << 30)

/* Bytes that are not UTF-8 are spelled in hex: JSON could not carry them. */
static enum dm_status append_spelled(struct dm_buffer *out, const uint8_t *p, size_t n, struct dm_error *err)
{
    if (pg_utf8_valid(p, n))
        return dm_json_quote(out, p, n, err);
    enum dm_status status = dm_buffer_append(out, "\"\\\\x", 4, err);
    for (size_t i = 0; i < n && status == DM_OK; i++)
        status = dm_buffer_printf(out, err, "%02x", p[i]);
    return status == DM_OK ? dm_buffer_append_byte(out, '"', err) : status;
}

/* The value as plain text in `plain`; false: null or unchanged. */
static bool spell(const struct pg_row_shape *shape, size_t i, const struct pg_raw_value *v,
                  struct dm_buffer *plain)
{
    dm_buffer_clear(plain);
    if (v->kind == PG_KIND_NULL || v->kind == PG_KIND_UNCHANGED)
        return false;
    enum dm_status status = shape->binary
                                ? pg_value_spell_binary(&shape->codecs[i], v->bytes, v->n, plain, NULL)
                                : dm_buffer_append(plain, v->bytes, v->n, NULL);
    (void)status; /* only a value beyond the maximum fails: what fits of it is kept */
    return true;
}

static enum dm_status raw_json(const struct pg_row_shape *shape, const struct pg_raw_value *values,
                               struct dm_buffer *out, struct dm_buffer *plain, struct dm_error *err)
{
    enum dm_status status = dm_buffer_append_byte(out, '{', err);
    for (size_t i = 0; i < shape->schema->n_fields && status == DM_OK; i++) {
        if (values[i].kind == PG_KIND_UNCHANGED)
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
        status = spell(shape, i, &values[i], plain) ? append_spelled(out, plain->data, plain->len, err)
                                                    : dm_buffer_append(out, "null", 4, err);
    }
    return status == DM_OK ? dm_buffer_append_byte(out, '}', err) : status;
}

/* "42" or "(42, \"ab\")". */
static enum dm_status key_text(const struct pg_row_shape *shape, const struct pg_raw_value *values,
                               struct dm_buffer *out, struct dm_buffer *plain, struct dm_error *err)
{
    const struct dm_schema *s = shape->schema;
    enum dm_status status = s->n_keys > 1 ? dm_buffer_append_byte(out, '(', err) : DM_OK;
    for (size_t i = 0; i < s->n_keys && status == DM_OK; i++) {
        if (i > 0)
            status = dm_buffer_append(out, ", ", 2, err);
        if (status != DM_OK)
            break;
        if (!spell(shape, s->keys[i], &values[s->keys[i]], plain))
            status = dm_buffer_append(out, "null", 4, err);
        else if (s->fields[s->keys[i]].type.id == DM_STRING && s->n_keys > 1)
            status = append_spelled(out, plain->data, plain->len, err);
        else
            status = dm_buffer_append(out, plain->data, plain->len, err);
    }
    return status == DM_OK && s->n_keys > 1 ? dm_buffer_append_byte(out, ')', err) : status;
}

enum dm_status pg_report_misfit(const struct pg_row_shape *shape, const struct pg_raw_value *values,
                                const struct pg_misfit *misfit, enum dm_op op,
                                enum dm_status (*fn)(void *ctx, const struct dm_bad_row *row,
                                                     struct dm_error *err),
                                void *ctx, struct dm_error *err)
{
    struct dm_buffer raw, key, plain, message;
    dm_buffer_init(&raw, RAW_ROW_MAX);
    dm_buffer_init(&key, RAW_ROW_MAX);
    dm_buffer_init(&plain, RAW_ROW_MAX);
    dm_buffer_init(&message, RAW_ROW_MAX);
    enum dm_status status = raw_json(shape, values, &raw, &plain, err);
    if (status == DM_OK)
        status = key_text(shape, values, &key, &plain, err);
    const struct dm_field *f = &shape->schema->fields[misfit->column];
    if (status == DM_OK && misfit->null_key) {
        status = dm_buffer_printf(&message, err, "key column \"%s\" is null", f->name);
    } else if (status == DM_OK) {
        bool spelled = spell(shape, misfit->column, &values[misfit->column], &plain) && plain.len > 0;
        int shown = plain.len > 200 ? 200 : (int)plain.len;
        status = dm_buffer_printf(&message, err, "column \"%s\" (%s): %s: %.*s%s", f->name,
                                  f->source_type != NULL ? f->source_type : "?",
                                  pg_value_rule(misfit->result), spelled ? shown : 0,
                                  spelled ? (const char *)plain.data : "", plain.len > 200 ? "…" : "");
    }
    if (status == DM_OK) {
        struct dm_bad_row row = {
            .reason = misfit->null_key ? "null_key" : pg_value_reason(misfit->result),
            .message = dm_buffer_text(&message),
            .key = shape->schema->n_keys > 0 ? dm_buffer_text(&key) : NULL,
            .raw = dm_buffer_text(&raw),
            .op = op,
        };
        status = fn(ctx, &row, err);
    }
    dm_buffer_release(&raw);
    dm_buffer_release(&key);
    dm_buffer_release(&plain);
    dm_buffer_release(&message);
    return status;
}
