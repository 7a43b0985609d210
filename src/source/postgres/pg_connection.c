#include "source/postgres/pg_connection.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/memory.h"
#include "source/postgres/pg_charset.h"

#define CONNECT_TIMEOUT_MS 15000

/* What a value's text form may depend on, fixed. row_security=off turns rows hidden by a policy into an error.
 * */
static const char fixed_options[] =
    " -c DateStyle=ISO,YMD -c IntervalStyle=postgres -c extra_float_digits=3 -c TimeZone=UTC -c "
    "bytea_output=hex"
    " -c lc_monetary=C -c search_path=pg_catalog -c row_security=off -c statement_timeout=0"
    " -c idle_in_transaction_session_timeout=0 -c idle_session_timeout=0 -c jit=off";

/* ---- errors ---- */

struct state_rule {
    const char *state; /* a SQLSTATE, or its first two letters for the whole class */
    enum dm_error_class class;
    const char *hint;
};

static const struct state_rule state_rules[] = {
    {"28P01", DM_ERROR_CONFIG, "check user and password in url: (or in ~/.pgpass)"},
    {"28", DM_ERROR_CONFIG,
     "allow the user in the server's pg_hba.conf; replication needs its own line: host replication <user> "
     "<address> "
     "scram-sha-256 (a logical connection is matched by its database name)"},
    {"3D000", DM_ERROR_CONFIG, "check the database name in url:"},
    {"42501", DM_ERROR_CONFIG,
     "give the mirror's user what is missing: ALTER ROLE <user> REPLICATION; GRANT CREATE ON DATABASE <db> "
     "TO <user>; "
     "GRANT SELECT ON <table> TO <user>; publications need the owner of the tables"},
    {"42704", DM_ERROR_CONFIG, NULL},
    {"42", DM_ERROR_CONFIG, NULL},
    {"53400", DM_ERROR_CONFIG,
     "all replication slots are in use: raise max_replication_slots (a copy needs one more than the stream) "
     "or drop "
     "unused slots"},
    {"53300", DM_ERROR_TRANSIENT, "too many connections: raise max_connections or max_wal_senders"},
    {"53", DM_ERROR_TRANSIENT, NULL},
    {"08", DM_ERROR_TRANSIENT, NULL},
    {"40", DM_ERROR_TRANSIENT, NULL},
    {"55006", DM_ERROR_TRANSIENT,
     "another process uses it: stop the other mirror, or wait until the server notices "
     "that a dead connection is gone (wal_sender_timeout)"},
    {"55P03", DM_ERROR_TRANSIENT, NULL},
    {"55", DM_ERROR_CONFIG, NULL},
    {"57", DM_ERROR_TRANSIENT, NULL},
    {"58", DM_ERROR_TRANSIENT, NULL},
    {"XX", DM_ERROR_TRANSIENT, NULL},
    {"22", DM_ERROR_CONFIG, NULL},
    {"25", DM_ERROR_TRANSIENT, NULL},
};

/* Texts that say more than their SQLSTATE (they are looked for in English; elsewhere the SQLSTATE decides). */
static const struct state_rule text_rules[] = {
    {"can no longer get changes from replication slot", DM_ERROR_CONFLICT,
     "the server removed log that the mirror had not read yet (max_slot_wal_keep_size): drop the slot and "
     "run "
     "datamirror resync --all"},
    {"can no longer access replication slot", DM_ERROR_CONFLICT,
     "the slot was invalidated: drop it and run datamirror resync --all"},
    {"invalid memory alloc request size", DM_ERROR_CONFIG,
     "a row's text is longer than the server can send (1 GB): leave its column out with exclude_columns, "
     "then run datamirror resync --all"},
    {"invalid snapshot identifier", DM_ERROR_TRANSIENT,
     "the exported snapshot is gone (its connection was lost); the copy starts again"},
    {"wal_level", DM_ERROR_CONFIG, "set wal_level = logical in postgresql.conf and restart the server"},
    {"number of requested standby connections", DM_ERROR_TRANSIENT, "raise max_wal_senders"},
    {"must be superuser or replication role", DM_ERROR_CONFIG, "ALTER ROLE <user> REPLICATION"},
    {"row-level security", DM_ERROR_CONFIG,
     "row security would hide rows from the mirror: give its user BYPASSRLS, or disable row security on the "
     "table"},
    {"affected by row-level", DM_ERROR_CONFIG, "give the mirror's user BYPASSRLS"},
    {"password authentication failed", DM_ERROR_CONFIG, "check user and password in url: (or in ~/.pgpass)"},
    {"no password supplied", DM_ERROR_CONFIG, "give a password in url: (or in ~/.pgpass)"},
    {"no pg_hba.conf entry", DM_ERROR_CONFIG, "allow the user in the server's pg_hba.conf"},
    {"publication \"", DM_ERROR_CONFLICT,
     "the publication is missing in the log that the slot reads: run datamirror resync --all after dropping "
     "the slot"},
};

