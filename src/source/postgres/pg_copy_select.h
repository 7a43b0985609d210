/* pg_copy_select.h — what the copy asks of the server for a table: SELECT … FROM <stretch> …
 *
 * libpq holds a row whole, twice. So that a row of hundreds of megabytes does not come at all, tables with much stored out of line are
 * asked with a guard: for a row that is surely too large (as pg_row_surely_too_large has it) the long values stay with the server, and a
 * column behind the others says how long the row is; else that is null. Whether a value could be long is told by its stored size, which
 * costs nothing, since nothing is compressed to less than 1/256; only then is its true size asked.
 *
 * The text is malloc'ed: free(head). No state.
 */
#ifndef DM_SOURCE_POSTGRES_PG_COPY_SELECT_H
#define DM_SOURCE_POSTGRES_PG_COPY_SELECT_H

#include "source/postgres/pg_table.h"

struct pg_copy_sql {
    char *head;       /* up to FROM; malloc */
    const char *tail; /* behind the condition */
};

bool pg_copy_guard_wanted(const struct pg_table *t, uint64_t max_row_bytes, uint64_t toast_bytes);
enum dm_status pg_copy_select(const struct pg_table *t, struct pg_copy_sql *out,
                              struct dm_error *err) DM_MUST_USE;
/* The same with the guard. */
enum dm_status pg_copy_guard(const struct pg_table *t, uint64_t max_row_bytes, struct pg_copy_sql *out,
                             struct dm_error *err) DM_MUST_USE;

#endif
