/* Parquet files and query results as changes: whole vectors at a time. Rows that do not fit are found by column, kept in mind, and taken
 * out in the end; only a vector that has such rows is copied. DuckDB reads the file: there is no other good reader of Parquet in C. */
#include "engine/change_table.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/memory.h"
#include "column/key.h"
#include "column/value_parse.h"
#include "engine/change_format.h"
#include "engine/change_unavailable.h"
#include "engine/parquet_stream.h"
#include "engine/sql_session.h"
#include "engine/value_bare.h"

enum { TEXT_MAX = 256 << 20, VALUE_KEPT = 1 << 10 };
#define PIECE_BYTES ((size_t)8 << 20)

/* What is wrong with a row of the present vector; the first thing found. */
struct trouble {
    const char *reason; /* NULL: nothing */
    char *message;      /* owned */
    uint64_t bytes;     /* of a row that is too large, which is not kept whole; else 0 */
};

static const char no_trouble[] = "update_preimage"; /* the row is no change, and goes without a report */

struct table {
    bool is_file;
    struct dm_parquet_stream file; /* a Parquet file … */
    struct dm_stream query;        /* … or a query */
    bool open;
    size_t n;
    char **names;
    struct dm_value_type *types;
    bool *printable;
    struct dm_change_columns columns;
    int *sources;              /* per field: column of the result, -1: none */
    enum dm_table_mode *modes; /* per field */
    int control;               /* column of the result, -1: none */
    int deleted;               /* "__deleted"; -1: none */
    duckdb_data_chunk chunk;
    size_t at, size;  /* in the chunk: rows taken; rows there */
    uint64_t before;  /* rows of the chunks before */
    size_t raw_row;   /* row of the chunk that write_raw writes … */
    bool raw_cut;     /* … without its long values */
    size_t row_bytes; /* about, of the rows taken last */
    uint8_t *ops;     /* of the rows being taken */
    struct trouble *troubles;
    size_t n_troubles, capacity;
    struct dm_batch *kept; /* rows on their way around bad ones */
    struct dm_buffer text;
};

static void forget_troubles(struct table *t)
{
    for (size_t i = 0; i < t->capacity && t->n_troubles > 0; i++) {
        free(t->troubles[i].message);
        t->troubles[i] = (struct trouble){0};
    }
    t->n_troubles = 0;
}

static void forget_types(struct table *t)
{
    for (size_t i = 0; i < t->n && t->types != NULL; i++)
        dm_value_type_release(&t->types[i]);
    free(t->types);
    t->types = NULL;
}

static void table_close(struct dm_change_reader *r)
{
    struct table *t = r->state;
    if (t->chunk != NULL)
        duckdb_destroy_data_chunk(&t->chunk);
    if (t->open && t->is_file)
        dm_parquet_stream_close(&t->file);
    else if (t->open)
        dm_stream_close(&t->query);
    forget_types(t);
    for (size_t i = 0; i < t->n; i++)
        free(t->names[i]);
    forget_troubles(t);
    free(t->names);
    free(t->printable);
    free(t->sources);
    free(t->modes);
    free(t->ops);
    free(t->troubles);
    dm_change_columns_release(&t->columns);
    dm_batch_free(t->kept);
    dm_buffer_release(&t->text);
    free(t);
}

/* ---- one vector ---- */

static void add_trouble(struct table *t, size_t row, const char *reason, const char *column,
                        const char *message)
{
    if (t->troubles[row].reason != NULL)
        return;
    char *text = column != NULL ? dm_xasprintf("column %.200s: %s", column, message) : dm_xstrdup(message);
    t->troubles[row] = (struct trouble){.reason = reason, .message = text};
    t->n_troubles++;
}

static duckdb_vector vector_of(const struct table *t, int column)
{
    return duckdb_data_chunk_get_vector(t->chunk, (uint64_t)column);
}

/* The value's text in t->text. */
static enum dm_status spell(struct table *t, int column, size_t row, struct dm_error *err)
{
    dm_buffer_clear(&t->text);
    return dm_value_text(&t->text, &t->types[column], vector_of(t, column), row, DM_SPELL_FIELD, err);
}

