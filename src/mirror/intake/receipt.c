#include "mirror/intake/receipt.h"

#include <jansson.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/memory.h"
#include "lake/catalog/catalog_sql.h"

/* ---- names ---- */

enum { hex_size = 2 * sizeof(struct dm_key_hash) + 1 };

static void hex_of(const struct dm_suppression *hasher, const char *text, size_t n, char out[hex_size])
{
    struct dm_key_hash h;
    dm_suppression_hash(hasher, (const uint8_t *)text, n, &h);
    for (size_t i = 0; i < sizeof h.bytes; i++)
        (void)snprintf(out + 2 * i, 3, "%02x", h.bytes[i]);
}

/* What follows "<source>/<name>" in a file's key; NULL: it is no such key. */
static const char *state_of(const char *key)
{
    const char *at = key + strlen(key);
    for (int slashes = 0; at > key && slashes < 3;)
        slashes += *--at == '/';
    return at > key ? at : NULL;
}

/* The key as it is kept; malloc'ed. */
static char *kept_key(const struct dm_suppression *hasher, const char *kind, const char *key)
{
    const char *state = strcmp(kind, "file") == 0 ? state_of(key) : NULL;
    char hex[hex_size];
    hex_of(hasher, key, state != NULL ? (size_t)(state - key) : strlen(key), hex);
    return dm_xasprintf("%s%s", hex, state != NULL ? state : "");
}

/* ---- the table ---- */

static bool has_column(sqlite3 *db)
{
    return sqlite3_exec(db, "SELECT hashed FROM dm_receipt LIMIT 0", NULL, NULL, NULL) == SQLITE_OK;
}

/* One receipt in clear: *more when there was one. */
static enum dm_status hash_one(sqlite3 *db, const struct dm_suppression *hasher, bool *more,
                               struct dm_error *err)
{
    static const char what[] = "receipts";
    sqlite3_stmt *st;
    *more = false;
    if (dm_sql_prepare(db, &st, what, "SELECT rowid, kind, key FROM dm_receipt WHERE hashed = 0 LIMIT 1", err,
                       "") != DM_OK)
        return DM_FAIL;
    int code = sqlite3_step(st);
    *more = code == SQLITE_ROW;
    int64_t id = *more ? sqlite3_column_int64(st, 0) : 0;
    char *key = *more ? kept_key(hasher, (const char *)sqlite3_column_text(st, 1),
                                 (const char *)sqlite3_column_text(st, 2))
                      : NULL;
    sqlite3_finalize(st);
    enum dm_status status = code == SQLITE_ROW || code == SQLITE_DONE ? DM_OK : dm_sql_fail(db, what, err);
    if (status == DM_OK && *more)
        status =
            dm_sql_run(db, what, "UPDATE OR REPLACE dm_receipt SET key = ?2, hashed = 1 WHERE rowid = ?1",
                       err, "it", id, key);
    free(key);
    return status;
}

static enum dm_status hash_all(sqlite3 *db, const struct dm_suppression *hasher, struct dm_error *err)
{
    bool more = true;
    if (sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL) != SQLITE_OK)
        return dm_sql_fail(db, "receipts", err);
    enum dm_status status = DM_OK;
    while (status == DM_OK && more)
        status = hash_one(db, hasher, &more, err);
    if (sqlite3_exec(db, status == DM_OK ? "COMMIT" : "ROLLBACK", NULL, NULL, NULL) != SQLITE_OK &&
        status == DM_OK)
        status = dm_sql_fail(db, "receipts", err);
    return status;
}

enum dm_status dm_receipt_create_table(sqlite3 *db, const struct dm_suppression *hasher, struct dm_error *err)
{
    static const char sql[] =
        "CREATE TABLE IF NOT EXISTS dm_receipt(kind TEXT NOT NULL, dataset TEXT NOT NULL, key TEXT NOT NULL,"
        " content TEXT, result TEXT NOT NULL, time_us INTEGER NOT NULL, hashed INTEGER NOT NULL DEFAULT 0,"
        " PRIMARY KEY(kind, dataset, key))";
    if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK)
        return dm_sql_fail(db, "receipts", err);
    if (!has_column(db) &&
        sqlite3_exec(db, "ALTER TABLE dm_receipt ADD COLUMN hashed INTEGER NOT NULL DEFAULT 0", NULL, NULL,
                     NULL) != SQLITE_OK)
        return dm_sql_fail(db, "receipts", err);
    /* The index makes the look for what is in clear cheap, and is empty. */
    if (sqlite3_exec(db, "CREATE INDEX IF NOT EXISTS dm_receipt_clear ON dm_receipt(hashed) WHERE hashed = 0",
                     NULL, NULL, NULL) != SQLITE_OK)
        return dm_sql_fail(db, "receipts", err);
    return hash_all(db, hasher, err);
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

