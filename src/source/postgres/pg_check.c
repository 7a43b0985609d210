/* Whether a mirror can work with a PostgreSQL server as it is now: what `doctor` prints and what `run` starts with.
 *
 * Each check foretells one thing that the mirror is about to do, in the order in which it does them, so that the first failure here is what
 * the mirror would end with: a failure that the server would answer with later is of the same class. What cannot be told from settings and
 * privileges is tried: a replication connection, and, for `doctor`, the publications in a transaction that is rolled back.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/memory.h"
#include "source/postgres/pg_published.h"
#include "source/postgres/pg_source.h"

#define SLOT_WAIT_MS 5000

static bool failed(const struct dm_check_list *out)
{
    struct dm_error ignored;
    return dm_check_first_failure(out, &ignored) != DM_OK;
}

static void add(struct dm_check_list *out, bool fine, enum dm_check_result otherwise, const char *what,
                const char *hint)
{
    dm_check_add(out, fine ? DM_CHECK_OK : otherwise, fine ? NULL : hint, "%s", what);
}

/* ---- the server ---- */

static void check_writable(PGconn *conn, bool standby, bool read_only, struct dm_check_list *out)
{
    if (standby) {
        dm_check_add(out, DM_CHECK_FAIL,
                     "mirror from the primary: a slot and publications are made there "
                     "(target_session_attrs=read-write in url: finds it among several hosts)",
                     "the server is a standby");
        return;
    }
    dm_check_add(out, DM_CHECK_OK, NULL, "the server is a primary");
    if (!read_only)
        return;
    char *user = pg_quote(PQuser(conn));
    char *hint = dm_xasprintf(
        "ALTER ROLE %s SET default_transaction_read_only = off; the mirror makes a slot and publications",
        user);
    dm_check_add(out, DM_CHECK_FAIL, hint,
                 "the sessions of \"%s\" are read-only: default_transaction_read_only is on", PQuser(conn));
    free(hint);
    free(user);
}

static enum dm_status check_server(PGconn *conn, struct dm_check_list *out, struct dm_error *err)
{
    PGresult *rows;
    if (pg_query(conn, &rows, err,
                 "SELECT current_setting('server_version'), pg_is_in_recovery(),"
                 " current_setting('transaction_read_only') = 'on', current_setting('wal_level'),"
                 " current_setting('max_slot_wal_keep_size'), current_setting('server_encoding')") != DM_OK)
        return DM_FAIL;
    char what[200];
    (void)snprintf(what, sizeof what, "server is PostgreSQL %s", pg_cell(rows, 0, 0));
    add(out, true, DM_CHECK_OK, what, NULL);
    check_writable(conn, pg_cell_bool(rows, 0, 1), pg_cell_bool(rows, 0, 2), out);
    (void)snprintf(what, sizeof what, "wal_level is %s", pg_cell(rows, 0, 3));
    add(out, strcmp(pg_cell(rows, 0, 3), "logical") == 0, DM_CHECK_FAIL, what,
        "set wal_level = logical in postgresql.conf and restart the server");
    (void)snprintf(what, sizeof what, "max_slot_wal_keep_size is %s", pg_cell(rows, 0, 4));
    add(out, strcmp(pg_cell(rows, 0, 4), "-1") == 0, DM_CHECK_WARN, what,
        "a mirror that stands still for long loses its slot and must copy everything again; it protects the "
        "server's disk, so choose it large");
    (void)snprintf(what, sizeof what, "encoding of the database is %s", pg_cell(rows, 0, 5));
    add(out, strcmp(pg_cell(rows, 0, 5), "SQL_ASCII") != 0, DM_CHECK_WARN, what,
        "SQL_ASCII promises nothing about texts: rows with bytes that are not UTF-8 go to quarantine");
    PQclear(rows);
    return DM_OK;
}

/* A local socket needs none; else only a certificate that is checked keeps others from listening, or from answering in the server's place. */
static void check_encryption(PGconn *conn, struct dm_check_list *out)
{
    const char *host = PQhost(conn);
    PQconninfoOption *options = PQconninfo(conn);
    const char *mode = "prefer";
    for (const PQconninfoOption *o = options; o != NULL && o->keyword != NULL; o++)
        if (strcmp(o->keyword, "sslmode") == 0 && o->val != NULL)
            mode = o->val;
    bool local = host == NULL || host[0] == '/' || host[0] == '@' || host[0] == '\0' ||
                 strcmp(host, "localhost") == 0 || strncmp(host, "127.", 4) == 0 || strcmp(host, "::1") == 0;
    if (!local && strcmp(mode, "verify-full") != 0)
        dm_check_add(out, DM_CHECK_WARN,
                     "sslmode=verify-full (and sslrootcert=FILE for an authority of your own) in url: else "
                     "somebody on the way "
                     "can answer as the server and be told the password",
                     "the connection to %s is %s, and sslmode is %s", host,
                     PQsslInUse(conn) ? "encrypted" : "in clear", mode);
    else if (!local)
        dm_check_add(out, DM_CHECK_OK, NULL,
                     "the connection to %s is encrypted, and the server's name is checked", host);
    PQconninfoFree(options);
}

