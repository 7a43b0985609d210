#include "mirror/pipeline_state.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/memory.h"

enum {
    copy_again_ms = 500, /* after a table changed under its copy: DDL comes in flocks */
};

enum dm_status dm_pipeline_start_copies(struct pipeline *p, struct dm_error *err)
{
    if (p->job != NULL || dm_clock_monotonic_us() < p->copies_from_us)
        return DM_OK;
    struct dm_copy_want *wants = dm_xzalloc(p->targets.n, sizeof *wants);
    size_t n = 0;
    for (size_t i = 0; i < p->targets.n; i++) {
        struct dm_target *t = p->targets.items[i];
        bool again = t->phase == DM_PHASE_STREAMING && t->copy_again;
        if (t->phase != DM_PHASE_WAITING && !again)
            continue;
        dm_collector_spool(p->collector, t);
        if (dm_collector_set_state(p->collector, t, "copying", NULL, err) != DM_OK)
            break;
        wants[n++] = (struct dm_copy_want){
            .target = t, .current = dm_schema_ref(t->schema), .last_column_id = t->last_column_id};
    }
    enum dm_status status = n > 0 ? dm_copy_job_start(p->m, p->config, wants, n, &p->job, err) : DM_OK;
    free(wants);
    if (n > 0 && status == DM_OK) {
        char what[96];
        (void)snprintf(what, sizeof what, "copying %s", p->config->name);
        dm_log(DM_LOG_INFO, "%s: copying %zu table%s", p->config->name, n, n == 1 ? "" : "s");
        dm_progress_begin(&p->copying, what, "rows", 0, p->options.progress);
    }
    return status;
}

static enum dm_status attach_ready(struct pipeline *p, struct finished_list *ready, struct dm_error *err)
{
    size_t kept = 0;
    enum dm_status status = DM_OK;
    for (size_t i = 0; i < ready->n; i++) {
        struct finished *f = &ready->items[i];
        if (status != DM_OK || dm_collector_in_transaction(p->collector) ||
            dm_collector_position(p->collector) < f->copied->at) {
            ready->items[kept++] = *f;
            continue;
        }
        status = dm_collector_attach(p->collector, f->target, f->copied, f->table, err);
        dm_table_free(f->table);
    }
    bool attached = kept < ready->n;
    ready->n = kept;
    if (status == DM_OK && attached)
        status = dm_collector_close_unit(p->collector, false, err);
    return status == DM_TIMEOUT ? DM_OK : status;
}

void dm_pipeline_end_copies(struct pipeline *p)
{
    if (p->job == NULL)
        return;
    dm_progress_end(&p->copying);
    dm_copy_job_free(p->job);
    p->job = NULL;
}

/* One that changed under its copy is looked for among the source's tables, which tells its new name or that it is gone, and then copied again. */
static enum dm_status not_copied(struct pipeline *p, struct dm_target *t, const struct dm_error *why,
                                 struct dm_error *err)
{
    bool changed = why->class == DM_ERROR_CONFLICT;
    dm_log(changed ? DM_LOG_INFO : DM_LOG_ERROR, "%s.%s cannot be copied%s: %s", t->state.namespace,
           t->state.name, changed ? " this time" : "", why->message);
    dm_collector_unspool(p->collector, t);
    if (t->phase != DM_PHASE_COPYING) /* the stream told already that it is gone */
        return DM_OK;
    if (!changed)
        return dm_collector_set_state(p->collector, t, "stopped", why->message, err);
    t->phase = DM_PHASE_WAITING;
    p->discovered_us = 0;
    p->copies_from_us = dm_clock_monotonic_us() + copy_again_ms * INT64_C(1000);
    return DM_OK;
}

enum dm_status dm_pipeline_look_at_copies(struct pipeline *p, struct finished_list *ready,
                                          struct dm_error *err)
{
    enum dm_status status = DM_OK;
    if (p->job != NULL) {
        uint64_t rows, expected;
        dm_copy_job_progress(p->job, &rows, &expected);
        dm_progress_update(&p->copying, rows, expected);
    }
    while (p->job != NULL && status == DM_OK) {
        struct finished f = {0};
        struct dm_error why = {0};
        status = dm_copy_job_take(p->job, &f.target, &f.copied, &f.table, &why);
        if (status == DM_OK && f.copied != NULL) {
            ready->items = dm_xrealloc(ready->items, ready->n + 1, sizeof *ready->items);
            ready->items[ready->n++] = f;
        } else if (status == DM_OK) {
            dm_table_free(f.table);
            status = not_copied(p, f.target, &why, err);
        } else if (status == DM_FAIL) {
            *err = why;
        }
    }
    if (status == DM_END && ready->n == 0)
        dm_pipeline_end_copies(p);
    if (status == DM_FAIL)
        return status;
    return attach_ready(p, ready, err);
}

void dm_pipeline_drop_finished(struct finished_list *ready)
{
    for (size_t i = 0; i < ready->n; i++) {
        dm_copied_table_free(ready->items[i].copied);
        dm_table_free(ready->items[i].table);
    }
    free(ready->items);
    *ready = (struct finished_list){0};
}
