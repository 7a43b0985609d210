#include "mirror/intake/sql_script.h"

#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/memory.h"
#include "mirror/intake/sql_token.h"

enum { QUERY_MAX = 64 << 20, STATEMENTS_MAX = 10000 };

/* One statement's tokens, from the text. */
struct parse {
    struct dm_sql_scan scan;
    const char *into;
    size_t number; /* of the statement, from 1 */
    size_t n;
    size_t capacity;
    struct dm_sql_token *tokens;
    size_t next; /* the token to be looked at */
};

void dm_sql_script_release(struct dm_sql_script *script)
{
    for (size_t i = 0; i < script->n; i++) {
        struct dm_sql_statement *s = &script->statements[i];
        for (size_t k = 0; k < s->n_columns; k++)
            free(s->columns[k]);
        free(s->columns);
        free(s->dataset);
        free(s->query);
    }
    free(script->statements);
    *script = (struct dm_sql_script){0};
}

char *dm_sql_statement_query(const struct dm_sql_statement *s)
{
    size_t n = strlen(s->query);
    char *out = dm_xalloc(s->line + n);
    memset(out, '\n', s->line - 1);
    memcpy(out + s->line - 1, s->query, n + 1);
    return out;
}

/* ---- looking at tokens ---- */

static const struct dm_sql_token *peek(const struct parse *p, size_t ahead)
{
    static const struct dm_sql_token none;
    return p->next + ahead < p->n ? &p->tokens[p->next + ahead] : &none;
}

static bool next_is(const struct parse *p, size_t ahead, const char *word)
{
    return dm_sql_token_is(&p->scan, peek(p, ahead), word);
}

static bool next_is_one_of(const struct parse *p, size_t ahead, const char *const *words)
{
    for (; *words != NULL; words++)
        if (next_is(p, ahead, *words))
            return true;
    return false;
}

static bool next_is_sign(const struct parse *p, size_t ahead, char sign)
{
    const struct dm_sql_token *t = peek(p, ahead);
    return t->kind == DM_SQL_SIGN && t->sign == sign;
}

static bool next_is_name(const struct parse *p)
{
    return peek(p, 0)->kind == DM_SQL_WORD || peek(p, 0)->kind == DM_SQL_QUOTED;
}

/* For messages: as much of the next token as fits. */
static int shown(const struct parse *p)
{
    size_t n = peek(p, 0)->n;
    return n > 60 ? 60 : (int)n;
}

static enum dm_status fail_at(const struct parse *p, size_t line, const char *hint, const char *what,
                              struct dm_error *err)
{
    return dm_fail(err, DM_ERROR_CONFIG, hint, "statement %zu (line %zu): %s", p->number, line, what);
}

static enum dm_status expected(const struct parse *p, const char *what, struct dm_error *err)
{
    const struct dm_sql_token *t = peek(p, 0);
    if (t->kind == DM_SQL_END)
        return dm_fail(err, DM_ERROR_CONFIG, NULL, "statement %zu (line %zu): it ends where %s is expected",
                       p->number, p->tokens[p->n - 1].line, what);
    return dm_fail(err, DM_ERROR_CONFIG, NULL, "statement %zu (line %zu): \"%.*s\" where %s is expected",
                   p->number, t->line, shown(p), p->scan.text + t->at, what);
}

/* ---- the parts of an INSERT ---- */

static const char *const query_words[] = {"select",  "with",     "from",      "values", "table", "pivot",
                                          "unpivot", "describe", "summarize", "show",   NULL};

/* What to write instead of a statement of another kind. */
static enum dm_status other_kind(const struct parse *p, struct dm_error *err)
{
    static const struct {
        const char *word, *what, *hint;
    } kinds[] = {
        {"update", "UPDATE is not known here",
         "INSERT INTO the dataset what the rows shall be, with a higher version: the same key replaces the "
         "row"},
        {"delete", "DELETE is not known here",
         "INSERT INTO the dataset key and version of the rows, with 'd' AS _change_request_type; or: "
         "datamirror delete"},
        {"merge", "MERGE is not known here",
         "INSERT INTO ds SELECT … does the same: a key that is there is replaced, and 'd' AS "
         "_change_request_type deletes"},
        {"copy", "COPY is not known here", "INSERT INTO ds SELECT * FROM 'file.csv' reads a file"},
        {"create", "CREATE is not known here",
         "datamirror schema apply declares datasets; WITH x AS (…) names a step of a query"},
        {"drop", "DROP is not known here", "datamirror schema drop removes a dataset"},
    };
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (next_is(p, 0, kinds[i].word))
            return fail_at(p, peek(p, 0)->line, kinds[i].hint, kinds[i].what, err);
    if (next_is_one_of(p, 0, query_words) || next_is_sign(p, 0, '('))
        return fail_at(p, peek(p, 0)->line,
                       "begin it with INSERT INTO the dataset, or name that with --into; to look at rows: "
                       "datamirror query",
                       "this query writes nowhere", err);
    return expected(p, "INSERT INTO", err);
}

