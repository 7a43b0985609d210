#include "engine_fixture.h"

#include "engine/sql.h"

struct lake {
    struct fixture *f;
    struct dm_sql *sql;
    struct dm_schema *schema;
    char paths[2][128];
    struct dm_scan_file files[2];
    roaring_bitmap_t *deleted;
};

/* "shop"."orders": ids 0 … 99 in two files; of the first file the even positions are deleted. */
static void lake_open(struct lake *l, struct fixture *f)
{
    *l = (struct lake){.f = f, .schema = dm_schema_new(), .deleted = roaring_bitmap_create()};
    dm_schema_add(l->schema, "id", dm_type_of(DM_INT64))->id = 1;
    dm_schema_add(l->schema, "file_row_number", dm_type_of(DM_STRING))->id =
        2;                                                         /* a name that DuckDB's reader uses too */
    dm_schema_add(l->schema, "ID", dm_type_of(DM_STRING))->id = 3; /* and one that differs in case only */
    for (uint32_t n = 0; n < 2; n++) {
        snprintf(l->paths[n], sizeof l->paths[n], "%s/it's %u.parquet", f->folder, n);
        struct dm_batch *b = dm_batch_new(l->schema);
        for (int64_t i = 50 * n; i < 50 * n + 50; i++) {
            add_int64(&b->columns[0], i);
            add_text(&b->columns[1], i % 2 ? "odd" : "even");
            dm_column_append_null(&b->columns[2]);
            dm_batch_end_row(b, DM_OP_COPY);
        }
        struct dm_parquet_result r;
        assert_ok(f,
                  dm_parquet_write_batch(f->engine, l->paths[n], l->schema, zstd(), b, NULL, 0, &r, &f->err));
        dm_parquet_result_release(&r);
        dm_batch_free(b);
        l->files[n] = (struct dm_scan_file){.path = l->paths[n], .number = n, .rows = 50};
    }
    for (uint32_t p = 0; p < 50; p += 2)
        roaring_bitmap_add(l->deleted, p);
    l->files[0].deleted = l->deleted;
    assert_ok(f, dm_sql_open(f->engine, &l->sql, &f->err));
    assert_ok(f, dm_sql_add_dataset(l->sql, "shop", "orders", l->schema, l->files, 2, &f->err));
}

static void lake_close(struct lake *l)
{
    dm_sql_close(l->sql);
    roaring_bitmap_free(l->deleted);
    dm_schema_unref(l->schema);
}

/* What dm_sql_print writes; to be freed. */
static char *printed(struct lake *l, const char *query, enum dm_sql_format format)
{
    char *text = NULL;
    size_t n = 0;
    FILE *out = open_memstream(&text, &n);
    assert_non_null(out);
    assert_ok(l->f, dm_sql_print(l->sql, query, format, out, NULL, &l->f->err));
    fclose(out);
    return text;
}

static void assert_prints(struct lake *l, const char *query, enum dm_sql_format format, const char *expected)
{
    char *text = printed(l, query, format);
    assert_string_equal(text, expected);
    free(text);
}

static void deleted_rows_are_invisible(void **state)
{
    struct lake l;
    lake_open(&l, *state);
    assert_prints(&l, "SELECT count(*) n, sum(id) s, min(id) a, max(id) b FROM shop.orders", DM_SQL_JSON,
                  "{\"n\":75,\"s\":4350,\"a\":1,\"b\":99}\n");
    assert_prints(&l, "SELECT id, file_row_number FROM shop.orders WHERE id IN (2, 3, 60) ORDER BY id",
                  DM_SQL_CSV, "id,file_row_number\r\n3,odd\r\n60,even\r\n");
    assert_prints(&l, "SELECT count(*) AS n FROM shop.orders a JOIN shop.orders b ON a.id = b.id + 1",
                  DM_SQL_CSV, "n\r\n50\r\n");
    assert_prints(&l, "SELECT * FROM shop.orders LIMIT 1", DM_SQL_JSON,
                  "{\"id\":1,\"file_row_number\":\"odd\",\"ID_3\":null}\n");
    lake_close(&l);
}

