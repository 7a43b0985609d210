#include "change_fixture.h"

#include <zlib.h>
#include <zstd.h>

#define HEADER "id,version,name,amount,day,at,flag,tags\n"

static void values_of_every_kind(void **state)
{
    struct change_test t = change_start(state);
    change_gives(
        &t, "a.csv",
        HEADER "1,1,\"a, \"\"b\"\"\",1.5,2024-02-29,2024-01-01T10:00:00+02:00,true,\"[\"\"x\"\",null]\"\n"
               "2,2,,0,,,,\n"
               "3,3,\"\",-1.50,\"\",\"\",\"\",\"\"\n",
        "upsert 2 (1, 1, \"a, \\\"b\\\"\", 1.50, 2024-02-29, 2024-01-01T08:00:00Z, true, [\"x\", null])\n"
        "upsert 3 (2, 2, null, 0.00, null, null, null, null)\n"
        "upsert 4 (3, 3, \"\", -1.50, null, null, null, null)\n");
    assert_string_equal(t.notes, "");
    change_test_release(&t);
}

static void bad_rows_and_their_reasons(void **state)
{
    struct change_test t = change_start(state);
    change_gives(
        &t, "a.csv",
        HEADER "x,1,n,1,,,,\n"
               "2,x,n,1,,,,\n"
               "3,1,n,1.999,,,,\n"
               "4,99999999999,n,1,,,,\n"
               ",1,n,1,,,,\n"
               "6,,n,1,,,,\n"
               "7,1,n,,,,,\n"
               "8,1,n\n"
               "9,1,n,1,,,,,\n"
               "10,1,\"n\"x,1,,,,\n"
               "11,1,\xff,1,,,,\n"
               "12,1,ok,1,,,,\n",
        "bad 2 wrong_type - "
        "{\"id\":\"x\",\"version\":\"1\",\"name\":\"n\",\"amount\":\"1\",\"day\":null,\"at\":null,"
        "\"flag\":null,\"tags\":null}\n"
        "bad 3 wrong_type 2 "
        "{\"id\":\"2\",\"version\":\"x\",\"name\":\"n\",\"amount\":\"1\",\"day\":null,\"at\":null,"
        "\"flag\":null,\"tags\":null}\n"
        "bad 4 value_out_of_range 3 "
        "{\"id\":\"3\",\"version\":\"1\",\"name\":\"n\",\"amount\":\"1.999\",\"day\":null,"
        "\"at\":null,\"flag\":null,\"tags\":null}\n"
        "bad 5 value_out_of_range 4 "
        "{\"id\":\"4\",\"version\":\"99999999999\",\"name\":\"n\",\"amount\":\"1\","
        "\"day\":null,\"at\":null,\"flag\":null,\"tags\":null}\n"
        "bad 6 null_key - "
        "{\"id\":null,\"version\":\"1\",\"name\":\"n\",\"amount\":\"1\",\"day\":null,\"at\":null,"
        "\"flag\":null,\"tags\":null}\n"
        "bad 7 missing_version 6 {\"id\":\"6\",\"version\":null,\"name\":\"n\",\"amount\":\"1\",\"day\":null,"
        "\"at\":null,\"flag\":null,\"tags\":null}\n"
        "bad 8 missing_required 7 "
        "{\"id\":\"7\",\"version\":\"1\",\"name\":\"n\",\"amount\":null,\"day\":null,"
        "\"at\":null,\"flag\":null,\"tags\":null}\n"
        "bad 9 ragged_row - [\"8\",\"1\",\"n\"]\n"
        "bad 10 ragged_row - [\"9\",\"1\",\"n\",\"1\",null,null,null,null,null]\n"
        "bad 11 corrupt_row - \"10,1,\\\"n\\\"x,1,,,,\"\n"
        "bad 12 invalid_utf8 11 "
        "{\"id\":\"11\",\"version\":\"1\",\"name\":\"\\udcff\",\"amount\":\"1\",\"day\":null,"
        "\"at\":null,\"flag\":null,\"tags\":null}\n"
        "upsert 13 (12, 1, \"ok\", 1.00, null, null, null, null)\n");
    change_test_release(&t);
}

