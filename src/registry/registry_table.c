/* A source's table as an entry of the registry. */
#include <jansson.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "registry/registry_rows.h"
#include "registry/schema_json.h"
#include "source/source.h"

struct naming {
    dm_target_name target_name;
    void *ctx;
};

static void take_columns(const struct dm_table *table, struct dm_relational_schema *s)
{
    for (size_t i = 0; i < table->columns->n_fields; i++) {
        const struct dm_field *f = &table->columns->fields[i];
        struct dm_relational_column *c = dm_relational_schema_add(s, f->name, f->type);
        c->required = f->required || dm_schema_is_key(table->columns, (uint32_t)i);
    }
    for (size_t i = 0; i < table->columns->n_keys && !table->append_only; i++)
        dm_names_add(&s->key, table->columns->fields[table->columns->keys[i]].name);
}

static bool name_taken(const struct dm_relational_schema *s, const char *name)
{
    for (size_t i = 0; i < s->n_relationships; i++)
        if (s->relationships[i].name != NULL && strcmp(s->relationships[i].name, name) == 0)
            return true;
    return false;
}

/* SQLite's foreign keys have no names. */
static char *relationship_name(const struct dm_foreign_key *fk, const struct dm_relational_schema *s)
{
    char *name = fk->name != NULL && fk->name[0] != '\0' ? dm_xstrdup(fk->name) : NULL;
    if (name == NULL) {
        name = dm_xasprintf("%s to %s", fk->n_columns > 0 ? fk->columns[0] : "", fk->target_table);
        for (size_t i = 1; i < fk->n_columns; i++) {
            char *longer = dm_xasprintf("%s, %s", fk->columns[i], name);
            free(name);
            name = longer;
        }
    }
    for (int n = 2; name_taken(s, name); n++) {
        char *other = dm_xasprintf("%s %d", name, n);
        free(name);
        name = other;
    }
    return name;
}

/* One child at most (1:…) when a unique constraint or the whole key says so; a parent at least (…:1) when the reference cannot be null. */
static enum dm_cardinality cardinality_of(const struct dm_relational_schema *s,
                                          const struct dm_foreign_key *fk, const struct dm_names *columns)
{
    bool one = s->key.n > 0, required = true;
    for (size_t i = 0; i < s->key.n; i++)
        one = one && dm_names_find(columns, s->key.items[i]) >= 0;
    for (size_t i = 0; i < columns->n; i++)
        required = required && s->columns[dm_relational_schema_find(s, columns->items[i])].required;
    one = one || fk->unique;
    required = required || fk->mandatory;
    if (one)
        return required ? DM_ONE_TO_ONE : DM_ONE_TO_ZERO;
    return required ? DM_MANY_TO_ONE : DM_MANY_TO_ZERO;
}

static void take_foreign_keys(const struct dm_table *table, const struct naming *naming,
                              struct dm_relational_schema *s)
{
    for (size_t i = 0; i < table->n_foreign_keys; i++) {
        const struct dm_foreign_key *fk = &table->foreign_keys[i];
        char *target = naming->target_name(naming->ctx, fk->target_schema, fk->target_table);
        bool mirrored = target != NULL;
        for (size_t k = 0; k < fk->n_columns; k++) /* a column may be left out of the mirror */
            mirrored = mirrored && dm_relational_schema_find(s, fk->columns[k]) >= 0;
        if (mirrored) {
            char *name = relationship_name(fk, s);
            struct dm_relationship *r = dm_relational_schema_relate(s, target);
            r->name = name;
            r->discovered = true;
            for (size_t k = 0; k < fk->n_columns; k++) {
                dm_names_add(&r->columns, fk->columns[k]);
                if (fk->target_columns != NULL && fk->target_columns[k] != NULL)
                    dm_names_add(&r->target_columns, fk->target_columns[k]);
            }
            r->cardinality = cardinality_of(s, fk, &r->columns);
        }
        free(target);
    }
}

