/* log_cleaner.h — deletes log entries that the mirror has acknowledged: seldom, and in small transactions, since a
 * writer that waits for no lock (busy_timeout 0) fails when it meets one, and one that read before it writes fails even after it
 * (SQLITE_BUSY_SNAPSHOT).
 *
 * The entry right below the acknowledged position stays: it shows that nothing behind it is missing (see
 * sqlite_capture.c), and the greatest entry always stays, since the sequence goes on from it.
 * dm_log_cleaner_ack may be called from any thread, the rest from the stream's. A lock that cannot be had
 * is no failure: the next run tries again.
 *
 *     dm_log_cleaner_init(&cleaner, writer, first);
 *     dm_log_cleaner_ack(&cleaner, position);
 *     dm_log_cleaner_run(&cleaner);
 */
#ifndef DM_SOURCE_SQLITE_LOG_CLEANER_H
#define DM_SOURCE_SQLITE_LOG_CLEANER_H

#include <sqlite3.h>
#include <stdatomic.h>
#include <stdint.h>

#include "column/batch.h"

struct dm_log_cleaner {
    sqlite3 *db; /* borrowed */
    _Atomic(uint64_t) acknowledged;
    dm_position cleaned; /* everything below is gone, but for the entries that stay */
    int64_t last_run_us; /* 0: not yet */
};

/* first: the number of the log's first entry. */
void dm_log_cleaner_init(struct dm_log_cleaner *c, sqlite3 *db, dm_position first);
void dm_log_cleaner_ack(struct dm_log_cleaner *c, dm_position position);
/* Deletes some thousand entries at most, when enough have gathered or it has not done so for long. */
void dm_log_cleaner_run(struct dm_log_cleaner *c);
/* The same at the end: whatever was acknowledged, up to a limit. */
void dm_log_cleaner_finish(struct dm_log_cleaner *c);

#endif
