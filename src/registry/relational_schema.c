#include "registry/relational_schema.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

/* ---- names ---- */

void dm_names_add(struct dm_names *names, const char *name)
{
    /* Capacity is the next power of two, so that long lists (enums) do not copy themselves at each step. */
    if ((names->n & (names->n - 1)) == 0)
        names->items = dm_xrealloc(names->items, names->n == 0 ? 1 : names->n * 2, sizeof *names->items);
    names->items[names->n++] = dm_xstrdup(name);
}

void dm_names_release(struct dm_names *names)
{
    for (size_t i = 0; i < names->n; i++)
        free(names->items[i]);
    free(names->items);
    *names = (struct dm_names){0};
}

int dm_names_find(const struct dm_names *names, const char *name)
{
    for (size_t i = 0; i < names->n; i++)
        if (strcmp(names->items[i], name) == 0)
            return (int)i;
    return -1;
}

char *dm_names_joined(const struct dm_names *names)
{
    char *text = dm_xstrdup("");
    for (size_t i = 0; i < names->n; i++) {
        char *longer = dm_xasprintf("%s%s%s", text, i > 0 ? ", " : "", names->items[i]);
        free(text);
        text = longer;
    }
    return text;
}

bool dm_names_equal(const struct dm_names *a, const struct dm_names *b)
{
    if (a->n != b->n)
        return false;
    for (size_t i = 0; i < a->n; i++)
        if (strcmp(a->items[i], b->items[i]) != 0)
            return false;
    return true;
}

static struct dm_names names_copy(const struct dm_names *from)
{
    struct dm_names to = {0};
    for (size_t i = 0; i < from->n; i++)
        dm_names_add(&to, from->items[i]);
    return to;
}

const char *dm_cardinality_text(enum dm_cardinality c)
{
    switch (c) {
    case DM_ONE_TO_ONE: return "1:1";
    case DM_ONE_TO_ZERO: return "1:0";
    case DM_MANY_TO_ONE: return "M:1";
    case DM_MANY_TO_ZERO: return "M:0";
    }
    return "M:1";
}

bool dm_cardinality_find(const char *text, enum dm_cardinality *out)
{
    for (enum dm_cardinality c = DM_ONE_TO_ONE; c <= DM_MANY_TO_ZERO; c++)
        if (strcmp(dm_cardinality_text(c), text) == 0) {
            *out = c;
            return true;
        }
    return false;
}

/* ---- one schema ---- */

char *dm_relational_schema_name(const char *name)
{
    return strchr(name, '.') != NULL ? dm_xstrdup(name) : dm_xasprintf("default.%s", name);
}

void dm_relational_schema_split(const char *name, char **namespace, char **table)
{
    const char *dot = strchr(name, '.');
    *namespace = dot != NULL ? dm_xstrndup(name, (size_t)(dot - name)) : dm_xstrdup("default");
    *table = dm_xstrdup(dot != NULL ? dot + 1 : name);
}

bool dm_relational_schema_is_declared(const struct dm_relational_schema *s)
{
    return strcmp(s->origin, DM_ORIGIN_DECLARED) == 0;
}

/* ---- descriptors that are still to come ---- */

const char *dm_relational_schema_missing(const struct dm_relational_schema *s, char out[DM_MISSING_MAX])
{
    const char *const lacks[] = {s->key.n == 0 ? "primary key" : NULL, s->version == NULL ? "version" : NULL,
                                 s->behavior == DM_BEHAVIOR_TIME_SERIES && s->timestamp == NULL ? "timestamp"
                                                                                                : NULL};
    size_t n = 0;
    out[0] = '\0';
    for (size_t i = 0; i < sizeof lacks / sizeof *lacks && dm_relational_schema_is_declared(s); i++)
        if (lacks[i] != NULL)
            n += (size_t)snprintf(out + n, DM_MISSING_MAX - n, "%s%s", n > 0 ? ", " : "", lacks[i]);
    return out;
}

