/* version_list.h — the versions of a batch's rows as order-preserving bytes: the encoding of column/key.h of one column.
 *
 * A row without a version (null) has length 0. Widening the column's type leaves its versions as they are.
 * Threads: no state. Ownership: the caller's list, released with dm_key_list_release.
 *
 *     struct dm_key_list versions = {0};
 *     dm_version_list_encode(&versions, batch, version_field, err);
 *     dm_version_at(&versions, row, &len);
 */
#ifndef DM_APPLY_VERSION_LIST_H
#define DM_APPLY_VERSION_LIST_H

#include "column/key.h"

enum dm_status dm_version_list_encode(struct dm_key_list *list, const struct dm_batch *b, int field,
                                      struct dm_error *err) DM_MUST_USE;

static inline const uint8_t *dm_version_at(const struct dm_key_list *list, size_t row, uint32_t *len)
{
    *len = (uint32_t)(list->offsets[row + 1] - list->offsets[row]);
    return list->bytes.data + list->offsets[row];
}

/* The other way: appends the value that such bytes stand for, as the last column of a key that has others before it (text raw). Integers, decimals, dates,
 * times and text; other types are FATAL. */
enum dm_status dm_version_append(struct dm_column *c, const uint8_t *bytes, size_t n,
                                 struct dm_error *err) DM_MUST_USE;
/* How many bytes the column's VALID value takes in that form. */
size_t dm_version_bytes(const struct dm_column *c, size_t row);

#endif