/* Lines are those of an editor: after quoted line breaks of any kind, after empty lines, with any line break. */
static void line_numbers(void **state)
{
    struct change_test t = change_start_small(state);
    change_gives(&t, "a.csv",
                 "id,name\r\n1,\"a\nb\r\nc\rd\"\r\n\r\n\r\nx,bad\r\n2,\"\n\"\r\nx,bad\r3,mac\rx,bad\n4,"
                 "unix\n\n\nx,bad",
                 "upsert 2 (1, \"a\\u000ab\\u000d\\u000ac\\u000dd\")\n"
                 "bad 8 wrong_type - {\"id\":\"x\",\"name\":\"bad\"}\n"
                 "upsert 9 (2, \"\\u000a\")\n"
                 "bad 11 wrong_type - {\"id\":\"x\",\"name\":\"bad\"}\n"
                 "upsert 12 (3, \"mac\")\n"
                 "bad 13 wrong_type - {\"id\":\"x\",\"name\":\"bad\"}\n"
                 "upsert 14 (4, \"unix\")\n"
                 "bad 17 wrong_type - {\"id\":\"x\",\"name\":\"bad\"}\n");
    change_test_release(&t);
}

/* A quote that is never closed costs its own line, not the rest of the file. */
static void unclosed_quote(void **state)
{
    struct change_test t = change_start_small(state);
    change_gives(&t, "a.csv", "id,name\n1,a\n2,\"open\n3,c\n4,d\n",
                 "upsert 2 (1, \"a\")\n"
                 "bad 3 corrupt_row - \"2,\\\"open\"\n"
                 "upsert 4 (3, \"c\")\n"
                 "upsert 5 (4, \"d\")\n");
    assert_string_equal(t.message, "a quote is never closed");
    change_gives(&t, "a.csv", "id,name\n1,a\n2,\"open\n3,\"c\"\n4,d\n", /* the next quote seems to close it */
                 "upsert 2 (1, \"a\")\n"
                 "bad 3 corrupt_row - \"2,\\\"open\"\n"
                 "upsert 4 (3, \"c\")\n"
                 "upsert 5 (4, \"d\")\n");
    change_gives(&t, "a.csv", "id,name\n1,5\" disk\n2,a\"\"b\n", /* no quoted values */
                 "upsert 2 (1, \"5\\\" disk\")\n"
                 "upsert 3 (2, \"a\\\"\\\"b\")\n");
    change_test_release(&t);
}

static void delimiters_are_found(void **state)
{
    struct change_test t = change_start_small(state);
    static const char expected[] = "upsert 2 (1, \"a,b\")\n";
    change_gives(&t, "a.csv", "id;name\n1;a,b\n", expected);
    change_gives(&t, "a.tsv", "id\tname\n1\ta,b\n", expected);
    change_gives(&t, "a.csv", "id|name\n1|a,b\n", expected);
    change_gives(&t, "a.csv", "id,name\n1,\"a,b\"\n", expected);
    change_gives(&t, "a.csv", "\"id\",\"name\"\r\n1,\"a,b\"\r\n", expected);
    change_gives(&t, "a.csv", "\xef\xbb\xbfid,name\n1,\"a,b\"\n", expected); /* byte order mark */
    change_gives(&t, "a.csv", "ID,Name\n1,\"a,b\"\n", expected);             /* as warehouses unload */
    change_gives(&t, "a.csv", "id , name\n1,\"a,b\"\n", expected);
    change_gives(&t, "a.csv", "sep=^\nid^name\n1^a,b\n", "upsert 3 (1, \"a,b\")\n");
    change_gives(&t, "data", "id;name\n1;a,b\n", expected); /* by content */
    t.options.delimiter = '^';
    change_gives(&t, "a.csv", "id^name\n1^a,b\n", expected);
    t.options.delimiter = '\0';
    change_gives(&t, "a.csv", "name\tid\textra;,\na,b\t1\tx\n", expected);
    assert_string_equal(t.notes, "columns not in the schema are left out: extra;,\n");
    change_test_release(&t);
}

static void wrong_delimiter(void **state)
{
    struct change_test t = change_start_small(state);
    static const char file[] = "id^name\n1^a\n";
    change_fails(&t, "a.csv", file, strlen(file), "line 1, \"id^name\", names none of the dataset's columns");
    assert_non_null(strstr(t.err.hint, "id, name"));
    static const char commas[] = "id,name\n1,a\n";
    t.options.delimiter = ';';
    change_fails(&t, "a.csv", commas, strlen(commas), "names none of the dataset's columns");
    change_test_release(&t);
}