/* ---- slot and connections ---- */

/* A walsender whose client was killed needs a moment to notice; so wait a little before speaking of another reader. */
static enum dm_status wait_slot_free(const struct dm_source *s, PGconn *conn, struct pg_slot_state *slot,
                                     struct dm_error *err)
{
    for (int waited = 0; slot->exists && slot->active && waited < SLOT_WAIT_MS; waited += 100) {
        if (dm_source_stopping(s->waiter))
            break;
        dm_clock_sleep_ms(100);
        if (pg_slot_read(conn, s->slot, slot, err) != DM_OK)
            return DM_FAIL;
    }
    return DM_OK;
}

static enum dm_status check_slot(struct dm_source *s, PGconn *conn, const struct dm_source_start *start,
                                 bool *exists, struct dm_check_list *out, struct dm_error *err)
{
    struct pg_slot_state slot;
    struct dm_error why = {0};
    if (pg_slot_read(conn, s->slot, &slot, err) != DM_OK ||
        (!start->running && wait_slot_free(s, conn, &slot, err) != DM_OK))
        return DM_FAIL;
    *exists = slot.exists;
    slot.lost = slot.lost && !start->afresh;
    if (pg_slot_judge(s, conn, &slot, start->from, &why) != DM_OK)
        dm_check_add_error(out, &why);
    else if (slot.active && !start->running && pg_slot_in_use(s, &slot, &why) != DM_OK)
        dm_check_add_error(out, &why);
    else if (!slot.exists)
        dm_check_add(out, DM_CHECK_OK, NULL, "slot \"%s\" does not exist yet; run creates it", s->slot);
    else if (strcmp(slot.wal_status, "unreserved") == 0)
        dm_check_add(out, DM_CHECK_WARN, "let the mirror run now, or raise max_slot_wal_keep_size",
                     "slot \"%s\" is about to be lost", s->slot);
    else
        dm_check_add(out, DM_CHECK_OK, NULL, "slot \"%s\" is there%s", s->slot,
                     slot.active ? ", in use by the running mirror" : "");
    return DM_OK;
}

static void check_room(struct dm_check_list *out, int64_t used, int64_t all, int64_t needed, const char *name,
                       const char *setting, enum dm_error_class class)
{
    struct dm_error why = {0};
    char *hint = dm_xasprintf("raise %s: the stream needs one, a copy another one for its time%s", setting,
                              class == DM_ERROR_CONFIG ? "; or drop slots that nobody uses" : "");
    if (all - used < needed) {
        (void)dm_fail(&why, class, hint, "%s: %d of %d in use, and the mirror needs %d (%s)", name, (int)used,
                      (int)all, (int)needed, setting);
        dm_check_add_error(out, &why);
    } else {
        dm_check_add(out, all - used > needed || needed > 0 ? DM_CHECK_OK : DM_CHECK_WARN,
                     all - used > needed || needed > 0 ? NULL : hint, "%s: %d of %d in use", name, (int)used,
                     (int)all);
    }
    free(hint);
}

/* Only a real replication connection proves that pg_hba.conf and the role allow one. */
static void check_replication(struct dm_source *s, PGconn *normal, struct dm_check_list *out)
{
    PGconn *conn;
    struct dm_error err = {0};
    if (pg_connect(s->config, PG_REPLICATION, s->waiter, &conn, &err) == DM_OK) {
        dm_check_add(out, DM_CHECK_OK, NULL, "user \"%s\" may replicate", PQuser(normal));
        PQfinish(conn);
        return;
    }
    dm_error_prefix(&err, "replication connection");
    if (err.hint[0] == '\0')
        dm_error_hint(&err, "allow it in the server's pg_hba.conf");
    dm_check_add_error(out, &err);
}

static enum dm_status check_slots_and_senders(struct dm_source *s, PGconn *conn,
                                              const struct dm_source_start *start, struct dm_check_list *out,
                                              struct dm_error *err)
{
    bool exists = false;
    PGresult *rows;
    if (check_slot(s, conn, start, &exists, out, err) != DM_OK ||
        pg_query(conn, &rows, err,
                 "SELECT (SELECT count(*) FROM pg_replication_slots), "
                 "current_setting('max_replication_slots')::int,"
                 " (SELECT count(*) FROM pg_stat_replication), current_setting('max_wal_senders')::int") !=
            DM_OK)
        return DM_FAIL;
    int64_t copy = start->copies && !start->running, stream = !start->running;
    check_replication(s, conn, out);
    check_room(out, pg_cell_int(rows, 0, 0), pg_cell_int(rows, 0, 1), copy + (stream && !exists),
               "replication slots", "max_replication_slots", DM_ERROR_CONFIG);
    check_room(out, pg_cell_int(rows, 0, 2), pg_cell_int(rows, 0, 3), copy + stream, "WAL senders",
               "max_wal_senders", DM_ERROR_TRANSIENT);
    PQclear(rows);
    return DM_OK;
}

/* ---- publications and tables ---- */

