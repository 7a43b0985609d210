#include "mirror/hygiene/record_delete.h"

#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/crash_point.h"
#include "base/log.h"
#include "base/memory.h"
#include "mirror/hygiene/erase.h"
#include "mirror/hygiene/record_delete_rows.h"
#include "mirror/index/index_rebuild.h"

struct deletion {
    struct dm_mirror *m;
    const json_t *order;
    struct dm_delete_hits hits;
    struct dm_deleting *parts; /* parallel to hits.parts */
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
    if (done && text_of(d->order, "by") != NULL)
        json_object_set_new(report, "ordered_by", json_string(text_of(d->order, "by")));
    for (size_t i = 0; i < d->hits.n; i++) {
        const struct dm_delete_part *p = &d->hits.parts[i];
        json_t *o = json_object();
        json_object_set_new(o, "dataset", json_string(p->name));
        put_count(o, "dataset_id", p->state.id);
        json_object_set_new(o, "via", p->via != NULL ? json_string(p->via) : json_null());
        put_count(o, "keys", p->keys->rows);
        put_count(o, "rows", done ? d->parts[i].rows : p->live);
        put_count(o, "history_rows", d->parts[i].history);
        put_count(o, "tombstones", d->parts[i].tombstones);
        put_count(o, "quarantine_rows", d->parts[i].n_ids);
        put_count(o, "moved_rows", p->moved);
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
    json_object_set(report, "not_covered", d->hits.cannot);
    return report;
}

/* ---- the commit ---- */

static enum dm_status save(void *ctx, struct sqlite3 *db, struct dm_error *err)
{
    struct deletion *d = ctx;
    enum dm_status status = dm_suppression_save(d->m->suppression, db, err);
    for (size_t i = 0; i < d->hits.n && status == DM_OK; i++)
        status = dm_deleting_save(db, d->work.id, d->until_erased, &d->parts[i], err);
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
        dm_deleting_stage(d->m->suppression, &d->parts[i], d->work.id, false);
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
            status = dm_index_catch_up_dataset(d->m, &d->hits.parts[i].state, d->hits.parts[i].declared, err);
    return status;
}

static enum dm_status commit(struct deletion *d, struct dm_error *err)
{
    enum dm_status status = dm_commit_begin(d->m->lake, &d->commit, err);
    if (status == DM_OK)
        status = dm_keyindex_begin(d->m->index, err);
    for (size_t i = 0; i < d->hits.n && status == DM_OK; i++)
        status = dm_deleting_rows(d->m, d->commit, &d->parts[i], err);
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
    for (size_t i = 0; d->parts != NULL && i < d->hits.n; i++)
        dm_deleting_release(&d->parts[i]);
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

/* What is wanted, with the answers to conditions: the lake mutex is not held, and commits go on. */
static enum dm_status ask_what(struct dm_mirror *m, const json_t *order, const struct dm_order_hooks *hooks,
                               struct dm_delete_wanted *out, struct dm_error *err)
{
    struct dm_delete_root *roots =
        dm_xzalloc(json_array_size(json_object_get(order, "targets")) + 1, sizeof *roots);
    *out = (struct dm_delete_wanted){.n = read_roots(order, roots),
                                     .roots = roots,
                                     .related = json_is_true(json_object_get(order, "related"))};
    enum dm_status status = out->n > 0
                                ? DM_OK
                                : dm_fail(err, DM_ERROR_CONFIG, NULL,
                                          "an order of deletion names a dataset, and keys or a condition");
    for (size_t i = 0; i < out->n && status == DM_OK; i++)
        status = dm_delete_answer(m, &roots[i], hooks, err);
    return status;
}

/* What goes of each dataset. */
static enum dm_status prepare(struct deletion *d, struct dm_error *err)
{
    enum dm_status status = DM_OK;
    d->parts = dm_xzalloc(d->hits.n + 1, sizeof *d->parts);
    for (size_t i = 0; i < d->hits.n && status == DM_OK; i++)
        status = dm_deleting_prepare(d->m, &d->hits.parts[i], &d->parts[i], err);
    for (size_t i = 0; i < d->hits.n && status == DM_OK && json_is_true(json_object_get(d->order, "related"));
         i++)
        status = dm_deleting_add_waiting(d->m, d->parts, d->hits.n, i, err);
    return status;
}

static void release_wanted(struct dm_delete_wanted *w)
{
    for (size_t i = 0; i < w->n; i++)
        dm_batch_free(w->roots[i].found);
    free(w->roots);
}

/* Of several datasets the first may have none: only what was of rows of another one. */
static bool any_keys(const struct dm_delete_hits *h)
{
    for (size_t i = 0; i < h->n; i++)
        if (h->parts[i].keys->rows > 0)
            return true;
    return false;
}

/* Under the lake mutex. *id: the order that was made; 0: a dry run. */
static enum dm_status carry_out(struct dm_mirror *m, const json_t *order,
                                const struct dm_delete_wanted *wanted, int64_t *id, json_t **result,
                                struct dm_error *err)
{
    struct deletion d = {
        .m = m, .order = order, .until_erased = json_is_true(json_object_get(order, "until_erased"))};
    enum dm_status status = dm_delete_search(m, wanted, &d.hits, err);
    bool nothing = status == DM_OK && !any_keys(&d.hits);
    if (nothing)
        json_array_append_new(d.hits.notes, json_string("no row meets the condition"));
    if (status == DM_OK)
        status = prepare(&d, err);
    if (status == DM_OK && (nothing || json_is_true(json_object_get(order, "dry_run")))) {
        for (size_t i = 0; i < d.hits.n && status == DM_OK; i++)
            status = dm_deleting_rows(m, NULL, &d.parts[i], err);
        if (status == DM_OK)
            *result = report_of(&d, false);
        release(&d);
        return status;
    }
    if (status == DM_OK)
        status = fill_work_order(&d, err);
    if (status == DM_OK)
        status = commit(&d, err);
    if (status == DM_OK) {
        *id = d.work.id;
        const char *by = text_of(order, "by");
        dm_log(DM_LOG_INFO, "order %lld: rows of %zu datasets deleted for good, ordered by %s",
               (long long)d.work.id, d.hits.n, by != NULL ? by : "nobody who said so");
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
    struct dm_delete_wanted wanted = {0};
    (void)pthread_mutex_lock(&m->lake_mutex);
    enum dm_status status = dm_work_order_create_tables(dm_lake_sqlite(m->lake), err);
    if (status == DM_OK)
        status = find_repeated(m, order, &id, err);
    (void)pthread_mutex_unlock(&m->lake_mutex);
    if (status == DM_OK && id == 0)
        status = ask_what(m, order, hooks, &wanted, err);
    (void)pthread_mutex_lock(&m->lake_mutex);
    if (status == DM_OK && id == 0)
        status = find_repeated(m, order, &id, err); /* sent twice at once */
    bool fresh = id == 0;
    if (status == DM_OK && fresh)
        status = carry_out(m, order, &wanted, &id, result, err);
    (void)pthread_mutex_unlock(&m->lake_mutex);
    release_wanted(&wanted);
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
    struct dm_deleting g = {0};
    d.parts = dm_xzalloc(2, sizeof *d.parts);
    struct dm_suppressed *before = dm_suppression_of(m->suppression, p->state.id);
    size_t n_before = dm_suppressed_count(before);
    enum dm_status status = dm_deleting_prepare(m, p, &g, err);
    if (status == DM_OK) {
        dm_deleting_stage(m->suppression, &g, 0, true);
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
