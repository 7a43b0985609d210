#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/utf8.h"

static bool same(const char *a, const char *b)
{
    bool forth = dm_utf8_same_letters(a, strlen(a), b, strlen(b));
    assert_int_equal(forth, dm_utf8_same_letters(b, strlen(b), a, strlen(a)));
    return forth;
}

static void test_letters_of_any_alphabet(void **state)
{
    (void)state;
    static const char *const equal[][2] = {
        {"", ""},           {"Order_ID", "ORDER_id"}, {"GRÖßE", "größe"},
        {"GRÖẞE", "größe"}, {"ΣΊΣΥΦΟΣ", "σίσυφος"}, /* two small sigmas, one capital */
        {"ЦЕНА", "цена"},   {"ԱՆՈՒՆ", "անուն"},       {"K", "\xe2\x84\xaa"}, /* the sign of kelvin */
        {"名前", "名前"}};
    for (size_t i = 0; i < sizeof equal / sizeof *equal; i++)
        assert_true(same(equal[i][0], equal[i][1]));
}

static void test_other_words(void **state)
{
    (void)state;
    static const char *const different[][2] = {
        {"a", "b"},   {"a", ""},        {"a", "aa"},          {"GRÖSSE", "größe"}, {"o", "ö"},
        {"名", "前"}, {"\xff", "\xfe"}, {"\xc3", "\xc3\xa4"}, {"\xc3", "Ã"}};
    for (size_t i = 0; i < sizeof different / sizeof *different; i++)
        assert_false(same(different[i][0], different[i][1]));
    assert_true(same("A\xff", "a\xff")); /* what is no UTF-8 is itself */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_letters_of_any_alphabet),
        cmocka_unit_test(test_other_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
