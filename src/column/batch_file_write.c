#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#define XXH_STATIC_LINKING_ONLY /* the state's size */
#include <xxhash.h>

#include "base/memory.h"
#include "column/batch_file.h"
#include "column/batch_file_format.h"

struct dm_batch_writer {
    char *path;
    uint8_t *buffer;
    size_t buffered;
    uint64_t bytes; /* appended, buffered ones included */
    uint64_t rows;
    uint64_t blocks;
    const struct dm_schema *schema; /* of the last schema block; owned reference */
    struct dm_buffer schema_bytes;  /* that block's payload */
    XXH3_state_t *hash;
};

/* ---- buffered output ---- */

/* The file is open only while a full buffer is written: there may be one of these for each of a thousand tables, or transactions. */
static enum dm_status write_out(struct dm_batch_writer *w, const uint8_t *bytes, size_t n,
                                struct dm_error *err)
{
    int fd = open(w->path, O_WRONLY | O_APPEND | O_CLOEXEC);
    if (fd < 0)
        return dm_fail_errno(err, "cannot open %s", w->path);
    while (n > 0) {
        ssize_t done = write(fd, bytes, n);
        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0) {
            (void)dm_fail_errno(err, "cannot write %s", w->path);
            (void)close(fd);
            return DM_FAIL;
        }
        bytes += done;
        n -= (size_t)done;
    }
    return close(fd) == 0 ? DM_OK : dm_fail_errno(err, "cannot close %s", w->path);
}

static enum dm_status flush(struct dm_batch_writer *w, struct dm_error *err)
{
    size_t n = w->buffered;
    w->buffered = 0;
    return write_out(w, w->buffer, n, err);
}

static enum dm_status put_unhashed(struct dm_batch_writer *w, const void *bytes, size_t n,
                                   struct dm_error *err)
{
    w->bytes += n;
    if (n > BATCH_FILE_BUFFER - w->buffered && flush(w, err) != DM_OK)
        return DM_FAIL;
    if (n >= BATCH_FILE_BUFFER)
        return write_out(w, bytes, n, err); /* large pieces need no copy */
    if (n > 0)
        memcpy(w->buffer + w->buffered, bytes, n);
    w->buffered += n;
    return DM_OK;
}

static enum dm_status put(struct dm_batch_writer *w, const void *bytes, size_t n, struct dm_error *err)
{
    if (n > 0)
        (void)XXH3_64bits_update(w->hash, bytes, n);
    return put_unhashed(w, bytes, n, err);
}

static enum dm_status begin_block(struct dm_batch_writer *w, enum batch_file_block kind, uint64_t length,
                                  struct dm_error *err)
{
    struct batch_file_head head = {.kind = kind, .length = length};
    (void)XXH3_64bits_reset(w->hash);
    w->blocks++;
    return put(w, &head, sizeof head, err);
}

static enum dm_status end_block(struct dm_batch_writer *w, struct dm_error *err)
{
    uint64_t checksum = XXH3_64bits_digest(w->hash);
    return put_unhashed(w, &checksum, sizeof checksum, err);
}

static enum dm_status put_block(struct dm_batch_writer *w, enum batch_file_block kind, const void *payload,
                                size_t n, struct dm_error *err)
{
    if (begin_block(w, kind, n, err) != DM_OK || put(w, payload, n, err) != DM_OK)
        return DM_FAIL;
    return end_block(w, err);
}

/* ---- schema ---- */

static enum dm_status add_u32(struct dm_buffer *out, uint32_t v, struct dm_error *err)
{
    return dm_buffer_append(out, &v, sizeof v, err);
}

static enum dm_status add_text(struct dm_buffer *out, const char *text, struct dm_error *err)
{
    if (text == NULL)
        return add_u32(out, BATCH_FILE_NO_TEXT, err);
    size_t n = strlen(text);
    if (n > BATCH_FILE_MAX_TEXT)
        return dm_fail(err, DM_ERROR_DATA, NULL, "a column's name or default of %zu bytes is too long", n);
    if (add_u32(out, (uint32_t)n, err) != DM_OK)
        return DM_FAIL;
    return dm_buffer_append(out, text, n, err);
}

