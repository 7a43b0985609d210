/* Suppressed keys: the sets, what of them is durable, and where rows come in: changes, copies, bad rows. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <sqlite3.h>
#include <xxhash.h>

#include "../../temp_folder.h"
#include "base/file.h"
#include "base/memory.h"
#include "engine/parquet_read.h"
#include "mirror/commit/commit_unit.h"
#include "mirror/hygiene/lake_secret.h"
#include "mirror/hygiene/suppression.h"
#include "mirror/hygiene/work_order.h"

#define must(call) \
    do { \
        if ((call) != DM_OK) \
            fail_msg("%s: %s", #call, err.message); \
    } while (0)

static sqlite3 *memory_db(void)
{
    sqlite3 *db = NULL;
    assert_int_equal(sqlite3_open(":memory:", &db), SQLITE_OK);
    return db;
}

/* The folder of this test's lake. */
static const char *lake(void)
{
    static char folder[] = "/tmp/dm-suppression-XXXXXX";
    static const char *made;
    if (made == NULL) {
        assert_true(temp_folder_make(folder));
        made = folder;
    }
    return made;
}

static struct dm_key_hash hash_of(struct dm_suppression *s, const char *key)
{
    struct dm_key_hash h;
    dm_suppression_hash(s, (const uint8_t *)key, strlen(key), &h);
    return h;
}

static bool has(struct dm_suppression *s, uint32_t dataset, const char *key)
{
    struct dm_suppressed *set = dm_suppression_of(s, dataset);
    bool is = dm_suppressed_has(set, (const uint8_t *)key, strlen(key));
    dm_suppressed_unref(set);
    return is;
}

static void stage_one(struct dm_suppression *s, uint32_t dataset, const char *key)
{
    struct dm_key_hash h = hash_of(s, key);
    dm_suppression_stage(s, dataset, &h, 1, 1);
}

static void test_durable_when_committed_only(void **state)
{
    (void)state;
    struct dm_error err = {0};
    sqlite3 *db = memory_db();
    struct dm_suppression *s = NULL, *again = NULL;
    must(dm_suppression_open(db, lake(), false, &s, &err)); /* a lake of an older version, read only */
    assert_null(dm_suppression_of(s, 1));
    dm_suppression_close(s);
    must(dm_suppression_open(db, lake(), true, &s, &err));
    assert_null(dm_suppression_of(s, 1));
    assert_int_equal(dm_suppressed_count(NULL), 0);
    stage_one(s, 1, "alice");
    assert_true(has(s, 1, "alice")); /* in force at once, for the commit itself */
    must(dm_suppression_save(s, db, &err));
    assert_int_equal(sqlite3_exec(db, "DELETE FROM dm_suppression", NULL, NULL, NULL),
                     SQLITE_OK); /* rolled back */
    dm_suppression_settle(s, false);
    assert_false(has(s, 1, "alice"));
    assert_null(dm_suppression_of(s, 1));
    stage_one(s, 1, "bob");
    stage_one(s, 1, "carol");
    stage_one(s, 2, "bob");
    must(dm_suppression_save(s, db, &err));
    dm_suppression_settle(s, true);
    dm_suppression_settle(s, false); /* nothing is staged any more */
    must(dm_suppression_open(db, lake(), false, &again, &err));
    assert_true(has(again, 1, "bob") && has(again, 1, "carol") && has(again, 2, "bob"));
    assert_false(has(again, 1, "alice") || has(again, 2, "carol") || has(again, 3, "bob"));
    dm_suppression_close(again);
    struct dm_key_hash h = hash_of(s, "bob");
    dm_suppression_stage_removal(s, 1, &h, 1);
    must(dm_suppression_save(s, db, &err));
    dm_suppression_settle(s, true);
    must(dm_suppression_open(db, lake(), true, &again, &err)); /* the secret is made once */
    assert_false(has(again, 1, "bob"));
    assert_true(has(again, 1, "carol") && has(again, 2, "bob"));
    dm_suppression_close(again);
    dm_suppression_close(s);
    sqlite3_close(db);
}

