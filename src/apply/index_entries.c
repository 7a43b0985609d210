/* Walks in key order over the entries of one dataset: looking up, changing, appending, and the neighbours of one key. See keyindex.c for the layout. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "apply/index_inside.h"
#include "apply/key_sort.h"
#include "base/bytes.h"

#define KEY_WHOLE DM_INDEX_KEY_WHOLE
#define KEY_PREFIX 495
#define KEY_HASHED 511
#define CHUNK 16384 /* changes for which room is reserved at once */

/* ---- room ---- */

/* Room for one chunk of changes, before it is applied. A transaction has made no more pages than its changes can have touched (each
 * may copy a leaf and split one), and no more than the trees it touched have now, plus those that it made and gave up. */
static enum dm_status reserve_chunk(struct dm_keyindex *ix, struct dm_index_dataset *d,
                                    const struct dm_index_change *changes, size_t n, struct dm_error *err)
{
    d->touched = true;
    uint64_t depth, pages = dm_index_pages(ix, d->dbi, &depth);
    uint64_t trees = 0;
    for (size_t i = 0; i < ix->n_datasets; i++) {
        uint64_t other;
        if (ix->datasets[i].touched)
            trees += dm_index_pages(ix, ix->datasets[i].dbi, &other);
    }
    uint64_t bytes = 0;
    for (size_t i = 0; i < n; i++)
        bytes +=
            32 + changes[i].version_len + (changes[i].key_len < KEY_HASHED ? changes[i].key_len : KEY_HASHED);
    uint64_t leaves = n < pages ? n : pages;
    uint64_t chunk = leaves * 2 + leaves / 8 + bytes / 1024 + depth * 2 + 8;
    uint64_t made = trees + ix->lost_pages < ix->new_pages ? trees + ix->lost_pages : ix->new_pages;
    ix->new_pages += chunk;
    uint64_t total = ix->base_pages + made + chunk;
    return dm_index_env_reserve(&ix->env, total + total / 128 + 64, err); /* 1/128: the list of free pages */
}

/* After a chunk: a tree that shrank gave up pages. */
static void count_lost(struct dm_keyindex *ix, const struct dm_index_dataset *d, uint64_t before)
{
    uint64_t depth, after = dm_index_pages(ix, d->dbi, &depth);
    if (after < before)
        ix->lost_pages += before - after;
}

/* ---- keys and values ---- */

/* The stored form; `room` (KEY_HASHED bytes) holds it when the key is long. */
static MDB_val stored_key(const struct dm_keyindex *ix, const struct dm_index_change *c, uint8_t *room)
{
    if (c->key_len <= KEY_WHOLE) {
        union {
            const uint8_t *in;
            void *out;
        } borrow = {.in = c->key}; /* LMDB only reads it */
        return (MDB_val){.mv_size = c->key_len, .mv_data = borrow.out};
    }
    memcpy(room, c->key, KEY_PREFIX);
    XXH128_canonical_t hash;
    XXH128_canonicalFromHash(&hash,
                             XXH3_128bits_withSecret(c->key, c->key_len, ix->secret, DM_INDEX_SECRET_BYTES));
    memcpy(room + KEY_PREFIX, hash.digest, sizeof hash.digest);
    return (MDB_val){.mv_size = KEY_HASHED, .mv_data = room};
}

#define VALUE_ROOM (8 + DM_INDEX_VERSION_MAX)

static MDB_val stored_value(const struct dm_index_change *c, uint8_t *room)
{
    dm_put_le32(room, c->place.file);
    dm_put_le32(room + 4, c->place.position);
    if (c->version_len > 0)
        memcpy(room + 8, c->version, c->version_len);
    return (MDB_val){.mv_size = 8 + c->version_len, .mv_data = room};
}