static enum dm_status add_field(struct dm_buffer *out, const struct dm_field *f, struct dm_error *err)
{
    const uint8_t small[5] = {f->type.id, f->type.precision, f->type.scale, f->type.element, f->required};
    if (add_u32(out, (uint32_t)f->id, err) != DM_OK || add_u32(out, (uint32_t)f->element_id, err) != DM_OK ||
        add_u32(out, (uint32_t)f->source_ref, err) != DM_OK ||
        dm_buffer_append(out, small, sizeof small, err) != DM_OK || add_text(out, f->name, err) != DM_OK ||
        add_text(out, f->source_type, err) != DM_OK)
        return DM_FAIL;
    return add_text(out, f->default_json, err);
}

static enum dm_status encode_schema(const struct dm_schema *s, struct dm_buffer *out, struct dm_error *err)
{
    if (s->n_fields > BATCH_FILE_MAX_FIELDS || s->n_keys > BATCH_FILE_MAX_FIELDS)
        return dm_fail(err, DM_ERROR_DATA, NULL, "a table of %zu columns is too wide", s->n_fields);
    if (add_u32(out, (uint32_t)s->schema_id, err) != DM_OK ||
        add_u32(out, (uint32_t)s->n_fields, err) != DM_OK || add_u32(out, (uint32_t)s->n_keys, err) != DM_OK)
        return DM_FAIL;
    for (size_t i = 0; i < s->n_fields; i++)
        if (add_field(out, &s->fields[i], err) != DM_OK)
            return DM_FAIL;
    return dm_buffer_append(out, s->keys, s->n_keys * sizeof *s->keys, err);
}

/* A schema block, unless the last one says the same. */
static enum dm_status put_schema(struct dm_batch_writer *w, const struct dm_schema *schema,
                                 struct dm_error *err)
{
    if (w->schema == schema)
        return DM_OK;
    struct dm_buffer bytes;
    dm_buffer_init(&bytes, UINT32_MAX);
    enum dm_status status = encode_schema(schema, &bytes, err);
    if (status == DM_OK && (w->schema == NULL || bytes.len != w->schema_bytes.len ||
                            memcmp(bytes.data, w->schema_bytes.data, bytes.len) != 0))
        status = put_block(w, BLOCK_SCHEMA, bytes.data, bytes.len, err);
    if (status != DM_OK) {
        dm_buffer_release(&bytes);
        return DM_FAIL;
    }
    dm_buffer_release(&w->schema_bytes);
    w->schema_bytes = bytes;
    dm_schema_unref(w->schema);
    w->schema = dm_schema_ref(schema);
    return DM_OK;
}

/* ---- batches ---- */

static bool has_state(const struct dm_column *c)
{
    return c->nulls != 0 || c->unchanged != 0;
}

static uint64_t column_length(const struct dm_column *c)
{
    uint64_t bytes = sizeof(uint64_t) + 1 + (has_state(c) ? c->length : 0);
    if (c->width != 0)
        return bytes + c->length * c->width;
    bytes += (c->length + 1) * sizeof *c->offsets;
    return bytes + (c->child != NULL ? column_length(c->child) : sizeof(uint64_t) + c->bytes.len);
}

static enum dm_status put_column(struct dm_batch_writer *w, const struct dm_column *c, struct dm_error *err)
{
    static const uint32_t no_offsets[1] = {0};
    uint64_t length = c->length, bytes = c->bytes.len;
    uint8_t with_state = has_state(c);
    if (put(w, &length, sizeof length, err) != DM_OK || put(w, &with_state, 1, err) != DM_OK ||
        (with_state && put(w, c->state, c->length, err) != DM_OK))
        return DM_FAIL;
    if (c->width != 0)
        return put(w, c->data, c->length * c->width, err);
    if (c->child == NULL && put(w, &bytes, sizeof bytes, err) != DM_OK)
        return DM_FAIL;
    const uint32_t *offsets = c->length > 0 ? c->offsets : no_offsets;
    if (put(w, offsets, (c->length + 1) * sizeof *offsets, err) != DM_OK)
        return DM_FAIL;
    return c->child != NULL ? put_column(w, c->child, err) : put(w, c->bytes.data, c->bytes.len, err);
}

