/* puffin.h — the Puffin container and the deletion-vector-v1 blob, encode and decode. Bytes only, no I/O.
 *
 * A Puffin file is: magic PFA1, the blobs, magic, a JSON footer, its length (LE32), 4 bytes of flags, magic.
 * A deletion-vector-v1 blob is: 4 bytes big-endian length of (magic + vector), magic d1 d3 39 64, the 64-bit
 * roaring bitmap in portable form (count of 32-bit keys LE64, then key LE32 + 32-bit portable bitmap each),
 * CRC-32 big-endian of magic + vector. It is stored uncompressed; its metadata has fields = [2147483645
 * (_pos)], snapshot-id -1, sequence-number -1 and the properties referenced-data-file and cardinality.
 *
 * Ownership: what comes out belongs to the caller, what goes in is borrowed for the call. No shared state
 * between threads.
 * Failure: hostile bytes are DATA errors; nothing is handed to the bitmap library before it was checked
 * (roaring_check.h).
 * Source: Iceberg Puffin spec; Roaring format spec.
 *
 *     struct dm_puffin_vector v = {.data_file = path, .deleted = bitmap};
 *     if (dm_puffin_encode(&v, 1, "Data Mirror 0.1", &file, err) != DM_OK) ...
 *     roaring_bitmap_t *again;
 *     if (dm_puffin_vector_decode(file.data + v.offset, v.length, &again, err) != DM_OK) ...
 */
#ifndef DM_FORMAT_PUFFIN_H
#define DM_FORMAT_PUFFIN_H

#include <roaring/roaring.h>

#include "base/buffer.h"

/* One deletion vector to write. */
struct dm_puffin_vector {
    const char *data_file;           /* referenced-data-file: the Iceberg path of the data file, UTF-8 */
    const roaring_bitmap_t *deleted; /* positions; not empty (some readers fail on that). When long runs are
                                      * likely, call roaring_bitmap_run_optimize before */
    uint64_t offset;                 /* out: blob's place in the file */
    uint64_t length;                 /* out */
};

/* Appends the whole puffin file with n blobs to `out`; fills offset (from the file's begin) and length of
 * each. On failure `out` is as it was. An empty bitmap is a FATAL error: the caller's bug. */
enum dm_status dm_puffin_encode(struct dm_puffin_vector *vectors, size_t n, const char *created_by,
                                struct dm_buffer *out, struct dm_error *err) DM_MUST_USE;
/* Parses one blob's bytes (as found through content_offset and content_size). The caller frees *out with
 * roaring_bitmap_free. Positions beyond 32 bits, bad magic, bad CRC, or trailing bytes are DATA errors. */
enum dm_status dm_puffin_vector_decode(const uint8_t *blob, size_t n, roaring_bitmap_t **out,
                                       struct dm_error *err) DM_MUST_USE;
/* Checks header, footer and blob list of a puffin file, and every deletion vector in it with its cardinality;
 * *blobs is the number of blobs. A compressed footer is a DATA error. */
enum dm_status dm_puffin_check(const uint8_t *file, size_t n, size_t *blobs,
                               struct dm_error *err) DM_MUST_USE;

#endif
