/* unique_index_sql.h — the parts of a CREATE UNIQUE INDEX statement: SQLite tells the expressions of an
 * index only as its SQL text.
 *
 * Not a parser of SQL: it finds the list in the first parentheses outside quotes and comments, cuts it at
 * the commas on its own level, takes ASC and DESC off the ends, and takes what follows WHERE. Strings are
 * malloc'ed.
 */
#ifndef DM_SOURCE_SQLITE_UNIQUE_INDEX_SQL_H
#define DM_SOURCE_SQLITE_UNIQUE_INDEX_SQL_H

#include <stdbool.h>
#include <stddef.h>

struct dm_index_sql {
    size_t n;
    char **terms;
    char *where; /* NULL: not partial */
};
/* False: the text cannot be understood; nothing to release. */
bool dm_index_sql_split(const char *sql, struct dm_index_sql *out);
void dm_index_sql_release(struct dm_index_sql *s);

#endif
