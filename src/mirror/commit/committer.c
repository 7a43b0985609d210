#include "mirror/commit/committer.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/memory.h"
#include "lake/commit_scan.h"
#include "mirror/commit/evolved.h"
#include "mirror/commit/apply_rows.h"
#include "mirror/commit/row_counts.h"
#include "base/crash_point.h"
#include "mirror/commit/compact.h"
#include "mirror/commit/file_writes.h"
#include "mirror/commit/history.h"
#include "mirror/commit/index_tag.h"
#include "mirror/commit/rename.h"
#include "mirror/index/index_rebuild.h"
#include "mirror/relationship/orphan.h"
#include "mirror/hygiene/suppression.h"
#include "mirror/quarantine/quarantine_table.h"

struct dm_committer {
    struct dm_committer_options options;
    struct dm_apply_context apply;
    bool published; /* by the last apply */
    bool renamed;   /* datasets, by the commit in progress */
    bool open;      /* a commit is in progress: lake mutex held, index transaction open */
    size_t n_touched;
    struct dm_target **touched; /* distinct targets of the commit in progress */
    struct dm_bad_rows bad;     /* of all its units */
    struct dm_evolved evolved;
    size_t n_copied;
    struct copied {
        uint32_t dataset;
        struct dm_basis basis;
    } * copied;               /* datasets that this commit replaces by a copy, and what they rest on then */
    struct dm_unit *closing;  /* during publication */
    uint32_t failed;          /* dataset whose step failed last … */
    bool wants_copy;          /* … and that goes on with a copy */
    struct dm_target *filled; /* by the last step with rows: whose data files apply.writing is */
};

struct dm_committer *dm_committer_new(const struct dm_committer_options *options)
{
    struct dm_committer *c = dm_xzalloc(1, sizeof *c);
    c->options = *options;
    c->apply.mirror = options->mirror;
    c->bad.folder = options->mirror->config->lake;
    return c;
}

static void forget_applied_bad(struct dm_committer *c)
{
    dm_kept_rows_free(c->apply.bad, c->apply.n_bad);
    c->apply.bad = NULL;
    c->apply.n_bad = 0;
}

static void forget_copied(struct dm_committer *c)
{
    for (size_t i = 0; i < c->n_copied; i++)
        dm_basis_release(&c->copied[i].basis);
    c->n_copied = 0;
}

static void forget_commit(struct dm_committer *c)
{
    dm_suppression_settle(c->options.mirror->suppression, c->published);
    forget_applied_bad(c);
    dm_file_writes_drop(&c->apply);
    dm_orphans_free(c->apply.orphans);
    c->apply.orphans = NULL;
    dm_commit_free(c->apply.commit);
    c->apply.commit = NULL;
    c->n_touched = 0;
    dm_bad_rows_clear(&c->bad);
    forget_copied(c);
    dm_evolved_clear(&c->evolved);
    c->open = c->renamed = false;
}

void dm_committer_abandon(struct dm_committer *c)
{
    if (!c->open)
        return;
    dm_keyindex_abort(c->options.mirror->index);
    forget_commit(c);
    (void)pthread_mutex_unlock(&c->options.mirror->lake_mutex);
}

void dm_committer_free(struct dm_committer *c)
{
    if (c == NULL)
        return;
    dm_committer_abandon(c);
    dm_net_effect_release(&c->apply.net);
    free(c->touched);
    free(c->copied);
    free(c);
}

static enum dm_status begin(struct dm_committer *c, struct dm_error *err)
{
    struct dm_mirror *m = c->options.mirror;
    (void)pthread_mutex_lock(&m->lake_mutex);
    enum dm_status status = dm_commit_begin(m->lake, &c->apply.commit, err);
    if (status == DM_OK)
        status = dm_keyindex_begin(m->index, err);
    if (status == DM_OK) {
        c->open = true;
        return DM_OK;
    }
    dm_commit_free(c->apply.commit);
    c->apply.commit = NULL;
    (void)pthread_mutex_unlock(&m->lake_mutex);
    return status;
}

