/* The key index against an array; trust, locking, limits. Killing is in test_keyindex_kill.c. */
#include "index_fixture.h"

#include <sys/resource.h>
#include <sys/wait.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define UNDER_SANITIZER
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define UNDER_SANITIZER
#endif
#endif

enum { N_KEYS = 4000, N_SETS = 3 };

struct model {
    struct dm_place places[N_SETS][N_KEYS];
    int64_t tags[N_SETS];
};

static void check_all(struct dm_keyindex *ix, const struct model *m)
{
    struct dm_error err = {0};
    uint8_t *room;
    struct dm_index_change *c = new_changes(N_KEYS, &room);
    assert_ok(dm_keyindex_begin(ix, &err), &err);
    for (uint32_t set = 0; set < N_SETS; set++) {
        uint64_t expected = 0, count = 0;
        for (uint32_t i = 0; i < N_KEYS; i++) {
            c[i] = (struct dm_index_change){.key = room + (size_t)i * KEY_ROOM, .row = i};
            c[i].key_len = make_key(i, room + (size_t)i * KEY_ROOM);
            expected += dm_place_known(m->places[set][i]);
        }
        dm_index_changes_sort(c, N_KEYS);
        assert_ok(dm_keyindex_lookup(ix, set, c, N_KEYS, &err), &err);
        for (uint32_t i = 0; i < N_KEYS; i++) {
            assert_int_equal(c[i].old.file, m->places[set][c[i].row].file);
            assert_int_equal(c[i].old.position, m->places[set][c[i].row].position);
        }
        assert_ok(dm_keyindex_count(ix, set, &count, &err), &err);
        assert_int_equal(count, expected);
        int64_t tag;
        assert_ok(dm_keyindex_tag_get(ix, set, &tag, &err), &err);
        assert_int_equal(tag, m->tags[set]);
    }
    dm_keyindex_abort(ix);
    free(c);
    free(room);
}

/* One random batch on the index and on the model. */
static void random_apply(struct dm_keyindex *ix, struct model *m)
{
    struct dm_error err = {0};
    uint32_t set = (uint32_t)random_below(N_SETS);
    uint8_t *room;
    struct dm_index_change *c = new_changes(N_KEYS, &room);
    size_t n = 0, density = 1 + random_below(50);
    size_t delete_one_in = 1 + random_below(6);
    for (uint32_t i = 0; i < N_KEYS; i++) {
        if (random_below(density) != 0)
            continue;
        uint8_t *key = room + n * KEY_ROOM;
        c[n] = (struct dm_index_change){.key = key, .key_len = make_key(i, key), .row = i};
        if (random_below(delete_one_in) != 0)
            c[n].place =
                (struct dm_place){.file = 1 + (uint32_t)random_below(9), .position = (uint32_t)random_next()};
        n++;
    }
    dm_index_changes_sort(c, n);
    assert_ok(dm_keyindex_apply(ix, set, c, n, &err), &err);
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(c[i].old.file, m->places[set][c[i].row].file);
        assert_int_equal(c[i].old.position, m->places[set][c[i].row].position);
        m->places[set][c[i].row] = c[i].place;
    }
    m->tags[set] = (int64_t)random_next();
    assert_ok(dm_keyindex_tag_set(ix, set, m->tags[set], &err), &err);
    free(c);
    free(room);
}

static void random_changes_equal_the_model(void **state)
{
    (void)state;
    struct dm_error err = {0};
    char *folder = make_folder();
    struct dm_keyindex *ix = open_index(folder, false);
    struct model *committed = dm_xzalloc(1, sizeof *committed), *now = dm_xzalloc(1, sizeof *now);
    for (int round = 0; round < 60; round++) {
        *now = *committed;
        assert_ok(dm_keyindex_begin(ix, &err), &err);
        for (size_t n = random_below(4); n > 0; n--)
            random_apply(ix, now);
        if (random_below(12) == 0) {
            assert_ok(dm_keyindex_clear(ix, 1, &err), &err);
            memset(now->places[1], 0, sizeof now->places[1]);
        }
        if (random_below(4) == 0) {
            dm_keyindex_abort(ix);
        } else {
            assert_ok(dm_keyindex_commit(ix, &err), &err);
            *committed = *now;
        }
        if (random_below(8) == 0) {
            dm_keyindex_close(ix);
            ix = open_index(folder, true);
        }
        check_all(ix, committed);
    }
    dm_keyindex_close(ix);
    free(committed);
    free(now);
    drop_folder(folder);
}

