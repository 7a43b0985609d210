/* catalog.h — the embedded catalog: SQLite with the table layout of Iceberg's JDBC catalog (schema version 1).
 *
 * PyIceberg's SqlCatalog and Java's JdbcCatalog open the file directly. Besides iceberg_tables and iceberg_namespace_properties the lake keeps:
 *   datamirror_dropped   folders of dropped datasets, removed by the sweep after the retention time
 *   datamirror_garbage   files seen without a reference, and since when (dm_lake_sweep)
 * WAL mode, synchronous=FULL: what COMMIT answered is on disk. One connection, serialized by SQLite. Pointers are file:// URIs.
 */
#ifndef DM_LAKE_CATALOG_CATALOG_H
#define DM_LAKE_CATALOG_CATALOG_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

struct dm_catalog {
    sqlite3 *db;
    char *name; /* catalog_name */
    char *path;
};

/* Creates file and tables unless read_only; a missing file is then a CONFIG error. */
enum dm_status dm_catalog_open(struct dm_catalog *c, const char *path, const char *name, bool read_only,
                               struct dm_error *err) DM_MUST_USE;
void dm_catalog_close(struct dm_catalog *c);

/* Runs statements without parameters. */
enum dm_status dm_catalog_exec(struct dm_catalog *c, const char *sql, struct dm_error *err) DM_MUST_USE;
/* Prepares and binds texts (NULL binds null) in order; the caller finalizes. */
enum dm_status dm_catalog_prepare(struct dm_catalog *c, sqlite3_stmt **out, const char *sql,
                                  const char *const *texts, size_t n, struct dm_error *err) DM_MUST_USE;
/* Prepares, binds, runs to the end and finalizes; *changed (may be NULL): rows changed. */
enum dm_status dm_catalog_run(struct dm_catalog *c, const char *sql, const char *const *texts, size_t n,
                              int *changed, struct dm_error *err) DM_MUST_USE;
/* An error of the connection: busy, locked, full and I/O errors are transient. */
enum dm_status dm_catalog_fail(struct dm_catalog *c, const char *what, struct dm_error *err);

struct dm_catalog_table {
    char *namespace;
    char *name;
    char *metadata_location;
};
/* All tables, or (namespace != NULL) the one named, in one read; n may come out 0. */
enum dm_status dm_catalog_tables(struct dm_catalog *c, const char *namespace, const char *name,
                                 struct dm_catalog_table **out, size_t *n, struct dm_error *err) DM_MUST_USE;
void dm_catalog_tables_free(struct dm_catalog_table *tables, size_t n);

/* Inside a transaction; CONFLICT when the row is not as expected. */
enum dm_status dm_catalog_insert(struct dm_catalog *c, const char *namespace, const char *name,
                                 const char *location, struct dm_error *err) DM_MUST_USE;
enum dm_status dm_catalog_move(struct dm_catalog *c, const char *namespace, const char *name,
                               const char *from, const char *to, struct dm_error *err) DM_MUST_USE;
enum dm_status dm_catalog_rename(struct dm_catalog *c, const char *namespace, const char *name,
                                 const char *new_namespace, const char *new_name,
                                 struct dm_error *err) DM_MUST_USE;
enum dm_status dm_catalog_delete(struct dm_catalog *c, const char *namespace, const char *name,
                                 const char *location, struct dm_error *err) DM_MUST_USE;
/* True when a dataset of the catalog, or a dropped one not swept yet, lives in this folder (URI). */
enum dm_status dm_catalog_folder_used(struct dm_catalog *c, const char *folder_uri, bool *used,
                                      struct dm_error *err) DM_MUST_USE;

#endif
