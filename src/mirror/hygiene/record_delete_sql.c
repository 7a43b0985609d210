/* The SQL of the search for dependents: views, key columns, values. */
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "column/key.h"
#include "lake/dataset_scan.h"
#include "mirror/hygiene/record_delete_parts.h"

size_t dm_delete_index_of(const struct dm_delete_search_state *s, const struct dm_delete_node *n)
{
    return (size_t)(n - s->nodes);
}

enum dm_status dm_delete_add_files(struct dm_delete_search_state *s, const struct dm_delete_node *n,
                                   const char *view, const struct dm_scan_file *files, size_t n_files,
                                   struct dm_error *err)
{
    struct dm_schema *plain = dm_schema_copy(n->dataset->schema);
    for (size_t i = 0; i < plain->n_fields; i++) {
        free(plain->fields[i].name);
        plain->fields[i].name = dm_xasprintf("c%zu", i);
    }
    enum dm_status status = dm_sql_add_dataset(s->sql, "del", view, plain, files, n_files, err);
    dm_schema_unref(plain);
    return status;
}

enum dm_status dm_delete_add_view(struct dm_delete_search_state *s, struct dm_delete_node *n,
                                  struct dm_error *err)
{
    if (n->viewed)
        return DM_OK;
    struct dm_scan_file *files = dm_dataset_scan(n->dataset);
    char *name = dm_xasprintf("d%zu", dm_delete_index_of(s, n));
    enum dm_status status = dm_delete_add_files(s, n, name, files, n->dataset->n_files, err);
    n->viewed = status == DM_OK;
    free(name);
    free(files);
    return status;
}

enum dm_status dm_delete_sql_keys(const struct dm_delete_node *n, const char *alias, struct dm_buffer *sql,
                                  struct dm_error *err)
{
    const struct dm_schema *schema = n->dataset->schema;
    enum dm_status status = DM_OK;
    for (size_t k = 0; k < schema->n_keys && status == DM_OK; k++)
        status = dm_buffer_printf(sql, err, "%s%sc%u", k > 0 ? ", " : "", alias, schema->keys[k]);
    return status;
}

enum dm_status dm_delete_sql_run(struct dm_delete_search_state *s, struct dm_buffer *sql,
                                 struct dm_error *err)
{
    const char *text = dm_buffer_text(sql);
    return text == NULL ? dm_fail_memory(err, sql->max) : dm_sql_execute(s->sql, text, err);
}

enum dm_status dm_delete_sql_each(struct dm_delete_search_state *s, struct dm_buffer *sql, dm_sql_row fn,
                                  void *ctx, struct dm_error *err)
{
    const char *text = dm_buffer_text(sql);
    return text == NULL ? dm_fail_memory(err, sql->max) : dm_sql_each(s->sql, text, fn, ctx, err);
}

static enum dm_status take_count(void *ctx, size_t n, const char *const *values, struct dm_error *err)
{
    (void)n;
    (void)err;
    *(uint64_t *)ctx = values[0] != NULL ? strtoull(values[0], NULL, 10) : 0;
    return DM_OK;
}

enum dm_status dm_delete_sql_count(struct dm_delete_search_state *s, struct dm_buffer *sql, uint64_t *n,
                                   struct dm_error *err)
{
    *n = 0;
    return dm_delete_sql_each(s, sql, take_count, n, err);
}

enum dm_status dm_delete_sql_literal(const struct dm_column *c, size_t row, struct dm_buffer *sql,
                                     struct dm_error *err)
{
    char text[128];
    if (c->state[row] != DM_VALID)
        return dm_buffer_printf(sql, err, "NULL");
    if (c->width != 0) {
        (void)dm_fixed_text(c, row, text, sizeof text);
        return dm_buffer_printf(sql, err, "'%s'", text);
    }
    if (c->type.id == DM_LIST)
        return dm_fail(err, DM_ERROR_CONFIG, NULL, "a key column that is a list cannot be related");
    size_t n;
    const uint8_t *bytes = dm_column_bytes_at(c, row, &n);
    bool binary = c->type.id == DM_BINARY;
    enum dm_status status = dm_buffer_printf(sql, err, binary ? "unhex('" : "'");
    for (size_t i = 0; i < n && status == DM_OK; i++) {
        if (binary)
            status = dm_buffer_printf(sql, err, "%02X", bytes[i]);
        else if (bytes[i] == '\'')
            status = dm_buffer_append(sql, "''", 2, err);
        else
            status = dm_buffer_append_byte(sql, bytes[i], err);
    }
    return status == DM_OK ? dm_buffer_printf(sql, err, binary ? "')" : "'") : status;
}
