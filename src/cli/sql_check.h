/* sql_check.h — whether a statement of `sql` can be run at all: is there such a dataset, does the query give the columns that it needs? Costs no reading of rows. */
#ifndef DM_CLI_SQL_CHECK_H
#define DM_CLI_SQL_CHECK_H

#include "cli/lake_session.h"
#include "mirror/intake/sql_script.h"

/* *query (malloc'ed): the statement's, with its columns named as the dataset has them. *note (may be NULL): what people should know, malloc'ed, or NULL.
 * CONFIG errors. */
enum dm_status dm_sql_check(struct dm_lake_session *session, const struct dm_sql_statement *s, char **query,
                            char **note, struct dm_error *err) DM_MUST_USE;
/* Puts "statement 2 (line 7): " in front. `i` counts from 0. */
void dm_sql_place_error(const struct dm_sql_statement *s, size_t i, struct dm_error *err);

#endif
