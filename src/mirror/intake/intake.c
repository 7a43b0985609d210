#include "mirror/intake/intake.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/memory.h"
#include "mirror/commit/committer.h"
#include "mirror/intake/intake_reader.h"
#include "mirror/intake/intake_target.h"
#include "mirror/relationship/orphan.h"
#include "mirror/intake/receipt.h"
#include "mirror/commit/tombstones.h"

enum { tell_every_ms = 100, jobs_at_once = 1000 };

/* What people are told, over all commits of a call. */
struct telling {
    dm_intake_progress fn;
    void *ctx;
    uint64_t rows, done; /* of the commits before */
    uint64_t total;      /* bytes of the files; 0: not only files */
};

/* One commit. One attempt may have to begin again: a job failed half way, a schema or the index was not what it seemed. Then nothing of it stays. */
struct intake {
    struct dm_mirror *m;
    struct dm_intake_job *jobs;
    size_t n;
    size_t limit; /* jobs from here on take no part: one failed, and they must not overtake it */
    bool dry_run; /* this pass is for the dry runs, or for the others */
    bool apart;   /* jobs in units of their own, to find out whose trouble it is */
    struct telling *telling;
    bool *out;                         /* per job: takes no part (failed, repeated, of the other pass) */
    bool *applied;                     /* per job: something of it is in the open commit */
    bool *ended;                       /* per job: all of it was read, and is in */
    struct dm_intake_target **targets; /* per job; shared between jobs of one dataset */
    size_t n_targets;
    struct dm_intake_target *distinct;
    size_t n_inputs;
    struct dm_intake_input *inputs;
    struct dm_intake_reader *reader;
    struct dm_committer *committer;
    bool begun; /* the commit is open and the targets were looked at again */
    bool again;
};

void dm_intake_job_release(struct dm_intake_job *job)
{
    for (size_t i = 0; i < job->n_notes; i++)
        free(job->notes[i]);
    free(job->notes);
    job->notes = NULL;
    job->n_notes = 0;
}

/* ---- before ---- */

bool dm_intake_own_failure(const struct dm_error *err)
{
    return err->class == DM_ERROR_DATA || err->class == DM_ERROR_CONFIG || err->class == DM_ERROR_CONFLICT;
}

static void fail_job(struct intake *in, size_t i, const struct dm_error *why)
{
    in->jobs[i].error = *why;
    in->jobs[i].counts = (struct dm_row_counts){0};
    in->out[i] = true;
    if (i < in->limit && in->jobs[i].halts)
        in->limit = i;
    if (in->applied[i])
        in->again = true;
}

/* Another job of the call that leaves the same receipt, before this one. */
static const struct dm_intake_job *twin(const struct intake *in, size_t i)
{
    const struct dm_intake_job *job = &in->jobs[i];
    for (size_t k = 0; k < i && job->receipt_kind != NULL; k++) {
        const struct dm_intake_job *other = &in->jobs[k];
        if (!in->out[k] && other->receipt_kind != NULL &&
            strcmp(other->receipt_kind, job->receipt_kind) == 0 &&
            strcmp(other->dataset, job->dataset) == 0 && strcmp(other->receipt_key, job->receipt_key) == 0)
            return other;
    }
    return NULL;
}

/* Jobs whose receipt is there are done already. Lake mutex held. */
static enum dm_status look_at_receipts(struct intake *in, struct dm_error *err)
{
    for (size_t i = 0; i < in->n; i++) {
        struct dm_intake_job *job = &in->jobs[i];
        if (in->out[i] || job->dry_run)
            continue;
        if (dm_receipt_look(dm_lake_sqlite(in->m->lake), in->m->suppression, job, err) != DM_OK)
            return DM_FAIL;
        bool failed = job->error.class != DM_ERROR_NONE;
        in->out[i] = failed || job->repeated;
        if (in->out[i] && in->begun)
            in->again = true; /* it came while we read */
    }
    return DM_OK;
}

