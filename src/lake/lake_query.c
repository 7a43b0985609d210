#include "lake/lake_query.h"

#include <stdlib.h>

#include "base/memory.h"
#include "lake/dataset_scan.h"
#include "lake/lake_internal.h"

/* The session borrows the files until it is closed, and we do not hear of that: the lake keeps them. */
static void keep(struct dm_lake *lake, void *memory)
{
    lake->kept_memory = dm_xrealloc(lake->kept_memory, lake->n_kept_memory + 1, sizeof *lake->kept_memory);
    lake->kept_memory[lake->n_kept_memory++] = memory;
}

static enum dm_status add_dataset(struct dm_lake *lake, struct dm_sql *sql, const struct dm_dataset *d,
                                  struct dm_error *err)
{
    struct dm_scan_file *files = dm_dataset_scan(d);
    keep(lake, files);
    return dm_sql_add_dataset(sql, d->namespace, d->name, d->schema, files, d->n_files, err);
}

/* Between the read of the pointers and the opening of a file, a running mirror may clean that file up; then all pointers are read again,
 * so that the datasets still come from one catalog state. */
static enum dm_status load_all(struct dm_lake *lake, struct dm_catalog_table **rows, size_t *n,
                               struct lake_table ***tables, struct dm_error *err)
{
    for (int attempt = 0;; attempt++) {
        if (dm_catalog_tables(&lake->catalog, NULL, NULL, rows, n, err) != DM_OK)
            return DM_FAIL;
        *tables = dm_xzalloc(*n + 1, sizeof **tables);
        enum dm_status status = DM_OK;
        for (size_t i = 0; i < *n && status == DM_OK; i++)
            status = lake_table_load(lake, &(*rows)[i], &(*tables)[i], err);
        if (status == DM_OK)
            return DM_OK;
        dm_catalog_tables_free(*rows, *n);
        free(*tables);
        if (attempt == 3)
            return status;
    }
}

enum dm_status dm_lake_query_open(struct dm_lake *lake, struct dm_engine *engine,
                                  dm_lake_query_prepare prepare, void *ctx, struct dm_sql **out,
                                  struct dm_error *err)
{
    struct dm_catalog_table *rows = NULL;
    struct lake_table **tables = NULL;
    size_t n = 0;
    struct dm_sql *sql = NULL;
    if (dm_sql_open(engine, &sql, err) != DM_OK)
        return DM_FAIL;
    lake_lock(lake);
    enum dm_status status = load_all(lake, &rows, &n, &tables, err);
    if (status == DM_OK) {
        for (size_t i = 0; i < n && status == DM_OK; i++)
            status = add_dataset(lake, sql, &tables[i]->ds->pub, err);
        free(tables);
        dm_catalog_tables_free(rows, n);
    }
    lake_unlock(lake);
    if (status == DM_OK && prepare != NULL)
        status = prepare(ctx, sql, err);
    if (status == DM_OK)
        status = dm_sql_lock(sql, err);
    if (status != DM_OK) {
        dm_sql_close(sql);
        return status;
    }
    *out = sql;
    return DM_OK;
}
