#include "mirror/hygiene/erase.h"

#include <dirent.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/crash_point.h"
#include "base/file.h"
#include "base/log.h"
#include "base/memory.h"
#include "mirror/declare/declared.h"
#include "mirror/hygiene/erase_files.h"
#include "mirror/index/index_rebuild.h"
#include "mirror/quarantine/quarantine_table.h"

enum { wait_for_files_ms = 5000, wait_step_ms = 50 };

/* What the erasing of one dataset did. */
struct counts {
    uint64_t files_rewritten, snapshots, files_removed, bytes_removed, quarantine;
};

/* A file that was looked at while others worked: it cannot have changed since. */
struct known_file {
    uint32_t member_hash; /* of its dataset's name */
    uint32_t number;
    bool dirty;
};

/* One dataset of an order. */
struct erasing {
    struct dm_mirror *m;
    const struct dm_order_hooks *hooks;
    int64_t order;
    struct dm_dataset_state state; /* borrowed */
    struct dm_target *declared;
    struct dm_suppressed *set;
    struct dm_family family;
    size_t n_known;
    struct known_file *known;
    bool rebuild; /* its key index, from the lake */
    struct counts counts;
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

/* ---- which files hold rows of the keys ---- */

static uint32_t name_hash(const char *name)
{
    uint32_t h = 2166136261u;
    for (; *name != '\0'; name++)
        h = (h ^ (uint8_t)*name) * 16777619u;
    return h;
}

static struct known_file *find_known(const struct erasing *e, const char *name, uint32_t number)
{
    uint32_t hash = name_hash(name);
    for (size_t i = 0; i < e->n_known; i++)
        if (e->known[i].member_hash == hash && e->known[i].number == number)
            return &e->known[i];
    return NULL;
}

static void make_dirty(void *ctx, uint32_t file, uint32_t position)
{
    (void)position;
    ((bool *)ctx)[file] = true;
}

/* Looks at files, all rows of them. `dirty` runs parallel. */
static enum dm_status look_at(struct erasing *e, const struct dm_schema *keys, struct dm_scan_file *files,
                              size_t n, bool *dirty, struct dm_error *err)
{
    for (size_t i = 0; i < n; i++)
        files[i].number = (uint32_t)i;
    return dm_erase_find(e->m->engine, files, n, true, keys, e->set, make_dirty, dirty, err);
}

/* A member's files as they are, for a look without the mutex. */
struct member_copy {
    char *name;
    struct dm_schema *keys; /* NULL: it does not have the dataset's key columns */
    size_t n;
    struct dm_scan_file *files;
    uint32_t *numbers;
};

static void copies_free(struct member_copy *copies, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        for (size_t k = 0; k < copies[i].n; k++)
            free((void *)(uintptr_t)copies[i].files[k].path);
        free(copies[i].files);
        free(copies[i].numbers);
        free(copies[i].name);
        dm_schema_unref(copies[i].keys);
    }
    free(copies);
}

static struct member_copy *copy_family(const struct erasing *e)
{
    const struct dm_family *f = &e->family;
    struct member_copy *copies = dm_xzalloc(f->n + 1, sizeof *copies);
    for (size_t i = 0; i < f->n; i++) {
        const struct dm_dataset *d = f->members[i];
        struct member_copy *c = &copies[i];
        c->name = dm_xstrdup(d->name);
        c->keys = dm_erase_key_schema(f->members[0]->schema, d->schema);
        c->n = d->n_files;
        c->files = dm_xzalloc(d->n_files + 1, sizeof *c->files);
        c->numbers = dm_xzalloc(d->n_files + 1, sizeof *c->numbers);
        for (size_t k = 0; k < d->n_files; k++) {
            c->files[k] =
                (struct dm_scan_file){.path = dm_xstrdup(d->files[k].path), .rows = d->files[k].rows};
            c->numbers[k] = d->files[k].number;
        }
    }
    return copies;
}