/* A lake of an older version: XXH3 with a seed in the catalog. */
static void make_old(sqlite3 *db, const char *const *keys, size_t n)
{
    uint8_t seed[DM_OLD_SEED_BYTES];
    sqlite3_stmt *st;
    for (size_t i = 0; i < sizeof seed; i++)
        seed[i] = (uint8_t)(i * 37 + 11);
    assert_int_equal(
        sqlite3_exec(
            db,
            "CREATE TABLE dm_suppression(dataset INTEGER NOT NULL, hash BLOB NOT NULL, work_order INTEGER "
            "NOT "
            "NULL, time_us INTEGER NOT NULL, PRIMARY KEY(dataset, hash)) WITHOUT ROWID;"
            "CREATE TABLE dm_work_order_key(work_order INTEGER NOT NULL, dataset INTEGER NOT NULL, hash BLOB "
            "NOT NULL, PRIMARY KEY(work_order, dataset, hash)) WITHOUT ROWID;"
            "CREATE TABLE dm_suppression_secret(id INTEGER PRIMARY KEY, secret BLOB NOT NULL)",
            NULL, NULL, NULL),
        SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db, "INSERT INTO dm_suppression_secret VALUES(1, ?)", -1, &st, NULL),
                     SQLITE_OK);
    sqlite3_bind_blob(st, 1, seed, sizeof seed, SQLITE_STATIC);
    assert_int_equal(sqlite3_step(st), SQLITE_DONE);
    sqlite3_finalize(st);
    static const char *const inserts[] = {"INSERT INTO dm_suppression VALUES(1, ?, 1, 1)",
                                          "INSERT INTO dm_work_order_key VALUES(1, 1, ?)"};
    for (size_t i = 0; i < 2 * n; i++) {
        XXH128_canonical_t h;
        XXH128_canonicalFromHash(
            &h, XXH3_128bits_withSecret(keys[i / 2], strlen(keys[i / 2]), seed, sizeof seed));
        assert_int_equal(sqlite3_prepare_v2(db, inserts[i % 2], -1, &st, NULL), SQLITE_OK);
        sqlite3_bind_blob(st, 1, h.digest, sizeof h.digest, SQLITE_STATIC);
        assert_int_equal(sqlite3_step(st), SQLITE_DONE);
        sqlite3_finalize(st);
    }
}

static int count(sqlite3 *db, const char *sql)
{
    sqlite3_stmt *st;
    assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &st, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(st), SQLITE_ROW);
    int n = sqlite3_column_int(st, 0);
    sqlite3_finalize(st);
    return n;
}

static void test_lakes_of_older_versions_are_converted(void **state)
{
    (void)state;
    struct dm_error err = {0};
    static const char *const keys[] = {"alice", "a key of more than sixteen bytes", "x"};
    enum { n = 3 };
    char folder[] = "/tmp/dm-suppression-XXXXXX";
    assert_true(temp_folder_make(folder));
    sqlite3 *db = memory_db();
    struct dm_suppression *s = NULL;
    make_old(db, keys, n);
    must(dm_suppression_open(db, folder, false, &s, &err)); /* reading: as it is */
    for (int i = 0; i < n; i++)
        assert_true(has(s, 1, keys[i]));
    dm_suppression_close(s);
    for (int again = 0; again < 2; again++) {
        must(dm_suppression_open(db, folder, true, &s, &err));
        for (int i = 0; i < n; i++) {
            struct dm_key_hash h = hash_of(s, keys[i]), *of_order = NULL;
            size_t m = 0;
            assert_true(has(s, 1, keys[i]));
            must(dm_work_order_keys(db, 1, 1, &of_order, &m, &err));
            bool found = false;
            for (size_t k = 0; k < m; k++)
                found |= memcmp(&of_order[k], &h, sizeof h) == 0;
            assert_true(found && m == n);
            free(of_order);
        }
        assert_false(has(s, 1, "bob"));
        stage_one(s, 1, again == 0 ? "carol" : "dave"); /* and goes on so */
        must(dm_suppression_save(s, db, &err));
        dm_suppression_settle(s, true);
        dm_suppression_close(s);
    }
    assert_int_equal(count(db, "SELECT count(*) FROM sqlite_master WHERE name = 'dm_suppression_secret'"), 0);
    assert_int_equal(count(db, "SELECT count(*) FROM dm_suppression"), n + 2);
    must(dm_suppression_open(db, folder, false, &s, &err));
    assert_true(has(s, 1, "carol") && has(s, 1, "dave") && has(s, 1, "alice") && !has(s, 1, "bob"));
    dm_suppression_close(s);
    sqlite3_close(db);
}

