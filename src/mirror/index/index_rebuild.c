#include "mirror/index/index_rebuild.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "lake/dataset_scan.h"
#include "mirror/index/index_catch_up.h"
#include "mirror/index/index_rows.h"
#include "mirror/commit/interval_history.h"
#include "mirror/commit/tombstones.h"

struct load {
    struct dm_mirror *m;
    uint32_t dataset;
    struct dm_index_rows rows;
};

static enum dm_status duplicate_key(const struct dm_batch *batch, size_t row, struct dm_error *err)
{
    char text[256];
    return dm_fail(err, DM_ERROR_DATA, "run `datamirror resync` for this dataset",
                   "two visible rows have the key %s", dm_key_text(batch, row, text, sizeof text));
}

/* Keys that bulk loading refuses (long keys are stored by hash, so they come out of order) go in one by one. */
static enum dm_status load_rest(struct load *l, const struct dm_batch *batch, struct dm_index_change *changes,
                                size_t n, struct dm_error *err)
{
    dm_index_changes_sort(changes, n);
    for (size_t i = 1; i < n; i++)
        if (changes[i].key_len == changes[i - 1].key_len &&
            memcmp(changes[i].key, changes[i - 1].key, changes[i].key_len) == 0)
            return duplicate_key(batch, changes[i].row, err);
    enum dm_status status = dm_keyindex_apply(l->m->index, l->dataset, changes, n, err);
    for (size_t i = 0; i < n && status == DM_OK; i++)
        if (dm_place_known(changes[i].old))
            status = duplicate_key(batch, changes[i].row, err);
    return status;
}

static enum dm_status load_rows(void *ctx, const struct dm_batch *batch, const uint32_t *file_numbers,
                                const uint32_t *positions, struct dm_error *err)
{
    struct load *l = ctx;
    if (dm_index_rows_take(&l->rows, batch, file_numbers, positions, err) != DM_OK)
        return DM_FAIL;
    size_t bad = 0;
    enum dm_status status =
        dm_keyindex_append(l->m->index, l->dataset, l->rows.changes, batch->rows, &bad, err);
    return status == DM_END ? load_rest(l, batch, l->rows.changes + bad, batch->rows - bad, err) : status;
}

static enum dm_status rebuild(struct dm_mirror *m, uint32_t dataset, const struct dm_schema *schema,
                              int version, const struct dm_scan_file *files, size_t n_files,
                              struct dm_error *err)
{
    if (dm_keyindex_clear(m->index, dataset, err) != DM_OK)
        return DM_FAIL;
    if (n_files == 0 || schema->n_keys == 0)
        return DM_OK;
    struct load l = {.m = m, .dataset = dataset};
    dm_index_rows_init(&l.rows, schema, version);
    struct dm_scan_options options = {.order_by_key = true};
    enum dm_status status =
        dm_parquet_scan(m->engine, files, n_files, l.rows.schema, &options, load_rows, &l, err);
    dm_index_rows_release(&l.rows);
    return status;
}

enum dm_status dm_index_rebuild(struct dm_mirror *m, uint32_t dataset, const struct dm_schema *schema,
                                const struct dm_scan_file *files, size_t n_files, struct dm_error *err)
{
    return rebuild(m, dataset, schema, -1, files, n_files, err);
}

/* Rows, tombstones and history, all from the lake. */
static enum dm_status anew(struct dm_mirror *m, const struct dm_target *t, const struct dm_dataset *d,
                           struct dm_error *err)
{
    struct dm_scan_file *files = dm_dataset_scan(d);
    /* The version is found by its field id: the target's schema may be about to change. */
    int version =
        t->rules == NULL ? -1 : dm_schema_find_id(d->schema, t->schema->fields[t->rules->version_field].id);
    enum dm_status status = rebuild(m, t->state.id, d->schema, version, files, d->n_files, err);
    free(files);
    if (status == DM_OK && t->rules != NULL)
        status = dm_tombstones_load(m, t, err);
    if (status == DM_OK && t->rules != NULL)
        status = dm_interval_history_load(m, t, err);
    if (status == DM_OK)
        status = dm_keyindex_tag_set(m->index, t->state.id, d->snapshot_id, err);
    return status;
}