/* The long look, while others work: data files never change. */
static enum dm_status look_ahead(struct erasing *e, struct dm_error *err)
{
    struct dm_error none = {0};
    (void)pthread_mutex_lock(&e->m->lake_mutex);
    enum dm_status status = dm_family_load(e->m, &e->state, &e->family, err);
    size_t n = status == DM_OK ? e->family.n : 0;
    struct member_copy *copies = n > 0 ? copy_family(e) : NULL;
    dm_family_release(&e->family);
    (void)pthread_mutex_unlock(&e->m->lake_mutex);
    for (size_t i = 0; i < n && status == DM_OK; i++) {
        struct member_copy *c = &copies[i];
        bool *dirty = dm_xzalloc(c->n + 1, sizeof *dirty);
        if (stop_wanted(e))
            status = stopped(err);
        else if (c->keys != NULL && look_at(e, c->keys, c->files, c->n, dirty, &none) == DM_OK) {
            e->known = dm_xrealloc(e->known, e->n_known + c->n + 1, sizeof *e->known);
            for (size_t k = 0; k < c->n; k++)
                e->known[e->n_known++] = (struct known_file){name_hash(c->name), c->numbers[k], dirty[k]};
        } /* a file that was merged away meanwhile: all are looked at below */
        free(dirty);
    }
    copies_free(copies, n);
    return status;
}

