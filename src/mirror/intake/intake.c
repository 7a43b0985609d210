#include "mirror/intake/intake.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/memory.h"
#include "mirror/commit/committer.h"
#include "mirror/intake/intake_reader.h"
#include "mirror/intake/intake_target.h"
#include "mirror/relationship/orphan.h"
#include "mirror/intake/receipt.h"
#include "mirror/commit/tombstones.h"

enum { tell_every_ms = 100 };

/* One attempt may have to begin again: a job failed half way, a schema or the index was not what it seemed. Then nothing of it stays. */
struct intake {
    struct dm_mirror *m;
    struct dm_intake_job *jobs; /* of the whole call */
    size_t n;
    bool dry_run; /* this pass is for the dry runs, or for the others */
    dm_intake_progress told;
    void *told_ctx;
    bool *out;                         /* per job: takes no part (failed, repeated, of the other pass) */
    bool *applied;                     /* per job: something of it is in the open commit */
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

static bool own_failure(const struct dm_error *err)
{
    return err->class == DM_ERROR_DATA || err->class == DM_ERROR_CONFIG || err->class == DM_ERROR_CONFLICT;
}

static void fail_job(struct intake *in, size_t i, const struct dm_error *why)
{
    in->jobs[i].error = *why;
    in->jobs[i].counts = (struct dm_intake_counts){0};
    in->out[i] = true;
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
        if (dm_receipt_look(dm_lake_sqlite(in->m->lake), job, err) != DM_OK)
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

static void add_input(struct intake *in, size_t i)
{
    const struct dm_intake_job *job = &in->jobs[i];
    const struct dm_intake_target *t = in->targets[i];
    const struct dm_dataset_settings *settings = &t->target->rules->schema->settings;
    struct dm_intake_input *input = &in->inputs[in->n_inputs++];
    *input = (struct dm_intake_input){.job = i,
                                      .what = job,
                                      .target = t->target,
                                      .schema = t->schema,
                                      .options = job->options,
                                      .max_bad = job->no_limits ? 0 : settings->max_quarantined,
                                      .max_bad_share = job->no_limits ? 0 : settings->max_quarantined_share};
    input->options.version_field = t->target->rules->version_field;
    input->options.rules = t->rules;
}

/* Which jobs take part, and where to. */
static enum dm_status prepare(struct intake *in, struct dm_error *err)
{
    (void)pthread_mutex_lock(&in->m->lake_mutex);
    enum dm_status status = look_at_receipts(in, err);
    for (size_t i = 0; i < in->n && status == DM_OK; i++) {
        if (in->out[i] || twin(in, i) != NULL)
            continue;
        struct dm_error why = {0};
        in->jobs[i].counts = (struct dm_intake_counts){0};
        if (find_target(in, i, &why) == DM_OK) {
            add_input(in, i);
        } else if (own_failure(&why)) {
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
        if (status != DM_OK && own_failure(err)) { /* it is gone: the next attempt says so to its jobs */
            in->again = true;
            status = DM_OK;
        }
    }
    return status;
}

static void count(struct dm_intake_counts *c, const struct dm_dataset_state *before,
                  const struct dm_dataset_state *now, size_t bad, size_t waiting)
{
    c->received += now->received - before->received;
    c->upserted += now->inserted - before->inserted + (now->updated - before->updated);
    c->inserted += now->inserted - before->inserted;
    c->deleted += now->deleted - before->deleted;
    c->stale += now->stale - before->stale;
    c->ties += now->ties - before->ties;
    c->noop_deletes += now->noop_deletes - before->noop_deletes;
    c->suppressed += now->suppressed - before->suppressed;
    c->quarantined += bad;
    c->waiting += waiting;
}

static enum dm_status check_limits(const struct intake *in, size_t i, struct dm_error *err)
{
    const struct dm_dataset_settings *s = &in->targets[i]->target->rules->schema->settings;
    const struct dm_intake_counts *c = &in->jobs[i].counts;
    if (in->jobs[i].no_limits)
        return DM_OK;
    uint64_t bad = c->quarantined - c->waiting;
    bool many = s->max_quarantined > 0 && bad > s->max_quarantined;
    bool share = s->max_quarantined_share > 0 && (double)bad > s->max_quarantined_share * (double)c->received;
    if (!many && !share)
        return DM_OK;
    return dm_fail(err, DM_ERROR_DATA, "mend the input, or raise max_quarantined of the schema",
                   "%s: %llu of %llu rows cannot be used (max_quarantined)", in->jobs[i].origin,
                   (unsigned long long)bad, (unsigned long long)c->received);
}

static enum dm_status apply_part(struct intake *in, struct dm_intake_part *part, struct dm_error *err)
{
    struct dm_intake_job *job = &in->jobs[part->job];
    if (begin(in, err) != DM_OK)
        return DM_FAIL;
    if (in->again)
        return DM_OK;
    struct dm_target *t = in->targets[part->job]->target;
    struct dm_unit *unit = part->unit;
    struct dm_dataset_state before = t->state;
    size_t bad = dm_committer_bad_rows(in->committer), waiting = dm_committer_waiting_rows(in->committer);
    in->applied[part->job] = true;
    t->state.received += unit->unread.n;
    if (dm_committer_apply(in->committer, unit, err) != DM_OK) {
        in->begun = false; /* it has abandoned the commit */
        return DM_FAIL;
    }
    count(&job->counts, &before, &t->state, dm_committer_bad_rows(in->committer) - bad,
          dm_committer_waiting_rows(in->committer) - waiting);
    return DM_OK;
}

static void take_notes(struct dm_intake_job *job, struct dm_intake_part *part)
{
    dm_intake_job_release(job);
    job->notes = part->notes;
    job->n_notes = part->n_notes;
    part->notes = NULL;
    part->n_notes = 0;
}

static enum dm_status take_part(struct intake *in, struct dm_intake_part *part, struct dm_error *err)
{
    struct dm_error why = {0};
    enum dm_status status = DM_OK;
    if (in->out[part->job])
        return DM_OK;
    if (part->unit != NULL) {
        status = apply_part(in, part, &why);
    } else {
        take_notes(&in->jobs[part->job], part);
        why = part->error;
        status = part->status == DM_OK ? check_limits(in, part->job, &why) : DM_FAIL;
    }
    if (status == DM_OK)
        return DM_OK;
    if (own_failure(&why)) {
        fail_job(in, part->job, &why);
        return DM_OK;
    }
    *err = why;
    return DM_FAIL;
}

static enum dm_status look_up(const struct intake *in, struct dm_error *err)
{
    if (in->told != NULL) {
        uint64_t rows, done, total;
        dm_intake_reader_progress(in->reader, &rows, &done, &total);
        in->told(in->told_ctx, rows, done, total);
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
        if (in->out[i] || in->targets[i] == NULL)
            continue;
        if (job->receipt_kind != NULL)
            status = dm_receipt_put(db, job, err);
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
        if (in->out[i] || in->targets[i] == NULL)
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
        if (first == NULL)
            continue;
        in->jobs[i].counts = first->counts;
        in->jobs[i].repeated = true;
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
    in->again = false;
}

static enum dm_status attempt(struct intake *in, struct dm_error *err)
{
    enum dm_status status = prepare(in, err);
    if (status != DM_OK || in->n_inputs == 0)
        return status;
    status = dm_intake_reader_start(in->m, in->inputs, in->n_inputs, &in->reader, err);
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

static enum dm_status run(struct intake *in, struct dm_error *err)
{
    enum dm_status status = DM_OK;
    bool again = true;
    while (again && status == DM_OK) {
        status = attempt(in, err);
        again = in->again;
        if (status == DM_OK && again) {
            dm_committer_abandon(in->committer);
            status = catch_up(in, err);
        }
        clear_attempt(in);
    }
    return status;
}

/* All jobs that are dry runs, or all that are not. */
static enum dm_status pass(struct dm_mirror *m, struct dm_intake_job *jobs, size_t n, bool dry_run,
                           dm_intake_progress told, void *ctx, struct dm_error *err)
{
    struct intake in = {.m = m, .jobs = jobs, .n = n, .dry_run = dry_run, .told = told, .told_ctx = ctx};
    in.out = dm_xzalloc(n, sizeof *in.out);
    in.applied = dm_xzalloc(n, sizeof *in.applied);
    in.targets = dm_xzalloc(n, sizeof(struct dm_intake_target *));
    in.distinct = dm_xzalloc(n, sizeof *in.distinct);
    in.inputs = dm_xzalloc(n, sizeof *in.inputs);
    bool any = false;
    for (size_t i = 0; i < n; i++) {
        in.out[i] = jobs[i].dry_run != dry_run;
        any |= !in.out[i];
    }
    struct dm_committer_options options = {.mirror = m, .extra = put_receipts, .extra_ctx = &in};
    in.committer = dm_committer_new(&options);
    enum dm_status status = any ? run(&in, err) : DM_OK;
    dm_committer_free(in.committer);
    free(in.out);
    free(in.applied);
    free(in.targets);
    free(in.distinct);
    free(in.inputs);
    return status;
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

enum dm_status dm_intake(struct dm_mirror *m, struct dm_intake_job *jobs, size_t n, dm_intake_progress told,
                         void *ctx, struct dm_error *err)
{
    for (size_t i = 0; i < n; i++) {
        jobs[i].error = (struct dm_error){0};
        jobs[i].counts = (struct dm_intake_counts){0};
        jobs[i].repeated = false;
        jobs[i].unknown_dataset = false;
    }
    enum dm_status status = pass(m, jobs, n, false, told, ctx, err);
    if (status == DM_OK)
        release_children(m, jobs, n);
    return status == DM_OK ? pass(m, jobs, n, true, told, ctx, err) : status;
}