static void test_many_keys_and_generations(void **state)
{
    (void)state;
    enum { n = 5000 };
    struct dm_error err = {0};
    sqlite3 *db = memory_db();
    struct dm_suppression *s = NULL;
    must(dm_suppression_open(db, lake(), true, &s, &err));
    struct dm_key_hash *h = dm_xalloc(n * sizeof *h);
    char key[32];
    for (int i = 0; i < n; i++) {
        (void)snprintf(key, sizeof key, "key %d", i);
        h[i] = hash_of(s, key);
    }
    dm_suppression_stage(s, 9, h, n, 4);
    must(dm_suppression_save(s, db, &err));
    dm_suppression_settle(s, true);
    struct dm_suppressed *old = dm_suppression_of(s, 9);
    assert_int_equal(dm_suppressed_count(old), n);
    dm_suppression_stage(s, 9, h, n, 5); /* all there already */
    must(dm_suppression_save(s, db, &err));
    dm_suppression_settle(s, true);
    struct dm_suppressed *now = dm_suppression_of(s, 9);
    assert_int_equal(dm_suppressed_count(now), n);
    assert_int_not_equal(dm_suppressed_generation(old), dm_suppressed_generation(now));
    size_t wrong = 0;
    for (int i = 0; i < n; i++) {
        (void)snprintf(key, sizeof key, "key %d", i);
        wrong += !dm_suppressed_has(old, (const uint8_t *)key, strlen(key));
        (void)snprintf(key, sizeof key, "kex %d", i);
        wrong += dm_suppressed_has(now, (const uint8_t *)key, strlen(key));
    }
    assert_int_equal(wrong, 0);
    assert_false(dm_suppressed_has(now, (const uint8_t *)"", 0));
    dm_suppressed_unref(old);
    dm_suppressed_unref(now);
    free(h);
    dm_suppression_close(s);
    sqlite3_close(db);
}

/* ---- rows ---- */

struct rows {
    struct dm_txn txn;
    struct dm_mirror m;
    struct dm_target t;
    struct dm_schema *schema;
    struct dm_batch *batch;
    sqlite3 *db;
};

static void open_rows(struct rows *r)
{
    struct dm_error err = {0};
    *r = (struct rows){.t = {.state = {.id = 3}}, .db = memory_db()};
    must(dm_suppression_open(r->db, lake(), true, &r->m.suppression, &err));
    r->schema = dm_schema_new();
    struct dm_field *f = dm_schema_add(r->schema, "id", dm_type_of(DM_INT64));
    f->id = 1;
    f->required = true;
    dm_schema_add(r->schema, "name", dm_type_of(DM_STRING))->id = 2;
    dm_schema_add_key(r->schema, 0);
    r->batch = dm_batch_new(r->schema);
}

static void close_rows(struct rows *r)
{
    dm_batch_free(r->batch);
    dm_schema_unref(r->schema);
    dm_suppression_close(r->m.suppression);
    sqlite3_close(r->db);
}

static void add_row(struct rows *r, int64_t id, enum dm_op op)
{
    struct dm_error err = {0};
    dm_column_append_fixed(&r->batch->columns[0], &id);
    must(dm_column_append_bytes(&r->batch->columns[1], "n", 1, &err));
    dm_batch_end_row(r->batch, op);
}

static void suppress(struct rows *r, int64_t id)
{
    struct dm_error err = {0};
    struct dm_batch *b = dm_batch_new(r->schema);
    struct dm_buffer key;
    struct dm_key_hash h;
    dm_buffer_init(&key, 100);
    dm_column_append_fixed(&b->columns[0], &id);
    dm_column_append_null(&b->columns[1]);
    dm_batch_end_row(b, DM_OP_COPY);
    must(dm_key_encode(b, 0, &key, &err));
    dm_suppression_hash(r->m.suppression, key.data, key.len, &h);
    dm_suppression_stage(r->m.suppression, 3, &h, 1, 1);
    must(dm_suppression_save(r->m.suppression, r->db, &err));
    dm_suppression_settle(r->m.suppression, true);
    dm_buffer_release(&key);
    dm_batch_free(b);
}

