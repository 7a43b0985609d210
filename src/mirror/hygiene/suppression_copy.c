/* A copy chose its rows by the keys that were suppressed when it began. Orders of deletion that came since are made good when it is attached. */
#include <stdlib.h>
#include <unistd.h>

#include "base/memory.h"
#include "mirror/commit/commit_unit.h"
#include "mirror/hygiene/erase_files.h"

struct copied_files {
    struct dm_copied_table *copied;
    const char *base; /* path of the file that is written anew */
    unsigned number;
};

static enum dm_status new_file(void *ctx, uint32_t *number, char **path, struct dm_error *err)
{
    struct copied_files *f = ctx;
    (void)err;
    *number = ++f->number;
    *path = dm_xasprintf("%s.%u.parquet", f->base, f->number);
    return DM_OK;
}

static enum dm_status written(void *ctx, uint32_t number, const char *path, const struct dm_batch *batch,
                              const struct dm_parquet_result *result, struct dm_error *err)
{
    struct copied_files *f = ctx;
    struct dm_copied_table *c = f->copied;
    (void)number;
    (void)batch;
    (void)err;
    struct dm_parquet_result kept = *result; /* the copy frees its own */
    kept.stats = dm_xalloc((result->n_stats + 1) * sizeof *kept.stats);
    for (size_t i = 0; i < result->n_stats; i++)
        kept.stats[i] = result->stats[i];
    c->files = dm_xrealloc(c->files, c->n_files + 1, sizeof *c->files);
    c->files[c->n_files++] = (struct dm_copied_file){.path = dm_xstrdup(path), .result = kept};
    return DM_OK;
}

static void count_hit(void *ctx, uint32_t file, uint32_t position)
{
    uint64_t *hits = ctx;
    (void)position;
    hits[file]++;
}

/* File i of the copy; what stays of it goes behind the others. */
static enum dm_status filter_file(struct dm_mirror *m, struct dm_copied_table *copied, size_t i,
                                  const struct dm_suppressed *set, struct dm_error *err)
{
    struct dm_copied_file old = copied->files[i];
    struct copied_files to = {.copied = copied, .base = old.path};
    struct dm_erase_output out = {
        .ctx = &to, .most_bytes = dm_mirror_portion(m, 2), .new_file = new_file, .written = written};
    struct dm_scan_file file = {.path = old.path, .number = (uint32_t)i + 1, .rows = old.result.rows};
    uint64_t rows = 0;
    struct dm_erase_match *match = dm_suppressed_match(set, copied->schema);
    enum dm_status status = dm_erase_write_anew(m->engine, &file, copied->schema, match,
                                                m->config->compression, &out, &rows, err);
    dm_erase_match_free(match);
    if (status != DM_OK)
        return status;
    copied->suppressed += old.result.rows - rows;
    copied->rows -= old.result.rows - rows;
    (void)unlink(old.path);
    free(old.path);
    dm_parquet_result_release(&old.result);
    copied->files[i].path = NULL;
    copied->files[i].result = (struct dm_parquet_result){0};
    return DM_OK;
}

static enum dm_status filter_files(struct dm_mirror *m, struct dm_copied_table *copied,
                                   const struct dm_suppressed *set, struct dm_error *err)
{
    size_t n = copied->n_files;
    struct dm_scan_file *files = dm_xzalloc(n + 1, sizeof *files);
    uint64_t *hits = dm_xzalloc(n + 1, sizeof *hits);
    for (size_t i = 0; i < n; i++)
        files[i] = (struct dm_scan_file){
            .path = copied->files[i].path, .number = (uint32_t)i, .rows = copied->files[i].result.rows};
    struct dm_erase_match_options look = {.dataset = copied->schema, .stored = copied->schema, .set = set};
    struct dm_erase_match *match = dm_erase_match_new(&look);
    enum dm_status status = dm_erase_find(m->engine, files, n, true, match, count_hit, hits, err);
    dm_erase_match_free(match);
    for (size_t i = 0; i < n && status == DM_OK; i++)
        if (hits[i] > 0)
            status = filter_file(m, copied, i, set, err);
    size_t kept = 0;
    for (size_t i = 0; i < copied->n_files; i++)
        if (copied->files[i].path != NULL)
            copied->files[kept++] = copied->files[i];
    copied->n_files = kept;
    free(files);
    free(hits);
    return status;
}

enum dm_status dm_suppress_copied(struct dm_mirror *m, struct dm_target *t, struct dm_copied_table *copied,
                                  struct dm_error *err)
{
    struct dm_suppressed *set = dm_suppression_of(m->suppression, t->state.id);
    enum dm_status status = DM_OK;
    if (set != NULL && copied->schema->n_keys > 0 && dm_suppressed_generation(set) != copied->suppression)
        status = filter_files(m, copied, set, err);
    dm_suppressed_unref(set);
    t->state.received += copied->suppressed;
    t->state.suppressed += copied->suppressed;
    return status;
}
