#include "engine_fixture.h"

#include <glob.h>
#include <unistd.h>

/* Sorts more than the memory limit holds. */
static void spill(struct fixture *f, struct dm_engine *e)
{
    struct dm_schema *s = dm_schema_new();
    struct dm_field *key = dm_schema_add(s, "k", dm_type_of(DM_STRING));
    key->id = 1;
    key->required = true;
    dm_schema_add_key(s, 0);
    struct dm_batch *b = dm_batch_new(s);
    for (uint32_t i = 0; i < 1500000; i++) {
        char text[80];
        int n = snprintf(text, sizeof text, "%08x is a key that is long enough not to be inlined",
                         i * 2654435761u);
        add_bytes(&b->columns[0], text, (size_t)n);
        dm_batch_end_row(b, DM_OP_COPY);
    }
    struct dm_parquet_result r;
    assert_ok(f, dm_parquet_write_batch(e, f->path, s, zstd(), b, NULL, 0, &r, &f->err));
    dm_parquet_result_release(&r);
    dm_batch_free(b);
    struct dm_scan_file file = {.path = f->path};
    struct rows_seen seen = {0};
    assert_ok(f, dm_parquet_scan(e, &file, 1, s, &(struct dm_scan_options){.order_by_key = true}, see_rows,
                                 &seen, &f->err));
    assert_int_equal(seen.batch->rows, 1500000);
    for (size_t i = 1; i < seen.batch->rows; i++) {
        size_t n, m;
        const uint8_t *x = dm_column_bytes_at(&seen.batch->columns[0], i - 1, &n),
                      *y = dm_column_bytes_at(&seen.batch->columns[0], i, &m);
        if (memcmp(x, y, 8) > 0)
            fail_msg("row %zu out of order", i);
    }
    rows_seen_release(&seen);
    dm_schema_unref(s);
}

static void a_sort_beyond_the_memory_limit_spills(void **state)
{
    struct fixture *f = *state;
    char temp[128];
    snprintf(temp, sizeof temp, "%s/not/there/yet", f->folder);
    struct dm_engine *e;
    struct dm_engine_options options = {.memory_limit = 96u << 20, .threads = 1, .temp_folder = temp};
    assert_ok(f, dm_engine_open(&options, &e, &f->err));
    spill(f, e);
    glob_t found;
    char pattern[160];
    snprintf(pattern, sizeof pattern, "%s/duckdb-%ld-*", temp, (long)getpid());
    assert_int_equal(glob(pattern, 0, NULL, &found), 0); /* it did spill: only that creates the folder */
    globfree(&found);
    dm_engine_close(e);
    assert_int_equal(glob(pattern, 0, NULL, &found), GLOB_NOMATCH);
}

static void leftovers_of_dead_processes_are_swept(void **state)
{
    struct fixture *f = *state;
    char dead[128], alive[128], other[128];
    snprintf(dead, sizeof dead, "%s/duckdb-2147483646-0", f->folder);
    snprintf(alive, sizeof alive, "%s/duckdb-%ld-0", f->folder, (long)getppid());
    snprintf(other, sizeof other, "%s/duckdb-2147483646-0.txt", f->folder);
    assert_ok(f, dm_file_make_folders(dead, &f->err));
    assert_ok(f, dm_file_make_folders(alive, &f->err));
    assert_ok(f, dm_file_make_folders(other, &f->err));
    struct dm_engine *e;
    assert_ok(f, dm_engine_open(&(struct dm_engine_options){.temp_folder = f->folder}, &e, &f->err));
    assert_false(dm_file_exists(dead));
    assert_true(dm_file_exists(alive));
    assert_true(dm_file_exists(other));
    dm_engine_close(e);
}

static void the_version_is_known(void **state)
{
    (void)state;
    assert_true(dm_engine_version()[0] == 'v');
    dm_engine_close(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_sort_beyond_the_memory_limit_spills, fixture_setup,
                                        fixture_teardown),
        cmocka_unit_test_setup_teardown(leftovers_of_dead_processes_are_swept, fixture_setup,
                                        fixture_teardown),
        cmocka_unit_test(the_version_is_known),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
