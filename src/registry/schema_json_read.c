/* One documented schema body into a relational schema. */
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "registry/schema_json_reader.h"
#include "registry/type_words.h"

enum dm_status dm_json_fail(const struct dm_schema_read_options *o, const char *path, struct dm_error *err,
                            const char *hint, const char *fmt, ...)
{
    char message[700];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(message, sizeof message, fmt, args);
    va_end(args);
    return dm_fail(err, DM_ERROR_CONFIG, hint, "%s: %s%s%s", o->file != NULL ? o->file : "the body", path,
                   path[0] != '\0' ? ": " : "", message);
}

struct place {
    const struct dm_schema_read_options *o;
    char path[300];
};

static enum dm_status read_text(const struct place *at, const json_t *o, const char *key, char **out,
                                struct dm_error *err)
{
    const json_t *v = json_object_get(o, key);
    if (v == NULL || json_is_null(v))
        return DM_OK;
    if (!json_is_string(v))
        return dm_json_fail(at->o, at->path, err, NULL, "\"%s\" must be a text", key);
    free(*out);
    *out = dm_xstrdup(json_string_value(v));
    return DM_OK;
}

static enum dm_status read_length(const struct place *at, const json_t *o, const char *key, uint32_t *out,
                                  struct dm_error *err)
{
    const json_t *v = json_object_get(o, key);
    if (v == NULL)
        return DM_OK;
    if (!json_is_integer(v) || json_integer_value(v) < 0 || json_integer_value(v) > UINT32_MAX)
        return dm_json_fail(at->o, at->path, err, NULL, "\"%s\" must be a whole number from 0", key);
    *out = (uint32_t)json_integer_value(v);
    return DM_OK;
}

static bool fits_int32(const json_t *o)
{
    const json_t *low = json_object_get(o, "minimum"), *high = json_object_get(o, "maximum");
    return json_is_integer(low) && json_is_integer(high) && json_integer_value(low) >= INT32_MIN &&
           json_integer_value(high) <= INT32_MAX;
}

struct documented_type {
    const char *xdm;  /* meta:xdmType */
    const char *type; /* the JSON type that it goes with */
    enum dm_type_id id;
};

static const struct documented_type xdm_types[] = {
    {"string", "string", DM_STRING},
    {"date", "string", DM_DATE},
    {"date-time", "string", DM_TIMESTAMPTZ},
    {"boolean", "boolean", DM_BOOL},
    {"double", "number", DM_FLOAT64},
    {"number", "number", DM_FLOAT64},
    {"long", "integer", DM_INT64},
    {"integer", "integer", DM_INT64},
    {"int", "integer", DM_INT32},
    {"short", "integer", DM_INT32},
    {"byte", "integer", DM_INT32},
};
enum { n_xdm_types = sizeof xdm_types / sizeof *xdm_types };

/* "integer" alone is a long, "number" a double; formats make dates of texts. */
static enum dm_status plain_type(const struct place *at, const json_t *o, const char *word,
                                 struct dm_type *out, struct dm_error *err)
{
    const char *format = json_string_value(json_object_get(o, "format"));
    if (strcmp(word, "string") == 0 && format != NULL && strcmp(format, "date-time") == 0)
        *out = dm_type_of(DM_TIMESTAMPTZ);
    else if (strcmp(word, "string") == 0 && format != NULL && strcmp(format, "date") == 0)
        *out = dm_type_of(DM_DATE);
    else if (strcmp(word, "string") == 0)
        *out = dm_type_of(DM_STRING);
    else if (strcmp(word, "integer") == 0)
        *out = dm_type_of(fits_int32(o) ? DM_INT32 : DM_INT64);
    else if (strcmp(word, "number") == 0)
        *out = dm_type_of(DM_FLOAT64);
    else if (strcmp(word, "boolean") == 0)
        *out = dm_type_of(DM_BOOL);
    else if (strcmp(word, "object") == 0)
        return dm_json_fail(at->o, at->path, err, "give each of its fields a column of its own at root level",
                            "a column cannot be an object; relational schemas are flat");
    else
        return dm_json_fail(at->o, at->path, err, "types are: string, integer, number, boolean, array",
                            "there is no type \"%.60s\"", word);
    return DM_OK;
}

