#include "mirror/hygiene/record_delete.h"

#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/crash_point.h"
#include "base/log.h"
#include "base/memory.h"
#include "lake/dataset_scan.h"
#include "mirror/hygiene/erase.h"
#include "mirror/hygiene/erase_files.h"
#include "mirror/index/index_rebuild.h"
#include "mirror/quarantine/quarantine_table.h"
#include "mirror/hygiene/record_delete_search.h"

/* One dataset of the commit. */
struct deleting {
    struct dm_delete_part *part;
    struct dm_key_list keys;
    struct dm_key_hash *hashes;
    struct dm_suppressed *set;
    uint64_t rows, history, tombstones;
    size_t n_ids;
    int64_t *ids; /* rows in quarantine that go */
    size_t n_waiting;
    int64_t *waiting; /* rows in other datasets' quarantine: children that wait for a deleted row */
};

struct deletion {
    struct dm_mirror *m;
    const json_t *order;
    struct dm_delete_hits hits;
    struct deleting *parts; /* parallel to hits.parts */
    struct dm_work_order work;
    bool until_erased;
    struct dm_commit *commit;
};

/* ---- texts ---- */

static const char *text_of(const json_t *o, const char *key)
{
    return json_string_value(json_object_get(o, key));
}

static void put_count(json_t *o, const char *key, uint64_t n)
{
    json_object_set_new(o, key, json_integer((json_int_t)n));
}

static json_t *report_of(const struct deletion *d, bool done)
{
    json_t *report = json_object(), *list = json_array(), *references = json_array();
    for (size_t i = 0; i < d->hits.n; i++) {
        const struct dm_delete_part *p = &d->hits.parts[i];
        json_t *o = json_object();
        json_object_set_new(o, "dataset", json_string(p->name));
        put_count(o, "dataset_id", p->state.id);
        json_object_set_new(o, "via", p->via != NULL ? json_string(p->via) : json_null());
        put_count(o, "keys", p->keys->rows);
        put_count(o, "rows", done ? d->parts[i].rows : p->live);
        if (done) {
            put_count(o, "history_rows", d->parts[i].history);
            put_count(o, "tombstones", d->parts[i].tombstones);
            put_count(o, "quarantine_rows", d->parts[i].n_ids + d->parts[i].n_waiting);
        }
        json_array_append_new(list, o);
    }
    for (size_t i = 0; i < d->hits.n_references; i++) {
        const struct dm_delete_reference *r = &d->hits.references[i];
        json_array_append_new(references, json_pack("{s:s, s:s, s:I}", "dataset", r->child, "relationship",
                                                    r->relationship, "rows", (json_int_t)r->rows));
    }
    json_object_set_new(report, "datasets", list);
    json_object_set_new(report, "references", references);
    json_object_set(report, "notes", d->hits.notes);
    return report;
}

/* ---- rows ---- */

struct places {
    size_t n, room;
    struct dm_place *items;
};

static void add_place(struct places *p, struct dm_place place)
{
    if (p->n == p->room) {
        p->room = p->room == 0 ? 64 : p->room * 2;
        p->items = dm_xrealloc(p->items, p->room, sizeof *p->items);
    }
    p->items[p->n++] = place;
}

static void on_hit(void *ctx, uint32_t file, uint32_t position)
{
    add_place(ctx, (struct dm_place){.file = file, .position = position});
}

static int by_file(const void *a, const void *b)
{
    const struct dm_place *x = a, *y = b;
    return x->file != y->file          ? (x->file < y->file ? -1 : 1)
           : x->position < y->position ? -1
                                       : x->position > y->position;
}

static enum dm_status delete_places(struct dm_commit *commit, const struct dm_dataset *d, struct places *p,
                                    struct dm_error *err)
{
    if (p->n > 0)
        qsort(p->items, p->n, sizeof *p->items, by_file);
    uint32_t *positions = dm_xalloc((p->n + 1) * sizeof *positions);
    enum dm_status status = DM_OK;
    for (size_t i = 0; i < p->n && status == DM_OK;) {
        uint32_t file = p->items[i].file;
        size_t n = 0;
        for (; i < p->n && p->items[i].file == file; i++)
            positions[n++] = p->items[i].position;
        status = dm_commit_delete_rows(commit, d->namespace, d->name, file, positions, n, err);
    }
    free(positions);
    return status;
}

