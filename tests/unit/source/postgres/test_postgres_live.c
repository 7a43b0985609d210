/* The change stream against a real server: every event in its order, with a recording sink. */
#include "live_fixture.h"

#define SIMPLE "id int!, a string"

static void test_changes(void **state)
{
    (void)state;
    NEED_SERVER();
    struct live *l = live_new();
    run(l, "CREATE TABLE t (id int PRIMARY KEY, a text)");
    live_prepare(l);
    live_stream(l, 0);
    run(l, "BEGIN; INSERT INTO t VALUES (1, 'x'), (2, NULL), (3, ''); UPDATE t SET a = 'y' WHERE id = 1; "
           "DELETE FROM t WHERE id = 2; COMMIT");
    run(l, "UPDATE t SET id = 30 WHERE id = 3");
    run(l, "BEGIN; INSERT INTO t VALUES (9, 'void'); ROLLBACK");
    run(l, "BEGIN; INSERT INTO t VALUES (4, 'a'); SAVEPOINT s; INSERT INTO t VALUES (5, 'void'); ROLLBACK TO "
           "s; INSERT INTO t VALUES (6, 'c'); COMMIT");
    run(l, "TRUNCATE t");
    drain(l);
    expect(l, "begin\npublic.t INSERT 1|x\npublic.t INSERT 2|~\npublic.t INSERT 3|\npublic.t UPDATE 1|y\n"
              "public.t DELETE 2|~\ncommit\n"
              "begin\npublic.t REKEY 3|~\npublic.t UPDATE 30|\ncommit\n"
              "begin\npublic.t INSERT 4|a\npublic.t INSERT 6|c\ncommit\n"
              "begin\ntruncate public.t\ncommit\n");
    live_free(l);
}

static void test_positions_and_restart(void **state)
{
    (void)state;
    NEED_SERVER();
    struct live *l = live_new();
    run(l, "CREATE TABLE t (id int PRIMARY KEY, a text)");
    live_prepare(l);
    live_stream(l, 0);
    run(l, "INSERT INTO t VALUES (1, 'x')");
    dm_position before, middle;
    must(l, l->type->current(l->source, &before, &l->err));
    drain(l);
    assert_true(l->rec.txn.visible_at < l->rec.txn.position);
    assert_true(l->rec.txn.position <= before);
    assert_true(l->rec.txn.xid != 0);
    assert_true(llabs(l->rec.txn.commit_time_us - dm_clock_wall_us()) < 60000000);
    middle = l->rec.txn.position;
    run(l, "INSERT INTO t VALUES (2, 'y')");
    l->type->stream_close(l->stream);
    recorder_clear(&l->rec);
    must(l, l->type->stream_open(l->source, middle, &l->stream,
                                 &l->err)); /* what was applied does not come again */
    l->rec.last = 0;
    drain(l);
    expect(l, "begin\ntable public.t(" SIMPLE ")\npublic.t INSERT 2|y\ncommit\n");
    char text[32];
    dm_position parsed;
    must(l, l->type->position_parse(l->type->position_format(middle, text, sizeof text), &parsed, &l->err));
    assert_true(parsed == middle);
    assert_int_equal(l->type->position_parse("0/zz", &parsed, &l->err), DM_FAIL);
    live_free(l);
}

/* Rows are in the snapshot or in the stream behind it, never in both and never in none. */
static void test_handoff(void **state)
{
    (void)state;
    NEED_SERVER();
    struct live *l = live_new();
    run(l, "CREATE TABLE t (id int PRIMARY KEY, a text)");
    live_prepare(l);
    live_stream(l, 0);
    PGconn *writer = PQconnectdb(live_server.url);
    struct dm_copy *copy;
    dm_position at;
    struct dm_table_list tables;
    int in_copy = 0, in_stream = 0;
    for (int round = 0; round < 8; round++) {
        pg_server_sql(writer, "TRUNCATE t");
        for (int i = 0; i < 40; i++) {
            char sql[80];
            (void)snprintf(sql, sizeof sql, "INSERT INTO t VALUES (%d, 'x')", i);
            pg_server_sql(writer, sql);
            if (i != 20)
                continue;
            must(l, l->type->copy_open(l->source, &copy, &at, &l->err));
        }
        must(l, l->type->copy_tables(copy, &tables, &l->err));
        struct dm_copy_reader *reader;
        struct dm_batch *batch = dm_batch_new(tables.tables[0]->columns);
        must(l, l->type->copy_read(copy, tables.tables[0], 0, 1, &reader, &l->err));
        assert_int_equal(l->type->copy_next(reader, batch, 1000, 1u << 20, NULL, NULL, &l->err), DM_END);
        in_copy += (int)batch->rows;
        assert_int_equal(batch->rows, 21);
        l->type->copy_reader_close(reader);
        dm_batch_free(batch);
        dm_table_list_release(&tables);
        l->type->copy_close(copy);
        /* the transactions with visible_at >= at are the other 19 */
        dm_position target;
        must(l, l->type->current(l->source, &target, &l->err));
        uint64_t commits = l->rec.commits;
        while (l->rec.last < target) {
            enum dm_status status = l->type->stream_poll(l->stream, &l->sink, 100, &l->err);
            assert_int_not_equal(status, DM_FAIL);
            if (l->rec.commits > commits && l->rec.txn.visible_at >= at)
                in_stream++;
            commits = l->rec.commits;
        }
    }
    assert_int_equal(in_copy, 8 * 21);
    assert_int_equal(in_stream, 8 * 19);
    PQfinish(writer);
    live_free(l);
}

