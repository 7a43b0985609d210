/* Descriptor bodies into their schemas, and documents that hold schemas and descriptors together. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "registry/schema_json_reader.h"

static const char schema_urn[] = "urn:datamirror:schema:";
static const char descriptor_urn[] = "urn:datamirror:descriptor:";

struct dm_relational_schema *dm_schemas_refer(const struct dm_relational_schemas *list, const char *reference)
{
    if (strncmp(reference, schema_urn, sizeof schema_urn - 1) == 0)
        reference += sizeof schema_urn - 1;
    return dm_relational_schemas_find(list, reference);
}

int64_t dm_descriptor_number(const char *urn)
{
    if (strncmp(urn, descriptor_urn, sizeof descriptor_urn - 1) == 0)
        urn += sizeof descriptor_urn - 1;
    int64_t n = 0;
    if (*urn == '\0')
        return 0;
    for (; *urn != '\0'; urn++) {
        if (*urn < '0' || *urn > '9' || n > INT64_MAX / 10 - 1)
            return 0;
        n = n * 10 + (*urn - '0');
    }
    return n;
}

/* ---- one descriptor ---- */

/* What a document calls its schemas: $id and meta:altId of the bodies, in pairs with the names. */
struct aliases {
    struct dm_names ids;
    struct dm_names names;
};

struct reader {
    const struct dm_schema_read_options *o;
    const struct aliases *aliases; /* may be NULL */
    const char *path;              /* "[3] xdm:descriptorVersion" */
};

/* The name that a reference stands for; borrowed. */
static const char *name_of(const struct reader *r, const char *reference)
{
    int i = r->aliases != NULL ? dm_names_find(&r->aliases->ids, reference) : -1;
    return i >= 0 ? r->aliases->names.items[i] : reference;
}

/* "/customer_id" → "customer_id", escapes undone; NULL: not a root-level property. malloc'ed. */
static char *root_property(const char *pointer)
{
    if (pointer[0] == '/')
        pointer++;
    if (pointer[0] == '\0' || strchr(pointer, '/') != NULL)
        return NULL;
    char *out = dm_xalloc(strlen(pointer) + 1), *to = out;
    for (; *pointer != '\0'; pointer++) {
        if (pointer[0] == '~' && (pointer[1] == '0' || pointer[1] == '1')) {
            *to++ = pointer[1] == '0' ? '~' : '/';
            pointer++;
        } else {
            *to++ = *pointer;
        }
    }
    *to = '\0';
    return out;
}

static enum dm_status read_property(const struct reader *r, const char *key, const json_t *v,
                                    struct dm_names *out, struct dm_error *err)
{
    if (!json_is_string(v))
        return dm_json_fail(r->o, r->path, err, "for example \"/customer_id\", or a list of such texts",
                            "\"%s\" must name columns", key);
    char *column = root_property(json_string_value(v));
    if (column == NULL)
        return dm_json_fail(r->o, r->path, err, "name a column of the schema, such as \"/customer_id\"",
                            "\"%s\" is \"%.100s\", which is not a root-level field", key,
                            json_string_value(v));
    dm_names_add(out, column);
    free(column);
    return DM_OK;
}

/* A text or a list of texts; an absent one leaves `out` empty. */
static enum dm_status read_properties(const struct reader *r, const json_t *body, const char *key,
                                      bool needed, struct dm_names *out, struct dm_error *err)
{
    const json_t *v = json_object_get(body, key);
    if (v == NULL && needed)
        return dm_json_fail(r->o, r->path, err, "for example \"/customer_id\"",
                            "the descriptor has no \"%s\"", key);
    if (v == NULL)
        return DM_OK;
    if (!json_is_array(v))
        return read_property(r, key, v, out, err);
    if (json_array_size(v) == 0)
        return dm_json_fail(r->o, r->path, err, NULL, "\"%s\" is an empty list", key);
    for (size_t i = 0; i < json_array_size(v); i++)
        if (read_property(r, key, json_array_get(v, i), out, err) != DM_OK)
            return DM_FAIL;
    return DM_OK;
}

