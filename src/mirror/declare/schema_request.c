#include "mirror/declare/schema_request.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "mirror/declare/declared.h"
#include "registry/schema_json.h"

enum kind { PRIMARY_KEY, VERSION, TIMESTAMP, RELATIONSHIP };

static const char *const types[] = {[PRIMARY_KEY] = "xdm:descriptorPrimaryKey",
                                    [VERSION] = "xdm:descriptorVersion",
                                    [TIMESTAMP] = "xdm:descriptorTimestamp",
                                    [RELATIONSHIP] = "xdm:descriptorRelationship"};

/* What an edit works with, and which descriptor it was about. */
struct edit {
    struct dm_schema_request *r;
    const char *type;    /* one of the descriptor's words; NULL: a schema */
    size_t relationship; /* its place in the schema */
};

typedef enum dm_status (*edit_fn)(void *ctx, const struct dm_relational_schemas *known,
                                  struct dm_relational_schemas *wanted, struct dm_error *err);

void dm_schema_request_release(struct dm_schema_request *r)
{
    json_decref(r->answer);
    json_decref(r->changes);
    r->answer = r->changes = NULL;
}

static void told(void *ctx, const char *schema, const char *what)
{
    (void)schema;
    json_array_append_new(ctx, json_string(what));
}

static json_t *text_of(const json_t *o, const char *key)
{
    json_t *v = json_object_get(o, key);
    return json_is_string(v) ? v : NULL;
}

/* The descriptor among those of its schema, as it is now. */
static json_t *descriptor_json(const struct dm_relational_schema *s, const struct edit *e)
{
    json_t *all = dm_schema_descriptors_to_json(s), *found = NULL;
    bool related = strcmp(e->type, types[RELATIONSHIP]) == 0;
    for (size_t i = 0; i < json_array_size(all) && found == NULL; i++) {
        json_t *d = json_array_get(all, i);
        bool same = strcmp(json_string_value(json_object_get(d, "@type")), e->type) == 0;
        if (same && related)
            same = strcmp(json_string_value(json_object_get(d, "datamirror:name")),
                          s->relationships[e->relationship].name) == 0;
        if (same)
            found = json_incref(d);
    }
    json_decref(all);
    return found;
}

static enum dm_status carry_out(struct dm_mirror *m, edit_fn edit, struct dm_schema_request *r,
                                struct dm_error *err)
{
    struct edit e = {.r = r};
    struct dm_relational_schemas wanted = {0};
    r->changes = json_array();
    struct dm_declare_options options = {.dry_run = r->dry_run,
                                         .drop_columns = r->drop_columns,
                                         .told = told,
                                         .ctx = r->changes,
                                         .edit = edit,
                                         .edit_ctx = &e};
    enum dm_status status = dm_declare(m, &wanted, &options, err);
    if (status == DM_OK && r->body != NULL)
        r->answer =
            e.type != NULL ? descriptor_json(wanted.items[0], &e) : dm_schema_to_json(wanted.items[0]);
    dm_relational_schemas_release(&wanted);
    return status;
}

/* A copy of the schema that is to be changed; its missing descriptors are no breach. */
static struct dm_relational_schema *take_copy(const struct dm_relational_schema *s,
                                              struct dm_relational_schemas *wanted)
{
    struct dm_relational_schema *copy = dm_relational_schema_copy(s);
    copy->draft = true;
    dm_relational_schemas_add(wanted, copy);
    return copy;
}

/* ---- schemas ---- */

static enum dm_status unknown_schema(struct dm_schema_request *r, struct dm_error *err)
{
    r->not_found = true;
    return dm_fail(err, DM_ERROR_CONFIG, "name it by its $id (URL-encoded) or its meta:altId",
                   "there is no schema \"%.200s\"", r->reference);
}

static enum dm_status create(void *ctx, const struct dm_relational_schemas *known,
                             struct dm_relational_schemas *wanted, struct dm_error *err)
{
    const struct edit *e = ctx;
    struct dm_relational_schema *s = NULL;
    if (dm_schema_from_json(e->r->body, &(struct dm_schema_read_options){0}, &s, err) != DM_OK)
        return DM_FAIL;
    s->draft = true;
    dm_relational_schemas_add(wanted, s);
    if (dm_relational_schemas_find(known, s->name) != NULL)
        return dm_fail(err, DM_ERROR_CONFLICT, "replace it with PUT, or choose another title",
                       "there is a schema %s already", s->name);
    return DM_OK;
}

enum dm_status dm_schema_create(struct dm_mirror *m, struct dm_schema_request *r, struct dm_error *err)
{
    return carry_out(m, create, r, err);
}

