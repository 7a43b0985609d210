#include "mirror/state.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/boot.h"
#include "base/clock.h"
#include "base/memory.h"
#include "lake/catalog/catalog_sql.h"
#include "mirror/quarantine/quarantine_table.h"

static const char create_sql[] =
    "CREATE TABLE IF NOT EXISTS dm_source("
    " name TEXT PRIMARY KEY, type TEXT NOT NULL, position INTEGER NOT NULL DEFAULT 0, position_text TEXT,"
    " log_id INTEGER NOT NULL DEFAULT 0, log_stamp INTEGER NOT NULL DEFAULT 0, boot TEXT NOT NULL DEFAULT '',"
    " commit_time_us INTEGER NOT NULL DEFAULT 0, state TEXT NOT NULL DEFAULT 'never run', error TEXT, "
    "error_since_us INTEGER,"
    " lag_bytes INTEGER NOT NULL DEFAULT 0, lag_us INTEGER NOT NULL DEFAULT 0, updated_us INTEGER NOT NULL "
    "DEFAULT 0);"
    "CREATE TABLE IF NOT EXISTS dm_dataset("
    " id INTEGER PRIMARY KEY AUTOINCREMENT, source TEXT NOT NULL, namespace TEXT NOT NULL, name TEXT NOT "
    "NULL,"
    " source_schema TEXT NOT NULL, source_table TEXT NOT NULL, source_id INTEGER NOT NULL, state TEXT NOT "
    "NULL, reason TEXT,"
    " copied_at INTEGER NOT NULL DEFAULT 0, storage INTEGER NOT NULL DEFAULT 0, append_only INTEGER NOT NULL "
    "DEFAULT 0,"
    " received INTEGER NOT NULL DEFAULT 0, inserted INTEGER NOT NULL DEFAULT 0, updated INTEGER NOT NULL "
    "DEFAULT 0,"
    " deleted INTEGER NOT NULL DEFAULT 0, truncated INTEGER NOT NULL DEFAULT 0, quarantined INTEGER NOT NULL "
    "DEFAULT 0,"
    " stale INTEGER NOT NULL DEFAULT 0, ties INTEGER NOT NULL DEFAULT 0, noop_deletes INTEGER NOT NULL "
    "DEFAULT 0,"
    " suppressed INTEGER NOT NULL DEFAULT 0,"
    " UNIQUE(namespace, name));"
    "CREATE TABLE IF NOT EXISTS dm_basis("
    " source TEXT NOT NULL, dataset INTEGER NOT NULL, facts TEXT NOT NULL, PRIMARY KEY(source, dataset));"
    "CREATE TABLE IF NOT EXISTS dm_request("
    " id INTEGER PRIMARY KEY AUTOINCREMENT, kind INTEGER NOT NULL, state INTEGER NOT NULL, source TEXT NOT "
    "NULL,"
    " dataset TEXT NOT NULL DEFAULT '', position INTEGER NOT NULL DEFAULT 0, asked_us INTEGER NOT NULL);"
    "CREATE TABLE IF NOT EXISTS dm_pin("
    " request INTEGER NOT NULL, namespace TEXT NOT NULL, name TEXT NOT NULL, metadata_location TEXT NOT NULL,"
    " PRIMARY KEY(request, namespace, name));";

static enum dm_status has_column(sqlite3 *db, const char *table, const char *column, bool *has,
                                 struct dm_error *err)
{
    sqlite3_stmt *st;
    if (dm_sql_prepare(db, &st, NULL, "SELECT count(*) FROM pragma_table_info(?) WHERE name = ?", err, "tt",
                       table, column) != DM_OK)
        return DM_FAIL;
    int code = sqlite3_step(st);
    *has = code == SQLITE_ROW && sqlite3_column_int(st, 0) > 0;
    sqlite3_finalize(st);
    return code == SQLITE_ROW ? DM_OK : dm_sql_fail(db, "looking at the mirror's tables", err);
}

