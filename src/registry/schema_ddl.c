/* DDL of PostgreSQL, MySQL, Snowflake, Databricks and BigQuery: the statements of a text. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/memory.h"
#include "config/config_value.h"
#include "registry/ddl_parser.h"
#include "registry/type_words.h"

enum { notes_max = 200 };

enum dm_status dm_ddl_fail(const struct dm_ddl_parser *p, size_t line, struct dm_error *err, const char *hint,
                           const char *fmt, ...)
{
    char message[700];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(message, sizeof message, fmt, args);
    va_end(args);
    struct dm_config_place at = {p->o->file != NULL ? p->o->file : "text", line};
    return dm_config_fail(at, err, hint, "%s", message);
}

void dm_ddl_note(struct dm_ddl_parser *p, const char *fmt, ...)
{
    char text[300];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    if (p->notes != NULL && p->notes->n < notes_max && dm_names_find(p->notes, text) < 0)
        dm_names_add(p->notes, text);
}

/* ---- tokens ---- */

void dm_ddl_advance(struct dm_ddl_parser *p)
{
    p->token = dm_ddl_next(&p->lexer);
}

struct dm_ddl_token dm_ddl_peek(const struct dm_ddl_parser *p)
{
    struct dm_ddl_lexer ahead = p->lexer;
    return dm_ddl_next(&ahead);
}

bool dm_ddl_word(const struct dm_ddl_parser *p, const char *word)
{
    return dm_ddl_is(&p->token, word);
}

bool dm_ddl_sign(const struct dm_ddl_parser *p, char sign)
{
    return p->token.kind == DM_DDL_SIGN && p->token.sign == sign;
}

bool dm_ddl_accept(struct dm_ddl_parser *p, const char *word)
{
    bool yes = dm_ddl_word(p, word);
    if (yes)
        dm_ddl_advance(p);
    return yes;
}

bool dm_ddl_accept_sign(struct dm_ddl_parser *p, char sign)
{
    bool yes = dm_ddl_sign(p, sign);
    if (yes)
        dm_ddl_advance(p);
    return yes;
}

void dm_ddl_skip_group(struct dm_ddl_parser *p)
{
    size_t depth = 0;
    do {
        if (dm_ddl_sign(p, '('))
            depth++;
        else if (dm_ddl_sign(p, ')'))
            depth--;
        dm_ddl_advance(p);
    } while (depth > 0 && p->token.kind != DM_DDL_END);
}

bool dm_ddl_is_name(const struct dm_ddl_parser *p)
{
    return p->token.kind == DM_DDL_WORD || p->token.kind == DM_DDL_QUOTED;
}

/* ---- names ---- */

enum dm_status dm_ddl_read_name(struct dm_ddl_parser *p, const char *what, char **out, struct dm_error *err)
{
    if (!dm_ddl_is_name(p) || p->token.n == 0)
        return dm_ddl_fail(p, p->token.line, err, NULL, "%s is expected, not \"%.*s\"", what,
                           p->token.kind == DM_DDL_END ? 15 : (int)(p->token.n < 60 ? p->token.n : 60),
                           p->token.kind == DM_DDL_END ? "the end of file" : p->token.text);
    if (p->token.open)
        return dm_ddl_fail(p, p->token.line, err, NULL, "a quote is not closed");
    *out = dm_ddl_text(&p->token);
    dm_ddl_advance(p);
    return DM_OK;
}

/* The last two parts of a dotted name that stands in one pair of back quotes (BigQuery's `project.dataset.table`). */
static char *last_two(const char *name)
{
    const char *last = strrchr(name, '.'), *start = name;
    for (const char *dot = name; last != NULL && dot < last; dot++)
        if (*dot == '.')
            start = dot + 1;
    return dm_xstrdup(start);
}

