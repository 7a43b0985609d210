/* sql_script.h — a text of SQL statements that write into datasets, taken apart for `datamirror sql`.
 *
 *   INSERT INTO ns.table [(columns)] SELECT …      also with WITH in front, VALUES, FROM …; several statements are separated by ;
 *   SELECT …                                       where the caller names the dataset (`into`)
 *
 * Only the part up to the query is understood here; the query itself stays as it was written, and DuckDB judges it.
 * A statement of any other kind is a CONFIG error that names its number, its line and the way out. Everything is owned; no threads, no I/O.
 *
 *     dm_sql_script_parse(text, n, NULL, &script, err);
 *     for (size_t i = 0; i < script.n; i++) … script.statements[i].dataset, .query …
 *     dm_sql_script_release(&script);
 */
#ifndef DM_MIRROR_SQL_SCRIPT_H
#define DM_MIRROR_SQL_SCRIPT_H

#include <stddef.h>

#include "base/error.h"

struct dm_sql_statement {
    size_t line;   /* where it begins, from 1 */
    char *dataset; /* as it was written, without quotes: "sales.orders" */
    size_t n_columns;
    char **columns; /* of the list behind the name; 0: the query's own names */
    char *query;    /* without the lines before it: dm_sql_statement_query */
};

struct dm_sql_script {
    size_t n;
    struct dm_sql_statement *statements;
};

/* `into`: the dataset that every statement, then a query alone, writes into; NULL: each says so itself. There is at least one statement, or it fails. */
enum dm_status dm_sql_script_parse(const char *text, size_t n, const char *into, struct dm_sql_script *out,
                                   struct dm_error *err) DM_MUST_USE;
/* The query on its own line of the text (behind empty ones), so that what DuckDB says of line 7 is line 7 of the text; malloc'ed. */
char *dm_sql_statement_query(const struct dm_sql_statement *s);
void dm_sql_script_release(struct dm_sql_script *script); /* zeroed is fine */

#endif
