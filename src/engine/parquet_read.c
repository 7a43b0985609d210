#include "engine/parquet_read.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/memory.h"
#include "engine/connection.h"
#include "engine/duckdb_stream.h"
#include "engine/handoff.h"
#include "engine/read_relation.h"
#include "engine/scan_filter.h"
#include "engine/vector_read.h"

enum { SQL_MAX = 256 << 20, VECTOR_ROWS = 2048 };

/* Up to so many positions are named in the query, which lets DuckDB skip row groups that hold none of them. */
enum { FETCH_LIST_MAX = 200 };

struct scan {
    const struct dm_scan_file *files;
    size_t n_files;
    const struct dm_schema *schema;
    char **names;
    struct dm_batch *batch;
    uint32_t *file_numbers;
    uint32_t *positions;
};

/* Inside the query columns are called f0, f1, …: nothing that a person named can collide with file_index and file_row_number. */
static char **plain_names(size_t n)
{
    char **names = dm_xzalloc(n, sizeof *names);
    for (size_t i = 0; i < n; i++)
        names[i] = dm_xasprintf("f%zu", i);
    return names;
}

static void scan_init(struct scan *s, const struct dm_scan_file *files, size_t n_files,
                      const struct dm_schema *schema)
{
    *s = (struct scan){
        .files = files, .n_files = n_files, .schema = schema, .names = plain_names(schema->n_fields)};
    s->batch = dm_batch_new(schema);
    s->file_numbers = dm_xalloc(VECTOR_ROWS * sizeof *s->file_numbers);
    s->positions = dm_xalloc(VECTOR_ROWS * sizeof *s->positions);
}

static void scan_release(struct scan *s)
{
    for (size_t i = 0; i < s->schema->n_fields; i++)
        free(s->names[i]);
    free(s->names);
    dm_batch_free(s->batch);
    free(s->file_numbers);
    free(s->positions);
}

static enum dm_status append_select(const struct scan *s, struct dm_buffer *sql, struct dm_error *err)
{
    if (dm_buffer_printf(sql, err, "SELECT file_index, file_row_number") != DM_OK)
        return DM_FAIL;
    for (size_t i = 0; i < s->schema->n_fields; i++)
        if (dm_buffer_printf(sql, err, ", f%zu", i) != DM_OK)
            return DM_FAIL;
    if (dm_buffer_printf(sql, err, " FROM ") != DM_OK)
        return DM_FAIL;
    return dm_read_relation(sql, s->files, s->n_files, s->schema, s->names, err);
}

/* One chunk of the query's result into the scan's batch. */
static enum dm_status read_chunk(struct scan *s, duckdb_data_chunk chunk, struct dm_batch *out,
                                 struct dm_error *err)
{
    size_t n = duckdb_data_chunk_get_size(chunk);
    if (n > VECTOR_ROWS)
        return dm_fail(err, DM_ERROR_FATAL, NULL, "DuckDB returned %zu rows at once", n);
    const uint64_t *file_index = duckdb_vector_get_data(duckdb_data_chunk_get_vector(chunk, 0));
    const int64_t *position = duckdb_vector_get_data(duckdb_data_chunk_get_vector(chunk, 1));
    for (size_t i = 0; i < n; i++) {
        if (file_index[i] >= s->n_files || position[i] < 0 || position[i] > UINT32_MAX)
            return dm_fail(err, DM_ERROR_FATAL, NULL, "DuckDB returned row %lld of file %llu",
                           (long long)position[i], (unsigned long long)file_index[i]);
        s->file_numbers[i] = s->files[file_index[i]].number;
        s->positions[i] = (uint32_t)position[i];
    }
    for (size_t i = 0; i < out->n_columns; i++) {
        if (dm_vector_read(duckdb_data_chunk_get_vector(chunk, i + 2), 0, n, &out->columns[i], err) !=
            DM_OK) {
            dm_error_prefix(err, "column %s", s->schema->fields[i].name);
            return DM_FAIL;
        }
    }
    if (out->capacity < out->rows + n) {
        out->capacity = (out->rows + n) * 2;
        out->ops = dm_xrealloc(out->ops, out->capacity, sizeof *out->ops);
        out->txns = dm_xrealloc(out->txns, out->capacity, sizeof *out->txns);
        out->subxids = dm_xrealloc(out->subxids, out->capacity, sizeof *out->subxids);
    }
    for (size_t i = out->rows; i < out->rows + n; i++) {
        out->ops[i] = DM_OP_COPY;
        out->txns[i] = out->txn;
        out->subxids[i] = out->subxid;
    }
    out->rows += n;
    return DM_OK;
}

