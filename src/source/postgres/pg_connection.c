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
#define STEP_MS 100

/* What a value's text form may depend on, fixed. row_security=off turns rows hidden by a policy into an error.
 * */
static const char fixed_options[] =
    " -c DateStyle=ISO,YMD -c IntervalStyle=postgres -c extra_float_digits=3 -c TimeZone=UTC -c "
    "bytea_output=hex"
    " -c lc_monetary=C -c search_path=pg_catalog -c row_security=off -c statement_timeout=0"
    " -c idle_in_transaction_session_timeout=0 -c idle_session_timeout=0 -c jit=off";

/* Views and foreign tables of other people run their functions with the rights of whoever reads them; nothing that is mirrored is one. Minor
 * releases from before August 2024 do not know the setting. */
static const char no_views[] =
    "SELECT set_config('restrict_nonsystem_relation_kind', 'view, foreign-table', false)"
    " WHERE current_setting('restrict_nonsystem_relation_kind', true) IS NOT NULL";

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

/* A sign of user or password that should have been percent-encoded cuts the URL elsewhere than was meant, and what libpq then takes for
 * host, port or database it repeats in messages. */
static bool is_cut_as_meant(const char *url)
{
    const char *scheme = strstr(url, "://");
    if (scheme == NULL || (strncmp(url, "postgresql://", 13) != 0 && strncmp(url, "postgres://", 11) != 0))
        return true;
    const char *hosts = scheme + 3;
    const char *credentials = hosts + strcspn(hosts, "@/");
    if (*credentials == '@')
        hosts = credentials + 1;
    size_t n = strcspn(hosts, "/?");
    const char *path = hosts + n;
    if (memchr(hosts, '@', n) != NULL || memchr(path, '@', strcspn(path, "?")) != NULL)
        return false;
    for (size_t i = 0; i < n; i++) {
        if (hosts[i] == '[')
            i += strcspn(hosts + i, "]");
        else if (hosts[i] == ':' && strspn(hosts + i + 1, "0123456789%") != strcspn(hosts + i + 1, ",/?"))
            return false;
    }
    return true;
}

static enum dm_status check_url(const char *url, struct dm_error *err)
{
    static const char how[] =
        "write it as postgresql://user@host:5432/database or host=… dbname=… user=…; in a URL, "
        "percent-encode "
        "signs such as @ : / ? % in user and password (%40 is @), or take each from a variable of its own: "
        "${NAME} is encoded for you";
    char *problem = NULL;
    PQconninfoOption *options = PQconninfoParse(url, &problem);
    if (options != NULL) {
        PQconninfoFree(options);
        if (is_cut_as_meant(url))
            return DM_OK;
    }
    /* libpq's text may quote a part of the URL; that part could be the password, so it is not repeated */
    PQfreemem(problem);
    return dm_fail(err, DM_ERROR_CONFIG, how, "url: is not a PostgreSQL connection string");
}

static enum dm_status wait_connected(PGconn *conn, const struct dm_source_waiter *waiter,
                                     struct dm_error *err)
{
    int64_t deadline = dm_clock_monotonic_us() + CONNECT_TIMEOUT_MS * INT64_C(1000);
    PostgresPollingStatusType want = PGRES_POLLING_WRITING;
    while (want != PGRES_POLLING_OK) {
        if (want == PGRES_POLLING_FAILED)
            return pg_fail_connect(err, conn);
        int64_t left = (deadline - dm_clock_monotonic_us()) / 1000;
        struct pollfd fd = {.fd = PQsocket(conn), .events = want == PGRES_POLLING_READING ? POLLIN : POLLOUT};
        if (dm_source_stopping(waiter))
            return dm_fail(err, DM_ERROR_TRANSIENT, NULL, "connecting was given up");
        int ready = left > 0 ? poll(&fd, 1, left < STEP_MS ? (int)left : STEP_MS) : 0;
        if (ready == 0 && left <= STEP_MS)
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

enum dm_status pg_connect(const struct dm_source_config *config, enum pg_connection_kind kind,
                          const struct dm_source_waiter *waiter, PGconn **out, struct dm_error *err)
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
        PQstatus(conn) == CONNECTION_BAD ? pg_fail_connect(err, conn) : wait_connected(conn, waiter, err);
    if (status == DM_OK && PQserverVersion(conn) < 140000)
        status = dm_fail(err, DM_ERROR_CONFIG, "PostgreSQL 14 or newer is needed",
                         "the server is PostgreSQL %d", PQserverVersion(conn) / 10000);
    if (status == DM_OK && pg_charset_is_ascii(conn))
        status = pg_execute(conn, err, "SET client_encoding = SQL_ASCII");
    if (status == DM_OK && PQserverVersion(conn) >= 170000 && kind == PG_NORMAL)
        status = pg_execute(conn, err, "SET transaction_timeout = 0");
    if (status == DM_OK && kind == PG_NORMAL)
        status = pg_execute(conn, err, no_views);
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
