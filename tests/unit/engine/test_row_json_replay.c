/* A row that quarantine kept as JSON (column/row_json.h) comes back through the change reader as the very same row, whatever its types and values. */
#include "engine_fixture.h"

#include "column/row_json.h"
#include "engine/change_reader.h"

enum { n_rows = 200 };

static enum dm_status no_bad_row(void *ctx, uint64_t line, const struct dm_bad_row *row, struct dm_error *err)
{
    (void)ctx;
    (void)err;
    fail_msg("line %llu: %s: %s: %s", (unsigned long long)line, row->reason, row->message, row->raw);
    return DM_FAIL;
}

/* All types, and an id as key. */
static struct dm_schema *keyed_schema(void)
{
    struct dm_schema *all = schema_of_all_types(), *s = dm_schema_copy(all);
    struct dm_field *id = dm_schema_add(s, "id", dm_type_of(DM_INT64));
    id->id = 1000;
    id->required = true;
    dm_schema_add_key(s, (uint32_t)s->n_fields - 1);
    dm_schema_unref(all);
    return s;
}

static struct dm_batch *keyed_batch(const struct dm_schema *s)
{
    struct dm_batch *b = dm_batch_new(s);
    for (size_t k = 0; k < n_rows; k++) {
        for (size_t i = 0; i + 1 < b->n_columns; i++)
            add_edge_value(&b->columns[i], k, true);
        add_int64(&b->columns[b->n_columns - 1], (int64_t)k);
        dm_batch_end_row(b, k % 9 == 8 ? DM_OP_DELETE : DM_OP_UPDATE);
    }
    return b;
}

static void test_replay(void **state)
{
    struct fixture *f = *state;
    struct dm_schema *s = keyed_schema();
    struct dm_batch *b = keyed_batch(s);
    struct dm_buffer json;
    dm_buffer_init(&json, 16 << 20);
    for (size_t row = 0; row < b->rows; row++) {
        assert_ok(f, dm_row_json(b, row, &json, &f->err));
        assert_ok(f, dm_buffer_append_byte(&json, '\n', &f->err));
    }
    char *path = dm_xasprintf("%s/rows.ndjson", f->folder);
    assert_ok(f, dm_file_write(path, (const char *)json.data, json.len, &f->err));
    struct dm_change_options options = {.version_field = -1};
    struct dm_change_reader *r = NULL;
    assert_ok(f, dm_change_reader_open(f->engine, path, s, &options, &r, &f->err));
    struct dm_batch *back = dm_batch_new(s);
    enum dm_status status;
    while ((status = dm_change_reader_next(r, back, 4096, 16 << 20, no_bad_row, NULL, &f->err)) == DM_OK)
        continue;
    assert_int_equal(status, DM_END);
    assert_int_equal(back->rows, n_rows);
    for (size_t row = 0; row < n_rows; row++) {
        assert_int_equal(back->ops[row], b->ops[row]);
        for (size_t i = 0; i < b->n_columns; i++)
            if (b->ops[row] != DM_OP_DELETE || dm_schema_is_key(s, (uint32_t)i))
                if (!dm_column_value_equal(&b->columns[i], row, &back->columns[i], row))
                    fail_msg("row %zu, column %s (type %d)", row, s->fields[i].name, s->fields[i].type.id);
    }
    dm_change_reader_close(r);
    dm_batch_free(back);
    dm_batch_free(b);
    dm_buffer_release(&json);
    dm_schema_unref(s);
    free(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_replay, fixture_setup, fixture_teardown)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