static bool all_equal(const uint32_t *values, size_t n)
{
    return n == 0 || memcmp(values, values + 1, (n - 1) * sizeof *values) == 0;
}

enum dm_status dm_batch_file_append(struct dm_batch_writer *w, const struct dm_batch *b, struct dm_error *err)
{
    if (put_schema(w, b->schema, err) != DM_OK)
        return DM_FAIL;
    bool txns = !all_equal(b->txns, b->rows), subxids = !all_equal(b->subxids, b->rows);
    uint32_t numbers[3] = {(uint32_t)b->n_columns, b->rows > 0 ? b->txns[0] : 0,
                           b->rows > 0 ? b->subxids[0] : 0};
    uint8_t flags = (uint8_t)((txns ? FLAG_TXNS : 0) | (subxids ? FLAG_SUBXIDS : 0));
    uint64_t rows = b->rows;
    uint64_t length = sizeof numbers + 1 + sizeof rows + rows * (1 + (txns ? 4U : 0) + (subxids ? 4U : 0));
    for (size_t i = 0; i < b->n_columns; i++)
        length += column_length(&b->columns[i]);
    if (begin_block(w, BLOCK_BATCH, length, err) != DM_OK || put(w, numbers, sizeof numbers, err) != DM_OK ||
        put(w, &flags, 1, err) != DM_OK || put(w, &rows, sizeof rows, err) != DM_OK ||
        put(w, b->ops, b->rows, err) != DM_OK ||
        (txns && put(w, b->txns, b->rows * sizeof *b->txns, err) != DM_OK) ||
        (subxids && put(w, b->subxids, b->rows * sizeof *b->subxids, err) != DM_OK))
        return DM_FAIL;
    for (size_t i = 0; i < b->n_columns; i++)
        if (put_column(w, &b->columns[i], err) != DM_OK)
            return DM_FAIL;
    w->rows += b->rows;
    return end_block(w, err);
}

enum dm_status dm_batch_file_append_mark(struct dm_batch_writer *w, uint32_t kind, uint64_t value,
                                         struct dm_error *err)
{
    uint8_t payload[12];
    memcpy(payload, &kind, 4);
    memcpy(payload + 4, &value, 8);
    return put_block(w, BLOCK_MARK, payload, sizeof payload, err);
}

uint64_t dm_batch_file_bytes(const struct dm_batch_writer *w)
{
    return w->bytes;
}

uint64_t dm_batch_file_rows(const struct dm_batch_writer *w)
{
    return w->rows;
}

/* ---- open, close ---- */

enum dm_status dm_batch_file_open_write(const char *path, struct dm_batch_writer **out, struct dm_error *err)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0)
        return dm_fail_errno(err, "cannot create %s", path);
    (void)close(fd);
    struct dm_batch_writer *w = dm_xzalloc(1, sizeof *w);
    w->path = dm_xstrdup(path);
    w->buffer = dm_xalloc(BATCH_FILE_BUFFER);
    w->hash = XXH3_createState();
    if (w->hash == NULL || put_unhashed(w, BATCH_FILE_MAGIC, BATCH_FILE_MAGIC_BYTES, err) != DM_OK) {
        if (w->hash == NULL)
            dm_fail_memory(err, sizeof(XXH3_state_t));
        dm_batch_file_abandon(w);
        return DM_FAIL;
    }
    *out = w;
    return DM_OK;
}

static void free_writer(struct dm_batch_writer *w)
{
    (void)XXH3_freeState(w->hash);
    dm_schema_unref(w->schema);
    dm_buffer_release(&w->schema_bytes);
    free(w->buffer);
    free(w->path);
    free(w);
}

enum dm_status dm_batch_file_finish(struct dm_batch_writer *w, struct dm_error *err)
{
    uint64_t blocks = w->blocks;
    enum dm_status status = put_block(w, BLOCK_END, &blocks, sizeof blocks, err);
    if (status == DM_OK)
        status = flush(w, err);
    free_writer(w);
    return status;
}

void dm_batch_file_abandon(struct dm_batch_writer *w)
{
    if (w == NULL)
        return;
    (void)unlink(w->path);
    free_writer(w);
}
