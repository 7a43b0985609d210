/* keyindex.h — where each live key's row stands: key bytes → (file number, row position), per dataset.
 *
 * Derived state in one LMDB environment, `<lake>/.index/`, opened without sync: it can be thrown away at any time and rebuilt from
 * the lake. It remembers the boot it was written in and whether it was closed cleanly; when it cannot be trusted after a
 * machine crash it is emptied. It survives kill -9 of the process at any instant: what is found then is the last commit.
 * Each dataset carries a tag: the Iceberg snapshot id that its entries correspond to.
 * Keys over 510 bytes are stored as a prefix and a 128-bit hash salted with a random secret of this index.
 * A key may carry a version (datasets whose changes come in any order): order-preserving bytes beside the place. A key with a version and no place
 * is a tombstone: it was deleted by that version.
 *
 * One writer: begin … apply … commit/abort, one thread at a time; the folder is locked, so one process at a time. A write transaction may
 * take any number of changes (memory stays bounded: its pages are file pages). Readers (dm_keyindex_lookup outside a write transaction)
 * are not offered: the writer owns it. The map is reserved large up front; room on the disk is taken before it is written to, so a full
 * disk is a TRANSIENT error. After any failure inside a write transaction only dm_keyindex_abort makes sense.
 *
 *     dm_keyindex_open(folder, &ix, &trusted, err);     // trusted false: it is empty, build every dataset
 *     dm_keyindex_begin(ix, err);
 *     dm_index_changes_sort(changes, n);
 *     dm_keyindex_apply(ix, dataset, changes, n, err);  // changes[i].old are the places to delete
 *     dm_keyindex_tag_set(ix, dataset, snapshot, err);
 *     dm_keyindex_commit(ix, err);
 *     dm_keyindex_close(ix);
 */
#ifndef DM_APPLY_KEYINDEX_H
#define DM_APPLY_KEYINDEX_H

#include "base/error.h"
#include "column/key.h"

struct dm_keyindex;

/* Where a row stands. */
struct dm_place {
    uint32_t file;     /* the dataset's file number, > 0 */
    uint32_t position; /* row in the file, from 0 */
};
static inline bool dm_place_known(struct dm_place p)
{
    return p.file != 0;
}

#define DM_INDEX_VERSION_MAX 1024 /* bytes of a version */

/* One change of the index. */
struct dm_index_change {
    const uint8_t *key;
    uint32_t key_len;
    uint32_t row;           /* caller's own number, handed through */
    struct dm_place place;  /* new place; file 0: delete the key, or with a version: a tombstone */
    struct dm_place old;    /* out: the place before; file 0: the key was not there, or was a tombstone */
    const uint8_t *version; /* in: the new version; NULL: none */
    const uint8_t *
        old_version; /* out, of a lookup only: the version before; valid until the next change in the transaction */
    uint32_t version_len;     /* at most DM_INDEX_VERSION_MAX; 0: the dataset's keys have no versions */
    uint32_t old_version_len; /* out: 0: no version (and, without a place, no such key) */
};

/* *trusted false: the index was new or could not be trusted; it is empty. CONFLICT when another process has it. */
enum dm_status dm_keyindex_open(const char *folder, struct dm_keyindex **out, bool *trusted,
                                struct dm_error *err) DM_MUST_USE;
/* Marks it cleanly closed; an open write transaction is aborted. NULL is fine. */
/* Is it not what it was closed with? Reads the whole file, changes nothing; only for who holds the lake. The next opening makes it anew. */
bool dm_keyindex_damaged(const char *folder);
void dm_keyindex_close(struct dm_keyindex *ix);

enum dm_status dm_keyindex_begin(struct dm_keyindex *ix, struct dm_error *err) DM_MUST_USE;
enum dm_status dm_keyindex_commit(struct dm_keyindex *ix, struct dm_error *err) DM_MUST_USE;
void dm_keyindex_abort(struct dm_keyindex *ix); /* fine when none is open */

/* Outside a write transaction: writes all entries into a fresh file, so that no byte of a key that was deleted stays in it. Costs a pass over the whole index. */
enum dm_status dm_keyindex_rewrite(struct dm_keyindex *ix, struct dm_error *err) DM_MUST_USE;

/* All in the open write transaction: */

/* Gets the old places and puts the new ones (with the new versions). `changes` must be sorted by key (dm_index_changes_sort), keys distinct. */
enum dm_status dm_keyindex_apply(struct dm_keyindex *ix, uint32_t dataset, struct dm_index_change *changes,
                                 size_t n, struct dm_error *err) DM_MUST_USE;
/* Fills `old` and `old_version` only; nothing is changed. Sorted as above. */
enum dm_status dm_keyindex_lookup(struct dm_keyindex *ix, uint32_t dataset, struct dm_index_change *changes,
                                  size_t n, struct dm_error *err) DM_MUST_USE;
/* Appends keys that are greater than all there are, in order (bulk load; several times faster). A key out of order or already there
 * gives DM_END with *bad = its index and leaves the ones before it in. */
enum dm_status dm_keyindex_append(struct dm_keyindex *ix, uint32_t dataset,
                                  const struct dm_index_change *changes, size_t n, size_t *bad,
                                  struct dm_error *err) DM_MUST_USE;
/* Gives each key its new place and leaves its version alone (rows that were moved to another file). `old` as with apply; a key that is not there, or is
 * a tombstone, stays so, with `old` file 0. Sorted as above. */
enum dm_status dm_keyindex_move(struct dm_keyindex *ix, uint32_t dataset, struct dm_index_change *changes,
                                size_t n, struct dm_error *err) DM_MUST_USE;

/* An entry as it stands in the index; valid until the next change in the transaction. */
struct dm_index_entry {
    const uint8_t *key; /* NULL: there is none */
    uint32_t key_len;
    uint32_t version_len;
    const uint8_t *version;
    struct dm_place place;
};
#define DM_INDEX_KEY_WHOLE 510 /* bytes up to which a key is stored as it is, in order */
/* The entry of the key, and those next to it among the keys that share its first `prefix_len` bytes. The key, and all that share the prefix, must be
 * of at most DM_INDEX_KEY_WHOLE bytes. */
enum dm_status dm_keyindex_near(struct dm_keyindex *ix, uint32_t dataset, const uint8_t *key,
                                uint32_t key_len, uint32_t prefix_len, struct dm_index_entry *before,
                                struct dm_index_entry *same, struct dm_index_entry *after,
                                struct dm_error *err) DM_MUST_USE;
enum dm_status dm_keyindex_clear(struct dm_keyindex *ix, uint32_t dataset, struct dm_error *err) DM_MUST_USE;
enum dm_status dm_keyindex_count(struct dm_keyindex *ix, uint32_t dataset, uint64_t *keys,
                                 struct dm_error *err) DM_MUST_USE;
/* The snapshot that the dataset's entries correspond to; 0: none (not built). */
enum dm_status dm_keyindex_tag_get(struct dm_keyindex *ix, uint32_t dataset, int64_t *snapshot,
                                   struct dm_error *err) DM_MUST_USE;
enum dm_status dm_keyindex_tag_set(struct dm_keyindex *ix, uint32_t dataset, int64_t snapshot,
                                   struct dm_error *err) DM_MUST_USE;

/* One for each key of the list, in its order: the key and, as `row`, its number; malloc'ed, the keys are the list's. */
struct dm_index_change *dm_index_changes_of(const struct dm_key_list *keys);
/* Sorts by key bytes (memcmp, shorter first); fast for short keys. Stable. */
void dm_index_changes_sort(struct dm_index_change *changes, size_t n);

#endif
