#include "mirror/history.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

enum { first_added_id = 1000000, n_added = 4 };

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
    for (size_t i = 0; i < schema->n_fields; i++) {
        const struct dm_field *from = &schema->fields[i];
        struct dm_field *to = dm_schema_add(s, from->name, from->type);
        to->id = from->id;
        to->element_id = from->element_id;
        to->source_ref = from->source_ref;
        to->source_type = dm_xstrdup(from->source_type);
    }
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
    const struct dm_dataset *there = NULL;
    enum dm_status status = dm_lake_dataset(a->mirror->lake, t->state.namespace, name, &there, err);
    if (status == DM_OK)
        status = there == NULL ? dm_commit_create(a->commit, t->state.namespace, name, s, err)
                               : dm_commit_set_schema(a->commit, t->state.namespace, name, s, err);
    t->history_ready = status == DM_OK;
    dm_schema_unref(s);
    free(name);
    return status;
}

enum dm_status dm_history_rename(struct dm_apply_context *a, const struct dm_target *t, const char *namespace,
                                 const char *name, struct dm_error *err)
{
    char *from = dm_history_name(t);
    char *to = dm_xasprintf("%s__history", name);
    const struct dm_dataset *there = NULL;
    enum dm_status status = dm_lake_dataset(a->mirror->lake, t->state.namespace, from, &there, err);
    if (status == DM_OK && there != NULL)
        status = dm_commit_rename(a->commit, t->state.namespace, from, namespace, to, err);
    free(from);
    free(to);
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