/* A file that is gone does not come back by waiting. */
static void explain_missing_file(const struct dm_scan_file *files, size_t n_files, struct dm_error *err)
{
    for (size_t i = 0; i < n_files; i++)
        if (access(files[i].path, R_OK) != 0) {
            (void)dm_fail(err, DM_ERROR_FATAL,
                          "restore the file from a backup, or copy the table anew (resync)",
                          "data file %s is missing or cannot be read", files[i].path);
            return;
        }
}

static enum dm_status start(struct dm_connection *c, struct dm_buffer *sql, const struct scan *s,
                            struct dm_stream *stream, struct dm_error *err)
{
    if (dm_buffer_text(sql) == NULL)
        return dm_fail_memory(err, SQL_MAX);
    if (dm_stream_open(stream, c->handle, (const char *)sql->data, DM_ERROR_FATAL, err) == DM_OK)
        return DM_OK;
    explain_missing_file(s->files, s->n_files, err);
    return DM_FAIL;
}

static enum dm_status append_key_order(const struct dm_schema *schema, struct dm_buffer *sql,
                                       struct dm_error *err)
{
    if (schema->n_keys == 0)
        return dm_fail(err, DM_ERROR_FATAL, NULL, "rows of a table without key have no key order");
    for (size_t i = 0; i < schema->n_keys; i++) {
        const struct dm_field *f = &schema->fields[schema->keys[i]];
        if (f->type.id == DM_LIST) /* its nulls would sort the other way round */
            return dm_fail(err, DM_ERROR_DATA, "choose a key of other columns", "key column %s is a list",
                           f->name);
        if (dm_buffer_printf(sql, err, "%s f%u ASC NULLS FIRST", i == 0 ? " ORDER BY" : ",",
                             (unsigned)schema->keys[i]) != DM_OK)
            return DM_FAIL;
    }
    return DM_OK;
}

static enum dm_status scan_statement(const struct scan *s, struct dm_buffer *sql, bool filtered,
                                     unsigned number, bool ordered, struct dm_error *err)
{
    if (append_select(s, sql, err) != DM_OK)
        return DM_FAIL;
    if (filtered &&
        dm_buffer_printf(sql, err, " WHERE dm_visible_%u(file_index, file_row_number)", number) != DM_OK)
        return DM_FAIL;
    return ordered ? append_key_order(s->schema, sql, err) : DM_OK;
}

static enum dm_status run_scan(struct scan *s, struct dm_connection *c, struct dm_buffer *sql, dm_scan_fn fn,
                               void *ctx, struct dm_error *err)
{
    struct dm_stream stream;
    if (start(c, sql, s, &stream, err) != DM_OK)
        return DM_FAIL;
    enum dm_status status;
    duckdb_data_chunk chunk;
    while ((status = dm_stream_next(&stream, &chunk, err)) == DM_OK) {
        dm_batch_clear(s->batch);
        status = read_chunk(s, chunk, s->batch, err);
        if (status == DM_OK && s->batch->rows != 0)
            status = fn(ctx, s->batch, s->file_numbers, s->positions, err);
        duckdb_destroy_data_chunk(&chunk);
        if (status != DM_OK)
            break;
    }
    dm_stream_close(&stream);
    return status == DM_END ? DM_OK : status;
}

enum dm_status dm_parquet_scan(struct dm_engine *e, const struct dm_scan_file *files, size_t n_files,
                               const struct dm_schema *schema, const struct dm_scan_options *options,
                               dm_scan_fn fn, void *ctx, struct dm_error *err)
{
    if (n_files == 0)
        return DM_OK;
    if (schema->n_fields == 0)
        return dm_fail(err, DM_ERROR_FATAL, NULL, "a scan without columns");
    struct dm_connection *c;
    if (dm_connection_take(e, &c, err) != DM_OK)
        return DM_FAIL;
    struct scan s;
    scan_init(&s, files, n_files, schema);
    const roaring_bitmap_t **deleted = dm_xzalloc(n_files, sizeof *deleted);
    struct dm_scan_filter filter = {.n_files = n_files, .positions = deleted};
    bool filtered = false;
    for (size_t i = 0; i < n_files; i++) {
        deleted[i] = files[i].deleted;
        filtered |= deleted[i] != NULL && !roaring_bitmap_is_empty(deleted[i]);
    }
    c->filter = &filter;
    dm_handoff_give(&c->filter);
    struct dm_buffer sql;
    dm_buffer_init(&sql, SQL_MAX);
    enum dm_status status =
        scan_statement(&s, &sql, filtered, c->number, options != NULL && options->order_by_key, err);
    if (status == DM_OK)
        status = run_scan(&s, c, &sql, fn, ctx, err);
    dm_handoff_take(&c->filter);
    c->filter = NULL;
    dm_buffer_release(&sql);
    free(deleted);
    scan_release(&s);
    dm_connection_give(e, c);
    return status;
}

