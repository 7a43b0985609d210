/* Tables: which can be mirrored and by which key; and schema changes while the stream runs and while it
 * does not. */
#include "recorder.h"

static void check(struct shop *s)
{
    shop_catch_up(s);
    shop_compare(s);
}

static const struct dm_table *find(const struct dm_table_list *list, const char *name)
{
    for (size_t i = 0; i < list->n; i++)
        if (strcmp(list->tables[i]->name, name) == 0)
            return list->tables[i];
    return NULL;
}

static void expect_key(const struct dm_table_list *list, const char *name, const char *key)
{
    const struct dm_table *t = find(list, name);
    assert_non_null(t);
    char have[256] = "";
    for (size_t i = 0; i < t->columns->n_keys; i++) {
        (void)strcat(have, i > 0 ? "," : "");
        (void)strcat(have, t->columns->fields[t->columns->keys[i]].name);
        assert_true(t->columns->fields[t->columns->keys[i]].required);
    }
    if (t->problem != NULL && key != NULL)
        fail_msg("%s: %s", name, t->problem);
    if (key == NULL) {
        assert_non_null(t->problem);
        assert_true(t->hint != NULL && t->hint[0] != '\0');
    } else {
        assert_string_equal(have, key);
    }
}

static void test_discovery(void **state)
{
    (void)state;
    struct shop s;
    shop_open(
        &s, "CREATE TABLE a(id INTEGER PRIMARY KEY, x);"
            "CREATE TABLE b(x, y, PRIMARY KEY (y, x));"
            "CREATE TABLE c(x INT, u TEXT NOT NULL UNIQUE, v TEXT UNIQUE);"
            "CREATE TABLE d(x INT, u TEXT UNIQUE);" /* may be NULL: no key */
            "CREATE TABLE e(x);"
            "CREATE TABLE f(id INT PRIMARY KEY DESC, n) WITHOUT ROWID;"
            "CREATE TABLE g(id INTEGER PRIMARY KEY DESC, n);" /* not the rowid's alias: SQLite's own quirk */
            "CREATE TABLE h(a INT NOT NULL, b INT); CREATE UNIQUE INDEX h_partial ON h(a) WHERE b > 0;"
            "CREATE TABLE st(k TEXT PRIMARY KEY, v ANY) STRICT;"
            "CREATE TABLE gen(id INTEGER PRIMARY KEY, a INT, b INT AS (a * 2) STORED, c TEXT AS (a || 'x'));"
            "CREATE TABLE shadow(rowid TEXT, oid INTEGER PRIMARY KEY, _rowid_ TEXT, u INT UNIQUE);"
            "CREATE TABLE parent(id INTEGER PRIMARY KEY); CREATE TABLE child(id INTEGER PRIMARY KEY, p INT "
            "REFERENCES parent, x, y, FOREIGN KEY (x, y) REFERENCES b(y, x));"
            "CREATE VIEW view AS SELECT * FROM a; CREATE VIRTUAL TABLE fts USING fts5(body)");
    struct dm_table_list list = {0};
    must(dm_source_sqlite.tables(s.source, &list, &must_error));
    expect_key(&list, "a", "id");
    expect_key(&list, "b", "y,x");
    expect_key(&list, "c", "u");
    expect_key(&list, "d", NULL);
    expect_key(&list, "e", NULL);
    expect_key(&list, "f", "id");
    expect_key(&list, "g", "id");
    expect_key(&list, "h", NULL);
    expect_key(&list, "st", "k");
    expect_key(&list, "shadow", "oid");
    assert_null(find(&list, "view"));
    assert_null(find(&list, "fts"));
    assert_null(find(&list, "fts_data"));
    assert_int_equal(find(&list, "gen")->columns->n_fields, 4);
    const struct dm_table *child = find(&list, "child");
    assert_int_equal(child->n_foreign_keys, 2);
    for (size_t i = 0; i < 2; i++) {
        const struct dm_foreign_key *fk = &child->foreign_keys[i];
        if (fk->n_columns == 1) {
            assert_string_equal(fk->target_table, "parent");
            assert_string_equal(fk->target_columns[0], "id");
        } else {
            assert_int_equal(fk->n_columns, 2);
            assert_string_equal(fk->columns[1], "y");
            assert_string_equal(fk->target_columns[1], "x");
        }
    }
    dm_table_list_release(&list);
    shop_mirror(&s);
    shop_sql(&s, "INSERT INTO gen(id, a) VALUES (1, 5); UPDATE gen SET a = 6; INSERT INTO shadow VALUES "
                 "('r', 7, 'x', 1); REPLACE INTO shadow VALUES ('r', 8, 'x', 1);"
                 "INSERT INTO st VALUES ('k', 1.0); INSERT INTO g VALUES (5, 1), (6, 1); UPDATE g SET id = "
                 "id + 10; INSERT INTO f VALUES (1, 2); INSERT INTO fts VALUES ('hello')");
    check(&s);
    assert_int_equal(rec_of(&s.rec, "shadow")->n, 1);
    shop_close(&s);
}

