/* Where rows come in: those of suppressed keys are left out. */
#include "mirror/commit/row_counts.h"
#include "mirror/hygiene/suppression.h"
#include "mirror/quarantine/bad_row_key.h"
#include "mirror/target.h"

/* A batch on its way through the set. */
struct filter {
    struct dm_mirror *m;
    struct dm_target *t;
    struct dm_suppressed *set;
    const struct dm_txn *txns;
    const struct dm_batch *batch;
    struct dm_key_list keys;
    struct dm_batch *kept;
};

static bool is_suppressed(const struct filter *f, size_t row)
{
    const struct dm_key_list *k = &f->keys;
    return dm_suppressed_has(f->set, k->bytes.data + k->offsets[row], k->offsets[row + 1] - k->offsets[row]);
}

static bool any_suppressed(const struct filter *f)
{
    for (size_t i = 0; i < f->batch->rows; i++)
        if (is_suppressed(f, i))
            return true;
    return false;
}

/* The row's new key is suppressed from here on, too. */
static void follow(struct filter *f, size_t row)
{
    const struct dm_key_list *k = &f->keys;
    struct dm_key_hash h;
    dm_suppression_hash(f->m->suppression, k->bytes.data + k->offsets[row],
                        k->offsets[row + 1] - k->offsets[row], &h);
    dm_suppression_stage(f->m->suppression, f->t->state.id, &h, 1, 0);
    dm_suppressed_unref(f->set);
    f->set = dm_suppression_of(f->m->suppression, f->t->state.id);
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
            follow(f, row + 1);
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
    if (status == DM_OK && any_suppressed(&f)) {
        f.kept = dm_batch_new(batch->schema);
        status = take_rows(&f, err);
        if (status == DM_OK)
            *kept = f.kept;
        else
            dm_batch_free(f.kept);
    }
    dm_key_list_release(&f.keys);
    dm_suppressed_unref(f.set);
    return status;
}

enum dm_status dm_suppress_select(const struct dm_suppressed *set, const struct dm_batch *batch,
                                  uint32_t *selection, size_t *n, uint64_t *suppressed, struct dm_error *err)
{
    struct filter f = {.batch = batch};
    enum dm_status status = dm_key_list_encode(&f.keys, batch, err);
    *n = 0;
    for (size_t i = 0; i < batch->rows && status == DM_OK; i++) {
        size_t len = f.keys.offsets[i + 1] - f.keys.offsets[i];
        if (dm_suppressed_has(set, f.keys.bytes.data + f.keys.offsets[i], len))
            (*suppressed)++;
        else
            selection[(*n)++] = (uint32_t)i;
    }
    dm_key_list_release(&f.keys);
    return status;
}

/* ---- bad rows ---- */

static bool is_in(void *ctx, const uint8_t *key, size_t len)
{
    return dm_suppressed_has(ctx, key, len);
}

bool dm_suppressed_bad_row(const struct dm_suppressed *set, const struct dm_schema *schema, const char *raw,
                           const char *key)
{
    union {
        const struct dm_suppressed *set;
        void *ctx;
    } u = {.set = set};
    return set != NULL && schema != NULL && dm_bad_row_keys(schema, raw, key, is_in, u.ctx);
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
