/* Which tables stand for many-to-many relationships, and what their views are called. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "mirror/relationship/junction.h"

static struct dm_relational_schema *add(struct dm_relational_schemas *all, const char *name, const char *a,
                                        const char *b, const char *c)
{
    struct dm_relational_schema *s = dm_relational_schema_new(name);
    const char *keys[] = {a, b, c};
    for (size_t i = 0; i < 3 && keys[i] != NULL; i++) {
        dm_relational_schema_add(s, keys[i], dm_type_of(DM_INT64))->required = true;
        dm_names_add(&s->key, keys[i]);
    }
    dm_relational_schemas_add(all, s);
    return s;
}

static void relate(struct dm_relational_schema *s, const char *target, const char *a, const char *b)
{
    struct dm_relationship *r = dm_relational_schema_relate(s, target);
    r->cardinality = DM_MANY_TO_ONE;
    dm_names_add(&r->columns, a);
    if (b != NULL)
        dm_names_add(&r->columns, b);
}

static void two_references_are_a_junction(void **state)
{
    (void)state;
    struct dm_relational_schemas all = {0};
    add(&all, "school.students", "id", NULL, NULL);
    add(&all, "school.courses", "id", NULL, NULL);
    struct dm_relational_schema *s = add(&all, "school.enrolments", "student_id", "course_id", NULL);
    relate(s, "school.courses", "course_id",
           NULL); /* the key's order counts, not that of the relationships */
    relate(s, "school.students", "student_id", NULL);
    struct dm_junctions found;
    dm_junctions_find(&all, &found);
    assert_int_equal(found.n, 1);
    assert_ptr_equal(found.items[0].schema, s);
    assert_string_equal(found.items[0].left_parent->name, "school.students");
    assert_string_equal(found.items[0].right_parent->name, "school.courses");
    assert_string_equal(found.items[0].view, "students__courses");
    dm_junctions_release(&found);
    dm_relational_schemas_release(&all);
}

static void composite_references_share_the_key(void **state)
{
    (void)state;
    struct dm_relational_schemas all = {0};
    add(&all, "shop.products", "id", NULL, NULL);
    add(&all, "shop.orders", "region", "number", NULL);
    struct dm_relational_schema *s = add(&all, "shop.lines", "region", "number", "product_id");
    relate(s, "shop.orders", "region", "number");
    relate(s, "shop.products", "product_id", NULL);
    struct dm_junctions found;
    dm_junctions_find(&all, &found);
    assert_int_equal(found.n, 1);
    assert_string_equal(found.items[0].view, "orders__products");
    dm_junctions_release(&found);
    dm_relational_schemas_release(&all);
}

static void what_is_none(void **state)
{
    (void)state;
    struct dm_relational_schemas all = {0};
    add(&all, "a", "id", NULL, NULL);
    add(&all, "b", "id", NULL, NULL);
    /* the key has a column of its own */
    struct dm_relational_schema *s = add(&all, "dated", "a_id", "b_id", "day");
    relate(s, "default.a", "a_id", NULL);
    relate(s, "default.b", "b_id", NULL);
    /* a reference beside the key */
    s = add(&all, "beside", "a_id", "n", NULL);
    dm_relational_schema_add(s, "b_id", dm_type_of(DM_INT64));
    relate(s, "default.a", "a_id", NULL);
    relate(s, "default.b", "b_id", NULL);
    /* two references that share a column of the key */
    s = add(&all, "shared", "a_id", "b_id", NULL);
    relate(s, "default.a", "a_id", "b_id");
    relate(s, "default.b", "b_id", NULL);
    /* one reference twice */
    s = add(&all, "twice", "a_id", "n", NULL);
    relate(s, "default.a", "a_id", NULL);
    relate(s, "default.b", "a_id", NULL);
    /* a parent that nobody knows */
    s = add(&all, "elsewhere", "a_id", "b_id", NULL);
    relate(s, "default.a", "a_id", NULL);
    relate(s, "default.nobody", "b_id", NULL);
    struct dm_junctions found;
    dm_junctions_find(&all, &found);
    assert_int_equal(found.n, 0);
    dm_junctions_release(&found);
    dm_relational_schemas_release(&all);
}

static void names_that_are_taken(void **state)
{
    (void)state;
    struct dm_relational_schemas all = {0};
    add(&all, "s.users", "id", NULL, NULL);
    add(&all, "s.groups", "id", NULL, NULL);
    add(&all, "s.history", "id", NULL, NULL);
    add(&all, "s.users__groups", "id", NULL, NULL);
    struct dm_relational_schema *s = add(&all, "s.members", "user_id", "group_id", NULL);
    relate(s, "s.users", "user_id", NULL);
    relate(s, "s.groups", "group_id", NULL);
    /* two junctions of the same parents */
    s = add(&all, "s.follows", "follower_id", "followee_id", NULL);
    relate(s, "s.users", "follower_id", NULL);
    relate(s, "s.users", "followee_id", NULL);
    s = add(&all, "s.blocks", "by_id", "whom_id", NULL);
    relate(s, "s.users", "by_id", NULL);
    relate(s, "s.users", "whom_id", NULL);
    /* users__history is the history of users */
    s = add(&all, "s.seen", "user_id", "history_id", NULL);
    relate(s, "s.users", "user_id", NULL);
    relate(s, "s.history", "history_id", NULL);
    struct dm_junctions found;
    dm_junctions_find(&all, &found);
    assert_int_equal(found.n, 4);
    assert_string_equal(found.items[0].view, "users__groups__members");
    assert_string_equal(found.items[1].view, "users__users__follows");
    assert_string_equal(found.items[2].view, "users__users__blocks");
    assert_string_equal(found.items[3].view, "users__history__seen");
    dm_junctions_release(&found);
    dm_relational_schemas_release(&all);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_references_are_a_junction),
        cmocka_unit_test(composite_references_share_the_key),
        cmocka_unit_test(what_is_none),
        cmocka_unit_test(names_that_are_taken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