static void test_configuration(void **state)
{
    (void)state;
    struct shop s;
    shop_open(
        &s, "CREATE TABLE t(id INTEGER PRIMARY KEY, email TEXT NOT NULL UNIQUE, secret TEXT, amount NUMERIC, "
            "region TEXT); CREATE TABLE other(x);"
            "INSERT INTO t VALUES (1, 'a', 's', 1.25, 'eu'), (2, 'b', 's', 2, 'us'), (3, 'c', 's', 3, 'eu')");
    char *key[] = {(char *)(uintptr_t) "email"}, *exclude[] = {(char *)(uintptr_t) "secret"};
    struct dm_decimal_config decimal = {(char *)(uintptr_t) "amount", 10, 2};
    s.tables[0].n_key = 1;
    s.tables[0].key = key;
    s.tables[0].n_exclude_columns = 1;
    s.tables[0].exclude_columns = exclude;
    s.tables[0].n_decimals = 1;
    s.tables[0].decimals = &decimal;
    s.tables[0].filter = (char *)(uintptr_t) "region = 'eu'";
    char *glob = s.tables[0].glob;
    s.tables[0].glob = (char *)(uintptr_t) "t";
    shop_mirror(&s);
    struct rec_table *t = rec_of(&s.rec, "t");
    assert_int_equal(s.rec.n, 1);
    assert_int_equal(t->n, 2);
    assert_int_equal(dm_schema_find(t->schema, "secret"), -1);
    assert_int_equal(t->schema->fields[dm_schema_find(t->schema, "amount")].type.id, DM_DECIMAL);
    /* into the filter, out of it, and a key of the rowid in conflict */
    shop_sql(&s, "UPDATE t SET region = 'eu' WHERE id = 2; UPDATE t SET region = 'us' WHERE id = 1");
    check(&s);
    assert_int_equal(t->n, 2);
    shop_sql(&s, "REPLACE INTO t VALUES (3, 'new', 's', 9, 'eu')");
    check(&s);
    assert_int_equal(t->n, 2);
    shop_sql(&s, "UPDATE OR REPLACE t SET id = 3 WHERE id = 2");
    check(&s);
    assert_int_equal(t->n, 1);
    s.tables[0].glob = glob;
    shop_close(&s);
}

/* Each change of the schema, once while the stream runs and once while it is down, each with rows changed
 * right before and after. */
