/* Key encoding: memcmp order is value order, equal bytes are equal values, ended columns are prefix-free. */
#include "random_values.h"

#include "base/bytes.h"
#include "base/memory.h"
#include "column/key.h"

static int sign(int v)
{
    return (v > 0) - (v < 0);
}

static int compare_keys(const struct dm_key_list *k, size_t a, size_t b)
{
    size_t na = k->offsets[a + 1] - k->offsets[a], nb = k->offsets[b + 1] - k->offsets[b];
    size_t n = na < nb ? na : nb;
    int order = memcmp(k->bytes.data + k->offsets[a], k->bytes.data + k->offsets[b], n);
    return order != 0 ? sign(order) : (na > nb) - (na < nb);
}

#define ORDER(x, y) (((x) > (y)) - ((x) < (y)))

static double float_at(const struct dm_column *c, size_t row)
{
    if (c->type.id == DM_FLOAT32) {
        float f;
        memcpy(&f, dm_column_fixed(c, row), sizeof f);
        return (double)f;
    }
    double d;
    memcpy(&d, dm_column_fixed(c, row), sizeof d);
    return d;
}

/* The order of two values by their meaning; written without looking at key.c. */
static int compare_values(const struct dm_column *c, size_t a, size_t b)
{
    switch ((enum dm_type_id)c->type.id) {
    case DM_BOOL: return ORDER(*dm_column_fixed(c, a), *dm_column_fixed(c, b));
    case DM_INT32:
    case DM_DATE: return ORDER(dm_column_int32(c, a), dm_column_int32(c, b));
    case DM_INT64:
    case DM_TIME:
    case DM_TIMESTAMP:
    case DM_TIMESTAMPTZ:
    case DM_TIMESTAMP_NS: return ORDER(dm_column_int64(c, a), dm_column_int64(c, b));
    case DM_FLOAT32:
    case DM_FLOAT64: {
        double x = float_at(c, a), y = float_at(c, b);
        if (x != x || y != y)
            return ORDER(x != x, y != y);
        return ORDER(x, y);
    }
    case DM_DECIMAL: {
        dm_int128 x, y;
        memcpy(&x, dm_column_fixed(c, a), sizeof x);
        memcpy(&y, dm_column_fixed(c, b), sizeof y);
        return ORDER(x, y);
    }
    case DM_UUID: return sign(memcmp(dm_column_fixed(c, a), dm_column_fixed(c, b), 16));
    case DM_STRING:
    case DM_BINARY: {
        size_t na, nb;
        const uint8_t *x = dm_column_bytes_at(c, a, &na), *y = dm_column_bytes_at(c, b, &nb);
        int order = memcmp(x, y, na < nb ? na : nb);
        return order != 0 ? sign(order) : ORDER(na, nb);
    }
    case DM_LIST: {
        size_t na = c->offsets[a + 1] - c->offsets[a], nb = c->offsets[b + 1] - c->offsets[b];
        for (size_t i = 0; i < na && i < nb; i++) {
            size_t x = c->offsets[a] + i, y = c->offsets[b] + i;
            bool null_x = c->child->state[x] == DM_NULL, null_y = c->child->state[y] == DM_NULL;
            int order = null_x || null_y ? ORDER(!null_x, !null_y) : compare_values(c->child, x, y);
            if (order != 0)
                return order;
        }
        return ORDER(na, nb);
    }
    }
    return 0;
}

static const struct dm_type all_types[] = {
    {.id = DM_BOOL},
    {.id = DM_INT32},
    {.id = DM_INT64},
    {.id = DM_FLOAT32},
    {.id = DM_FLOAT64},
    {.id = DM_DECIMAL, .precision = 38, .scale = 4},
    {.id = DM_DATE},
    {.id = DM_TIME},
    {.id = DM_TIMESTAMP},
    {.id = DM_TIMESTAMPTZ},
    {.id = DM_TIMESTAMP_NS},
    {.id = DM_STRING},
    {.id = DM_BINARY},
    {.id = DM_UUID},
    {.id = DM_LIST, .element = DM_STRING},
    {.id = DM_LIST, .element = DM_INT32},
};
enum { N_TYPES = sizeof all_types / sizeof *all_types };