bool dm_relational_schema_is_complete(const struct dm_relational_schema *s)
{
    char missing[DM_MISSING_MAX];
    return dm_relational_schema_missing(s, missing)[0] == '\0';
}

enum dm_status dm_relational_schema_incomplete(const struct dm_relational_schema *s, struct dm_error *err)
{
    char missing[DM_MISSING_MAX];
    return dm_fail(
        err, DM_ERROR_CONFIG,
        "give it the descriptors (POST …/tenant/descriptors), or apply the whole schema: datamirror "
        "schema apply FILE",
        "the schema %s is incomplete, so it has no dataset yet: it still needs %s", s->name,
        dm_relational_schema_missing(s, missing));
}

/* The name that the column goes on with. */
static const char *name_now(const struct dm_relational_schema *s, const char *column)
{
    for (size_t i = 0; i < s->n_columns; i++)
        if (s->columns[i].renamed_from != NULL && strcmp(s->columns[i].renamed_from, column) == 0)
            return s->columns[i].name;
    return column;
}

static struct dm_names names_now(const struct dm_relational_schema *s, const struct dm_names *columns)
{
    struct dm_names names = {0};
    for (size_t i = 0; i < columns->n; i++)
        dm_names_add(&names, name_now(s, columns->items[i]));
    return names;
}

void dm_relational_schema_take_descriptors(struct dm_relational_schema *to,
                                           const struct dm_relational_schema *from)
{
    to->key = names_now(to, &from->key);
    to->version = from->version != NULL ? dm_xstrdup(name_now(to, from->version)) : NULL;
    to->timestamp = from->timestamp != NULL ? dm_xstrdup(name_now(to, from->timestamp)) : NULL;
    for (size_t i = 0; i < from->n_relationships; i++) {
        const struct dm_relationship *r = &from->relationships[i];
        struct dm_relationship *now = dm_relational_schema_relate(to, r->target);
        dm_relationship_assign(now, r);
        dm_names_release(&now->columns);
        now->columns = names_now(to, &r->columns);
        if (strcmp(r->target, from->name) != 0)
            continue;
        dm_names_release(&now->target_columns);
        now->target_columns = names_now(to, &r->target_columns);
    }
}

struct dm_relational_schema *dm_relational_schema_new(const char *name)
{
    struct dm_relational_schema *s = dm_xzalloc(1, sizeof *s);
    s->name = dm_relational_schema_name(name);
    s->origin = dm_xstrdup(DM_ORIGIN_DECLARED);
    return s;
}

static void release_column(struct dm_relational_column *c)
{
    free(c->name);
    free(c->title);
    free(c->description);
    free(c->format);
    dm_names_release(&c->allowed);
    free(c->renamed_from);
}

void dm_relationship_release(struct dm_relationship *r)
{
    free(r->name);
    dm_names_release(&r->columns);
    free(r->target);
    dm_names_release(&r->target_columns);
    free(r->forward_name);
    free(r->backward_name);
}

void dm_relational_schema_clear_columns(struct dm_relational_schema *s)
{
    for (size_t i = 0; i < s->n_columns; i++)
        release_column(&s->columns[i]);
    free(s->columns);
    s->columns = NULL;
    s->n_columns = 0;
}

void dm_relational_schema_free(struct dm_relational_schema *s)
{
    if (s == NULL)
        return;
    free(s->name);
    free(s->title);
    free(s->description);
    free(s->origin);
    dm_relational_schema_clear_columns(s);
    dm_names_release(&s->key);
    free(s->version);
    free(s->timestamp);
    for (size_t i = 0; i < s->n_relationships; i++)
        dm_relationship_release(&s->relationships[i]);
    free(s->relationships);
    free(s->settings.expire);
    free(s->settings.unavailable_value);
    dm_names_release(&s->dropped);
    free(s->file);
    free(s);
}

