/* From above: all that waits is taken to be in a circle, then what misses something else falls out, until nothing changes. In temporary tables of the catalog's connection. */
#include "mirror/relationship/orphan_circle.h"

#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

#include "apply/key_sort.h"
#include "base/memory.h"
#include "lake/catalog/catalog_sql.h"

static const char doing[] = "waiting rows in circles";

void dm_orphan_rows_add(struct dm_orphan_rows *rows, uint32_t dataset, int64_t id)
{
    if (rows->n == rows->capacity) {
        rows->capacity = rows->capacity == 0 ? 256 : rows->capacity * 2;
        rows->items = dm_xrealloc(rows->items, rows->capacity, sizeof *rows->items);
    }
    rows->items[rows->n++] = (struct dm_orphan_row){dataset, id};
}

static enum dm_status run(sqlite3 *db, const char *sql, struct dm_error *err)
{
    return sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK ? DM_OK : dm_sql_fail(db, doing, err);
}

/* A row that closes a circle is waited for, and what it misses waits. */
static enum dm_status may_be_there(sqlite3 *db, int64_t *until, bool *may, struct dm_error *err)
{
    sqlite3_stmt *st = NULL;
    if (sqlite3_prepare_v2(
            db,
            "SELECT (SELECT max(id) FROM dm_quarantine), EXISTS (SELECT 1 FROM dm_quarantine w WHERE"
            " w.id > ?1 AND w.waits_for > 0 AND EXISTS (SELECT 1 FROM dm_quarantine q WHERE"
            " q.waits_for IS NOT NULL AND q.dataset = w.waits_for AND q.row_key = w.parent_key) AND"
            " (EXISTS (SELECT 1 FROM dm_quarantine q WHERE q.waits_for = w.dataset AND q.parent_key ="
            " w.row_key) OR EXISTS (SELECT 1 FROM dm_waits_also a WHERE a.parent = w.dataset AND"
            " a.parent_key = w.row_key)))",
            -1, &st, NULL) != SQLITE_OK)
        return dm_sql_fail(db, doing, err);
    sqlite3_bind_int64(st, 1, *until);
    int code = sqlite3_step(st);
    if (code == SQLITE_ROW) {
        *until = sqlite3_column_int64(st, 0);
        *may = sqlite3_column_int(st, 1) != 0;
    }
    sqlite3_finalize(st);
    return code == SQLITE_ROW ? DM_OK : dm_sql_fail(db, doing, err);
}

static const char begin_sql[] =
    "DROP TABLE IF EXISTS temp.dm_circle; DROP TABLE IF EXISTS temp.dm_circle_misses;"
    "CREATE TEMP TABLE dm_circle(id INTEGER PRIMARY KEY, dataset INTEGER, row_key BLOB, version BLOB,"
    " out INTEGER);" /* the round in which it fell out; NULL: it is in */
    "CREATE TEMP TABLE dm_circle_misses(row INTEGER, parent INTEGER, parent_key BLOB);"
    "INSERT INTO temp.dm_circle SELECT id, dataset, row_key, version, NULL FROM main.dm_quarantine WHERE"
    " waits_for > 0;"
    "INSERT INTO temp.dm_circle_misses SELECT id, waits_for, parent_key FROM main.dm_quarantine WHERE"
    " waits_for > 0 UNION ALL SELECT row, parent, parent_key FROM main.dm_waits_also;"
    "CREATE INDEX temp.dm_circle_key ON dm_circle(dataset, row_key, out);"
    "CREATE INDEX temp.dm_circle_out ON dm_circle(out) WHERE out IS NOT NULL;"
    "CREATE INDEX temp.dm_circle_misses_key ON dm_circle_misses(parent, parent_key);"
    "UPDATE temp.dm_circle SET out = 1 WHERE id IN (SELECT m.row FROM temp.dm_circle_misses m WHERE NOT"
    " EXISTS (SELECT 1 FROM temp.dm_circle c WHERE c.dataset = m.parent AND c.row_key = m.parent_key));";
static const char end_sql[] = "DROP TABLE temp.dm_circle; DROP TABLE temp.dm_circle_misses;";

/* What relied on those that fell out in the last round, and on nobody else: so a chain of waiting rows costs no more than its length. */
static enum dm_status thin_out(sqlite3 *db, uint64_t *round, struct dm_error *err)
{
    for (int64_t gone = 1; gone > 0; (*round)++) {
        if (dm_sql_run(db, doing,
                       "UPDATE temp.dm_circle SET out = ?1 + 1 WHERE out IS NULL AND id IN (SELECT m.row FROM"
                       " temp.dm_circle g JOIN temp.dm_circle_misses m ON m.parent = g.dataset AND"
                       " m.parent_key = g.row_key WHERE g.out = ?1 AND NOT EXISTS (SELECT 1 FROM"
                       " temp.dm_circle c WHERE c.dataset = m.parent AND c.row_key = m.parent_key AND"
                       " c.out IS NULL))",
                       err, "u", *round) != DM_OK)
            return DM_FAIL;
        gone = sqlite3_changes64(db);
    }
    return DM_OK;
}

