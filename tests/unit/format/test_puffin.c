/* Deletion vectors: what comes back, and every way in which the bytes may be wrong. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <zlib.h>

#include "base/bytes.h"
#include "format/puffin.h"
#include "format/roaring_check.h"

static struct dm_error err;

#define assert_refused(call, part) \
    do { \
        assert_int_equal(call, DM_FAIL); \
        assert_int_equal(err.class, DM_ERROR_DATA); \
        if (strstr(err.message, part) == NULL) \
            fail_msg("\"%s\" lacks \"%s\"", err.message, part); \
    } while (0)

/* ---- whole files ---- */

static void encode(const roaring_bitmap_t *b, struct dm_puffin_vector *v, struct dm_buffer *out)
{
    *v = (struct dm_puffin_vector){.data_file = "/lake/a \"b\"/\xc3\xa4.parquet", .deleted = b};
    dm_buffer_init(out, 64 << 20);
    assert_int_equal(dm_puffin_encode(v, 1, "test", out, &err), DM_OK);
}

static void round_trip(roaring_bitmap_t *b)
{
    struct dm_puffin_vector v;
    struct dm_buffer out;
    roaring_bitmap_t *back;
    size_t blobs;
    for (int runs = 0; runs <= 1; runs++) {
        encode(b, &v, &out);
        assert_int_equal(dm_puffin_check(out.data, out.len, &blobs, &err), DM_OK);
        assert_int_equal(blobs, 1);
        assert_int_equal(dm_puffin_vector_decode(out.data + v.offset, v.length, &back, &err), DM_OK);
        assert_true(roaring_bitmap_equals(b, back));
        roaring_bitmap_free(back);
        dm_buffer_release(&out);
        roaring_bitmap_run_optimize(b);
    }
    roaring_bitmap_free(b);
}

static void test_round_trip(void **state)
{
    (void)state;
    roaring_bitmap_t *b = roaring_bitmap_create();
    roaring_bitmap_add(b, 0);
    round_trip(b);
    b = roaring_bitmap_create();
    roaring_bitmap_add(b, UINT32_MAX);
    round_trip(b);
    for (uint32_t n = 4095; n <= 4097; n++) { /* where an array becomes a bitset */
        b = roaring_bitmap_create();
        for (uint32_t i = 0; i < n; i++)
            roaring_bitmap_add(b, 70000 + i * 2);
        round_trip(b);
    }
    for (uint32_t containers = 1; containers <= 9; containers++) { /* offsets begin at 4 */
        b = roaring_bitmap_create();
        for (uint32_t i = 0; i < containers; i++)
            roaring_bitmap_add_range(b, (uint64_t)i * 131072, (uint64_t)i * 131072 + 10 + i * 9000);
        round_trip(b);
    }
    b = roaring_bitmap_create();
    roaring_bitmap_add_range(b, 0, 1 << 20); /* full containers */
    round_trip(b);
    srand(20261121);
    for (int round = 0; round < 200; round++) {
        b = roaring_bitmap_create();
        int n = 1 + rand() % 3000;
        uint32_t spread = (uint32_t)1 << (rand() % 31);
        for (int i = 0; i < n; i++) {
            uint32_t at = (uint32_t)rand() % spread;
            roaring_bitmap_add_range(b, at, at + 1 + (uint64_t)(rand() % 40));
        }
        round_trip(b);
    }
}

static void test_many_blobs(void **state)
{
    (void)state;
    enum { N = 300 };
    struct dm_puffin_vector v[N];
    roaring_bitmap_t *bitmaps[N];
    struct dm_buffer out;
    size_t blobs;
    dm_buffer_init(&out, 64 << 20);
    /* Offsets count from the file's begin. */
    assert_int_equal(dm_buffer_append(&out, "before", 6, &err), DM_OK);
    for (size_t i = 0; i < N; i++) {
        bitmaps[i] = roaring_bitmap_create();
        roaring_bitmap_add_range(bitmaps[i], i, 2 * i + 1);
        v[i] = (struct dm_puffin_vector){.data_file = "f", .deleted = bitmaps[i]};
    }
    assert_int_equal(dm_puffin_encode(v, N, "test", &out, &err), DM_OK);
    assert_int_equal(dm_puffin_check(out.data + 6, out.len - 6, &blobs, &err), DM_OK);
    assert_int_equal(blobs, N);
    for (size_t i = 0; i < N; i++) {
        roaring_bitmap_t *back;
        assert_int_equal(dm_puffin_vector_decode(out.data + 6 + v[i].offset, v[i].length, &back, &err),
                         DM_OK);
        assert_true(roaring_bitmap_equals(back, bitmaps[i]));
        roaring_bitmap_free(back);
        roaring_bitmap_free(bitmaps[i]);
    }
    dm_buffer_release(&out);
}