static enum dm_status xdm_type(const struct place *at, const char *xdm, const char *word, const json_t *o,
                               struct dm_type *out, struct dm_error *err)
{
    for (size_t i = 0; i < n_xdm_types; i++) {
        if (strcmp(xdm_types[i].xdm, xdm) != 0)
            continue;
        if (word != NULL && strcmp(word, xdm_types[i].type) != 0)
            return dm_json_fail(at->o, at->path, err, NULL,
                                "meta:xdmType \"%s\" goes with type \"%s\", not \"%.60s\"", xdm,
                                xdm_types[i].type, word);
        *out = dm_type_of(xdm_types[i].id);
        /* Plain texts say "string" here, whatever their format makes of them. */
        return out->id == DM_STRING && word != NULL ? plain_type(at, o, word, out, err) : DM_OK;
    }
    return dm_json_fail(
        at->o, at->path, err,
        "column types there are: string, boolean, double, long, int, short, byte, date, date-time",
        "meta:xdmType \"%.60s\" cannot be a column", xdm);
}

static enum dm_status scalar_type(const struct place *at, const json_t *o, struct dm_type *out,
                                  struct dm_error *err)
{
    const char *exact = json_string_value(json_object_get(o, "datamirror:type"));
    const char *word = json_string_value(json_object_get(o, "type"));
    const char *xdm = json_string_value(json_object_get(o, "meta:xdmType"));
    if (exact != NULL) {
        struct dm_type_reading r;
        if (!dm_type_words_read(exact, &r))
            return dm_json_fail(at->o, at->path, err, "docs/schemas.md lists the types",
                                "there is no type \"%.60s\"%s%s", exact, r.note[0] ? "; " : "", r.note);
        *out = r.type;
        return DM_OK;
    }
    if (xdm != NULL && (word == NULL || strcmp(word, "array") != 0))
        return xdm_type(at, xdm, word, o, out, err);
    if (word == NULL)
        return dm_json_fail(at->o, at->path, err, "for example \"type\": \"string\"",
                            "the column has no type");
    return plain_type(at, o, word, out, err);
}

static enum dm_status read_type(const struct place *at, const json_t *o, struct dm_type *out,
                                struct dm_error *err)
{
    const char *word = json_string_value(json_object_get(o, "type"));
    if (word == NULL || strcmp(word, "array") != 0)
        return scalar_type(at, o, out, err);
    const json_t *items = json_object_get(o, "items");
    if (!json_is_object(items))
        return dm_json_fail(at->o, at->path, err, "for example \"items\": {\"type\": \"string\"}",
                            "an array column needs \"items\" with one type");
    struct dm_type element;
    if (scalar_type(at, items, &element, err) != DM_OK)
        return DM_FAIL;
    if (element.id == DM_LIST)
        return dm_json_fail(at->o, at->path, err, NULL, "lists of lists are not columns");
    *out = dm_type_list(element);
    return DM_OK;
}

static enum dm_status read_enum(const struct place *at, const json_t *o, struct dm_relational_column *c,
                                struct dm_error *err)
{
    const json_t *v = json_object_get(o, "enum");
    if (v == NULL)
        return DM_OK;
    if (!json_is_array(v) || json_array_size(v) == 0)
        return dm_json_fail(at->o, at->path, err, NULL, "\"enum\" must be a list of at least one text");
    for (size_t i = 0; i < json_array_size(v); i++) {
        if (!json_is_string(json_array_get(v, i)))
            return dm_json_fail(at->o, at->path, err, NULL, "the values of \"enum\" must be texts");
        dm_names_add(&c->allowed, json_string_value(json_array_get(v, i)));
    }
    return DM_OK;
}

static bool has_tag(const json_t *o, const char *tag)
{
    static const char *const keys[] = {"meta:immutableTags", "meta:tags", "tags"};
    for (size_t k = 0; k < sizeof keys / sizeof *keys; k++) {
        const json_t *tags = json_object_get(o, keys[k]);
        for (size_t i = 0; i < json_array_size(tags); i++) {
            const char *word = json_string_value(json_array_get(tags, i));
            if (word != NULL && strcmp(word, tag) == 0)
                return true;
        }
    }
    return false;
}

static bool type_has_format(struct dm_type type)
{
    return type.id == DM_DATE || type.id == DM_TIMESTAMP || type.id == DM_TIMESTAMPTZ ||
           type.id == DM_TIMESTAMP_NS || type.id == DM_TIME || type.id == DM_UUID;
}

