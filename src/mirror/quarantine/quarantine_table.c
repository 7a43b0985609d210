#include "mirror/quarantine/quarantine_table.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/memory.h"
#include "base/utf8.h"
#include "lake/catalog/catalog_sql.h"
#include "mirror/quarantine/quarantine_names.h"

static const char create_sql[] =
    "CREATE TABLE IF NOT EXISTS dm_quarantine("
    " id INTEGER PRIMARY KEY AUTOINCREMENT, dataset INTEGER NOT NULL, reason TEXT NOT NULL,"
    " message TEXT NOT NULL, key TEXT, raw TEXT, op INTEGER NOT NULL, position TEXT, time_us INTEGER NOT "
    "NULL,"
    " source TEXT, raw_bytes INTEGER, waits_for INTEGER, parent_key BLOB, row_key BLOB, version BLOB,"
    " relationship TEXT, names INTEGER);"
    "CREATE INDEX IF NOT EXISTS dm_quarantine_dataset ON dm_quarantine(dataset, id);"
    "CREATE INDEX IF NOT EXISTS dm_quarantine_place ON dm_quarantine(dataset, position);";

/* Columns that a catalog of an older version lacks. */
static const struct {
    const char *name, *type;
} added_columns[] = {
    {"source", "TEXT"},  {"raw_bytes", "INTEGER"}, {"waits_for", "INTEGER"}, {"parent_key", "BLOB"},
    {"row_key", "BLOB"}, {"version", "BLOB"},      {"relationship", "TEXT"}, {"names", "INTEGER"},
};

static const char index_sql[] =
    "CREATE INDEX IF NOT EXISTS dm_quarantine_parent ON dm_quarantine(waits_for, parent_key)"
    " WHERE waits_for IS NOT NULL;"
    "DROP INDEX IF EXISTS dm_quarantine_child;" /* of before a key could wait in many versions */
    "CREATE INDEX IF NOT EXISTS dm_quarantine_child_version ON dm_quarantine(dataset, row_key, version)"
    " WHERE waits_for IS NOT NULL;";

/* What a row misses besides its first parent. In a catalog that lacks the table nobody wrote that down, so its waiting rows are asked again. */
static const char also_sql[] =
    "UPDATE dm_quarantine SET waits_for = 0 WHERE waits_for IS NOT NULL;"
    "CREATE TABLE IF NOT EXISTS dm_waits_also(row INTEGER NOT NULL, parent INTEGER NOT NULL,"
    " parent_key BLOB NOT NULL);"
    "CREATE INDEX IF NOT EXISTS dm_waits_also_row ON dm_waits_also(row);"
    "CREATE INDEX IF NOT EXISTS dm_waits_also_parent ON dm_waits_also(parent, parent_key);"
    "CREATE TRIGGER IF NOT EXISTS dm_quarantine_gone AFTER DELETE ON dm_quarantine"
    " WHEN old.waits_for IS NOT NULL BEGIN DELETE FROM dm_waits_also WHERE row = old.id; END;";

static bool has_table(sqlite3 *db, const char *name)
{
    sqlite3_stmt *st;
    if (sqlite3_prepare_v2(db, "SELECT 1 FROM sqlite_master WHERE type='table' AND name=?", -1, &st, NULL) !=
        SQLITE_OK)
        return false;
    sqlite3_bind_text(st, 1, name, -1, SQLITE_STATIC);
    bool has = sqlite3_step(st) == SQLITE_ROW;
    sqlite3_finalize(st);
    return has;
}

static bool has_column(sqlite3 *db, const char *name)
{
    sqlite3_stmt *st;
    if (sqlite3_prepare_v2(db, "SELECT 1 FROM pragma_table_info('dm_quarantine') WHERE name=?", -1, &st,
                           NULL) != SQLITE_OK)
        return false;
    sqlite3_bind_text(st, 1, name, -1, SQLITE_STATIC);
    bool has = sqlite3_step(st) == SQLITE_ROW;
    sqlite3_finalize(st);
    return has;
}

