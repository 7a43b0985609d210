#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "mirror/capture/collector_state.h"

enum { rows_of_discarded = 1024, bytes_of_discarded = 1 << 20 };

/* ---- units ---- */

static void close_batches(struct dm_collector *c)
{
    for (size_t i = 0; i < c->n_routes; i++)
        c->routes[i]->batch = NULL;
}

enum dm_status dm_collector_push(struct dm_collector *c, bool closes, struct dm_error *err)
{
    struct dm_unit *u = c->unit;
    u->closes = closes;
    u->bytes = dm_unit_bytes(u);
    c->parts_pending = !closes;
    u->position = c->position;
    u->mark = c->mark;
    u->commit_time_us = c->commit_time_us;
    close_batches(c);
    c->unit = dm_unit_new();
    c->unit_txn = UINT32_MAX;
    c->bytes_grown = 0;
    return c->options.push(c->options.ctx, u, err);
}

bool dm_collector_unit_is_large(struct dm_collector *c)
{
    return dm_unit_bytes(c->unit) >= c->options.unit_bytes;
}

/* Inside a transaction: hands on what there is when it became large. A REKEY row and its UPDATE stay together. Rows differ in size by a
 * factor of millions, so the batch at hand is looked at for every row, the unit when that has grown. */
static enum dm_status relieve(struct dm_collector *c, struct dm_route *r, struct dm_error *err)
{
    if (r->batch == NULL || dm_batch_ends_in_rekey(r->batch))
        return DM_OK;
    size_t bytes = dm_batch_bytes(r->batch), grown = bytes - r->bytes_seen;
    r->bytes_seen = bytes;
    c->bytes_grown += grown;
    if (c->bytes_grown < c->options.unit_bytes / 16)
        return DM_OK;
    c->bytes_grown = 0;
    return dm_collector_unit_is_large(c) ? dm_collector_push(c, false, err) : DM_OK;
}

static uint32_t unit_txn_number(struct dm_collector *c)
{
    if (c->unit_txn == UINT32_MAX) {
        struct dm_unit *u = c->unit;
        u->txns = dm_xrealloc(u->txns, u->n_txns + 1, sizeof *u->txns);
        u->txns[u->n_txns] = c->txn;
        c->unit_txn = (uint32_t)u->n_txns++;
    }
    return c->unit_txn;
}

dm_position dm_collector_position(const struct dm_collector *c)
{
    return c->position;
}

int64_t dm_collector_waiting_since(const struct dm_collector *c)
{
    return c->unit->waiting_since_us;
}

bool dm_collector_in_transaction(const struct dm_collector *c)
{
    return c->open || c->current != NULL;
}

enum dm_status dm_collector_close_unit(struct dm_collector *c, bool even_empty, struct dm_error *err)
{
    if (c->open)
        return DM_TIMEOUT;
    if (dm_unit_empty(c->unit) && !c->parts_pending && !even_empty)
        return DM_OK;
    return dm_collector_push(c, true, err);
}

enum dm_status dm_collector_tick(struct dm_collector *c, struct dm_error *err)
{
    if (c->open || (dm_unit_empty(c->unit) && !c->parts_pending))
        return DM_OK;
    if (c->parts_pending)
        return dm_collector_push(c, true, err);
    int64_t age_us = dm_clock_monotonic_us() - c->unit->started_us;
    bool aged = age_us >= c->options.commit_interval_ms * 1000;
    bool busy = c->options.busy != NULL && c->options.busy(c->options.ctx);
    if ((aged && !busy) || dm_collector_unit_is_large(c))
        return dm_collector_push(c, true, err);
    return DM_OK;
}

/* ---- pins ---- */

void dm_collector_pin(struct dm_collector *c, int64_t request, dm_position position)
{
    c->pin_request = request;
    c->pin_position = position;
}

bool dm_collector_pinned(const struct dm_collector *c)
{
    return c->pin_request != 0;
}

