#include "source/sqlite/capture_columns.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/memory.h"
#include "source/sqlite/capture_triggers.h"

/* Follows renamed columns: where the columns trigger now says another name, the number takes it. */
static enum dm_status follow_renames(sqlite3 *db, uint64_t table, bool *moved, struct dm_error *err)
{
    long long id = (long long)table;
    sqlite3_stmt *row = NULL;
    if (dm_sqlite_prepare(
            db, &row, err,
            "SELECT sql FROM sqlite_schema WHERE type = 'trigger' AND name = '_datamirror_%lld_columns'",
            id) != DM_OK)
        return DM_FAIL;
    struct dm_column_names names = {0};
    enum dm_status status = dm_sqlite_step(row, err);
    bool readable =
        status == DM_OK && dm_capture_columns_parse((const char *)sqlite3_column_text(row, 0), &names);
    (void)sqlite3_finalize(row);
    if (status == DM_FAIL || !readable)
        return status == DM_FAIL ? DM_FAIL : DM_OK;
    /* By way of a mark that no name is (a BLOB: any text may be one, the empty one, too), because two columns may have swapped their names. */
    for (size_t pass = 0; status != DM_FAIL && pass < 2; pass++) {
        for (size_t i = 0; i < names.n; i++) {
            const char *sql = pass == 0 ? "UPDATE \"_datamirror_columns\" SET name = x'' WHERE t = %lld AND "
                                          "ref = %d AND name <> %Q"
                                        : "UPDATE \"_datamirror_columns\" SET name = %Q WHERE t = %lld AND "
                                          "ref = %d AND name = x''";
            status = pass == 0 ? dm_sqlite_exec(db, err, sql, id, names.refs[i], names.names[i])
                               : dm_sqlite_exec(db, err, sql, names.names[i], id, names.refs[i]);
            if (status == DM_FAIL)
                break;
            if (pass == 1 && sqlite3_changes(db) > 0)
                *moved = true;
        }
    }
    dm_column_names_release(&names);
    return status == DM_FAIL ? DM_FAIL : DM_OK;
}

/* Columns that are gone lose their name; new ones get the next number. A column of another declared type is
 * another column. */
enum dm_status dm_capture_number_columns(sqlite3 *db, struct dm_sqlite_table *table, bool *moved,
                                         bool *rewritten, struct dm_error *err)
{
    const struct dm_table *t = table->table;
    long long id = (long long)t->id;
    if (follow_renames(db, t->id, moved, err) != DM_OK)
        return DM_FAIL;
    for (size_t i = 0; i < t->columns->n_fields; i++)
        t->columns->fields[i].source_ref = 0;
    sqlite3_stmt *row = NULL;
    if (dm_sqlite_prepare(
            db, &row, err,
            "SELECT ref, name, type FROM \"_datamirror_columns\" WHERE t = %lld AND name IS NOT NULL",
            id) != DM_OK)
        return DM_FAIL;
    enum dm_status status;
    int32_t *gone = NULL;
    size_t n_gone = 0;
    while ((status = dm_sqlite_step(row, err)) == DM_OK) {
        int f = dm_schema_find(t->columns, (const char *)sqlite3_column_text(row, 1));
        const char *type = (const char *)sqlite3_column_text(row, 2);
        const char *now = f >= 0 ? t->columns->fields[f].source_type : NULL;
        if (f >= 0 && strcmp(type != NULL ? type : "", now != NULL ? now : "") == 0) {
            t->columns->fields[f].source_ref = sqlite3_column_int(row, 0);
        } else {
            gone = dm_xrealloc(gone, n_gone + 1, sizeof *gone);
            gone[n_gone++] = sqlite3_column_int(row, 0);
            /* Same name, other type: all stored rows may differ. */
            *rewritten = *rewritten || f >= 0;
        }
    }
    (void)sqlite3_finalize(row);
    for (size_t i = 0; status != DM_FAIL && i < n_gone; i++) {
        status = dm_sqlite_exec(db, err,
                                "UPDATE \"_datamirror_columns\" SET name = NULL WHERE t = %lld AND ref = %d",
                                id, gone[i]);
        *moved = true;
    }
    free(gone);
    for (size_t i = 0; status != DM_FAIL && i < t->columns->n_fields; i++) {
        struct dm_field *f = &t->columns->fields[i];
        if (f->source_ref != 0)
            continue;
        int64_t next = 1;
        status = dm_sqlite_int(db, 1, &next, err,
                               "SELECT max(ref) + 1 FROM \"_datamirror_columns\" WHERE t = %lld", id);
        if (status == DM_OK)
            status = dm_sqlite_exec(db, err,
                                    "INSERT INTO \"_datamirror_columns\"(t, ref, name, type, key) VALUES "
                                    "(%lld, %lld, %Q, %Q, %d)",
                                    id, (long long)next, f->name, f->source_type,
                                    dm_schema_is_key(t->columns, (uint32_t)i));
        f->source_ref = (int32_t)next;
        *moved = true;
        const char *value = table->defaults[i];
        *rewritten = *rewritten || table->generated[i] || (value != NULL && strcasecmp(value, "NULL") != 0);
    }
    return status == DM_FAIL ? DM_FAIL : DM_OK;
}
