/* index_fixture.h — a key index in a temporary folder and a world of keys of all lengths, for the tests of the index. */
#ifndef DM_TEST_INDEX_FIXTURE_H
#define DM_TEST_INDEX_FIXTURE_H

#include "../column/random_values.h"
#include "../temp_folder.h"

#include <unistd.h>

#include "apply/key_sort.h"
#include "apply/keyindex.h"
#include "base/bytes.h"
#include "base/file.h"
#include "base/memory.h"

static inline char *make_folder(void)
{
    const char *base = getenv("TMPDIR");
    char *path = dm_xasprintf("%s/dm-index-XXXXXX", base != NULL ? base : "/tmp");
    if (!temp_folder_make(path))
        fail_msg("cannot make %s", path);
    return path;
}

static inline void drop_folder(char *folder)
{
    struct dm_error err = {0};
    assert_ok(dm_file_remove_tree(folder, &err), &err);
    free(folder);
}

static inline struct dm_keyindex *open_index(const char *folder, bool expect_trusted)
{
    struct dm_error err = {0};
    struct dm_keyindex *ix = NULL;
    bool trusted = !expect_trusted;
    assert_ok(dm_keyindex_open(folder, &ix, &trusted, &err), &err);
    assert_int_equal(trusted, expect_trusted);
    return ix;
}

/* Key number i: eight bytes, a text, exactly at the border of 510, or long with a prefix that many share. */
static inline uint32_t make_key(uint32_t i, uint8_t *out)
{
    size_t n;
    switch (i % 5) {
    case 0:
    case 1: dm_put_be64(out, (uint64_t)i * UINT64_C(0x9e3779b97f4a7c15)); return 8;
    case 2: return (uint32_t)snprintf((char *)out, 32, "customer-%u", i);
    case 3:
        n = 490 + i % 40; /* around the border, equal in the first 480 bytes */
        memset(out, 'p', n);
        dm_put_be32(out + 482, i);
        return (uint32_t)n;
    default:
        n = 600 + i % 200; /* differs behind the stored prefix only */
        memset(out, 'q', n);
        dm_put_be32(out + n - 4, i);
        return (uint32_t)n;
    }
}

enum { KEY_ROOM = 800 };

static inline struct dm_index_change *new_changes(size_t n, uint8_t **room)
{
    *room = dm_xalloc(n * KEY_ROOM + 1);
    return dm_xzalloc(n + 1, sizeof(struct dm_index_change));
}

#endif
