/* The container: "Obj" 1, metadata as a map of bytes, 16 bytes of sync marker, then blocks. A block is the
 * number of its records, the number of its bytes (as stored, that is after compression), the bytes, and the
 * sync marker again. Integers are zigzag varints. */
#include "format/avro_read.h"

#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "base/memory.h"

#define MAX_PROPERTIES 4096
/* Values per byte of a block that a sound file may have (nested records of one field), and a start for tiny
 * blocks. */
#define BUDGET_PER_BYTE 64
#define BUDGET_START 4096

static enum dm_status truncated(struct dm_error *err)
{
    return dm_fail(err, DM_ERROR_DATA, NULL, "the Avro data ends in the middle of a value");
}

static size_t remaining(const struct dm_avro_reader *r)
{
    return (size_t)(r->end - r->at);
}

static enum dm_status read_varint(struct dm_avro_reader *r, int64_t *out, struct dm_error *err)
{
    uint64_t v = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
        if (r->at == r->end)
            return truncated(err);
        uint8_t byte = *r->at++;
        if (shift == 63 && byte > 1)
            break;
        v |= (uint64_t)(byte & 0x7f) << shift;
        if ((byte & 0x80) == 0) {
            *out = (int64_t)(v >> 1) ^ -(int64_t)(v & 1);
            return DM_OK;
        }
    }
    return dm_fail(err, DM_ERROR_DATA, NULL, "an Avro integer has more than 64 bits");
}

/* A length and that many bytes. */
static enum dm_status read_sized(struct dm_avro_reader *r, const uint8_t **out, size_t *n,
                                 struct dm_error *err)
{
    int64_t length = 0;
    if (read_varint(r, &length, err) != DM_OK)
        return DM_FAIL;
    if (length < 0 || (uint64_t)length > remaining(r))
        return dm_fail(err, DM_ERROR_DATA, NULL, "an Avro length (%lld) does not fit the data",
                       (long long)length);
    *out = r->at;
    *n = (size_t)length;
    r->at += length;
    return DM_OK;
}

static enum dm_status spend(struct dm_avro_reader *r, uint64_t values, struct dm_error *err)
{
    if (values > r->budget)
        return dm_fail(err, DM_ERROR_DATA, NULL, "an Avro block claims more values than its bytes can hold");
    r->budget -= values;
    return DM_OK;
}

/* The count that starts a run of array or map items. A negative count is followed by the run's size in bytes.
 * 0 ends the array. */
static enum dm_status read_run(struct dm_avro_reader *r, uint64_t *count, struct dm_error *err)
{
    int64_t n = 0;
    int64_t bytes;
    if (read_varint(r, &n, err) != DM_OK)
        return DM_FAIL;
    if (n < 0) {
        if (n == INT64_MIN)
            return dm_fail(err, DM_ERROR_DATA, NULL, "an Avro array has an impossible count");
        n = -n;
        if (read_varint(r, &bytes, err) != DM_OK)
            return DM_FAIL;
        if (bytes < 0 || (uint64_t)bytes > remaining(r))
            return truncated(err);
    }
    *count = (uint64_t)n;
    return DM_OK;
}

/* ---- header ---- */

static enum dm_status read_properties(struct dm_avro_reader *r, struct dm_error *err)
{
    size_t capacity = 0;
    for (;;) {
        uint64_t count;
        if (read_run(r, &count, err) != DM_OK)
            return DM_FAIL;
        if (count == 0)
            return DM_OK;
        if (count > MAX_PROPERTIES - r->n_properties)
            return dm_fail(err, DM_ERROR_DATA, NULL, "the Avro header has too many properties");
        if (r->n_properties + count > capacity) {
            capacity = r->n_properties + (size_t)count + 8;
            r->properties = dm_xrealloc(r->properties, capacity, sizeof *r->properties);
        }
        for (; count > 0; count--) {
            struct dm_avro_property *p = &r->properties[r->n_properties];
            if (read_sized(r, &p->key, &p->key_length, err) != DM_OK ||
                read_sized(r, &p->value, &p->value_length, err) != DM_OK)
                return DM_FAIL;
            r->n_properties++;
        }
    }
}

bool dm_avro_property(const struct dm_avro_reader *r, const char *key, const uint8_t **value, size_t *n)
{
    size_t length = strlen(key);
    for (size_t i = 0; i < r->n_properties; i++) {
        const struct dm_avro_property *p = &r->properties[i];
        if (p->key_length == length && memcmp(p->key, key, length) == 0) {
            *value = p->value;
            *n = p->value_length;
            return true;
        }
    }
    return false;
}

