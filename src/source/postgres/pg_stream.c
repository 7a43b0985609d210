/* The replication connection: START_REPLICATION, CopyData frames in, standby status out. */
#include <errno.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/memory.h"
#include "source/postgres/pg_charset.h"
#include "source/postgres/pg_control.h"
#include "source/postgres/pg_datetime.h"
#include "source/postgres/pg_source.h"

#define FEEDBACK_US INT64_C(10000000)    /* at least this often: the server's wal_sender_timeout is 60 s */
#define FEEDBACK_SOON_US INT64_C(200000) /* after an acknowledgement */
#define MESSAGES_PER_POLL 4096
#define SLOT_WAIT_MS 5000
#define LEAST_SENDER_TIMEOUT_MS 30000

struct dm_stream {
    PGconn *conn;
    struct pg_control control;
    struct pg_decoder decoder;
    _Atomic uint64_t acknowledged;
    uint64_t reported;   /* the last acknowledgement that the server heard */
    int64_t feedback_us; /* when it heard of us */
    bool reply_wanted;
};

/* ---- opening ---- */

static enum dm_status check_slot(const struct dm_source *s, PGconn *conn, dm_position from,
                                 struct dm_error *err)
{
    struct pg_slot_state slot;
    if (pg_slot_read(conn, s->slot, &slot, err) != DM_OK || pg_slot_judge(s, conn, &slot, from, err) != DM_OK)
        return DM_FAIL;
    return slot.exists
               ? DM_OK
               : dm_fail(err, DM_ERROR_TRANSIENT, NULL, "the replication slot \"%s\" is gone", s->slot);
}

/* A walsender whose client was killed needs a moment to notice; so wait a little before speaking of a second
 * instance. */
static enum dm_status wait_slot_free(const struct dm_source *s, PGconn *conn, struct dm_error *err)
{
    struct pg_slot_state slot;
    for (int waited = 0;; waited += 100) {
        if (pg_slot_read(conn, s->slot, &slot, err) != DM_OK)
            return DM_FAIL;
        if (!slot.active)
            return DM_OK;
        if (waited >= SLOT_WAIT_MS || dm_source_stopping(s->waiter))
            return pg_slot_in_use(s, &slot, err);
        dm_clock_sleep_ms(100);
    }
}

/* The one of inserts is not there when the role may not make it and no table wants it. */
static enum dm_status publication_names(struct dm_source *s, PGconn *conn, char **out, struct dm_error *err)
{
    PGresult *rows;
    const char *values[] = {s->inserts_publication};
    if (pg_query_params(conn, &rows, err, "SELECT FROM pg_publication WHERE pubname = $1", 1, values) !=
        DM_OK)
        return DM_FAIL;
    char *changes = pg_quote(s->publication), *inserts = pg_quote(s->inserts_publication);
    s->inserts_unread = PQntuples(rows) == 0;
    *out = !s->inserts_unread ? dm_xasprintf("%s,%s", changes, inserts) : dm_xstrdup(changes);
    PQclear(rows);
    free(inserts);
    free(changes);
    return DM_OK;
}

/* The server ends a stream whose reader says nothing for wal_sender_timeout. Where that is less than we may need (a publication that waits for
 * a lock), it is asked to be patient with this connection. */
static enum dm_status be_given_time(PGconn *conn, struct dm_error *err)
{
    return pg_execute(conn, err,
                      "SELECT set_config('wal_sender_timeout', '%d', false) FROM pg_settings"
                      " WHERE name = 'wal_sender_timeout' AND setting::int BETWEEN 1 AND %d",
                      LEAST_SENDER_TIMEOUT_MS, LEAST_SENDER_TIMEOUT_MS);
}

