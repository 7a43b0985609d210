#include "mirror/order/order_table.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/memory.h"
#include "lake/catalog/catalog_sql.h"

static const char what[] = "orders"; /* in errors */

enum dm_status dm_order_table_create(sqlite3 *db, struct dm_error *err)
{
    static const char sql[] =
        "CREATE TABLE IF NOT EXISTS dm_order("
        " id INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL, body TEXT NOT NULL, state INTEGER NOT "
        "NULL, asker INTEGER NOT NULL, asked_us INTEGER NOT NULL, rows INTEGER NOT NULL DEFAULT 0,"
        " done INTEGER NOT NULL DEFAULT 0, total INTEGER NOT NULL DEFAULT 0, cancelled INTEGER NOT NULL "
        "DEFAULT 0, answer TEXT, error_class INTEGER NOT NULL DEFAULT 0, error TEXT, hint TEXT,"
        " answered_us INTEGER)";
    return sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK ? DM_OK : dm_sql_fail(db, what, err);
}

void dm_order_row_release(struct dm_order_row *row)
{
    free(row->kind);
    free(row->body);
    free(row->answer);
    *row = (struct dm_order_row){0};
}

enum dm_status dm_order_add(sqlite3 *db, const char *kind, const char *body, int64_t *id,
                            struct dm_error *err)
{
    sqlite3_stmt *st;
    if (dm_sql_prepare(
            db, &st, what, "INSERT INTO dm_order(kind, body, state, asker, asked_us) VALUES(?,?,?,?,?)", err,
            "ttiii", kind, body, (int64_t)DM_ORDER_ASKED, (int64_t)getpid(), dm_clock_wall_us()) != DM_OK ||
        dm_sql_finish(db, st, what, err) != DM_OK)
        return DM_FAIL;
    *id = sqlite3_last_insert_rowid(db);
    return DM_OK;
}

static void read_text(char *out, size_t size, sqlite3_stmt *st, int column)
{
    const char *text = (const char *)sqlite3_column_text(st, column);
    (void)snprintf(out, size, "%s", text != NULL ? text : "");
}

enum dm_status dm_order_look(sqlite3 *db, int64_t id, struct dm_order_row *out, struct dm_error *err)
{
    *out = (struct dm_order_row){.id = id};
    sqlite3_stmt *st;
    if (dm_sql_prepare(
            db, &st, what,
            "SELECT state, rows, done, total, cancelled, answer, error_class, error, hint FROM dm_order "
            "WHERE id=?",
            err, "i", id) != DM_OK)
        return DM_FAIL;
    int code = sqlite3_step(st);
    if (code == SQLITE_ROW) {
        out->state = (enum dm_order_state)sqlite3_column_int(st, 0);
        out->rows = (uint64_t)sqlite3_column_int64(st, 1);
        out->done = (uint64_t)sqlite3_column_int64(st, 2);
        out->total = (uint64_t)sqlite3_column_int64(st, 3);
        out->cancelled = sqlite3_column_int(st, 4) != 0;
        out->answer = dm_xstrdup((const char *)sqlite3_column_text(st, 5));
        out->error.class = (enum dm_error_class)sqlite3_column_int(st, 6);
        read_text(out->error.message, sizeof out->error.message, st, 7);
        read_text(out->error.hint, sizeof out->error.hint, st, 8);
    }
    sqlite3_finalize(st);
    return code == SQLITE_ROW ? DM_OK : code == SQLITE_DONE ? DM_END : dm_sql_fail(db, what, err);
}

enum dm_status dm_order_take(sqlite3 *db, struct dm_order_row *out, struct dm_error *err)
{
    *out = (struct dm_order_row){0};
    sqlite3_stmt *st;
    if (dm_sql_prepare(db, &st, what,
                       "SELECT id, kind, body, cancelled FROM dm_order WHERE state<? ORDER BY id LIMIT 1",
                       err, "i", (int64_t)DM_ORDER_ANSWERED) != DM_OK)
        return DM_FAIL;
    int code = sqlite3_step(st);
    if (code == SQLITE_ROW)
        *out = (struct dm_order_row){.id = sqlite3_column_int64(st, 0),
                                     .state = DM_ORDER_RUNNING,
                                     .kind = dm_xstrdup((const char *)sqlite3_column_text(st, 1)),
                                     .body = dm_xstrdup((const char *)sqlite3_column_text(st, 2)),
                                     .cancelled = sqlite3_column_int(st, 3) != 0};
    sqlite3_finalize(st);
    if (code != SQLITE_ROW)
        return code == SQLITE_DONE ? DM_END : dm_sql_fail(db, what, err);
    if (dm_sql_prepare(db, &st, what, "UPDATE dm_order SET state=?2 WHERE id=?1", err, "ii", out->id,
                       (int64_t)DM_ORDER_RUNNING) != DM_OK ||
        dm_sql_finish(db, st, what, err) != DM_OK) {
        dm_order_row_release(out);
        return DM_FAIL;
    }
    return DM_OK;
}

enum dm_status dm_order_tell(sqlite3 *db, int64_t id, uint64_t rows, uint64_t done, uint64_t total,
                             bool *cancelled, struct dm_error *err)
{
    sqlite3_stmt *st;
    if (dm_sql_prepare(db, &st, what, "UPDATE dm_order SET rows=?2, done=?3, total=?4 WHERE id=?1", err,
                       "iuuu", id, rows, done, total) != DM_OK ||
        dm_sql_finish(db, st, what, err) != DM_OK)
        return DM_FAIL;
    struct dm_order_row row;
    enum dm_status status = dm_order_look(db, id, &row, err);
    *cancelled = status == DM_END || (status == DM_OK && row.cancelled);
    dm_order_row_release(&row);
    return status == DM_FAIL ? DM_FAIL : DM_OK;
}

enum dm_status dm_order_answer(sqlite3 *db, int64_t id, const char *answer, const struct dm_error *why,
                               struct dm_error *err)
{
    bool failed = answer == NULL;
    return dm_sql_run(
        db, what,
        "UPDATE dm_order SET state=?2, answer=?3, error_class=?4, error=?5, hint=?6, answered_us=?7 "
        "WHERE id=?1",
        err, "iititti", id, (int64_t)DM_ORDER_ANSWERED, answer, (int64_t)(failed ? why->class : 0),
        failed ? why->message : NULL, failed ? why->hint : NULL, dm_clock_wall_us());
}

enum dm_status dm_order_cancel(sqlite3 *db, int64_t id, struct dm_error *err)
{
    return dm_sql_run(db, what, "UPDATE dm_order SET cancelled=1 WHERE id=?", err, "i", id);
}

enum dm_status dm_order_remove(sqlite3 *db, int64_t id, struct dm_error *err)
{
    return dm_sql_run(db, what, "DELETE FROM dm_order WHERE id=?", err, "i", id);
}

enum dm_status dm_order_remove_old(sqlite3 *db, struct dm_error *err)
{
    return dm_sql_run(db, what, "DELETE FROM dm_order WHERE state=? AND answered_us<?", err, "ii",
                      (int64_t)DM_ORDER_ANSWERED, dm_clock_wall_us() - INT64_C(3600) * 1000000);
}