static void test_toast_and_identities(void **state)
{
    (void)state;
    NEED_SERVER();
    struct live *l = live_new();
    run(l,
        "CREATE TABLE d (id int PRIMARY KEY, n int, big text); ALTER TABLE d ALTER big SET STORAGE EXTERNAL;"
        "CREATE TABLE f (id int PRIMARY KEY, n int, big text); ALTER TABLE f ALTER big SET STORAGE EXTERNAL;"
        "ALTER TABLE f REPLICA IDENTITY FULL;"
        "CREATE TABLE k (big text PRIMARY KEY, n int); ALTER TABLE k ALTER big SET STORAGE EXTERNAL;"
        "CREATE TABLE i (id int PRIMARY KEY, u int NOT NULL, n int); CREATE UNIQUE INDEX iu ON i (u);"
        "ALTER TABLE i REPLICA IDENTITY USING INDEX iu");
    live_prepare(l);
    live_stream(l, 0);
    run(l, "INSERT INTO d VALUES (1, 1, repeat('x', 10000)); INSERT INTO f VALUES (1, 1, repeat('y', 10000));"
           "INSERT INTO k VALUES (repeat('k', 2500), 1); INSERT INTO i VALUES (1, 10, 1)");
    drain(l);
    recorder_clear(&l->rec);
    run(l, "UPDATE d SET n = 2");  /* UNCHANGED */
    run(l, "UPDATE d SET id = 2"); /* UNCHANGED behind REKEY */
    run(l, "UPDATE f SET n = 2");  /* from the old tuple */
    run(l, "UPDATE f SET id = 2"); /* full identity: the key change shows by comparison */
    run(l, "UPDATE k SET n = 2");  /* a key stored out of line */
    run(l, "UPDATE i SET id = 5");
    run(l, "UPDATE i SET u = 11");
    run(l, "DELETE FROM i");
    run(l, "DELETE FROM f");
    run(l, "DELETE FROM d");
    drain(l);
    expect(
        l,
        "begin\npublic.d UPDATE 1|2|=\ncommit\nbegin\npublic.d REKEY 1|~|~\npublic.d UPDATE 2|2|=\ncommit\n"
        "begin\npublic.f UPDATE 1|2|<10000 bytes>\ncommit\nbegin\npublic.f REKEY 1|~|~\npublic.f UPDATE "
        "2|2|<10000 bytes>\ncommit\n"
        "begin\npublic.k UPDATE <2500 bytes>|2\ncommit\n"
        "begin\npublic.i UPDATE 5|10|1\ncommit\nbegin\npublic.i REKEY ~|10|~\npublic.i UPDATE "
        "5|11|1\ncommit\nbegin\npublic.i DELETE ~|11|~\ncommit\n"
        "begin\npublic.f DELETE 2|2|<10000 bytes>\ncommit\nbegin\npublic.d DELETE 2|~|~\ncommit\n");
    live_free(l);
}

static void test_truncate_cascade(void **state)
{
    (void)state;
    NEED_SERVER();
    struct live *l = live_new();
    run(l, "CREATE TABLE a (id int PRIMARY KEY); CREATE TABLE b (id int PRIMARY KEY, a int REFERENCES a)");
    live_prepare(l);
    live_stream(l, 0);
    run(l, "INSERT INTO a VALUES (1); INSERT INTO b VALUES (1, 1)");
    drain(l);
    recorder_clear(&l->rec);
    run(l, "BEGIN; TRUNCATE a CASCADE; INSERT INTO a VALUES (2); COMMIT");
    drain(l);
    expect(l, "begin\ntruncate public.a\ntruncate public.b\npublic.a INSERT 2\ncommit\n");
    live_free(l);
}

static void test_bad_rows(void **state)
{
    (void)state;
    NEED_SERVER();
    struct live *l = live_new();
    run(l, "CREATE TABLE t (id int PRIMARY KEY, n numeric(6,2), a int[])");
    live_prepare(l);
    live_stream(l, 0);
    run(l, "INSERT INTO t VALUES (1, 1, '{1}')");
    drain(l);
    recorder_clear(&l->rec);
    run(l, "INSERT INTO t VALUES (2, 'NaN', NULL)");
    run(l, "UPDATE t SET n = 'NaN' WHERE id = 1");
    run(l, "UPDATE t SET id = 3, n = 1, a = '{{1}}' WHERE id = 2");
    run(l, "UPDATE t SET a = '{}' WHERE id = 3");
    drain(l);
    expect(l,
           "begin\nbad public.t numeric_nan key=2 raw={\"id\": \"2\", \"n\": \"NaN\", \"a\": null}\ncommit\n"
           /* what no longer fits is gone from the lake, not left standing as it was */
           "begin\npublic.t DELETE 1|~|~\nbad public.t numeric_nan key=1 raw={\"id\": \"1\", \"n\": \"NaN\", "
           "\"a\": \"{1}\"}\ncommit\n"
           "begin\npublic.t DELETE 2|~|~\nbad public.t array_shape key=3 raw={\"id\": \"3\", \"n\": "
           "\"1.00\", \"a\": \"{{1}}\"}\ncommit\n"
           "begin\npublic.t UPDATE 3|100E-2|[]\ncommit\n");
    live_free(l);
}

/* 300 000 rows, aborted subtransactions in between: arrives in blocks before its commit. */
static void test_streamed_transaction(void **state)
{
    (void)state;
    NEED_SERVER();
    struct live *l = live_new();
    run(l, "CREATE TABLE t (id int PRIMARY KEY, a text)");
    live_prepare(l);
    live_stream(l, 0);
    l->rec.quiet = true;
    run(l, "BEGIN; INSERT INTO t SELECT g, 'x' FROM generate_series(1, 100000) g; SAVEPOINT s;"
           "INSERT INTO t SELECT g, 'void' FROM generate_series(100001, 120000) g; ROLLBACK TO s;"
           "INSERT INTO t SELECT g, 'x' FROM generate_series(100001, 300000) g; COMMIT");
    run(l, "BEGIN; INSERT INTO t SELECT g, 'x' FROM generate_series(300001, 330000) g; ROLLBACK");
    run(l, "INSERT INTO t VALUES (0, 'last')");
    drain(l);
    assert_true(l->rec.blocks > 10);
    assert_int_equal(l->rec.commits, 2);
    assert_int_equal(l->rec.begins, 1); /* the streamed one has no begin */
    assert_int_equal(l->rec.sub_aborts, 1);
    assert_int_equal(l->rec.aborts, 1);
    /* all rows came, the void ones too; the aborts say which do not count */
    assert_true(l->rec.rows >= 300001 && l->rec.rows <= 300001 + 20000 + 30000);
    live_free(l);
}

