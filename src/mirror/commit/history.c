#include "mirror/commit/history.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "mirror/commit/version_pass.h"

enum { first_added_id = DM_HISTORY_FIRST_ID, n_added = 4 };

void dm_history_add_columns(struct dm_schema *s, const struct dm_schema *schema)
{
    for (size_t i = 0; i < schema->n_fields; i++) {
        struct dm_field *f = dm_schema_add_copy(s, &schema->fields[i]);
        f->required = false;      /* of a delete the key may be all that is known */
        dm_field_drop_default(f); /* rows of before the column was there keep their null */
    }
}

struct dm_schema *dm_history_schema(const struct dm_schema *schema)
{
    static const struct {
        const char *name;
        enum dm_type_id type;
    } added[n_added] = {
        {"_op", DM_STRING}, {"_position", DM_INT64}, {"_committed_at", DM_TIMESTAMPTZ}, {"_xid", DM_INT64}};
    struct dm_schema *s = dm_schema_new();
    for (int i = 0; i < n_added; i++)
        dm_schema_add(s, added[i].name, dm_type_of(added[i].type))->id = first_added_id + i;
    dm_history_add_columns(s, schema);
    return s;
}

char *dm_history_name(const struct dm_target *t)
{
    return dm_xasprintf("%s__history", t->state.name);
}

enum dm_status dm_history_set_schema(struct dm_apply_context *a, struct dm_target *t,
                                     const struct dm_schema *schema, struct dm_error *err)
{
    char *name = dm_history_name(t);
    struct dm_schema *s = dm_history_schema(schema);
    const struct dm_schema *there = NULL;
    enum dm_status status = dm_commit_schema(a->commit, t->state.namespace, name, &there, err);
    if (status == DM_OK && there != NULL && dm_schema_find_id(there, first_added_id) < 0)
        status = dm_fail(err, DM_ERROR_DATA,
                         "rename the table of that dataset, or set history: false for this one",
                         "the name of its history, %s, is another dataset's", name);
    if (status == DM_OK)
        status = there == NULL ? dm_commit_create(a->commit, t->state.namespace, name, s, err)
                               : dm_commit_set_schema(a->commit, t->state.namespace, name, s, err);
    t->history_ready = status == DM_OK;
    dm_schema_unref(s);
    free(name);
    return status;
}

/* `schema` is the dataset's: history may have been switched on after the dataset was made. */
static enum dm_status write_history(struct dm_apply_context *a, struct dm_target *t,
                                    const struct dm_schema *schema, const struct dm_batch *view,
                                    struct dm_error *err)
{
    if (!t->history_ready && dm_history_set_schema(a, t, schema, err) != DM_OK)
        return DM_FAIL;
    char *name = dm_history_name(t);
    uint32_t number = 0;
    char *path = NULL;
    struct dm_parquet_options options = {.compression = a->mirror->config->compression};
    struct dm_parquet_result result = {0};
    enum dm_status status = dm_commit_new_file(a->commit, t->state.namespace, name, &number, &path, err);
    if (status == DM_OK)
        status = dm_parquet_write_batch(a->mirror->engine, path, view->schema, &options, view, NULL, 0,
                                        &result, err);
    if (status == DM_OK)
        status = dm_commit_add_file(a->commit, t->state.namespace, name, number, path, &result, err);
    dm_parquet_result_release(&result);
    free(path);
    free(name);
    return status;
}

static const char *op_name(uint8_t op)
{
    switch ((enum dm_op)op) {
    case DM_OP_COPY: return "copy";
    case DM_OP_INSERT: return "insert";
    case DM_OP_UPDATE: return "update";
    case DM_OP_DELETE: return "delete";
    case DM_OP_REKEY: return "rekey";
    }
    return "?";
}

static enum dm_status append_added(struct dm_batch *b, const char *op, const struct dm_txn *txn,
                                   struct dm_error *err)
{
    if (dm_column_append_bytes(&b->columns[0], op, strlen(op), err) != DM_OK)
        return DM_FAIL;
    dm_column_append_fixed(&b->columns[1], &txn->position);
    if (txn->commit_time_us != 0)
        dm_column_append_fixed(&b->columns[2], &txn->commit_time_us);
    else
        dm_column_append_null(&b->columns[2]);
    dm_column_append_fixed(&b->columns[3], &txn->xid);
    return DM_OK;
}