static bool is_null(const struct table *t, int column, size_t row)
{
    return t->types[column].id == DUCKDB_TYPE_SQLNULL || dm_value_is_null(vector_of(t, column), row);
}

static enum dm_status find_ops(struct dm_change_reader *r, size_t from, size_t n, struct dm_error *err)
{
    struct table *t = r->state;
    const int columns[] = {t->control, t->deleted};
    memset(t->ops, DM_OP_UPDATE, n);
    for (size_t k = 0; k < n * 2; k++) {
        size_t i = k / 2; /* both columns of a row, one after the other */
        int column = columns[k % 2];
        bool told = column == t->deleted && t->control >= 0 && !is_null(t, t->control, from + i);
        if (column < 0 || is_null(t, column, from + i))
            continue;
        if (spell(t, column, from + i, err) != DM_OK)
            return DM_FAIL;
        const char *text = t->text.len != 0 ? (const char *)t->text.data : "";
        enum dm_op op = column == t->deleted
                            ? dm_change_deleted((enum dm_op)t->ops[i], told, text, t->text.len)
                            : dm_change_op(t->columns.control, text, t->text.len);
        if (op != 0) {
            t->ops[i] = (uint8_t)op;
            continue;
        }
        if (column == t->control && dm_change_is_preimage(t->columns.control, text, t->text.len)) {
            add_trouble(t, i, no_trouble, NULL, "");
            continue;
        }
        char shown[128], message[192];
        (void)snprintf(message, sizeof message, "%s is no kind of change%s",
                       dm_value_show(text, t->text.len, shown, sizeof shown),
                       told ? " that the other column tells" : "");
        add_trouble(t, i, "unknown_change_type", NULL, message);
    }
    return DM_OK;
}

/* Values that DuckDB has in another type, one by one. */
static enum dm_status parse_column(struct dm_change_reader *r, size_t field, size_t from, size_t n,
                                   struct dm_column *column, struct dm_error *err)
{
    struct table *t = r->state;
    int source = t->sources[field];
    bool needed_by_deletes = (r->row.fields[field] & (DM_FIELD_KEY | DM_FIELD_VERSION)) != 0;
    for (size_t i = 0; i < n; i++) {
        if (is_null(t, source, from + i)) {
            dm_column_append_null(column);
            continue;
        }
        struct dm_value_problem problem;
        dm_buffer_clear(&t->text);
        if (dm_table_take(t->modes[field], &t->types[source], vector_of(t, source), from + i, column,
                          &t->text, &problem, err) != DM_OK)
            return DM_FAIL;
        if (problem.reason == NULL)
            continue;
        if (!needed_by_deletes && t->modes[field] != DM_TABLE_LIST && t->text.len > 0 &&
            dm_change_unavailable(&r->options, (const char *)t->text.data, t->text.len)) {
            dm_column_append_unchanged(column);
            continue;
        }
        dm_column_append_null(column);
        if (t->ops[i] != DM_OP_DELETE || needed_by_deletes)
            add_trouble(t, i, problem.reason, r->row.schema->fields[field].name, problem.message);
    }
    return DM_OK;
}

/* Among the column's last n values, which were taken as they were, those that are none. */
static void check_bounds(struct dm_change_reader *r, size_t field, size_t n, struct dm_column *column)
{
    struct table *t = r->state;
    bool needed_by_deletes = (r->row.fields[field] & (DM_FIELD_KEY | DM_FIELD_VERSION)) != 0;
    size_t base = column->length - n;
    if (dm_table_bounded(column, base, n))
        return;
    for (size_t i = 0; i < n; i++)
        if (!dm_table_bounded(column, base + i, 1)) {
            dm_table_clear(column, base + i);
            if (t->ops[i] != DM_OP_DELETE || needed_by_deletes)
                add_trouble(t, i, "value_out_of_range", r->row.schema->fields[field].name,
                            "is not a value that this type holds");
        }
}

