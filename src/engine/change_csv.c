/* CSV files as changes: delimiter and header found out, rows into cells. */
#include <stdlib.h>
#include <strings.h>

#include "base/memory.h"
#include "base/utf8.h"
#include "column/value_parse.h"
#include "engine/change_csv_split.h"
#include "engine/change_format.h"

enum { SNIFF_BYTES = 64 << 10, RAW_CUT = 1000 };

struct csv {
    struct dm_csv split;
    struct dm_change_columns columns;
    char **names; /* of the columns */
    size_t n_names;
    bool first_pending; /* a file without header: its first row is still to be read */
    const char *null_text;
    size_t null_n;
    bool *empty_is_null; /* per column: a quoted empty text is no value of its type */
};

static void csv_close(struct dm_change_reader *r)
{
    struct csv *c = r->state;
    for (size_t i = 0; i < c->n_names; i++)
        free(c->names[i]);
    free(c->names);
    free(c->empty_is_null);
    dm_change_columns_release(&c->columns);
    dm_csv_release(&c->split);
    free(c);
}

/* ---- rows ---- */

static inline struct dm_change_cell cell_of(const struct csv *c, size_t column)
{
    const struct dm_csv_field *f = &c->split.fields[column];
    struct dm_change_cell cell = {.text = f->text, .n = f->n, .kind = DM_CELL_TEXT};
    if (f->n == 0 ? !f->quoted || c->empty_is_null[column]
                  : !f->quoted && f->n == c->null_n && memcmp(f->text, c->null_text, f->n) == 0)
        cell.kind = DM_CELL_NULL;
    return cell;
}

static enum dm_status write_fields(const struct csv *c, bool named, struct dm_buffer *out,
                                   struct dm_error *err)
{
    size_t n = c->split.n_fields < DM_CSV_FIELDS_MAX ? c->split.n_fields : DM_CSV_FIELDS_MAX;
    if (dm_buffer_append_byte(out, named ? '{' : '[', err) != DM_OK)
        return DM_FAIL;
    for (size_t i = 0; i < n; i++) {
        const struct dm_csv_field *f = &c->split.fields[i];
        if (i > 0 && dm_buffer_append_byte(out, ',', err) != DM_OK)
            return DM_FAIL;
        if (named && (dm_raw_string(out, c->names[i], strlen(c->names[i]), SIZE_MAX, err) != DM_OK ||
                      dm_buffer_append_byte(out, ':', err) != DM_OK))
            return DM_FAIL;
        bool null = named ? cell_of(c, i).kind == DM_CELL_NULL : !f->quoted && f->n == 0;
        enum dm_status status =
            null ? dm_buffer_append(out, "null", 4, err) : dm_raw_string(out, f->text, f->n, SIZE_MAX, err);
        if (status != DM_OK)
            return DM_FAIL;
    }
    return dm_buffer_append_byte(out, named ? '}' : ']', err);
}

/* {"column": "text", …}; a ragged row: ["text", …]. */
static enum dm_status write_row(void *ctx, struct dm_buffer *out, struct dm_error *err)
{
    const struct csv *c = ctx;
    return write_fields(c, c->split.n_fields == c->columns.n, out, err);
}

/* The line as it is, as a JSON string. */
static enum dm_status write_line(void *ctx, struct dm_buffer *out, struct dm_error *err)
{
    const struct csv *c = ctx;
    return dm_raw_string(out, dm_change_input_at(c->split.in), c->split.row_bytes, SIZE_MAX, err);
}

static enum dm_status write_head(void *ctx, struct dm_buffer *out, struct dm_error *err)
{
    const struct csv *c = ctx;
    return dm_raw_string(out, c->split.fields[0].text, c->split.fields[0].n, RAW_CUT - 1, err);
}

static enum dm_status take_row(struct dm_change_reader *r, struct dm_batch *batch, struct dm_error *err)
{
    struct csv *c = r->state;
    struct dm_change_row *row = &r->row;
    row->write_raw = write_row;
    if (c->split.n_fields != c->columns.n)
        return dm_change_row_bad(row, "ragged_row", false, 0, err,
                                 "%zu values where the header has %zu columns", c->split.n_fields,
                                 c->columns.n);
    for (size_t i = 0; i < c->columns.n; i++) {
        int target = c->columns.targets[i];
        if (target >= 0)
            row->cells[target] = cell_of(c, i);
        else if (target == DM_COLUMN_CONTROL)
            row->control = cell_of(c, i);
        else if (target == DM_COLUMN_DELETED)
            row->deleted = cell_of(c, i);
    }
    return dm_change_row_add(row, batch, err);
}

