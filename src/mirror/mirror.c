#include "mirror/mirror.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/thread.h"
#include "mirror/damage.h"
#include "mirror/intake/folder_watch.h"
#include "mirror/order/order.h"
#include "mirror/pipeline.h"
#include "mirror/plan.h"
#include "mirror/relationship/orphan.h"

enum { sweep_every_ms = 600 * 1000, sweep_min_age_ms = 3600 * 1000, wait_for_command_ms = 15000 };

/* One source's thread. */
struct source_thread {
    struct dm_pipeline_options options;
    struct dm_thread thread;
    atomic_bool ended;
};

static enum dm_status run_source(void *ctx, struct dm_error *err)
{
    struct source_thread *t = ctx;
    bool files = strcmp(t->options.config->type, "files") == 0;
    enum dm_status status = files ? dm_folder_watch_run(&t->options, err) : dm_pipeline_run(&t->options, err);
    if (status != DM_OK)
        dm_error_prefix(err, "source %s", t->options.config->name);
    t->ended = true;
    return status;
}

static void sweep(struct dm_mirror *m)
{
    struct dm_error err = {0};
    uint64_t removed = 0;
    (void)pthread_mutex_lock(&m->lake_mutex);
    if (dm_lake_sweep(m->lake, sweep_min_age_ms, &removed, &err) != DM_OK)
        dm_log_error(DM_LOG_WARN, "sweep", &err);
    (void)pthread_mutex_unlock(&m->lake_mutex);
    if (removed > 0)
        dm_log(DM_LOG_INFO, "sweep: %llu files that nothing refers to were removed",
               (unsigned long long)removed);
}

/* Of a mirror that was killed between a commit and the hint for readers without the catalog. */
static void mend_hints(struct dm_mirror *m)
{
    struct dm_error err = {0};
    size_t mended = 0;
    if (dm_lake_mend_hints(m->lake, &mended, &err) != DM_OK)
        dm_log_error(DM_LOG_WARN, "the hints for readers without the catalog", &err);
    if (mended > 0)
        dm_log(DM_LOG_INFO, "hints for readers without the catalog: %zu were behind it, mended", mended);
}

static bool all_ended(struct source_thread *threads, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (threads[i].thread.started && !threads[i].ended)
            return false;
    return true;
}

/* A mirror without sources lives for the orders; so does one whose sources are caught up until no order waits any more. */
static bool nothing_left(const struct dm_mirror *m, const struct dm_mirror_options *options,
                         struct source_thread *threads, const struct dm_order_desk *desk)
{
    if (*m->stop > 0 || m->ending)
        return all_ended(threads, m->config->n_sources);
    if (m->config->n_sources == 0 && !options->until_caught_up)
        return false;
    return all_ended(threads, m->config->n_sources) &&
           (!options->until_caught_up || dm_order_desk_idle(desk));
}

static enum dm_status start_sources(struct dm_mirror *m, const struct dm_mirror_options *options,
                                    struct source_thread *threads, struct dm_error *err)
{
    enum dm_status status = DM_OK;
    for (size_t i = 0; i < m->config->n_sources && status == DM_OK; i++) {
        threads[i].options = (struct dm_pipeline_options){.mirror = m,
                                                          .config = &m->config->sources[i],
                                                          .until_caught_up = options->until_caught_up,
                                                          .progress = options->progress,
                                                          .give_up_ms = options->give_up_ms};
        status = dm_thread_start(&threads[i].thread, "stream", run_source, &threads[i], err);
    }
    return status;
}

static enum dm_status join_sources(struct dm_mirror *m, struct source_thread *threads, enum dm_status status,
                                   struct dm_error *err)
{
    for (size_t i = 0; i < m->config->n_sources; i++) {
        struct dm_error why = {0};
        if (dm_thread_join(&threads[i].thread, &why) == DM_OK)
            continue;
        if (status == DM_OK)
            *err = why;
        else
            dm_log_error(DM_LOG_ERROR, "also", &why);
        status = DM_FAIL;
    }
    return status;
}

