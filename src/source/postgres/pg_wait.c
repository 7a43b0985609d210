#include "source/postgres/pg_wait.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"

enum { step_ms = 100, ask_after_ms = 500, ask_every_ms = 2000, cancel_wait_ms = 5000 };

struct wait {
    const struct dm_source_config *config;
    const struct dm_source_waiter *waiter;
    PGconn *conn;
    PGconn *side; /* to ask over; opened when needed */
    const char *what;
    char *told;
    int64_t ask_us;
    int64_t cancelled_us; /* 0: not */
};

static void tell(struct wait *w, const char *text)
{
    if (text != NULL && w->told != NULL && strcmp(text, w->told) == 0)
        return;
    if (text != NULL)
        dm_log(DM_LOG_INFO, "%s: %s waits for %s", w->config->name, w->what, text);
    free(w->told);
    w->told = dm_xstrdup(text);
    if (w->waiter != NULL) {
        char *full = text != NULL ? dm_xasprintf("%s waits for %s", w->what, text) : NULL;
        w->waiter->waiting(w->waiter->ctx, full);
        free(full);
    }
}

/* Sessions by their process; what is prepared has none, and is found by the transaction that is waited for. */
static const char blockers_sql[] =
    "SELECT string_agg(b, ', ') FROM ("
    "SELECT DISTINCT concat('the transaction of pid ', p.pid, ' since ', coalesce(to_char(a.xact_start AT "
    "TIME "
    "ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS') || ' UTC', 'an unknown time'), coalesce(' (user ' || a.usename || "
    "coalesce(', ' || nullif(a.application_name, ''), '') || ')', '')) AS b"
    " FROM unnest(pg_blocking_pids(%d)) p(pid) LEFT JOIN pg_stat_activity a ON a.pid = p.pid WHERE p.pid > 0"
    " UNION SELECT concat('the prepared transaction \"', x.gid, '\" since ', to_char(x.prepared AT TIME ZONE "
    "'UTC', 'YYYY-MM-DD HH24:MI:SS'), ' UTC') FROM pg_locks l JOIN pg_prepared_xacts x ON x.transaction = "
    "l.transactionid"
    " WHERE l.pid = %d AND l.locktype = 'transactionid' AND NOT l.granted) q";

/* What cannot be asked is not said: the statement itself goes on. */
static void ask(struct wait *w)
{
    struct dm_error ignored = {0};
    PGresult *rows = NULL;
    if (w->side == NULL && pg_connect(w->config, PG_NORMAL, w->waiter, &w->side, &ignored) != DM_OK)
        w->side = NULL;
    int pid = PQbackendPID(w->conn);
    if (w->side != NULL && pg_query(w->side, &rows, &ignored, blockers_sql, pid, pid) == DM_OK &&
        pg_cell(rows, 0, 0) != NULL)
        tell(w, pg_cell(rows, 0, 0));
    PQclear(rows);
}

static void cancel(struct wait *w, int64_t now)
{
    char problem[256];
    PGcancel *c = PQgetCancel(w->conn);
    if (c != NULL)
        (void)PQcancel(c, problem, sizeof problem);
    PQfreeCancel(c);
    w->cancelled_us = now;
}

static enum dm_status wait_step(struct wait *w, struct dm_error *err)
{
    struct pollfd fd = {.fd = PQsocket(w->conn), .events = POLLIN};
    int ready = poll(&fd, 1, step_ms);
    int64_t now = dm_clock_monotonic_us();
    if (ready < 0 && errno != EINTR)
        return dm_fail_errno(err, "waiting for the server");
    if (ready > 0 && !PQconsumeInput(w->conn))
        return pg_fail(err, w->conn, NULL, w->what);
    if (w->cancelled_us == 0 && dm_source_stopping(w->waiter))
        cancel(w, now);
    if (w->cancelled_us != 0 && now - w->cancelled_us > cancel_wait_ms * INT64_C(1000))
        return dm_fail(err, DM_ERROR_TRANSIENT, NULL, "%s was given up", w->what);
    if (ready == 0 && w->cancelled_us == 0 && now >= w->ask_us) {
        w->ask_us = now + ask_every_ms * INT64_C(1000);
        ask(w);
    }
    return DM_OK;
}

static enum dm_status take_result(struct wait *w, PGresult **rows, struct dm_error *err)
{
    *rows = PQgetResult(w->conn);
    PGresult *more;
    while ((more = PQgetResult(w->conn)) != NULL)
        PQclear(more);
    ExecStatusType status = PQresultStatus(*rows);
    if (status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK)
        return DM_OK;
    (void)pg_fail(err, w->conn, *rows, w->what);
    PQclear(*rows);
    *rows = NULL;
    return w->cancelled_us != 0 ? dm_fail(err, DM_ERROR_TRANSIENT, NULL, "%s was given up", w->what)
                                : DM_FAIL;
}

enum dm_status pg_wait_query(const struct dm_source_config *config, const struct dm_source_waiter *waiter,
                             PGconn *conn, const char *sql, const char *what, PGresult **rows,
                             struct dm_error *err)
{
    struct wait w = {.config = config,
                     .waiter = waiter,
                     .conn = conn,
                     .what = what,
                     .ask_us = dm_clock_monotonic_us() + ask_after_ms * INT64_C(1000)};
    *rows = NULL;
    if (!PQsendQuery(conn, sql))
        return pg_fail(err, conn, NULL, what);
    enum dm_status status = DM_OK;
    while (status == DM_OK && PQisBusy(conn))
        status = wait_step(&w, err);
    if (status == DM_OK)
        status = take_result(&w, rows, err);
    if (w.told != NULL)
        tell(&w, NULL);
    PQfinish(w.side);
    return status;
}