static const struct state_rule *rule_of(const char *state, const char *message)
{
    for (size_t i = 0; i < sizeof text_rules / sizeof *text_rules; i++)
        if (message != NULL && strstr(message, text_rules[i].state) != NULL &&
            (text_rules[i].class != DM_ERROR_CONFLICT || strstr(message, "does not exist") != NULL ||
             strstr(message, "can no longer") != NULL))
            return &text_rules[i];
    for (size_t i = 0; state != NULL && i < sizeof state_rules / sizeof *state_rules; i++)
        if (strncmp(state, state_rules[i].state, strlen(state_rules[i].state)) == 0)
            return &state_rules[i];
    return NULL;
}

static void trim(char *text)
{
    for (size_t n = strlen(text); n > 0 && (text[n - 1] == '\n' || text[n - 1] == ' '); n--)
        text[n - 1] = '\0';
    for (char *c = text; *c != '\0'; c++)
        if (*c == '\n')
            *c = ' ';
}

enum dm_status pg_fail(struct dm_error *err, PGconn *conn, const PGresult *result, const char *what)
{
    const char *state = result != NULL ? PQresultErrorField(result, PG_DIAG_SQLSTATE) : NULL;
    const char *text = result != NULL ? PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY) : NULL;
    if (text == NULL)
        text = result != NULL && PQresultErrorMessage(result)[0] != '\0' ? PQresultErrorMessage(result)
                                                                         : PQerrorMessage(conn);
    const char *detail = result != NULL ? PQresultErrorField(result, PG_DIAG_MESSAGE_DETAIL) : NULL;
    char message[700];
    (void)snprintf(message, sizeof message, "%s%s%s%s%s", text, detail != NULL ? " (" : "",
                   detail != NULL ? detail : "", detail != NULL ? ")" : "",
                   text[0] == '\0' ? "the connection was closed" : "");
    trim(message);
    const struct state_rule *rule = rule_of(state, message);
    /* a broken connection is always worth another try, whatever was being said */
    bool broken = conn != NULL && PQstatus(conn) == CONNECTION_BAD;
    enum dm_error_class class = rule != NULL              ? rule->class
                                : broken || state == NULL ? DM_ERROR_TRANSIENT
                                                          : DM_ERROR_FATAL;
    return dm_fail(err, class, rule != NULL ? rule->hint : NULL, "%s: %s%s%s%s", what, message,
                   state != NULL ? " [" : "", state != NULL ? state : "", state != NULL ? "]" : "");
}

/* Before the first query there is no result, only text: "FATAL:  28P01: password …" thanks to verbose errors.
 * */
static enum dm_status fail_connect(struct dm_error *err, PGconn *conn)
{
    char message[700], state[6] = "";
    (void)snprintf(message, sizeof message, "%s", PQerrorMessage(conn));
    trim(message);
    const char *fatal = strstr(message, "FATAL:  ");
    if (fatal != NULL && strlen(fatal) > 13 && fatal[13] == ':')
        (void)snprintf(state, sizeof state, "%.5s", fatal + 8);
    char *location = strstr(message, " LOCATION:");
    if (location != NULL)
        *location = '\0';
    const struct state_rule *rule = rule_of(state[0] != '\0' ? state : NULL, message);
    bool refused = strstr(message, "could not translate host name") != NULL;
    return dm_fail(err, rule != NULL ? rule->class : DM_ERROR_TRANSIENT,
                   rule != NULL && rule->hint != NULL ? rule->hint
                   : refused                          ? "check the host name in url:"
                             : "check that the server runs and that host and port in url: are right",
                   "cannot connect: %s", message);
}

