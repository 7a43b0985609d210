/* Our texts of values are DuckDB's, for all that DuckDB has a text of. (Of some 32-bit floats it writes more digits than are needed: "16487.9375".) */
#include "engine_fixture.h"

#include "engine/float_text.h"
#include "engine/sql.h"

struct seen {
    uint64_t rows;
    char first[200], second[200];
};

static enum dm_status same(void *ctx, size_t n, const char *const *values, struct dm_error *err)
{
    struct seen *s = ctx;
    (void)err;
    assert_int_equal(n, 2);
    const char *ours = values[0] != NULL ? values[0] : "NULL",
               *theirs = values[1] != NULL ? values[1] : "NULL";
    if (strcmp(ours, theirs) != 0)
        fail_msg("ours is %s, DuckDB's %s", ours, theirs);
    s->rows++;
    return DM_OK;
}

/* Every value of the column v and its cast. */
static void check(struct fixture *f, struct dm_sql *sql, const char *from)
{
    struct seen s = {0};
    char *query = dm_xasprintf("SELECT v, v::VARCHAR FROM (%s)", from);
    assert_ok(f, dm_sql_each(sql, query, same, &s, &f->err));
    assert_true(s.rows > 0);
    free(query);
}

static void texts_are_those_of_casts(void **state)
{
    struct fixture *f = *state;
    struct dm_sql *sql;
    assert_ok(f, dm_sql_open(f->engine, &sql, &f->err));
    static const char *const columns[] = {
        "SELECT ((hash(i) % 2000001)::DOUBLE - 1000000) * 10.0 ** (i % 620 - 310) AS v FROM range(20000) "
        "t(i)",
        "SELECT (hash(i)::DOUBLE / 3) * 10.0 ** (i % 340 - 320) AS v FROM range(20000) t(i)",
        "SELECT unnest([0, '-0', 'nan', 'inf', '-inf', 1e15, 1e16, 1e17, 123456789012345678, 1e-4, 1e-5, "
        "0.1, 5e-324, "
        "1.7976931348623157e308, 2.2250738585072014e-308, 2.225073858507201e-308, 9007199254740993, 4.35, "
        "100]::DOUBLE[]) "
        "AS v",
        "SELECT unnest([0, '-0', 'nan', 'inf', 1e15, 1e16, 16777216, 33554432, 0.1, 1e-45, 3.4028235e38, "
        "1.17549435e-38, 1.1754942e-38, 8589973000, 1e10]::FLOAT[]) AS v",
        "SELECT DATE '1970-01-01' + ((hash(i) % 4000000)::INTEGER - 2000000) AS v FROM range(5000) t(i)",
        "SELECT unnest(['infinity', '-infinity', '0001-01-01', '0001-12-31 (BC)', '9999-12-31', "
        "'10000-01-01', "
        "'5881580-07-10', '5877642-06-25 (BC)']::DATE[]) AS v",
        "SELECT make_timestamp((hash(i) % 400000000000000000)::BIGINT - 200000000000000000) AS v FROM "
        "range(5000) t(i)",
        "SELECT make_timestamp((hash(i) % 4000000000)::BIGINT * 1000000)::TIMESTAMPTZ AS v FROM range(5000) "
        "t(i)",
        "SELECT unnest(['infinity', '-infinity', '0001-01-01 00:00:00.000001', '290309-12-22 (BC) 00:00:00', "
        "'294247-01-10 04:00:54.775806']::TIMESTAMP[]) AS v",
        "SELECT unnest(['1970-01-01 00:00:00.5', '2026-02-03 04:05:06.789', '0044-03-15 (BC) 01:02:03', "
        "'infinity']::TIMESTAMP_MS[]) AS v",
        "SELECT unnest(['1970-01-01 00:00:00', '2026-02-03 04:05:06', 'infinity']::TIMESTAMP_S[]) AS v",
        "SELECT make_timestamp_ns((hash(i) % 9000000000000000000)::BIGINT - 4500000000000000000) AS v FROM "
        "range(5000) t(i)",
        "SELECT unnest(['00:00:00', '24:00:00', '23:59:59.999999', '12:34:56.7', '00:00:00.000001']::TIME[]) "
        "AS v",
        "SELECT unnest(['00:00:00+00', '23:59:59.5+15:59', '12:00:00-07:30', '12:00:00-15:59:59', "
        "'01:02:03+01:02:03']::"
        "TIMETZ[]) AS v",
        "SELECT unnest([INTERVAL '1 year 2 months 3 days 04:05:06.7', INTERVAL '-1 month', INTERVAL '0 "
        "days', "
        "INTERVAL '-3 days -00:00:00.5', INTERVAL '13 months 1 day', INTERVAL '1000:00:00', INTERVAL '-25 "
        "months']) AS v",
        "SELECT uuid() AS v FROM range(100)",
        "SELECT unnest(['0', '340282366920938463463374607431768211455', '18446744073709551616']::UHUGEINT[]) "
        "AS v",
        "SELECT unnest(['-170141183460469231731687303715884105728', "
        "'170141183460469231731687303715884105727', "
        "'0']::HUGEINT[]) AS v",
        "SELECT unnest([0, -0.05, 99999999999999999999999999999.9999]::DECIMAL(38,4)[]) AS v",
        "SELECT [1.5, NULL]::DOUBLE[] AS v",
    };
    for (size_t i = 0; i < sizeof columns / sizeof columns[0]; i++)
        check(f, sql, columns[i]);
    dm_sql_close(sql);
}

/* By all bits. */
static void floats_are_the_shortest_that_read_back(void **state)
{
    (void)state;
    uint64_t bits = 88172645463325252u;
    for (int i = 0; i < 200000; i++) {
        char text[DM_FLOAT_TEXT_MAX + 1];
        double v;
        float w;
        bits ^= bits << 13;
        bits ^= bits >> 7;
        bits ^= bits << 17;
        memcpy(&v, &bits, sizeof v);
        memcpy(&w, &bits, sizeof w);
        if (v == v) {
            text[dm_float64_text(v, text)] = 0;
            assert_true(strtod(text, NULL) == v);
        }
        if (w == w) {
            text[dm_float32_text(w, text)] = 0;
            assert_true(strtof(text, NULL) == w);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(texts_are_those_of_casts, fixture_setup, fixture_teardown),
        cmocka_unit_test(floats_are_the_shortest_that_read_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