/* A descriptor of one column: version, timestamp. */
static enum dm_status put_column(const struct reader *r, const json_t *body, char **to, struct dm_error *err)
{
    struct dm_names columns = {0};
    enum dm_status status = read_properties(r, body, "xdm:sourceProperty", true, &columns, err);
    if (status == DM_OK && columns.n != 1)
        status =
            dm_json_fail(r->o, r->path, err, NULL, "the descriptor takes one column, not %zu", columns.n);
    if (status == DM_OK) {
        free(*to);
        *to = dm_xstrdup(columns.items[0]);
    }
    dm_names_release(&columns);
    return status;
}

static enum dm_status put_key(const struct reader *r, const json_t *body, struct dm_relational_schema *s,
                              struct dm_error *err)
{
    struct dm_names columns = {0};
    if (read_properties(r, body, "xdm:sourceProperty", true, &columns, err) != DM_OK) {
        dm_names_release(&columns);
        return DM_FAIL;
    }
    dm_names_release(&s->key);
    s->key = columns;
    return DM_OK;
}

static const char *text_at(const json_t *body, const char *key)
{
    return json_string_value(json_object_get(body, key));
}

static enum dm_status read_cardinality(const struct reader *r, const json_t *body, enum dm_cardinality *out,
                                       struct dm_error *err)
{
    const json_t *v = json_object_get(body, "xdm:cardinality");
    *out = DM_MANY_TO_ONE;
    if (v == NULL || (json_is_string(v) && dm_cardinality_find(json_string_value(v), out)))
        return DM_OK;
    bool many = json_is_string(v) &&
                (strcmp(json_string_value(v), "M:M") == 0 || strcmp(json_string_value(v), "M:N") == 0);
    return dm_json_fail(
        r->o, r->path, err,
        many ? "make a junction schema whose key is the two keys, with an M:1 relationship to each side"
             : "cardinalities are: 1:1, 1:0, M:1, M:0",
        "xdm:cardinality cannot be \"%.60s\"", json_is_string(v) ? json_string_value(v) : "(no text)");
}

/* A relationship that says the same in other words: same name, or no name and same columns and target. */
static int same_relationship(const struct dm_relational_schema *s, const struct dm_relationship *r)
{
    for (size_t i = 0; i < s->n_relationships; i++) {
        const struct dm_relationship *old = &s->relationships[i];
        if (r->name != NULL
                ? old->name != NULL && strcmp(old->name, r->name) == 0
                : dm_names_equal(&old->columns, &r->columns) && strcmp(old->target, r->target) == 0)
            return (int)i;
    }
    return -1;
}

static enum dm_status read_relationship(const struct reader *r, const json_t *body,
                                        struct dm_relationship *out, struct dm_error *err)
{
    const char *orphan = text_at(body, "datamirror:onOrphan");
    if (read_properties(r, body, "xdm:sourceProperty", true, &out->columns, err) != DM_OK ||
        read_properties(r, body, "xdm:destinationProperty", false, &out->target_columns, err) != DM_OK ||
        read_cardinality(r, body, &out->cardinality, err) != DM_OK)
        return DM_FAIL;
    if (orphan != NULL && strcmp(orphan, "quarantine") != 0 && strcmp(orphan, "ignore") != 0)
        return dm_json_fail(r->o, r->path, err, "it can be: ignore, quarantine",
                            "datamirror:onOrphan cannot be \"%.60s\"", orphan);
    out->enforced = orphan != NULL && strcmp(orphan, "quarantine") == 0;
    out->discovered = json_is_true(json_object_get(body, "datamirror:discovered"));
    out->name = dm_xstrdup(text_at(body, "datamirror:name"));
    out->forward_name = dm_xstrdup(text_at(body, "xdm:sourceToDestinationName"));
    out->backward_name = dm_xstrdup(text_at(body, "xdm:destinationToSourceName"));
    return DM_OK;
}