/* Columns of a streamed transaction that never commits must not become anybody's columns. */
static void test_streamed_ddl_rolled_back(void **state)
{
    (void)state;
    NEED_SERVER();
    struct live *l = live_new();
    run(l, "CREATE TABLE t (id int PRIMARY KEY, a text)");
    live_prepare(l);
    live_stream(l, 0);
    run(l, "INSERT INTO t VALUES (0, 'first')");
    drain(l);
    recorder_clear(&l->rec);
    l->rec.quiet = true;
    run(l, "BEGIN; ALTER TABLE t ADD COLUMN n int; INSERT INTO t SELECT g, repeat('x', 100), g FROM "
           "generate_series(1, 20000) g; ROLLBACK");
    drain(l);
    l->rec.quiet = false;
    recorder_clear(&l->rec);
    run(l, "INSERT INTO t VALUES (-1, 'after')");
    drain(l);
    assert_non_null(strstr(l->rec.log, "public.t INSERT -1|after\ncommit\n"));
    live_free(l);
}

/* A look at the catalog that is older than a streamed transaction must not take back the columns that the transaction brought: the
 * column would come again later, as another one, without its values. */
static void test_streamed_ddl_outlives_an_older_look(void **state)
{
    (void)state;
    NEED_SERVER();
    struct live *l = live_new();
    run(l, "CREATE TABLE t (id int PRIMARY KEY, a text); CREATE TABLE w (id int PRIMARY KEY, a text)");
    live_prepare(l);
    live_stream(l, 0);
    run(l, "INSERT INTO t VALUES (0, 'first')");
    drain(l);
    recorder_clear(&l->rec);
    PGconn *other = PQconnectdb(live_server.url);
    run(l, "ALTER TABLE t ADD COLUMN b int; UPDATE t SET b = 1");
    pg_server_sql(other, "BEGIN; INSERT INTO w SELECT g, repeat('x', 100) FROM generate_series(1, 2000) g");
    /* The mirror looks now; what it saw is told once the stream has come to where the log ends now. Nothing but the other transaction
     * lies between, which has not added its column yet. */
    int64_t deadline = dm_clock_monotonic_us() + 20000000;
    while (l->rec.commits < 1) {
        assert_int_not_equal(l->type->stream_poll(l->stream, &l->sink, 100, &l->err), DM_FAIL);
        assert_true(dm_clock_monotonic_us() < deadline);
    }
    pg_server_sql(other,
                  "ALTER TABLE t ADD COLUMN n int; INSERT INTO t SELECT g, repeat('x', 100), g, g FROM "
                  "generate_series(1, 2000) g; COMMIT");
    PQfinish(other);
    l->rec.quiet = true;
    drain(l);
    (void)l->type->stream_poll(l->stream, &l->sink, 0, &l->err);
    const char *last = NULL;
    for (const char *at = l->rec.log; (at = strstr(at, "table public.t(")) != NULL; at++)
        last = at;
    assert_non_null(last);
    static const char wanted[] = "table public.t(id int!, a string, b int, n int)\n";
    assert_memory_equal(last, wanted, sizeof wanted - 1);
    live_free(l);
}

static void test_ddl_with_rows(void **state)
{
    (void)state;
    NEED_SERVER();
    struct live *l = live_new();
    run(l, "CREATE TABLE t (id int PRIMARY KEY, a text, b int)");
    live_prepare(l);
    /* No look by the clock: one that came before the first message, as under load, would have the first definition said again. */
    l->config.heartbeat_interval_ms = 600000;
    live_stream(l, 0);
    run(l, "INSERT INTO t VALUES (1, 'x', 1)");
    run(l, "ALTER TABLE t ADD COLUMN c int DEFAULT 7");
    run(l, "INSERT INTO t VALUES (2, 'y', 2, 3)");
    run(l, "ALTER TABLE t RENAME COLUMN a TO z");
    run(l, "UPDATE t SET z = 'q' WHERE id = 2");
    run(l, "ALTER TABLE t DROP COLUMN b");
    run(l, "UPDATE t SET c = 4 WHERE id = 2");
    run(l, "ALTER TABLE t RENAME TO u");
    run(l, "DELETE FROM u WHERE id = 2");
    drain(l); /* the stream comes late: the catalog is ahead of every message */
    expect(
        l,
        "begin\npublic.t INSERT 1|x|1\ncommit\n"
        "begin\ntable public.t(id int!, a string, b int, c int default 7)\npublic.t INSERT 2|y|2|3\ncommit\n"
        "begin\ntable public.t(id int!, z string, b int, c int default 7)\npublic.t UPDATE 2|q|2|3\ncommit\n"
        "begin\ntable public.t(id int!, z string, c int default 7)\npublic.t UPDATE 2|q|4\ncommit\n"
        "begin\ntable public.u(id int!, z string, c int default 7)\npublic.u DELETE 2|~|~\ncommit\n");
    assert_int_equal(l->rec.tables[0]->table->columns->fields[1].source_ref, 2);
    assert_int_equal(l->rec.tables[0]->table->columns->fields[2].source_ref, 4);
    live_free(l);
}

/* The same when the stream starts after everything has happened: only the catalog's ages tell which column is which. */
static void test_ddl_while_away(void **state)
{
    (void)state;
    NEED_SERVER();
    struct live *l = live_new();
    run(l, "CREATE TABLE t (id int PRIMARY KEY, gone int, a text, b int); ALTER TABLE t DROP COLUMN gone");
    live_prepare(l);
    run(l, "INSERT INTO t VALUES (1, 'x', 1)");
    run(l, "ALTER TABLE t RENAME COLUMN a TO z; ALTER TABLE t DROP COLUMN b; ALTER TABLE t ADD COLUMN c int");
    run(l, "INSERT INTO t VALUES (2, 'y', 2)");
    must(l, l->type->stream_open(l->source, 0, &l->stream, &l->err));
    const struct dm_table *t = NULL;
    while (l->rec.commits < 1)
        assert_int_not_equal(l->type->stream_poll(l->stream, &l->sink, 100, &l->err), DM_FAIL);
    t = l->rec.tables[0]->table;
    assert_int_equal(t->columns->n_fields, 3);
    assert_string_equal(t->columns->fields[1].name, "a");
    assert_int_equal(t->columns->fields[1].source_ref, 3);
    assert_int_equal(t->columns->fields[2].source_ref, 4);
    drain(l);
    t = l->rec.tables[0]->table;
    assert_string_equal(t->columns->fields[1].name, "z");
    assert_int_equal(t->columns->fields[1].source_ref, 3);
    assert_int_equal(t->columns->fields[2].source_ref, 5);
    live_free(l);
}

