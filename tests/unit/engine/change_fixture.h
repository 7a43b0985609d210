/* change_fixture.h — for the tests of the change readers only: a file of given bytes, read whole; what came of it as text, a line a row:
 *
 *     upsert 2 (1, "a", null)          kind, line, the values
 *     bad 3 wrong_type 17 {"id":…}     reason, key or -, raw content
 */
#ifndef DM_TEST_CHANGE_FIXTURE_H
#define DM_TEST_CHANGE_FIXTURE_H

#include "engine_fixture.h"

#include <unistd.h>

#include "column/key.h"
#include "engine/change_reader.h"

struct change_entry {
    uint64_t line;
    size_t order; /* among those of one line */
    char *text;
};

struct change_test {
    struct fixture *f;
    struct dm_schema *schema;
    struct dm_schema *all; /* the same with all columns as key, which spells whole rows */
    struct dm_change_options options;
    size_t max_rows, max_bytes;
    char path[160];
    char *found; /* the result of the last reading, in the order of the lines */
    size_t n_entries;
    struct change_entry *entries;
    char *message; /* the last bad row's */
    char *notes;
    struct dm_error err;
};

/* id (key), version, name, amount decimal(10, 2) required, day, at timestamptz, flag, tags list of text */
static inline struct dm_schema *change_schema(void)
{
    struct dm_schema *s = dm_schema_new();
    dm_schema_add(s, "id", dm_type_of(DM_INT64))->required = true;
    dm_schema_add(s, "version", dm_type_of(DM_INT32))->required = true;
    dm_schema_add(s, "name", dm_type_of(DM_STRING));
    dm_schema_add(s, "amount", dm_type_decimal(10, 2))->required = true;
    dm_schema_add(s, "day", dm_type_of(DM_DATE));
    dm_schema_add(s, "at", dm_type_of(DM_TIMESTAMPTZ));
    dm_schema_add(s, "flag", dm_type_of(DM_BOOL));
    dm_schema_add(s, "tags", dm_type_list(dm_type_of(DM_STRING)));
    dm_schema_add_key(s, 0);
    return s;
}

static inline struct dm_schema *change_all_keys(const struct dm_schema *schema)
{
    struct dm_schema *all = dm_schema_copy(schema);
    all->n_keys = 0;
    for (uint32_t i = 0; i < all->n_fields; i++)
        dm_schema_add_key(all, i);
    return all;
}

static inline void change_test_init(struct change_test *t, struct fixture *f, struct dm_schema *take_schema)
{
    *t = (struct change_test){.f = f, .schema = take_schema, .max_rows = 1000, .max_bytes = 1 << 20};
    t->all = change_all_keys(take_schema);
    t->options.version_field = dm_schema_find(take_schema, "version");
    t->found = dm_xstrdup("");
}

static inline struct change_test change_start(void **state)
{
    struct change_test t;
    change_test_init(&t, *state, change_schema());
    return t;
}

/* id (key), name */
static inline struct change_test change_start_small(void **state)
{
    struct dm_schema *s = dm_schema_new();
    dm_schema_add(s, "id", dm_type_of(DM_INT64))->required = true;
    dm_schema_add(s, "name", dm_type_of(DM_STRING));
    dm_schema_add_key(s, 0);
    struct change_test t;
    change_test_init(&t, *state, s);
    return t;
}

static inline void change_test_release(struct change_test *t)
{
    free(t->found);
    free(t->message);
    free(t->notes);
    dm_schema_unref(t->schema);
    dm_schema_unref(t->all);
}

static inline void change_file(struct change_test *t, const char *name, const void *bytes, size_t n)
{
    snprintf(t->path, sizeof t->path, "%s/%s", t->f->folder, name);
    assert_ok(t->f, dm_file_write(t->path, bytes, n, &t->f->err));
}

static inline void change_entry(struct change_test *t, uint64_t line, char *take_text)
{
    if ((t->n_entries & (t->n_entries - 1)) == 0) /* a power of two, or none: full */
        t->entries = dm_xrealloc(t->entries, t->n_entries == 0 ? 1 : 2 * t->n_entries, sizeof *t->entries);
    t->entries[t->n_entries] = (struct change_entry){.line = line, .order = t->n_entries, .text = take_text};
    t->n_entries++;
}

