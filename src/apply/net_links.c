#include "apply/net_links.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

void dm_net_links_release(struct dm_net_effect *net)
{
    free(net->from);
    free(net->filled_row);
    dm_batch_free(net->filled);
    free(net->given_up);
}

bool dm_net_links_prepare(struct dm_net_effect *net, const struct dm_batch *batch)
{
    bool any = false;
    net->n_given_up = 0;
    for (size_t i = 0; i < batch->n_columns; i++)
        any |= batch->columns[i].unchanged > 0;
    if (!any)
        return false;
    if (net->links_capacity < batch->rows) {
        net->links_capacity = batch->rows;
        net->from = dm_xrealloc(net->from, batch->rows, sizeof *net->from);
        net->filled_row = dm_xrealloc(net->filled_row, batch->rows, sizeof *net->filled_row);
    }
    memset(net->from, 0xff, batch->rows * sizeof *net->from); /* DM_NET_NONE */
    memset(net->filled_row, 0xff, batch->rows * sizeof *net->filled_row);
    if (net->filled != NULL && net->filled->schema != batch->schema) {
        dm_batch_free(net->filled);
        net->filled = NULL;
    }
    if (net->filled != NULL)
        dm_batch_clear(net->filled);
    return true;
}

static bool row_has_unchanged(const struct dm_batch *batch, size_t row)
{
    for (size_t i = 0; i < batch->n_columns; i++)
        if (batch->columns[i].unchanged > 0 && batch->columns[i].state[row] == DM_UNCHANGED)
            return true;
    return false;
}

static void add_missing(struct dm_net_effect *net, uint32_t row, const uint8_t *key, uint32_t key_len)
{
    if (net->n_missing == net->missing_capacity) {
        net->missing_capacity = net->missing_capacity == 0 ? 64 : net->missing_capacity * 2;
        net->missing = dm_xrealloc(net->missing, net->missing_capacity, sizeof *net->missing);
    }
    net->missing[net->n_missing++] = (struct dm_net_missing){.row = row, .key = key, .key_len = key_len};
}

enum dm_status dm_net_links_add(struct dm_net_effect *net, const struct dm_batch *batch, uint32_t row,
                                const struct dm_net_origin *origin, struct dm_error *err)
{
    if (!row_has_unchanged(batch, row))
        return DM_OK;
    char key[128];
    switch (origin->where) {
    case DM_NET_STORED:
        net->from[row] = DM_NET_FROM_STORED;
        add_missing(net, row, origin->key, origin->key_len);
        break;
    case DM_NET_IN_BATCH: net->from[row] = origin->row; break;
    case DM_NET_GONE:
        return dm_fail(err, DM_ERROR_DATA, "the source's log and the mirror disagree: resync the dataset",
                       "row %u of the batch, key %s, keeps values of a row that was deleted before it", row,
                       dm_key_text(batch, row, key, sizeof key));
    }
    return DM_OK;
}

void dm_net_links_collect(struct dm_net_effect *net, const struct dm_batch *batch)
{
    if (net->resolve_all) {
        for (size_t i = 0; i < batch->rows && !net->needs_finish; i++)
            net->needs_finish = net->from[i] != DM_NET_NONE;
        return;
    }
    /* Only chains that a live row hangs on: mark backwards, since links point backwards. filled_row serves as the mark. */
    enum { WANTED = 1 };
    for (size_t i = 0; i < net->n_changes; i++)
        if (net->changes[i].live && net->from[net->changes[i].row] != DM_NET_NONE) {
            net->filled_row[net->changes[i].row] = WANTED;
            net->needs_finish = true;
        }
    for (size_t i = batch->rows; i-- > 0;) {
        uint32_t from = net->from[i];
        if (net->filled_row[i] == WANTED && from != DM_NET_FROM_STORED && net->from[from] != DM_NET_NONE)
            net->filled_row[from] = WANTED;
    }
    size_t kept = 0;
    for (size_t i = 0; i < net->n_missing; i++)
        if (net->filled_row[net->missing[i].row] == WANTED)
            net->missing[kept++] = net->missing[i];
    net->n_missing = kept;
    memset(net->filled_row, 0xff, batch->rows * sizeof *net->filled_row);
    /* What is not to be resolved itself keeps its link (a live row may go through it); finish asks `wanted`. */
}

enum dm_status dm_net_effect_give_up(struct dm_net_effect *net, struct dm_batch *batch, uint32_t row,
                                     struct dm_error *err)
{
    struct dm_batch *nothing = dm_batch_new(batch->schema);
    for (size_t i = 0; i < nothing->n_columns; i++)
        dm_column_append_null(&nothing->columns[i]);
    dm_batch_end_row(nothing, DM_OP_COPY);
    enum dm_status status = dm_net_effect_fill(net, batch, row, nothing, 0, err);
    dm_batch_free(nothing);
    if (status != DM_OK)
        return status;
    net->given_up = dm_xrealloc(net->given_up, net->n_given_up + 1, sizeof *net->given_up);
    net->given_up[net->n_given_up++] = row;
    return DM_OK;
}

bool dm_net_effect_lost(const struct dm_net_effect *net, uint32_t row)
{
    if (net->n_given_up == 0)
        return false;
    while (net->from[row] != DM_NET_NONE && net->from[row] != DM_NET_FROM_STORED)
        row = net->from[row];
    for (size_t i = 0; i < net->n_given_up; i++)
        if (net->given_up[i] == row)
            return true;
    return false;
}