static enum dm_status read_codec(struct dm_avro_reader *r, struct dm_error *err)
{
    const uint8_t *codec;
    size_t n;
    if (!dm_avro_property(r, "avro.codec", &codec, &n) || (n == 4 && memcmp(codec, "null", 4) == 0))
        return DM_OK;
    if (n == 7 && memcmp(codec, "deflate", 7) == 0) {
        r->deflate = true;
        return DM_OK;
    }
    return dm_fail(err, DM_ERROR_DATA, "write the file with codec null or deflate",
                   "Avro codec \"%.*s\" is not supported", (int)(n > 40 ? 40 : n), (const char *)codec);
}

static enum dm_status read_header(struct dm_avro_reader *r, struct dm_error *err)
{
    static const uint8_t magic[4] = {'O', 'b', 'j', 1};
    const uint8_t *schema;
    size_t n;
    if (remaining(r) < sizeof magic || memcmp(r->at, magic, sizeof magic) != 0)
        return dm_fail(err, DM_ERROR_DATA, NULL, "not an Avro file: it does not begin with \"Obj\" 1");
    r->at += sizeof magic;
    if (read_properties(r, err) != DM_OK || read_codec(r, err) != DM_OK)
        return DM_FAIL;
    if (remaining(r) < sizeof r->sync)
        return truncated(err);
    memcpy(r->sync, r->at, sizeof r->sync);
    r->at += sizeof r->sync;
    if (!dm_avro_property(r, "avro.schema", &schema, &n))
        return dm_fail(err, DM_ERROR_DATA, NULL, "the Avro header has no schema");
    if (dm_avro_schema_parse(&r->schema, (const char *)schema, n, err) != DM_OK)
        return DM_FAIL;
    if (r->schema.root->kind != DM_AVRO_RECORD)
        return dm_fail(err, DM_ERROR_DATA, NULL, "the Avro file holds values of type %s, not records",
                       dm_avro_kind_name(r->schema.root->kind));
    return DM_OK;
}

enum dm_status dm_avro_open(struct dm_avro_reader *r, const uint8_t *bytes, size_t n, struct dm_error *err)
{
    /* An empty input may come as NULL, which pointer arithmetic must not see. */
    static const uint8_t nothing[1];
    if (n == 0)
        bytes = nothing;
    *r = (struct dm_avro_reader){.at = bytes, .end = bytes + n, .file_end = bytes + n};
    dm_buffer_init(&r->inflated, DM_AVRO_MAX_BLOCK);
    if (read_header(r, err) != DM_OK) {
        dm_avro_close(r);
        return DM_FAIL;
    }
    r->file_at = r->end = r->at;
    return DM_OK;
}

void dm_avro_close(struct dm_avro_reader *r)
{
    free(r->properties);
    dm_avro_schema_release(&r->schema);
    dm_buffer_release(&r->inflated);
    *r = (struct dm_avro_reader){0};
}

const struct dm_avro_type *dm_avro_root(const struct dm_avro_reader *r)
{
    return r->schema.root;
}

/* ---- blocks ---- */

/* Raw deflate (RFC 1951), as Avro's deflate codec has it: no zlib header, no checksum. */
static enum dm_status inflate_block(struct dm_avro_reader *r, const uint8_t *bytes, size_t n,
                                    struct dm_error *err)
{
    z_stream z = {0};
    if (n > UINT32_MAX)
        return dm_fail(err, DM_ERROR_DATA, NULL, "an Avro block is larger than 4 GiB");
    if (inflateInit2(&z, -MAX_WBITS) != Z_OK)
        return dm_fail_memory(err, 1 << MAX_WBITS);
    dm_buffer_clear(&r->inflated);
    union { /* zlib's interface has no const */
        const uint8_t *in;
        Bytef *out;
    } input = {.in = bytes};
    z.next_in = input.out;
    z.avail_in = (uInt)n;
    enum dm_status status = DM_OK;
    int code = Z_OK;
    while (code == Z_OK) {
        size_t room = n < 1024 ? 4096 : n * 2;
        if (room > DM_AVRO_MAX_BLOCK - r->inflated.len)
            room = DM_AVRO_MAX_BLOCK - r->inflated.len;
        if (room == 0) {
            status = dm_fail(err, DM_ERROR_DATA, NULL, "an Avro block is larger than %zu bytes",
                             DM_AVRO_MAX_BLOCK);
            break;
        }
        if ((status = dm_buffer_reserve(&r->inflated, room, err)) != DM_OK)
            break;
        z.next_out = r->inflated.data + r->inflated.len;
        z.avail_out = (uInt)room;
        code = inflate(&z, Z_NO_FLUSH);
        r->inflated.len += room - z.avail_out;
    }
    /* Bytes may follow the stream: PyIceberg 0.12 leaves three bytes of zlib's checksum there. */
    if (status == DM_OK && code != Z_STREAM_END)
        status = dm_fail(err, DM_ERROR_DATA, NULL, "an Avro block is not valid deflate data");
    (void)inflateEnd(&z);
    return status;
}

