#include "source/sqlite/sqlite_deliver.h"

#include <string.h>

void dm_sqlite_followed_release(struct dm_sqlite_followed *f)
{
    dm_table_free(f->told);
    (void)sqlite3_finalize(f->lookup);
    dm_sqlite_row_mapper_release(&f->mapper);
}

static bool same_definition(const struct dm_table *a, const struct dm_table *b)
{
    if (a->id != b->id || strcmp(a->name, b->name) != 0 || a->append_only != b->append_only ||
        (a->problem == NULL) != (b->problem == NULL) || !dm_schema_equal(a->columns, b->columns))
        return false;
    for (size_t i = 0; i < a->columns->n_fields; i++)
        if (a->columns->fields[i].source_ref != b->columns->fields[i].source_ref)
            return false;
    return true;
}

/* Makes sure that the sink knows the table as it is. */
enum dm_status dm_sqlite_tell(struct dm_sqlite_followed *f, const struct dm_sink *sink, bool rewritten,
                              struct dm_error *err)
{
    if (!rewritten && f->told != NULL && same_definition(f->told, f->t->table))
        return DM_OK;
    dm_table_free(f->told);
    f->told = dm_table_copy(f->t->table);
    f->told->rewritten = rewritten;
    enum dm_status status = sink->table(sink->ctx, f->told, &f->handle, err);
    f->told->rewritten = false;
    return status;
}

struct bad_route {
    const struct dm_sink *sink;
    void *handle;
};

static enum dm_status pass_bad_row(void *ctx, const struct dm_bad_row *row, struct dm_error *err)
{
    struct bad_route *route = ctx;
    return route->sink->bad_row(route->sink->ctx, route->handle, row, err);
}

enum dm_status dm_sqlite_deliver_bad(struct dm_sqlite_followed *f, sqlite3_stmt *row, int first,
                                     enum dm_op op, const struct dm_sqlite_bad *bad,
                                     const struct dm_sink *sink, struct dm_error *err)
{
    struct bad_route route = {sink, f->handle};
    return dm_sqlite_bad_row(f->t, row, first, op, bad, pass_bad_row, &route, err);
}

enum dm_status dm_sqlite_deliver_delete(struct dm_sqlite_followed *f, sqlite3_stmt *keys, int first,
                                        const struct dm_sink *sink, struct dm_error *err)
{
    struct dm_batch *batch = NULL;
    enum dm_status status = sink->rows(sink->ctx, f->handle, &batch, err);
    if (status == DM_OK) /* a key that the lake cannot hold never got there */
        (void)dm_sqlite_row_append_delete(&f->mapper, keys, first, batch);
    return status;
}

/* A row that does not fit goes to quarantine, and its earlier version leaves the lake: it is not the row's
 * state any more. */
enum dm_status dm_sqlite_deliver_row(struct dm_sqlite_followed *f, sqlite3_stmt *row, int first_value,
                                     sqlite3_stmt *keys, int first_key, enum dm_op op,
                                     const struct dm_sink *sink, struct dm_error *err)
{
    struct dm_batch *batch = NULL;
    enum dm_status status = sink->rows(sink->ctx, f->handle, &batch, err);
    if (status != DM_OK)
        return status;
    struct dm_sqlite_bad bad;
    dm_sqlite_row_append(&f->mapper, row, first_value, batch, op, &bad);
    if (bad.reason == NULL)
        return DM_OK;
    status = dm_sqlite_deliver_bad(f, row, first_value, op, &bad, sink, err);
    if (status == DM_OK && !f->t->table->append_only)
        status = dm_sqlite_deliver_delete(f, keys, first_key, sink, err);
    return status;
}

bool dm_sqlite_same_key(const struct dm_sqlite_table *t, sqlite3_stmt *row, int first_value,
                        sqlite3_stmt *keys, int first_key)
{
    const struct dm_schema *s = t->table->columns;
    for (size_t i = 0; i < s->n_keys; i++)
        if (!dm_sqlite_same(t->rules[s->keys[i]], row, first_value + (int)s->keys[i], keys,
                            first_key + (int)i))
            return false;
    return true;
}
