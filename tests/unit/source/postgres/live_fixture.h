/* live_fixture.h — one server for a test program, and for each test a fresh schema with source, slot and stream. */
#ifndef TESTS_LIVE_FIXTURE_H
#define TESTS_LIVE_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>
/* cmocka wants the four above it */
#include <cmocka.h>

#include "base/clock.h"
#include "pg_server.h"
#include "recording_sink.h"
#include "source/source.h"

struct live {
    PGconn *sql;
    struct dm_source_config config;
    struct dm_table_config tables[4];
    const struct dm_source_type *type;
    struct dm_source *source;
    struct dm_stream *stream;
    struct recorder rec;
    struct dm_sink sink;
    struct dm_error err;
};

static struct pg_server live_server;
static bool live_server_there;
static struct live *live_unfinished; /* of a test that failed half-way */

#define must(l, call) \
    do { \
        if ((call) != DM_OK) { \
            fprintf(stderr, "%s:%d: %s [%s] %s (%s)\n", __FILE__, __LINE__, #call, \
                    dm_error_class_name((l)->err.class), (l)->err.message, (l)->err.hint); \
            fail(); \
        } \
    } while (0)

static inline void run(struct live *l, const char *sql)
{
    pg_server_sql(l->sql, sql);
}

static inline void live_free(struct live *l)
{
    l->type->stream_close(l->stream);
    l->stream = NULL;
    for (int i = 0; i < 50; i++) { /* the walsender needs a moment to let go of the slot */
        if (l->type->forget(l->source, &l->err) == DM_OK)
            break;
        dm_clock_sleep_ms(50);
    }
    l->type->close(l->source);
    recorder_release(&l->rec);
    PQfinish(l->sql);
    free(l);
    live_unfinished = NULL;
}

/* A fresh database content and an opened source that selects public.*. */
static inline struct live *live_new(void)
{
    if (live_unfinished != NULL)
        live_free(live_unfinished);
    struct live *l = live_unfinished = calloc(1, sizeof *l);
    l->sql = PQconnectdb(live_server.url);
    if (PQstatus(l->sql) != CONNECTION_OK) {
        fprintf(stderr, "%s", PQerrorMessage(l->sql));
        abort();
    }
    run(l, "SET client_min_messages = error; DROP SCHEMA IF EXISTS public CASCADE; CREATE SCHEMA public");
    static char name[] = "test", url[160], slot[] = "dm_test", publication[] = "dm_test";
    static char all[] = "public.*";
    (void)snprintf(url, sizeof url, "%s", live_server.url);
    l->tables[0].glob = all;
    l->tables[0].history = -1;
    l->config = (struct dm_source_config){.name = name,
                                          .url = url,
                                          .slot = slot,
                                          .publication = publication,
                                          .n_tables = 1,
                                          .tables = l->tables,
                                          .publish_via_root = true,
                                          .heartbeat_interval_ms = 200,
                                          .copy_workers = 2};
    l->type = &dm_source_postgres;
    l->sink = recorder_sink(&l->rec);
    must(l, l->type->open(&l->config, &l->source, &l->err));
    must(l, l->type->forget(l->source, &l->err));
    return l;
}

static inline void live_prepare(struct live *l)
{
    struct dm_table_list tables = {0};
    must(l, l->type->tables(l->source, &tables, &l->err));
    must(l, l->type->prepare(l->source, &tables, &l->err));
    dm_table_list_release(&tables);
}

/* Polls until everything committed by now was delivered, and acknowledges it. */
static inline void drain(struct live *l)
{
    dm_position target;
    must(l, l->type->current(l->source, &target, &l->err));
    int64_t deadline = dm_clock_monotonic_us() + 60000000;
    while (l->rec.last < target) {
        enum dm_status status = l->type->stream_poll(l->stream, &l->sink, 100, &l->err);
        if (status != DM_TIMEOUT)
            must(l, status);
        assert_true(dm_clock_monotonic_us() < deadline);
    }
    recorder_flush(&l->rec);
    l->type->stream_ack(l->stream, l->rec.last);
}

/* Opens the stream and lets the sink hear of the tables as they are; what it heard is forgotten. */
static inline void live_stream(struct live *l, dm_position from)
{
    must(l, l->type->stream_open(l->source, from, &l->stream, &l->err));
    l->rec.last = 0;
    drain(l);
    (void)l->type->stream_poll(l->stream, &l->sink, 0, &l->err);
    recorder_clear(&l->rec);
}

/* Polls for a while: for what comes by the schema watch. */
static inline void watch_until(struct live *l, const char *wanted)
{
    int64_t deadline = dm_clock_monotonic_us() + 10000000;
    while (l->rec.log == NULL || strstr(l->rec.log, wanted) == NULL) {
        enum dm_status status = l->type->stream_poll(l->stream, &l->sink, 50, &l->err);
        if (status != DM_TIMEOUT)
            must(l, status);
        if (dm_clock_monotonic_us() > deadline) {
            fprintf(stderr, "never came: %s\nbut:\n%s", wanted, l->rec.log != NULL ? l->rec.log : "");
            fail();
        }
    }
}

/* The log since the last look must be exactly these lines. */
static inline void expect(struct live *l, const char *lines)
{
    recorder_flush(&l->rec);
    const char *got = l->rec.log != NULL ? l->rec.log : "";
    if (strcmp(got, lines) != 0) {
        fprintf(stderr, "expected:\n%s\ngot:\n%s", lines, got);
        fail();
    }
    recorder_clear(&l->rec);
}

static inline int live_start(void **state)
{
    (void)state;
    live_server_there = pg_server_start(&live_server, "logical_decoding_work_mem = 64kB\nautovacuum = off\n");
    return 0;
}

static inline int live_stop(void **state)
{
    (void)state;
    if (live_server_there)
        pg_server_stop(&live_server);
    return 0;
}

/* Only a machine without PostgreSQL may pass without testing; a server that does not start is a failure. */
#define NEED_SERVER() \
    do { \
        char found[128]; \
        if (!pg_server_find(found, sizeof found)) { \
            print_message("skipped: no PostgreSQL server binaries in /usr/lib/postgresql\n"); \
            skip(); \
        } \
        assert_true(live_server_there); \
    } while (0)

#endif
