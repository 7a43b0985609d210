/* What DuckDB's readers of text files guess, found in the tree of the query. Nothing is guessed where the caller says the types (or, for
 * where the rows begin, anything about the form); then it is the caller's word. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/memory.h"
#include "engine/connection.h"
#include "engine/sql_session.h"

/* One reader of a text file. */
struct reader {
    const char *path; /* the literal; NULL: none */
    const char *name; /* "read_csv"; NULL: the file's name alone */
    size_t at;        /* of the literal in the query */
    bool csv, alone;  /* alone: nothing is said but the path */
    bool typed, formed;
};

struct search {
    size_t n;
    struct reader first;
    bool typed, formed; /* all of them */
};

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text != NULL ? text : "";
}

static bool is_one_of(const char *name, const char *const *names, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (strcasecmp(names[i], name) == 0)
            return true;
    return false;
}
#define IS_ONE_OF(name, names) is_one_of(name, names, sizeof(names) / sizeof *(names))

static bool ends_in(const char *name, const char *suffix)
{
    size_t n = strlen(name), m = strlen(suffix);
    return n > m && strcasecmp(name + n - m, suffix) == 0;
}

/* By what DuckDB takes a file's name for in place of a table. */
static bool is_text_file(const char *name, bool *csv)
{
    char *plain = dm_xstrdup(name);
    static const char *const packed[] = {".gz", ".zst"};
    for (size_t i = 0; i < sizeof packed / sizeof *packed; i++)
        if (ends_in(plain, packed[i]))
            plain[strlen(plain) - strlen(packed[i])] = '\0';
    *csv = ends_in(plain, ".csv") || ends_in(plain, ".tsv");
    bool json = ends_in(plain, ".json") || ends_in(plain, ".ndjson") || ends_in(plain, ".jsonl");
    free(plain);
    return *csv || json;
}

static void found(struct search *f, const struct reader *r)
{
    if (f->n++ == 0) {
        f->first = *r;
        f->typed = f->formed = true;
    } else if (f->typed && !r->typed) {
        f->first = *r; /* the one to be named */
    }
    f->typed &= r->typed;
    f->formed &= r->formed;
}

static void look_at_function(struct search *f, const json_t *function)
{
    static const char *const csv[] = {"read_csv", "read_csv_auto"};
    static const char *const json[] = {"read_json", "read_json_auto", "read_ndjson", "read_ndjson_auto"};
    static const char *const types[] = {"all_varchar", "columns", "types", "dtypes", "column_types"};
    const char *name = text_of(function, "function_name");
    struct reader r = {.name = name, .csv = IS_ONE_OF(name, csv), .alone = true};
    if (!r.csv && !IS_ONE_OF(name, json))
        return;
    const json_t *children = json_object_get(function, "children");
    for (size_t i = 0; i < json_array_size(children); i++) {
        const json_t *child = json_array_get(children, i), *value = json_object_get(child, "value");
        if (i == 0 && json_is_string(json_object_get(value, "value"))) {
            r.path = text_of(value, "value");
            r.at = (size_t)json_number_value(json_object_get(child, "query_location"));
            continue;
        }
        const json_t *names = json_object_get(json_object_get(child, "left"), "column_names");
        const char *said = json_string_value(json_array_get(names, 0));
        bool typed = said != NULL && IS_ONE_OF(said, types);
        r.typed |= typed;
        r.formed |= !typed || strcasecmp(said, "columns") == 0;
        r.alone = false;
    }
    found(f, &r);
}

