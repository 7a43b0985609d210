/* commit_scan.h — the visible rows of a dataset as an open commit has it so far: files that it added are there, rows that it deleted are not.
 *
 * The scan borrows paths from the commit and owns the vectors; it is good until the next change of the dataset in the commit. The commit's own files
 * must be written. Threads: the committing one.
 *
 *     struct dm_commit_scan scan;
 *     dm_commit_scan_make(commit, namespace, name, &scan, err);
 *     dm_parquet_scan(engine, scan.files, scan.n, …);
 *     dm_commit_scan_release(&scan);
 */
#ifndef DM_LAKE_COMMIT_SCAN_H
#define DM_LAKE_COMMIT_SCAN_H

#include "engine/parquet_read.h"
#include "lake/lake.h"

struct dm_commit_scan {
    size_t n;
    struct dm_scan_file *files;
    roaring_bitmap_t **vectors; /* per file; NULL: borrowed, or none */
};

enum dm_status dm_commit_scan_make(struct dm_commit *c, const char *namespace, const char *name,
                                   struct dm_commit_scan *out, struct dm_error *err) DM_MUST_USE;
void dm_commit_scan_release(struct dm_commit_scan *scan);

#endif
