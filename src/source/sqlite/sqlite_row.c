#include "source/sqlite/sqlite_row.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

void dm_sqlite_row_mapper_release(struct dm_sqlite_row_mapper *m)
{
    dm_schema_unref(m->schema);
    free(m->columns);
    m->schema = NULL;
    m->columns = NULL;
}

static void map(struct dm_sqlite_row_mapper *m, const struct dm_schema *schema)
{
    if (m->schema == schema)
        return;
    dm_sqlite_row_mapper_release(m);
    m->schema = dm_schema_ref(schema);
    m->columns = dm_xzalloc(schema->n_fields + 1, sizeof *m->columns);
    for (size_t i = 0; i < schema->n_fields; i++)
        m->columns[i] = dm_schema_find(m->table->table->columns, schema->fields[i].name);
}

static const char *append_column(struct dm_column *c, const struct dm_sqlite_table *t, int column,
                                 sqlite3_stmt *row, int at)
{
    /* The lake's column may still have the type of an earlier definition; then the row waits for the new
     * one. */
    if (!dm_type_equal(c->type, t->rules[column].type))
        return "column_type_changed";
    if (sqlite3_column_type(row, at) == SQLITE_NULL && dm_schema_is_key(t->table->columns, (uint32_t)column))
        return "null_key";
    return dm_sqlite_append(c, t->rules[column], row, at);
}

/* Of the values as the row has them. */
static uint64_t stored_bytes(const struct dm_sqlite_table *t, sqlite3_stmt *row, int first, int *largest)
{
    uint64_t bytes = 0;
    int most = -1;
    for (int i = 0; i < (int)t->table->columns->n_fields; i++) {
        int class = sqlite3_column_type(row, first + i);
        int n = class == SQLITE_TEXT || class == SQLITE_BLOB ? sqlite3_column_bytes(row, first + i) : 8;
        bytes += (uint64_t)n;
        if (n > most)
            *largest = i;
        most = n > most ? n : most;
    }
    return bytes;
}

/* Before its values are copied, and, since a literal is longer than its value, after. */
static bool too_large(const struct dm_sqlite_row_mapper *m, sqlite3_stmt *row, int first, uint64_t bytes,
                      struct dm_sqlite_bad *bad)
{
    if (m->table->max_row_bytes == 0 || bytes <= m->table->max_row_bytes)
        return false;
    (void)stored_bytes(m->table, row, first, &bad->column);
    bad->reason = "row_too_large";
    bad->bytes = bytes;
    return true;
}

void dm_sqlite_row_append(struct dm_sqlite_row_mapper *m, sqlite3_stmt *row, int first,
                          struct dm_batch *batch, enum dm_op op, struct dm_sqlite_bad *bad)
{
    *bad = (struct dm_sqlite_bad){0};
    map(m, batch->schema);
    int ignored;
    if (too_large(m, row, first, stored_bytes(m->table, row, first, &ignored), bad))
        return;
    for (size_t i = 0; i < batch->n_columns; i++) {
        int column = m->columns[i];
        if (column < 0) {
            dm_column_append_null(&batch->columns[i]);
            continue;
        }
        bad->reason = append_column(&batch->columns[i], m->table, column, row, first + column);
        if (bad->reason != NULL) {
            bad->column = column;
            dm_batch_undo_row(batch);
            return;
        }
    }
    if (too_large(m, row, first, dm_batch_row_bytes(batch, batch->rows), bad))
        dm_batch_undo_row(batch);
    else
        dm_batch_end_row(batch, op);
}

/* The place of a table column in the key, or -1. */
static int key_place(const struct dm_schema *s, int column)
{
    for (size_t i = 0; i < s->n_keys; i++)
        if ((int)s->keys[i] == column)
            return (int)i;
    return -1;
}

bool dm_sqlite_row_append_delete(struct dm_sqlite_row_mapper *m, sqlite3_stmt *row, int first,
                                 struct dm_batch *batch)
{
    map(m, batch->schema);
    for (size_t i = 0; i < batch->n_columns; i++) {
        int column = m->columns[i];
        int place = column >= 0 ? key_place(m->table->table->columns, column) : -1;
        if (place < 0) {
            dm_column_append_null(&batch->columns[i]);
        } else if (append_column(&batch->columns[i], m->table, column, row, first + place) != NULL) {
            dm_batch_undo_row(batch);
            return false;
        }
    }
    dm_batch_end_row(batch, DM_OP_DELETE);
    return true;
}