enum dm_status dm_committer_begin(struct dm_committer *c, struct dm_error *err)
{
    return c->open ? DM_OK : begin(c, err);
}

static void touch(struct dm_committer *c, struct dm_target *t)
{
    for (size_t i = 0; i < c->n_touched; i++)
        if (c->touched[i] == t)
            return;
    c->touched = dm_xrealloc(c->touched, c->n_touched + 1, sizeof(struct dm_target *));
    c->touched[c->n_touched++] = t;
}

static enum dm_status keep_bad(void *ctx, struct dm_target *target, const struct dm_txn *txn,
                               const struct dm_bad_row *row, struct dm_error *err)
{
    struct dm_committer *c = ctx;
    touch(c, target);
    if (dm_suppress_bad_row(c->options.mirror, target, row)) {
        DM_ROW_COUNT(txn, suppressed, 1);
        return DM_OK;
    }
    DM_ROW_COUNT(txn, quarantined, 1);
    return dm_bad_rows_add(&c->bad, target, txn, row, err);
}

/* A row that nobody could even read. */
static enum dm_status keep_unread(void *ctx, struct dm_target *target, const struct dm_txn *txn,
                                  const struct dm_bad_row *row, struct dm_error *err)
{
    target->state.received++;
    DM_ROW_COUNT(txn, received, 1);
    return keep_bad(ctx, target, txn, row, err);
}

/* ---- steps ---- */

static enum dm_status take_copied_files(struct dm_committer *c, struct dm_target *t,
                                        struct dm_copied_table *copied, struct dm_scan_file *scan,
                                        struct dm_error *err)
{
    struct dm_commit *commit = c->apply.commit;
    for (size_t i = 0; i < copied->n_files; i++) {
        struct dm_copied_file *f = &copied->files[i];
        char *path = NULL;
        uint32_t number = 0;
        if (dm_commit_new_file(commit, t->state.namespace, t->state.name, &number, &path, err) != DM_OK)
            return DM_FAIL;
        enum dm_status status = DM_OK;
        if (rename(f->path, path) != 0)
            status = dm_fail_errno(err, "cannot rename %s to %s", f->path, path);
        if (status == DM_OK) {
            free(f->path);
            f->path = NULL;
            status =
                dm_commit_add_file(commit, t->state.namespace, t->state.name, number, path, &f->result, err);
        }
        free(path);
        if (status != DM_OK)
            return status;
        scan[i] = (struct dm_scan_file){
            .path = dm_commit_file_path(commit, t->state.namespace, t->state.name, number),
            .number = number,
            .rows = f->result.rows};
    }
    return DM_OK;
}

/* A dataset is divided by days, or by other ones, from its beginning only: else it is made anew. */
static enum dm_status prepare_dataset(struct dm_committer *c, struct dm_target *t,
                                      const struct dm_copied_table *copied, struct dm_error *err)
{
    struct dm_commit *commit = c->apply.commit;
    const struct dm_schema *there = NULL;
    const char *namespace = t->state.namespace, *name = t->state.name;
    if (dm_commit_schema(commit, namespace, name, &there, err) != DM_OK)
        return DM_FAIL;
    bool divided_otherwise =
        there != NULL && dm_commit_day_field(commit, namespace, name) != copied->day_field;
    if (divided_otherwise && dm_commit_drop(commit, namespace, name, err) != DM_OK)
        return DM_FAIL;
    if (there == NULL || divided_otherwise) {
        if (dm_commit_create(commit, namespace, name, copied->schema, err) != DM_OK)
            return DM_FAIL;
        return copied->day_field == 0
                   ? DM_OK
                   : dm_commit_divide_by_day(commit, namespace, name, copied->day_field, err);
    }
    if (dm_commit_set_schema(commit, namespace, name, copied->schema, err) != DM_OK)
        return DM_FAIL;
    return dm_commit_remove_all(commit, namespace, name, err);
}

