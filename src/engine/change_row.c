#include "engine/change_row.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/memory.h"
#include "base/utf8.h"
#include "column/key.h"
#include "column/value_parse.h"
#include "engine/change_unavailable.h"

enum { RAW_MAX = 256 << 20, NAMES_SHOWN = 8 };

enum dm_change_control dm_change_control_of(const char *name, size_t n)
{
    static const struct {
        const char *name;
        enum dm_change_control control;
    } controls[] = {{"_change_request_type", DM_CONTROL_REQUEST},
                    {"__rowmarker__", DM_CONTROL_ROW_MARKER},
                    {"_change_type", DM_CONTROL_TYPE},
                    {"__op", DM_CONTROL_DEBEZIUM},
                    {"__deleted", DM_CONTROL_DELETED}};
    for (size_t i = 0; i < sizeof controls / sizeof controls[0]; i++)
        if (n == strlen(controls[i].name) && strncasecmp(name, controls[i].name, n) == 0)
            return controls[i].control;
    return DM_CONTROL_NONE;
}

static enum dm_op op_of_word(const char *text, size_t n)
{
    static const struct {
        const char *word;
        enum dm_op op;
    } words[] = {{"insert", DM_OP_UPDATE},
                 {"update", DM_OP_UPDATE},
                 {"upsert", DM_OP_UPDATE},
                 {"update_postimage", DM_OP_UPDATE}, /* Delta's change feed */
                 {"delete", DM_OP_DELETE}};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (n == strlen(words[i].word) && strncasecmp(text, words[i].word, n) == 0)
            return words[i].op;
    return 0;
}

bool dm_change_is_preimage(enum dm_change_control control, const char *text, size_t n)
{
    return control == DM_CONTROL_TYPE && n == 15 && strncasecmp(text, "update_preimage", 15) == 0;
}

enum dm_op dm_change_op(enum dm_change_control control, const char *text, size_t n)
{
    if (control == DM_CONTROL_TYPE)
        return op_of_word(text, n);
    if (n != 1)
        return 0;
    if (control == DM_CONTROL_DEBEZIUM)
        return *text == 'c' || *text == 'r' || *text == 'u' ? DM_OP_UPDATE : *text == 'd' ? DM_OP_DELETE : 0;
    if (control == DM_CONTROL_REQUEST)
        return *text == 'u' || *text == 'U' ? DM_OP_UPDATE : *text == 'd' || *text == 'D' ? DM_OP_DELETE : 0;
    return *text == '0' || *text == '1' || *text == '4' ? DM_OP_UPDATE : *text == '2' ? DM_OP_DELETE : 0;
}

enum dm_op dm_change_deleted(enum dm_op op, bool told, const char *text, size_t n)
{
    enum dm_op said = n == 4 && strncasecmp(text, "true", n) == 0    ? DM_OP_DELETE
                      : n == 5 && strncasecmp(text, "false", n) == 0 ? DM_OP_UPDATE
                                                                     : 0;
    return !told || said == op ? said : 0;
}

static bool has_rule(const struct dm_column_rule *rule)
{
    return rule->n_allowed != 0 || rule->min_length != 0 || rule->max_length != 0;
}

void dm_change_row_init(struct dm_change_row *r, const struct dm_schema *schema,
                        const struct dm_change_options *options)
{
    *r = (struct dm_change_row){.schema = schema, .options = options};
    r->fields = dm_xzalloc(schema->n_fields, 1);
    r->cells = dm_xzalloc(schema->n_fields, sizeof *r->cells);
    for (size_t i = 0; i < schema->n_fields; i++) {
        unsigned flags = schema->fields[i].required ? DM_FIELD_REQUIRED : 0;
        if (dm_schema_is_key(schema, (uint32_t)i))
            flags |= DM_FIELD_KEY;
        if (options->version_field == (int)i)
            flags |= DM_FIELD_VERSION;
        if (options->rules != NULL && schema->fields[i].type.id == DM_STRING && has_rule(&options->rules[i]))
            flags |= DM_FIELD_RULE;
        r->fields[i] = (uint8_t)flags;
    }
    dm_buffer_init(&r->raw, RAW_MAX);
}

void dm_change_row_release(struct dm_change_row *r)
{
    free(r->fields);
    free(r->cells);
    dm_buffer_release(&r->raw);
    dm_batch_free(r->key_row);
    *r = (struct dm_change_row){0};
}

/* The key of the cells, or NULL. */
static const char *key_text(struct dm_change_row *r, char *out, size_t size)
{
    const struct dm_schema *schema = r->schema;
    if (schema->n_keys == 0)
        return NULL;
    if (r->key_row == NULL)
        r->key_row = dm_batch_new(schema);
    dm_batch_clear(r->key_row);
    for (size_t i = 0; i < schema->n_fields; i++) {
        struct dm_column *c = &r->key_row->columns[i];
        if ((r->fields[i] & DM_FIELD_KEY) == 0) {
            dm_column_append_null(c);
            continue;
        }
        struct dm_value_problem problem;
        if (r->cells[i].kind != DM_CELL_TEXT ||
            !dm_value_parse(c, r->cells[i].text, r->cells[i].n, &problem)) {
            dm_batch_undo_row(r->key_row);
            return NULL;
        }
    }
    dm_batch_end_row(r->key_row, DM_OP_UPDATE);
    return dm_key_text(r->key_row, 0, out, size);
}

