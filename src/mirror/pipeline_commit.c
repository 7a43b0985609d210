#include "mirror/pipeline_state.h"

#include "base/crash_point.h"

enum {
    keepalive_every_ms = 5000,
    give_way_ms = 50,
};

void dm_pipeline_keep_failure(struct pipeline *p, const struct dm_error *err)
{
    (void)pthread_mutex_lock(&p->failure_mutex);
    if (p->failure.class == DM_ERROR_NONE) {
        p->failure = *err;
        p->failed_dataset = dm_committer_failed_dataset(p->committer);
        p->failed_wants_copy = dm_committer_wants_copy(p->committer);
    }
    (void)pthread_mutex_unlock(&p->failure_mutex);
}

enum dm_status dm_pipeline_failure_of(struct pipeline *p, struct dm_error *err)
{
    (void)pthread_mutex_lock(&p->failure_mutex);
    enum dm_status status = p->failure.class != DM_ERROR_NONE ? DM_FAIL : DM_OK;
    if (status == DM_FAIL)
        *err = p->failure;
    (void)pthread_mutex_unlock(&p->failure_mutex);
    return status;
}

/* Commits that follow each other at once would keep requests and health out for as long as the load lasts. */
static void give_way(struct pipeline *p)
{
    for (int ms = 0; p->lake_wanted && ms < give_way_ms; ms++)
        dm_clock_sleep_ms(1);
}

/* Stream thread: takes the lake mutex if that does not mean waiting for a commit, which may itself wait for what this thread hands on. */
bool dm_pipeline_try_lake(struct pipeline *p)
{
    bool taken = pthread_mutex_trylock(&p->m->lake_mutex) == 0;
    p->lake_wanted = !taken;
    return taken;
}

enum dm_status dm_pipeline_commit(void *ctx, struct dm_error *err)
{
    struct pipeline *p = ctx;
    void *item = NULL;
    while (dm_queue_pop(&p->queue, &item, DM_FOREVER) == DM_OK) {
        struct dm_unit *unit = item;
        const size_t bytes = unit->bytes;
        enum dm_status status = dm_committer_apply(p->committer, unit, err);
        if (status == DM_OK && unit->closes) {
            if (unit->commit_time_us != 0)
                p->commit_time_us = unit->commit_time_us;
            atomic_fetch_add(&p->changes, p->changes_open + unit->rows);
            p->changes_open = 0;
            p->committed = unit->position;
            dm_crash_point("before-ack");
            p->type->stream_ack(p->stream, unit->position);
            give_way(p);
        } else {
            p->changes_open += unit->rows;
        }
        if (unit->commit_time_us != 0) /* what waits behind it is younger */
            p->waiting_since_us = unit->commit_time_us;
        dm_unit_free(unit);
        atomic_fetch_sub(&p->units_pending, 1);
        atomic_fetch_sub(&p->bytes_pending, bytes);
        if (status != DM_OK) {
            dm_pipeline_keep_failure(p, err);
            dm_queue_close(&p->queue);
            return status;
        }
    }
    return DM_OK;
}

/* A full unit waits until the one before it is done, so that there are two of them, not four; small ones may wait in the queue. */
static enum dm_status wait_for_room(struct pipeline *p, const struct dm_unit *unit, struct dm_error *err)
{
    enum dm_status status = DM_OK;
    int64_t told = dm_clock_monotonic_us();
    while (status == DM_OK && p->units_pending > 0 &&
           p->bytes_pending + unit->bytes > p->m->config->commit_bytes &&
           dm_pipeline_failure_of(p, err) == DM_OK) {
        dm_clock_sleep_ms(1);
        if (p->type->stream_keepalive != NULL && dm_pipeline_due(&told, keepalive_every_ms))
            status = p->type->stream_keepalive(p->stream, err);
    }
    return status;
}

enum dm_status dm_pipeline_push_unit(void *ctx, struct dm_unit *unit, struct dm_error *err)
{
    struct pipeline *p = ctx;
    if (wait_for_room(p, unit, err) != DM_OK) {
        dm_unit_free(unit);
        return DM_FAIL;
    }
    atomic_fetch_add(&p->bytes_pending, unit->bytes);
    if (atomic_fetch_add(&p->units_pending, 1) == 0)
        p->waiting_since_us = unit->waiting_since_us != 0 ? unit->waiting_since_us : dm_clock_wall_us();
    enum dm_status status = dm_queue_push_within(&p->queue, unit, keepalive_every_ms);
    while (status ==
           DM_TIMEOUT) { /* a commit takes long (an index is built): the server must not take us for dead */
        status = p->type->stream_keepalive != NULL ? p->type->stream_keepalive(p->stream, err) : DM_OK;
        if (status == DM_OK)
            status = dm_queue_push_within(&p->queue, unit, keepalive_every_ms);
    }
    if (status == DM_OK)
        return DM_OK;
    dm_unit_free(unit);
    if (status == DM_FAIL)
        return DM_FAIL;
    if (dm_pipeline_failure_of(p, err) == DM_OK)
        return dm_fail(err, DM_ERROR_TRANSIENT, NULL, "the commit thread ended");
    return DM_FAIL;
}

bool dm_pipeline_commit_under_way(void *ctx)
{
    const struct pipeline *p = ctx;
    return p->units_pending > 0;
}