/* Called where everything before `next` is in the unit: closes it with the pin when the pin lies here. */
static enum dm_status satisfy_pin(struct dm_collector *c, dm_position next, struct dm_error *err)
{
    if (c->pin_request == 0 || next < c->pin_position)
        return DM_OK;
    c->unit->pins[c->unit->n_pins++] = c->pin_request;
    c->pin_request = 0;
    return dm_collector_push(c, true, err);
}

/* ---- tables ---- */

struct dm_route *dm_collector_route(struct dm_collector *c, struct dm_target *t)
{
    for (size_t i = 0; i < c->n_routes; i++)
        if (c->routes[i]->target == t)
            return c->routes[i];
    struct dm_route *r = dm_xzalloc(1, sizeof *r);
    r->target = t;
    c->routes = dm_xrealloc(c->routes, c->n_routes + 1, sizeof *c->routes);
    c->routes[c->n_routes++] = r;
    t->route = c->n_routes - 1;
    return r;
}

/* From here on the target's rows are left out, so the commit that moves the position beyond them must say that a copy is due: it may
 * begin much later (another one is under way), or only in the next run. */
static enum dm_status ask_for_copy(struct dm_collector *c, struct dm_target *t, const char *why,
                                   struct dm_error *err)
{
    if (t->copy_again)
        return DM_OK;
    t->copy_again = true;
    dm_log(DM_LOG_INFO, "%s.%s will be copied again: %s", t->state.namespace, t->state.name, why);
    return dm_collector_set_state(c, t, "copying", NULL, err);
}

/* A column new to the dataset whose stored rows were filled without row events. The stream tells of a rewrite that it sees; this
 * finds one that happened while no mirror ran. NULL: none. */
static const char *filled_column(const struct dm_schema *current, const struct dm_schema *wanted)
{
    for (size_t i = 0; i < wanted->n_fields; i++) {
        const struct dm_field *w = &wanted->fields[i];
        bool known = false;
        for (size_t k = 0; k < current->n_fields && !known; k++)
            known = w->source_ref != 0 && current->fields[k].source_ref != 0
                        ? current->fields[k].source_ref == w->source_ref
                        : strcmp(current->fields[k].name, w->name) == 0;
        if (!known && w->filled)
            return w->name;
    }
    return NULL;
}

static bool same_key(const struct dm_schema *a, const struct dm_schema *b)
{
    if (a->n_keys != b->n_keys)
        return false;
    for (size_t k = 0; k < a->n_keys; k++)
        if (a->fields[a->keys[k]].id != b->fields[b->keys[k]].id)
            return false;
    return true;
}

enum dm_status dm_collector_apply_table(struct dm_collector *c, struct dm_route *r,
                                        const struct dm_table *table, struct dm_error *err)
{
    struct dm_target *t = r->target;
    if (t->phase != DM_PHASE_STREAMING || t->schema == NULL || t->copy_again)
        return DM_OK; /* with a copy to come, the dataset stays as it is until then */
    r->applied = table == r->table;
    if (strcmp(t->state.source_table, table->name) != 0 ||
        strcmp(t->state.source_schema, table->schema) != 0) {
        struct dm_step *rename = dm_unit_add(c->unit, DM_STEP_RENAME, t);
        rename->table = dm_table_copy(table);
    }
    const char *filled = filled_column(t->schema, table->columns);
    if (filled != NULL) {
        char why[256];
        (void)snprintf(why, sizeof why,
                       "its new column \"%s\" has a default that was computed for each stored row", filled);
        return ask_for_copy(c, t, why, err);
    }
    struct dm_schema *next = NULL;
    int32_t last_id = t->last_column_id;
    struct dm_error why = {0};
    if (table->uncertain)
        return ask_for_copy(c, t, "which of its columns is which cannot be told from the stream", err);
    if (table->rewritten || dm_schema_evolve(t->schema, table->columns, &last_id, &next, &why) != DM_OK)
        return ask_for_copy(
            c, t, table->rewritten ? "its rows were rewritten by a change of the table" : why.message, err);
    if (dm_schema_equal(next, t->schema)) {
        dm_schema_unref(next);
        return DM_OK;
    }
    bool rekey = !same_key(t->schema, next);
    if (rekey && !table->rekeyable) {
        dm_schema_unref(next);
        return ask_for_copy(c, t, "its key changed, and the stream does not say from which row on", err);
    }
    r->batch = NULL; /* rows from here on have the new columns */
    struct dm_step *step = dm_unit_add(c->unit, DM_STEP_SCHEMA, t);
    step->schema = dm_schema_ref(next);
    step->rekey = rekey;
    dm_schema_unref(t->schema);
    t->schema = next;
    t->last_column_id = last_id;
    dm_log(DM_LOG_INFO, "%s.%s: the columns changed", t->state.namespace, t->state.name);
    return DM_OK;
}