static void check_order(const struct dm_type *types, size_t n, size_t rows)
{
    struct dm_error err = {0};
    struct dm_schema *s = dm_schema_new();
    for (size_t i = 0; i < n; i++) {
        dm_schema_add(s, "k", types[i]);
        dm_schema_add_key(s, (uint32_t)i);
    }
    struct dm_batch *b = dm_batch_new(s);
    for (size_t r = 0; r < rows; r++) {
        for (size_t i = 0; i < n; i++)
            append_random(&b->columns[i]);
        dm_batch_end_row(b, DM_OP_INSERT);
    }
    struct dm_key_list keys = {0};
    assert_ok(dm_key_list_encode(&keys, b, &err), &err);
    assert_int_equal(keys.n, rows);
    struct dm_buffer one;
    dm_buffer_init(&one, 1 << 20);
    for (size_t a = 0; a < rows; a++) {
        one.len = 0;
        assert_ok(dm_key_encode(b, a, &one, &err), &err);
        assert_true(one.len > 0); /* empty means null */
        assert_int_equal(one.len, keys.offsets[a + 1] - keys.offsets[a]);
        assert_memory_equal(one.data, keys.bytes.data + keys.offsets[a], one.len);
        for (size_t c = 0; c < rows; c++) {
            int expected = 0;
            for (size_t i = 0; i < n && expected == 0; i++)
                expected = compare_values(&b->columns[i], a, c);
            assert_int_equal(compare_keys(&keys, a, c), expected);
        }
    }
    dm_buffer_release(&one);
    dm_key_list_release(&keys);
    dm_batch_free(b);
    dm_schema_unref(s);
}

static void order_of_each_type(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_TYPES; i++)
        check_order(&all_types[i], 1, 300);
}

static void order_of_composites(void **state)
{
    (void)state;
    for (int round = 0; round < 60; round++) {
        struct dm_type types[3];
        size_t n = 2 + random_below(2);
        for (size_t i = 0; i < n; i++)
            types[i] = all_types[random_below(N_TYPES)];
        check_order(types, n, 80);
    }
    struct dm_type texts[2] = {{.id = DM_STRING}, {.id = DM_STRING}};
    check_order(texts, 2, 400);
}

/* No encoding of a column that another one follows is a prefix of a different one. */
static void ended_columns_are_prefix_free(void **state)
{
    (void)state;
    struct dm_error err = {0};
    for (size_t t = 0; t < N_TYPES; t++) {
        struct dm_schema *s = dm_schema_new();
        dm_schema_add(s, "a", all_types[t]);
        dm_schema_add(s, "z", dm_type_of(DM_BINARY)); /* always empty: adds no byte */
        dm_schema_add_key(s, 0);
        dm_schema_add_key(s, 1);
        struct dm_batch *b = dm_batch_new(s);
        for (size_t r = 0; r < 200; r++) {
            append_random(&b->columns[0]);
            assert_ok(dm_column_append_bytes(&b->columns[1], "", 0, &err), &err);
            dm_batch_end_row(b, DM_OP_INSERT);
        }
        struct dm_key_list k = {0};
        assert_ok(dm_key_list_encode(&k, b, &err), &err);
        for (size_t a = 0; a < 200; a++)
            for (size_t c = 0; c < 200; c++) {
                size_t n = k.offsets[a + 1] - k.offsets[a];
                if (n <= k.offsets[c + 1] - k.offsets[c] && compare_values(&b->columns[0], a, c) != 0)
                    assert_memory_not_equal(k.bytes.data + k.offsets[a], k.bytes.data + k.offsets[c], n);
            }
        dm_key_list_release(&k);
        dm_batch_free(b);
        dm_schema_unref(s);
    }
}

static struct dm_schema *key_schema(enum dm_type_id id)
{
    struct dm_schema *s = dm_schema_new();
    dm_schema_add(s, "id", dm_type_of(id));
    dm_schema_add_key(s, 0);
    return s;
}

