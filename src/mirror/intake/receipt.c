#include "mirror/intake/receipt.h"

#include <jansson.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/memory.h"
#include "lake/catalog/catalog_sql.h"

enum dm_status dm_receipt_create_table(sqlite3 *db, struct dm_error *err)
{
    static const char sql[] =
        "CREATE TABLE IF NOT EXISTS dm_receipt(kind TEXT NOT NULL, dataset TEXT NOT NULL, key TEXT NOT NULL,"
        " content TEXT, result TEXT NOT NULL, time_us INTEGER NOT NULL, PRIMARY KEY(kind, dataset, key))";
    return sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK ? DM_OK : dm_sql_fail(db, "receipts", err);
}

/* The names of the counts as they are stored. */
#define COUNTS(X) \
    X(received) \
    X(upserted) \
    X(inserted) X(deleted) X(stale) X(ties) X(noop_deletes) X(suppressed) X(quarantined) X(waiting)

static char *counts_text(const struct dm_row_counts *c)
{
    json_t *o = json_object();
#define PUT(name) json_object_set_new(o, #name, json_integer((json_int_t)c->name));
    COUNTS(PUT)
#undef PUT
    char *text = json_dumps(o, JSON_COMPACT);
    json_decref(o);
    return text;
}

static void counts_read(const char *text, struct dm_row_counts *c)
{
    json_t *o = json_loads(text, 0, NULL);
#define GET(name) c->name = (uint64_t)json_integer_value(json_object_get(o, #name));
    COUNTS(GET)
#undef GET
    json_decref(o);
}

static enum dm_status find(sqlite3 *db, const char *kind, const char *dataset, const char *key,
                           sqlite3_stmt **out, struct dm_error *err)
{
    if (sqlite3_prepare_v2(db, "SELECT content, result FROM dm_receipt WHERE kind=? AND dataset=? AND key=?",
                           -1, out, NULL) != SQLITE_OK)
        return dm_sql_fail(db, "receipts", err);
    sqlite3_bind_text(*out, 1, kind, -1, SQLITE_STATIC);
    sqlite3_bind_text(*out, 2, dm_declared_name(dataset), -1, free);
    sqlite3_bind_text(*out, 3, key, -1, SQLITE_STATIC);
    int code = sqlite3_step(*out);
    if (code == SQLITE_ROW)
        return DM_OK;
    sqlite3_finalize(*out);
    *out = NULL;
    return code == SQLITE_DONE ? DM_OK : dm_sql_fail(db, "receipts", err);
}

enum dm_status dm_receipt_look(sqlite3 *db, struct dm_intake_job *job, struct dm_error *err)
{
    if (job->receipt_kind == NULL)
        return DM_OK;
    sqlite3_stmt *st = NULL;
    if (find(db, job->receipt_kind, job->dataset, job->receipt_key, &st, err) != DM_OK)
        return DM_FAIL;
    if (st == NULL)
        return DM_OK;
    const char *content = (const char *)sqlite3_column_text(st, 0);
    if (content != NULL && job->receipt_check != NULL && strcmp(content, job->receipt_check) != 0) {
        (void)dm_fail(&job->error, DM_ERROR_CONFLICT, "give each piece of content its own key",
                      "%s: %s \"%s\" was taken in before, with other content", job->dataset,
                      job->receipt_kind, job->receipt_key);
    } else {
        job->repeated = true;
        counts_read((const char *)sqlite3_column_text(st, 1), &job->counts);
    }
    sqlite3_finalize(st);
    return DM_OK;
}

enum dm_status dm_receipt_put(sqlite3 *db, const struct dm_intake_job *job, struct dm_error *err)
{
    sqlite3_stmt *st = NULL;
    if (sqlite3_prepare_v2(db,
                           "INSERT INTO dm_receipt(kind, dataset, key, content, result, time_us) "
                           "VALUES(?,?,?,?,?,?)",
                           -1, &st, NULL) != SQLITE_OK)
        return dm_sql_fail(db, "receipts", err);
    char *result = counts_text(&job->counts);
    sqlite3_bind_text(st, 1, job->receipt_kind, -1, SQLITE_STATIC);
    sqlite3_bind_text(st, 2, dm_declared_name(job->dataset), -1, free);
    sqlite3_bind_text(st, 3, job->receipt_key, -1, SQLITE_STATIC);
    sqlite3_bind_text(st, 4, job->receipt_check, -1, SQLITE_STATIC);
    sqlite3_bind_text(st, 5, result, -1, free);
    sqlite3_bind_int64(st, 6, dm_clock_wall_us());
    int code = sqlite3_step(st);
    enum dm_status status = code == SQLITE_DONE ? DM_OK : dm_sql_fail(db, "receipts", err);
    sqlite3_finalize(st);
    return status;
}

enum dm_status dm_receipt_keys(sqlite3 *db, const char *kind, const char *dataset, const char *prefix,
                               dm_receipt_key_fn fn, void *ctx, struct dm_error *err)
{
    sqlite3_stmt *st = NULL;
    if (sqlite3_prepare_v2(db,
                           "SELECT key FROM dm_receipt WHERE kind=?1 AND dataset=?2 AND key>=?3 AND "
                           "substr(key, 1, length(?3))=?3 AND key<?3||char(1114111)",
                           -1, &st, NULL) != SQLITE_OK)
        return dm_sql_fail(db, "receipts", err);
    sqlite3_bind_text(st, 1, kind, -1, SQLITE_STATIC);
    sqlite3_bind_text(st, 2, dm_declared_name(dataset), -1, free);
    sqlite3_bind_text(st, 3, prefix, -1, SQLITE_STATIC);
    int code;
    while ((code = sqlite3_step(st)) == SQLITE_ROW)
        fn(ctx, (const char *)sqlite3_column_text(st, 0));
    sqlite3_finalize(st);
    return code == SQLITE_DONE ? DM_OK : dm_sql_fail(db, "receipts", err);
}

enum dm_status dm_receipt_remove_old(sqlite3 *db, struct dm_error *err)
{
    static const int64_t week_us = INT64_C(7) * 24 * 3600 * 1000000;
    char *sql = sqlite3_mprintf("DELETE FROM dm_receipt WHERE kind IN ('request', 'order') AND time_us<%lld",
                                (long long)(dm_clock_wall_us() - week_us));
    enum dm_status status =
        sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK ? DM_OK : dm_sql_fail(db, "receipts", err);
    sqlite3_free(sql);
    return status;
}