static enum dm_status find(sqlite3 *db, const struct dm_suppression *hasher, const char *kind,
                           const char *dataset, const char *key, sqlite3_stmt **out, struct dm_error *err)
{
    if (sqlite3_prepare_v2(db, "SELECT content, result FROM dm_receipt WHERE kind=? AND dataset=? AND key=?",
                           -1, out, NULL) != SQLITE_OK)
        return dm_sql_fail(db, "receipts", err);
    sqlite3_bind_text(*out, 1, kind, -1, SQLITE_STATIC);
    sqlite3_bind_text(*out, 2, dm_declared_name(dataset), -1, free);
    sqlite3_bind_text(*out, 3, kept_key(hasher, kind, key), -1, free);
    int code = sqlite3_step(*out);
    if (code == SQLITE_ROW)
        return DM_OK;
    sqlite3_finalize(*out);
    *out = NULL;
    return code == SQLITE_DONE ? DM_OK : dm_sql_fail(db, "receipts", err);
}

enum dm_status dm_receipt_look(sqlite3 *db, const struct dm_suppression *hasher, struct dm_intake_job *job,
                               struct dm_error *err)
{
    if (job->receipt_kind == NULL)
        return DM_OK;
    sqlite3_stmt *st = NULL;
    if (find(db, hasher, job->receipt_kind, job->dataset, job->receipt_key, &st, err) != DM_OK)
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

enum dm_status dm_receipt_put(sqlite3 *db, const struct dm_suppression *hasher,
                              const struct dm_intake_job *job, struct dm_error *err)
{
    sqlite3_stmt *st = NULL;
    if (sqlite3_prepare_v2(db,
                           "INSERT INTO dm_receipt(kind, dataset, key, content, result, time_us, hashed) "
                           "VALUES(?,?,?,?,?,?,1)",
                           -1, &st, NULL) != SQLITE_OK)
        return dm_sql_fail(db, "receipts", err);
    char *result = counts_text(&job->counts);
    sqlite3_bind_text(st, 1, job->receipt_kind, -1, SQLITE_STATIC);
    sqlite3_bind_text(st, 2, dm_declared_name(job->dataset), -1, free);
    sqlite3_bind_text(st, 3, kept_key(hasher, job->receipt_kind, job->receipt_key), -1, free);
    sqlite3_bind_text(st, 4, job->receipt_check, -1, SQLITE_STATIC);
    sqlite3_bind_text(st, 5, result, -1, free);
    sqlite3_bind_int64(st, 6, dm_clock_wall_us());
    int code = sqlite3_step(st);
    enum dm_status status = code == SQLITE_DONE ? DM_OK : dm_sql_fail(db, "receipts", err);
    sqlite3_finalize(st);
    return status;
}

enum dm_status dm_receipt_files(sqlite3 *db, const struct dm_suppression *hasher, const char *dataset,
                                const char *source, const char *name, dm_receipt_file_fn fn, void *ctx,
                                struct dm_error *err)
{
    sqlite3_stmt *st = NULL;
    char hex[hex_size];
    char *whole = dm_xasprintf("%s/%s", source, name);
    hex_of(hasher, whole, strlen(whole), hex);
    free(whole);
    if (sqlite3_prepare_v2(db,
                           "SELECT key FROM dm_receipt WHERE kind='file' AND dataset=?1 AND key>?2||'/' AND"
                           " key<?2||'0'",
                           -1, &st, NULL) != SQLITE_OK)
        return dm_sql_fail(db, "receipts", err);
    sqlite3_bind_text(st, 1, dm_declared_name(dataset), -1, free);
    sqlite3_bind_text(st, 2, hex, -1, SQLITE_STATIC);
    int code;
    while ((code = sqlite3_step(st)) == SQLITE_ROW)
        fn(ctx, (const char *)sqlite3_column_text(st, 0) + strlen(hex) + 1);
    sqlite3_finalize(st);
    return code == SQLITE_DONE ? DM_OK : dm_sql_fail(db, "receipts", err);
}

enum dm_status dm_receipt_remove_old(sqlite3 *db, struct dm_error *err)
{
    static const int64_t week_us = INT64_C(7) * 24 * 3600 * 1000000;
    char *sql = sqlite3_mprintf(
        "DELETE FROM dm_receipt WHERE kind IN ('request', 'order') AND time_us<max(%lld, coalesce((SELECT "
        "time_us FROM"
        " dm_receipt WHERE kind IN ('request', 'order') ORDER BY time_us DESC LIMIT 1 OFFSET %d), 0))",
        (long long)(dm_clock_wall_us() - week_us), (int)DM_RECEIPTS_MAX - 1);
    enum dm_status status =
        sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK ? DM_OK : dm_sql_fail(db, "receipts", err);
    sqlite3_free(sql);
    return status;
}
