/* What `doctor` asks a PostgreSQL server. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "source/postgres/pg_source.h"

static void add(struct dm_check_list *out, bool fine, enum dm_check_result otherwise, const char *what,
                const char *hint)
{
    dm_check_add(out, fine ? DM_CHECK_OK : otherwise, fine ? NULL : hint, "%s", what);
}

static enum dm_status check_settings(PGconn *conn, struct dm_check_list *out, struct dm_error *err)
{
    PGresult *rows;
    if (pg_query(conn, &rows, err,
                 "SELECT current_setting('wal_level'), current_setting('max_replication_slots')::int,"
                 " (SELECT count(*) FROM pg_replication_slots), current_setting('max_wal_senders')::int,"
                 " (SELECT count(*) FROM pg_stat_replication), current_setting('max_slot_wal_keep_size'),"
                 " pg_is_in_recovery(), (SELECT rolreplication OR rolsuper FROM pg_roles WHERE rolname = "
                 "current_user),"
                 " has_database_privilege(current_database(), 'CREATE'), current_user,"
                 " current_setting('server_version'), current_setting('server_encoding')") != DM_OK)
        return DM_FAIL;
    char what[200];
    (void)snprintf(what, sizeof what, "server is PostgreSQL %s", pg_cell(rows, 0, 10));
    add(out, true, DM_CHECK_OK, what, NULL);
    (void)snprintf(what, sizeof what, "wal_level is %s", pg_cell(rows, 0, 0));
    add(out, strcmp(pg_cell(rows, 0, 0), "logical") == 0, DM_CHECK_FAIL, what,
        "set wal_level = logical in postgresql.conf and restart the server");
    (void)snprintf(what, sizeof what, "replication slots: %d of %d in use", (int)pg_cell_int(rows, 0, 2),
                   (int)pg_cell_int(rows, 0, 1));
    add(out, pg_cell_int(rows, 0, 1) - pg_cell_int(rows, 0, 2) >= 2, DM_CHECK_WARN, what,
        "raise max_replication_slots: the stream needs one, a copy another one for its time");
    (void)snprintf(what, sizeof what, "WAL senders: %d of %d in use", (int)pg_cell_int(rows, 0, 4),
                   (int)pg_cell_int(rows, 0, 3));
    add(out, pg_cell_int(rows, 0, 3) - pg_cell_int(rows, 0, 4) >= 2, DM_CHECK_WARN, what,
        "raise max_wal_senders: the stream needs one, a copy another one for its time");
    (void)snprintf(what, sizeof what, "user \"%.60s\" may replicate", pg_cell(rows, 0, 9));
    add(out, pg_cell_bool(rows, 0, 7), DM_CHECK_FAIL, what, "ALTER ROLE <user> REPLICATION");
    (void)snprintf(what, sizeof what, "user \"%.60s\" may create publications", pg_cell(rows, 0, 9));
    add(out, pg_cell_bool(rows, 0, 8), DM_CHECK_FAIL, what,
        "GRANT CREATE ON DATABASE <database> TO <user>; the user must also own the tables (or be in the "
        "owner's role)");
    add(out, !pg_cell_bool(rows, 0, 6), DM_CHECK_FAIL,
        pg_cell_bool(rows, 0, 6) ? "the server is a standby" : "the server is a primary",
        "mirror from the primary");
    (void)snprintf(what, sizeof what, "max_slot_wal_keep_size is %s", pg_cell(rows, 0, 5));
    add(out, strcmp(pg_cell(rows, 0, 5), "-1") == 0, DM_CHECK_WARN, what,
        "a mirror that stands still for long loses its slot and must copy everything again; it protects the "
        "server's disk, "
        "so choose it large");
    (void)snprintf(what, sizeof what, "encoding of the database is %s", pg_cell(rows, 0, 11));
    add(out, strcmp(pg_cell(rows, 0, 11), "SQL_ASCII") != 0, DM_CHECK_WARN, what,
        "SQL_ASCII promises nothing about texts: rows with bytes that are not UTF-8 go to quarantine");
    PQclear(rows);
    return DM_OK;
}

static enum dm_status check_slot(struct dm_source *s, PGconn *conn, struct dm_check_list *out,
                                 struct dm_error *err)
{
    struct pg_slot_state slot;
    if (pg_slot_read(conn, s->slot, &slot, err) != DM_OK)
        return DM_FAIL;
    if (!slot.exists) {
        dm_check_add(out, DM_CHECK_OK, NULL, "slot \"%s\" does not exist yet; run creates it", s->slot);
        return DM_OK;
    }
    if (slot.lost)
        dm_check_add(
            out, DM_CHECK_FAIL,
            "the server removed log that was not read yet: drop the slot and run datamirror resync --all",
            "slot \"%s\" is lost", s->slot);
    else if (strcmp(slot.plugin, "pgoutput") != 0 || strcmp(slot.database, PQdb(conn)) != 0)
        dm_check_add(out, DM_CHECK_FAIL,
                     "name another slot with slot:", "slot \"%s\" belongs to somebody else", s->slot);
    else if (strcmp(slot.wal_status, "unreserved") == 0)
        dm_check_add(out, DM_CHECK_WARN, "let the mirror run now, or raise max_slot_wal_keep_size",
                     "slot \"%s\" is about to be lost", s->slot);
    else
        dm_check_add(out, DM_CHECK_OK, NULL, "slot \"%s\" is there%s", s->slot,
                     slot.active ? ", in use by a running mirror" : "");
    return DM_OK;
}

/* Only a real replication connection proves that pg_hba.conf and the role allow one. */
static void check_replication(struct dm_source *s, struct dm_check_list *out)
{
    PGconn *conn;
    struct dm_error err = {0};
    if (pg_connect(s->config, PG_REPLICATION, &conn, &err) == DM_OK) {
        dm_check_add(out, DM_CHECK_OK, NULL, "replication connection works");
        PQfinish(conn);
    } else {
        dm_check_add(out, DM_CHECK_FAIL,
                     err.hint[0] != '\0' ? err.hint : "allow it in the server's pg_hba.conf",
                     "replication connection: %s", err.message);
    }
}