/* Columns that a catalog of an older version lacks. Another process may be adding them at the same time. */
static enum dm_status add_columns(sqlite3 *db, struct dm_error *err)
{
    static const struct {
        const char *table, *column, *type;
    } added[] = {
        {"dm_dataset", "stale", "INTEGER NOT NULL DEFAULT 0"},
        {"dm_dataset", "ties", "INTEGER NOT NULL DEFAULT 0"},
        {"dm_dataset", "noop_deletes", "INTEGER NOT NULL DEFAULT 0"},
        {"dm_dataset", "suppressed", "INTEGER NOT NULL DEFAULT 0"},
        {"dm_source", "log_id", "INTEGER NOT NULL DEFAULT 0"},
        {"dm_source", "log_stamp", "INTEGER NOT NULL DEFAULT 0"},
        {"dm_source", "boot", "TEXT NOT NULL DEFAULT ''"},
    };
    for (size_t i = 0; i < sizeof added / sizeof *added; i++) {
        bool has = false;
        if (has_column(db, added[i].table, added[i].column, &has, err) != DM_OK)
            return DM_FAIL;
        if (has)
            continue;
        char *sql =
            dm_xasprintf("ALTER TABLE %s ADD COLUMN %s %s", added[i].table, added[i].column, added[i].type);
        int code = sqlite3_exec(db, sql, NULL, NULL, NULL);
        free(sql);
        enum dm_status status =
            code == SQLITE_OK ? DM_OK : dm_sql_fail(db, "adding a column to the mirror's tables", err);
        struct dm_error ignored;
        if (status != DM_OK &&
            (has_column(db, added[i].table, added[i].column, &has, &ignored) != DM_OK || !has))
            return DM_FAIL;
    }
    return DM_OK;
}

enum dm_status dm_state_create_tables(sqlite3 *db, struct dm_error *err)
{
    if (sqlite3_exec(db, create_sql, NULL, NULL, NULL) != SQLITE_OK)
        return dm_sql_fail(db, "creating the mirror's tables", err);
    return add_columns(db, err) == DM_OK ? dm_quarantine_create(db, err) : DM_FAIL;
}

static char *column_text(sqlite3_stmt *st, int i)
{
    return dm_xstrdup((const char *)sqlite3_column_text(st, i));
}

void dm_dataset_state_release(struct dm_dataset_state *d)
{
    free(d->source);
    free(d->namespace);
    free(d->name);
    free(d->source_schema);
    free(d->source_table);
    free(d->state);
    free(d->reason);
    *d = (struct dm_dataset_state){0};
}

void dm_dataset_states_release(struct dm_dataset_states *list)
{
    for (size_t i = 0; i < list->n; i++)
        dm_dataset_state_release(&list->items[i]);
    free(list->items);
    *list = (struct dm_dataset_states){0};
}

