#include "mirror/declare/declare_beside.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "mirror/commit/history.h"
#include "mirror/commit/history_begin.h"
#include "mirror/commit/tombstones.h"

static bool changes_kind(const struct dm_schema_changes *changes, enum dm_change_kind kind)
{
    for (size_t i = 0; i < changes->n; i++)
        if (changes->items[i].kind == kind)
            return true;
    return false;
}

/* The same columns, in any order? */
static bool same_key(const struct dm_schema *a, const struct dm_schema *b)
{
    size_t same = 0;
    for (size_t i = 0; i < a->n_keys; i++)
        for (size_t k = 0; k < b->n_keys; k++)
            same += a->fields[a->keys[i]].id == b->fields[b->keys[k]].id;
    return a->n_keys == b->n_keys && same == a->n_keys;
}

static void say(struct dm_beside_plan *plan, char *take_text)
{
    dm_names_add(&plan->said, take_text);
    free(take_text);
}

static enum dm_status plan_tombstones(struct dm_mirror *m, const struct dm_target *t,
                                      const struct dm_schema *columns, int version,
                                      struct dm_beside_plan *plan, struct dm_error *err)
{
    const struct dm_dataset *d = NULL;
    if (dm_tombstones_dataset(m, t, &d, err) != DM_OK)
        return DM_FAIL;
    if (d == NULL)
        plan->forget = false;
    else if (plan->forget)
        say(plan, dm_xasprintf("the remembered deletions are forgotten, since they were by the old key and "
                               "version"));
    else
        plan->tombstones = dm_tombstones_schema(columns, version);
    return DM_OK;
}

static enum dm_status plan_history(struct dm_mirror *m, const struct dm_target *t,
                                   const struct dm_schema *columns, int version, enum dm_history_mode mode,
                                   bool other_version, struct dm_beside_plan *plan, struct dm_error *err)
{
    const struct dm_dataset *d = NULL;
    enum dm_history_mode before = t->rules->schema->settings.history;
    if (mode == DM_HISTORY_NONE)
        return DM_OK;
    char *name = dm_history_name(t);
    enum dm_status status = dm_lake_dataset(m->lake, t->state.namespace, name, &d, err);
    struct dm_schema *wanted = dm_history_wanted(mode, columns, version);
    bool goes_on = before == mode && !other_version &&
                   (d == NULL || (d->schema->n_keys > 0 ? same_key(d->schema, wanted)
                                                        : dm_history_goes_on(d->schema, wanted)));
    plan->begins = !goes_on;
    plan->archive = status == DM_OK && !goes_on && d != NULL;
    char *archive = plan->archive ? dm_history_archive_name(d) : NULL;
    if (archive != NULL)
        say(plan,
            dm_xasprintf("the history so far is kept as %s.%s; another one begins with the rows as they "
                         "are now",
                         t->state.namespace, archive));
    free(archive);
    if (goes_on && d != NULL)
        plan->history = wanted;
    else
        dm_schema_unref(wanted);
    free(name);
    return status;
}

enum dm_status dm_beside_plan_make(struct dm_mirror *m, const struct dm_target *t,
                                   const struct dm_schema *columns, const struct dm_relational_schema *schema,
                                   const struct dm_schema_changes *changes, struct dm_beside_plan *out,
                                   struct dm_error *err)
{
    *out = (struct dm_beside_plan){0};
    const struct dm_schema *now = columns != NULL ? columns : t->schema;
    int version = dm_schema_find(now, schema->version);
    if (version < 0)
        return dm_fail(err, DM_ERROR_FATAL, NULL, "%s: no version column %s", schema->name, schema->version);
    bool other_version = changes_kind(changes, DM_CHANGE_VERSION);
    out->forget = other_version || !same_key(t->schema, now);
    if (plan_tombstones(m, t, now, version, out, err) != DM_OK)
        return DM_FAIL;
    return plan_history(m, t, now, version, schema->settings.history, other_version, out, err);
}

enum dm_status dm_beside_plan_stage(struct dm_mirror *m, struct dm_commit *commit, const struct dm_target *t,
                                    const struct dm_beside_plan *plan, struct dm_error *err)
{
    const struct dm_dataset *history = NULL;
    char *tombstones_name = dm_tombstones_name(t), *name = dm_history_name(t);
    const char *namespace = t->state.namespace;
    enum dm_status status = DM_OK;
    if (plan->forget)
        status = dm_commit_drop(commit, namespace, tombstones_name, err);
    else if (plan->tombstones != NULL)
        status = dm_commit_set_schema(commit, namespace, tombstones_name, plan->tombstones, err);
    if (status == DM_OK && plan->archive)
        status = dm_lake_dataset(m->lake, namespace, name, &history, err);
    if (status == DM_OK && history != NULL)
        status = dm_history_archive(commit, history, err);
    else if (status == DM_OK && plan->history != NULL)
        status = dm_commit_set_schema(commit, namespace, name, plan->history, err);
    free(tombstones_name);
    free(name);
    return status;
}

void dm_beside_plan_release(struct dm_beside_plan *plan)
{
    dm_names_release(&plan->said);
    dm_schema_unref(plan->tombstones);
    dm_schema_unref(plan->history);
    *plan = (struct dm_beside_plan){0};
}
