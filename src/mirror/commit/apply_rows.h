/* apply_rows.h — one batch of changes of one dataset into an open commit: net effect, stored values, data file, key index, deletions.
 * Called by the committer with the key index's write transaction open. */
#ifndef DM_MIRROR_APPLY_ROWS_H
#define DM_MIRROR_APPLY_ROWS_H

#include "apply/net_effect.h"
#include "engine/parquet_write.h"
#include "mirror/commit/commit_unit.h"

struct dm_file_writes;
struct dm_orphans;

struct dm_apply_context {
    struct dm_mirror *mirror;
    struct dm_commit *commit;
    struct dm_net_effect net;  /* reused from batch to batch */
    const struct dm_txn *txns; /* of the unit; batch->txns index it */
    size_t n_bad;              /* rows that went bad here; the committer takes them */
    struct dm_kept_row *bad;   /* their txn indexes `txns` */
    struct dm_orphans
        *orphans; /* children that wait for their parent, of this commit (orphan.h); NULL: none */
    struct dm_file_writes
        *writing; /* data files of the batch before, that threads still write (file_writes.h); NULL: none */
};

/* Counts into the target's state. Takes the batch (*batch becomes NULL) if its data files are still being written at the end: a->writing. */
enum dm_status dm_apply_rows(struct dm_apply_context *a, struct dm_target *t, struct dm_batch **batch,
                             struct dm_error *err) DM_MUST_USE;

/* Old places collected by the index → deletions of the dataset in the commit. Sorts `places`. */
enum dm_status dm_apply_deletions(struct dm_commit *commit, const char *namespace, const char *name,
                                  struct dm_place *places, size_t n, struct dm_error *err) DM_MUST_USE;

/* How a commit's own data files are written. */
struct dm_parquet_options dm_apply_parquet_options(const struct dm_apply_context *a);
/* Writes the selected rows (NULL: all) as a new data file of a dataset; *number 0: there were none. */
enum dm_status dm_apply_write_file(struct dm_apply_context *a, const char *namespace, const char *name,
                                   const struct dm_batch *batch, const uint32_t *rows, size_t n,
                                   uint32_t *number, struct dm_error *err) DM_MUST_USE;
/* The path of a file that the key index names; settles a->writing, so it is there to be read. Borrowed. */
enum dm_status dm_apply_indexed_file(struct dm_apply_context *a, const char *namespace, const char *name,
                                     uint32_t file, const char **path, struct dm_error *err) DM_MUST_USE;
/* How many stored rows of a dataset may be in memory at once. How large they are is only known from what they take in their files (compressed, hence a
 * factor). */
enum dm_status dm_apply_rows_that_fit(struct dm_apply_context *a, const char *namespace, const char *name,
                                      size_t *rows, struct dm_error *err) DM_MUST_USE;
/* Makes sure that a side dataset (history, tombstones) is there with this schema; *made (may be NULL): it was not. */
enum dm_status dm_apply_ensure_dataset(struct dm_apply_context *a, const char *namespace, const char *name,
                                       const struct dm_schema *schema, bool *made,
                                       struct dm_error *err) DM_MUST_USE;

#endif
