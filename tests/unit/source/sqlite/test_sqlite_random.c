/* A randomised workload of several writer threads, schema changes and restarts between them, against a
 * stream that runs all the while. What was replayed must equal the tables at the end, and a sum moved
 * between two tables must be whole after every unit. The seed is printed; DM_SEED repeats a run,
 * DM_SQLITE_SECONDS makes it longer. */
#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

#include "recorder.h"

enum { writers = 3, accounts = 20, bank = 1000 };

static const char schema[] =
    "CREATE TABLE checking(id INTEGER PRIMARY KEY, amount INT); CREATE TABLE savings(id INTEGER PRIMARY KEY, "
    "amount INT);"
    "CREATE TABLE plain(id INTEGER PRIMARY KEY, u INT UNIQUE, t TEXT, v, n INT DEFAULT 0);"
    "CREATE UNIQUE INDEX plain_tn ON plain(t COLLATE NOCASE, n) WHERE n > 2;"
    "CREATE TABLE text_key(k TEXT COLLATE NOCASE PRIMARY KEY, v INT, w INT UNIQUE);"
    "CREATE TABLE two(a INT, b TEXT, c, PRIMARY KEY (a, b)) WITHOUT ROWID;"
    "CREATE TABLE parent(id INTEGER PRIMARY KEY, x INT);"
    "CREATE TABLE child(id INTEGER PRIMARY KEY, p INT REFERENCES parent(id) ON DELETE CASCADE ON UPDATE "
    "CASCADE, y INT);"
    "CREATE TRIGGER touch AFTER UPDATE OF v ON two BEGIN UPDATE plain SET n = n + 1 WHERE id = NEW.a; END;"
    "CREATE TRIGGER again AFTER UPDATE OF t ON plain WHEN NEW.n < 3 BEGIN UPDATE plain SET v = NEW.t || '!' "
    "WHERE id = NEW.id; END;";

struct writer {
    pthread_t thread;
    const char *path;
    unsigned seed;
    int number;
    atomic_bool *stop;
    unsigned long statements, busy;
};

static unsigned pick(struct writer *w, unsigned below)
{
    return (unsigned)rand_r(&w->seed) % below;
}

static void statement(struct writer *w, char *sql, size_t size)
{
    static const char *const values[] = {
        "NULL", "1", "1.5", "'text'", "x'00ff'", "9223372036854775807", "CAST(x'610062' AS TEXT)", "-1"};
    static const char *const insert[] = {"INSERT OR REPLACE", "INSERT OR IGNORE", "REPLACE"};
    static const char *const update[] = {"UPDATE OR REPLACE", "UPDATE OR IGNORE"};
    static const char *const letters[] = {"a", "A", "b", "B", "c", "C ", "d"};
    unsigned id = pick(w, 30), other = pick(w, 30);
    const char *value = values[pick(w, 8)];
    switch (pick(w, 16)) {
    case 0:
    case 1:
        (void)snprintf(sql, size, "%s INTO plain(id, u, t, v, n) VALUES (%u, %u, '%s', %s, %u)",
                       insert[pick(w, 3)], id, other, letters[pick(w, 7)], value, pick(w, 5));
        break;
    case 2:
        (void)snprintf(sql, size, "%s plain SET u = %u, v = %s WHERE id = %u", update[pick(w, 2)], other,
                       value, id);
        break;
    case 3:
        (void)snprintf(sql, size, "%s plain SET id = %u WHERE id = %u", update[pick(w, 2)], other, id);
        break;
    case 4:
        (void)snprintf(sql, size, "%s plain SET t = '%s', n = %u WHERE id = %u", update[pick(w, 2)],
                       letters[pick(w, 7)], pick(w, 5), id);
        break;
    case 5:
        (void)snprintf(sql, size, "DELETE FROM plain WHERE id BETWEEN %u AND %u", id, id + pick(w, 3));
        break;
    case 6:
    case 7:
        (void)snprintf(sql, size,
                       "INSERT INTO text_key VALUES ('%s', %u, %u) ON CONFLICT (k) DO UPDATE SET k = "
                       "excluded.k, v = v + 1",
                       letters[pick(w, 7)], id, other);
        break;
    case 8:
        (void)snprintf(sql, size, "%s INTO text_key VALUES ('%s', %u, %u)", insert[pick(w, 3)],
                       letters[pick(w, 7)], id, other);
        break;
    case 9:
        (void)snprintf(sql, size, "%s text_key SET k = '%s', w = %u WHERE k = '%s'", update[pick(w, 2)],
                       letters[pick(w, 7)], other, letters[pick(w, 7)]);
        break;
    case 10:
        (void)snprintf(sql, size, "%s INTO two VALUES (%u, '%s', %s)", insert[pick(w, 3)], id,
                       letters[pick(w, 7)], value);
        break;
    case 11:
        (void)snprintf(sql, size, "%s two SET a = %u, c = %s WHERE a = %u", update[pick(w, 2)], other, value,
                       id);
        break;
    case 12:
        (void)snprintf(sql, size,
                       "INSERT OR IGNORE INTO parent(id, x) VALUES (%u, 1); INSERT INTO child(p, y) SELECT "
                       "id, %u FROM parent WHERE id = %u",
                       id, other, id);
        break;
    case 13: (void)snprintf(sql, size, "UPDATE OR IGNORE parent SET id = %u WHERE id = %u", other, id); break;
    case 14: (void)snprintf(sql, size, "DELETE FROM parent WHERE id = %u", id); break;
    default:
        (void)snprintf(
            sql, size,
            "SAVEPOINT s; UPDATE plain SET n = n + 1; DELETE FROM two WHERE a < %u; ROLLBACK TO s; RELEASE s",
            id);
    }
}

