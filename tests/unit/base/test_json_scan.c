#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/json_scan.h"

/* Scans a copy of exactly n bytes, so that the sanitizer sees a read behind them. NULL: one whole value; else the problem. */
static const char *problem_of(const char *text, size_t n, struct dm_json_slice *v)
{
    static char copy[1 << 12];
    assert_true(n < sizeof copy);
    char *exact = malloc(n + (n == 0));
    assert_non_null(exact);
    memcpy(exact, text, n);
    struct dm_json_scan s = dm_json_scan_of(exact, n);
    bool good = dm_json_scan_value(&s, v) && dm_json_scan_finish(&s);
    if (good) {
        memcpy(copy, v->text, v->n);
        v->text = copy;
    }
    free(exact);
    assert_true(good == (s.problem == NULL));
    return s.problem;
}

static void accepted(void **state)
{
    (void)state;
    static const struct {
        const char *json, *text;
        enum dm_json_kind kind;
    } cases[] = {
        {" null ", "null", DM_JSON_NULL},
        {"true", "true", DM_JSON_TRUE},
        {"\tfalse\r\n", "false", DM_JSON_FALSE},
        {"0", "0", DM_JSON_NUMBER},
        {"-0.10e+05", "-0.10e+05", DM_JSON_NUMBER},
        {"123456789012345678901234567890", "123456789012345678901234567890", DM_JSON_NUMBER},
        {"NaN", "NaN", DM_JSON_NUMBER},
        {"-Infinity", "-Infinity", DM_JSON_NUMBER},
        {"\"\"", "", DM_JSON_STRING},
        {"\"a\\\"b\\u00e9 long enough for the fast way\"", "a\\\"b\\u00e9 long enough for the fast way",
         DM_JSON_STRING},
        {"[]", "[]", DM_JSON_ARRAY},
        {"{}", "{}", DM_JSON_OBJECT},
        {"[1, [ ], {\"a\" : [ null ] , \"b\":{}}]", "[1, [ ], {\"a\" : [ null ] , \"b\":{}}]", DM_JSON_ARRAY},
        {"{\"a\":\"}]\\\"\"}", "{\"a\":\"}]\\\"\"}", DM_JSON_OBJECT},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct dm_json_slice v;
        const char *problem = problem_of(cases[i].json, strlen(cases[i].json), &v);
        if (problem != NULL)
            fail_msg("%s: %s", cases[i].json, problem);
        assert_int_equal(v.kind, cases[i].kind);
        assert_int_equal(v.n, strlen(cases[i].text));
        assert_memory_equal(v.text, cases[i].text, v.n);
    }
}

static void refused(void **state)
{
    (void)state;
    static const char *const cases[] = {
        "",           " ",       "nul",       "nulll",       "True",      "01",
        "-",          "1.",      ".5",        "1e",          "+1",        "1e+",
        "--1",        "0x1",     "Inf",       "-Inf",        "\"",        "\"a",
        "\"\\\"",     "\"\\x\"", "\"\\u12\"", "\"\\u12g4\"", "\"\n\"",    "\"\t\"",
        "'a'",        "[",       "]",         "[1",          "[1,]",      "[,1]",
        "[1 2]",      "[1}",     "{",         "}",           "{\"a\"}",   "{\"a\":}",
        "{\"a\":1,}", "{a:1}",   "{1:1}",     "{\"a\":1]",   "{\"a\" 1}", "{\"a\":1 \"b\":2}",
        "1 2",        "{}{}",    "[]x",       "/* */ 1",     "[1,\n",     "{\"a\":1,",
        "\"\\",       "\"\\u",
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct dm_json_slice v;
        if (problem_of(cases[i], strlen(cases[i]), &v) == NULL)
            fail_msg("%s was accepted", cases[i]);
    }
    struct dm_json_slice v;
    assert_non_null(problem_of("\"a\0b\"", 5, &v)); /* a NUL is a control character */
}

static void depth(void **state)
{
    (void)state;
    char text[2 * DM_JSON_DEPTH + 2];
    struct dm_json_slice v;
    memset(text, '[', DM_JSON_DEPTH);
    memset(text + DM_JSON_DEPTH, ']', DM_JSON_DEPTH);
    assert_null(problem_of(text, 2 * DM_JSON_DEPTH, &v));
    memset(text, '[', DM_JSON_DEPTH + 1);
    memset(text + DM_JSON_DEPTH + 1, ']', DM_JSON_DEPTH + 1);
    assert_string_equal(problem_of(text, 2 * DM_JSON_DEPTH + 2, &v), "nested too deeply");
}

static void members(void **state)
{
    (void)state;
    static const char json[] = " { \"a\" : 1 , \"b\\n\":[1,2] }x";
    struct dm_json_scan s = dm_json_scan_of(json, strlen(json));
    struct dm_json_slice key, v;
    bool first = true, more;
    assert_true(dm_json_scan_open(&s, '{'));
    assert_true(dm_json_scan_member(&s, &first, &more, &key, &v) && more);
    assert_memory_equal(key.text, "a", key.n);
    assert_memory_equal(v.text, "1", v.n);
    assert_true(dm_json_scan_member(&s, &first, &more, &key, &v) && more);
    assert_true(key.escaped && key.n == 3);
    assert_int_equal(v.n, 5);
    assert_true(dm_json_scan_member(&s, &first, &more, &key, &v) && !more);
    assert_false(dm_json_scan_finish(&s));
    assert_string_equal(s.problem, "text after the value");
}

static void unescape(void **state)
{
    (void)state;
    static const struct {
        const char *escaped, *plain; /* NULL: no characters */
    } cases[] = {
        {"\\\"\\\\\\/\\b\\f\\n\\r\\t", "\"\\/\b\f\n\r\t"},
        {"a\\u0041\\u00E9\\u20ac\\ud83d\\ude00z", "aA\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80z"},
        {"\\ud83d", NULL},
        {"\\ude00", NULL},
        {"\\ud83dx", NULL},
        {"\\ud83d\\n", NULL},
        {"\\ud83d\\ud83d", NULL},
        {"\\udbff\\udfff", "\xf4\x8f\xbf\xbf"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct dm_json_slice v = {
            .text = cases[i].escaped, .n = strlen(cases[i].escaped), .kind = DM_JSON_STRING, .escaped = true};
        char *out = malloc(v.n);
        size_t n;
        bool good = dm_json_unescape(&v, out, &n);
        assert_true(good == (cases[i].plain != NULL));
        if (good) {
            assert_int_equal(n, strlen(cases[i].plain));
            assert_memory_equal(out, cases[i].plain, n);
        }
        free(out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(accepted), cmocka_unit_test(refused),  cmocka_unit_test(depth),
        cmocka_unit_test(members),  cmocka_unit_test(unescape),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
