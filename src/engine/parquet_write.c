/* Batches into one Parquet file: COPY (SELECT * FROM dm_pull_<n>()) TO …, where the table function hands out our own columns.
 *
 * Order: the table function has one scanning thread, and with preserve_insertion_order off COPY lets each scanning thread
 * write its own rows in turn; so the rows of the file stand in the order of pulling. (Keeping the setting on would give the same
 * order but forbid ROW_GROUP_SIZE_BYTES, and 122880 wide rows must not be held in memory.) test_parquet_write proves the order.
 *
 * PARQUET_VERSION v1 (plain and dictionary encodings) although v2 makes smaller files: with v2 DuckDB 1.5 writes DELTA_BINARY_PACKED
 * pages of 33 bits for INT32 columns whose differences pass 32 bits (random integers, infinite dates), which Arrow refuses to read,
 * and delta and byte-stream-split encodings that Iceberg's vectorized reader for Spark only learned in 2026. */
#include "engine/parquet_write.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/memory.h"
#include "engine/chunk_source.h"
#include "engine/connection.h"
#include "engine/field_names.h"
#include "engine/handoff.h"
#include "engine/vector_fill.h"

enum { DEFAULT_ROW_GROUP_ROWS = 122880, SQL_MAX = 16 << 20 };

/* Row groups are bounded in memory by an eighth of what DuckDB may use, and by this. */
#define ROW_GROUP_BYTES_MAX ((uint64_t)128 << 20)
#define ROW_GROUP_BYTES_MIN ((uint64_t)4 << 20)

/* A chunk has fewer rows than it could when they are wide: DuckDB looks at the size of a row group between chunks only. */
#define CHUNK_BYTES_MAX ((uint64_t)2 << 20)

/* A file with large rows ends early when another may follow: nobody shall wait long for his turn. */
#define LARGE_FILE_BYTES ((uint64_t)64 << 20)

struct writer {
    struct dm_chunk_source source; /* first: the table function sees only this */
    const struct dm_schema *schema;
    dm_batch_pull pull;
    void *ctx;
    uint64_t max_bytes;

    const struct dm_batch *batch; /* the current batch and how far it was written */
    const uint32_t *selection;
    size_t n_rows, next_row;
    bool ended, more;
    struct dm_engine *engine;
    bool large; /* this file has large rows: no other writer has, until it is done */
    uint64_t taken_bytes;
    uint64_t rows;

    size_t chunk_rows;
    struct dm_stats_gatherer *stats;
    struct dm_fill_scratch scratch;
    bool failed;
    struct dm_error *err;
};

void dm_parquet_result_release(struct dm_parquet_result *r)
{
    free(r->stats);
    *r = (struct dm_parquet_result){0};
}

static enum dm_status check_batch(const struct writer *w, struct dm_error *err)
{
    if (w->batch->n_columns != w->schema->n_fields)
        return dm_fail(err, DM_ERROR_FATAL, NULL, "a batch has %zu columns, the schema %zu",
                       w->batch->n_columns, w->schema->n_fields);
    for (size_t i = 0; i < w->schema->n_fields; i++)
        if (!dm_type_equal(w->batch->columns[i].type, w->schema->fields[i].type))
            return dm_fail(err, DM_ERROR_FATAL, NULL, "column %s of a batch is not of the schema's type",
                           w->schema->fields[i].name);
    for (size_t i = 0; w->selection != NULL && i < w->n_rows; i++)
        if (w->selection[i] >= w->batch->rows)
            return dm_fail(err, DM_ERROR_FATAL, NULL, "a selection names row %u of %zu", w->selection[i],
                           w->batch->rows);
    return DM_OK;
}

/* Moves on to the next batch that has rows; DM_END when there is none or the file is full. */
static enum dm_status next_batch(struct writer *w, struct dm_error *err)
{
    while (!w->ended && w->next_row == w->n_rows) {
        if (w->max_bytes != 0 &&
            (w->taken_bytes >= w->max_bytes || (w->large && w->taken_bytes >= LARGE_FILE_BYTES))) {
            w->ended = w->more = true;
            break;
        }
        w->selection = NULL;
        size_t n_selection = 0;
        enum dm_status status = w->pull(w->ctx, &w->batch, &w->selection, &n_selection, err);
        if (status == DM_END) {
            w->ended = true;
            break;
        }
        if (status != DM_OK)
            return status == DM_FAIL ? DM_FAIL
                                     : dm_fail(err, DM_ERROR_FATAL, NULL,
                                               "a source of rows returned status %d", (int)status);
        w->next_row = 0;
        w->n_rows = w->selection != NULL ? n_selection : w->batch->rows;
        if (w->n_rows == 0)
            continue;
        if (check_batch(w, err) != DM_OK)
            return DM_FAIL;
        double part = (double)w->n_rows / (double)w->batch->rows;
        w->taken_bytes += (uint64_t)((double)dm_batch_bytes(w->batch) * part) + 1;
    }
    return w->ended ? DM_END : DM_OK;
}