/* ---- connecting ---- */

/* The user's own options= come first, so that ours win. */
static char *merged_options(const char *url)
{
    char *problem = NULL;
    PQconninfoOption *options = PQconninfoParse(url, &problem);
    PQfreemem(problem);
    char *merged = NULL;
    for (PQconninfoOption *o = options; o != NULL && o->keyword != NULL; o++)
        if (strcmp(o->keyword, "options") == 0 && o->val != NULL)
            merged = dm_xasprintf("%s%s", o->val, fixed_options);
    PQconninfoFree(options);
    return merged != NULL ? merged : dm_xstrdup(fixed_options + 1);
}

static enum dm_status check_url(const char *url, struct dm_error *err)
{
    char *problem = NULL;
    PQconninfoOption *options = PQconninfoParse(url, &problem);
    if (options != NULL) {
        PQconninfoFree(options);
        return DM_OK;
    }
    /* libpq's text may quote a part of the URL; that part could be the password, so it is not repeated */
    PQfreemem(problem);
    return dm_fail(err, DM_ERROR_CONFIG,
                   "write it as postgresql://user@host:5432/database or host=… dbname=… user=…",
                   "url: is not a PostgreSQL connection string");
}

static enum dm_status wait_connected(PGconn *conn, struct dm_error *err)
{
    int64_t deadline = dm_clock_monotonic_us() + CONNECT_TIMEOUT_MS * INT64_C(1000);
    PostgresPollingStatusType want = PGRES_POLLING_WRITING;
    while (want != PGRES_POLLING_OK) {
        if (want == PGRES_POLLING_FAILED)
            return fail_connect(err, conn);
        int64_t left = (deadline - dm_clock_monotonic_us()) / 1000;
        struct pollfd fd = {.fd = PQsocket(conn), .events = want == PGRES_POLLING_READING ? POLLIN : POLLOUT};
        int ready = left > 0 ? poll(&fd, 1, (int)left) : 0;
        if (ready == 0)
            return dm_fail(err, DM_ERROR_TRANSIENT,
                           "check that the server runs and that host and port in url: are right",
                           "cannot connect: no answer within %d s", CONNECT_TIMEOUT_MS / 1000);
        if (ready < 0 && errno != EINTR)
            return dm_fail_errno(err, "waiting for the server");
        if (ready > 0)
            want = PQconnectPoll(conn);
    }
    return DM_OK;
}

static void ignore_notice(void *ctx, const char *message)
{
    (void)ctx;
    (void)message;
}

enum dm_status pg_connect(const struct dm_source_config *config, enum pg_connection_kind kind, PGconn **out,
                          struct dm_error *err)
{
    const char *url = config->url != NULL ? config->url : "";
    *out = NULL;
    if (check_url(url, err) != DM_OK)
        return DM_FAIL;
    char *options = merged_options(url);
    /* Ours are set before the URL where the user may change them, after it where not. */
    const char *keywords[] = {"keepalives_idle",
                              "keepalives_interval",
                              "keepalives_count",
                              "tcp_user_timeout",
                              "dbname",
                              "application_name",
                              "client_encoding",
                              "options",
                              kind == PG_REPLICATION ? "replication" : NULL,
                              NULL};
    const char *values[] = {"30", "10", "3", "60000", url, "datamirror", "UTF8", options, "database", NULL};
    PGconn *conn = PQconnectStartParams(keywords, values, 1);
    free(options);
    if (conn == NULL)
        return dm_fail_memory(err, 0);
    (void)PQsetErrorVerbosity(conn, PQERRORS_VERBOSE);
    (void)PQsetNoticeProcessor(conn, ignore_notice, NULL);
    enum dm_status status =
        PQstatus(conn) == CONNECTION_BAD ? fail_connect(err, conn) : wait_connected(conn, err);
    if (status == DM_OK && PQserverVersion(conn) < 140000)
        status = dm_fail(err, DM_ERROR_CONFIG, "PostgreSQL 14 or newer is needed",
                         "the server is PostgreSQL %d", PQserverVersion(conn) / 10000);
    if (status == DM_OK && pg_charset_is_ascii(conn))
        status = pg_execute(conn, err, "SET client_encoding = SQL_ASCII");
    if (status == DM_OK && PQserverVersion(conn) >= 170000 && kind == PG_NORMAL)
        status = pg_execute(conn, err, "SET transaction_timeout = 0");
    if (status != DM_OK) {
        PQfinish(conn);
        return DM_FAIL;
    }
    *out = conn;
    return DM_OK;
}

