/* A lake that goes through a life of inserts, deletes, schema changes and truncates with real Parquet files.
 *
 * Without arguments: a unit test that reads the visible rows back through the engine after each step and compares them with a model.
 * With --steps <folder>: for independent readers (tests/e2e/test_lake_interop.py). After each step one JSON line with the expected rows goes to
 * stdout, and a line on stdin asks for the next step.
 */
#include "lake_fixture.h"

#include <inttypes.h>
#include <jansson.h>

#include "column/key.h"
#include "engine/parquet_read.h"
#include "lake/lake_query.h"

enum { MAX_ROWS = 400, MAX_NAME = 32 };

/* One row as it should be visible. */
struct row {
    int64_t id;
    char name[MAX_NAME]; /* "" : null */
    int64_t qty;
    dm_int128 price; /* scale 2 */
    int64_t at;
    char note[MAX_NAME]; /* "" : null */
    uint32_t file;
    uint32_t position;
};

struct life {
    struct dm_lake *lake;
    struct dm_engine *engine;
    struct dm_commit *commit;
    const char *table;
    struct dm_schema *wanted; /* as the source has it */
    size_t n;
    struct row rows[MAX_ROWS]; /* the model */
    bool has_note;
    const char *name_column;
};

static const char *const space = "shop";

static struct dm_field *add_column(struct dm_schema *s, const char *name, struct dm_type type, int32_t ref,
                                   const char *source_type)
{
    struct dm_field *f = dm_schema_add(s, name, type);
    f->source_ref = ref;
    f->source_type = dm_xstrdup(source_type);
    return f;
}

static struct dm_schema *first_schema(void)
{
    struct dm_schema *s = dm_schema_new();
    add_column(s, "id", dm_type_of(DM_INT64), 1, "bigint")->required = true;
    add_column(s, "name", dm_type_of(DM_STRING), 2, "text");
    add_column(s, "qty", dm_type_of(DM_INT32), 3, "integer");
    add_column(s, "price", dm_type_decimal(10, 2), 4, "numeric(10,2)");
    add_column(s, "at", dm_type_of(DM_TIMESTAMPTZ), 5, "timestamp with time zone");
    add_column(s, "tags", dm_type_list(dm_type_of(DM_STRING)), 6, "text[]");
    add_column(s, "uid", dm_type_of(DM_UUID), 7, "uuid");
    dm_schema_add_key(s, 0);
    return s;
}

static void begin_life(struct life *l)
{
    l->commit = begin(l->lake);
}

static void evolve(struct life *l, bool create)
{
    struct dm_error err = {0};
    const struct dm_dataset *d = dataset(l->lake, space, l->table);
    struct dm_schema *s = NULL;
    int32_t last = d == NULL ? 0 : d->last_column_id;
    must(dm_schema_evolve(d == NULL ? NULL : d->schema, l->wanted, &last, &s, &err));
    if (create)
        must(dm_commit_create(l->commit, space, l->table, s, &err));
    else
        must(dm_commit_set_schema(l->commit, space, l->table, s, &err));
    dm_schema_unref(s);
}

static void append_row(struct dm_batch *b, const struct life *l, const struct row *r)
{
    struct dm_error err = {0};
    (void)l;
    for (size_t i = 0; i < b->n_columns; i++) {
        struct dm_column *c = &b->columns[i];
        int32_t ref = b->schema->fields[i].source_ref;
        int32_t narrow = (int32_t)r->qty;
        uint8_t uid[16] = {0};
        memcpy(uid, &r->id, sizeof r->id);
        switch (ref) {
        case 1: dm_column_append_fixed(c, &r->id); break;
        case 2:
            if (r->name[0] == '\0')
                dm_column_append_null(c);
            else
                must(dm_column_append_bytes(c, r->name, strlen(r->name), &err));
            break;
        case 3: dm_column_append_fixed(c, c->type.id == DM_INT32 ? (const void *)&narrow : &r->qty); break;
        case 4: dm_column_append_fixed(c, &r->price); break;
        case 5: dm_column_append_fixed(c, &r->at); break;
        case 6:
            for (int64_t k = 0; k < r->id % 3; k++)
                must(dm_column_append_bytes(c->child, "tag", 3, &err));
            dm_column_close_list(c);
            break;
        case 7: dm_column_append_fixed(c, uid); break;
        default:
            if (r->note[0] == '\0')
                dm_column_append_null(c);
            else
                must(dm_column_append_bytes(c, r->note, strlen(r->note), &err));
        }
    }
    dm_batch_end_row(b, DM_OP_COPY);
}