static void header_found_out(void **state)
{
    struct change_test t = change_start_small(state);
    change_gives(&t, "a.csv", "1,a\n2,b\n", "upsert 1 (1, \"a\")\nupsert 2 (2, \"b\")\n");
    assert_string_equal(t.notes,
                        "the file has no header line; its columns are taken in the schema's order\n");
    change_gives(&t, "a.csv", "\n\n1;a\n", "upsert 3 (1, \"a\")\n");
    change_fails(&t, "a.csv", "a,1\n", 4,
                 "names none of the dataset's columns"); /* not in the schema's order */
    change_fails(&t, "a.csv", "1,a,b\n", 6, "names none of the dataset's columns");
    change_test_release(&t);
}

static void header_without_what_is_needed(void **state)
{
    struct change_test t = change_start(state);
    static const char file[] = "id,version,name\n1,1,a\n";
    change_fails(&t, "a.csv", file, strlen(file),
                 "required columns are missing: amount; the columns there are: id, version, name");
    assert_non_null(strstr(t.err.hint, "id, version, name, amount, day, at, flag, tags"));
    static const char keyless[] = "version,amount,_change_request_type\n1,1,d\n";
    change_fails(&t, "a.csv", keyless, strlen(keyless), "required columns are missing: id;");
    static const char versionless[] = "id,amount\n1,1\n";
    change_fails(&t, "a.csv", versionless, strlen(versionless), "required columns are missing: version;");
    static const char twice[] = "id,id,version,amount\n1,1,1,1\n";
    change_fails(&t, "a.csv", twice, strlen(twice), "there are two columns \"id\"");
    static const char two[] = "id,version,amount,_change_type,__rowMarker__\n1,1,1,,\n";
    change_fails(&t, "a.csv", two, strlen(two), "two columns tell the kind of change");
    t.options.strict_columns = true;
    static const char strange[] = "id,version,amount,extra\n1,1,1,1\n";
    change_fails(&t, "a.csv", strange, strlen(strange), "column \"extra\" is not in the schema");
    static const char latin[] = "id,version,amount,stra\xdf"
                                "e\n1,1,1,1\n";
    change_fails(&t, "a.csv", latin, strlen(latin), "the header is not UTF-8");
    change_test_release(&t);
}

static void empty_files(void **state)
{
    struct change_test t = change_start_small(state);
    const char *const empty[] = {"", "\n\r\n\n", "\xef\xbb\xbf", " \t\n"};
    const char *const names[] = {"a.csv", "a.csv.gz", "a.parquet", "a.ndjson", "a"};
    for (size_t i = 0; i < sizeof empty / sizeof *empty; i++) {
        change_gives(&t, "a.csv", empty[i], "");
        assert_string_equal(t.notes, "the file is empty\n");
    }
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        change_gives(&t, names[i], "", "");
        assert_string_equal(t.notes, "the file is empty\n");
    }
    change_gives(&t, "a.csv", "id,name\n", "");
    change_gives(&t, "a.csv", "id,name", "");
    change_test_release(&t);
}