/* What was there before. The version stays in LMDB's page. */
static enum dm_status take_old(struct dm_keyindex *ix, const MDB_val *value, struct dm_index_change *c,
                               struct dm_error *err)
{
    if (value->mv_size < 8 || value->mv_size > VALUE_ROOM)
        return dm_index_fail(ix, MDB_CORRUPTED, "a value has a wrong size", err);
    const uint8_t *bytes = value->mv_data;
    c->old = (struct dm_place){.file = dm_get_le32(bytes), .position = dm_get_le32(bytes + 4)};
    c->old_version_len = (uint32_t)(value->mv_size - 8);
    c->old_version = c->old_version_len > 0 ? bytes + 8 : NULL;
    return DM_OK;
}

static enum dm_status check_key(const struct dm_index_change *c, struct dm_error *err)
{
    if (c->key_len == 0)
        return dm_fail(err, DM_ERROR_FATAL, NULL, "an empty key cannot be indexed");
    if (c->version_len > DM_INDEX_VERSION_MAX)
        return dm_fail(err, DM_ERROR_FATAL, NULL, "a version of %u bytes cannot be indexed", c->version_len);
    return DM_OK;
}

/* ---- the last key ---- */

/* The greatest stored key of the dataset on a walk in key order: what is behind it is not there, and goes in without a descent. */
struct last_key {
    size_t len; /* 0: there is none */
    uint8_t bytes[KEY_HASHED];
};

static void remember_last(struct last_key *last, const MDB_val *key)
{
    last->len = key->mv_size;
    memcpy(last->bytes, key->mv_data, key->mv_size);
}

static enum dm_status find_last(struct dm_keyindex *ix, MDB_cursor *cursor, struct last_key *last,
                                struct dm_error *err)
{
    MDB_val key, value;
    int rc = mdb_cursor_get(cursor, &key, &value, MDB_LAST);
    last->len = 0;
    if (rc == MDB_NOTFOUND)
        return DM_OK;
    if (rc != 0 || key.mv_size > KEY_HASHED)
        return dm_index_fail(ix, rc != 0 ? rc : MDB_CORRUPTED, "cannot find the last key", err);
    remember_last(last, &key);
    return DM_OK;
}

static bool is_behind(const struct last_key *last, const MDB_val *key)
{
    return dm_key_compare(key->mv_data, key->mv_size, last->bytes, last->len) > 0;
}

/* ---- apply, lookup, append ---- */

/* An insert is one descent; an update finds its place by it and overwrites the value there. */
static enum dm_status put_one(struct dm_keyindex *ix, MDB_cursor *cursor, MDB_val *key,
                              struct dm_index_change *c, struct dm_error *err)
{
    uint8_t room[VALUE_ROOM];
    const MDB_val mine = stored_value(c, room);
    MDB_val value = mine;
    int rc = mdb_cursor_put(cursor, key, &value, MDB_NOOVERWRITE);
    if (rc == MDB_KEYEXIST) {
        if (take_old(ix, &value, c, err) != DM_OK)
            return DM_FAIL;
        c->old_version = NULL; /* about to be overwritten */
        value = mine;
        rc = mdb_cursor_put(cursor, key, &value, MDB_CURRENT);
    }
    return rc == 0 ? DM_OK : dm_index_fail(ix, rc, "cannot store a key", err);
}

static enum dm_status get_one(struct dm_keyindex *ix, MDB_cursor *cursor, MDB_val *key,
                              struct dm_index_change *c, struct dm_error *err)
{
    MDB_val value;
    int rc = mdb_cursor_get(cursor, key, &value, MDB_SET);
    if (rc == MDB_NOTFOUND)
        return DM_OK;
    if (rc != 0)
        return dm_index_fail(ix, rc, "cannot look up a key", err);
    return take_old(ix, &value, c, err);
}

