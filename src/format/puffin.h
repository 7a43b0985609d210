/* puffin.h — the Puffin container and the deletion-vector-v1 blob, encode and decode. Bytes only, no I/O.
 *
 * Source: Iceberg Puffin spec. A deletion-vector-v1 blob is: 4 bytes big-endian length of (magic + vector), magic d1 d3 39 64, the 64-bit
 * roaring bitmap in portable form (count of 32-bit keys LE64, then key LE32 + 32-bit portable bitmap each), CRC-32 big-endian of magic + vector.
 * The blob is stored uncompressed; its metadata has fields = [2147483645 (_pos)], snapshot-id -1, sequence-number -1 and properties
 * referenced-data-file and cardinality.
 */
#ifndef DM_FORMAT_PUFFIN_H
#define DM_FORMAT_PUFFIN_H

#include <roaring/roaring.h>

#include "base/buffer.h"

/* One deletion vector to write, or found. */
struct dm_puffin_vector {
    const char *data_file;           /* referenced-data-file: the Iceberg path of the data file */
    const roaring_bitmap_t *deleted; /* positions, all < 2^32 */
    uint64_t offset;                 /* out: blob's place in the file */
    uint64_t length;                 /* out */
};

/* The whole puffin file with n blobs; fills offset and length of each. */
enum dm_status dm_puffin_encode(struct dm_puffin_vector *vectors, size_t n, const char *created_by,
                                struct dm_buffer *out, struct dm_error *err) DM_MUST_USE;
/* Parses one blob's bytes (as found through content_offset and content_size). The caller frees *out with roaring_bitmap_free.
 * Positions beyond 32 bits, bad magic, bad CRC, or trailing bytes are DATA errors. */
enum dm_status dm_puffin_vector_decode(const uint8_t *blob, size_t n, roaring_bitmap_t **out, struct dm_error *err) DM_MUST_USE;
/* Checks header, footer and blob list of a puffin file; *blobs is their number. */
enum dm_status dm_puffin_check(const uint8_t *file, size_t n, size_t *blobs, struct dm_error *err) DM_MUST_USE;

#endif