static void datasets_have_their_own_deletes_and_odd_names(void **state)
{
    struct fixture *f = *state;
    struct lake l;
    lake_open(&l, f);
    struct dm_scan_file all = l.files[0];
    roaring_bitmap_t *last = roaring_bitmap_from_range(0, 49, 1);
    all.deleted = last;
    assert_ok(f, dm_sql_add_dataset(l.sql, "a \"b\".c", "it's / select", l.schema, &all, 1, &f->err));
    assert_ok(f, dm_sql_add_dataset(l.sql, "Shop", "ORDERS", l.schema, &l.files[1], 1, &f->err));
    assert_prints(&l, "SELECT count(*) n FROM shop.orders_2", DM_SQL_CSV, "n\r\n50\r\n");
    assert_ok(f, dm_sql_add_dataset(l.sql, "shop", "empty", l.schema, NULL, 0, &f->err));
    assert_ok(f, dm_sql_lock(l.sql, &f->err));
    assert_prints(&l,
                  "SELECT (SELECT count(*) FROM \"a \"\"b\"\".c\".\"it's / select\") a, (SELECT count(*) "
                  "FROM shop.orders) b, "
                  "(SELECT count(*) FROM shop.empty) c",
                  DM_SQL_CSV, "a,b,c\r\n1,75,0\r\n");
    assert_prints(&l, "SELECT * FROM shop.empty", DM_SQL_TABLE,
                  "id  file_row_number  ID_3\n--  ---------------  ----\n(0 rows)\n");
    assert_prints(&l, "FROM shop.empty", DM_SQL_CSV, "id,file_row_number,ID_3\r\n");
    lake_close(&l);
    roaring_bitmap_free(last);
}

static void csv_is_rfc_4180(void **state)
{
    struct lake l;
    lake_open(&l, *state);
    assert_prints(
        &l,
        "SELECT NULL AS \"a,b\", '' AS \"say \"\"x\"\"\", 'a,b' c, 'q\"q' d, E'l\\nl' e, 'plain' f, ' x' g, "
        "NULL::INT h",
        DM_SQL_CSV,
        "\"a,b\",\"say \"\"x\"\"\",c,d,e,f,g,h\r\n,\"\",\"a,b\",\"q\"\"q\",\"l\nl\",plain,\" x\",\r\n");
    assert_prints(
        &l,
        "SELECT 1.50::DECIMAL(9,2) a, 'inf'::DOUBLE b, [1, NULL] c, '\\xAB\\x00'::BLOB d, DATE '0044-03-15 "
        "(BC)' e, "
        "TIMESTAMPTZ '2026-11-21 10:00:00.5+02' f, true g",
        DM_SQL_CSV,
        "a,b,c,d,e,f,g\r\n1.50,inf,\"[1, NULL]\",\\xab00,0044-03-15 (BC),2026-11-21 08:00:00.5+00,true\r\n");
    lake_close(&l);
}

static void json_keeps_every_digit(void **state)
{
    struct lake l;
    lake_open(&l, *state);
    assert_prints(
        &l,
        "SELECT 9223372036854775807 a, (-9223372036854775808)::BIGINT b, 18446744073709551615::UBIGINT c, "
        "(-170141183460469231731687303715884105728)::HUGEINT d, "
        "340282366920938463463374607431768211455::UHUGEINT e, "
        "(-0.05)::DECIMAL(38,10) f, 99999999999999999999999999999999999999::DECIMAL(38,0) g, "
        "0.00::DECIMAL(4,2) h, (-7)::TINYINT i",
        DM_SQL_JSON,
        "{\"a\":9223372036854775807,\"b\":-9223372036854775808,\"c\":18446744073709551615,"
        "\"d\":-170141183460469231731687303715884105728,\"e\":340282366920938463463374607431768211455,"
        "\"f\":-0.0500000000,\"g\":99999999999999999999999999999999999999,\"h\":0.00,\"i\":-7}\n");
    assert_prints(&l,
                  "SELECT 'nan'::FLOAT a, 'inf'::DOUBLE b, '-inf'::FLOAT c, 0.1::DOUBLE d, 1e300 e, "
                  "0.1::FLOAT f, '-0'::DOUBLE g",
                  DM_SQL_JSON,
                  "{\"a\":\"NaN\",\"b\":\"Infinity\",\"c\":\"-Infinity\",\"d\":0.1,\"e\":1e+300,\"f\":0.1,"
                  "\"g\":-0.0}\n");
    lake_close(&l);
}

