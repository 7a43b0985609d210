/* Order matters: rows that appeared go in first, then tombstones, and only then do keys leave whose row vanished and that neither gave a new entry. Such a
 * key may have an older tombstone that its row had outlived: all tombstones are looked at again then, which is rare (expiry, deletion of
 * records). */
#include "mirror/index/index_catch_up.h"

#include <stdlib.h>
#include <string.h>

#include "apply/version_rule.h"
#include "base/memory.h"
#include "mirror/commit/history.h"
#include "mirror/index/index_diff.h"
#include "mirror/index/index_rows.h"
#include "mirror/commit/interval_history.h"
#include "mirror/commit/tombstones.h"

struct catch_up {
    struct dm_mirror *m;
    const struct dm_target *t;
    uint32_t dataset;    /* in the index */
    bool tombstones;     /* keys may have them */
    bool all_tombstones; /* look at all of them again */
    bool out;            /* reading tombstones: those that went */
    const struct dm_index_diff *diff;
    struct dm_index_rows rows;
};

/* ---- entries ---- */

static enum dm_status disagree(const struct catch_up *c, const struct dm_batch *batch,
                               const struct dm_index_change *change, struct dm_error *err)
{
    char text[256];
    return dm_fail(err, DM_ERROR_DATA, NULL, "%s.%s: the key index is not at the state that it says: key %s",
                   c->t->state.namespace, c->t->state.name,
                   dm_key_text(batch, change->row, text, sizeof text));
}

static enum dm_status take_batch(struct catch_up *c, const struct dm_batch *batch, const uint32_t *files,
                                 const uint32_t *positions, struct dm_error *err)
{
    if (dm_index_rows_take(&c->rows, batch, files, positions, err) != DM_OK)
        return DM_FAIL;
    struct dm_index_change *changes = c->rows.changes;
    dm_index_changes_sort(changes, batch->rows);
    for (size_t i = 1; i < batch->rows; i++)
        if (dm_key_compare(changes[i].key, changes[i].key_len, changes[i - 1].key, changes[i - 1].key_len) ==
            0)
            return disagree(c, batch, &changes[i], err);
    return DM_OK;
}

/* A tombstone that would beat the row, were both loaded anew. */
static bool is_beaten(const struct dm_index_change *row)
{
    const struct dm_version_state tombstone = {.version = row->old_version, .len = row->old_version_len};
    return !dm_place_known(row->old) && row->old_version_len > 0 &&
           !dm_verdict_applies(dm_version_decide(&tombstone, row->version, row->version_len));
}

static enum dm_status take_appeared(void *ctx, const struct dm_batch *batch, const uint32_t *files,
                                    const uint32_t *positions, struct dm_error *err)
{
    struct catch_up *c = ctx;
    if (take_batch(c, batch, files, positions, err) != DM_OK)
        return DM_FAIL;
    struct dm_index_change *changes = c->rows.changes;
    if (c->tombstones) {
        if (dm_keyindex_lookup(c->m->index, c->dataset, changes, batch->rows, err) != DM_OK)
            return DM_FAIL;
        for (size_t i = 0; i < batch->rows; i++)
            c->all_tombstones |= is_beaten(&changes[i]);
    }
    if (dm_keyindex_apply(c->m->index, c->dataset, changes, batch->rows, err) != DM_OK)
        return DM_FAIL;
    for (size_t i = 0; i < batch->rows; i++)
        if (dm_place_known(changes[i].old) && !dm_index_diff_has(c->diff, DM_DIFF_VANISHED, changes[i].old))
            return disagree(c, batch, &changes[i], err);
    return DM_OK;
}

static enum dm_status take_vanished(void *ctx, const struct dm_batch *batch, const uint32_t *files,
                                    const uint32_t *positions, struct dm_error *err)
{
    struct catch_up *c = ctx;
    if (take_batch(c, batch, files, positions, err) != DM_OK)
        return DM_FAIL;
    struct dm_index_change *changes = c->rows.changes;
    if (dm_keyindex_lookup(c->m->index, c->dataset, changes, batch->rows, err) != DM_OK)
        return DM_FAIL;
    size_t n = 0;
    for (size_t i = 0; i < batch->rows; i++) {
        const struct dm_index_change *e = &changes[i];
        if (e->old.file == e->place.file && e->old.position == e->place.position)
            changes[n++] = (struct dm_index_change){.key = e->key, .key_len = e->key_len, .row = e->row};
        else if (dm_place_known(e->old) ? !dm_index_diff_has(c->diff, DM_DIFF_APPEARED, e->old)
                                        : !c->tombstones || e->old_version_len == 0)
            return disagree(c, batch, e, err);
    }
    c->all_tombstones |= c->tombstones && n > 0;
    return dm_keyindex_apply(c->m->index, c->dataset, changes, n, err);
}

static enum dm_status read_side(struct catch_up *c, enum dm_diff_side side, struct dm_error *err)
{
    return dm_index_diff_read(c->diff, side, c->m->engine, c->rows.schema,
                              side == DM_DIFF_APPEARED ? take_appeared : take_vanished, c, err);
}