/* A dataset whose metadata is damaged is in the way of its own copy. */
static enum dm_status forget_damaged(struct dm_committer *c, const struct dm_target *t, struct dm_error *err)
{
    const struct dm_dataset *there = NULL;
    struct dm_lake *lake = c->options.mirror->lake;
    if (dm_lake_dataset(lake, t->state.namespace, t->state.name, &there, err) == DM_OK)
        return DM_OK;
    if (err->class == DM_ERROR_TRANSIENT)
        return DM_FAIL;
    dm_log_error(DM_LOG_WARN, "damaged, its copy takes its place", err);
    return dm_lake_forget(lake, t->state.namespace, t->state.name, err);
}

static enum dm_status apply_attach(struct dm_committer *c, struct dm_step *step, struct dm_error *err)
{
    struct dm_target *t = step->target;
    struct dm_copied_table *copied = step->copied;
    if (forget_damaged(c, t, err) != DM_OK)
        return DM_FAIL;
    const struct dm_dataset *there = NULL;
    if (dm_lake_dataset(c->options.mirror->lake, t->state.namespace, t->state.name, &there, err) != DM_OK)
        return DM_FAIL;
    dm_suppression_follow(c->options.mirror->suppression, t->state.id, there != NULL ? there->schema : NULL,
                          copied->schema);
    if (dm_suppress_copied(c->options.mirror, t, copied, err) != DM_OK)
        return DM_FAIL;
    if (prepare_dataset(c, t, copied, err) != DM_OK)
        return DM_FAIL;
    if (t->history && dm_history_set_schema(&c->apply, t, copied->schema, err) != DM_OK)
        return DM_FAIL;
    struct dm_scan_file *scan = dm_xzalloc(copied->n_files, sizeof *scan);
    enum dm_status status = take_copied_files(c, t, copied, scan, err);
    t->state.append_only = step->table->append_only || copied->schema->n_keys == 0;
    if (status == DM_OK && !t->state.append_only)
        status = dm_index_rebuild(c->options.mirror, t->state.id, copied->schema, scan, copied->n_files, err);
    else if (status == DM_OK)
        status = dm_keyindex_clear(c->options.mirror->index, t->state.id, err);
    free(scan);
    if (status != DM_OK)
        return status;
    const struct dm_txn txn = {.position = copied->at};
    for (size_t i = 0; i < copied->n_bad; i++)
        if (keep_bad(c, copied->bad[i].target, &txn, &copied->bad[i].row, err) != DM_OK)
            return DM_FAIL;
    c->copied = dm_xrealloc(c->copied, c->n_copied + 1, sizeof *c->copied);
    c->copied[c->n_copied++] =
        (struct copied){.dataset = t->state.id, .basis = dm_basis_copy(&step->table->basis)};
    if (step->table->id != 0) /* a table that the capture did not know yet got its id after the dataset */
        t->state.source_id = step->table->id;
    dm_evolved_note(&c->evolved, t->state.id, NULL, NULL);
    t->state.copied_at = copied->at;
    t->state.received += copied->rows;
    t->state.inserted += copied->rows;
    dm_target_set_text(t, &t->state.state, t->state.append_only ? "append-only" : "streaming");
    dm_target_set_text(t, &t->state.reason, NULL);
    dm_log(DM_LOG_INFO, "%s.%s: copied, %llu rows", t->state.namespace, t->state.name,
           (unsigned long long)copied->rows);
    return DM_OK;
}

static enum dm_status apply_truncate(struct dm_committer *c, struct dm_target *t,
                                     const struct dm_schema *schema, const struct dm_txn *txn,
                                     struct dm_error *err)
{
    t->state.truncated++;
    if (t->history && dm_history_truncate(&c->apply, t, schema, txn, err) != DM_OK)
        return DM_FAIL;
    if (dm_commit_remove_all(c->apply.commit, t->state.namespace, t->state.name, err) != DM_OK)
        return DM_FAIL;
    return t->state.append_only ? DM_OK : dm_keyindex_clear(c->options.mirror->index, t->state.id, err);
}

