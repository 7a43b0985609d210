/* One row's change into the sink's batches: which old values count, key changes, and rows that do not fit.
 *
 * An UPDATE whose key columns differ between the old and the new tuple becomes REKEY + UPDATE. Values that the
 * server did not send because they did not change come from the old tuple when it has them (REPLICA IDENTITY
 * FULL, or key columns stored out of line), else they are UNCHANGED and apply/ takes them from the stored row.
 *
 * An UPDATE that does not fit goes to quarantine, and its row is deleted: the lake must not show a row that
 * the source no longer has, and a later UPDATE must not take unchanged values from a row that is older than
 * its predecessor.
 */
#include <string.h>

#include "source/postgres/pg_decoder.h"

/* Appends field `f` to the batch; `old` NULL: no old tuple. */
static bool append_field(const struct pg_relation *rel, size_t f, const struct pg_raw_value *value,
                         const struct pg_raw_value *old, struct dm_batch *batch, struct pg_misfit *misfit)
{
    struct dm_column *c = &batch->columns[f];
    if (value->kind == PG_KIND_UNCHANGED && old != NULL && old->kind != PG_KIND_NULL)
        value = old;
    enum pg_value_result r = PG_VALUE_MALFORMED;
    switch (value->kind) {
    case PG_KIND_TEXT:
        r = pg_value_from_text(&rel->codecs[f], c, (const char *)value->bytes, value->n);
        break;
    case PG_KIND_NULL:
        if (rel->table->columns->fields[f].required) {
            *misfit = (struct pg_misfit){.column = f, .null_key = true};
            return false;
        }
        dm_column_append_null(c);
        return true;
    case PG_KIND_UNCHANGED:
        if (rel->table->columns->n_keys > 0 && !rel->table->columns->fields[f].required) {
            dm_column_append_unchanged(c);
            return true;
        }
        r = PG_VALUE_NOT_SENT;
        break;
    case PG_KIND_BINARY: break; /* never asked for */
    }
    *misfit = (struct pg_misfit){.column = f, .result = r};
    return r == PG_VALUE_OK;
}

static struct pg_row_shape shape_of(const struct pg_decoder *d, const struct pg_relation *rel)
{
    return (struct pg_row_shape){
        .schema = rel->table->columns, .codecs = rel->codecs, .max_bytes = d->max_row_bytes};
}

/* The whole row; on a misfit the batch is as before. */
static bool append_row(struct pg_decoder *d, const struct pg_relation *rel, const struct pg_raw_value *values,
                       const struct pg_raw_value *old, struct dm_batch *batch, struct pg_misfit *misfit)
{
    size_t fields = rel->table->columns->n_fields;
    const struct pg_row_shape shape = shape_of(d, rel);
    for (size_t f = 0; f < fields; f++) {
        uint32_t i = rel->source[f];
        d->by_field[f] = values[i];
        if (values[i].kind == PG_KIND_UNCHANGED && old != NULL && old[i].kind != PG_KIND_NULL)
            d->by_field[f] = old[i];
    }
    if (pg_row_surely_too_large(&shape, d->by_field, misfit))
        return false;
    for (size_t f = 0; f < fields; f++) {
        uint32_t i = rel->source[f];
        if (!append_field(rel, f, &values[i], old != NULL ? &old[i] : NULL, batch, misfit)) {
            dm_batch_undo_row(batch);
            return false;
        }
    }
    if (!pg_row_too_large(&shape, d->by_field, batch, misfit))
        return true;
    dm_batch_undo_row(batch);
    return false;
}

/* The key columns, everything else null. */
static bool append_key(const struct pg_relation *rel, const struct pg_raw_value *values,
                       const struct pg_raw_value *old, struct dm_batch *batch, struct pg_misfit *misfit)
{
    const struct dm_schema *columns = rel->table->columns;
    for (size_t f = 0; f < columns->n_fields; f++) {
        uint32_t i = rel->source[f];
        if (!dm_schema_is_key(columns, (uint32_t)f))
            dm_column_append_null(&batch->columns[f]);
        else if (!append_field(rel, f, &values[i], old != NULL ? &old[i] : NULL, batch, misfit)) {
            dm_batch_undo_row(batch);
            return false;
        }
    }
    return true;
}

static bool key_differs(const struct pg_relation *rel, const struct pg_raw_value *old,
                        const struct pg_raw_value *new)
{
    const struct dm_schema *columns = rel->table->columns;
    for (size_t k = 0; k < columns->n_keys; k++) {
        uint32_t i = rel->source[columns->keys[k]];
        if (new[i].kind != PG_KIND_TEXT || old[i].kind != PG_KIND_TEXT)
            continue; /* unchanged, or not part of the old tuple */
        if (new[i].n != old[i].n || memcmp(new[i].bytes, old[i].bytes, new[i].n) != 0)
            return true;
    }
    return false;
}

struct bad_row_target {
    const struct dm_sink *sink;
    void *handle;
};

static enum dm_status forward_bad_row(void *ctx, const struct dm_bad_row *row, struct dm_error *err)
{
    const struct bad_row_target *target = ctx;
    return target->sink->bad_row(target->sink->ctx, target->handle, row, err);
}

/* What a change goes through, so that its steps need not hand ten things on. */
struct change {
    struct pg_decoder *d;
    const struct dm_sink *sink;
    struct pg_relation *rel;
    void *handle;
    enum dm_op op;
    struct dm_error *err;
};

