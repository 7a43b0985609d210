/* key.h — the order-preserving byte form of a primary key.
 *
 * memcmp order of two encoded keys of one schema (a shorter key that is a prefix comes first) is the order of the keys, column by
 * column (text by UTF-8 bytes). Equal keys have equal bytes: -0.0 equals 0.0 and all NaNs are one value, the greatest.
 * Encodings: bool: one byte; integers as 64 bits, decimals as 128 bits, dates and times in their own width: big endian
 * with the sign bit flipped; floats as double: the usual total-order trick; UUID: as is; text and binary: 0x00 becomes 0x00 0xff and
 * 0x00 0x00 ends the column, except that the last column of the key is stored raw; lists: 0x01 null / 0x02 element (text
 * in it always ended), 0x00 ends. The widest form of each number is used so that widening a key column (int to long and
 * so on) leaves its keys as they are.
 * An encoded key is never empty: when the whole key is one text or binary column, a value that is empty or begins with 0x00 gets one
 * 0x00 in front (which keeps the order).
 *
 * Memory: the caller owns the buffers and lists. Threads: none of its own state. Failure: DATA errors for null or unchanged key columns.
 *
 *     struct dm_key_list keys = {0};
 *     if (dm_key_list_encode(&keys, batch, err) != DM_OK) ...
 *     const uint8_t *key = keys.bytes.data + keys.offsets[row];
 *     dm_key_list_release(&keys);
 */
#ifndef DM_COLUMN_KEY_H
#define DM_COLUMN_KEY_H

#include "base/buffer.h"
#include "column/batch.h"

#define DM_KEY_MAX_BYTES ((size_t)INT32_MAX) /* of one key */

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
/* Replaces the list by the keys of all rows. A row whose key has a null (or unchanged) column gives an empty key (length 0). */
enum dm_status dm_key_list_encode(struct dm_key_list *keys, const struct dm_batch *b,
                                  struct dm_error *err) DM_MUST_USE;

/* The key as text for people: "42" or "(42, \"ab\")", cut with … when `size` is too small; returns out. */
const char *dm_key_text(const struct dm_batch *b, size_t row, char *out, size_t size);
/* One VALID value of a fixed-width type as text (64 bytes hold each); returns its length. Numbers are exact, floats the shortest that reads back the same
 * (nan, inf), dates and times ISO 8601 (T, Z), infinite ones infinity and -infinity. */
size_t dm_fixed_text(const struct dm_column *c, size_t row, char *out, size_t size);

#endif