static enum dm_status next_block(struct dm_avro_reader *r, struct dm_error *err)
{
    int64_t records;
    const uint8_t *bytes = NULL;
    size_t n = 0;
    r->at = r->file_at;
    r->end = r->file_end;
    if (read_varint(r, &records, err) != DM_OK || read_sized(r, &bytes, &n, err) != DM_OK)
        return DM_FAIL;
    if (records < 0)
        return dm_fail(err, DM_ERROR_DATA, NULL, "an Avro block has an impossible count of records");
    if (remaining(r) < sizeof r->sync)
        return truncated(err);
    if (memcmp(r->at, r->sync, sizeof r->sync) != 0)
        return dm_fail(err, DM_ERROR_DATA, NULL, "an Avro block does not end with the file's sync marker");
    r->file_at = r->at + sizeof r->sync;
    if (r->deflate) {
        if (inflate_block(r, bytes, n, err) != DM_OK)
            return DM_FAIL;
        bytes = r->inflated.data;
        n = r->inflated.len;
    }
    if (n > 0) {
        r->at = bytes;
        r->end = bytes + n;
    } else {
        r->end = r->at;
    }
    r->records_left = (uint64_t)records;
    r->budget = (uint64_t)n * BUDGET_PER_BYTE + BUDGET_START;
    return DM_OK;
}

enum dm_status dm_avro_next(struct dm_avro_reader *r, struct dm_error *err)
{
    while (r->records_left == 0) {
        if (r->at != r->end)
            return dm_fail(err, DM_ERROR_DATA, NULL, "an Avro block has %zu bytes after its last record",
                           remaining(r));
        if (r->file_at == r->file_end)
            return DM_END;
        if (next_block(r, err) != DM_OK)
            return DM_FAIL;
    }
    r->records_left--;
    return spend(r, 1, err);
}

/* ---- values ---- */

enum dm_status dm_avro_resolve(struct dm_avro_reader *r, const struct dm_avro_type **type,
                               struct dm_error *err)
{
    int64_t branch;
    if ((*type)->kind != DM_AVRO_UNION)
        return DM_OK;
    if (read_varint(r, &branch, err) != DM_OK)
        return DM_FAIL;
    if (branch < 0 || (uint64_t)branch >= (*type)->n_members)
        return dm_fail(err, DM_ERROR_DATA, NULL, "an Avro union has no branch %lld", (long long)branch);
    *type = (*type)->members[branch].type;
    return DM_OK;
}

static enum dm_status unexpected(const struct dm_avro_type *type, const char *wanted, struct dm_error *err)
{
    return dm_fail(err, DM_ERROR_DATA, NULL, "an Avro value is of type %s where %s is expected",
                   dm_avro_kind_name(type->kind), wanted);
}

enum dm_status dm_avro_get_long(struct dm_avro_reader *r, const struct dm_avro_type *type, int64_t if_null,
                                int64_t *out, struct dm_error *err)
{
    if (dm_avro_resolve(r, &type, err) != DM_OK || spend(r, 1, err) != DM_OK)
        return DM_FAIL;
    if (type->kind == DM_AVRO_NULL) {
        *out = if_null;
        return DM_OK;
    }
    if (type->kind != DM_AVRO_INT && type->kind != DM_AVRO_LONG)
        return unexpected(type, "an integer", err);
    if (read_varint(r, out, err) != DM_OK)
        return DM_FAIL;
    if (type->kind == DM_AVRO_INT && (*out < INT32_MIN || *out > INT32_MAX))
        return dm_fail(err, DM_ERROR_DATA, NULL, "an Avro int has more than 32 bits");
    return DM_OK;
}

enum dm_status dm_avro_get_bool(struct dm_avro_reader *r, const struct dm_avro_type *type, bool *out,
                                struct dm_error *err)
{
    if (dm_avro_resolve(r, &type, err) != DM_OK || spend(r, 1, err) != DM_OK)
        return DM_FAIL;
    *out = false;
    if (type->kind == DM_AVRO_NULL)
        return DM_OK;
    if (type->kind != DM_AVRO_BOOLEAN)
        return unexpected(type, "a boolean", err);
    if (remaining(r) < 1)
        return truncated(err);
    *out = *r->at++ != 0;
    return DM_OK;
}

