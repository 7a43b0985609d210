/* Where rows come in: those of suppressed keys are left out. */
#include <stdlib.h>

#include "mirror/commit/row_counts.h"
#include "mirror/hygiene/erase_match.h"
#include "mirror/target.h"

/* A batch on its way through the set. */
struct filter {
    struct dm_mirror *m;
    struct dm_target *t;
    struct dm_suppressed *set;
    const struct dm_txn *txns;
    const struct dm_batch *batch;
    struct dm_erase_match *match; /* of the set and the batch */
    struct dm_key_list keys;
    struct dm_batch *kept;
};

static bool is_suppressed(const struct filter *f, size_t row)
{
    return dm_erase_match_has(f->match, row);
}

static enum dm_status make_match(struct filter *f, struct dm_error *err)
{
    dm_erase_match_free(f->match);
    f->match = dm_suppressed_match(f->set, f->batch->schema);
    return dm_erase_match_batch(f->match, f->batch, err);
}

static bool any_suppressed(const struct filter *f)
{
    for (size_t i = 0; i < f->batch->rows; i++)
        if (is_suppressed(f, i))
            return true;
    return false;
}

/* The row's new key is suppressed from here on, too. */
static enum dm_status follow(struct filter *f, size_t row, struct dm_error *err)
{
    struct dm_column_list columns = dm_column_list_of_key(f->batch->schema);
    struct dm_schema *schema = dm_schema_keys(f->batch->schema);
    struct dm_batch *key = dm_batch_new(schema);
    struct dm_key_hash *h = NULL;
    size_t n = 0;
    struct dm_suppression *all = f->m->suppression;
    enum dm_status status = DM_OK;
    for (size_t k = 0; k < schema->n_fields && status == DM_OK; k++)
        status =
            dm_column_append_value(&key->columns[k], &f->batch->columns[f->batch->schema->keys[k]], row, err);
    dm_batch_end_row(key, DM_OP_COPY);
    if (status == DM_OK)
        status = dm_erase_hash_tuples(all, &columns, key, &h, &n, err);
    if (status == DM_OK) {
        struct dm_key_hash plain;
        dm_suppression_hash(all, f->keys.bytes.data + f->keys.offsets[row],
                            f->keys.offsets[row + 1] - f->keys.offsets[row], &plain);
        dm_suppression_stage(all, f->t->state.id, &plain, 1, 0);
        dm_suppression_stage_marked(all, f->t->state.id, &columns, h, n);
        dm_erase_match_free(f->match); /* before its set */
        f->match = NULL;
        dm_suppressed_unref(f->set);
        f->set = dm_suppression_of(all, f->t->state.id);
        status = make_match(f, err);
    }
    free(h);
    dm_batch_free(key);
    dm_schema_unref(schema);
    dm_column_list_release(&columns);
    return status;
}

/* A REKEY at `row` and the UPDATE behind it. */
static enum dm_status take_rekey(struct filter *f, size_t row, struct dm_error *err)
{
    bool old_key = is_suppressed(f, row), new_key = is_suppressed(f, row + 1);
    struct dm_dataset_state *count = &f->t->state;
    if (!old_key && !new_key) {
        if (dm_batch_append_row(f->kept, f->batch, row, err) != DM_OK)
            return DM_FAIL;
        return dm_batch_append_row(f->kept, f->batch, row + 1, err);
    }
    count->suppressed++;
    count->received += 2;
    if (old_key) {
        if (!new_key && f->keys.offsets[row + 2] > f->keys.offsets[row + 1])
            return follow(f, row + 1, err);
        return DM_OK;
    }
    /* A row takes on a suppressed key: of what the lake may show, it is deleted. */
    count->received--;
    if (dm_batch_append_row(f->kept, f->batch, row, err) != DM_OK)
        return DM_FAIL;
    f->kept->ops[f->kept->rows - 1] = DM_OP_DELETE;
    return DM_OK;
}