/* What a person declared on top of the mirrored table stays; a column that is gone takes its relationships with it. */
static void keep_declared(const struct dm_relational_schema *old, struct dm_relational_schema *s)
{
    s->title = dm_xstrdup(old->title);
    s->description = dm_xstrdup(old->description);
    s->settings = old->settings;
    s->settings.expire = dm_xstrdup(old->settings.expire);
    if (old->timestamp != NULL && dm_relational_schema_find(s, old->timestamp) >= 0)
        s->timestamp = dm_xstrdup(old->timestamp); /* what the expiry goes by */
    for (size_t i = 0; i < old->n_columns; i++) {
        int at = dm_relational_schema_find(s, old->columns[i].name);
        if (at < 0)
            continue;
        s->columns[at].title = dm_xstrdup(old->columns[i].title);
        s->columns[at].description = dm_xstrdup(old->columns[i].description);
    }
    for (size_t i = 0; i < old->n_relationships; i++) {
        const struct dm_relationship *r = &old->relationships[i];
        bool whole = !r->discovered && !name_taken(s, r->name);
        for (size_t k = 0; k < r->columns.n; k++)
            whole = whole && dm_relational_schema_find(s, r->columns.items[k]) >= 0;
        if (whole)
            dm_relationship_assign(dm_relational_schema_relate(s, r->target), r);
    }
}

/* Compared in the form that is stored, without times and ids. */
static bool same_entry(const struct dm_relational_schema *a, const struct dm_relational_schema *b)
{
    if (strcmp(a->name, b->name) != 0 || a->source_id != b->source_id ||
        a->n_relationships != b->n_relationships || !dm_names_equal(&a->key, &b->key))
        return false;
    json_t *left = dm_columns_to_json(a), *right = dm_columns_to_json(b);
    bool same = json_equal(left, right);
    json_decref(left);
    json_decref(right);
    for (size_t i = 0; i < a->n_relationships && same; i++) {
        const struct dm_relationship *r = &a->relationships[i];
        bool found = false;
        for (size_t k = 0; k < b->n_relationships && !found; k++) {
            const struct dm_relationship *o = &b->relationships[k];
            found = strcmp(r->name, o->name) == 0 && strcmp(r->target, o->target) == 0 &&
                    dm_names_equal(&r->columns, &o->columns) &&
                    dm_names_equal(&r->target_columns, &o->target_columns) &&
                    r->cardinality == o->cardinality;
        }
        same = found;
    }
    return same;
}

static enum dm_status find_old(sqlite3 *db, const char *origin, const char *name,
                               const struct dm_table *table, struct dm_relational_schema **old,
                               struct dm_error *err)
{
    struct dm_relational_schema *by_id = NULL, *by_name = NULL;
    if (dm_registry_get_source(db, origin, table->id, &by_id, err) != DM_OK)
        return DM_FAIL;
    if (by_id != NULL && strcmp(by_id->name, name) == 0) {
        *old = by_id;
        return DM_OK;
    }
    if (dm_registry_get(db, name, &by_name, err) != DM_OK) {
        dm_relational_schema_free(by_id);
        return DM_FAIL;
    }
    if (by_name != NULL && strcmp(by_name->origin, origin) != 0) {
        dm_relational_schema_free(by_id);
        enum dm_status status =
            dm_fail(err, DM_ERROR_CONFIG,
                    "drop the schema (`datamirror schema drop`), or give the source another name",
                    "dataset %s of source %s has the name of a schema whose origin is %s", name, origin,
                    by_name->origin);
        dm_relational_schema_free(by_name);
        return status;
    }
    if (by_name != NULL &&
        by_id == NULL) { /* the same table (no ids), or a new one in the place of a dropped one */
        *old = by_name;
        return DM_OK;
    }
    /* Renamed to the name of a table that is gone. */
    if (by_name != NULL && dm_registry_remove(db, name, err) != DM_OK) {
        dm_relational_schema_free(by_name);
        dm_relational_schema_free(by_id);
        return DM_FAIL;
    }
    dm_relational_schema_free(by_name);
    if (by_id != NULL && dm_registry_rename(db, by_id->id, by_id->name, name, err) != DM_OK) {
        dm_relational_schema_free(by_id);
        return DM_FAIL;
    }
    *old = by_id;
    return DM_OK;
}

enum dm_status dm_registry_put_table(sqlite3 *db, const char *origin, const char *name,
                                     const struct dm_table *table, dm_target_name target_name, void *ctx,
                                     struct dm_error *err)
{
    struct dm_relational_schema *old = NULL;
    struct naming naming = {target_name, ctx};
    struct dm_relational_schema *s = dm_relational_schema_new(name);
    enum dm_status status = find_old(db, origin, s->name, table, &old, err);
    if (status == DM_OK) {
        free(s->origin);
        s->origin = dm_xstrdup(origin);
        s->source_id = table->id;
        take_columns(table, s);
        take_foreign_keys(table, &naming, s);
        if (old != NULL)
            keep_declared(old, s);
        if (old == NULL || !same_entry(old, s))
            status = dm_registry_put(db, s, err);
    }
    dm_relational_schema_free(old);
    dm_relational_schema_free(s);
    return status;
}