/* Another key for the same rows: the index is made anew from the rows as this commit has them. They may not have the key (two rows with one): then
 * something was missed, and the table is to be copied. */
static enum dm_status rekey(struct dm_committer *c, const struct dm_step *step, struct dm_error *err)
{
    const struct dm_target *t = step->target;
    struct dm_commit *commit = c->apply.commit;
    struct dm_commit_scan scan;
    dm_suppression_stage_rekey(c->options.mirror->suppression, t->state.id);
    if (dm_commit_mark(commit, t->state.namespace, t->state.name, err) != DM_OK ||
        dm_commit_scan_make(commit, t->state.namespace, t->state.name, &scan, err) != DM_OK)
        return DM_FAIL;
    enum dm_status status =
        dm_index_rebuild(c->options.mirror, t->state.id, step->schema, scan.files, scan.n, err);
    dm_commit_scan_release(&scan);
    c->wants_copy = status != DM_OK && err->class == DM_ERROR_DATA;
    if (status == DM_OK)
        dm_log(DM_LOG_INFO, "%s.%s: the key changed; the key index was made anew from the lake",
               t->state.namespace, t->state.name);
    return status;
}

static enum dm_status apply_schema(struct dm_committer *c, const struct dm_step *step, struct dm_error *err)
{
    struct dm_target *t = step->target;
    int32_t day_field = dm_commit_day_field(c->apply.commit, t->state.namespace, t->state.name);
    c->wants_copy = day_field != 0 && dm_schema_find_id(step->schema, day_field) < 0;
    if (c->wants_copy)
        return dm_fail(err, DM_ERROR_DATA, NULL, "the column whose day divides the dataset is gone");
    const struct dm_dataset *before = NULL;
    if (dm_lake_dataset(c->options.mirror->lake, t->state.namespace, t->state.name, &before, err) != DM_OK)
        return DM_FAIL;
    dm_evolved_note(&c->evolved, t->state.id, before != NULL ? before->schema : NULL, step->schema);
    if (dm_commit_set_schema(c->apply.commit, t->state.namespace, t->state.name, step->schema, err) != DM_OK)
        return DM_FAIL;
    if (step->rekey && rekey(c, step, err) != DM_OK)
        return DM_FAIL;
    return t->history ? dm_history_set_schema(&c->apply, t, step->schema, err) : DM_OK;
}

static void save_name(void *ctx, struct dm_target *t)
{
    struct dm_committer *c = ctx;
    touch(c, t);
    c->renamed = true;
}

static enum dm_status apply_rename(struct dm_committer *c, const struct dm_step *step, struct dm_error *err)
{
    const struct dm_renaming r = {
        .apply = &c->apply, .all = c->options.targets, .renamed = save_name, .ctx = c};
    return dm_rename_follow(&r, step->target, step->table, err);
}

static enum dm_status apply_step(struct dm_committer *c, struct dm_unit *unit, struct dm_step *step,
                                 struct dm_error *err)
{
    struct dm_target *t = step->target;
    touch(c, t);
    switch (step->kind) {
    case DM_STEP_ROWS: c->filled = t; return dm_apply_rows(&c->apply, t, &step->batch, err);
    case DM_STEP_TRUNCATE: return apply_truncate(c, t, step->schema, &unit->txns[step->txn], err);
    case DM_STEP_SCHEMA: return apply_schema(c, step, err);
    case DM_STEP_ATTACH: return apply_attach(c, step, err);
    case DM_STEP_STATE:
        dm_target_set_text(t, &t->state.state, step->state);
        dm_target_set_text(t, &t->state.reason, step->reason);
        return DM_OK;
    case DM_STEP_RENAME: return apply_rename(c, step, err);
    }
    return DM_OK;
}

static enum dm_status keep_rows(struct dm_committer *c, const struct dm_unit *unit,
                                const struct dm_kept_row *rows, size_t n, struct dm_error *err)
{
    enum dm_status status = DM_OK;
    for (size_t i = 0; i < n && status == DM_OK; i++)
        status = keep_bad(c, rows[i].target, &unit->txns[rows[i].txn], &rows[i].row, err);
    return status;
}