static void control_columns(void **state)
{
    struct change_test t = change_start(state);
    change_gives(&t, "a.csv",
                 "id,version,amount,day,_change_request_type\n"
                 "1,1,1,,u\n2,1,1,,U\n3,1,1,,\n4,1,,,d\n5,1,x,x,D\n6,1,1,,x\n7,,1,,d\n,1,1,,d\n8,1,,,u\n",
                 "upsert 2 (1, 1, null, 1.00, null, null, null, null)\n"
                 "upsert 3 (2, 1, null, 1.00, null, null, null, null)\n"
                 "upsert 4 (3, 1, null, 1.00, null, null, null, null)\n"
                 "delete 5 (4, 1, null, null, null, null, null, null)\n"
                 "delete 6 (5, 1, null, null, null, null, null, null)\n"
                 "bad 7 unknown_change_type 6 {\"id\":\"6\",\"version\":\"1\",\"amount\":\"1\",\"day\":null,"
                 "\"_change_request_type\":\"x\"}\n"
                 "bad 8 missing_version 7 {\"id\":\"7\",\"version\":null,\"amount\":\"1\",\"day\":null,"
                 "\"_change_request_type\":\"d\"}\n"
                 "bad 9 null_key - {\"id\":null,\"version\":\"1\",\"amount\":\"1\",\"day\":null,"
                 "\"_change_request_type\":\"d\"}\n"
                 "bad 10 missing_required 8 {\"id\":\"8\",\"version\":\"1\",\"amount\":null,\"day\":null,"
                 "\"_change_request_type\":\"u\"}\n");
    assert_string_equal(t.notes,
                        "column \"_change_request_type\" tells the kind of change and is not stored\n");
    change_gives(&t, "a.csv", "__rowMarker__,id,version\n2,1,1\n",
                 "delete 2 (1, 1, null, null, null, null, null, null)\n");
    change_gives(&t, "a.csv", "__rowMarker__,id,version,amount\n0,1,1,1\n1,1,1,1\n4,1,1,1\n3,1,1,1\n",
                 "upsert 2 (1, 1, null, 1.00, null, null, null, null)\n"
                 "upsert 3 (1, 1, null, 1.00, null, null, null, null)\n"
                 "upsert 4 (1, 1, null, 1.00, null, null, null, null)\n"
                 "bad 5 unknown_change_type 1 "
                 "{\"__rowMarker__\":\"3\",\"id\":\"1\",\"version\":\"1\",\"amount\":\"1\"}\n");
    change_gives(
        &t, "a.csv",
        "_CHANGE_TYPE,id,version,amount\nINSERT,1,1,1\nupdate,1,1,1\nUPSERT,1,1,1\nDELETE,1,1,1\nx,1,1,1\n",
        "upsert 2 (1, 1, null, 1.00, null, null, null, null)\n"
        "upsert 3 (1, 1, null, 1.00, null, null, null, null)\n"
        "upsert 4 (1, 1, null, 1.00, null, null, null, null)\n"
        "delete 5 (1, 1, null, null, null, null, null, null)\n"
        "bad 6 unknown_change_type 1 "
        "{\"_CHANGE_TYPE\":\"x\",\"id\":\"1\",\"version\":\"1\",\"amount\":\"1\"}\n");
    change_test_release(&t);
}

/* Debezium's, flattened. */
static void flattened(void **state)
{
    struct change_test t = change_start(state);
    t.options.strict_columns = true;
    change_gives(&t, "a.csv",
                 "id,version,amount,__op,__deleted,__source_ts_ms\n1,1,1,c,false,9\n2,1,1,d,true,9\n3,1,,d,,"
                 "9\n4,1,1,,,9\n"
                 "5,1,1,u,true,9\n6,1,1,m,,9\n7,1,1,,x,9\n",
                 "upsert 2 (1, 1, null, 1.00, null, null, null, null)\n"
                 "delete 3 (2, 1, null, null, null, null, null, null)\n"
                 "delete 4 (3, 1, null, null, null, null, null, null)\n"
                 "upsert 5 (4, 1, null, 1.00, null, null, null, null)\n"
                 "bad 6 unknown_change_type 5 "
                 "{\"id\":\"5\",\"version\":\"1\",\"amount\":\"1\",\"__op\":\"u\",\"__deleted\":"
                 "\"true\",\"__source_ts_ms\":\"9\"}\n"
                 "bad 7 unknown_change_type 6 "
                 "{\"id\":\"6\",\"version\":\"1\",\"amount\":\"1\",\"__op\":\"m\",\"__deleted\":"
                 "null,\"__source_ts_ms\":\"9\"}\n"
                 "bad 8 unknown_change_type 7 "
                 "{\"id\":\"7\",\"version\":\"1\",\"amount\":\"1\",\"__op\":null,\"__deleted\":"
                 "\"x\",\"__source_ts_ms\":\"9\"}\n");
    change_gives(&t, "a.csv", "id,version,__deleted\n1,1,TRUE\n",
                 "delete 2 (1, 1, null, null, null, null, null, null)\n");
    static const char two[] = "id,version,amount,_change_type,__op\n1,1,1,,\n";
    change_fails(&t, "a.csv", two, strlen(two), "two columns tell the kind of change");
    static const char alone[] = "id,version,amount,__source_ts_ms\n1,1,1,9\n";
    change_fails(&t, "a.csv", alone, strlen(alone), "column \"__source_ts_ms\" is not in the schema");
    change_test_release(&t);
}

