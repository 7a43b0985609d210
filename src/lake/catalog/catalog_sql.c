#include "lake/catalog/catalog_sql.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

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
