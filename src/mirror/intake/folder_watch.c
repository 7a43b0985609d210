#include "mirror/intake/folder_watch.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xxhash.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "mirror/intake/folder_scan.h"
#include "mirror/intake/intake.h"
#include "mirror/intake/receipt.h"

enum { first_wait_ms = 500, health_every_ms = 1000, memory_tries_most = 4 };

struct watch {
    struct dm_pipeline_options options;
    struct dm_mirror *m;
    const struct dm_source_config *config;
    struct dm_folder_scan scan;
    uint64_t taken;                        /* files, since the start */
    const struct dm_watched_file *halted;  /* the bad file that the others wait for; of the present scan */
    const struct dm_watched_file *growing; /* … or the one that is still being written */
    atomic_int stop;                       /* for the intake in hand */
    int64_t health_us;
};

static bool stopping(const struct watch *w)
{
    return *w->m->stop != 0 || w->m->ending;
}

static bool skips(const struct watch *w)
{
    return strcmp(w->config->on_bad_file, "skip") == 0;
}

/* ---- what the status shows ---- */

static uint64_t waiting_bytes(const struct watch *w, int64_t *lag_us)
{
    uint64_t bytes = 0;
    int64_t oldest = INT64_MAX;
    for (size_t i = 0; i < w->scan.n; i++) {
        const struct dm_watched_file *f = &w->scan.files[i];
        if (f->state != DM_WATCHED_NEW && (f->state != DM_WATCHED_BAD || skips(w)))
            continue;
        bytes += f->bytes;
        oldest = f->changed_ns / 1000 < oldest ? f->changed_ns / 1000 : oldest;
    }
    int64_t now = dm_clock_wall_us();
    *lag_us = oldest != INT64_MAX && now > oldest ? now - oldest : 0;
    return bytes;
}

/* The first bad file, and how many others there are. */
static char *problems(const struct watch *w)
{
    const struct dm_watched_file *first = NULL;
    size_t others = 0;
    for (size_t i = 0; i < w->scan.n; i++) {
        if (w->scan.files[i].state != DM_WATCHED_BAD)
            continue;
        others += first != NULL;
        first = first != NULL ? first : &w->scan.files[i];
    }
    if (first == NULL)
        return w->growing != NULL
                   ? dm_xasprintf("waiting for %s, which is still being written", w->growing->name)
                   : NULL;
    return others == 0 ? dm_xstrdup(first->problem)
                       : dm_xasprintf("%s (and %zu more bad files)", first->problem, others);
}

/* A commit in progress may hold the mutex long: then the next time. */
static void tell_health(struct watch *w, const char *state, const char *error, bool now)
{
    int64_t clock = dm_clock_monotonic_us();
    if (!now && clock - w->health_us < (int64_t)health_every_ms * 1000)
        return;
    if (now)
        (void)pthread_mutex_lock(&w->m->lake_mutex);
    else if (pthread_mutex_trylock(&w->m->lake_mutex) != 0)
        return;
    w->health_us = clock;
    int64_t lag_us;
    uint64_t bytes = waiting_bytes(w, &lag_us);
    struct dm_error err = {0};
    if (dm_state_put_health(dm_lake_sqlite(w->m->lake), w->config->name, "files", state, error, bytes, lag_us,
                            &err) != DM_OK)
        dm_log_error(DM_LOG_WARN, w->config->name, &err);
    (void)pthread_mutex_unlock(&w->m->lake_mutex);
}

static void tell_present_health(struct watch *w, bool now)
{
    char *why = problems(w);
    tell_health(w, w->halted != NULL ? "stopped" : "running", why, now);
    free(why);
}

/* ---- one file ---- */

static enum dm_status hash_file(const char *path, bool links, char out[33], struct dm_error *err)
{
    enum { chunk_bytes = 1 << 20 };
    int fd = open(path, O_RDONLY | O_CLOEXEC | (links ? 0 : O_NOFOLLOW));
    if (fd < 0)
        return dm_fail_errno(err, "cannot open %s", path);
    XXH3_state_t *state = XXH3_createState();
    uint8_t *chunk = dm_xalloc(chunk_bytes);
    (void)XXH3_128bits_reset(state);
    ssize_t n;
    while ((n = read(fd, chunk, chunk_bytes)) > 0 || (n < 0 && errno == EINTR))
        if (n > 0)
            (void)XXH3_128bits_update(state, chunk, (size_t)n);
    enum dm_status status = n == 0 ? DM_OK : dm_fail_errno(err, "cannot read %s", path);
    XXH128_hash_t h = XXH3_128bits_digest(state);
    (void)snprintf(out, 33, "%016" PRIx64 "%016" PRIx64, h.high64, h.low64);
    (void)XXH3_freeState(state);
    free(chunk);
    close(fd);
    return status;
}