/* A slot whose log the server has removed must never be passed over. */
static void test_lost_slot(void **state)
{
    (void)state;
    NEED_SERVER();
    struct live *l = live_new();
    run(l, "CREATE TABLE t (id int PRIMARY KEY)");
    live_prepare(l);
    run(l, "ALTER SYSTEM SET max_slot_wal_keep_size = '1MB'");
    run(l, "SELECT pg_reload_conf()");
    dm_clock_sleep_ms(200);
    for (int i = 0; i < 4; i++) {
        run(l, "SELECT pg_switch_wal()");
        run(l, "INSERT INTO t SELECT g FROM generate_series((SELECT coalesce(max(id), 0) + 1 FROM t), "
               "(SELECT coalesce(max(id), 0) + 1000 FROM t)) g");
    }
    run(l, "CHECKPOINT");
    assert_int_equal(l->type->stream_open(l->source, 0, &l->stream, &l->err), DM_FAIL);
    assert_int_equal(l->err.class, DM_ERROR_CONFLICT);
    assert_non_null(strstr(l->err.hint, "pg_drop_replication_slot('dm_test')"));
    assert_int_equal(l->type->stream_open(l->source, 1, &l->stream, &l->err), DM_FAIL);
    assert_int_equal(l->err.class, DM_ERROR_CONFLICT);
    assert_non_null(strstr(l->err.hint, "resync"));
    run(l, "ALTER SYSTEM RESET max_slot_wal_keep_size");
    run(l, "SELECT pg_reload_conf()");
    dm_clock_sleep_ms(200);
    live_free(l);
}

static void test_ddl_without_rows(void **state)
{
    (void)state;
    NEED_SERVER();
    struct live *l = live_new();
    run(l, "CREATE TABLE t (id int PRIMARY KEY, a text); CREATE TABLE gone (id int PRIMARY KEY); INSERT INTO "
           "t VALUES (1, 'x')");
    live_prepare(l);
    must(l, l->type->stream_open(l->source, 0, &l->stream, &l->err));
    watch_until(l, "table public.t(id int!, a string)\n"); /* heard of without a single change */
    watch_until(l, "table public.gone(id int!)\n");
    run(l, "ALTER TABLE t ADD COLUMN n timestamptz DEFAULT '2020-01-02 03:04:05+00'");
    watch_until(
        l, "table public.t(id int!, a string, n timestamptz default \"2020-01-02T03:04:05.000000+00:00\")\n");
    run(l, "ALTER TABLE t ADD COLUMN r float8 DEFAULT random()");
    watch_until(l, "r double) rewritten\n");
    run(l, "ALTER TABLE t ALTER COLUMN id TYPE bigint");
    watch_until(l, "table public.t(id long!, a string, n timestamptz, r double) rewritten\n");
    run(l,
        "ALTER TABLE t ADD COLUMN v text[] DEFAULT '{a,b}'"); /* a default that JSON does not carry: copy again */
    watch_until(l, "v list<string>) rewritten\n");
    run(l, "ALTER TABLE t RENAME TO t2");
    watch_until(l, "table public.t2(");
    run(l, "DROP TABLE gone");
    watch_until(l, "dropped public.gone\n");
    recorder_clear(&l->rec);
    run(l, "VACUUM FULL t2"); /* new storage, same rows */
    for (int i = 0; i < 12; i++)
        assert_int_not_equal(l->type->stream_poll(l->stream, &l->sink, 50, &l->err), DM_FAIL);
    drain(l);
    expect(l, "");
    live_free(l);
}

static void test_partitions_as_root(void **state)
{
    (void)state;
    NEED_SERVER();
    struct live *l = live_new();
    run(l, "CREATE TABLE p (id int, r text, n int, PRIMARY KEY (id, r)) PARTITION BY LIST (r);"
           "CREATE TABLE p_a PARTITION OF p FOR VALUES IN ('a'); CREATE TABLE p_x PARTITION OF p FOR VALUES "
           "IN ('b', 'c') PARTITION BY LIST (r);"
           "CREATE TABLE p_b (n int, r text NOT NULL, id int NOT NULL); ALTER TABLE p_x ATTACH PARTITION p_b "
           "FOR VALUES IN ('b')");
    live_prepare(l);
    live_stream(l, 0);
    run(l, "INSERT INTO p VALUES (1, 'a', 1), (2, 'b', 2)");
    run(l, "UPDATE p SET r = 'b' WHERE id = 1"); /* to another partition: delete and insert */
    run(l, "DELETE FROM p_b WHERE id = 2");
    run(l, "TRUNCATE p");
    drain(l);
    expect(
        l,
        "begin\npublic.p INSERT 1|a|1\npublic.p INSERT 2|b|2\ncommit\n"
        "begin\npublic.p DELETE 1|a|~\npublic.p INSERT 1|b|1\ncommit\nbegin\npublic.p DELETE 2|b|~\ncommit\n"
        "begin\ntruncate public.p\ncommit\n");
    run(l, "INSERT INTO p VALUES (1, 'a', 1), (2, 'b', 2)");
    drain(l);
    for (int i = 0; i < 40; i++) /* some looks at the catalog, on a slow machine too */
        assert_int_not_equal(l->type->stream_poll(l->stream, &l->sink, 50, &l->err), DM_FAIL);
    assert_null(strstr(l->rec.log, "rewritten")); /* the truncate above was told as one */
    run(l, "CREATE TABLE p_c PARTITION OF p_x FOR VALUES IN ('c')");
    drain(l);
    for (int i = 0; i < 40; i++) /* some looks at the catalog, on a slow machine too */
        assert_int_not_equal(l->type->stream_poll(l->stream, &l->sink, 50, &l->err), DM_FAIL);
    assert_null(strstr(l->rec.log, "rewritten")); /* an empty partition brings nothing */
    run(l, "TRUNCATE p_a");                       /* the server does not publish it */
    watch_until(l, "rewritten\n");
    recorder_clear(&l->rec);
    run(l, "ALTER TABLE p_x DETACH PARTITION p_b");
    watch_until(l, "rewritten\n");
    recorder_clear(&l->rec);
    run(l, "ALTER TABLE p_x ATTACH PARTITION p_b FOR VALUES IN ('b')");
    watch_until(l, "rewritten\n");
    live_free(l);
}