/* Where INSERT INTO stands: at the beginning, or behind a WITH clause. */
static bool find_insert(const struct parse *p, size_t *at)
{
    size_t depth = 0;
    struct parse q = *p;
    for (q.next = 0; q.next < q.n; q.next++) {
        if (next_is_sign(&q, 0, '('))
            depth++;
        else if (next_is_sign(&q, 0, ')'))
            depth -= depth > 0;
        else if (depth == 0 && next_is(&q, 0, "insert") && (next_is(&q, 1, "into") || next_is(&q, 1, "or"))) {
            *at = q.next;
            return true;
        }
        if (q.next == 0 && !next_is(&q, 0, "with"))
            return false;
    }
    return false;
}

static enum dm_status parse_dataset(struct parse *p, struct dm_sql_statement *s, struct dm_error *err)
{
    for (int part = 0;; part++) {
        if (!next_is_name(p) || part == 2)
            return expected(p, part == 0 ? "the name of a dataset" : "a name of two parts (namespace.table)",
                            err);
        char *name = dm_sql_token_name(&p->scan, peek(p, 0));
        if (s->dataset != NULL) {
            char *both = dm_xasprintf("%s.%s", s->dataset, name);
            free(s->dataset);
            free(name);
            name = both;
        }
        s->dataset = name;
        p->next++;
        if (!next_is_sign(p, 0, '.'))
            return DM_OK;
        p->next++;
    }
}

/* ( a, "b" ), unless the parenthesis begins a query. */
static enum dm_status parse_columns(struct parse *p, struct dm_sql_statement *s, struct dm_error *err)
{
    if (!next_is_sign(p, 0, '(') || next_is_one_of(p, 1, query_words) || next_is_sign(p, 1, '('))
        return DM_OK;
    do {
        p->next++;
        if (!next_is_name(p))
            return expected(p, "the name of a column", err);
        s->columns = dm_xrealloc(s->columns, s->n_columns + 1, sizeof *s->columns);
        s->columns[s->n_columns++] = dm_sql_token_name(&p->scan, peek(p, 0));
        p->next++;
    } while (next_is_sign(p, 0, ','));
    if (!next_is_sign(p, 0, ')'))
        return expected(p, "a comma or a closing parenthesis", err);
    p->next++;
    return DM_OK;
}

/* Clauses of other systems behind the query, which we have no use for. */
static enum dm_status check_tail(const struct parse *p, struct dm_error *err)
{
    struct parse q = *p;
    size_t depth = 0;
    for (; q.next < q.n; q.next++) {
        if (next_is_sign(&q, 0, '('))
            depth++;
        else if (next_is_sign(&q, 0, ')'))
            depth -= depth > 0;
        if (depth > 0)
            continue;
        if (next_is(&q, 0, "on") && next_is(&q, 1, "conflict") &&
            (next_is(&q, 2, "do") || next_is_sign(&q, 2, '(')))
            return fail_at(p, peek(&q, 0)->line,
                           "leave it out: a key that is there is replaced by the higher version",
                           "ON CONFLICT is not known here", err);
        if (next_is(&q, 0, "returning"))
            return fail_at(p, peek(&q, 0)->line,
                           "leave it out; --dry-run shows what would happen to the rows",
                           "RETURNING is not known here", err);
    }
    return DM_OK;
}

static enum dm_status parse_target(struct parse *p, struct dm_sql_statement *s, struct dm_error *err)
{
    p->next++;
    if (next_is(p, 0, "or")) {
        if (!next_is(p, 1, "replace"))
            return fail_at(p, peek(p, 0)->line, "the version decides which row stays; leave it out",
                           "only OR REPLACE is known here", err);
        p->next += 2;
    }
    if (!next_is(p, 0, "into"))
        return expected(p, "INTO", err);
    p->next++;
    if (parse_dataset(p, s, err) != DM_OK || parse_columns(p, s, err) != DM_OK)
        return DM_FAIL;
    if (next_is(p, 0, "by") && next_is(p, 1, "name") && s->n_columns == 0)
        p->next += 2; /* as always */
    if (next_is(p, 0, "by"))
        return fail_at(p, peek(p, 0)->line,
                       "columns go by name; to go by position name them: INSERT INTO ds (a, b) SELECT …",
                       "BY is not known here", err);
    if (!next_is_one_of(p, 0, query_words) && !next_is_sign(p, 0, '('))
        return expected(p, "a query", err);
    return check_tail(p, err);
}

/* ---- one statement ---- */

/* A stretch of the text with its lines, or as many empty ones. */
static enum dm_status append_lines(struct dm_buffer *b, const char *text, size_t n, bool blank,
                                   struct dm_error *err)
{
    if (!blank)
        return dm_buffer_append(b, text, n, err);
    for (size_t i = 0; i < n; i++)
        if (dm_buffer_append_byte(b, text[i] == '\n' ? '\n' : ' ', err) != DM_OK)
            return DM_FAIL;
    return DM_OK;
}