enum dm_status dm_quarantine_create(sqlite3 *db, struct dm_error *err)
{
    if (sqlite3_exec(db, create_sql, NULL, NULL, NULL) != SQLITE_OK)
        return dm_sql_fail(db, "making dm_quarantine", err);
    for (size_t i = 0; i < sizeof added_columns / sizeof *added_columns; i++) {
        if (has_column(db, added_columns[i].name))
            continue;
        char sql[128];
        (void)snprintf(sql, sizeof sql, "ALTER TABLE dm_quarantine ADD COLUMN %s %s", added_columns[i].name,
                       added_columns[i].type);
        /* Another process may be doing just the same. */
        if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK && !has_column(db, added_columns[i].name))
            return dm_sql_fail(db, "adding a column to dm_quarantine", err);
    }
    if (sqlite3_exec(db, index_sql, NULL, NULL, NULL) != SQLITE_OK)
        return dm_sql_fail(db, "making the indexes of dm_quarantine", err);
    if (!has_table(db, "dm_waits_also") && sqlite3_exec(db, also_sql, NULL, NULL, NULL) != SQLITE_OK)
        return dm_sql_fail(db, "making dm_waits_also", err);
    return dm_quarantine_names_create(db, err);
}

/* ---- writing ---- */

void dm_quarantine_writer_release(struct dm_quarantine_writer *w)
{
    sqlite3_finalize(w->insert);
    sqlite3_finalize(w->also);
    w->insert = w->also = NULL;
}

/* The other parents that the row, which was just inserted, misses. */
static enum dm_status add_also(struct dm_quarantine_writer *w, sqlite3 *db,
                               const struct dm_waiting_for *waits, struct dm_error *err)
{
    if (w->also == NULL &&
        sqlite3_prepare_v2(db, "INSERT INTO dm_waits_also(row, parent, parent_key) VALUES(?1, ?2, ?3)", -1,
                           &w->also, NULL) != SQLITE_OK)
        return dm_sql_fail(db, "writing to quarantine", err);
    int64_t row = sqlite3_last_insert_rowid(db);
    enum dm_status status = DM_OK;
    for (size_t i = 1; i < waits->n_parents && status == DM_OK; i++) {
        sqlite3_bind_int64(w->also, 1, row);
        sqlite3_bind_int64(w->also, 2, (sqlite3_int64)waits->parents[i].dataset);
        sqlite3_bind_blob64(w->also, 3, waits->parents[i].key, waits->parents[i].key_len, SQLITE_STATIC);
        if (sqlite3_step(w->also) != SQLITE_DONE)
            status = dm_sql_fail(db, "writing to quarantine", err);
        sqlite3_reset(w->also);
    }
    return status;
}

