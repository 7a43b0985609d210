/* What the leaves of a footer are, the footer without their annotations, where the pages are; and that damaged bytes are an error. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "format/parquet_footer.h"
#include "format/parquet_page.h"

static struct dm_error err;

/* ---- a footer, byte by byte ---- */

struct bytes {
    uint8_t data[1024];
    size_t n;
};

static void put(struct bytes *b, const char *bytes, size_t n)
{
    memcpy(b->data + b->n, bytes, n);
    b->n += n;
}
#define PUT(b, literal) put(b, literal, sizeof(literal) - 1)

/* A leaf: type (field 1), repetition (3), name (4), logical type (10) as given. */
static void leaf(struct bytes *b, char type, const char *name, const char *logical, size_t n)
{
    const char head[] = {0x15, (char)(type << 1), 0x25, 0x02, 0x18, (char)strlen(name)};
    put(b, head, sizeof head);
    put(b, name, strlen(name));
    put(b, logical, n);
    PUT(b, "\x00");
}
#define LEAF(b, type, name, logical) leaf(b, type, name, logical, sizeof(logical) - 1)

static void group(struct bytes *b, const char *name, char children)
{
    const char head[] = {0x48, (char)strlen(name)};
    const char tail[] = {0x15, (char)(children << 1), 0x00};
    put(b, head, sizeof head);
    put(b, name, strlen(name));
    put(b, tail, sizeof tail);
}

/* field 10: LogicalType { 8: TimestampType { 1: bool, 2: TimeUnit { unit: {} } } } */
#define STAMP(flag, unit) "\x6c\x8c" flag "\x1c" unit "\x00\x00\x00\x00"
#define NANOS "\x3c"
#define MICROS "\x2c"
#define ADJUSTED "\x11"
#define PLAIN "\x12"
/* the same with the field's number written out, which is allowed */
#define LONG_STAMP "\x0c\x14\x0c\x10\x01\x02\x1c\x3c\x00\x00\x00\x00"

/* version, the schema with n elements, what is behind it is not looked at */
static struct bytes footer_of(char n)
{
    struct bytes b = {0};
    const char head[] = {0x15, 0x02, 0x19, (char)(n << 4 | 12)};
    put(&b, head, sizeof head);
    return b;
}

/* "column:name physical logical …" of each leaf */
static char *leaves_of(const struct bytes *b)
{
    static char text[2048];
    static const char *const names[] = {"-",    "text", "json",  "bson",     "uuid",    "half",    "null",
                                        "date", "time", "stamp", "interval", "integer", "decimal", "other"};
    struct dm_parquet_schema s;
    text[0] = 0;
    if (dm_parquet_schema_read(&s, b->data, b->n, &err) != DM_OK)
        return text;
    for (size_t i = 0; i < s.n; i++) {
        const struct dm_parquet_leaf *l = &s.leaves[i];
        size_t n = strlen(text);
        n += (size_t)snprintf(text + n, sizeof text - n, "%s%zu:%.*s %lld %s", i > 0 ? ", " : "", l->column,
                              (int)l->name_n, l->name, (long long)l->physical, names[l->logical]);
        if (l->logical == DM_PARQUET_DECIMAL)
            n += (size_t)snprintf(text + n, sizeof text - n, "(%lld,%lld)", (long long)l->precision,
                                  (long long)l->scale);
        if (l->per_second != 0)
            n += (size_t)snprintf(text + n, sizeof text - n, " %lld%s", (long long)l->per_second,
                                  l->utc ? " utc" : "");
        if (l->bits != 0)
            n += (size_t)snprintf(text + n, sizeof text - n, " %s%lld", l->is_signed ? "s" : "u",
                                  (long long)l->bits);
        (void)snprintf(text + n, sizeof text - n, "%s", l->contradictory ? " !" : "");
    }
    dm_parquet_schema_release(&s);
    return text;
}

static struct bytes bare_of(const struct bytes *b, uint64_t which)
{
    struct dm_parquet_schema s;
    struct bytes out = {0};
    assert_int_equal(dm_parquet_schema_read(&s, b->data, b->n, &err), DM_OK);
    for (size_t i = 0; i < s.n; i++)
        s.leaves[i].bare = (which >> i & 1) != 0;
    out.n = dm_parquet_footer_bare(b->data, b->n, &s, out.data);
    dm_parquet_schema_release(&s);
    return out;
}