/* Out of the dataset and its index. A declared dataset's tombstones leave the index, too: suppression takes their place. */
static enum dm_status delete_rows(struct deletion *d, struct deleting *g, struct dm_error *err)
{
    size_t n = g->part->keys->rows;
    struct dm_index_change *c = dm_xzalloc(n + 1, sizeof *c);
    for (size_t i = 0; i < n; i++)
        c[i] = (struct dm_index_change){.key = g->keys.bytes.data + g->keys.offsets[i],
                                        .key_len = (uint32_t)(g->keys.offsets[i + 1] - g->keys.offsets[i])};
    dm_index_changes_sort(c, n);
    enum dm_status status = dm_keyindex_apply(d->m->index, g->part->state.id, c, n, err);
    struct places places = {0};
    for (size_t i = 0; i < n && status == DM_OK; i++)
        if (dm_place_known(c[i].old))
            add_place(&places, c[i].old);
    g->rows = places.n;
    if (status == DM_OK)
        status = delete_places(d->commit, g->part->dataset, &places, err);
    free(places.items);
    free(c);
    return status;
}

/* Out of a side dataset: whatever visible row has one of the keys. */
static enum dm_status delete_side_rows(struct deletion *d, struct deleting *g, const struct dm_dataset *side,
                                       struct dm_error *err)
{
    struct dm_schema *keys = dm_erase_key_schema(g->part->dataset->schema, side->schema);
    if (keys == NULL)
        return DM_OK;
    struct places places = {0};
    struct dm_scan_file *files = dm_dataset_scan(side);
    enum dm_status status =
        dm_erase_find(d->m->engine, files, side->n_files, false, keys, g->set, on_hit, &places, err);
    if (status == DM_OK)
        status = delete_places(d->commit, side, &places, err);
    const char *tail = side->name + strlen(g->part->state.name);
    *(strcmp(tail, "__tombstones") == 0 ? &g->tombstones : &g->history) += places.n;
    free(places.items);
    free(files);
    dm_schema_unref(keys);
    return status;
}

static enum dm_status delete_part(struct deletion *d, struct deleting *g, struct dm_error *err)
{
    struct dm_family family;
    if (dm_family_load(d->m, &g->part->state, &family, err) != DM_OK)
        return DM_FAIL;
    enum dm_status status = delete_rows(d, g, err);
    for (size_t i = 1; i < family.n && status == DM_OK; i++)
        status = delete_side_rows(d, g, family.members[i], err);
    dm_family_release(&family);
    if (status != DM_OK)
        dm_error_prefix(err, "%s", g->part->name);
    return status;
}

/* ---- the commit ---- */

static int64_t *add_waiting(int64_t *ids, size_t *n, int64_t id)
{
    ids = dm_xrealloc(ids, *n + 1, sizeof *ids);
    ids[(*n)++] = id;
    return ids;
}

static void add_id(struct deleting *g, int64_t id)
{
    for (size_t i = 0; i < g->n_ids; i++)
        if (g->ids[i] == id)
            return;
    g->ids = dm_xrealloc(g->ids, g->n_ids + 1, sizeof *g->ids);
    g->ids[g->n_ids++] = id;
}

/* A bad row whose key nobody could read (a line with too few values) is found by the key's text in it. Short texts and numbers would be found anywhere. */
static enum dm_status match_texts(struct deletion *d, struct deleting *g, struct dm_error *err)
{
    enum { shortest = 5 };
    const struct dm_column *c = &g->part->keys->columns[0];
    sqlite3 *db = dm_lake_sqlite(d->m->lake);
    sqlite3_stmt *st;
    if (g->part->keys->n_columns != 1 || c->type.id != DM_STRING)
        return DM_OK;
    if (sqlite3_prepare_v2(db, "SELECT id FROM dm_quarantine WHERE dataset = ?1 AND instr(raw, ?2) > 0", -1,
                           &st, NULL) != SQLITE_OK)
        return dm_fail(err, DM_ERROR_TRANSIENT, NULL, "catalog.db: %s", sqlite3_errmsg(db));
    int code = SQLITE_DONE;
    for (size_t i = 0; i < g->part->keys->rows && code == SQLITE_DONE; i++) {
        size_t n;
        const uint8_t *text = dm_column_bytes_at(c, i, &n);
        if (n < shortest)
            continue;
        sqlite3_bind_int64(st, 1, g->part->state.id);
        sqlite3_bind_text64(st, 2, (const char *)text, n, SQLITE_STATIC, SQLITE_UTF8);
        while ((code = sqlite3_step(st)) == SQLITE_ROW)
            add_id(g, sqlite3_column_int64(st, 0));
        sqlite3_reset(st);
    }
    sqlite3_finalize(st);
    return code == SQLITE_DONE ? DM_OK
                               : dm_fail(err, DM_ERROR_TRANSIENT, NULL, "catalog.db: %s", sqlite3_errmsg(db));
}