/* Nulls where there must be none, and texts that the field's rule does not allow, among the column's last n values. */
static void check_column(struct dm_change_reader *r, size_t field, size_t n, const struct dm_column *column)
{
    struct table *t = r->state;
    unsigned flags = r->row.fields[field];
    const char *name = r->row.schema->fields[field].name;
    size_t base = column->length - n;
    for (size_t i = 0; i < n && flags != 0; i++) {
        bool delete = t->ops[i] == DM_OP_DELETE;
        if (delete &&(flags & (DM_FIELD_KEY | DM_FIELD_VERSION)) == 0)
            continue;
        if (column->state[base + i] == DM_NULL) {
            if ((flags & (DM_FIELD_KEY | DM_FIELD_VERSION | DM_FIELD_REQUIRED)) != 0)
                add_trouble(t, i,
                            flags & DM_FIELD_KEY       ? "null_key"
                            : flags & DM_FIELD_VERSION ? "missing_version"
                                                       : "missing_required",
                            name, "is null");
        } else if ((flags & DM_FIELD_RULE) != 0 && column->state[base + i] == DM_VALID && !delete) {
            const char *reason;
            char message[256];
            size_t len;
            const uint8_t *bytes = dm_column_bytes_at(column, base + i, &len);
            if (!dm_change_rule(&r->options.rules[field], (const char *)bytes, len, &reason, message,
                                sizeof message))
                add_trouble(t, i, reason, name, message);
        }
    }
}

static enum dm_status take_column(struct dm_change_reader *r, size_t field, size_t from, size_t n,
                                  struct dm_column *column, struct dm_error *err)
{
    struct table *t = r->state;
    size_t nulls = column->nulls;
    int source = t->sources[field];
    enum dm_status status = DM_OK;
    if (source < 0) {
        for (size_t i = 0; i < n; i++)
            dm_column_append_null(column);
    } else if (t->modes[field] == DM_TABLE_TEXT || t->modes[field] == DM_TABLE_JSON ||
               t->modes[field] == DM_TABLE_LIST || t->modes[field] == DM_TABLE_NEVER) {
        status = parse_column(r, field, from, n, column, err);
    } else {
        status =
            dm_table_read(t->modes[field], &t->types[source], vector_of(t, source), from, n, column, err);
        if (status == DM_OK)
            check_bounds(r, field, n, column);
    }
    if (status != DM_OK)
        return DM_FAIL;
    if ((r->row.fields[field] & (DM_FIELD_KEY | DM_FIELD_VERSION)) == 0)
        dm_change_mark_unavailable(&r->options, column, n);
    if (column->nulls != nulls || (r->row.fields[field] & DM_FIELD_RULE) != 0)
        check_column(r, field, n, column);
    return DM_OK;
}

/* ---- bad rows ---- */

static bool is_long(const struct table *t, size_t column)
{
    duckdb_type id = t->types[column].id;
    if (id == DUCKDB_TYPE_LIST || id == DUCKDB_TYPE_STRUCT || id == DUCKDB_TYPE_MAP ||
        id == DUCKDB_TYPE_ARRAY)
        return true;
    if ((id != DUCKDB_TYPE_VARCHAR && id != DUCKDB_TYPE_BLOB) || is_null(t, (int)column, t->raw_row))
        return false;
    const duckdb_string_t *texts = duckdb_vector_get_data(vector_of(t, (int)column));
    return duckdb_string_t_length(texts[t->raw_row]) > VALUE_KEPT;
}

/* {"column": value, …} of the row as DuckDB has it. */
static enum dm_status write_row(void *ctx, struct dm_buffer *out, struct dm_error *err)
{
    const struct table *t = ctx;
    if (dm_buffer_append_byte(out, '{', err) != DM_OK)
        return DM_FAIL;
    bool first = true;
    for (size_t i = 0; i < t->n; i++) {
        if (!t->printable[i] || (t->raw_cut && is_long(t, i)))
            continue;
        if ((!first && dm_buffer_append_byte(out, ',', err) != DM_OK) ||
            dm_json_string(out, t->names[i], strlen(t->names[i]), err) != DM_OK ||
            dm_buffer_append_byte(out, ':', err) != DM_OK ||
            dm_value_text(out, &t->types[i], vector_of(t, (int)i), t->raw_row, DM_SPELL_JSON, err) != DM_OK)
            return DM_FAIL;
        first = false;
    }
    return dm_buffer_append_byte(out, '}', err);
}