static void alter(bool while_down)
{
    static const struct {
        const char *sql;
        bool rewritten;
    } steps[] = {
        {"INSERT INTO t(id, a, b) VALUES (10, 'x', 1); ALTER TABLE t ADD COLUMN c TEXT; UPDATE t SET c = "
         "'set' WHERE id = 1",
         false},
        {"ALTER TABLE t ADD COLUMN d INT DEFAULT 7", true},
        {"ALTER TABLE t ADD COLUMN e INT AS (id * 2)", true},
        {"UPDATE t SET b = b + 1; ALTER TABLE t RENAME COLUMN c TO \"c new\"; UPDATE t SET \"c new\" = "
         "'again' WHERE id = 2",
         false},
        {"ALTER TABLE t RENAME COLUMN id TO ident; UPDATE t SET ident = 500 WHERE ident = 2", false},
        {"ALTER TABLE t DROP COLUMN d; DELETE FROM t WHERE ident = 1", false},
        {"ALTER TABLE t RENAME TO t2; INSERT INTO t2(ident, a) VALUES (77, 'renamed')", false},
        {"CREATE UNIQUE INDEX t_a ON t2(a)", false},
        {"REPLACE INTO t2(ident, a) VALUES (78, 'renamed')", false},
        {"ALTER TABLE t2 DROP COLUMN b; ALTER TABLE t2 ADD COLUMN b INT", true},
        {"DROP INDEX t_a; INSERT INTO t2(ident, a) VALUES (79, 'renamed')", false},
        {"UPDATE t2 SET a = 'other' WHERE ident = 79; CREATE UNIQUE INDEX t_a2 ON t2(a); REPLACE INTO "
         "t2(ident, a) VALUES (80, 'renamed')",
         true},
        {"CREATE TABLE new(ident INTEGER PRIMARY KEY, a TEXT, z REAL); INSERT INTO new SELECT ident + 1000, "
         "a, 1.5 FROM t2; DROP TABLE t2; ALTER TABLE new RENAME TO t2",
         true},
        {"UPDATE t2 SET z = z + 1", false},
    };
    struct shop s;
    shop_open(&s, "CREATE TABLE t(id INTEGER PRIMARY KEY, a TEXT, b INT); INSERT INTO t VALUES (1, 'one', "
                  "1), (2, 'two', 2), (3, 'three', 3)");
    shop_mirror(&s);
    check(&s);
    uint64_t id = rec_of(&s.rec, "t")->id;
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        if (while_down) {
            dm_source_sqlite.stream_close(s.stream);
            s.stream = NULL;
        }
        shop_sql(&s, steps[i].sql);
        if (while_down) {
            must(dm_source_sqlite.prepare(s.source, NULL, &must_error));
            must(dm_source_sqlite.stream_open(s.source, s.rec.position, &s.stream, &must_error));
        }
        shop_catch_up(&s);
        if (rec_by_id(&s.rec, id)->rewritten != steps[i].rewritten)
            fail_msg("step %zu (%s): rewritten is %d", i, steps[i].sql, rec_by_id(&s.rec, id)->rewritten);
        shop_compare(&s);
    }
    assert_string_equal(rec_by_id(&s.rec, id)->name, "t2");
    shop_close(&s);
}

static void test_alter(void **state)
{
    (void)state;
    alter(false);
}

static void test_alter_while_down(void **state)
{
    (void)state;
    alter(true);
}

static int ref_of(const struct rec_table *t, const char *column)
{
    int f = dm_schema_find(t->schema, column);
    return f >= 0 ? t->schema->fields[f].source_ref : -1;
}

static void test_column_numbers(void **state)
{
    (void)state;
    struct shop s;
    shop_open(&s, "CREATE TABLE t(id INTEGER PRIMARY KEY, a TEXT, b TEXT)");
    shop_mirror(&s);
    check(&s);
    int a = ref_of(rec_of(&s.rec, "t"), "a"), b = ref_of(rec_of(&s.rec, "t"), "b");
    assert_true(a > 0 && b > 0 && a != b);
    /* a and b change names: each keeps its number */
    shop_sql(&s, "BEGIN; ALTER TABLE t RENAME COLUMN a TO tmp; ALTER TABLE t RENAME COLUMN b TO a; ALTER "
                 "TABLE t RENAME COLUMN tmp TO b; COMMIT");
    check(&s);
    assert_int_equal(ref_of(rec_of(&s.rec, "t"), "b"), a);
    assert_int_equal(ref_of(rec_of(&s.rec, "t"), "a"), b);
    shop_sql(&s, "ALTER TABLE t DROP COLUMN b");
    check(&s);
    shop_sql(&s, "ALTER TABLE t ADD COLUMN b TEXT");
    check(&s);
    assert_true(ref_of(rec_of(&s.rec, "t"), "b") > (a > b ? a : b)); /* a number is never given again */
    shop_close(&s);
}