static void json_times_are_iso_8601(void **state)
{
    struct lake l;
    lake_open(&l, *state);
    assert_prints(&l,
                  "SELECT DATE '2026-11-21' a, DATE 'infinity' b, DATE '0044-03-15 (BC)' c, DATE "
                  "'12345-02-28' d, DATE '1970-01-01' e, "
                  "DATE '2000-02-29' f, DATE '1900-03-01' g, DATE '0001-01-01' h, DATE '0001-12-31 (BC)' i",
                  DM_SQL_JSON,
                  "{\"a\":\"2026-11-21\",\"b\":\"infinity\",\"c\":\"-0043-03-15\",\"d\":\"+12345-02-28\","
                  "\"e\":\"1970-01-01\","
                  "\"f\":\"2000-02-29\",\"g\":\"1900-03-01\",\"h\":\"0001-01-01\",\"i\":\"0000-12-31\"}\n");
    assert_prints(&l,
                  "SELECT TIMESTAMP '1969-12-31 23:59:59.999999' a, TIMESTAMPTZ '2026-11-21 10:00:00.5+02' "
                  "b, TIMESTAMP '-infinity' c, "
                  "TIME '23:59:59.12' d, TIME '24:00:00' e, TIMESTAMP '2026-11-21 00:00:00' f",
                  DM_SQL_JSON,
                  "{\"a\":\"1969-12-31T23:59:59.999999\",\"b\":\"2026-11-21T08:00:00.5Z\",\"c\":\"-"
                  "infinity\",\"d\":\"23:59:59.12\","
                  "\"e\":\"24:00:00\",\"f\":\"2026-11-21T00:00:00\"}\n");
    lake_close(&l);
}

static void json_nests_and_escapes(void **state)
{
    struct lake l;
    lake_open(&l, *state);
    assert_prints(&l,
                  "SELECT E'q\" b\\\\ n\\n t\\t \\x01 \xc3\xa4' a, '\\x00\\xFFz'::BLOB b, [1, NULL, 3] c, "
                  "[]::INT[] d, {'x': 1, 'y': ['a']} e, "
                  "MAP {'k': 1} f, [1, 2]::INT[2] g, 'b'::ENUM('a', 'b') h, "
                  "'f79c3e09-677c-4bbd-a479-3f349cb785e7'::UUID i, "
                  "INTERVAL '1 month 2 days' j, NULL k, '' l",
                  DM_SQL_JSON,
                  "{\"a\":\"q\\\" b\\\\ n\\n t\\t \\u0001 "
                  "\xc3\xa4\",\"b\":\"00ff7a\",\"c\":[1,null,3],\"d\":[],\"e\":{\"x\":1,\"y\":[\"a\"]},"
                  "\"f\":[{\"key\":\"k\",\"value\":1}],\"g\":[1,2],\"h\":\"b\",\"i\":\"f79c3e09-677c-4bbd-"
                  "a479-3f349cb785e7\","
                  "\"j\":\"1 month 2 days\",\"k\":null,\"l\":\"\"}\n");
    lake_close(&l);
}

static void tables_are_aligned_and_harmless(void **state)
{
    struct lake l;
    lake_open(&l, *state);
    assert_prints(&l,
                  "SELECT * FROM (VALUES (1, 'Ann', 4.20), (-10, NULL, NULL), (100, E'a\\nb\\x1b[31m', "
                  "12345.67)) t(id, name, amount)",
                  DM_SQL_TABLE,
                  " id  name            amount\n"
                  "---  ------------  --------\n"
                  "  1  Ann               4.20\n"
                  "-10  NULL              NULL\n"
                  "100  a\\nb\\x1b[31m  12345.67\n"
                  "(3 rows)\n");
    assert_prints(&l, "SELECT '\xe4\xb8\xad\xe6\x96\x87' a, 'x' b UNION ALL SELECT 'aaaaa', 'y'",
                  DM_SQL_TABLE, "a      b\n-----  -\n\xe4\xb8\xad\xe6\x96\x87   x\naaaaa  y\n(2 rows)\n");
    assert_prints(&l, "SELECT 1 AS one", DM_SQL_TABLE, "one\n---\n  1\n(1 row)\n");
    char *many = printed(&l, "SELECT i FROM range(5000) t(i)", DM_SQL_TABLE); /* beyond what is held back */
    assert_non_null(strstr(many, "\n4999\n(5000 rows)\n"));
    free(many);
    lake_close(&l);
}

