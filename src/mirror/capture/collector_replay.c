#include <assert.h>
#include <stdlib.h>

#include "base/memory.h"
#include "mirror/capture/collector_state.h"

struct replay {
    struct dm_collector *c;
    struct dm_spool *spool;
    uint32_t unit_txn;  /* unit number of the spool transaction entered last */
    uint32_t spool_txn; /* that transaction; UINT32_MAX: none */
    bool attach;        /* replaying what arrived during a copy */
};

/* Enters a spool transaction into the unit (history needs its position and time). */
static uint32_t replay_txn(struct replay *p, uint32_t number)
{
    struct dm_unit *u = p->c->unit;
    if (p->spool_txn != number || u->n_txns == 0) {
        u->txns = dm_xrealloc(u->txns, u->n_txns + 1, sizeof *u->txns);
        u->txns[u->n_txns] = *dm_spool_txn_at(p->spool, number);
        p->unit_txn = (uint32_t)u->n_txns++;
        p->spool_txn = number;
    }
    return p->unit_txn;
}

static enum dm_status replay_define(void *ctx, struct dm_target *t, const struct dm_table *table,
                                    struct dm_error *err)
{
    struct replay *p = ctx;
    return dm_collector_apply_table(p->c, dm_collector_route(p->c, t), table, err);
}

static bool replay_wanted(const struct replay *p, const struct dm_target *t, uint32_t txn)
{
    return t->phase == DM_PHASE_STREAMING && !t->copy_again &&
           dm_spool_txn_at(p->spool, txn)->visible_at >= t->copied_at;
}

/* A streamed transaction commits while its table is being copied: its place in the table's spool. */
static enum dm_status table_in_spool(struct dm_collector *c, struct dm_target *t,
                                     const struct dm_table *table, size_t *number, struct dm_error *err)
{
    dm_collector_route(c, t)->spool_id = 0; /* the definition it remembers need not be the current one now */
    return dm_spool_table(t->spool, t, table, number, err);
}

static enum dm_status batch_to_spool(struct dm_collector *c, struct dm_target *t,
                                     const struct dm_table *table, struct dm_batch *batch,
                                     struct dm_error *err)
{
    uint32_t txn = dm_collector_spool_txn(c, t->spool);
    size_t number = 0;
    enum dm_status status = table_in_spool(c, t, table, &number, err);
    for (size_t i = 0; i < batch->rows && status == DM_OK; i++) {
        struct dm_batch *into;
        batch->txns[i] = txn;
        batch->subxids[i] = 0;
        status = dm_spool_rows(t->spool, number, txn, 0, &into, err);
        if (status == DM_OK)
            status = dm_batch_append_row(into, batch, i, err);
    }
    return status;
}

static enum dm_status replay_batch(void *ctx, struct dm_target *t, const struct dm_table *table,
                                   struct dm_batch *batch, struct dm_error *err)
{
    struct replay *p = ctx;
    struct dm_collector *c = p->c;
    struct dm_route *r = dm_collector_route(c, t);
    bool wanted = p->attach || replay_wanted(p, t, batch->txns[0]);
    enum dm_status status = DM_OK;
    if (!p->attach && t->spool != NULL) {
        status = batch_to_spool(c, t, table, batch, err);
        wanted = false;
    } else if (wanted) {
        status = dm_collector_apply_table(c, r, table, err);
        wanted = !t->copy_again; /* the definition could not be followed */
    }
    if (status != DM_OK || !wanted) {
        dm_batch_free(batch);
        return status;
    }
    for (size_t i = 0; i < batch->rows; i++)
        batch->txns[i] = replay_txn(p, batch->txns[i]);
    dm_schema_unref(batch->schema);
    batch->schema = dm_schema_ref(t->schema);
    r->batch = NULL;
    c->unit->rows += batch->rows;
    dm_unit_add(c->unit, DM_STEP_ROWS, t)->batch = batch;
    return dm_collector_unit_is_large(c) ? dm_collector_push(c, false, err) : DM_OK;
}

static enum dm_status replay_truncate(void *ctx, struct dm_target *t, const struct dm_table *table,
                                      uint32_t txn, struct dm_error *err)
{
    struct replay *p = ctx;
    struct dm_collector *c = p->c;
    if (!p->attach && t->spool != NULL) {
        size_t number = 0;
        enum dm_status status = table_in_spool(c, t, table, &number, err);
        return status == DM_OK
                   ? dm_spool_truncate(t->spool, number, dm_collector_spool_txn(c, t->spool), 0, err)
                   : status;
    }
    if (p->attach || replay_wanted(p, t, txn)) {
        uint32_t number = replay_txn(p, txn);
        dm_collector_add_truncate(c, t, number);
        dm_collector_route(c, t)->batch = NULL;
    }
    return DM_OK;
}

static enum dm_status replay_bad_row(void *ctx, struct dm_target *t, uint32_t txn,
                                     const struct dm_bad_row *row, struct dm_error *err)
{
    struct replay *p = ctx;
    (void)err;
    if (!p->attach && t->spool != NULL)
        dm_spool_bad_row(t->spool, t, dm_collector_spool_txn(p->c, t->spool), 0, row);
    else if (p->attach || replay_wanted(p, t, txn))
        dm_kept_rows_add(&p->c->unit->bad, &p->c->unit->n_bad, t, replay_txn(p, txn), row);
    return DM_OK;
}

enum dm_status dm_collector_replay(struct dm_collector *c, struct dm_spool *spool, bool attach,
                                   dm_position after, struct dm_error *err)
{
    struct replay p = {.c = c, .spool = spool, .spool_txn = UINT32_MAX, .attach = attach};
    struct dm_spool_replay to = {.ctx = &p,
                                 .after = after,
                                 .define = replay_define,
                                 .batch = replay_batch,
                                 .truncate = replay_truncate,
                                 .bad_row = replay_bad_row};
    return dm_spool_replay(spool, &to, err);
}

enum dm_status dm_collector_attach(struct dm_collector *c, struct dm_target *t,
                                   struct dm_copied_table *copied, const struct dm_table *table,
                                   struct dm_error *err)
{
    assert(!c->open && c->position >= copied->at);
    struct dm_route *r = dm_collector_route(c, t);
    struct dm_spool *spool = t->spool;
    t->spool = NULL;
    c->n_spooled--;
    t->phase = DM_PHASE_STREAMING;
    t->copied_at = copied->at;
    dm_schema_unref(t->schema);
    t->schema = dm_schema_ref(copied->schema);
    t->last_column_id = copied->last_column_id;
    dm_basis_release(&t->basis);
    t->basis = dm_basis_copy(&table->basis);
    dm_position at = copied->at;
    struct dm_step *step = dm_unit_add(c->unit, DM_STEP_ATTACH, t);
    step->copied = copied;
    step->table = dm_table_copy(table);
    r->batch = NULL;
    c->open = true; /* the spool may be handed on in parts; the position moves when all of it is in */
    enum dm_status status = dm_collector_apply_table(
        c, r, table, err); /* the name may be another than when the copy was planned */
    if (status == DM_OK)
        status = dm_collector_replay(c, spool, true, at, err);
    c->open = false;
    dm_spool_free(spool);
    return status;
}