static void null_and_unchanged_keys(void **state)
{
    (void)state;
    static const enum dm_type_id ids[] = {DM_INT64, DM_INT32, DM_STRING, DM_UUID};
    for (size_t t = 0; t < sizeof ids / sizeof *ids; t++) {
        struct dm_error err = {0};
        struct dm_schema *s = key_schema(ids[t]);
        struct dm_batch *b = dm_batch_new(s);
        append_random(&b->columns[0]);
        dm_batch_end_row(b, DM_OP_INSERT);
        dm_column_append_null(&b->columns[0]);
        dm_batch_end_row(b, DM_OP_INSERT);
        dm_column_append_unchanged(&b->columns[0]);
        dm_batch_end_row(b, DM_OP_INSERT);
        append_random(&b->columns[0]);
        dm_batch_end_row(b, DM_OP_INSERT);
        struct dm_key_list k = {0};
        assert_ok(dm_key_list_encode(&k, b, &err), &err);
        assert_true(k.offsets[1] > k.offsets[0]);
        assert_int_equal(k.offsets[2], k.offsets[1]);
        assert_int_equal(k.offsets[3], k.offsets[2]);
        assert_true(k.offsets[4] > k.offsets[3]);
        struct dm_buffer out;
        dm_buffer_init(&out, 1024);
        assert_int_equal(dm_key_encode(b, 1, &out, &err), DM_FAIL);
        assert_int_equal(err.class, DM_ERROR_DATA);
        assert_string_equal(err.message, "key column \"id\" is null");
        assert_int_equal(dm_key_encode(b, 2, &out, &err), DM_FAIL);
        assert_string_equal(err.message, "key column \"id\" is not sent");
        assert_int_equal(out.len, 0);
        dm_buffer_release(&out);
        dm_key_list_release(&k);
        dm_batch_free(b);
        dm_schema_unref(s);
    }
}

/* Widening a key column must not move its keys. */
static void widening_keeps_keys(void **state)
{
    (void)state;
    struct dm_error err = {0};
    struct dm_schema *narrow = key_schema(DM_INT32), *wide = key_schema(DM_INT64);
    struct dm_batch *n = dm_batch_new(narrow), *w = dm_batch_new(wide);
    static const int32_t values[] = {INT32_MIN, -1, 0, 1, INT32_MAX};
    for (size_t i = 0; i < 5; i++) {
        int64_t v = values[i];
        dm_column_append_fixed(&n->columns[0], &values[i]);
        dm_batch_end_row(n, DM_OP_INSERT);
        dm_column_append_fixed(&w->columns[0], &v);
        dm_batch_end_row(w, DM_OP_INSERT);
    }
    struct dm_key_list a = {0}, b = {0};
    assert_ok(dm_key_list_encode(&a, n, &err), &err);
    assert_ok(dm_key_list_encode(&b, w, &err), &err);
    assert_int_equal(a.bytes.len, b.bytes.len);
    assert_memory_equal(a.bytes.data, b.bytes.data, a.bytes.len);
    dm_key_list_release(&a);
    dm_key_list_release(&b);
    dm_batch_free(n);
    dm_batch_free(w);
    dm_schema_unref(narrow);
    dm_schema_unref(wide);
}

static void check_text(struct dm_type type, const void *value, size_t n, const char *expected)
{
    struct dm_error err = {0};
    struct dm_schema *s = dm_schema_new();
    dm_schema_add(s, "k", type);
    dm_schema_add_key(s, 0);
    struct dm_batch *b = dm_batch_new(s);
    if (b->columns[0].width != 0)
        dm_column_append_fixed(&b->columns[0], value);
    else
        assert_ok(dm_column_append_bytes(&b->columns[0], value, n, &err), &err);
    dm_batch_end_row(b, DM_OP_INSERT);
    char text[128];
    assert_string_equal(dm_key_text(b, 0, text, sizeof text), expected);
    for (size_t size = 1; size < sizeof text;
         size++) { /* never past the end, always ended, whole characters */
        memset(text, 'x', sizeof text);
        dm_key_text(b, 0, text, size);
        assert_true(strlen(text) < size);
        if (size < sizeof text)
            assert_int_equal(text[size], 'x');
        if (strlen(expected) >= size && size > 4)
            assert_non_null(strstr(text, "\xe2\x80\xa6"));
    }
    dm_batch_free(b);
    dm_schema_unref(s);
}