/* Writes rows id..id+n-1 into one new file of the commit and into the model. */
static void insert(struct life *l, const struct dm_schema *schema, int64_t id, size_t n)
{
    struct dm_error err = {0};
    uint32_t number = 0;
    char *path = NULL;
    must(dm_commit_new_file(l->commit, space, l->table, &number, &path, &err));
    struct dm_batch *b = dm_batch_new(schema);
    for (size_t i = 0; i < n; i++) {
        struct row r = {.id = id + (int64_t)i, .file = number, .position = (uint32_t)i};
        r.qty = l->wanted->fields[2].type.id == DM_INT64 ? r.id * 10000000000 : r.id * 3;
        r.price = (dm_int128)(r.id * 101 - 250);
        r.at = 1700000000000000 + r.id * 1000001;
        if (r.id % 4 != 0)
            (void)snprintf(r.name, sizeof r.name, "näme \"%" PRId64 "\"", r.id);
        if (l->has_note && r.id % 2 == 0)
            (void)snprintf(r.note, sizeof r.note, "note %" PRId64, r.id);
        append_row(b, l, &r);
        assert_true(l->n < MAX_ROWS);
        l->rows[l->n++] = r;
    }
    struct dm_parquet_options o = {.compression = "zstd"};
    struct dm_parquet_result result = {0};
    must(dm_parquet_write_batch(l->engine, path, schema, &o, b, NULL, 0, &result, &err));
    must(dm_commit_add_file(l->commit, space, l->table, number, path, &result, &err));
    dm_parquet_result_release(&result);
    dm_batch_free(b);
    free(path);
}

static void delete_id(struct life *l, int64_t id)
{
    struct dm_error err = {0};
    for (size_t i = 0; i < l->n; i++)
        if (l->rows[i].id == id) {
            must(dm_commit_delete_rows(l->commit, space, l->table, l->rows[i].file, &l->rows[i].position, 1,
                                       &err));
            l->rows[i] = l->rows[--l->n];
            return;
        }
    fail_msg("no row %" PRId64, id);
}

/* ---- the steps ---- */

static const struct dm_schema *current(const struct life *l)
{
    return dataset(l->lake, space, l->table)->schema;
}

static void step_create(struct life *l)
{
    struct dm_error err = {0};
    struct dm_schema *s = NULL;
    int32_t last = 0;
    begin_life(l);
    evolve(l, true);
    must(dm_schema_evolve(NULL, l->wanted, &last, &s, &err));
    insert(l, s, 1, 10);
    dm_schema_unref(s);
    finish(l->commit);
}

static void step_insert_and_delete(struct life *l)
{
    begin_life(l);
    insert(l, current(l), 11, 5);
    delete_id(l, 1);
    delete_id(l, 4);
    finish(l->commit);
}

static void step_delete_in_new_file_too(struct life *l)
{
    begin_life(l);
    insert(l, current(l), 16, 4);
    delete_id(l, 17);
    delete_id(l, 2);
    delete_id(l, 12);
    finish(l->commit);
}

static void step_delete_only(struct life *l)
{
    begin_life(l);
    delete_id(l, 3);
    finish(l->commit);
}

/* Rename name → title, widen qty, drop nothing; a new column that old rows do not have. */
static void step_evolve(struct life *l)
{
    struct dm_schema *s = dm_schema_copy(l->wanted);
    free(s->fields[1].name);
    s->fields[1].name = dm_xstrdup("title");
    s->fields[2].type = dm_type_of(DM_INT64);
    add_column(s, "note", dm_type_of(DM_STRING), 8, "text");
    dm_schema_unref(l->wanted);
    l->wanted = s;
    l->name_column = "title";
    begin_life(l);
    evolve(l, false);
    finish(l->commit);
    l->has_note = true;
}

static void step_insert_after_evolution(struct life *l)
{
    begin_life(l);
    insert(l, current(l), 30, 6);
    delete_id(l, 5);
    delete_id(l, 31);
    finish(l->commit);
}

static void step_whole_file_deleted(struct life *l)
{
    begin_life(l);
    for (int64_t id = 11; id <= 15; id++)
        if (id != 12)
            delete_id(l, id);
    finish(l->commit);
}

static void step_many_commits(struct life *l)
{
    for (int64_t i = 0; i < 30; i++) {
        begin_life(l);
        insert(l, current(l), 100 + i * 3, 3);
        if (i % 4 == 3)
            delete_id(l, 100 + (i - 2) * 3);
        finish(l->commit);
    }
}

