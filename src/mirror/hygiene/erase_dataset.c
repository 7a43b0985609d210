#include "mirror/hygiene/erase_dataset.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/crash_point.h"
#include "base/memory.h"
#include "mirror/declare/declared.h"
#include "mirror/hygiene/erase_files.h"
#include "mirror/hygiene/erase_look.h"
#include "mirror/index/index_rebuild.h"
#include "mirror/quarantine/quarantine_table.h"

/* One dataset of an order. */
struct erasing {
    struct dm_mirror *m;
    const struct dm_order_hooks *hooks;
    int64_t order;
    struct dm_dataset_state state; /* borrowed */
    struct dm_target *declared;
    struct dm_erase_wanted wanted;
    struct dm_erase_look look;
    struct dm_family family;
    bool rebuild; /* its key index, from the lake */
    struct dm_erase_counts counts;
};

static bool stop_wanted(const struct erasing *e)
{
    return (e->hooks != NULL && e->hooks->stop != NULL && *e->hooks->stop > 0) || *e->m->stop > 1;
}

static enum dm_status stopped(struct dm_error *err)
{
    return dm_fail(err, DM_ERROR_TRANSIENT, "it is taken up again by the running mirror, or the next delete",
                   "stopped before the last byte was gone");
}

/* ---- files written anew, in a commit ---- */

struct into_commit {
    struct erasing *e;
    struct dm_commit *commit;
    const struct dm_dataset *d;
    bool indexed; /* the dataset itself: its rows' places move */
    uint32_t old_file;
};

static enum dm_status new_file(void *ctx, uint32_t *number, char **path, struct dm_error *err)
{
    struct into_commit *w = ctx;
    return dm_commit_new_file(w->commit, w->d->namespace, w->d->name, number, path, err);
}

static enum dm_status move_keys(const struct into_commit *w, uint32_t number, const struct dm_batch *batch,
                                struct dm_error *err)
{
    struct dm_key_list keys = {0};
    if (dm_key_list_encode(&keys, batch, err) != DM_OK) {
        dm_key_list_release(&keys);
        return DM_FAIL;
    }
    struct dm_index_change *c = dm_index_changes_of(&keys);
    for (size_t i = 0; i < batch->rows; i++)
        c[i].place = (struct dm_place){.file = number, .position = (uint32_t)i};
    dm_index_changes_sort(c, batch->rows);
    enum dm_status status = dm_keyindex_move(w->e->m->index, w->e->state.id, c, batch->rows, err);
    for (size_t i = 0; i < batch->rows && status == DM_OK; i++)
        if (c[i].old.file != w->old_file)
            status = dm_fail(err, DM_ERROR_FATAL,
                             "stop the mirror, remove <lake>/.index and start again: "
                             "it is rebuilt from the lake",
                             "%s.%s: the key index and the data files disagree about "
                             "a row of file %u",
                             w->d->namespace, w->d->name, w->old_file);
    free(c);
    dm_key_list_release(&keys);
    return status;
}

static enum dm_status written(void *ctx, uint32_t number, const char *path, const struct dm_batch *batch,
                              const struct dm_parquet_result *result, struct dm_error *err)
{
    struct into_commit *w = ctx;
    if (dm_commit_add_file(w->commit, w->d->namespace, w->d->name, number, path, result, err) != DM_OK)
        return DM_FAIL;
    return w->indexed ? move_keys(w, number, batch, err) : DM_OK;
}

static enum dm_status write_anew(struct into_commit *w, const struct dm_data_file *f,
                                 struct dm_erase_match *match, struct dm_error *err)
{
    struct erasing *e = w->e;
    struct dm_scan_file file = {.path = f->path, .number = f->number, .rows = f->rows, .deleted = f->deleted};
    struct dm_erase_output out = {
        .ctx = w, .most_bytes = dm_mirror_portion(e->m, 2), .new_file = new_file, .written = written};
    uint64_t rows = 0;
    w->old_file = f->number;
    if (stop_wanted(e))
        return stopped(err);
    if (dm_erase_write_anew(e->m->engine, &file, w->d->schema, match, e->m->config->compression, &out, &rows,
                            err) != DM_OK)
        return DM_FAIL;
    e->counts.files_rewritten++;
    return dm_commit_remove_file(w->commit, w->d->namespace, w->d->name, f->number, err);
}

static enum dm_status erase_member(struct erasing *e, struct dm_commit *commit, size_t i,
                                   struct dm_error *err)
{
    const struct dm_dataset *d = e->family.members[i];
    struct into_commit w = {.e = e, .commit = commit, .d = d, .indexed = i == 0};
    const struct dm_schema *schema = e->family.members[0]->schema;
    /* What is there and matches by its key alone; former versions are there no
   * more. */
    struct dm_erase_match *match = dm_erase_match_new(&(struct dm_erase_match_options){
        .dataset = schema, .stored = d->schema, .set = e->wanted.set, .whole_rows = true});
    bool *dirty = dm_xzalloc(d->n_files + 1, sizeof *dirty);
    size_t snapshots = 0;
    enum dm_status status = dm_erase_look_member(&e->look, schema, d, dirty, err);
    for (size_t k = 0; k < d->n_files && status == DM_OK; k++)
        if (dirty[k])
            status = write_anew(&w, &d->files[k], match, err);
    if (status == DM_OK)
        status = dm_lake_snapshots(e->m->lake, d->namespace, d->name, &snapshots, err);
    e->counts.snapshots += snapshots;
    if (status == DM_OK)
        status = dm_commit_expire_all(commit, d->namespace, d->name, err);
    free(dirty);
    dm_erase_match_free(match);
    return status;
}