static enum dm_status start(struct dm_stream *st, struct dm_source *s, dm_position from, struct dm_error *err)
{
    char lsn[32];
    char *names = NULL;
    if (publication_names(s, st->control.conn, &names, err) != DM_OK)
        return DM_FAIL;
    char *literal = pg_quote_literal(st->conn, names);
    char *sql =
        dm_xasprintf("START_REPLICATION SLOT \"%s\" LOGICAL %s (proto_version '2', publication_names %s,"
                     " streaming 'on', messages 'true')",
                     s->slot, pg_lsn_format(from, lsn, sizeof lsn), literal);
    PGresult *result = PQexec(st->conn, sql);
    enum dm_status status = PQresultStatus(result) == PGRES_COPY_BOTH
                                ? DM_OK
                                : pg_fail(err, st->conn, result, "starting the stream");
    PQclear(result);
    free(sql);
    free(literal);
    free(names);
    return status;
}

enum dm_status pg_stream_open(struct dm_source *s, dm_position from, struct dm_stream **out,
                              struct dm_error *err)
{
    struct dm_stream *st = dm_xzalloc(1, sizeof *st);
    *out = NULL;
    pg_decoder_init(&st->decoder, pg_control_resolve, &st->control, from);
    atomic_store(&st->acknowledged, from);
    if (pg_control_open(&st->control, s, err) != DM_OK ||
        check_slot(s, st->control.conn, from, err) != DM_OK ||
        wait_slot_free(s, st->control.conn, err) != DM_OK ||
        pg_connect(s->config, PG_REPLICATION, s->waiter, &st->conn, err) != DM_OK ||
        pg_charset_raw(st->conn, true, err) != DM_OK || be_given_time(st->conn, err) != DM_OK ||
        start(st, s, from, err) != DM_OK) {
        pg_stream_close(st);
        return DM_FAIL;
    }
    st->control.decoder = &st->decoder;
    st->decoder.charset = st->control.types.charset;
    st->decoder.max_row_bytes = s->config->max_row_bytes;
    st->feedback_us = dm_clock_monotonic_us();
    *out = st;
    return DM_OK;
}

void pg_stream_close(struct dm_stream *st)
{
    if (st == NULL)
        return;
    PQfinish(st->conn);
    pg_decoder_release(&st->decoder);
    pg_control_close(&st->control);
    free(st);
}

/* ---- feedback ---- */

/* 'r', three positions (written, flushed, applied), our clock, reply wanted. Only what is durable in the lake
 * is named. */
static enum dm_status send_feedback(struct dm_stream *st, int64_t now, struct dm_error *err)
{
    char message[34];
    uint64_t position = atomic_load(&st->acknowledged);
    message[0] = 'r';
    dm_put_be64(message + 1, position);
    dm_put_be64(message + 9, position);
    dm_put_be64(message + 17, position);
    dm_put_be64(message + 25, (uint64_t)(dm_clock_wall_us() - PG_EPOCH_MICROS));
    message[33] = 0;
    if (PQputCopyData(st->conn, message, sizeof message) <= 0 || PQflush(st->conn) < 0)
        return pg_fail(err, st->conn, NULL, "acknowledging");
    st->feedback_us = now;
    st->reported = position;
    st->reply_wanted = false;
    return DM_OK;
}

static enum dm_status feedback_if_due(struct dm_stream *st, struct dm_error *err)
{
    int64_t now = dm_clock_monotonic_us(), silent = now - st->feedback_us;
    bool news = atomic_load(&st->acknowledged) != st->reported;
    if (st->reply_wanted || silent >= FEEDBACK_US || (news && silent >= FEEDBACK_SOON_US))
        return send_feedback(st, now, err);
    return DM_OK;
}

void pg_stream_ack(struct dm_stream *st, dm_position position)
{
    uint64_t old = atomic_load(&st->acknowledged);
    while (old < position && !atomic_compare_exchange_weak(&st->acknowledged, &old, position))
        ;
}

uint64_t pg_stream_lag(struct dm_stream *st, dm_position position)
{
    uint64_t end = atomic_load(&st->control.server_end);
    return end > position ? end - position : 0;
}

/* ---- frames ---- */

static void saw_end(struct dm_stream *st, uint64_t end)
{
    uint64_t known = atomic_load(&st->control.server_end);
    if (end > known)
        atomic_store(&st->control.server_end, end);
}

