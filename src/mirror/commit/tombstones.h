/* tombstones.h — `<table>__tombstones`: what keeps deleted keys of a declared dataset dead when a late older upsert comes, durably.
 *
 * An Iceberg dataset of its own beside the dataset, written in the same commits: the key columns (the dataset's field ids), `_version` (the version
 * of the delete) and `_deleted_at` (when it was applied). It is a log: a tombstone that a newer change made meaningless stays until it expires, and
 * counts for nothing, since the highest version per key decides. The key index holds the same tombstones (place file 0 with a version).
 * Which state of them the index knows is told by a tag in it (index_tag.h).
 *
 * The index holds what a rebuilt one would: the newest of row and tombstones, of what is in the lake. So where an entry leaves because its row or its
 * tombstone went (expiry), an older tombstone that stands behind it takes its place.
 *
 * Expiry: a file whose youngest tombstone is older than the retention is dropped, and its tombstones leave the index where it still holds
 * that very version. Lake mutex held throughout. Failure: errors of lake, engine and index.
 */
#ifndef DM_MIRROR_TOMBSTONES_H
#define DM_MIRROR_TOMBSTONES_H

#include "mirror/commit/apply_rows.h"
#include "mirror/commit/index_tag.h"
#include "mirror/declare/declared.h"

/* The name of the tombstone dataset; malloc'ed. */
char *dm_tombstones_name(const struct dm_target *t);
/* The lake's; NULL: nothing was deleted yet. */
enum dm_status dm_tombstones_dataset(struct dm_mirror *m, const struct dm_target *t,
                                     const struct dm_dataset **out, struct dm_error *err) DM_MUST_USE;
/* Its schema; `version` is the version's field index in `schema`. One reference. */
struct dm_schema *dm_tombstones_schema(const struct dm_schema *schema, int version);
/* The schema to read tombstones with: as it is stored, with the key columns, which are the first n_keys, as key. One reference. */
struct dm_schema *dm_tombstones_keyed(const struct dm_dataset *tombstones, size_t n_keys);

/* In an open commit and index transaction: the rows `rows` of the batch (deletes) leave tombstones; the index itself is the caller's. */
enum dm_status dm_tombstones_append(struct dm_apply_context *a, struct dm_target *t,
                                    const struct dm_batch *batch, const uint32_t *rows, size_t n,
                                    struct dm_error *err) DM_MUST_USE;
/* In an open index transaction, after the rows were loaded (or left): all tombstones of the lake into the index, where they win. Sets the tag. */
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

#endif
