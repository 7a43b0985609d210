/* The Avro reader on hand-made bytes: every kind of value, other spellings of one thing, and damage. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <zlib.h>

#include "format/avro_read.h"
#include "format/avro_write.h"

static struct dm_error err;

/* A file by hand: properties, then blocks of raw bytes, so that it can be wrong where a test wants it. */
static struct dm_buffer file;
static const uint8_t sync_marker[16] = "0123456789abcdef";

static void raw(const void *bytes, size_t n)
{
    assert_int_equal(dm_buffer_append(&file, bytes, n, &err), DM_OK);
}

static void number(int64_t value)
{
    uint64_t v = ((uint64_t)value << 1) ^ (uint64_t)(value >> 63);
    for (; v >= 0x80; v >>= 7)
        raw(&(uint8_t){(uint8_t)(v | 0x80)}, 1);
    raw(&(uint8_t){(uint8_t)v}, 1);
}

static void text(const char *t)
{
    number((int64_t)strlen(t));
    raw(t, strlen(t));
}

static void begin_codec(const char *schema, const char *codec)
{
    dm_buffer_release(&file);
    dm_buffer_init(&file, 16 << 20);
    raw("Obj\x01", 4);
    number(codec != NULL ? 2 : 1);
    text("avro.schema");
    text(schema);
    if (codec != NULL) {
        text("avro.codec");
        text(codec);
    }
    number(0);
    raw(sync_marker, 16);
}

static void begin(const char *schema)
{
    begin_codec(schema, NULL);
}

static void block(int64_t records, const void *bytes, size_t n)
{
    number(records);
    number((int64_t)n);
    raw(bytes, n);
    raw(sync_marker, 16);
}

static enum dm_status open_file(struct dm_avro_reader *r)
{
    memset(&err, 0, sizeof err);
    return dm_avro_open(r, file.data, file.len, &err);
}

#define assert_refused(call, part) \
    do { \
        assert_int_equal(call, DM_FAIL); \
        assert_int_equal(err.class, DM_ERROR_DATA); \
        if (strstr(err.message, part) == NULL) \
            fail_msg("\"%s\" lacks \"%s\"", err.message, part); \
    } while (0)

/* Reads all records, skipping everything. */
static enum dm_status skip_all(size_t *records)
{
    struct dm_avro_reader r;
    *records = 0;
    if (open_file(&r) != DM_OK)
        return DM_FAIL;
    enum dm_status status;
    while ((status = dm_avro_next(&r, &err)) == DM_OK) {
        if (dm_avro_skip(&r, dm_avro_root(&r), &err) != DM_OK) {
            status = DM_FAIL;
            break;
        }
        ++*records;
    }
    dm_avro_close(&r);
    return status;
}

static int teardown(void **state)
{
    (void)state;
    dm_buffer_release(&file);
    return 0;
}

#define RECORD(fields) "{\"type\":\"record\",\"name\":\"r\",\"fields\":[" fields "]}"
#define ONE(type) RECORD("{\"name\":\"a\",\"field-id\":7,\"type\":" type "}")

