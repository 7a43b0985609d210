/* The whole list of what a table rests on: what follows from each member's difference, and what does not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "source/basis.h"

struct fact {
    enum dm_basis_member member;
    const char *subject, *value;
};

struct difference {
    const char *what;
    struct fact stored[4], present[4]; /* value NULL: no more */
    enum dm_basis_when when;
    uint64_t at;
    enum dm_basis_effect effect;
    enum dm_basis_member member; /* that has it */
};

#define START DM_BASIS_AT_START
#define LOOK DM_BASIS_AT_LOOK
#define STREAM DM_BASIS_IN_STREAM
#define KEYED \
    { \
        DM_BASIS_IDENTITY, NULL, "key" \
    }

static const struct difference differences[] = {
    {"server",
     {{DM_BASIS_SYSTEM, NULL, "7"}},
     {{DM_BASIS_SYSTEM, NULL, "8"}},
     START,
     5,
     DM_BASIS_STOP,
     DM_BASIS_SYSTEM},
    {"promoted behind the lake",
     {{DM_BASIS_TIMELINE, NULL, "1"}},
     {{DM_BASIS_TIMELINE, NULL, "1@100,2"}},
     START,
     101,
     DM_BASIS_STOP,
     DM_BASIS_TIMELINE},
    {"promoted where the lake stands",
     {{DM_BASIS_TIMELINE, NULL, "1"}},
     {{DM_BASIS_TIMELINE, NULL, "1@100,2"}},
     START,
     100,
     DM_BASIS_NOTHING,
     0},
    {"promoted twice",
     {{DM_BASIS_TIMELINE, NULL, "1@90,2"}},
     {{DM_BASIS_TIMELINE, NULL, "1@90,2@100,3"}},
     START,
     95,
     DM_BASIS_NOTHING,
     0},
    {"promoted twice behind",
     {{DM_BASIS_TIMELINE, NULL, "1@90,2"}},
     {{DM_BASIS_TIMELINE, NULL, "1@90,2@100,3"}},
     START,
     105,
     DM_BASIS_STOP,
     DM_BASIS_TIMELINE},
    {"another branch",
     {{DM_BASIS_TIMELINE, NULL, "1@90,2"}},
     {{DM_BASIS_TIMELINE, NULL, "1@95,3"}},
     START,
     95,
     DM_BASIS_STOP,
     DM_BASIS_TIMELINE},
    {"older timeline",
     {{DM_BASIS_TIMELINE, NULL, "1@90,2"}},
     {{DM_BASIS_TIMELINE, NULL, "1"}},
     START,
     80,
     DM_BASIS_STOP,
     DM_BASIS_TIMELINE},
    {"database",
     {{DM_BASIS_DATABASE, NULL, "5"}},
     {{DM_BASIS_DATABASE, NULL, "6"}},
     START,
     5,
     DM_BASIS_STOP,
     DM_BASIS_DATABASE},
    {"encoding",
     {{DM_BASIS_ENCODING, NULL, "UTF8"}},
     {{DM_BASIS_ENCODING, NULL, "LATIN1"}},
     START,
     5,
     DM_BASIS_STOP,
     DM_BASIS_ENCODING},
    {"log behind the lake",
     {{0}},
     {{DM_BASIS_LOG_END, NULL, "99"}},
     START,
     100,
     DM_BASIS_STOP,
     DM_BASIS_LOG_END},
    {"log where the lake stands",
     {{DM_BASIS_LOG_END, NULL, "500"}},
     {{DM_BASIS_LOG_END, NULL, "100"}},
     START,
     100,
     DM_BASIS_NOTHING,
     0},
    {"slot gone", {{0}}, {{DM_BASIS_SLOT, NULL, "none"}}, START, 100, DM_BASIS_STOP, DM_BASIS_SLOT},
    {"slot not made yet", {{0}}, {{DM_BASIS_SLOT, NULL, "none"}}, START, 0, DM_BASIS_NOTHING, 0},
    {"out of the publication",
     {{DM_BASIS_PUBLISHED, NULL, "9"}},
     {{DM_BASIS_PUBLISHED, NULL, "none"}},
     LOOK,
     5,
     DM_BASIS_COPY,
     DM_BASIS_PUBLISHED},
    {"out and in again",
     {{DM_BASIS_PUBLISHED, NULL, "9"}},
     {{DM_BASIS_PUBLISHED, NULL, "10"}},
     LOOK,
     5,
     DM_BASIS_COPY,
     DM_BASIS_PUBLISHED},
    {"operations",
     {{DM_BASIS_OPERATIONS, NULL, "insert update #1"}},
     {{DM_BASIS_OPERATIONS, NULL, "insert #2"}},
     LOOK,
     5,
     DM_BASIS_COPY,
     DM_BASIS_OPERATIONS},
    {"row filter",
     {{DM_BASIS_ROW_FILTER, NULL, "a"}},
     {{DM_BASIS_ROW_FILTER, NULL, "none"}},
     LOOK,
     5,
     DM_BASIS_COPY,
     DM_BASIS_ROW_FILTER},
    {"column list",
     {{DM_BASIS_COLUMN_LIST, NULL, "all"}},
     {{DM_BASIS_COLUMN_LIST, NULL, "1 2"}},
     LOOK,
     5,
     DM_BASIS_COPY,
     DM_BASIS_COLUMN_LIST},
    {"via root",
     {{DM_BASIS_VIA_ROOT, NULL, "true"}},
     {{DM_BASIS_VIA_ROOT, NULL, "false"}},
     LOOK,
     5,
     DM_BASIS_COPY,
     DM_BASIS_VIA_ROOT},
    {"identity", {KEYED}, {{DM_BASIS_IDENTITY, NULL, "row"}}, LOOK, 5, DM_BASIS_EVOLVE, DM_BASIS_IDENTITY},
    {"key, told by the stream",
     {KEYED, {DM_BASIS_KEY, NULL, "1"}},
     {{DM_BASIS_IDENTITY, NULL, "index"}, {DM_BASIS_KEY, NULL, "2"}},
     LOOK,
     5,
     DM_BASIS_REKEY,
     DM_BASIS_KEY},
    {"key under whole rows",
     {{DM_BASIS_IDENTITY, NULL, "row"}, {DM_BASIS_KEY, NULL, "1"}},
     {{DM_BASIS_IDENTITY, NULL, "row"}, {DM_BASIS_KEY, NULL, "2"}},
     LOOK,
     5,
     DM_BASIS_COPY,
     DM_BASIS_KEY},
    {"key under whole rows before",
     {{DM_BASIS_IDENTITY, NULL, "row"}, {DM_BASIS_KEY, NULL, "1"}},
     {KEYED, {DM_BASIS_KEY, NULL, "2"}},
     LOOK,
     5,
     DM_BASIS_COPY,
     DM_BASIS_KEY},
    {"key of a file",
     {{DM_BASIS_IDENTITY, NULL, "capture"}, {DM_BASIS_KEY, NULL, "1 BINARY"}},
     {{DM_BASIS_IDENTITY, NULL, "capture"}, {DM_BASIS_KEY, NULL, "1 NOCASE"}},
     START,
     5,
     DM_BASIS_COPY,
     DM_BASIS_KEY},
    {"constraint made again",
     {KEYED, {DM_BASIS_KEY, NULL, "1"}, {DM_BASIS_GUARD, NULL, "20"}},
     {KEYED, {DM_BASIS_KEY, NULL, "1"}, {DM_BASIS_GUARD, NULL, "21"}},
     LOOK,
     5,
     DM_BASIS_COPY,
     DM_BASIS_GUARD},
    {"constraint of a new key",
     {KEYED, {DM_BASIS_KEY, NULL, "1"}, {DM_BASIS_GUARD, NULL, "20"}},
     {KEYED, {DM_BASIS_KEY, NULL, "2"}, {DM_BASIS_GUARD, NULL, "21"}},
     LOOK,
     5,
     DM_BASIS_REKEY,
     DM_BASIS_KEY},
    {"name",
     {{DM_BASIS_NAME, "1", "a"}},
     {{DM_BASIS_NAME, "1", "b"}},
     LOOK,
     5,
     DM_BASIS_EVOLVE,
     DM_BASIS_NAME},
    {"type in place",
     {{DM_BASIS_TYPE, "1", "25:-1"}, {DM_BASIS_STORAGE, NULL, "1"}},
     {{DM_BASIS_TYPE, "1", "1043:-1"}, {DM_BASIS_STORAGE, NULL, "1"}},
     LOOK,
     5,
     DM_BASIS_EVOLVE,
     DM_BASIS_TYPE},
    {"type with a rewrite",
     {{DM_BASIS_TYPE, "1", "25:-1"}, {DM_BASIS_STORAGE, NULL, "1"}},
     {{DM_BASIS_TYPE, "1", "1043:-1"}, {DM_BASIS_STORAGE, NULL, "2"}},
     STREAM,
     5,
     DM_BASIS_COPY,
     DM_BASIS_TYPE},
    {"a rewrite seen at a look: the stream tells of it",
     {{DM_BASIS_TYPE, "1", "25:-1"}, {DM_BASIS_STORAGE, NULL, "1"}},
     {{DM_BASIS_TYPE, "1", "1043:-1"}, {DM_BASIS_STORAGE, NULL, "2"}},
     LOOK,
     5,
     DM_BASIS_EVOLVE,
     DM_BASIS_TYPE},
    {"a rewrite that nobody saw",
     {{DM_BASIS_TYPE, "1", "25:-1"}, {DM_BASIS_STORAGE, NULL, "1"}},
     {{DM_BASIS_TYPE, "1", "1043:-1"}, {DM_BASIS_STORAGE, NULL, "2"}},
     START,
     5,
     DM_BASIS_COPY,
     DM_BASIS_TYPE},
    {"what a look sees is not the stream's to tell",
     {{DM_BASIS_PUBLISHED, NULL, "9"}},
     {{DM_BASIS_PUBLISHED, NULL, "10"}},
     STREAM,
     5,
     DM_BASIS_NOTHING,
     0},
    {"generated no more",
     {{DM_BASIS_GENERATED, "3", "generated"}},
     {{DM_BASIS_GENERATED, "3", "no"}},
     LOOK,
     5,
     DM_BASIS_COPY,
     DM_BASIS_GENERATED},
    {"new column, default said",
     {{DM_BASIS_FILL, "1", "said"}},
     {{DM_BASIS_FILL, "1", "said"}, {DM_BASIS_FILL, "2", "said"}},
     LOOK,
     5,
     DM_BASIS_NOTHING,
     0},
    {"new column, default unsaid",
     {{DM_BASIS_FILL, "1", "said"}},
     {{DM_BASIS_FILL, "1", "said"}, {DM_BASIS_FILL, "2", "unsaid"}},
     STREAM,
     5,
     DM_BASIS_COPY,
     DM_BASIS_FILL},
    {"new column that filled itself",
     {{DM_BASIS_FILL, "1", "said"}, {DM_BASIS_STORAGE, NULL, "1"}},
     {{DM_BASIS_FILL, "2", "itself"}, {DM_BASIS_STORAGE, NULL, "2"}},
     STREAM,
     5,
     DM_BASIS_COPY,
     DM_BASIS_FILL},
    {"attributes beneath",
     {{DM_BASIS_BENEATH, "77", "1:23:-1"}},
     {{DM_BASIS_BENEATH, "77", "1:23:-1 2:25:-1"}},
     LOOK,
     5,
     DM_BASIS_COPY,
     DM_BASIS_BENEATH},
    {"label beneath",
     {{DM_BASIS_LABEL, "77.1", "open"}},
     {{DM_BASIS_LABEL, "77.1", "opened"}},
     LOOK,
     5,
     DM_BASIS_COPY,
     DM_BASIS_LABEL},
    {"label added",
     {{DM_BASIS_LABEL, "77.1", "open"}},
     {{DM_BASIS_LABEL, "77.1", "open"}, {DM_BASIS_LABEL, "77.2", "lost"}},
     LOOK,
     5,
     DM_BASIS_NOTHING,
     0},
    {"storage while stopped",
     {{DM_BASIS_STORAGE, NULL, "1"}},
     {{DM_BASIS_STORAGE, NULL, "2"}},
     START,
     5,
     DM_BASIS_COPY,
     DM_BASIS_STORAGE},
    {"storage while running",
     {{DM_BASIS_STORAGE, NULL, "1"}},
     {{DM_BASIS_STORAGE, NULL, "2"}},
     LOOK,
     5,
     DM_BASIS_NOTHING,
     0},
    {"not readable", {{0}}, {{DM_BASIS_READABLE, NULL, "no"}}, LOOK, 5, DM_BASIS_REFUSE, DM_BASIS_READABLE},
    {"row security",
     {{0}},
     {{DM_BASIS_ROW_SECURITY, NULL, "on"}},
     LOOK,
     5,
     DM_BASIS_REFUSE,
     DM_BASIS_ROW_SECURITY},
    {"column taken",
     {{DM_BASIS_TAKEN, "2", "left out"}},
     {{DM_BASIS_TAKEN, "2", "taken"}},
     START,
     5,
     DM_BASIS_COPY,
     DM_BASIS_TAKEN},
    {"column left out",
     {{DM_BASIS_TAKEN, "2", "taken"}},
     {{DM_BASIS_TAKEN, "2", "left out"}},
     START,
     5,
     DM_BASIS_EVOLVE,
     DM_BASIS_TAKEN},
    {"column renamed and taken",
     {{DM_BASIS_TAKEN, "a", "left out"}},
     {{DM_BASIS_TAKEN, "b", "taken"}},
     START,
     5,
     DM_BASIS_COPY,
     DM_BASIS_TAKEN},
    {"column added",
     {{DM_BASIS_TAKEN, "a", "taken"}},
     {{DM_BASIS_TAKEN, "a", "taken"}, {DM_BASIS_TAKEN, "b", "taken"}},
     START,
     5,
     DM_BASIS_NOTHING,
     0},
    {"filter",
     {{DM_BASIS_FILTER, NULL, "none"}},
     {{DM_BASIS_FILTER, NULL, "id > 3"}},
     START,
     5,
     DM_BASIS_COPY,
     DM_BASIS_FILTER},
    {"decimals",
     {{DM_BASIS_DECIMALS, NULL, "none"}},
     {{DM_BASIS_DECIMALS, NULL, "2:10,2"}},
     START,
     5,
     DM_BASIS_COPY,
     DM_BASIS_DECIMALS},
    {"timestamp",
     {{DM_BASIS_TIMESTAMP, NULL, "3"}},
     {{DM_BASIS_TIMESTAMP, NULL, "4"}},
     START,
     5,
     DM_BASIS_COPY,
     DM_BASIS_TIMESTAMP},
    {"a timestamp for a lake that knew of none",
     {{DM_BASIS_TIME_AS, NULL, "time"}},
     {{DM_BASIS_TIME_AS, NULL, "time"}, {DM_BASIS_TIMESTAMP, NULL, "4"}},
     START,
     5,
     DM_BASIS_COPY,
     DM_BASIS_TIMESTAMP},
    {"no timestamp, as ever",
     {{DM_BASIS_TIME_AS, NULL, "time"}},
     {{DM_BASIS_TIME_AS, NULL, "time"}, {DM_BASIS_TIMESTAMP, NULL, "none"}},
     START,
     5,
     DM_BASIS_NOTHING},
    {"time as",
     {{DM_BASIS_TIME_AS, NULL, "time"}},
     {{DM_BASIS_TIME_AS, NULL, "string"}},
     START,
     5,
     DM_BASIS_COPY,
     DM_BASIS_TIME_AS},
    {"append-only",
     {{DM_BASIS_APPEND_ONLY, NULL, "no"}},
     {{DM_BASIS_APPEND_ONLY, NULL, "yes"}},
     START,
     5,
     DM_BASIS_COPY,
     DM_BASIS_APPEND_ONLY},
    {"the strongest counts",
     {{DM_BASIS_NAME, "1", "a"}, {DM_BASIS_FILTER, NULL, "none"}},
     {{DM_BASIS_NAME, "1", "b"}, {DM_BASIS_FILTER, NULL, "x"}},
     START,
     5,
     DM_BASIS_COPY,
     DM_BASIS_FILTER},
};

