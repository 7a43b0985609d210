/* The version rule: every case of (state) x (lower, equal, higher). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "apply/version_rule.h"

static const uint8_t two[] = {0, 2}, one[] = {0, 1}, three[] = {0, 3}, longer[] = {0, 2, 0};

static enum dm_verdict decide(bool live, const uint8_t *version, uint32_t len)
{
    const struct dm_version_state state = {.version = two, .len = sizeof two, .live = live};
    return dm_version_decide(&state, version, len);
}

static void test_all_cases(void **state)
{
    (void)state;
    const struct dm_version_state nothing = {0};
    assert_int_equal(dm_version_decide(&nothing, one, sizeof one), DM_VERDICT_APPLY);
    for (int live = 0; live < 2; live++) {
        assert_int_equal(decide(live, one, sizeof one), DM_VERDICT_STALE);
        assert_int_equal(decide(live, three, sizeof three), DM_VERDICT_APPLY);
        assert_int_equal(decide(live, longer, sizeof longer), DM_VERDICT_APPLY);
        assert_int_equal(decide(live, two, 1), DM_VERDICT_STALE); /* a prefix is lower */
    }
    assert_int_equal(decide(true, two, sizeof two),
                     DM_VERDICT_TIE_APPLY); /* the delete, or the later upsert */
    assert_int_equal(decide(false, two, sizeof two), DM_VERDICT_TIE_DROP); /* a delete has been */
    assert_true(dm_verdict_applies(DM_VERDICT_APPLY));
    assert_true(dm_verdict_applies(DM_VERDICT_TIE_APPLY));
    assert_false(dm_verdict_applies(DM_VERDICT_TIE_DROP));
    assert_false(dm_verdict_applies(DM_VERDICT_STALE));
}

/* Whatever the order in which changes of one key come: the highest version decides, and a delete of it beats its upserts. */
static void test_every_order_of_four(void **state)
{
    (void)state;
    struct {
        const uint8_t *version;
        bool gone;
    } changes[] = {{one, false}, {two, false}, {two, true}, {one, true}};
    int orders = 0;
    for (int code = 0; code < 256; code++) {
        int order[4] = {code & 3, code >> 2 & 3, code >> 4 & 3, code >> 6};
        if ((1 << order[0] | 1 << order[1] | 1 << order[2] | 1 << order[3]) != 15)
            continue;
        orders++;
        struct dm_version_state s = {0};
        for (int i = 0; i < 4; i++)
            if (dm_verdict_applies(dm_version_decide(&s, changes[order[i]].version, 2)))
                s = (struct dm_version_state){
                    .version = changes[order[i]].version, .len = 2, .live = !changes[order[i]].gone};
        assert_ptr_equal(s.version, two);
        assert_false(s.live);
    }
    assert_int_equal(orders, 24);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_all_cases),
                                       cmocka_unit_test(test_every_order_of_four)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
