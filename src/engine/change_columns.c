#include "engine/change_columns.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/memory.h"
#include "base/utf8.h"

enum { LEFT_OUT_MAX = 20 };

void dm_change_note(struct dm_change_notes *notes, const char *fmt, ...)
{
    char text[1024];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    notes->items = dm_xrealloc(notes->items, notes->n + 1, sizeof *notes->items);
    notes->items[notes->n++] = dm_xstrdup(text);
}

void dm_change_note_left_out(struct dm_change_notes *notes, const char *name, size_t n)
{
    if (notes->n_left_out > LEFT_OUT_MAX)
        return;
    for (size_t i = 0; i < notes->n_left_out; i++)
        if (strlen(notes->left_out[i]) == n && memcmp(notes->left_out[i], name, n) == 0)
            return;
    bool last = notes->n_left_out == LEFT_OUT_MAX;
    notes->left_out = dm_xrealloc(notes->left_out, notes->n_left_out + 1, sizeof *notes->left_out);
    notes->left_out[notes->n_left_out++] = last ? dm_xstrdup("…") : dm_xstrndup(name, n);
    const char *shown = notes->left_out[notes->n_left_out - 1];
    if (notes->left_out_at == 0) {
        dm_change_note(notes, "columns not in the schema are left out: %.200s", shown);
        notes->left_out_at = notes->n;
        return;
    }
    char **note = &notes->items[notes->left_out_at - 1];
    char *longer = dm_xasprintf("%s, %.200s", *note, shown);
    free(*note);
    *note = longer;
}

bool dm_change_is_metadata(const char *name, size_t n)
{
    return n > 2 && name[0] == '_' && name[1] == '_';
}

void dm_change_note_metadata(struct dm_change_notes *notes)
{
    if (!notes->metadata)
        dm_change_note(
            notes, "rows are flattened by Debezium: its metadata (columns that begin with __) is not stored");
    notes->metadata = true;
}

void dm_change_notes_release(struct dm_change_notes *notes)
{
    for (size_t i = 0; i < notes->n; i++)
        free(notes->items[i]);
    for (size_t i = 0; i < notes->n_left_out; i++)
        free(notes->left_out[i]);
    free(notes->items);
    free(notes->left_out);
    *notes = (struct dm_change_notes){0};
}

int dm_change_column(const struct dm_schema *schema, const char *name, size_t n,
                     enum dm_change_control *control)
{
    int similar = -1, count = 0;
    for (size_t i = 0; i < schema->n_fields; i++) {
        const char *field = schema->fields[i].name;
        size_t length = strlen(field);
        if (length == n && memcmp(field, name, n) == 0)
            return (int)i;
        if (!dm_utf8_same_letters(field, length, name, n))
            continue;
        similar = (int)i;
        count++;
    }
    if (count == 1)
        return similar;
    *control = dm_change_control_of(name, n);
    if (*control == DM_CONTROL_DELETED)
        return DM_COLUMN_DELETED;
    return *control != DM_CONTROL_NONE ? DM_COLUMN_CONTROL : DM_COLUMN_LEFT_OUT;
}

/* Names separated by commas; as much as fits. */
struct list {
    char text[400];
    size_t len;
};

static void add_name(struct list *list, const char *name)
{
    if (list->len + 1 >= sizeof list->text)
        return;
    int n = snprintf(list->text + list->len, sizeof list->text - list->len, "%s%.100s",
                     list->len == 0 ? "" : ", ", name);
    list->len += n > 0 ? (size_t)n : 0;
}

void dm_change_hint_columns(const struct dm_schema *schema, struct dm_error *err)
{
    struct list list = {.text = ""};
    for (size_t i = 0; i < schema->n_fields; i++)
        add_name(&list, schema->fields[i].name);
    dm_error_hint(err, "the dataset's columns are: %s", list.text);
}

static enum dm_status check_missing(const struct dm_change_row *row, const bool *there, bool control,
                                    size_t n, const char *const *names, struct dm_error *err)
{
    const struct dm_schema *schema = row->schema;
    struct list missing = {.text = ""};
    for (size_t i = 0; i < schema->n_fields; i++) {
        unsigned needed =
            control ? DM_FIELD_KEY | DM_FIELD_VERSION : DM_FIELD_KEY | DM_FIELD_VERSION | DM_FIELD_REQUIRED;
        if (!there[i] && (row->fields[i] & needed) != 0)
            add_name(&missing, schema->fields[i].name);
    }
    if (missing.len == 0)
        return DM_OK;
    struct list found = {.text = ""};
    for (size_t i = 0; i < n; i++)
        add_name(&found, names[i]);
    (void)dm_fail(err, DM_ERROR_DATA, NULL, "required columns are missing: %s; the columns there are: %s",
                  missing.text, found.text);
    dm_change_hint_columns(schema, err);
    return DM_FAIL;
}

