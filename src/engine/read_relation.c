#include "engine/read_relation.h"

#include <jansson.h>
#include <string.h>

#include "engine/connection.h"
#include "engine/duckdb_type.h"

enum { DEFAULT_MAX = 1 << 20 };

static enum dm_status not_a_default(struct dm_error *err, struct dm_type type, const char *json)
{
    char name[32];
    return dm_fail(err, DM_ERROR_FATAL, NULL, "not a default value of type %s: %.200s",
                   dm_type_name(type, name, sizeof name), json);
}

static int hex_digit(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

/* Iceberg writes binary as hexadecimal; DuckDB casts \xHH. */
static enum dm_status append_hex(struct dm_buffer *out, const char *hex, struct dm_error *err)
{
    for (; hex[0] != 0; hex += 2) {
        if (hex_digit(hex[0]) < 0 || hex_digit(hex[1]) < 0)
            return dm_fail(err, DM_ERROR_FATAL, NULL, "a binary default is not hexadecimal");
        if (dm_buffer_printf(out, err, "\\x%c%c", hex[0], hex[1]) != DM_OK)
            return DM_FAIL;
    }
    return DM_OK;
}

/* In the text of a list DuckDB wants a backslash before quotes and backslashes. */
static enum dm_status append_quoted(struct dm_buffer *out, const char *text, struct dm_error *err)
{
    if (dm_buffer_append_byte(out, '\'', err) != DM_OK)
        return DM_FAIL;
    for (; *text != 0; text++) {
        if ((*text == '\'' || *text == '\\') && dm_buffer_append_byte(out, '\\', err) != DM_OK)
            return DM_FAIL;
        if (dm_buffer_append_byte(out, (uint8_t)*text, err) != DM_OK)
            return DM_FAIL;
    }
    return dm_buffer_append_byte(out, '\'', err);
}

static enum dm_status append_scalar(struct dm_buffer *out, const json_t *v, struct dm_type type, bool in_list,
                                    struct dm_error *err)
{
    if (json_is_null(v))
        return dm_buffer_append(out, "NULL", 4, err);
    if (json_is_boolean(v))
        return dm_buffer_printf(out, err, "%s", json_is_true(v) ? "true" : "false");
    if (json_is_integer(v))
        return dm_buffer_printf(out, err, "%lld", (long long)json_integer_value(v));
    if (json_is_real(v))
        return dm_buffer_printf(out, err, "%.17g", json_real_value(v));
    if (!json_is_string(v))
        return not_a_default(err, type, "an object");
    const char *text = json_string_value(v);
    if (type.id == DM_BINARY)
        return append_hex(out, text, err);
    if (in_list)
        return append_quoted(out, text, err);
    return dm_buffer_append(out, text, strlen(text), err);
}

static enum dm_status append_list(struct dm_buffer *out, const json_t *list, struct dm_type type,
                                  struct dm_error *err)
{
    for (size_t i = 0; i < json_array_size(list); i++)
        if (dm_buffer_append(out, i == 0 ? "[" : ", ", i == 0 ? 1 : 2, err) != DM_OK ||
            append_scalar(out, json_array_get(list, i), dm_type_element(type), true, err) != DM_OK)
            return DM_FAIL;
    return dm_buffer_append(out, json_array_size(list) == 0 ? "[]" : "]", json_array_size(list) == 0 ? 2 : 1,
                            err);
}

enum dm_status dm_default_literal(struct dm_buffer *sql, const char *json, struct dm_type type,
                                  struct dm_error *err)
{
    json_error_t where;
    json_t *v = json_loads(json, JSON_DECODE_ANY, &where);
    if (v == NULL || (type.id == DM_LIST) != json_is_array(v)) {
        bool null = json_is_null(v);
        json_decref(v);
        return null ? dm_buffer_append(sql, "NULL", 4, err) : not_a_default(err, type, json);
    }
    struct dm_buffer text;
    dm_buffer_init(&text, DEFAULT_MAX);
    enum dm_status status = DM_OK;
    if (json_is_null(v)) {
        status = dm_buffer_append(sql, "NULL", 4, err);
    } else {
        status =
            type.id == DM_LIST ? append_list(&text, v, type, err) : append_scalar(&text, v, type, false, err);
        if (status == DM_OK && dm_buffer_text(&text) == NULL)
            status = dm_fail_memory(err, DEFAULT_MAX);
        if (status == DM_OK)
            status = dm_sql_quote(sql, '\'', (const char *)text.data, err);
    }
    dm_buffer_release(&text);
    json_decref(v);
    return status;
}

static enum dm_status append_fields(struct dm_buffer *sql, const struct dm_schema *schema, char *const *names,
                                    struct dm_error *err)
{
    char type[32];
    for (size_t i = 0; i < schema->n_fields; i++) {
        const struct dm_field *f = &schema->fields[i];
        if (dm_buffer_printf(sql, err, "%s%d: {name: ", i == 0 ? "" : ", ", (int)f->id) != DM_OK ||
            dm_sql_quote(sql, '\'', names[i], err) != DM_OK ||
            dm_buffer_printf(sql, err, ", type: '%s', default_value: ",
                             dm_duckdb_type_sql(f->type, type, sizeof type)) != DM_OK)
            return DM_FAIL;
        enum dm_status status = f->default_json == NULL
                                    ? dm_buffer_append(sql, "NULL", 4, err)
                                    : dm_default_literal(sql, f->default_json, f->type, err);
        if (status != DM_OK) {
            dm_error_prefix(err, "field %s", f->name);
            return DM_FAIL;
        }
        if (dm_buffer_append_byte(sql, '}', err) != DM_OK)
            return DM_FAIL;
    }
    return DM_OK;
}

enum dm_status dm_read_relation(struct dm_buffer *sql, const struct dm_scan_file *files, size_t n_files,
                                const struct dm_schema *schema, char *const *names, struct dm_error *err)
{
    if (dm_buffer_append(sql, "read_parquet([", 14, err) != DM_OK)
        return DM_FAIL;
    for (size_t i = 0; i < n_files; i++)
        if ((i > 0 && dm_buffer_append(sql, ", ", 2, err) != DM_OK) ||
            dm_sql_quote(sql, '\'', files[i].path, err) != DM_OK)
            return DM_FAIL;
    if (dm_buffer_printf(sql, err, "], schema = MAP {") != DM_OK ||
        append_fields(sql, schema, names, err) != DM_OK)
        return DM_FAIL;
    return dm_buffer_append(sql, "})", 2, err);
}
