#include "mirror/commit/tombstones.h"

#include <stdlib.h>
#include <sys/stat.h>

#include "apply/version_list.h"
#include "apply/version_rule.h"
#include "base/clock.h"
#include "base/crash_point.h"
#include "base/log.h"
#include "base/memory.h"
#include "engine/parquet_read.h"
#include "lake/dataset_scan.h"
#include "mirror/commit/interval_history.h"

enum { first_added_id = 1000000 };
#define DEFAULT_RETENTION_MS (INT64_C(7) * 86400 * 1000)

char *dm_tombstones_name(const struct dm_target *t)
{
    return dm_xasprintf("%s__tombstones", t->state.name);
}

struct dm_schema *dm_tombstones_schema(const struct dm_schema *schema, int version)
{
    struct dm_schema *s = dm_schema_new();
    struct dm_field *f;
    for (size_t k = 0; k < schema->n_keys; k++) {
        f = dm_schema_add_copy(s, &schema->fields[schema->keys[k]]);
        f->required = true;
        dm_field_drop_default(f);
    }
    f = dm_schema_add(s, "_version", schema->fields[version].type);
    f->id = first_added_id;
    f->required = true;
    f = dm_schema_add(s, "_deleted_at", dm_type_of(DM_TIMESTAMPTZ));
    f->id = first_added_id + 1;
    f->required = true;
    return s;
}

enum dm_status dm_tombstones_dataset(struct dm_mirror *m, const struct dm_target *t,
                                     const struct dm_dataset **out, struct dm_error *err)
{
    char *name = dm_tombstones_name(t);
    enum dm_status status = dm_lake_dataset(m->lake, t->state.namespace, name, out, err);
    free(name);
    return status;
}

/* ---- a commit's deletes ---- */

enum dm_status dm_tombstones_append(struct dm_apply_context *a, struct dm_target *t,
                                    const struct dm_batch *batch, const uint32_t *rows, size_t n,
                                    struct dm_error *err)
{
    const struct dm_schema *from = batch->schema;
    struct dm_schema *schema = dm_tombstones_schema(from, t->rules->version_field);
    struct dm_batch *view = dm_batch_new(schema);
    char *name = dm_tombstones_name(t);
    size_t n_keys = from->n_keys;
    int64_t now = dm_clock_wall_us();
    dm_column_reserve(&view->columns[n_keys + 1], batch->rows);
    for (size_t i = 0; i < batch->rows; i++)
        dm_column_append_fixed(&view->columns[n_keys + 1], &now);
    for (size_t k = 0; k <= n_keys; k++) { /* the other columns are borrowed, and taken out again below */
        dm_column_release(&view->columns[k]);
        view->columns[k] = batch->columns[k < n_keys ? from->keys[k] : (uint32_t)t->rules->version_field];
    }
    view->rows = batch->rows;
    uint32_t file = 0;
    enum dm_status status = dm_apply_ensure_dataset(a, t->state.namespace, name, schema, NULL, err);
    if (status == DM_OK)
        status = dm_apply_write_file(a, t->state.namespace, name, view, rows, n, &file, err);
    for (size_t k = 0; k <= n_keys; k++)
        view->columns[k] = (struct dm_column){0};
    view->rows = 0;
    dm_batch_free(view);
    dm_schema_unref(schema);
    free(name);
    return status;
}

/* ---- reading them ---- */

struct reading {
    struct dm_mirror *m;
    const struct dm_target *t;
    bool expire;   /* take them out of the index; otherwise put them in */
    uint64_t took; /* entries that changed */
    struct dm_key_list keys, versions;
};

static int compare_versions(const struct dm_index_change *a, const struct dm_index_change *b)
{
    return dm_key_compare(a->version, a->version_len, b->version, b->version_len);
}

