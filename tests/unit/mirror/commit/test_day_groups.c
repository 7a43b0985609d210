/* Rows of a batch by day: ascending days, the order given within a day, nulls in a group of their own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "column/day.h"
#include "mirror/commit/day_groups.h"

#define DAY INT64_C(86400000000)

static void rows_are_ordered_by_day(void **state)
{
    (void)state;
    struct dm_column c;
    const int64_t times[] = {2 * DAY, 5, -1, 2 * DAY + 1, 4, 3};
    dm_column_init(&c, dm_type_of(DM_TIMESTAMP));
    for (size_t i = 0; i < 6; i++)
        dm_column_append_fixed(&c, &times[i]);
    dm_column_append_null(&c);
    const uint32_t rows[] = {0, 1, 2, 3, 5, 6}; /* row 4 is not asked for */
    struct dm_day_groups g;
    dm_day_groups_init(&g, &c, rows, 6);
    const uint32_t wanted[] = {6, 2, 1, 5, 0, 3};
    assert_memory_equal(g.rows, wanted, sizeof wanted);
    const size_t ends[] = {1, 2, 4, 6};
    size_t from = 0;
    for (size_t i = 0; i < 4; i++) {
        size_t end = dm_day_groups_end(&g, from);
        assert_int_equal(end, ends[i]);
        from = end;
    }
    assert_int_equal(g.days[0], DM_NO_DAY);
    assert_int_equal(g.days[1], -1);
    dm_day_groups_release(&g);
    dm_day_groups_init(&g, &c, rows, 0);
    assert_int_equal(g.n, 0);
    dm_day_groups_release(&g);
    dm_column_release(&c);
}

static void days_of_nanoseconds(void **state)
{
    (void)state;
    struct dm_column c;
    const int64_t times[] = {1000 * DAY, 1000 * DAY - 1};
    const uint32_t rows[] = {0, 1};
    dm_column_init(&c, dm_type_of(DM_TIMESTAMP_NS));
    for (size_t i = 0; i < 2; i++)
        dm_column_append_fixed(&c, &times[i]);
    struct dm_day_groups g;
    dm_day_groups_init(&g, &c, rows, 2);
    assert_int_equal(g.rows[0], 1);
    assert_int_equal(g.days[0], 0);
    assert_int_equal(g.days[1], 1);
    dm_day_groups_release(&g);
    dm_column_release(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(rows_are_ordered_by_day),
                                       cmocka_unit_test(days_of_nanoseconds)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
