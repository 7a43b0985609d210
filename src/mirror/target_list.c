#include "mirror/target_list.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/memory.h"
#include "mirror/dataset_match.h"
#include "mirror/target_basis.h"
#include "registry/registry.h"

static bool state_is(const struct dm_target *t, const char *state)
{
    return strcmp(t->state.state, state) == 0;
}

static enum dm_status load_schema(struct dm_target_list *list, struct dm_target *t, struct dm_error *err)
{
    const struct dm_dataset *d = NULL;
    enum dm_status status = dm_lake_dataset(list->mirror->lake, t->state.namespace, t->state.name, &d, err);
    if (status == DM_OK && d != NULL) {
        t->schema = dm_schema_ref(d->schema);
        t->last_column_id = d->last_column_id;
    }
    /* One that was stopped because its files are damaged (damage.h), or that comes anew: there is nothing to read. */
    bool beside = t->phase == DM_PHASE_STOPPED || t->phase == DM_PHASE_WAITING;
    return status != DM_OK && beside && err->class != DM_ERROR_TRANSIENT ? DM_OK : status;
}

static void read_settings(struct dm_target_list *list, struct dm_target *t)
{
    const struct dm_table_config *tc =
        dm_config_table(list->config, t->state.source_schema, t->state.source_table);
    t->history = tc != NULL && tc->history >= 0 ? tc->history != 0 : list->config->history;
}

static void add(struct dm_target_list *list, struct dm_target *t)
{
    list->items = dm_xrealloc(list->items, list->n + 1, sizeof(struct dm_target *));
    list->registered = dm_xrealloc(list->registered, list->n + 1, sizeof *list->registered);
    list->registered[list->n] = 0;
    list->items[list->n++] = t;
}

enum dm_status dm_target_list_load(struct dm_target_list *list, struct dm_error *err)
{
    struct dm_dataset_states states;
    if (dm_state_datasets(dm_lake_sqlite(list->mirror->lake), list->config->name, &states, err) != DM_OK)
        return DM_FAIL;
    enum dm_status status = DM_OK;
    for (size_t i = 0; i < states.n && status == DM_OK; i++) {
        struct dm_target *t = dm_target_new();
        t->state = states.items[i];
        states.items[i] = (struct dm_dataset_state){0}; /* moved */
        add(list, t);
        t->copied_at = t->state.copied_at;
        bool live = state_is(t, "streaming") || state_is(t, "append-only");
        t->phase = live                                               ? DM_PHASE_STREAMING
                   : state_is(t, "waiting") || state_is(t, "copying") ? DM_PHASE_WAITING
                                                                      : DM_PHASE_STOPPED;
        read_settings(list, t);
        status = load_schema(list, t, err);
        if (status == DM_OK)
            status = dm_target_basis_load(list->mirror, t, err);
    }
    dm_dataset_states_release(&states);
    return status;
}

void dm_target_list_release(struct dm_target_list *list)
{
    for (size_t i = 0; i < list->n; i++)
        dm_target_free(list->items[i]);
    free(list->items);
    free(list->registered);
    list->items = NULL;
    list->registered = NULL;
    list->n = 0;
}

struct dm_target *dm_target_list_find(const struct dm_target_list *list, const struct dm_table *table)
{
    for (size_t i = 0; i < list->n; i++)
        if (dm_dataset_is_of(&list->items[i]->state, table))
            return list->items[i];
    return NULL;
}

struct dm_target *dm_target_list_named(const struct dm_target_list *list, const char *dataset)
{
    for (size_t i = 0; i < list->n; i++)
        if (dm_dataset_is_named(&list->items[i]->state, dataset))
            return list->items[i];
    return NULL;
}

static void set_text(char **text, const char *value)
{
    char *copy = dm_xstrdup(value);
    free(*text);
    *text = copy;
}

static enum dm_status store(struct dm_target_list *list, struct dm_target *t, struct dm_error *err)
{
    return dm_state_put_dataset(dm_lake_sqlite(list->mirror->lake), &t->state, err);
}

/* A dataset of the name whose table was dropped: the new table of that name takes it over, with a fresh copy. */
static struct dm_target *find_by_dataset_name(struct dm_target_list *list, const char *namespace,
                                              const char *name)
{
    for (size_t i = 0; i < list->n; i++)
        if (strcmp(list->items[i]->state.namespace, namespace) == 0 &&
            strcmp(list->items[i]->state.name, name) == 0)
            return list->items[i];
    return NULL;
}

/* A name that another table's dataset has already, made from a name that is kept: one more ending tells them apart. */
static struct dm_target *find_owner(struct dm_target_list *list, struct dm_dataset_wanted *w,
                                    const struct dm_table *table)
{
    struct dm_target *t = NULL;
    while ((t = find_by_dataset_name(list, w->namespace, w->name)) != NULL && !state_is(t, "dropped") &&
           strcmp(t->state.source_table, table->name) != 0) {
        char *longer = dm_xasprintf("%s_table", w->name);
        free(w->name);
        w->name = longer;
    }
    return t;
}