enum dm_status dm_state_datasets(sqlite3 *db, const char *source, struct dm_dataset_states *out,
                                 struct dm_error *err)
{
    *out = (struct dm_dataset_states){0};
    sqlite3_stmt *st;
    if (dm_sql_prepare(
            db, &st, NULL,
            "SELECT id, source, namespace, name, source_schema, source_table, source_id, state, reason, "
            "copied_at, append_only,"
            " received, inserted, updated, deleted, truncated, quarantined, storage,"
            " stale, ties, noop_deletes, suppressed FROM dm_dataset"
            " WHERE ?1 IS NULL OR source = ?1 ORDER BY namespace, name",
            err, "t", source) != DM_OK)
        return DM_FAIL;
    int code;
    while ((code = sqlite3_step(st)) == SQLITE_ROW) {
        out->items = dm_xrealloc(out->items, out->n + 1, sizeof *out->items);
        out->items[out->n++] = (struct dm_dataset_state){
            .id = (uint32_t)sqlite3_column_int64(st, 0),
            .source = column_text(st, 1),
            .namespace = column_text(st, 2),
            .name = column_text(st, 3),
            .source_schema = column_text(st, 4),
            .source_table = column_text(st, 5),
            .source_id = (uint64_t)sqlite3_column_int64(st, 6),
            .state = column_text(st, 7),
            .reason = column_text(st, 8),
            .copied_at = (uint64_t)sqlite3_column_int64(st, 9),
            .append_only = sqlite3_column_int(st, 10) != 0,
            .received = (uint64_t)sqlite3_column_int64(st, 11),
            .inserted = (uint64_t)sqlite3_column_int64(st, 12),
            .updated = (uint64_t)sqlite3_column_int64(st, 13),
            .deleted = (uint64_t)sqlite3_column_int64(st, 14),
            .truncated = (uint64_t)sqlite3_column_int64(st, 15),
            .quarantined = (uint64_t)sqlite3_column_int64(st, 16),
            .storage = (uint64_t)sqlite3_column_int64(st, 17),
            .stale = (uint64_t)sqlite3_column_int64(st, 18),
            .ties = (uint64_t)sqlite3_column_int64(st, 19),
            .noop_deletes = (uint64_t)sqlite3_column_int64(st, 20),
            .suppressed = (uint64_t)sqlite3_column_int64(st, 21),
        };
    }
    sqlite3_finalize(st);
    if (code != SQLITE_DONE) {
        dm_dataset_states_release(out);
        return dm_sql_fail(db, "reading dm_dataset", err);
    }
    return DM_OK;
}

enum dm_status dm_state_put_dataset(sqlite3 *db, struct dm_dataset_state *d, struct dm_error *err)
{
    sqlite3_stmt *st;
    if (d->id == 0) {
        if (dm_sql_prepare(
                db, &st, NULL,
                "INSERT INTO dm_dataset(source, namespace, name, source_schema, source_table, source_id, "
                "state)"
                " VALUES(?,?,?,?,?,?,?)",
                err, "tttttut", d->source, d->namespace, d->name, d->source_schema, d->source_table,
                d->source_id, d->state) != DM_OK ||
            dm_sql_finish(db, st, "adding a dataset", err) != DM_OK)
            return DM_FAIL;
        d->id = (uint32_t)sqlite3_last_insert_rowid(db);
    }
    return dm_sql_run(db, "updating a dataset",
                      "UPDATE dm_dataset SET namespace=?2, name=?3, source_schema=?4, source_table=?5, "
                      "source_id=?6, state=?7, reason=?8,"
                      " copied_at=?9, append_only=?10, received=?11, inserted=?12, updated=?13, deleted=?14, "
                      "truncated=?15,"
                      " quarantined=?16, stale=?17, ties=?18, noop_deletes=?19, suppressed=?20 WHERE "
                      "id=?1",
                      err, "uttttuttuiuuuuuuuuuu", (uint64_t)d->id, d->namespace, d->name, d->source_schema,
                      d->source_table, d->source_id, d->state, d->reason, d->copied_at,
                      (int64_t)d->append_only, d->received, d->inserted, d->updated, d->deleted, d->truncated,
                      d->quarantined, d->stale, d->ties, d->noop_deletes, d->suppressed);
}

enum dm_status dm_state_free_name(sqlite3 *db, uint32_t dataset, struct dm_error *err)
{
    return dm_sql_run(db, "freeing a dataset's name", "UPDATE dm_dataset SET name = char(1) || id WHERE id=?",
                      err, "u", (uint64_t)dataset);
}

enum dm_status dm_state_basis(sqlite3 *db, const char *source, uint32_t dataset, struct dm_basis *out,
                              struct dm_error *err)
{
    sqlite3_stmt *st;
    *out = (struct dm_basis){0};
    if (dm_sql_prepare(db, &st, NULL, "SELECT facts FROM dm_basis WHERE source=? AND dataset=?", err, "tu",
                       source, (uint64_t)dataset) != DM_OK)
        return DM_FAIL;
    int code = sqlite3_step(st);
    enum dm_status status = code == SQLITE_ROW
                                ? dm_basis_parse((const char *)sqlite3_column_text(st, 0), out, err)
                            : code == SQLITE_DONE ? DM_OK
                                                  : dm_sql_fail(db, "reading dm_basis", err);
    sqlite3_finalize(st);
    return status;
}

