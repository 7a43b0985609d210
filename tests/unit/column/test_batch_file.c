/* The spool: what is read back is what was written; any changed or missing byte is an error. */
#include "random_values.h"

#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/memory.h"
#include "column/batch_file.h"

static char path[64];

static const enum dm_type_id scalars[] = {DM_BOOL,   DM_INT32, DM_INT64,       DM_FLOAT32,     DM_FLOAT64,
                                          DM_DATE,   DM_TIME,  DM_TIMESTAMP,   DM_TIMESTAMPTZ, DM_STRING,
                                          DM_BINARY, DM_UUID,  DM_TIMESTAMP_NS};

static struct dm_type random_type(void)
{
    struct dm_type t = random_below(8) == 0
                           ? dm_type_decimal(30, 4)
                           : dm_type_of(scalars[random_below(sizeof scalars / sizeof *scalars)]);
    return random_below(5) == 0 ? dm_type_list(t) : t;
}

static struct dm_schema *random_schema(void)
{
    struct dm_schema *s = dm_schema_new();
    s->schema_id = (int32_t)random_below(5);
    size_t n = random_below(7);
    for (size_t i = 0; i < n; i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "c%zu\xc3\xa4", i);
        struct dm_field *f = dm_schema_add(s, random_below(9) ? name : "", random_type());
        f->id = (int32_t)random_below(100);
        f->element_id = (int32_t)random_below(100);
        f->source_ref = -(int32_t)random_below(4);
        f->required = random_below(2);
        f->source_type = random_below(2) ? dm_xstrdup("numeric(10,2)") : NULL;
        f->default_json = random_below(3) ? NULL : dm_xstrdup("");
        if (random_below(3) == 0)
            dm_schema_add_key(s, (uint32_t)i);
    }
    return s;
}

static struct dm_batch *random_batch(const struct dm_schema *s, size_t rows)
{
    struct dm_batch *b = dm_batch_new(s);
    size_t special_one_in = 1 + random_below(20);
    bool complete = random_below(3) == 0;
    bool many_txns = random_below(2), subxids = random_below(2);
    b->txn = (uint32_t)random_next();
    for (size_t r = 0; r < rows; r++) {
        for (size_t i = 0; i < b->n_columns; i++) {
            if (complete || random_below(special_one_in) != 0)
                append_random(&b->columns[i]);
            else if (random_below(2))
                dm_column_append_null(&b->columns[i]);
            else
                dm_column_append_unchanged(&b->columns[i]);
        }
        if (many_txns && random_below(4) == 0)
            b->txn++;
        if (subxids)
            b->subxid = (uint32_t)random_below(3);
        dm_batch_end_row(b, (enum dm_op)(1 + random_below(5)));
    }
    return b;
}

