/* What a schema leaves to be found out from others: names of targets, target columns, what a mirrored dataset already has. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "registry/period.h"
#include "registry/schema_rules.h"

static const struct dm_relational_schema *find_in(const struct dm_relational_schemas *wanted,
                                                  const struct dm_relational_schemas *known, const char *name)
{
    const struct dm_relational_schema *s = dm_relational_schemas_find(wanted, name);
    return s != NULL || known == NULL ? s : dm_relational_schemas_find(known, name);
}

/* "customers" in a relationship of sales.orders is sales.customers when there is one, else default.customers. */
static void complete_target(const struct dm_relational_schema *s, struct dm_relationship *r,
                            const struct dm_relational_schemas *wanted,
                            const struct dm_relational_schemas *known)
{
    if (strchr(r->target, '.') != NULL)
        return;
    char *namespace, *table;
    dm_relational_schema_split(s->name, &namespace, &table);
    char *near = dm_xasprintf("%s.%s", namespace, r->target);
    bool found = find_in(wanted, known, near) != NULL;
    char *full = found ? near : dm_relational_schema_name(r->target);
    if (!found && find_in(wanted, known, full) == NULL) { /* neither: the error shall name the likely one */
        free(full);
        full = near;
    }
    free(r->target);
    r->target = dm_xstrdup(full);
    if (full != near)
        free(full);
    free(near);
    free(namespace);
    free(table);
}

static void complete_target_columns(struct dm_relationship *r, const struct dm_relational_schemas *wanted,
                                    const struct dm_relational_schemas *known)
{
    const struct dm_relational_schema *target = find_in(wanted, known, r->target);
    if (r->target_columns.n > 0 || target == NULL)
        return;
    for (size_t i = 0; i < target->key.n; i++)
        dm_names_add(&r->target_columns, target->key.items[i]);
}

static bool name_taken(const struct dm_relational_schema *s, const char *name)
{
    for (size_t i = 0; i < s->n_relationships; i++)
        if (s->relationships[i].name != NULL && strcmp(s->relationships[i].name, name) == 0)
            return true;
    return false;
}

/* "customer_id to sales.customers" */
static void complete_name(const struct dm_relational_schema *s, struct dm_relationship *r)
{
    if (r->name != NULL)
        return;
    char *columns = dm_xstrdup("");
    for (size_t i = 0; i < r->columns.n; i++) {
        char *longer = dm_xasprintf("%s%s%s", columns, i > 0 ? ", " : "", r->columns.items[i]);
        free(columns);
        columns = longer;
    }
    char *name = dm_xasprintf("%s to %s", columns, r->target);
    for (int n = 2; name_taken(s, name); n++) {
        free(name);
        name = dm_xasprintf("%s to %s (%d)", columns, r->target, n);
    }
    r->name = name;
    free(columns);
}

/* ---- mirrored datasets ---- */

static enum dm_status of_the_source(const struct dm_relational_schema *s,
                                    const struct dm_relational_schema *old, const char *what,
                                    struct dm_error *err)
{
    return dm_fail(err, DM_ERROR_CONFIG,
                   "leave it out: for a mirrored dataset, relationships, titles, descriptions and expire "
                   "with its timestamp can "
                   "be declared; the rest is the source's",
                   "%s%s%s is mirrored from source %s, which decides its %s", s->file != NULL ? s->file : "",
                   s->file != NULL ? ": " : "", s->name, old->origin, what);
}

static enum dm_status check_columns(const struct dm_relational_schema *s,
                                    const struct dm_relational_schema *old, struct dm_error *err)
{
    for (size_t i = 0; i < s->n_columns; i++) {
        int at = dm_relational_schema_find(old, s->columns[i].name);
        if (at < 0 || !dm_type_equal(old->columns[at].type, s->columns[i].type) ||
            s->columns[i].renamed_from != NULL || s->columns[i].allowed.n > 0)
            return of_the_source(s, old, "columns", err);
    }
    return DM_OK;
}

/* `expires`: an expiry may be set, since its timestamp is named. */
static bool same_settings(const struct dm_dataset_settings *a, bool expires)
{
    return a->history == DM_HISTORY_NONE && !a->ignore_null_updates && a->unavailable_value == NULL &&
           a->tombstone_retention_ms == 0 && (expires || a->expire == NULL) && a->max_quarantined == 0 &&
           a->max_quarantined_share <= 0;
}