static enum dm_status take_rows(struct filter *f, struct dm_error *err)
{
    enum dm_status status = DM_OK;
    struct dm_dataset_state *count = &f->t->state;
    for (size_t i = 0; i < f->batch->rows && status == DM_OK; i++) {
        uint8_t op = f->batch->ops[i];
        if (op == DM_OP_REKEY && i + 1 < f->batch->rows) {
            status = take_rekey(f, i, err);
            i++;
        } else if (!is_suppressed(f, i)) {
            status = dm_batch_append_row(f->kept, f->batch, i, err);
        } else {
            bool noop = op == DM_OP_DELETE && f->t->rules != NULL;
            count->received++;
            count->suppressed += op != DM_OP_DELETE;
            count->noop_deletes += noop;
            const struct dm_txn *txn = &f->txns[f->batch->txns[i]];
            DM_ROW_COUNT(txn, received, 1);
            DM_ROW_COUNT(txn, suppressed, op != DM_OP_DELETE);
            DM_ROW_COUNT(txn, noop_deletes, noop);
        }
    }
    return status;
}

enum dm_status dm_suppress_rows(struct dm_mirror *m, struct dm_target *t, const struct dm_txn *txns,
                                const struct dm_batch *batch, struct dm_batch **kept, struct dm_error *err)
{
    *kept = NULL;
    struct filter f = {
        .m = m, .t = t, .txns = txns, .batch = batch, .set = dm_suppression_of(m->suppression, t->state.id)};
    if (f.set == NULL || batch->schema->n_keys == 0) {
        dm_suppressed_unref(f.set);
        return DM_OK;
    }
    enum dm_status status = dm_key_list_encode(&f.keys, batch, err);
    if (status == DM_OK)
        status = make_match(&f, err);
    if (status == DM_OK && any_suppressed(&f)) {
        f.kept = dm_batch_new(batch->schema);
        status = take_rows(&f, err);
        if (status == DM_OK)
            *kept = f.kept;
        else
            dm_batch_free(f.kept);
    }
    dm_erase_match_free(f.match);
    dm_key_list_release(&f.keys);
    dm_suppressed_unref(f.set);
    return status;
}

enum dm_status dm_suppress_select(const struct dm_suppressed *set, const struct dm_batch *batch,
                                  uint32_t *selection, size_t *n, uint64_t *suppressed, struct dm_error *err)
{
    struct dm_erase_match *match = dm_suppressed_match(set, batch->schema);
    enum dm_status status = dm_erase_match_batch(match, batch, err);
    *n = 0;
    for (size_t i = 0; i < batch->rows && status == DM_OK; i++) {
        if (dm_erase_match_has(match, i))
            (*suppressed)++;
        else
            selection[(*n)++] = (uint32_t)i;
    }
    dm_erase_match_free(match);
    return status;
}

/* ---- bad rows ---- */

bool dm_suppressed_bad_row(const struct dm_suppressed *set, const struct dm_schema *schema, const char *raw,
                           const char *key)
{
    if (set == NULL || schema == NULL || schema->n_keys == 0)
        return false;
    struct dm_erase_match *match = dm_suppressed_match(set, schema);
    bool is = dm_erase_match_bad_row(match, raw, key);
    dm_erase_match_free(match);
    return is;
}

bool dm_suppress_bad_row(struct dm_mirror *m, struct dm_target *t, const struct dm_bad_row *row)
{
    struct dm_suppressed *set = dm_suppression_of(m->suppression, t->state.id);
    if (set == NULL)
        return false;
    const struct dm_dataset *d = NULL;
    struct dm_error ignored = {0};
    bool is = dm_lake_dataset(m->lake, t->state.namespace, t->state.name, &d, &ignored) == DM_OK &&
              d != NULL && dm_suppressed_bad_row(set, d->schema, row->raw, row->key);
    t->state.suppressed += is;
    dm_suppressed_unref(set);
    return is;
}
