#include "mirror/capture/copy_job.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/thread.h"
#include "mirror/commit/day_groups.h"
#include "mirror/dataset_match.h"
#include "mirror/hygiene/suppression.h"

enum { batch_rows = 16384, batch_bytes = 4 << 20 };

enum table_status { TABLE_RUNNING, TABLE_READY, TABLE_TAKEN };

/* One table of the job. */
struct job_table {
    struct dm_copy_want want;
    struct dm_table *table; /* as the snapshot sees it; NULL: not there any more */
    struct dm_copied_table *copied;
    struct dm_suppressed *suppressed; /* keys whose rows are left out; NULL: none */
    size_t parts;
    size_t parts_left;
    enum table_status status;
    struct dm_error error; /* class set: this table failed */
};

struct job_task {
    size_t table;
    size_t part;
};

struct dm_copy_job {
    struct dm_mirror *mirror;
    const struct dm_source_config *config;
    const struct dm_source_type *type;
    struct dm_source *source;
    struct dm_copy *copy;
    struct dm_source_waiter waiter;
    struct dm_thread thread;
    atomic_bool cancelled;
    atomic_ullong rows;
    atomic_ullong expected;
    pthread_mutex_t mutex; /* everything below */
    size_t n_tables;
    struct job_table *tables;
    size_t n_tasks;
    struct job_task *tasks;
    size_t next_task;
    struct dm_error error; /* class set: the whole job failed */
    char *waits_for;       /* at the source; NULL: for nothing */
};

/* ---- one part ---- */

struct part_reader {
    struct dm_copy_job *job;
    struct job_table *jt;
    struct dm_copy_reader *reader;
    struct dm_batch *batch;
    uint32_t *selection; /* of the batch: the rows that are not suppressed */
    size_t selection_room;
    uint64_t left_out;
    bool ended;
};

static enum dm_status keep_bad_row(void *ctx, const struct dm_bad_row *row, struct dm_error *err)
{
    struct part_reader *p = ctx;
    (void)err;
    (void)pthread_mutex_lock(&p->job->mutex);
    dm_kept_rows_add(&p->jt->copied->bad, &p->jt->copied->n_bad, p->jt->want.target, 0, row);
    (void)pthread_mutex_unlock(&p->job->mutex);
    return DM_OK;
}

static enum dm_status leave_out(struct part_reader *p, const uint32_t **selection, size_t *n,
                                struct dm_error *err)
{
    if (p->selection_room < p->batch->rows) {
        p->selection_room = p->batch->rows;
        p->selection = dm_xrealloc(p->selection, p->selection_room, sizeof *p->selection);
    }
    *selection = p->selection;
    return dm_suppress_select(p->jt->suppressed, p->batch, p->selection, n, &p->left_out, err);
}

static enum dm_status pull(void *ctx, const struct dm_batch **batch, const uint32_t **selection, size_t *n,
                           struct dm_error *err)
{
    struct part_reader *p = ctx;
    *batch = p->batch;
    *selection = NULL;
    *n = 0;
    if (p->ended)
        return DM_END;
    if (p->job->cancelled)
        return dm_fail(err, DM_ERROR_TRANSIENT, NULL, "the copy was stopped");
    dm_batch_clear(p->batch);
    enum dm_status status =
        p->job->type->copy_next(p->reader, p->batch, batch_rows, batch_bytes, keep_bad_row, p, err);
    if (status == DM_FAIL)
        return status;
    p->ended = status == DM_END;
    atomic_fetch_add(&p->job->rows, p->batch->rows);
    *n = p->batch->rows;
    if (p->jt->suppressed != NULL && leave_out(p, selection, n, err) != DM_OK)
        return DM_FAIL;
    return p->ended && p->batch->rows == 0 ? DM_END : DM_OK;
}

static char *new_path(const struct dm_copy_job *job)
{
    static atomic_uint
        last_number; /* never used twice in this process: an earlier job may still be cleaning up */
    unsigned number = atomic_fetch_add(&last_number, 1) + 1;
    return dm_xasprintf("%s/.copy/%s-%u.parquet", job->mirror->config->lake, job->config->name, number);
}