/* One tombstone a key: the highest. Sorted by key. */
static size_t highest_per_key(struct dm_index_change *changes, size_t n)
{
    size_t kept = 0;
    for (size_t i = 0; i < n; i++) {
        struct dm_index_change *last = kept > 0 ? &changes[kept - 1] : NULL;
        if (last == NULL || dm_key_compare(last->key, last->key_len, changes[i].key, changes[i].key_len) != 0)
            changes[kept++] = changes[i];
        else if (compare_versions(&changes[i], last) > 0)
            *last = changes[i];
    }
    return kept;
}

/* Loading: does the tombstone beat what the index holds? A tie with a live row is the delete's. */
static bool beats(const struct dm_index_change *c)
{
    const struct dm_version_state state = {
        .version = c->old_version, .len = c->old_version_len, .live = dm_place_known(c->old)};
    return dm_verdict_applies(dm_version_decide(&state, c->version, c->version_len));
}

/* Expiring: does the index hold this very tombstone? */
static bool is_same(const struct dm_index_change *c)
{
    return !dm_place_known(c->old) && c->old_version_len > 0 &&
           dm_key_compare(c->version, c->version_len, c->old_version, c->old_version_len) == 0;
}

static enum dm_status take_rows(void *ctx, const struct dm_batch *batch, const uint32_t *files,
                                const uint32_t *positions, struct dm_error *err)
{
    (void)files;
    (void)positions;
    struct reading *r = ctx;
    int version = (int)batch->schema->n_keys;
    if (dm_key_list_encode(&r->keys, batch, err) != DM_OK ||
        dm_version_list_encode(&r->versions, batch, version, err) != DM_OK)
        return DM_FAIL;
    struct dm_index_change *changes = dm_xalloc((batch->rows + 1) * sizeof *changes);
    for (size_t i = 0; i < batch->rows; i++) {
        changes[i] =
            (struct dm_index_change){.key = r->keys.bytes.data + r->keys.offsets[i],
                                     .key_len = (uint32_t)(r->keys.offsets[i + 1] - r->keys.offsets[i])};
        changes[i].version = dm_version_at(&r->versions, i, &changes[i].version_len);
    }
    dm_index_changes_sort(changes, batch->rows);
    size_t n = highest_per_key(changes, batch->rows), kept = 0;
    enum dm_status status = dm_keyindex_lookup(r->m->index, r->t->state.id, changes, n, err);
    for (size_t i = 0; i < n && status == DM_OK; i++) {
        if (r->expire ? !is_same(&changes[i]) : !beats(&changes[i]))
            continue;
        changes[kept] = changes[i];
        if (r->expire)
            changes[kept].version_len = 0;
        kept++;
    }
    if (status == DM_OK)
        status = dm_keyindex_apply(r->m->index, r->t->state.id, changes, kept, err);
    r->took += kept;
    free(changes);
    return status;
}

struct dm_schema *dm_tombstones_keyed(const struct dm_dataset *tombstones, size_t n_keys)
{
    struct dm_schema *s = dm_schema_copy(tombstones->schema);
    s->n_keys = 0;
    for (size_t k = 0; k < n_keys; k++)
        dm_schema_add_key(s, (uint32_t)k);
    return s;
}

static enum dm_status read_files(struct reading *r, const struct dm_dataset *d,
                                 const struct dm_scan_file *files, size_t n, struct dm_error *err)
{
    struct dm_schema *schema = dm_tombstones_keyed(d, r->t->schema->n_keys);
    struct dm_scan_options options = {.order_by_key = true};
    enum dm_status status = dm_parquet_scan(r->m->engine, files, n, schema, &options, take_rows, r, err);
    dm_schema_unref(schema);
    dm_key_list_release(&r->keys);
    dm_key_list_release(&r->versions);
    return status;
}

enum dm_status dm_tombstones_take(struct dm_mirror *m, const struct dm_target *t,
                                  const struct dm_batch *batch, bool out, struct dm_error *err)
{
    struct reading r = {.m = m, .t = t, .expire = out};
    enum dm_status status = take_rows(&r, batch, NULL, NULL, err);
    dm_key_list_release(&r.keys);
    dm_key_list_release(&r.versions);
    return status;
}