/* Now, with the mutex: what is known, and a look at the files that came since. */
static enum dm_status find_dirty(struct erasing *e, const struct dm_dataset *d, const struct dm_schema *keys,
                                 bool *dirty, struct dm_error *err)
{
    struct dm_scan_file *fresh = dm_xzalloc(d->n_files + 1, sizeof *fresh);
    size_t *of = dm_xzalloc(d->n_files + 1, sizeof *of);
    bool *fresh_dirty = dm_xzalloc(d->n_files + 1, sizeof *fresh_dirty);
    size_t n = 0;
    for (size_t i = 0; i < d->n_files; i++) {
        const struct known_file *k = find_known(e, d->name, d->files[i].number);
        dirty[i] = k != NULL && k->dirty;
        if (k != NULL)
            continue;
        of[n] = i;
        fresh[n++] = (struct dm_scan_file){.path = d->files[i].path, .rows = d->files[i].rows};
    }
    enum dm_status status = look_at(e, keys, fresh, n, fresh_dirty, err);
    for (size_t i = 0; i < n; i++)
        dirty[of[i]] = fresh_dirty[i];
    free(fresh);
    free(of);
    free(fresh_dirty);
    return status;
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
    enum dm_status status = dm_key_list_encode(&keys, batch, err);
    struct dm_index_change *c = dm_xzalloc(batch->rows + 1, sizeof *c);
    for (size_t i = 0; i < batch->rows && status == DM_OK; i++)
        c[i] = (struct dm_index_change){.key = keys.bytes.data + keys.offsets[i],
                                        .key_len = (uint32_t)(keys.offsets[i + 1] - keys.offsets[i]),
                                        .row = (uint32_t)i,
                                        .place = {.file = number, .position = (uint32_t)i}};
    if (status == DM_OK) {
        dm_index_changes_sort(c, batch->rows);
        status = dm_keyindex_move(w->e->m->index, w->e->state.id, c, batch->rows, err);
    }
    for (size_t i = 0; i < batch->rows && status == DM_OK; i++)
        if (c[i].old.file != w->old_file)
            status =
                dm_fail(err, DM_ERROR_FATAL,
                        "stop the mirror, remove <lake>/.index and start again: it is rebuilt from the lake",
                        "%s.%s: the key index and the data files disagree about a row of file %u",
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
                                 const struct dm_schema *keys, struct dm_error *err)
{
    struct erasing *e = w->e;
    struct dm_scan_file file = {.path = f->path, .number = f->number, .rows = f->rows, .deleted = f->deleted};
    struct dm_erase_output out = {
        .ctx = w, .most_bytes = dm_mirror_portion(e->m, 2), .new_file = new_file, .written = written};
    uint64_t rows = 0;
    w->old_file = f->number;
    if (stop_wanted(e))
        return stopped(err);
    if (dm_erase_write_anew(e->m->engine, &file, w->d->schema, keys, e->set, e->m->config->compression, &out,
                            &rows, err) != DM_OK)
        return DM_FAIL;
    e->counts.files_rewritten++;
    return dm_commit_remove_file(w->commit, w->d->namespace, w->d->name, f->number, err);
}

static enum dm_status erase_member(struct erasing *e, struct dm_commit *commit, size_t i,
                                   struct dm_error *err)
{
    const struct dm_dataset *d = e->family.members[i];
    struct into_commit w = {.e = e, .commit = commit, .d = d, .indexed = i == 0};
    struct dm_schema *keys = dm_erase_key_schema(e->family.members[0]->schema, d->schema);
    bool *dirty = dm_xzalloc(d->n_files + 1, sizeof *dirty);
    size_t snapshots = 0;
    enum dm_status status = keys != NULL ? find_dirty(e, d, keys, dirty, err) : DM_OK;
    for (size_t k = 0; k < d->n_files && status == DM_OK; k++)
        if (dirty[k])
            status = write_anew(&w, &d->files[k], keys, err);
    if (status == DM_OK)
        status = dm_lake_snapshots(e->m->lake, d->namespace, d->name, &snapshots, err);
    e->counts.snapshots += snapshots;
    if (status == DM_OK)
        status = dm_commit_expire_all(commit, d->namespace, d->name, err);
    free(dirty);
    dm_schema_unref(keys);
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

static enum dm_status catch_up(struct erasing *e, struct dm_error *err)
{
    struct dm_target mirrored = {.state = e->state};
    struct dm_target *const one[] = {e->declared != NULL ? e->declared : &mirrored};
    return dm_index_catch_up(e->m, one, 1, err);
}

static enum dm_status remove_quarantine(struct erasing *e, struct dm_error *err)
{
    int64_t *ids = NULL;
    size_t n = 0;
    uint64_t removed = 0;
    enum dm_status status =
        e->family.n == 0
            ? DM_OK
            : dm_quarantine_of_keys(e->m, e->state.id, e->family.members[0]->schema, e->set, &ids, &n, err);
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
        status = catch_up(e, err);
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
        status = catch_up(e, err); /* the history by version, whose places moved; or all of it */
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

static enum dm_status erase_dataset(struct dm_mirror *m, int64_t order, const struct dm_dataset_state *state,
                                    bool resumed, const struct dm_order_hooks *hooks, struct counts *counts,
                                    struct dm_error *err)
{
    /* After a crash the index may have been caught up without hearing of every key that went: then it is made anew. */
    struct erasing e = {.m = m, .hooks = hooks, .order = order, .state = *state, .rebuild = resumed};
    struct dm_key_hash *hashes = NULL;
    size_t n = 0;
    (void)pthread_mutex_lock(&m->lake_mutex);
    enum dm_status status = dm_work_order_keys(dm_lake_sqlite(m->lake), order, state->id, &hashes, &n, err);
    (void)pthread_mutex_unlock(&m->lake_mutex);
    e.set = dm_suppressed_new(m->suppression, hashes, n);
    if (status == DM_OK)
        status = look_ahead(&e, err);
    if (status == DM_OK) {
        (void)pthread_mutex_lock(&m->lake_mutex);
        status = with_mutex(&e, err);
        (void)pthread_mutex_unlock(&m->lake_mutex);
    }
    *counts = e.counts;
    dm_suppressed_unref(e.set);
    free(hashes);
    free(e.known);
    if (status != DM_OK)
        dm_error_prefix(err, "erasing in %s.%s", state->namespace, state->name);
    return status;
}

/* ---- temporary files ---- */

static bool folder_in_use(const char *lake, const char *name)
{
    char *path = dm_xasprintf("%s/%s", lake, name);
    DIR *d = opendir(path);
    bool some = false;
    for (struct dirent *e; d != NULL && !some && (e = readdir(d)) != NULL;)
        some = strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0;
    if (d != NULL)
        closedir(d);
    free(path);
    return some;
}

/* What is under way was sent by the source before or after the order: it is filtered when it is applied, and its files go then. */
static const char *under_way(struct dm_mirror *m)
{
    if (folder_in_use(m->config->lake, ".copy"))
        return "a copy of tables is under way in temporary files (.copy)";
    if (folder_in_use(m->config->lake, ".spool"))
        return "changes of the source are under way in temporary files (.spool)";
    return NULL;
}

static const char *wait_for_files(struct dm_mirror *m, const struct dm_order_hooks *hooks)
{
    const char *what = under_way(m);
    for (int waited = 0; what != NULL && waited < wait_for_files_ms; waited += wait_step_ms) {
        if (hooks != NULL && hooks->stop != NULL && *hooks->stop > 0)
            break;
        dm_clock_sleep_ms(wait_step_ms);
        what = under_way(m);
    }
    return what;
}

/* ---- the order ---- */

static enum dm_status run_sql(sqlite3 *db, const char *sql, struct dm_error *err)
{
    if (sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK)
        return DM_OK;
    return dm_fail(err, DM_ERROR_TRANSIENT, NULL, "catalog.db: %s: %s", sql, sqlite3_errmsg(db));
}

static void put_count(json_t *o, const char *key, uint64_t n)
{
    json_object_set_new(o, key, json_integer((json_int_t)n + json_integer_value(json_object_get(o, key))));
}

/* Into the report's entry of the dataset. */
static void tell(const struct dm_work_order *o, const struct dm_dataset_state *state, const struct counts *c)
{
    char *name = dm_xasprintf("%s.%s", state->namespace, state->name);
    json_t *list = json_object_get(o->report, "datasets");
    for (size_t i = 0; i < json_array_size(list); i++) {
        json_t *d = json_array_get(list, i);
        if (json_integer_value(json_object_get(d, "dataset_id")) != (json_int_t)state->id)
            continue;
        put_count(d, "files_rewritten", c->files_rewritten);
        put_count(d, "snapshots_expired", c->snapshots > 0 ? c->snapshots : 0);
        put_count(d, "files_removed", c->files_removed);
        put_count(d, "bytes_removed", c->bytes_removed);
        put_count(d, "quarantine_rows", c->quarantine);
    }
    free(name);
}

static enum dm_status save(struct dm_mirror *m, const struct dm_work_order *o, bool last,
                           struct dm_error *err)
{
    sqlite3 *db = dm_lake_sqlite(m->lake);
    enum dm_status status = run_sql(db, "BEGIN IMMEDIATE", err);
    if (status != DM_OK)
        return status;
    if (last)
        status = dm_work_order_drop_keys(db, o->id, err);
    if (status == DM_OK)
        status = dm_work_order_update(db, o, err);
    if (status == DM_OK)
        return run_sql(db, "COMMIT", err);
    (void)sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
    return status;
}

static void set_detail(struct dm_work_order *o, const char *text)
{
    char *old = o->detail;
    o->detail = dm_xstrdup(text);
    free(old);
}

static void add_not_covered(struct dm_work_order *o)
{
    static const char *const texts[] = {
        "the source itself: it still has the rows unless they were deleted there",
        "readers that copied rows or data files, results of queries, and logs outside the lake",
        "backups and file-system snapshots of the lake folder",
        "blocks of the disk that the file system has freed but not overwritten",
    };
    json_t *list = json_array();
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        json_array_append_new(list, json_string(texts[i]));
    json_object_set_new(o->report, "not_covered", list);
}

/* Key index and catalog.db; under the mutex. */
static enum dm_status forget_rest(struct dm_mirror *m, struct dm_work_order *o, struct dm_error *err)
{
    sqlite3 *db = dm_lake_sqlite(m->lake);
    bool done = false;
    dm_crash_point("erase-before-index");
    enum dm_status status = dm_keyindex_rewrite(m->index, err);
    dm_crash_point("erase-before-catalog");
    if (status == DM_OK)
        status = dm_erase_catalog(db, o->token, &done, err);
    if (status == DM_OK)
        status = dm_erase_sync_temporary(m->config->lake, err);
    if (status != DM_OK)
        return status;
    dm_crash_point("erase-before-end");
    if (!done) {
        set_detail(o, "another process is reading an older state of catalog.db");
        return save(m, o, false, err);
    }
    add_not_covered(o);
    free(o->status);
    o->status = dm_xstrdup("erased");
    set_detail(o, NULL);
    o->erased_us = dm_clock_wall_us();
    return save(m, o, true, err);
}

static enum dm_status erase_datasets(struct dm_mirror *m, struct dm_work_order *o, bool resumed,
                                     const struct dm_order_hooks *hooks, struct dm_error *err)
{
    struct dm_dataset_states all = {0};
    uint32_t *ids = NULL;
    size_t n = 0;
    (void)pthread_mutex_lock(&m->lake_mutex);
    enum dm_status status = dm_work_order_datasets(dm_lake_sqlite(m->lake), o->id, &ids, &n, err);
    if (status == DM_OK)
        status = dm_state_datasets(dm_lake_sqlite(m->lake), NULL, &all, err);
    (void)pthread_mutex_unlock(&m->lake_mutex);
    for (size_t i = 0; i < n && status == DM_OK; i++)
        for (size_t k = 0; k < all.n && status == DM_OK; k++) {
            struct counts counts = {0};
            if (all.items[k].id != ids[i])
                continue;
            if (hooks != NULL && hooks->progress != NULL)
                hooks->progress(hooks->ctx, 0, i, n);
            status = erase_dataset(m, o->id, &all.items[k], resumed, hooks, &counts, err);
            if (status == DM_OK)
                tell(o, &all.items[k], &counts);
        }
    free(ids);
    dm_dataset_states_release(&all);
    return status;
}

/* Datasets of the order that are not there any more: their folders go at once, not after the retention. */
static enum dm_status sweep_dropped(struct dm_mirror *m, const struct dm_work_order *o, struct dm_error *err)
{
    const json_t *list = json_object_get(o->report, "datasets");
    static const char *const tails[] = {"", "__history", "__tombstones"};
    enum dm_status status = DM_OK;
    for (size_t i = 0; i < json_array_size(list) && status == DM_OK; i++) {
        const char *whole = json_string_value(json_object_get(json_array_get(list, i), "dataset"));
        char *namespace = NULL, *table = NULL;
        if (whole == NULL)
            continue;
        dm_relational_schema_split(whole, &namespace, &table);
        (void)pthread_mutex_lock(&m->lake_mutex);
        for (size_t k = 0; k < sizeof tails / sizeof *tails && status == DM_OK; k++) {
            char *name = dm_xasprintf("%s%s", table, tails[k]);
            status = dm_lake_sweep_dataset(m->lake, namespace, name, NULL, NULL, err);
            free(name);
        }
        (void)pthread_mutex_unlock(&m->lake_mutex);
        free(namespace);
        free(table);
    }
    return status;
}

static enum dm_status erase(struct dm_mirror *m, struct dm_work_order *o, bool resumed,
                            const struct dm_order_hooks *hooks, struct dm_error *err)
{
    const char *waits = wait_for_files(m, hooks);
    enum dm_status status = waits == NULL ? erase_datasets(m, o, resumed, hooks, err) : DM_OK;
    if (status == DM_OK && waits == NULL)
        status = sweep_dropped(m, o, err);
    if (status != DM_OK)
        return status;
    (void)pthread_mutex_lock(&m->lake_mutex);
    if (waits != NULL) {
        set_detail(o, waits);
        status = save(m, o, false, err);
    } else {
        status = forget_rest(m, o, err);
    }
    (void)pthread_mutex_unlock(&m->lake_mutex);
    if (status == DM_OK && strcmp(o->status, "erased") == 0)
        dm_log(DM_LOG_INFO, "order %lld: the last byte of the deleted rows is gone", (long long)o->id);
    return status;
}

static enum dm_status list(struct dm_mirror *m, int64_t order, struct dm_work_orders *out,
                           struct dm_error *err)
{
    (void)pthread_mutex_lock(&m->lake_mutex);
    enum dm_status status = dm_work_order_list(dm_lake_sqlite(m->lake), order, NULL, "erasing", out, err);
    (void)pthread_mutex_unlock(&m->lake_mutex);
    return status;
}

static enum dm_status erase_all(struct dm_mirror *m, int64_t order, bool resumed,
                                const struct dm_order_hooks *hooks, struct dm_error *err)
{
    struct dm_work_orders orders;
    enum dm_status status = list(m, order, &orders, err);
    for (size_t i = 0; i < orders.n && status == DM_OK; i++)
        status = erase(m, &orders.items[i], resumed, hooks, err);
    dm_work_orders_release(&orders);
    return status;
}

enum dm_status dm_erase_run(struct dm_mirror *m, int64_t order, const struct dm_order_hooks *hooks,
                            struct dm_error *err)
{
    return erase_all(m, order, false, hooks, err);
}

enum dm_status dm_erase_resume(struct dm_mirror *m, const struct dm_order_hooks *hooks, struct dm_error *err)
{
    return erase_all(m, 0, true, hooks, err);
}
