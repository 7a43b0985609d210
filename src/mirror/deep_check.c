#include "mirror/deep_check.h"

#include "engine/parquet_read.h"

static enum dm_status count(void *ctx, const struct dm_batch *batch, const uint32_t *files,
                            const uint32_t *positions, struct dm_error *err)
{
    uint64_t *rows = ctx;
    (void)files;
    (void)positions;
    (void)err;
    *rows += batch->rows;
    return DM_OK;
}

static void check_file(struct dm_engine *engine, const struct dm_dataset *d, const struct dm_data_file *f,
                       dm_lake_finding fn, void *ctx)
{
    struct dm_scan_file whole = {.path = f->path, .number = f->number, .rows = f->rows};
    struct dm_scan_options options = {0};
    struct dm_error err;
    uint64_t rows = 0;
    if (dm_parquet_scan(engine, &whole, 1, d->schema, &options, count, &rows, &err) != DM_OK)
        fn(ctx, d->namespace, d->name, f->path, err.message);
    else if (rows != f->rows)
        fn(ctx, d->namespace, d->name, f->path, "the file has another number of rows than its manifest says");
}

enum dm_status dm_deep_check(struct dm_lake *lake, struct dm_engine *engine, dm_lake_finding fn, void *ctx,
                             struct dm_error *err)
{
    struct dm_dataset_name *names = NULL;
    size_t n = 0;
    enum dm_status status = dm_lake_list(lake, &names, &n, err);
    for (size_t i = 0; i < n && status == DM_OK; i++) {
        const struct dm_dataset *d = NULL;
        struct dm_error unreadable;
        if (dm_lake_dataset(lake, names[i].namespace, names[i].name, &d, &unreadable) != DM_OK || d == NULL)
            continue;
        for (size_t k = 0; k < d->n_files; k++)
            check_file(engine, d, &d->files[k], fn, ctx);
    }
    dm_dataset_names_free(names, n);
    return status;
}