static void step_truncate_and_insert(struct life *l)
{
    struct dm_error err = {0};
    begin_life(l);
    must(dm_commit_remove_all(l->commit, space, l->table, &err));
    l->n = 0;
    insert(l, current(l), 300, 7);
    finish(l->commit);
}

static void step_truncate(struct life *l)
{
    struct dm_error err = {0};
    begin_life(l);
    must(dm_commit_remove_all(l->commit, space, l->table, &err));
    l->n = 0;
    finish(l->commit);
}

static void step_insert_after_truncate(struct life *l)
{
    begin_life(l);
    insert(l, current(l), 310, 2);
    finish(l->commit);
}

/* A column with a default that is not null: old rows show it. */
static void step_default(struct life *l)
{
    struct dm_schema *s = dm_schema_copy(l->wanted);
    dm_schema_unref(l->wanted);
    free(s->fields[7].name);
    s->fields[7].name = dm_xstrdup("remark"); /* another name and another number: another column */
    s->fields[7].source_ref = 9;
    s->fields[7].default_json = dm_xstrdup("\"none yet\"");
    l->wanted = s;
    begin_life(l);
    evolve(l, false);
    finish(l->commit);
    for (size_t i = 0; i < l->n; i++)
        (void)snprintf(l->rows[i].note, MAX_NAME, "none yet");
}

static void step_insert_after_default(struct life *l)
{
    begin_life(l);
    insert(l, current(l), 320, 4);
    delete_id(l, 310);
    finish(l->commit);
}

static void step_sweep(struct life *l)
{
    struct dm_error err = {0};
    must(dm_lake_sweep(l->lake, 0, NULL, &err));
}

static const struct {
    const char *name;
    void (*run)(struct life *l);
} steps[] = {{"create", step_create},
             {"insert and delete", step_insert_and_delete},
             {"delete in a new file too", step_delete_in_new_file_too},
             {"delete only", step_delete_only},
             {"evolve", step_evolve},
             {"insert after evolution", step_insert_after_evolution},
             {"whole file deleted", step_whole_file_deleted},
             {"many commits", step_many_commits},
             {"sweep", step_sweep},
             {"truncate and insert", step_truncate_and_insert},
             {"truncate", step_truncate},
             {"insert after truncate", step_insert_after_truncate},
             {"default", step_default},
             {"insert after default", step_insert_after_default},
             {"sweep again", step_sweep}};

/* ---- comparing and telling ---- */

static void open_life(struct life *l, const char *folder, const char *table)
{
    struct dm_error err = {0};
    struct dm_engine_options o = {.threads = 1};
    *l = (struct life){.table = table, .wanted = first_schema(), .name_column = "name"};
    l->lake = open_lake(folder);
    must(dm_engine_open(&o, &l->engine, &err));
}

static void close_life(struct life *l)
{
    dm_schema_unref(l->wanted);
    dm_lake_close(l->lake);
    dm_engine_close(l->engine);
}

struct seen {
    struct life *l;
    size_t n;
};

static enum dm_status compare_rows(void *ctx, const struct dm_batch *b, const uint32_t *files,
                                   const uint32_t *positions, struct dm_error *err)
{
    struct seen *s = ctx;
    (void)err;
    for (size_t i = 0; i < b->rows; i++) {
        int64_t id = dm_column_int64(&b->columns[0], i);
        const struct row *r = NULL;
        for (size_t k = 0; k < s->l->n && r == NULL; k++)
            if (s->l->rows[k].id == id)
                r = &s->l->rows[k];
        if (r == NULL)
            fail_msg("row %" PRId64 " should not be visible", id);
        assert_int_equal(files[i], r->file);
        assert_int_equal(positions[i], r->position);
        int64_t qty = b->columns[2].type.id == DM_INT32 ? dm_column_int32(&b->columns[2], i)
                                                        : dm_column_int64(&b->columns[2], i);
        assert_int_equal(qty, r->qty);
        for (size_t column = 1; column < b->n_columns; column++) {
            int32_t ref = b->schema->fields[column].source_ref;
            const char *want = ref == 2 ? r->name : r->note;
            size_t n = 0;
            if (ref > 2 && ref < 8)
                continue; /* the other readers compare these */
            assert_int_equal(b->columns[column].state[i] == DM_VALID, want[0] != '\0');
            if (want[0] == '\0')
                continue;
            const uint8_t *text = dm_column_bytes_at(&b->columns[column], i, &n);
            assert_int_equal(n, strlen(want));
            assert_memory_equal(text, want, n);
        }
        s->n++;
    }
    return DM_OK;
}