struct seen {
    int rows;
    char last[64];
};

static enum dm_status see(void *ctx, size_t n, const char *const *values, struct dm_error *err)
{
    struct seen *s = ctx;
    assert_int_equal(n, 3);
    if (++s->rows == 7000)
        return dm_fail(err, DM_ERROR_CONFLICT, NULL, "seen enough");
    assert_null(values[1]);
    snprintf(s->last, sizeof s->last, "%s/%s", values[0], values[2]);
    return DM_OK;
}

static void each_row_arrives_as_texts(void **state)
{
    struct fixture *f = *state;
    struct lake l;
    lake_open(&l, f);
    struct seen s = {0};
    assert_ok(f, dm_sql_each(l.sql, "SELECT i, NULL, '' || i FROM range(5000) t(i)", see, &s, &f->err));
    assert_int_equal(s.rows, 5000);
    assert_string_equal(s.last, "4999/4999");
    s.rows = 0;
    assert_int_equal(dm_sql_each(l.sql, "SELECT i, NULL, '' FROM range(100000) t(i)", see, &s, &f->err),
                     DM_FAIL);
    assert_int_equal(f->err.class, DM_ERROR_CONFLICT);
    assert_int_equal(s.rows, 7000);
    assert_prints(&l, "SELECT 1 a", DM_SQL_CSV, "a\r\n1\r\n"); /* the session goes on */
    lake_close(&l);
}

static void mistakes_are_config_errors(void **state)
{
    struct fixture *f = *state;
    struct lake l;
    lake_open(&l, f);
    static const char *const wrong[] = {
        "SELCT 1",           "SELECT nope FROM shop.orders", "SELECT * FROM nowhere", "SELECT 'x'::INT", "",
        "SELECT 1; SELECT 2"};
    for (int locked = 0; locked < 2; locked++) {
        for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
            FILE *out = tmpfile();
            if (dm_sql_print(l.sql, wrong[i], DM_SQL_CSV, out, NULL, &f->err) != DM_FAIL)
                fail_msg("went through: %s", wrong[i]);
            assert_int_equal(f->err.class, DM_ERROR_CONFIG);
            assert_true(strlen(f->err.message) > 10);
            fclose(out);
        }
        assert_ok(f, dm_sql_lock(l.sql, &f->err));
    }
    lake_close(&l);
}

