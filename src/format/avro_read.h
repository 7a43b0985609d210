/* avro_read.h — reads Avro object container files from memory, record by record, by the writer's schema.
 *
 * The reader keeps no copy of the values: a caller walks the schema (dm_avro_root) and pulls each value of
 * each record in order, or skips it. So any field order, and fields that nobody knows, are fine. Codecs: null
 * and deflate.
 *
 * Ownership: `bytes` is borrowed until dm_avro_close. Bytes handed out by dm_avro_get_bytes live until the
 * next dm_avro_next.
 * Threads: one reader belongs to one thread.
 * Failure: whatever the bytes are, the outcome is a value or a DATA error. Work and memory are bounded by the
 * length of the input: nesting by DM_AVRO_MAX_DEPTH, blocks by DM_AVRO_MAX_BLOCK, values without bytes
 * (nulls, empty records) by a budget. After DM_FAIL only dm_avro_close may follow.
 * Source: Apache Avro specification, "Object Container Files" and "Binary Encoding".
 *
 *     struct dm_avro_reader r;
 *     if (dm_avro_open(&r, bytes, n, err) != DM_OK) return DM_FAIL;
 *     while ((status = dm_avro_next(&r, err)) == DM_OK)
 *         for (size_t i = 0; i < dm_avro_root(&r)->n_members; i++)
 *             read or dm_avro_skip(&r, dm_avro_root(&r)->members[i].type, err)
 *     dm_avro_close(&r);
 */
#ifndef DM_FORMAT_AVRO_READ_H
#define DM_FORMAT_AVRO_READ_H

#include <stdbool.h>

#include "base/buffer.h"
#include "format/avro_schema.h"

#define DM_AVRO_MAX_BLOCK ((size_t)64 << 20)

struct dm_avro_property {
    const uint8_t *key;
    size_t key_length;
    const uint8_t *value;
    size_t value_length;
};

struct dm_avro_reader {
    const uint8_t *at;  /* the next value */
    const uint8_t *end; /* end of what may be read now: the header, or the current block's data */
    const uint8_t *file_at;
    const uint8_t *file_end;
    struct dm_avro_schema schema;
    size_t n_properties;
    struct dm_avro_property *properties; /* the header's metadata */
    uint8_t sync[16];
    bool deflate;
    bool in_block;
    struct dm_buffer inflated;
    uint64_t records_left; /* in the current block */
    uint64_t budget;       /* values that the current block may still have */
    int depth;
};

/* Reads the header. The root type must be a record. On failure nothing is held. */
enum dm_status dm_avro_open(struct dm_avro_reader *r, const uint8_t *bytes, size_t n,
                            struct dm_error *err) DM_MUST_USE;
void dm_avro_close(struct dm_avro_reader *r);
const struct dm_avro_type *dm_avro_root(const struct dm_avro_reader *r);
/* A property of the header; false when it has none of that name. The value is borrowed from the file and not
 * NUL-terminated. */
bool dm_avro_property(const struct dm_avro_reader *r, const char *key, const uint8_t **value, size_t *n);

/* DM_OK: the next record starts here; DM_END: there is none. The one before must have been read to its end. */
enum dm_status dm_avro_next(struct dm_avro_reader *r, struct dm_error *err) DM_MUST_USE;

/* Reads the branch of a union and sets *type to it; any other type is left as it is. */
enum dm_status dm_avro_resolve(struct dm_avro_reader *r, const struct dm_avro_type **type,
                               struct dm_error *err) DM_MUST_USE;
/* INT or LONG, or a union with them; null gives `if_null`. */
enum dm_status dm_avro_get_long(struct dm_avro_reader *r, const struct dm_avro_type *type, int64_t if_null,
                                int64_t *out, struct dm_error *err) DM_MUST_USE;
/* BOOLEAN, or a union with it; null gives false. */
enum dm_status dm_avro_get_bool(struct dm_avro_reader *r, const struct dm_avro_type *type, bool *out,
                                struct dm_error *err) DM_MUST_USE;
/* STRING, BYTES or FIXED, or a union with them; null gives *out = NULL (an empty value does not). */
enum dm_status dm_avro_get_bytes(struct dm_avro_reader *r, const struct dm_avro_type *type,
                                 const uint8_t **out, size_t *n, struct dm_error *err) DM_MUST_USE;
enum dm_status dm_avro_skip(struct dm_avro_reader *r, const struct dm_avro_type *type,
                            struct dm_error *err) DM_MUST_USE;

/* The items of an ARRAY (a null union gives none). */
struct dm_avro_items {
    const struct dm_avro_type *item;
    uint64_t left; /* in this run of items */
    bool ended;
    bool is_null;
};
enum dm_status dm_avro_items_begin(struct dm_avro_reader *r, const struct dm_avro_type *type,
                                   struct dm_avro_items *items, struct dm_error *err) DM_MUST_USE;
/* DM_OK: read or skip one value of items->item now; DM_END: no more. */
enum dm_status dm_avro_items_next(struct dm_avro_reader *r, struct dm_avro_items *items,
                                  struct dm_error *err) DM_MUST_USE;

#endif
