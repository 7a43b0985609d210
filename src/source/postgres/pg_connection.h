/* pg_connection.h — connections to PostgreSQL with fixed client settings, and errors with class and remedy.
 *
 * Every connection, the walsender's too, gets the same settings (UTF8, ISO dates, UTC, shortest-exact floats,
 * hex bytea, lc_monetary C, search_path pg_catalog, row security an error), so that a value's text form is the
 * same in copy and stream and does not depend on role or database defaults.
 *
 * A PGconn belongs to the caller (PQfinish) and to one thread at a time. Results belong to the caller
 * (PQclear). Errors: SQLSTATE decides the class; known ones carry a hint.
 *
 *     PGconn *conn;
 *     if (pg_connect(config, PG_NORMAL, NULL, &conn, err) != DM_OK) …
 *     PGresult *rows;
 *     if (pg_query(conn, &rows, err, "SELECT … WHERE oid = %u", oid) != DM_OK) …
 */
#ifndef DM_SOURCE_POSTGRES_PG_CONNECTION_H
#define DM_SOURCE_POSTGRES_PG_CONNECTION_H

#include <libpq-fe.h>

#include "base/buffer.h"
#include "source/source.h"

enum pg_connection_kind { PG_NORMAL, PG_REPLICATION };

/* waiter NULL: nobody wants to stop it. */
enum dm_status pg_connect(const struct dm_source_config *config, enum pg_connection_kind kind,
                          const struct dm_source_waiter *waiter, PGconn **out,
                          struct dm_error *err) DM_MUST_USE;

/* Fills err from the result (or from the connection when result is NULL) and returns DM_FAIL. Clears nothing.
 * */
enum dm_status pg_fail(struct dm_error *err, PGconn *conn, const PGresult *result, const char *what);
/* The same for a connection that did not come about. */
enum dm_status pg_fail_connect(struct dm_error *err, PGconn *conn);

/* Runs one command that gives rows (or none); printf style. */
enum dm_status pg_query(PGconn *conn, PGresult **out, struct dm_error *err, const char *fmt, ...)
    DM_PRINTF(4, 5) DM_MUST_USE;
/* The same with text parameters $1…; a NULL is a null. */
enum dm_status pg_query_params(PGconn *conn, PGresult **out, struct dm_error *err, const char *sql, int n,
                               const char *const *values) DM_MUST_USE;
/* Runs a command for its effect. */
enum dm_status pg_execute(PGconn *conn, struct dm_error *err, const char *fmt, ...)
    DM_PRINTF(3, 4) DM_MUST_USE;

/* "name" quoted as an identifier, malloc. */
char *pg_quote(const char *name);
char *pg_quote_literal(PGconn *conn, const char *text);

/* 140000 … from the server. */
int pg_version(PGconn *conn);

/* Values of one result cell; null gives NULL, 0, false. */
const char *pg_cell(const PGresult *rows, int row, int column);
int64_t pg_cell_int(const PGresult *rows, int row, int column);
bool pg_cell_bool(const PGresult *rows, int row, int column);

/* "0/16B3748". */
enum dm_status pg_lsn_parse(const char *text, uint64_t *out, struct dm_error *err) DM_MUST_USE;
const char *pg_lsn_format(uint64_t lsn, char *out, size_t size);

#endif
