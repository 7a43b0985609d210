/* pg_wait.h — statements that wait for other sessions: making a slot waits for every transaction that is running.
 *
 * While one waits, its own process is looked at over another connection: who blocks it is logged and told to the waiter (source.h), and
 * when the waiter wants to stop, the statement is cancelled. One thread. Failure: as pg_query; cancelled: TRANSIENT.
 *
 *     pg_wait_query(s->config, s->waiter, conn, "SELECT pg_create_…", "creating the replication slot", &rows, err);
 */
#ifndef DM_SOURCE_POSTGRES_PG_WAIT_H
#define DM_SOURCE_POSTGRES_PG_WAIT_H

#include "source/postgres/pg_connection.h"
#include "source/source.h"

/* `what` stands before messages. *rows: PQclear, also NULL. On a walsender's connection, too. */
enum dm_status pg_wait_query(const struct dm_source_config *config, const struct dm_source_waiter *waiter,
                             PGconn *conn, const char *sql, const char *what, PGresult **rows,
                             struct dm_error *err) DM_MUST_USE;

#endif