/* Of a larger row the beginnings of its values are kept. */
enum { row_kept_whole = 1 << 20, value_kept = 1 << 10 };

static const char *storage_class(int type)
{
    static const char *const names[] = {[SQLITE_INTEGER] = "INTEGER",
                                        [SQLITE_FLOAT] = "REAL",
                                        [SQLITE_TEXT] = "TEXT",
                                        [SQLITE_BLOB] = "BLOB",
                                        [SQLITE_NULL] = "NULL"};
    return names[type];
}

static void describe(const struct dm_sqlite_table *t, sqlite3_stmt *row, int first,
                     const struct dm_sqlite_bad *bad, char *out, size_t size)
{
    const struct dm_field *f = &t->table->columns->fields[bad->column];
    char type[32];
    const char *class = storage_class(sqlite3_column_type(row, first + bad->column));
    const char *declared = f->source_type != NULL && f->source_type[0] != '\0' ? f->source_type : "nothing";
    if (strcmp(bad->reason, "row_too_large") == 0)
        (void)snprintf(
            out, size,
            "the row has %llu bytes, most of them in column %s; with this memory_limit a row may have "
            "%llu (a sixteenth of it)",
            (unsigned long long)bad->bytes, f->name, (unsigned long long)t->max_row_bytes);
    else if (strcmp(bad->reason, "invalid_utf8") == 0)
        (void)snprintf(out, size, "column %s: the text is not valid UTF-8", f->name);
    else if (strcmp(bad->reason, "null_key") == 0)
        (void)snprintf(out, size, "key column %s is NULL", f->name);
    else
        (void)snprintf(out, size, "column %s, declared %s, is mirrored as %s; this %s value does not fit",
                       f->name, declared, dm_type_name(f->type, type, sizeof type), class);
}

static enum dm_status raw_of(const struct dm_sqlite_table *t, sqlite3_stmt *row, int first, size_t most,
                             struct dm_buffer *out, struct dm_error *err)
{
    enum dm_status status = dm_buffer_append_byte(out, '{', err);
    for (size_t i = 0; status == DM_OK && i < t->table->columns->n_fields; i++) {
        if (i > 0)
            status = dm_buffer_append(out, ", ", 2, err);
        if (status == DM_OK)
            status = dm_sqlite_json(out, t->table->columns->fields[i].name, row, first + (int)i, most, err);
    }
    return status == DM_OK ? dm_buffer_append_byte(out, '}', err) : status;
}

static enum dm_status key_of(const struct dm_sqlite_table *t, sqlite3_stmt *row, int first,
                             struct dm_buffer *out, struct dm_error *err)
{
    const struct dm_schema *s = t->table->columns;
    enum dm_status status = dm_buffer_append_byte(out, '{', err);
    for (size_t i = 0; status == DM_OK && i < s->n_keys; i++) {
        if (i > 0)
            status = dm_buffer_append(out, ", ", 2, err);
        if (status == DM_OK)
            status = dm_sqlite_json(out, s->fields[s->keys[i]].name, row, first + (int)s->keys[i], value_kept,
                                    err);
    }
    return status == DM_OK ? dm_buffer_append_byte(out, '}', err) : status;
}

enum dm_status dm_sqlite_bad_row(const struct dm_sqlite_table *t, sqlite3_stmt *row, int first, enum dm_op op,
                                 const struct dm_sqlite_bad *bad, dm_bad_row_fn fn, void *ctx,
                                 struct dm_error *err)
{
    char message[512];
    describe(t, row, first, bad, message, sizeof message);
    struct dm_buffer raw, key;
    dm_buffer_init(&raw, UINT32_MAX);
    dm_buffer_init(&key, UINT32_MAX);
    int largest;
    uint64_t bytes = stored_bytes(t, row, first, &largest);
    bool whole = bytes <= row_kept_whole;
    enum dm_status status = raw_of(t, row, first, whole ? SIZE_MAX : value_kept, &raw, err);
    if (status == DM_OK)
        status = key_of(t, row, first, &key, err);
    if (status == DM_OK) {
        struct dm_bad_row bad_row = {
            .reason = bad->reason, .message = message, .raw_bytes = whole ? 0 : bytes, .op = op};
        bad_row.raw = dm_buffer_text(&raw);
        bad_row.key = t->table->columns->n_keys > 0 ? dm_buffer_text(&key) : NULL;
        status = fn(ctx, &bad_row, err);
    }
    dm_buffer_release(&raw);
    dm_buffer_release(&key);
    return status;
}