static enum dm_status read_column(const struct place *at, const char *name, const json_t *o,
                                  struct dm_relational_schema *s, struct dm_error *err)
{
    if (name[0] == '\0')
        return dm_json_fail(at->o, at->path, err, NULL, "a column has no name");
    if (!json_is_object(o))
        return dm_json_fail(at->o, at->path, err, "for example {\"type\": \"string\"}",
                            "a column must be described by an object");
    if (json_object_get(o, "$ref") != NULL)
        return dm_json_fail(at->o, at->path, err, "write its type here",
                            "a column cannot refer to a type elsewhere ($ref)");
    struct dm_type type;
    if (read_type(at, o, &type, err) != DM_OK)
        return DM_FAIL;
    struct dm_relational_column *c = dm_relational_schema_add(s, name, type);
    if (read_text(at, o, "title", &c->title, err) != DM_OK ||
        read_text(at, o, "description", &c->description, err) != DM_OK ||
        read_text(at, o, "datamirror:renamedFrom", &c->renamed_from, err) != DM_OK ||
        (!type_has_format(type) && read_text(at, o, "format", &c->format, err) != DM_OK) ||
        read_length(at, o, "minLength", &c->min_length, err) != DM_OK ||
        read_length(at, o, "maxLength", &c->max_length, err) != DM_OK)
        return DM_FAIL;
    return read_enum(at, o, c, err);
}

static enum dm_status read_required(struct place *at, const json_t *required, struct dm_relational_schema *s,
                                    struct dm_error *err)
{
    if (required == NULL)
        return DM_OK;
    if (!json_is_array(required))
        return dm_json_fail(at->o, at->path, err, NULL, "\"required\" must be a list of column names");
    for (size_t i = 0; i < json_array_size(required); i++) {
        const char *name = json_string_value(json_array_get(required, i));
        int column = name != NULL ? dm_relational_schema_find(s, name) : -1;
        if (column < 0)
            return dm_json_fail(at->o, at->path, err, "every name in it must be one of the properties",
                                "\"required\" names \"%.100s\", which is not a column",
                                name ? name : "(no text)");
        s->columns[column].required = true;
    }
    return DM_OK;
}

static enum dm_status read_fields(struct place *at, const json_t *fields, struct dm_relational_schema *s,
                                  struct dm_error *err)
{
    const json_t *properties = json_object_get(fields, "properties");
    if (!json_is_object(properties) || json_object_size(properties) == 0)
        return dm_json_fail(at->o, at->path, err, "put the columns into definitions.customFields.properties",
                            "the schema has no columns");
    if (json_object_size(properties) > DM_SCHEMA_COLUMNS_MAX)
        return dm_json_fail(at->o, at->path, err, NULL, "more than %d columns", DM_SCHEMA_COLUMNS_MAX);
    char outer[sizeof at->path];
    (void)snprintf(outer, sizeof outer, "%s", at->path);
    const char *name;
    json_t *column;
    json_object_foreach((json_t *)(uintptr_t)properties, name, column)
    {
        (void)snprintf(at->path, sizeof at->path, "%.100s.properties.%.100s", outer, name);
        if (read_column(at, name, column, s, err) != DM_OK)
            return DM_FAIL;
    }
    (void)snprintf(at->path, sizeof at->path, "%s", outer);
    return read_required(at, json_object_get(fields, "required"), s, err);
}

/* Only the schema's own fields: nothing is inherited in a relational schema. */
static enum dm_status check_inherited(const struct place *at, const json_t *body, struct dm_error *err)
{
    const json_t *all = json_object_get(body, "allOf");
    if (all != NULL && !json_is_array(all))
        return dm_json_fail(at->o, at->path, err, NULL, "\"allOf\" must be a list");
    for (size_t i = 0; i < json_array_size(all); i++) {
        const char *ref = json_string_value(json_object_get(json_array_get(all, i), "$ref"));
        if (ref == NULL || strcmp(ref, "#/definitions/customFields") != 0)
            return dm_json_fail(
                at->o, at->path, err,
                "leave only {\"$ref\": \"#/definitions/customFields\"} in allOf, and write all columns "
                "into definitions.customFields.properties",
                "allOf takes in fields from \"%.100s\"; a relational schema inherits no fields",
                ref ? ref : "(no $ref)");
    }
    if (has_tag(body, "union"))
        return dm_json_fail(at->o, at->path, err, "remove the tag \"union\"",
                            "a relational schema cannot be part of a union (profile) view");
    return DM_OK;
}