static enum dm_status find_target(struct intake *in, size_t i, struct dm_error *err)
{
    struct dm_intake_job *job = &in->jobs[i];
    for (size_t k = 0; k < in->n_targets; k++) {
        if (dm_intake_target_is_named(&in->distinct[k], job->dataset)) {
            in->targets[i] = &in->distinct[k];
            return DM_OK;
        }
    }
    struct dm_intake_target *t = &in->distinct[in->n_targets];
    if (dm_intake_target_load(in->m, job->dataset, t, err) != DM_OK) {
        struct dm_error ignored = {0};
        bool there = true;
        if (dm_declared_exists(in->m, job->dataset, &there, &ignored) == DM_OK)
            job->unknown_dataset = !there;
        return DM_FAIL;
    }
    in->n_targets++;
    in->targets[i] = t;
    return DM_OK;
}

/* 0: any number. */
static uint64_t max_bad_of(const struct dm_intake_job *job, const struct dm_dataset_settings *settings)
{
    return job->no_limits ? 0 : settings->max_quarantined > 0 ? settings->max_quarantined : job->max_bad;
}

/* Where that number comes from. */
static const char *max_bad_hint(const struct dm_dataset_settings *settings)
{
    return settings->max_quarantined > 0 ? DM_INTAKE_RAISE_OF_SCHEMA
                                         : "mend the input, or raise http_max_quarantined";
}

static void add_input(struct intake *in, size_t i)
{
    struct dm_intake_job *job = &in->jobs[i];
    const struct dm_intake_target *t = in->targets[i];
    const struct dm_dataset_settings *settings = &t->target->rules->schema->settings;
    struct dm_intake_input *input = &in->inputs[in->n_inputs++];
    *input = (struct dm_intake_input){.job = i,
                                      .what = job,
                                      .counts = &in->jobs[i].counts,
                                      .target = t->target,
                                      .schema = t->schema,
                                      .options = job->options,
                                      .max_bad = max_bad_of(job, settings),
                                      .max_bad_hint = max_bad_hint(settings),
                                      .max_bad_share = job->no_limits ? 0 : settings->max_quarantined_share};
    input->options.version_field = t->target->rules->version_field;
    input->options.rules = t->rules;
    input->options.unavailable = settings->unavailable_value;
}

/* Which jobs take part, and where to. */
static enum dm_status prepare(struct intake *in, struct dm_error *err)
{
    (void)pthread_mutex_lock(&in->m->lake_mutex);
    enum dm_status status = look_at_receipts(in, err);
    for (size_t i = 0; i < in->limit && status == DM_OK; i++) {
        if (in->out[i] || twin(in, i) != NULL)
            continue;
        struct dm_error why = {0};
        in->jobs[i].counts = (struct dm_row_counts){0};
        if (find_target(in, i, &why) == DM_OK) {
            add_input(in, i);
        } else if (dm_intake_own_failure(&why)) {
            fail_job(in, i, &why);
        } else {
            *err = why;
            status = DM_FAIL;
        }
    }
    (void)pthread_mutex_unlock(&in->m->lake_mutex);
    return status;
}

/* ---- the commit ---- */

/* From here on the lake is ours: is everything still as it was when reading began? */
static enum dm_status begin(struct intake *in, struct dm_error *err)
{
    if (in->begun)
        return DM_OK;
    if (dm_committer_begin(in->committer, err) != DM_OK)
        return DM_FAIL;
    in->begun = true;
    enum dm_status status = look_at_receipts(in, err);
    for (size_t i = 0; i < in->n_targets && status == DM_OK && !in->again; i++) {
        bool changed = false;
        status = dm_intake_target_refresh(in->m, &in->distinct[i], &changed, err);
        in->again |= changed;
        if (status != DM_OK &&
            dm_intake_own_failure(err)) { /* it is gone: the next attempt says so to its jobs */
            in->again = true;
            status = DM_OK;
        }
    }
    return status;
}