static bool spooled(const struct dm_target *t)
{
    return t->spool != NULL;
}

/* The number of the route's definition in a spool, remembered because it is asked for every row. */
static enum dm_status spool_table(struct dm_route *r, struct dm_spool *s, size_t *number,
                                  struct dm_error *err)
{
    enum dm_status status = DM_OK;
    if (r->spool_id != dm_spool_id(s)) {
        status = dm_spool_table(s, r->target, r->table, &r->spool_table, err);
        r->spool_id = status == DM_OK ? dm_spool_id(s) : 0;
    }
    *number = r->spool_table;
    return status;
}

/* The copy's snapshot may be older than the definition, and no row may ever follow it. */
static enum dm_status define_in_spool(struct dm_collector *c, struct dm_route *r, struct dm_error *err)
{
    struct dm_spool *s = r->target->spool;
    size_t number = 0;
    enum dm_status status = spool_table(r, s, &number, err);
    return status == DM_OK ? dm_spool_define(s, number, dm_collector_spool_txn(c, s), err) : status;
}

static enum dm_status define(struct dm_collector *c, struct dm_route *r, const struct dm_table *table,
                             struct dm_error *err)
{
    if (r->table != table) {
        bool rewritten = r->table != NULL && r->table->rewritten; /* no copy began since that was said */
        dm_table_free(r->table);
        r->table = dm_table_copy(table);
        r->table->rewritten = r->table->rewritten || rewritten;
    }
    r->applied = false;
    r->batch = NULL;
    r->spool_id = 0;
    if (c->current != NULL) /* it may never be committed: it takes effect with its rows, if they do */
        return DM_OK;
    return spooled(r->target) ? define_in_spool(c, r, err) : dm_collector_apply_table(c, r, r->table, err);
}

static enum dm_status on_table(void *ctx, const struct dm_table *table, void **handle, struct dm_error *err)
{
    struct dm_collector *c = ctx;
    *handle = NULL;
    struct dm_target *t = NULL;
    enum dm_status status = c->options.find(c->options.ctx, table, &t, err);
    if (status != DM_OK || t == NULL || t->phase == DM_PHASE_STOPPED)
        return status;
    struct dm_route *r = dm_collector_route(c, t);
    *handle = r;
    return define(c, r, table, err);
}

static enum dm_status on_dropped(void *ctx, void *handle, struct dm_error *err)
{
    struct dm_route *r = handle;
    return dm_collector_set_state(ctx, r->target, "dropped",
                                  "the table was dropped in the source; the dataset keeps its last state",
                                  err);
}

enum dm_status dm_collector_set_state(struct dm_collector *c, struct dm_target *t, const char *state,
                                      const char *reason, struct dm_error *err)
{
    (void)err;
    struct dm_step *step = dm_unit_add(c->unit, DM_STEP_STATE, t);
    step->state = state;
    step->reason = dm_xstrdup(reason);
    if (strcmp(state, "copying") != 0)
        t->phase = DM_PHASE_STOPPED;
    return DM_OK;
}

/* ---- rows ---- */

