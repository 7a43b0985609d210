#include "format/puffin.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "base/bytes.h"
#include "base/memory.h"
#include "format/roaring_check.h"

#define POS_FIELD_ID 2147483645 /* _pos */
#define VECTOR_TYPE "deletion-vector-v1"
#define TAIL_BYTES 12 /* footer length, flags, magic */

static const uint8_t file_magic[4] = {'P', 'F', 'A', '1'};
static const uint8_t vector_magic[4] = {0xd1, 0xd3, 0x39, 0x64};

/* zlib takes 32-bit lengths. */
static uint32_t checksum(const uint8_t *bytes, size_t n)
{
    uLong crc = crc32(0, NULL, 0);
    for (size_t step; n > 0; n -= step, bytes += step) {
        step = n > (1u << 30) ? (1u << 30) : n;
        crc = crc32(crc, bytes, (uInt)step);
    }
    return (uint32_t)crc;
}

/* ---- encode ---- */

static enum dm_status append_vector(const roaring_bitmap_t *deleted, struct dm_buffer *out,
                                    struct dm_error *err)
{
    if (roaring_bitmap_is_empty(deleted))
        return dm_fail(err, DM_ERROR_FATAL, NULL, "an empty deletion vector is not written");
    size_t checked = sizeof vector_magic + 8 + 4 + roaring_bitmap_portable_size_in_bytes(deleted);
    if (checked > INT32_MAX)
        return dm_fail(err, DM_ERROR_FATAL, NULL, "a deletion vector of %zu bytes is too large", checked);
    if (dm_buffer_reserve(out, 4 + checked + 4, err) != DM_OK)
        return DM_FAIL;
    uint8_t *p = out->data + out->len;
    dm_put_be32(p, (uint32_t)checked);
    memcpy(p + 4, vector_magic, sizeof vector_magic);
    dm_put_le64(p + 8, 1);  /* number of bitmaps */
    dm_put_le32(p + 16, 0); /* the upper 32 bits of all positions */
    (void)roaring_bitmap_portable_serialize(deleted, (char *)p + 20);
    dm_put_be32(p + 4 + checked, checksum(p + 4, checked));
    out->len += 4 + checked + 4;
    return DM_OK;
}

static json_t *blob_metadata(const struct dm_puffin_vector *v)
{
    char *cardinality = dm_xasprintf("%llu", (unsigned long long)roaring_bitmap_get_cardinality(v->deleted));
    json_t *blob = json_pack("{s:s, s:[i], s:i, s:i, s:I, s:I, s:{s:s, s:s}}", "type", VECTOR_TYPE, "fields",
                             POS_FIELD_ID, "snapshot-id", -1, "sequence-number", -1, "offset",
                             (json_int_t)v->offset, "length", (json_int_t)v->length, "properties",
                             "referenced-data-file", v->data_file, "cardinality", cardinality);
    free(cardinality);
    return blob;
}

static enum dm_status append_footer_payload(const struct dm_puffin_vector *vectors, size_t n,
                                            const char *created_by, struct dm_buffer *out,
                                            struct dm_error *err)
{
    json_t *blobs = json_array();
    for (size_t i = 0; i < n; i++) {
        json_t *blob = blob_metadata(&vectors[i]);
        if (blob == NULL || json_array_append_new(blobs, blob) != 0) {
            json_decref(blobs);
            return dm_fail(err, DM_ERROR_DATA, NULL, "the path \"%.300s\" is not UTF-8 text",
                           vectors[i].data_file);
        }
    }
    json_t *root = json_pack("{s:o, s:{s:s}}", "blobs", blobs, "properties", "created-by", created_by);
    char *text = root != NULL ? json_dumps(root, JSON_COMPACT) : NULL;
    json_decref(root);
    if (text == NULL)
        return dm_fail(err, DM_ERROR_FATAL, NULL, "the puffin footer could not be made");
    size_t length = strlen(text);
    enum dm_status status = length <= INT32_MAX
                                ? dm_buffer_append(out, text, length, err)
                                : dm_fail(err, DM_ERROR_FATAL, NULL, "the puffin footer is too large");
    free(text);
    return status;
}