static void test_partitions_as_leaves(void **state)
{
    (void)state;
    NEED_SERVER();
    struct live *l = live_new();
    l->config.publish_via_root = false;
    run(l, "CREATE TABLE p (id int PRIMARY KEY) PARTITION BY RANGE (id); CREATE TABLE p_1 PARTITION OF p FOR "
           "VALUES FROM (0) TO (10);"
           "CREATE TABLE p_2 PARTITION OF p FOR VALUES FROM (10) TO (20)");
    live_prepare(l);
    live_stream(l, 0);
    run(l, "INSERT INTO p VALUES (1), (11)");
    drain(l);
    expect(l, "begin\npublic.p_1 INSERT 1\npublic.p_2 INSERT 11\ncommit\n");
    live_free(l);
}

static void test_filter_and_columns(void **state)
{
    (void)state;
    NEED_SERVER();
    struct live *l = live_new();
    static char glob_f[] = "f", filter[] = "id > 10", glob_c[] = "c", id[] = "id", a[] = "a", glob_x[] = "x",
                secret[] = "secret";
    static char *columns[] = {id, a}, *exclude[] = {secret};
    l->tables[0] = (struct dm_table_config){.glob = glob_f, .filter = filter};
    l->tables[1] = (struct dm_table_config){.glob = glob_c, .n_columns = 2, .columns = columns};
    l->tables[2] =
        (struct dm_table_config){.glob = glob_x, .n_exclude_columns = 1, .exclude_columns = exclude};
    l->config.n_tables = 3;
    run(l, "CREATE TABLE f (id int PRIMARY KEY, a text); CREATE TABLE c (id int PRIMARY KEY, a text, b text);"
           "CREATE TABLE x (id int PRIMARY KEY, secret text, a text); ALTER TABLE x REPLICA IDENTITY FULL; "
           "CREATE TABLE other (id int PRIMARY KEY)");
    live_prepare(l);
    live_prepare(l); /* again: nothing changes, nothing fails */
    live_stream(l, 0);
    run(l, "INSERT INTO f VALUES (5, 'out'), (15, 'in'); INSERT INTO c VALUES (1, 'a', 'b'); INSERT INTO x "
           "VALUES (1, 's', 'a');"
           "INSERT INTO other VALUES (1)");
    run(l, "UPDATE f SET id = 16 WHERE id = 5");
    run(l, "UPDATE f SET id = 6 WHERE id = 15");
    run(l, "UPDATE c SET b = 'c'");
    drain(l);
    expect(l, "begin\npublic.f INSERT 15|in\npublic.c INSERT 1|a\npublic.x INSERT 1|a\ncommit\n"
              "begin\npublic.f INSERT 16|out\ncommit\nbegin\npublic.f DELETE 15|~\ncommit\nbegin\npublic.c "
              "UPDATE 1|a\ncommit\n");
    /* the copy applies the same */
    struct dm_copy *copy;
    dm_position at;
    struct dm_table_list tables;
    must(l, l->type->copy_open(l->source, &copy, &at, &l->err));
    must(l, l->type->copy_tables(copy, &tables, &l->err));
    assert_int_equal(tables.n, 3);
    for (size_t i = 0; i < tables.n; i++) {
        struct dm_copy_reader *reader;
        struct dm_batch *batch = dm_batch_new(tables.tables[i]->columns);
        must(l, l->type->copy_read(copy, tables.tables[i], 0, 1, &reader, &l->err));
        assert_int_equal(l->type->copy_next(reader, batch, 100, 1u << 20, NULL, NULL, &l->err), DM_END);
        assert_int_equal(batch->rows, 1);
        assert_int_equal(batch->n_columns, 2);
        dm_batch_free(batch);
        l->type->copy_reader_close(reader);
    }
    dm_table_list_release(&tables);
    l->type->copy_close(copy);
    static char bad[] = "a > 'x'";
    l->tables[0].filter = bad;
    must(l, l->type->tables(l->source, &tables, &l->err));
    assert_int_equal(l->type->prepare(l->source, &tables, &l->err), DM_FAIL);
    assert_int_equal(l->err.class, DM_ERROR_CONFIG);
    assert_non_null(strstr(l->err.message, "\"a\""));
    dm_table_list_release(&tables);
    live_free(l);
}

static void test_append_only(void **state)
{
    (void)state;
    NEED_SERVER();
    struct live *l = live_new();
    l->tables[0].append_only = true;
    run(l, "CREATE TABLE log (at int, what text)");
    live_prepare(l);
    live_stream(l, 0);
    run(l, "INSERT INTO log VALUES (1, 'a'), (1, 'a')");
    run(l, "UPDATE log SET what = 'b'"); /* must not fail at the source */
    run(l, "DELETE FROM log");
    drain(l);
    expect(l, "begin\npublic.log INSERT 1|a\npublic.log INSERT 1|a\ncommit\n");
    live_free(l);
}

static const struct dm_table *named(const struct dm_table_list *tables, const char *name)
{
    for (size_t i = 0; i < tables->n; i++)
        if (strcmp(tables->tables[i]->name, name) == 0)
            return tables->tables[i];
    return NULL;
}

static void expect_problem(const struct dm_table_list *tables, const char *name, const char *words)
{
    const struct dm_table *t = named(tables, name);
    assert_non_null(t);
    if (words == NULL) {
        if (t->problem != NULL)
            fprintf(stderr, "%s: %s\n", name, t->problem);
        assert_null(t->problem);
        return;
    }
    if (t->problem == NULL || strstr(t->problem, words) == NULL)
        fprintf(stderr, "%s: %s instead of %s\n", name, t->problem != NULL ? t->problem : "(no problem)",
                words);
    assert_non_null(t->problem);
    assert_non_null(strstr(t->problem, words));
    assert_non_null(t->hint);
}