static enum dm_status take_result(struct dm_change_reader *r, enum dm_csv_result result,
                                  struct dm_batch *batch, struct dm_error *err)
{
    struct csv *c = r->state;
    r->row.line = c->split.line;
    switch (result) {
    case DM_CSV_ROW: return take_row(r, batch, err);
    case DM_CSV_CORRUPT:
        r->row.write_raw = write_line;
        return dm_change_row_bad(&r->row, "corrupt_row", false, 0, err, "%s", c->split.problem);
    case DM_CSV_TOO_LARGE:
        r->row.write_raw = write_head;
        return dm_change_row_bad(
            &r->row, "row_too_large", false, 0, err, "the row of lines %llu to %llu is longer than %zu bytes",
            (unsigned long long)c->split.line, (unsigned long long)c->split.next_line - 1, c->split.max_row);
    case DM_CSV_END: return DM_END;
    case DM_CSV_FAILED: break;
    }
    return DM_FAIL;
}

static enum dm_status csv_next(struct dm_change_reader *r, struct dm_batch *batch,
                               struct dm_change_limits limits, struct dm_error *err)
{
    struct csv *c = r->state;
    size_t end = batch->rows + limits.rows, bytes = 0;
    while (batch->rows < end && bytes < limits.bytes) {
        enum dm_csv_result result = c->first_pending ? DM_CSV_ROW : dm_csv_next(&c->split, err);
        c->first_pending = false;
        enum dm_status status = take_result(r, result, batch, err);
        if (status != DM_OK)
            return status;
        bytes += c->split.row_bytes + 1;
    }
    return DM_OK;
}

/* ---- header ---- */

/* A name in the header; space around it means nothing unless it is quoted. */
static struct dm_csv_field header_name(struct dm_csv_field f)
{
    while (!f.quoted && f.n > 0 && *f.text == ' ') {
        f.text++;
        f.n--;
    }
    while (!f.quoted && f.n > 0 && f.text[f.n - 1] == ' ')
        f.n--;
    return f;
}

/* How many fields of the present row name a column. */
static size_t names_found(const struct dm_csv *split, const struct dm_schema *schema)
{
    size_t found = 0;
    for (size_t i = 0; i < split->n_fields && i < DM_CSV_FIELDS_MAX; i++) {
        enum dm_change_control control;
        struct dm_csv_field f = header_name(split->fields[i]);
        found += dm_change_column(schema, f.text, f.n, &control) != DM_COLUMN_LEFT_OUT;
    }
    return found;
}

/* Without a header the columns are the schema's, in its order; but only when each value is one of its column, and one of them at least
 * is more than text: otherwise any header that names no column would be taken for a row. */
static bool fits_schema(const struct dm_csv *split, const struct dm_schema *schema)
{
    if (split->n_fields != schema->n_fields)
        return false;
    struct dm_batch *scratch = dm_batch_new(schema);
    bool fits = true, typed = false;
    for (size_t i = 0; i < schema->n_fields && fits; i++) {
        const struct dm_csv_field *f = &split->fields[i];
        struct dm_value_problem problem;
        if (f->n == 0 && !f->quoted) {
            fits = !schema->fields[i].required;
            continue;
        }
        fits = dm_value_parse(&scratch->columns[i], f->text, f->n, &problem);
        typed |= schema->fields[i].type.id != DM_STRING;
    }
    dm_batch_free(scratch);
    return fits && typed;
}

/* "sep=;" as the first line says the delimiter (Excel). */
static bool is_sep_line(const struct dm_csv *split)
{
    const char *line = dm_change_input_at(split->in);
    return split->row_bytes == 5 && strncasecmp(line, "sep=", 4) == 0 && line[4] != '"';
}

static enum dm_status no_header(struct dm_change_reader *r, struct dm_error *err)
{
    const struct csv *c = r->state;
    char shown[128];
    (void)dm_fail(err, DM_ERROR_DATA, NULL, "line %llu, %s, names none of the dataset's columns",
                  (unsigned long long)c->split.line,
                  dm_value_show(dm_change_input_at(&r->input), c->split.row_bytes, shown, sizeof shown));
    dm_change_hint_columns(r->row.schema, err);
    return DM_FAIL;
}

