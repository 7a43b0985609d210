#include "lake/catalog/catalog.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "lake/catalog/catalog_sql.h"

static const char create_tables[] =
    "CREATE TABLE IF NOT EXISTS iceberg_tables ("
    " catalog_name VARCHAR(255) NOT NULL, table_namespace VARCHAR(255) NOT NULL, table_name VARCHAR(255) NOT "
    "NULL,"
    " metadata_location VARCHAR(1000), previous_metadata_location VARCHAR(1000), iceberg_type VARCHAR(5),"
    " PRIMARY KEY (catalog_name, table_namespace, table_name));"
    "CREATE TABLE IF NOT EXISTS iceberg_namespace_properties ("
    " catalog_name VARCHAR(255) NOT NULL, namespace VARCHAR(255) NOT NULL, property_key VARCHAR(255) NOT "
    "NULL,"
    " property_value VARCHAR(1000) NOT NULL, PRIMARY KEY (catalog_name, namespace, property_key));"
    "CREATE TABLE IF NOT EXISTS datamirror_dropped (location TEXT PRIMARY KEY, dropped_ms INTEGER NOT NULL);"
    "CREATE TABLE IF NOT EXISTS datamirror_garbage (path TEXT PRIMARY KEY, since_ms INTEGER NOT NULL);";

enum dm_status dm_catalog_fail(struct dm_catalog *c, const char *what, struct dm_error *err)
{
    return dm_sql_fail_in(c->db, c->path, what, err);
}

enum dm_status dm_catalog_exec(struct dm_catalog *c, const char *sql, struct dm_error *err)
{
    if (sqlite3_exec(c->db, sql, NULL, NULL, NULL) != SQLITE_OK)
        return dm_catalog_fail(c, sql, err);
    return DM_OK;
}

static enum dm_status open_db(struct dm_catalog *c, bool read_only, struct dm_error *err)
{
    if (dm_sql_open_catalog(c->path, !read_only, &c->db, err) != DM_OK)
        return DM_FAIL;
    if (read_only)
        return DM_OK;
    enum dm_status status = dm_catalog_exec(c, "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL", err);
    return status == DM_OK ? dm_catalog_exec(c, create_tables, err) : status;
}

enum dm_status dm_catalog_open(struct dm_catalog *c, const char *path, const char *name, bool read_only,
                               struct dm_error *err)
{
    *c = (struct dm_catalog){.name = dm_xstrdup(name), .path = dm_xstrdup(path)};
    enum dm_status status =
        read_only && !dm_file_exists(path)
            ? dm_fail(err, DM_ERROR_CONFIG,
                      "check `lake:` in the configuration; `datamirror run` creates the lake",
                      "there is no lake here: %s does not exist", path)
            : open_db(c, read_only, err);
    if (status != DM_OK)
        dm_catalog_close(c);
    return status;
}

void dm_catalog_close(struct dm_catalog *c)
{
    if (c->db != NULL)
        sqlite3_close_v2(c->db);
    free(c->name);
    free(c->path);
    *c = (struct dm_catalog){0};
}

enum dm_status dm_catalog_prepare(struct dm_catalog *c, sqlite3_stmt **out, const char *sql,
                                  const char *const *texts, size_t n, struct dm_error *err)
{
    if (sqlite3_prepare_v2(c->db, sql, -1, out, NULL) != SQLITE_OK)
        return dm_catalog_fail(c, sql, err);
    for (size_t i = 0; i < n; i++)
        if (sqlite3_bind_text(*out, (int)i + 1, texts[i], -1, SQLITE_TRANSIENT) != SQLITE_OK) {
            (void)dm_catalog_fail(c, sql, err);
            sqlite3_finalize(*out);
            *out = NULL;
            return DM_FAIL;
        }
    return DM_OK;
}

enum dm_status dm_catalog_run(struct dm_catalog *c, const char *sql, const char *const *texts, size_t n,
                              int *changed, struct dm_error *err)
{
    sqlite3_stmt *s = NULL;
    if (dm_catalog_prepare(c, &s, sql, texts, n, err) != DM_OK)
        return DM_FAIL;
    enum dm_status status = DM_OK;
    int rc = SQLITE_ROW;
    while ((rc = sqlite3_step(s)) == SQLITE_ROW)
        continue;
    if (rc != SQLITE_DONE)
        status = dm_catalog_fail(c, sql, err);
    if (changed != NULL)
        *changed = sqlite3_changes(c->db);
    sqlite3_finalize(s);
    return status;
}

enum dm_status dm_catalog_tables(struct dm_catalog *c, const char *namespace, const char *name,
                                 struct dm_catalog_table **out, size_t *n, struct dm_error *err)
{
    static const char all[] =
        "SELECT table_namespace, table_name, metadata_location FROM iceberg_tables WHERE catalog_name = ?1"
        " AND (iceberg_type IS NULL OR iceberg_type = 'TABLE') AND metadata_location IS NOT NULL"
        " ORDER BY table_namespace, table_name";
    static const char one[] =
        "SELECT table_namespace, table_name, metadata_location FROM iceberg_tables WHERE catalog_name = ?1"
        " AND table_namespace = ?2 AND table_name = ?3"
        " AND (iceberg_type IS NULL OR iceberg_type = 'TABLE') AND metadata_location IS NOT NULL";
    const char *texts[] = {c->name, namespace, name};
    sqlite3_stmt *s = NULL;
    if (dm_catalog_prepare(c, &s, namespace == NULL ? all : one, texts, namespace == NULL ? 1 : 3, err) !=
        DM_OK)
        return DM_FAIL;
    struct dm_catalog_table *tables = NULL;
    size_t count = 0, room = 0;
    int rc = SQLITE_ROW;
    while ((rc = sqlite3_step(s)) == SQLITE_ROW) {
        if (count == room) {
            room = room == 0 ? 1 : room * 2;
            tables = dm_xrealloc(tables, room, sizeof *tables);
        }
        tables[count++] = (struct dm_catalog_table){dm_xstrdup((const char *)sqlite3_column_text(s, 0)),
                                                    dm_xstrdup((const char *)sqlite3_column_text(s, 1)),
                                                    dm_xstrdup((const char *)sqlite3_column_text(s, 2))};
    }
    enum dm_status status = rc == SQLITE_DONE ? DM_OK : dm_catalog_fail(c, "cannot read iceberg_tables", err);
    sqlite3_finalize(s);
    if (status != DM_OK) {
        dm_catalog_tables_free(tables, count);
        return status;
    }
    *out = tables;
    *n = count;
    return DM_OK;
}

