#include "change_fixture.h"

/* Tests of Parquet files and of query results. */

static struct change_test start(void **state)
{
    struct change_test t = change_start(state);
    snprintf(t.path, sizeof t.path, "%s/a.parquet", t.f->folder);
    return t;
}

/* The query's rows as a Parquet file at t->path. */
static void write_parquet(struct change_test *t, const char *query)
{
    struct dm_sql *sql;
    assert_ok(t, dm_sql_open(t->f->engine, &sql, &t->err));
    char *text = dm_xasprintf("COPY (%s) TO '%s' (FORMAT parquet)", query, t->path);
    assert_ok(t, dm_sql_execute(sql, text, &t->err));
    free(text);
    dm_sql_close(sql);
}

static void read_parquet(struct change_test *t, const char *query, const char *expected)
{
    write_parquet(t, query);
    if (change_read(t) != DM_END)
        fail_msg("%s", t->err.message);
    assert_string_equal(t->found, expected);
}

static void read_query(struct change_test *t, const char *query, const char *expected)
{
    struct dm_sql *sql;
    struct dm_change_reader *r;
    assert_ok(t, dm_sql_open(t->f->engine, &sql, &t->err));
    assert_ok(t, dm_change_reader_query(sql, query, t->schema, &t->options, &r, &t->err));
    if (change_drain(t, r) != DM_END)
        fail_msg("%s", t->err.message);
    dm_sql_close(sql);
    assert_string_equal(t->found, expected);
}

static void refuse_query(struct change_test *t, const char *query, enum dm_error_class class,
                         const char *words)
{
    struct dm_sql *sql;
    struct dm_change_reader *r;
    assert_ok(t, dm_sql_open(t->f->engine, &sql, &t->err));
    assert_int_equal(dm_change_reader_query(sql, query, t->schema, &t->options, &r, &t->err), DM_FAIL);
    dm_sql_close(sql);
    if (t->err.class != class || strstr(t->err.message, words) == NULL)
        fail_msg("class %s: %s", dm_error_class_name(t->err.class), t->err.message);
}

static void typed_values(void **state)
{
    struct change_test t = start(state);
    static const char query[] =
        "SELECT 1::BIGINT AS id, 1::INTEGER AS version, 'a' AS name, 1.5::DECIMAL(10,2) AS amount, DATE "
        "'2024-02-29' AS day, "
        "TIMESTAMPTZ '2024-01-01 10:00:00+02' AS at, true AS flag, ['x', NULL] AS tags "
        "UNION ALL SELECT 2, 2, NULL, -0.01, NULL, NULL, NULL, NULL";
    static const char expected[] =
        "upsert 1 (1, 1, \"a\", 1.50, 2024-02-29, 2024-01-01T08:00:00Z, true, [\"x\", null])\n"
        "upsert 2 (2, 2, null, -0.01, null, null, null, null)\n";
    read_parquet(&t, query, expected);
    read_query(&t, query, expected);
    assert_string_equal(t.notes, "");
    change_test_release(&t);
}

