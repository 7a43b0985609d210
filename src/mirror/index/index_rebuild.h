/* index_rebuild.h — the key index of a dataset made anew from the lake: the visible rows of its files, keys in order, bulk-loaded.
 * Of a declared dataset: with the rows' versions, and then the tombstones (tombstones.h) where they win.
 * After a copy, after a lost or untrusted index, and when a crash fell between publication and index commit and the way by what differs
 * (index_catch_up.h) is not open. */
#ifndef DM_MIRROR_INDEX_REBUILD_H
#define DM_MIRROR_INDEX_REBUILD_H

#include "engine/parquet_read.h"
#include "mirror/target.h"

/* Empties the dataset's index and loads the files' keys. In an open index transaction. A key met twice is a DATA error that names it. */
enum dm_status dm_index_rebuild(struct dm_mirror *m, uint32_t dataset, const struct dm_schema *schema,
                                const struct dm_scan_file *files, size_t n_files,
                                struct dm_error *err) DM_MUST_USE;

/* At start: every dataset of the list whose index is not at the lake's state is caught up, or rebuilt (own index transactions). The log says which and
 * why. */
enum dm_status dm_index_catch_up(struct dm_mirror *m, struct dm_target *const *targets, size_t n,
                                 struct dm_error *err) DM_MUST_USE;
/* One dataset, before rows are taken out of it: also one of a table that was dropped, whose index the start leaves alone. `declared`: its target; NULL: it is a
 * mirrored one. */
enum dm_status dm_index_catch_up_dataset(struct dm_mirror *m, const struct dm_dataset_state *state,
                                         const struct dm_target *declared, struct dm_error *err) DM_MUST_USE;

#endif