static enum dm_status blame(struct dm_committer *c, const struct dm_target *t, struct dm_error *err)
{
    c->failed = t->state.id;
    dm_error_prefix(err, "%s.%s", t->state.namespace, t->state.name);
    return DM_FAIL;
}

static enum dm_status settle(struct dm_committer *c, struct dm_error *err)
{
    return dm_file_writes_settle(&c->apply, err) == DM_OK ? DM_OK : blame(c, c->filled, err);
}

static enum dm_status apply_steps(struct dm_committer *c, struct dm_unit *unit, struct dm_error *err)
{
    c->apply.txns = unit->txns;
    for (size_t i = 0; i < unit->n_steps; i++) {
        struct dm_step *step = &unit->steps[i];
        /* Only more rows of the same dataset go on beside data files that are still being written. */
        bool beside = step->kind == DM_STEP_ROWS && step->target == c->filled;
        if (!beside && settle(c, err) != DM_OK)
            return DM_FAIL;
        if (apply_step(c, unit, step, err) != DM_OK)
            return blame(c, step->target, err);
        dm_batch_free(step->batch); /* memory goes back before the next step needs some */
        step->batch = NULL;
    }
    enum dm_status status = keep_rows(c, unit, unit->bad, unit->n_bad, err);
    if (status == DM_OK)
        status = keep_rows(c, unit, c->apply.bad, c->apply.n_bad, err);
    if (status == DM_OK)
        status = dm_bad_rows_each(&unit->unread, keep_unread, c, err);
    forget_applied_bad(c);
    return status;
}

/* ---- publication ---- */

struct quarantining {
    struct dm_committer *committer;
    struct sqlite3 *db;
    struct dm_quarantine_writer writer;
    const char *source;
};

static enum dm_status quarantine(void *ctx, struct dm_target *target, const struct dm_txn *txn,
                                 const struct dm_bad_row *row, struct dm_error *err)
{
    struct quarantining *q = ctx;
    const struct dm_source_type *type = q->committer->options.type;
    char position[32] = "";
    /* Where it came from: its own place (a line of a file), or its transaction's position. */
    if (row->place == NULL && type != NULL)
        (void)type->position_format(txn->position, position, sizeof position);
    target->state.quarantined++;
    return dm_quarantine_add(&q->writer, q->db, target->state.id, row, q->source,
                             row->place != NULL ? row->place : position, NULL, err);
}

static enum dm_status save_state(void *ctx, struct sqlite3 *db, struct dm_error *err)
{
    struct dm_committer *c = ctx;
    const struct dm_unit *unit = c->closing;
    char position[32];
    enum dm_status status = DM_OK;
    /* A copy has read all rows again: what is still bad is among its own bad rows. */
    for (size_t i = 0; i < c->n_copied && status == DM_OK; i++) {
        const struct copied *copied = &c->copied[i];
        status =
            dm_quarantine_remove(db, &(struct dm_quarantine_choice){.dataset = copied->dataset}, NULL, err);
        if (status == DM_OK)
            status = dm_state_put_basis(db, c->options.source->name, copied->dataset, &copied->basis, err);
    }
    if (status == DM_OK)
        status = dm_evolved_save(&c->evolved, db, err);
    bool log = unit->source == NULL && c->options.source != NULL;
    struct quarantining q = {
        .committer = c, .db = db, .source = log ? c->options.source->name : unit->source};
    if (status == DM_OK)
        status = dm_bad_rows_each(&c->bad, quarantine, &q, err);
    dm_quarantine_writer_release(&q.writer);
    if (status == DM_OK)
        status = dm_orphans_save(c->apply.orphans, db, unit->source, err);
    for (size_t i = 0; i < c->n_touched && c->renamed && status == DM_OK; i++)
        status = dm_state_free_name(db, c->touched[i]->state.id, err); /* they may have exchanged theirs */
    for (size_t i = 0; i < c->n_touched && status == DM_OK; i++)
        status = dm_state_put_dataset(db, &c->touched[i]->state, err);
    if (status == DM_OK && unit->position != 0) {
        c->options.type->position_format(unit->position, position, sizeof position);
        status = dm_state_put_position(db, c->options.source->name, c->options.type->name, unit->position,
                                       position, &unit->mark, unit->commit_time_us, err);
    }
    if (status == DM_OK)
        status = dm_suppression_save(c->options.mirror->suppression, db, err);
    if (status == DM_OK && c->options.extra != NULL)
        status = c->options.extra(c->options.extra_ctx, db, err);
    return status;
}

