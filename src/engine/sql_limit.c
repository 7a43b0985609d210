/* Limits of a session: a thread that watches the clock and the caller's stop flag, and interrupts what DuckDB is doing. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/memory.h"
#include "base/thread.h"
#include "config/config_value.h"
#include "engine/sql_session.h"

enum { look_every_ms = 20 };
enum reason { NOT_ENDED = 0, OUT_OF_TIME, STOPPED };

struct dm_sql_watch {
    duckdb_connection connection;
    const atomic_int *stop;
    int64_t timeout_ms;
    _Atomic int64_t deadline_us; /* monotonic; 0: none */
    atomic_int reason;           /* enum reason */
    struct dm_queue wake;        /* nothing is ever put into it; closing it ends the thread */
    struct dm_thread thread;
};

static enum dm_status watch(void *ctx, struct dm_error *err)
{
    struct dm_sql_watch *w = ctx;
    void *nothing;
    (void)err;
    while (dm_queue_pop(&w->wake, &nothing, look_every_ms) == DM_TIMEOUT) {
        int64_t deadline = w->deadline_us;
        if (w->stop != NULL && *w->stop > 0)
            w->reason = STOPPED;
        else if (deadline != 0 && dm_clock_monotonic_us() > deadline)
            w->reason = OUT_OF_TIME;
        if (w->reason != NOT_ENDED)
            duckdb_interrupt(w->connection); /* again and again: each new statement forgets it */
    }
    return DM_OK;
}

static void set_deadline(struct dm_sql_watch *w, const struct dm_sql_limits *limits)
{
    w->timeout_ms = limits->timeout_ms;
    w->deadline_us = limits->timeout_ms > 0 ? dm_clock_monotonic_us() + limits->timeout_ms * 1000 : 0;
}

enum dm_status dm_sql_limit(struct dm_sql *s, const struct dm_sql_limits *limits, struct dm_error *err)
{
    if (s->watch != NULL) {
        set_deadline(s->watch, limits);
        return DM_OK;
    }
    if (limits->timeout_ms <= 0 && limits->stop == NULL)
        return DM_OK;
    struct dm_sql_watch *w = dm_xzalloc(1, sizeof *w);
    w->connection = s->connection;
    w->stop = limits->stop;
    set_deadline(w, limits);
    dm_queue_init(&w->wake, 1);
    s->watch = w;
    return dm_thread_start(&w->thread, "sql-limit", watch, w, err);
}

void dm_sql_watch_end(struct dm_sql *s)
{
    struct dm_sql_watch *w = s->watch;
    if (w == NULL)
        return;
    struct dm_error ignored = {0};
    dm_queue_close(&w->wake);
    if (dm_thread_join(&w->thread, &ignored) != DM_OK)
        ignored.class = DM_ERROR_NONE; /* it never fails */
    dm_queue_release(&w->wake, NULL);
    free(w);
    s->watch = NULL;
}

enum dm_status dm_sql_explain(const struct dm_sql *s, struct dm_error *err)
{
    enum reason reason = s->watch != NULL ? (enum reason)s->watch->reason : NOT_ENDED;
    if (reason == OUT_OF_TIME) {
        char text[32];
        return dm_fail(err, DM_ERROR_TRANSIENT, "let it read less, or raise --timeout",
                       "the query took longer than %s and was ended",
                       dm_value_duration_text(s->watch->timeout_ms, text, sizeof text));
    }
    if (reason == STOPPED)
        return dm_fail(err, DM_ERROR_TRANSIENT, NULL, "the query was ended before it was done");
    if (err->class == DM_ERROR_MEMORY) {
        dm_error_hint(err, "let it hold less at a time, or raise memory_limit (or --memory-limit)");
    } else if (s->files && strstr(err->message, "No files found") != NULL) {
        err->class = DM_ERROR_CONFIG; /* waiting brings no file */
        dm_error_hint(err, "paths are relative to the folder that the command runs in");
    }
    return DM_FAIL;
}
