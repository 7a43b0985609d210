#include "format/avro_write.h"

#include <string.h>
#include <xxhash.h>
#include <zlib.h>

#include "base/bytes.h"

#define BLOCK_BYTES ((size_t)256 << 10)
#define MAX_BLOCK ((size_t)64 << 20) /* what our reader accepts */

static void put(struct dm_avro_writer *w, struct dm_buffer *b, const void *bytes, size_t n)
{
    if (w->status == DM_OK)
        w->status = dm_buffer_append(b, bytes, n, w->err);
}

static void put_varint(struct dm_avro_writer *w, struct dm_buffer *b, int64_t value)
{
    uint8_t bytes[10];
    size_t n = 0;
    uint64_t v = ((uint64_t)value << 1) ^ (value < 0 ? UINT64_MAX : 0); /* zigzag */
    for (; v >= 0x80; v >>= 7)
        bytes[n++] = (uint8_t)(v | 0x80);
    bytes[n++] = (uint8_t)v;
    put(w, b, bytes, n);
}

static void put_sized(struct dm_avro_writer *w, struct dm_buffer *b, const void *bytes, size_t n)
{
    put_varint(w, b, (int64_t)n);
    put(w, b, bytes, n);
}

static void put_property(struct dm_avro_writer *w, const char *key, const char *value)
{
    put_sized(w, w->out, key, strlen(key));
    put_sized(w, w->out, value, strlen(value));
}

void dm_avro_writer_begin(struct dm_avro_writer *w, struct dm_buffer *out, const char *schema_json,
                          const struct dm_avro_text_property *properties, size_t n, enum dm_avro_codec codec,
                          struct dm_error *err)
{
    *w = (struct dm_avro_writer){
        .out = out, .out_start = out->len, .codec = codec, .status = DM_OK, .err = err};
    dm_buffer_init(&w->block, MAX_BLOCK);
    put(w, out, "Obj\x01", 4);
    put_varint(w, out, (int64_t)n + 2);
    put_property(w, "avro.schema", schema_json);
    put_property(w, "avro.codec", codec == DM_AVRO_CODEC_DEFLATE ? "deflate" : "null");
    for (size_t i = 0; i < n; i++)
        put_property(w, properties[i].key, properties[i].value);
    put_varint(w, out, 0);
    if (w->status != DM_OK)
        return;
    XXH128_hash_t hash = XXH3_128bits(out->data + w->out_start, out->len - w->out_start);
    dm_put_be64(w->sync, hash.high64);
    dm_put_be64(w->sync + 8, hash.low64);
    put(w, out, w->sync, sizeof w->sync);
}

/* Raw deflate of the block, with its length in front. Level 1: manifests are repetitive, and a commit waits
 * for this. */
static void put_deflated(struct dm_avro_writer *w)
{
    z_stream z = {0};
    struct dm_buffer packed;
    if (deflateInit2(&z, 1, Z_DEFLATED, -MAX_WBITS, 8, Z_DEFAULT_STRATEGY) != Z_OK) {
        w->status = dm_fail_memory(w->err, 1 << MAX_WBITS);
        return;
    }
    size_t bound = deflateBound(&z, (uLong)w->block.len);
    dm_buffer_init(&packed, bound);
    w->status = dm_buffer_reserve(&packed, bound, w->err);
    if (w->status == DM_OK) {
        z.next_in = w->block.data;
        z.avail_in = (uInt)w->block.len; /* at most MAX_BLOCK */
        z.next_out = packed.data;
        z.avail_out = (uInt)bound;
        if (deflate(&z, Z_FINISH) != Z_STREAM_END)
            w->status = dm_fail(w->err, DM_ERROR_FATAL, NULL, "an Avro block could not be compressed");
        packed.len = bound - z.avail_out;
        put_sized(w, w->out, packed.data, packed.len);
    }
    (void)deflateEnd(&z);
    dm_buffer_release(&packed);
}

static void flush_block(struct dm_avro_writer *w)
{
    if (w->status != DM_OK || w->records == 0)
        return;
    put_varint(w, w->out, w->records);
    if (w->codec == DM_AVRO_CODEC_DEFLATE)
        put_deflated(w);
    else
        put_sized(w, w->out, w->block.data, w->block.len);
    put(w, w->out, w->sync, sizeof w->sync);
    dm_buffer_clear(&w->block);
    w->records = 0;
}

void dm_avro_put_long(struct dm_avro_writer *w, int64_t value)
{
    put_varint(w, &w->block, value);
}

void dm_avro_put_bool(struct dm_avro_writer *w, bool value)
{
    const uint8_t byte = value;
    put(w, &w->block, &byte, 1);
}

void dm_avro_put_bytes(struct dm_avro_writer *w, const void *bytes, size_t n)
{
    put_sized(w, &w->block, bytes, n);
}

void dm_avro_put_text(struct dm_avro_writer *w, const char *text)
{
    put_sized(w, &w->block, text, strlen(text));
}

void dm_avro_put_null(struct dm_avro_writer *w)
{
    put_varint(w, &w->block, 0);
}

void dm_avro_put_optional_long(struct dm_avro_writer *w, int64_t value)
{
    put_varint(w, &w->block, value >= 0);
    if (value >= 0)
        put_varint(w, &w->block, value);
}

void dm_avro_put_optional_text(struct dm_avro_writer *w, const char *text)
{
    put_varint(w, &w->block, text != NULL);
    if (text != NULL)
        dm_avro_put_text(w, text);
}

void dm_avro_end_record(struct dm_avro_writer *w)
{
    w->records++;
    if (w->block.len >= BLOCK_BYTES)
        flush_block(w);
}

enum dm_status dm_avro_writer_finish(struct dm_avro_writer *w)
{
    flush_block(w);
    if (w->status != DM_OK)
        w->out->len = w->out_start;
    dm_buffer_release(&w->block);
    return w->status;
}
