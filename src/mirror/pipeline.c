#include "mirror/pipeline.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/progress.h"
#include "base/thread.h"
#include "mirror/capture/collector.h"
#include "mirror/commit/committer.h"
#include "mirror/capture/copy_job.h"
#include "base/crash_point.h"
#include "mirror/dataset_match.h"
#include "mirror/index/index_rebuild.h"
#include "mirror/target_basis.h"
#include "mirror/plan.h"
#include "mirror/target_list.h"

enum {
    poll_ms = 50,
    units_in_flight = 2,
    discover_every_ms = 3000,
    copy_again_ms = 500, /* after a table changed under its copy: DDL comes in flocks */
    health_every_ms = 1000,
    requests_every_ms = 200,
    position_every_ms = 5000,
    tell_every_ms = 10000,
    keepalive_every_ms = 5000,
    quick_retry_limit = 5,
    memory_retry_limit = 4,
    first_wait_ms = 500,
    hold_limit_ms = 60000,
    give_way_ms = 50,
};

struct pipeline {
    struct dm_pipeline_options options;
    struct dm_mirror *m;
    const struct dm_source_config *config;
    const struct dm_source_type *type;
    struct dm_target_list targets;
    struct dm_source *source;
    struct dm_source_waiter waiter;
    struct dm_stream *stream;
    struct dm_collector *collector;
    struct dm_copy_job *job;
    struct dm_progress copying;   /* while a job runs */
    struct dm_progress streaming; /* on a terminal: a line that lives as long as the pipeline */
    bool streaming_shown;
    uint64_t told_changes; /* not on a terminal: what the last log line counted */
    dm_position goal;      /* until_caught_up: end when this is committed */
    bool goal_known;
    struct dm_log_mark mark; /* of the source's log, where the pipeline begins */

    /* commit thread */
    struct dm_queue queue;
    bool queue_ready;
    struct dm_committer *committer;
    struct dm_thread commit_thread;
    uint64_t changes_open; /* rows of parts that are not published yet; commit thread only */
    _Atomic dm_position committed;
    atomic_int_fast64_t commit_time_us; /* source commit time of the last published transaction */
    atomic_uint_fast64_t changes;       /* published rows since the start */
    atomic_uint units_pending;          /* pushed, not yet applied … */
    atomic_size_t bytes_pending;        /* of them */
    atomic_int_fast64_t
        waiting_since_us;    /* … of whose changes the oldest are as old as this source commit time */
    atomic_bool lake_wanted; /* the stream thread found the lake busy: a moment for it between two commits */
    pthread_mutex_t failure_mutex;
    struct dm_error failure; /* class set: the commit thread failed */
    uint32_t failed_dataset;
    bool failed_wants_copy; /* a copy of it mends that */

    /* stream thread's clocks, monotonic microseconds */
    int64_t copies_from_us; /* no copy starts before, monotonic */
    int64_t discovered_us, health_us, requests_us, position_us, held_since_us, told_us;
    int64_t held_request; /* 0: the stream is not held */
    bool has_streamed;    /* in this run: what is wrong now may be a race with a change of the tables */
    int quick_retries;
    int memory_retries; /* one after the other, … */
    dm_position
        memory_committed; /* … while this was the position: without a step forward it will not fit the next time either */
};

static bool stopping(const struct pipeline *p)
{
    return *p->m->stop != 0 || p->m->ending;
}

static bool due(int64_t *last_us, int64_t every_ms)
{
    int64_t now = dm_clock_monotonic_us();
    if (*last_us != 0 && now - *last_us < every_ms * 1000)
        return false;
    *last_us = now;
    return true;
}

/* ---- the commit thread ---- */

static void keep_failure(struct pipeline *p, const struct dm_error *err)
{
    (void)pthread_mutex_lock(&p->failure_mutex);
    if (p->failure.class == DM_ERROR_NONE) {
        p->failure = *err;
        p->failed_dataset = dm_committer_failed_dataset(p->committer);
        p->failed_wants_copy = dm_committer_wants_copy(p->committer);
    }
    (void)pthread_mutex_unlock(&p->failure_mutex);
}

static enum dm_status failure_of(struct pipeline *p, struct dm_error *err)
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
static bool try_lake(struct pipeline *p)
{
    bool taken = pthread_mutex_trylock(&p->m->lake_mutex) == 0;
    p->lake_wanted = !taken;
    return taken;
}