static enum dm_status on_frame(struct dm_stream *st, const struct dm_sink *sink, const uint8_t *p, size_t n,
                               bool *delivered, struct dm_error *err)
{
    if (n >= 25 && p[0] == 'w') { /* position, end, clock, then the message */
        *delivered = true;
        return pg_decoder_feed(&st->decoder, sink, p + 25, n - 25, err);
    }
    if (n >= 18 && p[0] == 'k') { /* end, clock, reply wanted */
        dm_position end = dm_get_be64(p + 1);
        saw_end(st, end);
        st->reply_wanted = st->reply_wanted || p[17] != 0;
        return pg_decoder_keepalive(&st->decoder, sink, end, err);
    }
    return dm_fail(err, DM_ERROR_FATAL, NULL, "the replication connection sent a frame of kind 0x%02x",
                   n > 0 ? p[0] : 0u);
}

/* The stream ended: never in order, since we did not ask for it. */
static enum dm_status fail_ended(struct dm_stream *st, struct dm_error *err)
{
    PGresult *result = PQgetResult(st->conn);
    enum dm_status status;
    if (result != NULL && PQresultStatus(result) == PGRES_FATAL_ERROR)
        status = pg_fail(err, st->conn, result, "reading the stream");
    else
        status = dm_fail(err, DM_ERROR_TRANSIENT, NULL, "the server ended the stream");
    PQclear(result);
    return status;
}

static enum dm_status wait_input(struct dm_stream *st, int64_t wait_ms, struct dm_error *err)
{
    struct pollfd fds[2] = {{.fd = PQsocket(st->conn), .events = POLLIN},
                            {.fd = PQsocket(st->control.conn), .events = POLLIN}};
    nfds_t n = st->control.state != PG_CONTROL_IDLE ? 2 : 1;
    if (poll(fds, n, (int)wait_ms) < 0 && errno != EINTR)
        return dm_fail_errno(err, "waiting for the server");
    if (fds[0].revents != 0 && !PQconsumeInput(st->conn))
        return pg_fail(err, st->conn, NULL, "reading the stream");
    return DM_OK;
}

static enum dm_status housekeeping(struct dm_stream *st, const struct dm_sink *sink, struct dm_error *err)
{
    enum dm_status status = feedback_if_due(st, err);
    if (status == DM_OK)
        status = pg_control_step(&st->control, &st->decoder, err);
    return status == DM_OK ? pg_control_apply(&st->control, &st->decoder, sink, err) : status;
}

enum dm_status pg_stream_poll(struct dm_stream *st, const struct dm_sink *sink, int timeout_ms,
                              struct dm_error *err)
{
    int64_t deadline = dm_clock_monotonic_us() + timeout_ms * INT64_C(1000);
    bool delivered = false;
    enum dm_status status = housekeeping(st, sink, err);
    for (int messages = 0; status == DM_OK && messages < MESSAGES_PER_POLL;) {
        char *frame = NULL;
        int n = PQgetCopyData(st->conn, &frame, 1);
        if (n > 0) {
            status = on_frame(st, sink, (const uint8_t *)frame, (size_t)n, &delivered, err);
            PQfreemem(frame);
            messages++;
            if (delivered && st->decoder.boundary)
                break;
        } else if (n == 0) {
            int64_t left = (deadline - dm_clock_monotonic_us() + 999) / 1000;
            if (delivered || left <= 0)
                break;
            status = wait_input(st, left < 100 ? left : 100, err);
            if (status == DM_OK)
                status = housekeeping(st, sink, err);
        } else {
            return n == -1 ? fail_ended(st, err) : pg_fail(err, st->conn, NULL, "reading the stream");
        }
    }
    if (status == DM_OK && st->reply_wanted)
        status = feedback_if_due(st, err);
    return status != DM_OK ? status : delivered ? DM_OK : DM_TIMEOUT;
}

enum dm_status pg_stream_keepalive(struct dm_stream *st, struct dm_error *err)
{
    return feedback_if_due(st, err);
}
