#include "mirror/intake/intake_reader.h"

#include <stdlib.h>

#include "base/clock.h"
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
    size_t part_bytes;
    struct dm_queue queue;
    struct dm_thread thread;
    atomic_uint_fast64_t rows, done, total;
};

/* What one job needs while it is read. */
struct reading {
    struct dm_intake_reader *r;
    const struct dm_intake_input *input;
    struct dm_lake *lake; /* of a query */
    struct dm_sql *sql;
    struct dm_change_reader *changes;
    struct dm_unit *unit;
    uint64_t rows;
    uint64_t bad;
};

void dm_intake_part_release(struct dm_intake_part *part)
{
    dm_unit_free(part->unit);
    for (size_t i = 0; i < part->n_notes; i++)
        free(part->notes[i]);
    free(part->notes);
    *part = (struct dm_intake_part){0};
}

/* ---- opening ---- */

/* A query looks at the lake through a handle of its own: what the mirror's own handle gives out is only good until the next commit. */
static enum dm_status open_query(struct reading *g, struct dm_error *err)
{
    const struct dm_config *config = g->r->m->config;
    struct dm_lake_options options = {
        .folder = config->lake, .catalog_name = config->catalog_name, .read_only = true};
    enum dm_status status = dm_lake_open(&options, &g->lake, err);
    if (status == DM_OK)
        status = dm_lake_query_open(g->lake, g->r->m->engine, NULL, NULL, &g->sql, err);
    if (status == DM_OK)
        status = dm_change_reader_query(g->sql, g->input->what->query, g->input->schema, &g->input->options,
                                        &g->changes, err);
    return status;
}

static enum dm_status open_input(struct reading *g, struct dm_error *err)
{
    if (g->input->what->path == NULL)
        return open_query(g, err);
    return dm_change_reader_open(g->r->m->engine, g->input->what->path, g->input->schema, &g->input->options,
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
    g->unit->txns[0].commit_time_us = dm_clock_wall_us();
    g->unit->source = g->input->what->source;
    g->unit->origin = g->input->what->origin;
    g->unit->unread.folder = g->r->m->config->lake;
    struct dm_step *step = dm_unit_add(g->unit, DM_STEP_ROWS, g->input->target);
    step->batch = dm_batch_new(g->input->schema);
}

/* DM_END: nobody wants it any more. */
static enum dm_status push(struct dm_intake_reader *r, struct dm_intake_part *part)
{
    struct dm_intake_part *item = dm_xalloc(sizeof *item);
    *item = *part;
    if (dm_queue_push(&r->queue, item) == DM_OK)
        return DM_OK;
    dm_intake_part_release(item);
    free(item);
    return DM_END;
}

static enum dm_status push_unit(struct reading *g)
{
    struct dm_unit *u = g->unit;
    g->unit = NULL;
    u->rows = u->steps[0].batch->rows;
    if (u->rows == 0 && u->unread.n == 0) {
        dm_unit_free(u);
        return DM_OK;
    }
    struct dm_intake_part part = {.job = g->input->job, .unit = u};
    return push(g->r, &part);
}

static enum dm_status over_limit(const struct reading *g, struct dm_error *err)
{
    const struct dm_intake_input *in = g->input;
    if (in->max_bad > 0 && g->bad > in->max_bad)
        return dm_fail(err, DM_ERROR_DATA, "mend the input, or raise max_quarantined of the schema",
                       "%s: more than %llu rows cannot be used (max_quarantined)", in->what->origin,
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

static void tell(struct reading *g, uint64_t done_before)
{
    uint64_t done = 0, total = 0;
    dm_change_reader_progress(g->changes, &done, &total);
    g->r->done = done_before + done;
    g->r->total = total > 0 && g->r->n == 1 ? total : 0;
}

/* Fills units and hands on the full ones; the last stays in g->unit. */
static enum dm_status read_all(struct reading *g, struct dm_error *err)
{
    uint64_t done_before = g->r->done;
    new_unit(g);
    for (;;) {
        struct dm_batch *batch = g->unit->steps[0].batch;
        size_t before = batch->rows;
        enum dm_status status =
            dm_change_reader_next(g->changes, batch, rows_at_once, bytes_at_once, keep_bad, g, err);
        if (status == DM_FAIL)
            return status;
        g->rows += batch->rows - before;
        g->r->rows += batch->rows - before;
        tell(g, done_before);
        if (status == DM_END)
            return DM_OK;
        if (dm_batch_bytes(batch) < g->r->part_bytes && batch->rows < unit_rows_most &&
            g->unit->unread.n < bad_rows_per_part)
            continue;
        if (push_unit(g) != DM_OK)
            return DM_END;
        new_unit(g);
    }
}

static enum dm_status check_share(const struct reading *g, struct dm_error *err)
{
    double share = g->input->max_bad_share;
    uint64_t all = g->rows + g->bad;
    if (share <= 0 || (double)g->bad <= share * (double)all)
        return DM_OK;
    return dm_fail(err, DM_ERROR_DATA, "mend the input, or raise max_quarantined of the schema",
                   "%s: %llu of %llu rows cannot be used, more than %g %% (max_quarantined)",
                   g->input->what->origin, (unsigned long long)g->bad, (unsigned long long)all, share * 100);
}

static void copy_notes(const struct reading *g, struct dm_intake_part *part)
{
    if (g->changes == NULL)
        return;
    const char *const *notes = dm_change_reader_notes(g->changes, &part->n_notes);
    part->notes = dm_xzalloc(part->n_notes + 1, sizeof *part->notes);
    for (size_t i = 0; i < part->n_notes; i++)
        part->notes[i] = dm_xstrdup(notes[i]);
}

/* DM_END: the caller has gone. */
static enum dm_status read_job(struct dm_intake_reader *r, const struct dm_intake_input *input)
{
    struct reading g = {.r = r, .input = input};
    struct dm_intake_part end = {.job = input->job};
    end.status = open_input(&g, &end.error);
    if (end.status == DM_OK)
        end.status = read_all(&g, &end.error);
    if (end.status == DM_OK)
        end.status = check_share(&g, &end.error);
    if (end.status == DM_OK)
        end.status = push_unit(&g);
    end.bad = g.bad;
    enum dm_status status = DM_END;
    if (end.status != DM_END) {
        copy_notes(&g, &end);
        status = push(r, &end);
    }
    close_input(&g);
    return status;
}

static enum dm_status read_jobs(void *ctx, struct dm_error *err)
{
    struct dm_intake_reader *r = ctx;
    (void)err;
    enum dm_status status = DM_OK;
    for (size_t i = 0; i < r->n && status == DM_OK; i++)
        status = read_job(r, &r->inputs[i]);
    dm_queue_close(&r->queue);
    return DM_OK;
}

/* ---- the caller's side ---- */

enum dm_status dm_intake_reader_start(struct dm_mirror *m, const struct dm_intake_input *inputs, size_t n,
                                      struct dm_intake_reader **out, struct dm_error *err)
{
    struct dm_intake_reader *r = dm_xzalloc(1, sizeof *r);
    r->m = m;
    r->inputs = inputs;
    r->n = n;
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
        r->n = 0; /* it never fails: each job's end carries its own error */
    dm_queue_release(&r->queue, drop_part);
    free(r);
}