/* Children in quarantine that wait for one of the deleted rows, when dependents go, too. */
static enum dm_status match_waiting(struct deletion *d, struct deleting *g, struct dm_error *err)
{
    sqlite3 *db = dm_lake_sqlite(d->m->lake);
    sqlite3_stmt *st;
    if (!json_is_true(json_object_get(d->order, "related")))
        return DM_OK;
    if (sqlite3_prepare_v2(db, "SELECT id, parent_key FROM dm_quarantine WHERE waits_for = ?1", -1, &st,
                           NULL) != SQLITE_OK)
        return dm_fail(err, DM_ERROR_TRANSIENT, NULL, "catalog.db: %s", sqlite3_errmsg(db));
    sqlite3_bind_int64(st, 1, g->part->state.id);
    int code;
    while ((code = sqlite3_step(st)) == SQLITE_ROW)
        if (dm_suppressed_has(g->set, sqlite3_column_blob(st, 1), (size_t)sqlite3_column_bytes(st, 1)))
            g->waiting = add_waiting(g->waiting, &g->n_waiting, sqlite3_column_int64(st, 0));
    sqlite3_finalize(st);
    return code == SQLITE_DONE ? DM_OK
                               : dm_fail(err, DM_ERROR_TRANSIENT, NULL, "catalog.db: %s", sqlite3_errmsg(db));
}

static enum dm_status prepare_part(struct deletion *d, struct deleting *g, struct dm_error *err)
{
    size_t n = g->part->keys->rows;
    if (dm_key_list_encode(&g->keys, g->part->keys, err) != DM_OK)
        return DM_FAIL;
    g->hashes = dm_xzalloc(n + 1, sizeof *g->hashes);
    for (size_t i = 0; i < n; i++)
        dm_suppression_hash(d->m->suppression, g->keys.bytes.data + g->keys.offsets[i],
                            g->keys.offsets[i + 1] - g->keys.offsets[i], &g->hashes[i]);
    g->set = dm_suppressed_new(d->m->suppression, g->hashes, n);
    enum dm_status status = dm_quarantine_of_keys(d->m, g->part->state.id, g->part->dataset->schema, g->set,
                                                  &g->ids, &g->n_ids, err);
    if (status == DM_OK)
        status = match_texts(d, g, err);
    return status == DM_OK ? match_waiting(d, g, err) : status;
}

static enum dm_status save(void *ctx, struct sqlite3 *db, struct dm_error *err)
{
    struct deletion *d = ctx;
    enum dm_status status = dm_suppression_save(d->m->suppression, db, err);
    for (size_t i = 0; i < d->hits.n && status == DM_OK; i++) {
        struct deleting *g = &d->parts[i];
        struct dm_quarantine_choice choice = {.dataset = g->part->state.id, .n_ids = g->n_ids, .ids = g->ids};
        uint64_t removed = 0;
        if (g->n_ids > 0)
            status = dm_quarantine_remove(db, &choice, &removed, err);
        choice = (struct dm_quarantine_choice){.n_ids = g->n_waiting, .ids = g->waiting};
        if (status == DM_OK && g->n_waiting > 0)
            status = dm_quarantine_remove(db, &choice, &removed, err);
        if (status == DM_OK && d->until_erased)
            status = dm_work_order_put_keys(db, d->work.id, g->part->state.id, g->hashes, g->part->keys->rows,
                                            err);
    }
    return status == DM_OK ? dm_work_order_insert(db, &d->work, err) : status;
}