static enum dm_status check_limits(const struct intake *in, size_t i, struct dm_error *err)
{
    const struct dm_dataset_settings *s = &in->targets[i]->target->rules->schema->settings;
    const struct dm_row_counts *c = &in->jobs[i].counts;
    if (in->jobs[i].no_limits)
        return DM_OK;
    uint64_t bad = c->quarantined - c->waiting;
    uint64_t most = max_bad_of(&in->jobs[i], s);
    bool many = most > 0 && bad > most;
    bool share = s->max_quarantined_share > 0 && (double)bad > s->max_quarantined_share * (double)c->received;
    if (!many && !share)
        return DM_OK;
    return dm_fail(err, DM_ERROR_DATA, many ? max_bad_hint(s) : DM_INTAKE_RAISE_OF_SCHEMA,
                   "%s: %llu of %llu rows cannot be used (max_quarantined)", in->jobs[i].origin,
                   (unsigned long long)bad, (unsigned long long)c->received);
}

static enum dm_status apply_unit(struct intake *in, struct dm_intake_part *part, struct dm_error *err)
{
    if (begin(in, err) != DM_OK)
        return DM_FAIL;
    if (in->again)
        return DM_OK;
    for (size_t i = 0; i < part->n_jobs; i++)
        in->applied[part->jobs[i]] = true;
    if (dm_committer_apply(in->committer, part->unit, err) != DM_OK) {
        in->begun = false; /* it has abandoned the commit */
        return DM_FAIL;
    }
    return DM_OK;
}

/* Rows of several jobs do not say whose fault it is. */
static enum dm_status take_unit(struct intake *in, struct dm_intake_part *part, struct dm_error *err)
{
    struct dm_error why = {0};
    if (apply_unit(in, part, &why) == DM_OK)
        return DM_OK;
    if (!dm_intake_own_failure(&why)) {
        *err = why;
        return DM_FAIL;
    }
    if (part->n_jobs == 1)
        fail_job(in, part->jobs[0], &why);
    else
        in->apart = true;
    in->again = true;
    return DM_OK;
}

/* Trouble that is nobody's own ends the commit in front of the job that met it. */
static enum dm_status end_in_front(struct intake *in, size_t i, const struct dm_error *why,
                                   struct dm_error *err)
{
    bool any = false;
    for (size_t k = 0; k < i; k++)
        any |= in->ended[k];
    if (!any) {
        *err = *why;
        return DM_FAIL;
    }
    in->limit = i < in->limit ? i : in->limit;
    in->again |= in->applied[i];
    return DM_OK;
}

static enum dm_status take_end(struct intake *in, struct dm_intake_end *end, struct dm_error *err)
{
    struct dm_intake_job *job = &in->jobs[end->job];
    dm_intake_job_release(job);
    job->notes = end->notes;
    job->n_notes = end->n_notes;
    end->notes = NULL;
    end->n_notes = 0;
    struct dm_error why = end->error;
    if (end->status == DM_OK && check_limits(in, end->job, &why) == DM_OK) {
        in->ended[end->job] = true;
        return DM_OK;
    }
    if (!dm_intake_own_failure(&why))
        return end_in_front(in, end->job, &why, err);
    fail_job(in, end->job, &why);
    return DM_OK;
}

static enum dm_status take_part(struct intake *in, struct dm_intake_part *part, struct dm_error *err)
{
    enum dm_status status = part->unit != NULL ? take_unit(in, part, err) : DM_OK;
    for (size_t i = 0; i < part->n_ends && status == DM_OK && !in->again; i++)
        status = take_end(in, &part->ends[i], err);
    return status;
}

/* A job that is still being read, and that nobody waits for any more: the others are read again without it. */
static void give_up_gone(struct intake *in)
{
    for (size_t i = 0; i < in->n; i++) {
        const struct dm_intake_job *job = &in->jobs[i];
        if (job->gone == NULL || in->out[i] || in->ended[i] || !job->gone(job->gone_ctx))
            continue;
        struct dm_error why = {0};
        (void)dm_fail(&why, DM_ERROR_TRANSIENT, NULL, "the client went away; nothing of it was taken");
        fail_job(in, i, &why);
        in->again = true;
    }
}