enum dm_status dm_state_put_basis(sqlite3 *db, const char *source, uint32_t dataset,
                                  const struct dm_basis *basis, struct dm_error *err)
{
    char *facts = dm_basis_print(basis);
    enum dm_status status = dm_sql_run(db, "storing what a dataset rests on",
                                       "INSERT INTO dm_basis(source, dataset, facts) VALUES(?1,?2,?3)"
                                       " ON CONFLICT(source, dataset) DO UPDATE SET facts=?3",
                                       err, "tut", source, (uint64_t)dataset, facts);
    free(facts);
    return status;
}

enum dm_status dm_state_remove_dataset(sqlite3 *db, uint32_t dataset, struct dm_error *err)
{
    if (dm_sql_run(db, "emptying a quarantine", "DELETE FROM dm_quarantine WHERE dataset=?", err, "u",
                   (uint64_t)dataset) != DM_OK)
        return DM_FAIL;
    if (dm_sql_run(db, "emptying a quarantine", "DELETE FROM dm_quarantine_names WHERE dataset=?", err, "u",
                   (uint64_t)dataset) != DM_OK)
        return DM_FAIL;
    if (dm_sql_run(db, "forgetting what a dataset rests on", "DELETE FROM dm_basis WHERE dataset=?", err, "u",
                   (uint64_t)dataset) != DM_OK)
        return DM_FAIL;
    return dm_sql_run(db, "removing a dataset", "DELETE FROM dm_dataset WHERE id=?", err, "u",
                      (uint64_t)dataset);
}

enum dm_status dm_state_mark_waiting(sqlite3 *db, uint32_t dataset, struct dm_error *err)
{
    return dm_sql_run(db, "asking for a copy",
                      "UPDATE dm_dataset SET state='waiting', reason=NULL WHERE id=?", err, "u",
                      (uint64_t)dataset);
}

enum dm_status dm_state_source(sqlite3 *db, const char *source, struct dm_source_state *out,
                               struct dm_error *err)
{
    *out = (struct dm_source_state){0};
    sqlite3_stmt *st;
    if (dm_sql_prepare(db, &st, NULL,
                       "SELECT position, commit_time_us, log_id, log_stamp, boot FROM dm_source WHERE name=?",
                       err, "t", source) != DM_OK)
        return DM_FAIL;
    char boot[DM_BOOT_SIZE];
    dm_boot_id(boot);
    int code = sqlite3_step(st);
    if (code == SQLITE_ROW) {
        out->position = (uint64_t)sqlite3_column_int64(st, 0);
        out->commit_time_us = sqlite3_column_int64(st, 1);
        out->mark = (struct dm_log_mark){.log = (uint64_t)sqlite3_column_int64(st, 2),
                                         .stamp = (uint64_t)sqlite3_column_int64(st, 3)};
        const char *then = (const char *)sqlite3_column_text(st, 4);
        out->rebooted = then[0] != '\0' && boot[0] != '\0' && strcmp(then, boot) != 0;
        out->known = true;
    }
    sqlite3_finalize(st);
    return code == SQLITE_ROW || code == SQLITE_DONE ? DM_OK : dm_sql_fail(db, "reading dm_source", err);
}

