#include "column/batch.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

struct dm_batch *dm_batch_new(const struct dm_schema *schema)
{
    struct dm_batch *b = dm_xzalloc(1, sizeof *b);
    b->schema = dm_schema_ref(schema);
    b->n_columns = schema->n_fields;
    b->columns = dm_xzalloc(b->n_columns, sizeof *b->columns);
    for (size_t i = 0; i < b->n_columns; i++)
        dm_column_init(&b->columns[i], schema->fields[i].type);
    return b;
}

void dm_batch_free(struct dm_batch *b)
{
    if (b == NULL)
        return;
    for (size_t i = 0; i < b->n_columns; i++)
        dm_column_release(&b->columns[i]);
    free(b->columns);
    free(b->ops);
    free(b->txns);
    free(b->subxids);
    dm_schema_unref(b->schema);
    free(b);
}

void dm_batch_clear(struct dm_batch *b)
{
    for (size_t i = 0; i < b->n_columns; i++)
        dm_column_clear(&b->columns[i]);
    b->rows = 0;
}

size_t dm_batch_bytes(const struct dm_batch *b)
{
    size_t bytes = b->rows * (sizeof *b->ops + sizeof *b->txns + sizeof *b->subxids);
    for (size_t i = 0; i < b->n_columns; i++)
        bytes += dm_column_bytes(&b->columns[i]);
    return bytes;
}

size_t dm_batch_row_bytes(const struct dm_batch *b, size_t row)
{
    size_t bytes = 0;
    for (size_t i = 0; i < b->n_columns; i++)
        bytes += dm_column_value_bytes(&b->columns[i], row);
    return bytes;
}

static void reserve_rows(struct dm_batch *b, size_t more)
{
    if (b->rows + more <= b->capacity)
        return;
    size_t capacity = b->capacity == 0 ? 256 : b->capacity * 2;
    b->capacity = capacity < b->rows + more ? b->rows + more : capacity;
    b->ops = dm_xrealloc(b->ops, b->capacity, sizeof *b->ops);
    b->txns = dm_xrealloc(b->txns, b->capacity, sizeof *b->txns);
    b->subxids = dm_xrealloc(b->subxids, b->capacity, sizeof *b->subxids);
}

void dm_batch_end_row(struct dm_batch *b, enum dm_op op)
{
    reserve_rows(b, 1);
    b->ops[b->rows] = (uint8_t)op;
    b->txns[b->rows] = b->txn;
    b->subxids[b->rows] = b->subxid;
    b->rows++;
#ifndef NDEBUG
    for (size_t i = 0; i < b->n_columns; i++)
        assert(b->columns[i].length == b->rows);
#endif
}

void dm_batch_undo_row(struct dm_batch *b)
{
    for (size_t i = 0; i < b->n_columns; i++) {
        size_t keep = b->rows < b->columns[i].length ? b->rows : b->columns[i].length;
        dm_column_truncate(&b->columns[i], keep);
    }
}

bool dm_batch_ends_in_rekey(const struct dm_batch *b)
{
    return b != NULL && b->rows > 0 && b->ops[b->rows - 1] == DM_OP_REKEY;
}

enum dm_status dm_batch_append_row(struct dm_batch *b, const struct dm_batch *from, size_t row,
                                   struct dm_error *err)
{
    for (size_t i = 0; i < b->n_columns; i++) {
        if (dm_column_append_value(&b->columns[i], &from->columns[i], row, err) != DM_OK) {
            dm_batch_undo_row(b);
            return DM_FAIL;
        }
    }
    uint32_t txn = b->txn, subxid = b->subxid;
    b->txn = from->txns[row];
    b->subxid = from->subxids[row];
    dm_batch_end_row(b, (enum dm_op)from->ops[row]);
    b->txn = txn;
    b->subxid = subxid;
    return DM_OK;
}

enum dm_status dm_batch_append_rows(struct dm_batch *b, const struct dm_batch *from, size_t first, size_t n,
                                    struct dm_error *err)
{
    if (n == 0) /* an empty batch may have no arrays yet */
        return DM_OK;
    for (size_t i = 0; i < b->n_columns; i++) {
        if (dm_column_append_range(&b->columns[i], &from->columns[i], first, n, err) != DM_OK) {
            dm_batch_undo_row(b);
            return DM_FAIL;
        }
    }
    reserve_rows(b, n);
    memcpy(b->ops + b->rows, from->ops + first, n * sizeof *b->ops);
    memcpy(b->txns + b->rows, from->txns + first, n * sizeof *b->txns);
    memcpy(b->subxids + b->rows, from->subxids + first, n * sizeof *b->subxids);
    b->rows += n;
    return DM_OK;
}