/* Failures that belong to the game: constraints, and locks held by the others. */
static bool run(struct writer *w, sqlite3 *db, const char *sql)
{
    int code = sqlite3_exec(db, sql, NULL, NULL, NULL);
    w->statements++;
    w->busy += code == SQLITE_BUSY;
    if (code != SQLITE_OK && code != SQLITE_CONSTRAINT && code != SQLITE_BUSY && code != SQLITE_LOCKED) {
        print_message("writer: %s: %s\n", sql, sqlite3_errmsg(db));
        abort();
    }
    return code == SQLITE_OK;
}

static void *write_on(void *arg)
{
    struct writer *w = arg;
    sqlite3 *db = NULL;
    char sql[512];
    if (sqlite3_open(w->path, &db) != SQLITE_OK)
        abort();
    (void)sqlite3_busy_timeout(db, 10000);
    (void)sqlite3_exec(db, "PRAGMA synchronous = OFF; PRAGMA foreign_keys = ON", NULL, NULL, NULL);
    (void)sqlite3_exec(db,
                       w->number % 2 ? "PRAGMA recursive_triggers = ON" : "PRAGMA recursive_triggers = OFF",
                       NULL, NULL, NULL);
    while (!atomic_load(w->stop)) {
        if (!run(w, db, "BEGIN IMMEDIATE"))
            continue;
        unsigned n = pick(w, 10) == 0 ? 300 : 1 + pick(w, 6);
        for (unsigned i = 0; i < n; i++) {
            statement(w, sql, sizeof sql);
            (void)run(w, db, sql);
        }
        /* Money goes from one table to the other; the sum stays. */
        unsigned amount = pick(w, 50), from = pick(w, accounts), to = pick(w, accounts);
        (void)snprintf(sql, sizeof sql,
                       "UPDATE checking SET amount = amount - %u WHERE id = %u; UPDATE savings SET amount = "
                       "amount + %u WHERE id = %u",
                       amount, from, amount, to);
        (void)run(w, db, sql);
        if (!sqlite3_get_autocommit(db))
            (void)run(w, db, pick(w, 8) == 0 ? "ROLLBACK" : "COMMIT");
        (void)usleep(pick(w, 3000));
    }
    (void)sqlite3_close(db);
    return NULL;
}

static int64_t total;

static void add_amount(const void *node, VISIT visit, int depth)
{
    (void)depth;
    if (visit == postorder || visit == leaf) {
        const struct rec_row *r = *(struct rec_row *const *)node;
        total += dm_column_int64(&r->value->columns[1], 0);
    }
}

static void expect_whole_sum(struct shop *s)
{
    total = 0;
    twalk(rec_of(&s->rec, "checking")->rows, add_amount);
    twalk(rec_of(&s->rec, "savings")->rows, add_amount);
    if (total != bank)
        fail_msg("after unit %u the sum over both tables is %lld, a transaction was split", s->rec.units,
                 (long long)total);
}