static void look(struct search *f, const json_t *node)
{
    size_t i;
    const char *key;
    json_t *value;
    if (json_is_array(node)) {
        json_array_foreach((json_t *)(uintptr_t)node, i, value) look(f, value);
        return;
    }
    if (!json_is_object(node))
        return;
    const char *type = text_of(node, "type"), *table = text_of(node, "table_name");
    struct reader r = {.path = table, .alone = true};
    if (strcmp(type, "TABLE_FUNCTION") == 0) {
        look_at_function(f, json_object_get(node, "function"));
    } else if (strcmp(type, "BASE_TABLE") == 0 && text_of(node, "schema_name")[0] == '\0' &&
               is_text_file(table, &r.csv)) {
        r.at = (size_t)json_number_value(json_object_get(node, "query_location"));
        found(f, &r);
    }
    json_object_foreach((json_t *)(uintptr_t)node, key, value) look(f, value);
}

/* ---- queries that only take columns ---- */

static bool takes_only(const json_t *item)
{
    const char *class = text_of(item, "class");
    if (strcmp(class, "CAST") == 0)
        return takes_only(json_object_get(item, "child"));
    if (strcmp(class, "STAR") == 0)
        return json_array_size(json_object_get(item, "replace_list")) == 0 &&
               !json_is_true(json_object_get(item, "columns")) && json_is_null(json_object_get(item, "expr"));
    return strcmp(class, "COLUMN_REF") == 0 || strcmp(class, "CONSTANT") == 0;
}

static bool is_plain(const json_t *tree)
{
    const json_t *node = json_object_get(json_array_get(json_object_get(tree, "statements"), 0), "node");
    const json_t *from = json_object_get(node, "from_table"), *items = json_object_get(node, "select_list");
    static const char *const absent[] = {"where_clause", "having", "sample", "qualify"};
    static const char *const empty[] = {"modifiers", "group_expressions", "group_sets"};
    bool plain = strcmp(text_of(node, "type"), "SELECT_NODE") == 0 &&
                 (strcmp(text_of(from, "type"), "TABLE_FUNCTION") == 0 ||
                  strcmp(text_of(from, "type"), "BASE_TABLE") == 0) &&
                 strcmp(text_of(node, "aggregate_handling"), "STANDARD_HANDLING") == 0 &&
                 json_array_size(json_object_get(json_object_get(node, "cte_map"), "map")) == 0;
    for (size_t i = 0; i < sizeof absent / sizeof *absent; i++)
        plain &= json_is_null(json_object_get(node, absent[i]));
    for (size_t i = 0; i < sizeof empty / sizeof *empty; i++)
        plain &= json_array_size(json_object_get(node, empty[i])) == 0;
    for (size_t i = 0; i < json_array_size(items); i++)
        plain &= takes_only(json_array_get(items, i));
    return plain;
}

/* The query with all_varchar behind the literal; NULL: it does not stand where the tree says. */
static char *as_texts(const char *query, const struct reader *r)
{
    if (r->at >= strlen(query) || query[r->at] != '\'')
        return NULL;
    const char *begin = query + r->at, *end = begin + 1;
    while (*end != '\0' && (*end != '\'' || end[1] == '\''))
        end += *end == '\'' ? 2 : 1;
    if (*end == '\0')
        return NULL;
    int before = (int)r->at, literal = (int)(end + 1 - begin);
    return r->name != NULL
               ? dm_xasprintf("%.*s%.*s, all_varchar = true%s", before, query, literal, begin, end + 1)
               : dm_xasprintf("%.*sread_csv(%.*s, all_varchar = true)%s", before, query, literal, begin,
                              end + 1);
}

/* ---- what the files say ---- */

static enum dm_status take_text(void *ctx, size_t n, const char *const *values, struct dm_error *err)
{
    char **out = ctx;
    (void)err;
    if (n == 1 && values[0] != NULL && *out == NULL)
        *out = dm_xstrdup(values[0]);
    return DM_OK;
}

