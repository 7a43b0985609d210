#include "mirror/hygiene/work_order.h"

#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/memory.h"
#include "lake/catalog/catalog_sql.h"

static const char what[] = "orders of deletion"; /* in errors */

void dm_work_order_release(struct dm_work_order *o)
{
    free(o->token);
    free(o->name);
    free(o->description);
    free(o->action);
    free(o->status);
    free(o->detail);
    json_decref(o->report);
    *o = (struct dm_work_order){0};
}

void dm_work_orders_release(struct dm_work_orders *list)
{
    for (size_t i = 0; i < list->n; i++)
        dm_work_order_release(&list->items[i]);
    free(list->items);
    *list = (struct dm_work_orders){0};
}

enum dm_status dm_work_order_create_tables(struct sqlite3 *db, struct dm_error *err)
{
    static const char sql[] =
        "CREATE TABLE IF NOT EXISTS dm_work_order("
        " id INTEGER PRIMARY KEY, token TEXT UNIQUE, name TEXT, description TEXT, action TEXT NOT NULL,"
        " status TEXT NOT NULL, detail TEXT, created_us INTEGER NOT NULL, erased_us INTEGER NOT NULL DEFAULT "
        "0,"
        " report TEXT NOT NULL);"
        "CREATE TABLE IF NOT EXISTS dm_work_order_key("
        " work_order INTEGER NOT NULL, dataset INTEGER NOT NULL, hash BLOB NOT NULL,"
        " PRIMARY KEY(work_order, dataset, hash)) WITHOUT ROWID;"
        "CREATE TABLE IF NOT EXISTS dm_work_order_columns("
        " work_order INTEGER NOT NULL, dataset INTEGER NOT NULL, columns TEXT NOT NULL,"
        " PRIMARY KEY(work_order, dataset, columns)) WITHOUT ROWID;";
    return sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK ? DM_OK : dm_sql_fail(db, what, err);
}

enum dm_status dm_work_order_next(struct sqlite3 *db, int64_t *id, struct dm_error *err)
{
    sqlite3_stmt *st;
    if (dm_sql_prepare(db, &st, what, "SELECT coalesce(max(id), 0) + 1 FROM dm_work_order", err, "") != DM_OK)
        return DM_FAIL;
    int code = sqlite3_step(st);
    *id = sqlite3_column_int64(st, 0);
    sqlite3_finalize(st);
    return code == SQLITE_ROW ? DM_OK : dm_sql_fail(db, what, err);
}

enum dm_status dm_work_order_insert(struct sqlite3 *db, const struct dm_work_order *o, struct dm_error *err)
{
    sqlite3_stmt *st;
    char *report = json_dumps(o->report, JSON_COMPACT);
    enum dm_status status = dm_sql_prepare(
        db, &st, what,
        "INSERT INTO dm_work_order(id, token, name, description, action, status, detail, created_us,"
        " erased_us, report) VALUES(?,?,?,?,?,?,?,?,?,?)",
        err,
        "itttttt"
        "iit",
        o->id, o->token, o->name, o->description, o->action, o->status, o->detail, o->created_us,
        o->erased_us, report);
    if (status == DM_OK)
        status = dm_sql_finish(db, st, what, err);
    free(report);
    return status;
}

enum dm_status dm_work_order_update(struct sqlite3 *db, const struct dm_work_order *o, struct dm_error *err)
{
    sqlite3_stmt *st;
    char *report = json_dumps(o->report, JSON_COMPACT);
    enum dm_status status = dm_sql_prepare(
        db, &st, what, "UPDATE dm_work_order SET status=?2, detail=?3, erased_us=?4, report=?5 WHERE id=?1",
        err, "ittit", o->id, o->status, o->detail, o->erased_us, report);
    if (status == DM_OK)
        status = dm_sql_finish(db, st, what, err);
    free(report);
    return status;
}

static enum dm_status tables_there(struct sqlite3 *db, bool *there, struct dm_error *err)
{
    sqlite3_stmt *st;
    if (dm_sql_prepare(db, &st, what, "SELECT count(*) FROM sqlite_master WHERE name = 'dm_work_order_key'",
                       err, "") != DM_OK)
        return DM_FAIL;
    int code = sqlite3_step(st);
    *there = code == SQLITE_ROW && sqlite3_column_int(st, 0) > 0;
    sqlite3_finalize(st);
    return code == SQLITE_ROW ? DM_OK : dm_sql_fail(db, what, err);
}

