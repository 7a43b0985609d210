/* index_tag.h — which state of the lake the key index holds of a target: for each dataset that is in it, the snapshot.
 *
 * A declared dataset has up to three: itself, its tombstones (their entries stand among its own; DM_INDEX_TOMBSTONES is a tag only) and its history by
 * version (DM_INDEX_HISTORY, entries and tag), which is in the index while the settings keep one. Every commit that changes one of them sets the tag in the
 * index transaction that goes with it, so that an index that missed a commit, whatever it touched, is found out (index_rebuild.h catches it up).
 */
#ifndef DM_MIRROR_INDEX_TAG_H
#define DM_MIRROR_INDEX_TAG_H

#include "mirror/target.h"

/* | the dataset's number */
#define DM_INDEX_TOMBSTONES UINT32_C(0x40000000)
#define DM_INDEX_HISTORY UINT32_C(0x20000000)

/* After dm_commit_write, in the index transaction: what the commit made of the target's datasets is in the index. */
enum dm_status dm_index_tag_commit(struct dm_mirror *m, struct dm_commit *commit, const struct dm_target *t,
                                   struct dm_error *err) DM_MUST_USE;
/* In an open index transaction: does the index hold what the lake does? */
enum dm_status dm_index_tag_current(struct dm_mirror *m, const struct dm_target *t, bool *current,
                                    struct dm_error *err) DM_MUST_USE;

#endif
