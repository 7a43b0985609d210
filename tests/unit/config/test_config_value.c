/* Sizes, durations, globs, nearest words and hidden passwords. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "config/config.h"
#include "config/config_value.h"
#include "config/nearest_word.h"

static void test_sizes(void **state)
{
    (void)state;
    uint64_t v = 7;
    static const struct {
        const char *text;
        uint64_t bytes;
    } good[] = {{"0", 0},        {"4096", 4096}, {"512MiB", 512u << 20}, {"1 GiB", 1u << 30},
                {"64KB", 64000}, {"3B", 3}};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        assert_true(dm_value_size(good[i].text, &v));
        assert_int_equal(v, good[i].bytes);
    }
    static const char *const bad[] = {
        "", "MiB", "-1", "1.5GiB", "1 mib", "0x10", " 1", "9223372036854775808", "9000000000TiB", "1MiB "};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_false(dm_value_size(bad[i], &v));
}

/* A variable's value stands for itself in each place of a connection string, whatever signs it holds. */
static void test_connection_strings(void **state)
{
    (void)state;
    static const struct {
        const char *text, *value, *expected;
    } cases[] = {
        {"postgresql://u:${V}@h/d", "a@b:c/d?e%#", "postgresql://u:a%40b%3Ac%2Fd%3Fe%25%23@h/d"},
        {"postgres://${V}:x@h/d", "a b", "postgres://a%20b:x@h/d"},
        {"postgresql://u@${V}/d", "h1:1,h2:2", "postgresql://u@h1:1,h2:2/d"},
        {"postgresql://${V}/d", "h:1", "postgresql://h:1/d"},
        {"postgresql://u@h:${V}/d", "5432", "postgresql://u@h:5432/d"},
        {"postgresql://u@h/${V}", "my/db", "postgresql://u@h/my%2Fdb"},
        {"postgresql://u@h/d?password=${V}&x=y", "a&b=c", "postgresql://u@h/d?password=a%26b%3Dc&x=y"},
        {"postgresql://u@h/d?${V}", "a=b&c=d", "postgresql://u@h/d?a=b&c=d"},
        {"postgresql:///d?host=${V}", "/run/pg", "postgresql:///d?host=%2Frun%2Fpg"},
        {"${V}", "postgresql://u:p%40@h/d", "postgresql://u:p%40@h/d"},
        {"postgresql://u:p@h/d?${V}=x", "a b", "postgresql://u:p@h/d?a b=x"},
        {"host=h password=${V} user=u", "a b'c\\d", "host=h password=a\\ b\\'c\\\\d user=u"},
        {"password = '${V}'", "a 'b", "password = 'a\\ \\'b'"},
        {"password = ${V}", "a b", "password = a\\ b"},
        {"password='it\\'s ${V}' ${V}", "a b", "password='it\\'s a\\ b' a b"},
        {"${V} host=h", "user=a password=b", "user=a password=b host=h"},
        {"postgresql://u:$${V}${V}@h/d", "@", "postgresql://u:${V}%40@h/d"},
    };
    struct dm_config_place at = {"x.yaml", 1};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char *out = NULL;
        struct dm_error err = {0};
        assert_int_equal(setenv("V", cases[i].value, 1), 0);
        assert_int_equal(dm_value_expand_connection(cases[i].text, at, &out, &err), DM_OK);
        assert_string_equal(out, cases[i].expected);
        free(out);
    }
}

static void test_durations(void **state)
{
    (void)state;
    int64_t v = 7;
    assert_true(dm_value_duration("0", &v) && v == 0);
    assert_true(dm_value_duration("500ms", &v) && v == 500);
    assert_true(dm_value_duration("1s", &v) && v == 1000);
    assert_true(dm_value_duration("10m", &v) && v == 600000);
    assert_true(dm_value_duration("2h", &v) && v == 7200000);
    assert_true(dm_value_duration("7d", &v) && v == 604800000);
    assert_false(dm_value_duration("1000", &v));
    assert_false(dm_value_duration("1w", &v));
    assert_false(dm_value_duration("-1s", &v));
    assert_false(dm_value_duration("", &v));
    char text[32];
    assert_string_equal(dm_value_duration_text(60000, text, sizeof text), "1m");
    assert_string_equal(dm_value_size_text(512u << 20, text, sizeof text), "512MiB");
}

