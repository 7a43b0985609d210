/* sqlite_deliver.h — a table as the stream delivers it, and its rows into the sink.
 *
 * The struct is the stream's; release frees what hangs on it. One thread. An answer of the sink other than DM_OK is
 * handed on.
 *
 *     dm_sqlite_tell(&followed, sink, false, err);          // the sink knows the table as it is
 *     if (followed.handle != NULL)
 *         dm_sqlite_deliver_row(&followed, row, 0, keys, 3, DM_OP_UPDATE, sink, err);
 */
#ifndef DM_SOURCE_SQLITE_DELIVER_H
#define DM_SOURCE_SQLITE_DELIVER_H

#include "source/sqlite/sqlite_row.h"

/* A table as this stream delivers it. */
struct dm_sqlite_followed {
    struct dm_sqlite_table *t; /* of the current set */
    struct dm_table *told;     /* what the sink was last told; NULL: nothing yet */
    void *handle;
    sqlite3_stmt *lookup; /* the row of a key */
    struct dm_sqlite_row_mapper mapper;
    int64_t images_from;
};
void dm_sqlite_followed_release(struct dm_sqlite_followed *f);

/* Makes sure that the sink knows the table as it is. */
enum dm_status dm_sqlite_tell(struct dm_sqlite_followed *f, const struct dm_sink *sink, bool rewritten,
                              struct dm_error *err) DM_MUST_USE;
/* Is the row of the key in the log, byte for byte? */
bool dm_sqlite_same_key(const struct dm_sqlite_table *t, sqlite3_stmt *row, int first_value,
                        sqlite3_stmt *keys, int first_key);
/* A row that does not fit goes to quarantine, and its earlier version leaves the lake: it is not the row's state
 * any more. */
enum dm_status dm_sqlite_deliver_row(struct dm_sqlite_followed *f, sqlite3_stmt *row, int first_value,
                                     sqlite3_stmt *keys, int first_key, enum dm_op op,
                                     const struct dm_sink *sink, struct dm_error *err) DM_MUST_USE;
enum dm_status dm_sqlite_deliver_delete(struct dm_sqlite_followed *f, sqlite3_stmt *keys, int first,
                                        const struct dm_sink *sink, struct dm_error *err) DM_MUST_USE;
enum dm_status dm_sqlite_deliver_bad(struct dm_sqlite_followed *f, sqlite3_stmt *row, int first,
                                     enum dm_op op, const struct dm_sqlite_bad *bad,
                                     const struct dm_sink *sink, struct dm_error *err) DM_MUST_USE;

#endif
