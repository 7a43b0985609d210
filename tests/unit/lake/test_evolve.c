/* dm_schema_evolve: which fields keep their ids, what is refused. And schemas through the metadata file and back. */
#include "lake_fixture.h"

#include "lake/iceberg/metadata.h"

static struct dm_field *add(struct dm_schema *s, const char *name, struct dm_type type, int32_t ref)
{
    struct dm_field *f = dm_schema_add(s, name, type);
    f->source_ref = ref;
    return f;
}

static struct dm_schema *evolved(const struct dm_schema *current, const struct dm_schema *wanted,
                                 int32_t *last)
{
    struct dm_error err = {0};
    struct dm_schema *s = NULL;
    must(dm_schema_evolve(current, wanted, last, &s, &err));
    return s;
}

static void ids_follow_the_source_column(void **state)
{
    (void)state;
    int32_t last = 0;
    struct dm_schema *a = dm_schema_new();
    add(a, "id", dm_type_of(DM_INT32), 1)->required = true;
    add(a, "x", dm_type_of(DM_STRING), 2);
    add(a, "tags", dm_type_list(dm_type_of(DM_INT32)), 3);
    dm_schema_add_key(a, 0);
    struct dm_schema *first = evolved(NULL, a, &last);
    assert_int_equal(first->fields[0].id, 1);
    assert_int_equal(first->fields[2].id, 3);
    assert_int_equal(first->fields[2].element_id, 4);
    assert_int_equal(last, 4);
    /* x renamed to y, id and tags widened, another x added, order changed */
    struct dm_schema *b = dm_schema_new();
    add(b, "tags", dm_type_list(dm_type_of(DM_INT64)), 3);
    add(b, "y", dm_type_of(DM_STRING), 2);
    add(b, "id", dm_type_of(DM_INT64), 1)->required = true;
    add(b, "x", dm_type_of(DM_STRING), 5)->required = true;
    dm_schema_add_key(b, 2);
    struct dm_schema *second = evolved(first, b, &last);
    assert_int_equal(second->fields[0].id, 3);
    assert_int_equal(second->fields[0].element_id, 4);
    assert_int_equal(second->fields[1].id, 2);
    assert_int_equal(second->fields[2].id, 1);
    assert_true(second->fields[2].required);
    assert_int_equal(second->fields[3].id, 5);
    assert_false(second->fields[3].required); /* old rows have no value */
    assert_int_equal(last, 5);
    /* nothing changed: the same schema, no new ids */
    struct dm_schema *third = evolved(second, second, &last);
    assert_true(dm_schema_equal(second, third));
    assert_int_equal(last, 5);
    dm_schema_unref(a);
    dm_schema_unref(b);
    dm_schema_unref(first);
    dm_schema_unref(second);
    dm_schema_unref(third);
}

static void a_column_made_anew_under_an_old_name_is_another_field(void **state)
{
    (void)state;
    int32_t last = 0;
    struct dm_schema *a = dm_schema_new();
    add(a, "x", dm_type_of(DM_STRING), 2);
    struct dm_schema *first = evolved(NULL, a, &last);
    struct dm_schema *b = dm_schema_new();
    add(b, "x", dm_type_of(DM_INT32), 3); /* dropped and added again: not even the type need fit */
    struct dm_schema *second = evolved(first, b, &last);
    assert_int_equal(second->fields[0].id, 2);
    /* without numbers the name decides */
    struct dm_schema *c = dm_schema_new();
    add(c, "x", dm_type_of(DM_INT64), 0);
    struct dm_schema *third = evolved(second, c, &last);
    assert_int_equal(third->fields[0].id, 2);
    dm_schema_unref(a);
    dm_schema_unref(b);
    dm_schema_unref(c);
    dm_schema_unref(first);
    dm_schema_unref(second);
    dm_schema_unref(third);
}