enum dm_status dm_tombstones_load(struct dm_mirror *m, const struct dm_target *t, struct dm_error *err)
{
    const struct dm_dataset *d = NULL;
    if (dm_tombstones_dataset(m, t, &d, err) != DM_OK)
        return DM_FAIL;
    enum dm_status status = DM_OK;
    if (d != NULL && d->live_rows > 0) {
        struct reading r = {.m = m, .t = t};
        struct dm_scan_file *files = dm_xzalloc(d->n_files, sizeof *files);
        for (size_t i = 0; i < d->n_files; i++)
            files[i] = dm_data_file_scan(&d->files[i]);
        status = read_files(&r, d, files, d->n_files, err);
        free(files);
    }
    if (status == DM_OK)
        status = dm_keyindex_tag_set(m->index, t->state.id | DM_INDEX_TOMBSTONES,
                                     d != NULL ? d->snapshot_id : 0, err);
    return status;
}

/* ---- expiry ---- */

/* When the tombstones of a file were made. */
struct span {
    int64_t oldest, youngest;
};

static enum dm_status widen(void *ctx, const struct dm_batch *batch, const uint32_t *files,
                            const uint32_t *positions, struct dm_error *err)
{
    (void)files;
    (void)positions;
    (void)err;
    struct span *s = ctx;
    for (size_t i = 0; i < batch->rows; i++) {
        if (batch->columns[0].state[i] != DM_VALID)
            continue;
        int64_t at = dm_column_int64(&batch->columns[0], i);
        s->oldest = at < s->oldest ? at : s->oldest;
        s->youngest = at > s->youngest ? at : s->youngest;
    }
    return DM_OK;
}

static enum dm_status span_of(struct dm_mirror *m, const struct dm_data_file *f, struct span *out,
                              struct dm_error *err)
{
    struct dm_schema *time_only = dm_schema_new();
    dm_schema_add(time_only, "_deleted_at", dm_type_of(DM_TIMESTAMPTZ))->id = first_added_id + 1;
    struct dm_scan_file file = dm_data_file_scan(f);
    struct dm_scan_options options = {0};
    *out = (struct span){.oldest = INT64_MAX, .youngest = INT64_MIN};
    enum dm_status status = dm_parquet_scan(m->engine, &file, 1, time_only, &options, widen, out, err);
    dm_schema_unref(time_only);
    return status;
}

/* A file was written at or after its youngest tombstone, so one written after the limit need not be opened. */
static bool written_after(const char *path, int64_t limit_us)
{
    struct stat st;
    return stat(path, &st) == 0 &&
           (int64_t)st.st_mtim.tv_sec * 1000000 + st.st_mtim.tv_nsec / 1000 > limit_us;
}

/* Files all of whose tombstones were made at or before the limit. */
static enum dm_status choose_expired(struct dm_mirror *m, const struct dm_dataset *d, int64_t limit_us,
                                     struct dm_scan_file *out, size_t *n, struct dm_error *err)
{
    *n = 0;
    enum dm_status status = DM_OK;
    for (size_t i = 0; i < d->n_files && status == DM_OK; i++) {
        if (written_after(d->files[i].path, limit_us))
            continue;
        struct span span;
        status = span_of(m, &d->files[i], &span, err);
        if (status == DM_OK && span.youngest <= limit_us)
            out[(*n)++] = dm_data_file_scan(&d->files[i]);
    }
    return status;
}

/* Tombstones have left the index; an older one of such a key counts again where it is still there. That is in a merged file, with younger ones of other
 * keys, and it was made before the one that left (but for a clock that was set back meanwhile). */