enum dm_status dm_quarantine_add(struct dm_quarantine_writer *w, sqlite3 *db, uint32_t dataset,
                                 const struct dm_bad_row *row, const char *source, const char *position,
                                 const struct dm_waiting_for *waits, struct dm_error *err)
{
    if (w->insert == NULL &&
        sqlite3_prepare_v2(
            db,
            "INSERT INTO dm_quarantine(dataset, reason, message, key, raw, op, position, time_us,"
            " source, raw_bytes, waits_for, parent_key, row_key, version, relationship)"
            " SELECT ?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13,?14,?15 WHERE ?16 = 0 OR NOT EXISTS"
            " (SELECT 1 FROM dm_quarantine WHERE dataset=?1 AND position=?7 AND reason=?2 AND raw IS ?5"
            " AND waits_for IS NULL)",
            -1, &w->insert, NULL) != SQLITE_OK)
        return dm_sql_fail(db, "writing to quarantine", err);
    sqlite3_stmt *st = w->insert;
    size_t length = row->raw != NULL ? strlen(row->raw) : 0;
    bool whole = row->raw_bytes == 0 && length <= DM_QUARANTINE_RAW_MAX;
    size_t kept =
        whole || length <= DM_QUARANTINE_RAW_KEPT ? length : dm_utf8_whole(row->raw, DM_QUARANTINE_RAW_KEPT);
    sqlite3_bind_int64(st, 1, (sqlite3_int64)dataset);
    sqlite3_bind_text(st, 2, row->reason, -1, SQLITE_STATIC);
    sqlite3_bind_text(st, 3, row->message, -1, SQLITE_STATIC);
    sqlite3_bind_text(st, 4, row->key, -1, SQLITE_STATIC);
    if (row->raw != NULL)
        sqlite3_bind_text(st, 5, row->raw, (int)kept, SQLITE_STATIC);
    sqlite3_bind_int(st, 6, (int)row->op);
    sqlite3_bind_text(st, 7, position, -1, SQLITE_STATIC);
    sqlite3_bind_int64(st, 8, dm_clock_wall_us());
    sqlite3_bind_text(st, 9, source, -1, SQLITE_STATIC);
    if (!whole)
        sqlite3_bind_int64(st, 10, (sqlite3_int64)(row->raw_bytes != 0 ? row->raw_bytes : length));
    /* A file that is taken in again brings the same bad lines: they are there already. */
    sqlite3_bind_int(
        st, 16, row->place != NULL && waits == NULL && strcmp(source != NULL ? source : "", "replay") != 0);
    if (waits != NULL) {
        sqlite3_bind_int64(st, 11, (sqlite3_int64)waits->parents[0].dataset);
        sqlite3_bind_blob64(st, 12, waits->parents[0].key, waits->parents[0].key_len, SQLITE_STATIC);
        sqlite3_bind_blob64(st, 13, waits->row_key, waits->row_key_len, SQLITE_STATIC);
        sqlite3_bind_blob64(st, 14, waits->version, waits->version_len, SQLITE_STATIC);
        sqlite3_bind_text(st, 15, waits->relationship, -1, SQLITE_STATIC);
    }
    int code = sqlite3_step(st);
    enum dm_status status = code == SQLITE_DONE ? DM_OK : dm_sql_fail(db, "writing to quarantine", err);
    sqlite3_reset(st);
    sqlite3_clear_bindings(st);
    return status == DM_OK && waits != NULL && waits->n_parents > 1 ? add_also(w, db, waits, err) : status;
}

/* ---- reading ---- */

/* Rows by the names of now: the names of the last row that was read, which are mostly those of the next one, too. */
struct naming {
    sqlite3 *db;
    int64_t id; /* 0: nothing yet */
    struct dm_schema *then, *now;
    struct dm_buffer raw, key;
};

/* *out: NULL when there are none. */
static enum dm_status names_of(sqlite3 *db, const char *sql, int64_t id, struct dm_schema **out,
                               struct dm_error *err)
{
    static const char what[] = "names of columns in quarantine";
    sqlite3_stmt *st = NULL;
    dm_schema_unref(*out);
    *out = NULL;
    if (dm_sql_prepare(db, &st, what, sql, err, "i", id) != DM_OK)
        return DM_FAIL;
    int code = sqlite3_step(st);
    if (code == SQLITE_ROW)
        *out = dm_quarantine_names_parse((const char *)sqlite3_column_text(st, 0));
    sqlite3_finalize(st);
    return code == SQLITE_ROW || code == SQLITE_DONE ? DM_OK : dm_sql_fail(db, what, err);
}

static enum dm_status translate(struct naming *n, struct dm_buffer *out, const char **text,
                                struct dm_error *err)
{
    if (*text == NULL)
        return DM_OK;
    if (out->max == 0)
        dm_buffer_init(out, 4 * DM_QUARANTINE_RAW_MAX);
    dm_buffer_clear(out);
    if (dm_quarantine_names_translate(out, *text, n->then, n->now, err) != DM_OK)
        return DM_FAIL;
    *text = (const char *)out->data;
    return DM_OK;
}

/* id: dm_quarantine.names of the row; 0: it is by the names of now already. */
static enum dm_status name_row(struct naming *n, int64_t id, struct dm_quarantine_row *row,
                               struct dm_error *err)
{
    if (id == 0)
        return DM_OK;
    if (id != n->id && (names_of(n->db, "SELECT fields FROM dm_quarantine_names WHERE id = ?1", id, &n->then,
                                 err) != DM_OK ||
                        names_of(n->db,
                                 "SELECT fields FROM dm_quarantine_names WHERE current = 1 AND dataset ="
                                 " (SELECT dataset FROM dm_quarantine_names WHERE id = ?1)",
                                 id, &n->now, err) != DM_OK))
        return DM_FAIL;
    n->id = id;
    if (n->then == NULL || n->now == NULL)
        return DM_OK;
    enum dm_status status = translate(n, &n->key, &row->key, err);
    return status == DM_OK && row->raw_bytes == 0 ? translate(n, &n->raw, &row->raw, err) : status;
}

