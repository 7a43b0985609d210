/* pipeline_state.h — the inside of a pipeline, for the files that work on it (pipeline.h has its life).
 *
 * The stream thread owns all of it but what is marked as the commit thread's; what both use is atomic or below failure_mutex.
 */
#ifndef DM_MIRROR_PIPELINE_STATE_H
#define DM_MIRROR_PIPELINE_STATE_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/clock.h"
#include "base/progress.h"
#include "base/thread.h"
#include "mirror/capture/collector.h"
#include "mirror/capture/copy_job.h"
#include "mirror/commit/committer.h"
#include "mirror/pipeline.h"
#include "mirror/plan.h"
#include "mirror/target_list.h"

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

static inline bool dm_pipeline_stopping(const struct pipeline *p)
{
    return *p->m->stop != 0 || p->m->ending;
}

static inline bool dm_pipeline_due(int64_t *last_us, int64_t every_ms)
{
    int64_t now = dm_clock_monotonic_us();
    if (*last_us != 0 && now - *last_us < every_ms * 1000)
        return false;
    *last_us = now;
    return true;
}

/* ---- the commit thread, and what the stream thread hands it: pipeline_commit.c ---- */

void dm_pipeline_keep_failure(struct pipeline *p, const struct dm_error *err);
enum dm_status dm_pipeline_failure_of(struct pipeline *p, struct dm_error *err) DM_MUST_USE;
bool dm_pipeline_try_lake(struct pipeline *p);
enum dm_status dm_pipeline_commit(void *ctx, struct dm_error *err) DM_MUST_USE;
enum dm_status dm_pipeline_push_unit(void *ctx, struct dm_unit *unit, struct dm_error *err) DM_MUST_USE;
bool dm_pipeline_commit_under_way(void *ctx);

/* ---- copies: pipeline_copies.c ---- */

enum dm_status dm_pipeline_start_copies(struct pipeline *p, struct dm_error *err) DM_MUST_USE;
void dm_pipeline_end_copies(struct pipeline *p);
enum dm_status dm_pipeline_look_at_copies(struct pipeline *p, struct finished_list *ready,
                                          struct dm_error *err) DM_MUST_USE;
void dm_pipeline_drop_finished(struct finished_list *ready);

/* ---- requests of other processes: pipeline_requests.c ---- */

enum dm_status dm_pipeline_look_at_requests(struct pipeline *p, struct dm_error *err) DM_MUST_USE;
enum dm_status dm_pipeline_take_requests(struct pipeline *p, struct dm_plan *plan,
                                         struct dm_error *err) DM_MUST_USE;

/* ---- what is told: pipeline_health.c ---- */

enum dm_status dm_pipeline_tell_health(struct pipeline *p, struct dm_error *err) DM_MUST_USE;
void dm_pipeline_tell_progress(struct pipeline *p);
void dm_pipeline_tell_state(struct pipeline *p, const char *state, const char *text);
void dm_pipeline_tell_trouble(struct pipeline *p, const char *state, const struct dm_error *why);

/* ---- the stream loop: pipeline_stream.c ---- */

enum dm_status dm_pipeline_find_target(void *ctx, const struct dm_table *table, struct dm_target **target,
                                       struct dm_error *err) DM_MUST_USE;
enum dm_status dm_pipeline_take_tables(struct pipeline *p, const struct dm_table_list *tables, bool first,
                                       struct dm_error *err) DM_MUST_USE;
enum dm_status dm_pipeline_stream(struct pipeline *p, struct dm_error *err) DM_MUST_USE;

/* ---- open and close: pipeline_open.c ---- */

enum dm_status dm_pipeline_open(struct pipeline *p, struct dm_error *err) DM_MUST_USE;
void dm_pipeline_close(struct pipeline *p);

#endif
