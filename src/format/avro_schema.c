#include "format/avro_schema.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

#define DM_AVRO_MAX_NAME 1024

static const char *const kind_names[] = {
    [DM_AVRO_NULL] = "null",   [DM_AVRO_BOOLEAN] = "boolean", [DM_AVRO_INT] = "int",
    [DM_AVRO_LONG] = "long",   [DM_AVRO_FLOAT] = "float",     [DM_AVRO_DOUBLE] = "double",
    [DM_AVRO_BYTES] = "bytes", [DM_AVRO_STRING] = "string",   [DM_AVRO_FIXED] = "fixed",
    [DM_AVRO_ENUM] = "enum",   [DM_AVRO_RECORD] = "record",   [DM_AVRO_UNION] = "union",
    [DM_AVRO_ARRAY] = "array", [DM_AVRO_MAP] = "map",
};

const char *dm_avro_kind_name(enum dm_avro_kind kind)
{
    return kind_names[kind];
}

static enum dm_status parse_type(struct dm_avro_schema *s, const json_t *json, const char *space, int depth,
                                 const struct dm_avro_type **out, struct dm_error *err);

static enum dm_status bad_schema(struct dm_error *err, const char *what, const char *name)
{
    return dm_fail(err, DM_ERROR_DATA, NULL, "the Avro schema %s%s%.100s%s", what, name ? " \"" : "",
                   name ? name : "", name ? "\"" : "");
}

static struct dm_avro_type *new_type(struct dm_avro_schema *s, enum dm_avro_kind kind, struct dm_error *err)
{
    if (s->n_types >= DM_AVRO_MAX_TYPES) {
        (void)bad_schema(err, "has too many types", NULL);
        return NULL;
    }
    if (s->n_types == s->capacity) {
        s->capacity = s->capacity == 0 ? 32 : s->capacity * 2;
        s->types = dm_xrealloc(s->types, s->capacity, sizeof *s->types);
    }
    struct dm_avro_type *t = dm_xzalloc(1, sizeof *t);
    t->kind = kind;
    s->types[s->n_types++] = t;
    return t;
}

/* The namespace part of a full name ("" when there is none) into `out`, which has DM_AVRO_MAX_NAME bytes. */
static void namespace_of(const char *full, char *out)
{
    const char *dot = strrchr(full, '.');
    size_t n = dot != NULL ? (size_t)(dot - full) : 0;
    memcpy(out, full, n);
    out[n] = '\0';
}

/* Names: a name with a dot is full; else the own "namespace", else the enclosing one, stands before it. */
static enum dm_status set_name(struct dm_avro_type *t, const json_t *json, const char *space,
                               struct dm_error *err)
{
    const char *name = json_string_value(json_object_get(json, "name"));
    const char *own = json_string_value(json_object_get(json, "namespace"));
    if (name == NULL || name[0] == '\0')
        return bad_schema(err, "has a named type without a name", NULL);
    if (own != NULL)
        space = own;
    if (strlen(name) + strlen(space) + 2 > DM_AVRO_MAX_NAME)
        return bad_schema(err, "has a name that is too long:", name);
    t->name =
        strchr(name, '.') != NULL || space[0] == '\0' ? dm_xstrdup(name) : dm_xasprintf("%s.%s", space, name);
    return DM_OK;
}

static const struct dm_avro_type *find_name(const struct dm_avro_schema *s, const char *full)
{
    /* The latest wins: some writers define the same fixed type again instead of referring to it. */
    for (size_t i = s->n_types; i > 0; i--)
        if (s->types[i - 1]->name != NULL && strcmp(s->types[i - 1]->name, full) == 0)
            return s->types[i - 1];
    return NULL;
}

static enum dm_status parse_reference(struct dm_avro_schema *s, const char *name, const char *space,
                                      const struct dm_avro_type **out, struct dm_error *err)
{
    for (int kind = DM_AVRO_NULL; kind <= DM_AVRO_STRING; kind++)
        if (strcmp(name, kind_names[kind]) == 0)
            return (*out = new_type(s, (enum dm_avro_kind)kind, err)) != NULL ? DM_OK : DM_FAIL;
    *out = NULL;
    if (strlen(name) + strlen(space) + 2 <= DM_AVRO_MAX_NAME) {
        if (strchr(name, '.') == NULL && space[0] != '\0') {
            char *full = dm_xasprintf("%s.%s", space, name);
            *out = find_name(s, full);
            free(full);
        }
        if (*out == NULL)
            *out = find_name(s, name);
    }
    return *out != NULL ? DM_OK : bad_schema(err, "uses an unknown type", name);
}

static enum dm_status parse_union(struct dm_avro_schema *s, const json_t *json, const char *space, int depth,
                                  const struct dm_avro_type **out, struct dm_error *err)
{
    struct dm_avro_type *t = new_type(s, DM_AVRO_UNION, err);
    size_t n = json_array_size(json);
    if (t == NULL)
        return DM_FAIL;
    if (n == 0 || n > DM_AVRO_MAX_TYPES)
        return bad_schema(err, "has a union without branches, or with too many", NULL);
    t->members = dm_xzalloc(n, sizeof *t->members);
    t->n_members = n;
    for (size_t i = 0; i < n; i++) {
        t->members[i].id = -1;
        if (parse_type(s, json_array_get(json, i), space, depth + 1, &t->members[i].type, err) != DM_OK)
            return DM_FAIL;
        if (t->members[i].type->kind == DM_AVRO_UNION)
            return bad_schema(err, "has a union directly inside a union", NULL);
    }
    *out = t;
    return DM_OK;
}