static enum dm_status fetch_statement(const struct scan *s, struct dm_buffer *sql, unsigned number,
                                      const uint32_t *positions, size_t n, struct dm_error *err)
{
    if (append_select(s, sql, err) != DM_OK || dm_buffer_printf(sql, err, " WHERE file_row_number ") != DM_OK)
        return DM_FAIL;
    enum dm_status status = DM_OK;
    if (n <= FETCH_LIST_MAX) {
        for (size_t i = 0; i < n && status == DM_OK; i++)
            status = dm_buffer_printf(sql, err, "%s%u", i == 0 ? "IN (" : ", ", positions[i]);
        if (status == DM_OK)
            status = dm_buffer_append_byte(sql, ')', err);
    } else {
        /* With one argument the function is evaluated inside the scan, before the other columns are read. */
        status = dm_buffer_printf(sql, err, "BETWEEN %u AND %u AND dm_visible_%u(file_row_number)",
                                  positions[0], positions[n - 1], number);
    }
    return status == DM_OK && n > 1 ? dm_buffer_printf(sql, err, " ORDER BY file_row_number") : status;
}

static enum dm_status run_fetch(struct scan *s, struct dm_connection *c, struct dm_buffer *sql,
                                const uint32_t *positions, size_t n, size_t most_bytes, struct dm_batch *out,
                                size_t *fetched, struct dm_error *err)
{
    struct dm_stream stream;
    if (start(c, sql, s, &stream, err) != DM_OK)
        return DM_FAIL;
    size_t got = 0;
    enum dm_status status;
    duckdb_data_chunk chunk;
    while ((got == 0 || dm_batch_bytes(out) < most_bytes) &&
           (status = dm_stream_next(&stream, &chunk, err)) == DM_OK) {
        size_t rows = duckdb_data_chunk_get_size(chunk);
        status = read_chunk(s, chunk, out, err);
        duckdb_destroy_data_chunk(&chunk);
        if (status == DM_OK &&
            (rows > n - got || memcmp(s->positions, positions + got, rows * sizeof *positions) != 0))
            status = dm_fail(err, DM_ERROR_FATAL, NULL, "other rows than asked for came back");
        if (status != DM_OK)
            break;
        got += rows;
    }
    dm_stream_close(&stream);
    *fetched = got;
    if (status == DM_END && got != n)
        return dm_fail(err, DM_ERROR_FATAL, NULL, "position %u is past the end", positions[got]);
    return status == DM_END ? DM_OK : status;
}

enum dm_status dm_parquet_fetch(struct dm_engine *e, const char *path, const uint32_t *positions, size_t n,
                                const struct dm_schema *schema, struct dm_batch *out, struct dm_error *err)
{
    size_t all;
    return dm_parquet_fetch_some(e, path, positions, n, schema, SIZE_MAX, out, &all, err);
}

enum dm_status dm_parquet_fetch_some(struct dm_engine *e, const char *path, const uint32_t *positions,
                                     size_t n, const struct dm_schema *schema, size_t most_bytes,
                                     struct dm_batch *out, size_t *fetched, struct dm_error *err)
{
    *fetched = 0;
    if (n == 0)
        return DM_OK;
    struct dm_connection *c;
    if (dm_connection_take(e, &c, err) != DM_OK)
        return DM_FAIL;
    struct dm_scan_file file = {.path = path};
    struct scan s;
    scan_init(&s, &file, 1, schema);
    roaring_bitmap_t *wanted = n > FETCH_LIST_MAX ? roaring_bitmap_of_ptr(n, positions) : NULL;
    const roaring_bitmap_t *list[] = {wanted};
    struct dm_scan_filter filter = {.n_files = 1, .positions = list, .keep = true};
    c->filter = &filter;
    dm_handoff_give(&c->filter);
    struct dm_buffer sql;
    dm_buffer_init(&sql, SQL_MAX);
    size_t rows_before = out->rows;
    enum dm_status status = fetch_statement(&s, &sql, c->number, positions, n, err);
    if (status == DM_OK)
        status = run_fetch(&s, c, &sql, positions, n, most_bytes, out, fetched, err);
    if (status != DM_OK) {
        out->rows = rows_before;
        dm_batch_undo_row(out);
        dm_error_prefix(err, "reading %s", path);
    }
    dm_handoff_take(&c->filter);
    c->filter = NULL;
    dm_buffer_release(&sql);
    if (wanted != NULL)
        roaring_bitmap_free(wanted);
    scan_release(&s);
    dm_connection_give(e, c);
    return status;
}