/* Reads the first row by the delimiter that makes the most of it. */
static enum dm_status first_row(struct dm_change_reader *r, bool *header, struct dm_error *err)
{
    struct csv *c = r->state;
    const char given[2] = {c->split.delimiter, 0};
    const char *candidates = given[0] != 0 ? given : ",;\t|";
    char best = candidates[0];
    size_t most = 0, most_fields = 0;
    bool fits = false;
    for (const char *d = candidates; *d != 0; d++) {
        dm_csv_again(&c->split, *d);
        enum dm_csv_result result = dm_csv_next(&c->split, err);
        if (result == DM_CSV_FAILED)
            return DM_FAIL;
        if (result == DM_CSV_END)
            return dm_fail(err, DM_ERROR_DATA, "a CSV file begins with a header line", "the file is empty");
        if (result != DM_CSV_ROW)
            continue;
        size_t found = names_found(&c->split, r->row.schema);
        bool fit = found == 0 && most == 0 && !fits && fits_schema(&c->split, r->row.schema);
        if (found > most || (found == most && found > 0 && c->split.n_fields > most_fields) || fit) {
            best = *d;
            most = found;
            most_fields = c->split.n_fields;
            fits = fit;
        }
    }
    dm_csv_again(&c->split, best);
    enum dm_csv_result result = dm_csv_next(&c->split, err);
    if (result == DM_CSV_FAILED)
        return DM_FAIL;
    if (result != DM_CSV_ROW)
        return dm_fail(err, DM_ERROR_DATA, "a CSV file begins with a header line",
                       "line %llu cannot be read as a header: %s", (unsigned long long)c->split.line,
                       result == DM_CSV_CORRUPT ? c->split.problem : "it is too long");
    *header = most > 0;
    return most > 0 || fits ? DM_OK : no_header(r, err);
}

static enum dm_status take_names(struct dm_change_reader *r, bool header, struct dm_error *err)
{
    struct csv *c = r->state;
    const struct dm_schema *schema = r->row.schema;
    size_t n = c->split.n_fields;
    if (n > DM_CSV_FIELDS_MAX)
        return dm_fail(err, DM_ERROR_DATA, "is the delimiter right?", "the header has %zu columns", n);
    c->names = dm_xzalloc(n, sizeof *c->names);
    c->n_names = n;
    for (size_t i = 0; i < n; i++) {
        struct dm_csv_field f = header_name(c->split.fields[i]);
        if (header && !dm_utf8_valid((const uint8_t *)f.text, f.n))
            return dm_fail(err, DM_ERROR_DATA, "write the file in UTF-8", "the header is not UTF-8");
        c->names[i] = header ? dm_xstrndup(f.text, f.n) : dm_xstrdup(schema->fields[i].name);
    }
    if (!header)
        dm_change_note(&r->notes, "the file has no header line; its columns are taken in the schema's order");
    c->first_pending = !header;
    if (dm_change_columns_init(&c->columns, &r->row, n, (const char *const *)c->names, &r->notes, err) !=
        DM_OK)
        return DM_FAIL;
    r->row.control_kind = c->columns.control;
    c->empty_is_null = dm_xzalloc(n, sizeof *c->empty_is_null);
    for (size_t i = 0; i < n; i++) {
        int target = c->columns.targets[i];
        c->empty_is_null[i] = target == DM_COLUMN_CONTROL || target == DM_COLUMN_DELETED ||
                              (target >= 0 && schema->fields[target].type.id != DM_STRING &&
                               schema->fields[target].type.id != DM_BINARY);
    }
    return DM_OK;
}

enum dm_status dm_change_csv_open(struct dm_change_reader *r, struct dm_error *err)
{
    static const struct dm_change_format_type type = {.next = csv_next, .close = csv_close};
    struct csv *c = dm_xzalloc(1, sizeof *c);
    r->format = &type;
    r->state = c;
    r->row.raw_ctx = c;
    c->null_text = r->options.null_text != NULL ? r->options.null_text : "";
    c->null_n = strlen(c->null_text);
    struct dm_change_input *in = &r->input;
    while (dm_change_input_left(in) < SNIFF_BYTES && !in->eof)
        if (dm_change_input_fill(in, err) != DM_OK)
            return DM_FAIL;
    if (dm_change_input_left(in) >= 3 && memcmp(dm_change_input_at(in), "\xef\xbb\xbf", 3) == 0)
        in->begin += 3;
    char delimiter = r->options.delimiter;
    if (delimiter == '"' || delimiter == '\n' || delimiter == '\r' || (uint8_t)delimiter >= 0x80)
        return dm_fail(err, DM_ERROR_CONFIG, "for example , or ; or a tab",
                       "a quote, a line break or a part of a character cannot be the delimiter");
    dm_csv_init(&c->split, in, r->options.max_row_bytes);
    dm_csv_again(&c->split, ',');
    enum dm_csv_result result = dm_csv_next(&c->split, err);
    if (result == DM_CSV_FAILED)
        return DM_FAIL;
    if (result == DM_CSV_ROW && is_sep_line(&c->split)) {
        delimiter = dm_change_input_at(in)[4];
        in->begin = c->split.next;
        c->split.line = c->split.next_line;
    }
    c->split.delimiter = delimiter;
    bool header = false;
    if (first_row(r, &header, err) != DM_OK)
        return DM_FAIL;
    return take_names(r, header, err);
}