enum dm_status dm_net_effect_fill(struct dm_net_effect *net, struct dm_batch *batch, uint32_t row,
                                  const struct dm_batch *stored, size_t stored_row, struct dm_error *err)
{
    if (row >= batch->rows || net->links_capacity < batch->rows || net->from[row] != DM_NET_FROM_STORED)
        return dm_fail(err, DM_ERROR_FATAL, NULL, "row %u of the batch misses no stored values", row);
    if (stored->n_columns != batch->n_columns || stored_row >= stored->rows)
        return dm_fail(err, DM_ERROR_FATAL, NULL, "the stored row for row %u has not the batch's columns",
                       row);
    if (net->filled == NULL)
        net->filled = dm_batch_new(batch->schema);
    struct dm_batch *filled = net->filled;
    for (size_t i = 0; i < batch->n_columns; i++) {
        const struct dm_column *from = &stored->columns[i];
        struct dm_column *to = &filled->columns[i];
        if (batch->columns[i].state[row] != DM_UNCHANGED) {
            dm_column_append_null(to);
            continue;
        }
        enum dm_status status;
        if (!dm_type_equal(from->type, to->type) || from->state[stored_row] == DM_UNCHANGED)
            status = dm_fail(err, DM_ERROR_FATAL, NULL,
                             "the stored row for row %u has no usable value of column \"%s\"", row,
                             batch->schema->fields[i].name);
        else
            status = dm_column_append_value(to, from, stored_row, err);
        if (status != DM_OK) {
            dm_batch_undo_row(filled);
            return DM_FAIL;
        }
    }
    net->filled_row[row] = (uint32_t)filled->rows;
    dm_batch_end_row(filled, DM_OP_COPY);
    return DM_OK;
}

/* ---- finish ---- */

/* Where a value ends up to come from. */
struct value_origin {
    const struct dm_column *column;
    size_t row;
};

size_t dm_net_effect_filled_bytes(const struct dm_net_effect *net)
{
    return net->filled != NULL ? dm_batch_bytes(net->filled) : 0;
}

/* origin[i]: the row of the old column that holds the value, or the root whose filled row does. */
static bool find_origin(const struct dm_net_effect *net, const struct dm_column *c, size_t column,
                        uint32_t *origin, size_t row, struct value_origin *out)
{
    uint32_t from = net->from[row];
    if (from == DM_NET_FROM_STORED)
        origin[row] = (uint32_t)row;
    else
        origin[row] = c->state[from] == DM_UNCHANGED ? origin[from] : from;
    uint32_t at = origin[row];
    if (c->state[at] != DM_UNCHANGED) {
        *out = (struct value_origin){.column = c, .row = at};
        return true;
    }
    *out = (struct value_origin){.column = net->filled == NULL ? NULL : &net->filled->columns[column],
                                 .row = net->filled_row[at]};
    return net->filled_row[at] != DM_NET_NONE;
}

static enum dm_status not_filled(const struct dm_batch *batch, size_t column, size_t row,
                                 struct dm_error *err)
{
    char key[128];
    return dm_fail(
        err, DM_ERROR_DATA, "the source's log and the mirror disagree: resync the dataset",
        "row %zu of the batch, key %s, keeps the stored value of column \"%s\", but there is no stored row",
        row, dm_key_text(batch, row, key, sizeof key), batch->schema->fields[column].name);
}

/* The column with its UNCHANGED values replaced, built anew beside the old one so that a failure changes nothing. */
static enum dm_status rebuild(const struct dm_net_effect *net, const struct dm_batch *batch, size_t column,
                              const uint8_t *wanted, uint32_t *origin, struct dm_column *out,
                              struct dm_error *err)
{
    const struct dm_column *old = &batch->columns[column];
    dm_column_reserve(out, old->length);
    for (size_t row = 0; row < old->length; row++) {
        struct value_origin value = {.column = old, .row = row};
        if (old->state[row] == DM_UNCHANGED && net->from[row] != DM_NET_NONE &&
            !find_origin(net, old, column, origin, row, &value) && wanted[row])
            return not_filled(batch, column, row, err);
        if (!wanted[row])
            value = (struct value_origin){.column = old, .row = row};
        if (dm_column_append_value(out, value.column, value.row, err) != DM_OK) {
            dm_error_prefix(err, "column \"%s\"", batch->schema->fields[column].name);
            return DM_FAIL;
        }
    }
    return DM_OK;
}

enum dm_status dm_net_effect_finish(struct dm_net_effect *net, struct dm_batch *batch, struct dm_error *err)
{
    if (!net->needs_finish)
        return DM_OK;
    uint8_t *wanted = dm_xzalloc(batch->rows, 1);
    uint32_t *origin = dm_xalloc(batch->rows * sizeof *origin);
    struct dm_column *rebuilt = dm_xzalloc(batch->n_columns, sizeof *rebuilt);
    enum dm_status status = DM_OK;
    if (net->resolve_all)
        memset(wanted, 1, batch->rows);
    else
        for (size_t i = 0; i < net->n_changes; i++)
            wanted[net->changes[i].row] = net->changes[i].live;
    for (size_t i = 0; i < batch->n_columns && status == DM_OK; i++) {
        if (batch->columns[i].unchanged == 0)
            continue;
        dm_column_init(&rebuilt[i], batch->columns[i].type);
        status = rebuild(net, batch, i, wanted, origin, &rebuilt[i], err);
    }
    for (size_t i = 0; i < batch->n_columns; i++) {
        if (rebuilt[i].type.id == 0)
            continue;
        struct dm_column *drop = status == DM_OK ? &batch->columns[i] : &rebuilt[i];
        dm_column_release(drop);
        if (status == DM_OK)
            batch->columns[i] = rebuilt[i];
    }
    if (status == DM_OK)
        net->needs_finish = false;
    free(wanted);
    free(origin);
    free(rebuilt);
    return status;
}
