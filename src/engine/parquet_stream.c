#include "engine/parquet_stream.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "column/value_parse_number.h"
#include "engine/connection.h"
#include "engine/sql_session.h"

/* The copy has no name that says anything to a person. */
static void name_file(const struct dm_parquet_stream *s, struct dm_error *err)
{
    const char *copy = s->file.path;
    char *found = s->file.fd >= 0 ? strstr(err->message, copy) : NULL;
    if (found == NULL)
        return;
    *found = 0;
    char *text = dm_xasprintf("%s%s%s", err->message, s->path, found + strlen(copy));
    size_t n = strlen(text) < sizeof err->message ? strlen(text) : sizeof err->message - 1;
    memcpy(err->message, text, n);
    err->message[n] = 0;
    free(text);
}

/* Whole files in a form that DuckDB does not read: it says so in one of these ways. */
static bool is_foreign(const char *message)
{
    static const char *const words[] = {"nsupported",     "not supported", "only supported",
                                        "ot implemented", "codec",         "ncrypt"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strstr(message, words[i]) != NULL)
            return true;
    return false;
}

/* What DuckDB says of a file that is cut off or damaged is not a matter of waiting. */
static enum dm_status damaged(const struct dm_parquet_stream *s, struct dm_error *err)
{
    bool memory = err->class == DM_ERROR_MEMORY;
    char *trace = strstr(err->message, "\n\nStack Trace");
    if (trace != NULL)
        *trace = 0;
    if (!memory)
        err->class = DM_ERROR_DATA;
    if (err->class == DM_ERROR_DATA)
        dm_error_hint(
            err, "%s",
            is_foreign(err->message)
                ? "the engine does not read this encoding, compression or encryption (or the data is "
                  "damaged): write the file again with the encoding PLAIN or DICTIONARY and "
                  "compressed with zstd, gzip or snappy"
                : "is the file cut off? write or fetch it again; nothing of it was taken");
    name_file(s, err);
    return DM_FAIL;
}

static enum dm_status take_count(void *ctx, size_t n, const char *const *values, struct dm_error *err)
{
    (void)err;
    int64_t rows = 0;
    if (n == 1 && values[0] != NULL && dm_parse_int64(values[0], strlen(values[0]), &rows) == DM_PARSED)
        *(uint64_t *)ctx = (uint64_t)rows;
    return DM_OK;
}

/* The path as DuckDB must be told it, which takes *, ? and [ for patterns. */
static enum dm_status append_path(struct dm_buffer *sql, const char *path, struct dm_error *err)
{
    struct dm_buffer plain;
    dm_buffer_init(&plain, 1 << 16);
    enum dm_status status = DM_OK;
    for (; *path != 0 && status == DM_OK; path++) {
        bool pattern = *path == '*' || *path == '?' || *path == '[';
        status = pattern ? dm_buffer_printf(&plain, err, "[%c]", *path)
                         : dm_buffer_append_byte(&plain, (uint8_t)*path, err);
    }
    if (status == DM_OK)
        status = dm_buffer_text(&plain) != NULL ? dm_sql_quote(sql, '\'', (const char *)plain.data, err)
                                                : dm_fail_memory(err, plain.max);
    dm_buffer_release(&plain);
    return status;
}

/* `before` path `after` as one statement. */
static const char *statement(struct dm_buffer *sql, const char *before, const char *path, const char *after,
                             struct dm_error *err)
{
    dm_buffer_clear(sql);
    if (dm_buffer_printf(sql, err, "%s", before) != DM_OK || append_path(sql, path, err) != DM_OK ||
        dm_buffer_printf(sql, err, "%s", after) != DM_OK)
        return NULL;
    const char *text = dm_buffer_text(sql);
    if (text == NULL)
        (void)dm_fail_memory(err, sql->max);
    return text;
}

static enum dm_status run(struct dm_parquet_stream *s, uint64_t skip, struct dm_error *err)
{
    struct dm_buffer sql;
    char after[80];
    (void)snprintf(after, sizeof after, ", hive_partitioning = false) OFFSET %llu", (unsigned long long)skip);
    dm_buffer_init(&sql, 1 << 17);
    const char *text = statement(&sql, "SELECT num_rows FROM parquet_file_metadata(", s->file.path, ")", err);
    enum dm_status status = text != NULL ? dm_sql_each(s->session, text, take_count, &s->rows, err) : DM_FAIL;
    if (status == DM_OK && skip == 0)
        (void)snprintf(after, sizeof after, ", hive_partitioning = false)");
    if (status == DM_OK)
        text = statement(&sql, "FROM read_parquet(", s->file.path, after, err);
    if (status == DM_OK)
        status = text != NULL ? dm_stream_open(&s->stream, s->session->connection, text, DM_ERROR_DATA, err)
                              : DM_FAIL;
    s->open = status == DM_OK;
    dm_buffer_release(&sql);
    return status;
}

/* All but engine and path. */
static void let_go(struct dm_parquet_stream *s)
{
    if (s->open)
        dm_stream_close(&s->stream);
    dm_sql_close(s->session);
    dm_change_parquet_release(&s->file);
    s->open = false;
    s->session = NULL;
}

/* A failure of what DuckDB does is a DATA error; others stay what they are. */
static enum dm_status start(struct dm_parquet_stream *s, uint64_t skip, struct dm_error *err)
{
    const char *temp_folder = dm_engine_options_of(s->engine)->temp_folder;
    if (dm_change_parquet_init(&s->file, s->path, temp_folder, s->bare, err) != DM_OK)
        return DM_FAIL;
    s->asked = true;
    enum dm_status status = dm_sql_open(s->engine, &s->session, err);
    /* The rows are wanted in order, one chunk after the other: a second thread would mostly wait for the first, by turning on the spot. */
    if (status == DM_OK)
        status = dm_connection_run(s->session->connection, "SET threads = 1", err);
    if (status == DM_OK && run(s, skip, err) != DM_OK)
        status = damaged(s, err);
    if (status != DM_OK)
        let_go(s);
    return status;
}

enum dm_status dm_parquet_stream_bare(struct dm_parquet_stream *s, uint64_t skip, struct dm_error *err)
{
    if (s->bare || !s->asked || err->class != DM_ERROR_DATA)
        return DM_FAIL;
    struct dm_error first = *err;
    let_go(s);
    s->bare = true;
    if (start(s, skip, err) == DM_OK)
        return DM_OK;
    if (err->class == DM_ERROR_DATA)
        *err = first;
    return DM_FAIL;
}

enum dm_status dm_parquet_stream_open(struct dm_parquet_stream *s, struct dm_engine *e, const char *path,
                                      struct dm_error *err)
{
    *s = (struct dm_parquet_stream){.engine = e, .path = dm_xstrdup(path), .file.fd = -1};
    enum dm_status status = start(s, 0, err);
    if (status != DM_OK)
        status = dm_parquet_stream_bare(s, 0, err);
    if (status != DM_OK)
        dm_parquet_stream_close(s);
    return status;
}

enum dm_status dm_parquet_stream_next(struct dm_parquet_stream *s, duckdb_data_chunk *chunk,
                                      struct dm_error *err)
{
    enum dm_status status = dm_stream_next(&s->stream, chunk, err);
    return status == DM_FAIL ? damaged(s, err) : status;
}

void dm_parquet_stream_close(struct dm_parquet_stream *s)
{
    let_go(s);
    free(s->path);
    s->path = NULL;
}