static enum dm_status delete_one(struct dm_keyindex *ix, MDB_cursor *cursor, MDB_val *key,
                                 struct dm_index_change *c, struct dm_error *err)
{
    if (get_one(ix, cursor, key, c, err) != DM_OK)
        return DM_FAIL;
    c->old_version = NULL;
    if (!dm_place_known(c->old) && c->old_version_len == 0)
        return DM_OK;
    int rc = mdb_cursor_del(cursor, 0);
    return rc == 0 ? DM_OK : dm_index_fail(ix, rc, "cannot delete a key", err);
}

static enum dm_status move_one(struct dm_keyindex *ix, MDB_cursor *cursor, MDB_val *key,
                               struct dm_index_change *c, struct dm_error *err)
{
    if (get_one(ix, cursor, key, c, err) != DM_OK)
        return DM_FAIL;
    if (!dm_place_known(c->old))
        return DM_OK;
    uint8_t room[VALUE_ROOM];
    struct dm_index_change moved = {
        .place = c->place, .version = c->old_version, .version_len = c->old_version_len};
    MDB_val value = stored_value(&moved, room);
    c->old_version = NULL;
    int rc = mdb_cursor_put(cursor, key, &value, MDB_CURRENT);
    return rc == 0 ? DM_OK : dm_index_fail(ix, rc, "cannot move a key", err);
}

static bool is_put(const struct dm_index_change *c)
{
    return dm_place_known(c->place) || c->version_len != 0;
}

static enum dm_status change_one(struct dm_keyindex *ix, MDB_cursor *cursor, MDB_val *key,
                                 struct dm_index_change *c, struct dm_error *err)
{
    return is_put(c) ? put_one(ix, cursor, key, c, err) : delete_one(ix, cursor, key, c, err);
}

/* A key behind the last one: only a put has something to do. */
static enum dm_status put_behind(struct dm_keyindex *ix, MDB_cursor *cursor, MDB_val *key,
                                 const struct dm_index_change *c, struct last_key *last, struct dm_error *err)
{
    uint8_t room[VALUE_ROOM];
    MDB_val value = stored_value(c, room);
    int rc = mdb_cursor_put(cursor, key, &value, MDB_APPEND);
    if (rc != 0)
        return dm_index_fail(ix, rc, "cannot append a key", err);
    remember_last(last, key);
    return DM_OK;
}

typedef enum dm_status (*change_fn)(struct dm_keyindex *ix, MDB_cursor *cursor, MDB_val *key,
                                    struct dm_index_change *c, struct dm_error *err);

static enum dm_status walk(struct dm_keyindex *ix, MDB_cursor *cursor, struct dm_index_change *changes,
                           size_t n, change_fn one, struct dm_error *err)
{
    uint8_t room[KEY_HASHED];
    struct last_key last;
    if (find_last(ix, cursor, &last, err) != DM_OK)
        return DM_FAIL;
    for (size_t i = 0; i < n; i++) {
        struct dm_index_change *c = &changes[i];
        c->old = (struct dm_place){0};
        c->old_version = NULL;
        c->old_version_len = 0;
        if (check_key(c, err) != DM_OK)
            return DM_FAIL;
        MDB_val key = stored_key(ix, c, room);
        enum dm_status status = DM_OK;
        if (!is_behind(&last, &key))
            status = one(ix, cursor, &key, c, err);
        else if (one == change_one && is_put(c))
            status = put_behind(ix, cursor, &key, c, &last, err);
        if (status != DM_OK)
            return DM_FAIL;
    }
    return DM_OK;
}

static enum dm_status open_cursor(struct dm_keyindex *ix, const struct dm_index_dataset *d,
                                  MDB_cursor **cursor, struct dm_error *err)
{
    int rc = mdb_cursor_open(ix->txn, d->dbi, cursor);
    return rc == 0 ? DM_OK : dm_index_fail(ix, rc, "cannot open a cursor", err);
}