static enum dm_status record_pins(struct dm_committer *c, const struct dm_unit *unit, struct dm_error *err)
{
    enum dm_status status = DM_OK;
    for (size_t i = 0; i < unit->n_pins && status == DM_OK; i++)
        status = dm_pin_record(dm_lake_sqlite(c->options.mirror->lake), unit->pins[i],
                               c->options.source->name, err);
    return status;
}

static enum dm_status tag_index(struct dm_committer *c, struct dm_error *err)
{
    struct dm_mirror *m = c->options.mirror;
    enum dm_status status = DM_OK;
    for (size_t i = 0; i < c->n_touched && status == DM_OK; i++)
        status = dm_index_tag_commit(m, c->apply.commit, c->touched[i], err);
    dm_crash_point("before-index-commit");
    return status == DM_OK ? dm_keyindex_commit(m->index, err) : status;
}

/* One portion at most per dataset and commit, so that no commit waits long for it. */
static enum dm_status compact_touched(struct dm_committer *c, const struct dm_commit_summary *summary,
                                      struct dm_error *err)
{
    dm_commit_free(c->apply.commit);
    c->apply.commit = NULL;
    enum dm_status status = DM_OK;
    for (size_t i = 0; i < c->n_touched && status == DM_OK; i++)
        status = dm_compact_target(c->options.mirror, c->touched[i], summary, err);
    return status;
}

static enum dm_status publish(struct dm_committer *c, struct dm_unit *unit, struct dm_error *err)
{
    char position[32];
    bool log = unit->source == NULL;
    struct dm_commit_summary summary = {
        .source = log ? c->options.source->name : unit->source,
        .position =
            log ? c->options.type->position_format(unit->position, position, sizeof position) : unit->origin,
        .commit_time_us = unit->commit_time_us};
    c->closing = unit;
    if (settle(c, err) != DM_OK)
        return DM_FAIL;
    if (dm_commit_write(c->apply.commit, &summary, err) != DM_OK)
        return DM_FAIL;
    dm_crash_point("before-publish");
    if (dm_commit_publish(c->apply.commit, save_state, c, err) != DM_OK)
        return DM_FAIL;
    c->published = true;
    dm_crash_point("after-publish");
    if (tag_index(c, err) != DM_OK || record_pins(c, unit, err) != DM_OK)
        return DM_FAIL;
    dm_crash_point("after-index-commit");
    enum dm_status status = compact_touched(c, &summary, err);
    forget_commit(c);
    (void)pthread_mutex_unlock(&c->options.mirror->lake_mutex);
    return status;
}

enum dm_status dm_committer_apply(struct dm_committer *c, struct dm_unit *unit, struct dm_error *err)
{
    c->failed = 0;
    c->wants_copy = c->published = false;
    enum dm_status status = dm_committer_begin(c, err);
    if (status == DM_OK)
        status = apply_steps(c, unit, err);
    if (status == DM_OK && unit->closes)
        status = publish(c, unit, err);
    if (status != DM_OK)
        dm_committer_abandon(c);
    return status;
}

bool dm_committer_published(const struct dm_committer *c)
{
    return c->published;
}

bool dm_committer_wants_copy(const struct dm_committer *c)
{
    return c->wants_copy;
}

uint32_t dm_committer_failed_dataset(const struct dm_committer *c)
{
    return c->failed;
}