static enum dm_status commit_units(void *ctx, struct dm_error *err)
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
            keep_failure(p, err);
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
           p->bytes_pending + unit->bytes > p->m->config->commit_bytes && failure_of(p, err) == DM_OK) {
        dm_clock_sleep_ms(1);
        if (p->type->stream_keepalive != NULL && due(&told, keepalive_every_ms))
            status = p->type->stream_keepalive(p->stream, err);
    }
    return status;
}

static enum dm_status push_unit(void *ctx, struct dm_unit *unit, struct dm_error *err)
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
    if (failure_of(p, err) == DM_OK)
        return dm_fail(err, DM_ERROR_TRANSIENT, NULL, "the commit thread ended");
    return DM_FAIL;
}

static bool commit_under_way(void *ctx)
{
    const struct pipeline *p = ctx;
    return p->units_pending > 0;
}

/* ---- targets ---- */

static enum dm_status find_target(void *ctx, const struct dm_table *table, struct dm_target **target,
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
static enum dm_status take_tables(struct pipeline *p, const struct dm_table_list *tables, bool first,
                                  struct dm_error *err)
{
    bool changed = false;
    /* A commit in progress holds the mutex, and may be waiting for what this thread has to hand on: never wait for it here. */
    if (first)
        (void)pthread_mutex_lock(&p->m->lake_mutex);
    else if (!try_lake(p)) {
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
        status = take_tables(p, &tables, false, err);
    dm_table_list_release(&tables);
    return status;
}

/* ---- copies ---- */

static enum dm_status start_copies(struct pipeline *p, struct dm_error *err)
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

/* A finished table that waits for the stream to reach its position. */
struct finished {
    struct dm_target *target;
    struct dm_copied_table *copied;
    struct dm_table *table;
};

struct finished_list {
    size_t n;
    struct finished *items;
};

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

static void end_copies(struct pipeline *p)
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

static enum dm_status look_at_copies(struct pipeline *p, struct finished_list *ready, struct dm_error *err)
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
        end_copies(p);
    if (status == DM_FAIL)
        return status;
    return attach_ready(p, ready, err);
}

static void drop_finished(struct finished_list *ready)
{
    for (size_t i = 0; i < ready->n; i++) {
        dm_copied_table_free(ready->items[i].copied);
        dm_table_free(ready->items[i].table);
    }
    free(ready->items);
    *ready = (struct finished_list){0};
}

/* ---- requests of other processes ---- */

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

static enum dm_status look_at_requests(struct pipeline *p, struct dm_error *err)
{
    if (!due(&p->requests_us, p->held_request != 0 ? 10 : requests_every_ms))
        return DM_OK;
    if (!try_lake(p)) {
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

/* ---- health ---- */

/* waits_for: what a copy waits for at the source; NULL: for nothing. */
static enum dm_status write_health(struct pipeline *p, const char *waits_for, struct dm_error *err)
{
    uint64_t lag_bytes = p->stream != NULL ? p->type->stream_lag(p->stream, p->committed) : 0;
    /* The age of the oldest change that is known and not in the lake: time without changes is no lag. */
    int64_t since = p->units_pending > 0   ? p->waiting_since_us
                    : p->collector != NULL ? dm_collector_waiting_since(p->collector)
                                           : 0;
    int64_t lag_us = since != 0 ? dm_clock_wall_us() - since : 0;
    return dm_state_put_health(dm_lake_sqlite(p->m->lake), p->config->name, p->type->name, "running",
                               waits_for, lag_bytes, lag_us, err);
}

static enum dm_status tell_health(struct pipeline *p, struct dm_error *err)
{
    if (!due(&p->health_us, health_every_ms))
        return DM_OK;
    if (!try_lake(p)) {
        p->health_us = 0;
        return DM_OK;
    }
    char *waits_for = p->job != NULL ? dm_copy_job_waits_for(p->job) : NULL;
    enum dm_status status = write_health(p, waits_for, err);
    free(waits_for);
    (void)pthread_mutex_unlock(&p->m->lake_mutex);
    return status;
}

/* A person at a terminal sees a line that lives; a log gets a line now and then while there is something to say. */
static void tell_progress(struct pipeline *p)
{
    if (p->job != NULL)
        return;
    uint64_t changes = p->changes;
    if (p->options.progress) {
        char what[96];
        (void)snprintf(what, sizeof what, "mirroring %s", p->config->name);
        if (!p->streaming_shown)
            dm_progress_begin(&p->streaming, what, "changes", 0, true);
        p->streaming_shown = true;
        dm_progress_update(&p->streaming, changes, 0);
    } else if (changes != p->told_changes && due(&p->told_us, tell_every_ms)) {
        char position[32];
        dm_log(DM_LOG_INFO, "%s: %" PRIu64 " changes since the start, position %s", p->config->name, changes,
               p->type->position_format(p->committed, position, sizeof position));
        p->told_changes = changes;
    }
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
    if (!due(&p->position_us, position_every_ms))
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
    enum dm_status status = failure_of(p, err);
    if (status == DM_OK)
        status = p->held_request == 0 ? poll_stream(p, err) : stand_still(p, err);
    if (status == DM_OK)
        status = dm_collector_tick(p->collector, err);
    if (status == DM_OK)
        status = look_at_requests(p, err);
    if (status == DM_OK && !dm_collector_in_transaction(p->collector) &&
        due(&p->discovered_us, discover_every_ms))
        status = discover(p, err);
    if (status == DM_OK && !dm_collector_in_transaction(p->collector))
        status = start_copies(p, err);
    if (status == DM_OK)
        status = look_at_copies(p, ready, err);
    if (status == DM_OK)
        status = publish_position(p, err);
    if (status == DM_OK)
        status = tell_health(p, err);
    tell_progress(p);
    if (status == DM_OK)
        status = caught_up(p, done, err);
    return status == DM_END ? failure_of(p, err) : status;
}

static enum dm_status stream_until_stopped(struct pipeline *p, struct dm_error *err)
{
    struct finished_list ready = {0};
    bool done = false;
    enum dm_status status = DM_OK;
    p->has_streamed = true;
    int64_t started = dm_clock_monotonic_us();
    while (status == DM_OK && !done && !stopping(p)) {
        status = one_round(p, &ready, &done, err);
        if (p->quick_retries > 0 && dm_clock_monotonic_us() - started > 10 * 1000000)
            p->quick_retries = 0; /* settled */
    }
    if (status == DM_OK && *p->m->stop < 2 && !dm_collector_in_transaction(p->collector))
        status = dm_collector_close_unit(p->collector, false, err);
    drop_finished(&ready);
    return status;
}

/* ---- open and close ---- */

static enum dm_status open_lake_side(struct pipeline *p, struct dm_error *err)
{
    struct dm_source_state state = {0};
    p->targets = (struct dm_target_list){.mirror = p->m, .config = p->config};
    (void)pthread_mutex_lock(&p->m->lake_mutex);
    enum dm_status status = dm_state_source(dm_lake_sqlite(p->m->lake), p->config->name, &state, err);
    if (status == DM_OK)
        status = dm_target_list_load(&p->targets, err);
    if (status == DM_OK)
        status = dm_index_catch_up(p->m, p->targets.items, p->targets.n, err);
    (void)pthread_mutex_unlock(&p->m->lake_mutex);
    p->committed = status == DM_OK ? state.position : 0;
    p->commit_time_us = status == DM_OK ? state.commit_time_us : 0;
    p->mark = state.mark;
    return status;
}

/* Copies that were asked for while no mirror ran, or while it could not start; all of them, since together they may free the source of
 * its past (dm_plan_start). A pin that got further than being asked for was lost with the stream that stood still for it: whoever asked sees
 * it gone, and asks again. */
static enum dm_status take_requests(struct pipeline *p, struct dm_plan *plan, struct dm_error *err)
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
        status = take_tables(p, &plan->tables, true, err);
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
    enum dm_status status = take_requests(p, &plan, err);
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

static enum dm_status open_all(struct pipeline *p, struct dm_error *err)
{
    enum dm_status status = open_lake_side(p, err);
    if (status == DM_OK)
        status = open_source(p, err);
    if (status != DM_OK)
        return status;
    dm_queue_init(&p->queue, units_in_flight);
    p->queue_ready = true;
    struct dm_committer_options committer = {.mirror = p->m, .source = p->config, .type = p->type};
    p->committer = dm_committer_new(&committer);
    struct dm_collector_options collector = {
        .mirror = p->m,
        .spool_folder = p->m->config->lake,
        .unit_bytes = p->m->config->commit_bytes,
        .commit_interval_ms = p->m->config->commit_interval_ms,
        .push = push_unit,
        .find = find_target,
        .busy = commit_under_way,
        .ctx = p,
        .mark = p->mark,
    };
    p->collector = dm_collector_new(&collector, p->committed);
    return dm_thread_start(&p->commit_thread, "commit", commit_units, p, err);
}

static void drop_unit(void *item)
{
    dm_unit_free(item);
}

static void close_all(struct pipeline *p)
{
    if (p->queue_ready)
        dm_queue_close(&p->queue); /* what is in it is still applied */
    struct dm_error failure;
    if (dm_thread_join(&p->commit_thread, &failure) != DM_OK)
        keep_failure(p, &failure);
    if (p->queue_ready)
        dm_queue_release(&p->queue, drop_unit);
    p->queue_ready = false;
    end_copies(p);
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

/* A dataset that cannot go on stops alone, or is copied: its state says so, the others continue from the last commit. */
static enum dm_status stop_dataset(struct pipeline *p, uint32_t id, bool copy, const struct dm_error *why,
                                   struct dm_error *err)
{
    (void)pthread_mutex_lock(&p->m->lake_mutex);
    struct sqlite3 *db = dm_lake_sqlite(p->m->lake);
    struct dm_dataset_states states;
    enum dm_status status = dm_state_datasets(db, p->config->name, &states, err);
    for (size_t i = 0; i < states.n && status == DM_OK; i++) {
        struct dm_dataset_state *d = &states.items[i];
        if (d->id != id)
            continue;
        free(d->state);
        free(d->reason);
        d->state = dm_xstrdup(copy ? "waiting" : "stopped");
        d->reason =
            copy ? NULL : dm_xasprintf("%s%s%s", why->message, why->hint[0] != '\0' ? "; " : "", why->hint);
        if (copy)
            dm_log(DM_LOG_INFO, "%s.%s will be copied again: its rows do not have the new key: %s",
                   d->namespace, d->name, why->message);
        else
            dm_log(DM_LOG_ERROR, "%s.%s stopped: %s", d->namespace, d->name, d->reason);
        status = dm_state_put_dataset(db, d, err);
    }
    dm_dataset_states_release(&states);
    (void)pthread_mutex_unlock(&p->m->lake_mutex);
    return status;
}

static void tell_state(struct pipeline *p, const char *state, const char *text)
{
    struct dm_error ignored = {0};
    (void)pthread_mutex_lock(&p->m->lake_mutex);
    if (dm_state_put_trouble(dm_lake_sqlite(p->m->lake), p->config->name, p->type->name, state, text,
                             &ignored) != DM_OK)
        dm_log_error(DM_LOG_WARN, p->config->name, &ignored);
    (void)pthread_mutex_unlock(&p->m->lake_mutex);
}

static void tell_trouble(struct pipeline *p, const char *state, const struct dm_error *why)
{
    char *text = why == NULL
                     ? NULL
                     : dm_xasprintf("%s%s%s", why->message, why->hint[0] != '\0' ? "; " : "", why->hint);
    tell_state(p, state, text);
    free(text);
}

static bool wants_to_stop(void *ctx)
{
    return stopping(ctx);
}

/* The source waits for others, before there is a stream. */
static void tell_waiting(void *ctx, const char *for_what)
{
    tell_state(ctx, for_what != NULL ? "waiting" : "starting", for_what);
}

static void wait_before_retry(struct pipeline *p, int64_t *wait_ms)
{
    int64_t until = dm_clock_monotonic_us() + *wait_ms * 1000;
    while (!stopping(p) && dm_clock_monotonic_us() < until)
        dm_clock_sleep_ms(50);
    *wait_ms = *wait_ms * 2 < p->m->config->retry_max_ms ? *wait_ms * 2 : p->m->config->retry_max_ms;
}

/* Others may have taken much of the memory; after some tries on the very same work it is the limit that is too low. */
static bool fits_maybe(struct pipeline *p)
{
    if (p->committed != p->memory_committed)
        p->memory_retries = 0;
    p->memory_committed = p->committed;
    return p->memory_retries++ < memory_retry_limit;
}

/* The dataset that a commit could not be made for, and whether a copy of it mends that. */
struct failed_dataset {
    uint32_t dataset;
    bool wants_copy;
};

/* What became of a try that failed. */
enum aftermath { AFTERMATH_AGAIN, AFTERMATH_ENDED, AFTERMATH_FAILED };

bool dm_pipeline_gave_up(const struct dm_pipeline_options *options, int64_t good_us, struct dm_error *why)
{
    if (options->give_up_ms <= 0 || dm_clock_monotonic_us() - good_us < options->give_up_ms * INT64_C(1000))
        return false;
    dm_error_prefix(why, "given up after %.1f s (--give-up-after)", (double)options->give_up_ms / 1000.0);
    return true;
}

static enum aftermath after_failure(struct pipeline *p, struct dm_error *why,
                                    const struct failed_dataset *failed, int64_t good_us, int64_t *wait_ms)
{
    if (why->class == DM_ERROR_DATA && failed->dataset != 0 &&
        stop_dataset(p, failed->dataset, failed->wants_copy, why, why) == DM_OK)
        return AFTERMATH_AGAIN;
    bool retry = why->class == DM_ERROR_TRANSIENT || (why->class == DM_ERROR_MEMORY && fits_maybe(p));
    if (retry && stopping(p))
        return AFTERMATH_ENDED;
    /* A table renamed or a column dropped between our look and our use of it makes the source refuse; looking again settles it. A real
     * mistake stays one. */
    if (!retry && why->class == DM_ERROR_CONFIG && p->has_streamed && p->quick_retries++ < quick_retry_limit)
        retry = true;
    bool too_long = retry && dm_pipeline_gave_up(&p->options, good_us, why);
    tell_trouble(p, retry && !too_long ? "retrying" : "stopped", why);
    if (!retry || too_long || stopping(p))
        return AFTERMATH_FAILED;
    dm_log(DM_LOG_WARN, "%s: %s; trying again in %.1f s", p->config->name, why->message,
           (double)*wait_ms / 1000.0);
    wait_before_retry(p, wait_ms);
    return stopping(p) ? AFTERMATH_ENDED : AFTERMATH_AGAIN;
}

static enum dm_status run_once(struct pipeline *p, bool *worked, struct failed_dataset *failed,
                               struct dm_error *why)
{
    enum dm_status status = open_all(p, why);
    *worked = status == DM_OK;
    if (status == DM_OK)
        status = stream_until_stopped(p, why);
    close_all(p); /* also applies what was still on its way */
    if (status == DM_OK)
        status = failure_of(p, why);
    *failed = (struct failed_dataset){p->failed_dataset, p->failed_wants_copy};
    p->failure = (struct dm_error){0};
    p->failed_dataset = 0;
    p->failed_wants_copy = false;
    return status;
}

enum dm_status dm_pipeline_run(const struct dm_pipeline_options *options, struct dm_error *err)
{
    struct pipeline *p = dm_xzalloc(1, sizeof *p);
    p->options = *options;
    p->m = options->mirror;
    p->config = options->config;
    p->type = dm_source_type_find(p->config->type);
    p->waiter = (struct dm_source_waiter){.ctx = p, .stopping = wants_to_stop, .waiting = tell_waiting};
    (void)pthread_mutex_init(&p->failure_mutex, NULL);
    int64_t wait_ms = first_wait_ms, good_us = dm_clock_monotonic_us();
    enum dm_status status;
    enum aftermath after = AFTERMATH_AGAIN;
    tell_trouble(p, "starting", NULL);
    do {
        struct dm_error why = {0};
        struct failed_dataset failed = {0};
        bool worked = false;
        int64_t started = dm_clock_monotonic_us();
        status = run_once(p, &worked, &failed, &why);
        if (worked)
            good_us = dm_clock_monotonic_us();
        if (good_us - started > 60 * INT64_C(1000000))
            wait_ms = first_wait_ms; /* it had worked for a while */
        if (status == DM_OK)
            break;
        after = after_failure(p, &why, &failed, good_us, &wait_ms);
        *err = why;
    } while (after == AFTERMATH_AGAIN);
    if (after == AFTERMATH_ENDED)
        status = DM_OK;
    if (status == DM_OK)
        tell_trouble(p, "ended", NULL);
    (void)pthread_mutex_destroy(&p->failure_mutex);
    free(p);
    return status;
}
