/* log_check.h — is the change log in the file the one that was read before?
 *
 * Its sequence numbers do not say so: a file that lost its last transactions (a power cut under synchronous = NORMAL), or that was put
 * back from a copy, gives the same numbers out again for other changes. So each entry carries a random stamp, and the log itself a random
 * id. The mirror remembers both with each position, in the commit of the lake; as long as the entry right below the position is
 * there with its stamp, the log holds everything that was read, in the same order. The rules stand under VALIDITY in sqlite_capture.c.
 *
 * Functions work on a caller's connection, in its transaction. Nothing is owned.
 *
 *     dm_sqlite_log_mark(db, position, &mark, err);                       // to remember
 *     dm_sqlite_log_check(db, position, &mark, &end, &behind, err);       // CONFLICT: another log
 */
#ifndef DM_SOURCE_SQLITE_LOG_CHECK_H
#define DM_SOURCE_SQLITE_LOG_CHECK_H

#include "column/batch.h"
#include "source/sqlite/sqlite_db.h"

/* The mark of a position: the log's id, and the stamp of the entry right below; 0 where the log (of an older version) has none. */
enum dm_status dm_sqlite_log_mark(sqlite3 *db, dm_position position, struct dm_log_mark *out,
                                  struct dm_error *err) DM_MUST_USE;
/* *end: the position after the log's last entry. from 0 is in every log. Fails with CONFLICT when the log is not the one that was read up
 * to `from`; *behind: it is, but what was read last is gone. */
enum dm_status dm_sqlite_log_check(sqlite3 *db, dm_position from, const struct dm_log_mark *mark,
                                   dm_position *end, bool *behind, struct dm_error *err) DM_MUST_USE;

#endif
