/* avro_write.h — writes an Avro object container file into a buffer.
 *
 * The writer does not check values against the schema: the caller puts the values of each record in the
 * schema's order, then ends the record. Blocks close at about 256 KiB. The sync marker is a hash of the
 * header, so equal input gives equal bytes.
 *
 * Failure is sticky: the put functions do nothing after a failure, and dm_avro_writer_finish tells; it then
 * leaves `out` as long as it was before. Errors come from the buffers' maximum only.
 * Memory: the writer owns its block; `out`, `err` and the header's texts are borrowed until finish. One
 * writer belongs to one thread.
 *
 *     struct dm_avro_writer w;
 *     dm_avro_writer_begin(&w, out, schema_json, properties, n, DM_AVRO_CODEC_NULL, err);
 *     dm_avro_put_long(&w, 7);
 *     dm_avro_put_text(&w, "seven");
 *     dm_avro_end_record(&w);
 *     status = dm_avro_writer_finish(&w);     // also frees
 */
#ifndef DM_FORMAT_AVRO_WRITE_H
#define DM_FORMAT_AVRO_WRITE_H

#include <stdbool.h>

#include "base/buffer.h"

enum dm_avro_codec { DM_AVRO_CODEC_NULL, DM_AVRO_CODEC_DEFLATE };

struct dm_avro_text_property {
    const char *key;
    const char *value;
};

struct dm_avro_writer {
    struct dm_buffer *out;
    size_t out_start; /* length of `out` before the file */
    enum dm_avro_codec codec;
    uint8_t sync[16];
    struct dm_buffer block;
    int64_t records; /* in the block */
    enum dm_status status;
    struct dm_error *err;
};

/* Writes the header: the schema, the codec and the properties. */
void dm_avro_writer_begin(struct dm_avro_writer *w, struct dm_buffer *out, const char *schema_json,
                          const struct dm_avro_text_property *properties, size_t n, enum dm_avro_codec codec,
                          struct dm_error *err);
/* int, long, enum; also union branches and item counts */
void dm_avro_put_long(struct dm_avro_writer *w, int64_t value);
void dm_avro_put_bool(struct dm_avro_writer *w, bool value);
void dm_avro_put_bytes(struct dm_avro_writer *w, const void *bytes, size_t n);
void dm_avro_put_text(struct dm_avro_writer *w, const char *text);
/* For a union of null and something: the branch, and the value unless it is null (value < 0; text NULL). */
void dm_avro_put_null(struct dm_avro_writer *w);
void dm_avro_put_optional_long(struct dm_avro_writer *w, int64_t value);
void dm_avro_put_optional_text(struct dm_avro_writer *w, const char *text);
void dm_avro_end_record(struct dm_avro_writer *w);
enum dm_status dm_avro_writer_finish(struct dm_avro_writer *w) DM_MUST_USE;

#endif
