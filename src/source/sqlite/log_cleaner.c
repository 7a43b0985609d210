#include "source/sqlite/log_cleaner.h"

#include <stdbool.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "source/sqlite/sqlite_db.h"

enum {
    entries_per_transaction = 2000,
    transactions_per_run = 4,
    worth_a_run = 5000,              /* entries */
    idle_run_interval_us = 60000000, /* for fewer */
    busy_run_interval_us = 500000,
    lock_wait_ms = 20
};

void dm_log_cleaner_init(struct dm_log_cleaner *c, sqlite3 *db, dm_position first)
{
    c->db = db;
    c->cleaned = first + 1;
    c->last_run_us = dm_clock_monotonic_us();
    atomic_init(&c->acknowledged, 0);
}

void dm_log_cleaner_ack(struct dm_log_cleaner *c, dm_position position)
{
    uint64_t before = atomic_load(&c->acknowledged);
    while (position > before && !atomic_compare_exchange_weak(&c->acknowledged, &before, position)) {
    }
}

/* The images of all tables that keep them, then the log itself, below `cut`. */
static enum dm_status delete_below(sqlite3 *db, int64_t cut, struct dm_error *err)
{
    sqlite3_stmt *row = NULL;
    if (dm_sqlite_prepare(
            db, &row, err,
            "SELECT name FROM sqlite_schema WHERE type = 'table' AND name GLOB '_datamirror_image_*'") !=
        DM_OK)
        return DM_FAIL;
    enum dm_status status;
    while ((status = dm_sqlite_step(row, err)) == DM_OK)
        if (dm_sqlite_exec(db, err, "DELETE FROM \"%w\" WHERE seq < %lld",
                           (const char *)sqlite3_column_text(row, 0), (long long)cut) != DM_OK) {
            status = DM_FAIL;
            break;
        }
    (void)sqlite3_finalize(row);
    if (status == DM_FAIL)
        return DM_FAIL;
    return dm_sqlite_exec(db, err, "DELETE FROM \"_datamirror_log\" WHERE seq < %lld", (long long)cut);
}

/* One short transaction. *more: there is more to delete below `acknowledged`. */
static enum dm_status clean_some(sqlite3 *db, dm_position acknowledged, bool *more, struct dm_error *err)
{
    *more = false;
    int64_t keep = 0, cut = 0;
    if (dm_sqlite_exec(db, err, "BEGIN IMMEDIATE") != DM_OK ||
        dm_sqlite_int(db, 0, &keep, err, "SELECT max(seq) FROM \"_datamirror_log\" WHERE seq < %lld",
                      (long long)acknowledged) != DM_OK ||
        dm_sqlite_int(db, keep, &cut, err,
                      "SELECT seq FROM \"_datamirror_log\" WHERE seq < %lld ORDER BY seq LIMIT 1 OFFSET %d",
                      (long long)keep, entries_per_transaction) != DM_OK ||
        delete_below(db, cut, err) != DM_OK || dm_sqlite_exec(db, err, "COMMIT") != DM_OK)
        return DM_FAIL;
    *more = cut < keep;
    return DM_OK;
}

static void clean(struct dm_log_cleaner *c, dm_position acknowledged)
{
    c->last_run_us = dm_clock_monotonic_us();
    dm_sqlite_wait_for_locks(c->db, lock_wait_ms);
    struct dm_error err = {0};
    bool more = true;
    for (int i = 0; more && i < transactions_per_run; i++) {
        if (clean_some(c->db, acknowledged, &more, &err) != DM_OK) {
            dm_sqlite_rollback(c->db);
            if (err.class != DM_ERROR_TRANSIENT)
                dm_log_error(DM_LOG_WARN, "cleaning the change log", &err);
            break;
        }
        if (!more)
            c->cleaned = acknowledged;
    }
    dm_sqlite_wait_for_locks(c->db, DM_SQLITE_USUAL_WAIT_MS);
}

/* Numbers have no gaps but where the log began, so their difference is that of entries. */
void dm_log_cleaner_run(struct dm_log_cleaner *c)
{
    dm_position acknowledged = atomic_load(&c->acknowledged);
    int64_t since = dm_clock_monotonic_us() - c->last_run_us;
    bool many = acknowledged >= c->cleaned + worth_a_run;
    if (acknowledged > c->cleaned && since >= (many ? busy_run_interval_us : idle_run_interval_us))
        clean(c, acknowledged);
}

void dm_log_cleaner_finish(struct dm_log_cleaner *c)
{
    dm_position acknowledged = atomic_load(&c->acknowledged);
    if (acknowledged > c->cleaned)
        clean(c, acknowledged);
}