static void check_visible(struct life *l, struct dm_lake *lake)
{
    struct dm_error err = {0};
    const struct dm_dataset *d = dataset(lake, space, l->table);
    struct dm_scan_file *files = dm_xzalloc(d->n_files + 1, sizeof *files);
    for (size_t i = 0; i < d->n_files; i++)
        files[i] = (struct dm_scan_file){.path = d->files[i].path,
                                         .number = d->files[i].number,
                                         .rows = d->files[i].rows,
                                         .deleted = d->files[i].deleted};
    struct seen s = {.l = l};
    if (d->n_files > 0)
        must(dm_parquet_scan(l->engine, files, d->n_files, d->schema, NULL, compare_rows, &s, &err));
    assert_int_equal(s.n, l->n);
    assert_int_equal(d->live_rows, l->n);
    free(files);
}

struct totals {
    int64_t rows;
    int64_t ids;
};

static enum dm_status read_totals(void *ctx, size_t n, const char *const *values, struct dm_error *err)
{
    struct totals *t = ctx;
    (void)err;
    assert_int_equal(n, 2);
    t->rows = strtoll(values[0], NULL, 10);
    t->ids = strtoll(values[1], NULL, 10);
    return DM_OK;
}

static void check_query(struct life *l, struct dm_lake *lake)
{
    struct dm_error err = {0};
    struct dm_sql *sql = NULL;
    struct totals seen = {-1, -1};
    int64_t ids = 0;
    for (size_t i = 0; i < l->n; i++)
        ids += l->rows[i].id;
    must(dm_lake_query_open(lake, l->engine, NULL, NULL, &sql, &err));
    must(
        dm_sql_each(sql, "SELECT count(*), coalesce(sum(id), 0) FROM shop.orders", read_totals, &seen, &err));
    dm_sql_close(sql);
    assert_int_equal(seen.rows, l->n);
    assert_int_equal(seen.ids, ids);
}

static void every_step_is_visible(void **state)
{
    struct life *l = dm_xzalloc(1, sizeof *l);
    struct dm_error err = {0};
    char *folder = temporary_folder();
    (void)state;
    open_life(l, folder, "orders");
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        steps[i].run(l);
        check_visible(l, l->lake);
        struct dm_lake *reader = open_lake_with(folder, 100, true); /* and as the files have it */
        check_visible(l, reader);
        check_query(l, reader);
        assert_int_equal(dataset(reader, space, "orders")->schema->fields[1].source_ref, 2);
        assert_string_equal(dataset(reader, space, "orders")->schema->fields[3].source_type, "numeric(10,2)");
        dm_lake_close(reader);
    }
    close_life(l);
    must(dm_file_remove_tree(folder, &err));
    free(folder);
    free(l);
}

static void tell(const struct life *l, const char *step)
{
    const struct dm_dataset *d = dataset(l->lake, space, l->table);
    json_t *rows = json_array();
    for (size_t i = 0; i < l->n; i++) {
        const struct row *r = &l->rows[i];
        char price[32];
        int64_t cents = (int64_t)r->price;
        (void)snprintf(price, sizeof price, "%s%" PRId64 ".%02" PRId64, cents < 0 ? "-" : "",
                       (cents < 0 ? -cents : cents) / 100, (cents < 0 ? -cents : cents) % 100);
        json_t *o = json_pack("{s:I, s:I, s:s, s:I}", "id", (json_int_t)r->id, "qty", (json_int_t)r->qty,
                              "price", price, "at", (json_int_t)r->at);
        json_object_set_new(o, l->name_column, r->name[0] == '\0' ? json_null() : json_string(r->name));
        if (l->wanted->n_fields > 7)
            json_object_set_new(o, l->wanted->fields[7].name,
                                r->note[0] == '\0' ? json_null() : json_string(r->note));
        json_array_append_new(rows, o);
    }
    json_t *line = json_pack("{s:s, s:s, s:s, s:s, s:o}", "step", step, "namespace", space, "table", l->table,
                             "location", d->location, "rows", rows);
    char *text = json_dumps(line, JSON_COMPACT);
    (void)puts(text);
    (void)fflush(stdout);
    free(text);
    json_decref(line);
}

static int run_steps(const char *folder)
{
    struct life *l = dm_xzalloc(1, sizeof *l);
    char line[16];
    open_life(l, folder, "Order Items"); /* a name that needs care everywhere */
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        steps[i].run(l);
        tell(l, steps[i].name);
        if (fgets(line, sizeof line, stdin) == NULL)
            break;
    }
    close_life(l);
    free(l);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "--steps") == 0)
        return run_steps(argv[2]);
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_step_is_visible)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
