/* tombstones.h — `<table>__tombstones`: what keeps deleted keys of a declared dataset dead when a late older upsert comes, durably.
 *
 * An Iceberg dataset of its own beside the dataset, written in the same commits: the key columns (the dataset's field ids), `_version` (the version
 * of the delete) and `_deleted_at` (when it was applied). It is a log: a tombstone that a newer change made meaningless stays until it expires, and
 * counts for nothing, since the highest version per key decides. The key index holds the same tombstones (place file 0 with a version).
 * Whether the index knows the tombstone files of the lake is told by a tag in it: the file numbers, mixed (dm_index_files_flip).
 *
 * Expiry: a file whose youngest tombstone is older than the retention is dropped, and its tombstones leave the index where it still holds
 * that very version. Lake mutex held throughout. Failure: errors of lake, engine and index.
 */
#ifndef DM_MIRROR_TOMBSTONES_H
#define DM_MIRROR_TOMBSTONES_H

#include "mirror/commit/apply_rows.h"
#include "mirror/declare/declared.h"

/* The name of the tombstone dataset; malloc'ed. */
char *dm_tombstones_name(const struct dm_target *t);
/* Its schema; `version` is the version's field index in `schema`. One reference. */
struct dm_schema *dm_tombstones_schema(const struct dm_schema *schema, int version);

/* In an open commit and index transaction: the rows `rows` of the batch (deletes) leave tombstones; the index itself is the caller's. */
enum dm_status dm_tombstones_append(struct dm_apply_context *a, struct dm_target *t,
                                    const struct dm_batch *batch, const uint32_t *rows, size_t n,
                                    struct dm_error *err) DM_MUST_USE;
/* In an open index transaction: do the lake and the index hold the same files of the side datasets that the index knows (tombstones, and the history
 * by version when one is kept)? */
enum dm_status dm_tombstones_indexed(struct dm_mirror *m, const struct dm_target *t, bool *same,
                                     struct dm_error *err) DM_MUST_USE;
/* In an open index transaction, after the rows were loaded: all tombstones of the lake into the index, where they win. */
enum dm_status dm_tombstones_load(struct dm_mirror *m, const struct dm_target *t,
                                  struct dm_error *err) DM_MUST_USE;
/* In an open index transaction: a batch of tombstones (the key columns as its key, then _version) into the index where they win, or out of it where it
 * holds that very one. */
enum dm_status dm_tombstones_take(struct dm_mirror *m, const struct dm_target *t,
                                  const struct dm_batch *batch, bool out, struct dm_error *err) DM_MUST_USE;
/* A commit of its own: drops what is past the retention. Cheap when nothing is. No commit and no index transaction may be open.
 * `summary` is that of the last commit. *dropped (may be NULL): files. */
enum dm_status dm_tombstones_expire(struct dm_mirror *m, const struct dm_target *t,
                                    const struct dm_commit_summary *summary, size_t *dropped,
                                    struct dm_error *err) DM_MUST_USE;

/* The tag that says which files of a side dataset (tombstones, history by version) the key index knows: a data file came or went. In an open index
 * transaction. */
#define DM_INDEX_TOMBSTONES UINT32_C(0x40000000) /* | dataset number: the tombstone files' tag */
#define DM_INDEX_HISTORY UINT32_C(0x20000000) /* | dataset number: keys and tag of the history by version */
enum dm_status dm_index_files_flip(struct dm_keyindex *ix, uint32_t side, uint32_t file,
                                   struct dm_error *err) DM_MUST_USE;
int64_t dm_index_files_tag(const struct dm_dataset *d); /* what the tag is for these files; NULL: 0 */

#endif