/* How many of the next n rows go into one chunk: at least one. */
static size_t rows_that_fit(const struct writer *w, size_t n)
{
    for (size_t i = 0; i < w->batch->n_columns; i++) {
        const struct dm_column *c = &w->batch->columns[i];
        const struct dm_column *leaf = c->child != NULL ? c->child : c;
        if (c->width != 0 || dm_column_bytes(leaf) <= CHUNK_BYTES_MAX)
            continue;
        uint64_t bytes = 0;
        for (size_t r = 0; r < n; r++) {
            size_t row = w->selection != NULL ? w->selection[w->next_row + r] : w->next_row + r;
            uint32_t from = c->offsets[row], to = c->offsets[row + 1];
            if (c->child != NULL && leaf->width != 0)
                bytes += (uint64_t)(to - from) * leaf->width;
            else
                bytes += c->child != NULL ? leaf->offsets[to] - leaf->offsets[from] + (to - from) * 16u
                                          : to - from;
            if (bytes > CHUNK_BYTES_MAX && r > 0)
                n = r;
        }
    }
    return n;
}

/* A selection of neighbours is read in place. */
static struct dm_row_range next_range(const struct writer *w)
{
    struct dm_row_range range = {.start = w->next_row, .n = w->n_rows - w->next_row};
    if (range.n > w->chunk_rows)
        range.n = w->chunk_rows;
    range.n = rows_that_fit(w, range.n);
    if (w->selection == NULL)
        return range;
    const uint32_t *s = w->selection + w->next_row;
    size_t i = 1;
    while (i < range.n && s[i] == s[0] + i)
        i++;
    if (i == range.n) {
        range.start = s[0];
    } else {
        range.start = 0;
        range.selection = s;
    }
    return range;
}

/* A large row comes alone in its chunk (rows_that_fit). */
static void wait_for_turn(struct writer *w, const struct dm_row_range *range)
{
    if (w->large || range->n != 1)
        return;
    size_t row = range->selection != NULL ? range->selection[0] : range->start;
    if (dm_batch_row_bytes(w->batch, row) < dm_engine_large_row(w->engine))
        return;
    dm_engine_large_begin(w->engine);
    w->large = true;
}

static enum dm_status fill_chunk(struct dm_chunk_source *source, duckdb_data_chunk chunk)
{
    struct writer *w = (struct writer *)source;
    enum dm_status status = next_batch(w, w->err);
    if (status == DM_FAIL)
        w->failed = true;
    if (status != DM_OK) {
        duckdb_data_chunk_set_size(chunk, 0);
        return status == DM_FAIL ? DM_FAIL : DM_OK;
    }
    struct dm_row_range range = next_range(w);
    wait_for_turn(w, &range);
    for (size_t i = 0; i < w->schema->n_fields; i++) {
        const struct dm_field *f = &w->schema->fields[i];
        uint64_t nulls = w->stats[i].nulls;
        dm_vector_write_begin();
        status = dm_vector_fill(duckdb_data_chunk_get_vector(chunk, i), &w->batch->columns[i], &range,
                                &w->stats[i], &w->scratch, w->err);
        dm_vector_write_end();
        if (status == DM_OK && f->required && f->type.id != DM_LIST && w->stats[i].nulls != nulls)
            status = dm_fail(w->err, DM_ERROR_DATA, NULL, "a null in a required column");
        if (status != DM_OK) {
            dm_error_prefix(w->err, "column %s, rows from %llu on", f->name, (unsigned long long)w->rows);
            w->failed = true;
            return DM_FAIL;
        }
    }
    duckdb_data_chunk_set_size(chunk, range.n);
    w->next_row += range.n;
    w->rows += range.n;
    return DM_OK;
}