static void refuses_what_is_not_a_widening(void **state)
{
    static const struct {
        struct dm_type from, to;
        bool fits;
    } cases[] = {{{.id = DM_INT32}, {.id = DM_INT64}, true},
                 {{.id = DM_INT64}, {.id = DM_INT32}, false},
                 {{.id = DM_INT32}, {.id = DM_STRING}, false},
                 {{.id = DM_FLOAT32}, {.id = DM_FLOAT64}, true},
                 {{.id = DM_DECIMAL, .precision = 10, .scale = 2},
                  {.id = DM_DECIMAL, .precision = 12, .scale = 2},
                  true},
                 {{.id = DM_DECIMAL, .precision = 10, .scale = 2},
                  {.id = DM_DECIMAL, .precision = 12, .scale = 3},
                  false},
                 {{.id = DM_STRING}, {.id = DM_LIST, .element = DM_STRING}, false}};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct dm_error err = {0};
        int32_t last = 0;
        struct dm_schema *a = dm_schema_new(), *b = dm_schema_new(), *second = NULL;
        add(a, "price", cases[i].from, 1);
        add(b, "price", cases[i].to, 1);
        struct dm_schema *first = evolved(NULL, a, &last);
        enum dm_status status = dm_schema_evolve(first, b, &last, &second, &err);
        assert_int_equal(status, cases[i].fits ? DM_OK : DM_FAIL);
        if (status != DM_OK) {
            assert_int_equal(err.class, DM_ERROR_DATA);
            assert_non_null(strstr(err.message, "\"price\""));
            assert_true(err.hint[0] != '\0');
        }
        dm_schema_unref(a);
        dm_schema_unref(b);
        dm_schema_unref(first);
        dm_schema_unref(second);
    }
}

/* Everything of a schema comes back from the metadata file: also what Iceberg has no place for. */
static void schema_survives_the_metadata_file(void **state)
{
    static const struct dm_type types[] = {
        {.id = DM_BOOL},        {.id = DM_INT32},
        {.id = DM_INT64},       {.id = DM_FLOAT32},
        {.id = DM_FLOAT64},     {.id = DM_DECIMAL, .precision = 38, .scale = 38},
        {.id = DM_DATE},        {.id = DM_TIME},
        {.id = DM_TIMESTAMP},   {.id = DM_TIMESTAMPTZ},
        {.id = DM_STRING},      {.id = DM_BINARY},
        {.id = DM_UUID},        {.id = DM_LIST, .element = DM_DECIMAL, .precision = 9, .scale = 0},
        {.id = DM_TIMESTAMP_NS}};
    (void)state;
    struct dm_error err = {0};
    for (int version = 2; version <= 3; version++) {
        struct dm_schema *wanted = dm_schema_new();
        int32_t last = 0;
        for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
            char name[32];
            (void)snprintf(name, sizeof name, "c\"%zu \xc3\xa4", i);
            struct dm_field *f = add(wanted, name, types[i], (int32_t)(100 + i));
            f->required = i == 3 || i == 7;
            f->source_type = i % 2 == 0 ? dm_xasprintf("type \"%zu\"", i) : NULL;
            f->default_json = i == 10  ? dm_xstrdup("\"it's \\\"x\\\"\"")
                              : i == 5 ? dm_xstrdup("\"0.5\"")
                                       : NULL;
        }
        dm_schema_add_key(wanted, 7);
        dm_schema_add_key(wanted,
                          3); /* a float: not an Iceberg identifier, still our key, and in this order */
        struct dm_schema *s = evolved(NULL, wanted, &last);
        struct dm_metadata *m = dm_metadata_new(version, "file:///lake/a/b"), *read = NULL;
        dm_metadata_set_property(m, "datamirror.next-file", "17");
        must(dm_metadata_set_schema(m, s, &err));
        struct dm_buffer text, again;
        dm_buffer_init(&text, 1 << 20);
        dm_buffer_init(&again, 1 << 20);
        must(dm_metadata_print(m, &text, &err));
        must(dm_metadata_parse((const char *)text.data, text.len, "test", &read, &err));
        const struct dm_schema *back = dm_metadata_schema(read);
        assert_true(dm_schema_equal(s, back));
        assert_int_equal(read->last_column_id, last);
        assert_int_equal(read->next_file, 17);
        for (size_t i = 0; i < back->n_fields; i++) {
            assert_int_equal(back->fields[i].source_ref, 100 + i);
            assert_int_equal(back->fields[i].element_id, s->fields[i].element_id);
            if (s->fields[i].source_type == NULL)
                assert_null(back->fields[i].source_type);
            else
                assert_string_equal(back->fields[i].source_type, s->fields[i].source_type);
        }
        must(dm_metadata_print(read, &again, &err));
        assert_int_equal(text.len, again.len);
        assert_memory_equal(text.data, again.data, text.len);
        /* Cut anywhere, the file is refused with its name, never taken for whole. */
        for (size_t n = 0; n + 2 < text.len; n += 7) {
            struct dm_metadata *cut = NULL;
            assert_int_equal(dm_metadata_parse((const char *)text.data, n, "cut.json", &cut, &err), DM_FAIL);
            assert_non_null(strstr(err.message, "cut.json"));
        }
        dm_buffer_release(&text);
        dm_buffer_release(&again);
        dm_metadata_free(m);
        dm_metadata_free(read);
        dm_schema_unref(s);
        dm_schema_unref(wanted);
    }
}