static enum dm_status publish(struct erasing *e, struct dm_commit *commit, struct dm_error *err)
{
    struct dm_still_summary still;
    if (dm_still_summary_make(e->m, e->state.source, e->order, &still, err) != DM_OK)
        return DM_FAIL;
    enum dm_status status = dm_commit_write(commit, &still.summary, err);
    dm_crash_point("erase-before-publish");
    if (status == DM_OK)
        status = dm_commit_publish(commit, NULL, NULL, err);
    dm_crash_point("erase-after-publish");
    /* An index that is behind may still hold the keys: it is built anew later, and what is in it goes now. */
    if (status == DM_OK && e->rebuild)
        status = dm_keyindex_clear(e->m->index, e->state.id, err);
    if (status == DM_OK)
        status = e->rebuild ? dm_keyindex_tag_set(e->m->index, e->state.id, 0, err)
                            : dm_family_tag(e->m, &e->state, commit, err);
    dm_still_summary_release(&still);
    return status;
}

/* The commit: dirty files anew, nothing older is referred to. */
static enum dm_status commit_family(struct erasing *e, struct dm_error *err)
{
    struct dm_commit *commit = NULL;
    enum dm_status status = dm_commit_begin(e->m->lake, &commit, err);
    if (status == DM_OK)
        status = dm_keyindex_begin(e->m->index, err);
    for (size_t i = 0; i < e->family.n && status == DM_OK; i++)
        status = erase_member(e, commit, i, err);
    if (status == DM_OK)
        status = publish(e, commit, err);
    if (status == DM_OK)
        status = dm_keyindex_commit(e->m->index, err);
    else
        dm_keyindex_abort(e->m->index);
    dm_commit_free(commit);
    return status;
}

static enum dm_status sweep_family(struct erasing *e, char *const *names, size_t n, struct dm_error *err)
{
    enum dm_status status = DM_OK;
    for (size_t i = 0; i < n && status == DM_OK; i++)
        status = dm_lake_sweep_dataset(e->m->lake, e->state.namespace, names[i], &e->counts.files_removed,
                                       &e->counts.bytes_removed, err);
    return status;
}

static enum dm_status remove_quarantine(struct erasing *e, struct dm_error *err)
{
    int64_t *ids = NULL;
    size_t n = 0;
    uint64_t removed = 0;
    enum dm_status status = e->family.n == 0
                                ? DM_OK
                                : dm_quarantine_of_keys(e->m, e->state.id, e->family.members[0]->schema,
                                                        e->wanted.set, &ids, &n, err);
    struct dm_quarantine_choice choice = {.dataset = e->state.id, .n_ids = n, .ids = ids};
    if (status == DM_OK && n > 0)
        status = dm_quarantine_remove(dm_lake_sqlite(e->m->lake), &choice, &removed, err);
    e->counts.quarantine = removed;
    free(ids);
    return status;
}

static enum dm_status with_mutex(struct erasing *e, struct dm_error *err)
{
    enum dm_status status = DM_OK;
    if (e->state.source[0] == '\0') {
        char *name = dm_xasprintf("%s.%s", e->state.namespace, e->state.name);
        status = dm_declared_target(e->m, name, &e->declared, err);
        free(name);
    }
    if (status == DM_OK)
        status = dm_index_catch_up_dataset(e->m, &e->state, e->declared, err);
    if (status == DM_OK)
        status = dm_family_load(e->m, &e->state, &e->family, err);
    if (status == DM_OK)
        status = remove_quarantine(e, err);
    size_t n = e->family.n;
    char **names = dm_xzalloc(n + 1, sizeof *names);
    for (size_t i = 0; i < n; i++)
        names[i] = dm_xstrdup(e->family.members[i]->name);
    if (status == DM_OK && n > 0)
        status = commit_family(e, err);
    if (status == DM_OK)
        status = dm_index_catch_up_dataset(
            e->m, &e->state, e->declared, err); /* the history by version, whose places moved; or all of it */
    if (status == DM_OK)
        status = sweep_family(e, names, n, err);
    for (size_t i = 0; i < n; i++)
        free(names[i]);
    free(names);
    dm_family_release(&e->family);
    dm_target_free(e->declared);
    e->declared = NULL;
    return status;
}

/* ---- one dataset ---- */

enum dm_status dm_erase_dataset(struct dm_mirror *m, int64_t order, const struct dm_dataset_state *state,
                                bool resumed, const struct dm_order_hooks *hooks,
                                struct dm_erase_counts *counts, struct dm_error *err)
{
    /* After a crash the index may have been caught up without hearing of every key that went: then it is made anew. */
    struct erasing e = {.m = m, .hooks = hooks, .order = order, .state = *state, .rebuild = resumed};
    enum dm_status status = dm_erase_wanted_load(m, order, state->id, &e.wanted, err);
    e.look = (struct dm_erase_look){
        .m = m, .wanted = &e.wanted, .stop = hooks != NULL && hooks->stop != NULL ? hooks->stop : NULL};
    if (status == DM_OK)
        status = dm_erase_look_ahead(&e.look, state, err);
    if (status == DM_OK && stop_wanted(&e))
        status = stopped(err);
    if (status == DM_OK) {
        (void)pthread_mutex_lock(&m->lake_mutex);
        status = with_mutex(&e, err);
        (void)pthread_mutex_unlock(&m->lake_mutex);
    }
    *counts = e.counts;
    dm_erase_look_release(&e.look);
    dm_erase_wanted_release(&e.wanted);
    if (status != DM_OK)
        dm_error_prefix(err, "erasing in %s.%s", state->namespace, state->name);
    return status;
}
