/* What triggers miss, and what the key log makes of it: REPLACE, key updates, user triggers, cascades,
 * rollbacks. */
#include "recorder.h"

static void check(struct shop *s)
{
    shop_catch_up(s);
    shop_compare(s);
}

static void test_insert_update_delete(void **state)
{
    (void)state;
    struct shop s;
    shop_open(&s,
              "CREATE TABLE t(id INTEGER PRIMARY KEY, a TEXT); INSERT INTO t VALUES (1, 'one'), (2, 'two')");
    shop_mirror(&s);
    check(&s);
    shop_sql(&s, "BEGIN; INSERT INTO t VALUES (3, 'three'); UPDATE t SET a = 'uno' WHERE id = 1; DELETE FROM "
                 "t WHERE id = 2; COMMIT");
    check(&s);
    struct rec_table *t = rec_of(&s.rec, "t");
    assert_string_equal(t->order, "U1 D2 I3 ");
    assert_int_equal(s.rec.units, 1);
    /* Nothing new: no unit. */
    check(&s);
    assert_int_equal(s.rec.units, 1);
    assert_true(s.rec.idles > 0);
    shop_close(&s);
}

static void test_key_update(void **state)
{
    (void)state;
    struct shop s;
    shop_open(&s,
              "CREATE TABLE t(id INTEGER PRIMARY KEY, a); INSERT INTO t VALUES (1, 'a'), (2, 'b'), (3, 'c')");
    shop_mirror(&s);
    shop_sql(&s, "UPDATE t SET id = 10 WHERE id = 1");
    check(&s);
    /* The rowid by its other name is the key too. */
    shop_sql(&s, "UPDATE t SET rowid = 20 WHERE id = 2");
    check(&s);
    /* A chain through keys in use, inside one transaction. */
    shop_sql(&s, "BEGIN; UPDATE t SET id = 99 WHERE id = 3; UPDATE t SET id = 3 WHERE id = 10; UPDATE t SET "
                 "id = 10 WHERE id = 99; COMMIT");
    check(&s);
    shop_sql(&s, "UPDATE t SET id = id + 1000");
    check(&s);
    assert_int_equal(rec_of(&s.rec, "t")->n, 3);
    shop_close(&s);
}

static const char replace_schema[] =
    "CREATE TABLE t(id INTEGER PRIMARY KEY, email TEXT UNIQUE, a INT, b INT, note TEXT NOT NULL DEFAULT "
    "'none');"
    "CREATE UNIQUE INDEX t_ab ON t(a, b);"
    "CREATE UNIQUE INDEX t_lower ON t(lower(note) || a) WHERE b > 100;"
    "CREATE TABLE code(code TEXT PRIMARY KEY COLLATE NOCASE, n INT UNIQUE) WITHOUT ROWID;"
    "CREATE TABLE doc(name TEXT PRIMARY KEY NOT NULL, v, full TEXT GENERATED ALWAYS AS (name || '/' || v) "
    "VIRTUAL UNIQUE);"
    "INSERT INTO t VALUES (1, 'a@x', 1, 1, 'n'), (2, 'b@x', 2, 2, 'n'), (3, 'c@x', 3, 300, 'Three'), (4, "
    "'d@x', 4, 4, 'n');"
    "INSERT INTO code VALUES ('aa', 1), ('bb', 2), ('cc', 3);"
    "INSERT INTO doc(rowid, name, v) VALUES (1, 'x', 1), (2, 'y', 1), (3, 'z', 1)";

