/* The permanent logical slot: where the server remembers how far the mirror got. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/memory.h"
#include "source/postgres/pg_source.h"
#include "source/postgres/pg_wait.h"

enum dm_status pg_slot_read(PGconn *conn, const char *slot, struct pg_slot_state *out, struct dm_error *err)
{
    *out = (struct pg_slot_state){0};
    PGresult *rows;
    const char *values[] = {slot};
    /* invalidation_reason came with 17 (conflicting with 16); a slot that can serve no more shows as
     * wal_status lost in all */
    if (pg_query_params(
            conn, &rows, err,
            "SELECT coalesce(plugin, ''), coalesce(wal_status, ''), active, coalesce(active_pid, 0),"
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

static enum dm_status judge_existing(const struct dm_source *s, PGconn *conn,
                                     const struct pg_slot_state *slot, dm_position from, struct dm_error *err)
{
    char at[32], wanted[32];
    if (strcmp(slot->plugin, "pgoutput") != 0 || strcmp(slot->database, PQdb(conn)) != 0)
        return dm_fail(err, DM_ERROR_CONFLICT, "name another slot with slot:, or drop that one",
                       "the replication slot \"%s\" belongs to somebody else: plugin \"%s\", database \"%s\"",
                       s->slot, slot->plugin, slot->database);
    if (slot->lost) {
        char hint[200] =
            "run datamirror resync --all, which makes a new one; a larger max_slot_wal_keep_size keeps "
            "the log longer";
        if (from == 0)
            (void)snprintf(hint, sizeof hint,
                           "nothing rests on it yet: SELECT pg_drop_replication_slot('%s'), and "
                           "start again",
                           s->slot);
        return dm_fail(err, DM_ERROR_CONFLICT, hint,
                       "the replication slot \"%s\" is lost: the server removed log that was not read yet",
                       s->slot);
    }
    if (from != 0 && slot->confirmed > from)
        return dm_fail(
            err, DM_ERROR_CONFLICT,
            "run datamirror resync --all. It may be that the slot was made anew after a failover or "
            "by hand, that another program read it, or that the lake was restored from an older copy",
            "the replication slot \"%s\" stands at %s: the changes from %s to there are not in the "
            "lake, and cannot be read any more",
            s->slot, pg_lsn_format(slot->confirmed, at, sizeof at),
            pg_lsn_format(from, wanted, sizeof wanted));
    return DM_OK;
}

enum dm_status pg_slot_judge(const struct dm_source *s, PGconn *conn, const struct pg_slot_state *slot,
                             dm_position from, struct dm_error *err)
{
    if (slot->exists)
        return judge_existing(s, conn, slot, from, err);
    if (from == 0)
        return DM_OK;
    return dm_fail(
        err, DM_ERROR_CONFLICT,
        "run datamirror resync --all, which makes a new one. It may be that somebody dropped it, or that the "
        "server is one after a failover or a restore, which the slot did not come to",
        "the replication slot \"%s\" does not exist: changes since the last run may be lost", s->slot);
}

enum dm_status pg_slot_in_use(const struct dm_source *s, const struct pg_slot_state *slot,
                              struct dm_error *err)
{
    char hint[200];
    (void)snprintf(
        hint, sizeof hint,
        "stop the other mirror; a dead connection is noticed after wal_sender_timeout, or at once by "
        "SELECT pg_terminate_backend(%d)",
        slot->active_pid);
    return dm_fail(err, DM_ERROR_TRANSIENT, hint,
                   "the replication slot \"%s\" is in use by the server process %d", s->slot,
                   slot->active_pid);
}

enum dm_status pg_slot_create(struct dm_source *s, PGconn *conn, struct dm_error *err)
{
    struct pg_slot_state state;
    if (pg_slot_read(conn, s->slot, &state, err) != DM_OK || pg_slot_judge(s, conn, &state, 0, err) != DM_OK)
        return DM_FAIL;
    if (state.exists)
        return DM_OK;
    bool failover = s->config->failover && pg_version(conn) >= 170000;
    if (s->config->failover && !failover)
        dm_log(DM_LOG_WARN, "failover: needs PostgreSQL 17; the slot \"%s\" is created without it", s->slot);
    PGresult *rows;
    char *slot = pg_quote_literal(conn, s->slot);
    char *sql = dm_xasprintf("SELECT pg_create_logical_replication_slot(%s, 'pgoutput'%s)", slot,
                             failover ? ", temporary => false, twophase => false, failover => true" : "");
    enum dm_status status =
        pg_wait_query(s->config, s->waiter, conn, sql, "creating the replication slot", &rows, err);
    PQclear(rows);
    free(sql);
    free(slot);
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