/* A batch in the unit for the next row of the target, opened when needed. */
static struct dm_batch *unit_batch(struct dm_collector *c, struct dm_route *r)
{
    if (r->batch == NULL) {
        struct dm_step *step = dm_unit_add(c->unit, DM_STEP_ROWS, r->target);
        step->batch = dm_batch_new(r->target->schema);
        r->batch = step->batch;
        r->bytes_seen = 0;
    }
    r->batch->txn = unit_txn_number(c);
    r->batch->subxid = 0;
    return r->batch;
}

static struct dm_batch *discard_batch(struct dm_collector *c, const struct dm_schema *schema)
{
    if (c->discard == NULL || c->discard->schema != schema || c->discard->rows >= rows_of_discarded ||
        dm_batch_bytes(c->discard) >= bytes_of_discarded) {
        dm_batch_free(c->discard);
        c->discard = dm_batch_new(schema);
    }
    return c->discard;
}

/* Transactions come one after the other, so only the last can be it. */
uint32_t dm_collector_spool_txn(struct dm_collector *c, struct dm_spool *s)
{
    struct dm_txn here = c->open ? c->txn : (struct dm_txn){.visible_at = c->position};
    uint32_t number = dm_spool_txn_count(s);
    if (number > 0 && dm_spool_txn_at(s, number - 1)->visible_at == here.visible_at)
        return number - 1;
    return dm_spool_txn(s, &here);
}

static enum dm_status rows_to_spool(struct dm_route *r, struct dm_spool *s, uint32_t txn, uint32_t subxid,
                                    struct dm_batch **batch, struct dm_error *err)
{
    size_t number = 0;
    enum dm_status status = spool_table(r, s, &number, err);
    return status == DM_OK ? dm_spool_rows(s, number, txn, subxid, batch, err) : status;
}

static enum dm_status truncate_to_spool(struct dm_route *r, struct dm_spool *s, uint32_t txn, uint32_t subxid,
                                        struct dm_error *err)
{
    size_t number = 0;
    enum dm_status status = spool_table(r, s, &number, err);
    return status == DM_OK ? dm_spool_truncate(s, number, txn, subxid, err) : status;
}

static enum dm_status on_rows(void *ctx, void *handle, struct dm_batch **batch, struct dm_error *err)
{
    struct dm_collector *c = ctx;
    struct dm_route *r = handle;
    struct dm_target *t = r->target;
    if (c->current != NULL)
        return rows_to_spool(r, c->current->spool, c->current->txn, c->current->subxid, batch, err);
    if (spooled(t))
        return rows_to_spool(r, t->spool, dm_collector_spool_txn(c, t->spool), 0, batch, err);
    if (t->phase != DM_PHASE_STREAMING || t->copy_again || c->txn.visible_at < t->copied_at) {
        *batch = discard_batch(c, r->table->columns);
        return DM_OK;
    }
    if (!r->applied && dm_collector_apply_table(c, r, r->table, err) != DM_OK)
        return DM_FAIL;
    if (t->copy_again) { /* the definition could not be followed */
        *batch = discard_batch(c, r->table->columns);
        return DM_OK;
    }
    enum dm_status status = relieve(c, r, err);
    if (status != DM_OK)
        return status;
    *batch = unit_batch(c, r);
    c->unit->rows++;
    return DM_OK;
}

void dm_collector_add_truncate(struct dm_collector *c, struct dm_target *t, uint32_t txn)
{
    struct dm_step *step = dm_unit_add(c->unit, DM_STEP_TRUNCATE, t);
    step->txn = txn;
    step->schema = dm_schema_ref(t->schema);
}

static enum dm_status on_truncate(void *ctx, void *handle, struct dm_error *err)
{
    struct dm_collector *c = ctx;
    struct dm_route *r = handle;
    struct dm_target *t = r->target;
    if (c->current != NULL)
        return truncate_to_spool(r, c->current->spool, c->current->txn, c->current->subxid, err);
    if (spooled(t))
        return truncate_to_spool(r, t->spool, dm_collector_spool_txn(c, t->spool), 0, err);
    if (t->phase != DM_PHASE_STREAMING || t->copy_again || c->txn.visible_at < t->copied_at)
        return DM_OK;
    uint32_t txn = unit_txn_number(c);
    dm_collector_add_truncate(c, t, txn);
    r->batch = NULL;
    return DM_OK;
}

