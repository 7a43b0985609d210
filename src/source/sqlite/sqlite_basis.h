/* sqlite_basis.h — what a table of a SQLite file rests on, as facts (source/basis.h).
 *
 * Most of what can happen to a table between two looks the capture notes in the log, in its place among the rows (sqlite_capture.c): it compares CREATE
 * TABLE, constraints and triggers under the write lock. The facts are what it cannot know: the key as the lake has it, and our own configuration.
 */
#ifndef DM_SOURCE_SQLITE_BASIS_H
#define DM_SOURCE_SQLITE_BASIS_H

#include "source/sqlite/sqlite_table.h"

/* Columns by name where they have no number: those that are left out have none. */
void dm_sqlite_basis_add(struct dm_sqlite_table *t, const struct dm_table_config *config);

#endif
