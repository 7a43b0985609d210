#include "source/sqlite/log_check.h"

#include "source/sqlite/sqlite_capture.h"

static const char hint[] =
    "if this is the file to be mirrored, copy all its tables again: `datamirror resync --all`; otherwise put "
    "the right file back";

static enum dm_status exists(sqlite3 *db, const char *table, const char *column, bool *there,
                             struct dm_error *err)
{
    int64_t n = 0;
    enum dm_status status = dm_sqlite_int(
        db, 0, &n, err, "SELECT count(*) FROM pragma_table_info(%Q) WHERE name = %Q", table, column);
    *there = n > 0;
    return status;
}

enum dm_status dm_sqlite_log_mark(sqlite3 *db, dm_position position, struct dm_log_mark *out,
                                  struct dm_error *err)
{
    *out = (struct dm_log_mark){0};
    bool has_id = false, has_stamps = false;
    int64_t id = 0, stamp = 0;
    if (exists(db, "_datamirror_capture", "id", &has_id, err) != DM_OK ||
        exists(db, "_datamirror_log", "stamp", &has_stamps, err) != DM_OK ||
        (has_id && dm_sqlite_int(db, 0, &id, err, "SELECT id FROM \"_datamirror_capture\"") != DM_OK) ||
        (has_stamps &&
         dm_sqlite_int(db, 0, &stamp, err, "SELECT stamp FROM \"_datamirror_log\" WHERE seq = %lld",
                       (long long)position - 1) != DM_OK))
        return DM_FAIL;
    *out = (struct dm_log_mark){.log = (uint64_t)id, .stamp = (uint64_t)stamp};
    return DM_OK;
}

static enum dm_status gone(dm_position from, dm_position first, struct dm_error *err)
{
    return dm_fail(err, DM_ERROR_CONFLICT,
                   "copy all tables again: `datamirror resync --all`; one file can feed one mirror only",
                   "changes between %llu and %llu are no longer in the file: its change log was emptied, or "
                   "another mirror cleans it",
                   (unsigned long long)from, (unsigned long long)first);
}

enum dm_status dm_sqlite_log_check(sqlite3 *db, dm_position from, const struct dm_log_mark *mark,
                                   dm_position *end, bool *behind, struct dm_error *err)
{
    *behind = false;
    if (!dm_sqlite_capture_exists(db))
        return dm_fail(
            err, DM_ERROR_CONFLICT, hint,
            "the SQLite file has no change capture (any more): another file stands in its place, or "
            "the capture was taken out");
    struct dm_log_mark now;
    int64_t first = 0;
    if (dm_sqlite_capture_position(db, end, err) != DM_OK)
        return DM_FAIL;
    if (from == 0)
        return DM_OK;
    if (dm_sqlite_log_mark(db, from, &now, err) != DM_OK ||
        dm_sqlite_int(db, 0, &first, err, "SELECT min(seq) FROM \"_datamirror_log\"") != DM_OK)
        return DM_FAIL;
    if (mark->log != 0 && now.log != mark->log)
        return dm_fail(err, DM_ERROR_CONFLICT, hint,
                       "the change log in the SQLite file is not the one that the mirror read: another file "
                       "stands in its place, or the capture was made anew");
    if (mark->stamp != 0 ? now.stamp == mark->stamp : *end >= from && (dm_position)first < from)
        return DM_OK;
    if ((dm_position)first >= from)
        return gone(from, (dm_position)first, err);
    *behind = true;
    return dm_fail(
        err, DM_ERROR_CONFLICT, hint,
        "the SQLite file has gone back: its change log, which ends at %llu, does not hold what the "
        "mirror read last, at %llu. It was put back from an older copy, or lost its last "
        "transactions in a power cut",
        (unsigned long long)*end, (unsigned long long)from);
}