static void release_naming(struct naming *n)
{
    dm_schema_unref(n->then);
    dm_schema_unref(n->now);
    dm_buffer_release(&n->raw);
    dm_buffer_release(&n->key);
}

/* The choice as " WHERE …"; ids go through a JSON array, of which there may be many. */
static const char where_sql[] = " WHERE (?1 = 0 OR dataset = ?1) AND (?2 IS NULL OR reason = ?2)"
                                " AND (?3 IS NULL OR id IN (SELECT value FROM json_each(?3))) AND id > ?4";

static char *ids_json(const struct dm_quarantine_choice *c)
{
    if (c->n_ids == 0)
        return NULL;
    size_t size = c->n_ids * 22 + 3;
    char *text = dm_xalloc(size);
    char *at = text;
    *at++ = '[';
    for (size_t i = 0; i < c->n_ids; i++)
        at += snprintf(at, size - (size_t)(at - text), "%s%lld", i > 0 ? "," : "", (long long)c->ids[i]);
    *at++ = ']';
    *at = '\0';
    return text;
}

static enum dm_status prepare_choice(sqlite3 *db, const char *head, const char *tail,
                                     const struct dm_quarantine_choice *c, sqlite3_stmt **out,
                                     struct dm_error *err)
{
    char *sql = dm_xasprintf("%s%s%s", head, where_sql, tail);
    int code = sqlite3_prepare_v2(db, sql, -1, out, NULL);
    free(sql);
    if (code != SQLITE_OK)
        return dm_sql_fail(db, "reading dm_quarantine", err);
    char *ids = ids_json(c);
    sqlite3_bind_int64(*out, 1, (sqlite3_int64)c->dataset);
    sqlite3_bind_text(*out, 2, c->reason, -1, SQLITE_TRANSIENT);
    sqlite3_bind_text(*out, 3, ids, -1, SQLITE_TRANSIENT);
    sqlite3_bind_int64(*out, 4, c->after);
    free(ids);
    return DM_OK;
}

static const char *text_at(sqlite3_stmt *st, int i)
{
    return (const char *)sqlite3_column_text(st, i);
}

enum dm_status dm_quarantine_each(sqlite3 *db, const struct dm_quarantine_choice *choice, dm_quarantine_fn fn,
                                  void *ctx, struct dm_error *err)
{
    sqlite3_stmt *st;
    if (prepare_choice(db,
                       "SELECT id, dataset, reason, message, key, raw, coalesce(raw_bytes, 0), op, source, "
                       "position, time_us, waits_for IS NOT NULL, coalesce(names, 0) FROM dm_quarantine",
                       " ORDER BY id LIMIT ?5", choice, &st, err) != DM_OK)
        return DM_FAIL;
    sqlite3_bind_int64(st, 5, choice->limit == 0 ? -1 : (sqlite3_int64)choice->limit);
    enum dm_status status = DM_OK;
    struct naming naming = {.db = db};
    int code;
    while ((code = sqlite3_step(st)) == SQLITE_ROW && status == DM_OK) {
        struct dm_quarantine_row row = {
            .id = sqlite3_column_int64(st, 0),
            .dataset = (uint32_t)sqlite3_column_int64(st, 1),
            .reason = text_at(st, 2),
            .message = text_at(st, 3),
            .key = text_at(st, 4),
            .raw = text_at(st, 5),
            .raw_bytes = (uint64_t)sqlite3_column_int64(st, 6),
            .op = (enum dm_op)sqlite3_column_int(st, 7),
            .source = text_at(st, 8),
            .position = text_at(st, 9),
            .time_us = sqlite3_column_int64(st, 10),
            .waiting = sqlite3_column_int(st, 11) != 0,
        };
        status = name_row(&naming, sqlite3_column_int64(st, 12), &row, err);
        if (status == DM_OK)
            status = fn(ctx, &row, err);
    }
    release_naming(&naming);
    sqlite3_finalize(st);
    if (status == DM_OK && code != SQLITE_DONE && code != SQLITE_ROW)
        return dm_sql_fail(db, "reading dm_quarantine", err);
    return status;
}

