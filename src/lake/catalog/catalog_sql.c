#include "lake/catalog/catalog_sql.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/memory.h"

enum dm_status dm_sql_fail_in(sqlite3 *db, const char *file, const char *what, struct dm_error *err)
{
    enum dm_error_class class = DM_ERROR_FATAL;
    const char *hint = NULL;
    switch (sqlite3_errcode(db) & 0xff) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        class = DM_ERROR_TRANSIENT;
        hint = "another program holds a lock on the catalog file";
        break;
    case SQLITE_FULL:
        class = DM_ERROR_TRANSIENT;
        hint = "make room on the disk of the lake";
        break;
    case SQLITE_IOERR:
    case SQLITE_NOMEM: class = DM_ERROR_TRANSIENT; break;
    case SQLITE_NOTADB:
    case SQLITE_CORRUPT: hint = "restore catalog.db, or begin with a new lake folder"; break;
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_CANTOPEN:
        class = DM_ERROR_CONFIG;
        hint = "check the owner and the permissions of the lake folder";
        break;
    default: break;
    }
    return dm_fail(err, class, hint, "%s: %s: %s", file, what, sqlite3_errmsg(db));
}

enum dm_status dm_sql_fail(sqlite3 *db, const char *what, struct dm_error *err)
{
    return dm_sql_fail_in(db, "catalog.db", what, err);
}

static enum dm_status prepare_list(sqlite3 *db, sqlite3_stmt **out, const char *what, const char *sql,
                                   struct dm_error *err, const char *format, va_list args)
{
    if (sqlite3_prepare_v2(db, sql, -1, out, NULL) != SQLITE_OK)
        return dm_sql_fail(db, what != NULL ? what : sql, err);
    for (int i = 0; format[i] != '\0'; i++) {
        if (format[i] == 'i')
            sqlite3_bind_int64(*out, i + 1, va_arg(args, int64_t));
        else if (format[i] == 'u')
            sqlite3_bind_int64(*out, i + 1, (sqlite3_int64)va_arg(args, uint64_t));
        else
            sqlite3_bind_text(*out, i + 1, va_arg(args, const char *), -1, SQLITE_TRANSIENT);
    }
    return DM_OK;
}

enum dm_status dm_sql_prepare(sqlite3 *db, sqlite3_stmt **out, const char *what, const char *sql,
                              struct dm_error *err, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    enum dm_status status = prepare_list(db, out, what, sql, err, format, args);
    va_end(args);
    return status;
}

enum dm_status dm_sql_finish(sqlite3 *db, sqlite3_stmt *take_st, const char *what, struct dm_error *err)
{
    int code = sqlite3_step(take_st);
    sqlite3_finalize(take_st);
    return code == SQLITE_DONE || code == SQLITE_ROW ? DM_OK : dm_sql_fail(db, what, err);
}

enum dm_status dm_sql_run(sqlite3 *db, const char *what, const char *sql, struct dm_error *err,
                          const char *format, ...)
{
    sqlite3_stmt *st;
    va_list args;
    va_start(args, format);
    enum dm_status status = prepare_list(db, &st, what, sql, err, format, args);
    va_end(args);
    return status == DM_OK ? dm_sql_finish(db, st, what != NULL ? what : sql, err) : status;
}

/* ---- opening ---- */

/* "file:…?immutable=1" for the path; malloc'ed. */
static char *immutable_uri(const char *path)
{
    char *out = dm_xzalloc(strlen(path) * 3 + 32, 1);
    char *at = out + snprintf(out, 6, "file:");
    for (const char *c = path; *c != '\0'; c++)
        if (*c == '%' || *c == '?' || *c == '#')
            at += snprintf(at, 4, "%%%02X", (unsigned)(unsigned char)*c);
        else
            *at++ = *c;
    (void)snprintf(at, 16, "?immutable=1");
    return out;
}

static bool has_log(const char *path)
{
    struct stat st;
    char *log = dm_xasprintf("%s-wal", path);
    bool has = stat(log, &st) == 0 && st.st_size > 0;
    free(log);
    return has;
}

static enum dm_status cannot_open(const char *path, sqlite3 **db, struct dm_error *err)
{
    enum dm_status status = *db != NULL ? dm_sql_fail_in(*db, path, "cannot open the catalog", err)
                                        : dm_fail(err, DM_ERROR_TRANSIENT, NULL, "%s: out of memory", path);
    (void)sqlite3_close(*db);
    *db = NULL;
    return status;
}

/* Opened, and a first look at it works: SQLite opens a file without reading it. */
static int open_and_look(const char *name, int flags, sqlite3 **out)
{
    int code = sqlite3_open_v2(name, out, flags, NULL);
    if (code != SQLITE_OK)
        return code;
    sqlite3_extended_result_codes(*out, 1);
    sqlite3_busy_timeout(*out, 10000);
    return sqlite3_exec(*out, "SELECT count(*) FROM sqlite_master", NULL, NULL, NULL);
}

enum dm_status dm_sql_open_catalog(const char *path, bool create, sqlite3 **out, struct dm_error *err)
{
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_FULLMUTEX | (create ? SQLITE_OPEN_CREATE : 0);
    int code = open_and_look(path, flags, out);
    int kind = code & 0xff;
    if (code == SQLITE_OK)
        return DM_OK;
    if (create || (kind != SQLITE_CANTOPEN && kind != SQLITE_READONLY) || access(path, R_OK) != 0)
        return cannot_open(path, out, err);
    if (has_log(path)) {
        (void)cannot_open(path, out, err);
        dm_error_hint(
            err, "its last changes are in the log beside it, which can only be read where the folder can be "
                 "written: run `datamirror status` there once");
        return DM_FAIL;
    }
    (void)sqlite3_close(*out);
    char *uri = immutable_uri(path);
    code = open_and_look(uri, SQLITE_OPEN_READONLY | SQLITE_OPEN_FULLMUTEX | SQLITE_OPEN_URI, out);
    free(uri);
    return code == SQLITE_OK ? DM_OK : cannot_open(path, out, err);
}
