/* Each count is checked against what is left of the block, and each block against what is left of the file, before memory is taken for
 * it. A block's content goes straight into the batch; it is handed out after its checksum was right. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#define XXH_STATIC_LINKING_ONLY /* the state's size */
#include <xxhash.h>

#include "base/memory.h"
#include "column/batch_file.h"
#include "column/batch_file_format.h"

struct dm_batch_reader {
    int fd;
    char *path;
    uint8_t *buffer;
    size_t at, filled; /* in buffer */
    uint64_t offset;   /* in the file, of the next byte to hand out */
    uint64_t size;     /* of the file */
    uint64_t left;     /* of the block's payload */
    uint64_t blocks;
    bool ended;
    const struct dm_schema *schema; /* of the last schema block; owned reference */
    struct dm_batch *batch;         /* reused while the schema stays; NULL when taken */
    bool batch_current;             /* `batch` is the last item */
    XXH3_state_t *hash;
};

static enum dm_status damaged(const struct dm_batch_reader *r, const char *what, struct dm_error *err)
{
    return dm_fail(err, DM_ERROR_FATAL,
                   "the spool is temporary: start again, the source sends the changes anew",
                   "%s is damaged near byte %" PRIu64 ": %s", r->path, r->offset, what);
}

/* ---- buffered input ---- */

static enum dm_status read_some(struct dm_batch_reader *r, void *out, size_t n, size_t *got,
                                struct dm_error *err)
{
    ssize_t done;
    do
        done = read(r->fd, out, n);
    while (done < 0 && errno == EINTR);
    if (done < 0)
        return dm_fail_errno(err, "cannot read %s", r->path);
    if (done == 0)
        return damaged(r, "it ends too early", err);
    *got = (size_t)done;
    return DM_OK;
}

static enum dm_status get_unhashed(struct dm_batch_reader *r, void *out, size_t n, struct dm_error *err)
{
    uint8_t *to = out;
    while (n > 0) {
        size_t there = r->filled - r->at;
        if (there == 0 && n >= BATCH_FILE_BUFFER) { /* large pieces need no copy */
            size_t got = 0;
            if (read_some(r, to, n, &got, err) != DM_OK)
                return DM_FAIL;
            to += got;
            n -= got;
            r->offset += got;
            continue;
        }
        if (there == 0) {
            r->at = 0;
            r->filled = 0;
            if (read_some(r, r->buffer, BATCH_FILE_BUFFER, &r->filled, err) != DM_OK)
                return DM_FAIL;
            continue;
        }
        size_t take = there < n ? there : n;
        memcpy(to, r->buffer + r->at, take);
        r->at += take;
        r->offset += take;
        to += take;
        n -= take;
    }
    return DM_OK;
}

/* The next n bytes of the block's payload. */
static enum dm_status get(struct dm_batch_reader *r, void *out, uint64_t n, struct dm_error *err)
{
    if (n > r->left)
        return damaged(r, "a block is shorter than its content", err);
    if (n == 0)
        return DM_OK;
    if (get_unhashed(r, out, (size_t)n, err) != DM_OK)
        return DM_FAIL;
    r->left -= n;
    (void)XXH3_64bits_update(r->hash, out, (size_t)n);
    return DM_OK;
}

/* `count` things of `size` bytes must still be in the block. */
static enum dm_status expect(const struct dm_batch_reader *r, uint64_t count, uint64_t size,
                             struct dm_error *err)
{
    if (count > r->left / size)
        return damaged(r, "a count is larger than its block", err);
    return DM_OK;
}

static enum dm_status end_block(struct dm_batch_reader *r, struct dm_error *err)
{
    uint64_t checksum;
    if (r->left != 0)
        return damaged(r, "a block is longer than its content", err);
    if (get_unhashed(r, &checksum, sizeof checksum, err) != DM_OK)
        return DM_FAIL;
    if (checksum != XXH3_64bits_digest(r->hash))
        return damaged(r, "a checksum is wrong", err);
    r->blocks++;
    return DM_OK;
}

/* ---- schema ---- */

static enum dm_status get_text(struct dm_batch_reader *r, char **out, struct dm_error *err)
{
    uint32_t n;
    *out = NULL;
    if (get(r, &n, sizeof n, err) != DM_OK)
        return DM_FAIL;
    if (n == BATCH_FILE_NO_TEXT)
        return DM_OK;
    if (n > BATCH_FILE_MAX_TEXT)
        return damaged(r, "a text is too long", err);
    if (expect(r, n, 1, err) != DM_OK)
        return DM_FAIL;
    *out = dm_xzalloc((size_t)n + 1, 1);
    return get(r, *out, n, err);
}