enum dm_status dm_quarantine_count(sqlite3 *db, const struct dm_quarantine_choice *choice, uint64_t *n,
                                   struct dm_error *err)
{
    sqlite3_stmt *st;
    *n = 0;
    if (prepare_choice(db, "SELECT count(*) FROM dm_quarantine", "", choice, &st, err) != DM_OK)
        return DM_FAIL;
    int code = sqlite3_step(st);
    if (code == SQLITE_ROW)
        *n = (uint64_t)sqlite3_column_int64(st, 0);
    sqlite3_finalize(st);
    return code == SQLITE_ROW ? DM_OK : dm_sql_fail(db, "counting dm_quarantine", err);
}

enum dm_status dm_quarantine_remove(sqlite3 *db, const struct dm_quarantine_choice *choice, uint64_t *n,
                                    struct dm_error *err)
{
    sqlite3_stmt *st;
    if (prepare_choice(db, "DELETE FROM dm_quarantine", "", choice, &st, err) != DM_OK)
        return DM_FAIL;
    int code = sqlite3_step(st);
    sqlite3_finalize(st);
    if (code != SQLITE_DONE)
        return dm_sql_fail(db, "removing from dm_quarantine", err);
    if (n != NULL)
        *n = (uint64_t)sqlite3_changes64(db);
    return DM_OK;
}

enum dm_status dm_quarantine_ask_again(sqlite3 *db, uint32_t dataset, struct dm_error *err)
{
    return dm_sql_run(db, "waiting rows",
                      "UPDATE dm_quarantine SET waits_for = 0 WHERE waits_for IS NOT NULL AND (dataset = ?1"
                      " OR waits_for = ?1 OR id IN (SELECT row FROM dm_waits_also WHERE parent = ?1))",
                      err, "u", (uint64_t)dataset);
}

enum dm_status dm_quarantine_groups(sqlite3 *db, uint32_t dataset, dm_quarantine_group_fn fn, void *ctx,
                                    struct dm_error *err)
{
    static const char sql[] =
        "SELECT dataset, reason, min(message), count(*), min(time_us), max(time_us), max(id),"
        " max(waits_for) IS NOT NULL"
        " FROM dm_quarantine WHERE ?1 = 0 OR dataset = ?1 GROUP BY dataset, reason ORDER BY dataset, reason";
    static const char last_sql[] = "SELECT message FROM dm_quarantine WHERE id=?";
    sqlite3_stmt *st = NULL, *last = NULL;
    if (sqlite3_prepare_v2(db, sql, -1, &st, NULL) != SQLITE_OK ||
        sqlite3_prepare_v2(db, last_sql, -1, &last, NULL) != SQLITE_OK) {
        sqlite3_finalize(st);
        return dm_sql_fail(db, "reading dm_quarantine", err);
    }
    sqlite3_bind_int64(st, 1, (sqlite3_int64)dataset);
    enum dm_status status = DM_OK;
    int code;
    while ((code = sqlite3_step(st)) == SQLITE_ROW && status == DM_OK) {
        sqlite3_bind_int64(last, 1, sqlite3_column_int64(st, 6));
        const char *message = sqlite3_step(last) == SQLITE_ROW ? text_at(last, 0) : text_at(st, 2);
        const struct dm_quarantine_group g = {
            .dataset = (uint32_t)sqlite3_column_int64(st, 0),
            .reason = text_at(st, 1),
            .message = message,
            .rows = (uint64_t)sqlite3_column_int64(st, 3),
            .first_us = sqlite3_column_int64(st, 4),
            .last_us = sqlite3_column_int64(st, 5),
            .waiting = sqlite3_column_int(st, 7) != 0,
        };
        status = fn(ctx, &g, err);
        sqlite3_reset(last);
    }
    sqlite3_finalize(st);
    sqlite3_finalize(last);
    if (status == DM_OK && code != SQLITE_DONE && code != SQLITE_ROW)
        return dm_sql_fail(db, "reading dm_quarantine", err);
    return status;
}
