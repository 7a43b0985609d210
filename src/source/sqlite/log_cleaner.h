/* log_cleaner.h — deletes log entries that the mirror has acknowledged, in small transactions so that
 * writers hardly wait.
 *
 * The entry right below the acknowledged position stays: it shows that nothing behind it is missing (see
 * sqlite_capture.c), and the greatest entry always stays, since the sequence goes on from it.
 * dm_log_cleaner_ack may be called from any thread, the rest from the stream's. A lock that cannot be had
 * is no failure: the next run tries again.
 *
 *     dm_log_cleaner_init(&cleaner, writer);
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
    int64_t last_run_us;
};

void dm_log_cleaner_init(struct dm_log_cleaner *c, sqlite3 *db);
void dm_log_cleaner_ack(struct dm_log_cleaner *c, dm_position position);
/* Deletes some thousand entries at most; does nothing when it ran a moment ago or nothing was acknowledged
 * since. */
void dm_log_cleaner_run(struct dm_log_cleaner *c);

#endif
