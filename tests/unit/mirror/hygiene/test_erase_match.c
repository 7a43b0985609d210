/* Which rows suppressed keys mean: by the key, by columns that were the key once, and in no case by another column's equal value. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <sqlite3.h>

#include "../../temp_folder.h"
#include "mirror/hygiene/erase_match.h"

#define must(call) \
    do { \
        if ((call) != DM_OK) \
            fail_msg("%s: %s", #call, err.message); \
    } while (0)

enum { dataset = 3, id_field = 1, n_field = 2 };

/* A folder for the secret. */
static const char *lake(void)
{
    static char folder[] = "/tmp/dm-erase-match-XXXXXX";
    static bool made;
    if (!made)
        assert_true(temp_folder_make(folder));
    made = true;
    return folder;
}

/* (id, n) with one of them as key. */
static struct dm_schema *schema_by(uint32_t key)
{
    struct dm_schema *s = dm_schema_new();
    dm_schema_add(s, "id", dm_type_of(DM_INT64))->id = id_field;
    dm_schema_add(s, "n", dm_type_of(DM_INT64))->id = n_field;
    dm_schema_add_key(s, key);
    return s;
}

static struct dm_batch *two_rows(const struct dm_schema *s)
{
    static const int64_t values[2][2] = {{42, 7}, {7, 42}};
    struct dm_batch *b = dm_batch_new(s);
    for (size_t i = 0; i < 2; i++) {
        for (size_t k = 0; k < 2; k++)
            dm_column_append_fixed(&b->columns[k], &values[i][k]);
        dm_batch_end_row(b, DM_OP_COPY);
    }
    return b;
}

/* Which of the two rows are suppressed, as bits. */
static unsigned matched(struct dm_suppression *s, const struct dm_schema *schema)
{
    struct dm_error err = {0};
    struct dm_suppressed *set = dm_suppression_of(s, dataset);
    struct dm_erase_match *match = dm_suppressed_match(set, schema);
    struct dm_batch *b = two_rows(schema);
    must(dm_erase_match_batch(match, b, &err));
    unsigned bits = (dm_erase_match_has(match, 0) ? 1u : 0) | (dm_erase_match_has(match, 1) ? 2u : 0);
    dm_batch_free(b);
    dm_erase_match_free(match);
    dm_suppressed_unref(set);
    return bits;
}

/* The key id 42, in both forms. */
static void suppress(struct dm_suppression *s, const struct dm_schema *by_id)
{
    struct dm_error err = {0};
    struct dm_column_list columns = dm_column_list_of_key(by_id);
    struct dm_schema *key = dm_schema_keys(by_id);
    struct dm_batch *b = dm_batch_new(key);
    int64_t value = 42;
    dm_column_append_fixed(&b->columns[0], &value);
    dm_batch_end_row(b, DM_OP_COPY);
    struct dm_key_list keys = {0};
    struct dm_key_hash plain, *marked = NULL;
    size_t n = 0;
    must(dm_key_list_encode(&keys, b, &err));
    dm_suppression_hash(s, keys.bytes.data, keys.offsets[1], &plain);
    must(dm_erase_hash_tuples(s, &columns, b, &marked, &n, &err));
    assert_int_equal(n, 1);
    dm_suppression_stage(s, dataset, &plain, 1, 1);
    dm_suppression_stage_marked(s, dataset, &columns, marked, n);
    free(marked);
    dm_key_list_release(&keys);
    dm_batch_free(b);
    dm_schema_unref(key);
    dm_column_list_release(&columns);
}