static bool text_equal(const char *a, const char *b)
{
    return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

static void assert_schema_equal(const struct dm_schema *a, const struct dm_schema *b)
{
    assert_true(dm_schema_equal(a, b));
    assert_int_equal(a->schema_id, b->schema_id);
    for (size_t i = 0; i < a->n_fields; i++) {
        assert_int_equal(a->fields[i].element_id, b->fields[i].element_id);
        assert_int_equal(a->fields[i].source_ref, b->fields[i].source_ref);
        assert_true(text_equal(a->fields[i].source_type, b->fields[i].source_type));
        assert_true(text_equal(a->fields[i].default_json, b->fields[i].default_json));
    }
}

static void assert_batch_equal(const struct dm_batch *a, const struct dm_batch *b)
{
    assert_schema_equal(a->schema, b->schema);
    assert_int_equal(a->rows, b->rows);
    for (size_t r = 0; r < a->rows; r++) {
        assert_int_equal(a->ops[r], b->ops[r]);
        assert_int_equal(a->txns[r], b->txns[r]);
        assert_int_equal(a->subxids[r], b->subxids[r]);
    }
    for (size_t i = 0; i < a->n_columns; i++) {
        assert_int_equal(b->columns[i].length, a->rows);
        assert_int_equal(b->columns[i].nulls, a->columns[i].nulls);
        assert_int_equal(b->columns[i].unchanged, a->columns[i].unchanged);
        for (size_t r = 0; r < a->rows; r++)
            assert_true(dm_column_value_equal(&a->columns[i], r, &b->columns[i], r));
        if (a->columns[i].width != 0 && a->rows > 0) /* to the bit: NaNs too */
            assert_memory_equal(a->columns[i].data, b->columns[i].data, a->rows * a->columns[i].width);
    }
}

enum { MOST = 40 };

static void what_is_written_is_read(void **state)
{
    (void)state;
    struct dm_error err = {0};
    for (int round = 0; round < 150; round++) {
        struct dm_batch_writer *w;
        struct dm_batch *batches[MOST] = {0}; /* NULL: a mark of its index */
        size_t n = random_below(MOST);
        uint64_t rows = 0;
        struct dm_schema *s = random_schema();
        assert_ok(dm_batch_file_open_write(path, &w, &err), &err);
        for (size_t i = 0; i < n; i++) {
            if (random_below(3) == 0) {
                assert_ok(dm_batch_file_append_mark(w, (uint32_t)i, UINT64_MAX - i, &err), &err);
                continue;
            }
            if (random_below(3) == 0) {
                dm_schema_unref(s);
                s = random_schema();
            }
            batches[i] = random_batch(s, random_below(10) == 0 ? random_below(60000) / (size_t)(round + 1)
                                                               : random_below(50));
            rows += batches[i]->rows;
            assert_ok(dm_batch_file_append(w, batches[i], &err), &err);
        }
        dm_schema_unref(s);
        assert_int_equal(dm_batch_file_rows(w), rows);
        uint64_t bytes = dm_batch_file_bytes(w), size;
        assert_ok(dm_batch_file_finish(w, &err), &err);
        assert_ok(dm_file_size(path, &size, &err), &err);
        assert_true(size > bytes && size < bytes + 64); /* the end */

        struct dm_batch_reader *r;
        struct dm_batch_file_item item;
        assert_ok(dm_batch_file_open_read(path, &r, &err), &err);
        for (size_t i = 0; i < n; i++) {
            assert_ok(dm_batch_file_next(r, &item, &err), &err);
            if (batches[i] == NULL) {
                assert_null(item.batch);
                assert_int_equal(item.mark_kind, i);
                assert_true(item.mark_value == UINT64_MAX - i);
                assert_null(dm_batch_file_take(r));
                continue;
            }
            assert_non_null(item.batch);
            if (random_below(4) == 0) {
                struct dm_batch *taken = dm_batch_file_take(r);
                assert_ptr_equal(taken, item.batch);
                assert_batch_equal(batches[i], taken);
                dm_batch_free(taken);
            } else {
                assert_batch_equal(batches[i], item.batch);
            }
            dm_batch_free(batches[i]);
        }
        assert_int_equal(dm_batch_file_next(r, &item, &err), DM_END);
        assert_int_equal(dm_batch_file_next(r, &item, &err), DM_END);
        dm_batch_file_close_read(r);
    }
}

static void one_schema_is_shared(void **state)
{
    (void)state;
    struct dm_error err = {0};
    struct dm_schema *s = dm_schema_new();
    dm_schema_add(s, "a", dm_type_of(DM_INT64));
    struct dm_schema *same = dm_schema_copy(s);
    struct dm_batch *b = random_batch(s, 3), *c = random_batch(same, 3);
    struct dm_batch_writer *w;
    assert_ok(dm_batch_file_open_write(path, &w, &err), &err);
    assert_ok(dm_batch_file_append(w, b, &err), &err);
    assert_ok(dm_batch_file_append(w, c, &err), &err);
    assert_ok(dm_batch_file_finish(w, &err), &err);
    struct dm_batch_reader *r;
    struct dm_batch_file_item item;
    assert_ok(dm_batch_file_open_read(path, &r, &err), &err);
    assert_ok(dm_batch_file_next(r, &item, &err), &err);
    const struct dm_schema *first = item.batch->schema;
    assert_ok(dm_batch_file_next(r, &item, &err), &err);
    assert_ptr_equal(item.batch->schema, first);
    dm_batch_file_close_read(r);
    dm_batch_free(b);
    dm_batch_free(c);
    dm_schema_unref(s);
    dm_schema_unref(same);
}

/* Reads to the end; DM_END or DM_FAIL. */
static enum dm_status read_all(struct dm_error *err)
{
    struct dm_batch_reader *r;
    struct dm_batch_file_item item;
    enum dm_status status = dm_batch_file_open_read(path, &r, err);
    if (status != DM_OK)
        return status;
    do
        status = dm_batch_file_next(r, &item, err);
    while (status == DM_OK);
    dm_batch_file_close_read(r);
    return status;
}

/* Without fsync, unlike dm_file_write: this happens a thousand times. */
static void write_plain(const uint8_t *bytes, size_t n)
{
    (void)unlink(path); /* a file that is cut and written again would be synced by ext4 */
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(bytes, 1, n, f), n);
    assert_int_equal(fclose(f), 0);
}