static enum dm_status look_up(struct intake *in, struct dm_error *err)
{
    give_up_gone(in);
    const struct telling *t = in->telling;
    if (t->fn != NULL) {
        uint64_t rows, done, total;
        dm_intake_reader_progress(in->reader, &rows, &done, &total);
        t->fn(t->ctx, t->rows + rows, t->done + done, t->total > 0 ? t->total : total);
    }
    bool stop = *in->m->stop > 1;
    for (size_t i = 0; i < in->n; i++)
        stop |= in->jobs[i].stop != NULL && *in->jobs[i].stop > 0;
    return stop ? dm_fail(err, DM_ERROR_TRANSIENT, NULL, "ended early; nothing was taken in") : DM_OK;
}

static enum dm_status take_parts(struct intake *in, struct dm_error *err)
{
    enum dm_status status = DM_OK;
    while (status == DM_OK && !in->again) {
        struct dm_intake_part part;
        status = dm_intake_reader_next(in->reader, &part, tell_every_ms);
        if (status == DM_END)
            return DM_OK;
        if (status == DM_OK) {
            status = take_part(in, &part, err);
            dm_intake_part_release(&part);
        } else {
            status = DM_OK; /* nothing yet */
        }
        if (status == DM_OK)
            status = look_up(in, err);
    }
    return status;
}

/* Receipts, and what the jobs want in the same transaction. */
static enum dm_status put_receipts(void *ctx, struct sqlite3 *db, struct dm_error *err)
{
    struct intake *in = ctx;
    enum dm_status status = DM_OK;
    for (size_t i = 0; i < in->n && status == DM_OK; i++) {
        const struct dm_intake_job *job = &in->jobs[i];
        if (in->out[i] || !in->ended[i])
            continue;
        if (job->receipt_kind != NULL)
            status = dm_receipt_put(db, in->m->suppression, job, err);
        if (status == DM_OK && job->extra != NULL)
            status = job->extra(job->extra_ctx, db, err);
    }
    return status;
}

/* What the snapshots are to say: the last job, and how many others there are. */
static char *summary_origin(const struct intake *in, const struct dm_intake_job **last)
{
    size_t others = 0;
    *last = NULL;
    for (size_t i = 0; i < in->n; i++) {
        if (in->out[i] || !in->ended[i])
            continue;
        others += *last != NULL;
        *last = &in->jobs[i];
    }
    if (*last == NULL)
        return NULL;
    return others == 0 ? dm_xstrdup((*last)->origin)
                       : dm_xasprintf("%s and %zu more", (*last)->origin, others);
}

/* Old tombstones go, whether or not this commit had any. What is committed stays so when this fails. */
static void expire_tombstones(struct intake *in, const struct dm_commit_summary *summary)
{
    (void)pthread_mutex_lock(&in->m->lake_mutex);
    for (size_t i = 0; i < in->n_targets; i++) {
        struct dm_error why = {0};
        if (dm_tombstones_expire(in->m, in->distinct[i].target, summary, NULL, &why) != DM_OK)
            dm_log_error(DM_LOG_WARN, "expiry of tombstones", &why);
    }
    (void)pthread_mutex_unlock(&in->m->lake_mutex);
}

static enum dm_status close_commit(struct intake *in, struct dm_error *err)
{
    const struct dm_intake_job *last;
    char *origin = summary_origin(in, &last);
    if (origin == NULL)
        return DM_OK;
    enum dm_status status = begin(in, err); /* no rows at all may still leave receipts */
    if (status == DM_OK && !in->again) {
        struct dm_unit *unit = dm_unit_new();
        unit->closes = true;
        unit->source = last->source;
        unit->origin = origin;
        status = dm_committer_apply(in->committer, unit, err);
        if (status != DM_OK && dm_committer_published(in->committer)) {
            dm_log_error(DM_LOG_WARN, "after a commit", err);
            *err = (struct dm_error){0};
            status = DM_OK;
        }
        dm_unit_free(unit);
        in->begun = false;
        if (status == DM_OK)
            expire_tombstones(in, &(struct dm_commit_summary){.source = last->source, .position = origin});
    }
    free(origin);
    return status;
}