/* Grows an array of n structs by one zeroed element; room is doubled. */
static void *grown(void *items, size_t n, size_t size)
{
    if ((n & (n - 1)) == 0)
        items = dm_xrealloc(items, n == 0 ? 1 : n * 2, size);
    memset((char *)items + n * size, 0, size);
    return items;
}

struct dm_relational_column *dm_relational_schema_add(struct dm_relational_schema *s, const char *name,
                                                      struct dm_type type)
{
    s->columns = grown(s->columns, s->n_columns, sizeof *s->columns);
    struct dm_relational_column *c = &s->columns[s->n_columns++];
    c->name = dm_xstrdup(name);
    c->type = type;
    return c;
}

void dm_relational_column_assign(struct dm_relational_column *to, const struct dm_relational_column *from)
{
    to->type = from->type;
    to->required = from->required;
    to->title = dm_xstrdup(from->title);
    to->description = dm_xstrdup(from->description);
    to->format = dm_xstrdup(from->format);
    to->allowed = names_copy(&from->allowed);
    to->min_length = from->min_length;
    to->max_length = from->max_length;
    to->renamed_from = dm_xstrdup(from->renamed_from);
    to->line = from->line;
}

struct dm_relationship *dm_relational_schema_relate(struct dm_relational_schema *s, const char *target)
{
    s->relationships = grown(s->relationships, s->n_relationships, sizeof *s->relationships);
    struct dm_relationship *r = &s->relationships[s->n_relationships++];
    r->target = dm_xstrdup(target);
    r->cardinality = DM_MANY_TO_ONE;
    return r;
}

enum dm_cardinality dm_relational_schema_cardinality(const struct dm_relational_schema *s,
                                                     const struct dm_names *columns)
{
    bool one = columns->n == s->key.n, required = true;
    for (size_t i = 0; i < columns->n; i++) {
        int at = dm_relational_schema_find(s, columns->items[i]);
        one = one && dm_names_find(&s->key, columns->items[i]) >= 0;
        required = required && at >= 0 && s->columns[at].required;
    }
    if (one)
        return required ? DM_ONE_TO_ONE : DM_ONE_TO_ZERO;
    return required ? DM_MANY_TO_ONE : DM_MANY_TO_ZERO;
}

void dm_relational_schema_unrelate(struct dm_relational_schema *s, size_t i)
{
    dm_relationship_release(&s->relationships[i]);
    s->n_relationships--;
    memmove(&s->relationships[i], &s->relationships[i + 1],
            (s->n_relationships - i) * sizeof *s->relationships);
}

void dm_relationship_assign(struct dm_relationship *to, const struct dm_relationship *from)
{
    char *target = to->target; /* set by relate */
    *to = (struct dm_relationship){
        .id = from->id,
        .line = from->line,
        .name = dm_xstrdup(from->name),
        .columns = names_copy(&from->columns),
        .target = target,
        .target_columns = names_copy(&from->target_columns),
        .cardinality = from->cardinality,
        .forward_name = dm_xstrdup(from->forward_name),
        .backward_name = dm_xstrdup(from->backward_name),
        .discovered = from->discovered,
        .enforced = from->enforced,
    };
}