static enum dm_status append_field_ids(struct dm_buffer *sql, const struct dm_schema *schema,
                                       char *const *names, struct dm_error *err)
{
    for (size_t i = 0; i < schema->n_fields; i++) {
        const struct dm_field *f = &schema->fields[i];
        if (dm_buffer_append(sql, i == 0 ? "{" : ", ", i == 0 ? 1 : 2, err) != DM_OK ||
            dm_sql_quote(sql, '\'', names[i], err) != DM_OK)
            return DM_FAIL;
        enum dm_status status = f->type.id == DM_LIST
                                    ? dm_buffer_printf(sql, err, ": {'__duckdb_field_id': %d, 'element': %d}",
                                                       (int)f->id, (int)f->element_id)
                                    : dm_buffer_printf(sql, err, ": %d", (int)f->id);
        if (status != DM_OK)
            return DM_FAIL;
    }
    return dm_buffer_append_byte(sql, '}', err);
}

static uint64_t row_group_bytes(const struct dm_engine *e)
{
    uint64_t limit = dm_engine_options_of(e)->memory_limit / 8;
    if (limit == 0 || limit > ROW_GROUP_BYTES_MAX)
        return ROW_GROUP_BYTES_MAX;
    return limit < ROW_GROUP_BYTES_MIN ? ROW_GROUP_BYTES_MIN : limit;
}

/* DuckDB's dictionaries hold -0 and +0 as one value (whichever came first). Exactness goes before size: no dictionaries then, for
 * the option knows only all columns or none. */
static bool has_floats(const struct dm_schema *schema)
{
    for (size_t i = 0; i < schema->n_fields; i++) {
        struct dm_type type = schema->fields[i].type;
        unsigned id = type.id == DM_LIST ? type.element : type.id;
        if (id == DM_FLOAT32 || id == DM_FLOAT64)
            return true;
    }
    return false;
}

static enum dm_status copy_statement(struct dm_buffer *sql, const struct dm_engine *e, unsigned number,
                                     const char *path, const struct writer *w,
                                     const struct dm_parquet_options *options, struct dm_error *err)
{
    const char *compression = options->compression != NULL ? options->compression : "zstd";
    size_t group = options->row_group_rows != 0 ? options->row_group_rows : DEFAULT_ROW_GROUP_ROWS;
    if (dm_buffer_printf(sql, err, "COPY (SELECT * FROM dm_pull_%u()) TO ", number) != DM_OK ||
        dm_sql_quote(sql, '\'', path, err) != DM_OK ||
        dm_buffer_printf(sql, err,
                         " (FORMAT parquet, PARQUET_VERSION v1, USE_TMP_FILE false, ROW_GROUP_SIZE %zu, "
                         "ROW_GROUP_SIZE_BYTES %llu, COMPRESSION ",
                         group, (unsigned long long)row_group_bytes(e)) != DM_OK ||
        dm_sql_quote(sql, '\'', compression, err) != DM_OK ||
        (options->zstd_level != 0 && strcmp(compression, "zstd") == 0 &&
         dm_buffer_printf(sql, err, ", COMPRESSION_LEVEL %d", options->zstd_level) != DM_OK) ||
        (has_floats(w->schema) && dm_buffer_printf(sql, err, ", DICTIONARY_SIZE_LIMIT 0") != DM_OK) ||
        dm_buffer_append(sql, ", FIELD_IDS ", 12, err) != DM_OK ||
        append_field_ids(sql, w->schema, w->source.names, err) != DM_OK ||
        dm_buffer_append_byte(sql, ')', err) != DM_OK)
        return DM_FAIL;
    if (dm_buffer_text(sql) == NULL)
        return dm_fail_memory(err, SQL_MAX);
    return DM_OK;
}

