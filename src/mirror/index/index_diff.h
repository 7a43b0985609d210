/* index_diff.h — which rows of a dataset are visible in one of two of its states and not in the other, file by file.
 *
 * Data files never change and their numbers never come again, so what stands in a file of both states with equal deletion vectors is the same in both.
 * What is left are files that came or went and positions that a vector gained (or lost): only these rows are read, and of them only the
 * wanted columns.
 *
 * Ownership: both datasets are borrowed and must live as long as the difference. Threads: none of its own state. Failure: DATA when a file number means
 * two different files; errors of the engine.
 *
 *     struct dm_index_diff diff;
 *     dm_index_diff_make(&diff, before, after, err);     // before NULL: there was nothing
 *     dm_index_diff_read(&diff, DM_DIFF_APPEARED, engine, schema, fn, ctx, err);
 *     dm_index_diff_release(&diff);
 */
#ifndef DM_MIRROR_INDEX_DIFF_H
#define DM_MIRROR_INDEX_DIFF_H

#include "apply/keyindex.h"
#include "engine/parquet_read.h"
#include "lake/lake.h"

enum dm_diff_side { DM_DIFF_VANISHED, DM_DIFF_APPEARED };

/* One file that is not the same in both states. */
struct dm_diff_file {
    const struct dm_data_file *file[2]; /* before, after; NULL: not there */
    roaring_bitmap_t *rows[2];          /* the positions that vanished, appeared; NULL: see `whole` */
    bool whole;                         /* all visible rows of the only state that has the file */
};

struct dm_index_diff {
    struct dm_diff_file *files; /* ascending by number */
    size_t n_files;
    uint64_t rows[2]; /* vanished, appeared */
};

enum dm_status dm_index_diff_make(struct dm_index_diff *diff, const struct dm_dataset *before,
                                  const struct dm_dataset *after, struct dm_error *err) DM_MUST_USE;
void dm_index_diff_release(struct dm_index_diff *diff);
/* Did the row that stood (stands) at the place vanish (appear)? */
bool dm_index_diff_has(const struct dm_index_diff *diff, enum dm_diff_side side, struct dm_place place);
/* The rows of one side with the columns of `schema`, which has a key; in key order within a call of `fn`, mostly. An error of `fn` ends it. */
enum dm_status dm_index_diff_read(const struct dm_index_diff *diff, enum dm_diff_side side,
                                  struct dm_engine *engine, const struct dm_schema *schema, dm_scan_fn fn,
                                  void *ctx, struct dm_error *err) DM_MUST_USE;

#endif
