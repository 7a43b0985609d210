/* dm_commit_expire_all and dm_lake_sweep_dataset: after them nothing in the dataset's folder remembers what was there before. */
#include "lake_fixture.h"

#include <dirent.h>

static const char secret[] = "the-secret-bound";

/* A file whose statistics hold `text` as bounds of column 2. */
static uint32_t add_file_with_bounds(struct dm_commit *c, const char *name, uint64_t rows, const char *text)
{
    struct dm_error err = {0};
    uint32_t number = 0;
    char *path = NULL;
    must(dm_commit_new_file(c, "shop", name, &number, &path, &err));
    must(dm_file_write(path, "PAR1....PAR1", 12, &err));
    struct dm_column_stats stats = {.field_id = 2, .values = rows, .has_bounds = true};
    stats.lower_len = stats.upper_len = (uint8_t)strlen(text);
    memcpy(stats.lower, text, strlen(text));
    memcpy(stats.upper, text, strlen(text));
    struct dm_parquet_result result = {.rows = rows, .file_bytes = 12, .n_stats = 1, .stats = &stats};
    must(dm_commit_add_file(c, "shop", name, number, path, &result, &err));
    free(path);
    return number;
}

static void publish(struct dm_commit *c)
{
    struct dm_error err = {0};
    must(dm_commit_write(c, NULL, &err));
    must(dm_commit_publish(c, NULL, NULL, &err));
    dm_commit_free(c);
}

static size_t files_in(const char *folder, const char *text, size_t *with_text)
{
    DIR *d = opendir(folder);
    size_t n = 0;
    for (struct dirent *e; d != NULL && (e = readdir(d)) != NULL;) {
        char *path = dm_xasprintf("%s/%s", folder, e->d_name);
        struct dm_buffer bytes;
        struct dm_error err = {0};
        dm_buffer_init(&bytes, 1 << 24);
        if (e->d_name[0] != '.' && dm_file_read(path, &bytes, &err) == DM_OK) {
            n++;
            *with_text += memmem(bytes.data, bytes.len, text, strlen(text)) != NULL;
        }
        dm_buffer_release(&bytes);
        free(path);
    }
    if (d != NULL)
        closedir(d);
    return n;
}

static void test_nothing_of_the_past_stays(void **state)
{
    (void)state;
    struct dm_error err = {0};
    char *folder = temporary_folder();
    struct dm_lake *lake = open_lake(folder);
    struct dm_schema *schema = small_schema();
    struct dm_commit *c = begin(lake);
    must(dm_commit_create(c, "shop", "people", schema, &err));
    uint32_t first = add_file_with_bounds(c, "people", 10, secret);
    publish(c);
    c = begin(lake);
    add_file_with_bounds(c, "people", 10, "harmless");
    publish(c);
    c = begin(lake); /* leaves a DELETED entry with bounds */
    must(dm_commit_remove_file(c, "shop", "people", first, &err));
    publish(c);
    c = begin(lake);
    uint32_t second = add_file_with_bounds(c, "people", 10, secret);
    publish(c);
    char *metadata = dm_xasprintf("%s/shop/people/metadata", folder);
    size_t with = 0, snapshots = 0;
    assert_true(files_in(metadata, secret, &with) > 10);
    assert_true(with >= 3);
    c = begin(lake); /* its own DELETED entry has no bounds */
    must(dm_commit_remove_file(c, "shop", "people", second, &err));
    must(dm_commit_expire_all(c, "shop", "people", &err));
    publish(c);
    uint64_t removed = 0, bytes = 0;
    must(dm_lake_snapshots(lake, "shop", "people", &snapshots, &err));
    assert_int_equal(snapshots, 1);
    must(dm_lake_sweep_dataset(lake, "shop", "people", &removed, &bytes, &err));
    assert_true(removed > 5);
    assert_true(bytes > 100);
    with = 0;
    /* metadata, its hint and link, manifest list, one manifest */
    assert_in_range(files_in(metadata, secret, &with), 4, 6);
    assert_int_equal(with, 0);
    assert_int_equal(dataset(lake, "shop", "people")->n_files, 1);
    /* And it lives on: written to, and read by a process that opens it anew. */
    c = begin(lake);
    add_file_with_bounds(c, "people", 3, "more");
    publish(c);
    dm_lake_close(lake);
    lake = open_lake(folder);
    assert_int_equal(dataset(lake, "shop", "people")->live_rows, 13);
    dm_lake_close(lake);
    dm_schema_unref(schema);
    free(metadata);
    free(folder);
}

static void test_without_a_change_too(void **state)
{
    (void)state;
    struct dm_error err = {0};
    char *folder = temporary_folder();
    struct dm_lake *lake = open_lake(folder);
    struct dm_schema *schema = small_schema();
    struct dm_commit *c = begin(lake);
    must(dm_commit_create(c, "shop", "people", schema, &err));
    must(dm_commit_create(c, "shop", "empty", schema, &err));
    add_file_with_bounds(c, "people", 10, "a");
    publish(c);
    for (int i = 0; i < 3; i++) {
        c = begin(lake);
        add_file_with_bounds(c, "people", 1, "b");
        publish(c);
    }
    c = begin(lake);
    must(dm_commit_expire_all(c, "shop", "people", &err));
    must(dm_commit_expire_all(c, "shop", "empty", &err)); /* has no snapshot, and gets none */
    publish(c);
    size_t n = 0;
    must(dm_lake_snapshots(lake, "shop", "people", &n, &err));
    assert_int_equal(n, 1);
    must(dm_lake_snapshots(lake, "shop", "empty", &n, &err));
    assert_int_equal(n, 0);
    must(dm_lake_sweep_dataset(lake, "shop", "people", NULL, NULL, &err));
    assert_int_equal(dataset(lake, "shop", "people")->live_rows, 13);
    dm_lake_close(lake);
    lake = open_lake(folder);
    assert_int_equal(dataset(lake, "shop", "people")->live_rows, 13);
    dm_lake_close(lake);
    dm_schema_unref(schema);
    free(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing_of_the_past_stays),
        cmocka_unit_test(test_without_a_change_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
