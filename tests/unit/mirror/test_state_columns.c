/* The mirror's tables in a catalog that an older version made: the columns that it lacks are added, what it holds stays. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <sqlite3.h>

#include "mirror/state.h"

static const char old_dm_dataset[] =
    "CREATE TABLE dm_dataset(id INTEGER PRIMARY KEY AUTOINCREMENT, source TEXT NOT NULL, namespace TEXT NOT "
    "NULL,"
    " name TEXT NOT NULL, source_schema TEXT NOT NULL, source_table TEXT NOT NULL, source_id INTEGER NOT "
    "NULL,"
    " state TEXT NOT NULL, reason TEXT, copied_at INTEGER NOT NULL DEFAULT 0, storage INTEGER NOT NULL "
    "DEFAULT 0,"
    " append_only INTEGER NOT NULL DEFAULT 0, received INTEGER NOT NULL DEFAULT 0, inserted INTEGER NOT NULL "
    "DEFAULT 0,"
    " updated INTEGER NOT NULL DEFAULT 0, deleted INTEGER NOT NULL DEFAULT 0, truncated INTEGER NOT NULL "
    "DEFAULT 0,"
    " quarantined INTEGER NOT NULL DEFAULT 0, UNIQUE(namespace, name));"
    "INSERT INTO dm_dataset(source, namespace, name, source_schema, source_table, source_id, state, received)"
    " VALUES('shop', 'shop', 'orders', 'public', 'orders', 9, 'streaming', 42)";

static void test_old_catalog(void **state)
{
    (void)state;
    struct dm_error err = {0};
    sqlite3 *db = NULL;
    assert_int_equal(sqlite3_open(":memory:", &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, old_dm_dataset, NULL, NULL, NULL), SQLITE_OK);
    for (int again = 0; again < 2; again++)
        assert_int_equal(dm_state_create_tables(db, &err), DM_OK);
    struct dm_dataset_states list;
    assert_int_equal(dm_state_datasets(db, NULL, &list, &err), DM_OK);
    assert_int_equal(list.n, 1);
    struct dm_dataset_state *d = &list.items[0];
    assert_string_equal(d->name, "orders");
    assert_int_equal(d->received, 42);
    assert_int_equal(d->stale + d->ties + d->noop_deletes + d->suppressed, 0);
    d->stale = 1;
    d->ties = 2;
    d->noop_deletes = 3;
    d->suppressed = 4;

    assert_int_equal(dm_state_put_dataset(db, d, &err), DM_OK);
    dm_dataset_states_release(&list);
    assert_int_equal(dm_state_datasets(db, "shop", &list, &err), DM_OK);
    d = &list.items[0];
    assert_int_equal(d->stale, 1);
    assert_int_equal(d->ties, 2);
    assert_int_equal(d->noop_deletes, 3);
    assert_int_equal(d->suppressed, 4);

    assert_int_equal(d->received, 42);
    dm_dataset_states_release(&list);
    sqlite3_close(db);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_old_catalog)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