enum dm_status dm_work_order_rename(struct sqlite3 *db, int64_t id, const char *name, const char *description,
                                    struct dm_error *err)
{
    bool there = false;
    enum dm_status status = tables_there(db, &there, err);
    if (status == DM_OK && there)
        status = dm_sql_run(db, what,
                            "UPDATE dm_work_order SET name=coalesce(?2, name),"
                            " description=coalesce(?3, description) WHERE id=?1",
                            err, "itt", id, name, description);
    return status != DM_OK || (there && sqlite3_changes(db) > 0) ? status : DM_END;
}

static char *text_at(sqlite3_stmt *st, int i)
{
    return dm_xstrdup((const char *)sqlite3_column_text(st, i));
}

static void read_order(sqlite3_stmt *st, struct dm_work_order *o)
{
    const char *report = (const char *)sqlite3_column_text(st, 9);
    *o = (struct dm_work_order){.id = sqlite3_column_int64(st, 0),
                                .token = text_at(st, 1),
                                .name = text_at(st, 2),
                                .description = text_at(st, 3),
                                .action = text_at(st, 4),
                                .status = text_at(st, 5),
                                .detail = text_at(st, 6),
                                .created_us = sqlite3_column_int64(st, 7),
                                .erased_us = sqlite3_column_int64(st, 8),
                                .report = report != NULL ? json_loads(report, 0, NULL) : NULL};
    if (!json_is_object(o->report)) {
        json_decref(o->report);
        o->report = json_object();
    }
}

enum dm_status dm_work_order_list(struct sqlite3 *db, int64_t id, const char *token, const char *status_word,
                                  struct dm_work_orders *out, struct dm_error *err)
{
    sqlite3_stmt *st;
    bool there = false;
    *out = (struct dm_work_orders){0};
    if (tables_there(db, &there, err) != DM_OK)
        return DM_FAIL;
    if (!there)
        return DM_OK;
    if (dm_sql_prepare(
            db, &st, what,
            "SELECT id, token, name, description, action, status, detail, created_us, erased_us, report"
            " FROM dm_work_order WHERE (?1 = 0 OR id = ?1) AND (?2 IS NULL OR token = ?2) AND"
            " (?3 IS NULL OR status = ?3) ORDER BY id DESC",
            err, "itt", id, token, status_word) != DM_OK)
        return DM_FAIL;
    int code;
    while ((code = sqlite3_step(st)) == SQLITE_ROW) {
        out->items = dm_xrealloc(out->items, out->n + 1, sizeof *out->items);
        read_order(st, &out->items[out->n++]);
    }
    sqlite3_finalize(st);
    if (code == SQLITE_DONE)
        return DM_OK;
    dm_work_orders_release(out);
    return dm_sql_fail(db, what, err);
}

static void put_text(json_t *o, const char *key, const char *text)
{
    json_object_set_new(o, key, text != NULL ? json_string(text) : json_null());
}

static void put_time(json_t *o, const char *key, int64_t wall_us)
{
    char text[40];
    put_text(o, key, wall_us != 0 ? dm_clock_format_us(wall_us, text, sizeof text) : NULL);
}

json_t *dm_work_order_json(const struct dm_work_order *order)
{
    json_t *o = json_object();
    json_object_set_new(o, "order", json_integer(order->id));
    put_text(o, "name", order->name);
    put_text(o, "description", order->description);
    put_text(o, "action", order->action);
    put_text(o, "status", order->status);
    put_text(o, "detail", order->detail);
    put_time(o, "deleted_at", order->created_us);
    put_time(o, "erased_at", order->erased_us);
    json_object_update(o, order->report);
    return o;
}

/* ---- keys ---- */

enum dm_status dm_work_order_put_keys(struct sqlite3 *db, int64_t id, uint32_t dataset,
                                      const struct dm_key_hash *hashes, size_t n, struct dm_error *err)
{
    sqlite3_stmt *st;
    if (dm_sql_prepare(db, &st, what, "INSERT OR IGNORE INTO dm_work_order_key VALUES(?,?,?)", err, "ii", id,
                       (int64_t)dataset) != DM_OK)
        return DM_FAIL;
    enum dm_status status = DM_OK;
    for (size_t i = 0; i < n && status == DM_OK; i++) {
        sqlite3_bind_blob(st, 3, hashes[i].bytes, (int)sizeof hashes[i].bytes, SQLITE_STATIC);
        if (sqlite3_step(st) != SQLITE_DONE)
            status = dm_sql_fail(db, what, err);
        sqlite3_reset(st);
    }
    sqlite3_finalize(st);
    return status;
}

