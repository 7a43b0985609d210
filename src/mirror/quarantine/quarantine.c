#include "mirror/quarantine/quarantine.h"

#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "config/nearest_word.h"
#include "mirror/dataset_match.h"
#include "mirror/relationship/orphan.h"
#include "registry/relational_schema.h"

static enum dm_status unknown(const struct dm_dataset_states *all, const char *name, struct dm_error *err)
{
    char **names = dm_xzalloc(all->n + 1, sizeof *names);
    for (size_t i = 0; i < all->n; i++)
        names[i] = dm_xasprintf("%s.%s", all->items[i].namespace, all->items[i].name);
    const char *near = dm_nearest_word(name, (const char *const *)(void *)names, all->n);
    (void)dm_fail(err, DM_ERROR_CONFIG, "datamirror status lists them", "there is no dataset \"%s\"%s%s%s",
                  name, near != NULL ? "; did you mean \"" : "", near != NULL ? near : "",
                  near != NULL ? "\"?" : "");
    for (size_t i = 0; i < all->n; i++)
        free(names[i]);
    free(names);
    return DM_FAIL;
}

enum dm_status dm_quarantine_dataset(sqlite3 *db, const char *name, struct dm_dataset_state *out,
                                     struct dm_error *err)
{
    struct dm_dataset_states all;
    if (dm_state_datasets(db, NULL, &all, err) != DM_OK)
        return DM_FAIL;
    char *namespace, *table;
    dm_relational_schema_split(name, &namespace, &table);
    char *full = dm_xasprintf("%s.%s", namespace, table);
    enum dm_status status = DM_FAIL;
    for (size_t i = 0; i < all.n && status != DM_OK; i++) {
        if (!dm_dataset_is_named(&all.items[i], full))
            continue;
        *out = all.items[i];
        all.items[i] = (struct dm_dataset_state){0}; /* moved */
        status = DM_OK;
    }
    if (status != DM_OK)
        status = unknown(&all, name, err);
    dm_dataset_states_release(&all);
    free(namespace);
    free(table);
    free(full);
    return status;
}

/* ---- orders ---- */

/* {"ids": […]}, {"reason": …}; ids are owned by the caller. */
static enum dm_status read_choice(const json_t *order, struct dm_quarantine_choice *choice, int64_t **ids,
                                  struct dm_error *err)
{
    const json_t *list = json_object_get(order, "ids");
    *ids = NULL;
    choice->reason = json_string_value(json_object_get(order, "reason"));
    if (list == NULL)
        return DM_OK;
    size_t n = json_array_size(list);
    if (n == 0)
        return dm_fail(err, DM_ERROR_CONFIG, NULL, "the order names no rows");
    *ids = dm_xzalloc(n, sizeof **ids);
    for (size_t i = 0; i < n; i++)
        (*ids)[i] = json_integer_value(json_array_get(list, i));
    choice->ids = *ids;
    choice->n_ids = n;
    return DM_OK;
}

/* Finds the dataset of the order. Lake mutex not held. */
static enum dm_status find_dataset(struct dm_mirror *m, const json_t *order, struct dm_dataset_state *out,
                                   struct dm_error *err)
{
    const char *name = json_string_value(json_object_get(order, "dataset"));
    if (name == NULL)
        return dm_fail(err, DM_ERROR_CONFIG, NULL, "the order names no dataset");
    (void)pthread_mutex_lock(&m->lake_mutex);
    enum dm_status status = dm_quarantine_dataset(dm_lake_sqlite(m->lake), name, out, err);
    (void)pthread_mutex_unlock(&m->lake_mutex);
    return status;
}

static enum dm_status discard(struct dm_mirror *m, const json_t *order, const struct dm_order_hooks *hooks,
                              json_t **result, struct dm_error *err)
{
    (void)hooks;
    struct dm_dataset_state dataset = {0};
    struct dm_quarantine_choice choice = {0};
    int64_t *ids = NULL;
    uint64_t n = 0;
    enum dm_status status = read_choice(order, &choice, &ids, err);
    if (status == DM_OK)
        status = find_dataset(m, order, &dataset, err);
    if (status == DM_OK) {
        choice.dataset = dataset.id;
        (void)pthread_mutex_lock(&m->lake_mutex);
        status = dm_quarantine_remove(dm_lake_sqlite(m->lake), &choice, &n, err);
        (void)pthread_mutex_unlock(&m->lake_mutex);
    }
    if (status == DM_OK)
        *result = json_pack("{s:I}", "discarded", (json_int_t)n);
    dm_dataset_state_release(&dataset);
    free(ids);
    return status;
}

static enum dm_status replay(struct dm_mirror *m, const json_t *order, const struct dm_order_hooks *hooks,
                             json_t **result, struct dm_error *err)
{
    struct dm_dataset_state dataset = {0};
    struct dm_replay_part part = {.dataset = &dataset};
    int64_t *ids = NULL;
    enum dm_status status = read_choice(order, &part.choice, &ids, err);
    if (status == DM_OK)
        status = find_dataset(m, order, &dataset, err);
    part.choice.dataset = dataset.id;
    char *origin = dm_quarantine_origin();
    if (status == DM_OK)
        status = dm_quarantine_replay(m, &part, 1, origin, hooks, err);
    free(origin);
    if (status == DM_OK && part.error.class != DM_ERROR_NONE) {
        *err = part.error;
        status = DM_FAIL;
    }
    if (status == DM_OK) /* parents may have been among them */
        status = dm_orphans_release(m, err);
    const struct dm_replay_result done = part.result;
    if (status == DM_OK)
        *result = json_pack("{s:I, s:I, s:I, s:I, s:I}", "replayed", (json_int_t)done.replayed, "applied",
                            (json_int_t)done.applied, "stale", (json_int_t)done.stale, "stayed",
                            (json_int_t)done.stayed, "cut", (json_int_t)done.cut);
    dm_dataset_state_release(&dataset);
    free(ids);
    return status;
}

const struct dm_order_kind dm_order_quarantine_discard = {.name = "quarantine_discard", .run = discard};
const struct dm_order_kind dm_order_quarantine_replay = {.name = "quarantine_replay", .run = replay};
