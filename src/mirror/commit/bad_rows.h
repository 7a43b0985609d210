/* bad_rows.h — rows on their way to quarantine, however many: in memory up to some MiB, in a file behind that.
 *
 * A file of millions of bad rows must not fill the memory before its commit writes them to the catalog. The file is nameless: it goes with the process.
 * Zeroed struct with `folder` set is empty; texts are copied in. One thread at a time.
 *
 *     struct dm_bad_rows bad = {.folder = lake};
 *     dm_bad_rows_add(&bad, target, &txn, &row, err); …
 *     dm_bad_rows_each(&bad, fn, ctx, err);
 *     dm_bad_rows_clear(&bad);
 */
#ifndef DM_MIRROR_BAD_ROWS_H
#define DM_MIRROR_BAD_ROWS_H

#include <stdio.h>

#include "mirror/target.h"

struct dm_bad_rows {
    const char *folder; /* the lake; borrowed */
    size_t n;
    FILE *file; /* what does not fit into memory; NULL: none */
    struct dm_buffer latest;
};

/* target may be NULL: whoever reads them knows. */
enum dm_status dm_bad_rows_add(struct dm_bad_rows *b, struct dm_target *target, const struct dm_txn *txn,
                               const struct dm_bad_row *row, struct dm_error *err) DM_MUST_USE;
typedef enum dm_status (*dm_bad_rows_fn)(void *ctx, struct dm_target *target, const struct dm_txn *txn,
                                         const struct dm_bad_row *row, struct dm_error *err);
/* In the order in which they came; may be called again, and rows may be added afterwards. */
enum dm_status dm_bad_rows_each(struct dm_bad_rows *b, dm_bad_rows_fn fn, void *ctx,
                                struct dm_error *err) DM_MUST_USE;
/* Empty again. */
void dm_bad_rows_clear(struct dm_bad_rows *b);

#endif
