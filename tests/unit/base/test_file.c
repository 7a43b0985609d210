#include "../column/random_values.h"
#include "../temp_folder.h"

#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/memory.h"

static char folder[] = "/tmp/dm-file-XXXXXX";

static char *at(const char *name)
{
    return dm_xasprintf("%s/%s", folder, name);
}

static void assert_content(const char *path, const char *text)
{
    struct dm_error err = {0};
    struct dm_buffer b;
    dm_buffer_init(&b, 1 << 20);
    assert_ok(dm_file_read(path, &b, &err), &err);
    assert_int_equal(b.len, strlen(text));
    assert_memory_equal(dm_buffer_text(&b), text, b.len);
    dm_buffer_release(&b);
}

static void write_replace_read(void **state)
{
    (void)state;
    struct dm_error err = {0};
    char *path = at("a"), *temporary = at("a.tmp");
    uint64_t size;
    assert_false(dm_file_exists(path));
    assert_ok(dm_file_write(path, "a long text", 11, &err), &err);
    assert_ok(dm_file_write(path, "one", 3, &err), &err); /* the longer one is gone */
    assert_content(path, "one");
    assert_ok(dm_file_replace(path, "second", 6, &err), &err);
    assert_content(path, "second");
    assert_false(dm_file_exists(temporary));
    assert_ok(dm_file_size(path, &size, &err), &err);
    assert_int_equal(size, 6);
    assert_ok(dm_file_sync(path, &err), &err);
    assert_ok(dm_file_sync(folder, &err), &err);
    free(path);
    free(temporary);
}

static void read_stops_at_the_maximum(void **state)
{
    (void)state;
    struct dm_error err = {0};
    char *path = at("max");
    struct dm_buffer b;
    assert_ok(dm_file_write(path, "0123456789", 10, &err), &err);
    dm_buffer_init(&b, 10);
    assert_ok(dm_file_read(path, &b, &err), &err); /* fits exactly */
    assert_int_equal(b.len, 10);
    dm_buffer_release(&b);
    dm_buffer_init(&b, 9);
    assert_int_equal(dm_file_read(path, &b, &err), DM_FAIL);
    assert_non_null(strstr(err.message, path));
    dm_buffer_release(&b);
    dm_buffer_init(&b, 100);
    assert_ok(dm_buffer_append(&b, "x", 1, &err), &err);
    assert_ok(dm_file_read(path, &b, &err), &err); /* appended */
    assert_memory_equal(b.data, "x0123456789", 11);
    dm_buffer_release(&b);
    free(path);
}

static void folders_and_trees(void **state)
{
    (void)state;
    struct dm_error err = {0};
    char *top = at("tree"), *deep = at("tree/b/c d/\xc3\xa4"), *file = at("tree/b/f"),
         *outside = at("outside"), *link = at("tree/b/link");
    assert_ok(dm_file_make_folders(deep, &err), &err);
    assert_ok(dm_file_make_folders(deep, &err), &err); /* again is fine */
    assert_ok(dm_file_write(file, "x", 1, &err), &err);
    assert_ok(dm_file_make_folders(outside, &err), &err);
    assert_int_equal(symlink(outside, link), 0);
    assert_int_equal(dm_file_make_folders(file, &err), DM_OK); /* something is there: not its question */
    assert_ok(dm_file_remove_tree(top, &err), &err);
    assert_false(dm_file_exists(top));
    assert_true(dm_file_exists(outside));            /* links are not followed */
    assert_ok(dm_file_remove_tree(top, &err), &err); /* missing is fine */
    free(top);
    free(deep);
    free(file);
    free(outside);
    free(link);
}

static void errors_name_the_path(void **state)
{
    (void)state;
    struct dm_error err = {0};
    char *path = at("no/such/file");
    struct dm_buffer b;
    uint64_t size;
    dm_buffer_init(&b, 10);
    assert_int_equal(dm_file_read(path, &b, &err), DM_FAIL);
    assert_non_null(strstr(err.message, path));
    assert_int_equal(dm_file_write(path, "", 0, &err), DM_FAIL);
    assert_non_null(strstr(err.message, path));
    assert_int_equal(dm_file_replace(path, "", 0, &err), DM_FAIL);
    assert_int_equal(dm_file_sync(path, &err), DM_FAIL);
    assert_int_equal(dm_file_size(path, &size, &err), DM_FAIL);
    assert_int_equal(err.class, DM_ERROR_CONFIG);
    free(path);
    assert_int_equal(dm_file_write("/dev/full", "x", 1, &err), DM_FAIL);
    assert_int_equal(err.class, DM_ERROR_TRANSIENT);
}

int main(void)
{
    if (!temp_folder_make(folder))
        return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(write_replace_read),
        cmocka_unit_test(read_stops_at_the_maximum),
        cmocka_unit_test(folders_and_trees),
        cmocka_unit_test(errors_name_the_path),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
