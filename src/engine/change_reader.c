#include "engine/change_reader.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/memory.h"
#include "engine/change_format.h"

enum {
    MAX_ROW_DEFAULT = 16 << 20,
    MAX_ROW_LEAST = 1 << 10,
    MAX_ROW_MOST = 256 << 20,
    EMPTY_LOOK_BYTES = 4096
};

static bool ends_in(const char *name, size_t n, const char *suffix)
{
    size_t m = strlen(suffix);
    return n > m && strncasecmp(name + n - m, suffix, m) == 0;
}

/* By the name, without what says how it is compressed. */
static enum dm_change_format format_of_name(const char *name)
{
    static const char *const packed[] = {".gz", ".gzip", ".zst", ".zstd"};
    static const struct {
        const char *suffix;
        enum dm_change_format format;
    } known[] = {{".csv", DM_CHANGES_CSV},      {".tsv", DM_CHANGES_CSV},    {".json", DM_CHANGES_JSON},
                 {".ndjson", DM_CHANGES_JSON},  {".jsonl", DM_CHANGES_JSON}, {".parquet", DM_CHANGES_PARQUET},
                 {".parq", DM_CHANGES_PARQUET}, {".pq", DM_CHANGES_PARQUET}};
    size_t n = strlen(name);
    for (size_t i = 0; i < sizeof packed / sizeof packed[0]; i++)
        if (ends_in(name, n, packed[i])) {
            n -= strlen(packed[i]);
            break;
        }
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (ends_in(name, n, known[i].suffix))
            return known[i].format;
    return DM_CHANGES_AUTO;
}

static bool is_parquet(const struct dm_change_input *in)
{
    return dm_change_input_left(in) >= 4 && memcmp(dm_change_input_at(in), "PAR1", 4) == 0;
}

static enum dm_change_format format_of_content(const struct dm_change_input *in)
{
    const char *p = dm_change_input_at(in), *end = p + dm_change_input_left(in);
    if (is_parquet(in))
        return DM_CHANGES_PARQUET;
    if (end - p >= 3 && memcmp(p, "\xef\xbb\xbf", 3) == 0)
        p += 3;
    while (p < end && (*p == ' ' || *p == '\t' || *p == '\n' || *p == '\r'))
        p++;
    return p < end && (*p == '{' || *p == '[') ? DM_CHANGES_JSON : DM_CHANGES_CSV;
}

/* The reader without its format. */
static struct dm_change_reader *reader_new(const char *name, const struct dm_schema *schema,
                                           const struct dm_change_options *options)
{
    static const struct dm_change_options none = {.version_field = -1};
    struct dm_change_reader *r = dm_xzalloc(1, sizeof *r);
    r->name = dm_xstrdup(name);
    r->options = options != NULL ? *options : none;
    size_t max = r->options.max_row_bytes != 0 ? r->options.max_row_bytes : (size_t)MAX_ROW_DEFAULT;
    r->options.max_row_bytes = max < MAX_ROW_LEAST ? MAX_ROW_LEAST : max > MAX_ROW_MOST ? MAX_ROW_MOST : max;
    r->input.fd = -1;
    dm_change_row_init(&r->row, schema, &r->options);
    return r;
}

/* ---- nothing at all ---- */

static enum dm_status nothing_next(struct dm_change_reader *r, struct dm_batch *batch,
                                   struct dm_change_limits limits, struct dm_error *err)
{
    (void)r;
    (void)batch;
    (void)limits;
    (void)err;
    return DM_END;
}

static void nothing_close(struct dm_change_reader *r)
{
    (void)r;
}

/* Empty, or space only (and the mark that some programs put in front). The window is filled up to the first that is not space. */
static enum dm_status is_empty(struct dm_change_reader *r, bool *empty, struct dm_error *err)
{
    struct dm_change_input *in = &r->input;
    for (;;) {
        const char *p = dm_change_input_at(in);
        size_t n = dm_change_input_left(in), i = 0;
        if (n >= 3 && memcmp(p, "\xef\xbb\xbf", 3) == 0)
            i = 3;
        while (i < n && (p[i] == ' ' || p[i] == '\t' || p[i] == '\n' || p[i] == '\r'))
            i++;
        *empty = i == n && in->eof;
        if (i < n || in->eof || n >= EMPTY_LOOK_BYTES)
            return DM_OK;
        if (dm_change_input_fill(in, err) != DM_OK)
            return DM_FAIL;
    }
}

/* A program had nothing to say that day, or it marks with the file that the others are complete. */
static enum dm_status open_nothing(struct dm_change_reader *r)
{
    static const struct dm_change_format_type type = {.next = nothing_next, .close = nothing_close};
    r->format = &type;
    dm_change_note(&r->notes, "the file is empty");
    return DM_OK;
}

/* Errors name the file, once. */
static enum dm_status named(const struct dm_change_reader *r, struct dm_error *err)
{
    if (strstr(err->message, r->name) == NULL)
        dm_error_prefix(err, "%s", r->name);
    return DM_FAIL;
}

static enum dm_status open_text(struct dm_change_reader *r, enum dm_change_format format,
                                struct dm_error *err)
{
    return format == DM_CHANGES_CSV ? dm_change_csv_open(r, err) : dm_change_json_open(r, err);
}