/* Takes both. */
static void add_file(struct part_reader *p, char *take_path, const struct dm_parquet_result *take_result)
{
    struct dm_copied_table *c = p->jt->copied;
    (void)pthread_mutex_lock(&p->job->mutex);
    c->files = dm_xrealloc(c->files, c->n_files + 1, sizeof *c->files);
    c->files[c->n_files++] = (struct dm_copied_file){.path = take_path, .result = *take_result};
    c->rows += take_result->rows;
    (void)pthread_mutex_unlock(&p->job->mutex);
}

/* Rows of one day. */
static enum dm_status write_day(struct part_reader *p, const struct dm_batch *batch, const uint32_t *rows,
                                size_t n, struct dm_error *err)
{
    struct dm_parquet_options options = {.compression = p->job->mirror->config->compression};
    struct dm_parquet_result result = {0};
    char *path = new_path(p->job);
    enum dm_status status = dm_parquet_write_batch(p->job->mirror->engine, path, batch->schema, &options,
                                                   batch, rows, n, &result, err);
    if (status == DM_OK)
        add_file(p, path, &result);
    else
        free(path);
    return status;
}

/* A dataset that is divided: as many rows as fit at once, as one file for each of their days. */
static enum dm_status write_days(struct part_reader *p, bool *more, struct dm_error *err)
{
    struct dm_batch *all = dm_batch_new(p->jt->copied->schema);
    uint64_t most = dm_mirror_portion(p->job->mirror, 1);
    enum dm_status status = DM_OK;
    while (status == DM_OK && dm_batch_bytes(all) < most) {
        const struct dm_batch *batch;
        const uint32_t *chosen;
        size_t n;
        status = pull(p, &batch, &chosen, &n, err);
        for (size_t i = 0; i < n && status == DM_OK; i++)
            status = dm_batch_append_row(all, batch, chosen != NULL ? chosen[i] : i, err);
    }
    *more = status == DM_OK;
    if (status == DM_END)
        status = DM_OK;
    uint32_t *rows = dm_xalloc((all->rows + 1) * sizeof *rows);
    for (uint32_t i = 0; i < all->rows; i++)
        rows[i] = i;
    int column = dm_schema_find_id(all->schema, p->jt->copied->day_field);
    struct dm_day_groups g;
    dm_day_groups_init(&g, &all->columns[column], rows, all->rows);
    for (size_t from = 0, end; from < g.n && status == DM_OK; from = end) {
        end = dm_day_groups_end(&g, from);
        status = write_day(p, all, g.rows + from, end - from, err);
    }
    dm_day_groups_release(&g);
    free(rows);
    dm_batch_free(all);
    return status;
}

static enum dm_status write_part_file(struct part_reader *p, bool *more, struct dm_error *err)
{
    struct dm_copy_job *job = p->job;
    if (p->jt->copied->day_field != 0)
        return write_days(p, more, err);
    char *path = new_path(job);
    struct dm_parquet_options options = {.compression = job->mirror->config->compression,
                                         .max_bytes = job->mirror->config->target_file_bytes * 4};
    struct dm_parquet_result result = {0};
    enum dm_status status = dm_parquet_write(job->mirror->engine, path, p->jt->copied->schema, &options, pull,
                                             p, &result, more, err);
    if (status != DM_OK || result.rows == 0) {
        dm_parquet_result_release(&result);
        free(path);
        return status;
    }
    add_file(p, path, &result);
    return DM_OK;
}

static enum dm_status copy_part(struct dm_copy_job *job, struct job_table *jt, size_t part,
                                struct dm_error *err)
{
    struct part_reader p = {.job = job, .jt = jt};
    enum dm_status status = job->type->copy_read(job->copy, jt->table, part, jt->parts, &p.reader, err);
    if (status != DM_OK)
        return status;
    p.batch = dm_batch_new(jt->copied->schema);
    bool more = true;
    while (more && status == DM_OK)
        status = write_part_file(&p, &more, err);
    (void)pthread_mutex_lock(&job->mutex);
    jt->copied->suppressed += p.left_out;
    (void)pthread_mutex_unlock(&job->mutex);
    free(p.selection);
    dm_batch_free(p.batch);
    job->type->copy_reader_close(p.reader);
    return status;
}