static void test_values(void **state)
{
    (void)state;
    struct dm_avro_reader r;
    const struct dm_avro_member *m;
    int64_t n;
    const uint8_t *bytes;
    size_t length;
    begin(RECORD(
        "{\"name\":\"a\",\"field-id\":7,\"type\":\"long\"},{\"name\":\"b\",\"type\":[\"null\",\"int\"]},"
        "{\"name\":\"c\",\"field-id\":-3,\"type\":{\"type\":\"string\"}},"
        "{\"name\":\"d\",\"type\":{\"type\":\"fixed\",\"name\":\"f\",\"size\":2}},{\"name\":\"e\",\"type\":["
        "\"bytes\",\"null\"]}"));
    /* INT64_MIN; int -1; "é"; fixed; null */
    block(1, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x02\x01\x04\xc3\xa9xy\x02", 18);
    block(0, "", 0);
    /* INT64_MAX; null; ""; fixed; empty bytes */
    block(1, "\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01\x00\x00zz\x00\x00", 16);
    assert_int_equal(open_file(&r), DM_OK);
    m = dm_avro_root(&r)->members;
    assert_int_equal(dm_avro_root(&r)->n_members, 5);
    assert_int_equal(m[0].id, 7);
    assert_int_equal(m[1].id, -1);
    assert_int_equal(m[2].id, -1);
    assert_string_equal(m[4].name, "e");
    assert_int_equal(dm_avro_next(&r, &err), DM_OK);
    assert_int_equal(dm_avro_get_long(&r, m[0].type, 5, &n, &err), DM_OK);
    assert_true(n == INT64_MIN);
    assert_int_equal(dm_avro_get_long(&r, m[1].type, 5, &n, &err), DM_OK);
    assert_int_equal(n, -1);
    assert_int_equal(dm_avro_get_bytes(&r, m[2].type, &bytes, &length, &err), DM_OK);
    assert_int_equal(length, 2);
    assert_memory_equal(bytes, "\xc3\xa9", 2);
    assert_int_equal(dm_avro_get_bytes(&r, m[3].type, &bytes, &length, &err), DM_OK);
    assert_memory_equal(bytes, "xy", length);
    assert_int_equal(dm_avro_get_bytes(&r, m[4].type, &bytes, &length, &err), DM_OK);
    assert_null(bytes);
    assert_int_equal(dm_avro_next(&r, &err), DM_OK);
    assert_int_equal(dm_avro_get_long(&r, m[0].type, 5, &n, &err), DM_OK);
    assert_true(n == INT64_MAX);
    assert_int_equal(dm_avro_get_long(&r, m[1].type, 5, &n, &err), DM_OK);
    assert_int_equal(n, 5);
    assert_int_equal(dm_avro_skip(&r, m[2].type, &err), DM_OK);
    assert_int_equal(dm_avro_skip(&r, m[3].type, &err), DM_OK);
    assert_int_equal(dm_avro_get_bytes(&r, m[4].type, &bytes, &length, &err), DM_OK);
    assert_non_null(bytes);
    assert_int_equal(length, 0);
    assert_int_equal(dm_avro_next(&r, &err), DM_END);
    assert_int_equal(dm_avro_next(&r, &err), DM_END);
    dm_avro_close(&r);
}

static void test_items_come_in_runs(void **state)
{
    (void)state;
    struct dm_avro_reader r;
    struct dm_avro_items items;
    int64_t n;
    int64_t sum = 0;
    begin(ONE("[\"null\",{\"type\":\"array\",\"items\":\"int\"}]"));
    block(2,
          "\x02\x04\x02\x04\x03\x04\x06\x08\x00" /* [1, 2] and, with its size given, [3, 4] */
          "\x00" /* null */,
          10);
    assert_int_equal(open_file(&r), DM_OK);
    const struct dm_avro_type *type = dm_avro_root(&r)->members[0].type;
    assert_int_equal(dm_avro_next(&r, &err), DM_OK);
    assert_int_equal(dm_avro_items_begin(&r, type, &items, &err), DM_OK);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(dm_avro_items_next(&r, &items, &err), DM_OK);
        assert_int_equal(dm_avro_get_long(&r, items.item, 0, &n, &err), DM_OK);
        sum = sum * 10 + n;
    }
    assert_int_equal(dm_avro_items_next(&r, &items, &err), DM_END);
    assert_int_equal(sum, 1234);
    assert_int_equal(dm_avro_next(&r, &err), DM_OK);
    assert_int_equal(dm_avro_items_begin(&r, type, &items, &err), DM_OK);
    assert_true(items.is_null);
    assert_int_equal(dm_avro_items_next(&r, &items, &err), DM_END);
    assert_int_equal(dm_avro_next(&r, &err), DM_END);
    dm_avro_close(&r);
}