static enum dm_status check_owners(PGconn *conn, const struct pg_table_list *tables,
                                   struct dm_check_list *out, struct dm_error *err)
{
    enum dm_status status = DM_OK;
    for (size_t i = 0; i < tables->n && status == DM_OK; i++) {
        const struct pg_table *t = tables->tables[i];
        if (t->table->problem != NULL) {
            dm_check_add(out, DM_CHECK_FAIL, t->table->hint, "%s.%s %s", t->table->schema, t->table->name,
                         t->table->problem);
            continue;
        }
        PGresult *rows;
        status = pg_query(conn, &rows, err,
                          "SELECT pg_has_role(relowner, 'USAGE') FROM pg_class WHERE oid = %u", t->oid);
        if (status == DM_OK && PQntuples(rows) == 1 && !pg_cell_bool(rows, 0, 0))
            dm_check_add(out, DM_CHECK_WARN,
                         "only a table's owner may publish it: GRANT the owner's role to the mirror's user, "
                         "or let the "
                         "owner run ALTER PUBLICATION … ADD TABLE",
                         "%s.%s is owned by somebody else", t->table->schema, t->table->name);
        PQclear(rows);
    }
    return status;
}

/* No fault of anything, but better known before somebody opens the table in Spark. */
static void note_times(const struct pg_table_list *tables, struct dm_check_list *out)
{
    size_t n = 0;
    const struct dm_table *first = NULL;
    for (size_t i = 0; i < tables->n; i++) {
        const struct dm_table *t = tables->tables[i]->table;
        bool has = false;
        for (size_t k = 0; k < t->columns->n_fields; k++) {
            struct dm_type type = t->columns->fields[k].type;
            has = has || type.id == DM_TIME || (type.id == DM_LIST && type.element == DM_TIME);
        }
        n += has;
        if (has && first == NULL)
            first = t;
    }
    if (first != NULL)
        dm_check_add(out, DM_CHECK_OK, NULL,
                     "%s.%s%s has columns of type time: Spark refuses such a table, unless time_as: string "
                     "is set",
                     first->schema, first->name, n > 1 ? " (and others)" : "");
}

enum dm_status pg_check(struct dm_source *s, struct dm_check_list *out, struct dm_error *err)
{
    PGconn *conn;
    if (pg_source_connection(s, &conn, err) != DM_OK) {
        dm_check_add(out, DM_CHECK_FAIL, err->hint, "%s", err->message);
        return DM_OK;
    }
    if (check_settings(conn, out, err) != DM_OK || check_slot(s, conn, out, err) != DM_OK)
        return DM_FAIL;
    check_replication(s, out);
    struct pg_catalog catalog;
    struct pg_table_list tables = {0};
    if (pg_source_catalog(s->config, conn, &s->types, &catalog, err) != DM_OK ||
        pg_discover(&catalog, 0, &tables, err) != DM_OK)
        return DM_FAIL;
    enum dm_status status = check_owners(conn, &tables, out, err);
    note_times(&tables, out);
    if (tables.n == 0)
        dm_check_add(out, DM_CHECK_WARN, "check tables: and exclude: in mirror.yaml", "no table is selected");
    pg_table_list_release(&tables);
    return status;
}
