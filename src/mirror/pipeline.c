#include "mirror/pipeline_state.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/memory.h"

enum {
    quick_retry_limit = 5,
    memory_retry_limit = 4,
    first_wait_ms = 500,
};

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

static bool wants_to_stop(void *ctx)
{
    return dm_pipeline_stopping(ctx);
}

/* The source waits for others, before there is a stream. */
static void tell_waiting(void *ctx, const char *for_what)
{
    dm_pipeline_tell_state(ctx, for_what != NULL ? "waiting" : "starting", for_what);
}

static void wait_before_retry(struct pipeline *p, int64_t *wait_ms)
{
    int64_t until = dm_clock_monotonic_us() + *wait_ms * 1000;
    while (!dm_pipeline_stopping(p) && dm_clock_monotonic_us() < until)
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
    if (retry && dm_pipeline_stopping(p))
        return AFTERMATH_ENDED;
    /* A table renamed or a column dropped between our look and our use of it makes the source refuse; looking again settles it. A real
     * mistake stays one. */
    if (!retry && why->class == DM_ERROR_CONFIG && p->has_streamed && p->quick_retries++ < quick_retry_limit)
        retry = true;
    bool too_long = retry && dm_pipeline_gave_up(&p->options, good_us, why);
    dm_pipeline_tell_trouble(p, retry && !too_long ? "retrying" : "stopped", why);
    if (!retry || too_long || dm_pipeline_stopping(p))
        return AFTERMATH_FAILED;
    dm_log(DM_LOG_WARN, "%s: %s; trying again in %.1f s", p->config->name, why->message,
           (double)*wait_ms / 1000.0);
    wait_before_retry(p, wait_ms);
    return dm_pipeline_stopping(p) ? AFTERMATH_ENDED : AFTERMATH_AGAIN;
}

static enum dm_status run_once(struct pipeline *p, bool *worked, struct failed_dataset *failed,
                               struct dm_error *why)
{
    enum dm_status status = dm_pipeline_open(p, why);
    *worked = status == DM_OK;
    if (status == DM_OK)
        status = dm_pipeline_stream(p, why);
    dm_pipeline_close(p); /* also applies what was still on its way */
    if (status == DM_OK)
        status = dm_pipeline_failure_of(p, why);
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
    dm_pipeline_tell_trouble(p, "starting", NULL);
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
        dm_pipeline_tell_trouble(p, "ended", NULL);
    (void)pthread_mutex_destroy(&p->failure_mutex);
    free(p);
    return status;
}