static inline int change_entry_order(const void *a, const void *b)
{
    const struct change_entry *x = a, *y = b;
    if (x->line != y->line)
        return x->line < y->line ? -1 : 1;
    return x->order < y->order ? -1 : x->order > y->order;
}

/* The entries as t->found. */
static inline void change_found(struct change_test *t)
{
    if (t->n_entries != 0)
        qsort(t->entries, t->n_entries, sizeof *t->entries, change_entry_order);
    free(t->found);
    size_t n;
    FILE *out = open_memstream(&t->found, &n);
    assert_non_null(out);
    for (size_t i = 0; i < t->n_entries; i++) {
        fputs(t->entries[i].text, out);
        free(t->entries[i].text);
    }
    fclose(out);
    free(t->entries);
    t->entries = NULL;
    t->n_entries = 0;
}

static inline enum dm_status change_bad(void *ctx, uint64_t line, const struct dm_bad_row *row,
                                        struct dm_error *err)
{
    struct change_test *t = ctx;
    (void)err;
    assert_null(row->place);
    assert_true(row->message != NULL && row->message[0] != 0);
    free(t->message);
    t->message = dm_xstrdup(row->message);
    change_entry(t, line,
                 dm_xasprintf("bad %llu %s %s %s\n", (unsigned long long)line, row->reason,
                              row->key ? row->key : "-", row->raw));
    return DM_OK;
}

static inline void change_rows(struct change_test *t, const struct dm_batch *batch)
{
    struct dm_batch view = *batch;
    view.schema = t->all;
    char text[4096];
    for (size_t i = 0; i < batch->rows; i++)
        change_entry(t, batch->subxids[i],
                     dm_xasprintf("%s %u %s\n", batch->ops[i] == DM_OP_DELETE ? "delete" : "upsert",
                                  batch->subxids[i], dm_key_text(&view, i, text, sizeof text)));
}

static inline void change_notes(struct change_test *t, const struct dm_change_reader *r)
{
    size_t n;
    const char *const *notes = dm_change_reader_notes(r, &n);
    free(t->notes);
    t->notes = dm_xstrdup("");
    for (size_t i = 0; i < n; i++) {
        char *more = dm_xasprintf("%s%s\n", t->notes, notes[i]);
        free(t->notes);
        t->notes = more;
    }
}

/* Reads an open reader to its end into t->found, and closes it. DM_END is the good end. */
static inline enum dm_status change_drain(struct change_test *t, struct dm_change_reader *r)
{
    struct dm_batch *batch = dm_batch_new(t->schema);
    enum dm_status status;
    do {
        dm_batch_clear(batch);
        status = dm_change_reader_next(r, batch, t->max_rows, t->max_bytes, change_bad, t, &t->err);
        assert_true(batch->rows <= t->max_rows);
        if (status != DM_FAIL)
            change_rows(t, batch);
    } while (status == DM_OK);
    if (status == DM_END) /* and stays at its end */
        assert_int_equal(dm_change_reader_next(r, batch, 10, 10, change_bad, t, &t->err), DM_END);
    dm_batch_free(batch);
    change_notes(t, r);
    dm_change_reader_close(r);
    change_found(t);
    return status;
}

static inline enum dm_status change_read(struct change_test *t)
{
    struct dm_change_reader *r;
    if (dm_change_reader_open(t->f->engine, t->path, t->schema, &t->options, &r, &t->err) != DM_OK)
        return DM_FAIL;
    return change_drain(t, r);
}

/* The bytes as file `name` give exactly this. */
static inline void change_gives(struct change_test *t, const char *name, const char *bytes,
                                const char *expected)
{
    change_file(t, name, bytes, strlen(bytes));
    t->err = (struct dm_error){0};
    if (change_read(t) != DM_END)
        fail_msg("%s: %s", name, t->err.message);
    assert_string_equal(t->found, expected);
}

/* The file as a whole is refused, with an error of class DATA that holds the words; nothing but that may be said of it. */
static inline void change_fails(struct change_test *t, const char *name, const void *bytes, size_t n,
                                const char *words)
{
    change_file(t, name, bytes, n);
    t->err = (struct dm_error){0};
    assert_int_equal(change_read(t), DM_FAIL);
    if (t->err.class != DM_ERROR_DATA || strstr(t->err.message, words) == NULL ||
        strstr(t->err.message, name) == NULL)
        fail_msg("class %s: %s", dm_error_class_name(t->err.class), t->err.message);
}

#endif
