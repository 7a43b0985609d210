/* versioned_rows.h — one batch of a declared dataset into an open commit, by the version rule.
 *
 * State per key: (version, live or deleted), in the key index; tombstones durably in dataset <table>__tombstones (tombstones.h). Higher version: applied.
 * Equal: a delete beats an upsert, among upserts the later arrival wins (one that is equal in every column changes nothing, and is not written). Lower: dropped and counted as stale. A delete of a key never seen leaves a
 * tombstone. Rows of the batch are DM_OP_UPDATE and DM_OP_DELETE; delete rows hold key and version.
 * Called by dm_apply_rows for targets with rules, with the key index's write transaction open.
 *
 * Counting, into the target's state, as if the rows came one by one: each row is received, and one of inserted, updated, deleted, noop_deletes (a tombstone
 * was left, there was no row), stale, a tie that changed nothing, or bad (a->bad: null_key, missing_version, version_too_long). `ties` counts every
 * row of an equal version, also those that were applied.
 *
 * What the committer does for a declared target besides: the tag of the dataset's own snapshot as for any other; dm_compact_target after a commit;
 * now and then and at the end of an intake dm_tombstones_expire (it is cheap when there is nothing to do). To drop a dataset: dm_tombstones_name and
 * dm_history_name say what else there is, and dm_versioned_forget empties its part of the key index.
 */
#ifndef DM_MIRROR_VERSIONED_ROWS_H
#define DM_MIRROR_VERSIONED_ROWS_H

#include "mirror/commit/apply_rows.h"
#include "mirror/declare/declared.h"

struct dm_file_writes;

/* *files: the data files that are being written, to be left or finished by the caller, whatever is returned; NULL: none. */
enum dm_status dm_apply_versioned(struct dm_apply_context *a, struct dm_target *t, struct dm_batch *batch,
                                  struct dm_file_writes **files, struct dm_error *err) DM_MUST_USE;

/* Empties everything that the key index holds of the target. In an open index transaction. */
enum dm_status dm_versioned_forget(struct dm_keyindex *ix, const struct dm_target *t,
                                   struct dm_error *err) DM_MUST_USE;

#endif
