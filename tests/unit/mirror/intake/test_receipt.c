/* Receipts of requests go after a week, and when there are very many. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>
#include <sqlite3.h>

#include "base/clock.h"
#include "mirror/intake/receipt.h"

static int count(sqlite3 *db, const char *where)
{
    char sql[200];
    sqlite3_stmt *st;
    (void)snprintf(sql, sizeof sql, "SELECT count(*) FROM dm_receipt WHERE %s", where);
    assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &st, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(st), SQLITE_ROW);
    int n = sqlite3_column_int(st, 0);
    sqlite3_finalize(st);
    return n;
}

static void add(sqlite3 *db, const char *kind, int from, int n, int64_t time_us)
{
    char *sql = sqlite3_mprintf("WITH RECURSIVE i(n) AS (SELECT %d UNION ALL SELECT n + 1 FROM i WHERE n < "
                                "%d) INSERT INTO dm_receipt(kind, dataset, key, content, result, time_us) "
                                "SELECT %Q, 'd', n, NULL, '{}', %lld + n FROM i",
                                from, from + n - 1, kind, (long long)time_us);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_free(sql);
}

static void old_and_many(void **state)
{
    (void)state;
    struct dm_error err = {0};
    sqlite3 *db = NULL;
    int64_t now = dm_clock_wall_us(), week = INT64_C(7) * 24 * 3600 * 1000000;
    assert_int_equal(sqlite3_open(":memory:", &db), SQLITE_OK);
    assert_int_equal(dm_receipt_create_table(db, NULL, &err), DM_OK);
    add(db, "request", 0, 10, now - week - 1000000);
    add(db, "request", 100, 10, now - week + 60000000);
    add(db, "file", 0, 10, 0);
    assert_int_equal(dm_receipt_remove_old(db, &err), DM_OK);
    assert_int_equal(count(db, "kind = 'request'"), 10);
    add(db, "request", 1000, DM_RECEIPTS_MAX - 5, now - 2000000);
    assert_int_equal(dm_receipt_remove_old(db, &err), DM_OK);
    assert_int_equal(count(db, "kind = 'request'"), DM_RECEIPTS_MAX);
    assert_int_equal(count(db, "kind = 'request' AND key + 0 < 105"), 0); /* the oldest went */
    assert_int_equal(count(db, "kind = 'file'"), 10);                     /* a file is taken once for ever */
    sqlite3_close(db);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(old_and_many)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
