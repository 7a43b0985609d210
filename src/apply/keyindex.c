/* Layout in LMDB: one named database per dataset, named by its number in hex (so that clearing one is dropping its pages, bulk
 * appends work for each, and counting is reading its header), and "meta" with `secret` and one tag per dataset. A value is
 * file and position, 32 bits little endian each, and the version's bytes, if the dataset has versions. A key of up to 510 bytes is stored as it is; a longer one as its first
 * 495 bytes and a 16-byte hash: 511 in all, so the two forms cannot meet. */
#include "apply/keyindex.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <xxhash.h>

#include "apply/index_env.h"
#include "apply/key_sort.h"
#include "base/bytes.h"
#include "base/memory.h"

_Static_assert(offsetof(struct dm_index_change, key) == offsetof(struct dm_keyed, key) &&
                   offsetof(struct dm_index_change, key_len) == offsetof(struct dm_keyed, key_len),
               "dm_key_sort sorts index changes");

#define KEY_WHOLE DM_INDEX_KEY_WHOLE
#define KEY_PREFIX 495
#define KEY_HASHED 511
#define SECRET_BYTES 192
#define CHUNK 16384 /* changes for which room is reserved at once */

/* A dataset's database, once it was used. */
struct dataset {
    uint32_t number;
    MDB_dbi dbi;
    bool touched; /* in the open write transaction */
};

struct dm_keyindex {
    struct dm_index_env env;
    uint8_t secret[SECRET_BYTES];
    MDB_dbi meta;
    MDB_txn *txn;
    bool meta_open;
    size_t n_datasets;
    struct dataset *datasets;
    uint64_t base_pages; /* used when the transaction began */
    uint64_t new_pages;  /* at most so many pages were made by it, counted by changes */
    uint64_t lost_pages; /* at most so many of them were given up again */
};

static enum dm_status fail(struct dm_keyindex *ix, int rc, const char *what, struct dm_error *err)
{
    return dm_index_env_fail(&ix->env, rc, what, err);
}

static enum dm_status need_transaction(const struct dm_keyindex *ix, struct dm_error *err)
{
    if (ix->txn == NULL)
        return dm_fail(err, DM_ERROR_FATAL, NULL, "the key index is used outside a write transaction");
    return DM_OK;
}

/* ---- open, close ---- */

/* The secret of this index: made once. */
static enum dm_status load_secret(struct dm_keyindex *ix, struct dm_error *err)
{
    MDB_val key = {.mv_data = "secret", .mv_size = 6}, value;
    int rc = mdb_get(ix->txn, ix->meta, &key, &value);
    if (rc == 0 && value.mv_size == SECRET_BYTES) {
        memcpy(ix->secret, value.mv_data, SECRET_BYTES);
        return DM_OK;
    }
    if (rc != MDB_NOTFOUND)
        return fail(ix, rc == 0 ? MDB_CORRUPTED : rc, "cannot read its secret", err);
    if (getrandom(ix->secret, SECRET_BYTES, 0) != SECRET_BYTES)
        return dm_fail_errno(err, "cannot get random bytes for the key index");
    value = (MDB_val){.mv_data = ix->secret, .mv_size = SECRET_BYTES};
    rc = mdb_put(ix->txn, ix->meta, &key, &value, 0);
    return rc == 0 ? DM_OK : fail(ix, rc, "cannot store its secret", err);
}

enum dm_status dm_keyindex_open(const char *folder, struct dm_keyindex **out, bool *trusted,
                                struct dm_error *err)
{
    struct dm_keyindex *ix = dm_xzalloc(1, sizeof *ix);
    if (dm_index_env_open(&ix->env, folder, trusted, err) != DM_OK) {
        free(ix);
        return DM_FAIL;
    }
    enum dm_status status = dm_keyindex_begin(ix, err);
    if (status == DM_OK)
        status = load_secret(ix, err);
    if (status == DM_OK)
        status = dm_keyindex_commit(ix, err);
    if (status != DM_OK) {
        dm_keyindex_close(ix);
        return DM_FAIL;
    }
    *out = ix;
    return DM_OK;
}

