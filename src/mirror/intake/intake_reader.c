#include "mirror/intake/intake_reader.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/thread.h"
#include "engine/change_reader.h"
#include "lake/lake_query.h"

enum {
    parts_waiting = 1,
    rows_at_once = 65536,
    bytes_at_once = 8 << 20,
    bad_rows_per_part = 4096,
    unit_rows_most = 1 << 20,
};

struct dm_intake_reader {
    struct dm_mirror *m;
    const struct dm_intake_input *inputs;
    size_t n;
    struct dm_intake_reader_options options;
    size_t part_bytes;
    struct dm_queue queue;
    struct dm_thread thread;
    atomic_uint_fast64_t rows, done, total;
    /* the reading thread's own */
    int64_t started_us;
    uint64_t bytes;                 /* of rows, of all inputs */
    struct dm_intake_part gathered; /* what is to be handed over next */
};

/* What one job needs while it is read. */
struct reading {
    struct dm_intake_reader *r;
    const struct dm_intake_input *input;
    struct dm_lake *lake; /* of a query */
    struct dm_sql *sql;
    struct dm_change_reader *changes;
    struct dm_unit *unit;
    uint64_t file_bytes;  /* 0: it is no file */
    uint64_t done_before; /* progress of the inputs before */
    uint64_t rows;
    uint64_t row_bytes; /* a few kilobytes of Parquet can hold millions of rows */
    uint64_t bad;
};

void dm_intake_part_release(struct dm_intake_part *part)
{
    dm_unit_free(part->unit);
    for (size_t i = 0; i < part->n_ends; i++) {
        for (size_t k = 0; k < part->ends[i].n_notes; k++)
            free(part->ends[i].notes[k]);
        free(part->ends[i].notes);
    }
    free(part->ends);
    free(part->jobs);
    *part = (struct dm_intake_part){0};
}

/* ---- opening ---- */

/* A query looks at the lake through a handle of its own: what the mirror's own handle gives out is only good until the next commit. */
static enum dm_status open_query(struct reading *g, const struct dm_change_options *reading,
                                 struct dm_error *err)
{
    const struct dm_config *config = g->r->m->config;
    struct dm_lake_options options = {
        .folder = config->lake, .catalog_name = config->catalog_name, .read_only = true};
    enum dm_status status = dm_lake_open(&options, &g->lake, err);
    if (status == DM_OK)
        status = dm_lake_query_open(g->lake, g->r->m->engine, NULL, NULL, &g->sql, err);
    if (status == DM_OK)
        status = dm_change_reader_query(g->sql, g->input->what->query, g->input->schema, reading, &g->changes,
                                        err);
    return status;
}

static enum dm_status open_input(struct reading *g, struct dm_error *err)
{
    struct dm_change_options options = g->input->options;
    if (options.max_row_bytes == 0)
        options.max_row_bytes = g->r->m->config->max_row_bytes;
    if (g->input->what->path == NULL)
        return open_query(g, &options, err);
    return dm_change_reader_open(g->r->m->engine, g->input->what->path, g->input->schema, &options,
                                 &g->changes, err);
}

static void close_input(struct reading *g)
{
    if (g->changes != NULL)
        dm_change_reader_close(g->changes);
    if (g->sql != NULL)
        dm_sql_close(g->sql);
    if (g->lake != NULL)
        dm_lake_close(g->lake);
    dm_unit_free(g->unit);
}

/* ---- parts ---- */

static void new_unit(struct reading *g)
{
    g->unit = dm_unit_new();
    g->unit->txns = dm_xzalloc(1, sizeof *g->unit->txns);
    g->unit->n_txns = 1;
    g->unit->txns[0] = (struct dm_txn){
        .commit_time_us = dm_clock_wall_us(), .origin = g->input->what->origin, .counts = g->input->counts};
    g->unit->source = g->input->what->source;
    g->unit->unread.folder = g->r->m->config->lake;
    struct dm_step *step = dm_unit_add(g->unit, DM_STEP_ROWS, g->input->target);
    step->batch = dm_batch_new(g->input->schema);
}