enum dm_status dm_state_put_position(sqlite3 *db, const char *source, const char *type, dm_position position,
                                     const char *position_text, const struct dm_log_mark *mark,
                                     int64_t commit_time_us, struct dm_error *err)
{
    char boot[DM_BOOT_SIZE];
    dm_boot_id(boot);
    struct dm_log_mark none = {0};
    if (mark == NULL)
        mark = &none;
    return dm_sql_run(db, "moving the source position",
                      "INSERT INTO dm_source(name, type, position, position_text, commit_time_us, log_id, "
                      "log_stamp, boot) VALUES(?1,?2,?3,?4,?5,?6,?7,?8)"
                      " ON CONFLICT(name) DO UPDATE SET position=?3, position_text=?4, "
                      "commit_time_us=max(commit_time_us, ?5), log_id=?6, log_stamp=?7, boot=?8",
                      err, "ttutiuut", source, type, position, position_text, commit_time_us, mark->log,
                      mark->stamp, boot);
}

enum dm_status dm_state_put_health(sqlite3 *db, const char *source, const char *type, const char *state,
                                   const char *error, uint64_t lag_bytes, int64_t lag_us,
                                   struct dm_error *err)
{
    return dm_sql_run(
        db, "writing the source's health",
        "INSERT INTO dm_source(name, type, state, error, error_since_us, lag_bytes, lag_us, updated_us)"
        " VALUES(?1,?2,?3,?4, iif(?4 IS NULL, NULL, ?7),?5,?6,?7)"
        " ON CONFLICT(name) DO UPDATE SET state=?3, error=?4, lag_bytes=?5, lag_us=?6, updated_us=?7,"
        " error_since_us=iif(?4 IS NULL, NULL, coalesce(error_since_us, ?7))",
        err, "ttttuii", source, type, state, error, lag_bytes, lag_us, dm_clock_wall_us());
}

enum dm_status dm_state_put_trouble(sqlite3 *db, const char *source, const char *type, const char *state,
                                    const char *error, struct dm_error *err)
{
    return dm_sql_run(db, "writing the source's health",
                      "INSERT INTO dm_source(name, type, state, error, error_since_us)"
                      " VALUES(?1,?2,?3,?4, iif(?4 IS NULL, NULL, ?5))"
                      " ON CONFLICT(name) DO UPDATE SET state=?3, error=?4,"
                      " error_since_us=iif(?4 IS NULL, NULL, coalesce(error_since_us, ?5))",
                      err, "tttti", source, type, state, error, dm_clock_wall_us());
}

enum dm_status dm_request_add(sqlite3 *db, enum dm_request_kind kind, const char *source, const char *dataset,
                              int64_t *id, struct dm_error *err)
{
    sqlite3_stmt *st;
    if (dm_sql_prepare(db, &st, NULL,
                       "INSERT INTO dm_request(kind, state, source, dataset, asked_us) VALUES(?,?,?,?,?)",
                       err, "iitti", (int64_t)kind, (int64_t)DM_REQUEST_ASKED, source, dataset,
                       dm_clock_wall_us()) != DM_OK ||
        dm_sql_finish(db, st, "adding a request", err) != DM_OK)
        return DM_FAIL;
    if (id != NULL)
        *id = sqlite3_last_insert_rowid(db);
    return DM_OK;
}

static void read_request(sqlite3_stmt *st, struct dm_request *out)
{
    *out = (struct dm_request){.id = sqlite3_column_int64(st, 0),
                               .kind = (enum dm_request_kind)sqlite3_column_int(st, 1),
                               .state = (enum dm_request_state)sqlite3_column_int(st, 2),
                               .position = (uint64_t)sqlite3_column_int64(st, 5)};
    (void)snprintf(out->source, sizeof out->source, "%s", (const char *)sqlite3_column_text(st, 3));
    (void)snprintf(out->dataset, sizeof out->dataset, "%s", (const char *)sqlite3_column_text(st, 4));
}

