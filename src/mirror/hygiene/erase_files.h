/* erase_files.h — data files without the rows of certain keys: which files hold such rows, and the same files written anew without them.
 *
 * Works on any files of a dataset or of what belongs to it (history, tombstones): the key is found by the dataset's field ids. Deleted and superseded rows
 * count too: what matters is what stands in the file. Nothing here knows of commits; memory is bounded.
 */
#ifndef DM_MIRROR_ERASE_FILES_H
#define DM_MIRROR_ERASE_FILES_H

#include "engine/parquet_read.h"
#include "engine/parquet_write.h"
#include "mirror/hygiene/erase_match.h"

/* Where rows that match stand, called for each. */
typedef void (*dm_erase_hit)(void *ctx, uint32_t file, uint32_t position);
/* All rows of the files, also deleted ones (`deleted` of the files is ignored when `physical`). */
enum dm_status dm_erase_find(struct dm_engine *e, const struct dm_scan_file *files, size_t n, bool physical,
                             struct dm_erase_match *match, dm_erase_hit fn, void *ctx,
                             struct dm_error *err) DM_MUST_USE;

/* Where a new file goes: fills number and path (malloc'ed); and what became of it. `places`: where each of its rows stood. */
struct dm_erase_output {
    void *ctx;
    uint64_t most_bytes; /* of rows in memory, for one new file */
    enum dm_status (*new_file)(void *ctx, uint32_t *number, char **path, struct dm_error *err);
    enum dm_status (*written)(void *ctx, uint32_t number, const char *path, const struct dm_batch *batch,
                              const struct dm_parquet_result *result, struct dm_error *err);
};
/* The visible rows of the file that do not match, in order, in one or more new
 * files (none when no row stays). `match` is one of whole rows of `schema`.
 * *rows: how many. */
enum dm_status dm_erase_write_anew(struct dm_engine *e, const struct dm_scan_file *file,
                                   const struct dm_schema *schema, struct dm_erase_match *match,
                                   const char *compression, const struct dm_erase_output *out, uint64_t *rows,
                                   struct dm_error *err) DM_MUST_USE;

#endif
