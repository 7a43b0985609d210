/* Columns of a message found in a catalog that has moved on. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the four above it */
#include <cmocka.h>

#include "source/postgres/pg_align.h"

#define INT 23
#define TEXT 25
#define COUNT(a) (sizeof(a) / sizeof *(a))

static void test_nothing_changed(void **state)
{
    (void)state;
    const struct pg_message_column m[] = {{"id", INT, -1, true}, {"a", TEXT, -1, false}};
    const struct pg_attribute now[] = {{1, "id", NULL, INT, 0, false}, {2, "a", NULL, TEXT, 0, false}};
    int32_t out[2];
    assert_true(pg_align(m, COUNT(m), now, COUNT(now), false, out));
    assert_int_equal(out[0], 1);
    assert_int_equal(out[1], 2);
}

/* id, a, b as they were; since then a became z, b was dropped and c was added. */
static void test_far_ahead(void **state)
{
    (void)state;
    const struct pg_message_column m[] = {
        {"id", INT, -1, true}, {"a", TEXT, -1, false}, {"b", INT, -1, false}};
    const struct pg_attribute now[] = {{1, "id", NULL, INT, 0, false},
                                       {2, "z", NULL, TEXT, 0, true},
                                       {3, NULL, NULL, 0, 0, true},
                                       {4, "c", NULL, INT, 0, true}};
    int32_t out[3];
    assert_true(pg_align(m, COUNT(m), now, COUNT(now), false, out));
    assert_int_equal(out[1], 2);
    assert_int_equal(out[2], 3);
    assert_true(pg_align_guessed(m, COUNT(m), now, COUNT(now), out)); /* b could be the new one as well */
}

/* d was renamed since, and no other attribute changed: by its place it can only be that one. */
static void test_one_renamed_is_no_guess(void **state)
{
    (void)state;
    const struct pg_message_column m[] = {
        {"id", INT, -1, true}, {"a", TEXT, -1, false}, {"d", INT, -1, false}};
    const struct pg_attribute now[] = {{1, "id", "id", INT, INT, false},
                                       {2, "a", "a", TEXT, TEXT, false},
                                       {3, NULL, NULL, 0, 0, false},
                                       {4, "e", NULL, INT, 0, true}};
    int32_t out[3];
    assert_true(pg_align(m, COUNT(m), now, COUNT(now), false, out));
    assert_int_equal(out[2], 4);
    assert_false(pg_align_guessed(m, COUNT(m), now, COUNT(now), out));
}

/* The last column of the message was renamed since, or it is the one beside it that was added and dropped since. */
static void test_renamed_beside_dropped_is_a_guess(void **state)
{
    (void)state;
    const struct pg_message_column m[] = {{"id", INT, -1, true}, {"d", INT, -1, false}};
    const struct pg_attribute now[] = {
        {1, "id", "id", INT, INT, false}, {2, "e", NULL, INT, 0, true}, {3, NULL, NULL, 0, 0, true}};
    int32_t out[2];
    assert_true(pg_align(m, COUNT(m), now, COUNT(now), false, out));
    assert_true(pg_align_guessed(m, COUNT(m), now, COUNT(now), out));
    /* with the name it was known by before, it is none */
    const struct pg_attribute known[] = {
        {1, "id", "id", INT, INT, false}, {2, "e", "d", INT, INT, true}, {3, NULL, NULL, 0, 0, true}};
    assert_true(pg_align(m, COUNT(m), known, COUNT(known), false, out));
    assert_int_equal(out[1], 2);
    assert_false(pg_align_guessed(m, COUNT(m), known, COUNT(known), out));
}

/* What was dropped before the message is not in it. */
static void test_dropped_long_ago(void **state)
{
    (void)state;
    const struct pg_message_column m[] = {{"id", INT, -1, true}, {"x", INT, -1, false}};
    const struct pg_attribute now[] = {
        {1, "id", NULL, INT, 0, false}, {2, NULL, NULL, 0, 0, false}, {3, "y", NULL, INT, 0, true}};
    int32_t out[2];
    assert_true(pg_align(m, COUNT(m), now, COUNT(now), false, out));
    assert_int_equal(out[1], 3);
}

/* a → c, then b → a: the name as it was before wins over the name of today. */
static void test_names_moved_on(void **state)
{
    (void)state;
    const struct pg_message_column m[] = {
        {"id", INT, -1, true}, {"a", INT, -1, false}, {"b", INT, -1, false}};
    const struct pg_attribute now[] = {
        {1, "id", "id", INT, INT, false}, {2, "c", "a", INT, INT, true}, {3, "a", "b", INT, INT, true}};
    int32_t out[3];
    assert_true(pg_align(m, COUNT(m), now, COUNT(now), false, out));
    assert_int_equal(out[1], 2);
    assert_int_equal(out[2], 3);
}

/* A column of a transaction that is still running has no number yet; it must not take the one of a dropped column. */
static void test_uncommitted(void **state)
{
    (void)state;
    const struct pg_message_column m[] = {
        {"id", INT, -1, true}, {"a", TEXT, -1, false}, {"new", INT, -1, false}};
    const struct pg_attribute now[] = {
        {1, "id", "id", INT, INT, false}, {2, "a", "a", TEXT, TEXT, false}, {3, NULL, NULL, 0, 0, false}};
    int32_t out[3];
    assert_true(pg_align(m, COUNT(m), now, COUNT(now), true, out));
    assert_int_equal(out[2], 4);
    assert_false(pg_align(m, COUNT(m), now, 2, false, out));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing_changed),
        cmocka_unit_test(test_far_ahead),
        cmocka_unit_test(test_dropped_long_ago),
        cmocka_unit_test(test_names_moved_on),
        cmocka_unit_test(test_uncommitted),
        cmocka_unit_test(test_one_renamed_is_no_guess),
        cmocka_unit_test(test_renamed_beside_dropped_is_a_guess),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
