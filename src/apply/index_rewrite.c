/* The index written anew, entry by entry, into a fresh file that takes the old one's place.
 *
 * LMDB's pages keep what was deleted: in pages on the free list, and in the gaps of pages in use. LMDB's own compacting copy takes pages over as they
 * are. So that no byte of an erased key stays, only what is there is written again, in order. The new file is not mapped for writing: a full
 * disk is an error, and the old index stays. Renaming makes it count; a crash right after that leaves a file with another inode than
 * `state` knows, which is rebuilt from the lake. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "apply/index_env.h"
#include "base/memory.h"

enum { entries_at_once = 50000, name_max = 64 };

struct rewrite {
    const struct dm_index_env *from;
    MDB_env *to;
    MDB_txn *read;
};

/* Appends up to entries_at_once entries in a transaction of its own; *more: there are others. */
static int copy_some(struct rewrite *w, const char *name, MDB_cursor *cursor, MDB_val *key, MDB_val *value,
                     bool *more)
{
    MDB_txn *txn = NULL;
    MDB_cursor *out = NULL;
    MDB_dbi dbi;
    int rc = mdb_txn_begin(w->to, NULL, 0, &txn);
    if (rc != 0)
        return rc;
    rc = mdb_dbi_open(txn, name, MDB_CREATE, &dbi);
    if (rc == 0)
        rc = mdb_cursor_open(txn, dbi, &out);
    *more = true;
    for (int i = 0; i < entries_at_once && rc == 0 && *more; i++) {
        rc = mdb_cursor_put(out, key, value, MDB_APPEND);
        if (rc == 0) {
            int next = mdb_cursor_get(cursor, key, value, MDB_NEXT);
            *more = next == 0;
            rc = next == MDB_NOTFOUND ? 0 : next;
        }
    }
    if (out != NULL)
        mdb_cursor_close(out);
    if (rc != 0) {
        mdb_txn_abort(txn);
        return rc;
    }
    return mdb_txn_commit(txn);
}

static int copy_database(struct rewrite *w, const char *name)
{
    MDB_dbi dbi;
    MDB_cursor *cursor = NULL;
    MDB_val key, value;
    int rc = mdb_dbi_open(w->read, name, 0, &dbi);
    if (rc == 0)
        rc = mdb_cursor_open(w->read, dbi, &cursor);
    if (rc == 0)
        rc = mdb_cursor_get(cursor, &key, &value, MDB_FIRST);
    bool more = rc == 0;
    while (more && rc == 0)
        rc = copy_some(w, name, cursor, &key, &value, &more);
    if (cursor != NULL)
        mdb_cursor_close(cursor);
    return rc == MDB_NOTFOUND ? 0 : rc; /* an empty one need not be there */
}

/* Every entry of the unnamed database is the name of one. */
static int copy_all(struct rewrite *w)
{
    MDB_dbi names;
    MDB_cursor *cursor = NULL;
    MDB_val key, value;
    int rc = mdb_dbi_open(w->read, NULL, 0, &names);
    if (rc == 0)
        rc = mdb_cursor_open(w->read, names, &cursor);
    if (rc == 0)
        rc = mdb_cursor_get(cursor, &key, &value, MDB_FIRST);
    while (rc == 0) {
        char name[name_max];
        if (key.mv_size >= sizeof name) {
            rc = MDB_CORRUPTED;
            break;
        }
        memcpy(name, key.mv_data, key.mv_size);
        name[key.mv_size] = '\0';
        rc = copy_database(w, name);
        if (rc == 0)
            rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT);
    }
    if (cursor != NULL)
        mdb_cursor_close(cursor);
    return rc == MDB_NOTFOUND ? 0 : rc;
}

static int write_new(const struct dm_index_env *e, const char *path, unsigned max_dbs)
{
    struct rewrite w = {.from = e};
    int rc = mdb_env_create(&w.to);
    if (rc != 0)
        return rc;
    rc = mdb_env_set_maxdbs(w.to, max_dbs);
    if (rc == 0)
        rc = mdb_env_set_mapsize(w.to, e->map_bytes);
    if (rc == 0)
        rc = mdb_env_open(w.to, path, MDB_NOSUBDIR | MDB_NOSYNC | MDB_NOMETASYNC | MDB_NOTLS | MDB_NOLOCK,
                          0644);
    if (rc == 0)
        rc = mdb_txn_begin(e->env, NULL, MDB_RDONLY, &w.read);
    if (rc == 0) {
        rc = copy_all(&w);
        mdb_txn_abort(w.read);
    }
    if (rc == 0)
        rc = mdb_env_sync(w.to, 1);
    mdb_env_close(w.to);
    return rc;
}

enum dm_status dm_index_env_write_anew(const struct dm_index_env *e, const char *path, unsigned max_dbs,
                                       struct dm_error *err)
{
    if (unlink(path) != 0 && errno != ENOENT)
        return dm_fail_errno(err, "cannot remove %s", path);
    int rc = write_new(e, path, max_dbs);
    if (rc == 0)
        return DM_OK;
    (void)unlink(path);
    return dm_index_env_fail(e, rc, "cannot write it anew", err);
}