static enum dm_status write_changes(struct dm_keyindex *ix, uint32_t dataset, struct dm_index_change *changes,
                                    size_t n, change_fn one, struct dm_error *err)
{
    struct dm_index_dataset *d;
    MDB_cursor *cursor;
    if (dm_index_find_dataset(ix, dataset, &d, err) != DM_OK || open_cursor(ix, d, &cursor, err) != DM_OK)
        return DM_FAIL;
    enum dm_status status = DM_OK;
    for (size_t at = 0; at < n && status == DM_OK; at += CHUNK) {
        size_t size = n - at < CHUNK ? n - at : CHUNK;
        uint64_t depth, before = dm_index_pages(ix, d->dbi, &depth);
        status = reserve_chunk(ix, d, changes + at, size, err);
        if (status == DM_OK)
            status = walk(ix, cursor, changes + at, size, one, err);
        count_lost(ix, d, before);
    }
    mdb_cursor_close(cursor);
    return status;
}

enum dm_status dm_keyindex_apply(struct dm_keyindex *ix, uint32_t dataset, struct dm_index_change *changes,
                                 size_t n, struct dm_error *err)
{
    return write_changes(ix, dataset, changes, n, change_one, err);
}

enum dm_status dm_keyindex_move(struct dm_keyindex *ix, uint32_t dataset, struct dm_index_change *changes,
                                size_t n, struct dm_error *err)
{
    return write_changes(ix, dataset, changes, n, move_one, err);
}

enum dm_status dm_keyindex_lookup(struct dm_keyindex *ix, uint32_t dataset, struct dm_index_change *changes,
                                  size_t n, struct dm_error *err)
{
    struct dm_index_dataset *d;
    MDB_cursor *cursor;
    if (dm_index_find_dataset(ix, dataset, &d, err) != DM_OK || open_cursor(ix, d, &cursor, err) != DM_OK)
        return DM_FAIL;
    enum dm_status status = walk(ix, cursor, changes, n, get_one, err);
    mdb_cursor_close(cursor);
    return status;
}

/* LMDB compares stored forms. Two that share the whole prefix, one of them hashed, may stand in another order than their keys:
 * then the key goes in by an ordinary descent. */
static int append_one(MDB_cursor *cursor, MDB_val *key, MDB_val *value)
{
    const MDB_val mine = *value;
    int rc = mdb_cursor_put(cursor, key, value, MDB_APPEND);
    if (rc != MDB_KEYEXIST)
        return rc;
    MDB_val last, ignored;
    rc = mdb_cursor_get(cursor, &last, &ignored, MDB_LAST);
    if (rc != 0)
        return rc;
    bool hashed = key->mv_size == KEY_HASHED || last.mv_size == KEY_HASHED;
    if (!hashed || key->mv_size < KEY_PREFIX || last.mv_size < KEY_PREFIX ||
        memcmp(key->mv_data, last.mv_data, KEY_PREFIX) != 0)
        return MDB_KEYEXIST;
    *value = mine;
    return mdb_cursor_put(cursor, key, value, MDB_NOOVERWRITE);
}

enum dm_status dm_keyindex_append(struct dm_keyindex *ix, uint32_t dataset,
                                  const struct dm_index_change *changes, size_t n, size_t *bad,
                                  struct dm_error *err)
{
    struct dm_index_dataset *d;
    MDB_cursor *cursor;
    if (dm_index_find_dataset(ix, dataset, &d, err) != DM_OK || open_cursor(ix, d, &cursor, err) != DM_OK)
        return DM_FAIL;
    enum dm_status status = DM_OK;
    uint8_t room[KEY_HASHED], value_room[VALUE_ROOM];
    for (size_t i = 0; i < n && status == DM_OK; i++) {
        if (i % CHUNK == 0) {
            status = reserve_chunk(ix, d, changes + i, n - i < CHUNK ? n - i : CHUNK, err);
            if (status != DM_OK)
                break;
        }
        const struct dm_index_change *c = &changes[i];
        status = check_key(c, err);
        if (status != DM_OK)
            break;
        MDB_val key = stored_key(ix, c, room);
        MDB_val value = stored_value(c, value_room);
        bool behind =
            i > 0 && dm_key_compare(changes[i - 1].key, changes[i - 1].key_len, c->key, c->key_len) >= 0;
        int rc = behind ? MDB_KEYEXIST : append_one(cursor, &key, &value);
        if (rc == MDB_KEYEXIST) {
            *bad = i;
            status = DM_END;
        } else if (rc != 0) {
            status = dm_index_fail(ix, rc, "cannot append a key", err);
        }
    }
    mdb_cursor_close(cursor);
    return status;
}

