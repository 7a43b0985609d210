/* Statements of `sql` taken apart: what stands in quotes and comments is never taken for SQL, and lines stay where they were. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "mirror/intake/sql_script.h"

static struct dm_sql_script parsed(const char *text, const char *into)
{
    struct dm_sql_script s;
    struct dm_error err = {0};
    if (dm_sql_script_parse(text, strlen(text), into, &s, &err) != DM_OK)
        fail_msg("%s: %s", text, err.message);
    return s;
}

static void assert_refused(const char *text, const char *into, const char *said)
{
    struct dm_sql_script s;
    struct dm_error err = {0};
    assert_int_equal(dm_sql_script_parse(text, strlen(text), into, &s, &err), DM_FAIL);
    assert_int_equal(err.class, DM_ERROR_CONFIG);
    assert_int_equal(s.n, 0);
    if (strstr(err.message, said) == NULL)
        fail_msg("%s: %s", text, err.message);
}

/* The only statement's query, without the spaces at both ends. */
static void assert_query(const char *text, const char *dataset, const char *query)
{
    struct dm_sql_script s = parsed(text, NULL);
    assert_int_equal(s.n, 1);
    assert_string_equal(s.statements[0].dataset, dataset);
    const char *q = s.statements[0].query;
    assert_string_equal(q + strspn(q, " \n"), query);
    dm_sql_script_release(&s);
}

static void forms_of_insert(void **state)
{
    (void)state;
    assert_query("insert into t select 1", "t", "select 1");
    assert_query("INSERT INTO ns . t FROM x", "ns.t", "FROM x");
    assert_query("insert into \"a b\".\"c\"\"d\" values (1)", "a b.c\"d", "values (1)");
    assert_query("insert into t (select 1) union (select 2)", "t", "(select 1) union (select 2)");
    assert_query("insert into t ((select 1))", "t", "((select 1))");
    assert_query("insert or replace into t by name select 1", "t", "select 1");
    assert_query("insert into t with x as (select 1) from x", "t", "with x as (select 1) from x");
    assert_query("with x as (select 1) insert into t from x", "t",
                 "with x as (select 1) SELECT * FROM (from x)");
    assert_query("with recursive x(n) as (select 1), y as (select ')') insert into t from y", "t",
                 "with recursive x(n) as (select 1), y as (select ')') SELECT * FROM (from y)");
    assert_query("with insert as (select 1) insert into t from insert", "t",
                 "with insert as (select 1) SELECT * FROM (from insert)");
}

static void columns_of_insert(void **state)
{
    (void)state;
    struct dm_sql_script s = parsed("insert into t (a, \"b, c\", \"d\"\"\") select 1, 2, 3", NULL);
    assert_int_equal(s.statements[0].n_columns, 3);
    assert_string_equal(s.statements[0].columns[0], "a");
    assert_string_equal(s.statements[0].columns[1], "b, c");
    assert_string_equal(s.statements[0].columns[2], "d\"");
    dm_sql_script_release(&s);
    assert_refused("insert into t (a, select 1", NULL, "comma or a closing");
    assert_refused("insert into t (a", NULL, "it ends where");
    assert_refused("insert into t () select 1", NULL, "name of a column");
}

static void quotes_and_comments_hide_what_is_in_them(void **state)
{
    (void)state;
    static const char *const queries[] = {"select ';', 1",
                                          "select 'it''s; insert into x'",
                                          "select E'\\';', 2",
                                          "select \"a;\"\"b\"",
                                          "select $$;$$",
                                          "select $tag$ ; $x$ ; $tag$",
                                          "select /* ; /* ; */ ; */ 1",
                                          "select 1 -- ; insert\n, 2",
                                          "select a$b, $1, 1e5"};
    for (size_t i = 0; i < sizeof queries / sizeof *queries; i++) {
        char text[200];
        (void)snprintf(text, sizeof text, "insert into t %s ; ", queries[i]);
        assert_query(text, "t", queries[i]);
    }
    struct dm_sql_script s =
        parsed(";; /* a */ insert into a select 1;\n\n-- b\ninsert into b select 2;;", NULL);
    assert_int_equal(s.n, 2);
    assert_int_equal(s.statements[0].line, 1);
    assert_int_equal(s.statements[1].line, 4);
    dm_sql_script_release(&s);
}

static void lines_stay_where_they_are(void **state)
{
    (void)state;
    struct dm_sql_script s =
        parsed("\n-- one\nWITH x AS (\n  SELECT 1)\nINSERT INTO\n  sales.t (a)\nSELECT *\nFROM x", NULL);
    char *query = dm_sql_statement_query(&s.statements[0]);
    const char *from = strstr(query, "FROM x");
    size_t line = 1;
    for (const char *c = query; c < from; c++)
        line += *c == '\n';
    assert_int_equal(line, 8);
    free(query);
    dm_sql_script_release(&s);
}

static void refusals(void **state)
{
    (void)state;
    assert_refused("", NULL, "there is no SQL");
    assert_refused(" -- nothing\n;", NULL, "there is no SQL");
    assert_refused("insert into t select 'a", NULL, "not closed");
    assert_refused("insert into t select \"a", NULL, "not closed");
    assert_refused("insert into t select 1 /* a", NULL, "not closed");
    assert_refused("insert into t select $q$ a $q", NULL, "not closed");
    assert_refused("insert into t select 1; select 2", NULL,
                   "statement 2 (line 1): this query writes nowhere");
    assert_refused("insert or ignore into t select 1", NULL, "OR REPLACE");
    assert_refused("insert into t by position select 1", NULL, "BY");
    assert_refused("insert into t default values", NULL, "a query is expected");
    assert_refused("insert into t select 1 on conflict (a) do update set b = 1", NULL, "ON CONFLICT");
    assert_refused("insert into t select 1", "u", "--into");
    assert_refused("delete from t", "u", "a query is expected");
}

static void into_takes_queries_alone(void **state)
{
    (void)state;
    struct dm_sql_script s = parsed("select 1; with x as (select 2) from x", "sales.t");
    assert_int_equal(s.n, 2);
    assert_string_equal(s.statements[1].dataset, "sales.t");
    assert_string_equal(s.statements[1].query, "with x as (select 2) from x");
    dm_sql_script_release(&s);
    /* names that only look like the end of an INSERT */
    assert_query("insert into t select 1 from a join b on conflict = a.x", "t",
                 "select 1 from a join b on conflict = a.x");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(forms_of_insert),
        cmocka_unit_test(columns_of_insert),
        cmocka_unit_test(quotes_and_comments_hide_what_is_in_them),
        cmocka_unit_test(lines_stay_where_they_are),
        cmocka_unit_test(refusals),
        cmocka_unit_test(into_takes_queries_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
