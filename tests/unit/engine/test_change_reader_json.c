#include "change_fixture.h"

static void values_of_every_kind(void **state)
{
    struct change_test t = change_start(state);
    change_gives(
        &t, "a.ndjson",
        "{\"id\":1,\"version\":1,\"name\":\"a\\u00e9\\n\\ud83d\\ude00\",\"amount\":1.5,\"day\":\"2024-02-"
        "29\","
        "\"at\":\"2024-01-01T10:00:00+02:00\",\"flag\":true,\"tags\":[\"x\",null]}\n"
        "{\"amount\":\"0.10\",\"version\":\"2\",\"id\":\"2\"}\r\n"
        "\n"
        "  {\"id\":3,\"version\":3.0,\"amount\":1e1,\"name\":null,\"day\":null,\"tags\":[]}  ",
        "upsert 1 (1, 1, \"a\xc3\xa9\\u000a\xf0\x9f\x98\x80\", 1.50, 2024-02-29, 2024-01-01T08:00:00Z, true, "
        "[\"x\", null])\n"
        "upsert 2 (2, 2, null, 0.10, null, null, null, null)\n"
        "upsert 4 (3, 3, null, 10.00, null, null, null, [])\n");
    assert_string_equal(t.notes, "");
    change_test_release(&t);
}

/* Numbers are taken by their digits: a double would change these. */
static void numbers_are_exact(void **state)
{
    struct dm_schema *s = dm_schema_new();
    dm_schema_add(s, "id", dm_type_of(DM_INT64))->required = true;
    dm_schema_add(s, "d", dm_type_decimal(38, 18));
    dm_schema_add(s, "s", dm_type_of(DM_STRING));
    dm_schema_add_key(s, 0);
    struct change_test t;
    change_test_init(&t, *state, s);
    change_gives(&t, "a.json",
                 "{\"id\":9007199254740993,\"d\":12345678901234567890.123456789012345678,\"s\":1.10}\n"
                 "{\"id\":9223372036854775807,\"d\":0.1,\"s\":{\"a\": [1.0,2] }}\n"
                 "{\"id\":9223372036854775808}\n",
                 "upsert 1 (9007199254740993, 12345678901234567890.123456789012345678, \"1.10\")\n"
                 "upsert 2 (9223372036854775807, 0.100000000000000000, \"{\\\"a\\\": [1.0,2] }\")\n"
                 "bad 3 value_out_of_range - {\"id\":9223372036854775808}\n");
    change_test_release(&t);
}