static void test_encode_failures_leave_the_buffer(void **state)
{
    (void)state;
    struct dm_buffer out;
    roaring_bitmap_t *b = roaring_bitmap_create();
    struct dm_puffin_vector v = {.data_file = "f", .deleted = b};
    dm_buffer_init(&out, 64 << 20);
    assert_int_equal(dm_puffin_encode(&v, 1, "test", &out, &err), DM_FAIL); /* empty */
    assert_int_equal(err.class, DM_ERROR_FATAL);
    assert_int_equal(out.len, 0);
    roaring_bitmap_add(b, 1);
    v.data_file = "not UTF-8: \xff";
    assert_refused(dm_puffin_encode(&v, 1, "test", &out, &err), "not UTF-8");
    assert_int_equal(out.len, 0);
    v.data_file = "f";
    out.max = 100;
    assert_int_equal(dm_puffin_encode(&v, 1, "test", &out, &err), DM_FAIL);
    assert_int_equal(out.len, 0);
    roaring_bitmap_free(b);
    dm_buffer_release(&out);
}

/* Every changed bit and every cut must be noticed: all bytes of a blob are under the checksum, the length or
 * the magic. */
static void test_damage_is_noticed(void **state)
{
    (void)state;
    struct dm_puffin_vector v;
    struct dm_buffer out;
    roaring_bitmap_t *back;
    size_t blobs;
    roaring_bitmap_t *b = roaring_bitmap_create();
    roaring_bitmap_add_many(b, 4, (const uint32_t[]){1, 5, 70000, 80000});
    encode(b, &v, &out);
    uint8_t *blob = out.data + v.offset;
    for (size_t i = 0; i < v.length * 8; i++) {
        blob[i / 8] = (uint8_t)(blob[i / 8] ^ (1u << (i % 8)));
        assert_refused(dm_puffin_vector_decode(blob, v.length, &back, &err), "deletion vector: ");
        assert_null(back);
        assert_refused(dm_puffin_check(out.data, out.len, &blobs, &err), "blob 0: ");
        blob[i / 8] = (uint8_t)(blob[i / 8] ^ (1u << (i % 8)));
    }
    for (size_t n = 0; n < v.length; n++)
        assert_refused(dm_puffin_vector_decode(blob, n, &back, &err), "deletion vector: ");
    assert_refused(dm_puffin_vector_decode(blob, v.length + 1, &back, &err), "length field");
    for (size_t n = 0; n < out.len; n++)
        assert_refused(dm_puffin_check(out.data, n, &blobs, &err), "puffin file: ");
    assert_int_equal(dm_puffin_check(out.data, out.len, &blobs, &err), DM_OK);
    roaring_bitmap_free(b);
    dm_buffer_release(&out);
}

/* A file with the given footer around the blob bytes; the flags are `flags`. */
static enum dm_status check_footer(const char *footer, uint32_t flags)
{
    struct dm_buffer f;
    uint8_t tail[12] = {0};
    size_t blobs;
    dm_buffer_init(&f, 1 << 20);
    dm_put_le32(tail, (uint32_t)strlen(footer));
    dm_put_le32(tail + 4, flags);
    memcpy(tail + 8, "PFA1", 4);
    assert_int_equal(dm_buffer_printf(&f, &err, "PFA1somebytesPFA1%s", footer), DM_OK);
    assert_int_equal(dm_buffer_append(&f, tail, sizeof tail, &err), DM_OK);
    enum dm_status status = dm_puffin_check(f.data, f.len, &blobs, &err);
    dm_buffer_release(&f);
    return status;
}

#define BLOB(type, offset, length) \
    "{\"blobs\":[{\"type\":\"" type \
    "\",\"fields\":[],\"snapshot-id\":1,\"sequence-number\":1,\"offset\":" offset ",\"length\":" length \
    "}]}"