/* The source has no role for a timestamp: it is named for the expiry alone. */
static enum dm_status check_expiry(const struct dm_relational_schema *s,
                                   const struct dm_relational_schema *old, struct dm_error *err)
{
    struct dm_period period;
    int at = dm_relational_schema_find(old, s->timestamp);
    enum dm_type_id id = at >= 0 ? (enum dm_type_id)old->columns[at].type.id : DM_BOOL;
    if (!dm_period_parse(s->settings.expire, &period))
        return dm_fail(err, DM_ERROR_CONFIG, "for example P3M (three months), P90D, P1Y, PT12H",
                       "%s: expire is \"%.60s\", which is not an ISO-8601 period", s->name,
                       s->settings.expire);
    if (id != DM_TIMESTAMP && id != DM_TIMESTAMPTZ && id != DM_TIMESTAMP_NS && id != DM_DATE)
        return dm_fail(err, DM_ERROR_CONFIG, "name a column of the table that is a date or a date-time",
                       "%s: expire cannot go by \"%.100s\", which is %s", s->name, s->timestamp,
                       at >= 0 ? "no time" : "no column of it");
    return DM_OK;
}

static void take_texts(const struct dm_relational_schema *old, struct dm_relational_schema *s)
{
    struct dm_relational_schema given = *s; /* its columns: titles given anew win */
    s->columns = NULL;
    s->n_columns = 0;
    for (size_t i = 0; i < old->n_columns; i++) {
        struct dm_relational_column *c =
            dm_relational_schema_add(s, old->columns[i].name, old->columns[i].type);
        dm_relational_column_assign(c, &old->columns[i]);
        int at = dm_relational_schema_find(&given, c->name);
        if (at >= 0 && given.columns[at].title != NULL) {
            free(c->title);
            c->title = dm_xstrdup(given.columns[at].title);
        }
        if (at >= 0 && given.columns[at].description != NULL) {
            free(c->description);
            c->description = dm_xstrdup(given.columns[at].description);
        }
    }
    dm_relational_schema_clear_columns(&given);
}

/* The source's part comes from the registry; discovered relationships stay, declared ones are those given now. */
static enum dm_status merge_mirrored(struct dm_relational_schema *s, const struct dm_relational_schema *old,
                                     struct dm_error *err)
{
    if (check_columns(s, old, err) != DM_OK)
        return DM_FAIL;
    if (s->key.n > 0 && !dm_names_equal(&s->key, &old->key))
        return of_the_source(s, old, "key", err);
    bool expires = s->settings.expire != NULL && s->timestamp != NULL;
    if (s->version != NULL || (s->timestamp != NULL && !expires) || s->behavior != DM_BEHAVIOR_RECORD)
        return of_the_source(s, old, "version: it is the position in the source's log", err);
    if (!same_settings(&s->settings, expires) || s->dropped.n > 0)
        return of_the_source(
            s, old, "treatment of changes: they are mirrored as they are (expire needs a timestamp)", err);
    if (expires && check_expiry(s, old, err) != DM_OK)
        return DM_FAIL;
    for (size_t i = 0; i < s->n_relationships; i++)
        if (s->relationships[i].enforced)
            return of_the_source(s, old, "rows: none can wait for another (on_orphan)", err);
    take_texts(old, s);
    for (size_t i = 0; i < old->key.n && s->key.n < old->key.n; i++)
        dm_names_add(&s->key, old->key.items[i]);
    free(s->origin);
    s->origin = dm_xstrdup(old->origin);
    s->source_id = old->source_id;
    for (size_t i = 0; i < old->n_relationships; i++) {
        const struct dm_relationship *r = &old->relationships[i];
        if (r->discovered && !name_taken(s, r->name))
            dm_relationship_assign(dm_relational_schema_relate(s, r->target), r);
    }
    return DM_OK;
}

/* ---- forms that cannot say all ---- */

static void keep_text(char **text, const char *old)
{
    if (*text == NULL)
        *text = dm_xstrdup(old);
}

static void keep_column_texts(struct dm_relational_schema *s, const struct dm_relational_schema *old)
{
    for (size_t i = 0; i < s->n_columns; i++) {
        struct dm_relational_column *c = &s->columns[i];
        int at = dm_relational_schema_find(old, c->renamed_from != NULL ? c->renamed_from : c->name);
        if (at < 0)
            continue;
        keep_text(&c->title, old->columns[at].title);
        keep_text(&c->description, old->columns[at].description);
        keep_text(&c->format, old->columns[at].format);
        if (c->min_length == 0 && c->type.id == DM_STRING)
            c->min_length = old->columns[at].min_length;
    }
}