static void test_skips_every_kind(void **state)
{
    (void)state;
    size_t records;
    begin(RECORD(
        "{\"name\":\"a\",\"type\":\"boolean\"},{\"name\":\"b\",\"type\":\"float\"},{\"name\":\"c\",\"type\":"
        "\"double\"},"
        "{\"name\":\"d\",\"type\":{\"type\":\"enum\",\"name\":\"e\",\"symbols\":[\"X\",\"Y\"]}},"
        "{\"name\":\"f\",\"type\":{\"type\":\"map\",\"values\":{\"type\":\"array\",\"items\":\"null\"}}},"
        "{\"name\":\"g\",\"type\":{\"type\":\"record\",\"name\":\"list\",\"fields\":["
        "{\"name\":\"next\",\"type\":[\"null\",\"list\"]}]}}"));
    block(2,
          "\x01"
          "ffff"
          "dddddddd"
          "\x02"
          "\x02\x02k\x06\x00\x00"
          "\x02\x02\x00"
          "\x00"
          "ffff"
          "dddddddd"
          "\x00"
          "\x00"
          "\x00",
          39);
    assert_int_equal(skip_all(&records), DM_END);
    assert_int_equal(records, 2);
}

static void test_names_and_namespaces(void **state)
{
    (void)state;
    struct dm_avro_schema s = {0};
    static const char json[] =
        "{\"type\":\"record\",\"name\":\"a.b.R\",\"fields\":["
        "{\"name\":\"one\",\"type\":{\"type\":\"fixed\",\"name\":\"F\",\"size\":1}},"
        "{\"name\":\"two\",\"type\":{\"type\":\"fixed\",\"name\":\"F\",\"namespace\":\"c\",\"size\":2}},"
        "{\"name\":\"three\",\"type\":\"F\"},{\"name\":\"four\",\"type\":\"c.F\"},{\"name\":\"five\","
        "\"type\":\"a.b.F\"},"
        "{\"name\":\"six\",\"type\":{\"type\":\"array\",\"items\":\"R\"}}]}";
    assert_int_equal(dm_avro_schema_parse(&s, json, sizeof json - 1, &err), DM_OK);
    assert_int_equal(s.root->members[2].type->size, 1);
    assert_int_equal(s.root->members[3].type->size, 2);
    assert_int_equal(s.root->members[4].type->size, 1);
    assert_ptr_equal(s.root->members[5].type->members[0].type, s.root);
    dm_avro_schema_release(&s);
}