static enum dm_status copy(struct dm_engine *e, const char *path, const struct dm_parquet_options *options,
                           struct writer *w, struct dm_error *err)
{
    struct dm_connection *c;
    if (dm_connection_take(e, &c, err) != DM_OK)
        return DM_FAIL;
    struct dm_buffer sql;
    dm_buffer_init(&sql, SQL_MAX);
    uint64_t written = 0;
    enum dm_status status = copy_statement(&sql, e, c->number, path, w, options, err);
    if (status == DM_OK) {
        struct dm_error duckdb_error = {0};
        c->source = &w->source;
        dm_handoff_give(&w->source);
        status = dm_connection_copy(c->handle, (const char *)sql.data, &written, &duckdb_error);
        dm_handoff_take(&w->source);
        c->source = NULL;
        if (status != DM_OK && !w->failed)
            *err = duckdb_error;
        if (w->failed)
            status = DM_FAIL;
    }
    if (status == DM_OK && written != w->rows)
        status = dm_fail(err, DM_ERROR_FATAL, NULL, "DuckDB wrote %llu rows of %llu",
                         (unsigned long long)written, (unsigned long long)w->rows);
    dm_buffer_release(&sql);
    dm_connection_give(e, c);
    return status;
}

static void finish_stats(const struct writer *w, struct dm_parquet_result *result)
{
    result->n_stats = w->schema->n_fields;
    result->stats = dm_xzalloc(result->n_stats, sizeof *result->stats);
    for (size_t i = 0; i < result->n_stats; i++) {
        const struct dm_field *f = &w->schema->fields[i];
        dm_stats_finish(&w->stats[i], f->type.id == DM_LIST ? f->element_id : f->id, &result->stats[i]);
    }
}

static void writer_release(struct writer *w)
{
    if (w->large)
        dm_engine_large_end(w->engine);
    dm_field_names_free(w->source.names, w->schema->n_fields);
    free(w->stats);
    dm_fill_scratch_release(&w->scratch);
}

enum dm_status dm_parquet_write(struct dm_engine *e, const char *path, const struct dm_schema *schema,
                                const struct dm_parquet_options *options, dm_batch_pull pull, void *ctx,
                                struct dm_parquet_result *result, bool *more, struct dm_error *err)
{
    *result = (struct dm_parquet_result){0};
    if (more != NULL)
        *more = false;
    if (schema->n_fields == 0)
        return dm_fail(err, DM_ERROR_DATA, NULL, "cannot write %s: a table without columns", path);
    struct writer w = {
        .engine = e, .schema = schema, .pull = pull, .ctx = ctx, .max_bytes = options->max_bytes, .err = err};
    w.source =
        (struct dm_chunk_source){.schema = schema, .names = dm_field_names_new(schema), .fill = fill_chunk};
    w.stats = dm_xzalloc(schema->n_fields, sizeof *w.stats);
    for (size_t i = 0; i < schema->n_fields; i++) {
        struct dm_type type = schema->fields[i].type;
        dm_stats_init(&w.stats[i], type.id == DM_LIST ? dm_type_element(type) : type, type.id != DM_LIST);
    }
    w.chunk_rows = duckdb_vector_size();

    enum dm_status status = next_batch(&w, err);
    if (status == DM_OK) {
        status = copy(e, path, options, &w, err);
        if (status == DM_OK)
            status = dm_file_sync(path, err);
        if (status == DM_OK)
            status = dm_file_size(path, &result->file_bytes, err);
        if (status == DM_OK) {
            result->rows = w.rows;
            finish_stats(&w, result);
        } else {
            unlink(path);
            dm_error_prefix(err, "writing %s", path);
        }
    } else if (status == DM_END) {
        status = DM_OK;
    }
    if (status == DM_OK && more != NULL)
        *more = w.more;
    writer_release(&w);
    return status;
}

struct one_batch {
    const struct dm_batch *batch;
    const uint32_t *selection;
    size_t n_selection;
};

static enum dm_status pull_one(void *ctx, const struct dm_batch **batch, const uint32_t **selection,
                               size_t *n_selection, struct dm_error *err)
{
    (void)err;
    struct one_batch *one = ctx;
    if (one->batch == NULL)
        return DM_END;
    *batch = one->batch;
    *selection = one->selection;
    *n_selection = one->n_selection;
    one->batch = NULL;
    return DM_OK;
}

enum dm_status dm_parquet_write_batch(struct dm_engine *e, const char *path, const struct dm_schema *schema,
                                      const struct dm_parquet_options *options, const struct dm_batch *batch,
                                      const uint32_t *selection, size_t n_selection,
                                      struct dm_parquet_result *result, struct dm_error *err)
{
    struct one_batch one = {batch, selection, n_selection};
    struct dm_parquet_options whole = *options;
    whole.max_bytes = 0;
    return dm_parquet_write(e, path, schema, &whole, pull_one, &one, result, NULL, err);
}