static enum dm_status on_bad_row(void *ctx, void *handle, const struct dm_bad_row *row, struct dm_error *err)
{
    struct dm_collector *c = ctx;
    struct dm_route *r = handle;
    struct dm_target *t = r->target;
    (void)err;
    if (c->current != NULL)
        dm_spool_bad_row(c->current->spool, t, c->current->txn, c->current->subxid, row);
    else if (spooled(t))
        dm_spool_bad_row(t->spool, t, dm_collector_spool_txn(c, t->spool), 0, row);
    else if (t->phase == DM_PHASE_STREAMING && c->txn.visible_at >= t->copied_at)
        dm_kept_rows_add(&c->unit->bad, &c->unit->n_bad, t, unit_txn_number(c), row);
    if (c->unit->started_us == 0)
        c->unit->started_us = dm_clock_monotonic_us();
    return DM_OK;
}

/* ---- transactions ---- */

static enum dm_status on_begin(void *ctx, const struct dm_txn *txn, struct dm_error *err)
{
    struct dm_collector *c = ctx;
    enum dm_status status = satisfy_pin(c, txn->visible_at, err);
    if (status != DM_OK)
        return status;
    c->txn = *txn;
    c->open = true;
    c->unit_txn = UINT32_MAX;
    return DM_OK;
}

static void finish_txn(struct dm_collector *c, const struct dm_txn *txn)
{
    c->txn = *txn;
    if (c->unit_txn != UINT32_MAX) {
        c->unit->txns[c->unit_txn] = *txn;
        if (c->unit->waiting_since_us == 0)
            c->unit->waiting_since_us = txn->commit_time_us;
    }
    c->unit_txn = UINT32_MAX;
    c->open = false;
    c->position = txn->position;
    c->mark = txn->mark;
    c->commit_time_us = txn->commit_time_us;
}

static struct dm_staged *staged_find(struct dm_collector *c, uint64_t xid)
{
    for (struct dm_staged *s = c->staged; s != NULL; s = s->next)
        if (s->xid == xid)
            return s;
    return NULL;
}

static void staged_remove(struct dm_collector *c, struct dm_staged *s)
{
    for (struct dm_staged **at = &c->staged; *at != NULL; at = &(*at)->next) {
        if (*at == s) {
            *at = s->next;
            break;
        }
    }
    dm_spool_free(s->spool);
    free(s);
}

static enum dm_status commit_staged(struct dm_collector *c, struct dm_staged *s, const struct dm_txn *txn,
                                    struct dm_error *err)
{
    enum dm_status status = satisfy_pin(c, txn->visible_at, err);
    if (status != DM_OK)
        return status;
    c->open = true; /* parts may be handed on while replaying */
    c->txn = *txn;
    dm_spool_txn_committed(s->spool, s->txn, txn);
    status = dm_collector_replay(c, s->spool, false, 0, err);
    if (status == DM_OK)
        finish_txn(c, txn);
    staged_remove(c, s);
    return status;
}

static enum dm_status on_commit(void *ctx, const struct dm_txn *txn, struct dm_error *err)
{
    struct dm_collector *c = ctx;
    struct dm_staged *s = c->open ? NULL : staged_find(c, txn->xid);
    if (s != NULL) {
        enum dm_status status = commit_staged(c, s, txn, err);
        if (status != DM_OK)
            return status;
    } else {
        for (size_t i = 0; i < c->n_routes && c->n_spooled > 0; i++) {
            struct dm_spool *spool = c->routes[i]->target->spool;
            uint32_t n = spool != NULL ? dm_spool_txn_count(spool) : 0;
            if (n > 0 && dm_spool_txn_at(spool, n - 1)->visible_at == txn->visible_at)
                dm_spool_txn_committed(spool, n - 1, txn);
        }
        finish_txn(c, txn);
    }
    return dm_collector_tick(c, err);
}