enum dm_status dm_ddl_read_table_name(struct dm_ddl_parser *p, char **out, struct dm_error *err)
{
    bool back_quoted = p->token.kind == DM_DDL_QUOTED && p->token.sign == '`';
    char *before = NULL, *name = NULL;
    if (dm_ddl_read_name(p, "a table's name", &name, err) != DM_OK)
        return DM_FAIL;
    while (dm_ddl_sign(p, '.')) {
        char *next = NULL;
        dm_ddl_advance(p);
        /* project-with-hyphens.dataset.table and a..b do not come unquoted here */
        if (dm_ddl_read_name(p, "a table's name", &next, err) != DM_OK) {
            free(before);
            free(name);
            return DM_FAIL;
        }
        free(before);
        before = name;
        name = next;
    }
    if (before != NULL)
        *out = dm_xasprintf("%s.%s", before, name);
    else
        *out = back_quoted ? last_two(name) : dm_xstrdup(name);
    free(before);
    free(name);
    return DM_OK;
}

enum dm_status dm_ddl_read_strings(struct dm_ddl_parser *p, struct dm_names *out, struct dm_error *err)
{
    if (!dm_ddl_accept_sign(p, '('))
        return dm_ddl_fail(p, p->token.line, err, NULL, "a list of values in parentheses is expected");
    while (!dm_ddl_accept_sign(p, ')')) {
        bool text =
            p->token.kind == DM_DDL_STRING || (p->token.kind == DM_DDL_QUOTED && p->token.sign == '"');
        if (dm_ddl_accept_sign(p, ','))
            continue;
        if (!text || p->token.open)
            return dm_ddl_fail(p, p->token.line, err, "for example ENUM('A', 'B')",
                               "a value in quotes is expected");
        char *value = dm_ddl_text(&p->token);
        dm_names_add(out, value);
        free(value);
        dm_ddl_advance(p);
    }
    return DM_OK;
}

/* ---- statements ---- */

static void skip_statement(struct dm_ddl_parser *p)
{
    while (p->token.kind != DM_DDL_END && !dm_ddl_sign(p, ';'))
        dm_ddl_advance(p);
}

static struct dm_ddl_named_type *add_type(struct dm_ddl_parser *p, const char *dotted)
{
    const char *last = strrchr(dotted, '.') != NULL ? strrchr(dotted, '.') + 1 : dotted;
    p->types = dm_xrealloc(p->types, p->n_types + 1, sizeof *p->types);
    struct dm_ddl_named_type *t = &p->types[p->n_types++];
    *t = (struct dm_ddl_named_type){.name = dm_xstrdup(last), .type = dm_type_of(DM_STRING)};
    return t;
}

/* Behind CREATE TYPE: name AS ENUM ('a', 'b'); composite types and ranges become text. */
static enum dm_status create_type(struct dm_ddl_parser *p, struct dm_error *err)
{
    char *name = NULL;
    if (dm_ddl_read_table_name(p, &name, err) != DM_OK)
        return DM_FAIL;
    struct dm_ddl_named_type *t = add_type(p, name);
    (void)dm_ddl_accept(p, "as");
    enum dm_status status = DM_OK;
    if (dm_ddl_accept(p, "enum"))
        status = dm_ddl_read_strings(p, &t->allowed, err);
    else
        dm_ddl_note(p, "columns of type %s are kept as text", name);
    free(name);
    return status;
}

/* Behind CREATE DOMAIN: name [AS] type …; its checks are passed over. */
static enum dm_status create_domain(struct dm_ddl_parser *p, struct dm_error *err)
{
    char *name = NULL;
    struct dm_ddl_type type = {0};
    if (dm_ddl_read_table_name(p, &name, err) != DM_OK)
        return DM_FAIL;
    (void)dm_ddl_accept(p, "as");
    enum dm_status status = dm_ddl_read_type(p, name, &type, err);
    if (status == DM_OK) {
        struct dm_ddl_named_type *t = add_type(p, name);
        t->type = type.type;
        t->max_length = type.max_length;
        t->allowed = type.allowed;
        type.allowed = (struct dm_names){0};
    }
    dm_ddl_type_release(&type);
    free(name);
    return status;
}

