#include "mirror/commit/file_writes.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/crash_point.h"
#include "base/memory.h"
#include "base/thread.h"
#include "mirror/commit/day_groups.h"

enum {
    most_writers = 4,
    least_bytes = 12 << 20,  /* in memory: a file that is split has pieces of at least this */
    bytes_at_once = 1 << 20, /* up to here a thread is not worth its while */
};

struct data_file {
    uint32_t number;
    char *path;
    size_t from, n; /* in `rows` */
    struct dm_parquet_result result;
};

struct dm_file_writes {
    struct dm_apply_context *a;
    const char *namespace, *name;
    const struct dm_batch *batch;
    struct dm_batch *own; /* the batch, once it was taken */
    uint32_t *rows;
    size_t n_files;
    struct data_file *files;
    atomic_size_t next; /* file that no thread has taken yet */
    size_t n_writers;
    struct dm_thread writers[most_writers];
};

static size_t cores(void)
{
    long n = sysconf(_SC_NPROCESSORS_ONLN);
    return n < 1 ? 1 : n < most_writers ? (size_t)n : (size_t)most_writers;
}

static size_t bytes_of(const struct dm_file_writes *w, size_t n)
{
    return (size_t)((double)dm_batch_bytes(w->batch) * (double)n / (double)w->batch->rows);
}

/* ---- what goes where ---- */

static enum dm_status add_file(struct dm_file_writes *w, size_t from, size_t n, struct dm_place *places,
                               struct dm_error *err)
{
    w->files = dm_xrealloc(w->files, w->n_files + 1, sizeof *w->files);
    struct data_file *f = &w->files[w->n_files++];
    *f = (struct data_file){.from = from, .n = n};
    if (dm_commit_new_file(w->a->commit, w->namespace, w->name, &f->number, &f->path, err) != DM_OK)
        return DM_FAIL;
    for (size_t i = 0; i < n && places != NULL; i++)
        places[w->rows[from + i]] = (struct dm_place){.file = f->number, .position = (uint32_t)i};
    return DM_OK;
}

/* rows[from … from + n) into one file, or into several that are large enough. */
static enum dm_status add_group(struct dm_file_writes *w, size_t from, size_t n, struct dm_place *places,
                                struct dm_error *err)
{
    size_t pieces = bytes_of(w, n) / least_bytes;
    pieces = pieces < 1 ? 1 : pieces < cores() ? pieces : cores();
    enum dm_status status = DM_OK;
    for (size_t i = 0; i < pieces && status == DM_OK; i++)
        status = add_file(w, from + n * i / pieces, n * (i + 1) / pieces - n * i / pieces, places, err);
    return status;
}

static enum dm_status add_groups(struct dm_file_writes *w, const uint32_t *rows, size_t n,
                                 struct dm_place *places, struct dm_error *err)
{
    int32_t field = dm_commit_day_field(w->a->commit, w->namespace, w->name);
    int column = field == 0 ? -1 : dm_schema_find_id(w->batch->schema, field);
    if (column < 0) {
        w->rows = dm_xalloc(n * sizeof *w->rows);
        memcpy(w->rows, rows, n * sizeof *w->rows);
        return add_group(w, 0, n, places, err);
    }
    struct dm_day_groups g;
    dm_day_groups_init(&g, &w->batch->columns[column], rows, n);
    w->rows = g.rows;
    enum dm_status status = DM_OK;
    for (size_t from = 0, end; from < n && status == DM_OK; from = end) {
        end = dm_day_groups_end(&g, from);
        status = add_group(w, from, end - from, places, err);
    }
    g.rows = NULL;
    dm_day_groups_release(&g);
    return status;
}

/* ---- writing ---- */

static enum dm_status write_files(void *ctx, struct dm_error *err)
{
    struct dm_file_writes *w = ctx;
    const struct dm_parquet_options options = dm_apply_parquet_options(w->a);
    for (size_t i; (i = atomic_fetch_add(&w->next, 1)) < w->n_files;) {
        struct data_file *f = &w->files[i];
        if (dm_parquet_write_batch(w->a->mirror->engine, f->path, w->batch->schema, &options, w->batch,
                                   w->rows + f->from, f->n, &f->result, err) != DM_OK) {
            atomic_store(&w->next, w->n_files); /* the others need not be begun */
            return DM_FAIL;
        }
    }
    return DM_OK;
}

