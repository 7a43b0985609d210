/* Typing by declared type: every rule and storage class, copy and stream alike, edge values, and what goes
 * to quarantine. */
#include <float.h>
#include <math.h>

#include "recorder.h"
#include "source/sqlite/sqlite_value.h"

static void test_rules(void **state)
{
    (void)state;
    static const struct {
        const char *declared;
        enum dm_sqlite_rule_id id;
        enum dm_type_id type;
        int precision, scale;
    } cases[] = {
        {"INTEGER", DM_SQLITE_INTEGER, DM_INT64, 0, 0},
        {"unsigned big int", DM_SQLITE_INTEGER, DM_INT64, 0, 0},
        {"FLOATING POINT", DM_SQLITE_INTEGER, DM_INT64, 0, 0}, /* contains INT: SQLite's own rule */
        {"CHARINT", DM_SQLITE_INTEGER, DM_INT64, 0, 0},
        {"varchar(20)", DM_SQLITE_TEXT, DM_STRING, 0, 0},
        {"CLOB", DM_SQLITE_TEXT, DM_STRING, 0, 0},
        {"BLOB", DM_SQLITE_BLOB, DM_BINARY, 0, 0},
        {"DOUBLE PRECISION", DM_SQLITE_REAL, DM_FLOAT64, 0, 0},
        {"BOOLEAN", DM_SQLITE_BOOL, DM_BOOL, 0, 0},
        {"Bool", DM_SQLITE_BOOL, DM_BOOL, 0, 0},
        {"DECIMAL(10,2)", DM_SQLITE_DECIMAL, DM_DECIMAL, 10, 2},
        {"numeric ( 38 , 10 )", DM_SQLITE_DECIMAL, DM_DECIMAL, 38, 10},
        {"DECIMAL(7)", DM_SQLITE_DECIMAL, DM_DECIMAL, 7, 0},
        {"NUMERIC", DM_SQLITE_PLAIN, DM_STRING, 0, 0},
        {"NUMERIC(39,2)", DM_SQLITE_PLAIN, DM_STRING, 0, 0},
        {"NUMERIC(5,6)", DM_SQLITE_PLAIN, DM_STRING, 0, 0},
        {"DATETIME", DM_SQLITE_PLAIN, DM_STRING, 0, 0},
        {"DATE", DM_SQLITE_PLAIN, DM_STRING, 0, 0},
        {"STRING", DM_SQLITE_PLAIN, DM_STRING, 0, 0},
        {"", DM_SQLITE_LITERAL, DM_STRING, 0, 0},
        {"ANY", DM_SQLITE_PLAIN, DM_STRING, 0, 0}, /* numeric affinity outside STRICT tables */
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct dm_sqlite_rule r = dm_sqlite_rule_of(cases[i].declared, false);
        if (r.id != cases[i].id || r.type.id != cases[i].type || r.type.precision != cases[i].precision ||
            r.type.scale != cases[i].scale)
            fail_msg("%s: rule %d type %d(%d,%d)", cases[i].declared, (int)r.id, r.type.id, r.type.precision,
                     r.type.scale);
    }
    assert_int_equal(dm_sqlite_rule_of("ANY", true).id, DM_SQLITE_LITERAL);
    assert_int_equal(dm_sqlite_rule_of(NULL, false).id, DM_SQLITE_LITERAL);
}