static bool is_table_word(const struct dm_ddl_parser *p)
{
    static const char *const words[] = {"or",      "replace",  "temp",      "temporary", "local",
                                        "global",  "unlogged", "transient", "volatile",  "external",
                                        "foreign", "iceberg",  "hybrid",    "managed"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (dm_ddl_word(p, words[i]))
            return true;
    return false;
}

static enum dm_status create(struct dm_ddl_parser *p, struct dm_error *err)
{
    size_t line = p->token.line;
    while (is_table_word(p))
        dm_ddl_advance(p);
    if (dm_ddl_accept(p, "table"))
        return dm_ddl_create_table(p, err);
    if (dm_ddl_accept(p, "type"))
        return create_type(p, err);
    if (dm_ddl_accept(p, "domain"))
        return create_domain(p, err);
    dm_ddl_note(p, "CREATE %.*s is passed over (line %zu)", (int)(p->token.n < 40 ? p->token.n : 40),
                p->token.text, line);
    return DM_OK;
}

/* Behind COMMENT: ON TABLE name IS 'text', ON COLUMN table.column IS 'text'. */
static enum dm_status comment_on(struct dm_ddl_parser *p, struct dm_error *err)
{
    (void)dm_ddl_accept(p, "on");
    bool column = dm_ddl_word(p, "column");
    if (!column && !dm_ddl_word(p, "table"))
        return DM_OK;
    dm_ddl_advance(p);
    struct dm_names parts = {0};
    enum dm_status status = DM_OK;
    do {
        char *part = NULL;
        status = dm_ddl_read_name(p, "a name", &part, err);
        if (status == DM_OK)
            dm_names_add(&parts, part);
        free(part);
    } while (status == DM_OK && dm_ddl_accept_sign(p, '.'));
    size_t of_table = parts.n - (column && parts.n > 0);
    if (status == DM_OK && of_table > 0 && dm_ddl_accept(p, "is") && p->token.kind == DM_DDL_STRING) {
        char *table = of_table > 1
                          ? dm_xasprintf("%s.%s", parts.items[of_table - 2], parts.items[of_table - 1])
                          : dm_xstrdup(parts.items[0]);
        struct dm_relational_schema *s = dm_ddl_find_table(p, table);
        int at = s != NULL && column ? dm_ddl_find_column(s, parts.items[parts.n - 1]) : -1;
        char *text = dm_ddl_text(&p->token);
        if (s != NULL && (!column || at >= 0))
            dm_ddl_take_comment(s, at, text);
        free(text);
        free(table);
    }
    dm_names_release(&parts);
    return status;
}

/* COPY … FROM stdin; is followed by lines of data up to one that is "\." alone. */
static void copy_data(struct dm_ddl_parser *p)
{
    bool from_stdin = false;
    while (p->token.kind != DM_DDL_END && !dm_ddl_sign(p, ';')) {
        from_stdin = from_stdin || dm_ddl_word(p, "stdin");
        dm_ddl_advance(p);
    }
    if (!from_stdin || p->token.kind == DM_DDL_END)
        return;
    dm_ddl_skip_past_line(&p->lexer, "\\.");
    dm_ddl_advance(p);
}

static enum dm_status read_statement(struct dm_ddl_parser *p, struct dm_error *err)
{
    enum dm_status status = DM_OK;
    if (dm_ddl_accept(p, "create")) {
        status = create(p, err);
    } else if (dm_ddl_word(p, "alter") && (dm_ddl_advance(p), dm_ddl_accept(p, "table"))) {
        status = dm_ddl_alter_table(p, err);
    } else if (dm_ddl_accept(p, "comment")) {
        status = comment_on(p, err);
    } else if (dm_ddl_word(p, "copy")) {
        copy_data(p);
        return DM_OK;
    } else if (p->token.kind == DM_DDL_WORD && !dm_ddl_word(p, "set") && !dm_ddl_word(p, "use") &&
               !dm_ddl_word(p, "begin") && !dm_ddl_word(p, "commit") && !dm_ddl_word(p, "select")) {
        dm_ddl_note(p, "%.*s statements are passed over (line %zu)", (int)(p->token.n < 40 ? p->token.n : 40),
                    p->token.text, p->token.line);
    }
    if (status == DM_OK)
        skip_statement(p);
    return status;
}

/* ---- what the options say ---- */

static void apply_version(struct dm_ddl_parser *p, struct dm_relational_schema *s)
{
    int at = s->version == NULL && p->o->version != NULL ? dm_ddl_find_column(s, p->o->version) : -1;
    if (at < 0)
        return;
    s->version = dm_xstrdup(s->columns[at].name);
    if (!s->columns[at].required)
        dm_ddl_note(p, "%s: column %s is required, as it is the version", s->name, s->columns[at].name);
    s->columns[at].required = true;
}

static void apply_timestamp(struct dm_ddl_parser *p, struct dm_relational_schema *s)
{
    int at = s->timestamp == NULL && p->o->timestamp != NULL ? dm_ddl_find_column(s, p->o->timestamp) : -1;
    enum dm_type_id id = at >= 0 ? (enum dm_type_id)s->columns[at].type.id : DM_BOOL;
    if (id != DM_TIMESTAMP && id != DM_TIMESTAMPTZ && id != DM_TIMESTAMP_NS)
        return;
    s->timestamp = dm_xstrdup(s->columns[at].name);
    s->behavior = DM_BEHAVIOR_TIME_SERIES;
    s->columns[at].required = true;
}

/* Targets and their columns in the spelling of the tables that the text has. */
static void settle_targets(struct dm_ddl_parser *p, struct dm_relational_schema *s)
{
    char *namespace, *table;
    dm_relational_schema_split(s->name, &namespace, &table);
    for (size_t i = 0; i < s->n_relationships; i++) {
        struct dm_relationship *r = &s->relationships[i];
        char *near = strchr(r->target, '.') == NULL ? dm_xasprintf("%s.%s", namespace, r->target) : NULL;
        const struct dm_relational_schema *target = near != NULL ? dm_ddl_find_table(p, near) : NULL;
        if (target == NULL)
            target = dm_ddl_find_table(p, r->target);
        free(near);
        if (target == NULL)
            continue;
        free(r->target);
        r->target = dm_xstrdup(target->name);
        for (size_t k = 0; k < r->target_columns.n; k++) {
            int at = dm_ddl_find_column(target, r->target_columns.items[k]);
            if (at < 0)
                continue;
            free(r->target_columns.items[k]);
            r->target_columns.items[k] = dm_xstrdup(target->columns[at].name);
        }
    }
    free(namespace);
    free(table);
}

static void finish(struct dm_ddl_parser *p)
{
    for (size_t i = p->first; i < p->out->n; i++) {
        struct dm_relational_schema *s = p->out->items[i];
        apply_timestamp(p, s);
        apply_version(p, s);
        settle_targets(p, s);
        for (size_t k = 0; k < s->n_relationships; k++)
            s->relationships[k].cardinality =
                dm_relational_schema_cardinality(s, &s->relationships[k].columns);
    }
}

enum dm_status dm_schema_ddl_read(const char *text, size_t n, const struct dm_schema_read_options *o,
                                  struct dm_relational_schemas *out, struct dm_names *notes,
                                  struct dm_error *err)
{
    struct dm_ddl_parser p = {.o = o, .out = out, .first = out->n, .notes = notes, .dialect = o->dialect};
    if (p.dialect == DM_DIALECT_AUTO)
        p.dialect = dm_ddl_guess(text, n);
    if (p.dialect != o->dialect)
        dm_ddl_note(&p, "read as %s (--dialect says otherwise)", dm_ddl_dialect_name(p.dialect));
    bool backslash = p.dialect == DM_DIALECT_MYSQL || p.dialect == DM_DIALECT_DATABRICKS ||
                     p.dialect == DM_DIALECT_BIGQUERY;
    p.lexer = (struct dm_ddl_lexer){.text = text, .end = text + n, .line = 1, .backslash = backslash};
    enum dm_status status = DM_OK;
    dm_ddl_advance(&p);
    while (status == DM_OK && p.token.kind != DM_DDL_END)
        if (!dm_ddl_accept_sign(&p, ';'))
            status = read_statement(&p, err);
    if (status == DM_OK && out->n == p.first)
        status = dm_ddl_fail(&p, 1, err, "for example CREATE TABLE orders (order_id int PRIMARY KEY, …)",
                             "there is no CREATE TABLE with columns in it");
    if (status == DM_OK)
        finish(&p);
    for (size_t i = 0; i < p.n_types; i++) {
        free(p.types[i].name);
        dm_names_release(&p.types[i].allowed);
    }
    free(p.types);
    return status;
}