static void test_discovery(void **state)
{
    (void)state;
    NEED_SERVER();
    struct live *l = live_new();
    static char view[] = "a_view", all[] = "public.*", weird[] = "odd.*";
    l->tables[0].glob = view;
    l->tables[1] = (struct dm_table_config){.glob = all};
    l->tables[2] = (struct dm_table_config){.glob = weird};
    l->config.n_tables = 3;
    run(l, "DROP SCHEMA IF EXISTS odd CASCADE; CREATE SCHEMA odd; CREATE TABLE odd.\"Sel\"\"ect . x\" "
           "(\"Group\" int PRIMARY KEY, \"a b\" text, \"é\" int);"
           "CREATE TABLE nokey (a int); CREATE TABLE nothing (id int PRIMARY KEY); ALTER TABLE nothing "
           "REPLICA IDENTITY NOTHING;"
           "CREATE UNLOGGED TABLE fast (id int PRIMARY KEY); CREATE VIEW a_view AS SELECT 1 AS one; CREATE "
           "VIEW b_view AS SELECT 2 AS two;"
           "CREATE TABLE full_unique (u int NOT NULL UNIQUE, n int); ALTER TABLE full_unique REPLICA "
           "IDENTITY FULL;"
           "CREATE TABLE full_nullable (u int UNIQUE); ALTER TABLE full_nullable REPLICA IDENTITY FULL;"
           "CREATE TABLE late (id int PRIMARY KEY DEFERRABLE); CREATE TABLE gen (id int PRIMARY KEY, g int "
           "GENERATED ALWAYS AS (id * 2) STORED);"
           "CREATE TABLE parent (a int, b int, PRIMARY KEY (b, a)); CREATE TABLE child (id int PRIMARY KEY, "
           "x int, y int, FOREIGN KEY (x, y) REFERENCES parent (b, a));"
           "CREATE TEMP TABLE temporary (id int PRIMARY KEY)");
    struct dm_table_list tables;
    must(l, l->type->tables(l->source, &tables, &l->err));
    expect_problem(&tables, "nokey", "no primary key");
    expect_problem(&tables, "nothing", "no replica identity");
    expect_problem(&tables, "fast", "unlogged");
    expect_problem(&tables, "a_view", "is a view");
    expect_problem(&tables, "full_unique", NULL);
    expect_problem(&tables, "full_nullable", "no primary key");
    expect_problem(&tables, "late", "deferrable");
    expect_problem(&tables, "gen", NULL);
    expect_problem(&tables, "parent", NULL);
    assert_null(named(&tables, "b_view"));
    assert_null(named(&tables, "temporary"));
    assert_int_equal(named(&tables, "gen")->columns->n_fields, 1);
    assert_int_equal(named(&tables, "parent")->columns->keys[0], 1); /* key order, not column order */
    const struct dm_table *child = named(&tables, "child"), *odd = named(&tables, "Sel\"ect . x");
    assert_int_equal(child->n_foreign_keys, 1);
    assert_string_equal(child->foreign_keys[0].target_table, "parent");
    assert_string_equal(child->foreign_keys[0].columns[1], "y");
    assert_string_equal(child->foreign_keys[0].target_columns[1], "a");
    assert_true(child->default_namespace);
    assert_non_null(odd);
    assert_false(odd->default_namespace);
    assert_string_equal(odd->columns->fields[0].source_type, "integer");
    must(l, l->type->prepare(l->source, &tables, &l->err));
    live_stream(l, 0);
    run(l, "INSERT INTO odd.\"Sel\"\"ect . x\" VALUES (1, 'x', 2)");
    drain(l);
    expect(l, "begin\nodd.Sel\"ect . x INSERT 1|x|2\ncommit\n");
    dm_table_list_release(&tables);
    live_free(l);
}

static void test_parallel_copy(void **state)
{
    (void)state;
    NEED_SERVER();
    struct live *l = live_new();
    run(l, "CREATE TABLE big (id int PRIMARY KEY, filler text); INSERT INTO big SELECT g, repeat('x', 900) "
           "FROM generate_series(1, 60000) g;"
           "DELETE FROM big WHERE id % 7 = 0; INSERT INTO big SELECT g, repeat('y', 900) FROM "
           "generate_series(60001, 61000) g;"
           "CREATE TABLE p (id int PRIMARY KEY, r text) PARTITION BY RANGE (id); CREATE TABLE p1 PARTITION "
           "OF p FOR VALUES FROM (0) TO (10);"
           "CREATE TABLE p2 (r text, id int NOT NULL); ALTER TABLE p ATTACH PARTITION p2 FOR VALUES FROM "
           "(10) TO (20); INSERT INTO p SELECT g, g FROM generate_series(0, 19) g;"
           "CREATE TABLE empty (id int PRIMARY KEY)");
    struct dm_copy *copy;
    dm_position at;
    struct dm_table_list tables;
    must(l, l->type->copy_open(l->source, &copy, &at, &l->err));
    run(l, "INSERT INTO big VALUES (-1, 'after'); DELETE FROM big WHERE id < 100"); /* not in the snapshot */
    must(l, l->type->copy_tables(copy, &tables, &l->err));
    for (size_t i = 0; i < tables.n; i++) {
        size_t parts;
        must(l, l->type->copy_parts(copy, tables.tables[i], 2, &parts, &l->err));
        if (strcmp(tables.tables[i]->name, "big") == 0)
            assert_true(parts > 1);
        int64_t sum = 0;
        size_t rows = 0;
        for (size_t part = 0; part < parts; part++) {
            struct dm_copy_reader *reader;
            struct dm_batch *batch = dm_batch_new(tables.tables[i]->columns);
            must(l, l->type->copy_read(copy, tables.tables[i], part, parts, &reader, &l->err));
            enum dm_status status;
            do {
                status = l->type->copy_next(reader, batch, 1000, 1u << 20, NULL, NULL, &l->err);
                if (status == DM_FAIL)
                    must(l, status);
                assert_true(batch->rows <= 1001);
                for (size_t row = 0; row < batch->rows; row++)
                    sum += dm_column_int32(&batch->columns[0], row);
                rows += batch->rows;
                dm_batch_clear(batch);
            } while (status == DM_OK);
            dm_batch_free(batch);
            l->type->copy_reader_close(reader);
        }
        bool big = strcmp(tables.tables[i]->name, "big") == 0, p = strcmp(tables.tables[i]->name, "p") == 0;
        assert_int_equal(rows, big ? 60000 - 8571 + 1000 : p ? 20 : 0);
        assert_int_equal(sum, big ? INT64_C(1800030000) - 7 * INT64_C(8571) * 8572 / 2 + INT64_C(60500500)
                              : p ? 190
                                  : 0);
    }
    dm_table_list_release(&tables);
    l->type->copy_close(copy);
    live_free(l);
}