static struct dm_target *adopt(struct dm_target_list *list, const struct dm_table *table)
{
    struct dm_dataset_wanted w = dm_dataset_name_of(list->config->name, table->schema, table->name);
    bool kept = strcmp(w.name, table->name) != 0;
    struct dm_target *t =
        kept ? find_owner(list, &w, table) : find_by_dataset_name(list, w.namespace, w.name);
    if (t == NULL) {
        t = dm_target_new();
        t->state.source = dm_xstrdup(list->config->name);
        t->state.namespace = dm_xstrdup(w.namespace);
        t->state.name = dm_xstrdup(w.name);
        add(list, t);
    }
    if (kept)
        dm_log(DM_LOG_WARN,
               "the table %s is mirrored as %s.%s: names that end in __history or __tombstones are kept for "
               "what belongs to a dataset",
               table->name, w.namespace, w.name);
    dm_dataset_wanted_release(&w);
    set_text(&t->state.source_schema, table->schema);
    set_text(&t->state.source_table, table->name);
    t->state.source_id = table->id;
    read_settings(list, t);
    return t;
}

static enum dm_status refuse(struct dm_target_list *list, struct dm_target *t, const struct dm_table *table,
                             struct dm_error *err)
{
    char *reason = dm_xasprintf("%s%s%s", table->problem, table->hint != NULL ? "; " : "",
                                table->hint != NULL ? table->hint : "");
    bool news = t->state.reason == NULL || strcmp(t->state.reason, reason) != 0;
    t->phase = DM_PHASE_STOPPED;
    set_text(&t->state.state, "refused");
    set_text(&t->state.reason, reason);
    if (news)
        dm_log(DM_LOG_WARN, "%s.%s is not mirrored: %s", t->state.namespace, t->state.name, reason);
    free(reason);
    return news ? store(list, t, err) : DM_OK;
}

static enum dm_status update_one(struct dm_target_list *list, const struct dm_table *table, bool *changed,
                                 struct dm_error *err)
{
    struct dm_target *t = dm_target_list_find(list, table);
    bool known = t != NULL;
    if (!known)
        t = adopt(list, table);
    if (table->problem != NULL)
        return refuse(list, t, table, err);
    dm_table_free(t->table);
    t->table = dm_table_copy(table);
    if (known && t->phase == DM_PHASE_STREAMING && t->state.source_id == 0 && table->id != 0) {
        t->state.source_id = table->id; /* of a lake that was made before ids were taken over from copies */
        if (store(list, t, err) != DM_OK)
            return DM_FAIL;
    }
    if (known && !state_is(t, "refused") && !state_is(t, "dropped")) {
        struct dm_basis_moment now = {list->mirror, list->config, list->committed, list->source_end,
                                      list->compared};
        bool copy = false;
        enum dm_status status = dm_target_basis_compare(&now, t, table, &copy, err);
        *changed = *changed || copy;
        return status;
    }
    *changed = true;
    t->phase = DM_PHASE_WAITING;
    t->state.append_only = table->append_only || table->columns->n_keys == 0;
    t->state.copied_at = 0;
    t->copied_at = 0;
    set_text(&t->state.state, "waiting");
    set_text(&t->state.reason, NULL);
    return store(list, t, err);
}

/* ---- the registry of relational schemas follows ---- */

struct registering {
    const struct dm_target_list *list;
    const struct dm_table_list *tables;
};

/* The dataset that a foreign key's target is mirrored into. */
static char *dataset_of(void *ctx, const char *schema, const char *table)
{
    const struct registering *r = ctx;
    for (size_t i = 0; i < r->tables->n; i++) {
        const struct dm_table *other = r->tables->tables[i];
        if (strcmp(other->name, table) != 0 || strcmp(other->schema, schema) != 0 || other->problem != NULL)
            continue;
        const struct dm_target *t = dm_target_list_find(r->list, other);
        return t != NULL ? dm_xasprintf("%s.%s", t->state.namespace, t->state.name) : NULL;
    }
    return NULL;
}

static void hash_bytes(uint64_t *hash, const void *bytes, size_t n)
{
    for (size_t i = 0; i < n; i++)
        *hash = (*hash ^ ((const uint8_t *)bytes)[i]) * UINT64_C(1099511628211);
}

static void hash_text(uint64_t *hash, const char *text)
{
    hash_bytes(hash, text != NULL ? text : "", text != NULL ? strlen(text) + 1 : 1);
}

