/* A key index whose file was damaged between two openings is noticed, whatever the damage, and begun anew: no wrong answer, no signal. */
#include "index_fixture.h"

#include <fcntl.h>
#include <sys/wait.h>

enum { N_KEYS = 3000, FLIPS = 60 };

static void fill(struct dm_keyindex *ix)
{
    struct dm_error err = {0};
    struct dm_index_change *changes = dm_xzalloc(N_KEYS, sizeof *changes);
    uint8_t(*keys)[900] = dm_xalloc(sizeof(uint8_t[N_KEYS][900]));
    for (uint32_t i = 0; i < N_KEYS; i++)
        changes[i] = (struct dm_index_change){.key = keys[i],
                                              .key_len = make_key(i, keys[i]),
                                              .row = i,
                                              .place = {.file = 1 + i / 1000, .position = i % 1000}};
    dm_index_changes_sort(changes, N_KEYS);
    assert_ok(dm_keyindex_begin(ix, &err), &err);
    assert_ok(dm_keyindex_apply(ix, 1, changes, N_KEYS, &err), &err);
    assert_ok(dm_keyindex_commit(ix, &err), &err);
    free(keys);
    free(changes);
}

struct fixture {
    char *folder;
    char *path;
    uint8_t *bytes; /* of data.mdb as it was closed */
    size_t n;
    char *state;
};

static void put_back(const struct fixture *f)
{
    struct dm_error err = {0};
    char *path = dm_xasprintf("%s/state", f->folder);
    assert_ok(dm_file_write(path, f->state, strlen(f->state), &err), &err);
    assert_ok(dm_file_write(f->path, f->bytes, f->n, &err), &err);
    free(path);
}

static struct fixture make(void)
{
    struct dm_error err = {0};
    struct fixture f = {.folder = make_folder()};
    struct dm_keyindex *ix = open_index(f.folder, false);
    fill(ix);
    dm_keyindex_close(ix);
    f.path = dm_xasprintf("%s/data.mdb", f.folder);
    char *state = dm_xasprintf("%s/state", f.folder);
    struct dm_buffer data, text;
    dm_buffer_init(&data, 64 << 20);
    dm_buffer_init(&text, 4096);
    assert_ok(dm_file_read(f.path, &data, &err), &err);
    assert_ok(dm_file_read(state, &text, &err), &err);
    f.bytes = data.data;
    f.n = data.len;
    f.state = dm_xstrndup((const char *)text.data, text.len);
    dm_buffer_release(&text);
    free(state);
    return f;
}

static void drop(struct fixture *f)
{
    free(f->bytes);
    free(f->state);
    free(f->path);
    drop_folder(f->folder);
}

static void write_at(const struct fixture *f, const void *bytes, size_t n, size_t at)
{
    int fd = open(f->path, O_WRONLY | O_CLOEXEC);
    assert_int_equal(pwrite(fd, bytes, n, (off_t)at), n);
    close(fd);
}

/* Damaged: an empty one takes its place, and works. */
static void check_begun_anew(const struct fixture *f)
{
    struct dm_keyindex *ix = open_index(f->folder, false);
    fill(ix);
    dm_keyindex_close(ix);
    dm_keyindex_close(open_index(f->folder, true));
}

static void flipped_bits(void **state)
{
    (void)state;
    struct fixture f = make();
    uint64_t seed = 1;
    for (int round = 0; round < FLIPS; round++) {
        put_back(&f);
        int bits = round % 3 == 0 ? 200 : 1;
        for (int i = 0; i < bits; i++) {
            seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
            size_t at = (size_t)(seed >> 20) % f.n;
            uint8_t byte = (uint8_t)(f.bytes[at] ^ (1 << (seed >> 60) % 8));
            write_at(&f, &byte, 1, at);
        }
        struct dm_keyindex *ix = open_index(f.folder, false);
        dm_keyindex_close(ix);
    }
    put_back(&f);
    dm_keyindex_close(open_index(f.folder, true)); /* and the whole one is trusted */
    drop(&f);
}

static void cut_and_zeroed(void **state)
{
    (void)state;
    struct fixture f = make();
    static const char zeros[4096];
    const size_t lengths[] = {0, 1, 100, 4096, 8192, f.n / 2, f.n - 4096, f.n - 1};
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        put_back(&f);
        assert_int_equal(truncate(f.path, (off_t)lengths[i]), 0);
        check_begun_anew(&f);
    }
    for (size_t page = 0; page < f.n / 4096; page += 29) {
        put_back(&f);
        if (memcmp(f.bytes + page * 4096, zeros, 4096) == 0)
            continue;
        write_at(&f, zeros, 4096, page * 4096);
        check_begun_anew(&f);
    }
    put_back(&f);
    assert_int_equal(unlink(f.path), 0);
    check_begun_anew(&f);
    put_back(&f);
    assert_int_equal(truncate(f.path, (off_t)f.n + (1 << 20)),
                     0); /* as a killed opening leaves it: no damage */
    dm_keyindex_close(open_index(f.folder, true));
    drop(&f);
}

/* After a killed process in the same boot there is no checksum; a file that was cut is noticed all the same. */
static void cut_after_death(void **state)
{
    (void)state;
    const off_t lengths[] = {8192, 12288, 100 * 4096};
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        char *folder = make_folder();
        pid_t child = fork();
        if (child == 0) {
            fill(open_index(folder, false));
            _exit(0);
        }
        int status;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
        char *path = dm_xasprintf("%s/data.mdb", folder);
        assert_int_equal(truncate(path, lengths[i]), 0);
        struct dm_keyindex *ix = open_index(folder, false);
        fill(ix);
        dm_keyindex_close(ix);
        free(path);
        drop_folder(folder);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(flipped_bits),
        cmocka_unit_test(cut_and_zeroed),
        cmocka_unit_test(cut_after_death),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