static enum dm_status publish(struct deletion *d, struct dm_error *err)
{
    const char *source = d->hits.parts[0].state.source;
    for (size_t i = 1; i < d->hits.n; i++)
        if (strcmp(d->hits.parts[i].state.source, source) != 0)
            source = ""; /* one summary for all: of nobody in particular */
    struct dm_still_summary still;
    if (dm_still_summary_make(d->m, source, d->work.id, &still, err) != DM_OK)
        return DM_FAIL;
    enum dm_status status = dm_commit_write(d->commit, &still.summary, err);
    dm_crash_point("delete-before-publish");
    for (size_t i = 0; i < d->hits.n && status == DM_OK; i++)
        dm_suppression_stage(d->m->suppression, d->hits.parts[i].state.id, d->parts[i].hashes,
                             d->hits.parts[i].keys->rows, d->work.id);
    if (status == DM_OK) {
        d->work.report = report_of(d, true);
        status = dm_commit_publish(d->commit, save, d, err);
    }
    dm_suppression_settle(d->m->suppression, status == DM_OK);
    dm_crash_point("delete-after-publish");
    dm_still_summary_release(&still);
    return status;
}

static enum dm_status tag_parts(struct deletion *d, struct dm_error *err)
{
    enum dm_status status = DM_OK;
    for (size_t i = 0; i < d->hits.n && status == DM_OK; i++)
        status = dm_family_tag(d->m, &d->hits.parts[i].state, d->commit, err);
    return status;
}

/* Histories by version, whose entries are not known one by one. */
static enum dm_status catch_up_parts(struct deletion *d, struct dm_error *err)
{
    enum dm_status status = DM_OK;
    for (size_t i = 0; i < d->hits.n && status == DM_OK; i++)
        if (d->hits.parts[i].declared != NULL)
            status = dm_index_catch_up(d->m, &d->hits.parts[i].declared, 1, err);
    return status;
}

static enum dm_status commit(struct deletion *d, struct dm_error *err)
{
    enum dm_status status = dm_commit_begin(d->m->lake, &d->commit, err);
    if (status == DM_OK)
        status = dm_keyindex_begin(d->m->index, err);
    for (size_t i = 0; i < d->hits.n && status == DM_OK; i++)
        status = delete_part(d, &d->parts[i], err);
    if (status == DM_OK)
        status = publish(d, err);
    bool published = status == DM_OK;
    if (status == DM_OK)
        status = tag_parts(d, err);
    if (status == DM_OK)
        status = dm_keyindex_commit(d->m->index, err);
    else
        dm_keyindex_abort(d->m->index);
    dm_commit_free(d->commit);
    d->commit = NULL;
    if (status == DM_OK)
        status = catch_up_parts(d, err);
    if (published && status != DM_OK) { /* it is done; the index is caught up when it is looked at */
        dm_log_error(DM_LOG_WARN, "after a deletion", err);
        return DM_OK;
    }
    return status;
}

/* ---- the order ---- */

static void release(struct deletion *d)
{
    for (size_t i = 0; d->parts != NULL && i < d->hits.n; i++) {
        dm_key_list_release(&d->parts[i].keys);
        dm_suppressed_unref(d->parts[i].set);
        free(d->parts[i].hashes);
        free(d->parts[i].ids);
        free(d->parts[i].waiting);
    }
    free(d->parts);
    dm_delete_hits_release(&d->hits);
    dm_work_order_release(&d->work);
}

static enum dm_status fill_work_order(struct deletion *d, struct dm_error *err)
{
    struct dm_work_order *w = &d->work;
    const char *token = text_of(d->order, "token");
    w->token = dm_xstrdup(token);
    w->name = dm_xstrdup(text_of(d->order, "name"));
    w->description = dm_xstrdup(text_of(d->order, "description"));
    w->action = dm_xstrdup("delete");
    w->status = dm_xstrdup(d->until_erased ? "erasing" : "applied");
    w->created_us = dm_clock_wall_us();
    return dm_work_order_next(dm_lake_sqlite(d->m->lake), &w->id, err);
}