static struct dm_basis basis_of(const struct fact *facts)
{
    struct dm_basis b = {0};
    for (size_t i = 0; i < 4 && facts[i].value != NULL; i++)
        dm_basis_add(&b, facts[i].member, facts[i].subject, "%s", facts[i].value);
    return b;
}

/* Every member is in the list above, with its strongest effect. */
static void test_differences(void **state)
{
    (void)state;
    enum dm_basis_effect strongest[DM_BASIS_MEMBERS] = {0};
    for (size_t i = 0; i < sizeof differences / sizeof *differences; i++) {
        const struct difference *d = &differences[i];
        struct dm_basis stored = basis_of(d->stored), present = basis_of(d->present);
        struct dm_basis_verdict verdict;
        dm_basis_compare(&stored, &present, &(struct dm_basis_look){d->when, d->at}, &verdict);
        if (verdict.effect != d->effect || (d->effect != DM_BASIS_NOTHING && verdict.member != d->member))
            fail_msg("%s: %s (%s), not %s", d->what, dm_basis_effect_name(verdict.effect), verdict.text,
                     dm_basis_effect_name(d->effect));
        assert_true((verdict.text[0] != '\0') == (d->effect != DM_BASIS_NOTHING));
        if (d->effect > strongest[d->member])
            strongest[d->member] = d->effect;
        /* what is as it was, and what nothing is stored of, says nothing (but of the source's own state) */
        dm_basis_compare(&present, &present, &(struct dm_basis_look){d->when, d->at}, &verdict);
        if (d->effect < DM_BASIS_REFUSE)
            assert_int_equal(verdict.effect, DM_BASIS_NOTHING);
        dm_basis_release(&stored);
        dm_basis_release(&present);
    }
    for (int m = 0; m < DM_BASIS_MEMBERS; m++)
        if (strongest[m] != dm_basis_rule((enum dm_basis_member)m)->effect)
            fail_msg("the list has no case for the effect of \"%s\"",
                     dm_basis_rule((enum dm_basis_member)m)->name);
}

