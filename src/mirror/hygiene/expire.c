#include "mirror/hygiene/expire.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/crash_point.h"
#include "base/log.h"
#include "base/memory.h"
#include "lake/dataset_scan.h"
#include "mirror/declare/declared.h"
#include "mirror/commit/tombstones.h"
#include "mirror/hygiene/erase.h"
#include "mirror/index/index_rebuild.h"
#include "mirror/quarantine/bad_row_key.h"
#include "mirror/quarantine/quarantine_table.h"
#include "registry/period.h"

/* ---- what is past it ---- */

enum dm_status dm_expiry_of(struct sqlite3 *db, const char *dataset, const struct dm_schema *schema,
                            int64_t now_us, struct dm_expiry *out, struct dm_error *err)
{
    struct dm_relational_schema *s = NULL;
    struct dm_period period;
    *out = (struct dm_expiry){.field = -1};
    if (dm_registry_get(db, dataset, &s, err) != DM_OK)
        return DM_FAIL;
    if (s != NULL && s->settings.expire != NULL && dm_period_parse(s->settings.expire, &period)) {
        const char *column = s->timestamp != NULL ? s->timestamp : s->version;
        int field = column != NULL ? dm_schema_find(schema, column) : -1;
        enum dm_type_id id = field >= 0 ? (enum dm_type_id)schema->fields[field].type.id : DM_BOOL;
        if (id == DM_TIMESTAMP || id == DM_TIMESTAMPTZ || id == DM_TIMESTAMP_NS || id == DM_DATE)
            *out = (struct dm_expiry){.field = field,
                                      .type = schema->fields[field].type,
                                      .cutoff_us = dm_period_before(now_us, period)};
    }
    dm_relational_schema_free(s);
    return DM_OK;
}

bool dm_expiry_passed(const struct dm_expiry *e, const struct dm_column *c, size_t row)
{
    if (c->state[row] != DM_VALID)
        return false;
    if (e->type.id == DM_DATE) {
        int32_t days = dm_column_int32(c, row);
        return days != DM_DATE_NEG_INFINITY && days != DM_DATE_INFINITY &&
               ((int64_t)days + 1) * INT64_C(86400000000) <= e->cutoff_us; /* the whole day lies before it */
    }
    int64_t at = dm_column_int64(c, row);
    if (at == DM_TIMESTAMP_NEG_INFINITY || at == DM_TIMESTAMP_INFINITY)
        return false;
    if (e->type.id == DM_TIMESTAMP_NS)
        at = at / 1000 - (at % 1000 < 0); /* the microsecond that it lies in */
    return at < e->cutoff_us;
}

struct search {
    const struct dm_expiry *e;
    dm_expire_hit fn;
    void *ctx;
};

static enum dm_status look(void *ctx, const struct dm_batch *batch, const uint32_t *files,
                           const uint32_t *positions, struct dm_error *err)
{
    struct search *s = ctx;
    (void)err;
    for (size_t i = 0; i < batch->rows; i++)
        if (dm_expiry_passed(s->e, &batch->columns[0], i))
            s->fn(s->ctx, files[i], positions[i]);
    return DM_OK;
}

enum dm_status dm_expire_find(struct dm_engine *engine, const struct dm_scan_file *files, size_t n,
                              const struct dm_schema *schema, const struct dm_expiry *e, dm_expire_hit fn,
                              void *ctx, struct dm_error *err)
{
    struct search s = {.e = e, .fn = fn, .ctx = ctx};
    struct dm_schema *time_only = dm_schema_new();
    struct dm_scan_options options = {0};
    dm_schema_add_copy(time_only, &schema->fields[e->field]);
    enum dm_status status =
        n > 0 ? dm_parquet_scan(engine, files, n, time_only, &options, look, &s, err) : DM_OK;
    dm_schema_unref(time_only);
    return status;
}

/* ---- removing ---- */