/* ---- neighbours ---- */

/* Moves the cursor and takes the entry there when it shares the prefix. */
static enum dm_status take_entry(struct dm_keyindex *ix, MDB_cursor *cursor, MDB_val *key, MDB_cursor_op op,
                                 const uint8_t *prefix, uint32_t prefix_len, struct dm_index_entry *out,
                                 bool *none, struct dm_error *err)
{
    MDB_val value;
    int rc = mdb_cursor_get(cursor, key, &value, op);
    if (none != NULL)
        *none = rc == MDB_NOTFOUND;
    if (rc == MDB_NOTFOUND)
        return DM_OK;
    if (rc != 0)
        return dm_index_fail(ix, rc, "cannot look for a neighbour", err);
    if (key->mv_size < prefix_len || memcmp(key->mv_data, prefix, prefix_len) != 0)
        return DM_OK;
    struct dm_index_change c = {0};
    if (take_old(ix, &value, &c, err) != DM_OK)
        return DM_FAIL;
    *out = (struct dm_index_entry){.key = key->mv_data,
                                   .key_len = (uint32_t)key->mv_size,
                                   .version = c.old_version,
                                   .version_len = c.old_version_len,
                                   .place = c.old};
    return DM_OK;
}

enum dm_status dm_keyindex_near(struct dm_keyindex *ix, uint32_t dataset, const uint8_t *key,
                                uint32_t key_len, uint32_t prefix_len, struct dm_index_entry *before,
                                struct dm_index_entry *same, struct dm_index_entry *after,
                                struct dm_error *err)
{
    struct dm_index_dataset *d;
    MDB_cursor *cursor;
    *before = *same = *after = (struct dm_index_entry){0};
    if (key_len == 0 || key_len > KEY_WHOLE || prefix_len > key_len)
        return dm_fail(err, DM_ERROR_FATAL, NULL, "a key of %u bytes has no neighbours in the index",
                       key_len);
    if (dm_index_find_dataset(ix, dataset, &d, err) != DM_OK || open_cursor(ix, d, &cursor, err) != DM_OK)
        return DM_FAIL;
    const struct dm_index_change wanted = {.key = key, .key_len = key_len};
    uint8_t room[KEY_HASHED];
    MDB_val at = stored_key(ix, &wanted, room);
    struct dm_index_entry first = {0};
    bool at_end = false;
    enum dm_status status = take_entry(ix, cursor, &at, MDB_SET_RANGE, key, prefix_len, &first, &at_end, err);
    if (first.key != NULL && dm_key_compare(first.key, first.key_len, key, key_len) == 0) {
        *same = first;
        if (status == DM_OK)
            status = take_entry(ix, cursor, &at, MDB_NEXT, key, prefix_len, after, NULL, err);
        at = stored_key(ix, &wanted, room);
        if (status == DM_OK)
            status = take_entry(ix, cursor, &at, MDB_SET, key, prefix_len, same, NULL, err);
    } else {
        *after = first;
    }
    if (status == DM_OK) /* the cursor stands at the first key that is not below, if there is one */
        status =
            take_entry(ix, cursor, &at, at_end ? MDB_LAST : MDB_PREV, key, prefix_len, before, NULL, err);
    mdb_cursor_close(cursor);
    return status;
}
