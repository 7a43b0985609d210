/* Layout in LMDB: one named database per dataset, named by its number in hex (so that clearing one is dropping its pages, bulk
 * appends work for each, and counting is reading its header), and "meta" with `secret` and one tag per dataset. A value is
 * file and position, 32 bits little endian each, and the version's bytes, if the dataset has versions. A key of up to 510 bytes is stored as it is; a longer one as its first
 * 495 bytes and a 16-byte hash: 511 in all, so the two forms cannot meet. */
#include "apply/keyindex.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "apply/index_inside.h"
#include "apply/key_sort.h"
#include "base/bytes.h"
#include "base/file.h"
#include "base/log.h"
#include "base/memory.h"

_Static_assert(offsetof(struct dm_index_change, key) == offsetof(struct dm_keyed, key) &&
                   offsetof(struct dm_index_change, key_len) == offsetof(struct dm_keyed, key_len),
               "dm_key_sort sorts index changes");

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
    if (rc == 0 && value.mv_size == DM_INDEX_SECRET_BYTES) {
        memcpy(ix->secret, value.mv_data, DM_INDEX_SECRET_BYTES);
        return DM_OK;
    }
    if (rc != MDB_NOTFOUND)
        return dm_index_fail(ix, rc == 0 ? MDB_CORRUPTED : rc, "cannot read its secret", err);
    if (getrandom(ix->secret, DM_INDEX_SECRET_BYTES, 0) != DM_INDEX_SECRET_BYTES)
        return dm_fail_errno(err, "cannot get random bytes for the key index");
    value = (MDB_val){.mv_data = ix->secret, .mv_size = DM_INDEX_SECRET_BYTES};
    rc = mdb_put(ix->txn, ix->meta, &key, &value, 0);
    return rc == 0 ? DM_OK : dm_index_fail(ix, rc, "cannot store its secret", err);
}

static enum dm_status open_once(const char *folder, struct dm_keyindex **out, bool *trusted,
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

enum dm_status dm_keyindex_open(const char *folder, struct dm_keyindex **out, bool *trusted,
                                struct dm_error *err)
{
    *trusted = false;
    enum dm_status status = open_once(folder, out, trusted, err);
    if (status == DM_OK || !*trusted)
        return status;
    char *state = dm_xasprintf("%s/state", folder);
    bool damaged = !dm_file_exists(state); /* found in its first pages: it is made anew now */
    free(state);
    if (!damaged)
        return status;
    dm_log_error(DM_LOG_WARN, "damaged, it is rebuilt from the lake", err);
    return open_once(folder, out, trusted, err);
}

bool dm_keyindex_damaged(const char *folder)
{
    struct dm_index_env e = {.folder = dm_xstrdup(folder)};
    bool damaged = dm_index_env_trust(&e) == DM_INDEX_DAMAGED;
    free(e.folder);
    return damaged;
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
        return dm_index_fail(ix, rc, "cannot begin a transaction", err);
    }
    if (!ix->meta_open) {
        rc = mdb_dbi_open(ix->txn, "meta", MDB_CREATE, &ix->meta);
        if (rc != 0) {
            dm_keyindex_abort(ix);
            return dm_index_fail(ix, rc, "cannot open its head", err);
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
    return dm_index_fail(ix, rc, "cannot commit", err);
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

enum dm_status dm_index_find_dataset(struct dm_keyindex *ix, uint32_t number, struct dm_index_dataset **out,
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
        return dm_index_fail(ix, rc, "cannot open a dataset's keys", err);
    ix->datasets = dm_xrealloc(ix->datasets, ix->n_datasets + 1, sizeof *ix->datasets);
    *out = &ix->datasets[ix->n_datasets++];
    **out = (struct dm_index_dataset){.number = number, .dbi = dbi};
    return DM_OK;
}

uint64_t dm_index_pages(const struct dm_keyindex *ix, MDB_dbi dbi, uint64_t *depth)
{
    MDB_stat st;
    *depth = 0;
    if (mdb_stat(ix->txn, dbi, &st) != 0)
        return 0;
    *depth = st.ms_depth;
    return st.ms_branch_pages + st.ms_leaf_pages + st.ms_overflow_pages;
}

enum dm_status dm_keyindex_clear(struct dm_keyindex *ix, uint32_t dataset, struct dm_error *err)
{
    struct dm_index_dataset *d = NULL;
    if (dm_index_find_dataset(ix, dataset, &d, err) != DM_OK)
        return DM_FAIL;
    uint64_t depth;
    ix->lost_pages += dm_index_pages(ix, d->dbi, &depth);
    int rc = mdb_drop(ix->txn, d->dbi, 0);
    return rc == 0 ? DM_OK : dm_index_fail(ix, rc, "cannot clear a dataset", err);
}

enum dm_status dm_keyindex_count(struct dm_keyindex *ix, uint32_t dataset, uint64_t *keys,
                                 struct dm_error *err)
{
    struct dm_index_dataset *d = NULL;
    if (dm_index_find_dataset(ix, dataset, &d, err) != DM_OK)
        return DM_FAIL;
    MDB_stat st;
    int rc = mdb_stat(ix->txn, d->dbi, &st);
    if (rc != 0)
        return dm_index_fail(ix, rc, "cannot count a dataset's keys", err);
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
        return dm_index_fail(ix, rc == 0 ? MDB_CORRUPTED : rc, "cannot read a tag", err);
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
    return rc == 0 ? DM_OK : dm_index_fail(ix, rc, "cannot store a tag", err);
}

struct dm_index_change *dm_index_changes_of(const struct dm_key_list *keys)
{
    struct dm_index_change *c = dm_xzalloc(keys->n + 1, sizeof *c);
    for (size_t i = 0; i < keys->n; i++) {
        c[i].key = keys->bytes.data + keys->offsets[i];
        c[i].key_len = (uint32_t)(keys->offsets[i + 1] - keys->offsets[i]);
        c[i].row = (uint32_t)i;
    }
    return c;
}

void dm_index_changes_sort(struct dm_index_change *changes, size_t n)
{
    dm_key_sort(changes, n, sizeof *changes);
}
