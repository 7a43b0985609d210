#include "mirror/quarantine/quarantine_values.h"

#include <stdlib.h>
#include <string.h>

#include "base/json_scan.h"
#include "base/memory.h"
#include "mirror/quarantine/bad_row_key.h"
#include "mirror/quarantine/quarantine_table.h"

struct reading {
    const struct dm_schema *schema;
    const uint32_t *columns;
    struct dm_batch *row;
    dm_quarantine_values_fn fn;
    void *ctx;
};

/* A line that could not be split into a row is kept as one JSON text; what it holds before the place where it is broken can be read. NULL: it is no such text. */
static char *line_of(const char *raw)
{
    struct dm_json_scan s = dm_json_scan_of(raw, strlen(raw));
    struct dm_json_slice v;
    size_t n = 0;
    if (!dm_json_scan_value(&s, &v) || v.kind != DM_JSON_STRING)
        return NULL;
    char *line = dm_xalloc(v.n + 1);
    if (!dm_json_unescape(&v, line, &n))
        n = 0;
    line[n] = '\0';
    return line;
}

/* By the row's content, else, for a column of the key, by its key as text. */
static bool read_value(const struct reading *r, const char *content, const char *key, size_t i)
{
    const char *name = r->row->schema->fields[i].name;
    struct dm_column *to = &r->row->columns[i];
    if (content != NULL && dm_bad_row_value(content, name, to))
        return true;
    if (key == NULL || !dm_schema_is_key(r->schema, r->columns[i]))
        return false;
    return dm_bad_row_value(key, name, to) || (r->schema->n_keys == 1 && dm_bad_row_text(key, to));
}

static enum dm_status take(void *ctx, const struct dm_quarantine_row *row, struct dm_error *err)
{
    struct reading *r = ctx;
    char *line = row->raw != NULL ? line_of(row->raw) : NULL;
    const char *content = line != NULL ? line : row->raw;
    dm_batch_clear(r->row);
    for (size_t i = 0; i < r->row->n_columns; i++)
        if (!read_value(r, content, row->key, i))
            dm_column_append_null(&r->row->columns[i]);
    dm_batch_end_row(r->row, DM_OP_COPY);
    const struct dm_quarantine_values v = {
        .id = row->id, .row = r->row, .unreadable = content == NULL || !dm_bad_row_is_object(content)};
    enum dm_status status = r->fn(r->ctx, &v, err);
    free(line);
    return status;
}

enum dm_status dm_quarantine_values_each(struct sqlite3 *db, uint32_t dataset, const struct dm_schema *schema,
                                         const uint32_t *columns, size_t n, dm_quarantine_values_fn fn,
                                         void *ctx, struct dm_error *err)
{
    struct dm_schema *asked = dm_schema_new();
    for (size_t i = 0; i < n; i++)
        dm_schema_add_copy(asked, &schema->fields[columns[i]]);
    struct reading r = {
        .schema = schema, .columns = columns, .row = dm_batch_new(asked), .fn = fn, .ctx = ctx};
    struct dm_quarantine_choice choice = {.dataset = dataset};
    enum dm_status status = dm_quarantine_each(db, &choice, take, &r, err);
    dm_batch_free(r.row);
    dm_schema_unref(asked);
    return status;
}