/* ---- where the index stands ---- */

/* Are entries of the one schema entries of the other? (Widening leaves keys as they are.) */
static bool same_key(const struct dm_schema *before, const struct dm_schema *now)
{
    if (now->n_keys == 0 || before->n_keys != now->n_keys)
        return false;
    for (size_t k = 0; k < now->n_keys; k++) {
        const struct dm_field *was = &before->fields[before->keys[k]], *is = &now->fields[now->keys[k]];
        if (was->id != is->id || !dm_type_widens(was->type, is->type))
            return false;
    }
    return true;
}

static bool is_much(const struct dm_index_diff *diff, const struct dm_dataset *d)
{
    return diff->rows[DM_DIFF_VANISHED] + diff->rows[DM_DIFF_APPEARED] > d->live_rows / 2;
}

/* One state of a dataset in the past. */
struct past {
    struct dm_dataset *owned;
    const struct dm_dataset *state; /* NULL: it had nothing */
};

static void past_release(struct past *p)
{
    dm_dataset_free(p->owned);
    *p = (struct past){0};
}

static enum dm_status load_past(struct dm_mirror *m, const struct dm_dataset *d,
                                const struct dm_past_snapshot *at, struct past *p, struct dm_error *err)
{
    past_release(p);
    p->state = d;
    if (at->id == d->snapshot_id)
        return DM_OK;
    enum dm_status status = dm_lake_dataset_past(m->lake, d->namespace, d->name, at->id, &p->owned, err);
    p->state = p->owned;
    return status;
}

/* The state of the tag's snapshot; DM_END: it is not kept. */
static enum dm_status find_rows(struct dm_mirror *m, const struct dm_dataset *d, int64_t tag, struct past *p,
                                struct dm_error *err)
{
    struct dm_past_snapshot *list = NULL;
    size_t n = 0;
    enum dm_status status = dm_lake_past(m->lake, d->namespace, d->name, &list, &n, err);
    if (status == DM_OK) {
        while (n > 0 && list[n - 1].id != tag)
            n--;
        status = n > 0 ? load_past(m, d, &list[n - 1], p, err) : DM_END;
        if (status == DM_OK && p->state == NULL)
            status = DM_END;
    }
    free(list);
    return status;
}

/* A side dataset's: tag 0 means that there was none. */
static enum dm_status find_side(struct dm_mirror *m, const struct dm_dataset *d, int64_t tag, struct past *p,
                                struct dm_error *err)
{
    return tag == 0 ? DM_OK : find_rows(m, d, tag, p, err);
}

/* ---- side datasets ---- */

static enum dm_status take_tombstones(void *ctx, const struct dm_batch *batch, const uint32_t *files,
                                      const uint32_t *positions, struct dm_error *err)
{
    const struct catch_up *c = ctx;
    (void)files;
    (void)positions;
    return dm_tombstones_take(c->m, c->t, batch, c->out, err);
}

static enum dm_status read_tombstones(struct catch_up *c, const struct dm_dataset *d, uint64_t *rows,
                                      struct dm_error *err)
{
    static const enum dm_diff_side order[] = {DM_DIFF_VANISHED, DM_DIFF_APPEARED};
    size_t n_keys = c->t->schema->n_keys;
    struct dm_schema *schema = dm_tombstones_keyed(d, n_keys);
    struct dm_index_rows columns;
    dm_index_rows_init(&columns, schema, (int)n_keys);
    enum dm_status status = DM_OK;
    for (int i = 0; i < 2 && status == DM_OK; i++) {
        c->out = order[i] == DM_DIFF_VANISHED;
        status = dm_index_diff_read(c->diff, order[i], c->m->engine, columns.schema, take_tombstones, c, err);
        *rows += c->diff->rows[order[i]];
    }
    c->all_tombstones |= c->diff->rows[DM_DIFF_VANISHED] > 0; /* another one may have stood behind it */
    dm_index_rows_release(&columns);
    dm_schema_unref(schema);
    return status;
}

static enum dm_status catch_up_tombstones(struct catch_up *c, uint64_t *rows, struct dm_error *err)
{
    char *name = dm_tombstones_name(c->t);
    const struct dm_dataset *d = NULL;
    const struct dm_index_diff *outer = c->diff;
    struct dm_index_diff diff = {0};
    struct past before = {0};
    int64_t tag = 0;
    uint32_t side = c->t->state.id | DM_INDEX_TOMBSTONES;
    enum dm_status status = dm_lake_dataset(c->m->lake, c->t->state.namespace, name, &d, err);
    if (status == DM_OK)
        status = dm_keyindex_tag_get(c->m->index, side, &tag, err);
    if (status == DM_OK && d == NULL)
        status = tag == 0 ? DM_OK : DM_END;
    if (status == DM_OK && d != NULL) {
        status = find_side(c->m, d, tag, &before, err);
        if (status == DM_OK)
            status = dm_index_diff_make(&diff, before.state, d, err);
        c->diff = &diff;
        if (status == DM_OK)
            status = read_tombstones(c, d, rows, err);
        if (status == DM_OK)
            status = dm_keyindex_tag_set(c->m->index, side, d->snapshot_id, err);
    }
    c->diff = outer;
    dm_index_diff_release(&diff);
    past_release(&before);
    free(name);
    return status;
}