/* A question about the file, whose answer is one text; NULL: there is none (a pattern, a file that is not there: the query itself will say). */
static char *ask(struct dm_sql *s, const char *before, const char *path, const char *after)
{
    struct dm_error ignored = {0};
    struct dm_buffer sql;
    char *answer = NULL;
    dm_buffer_init(&sql, 1 << 20);
    if (dm_buffer_append(&sql, before, strlen(before), &ignored) == DM_OK &&
        dm_sql_quote(&sql, '\'', path, &ignored) == DM_OK &&
        dm_buffer_append(&sql, after, strlen(after), &ignored) == DM_OK && dm_buffer_text(&sql) != NULL &&
        dm_sql_each(s, (const char *)sql.data, take_text, &answer, &ignored) != DM_OK) {
        free(answer);
        answer = NULL;
    }
    dm_buffer_release(&sql);
    return answer;
}

static enum dm_status check_beginning(struct dm_sql *s, const struct reader *r, struct dm_error *err)
{
    if (!r->csv || r->formed || r->path == NULL)
        return DM_OK;
    char *skipped = ask(s, "SELECT SkipRows FROM sniff_csv(", r->path, ")");
    enum dm_status status = DM_OK;
    if (skipped != NULL && strcmp(skipped, "0") != 0)
        status =
            dm_fail(err, DM_ERROR_CONFIG,
                    "rows have different numbers of values: datamirror ingest takes the others and says "
                    "which; or say where the rows begin "
                    "(skip, header, delim, columns)",
                    "the engine's guess is that %s begins behind its first %s lines, which would be lost",
                    r->path, skipped);
    free(skipped);
    return status;
}

static char *doubles_note(struct dm_sql *s, const struct reader *r)
{
    if (r->path == NULL)
        return NULL;
    char *before = dm_xasprintf("SELECT string_agg(column_name, ', ') FROM (DESCRIBE SELECT * FROM %s(",
                                r->csv ? "read_csv" : "read_json");
    char *columns = ask(s, before, r->path, ")) WHERE column_type LIKE '%DOUBLE%' HAVING count(*) > 0");
    char *note = NULL;
    if (columns != NULL)
        note = dm_xasprintf("%s is read with guessed types: %.300s as DOUBLE, which has 15 digits; say them "
                            "(types = {…}), or all_varchar = true "
                            "and cast, where that matters",
                            r->path, columns);
    free(columns);
    free(before);
    return note;
}

static enum dm_status find(struct dm_sql *s, const char *query, const json_t *tree, struct dm_sql_guess *out,
                           struct dm_error *err)
{
    struct search f = {0};
    look(&f, json_object_get(tree, "statements"));
    if (f.n == 0 || (f.typed && f.formed))
        return DM_OK;
    if (check_beginning(s, &f.first, err) != DM_OK)
        return DM_FAIL;
    char *exact =
        f.n == 1 && f.first.csv && f.first.alone && is_plain(tree) ? as_texts(query, &f.first) : NULL;
    if (exact != NULL) {
        free(out->query);
        out->query = exact;
    } else if (!f.typed) {
        out->reader = f.first.name != NULL
                          ? dm_xasprintf("%s('%s')", f.first.name, f.first.path != NULL ? f.first.path : "…")
                          : dm_xasprintf("'%s'", f.first.path);
        out->note = doubles_note(s, &f.first);
    }
    return DM_OK;
}

enum dm_status dm_sql_guess(struct dm_sql *s, const char *query, struct dm_sql_guess *out,
                            struct dm_error *err)
{
    char *text = NULL;
    *out = (struct dm_sql_guess){0};
    if (dm_sql_parse(s, query, &text, err) != DM_OK)
        return DM_FAIL;
    json_error_t where;
    json_t *tree = json_loads(text, JSON_DECODE_INT_AS_REAL | JSON_ALLOW_NUL, &where);
    out->query = dm_xstrdup(query);
    enum dm_status status =
        tree != NULL ? find(s, query, tree, out, err) : DM_OK; /* the guard says what is wrong */
    json_decref(tree);
    free(text);
    if (status != DM_OK)
        dm_sql_guess_release(out);
    return status;
}

void dm_sql_guess_release(struct dm_sql_guess *g)
{
    free(g->query);
    free(g->reader);
    free(g->note);
    *g = (struct dm_sql_guess){0};
}