/* A dataset may have a column that is called like a control column: then it is that. */
static void control_column_of_the_schema(void **state)
{
    struct dm_schema *s = dm_schema_new();
    dm_schema_add(s, "id", dm_type_of(DM_INT64))->required = true;
    dm_schema_add(s, "_change_type", dm_type_of(DM_STRING));
    dm_schema_add_key(s, 0);
    struct change_test t;
    change_test_init(&t, *state, s);
    change_gives(&t, "a.csv", "id,_change_type\n1,delete\n", "upsert 2 (1, \"delete\")\n");
    change_test_release(&t);
}

static void null_text_and_rules(void **state)
{
    struct change_test t = change_start_small(state);
    t.options.null_text = "NULL";
    change_gives(&t, "a.csv", "id,name\n1,NULL\n2,\"NULL\"\n3,\nNULL,a\n",
                 "upsert 2 (1, null)\n"
                 "upsert 3 (2, \"NULL\")\n"
                 "upsert 4 (3, null)\n"
                 "bad 5 null_key - {\"id\":null,\"name\":\"a\"}\n");
    t.options.null_text = NULL;
    char *allowed[] = {"new", "paid"};
    struct dm_column_rule rules[2] = {{0}, {.n_allowed = 2, .allowed = allowed}};
    t.options.rules = rules;
    change_gives(&t, "a.csv", "id,name,_change_request_type\n1,new,\n2,old,\n3,,\n4,old,d\n",
                 "upsert 2 (1, \"new\")\n"
                 "bad 3 not_allowed_value 2 {\"id\":\"2\",\"name\":\"old\",\"_change_request_type\":null}\n"
                 "upsert 4 (3, null)\n"
                 "delete 5 (4, null)\n");
    assert_string_equal(t.message, "column name: \"old\" is not allowed; allowed are: new, paid");
    rules[1] = (struct dm_column_rule){.min_length = 2, .max_length = 3};
    change_gives(&t, "a.csv", "id,name\n1,\xc3\xa9\xc3\xa9\xc3\xa9\n2,abcd\n3,a\n",
                 "upsert 2 (1, \"\xc3\xa9\xc3\xa9\xc3\xa9\")\n"
                 "bad 3 value_too_long 2 {\"id\":\"2\",\"name\":\"abcd\"}\n"
                 "bad 4 value_too_short 3 {\"id\":\"3\",\"name\":\"a\"}\n");
    change_test_release(&t);
}

/* ---- compressed files ---- */