/* The value of a column after `SELECT <expression>` went through a rule, as text; or the reason. */
static const char *through(const char *declared, const char *expression)
{
    static char out[512];
    sqlite3 *db = NULL;
    sqlite3_stmt *row = NULL;
    char sql[512];
    struct dm_sqlite_rule rule = dm_sqlite_rule_of(declared, false);
    assert_int_equal(sqlite3_open(":memory:", &db), SQLITE_OK);
    (void)snprintf(sql, sizeof sql, "SELECT %s", expression);
    assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &row, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(row), SQLITE_ROW);
    struct dm_column c;
    dm_column_init(&c, rule.type);
    const char *reason = dm_sqlite_append(&c, rule, row, 0);
    assert_int_equal(c.length, reason == NULL);
    size_t n = 0;
    if (reason != NULL) {
        (void)snprintf(out, sizeof out, "!%s", reason);
    } else if (c.state[0] == DM_NULL) {
        (void)strcpy(out, "null");
    } else if (rule.type.id == DM_DECIMAL) {
        dm_int128 v;
        memcpy(&v, dm_column_fixed(&c, 0), sizeof v);
        bool negative = v < 0;
        char digits[64];
        char *p = digits + sizeof digits - 1;
        *p = '\0';
        for (v = negative ? -v : v; v > 0 || p == digits + sizeof digits - 1; v /= 10)
            *--p = (char)('0' + (int)(v % 10));
        (void)snprintf(out, sizeof out, "%s%s", negative ? "-" : "", p);
    } else if (rule.type.id == DM_INT64) {
        (void)snprintf(out, sizeof out, "%lld", (long long)dm_column_int64(&c, 0));
    } else if (rule.type.id == DM_BOOL) {
        (void)strcpy(out, c.data[0] ? "true" : "false");
    } else if (rule.type.id == DM_FLOAT64) {
        double d;
        memcpy(&d, c.data, sizeof d);
        (void)snprintf(out, sizeof out, "%.17g", d);
    } else {
        const uint8_t *bytes = dm_column_bytes_at(&c, 0, &n);
        for (size_t i = 0; i <= n; i++)
            out[i] = i == n ? '\0' : bytes[i] == 0 ? '~' : (char)bytes[i];
    }
    dm_column_release(&c);
    (void)sqlite3_finalize(row);
    (void)sqlite3_close(db);
    return out;
}