void dm_catalog_tables_free(struct dm_catalog_table *tables, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        free(tables[i].namespace);
        free(tables[i].name);
        free(tables[i].metadata_location);
    }
    free(tables);
}

static enum dm_status moved(struct dm_error *err, const char *namespace, const char *name)
{
    return dm_fail(err, DM_ERROR_CONFLICT,
                   "only the mirror may write the tables of its lake; restart it to take up the other change",
                   "another program changed the catalog entry of %s.%s", namespace, name);
}

enum dm_status dm_catalog_insert(struct dm_catalog *c, const char *namespace, const char *name,
                                 const char *location, struct dm_error *err)
{
    const char *row[] = {c->name, namespace, name, location};
    int changed = 0;
    if (dm_catalog_run(
            c, "INSERT INTO iceberg_tables VALUES (?1, ?2, ?3, ?4, NULL, 'TABLE') ON CONFLICT DO NOTHING",
            row, 4, &changed, err) != DM_OK)
        return DM_FAIL;
    if (changed != 1)
        return moved(err, namespace, name);
    return dm_catalog_run(c,
                          "INSERT INTO iceberg_namespace_properties VALUES (?1, ?2, 'exists', 'true')"
                          " ON CONFLICT DO NOTHING",
                          row, 2, NULL, err);
}

enum dm_status dm_catalog_move(struct dm_catalog *c, const char *namespace, const char *name,
                               const char *from, const char *to, struct dm_error *err)
{
    const char *row[] = {c->name, namespace, name, from, to};
    int changed = 0;
    if (dm_catalog_run(c,
                       "UPDATE iceberg_tables SET metadata_location = ?5, previous_metadata_location = ?4"
                       " WHERE catalog_name = ?1 AND table_namespace = ?2 AND table_name = ?3"
                       " AND metadata_location = ?4",
                       row, 5, &changed, err) != DM_OK)
        return DM_FAIL;
    return changed == 1 ? DM_OK : moved(err, namespace, name);
}

enum dm_status dm_catalog_rename(struct dm_catalog *c, const char *namespace, const char *name,
                                 const char *new_namespace, const char *new_name, struct dm_error *err)
{
    const char *row[] = {c->name, namespace, name, new_namespace, new_name};
    int changed = 0;
    if (dm_catalog_run(c,
                       "UPDATE OR IGNORE iceberg_tables SET table_namespace = ?4, table_name = ?5"
                       " WHERE catalog_name = ?1 AND table_namespace = ?2 AND table_name = ?3",
                       row, 5, &changed, err) != DM_OK)
        return DM_FAIL;
    if (changed != 1)
        return moved(err, namespace, name);
    const char *space[] = {c->name, new_namespace};
    return dm_catalog_run(c,
                          "INSERT INTO iceberg_namespace_properties VALUES (?1, ?2, 'exists', 'true')"
                          " ON CONFLICT DO NOTHING",
                          space, 2, NULL, err);
}

enum dm_status dm_catalog_delete(struct dm_catalog *c, const char *namespace, const char *name,
                                 const char *location, struct dm_error *err)
{
    const char *row[] = {c->name, namespace, name, location};
    int changed = 0;
    if (dm_catalog_run(c,
                       "DELETE FROM iceberg_tables WHERE catalog_name = ?1 AND table_namespace = ?2"
                       " AND table_name = ?3 AND metadata_location = ?4",
                       row, 4, &changed, err) != DM_OK)
        return DM_FAIL;
    return changed == 1 ? DM_OK : moved(err, namespace, name);
}

enum dm_status dm_catalog_folder_used(struct dm_catalog *c, const char *folder_uri, bool *used,
                                      struct dm_error *err)
{
    /* '0' is the character after '/': the range holds exactly the metadata files of the folder. */
    char *from = dm_xasprintf("%s/metadata/", folder_uri);
    char *to = dm_xasprintf("%s/metadata0", folder_uri);
    const char *texts[] = {from, to, folder_uri};
    sqlite3_stmt *s = NULL;
    enum dm_status status = dm_catalog_prepare(
        c, &s,
        "SELECT EXISTS (SELECT 1 FROM iceberg_tables WHERE metadata_location > ?1 AND metadata_location < ?2)"
        " OR EXISTS (SELECT 1 FROM datamirror_dropped WHERE location = ?3)",
        texts, 3, err);
    if (status == DM_OK) {
        if (sqlite3_step(s) == SQLITE_ROW)
            *used = sqlite3_column_int(s, 0) != 0;
        else
            status = dm_catalog_fail(c, "cannot read iceberg_tables", err);
    }
    sqlite3_finalize(s);
    free(from);
    free(to);
    return status;
}