enum dm_status dm_request_get(sqlite3 *db, int64_t id, struct dm_request *out, struct dm_error *err)
{
    sqlite3_stmt *st;
    if (dm_sql_prepare(db, &st, NULL,
                       "SELECT id, kind, state, source, dataset, position FROM dm_request WHERE id=?", err,
                       "i", id) != DM_OK)
        return DM_FAIL;
    int code = sqlite3_step(st);
    if (code == SQLITE_ROW)
        read_request(st, out);
    sqlite3_finalize(st);
    if (code == SQLITE_ROW)
        return DM_OK;
    return code == SQLITE_DONE ? DM_END : dm_sql_fail(db, "reading a request", err);
}

enum dm_status dm_request_set(sqlite3 *db, int64_t id, enum dm_request_state state, dm_position position,
                              struct dm_error *err)
{
    return dm_sql_run(db, "updating a request",
                      "UPDATE dm_request SET state=?2, position=iif(?3=0, position, ?3) WHERE id=?1", err,
                      "iiu", id, (int64_t)state, position);
}

enum dm_status dm_request_remove(sqlite3 *db, int64_t id, struct dm_error *err)
{
    sqlite3_stmt *st;
    if (dm_sql_prepare(db, &st, NULL, "DELETE FROM dm_pin WHERE request=?", err, "i", id) != DM_OK ||
        dm_sql_finish(db, st, "removing a pin", err) != DM_OK ||
        dm_sql_prepare(db, &st, NULL, "DELETE FROM dm_request WHERE id=?", err, "i", id) != DM_OK)
        return DM_FAIL;
    return dm_sql_finish(db, st, "removing a request", err);
}

enum dm_status dm_request_list(sqlite3 *db, const char *source, struct dm_request **out, size_t *n,
                               struct dm_error *err)
{
    *out = NULL;
    *n = 0;
    sqlite3_stmt *st;
    if (dm_sql_prepare(db, &st, NULL,
                       "SELECT id, kind, state, source, dataset, position FROM dm_request WHERE source=? AND "
                       "state<? ORDER BY id",
                       err, "ti", source, (int64_t)DM_REQUEST_DONE) != DM_OK)
        return DM_FAIL;
    int code;
    while ((code = sqlite3_step(st)) == SQLITE_ROW) {
        *out = dm_xrealloc(*out, *n + 1, sizeof **out);
        read_request(st, &(*out)[(*n)++]);
    }
    sqlite3_finalize(st);
    if (code == SQLITE_DONE)
        return DM_OK;
    free(*out);
    *out = NULL;
    return dm_sql_fail(db, "reading requests", err);
}

enum dm_status dm_pin_record(sqlite3 *db, int64_t request, const char *source, struct dm_error *err)
{
    sqlite3_stmt *st;
    if (dm_sql_prepare(
            db, &st, NULL,
            "INSERT OR REPLACE INTO dm_pin(request, namespace, name, metadata_location)"
            " SELECT ?1, d.namespace, d.name, t.metadata_location FROM dm_dataset d JOIN iceberg_tables t"
            " ON t.table_namespace = d.namespace AND t.table_name = d.name"
            " WHERE d.source = ?2 AND d.state IN ('streaming', 'append-only')",
            err, "it", request, source) != DM_OK ||
        dm_sql_finish(db, st, "recording a pin", err) != DM_OK)
        return DM_FAIL;
    return dm_request_set(db, request, DM_REQUEST_DONE, 0, err);
}

enum dm_status dm_pin_location(sqlite3 *db, int64_t request, const char *namespace, const char *name,
                               char **out, struct dm_error *err)
{
    *out = NULL;
    sqlite3_stmt *st;
    if (dm_sql_prepare(db, &st, NULL,
                       "SELECT metadata_location FROM dm_pin WHERE request=? AND namespace=? AND name=?", err,
                       "itt", request, namespace, name) != DM_OK)
        return DM_FAIL;
    int code = sqlite3_step(st);
    if (code == SQLITE_ROW)
        *out = column_text(st, 0);
    sqlite3_finalize(st);
    return code == SQLITE_ROW || code == SQLITE_DONE ? DM_OK : dm_sql_fail(db, "reading a pin", err);
}