static bool type_valid(struct dm_type t)
{
    bool list = t.id == DM_LIST;
    uint8_t scalar = list ? t.element : t.id;
    if (scalar < DM_BOOL || scalar >= DM_LIST || (!list && t.element != 0))
        return false;
    return scalar != DM_DECIMAL || (t.precision >= 1 && t.precision <= 38 && t.scale <= t.precision);
}

static enum dm_status get_field(struct dm_batch_reader *r, struct dm_schema *s, struct dm_error *err)
{
    int32_t numbers[3];
    uint8_t small[5];
    char *name;
    if (get(r, numbers, sizeof numbers, err) != DM_OK || get(r, small, sizeof small, err) != DM_OK)
        return DM_FAIL;
    struct dm_type type = {.id = small[0], .precision = small[1], .scale = small[2], .element = small[3]};
    if (!type_valid(type) || small[4] > 1)
        return damaged(r, "a column's type is not known", err);
    enum dm_status status = get_text(r, &name, err);
    if (status == DM_OK && name == NULL)
        status = damaged(r, "a column has no name", err);
    if (status == DM_OK) {
        struct dm_field *f = dm_schema_add(s, name, type);
        f->id = numbers[0];
        f->element_id = numbers[1];
        f->source_ref = numbers[2];
        f->required = small[4] != 0;
        status = get_text(r, &f->source_type, err);
        if (status == DM_OK)
            status = get_text(r, &f->default_json, err);
    }
    free(name);
    return status;
}

static enum dm_status fill_schema(struct dm_batch_reader *r, struct dm_schema *s, struct dm_error *err)
{
    uint32_t numbers[3];
    if (get(r, numbers, sizeof numbers, err) != DM_OK)
        return DM_FAIL;
    s->schema_id = (int32_t)numbers[0];
    if (numbers[1] > BATCH_FILE_MAX_FIELDS || numbers[2] > numbers[1])
        return damaged(r, "a table is too wide", err);
    for (uint32_t i = 0; i < numbers[1]; i++)
        if (get_field(r, s, err) != DM_OK)
            return DM_FAIL;
    for (uint32_t i = 0; i < numbers[2]; i++) {
        uint32_t key;
        if (get(r, &key, sizeof key, err) != DM_OK)
            return DM_FAIL;
        if (key >= s->n_fields)
            return damaged(r, "a key is not a column", err);
        dm_schema_add_key(s, key);
    }
    return DM_OK;
}

static enum dm_status get_schema(struct dm_batch_reader *r, struct dm_error *err)
{
    struct dm_schema *s = dm_schema_new();
    if (fill_schema(r, s, err) != DM_OK || end_block(r, err) != DM_OK) {
        dm_schema_unref(s);
        return DM_FAIL;
    }
    dm_schema_unref(r->schema);
    r->schema = s;
    dm_batch_free(r->batch);
    r->batch = NULL;
    return DM_OK;
}

/* ---- batches ---- */

static enum dm_status get_state(struct dm_batch_reader *r, struct dm_column *c, size_t n, bool element,
                                struct dm_error *err)
{
    uint8_t there;
    if (get(r, &there, 1, err) != DM_OK)
        return DM_FAIL;
    if (n == 0 || there == 0) {
        if (n > 0)
            memset(c->state, DM_VALID, n);
        return there <= 1 ? DM_OK : damaged(r, "a flag is neither 0 nor 1", err);
    }
    if (get(r, c->state, n, err) != DM_OK)
        return DM_FAIL;
    for (size_t i = 0; i < n; i++) {
        if (c->state[i] > (element ? DM_VALID : DM_UNCHANGED))
            return damaged(r, "a value has an unknown state", err);
        c->nulls += c->state[i] == DM_NULL;
        c->unchanged += c->state[i] == DM_UNCHANGED;
    }
    return DM_OK;
}