/* Of all that the registry takes from a table, so that a round in which nothing changed costs next to nothing. Never 0. */
static uint64_t hash_definition(const char *dataset, const struct dm_table *table, struct registering *r)
{
    uint64_t hash = UINT64_C(14695981039346656037);
    hash_text(&hash, dataset);
    hash_bytes(&hash, &table->id, sizeof table->id);
    hash_bytes(&hash, &table->append_only, sizeof table->append_only);
    for (size_t i = 0; i < table->columns->n_fields; i++) {
        const struct dm_field *f = &table->columns->fields[i];
        hash_text(&hash, f->name);
        hash_bytes(&hash, &f->type, sizeof f->type);
        hash_bytes(&hash, &f->required, sizeof f->required);
    }
    hash_bytes(&hash, table->columns->keys, table->columns->n_keys * sizeof *table->columns->keys);
    for (size_t i = 0; i < table->n_foreign_keys; i++) {
        const struct dm_foreign_key *fk = &table->foreign_keys[i];
        char *target = dataset_of(r, fk->target_schema, fk->target_table);
        hash_text(&hash, fk->name);
        hash_text(&hash, target);
        hash_bytes(&hash, &fk->mandatory, sizeof fk->mandatory);
        hash_bytes(&hash, &fk->unique, sizeof fk->unique);
        for (size_t k = 0; k < fk->n_columns; k++) {
            hash_text(&hash, fk->columns[k]);
            hash_text(&hash, fk->target_columns != NULL ? fk->target_columns[k] : NULL);
        }
        free(target);
    }
    return hash != 0 ? hash : 1;
}

/* The target's number in the list. */
static size_t index_of(const struct dm_target_list *list, const struct dm_target *t)
{
    size_t i = 0;
    while (list->items[i] != t)
        i++;
    return i;
}

/* A table whose entry is refused is mirrored all the same: the registry describes, it does not decide. */
static enum dm_status register_one(struct dm_target_list *list, const struct dm_table_list *tables,
                                   const struct dm_table *table, struct dm_error *err)
{
    struct dm_target *t = table->problem == NULL ? dm_target_list_find(list, table) : NULL;
    if (t == NULL)
        return DM_OK;
    struct registering r = {list, tables};
    struct dm_error why = {0};
    char *name = dm_xasprintf("%s.%s", t->state.namespace, t->state.name);
    uint64_t *registered = &list->registered[index_of(list, t)];
    uint64_t hash = hash_definition(name, table, &r);
    enum dm_status status = DM_OK;
    if (hash != *registered)
        status = dm_registry_put_table(dm_lake_sqlite(list->mirror->lake), list->config->name, name, table,
                                       dataset_of, &r, &why);
    free(name);
    if (status == DM_OK || (why.class != DM_ERROR_TRANSIENT && why.class != DM_ERROR_FATAL))
        *registered = hash; /* what is refused is said once */
    if (status == DM_OK)
        return DM_OK;
    if (why.class == DM_ERROR_TRANSIENT || why.class == DM_ERROR_FATAL) {
        *err = why;
        return status;
    }
    dm_log(DM_LOG_WARN, "%s%s%s", why.message, why.hint[0] != '\0' ? "; " : "", why.hint);
    return DM_OK;
}

/* One transaction where many entries may change; in most rounds none does, and nothing is locked. */
static enum dm_status register_tables(struct dm_target_list *list, const struct dm_table_list *tables,
                                      bool many, struct dm_error *err)
{
    struct sqlite3 *db = dm_lake_sqlite(list->mirror->lake);
    bool own = false;
    enum dm_status status = DM_OK;
    if (many && dm_registry_begin(db, &own, err) != DM_OK)
        return DM_FAIL;
    for (size_t i = 0; i < tables->n && status == DM_OK; i++)
        status = register_one(list, tables, tables->tables[i], err);
    return many ? dm_registry_end(db, own, status, err) : status;
}

/* A table that was refused or stopped, and that the source no longer has or the configuration no longer names: nothing is expected of it any more. Without
 * rows in the lake there is nothing left to tell of it. (What streams is followed to its end by the collector.) */
static enum dm_status let_go(struct dm_target_list *list, struct dm_target *t, struct dm_error *err)
{
    bool has_rows = t->schema != NULL;
    if (!has_rows && dm_state_remove_dataset(dm_lake_sqlite(list->mirror->lake), t->state.id, err) != DM_OK)
        return DM_FAIL;
    set_text(&t->state.state, "dropped");
    set_text(&t->state.reason,
             "the table is not in the source any more, or not selected; the dataset keeps its last state");
    if (has_rows)
        return store(list, t, err);
    t->state.id = 0; /* a new one when it comes back */
    return DM_OK;
}

static enum dm_status let_go_of_absent(struct dm_target_list *list, const struct dm_table_list *tables,
                                       struct dm_error *err)
{
    for (size_t i = 0; i < list->n; i++) {
        struct dm_target *t = list->items[i];
        if (t->phase == DM_PHASE_STOPPED && (state_is(t, "refused") || state_is(t, "stopped")) &&
            dm_dataset_table(&t->state, tables) == NULL && let_go(list, t, err) != DM_OK)
            return DM_FAIL;
    }
    return DM_OK;
}

enum dm_status dm_target_list_update(struct dm_target_list *list, const struct dm_table_list *tables,
                                     bool *changed, struct dm_error *err)
{
    *changed = false;
    for (size_t i = 0; i < tables->n; i++)
        if (update_one(list, tables->tables[i], changed, err) != DM_OK)
            return DM_FAIL;
    enum dm_status status = let_go_of_absent(list, tables, err);
    if (status == DM_OK)
        status = register_tables(list, tables, *changed || !list->compared, err);
    list->compared = true;
    return status;
}