static void test_tables_come_and_go(void **state)
{
    (void)state;
    struct shop s;
    shop_open(&s, "CREATE TABLE t(id INTEGER PRIMARY KEY, a)");
    shop_mirror(&s);
    shop_sql(&s, "CREATE TABLE late(id INTEGER PRIMARY KEY, v); INSERT INTO late VALUES (1, 'before the "
                 "mirror looked')");
    shop_catch_up(&s);
    struct rec_table *late = rec_of(&s.rec, "late");
    assert_int_equal(late->defined, 1);
    late->rewritten = true; /* a mirror copies a table that it sees for the first time */
    shop_sql(&s, "INSERT INTO late VALUES (2, 'after')");
    check(&s);
    assert_int_equal(late->n, 2);
    shop_sql(&s, "CREATE TABLE without(x); INSERT INTO without VALUES (1)");
    check(&s);
    shop_sql(&s, "UPDATE late SET v = 'last words'; DROP TABLE late");
    shop_catch_up(&s);
    assert_true(late->dropped);
    shop_sql(&s, "CREATE TABLE late(id INTEGER PRIMARY KEY, v, w); INSERT INTO late VALUES (9, 'again', 1)");
    check(&s);
    late = rec_of(&s.rec, "late");
    assert_false(late->dropped);
    assert_int_equal(late->n, 1);
    shop_close(&s);
}

/* Dropped while the stream was down: told when it comes back. */
static void test_dropped_while_down(void **state)
{
    (void)state;
    struct shop s;
    shop_open(&s, "CREATE TABLE t(id INTEGER PRIMARY KEY, a); CREATE TABLE keep(id INTEGER PRIMARY KEY)");
    shop_mirror(&s);
    check(&s);
    dm_source_sqlite.stream_close(s.stream);
    s.stream = NULL;
    shop_sql(&s, "DROP TABLE t; INSERT INTO keep VALUES (1)");
    must(dm_source_sqlite.stream_open(s.source, s.rec.position, &s.stream, &must_error));
    check(&s);
    assert_true(rec_of(&s.rec, "t")->dropped);
    shop_close(&s);
}

/* Capture does not get in the way of the application's own ALTER TABLE, with images neither. */
static void test_history(void **state)
{
    (void)state;
    struct shop s;
    shop_open(
        &s,
        "CREATE TABLE t(id INTEGER PRIMARY KEY, a TEXT, b INT UNIQUE); INSERT INTO t VALUES (1, 'one', 1)");
    s.config.history = true;
    shop_mirror(&s);
    check(&s);
    /* every state within one unit is told */
    shop_sql(&s, "BEGIN; INSERT INTO t VALUES (2, 'x', 2); UPDATE t SET a = 'y' WHERE id = 2; UPDATE t SET a "
                 "= 'z' WHERE id = 2; DELETE FROM t WHERE id = 1; COMMIT");
    check(&s);
    assert_string_equal(rec_of(&s.rec, "t")->order, "I2 U2 U2 D1 ");
    /* a row pushed out by REPLACE has no image; its key is looked up */
    shop_sql(&s, "REPLACE INTO t VALUES (3, 'w', 2)");
    check(&s);
    assert_string_equal(rec_of(&s.rec, "t")->order, "I2 U2 U2 D1 I3 D2 ");
    shop_sql(&s, "ALTER TABLE t DROP COLUMN a; UPDATE t SET b = 30; ALTER TABLE t ADD COLUMN n TEXT; UPDATE "
                 "t SET n = 'new'; ALTER TABLE t RENAME COLUMN n TO m; UPDATE t SET m = 'newer'");
    check(&s);
    shop_sql(&s, "UPDATE t SET m = 'newest', id = 4; UPDATE t SET m = NULL");
    check(&s);
    const char *order = rec_of(&s.rec, "t")->order;
    assert_string_equal(order + strlen(order) - strlen("D3 U4 U4 "), "D3 U4 U4 ");
    shop_sql(&s, "CREATE TRIGGER again AFTER UPDATE OF m ON t BEGIN UPDATE t SET b = b + 1 WHERE id = "
                 "NEW.id; END; UPDATE t SET m = 'by trigger'");
    check(&s);
    /* and when history is switched off again */
    s.config.history = false;
    shop_restart(&s);
    shop_sql(&s, "UPDATE t SET m = 'quiet'");
    check(&s);
    shop_close(&s);
}