static void check_row(const struct dm_batch *b, size_t row, int64_t id, enum dm_op op)
{
    assert_true(row < b->rows);
    assert_int_equal(dm_column_int64(&b->columns[0], row), id);
    assert_int_equal(b->ops[row], op);
}

static void test_changes(void **state)
{
    (void)state;
    struct dm_error err = {0};
    struct rows r;
    struct dm_batch *kept = NULL;
    open_rows(&r);
    add_row(&r, 1, DM_OP_INSERT);
    add_row(&r, 2, DM_OP_UPDATE);
    must(dm_suppress_rows(&r.m, &r.t, &r.txn, r.batch, &kept, &err));
    assert_null(kept); /* no keys */
    suppress(&r, 7);
    must(dm_suppress_rows(&r.m, &r.t, &r.txn, r.batch, &kept, &err));
    assert_null(kept); /* none of these */
    assert_int_equal(r.t.state.received, 0);
    add_row(&r, 7, DM_OP_INSERT);
    add_row(&r, 7, DM_OP_DELETE);
    add_row(&r, 3, DM_OP_DELETE);
    add_row(&r, 7, DM_OP_REKEY); /* takes its suppression along … */
    add_row(&r, 8, DM_OP_UPDATE);
    add_row(&r, 8, DM_OP_UPDATE);
    add_row(&r, 4, DM_OP_REKEY); /* … a row that takes on a suppressed key is gone … */
    add_row(&r, 7, DM_OP_UPDATE);
    add_row(&r, 5, DM_OP_REKEY); /* … and others are as they were */
    add_row(&r, 6, DM_OP_UPDATE);
    must(dm_suppress_rows(&r.m, &r.t, &r.txn, r.batch, &kept, &err));
    assert_non_null(kept);
    assert_int_equal(kept->rows, 6);
    check_row(kept, 0, 1, DM_OP_INSERT);
    check_row(kept, 1, 2, DM_OP_UPDATE);
    check_row(kept, 2, 3, DM_OP_DELETE);
    check_row(kept, 3, 4, DM_OP_DELETE);
    check_row(kept, 4, 5, DM_OP_REKEY);
    check_row(kept, 5, 6, DM_OP_UPDATE);
    assert_int_equal(r.t.state.suppressed, 4); /* 7, 7 → 8, 8, 4 → 7 */
    assert_int_equal(r.t.state.received + kept->rows, r.batch->rows);
    dm_batch_free(kept);
    /* The commit did not come about: 8 is free again. */
    dm_suppression_settle(r.m.suppression, false);
    dm_batch_clear(r.batch);
    add_row(&r, 8, DM_OP_INSERT);
    must(dm_suppress_rows(&r.m, &r.t, &r.txn, r.batch, &kept, &err));
    assert_null(kept);
    close_rows(&r);
}

