#include "mirror/pipeline_state.h"

#include <stdlib.h>

#include "base/log.h"

enum {
    requests_every_ms = 200,
    hold_limit_ms = 60000,
};

static enum dm_status answer(struct pipeline *p, const struct dm_request *r, struct dm_error *err)
{
    struct sqlite3 *db = dm_lake_sqlite(p->m->lake);
    if (r->kind == DM_REQUEST_RESYNC) {
        struct dm_target *t = dm_target_list_named(&p->targets, r->dataset);
        if (t != NULL && t->phase != DM_PHASE_COPYING) {
            if (t->phase == DM_PHASE_STREAMING)
                t->copy_again = true;
            else
                t->phase = DM_PHASE_WAITING;
            dm_log(DM_LOG_INFO, "%s: a new copy was asked for", r->dataset);
            /* At once, and in the next commit: one under way could put the old state back. */
            if (dm_state_mark_waiting(db, t->state.id, err) != DM_OK)
                return DM_FAIL;
            if (p->collector == NULL)
                dm_target_set_text(t, &t->state.state, "waiting");
            else if (dm_collector_set_state(p->collector, t, "copying", NULL, err) != DM_OK)
                return DM_FAIL;
        }
        return dm_request_remove(db, r->id, err);
    }
    if (r->state == DM_REQUEST_ASKED && p->held_request == 0 && !dm_collector_pinned(p->collector)) {
        p->held_request = r->id;
        p->held_since_us = dm_clock_monotonic_us();
        return dm_request_set(db, r->id, DM_REQUEST_HELD, 0, err);
    }
    if (r->state == DM_REQUEST_POSITIONED && p->held_request == r->id) {
        p->held_request = 0;
        dm_collector_pin(p->collector, r->id, r->position);
    }
    return DM_OK;
}

enum dm_status dm_pipeline_look_at_requests(struct pipeline *p, struct dm_error *err)
{
    if (!dm_pipeline_due(&p->requests_us, p->held_request != 0 ? 10 : requests_every_ms))
        return DM_OK;
    if (!dm_pipeline_try_lake(p)) {
        p->requests_us = 0; /* in the next round again */
        return DM_OK;
    }
    struct dm_request *requests = NULL;
    size_t n = 0;
    enum dm_status status = dm_request_list(dm_lake_sqlite(p->m->lake), p->config->name, &requests, &n, err);
    bool held_seen = false;
    for (size_t i = 0; i < n && status == DM_OK; i++) {
        status = answer(p, &requests[i], err);
        held_seen |= requests[i].id == p->held_request;
    }
    if (status == DM_OK && p->held_request != 0 &&
        (!held_seen || dm_clock_monotonic_us() - p->held_since_us > (int64_t)hold_limit_ms * 1000)) {
        status =
            dm_request_remove(dm_lake_sqlite(p->m->lake), p->held_request, err); /* whoever asked is gone */
        p->held_request = 0;
    }
    (void)pthread_mutex_unlock(&p->m->lake_mutex);
    free(requests);
    return status;
}

/* Copies that were asked for while no mirror ran, or while it could not start; all of them, since together they may free the source of
 * its past (dm_plan_start). A pin that got further than being asked for was lost with the stream that stood still for it: whoever asked sees
 * it gone, and asks again. */
enum dm_status dm_pipeline_take_requests(struct pipeline *p, struct dm_plan *plan, struct dm_error *err)
{
    struct dm_request *requests = NULL;
    size_t n = 0;
    (void)pthread_mutex_lock(&p->m->lake_mutex);
    enum dm_status status = dm_plan_start(dm_lake_sqlite(p->m->lake), p->config, plan, err);
    if (status == DM_OK)
        status = dm_request_list(dm_lake_sqlite(p->m->lake), p->config->name, &requests, &n, err);
    for (size_t i = 0; i < n && status == DM_OK; i++) {
        if (requests[i].kind == DM_REQUEST_RESYNC)
            status = answer(p, &requests[i], err);
        else if (requests[i].state != DM_REQUEST_ASKED)
            status = dm_request_remove(dm_lake_sqlite(p->m->lake), requests[i].id, err);
    }
    (void)pthread_mutex_unlock(&p->m->lake_mutex);
    free(requests);
    return status;
}
