/* Schemas as Iceberg JSON, and what Data Mirror adds to them as table properties. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "lake/iceberg/metadata.h"

static enum dm_status not_utf8(const char *text, struct dm_error *err)
{
    return dm_fail(err, DM_ERROR_DATA, "rename it in the source or leave it out", "'%s' is not valid UTF-8",
                   text);
}

static json_t *type_json(const struct dm_field *f)
{
    char name[64];
    if (f->type.id != DM_LIST)
        return json_string(dm_type_name(f->type, name, sizeof name));
    return json_pack("{s:s, s:i, s:s, s:b}", "type", "list", "element-id", f->element_id, "element",
                     dm_type_name(dm_type_element(f->type), name, sizeof name), "element-required", 0);
}

static enum dm_status field_json(const struct dm_field *f, int format_version, json_t **out,
                                 struct dm_error *err)
{
    json_t *name = json_string(f->name);
    if (name == NULL)
        return not_utf8(f->name, err);
    json_t *o = json_pack("{s:i, s:o, s:b, s:o}", "id", f->id, "name", name, "required", f->required, "type",
                          type_json(f));
    if (o == NULL)
        return dm_fail(err, DM_ERROR_FATAL, NULL, "cannot describe the field '%s'", f->name);
    if (f->source_type != NULL) {
        char *doc = f->source_ref > 0
                        ? dm_xasprintf("source type %s, column %d", f->source_type, f->source_ref)
                        : dm_xasprintf("source type %s", f->source_type);
        json_t *text = json_string(doc);
        free(doc);
        if (text == NULL) {
            json_decref(o);
            return not_utf8(f->source_type, err);
        }
        json_object_set_new(o, "doc", text);
    }
    if (f->default_json != NULL && format_version >= 3) {
        json_t *value = json_loads(f->default_json, JSON_DECODE_ANY, NULL);
        if (value == NULL) {
            json_decref(o);
            return dm_fail(err, DM_ERROR_DATA, NULL, "the default of the field '%s' is not JSON: %s", f->name,
                           f->default_json);
        }
        json_object_set(o, "initial-default", value);
        json_object_set_new(o, "write-default", value);
    }
    *out = o;
    return DM_OK;
}

/* Iceberg allows only required fields that are neither floats nor lists as identifiers. */
static bool key_can_be_identifier(const struct dm_schema *s)
{
    for (size_t i = 0; i < s->n_keys; i++) {
        const struct dm_field *f = &s->fields[s->keys[i]];
        if (!f->required || f->type.id == DM_FLOAT32 || f->type.id == DM_FLOAT64 || f->type.id == DM_LIST)
            return false;
    }
    return s->n_keys > 0;
}

enum dm_status dm_schema_json(const struct dm_schema *s, int format_version, char **out, struct dm_error *err)
{
    json_t *fields = json_array();
    enum dm_status status = DM_OK;
    for (size_t i = 0; i < s->n_fields && status == DM_OK; i++) {
        json_t *field = NULL;
        status = field_json(&s->fields[i], format_version, &field, err);
        if (status == DM_OK)
            json_array_append_new(fields, field);
    }
    json_t *o = json_pack("{s:s, s:i, s:o}", "type", "struct", "schema-id", s->schema_id, "fields", fields);
    if (key_can_be_identifier(s)) {
        json_t *ids = json_array();
        for (size_t i = 0; i < s->n_keys; i++)
            json_array_append_new(ids, json_integer(s->fields[s->keys[i]].id));
        json_object_set_new(o, "identifier-field-ids", ids);
    }
    if (status == DM_OK)
        *out = json_dumps(o, JSON_COMPACT);
    json_decref(o);
    return status;
}

enum dm_status dm_schema_columns_json(const struct dm_schema *s, char **columns, char **key,
                                      struct dm_error *err)
{
    json_t *map = json_object();
    json_t *ids = json_array();
    enum dm_status status = DM_OK;
    for (size_t i = 0; i < s->n_fields && status == DM_OK; i++) {
        const struct dm_field *f = &s->fields[i];
        char id[16];
        (void)snprintf(id, sizeof id, "%d", f->id);
        json_t *o = json_pack("{s:i}", "ref", f->source_ref);
        if (f->source_type != NULL && json_object_set_new(o, "type", json_string(f->source_type)) != 0)
            status = not_utf8(f->source_type, err);
        /* Version 2 has no field for a default, and we need it to fill old rows. */
        if (f->default_json != NULL)
            json_object_set_new(o, "default", json_string(f->default_json));
        json_object_set_new(map, id, o);
    }
    for (size_t i = 0; i < s->n_keys; i++)
        json_array_append_new(ids, json_integer(s->fields[s->keys[i]].id));
    if (status == DM_OK) {
        *columns = json_dumps(map, JSON_COMPACT);
        *key = json_dumps(ids, JSON_COMPACT);
    }
    json_decref(map);
    json_decref(ids);
    return status;
}