static void test_lost_connections(void **state)
{
    (void)state;
    NEED_SERVER();
    struct live *l = live_new();
    run(l, "CREATE TABLE t (id int PRIMARY KEY, a text)");
    live_prepare(l);
    live_stream(l, 0);
    run(l, "INSERT INTO t VALUES (1, 'x')");
    drain(l);
    dm_position at = l->rec.last;
    run(l, "SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE slot_name = 'dm_test'");
    enum dm_status status = DM_OK;
    for (int i = 0; i < 100 && status != DM_FAIL; i++)
        status = l->type->stream_poll(l->stream, &l->sink, 50, &l->err);
    assert_int_equal(status, DM_FAIL);
    assert_int_equal(l->err.class, DM_ERROR_TRANSIENT);
    l->type->stream_close(l->stream);
    live_stream(l, at);
    /* a copy whose snapshot is gone */
    struct dm_copy *copy;
    struct dm_table_list tables;
    dm_position x;
    must(l, l->type->copy_open(l->source, &copy, &x, &l->err));
    run(l, "SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE temporary");
    dm_clock_sleep_ms(300);
    assert_int_equal(l->type->copy_tables(copy, &tables, &l->err), DM_FAIL);
    assert_int_equal(l->err.class, DM_ERROR_TRANSIENT);
    l->type->copy_close(copy);
    /* the server goes away */
    PQfinish(l->sql);
    pg_server_halt(&live_server, "immediate");
    status = DM_OK;
    for (int i = 0; i < 100 && status != DM_FAIL; i++)
        status = l->type->stream_poll(l->stream, &l->sink, 50, &l->err);
    assert_int_equal(status, DM_FAIL);
    assert_int_equal(l->err.class, DM_ERROR_TRANSIENT);
    l->type->stream_close(l->stream);
    l->stream = NULL;
    assert_int_equal(l->type->stream_open(l->source, at, &l->stream, &l->err), DM_FAIL);
    assert_int_equal(l->err.class, DM_ERROR_TRANSIENT);
    assert_true(pg_server_launch(&live_server));
    l->sql = PQconnectdb(live_server.url);
    run(l, "INSERT INTO t VALUES (2, 'y')");
    must(l, l->type->stream_open(l->source, at, &l->stream, &l->err));
    recorder_clear(&l->rec);
    drain(l);
    expect(l, "begin\ntable public.t(" SIMPLE ")\npublic.t INSERT 2|y\ncommit\n");
    live_free(l);
}

static void test_refusals(void **state)
{
    (void)state;
    NEED_SERVER();
    struct live *l = live_new();
    run(l, "CREATE TABLE t (id int PRIMARY KEY)");
    /* no slot */
    assert_int_equal(l->type->stream_open(l->source, 5, &l->stream, &l->err), DM_FAIL);
    assert_int_equal(l->err.class, DM_ERROR_CONFLICT);
    live_prepare(l);
    live_stream(l, 0);
    /* a second instance */
    struct dm_stream *second;
    assert_int_equal(l->type->stream_open(l->source, 0, &second, &l->err), DM_FAIL);
    assert_int_equal(l->err.class, DM_ERROR_TRANSIENT);
    assert_non_null(strstr(l->err.message, "in use"));
    run(l, "INSERT INTO t VALUES (1)");
    drain(l);
    for (int i = 0; i < 20; i++) /* the acknowledgement goes out */
        assert_int_not_equal(l->type->stream_poll(l->stream, &l->sink, 50, &l->err), DM_FAIL);
    l->type->stream_close(l->stream);
    l->stream = NULL;
    dm_clock_sleep_ms(200);
    /* a lake older than what was acknowledged */
    assert_int_equal(l->type->stream_open(l->source, 5, &l->stream, &l->err), DM_FAIL);
    assert_int_equal(l->err.class, DM_ERROR_CONFLICT);
    assert_non_null(strstr(l->err.hint, "resync"));
    /* wrong words in url: and wrong databases */
    static char bad_url[] = "host=/nowhere dbname=x", no_url[] = "postgresql://u:geheim@[bad", no_db[160];
    (void)snprintf(no_db, sizeof no_db, "host=%s user=postgres dbname=none", live_server.folder);
    struct dm_source_config config = l->config;
    struct dm_source *other;
    struct dm_table_list tables;
    const char *urls[] = {bad_url, no_url, no_db};
    const enum dm_error_class classes[] = {DM_ERROR_TRANSIENT, DM_ERROR_CONFIG, DM_ERROR_CONFIG};
    for (int i = 0; i < 3; i++) {
        config.url = (char *)(uintptr_t)urls[i];
        must(l, l->type->open(&config, &other, &l->err));
        assert_int_equal(l->type->tables(other, &tables, &l->err), DM_FAIL);
        if (l->err.class != classes[i])
            fprintf(stderr, "%s: %s\n", urls[i], l->err.message);
        assert_int_equal(l->err.class, classes[i]);
        assert_null(strstr(l->err.message, "geheim"));
        assert_string_not_equal(l->err.hint, "");
        l->type->close(other);
    }
    live_free(l);
}

