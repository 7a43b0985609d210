/* sqlite_db.h — connections to the source file and statements on them, with SQLite's codes turned into
 * struct dm_error.
 *
 * Every connection is opened with SQLite's own mutex, so statements of one connection may run in several
 * threads. SQL texts are made with sqlite3_mprintf rules: %w inside double quotes for a name, %Q for a
 * text, %lld for 64 bits. Failure: busy, locked, full disk and I/O errors are TRANSIENT; no file, no
 * permission or not a database are CONFIG.
 *
 *     sqlite3 *db;
 *     dm_sqlite_open("shop.db", DM_SQLITE_READ, &db, err);
 *     dm_sqlite_exec(db, err, "DELETE FROM \"%w\"", name);
 *     sqlite3_close_v2(db);
 */
#ifndef DM_SOURCE_SQLITE_DB_H
#define DM_SOURCE_SQLITE_DB_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

enum dm_sqlite_access { DM_SQLITE_READ, DM_SQLITE_WRITE };

/* READ connections refuse to write (query_only). */
enum dm_status dm_sqlite_open(const char *path, enum dm_sqlite_access access, sqlite3 **out,
                              struct dm_error *err) DM_MUST_USE;
/* Fills the error from the connection's last failure; returns DM_FAIL. */
enum dm_status dm_sqlite_fail(sqlite3 *db, struct dm_error *err, const char *doing);
enum dm_status dm_sqlite_exec(sqlite3 *db, struct dm_error *err, const char *fmt, ...) DM_MUST_USE;
enum dm_status dm_sqlite_prepare(sqlite3 *db, sqlite3_stmt **out, struct dm_error *err, const char *fmt,
                                 ...) DM_MUST_USE;
/* DM_OK: a row; DM_END: no more. */
enum dm_status dm_sqlite_step(sqlite3_stmt *stmt, struct dm_error *err) DM_MUST_USE;
/* The first column of the first row; `otherwise` when there is no row or it is NULL. */
enum dm_status dm_sqlite_int(sqlite3 *db, int64_t otherwise, int64_t *out, struct dm_error *err,
                             const char *fmt, ...) DM_MUST_USE;
/* Is the file in WAL mode, where readers and writers do not wait for each other? */
enum dm_status dm_sqlite_in_wal(sqlite3 *db, bool *wal, struct dm_error *err) DM_MUST_USE;
/* How long statements wait for a lock before they fail (5 s unless told). */
void dm_sqlite_wait_for_locks(sqlite3 *db, int milliseconds);
enum { DM_SQLITE_USUAL_WAIT_MS = 5000 };
/* ROLLBACK when a transaction is open; errors do not matter. */
void dm_sqlite_rollback(sqlite3 *db);
/* A text column as malloc'ed copy, NULL for NULL. */
char *dm_sqlite_text(sqlite3_stmt *stmt, int column);
/* Takes the text out of a sqlite3_str as malloc'ed memory; never NULL. */
char *dm_sqlite_str_take(sqlite3_str *text);

#endif