static void bad_rows_and_their_reasons(void **state)
{
    struct change_test t = change_start(state);
    change_gives(&t, "a.ndjson",
                 "{\"id\":\"x\",\"version\":1,\"amount\":1}\n"
                 "{\"id\":2,\"version\":true,\"amount\":1}\n"
                 "{\"id\":3,\"version\":1,\"amount\":1.999}\n"
                 "{\"version\":1,\"amount\":1}\n"
                 "{\"id\":null,\"version\":1,\"amount\":1}\n"
                 "{\"id\":6,\"amount\":1}\n"
                 "{\"id\":7,\"version\":1,\"amount\":null}\n"
                 "{\"id\":8,\"version\":1\n"
                 "{\"id\":9,\"version\":1,\"amount\":1}x\n"
                 "[1]\n"
                 "17\n"
                 "{\"id\":12,\"version\":1,\"amount\":1,\"name\":\"\xff\"}\n"
                 "{\"id\":13,\"version\":1,\"amount\":1,\"name\":\"\\udc00\"}\n"
                 "{\"id\":14,\"id\":15,\"version\":1,\"amount\":1}\n"
                 "{\"id\":15,\"version\":1,\"amount\":1,\"tags\":\"x\"}\n"
                 "{'id':16}\n"
                 "{\"id\":017}\n"
                 "{\"id\":18,\"version\":1,\"amount\":1,\"flag\":\"maybe\"}\n"
                 "{\"id\":19,\"version\":1,\"amount\":1}\n",
                 "bad 1 wrong_type - {\"id\":\"x\",\"version\":1,\"amount\":1}\n"
                 "bad 2 wrong_type 2 {\"id\":2,\"version\":true,\"amount\":1}\n"
                 "bad 3 value_out_of_range 3 {\"id\":3,\"version\":1,\"amount\":1.999}\n"
                 "bad 4 null_key - {\"version\":1,\"amount\":1}\n"
                 "bad 5 null_key - {\"id\":null,\"version\":1,\"amount\":1}\n"
                 "bad 6 missing_version 6 {\"id\":6,\"amount\":1}\n"
                 "bad 7 missing_required 7 {\"id\":7,\"version\":1,\"amount\":null}\n"
                 "bad 8 corrupt_row - \"{\\\"id\\\":8,\\\"version\\\":1\"\n"
                 "bad 9 corrupt_row - \"{\\\"id\\\":9,\\\"version\\\":1,\\\"amount\\\":1}x\"\n"
                 "bad 10 corrupt_row - [1]\n"
                 "bad 11 corrupt_row - 17\n"
                 "bad 12 invalid_utf8 - "
                 "\"{\\\"id\\\":12,\\\"version\\\":1,\\\"amount\\\":1,\\\"name\\\":\\\"\\udcff\\\"}\"\n"
                 "bad 13 invalid_utf8 - {\"id\":13,\"version\":1,\"amount\":1,\"name\":\"\\udc00\"}\n"
                 "bad 14 corrupt_row - {\"id\":14,\"id\":15,\"version\":1,\"amount\":1}\n"
                 "bad 15 wrong_type 15 {\"id\":15,\"version\":1,\"amount\":1,\"tags\":\"x\"}\n"
                 "bad 16 corrupt_row - \"{'id':16}\"\n"
                 "bad 17 corrupt_row - \"{\\\"id\\\":017}\"\n"
                 "bad 18 wrong_type 18 {\"id\":18,\"version\":1,\"amount\":1,\"flag\":\"maybe\"}\n"
                 "upsert 19 (19, 1, null, 1.00, null, null, null, null)\n");
    change_test_release(&t);
}

static void shapes_of_a_file(void **state)
{
    struct change_test t = change_start_small(state);
    change_gives(&t, "a.json", "[{\"id\":1,\"name\":\"a\"},{\"id\":2}]",
                 "upsert 1 (1, \"a\")\nupsert 1 (2, null)\n");
    change_gives(&t, "a.json",
                 " [\n {\"id\":1,\n  \"name\":\"a\"},\n\n {\"id\":\"x\"} ,\n 5, {\"id\":2}\n]\n\n",
                 "upsert 2 (1, \"a\")\nbad 5 wrong_type - {\"id\":\"x\"}\nbad 6 corrupt_row - 5\nupsert 6 "
                 "(2, null)\n");
    change_gives(&t, "a.json", "{\n  \"id\": 1,\n  \"name\": \"a\"\n}\n", "upsert 1 (1, \"a\")\n");
    change_gives(&t, "a.json", "{\n\"id\":1}\n{\n\"id\":2}{\"id\":3}",
                 "upsert 1 (1, null)\nupsert 3 (2, null)\nupsert 4 (3, null)\n");
    change_gives(&t, "a.json", "[]", "");
    change_gives(&t, "a.json", "", "");
    change_gives(&t, "a.json", " \n\n ", "");
    change_gives(&t, "a.json", "\xef\xbb\xbf{\"id\":1}\n", "upsert 1 (1, null)\n");
    change_gives(&t, "rows", "\n{\"id\":1}\n", "upsert 2 (1, null)\n"); /* by content */
    change_gives(&t, "a.json",
                 "{\"id\":1,\n{\"id\":2}\n", /* a damaged first line is not the beginning of an object */
                 "bad 1 corrupt_row - \"{\\\"id\\\":1,\"\nupsert 2 (2, null)\n");
    change_test_release(&t);
}