/* What a person does to the schema while the shop is open. */
static void change_schema(struct shop *s, unsigned step)
{
    static const char *const changes[] = {
        "ALTER TABLE plain ADD COLUMN extra1 TEXT",
        "CREATE UNIQUE INDEX IF NOT EXISTS two_c ON two(c) WHERE c = 'unique'",
        "ALTER TABLE child ADD COLUMN z INT DEFAULT 3",
        "ALTER TABLE plain RENAME COLUMN extra1 TO extra2",
        "DROP INDEX two_c",
        "ALTER TABLE plain DROP COLUMN extra2",
        "BEGIN; CREATE TABLE parent2(id INTEGER PRIMARY KEY, x INT, q TEXT); INSERT INTO parent2 SELECT id, "
        "x, 'q' FROM parent; DROP TABLE parent;"
        " ALTER TABLE parent2 RENAME TO parent; COMMIT",
    };
    if (step >= sizeof changes / sizeof *changes)
        return;
    char *message = NULL;
    (void)sqlite3_exec(s->db, "PRAGMA foreign_keys = OFF", NULL, NULL, NULL);
    if (sqlite3_exec(s->db, changes[step], NULL, NULL, &message) != SQLITE_OK)
        fail_msg("%s: %s", changes[step], message);
}

static void workload(bool history, bool schema_changes)
{
    const char *given = getenv("DM_SEED"), *seconds = getenv("DM_SQLITE_SECONDS");
    unsigned seed =
        given != NULL ? (unsigned)strtoul(given, NULL, 10) : (unsigned)time(NULL) ^ (unsigned)getpid();
    print_message("DM_SEED=%u history %d schema changes %d\n", seed, history, schema_changes);
    struct shop s;
    char sql[256];
    shop_open(&s, schema);
    (void)snprintf(sql, sizeof sql,
                   "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < %d) INSERT INTO "
                   "checking SELECT i, %d FROM n",
                   accounts - 1, bank / accounts);
    shop_sql(&s, sql);
    shop_sql(&s, "INSERT INTO savings SELECT id, 0 FROM checking");
    s.config.history = history;
    atomic_bool stop = false;
    struct writer w[writers] = {0};
    for (int i = 0; i < writers; i++) {
        w[i] = (struct writer){.path = s.path, .seed = seed * 31 + (unsigned)i, .number = i, .stop = &stop};
        if (i == 0)
            shop_mirror(&s); /* the first writer starts after the copy, so that its triggers are all there */
        assert_int_equal(pthread_create(&w[i].thread, NULL, write_on, &w[i]), 0);
    }
    unsigned choice = seed, steps = 0;
    time_t end = time(NULL) + (seconds != NULL ? atoi(seconds) : 4);
    enum { least_units = 11, more_seconds = 60 }; /* a slow machine gets more time */
    while (time(NULL) < end || (s.rec.units < least_units && time(NULL) < end + more_seconds)) {
        enum dm_status status = dm_source_sqlite.stream_poll(s.stream, &s.rec.sink, 10, &must_error);
        if (status == DM_FAIL)
            fail_msg("poll: %s", must_error.message);
        if (s.rec.open)
            continue;
        expect_whole_sum(&s);
        dm_source_sqlite.stream_ack(s.stream, s.rec.position);
        if ((unsigned)rand_r(&choice) % 40 == 0)
            shop_restart(&s);
        if (schema_changes && (unsigned)rand_r(&choice) % 20 == 0)
            change_schema(&s, steps++);
    }
    atomic_store(&stop, true);
    unsigned long statements = 0, busy = 0;
    for (int i = 0; i < writers; i++) {
        (void)pthread_join(w[i].thread, NULL);
        statements += w[i].statements;
        busy += w[i].busy;
    }
    shop_catch_up(&s);
    expect_whole_sum(&s);
    shop_compare(&s);
    print_message("%lu statements, %lu busy, %u units\n", statements, busy, s.rec.units);
    assert_true(s.rec.units >= least_units);
    shop_close(&s);
}

static void test_random(void **state)
{
    (void)state;
    workload(false, false);
}

static void test_random_schema(void **state)
{
    (void)state;
    workload(false, true);
}

static void test_random_history(void **state)
{
    (void)state;
    workload(true, true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random),
        cmocka_unit_test(test_random_schema),
        cmocka_unit_test(test_random_history),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
