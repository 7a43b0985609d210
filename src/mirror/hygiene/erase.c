#include "mirror/hygiene/erase.h"

#include <dirent.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/crash_point.h"
#include "base/log.h"
#include "base/memory.h"
#include "mirror/hygiene/erase_dataset.h"
#include "registry/relational_schema.h"

enum { wait_for_files_ms = 5000, wait_step_ms = 50 };

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
static void tell(const struct dm_work_order *o, const struct dm_dataset_state *state,
                 const struct dm_erase_counts *c)
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
    json_t *list = json_object_get(o->report, "not_covered"); /* what the search could not find comes first */
    if (!json_is_array(list))
        json_object_set_new(o->report, "not_covered", list = json_array());
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        json_array_append_new(list, json_string(texts[i]));
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
            struct dm_erase_counts counts = {0};
            if (all.items[k].id != ids[i])
                continue;
            if (hooks != NULL && hooks->progress != NULL)
                hooks->progress(hooks->ctx, 0, i, n);
            status = dm_erase_dataset(m, o->id, &all.items[k], resumed, hooks, &counts, err);
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

/* A lake of an older version lacks some. */
static enum dm_status create_tables(struct dm_mirror *m, struct dm_error *err)
{
    (void)pthread_mutex_lock(&m->lake_mutex);
    enum dm_status status = dm_work_order_create_tables(dm_lake_sqlite(m->lake), err);
    (void)pthread_mutex_unlock(&m->lake_mutex);
    return status;
}

static enum dm_status erase_all(struct dm_mirror *m, int64_t order, bool resumed,
                                const struct dm_order_hooks *hooks, struct dm_error *err)
{
    struct dm_work_orders orders;
    enum dm_status status = list(m, order, &orders, err);
    if (status == DM_OK && orders.n > 0)
        status = create_tables(m, err);
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