/* Hands over what has gathered. DM_END: nobody wants it any more. */
static enum dm_status flush(struct dm_intake_reader *r)
{
    if (r->gathered.unit == NULL && r->gathered.n_ends == 0)
        return DM_OK;
    if (r->gathered.unit != NULL)
        r->gathered.unit->rows = r->gathered.unit->steps[0].batch->rows;
    struct dm_intake_part *item = dm_xalloc(sizeof *item);
    *item = r->gathered;
    r->gathered = (struct dm_intake_part){0};
    if (dm_queue_push(&r->queue, item) == DM_OK)
        return DM_OK;
    dm_intake_part_release(item);
    free(item);
    return DM_END;
}

static void add_job(struct dm_intake_part *part, size_t job)
{
    part->jobs = dm_xrealloc(part->jobs, part->n_jobs + 1, sizeof *part->jobs);
    part->jobs[part->n_jobs++] = job;
}

static bool fits(const struct dm_intake_reader *r, const struct dm_unit *u)
{
    const struct dm_unit *there = r->gathered.unit;
    const struct dm_batch *a = there->steps[0].batch, *b = u->steps[0].batch;
    return !r->options.apart && there->steps[0].target == u->steps[0].target &&
           dm_batch_bytes(a) + dm_batch_bytes(b) < r->part_bytes && a->rows + b->rows < unit_rows_most &&
           there->unread.n + u->unread.n < bad_rows_per_part;
}

static enum dm_status move_unread(void *ctx, struct dm_target *target, const struct dm_txn *txn,
                                  const struct dm_bad_row *row, struct dm_error *err)
{
    struct dm_unit *to = ctx;
    return dm_bad_rows_add(&to->unread, target, txn, row, err);
}

/* The unit's rows behind those that have gathered, as another transaction. */
static enum dm_status join(struct dm_intake_reader *r, struct dm_unit *u, struct dm_error *err)
{
    struct dm_unit *to = r->gathered.unit;
    struct dm_batch *batch = to->steps[0].batch;
    size_t first = batch->rows;
    if (dm_batch_append_rows(batch, u->steps[0].batch, 0, u->steps[0].batch->rows, err) != DM_OK ||
        dm_bad_rows_each(&u->unread, move_unread, to, err) != DM_OK)
        return DM_FAIL;
    for (size_t i = first; i < batch->rows; i++)
        batch->txns[i] = (uint32_t)to->n_txns;
    to->txns = dm_xrealloc(to->txns, to->n_txns + 1, sizeof *to->txns);
    to->txns[to->n_txns++] = u->txns[0];
    return DM_OK;
}

/* What was read so far of the input joins what gathers. DM_END: nobody wants it any more. */
static enum dm_status gather(struct reading *g, struct dm_error *err)
{
    struct dm_intake_reader *r = g->r;
    struct dm_unit *u = g->unit;
    g->unit = NULL;
    enum dm_status status = DM_OK;
    if (u->steps[0].batch->rows == 0 && u->unread.n == 0) {
        dm_unit_free(u);
        return DM_OK;
    }
    r->bytes += dm_batch_bytes(u->steps[0].batch);
    if (r->gathered.unit != NULL && !fits(r, u))
        status = flush(r);
    if (status == DM_OK)
        add_job(&r->gathered, g->input->job);
    if (status == DM_OK && r->gathered.unit == NULL) {
        r->gathered.unit = u;
        return DM_OK;
    }
    if (status == DM_OK)
        status = join(r, u, err);
    dm_unit_free(u);
    return status;
}

/* Called for each bad row, too: then the change reader puts its input's name in front, if that is not there (call_by_origin makes it the origin). */
static enum dm_status over_limit(const struct reading *g, struct dm_error *err)
{
    const struct dm_intake_input *in = g->input;
    const char *name = in->what->path != NULL ? in->what->path : in->what->origin;
    if (in->options.max_unpacked_bytes > 0 && g->row_bytes > in->options.max_unpacked_bytes)
        return dm_fail(err, DM_ERROR_DATA, "send it in pieces, or raise http_max_unpacked",
                       "%s: its rows have more than %llu bytes", name,
                       (unsigned long long)in->options.max_unpacked_bytes);
    if (in->max_bad > 0 && g->bad > in->max_bad)
        return dm_fail(err, DM_ERROR_DATA, in->max_bad_hint,
                       "%s: more than %llu rows cannot be used (max_quarantined)", name,
                       (unsigned long long)in->max_bad);
    return DM_OK;
}