static double seconds_since(int64_t started)
{
    return (double)(dm_clock_monotonic_us() - started) / 1e6;
}

/* By difference; *done false: that way was not open, and the transaction is as it was. */
static enum dm_status by_difference(struct dm_mirror *m, const struct dm_target *t,
                                    const struct dm_dataset *d, bool *done, const char **why,
                                    struct dm_error *err)
{
    int64_t started = dm_clock_monotonic_us();
    uint64_t rows = 0;
    enum dm_status status = dm_index_catch_up_by_difference(m, t, d, &rows, why, err);
    *done = status == DM_OK;
    if (*done) {
        dm_log(DM_LOG_INFO, "%s.%s: key index caught up, %llu rows in %.1f s", t->state.namespace,
               t->state.name, (unsigned long long)rows, seconds_since(started));
        return DM_OK;
    }
    if (status == DM_FAIL) { /* an older file is gone, say; what is there now is what counts */
        *why = "it could not be caught up";
        dm_log_error(DM_LOG_WARN, "catching up the key index", err);
    }
    dm_keyindex_abort(m->index);
    return dm_keyindex_begin(m->index, err);
}

static enum dm_status catch_up_one(struct dm_mirror *m, const struct dm_target *t, struct dm_error *err)
{
    const struct dm_dataset *d = NULL;
    const char *why = NULL;
    bool current = false, done = false;
    enum dm_status status = dm_lake_dataset(m->lake, t->state.namespace, t->state.name, &d, err);
    if (status != DM_OK || d == NULL || t->state.append_only)
        return status;
    status = dm_index_tag_current(m, t, &current, err);
    if (status == DM_OK && !current)
        status = by_difference(m, t, d, &done, &why, err);
    if (status != DM_OK || current || done)
        return status;
    int64_t started = dm_clock_monotonic_us();
    status = anew(m, t, d, err);
    if (status == DM_OK)
        dm_log(DM_LOG_INFO, "%s.%s: key index rebuilt (%s), %llu rows in %.1f s", t->state.namespace,
               t->state.name, why, (unsigned long long)d->live_rows, seconds_since(started));
    else
        dm_error_prefix(err, "%s.%s: rebuilding the key index", t->state.namespace, t->state.name);
    return status;
}

/* In an index transaction of its own. */
static enum dm_status catch_up(struct dm_mirror *m, const struct dm_target *t, struct dm_error *err)
{
    if (dm_keyindex_begin(m->index, err) != DM_OK)
        return DM_FAIL;
    enum dm_status status = catch_up_one(m, t, err);
    if (status == DM_OK)
        return dm_keyindex_commit(m->index, err);
    dm_keyindex_abort(m->index);
    return status;
}

enum dm_status dm_index_catch_up(struct dm_mirror *m, struct dm_target *const *targets, size_t n,
                                 struct dm_error *err)
{
    for (size_t i = 0; i < n; i++) {
        bool filled = targets[i]->rules != NULL || targets[i]->state.copied_at != 0;
        bool grows = strcmp(targets[i]->state.state, "dropped") != 0; /* else only a deletion asks for it */
        if (filled && grows && catch_up(m, targets[i], err) != DM_OK)
            return DM_FAIL;
    }
    return DM_OK;
}

enum dm_status dm_index_catch_up_dataset(struct dm_mirror *m, const struct dm_dataset_state *state,
                                         const struct dm_target *declared, struct dm_error *err)
{
    const struct dm_target mirrored = {.state = *state};
    return catch_up(m, declared != NULL ? declared : &mirrored, err);
}
