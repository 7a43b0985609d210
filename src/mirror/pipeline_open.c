#include "mirror/pipeline_state.h"

#include <stdlib.h>

#include "base/log.h"
#include "base/memory.h"
#include "mirror/index/index_rebuild.h"
#include "mirror/target_basis.h"

enum {
    units_in_flight = 2,
};

/* Without those whose files are damaged: they have no schema here. */
static enum dm_status catch_up_index(struct pipeline *p, struct dm_error *err)
{
    struct dm_target **readable = dm_xzalloc(p->targets.n + 1, sizeof *readable);
    size_t n = 0;
    for (size_t i = 0; i < p->targets.n; i++)
        if (p->targets.items[i]->schema != NULL)
            readable[n++] = p->targets.items[i];
    enum dm_status status = dm_index_catch_up(p->m, readable, n, err);
    free(readable);
    return status;
}

static enum dm_status open_lake_side(struct pipeline *p, struct dm_error *err)
{
    struct dm_source_state state = {0};
    p->targets = (struct dm_target_list){.mirror = p->m, .config = p->config};
    (void)pthread_mutex_lock(&p->m->lake_mutex);
    enum dm_status status = dm_state_source(dm_lake_sqlite(p->m->lake), p->config->name, &state, err);
    if (status == DM_OK)
        status = dm_target_list_load(&p->targets, err);
    if (status == DM_OK)
        status = catch_up_index(p, err);
    (void)pthread_mutex_unlock(&p->m->lake_mutex);
    p->committed = status == DM_OK ? state.position : 0;
    p->commit_time_us = status == DM_OK ? state.commit_time_us : 0;
    p->mark = state.mark;
    return status;
}

static enum dm_status start_afresh(struct pipeline *p, struct dm_error *err)
{
    p->committed = 0;
    p->mark = (struct dm_log_mark){0};
    enum dm_status status = DM_OK;
    (void)pthread_mutex_lock(&p->m->lake_mutex);
    for (size_t i = 0; i < p->targets.n && status == DM_OK; i++) {
        struct dm_target *t = p->targets.items[i];
        t->copied_at = 0;
        t->state.source_id = 0; /* a capture gives its ids anew; until the copy says them, names count */
        status = dm_state_put_dataset(dm_lake_sqlite(p->m->lake), &t->state, err);
    }
    (void)pthread_mutex_unlock(&p->m->lake_mutex);
    return status == DM_OK ? p->type->forget(p->source, err) : status;
}

/* The copies are asked for first, so that they are due whatever becomes of this process once the capture starts afresh. */
static enum dm_status copy_all_again(struct pipeline *p, struct dm_error *err)
{
    enum dm_status status = DM_OK;
    (void)pthread_mutex_lock(&p->m->lake_mutex);
    for (size_t i = 0; i < p->targets.n && status == DM_OK; i++) {
        struct dm_target *t = p->targets.items[i];
        if (t->phase != DM_PHASE_STREAMING)
            continue;
        t->copy_again = true;
        status = dm_state_mark_waiting(dm_lake_sqlite(p->m->lake), t->state.id, err);
        dm_target_set_text(t, &t->state.state, "waiting");
    }
    (void)pthread_mutex_unlock(&p->m->lake_mutex);
    return status;
}

static enum dm_status carry_out(struct pipeline *p, const struct dm_plan *plan, struct dm_error *err)
{
    dm_position from = dm_plan_is_afresh(plan) ? 0 : plan->from;
    enum dm_status status = DM_OK;
    if (plan->lost.class != DM_ERROR_NONE) {
        dm_log(DM_LOG_WARN, "%s: %s. The machine was started anew since: all tables are copied again",
               p->config->name, plan->lost.message);
        status = copy_all_again(p, err);
    }
    if (status == DM_OK && dm_plan_is_afresh(plan))
        status = start_afresh(p, err);
    if (status == DM_OK)
        status = dm_source_basis_keep(p->m, p->config, &plan->basis, &plan->basis_now, err);
    if (status == DM_OK)
        status = dm_pipeline_take_tables(p, &plan->tables, true, err);
    if (status == DM_OK && p->options.until_caught_up && !p->goal_known) {
        status = p->type->current(p->source, &p->goal, err);
        p->goal_known = status == DM_OK;
    }
    if (status == DM_OK)
        status = p->type->stream_open(p->source, from, &p->stream, err);
    return status;
}

static enum dm_status open_source(struct pipeline *p, struct dm_error *err)
{
    struct dm_plan plan = {0};
    enum dm_status status = dm_pipeline_take_requests(p, &plan, err);
    if (status == DM_OK)
        status = p->type->open(p->config, &p->source, err);
    if (status == DM_OK && p->type->set_waiter != NULL)
        p->type->set_waiter(p->source, &p->waiter);
    if (status == DM_OK)
        status = dm_plan_source(&plan, p->type, p->source, err);
    if (status == DM_OK)
        status = carry_out(p, &plan, err);
    dm_plan_release(&plan);
    return status;
}

enum dm_status dm_pipeline_open(struct pipeline *p, struct dm_error *err)
{
    enum dm_status status = open_lake_side(p, err);
    if (status == DM_OK)
        status = open_source(p, err);
    if (status != DM_OK)
        return status;
    dm_queue_init(&p->queue, units_in_flight);
    p->queue_ready = true;
    struct dm_committer_options committer = {
        .mirror = p->m, .source = p->config, .type = p->type, .targets = &p->targets};
    p->committer = dm_committer_new(&committer);
    struct dm_collector_options collector = {
        .mirror = p->m,
        .spool_folder = p->m->config->lake,
        .unit_bytes = p->m->config->commit_bytes,
        .commit_interval_ms = p->m->config->commit_interval_ms,
        .push = dm_pipeline_push_unit,
        .find = dm_pipeline_find_target,
        .busy = dm_pipeline_commit_under_way,
        .ctx = p,
        .mark = p->mark,
    };
    p->collector = dm_collector_new(&collector, p->committed);
    return dm_thread_start(&p->commit_thread, "commit", dm_pipeline_commit, p, err);
}

static void drop_unit(void *item)
{
    dm_unit_free(item);
}

void dm_pipeline_close(struct pipeline *p)
{
    if (p->queue_ready)
        dm_queue_close(&p->queue); /* what is in it is still applied */
    struct dm_error failure;
    if (dm_thread_join(&p->commit_thread, &failure) != DM_OK)
        dm_pipeline_keep_failure(p, &failure);
    if (p->queue_ready)
        dm_queue_release(&p->queue, drop_unit);
    p->queue_ready = false;
    dm_pipeline_end_copies(p);
    if (p->streaming_shown)
        dm_progress_end(&p->streaming);
    p->streaming_shown = false;
    dm_committer_free(p->committer);
    p->committer = NULL;
    dm_collector_free(p->collector);
    p->collector = NULL;
    if (p->stream != NULL)
        p->type->stream_close(p->stream);
    p->stream = NULL;
    if (p->source != NULL)
        p->type->close(p->source);
    p->source = NULL;
    dm_target_list_release(&p->targets);
    p->units_pending = 0;
    p->bytes_pending = 0;
    p->held_request = 0;
}