static void schemas_share_ids_and_old_ones_go(void **state)
{
    (void)state;
    struct dm_error err = {0};
    struct dm_metadata *m = dm_metadata_new(3, "file:///lake/a/b");
    struct dm_schema *a = small_schema();
    int32_t last = 2;
    struct dm_schema *wanted = dm_schema_copy(a);
    add(wanted, "more", dm_type_of(DM_DATE), 3);
    struct dm_schema *b = evolved(a, wanted, &last);
    must(dm_metadata_set_schema(m, a, &err));
    assert_int_equal(m->current_schema_id, 0);
    for (int64_t i = 1; i <= 6; i++) {
        if (i == 3)
            must(dm_metadata_set_schema(m, b, &err));
        struct dm_snapshot_new s = {.id = i,
                                    .parent_id = i - 1,
                                    .sequence_number = i,
                                    .timestamp_ms = i * 1000,
                                    .manifest_list = "file:///x",
                                    .first_row_id = 0};
        must(dm_metadata_add_snapshot(m, &s, &err));
    }
    assert_int_equal(m->current_schema_id, 1);
    dm_metadata_expire(m, 5, INT64_MIN, 9000);
    assert_int_equal(m->n_snapshots, 5);
    assert_int_equal(m->n_schemas, 2); /* snapshot 2 still has the first one */
    dm_metadata_expire(m, 5, 5000, 9000);
    assert_int_equal(m->n_snapshots, 2);
    assert_int_equal(m->snapshots[0].id, 5);
    assert_int_equal(m->n_snapshot_log, 2);
    assert_int_equal(m->n_schemas, 1);
    dm_metadata_expire(m, 5, 1000000, 2000000); /* the current one never goes */
    assert_int_equal(m->n_snapshots, 1);
    assert_int_equal(m->snapshots[0].id, 6);
    must(dm_metadata_set_schema(m, a, &err));
    assert_int_equal(m->current_schema_id, 2); /* an id is not given out twice */
    dm_metadata_free(m);
    dm_schema_unref(a);
    dm_schema_unref(b);
    dm_schema_unref(wanted);
}

/* A month of one commit a second: never more than may be kept, the newest are all there, and the past reaches back as far as it is said to. */
static void snapshots_are_thinned_with_age(void **state)
{
    (void)state;
    struct dm_error err = {0};
    enum { keep = 40, second = 1000, retention = 7 * 86400 * second, most_slot = retention / (keep / 4 - 1) };
    struct dm_metadata *m = dm_metadata_new(3, "file:///lake/a/b");
    struct dm_schema *a = small_schema();
    must(dm_metadata_set_schema(m, a, &err));
    int64_t now = 0;
    for (int64_t i = 1; now < INT64_C(4) * retention; i++) {
        now += i % 1000 == 0 ? 1800 * second : second; /* and a pause now and then */
        struct dm_snapshot_new s = {.id = i,
                                    .parent_id = i - 1,
                                    .sequence_number = i,
                                    .timestamp_ms = now,
                                    .manifest_list = "file:///x",
                                    .first_row_id = 0};
        must(dm_metadata_add_snapshot(m, &s, &err));
        dm_metadata_expire(m, keep, now - retention, now);
        assert_in_range(m->n_snapshots, 1, keep);
        if (i < keep || i % 5000 != 0)
            continue;
        for (int64_t k = 0; k < keep - keep / 4; k++) /* the newest: one commit each */
            assert_int_equal(m->snapshots[m->n_snapshots - 1 - (size_t)k].id, i - k);
        if (now < retention)
            assert_int_equal(m->snapshots[0].id, 1);
        else
            assert_true(m->snapshots[0].timestamp_ms <= now - retention + most_slot + 1800 * second);
        assert_true(m->snapshots[0].timestamp_ms >= now - retention);
        for (size_t k = 1; k < m->n_snapshots; k++)
            assert_true(m->snapshots[k].timestamp_ms - m->snapshots[k - 1].timestamp_ms <=
                        2 * (int64_t)most_slot);
    }
    dm_metadata_free(m);
    dm_schema_unref(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(snapshots_are_thinned_with_age),
        cmocka_unit_test(ids_follow_the_source_column),
        cmocka_unit_test(a_column_made_anew_under_an_old_name_is_another_field),
        cmocka_unit_test(refuses_what_is_not_a_widening),
        cmocka_unit_test(schema_survives_the_metadata_file),
        cmocka_unit_test(schemas_share_ids_and_old_ones_go),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
