#include "mirror/mirror.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/thread.h"
#include "mirror/lake_lock.h"
#include "mirror/pipeline.h"

enum { sweep_every_ms = 600 * 1000, sweep_min_age_ms = 3600 * 1000 };

/* One source's thread. */
struct source_thread {
    struct dm_pipeline_options options;
    struct dm_thread thread;
    atomic_bool ended;
};

static enum dm_status run_source(void *ctx, struct dm_error *err)
{
    struct source_thread *t = ctx;
    enum dm_status status = dm_pipeline_run(&t->options, err);
    if (status != DM_OK)
        dm_error_prefix(err, "source %s", t->options.config->name);
    t->ended = true;
    return status;
}

static enum dm_status open_engine(struct dm_mirror *m, struct dm_error *err)
{
    char *temp = dm_xasprintf("%s/.spill", m->config->lake);
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    struct dm_engine_options options = {
        .memory_limit =
            m->config->memory_limit / 2, /* the other half: batches on their way, index pages, the rest */
        .threads = cores > 4 ? 4 : (int)(cores > 0 ? cores : 1),
        .temp_folder = temp,
    };
    enum dm_status status = dm_engine_open(&options, &m->engine, err);
    free(temp);
    return status;
}

/* Files that only a running mirror needs: what an earlier one left is garbage. */
static enum dm_status remove_leftovers(const struct dm_mirror *m, struct dm_error *err)
{
    static const char *const names[] = {".copy", ".spool", ".spill"};
    enum dm_status status = DM_OK;
    for (size_t i = 0; i < sizeof names / sizeof *names && status == DM_OK; i++) {
        char *path = dm_xasprintf("%s/%s", m->config->lake, names[i]);
        status = dm_file_remove_tree(path, err);
        free(path);
    }
    return status;
}

static enum dm_status open_lake(struct dm_mirror *m, struct dm_error *err)
{
    struct dm_lake_options options = {
        .folder = m->config->lake,
        .catalog_name = m->config->catalog_name,
        .format_version = m->config->format_version,
        .metadata_versions = m->config->metadata_versions,
        .snapshot_retention_ms = m->config->snapshot_retention_ms,
    };
    enum dm_status status = dm_lake_open(&options, &m->lake, err);
    return status == DM_OK ? dm_state_create_tables(dm_lake_sqlite(m->lake), err) : status;
}

static enum dm_status open_index(struct dm_mirror *m, struct dm_error *err)
{
    char *folder = dm_xasprintf("%s/.index", m->config->lake);
    bool trusted =
        true; /* an untrusted index is empty, and what is missing in it is rebuilt like anything else */
    enum dm_status status = dm_keyindex_open(folder, &m->index, &trusted, err);
    free(folder);
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

static bool all_ended(struct source_thread *threads, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (threads[i].thread.started && !threads[i].ended)
            return false;
    return true;
}

static enum dm_status run_sources(struct dm_mirror *m, const struct dm_mirror_options *options,
                                  struct dm_error *err)
{
    size_t n = m->config->n_sources;
    struct source_thread *threads = dm_xzalloc(n, sizeof *threads);
    enum dm_status status = DM_OK;
    for (size_t i = 0; i < n && status == DM_OK; i++) {
        threads[i].options = (struct dm_pipeline_options){.mirror = m,
                                                          .config = &m->config->sources[i],
                                                          .until_caught_up = options->until_caught_up,
                                                          .progress = options->progress};
        status = dm_thread_start(&threads[i].thread, "stream", run_source, &threads[i], err);
    }
    int64_t started = dm_clock_monotonic_us();
    int64_t swept = started;
    while (status == DM_OK && !all_ended(threads, n)) {
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
    for (size_t i = 0; i < n; i++) {
        struct dm_error why = {0};
        if (dm_thread_join(&threads[i].thread, &why) == DM_OK)
            continue;
        if (status == DM_OK)
            *err = why;
        else
            dm_log_error(DM_LOG_ERROR, "also", &why);
        status = DM_FAIL;
    }
    free(threads);
    return status;
}

enum dm_status dm_mirror_run(const struct dm_config *config, const struct dm_mirror_options *options,
                             struct dm_error *err)
{
    struct dm_lake_lock lock;
    enum dm_status status = dm_lake_lock_take(config->lake, &lock, err);
    if (status != DM_OK)
        return status;
    struct dm_mirror m = {.config = config, .stop = options->stop};
    (void)pthread_mutex_init(&m.lake_mutex, NULL);
    status = remove_leftovers(&m, err);
    if (status == DM_OK)
        status = open_engine(&m, err);
    if (status == DM_OK)
        status = open_lake(&m, err);
    if (status == DM_OK)
        status = open_index(&m, err);
    if (status == DM_OK) {
        sweep(&m);
        status = run_sources(&m, options, err);
    }
    if (m.index != NULL)
        dm_keyindex_close(m.index);
    dm_lake_close(m.lake);
    dm_engine_close(m.engine);
    (void)pthread_mutex_destroy(&m.lake_mutex);
    dm_lake_lock_release(&lock);
    return status;
}