/* Types whose every value fits are read as they are; the others value by value, exactly or not at all. */
static void other_types(void **state)
{
    struct change_test t = start(state);
    read_query(&t,
               "SELECT * FROM (VALUES "
               "(1::UTINYINT, 1::SMALLINT, 'a', 1.5::DOUBLE, TIMESTAMP '2024-02-29 00:00:00', TIMESTAMP "
               "'2024-01-01 10:00:00', 1, '[\"x\"]'), "
               "(2, 2, 'b', 0.125::DOUBLE, TIMESTAMP '2024-02-29 00:00:01', NULL, 0, '[]'), "
               "(3, 3, 'c', 1e20::DOUBLE, NULL, NULL, 1, NULL), "
               "(4, 4, 'd', 7::DOUBLE, NULL, NULL, 2, NULL), "
               "(5, 5, 'e', 0.5::DOUBLE, NULL, NULL, NULL, '[1'), "
               "(6, 6, 'f', 0.25::DOUBLE, NULL, NULL, NULL, NULL)) v(id, version, name, amount, day, \"at\", "
               "flag, tags)",
               "upsert 1 (1, 1, \"a\", 1.50, 2024-02-29, 2024-01-01T10:00:00Z, true, [\"x\"])\n"
               "bad 2 value_out_of_range 2 "
               "{\"id\":2,\"version\":2,\"name\":\"b\",\"amount\":0.125,\"day\":\"2024-02-29T00:00:01\","
               "\"at\":null,\"flag\":0,\"tags\":\"[]\"}\n"
               "bad 3 value_out_of_range 3 "
               "{\"id\":3,\"version\":3,\"name\":\"c\",\"amount\":1e+20,\"day\":null,\"at\":null,"
               "\"flag\":1,\"tags\":null}\n"
               "bad 4 wrong_type 4 "
               "{\"id\":4,\"version\":4,\"name\":\"d\",\"amount\":7.0,\"day\":null,\"at\":null,\"flag\":2,"
               "\"tags\":null}\n"
               "bad 5 wrong_type 5 "
               "{\"id\":5,\"version\":5,\"name\":\"e\",\"amount\":0.5,\"day\":null,\"at\":null,\"flag\":null,"
               "\"tags\":\"[1\"}\n"
               "upsert 6 (6, 6, \"f\", 0.25, null, null, null, null)\n");
    read_query(
        &t,
        "SELECT 9223372036854775808::HUGEINT AS id, '7' AS version, {'a': 1, 'b': [1.10]} AS name, "
        "1.20::DECIMAL(4,2) AS amount",
        "bad 1 value_out_of_range - "
        "{\"id\":9223372036854775808,\"version\":\"7\",\"name\":{\"a\":1,\"b\":[1.10]},\"amount\":1.20}\n");
    read_query(&t,
               "SELECT 8::HUGEINT AS id, '7' AS version, {'a': 1, 'b': [1.10]} AS name, 1.20::DECIMAL(4,2) "
               "AS amount, "
               "TIMESTAMP_NS '2024-01-01 00:00:00.123456789' AS at, NULL AS day, [1, 2] AS tags",
               "bad 1 value_out_of_range 8 "
               "{\"id\":8,\"version\":\"7\",\"name\":{\"a\":1,\"b\":[1.10]},\"amount\":1.20,"
               "\"at\":\"2024-01-01T00:00:00.123456789\",\"day\":null,\"tags\":[1,2]}\n");
    read_query(&t,
               "SELECT 8::HUGEINT AS id, '7' AS version, {'a': 1, 'b': [1.10]} AS name, 1.20::DECIMAL(4,2) "
               "AS amount, "
               "TIMESTAMP_NS '2024-01-01 00:00:00.123456' AS at, [1, 2] AS tags",
               "upsert 1 (8, 7, \"{\\\"a\\\":1,\\\"b\\\":[1.10]}\", 1.20, null, 2024-01-01T00:00:00.123456Z, "
               "null, [\"1\", \"2\"])\n");
    /* NULL without a type is an INTEGER to DuckDB */
    read_query(&t, "SELECT 1 AS id, 1 AS version, 1 AS amount, NULL AS name, NULL AS day, NULL AS tags",
               "upsert 1 (1, 1, null, 1.00, null, null, null, null)\n");
    read_query(&t, "SELECT 1 AS id, 1 AS version, 1 AS amount, 7 AS day",
               "bad 1 wrong_type 1 {\"id\":1,\"version\":1,\"amount\":1,\"day\":7}\n");
    change_test_release(&t);
}