static void a_locked_session_only_reads_its_datasets(void **state)
{
    struct fixture *f = *state;
    struct lake l;
    lake_open(&l, f);
    assert_ok(f, dm_sql_execute(l.sql, "CREATE TABLE before AS SELECT 1 AS x; INSERT INTO before VALUES (2)",
                                &f->err));
    assert_ok(f, dm_sql_lock(l.sql, &f->err));
    char data_file[1024], folder_trick[1024], raw[1024];
    snprintf(data_file, sizeof data_file, "SELECT * FROM \"%s\"", l.paths[0]);
    snprintf(folder_trick, sizeof folder_trick, "SELECT * FROM \"%s/it's 0\".parquet", f->folder);
    snprintf(raw, sizeof raw, "SELECT * FROM read_parquet('%s/it''s 0.parquet')", f->folder);
    const char *const forbidden[] = {
        data_file,
        folder_trick,
        raw,
        "SELECT * FROM '/etc/passwd'",
        "SELECT * FROM read_text('/etc/passwd')",
        "SELECT * FROM read_csv('/etc/passwd')",
        "SELECT * FROM glob('/*')",
        "SELECT * FROM (SELECT * FROM read_blob('/etc/passwd'))",
        "WITH a AS (SELECT * FROM read_text('/etc/passwd')) SELECT * FROM a",
        "SELECT 1 WHERE EXISTS (SELECT * FROM glob('*'))",
        "SELECT * FROM query('SELECT 1')",
        "SELECT * FROM enable_logging()",
        "SELECT * FROM dm_pull_1()",
        "SELECT * FROM 'x/y.csv'",
        "DESCRIBE 'x/y.csv'",
        "SUMMARIZE SELECT * FROM read_text('/etc/passwd')",
        "COPY (SELECT 1) TO '/tmp/dm-must-not-exist.csv'",
        "COPY before FROM '/etc/passwd'",
        "EXPLAIN ANALYZE COPY (SELECT 1) TO '/tmp/dm-must-not-exist.csv'",
        "ATTACH '/tmp/dm-must-not-exist.db'",
        "SET threads = 1",
        "SET GLOBAL memory_limit = '1GB'",
        "RESET threads",
        "PRAGMA threads = 1",
        "INSTALL httpfs",
        "LOAD httpfs",
        "CREATE TABLE t AS SELECT 1",
        "DROP VIEW shop.orders",
        "INSERT INTO before VALUES (3)",
        "DELETE FROM before",
        "UPDATE before SET x = 4",
        "CALL enable_logging()",
        "CHECKPOINT",
        "BEGIN",
        "SELECT 1; DROP VIEW shop.orders",
        "EXPORT DATABASE '/tmp/dm-must-not-exist'",
        "PREPARE p AS SELECT 1",
        "USE shop",
        "VACUUM",
    };
    for (size_t i = 0; i < sizeof forbidden / sizeof *forbidden; i++) {
        FILE *out = tmpfile();
        if (dm_sql_print(l.sql, forbidden[i], DM_SQL_CSV, out, NULL, &f->err) != DM_FAIL)
            fail_msg("went through: %s", forbidden[i]);
        assert_int_equal(f->err.class, DM_ERROR_CONFIG);
        fclose(out);
        assert_int_equal(dm_sql_execute(l.sql, forbidden[i], &f->err), DM_FAIL);
    }
    assert_false(dm_file_exists("/tmp/dm-must-not-exist.csv"));
    assert_false(dm_file_exists("/tmp/dm-must-not-exist.db"));
    assert_prints(&l, "-- a comment\nSELECT count(*) n FROM shop.orders -- another;\n;", DM_SQL_CSV,
                  "n\r\n75\r\n");
    assert_prints(&l,
                  "WITH o AS (SELECT * FROM shop.orders) SELECT (SELECT max(id) FROM o) a, (SELECT count(*) "
                  "FROM range(3)) b, 4 / 2 c",
                  DM_SQL_CSV, "a,b,c\r\n99,3,2.0\r\n");
    char *text = printed(&l, "DESCRIBE shop.orders", DM_SQL_CSV);
    assert_non_null(strstr(text, "id,BIGINT"));
    free(text);
    text = printed(&l, "SHOW ALL TABLES", DM_SQL_CSV);
    assert_non_null(strstr(text, "orders"));
    free(text);
    /* the engine of the process is not locked by it */
    struct rows_seen seen = {0};
    assert_ok(f, dm_parquet_scan(f->engine, l.files, 2, l.schema, NULL, see_rows, &seen, &f->err));
    assert_int_equal(seen.batch->rows, 75);
    rows_seen_release(&seen);
    lake_close(&l);
}

/* A sort that is larger than the memory limit must be able to spill in a locked session. */
static void a_locked_session_can_spill(void **state)
{
    struct fixture *f = *state;
    struct dm_engine *small;
    struct dm_engine_options options = {.memory_limit = 64u << 20, .threads = 1, .temp_folder = f->folder};
    assert_ok(f, dm_engine_open(&options, &small, &f->err));
    struct dm_sql *sql;
    assert_ok(f, dm_sql_open(small, &sql, &f->err));
    assert_ok(f, dm_sql_lock(sql, &f->err));
    struct lake l = {.f = f, .sql = sql};
    assert_prints(&l,
                  "SELECT count(*) n, max(x) m FROM (SELECT *, row_number() OVER (ORDER BY hash(i)) x FROM "
                  "(SELECT i, 'some text to fill memory ' || i t "
                  "FROM range(1500000) r(i))) WHERE len(t) > 0",
                  DM_SQL_CSV, "n,m\r\n1500000,1500000\r\n");
    dm_sql_close(sql);
    dm_engine_close(small);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
        TEST(deleted_rows_are_invisible),
        TEST(datasets_have_their_own_deletes_and_odd_names),
        TEST(csv_is_rfc_4180),
        TEST(json_keeps_every_digit),
        TEST(json_times_are_iso_8601),
        TEST(json_nests_and_escapes),
        TEST(tables_are_aligned_and_harmless),
        TEST(each_row_arrives_as_texts),
        TEST(mistakes_are_config_errors),
        TEST(a_locked_session_only_reads_its_datasets),
        TEST(a_locked_session_can_spill),
#undef TEST
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