/* A delivery stream puts objects one behind the other, many on a line, or the whole file on one. */
static void several_on_a_line(void **state)
{
    struct change_test t = change_start_small(state);
    change_gives(&t, "a.json", "{\"id\":1}{\"id\":2,\"name\":\"}{\"} {\"id\":3}",
                 "upsert 1 (1, null)\nupsert 1 (2, \"}{\")\nupsert 1 (3, null)\n");
    change_gives(&t, "a.json",
                 "{\"id\":1,\"name\":\"}{\"}\n{\"id\":2}{\"id\":\"x\"}{\"id\":3} "
                 "\n\n{\"id\":4}\r\n{\"id\":5}{\"id\":6,\n"
                 "{\"id\":7}{\"id\":8,\"id\":9}{\"id\":10}\n{\"id\":11}",
                 "upsert 1 (1, \"}{\")\n"
                 "bad 2 wrong_type - {\"id\":\"x\"}\nupsert 2 (2, null)\nupsert 2 (3, null)\n"
                 "upsert 4 (4, null)\n"
                 "bad 5 corrupt_row - \"{\\\"id\\\":6,\"\nupsert 5 (5, null)\n"
                 "bad 6 corrupt_row - {\"id\":8,\"id\":9}\nupsert 6 (7, null)\nupsert 6 (10, null)\n"
                 "upsert 7 (11, null)\n");
    assert_string_equal(t.message, "value 2 of the line: a column stands there twice");
    change_gives(
        &t, "a.json", "{\"id\":1}{\"id\":2}\n{\"id\":3}\n{\"id\":\"x\"}\n",
        "upsert 1 (1, null)\nupsert 1 (2, null)\nupsert 2 (3, null)\nbad 3 wrong_type - {\"id\":\"x\"}\n");
    assert_null(strstr(t.message, "of the line"));
    change_gives(&t, "a.json", "{\"id\":1}{\n\"id\":2}{\"id\":3}",
                 "upsert 1 (1, null)\nupsert 1 (2, null)\nupsert 2 (3, null)\n");
    change_test_release(&t);
}

/* A line of several MiB, longer than a row may be, of objects each of which is short. */
static void a_file_on_one_line(void **state)
{
    enum { ROWS = 60000 };
    struct change_test t = change_start_small(state);
    t.options.max_row_bytes = 64 << 10;
    char *bytes = NULL;
    size_t n, upserts = 0, bad = 0;
    FILE *out = open_memstream(&bytes, &n);
    for (int i = 0; i < ROWS; i++)
        fprintf(out,
                i % 1000 == 999 ? "{\"id\":\"x%d\",\"name\":\"%060d\"}" : "{\"id\":%d,\"name\":\"%060d\"}", i,
                i);
    fprintf(out, "{\"id\":-1,\"name\":\"%0100000d\"}\n{\"id\":-2}\n",
            0); /* too large, and the line with it */
    fclose(out);
    change_file(&t, "a.json", bytes, n);
    assert_int_equal(change_read(&t), DM_END);
    for (const char *p = t.found; (p = strchr(p, '\n')) != NULL; p++)
        upserts += p[1] == 'u', bad += p[1] == 'b';
    assert_int_equal(upserts, ROWS / 1000 * 999 + 1);
    assert_int_equal(bad + 1, ROWS / 1000 + 1); /* the first entry has no line break before it */
    assert_non_null(strstr(t.found, "bad 1 row_too_large"));
    assert_non_null(strstr(t.found, "upsert 2 (-2, null)"));
    free(bytes);
    change_test_release(&t);
}