/* Nanoseconds in a file and in the dataset: exactly, or not at all. */
static void nanoseconds(void **state)
{
    struct dm_schema *s = dm_schema_new();
    dm_schema_add(s, "id", dm_type_of(DM_INT64))->required = true;
    dm_schema_add(s, "ns", dm_type_of(DM_TIMESTAMP_NS));
    dm_schema_add(s, "ts", dm_type_of(DM_TIMESTAMP));
    dm_schema_add(s, "tz", dm_type_of(DM_TIMESTAMPTZ));
    dm_schema_add(s, "list", dm_type_list(dm_type_of(DM_TIMESTAMP_NS)));
    dm_schema_add_key(s, 0);
    struct change_test t;
    change_test_init(&t, *state, s);
    snprintf(t.path, sizeof t.path, "%s/a.parquet", t.f->folder);
    static const char whole[] =
        "SELECT 1::BIGINT AS id, make_timestamp_ns(1700000000123456789) AS ns, "
        "make_timestamp_ns(1700000000123456000) AS ts, make_timestamp_ns(-1000) AS tz, "
        "[make_timestamp_ns(1), NULL] AS list";
    static const char expected[] = "upsert 1 (1, 2023-11-14T22:13:20.123456789, 2023-11-14T22:13:20.123456, "
                                   "1969-12-31T23:59:59.999999Z, "
                                   "[1970-01-01T00:00:00.000000001, null])\n";
    read_parquet(&t, whole, expected);
    read_query(&t, whole, expected);
    read_query(
        &t,
        "SELECT 1 AS id, TIMESTAMP '2023-11-14 22:13:20.123456' AS ns, 'infinity'::TIMESTAMP_NS AS ts, "
        "'-infinity'::TIMESTAMP_NS AS tz",
        "upsert 1 (1, 2023-11-14T22:13:20.123456000, infinity, -infinity, null)\n");
    read_query(&t, "SELECT 1 AS id, TIMESTAMPTZ '2023-11-14 22:13:20.123456+02' AS ns",
               "upsert 1 (1, 2023-11-14T20:13:20.123456000, null, null, null)\n");
    read_query(&t, "SELECT 1 AS id, DATE '2023-11-14' AS ns",
               "upsert 1 (1, 2023-11-14T00:00:00, null, null, null)\n");
    read_query(&t, "SELECT 1 AS id, TIMESTAMP_MS '2023-11-14 22:13:20.123' AS ns",
               "upsert 1 (1, 2023-11-14T22:13:20.123000000, null, null, null)\n");
    read_query(&t, "SELECT 1 AS id, TIMESTAMP 'infinity' AS ns, TIMESTAMP '-infinity' AS tz",
               "upsert 1 (1, infinity, null, -infinity, null)\n");
    read_query(&t, "SELECT 1 AS id, '2023-11-14T22:13:20.123456789Z' AS ns",
               "upsert 1 (1, 2023-11-14T22:13:20.123456789, null, null, null)\n");
    read_query(&t, "SELECT 1 AS id, TIMESTAMP '9999-12-31 00:00:00' AS ns",
               "bad 1 value_out_of_range 1 {\"id\":1,\"ns\":\"9999-12-31T00:00:00\"}\n");
    read_query(&t, "SELECT 1 AS id, make_timestamp_ns(1700000000123456001) AS ts",
               "bad 1 value_out_of_range 1 {\"id\":1,\"ts\":\"2023-11-14T22:13:20.123456001\"}\n");
    read_query(&t, "SELECT 1 AS id, make_timestamp_ns(-9223372036854775806) AS tz",
               "bad 1 value_out_of_range 1 {\"id\":1,\"tz\":\"1677-09-21T00:12:43.145224194\"}\n");
    read_query(&t, "SELECT 1 AS id, make_timestamp_ns(-9223372036854775806) AS ns",
               "upsert 1 (1, 1677-09-21T00:12:43.145224194, null, null, null)\n");
    change_test_release(&t);
}

/* Every narrower type, at its ends. */
static void widening(void **state)
{
    struct dm_schema *s = dm_schema_new();
    dm_schema_add(s, "id", dm_type_of(DM_INT64))->required = true;
    dm_schema_add(s, "i32", dm_type_of(DM_INT32));
    dm_schema_add(s, "f64", dm_type_of(DM_FLOAT64));
    dm_schema_add(s, "dec", dm_type_decimal(38, 2));
    dm_schema_add(s, "f32", dm_type_of(DM_FLOAT32));
    dm_schema_add_key(s, 0);
    struct change_test t;
    change_test_init(&t, *state, s);
    read_query(&t,
               "SELECT 4294967295::UINTEGER AS id, (-128)::TINYINT AS i32, 1.5::FLOAT AS f64, "
               "(-99.99)::DECIMAL(4,2) AS dec",
               "upsert 1 (4294967295, -128, 1.5, -99.99, null)\n");
    read_query(&t,
               "SELECT (-32768)::SMALLINT AS id, 65535::USMALLINT AS i32, 1e300 AS f64, "
               "9999999.99::DECIMAL(9,2) AS dec",
               "upsert 1 (-32768, 65535, 1e+300, 9999999.99, null)\n");
    read_query(&t, "SELECT 255::UTINYINT AS id, 2147483648 AS i32, 1e300 AS f32",
               "bad 1 value_out_of_range 255 {\"id\":255,\"i32\":2147483648,\"f32\":1e+300}\n");
    read_query(&t,
               "SELECT 1::UBIGINT AS id, 2147483647::BIGINT AS i32, 9999999999999999.99::DECIMAL(18,2) AS "
               "dec, 7::BIGINT AS f64, 0.5::DOUBLE AS f32",
               "upsert 1 (1, 2147483647, 7, 9999999999999999.99, 0.5)\n");
    change_test_release(&t);
}