enum dm_status dm_work_order_datasets(struct sqlite3 *db, int64_t id, uint32_t **datasets, size_t *n,
                                      struct dm_error *err)
{
    sqlite3_stmt *st;
    *datasets = NULL;
    *n = 0;
    if (dm_sql_prepare(db, &st, what, "SELECT DISTINCT dataset FROM dm_work_order_key WHERE work_order = ?",
                       err, "i", id) != DM_OK)
        return DM_FAIL;
    int code;
    while ((code = sqlite3_step(st)) == SQLITE_ROW) {
        *datasets = dm_xrealloc(*datasets, *n + 1, sizeof **datasets);
        (*datasets)[(*n)++] = (uint32_t)sqlite3_column_int64(st, 0);
    }
    sqlite3_finalize(st);
    return code == SQLITE_DONE ? DM_OK : dm_sql_fail(db, what, err);
}

enum dm_status dm_work_order_keys(struct sqlite3 *db, int64_t id, uint32_t dataset, struct dm_key_hash **out,
                                  size_t *n, struct dm_error *err)
{
    sqlite3_stmt *st;
    size_t room = 0;
    *out = NULL;
    *n = 0;
    if (dm_sql_prepare(db, &st, what,
                       "SELECT hash FROM dm_work_order_key WHERE work_order = ? AND dataset = ?", err, "ii",
                       id, (int64_t)dataset) != DM_OK)
        return DM_FAIL;
    int code;
    while ((code = sqlite3_step(st)) == SQLITE_ROW) {
        if (*n == room) {
            room = room == 0 ? 64 : room * 2;
            *out = dm_xrealloc(*out, room, sizeof **out);
        }
        struct dm_key_hash *h = &(*out)[(*n)++];
        *h = (struct dm_key_hash){0};
        if (sqlite3_column_bytes(st, 0) == (int)sizeof h->bytes)
            memcpy(h->bytes, sqlite3_column_blob(st, 0), sizeof h->bytes);
    }
    sqlite3_finalize(st);
    return code == SQLITE_DONE ? DM_OK : dm_sql_fail(db, what, err);
}

enum dm_status dm_work_order_put_columns(struct sqlite3 *db, int64_t id, uint32_t dataset,
                                         const struct dm_column_list *columns, struct dm_error *err)
{
    char *text = dm_column_list_text(columns);
    enum dm_status status = dm_sql_run(db, what, "INSERT OR IGNORE INTO dm_work_order_columns VALUES(?,?,?)",
                                       err, "iit", id, (int64_t)dataset, text);
    free(text);
    return status;
}

enum dm_status dm_work_order_columns(struct sqlite3 *db, int64_t id, uint32_t dataset,
                                     struct dm_column_list **out, size_t *n, struct dm_error *err)
{
    sqlite3_stmt *st;
    *out = NULL;
    *n = 0;
    if (dm_sql_prepare(db, &st, what,
                       "SELECT columns FROM dm_work_order_columns WHERE work_order = ? AND dataset = ?", err,
                       "ii", id, (int64_t)dataset) != DM_OK)
        return DM_FAIL;
    int code;
    while ((code = sqlite3_step(st)) == SQLITE_ROW) {
        *out = dm_xrealloc(*out, *n + 1, sizeof **out);
        (*out)[(*n)++] = dm_column_list_read((const char *)sqlite3_column_text(st, 0));
    }
    sqlite3_finalize(st);
    return code == SQLITE_DONE ? DM_OK : dm_sql_fail(db, what, err);
}

enum dm_status dm_work_order_drop_keys(struct sqlite3 *db, int64_t id, struct dm_error *err)
{
    if (dm_sql_run(db, what, "DELETE FROM dm_work_order_columns WHERE work_order = ?", err, "i", id) != DM_OK)
        return DM_FAIL;
    return dm_sql_run(db, what, "DELETE FROM dm_work_order_key WHERE work_order = ?", err, "i", id);
}
