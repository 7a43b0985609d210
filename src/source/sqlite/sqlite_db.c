#include "source/sqlite/sqlite_db.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/memory.h"

static enum dm_error_class class_of(int code)
{
    switch (code & 0xff) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_FULL:
    case SQLITE_IOERR:
    case SQLITE_PROTOCOL:
    case SQLITE_SCHEMA:
    case SQLITE_INTERRUPT:
    case SQLITE_ABORT:
    case SQLITE_NOMEM: return DM_ERROR_TRANSIENT;
    case SQLITE_ERROR:
    case SQLITE_NOTADB:
    case SQLITE_CANTOPEN:
    case SQLITE_PERM:
    case SQLITE_READONLY:
    case SQLITE_AUTH: return DM_ERROR_CONFIG;
    default: return DM_ERROR_FATAL;
    }
}

static const char *hint_of(int code)
{
    switch (code & 0xff) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED: return "another connection holds the file's lock for long; the mirror tries again";
    case SQLITE_FULL:
        return "the disk is full: free some room; nothing was acknowledged, the mirror goes on when there is "
               "room";
    case SQLITE_CANTOPEN:
        return "check `path:` of the source: the file must exist, and its folder must be writable (SQLite "
               "keeps -wal and -shm there)";
    case SQLITE_READONLY:
    case SQLITE_PERM:
        return "the mirror records changes by triggers in the same file, so it needs to write to the file "
               "and its folder";
    case SQLITE_NOTADB:
        return "check `path:` of the source: the file is not an SQLite database, or it is encrypted";
    case SQLITE_CORRUPT:
        return "run PRAGMA integrity_check on the file and restore it from a backup, then `datamirror "
               "resync`";
    default: return NULL;
    }
}

enum dm_status dm_sqlite_fail(sqlite3 *db, struct dm_error *err, const char *doing)
{
    int code = db != NULL ? sqlite3_extended_errcode(db) : SQLITE_NOMEM;
    const char *message = db != NULL ? sqlite3_errmsg(db) : "out of memory";
    const char *file = db != NULL ? sqlite3_db_filename(db, "main") : NULL;
    return dm_fail(err, class_of(code), hint_of(code), "SQLite file %s: %s: %s", file != NULL ? file : "?",
                   doing, message);
}

/* SQLite's own waiting grows to 100 ms a time, and locks are not handed out in turn: beside writers that
 * hardly pause it would get none. Asking each millisecond costs little, and we ask rarely. */
static int wait_a_little(void *ctx, int times)
{
    if (times >= (int)(intptr_t)ctx)
        return 0;
    dm_clock_sleep_ms(1);
    return 1;
}

void dm_sqlite_wait_for_locks(sqlite3 *db, int milliseconds)
{
    (void)sqlite3_busy_handler(db, wait_a_little, (void *)(intptr_t)milliseconds);
}

static enum dm_status set_up(sqlite3 *db, enum dm_sqlite_access access, struct dm_error *err)
{
    (void)sqlite3_extended_result_codes(db, 1);
    dm_sqlite_wait_for_locks(db, DM_SQLITE_USUAL_WAIT_MS);
    /* Reading the schema tells at once whether the file is a database. */
    int64_t ignored;
    if (dm_sqlite_int(db, 0, &ignored, err, "SELECT count(*) FROM sqlite_schema") != DM_OK)
        return DM_FAIL;
    /* The checkpoint of a last connection that closes keeps others from opening the file. */
    (void)sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    if (access == DM_SQLITE_READ)
        return dm_sqlite_exec(db, err, "PRAGMA query_only = ON");
    /* What is written here need not survive a power cut (log_check.h), and a sync would prolong the lock. In the rollback-journal modes
     * it keeps the file whole. */
    bool wal = false;
    if (dm_sqlite_in_wal(db, &wal, err) != DM_OK)
        return DM_FAIL;
    return wal ? dm_sqlite_exec(db, err, "PRAGMA synchronous = NORMAL") : DM_OK;
}

