/* index_catch_up.h — the key index of one dataset brought from an older state of the dataset to the current one, by what differs.
 *
 * The index's tag names the snapshot that its entries correspond to. While the dataset's metadata still keeps that snapshot, the two states are compared
 * (index_diff.h): rows that appeared are put, tombstones that came are put where they win, and keys whose entry still names the place of
 * a row that vanished leave. The side datasets of a declared dataset (tombstones, history by version) have tags of their own (index_tag.h). Each entry that is met is checked against the difference, so an index that is not what its tag says is found out, as far as it is
 * touched.
 *
 * Lake mutex held, in an open index transaction, of which nothing must be kept when it did not work out.
 */
#ifndef DM_MIRROR_INDEX_CATCH_UP_H
#define DM_MIRROR_INDEX_CATCH_UP_H

#include "mirror/target.h"

/* DM_OK: the index is at the lake's state, with its tags; *rows came or went. DM_END: this way is not open, *why says it; rebuild it. A failure is no
 * reason to give up either: what is read here (older files) a rebuild may not need. */
enum dm_status dm_index_catch_up_by_difference(struct dm_mirror *m, const struct dm_target *t,
                                               const struct dm_dataset *d, uint64_t *rows, const char **why,
                                               struct dm_error *err) DM_MUST_USE;

#endif
