/* dm_keyindex_rewrite: what was deleted is gone to the last byte, what is there stays, and a killed process leaves a trusted index. */
#include "index_fixture.h"

#include <sys/wait.h>

#include "base/buffer.h"

enum { N = 20000, KEY_BYTES = 40 };

/* Odd keys are to go: their text is found nowhere else. */
static struct dm_index_change *make_changes(char *room, bool odd_only, uint32_t file, size_t *n)
{
    struct dm_index_change *c = dm_xzalloc(N, sizeof *c);
    *n = 0;
    for (uint32_t i = 0; i < N; i++) {
        char *key = room + (size_t)i * KEY_BYTES;
        int len = snprintf(key, KEY_BYTES, "%06u-%s", (i * 7919) % N,
                           ((i * 7919) % N) % 2 != 0 ? "ERASED" : "kept");
        bool odd = ((i * 7919) % N) % 2 != 0;
        if (odd_only && !odd)
            continue;
        c[*n] = (struct dm_index_change){.key = (const uint8_t *)key, .key_len = (uint32_t)len, .row = i};
        if (file != 0)
            c[*n].place = (struct dm_place){.file = file, .position = i};
        (*n)++;
    }
    dm_index_changes_sort(c, *n);
    return c;
}

static size_t count_text(const char *folder, const char *text)
{
    struct dm_error err = {0};
    struct dm_buffer bytes;
    size_t found = 0;
    char *path = dm_xasprintf("%s/data.mdb", folder);
    dm_buffer_init(&bytes, (size_t)4 << 30);
    assert_ok(dm_file_read(path, &bytes, &err), &err);
    for (const uint8_t *at = bytes.data, *end = bytes.data + bytes.len;
         (at = memmem(at, (size_t)(end - at), text, strlen(text))) != NULL; at++)
        found++;
    dm_buffer_release(&bytes);
    free(path);
    return found;
}

static void fill(struct dm_keyindex *ix, char *room)
{
    struct dm_error err = {0};
    size_t n;
    for (uint32_t set = 1; set <= 2; set++)
        for (uint32_t round = 1; round <= 2; round++) {
            struct dm_index_change *c = make_changes(room, false, round, &n);
            assert_ok(dm_keyindex_begin(ix, &err), &err);
            assert_ok(dm_keyindex_apply(ix, set, c, n, &err), &err);
            assert_ok(dm_keyindex_tag_set(ix, set, 70 + set, &err), &err);
            assert_ok(dm_keyindex_commit(ix, &err), &err);
            free(c);
        }
    for (uint32_t set = 1; set <= 2; set++) {
        struct dm_index_change *c = make_changes(room, true, 0, &n);
        assert_ok(dm_keyindex_begin(ix, &err), &err);
        assert_ok(dm_keyindex_apply(ix, set, c, n, &err), &err);
        assert_ok(dm_keyindex_commit(ix, &err), &err);
        free(c);
    }
}

static void check(struct dm_keyindex *ix, char *room)
{
    struct dm_error err = {0};
    size_t n;
    for (uint32_t set = 1; set <= 2; set++) {
        uint64_t keys = 0;
        int64_t tag = 0;
        struct dm_index_change *c = make_changes(room, false, 0, &n);
        assert_ok(dm_keyindex_begin(ix, &err), &err);
        assert_ok(dm_keyindex_count(ix, set, &keys, &err), &err);
        assert_int_equal(keys, N / 2);
        assert_ok(dm_keyindex_tag_get(ix, set, &tag, &err), &err);
        assert_int_equal(tag, 70 + set);
        assert_ok(dm_keyindex_lookup(ix, set, c, n, &err), &err);
        for (size_t i = 0; i < n; i++) {
            bool kept = strstr((const char *)c[i].key, "kept") != NULL;
            assert_int_equal(c[i].old.file, kept ? 2 : 0);
            assert_int_equal(c[i].old.position, kept ? c[i].row : 0);
        }
        dm_keyindex_abort(ix);
        free(c);
    }
}

static void test_deleted_keys_leave_no_byte(void **state)
{
    (void)state;
    struct dm_error err = {0};
    char *folder = dm_xstrdup("/tmp/datamirror-rewrite-XXXXXX");
    assert_true(temp_folder_make(folder));
    char *room = dm_xalloc((size_t)N * KEY_BYTES);
    struct dm_keyindex *ix = NULL;
    bool trusted;
    assert_ok(dm_keyindex_open(folder, &ix, &trusted, &err), &err);
    fill(ix, room);
    dm_keyindex_close(ix); /* cuts the file to its pages, so that it can be read */
    assert_true(count_text(folder, "-ERASED") > 0);
    assert_ok(dm_keyindex_open(folder, &ix, &trusted, &err), &err);
    assert_true(trusted);
    assert_ok(dm_keyindex_rewrite(ix, &err), &err);
    check(ix, room);
    fill(ix, room); /* it can be written to */
    assert_ok(dm_keyindex_rewrite(ix, &err), &err);
    assert_ok(dm_keyindex_rewrite(ix, &err), &err);
    check(ix, room);
    dm_keyindex_close(ix);
    assert_int_equal(count_text(folder, "-ERASED"), 0);
    assert_true(count_text(folder, "-kept") >= N);
    assert_ok(dm_keyindex_open(folder, &ix, &trusted, &err), &err);
    assert_true(trusted);
    check(ix, room);
    dm_keyindex_close(ix);
    free(room);
    free(folder);
}

static void test_killed_after_it(void **state)
{
    (void)state;
    struct dm_error err = {0};
    char *folder = dm_xstrdup("/tmp/datamirror-rewrite-XXXXXX");
    assert_true(temp_folder_make(folder));
    char *room = dm_xalloc((size_t)N * KEY_BYTES);
    struct dm_keyindex *ix = NULL;
    bool trusted;
    pid_t child = fork();
    if (child == 0) {
        bool fine = dm_keyindex_open(folder, &ix, &trusted, &err) == DM_OK;
        fill(ix, room);
        fine = fine && dm_keyindex_rewrite(ix, &err) == DM_OK;
        _exit(fine ? 0 : 1);
    }
    int how = 0;
    assert_int_equal(waitpid(child, &how, 0), child);
    assert_int_equal(how, 0);
    assert_ok(dm_keyindex_open(folder, &ix, &trusted, &err), &err);
    assert_true(trusted);
    check(ix, room);
    dm_keyindex_close(ix);
    free(room);
    free(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_deleted_keys_leave_no_byte),
        cmocka_unit_test(test_killed_after_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