/* A column that is the field exactly wins over one that differs in case. */
static enum dm_status claim(struct dm_change_columns *c, const struct dm_schema *schema, size_t column,
                            const char *const *names, struct dm_error *err)
{
    int field = c->targets[column];
    for (size_t i = 0; i < column; i++) {
        if (c->targets[i] != field)
            continue;
        bool exact = strcmp(names[column], schema->fields[field].name) == 0;
        if (strcmp(names[i], names[column]) == 0)
            return dm_fail(err, DM_ERROR_DATA, "give each column a name of its own",
                           "there are two columns \"%.200s\"", names[i]);
        c->targets[exact ? i : column] = DM_COLUMN_LEFT_OUT;
        c->matched--;
    }
    return DM_OK;
}

static enum dm_status match(struct dm_change_columns *c, const struct dm_schema *schema, size_t column,
                            const char *const *names, struct dm_change_notes *notes, struct dm_error *err)
{
    enum dm_change_control control;
    c->targets[column] = dm_change_column(schema, names[column], strlen(names[column]), &control);
    if (c->targets[column] >= 0) {
        c->matched++;
        return claim(c, schema, column, names, err);
    }
    if (c->targets[column] == DM_COLUMN_DELETED && !c->deleted) {
        c->deleted = true;
        c->matched++;
        dm_change_note(notes, "column \"%.200s\" tells the kind of change and is not stored", names[column]);
        return DM_OK;
    }
    if (c->targets[column] == DM_COLUMN_LEFT_OUT)
        return DM_OK;
    if (c->targets[column] == DM_COLUMN_DELETED || c->control != DM_CONTROL_NONE)
        return dm_fail(err, DM_ERROR_DATA, "leave one of them out",
                       "two columns tell the kind of change; the second is \"%.200s\"", names[column]);
    c->control = control;
    c->matched++;
    dm_change_note(notes, "column \"%.200s\" tells the kind of change and is not stored", names[column]);
    return DM_OK;
}

/* A comma too many in the header, or an index that a program wrote without a heading. */
static enum dm_status nameless(const struct dm_change_row *row, size_t column, struct dm_change_notes *notes,
                               struct dm_error *err)
{
    if (row->options->strict_columns)
        return dm_fail(err, DM_ERROR_DATA, "give it a name in the header, or take it out",
                       "column %zu has no name", column + 1);
    dm_change_note(notes, "column %zu has no name; it is left out", column + 1);
    return DM_OK;
}

enum dm_status dm_change_columns_init(struct dm_change_columns *c, const struct dm_change_row *row, size_t n,
                                      const char *const *names, struct dm_change_notes *notes,
                                      struct dm_error *err)
{
    const struct dm_schema *schema = row->schema;
    *c = (struct dm_change_columns){.n = n, .targets = dm_xzalloc(n, sizeof *c->targets)};
    for (size_t i = 0; i < n; i++)
        if (match(c, schema, i, names, notes, err) != DM_OK)
            return DM_FAIL;
    bool *there = dm_xzalloc(schema->n_fields, sizeof *there);
    bool flattened = c->control == DM_CONTROL_DEBEZIUM || c->deleted;
    enum dm_status status = DM_OK;
    for (size_t i = 0; i < n && status == DM_OK; i++) {
        if (c->targets[i] >= 0)
            there[c->targets[i]] = true;
        if (c->targets[i] != DM_COLUMN_LEFT_OUT)
            continue;
        if (names[i][0] == '\0') {
            status = nameless(row, i, notes, err);
        } else if (flattened && dm_change_is_metadata(names[i], strlen(names[i]))) {
            dm_change_note_metadata(notes);
        } else if (row->options->strict_columns) {
            status = dm_fail(err, DM_ERROR_DATA, NULL, "column \"%.200s\" is not in the schema", names[i]);
            dm_change_hint_columns(schema, err);
        } else {
            dm_change_note_left_out(notes, names[i], strlen(names[i]));
        }
    }
    if (status == DM_OK)
        status = check_missing(row, there, c->control != DM_CONTROL_NONE || c->deleted, n, names, err);
    free(there);
    return status;
}

void dm_change_columns_release(struct dm_change_columns *c)
{
    free(c->targets);
    *c = (struct dm_change_columns){0};
}