/* Offsets begin at 0 and never go back; *end is the last. */
static enum dm_status get_offsets(struct dm_batch_reader *r, struct dm_column *c, size_t n, uint32_t *end,
                                  struct dm_error *err)
{
    uint32_t none = 0;
    uint32_t *offsets = n > 0 ? c->offsets : &none;
    if (get(r, offsets, (n + 1) * sizeof *offsets, err) != DM_OK)
        return DM_FAIL;
    bool good = offsets[0] == 0;
    for (size_t i = 0; i < n; i++)
        good &= offsets[i] <= offsets[i + 1];
    *end = offsets[n];
    return good ? DM_OK : damaged(r, "offsets go back", err);
}

static enum dm_status get_column(struct dm_batch_reader *r, struct dm_column *c, uint64_t rows, bool element,
                                 struct dm_error *err)
{
    uint64_t length, bytes = 0;
    uint32_t end;
    if (get(r, &length, sizeof length, err) != DM_OK)
        return DM_FAIL;
    if (length != rows)
        return damaged(r, "a column has not as many values as there are rows", err);
    if (expect(r, length, c->width != 0 ? c->width : sizeof(uint32_t), err) != DM_OK)
        return DM_FAIL;
    size_t n = (size_t)length;
    dm_column_reserve(c, n);
    if (get_state(r, c, n, element, err) != DM_OK)
        return DM_FAIL;
    if (c->width != 0) {
        c->length = n;
        return get(r, c->data, (uint64_t)n * c->width, err);
    }
    if (c->child == NULL && get(r, &bytes, sizeof bytes, err) != DM_OK)
        return DM_FAIL;
    if (get_offsets(r, c, n, &end, err) != DM_OK)
        return DM_FAIL;
    c->length = n;
    if (c->child != NULL)
        return get_column(r, c->child, end, true, err);
    if (bytes != end)
        return damaged(r, "texts are not as long as their offsets say", err);
    if (expect(r, bytes, 1, err) != DM_OK || dm_buffer_reserve(&c->bytes, (size_t)bytes, err) != DM_OK)
        return DM_FAIL;
    c->bytes.len = (size_t)bytes;
    return get(r, c->bytes.data, bytes, err);
}

static enum dm_status get_numbers(struct dm_batch_reader *r, uint32_t *out, size_t rows, bool there,
                                  uint32_t same, struct dm_error *err)
{
    if (there)
        return get(r, out, (uint64_t)rows * sizeof *out, err);
    for (size_t i = 0; i < rows; i++)
        out[i] = same;
    return DM_OK;
}

static void reserve_rows(struct dm_batch *b, size_t rows)
{
    if (b->capacity >= rows)
        return;
    b->ops = dm_xrealloc(b->ops, rows, sizeof *b->ops);
    b->txns = dm_xrealloc(b->txns, rows, sizeof *b->txns);
    b->subxids = dm_xrealloc(b->subxids, rows, sizeof *b->subxids);
    b->capacity = rows;
}

static enum dm_status fill_batch(struct dm_batch_reader *r, struct dm_batch *b, struct dm_error *err)
{
    uint32_t numbers[3]; /* columns, txn, subxid */
    uint8_t flags;
    uint64_t rows;
    if (get(r, numbers, sizeof numbers, err) != DM_OK || get(r, &flags, 1, err) != DM_OK ||
        get(r, &rows, sizeof rows, err) != DM_OK || expect(r, rows, 1, err) != DM_OK)
        return DM_FAIL;
    if (numbers[0] != b->n_columns || rows > UINT32_MAX || (flags & ~(FLAG_TXNS | FLAG_SUBXIDS)) != 0)
        return damaged(r, "a batch does not fit its schema", err);
    reserve_rows(b, (size_t)rows);
    if (get(r, b->ops, rows, err) != DM_OK)
        return DM_FAIL;
    for (size_t i = 0; i < rows; i++)
        if (b->ops[i] < DM_OP_COPY || b->ops[i] > DM_OP_REKEY)
            return damaged(r, "a row has an unknown operation", err);
    if (get_numbers(r, b->txns, (size_t)rows, flags & FLAG_TXNS, numbers[1], err) != DM_OK ||
        get_numbers(r, b->subxids, (size_t)rows, flags & FLAG_SUBXIDS, numbers[2], err) != DM_OK)
        return DM_FAIL;
    for (size_t i = 0; i < b->n_columns; i++)
        if (get_column(r, &b->columns[i], rows, false, err) != DM_OK)
            return DM_FAIL;
    b->rows = (size_t)rows;
    return DM_OK;
}