static enum dm_status append_file(struct dm_puffin_vector *vectors, size_t n, const char *created_by,
                                  size_t start, struct dm_buffer *out, struct dm_error *err)
{
    if (dm_buffer_append(out, file_magic, sizeof file_magic, err) != DM_OK)
        return DM_FAIL;
    for (size_t i = 0; i < n; i++) {
        vectors[i].offset = out->len - start;
        if (append_vector(vectors[i].deleted, out, err) != DM_OK)
            return DM_FAIL;
        vectors[i].length = out->len - start - vectors[i].offset;
    }
    if (dm_buffer_append(out, file_magic, sizeof file_magic, err) != DM_OK)
        return DM_FAIL;
    size_t payload = out->len;
    if (append_footer_payload(vectors, n, created_by, out, err) != DM_OK)
        return DM_FAIL;
    uint8_t tail[TAIL_BYTES] = {0}; /* flags 0: the footer is not compressed */
    dm_put_le32(tail, (uint32_t)(out->len - payload));
    memcpy(tail + 8, file_magic, sizeof file_magic);
    return dm_buffer_append(out, tail, sizeof tail, err);
}

enum dm_status dm_puffin_encode(struct dm_puffin_vector *vectors, size_t n, const char *created_by,
                                struct dm_buffer *out, struct dm_error *err)
{
    size_t start = out->len;
    enum dm_status status = append_file(vectors, n, created_by, start, out, err);
    if (status != DM_OK) {
        out->len = start;
        dm_error_prefix(err, "puffin file");
    }
    return status;
}

/* ---- decode ---- */

/* The vector between magic and checksum: a count, and for each key a 32-bit bitmap. We take key 0 only. */
static enum dm_status decode_positions(const uint8_t *bytes, size_t n, roaring_bitmap_t **out,
                                       struct dm_error *err)
{
    size_t used;
    if (n < 8)
        return dm_fail(err, DM_ERROR_DATA, NULL, "it is cut off");
    uint64_t bitmaps = dm_get_le64(bytes);
    if (bitmaps == 0 && n == 8) {
        *out = roaring_bitmap_create();
        return *out != NULL ? DM_OK : dm_fail_memory(err, sizeof **out);
    }
    if (bitmaps > 1 || (bitmaps == 1 && n >= 12 && dm_get_le32(bytes + 8) != 0))
        return dm_fail(err, DM_ERROR_DATA, NULL, "positions beyond 32 bits are not supported");
    if (bitmaps == 0 || n < 12)
        return dm_fail(err, DM_ERROR_DATA, NULL, "its length is wrong");
    bytes += 12;
    n -= 12;
    if (dm_roaring_check(bytes, n, &used, err) != DM_OK)
        return DM_FAIL;
    if (used != n)
        return dm_fail(err, DM_ERROR_DATA, NULL, "%zu bytes stand after the bitmap", n - used);
    *out = roaring_bitmap_portable_deserialize_safe((const char *)bytes, n);
    return *out != NULL ? DM_OK : dm_fail(err, DM_ERROR_DATA, NULL, "the bitmap cannot be read");
}

static enum dm_status decode_blob(const uint8_t *blob, size_t n, roaring_bitmap_t **out, struct dm_error *err)
{
    if (n < 4 + sizeof vector_magic + 8 + 4)
        return dm_fail(err, DM_ERROR_DATA, NULL, "it is cut off");
    size_t checked = n - 8;
    if (dm_get_be32(blob) != checked)
        return dm_fail(err, DM_ERROR_DATA, NULL, "its length field says %u where %zu bytes are",
                       dm_get_be32(blob), checked);
    if (memcmp(blob + 4, vector_magic, sizeof vector_magic) != 0)
        return dm_fail(err, DM_ERROR_DATA, NULL, "its magic bytes are wrong");
    if (dm_get_be32(blob + 4 + checked) != checksum(blob + 4, checked))
        return dm_fail(err, DM_ERROR_DATA, "the file is damaged: restore it, or resync the dataset",
                       "its checksum is wrong");
    return decode_positions(blob + 8, checked - sizeof vector_magic, out, err);
}

enum dm_status dm_puffin_vector_decode(const uint8_t *blob, size_t n, roaring_bitmap_t **out,
                                       struct dm_error *err)
{
    *out = NULL;
    if (decode_blob(blob, n, out, err) == DM_OK)
        return DM_OK;
    dm_error_prefix(err, "deletion vector");
    return DM_FAIL;
}

/* ---- check ---- */

static enum dm_status check_cardinality(const json_t *blob, const roaring_bitmap_t *deleted,
                                        struct dm_error *err)
{
    const json_t *properties = json_object_get(blob, "properties");
    const char *said = json_string_value(json_object_get(properties, "cardinality"));
    if (json_string_value(json_object_get(properties, "referenced-data-file")) == NULL || said == NULL)
        return dm_fail(err, DM_ERROR_DATA, NULL, "referenced-data-file or cardinality is missing");
    char *found = dm_xasprintf("%llu", (unsigned long long)roaring_bitmap_get_cardinality(deleted));
    enum dm_status status =
        strcmp(said, found) == 0
            ? DM_OK
            : dm_fail(err, DM_ERROR_DATA, NULL, "its cardinality is %s where %.40s is said", found, said);
    free(found);
    return status;
}

