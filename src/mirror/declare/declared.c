#include "mirror/declare/declared.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "config/nearest_word.h"
#include "mirror/commit/history_begin.h"
#include "mirror/index/index_rebuild.h"

static bool declared(const struct dm_relational_schema *s)
{
    return strcmp(s->origin != NULL ? s->origin : "declared", "declared") == 0;
}

/* Says what there is instead. */
static enum dm_status unknown(struct dm_mirror *m, const char *name, struct dm_error *err)
{
    struct dm_relational_schemas all = {0};
    if (dm_registry_list(dm_lake_sqlite(m->lake), &all, err) != DM_OK)
        return DM_FAIL;
    const char **names = dm_xzalloc(all.n + 1, sizeof *names);
    size_t n = 0;
    for (size_t i = 0; i < all.n; i++)
        if (declared(all.items[i]))
            names[n++] = all.items[i]->name;
    const char *near = dm_nearest_word(name, names, n);
    (void)dm_fail(err, DM_ERROR_CONFIG,
                  "`datamirror schema list` shows what there is; `datamirror schema apply FILE` declares one",
                  near != NULL ? "there is no declared dataset %s; did you mean %s?"
                               : "there is no declared dataset %s",
                  name, near);
    free(names);
    dm_relational_schemas_release(&all);
    return DM_FAIL;
}

static enum dm_status read_state(struct dm_mirror *m, const char *name, struct dm_target *t,
                                 struct dm_error *err)
{
    char *namespace = NULL, *table = NULL;
    dm_relational_schema_split(name, &namespace, &table);
    struct dm_dataset_states states = {0};
    enum dm_status status = dm_state_datasets(dm_lake_sqlite(m->lake), "", &states, err);
    bool found = false;
    for (size_t i = 0; i < states.n && !found; i++) {
        struct dm_dataset_state *d = &states.items[i];
        if (strcmp(d->namespace, namespace) != 0 || strcmp(d->name, table) != 0)
            continue;
        t->state = *d;
        *d = (struct dm_dataset_state){0}; /* moved */
        found = true;
    }
    dm_dataset_states_release(&states);
    free(namespace);
    free(table);
    if (status == DM_OK && !found)
        status = dm_fail(err, DM_ERROR_FATAL, "apply its schema again: datamirror schema apply FILE",
                         "%s is in the registry, but its dataset is not in the catalog", name);
    return status;
}

static enum dm_status read_dataset(struct dm_mirror *m, struct dm_target *t, struct dm_error *err)
{
    const struct dm_dataset *d = NULL;
    if (dm_lake_dataset(m->lake, t->state.namespace, t->state.name, &d, err) != DM_OK)
        return DM_FAIL;
    if (d == NULL)
        return dm_fail(err, DM_ERROR_FATAL, "apply its schema again: datamirror schema apply FILE",
                       "%s.%s is declared, but the lake has no such dataset", t->state.namespace,
                       t->state.name);
    t->schema = dm_schema_ref(d->schema);
    t->last_column_id = d->last_column_id;
    t->copied_at = t->state.copied_at;
    t->phase = DM_PHASE_STREAMING;
    return DM_OK;
}

/* Takes the schema. */
static enum dm_status read_rules(struct dm_target *t, struct dm_relational_schema *take, struct dm_error *err)
{
    struct dm_dataset_rules *rules = dm_xzalloc(1, sizeof *rules);
    t->rules = rules;
    rules->schema = take;
    rules->version_field = take->version != NULL ? dm_schema_find(t->schema, take->version) : -1;
    rules->timestamp_field = take->timestamp != NULL ? dm_schema_find(t->schema, take->timestamp) : -1;
    t->history = take->settings.history != DM_HISTORY_NONE;
    if (rules->version_field < 0)
        return dm_fail(err, DM_ERROR_FATAL, NULL, "%s: the dataset has no version column %s", take->name,
                       take->version != NULL ? take->version : "(none declared)");
    return DM_OK;
}

enum dm_status dm_declared_target(struct dm_mirror *m, const char *name, struct dm_target **out,
                                  struct dm_error *err)
{
    struct dm_relational_schema *s = NULL;
    char *full = dm_declared_name(name);
    enum dm_status status = dm_registry_get(dm_lake_sqlite(m->lake), full, &s, err);
    struct dm_target *t = dm_target_new();
    if (status == DM_OK && s == NULL) {
        status = unknown(m, full, err);
    } else if (status == DM_OK && !declared(s)) {
        status = dm_fail(err, DM_ERROR_CONFIG, "change the rows there, or declare a dataset of another name",
                         "%s is mirrored from source %s, its changes come from there only", full, s->origin);
    } else if (status == DM_OK && !dm_relational_schema_is_complete(s)) {
        status = dm_relational_schema_incomplete(s, err);
    }
    if (status == DM_OK)
        status = read_state(m, full, t, err);
    if (status == DM_OK && strcmp(t->state.state, "stopped") == 0)
        status = dm_fail(err, DM_ERROR_DATA, NULL, "%s is stopped: %s", full, t->state.reason);
    if (status == DM_OK)
        status = read_dataset(m, t, err);
    if (status == DM_OK) {
        status = read_rules(t, s, err);
        s = NULL;
    }
    dm_relational_schema_free(s);
    free(full);
    if (status != DM_OK) {
        dm_target_free(t);
        return status;
    }
    *out = t;
    return DM_OK;
}

enum dm_status dm_declared_exists(struct dm_mirror *m, const char *name, bool *out, struct dm_error *err)
{
    struct dm_relational_schema *s = NULL;
    char *full = dm_declared_name(name);
    enum dm_status status = dm_registry_get(dm_lake_sqlite(m->lake), full, &s, err);
    *out = s != NULL && declared(s);
    dm_relational_schema_free(s);
    free(full);
    return status;
}

enum dm_status dm_declared_catch_up(struct dm_mirror *m, struct dm_error *err)
{
    struct dm_relational_schemas all = {0};
    if (dm_registry_list(dm_lake_sqlite(m->lake), &all, err) != DM_OK)
        return DM_FAIL;
    enum dm_status status = DM_OK;
    for (size_t i = 0; i < all.n && status == DM_OK; i++) {
        struct dm_target *t = NULL;
        if (!declared(all.items[i]) || !dm_relational_schema_is_complete(all.items[i]))
            continue;
        status = dm_declared_target(m, all.items[i]->name, &t, err);
        if (status == DM_OK)
            status = dm_index_catch_up(m, &t, 1, err) == DM_OK ? dm_history_catch_up(m, t, err) : DM_FAIL;
        else if (err->class == DM_ERROR_DATA) /* stopped: it was said when the lake was opened */
            status = DM_OK;
        dm_target_free(t);
    }
    dm_relational_schemas_release(&all);
    return status;
}