static enum dm_status restore_older(struct reading *r, int64_t limit_us, struct dm_error *err)
{
    const int64_t clock_set_back_us = INT64_C(3600) * 1000000;
    const struct dm_dataset *d = NULL;
    if (dm_tombstones_dataset(r->m, r->t, &d, err) != DM_OK || d == NULL)
        return d == NULL ? DM_OK : DM_FAIL;
    struct dm_scan_file *files = dm_xzalloc(d->n_files + 1, sizeof *files);
    enum dm_status status = DM_OK;
    size_t n = 0;
    for (size_t i = 0; i < d->n_files && status == DM_OK; i++) {
        struct span span;
        status = span_of(r->m, &d->files[i], &span, err);
        if (status == DM_OK && span.oldest <= limit_us + clock_set_back_us)
            files[n++] = dm_data_file_scan(&d->files[i]);
    }
    r->expire = false;
    if (status == DM_OK && n > 0)
        status = read_files(r, d, files, n, err);
    free(files);
    return status;
}

static enum dm_status drop_files(struct dm_mirror *m, const struct dm_target *t, const struct dm_dataset *d,
                                 const struct dm_scan_file *files, size_t n, int64_t limit_us,
                                 struct dm_commit *commit, const struct dm_commit_summary *summary,
                                 struct dm_error *err)
{
    struct reading r = {.m = m, .t = t, .expire = true};
    enum dm_status status = read_files(&r, d, files, n, err);
    for (size_t i = 0; i < n && status == DM_OK; i++)
        status = dm_commit_remove_file(commit, d->namespace, d->name, files[i].number, err);
    if (status == DM_OK)
        status = dm_commit_write(commit, summary, err);
    dm_crash_point("expire-before-publish");
    if (status == DM_OK)
        status = dm_commit_publish(commit, NULL, NULL, err);
    dm_crash_point("expire-after-publish");
    if (status == DM_OK && r.took > 0)
        status = restore_older(&r, limit_us, err);
    if (status == DM_OK)
        status = dm_index_tag_commit(m, commit, t, err);
    return status == DM_OK ? dm_keyindex_commit(m->index, err) : status;
}

enum dm_status dm_tombstones_expire(struct dm_mirror *m, const struct dm_target *t,
                                    const struct dm_commit_summary *summary, size_t *dropped,
                                    struct dm_error *err)
{
    int64_t retention_ms = t->rules->schema->settings.tombstone_retention_ms;
    const struct dm_dataset *d = NULL;
    size_t n = 0;
    if (dropped != NULL)
        *dropped = 0;
    if (retention_ms < 0)
        return DM_OK;
    if (retention_ms == 0)
        retention_ms = DEFAULT_RETENTION_MS;
    if (dm_tombstones_dataset(m, t, &d, err) != DM_OK)
        return DM_FAIL;
    if (d == NULL || d->n_files == 0 || retention_ms > INT64_MAX / 2000)
        return DM_OK;
    struct dm_scan_file *files = dm_xzalloc(d->n_files, sizeof *files);
    const int64_t limit_us = dm_clock_wall_us() - retention_ms * 1000;
    enum dm_status status = choose_expired(m, d, limit_us, files, &n, err);
    struct dm_commit *commit = NULL;
    if (status == DM_OK && n > 0) {
        status = dm_commit_begin(m->lake, &commit, err);
        if (status == DM_OK)
            status = dm_keyindex_begin(m->index, err);
        if (status == DM_OK)
            status = drop_files(m, t, d, files, n, limit_us, commit, summary, err);
        if (status == DM_OK)
            dm_log(DM_LOG_DEBUG, "%s.%s: %zu files of tombstones are past their time", t->state.namespace,
                   t->state.name, n);
        else
            dm_keyindex_abort(m->index);
        dm_commit_free(commit);
    }
    free(files);
    if (status == DM_OK && dropped != NULL)
        *dropped = n;
    if (status != DM_OK)
        dm_error_prefix(err, "%s.%s: expiring tombstones", t->state.namespace, t->state.name);
    return status;
}