void dm_keyindex_close(struct dm_keyindex *ix)
{
    if (ix == NULL)
        return;
    dm_keyindex_abort(ix);
    dm_index_env_close(&ix->env, true);
    free(ix->datasets);
    free(ix);
}

/* ---- transactions ---- */

static enum dm_status not_there(const struct dm_keyindex *ix, struct dm_error *err)
{
    return dm_fail(err, DM_ERROR_FATAL, "start the mirror again: the index is rebuilt if need be",
                   "the key index %s could not be opened again after it was rewritten", ix->env.folder);
}

enum dm_status dm_keyindex_begin(struct dm_keyindex *ix, struct dm_error *err)
{
    if (ix->txn != NULL)
        return dm_fail(err, DM_ERROR_FATAL, NULL, "the key index has a write transaction open already");
    if (ix->env.env == NULL)
        return not_there(ix, err);
    if (dm_index_env_mark_dirty(&ix->env, err) != DM_OK || dm_index_env_widen(&ix->env, err) != DM_OK)
        return DM_FAIL;
    ix->base_pages = dm_index_env_used_pages(&ix->env);
    ix->new_pages = ix->lost_pages = 0;
    if (dm_index_env_reserve(&ix->env, ix->base_pages + 64 + ix->base_pages / 128, err) != DM_OK)
        return DM_FAIL;
    int rc = mdb_txn_begin(ix->env.env, NULL, 0, &ix->txn);
    if (rc != 0) {
        ix->txn = NULL;
        return fail(ix, rc, "cannot begin a transaction", err);
    }
    if (!ix->meta_open) {
        rc = mdb_dbi_open(ix->txn, "meta", MDB_CREATE, &ix->meta);
        if (rc != 0) {
            dm_keyindex_abort(ix);
            return fail(ix, rc, "cannot open its head", err);
        }
        ix->meta_open = true;
    }
    return DM_OK;
}

enum dm_status dm_keyindex_commit(struct dm_keyindex *ix, struct dm_error *err)
{
    if (need_transaction(ix, err) != DM_OK)
        return DM_FAIL;
    MDB_txn *txn = ix->txn;
    ix->txn = NULL; /* LMDB frees it whatever happens */
    int rc = mdb_txn_commit(txn);
    for (size_t i = 0; i < ix->n_datasets; i++)
        ix->datasets[i].touched = false;
    if (rc == 0)
        return DM_OK;
    ix->n_datasets = 0; /* handles made by the transaction are gone with it */
    ix->meta_open = false;
    return fail(ix, rc, "cannot commit", err);
}

void dm_keyindex_abort(struct dm_keyindex *ix)
{
    if (ix->txn == NULL)
        return;
    mdb_txn_abort(ix->txn);
    ix->txn = NULL;
    ix->n_datasets = 0; /* handles made by the transaction are gone with it; opening others again is cheap */
    ix->meta_open = false;
}

enum dm_status dm_keyindex_rewrite(struct dm_keyindex *ix, struct dm_error *err)
{
    if (ix->txn != NULL)
        return dm_fail(err, DM_ERROR_FATAL, NULL, "the key index is rewritten inside a write transaction");
    if (ix->env.env == NULL)
        return not_there(ix, err);
    ix->n_datasets = 0; /* handles go with the file */
    ix->meta_open = false;
    return dm_index_env_rewrite(&ix->env, err);
}

/* ---- datasets ---- */