static void annotations(void **state)
{
    (void)state;
    struct bytes b = footer_of(14);
    group(&b, "root", 8);
    LEAF(&b, 2, "id", "");
    group(&b, "nested", 2);
    LEAF(&b, 1, "x", "");
    group(&b, "deeper", 1);
    LEAF(&b, 2, "t", STAMP(ADJUSTED, NANOS));
    LEAF(&b, 2, "zoned", STAMP(ADJUSTED, NANOS));
    LEAF(&b, 2, "plain", STAMP(PLAIN, NANOS));
    LEAF(&b, 2, "micro", STAMP(ADJUSTED, MICROS));
    LEAF(&b, 2, "long", LONG_STAMP);
    LEAF(&b, 3, "old", "");
    group(&b, "list", 1);
    group(&b, "element", 1);
    LEAF(&b, 2, "e", STAMP(ADJUSTED, NANOS));
    assert_string_equal(leaves_of(&b),
                        "0:id 2 -, 1:nested 1 -, 1:nested 2 stamp 1000000000 utc, "
                        "2:zoned 2 stamp 1000000000 utc, 3:plain 2 stamp 1000000000, "
                        "4:micro 2 stamp 1000000 utc, 5:long 2 stamp 1000000000 utc, 6:old 3 -, "
                        "7:list 2 stamp 1000000000 utc");
    struct bytes bare = bare_of(&b, 0x1f7);
    assert_string_equal(leaves_of(&bare),
                        "0:id 2 -, 1:nested 1 -, 1:nested 2 -, 2:zoned 2 stamp 1000000000 utc, "
                        "3:plain 2 -, 4:micro 2 -, 5:long 2 -, 6:old 7 -, 7:list 2 -");
    bare = bare_of(&b, 0);
    assert_int_equal(bare.n, b.n);
    assert_memory_equal(bare.data, b.data, b.n);
}

/* Both forms of all of them. */
static void every_annotation(void **state)
{
    (void)state;
    struct bytes b = footer_of(14);
    group(&b, "root", 13);
    LEAF(&b, 6, "a", "\x25\x00");         /* UTF8 */
    LEAF(&b, 7, "b", "\x6c\xec\x00\x00"); /* UUID */
    LEAF(&b, 7, "c", "\x6c\xfc\x00\x00"); /* FLOAT16 */
    LEAF(&b, 1, "d", "\x25\x0c");         /* DATE */
    LEAF(&b, 1, "e",
         "\x25\x0e\x4c\x7c\x12\x1c\x1c\x00\x00\x00\x00"); /* TIME_MILLIS and TIME(false, MILLIS) */
    LEAF(&b, 2, "f", "\x25\x12");                         /* TIMESTAMP_MILLIS */
    LEAF(&b, 7, "g", "\x25\x2a");                         /* INTERVAL */
    LEAF(&b, 1, "h", "\x6c\xac\x13\x08\x12\x00\x00");     /* INTEGER(8, unsigned) */
    LEAF(&b, 1, "i", "\x25\x20");                         /* INT_16 */
    LEAF(&b, 7, "j", "\x25\x0a\x15\x04\x15\x4e\x2c\x5c\x15\x04\x15\x4e\x00\x00"); /* DECIMAL(39,2), both */
    LEAF(&b, 1, "k", "\x25\x0a\x15\x01\x15\x08");                                 /* DECIMAL(4,-1) */
    LEAF(&b, 6, "l", "\x25\x00\x4c\xdc\x00\x00");                                 /* UTF8, but BSON */
    LEAF(&b, 6, "m", "\x0c\x14\x0c\x22\x00\x00"); /* GEOMETRY, its number written out */
    assert_string_equal(leaves_of(&b),
                        "0:a 6 text, 1:b 7 uuid, 2:c 7 half, 3:d 1 date, 4:e 1 time 1000, 5:f 2 stamp 1000, "
                        "6:g 7 interval, 7:h 1 integer u8, 8:i 1 integer s16, 9:j 7 decimal(39,2), "
                        "10:k 1 decimal(4,-1), 11:l 6 bson !, 12:m 6 other");
    struct bytes bare = bare_of(&b, 0x1fff);
    assert_string_equal(leaves_of(&bare),
                        "0:a 6 -, 1:b 7 -, 2:c 7 -, 3:d 1 -, 4:e 1 -, 5:f 2 -, 6:g 7 -, 7:h 1 -, "
                        "8:i 1 -, 9:j 7 -, 10:k 1 -, 11:l 6 -, 12:m 6 -");
}

/* INT96 becomes 12 bytes, byte by byte. */
static void bytes_instead_of_int96(void **state)
{
    (void)state;
    struct bytes b = footer_of(3);
    group(&b, "root", 2);
    LEAF(&b, 3, "a", "");
    const char z[] = "\x15\x86\x00\x15\x02\x28\x01z\x55\x0a\x00";
    put(&b, z, sizeof z - 1);
    put(&b, "behind", 6);
    struct bytes bare = bare_of(&b, 3);
    static const char expected[] = "\x15\x0e\x15\x18\x15\x02\x18\x01"
                                   "a\x00"
                                   "\x15\x0e\x15\x18\x28\x01z\x55\x0a\x00"
                                   "behind";
    size_t n = sizeof expected - 1;
    assert_memory_equal(bare.data + bare.n - n, expected, n);
}