static void wrong_schema(void **state)
{
    struct change_test t = start(state);
    static const struct {
        const char *query, *words;
    } cases[] = {
        {"SELECT 1 AS id, 2 AS version",
         "required columns are missing: amount; the columns there are: id, version"},
        {"SELECT 1 AS version, 1 AS amount", "required columns are missing: id;"},
        {"SELECT 1 AS id, 1 AS amount", "required columns are missing: version;"},
        {"SELECT 'x'::BLOB AS id, 1 AS version, 1 AS amount", "column \"id\" is BLOB; the dataset's is long"},
        {"SELECT 1 AS id, 1 AS version, 1 AS amount, true AS day",
         "column \"day\" is BOOLEAN; the dataset's is date"},
        {"SELECT 1 AS id, 1 AS version, {'a': 1} AS amount",
         "column \"amount\" is STRUCT; the dataset's is decimal(10, 2)"},
        {"SELECT 1 AS id, 1 AS version, 1 AS amount, 'x'::BLOB AS name",
         "column \"name\" is BLOB; the dataset's is string"},
        {"SELECT 1 AS id, 1 AS version, 1 AS amount, TIMESTAMPTZ '2024-01-01 00:00:00+00' AS day",
         "is TIMESTAMP WITH TIME ZONE"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        write_parquet(&t, cases[i].query);
        assert_int_equal(change_read(&t), DM_FAIL);
        if (t.err.class != DM_ERROR_DATA || strstr(t.err.message, cases[i].words) == NULL ||
            strstr(t.err.message, "a.parquet") == NULL)
            fail_msg("class %s: %s", dm_error_class_name(t.err.class), t.err.message);
        refuse_query(&t, cases[i].query, DM_ERROR_DATA, cases[i].words);
    }
    refuse_query(&t, "SELECT nothing FROM nowhere", DM_ERROR_CONFIG, "nowhere");
    change_test_release(&t);
}

static void bad_rows_of_a_vector(void **state)
{
    struct change_test t = start(state);
    /* ids 1 … 5000; every 1000th has no amount, and one no key */
    write_parquet(
        &t,
        "SELECT CASE WHEN i = 2500 THEN NULL ELSE i END AS id, 1 AS version, 'n' || i AS name, "
        "CASE WHEN i % 1000 = 0 THEN NULL ELSE 1.5::DECIMAL(10,2) END AS amount FROM range(1, 5001) t(i)");
    for (int pass = 0; pass < 2; pass++) {
        t.max_rows = pass == 0 ? 1000000 : 777; /* a vector is taken in parts, too */
        assert_int_equal(change_read(&t), DM_END);
        uint64_t upserts = 0, bad = 0;
        for (const char *line = t.found; *line != 0; line = strchr(line, '\n') + 1) {
            uint64_t number = strtoull(strchr(line, ' ') + 1, NULL, 10);
            assert_int_equal(number, ++upserts + bad);
            char expected[200];
            if (number % 1000 != 0 && number != 2500) {
                snprintf(expected, sizeof expected, "upsert %d (%d, 1, \"n%d\", 1.50, null", (int)number,
                         (int)number, (int)number);
            } else {
                upserts--;
                bad++;
                snprintf(expected, sizeof expected,
                         number == 2500 ? "bad 2500 null_key - "
                                          "{\"id\":null,\"version\":1,\"name\":\"n2500\",\"amount\":1.50}\n"
                                        : "bad %d missing_required %d "
                                          "{\"id\":%d,\"version\":1,\"name\":\"n%d\",\"amount\":null}\n",
                         (int)number, (int)number, (int)number, (int)number);
            }
            assert_memory_equal(line, expected, strlen(expected));
        }
        assert_int_equal(upserts, 4994);
        assert_int_equal(bad, 6);
    }
    change_test_release(&t);
}

/* Ties are decided by the order of arrival, so the rows must come in the file's order, however many threads read it. */
static void order_of_the_file(void **state)
{
    struct change_test t = start(state);
    write_parquet(&t, "SELECT i AS id, 1 AS version, 'n' || i AS name, 1.5::DECIMAL(10,2) AS amount FROM "
                      "range(600000) t(i)");
    struct dm_change_reader *r;
    assert_ok(&t, dm_change_reader_open(t.f->engine, t.path, t.schema, &t.options, &r, &t.err));
    struct dm_batch *batch = dm_batch_new(t.schema);
    int64_t at = 0;
    enum dm_status status;
    do {
        dm_batch_clear(batch);
        status = dm_change_reader_next(r, batch, 100000, 1 << 20, change_bad, &t, &t.err);
        for (size_t i = 0; i < batch->rows; i++, at++) {
            assert_int_equal(dm_column_int64(&batch->columns[0], i), at);
            assert_int_equal(batch->subxids[i], at + 1);
        }
        assert_true(dm_batch_bytes(batch) < 2 << 20);
    } while (status == DM_OK);
    assert_int_equal(status, DM_END);
    assert_int_equal(at, 600000);
    uint64_t done, total;
    dm_change_reader_progress(r, &done, &total);
    assert_int_equal(done, 600000);
    assert_int_equal(total, 600000);
    dm_batch_free(batch);
    dm_change_reader_close(r);
    change_test_release(&t);
}

static void control_columns_and_rules(void **state)
{
    struct change_test t = start(state);
    char *allowed[] = {"a"};
    struct dm_column_rule rules[8] = {[2] = {.n_allowed = 1, .allowed = allowed}};
    t.options.rules = rules;
    read_parquet(&t,
                 "SELECT * FROM (VALUES (1, 1, 'a', 1, 'u'), (2, 1, 'zz', NULL, 'D'), (3, 1, 'zz', 1, NULL), "
                 "(4, 1, NULL, 1, NULL), "
                 "(5, 1, 'a', 1, 'x'), (6, NULL, NULL, NULL, 'd'), (NULL, 1, NULL, NULL, 'd'), (8, 1, 'a', "
                 "NULL, 'U')) "
                 "v(ID, version, name, amount, _change_request_type)",
                 "upsert 1 (1, 1, \"a\", 1.00, null, null, null, null)\n"
                 "delete 2 (2, 1, \"zz\", null, null, null, null, null)\n"
                 "bad 3 not_allowed_value 3 "
                 "{\"ID\":3,\"version\":1,\"name\":\"zz\",\"amount\":1,\"_change_request_type\":null}\n"
                 "upsert 4 (4, 1, null, 1.00, null, null, null, null)\n"
                 "bad 5 unknown_change_type 5 "
                 "{\"ID\":5,\"version\":1,\"name\":\"a\",\"amount\":1,\"_change_request_type\":\"x\"}\n"
                 "bad 6 missing_version 6 "
                 "{\"ID\":6,\"version\":null,\"name\":null,\"amount\":null,\"_change_request_type\":\"d\"}\n"
                 "bad 7 null_key - "
                 "{\"ID\":null,\"version\":1,\"name\":null,\"amount\":null,\"_change_request_type\":\"d\"}\n"
                 "bad 8 missing_required 8 "
                 "{\"ID\":8,\"version\":1,\"name\":\"a\",\"amount\":null,\"_change_request_type\":\"U\"}\n");
    assert_string_equal(t.notes,
                        "column \"_change_request_type\" tells the kind of change and is not stored\n");
    /* deletes only: key and version are enough, and what else is there may be anything */
    read_parquet(&t, "SELECT 1 AS id, 1 AS version, 2 AS __rowMarker__, 'x' AS day",
                 "delete 1 (1, 1, null, null, null, null, null, null)\n");
    read_query(&t, "SELECT 1 AS id, 1 AS version, 1.00 AS amount, 'gone' AS extra, 'DELETE' AS _CHANGE_TYPE",
               "delete 1 (1, 1, null, 1.00, null, null, null, null)\n");
    assert_string_equal(t.notes, "column \"_CHANGE_TYPE\" tells the kind of change and is not stored\n"
                                 "columns not in the schema are left out: extra\n");
    change_test_release(&t);
}

/* The raw content of a bad row reads back through the JSON reader. */
static void raw_content_reads_back(void **state)
{
    struct change_test t = start(state);
    read_query(
        &t,
        "SELECT 1 AS id, NULL::INTEGER AS version, 'a\"b' AS name, 1.10 AS amount, DATE '2024-01-01' AS day, "
        "TIMESTAMPTZ '2024-01-01 00:00:00.5+00' AS at, false AS flag, ['x', NULL, 'y'] AS tags",
        "bad 1 missing_version 1 "
        "{\"id\":1,\"version\":null,\"name\":\"a\\\"b\",\"amount\":1.10,\"day\":\"2024-01-01\","
        "\"at\":\"2024-01-01T00:00:00.5Z\",\"flag\":false,\"tags\":[\"x\",null,\"y\"]}\n");
    static const char mended[] =
        "{\"id\":1,\"version\":5,\"name\":\"a\\\"b\",\"amount\":1.10,\"day\":\"2024-01-01\","
        "\"at\":\"2024-01-01T00:00:00.5Z\",\"flag\":false,\"tags\":[\"x\",null,\"y\"]}";
    struct dm_change_reader *r;
    assert_ok(
        &t, dm_change_reader_open_memory("replay", mended, strlen(mended), t.schema, &t.options, &r, &t.err));
    assert_int_equal(change_drain(&t, r), DM_END);
    assert_string_equal(t.found,
                        "upsert 1 (1, 5, \"a\\\"b\", 1.10, 2024-01-01, 2024-01-01T00:00:00.500000Z, false, "
                        "[\"x\", null, \"y\"])\n");
    change_test_release(&t);
}

static void damaged_files(void **state)
{
    struct change_test t = start(state);
    write_parquet(&t, "SELECT i AS id, 1 AS version, 1 AS amount FROM range(10000) t(i)");
    struct dm_buffer file;
    dm_buffer_init(&file, 1 << 20);
    assert_ok(&t, dm_file_read(t.path, &file, &t.err));
    change_fails(&t, "b.parquet", file.data, file.len / 2, "magic bytes");
    change_fails(&t, "b.parquet", file.data, 4, "too small");
    change_fails(&t, "b.parquet", file.data, 3, "is not a Parquet file");
    change_fails(&t, "b.parquet", "id,version,amount\n", 18, "is not a Parquet file");
    change_fails(&t, "b.csv", file.data, file.len, "is a Parquet file");
    memset(file.data + file.len - 200, 0xff, 150); /* in the footer */
    change_file(&t, "b.parquet", file.data, file.len);
    assert_int_equal(change_read(&t), DM_FAIL);
    dm_buffer_release(&file);
    change_test_release(&t);
}

/* DuckDB takes *, ? and [ for patterns, and folders called a=b for columns. */
static void paths_are_literal(void **state)
{
    struct change_test t = start(state);
    char folder[128], other[192];
    snprintf(folder, sizeof folder, "%s/name=x", t.f->folder);
    assert_ok(&t, dm_file_make_folders(folder, &t.err));
    snprintf(t.path, sizeof t.path, "%s/it's a[1]*?.parquet", folder);
    char *quoted = dm_xasprintf("%s", t.path);
    snprintf(t.path, sizeof t.path, "%s/plain.parquet", folder);
    snprintf(other, sizeof other, "%s", t.path);
    write_parquet(&t, "SELECT 1 AS id, 1 AS version, 1 AS amount");
    assert_int_equal(rename(other, quoted), 0);
    write_parquet(&t, "SELECT 2 AS id, 1 AS version, 1 AS amount");
    snprintf(t.path, sizeof t.path, "%s", quoted);
    free(quoted);
    if (change_read(&t) != DM_END)
        fail_msg("%s", t.err.message);
    assert_string_equal(t.found, "upsert 1 (1, 1, null, 1.00, null, null, null, null)\n");
    change_test_release(&t);
}

static void empty_results(void **state)
{
    struct change_test t = start(state);
    read_parquet(&t, "SELECT 1 AS id, 1 AS version, 1 AS amount WHERE false", "");
    read_query(&t, "SELECT 1 AS id, 1 AS version, 1 AS amount WHERE false", "");
    change_test_release(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(typed_values),
        cmocka_unit_test(other_types),
        cmocka_unit_test(nanoseconds),
        cmocka_unit_test(widening),
        cmocka_unit_test(wrong_schema),
        cmocka_unit_test(bad_rows_of_a_vector),
        cmocka_unit_test(order_of_the_file),
        cmocka_unit_test(control_columns_and_rules),
        cmocka_unit_test(raw_content_reads_back),
        cmocka_unit_test(damaged_files),
        cmocka_unit_test(paths_are_literal),
        cmocka_unit_test(empty_results),
    };
    return cmocka_run_group_tests(tests, fixture_setup, fixture_teardown);
}