/* Is the row's version behind what is stored of its key? */
static enum dm_status is_behind(struct dm_mirror *m, sqlite3_stmt *row, bool *behind, struct dm_error *err)
{
    struct dm_index_change stored = {.key = sqlite3_column_blob(row, 2),
                                     .key_len = (uint32_t)sqlite3_column_bytes(row, 2)};
    enum dm_status status =
        dm_keyindex_lookup(m->index, (uint32_t)sqlite3_column_int64(row, 1), &stored, 1, err);
    *behind = status == DM_OK && stored.old_version_len > 0 &&
              dm_key_compare(sqlite3_column_blob(row, 3), (size_t)sqlite3_column_bytes(row, 3),
                             stored.old_version, stored.old_version_len) <= 0;
    return status;
}

/* Takes out what is behind, in this round; *any: something was. */
static enum dm_status drop_stale(struct dm_mirror *m, uint64_t round, bool *any, struct dm_error *err)
{
    sqlite3 *db = dm_lake_sqlite(m->lake);
    sqlite3_stmt *st = NULL;
    struct dm_orphan_rows stale = {0};
    *any = false;
    if (sqlite3_prepare_v2(db, "SELECT id, dataset, row_key, version FROM temp.dm_circle WHERE out IS NULL",
                           -1, &st, NULL) != SQLITE_OK)
        return dm_sql_fail(db, doing, err);
    enum dm_status status = dm_keyindex_begin(m->index, err);
    bool begun = status == DM_OK;
    int code = SQLITE_DONE;
    while (status == DM_OK && (code = sqlite3_step(st)) == SQLITE_ROW) {
        bool behind = false;
        status = is_behind(m, st, &behind, err);
        if (behind)
            dm_orphan_rows_add(&stale, 0, sqlite3_column_int64(st, 0));
    }
    if (status == DM_OK && code != SQLITE_DONE)
        status = dm_sql_fail(db, doing, err);
    if (begun)
        dm_keyindex_abort(m->index);
    sqlite3_finalize(st);
    for (size_t i = 0; i < stale.n && status == DM_OK; i++) {
        *any = true;
        status = dm_sql_run(db, doing, "UPDATE temp.dm_circle SET out = ?2 WHERE id = ?1", err, "uu",
                            (uint64_t)stale.items[i].id, round);
    }
    free(stale.items);
    return status;
}

static enum dm_status read_rows(sqlite3 *db, struct dm_orphan_rows *rows, struct dm_orphan_promises *promises,
                                struct dm_error *err)
{
    sqlite3_stmt *st = NULL;
    if (sqlite3_prepare_v2(db, "SELECT id, dataset, row_key FROM temp.dm_circle WHERE out IS NULL", -1, &st,
                           NULL) != SQLITE_OK)
        return dm_sql_fail(db, doing, err);
    int code;
    while ((code = sqlite3_step(st)) == SQLITE_ROW) {
        uint32_t dataset = (uint32_t)sqlite3_column_int64(st, 1);
        dm_orphan_rows_add(rows, dataset, sqlite3_column_int64(st, 0));
        dm_orphan_promises_add(promises, dataset, sqlite3_column_blob(st, 2),
                               (size_t)sqlite3_column_bytes(st, 2));
    }
    sqlite3_finalize(st);
    return code == SQLITE_DONE ? DM_OK : dm_sql_fail(db, doing, err);
}

enum dm_status dm_orphan_circles_find(struct dm_mirror *m, int64_t *until, struct dm_orphan_rows *rows,
                                      struct dm_orphan_promises *promises, struct dm_error *err)
{
    sqlite3 *db = dm_lake_sqlite(m->lake);
    bool may = false, again = true;
    uint64_t round = 1;
    if (may_be_there(db, until, &may, err) != DM_OK)
        return DM_FAIL;
    if (!may)
        return DM_OK;
    enum dm_status status = run(db, begin_sql, err);
    while (status == DM_OK && again) {
        status = thin_out(db, &round, err);
        if (status == DM_OK)
            status = drop_stale(m, round, &again, err);
    }
    if (status == DM_OK)
        status = read_rows(db, rows, promises, err);
    if (status == DM_OK)
        status = run(db, end_sql, err);
    return status;
}