static const char *key_of(const struct dm_batch *batch, size_t row, char *out, size_t size)
{
    const struct dm_schema *schema = batch->schema;
    for (size_t i = 0; i < schema->n_keys; i++)
        if (batch->columns[schema->keys[i]].state[row] != DM_VALID)
            return NULL;
    return schema->n_keys == 0 ? NULL : dm_key_text(batch, row, out, size);
}

/* The batch's last n rows without the bad ones, which are reported. */
static enum dm_status sort_out(struct dm_change_reader *r, struct dm_batch *batch, size_t from, size_t n,
                               struct dm_error *err)
{
    struct table *t = r->state;
    size_t base = batch->rows - n;
    if (t->kept == NULL)
        t->kept = dm_batch_new(batch->schema);
    dm_batch_clear(t->kept);
    enum dm_status status = DM_OK;
    for (size_t i = 0; i < n && status == DM_OK; i++) {
        if (t->troubles[i].reason == NULL) {
            status = dm_batch_append_row(t->kept, batch, base + i, err);
            continue;
        }
        if (t->troubles[i].reason == no_trouble) {
            r->row.preimages++;
            continue;
        }
        char key[256];
        r->row.line = t->before + from + i + 1;
        t->raw_row = from + i;
        t->raw_cut = t->troubles[i].bytes != 0;
        r->row.raw_bytes = t->troubles[i].bytes;
        status =
            dm_change_row_report(&r->row, t->troubles[i].reason, key_of(batch, base + i, key, sizeof key),
                                 (enum dm_op)t->ops[i], t->troubles[i].message, err);
    }
    r->row.raw_bytes = 0;
    batch->rows = base;
    dm_batch_undo_row(batch);
    if (status == DM_OK)
        status = dm_batch_append_rows(batch, t->kept, 0, t->kept->rows, err);
    forget_troubles(t);
    return status;
}

/* As dm_batch_end_row for rows whose values are all there already, which that does not expect. */
static void end_rows(struct dm_batch *batch, uint64_t line, size_t n, const uint8_t *ops)
{
    if (batch->capacity < batch->rows + n) {
        batch->capacity = (batch->rows + n) * 2;
        batch->ops = dm_xrealloc(batch->ops, batch->capacity, sizeof *batch->ops);
        batch->txns = dm_xrealloc(batch->txns, batch->capacity, sizeof *batch->txns);
        batch->subxids = dm_xrealloc(batch->subxids, batch->capacity, sizeof *batch->subxids);
    }
    for (size_t i = 0; i < n; i++) {
        batch->ops[batch->rows + i] = ops[i];
        batch->txns[batch->rows + i] = batch->txn;
        batch->subxids[batch->rows + i] = line + i < UINT32_MAX ? (uint32_t)(line + i) : UINT32_MAX;
    }
    batch->rows += n;
}

/* Rows that do not fit into memory as often as they must. */
static void find_large(struct dm_change_reader *r, const struct dm_batch *batch, size_t n)
{
    size_t bytes = 0, most = r->options.max_row_bytes;
    for (size_t i = 0; i < n; i++) {
        size_t row = dm_batch_row_bytes(batch, batch->rows - n + i);
        bytes += row;
        if (row <= most)
            continue;
        char message[160];
        (void)snprintf(message, sizeof message,
                       "the row has %zu bytes; with this memory_limit a row may have %zu", row, most);
        add_trouble(r->state, i, "row_too_large", NULL, message);
        ((struct table *)r->state)->troubles[i].bytes = row;
    }
    ((struct table *)r->state)->row_bytes = bytes / n + 1;
}

static enum dm_status take_rows(struct dm_change_reader *r, struct dm_batch *batch, size_t from, size_t n,
                                struct dm_error *err)
{
    struct table *t = r->state;
    if (n > t->capacity) {
        t->ops = dm_xrealloc(t->ops, n, sizeof *t->ops);
        t->troubles = dm_xrealloc(t->troubles, n, sizeof *t->troubles);
        memset(t->troubles + t->capacity, 0, (n - t->capacity) * sizeof *t->troubles);
        t->capacity = n;
    }
    if (find_ops(r, from, n, err) != DM_OK)
        return DM_FAIL;
    for (size_t i = 0; i < batch->n_columns; i++)
        if (take_column(r, i, from, n, &batch->columns[i], err) != DM_OK)
            return DM_FAIL;
    end_rows(batch, t->before + from + 1, n, t->ops);
    find_large(r, batch, n);
    return t->n_troubles != 0 ? sort_out(r, batch, from, n, err) : DM_OK;
}