static void test_refuses_bad_schemas(void **state)
{
    (void)state;
    static const struct {
        const char *schema, *message;
    } cases[] = {
        {"", "not JSON"},
        {"{", "not JSON"},
        {"7", "not a type"},
        {"\"long\"", "not records"},
        {"\"nonsense\"", "unknown type"},
        {"[]", "without branches"},
        {ONE("[\"null\",[\"int\"]]"), "union directly inside"},
        {ONE("\"missing\""), "unknown type"},
        {ONE("{\"type\":\"fixed\",\"name\":\"f\",\"size\":-1}"), "no size"},
        {ONE("{\"type\":\"fixed\",\"name\":\"f\",\"size\":99999999999}"), "no size"},
        {ONE("{\"type\":\"enum\",\"name\":\"f\",\"symbols\":[]}"), "no symbols"},
        {ONE("{\"type\":\"array\"}"), "not a type"},
        {"{\"type\":\"record\",\"fields\":[]}", "without a name"},
        {"{\"type\":\"record\",\"name\":\"r\"}", "no list of fields"},
        {RECORD("{\"type\":\"int\"}"), "field without a name"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct dm_avro_reader r;
        begin(cases[i].schema);
        assert_refused(open_file(&r), cases[i].message);
    }
    char deep[4096] = "";
    for (int i = 0; i < 100; i++)
        strcat(deep, "{\"type\":");
    begin(deep);
    struct dm_avro_reader r;
    assert_refused(open_file(&r), "not JSON");
    strcat(deep, "\"int\"");
    for (int i = 0; i < 100; i++)
        strcat(deep, "}");
    begin(deep);
    assert_refused(open_file(&r), "nested too deep");
}

static void test_refuses_bad_headers(void **state)
{
    (void)state;
    struct dm_avro_reader r;
    assert_refused(dm_avro_open(&r, NULL, 0, &err), "not an Avro file");
    assert_refused(dm_avro_open(&r, (const uint8_t *)"Obj\x02", 4, &err), "not an Avro file");
    begin_codec(ONE("\"int\""), "snappy");
    assert_refused(open_file(&r), "\"snappy\" is not supported");
    assert_true(err.hint[0] != '\0');
    begin(ONE("\"int\""));
    size_t whole = file.len;
    for (file.len = 0; file.len < whole; file.len++) /* cut anywhere */
        assert_int_equal(open_file(&r), DM_FAIL);
    dm_buffer_clear(&file);
    raw("Obj\x01", 4);
    number(1);
    text("a");
    text("b");
    number(0);
    raw(sync_marker, 16);
    assert_refused(open_file(&r), "no schema");
    dm_buffer_clear(&file);
    raw("Obj\x01", 4);
    number(INT64_MAX);
    assert_refused(open_file(&r), "too many properties");
    dm_buffer_clear(&file);
    raw("Obj\x01", 4);
    number(INT64_MIN);
    assert_refused(open_file(&r), "impossible count");
}

static void test_refuses_bad_blocks(void **state)
{
    (void)state;
    static const struct {
        const char *type;
        int64_t records;
        const char *bytes;
        size_t n;
        const char *message;
    } cases[] = {
        {"\"int\"", 1, "\x02\x02", 2, "after its last record"},
        {"\"int\"", 3, "\x02\x02", 2, "middle of a value"},
        {"\"int\"", -1, "\x02", 1, "impossible count of records"},
        {"\"long\"", 1, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", 10, "more than 64 bits"},
        {"\"string\"", 1, "\x05", 1, "does not fit"}, /* length -3 */
        {"\"string\"", 1,
         "\x7e"
         "abc",
         4, "does not fit"}, /* length 63 */
        {"[\"null\",\"int\"]", 1, "\x04", 1, "no branch 2"},
        {"[\"null\",\"int\"]", 1, "\x01", 1, "no branch -1"},
        {"{\"type\":\"fixed\",\"name\":\"f\",\"size\":2147483647}", 1, "a", 1, "middle of a value"},
        {"{\"type\":\"array\",\"items\":\"int\"}", 1, "\x01\x7e", 2,
         "middle of a value"}, /* a run of 63 bytes */
        {"{\"type\":\"array\",\"items\":\"null\"}", 1, "\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01\x00", 11,
         "more values than"},
        {"{\"type\":\"array\",\"items\":{\"type\":\"fixed\",\"name\":\"z\",\"size\":0}}", 1,
         "\xfe\xff\xff\xff\x0f\x00", 6, "more values than"},
        {"\"r\"", 1, "", 0, "nested too deep"}, /* a record that holds itself */
        {"\"null\"", 1000000000, "", 0, "more values than"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char schema[512];
        size_t records;
        (void)snprintf(schema, sizeof schema, ONE("%s"), cases[i].type);
        begin(schema);
        block(cases[i].records, cases[i].bytes, cases[i].n);
        assert_refused(skip_all(&records), cases[i].message);
    }
}

static void test_refuses_damaged_framing(void **state)
{
    (void)state;
    size_t records;
    begin(ONE("\"int\""));
    block(1, "\x02", 1);
    size_t header = file.len - 19;
    size_t whole = file.len;
    for (file.len = header + 1; file.len < whole; file.len++) /* a block cut anywhere */
        assert_int_equal(skip_all(&records), DM_FAIL);
    assert_int_equal(skip_all(&records), DM_END);
    file.data[file.len - 1] ^= 1;
    assert_refused(skip_all(&records), "sync marker");
}

static void test_refuses_bad_deflate(void **state)
{
    (void)state;
    size_t records;
    begin_codec(ONE("\"int\""), "deflate");
    block(1, "garbage", 7);
    assert_refused(skip_all(&records), "not valid deflate");
    begin_codec(ONE("\"int\""), "deflate");
    block(1, "\x01\x01\x00\xfe\xff\x02", 6); /* one stored byte */
    assert_int_equal(skip_all(&records), DM_END);
    assert_int_equal(records, 1);
    begin_codec(ONE("\"int\""), "deflate");
    block(1,
          "\x01\x01\x00\xfe\xff\x02"
          "xyz",
          9); /* PyIceberg's three bytes too many */
    assert_int_equal(skip_all(&records), DM_END);
    begin_codec(ONE("\"int\""), "deflate");
    block(1, "\x01\x01\x00\xfe", 4); /* cut off */
    assert_refused(skip_all(&records), "not valid deflate");
}

/* Too many zeros in few bytes. */
static void test_refuses_deflate_bombs(void **state)
{
    (void)state;
    size_t records;
    static uint8_t zeros[1 << 20];
    static uint8_t packed[1 << 20];
    z_stream z = {.next_out = packed, .avail_out = sizeof packed};
    assert_int_equal(deflateInit2(&z, 1, Z_DEFLATED, -MAX_WBITS, 8, Z_DEFAULT_STRATEGY), Z_OK);
    for (size_t done = 0; done <= DM_AVRO_MAX_BLOCK; done += sizeof zeros) {
        z.next_in = zeros;
        z.avail_in = sizeof zeros;
        assert_int_equal(deflate(&z, done == DM_AVRO_MAX_BLOCK ? Z_FINISH : Z_NO_FLUSH),
                         done == DM_AVRO_MAX_BLOCK ? Z_STREAM_END : Z_OK);
    }
    size_t n = sizeof packed - z.avail_out;
    assert_int_equal(deflateEnd(&z), Z_OK);
    begin_codec(ONE("\"bytes\""), "deflate");
    block(1, packed, n);
    assert_refused(skip_all(&records), "larger than");
}

static void test_writer_failure_leaves_the_buffer(void **state)
{
    (void)state;
    struct dm_buffer out;
    struct dm_avro_writer w;
    dm_buffer_init(&out, 300);
    assert_int_equal(dm_buffer_append(&out, "before", 6, &err), DM_OK);
    dm_avro_writer_begin(&w, &out, ONE("\"string\""), NULL, 0, DM_AVRO_CODEC_NULL, &err);
    for (int i = 0; i < 20; i++) {
        dm_avro_put_text(&w, "0123456789abcdef");
        dm_avro_end_record(&w);
    }
    assert_int_equal(dm_avro_writer_finish(&w), DM_FAIL);
    assert_int_equal(out.len, 6);
    dm_buffer_release(&out);
}

static void test_writer_is_read_back(void **state)
{
    (void)state;
    for (int codec = DM_AVRO_CODEC_NULL; codec <= DM_AVRO_CODEC_DEFLATE; codec++) {
        struct dm_avro_writer w;
        struct dm_avro_reader r;
        const uint8_t *value;
        size_t n;
        int64_t got;
        const struct dm_avro_text_property properties[] = {{"k", "v"}};
        dm_buffer_release(&file);
        dm_buffer_init(&file, 16 << 20);
        dm_avro_writer_begin(&w, &file, ONE("\"long\""), properties, 1, (enum dm_avro_codec)codec, &err);
        for (int64_t i = -200000; i < 200000; i++) { /* several blocks */
            dm_avro_put_long(&w, i * i * i);
            dm_avro_end_record(&w);
        }
        assert_int_equal(dm_avro_writer_finish(&w), DM_OK);
        assert_int_equal(open_file(&r), DM_OK);
        assert_true(dm_avro_property(&r, "k", &value, &n));
        assert_int_equal(n, 1);
        assert_false(dm_avro_property(&r, "kk", &value, &n));
        for (int64_t i = -200000; i < 200000; i++) {
            assert_int_equal(dm_avro_next(&r, &err), DM_OK);
            assert_int_equal(dm_avro_get_long(&r, dm_avro_root(&r)->members[0].type, 0, &got, &err), DM_OK);
            assert_true(got == i * i * i);
        }
        assert_int_equal(dm_avro_next(&r, &err), DM_END);
        dm_avro_close(&r);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_items_come_in_runs),
        cmocka_unit_test(test_skips_every_kind),
        cmocka_unit_test(test_names_and_namespaces),
        cmocka_unit_test(test_refuses_bad_schemas),
        cmocka_unit_test(test_refuses_bad_headers),
        cmocka_unit_test(test_refuses_bad_blocks),
        cmocka_unit_test(test_refuses_damaged_framing),
        cmocka_unit_test(test_refuses_bad_deflate),
        cmocka_unit_test(test_refuses_deflate_bombs),
        cmocka_unit_test(test_writer_failure_leaves_the_buffer),
        cmocka_unit_test(test_writer_is_read_back),
    };
    return cmocka_run_group_tests(tests, NULL, teardown);
}
