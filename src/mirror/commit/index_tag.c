#include "mirror/commit/index_tag.h"

#include <stdlib.h>

#include "mirror/commit/history.h"
#include "mirror/commit/interval_history.h"
#include "mirror/commit/tombstones.h"

static enum dm_status tag(struct dm_mirror *m, struct dm_commit *commit, const struct dm_target *t,
                          const char *name, uint32_t number, struct dm_error *err)
{
    int64_t snapshot = dm_commit_snapshot(commit, t->state.namespace, name);
    return snapshot == 0 ? DM_OK : dm_keyindex_tag_set(m->index, number, snapshot, err);
}

enum dm_status dm_index_tag_commit(struct dm_mirror *m, struct dm_commit *commit, const struct dm_target *t,
                                   struct dm_error *err)
{
    if (t->state.append_only)
        return DM_OK;
    enum dm_status status = tag(m, commit, t, t->state.name, t->state.id, err);
    if (status == DM_OK && t->rules != NULL) {
        char *name = dm_tombstones_name(t);
        status = tag(m, commit, t, name, t->state.id | DM_INDEX_TOMBSTONES, err);
        free(name);
    }
    if (status == DM_OK && dm_interval_history_kept(t)) {
        char *name = dm_history_name(t);
        status = tag(m, commit, t, name, t->state.id | DM_INDEX_HISTORY, err);
        free(name);
    }
    return status;
}

/* `d` NULL: there is no such dataset, or it does not belong into the index. */
static enum dm_status compare(struct dm_mirror *m, const struct dm_dataset *d, uint32_t number, bool *current,
                              struct dm_error *err)
{
    int64_t is = 0;
    enum dm_status status = dm_keyindex_tag_get(m->index, number, &is, err);
    *current &= is == (d != NULL ? d->snapshot_id : 0);
    return status;
}

enum dm_status dm_index_tag_current(struct dm_mirror *m, const struct dm_target *t, bool *current,
                                    struct dm_error *err)
{
    const struct dm_dataset *d = NULL, *tombstones = NULL, *history = NULL;
    *current = true;
    if (dm_lake_dataset(m->lake, t->state.namespace, t->state.name, &d, err) != DM_OK ||
        compare(m, d, t->state.id, current, err) != DM_OK)
        return DM_FAIL;
    if (t->rules == NULL)
        return DM_OK;
    if (dm_tombstones_dataset(m, t, &tombstones, err) != DM_OK ||
        compare(m, tombstones, t->state.id | DM_INDEX_TOMBSTONES, current, err) != DM_OK)
        return DM_FAIL;
    if (dm_interval_history_kept(t) && dm_interval_history_dataset(m, t, &history, err) != DM_OK)
        return DM_FAIL;
    return compare(m, history, t->state.id | DM_INDEX_HISTORY, current, err);
}