/* What the receipts of a file's name say: "<bytes>/<changed>/<hash>". */
struct known {
    char same[64];    /* "<bytes>/<changed>/": the very file */
    const char *hash; /* "/<hash>": its content; NULL: not computed */
    bool taken;
};

static void look_at_state(void *ctx, const char *rest)
{
    struct known *k = ctx;
    size_t n = strlen(rest), h = k->hash != NULL ? strlen(k->hash) : 0;
    k->taken |= strncmp(rest, k->same, strlen(k->same)) == 0;
    k->taken |= h > 0 && n > h && rest[n - h - 1] == '/' && strcmp(rest + n - h, k->hash) == 0;
}

static enum dm_status is_taken(struct watch *w, const struct dm_watched_file *f, const char *hash,
                               bool *taken, struct dm_error *err)
{
    struct known k = {.hash = hash};
    (void)snprintf(k.same, sizeof k.same, "%" PRIu64 "/%" PRId64 "/", f->bytes, f->changed_ns);
    (void)pthread_mutex_lock(&w->m->lake_mutex);
    enum dm_status status =
        dm_receipt_files(dm_lake_sqlite(w->m->lake), w->m->suppression, w->config->dataset, w->config->name,
                         f->name, look_at_state, &k, err);
    (void)pthread_mutex_unlock(&w->m->lake_mutex);
    *taken = k.taken;
    return status;
}

/* In the commit: how far the source is. */
struct position {
    struct watch *watch;
    const struct dm_watched_file *file;
};

static enum dm_status put_position(void *ctx, struct sqlite3 *db, struct dm_error *err)
{
    const struct position *p = ctx;
    struct dm_source_state state;
    if (dm_state_source(db, p->watch->config->name, &state, err) != DM_OK)
        return DM_FAIL;
    return dm_state_put_position(db, p->watch->config->name, "files", state.position + 1, p->file->name, NULL,
                                 p->file->changed_ns / 1000, err);
}

static void progress(void *ctx, uint64_t rows, uint64_t done, uint64_t total)
{
    struct watch *w = ctx;
    (void)rows;
    (void)done;
    (void)total;
    if (*w->m->stop > 0) /* the file is taken at the next start instead */
        w->stop = 1;
    tell_present_health(w, false);
}

static struct dm_change_options change_options(const struct dm_source_config *c)
{
    struct dm_change_options o = {.version_field = -1,
                                  .delimiter = c->delimiter != NULL ? c->delimiter[0] : 0,
                                  .null_text = c->null_text,
                                  .strict_columns = c->strict_columns};
    o.format = strcmp(c->format, "csv") == 0       ? DM_CHANGES_CSV
               : strcmp(c->format, "json") == 0    ? DM_CHANGES_JSON
               : strcmp(c->format, "parquet") == 0 ? DM_CHANGES_PARQUET
                                                   : DM_CHANGES_AUTO;
    return o;
}

static void tell_taken(struct watch *w, const struct dm_watched_file *f, const struct dm_intake_job *job)
{
    const struct dm_row_counts *c = &job->counts;
    dm_log(c->quarantined > 0 ? DM_LOG_WARN : DM_LOG_INFO,
           "%s: %s taken into %s: %" PRIu64 " rows, %" PRIu64 " upserted, %" PRIu64 " deleted, %" PRIu64
           " stale, %" PRIu64 " quarantined",
           w->config->name, f->name, job->dataset, c->received, c->upserted, c->deleted, c->stale,
           c->quarantined);
    for (size_t i = 0; i < job->n_notes; i++)
        dm_log(c->received == 0 ? DM_LOG_INFO : DM_LOG_DEBUG, "%s: %s: %s", w->config->name, f->name,
               job->notes[i]);
}

static void mark_bad(struct watch *w, struct dm_watched_file *f, const struct dm_error *why)
{
    bool news = f->problem == NULL;
    free(f->problem);
    f->problem =
        dm_xasprintf("%s: %s%s%s", f->name, why->message, why->hint[0] != '\0' ? "; " : "", why->hint);
    f->state = DM_WATCHED_BAD;
    f->tried_us = dm_clock_monotonic_us();
    if (news)
        dm_log(DM_LOG_ERROR, "%s: %s", w->config->name, f->problem);
}

/* ---- files that are taken together ---- */

enum { files_at_once = 1000 };

struct taking {
    struct dm_watched_file *file;
    struct position position;
    char *path, *key;
};

struct group {
    size_t n;
    uint64_t bytes;
    struct taking files[files_at_once];
    struct dm_intake_job jobs[files_at_once];
};