/* One dataset. */
struct expiring {
    struct dm_mirror *m;
    const struct dm_dataset_state *state;
    struct dm_target *declared;
    const struct dm_dataset *d;
    struct dm_expiry expiry;
    struct dm_commit *commit;
    struct dm_batch *keys; /* of rows that go; NULL: the dataset has none */
    uint64_t rows;
    size_t n, room;
    uint32_t *positions; /* of one file */
    uint64_t aside;      /* rows in quarantine that go */
};

static void count_hit(void *ctx, uint32_t file, uint32_t position)
{
    (void)file;
    (void)position;
    ++*(uint64_t *)ctx;
}

static void gather(void *ctx, uint32_t file, uint32_t position)
{
    struct expiring *x = ctx;
    (void)file;
    if (x->n == x->room) {
        x->room = x->room == 0 ? 1024 : x->room * 2;
        x->positions = dm_xrealloc(x->positions, x->room, sizeof *x->positions);
    }
    x->positions[x->n++] = position;
}

static int by_position(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

/* The keys of the gathered rows leave the index. */
static enum dm_status forget_keys(struct expiring *x, const char *path, struct dm_error *err)
{
    struct dm_key_list keys = {0};
    struct dm_batch *b = x->keys;
    dm_batch_clear(b);
    enum dm_status status = dm_parquet_fetch(x->m->engine, path, x->positions, x->n, b->schema, b, err);
    if (status == DM_OK)
        status = dm_key_list_encode(&keys, b, err);
    if (status == DM_OK) {
        struct dm_index_change *c = dm_index_changes_of(&keys);
        dm_index_changes_sort(c, b->rows);
        status = dm_keyindex_apply(x->m->index, x->state->id, c, b->rows, err);
        free(c);
    }
    dm_key_list_release(&keys);
    return status;
}

static enum dm_status expire_file(struct expiring *x, const struct dm_data_file *f, struct dm_error *err)
{
    struct dm_scan_file file = {.path = f->path, .number = f->number, .rows = f->rows, .deleted = f->deleted};
    x->n = 0;
    if (dm_expire_find(x->m->engine, &file, 1, x->d->schema, &x->expiry, gather, x, err) != DM_OK)
        return DM_FAIL;
    if (x->n == 0)
        return DM_OK;
    qsort(x->positions, x->n, sizeof *x->positions, by_position);
    x->rows += x->n;
    if (x->keys != NULL && forget_keys(x, f->path, err) != DM_OK)
        return DM_FAIL;
    return dm_commit_delete_rows(x->commit, x->d->namespace, x->d->name, f->number, x->positions, x->n, err);
}

static enum dm_status publish(struct expiring *x, struct dm_error *err)
{
    struct dm_still_summary still;
    if (dm_still_summary_make(x->m, x->state->source, 0, &still, err) != DM_OK)
        return DM_FAIL;
    if (x->state->source[0] == '\0')
        still.summary.source = still.summary.position = "expire";
    enum dm_status status = dm_commit_write(x->commit, &still.summary, err);
    dm_crash_point("expire-rows-before-publish");
    if (status == DM_OK)
        status = dm_commit_publish(x->commit, NULL, NULL, err);
    dm_crash_point("expire-rows-after-publish");
    if (status == DM_OK && x->keys != NULL)
        status = dm_keyindex_tag_set(x->m->index, x->state->id,
                                     dm_commit_snapshot(x->commit, x->state->namespace, x->state->name), err);
    if (status == DM_OK && x->declared != NULL) /* those that the rows had outlived count again */
        status = dm_tombstones_load(x->m, x->declared, err);
    dm_still_summary_release(&still);
    return status;
}

static enum dm_status remove_rows(struct expiring *x, struct dm_error *err)
{
    enum dm_status status = dm_commit_begin(x->m->lake, &x->commit, err);
    if (status == DM_OK)
        status = dm_keyindex_begin(x->m->index, err);
    for (size_t i = 0; i < x->d->n_files && status == DM_OK; i++)
        status = expire_file(x, &x->d->files[i], err);
    if (status == DM_OK && x->rows > 0)
        status = publish(x, err);
    if (status == DM_OK && x->rows > 0)
        status = dm_keyindex_commit(x->m->index, err);
    else
        dm_keyindex_abort(x->m->index);
    dm_commit_free(x->commit);
    return status;
}

/* A cheap count first: mostly nothing is to be done. */
static enum dm_status expire_dataset(struct expiring *x, bool dry_run, struct dm_error *err)
{
    struct dm_scan_file *files = dm_dataset_scan(x->d);
    uint64_t rows = 0;
    enum dm_status status =
        dm_expire_find(x->m->engine, files, x->d->n_files, x->d->schema, &x->expiry, count_hit, &rows, err);
    free(files);
    if (status != DM_OK || rows == 0 || dry_run) {
        x->rows = rows;
        return status;
    }
    if (x->state->source[0] == '\0') {
        char *name = dm_xasprintf("%s.%s", x->state->namespace, x->state->name);
        status = dm_declared_target(x->m, name, &x->declared, err);
        free(name);
    }
    if (status == DM_OK)
        status = dm_index_catch_up_dataset(x->m, x->state, x->declared, err);
    const struct dm_schema *schema = x->d->schema;
    bool keyed = schema->n_keys > 0 && !x->state->append_only;
    struct dm_schema *keys = keyed ? dm_schema_keys(schema) : NULL;
    x->keys = keys != NULL ? dm_batch_new(keys) : NULL;
    if (status == DM_OK)
        status = remove_rows(x, err);
    dm_batch_free(x->keys);
    dm_schema_unref(keys);
    dm_target_free(x->declared);
    free(x->positions);
    return status;
}

/* ---- what waits, or is bad ---- */

struct aside {
    const struct expiring *x;
    size_t n;
    int64_t *ids;
};

static enum dm_status look_aside(void *ctx, const struct dm_quarantine_row *row, struct dm_error *err)
{
    struct aside *a = ctx;
    const struct dm_expiry *e = &a->x->expiry;
    struct dm_column value;
    (void)err;
    dm_column_init(&value, e->type);
    bool passed = row->raw != NULL &&
                  dm_bad_row_value(row->raw, a->x->d->schema->fields[e->field].name, &value) &&
                  dm_expiry_passed(e, &value, 0);
    dm_column_release(&value);
    if (!passed)
        return DM_OK;
    a->ids = dm_xrealloc(a->ids, a->n + 1, sizeof *a->ids);
    a->ids[a->n++] = row->id;
    return DM_OK;
}

static enum dm_status expire_aside(struct expiring *x, bool dry_run, struct dm_error *err)
{
    struct sqlite3 *db = dm_lake_sqlite(x->m->lake);
    struct aside a = {.x = x};
    struct dm_quarantine_choice choice = {.dataset = x->state->id};
    enum dm_status status = dm_quarantine_each(db, &choice, look_aside, &a, err);
    x->aside = a.n;
    choice.ids = a.ids;
    choice.n_ids = a.n;
    if (status == DM_OK && a.n > 0 && !dry_run)
        status = dm_quarantine_remove(db, &choice, NULL, err);
    free(a.ids);
    return status;
}

/* ---- all ---- */

static enum dm_status expire_one(struct dm_mirror *m, const struct dm_dataset_state *state, const char *name,
                                 bool dry_run, json_t *list, struct dm_error *err)
{
    struct expiring x = {.m = m, .state = state};
    char before[40];
    if (strcmp(state->state, "dropped") == 0 || strcmp(state->state, "refused") == 0)
        return DM_OK;
    (void)pthread_mutex_lock(&m->lake_mutex);
    enum dm_status status = dm_lake_dataset(m->lake, state->namespace, state->name, &x.d, err);
    x.expiry.field = -1;
    if (status == DM_OK && x.d != NULL)
        status = dm_expiry_of(dm_lake_sqlite(m->lake), name, x.d->schema, dm_clock_wall_us(), &x.expiry, err);
    bool expires = status == DM_OK && x.expiry.field >= 0;
    if (expires)
        status = expire_dataset(&x, dry_run, err);
    if (expires && status == DM_OK)
        status = expire_aside(&x, dry_run, err);
    (void)pthread_mutex_unlock(&m->lake_mutex);
    if (status != DM_OK)
        dm_error_prefix(err, "expiring rows of %s", name);
    if (status != DM_OK || !expires)
        return status;
    if (x.rows + x.aside > 0 && !dry_run)
        dm_log(DM_LOG_INFO,
               "%s: %" PRIu64 " rows are past their expiry and were removed, %" PRIu64
               " of them in quarantine",
               name, x.rows + x.aside, x.aside);
    json_array_append_new(list, json_pack("{s:s, s:s, s:I, s:I}", "dataset", name, "before",
                                          dm_clock_format_us(x.expiry.cutoff_us, before, sizeof before),
                                          "rows", (json_int_t)x.rows, "quarantined", (json_int_t)x.aside));
    return DM_OK;
}

static enum dm_status expire(struct dm_mirror *m, const char *dataset, bool dry_run, json_t *list,
                             struct dm_error *err)
{
    struct dm_dataset_states states = {0};
    char *wanted = dataset != NULL ? dm_relational_schema_name(dataset) : NULL;
    (void)pthread_mutex_lock(&m->lake_mutex);
    enum dm_status status = dm_state_datasets(dm_lake_sqlite(m->lake), NULL, &states, err);
    (void)pthread_mutex_unlock(&m->lake_mutex);
    bool found = wanted == NULL;
    for (size_t i = 0; i < states.n && status == DM_OK && *m->stop < 2; i++) {
        char *name = dm_xasprintf("%s.%s", states.items[i].namespace, states.items[i].name);
        if (wanted == NULL || strcmp(wanted, name) == 0) {
            found = true;
            status = expire_one(m, &states.items[i], name, dry_run, list, err);
        }
        free(name);
    }
    if (status == DM_OK && !found)
        status = dm_fail(err, DM_ERROR_CONFIG, "`datamirror status` lists the datasets",
                         "there is no dataset %s", wanted);
    else if (status == DM_OK && wanted != NULL && json_array_size(list) == 0)
        status = dm_fail(err, DM_ERROR_CONFIG,
                         "declare `expire: P3M` in its schema, with a timestamp or a version that is a time",
                         "%s has no expiry", wanted);
    dm_dataset_states_release(&states);
    free(wanted);
    return status;
}

static enum dm_status run_expire(struct dm_mirror *m, const json_t *order, const struct dm_order_hooks *hooks,
                                 json_t **result, struct dm_error *err)
{
    (void)hooks;
    json_t *list = json_array();
    enum dm_status status = expire(m, json_string_value(json_object_get(order, "dataset")),
                                   json_is_true(json_object_get(order, "dry_run")), list, err);
    if (status == DM_OK)
        *result = json_pack("{s:O}", "datasets", list);
    json_decref(list);
    return status;
}

const struct dm_order_kind dm_order_expire = {.name = "expire", .run = run_expire};

/* Whether any schema has an expiry is one look at the registry's settings. */
enum dm_status dm_expire_all(struct dm_mirror *m, struct dm_error *err)
{
    struct dm_relational_schemas all = {0};
    bool some = false;
    (void)pthread_mutex_lock(&m->lake_mutex);
    enum dm_status status = dm_registry_list(dm_lake_sqlite(m->lake), &all, err);
    (void)pthread_mutex_unlock(&m->lake_mutex);
    for (size_t i = 0; i < all.n; i++)
        some |= all.items[i]->settings.expire != NULL;
    dm_relational_schemas_release(&all);
    json_t *list = json_array();
    if (status == DM_OK && some)
        status = expire(m, NULL, false, list, err);
    json_decref(list);
    return status;
}
