/* The permanent logical slot: where the server remembers how far the mirror got. */
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "source/postgres/pg_source.h"

enum dm_status pg_slot_read(PGconn *conn, const char *slot, struct pg_slot_state *out, struct dm_error *err)
{
    *out = (struct pg_slot_state){0};
    PGresult *rows;
    const char *values[] = {slot};
    /* invalidation_reason came with 17 (conflicting with 16); a slot that can serve no more shows as
     * wal_status lost in all */
    if (pg_query_params(conn, &rows, err,
                        "SELECT plugin, coalesce(wal_status, ''), active, coalesce(active_pid, 0),"
                        " coalesce(confirmed_flush_lsn, '0/0'), coalesce(database, ''), slot_type"
                        " FROM pg_replication_slots WHERE slot_name = $1",
                        1, values) != DM_OK)
        return DM_FAIL;
    enum dm_status status = DM_OK;
    if (PQntuples(rows) == 1) {
        out->exists = true;
        (void)snprintf(out->plugin, sizeof out->plugin, "%s", PQgetvalue(rows, 0, 0));
        (void)snprintf(out->wal_status, sizeof out->wal_status, "%s", PQgetvalue(rows, 0, 1));
        (void)snprintf(out->database, sizeof out->database, "%s", PQgetvalue(rows, 0, 5));
        out->lost = strcmp(out->wal_status, "lost") == 0;
        out->active = pg_cell_bool(rows, 0, 2);
        out->active_pid = (int)pg_cell_int(rows, 0, 3);
        status = pg_lsn_parse(PQgetvalue(rows, 0, 4), &out->confirmed, err);
    }
    PQclear(rows);
    return status;
}

enum dm_status pg_slot_create(struct dm_source *s, PGconn *conn, struct dm_error *err)
{
    struct pg_slot_state state;
    if (pg_slot_read(conn, s->slot, &state, err) != DM_OK)
        return DM_FAIL;
    if (state.exists) {
        if (strcmp(state.plugin, "pgoutput") != 0 || strcmp(state.database, PQdb(conn)) != 0)
            return dm_fail(
                err, DM_ERROR_CONFLICT, "name another slot with slot:, or drop that one",
                "the replication slot \"%s\" belongs to somebody else: plugin \"%s\", database \"%s\"",
                s->slot, state.plugin, state.database);
        return DM_OK;
    }
    const char *values[] = {s->slot};
    bool failover = s->config->failover && pg_version(conn) >= 170000;
    if (s->config->failover && !failover)
        dm_log(DM_LOG_WARN, "failover: needs PostgreSQL 17; the slot \"%s\" is created without it", s->slot);
    PGresult *rows;
    enum dm_status status =
        pg_query_params(conn, &rows, err,
                        failover ? "SELECT pg_create_logical_replication_slot($1, 'pgoutput', temporary => "
                                   "false, twophase => false,"
                                   " failover => true)"
                                 : "SELECT pg_create_logical_replication_slot($1, 'pgoutput')",
                        1, values);
    PQclear(rows);
    if (status != DM_OK)
        dm_error_prefix(err, "creating the replication slot \"%s\"", s->slot);
    return status;
}

enum dm_status pg_slot_drop(struct dm_source *s, PGconn *conn, struct dm_error *err)
{
    PGresult *rows;
    const char *values[] = {s->slot};
    enum dm_status status =
        pg_query_params(conn, &rows, err,
                        "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots"
                        " WHERE slot_name = $1",
                        1, values);
    PQclear(rows);
    return status;
}