/* ---- workers ---- */

static bool next_task(struct dm_copy_job *job, struct job_task *task)
{
    (void)pthread_mutex_lock(&job->mutex);
    bool some = job->next_task < job->n_tasks && !job->cancelled && job->error.class == DM_ERROR_NONE;
    if (some)
        *task = job->tasks[job->next_task++];
    (void)pthread_mutex_unlock(&job->mutex);
    return some;
}

/* DATA: it cannot be copied; CONFLICT: it is not what the snapshot saw any more (source.h). All else is the whole job's. */
static bool of_the_table(const struct dm_error *error)
{
    return error->class == DM_ERROR_DATA || error->class == DM_ERROR_CONFLICT;
}

static void task_done(struct dm_copy_job *job, struct job_table *jt, enum dm_status status,
                      const struct dm_error *error)
{
    (void)pthread_mutex_lock(&job->mutex);
    if (status == DM_FAIL && !of_the_table(error) && job->error.class == DM_ERROR_NONE)
        job->error = *error;
    else if (status == DM_FAIL && jt->error.class == DM_ERROR_NONE)
        jt->error = *error;
    if (--jt->parts_left == 0)
        jt->status = TABLE_READY;
    (void)pthread_mutex_unlock(&job->mutex);
}

static enum dm_status work(void *ctx, struct dm_error *unused)
{
    struct dm_copy_job *job = ctx;
    (void)unused; /* failures are kept per table */
    struct job_task task;
    while (next_task(job, &task)) {
        struct dm_error err = {0};
        struct job_table *jt = &job->tables[task.table];
        enum dm_status status = copy_part(job, jt, task.part, &err);
        task_done(job, jt, status, &err);
    }
    return DM_OK;
}

static void run_workers(struct dm_copy_job *job)
{
    size_t workers = job->config->copy_workers > 0 ? (size_t)job->config->copy_workers : 1;
    if (workers > job->n_tasks)
        workers = job->n_tasks;
    struct dm_thread *threads = dm_xzalloc(workers, sizeof *threads);
    struct dm_error ignored;
    for (size_t i = 1; i < workers; i++) /* with fewer threads the others do more */
        if (dm_thread_start(&threads[i], "copy", work, job, &ignored) != DM_OK)
            break;
    enum dm_status status = work(job, &ignored);
    for (size_t i = 1; i < workers; i++)
        status = dm_thread_join(&threads[i], &ignored);
    (void)status; /* always OK: failures are kept per table */
    free(threads);
}

/* ---- the plan ---- */

/* A column that cannot be widened into its new type becomes a new field: the old one is left out of what is evolved from. */
static struct dm_schema *without_incompatible(const struct dm_schema *current, const struct dm_schema *wanted)
{
    struct dm_schema *kept = dm_schema_new();
    for (size_t i = 0; i < current->n_fields; i++) {
        const struct dm_field *f = &current->fields[i];
        bool fits = true;
        for (size_t k = 0; k < wanted->n_fields; k++) {
            const struct dm_field *w = &wanted->fields[k];
            bool same = f->source_ref != 0 ? w->source_ref == f->source_ref : strcmp(w->name, f->name) == 0;
            if (same && !dm_type_widens(f->type, w->type))
                fits = false;
        }
        if (!fits)
            continue;
        dm_field_drop_default(dm_schema_add_copy(kept, f));
    }
    return kept;
}

