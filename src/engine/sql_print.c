/* Rows of a query on their way out: texts for a callback, CSV, NDJSON, or a table. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/csv_field.h"
#include "base/memory.h"
#include "engine/sql_session.h"
#include "engine/text_table.h"
#include "engine/value_text.h"

/* One row as text, and one value of it; DuckDB's own limit of a text is 4 GiB. */
#define ROW_MAX ((size_t)4 << 30)

struct row_reader {
    const struct dm_sql *session;
    struct dm_stream stream;
    size_t n;
    struct dm_value_type *types;
    const char **names;   /* borrowed from the result */
    struct dm_buffer row; /* the text of the current row */
};

static void reader_close(struct row_reader *r)
{
    for (size_t i = 0; i < r->n; i++)
        dm_value_type_release(&r->types[i]);
    free(r->types);
    free(r->names);
    dm_buffer_release(&r->row);
    dm_stream_close(&r->stream);
}

static enum dm_status reader_open(struct row_reader *r, struct dm_sql *s, const char *sql,
                                  struct dm_error *err)
{
    *r = (struct row_reader){.session = s};
    if (dm_sql_start(s, sql, &r->stream, err) != DM_OK)
        return DM_FAIL;
    dm_buffer_init(&r->row, ROW_MAX);
    size_t n = duckdb_column_count(&r->stream.result);
    r->types = dm_xzalloc(n + 1, sizeof *r->types);
    r->names = dm_xzalloc(n + 1, sizeof *r->names);
    while (r->n < n) {
        size_t i = r->n++;
        r->names[i] = duckdb_column_name(&r->stream.result, i);
        if (dm_value_type_init(&r->types[i], duckdb_column_logical_type(&r->stream.result, i), err) !=
            DM_OK) {
            dm_error_prefix(err, "column %s", r->names[i]);
            reader_close(r);
            return DM_FAIL;
        }
    }
    return DM_OK;
}

/* Calls `row` for every row until it fails. */
typedef enum dm_status (*row_fn)(void *ctx, struct row_reader *r, duckdb_data_chunk chunk, uint64_t row,
                                 struct dm_error *err);

static enum dm_status reader_run(struct row_reader *r, row_fn fn, void *ctx, uint64_t *rows,
                                 struct dm_error *err)
{
    enum dm_status status;
    duckdb_data_chunk chunk;
    while ((status = dm_stream_next(&r->stream, &chunk, err)) == DM_OK) {
        uint64_t n = duckdb_data_chunk_get_size(chunk);
        for (uint64_t i = 0; i < n && status == DM_OK; i++) {
            dm_buffer_clear(&r->row);
            status = fn(ctx, r, chunk, i, err);
            *rows += status == DM_OK;
        }
        duckdb_destroy_data_chunk(&chunk);
        if (status != DM_OK)
            return status;
    }
    return status == DM_END ? DM_OK : dm_sql_explain(r->session, err);
}

static enum dm_status write_out(FILE *out, const struct dm_buffer *text, struct dm_error *err)
{
    if (text->len != 0 && fwrite(text->data, 1, text->len, out) != text->len)
        return dm_fail_errno(err, "cannot write the result");
    return DM_OK;
}

struct printer {
    FILE *out;
    bool sheet;
    struct dm_buffer value;
    struct dm_text_table table;
};

static enum dm_status csv_header(struct printer *p, struct row_reader *r, struct dm_error *err)
{
    for (size_t i = 0; i < r->n; i++)
        if ((i > 0 && dm_buffer_append_byte(&r->row, ',', err) != DM_OK) ||
            dm_csv_field(&r->row, r->names[i], strlen(r->names[i]), p->sheet, err) != DM_OK)
            return DM_FAIL;
    return dm_buffer_append(&r->row, "\r\n", 2, err) == DM_OK ? write_out(p->out, &r->row, err) : DM_FAIL;
}

static enum dm_status csv_row(void *ctx, struct row_reader *r, duckdb_data_chunk chunk, uint64_t row,
                              struct dm_error *err)
{
    struct printer *p = ctx;
    for (size_t i = 0; i < r->n; i++) {
        if (i > 0 && dm_buffer_append_byte(&r->row, ',', err) != DM_OK)
            return DM_FAIL;
        duckdb_vector v = duckdb_data_chunk_get_vector(chunk, i);
        if (r->types[i].id == DUCKDB_TYPE_SQLNULL || dm_value_is_null(v, row))
            continue;
        dm_buffer_clear(&p->value);
        if (dm_value_text(&p->value, &r->types[i], v, row, DM_SPELL_PLAIN, err) != DM_OK ||
            dm_csv_field(&r->row, (const char *)p->value.data, p->value.len, p->sheet, err) != DM_OK)
            return DM_FAIL;
    }
    return dm_buffer_append(&r->row, "\r\n", 2, err) == DM_OK ? write_out(p->out, &r->row, err) : DM_FAIL;
}