static enum dm_status read_own(const struct place *at, const json_t *body, struct dm_relational_schema *s,
                               struct dm_error *err)
{
    const json_t *dropped = json_object_get(body, "datamirror:dropColumns");
    for (size_t i = 0; i < json_array_size(dropped); i++)
        if (json_is_string(json_array_get(dropped, i)))
            dm_names_add(&s->dropped, json_string_value(json_array_get(dropped, i)));
    const json_t *line = json_object_get(body, "datamirror:line");
    s->line = json_integer_value(line) > 0 ? (size_t)json_integer_value(line) : 0;
    if (read_text(at, body, "datamirror:title", &s->title, err) != DM_OK ||
        read_text(at, body, "datamirror:origin", &s->origin, err) != DM_OK ||
        read_text(at, body, "datamirror:file", &s->file, err) != DM_OK ||
        read_text(at, body, "description", &s->description, err) != DM_OK)
        return DM_FAIL;
    s->partial = json_object_get(body, "datamirror:settings") == NULL;
    if (dm_settings_from_json(json_object_get(body, "datamirror:settings"), &s->settings, err) != DM_OK) {
        dm_error_prefix(err, "%s: %s", at->o->file != NULL ? at->o->file : "the body", at->path);
        return DM_FAIL;
    }
    return DM_OK;
}

static enum dm_status read_behavior(const struct place *at, const json_t *body,
                                    struct dm_relational_schema *s, struct dm_error *err)
{
    const json_t *v = json_object_get(body, "meta:behaviorType");
    const char *word = json_string_value(v);
    if (v == NULL || (word != NULL && strcmp(word, "record") == 0))
        return DM_OK;
    if (word == NULL || strcmp(word, "time-series") != 0)
        return dm_json_fail(at->o, at->path, err, "behaviours are: record, time-series",
                            "meta:behaviorType cannot be \"%.60s\"", word ? word : "(no text)");
    s->behavior = DM_BEHAVIOR_TIME_SERIES;
    return DM_OK;
}

static enum dm_status read_body(struct place *at, const json_t *body, struct dm_relational_schema *s,
                                struct dm_error *err)
{
    const char *type = json_string_value(json_object_get(body, "type"));
    if (type != NULL && strcmp(type, "object") != 0)
        return dm_json_fail(at->o, at->path, err, NULL, "the schema's type must be \"object\", not \"%.60s\"",
                            type);
    if (check_inherited(at, body, err) != DM_OK || read_behavior(at, body, s, err) != DM_OK ||
        read_own(at, body, s, err) != DM_OK)
        return DM_FAIL;
    const json_t *fields = json_object_get(json_object_get(body, "definitions"), "customFields");
    if (fields == NULL && json_object_get(body, "properties") != NULL) {
        fields = body; /* plain JSON Schema */
    } else {
        size_t n = strlen(at->path);
        (void)snprintf(at->path + n, sizeof at->path - n, ": definitions.customFields");
    }
    /* A mirrored dataset's columns are the source's: there may be none here. */
    if (fields == NULL && !dm_relational_schema_is_declared(s))
        return DM_OK;
    return read_fields(at, fields, s, err);
}

enum dm_status dm_schema_from_json(const json_t *body, const struct dm_schema_read_options *o,
                                   struct dm_relational_schema **out, struct dm_error *err)
{
    const char *title = json_string_value(json_object_get(body, "title"));
    if (!json_is_object(body))
        return dm_json_fail(o, "", err, NULL, "a schema must be a JSON object");
    if (title == NULL || title[0] == '\0')
        return dm_json_fail(o, "", err, "for example \"title\": \"marketing.customers\"",
                            "the schema has no title, which is its name");
    struct place at = {.o = o};
    (void)snprintf(at.path, sizeof at.path, "%.100s", title);
    struct dm_relational_schema *s = dm_relational_schema_new(title);
    s->file = dm_xstrdup(o->file);
    if (read_body(&at, body, s, err) != DM_OK) {
        dm_relational_schema_free(s);
        return DM_FAIL;
    }
    *out = s;
    return DM_OK;
}
