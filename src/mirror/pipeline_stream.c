#include "mirror/pipeline_state.h"

#include "base/log.h"
#include "mirror/dataset_match.h"

enum {
    poll_ms = 50,
    discover_every_ms = 3000,
    position_every_ms = 5000,
};

/* ---- targets ---- */

enum dm_status dm_pipeline_find_target(void *ctx, const struct dm_table *table, struct dm_target **target,
                                       struct dm_error *err)
{
    struct pipeline *p = ctx;
    (void)err;
    *target = dm_target_list_find(&p->targets, table);
    return DM_OK;
}

/* A mistyped table name must not pass in silence; it is no error either, since the table may be made later. */
static void warn_of_idle_globs(const struct pipeline *p, const struct dm_table_list *tables)
{
    for (size_t i = 0; i < p->config->n_tables; i++) {
        const struct dm_table_config *entry = &p->config->tables[i];
        bool used = false;
        for (size_t k = 0; k < tables->n && !used; k++)
            used = dm_table_glob_match(entry->glob, tables->tables[k]->schema, tables->tables[k]->name);
        if (!used)
            dm_log(DM_LOG_WARN, "%s: no table matches \"%s\" (is the schema or the name misspelled?)",
                   p->config->name, entry->glob);
    }
}

/* Brings the datasets in line with the source's tables: adds new ones, marks vanished ones, has the capture prepared for the change. */
enum dm_status dm_pipeline_take_tables(struct pipeline *p, const struct dm_table_list *tables, bool first,
                                       struct dm_error *err)
{
    bool changed = false;
    /* A commit in progress holds the mutex, and may be waiting for what this thread has to hand on: never wait for it here. */
    if (first)
        (void)pthread_mutex_lock(&p->m->lake_mutex);
    else if (!dm_pipeline_try_lake(p)) {
        p->discovered_us = 0; /* in the next round again */
        return DM_OK;
    }
    p->targets.committed = p->committed;
    p->targets.source_end =
        p->committed + (p->stream != NULL ? p->type->stream_lag(p->stream, p->committed) : 0);
    enum dm_status status = dm_target_list_update(&p->targets, tables, &changed, err);
    (void)pthread_mutex_unlock(&p->m->lake_mutex);
    if (status == DM_OK && first)
        warn_of_idle_globs(p, tables);
    if (status == DM_OK && (first || changed))
        status = p->type->prepare(p->source, tables, err);
    for (size_t i = 0; i < p->targets.n && status == DM_OK && p->collector != NULL; i++) {
        struct dm_target *t = p->targets.items[i];
        if ((t->phase == DM_PHASE_STREAMING || t->phase == DM_PHASE_WAITING) &&
            dm_dataset_table(&t->state, tables) == NULL)
            status = dm_collector_set_state(
                p->collector, t, "dropped",
                "the table is not in the source any more, or not selected; the dataset keeps its last state",
                err);
    }
    return status;
}

static enum dm_status discover(struct pipeline *p, struct dm_error *err)
{
    struct dm_table_list tables = {0};
    enum dm_status status = p->type->tables(p->source, &tables, err);
    if (status == DM_OK)
        status = dm_pipeline_take_tables(p, &tables, false, err);
    dm_table_list_release(&tables);
    return status;
}

/* ---- the stream loop ---- */

static bool copies_wanted(const struct pipeline *p)
{
    for (size_t i = 0; i < p->targets.n; i++)
        if (p->targets.items[i]->phase == DM_PHASE_WAITING ||
            p->targets.items[i]->phase == DM_PHASE_COPYING ||
            (p->targets.items[i]->phase == DM_PHASE_STREAMING && p->targets.items[i]->copy_again))
            return true;
    return false;
}

/* until_caught_up: publishes the position when it passed the goal, and says when it is committed. */
static enum dm_status caught_up(struct pipeline *p, bool *done, struct dm_error *err)
{
    *done = false;
    if (!p->options.until_caught_up || copies_wanted(p) || p->job != NULL)
        return DM_OK;
    if (p->committed >= p->goal) {
        *done = p->units_pending == 0;
        return DM_OK;
    }
    if (dm_collector_position(p->collector) < p->goal || p->units_pending > 0)
        return DM_OK;
    enum dm_status status = dm_collector_close_unit(p->collector, true, err);
    return status == DM_TIMEOUT ? DM_OK : status;
}

/* An idle source's position moves too, so that it can forget its log. */
static enum dm_status publish_position(struct pipeline *p, struct dm_error *err)
{
    if (dm_collector_position(p->collector) <= p->committed || p->units_pending > 0)
        return DM_OK;
    if (!dm_pipeline_due(&p->position_us, position_every_ms))
        return DM_OK;
    enum dm_status status = dm_collector_close_unit(p->collector, true, err);
    return status == DM_TIMEOUT ? DM_OK : status;
}

static enum dm_status poll_stream(struct pipeline *p, struct dm_error *err)
{
    enum dm_status status = p->type->stream_poll(p->stream, dm_collector_sink(p->collector), poll_ms, err);
    return status == DM_TIMEOUT ? DM_OK : status;
}

/* For a pin: nothing is read, which may take as long as the longest transaction at the source. The server must not take us for dead. */
static enum dm_status stand_still(struct pipeline *p, struct dm_error *err)
{
    dm_clock_sleep_ms(10);
    return p->type->stream_keepalive != NULL ? p->type->stream_keepalive(p->stream, err) : DM_OK;
}

static enum dm_status one_round(struct pipeline *p, struct finished_list *ready, bool *done,
                                struct dm_error *err)
{
    enum dm_status status = dm_pipeline_failure_of(p, err);
    if (status == DM_OK)
        status = p->held_request == 0 ? poll_stream(p, err) : stand_still(p, err);
    if (status == DM_OK)
        status = dm_collector_tick(p->collector, err);
    if (status == DM_OK)
        status = dm_pipeline_look_at_requests(p, err);
    if (status == DM_OK && !dm_collector_in_transaction(p->collector) &&
        dm_pipeline_due(&p->discovered_us, discover_every_ms))
        status = discover(p, err);
    if (status == DM_OK && !dm_collector_in_transaction(p->collector))
        status = dm_pipeline_start_copies(p, err);
    if (status == DM_OK)
        status = dm_pipeline_look_at_copies(p, ready, err);
    if (status == DM_OK)
        status = publish_position(p, err);
    if (status == DM_OK)
        status = dm_pipeline_tell_health(p, err);
    dm_pipeline_tell_progress(p);
    if (status == DM_OK)
        status = caught_up(p, done, err);
    return status == DM_END ? dm_pipeline_failure_of(p, err) : status;
}

enum dm_status dm_pipeline_stream(struct pipeline *p, struct dm_error *err)
{
    struct finished_list ready = {0};
    bool done = false;
    enum dm_status status = DM_OK;
    p->has_streamed = true;
    int64_t started = dm_clock_monotonic_us();
    while (status == DM_OK && !done && !dm_pipeline_stopping(p)) {
        status = one_round(p, &ready, &done, err);
        if (p->quick_retries > 0 && dm_clock_monotonic_us() - started > 10 * 1000000)
            p->quick_retries = 0; /* settled */
    }
    if (status == DM_OK && *p->m->stop < 2 && !dm_collector_in_transaction(p->collector))
        status = dm_collector_close_unit(p->collector, false, err);
    dm_pipeline_drop_finished(&ready);
    return status;
}