static void clear_group(struct group *g)
{
    for (size_t i = 0; i < g->n; i++) {
        dm_intake_job_release(&g->jobs[i]);
        free(g->files[i].path);
        free(g->files[i].key);
    }
    g->n = 0;
    g->bytes = 0;
}

/* Puts the file into the group, unless it was taken before. */
static enum dm_status add_to_group(struct watch *w, struct group *g, struct dm_watched_file *f,
                                   struct dm_error *err)
{
    char hash[33];
    char *path = dm_xasprintf("%s/%s", w->config->path, f->name);
    bool taken = false;
    enum dm_status status = is_taken(w, f, NULL, &taken, err);
    if (status == DM_OK && !taken)
        status = hash_file(path, w->config->follow_links, hash, err);
    if (status == DM_OK && !taken)
        status = is_taken(w, f, hash, &taken, err);
    if (status != DM_OK || taken) {
        if (status == DM_OK)
            f->state = DM_WATCHED_TAKEN;
        free(path);
        return status;
    }
    struct taking *t = &g->files[g->n];
    *t = (struct taking){.file = f, .position = {.watch = w, .file = f}, .path = path};
    t->key = dm_xasprintf("%s/%s/%" PRIu64 "/%" PRId64 "/%s", w->config->name, f->name, f->bytes,
                          f->changed_ns, hash);
    g->jobs[g->n++] = (struct dm_intake_job){.dataset = w->config->dataset,
                                             .source = w->config->name,
                                             .origin = f->name,
                                             .path = path,
                                             .options = change_options(w->config),
                                             .receipt_kind = "file",
                                             .receipt_key = t->key,
                                             .halts = !skips(w),
                                             .extra = put_position,
                                             .extra_ctx = &t->position,
                                             .stop = &w->stop};
    g->bytes += f->bytes;
    return DM_OK;
}

static void settle_file(struct watch *w, struct dm_watched_file *f, const struct dm_intake_job *job)
{
    if (!job->done)
        return;
    if (job->error.class != DM_ERROR_NONE) {
        mark_bad(w, f, &job->error);
        if (job->unknown_dataset) /* it may be declared at any time */
            f->tried_us = 0;
        return;
    }
    f->state = DM_WATCHED_TAKEN;
    free(f->problem);
    f->problem = NULL;
    w->taken++;
    tell_taken(w, f, job);
}

/* DM_FAIL: the rest cannot be taken now. A bad file is no failure. */
static enum dm_status take_group(struct watch *w, struct group *g, struct dm_error *err)
{
    if (g->n == 0)
        return DM_OK;
    enum dm_status status = dm_intake(w->m, g->jobs, g->n, progress, w, err);
    for (size_t i = 0; i < g->n; i++)
        settle_file(w, g->files[i].file, &g->jobs[i]);
    clear_group(g);
    return status;
}

/* ---- the folder ---- */

static bool due_again(const struct watch *w, const struct dm_watched_file *f)
{
    return f->tried_us == 0 || dm_clock_monotonic_us() - f->tried_us >= w->m->config->retry_max_ms * 1000;
}

static bool wants_a_try(const struct watch *w, const struct dm_watched_file *f)
{
    return f->state == DM_WATCHED_NEW || (f->state == DM_WATCHED_BAD && due_again(w, f));
}

/* The files from *at on that may share a commit: up to one that must be waited for. *at: behind the last that was looked at. */
static enum dm_status fill_group(struct watch *w, struct group *g, size_t *at, struct dm_error *err)
{
    enum dm_status status = DM_OK;
    for (; *at < w->scan.n && status == DM_OK && !stopping(w); (*at)++) {
        struct dm_watched_file *f = &w->scan.files[*at];
        if (g->n == files_at_once || g->bytes >= w->m->config->commit_bytes)
            break;
        if (f->state == DM_WATCHED_TAKEN || f->state == DM_WATCHED_MARKER || f->state == DM_WATCHED_LINK)
            continue;
        if (!f->settled || (f->state == DM_WATCHED_BAD && !skips(w) && !due_again(w, f)))
            break;
        if (!wants_a_try(w, f))
            continue;
        status = add_to_group(w, g, f, err);
        if (status != DM_OK && dm_intake_own_failure(err)) { /* it cannot even be opened, or has gone */
            mark_bad(w, f, err);
            status = DM_OK;
            if (!skips(w))
                break;
        }
    }
    return status;
}