static void test_bad_rows(void **state)
{
    (void)state;
    struct rows r;
    open_rows(&r);
    suppress(&r, 7);
    struct dm_suppressed *set = dm_suppression_of(r.m.suppression, 3);
    const struct {
        const char *raw, *key;
        bool is;
    } cases[] = {{"{\"id\": 7, \"name\": 3}", NULL, true},
                 {"{\"name\": \"x\", \"i\\u0064\": \"7\"}", NULL, true},
                 {"{\"id\": 8}", "8", false},
                 {"{\"id\": null}", NULL, false},
                 {"{\"id\": 7, \"na", NULL, true}, /* cut */
                 {"7,x,y", "7", true},
                 {"not json", "\"7\"", true},
                 {NULL, "{\"id\": 7}", true},
                 {NULL, "77", false},
                 {NULL, NULL, false},
                 {"[7]", "", false}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        if (dm_suppressed_bad_row(set, r.schema, cases[i].raw, cases[i].key) != cases[i].is)
            fail_msg("case %zu: %s, %s", i, cases[i].raw, cases[i].key);
    assert_false(dm_suppressed_bad_row(NULL, r.schema, "{\"id\": 7}", NULL));
    dm_suppressed_unref(set);
    close_rows(&r);
}

/* ---- a copy ---- */

static uint64_t write_part(struct rows *r, struct dm_copied_table *c, const char *path, int64_t from,
                           int64_t to)
{
    struct dm_error err = {0};
    struct dm_parquet_options options = {.compression = "uncompressed"};
    struct dm_parquet_result result = {0};
    dm_batch_clear(r->batch);
    for (int64_t i = from; i < to; i++)
        add_row(r, i, DM_OP_COPY);
    must(dm_parquet_write_batch(r->m.engine, path, r->schema, &options, r->batch, NULL, 0, &result, &err));
    c->files = dm_xrealloc(c->files, c->n_files + 1, sizeof *c->files);
    c->files[c->n_files++] = (struct dm_copied_file){.path = dm_xstrdup(path), .result = result};
    c->rows += result.rows;
    return result.rows;
}

static enum dm_status sum_rows(void *ctx, const struct dm_batch *batch, const uint32_t *files,
                               const uint32_t *positions, struct dm_error *err)
{
    (void)files;
    (void)positions;
    (void)err;
    for (size_t i = 0; i < batch->rows; i++)
        *(int64_t *)ctx += dm_column_int64(&batch->columns[0], i);
    return DM_OK;
}

static void test_copy_that_began_before(void **state)
{
    (void)state;
    struct dm_error err = {0};
    struct rows r;
    char folder[] = "/tmp/datamirror-suppression-XXXXXX";
    assert_true(temp_folder_make(folder));
    open_rows(&r);
    struct dm_config config = {.compression = (char[]){"uncompressed"}};
    struct dm_engine_options options = {.memory_limit = 128u << 20, .threads = 1, .temp_folder = folder};
    must(dm_engine_open(&options, &r.m.engine, &err));
    r.m.config = &config;
    struct dm_copied_table *c = dm_xzalloc(1, sizeof *c);
    c->schema = dm_schema_ref(r.schema);
    char *paths[3];
    for (int i = 0; i < 3; i++) {
        paths[i] = dm_xasprintf("%s/%d.parquet", folder, i);
        write_part(&r, c, paths[i], i * 100, i * 100 + (i == 1 ? 1 : 100));
    }
    must(dm_suppress_copied(&r.m, &r.t, c, &err)); /* nothing is suppressed */
    assert_int_equal(c->n_files, 3);
    suppress(&r, 7);
    suppress(&r, 100); /* the only row of its file */
    must(dm_suppress_copied(&r.m, &r.t, c, &err));
    assert_int_equal(c->n_files, 2);
    assert_int_equal(c->rows, 199);
    assert_int_equal(r.t.state.suppressed, 2);
    assert_false(dm_file_exists(paths[0]));
    assert_false(dm_file_exists(paths[1]));
    assert_true(dm_file_exists(paths[2])); /* untouched */
    int64_t sum = 0;
    for (size_t i = 0; i < c->n_files; i++) {
        struct dm_scan_file file = {.path = c->files[i].path, .number = 1, .rows = c->files[i].result.rows};
        struct dm_scan_options scan = {0};
        must(dm_parquet_scan(r.m.engine, &file, 1, r.schema, &scan, sum_rows, &sum, &err));
    }
    assert_int_equal(sum, 99 * 100 / 2 - 7 + 200 * 100 + 99 * 100 / 2);
    struct dm_suppressed *set =
        dm_suppression_of(r.m.suppression, 3); /* a copy that knew them is not looked at */
    c->suppression = dm_suppressed_generation(set);
    dm_suppressed_unref(set);
    c->suppressed = 5;
    must(dm_suppress_copied(&r.m, &r.t, c, &err));
    assert_int_equal(r.t.state.suppressed, 7);
    dm_copied_table_free(c);
    for (int i = 0; i < 3; i++)
        free(paths[i]);
    dm_engine_close(r.m.engine);
    close_rows(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_durable_when_committed_only),
        cmocka_unit_test(test_lakes_of_older_versions_are_converted),
        cmocka_unit_test(test_many_keys_and_generations),
        cmocka_unit_test(test_changes),
        cmocka_unit_test(test_bad_rows),
        cmocka_unit_test(test_copy_that_began_before),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