/* DM_END: load it anew. */
static enum dm_status history_by_difference(struct catch_up *c, const struct dm_dataset *d, uint64_t *rows,
                                            struct dm_error *err)
{
    struct dm_index_diff diff = {0};
    struct past before = {0};
    int64_t tag = 0;
    struct catch_up h = {.m = c->m, .t = c->t, .dataset = c->t->state.id | DM_INDEX_HISTORY, .diff = &diff};
    dm_index_rows_init(&h.rows, d->schema, dm_schema_find_id(d->schema, DM_HISTORY_FIRST_ID + DM_HISTORY_OP));
    h.rows.version_most = 1; /* the first letter of the operation */
    enum dm_status status = dm_keyindex_tag_get(c->m->index, h.dataset, &tag, err);
    if (status == DM_OK)
        status = find_side(c->m, d, tag, &before, err);
    if (status == DM_OK && (before.state == NULL || !same_key(before.state->schema, d->schema)))
        status = DM_END;
    if (status == DM_OK)
        status = dm_index_diff_make(&diff, before.state, d, err);
    if (status == DM_OK && is_much(&diff, d))
        status = DM_END;
    if (status == DM_OK)
        status = read_side(&h, DM_DIFF_APPEARED, err);
    if (status == DM_OK)
        status = read_side(&h, DM_DIFF_VANISHED, err);
    if (status == DM_OK)
        status = dm_keyindex_tag_set(c->m->index, h.dataset, d->snapshot_id, err);
    *rows += diff.rows[DM_DIFF_VANISHED] + diff.rows[DM_DIFF_APPEARED];
    dm_index_rows_release(&h.rows);
    dm_index_diff_release(&diff);
    past_release(&before);
    return status;
}

static enum dm_status catch_up_history(struct catch_up *c, uint64_t *rows, struct dm_error *err)
{
    char *name = dm_history_name(c->t);
    const struct dm_dataset *d = NULL;
    enum dm_status status = dm_lake_dataset(c->m->lake, c->t->state.namespace, name, &d, err);
    free(name);
    if (status == DM_OK)
        status = d != NULL && dm_interval_history_kept(c->t) && dm_interval_history_has(d->schema)
                     ? history_by_difference(c, d, rows, err)
                     : DM_END;
    return status == DM_END ? dm_interval_history_load(c->m, c->t, err) : status;
}

/* ---- the dataset ---- */

static enum dm_status apply_difference(struct catch_up *c, uint64_t *rows, const char **why,
                                       struct dm_error *err)
{
    *rows = c->diff->rows[DM_DIFF_VANISHED] + c->diff->rows[DM_DIFF_APPEARED];
    *why = "its tombstones are older than what is kept";
    enum dm_status status = read_side(c, DM_DIFF_APPEARED, err);
    if (status == DM_OK && c->tombstones)
        status = catch_up_tombstones(c, rows, err);
    if (status == DM_OK)
        status = read_side(c, DM_DIFF_VANISHED, err);
    if (status == DM_OK && c->all_tombstones)
        status = dm_tombstones_load(c->m, c->t, err);
    if (status == DM_OK && c->t->rules != NULL)
        status = catch_up_history(c, rows, err);
    return status;
}

enum dm_status dm_index_catch_up_by_difference(struct dm_mirror *m, const struct dm_target *t,
                                               const struct dm_dataset *d, uint64_t *rows, const char **why,
                                               struct dm_error *err)
{
    int64_t tag = 0;
    struct past before = {0};
    struct dm_index_diff diff = {0};
    *why = "it was not built";
    enum dm_status status = dm_keyindex_tag_get(m->index, t->state.id, &tag, err);
    if (status != DM_OK || tag == 0)
        return status == DM_OK ? DM_END : status;
    *why = "its snapshot is not kept any more";
    status = find_rows(m, d, tag, &before, err);
    if (status == DM_OK && !same_key(before.state->schema, d->schema)) {
        *why = "the key changed";
        status = DM_END;
    }
    if (status == DM_OK)
        status = dm_index_diff_make(&diff, before.state, d, err);
    if (status == DM_OK && is_much(&diff, d)) {
        *why = "more than half of the rows moved";
        status = DM_END;
    }
    if (status == DM_OK) {
        struct catch_up c = {
            .m = m, .t = t, .dataset = t->state.id, .tombstones = t->rules != NULL, .diff = &diff};
        /* The version is found by its field id: the target's schema may be about to change. */
        dm_index_rows_init(&c.rows, d->schema,
                           t->rules == NULL
                               ? -1
                               : dm_schema_find_id(d->schema, t->schema->fields[t->rules->version_field].id));
        status = apply_difference(&c, rows, why, err);
        dm_index_rows_release(&c.rows);
    }
    if (status == DM_OK)
        status = dm_keyindex_tag_set(m->index, t->state.id, d->snapshot_id, err);
    dm_index_diff_release(&diff);
    past_release(&before);
    return status;
}