/* `end`: where the footer begins. *left: bytes that blobs may still take; without it, many blobs in one place
 * would be long work. */
static enum dm_status check_blob(const uint8_t *file, size_t end, const json_t *blob, size_t *left,
                                 struct dm_error *err)
{
    const char *type = json_string_value(json_object_get(blob, "type"));
    const json_t *offset_json = json_object_get(blob, "offset");
    const json_t *length_json = json_object_get(blob, "length");
    if (type == NULL || !json_is_array(json_object_get(blob, "fields")) || !json_is_integer(offset_json) ||
        !json_is_integer(length_json))
        return dm_fail(err, DM_ERROR_DATA, NULL, "type, fields, offset or length is missing");
    json_int_t offset = json_integer_value(offset_json);
    json_int_t length = json_integer_value(length_json);
    if (offset < (json_int_t)sizeof file_magic || length < 0 || (uint64_t)offset > end ||
        (uint64_t)length > end - (uint64_t)offset)
        return dm_fail(err, DM_ERROR_DATA, NULL, "it lies outside the file");
    if ((uint64_t)length > *left)
        return dm_fail(err, DM_ERROR_DATA, NULL, "it overlaps another blob");
    *left -= (size_t)length;
    if (strcmp(type, VECTOR_TYPE) != 0)
        return DM_OK;
    if (json_object_get(blob, "compression-codec") != NULL)
        return dm_fail(err, DM_ERROR_DATA, NULL, "a deletion vector may not be compressed");
    roaring_bitmap_t *deleted;
    if (dm_puffin_vector_decode(file + offset, (size_t)length, &deleted, err) != DM_OK)
        return DM_FAIL;
    enum dm_status status = check_cardinality(blob, deleted, err);
    roaring_bitmap_free(deleted);
    return status;
}

static enum dm_status check_blobs(const uint8_t *file, size_t end, const json_t *root, size_t *blobs,
                                  struct dm_error *err)
{
    const json_t *list = json_object_get(root, "blobs");
    if (!json_is_array(list))
        return dm_fail(err, DM_ERROR_DATA, NULL, "the footer has no list of blobs");
    size_t left = end;
    for (size_t i = 0; i < json_array_size(list); i++)
        if (check_blob(file, end, json_array_get(list, i), &left, err) != DM_OK) {
            dm_error_prefix(err, "blob %zu", i);
            return DM_FAIL;
        }
    *blobs = json_array_size(list);
    return DM_OK;
}

static enum dm_status check_file(const uint8_t *file, size_t n, size_t *blobs, struct dm_error *err)
{
    if (n < 2 * sizeof file_magic + TAIL_BYTES || memcmp(file, file_magic, sizeof file_magic) != 0 ||
        memcmp(file + n - sizeof file_magic, file_magic, sizeof file_magic) != 0)
        return dm_fail(err, DM_ERROR_DATA, NULL, "it does not begin and end with \"PFA1\"");
    const uint8_t *tail = file + n - TAIL_BYTES;
    uint32_t payload = dm_get_le32(tail);
    if (payload > n - 2 * sizeof file_magic - TAIL_BYTES)
        return dm_fail(err, DM_ERROR_DATA, NULL, "its footer is longer than the file");
    size_t end = n - TAIL_BYTES - payload - sizeof file_magic;
    if (memcmp(file + end, file_magic, sizeof file_magic) != 0)
        return dm_fail(err, DM_ERROR_DATA, NULL, "its footer does not begin with \"PFA1\"");
    if (dm_get_le32(tail + 4) != 0)
        return dm_fail(err, DM_ERROR_DATA, NULL, "its footer is compressed or has unknown flags");
    json_error_t where;
    json_t *root =
        json_loadb((const char *)file + end + sizeof file_magic, payload, JSON_REJECT_DUPLICATES, &where);
    if (root == NULL)
        return dm_fail(err, DM_ERROR_DATA, NULL, "its footer is not JSON: %s at byte %d", where.text,
                       where.position);
    enum dm_status status = check_blobs(file, end, root, blobs, err);
    json_decref(root);
    return status;
}

enum dm_status dm_puffin_check(const uint8_t *file, size_t n, size_t *blobs, struct dm_error *err)
{
    *blobs = 0;
    if (check_file(file, n, blobs, err) == DM_OK)
        return DM_OK;
    dm_error_prefix(err, "puffin file");
    return DM_FAIL;
}