static enum dm_status join(struct dm_file_writes *w, enum dm_status status, struct dm_error *err)
{
    for (size_t i = 0; i < w->n_writers; i++) {
        struct dm_error why = {0};
        if (dm_thread_join(&w->writers[i], &why) != DM_OK && status == DM_OK) {
            *err = why;
            status = DM_FAIL;
        }
    }
    w->n_writers = 0;
    return status;
}

static enum dm_status start(struct dm_file_writes *w, size_t n, struct dm_error *err)
{
    if (bytes_of(w, n) <= bytes_at_once)
        return write_files(w, err);
    size_t wanted = cores() < w->n_files ? cores() : w->n_files;
    enum dm_status status = DM_OK;
    for (size_t i = 0; i < wanted && status == DM_OK; i++) {
        status = dm_thread_start(&w->writers[i], "data file", write_files, w, err);
        w->n_writers += status == DM_OK;
    }
    if (status != DM_OK)
        atomic_store(&w->next, w->n_files);
    return status;
}

static void free_writes(struct dm_file_writes *w)
{
    for (size_t i = 0; i < w->n_files; i++) {
        dm_parquet_result_release(&w->files[i].result);
        free(w->files[i].path);
    }
    free(w->files);
    free(w->rows);
    dm_batch_free(w->own);
    free(w);
}

enum dm_status dm_file_writes_begin(struct dm_apply_context *a, const char *namespace, const char *name,
                                    const struct dm_batch *batch, const uint32_t *rows, size_t n,
                                    struct dm_place *places, struct dm_file_writes **out,
                                    struct dm_error *err)
{
    *out = NULL;
    if (dm_file_writes_settle(a, err) != DM_OK)
        return DM_FAIL;
    if (n == 0)
        return DM_OK;
    struct dm_file_writes *w = dm_xzalloc(1, sizeof *w);
    w->a = a;
    w->namespace = namespace;
    w->name = name;
    w->batch = batch;
    enum dm_status status = add_groups(w, rows, n, places, err);
    if (status == DM_OK)
        status = start(w, n, err);
    if (status != DM_OK) {
        status = join(w, status, err);
        free_writes(w);
        return status;
    }
    *out = w;
    return DM_OK;
}

static enum dm_status finish(struct dm_file_writes *w, enum dm_status status, struct dm_error *err)
{
    if (status != DM_OK)
        atomic_store(&w->next, w->n_files);
    status = join(w, status, err);
    for (size_t i = 0; i < w->n_files && status == DM_OK; i++)
        status = dm_commit_add_file(w->a->commit, w->namespace, w->name, w->files[i].number, w->files[i].path,
                                    &w->files[i].result, err);
    free_writes(w);
    if (status == DM_OK)
        dm_crash_point("after-data-files");
    return status;
}

enum dm_status dm_file_writes_leave(struct dm_file_writes *w, enum dm_status status, struct dm_batch **batch,
                                    struct dm_error *err)
{
    if (w == NULL && status == DM_OK)
        dm_crash_point("after-data-files"); /* none were needed */
    if (w == NULL)
        return status;
    if (status != DM_OK || w->n_writers == 0)
        return finish(w, status, err);
    w->own = *batch;
    *batch = NULL;
    w->a->writing = w;
    return DM_OK;
}

enum dm_status dm_file_writes_settle(struct dm_apply_context *a, struct dm_error *err)
{
    struct dm_file_writes *w = a->writing;
    a->writing = NULL;
    return w == NULL ? DM_OK : finish(w, DM_OK, err);
}

void dm_file_writes_drop(struct dm_apply_context *a)
{
    struct dm_file_writes *w = a->writing;
    struct dm_error ignored;
    a->writing = NULL;
    if (w != NULL)
        (void)!finish(w, DM_FAIL, &ignored);
}