static enum dm_status keep_bad(void *ctx, uint64_t line, const struct dm_bad_row *row, struct dm_error *err)
{
    struct reading *g = ctx;
    struct dm_bad_row placed = *row;
    char *place = line > 0 ? dm_xasprintf("%s:%llu", g->input->what->origin, (unsigned long long)line)
                           : dm_xstrdup(g->input->what->origin);
    placed.place = place;
    enum dm_status status = dm_bad_rows_add(&g->unit->unread, g->input->target, g->unit->txns, &placed, err);
    free(place);
    g->bad++;
    return status == DM_OK ? over_limit(g, err) : status;
}

static void tell(struct reading *g)
{
    uint64_t done = 0, total = 0;
    dm_change_reader_progress(g->changes, &done, &total);
    if (g->file_bytes > 0) /* formats may count other things than bytes */
        done = total > 0 ? (uint64_t)((double)done / (double)total * (double)g->file_bytes) : 0;
    else if (g->r->n == 1)
        g->r->total = total;
    g->r->done = g->done_before + done;
}

/* Fills units and hands on the full ones; the last stays in g->unit. */
static enum dm_status read_all(struct reading *g, struct dm_error *err)
{
    new_unit(g);
    for (;;) {
        struct dm_batch *batch = g->unit->steps[0].batch;
        size_t before = batch->rows, bytes_before = dm_batch_bytes(batch);
        enum dm_status status =
            dm_change_reader_next(g->changes, batch, rows_at_once, bytes_at_once, keep_bad, g, err);
        if (status == DM_FAIL)
            return status;
        g->rows += batch->rows - before;
        g->r->rows += batch->rows - before;
        g->row_bytes += dm_batch_bytes(batch) - bytes_before;
        tell(g);
        if (over_limit(g, err) != DM_OK)
            return DM_FAIL;
        if (status == DM_END)
            return DM_OK;
        if (dm_batch_bytes(batch) < g->r->part_bytes && batch->rows < unit_rows_most &&
            g->unit->unread.n < bad_rows_per_part)
            continue;
        status = gather(g, err);
        if (status == DM_OK)
            status = flush(g->r);
        if (status != DM_OK)
            return status;
        new_unit(g);
    }
}

static enum dm_status check_share(const struct reading *g, struct dm_error *err)
{
    double share = g->input->max_bad_share;
    uint64_t all = g->rows + g->bad;
    if (share <= 0 || (double)g->bad <= share * (double)all)
        return DM_OK;
    return dm_fail(err, DM_ERROR_DATA, DM_INTAKE_RAISE_OF_SCHEMA,
                   "%s: %llu of %llu rows cannot be used, more than %g %% (max_quarantined)",
                   g->input->what->origin, (unsigned long long)g->bad, (unsigned long long)all, share * 100);
}

static void copy_notes(const struct reading *g, struct dm_intake_end *end)
{
    if (g->changes == NULL)
        return;
    const char *const *notes = dm_change_reader_notes(g->changes, &end->n_notes);
    end->notes = dm_xzalloc(end->n_notes + 1, sizeof *end->notes);
    for (size_t i = 0; i < end->n_notes; i++)
        end->notes[i] = dm_xstrdup(notes[i]);
}

/* Of `text`, at most `size` bytes: `what` becomes `with`. */
static void replace_all(char *text, size_t size, const char *what, const char *with)
{
    char *old = dm_xstrdup(text);
    size_t n = 0, len = strlen(what);
    for (const char *at = old; *at != '\0' && n + 1 < size;) {
        bool found = strncmp(at, what, len) == 0;
        int put = found ? snprintf(text + n, size - n, "%s", with) : snprintf(text + n, size - n, "%c", *at);
        n += put > 0 ? (size_t)put : 0;
        at += found ? len : 1;
    }
    free(old);
}

/* People know their input by its name, not by the file that it was spooled to. */
static void call_by_origin(const struct dm_intake_job *job, struct dm_error *err)
{
    if (job->path == NULL || job->path[0] == '\0')
        return;
    replace_all(err->message, sizeof err->message, job->path, job->origin);
    replace_all(err->hint, sizeof err->hint, job->path, job->origin);
}

static void add_end(struct dm_intake_part *part, const struct dm_intake_end *end)
{
    part->ends = dm_xrealloc(part->ends, part->n_ends + 1, sizeof *part->ends);
    part->ends[part->n_ends++] = *end;
}

