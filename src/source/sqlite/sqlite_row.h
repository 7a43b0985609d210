/* sqlite_row.h — rows of a statement into the batches of the mirror.
 *
 * A mapper knows which field of a batch takes which column of the select list (the dataset's columns may
 * stand in another order than the table's). It borrows the table, and holds a reference to the schema it
 * was last used with. One thread.
 *
 *     struct dm_sqlite_row_mapper m = {.table = t};
 *     dm_sqlite_row_append(&m, stmt, 0, batch, DM_OP_COPY, &bad, err);
 *     if (bad.reason != NULL) … dm_sqlite_bad_row(…)
 *     dm_sqlite_row_mapper_release(&m);
 */
#ifndef DM_SOURCE_SQLITE_ROW_H
#define DM_SOURCE_SQLITE_ROW_H

#include "source/sqlite/sqlite_table.h"

struct dm_sqlite_row_mapper {
    const struct dm_sqlite_table *table;
    const struct dm_schema *schema; /* owned reference */
    int *columns;                   /* per field of schema: column of the table, -1 none */
};
void dm_sqlite_row_mapper_release(struct dm_sqlite_row_mapper *m);

/* Why a row was not appended. */
struct dm_sqlite_bad {
    const char *reason; /* NULL: it was */
    int column;         /* of the table; row_too_large: that of the largest value */
    uint64_t bytes;     /* row_too_large: of the row */
};

/* Appends the row whose table columns stand at `first`… of the statement. A row that does not fit is undone
 * and told in *bad. */
void dm_sqlite_row_append(struct dm_sqlite_row_mapper *m, sqlite3_stmt *row, int first,
                          struct dm_batch *batch, enum dm_op op, struct dm_sqlite_bad *bad);
/* Appends a DELETE whose key values stand at `first`… in the order of the table's key. False: the key is
 * none that the lake can hold. */
bool dm_sqlite_row_append_delete(struct dm_sqlite_row_mapper *m, sqlite3_stmt *row, int first,
                                 struct dm_batch *batch);

/* Calls `fn` with the row as JSON and the reason in words. */
enum dm_status dm_sqlite_bad_row(const struct dm_sqlite_table *t, sqlite3_stmt *row, int first, enum dm_op op,
                                 const struct dm_sqlite_bad *bad, dm_bad_row_fn fn, void *ctx,
                                 struct dm_error *err) DM_MUST_USE;

#endif