static void replace_conflicts(bool recursive_triggers)
{
    struct shop s;
    shop_open(&s, replace_schema);
    shop_sql(&s, recursive_triggers ? "PRAGMA recursive_triggers = ON" : "PRAGMA recursive_triggers = OFF");
    shop_mirror(&s);
    /* One new row pushes out two others: by email and by (a, b). */
    shop_sql(&s, "INSERT OR REPLACE INTO t VALUES (10, 'a@x', 2, 2, 'n')");
    check(&s);
    assert_int_equal(rec_of(&s.rec, "t")->n, 3);
    /* The unique expression index with a condition. */
    shop_sql(&s, "INSERT OR REPLACE INTO t VALUES (11, 'e@x', 3, 301, 'THREE')");
    check(&s);
    assert_int_equal(rec_of(&s.rec, "t")->n, 3);
    shop_sql(&s, "UPDATE OR REPLACE t SET email = 'd@x' WHERE id = 10");
    check(&s);
    assert_int_equal(rec_of(&s.rec, "t")->n, 2);
    /* Key and unique constraint at once. */
    shop_sql(&s, "REPLACE INTO code VALUES ('AA', 2)");
    check(&s);
    assert_int_equal(rec_of(&s.rec, "code")->n, 2);
    shop_sql(&s, "UPDATE OR REPLACE code SET n = 3 WHERE code = 'aa'");
    check(&s);
    assert_int_equal(rec_of(&s.rec, "code")->n, 1);
    /* A hidden rowid, and a generated column. */
    shop_sql(&s, "INSERT OR REPLACE INTO doc(rowid, name, v) VALUES (2, 'new', 1)");
    check(&s);
    shop_sql(&s, "UPDATE OR REPLACE doc SET rowid = 1 WHERE name = 'z'");
    check(&s);
    assert_int_equal(rec_of(&s.rec, "doc")->n, 2);
    shop_sql(&s, "DELETE FROM doc; INSERT INTO doc(name, v) VALUES ('p', 'q/r'); INSERT OR REPLACE INTO "
                 "doc(name, v) VALUES ('p/q', 'r')");
    check(&s);
    assert_int_equal(rec_of(&s.rec, "doc")->n, 1);
    shop_sql(&s, "INSERT INTO doc(name, v) VALUES ('m', 1); UPDATE OR REPLACE doc SET v = 'q/r', name = 'p' "
                 "WHERE name = 'm'");
    check(&s);
    assert_int_equal(rec_of(&s.rec, "doc")->n, 1);
    /* Entries of skipped rows do no harm, nor does OR IGNORE lose one. */
    shop_sql(&s, "INSERT OR IGNORE INTO t VALUES (50, 'd@x', 9, 9, 'n'), (51, 'new@x', 9, 9, 'n')");
    check(&s);
    shop_sql(&s, "INSERT INTO t VALUES (60, 'new@x', 7, 7, 'n') ON CONFLICT (email) DO UPDATE SET note = "
                 "'upserted', id = 61");
    check(&s);
    shop_close(&s);
}

static void test_replace(void **state)
{
    (void)state;
    replace_conflicts(false);
}

static void test_replace_recursive(void **state)
{
    (void)state;
    replace_conflicts(true);
}

static void test_replace_default_of_not_null(void **state)
{
    (void)state;
    struct shop s;
    shop_open(&s, "CREATE TABLE t(id INTEGER PRIMARY KEY, u TEXT NOT NULL DEFAULT 'dflt' UNIQUE); INSERT "
                  "INTO t VALUES (1, 'dflt'), (2, 'x')");
    shop_mirror(&s);
    shop_sql(&s, "INSERT OR REPLACE INTO t VALUES (3, NULL)");
    check(&s);
    assert_int_equal(rec_of(&s.rec, "t")->n, 2);
    shop_close(&s);
}