/* Nothing may be begun behind it. */
static bool is_last(const struct dm_intake_reader *r, const struct dm_intake_input *input,
                    const struct dm_intake_end *end)
{
    if (end->status != DM_OK && (input->what->halts || !dm_intake_own_failure(&end->error)))
        return true;
    return (r->options.close_age_us > 0 &&
            dm_clock_monotonic_us() - r->started_us >= r->options.close_age_us) ||
           (r->options.close_bytes > 0 && r->bytes >= r->options.close_bytes);
}

/* DM_END: reading is over. */
static enum dm_status read_job(struct dm_intake_reader *r, const struct dm_intake_input *input)
{
    struct reading g = {.r = r, .input = input, .done_before = r->done};
    struct dm_intake_end end = {.job = input->job};
    struct dm_error ignored = {0};
    if (input->what->path != NULL && dm_file_size(input->what->path, &g.file_bytes, &ignored) != DM_OK)
        g.file_bytes = 0;
    end.status = open_input(&g, &end.error);
    if (end.status == DM_OK)
        end.status = read_all(&g, &end.error);
    if (end.status == DM_OK)
        end.status = check_share(&g, &end.error);
    if (end.status == DM_OK)
        end.status = gather(&g, &end.error);
    if (end.status == DM_FAIL)
        call_by_origin(input->what, &end.error);
    enum dm_status status = DM_END;
    if (end.status != DM_END) {
        copy_notes(&g, &end);
        add_end(&r->gathered, &end);
        status = is_last(r, input, &end) ? DM_END : DM_OK;
    }
    close_input(&g);
    r->done = g.done_before + g.file_bytes;
    return status;
}

static enum dm_status read_jobs(void *ctx, struct dm_error *err)
{
    struct dm_intake_reader *r = ctx;
    (void)err;
    r->started_us = dm_clock_monotonic_us();
    enum dm_status status = DM_OK;
    for (size_t i = 0; i < r->n && status == DM_OK; i++) {
        status = read_job(r, &r->inputs[i]);
        if (status == DM_OK && r->options.apart)
            status = flush(r);
    }
    if (flush(r) != DM_OK)
        dm_intake_part_release(&r->gathered); /* the caller has gone */
    dm_queue_close(&r->queue);
    return DM_OK;
}

/* ---- the caller's side ---- */

enum dm_status dm_intake_reader_start(struct dm_mirror *m, const struct dm_intake_input *inputs, size_t n,
                                      const struct dm_intake_reader_options *options,
                                      struct dm_intake_reader **out, struct dm_error *err)
{
    struct dm_intake_reader *r = dm_xzalloc(1, sizeof *r);
    r->m = m;
    r->inputs = inputs;
    r->n = n;
    r->options = *options;
    r->part_bytes = m->config->commit_bytes / 2; /* one is filled, one waits, one is applied */
    dm_queue_init(&r->queue, parts_waiting);
    if (dm_thread_start(&r->thread, "intake", read_jobs, r, err) != DM_OK) {
        dm_intake_reader_stop(r);
        return DM_FAIL;
    }
    *out = r;
    return DM_OK;
}

enum dm_status dm_intake_reader_next(struct dm_intake_reader *r, struct dm_intake_part *part,
                                     int64_t timeout_ms)
{
    void *item = NULL;
    enum dm_status status = dm_queue_pop(&r->queue, &item, timeout_ms);
    if (status != DM_OK)
        return status;
    *part = *(struct dm_intake_part *)item;
    free(item);
    return DM_OK;
}

void dm_intake_reader_progress(const struct dm_intake_reader *r, uint64_t *rows, uint64_t *done,
                               uint64_t *total)
{
    *rows = r->rows;
    *done = r->done;
    *total = r->total;
}

static void drop_part(void *item)
{
    dm_intake_part_release(item);
    free(item);
}

void dm_intake_reader_stop(struct dm_intake_reader *r)
{
    if (r == NULL)
        return;
    dm_queue_close(&r->queue);
    struct dm_error ignored = {0};
    if (dm_thread_join(&r->thread, &ignored) != DM_OK)
        r->n = 0; /* it never fails: each input's end carries its own error */
    dm_queue_release(&r->queue, drop_part);
    free(r);
}
