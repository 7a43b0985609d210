/* Columns and batches against plain arrays of what was appended; undo, truncate, reuse. */
#include "random_values.h"

#include "base/memory.h"
#include "column/batch.h"

static const struct dm_type types[] = {
    {.id = DM_BOOL},
    {.id = DM_INT64},
    {.id = DM_DECIMAL, .precision = 38},
    {.id = DM_STRING},
    {.id = DM_BINARY},
    {.id = DM_UUID},
    {.id = DM_LIST, .element = DM_STRING},
    {.id = DM_FLOAT64},
    {.id = DM_LIST, .element = DM_INT32},
};
enum { N_TYPES = sizeof types / sizeof *types };

static void append_any(struct dm_column *c)
{
    switch (random_below(6)) {
    case 0: dm_column_append_null(c); return;
    case 1: dm_column_append_unchanged(c); return;
    default: append_random(c);
    }
}

static void assert_counts(const struct dm_column *c)
{
    size_t nulls = 0, unchanged = 0;
    for (size_t i = 0; i < c->length; i++) {
        nulls += c->state[i] == DM_NULL;
        unchanged += c->state[i] == DM_UNCHANGED;
    }
    assert_int_equal(c->nulls, nulls);
    assert_int_equal(c->unchanged, unchanged);
}

/* A copy value by value is equal; after a truncate and a clear the column goes on as a new one. */
static void copy_truncate_reuse(void **state)
{
    (void)state;
    struct dm_error err = {0};
    for (int round = 0; round < 100; round++) {
        struct dm_column a, b;
        struct dm_type type = types[random_below(N_TYPES)];
        dm_column_init(&a, type);
        dm_column_init(&b, type);
        for (int reuse = 0; reuse < 3; reuse++) {
            dm_column_clear(&a);
            dm_column_clear(&b);
            size_t n = random_below(300), keep = random_below(n + 1);
            for (size_t i = 0; i < n; i++)
                append_any(&a);
            assert_counts(&a);
            for (size_t i = 0; i < n; i++)
                assert_ok(dm_column_append_value(&b, &a, i, &err), &err);
            size_t whole = dm_column_bytes(&b);
            dm_column_truncate(&b, keep);
            assert_counts(&b);
            for (size_t i = keep; i < n; i++)
                assert_ok(dm_column_append_value(&b, &a, i, &err), &err);
            assert_int_equal(b.length, n);
            assert_int_equal(dm_column_bytes(&b), whole); /* nothing was left behind */
            for (size_t i = 0; i < n; i++)
                assert_true(dm_column_value_equal(&a, i, &b, i));
        }
        dm_column_release(&a);
        dm_column_release(&b);
    }
}

/* A range is what its values are one by one, also behind other values. */
static void ranges(void **state)
{
    (void)state;
    struct dm_error err = {0};
    for (int round = 0; round < 200; round++) {
        struct dm_column from, one, all;
        struct dm_type type = types[random_below(N_TYPES)];
        dm_column_init(&from, type);
        dm_column_init(&one, type);
        dm_column_init(&all, type);
        size_t n = random_below(200);
        for (size_t i = 0; i < n; i++)
            append_any(&from);
        for (int part = 0; part < 4; part++) {
            size_t first = random_below(n + 1), len = random_below(n - first + 1);
            assert_ok(dm_column_append_range(&all, &from, first, len, &err), &err);
            for (size_t i = 0; i < len; i++)
                assert_ok(dm_column_append_value(&one, &from, first + i, &err), &err);
        }
        assert_counts(&all);
        assert_int_equal(all.length, one.length);
        assert_int_equal(dm_column_bytes(&all), dm_column_bytes(&one));
        for (size_t i = 0; i < all.length; i++)
            assert_true(dm_column_value_equal(&all, i, &one, i));
        dm_column_release(&from);
        dm_column_release(&one);
        dm_column_release(&all);
    }
}

/* Rows with what belongs to them; none of an empty batch, too. */
static void ranges_of_rows(void **state)
{
    (void)state;
    struct dm_error err = {0};
    struct dm_schema *schema = dm_schema_new();
    dm_schema_add(schema, "id", dm_type_of(DM_INT64));
    dm_schema_add(schema, "name", dm_type_of(DM_STRING));
    struct dm_batch *from = dm_batch_new(schema), *to = dm_batch_new(schema), *empty = dm_batch_new(schema);
    for (int64_t i = 0; i < 5; i++) {
        dm_column_append_fixed(&from->columns[0], &i);
        assert_ok(dm_column_append_bytes(&from->columns[1], "abcde", (size_t)i, &err), &err);
        from->txn = (uint32_t)i * 10;
        dm_batch_end_row(from, i == 3 ? DM_OP_DELETE : DM_OP_INSERT);
    }
    assert_ok(dm_batch_append_rows(to, empty, 0, 0, &err), &err);
    assert_int_equal(to->rows, 0);
    assert_ok(dm_batch_append_rows(to, from, 2, 2, &err), &err);
    assert_ok(dm_batch_append_rows(to, from, 0, 1, &err), &err);
    assert_ok(dm_batch_append_rows(to, empty, 0, 0, &err), &err);
    assert_int_equal(to->rows, 3);
    const size_t source[] = {2, 3, 0};
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(to->ops[i], from->ops[source[i]]);
        assert_int_equal(to->txns[i], from->txns[source[i]]);
        for (size_t c = 0; c < 2; c++)
            assert_true(dm_column_value_equal(&to->columns[c], i, &from->columns[c], source[i]));
    }
    dm_batch_free(from);
    dm_batch_free(to);
    dm_batch_free(empty);
    dm_schema_unref(schema);
}

