#include "column/schema.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

struct dm_schema *dm_schema_new(void)
{
    struct dm_schema *s = dm_xzalloc(1, sizeof *s);
    atomic_init(&s->references, 1);
    return s;
}

struct dm_schema *dm_schema_ref(const struct dm_schema *s)
{
    struct dm_schema *shared = (struct dm_schema *)(uintptr_t)s; /* only the counter changes */
    if (shared != NULL)
        atomic_fetch_add(&shared->references, 1);
    return shared;
}

void dm_schema_unref(const struct dm_schema *s)
{
    struct dm_schema *shared = (struct dm_schema *)(uintptr_t)s;
    if (shared == NULL || atomic_fetch_sub(&shared->references, 1) > 1)
        return;
    for (size_t i = 0; i < shared->n_fields; i++) {
        free(shared->fields[i].name);
        free(shared->fields[i].source_type);
        free(shared->fields[i].default_json);
    }
    free(shared->fields);
    free(shared->keys);
    free(shared);
}

struct dm_schema *dm_schema_copy(const struct dm_schema *s)
{
    struct dm_schema *copy = dm_schema_new();
    copy->schema_id = s->schema_id;
    for (size_t i = 0; i < s->n_fields; i++)
        dm_schema_add_copy(copy, &s->fields[i]);
    for (size_t i = 0; i < s->n_keys; i++)
        dm_schema_add_key(copy, s->keys[i]);
    return copy;
}

struct dm_field *dm_schema_add(struct dm_schema *s, const char *name, struct dm_type type)
{
    s->fields = dm_xrealloc(s->fields, s->n_fields + 1, sizeof *s->fields);
    struct dm_field *f = &s->fields[s->n_fields++];
    *f = (struct dm_field){.name = dm_xstrdup(name), .type = type};
    return f;
}

struct dm_field *dm_schema_add_copy(struct dm_schema *s, const struct dm_field *from)
{
    struct dm_field *to = dm_schema_add(s, from->name, from->type);
    to->id = from->id;
    to->element_id = from->element_id;
    to->required = from->required;
    to->filled = from->filled;
    to->source_ref = from->source_ref;
    to->source_type = dm_xstrdup(from->source_type);
    to->default_json = dm_xstrdup(from->default_json);
    return to;
}

void dm_schema_add_key(struct dm_schema *s, uint32_t field_index)
{
    s->keys = dm_xrealloc(s->keys, s->n_keys + 1, sizeof *s->keys);
    s->keys[s->n_keys++] = field_index;
}

struct dm_schema *dm_schema_keys(const struct dm_schema *s)
{
    struct dm_schema *keys = dm_schema_new();
    for (size_t k = 0; k < s->n_keys; k++) {
        dm_schema_add_copy(keys, &s->fields[s->keys[k]]);
        dm_schema_add_key(keys, (uint32_t)k);
    }
    return keys;
}

void dm_field_drop_default(struct dm_field *f)
{
    free(f->default_json);
    f->default_json = NULL;
}

int dm_schema_find(const struct dm_schema *s, const char *name)
{
    for (size_t i = 0; i < s->n_fields; i++)
        if (strcmp(s->fields[i].name, name) == 0)
            return (int)i;
    return -1;
}

int dm_schema_find_id(const struct dm_schema *s, int32_t id)
{
    for (size_t i = 0; i < s->n_fields; i++)
        if (s->fields[i].id == id)
            return (int)i;
    return -1;
}

int32_t dm_schema_highest_id(const struct dm_schema *s)
{
    int32_t highest = 0;
    for (size_t i = 0; i < s->n_fields; i++) {
        const struct dm_field *f = &s->fields[i];
        highest = f->id > highest ? f->id : highest;
        highest = f->element_id > highest ? f->element_id : highest;
    }
    return highest;
}

bool dm_schema_is_key(const struct dm_schema *s, uint32_t field_index)
{
    for (size_t i = 0; i < s->n_keys; i++)
        if (s->keys[i] == field_index)
            return true;
    return false;
}

static bool text_equal(const char *a, const char *b)
{
    return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

bool dm_schema_equal(const struct dm_schema *a, const struct dm_schema *b)
{
    if (a->n_fields != b->n_fields || a->n_keys != b->n_keys)
        return false;
    for (size_t i = 0; i < a->n_fields; i++) {
        const struct dm_field *f = &a->fields[i];
        const struct dm_field *g = &b->fields[i];
        if (f->id != g->id || strcmp(f->name, g->name) != 0 || !dm_type_equal(f->type, g->type) ||
            f->required != g->required || !text_equal(f->default_json, g->default_json))
            return false;
    }
    return a->n_keys == 0 || memcmp(a->keys, b->keys, a->n_keys * sizeof *a->keys) == 0;
}
