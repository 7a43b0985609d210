#include "mirror/damage.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/memory.h"

static bool is(const struct dm_dataset_state *d, const char *state)
{
    return strcmp(d->state, state) == 0;
}

static void set(char **text, char *take_value)
{
    free(*text);
    *text = take_value;
}

static enum dm_status stop(struct dm_mirror *m, struct dm_dataset_state *d, const char *what,
                           struct dm_error *err)
{
    const bool mirrored = d->source[0] != '\0';
    set(&d->state, dm_xstrdup("stopped"));
    set(&d->reason,
        mirrored
            ? dm_xasprintf("%s; restore the file from a backup and copy the dataset anew, or only copy it "
                           "anew: datamirror resync %s.%s",
                           what, d->namespace, d->name)
            : dm_xasprintf("%s; restore the file from a backup and start again; without one: datamirror "
                           "schema drop %s.%s, declare it again, and take its files in again",
                           what, d->namespace, d->name));
    dm_log(DM_LOG_ERROR, "%s.%s stopped: %s", d->namespace, d->name, d->reason);
    return dm_state_put_dataset(dm_lake_sqlite(m->lake), d, err);
}

/* A declared dataset has lost nothing when the file is there again: nothing was taken in meanwhile. */
static enum dm_status go_on(struct dm_mirror *m, struct dm_dataset_state *d, struct dm_error *err)
{
    set(&d->state, dm_xstrdup("declared"));
    set(&d->reason, NULL);
    dm_log(DM_LOG_INFO, "%s.%s: its files are there again", d->namespace, d->name);
    return dm_state_put_dataset(dm_lake_sqlite(m->lake), d, err);
}

/* What is kept beside the dataset, too. */
static enum dm_status look_at(struct dm_mirror *m, const struct dm_dataset_state *d, size_t *looks,
                              char **what, struct dm_error *err)
{
    static const char *const tails[] = {"", "__history", "__tombstones"};
    enum dm_status status = DM_OK;
    for (size_t i = 0; i < sizeof tails / sizeof *tails && status == DM_OK && *what == NULL; i++) {
        char *name = dm_xasprintf("%s%s", d->name, tails[i]);
        status = dm_lake_look(m->lake, d->namespace, name, looks, what, err);
        free(name);
    }
    return status;
}

enum dm_status dm_damage_look(struct dm_mirror *m, enum dm_damage_of of, struct dm_error *err)
{
    struct dm_dataset_states all = {0};
    size_t looks = DM_DAMAGE_LOOKS;
    enum dm_status status = dm_state_datasets(dm_lake_sqlite(m->lake), NULL, &all, err);
    for (size_t i = 0; i < all.n && status == DM_OK; i++) {
        struct dm_dataset_state *d = &all.items[i];
        char *what = NULL;
        bool stopped = is(d, "stopped");
        bool mirrored = d->source[0] != '\0';
        if (mirrored != (of == DM_DAMAGE_MIRRORED) || is(d, "waiting") || is(d, "copying")) /* comes anew */
            continue;
        status = look_at(m, d, &looks, &what, err);
        if (status == DM_OK && what != NULL && !stopped)
            status = stop(m, d, what, err);
        else if (status == DM_OK && what == NULL && stopped && !mirrored)
            status = go_on(m, d, err);
        free(what);
    }
    dm_dataset_states_release(&all);
    return status;
}