static void check_missing(const struct pg_catalog *catalog, const struct pg_published *p,
                          const struct dm_table_list *tables, struct dm_check_list *out)
{
    const char *name = p->changes.name;
    char *user = pg_quote(PQuser(catalog->conn)), *database = pg_quote(PQdb(catalog->conn)),
         *publication = pg_quote(name);
    size_t of_rights = 0, fit = 0;
    for (size_t i = 0; i < tables->n; i++) {
        of_rights += tables->tables[i]->of_rights;
        fit += tables->tables[i]->problem == NULL;
    }
    char *hint = dm_xasprintf("GRANT CREATE ON DATABASE %s TO %s%s; or let the tables' owner run CREATE "
                              "PUBLICATION %s FOR TABLE … WITH (publish_via_partition_root = %s), see "
                              "docs/postgres.md",
                              database, user, of_rights > 0 ? ", and the role of the tables' owner" : "",
                              publication, catalog->config->publish_via_root ? "true" : "false");
    if (!p->may_create)
        dm_check_add(out, DM_CHECK_FAIL, hint,
                     "the publication \"%s\" does not exist, and user \"%s\" may not create it", name,
                     PQuser(catalog->conn));
    else if (fit == 0 && of_rights > 0)
        dm_check_add(out, DM_CHECK_FAIL, hint,
                     "the publication \"%s\" does not exist, and user \"%s\" may publish none of the tables",
                     name, PQuser(catalog->conn));
    else
        dm_check_add(out, DM_CHECK_OK, NULL, "publication \"%s\" does not exist yet; run creates it", name);
    free(hint);
    free(publication);
    free(database);
    free(user);
}

static void check_publication(const struct pg_publication *p, struct dm_check_list *out)
{
    if (!p->exists)
        return;
    if (p->fixed && !p->complete) {
        char *name = pg_quote(p->name);
        char *hint = dm_xasprintf("ALTER PUBLICATION %s SET (publish = '%s'); as \"%s\", who owns it", name,
                                  pg_publication_operations(p), p->owner);
        dm_check_add(out, DM_CHECK_FAIL, hint, "the publication \"%s\" does not publish all changes",
                     p->name);
        free(hint);
        free(name);
    } else {
        dm_check_add(out, DM_CHECK_OK, NULL, "publication \"%s\" is there%s%s%s", p->name,
                     p->fixed ? ", kept by \"" : "", p->fixed ? p->owner : "", p->fixed ? "\"" : "");
    }
}

static enum dm_status check_publications(struct dm_source *s, PGconn *conn,
                                         const struct dm_source_start *start,
                                         const struct dm_table_list *tables, struct dm_check_list *out,
                                         struct dm_error *err)
{
    struct pg_catalog catalog;
    struct pg_published p;
    if (pg_source_catalog(s->config, conn, &s->types, &catalog, err) != DM_OK ||
        pg_published_read(&catalog, &p, err) != DM_OK)
        return DM_FAIL;
    if (!p.changes.exists)
        check_missing(&catalog, &p, tables, out);
    check_publication(&p.changes, out);
    check_publication(&p.inserts, out);
    pg_published_release(&p);
    struct dm_error why = {0};
    if (start->rehearse && !failed(out) && pg_rehearse(s, tables, &why) != DM_OK)
        dm_check_add_error(out, &why);
    return DM_OK;
}

/* No fault of anything, but better known before somebody opens the table in Spark. */
static void note_times(const struct dm_table_list *tables, struct dm_check_list *out)
{
    size_t n = 0;
    const struct dm_table *first = NULL;
    for (size_t i = 0; i < tables->n; i++) {
        const struct dm_table *t = tables->tables[i];
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

static void check_tables(const struct dm_table_list *tables, struct dm_check_list *out)
{
    size_t fit = 0;
    for (size_t i = 0; i < tables->n; i++) {
        const struct dm_table *t = tables->tables[i];
        fit += t->problem == NULL;
        if (t->problem != NULL)
            dm_check_add(out, DM_CHECK_REFUSED, t->hint, "%s.%s %s", t->schema, t->name, t->problem);
    }
    if (tables->n == 0)
        dm_check_add(out, DM_CHECK_WARN, "check tables: and exclude: in mirror.yaml", "no table is selected");
    else
        dm_check_add(out, DM_CHECK_OK, NULL, "%zu of %zu tables can be mirrored", fit, tables->n);
    note_times(tables, out);
}

enum dm_status pg_check(struct dm_source *s, const struct dm_source_start *start,
                        const struct dm_table_list *tables, struct dm_check_list *out, struct dm_error *err)
{
    PGconn *conn;
    if (pg_source_connection(s, &conn, err) != DM_OK)
        return DM_FAIL;
    check_encryption(conn, out);
    if (check_server(conn, out, err) != DM_OK)
        return DM_FAIL;
    if (!failed(out) && check_slots_and_senders(s, conn, start, out, err) != DM_OK)
        return DM_FAIL;
    if (!failed(out) && check_publications(s, conn, start, tables, out, err) != DM_OK)
        return DM_FAIL;
    check_tables(tables, out);
    return DM_OK;
}
