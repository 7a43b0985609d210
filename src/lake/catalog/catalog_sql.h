/* catalog_sql.h — statements on catalog.db for whoever keeps tables beside the catalog's own (mirror/, registry/): binding, running, failing.
 *
 * The connection and its transaction are the caller's; one thread at a time. Formats of the values: i int64_t, u uint64_t, t const char * (NULL is
 * null; copied). `what` says in errors what was being done ("orders"); NULL: the statement itself.
 *
 *     sqlite3_stmt *st;
 *     if (dm_sql_prepare(db, &st, "orders", "DELETE FROM dm_order WHERE id=?", err, "i", id) != DM_OK) …
 *     return dm_sql_finish(db, st, "orders", err);
 */
#ifndef DM_LAKE_CATALOG_CATALOG_SQL_H
#define DM_LAKE_CATALOG_CATALOG_SQL_H

#include <sqlite3.h>
#include <stdbool.h>

#include "base/error.h"

/* The connection's last error: TRANSIENT when it may pass (busy, locked, full disk, I/O), CONFIG for permissions, else FATAL. Return DM_FAIL.
 * The second names the file as the user gave it. */
enum dm_status dm_sql_fail(sqlite3 *db, const char *what, struct dm_error *err);
enum dm_status dm_sql_fail_in(sqlite3 *db, const char *file, const char *what, struct dm_error *err);
enum dm_status dm_sql_prepare(sqlite3 *db, sqlite3_stmt **out, const char *what, const char *sql,
                              struct dm_error *err, const char *format, ...) DM_MUST_USE;
/* Runs a prepared statement whose rows, if any, do not matter, and finalizes it. */
enum dm_status dm_sql_finish(sqlite3 *db, sqlite3_stmt *take_st, const char *what,
                             struct dm_error *err) DM_MUST_USE;
/* Both in one. */
enum dm_status dm_sql_run(sqlite3 *db, const char *what, const char *sql, struct dm_error *err,
                          const char *format, ...) DM_MUST_USE;

/* Opens a lake's catalog.db: for writing when that is possible, else for reading. On a file system that cannot be written a database in WAL mode can only be
 * read when its log is there with its index, or when it has no log (it was closed cleanly): then it is opened as one that nobody changes. `create`: made when it
 * is not there, and an error when it cannot be written. *out is closed with sqlite3_close, NULL after a failure. */
enum dm_status dm_sql_open_catalog(const char *path, bool create, sqlite3 **out,
                                   struct dm_error *err) DM_MUST_USE;

#endif
