#include "mirror/pipeline_state.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/memory.h"

enum {
    health_every_ms = 1000,
    tell_every_ms = 10000,
};

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

enum dm_status dm_pipeline_tell_health(struct pipeline *p, struct dm_error *err)
{
    if (!dm_pipeline_due(&p->health_us, health_every_ms))
        return DM_OK;
    if (!dm_pipeline_try_lake(p)) {
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
void dm_pipeline_tell_progress(struct pipeline *p)
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
    } else if (changes != p->told_changes && dm_pipeline_due(&p->told_us, tell_every_ms)) {
        char position[32];
        dm_log(DM_LOG_INFO, "%s: %" PRIu64 " changes since the start, position %s", p->config->name, changes,
               p->type->position_format(p->committed, position, sizeof position));
        p->told_changes = changes;
    }
}

void dm_pipeline_tell_state(struct pipeline *p, const char *state, const char *text)
{
    struct dm_error ignored = {0};
    (void)pthread_mutex_lock(&p->m->lake_mutex);
    if (dm_state_put_trouble(dm_lake_sqlite(p->m->lake), p->config->name, p->type->name, state, text,
                             &ignored) != DM_OK)
        dm_log_error(DM_LOG_WARN, p->config->name, &ignored);
    (void)pthread_mutex_unlock(&p->m->lake_mutex);
}

void dm_pipeline_tell_trouble(struct pipeline *p, const char *state, const struct dm_error *why)
{
    char *text = why == NULL
                     ? NULL
                     : dm_xasprintf("%s%s%s", why->message, why->hint[0] != '\0' ? "; " : "", why->hint);
    dm_pipeline_tell_state(p, state, text);
    free(text);
}