static enum dm_status json_row(void *ctx, struct row_reader *r, duckdb_data_chunk chunk, uint64_t row,
                               struct dm_error *err)
{
    struct printer *p = ctx;
    for (size_t i = 0; i < r->n; i++)
        if (dm_buffer_append_byte(&r->row, i == 0 ? '{' : ',', err) != DM_OK ||
            dm_json_string(&r->row, r->names[i], strlen(r->names[i]), err) != DM_OK ||
            dm_buffer_append_byte(&r->row, ':', err) != DM_OK ||
            dm_value_text(&r->row, &r->types[i], duckdb_data_chunk_get_vector(chunk, i), row, DM_SPELL_JSON,
                          err) != DM_OK)
            return DM_FAIL;
    return dm_buffer_append(&r->row, "}\n", 2, err) == DM_OK ? write_out(p->out, &r->row, err) : DM_FAIL;
}

static enum dm_status table_row(void *ctx, struct row_reader *r, duckdb_data_chunk chunk, uint64_t row,
                                struct dm_error *err)
{
    struct printer *p = ctx;
    for (size_t i = 0; i < r->n; i++) {
        dm_buffer_clear(&p->value);
        if (dm_value_text(&p->value, &r->types[i], duckdb_data_chunk_get_vector(chunk, i), row,
                          DM_SPELL_PLAIN, err) != DM_OK ||
            dm_text_table_cell(&p->table, (const char *)p->value.data, p->value.len, err) != DM_OK)
            return DM_FAIL;
    }
    return dm_text_table_end_row(&p->table, err);
}

static enum dm_status print_rows(struct printer *p, struct row_reader *r, enum dm_sql_format format,
                                 uint64_t *rows, struct dm_error *err)
{
    if (format == DM_SQL_JSON)
        return reader_run(r, json_row, p, rows, err);
    if (format == DM_SQL_CSV || format == DM_SQL_SHEET)
        return csv_header(p, r, err) == DM_OK ? reader_run(r, csv_row, p, rows, err) : DM_FAIL;
    bool *numbers = dm_xzalloc(r->n + 1, sizeof *numbers);
    for (size_t i = 0; i < r->n; i++)
        numbers[i] = dm_value_type_is_number(&r->types[i]);
    enum dm_status status = dm_text_table_init(&p->table, p->out, r->n, r->names, numbers, err);
    if (status == DM_OK)
        status = reader_run(r, table_row, p, rows, err);
    if (status == DM_OK)
        status = dm_text_table_finish(&p->table, *rows, err);
    dm_text_table_release(&p->table);
    free(numbers);
    return status;
}

enum dm_status dm_sql_print(struct dm_sql *s, const char *sql, enum dm_sql_format format, FILE *out,
                            uint64_t *rows, struct dm_error *err)
{
    struct row_reader r;
    if (reader_open(&r, s, sql, err) != DM_OK)
        return DM_FAIL;
    struct printer p = {.out = out, .sheet = format == DM_SQL_SHEET};
    dm_buffer_init(&p.value, ROW_MAX);
    uint64_t printed = 0;
    enum dm_status status = print_rows(&p, &r, format, &printed, err);
    if (status == DM_OK && fflush(out) != 0)
        status = dm_fail_errno(err, "cannot write the result");
    if (rows != NULL)
        *rows = printed;
    dm_buffer_release(&p.value);
    reader_close(&r);
    return status;
}

struct each {
    dm_sql_row fn;
    void *ctx;
    const char **values;
    size_t *offsets; /* of the values in the row's text; SIZE_MAX for null */
};

static enum dm_status each_row(void *ctx, struct row_reader *r, duckdb_data_chunk chunk, uint64_t row,
                               struct dm_error *err)
{
    struct each *e = ctx;
    for (size_t i = 0; i < r->n; i++) {
        duckdb_vector v = duckdb_data_chunk_get_vector(chunk, i);
        e->offsets[i] = SIZE_MAX;
        if (r->types[i].id == DUCKDB_TYPE_SQLNULL || dm_value_is_null(v, row))
            continue;
        e->offsets[i] = r->row.len;
        if (dm_value_text(&r->row, &r->types[i], v, row, DM_SPELL_PLAIN, err) != DM_OK ||
            dm_buffer_append_byte(&r->row, 0, err) != DM_OK)
            return DM_FAIL;
    }
    for (size_t i = 0; i < r->n; i++) /* only now: the text may have moved while it grew */
        e->values[i] = e->offsets[i] == SIZE_MAX ? NULL : (const char *)r->row.data + e->offsets[i];
    return e->fn(e->ctx, r->n, e->values, err);
}

enum dm_status dm_sql_each(struct dm_sql *s, const char *sql, dm_sql_row fn, void *ctx, struct dm_error *err)
{
    struct row_reader r;
    if (reader_open(&r, s, sql, err) != DM_OK)
        return DM_FAIL;
    struct each e = {.fn = fn, .ctx = ctx};
    e.values = dm_xzalloc(r.n + 1, sizeof *e.values);
    e.offsets = dm_xzalloc(r.n + 1, sizeof *e.offsets);
    uint64_t rows = 0;
    enum dm_status status = reader_run(&r, each_row, &e, &rows, err);
    free(e.values);
    free(e.offsets);
    reader_close(&r);
    return status;
}