static enum dm_status replace(void *ctx, const struct dm_relational_schemas *known,
                              struct dm_relational_schemas *wanted, struct dm_error *err)
{
    const struct edit *e = ctx;
    const struct dm_relational_schema *old = dm_schemas_refer(known, e->r->reference);
    struct dm_relational_schema *s = NULL;
    if (old == NULL)
        return unknown_schema(e->r, err);
    if (dm_schema_from_json(e->r->body, &(struct dm_schema_read_options){0}, &s, err) != DM_OK)
        return DM_FAIL;
    s->draft = true;
    dm_relational_schemas_add(wanted, s);
    if (strcmp(s->name, old->name) != 0)
        return dm_fail(err, DM_ERROR_CONFIG, "its title is its name, which stays",
                       "title: the body is that of %s, and the request is for %s", s->name, old->name);
    dm_relational_schema_take_descriptors(s, old);
    if (s->partial) { /* the documented body has no words for them */
        s->settings = old->settings;
        s->settings.expire = dm_xstrdup(old->settings.expire);
        s->partial = false;
    }
    return DM_OK;
}

enum dm_status dm_schema_replace(struct dm_mirror *m, struct dm_schema_request *r, struct dm_error *err)
{
    return carry_out(m, replace, r, err);
}

/* The name that the reference means. */
static enum dm_status find_name(struct dm_mirror *m, struct dm_schema_request *r, char **name,
                                struct dm_error *err)
{
    struct dm_relational_schemas known = {0};
    (void)pthread_mutex_lock(&m->lake_mutex);
    enum dm_status status = dm_registry_list(dm_lake_sqlite(m->lake), &known, err);
    (void)pthread_mutex_unlock(&m->lake_mutex);
    const struct dm_relational_schema *s = status == DM_OK ? dm_schemas_refer(&known, r->reference) : NULL;
    if (status == DM_OK && s == NULL)
        status = unknown_schema(r, err);
    else if (status == DM_OK && !dm_relational_schema_is_declared(s))
        status = dm_fail(err, DM_ERROR_CONFLICT,
                         "leave its table out of the source's `tables:` to end the mirroring",
                         "%s is mirrored from source %s and cannot be dropped here", s->name, s->origin);
    else if (status == DM_OK)
        *name = dm_xstrdup(s->name);
    dm_relational_schemas_release(&known);
    return status;
}

enum dm_status dm_schema_delete(struct dm_mirror *m, struct dm_schema_request *r, struct dm_error *err)
{
    char *name = NULL;
    enum dm_status status = find_name(m, r, &name, err);
    if (status == DM_OK)
        status = dm_undeclare(m, name, !r->drop_rows, err);
    if (status != DM_OK && err->class == DM_ERROR_CONFLICT && err->hint[0] == '\0')
        dm_error_hint(err, "DELETE …?drop_rows=true deletes the schema with its dataset and all rows");
    free(name);
    return status;
}

/* ---- descriptors ---- */

static bool has(const struct dm_relational_schema *s, const char *type)
{
    return strcmp(type, types[PRIMARY_KEY]) == 0 ? s->key.n > 0
           : strcmp(type, types[VERSION]) == 0   ? s->version != NULL
           : strcmp(type, types[TIMESTAMP]) == 0 ? s->timestamp != NULL
                                                 : false;
}

static const char *known_type(const char *type)
{
    for (size_t i = 0; type != NULL && i < sizeof types / sizeof *types; i++)
        if (strcmp(types[i], type) == 0)
            return types[i];
    return NULL;
}

static enum dm_status add(void *ctx, const struct dm_relational_schemas *known,
                          struct dm_relational_schemas *wanted, struct dm_error *err)
{
    struct edit *e = ctx;
    struct dm_relational_schema *s = NULL;
    struct dm_schema_read_options o = {.known = known};
    if (dm_descriptor_from_json(e->r->body, &o, wanted, &s, err) != DM_OK)
        return DM_FAIL;
    e->type = known_type(json_string_value(json_object_get(e->r->body, "@type")));
    const struct dm_relational_schema *old = dm_relational_schemas_find(known, s->name);
    bool related = strcmp(e->type, types[RELATIONSHIP]) == 0;
    bool there = related ? s->n_relationships == old->n_relationships : has(old, e->type);
    if (there)
        return dm_fail(err, DM_ERROR_CONFLICT, "replace it (PUT …/descriptors/{@id}), or delete it first",
                       related ? "%s has that relationship (%s) already" : "%s has a descriptor %s already",
                       s->name, related ? s->relationships[s->n_relationships - 1].name : e->type);
    e->relationship = s->n_relationships - 1;
    s->draft = true;
    return DM_OK;
}

enum dm_status dm_descriptor_create(struct dm_mirror *m, struct dm_schema_request *r, struct dm_error *err)
{
    return carry_out(m, add, r, err);
}

struct found {
    const struct dm_relational_schema *schema;
    enum kind kind;
    const struct dm_relationship *relationship;
};