static void answer_twins(struct intake *in)
{
    for (size_t i = 0; i < in->n; i++) {
        const struct dm_intake_job *first = in->out[i] ? NULL : twin(in, i);
        if (first == NULL || !in->ended[first - in->jobs])
            continue;
        in->jobs[i].counts = first->counts;
        in->jobs[i].repeated = in->ended[i] = true;
    }
}

static void clear_attempt(struct intake *in)
{
    dm_intake_reader_stop(in->reader);
    in->reader = NULL;
    dm_committer_abandon(in->committer);
    in->begun = false;
    for (size_t i = 0; i < in->n_targets; i++)
        dm_intake_target_release(&in->distinct[i]);
    in->n_targets = 0;
    in->n_inputs = 0;
    memset(in->targets, 0, in->n * sizeof(struct dm_intake_target *));
    memset(in->applied, 0, in->n * sizeof *in->applied);
    memset(in->ended, 0, in->n * sizeof *in->ended);
    in->again = false;
}

static enum dm_status attempt(struct intake *in, struct dm_error *err)
{
    enum dm_status status = prepare(in, err);
    if (status != DM_OK || in->n_inputs == 0)
        return status;
    struct dm_intake_reader_options options = {.apart = in->apart};
    if (!in->dry_run) {
        options.close_age_us = in->m->config->commit_interval_ms * 1000;
        options.close_bytes = in->m->config->commit_bytes;
    }
    status = dm_intake_reader_start(in->m, in->inputs, in->n_inputs, &options, &in->reader, err);
    if (status == DM_OK)
        status = take_parts(in, err);
    if (status == DM_OK && !in->again && !in->dry_run)
        status = close_commit(in, err);
    if (status == DM_OK && !in->again)
        answer_twins(in);
    return status;
}

/* The index of a declared dataset is behind after trouble behind a publication. Only seen inside a commit, so mended here, outside. */
static enum dm_status catch_up(struct intake *in, struct dm_error *err)
{
    enum dm_status status = DM_OK;
    (void)pthread_mutex_lock(&in->m->lake_mutex);
    for (size_t i = 0; i < in->n_targets && status == DM_OK; i++)
        if (in->distinct[i].index_behind)
            status = dm_intake_target_catch_up(in->m, &in->distinct[i], err);
    (void)pthread_mutex_unlock(&in->m->lake_mutex);
    return status;
}

/* What is final now. */
static void settle_jobs(struct intake *in, int64_t started_us)
{
    double seconds = (double)(dm_clock_monotonic_us() - started_us) / 1e6;
    uint64_t rows = 0;
    for (size_t i = 0; i < in->n; i++)
        rows += in->ended[i] ? in->jobs[i].counts.received : 0;
    for (size_t i = 0; i < in->n; i++) {
        struct dm_intake_job *job = &in->jobs[i];
        if (job->dry_run != in->dry_run || !(in->ended[i] || in->out[i]))
            continue;
        job->done = true;
        job->seconds = rows > 0 ? seconds * (double)job->counts.received / (double)rows : seconds;
    }
}

static enum dm_status run(struct intake *in, struct dm_error *err)
{
    enum dm_status status = DM_OK;
    bool again = true;
    int64_t started_us = dm_clock_monotonic_us();
    while (again && status == DM_OK) {
        status = attempt(in, err);
        again = in->again;
        if (status == DM_OK && again) {
            dm_committer_abandon(in->committer);
            status = catch_up(in, err);
        } else if (status == DM_OK) {
            settle_jobs(in, started_us);
            if (in->reader != NULL) {
                uint64_t rows, done, total;
                dm_intake_reader_progress(in->reader, &rows, &done, &total);
                in->telling->rows += rows;
                in->telling->done += done;
            }
        }
        clear_attempt(in);
    }
    return status;
}