static void test_decimals(void **state)
{
    (void)state;
    int p = 0, s = 0;
    assert_true(dm_value_decimal("38,10", &p, &s) && p == 38 && s == 10);
    assert_true(dm_value_decimal("5, 0", &p, &s) && p == 5 && s == 0);
    static const char *const bad[] = {"", ",", "38", "39,1", "0,0", "5,6", "5,-1", "5,", "a,1", "005,1"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_false(dm_value_decimal(bad[i], &p, &s));
}

static void test_globs(void **state)
{
    (void)state;
    assert_true(dm_glob_match("*", ""));
    assert_true(dm_glob_match("", ""));
    assert_false(dm_glob_match("", "a"));
    assert_false(dm_glob_match("?", ""));
    assert_true(dm_glob_match("a*b*c", "a1b2b3c"));
    assert_false(dm_glob_match("a*b*c", "a1b2b3"));
    assert_true(dm_glob_match("order_?", "order_\xc3\xa9"));
    assert_false(dm_glob_match("order_?", "order_12"));
    assert_true(dm_glob_match("*\xc3\xa9*", "caf\xc3\xa9s"));
    assert_false(dm_glob_match("a", "A"));

    assert_true(dm_table_glob_match("orders", "public", "orders"));
    assert_false(dm_table_glob_match("orders", "sales", "orders"));
    assert_true(dm_table_glob_match("*", "public", "orders"));
    assert_false(dm_table_glob_match("*", "sales", "orders"));
    assert_true(dm_table_glob_match("sales.order_?", "sales", "order_1"));
    assert_true(dm_table_glob_match("*.*", "sales", "a.b"));
    assert_true(dm_table_glob_match("public.a.b", "public", "a.b"));
    assert_false(dm_table_glob_match("*x.orders", "a", "x.orders"));
    assert_true(dm_table_glob_match("a.b", "", "a.b"));
    assert_false(dm_table_glob_match("main.b", "", "b"));
}

/* Star after star must not take exponential time. */
static void test_glob_is_quick(void **state)
{
    (void)state;
    char text[2001];
    memset(text, 'a', 2000);
    text[2000] = '\0';
    assert_false(dm_glob_match("*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*b", text));
}

static void test_nearest_word(void **state)
{
    (void)state;
    static const char *const words[] = {"status", "verify", "resync", "run", NULL, "query"};
    assert_string_equal(dm_nearest_word("statsu", words, 6), "status");
    assert_string_equal(dm_nearest_word("Verfy", words, 6), "verify");
    assert_string_equal(dm_nearest_word("quiry", words, 6), "query");
    assert_string_equal(dm_nearest_word("rnu", words, 6), "run");
    assert_null(dm_nearest_word("compaction", words, 6));
    assert_null(dm_nearest_word("", words, 6));
}

static void redacts(const char *url, const char *wanted)
{
    char out[256];
    assert_string_equal(dm_url_redact(url, out, sizeof out), wanted);
}

static void test_redact(void **state)
{
    (void)state;
    redacts("postgresql://me:secret@host:5432/db?sslmode=require",
            "postgresql://me:***@host:5432/db?sslmode=require");
    redacts("postgres://me@host/db", "postgres://me@host/db");
    redacts("postgres://host:5432/db", "postgres://host:5432/db");
    redacts("postgres://me:a/b?c@d@host/db", "postgres://me:***@host/db");
    redacts("postgres://me@[::1]:5432/db", "postgres://me@[::1]:5432/db");
    redacts("postgresql:///db?user=a&password=x y&sslpassword=z&host=h",
            "postgresql:///db?user=a&password=***&sslpassword=***&host=h");
    redacts("postgresql:///db?pass%77ord=x", "postgresql:///db?pass%77ord=***");
    redacts("host=h password=secret user=me", "host=h password=*** user=me");
    redacts("password = 'se\\'cr et' host=h", "password = '***' host=h");
    redacts("PASSWORD=x", "PASSWORD=***");
    redacts("password='open", "password='***'");
    redacts("password=a&b://c", "password=***");
    redacts("", "");
    char small[8];
    assert_string_equal(dm_url_redact("postgres://me:secret@host", small, sizeof small), "postgre");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sizes),         cmocka_unit_test(test_durations),
        cmocka_unit_test(test_decimals),      cmocka_unit_test(test_globs),
        cmocka_unit_test(test_glob_is_quick), cmocka_unit_test(test_nearest_word),
        cmocka_unit_test(test_redact),        cmocka_unit_test(test_connection_strings),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