static size_t gzip(const void *bytes, size_t n, uint8_t *out, size_t size)
{
    z_stream z = {.next_in = (uint8_t *)(uintptr_t)bytes,
                  .avail_in = (unsigned)n,
                  .next_out = out,
                  .avail_out = (unsigned)size};
    assert_int_equal(deflateInit2(&z, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
    assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
    deflateEnd(&z);
    return size - z.avail_out;
}

/* A file of many rows: more than one window, so that rows lie across its borders. */
static char *many_rows(size_t rows, size_t *n)
{
    char *text = NULL;
    FILE *out = open_memstream(&text, n);
    assert_non_null(out);
    fputs("id,name\n", out);
    for (size_t i = 0; i < rows; i++)
        fprintf(out, i % 3 == 0 ? "%zu,\"row \"\"%zu\"\"\n\"\r\n" : "%zu,row %zu of many\r\n", i, i);
    fclose(out);
    return text;
}

/* Reads many_rows and checks every one. */
static void check_many(struct change_test *t, size_t rows)
{
    struct dm_change_reader *r;
    assert_ok(t, dm_change_reader_open(t->f->engine, t->path, t->schema, &t->options, &r, &t->err));
    struct dm_batch *batch = dm_batch_new(t->schema);
    size_t at = 0, line = 2;
    enum dm_status status;
    do {
        dm_batch_clear(batch);
        status = dm_change_reader_next(r, batch, 777, 1 << 14, change_bad, t, &t->err);
        for (size_t i = 0; i < batch->rows; i++, at++) {
            char expected[64];
            snprintf(expected, sizeof expected, at % 3 == 0 ? "row \"%zu\"\n" : "row %zu of many", at);
            size_t n;
            const uint8_t *name = dm_column_bytes_at(&batch->columns[1], i, &n);
            assert_int_equal(dm_column_int64(&batch->columns[0], i), at);
            assert_int_equal(n, strlen(expected));
            assert_memory_equal(name, expected, n);
            assert_int_equal(batch->subxids[i], line);
            line += at % 3 == 0 ? 2 : 1;
        }
    } while (status == DM_OK);
    if (status != DM_END)
        fail_msg("%s", t->err.message);
    assert_int_equal(at, rows);
    uint64_t done, total;
    dm_change_reader_progress(r, &done, &total);
    assert_int_equal(done, total);
    dm_batch_free(batch);
    dm_change_reader_close(r);
}

static void compressed(void **state)
{
    struct change_test t = change_start_small(state);
    enum { ROWS = 150000 };
    size_t n;
    char *text = many_rows(ROWS, &n);
    change_file(&t, "a.csv", text, n);
    check_many(&t, ROWS);
    size_t room = n + 4096;
    uint8_t *packed = dm_xalloc(room);
    /* two members and zeros behind, as `cat` and tapes make them */
    size_t half = gzip(text, n / 2, packed, room);
    size_t size = half + gzip(text + n / 2, n - n / 2, packed + half, room - half);
    memset(packed + size, 0, 1000);
    change_file(&t, "a.csv.gz", packed, size + 1000);
    check_many(&t, ROWS);
    change_fails(&t, "b.csv.gz", packed, size - 4, "b.csv.gz is cut off: its gzip data ends in the middle");
    change_fails(&t, "b.csv.gz", packed, size / 3, "is cut off");
    change_fails(&t, "b.csv.gz", packed, 5, "is cut off");
    packed[size] = 'x';
    change_fails(&t, "b.csv.gz", packed, size + 1, "there is something else behind its gzip data");
    packed[size - 6] ^= 1;
    change_fails(&t, "b.csv.gz", packed, size, "is damaged: incorrect data check");

    half = ZSTD_compress(packed, room, text, n / 2, 3);
    size = half + ZSTD_compress(packed + half, room - half, text + n / 2, n - n / 2, 3);
    change_file(&t, "a.csv.zst", packed, size);
    check_many(&t, ROWS);
    change_fails(&t, "b.csv.zst", packed, size - 1, "is cut off: its zstd data ends in the middle");
    change_fails(&t, "b.csv.zst", packed, half + 3, "is cut off");
    packed[half + 20] ^= 0xff;
    change_fails(&t, "b.csv.zst", packed, size, "is damaged");
    free(packed);
    free(text);
    change_test_release(&t);
}

static void names_that_begin_like_a_format(void **state)
{
    const char *const names[] = {"PARENT", "ORCID", "ORC", "ARROW1", "FEA1", "PARE"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        struct dm_schema *s = dm_schema_new();
        dm_schema_add(s, names[i], dm_type_of(DM_INT64))->required = true;
        dm_schema_add_key(s, 0);
        struct change_test t;
        char bytes[64];
        change_test_init(&t, *state, s);
        snprintf(bytes, sizeof bytes, "%s,other\n7,x\n", names[i]);
        change_gives(&t, "a.csv", bytes, "upsert 2 7\n");
        change_test_release(&t);
    }
}

static void what_is_not_text(void **state)
{
    struct change_test t = change_start_small(state);
    change_fails(&t, "a.csv.gz", "id,name\n", 8, "is not gzip, as its name says");
    change_fails(&t, "a.csv", "BZh91AY", 7, "is compressed with bzip2");
    change_fails(&t, "a.csv", "PK\x03\x04zzzz", 8, "is a zip archive");
    change_fails(&t, "a.csv", "\xff\xfei\0d\0", 6, "is text in UTF-16");
    change_fails(&t, "a.csv", "PARE\x15\x04\0\0zzzz", 12, "is an encrypted Parquet file");
    change_fails(&t, "a.csv", "ORC\x08\x01zzz", 8, "is an ORC file");
    change_fails(&t, "a", "Obj\x01\x04\x14", 6, "is an Avro file");
    change_fails(&t, "a.csv", "ARROW1\0\0", 8, "is an Arrow file");
    change_fails(&t, "a.csv", "\x04\x22\x4d\x18zzzz", 8, "is compressed with LZ4");
    change_fails(&t, "a.csv", "PAR1zzzzPAR1", 12, "is a Parquet file");
    snprintf(t.path, sizeof t.path, "%s/none.csv", t.f->folder);
    assert_int_equal(change_read(&t), DM_FAIL);
    assert_int_equal(t.err.class, DM_ERROR_CONFIG);
    snprintf(t.path, sizeof t.path, "%s", t.f->folder);
    assert_int_equal(change_read(&t), DM_FAIL);
    assert_non_null(strstr(t.err.message, "is a folder"));
    change_test_release(&t);
}

/* ---- long rows ---- */

static size_t resident_kib(void)
{
    size_t pages = 0, resident = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    assert_non_null(f);
    assert_int_equal(fscanf(f, "%zu %zu", &pages, &resident), 2);
    fclose(f);
    return resident * (size_t)sysconf(_SC_PAGESIZE) / 1024;
}

/* 100 MB of one line, quoted or not: refused, never held, and the rows around it are there. */
static void line_of_100_megabytes(void **state)
{
    struct change_test t = change_start_small(state);
    for (int quoted = 0; quoted < 2; quoted++) {
        snprintf(t.path, sizeof t.path, "%s/long.csv", t.f->folder);
        FILE *out = fopen(t.path, "w");
        assert_non_null(out);
        fprintf(out, "id,name\n1,a\n2,%s", quoted ? "\"" : "");
        char *block = dm_xalloc(1 << 20);
        memset(block, 'x', 1 << 20);
        block[1000] = quoted ? '\n' : 'x';
        for (int i = 0; i < 100; i++)
            assert_int_equal(fwrite(block, 1, 1 << 20, out), 1 << 20);
        fprintf(out, "%s\r\n3,c\r\nx,y\n", quoted ? "\"" : "");
        fclose(out);
        free(block);
        size_t before = resident_kib();
        assert_int_equal(change_read(&t), DM_END);
#ifndef __SANITIZE_ADDRESS__ /* which keeps what was freed for a while */
        assert_true(resident_kib() < before + (64 << 10));
#endif
        (void)before;
        char expected[1600];
        char head[1000];
        memset(head, 'x', sizeof head);
        memcpy(head, quoted ? "2,\\\"" : "2,", quoted ? 4 : 2);
        snprintf(expected, sizeof expected,
                 "upsert 2 (1, \"a\")\n"
                 "bad 3 row_too_large - \"%.*s…\"\n"
                 "upsert %d (3, \"c\")\n"
                 "bad %d wrong_type - {\"id\":\"x\",\"name\":\"y\"}\n",
                 quoted ? 1000 : 999, head, quoted ? 104 : 4, quoted ? 105 : 5);
        assert_string_equal(t.found, expected);
    }
    assert_int_equal(unlink(t.path), 0);
    change_test_release(&t);
}

static void row_limit(void **state)
{
    struct change_test t = change_start_small(state);
    t.options.max_row_bytes = 1024;
    char file[4096];
    memset(file, 'x', sizeof file);
    memcpy(file, "id,name\n1,", 10);
    memcpy(file + 8 + 1024, "\n2,", 3); /* a row of exactly the limit */
    memcpy(file + 8 + 1025 + 1025, "\n3,c\n", 6);
    change_file(&t, "a.csv", file, strlen(file));
    assert_int_equal(change_read(&t), DM_END);
    assert_memory_equal(t.found, "upsert 2 (1, \"xxx", 17);
    assert_non_null(strstr(t.found, "bad 3 row_too_large"));
    assert_non_null(strstr(t.found, "upsert 4 (3, \"c\")"));
    change_test_release(&t);
}

/* A quote that opens a value longer than a row may be, and never closes: what is behind it cannot be known. */
static void unclosed_quote_in_a_large_file(void **state)
{
    struct change_test t = change_start_small(state);
    t.options.max_row_bytes = 4096;
    size_t n;
    char *rest = many_rows(100000, &n);
    for (size_t i = 0; i < n; i++)
        rest[i] = rest[i] == '"' ? '\'' : rest[i];
    char *file = dm_xasprintf("id,name\n1,\"%s", rest);
    change_fails(&t, "a.csv", file, strlen(file), "line 2: a quote that opens there is never closed");
    free(file);
    free(rest);
    change_test_release(&t);
}

/* ---- raw content ---- */

/* The raw content of a bad row reads back as a row of the same meaning; mended, it is that row. */
static void raw_content_reads_back(void **state)
{
    struct change_test t = change_start_small(state);
    change_gives(
        &t, "a.csv", "id,name,_change_request_type\nx,\"a\"\"\n\xc3\xa9\",u\ny,,d\n",
        "bad 2 wrong_type - {\"id\":\"x\",\"name\":\"a\\\"\\n\xc3\xa9\",\"_change_request_type\":\"u\"}\n"
        "bad 4 wrong_type - {\"id\":\"y\",\"name\":null,\"_change_request_type\":\"d\"}\n");
    static const char mended[] =
        "{\"id\":\"7\",\"name\":\"a\\\"\\n\xc3\xa9\",\"_change_request_type\":\"u\"}\n"
        "{\"id\":\"8\",\"name\":null,\"_change_request_type\":\"d\"}\n";
    struct dm_change_reader *r;
    assert_ok(
        &t, dm_change_reader_open_memory("replay", mended, strlen(mended), t.schema, &t.options, &r, &t.err));
    assert_int_equal(change_drain(&t, r), DM_END);
    assert_string_equal(t.found, "upsert 1 (7, \"a\\\"\\u000a\xc3\xa9\")\ndelete 2 (8, null)\n");
    /* what was no row stays none; an array is taken for an array of rows, which its texts are not */
    static const char *const hopeless[] = {"[\"1\",\"a\"]", "\"2,\\\"open\"",
                                           "{\"id\":\"1\",\"name\":\"\\udcff\"}"};
    static const char *const outcomes[] = {"bad 1 corrupt_row - \"1\"\nbad 1 corrupt_row - \"a\"\n",
                                           "bad 1 corrupt_row - \"2,\\\"open\"\n",
                                           "bad 1 invalid_utf8 - {\"id\":\"1\",\"name\":\"\\udcff\"}\n"};
    for (size_t i = 0; i < 3; i++) {
        struct dm_change_options options = {.format = DM_CHANGES_JSON, .version_field = -1};
        assert_ok(&t, dm_change_reader_open_memory("replay", hopeless[i], strlen(hopeless[i]), t.schema,
                                                   &options, &r, &t.err));
        assert_int_equal(change_drain(&t, r), DM_END);
        assert_string_equal(t.found, outcomes[i]);
    }
    change_test_release(&t);
}

/* Small batches and small limits give the same rows. */
static void limits_of_a_call(void **state)
{
    struct change_test t = change_start_small(state);
    static const char file[] = "id,name\n1,a\nx,b\n3,c\n4,d\n";
    static const char expected[] = "upsert 2 (1, \"a\")\nbad 3 wrong_type - {\"id\":\"x\",\"name\":\"b\"}\n"
                                   "upsert 4 (3, \"c\")\nupsert 5 (4, \"d\")\n";
    t.max_rows = 1;
    change_gives(&t, "a.csv", file, expected);
    assert_non_null(strstr(t.found, "upsert 5"));
    t.max_rows = 100;
    t.max_bytes = 1;
    change_gives(&t, "a.csv", file, expected);
    change_test_release(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_of_every_kind),
        cmocka_unit_test(bad_rows_and_their_reasons),
        cmocka_unit_test(line_numbers),
        cmocka_unit_test(unclosed_quote),
        cmocka_unit_test(delimiters_are_found),
        cmocka_unit_test(wrong_delimiter),
        cmocka_unit_test(header_found_out),
        cmocka_unit_test(header_without_what_is_needed),
        cmocka_unit_test(empty_files),
        cmocka_unit_test(control_columns),
        cmocka_unit_test(flattened),
        cmocka_unit_test(control_column_of_the_schema),
        cmocka_unit_test(null_text_and_rules),
        cmocka_unit_test(compressed),
        cmocka_unit_test(names_that_begin_like_a_format),
        cmocka_unit_test(what_is_not_text),
        cmocka_unit_test(line_of_100_megabytes),
        cmocka_unit_test(row_limit),
        cmocka_unit_test(unclosed_quote_in_a_large_file),
        cmocka_unit_test(raw_content_reads_back),
        cmocka_unit_test(limits_of_a_call),
    };
    return cmocka_run_group_tests(tests, fixture_setup, fixture_teardown);
}