static void test_another_key(void **state)
{
    (void)state;
    struct dm_error err = {0};
    sqlite3 *db = NULL;
    assert_int_equal(sqlite3_open(":memory:", &db), SQLITE_OK);
    struct dm_suppression *s = NULL, *again = NULL;
    struct dm_schema *by_id = schema_by(0), *by_n = schema_by(1);
    must(dm_suppression_open(db, lake(), true, &s, &err));
    assert_int_equal(matched(s, by_id), 0);
    suppress(s, by_id);
    must(dm_suppression_save(s, db, &err));
    dm_suppression_settle(s, true);
    assert_int_equal(matched(s, by_id), 1);
    assert_int_equal(matched(s, by_n), 3); /* before it is said that the key is another one */
    dm_suppression_follow(s, dataset, by_id, by_n);
    assert_int_equal(matched(s, by_n), 1);
    dm_suppression_settle(s, false); /* the commit was given up */
    assert_int_equal(matched(s, by_n), 3);
    dm_suppression_follow(s, dataset, by_id, by_n);
    must(dm_suppression_save(s, db, &err));
    dm_suppression_settle(s, true);
    must(dm_suppression_open(db, lake(), false, &again, &err));
    assert_int_equal(matched(again, by_n), 1);
    assert_int_equal(matched(again, by_id), 1); /* and back */
    dm_suppression_close(again);
    dm_suppression_follow(s, dataset, NULL, by_n); /* its columns have other numbers now */
    must(dm_suppression_save(s, db, &err));
    dm_suppression_settle(s, true);
    assert_int_equal(matched(s, by_n), 0);
    must(dm_suppression_open(db, lake(), false, &again, &err));
    assert_null(dm_suppression_of(again, dataset));
    dm_suppression_close(again);
    dm_suppression_close(s);
    dm_schema_unref(by_id);
    dm_schema_unref(by_n);
    sqlite3_close(db);
}

static void test_a_copy_under_another_key(void **state)
{
    (void)state;
    struct dm_error err = {0};
    sqlite3 *db = NULL;
    assert_int_equal(sqlite3_open(":memory:", &db), SQLITE_OK);
    struct dm_suppression *s = NULL;
    struct dm_schema *by_id = schema_by(0), *by_n = schema_by(1);
    must(dm_suppression_open(db, lake(), true, &s, &err));
    suppress(s, by_id);
    dm_suppression_settle(s, true);
    struct dm_suppressed *set = dm_suppressed_under(dm_suppression_of(s, dataset), by_id, by_n);
    struct dm_batch *b = two_rows(by_n);
    uint32_t selection[2];
    size_t n = 0;
    uint64_t left_out = 0;
    must(dm_suppress_select(set, b, selection, &n, &left_out, &err));
    assert_int_equal(n, 1);
    assert_int_equal(selection[0], 1);
    assert_int_equal(left_out, 1);
    dm_batch_free(b);
    dm_suppressed_unref(set);
    dm_suppression_close(s);
    dm_schema_unref(by_id);
    dm_schema_unref(by_n);
    sqlite3_close(db);
}

static void test_columns_have_to_stay(void **state)
{
    (void)state;
    struct dm_error err = {0};
    sqlite3 *db = NULL;
    assert_int_equal(sqlite3_open(":memory:", &db), SQLITE_OK);
    struct dm_suppression *s = NULL;
    struct dm_schema *by_id = schema_by(0), *by_n = schema_by(1), *without = dm_schema_new();
    dm_schema_add(without, "n", dm_type_of(DM_INT64))->id = n_field;
    dm_schema_add_key(without, 0);
    must(dm_suppression_open(db, lake(), true, &s, &err));
    must(dm_suppression_check(s, dataset, "t", by_id, without, &err)); /* nothing is suppressed */
    suppress(s, by_id);
    dm_suppression_settle(s, true);
    must(dm_suppression_check(s, dataset, "t", by_id, by_n, &err));
    assert_int_equal(dm_suppression_check(s, dataset, "t", by_id, without, &err), DM_FAIL);
    assert_int_equal(err.class, DM_ERROR_CONFIG);
    assert_non_null(strstr(err.message, "\"id\""));
    dm_suppression_close(s);
    dm_schema_unref(by_id);
    dm_schema_unref(by_n);
    dm_schema_unref(without);
    sqlite3_close(db);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_another_key),
                                       cmocka_unit_test(test_a_copy_under_another_key),
                                       cmocka_unit_test(test_columns_have_to_stay)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