static void keys_as_text(void **state)
{
    (void)state;
    int64_t i64 = -42, before = -1, leap = INT64_C(951782400000000);
    int32_t day = 19782, ancient = -719529;
    dm_int128 money = -5, large = 123456;
    double d = 0.1;
    float f = 0.1f;
    uint8_t uuid[16] = {0x12, 0x34, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff};
    check_text(dm_type_of(DM_INT64), &i64, 0, "-42");
    check_text(dm_type_of(DM_DATE), &day, 0, "2024-02-29");
    check_text(dm_type_of(DM_DATE), &ancient, 0, "-0001-12-31");
    check_text(dm_type_of(DM_TIMESTAMP), &before, 0, "1969-12-31T23:59:59.999999");
    check_text(dm_type_of(DM_TIMESTAMPTZ), &leap, 0, "2000-02-29T00:00:00Z");
    check_text(dm_type_of(DM_TIMESTAMP_NS), &before, 0, "1969-12-31T23:59:59.999999999");
    check_text(dm_type_of(DM_TIMESTAMP_NS), &(int64_t){INT64_C(951782400000000000)}, 0,
               "2000-02-29T00:00:00");
    check_text(dm_type_of(DM_TIMESTAMP_NS), &(int64_t){INT64_MAX - 1}, 0, "2262-04-11T23:47:16.854775806");
    check_text(dm_type_of(DM_TIMESTAMP_NS), &(int64_t){2 - INT64_MAX}, 0, "1677-09-21T00:12:43.145224195");
    check_text(dm_type_of(DM_TIMESTAMP_NS), &(int64_t){DM_TIMESTAMP_INFINITY}, 0, "infinity");
    check_text(dm_type_of(DM_TIMESTAMP_NS), &(int64_t){DM_TIMESTAMP_NEG_INFINITY}, 0, "-infinity");
    check_text(dm_type_decimal(10, 2), &money, 0, "-0.05");
    check_text(dm_type_decimal(10, 0), &large, 0, "123456");
    check_text(dm_type_of(DM_FLOAT64), &d, 0, "0.1");
    check_text(dm_type_of(DM_FLOAT32), &f, 0, "0.1");
    check_text(dm_type_of(DM_UUID), uuid, 0, "12340000-0000-0000-0000-0000000000ff");
    check_text(dm_type_of(DM_STRING), "a\"b\\\n\xc3\xa4", 7, "\"a\\\"b\\\\\\u000a\xc3\xa4\"");
    check_text(dm_type_of(DM_BINARY), "\x00\xff", 2, "x'00ff'");
}

static void composite_as_text(void **state)
{
    (void)state;
    struct dm_error err = {0};
    struct dm_schema *s = key_schema(DM_INT32);
    dm_schema_add(s, "t", dm_type_of(DM_STRING));
    dm_schema_add_key(s, 1);
    struct dm_batch *b = dm_batch_new(s);
    int32_t v = 42;
    dm_column_append_fixed(&b->columns[0], &v);
    assert_ok(dm_column_append_bytes(&b->columns[1], "ab", 2, &err), &err);
    dm_batch_end_row(b, DM_OP_INSERT);
    char text[64];
    assert_string_equal(dm_key_text(b, 0, text, sizeof text), "(42, \"ab\")");
    dm_batch_free(b);
    dm_schema_unref(s);
}

int main(void)
{
    random_start();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(order_of_each_type),
        cmocka_unit_test(order_of_composites),
        cmocka_unit_test(ended_columns_are_prefix_free),
        cmocka_unit_test(null_and_unchanged_keys),
        cmocka_unit_test(widening_keeps_keys),
        cmocka_unit_test(keys_as_text),
        cmocka_unit_test(composite_as_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