enum dm_status dm_avro_get_bytes(struct dm_avro_reader *r, const struct dm_avro_type *type,
                                 const uint8_t **out, size_t *n, struct dm_error *err)
{
    if (dm_avro_resolve(r, &type, err) != DM_OK || spend(r, 1, err) != DM_OK)
        return DM_FAIL;
    switch (type->kind) {
    case DM_AVRO_NULL:
        *out = NULL;
        *n = 0;
        return DM_OK;
    case DM_AVRO_STRING:
    case DM_AVRO_BYTES: return read_sized(r, out, n, err);
    case DM_AVRO_FIXED:
        if (type->size > remaining(r))
            return truncated(err);
        *out = r->at;
        *n = type->size;
        r->at += type->size;
        return DM_OK;
    default: return unexpected(type, "text or bytes", err);
    }
}

enum dm_status dm_avro_items_begin(struct dm_avro_reader *r, const struct dm_avro_type *type,
                                   struct dm_avro_items *items, struct dm_error *err)
{
    if (dm_avro_resolve(r, &type, err) != DM_OK || spend(r, 1, err) != DM_OK)
        return DM_FAIL;
    *items = (struct dm_avro_items){0};
    if (type->kind == DM_AVRO_NULL) {
        items->ended = items->is_null = true;
        return DM_OK;
    }
    if (type->kind != DM_AVRO_ARRAY)
        return unexpected(type, "an array", err);
    items->item = type->members[0].type;
    return DM_OK;
}

enum dm_status dm_avro_items_next(struct dm_avro_reader *r, struct dm_avro_items *items, struct dm_error *err)
{
    if (!items->ended && items->left == 0) {
        if (read_run(r, &items->left, err) != DM_OK)
            return DM_FAIL;
        items->ended = items->left == 0;
    }
    if (items->ended)
        return DM_END;
    items->left--;
    return spend(r, 1, err);
}

/* ---- skipping ---- */

static enum dm_status skip_bytes(struct dm_avro_reader *r, size_t n, struct dm_error *err)
{
    if (n > remaining(r))
        return truncated(err);
    r->at += n;
    return DM_OK;
}

static enum dm_status skip_container(struct dm_avro_reader *r, const struct dm_avro_type *type,
                                     struct dm_error *err)
{
    const uint8_t *key;
    size_t n;
    for (;;) {
        uint64_t count;
        if (read_run(r, &count, err) != DM_OK)
            return DM_FAIL;
        if (count == 0)
            return DM_OK;
        for (; count > 0; count--) {
            if (type->kind == DM_AVRO_MAP && read_sized(r, &key, &n, err) != DM_OK)
                return DM_FAIL;
            if (dm_avro_skip(r, type->members[0].type, err) != DM_OK)
                return DM_FAIL;
        }
    }
}

static enum dm_status skip_resolved(struct dm_avro_reader *r, const struct dm_avro_type *type,
                                    struct dm_error *err)
{
    int64_t number;
    const uint8_t *bytes;
    size_t n;
    switch (type->kind) {
    case DM_AVRO_NULL: return DM_OK;
    case DM_AVRO_BOOLEAN: return skip_bytes(r, 1, err);
    case DM_AVRO_INT:
    case DM_AVRO_LONG:
    case DM_AVRO_ENUM: return read_varint(r, &number, err);
    case DM_AVRO_FLOAT: return skip_bytes(r, 4, err);
    case DM_AVRO_DOUBLE: return skip_bytes(r, 8, err);
    case DM_AVRO_BYTES:
    case DM_AVRO_STRING: return read_sized(r, &bytes, &n, err);
    case DM_AVRO_FIXED: return skip_bytes(r, type->size, err);
    case DM_AVRO_RECORD:
        for (size_t i = 0; i < type->n_members; i++)
            if (dm_avro_skip(r, type->members[i].type, err) != DM_OK)
                return DM_FAIL;
        return DM_OK;
    case DM_AVRO_ARRAY:
    case DM_AVRO_MAP: return skip_container(r, type, err);
    case DM_AVRO_UNION: /* resolved before; Avro allows no union in a union */ break;
    }
    return unexpected(type, "a value", err);
}

enum dm_status dm_avro_skip(struct dm_avro_reader *r, const struct dm_avro_type *type, struct dm_error *err)
{
    if (r->depth >= DM_AVRO_MAX_DEPTH)
        return dm_fail(err, DM_ERROR_DATA, NULL, "an Avro value is nested too deep");
    if (dm_avro_resolve(r, &type, err) != DM_OK || spend(r, 1, err) != DM_OK)
        return DM_FAIL;
    r->depth++;
    enum dm_status status = skip_resolved(r, type, err);
    r->depth--;
    return status;
}