struct dm_relational_schema *dm_relational_schema_copy(const struct dm_relational_schema *s)
{
    struct dm_relational_schema *to = dm_xzalloc(1, sizeof *to);
    *to = (struct dm_relational_schema){
        .id = s->id,
        .key_id = s->key_id,
        .version_id = s->version_id,
        .timestamp_id = s->timestamp_id,
        .name = dm_xstrdup(s->name),
        .title = dm_xstrdup(s->title),
        .description = dm_xstrdup(s->description),
        .origin = dm_xstrdup(s->origin),
        .behavior = s->behavior,
        .key = names_copy(&s->key),
        .version = dm_xstrdup(s->version),
        .timestamp = dm_xstrdup(s->timestamp),
        .settings = s->settings,
        .dropped = names_copy(&s->dropped),
        .partial = s->partial,
        .draft = s->draft,
        .source_id = s->source_id,
        .created_us = s->created_us,
        .updated_us = s->updated_us,
        .file = dm_xstrdup(s->file),
        .line = s->line,
    };
    to->settings.expire = dm_xstrdup(s->settings.expire);
    to->settings.unavailable_value = dm_xstrdup(s->settings.unavailable_value);
    for (size_t i = 0; i < s->n_columns; i++)
        dm_relational_column_assign(dm_relational_schema_add(to, s->columns[i].name, s->columns[i].type),
                                    &s->columns[i]);
    for (size_t i = 0; i < s->n_relationships; i++)
        dm_relationship_assign(dm_relational_schema_relate(to, s->relationships[i].target),
                               &s->relationships[i]);
    return to;
}

int dm_relational_schema_find(const struct dm_relational_schema *s, const char *column)
{
    for (size_t i = 0; i < s->n_columns; i++)
        if (strcmp(s->columns[i].name, column) == 0)
            return (int)i;
    return -1;
}

/* ---- lists of schemas ---- */

void dm_relational_schemas_add(struct dm_relational_schemas *list, struct dm_relational_schema *take)
{
    list->items = grown(list->items, list->n, sizeof *list->items);
    list->items[list->n++] = take;
}

void dm_relational_schemas_release(struct dm_relational_schemas *list)
{
    for (size_t i = 0; i < list->n; i++)
        dm_relational_schema_free(list->items[i]);
    free(list->items);
    *list = (struct dm_relational_schemas){0};
}

struct dm_relational_schema *dm_relational_schemas_find(const struct dm_relational_schemas *list,
                                                        const char *name)
{
    char *full = dm_relational_schema_name(name);
    struct dm_relational_schema *found = NULL;
    for (size_t i = 0; i < list->n && found == NULL; i++)
        if (strcmp(list->items[i]->name, full) == 0)
            found = list->items[i];
    free(full);
    return found;
}

/* ---- the dataset's columns ---- */

/* The stored field that column `c` goes on with, or -1. */
static int continued_field(const struct dm_schema *stored, const struct dm_relational_column *c)
{
    int old = c->renamed_from != NULL ? dm_schema_find(stored, c->renamed_from) : -1;
    return old >= 0 ? old : dm_schema_find(stored, c->name);
}

static int32_t highest_ref(const struct dm_schema *stored)
{
    int32_t highest = 0;
    for (size_t i = 0; stored != NULL && i < stored->n_fields; i++)
        if (stored->fields[i].source_ref > highest)
            highest = stored->fields[i].source_ref;
    return highest;
}

enum dm_status dm_relational_schema_columns(const struct dm_relational_schema *s,
                                            const struct dm_schema *stored, struct dm_schema **out,
                                            struct dm_error *err)
{
    struct dm_schema *schema = dm_schema_new();
    int32_t ref = highest_ref(stored);
    for (size_t i = 0; i < s->n_columns; i++) {
        const struct dm_relational_column *c = &s->columns[i];
        struct dm_field *f = dm_schema_add(schema, c->name, c->type);
        int old = stored != NULL ? continued_field(stored, c) : -1;
        f->required = c->required;
        f->source_ref = old >= 0 ? stored->fields[old].source_ref : ++ref;
    }
    for (size_t i = 0; i < s->key.n; i++) {
        int at = dm_relational_schema_find(s, s->key.items[i]);
        if (at < 0) {
            dm_schema_unref(schema);
            return dm_fail(err, DM_ERROR_CONFIG, NULL, "%s: the key column \"%s\" is not among the columns",
                           s->name, s->key.items[i]);
        }
        schema->fields[at].required = true;
        dm_schema_add_key(schema, (uint32_t)at);
    }
    *out = schema;
    return DM_OK;
}