/* ---- types ---- */

static duckdb_result *result_of(struct table *t)
{
    return t->is_file ? &t->file.stream.result : &t->query.result;
}

/* What the columns of the result are. */
static void take_types(struct table *t)
{
    t->types = dm_xzalloc(t->n, sizeof *t->types);
    for (size_t i = 0; i < t->n; i++) {
        struct dm_error ignored;
        t->printable[i] = dm_value_type_init(&t->types[i], duckdb_column_logical_type(result_of(t), i),
                                             &ignored) == DM_OK &&
                          (!t->is_file || dm_change_parquet_type(&t->file.file, i, &t->types[i]));
    }
}

/* May the guess have changed the values on their way to the dataset's type? */
static bool guess_loses(const struct dm_value_type *from, struct dm_type to)
{
    bool fraction = from->id == DUCKDB_TYPE_DOUBLE || from->id == DUCKDB_TYPE_FLOAT;
    if (to.id == DM_STRING || to.id == DM_BINARY)
        return from->id != DUCKDB_TYPE_VARCHAR && from->id != DUCKDB_TYPE_BLOB;
    if (to.id == DM_TIMESTAMP_NS)
        return from->id != DUCKDB_TYPE_VARCHAR && from->id != DUCKDB_TYPE_TIMESTAMP_NS;
    return fraction && to.id != DM_FLOAT64 && to.id != DM_FLOAT32;
}

static enum dm_status refuse_guess(const struct dm_change_reader *r, const char *name,
                                   const struct dm_value_type *from, struct dm_type to, struct dm_error *err)
{
    char wanted[32];
    (void)dm_fail(err, DM_ERROR_DATA, NULL,
                  "column \"%.200s\" comes as %s, by the engine's guess from the first rows of %.200s; the "
                  "dataset's is %s, and values would be changed",
                  name, dm_table_type_name(from), r->options.guessed,
                  dm_type_name(to, wanted, sizeof wanted));
    dm_error_hint(err,
                  "say the types (types = {'column': 'DECIMAL(38,10)'}), or read texts (all_varchar = true; "
                  "each value is then taken exactly, or goes to quarantine), or use datamirror ingest");
    return DM_FAIL;
}

/* How they become fields of the schema. */
static enum dm_status take_modes(struct dm_change_reader *r, struct dm_error *err)
{
    struct table *t = r->state;
    const struct dm_schema *schema = r->row.schema;
    for (size_t i = 0; i < t->n; i++) {
        int field = t->columns.targets[i];
        if (field < 0)
            continue;
        t->modes[field] =
            t->printable[i] ? dm_table_mode(&t->types[i], schema->fields[field].type) : DM_TABLE_NEVER;
        if (r->options.guessed != NULL && guess_loses(&t->types[i], schema->fields[field].type))
            return refuse_guess(r, t->names[i], &t->types[i], schema->fields[field].type, err);
        char wanted[32];
        bool untyped = (!t->is_file || r->options.untyped_nulls) &&
                       t->types[i].id == DUCKDB_TYPE_INTEGER; /* which NULL AS x is, too */
        if (t->modes[field] == DM_TABLE_NEVER && !untyped)
            return dm_fail(err, DM_ERROR_DATA, "cast the column where the data comes from",
                           "column \"%.200s\" is %s; the dataset's is %s", t->names[i],
                           dm_table_type_name(&t->types[i]),
                           dm_type_name(schema->fields[field].type, wanted, sizeof wanted));
    }
    return DM_OK;
}

/* ---- rows ---- */

static enum dm_status next_chunk(struct table *t, struct dm_error *err)
{
    return t->is_file ? dm_parquet_stream_next(&t->file, &t->chunk, err)
                      : dm_stream_next(&t->query, &t->chunk, err);
}

