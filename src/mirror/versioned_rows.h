/* versioned_rows.h — one batch of a declared dataset into an open commit, by the version rule.
 *
 * State per key: (version, live or deleted), in the key index; tombstones durably in dataset <table>__tombstones (tombstones.h). Higher version: applied.
 * Equal: a delete beats an upsert, among upserts the later arrival wins. Lower: dropped and counted as stale. A delete of a key never seen leaves a
 * tombstone. Rows of the batch are DM_OP_UPDATE and DM_OP_DELETE; delete rows hold key and version.
 * Called by dm_apply_rows for targets with rules, with the key index's write transaction open. Counts into the target's state.
 */
#ifndef DM_MIRROR_VERSIONED_ROWS_H
#define DM_MIRROR_VERSIONED_ROWS_H

#include "mirror/apply_rows.h"
#include "mirror/declared.h"

enum dm_status dm_apply_versioned(struct dm_apply_context *a, struct dm_target *t, struct dm_batch *batch,
                                  struct dm_error *err) DM_MUST_USE;

#endif
