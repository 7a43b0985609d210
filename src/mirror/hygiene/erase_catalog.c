/* What catalog.db forgets: texts of orders, and pages that held what was deleted. */
#include <sqlite3.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/memory.h"
#include "mirror/hygiene/erase.h"

enum { wait_step_ms = 50, vacuum_tries = 200 };

static enum dm_status run_sql(sqlite3 *db, const char *sql, struct dm_error *err)
{
    if (sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK)
        return DM_OK;
    return dm_fail(err, DM_ERROR_TRANSIENT, NULL, "catalog.db: %s: %s", sql, sqlite3_errmsg(db));
}

static bool has_table(sqlite3 *db, const char *name)
{
    char *sql = dm_xasprintf("SELECT 1 FROM %s LIMIT 0", name);
    bool has = sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK;
    free(sql);
    return has;
}

/* Orders carry the keys that were given. A running one is done again by its token alone; an answered one does not need its text any more. */
static enum dm_status forget_texts(sqlite3 *db, const char *token, struct dm_error *err)
{
    if (!has_table(db, "dm_order"))
        return DM_OK;
    enum dm_status status = run_sql(db, "UPDATE dm_order SET body = '{}' WHERE answered_us > 0", err);
    sqlite3_stmt *st;
    if (status != DM_OK || token == NULL)
        return status;
    if (sqlite3_prepare_v2(db,
                           "UPDATE dm_order SET body = json_object('token', ?1) WHERE kind = 'delete' AND"
                           " json_valid(body) AND json_extract(body, '$.token') = ?1",
                           -1, &st, NULL) != SQLITE_OK)
        return dm_fail(err, DM_ERROR_TRANSIENT, NULL, "catalog.db: %s", sqlite3_errmsg(db));
    sqlite3_bind_text(st, 1, token, -1, SQLITE_STATIC);
    int code = sqlite3_step(st);
    sqlite3_finalize(st);
    return code == SQLITE_DONE ? DM_OK
                               : dm_fail(err, DM_ERROR_TRANSIENT, NULL, "catalog.db: %s", sqlite3_errmsg(db));
}

/* The whole log into the database, and its file cut to nothing. *done false: somebody is reading an older state. */
static enum dm_status empty_log(sqlite3 *db, bool *done, struct dm_error *err)
{
    int left = 0, moved = 0;
    int code = sqlite3_wal_checkpoint_v2(db, NULL, SQLITE_CHECKPOINT_TRUNCATE, &left, &moved);
    *done = code == SQLITE_OK;
    if (code != SQLITE_OK && code != SQLITE_BUSY && code != SQLITE_LOCKED)
        return dm_fail(err, DM_ERROR_TRANSIENT, NULL, "catalog.db: emptying its log: %s", sqlite3_errmsg(db));
    return DM_OK;
}

static enum dm_status forget_pages(sqlite3 *db, bool *done, struct dm_error *err)
{
    *done = false;
    enum dm_status status = run_sql(db, "VACUUM", err);
    for (int i = 0; i < vacuum_tries && status == DM_OK && !*done; i++) {
        status = empty_log(db, done, err);
        if (status == DM_OK && !*done)
            dm_clock_sleep_ms(wait_step_ms);
    }
    return status;
}

/* Where a watched folder stands is told by the name of its last file. */
static enum dm_status forget_names(sqlite3 *db, struct dm_error *err)
{
    return has_table(db, "dm_source")
               ? run_sql(db, "UPDATE dm_source SET position_text = position || ' files' WHERE type = 'files'",
                         err)
               : DM_OK;
}

enum dm_status dm_erase_catalog(struct sqlite3 *db, const char *token, bool *done, struct dm_error *err)
{
    *done = false;
    enum dm_status status = run_sql(db, "PRAGMA secure_delete = ON", err);
    if (status == DM_OK)
        status = forget_texts(db, token, err);
    if (status == DM_OK)
        status = forget_names(db, err);
    return status == DM_OK ? forget_pages(db, done, err) : status;
}