enum dm_status dm_schema_apply_columns(struct dm_schema *s, const char *columns, const char *key,
                                       struct dm_error *err)
{
    if (columns != NULL) {
        json_t *map = json_loads(columns, 0, NULL);
        if (!json_is_object(map)) {
            json_decref(map);
            return dm_fail(err, DM_ERROR_DATA, NULL, "the property datamirror.columns is not a JSON object");
        }
        for (size_t i = 0; i < s->n_fields; i++) {
            char id[16];
            (void)snprintf(id, sizeof id, "%d", s->fields[i].id);
            const json_t *o = json_object_get(map, id);
            const char *type = json_string_value(json_object_get(o, "type"));
            const char *value = json_string_value(json_object_get(o, "default"));
            s->fields[i].source_ref = (int32_t)json_integer_value(json_object_get(o, "ref"));
            free(s->fields[i].source_type);
            s->fields[i].source_type = dm_xstrdup(type);
            if (value != NULL && s->fields[i].default_json == NULL)
                s->fields[i].default_json = dm_xstrdup(value);
        }
        json_decref(map);
    }
    if (key != NULL) {
        json_t *ids = json_loads(key, 0, NULL);
        if (!json_is_array(ids)) {
            json_decref(ids);
            return dm_fail(err, DM_ERROR_DATA, NULL, "the property datamirror.key is not a JSON array");
        }
        s->n_keys = 0;
        for (size_t i = 0; i < json_array_size(ids); i++) {
            int at = dm_schema_find_id(s, (int32_t)json_integer_value(json_array_get(ids, i)));
            if (at >= 0)
                dm_schema_add_key(s, (uint32_t)at);
        }
        json_decref(ids);
    }
    return DM_OK;
}

static bool scalar_type(const char *text, struct dm_type *out)
{
    static const struct {
        const char *name;
        enum dm_type_id id;
    } types[] = {{"boolean", DM_BOOL},
                 {"int", DM_INT32},
                 {"long", DM_INT64},
                 {"float", DM_FLOAT32},
                 {"double", DM_FLOAT64},
                 {"date", DM_DATE},
                 {"time", DM_TIME},
                 {"timestamp", DM_TIMESTAMP},
                 {"timestamptz", DM_TIMESTAMPTZ},
                 {"string", DM_STRING},
                 {"binary", DM_BINARY},
                 {"uuid", DM_UUID},
                 {"timestamp_ns", DM_TIMESTAMP_NS}};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (strcmp(text, types[i].name) == 0) {
            *out = dm_type_of(types[i].id);
            return true;
        }
    int precision = 0, scale = 0;
    char close = '\0';
    if (sscanf(text, "decimal( %2d , %2d %c", &precision, &scale, &close) == 3 && close == ')' &&
        precision >= 1 && precision <= 38 && scale >= 0 && scale <= precision) {
        *out = dm_type_decimal(precision, scale);
        return true;
    }
    return false;
}

static enum dm_status field_from_json(const json_t *o, struct dm_schema *s, struct dm_error *err)
{
    const char *name = json_string_value(json_object_get(o, "name"));
    json_int_t id = json_integer_value(json_object_get(o, "id"));
    const json_t *type = json_object_get(o, "type");
    if (name == NULL || id <= 0 || id > INT32_MAX || type == NULL)
        return dm_fail(err, DM_ERROR_DATA, NULL, "a field has no id, name or type");
    struct dm_type t = {0};
    json_int_t element_id = 0;
    bool known = false;
    if (json_is_string(type)) {
        known = scalar_type(json_string_value(type), &t);
    } else {
        const char *kind = json_string_value(json_object_get(type, "type"));
        const char *element = json_string_value(json_object_get(type, "element"));
        element_id = json_integer_value(json_object_get(type, "element-id"));
        known = kind != NULL && strcmp(kind, "list") == 0 && element != NULL && scalar_type(element, &t) &&
                element_id > 0 && element_id <= INT32_MAX;
        t = dm_type_list(t);
    }
    if (!known)
        return dm_fail(err, DM_ERROR_DATA, NULL, "the type of the field '%s' is not one of ours", name);
    struct dm_field *f = dm_schema_add(s, name, t);
    f->id = (int32_t)id;
    f->element_id = (int32_t)element_id;
    f->required = json_is_true(json_object_get(o, "required"));
    const json_t *value = json_object_get(o, "initial-default");
    if (value != NULL && !json_is_null(value))
        f->default_json = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
    return DM_OK;
}

enum dm_status dm_metadata_schema_from_json(const struct json_t *object, struct dm_schema **out,
                                            struct dm_error *err)
{
    const json_t *fields = json_object_get(object, "fields");
    const json_t *id = json_object_get(object, "schema-id");
    if (!json_is_array(fields) || !json_is_integer(id))
        return dm_fail(err, DM_ERROR_DATA, NULL, "a schema has no fields or no schema-id");
    struct dm_schema *s = dm_schema_new();
    s->schema_id = (int32_t)json_integer_value(id);
    enum dm_status status = DM_OK;
    for (size_t i = 0; i < json_array_size(fields) && status == DM_OK; i++)
        status = field_from_json(json_array_get(fields, i), s, err);
    const json_t *keys = json_object_get(object, "identifier-field-ids");
    for (size_t i = 0; i < json_array_size(keys) && status == DM_OK; i++) {
        int at = dm_schema_find_id(s, (int32_t)json_integer_value(json_array_get(keys, i)));
        if (at >= 0)
            dm_schema_add_key(s, (uint32_t)at);
    }
    if (status != DM_OK) {
        dm_error_prefix(err, "schema %d", s->schema_id);
        dm_schema_unref(s);
        return status;
    }
    *out = s;
    return DM_OK;
}