static enum dm_status get_batch(struct dm_batch_reader *r, struct dm_batch_file_item *item,
                                struct dm_error *err)
{
    if (r->schema == NULL)
        return damaged(r, "a batch comes before its schema", err);
    if (r->batch == NULL)
        r->batch = dm_batch_new(r->schema);
    dm_batch_clear(r->batch);
    if (fill_batch(r, r->batch, err) != DM_OK || end_block(r, err) != DM_OK)
        return DM_FAIL;
    r->batch_current = true;
    item->batch = r->batch;
    return DM_OK;
}

static enum dm_status get_mark(struct dm_batch_reader *r, struct dm_batch_file_item *item,
                               struct dm_error *err)
{
    if (get(r, &item->mark_kind, sizeof item->mark_kind, err) != DM_OK ||
        get(r, &item->mark_value, sizeof item->mark_value, err) != DM_OK)
        return DM_FAIL;
    return end_block(r, err);
}

static enum dm_status get_end(struct dm_batch_reader *r, struct dm_error *err)
{
    uint64_t blocks, before = r->blocks;
    if (get(r, &blocks, sizeof blocks, err) != DM_OK || end_block(r, err) != DM_OK)
        return DM_FAIL;
    if (blocks != before || r->offset != r->size)
        return damaged(r, "it does not end where it should", err);
    r->ended = true;
    return DM_END;
}

enum dm_status dm_batch_file_next(struct dm_batch_reader *r, struct dm_batch_file_item *item,
                                  struct dm_error *err)
{
    *item = (struct dm_batch_file_item){0};
    r->batch_current = false;
    while (!r->ended) {
        struct batch_file_head head;
        if (get_unhashed(r, &head, sizeof head, err) != DM_OK)
            return DM_FAIL;
        if (head.zero != 0 || head.length > r->size - r->offset)
            return damaged(r, "a block is longer than the file", err);
        (void)XXH3_64bits_reset(r->hash);
        (void)XXH3_64bits_update(r->hash, &head, sizeof head);
        r->left = head.length;
        switch (head.kind) {
        case BLOCK_SCHEMA:
            if (get_schema(r, err) != DM_OK)
                return DM_FAIL;
            continue;
        case BLOCK_BATCH: return get_batch(r, item, err);
        case BLOCK_MARK: return get_mark(r, item, err);
        case BLOCK_END: return get_end(r, err);
        default: return damaged(r, "a block is of an unknown kind", err);
        }
    }
    return DM_END;
}

struct dm_batch *dm_batch_file_take(struct dm_batch_reader *r)
{
    if (!r->batch_current)
        return NULL;
    struct dm_batch *taken = r->batch;
    r->batch = NULL;
    r->batch_current = false;
    return taken;
}

/* ---- open, close ---- */

enum dm_status dm_batch_file_open_read(const char *path, struct dm_batch_reader **out, struct dm_error *err)
{
    struct dm_batch_reader *r = dm_xzalloc(1, sizeof *r);
    struct stat st;
    char magic[BATCH_FILE_MAGIC_BYTES];
    r->path = dm_xstrdup(path);
    r->buffer = dm_xalloc(BATCH_FILE_BUFFER);
    r->hash = XXH3_createState();
    r->fd = open(path, O_RDONLY | O_CLOEXEC);
    enum dm_status status = DM_OK;
    if (r->hash == NULL)
        status = dm_fail_memory(err, sizeof(XXH3_state_t));
    else if (r->fd < 0 || fstat(r->fd, &st) != 0)
        status = dm_fail_errno(err, "cannot open %s", path);
    if (status == DM_OK) {
        r->size = (uint64_t)st.st_size;
        status = get_unhashed(r, magic, sizeof magic, err);
    }
    if (status == DM_OK && memcmp(magic, BATCH_FILE_MAGIC, sizeof magic) != 0)
        status = damaged(r, "it is not a spool", err);
    if (status != DM_OK) {
        dm_batch_file_close_read(r);
        return DM_FAIL;
    }
    *out = r;
    return DM_OK;
}

void dm_batch_file_close_read(struct dm_batch_reader *r)
{
    if (r == NULL)
        return;
    if (r->fd >= 0)
        close(r->fd);
    (void)XXH3_freeState(r->hash);
    dm_batch_free(r->batch);
    dm_schema_unref(r->schema);
    free(r->buffer);
    free(r->path);
    free(r);
}
