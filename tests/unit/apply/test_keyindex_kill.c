/* A child commits without end and is killed with SIGKILL at random moments; what is found then must be exactly one commit.
 *
 * Commit number t writes the keys [0, N) that t picks with file = t, and deletes those that it picks for deletion; the tag is t.
 * The whole content therefore follows from the tag alone. The child says each finished commit through a pipe, so a lost one shows. */
#include "index_fixture.h"

#include <signal.h>
#include <sys/wait.h>

#include "base/clock.h"

enum { N = 3000, DATASET = 4 };

/* What commit t does to key i: 0 nothing, 1 put, 2 delete. */
static int action(uint32_t t, uint32_t i)
{
    uint64_t z = ((uint64_t)t << 32 | i) * UINT64_C(0x9e3779b97f4a7c15);
    z ^= z >> 29;
    z *= UINT64_C(0xbf58476d1ce4e5b9);
    z ^= z >> 32;
    return z % 7 < 4 ? 0 : z % 7 < 6 ? 1 : 2;
}

static void commit(struct dm_keyindex *ix, uint32_t t, struct dm_index_change *c, uint8_t *room)
{
    struct dm_error err = {0};
    size_t n = 0;
    for (uint32_t i = 0; i < N; i++) {
        int a = action(t, i);
        if (a == 0)
            continue;
        uint8_t *key = room + n * KEY_ROOM;
        c[n++] = (struct dm_index_change){
            .key = key, .key_len = make_key(i, key), .place = {.file = a == 1 ? t : 0, .position = i}};
    }
    dm_index_changes_sort(c, n);
    assert_ok(dm_keyindex_begin(ix, &err), &err);
    assert_ok(dm_keyindex_apply(ix, DATASET, c, n, &err), &err);
    assert_ok(dm_keyindex_tag_set(ix, DATASET, t, &err), &err);
    assert_ok(dm_keyindex_commit(ix, &err), &err);
}

static _Noreturn void run_child(const char *folder, bool trusted, uint32_t from, int report)
{
    struct dm_keyindex *ix = open_index(folder, trusted);
    uint8_t *room;
    struct dm_index_change *c = new_changes(N, &room);
    for (uint32_t t = from + 1;; t++) {
        commit(ix, t, c, room);
        if (write(report, &t, sizeof t) != (ssize_t)sizeof t)
            _exit(1);
    }
}

/* The content must be that of the tag; returns the tag. */
static uint32_t check(const char *folder)
{
    struct dm_error err = {0};
    struct dm_keyindex *ix = open_index(folder, true);
    uint8_t *room;
    struct dm_index_change *c = new_changes(N, &room);
    for (uint32_t i = 0; i < N; i++) {
        uint8_t *key = room + (size_t)i * KEY_ROOM;
        c[i] = (struct dm_index_change){.key = key, .key_len = make_key(i, key), .row = i};
    }
    dm_index_changes_sort(c, N);
    int64_t tag;
    assert_ok(dm_keyindex_begin(ix, &err), &err);
    assert_ok(dm_keyindex_tag_get(ix, DATASET, &tag, &err), &err);
    assert_ok(dm_keyindex_lookup(ix, DATASET, c, N, &err), &err);
    uint64_t live = 0, count;
    for (size_t j = 0; j < N; j++) {
        uint32_t t = (uint32_t)tag;
        while (t > 0 && action(t, c[j].row) == 0)
            t--;
        uint32_t expected = t > 0 && action(t, c[j].row) == 1 ? t : 0;
        assert_int_equal(c[j].old.file, expected);
        assert_int_equal(c[j].old.position, expected != 0 ? c[j].row : 0);
        live += expected != 0;
    }
    assert_ok(dm_keyindex_count(ix, DATASET, &count, &err), &err);
    assert_int_equal(count, live);
    dm_keyindex_close(ix);
    free(c);
    free(room);
    return (uint32_t)tag;
}

static void killed_at_random_moments(void **state)
{
    (void)state;
    char *folder = make_folder();
    dm_keyindex_close(open_index(folder, false));
    uint32_t last = 0;
    for (int round = 0; round < 40 || (round < 200 && last <= 40); round++) {
        int pipes[2];
        assert_int_equal(pipe(pipes), 0);
        pid_t child = fork();
        if (child == 0)
            run_child(folder, true, last, pipes[1]);
        close(pipes[1]);
        int64_t slow =
            round < 40 ? 0 : 10 * (round - 40); /* a machine that has not come far gets more time */
        dm_clock_sleep_ms(slow + (int64_t)(random_below(3) == 0 ? random_below(10) : 10 + random_below(60)));
        kill(child, SIGKILL);
        assert_int_equal(waitpid(child, NULL, 0), child);
        uint32_t told = last, t;
        while (read(pipes[0], &t, sizeof t) == (ssize_t)sizeof t)
            told = t;
        close(pipes[0]);
        uint32_t found = check(folder);
        assert_in_range(found, told, told + 1); /* committed, but killed before it could say so */
        last = found;
    }
    assert_true(last > 40);
    drop_folder(folder);
}

int main(void)
{
    random_start();
    const struct CMUnitTest tests[] = {cmocka_unit_test(killed_at_random_moments)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