/* How many bytes at `p` are one well-formed character; 0: none. */
static size_t character(const char *p, size_t n)
{
    for (size_t len = 1; len <= 4 && len <= n; len++)
        if (dm_utf8_valid((const uint8_t *)p, len))
            return len;
    return 0;
}

enum dm_status dm_change_row_report(struct dm_change_row *r, const char *reason, const char *key,
                                    enum dm_op op, const char *message, struct dm_error *err)
{
    dm_buffer_clear(&r->raw);
    if (r->write_raw != NULL && r->write_raw(r->raw_ctx, &r->raw, err) != DM_OK)
        return DM_FAIL;
    const char *raw = dm_buffer_text(&r->raw);
    if (raw == NULL)
        return dm_fail_memory(err, RAW_MAX);
    char placed[1100];
    if (r->nth > 0) {
        (void)snprintf(placed, sizeof placed, "value %llu of the line: %s", (unsigned long long)r->nth,
                       message);
        message = placed;
    }
    struct dm_bad_row row = {.reason = reason,
                             .message = message,
                             .key = key,
                             .raw = raw,
                             .raw_bytes = r->raw_bytes,
                             .op = op != 0 ? op : DM_OP_UPDATE};
    return r->bad(r->bad_ctx, r->line, &row, err);
}

enum dm_status dm_change_row_bad(struct dm_change_row *r, const char *reason, bool keyed, enum dm_op op,
                                 struct dm_error *err, const char *fmt, ...)
{
    char message[1024], key[256];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(message, sizeof message, fmt, args);
    va_end(args);
    size_t n = strlen(message);
    for (size_t i = 0; i < n && !dm_utf8_valid((const uint8_t *)message, n); i++)
        if (character(message + i, n - i) == 0) /* a name or text was cut in the middle of a character */
            message[i] = '?';
        else
            i += character(message + i, n - i) - 1;
    return dm_change_row_report(r, reason, keyed ? key_text(r, key, sizeof key) : NULL, op, message, err);
}

static size_t code_points(const char *text, size_t n)
{
    size_t count = 0;
    for (size_t i = 0; i < n; i++)
        count += ((uint8_t)text[i] & 0xc0) != 0x80;
    return count;
}

static void list_allowed(const struct dm_column_rule *rule, char *out, size_t size)
{
    size_t len = 0;
    for (size_t i = 0; i < rule->n_allowed && len + 1 < size; i++) {
        int n = i == NAMES_SHOWN
                    ? snprintf(out + len, size - len, ", …")
                    : snprintf(out + len, size - len, "%s%s", i == 0 ? "" : ", ", rule->allowed[i]);
        len += n > 0 ? (size_t)n : 0;
        if (i == NAMES_SHOWN)
            break;
    }
}

bool dm_change_rule(const struct dm_column_rule *rule, const char *text, size_t n, const char **reason,
                    char *message, size_t size)
{
    if (rule->max_length != 0 && n > rule->max_length && code_points(text, n) > rule->max_length) {
        *reason = "value_too_long";
        (void)snprintf(message, size, "has %zu characters; at most %u are allowed", code_points(text, n),
                       rule->max_length);
        return false;
    }
    if (rule->min_length != 0 && code_points(text, n) < rule->min_length) {
        *reason = "value_too_short";
        (void)snprintf(message, size, "has %zu characters; at least %u are needed", code_points(text, n),
                       rule->min_length);
        return false;
    }
    bool allowed = rule->n_allowed == 0;
    for (size_t i = 0; i < rule->n_allowed && !allowed; i++)
        allowed = strlen(rule->allowed[i]) == n && memcmp(rule->allowed[i], text, n) == 0;
    if (allowed)
        return true;
    char list[400] = "", shown[128];
    list_allowed(rule, list, sizeof list);
    *reason = "not_allowed_value";
    (void)snprintf(message, size, "%s is not allowed; allowed are: %s",
                   dm_value_show(text, n, shown, sizeof shown), list);
    return false;
}

static enum dm_status bad_value(struct dm_change_row *r, size_t field, const char *reason, enum dm_op op,
                                const char *message, struct dm_error *err)
{
    return dm_change_row_bad(r, reason, true, op, err, "column %.200s: %s", r->schema->fields[field].name,
                             message);
}

static bool rule_kept(const struct dm_change_row *r, size_t field, const char **reason, char *message,
                      size_t size)
{
    const struct dm_change_cell *cell = &r->cells[field];
    return dm_change_rule(&r->options->rules[field], cell->text, cell->n, reason, message, size);
}

static enum dm_status bad_null(struct dm_change_row *r, size_t field, enum dm_op op, struct dm_error *err)
{
    unsigned flags = r->fields[field];
    const char *reason = flags & DM_FIELD_KEY       ? "null_key"
                         : flags & DM_FIELD_VERSION ? "missing_version"
                                                    : "missing_required";
    return bad_value(r, field, reason, op, r->cells[field].kind == DM_CELL_NULL ? "is null" : "is missing",
                     err);
}