/* A hidden file is no news. */
static void tell_markers(struct watch *w)
{
    for (size_t i = 0; i < w->scan.n; i++) {
        struct dm_watched_file *f = &w->scan.files[i];
        if ((f->state != DM_WATCHED_MARKER && f->state != DM_WATCHED_LINK) || f->told)
            continue;
        f->told = true;
        if (f->state == DM_WATCHED_LINK) {
            dm_log(DM_LOG_WARN, "%s: %s is passed over: it is a symbolic link%s", w->config->name, f->name,
                   w->config->follow_links ? " that leads out of the folder" : " (follow_links)");
            continue;
        }
        dm_log(f->name[0] == '_' ? DM_LOG_INFO : DM_LOG_DEBUG,
               "%s: %s is passed over: names that begin with _ or . are markers", w->config->name, f->name);
    }
}

/* The file that the others wait for, if there is one. */
static void find_halt(struct watch *w, size_t *left)
{
    for (size_t i = 0; i < w->scan.n; i++) {
        const struct dm_watched_file *f = &w->scan.files[i];
        bool bad = f->state == DM_WATCHED_BAD && !skips(w);
        if (!bad && f->state != DM_WATCHED_NEW)
            continue;
        if (!bad && f->settled)
            return; /* it can be taken */
        w->halted = bad ? f : NULL;
        w->growing = bad ? NULL : f;
        *left = w->scan.n - i;
        return;
    }
}

/* Takes what is ready, in order. *left: files that are not taken yet (bad ones that are skipped do not count). */
static enum dm_status take_all(struct watch *w, size_t *left, struct dm_error *err)
{
    enum dm_status status = DM_OK;
    struct group *g = dm_xzalloc(1, sizeof *g);
    *left = 0;
    for (size_t at = 0, before = SIZE_MAX;
         at < w->scan.n && at != before && status == DM_OK && !stopping(w);) {
        before = at;
        status = fill_group(w, g, &at, err);
        if (status == DM_OK)
            status = take_group(w, g, err);
        clear_group(g);
        find_halt(w, left);
        if (*left > 0)
            break;
        tell_present_health(w, false);
    }
    free(g);
    return status;
}

static void pause_ms(const struct watch *w, int64_t ms)
{
    int64_t until = dm_clock_monotonic_us() + ms * 1000;
    for (int64_t now = 0; !stopping(w) && now < until; now = dm_clock_monotonic_us())
        dm_clock_sleep_ms(ms < 50 ? ms : 50);
}

static enum dm_status one_round(struct watch *w, bool *done, struct dm_error *err)
{
    size_t left = 0;
    enum dm_status status = dm_folder_scan(&w->scan, w->config->path, w->config->pattern,
                                           w->config->follow_links, w->config->poll_interval_ms, err);
    w->halted = NULL; /* what they point to is gone */
    w->growing = NULL;
    tell_markers(w);
    if (status == DM_OK)
        status = take_all(w, &left, err);
    if (status != DM_OK || stopping(w))
        return status;
    tell_present_health(w, true);
    if (!w->options.until_caught_up)
        return DM_OK;
    *done = left == 0;
    if (w->halted != NULL)
        return dm_fail(err, DM_ERROR_DATA, "mend the file, take it away, or set on_bad_file: skip", "%s",
                       w->halted->problem);
    return DM_OK;
}

enum dm_status dm_folder_watch_run(const struct dm_pipeline_options *options, struct dm_error *err)
{
    struct watch *w = dm_xzalloc(1, sizeof *w);
    w->options = *options;
    w->m = options->mirror;
    w->config = options->config;
    int64_t wait_ms = first_wait_ms, good_us = dm_clock_monotonic_us();
    int memory_tries = 0;
    enum dm_status status = DM_OK;
    bool done = false;
    while (!done && !stopping(w)) {
        struct dm_error why = {0};
        status = one_round(w, &done, &why);
        if (status == DM_OK) {
            wait_ms = first_wait_ms;
            memory_tries = 0;
            good_us = dm_clock_monotonic_us();
            if (!done)
                pause_ms(w, w->config->poll_interval_ms);
            continue;
        }
        if (stopping(w)) { /* a file in hand is taken at the next start */
            status = DM_OK;
            break;
        }
        bool retry = why.class == DM_ERROR_TRANSIENT ||
                     (why.class == DM_ERROR_MEMORY && memory_tries++ < memory_tries_most);
        retry = retry && !dm_pipeline_gave_up(options, good_us, &why);
        tell_health(w, retry ? "retrying" : "stopped", why.message, true);
        *err = why;
        if (!retry)
            break;
        dm_log(DM_LOG_WARN, "%s: %s; trying again in %.1f s", w->config->name, why.message,
               (double)wait_ms / 1000.0);
        pause_ms(w, wait_ms);
        wait_ms = wait_ms * 2 < w->m->config->retry_max_ms ? wait_ms * 2 : w->m->config->retry_max_ms;
        status = DM_OK;
    }
    if (status == DM_OK)
        tell_health(w, "ended", NULL, true);
    dm_folder_scan_release(&w->scan);
    free(w);
    return status;
}