static enum dm_status find_dataset(struct dm_keyindex *ix, uint32_t number, struct dataset **out,
                                   struct dm_error *err)
{
    if (need_transaction(ix, err) != DM_OK)
        return DM_FAIL;
    for (size_t i = 0; i < ix->n_datasets; i++)
        if (ix->datasets[i].number == number) {
            *out = &ix->datasets[i];
            return DM_OK;
        }
    char name[16];
    (void)snprintf(name, sizeof name, "%08" PRIx32, number);
    MDB_dbi dbi;
    int rc = mdb_dbi_open(ix->txn, name, MDB_CREATE, &dbi);
    if (rc != 0)
        return fail(ix, rc, "cannot open a dataset's keys", err);
    ix->datasets = dm_xrealloc(ix->datasets, ix->n_datasets + 1, sizeof *ix->datasets);
    *out = &ix->datasets[ix->n_datasets++];
    **out = (struct dataset){.number = number, .dbi = dbi};
    return DM_OK;
}

static uint64_t pages_of(const struct dm_keyindex *ix, MDB_dbi dbi, uint64_t *depth)
{
    MDB_stat st;
    *depth = 0;
    if (mdb_stat(ix->txn, dbi, &st) != 0)
        return 0;
    *depth = st.ms_depth;
    return st.ms_branch_pages + st.ms_leaf_pages + st.ms_overflow_pages;
}

/* Room for one chunk of changes, before it is applied. A transaction has made no more pages than its changes can have touched (each
 * may copy a leaf and split one), and no more than the trees it touched have now, plus those that it made and gave up. */