static void test_values(void **state)
{
    (void)state;
    static const struct {
        const char *declared, *expression, *want;
    } cases[] = {
        {"INTEGER", "9223372036854775807", "9223372036854775807"},
        {"INTEGER", "-9223372036854775808", "-9223372036854775808"},
        {"INTEGER", "1.5", "!value_type"},
        {"INTEGER", "'1'", "!value_type"},
        {"INTEGER", "NULL", "null"},
        {"REAL", "1e308 * 10", "inf"},
        {"REAL", "0.1", "0.10000000000000001"},
        {"REAL", "'x'", "!value_type"},
        {"REAL", "5", "!value_type"}, /* cannot happen in a REAL column */
        {"BOOLEAN", "1", "true"},
        {"BOOLEAN", "0", "false"},
        {"BOOLEAN", "2", "!value_out_of_range"},
        {"BOOLEAN", "'true'", "!value_type"},
        {"TEXT", "'h\xc3\xa9llo'", "h\xc3\xa9llo"},
        {"TEXT", "''", ""},
        {"TEXT", "CAST(x'610062' AS TEXT)", "a~b"},
        {"TEXT", "CAST(x'ff61' AS TEXT)", "!invalid_utf8"},
        {"TEXT", "CAST(x'eda080' AS TEXT)", "!invalid_utf8"},   /* a surrogate */
        {"TEXT", "CAST(x'c080' AS TEXT)", "!invalid_utf8"},     /* overlong */
        {"TEXT", "CAST(x'f4908080' AS TEXT)", "!invalid_utf8"}, /* above U+10FFFF */
        {"TEXT", "CAST(x'61e282' AS TEXT)", "!invalid_utf8"},   /* cut */
        {"TEXT", "CAST(x'f09f9880' AS TEXT)", "\xf0\x9f\x98\x80"},
        {"TEXT", "x'61'", "!value_type"},
        {"BLOB", "x'61'", "a"},
        {"BLOB", "x''", ""},
        {"BLOB", "'a'", "!value_type"},
        {"DECIMAL(10,2)", "12.34", "1234"},
        {"DECIMAL(10,2)", "-0.01", "-1"},
        {"DECIMAL(10,2)", "5", "500"},
        {"DECIMAL(10,2)", "12.345", "!value_out_of_range"},
        {"DECIMAL(10,2)", "99999999.99", "9999999999"},
        {"DECIMAL(10,2)", "99999999.995", "!value_out_of_range"},
        {"DECIMAL(10,2)", "100000000", "!value_out_of_range"},
        {"DECIMAL(10,2)", "100000000.0", "!value_out_of_range"},
        {"DECIMAL(10,2)", "-100000000", "!value_out_of_range"},
        {"DECIMAL(10,2)", "1e308 * 10", "!value_out_of_range"},
        {"DECIMAL(10,2)", "'abc'", "!value_type"},
        {"DECIMAL(38,0)", "9223372036854775807", "9223372036854775807"},
        {"DECIMAL(38,19)", "-9223372036854775808", "-92233720368547758080000000000000000000"},
        {"DECIMAL(38,38)", "1", "!value_out_of_range"},
        {"DECIMAL(38,38)", "0", "0"},
        {"DECIMAL(38,0)", "1e37", "9999999999999999538762658202121142272"}, /* what that double is */
        {"DECIMAL(38,0)", "1e39", "!value_out_of_range"},
        {"NUMERIC", "42", "42"},
        {"NUMERIC", "0.1", "0.1"},
        {"NUMERIC", "1e100", "1e+100"},
        {"NUMERIC", "3.0", "3.0"},
        {"NUMERIC", "-1e308 * 10", "-9e999"},
        {"NUMERIC", "5e-324", "4.94065645841247e-324"},
        {"NUMERIC", "'n/a'", "n/a"},
        {"NUMERIC", "x'00'", "!value_type"},
        {"DATETIME", "'2024-02-30 25:00'", "2024-02-30 25:00"},
        {"DATETIME", "1700000000", "1700000000"},
        {"", "1", "1"},
        {"", "1.0", "1.0"},
        {"", "'1'", "'1'"},
        {"", "'it''s'", "'it''s'"},
        {"", "x'00ff'", "X'00ff'"},
        {"", "CAST(x'ff' AS TEXT)", "!invalid_utf8"},
        {"", "NULL", "null"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *have = through(cases[i].declared, cases[i].expression);
        if (strcmp(have, cases[i].want) != 0)
            fail_msg("%s into %s: %s, wanted %s", cases[i].expression, cases[i].declared, have,
                     cases[i].want);
    }
}

/* Every storage class in every kind of column: what the stream delivers is what a copy delivers, quarantine
 * included. */
static void test_copy_and_stream_agree(void **state)
{
    (void)state;
    static const char *const values[] = {"NULL",
                                         "0",
                                         "1",
                                         "-1",
                                         "9223372036854775807",
                                         "-9223372036854775808",
                                         "1.5",
                                         "-0.0",
                                         "0.1",
                                         "1e300",
                                         "9e999",
                                         "''",
                                         "'text'",
                                         "'12'",
                                         "'1.50'",
                                         "'2024-01-31'",
                                         "x''",
                                         "x'00ff'",
                                         "CAST(x'610062' AS TEXT)",
                                         "CAST(x'ff' AS TEXT)",
                                         "'\xf0\x9f\x98\x80'"};
    static const char table[] = "(id INTEGER PRIMARY KEY, i INT, r REAL, t TEXT, b BLOB, n NUMERIC, d "
                                "DECIMAL(12,3), o BOOLEAN, w DATETIME, x)";
    struct shop s;
    char sql[1024];
    (void)snprintf(sql, sizeof sql, "CREATE TABLE copied%s; CREATE TABLE streamed%s", table, table);
    shop_open(&s, sql);
    static const char columns[] = "irtbndowx";
    enum { n_values = sizeof values / sizeof *values };
    for (int pass = 0; pass < 2; pass++) {
        for (size_t c = 0; c < sizeof columns - 1; c++) {
            for (size_t v = 0; v < n_values; v++) {
                (void)snprintf(sql, sizeof sql, "INSERT INTO %s(id, %c) VALUES (%zu, %s)",
                               pass == 0 ? "copied" : "streamed", columns[c], c * n_values + v, values[v]);
                shop_sql(&s, sql);
            }
        }
        if (pass == 0)
            shop_mirror(&s);
    }
    shop_catch_up(&s);
    struct rec_table *a = rec_of(&s.rec, "copied"), *b = rec_of(&s.rec, "streamed");
    assert_true(a->bad > 0);
    assert_int_equal(a->bad, b->bad);
    assert_int_equal(a->n, b->n);
    assert_int_equal(a->n + a->bad, (sizeof columns - 1) * n_values);
    shop_compare(&s);
    for (size_t i = 0; i < a->schema->n_fields;
         i++) /* compare_row matches columns by number: those are per table */
        assert_int_equal(a->schema->fields[i].source_ref, b->schema->fields[i].source_ref);
    compared = a;
    expected_now = b;
    twalk(a->rows, compare_row);
    /* The same values again as updates of rows that hold something else. */
    for (size_t c = 0; c < sizeof columns - 1; c++) {
        for (size_t v = 0; v < n_values; v++) {
            (void)snprintf(sql, sizeof sql,
                           "UPDATE streamed SET %c = NULL, x = NULL WHERE id = %zu; UPDATE streamed SET %c = "
                           "%s WHERE id = %zu",
                           columns[c], c * n_values + v, columns[c], values[v], c * n_values + v);
            shop_sql(&s, sql);
        }
        shop_catch_up(&s);
    }
    shop_compare(&s);
    shop_close(&s);
}

/* A row that stops fitting leaves the lake and waits in quarantine with its raw content; mended, it comes
 * back. */
static void test_quarantine(void **state)
{
    (void)state;
    struct shop s;
    shop_open(&s, "CREATE TABLE t(id INTEGER PRIMARY KEY, n INT); INSERT INTO t VALUES (1, 1), (2, 2)");
    shop_mirror(&s);
    shop_sql(&s, "UPDATE t SET n = 'not a number' WHERE id = 1");
    shop_catch_up(&s);
    struct rec_table *t = rec_of(&s.rec, "t");
    assert_int_equal(t->bad, 1);
    assert_string_equal(t->last_bad, "value_type");
    assert_string_equal(t->last_raw, "{\"id\": 1, \"n\": \"not a number\"}");
    assert_int_equal(t->n, 1);
    shop_compare(&s);
    shop_sql(&s, "UPDATE t SET n = x'00ff' WHERE id = 2");
    shop_catch_up(&s);
    assert_string_equal(t->last_raw, "{\"id\": 2, \"n\": {\"blob_hex\": \"00ff\"}}");
    shop_sql(&s, "UPDATE t SET n = id");
    shop_catch_up(&s);
    assert_int_equal(t->n, 2);
    shop_compare(&s);
    shop_close(&s);
}

/* SQLite lets NULL stand in a PRIMARY KEY that is not the rowid, several times over. */
static void test_null_keys(void **state)
{
    (void)state;
    struct shop s;
    shop_open(&s, "CREATE TABLE t(k TEXT PRIMARY KEY, v); INSERT INTO t VALUES (NULL, 1), ('a', 2)");
    shop_mirror(&s);
    struct rec_table *t = rec_of(&s.rec, "t");
    assert_int_equal(t->bad, 1);
    assert_string_equal(t->last_bad, "null_key");
    shop_sql(&s, "INSERT INTO t VALUES (NULL, 3); UPDATE t SET k = NULL WHERE k = 'a'");
    shop_catch_up(&s);
    assert_int_equal(t->n, 0);
    assert_true(t->bad >= 4);
    shop_sql(&s, "UPDATE t SET k = 'k' || v");
    shop_catch_up(&s);
    assert_int_equal(t->n, 3);
    shop_compare(&s);
    shop_close(&s);
}

/* Keys are bytes for the lake, whatever the collation says; 1 and 1.0 are one number in a key without type,
 * but two texts. */
static void test_keys_of_collations(void **state)
{
    (void)state;
    struct shop s;
    shop_open(&s,
              "CREATE TABLE n(k TEXT COLLATE NOCASE PRIMARY KEY, v); CREATE TABLE r(k TEXT, v, PRIMARY KEY "
              "(k COLLATE RTRIM)) WITHOUT ROWID;"
              "CREATE TABLE any(k PRIMARY KEY, v); CREATE TABLE two(a TEXT, b REAL, v, PRIMARY KEY (b, a));"
              "INSERT INTO n VALUES ('a', 1), ('b', 2); INSERT INTO r VALUES ('x', 1), ('y ', 2); INSERT "
              "INTO any VALUES (1, 'i'), ('1', 't'), (x'31', 'b');"
              "INSERT INTO two VALUES ('a', 1, 1), ('a', 2, 1), ('b', 1, 1)");
    shop_mirror(&s);
    shop_sql(&s, "UPDATE n SET k = 'A' WHERE k = 'a'; UPDATE r SET k = k || '  '; UPDATE any SET k = 1.0 "
                 "WHERE v = 'i'; UPDATE two SET b = -0.0 WHERE b = 2");
    shop_catch_up(&s);
    shop_compare(&s);
    shop_sql(&s, "REPLACE INTO n VALUES ('B', 3); REPLACE INTO r VALUES ('x', 9); REPLACE INTO any VALUES "
                 "(1, 'again'); REPLACE INTO two VALUES ('a', 0.0, 5);"
                 "INSERT INTO n VALUES ('a', 7) ON CONFLICT DO UPDATE SET v = 8");
    shop_catch_up(&s);
    shop_compare(&s);
    assert_int_equal(rec_of(&s.rec, "n")->n, 2);
    assert_int_equal(rec_of(&s.rec, "any")->n, 3);
    shop_close(&s);
}

static void test_utf16(void **state)
{
    (void)state;
    struct shop s;
    shop_open(&s, "SELECT 1");
    shop_close(&s);
    /* shop_open makes WAL first, which fixes the encoding: make this one by hand. */
    memset(&s, 0, sizeof s);
    shop_open(&s, "PRAGMA journal_mode = DELETE");
    (void)sqlite3_close(s.db);
    (void)unlink(s.path);
    assert_int_equal(sqlite3_open(s.path, &s.db), SQLITE_OK);
    shop_sql(&s, "PRAGMA encoding = 'UTF-16le'; PRAGMA journal_mode = WAL; CREATE TABLE t(k TEXT PRIMARY KEY "
                 "NOT NULL, v TEXT);"
                 "INSERT INTO t VALUES ('\xf0\x9f\x98\x80', 'h\xc3\xa9'), ('b', 'x')");
    shop_mirror(&s);
    shop_sql(
        &s,
        "UPDATE t SET v = v || '\xe2\x82\xac'; INSERT INTO t VALUES ('bad', CAST(x'3dd8' AS TEXT))"); /* a lone surrogate */
    shop_catch_up(&s);
    assert_int_equal(rec_of(&s.rec, "t")->n, 2);
    assert_string_equal(rec_of(&s.rec, "t")->last_bad, "invalid_utf8");
    shop_compare(&s);
    shop_close(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rules),
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_copy_and_stream_agree),
        cmocka_unit_test(test_quarantine),
        cmocka_unit_test(test_null_keys),
        cmocka_unit_test(test_keys_of_collations),
        cmocka_unit_test(test_utf16),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