static void appends(void **state)
{
    (void)state;
    struct dm_error err = {0};
    char *folder = make_folder();
    struct dm_keyindex *ix = open_index(folder, false);
    struct model *m = dm_xzalloc(1, sizeof *m);
    uint8_t *room;
    struct dm_index_change *c = new_changes(N_KEYS, &room);
    for (uint32_t i = 0; i < N_KEYS; i++) {
        uint8_t *key = room + (size_t)i * KEY_ROOM;
        m->places[2][i] = (struct dm_place){.file = 7, .position = i};
        c[i] = (struct dm_index_change){
            .key = key, .key_len = make_key(i, key), .row = i, .place = m->places[2][i]};
    }
    dm_index_changes_sort(c, N_KEYS);
    size_t bad = 0;
    assert_ok(dm_keyindex_begin(ix, &err), &err);
    for (size_t at = 0; at < N_KEYS;) { /* in pieces, so that the border between two calls is met */
        size_t n = 1 + random_below(300);
        n = n < N_KEYS - at ? n : N_KEYS - at;
        assert_ok(dm_keyindex_append(ix, 2, c + at, n, &bad, &err), &err);
        at += n;
    }
    assert_int_equal(dm_keyindex_append(ix, 2, c + N_KEYS - 1, 1, &bad, &err), DM_END); /* already there */
    assert_int_equal(bad, 0);
    assert_int_equal(dm_keyindex_append(ix, 2, c, 5, &bad, &err), DM_END); /* smaller */
    assert_int_equal(bad, 0);
    m->tags[2] = 11;
    assert_ok(dm_keyindex_tag_set(ix, 2, 11, &err), &err);
    assert_ok(dm_keyindex_commit(ix, &err), &err);
    check_all(ix, m);

    assert_ok(dm_keyindex_begin(ix, &err), &err);
    struct dm_index_change swapped[3] = {c[0], c[2], c[1]};
    assert_int_equal(dm_keyindex_append(ix, 0, swapped, 3, &bad, &err), DM_END);
    assert_int_equal(bad, 2);
    uint64_t count;
    assert_ok(dm_keyindex_count(ix, 0, &count, &err), &err);
    assert_int_equal(count, 2); /* the ones before it are in */
    dm_keyindex_close(ix);
    free(m);
    free(c);
    free(room);
    drop_folder(folder);
}

/* ---- trust ---- */

static void put_tag(struct dm_keyindex *ix, int64_t tag)
{
    struct dm_error err = {0};
    assert_ok(dm_keyindex_begin(ix, &err), &err);
    assert_ok(dm_keyindex_tag_set(ix, 1, tag, &err), &err);
    assert_ok(dm_keyindex_commit(ix, &err), &err);
}

static int64_t get_tag(struct dm_keyindex *ix)
{
    struct dm_error err = {0};
    int64_t tag = -1;
    assert_ok(dm_keyindex_begin(ix, &err), &err);
    assert_ok(dm_keyindex_tag_get(ix, 1, &tag, &err), &err);
    dm_keyindex_abort(ix);
    return tag;
}