static void equality(void **state)
{
    (void)state;
    struct dm_error err = {0};
    struct dm_column c;
    dm_column_init(&c, dm_type_of(DM_FLOAT64));
    uint64_t nans[2] = {UINT64_C(0x7ff8000000000001), UINT64_C(0xfff8000000000002)};
    double zeros[2] = {0.0, -0.0};
    dm_column_append_fixed(&c, &nans[0]);
    dm_column_append_fixed(&c, &nans[1]);
    dm_column_append_fixed(&c, &zeros[0]);
    dm_column_append_fixed(&c, &zeros[1]);
    dm_column_append_null(&c);
    dm_column_append_unchanged(&c);
    assert_true(dm_column_value_equal(&c, 0, &c, 1));
    assert_false(dm_column_value_equal(&c, 2, &c, 3)); /* -0 is kept, so it differs */
    assert_false(dm_column_value_equal(&c, 2, &c, 4)); /* null has a zero in its slot */
    assert_false(dm_column_value_equal(&c, 4, &c, 5));
    dm_column_release(&c);
    dm_column_init(&c, dm_type_of(DM_STRING));
    assert_ok(dm_column_append_bytes(&c, "", 0, &err), &err);
    assert_ok(dm_column_append_bytes(&c, "ab", 2, &err), &err);
    assert_ok(dm_column_append_bytes(&c, "abc", 3, &err), &err);
    dm_column_append_null(&c);
    assert_false(dm_column_value_equal(&c, 0, &c, 3)); /* the empty text is not null */
    assert_false(dm_column_value_equal(&c, 1, &c, 2));
    size_t n;
    assert_non_null(dm_column_bytes_at(&c, 0, &n));
    assert_int_equal(n, 0);
    dm_column_release(&c);
}

/* A row that turns out bad half-way leaves no trace, whatever columns it reached. */
static void undo_row(void **state)
{
    (void)state;
    struct dm_error err = {0};
    struct dm_schema *s = dm_schema_new();
    for (size_t i = 0; i < N_TYPES; i++)
        dm_schema_add(s, "c", types[i]);
    struct dm_batch *good = dm_batch_new(s), *b = dm_batch_new(s);
    for (int r = 0; r < 500; r++) {
        for (size_t i = 0; i < N_TYPES; i++)
            append_any(&good->columns[i]);
        good->txn = (uint32_t)r;
        good->subxid = (uint32_t)random_below(3);
        dm_batch_end_row(good, (enum dm_op)(1 + random_below(5)));
        while (random_below(2)) {
            size_t reached = random_below(N_TYPES + 1);
            for (size_t i = 0; i < reached; i++)
                append_any(&b->columns[i]);
            if (reached < N_TYPES && types[reached].id == DM_LIST)
                append_random(b->columns[reached].child); /* a list that was not closed */
            dm_batch_undo_row(b);
        }
        assert_ok(dm_batch_append_row(b, good, (size_t)r, &err), &err);
    }
    assert_int_equal(b->rows, good->rows);
    assert_int_equal(dm_batch_bytes(b), dm_batch_bytes(good));
    for (size_t r = 0; r < b->rows; r++) {
        assert_int_equal(b->ops[r], good->ops[r]);
        assert_int_equal(b->txns[r], r);
        assert_int_equal(b->subxids[r], good->subxids[r]);
        for (size_t i = 0; i < N_TYPES; i++)
            assert_true(dm_column_value_equal(&b->columns[i], r, &good->columns[i], r));
    }
    dm_batch_clear(b);
    assert_int_equal(b->rows, 0);
    assert_int_equal(dm_batch_bytes(b), 0);
    dm_batch_free(b);
    dm_batch_free(good);
    dm_batch_free(NULL);
    dm_schema_unref(s);
}