/* A user's trigger changes the same row, another row, another mirrored table. */
static void test_user_triggers(void **state)
{
    (void)state;
    struct shop s;
    shop_open(
        &s, "CREATE TABLE t(id INTEGER PRIMARY KEY, a INT, stamp INT DEFAULT 0); CREATE TABLE total(name "
            "TEXT PRIMARY KEY NOT NULL, n INT);"
            "INSERT INTO total VALUES ('t', 0);"
            "CREATE TRIGGER stamp AFTER UPDATE OF a ON t BEGIN UPDATE t SET stamp = stamp + 1 WHERE id = "
            "NEW.id; END;"
            "CREATE TRIGGER count AFTER INSERT ON t BEGIN UPDATE total SET n = n + NEW.a; END;"
            "CREATE TRIGGER cull AFTER INSERT ON t WHEN NEW.a < 0 BEGIN DELETE FROM t WHERE id = NEW.id; END;"
            "CREATE TRIGGER move AFTER UPDATE ON t WHEN NEW.a = 77 BEGIN UPDATE t SET id = NEW.id + 500, a = "
            "78 WHERE id = NEW.id; END");
    shop_mirror(&s);
    /* And one that was made after ours, so that it runs in another order. */
    shop_sql(&s, "CREATE TRIGGER late AFTER UPDATE OF a ON t BEGIN UPDATE t SET stamp = stamp + 100 WHERE id "
                 "= NEW.id; END");
    shop_sql(&s, "INSERT INTO t(id, a) VALUES (1, 5), (2, 6), (3, -1)");
    check(&s);
    shop_sql(&s, "UPDATE t SET a = a + 1");
    check(&s);
    shop_sql(&s, "UPDATE t SET a = 77 WHERE id = 1");
    check(&s);
    assert_int_equal(rec_of(&s.rec, "t")->n, 2);
    shop_close(&s);
}

static void test_cascades_and_truncate(void **state)
{
    (void)state;
    struct shop s;
    shop_open(
        &s,
        "CREATE TABLE p(id INTEGER PRIMARY KEY, x); CREATE TABLE c(id INTEGER PRIMARY KEY, p INT REFERENCES "
        "p(id) ON DELETE CASCADE"
        " ON UPDATE CASCADE, q INT REFERENCES p(id) ON DELETE SET NULL);"
        "INSERT INTO p VALUES (1, 1), (2, 2), (3, 3); INSERT INTO c VALUES (1, 1, 2), (2, 1, 3), (3, 2, 3)");
    shop_sql(&s, "PRAGMA foreign_keys = ON");
    shop_mirror(&s);
    shop_sql(&s, "DELETE FROM p WHERE id = 1");
    check(&s);
    assert_int_equal(rec_of(&s.rec, "c")->n, 1);
    shop_sql(&s, "UPDATE p SET id = 20 WHERE id = 2; DELETE FROM p WHERE id = 3");
    check(&s);
    shop_sql(&s, "DELETE FROM c"); /* SQLite's truncate optimisation is off for tables with triggers */
    check(&s);
    assert_int_equal(rec_of(&s.rec, "c")->n, 0);
    shop_close(&s);
}

static void test_rollback_and_savepoints(void **state)
{
    (void)state;
    struct shop s;
    shop_open(&s, "CREATE TABLE t(id INTEGER PRIMARY KEY, a); INSERT INTO t VALUES (1, 1)");
    shop_mirror(&s);
    shop_sql(&s, "BEGIN; INSERT INTO t VALUES (2, 2); ROLLBACK");
    check(&s);
    assert_int_equal(s.rec.units, 0);
    shop_sql(&s, "BEGIN; INSERT INTO t VALUES (3, 3); SAVEPOINT a; UPDATE t SET a = 'lost'; INSERT INTO t "
                 "VALUES (4, 4); ROLLBACK TO a;"
                 " INSERT INTO t VALUES (5, 5); RELEASE a; COMMIT");
    check(&s);
    assert_int_equal(rec_of(&s.rec, "t")->n, 3);
    assert_string_equal(rec_of(&s.rec, "t")->order, "I3 I5 ");
    shop_close(&s);
}