enum dm_status dm_history_append(struct dm_apply_context *a, struct dm_target *t,
                                 const struct dm_batch *batch, struct dm_error *err)
{
    /* A view: four columns of its own, the others are the batch's (borrowed, so they are taken out again before it is freed). */
    struct dm_schema *schema = dm_history_schema(batch->schema);
    struct dm_batch *view = dm_batch_new(schema);
    dm_schema_unref(schema);
    enum dm_status status = DM_OK;
    for (size_t i = 0; i < batch->rows && status == DM_OK; i++)
        status = append_added(view, op_name(batch->ops[i]), &a->txns[batch->txns[i]], err);
    for (size_t i = 0; i < batch->n_columns; i++) {
        dm_column_release(&view->columns[n_added + i]);
        view->columns[n_added + i] = batch->columns[i];
    }
    view->rows = batch->rows;
    if (status == DM_OK)
        status = write_history(a, t, batch->schema, view, err);
    for (size_t i = 0; i < batch->n_columns; i++)
        view->columns[n_added + i] = (struct dm_column){0};
    view->rows = 0;
    dm_batch_free(view);
    return status;
}

enum dm_status dm_history_truncate(struct dm_apply_context *a, struct dm_target *t,
                                   const struct dm_schema *schema, const struct dm_txn *txn,
                                   struct dm_error *err)
{
    struct dm_schema *own = dm_history_schema(schema);
    struct dm_batch *b = dm_batch_new(own);
    dm_schema_unref(own);
    enum dm_status status = append_added(b, "truncate", txn, err);
    for (size_t i = n_added; i < b->n_columns; i++)
        dm_column_append_null(&b->columns[i]);
    if (status == DM_OK) {
        dm_batch_end_row(b, DM_OP_INSERT);
        status = write_history(a, t, schema, b, err);
    }
    dm_batch_free(b);
    return status;
}

/* ---- declared datasets ---- */

struct dm_schema *dm_history_applied_schema(const struct dm_schema *schema, int version)
{
    struct dm_schema *mirrored = dm_history_schema(schema), *s = dm_schema_new();
    for (int i = 0; i < n_added; i++)
        dm_schema_add_copy(s, &mirrored->fields[i]);
    dm_schema_add(s, "_version", schema->fields[version].type)->id = first_added_id + DM_HISTORY_VERSION;
    dm_history_add_columns(s, schema);
    dm_schema_unref(mirrored);
    return s;
}

static const char *outcome_name(uint8_t outcome)
{
    switch ((enum dm_row_outcome)outcome) {
    case DM_ROW_INSERTED: return "insert";
    case DM_ROW_UPDATED: return "update";
    case DM_ROW_DELETED:
    case DM_ROW_NOOP_DELETE: return "delete";
    case DM_ROW_BAD:
    case DM_ROW_STALE:
    case DM_ROW_TIE_DROPPED: break;
    }
    return NULL;
}

enum dm_status dm_history_append_applied(struct dm_version_pass *p, struct dm_error *err)
{
    enum { own = n_added }; /* columns that are not borrowed from the batch */
    const struct dm_batch *batch = p->batch;
    struct dm_schema *schema = dm_history_applied_schema(batch->schema, p->t->rules->version_field);
    struct dm_batch *view = dm_batch_new(schema);
    uint32_t *selection = dm_xalloc((batch->rows + 1) * sizeof *selection);
    size_t n = 0;
    enum dm_status status = DM_OK;
    for (uint32_t i = 0; i < batch->rows && status == DM_OK; i++) {
        const char *op = outcome_name(p->outcome[i]);
        status = append_added(view, op != NULL ? op : "", &p->a->txns[batch->txns[i]], err);
        if (op != NULL)
            selection[n++] = i;
    }
    for (size_t i = own; i < view->n_columns; i++) { /* borrowed, so they are taken out again below */
        dm_column_release(&view->columns[i]);
        view->columns[i] = batch->columns[i == own ? (size_t)p->t->rules->version_field : i - own - 1];
    }
    view->rows = batch->rows;
    char *name = dm_history_name(p->t);
    uint32_t file = 0;
    if (status == DM_OK)
        status = n == 0
                     ? DM_OK
                     : dm_apply_write_file(p->a, p->t->state.namespace, name, view, selection, n, &file, err);
    for (size_t i = own; i < view->n_columns; i++)
        view->columns[i] = (struct dm_column){0};
    view->rows = 0;
    dm_batch_free(view);
    dm_schema_unref(schema);
    free(selection);
    free(name);
    return status;
}