static void test_check(void **state)
{
    (void)state;
    NEED_SERVER();
    struct live *l = live_new();
    run(l, "CREATE TABLE ok (id int PRIMARY KEY); CREATE TABLE bad (a int)");
    struct dm_check_list checks = {0};
    struct dm_table_list tables = {0};
    struct dm_source_start start = {.copies = true, .rehearse = true};
    must(l, l->type->tables(l->source, &tables, &l->err));
    must(l, l->type->check(l->source, &start, &tables, &checks, &l->err));
    must(l, dm_check_first_failure(&checks, &l->err));
    int left_out = 0;
    for (size_t i = 0; i < checks.n; i++) {
        left_out += checks.checks[i].result == DM_CHECK_REFUSED;
        if (checks.checks[i].result == DM_CHECK_REFUSED)
            assert_non_null(strstr(checks.checks[i].what, "bad has no primary key"));
    }
    assert_int_equal(left_out, 1);
    dm_check_list_release(&checks);
    dm_table_list_release(&tables);
    /* a lake that stands somewhere, and no slot */
    start.from = 1;
    must(l, l->type->tables(l->source, &tables, &l->err));
    must(l, l->type->check(l->source, &start, &tables, &checks, &l->err));
    assert_int_equal(dm_check_first_failure(&checks, &l->err), DM_FAIL);
    assert_int_equal(l->err.class, DM_ERROR_CONFLICT);
    dm_check_list_release(&checks);
    dm_table_list_release(&tables);
    start.from = 0;
    /* a role that may nothing */
    run(l, "DROP ROLE IF EXISTS weak; CREATE ROLE weak LOGIN");
    static char url[160];
    (void)snprintf(url, sizeof url, "host=%s user=weak dbname=postgres", live_server.folder);
    struct dm_source_config config = l->config;
    config.url = url;
    struct dm_source *weak;
    must(l, l->type->open(&config, &weak, &l->err));
    must(l, l->type->tables(weak, &tables, &l->err));
    must(l, l->type->check(weak, &start, &tables, &checks, &l->err));
    assert_int_equal(dm_check_first_failure(&checks, &l->err), DM_FAIL);
    assert_int_equal(l->err.class, DM_ERROR_CONFIG);
    assert_non_null(strstr(l->err.hint, "ALTER ROLE \"weak\" REPLICATION"));
    dm_check_list_release(&checks);
    dm_table_list_release(&tables);
    l->type->close(weak);
    live_free(l);
}

/* A table that becomes wanted later is asked for again in the next transaction. */
static void test_unwanted_then_wanted(void **state)
{
    (void)state;
    NEED_SERVER();
    struct live *l = live_new();
    run(l, "CREATE TABLE t (id int PRIMARY KEY)");
    live_prepare(l);
    l->rec.unwanted = "public.t";
    live_stream(l, 0);
    run(l, "BEGIN; INSERT INTO t VALUES (1); INSERT INTO t VALUES (2); COMMIT");
    drain(l);
    l->rec.unwanted = NULL;
    recorder_clear(&l->rec);
    run(l, "INSERT INTO t VALUES (3)");
    drain(l);
    expect(l, "begin\ntable public.t(id int!)\npublic.t INSERT 3\ncommit\n");
    live_free(l);
}

static void test_prepared_transactions_and_messages(void **state)
{
    (void)state;
    NEED_SERVER();
    struct live *l = live_new();
    run(l, "CREATE TABLE t (id int PRIMARY KEY)");
    live_prepare(l);
    live_stream(l, 0);
    run(l, "BEGIN; INSERT INTO t VALUES (1); PREPARE TRANSACTION 'one'");
    run(l, "BEGIN; INSERT INTO t VALUES (2); PREPARE TRANSACTION 'two'");
    run(l, "INSERT INTO t VALUES (3)");
    run(l, "ROLLBACK PREPARED 'two'");
    run(l, "COMMIT PREPARED 'one'");
    run(l,
        "SELECT pg_logical_emit_message(false, 'other', 'x'), pg_logical_emit_message(true, 'other', 'y')");
    drain(l);
    expect(l, "begin\npublic.t INSERT 3\ncommit\nbegin\npublic.t INSERT 1\ncommit\n");
    live_free(l);
}

/* An idle database must not pin log: the heartbeat moves the slot. */
static void test_heartbeat_moves_the_slot(void **state)
{
    (void)state;
    NEED_SERVER();
    struct live *l = live_new();
    run(l, "CREATE TABLE t (id int PRIMARY KEY); CREATE TABLE not_ours (id int)");
    live_prepare(l);
    live_stream(l, 0);
    run(l, "INSERT INTO not_ours SELECT generate_series(1, 10000)");
    dm_position target;
    must(l, l->type->current(l->source, &target, &l->err));
    bool moved = false;
    for (int i = 0; i < 100 && !moved; i++) {
        assert_int_not_equal(l->type->stream_poll(l->stream, &l->sink, 50, &l->err), DM_FAIL);
        l->type->stream_ack(l->stream, l->rec.last);
        PGresult *rows = PQexec(
            l->sql, "SELECT confirmed_flush_lsn FROM pg_replication_slots WHERE slot_name = 'dm_test'");
        dm_position confirmed;
        must(l, l->type->position_parse(PQgetvalue(rows, 0, 0), &confirmed, &l->err));
        PQclear(rows);
        moved = confirmed > target;
    }
    assert_true(moved);
    assert_int_equal(l->rec.begins, 0);
    assert_true(l->type->stream_lag(l->stream, 0) >= target);
    live_free(l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_changes),
        cmocka_unit_test(test_positions_and_restart),
        cmocka_unit_test(test_handoff),
        cmocka_unit_test(test_toast_and_identities),
        cmocka_unit_test(test_truncate_cascade),
        cmocka_unit_test(test_bad_rows),
        cmocka_unit_test(test_streamed_transaction),
        cmocka_unit_test(test_streamed_ddl_rolled_back),
        cmocka_unit_test(test_streamed_ddl_outlives_an_older_look),
        cmocka_unit_test(test_ddl_with_rows),
        cmocka_unit_test(test_ddl_while_away),
        cmocka_unit_test(test_ddl_without_rows),
        cmocka_unit_test(test_lost_slot),
        cmocka_unit_test(test_partitions_as_root),
        cmocka_unit_test(test_partitions_as_leaves),
        cmocka_unit_test(test_filter_and_columns),
        cmocka_unit_test(test_append_only),
        cmocka_unit_test(test_discovery),
        cmocka_unit_test(test_parallel_copy),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_check),
        cmocka_unit_test(test_unwanted_then_wanted),
        cmocka_unit_test(test_prepared_transactions_and_messages),
        cmocka_unit_test(test_heartbeat_moves_the_slot),
        cmocka_unit_test(test_lost_connections),
    };
    return cmocka_run_group_tests(tests, live_start, live_stop);
}
