/* key.h — the order-preserving byte form of a primary key.
 *
 * memcmp order of two encoded keys of one schema is the order of the keys, column by column (text by UTF-8 bytes).
 * Equal keys have equal bytes: -0.0 equals 0.0 and all NaNs are one value.
 * Encodings: integers, dates, times, decimals: big endian with the sign bit flipped; floats: the usual
 * total-order trick; UUID: as is; text and binary: 0x00 becomes 0x00 0xff and 0x00 0x00 ends the column, except
 * that the last column of the key is stored raw; lists: 0x01 null / 0x02 element, 0x00 ends.
 */
#ifndef DM_COLUMN_KEY_H
#define DM_COLUMN_KEY_H

#include "base/buffer.h"
#include "column/batch.h"

/* Appends the encoded key of row `row` to `out`. A null or unchanged key column is a DATA error. */
enum dm_status dm_key_encode(const struct dm_batch *b, size_t row, struct dm_buffer *out,
                             struct dm_error *err) DM_MUST_USE;

/* The keys of a whole batch, back to back: key i is bytes[offsets[i] .. offsets[i+1]). Zeroed struct is ready. */
struct dm_key_list {
    struct dm_buffer bytes;
    size_t n;
    size_t capacity;
    size_t *offsets;
};
void dm_key_list_release(struct dm_key_list *keys);
/* Replaces the list by the keys of all rows. A row whose key has a null gives an empty key (length 0). */
enum dm_status dm_key_list_encode(struct dm_key_list *keys, const struct dm_batch *b,
                                  struct dm_error *err) DM_MUST_USE;

/* The key as text for people: "42" or "(42, \"ab\")", cut with … when `size` is too small; returns out. */
const char *dm_key_text(const struct dm_batch *b, size_t row, char *out, size_t size);

#endif