static void test_sentence(void **state)
{
    (void)state;
    struct dm_basis a = {0}, b = {0};
    struct dm_basis_verdict verdict;
    dm_basis_add(&a, DM_BASIS_TYPE, "3", "%s", "23:-1");
    dm_basis_add(&b, DM_BASIS_TYPE, "3", "%s", "20:-1");
    dm_basis_compare(&a, &b, &(struct dm_basis_look){0}, &verdict);
    assert_string_equal(verdict.text, "the type of column 3 changed from \"23:-1\" to \"20:-1\"");
    dm_basis_release(&a);
    dm_basis_release(&b);
}

static void test_text_and_back(void **state)
{
    (void)state;
    struct dm_error err = {0};
    struct dm_basis all = {0}, back = {0};
    for (int m = 0; m < DM_BASIS_MEMBERS; m++)
        dm_basis_add(&all, (enum dm_basis_member)m, m < DM_BASIS_NAME ? NULL : "b\"'1", "v%d \\ é", m);
    dm_basis_add(&all, DM_BASIS_TYPE, "2", "%s", "");
    char *text = dm_basis_print(&all);
    assert_int_equal(dm_basis_parse(text, &back, &err), DM_OK);
    assert_true(dm_basis_equal(&all, &back));
    struct dm_basis copy = dm_basis_copy(&back);
    dm_basis_add(&copy, DM_BASIS_TYPE, "9", "%s", "x");
    assert_false(dm_basis_equal(&copy, &back));
    free(text);
    dm_basis_release(&copy);
    dm_basis_release(&back);
    dm_basis_release(&all);
    /* of a later version, and nonsense */
    assert_int_equal(dm_basis_parse("{\"moon\": \"full\", \"key\": \"1\"}", &back, &err), DM_OK);
    assert_int_equal(back.n, 1);
    dm_basis_release(&back);
    assert_int_equal(dm_basis_parse("[1]", &back, &err), DM_FAIL);
    assert_int_equal(dm_basis_parse("{", &back, &err), DM_FAIL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_differences),
        cmocka_unit_test(test_sentence),
        cmocka_unit_test(test_text_and_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
