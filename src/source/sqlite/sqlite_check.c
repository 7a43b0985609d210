/* What `doctor` asks a SQLite file. */
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "source/sqlite/sqlite_capture.h"
#include "source/sqlite/sqlite_source.h"
#include "source/sqlite/sqlite_table.h"

static const char not_wal[] =
    "the file is not in WAL mode: nobody can commit while the mirror reads, and writers without a "
    "busy timeout fail then (\"database is locked\")";
static const char use_wal[] =
    "run `PRAGMA journal_mode = WAL` once (it stays with the file), or give every writer a busy timeout. "
    "The mirror does not change it by itself";

static enum dm_status check_journal(sqlite3 *db, struct dm_check_list *out, struct dm_error *err)
{
    bool wal = false;
    if (dm_sqlite_in_wal(db, &wal, err) != DM_OK)
        return DM_FAIL;
    if (wal)
        dm_check_add(out, DM_CHECK_OK, NULL, "journal_mode is wal");
    else
        dm_check_add(out, DM_CHECK_WARN, use_wal, "%s", not_wal);
    return DM_OK;
}

enum dm_status dm_sqlite_advice(struct dm_source *s, char **text, struct dm_error *err)
{
    *text = NULL;
    sqlite3 *db = NULL;
    if (dm_sqlite_open(s->config->path, DM_SQLITE_READ, &db, err) != DM_OK)
        return DM_FAIL;
    bool wal = true;
    enum dm_status status = dm_sqlite_in_wal(db, &wal, err);
    sqlite3_close_v2(db);
    if (status == DM_OK && !wal)
        *text = dm_xasprintf("%s. Better %s.", not_wal, use_wal);
    return status;
}

/* Writing is tried, not guessed from permissions. */
static void check_write(sqlite3 *db, const char *path, struct dm_check_list *out)
{
    struct dm_error err = {0};
    if (dm_sqlite_exec(db, &err, "BEGIN IMMEDIATE") == DM_OK) {
        dm_sqlite_rollback(db);
        dm_check_add(out, DM_CHECK_OK, NULL, "%s can be written (triggers record the changes there)", path);
    } else {
        dm_check_add(out, err.class == DM_ERROR_TRANSIENT ? DM_CHECK_WARN : DM_CHECK_FAIL, err.hint, "%s",
                     err.message);
    }
}

static enum dm_status check_tables(sqlite3 *db, const struct dm_source_config *config,
                                   struct dm_check_list *out, struct dm_error *err)
{
    struct dm_sqlite_tables set = {0};
    if (dm_sqlite_tables_load(db, config, &set, err) != DM_OK)
        return DM_FAIL;
    size_t captured = 0, fit = 0;
    for (size_t i = 0; i < set.n; i++) {
        const struct dm_table *t = set.tables[i]->table;
        int64_t n = 0;
        if (t->problem != NULL) {
            dm_check_add(out, DM_CHECK_REFUSED, t->hint, "table %s %s", t->name, t->problem);
            continue;
        }
        fit++;
        if (dm_sqlite_int(db, 0, &n, err,
                          "SELECT count(*) FROM sqlite_schema WHERE type = 'trigger' AND tbl_name = %Q AND"
                          " name GLOB '_datamirror_*_insert'",
                          t->name) != DM_OK)
            break;
        captured += n > 0;
    }
    if (set.n == 0)
        dm_check_add(out, DM_CHECK_WARN, "check `tables:` and `exclude:` of the source",
                     "no table is selected");
    else
        dm_check_add(out, DM_CHECK_OK, NULL, "%zu tables can be mirrored, %zu have change capture already",
                     fit, captured);
    dm_sqlite_tables_release(&set);
    return err->class == DM_ERROR_NONE ? DM_OK : DM_FAIL;
}

enum dm_status dm_sqlite_check(struct dm_source *s, const struct dm_source_start *start,
                               const struct dm_table_list *tables, struct dm_check_list *out,
                               struct dm_error *err)
{
    (void)start;
    (void)tables;
    sqlite3 *db = NULL;
    enum { oldest_library = 3037000 }; /* pragma_table_list, STRICT */
    dm_check_add(out, sqlite3_libversion_number() >= oldest_library ? DM_CHECK_OK : DM_CHECK_FAIL,
                 sqlite3_libversion_number() >= oldest_library ? NULL : "install SQLite 3.37 or newer",
                 "SQLite library is %s", sqlite3_libversion());
    if (dm_sqlite_open(s->config->path, DM_SQLITE_WRITE, &db, err) != DM_OK)
        return DM_FAIL;
    dm_check_add(out, DM_CHECK_OK, NULL, "%s is an SQLite database", s->config->path);
    check_write(db, s->config->path, out);
    struct dm_error why = {0};
    enum dm_status status = check_journal(db, out, &why);
    if (status == DM_OK)
        status = check_tables(db, s->config, out, &why);
    if (status != DM_OK)
        *err = why;
    sqlite3_close_v2(db);
    return status;
}