/* The next chunk where DuckDB cannot convert a value: we do. */
static enum dm_status read_bare(struct dm_change_reader *r, struct dm_error *err)
{
    struct table *t = r->state;
    if (dm_parquet_stream_bare(&t->file, t->before, err) != DM_OK)
        return DM_FAIL;
    if (duckdb_column_count(result_of(t)) != t->n)
        return dm_fail(err, DM_ERROR_DATA, NULL, "the file's columns changed while it was read");
    forget_types(t);
    take_types(t);
    return take_modes(r, err) == DM_OK ? next_chunk(t, err) : DM_FAIL;
}

static enum dm_status table_next(struct dm_change_reader *r, struct dm_batch *batch,
                                 struct dm_change_limits limits, struct dm_error *err)
{
    struct table *t = r->state;
    size_t end = batch->rows + limits.rows, bytes = dm_batch_bytes(batch);
    while (batch->rows < end && dm_batch_bytes(batch) - bytes < limits.bytes) {
        if (t->at == t->size) {
            if (t->chunk != NULL)
                duckdb_destroy_data_chunk(&t->chunk);
            t->before += t->size;
            t->at = t->size = 0;
            enum dm_status status = next_chunk(t, err);
            if (status == DM_FAIL && t->is_file)
                status = read_bare(r, err);
            if (status != DM_OK)
                return status;
            t->size = duckdb_data_chunk_get_size(t->chunk);
            continue;
        }
        size_t n = t->size - t->at < end - batch->rows ? t->size - t->at : end - batch->rows;
        size_t fit = (limits.bytes < PIECE_BYTES ? limits.bytes : PIECE_BYTES) / t->row_bytes + 1;
        n = n < fit ? n : fit; /* rows may be large: the chunk is taken in pieces */
        if (take_rows(r, batch, t->at, n, err) != DM_OK)
            return DM_FAIL;
        t->at += n;
        r->rows_done += n;
    }
    return DM_OK;
}

/* ---- opening ---- */

static enum dm_status take_columns(struct dm_change_reader *r, struct dm_error *err)
{
    struct table *t = r->state;
    size_t n = duckdb_column_count(result_of(t));
    t->open = true;
    t->names = dm_xzalloc(n, sizeof *t->names);
    t->printable = dm_xzalloc(n, sizeof *t->printable);
    for (; t->n < n; t->n++)
        t->names[t->n] = dm_xstrdup(duckdb_column_name(result_of(t), t->n));
    take_types(t);
    if (dm_change_columns_init(&t->columns, &r->row, n, (const char *const *)t->names, &r->notes, err) !=
        DM_OK)
        return DM_FAIL;
    t->control = t->deleted = -1;
    const struct dm_schema *schema = r->row.schema;
    t->sources = dm_xzalloc(schema->n_fields, sizeof *t->sources);
    t->modes = dm_xzalloc(schema->n_fields, sizeof *t->modes);
    memset(t->sources, -1, schema->n_fields * sizeof *t->sources);
    for (size_t i = 0; i < n; i++) {
        int field = t->columns.targets[i];
        if (field == DM_COLUMN_CONTROL)
            t->control = (int)i;
        if (field == DM_COLUMN_DELETED)
            t->deleted = (int)i;
        if (field >= 0)
            t->sources[field] = (int)i;
    }
    return take_modes(r, err);
}

static struct table *table_new(struct dm_change_reader *r)
{
    static const struct dm_change_format_type type = {.next = table_next, .close = table_close};
    struct table *t = dm_xzalloc(1, sizeof *t);
    r->format = &type;
    t->row_bytes = 1 << 10; /* until some were seen */
    r->state = t;
    r->row.raw_ctx = t;
    r->row.write_raw = write_row;
    dm_buffer_init(&t->text, TEXT_MAX);
    return t;
}

enum dm_status dm_change_query_open(struct dm_change_reader *r, struct dm_sql *sql, const char *query,
                                    struct dm_error *err)
{
    struct table *t = table_new(r);
    if (dm_sql_start(sql, query, &t->query, err) != DM_OK)
        return DM_FAIL;
    return take_columns(r, err);
}

enum dm_status dm_change_parquet_open(struct dm_change_reader *r, struct dm_engine *e, const char *path,
                                      struct dm_error *err)
{
    struct table *t = table_new(r);
    t->is_file = true;
    if (dm_parquet_stream_open(&t->file, e, path, err) != DM_OK)
        return DM_FAIL;
    r->rows_total = t->file.rows;
    return take_columns(r, err);
}
