#include "mirror/index_rebuild.h"

#include <stdlib.h>
#include <string.h>

#include "apply/version_list.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "column/key.h"
#include "mirror/interval_history.h"
#include "mirror/tombstones.h"

struct load {
    struct dm_mirror *m;
    uint32_t dataset;
    int version; /* its column in the batches; -1: none */
    struct dm_key_list keys;
    struct dm_key_list versions;
    uint64_t rows;
};

static enum dm_status duplicate_key(const struct load *l, const struct dm_batch *batch, size_t row,
                                    struct dm_error *err)
{
    char text[256];
    (void)l;
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
            return duplicate_key(l, batch, changes[i].row, err);
    enum dm_status status = dm_keyindex_apply(l->m->index, l->dataset, changes, n, err);
    for (size_t i = 0; i < n && status == DM_OK; i++)
        if (dm_place_known(changes[i].old))
            status = duplicate_key(l, batch, changes[i].row, err);
    return status;
}

static enum dm_status load_rows(void *ctx, const struct dm_batch *batch, const uint32_t *file_numbers,
                                const uint32_t *positions, struct dm_error *err)
{
    struct load *l = ctx;
    if (dm_key_list_encode(&l->keys, batch, err) != DM_OK ||
        (l->version >= 0 && dm_version_list_encode(&l->versions, batch, l->version, err) != DM_OK))
        return DM_FAIL;
    struct dm_index_change *changes = dm_xalloc((batch->rows + 1) * sizeof *changes);
    for (size_t i = 0; i < batch->rows; i++)
        changes[i] =
            (struct dm_index_change){.key = l->keys.bytes.data + l->keys.offsets[i],
                                     .key_len = (uint32_t)(l->keys.offsets[i + 1] - l->keys.offsets[i]),
                                     .row = (uint32_t)i,
                                     .place = {.file = file_numbers[i], .position = positions[i]}};
    for (size_t i = 0; i < batch->rows && l->version >= 0; i++)
        changes[i].version = dm_version_at(&l->versions, i, &changes[i].version_len);
    size_t bad = 0;
    enum dm_status status = dm_keyindex_append(l->m->index, l->dataset, changes, batch->rows, &bad, err);
    if (status == DM_END)
        status = load_rest(l, batch, changes + bad, batch->rows - bad, err);
    free(changes);
    l->rows += batch->rows;
    return status;
}

static void add_column(struct dm_schema *s, const struct dm_field *from)
{
    struct dm_field *to = dm_schema_add(s, from->name, from->type);
    to->id = from->id;
    to->element_id = from->element_id;
    to->required = from->required;
    to->default_json = dm_xstrdup(from->default_json);
}

/* Only the key columns are read, and the version behind them. */
static struct dm_schema *key_schema(const struct dm_schema *schema, int version)
{
    struct dm_schema *s = dm_schema_new();
    for (size_t i = 0; i < schema->n_keys; i++) {
        add_column(s, &schema->fields[schema->keys[i]]);
        dm_schema_add_key(s, (uint32_t)i);
    }
    if (version >= 0)
        add_column(s, &schema->fields[version]);
    return s;
}

static enum dm_status rebuild(struct dm_mirror *m, uint32_t dataset, const struct dm_schema *schema,
                              int version, const struct dm_scan_file *files, size_t n_files,
                              struct dm_error *err)
{
    if (dm_keyindex_clear(m->index, dataset, err) != DM_OK)
        return DM_FAIL;
    if (n_files == 0 || schema->n_keys == 0)
        return DM_OK;
    struct load l = {.m = m, .dataset = dataset, .version = version >= 0 ? (int)schema->n_keys : -1};
    struct dm_schema *keys = key_schema(schema, version);
    struct dm_scan_options options = {.order_by_key = true};
    enum dm_status status = dm_parquet_scan(m->engine, files, n_files, keys, &options, load_rows, &l, err);
    dm_schema_unref(keys);
    dm_key_list_release(&l.keys);
    dm_key_list_release(&l.versions);
    return status;
}

enum dm_status dm_index_rebuild(struct dm_mirror *m, uint32_t dataset, const struct dm_schema *schema,
                                const struct dm_scan_file *files, size_t n_files, struct dm_error *err)
{
    return rebuild(m, dataset, schema, -1, files, n_files, err);
}

/* Is the index at the lake's state? */
static enum dm_status is_current(struct dm_mirror *m, const struct dm_target *t, const struct dm_dataset *d,
                                 bool *current, struct dm_error *err)
{
    int64_t tag = 0;
    if (dm_keyindex_tag_get(m->index, t->state.id, &tag, err) != DM_OK)
        return DM_FAIL;
    *current = tag == d->snapshot_id;
    return *current && t->rules != NULL ? dm_tombstones_indexed(m, t, current, err) : DM_OK;
}

static enum dm_status catch_up_one(struct dm_mirror *m, const struct dm_target *t, struct dm_error *err)
{
    const struct dm_dataset *d = NULL;
    bool current = false;
    enum dm_status status = dm_lake_dataset(m->lake, t->state.namespace, t->state.name, &d, err);
    if (status != DM_OK || d == NULL || t->state.append_only)
        return status;
    status = is_current(m, t, d, &current, err);
    if (status != DM_OK || current)
        return status;
    int64_t started = dm_clock_monotonic_us();
    struct dm_scan_file *files = dm_xzalloc(d->n_files, sizeof *files);
    for (size_t i = 0; i < d->n_files; i++)
        files[i] = (struct dm_scan_file){.path = d->files[i].path,
                                         .number = d->files[i].number,
                                         .rows = d->files[i].rows,
                                         .deleted = d->files[i].deleted};
    /* The version is found by its field id: the target's schema may be about to change. */
    int version =
        t->rules == NULL ? -1 : dm_schema_find_id(d->schema, t->schema->fields[t->rules->version_field].id);
    status = rebuild(m, t->state.id, d->schema, version, files, d->n_files, err);
    free(files);
    if (status == DM_OK && t->rules != NULL)
        status = dm_tombstones_load(m, t, err);
    if (status == DM_OK && dm_interval_history_kept(t))
        status = dm_interval_history_load(m, t, err);
    if (status == DM_OK)
        status = dm_keyindex_tag_set(m->index, t->state.id, d->snapshot_id, err);
    if (status == DM_OK)
        dm_log(DM_LOG_INFO, "%s.%s: key index rebuilt, %llu rows in %.1f s", t->state.namespace,
               t->state.name, (unsigned long long)d->live_rows,
               (double)(dm_clock_monotonic_us() - started) / 1e6);
    else
        dm_error_prefix(err, "%s.%s: rebuilding the key index", t->state.namespace, t->state.name);
    return status;
}

enum dm_status dm_index_catch_up(struct dm_mirror *m, struct dm_target *const *targets, size_t n,
                                 struct dm_error *err)
{
    for (size_t i = 0; i < n; i++) {
        bool filled = targets[i]->rules != NULL || targets[i]->state.copied_at != 0;
        if (!filled || strcmp(targets[i]->state.state, "dropped") == 0)
            continue;
        if (dm_keyindex_begin(m->index, err) != DM_OK)
            return DM_FAIL;
        enum dm_status status = catch_up_one(m, targets[i], err);
        if (status == DM_OK)
            status = dm_keyindex_commit(m->index, err);
        else
            dm_keyindex_abort(m->index);
        if (status != DM_OK)
            return status;
    }
    return DM_OK;
}
