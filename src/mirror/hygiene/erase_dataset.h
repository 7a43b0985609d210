/* erase_dataset.h — one dataset of an order that is erasing: it, its history and its tombstones without the rows, and nothing of their past. */
#ifndef DM_MIRROR_ERASE_DATASET_H
#define DM_MIRROR_ERASE_DATASET_H

#include "mirror/hygiene/erase.h"

/* What was done. */
struct dm_erase_counts {
    uint64_t files_rewritten, snapshots, files_removed, bytes_removed, quarantine;
};

/* `resumed`: the process that began it may be gone. Takes and leaves the lake mutex. */
enum dm_status dm_erase_dataset(struct dm_mirror *m, int64_t order, const struct dm_dataset_state *state,
                                bool resumed, const struct dm_order_hooks *hooks,
                                struct dm_erase_counts *counts, struct dm_error *err) DM_MUST_USE;

#endif