/* An open transaction shows nothing; after its commit everything comes in one unit, whatever its size. */
static void test_transactions_are_whole(void **state)
{
    (void)state;
    struct shop s;
    shop_open(&s,
              "CREATE TABLE a(id INTEGER PRIMARY KEY, v INT); CREATE TABLE b(id INTEGER PRIMARY KEY, v INT);"
              "INSERT INTO a VALUES (1, 100); INSERT INTO b VALUES (1, 0)");
    shop_mirror(&s);
    shop_sql(&s, "BEGIN; UPDATE a SET v = 60; UPDATE b SET v = 40");
    shop_catch_up(&s);
    assert_int_equal(s.rec.units, 0);
    shop_sql(&s, "WITH RECURSIVE n(i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM n WHERE i < 20000) INSERT "
                 "INTO a SELECT i, 0 FROM n; COMMIT");
    must(dm_source_sqlite.stream_poll(s.stream, &s.rec.sink, 0, &must_error));
    assert_true(s.rec.open); /* a poll gives some thousand rows, the unit stays open */
    shop_sql(&s, "UPDATE a SET v = v + 1 WHERE id = 1"); /* while it is being read */
    while (s.rec.open)
        must(dm_source_sqlite.stream_poll(s.stream, &s.rec.sink, 0, &must_error));
    assert_int_equal(s.rec.units, 1);
    check(&s);
    assert_int_equal(s.rec.units, 2);
    assert_int_equal(rec_of(&s.rec, "a")->n, 20000);
    shop_close(&s);
}

static void test_restart_and_clean(void **state)
{
    (void)state;
    struct shop s;
    shop_open(&s, "CREATE TABLE t(id INTEGER PRIMARY KEY, a)");
    shop_mirror(&s);
    for (int i = 0; i < 5; i++) {
        char sql[160];
        (void)snprintf(sql, sizeof sql,
                       "INSERT INTO t VALUES (%d, 1), (%d, 2); UPDATE t SET a = a + 1 WHERE id > %d", i * 10,
                       i * 10 + 1, i * 5);
        shop_sql(&s, sql);
        shop_restart(&s);
        check(&s);
    }
    shop_restart(&s); /* so few entries are cleaned away at the end */
    sqlite3_stmt *count = NULL;
    assert_int_equal(sqlite3_prepare_v2(s.db, "SELECT count(*) FROM _datamirror_log", -1, &count, NULL),
                     SQLITE_OK);
    assert_int_equal(sqlite3_step(count), SQLITE_ROW);
    assert_true(sqlite3_column_int(count, 0) <= 2);
    (void)sqlite3_finalize(count);
    shop_restart(&s);
    shop_sql(&s, "INSERT INTO t VALUES (1000, 1)");
    check(&s);
    shop_close(&s);
}

static void expect_conflict(struct shop *s, dm_position from, enum dm_status recognised)
{
    struct dm_error err = {0};
    struct dm_stream *stream = NULL;
    assert_int_equal(dm_source_sqlite.recognise(s->source, from, &s->rec.mark, &err), recognised);
    assert_int_equal(err.class, DM_ERROR_CONFLICT);
    err = (struct dm_error){0};
    assert_int_equal(dm_source_sqlite.stream_open(s->source, from, &stream, &err), DM_FAIL);
    assert_int_equal(err.class, DM_ERROR_CONFLICT);
    assert_true(err.hint[0] != '\0');
}

/* A capture made anew, a file put back from a backup, a log cleaned by somebody else: noticed, never
 * skipped. */
