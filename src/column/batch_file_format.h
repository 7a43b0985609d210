/* batch_file_format.h — the bytes of a spool file, shared by its writer and its reader only.
 *
 *   file   := magic block* end-block
 *   block  := head payload checksum          checksum: XXH3 64 of head and payload
 *   head   := u32 kind, u32 0, u64 length of payload
 *   schema := i32 schema_id, u32 fields, u32 keys, field*, u32 key*
 *   field  := i32 id, element_id, source_ref; u8 type id, precision, scale, element, required; text name, source_type, default
 *   text   := u32 length (NO_TEXT: NULL), bytes
 *   batch  := u32 columns, u32 txn, u32 subxid, u8 flags, u64 rows, ops, txns?, subxids?, column*
 *             (an array all of whose values equal the number in front is left out: flags)
 *   column := u64 length, u8 has_state, state?, data                             fixed width
 *             ... u64 length of bytes, u32 offsets[length + 1], bytes             STRING, BINARY
 *             ... u32 offsets[length + 1], column                                 LIST
 *   mark   := u32 kind, u64 value
 *   end    := u64 number of blocks before it
 * Numbers in machine order, nothing aligned.
 */
#ifndef DM_COLUMN_BATCH_FILE_FORMAT_H
#define DM_COLUMN_BATCH_FILE_FORMAT_H

#include <stdint.h>

#define BATCH_FILE_MAGIC "DMSPOOL1"
#define BATCH_FILE_MAGIC_BYTES 8
#define BATCH_FILE_BUFFER (256 << 10)
#define BATCH_FILE_NO_TEXT UINT32_MAX
#define BATCH_FILE_MAX_FIELDS 65535
#define BATCH_FILE_MAX_TEXT (1 << 20)

enum batch_file_block { BLOCK_SCHEMA = 1, BLOCK_BATCH, BLOCK_MARK, BLOCK_END };
enum batch_file_flags { FLAG_TXNS = 1, FLAG_SUBXIDS = 2 }; /* the array is there */

struct batch_file_head {
    uint32_t kind;
    uint32_t zero;
    uint64_t length;
};

#endif