static enum dm_status take_chunk(void *ctx, const struct dm_parquet_chunk *c, struct dm_error *e)
{
    char *text = ctx;
    (void)e;
    (void)snprintf(text + strlen(text), 200 - strlen(text), "%llu.%llu %lld+%lld/%lld%s;",
                   (unsigned long long)c->row_group, (unsigned long long)c->leaf, (long long)c->offset,
                   (long long)c->bytes, (long long)c->values, c->elsewhere ? " elsewhere" : "");
    return DM_OK;
}

static void where_the_pages_are(void **state)
{
    (void)state;
    struct bytes b = footer_of(1);
    char text[200] = "";
    group(&b, "root", 0);
    PUT(&b, "\x16\x06\x19\x2c"); /* 3 rows; two row groups */
    PUT(&b,
        "\x19\x1c\x3c\x56\x06\x26\x14\x26\x08\x26\x00\x00\x00\x16\x02\x00"); /* values 3, bytes 10, data at 4, and more; dictionary no */
    PUT(&b,
        "\x19\x2c\x3c\x56\x04\x26\x28\x26\x64\x26\x50\x00\x00" /* dictionary at 40 before the data at 50 */
        "\x18\x01x\x2c\x56\x02\x26\x02\x26\x02\x00\x00\x00");
    PUT(&b, "\x00");
    assert_int_equal(dm_parquet_footer_chunks(b.data, b.n, take_chunk, text, &err), DM_OK);
    assert_string_equal(text, "0.0 4+10/3;1.0 40+20/2;1.1 1+1/1 elsewhere;");
    assert_int_equal(dm_parquet_footer_chunks(b.data, b.n - 4, take_chunk, text, &err), DM_FAIL);
}

static void page_headers(void **state)
{
    (void)state;
    struct dm_parquet_page p;
    static const uint8_t page[] = "\x15\x00\x15\x10\x15\x08\x15\x01\x1c\x15\x0c\x15\x00\x00\x00rest";
    assert_true(dm_parquet_page_read(&p, page, sizeof page));
    assert_int_equal(p.header, 15);
    assert_int_equal(p.bytes, 4);
    assert_int_equal(p.values, 6);
    assert_true(p.has_crc);
    assert_int_equal(p.crc, 0xffffffff);
    for (size_t n = 0; n < 15; n++)
        assert_false(dm_parquet_page_read(&p, page, n));
}

/* Fields that are not known are passed over, whatever their type. */
static void what_is_passed_over(void **state)
{
    (void)state;
    struct bytes b = {0};
    struct dm_parquet_schema s;
    PUT(&b, "\x11\x12\x13\x07\x14\x02\x16\xff\x01\x17"
            "12345678\x18\x03"
            "abc");                              /* fields 1 to 7, in any type */
    PUT(&b, "\x19\x21\x01\x02\x1a\x25\x02\x04"); /* a list of bools, a set of integers */
    PUT(&b, "\x1b\x01\x81\x02kv\x01\x1b\x00\x1d"
            "0123456789abcdef");                 /* maps, a UUID */
    PUT(&b, "\x1c\x19\x2c\x15\x02\x00\x00\x00"); /* a struct with a list of structs */
    struct bytes integers = b;
    PUT(&integers, "\x09\x04\xf5\x10"
                   "0123456789abcdef"); /* field 2: sixteen integers are no schema */
    assert_int_equal(dm_parquet_schema_read(&s, integers.data, integers.n, &err), DM_FAIL);
    assert_int_equal(err.class, DM_ERROR_DATA);
    PUT(&b, "\x09\x04\x2c"); /* field 2: two elements */
    group(&b, "root", 1);
    LEAF(&b, 2, "z", STAMP(ADJUSTED, NANOS));
    assert_string_equal(leaves_of(&b), "0:z 2 stamp 1000000000 utc");
    uint8_t deep[200]; /* structs in structs without end */
    memset(deep, 0x1c, sizeof deep);
    assert_int_equal(dm_parquet_schema_read(&s, deep, sizeof deep, &err), DM_FAIL);
}

static void damage(void **state)
{
    (void)state;
    struct bytes b = footer_of(3);
    struct dm_parquet_schema s;
    group(&b, "root", 2);
    LEAF(&b, 2, "id", "");
    LEAF(&b, 2, "t", STAMP(ADJUSTED, NANOS));
    for (size_t n = 0; n < b.n; n++) {
        assert_int_equal(dm_parquet_schema_read(&s, b.data, n, &err), DM_FAIL);
        assert_int_equal(err.class, DM_ERROR_DATA);
        assert_non_null(strstr(err.message, "footer"));
    }
    const struct bytes none = {.data = {0}, .n = 1};
    assert_int_equal(dm_parquet_schema_read(&s, none.data, none.n, &err), DM_FAIL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(annotations),
        cmocka_unit_test(every_annotation),
        cmocka_unit_test(bytes_instead_of_int96),
        cmocka_unit_test(where_the_pages_are),
        cmocka_unit_test(page_headers),
        cmocka_unit_test(what_is_passed_over),
        cmocka_unit_test(damage),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
