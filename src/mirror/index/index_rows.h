/* index_rows.h — rows of data files as entries of the key index: which columns to read, and what stands in them as index changes.
 *
 * Ownership: the struct owns everything, dm_index_rows_release. Threads: one at a time. Failure: DATA errors of the encoding.
 *
 *     struct dm_index_rows r;
 *     dm_index_rows_init(&r, d->schema, version);       // version: its field in d->schema; -1: none
 *     dm_parquet_scan(engine, files, n, r.schema, …);   // whose callback calls
 *         dm_index_rows_take(&r, batch, files, positions, err);  // r.changes[i] is row i
 *     dm_index_rows_release(&r);
 */
#ifndef DM_MIRROR_INDEX_ROWS_H
#define DM_MIRROR_INDEX_ROWS_H

#include "apply/keyindex.h"
#include "column/schema.h"

struct dm_index_rows {
    struct dm_schema *schema; /* the key's columns in key order, then the version's */
    int version;              /* the version's column among them; -1: none */
    uint32_t version_most; /* so many bytes of the version are kept (history by version: 1, the operation) */
    struct dm_key_list keys, versions;
    struct dm_index_change *changes; /* of the batch that was taken last */
    size_t capacity;
};

void dm_index_rows_init(struct dm_index_rows *r, const struct dm_schema *dataset, int version);
void dm_index_rows_release(struct dm_index_rows *r);
/* changes[0 .. batch->rows), in the batch's order, each with its place; they point into the lists until the next call. */
enum dm_status dm_index_rows_take(struct dm_index_rows *r, const struct dm_batch *batch,
                                  const uint32_t *files, const uint32_t *positions,
                                  struct dm_error *err) DM_MUST_USE;

#endif