static enum dm_status put_relationship(const struct reader *r, const json_t *body,
                                       struct dm_relational_schema *s, struct dm_error *err)
{
    const char *reference = text_at(body, "xdm:destinationSchema");
    if (reference == NULL)
        return dm_json_fail(r->o, r->path, err, "give the $id or the title of the schema that it points to",
                            "the relationship has no xdm:destinationSchema");
    reference = name_of(r, reference);
    if (strncmp(reference, schema_urn, sizeof schema_urn - 1) == 0)
        reference += sizeof schema_urn - 1;
    struct dm_relationship made = {.target = dm_xstrdup(reference)};
    enum dm_status status = read_relationship(r, body, &made, err);
    if (status == DM_OK) {
        int old = same_relationship(s, &made);
        int64_t id = 0;
        if (old >= 0) {
            id = s->relationships[old].id;
            dm_relational_schema_unrelate(s, (size_t)old);
        }
        made.id = id;
        dm_relationship_assign(dm_relational_schema_relate(s, made.target), &made);
    }
    dm_relationship_release(&made);
    return status;
}

static enum dm_status put_descriptor(const struct reader *r, const json_t *body,
                                     struct dm_relational_schema *s, struct dm_error *err)
{
    const char *type = text_at(body, "@type");
    if (strcmp(type, "xdm:descriptorPrimaryKey") == 0)
        return put_key(r, body, s, err);
    if (strcmp(type, "xdm:descriptorVersion") == 0)
        return put_column(r, body, &s->version, err);
    if (strcmp(type, "xdm:descriptorTimestamp") == 0)
        return put_column(r, body, &s->timestamp, err);
    if (strcmp(type, "xdm:descriptorRelationship") == 0)
        return put_relationship(r, body, s, err);
    return dm_json_fail(
        r->o, r->path, err,
        "descriptors are: xdm:descriptorPrimaryKey, xdm:descriptorVersion, xdm:descriptorTimestamp, "
        "xdm:descriptorRelationship",
        "relational schemas have no descriptor \"%.100s\"", type);
}

static enum dm_status read_descriptor(const struct reader *r, const json_t *body,
                                      struct dm_relational_schemas *schemas,
                                      struct dm_relational_schema **schema, struct dm_error *err)
{
    const char *reference = text_at(body, "xdm:sourceSchema");
    if (reference == NULL)
        return dm_json_fail(r->o, r->path, err, "give the $id or the title of the schema that it belongs to",
                            "the descriptor has no xdm:sourceSchema");
    const char *name = name_of(r, reference);
    struct dm_relational_schema *s = dm_schemas_refer(schemas, name);
    if (s == NULL && r->o->known != NULL && (s = dm_schemas_refer(r->o->known, name)) != NULL) {
        s = dm_relational_schema_copy(s);
        dm_relational_schemas_add(schemas, s);
    }
    if (s == NULL)
        return dm_json_fail(r->o, r->path, err, "`datamirror schema list` shows the schemas there are",
                            "xdm:sourceSchema is \"%.200s\", and there is no such schema", reference);
    *schema = s;
    return put_descriptor(r, body, s, err);
}

enum dm_status dm_descriptor_from_json(const json_t *body, const struct dm_schema_read_options *o,
                                       struct dm_relational_schemas *schemas,
                                       struct dm_relational_schema **schema, struct dm_error *err)
{
    const char *type = json_is_object(body) ? text_at(body, "@type") : NULL;
    if (type == NULL)
        return dm_json_fail(o, "", err, "for example \"@type\": \"xdm:descriptorVersion\"",
                            "a descriptor must be a JSON object with an @type");
    struct reader r = {.o = o, .path = type};
    return read_descriptor(&r, body, schemas, schema, err);
}