static void test_lost_changes_are_noticed(void **state)
{
    (void)state;
    struct shop s;
    char backup[128], sql[256];
    shop_open(&s, "CREATE TABLE t(id INTEGER PRIMARY KEY, a)");
    shop_mirror(&s);
    shop_sql(&s, "INSERT INTO t VALUES (1, 1)");
    check(&s);
    (void)snprintf(backup, sizeof backup, "%s/backup.db", s.folder);
    (void)snprintf(sql, sizeof sql, "VACUUM INTO '%s'", backup);
    shop_sql(&s, sql);
    shop_sql(&s, "INSERT INTO t VALUES (2, 2)");
    shop_restart(&s);
    check(&s);
    dm_position at = s.rec.position;
    must(dm_source_sqlite.recognise(s.source, at, &s.rec.mark, &must_error));
    /* the backup, with more changes than were lost */
    struct dm_source_config restored = s.config;
    restored.path = backup;
    struct dm_source *source = NULL;
    sqlite3 *db = NULL;
    assert_int_equal(sqlite3_open(backup, &db), SQLITE_OK);
    shop_exec(db, "INSERT INTO t VALUES (3, 3), (4, 4), (5, 5), (6, 6)");
    (void)sqlite3_close(db);
    must(dm_source_sqlite.open(&restored, &source, &must_error));
    struct dm_source *kept = s.source;
    s.source = source;
    expect_conflict(&s, at, DM_END);
    s.source = kept;
    dm_source_sqlite.close(source);
    /* entries deleted by somebody else */
    shop_sql(&s, "INSERT INTO t VALUES (7, 7), (8, 8); DELETE FROM _datamirror_log WHERE seq < (SELECT "
                 "max(seq) FROM _datamirror_log)");
    assert_int_equal(dm_source_sqlite.stream_poll(s.stream, &s.rec.sink, 0, &must_error), DM_FAIL);
    assert_int_equal(must_error.class, DM_ERROR_CONFLICT);
    expect_conflict(&s, at, DM_FAIL);
    /* made anew */
    must(dm_source_sqlite.forget(s.source, &must_error));
    expect_conflict(&s, at, DM_FAIL);
    must(dm_source_sqlite.prepare(s.source, NULL, &must_error));
    expect_conflict(&s, at, DM_FAIL);
    shop_close(&s);
}

static void test_prepare_and_forget(void **state)
{
    (void)state;
    struct shop s;
    shop_open(&s, "CREATE TABLE t(id INTEGER PRIMARY KEY, a UNIQUE); CREATE TABLE \"we\"\"ird.name \xc3\xa9 "
                  "select\"(\"or\"\"der\" TEXT PRIMARY KEY NOT NULL, \"a b\" INT UNIQUE)");
    int before = 0, after = 0;
    sqlite3_stmt *row = NULL;
    assert_int_equal(sqlite3_prepare_v2(s.db, "SELECT count(*) FROM sqlite_schema", -1, &row, NULL),
                     SQLITE_OK);
    assert_int_equal(sqlite3_step(row), SQLITE_ROW);
    before = sqlite3_column_int(row, 0);
    (void)sqlite3_reset(row);
    shop_mirror(&s);
    sqlite3_stmt *version = NULL;
    assert_int_equal(sqlite3_prepare_v2(s.db, "PRAGMA schema_version", -1, &version, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(version), SQLITE_ROW);
    int schema = sqlite3_column_int(version, 0);
    (void)sqlite3_reset(version);
    must(dm_source_sqlite.prepare(s.source, NULL, &must_error)); /* again: nothing to do, nothing written */
    assert_int_equal(sqlite3_step(version), SQLITE_ROW);
    assert_int_equal(sqlite3_column_int(version, 0), schema);
    (void)sqlite3_finalize(version);
    shop_sql(&s, "INSERT INTO \"we\"\"ird.name \xc3\xa9 select\" VALUES ('k', 1); REPLACE INTO "
                 "\"we\"\"ird.name \xc3\xa9 select\" VALUES ('l', 1)");
    check(&s);
    assert_int_equal(rec_of(&s.rec, "we\"ird.name \xc3\xa9 select")->n, 1);
    must(dm_source_sqlite.forget(s.source, &must_error));
    assert_int_equal(sqlite3_step(row), SQLITE_ROW);
    after = sqlite3_column_int(row, 0);
    (void)sqlite3_finalize(row);
    assert_int_equal(before, after);
    shop_close(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_insert_update_delete),
        cmocka_unit_test(test_key_update),
        cmocka_unit_test(test_replace),
        cmocka_unit_test(test_replace_recursive),
        cmocka_unit_test(test_replace_default_of_not_null),
        cmocka_unit_test(test_user_triggers),
        cmocka_unit_test(test_cascades_and_truncate),
        cmocka_unit_test(test_rollback_and_savepoints),
        cmocka_unit_test(test_transactions_are_whole),
        cmocka_unit_test(test_restart_and_clean),
        cmocka_unit_test(test_lost_changes_are_noticed),
        cmocka_unit_test(test_prepare_and_forget),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
