/* erase.h — the second half of an order of deletion: until no byte of its rows is left in the lake.
 *
 * The rows are deleted and suppressed already (record_delete.h). Here every data file of the dataset, its history and its tombstones that physically holds a row
 * of those keys, also deleted and superseded ones, is written anew without them; all older snapshots are expired and the files that nothing refers to
 * are removed at once; the key index is written into a fresh file; rows in quarantine and texts of orders go, and catalog.db is vacuumed.
 * Every step may be interrupted and is done again: an order stays "erasing" until all of it is done.
 *
 * Changes that are under way in temporary files (a copy, a transaction in progress) are waited for. dm_erase_run takes and leaves the lake mutex.
 */
#ifndef DM_MIRROR_ERASE_H
#define DM_MIRROR_ERASE_H

#include "mirror/order/order.h"
#include "mirror/hygiene/work_order.h"

/* Right after the deletion, in the same process. The order may still be "erasing" afterwards: its detail says what it waits for. */
enum dm_status dm_erase_run(struct dm_mirror *m, int64_t order, const struct dm_order_hooks *hooks,
                            struct dm_error *err) DM_MUST_USE;
/* All orders that are still erasing, whatever became of the process that began them. Called now and then, and when a lake is opened by a mirror;
 * cheap when there are none. */
enum dm_status dm_erase_resume(struct dm_mirror *m, const struct dm_order_hooks *hooks,
                               struct dm_error *err) DM_MUST_USE;

/* ---- what record_delete.c shares ---- */

/* The dataset and what belongs to it. */
struct dm_family {
    size_t n;
    const struct dm_dataset **members; /* the lake's; the dataset itself comes first */
};
/* Lake mutex held; valid until the next publish. */
enum dm_status dm_family_load(struct dm_mirror *m, const struct dm_dataset_state *state,
                              struct dm_family *out, struct dm_error *err) DM_MUST_USE;
void dm_family_release(struct dm_family *f);

/* A commit that changes nothing but what is stored: where its source stands stays. Texts owned by `s`. */
struct dm_still_summary {
    struct dm_commit_summary summary;
    char *position;
};
enum dm_status dm_still_summary_make(struct dm_mirror *m, const char *source, int64_t order,
                                     struct dm_still_summary *s, struct dm_error *err) DM_MUST_USE;
void dm_still_summary_release(struct dm_still_summary *s);

/* After the publication of a commit that touched the family, in its index transaction: what the index holds of rows and tombstones is at the lake's
 * state. A history by version is not, when the commit touched it: dm_index_catch_up comes next. */
enum dm_status dm_family_tag(struct dm_mirror *m, const struct dm_dataset_state *state,
                             struct dm_commit *commit, struct dm_error *err) DM_MUST_USE;

/* Rows in quarantine of the dataset whose keys are in the set; *ids malloc'ed. */
enum dm_status dm_quarantine_of_keys(struct dm_mirror *m, uint32_t dataset, const struct dm_schema *schema,
                                     const struct dm_suppressed *set, int64_t **ids, size_t *n,
                                     struct dm_error *err) DM_MUST_USE;

/* erase_catalog.c: texts of orders go, and catalog.db is written without what was deleted, its log emptied. *done false: somebody is reading an older state. */
enum dm_status dm_erase_catalog(struct sqlite3 *db, const char *token, bool *done,
                                struct dm_error *err) DM_MUST_USE;

/* erase_sync.c: files that were removed from the lake's temporary folders stay away, also after a power cut. */
enum dm_status dm_erase_sync_temporary(const char *lake, struct dm_error *err) DM_MUST_USE;

#endif