/* One commit with the first of those that are not done, as many as it may hold: of the jobs that are dry runs, or of the others. */
static enum dm_status pass(struct dm_mirror *m, struct dm_intake_job *jobs, size_t n, bool dry_run,
                           struct telling *telling, struct dm_error *err)
{
    struct intake in = {.m = m, .jobs = jobs, .n = n, .limit = n, .dry_run = dry_run, .telling = telling};
    in.out = dm_xzalloc(n, sizeof *in.out);
    in.applied = dm_xzalloc(n, sizeof *in.applied);
    in.ended = dm_xzalloc(n, sizeof *in.ended);
    in.targets = dm_xzalloc(n, sizeof(struct dm_intake_target *));
    in.distinct = dm_xzalloc(n, sizeof *in.distinct);
    in.inputs = dm_xzalloc(n, sizeof *in.inputs);
    for (size_t i = 0; i < n; i++)
        in.out[i] = jobs[i].dry_run != dry_run || jobs[i].done;
    struct dm_committer_options options = {.mirror = m, .extra = put_receipts, .extra_ctx = &in};
    in.committer = dm_committer_new(&options);
    enum dm_status status = run(&in, err);
    dm_committer_free(in.committer);
    free(in.out);
    free(in.applied);
    free(in.ended);
    free(in.targets);
    free(in.distinct);
    free(in.inputs);
    return status;
}

/* The first that is still to be done; n: none. */
static size_t next_job(const struct dm_intake_job *jobs, size_t n, bool dry_run)
{
    for (size_t i = 0; i < n; i++) {
        if (jobs[i].dry_run != dry_run)
            continue;
        if (!jobs[i].done)
            return i;
        if (jobs[i].halts && jobs[i].error.class != DM_ERROR_NONE)
            return n;
    }
    return n;
}

/* Somebody may have waited for what has come. What is committed stays so when this fails; a later intake looks again. */
static void release_children(struct dm_mirror *m, const struct dm_intake_job *jobs, size_t n)
{
    bool wanted = false; /* a replay is part of a release, or followed by one */
    for (size_t i = 0; i < n; i++)
        wanted |= !jobs[i].dry_run && jobs[i].extra == NULL;
    struct dm_error why = {0};
    if (wanted && dm_orphans_release(m, &why) != DM_OK)
        dm_log_error(DM_LOG_WARN, "children that wait for their parent", &why);
}

static uint64_t bytes_of(const struct dm_intake_job *jobs, size_t n)
{
    uint64_t all = 0, bytes = 0;
    struct dm_error ignored = {0};
    for (size_t i = 0; i < n; i++) {
        if (jobs[i].path == NULL)
            return 0;
        all += dm_file_size(jobs[i].path, &bytes, &ignored) == DM_OK ? bytes : 0;
    }
    return all;
}

enum dm_status dm_intake(struct dm_mirror *m, struct dm_intake_job *jobs, size_t n, dm_intake_progress told,
                         void *ctx, struct dm_error *err)
{
    for (size_t i = 0; i < n; i++) {
        jobs[i].error = (struct dm_error){0};
        jobs[i].counts = (struct dm_row_counts){0};
        jobs[i].repeated = jobs[i].unknown_dataset = jobs[i].done = false;
    }
    struct telling telling = {.fn = told, .ctx = ctx, .total = told != NULL ? bytes_of(jobs, n) : 0};
    enum dm_status status = DM_OK;
    for (size_t i; status == DM_OK && (i = next_job(jobs, n, false)) < n;)
        status = pass(m, jobs + i, n - i < jobs_at_once ? n - i : jobs_at_once, false, &telling, err);
    if (status == DM_OK)
        release_children(m, jobs, n);
    if (status == DM_OK && next_job(jobs, n, true) < n)
        status = pass(m, jobs, n, true, &telling, err);
    return status;
}