static void schemas(void **state)
{
    (void)state;
    struct dm_schema *s = dm_schema_new();
    struct dm_field *f = dm_schema_add(s, "a.\"b", dm_type_decimal(10, 2));
    f->id = 3;
    f->source_type = dm_xstrdup("numeric(10,2)");
    f->default_json = dm_xstrdup("1.25");
    dm_schema_add(s, "B", dm_type_of(DM_STRING))->id = 7;
    dm_schema_add_key(s, 1);
    struct dm_schema *copy = dm_schema_copy(s);
    assert_true(dm_schema_equal(s, copy));
    assert_string_equal(copy->fields[0].source_type, "numeric(10,2)");
    assert_int_equal(dm_schema_find(s, "b"), -1); /* bytewise */
    assert_int_equal(dm_schema_find(s, "B"), 1);
    assert_int_equal(dm_schema_find_id(s, 7), 1);
    assert_int_equal(dm_schema_find_id(s, 8), -1);
    assert_true(dm_schema_is_key(s, 1));
    assert_false(dm_schema_is_key(s, 0));
    free(copy->fields[0].default_json);
    copy->fields[0].default_json = NULL;
    assert_false(dm_schema_equal(s, copy));
    struct dm_schema *again = dm_schema_ref(s);
    assert_ptr_equal(again, s);
    dm_schema_unref(s);
    assert_int_equal(again->n_fields, 2); /* still there */
    dm_schema_unref(again);
    dm_schema_unref(copy);
    dm_schema_unref(NULL);
}

/* A field with everything that a field can have. */
static struct dm_field *add_full(struct dm_schema *s, const char *name, int32_t id)
{
    struct dm_field *f = dm_schema_add(s, name, dm_type_list(dm_type_of(DM_INT32)));
    f->id = id;
    f->element_id = id + 100;
    f->required = f->filled = true;
    f->source_ref = id + 200;
    f->source_type = dm_xstrdup("integer[]");
    f->default_json = dm_xstrdup("[1]");
    return f;
}

static void assert_full(const struct dm_field *f, const char *name, int32_t id)
{
    assert_string_equal(f->name, name);
    assert_true(dm_type_equal(f->type, dm_type_list(dm_type_of(DM_INT32))));
    assert_int_equal(f->id, id);
    assert_int_equal(f->element_id, id + 100);
    assert_true(f->required && f->filled);
    assert_int_equal(f->source_ref, id + 200);
    assert_string_equal(f->source_type, "integer[]");
    assert_string_equal(f->default_json, "[1]");
}

static void schemas_of_others(void **state)
{
    (void)state;
    struct dm_schema *s = dm_schema_new();
    add_full(s, "a", 1);
    add_full(s, "b", 2);
    add_full(s, "c", 3);
    dm_schema_add(s, "bare", dm_type_of(DM_DATE));
    struct dm_schema *none = dm_schema_keys(s);
    assert_int_equal(none->n_fields, 0);
    assert_int_equal(none->n_keys, 0);
    dm_schema_unref(none);
    dm_schema_add_key(s, 2); /* in key order, which is not that of the columns */
    dm_schema_add_key(s, 0);
    struct dm_schema *keys = dm_schema_keys(s);
    struct dm_field *more = dm_schema_add_copy(keys, &s->fields[1]);
    assert_ptr_equal(more, &keys->fields[2]);
    dm_schema_add_copy(keys, &s->fields[3]);
    dm_schema_unref(s); /* what was copied is its own */
    assert_int_equal(keys->n_fields, 4);
    assert_full(&keys->fields[0], "c", 3);
    assert_full(&keys->fields[1], "a", 1);
    assert_full(&keys->fields[2], "b", 2);
    assert_null(keys->fields[3].source_type);
    assert_null(keys->fields[3].default_json);
    assert_int_equal(keys->n_keys, 2);
    assert_int_equal(keys->keys[0], 0);
    assert_int_equal(keys->keys[1], 1);
    dm_field_drop_default(&keys->fields[0]);
    dm_field_drop_default(&keys->fields[3]); /* without one */
    assert_null(keys->fields[0].default_json);
    dm_schema_unref(keys);
}

static void type_names_and_widening(void **state)
{
    (void)state;
    char name[32];
    assert_string_equal(dm_type_name(dm_type_decimal(38, 0), name, sizeof name), "decimal(38, 0)");
    assert_string_equal(dm_type_name(dm_type_list(dm_type_of(DM_TIMESTAMPTZ)), name, sizeof name),
                        "list<timestamptz>");
    assert_string_equal(dm_type_name((struct dm_type){.id = 200}, name, sizeof name), "?");
    assert_true(dm_type_widens(dm_type_of(DM_INT32), dm_type_of(DM_INT64)));
    assert_false(dm_type_widens(dm_type_of(DM_INT64), dm_type_of(DM_INT32)));
    assert_true(dm_type_widens(dm_type_decimal(10, 2), dm_type_decimal(12, 2)));
    assert_false(dm_type_widens(dm_type_decimal(10, 2), dm_type_decimal(12, 3)));
    assert_false(dm_type_widens(dm_type_of(DM_DATE), dm_type_of(DM_TIMESTAMP)));
}

int main(void)
{
    random_start();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(copy_truncate_reuse),
        cmocka_unit_test(ranges),
        cmocka_unit_test(ranges_of_rows),
        cmocka_unit_test(equality),
        cmocka_unit_test(undo_row),
        cmocka_unit_test(schemas),
        cmocka_unit_test(schemas_of_others),
        cmocka_unit_test(type_names_and_widening),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