enum dm_status dm_sqlite_in_wal(sqlite3 *db, bool *wal, struct dm_error *err)
{
    sqlite3_stmt *row = NULL;
    if (dm_sqlite_prepare(db, &row, err, "PRAGMA journal_mode") != DM_OK)
        return DM_FAIL;
    enum dm_status status = dm_sqlite_step(row, err);
    *wal = status == DM_OK && strcmp((const char *)sqlite3_column_text(row, 0), "wal") == 0;
    (void)sqlite3_finalize(row);
    return status == DM_FAIL ? DM_FAIL : DM_OK;
}

enum dm_status dm_sqlite_open(const char *path, enum dm_sqlite_access access, sqlite3 **out,
                              struct dm_error *err)
{
    sqlite3 *db = NULL;
    /* READWRITE for readers too: in WAL mode a reader may have to create the -shm file. */
    int code = sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_FULLMUTEX, NULL);
    if (code != SQLITE_OK) {
        (void)dm_fail(err, class_of(code), hint_of(code), "SQLite file %s: open: %s", path,
                      sqlite3_errstr(code));
        sqlite3_close_v2(db);
        return DM_FAIL;
    }
    if (set_up(db, access, err) != DM_OK) {
        sqlite3_close_v2(db);
        return DM_FAIL;
    }
    *out = db;
    return DM_OK;
}

enum dm_status dm_sqlite_exec(sqlite3 *db, struct dm_error *err, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    char *sql = sqlite3_vmprintf(fmt, args);
    va_end(args);
    if (sql == NULL)
        return dm_fail_memory(err, strlen(fmt));
    int code = sqlite3_exec(db, sql, NULL, NULL, NULL);
    if (code != SQLITE_OK)
        (void)dm_sqlite_fail(db, err, sql);
    sqlite3_free(sql);
    return code == SQLITE_OK ? DM_OK : DM_FAIL;
}

static enum dm_status prepare(sqlite3 *db, sqlite3_stmt **out, struct dm_error *err, const char *fmt,
                              va_list args)
{
    char *sql = sqlite3_vmprintf(fmt, args);
    if (sql == NULL)
        return dm_fail_memory(err, strlen(fmt));
    int code = sqlite3_prepare_v3(db, sql, -1, SQLITE_PREPARE_PERSISTENT, out, NULL);
    if (code != SQLITE_OK)
        (void)dm_sqlite_fail(db, err, sql);
    sqlite3_free(sql);
    return code == SQLITE_OK ? DM_OK : DM_FAIL;
}

enum dm_status dm_sqlite_prepare(sqlite3 *db, sqlite3_stmt **out, struct dm_error *err, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    enum dm_status status = prepare(db, out, err, fmt, args);
    va_end(args);
    return status;
}

enum dm_status dm_sqlite_step(sqlite3_stmt *stmt, struct dm_error *err)
{
    int code = sqlite3_step(stmt);
    if (code == SQLITE_ROW)
        return DM_OK;
    if (code == SQLITE_DONE)
        return DM_END;
    return dm_sqlite_fail(sqlite3_db_handle(stmt), err, sqlite3_sql(stmt));
}

enum dm_status dm_sqlite_int(sqlite3 *db, int64_t otherwise, int64_t *out, struct dm_error *err,
                             const char *fmt, ...)
{
    sqlite3_stmt *stmt = NULL;
    va_list args;
    va_start(args, fmt);
    enum dm_status status = prepare(db, &stmt, err, fmt, args);
    va_end(args);
    if (status != DM_OK)
        return status;
    status = dm_sqlite_step(stmt, err);
    *out = otherwise;
    if (status == DM_OK && sqlite3_column_type(stmt, 0) != SQLITE_NULL)
        *out = sqlite3_column_int64(stmt, 0);
    (void)sqlite3_finalize(stmt);
    return status == DM_FAIL ? DM_FAIL : DM_OK;
}

void dm_sqlite_rollback(sqlite3 *db)
{
    if (db != NULL && !sqlite3_get_autocommit(db))
        (void)sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
}

char *dm_sqlite_text(sqlite3_stmt *stmt, int column)
{
    return dm_xstrdup((const char *)sqlite3_column_text(stmt, column));
}

char *dm_sqlite_str_take(sqlite3_str *text)
{
    char *sql = sqlite3_str_finish(text);
    char *copy = dm_xstrdup(sql != NULL ? sql : "");
    sqlite3_free(sql);
    return copy;
}