/* Runs in a child that dies without closing: the index stays dirty. */
static void leave_dirty(const char *folder, bool trusted, int64_t tag)
{
    pid_t child = fork();
    if (child == 0) {
        struct dm_keyindex *ix = open_index(folder, trusted);
        put_tag(ix, tag);
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

/* Replaces `from` in the state file by `to`. */
static void edit_state(const char *folder, const char *from, const char *to)
{
    struct dm_error err = {0};
    struct dm_buffer text;
    dm_buffer_init(&text, 4096);
    char *path = dm_xasprintf("%s/state", folder);
    assert_ok(dm_file_read(path, &text, &err), &err);
    char *old = dm_xstrndup((const char *)text.data, text.len);
    char *at = strstr(old, from);
    assert_non_null(at);
    char *new = dm_xasprintf("%.*s%s%s", (int)(at - old), old, to, at + strlen(from));
    assert_ok(dm_file_write(path, new, strlen(new), &err), &err);
    free(old);
    free(new);
    free(path);
    dm_buffer_release(&text);
}

static void trust_after_death(void **state)
{
    (void)state;
    char *folder = make_folder();
    leave_dirty(folder, false, 5);
    struct dm_keyindex *ix = open_index(folder, true); /* same boot: fine */
    assert_int_equal(get_tag(ix), 5);
    dm_keyindex_close(ix);
    edit_state(folder, "boot ", "boot other-"); /* closed cleanly: another boot is fine */
    ix = open_index(folder, true);
    assert_int_equal(get_tag(ix), 5);
    dm_keyindex_close(ix);
    leave_dirty(folder, true, 6);
    edit_state(folder, "boot ", "boot other-"); /* dirty, and the machine went down in between */
    ix = open_index(folder, false);
    assert_int_equal(get_tag(ix), 0);
    put_tag(ix, 7);
    dm_keyindex_close(ix);
    edit_state(folder, "format 2", "format 99");
    ix = open_index(folder, false);
    assert_int_equal(get_tag(ix), 0);
    dm_keyindex_close(ix);
    drop_folder(folder);
}

static void a_dirty_copy_is_not_trusted(void **state)
{
    (void)state;
    struct dm_error err = {0};
    char *folder = make_folder();
    leave_dirty(folder, false, 5);
    char *path = dm_xasprintf("%s/data.mdb", folder);
    char *other = dm_xasprintf("%s/other", folder);
    struct dm_buffer bytes;
    dm_buffer_init(&bytes, 1 << 16);
    assert_int_equal(truncate(path, 1 << 16), 0);
    assert_ok(dm_file_read(path, &bytes, &err), &err);
    assert_ok(dm_file_write(other, bytes.data, bytes.len, &err), &err);
    assert_int_equal(rename(other, path), 0);
    struct dm_keyindex *ix = open_index(folder, false);
    dm_keyindex_close(ix);
    dm_buffer_release(&bytes);
    free(path);
    free(other);
    drop_folder(folder);
}

static void garbage_is_started_anew(void **state)
{
    (void)state;
    struct dm_error err = {0};
    char *folder = make_folder();
    dm_keyindex_close(open_index(folder, false));
    char *path = dm_xasprintf("%s/data.mdb", folder);
    char garbage[20000];
    memset(garbage, 'x', sizeof garbage);
    assert_ok(dm_file_write(path, garbage, sizeof garbage, &err), &err);
    struct dm_keyindex *ix = open_index(folder, false);
    assert_int_equal(get_tag(ix), 0);
    dm_keyindex_close(ix);
    free(path);
    drop_folder(folder);
}

static void one_opener_at_a_time(void **state)
{
    (void)state;
    struct dm_error err = {0};
    char *folder = make_folder();
    struct dm_keyindex *ix = open_index(folder, false), *second = NULL;
    bool trusted;
    assert_int_equal(dm_keyindex_open(folder, &second, &trusted, &err), DM_FAIL);
    assert_int_equal(err.class, DM_ERROR_CONFLICT);
    dm_keyindex_close(ix);
    dm_keyindex_close(open_index(folder, true));
    drop_folder(folder);
}

static void misuse_is_refused(void **state)
{
    (void)state;
    struct dm_error err = {0};
    char *folder = make_folder();
    struct dm_keyindex *ix = open_index(folder, false);
    int64_t tag;
    assert_int_equal(dm_keyindex_commit(ix, &err), DM_FAIL);
    assert_int_equal(dm_keyindex_tag_get(ix, 1, &tag, &err), DM_FAIL);
    assert_ok(dm_keyindex_begin(ix, &err), &err);
    assert_int_equal(dm_keyindex_begin(ix, &err), DM_FAIL);
    struct dm_index_change empty = {.key = (const uint8_t *)"", .place = {.file = 1}};
    assert_int_equal(dm_keyindex_apply(ix, 1, &empty, 1, &err), DM_FAIL);
    dm_keyindex_close(ix);
    dm_keyindex_close(NULL);
    drop_folder(folder);
}

/* The file's length stays near what it holds, and what it holds is small. */
static void the_file_is_small(void **state)
{
    (void)state;
    struct dm_error err = {0};
    char *folder = make_folder();
    struct dm_keyindex *ix = open_index(folder, false);
    put_tag(ix, 1);
    char *path = dm_xasprintf("%s/data.mdb", folder);
    uint64_t bytes;
    assert_ok(dm_file_size(path, &bytes, &err), &err);
    assert_true(bytes <= (uint64_t)4 << 30);
    dm_keyindex_close(ix);
    assert_ok(dm_file_size(path, &bytes, &err), &err);
    assert_true(bytes <= 65536);
    free(path);
    drop_folder(folder);
}

/* With little address space the map is smaller, and a full map is a clean error that loses nothing committed. */
static void little_address_space(void **state)
{
    (void)state;
#ifdef UNDER_SANITIZER
    skip(); /* its own memory is reserved address space */
#else
    char *folder = make_folder();
    pid_t child = fork();
    if (child == 0) {
        struct rlimit limit = {.rlim_cur = 300 << 20, .rlim_max = 300 << 20};
        if (setrlimit(RLIMIT_AS, &limit) != 0)
            _exit(2);
        struct dm_error err = {0};
        struct dm_keyindex *ix = open_index(folder, false);
        put_tag(ix, 1);
        assert_ok(dm_keyindex_begin(ix, &err), &err);
        enum { N = 1000 };
        static uint8_t keys[N][500];
        static struct dm_index_change c[N];
        enum dm_status status = DM_OK;
        for (uint32_t round = 0; status == DM_OK && round < 2000; round++) {
            for (uint32_t i = 0; i < N; i++) {
                dm_put_be32(keys[i], round * N + i);
                c[i] = (struct dm_index_change){.key = keys[i], .key_len = 500, .place = {.file = 1}};
            }
            status = dm_keyindex_apply(ix, 1, c, N, &err);
        }
        if (status != DM_FAIL || err.class != DM_ERROR_TRANSIENT || strstr(err.hint, "ulimit -v") == NULL) {
            fprintf(stderr, "%d %s\n", status, err.message);
            _exit(3);
        }
        dm_keyindex_abort(ix);
        _exit(get_tag(ix) == 1 ? 0 : 4);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    dm_keyindex_close(open_index(folder, true));
    drop_folder(folder);
#endif
}

/* ---- versions ---- */

static struct dm_index_change versioned(const char *key, uint32_t file, const char *version)
{
    return (struct dm_index_change){.key = (const uint8_t *)key,
                                    .key_len = (uint32_t)strlen(key),
                                    .place = {.file = file, .position = file * 10},
                                    .version = (const uint8_t *)version,
                                    .version_len = version == NULL ? 0 : (uint32_t)strlen(version)};
}

static void expect_entry(struct dm_keyindex *ix, const char *key, uint32_t file, const char *version)
{
    struct dm_error err = {0};
    struct dm_index_change c = versioned(key, 0, NULL);
    assert_ok(dm_keyindex_lookup(ix, 5, &c, 1, &err), &err);
    assert_int_equal(c.old.file, file);
    assert_int_equal(c.old_version_len, version == NULL ? 0 : strlen(version));
    if (version != NULL)
        assert_memory_equal(c.old_version, version, strlen(version));
}

static void versions_beside_the_places(void **state)
{
    (void)state;
    struct dm_error err = {0};
    char *folder = make_folder();
    struct dm_keyindex *ix = open_index(folder, false);
    char longest[DM_INDEX_VERSION_MAX + 2];
    memset(longest, 'v', sizeof longest);
    longest[DM_INDEX_VERSION_MAX] = 0;
    assert_ok(dm_keyindex_begin(ix, &err), &err);
    struct dm_index_change first[] = {versioned("a", 1, "v1"), versioned("b", 2, "v1"),
                                      versioned("c", 0, "v1"), versioned("d", 4, longest)};
    size_t bad = 0;
    assert_ok(dm_keyindex_append(ix, 5, first, 4, &bad, &err), &err);
    expect_entry(ix, "a", 1, "v1");
    expect_entry(ix, "c", 0, "v1"); /* a tombstone */
    expect_entry(ix, "d", 4, longest);
    expect_entry(ix, "e", 0, NULL);
    /* longer, shorter, a tombstone, gone */
    struct dm_index_change second[] = {versioned("a", 11, longest), versioned("b", 0, "v22"),
                                       versioned("c", 13, "v2"), versioned("d", 0, NULL)};
    assert_ok(dm_keyindex_apply(ix, 5, second, 4, &err), &err);
    assert_int_equal(second[0].old.file, 1);
    assert_int_equal(second[2].old.file, 0);
    expect_entry(ix, "a", 11, longest);
    expect_entry(ix, "b", 0, "v22");
    expect_entry(ix, "c", 13, "v2");
    expect_entry(ix, "d", 0, NULL);
    /* Moved rows keep their versions; tombstones do not move. */
    struct dm_index_change moved[] = {versioned("a", 21, NULL), versioned("b", 22, NULL),
                                      versioned("x", 23, NULL)};
    assert_ok(dm_keyindex_move(ix, 5, moved, 3, &err), &err);
    assert_int_equal(moved[0].old.file, 11);
    assert_int_equal(moved[1].old.file, 0);
    expect_entry(ix, "a", 21, longest);
    expect_entry(ix, "b", 0, "v22");
    expect_entry(ix, "x", 0, NULL);
    struct dm_index_change gone[] = {versioned("b", 0, NULL)}; /* a tombstone is forgotten */
    assert_ok(dm_keyindex_apply(ix, 5, gone, 1, &err), &err);
    expect_entry(ix, "b", 0, NULL);
    uint64_t count = 0;
    assert_ok(dm_keyindex_count(ix, 5, &count, &err), &err);
    assert_int_equal(count, 2);
    longest[DM_INDEX_VERSION_MAX] = 'v';
    longest[DM_INDEX_VERSION_MAX + 1] = 0;
    struct dm_index_change too_long[] = {versioned("z", 1, longest)};
    assert_int_equal(dm_keyindex_apply(ix, 5, too_long, 1, &err), DM_FAIL);
    dm_keyindex_abort(ix);
    dm_keyindex_close(ix);
    drop_folder(folder);
}

static void expect_near(struct dm_keyindex *ix, const char *key, uint32_t prefix, const char *before,
                        const char *same, const char *after)
{
    struct dm_error err = {0};
    struct dm_index_entry found[3];
    const char *const expected[3] = {before, same, after};
    assert_ok(dm_keyindex_near(ix, 5, (const uint8_t *)key, (uint32_t)strlen(key), prefix, &found[0],
                               &found[1], &found[2], &err),
              &err);
    for (int i = 0; i < 3; i++) {
        if (expected[i] == NULL) {
            assert_null(found[i].key);
            continue;
        }
        assert_non_null(found[i].key);
        assert_int_equal(found[i].key_len, strlen(expected[i]));
        assert_memory_equal(found[i].key, expected[i], found[i].key_len);
        assert_int_equal(found[i].place.position, found[i].place.file * 10);
        assert_int_equal(found[i].version_len, 1);
    }
}

static void neighbours(void **state)
{
    (void)state;
    struct dm_error err = {0};
    char *folder = make_folder();
    struct dm_keyindex *ix = open_index(folder, false);
    assert_ok(dm_keyindex_begin(ix, &err), &err);
    expect_near(ix, "k1", 1, NULL, NULL, NULL); /* of nothing */
    struct dm_index_change entries[] = {versioned("a9", 1, "u"), versioned("k3", 2, "u"),
                                        versioned("k5", 3, "d"), versioned("k7", 4, "u"),
                                        versioned("m1", 5, "u")};
    assert_ok(dm_keyindex_apply(ix, 5, entries, 5, &err), &err);
    expect_near(ix, "k1", 1, NULL, NULL, "k3");
    expect_near(ix, "k3", 1, NULL, "k3", "k5");
    expect_near(ix, "k4", 1, "k3", NULL, "k5");
    expect_near(ix, "k5", 1, "k3", "k5", "k7");
    expect_near(ix, "k7", 1, "k5", "k7", NULL);
    expect_near(ix, "k8", 1, "k7", NULL, NULL);
    expect_near(ix, "m0", 1, NULL, NULL, "m1");
    expect_near(ix, "m1", 1, NULL, "m1", NULL);
    expect_near(ix, "m2", 1, "m1", NULL, NULL); /* behind the last one */
    expect_near(ix, "z", 1, NULL, NULL, NULL);
    expect_near(ix, "m2", 0, "m1", NULL, NULL); /* no prefix: all keys */
    dm_keyindex_abort(ix);
    dm_keyindex_close(ix);
    drop_folder(folder);
}

/* Keys behind the last one go in another way; to the caller they are like all others: a window of keys that moves on, half of it behind the last. */
static void keys_behind_the_last(void **state)
{
    (void)state;
    enum { rounds = 100, step = 50, window = 100, keys = (rounds + 1) * step };
    struct dm_error err = {0};
    char *folder = make_folder();
    struct dm_keyindex *ix = open_index(folder, false);
    struct dm_place places[keys] = {0};
    bool tombstones[keys] = {0};
    uint8_t bytes[window][8];
    struct dm_index_change c[window];
    for (uint32_t round = 0; round < rounds; round++) {
        assert_ok(dm_keyindex_begin(ix, &err), &err);
        bool move = random_below(4) == 0;
        for (uint32_t i = 0; i < window; i++) {
            dm_put_be64(bytes[i], round * step + i);
            c[i] = (struct dm_index_change){.key = bytes[i], .key_len = 8};
            if (move || random_below(3) != 0)
                c[i].place = (struct dm_place){.file = round + 1, .position = i};
            if (!move && random_below(2) == 0)
                c[i].version = (const uint8_t *)"version", c[i].version_len = 7;
        }
        assert_ok(dm_keyindex_lookup(ix, 1, c, window, &err), &err);
        for (uint32_t i = 0; i < window; i++) {
            assert_memory_equal(&c[i].old, &places[round * step + i], sizeof *places);
            if (tombstones[round * step + i])
                assert_int_equal(c[i].old_version_len, 7);
        }
        if (move)
            assert_ok(dm_keyindex_move(ix, 1, c, window, &err), &err);
        else
            assert_ok(dm_keyindex_apply(ix, 1, c, window, &err), &err);
        for (uint32_t i = 0; i < window; i++) {
            struct dm_place *known = &places[round * step + i];
            assert_memory_equal(&c[i].old, known, sizeof *known);
            if (move && !dm_place_known(*known))
                continue;
            *known = c[i].place;
            tombstones[round * step + i] = !move && !dm_place_known(c[i].place) && c[i].version_len > 0;
        }
        assert_ok(dm_keyindex_commit(ix, &err), &err);
    }
    dm_keyindex_close(ix);
    drop_folder(folder);
}

int main(void)
{
    random_start();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_changes_equal_the_model),
        cmocka_unit_test(appends),
        cmocka_unit_test(keys_behind_the_last),
        cmocka_unit_test(versions_beside_the_places),
        cmocka_unit_test(neighbours),
        cmocka_unit_test(trust_after_death),
        cmocka_unit_test(a_dirty_copy_is_not_trusted),
        cmocka_unit_test(garbage_is_started_anew),
        cmocka_unit_test(one_opener_at_a_time),
        cmocka_unit_test(misuse_is_refused),
        cmocka_unit_test(the_file_is_small),
        cmocka_unit_test(little_address_space),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
