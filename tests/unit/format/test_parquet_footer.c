/* Which columns of a footer are found, where their flags are, and that damaged bytes are an error. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "format/parquet_footer.h"

static struct dm_error err;

struct found {
    char text[512];
    struct dm_parquet_moment moments[12];
    size_t n;
    size_t fail_at; /* 0: never */
};

static enum dm_status take(void *ctx, const struct dm_parquet_moment *m, struct dm_error *e)
{
    struct found *f = ctx;
    size_t len = strlen(f->text);
    (void)snprintf(f->text + len, sizeof f->text - len, "%s%zu:%.*s%s", len > 0 ? " " : "", m->column,
                   (int)m->name_n, m->name,
                   m->raw     ? ":raw"
                   : m->int96 ? ":int96"
                              : "");
    f->moments[f->n++] = *m;
    return f->fail_at == f->n ? dm_fail(e, DM_ERROR_FATAL, NULL, "enough") : DM_OK;
}

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

static void what_is_found(void **state)
{
    (void)state;
    struct bytes b = footer_of(14), exact = {0};
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
    struct found f = {0};
    assert_int_equal(dm_parquet_footer_moments(b.data, b.n, take, &f, &err), DM_OK);
    assert_string_equal(f.text, "1:nested 2:zoned 5:long 6:old:raw 7:list");
    static const uint8_t flags[] = {0x11, 0x11, 0x01, 0x06, 0x11};
    for (size_t i = 0; i < f.n; i++)
        assert_int_equal(b.data[f.moments[i].at], flags[i]);
    exact.n = dm_parquet_footer_exact(b.data, b.n, f.moments, f.n, exact.data);
    assert_int_equal(exact.n, b.n + DM_PARQUET_MOMENT_GROWTH);
    struct found again = {0};
    assert_int_equal(dm_parquet_footer_moments(exact.data, exact.n, take, &again, &err), DM_OK);
    assert_string_equal(again.text, "");
    struct found stopped = {.fail_at = 1};
    assert_int_equal(dm_parquet_footer_moments(b.data, b.n, take, &stopped, &err), DM_FAIL);
    assert_string_equal(err.message, "enough");
}

/* INT96 becomes 12 bytes, byte by byte, where it is all that a column is. */
static void bytes_instead_of_int96(void **state)
{
    (void)state;
    struct bytes b = footer_of(12), exact = {0};
    group(&b, "root", 6);
    LEAF(&b, 3, "a", "");
    group(&b, "list", 1);
    group(&b, "more", 1);
    LEAF(&b, 3, "element", "");
    group(&b, "map", 1);
    group(&b, "key_value", 2);
    LEAF(&b, 3, "key", "");
    LEAF(&b, 3, "value", "");
    LEAF(&b, 3, "said", "\x25\x14"); /* with a converted type, TIMESTAMP_MICROS: DuckDB decides */
    LEAF(&b, 3, "told", STAMP(ADJUSTED, NANOS));
    const char two[] =
        "\x15\x86\x00\x15\x02\x28\x01z\x00"; /* the type in two bytes, a length that is there already */
    put(&b, two, sizeof two - 1);
    put(&b, "behind", 6);
    struct found f = {0};
    assert_int_equal(dm_parquet_footer_moments(b.data, b.n, take, &f, &err), DM_OK);
    assert_string_equal(f.text,
                        "0:a:raw 1:list:raw 2:map:int96 2:map:int96 3:said:int96 4:told:int96 5:z:raw");
    const struct dm_parquet_moment some[] = {f.moments[0], f.moments[1], f.moments[6]};
    exact.n = dm_parquet_footer_exact(b.data, b.n, some, 3, exact.data);
    assert_int_equal(exact.n, b.n + 9);
    static const char a[] = "\x15\x0e\x25\x02\x18\x01"
                            "a\x05\x04\x18\x00",
                      z[] = "\x15\x8e\x00\x15\x02\x28\x01z\x05\x04\x18\x00"
                            "behind";
    size_t at = f.moments[0].at - 1;
    assert_memory_equal(exact.data + at, a, sizeof a - 1);
    assert_memory_equal(exact.data + exact.n - (sizeof z - 1), z, sizeof z - 1);
    struct found again = {0};
    assert_int_equal(dm_parquet_footer_moments(exact.data, exact.n, take, &again, &err), DM_OK);
    assert_string_equal(again.text, "2:map:int96 2:map:int96 3:said:int96 4:told:int96");
    /* none of them: as it is */
    assert_int_equal(dm_parquet_footer_exact(b.data, b.n, NULL, 0, exact.data), b.n);
    assert_memory_equal(exact.data, b.data, b.n);
}

/* Fields that are not known are passed over, whatever their type. */
static void what_is_passed_over(void **state)
{
    (void)state;
    struct bytes b = {0};
    PUT(&b, "\x11\x12\x13\x07\x14\x02\x16\xff\x01\x17"
            "12345678\x18\x03"
            "abc");                              /* fields 1 to 7, in any type */
    PUT(&b, "\x19\x21\x01\x02\x1a\x25\x02\x04"); /* a list of bools, a set of integers */
    PUT(&b, "\x1b\x01\x81\x02kv\x01\x1b\x00\x1d"
            "0123456789abcdef");                 /* maps, a UUID */
    PUT(&b, "\x1c\x19\x2c\x15\x02\x00\x00\x00"); /* a struct with a list of structs */
    PUT(&b, "\x09\x04\xf5\x10"
            "0123456789abcdef"); /* field 2: sixteen integers are no schema */
    struct found f = {0};
    assert_int_equal(dm_parquet_footer_moments(b.data, b.n, take, &f, &err), DM_FAIL);
    assert_int_equal(err.class, DM_ERROR_DATA);
    b.n -= 20;
    PUT(&b, "\x09\x04\x2c"); /* field 2: two elements */
    group(&b, "root", 1);
    LEAF(&b, 2, "z", STAMP(ADJUSTED, NANOS));
    assert_int_equal(dm_parquet_footer_moments(b.data, b.n, take, &f, &err), DM_OK);
    assert_string_equal(f.text, "0:z");
}

static void damage(void **state)
{
    (void)state;
    struct bytes b = footer_of(3);
    group(&b, "root", 2);
    LEAF(&b, 2, "a", STAMP(ADJUSTED, NANOS));
    LEAF(&b, 2, "b", STAMP(ADJUSTED, NANOS));
    for (size_t n = 0; n < b.n; n++) { /* cut off anywhere */
        struct found f = {0};
        uint8_t *exact = malloc(n > 0 ? n : 1);
        assert_non_null(exact);
        memcpy(exact, b.data, n);
        assert_int_equal(dm_parquet_footer_moments(exact, n, take, &f, &err), DM_FAIL);
        assert_int_equal(err.class, DM_ERROR_DATA);
        free(exact);
    }
    struct found f = {0};
    static const uint8_t none[] = {0x15, 0x02, 0x00}; /* no schema */
    assert_int_equal(dm_parquet_footer_moments(none, sizeof none, take, &f, &err), DM_FAIL);
    uint8_t deep[200]; /* structs in structs without end */
    memset(deep, 0x1c, sizeof deep);
    assert_int_equal(dm_parquet_footer_moments(deep, sizeof deep, take, &f, &err), DM_FAIL);
    assert_string_equal(f.text, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_found),
        cmocka_unit_test(bytes_instead_of_int96),
        cmocka_unit_test(what_is_passed_over),
        cmocka_unit_test(damage),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