static void every_damage_is_found(void **state)
{
    (void)state;
    struct dm_error err = {0};
    struct dm_schema *s = dm_schema_new();
    dm_schema_add(s, "t", dm_type_of(DM_STRING));
    dm_schema_add(s, "l", dm_type_list(dm_type_of(DM_INT32)));
    dm_schema_add_key(s, 0);
    struct dm_batch *b = random_batch(s, 12);
    struct dm_batch_writer *w;
    assert_ok(dm_batch_file_open_write(path, &w, &err), &err);
    assert_ok(dm_batch_file_append(w, b, &err), &err);
    assert_ok(dm_batch_file_append_mark(w, 1, 2, &err), &err);
    assert_ok(dm_batch_file_finish(w, &err), &err);
    struct dm_buffer good;
    dm_buffer_init(&good, 1 << 20);
    assert_ok(dm_file_read(path, &good, &err), &err);
    assert_int_equal(read_all(&err), DM_END);
    uint8_t *bad = dm_xalloc(good.len + 1);
    for (size_t i = 0; i < good.len; i++) {
        memcpy(bad, good.data, good.len);
        bad[i] ^= (uint8_t)(1 + random_below(255));
        write_plain(bad, good.len);
        assert_int_equal(read_all(&err), DM_FAIL);
        assert_int_equal(err.class, DM_ERROR_FATAL);
        assert_non_null(strstr(err.message, path));
    }
    for (size_t n = 0; n < good.len; n++) {
        write_plain(good.data, n);
        assert_int_equal(read_all(&err), DM_FAIL);
    }
    memcpy(bad, good.data, good.len);
    bad[good.len] = 0;
    write_plain(bad, good.len + 1); /* something behind the end */
    assert_int_equal(read_all(&err), DM_FAIL);
    free(bad);
    dm_buffer_release(&good);
    dm_batch_free(b);
    dm_schema_unref(s);
}

static void failures_of_the_system(void **state)
{
    (void)state;
    struct dm_error err = {0};
    struct dm_batch_writer *w;
    struct dm_batch_reader *r;
    assert_int_equal(dm_batch_file_open_write("/no-such-folder/x", &w, &err), DM_FAIL);
    assert_int_equal(dm_batch_file_open_read("/no-such-folder/x", &r, &err), DM_FAIL);
    assert_ok(dm_batch_file_open_write("/dev/full", &w, &err), &err);
    assert_ok(dm_batch_file_append_mark(w, 1, 1, &err), &err);
    assert_int_equal(dm_batch_file_finish(w, &err), DM_FAIL);
    assert_int_equal(err.class, DM_ERROR_TRANSIENT);
    assert_ok(dm_batch_file_open_write(path, &w, &err), &err);
    dm_batch_file_abandon(w);
    assert_false(dm_file_exists(path));
    dm_batch_file_abandon(NULL);
    dm_batch_file_close_read(NULL);
}

int main(void)
{
    random_start();
    (void)snprintf(path, sizeof path, "/tmp/dm-spool-%d", (int)getpid());
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_is_read),
        cmocka_unit_test(one_schema_is_shared),
        cmocka_unit_test(every_damage_is_found),
        cmocka_unit_test(failures_of_the_system),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    (void)unlink(path);
    return failed;
}