/* One or several datasets; how many, or 0 when the order is not a good one. `roots` has room for all. */
static size_t read_roots(const json_t *order, struct dm_delete_root *roots)
{
    const json_t *targets = json_object_get(order, "targets");
    size_t n = targets != NULL ? json_array_size(targets) : 1;
    for (size_t i = 0; i < n; i++) {
        const json_t *o = targets != NULL ? json_array_get(targets, i) : order;
        roots[i] = (struct dm_delete_root){.dataset = text_of(o, "dataset"),
                                           .keys = json_object_get(o, "keys"),
                                           .where = text_of(o, "where")};
        if (roots[i].dataset == NULL || (roots[i].keys == NULL) == (roots[i].where == NULL))
            return 0;
    }
    return n;
}

static enum dm_status search(struct deletion *d, struct dm_error *err)
{
    struct dm_delete_root *roots =
        dm_xzalloc(json_array_size(json_object_get(d->order, "targets")) + 1, sizeof *roots);
    struct dm_delete_wanted wanted = {.n = read_roots(d->order, roots),
                                      .roots = roots,
                                      .related = json_is_true(json_object_get(d->order, "related"))};
    enum dm_status status = wanted.n > 0
                                ? dm_delete_search(d->m, &wanted, &d->hits, err)
                                : dm_fail(err, DM_ERROR_CONFIG, NULL,
                                          "an order of deletion names a dataset, and keys or a condition");
    free(roots);
    return status;
}

/* Under the lake mutex. *id: the order that was made; 0: a dry run. */
static enum dm_status carry_out(struct dm_mirror *m, const json_t *order, int64_t *id, json_t **result,
                                struct dm_error *err)
{
    struct deletion d = {
        .m = m, .order = order, .until_erased = json_is_true(json_object_get(order, "until_erased"))};
    enum dm_status status = search(&d, err);
    bool nothing = status == DM_OK && d.hits.parts[0].keys->rows == 0;
    if (nothing)
        json_array_append_new(d.hits.notes, json_string("no row meets the condition"));
    if (status == DM_OK && (nothing || json_is_true(json_object_get(order, "dry_run")))) {
        *result = report_of(&d, false);
        release(&d);
        return DM_OK;
    }
    if (status == DM_OK) {
        d.parts = dm_xzalloc(d.hits.n + 1, sizeof *d.parts);
        for (size_t i = 0; i < d.hits.n; i++)
            d.parts[i].part = &d.hits.parts[i];
        status = fill_work_order(&d, err);
    }
    for (size_t i = 0; i < d.hits.n && status == DM_OK; i++)
        status = prepare_part(&d, &d.parts[i], err);
    if (status == DM_OK)
        status = commit(&d, err);
    if (status == DM_OK) {
        *id = d.work.id;
        dm_log(DM_LOG_INFO, "order %lld: rows of %zu datasets deleted for good", (long long)d.work.id,
               d.hits.n);
    }
    release(&d);
    return status;
}

/* The order that was given before with this token. */
static enum dm_status find_repeated(struct dm_mirror *m, const json_t *order, int64_t *id,
                                    struct dm_error *err)
{
    const char *token = text_of(order, "token");
    struct dm_work_orders list = {0};
    *id = 0;
    if (token == NULL)
        return DM_OK;
    enum dm_status status = dm_work_order_list(dm_lake_sqlite(m->lake), 0, token, NULL, &list, err);
    if (status == DM_OK && list.n > 0)
        *id = list.items[0].id;
    dm_work_orders_release(&list);
    return status;
}

static enum dm_status answer(struct dm_mirror *m, int64_t id, json_t **result, struct dm_error *err)
{
    struct dm_work_orders list = {0};
    (void)pthread_mutex_lock(&m->lake_mutex);
    enum dm_status status = dm_work_order_list(dm_lake_sqlite(m->lake), id, NULL, NULL, &list, err);
    (void)pthread_mutex_unlock(&m->lake_mutex);
    if (status == DM_OK)
        *result = list.n > 0 ? dm_work_order_json(&list.items[0]) : json_object();
    dm_work_orders_release(&list);
    return status;
}