/* A version or timestamp that is not said again is still one, and with that required. */
static void keep_role(struct dm_relational_schema *s, char **role, const char *old)
{
    int at = *role == NULL && old != NULL ? dm_relational_schema_find(s, old) : -1;
    if (at < 0)
        return;
    *role = dm_xstrdup(old);
    s->columns[at].required = true;
}

/* All relationships when none is said; else of those that are still there what the form has no words for. */
static void keep_relationships(struct dm_relational_schema *s, const struct dm_relational_schema *old)
{
    bool none = s->n_relationships == 0;
    for (size_t i = 0; i < old->n_relationships; i++) {
        const struct dm_relationship *r = &old->relationships[i];
        if (none)
            dm_relationship_assign(dm_relational_schema_relate(s, r->target), r);
        for (size_t k = 0; !none && k < s->n_relationships; k++) {
            struct dm_relationship *now = &s->relationships[k];
            if (!dm_names_equal(&now->columns, &r->columns) || strcmp(now->target, r->target) != 0)
                continue;
            now->enforced = now->enforced || r->enforced;
            now->cardinality = r->cardinality;
            keep_text(&now->name, r->name);
            keep_text(&now->forward_name, r->forward_name);
            keep_text(&now->backward_name, r->backward_name);
        }
    }
}

static void merge_partial(struct dm_relational_schema *s, const struct dm_relational_schema *old)
{
    keep_text(&s->title, old->title);
    keep_text(&s->description, old->description);
    keep_column_texts(s, old);
    for (size_t i = 0, given = s->key.n; given == 0 && i < old->key.n; i++)
        dm_names_add(&s->key, old->key.items[i]);
    keep_role(s, &s->version, old->version);
    keep_role(s, &s->timestamp, old->timestamp);
    if (s->timestamp != NULL)
        s->behavior = old->timestamp != NULL ? old->behavior : s->behavior;
    keep_relationships(s, old);
    free(s->settings.expire);
    s->settings = old->settings;
    s->settings.expire = dm_xstrdup(old->settings.expire);
    s->partial = false;
}

/* ---- all ---- */

static void take_ids(struct dm_relational_schema *s, const struct dm_relational_schema *old)
{
    s->id = old->id;
    s->key_id = old->key_id;
    s->version_id = old->version_id;
    s->timestamp_id = old->timestamp_id;
    s->created_us = old->created_us;
    s->updated_us = old->updated_us;
    for (size_t i = 0; i < s->n_relationships; i++)
        for (size_t k = 0; k < old->n_relationships; k++)
            if (s->relationships[i].name != NULL &&
                strcmp(s->relationships[i].name, old->relationships[k].name) == 0)
                s->relationships[i].id = old->relationships[k].id;
}

enum dm_status dm_schemas_resolve(struct dm_relational_schemas *wanted,
                                  const struct dm_relational_schemas *known, struct dm_error *err)
{
    for (size_t i = 0; i < wanted->n; i++)
        for (size_t k = 0; k < wanted->items[i]->n_relationships; k++)
            complete_target(wanted->items[i], &wanted->items[i]->relationships[k], wanted, known);
    for (size_t i = 0; i < wanted->n; i++) {
        struct dm_relational_schema *s = wanted->items[i];
        const struct dm_relational_schema *old =
            known != NULL ? dm_relational_schemas_find(known, s->name) : NULL;
        bool mirrored = old != NULL && !dm_relational_schema_is_declared(old);
        if (mirrored && merge_mirrored(s, old, err) != DM_OK)
            return DM_FAIL;
        if (!mirrored) { /* a body that was shown by another lake may say otherwise */
            free(s->origin);
            s->origin = dm_xstrdup(DM_ORIGIN_DECLARED);
        }
        if (!mirrored && old != NULL && s->partial)
            merge_partial(s, old);
    }
    for (size_t i = 0; i < wanted->n; i++) {
        struct dm_relational_schema *s = wanted->items[i];
        for (size_t k = 0; k < s->n_relationships; k++) {
            complete_target_columns(&s->relationships[k], wanted, known);
            complete_name(s, &s->relationships[k]);
        }
        const struct dm_relational_schema *old =
            known != NULL ? dm_relational_schemas_find(known, s->name) : NULL;
        if (old != NULL)
            take_ids(s, old);
    }
    return DM_OK;
}