static enum dm_status open_format(struct dm_change_reader *r, struct dm_engine *e, const char *path,
                                  struct dm_error *err)
{
    enum dm_change_format format = r->options.format;
    bool empty = false;
    if (format == DM_CHANGES_AUTO)
        format = format_of_name(path);
    if (is_empty(r, &empty, err) != DM_OK)
        return DM_FAIL;
    if (empty)
        return open_nothing(r);
    if (format == DM_CHANGES_AUTO)
        format = format_of_content(&r->input);
    bool parquet = is_parquet(&r->input);
    if (parquet && r->input.packing != DM_PACKED_NOT)
        return dm_fail(err, DM_ERROR_DATA, "unpack it first (Parquet is compressed inside)",
                       "%s is a compressed Parquet file", path);
    if (parquet != (format == DM_CHANGES_PARQUET))
        return dm_fail(err, DM_ERROR_DATA,
                       parquet ? "name it .parquet, or say that its format is Parquet"
                               : "is it cut off, or of another format?",
                       parquet ? "%s is a Parquet file" : "%s is not a Parquet file", path);
    if (format != DM_CHANGES_PARQUET)
        return open_text(r, format, err);
    dm_change_input_close(&r->input);
    return dm_change_parquet_open(r, e, path, err);
}

enum dm_status dm_change_reader_open(struct dm_engine *e, const char *path, const struct dm_schema *schema,
                                     const struct dm_change_options *options, struct dm_change_reader **out,
                                     struct dm_error *err)
{
    struct dm_change_reader *r = reader_new(path, schema, options);
    if (dm_change_input_open(&r->input, path, options->max_unpacked_bytes, err) != DM_OK ||
        open_format(r, e, path, err) != DM_OK) {
        (void)named(r, err);
        dm_change_reader_close(r);
        return DM_FAIL;
    }
    *out = r;
    return DM_OK;
}

enum dm_status dm_change_reader_open_memory(const char *name, const void *bytes, size_t n,
                                            const struct dm_schema *schema,
                                            const struct dm_change_options *options,
                                            struct dm_change_reader **out, struct dm_error *err)
{
    struct dm_change_reader *r = reader_new(name, schema, options);
    dm_change_input_open_memory(&r->input, name, bytes, n);
    enum dm_change_format format = r->options.format;
    if (format == DM_CHANGES_AUTO)
        format = format_of_content(&r->input);
    bool empty = false;
    if (is_empty(r, &empty, err) == DM_OK && empty)
        format = DM_CHANGES_AUTO;
    enum dm_status status = empty                          ? open_nothing(r)
                            : format == DM_CHANGES_PARQUET ? dm_fail(err, DM_ERROR_DATA, "send CSV or JSON",
                                                                     "Parquet is not read from memory")
                                                           : open_text(r, format, err);
    if (status != DM_OK) {
        (void)named(r, err);
        dm_change_reader_close(r);
        return DM_FAIL;
    }
    *out = r;
    return DM_OK;
}

enum dm_status dm_change_reader_query(struct dm_sql *sql, const char *query, const struct dm_schema *schema,
                                      const struct dm_change_options *options, struct dm_change_reader **out,
                                      struct dm_error *err)
{
    struct dm_change_reader *r = reader_new("query", schema, options);
    if (dm_change_query_open(r, sql, query, err) != DM_OK) {
        (void)named(r, err);
        dm_change_reader_close(r);
        return DM_FAIL;
    }
    *out = r;
    return DM_OK;
}

enum dm_status dm_change_reader_next(struct dm_change_reader *r, struct dm_batch *batch, size_t max_rows,
                                     size_t max_bytes, dm_bad_change_fn bad, void *ctx, struct dm_error *err)
{
    if (r->ended)
        return DM_END;
    r->row.bad = bad;
    r->row.bad_ctx = ctx;
    struct dm_change_limits limits = {.rows = max_rows, .bytes = max_bytes};
    enum dm_status status = r->format->next(r, batch, limits, err);
    r->ended = status == DM_END;
    if (r->ended && r->row.preimages > 0)
        dm_change_note(&r->notes, "%llu rows say how a row was before an update, and were passed over",
                       (unsigned long long)r->row.preimages);
    return status == DM_FAIL ? named(r, err) : status;
}

const char *const *dm_change_reader_notes(const struct dm_change_reader *r, size_t *n)
{
    *n = r->notes.n;
    return (const char *const *)r->notes.items;
}

void dm_change_reader_progress(const struct dm_change_reader *r, uint64_t *done, uint64_t *total)
{
    bool text = r->input.data != NULL;
    *done = text ? r->input.bytes_read : r->rows_done;
    *total = text ? r->input.bytes_total : r->rows_total;
}

void dm_change_reader_close(struct dm_change_reader *r)
{
    if (r == NULL)
        return;
    if (r->state != NULL)
        r->format->close(r);
    dm_change_input_close(&r->input);
    dm_change_row_release(&r->row);
    dm_change_notes_release(&r->notes);
    free(r->name);
    free(r);
}