enum dm_status dm_change_row_add(struct dm_change_row *r, struct dm_batch *batch, struct dm_error *err)
{
    enum dm_op op = DM_OP_UPDATE;
    if (r->control.kind == DM_CELL_TEXT &&
        dm_change_is_preimage(r->control_kind, r->control.text, r->control.n)) {
        r->preimages++;
        return DM_OK;
    }
    if (r->control.kind == DM_CELL_TEXT) {
        op = dm_change_op(r->control_kind, r->control.text, r->control.n);
        char shown[128];
        if (op == 0)
            return dm_change_row_bad(r, "unknown_change_type", true, op, err, "%s is no kind of change",
                                     dm_value_show(r->control.text, r->control.n, shown, sizeof shown));
    }
    if (r->deleted.kind == DM_CELL_TEXT) {
        bool told = r->control.kind == DM_CELL_TEXT;
        enum dm_op before = op;
        char shown[128];
        op = dm_change_deleted(op, told, r->deleted.text, r->deleted.n);
        if (op == 0)
            return dm_change_row_bad(r, "unknown_change_type", true, told ? before : op, err,
                                     "\"__deleted\" is %s, which is %s",
                                     dm_value_show(r->deleted.text, r->deleted.n, shown, sizeof shown),
                                     told ? "not what the other column says" : "neither true nor false");
    }
    for (size_t i = 0; i < batch->n_columns; i++) {
        struct dm_column *c = &batch->columns[i];
        const struct dm_change_cell *cell = &r->cells[i];
        unsigned flags = r->fields[i];
        if (op == DM_OP_DELETE && (flags & (DM_FIELD_KEY | DM_FIELD_VERSION)) == 0) {
            dm_column_append_null(c);
            continue;
        }
        struct dm_value_problem problem;
        const char *reason;
        if (cell->kind != DM_CELL_TEXT) {
            if ((flags & (DM_FIELD_KEY | DM_FIELD_VERSION | DM_FIELD_REQUIRED)) != 0) {
                dm_batch_undo_row(batch);
                return bad_null(r, i, op, err);
            }
            dm_column_append_null(c);
        } else if (dm_change_unavailable(r->options, cell->text, cell->n)) {
            if ((flags & (DM_FIELD_KEY | DM_FIELD_VERSION)) != 0) {
                dm_batch_undo_row(batch);
                return bad_value(r, i, "unchanged_value_unknown", op,
                                 "is left out as unchanged, and it tells which row it is, or its version",
                                 err);
            }
            dm_column_append_unchanged(c);
        } else if (!dm_value_parse(c, cell->text, cell->n, &problem)) {
            dm_batch_undo_row(batch);
            return bad_value(r, i, problem.reason, op, problem.message, err);
        } else if ((flags & DM_FIELD_RULE) != 0 && op != DM_OP_DELETE &&
                   !rule_kept(r, i, &reason, problem.message, sizeof problem.message)) {
            dm_batch_undo_row(batch);
            return bad_value(r, i, reason, op, problem.message, err);
        }
    }
    batch->subxid = r->line < UINT32_MAX ? (uint32_t)r->line : UINT32_MAX;
    dm_batch_end_row(batch, op);
    return DM_OK;
}

static enum dm_status raw_byte(struct dm_buffer *out, const char *text, size_t n, size_t *used,
                               struct dm_error *err)
{
    uint8_t c = (uint8_t)*text;
    *used = 1;
    if (c == '"' || c == '\\')
        return dm_buffer_printf(out, err, "\\%c", c);
    if (c == '\n' || c == '\r' || c == '\t')
        return dm_buffer_append(out, c == '\n' ? "\\n" : c == '\r' ? "\\r" : "\\t", 2, err);
    if (c < 0x20 || c == 0x7f)
        return dm_buffer_printf(out, err, "\\u%04x", c);
    *used = character(text, n);
    if (*used != 0)
        return dm_buffer_append(out, text, *used, err);
    *used = 1;
    return dm_buffer_printf(out, err, "\\udc%02x", c);
}

enum dm_status dm_raw_string(struct dm_buffer *out, const char *text, size_t n, size_t limit,
                             struct dm_error *err)
{
    bool cut = n > limit;
    if (dm_buffer_append_byte(out, '"', err) != DM_OK)
        return DM_FAIL;
    for (size_t at = 0, used; at < n && at < limit; at += used) {
        size_t plain = at;
        while (plain < n && plain < limit && (uint8_t)text[plain] >= 0x20 && (uint8_t)text[plain] < 0x7f &&
               text[plain] != '"' && text[plain] != '\\')
            plain++;
        used = plain - at;
        if (used != 0 ? dm_buffer_append(out, text + at, used, err) != DM_OK
                      : raw_byte(out, text + at, n - at, &used, err) != DM_OK)
            return DM_FAIL;
    }
    return dm_buffer_append(out, cut ? "…\"" : "\"", cut ? 4 : 1, err);
}