static enum dm_status on_idle(void *ctx, dm_position position, struct dm_error *err)
{
    struct dm_collector *c = ctx;
    if (position > c->position) {
        c->position = position;
        c->mark = (struct dm_log_mark){0};
    }
    return satisfy_pin(c, c->position, err);
}

static enum dm_status on_stream_start(void *ctx, uint64_t xid, uint32_t subxid, struct dm_error *err)
{
    struct dm_collector *c = ctx;
    (void)err;
    struct dm_staged *s = staged_find(c, xid);
    if (s == NULL) {
        s = dm_xzalloc(1, sizeof *s);
        s->xid = xid;
        s->spool = dm_spool_new(c->options.spool_folder, c->options.unit_bytes / 4);
        struct dm_txn txn = {.xid = xid};
        s->txn = dm_spool_txn(s->spool, &txn);
        s->next = c->staged;
        c->staged = s;
    }
    s->subxid = subxid;
    c->current = s;
    return DM_OK;
}

static enum dm_status on_subtransaction(void *ctx, uint32_t subxid, struct dm_error *err)
{
    struct dm_collector *c = ctx;
    (void)err;
    if (c->current != NULL)
        c->current->subxid = subxid;
    return DM_OK;
}

static enum dm_status on_stream_stop(void *ctx, struct dm_error *err)
{
    struct dm_collector *c = ctx;
    (void)err;
    c->current = NULL;
    return DM_OK;
}

static enum dm_status on_stream_abort(void *ctx, uint64_t xid, uint32_t subxid, struct dm_error *err)
{
    struct dm_collector *c = ctx;
    (void)err;
    struct dm_staged *s = staged_find(c, xid);
    if (s == NULL)
        return DM_OK;
    if (subxid == (uint32_t)xid)
        staged_remove(c, s);
    else
        dm_spool_abort(s->spool, subxid);
    return DM_OK;
}

/* ---- copies ---- */

void dm_collector_spool(struct dm_collector *c, struct dm_target *t)
{
    c->n_spooled += t->spool == NULL;
    dm_spool_free(t->spool);
    t->spool = dm_spool_new(c->options.spool_folder, c->options.unit_bytes / 8);
    t->phase = DM_PHASE_COPYING;
    t->copy_again = false;
    struct dm_route *r = dm_collector_route(c, t);
    r->batch = NULL;
    if (r->table != NULL)
        r->table->rewritten =
            false; /* the copy begins after it; spooled, the word would ask for one more copy */
}

void dm_collector_unspool(struct dm_collector *c, struct dm_target *t)
{
    c->n_spooled -= t->spool != NULL;
    dm_spool_free(t->spool);
    t->spool = NULL;
}

/* ---- life ---- */

struct dm_collector *dm_collector_new(const struct dm_collector_options *options, dm_position position)
{
    struct dm_collector *c = dm_xzalloc(1, sizeof *c);
    c->options = *options;
    c->position = position;
    c->mark = options->mark;
    c->unit = dm_unit_new();
    c->unit_txn = UINT32_MAX;
    c->sink = (struct dm_sink){
        .ctx = c,
        .begin = on_begin,
        .commit = on_commit,
        .table = on_table,
        .rows = on_rows,
        .truncate = on_truncate,
        .bad_row = on_bad_row,
        .dropped = on_dropped,
        .idle = on_idle,
        .stream_start = on_stream_start,
        .stream_stop = on_stream_stop,
        .stream_abort = on_stream_abort,
        .subtransaction = on_subtransaction,
    };
    return c;
}

void dm_collector_free(struct dm_collector *c)
{
    if (c == NULL)
        return;
    while (c->staged != NULL)
        staged_remove(c, c->staged);
    for (size_t i = 0; i < c->n_routes; i++) {
        dm_table_free(c->routes[i]->table);
        free(c->routes[i]);
    }
    free(c->routes);
    dm_batch_free(c->discard);
    dm_unit_free(c->unit);
    free(c);
}

const struct dm_sink *dm_collector_sink(struct dm_collector *c)
{
    return &c->sink;
}
