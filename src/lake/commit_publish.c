/* Step 2 of a commit: one catalog transaction moves every pointer. This is the commit. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "lake/commit_internal.h"

static enum dm_status remember_dropped(struct dm_catalog *catalog, const struct table_commit *t,
                                       struct dm_error *err)
{
    char *uri = dm_store_uri(t->location);
    char *now = dm_xasprintf("%lld", (long long)(dm_clock_wall_us() / 1000));
    const char *row[] = {uri, now};
    enum dm_status status =
        dm_catalog_run(catalog, "INSERT OR REPLACE INTO datamirror_dropped VALUES (?1, CAST(?2 AS INTEGER))",
                       row, 2, NULL, err);
    free(now);
    free(uri);
    return status;
}

enum dm_status dm_lake_forget(struct dm_lake *lake, const char *namespace, const char *name,
                              struct dm_error *err)
{
    struct dm_catalog_table *rows = NULL;
    size_t n = 0;
    if (dm_catalog_tables(&lake->catalog, namespace, name, &rows, &n, err) != DM_OK)
        return DM_FAIL;
    char *path = n == 1 ? dm_store_path(rows[0].metadata_location) : NULL;
    char *metadata = path != NULL ? strstr(path, "/metadata/") : NULL;
    enum dm_status status = DM_OK;
    if (n == 1 && (status = dm_catalog_exec(&lake->catalog, "BEGIN IMMEDIATE", err)) == DM_OK) {
        status = dm_catalog_delete(&lake->catalog, namespace, name, rows[0].metadata_location, err);
        if (metadata != NULL)
            *metadata = '\0';
        const struct table_commit gone = {.location = path};
        if (status == DM_OK && metadata != NULL)
            status = remember_dropped(&lake->catalog, &gone, err);
        if (status == DM_OK)
            status = dm_catalog_exec(&lake->catalog, "COMMIT", err);
        if (status != DM_OK && !sqlite3_get_autocommit(lake->catalog.db))
            (void)sqlite3_exec(lake->catalog.db, "ROLLBACK", NULL, NULL, NULL);
    }
    free(path);
    dm_catalog_tables_free(rows, n);
    return status;
}

static enum dm_status publish_drops(struct dm_commit *c, struct dm_error *err)
{
    struct dm_catalog *catalog = &c->lake->catalog;
    for (size_t i = 0; i < c->n_tables; i++) {
        const struct table_commit *t = c->tables[i];
        if (!t->dropped || t->table == NULL)
            continue;
        if (dm_catalog_delete(catalog, t->table->namespace, t->table->name, t->table->metadata_location,
                              err) != DM_OK ||
            remember_dropped(catalog, t, err) != DM_OK)
            return DM_FAIL;
    }
    return DM_OK;
}

/* In two steps through names that cannot exist, so that two datasets can swap theirs. */
static enum dm_status publish_renames(struct dm_commit *c, struct dm_error *err)
{
    struct dm_catalog *catalog = &c->lake->catalog;
    for (int step = 0; step < 2; step++)
        for (size_t i = 0; i < c->n_tables; i++) {
            const struct table_commit *t = c->tables[i];
            if (!t->renamed || t->dropped)
                continue;
            char *between = dm_xasprintf("\x01%zu", i);
            const char *namespace = t->table->namespace;
            enum dm_status status =
                step == 0 ? dm_catalog_rename(catalog, namespace, t->table->name, namespace, between, err)
                          : dm_catalog_rename(catalog, namespace, between, t->namespace, t->name, err);
            free(between);
            if (status != DM_OK)
                return status;
        }
    return DM_OK;
}

static enum dm_status publish_pointers(struct dm_commit *c, struct dm_error *err)
{
    struct dm_catalog *catalog = &c->lake->catalog;
    for (size_t i = 0; i < c->n_tables; i++) {
        const struct table_commit *t = c->tables[i];
        if (t->dropped || t->meta == NULL)
            continue;
        enum dm_status status =
            t->table == NULL ? dm_catalog_insert(catalog, t->namespace, t->name, t->metadata_location, err)
                             : dm_catalog_move(catalog, t->namespace, t->name, t->table->metadata_location,
                                               t->metadata_location, err);
        if (status != DM_OK)
            return status;
    }
    return DM_OK;
}

/* COMMIT may have failed after it took effect (an I/O error while waiting for the disk). Nothing may be removed then, and what is in
 * memory may be old: drop it, so that the next use reads the pointers again. */
static void forget_tables(struct dm_commit *c)
{
    c->uncertain = true;
    for (size_t i = 0; i < c->n_tables; i++) {
        struct lake_table *table = c->tables[i]->table;
        if (table == NULL)
            continue;
        dm_name_map_remove(&c->lake->tables, table->namespace, table->name);
        c->tables[i]->table = NULL;
        c->tables[i]->live = NULL;
        lake_table_free(c->lake, table);
    }
}

static enum dm_status run_transaction(struct dm_commit *c, dm_commit_extra extra, void *ctx,
                                      struct dm_error *err)
{
    struct dm_catalog *catalog = &c->lake->catalog;
    if (dm_catalog_exec(catalog, "BEGIN IMMEDIATE", err) != DM_OK)
        return DM_FAIL;
    enum dm_status status = extra != NULL ? extra(ctx, catalog->db, err) : DM_OK;
    if (status == DM_OK)
        status = publish_drops(c, err);
    if (status == DM_OK)
        status = publish_renames(c, err);
    if (status == DM_OK)
        status = publish_pointers(c, err);
    if (status != DM_OK) {
        (void)sqlite3_exec(catalog->db, "ROLLBACK", NULL, NULL, NULL);
        return status;
    }
    if (sqlite3_exec(catalog->db, "COMMIT", NULL, NULL, NULL) == SQLITE_OK)
        return DM_OK;
    bool busy = (sqlite3_errcode(catalog->db) & 0xff) == SQLITE_BUSY;
    (void)dm_catalog_fail(catalog, "cannot commit", err);
    if (!sqlite3_get_autocommit(catalog->db)) /* still open: it did not happen */
        (void)sqlite3_exec(catalog->db, "ROLLBACK", NULL, NULL, NULL);
    if (!busy)
        forget_tables(c);
    return DM_FAIL;
}

enum dm_status dm_commit_publish(struct dm_commit *c, dm_commit_extra extra, void *ctx, struct dm_error *err)
{
    if (!c->written || c->published)
        return dm_fail(err, DM_ERROR_FATAL, NULL, "a commit is published once, after it was written");
    lake_lock(c->lake);
    enum dm_status status = run_transaction(c, extra, ctx, err);
    if (status == DM_OK) {
        c->published = true;
        /* First all tables that leave their names, then those that take names. */
        for (size_t i = 0; i < c->n_tables; i++)
            if (c->tables[i]->table != NULL && (c->tables[i]->dropped || c->tables[i]->renamed))
                dm_name_map_remove(&c->lake->tables, c->tables[i]->table->namespace,
                                   c->tables[i]->table->name);
        for (size_t i = 0; i < c->n_tables; i++)
            lake_table_apply(c, c->tables[i]);
    }
    lake_unlock(c->lake);
    return status;
}