static void test_footers(void **state)
{
    (void)state;
    assert_int_equal(check_footer("{\"blobs\":[]}", 0), DM_OK);
    assert_int_equal(check_footer(BLOB("theirs", "4", "9"), 0), DM_OK);
    assert_int_equal(check_footer(BLOB("theirs", "13", "0"), 0), DM_OK);
    assert_refused(check_footer("{\"blobs\":[]}", 1), "compressed or has unknown flags");
    assert_refused(check_footer("{}", 0), "no list of blobs");
    assert_refused(check_footer("[]", 0), "no list of blobs");
    assert_refused(check_footer("{\"blobs\":[}", 0), "not JSON");
    assert_refused(check_footer("{\"blobs\":[7]}", 0), "type, fields, offset or length");
    assert_refused(check_footer(BLOB("theirs", "4", "10"), 0), "outside the file");
    assert_refused(check_footer(BLOB("theirs", "3", "1"), 0), "outside the file");
    assert_refused(check_footer(BLOB("theirs", "-1", "1"), 0), "outside the file");
    assert_refused(check_footer(BLOB("theirs", "4", "-1"), 0), "outside the file");
    assert_refused(check_footer(BLOB("theirs", "9223372036854775807", "9223372036854775807"), 0),
                   "outside the file");
    assert_refused(check_footer(BLOB("theirs", "9223372036854775808", "1"), 0), "not JSON");
    assert_refused(check_footer(BLOB("theirs", "4.0", "1"), 0), "type, fields, offset or length");
    assert_refused(check_footer(BLOB("deletion-vector-v1", "4", "9"), 0), "cut off");
    static const char one[] = "{\"type\":\"t\",\"fields\":[],\"offset\":4,\"length\":9}";
    char twice[256];
    (void)snprintf(twice, sizeof twice, "{\"blobs\":[%s,%s]}", one, one);
    assert_refused(check_footer(twice, 0), "blob 1: it overlaps another blob");
}

static void test_wrong_cardinality_is_noticed(void **state)
{
    (void)state;
    struct dm_puffin_vector v;
    struct dm_buffer out;
    size_t blobs;
    roaring_bitmap_t *b = roaring_bitmap_create();
    roaring_bitmap_add(b, 9);
    encode(b, &v, &out);
    char *said = memmem(out.data, out.len, "\"cardinality\":\"1\"", 17);
    assert_non_null(said);
    said[15] = '2';
    assert_refused(dm_puffin_check(out.data, out.len, &blobs, &err), "cardinality is 1 where 2 is said");
    roaring_bitmap_free(b);
    dm_buffer_release(&out);
}

/* ---- vectors with a right frame and wrong contents ---- */

static enum dm_status decode_framed(const void *vector, size_t n)
{
    roaring_bitmap_t *b;
    uint8_t *blob = malloc(n + 12); /* exactly as long, so that a sanitizer sees a read too far */
    assert_non_null(blob);
    dm_put_be32(blob, (uint32_t)n + 4);
    memcpy(blob + 4, "\xd1\xd3\x39\x64", 4);
    memcpy(blob + 8, vector, n);
    dm_put_be32(blob + 8 + n, (uint32_t)crc32(0, blob + 4, (uInt)n + 4));
    enum dm_status status = dm_puffin_vector_decode(blob, n + 12, &b, &err);
    free(blob);
    if (status == DM_OK)
        roaring_bitmap_free(b);
    else
        assert_null(b);
    return status;
}

#define ZEROS4 "\0\0\0\0"
#define ONE_KEY "\1\0\0\0" ZEROS4 ZEROS4 /* one bitmap, key 0 */

static void test_more_than_32_bits(void **state)
{
    (void)state;
    assert_int_equal(decode_framed(ZEROS4 ZEROS4, 8), DM_OK); /* no bitmap at all: empty */
    assert_refused(decode_framed("\1\0\0\0" ZEROS4 "\1\0\0\0"
                                 "\x3a\x30\0\0" ZEROS4,
                                 20),
                   "beyond 32 bits");
    assert_refused(decode_framed("\2\0\0\0" ZEROS4 ZEROS4 "\x3a\x30\0\0" ZEROS4, 20), "beyond 32 bits");
    assert_refused(decode_framed("\xff\xff\xff\xff\xff\xff\xff\xff", 8), "beyond 32 bits");
    assert_refused(decode_framed(ZEROS4 ZEROS4 "x", 9), "length is wrong");
    assert_refused(decode_framed("\1\0\0\0" ZEROS4 ZEROS4, 11), "length is wrong");
}

/* One 32-bit bitmap in portable form. */
static enum dm_status check(const void *bytes, size_t n, size_t *used)
{
    uint8_t *copy = malloc(n > 0 ? n : 1);
    assert_non_null(copy);
    memcpy(copy, bytes, n);
    enum dm_status status = dm_roaring_check(copy, n, used, &err);
    free(copy);
    return status;
}

#define NO_RUNS "\x3a\x30\0\0"
#define RUNS(n) "\x3b\x30" n "\0"

