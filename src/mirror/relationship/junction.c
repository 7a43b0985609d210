#include "mirror/relationship/junction.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/memory.h"

/* The relationship's columns are a part of the key, each once. */
static bool covers_part(const struct dm_relationship *r, const struct dm_names *key)
{
    for (size_t i = 0; i < r->columns.n; i++) {
        if (dm_names_find(key, r->columns.items[i]) < 0 ||
            dm_names_find(&r->columns, r->columns.items[i]) != (int)i)
            return false;
    }
    return r->columns.n > 0 && r->columns.n < key->n;
}

static bool disjoint(const struct dm_relationship *a, const struct dm_relationship *b)
{
    for (size_t i = 0; i < a->columns.n; i++)
        if (dm_names_find(&b->columns, a->columns.items[i]) >= 0)
            return false;
    return true;
}

/* Where in the key the relationship begins. */
static int first_in_key(const struct dm_relationship *r, const struct dm_names *key)
{
    for (size_t i = 0; i < key->n; i++)
        if (dm_names_find(&r->columns, key->items[i]) >= 0)
            return (int)i;
    return -1;
}

/* The first two relationships that share the key between them. */
static bool find_pair(const struct dm_relational_schemas *all, const struct dm_relational_schema *s,
                      struct dm_junction *out)
{
    for (size_t a = 0; a < s->n_relationships; a++) {
        for (size_t b = a + 1; b < s->n_relationships; b++) {
            const struct dm_relationship *left = &s->relationships[a], *right = &s->relationships[b];
            if (!covers_part(left, &s->key) || !covers_part(right, &s->key) || !disjoint(left, right) ||
                left->columns.n + right->columns.n != s->key.n)
                continue;
            if (first_in_key(right, &s->key) < first_in_key(left, &s->key)) {
                const struct dm_relationship *other = left;
                left = right;
                right = other;
            }
            *out = (struct dm_junction){
                .schema = s,
                .left = left,
                .right = right,
                .left_parent = dm_relational_schemas_find(all, left->target),
                .right_parent = dm_relational_schemas_find(all, right->target),
            };
            if (out->left_parent != NULL && out->right_parent != NULL)
                return true;
        }
    }
    return false;
}

static char *table_of(const struct dm_relational_schema *s)
{
    char *namespace, *table;
    dm_relational_schema_split(s->name, &namespace, &table);
    free(namespace);
    return table;
}

static char *short_name(const struct dm_junction *j)
{
    char *left = table_of(j->left_parent), *right = table_of(j->right_parent);
    char *name = dm_xasprintf("%s__%s", left, right);
    free(left);
    free(right);
    return name;
}

static bool same_namespace(const struct dm_relational_schema *a, const struct dm_relational_schema *b)
{
    char *x, *y, *table;
    dm_relational_schema_split(a->name, &x, &table);
    free(table);
    dm_relational_schema_split(b->name, &y, &table);
    free(table);
    bool same = strcasecmp(x, y) == 0;
    free(x);
    free(y);
    return same;
}

/* Is the name a dataset's (its history's and its tombstones' included), or also another junction's? SQL does not look at the case. */
static bool taken(const struct dm_relational_schemas *all, const struct dm_junctions *list,
                  const struct dm_junction *j, const char *name)
{
    static const char *const suffixes[] = {"", "__history", "__tombstones"};
    bool found = false;
    for (size_t i = 0; i < all->n && !found; i++) {
        if (!same_namespace(all->items[i], j->schema))
            continue;
        char *table = table_of(all->items[i]);
        for (size_t k = 0; k < sizeof suffixes / sizeof *suffixes && !found; k++) {
            char *other = dm_xasprintf("%s%s", table, suffixes[k]);
            found = strcasecmp(other, name) == 0;
            free(other);
        }
        free(table);
    }
    for (size_t i = 0; i < list->n && !found; i++) {
        if (&list->items[i] == j || !same_namespace(list->items[i].schema, j->schema))
            continue;
        char *other = short_name(&list->items[i]);
        found = strcasecmp(other, name) == 0;
        free(other);
    }
    return found;
}

static char *view_name(const struct dm_relational_schemas *all, const struct dm_junctions *list,
                       const struct dm_junction *j)
{
    char *name = short_name(j);
    if (!taken(all, list, j, name))
        return name;
    char *junction = table_of(j->schema);
    char *longer = dm_xasprintf("%s__%s", name, junction);
    free(junction);
    free(name);
    return longer;
}

void dm_junctions_find(const struct dm_relational_schemas *all, struct dm_junctions *out)
{
    *out = (struct dm_junctions){0};
    for (size_t i = 0; i < all->n; i++) {
        struct dm_junction found;
        if (!find_pair(all, all->items[i], &found))
            continue;
        out->items = dm_xrealloc(out->items, out->n + 1, sizeof *out->items);
        out->items[out->n++] = found;
    }
    for (size_t i = 0; i < out->n; i++)
        out->items[i].view = view_name(all, out, &out->items[i]);
}

void dm_junctions_release(struct dm_junctions *list)
{
    for (size_t i = 0; i < list->n; i++)
        free(list->items[i].view);
    free(list->items);
    *list = (struct dm_junctions){0};
}
