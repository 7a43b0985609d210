#include "column/row_json.h"

#include <stdio.h>
#include <string.h>

#include "base/json_quote.h"
#include "column/key.h"

static enum dm_status put(struct dm_buffer *out, const char *text, struct dm_error *err)
{
    return dm_buffer_append(out, text, strlen(text), err);
}

static enum dm_status put_binary(struct dm_buffer *out, const uint8_t *bytes, size_t n, struct dm_error *err)
{
    static const char digits[] = "0123456789abcdef";
    if (put(out, "\"\\\\x", err) != DM_OK || dm_buffer_reserve(out, n * 2 + 1, err) != DM_OK)
        return DM_FAIL;
    for (size_t i = 0; i < n; i++) {
        out->data[out->len++] = (uint8_t)digits[bytes[i] >> 4];
        out->data[out->len++] = (uint8_t)digits[bytes[i] & 15];
    }
    return put(out, "\"", err);
}

/* Dates and moments; ISO 8601 wants a sign in front of years of more than four digits. */
static enum dm_status put_date(struct dm_buffer *out, const char *text, size_t n, struct dm_error *err)
{
    char with_sign[80] = "+";
    size_t year = strspn(text, "0123456789");
    if (year <= 4 || text[year] != '-')
        return dm_json_quote(out, text, n, err);
    memcpy(with_sign + 1, text, n + 1);
    return dm_json_quote(out, with_sign, n + 1, err);
}

static enum dm_status put_fixed(struct dm_buffer *out, const struct dm_column *c, size_t row,
                                struct dm_error *err)
{
    char text[64];
    size_t n = dm_fixed_text(c, row, text, sizeof text);
    switch ((enum dm_type_id)c->type.id) {
    case DM_BOOL:
    case DM_INT32:
    case DM_INT64:
    case DM_DECIMAL: return dm_buffer_append(out, text, n, err);
    case DM_FLOAT32:
    case DM_FLOAT64:
        if (strstr(text, "nan") != NULL)
            return put(out, "\"NaN\"", err);
        if (strstr(text, "inf") != NULL)
            return put(out, text[0] == '-' ? "\"-Infinity\"" : "\"Infinity\"", err);
        return dm_buffer_append(out, text, n, err);
    case DM_DATE:
    case DM_TIMESTAMP:
    case DM_TIMESTAMPTZ:
    case DM_TIMESTAMP_NS: return put_date(out, text, n, err);
    case DM_TIME:
    case DM_UUID:
    case DM_STRING:
    case DM_BINARY:
    case DM_LIST: break;
    }
    return dm_json_quote(out, text, n, err);
}

static enum dm_status put_scalar(struct dm_buffer *out, const struct dm_column *c, size_t row,
                                 struct dm_error *err)
{
    if (c->state[row] != DM_VALID)
        return put(out, "null", err);
    if (c->width != 0)
        return put_fixed(out, c, row, err);
    size_t n;
    const uint8_t *bytes = dm_column_bytes_at(c, row, &n);
    return c->type.id == DM_BINARY ? put_binary(out, bytes, n, err) : dm_json_quote(out, bytes, n, err);
}

static enum dm_status put_value(struct dm_buffer *out, const struct dm_column *c, size_t row,
                                struct dm_error *err)
{
    if (c->child == NULL || c->state[row] != DM_VALID)
        return put_scalar(out, c, row, err);
    enum dm_status status = put(out, "[", err);
    for (size_t i = c->offsets[row]; i < c->offsets[row + 1] && status == DM_OK; i++) {
        if (i > c->offsets[row])
            status = put(out, ", ", err);
        if (status == DM_OK)
            status = put_scalar(out, c->child, i, err);
    }
    return status == DM_OK ? put(out, "]", err) : status;
}

enum dm_status dm_row_json(const struct dm_batch *b, size_t row, struct dm_buffer *out, struct dm_error *err)
{
    bool gone = b->ops[row] == DM_OP_DELETE || b->ops[row] == DM_OP_REKEY;
    enum dm_status status = DM_OK;
    /* A column of the dataset's own with that name is data, and then the kind of change cannot be told beside it. */
    if (dm_schema_find(b->schema, DM_CHANGE_TYPE_COLUMN) < 0)
        status =
            put(out, gone ? "{\"" DM_CHANGE_TYPE_COLUMN "\": \"d\"" : "{\"" DM_CHANGE_TYPE_COLUMN "\": \"u\"",
                err);
    else
        status = put(out, "{", err);
    bool first = out->len > 0 && out->data[out->len - 1] == '{';
    for (size_t i = 0; i < b->n_columns && status == DM_OK; i++) {
        const char *name = b->schema->fields[i].name;
        status = first ? DM_OK : put(out, ", ", err);
        first = false;
        if (status == DM_OK)
            status = dm_json_quote(out, name, strlen(name), err);
        if (status == DM_OK)
            status = put(out, ": ", err);
        if (status == DM_OK)
            status = b->columns[i].state[row] == DM_UNCHANGED ? put(out, "\"" DM_UNAVAILABLE_VALUE "\"", err)
                                                              : put_value(out, &b->columns[i], row, err);
    }
    return status == DM_OK ? put(out, "}", err) : status;
}