bool dm_descriptor_remove(struct dm_relational_schemas *schemas, int64_t id,
                          struct dm_relational_schema **schema)
{
    for (size_t i = 0; id > 0 && i < schemas->n; i++) {
        struct dm_relational_schema *s = schemas->items[i];
        *schema = s;
        if (s->key_id == id) {
            dm_names_release(&s->key);
            s->key_id = 0;
            return true;
        }
        char **text = s->version_id == id ? &s->version : s->timestamp_id == id ? &s->timestamp : NULL;
        if (text != NULL) {
            free(*text);
            *text = NULL;
            *(text == &s->version ? &s->version_id : &s->timestamp_id) = 0;
            return true;
        }
        for (size_t k = 0; k < s->n_relationships; k++)
            if (s->relationships[k].id == id) {
                dm_relational_schema_unrelate(s, k);
                return true;
            }
    }
    return false;
}

/* ---- documents ---- */

static void add_alias(struct aliases *aliases, const json_t *body, const char *key, const char *name)
{
    const char *id = text_at(body, key);
    if (id == NULL)
        return;
    dm_names_add(&aliases->ids, id);
    dm_names_add(&aliases->names, name);
}

static enum dm_status read_schemas(const json_t *const *bodies, size_t n,
                                   const struct dm_schema_read_options *o, struct dm_relational_schemas *out,
                                   struct aliases *aliases, struct dm_error *err)
{
    for (size_t i = 0; i < n; i++) {
        struct dm_relational_schema *s = NULL;
        if (json_is_object(bodies[i]) && text_at(bodies[i], "@type") != NULL)
            continue;
        if (dm_schema_from_json(bodies[i], o, &s, err) != DM_OK)
            return DM_FAIL;
        add_alias(aliases, bodies[i], "$id", s->name);
        add_alias(aliases, bodies[i], "meta:altId", s->name);
        dm_relational_schemas_add(out, s);
    }
    return DM_OK;
}

static enum dm_status read_descriptors(const json_t *const *bodies, size_t n,
                                       const struct dm_schema_read_options *o,
                                       struct dm_relational_schemas *out, const struct aliases *aliases,
                                       struct dm_error *err)
{
    for (size_t i = 0; i < n; i++) {
        const char *type = json_is_object(bodies[i]) ? text_at(bodies[i], "@type") : NULL;
        char path[160];
        struct dm_relational_schema *s;
        if (type == NULL)
            continue;
        (void)snprintf(path, sizeof path, "document %zu, %.100s", i + 1, type);
        struct reader r = {.o = o, .aliases = aliases, .path = path};
        if (read_descriptor(&r, bodies[i], out, &s, err) != DM_OK)
            return DM_FAIL;
    }
    return DM_OK;
}

enum dm_status dm_schemas_from_json(const json_t *document, const struct dm_schema_read_options *o,
                                    struct dm_relational_schemas *out, struct dm_error *err)
{
    size_t n = json_is_array(document) ? json_array_size(document) : 1;
    if (n > DM_SCHEMAS_MAX)
        return dm_json_fail(o, "", err, NULL, "more than %d documents", DM_SCHEMAS_MAX);
    const json_t **bodies = dm_xzalloc(n + 1, sizeof *bodies);
    for (size_t i = 0; i < n; i++)
        bodies[i] = json_is_array(document) ? json_array_get(document, i) : document;
    struct aliases aliases = {0};
    enum dm_status status = read_schemas(bodies, n, o, out, &aliases, err);
    if (status == DM_OK)
        status = read_descriptors(bodies, n, o, out, &aliases, err);
    dm_names_release(&aliases.ids);
    dm_names_release(&aliases.names);
    free(bodies);
    return status;
}

enum dm_status dm_schema_json_read(const char *text, size_t n, const struct dm_schema_read_options *o,
                                   struct dm_relational_schemas *out, struct dm_names *notes,
                                   struct dm_error *err)
{
    (void)notes;
    json_error_t where;
    json_t *document = json_loadb(text, n, JSON_REJECT_DUPLICATES, &where);
    if (document == NULL)
        return dm_fail(err, DM_ERROR_CONFIG, NULL, "%s:%d:%d: this is not JSON: %s",
                       o->file != NULL ? o->file : "text", where.line, where.column, where.text);
    enum dm_status status = dm_schemas_from_json(document, o, out, err);
    json_decref(document);
    return status;
}