static enum dm_status run_delete(struct dm_mirror *m, const json_t *order, const struct dm_order_hooks *hooks,
                                 json_t **result, struct dm_error *err)
{
    int64_t id = 0;
    (void)pthread_mutex_lock(&m->lake_mutex);
    enum dm_status status = dm_work_order_create_tables(dm_lake_sqlite(m->lake), err);
    if (status == DM_OK)
        status = find_repeated(m, order, &id, err);
    bool fresh = id == 0;
    if (status == DM_OK && fresh)
        status = carry_out(m, order, &id, result, err);
    (void)pthread_mutex_unlock(&m->lake_mutex);
    if (status != DM_OK || id == 0)
        return status;
    if (json_is_true(json_object_get(order, "erase_later"))) {
        m->erase_wanted = true;
        return answer(m, id, result, err);
    }
    /* From here on the rows are gone for readers; what fails now is taken up again. */
    struct dm_error why = {0};
    if ((fresh && dm_erase_run(m, id, hooks, &why) != DM_OK) || dm_erase_resume(m, hooks, &why) != DM_OK)
        dm_log_error(DM_LOG_WARN, "erasing", &why);
    status = answer(m, id, result, err);
    if (status == DM_OK && why.class != DM_ERROR_NONE)
        json_object_set_new(*result, "detail", json_string(why.message));
    return status;
}

const struct dm_order_kind dm_order_delete = {.name = "delete", .run = run_delete};

/* ---- taking it back ---- */

static enum dm_status save_removal(struct dm_mirror *m, struct dm_error *err)
{
    sqlite3 *db = dm_lake_sqlite(m->lake);
    if (sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL) != SQLITE_OK)
        return dm_fail(err, DM_ERROR_TRANSIENT, NULL, "catalog.db: %s", sqlite3_errmsg(db));
    enum dm_status status = dm_suppression_save(m->suppression, db, err);
    if (status == DM_OK && sqlite3_exec(db, "COMMIT", NULL, NULL, NULL) != SQLITE_OK)
        status = dm_fail(err, DM_ERROR_TRANSIENT, NULL, "catalog.db: %s", sqlite3_errmsg(db));
    if (status != DM_OK && !sqlite3_get_autocommit(db))
        (void)sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
    return status;
}

static enum dm_status unsuppress(struct dm_mirror *m, const json_t *order, json_t **result,
                                 struct dm_error *err)
{
    struct dm_delete_root root = {.dataset = text_of(order, "dataset"),
                                  .keys = json_object_get(order, "keys")};
    struct dm_delete_wanted wanted = {.n = 1, .roots = &root};
    struct deletion d = {.m = m, .order = order};
    if (root.dataset == NULL || root.keys == NULL)
        return dm_fail(err, DM_ERROR_CONFIG, NULL, "name a dataset and keys");
    if (dm_delete_search_keys(m, &wanted, &d.hits, err) != DM_OK)
        return DM_FAIL;
    struct dm_delete_part *p = &d.hits.parts[0];
    struct deleting g = {.part = p};
    d.parts = dm_xzalloc(2, sizeof *d.parts);
    struct dm_suppressed *before = dm_suppression_of(m->suppression, p->state.id);
    size_t n_before = dm_suppressed_count(before);
    enum dm_status status = prepare_part(&d, &g, err);
    if (status == DM_OK) {
        dm_suppression_stage_removal(m->suppression, p->state.id, g.hashes, p->keys->rows);
        status = save_removal(m, err);
        dm_suppression_settle(m->suppression, status == DM_OK);
    }
    if (status == DM_OK) {
        struct dm_suppressed *after = dm_suppression_of(m->suppression, p->state.id);
        *result = json_pack("{s:s, s:I, s:I}", "dataset", p->name, "keys", (json_int_t)p->keys->rows,
                            "unsuppressed", (json_int_t)(n_before - dm_suppressed_count(after)));
        dm_suppressed_unref(after);
    }
    dm_suppressed_unref(before);
    d.parts[0] = g;
    release(&d);
    return status;
}

static enum dm_status run_unsuppress(struct dm_mirror *m, const json_t *order,
                                     const struct dm_order_hooks *hooks, json_t **result,
                                     struct dm_error *err)
{
    (void)hooks;
    (void)pthread_mutex_lock(&m->lake_mutex);
    enum dm_status status = unsuppress(m, order, result, err);
    (void)pthread_mutex_unlock(&m->lake_mutex);
    return status;
}

const struct dm_order_kind dm_order_unsuppress = {.name = "unsuppress", .run = run_unsuppress};