static enum dm_status parse_record_fields(struct dm_avro_schema *s, struct dm_avro_type *t,
                                          const json_t *json, int depth, struct dm_error *err)
{
    const json_t *fields = json_object_get(json, "fields");
    size_t n = json_array_size(fields);
    if (!json_is_array(fields) || n > DM_AVRO_MAX_TYPES)
        return bad_schema(err, "has no list of fields, or too many, in record", t->name);
    char space[DM_AVRO_MAX_NAME];
    namespace_of(t->name, space);
    t->members = dm_xzalloc(n > 0 ? n : 1, sizeof *t->members);
    t->n_members = n;
    for (size_t i = 0; i < n; i++) {
        const json_t *field = json_array_get(fields, i);
        const char *name = json_string_value(json_object_get(field, "name"));
        const json_t *id = json_object_get(field, "field-id");
        if (name == NULL)
            return bad_schema(err, "has a field without a name in record", t->name);
        t->members[i].name = dm_xstrdup(name);
        json_int_t number = json_is_integer(id) ? json_integer_value(id) : -1;
        t->members[i].id = number >= 0 && number <= INT32_MAX ? (int32_t)number : -1;
        if (parse_type(s, json_object_get(field, "type"), space, depth + 1, &t->members[i].type, err) !=
            DM_OK)
            return DM_FAIL;
    }
    return DM_OK;
}

static enum dm_status parse_container(struct dm_avro_schema *s, enum dm_avro_kind kind, const json_t *json,
                                      const char *space, int depth, const struct dm_avro_type **out,
                                      struct dm_error *err)
{
    struct dm_avro_type *t = new_type(s, kind, err);
    if (t == NULL)
        return DM_FAIL;
    t->members = dm_xzalloc(1, sizeof *t->members);
    t->n_members = 1;
    t->members[0].id = -1;
    const json_t *inner = json_object_get(json, kind == DM_AVRO_ARRAY ? "items" : "values");
    if (parse_type(s, inner, space, depth + 1, &t->members[0].type, err) != DM_OK)
        return DM_FAIL;
    *out = t;
    return DM_OK;
}

static enum dm_status parse_named(struct dm_avro_schema *s, enum dm_avro_kind kind, const json_t *json,
                                  const char *space, int depth, const struct dm_avro_type **out,
                                  struct dm_error *err)
{
    struct dm_avro_type *t = new_type(s, kind, err);
    if (t == NULL || set_name(t, json, space, err) != DM_OK)
        return DM_FAIL;
    *out = t;
    if (kind == DM_AVRO_RECORD)
        return parse_record_fields(s, t, json, depth, err);
    if (kind == DM_AVRO_ENUM) {
        size_t n = json_array_size(json_object_get(json, "symbols"));
        if (n == 0 || n > INT32_MAX)
            return bad_schema(err, "has no symbols in enum", t->name);
        t->size = (uint32_t)n;
        return DM_OK;
    }
    const json_t *size = json_object_get(json, "size");
    json_int_t bytes = json_is_integer(size) ? json_integer_value(size) : -1;
    if (bytes < 0 || bytes > INT32_MAX)
        return bad_schema(err, "has no size in fixed", t->name);
    t->size = (uint32_t)bytes;
    return DM_OK;
}

static enum dm_status parse_type(struct dm_avro_schema *s, const json_t *json, const char *space, int depth,
                                 const struct dm_avro_type **out, struct dm_error *err)
{
    if (depth > DM_AVRO_MAX_DEPTH)
        return bad_schema(err, "is nested too deep", NULL);
    if (json_is_string(json))
        return parse_reference(s, json_string_value(json), space, out, err);
    if (json_is_array(json))
        return parse_union(s, json, space, depth, out, err);
    const json_t *type = json_object_get(json, "type");
    const char *name = json_string_value(type);
    if (json_is_object(type) || json_is_array(type)) /* {"type": {…}} means the inner type */
        return parse_type(s, type, space, depth + 1, out, err);
    if (name == NULL)
        return bad_schema(err, "has something that is not a type", NULL);
    if (strcmp(name, "record") == 0)
        return parse_named(s, DM_AVRO_RECORD, json, space, depth, out, err);
    if (strcmp(name, "enum") == 0)
        return parse_named(s, DM_AVRO_ENUM, json, space, depth, out, err);
    if (strcmp(name, "fixed") == 0)
        return parse_named(s, DM_AVRO_FIXED, json, space, depth, out, err);
    if (strcmp(name, "array") == 0)
        return parse_container(s, DM_AVRO_ARRAY, json, space, depth, out, err);
    if (strcmp(name, "map") == 0)
        return parse_container(s, DM_AVRO_MAP, json, space, depth, out, err);
    return parse_reference(s, name, space, out, err);
}

enum dm_status dm_avro_schema_parse(struct dm_avro_schema *s, const char *json, size_t n,
                                    struct dm_error *err)
{
    json_error_t where;
    json_t *root = json_loadb(json, n, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &where);
    if (root == NULL)
        return dm_fail(err, DM_ERROR_DATA, NULL, "the Avro schema is not JSON: %s at byte %d", where.text,
                       where.position);
    enum dm_status status = parse_type(s, root, "", 0, &s->root, err);
    json_decref(root);
    if (status != DM_OK)
        dm_avro_schema_release(s);
    return status;
}

void dm_avro_schema_release(struct dm_avro_schema *s)
{
    for (size_t i = 0; i < s->n_types; i++) {
        struct dm_avro_type *t = s->types[i];
        for (size_t k = 0; k < t->n_members; k++)
            free(t->members[k].name);
        free(t->members);
        free(t->name);
        free(t);
    }
    free(s->types);
    *s = (struct dm_avro_schema){0};
}
