/* equal_rows.h — rows of a batch that say what is stored already: a file that is taken in again changes nothing.
 *
 * Asked only for rows that tie (key and version are stored); these stored rows are read, in portions that fit into memory, and compared in every column.
 */
#ifndef DM_MIRROR_EQUAL_ROWS_H
#define DM_MIRROR_EQUAL_ROWS_H

#include "mirror/commit/apply_rows.h"

/* A row of the batch, and where the stored row stands that it ties with. */
struct dm_tie {
    struct dm_place place;
    uint32_t row;
};

/* Sets equal[row] of each tie whose stored row, in dataset `name`, is equal. `schema`: the batch's columns as that dataset has them. Sorts `ties`. */
enum dm_status dm_equal_rows_find(struct dm_apply_context *a, const struct dm_batch *batch,
                                  const char *namespace, const char *name, const struct dm_schema *schema,
                                  struct dm_tie *ties, size_t n, bool *equal,
                                  struct dm_error *err) DM_MUST_USE;

/* The same for two rows of the batch. */
bool dm_equal_rows(const struct dm_batch *batch, uint32_t a, uint32_t b);

#endif