static void test_append_only(void **state)
{
    (void)state;
    struct shop s;
    shop_open(&s, "CREATE TABLE log(at TEXT, what TEXT); INSERT INTO log VALUES ('1', 'copied')");
    s.tables[0].append_only = true;
    shop_mirror(&s);
    shop_sql(&s, "BEGIN; INSERT INTO log VALUES ('2', 'a'), ('2', 'a'); UPDATE log SET what = 'b' WHERE at = "
                 "'2'; DELETE FROM log; COMMIT");
    shop_catch_up(&s);
    struct rec_table *t = rec_of(&s.rec, "log");
    assert_int_equal(t->schema->n_keys, 0);
    assert_int_equal(t->inserts, 2);
    assert_int_equal(t->updates, 2);
    assert_int_equal(t->deletes, 0);
    shop_close(&s);
}

static void test_check(void **state)
{
    (void)state;
    struct shop s;
    shop_open(&s,
              "PRAGMA journal_mode = DELETE; CREATE TABLE t(id INTEGER PRIMARY KEY); CREATE TABLE bad(x)");
    struct dm_check_list list = {0};
    struct dm_source_start start = {.copies = true};
    struct dm_table_list tables = {0};
    must(dm_source_sqlite.check(s.source, &start, &tables, &list, &must_error));
    bool journal = false, bad = false;
    for (size_t i = 0; i < list.n; i++) {
        journal = journal || (list.checks[i].result == DM_CHECK_WARN &&
                              strstr(list.checks[i].what, "WAL mode") != NULL && list.checks[i].hint != NULL);
        bad = bad || (list.checks[i].result == DM_CHECK_REFUSED &&
                      strstr(list.checks[i].what, "bad") != NULL && list.checks[i].hint != NULL);
    }
    assert_true(journal);
    assert_true(bad);
    dm_check_list_release(&list);
    /* capture works in this mode too */
    shop_mirror(&s);
    shop_sql(&s, "INSERT INTO t VALUES (1), (2); DELETE FROM t WHERE id = 1");
    check(&s);
    assert_int_equal(rec_of(&s.rec, "t")->n, 1);
    shop_close(&s);
}

static void test_bad_files(void **state)
{
    (void)state;
    struct dm_source *source = NULL;
    struct dm_error err = {0};
    struct dm_source_config config = {.name = (char *)(uintptr_t) "shop",
                                      .path = (char *)(uintptr_t) "/nonexistent/shop.db"};
    assert_int_equal(dm_source_sqlite.open(&config, &source, &err), DM_FAIL);
    assert_int_equal(err.class, DM_ERROR_CONFIG);
    assert_non_null(strstr(err.message, "/nonexistent/shop.db"));
    char path[] = "/tmp/dm-not-a-database-XXXXXX";
    int fd = mkstemp(path);
    assert_true(write(fd,
                      "this is a text, and not a database at all, though it is longer than a header of one "
                      "hundred bytes would have to be",
                      113) > 0);
    (void)close(fd);
    config.path = path;
    assert_int_equal(dm_source_sqlite.open(&config, &source, &err), DM_FAIL);
    assert_int_equal(err.class, DM_ERROR_CONFIG);
    (void)unlink(path);
}

/* The file is moved away and another put in its place while the stream runs. */
static void test_file_replaced(void **state)
{
    (void)state;
    struct shop s;
    char other[160];
    shop_open(&s, "CREATE TABLE t(id INTEGER PRIMARY KEY)");
    shop_mirror(&s);
    shop_sql(&s, "INSERT INTO t VALUES (1)");
    check(&s);
    (void)snprintf(other, sizeof other, "%s/other.db", s.folder);
    assert_int_equal(rename(s.path, other), 0);
    FILE *f = fopen(s.path, "w");
    assert_non_null(f);
    (void)fclose(f);
    assert_int_equal(dm_source_sqlite.stream_poll(s.stream, &s.rec.sink, 0, &must_error), DM_FAIL);
    assert_int_equal(must_error.class, DM_ERROR_TRANSIENT);
    shop_close(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_discovery),
        cmocka_unit_test(test_configuration),
        cmocka_unit_test(test_alter),
        cmocka_unit_test(test_alter_while_down),
        cmocka_unit_test(test_column_numbers),
        cmocka_unit_test(test_tables_come_and_go),
        cmocka_unit_test(test_dropped_while_down),
        cmocka_unit_test(test_history),
        cmocka_unit_test(test_append_only),
        cmocka_unit_test(test_check),
        cmocka_unit_test(test_bad_files),
        cmocka_unit_test(test_file_replaced),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