static enum dm_status report(const struct change *c, const struct pg_raw_value *values,
                             const struct pg_misfit *misfit)
{
    for (size_t f = 0; f < c->rel->table->columns->n_fields; f++)
        c->d->by_field[f] = values[c->rel->source[f]];
    struct pg_row_shape shape = shape_of(c->d, c->rel);
    struct bad_row_target target = {c->sink, c->handle};
    return pg_report_misfit(&shape, c->d->by_field, misfit, c->op, forward_bad_row, &target, c->err);
}

static enum dm_status next_batch(const struct change *c, struct dm_batch **batch)
{
    enum dm_status status = c->sink->rows(c->sink->ctx, c->handle, batch, c->err);
    if (status == DM_OK && (*batch)->n_columns != c->rel->table->columns->n_fields)
        return dm_fail(c->err, DM_ERROR_FATAL, NULL, "the batch of %s.%s has %zu columns instead of %zu",
                       c->rel->table->schema, c->rel->table->name, (*batch)->n_columns,
                       c->rel->table->columns->n_fields);
    return status;
}

/* A row of the key alone: DELETE, or REKEY. A key that does not fit is the key of a row that never came in. */
static enum dm_status deliver_key(const struct change *c, enum dm_op op, const struct pg_raw_value *values,
                                  const struct pg_raw_value *old, bool *fits, struct pg_misfit *misfit)
{
    struct dm_batch *batch;
    enum dm_status status = next_batch(c, &batch);
    if (status != DM_OK)
        return status;
    *fits = append_key(c->rel, values, old, batch, misfit);
    if (*fits)
        dm_batch_end_row(batch, op);
    return DM_OK;
}

static enum dm_status deliver_delete(const struct change *c, const struct pg_raw_value *values)
{
    struct dm_batch *batch;
    struct pg_misfit misfit;
    enum dm_status status = next_batch(c, &batch);
    if (status != DM_OK)
        return status;
    if (append_row(c->d, c->rel, values, NULL, batch, &misfit)) {
        dm_batch_end_row(batch, DM_OP_DELETE);
        return DM_OK;
    }
    bool fits = false;
    if (c->rel->table->columns->n_keys > 0)
        status = deliver_key(c, DM_OP_DELETE, values, NULL, &fits, &misfit);
    return status == DM_OK && !fits ? report(c, values, &misfit) : status;
}

/* An update in place, or an insert. */
static enum dm_status deliver_row(const struct change *c, const struct pg_raw_value *values,
                                  const struct pg_raw_value *old)
{
    struct dm_batch *batch;
    struct pg_misfit misfit, no_key;
    enum dm_status status = next_batch(c, &batch);
    if (status != DM_OK)
        return status;
    if (append_row(c->d, c->rel, values, old, batch, &misfit)) {
        dm_batch_end_row(batch, c->op);
        return DM_OK;
    }
    bool fits;
    if (c->op == DM_OP_UPDATE && c->rel->table->columns->n_keys > 0)
        status = deliver_key(c, DM_OP_DELETE, values, old, &fits, &no_key);
    return status == DM_OK ? report(c, values, &misfit) : status;
}

/* The new row is tried first: REKEY must be followed by its UPDATE. */
static enum dm_status deliver_rekey(const struct change *c, const struct pg_raw_value *values,
                                    const struct pg_raw_value *old)
{
    struct pg_relation *rel = c->rel;
    if (rel->scratch == NULL)
        rel->scratch = dm_batch_new(rel->table->columns);
    dm_batch_clear(rel->scratch);
    struct pg_misfit misfit, no_key;
    bool fits;
    enum dm_status status;
    if (!append_row(c->d, rel, values, old, rel->scratch, &misfit)) {
        status = deliver_key(c, DM_OP_DELETE, old, NULL, &fits, &no_key);
        return status == DM_OK ? report(c, values, &misfit) : status;
    }
    dm_batch_end_row(rel->scratch, DM_OP_UPDATE);
    status = deliver_key(c, DM_OP_REKEY, old, NULL, &fits, &no_key);
    struct dm_batch *batch;
    if (status == DM_OK)
        status = next_batch(c, &batch);
    if (status != DM_OK)
        return status;
    for (size_t f = 0; f < batch->n_columns; f++) {
        if (dm_column_append_value(&batch->columns[f], &rel->scratch->columns[f], 0, c->err) != DM_OK) {
            dm_batch_undo_row(batch);
            return DM_FAIL;
        }
    }
    dm_batch_end_row(batch, DM_OP_UPDATE);
    return DM_OK;
}

enum dm_status pg_deliver_change(struct pg_decoder *d, const struct dm_sink *sink, struct pg_relation *rel,
                                 void *handle, enum dm_op op, enum pg_old_kind old, struct dm_error *err)
{
    const struct change c = {d, sink, rel, handle, op, err};
    d->changes++;
    if (op == DM_OP_DELETE)
        return deliver_delete(&c, d->old_values);
    if (op == DM_OP_INSERT || old == PG_OLD_NONE)
        return deliver_row(&c, d->new_values, NULL);
    if (key_differs(rel, d->old_values, d->new_values))
        return deliver_rekey(&c, d->new_values, d->old_values);
    return deliver_row(&c, d->new_values, d->old_values);
}