static void shapes_that_are_damaged(void **state)
{
    struct change_test t = change_start_small(state);
    static const struct {
        const char *file, *words;
    } cases[] = {
        {"[{\"id\":1},\n{\"id\":2}", "line 2: this is not JSON: the file ends before the array does"},
        {"[{\"id\":1},\n{\"id\":", "line 2: this is not JSON"},
        {"[{\"id\":1}\n{\"id\":2}]", "line 2: this is not JSON: a comma is missing"},
        {"[{\"id\":1},]", "line 1: this is not JSON: not a value"},
        {"[{\"id\":1}]\n{\"id\":2}", "line 2: this is not JSON: text behind the array"},
        {"[{\"id\":1},\n{\"id\" 2}]", "line 2: this is not JSON: a colon is missing after a name"},
        {"{\n\"id\":1,\n\"name\":\n}\n", "line 4: this is not JSON: not a value"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        change_fails(&t, "a.json", cases[i].file, strlen(cases[i].file), cases[i].words);
    change_test_release(&t);
}

static void deep_nesting(void **state)
{
    struct change_test t = change_start_small(state);
    char file[6000] = "{\"id\":1,\"x\":";
    size_t n = strlen(file);
    memset(file + n, '[', 2000);
    memset(file + n + 2000, ']', 2000);
    memcpy(file + n + 4000, "}\n{\"id\":2}\n", 12);
    change_file(&t, "a.json", file, strlen(file));
    assert_int_equal(change_read(&t), DM_END);
    assert_memory_equal(t.found, "bad 1 corrupt_row", 17);
    assert_string_equal(t.message, "nested too deeply");
    assert_non_null(strstr(t.found, "upsert 2 (2, null)"));
    change_test_release(&t);
}

static void columns_and_control(void **state)
{
    struct change_test t = change_start_small(state);
    change_gives(&t, "a.ndjson",
                 "{\"id\":1,\"ex\\u0074ra\":{\"a\":[1,{}]},\"NAME\":\"a\",\"_change_request_type\":\"u\"}\n"
                 "{\"_change_request_type\":\"d\",\"id\":2,\"name\":17,\"other\":\"\"}\n"
                 "{\"_change_request_type\":null,\"id\":3}\n"
                 "{\"__rowMarker__\":2,\"id\":4}\n"
                 "{\"__rowMarker__\":3,\"id\":5}\n"
                 "{\"_CHANGE_TYPE\":\"UPSERT\",\"id\":6}\n"
                 "{\"_CHANGE_TYPE\":\"DELETE\",\"id\":7}\n"
                 "{\"_CHANGE_TYPE\":\"DELETE\",\"__rowMarker__\":2,\"id\":8}\n",
                 "upsert 1 (1, \"a\")\n"
                 "delete 2 (2, null)\n"
                 "upsert 3 (3, null)\n"
                 "delete 4 (4, null)\n"
                 "bad 5 unknown_change_type 5 {\"__rowMarker__\":3,\"id\":5}\n"
                 "upsert 6 (6, null)\n"
                 "delete 7 (7, null)\n"
                 "bad 8 corrupt_row - {\"_CHANGE_TYPE\":\"DELETE\",\"__rowMarker__\":2,\"id\":8}\n");
    assert_string_equal(t.notes,
                        "columns not in the schema are left out: extra, other\n"
                        "column \"_change_request_type\" tells the kind of change and is not stored\n"
                        "column \"__rowMarker__\" tells the kind of change and is not stored\n"
                        "column \"_CHANGE_TYPE\" tells the kind of change and is not stored\n");
    t.options.strict_columns = true;
    static const char strange[] = "{\"id\":1}\n{\"id\":2,\"extra\":1}\n";
    change_fails(&t, "a.json", strange, strlen(strange), "line 2: column \"extra\" is not in the schema");
    change_test_release(&t);
}

/* Members in any order, any number of them. */
static void many_members(void **state)
{
    struct change_test t = change_start_small(state);
    char *text = NULL;
    size_t n;
    FILE *out = open_memstream(&text, &n);
    for (int row = 0; row < 3; row++) {
        fprintf(out, "{");
        for (int i = 0; i < 1500; i++)
            fprintf(out, "\"m%d\":%d,", (i * 7 + row) % 1500, i);
        fprintf(out, "\"name\":\"n\",\"id\":%d}\n", row);
    }
    fclose(out);
    change_gives(&t, "a.json", text, "upsert 1 (0, \"n\")\nupsert 2 (1, \"n\")\nupsert 3 (2, \"n\")\n");
    free(text);
    change_test_release(&t);
}

/* ---- Debezium ---- */

static void events(void **state)
{
    struct change_test t = change_start_small(state);
    change_gives(
        &t, "a.ndjson",
        "{\"before\":null,\"after\":{\"id\":1,\"name\":\"a\"},\"source\":{\"lsn\":5},\"op\":\"c\",\"ts_ms\":"
        "1}\n"
        "{\"before\":{\"id\":1,\"name\":\"a\"},\"after\":{\"id\":1,\"name\":\"b\\n\"},\"op\":\"u\"}\n"
        "{\"payload\":{\"before\":null,\"after\":{\"id\":2,\"name\":\"snap\"},\"op\":\"r\"}}\n"
        "{\"before\":{\"id\":1,\"name\":\"b\"},\"after\":null,\"op\":\"d\"}\n"
        "null\n"
        "{\"schema\":null,\"payload\":null}\n"
        "{\"before\":null,\"after\":null,\"op\":\"d\"}\n"
        "{\"before\":null,\"after\":null,\"op\":\"t\"}\n"
        "{\"before\":null,\"op\":\"u\"}\n"
        "{\"op\":\"c\",\"after\":{\"id\":\"x\",\"extra\":1}}\n"
        "{\"id\":3,\"name\":\"no envelope\"}\n",
        "upsert 1 (1, \"a\")\n"
        "upsert 2 (1, \"b\\u000a\")\n"
        "upsert 3 (2, \"snap\")\n"
        "delete 4 (1, null)\n"
        "bad 7 null_key - {\"before\":null,\"after\":null,\"op\":\"d\"}\n"
        "bad 8 unknown_change_type - {\"before\":null,\"after\":null,\"op\":\"t\"}\n"
        "bad 9 corrupt_row - {\"before\":null,\"op\":\"u\"}\n"
        "bad 10 wrong_type - {\"op\":\"c\",\"after\":{\"id\":\"x\",\"extra\":1}}\n"
        "upsert 11 (3, \"no envelope\")\n");
    assert_string_equal(t.notes, "columns not in the schema are left out: extra\n"
                                 "2 tombstones (null events) hold nothing and were passed over\n");
    change_test_release(&t);
}

/* Rows that Debezium flattened (ExtractNewRecordState): deletes rewritten, metadata added. */
static void flattened_events(void **state)
{
    struct change_test t = change_start_small(state);
    t.options.strict_columns = true; /* metadata is no column of the row */
    change_gives(&t, "a.ndjson",
                 "{\"id\":1,\"name\":\"a\",\"__source_ts_ms\":5,\"__op\":\"c\",\"__deleted\":\"false\",\"__"
                 "table\":\"t\"}\n"
                 "{\"id\":1,\"name\":\"b\",\"__op\":\"u\"}\n"
                 "{\"id\":2,\"name\":\"x\",\"__deleted\":true}\n"
                 "{\"id\":3,\"name\":\"x\",\"__op\":\"d\",\"__deleted\":\"true\"}\n"
                 "{\"id\":4,\"__op\":\"r\",\"__deleted\":null}\n"
                 "{\"id\":5,\"__op\":\"t\"}\n"
                 "{\"id\":6,\"__op\":\"u\",\"__deleted\":\"true\"}\n"
                 "{\"id\":7,\"__deleted\":\"yes\"}\n"
                 "{\"id\":8,\"__op\":null,\"__deleted\":\"true\"}\n"
                 "{\"schema\":null,\"payload\":{\"id\":9,\"__op\":\"d\"}}\n"
                 "{\"id\":10,\"__op\":\"u\",\"_change_request_type\":\"u\"}\n",
                 "upsert 1 (1, \"a\")\n"
                 "upsert 2 (1, \"b\")\n"
                 "delete 3 (2, null)\n"
                 "delete 4 (3, null)\n"
                 "upsert 5 (4, null)\n"
                 "bad 6 unknown_change_type 5 {\"id\":5,\"__op\":\"t\"}\n"
                 "bad 7 unknown_change_type 6 {\"id\":6,\"__op\":\"u\",\"__deleted\":\"true\"}\n"
                 "bad 8 unknown_change_type 7 {\"id\":7,\"__deleted\":\"yes\"}\n"
                 "delete 9 (8, null)\n"
                 "delete 10 (9, null)\n"
                 "bad 11 corrupt_row - {\"id\":10,\"__op\":\"u\",\"_change_request_type\":\"u\"}\n");
    assert_non_null(strstr(t.notes, "its metadata (columns that begin with __) is not stored\n"));
    assert_non_null(strstr(t.notes, "column \"__op\" tells the kind of change and is not stored\n"));
    assert_null(strstr(t.notes, "left out"));
    t.options.strict_columns = false; /* without __op and __deleted it is a column like any other */
    change_gives(&t, "a.json", "{\"id\":1,\"__source_ts_ms\":5}", "upsert 1 (1, null)\n");
    assert_string_equal(t.notes, "columns not in the schema are left out: __source_ts_ms\n");
    change_test_release(&t);
}

/* A dataset's own columns of these names are columns. */
static void flattened_columns_of_the_schema(void **state)
{
    struct dm_schema *s = dm_schema_new();
    dm_schema_add(s, "id", dm_type_of(DM_INT64))->required = true;
    dm_schema_add(s, "__deleted", dm_type_of(DM_BOOL));
    dm_schema_add(s, "__op", dm_type_of(DM_STRING));
    dm_schema_add_key(s, 0);
    struct change_test t;
    change_test_init(&t, *state, s);
    change_gives(&t, "a.json", "{\"id\":1,\"__op\":\"d\",\"__deleted\":true,\"__lsn\":1}",
                 "upsert 1 (1, true, \"d\")\n");
    assert_string_equal(t.notes, "columns not in the schema are left out: __lsn\n");
    change_gives(&t, "a.csv", "id,__op,__deleted\n1,d,true\n", "upsert 2 (1, true, \"d\")\n");
    change_test_release(&t);
}

/* A dataset's own columns of these names are columns. */
static void columns_called_like_an_envelope(void **state)
{
    struct dm_schema *s = dm_schema_new();
    dm_schema_add(s, "id", dm_type_of(DM_INT64))->required = true;
    dm_schema_add(s, "op", dm_type_of(DM_STRING));
    dm_schema_add(s, "after", dm_type_of(DM_STRING));
    dm_schema_add(s, "payload", dm_type_of(DM_STRING));
    dm_schema_add_key(s, 0);
    struct change_test t;
    change_test_init(&t, *state, s);
    change_gives(&t, "a.json", "{\"id\":1,\"op\":\"c\",\"after\":\"x\",\"payload\":{\"id\":2}}",
                 "upsert 1 (1, \"c\", \"x\", \"{\\\"id\\\":2}\")\n");
    change_test_release(&t);
    t = change_start_small(state); /* and foreign ones that are no envelope are foreign columns */
    change_gives(&t, "a.json", "{\"id\":1,\"op\":\"c\",\"payload\":{\"id\":2},\"schema\":5}",
                 "upsert 1 (1, null)\n");
    assert_string_equal(t.notes, "columns not in the schema are left out: op, payload, schema\n");
    change_test_release(&t);
}

static struct dm_schema *encoded_schema(void)
{
    struct dm_schema *s = dm_schema_new();
    dm_schema_add(s, "id", dm_type_of(DM_INT64))->required = true;
    dm_schema_add(s, "day", dm_type_of(DM_DATE));
    dm_schema_add(s, "ms", dm_type_of(DM_TIMESTAMP));
    dm_schema_add(s, "us", dm_type_of(DM_TIMESTAMP));
    dm_schema_add(s, "ns", dm_type_of(DM_TIMESTAMP));
    dm_schema_add(s, "tz", dm_type_of(DM_TIMESTAMPTZ));
    dm_schema_add(s, "tms", dm_type_of(DM_TIME));
    dm_schema_add(s, "tus", dm_type_of(DM_TIME));
    dm_schema_add(s, "dec", dm_type_decimal(10, 2));
    dm_schema_add(s, "var", dm_type_decimal(10, 2));
    dm_schema_add(s, "bin", dm_type_of(DM_BINARY));
    dm_schema_add(s, "text", dm_type_of(DM_STRING));
    dm_schema_add(s, "fine", dm_type_of(DM_TIMESTAMP_NS));
    dm_schema_add_key(s, 0);
    return s;
}

/* clang-format off */
#define FIELD(name, type, logical) "{\"field\":\"" name "\",\"type\":\"" type "\",\"name\":\"" logical "\"}"
#define ENCODINGS \
    "[{\"field\":\"id\",\"type\":\"int64\"}," \
    FIELD("day", "int32", "io.debezium.time.Date") "," \
    FIELD("ms", "int64", "io.debezium.time.Timestamp") "," \
    FIELD("us", "int64", "io.debezium.time.MicroTimestamp") "," \
    FIELD("ns", "int64", "io.debezium.time.NanoTimestamp") "," \
    FIELD("fine", "int64", "io.debezium.time.NanoTimestamp") "," \
    FIELD("tz", "string", "io.debezium.time.ZonedTimestamp") "," \
    FIELD("tms", "int32", "io.debezium.time.Time") "," \
    FIELD("tus", "int64", "io.debezium.time.MicroTime") "," \
    "{\"field\":\"dec\",\"type\":\"bytes\",\"name\":\"org.apache.kafka.connect.data.Decimal\",\"parameters\":{\"scale\":\"2\"}}," \
    FIELD("var", "struct", "io.debezium.data.VariableScaleDecimal") "," \
    "{\"field\":\"bin\",\"type\":\"bytes\"},{\"field\":\"text\",\"type\":\"string\"}]"
/* clang-format on */
#define ROW \
    "{\"id\":1,\"day\":-1,\"ms\":-1,\"us\":1700000000123456,\"ns\":1700000000123456000,\"tz\":\"2024-01-" \
    "01T00:00:00Z\"," \
    "\"tms\":3600001,\"tus\":86399999999,\"dec\":\"/" \
    "zk=\",\"var\":{\"scale\":1,\"value\":\"MDk=\"},\"bin\":\"AP8B\",\"text\":\"AP8B\",\"fine\":" \
    "1700000000123456789}"
#define DECODED \
    "1, 1969-12-31, 1969-12-31T23:59:59.999000, 2023-11-14T22:13:20.123456, 2023-11-14T22:13:20.123456, " \
    "2024-01-01T00:00:00Z, 01:00:00.001000, 23:59:59.999999, -1.99, 1234.50, x'00ff01', \"AP8B\", " \
    "2023-11-14T22:13:20.123456789"

/* The schema of an event says how its values are encoded. */
static void encoded_events(void **state)
{
    struct change_test t;
    change_test_init(&t, *state, encoded_schema());
    change_gives(
        &t, "a.json",
        "{\"schema\":{\"type\":\"struct\",\"fields\":[{\"field\":\"before\",\"type\":\"struct\","
        "\"fields\":" ENCODINGS "},{\"field\":\"after\",\"type\":\"struct\",\"fields\":" ENCODINGS
        "},{\"field\":\"op\",\"type\":\"string\"}]},"
        "\"payload\":{\"before\":null,\"after\":" ROW ",\"op\":\"c\"}}\n"
        /* flattened: the row is the payload */
        "{\"payload\":" ROW ",\"schema\":{\"type\":\"struct\",\"fields\":" ENCODINGS "}}\n"
        /* nanoseconds that a microsecond does not hold are not cut */
        "{\"schema\":{\"type\":\"struct\",\"fields\":" ENCODINGS
        "},\"payload\":{\"id\":2,\"ns\":1700000000123456789}}\n"
        /* without a schema nothing is guessed */
        "{\"after\":{\"id\":3,\"day\":19000},\"op\":\"c\"}\n"
        "{\"after\":{\"id\":4,\"day\":\"2022-01-08\",\"dec\":1.5},\"op\":\"c\"}\n",
        "upsert 1 (" DECODED ")\n"
        "upsert 2 (" DECODED ")\n"
        "bad 3 value_out_of_range 2 {\"schema\":{\"type\":\"struct\",\"fields\":" ENCODINGS
        "},\"payload\":{\"id\":2,\"ns\":1700000000123456789}}\n"
        "bad 4 wrong_type 3 {\"after\":{\"id\":3,\"day\":19000},\"op\":\"c\"}\n"
        "upsert 5 (4, 2022-01-08, null, null, null, null, null, null, 1.50, null, null, null, null)\n");
    change_test_release(&t);
}

/* ---- large ---- */

static void write_large(struct change_test *t, const char *name, const char *before, const char *after)
{
    snprintf(t->path, sizeof t->path, "%s/%s", t->f->folder, name);
    FILE *out = fopen(t->path, "w");
    assert_non_null(out);
    fputs(before, out);
    char *block = dm_xalloc(1 << 20);
    memset(block, 'x', 1 << 20);
    for (int i = 0; i < 100; i++)
        assert_int_equal(fwrite(block, 1, 1 << 20, out), 1 << 20);
    fputs(after, out);
    fclose(out);
    free(block);
}

static void value_of_100_megabytes(void **state)
{
    struct change_test t = change_start_small(state);
    write_large(&t, "long.ndjson", "{\"id\":1}\n{\"id\":2,\"name\":\"", "\"}\n{\"id\":3}\n");
    assert_int_equal(change_read(&t), DM_END);
    assert_memory_equal(t.found,
                        "upsert 1 (1, null)\nbad 2 row_too_large - \"{\\\"id\\\":2,\\\"name\\\":\\\"xxx", 66);
    assert_non_null(strstr(t.found, "xxx…\"\nupsert 3 (3, null)\n"));
    assert_true(strlen(t.found) < 2000);
    write_large(&t, "long.json", "[{\"id\":1},\n {\"id\":2,\"o\":{\"name\":\"\\\"}",
                "\",\"a\":[[]]}},\n{\"id\":3}]");
    assert_int_equal(change_read(&t), DM_END);
    assert_non_null(strstr(t.found, "upsert 1 (1, null)\nbad 2 row_too_large - \"{"));
    assert_non_null(strstr(t.found, "xxx…\"\nupsert 3 (3, null)\n"));
    assert_int_equal(unlink(t.path), 0);
    change_test_release(&t);
}

/* More than one window of rows in each shape: rows lie across its borders. */
static void across_windows(void **state)
{
    struct change_test t = change_start_small(state);
    enum { ROWS = 60000 };
    for (int shape = 0; shape < 3; shape++) {
        char *text = NULL;
        size_t n;
        FILE *out = open_memstream(&text, &n);
        for (int i = 0; i < ROWS; i++)
            fprintf(out,
                    shape == 0 ? "%s{\"id\":%d,\"name\":\"row \\u00e9 %d\"}\n"
                               : "%s{\n\"id\":%d,\"name\":\"row \\u00e9 %d\"}",
                    shape == 0   ? ""
                    : shape == 1 ? (i == 0 ? "[" : ",")
                                 : "",
                    i, i);
        fputs(shape == 1 ? "]" : "", out);
        fclose(out);
        change_file(&t, "a.json", text, n);
        free(text);
        struct dm_change_reader *r;
        assert_ok(&t, dm_change_reader_open(t.f->engine, t.path, t.schema, &t.options, &r, &t.err));
        struct dm_batch *batch = dm_batch_new(t.schema);
        int64_t at = 0;
        enum dm_status status;
        do {
            dm_batch_clear(batch);
            status = dm_change_reader_next(r, batch, 1000, 1 << 20, change_bad, &t, &t.err);
            for (size_t i = 0; i < batch->rows; i++, at++) {
                char expected[64];
                snprintf(expected, sizeof expected, "row \xc3\xa9 %d", (int)at);
                size_t len;
                const uint8_t *name = dm_column_bytes_at(&batch->columns[1], i, &len);
                assert_int_equal(dm_column_int64(&batch->columns[0], i), at);
                assert_int_equal(len, strlen(expected));
                assert_memory_equal(name, expected, len);
                assert_int_equal(batch->subxids[i], at + 1);
            }
        } while (status == DM_OK);
        if (status != DM_END)
            fail_msg("%s", t.err.message);
        assert_int_equal(at, ROWS);
        dm_batch_free(batch);
        dm_change_reader_close(r);
    }
    change_test_release(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_of_every_kind),
        cmocka_unit_test(numbers_are_exact),
        cmocka_unit_test(bad_rows_and_their_reasons),
        cmocka_unit_test(shapes_of_a_file),
        cmocka_unit_test(several_on_a_line),
        cmocka_unit_test(a_file_on_one_line),
        cmocka_unit_test(shapes_that_are_damaged),
        cmocka_unit_test(deep_nesting),
        cmocka_unit_test(columns_and_control),
        cmocka_unit_test(many_members),
        cmocka_unit_test(events),
        cmocka_unit_test(flattened_events),
        cmocka_unit_test(flattened_columns_of_the_schema),
        cmocka_unit_test(columns_called_like_an_envelope),
        cmocka_unit_test(encoded_events),
        cmocka_unit_test(value_of_100_megabytes),
        cmocka_unit_test(across_windows),
    };
    return cmocka_run_group_tests(tests, fixture_setup, fixture_teardown);
}