static enum dm_status run_sources(struct dm_mirror *m, const struct dm_mirror_options *options,
                                  struct dm_error *err)
{
    struct source_thread *threads = dm_xzalloc(m->config->n_sources + 1, sizeof *threads);
    struct dm_order_desk *desk = NULL;
    enum dm_status status = dm_order_desk_start(m, &desk, err);
    if (status == DM_OK)
        status = start_sources(m, options, threads, err);
    if (status == DM_OK && m->config->n_sources == 0)
        dm_log(DM_LOG_INFO, "no sources to follow: here for commands and requests only");
    int64_t started = dm_clock_monotonic_us();
    int64_t swept = started;
    while (status == DM_OK && !nothing_left(m, options, threads, desk)) {
        dm_clock_sleep_ms(20);
        int64_t now = dm_clock_monotonic_us();
        if (options->run_for_ms > 0 && now - started >= options->run_for_ms * 1000)
            m->ending = true;
        if (now - swept >= (int64_t)sweep_every_ms * 1000) {
            swept = now;
            sweep(m);
        }
    }
    m->ending = true;
    status = join_sources(m, threads, status, err);
    dm_order_desk_stop(desk);
    if (status == DM_OK && options->until_caught_up) /* what the sources brought at last may be a parent */
        status = dm_orphans_release(m, err);
    free(threads);
    return status;
}

/* Beside another mirror that stays this one is refused at once. A command that writes, or a verify that mirrors for itself, ends soon and is waited for.
 * DM_END: asked to stop meanwhile. */
static enum dm_status take_lock(const struct dm_config *config, const struct dm_mirror_options *options,
                                struct dm_lake_lock *lock, struct dm_error *err)
{
    struct dm_lake_holder holder;
    int64_t until = dm_clock_monotonic_us() + (int64_t)wait_for_command_ms * 1000;
    bool told = false;
    enum dm_lake_use use =
        options->passing || options->until_caught_up ? DM_LAKE_PASSING_MIRROR : DM_LAKE_MIRROR;
    int mirrors =
        0; /* looks in a row that saw one: whoever has just locked the file writes its name a moment later */
    enum dm_status status;
    while ((status = dm_lake_lock_try(config->lake, use, lock, &holder, err)) == DM_TIMEOUT) {
        mirrors = holder.stays ? mirrors + 1 : 0;
        if (*options->stop > 0)
            return DM_END;
        if (mirrors == 2 || dm_clock_monotonic_us() > until)
            return dm_lake_lock_refuse(config->lake, &holder, err);
        if (mirrors > 0) {
            dm_clock_sleep_ms(20);
            continue;
        }
        if (!told && holder.pid != 0)
            dm_log(DM_LOG_INFO, "waiting for a %s that writes to the lake (pid %d)",
                   holder.mirror ? "mirror that ends by itself (a verify, or run --until-caught-up)"
                                 : "command",
                   holder.pid);
        told = told || holder.pid != 0;
        dm_clock_sleep_ms(50);
    }
    return status;
}

enum dm_status dm_mirror_run(const struct dm_config *config, const struct dm_mirror_options *options,
                             struct dm_error *err)
{
    struct dm_lake_lock lock;
    struct dm_opened_mirror *opened = NULL;
    struct dm_mirror *m = NULL;
    struct dm_check_list checks = {0};
    enum dm_status status = dm_plan_lake(config->lake, &checks, err);
    dm_check_list_release(&checks);
    if (status == DM_OK)
        status = take_lock(config, options, &lock, err);
    if (status == DM_OK)
        status = dm_mirror_open_locked(config, options->stop, &lock, &opened, &m, err);
    if (status == DM_OK)
        status = dm_damage_look(m, DM_DAMAGE_MIRRORED, err);
    if (status == DM_OK) {
        mend_hints(m);
        sweep(m);
        status = options->opened != NULL ? options->opened(options->ctx, m, err) : DM_OK;
        if (status == DM_OK)
            status = run_sources(m, options, err);
        if (options->closing != NULL)
            options->closing(options->ctx);
    }
    dm_mirror_close(opened);
    return status == DM_END ? DM_OK : status;
}
