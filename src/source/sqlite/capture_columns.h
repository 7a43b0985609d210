/* capture_columns.h — numbers for columns that outlive their names, kept in _datamirror_columns.
 *
 * Works in the caller's write transaction, on the caller's connection. Owns nothing; SQLite's failures only.
 *
 *     dm_capture_number_columns(db, table, &moved, &rewritten, err);
 *     table->table->columns->fields[0].source_ref;   // its number
 */
#ifndef DM_SOURCE_SQLITE_CAPTURE_COLUMNS_H
#define DM_SOURCE_SQLITE_CAPTURE_COLUMNS_H

#include "source/sqlite/sqlite_table.h"

/* Gives every field of the table its number. *moved is set when columns were added, dropped or renamed since the
 * last time, *rewritten when stored rows have values that no change announced. */
enum dm_status dm_capture_number_columns(sqlite3 *db, struct dm_sqlite_table *table, bool *moved,
                                         bool *rewritten, struct dm_error *err) DM_MUST_USE;

#endif