static enum dm_status plan_table(struct dm_copy_job *job, struct job_table *jt,
                                 const struct dm_table_list *list, dm_position at, struct dm_error *err)
{
    const struct dm_table *table = dm_dataset_table(&jt->want.target->state, list);
    if (table == NULL)
        return dm_fail(err, DM_ERROR_CONFLICT, NULL, "the table is not there any more");
    if (table->problem != NULL)
        return dm_fail(err, DM_ERROR_DATA, table->hint, "%s", table->problem);
    jt->table = dm_table_copy(table);
    for (size_t i = 0; i < jt->table->columns->n_fields; i++) /* copied rows hold the values */
        dm_field_drop_default(&jt->table->columns->fields[i]);
    struct dm_copied_table *c = dm_xzalloc(1, sizeof *c);
    jt->copied = c;
    jt->suppressed = dm_suppression_of(job->mirror->suppression, jt->want.target->state.id);
    c->suppression = dm_suppressed_generation(jt->suppressed);
    c->at = at;
    c->last_column_id = jt->want.last_column_id;
    struct dm_schema *base =
        jt->want.current != NULL ? without_incompatible(jt->want.current, jt->table->columns) : NULL;
    struct dm_schema *schema = NULL;
    enum dm_status status = dm_schema_evolve(base, jt->table->columns, &c->last_column_id, &schema, err);
    dm_schema_unref(base);
    c->schema = schema;
    if (status != DM_OK)
        return status;
    jt->suppressed = dm_suppressed_under(jt->suppressed, jt->want.current, schema);
    if (jt->table->timestamp != NULL)
        c->day_field = schema->fields[dm_schema_find(schema, jt->table->timestamp)].id;
    size_t workers = job->config->copy_workers > 0 ? (size_t)job->config->copy_workers : 1;
    status = job->type->copy_parts(job->copy, jt->table, workers, &jt->parts, err);
    if (status == DM_OK && jt->parts == 0)
        jt->parts = 1;
    return status;
}

static void add_tasks(struct dm_copy_job *job, size_t table)
{
    struct job_table *jt = &job->tables[table];
    jt->parts_left = jt->parts;
    atomic_fetch_add(&job->expected, jt->table->estimated_rows);
    job->tasks = dm_xrealloc(job->tasks, job->n_tasks + jt->parts, sizeof *job->tasks);
    for (size_t p = 0; p < jt->parts; p++)
        job->tasks[job->n_tasks++] = (struct job_task){.table = table, .part = p};
}

static enum dm_status plan(struct dm_copy_job *job, struct dm_error *err)
{
    dm_position at = 0;
    struct dm_table_list list = {0};
    enum dm_status status = job->type->open(job->config, &job->source, err);
    if (status == DM_OK && job->type->set_waiter != NULL)
        job->type->set_waiter(job->source, &job->waiter);
    if (status == DM_OK)
        status = job->type->copy_open(job->source, &job->copy, &at, err);
    if (status == DM_OK)
        status = job->type->copy_tables(job->copy, &list, err);
    (void)pthread_mutex_lock(&job->mutex);
    for (size_t i = 0; i < job->n_tables && status == DM_OK; i++) {
        struct job_table *jt = &job->tables[i];
        struct dm_error why = {0};
        if (plan_table(job, jt, &list, at, &why) == DM_OK) {
            add_tasks(job, i);
        } else if (of_the_table(&why)) {
            jt->error = why;
            jt->status = TABLE_READY;
        } else {
            *err = why;
            status = DM_FAIL;
        }
    }
    (void)pthread_mutex_unlock(&job->mutex);
    dm_table_list_release(&list);
    return status;
}

static enum dm_status run(void *ctx, struct dm_error *err)
{
    struct dm_copy_job *job = ctx;
    enum dm_status status = plan(job, err);
    if (status == DM_OK && job->n_tasks > 0)
        run_workers(job);
    if (job->copy != NULL)
        job->type->copy_close(job->copy);
    if (job->source != NULL)
        job->type->close(job->source);
    (void)pthread_mutex_lock(&job->mutex);
    if (status == DM_FAIL && job->error.class == DM_ERROR_NONE)
        job->error = *err;
    (void)pthread_mutex_unlock(&job->mutex);
    return status;
}

/* ---- the interface ---- */