/* ---- commands ---- */

static enum dm_status checked(PGconn *conn, PGresult *result, PGresult **out, const char *sql,
                              struct dm_error *err)
{
    ExecStatusType status = PQresultStatus(result);
    if (status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK) {
        *out = result;
        return DM_OK;
    }
    char what[80];
    (void)snprintf(what, sizeof what, "%.*s", (int)strcspn(sql, "\n("), sql);
    (void)pg_fail(err, conn, result, what);
    PQclear(result);
    *out = NULL;
    return DM_FAIL;
}

static enum dm_status DM_PRINTF(4, 0)
    query_list(PGconn *conn, PGresult **out, struct dm_error *err, const char *fmt, va_list args)
{
    char *sql = NULL;
    *out = NULL;
    if (vasprintf(&sql, fmt, args) < 0)
        return dm_fail_memory(err, 0);
    enum dm_status status = checked(conn, PQexec(conn, sql), out, sql, err);
    free(sql);
    return status;
}

enum dm_status pg_query(PGconn *conn, PGresult **out, struct dm_error *err, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    enum dm_status status = query_list(conn, out, err, fmt, args);
    va_end(args);
    return status;
}

enum dm_status pg_query_params(PGconn *conn, PGresult **out, struct dm_error *err, const char *sql, int n,
                               const char *const *values)
{
    return checked(conn, PQexecParams(conn, sql, n, NULL, values, NULL, NULL, 0), out, sql, err);
}

enum dm_status pg_execute(PGconn *conn, struct dm_error *err, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    PGresult *result;
    enum dm_status status = query_list(conn, &result, err, fmt, args);
    va_end(args);
    PQclear(result);
    return status;
}

char *pg_quote(const char *name)
{
    char *out = dm_xalloc(2 * strlen(name) + 3);
    char *o = out;
    *o++ = '"';
    for (const char *c = name; *c != '\0'; c++) {
        if (*c == '"')
            *o++ = '"';
        *o++ = *c;
    }
    *o++ = '"';
    *o = '\0';
    return out;
}

char *pg_quote_literal(PGconn *conn, const char *text)
{
    char *quoted = PQescapeLiteral(conn, text, strlen(text));
    char *out = dm_xstrdup(quoted != NULL ? quoted : "NULL");
    PQfreemem(quoted);
    return out;
}

int pg_version(PGconn *conn)
{
    return PQserverVersion(conn);
}

const char *pg_cell(const PGresult *rows, int row, int column)
{
    return PQgetisnull(rows, row, column) ? NULL : PQgetvalue(rows, row, column);
}

int64_t pg_cell_int(const PGresult *rows, int row, int column)
{
    return strtoll(PQgetvalue(rows, row, column), NULL, 10);
}

bool pg_cell_bool(const PGresult *rows, int row, int column)
{
    return PQgetvalue(rows, row, column)[0] == 't';
}

enum dm_status pg_lsn_parse(const char *text, uint64_t *out, struct dm_error *err)
{
    unsigned high, low;
    int used = 0;
    if (sscanf(text, "%8x/%8x%n", &high, &low, &used) != 2 || text[used] != '\0')
        return dm_fail(err, DM_ERROR_CONFIG, "a position looks like 0/16B3748", "\"%.40s\" is no position",
                       text);
    *out = (uint64_t)high << 32 | low;
    return DM_OK;
}

const char *pg_lsn_format(uint64_t lsn, char *out, size_t size)
{
    (void)snprintf(out, size, "%X/%X", (unsigned)(lsn >> 32), (unsigned)lsn);
    return out;
}