/* The WITH clause in front of INSERT (from its first token to `insert`) and the query behind it (from `rest`). */
static enum dm_status join_query(const struct parse *p, size_t insert, size_t rest,
                                 struct dm_sql_statement *s, struct dm_error *err)
{
    const char *text = p->scan.text;
    size_t from = p->tokens[0].at, a = p->tokens[insert].at, b = p->tokens[rest].at,
           end = p->tokens[p->n - 1].at + p->tokens[p->n - 1].n;
    struct dm_buffer q;
    dm_buffer_init(&q, QUERY_MAX);
    enum dm_status status = append_lines(&q, text + from, a - from, false, err);
    /* Where INSERT INTO stood, so that lines stay where they are; the query may have a WITH of its own. */
    static const char select[] = "SELECT * FROM (";
    size_t used = 0;
    if (status == DM_OK && insert > 0) {
        status = dm_buffer_append(&q, select, sizeof select - 1, err);
        while (used < b - a && used < sizeof select - 1 && text[a + used] != '\n')
            used++;
    }
    if (status == DM_OK)
        status = append_lines(&q, text + a + used, b - a - used, true, err);
    if (status == DM_OK)
        status = append_lines(&q, text + b, end - b, false, err);
    if (status == DM_OK && insert > 0)
        status = dm_buffer_append_byte(&q, ')', err);
    const char *whole = status == DM_OK ? dm_buffer_text(&q) : NULL;
    if (status == DM_OK && whole == NULL)
        status = dm_fail_memory(err, q.max);
    if (status == DM_OK)
        s->query = dm_xstrdup(whole);
    dm_buffer_release(&q);
    return status;
}

static enum dm_status parse_statement(struct parse *p, struct dm_sql_statement *s, struct dm_error *err)
{
    size_t insert = 0, rest = 0;
    s->line = p->tokens[0].line;
    for (size_t i = 0; i < p->n; i++)
        if (p->tokens[i].open)
            return fail_at(p, p->tokens[i].line, NULL, "a quote or a comment that begins here is not closed",
                           err);
    bool found = find_insert(p, &insert);
    if (p->into != NULL) {
        if (found)
            return fail_at(p, p->tokens[insert].line, "give one of the two",
                           "it has an INSERT INTO, and there is --into", err);
        p->next = 0;
        if (!next_is_one_of(p, 0, query_words) && !next_is_sign(p, 0, '('))
            return expected(p, "a query", err);
        s->dataset = dm_xstrdup(p->into);
        return join_query(p, 0, 0, s, err);
    }
    p->next = 0;
    if (!found)
        return other_kind(p, err);
    p->next = insert;
    if (parse_target(p, s, err) != DM_OK)
        return DM_FAIL;
    rest = p->next;
    return join_query(p, insert, rest, s, err);
}

/* Reads tokens up to the next semicolon or the end. False: the text is over. */
static bool read_statement(struct parse *p)
{
    p->n = 0;
    for (;;) {
        struct dm_sql_token t = dm_sql_token_next(&p->scan);
        bool ends = t.kind == DM_SQL_END || (t.kind == DM_SQL_SIGN && t.sign == ';');
        if (ends && p->n > 0 && !t.open)
            return true;
        if (t.kind == DM_SQL_END && !t.open)
            return false;
        if (ends && !t.open)
            continue;
        if (p->n == p->capacity) {
            p->capacity = p->capacity == 0 ? 64 : p->capacity * 2;
            p->tokens = dm_xrealloc(p->tokens, p->capacity, sizeof *p->tokens);
        }
        p->tokens[p->n++] = t;
        if (t.open)
            return true;
    }
}

enum dm_status dm_sql_script_parse(const char *text, size_t n, const char *into, struct dm_sql_script *out,
                                   struct dm_error *err)
{
    *out = (struct dm_sql_script){0};
    struct parse p = {.scan = {.text = text, .n = n, .line = 1}, .into = into};
    enum dm_status status = DM_OK;
    if (n > 0 && memchr(text, 0, n) != NULL)
        status = dm_fail(err, DM_ERROR_CONFIG, NULL, "the SQL holds a NUL byte");
    while (status == DM_OK && read_statement(&p)) {
        p.number++;
        if (p.number > STATEMENTS_MAX)
            status = dm_fail(err, DM_ERROR_CONFIG, "split it", "there are more than %d statements",
                             STATEMENTS_MAX);
        if (status != DM_OK)
            break;
        out->statements = dm_xrealloc(out->statements, out->n + 1, sizeof *out->statements);
        out->statements[out->n] = (struct dm_sql_statement){0};
        status = parse_statement(&p, &out->statements[out->n++], err);
    }
    if (status == DM_OK && out->n == 0)
        status = dm_fail(err, DM_ERROR_CONFIG,
                         "for example: datamirror sql \"INSERT INTO sales.orders SELECT * FROM 'new.csv'\"",
                         "there is no SQL");
    free(p.tokens);
    if (status != DM_OK)
        dm_sql_script_release(out);
    return status;
}
