/* change_input.h — inside engine/ only: the bytes of a file, unpacked, in a window that the text readers look through.
 *
 * gzip (several members, too) and zstd are recognised by their first bytes. The window is data[begin .. end); whoever reads moves `begin`
 * on, and dm_change_input_fill brings more behind it: the unread bytes may move, so keep offsets from `begin`, not pointers. Behind
 * `end` stand DM_INPUT_PAD zero bytes. The window grows as long as nothing is taken from it: its reader sets the limit.
 * zlib and zstd unpack here rather than DuckDB, which has no way to hand out the bytes of a file piece by piece.
 *
 * Owns file and memory. One thread. Failure: DATA when the compressed data is cut off or damaged, with the file's name.
 */
#ifndef DM_ENGINE_CHANGE_INPUT_H
#define DM_ENGINE_CHANGE_INPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

enum { DM_INPUT_PAD = 64 };

enum dm_packing { DM_PACKED_NOT = 0, DM_PACKED_GZIP, DM_PACKED_ZSTD };

struct dm_change_input {
    char *name; /* for messages */
    int fd;     /* -1: bytes in memory */
    enum dm_packing packing;
    uint8_t *data;
    size_t begin, end, capacity;
    bool eof;                         /* nothing comes behind `end` */
    uint64_t bytes_read, bytes_total; /* of the file as it lies there; total 0: unknown */
    uint64_t unpacked, max_unpacked;  /* bytes that came out so far, and how many may; 0: any number */
    struct dm_unpacker *unpacker;     /* NULL: plain */
};

/* Opens and brings the first bytes. max_unpacked: more than these, and the file is refused (DATA); 0: no limit. */
enum dm_status dm_change_input_open(struct dm_change_input *in, const char *path, uint64_t max_unpacked,
                                    struct dm_error *err) DM_MUST_USE;
/* The bytes are copied and are not compressed. */
void dm_change_input_open_memory(struct dm_change_input *in, const char *name, const void *bytes, size_t n);
/* At least one more byte behind `end`, or eof. */
enum dm_status dm_change_input_fill(struct dm_change_input *in, struct dm_error *err) DM_MUST_USE;
void dm_change_input_close(struct dm_change_input *in);

static inline const char *dm_change_input_at(const struct dm_change_input *in)
{
    return (const char *)in->data + in->begin;
}
static inline size_t dm_change_input_left(const struct dm_change_input *in)
{
    return in->end - in->begin;
}

#endif