static bool find_in(const struct dm_relational_schema *s, int64_t id, struct found *out)
{
    *out = (struct found){.schema = s};
    if (s->key_id == id || s->version_id == id || s->timestamp_id == id) {
        out->kind = s->key_id == id ? PRIMARY_KEY : s->version_id == id ? VERSION : TIMESTAMP;
        return true;
    }
    out->kind = RELATIONSHIP;
    for (size_t i = 0; i < s->n_relationships; i++)
        if (s->relationships[i].id == id) {
            out->relationship = &s->relationships[i];
            return true;
        }
    return false;
}

/* What the source says of itself is not for a request to change. */
static enum dm_status find(const struct dm_relational_schemas *known, struct dm_schema_request *r,
                           struct found *out, struct dm_error *err)
{
    int64_t id = dm_descriptor_number(r->reference);
    bool there = false;
    for (size_t i = 0; i < known->n && !there && id > 0; i++)
        there = find_in(known->items[i], id, out);
    if (!there) {
        r->not_found = true;
        return dm_fail(err, DM_ERROR_CONFIG, "GET …/descriptors lists them",
                       "there is no descriptor \"%.100s\"", r->reference);
    }
    bool mirrored = !dm_relational_schema_is_declared(out->schema);
    if (mirrored && (out->relationship == NULL || out->relationship->discovered))
        return dm_fail(err, DM_ERROR_CONFLICT,
                       "change the table there; relationships that people declare can be changed here",
                       "%s is mirrored from source %s, whose table says so", out->schema->name,
                       out->schema->origin);
    return DM_OK;
}

/* The body with the name that the relationship is kept by. */
static enum dm_status named_body(const json_t *body, const struct found *f, json_t **out,
                                 struct dm_error *err)
{
    const json_t *name = text_of(body, "datamirror:name");
    const char *kept = f->relationship != NULL ? f->relationship->name : NULL;
    if (kept != NULL && name != NULL && strcmp(json_string_value(name), kept) != 0)
        return dm_fail(err, DM_ERROR_CONFIG, "delete it and make one of the other name",
                       "datamirror:name: the relationship is kept by its name \"%s\"", kept);
    *out = json_copy((json_t *)(uintptr_t)body);
    if (kept != NULL)
        json_object_set_new(*out, "datamirror:name", json_string(kept));
    return DM_OK;
}

static enum dm_status change(void *ctx, const struct dm_relational_schemas *known,
                             struct dm_relational_schemas *wanted, struct dm_error *err)
{
    struct edit *e = ctx;
    struct found f;
    if (find(known, e->r, &f, err) != DM_OK)
        return DM_FAIL;
    e->type = types[f.kind];
    const char *type = json_string_value(text_of(e->r->body, "@type"));
    if (type == NULL || strcmp(type, e->type) != 0)
        return dm_fail(err, DM_ERROR_CONFIG, "delete it and make one of the other kind",
                       "@type: descriptor %.100s is one of %s", e->r->reference, e->type);
    json_t *body = NULL;
    if (named_body(e->r->body, &f, &body, err) != DM_OK)
        return DM_FAIL;
    const struct dm_relational_schema *copy = take_copy(f.schema, wanted);
    struct dm_relational_schema *s = NULL;
    struct dm_schema_read_options o = {.known = known};
    enum dm_status status = dm_descriptor_from_json(body, &o, wanted, &s, err);
    if (status == DM_OK && s != copy)
        status =
            dm_fail(err, DM_ERROR_CONFIG, "delete it and make one there",
                    "xdm:sourceSchema: descriptor %.100s belongs to %s", e->r->reference, f.schema->name);
    if (status == DM_OK && f.relationship != NULL) /* put at the end in its new form */
        e->relationship = s->n_relationships - 1;
    json_decref(body);
    return status;
}

enum dm_status dm_descriptor_replace(struct dm_mirror *m, struct dm_schema_request *r, struct dm_error *err)
{
    return carry_out(m, change, r, err);
}

static enum dm_status take_out(void *ctx, const struct dm_relational_schemas *known,
                               struct dm_relational_schemas *wanted, struct dm_error *err)
{
    const struct edit *e = ctx;
    struct found f;
    struct dm_relational_schema *s = NULL;
    if (find(known, e->r, &f, err) != DM_OK)
        return DM_FAIL;
    (void)take_copy(f.schema, wanted);
    if (!dm_descriptor_remove(wanted, dm_descriptor_number(e->r->reference), &s))
        return dm_fail(err, DM_ERROR_FATAL, NULL, "descriptor %s was there and is not", e->r->reference);
    return DM_OK;
}

enum dm_status dm_descriptor_delete(struct dm_mirror *m, struct dm_schema_request *r, struct dm_error *err)
{
    return carry_out(m, take_out, r, err);
}
