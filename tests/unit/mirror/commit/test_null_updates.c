/* ignore_null_updates: what a null in an upsert keeps, and where it comes from. */
#include "version_fixture.h"

static struct world *keeping_world(void)
{
    struct world *w = new_world(dm_type_of(DM_INT64));
    w->t->rules->schema->settings.ignore_null_updates = true;
    return w;
}

static void test_without_the_option_a_null_is_a_null(void **state)
{
    (void)state;
    struct world *w = new_world(dm_type_of(DM_INT64));
    COMMIT(UP(1, "a", 1, "one", 1));
    COMMIT(UP(1, "a", 2, NULL, -1));
    expect_rows(w, "1/a - -");
    free_world(w);
}

static void test_stored_values_stay(void **state)
{
    (void)state;
    struct world *w = keeping_world();
    COMMIT(UP(1, "a", 1, "one", 1), UP(1, "b", 1, NULL, 1), UP(2, "c", 1, "see", 1));
    COMMIT(UP(1, "a", 2, NULL, 2), UP(1, "b", 2, NULL, -1), UP(3, "new", 1, NULL, 1));
    expect_rows(w, "1/a one 2; 1/b - 1; 2/c see 1; 3/new - 1");
    COMMIT(UP(1, "a", 3, "three", -1), UP(1, "a", 1, NULL, 9)); /* the second is stale */
    expect_rows(w, "1/a three 2; 1/b - 1; 2/c see 1; 3/new - 1");
    COMMIT(UP(1, "a", 3, NULL, 4)); /* the same version again */
    expect_rows(w, "1/a three 4; 1/b - 1; 2/c see 1; 3/new - 1");
    free_world(w);
}

static void test_a_batch_gives_what_its_rows_give_one_by_one(void **state)
{
    (void)state;
    struct world *w = keeping_world();
    COMMIT(UP(1, "a", 1, "one", 1));
    /* When 3 and 4 come, they are too old to count. */
    COMMIT(UP(1, "a", 2, NULL, 2), UP(1, "a", 5, "five", -1), UP(1, "a", 3, "three", -1),
           UP(1, "a", 4, NULL, 4), UP(1, "a", 0, "zero", 0), DEL(1, "a", 4), UP(1, "a", 6, NULL, -1));
    expect_rows(w, "1/a five 2");
    free_world(w);
}

static void test_a_delete_ends_it(void **state)
{
    (void)state;
    struct world *w = keeping_world();
    COMMIT(UP(1, "a", 1, "one", 1), UP(1, "b", 1, "one", 1));
    COMMIT(DEL(1, "a", 2), DEL(1, "b", 2), UP(1, "b", 3, NULL, 3));
    COMMIT(UP(1, "a", 3, NULL, 3));
    expect_rows(w, "1/a - 3; 1/b - 3");
    COMMIT(UP(1, "c", 7, "dead", 7), DEL(1, "c", 5), UP(1, "c", 3, "old", 3), UP(1, "c", 9, NULL, -1));
    expect_rows(w, "1/a - 3; 1/b - 3; 1/c dead 7");
    free_world(w);
}

/* Values that were left out as unchanged, which does not need the option; nulls are nulls then. */
static void test_unchanged_values(void **state)
{
    (void)state;
    struct world *w = new_world(dm_type_of(DM_INT64));
    COMMIT(UP(1, "a", 1, "one", 1), UP(1, "n", 1, NULL, 1));
    COMMIT(UP(1, "a", 3, "?", 3), UP(1, "a", 2, "two", 2),
           UP(1, "n", 2, "?", -1)); /* by version, not by arrival */
    expect_rows(w, "1/a two 3; 1/n - -");
    COMMIT(UP(1, "a", 2, "?", 9)); /* stale */
    expect_rows(w, "1/a two 3; 1/n - -");
    assert_int_equal(w->a.n_bad, 0);
    /* Nobody has the first one's value, nor that behind the delete. */
    COMMIT(UP(1, "b", 1, "?", 1), UP(1, "b", 2, "b2", 2), UP(1, "b", 3, "?", 3), DEL(1, "a", 4),
           UP(1, "a", 5, "?", 5), UP(1, "c", 1, "?", 1));
    expect_rows(w, "1/b b2 3; 1/n - -");
    assert_int_equal(w->a.n_bad, 3);
    for (size_t i = 0; i < 3; i++)
        assert_string_equal(w->a.bad[i].row.reason, "unchanged_value_unknown");
    free_world(w);
}

/* ---- random ---- */

enum { n_names = 6 };

struct value {
    bool known, live;
    int64_t version, amount;
    const char *note;
};

static void model_batch(struct value *model, const struct change *changes, size_t n, const char (*names)[4])
{
    for (const struct change *c = changes; c < changes + n; c++) {
        int name = 0;
        while (strcmp(names[name], c->name) != 0)
            name++;
        struct value *v = &model[name];
        if (v->known && (c->version < v->version || (c->version == v->version && !v->live)))
            continue;
        bool keeps = v->live;
        v->known = true;
        v->version = c->version;
        v->live = !c->gone;
        if (c->gone)
            continue;
        v->note = c->note == NULL && keeps ? v->note : c->note;
        v->amount = c->amount < 0 && keeps ? v->amount : c->amount;
    }
}

static void test_random(void **state)
{
    (void)state;
    static const char *const notes[] = {"red", "green", "blue", NULL, NULL, NULL};
    static const char names[n_names][4] = {"a", "b", "c", "d", "e", "f"};
    uint64_t random = test_seed();
    for (int round = 0; round < 6; round++) {
        struct world *w = keeping_world();
        struct value model[n_names] = {0};
        for (int commits = 0; commits < 25; commits++) {
            struct change changes[64];
            size_t n = 1 + random_next(&random) % 20;
            for (size_t i = 0; i < n; i++)
                changes[i] = (struct change){.region = 1,
                                             .name = names[random_next(&random) % n_names],
                                             .version = (int64_t)(random_next(&random) % 10) + commits,
                                             .gone = random_next(&random) % 8 == 0,
                                             .note = notes[random_next(&random) % 6],
                                             .amount = (int64_t)(random_next(&random) % 6) - 3};
            commit(w, changes, n);
            model_batch(model, changes, n, names);
            if (random_next(&random) % 8 == 0)
                lose_index(w);
            char expected[1024] = "", one[128];
            for (int i = 0; i < n_names; i++) {
                const struct value *v = &model[i];
                if (!v->live)
                    continue;
                char amount[32] = "-";
                if (v->amount >= 0)
                    (void)snprintf(amount, sizeof amount, "%lld", (long long)v->amount);
                (void)snprintf(one, sizeof one, "%s1/%s %s %s", expected[0] != 0 ? "; " : "", names[i],
                               v->note != NULL ? v->note : "-", amount);
                strcat(expected, one);
            }
            expect_rows(w, expected);
        }
        free_world(w);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_without_the_option_a_null_is_a_null),
        cmocka_unit_test(test_stored_values_stay),
        cmocka_unit_test(test_a_batch_gives_what_its_rows_give_one_by_one),
        cmocka_unit_test(test_a_delete_ends_it),
        cmocka_unit_test(test_unchanged_values),
        cmocka_unit_test(test_random),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
