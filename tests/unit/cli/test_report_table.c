/* Aligned columns, progress texts and JSON of texts that are not UTF-8. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/progress.h"
#include "cli/json_output.h"
#include "cli/report_table.h"

static void test_alignment(void **state)
{
    (void)state;
    struct dm_report_table t = {.n_columns = 3};
    t.right[1] = true;
    dm_report_table_row(&t, (const char *[]){"NAME", "ROWS", "NOTE"});
    dm_report_table_row(&t, (const char *[]){"caf\xc3\xa9s", "12", NULL});
    dm_report_table_row(&t, (const char *[]){"x", "1,000", "y"});
    char text[256] = "";
    FILE *out = fmemopen(text, sizeof text, "w");
    dm_report_table_print(&t, out);
    fclose(out);
    assert_string_equal(text, "NAME    ROWS  NOTE\ncaf\xc3\xa9s     12  \nx      1,000  y\n");
    dm_report_table_release(&t);
}

static void test_progress_texts(void **state)
{
    (void)state;
    char out[256];
    assert_string_equal(dm_progress_count(0, out, sizeof out), "0");
    assert_string_equal(dm_progress_count(999, out, sizeof out), "999");
    assert_string_equal(dm_progress_count(1000, out, sizeof out), "1,000");
    assert_string_equal(dm_progress_count(UINT64_MAX, out, sizeof out), "18,446,744,073,709,551,615");
    assert_string_equal(dm_progress_duration(59, out, sizeof out), "0:59");
    assert_string_equal(dm_progress_duration(3723, out, sizeof out), "1:02:03");
    struct dm_progress p = {
        .what = "copying shop", .unit = "rows", .done = 250000, .total = 1000000, .rate = 50000};
    assert_string_equal(dm_progress_line(&p, 0, out, sizeof out),
                        "copying shop  250,000 of ~1,000,000 rows (25 %)  50,000 rows/s  0:16 left");
    p.done = 1200000; /* the estimate was too low */
    assert_string_equal(dm_progress_line(&p, 0, out, sizeof out),
                        "copying shop  1,200,000 of ~1,000,000 rows (99 %)  50,000 rows/s");
    p.total = 0;
    p.rate = 0;
    assert_string_equal(dm_progress_line(&p, 61000000, out, sizeof out),
                        "copying shop  1,200,000 rows  1:01 so far");
    char small[12];
    (void)dm_progress_line(&p, 0, small, sizeof small);
    assert_int_equal(strlen(small), 11);
}

static void test_json_texts(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *json;
    } cases[] = {
        {"a\"b", "{\"k\":\"a\\\"b\"}"},
        {NULL, "{\"k\":null}"},
        {"caf\xc3\xa9", "{\"k\":\"caf\xc3\xa9\"}"},
        {"a\xff", "{\"k\":\"a\xEF\xBF\xBD\"}"},
        {"a\xc3", "{\"k\":\"a\xEF\xBF\xBD\"}"},
        {"\xed\xa0\x80z", "{\"k\":\"\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBDz\"}"},
        {"\xc3\xa9\xed\xa0\x80", "{\"k\":\"\xc3\xa9\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\"}"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        json_t *o = json_object();
        dm_json_text(o, "k", cases[i].text);
        char *text = json_dumps(o, JSON_COMPACT);
        assert_string_equal(text, cases[i].json);
        free(text);
        json_decref(o);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_alignment),
        cmocka_unit_test(test_progress_texts),
        cmocka_unit_test(test_json_texts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