static bool is_cancelled(void *ctx)
{
    const struct dm_copy_job *job = ctx;
    return job->cancelled;
}

static void keep_waiting(void *ctx, const char *for_what)
{
    struct dm_copy_job *job = ctx;
    (void)pthread_mutex_lock(&job->mutex);
    free(job->waits_for);
    job->waits_for = dm_xstrdup(for_what);
    (void)pthread_mutex_unlock(&job->mutex);
}

char *dm_copy_job_waits_for(struct dm_copy_job *job)
{
    (void)pthread_mutex_lock(&job->mutex);
    char *text = dm_xstrdup(job->waits_for);
    (void)pthread_mutex_unlock(&job->mutex);
    return text;
}

enum dm_status dm_copy_job_start(struct dm_mirror *mirror, const struct dm_source_config *config,
                                 struct dm_copy_want *wants, size_t n, struct dm_copy_job **out,
                                 struct dm_error *err)
{
    struct dm_copy_job *job = dm_xzalloc(1, sizeof *job);
    job->mirror = mirror;
    job->config = config;
    job->type = dm_source_type_find(config->type);
    job->waiter = (struct dm_source_waiter){.ctx = job, .stopping = is_cancelled, .waiting = keep_waiting};
    (void)pthread_mutex_init(&job->mutex, NULL);
    job->n_tables = n;
    job->tables = dm_xzalloc(n, sizeof *job->tables);
    for (size_t i = 0; i < n; i++)
        job->tables[i].want = wants[i];
    char *folder = dm_xasprintf("%s/.copy", mirror->config->lake);
    enum dm_status status = dm_file_make_folders(folder, err);
    free(folder);
    if (status == DM_OK)
        status = dm_thread_start(&job->thread, "copy", run, job, err);
    if (status != DM_OK) {
        dm_copy_job_free(job);
        return status;
    }
    *out = job;
    return DM_OK;
}

enum dm_status dm_copy_job_take(struct dm_copy_job *job, struct dm_target **target,
                                struct dm_copied_table **copied, struct dm_table **table,
                                struct dm_error *err)
{
    enum dm_status status = DM_END;
    (void)pthread_mutex_lock(&job->mutex);
    if (job->error.class != DM_ERROR_NONE) {
        *err = job->error;
        status = DM_FAIL;
    }
    for (size_t i = 0; i < job->n_tables && status != DM_FAIL; i++) {
        struct job_table *jt = &job->tables[i];
        if (jt->status == TABLE_TAKEN)
            continue;
        if (jt->status == TABLE_RUNNING) {
            status = DM_TIMEOUT;
            continue;
        }
        jt->status = TABLE_TAKEN;
        *target = jt->want.target;
        *copied = NULL;
        *table = jt->table;
        jt->table = NULL;
        if (jt->error.class != DM_ERROR_NONE) {
            *err = jt->error;
        } else {
            *copied = jt->copied;
            jt->copied = NULL;
        }
        status = DM_OK;
        break;
    }
    (void)pthread_mutex_unlock(&job->mutex);
    return status;
}

void dm_copy_job_progress(struct dm_copy_job *job, uint64_t *rows, uint64_t *expected)
{
    *rows = atomic_load(&job->rows);
    *expected = atomic_load(&job->expected);
}

void dm_copy_job_free(struct dm_copy_job *job)
{
    if (job == NULL)
        return;
    job->cancelled = true;
    struct dm_error ignored; /* take has told it */
    if (dm_thread_join(&job->thread, &ignored) != DM_OK)
        job->n_tasks = 0;
    for (size_t i = 0; i < job->n_tables; i++) {
        dm_schema_unref(job->tables[i].want.current);
        dm_table_free(job->tables[i].table);
        dm_copied_table_free(job->tables[i].copied);
        dm_suppressed_unref(job->tables[i].suppressed);
    }
    free(job->tables);
    free(job->tasks);
    free(job->waits_for);
    (void)pthread_mutex_destroy(&job->mutex);
    free(job);
}
