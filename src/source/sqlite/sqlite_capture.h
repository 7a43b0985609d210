/* sqlite_capture.h — change capture inside the source file: tables and triggers, and keeping them right
 * when the schema changes. Format, algorithm and rules stand at the top of sqlite_capture.c.
 *
 * Functions work on a caller's connection. dm_sqlite_capture_sync takes the write lock for a moment; a lock
 * that cannot be had is a TRANSIENT error. Nothing is owned.
 *
 *     dm_sqlite_capture_sync(db, config, 0, NULL, err);   // idempotent
 */
#ifndef DM_SOURCE_SQLITE_CAPTURE_H
#define DM_SOURCE_SQLITE_CAPTURE_H

#include "source/sqlite/sqlite_table.h"

/* Column op of the log. */
enum dm_sqlite_op {
    DM_SQLITE_BEGIN = 0, /* the log begins here: no table */
    DM_SQLITE_INSERT = 1,
    DM_SQLITE_UPDATE = 2,
    DM_SQLITE_DELETE = 3,
    DM_SQLITE_MARK = 4,      /* this key may be about to vanish by OR REPLACE: look */
    DM_SQLITE_REWRITTEN = 5, /* rows changed without a trace: the table must be copied again */
    DM_SQLITE_SCHEMA = 6,    /* the table is new, or its columns or name changed */
    DM_SQLITE_DROPPED = 7,
    DM_SQLITE_OPS = 8,
};

/* Brings the capture to the selected tables as they are: creates what is missing, follows renames, notes in
 * the log what the stream has to tell. `since`: changes below this position were seen under the schema that
 * the capture knows. *schema_version (NULL: not wanted): the PRAGMA of that name afterwards. */
enum dm_status dm_sqlite_capture_sync(sqlite3 *db, const struct dm_source_config *config, dm_position since,
                                      int64_t *schema_version, struct dm_error *err) DM_MUST_USE;
/* The same inside the caller's write transaction. *changed: something was written. */
enum dm_status dm_sqlite_capture_sync_locked(sqlite3 *db, const struct dm_source_config *config,
                                             dm_position since, bool *changed,
                                             struct dm_error *err) DM_MUST_USE;
/* Drops all triggers and tables of the capture. */
enum dm_status dm_sqlite_capture_forget(sqlite3 *db, struct dm_error *err) DM_MUST_USE;
bool dm_sqlite_capture_exists(sqlite3 *db);
/* Gives tables their ids and columns their numbers as the capture knows them. Called by
 * dm_sqlite_tables_load. */
enum dm_status dm_sqlite_capture_identify(sqlite3 *db, struct dm_sqlite_tables *set,
                                          struct dm_error *err) DM_MUST_USE;
/* The position after everything that the connection sees: greatest seq + 1. */
enum dm_status dm_sqlite_capture_position(sqlite3 *db, dm_position *out, struct dm_error *err) DM_MUST_USE;
/* A dropped table as the capture remembers it (id, name, columns), for its last message; NULL when it is
 * not remembered. */
enum dm_status dm_sqlite_capture_remembered(sqlite3 *db, uint64_t id, struct dm_table **out,
                                            struct dm_error *err) DM_MUST_USE;

#endif