static enum dm_status reserve_chunk(struct dm_keyindex *ix, struct dataset *d,
                                    const struct dm_index_change *changes, size_t n, struct dm_error *err)
{
    d->touched = true;
    uint64_t depth, pages = pages_of(ix, d->dbi, &depth);
    uint64_t trees = 0;
    for (size_t i = 0; i < ix->n_datasets; i++) {
        uint64_t other;
        if (ix->datasets[i].touched)
            trees += pages_of(ix, ix->datasets[i].dbi, &other);
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
static void count_lost(struct dm_keyindex *ix, const struct dataset *d, uint64_t before)
{
    uint64_t depth, after = pages_of(ix, d->dbi, &depth);
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
    XXH128_canonicalFromHash(&hash, XXH3_128bits_withSecret(c->key, c->key_len, ix->secret, SECRET_BYTES));
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
        return fail(ix, MDB_CORRUPTED, "a value has a wrong size", err);
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
        return fail(ix, rc != 0 ? rc : MDB_CORRUPTED, "cannot find the last key", err);
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
    return rc == 0 ? DM_OK : fail(ix, rc, "cannot store a key", err);
}

static enum dm_status get_one(struct dm_keyindex *ix, MDB_cursor *cursor, MDB_val *key,
                              struct dm_index_change *c, struct dm_error *err)
{
    MDB_val value;
    int rc = mdb_cursor_get(cursor, key, &value, MDB_SET);
    if (rc == MDB_NOTFOUND)
        return DM_OK;
    if (rc != 0)
        return fail(ix, rc, "cannot look up a key", err);
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
    return rc == 0 ? DM_OK : fail(ix, rc, "cannot delete a key", err);
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
    return rc == 0 ? DM_OK : fail(ix, rc, "cannot move a key", err);
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
        return fail(ix, rc, "cannot append a key", err);
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

static enum dm_status open_cursor(struct dm_keyindex *ix, const struct dataset *d, MDB_cursor **cursor,
                                  struct dm_error *err)
{
    int rc = mdb_cursor_open(ix->txn, d->dbi, cursor);
    return rc == 0 ? DM_OK : fail(ix, rc, "cannot open a cursor", err);
}

static enum dm_status write_changes(struct dm_keyindex *ix, uint32_t dataset, struct dm_index_change *changes,
                                    size_t n, change_fn one, struct dm_error *err)
{
    struct dataset *d;
    MDB_cursor *cursor;
    if (find_dataset(ix, dataset, &d, err) != DM_OK || open_cursor(ix, d, &cursor, err) != DM_OK)
        return DM_FAIL;
    enum dm_status status = DM_OK;
    for (size_t at = 0; at < n && status == DM_OK; at += CHUNK) {
        size_t size = n - at < CHUNK ? n - at : CHUNK;
        uint64_t depth, before = pages_of(ix, d->dbi, &depth);
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
    struct dataset *d;
    MDB_cursor *cursor;
    if (find_dataset(ix, dataset, &d, err) != DM_OK || open_cursor(ix, d, &cursor, err) != DM_OK)
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
    struct dataset *d;
    MDB_cursor *cursor;
    if (find_dataset(ix, dataset, &d, err) != DM_OK || open_cursor(ix, d, &cursor, err) != DM_OK)
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
            status = fail(ix, rc, "cannot append a key", err);
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
        return fail(ix, rc, "cannot look for a neighbour", err);
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
    struct dataset *d;
    MDB_cursor *cursor;
    *before = *same = *after = (struct dm_index_entry){0};
    if (key_len == 0 || key_len > KEY_WHOLE || prefix_len > key_len)
        return dm_fail(err, DM_ERROR_FATAL, NULL, "a key of %u bytes has no neighbours in the index",
                       key_len);
    if (find_dataset(ix, dataset, &d, err) != DM_OK || open_cursor(ix, d, &cursor, err) != DM_OK)
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

enum dm_status dm_keyindex_clear(struct dm_keyindex *ix, uint32_t dataset, struct dm_error *err)
{
    struct dataset *d = NULL;
    if (find_dataset(ix, dataset, &d, err) != DM_OK)
        return DM_FAIL;
    uint64_t depth;
    ix->lost_pages += pages_of(ix, d->dbi, &depth);
    int rc = mdb_drop(ix->txn, d->dbi, 0);
    return rc == 0 ? DM_OK : fail(ix, rc, "cannot clear a dataset", err);
}

enum dm_status dm_keyindex_count(struct dm_keyindex *ix, uint32_t dataset, uint64_t *keys,
                                 struct dm_error *err)
{
    struct dataset *d = NULL;
    if (find_dataset(ix, dataset, &d, err) != DM_OK)
        return DM_FAIL;
    MDB_stat st;
    int rc = mdb_stat(ix->txn, d->dbi, &st);
    if (rc != 0)
        return fail(ix, rc, "cannot count a dataset's keys", err);
    *keys = st.ms_entries;
    return DM_OK;
}

/* ---- tags ---- */

static MDB_val tag_key(uint8_t room[8], uint32_t dataset)
{
    memcpy(room, "tag:", 4);
    dm_put_be32(room + 4, dataset);
    return (MDB_val){.mv_size = 8, .mv_data = room};
}

enum dm_status dm_keyindex_tag_get(struct dm_keyindex *ix, uint32_t dataset, int64_t *snapshot,
                                   struct dm_error *err)
{
    if (need_transaction(ix, err) != DM_OK)
        return DM_FAIL;
    uint8_t room[8];
    MDB_val key = tag_key(room, dataset), value;
    *snapshot = 0;
    int rc = mdb_get(ix->txn, ix->meta, &key, &value);
    if (rc == MDB_NOTFOUND)
        return DM_OK;
    if (rc != 0 || value.mv_size != 8)
        return fail(ix, rc == 0 ? MDB_CORRUPTED : rc, "cannot read a tag", err);
    *snapshot = (int64_t)dm_get_le64(value.mv_data);
    return DM_OK;
}

enum dm_status dm_keyindex_tag_set(struct dm_keyindex *ix, uint32_t dataset, int64_t snapshot,
                                   struct dm_error *err)
{
    if (need_transaction(ix, err) != DM_OK)
        return DM_FAIL;
    uint8_t room[8], bytes[8];
    dm_put_le64(bytes, (uint64_t)snapshot);
    MDB_val key = tag_key(room, dataset), value = {.mv_size = sizeof bytes, .mv_data = bytes};
    int rc = mdb_put(ix->txn, ix->meta, &key, &value, 0);
    return rc == 0 ? DM_OK : fail(ix, rc, "cannot store a tag", err);
}

void dm_index_changes_sort(struct dm_index_change *changes, size_t n)
{
    dm_key_sort(changes, n, sizeof *changes);
}