static void test_bitmap_contents(void **state)
{
    (void)state;
    size_t used;
    static const struct {
        const char *bytes;
        size_t n;
        const char *message; /* NULL: fine */
    } cases[] = {
        /* clang-format off */
        {NO_RUNS ZEROS4, 8, NULL},
        {NO_RUNS "\1\0\0\0" "\0\0\0\0" "\x10\0\0\0" "\5\0", 18, NULL},
        {NO_RUNS "\1\0\0\0" "\0\0\1\0" "\x10\0\0\0" "\5\0\6\0", 20, NULL},
        {NO_RUNS "\1\0\0\0" "\0\0\1\0" "\x10\0\0\0" "\6\0\5\0", 20, "do not ascend"},
        {NO_RUNS "\1\0\0\0" "\0\0\1\0" "\x10\0\0\0" "\5\0\5\0", 20, "do not ascend"},
        {NO_RUNS "\1\0\0\0" "\0\0\1\0" "\x11\0\0\0" "\5\0\6\0", 20, "offset is wrong"},
        {NO_RUNS "\1\0\0\0" "\0\0\xff\xff" "\x10\0\0\0" "\5\0\6\0", 20, "cut off"},
        {NO_RUNS "\2\0\0\0" "\1\0\0\0" "\1\0\0\0" "\x18\0\0\0" "\x1a\0\0\0" "\5\0\5\0", 28, "keys do not ascend"},
        {NO_RUNS "\2\0\0\0" "\1\0\0\0" "\2\0\0\0" "\x18\0\0\0" "\x1a\0\0\0" "\5\0\5\0", 28, NULL},
        {NO_RUNS "\1\0\1\0", 8, "too many containers"},
        {NO_RUNS "\xff\xff\xff\xff", 8, "too many containers"},
        {NO_RUNS "\0\0\1\0", 8, "cut off"},
        {"\x3c\x30\0\0" ZEROS4, 8, "cookie"},
        {"\x3a\x30\1\0" ZEROS4, 8, "cookie"},
        {"\x3a\x30\0", 3, "cut off"},
        {RUNS("\0") "\1" "\0\0\3\0" "\1\0" "\5\0\3\0", 15, NULL},
        {RUNS("\0") "\1" "\0\0\4\0" "\1\0" "\5\0\3\0", 15, "number is wrong"},
        {RUNS("\0") "\1" "\0\0\3\0" "\1\0" "\xfe\xff\3\0", 15, "number is wrong"}, /* past 65535 */
        {RUNS("\0") "\1" "\0\0\0\0" "\0\0", 11, "number is wrong"},                 /* no runs */
        {RUNS("\0") "\1" "\0\0\3\0" "\2\0" "\5\0\1\0" "\x08\0\1\0", 19, NULL},
        {RUNS("\0") "\1" "\0\0\3\0" "\2\0" "\5\0\1\0" "\7\0\1\0", 19, "do not ascend"}, /* touching */
        {RUNS("\0") "\1" "\0\0\3\0" "\2\0" "\x09\0\1\0" "\5\0\1\0", 19, "do not ascend"},
        {RUNS("\0") "\1" "\0\0\3\0" "\xff\xff" "\5\0\3\0", 15, "cut off"},
        {RUNS("\0") "\0" "\0\0\0\0" "\7\0", 11, NULL}, /* the flag says: an array */
        {RUNS("\x0f"), 4, "cut off"},
        /* clang-format on */
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        if (cases[i].message != NULL) {
            assert_refused(check(cases[i].bytes, cases[i].n, &used), cases[i].message);
            continue;
        }
        assert_int_equal(check(cases[i].bytes, cases[i].n, &used), DM_OK);
        assert_int_equal(used, cases[i].n);
        for (size_t n = 0; n < cases[i].n; n++)
            assert_refused(check(cases[i].bytes, n, &used), "cut off");
    }
    assert_refused(decode_framed(ONE_KEY NO_RUNS ZEROS4 "x", 21), "1 bytes stand after");
}

static void test_bitset_cardinality(void **state)
{
    (void)state;
    size_t used;
    uint8_t bytes[16 + 8192] = NO_RUNS "\1\0\0\0"
                                       "\0\0\0\x20"
                                       "\x10\0\0\0"; /* 8193 values in a bitset */
    memset(bytes + 16, 0xff, 1024);
    assert_refused(check(bytes, sizeof bytes, &used), "number is wrong");
    bytes[16 + 8191] = 0x80;
    assert_int_equal(check(bytes, sizeof bytes, &used), DM_OK);
    assert_refused(check(bytes, sizeof bytes - 1, &used), "cut off");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_many_blobs),
        cmocka_unit_test(test_encode_failures_leave_the_buffer),
        cmocka_unit_test(test_damage_is_noticed),
        cmocka_unit_test(test_footers),
        cmocka_unit_test(test_wrong_cardinality_is_noticed),
        cmocka_unit_test(test_more_than_32_bits),
        cmocka_unit_test(test_bitmap_contents),
        cmocka_unit_test(test_bitset_cardinality),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
