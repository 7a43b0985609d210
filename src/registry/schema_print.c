#include "registry/schema_print.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "registry/type_words.h"

/* An output that remembers its first failure, so that the printing reads like printing. */
struct output {
    struct dm_buffer *b;
    struct dm_error *err;
    enum dm_status status;
    enum dm_ddl_dialect dialect;
};

static void put(struct output *o, const char *fmt, ...) DM_PRINTF(2, 3);
static void put(struct output *o, const char *fmt, ...)
{
    char *text = NULL;
    va_list args;
    va_start(args, fmt);
    int n = vasprintf(&text, fmt, args);
    va_end(args);
    if (o->status == DM_OK)
        o->status = n < 0 ? dm_fail_memory(o->err, 0) : dm_buffer_append(o->b, text, (size_t)n, o->err);
    if (n >= 0)
        free(text);
}

/* ---- DDL ---- */

static bool back_quotes(const struct output *o)
{
    return o->dialect == DM_DIALECT_MYSQL || o->dialect == DM_DIALECT_DATABRICKS ||
           o->dialect == DM_DIALECT_BIGQUERY;
}

static void put_quoted(struct output *o, const char *text, char quote, bool backslash)
{
    put(o, "%c", quote);
    for (; *text != '\0'; text++) {
        if (*text == quote)
            put(o, "%c", backslash ? '\\' : quote);
        else if (*text == '\\' && backslash)
            put(o, "\\");
        put(o, "%c", *text);
    }
    put(o, "%c", quote);
}

/* Plain when every dialect takes it unquoted: lower case, and not likely a reserved word. */
static bool is_plain(const char *name)
{
    static const char *const reserved[] = {
        "all",        "and",    "as",           "asc",          "between",
        "by",         "case",   "check",        "column",       "constraint",
        "create",     "cross",  "current_date", "current_time", "current_timestamp",
        "default",    "delete", "desc",         "distinct",     "drop",
        "else",       "end",    "except",       "exists",       "false",
        "fetch",      "for",    "foreign",      "from",         "full",
        "grant",      "group",  "having",       "in",           "index",
        "inner",      "insert", "interval",     "into",         "is",
        "join",       "key",    "left",         "like",         "limit",
        "natural",    "not",    "null",         "offset",       "on",
        "or",         "order",  "outer",        "primary",      "range",
        "references", "right",  "row",          "rows",         "select",
        "set",        "some",   "table",        "then",         "to",
        "true",       "union",  "unique",       "update",       "user",
        "using",      "values", "when",         "where",        "window",
        "with",       "end",    "rank",         "groups",       "system",
        "at",         "period", "like",         "constraint"};
    if (!((name[0] >= 'a' && name[0] <= 'z') || name[0] == '_'))
        return false;
    for (const char *c = name; *c != '\0'; c++)
        if (!((*c >= 'a' && *c <= 'z') || (*c >= '0' && *c <= '9') || *c == '_'))
            return false;
    for (size_t i = 0; i < sizeof reserved / sizeof *reserved; i++)
        if (strcmp(reserved[i], name) == 0)
            return false;
    return true;
}

static void put_name(struct output *o, const char *name)
{
    if (is_plain(name))
        put(o, "%s", name);
    else
        put_quoted(o, name, back_quotes(o) ? '`' : '"', false);
}

static void put_table(struct output *o, const char *name)
{
    char *namespace, *table;
    dm_relational_schema_split(name, &namespace, &table);
    put_name(o, namespace);
    put(o, ".");
    put_name(o, table);
    free(namespace);
    free(table);
}

static void put_names(struct output *o, const struct dm_names *names)
{
    put(o, "(");
    for (size_t i = 0; i < names->n; i++) {
        if (i > 0)
            put(o, ", ");
        put_name(o, names->items[i]);
    }
    put(o, ")");
}

/* What goes into a column's comment: its description, and what DDL has no word for. malloc'ed; NULL: nothing. */
static char *column_comment(const struct dm_relational_schema *s, const struct dm_relational_column *c)
{
    bool version = s->version != NULL && strcmp(s->version, c->name) == 0;
    bool timestamp = s->timestamp != NULL && strcmp(s->timestamp, c->name) == 0;
    if (c->description == NULL && !version && !timestamp)
        return NULL;
    const char *role = version ? "datamirror:version" : timestamp ? "datamirror:timestamp" : "";
    return dm_xasprintf("%s%s%s", c->description != NULL ? c->description : "",
                        c->description != NULL && role[0] != '\0' ? " " : "", role);
}

static void put_comment(struct output *o, const char *comment)
{
    bool backslash = back_quotes(o);
    if (o->dialect == DM_DIALECT_BIGQUERY) {
        put(o, " OPTIONS(description=");
        put_quoted(o, comment, '\'', backslash);
        put(o, ")");
        return;
    }
    put(o, " COMMENT ");
    put_quoted(o, comment, '\'', backslash);
}

/* MySQL's key columns and enums need types of their own kind. */
static void put_type(struct output *o, const struct dm_relational_schema *s,
                     const struct dm_relational_column *c)
{
    char type[80];
    uint32_t length = c->max_length;
    if (c->allowed.n > 0 && o->dialect == DM_DIALECT_MYSQL) {
        put(o, "enum(");
        for (size_t i = 0; i < c->allowed.n; i++) {
            if (i > 0)
                put(o, ", ");
            put_quoted(o, c->allowed.items[i], '\'', true);
        }
        put(o, ")");
        return;
    }
    if (o->dialect == DM_DIALECT_MYSQL && length == 0 && dm_names_find(&s->key, c->name) >= 0)
        length = 255; /* a text column cannot be indexed as a whole */
    put(o, "%s", dm_type_words_ddl(c->type, length, o->dialect, type, sizeof type));
}

static void put_check(struct output *o, const struct dm_relational_column *c)
{
    bool supported = o->dialect == DM_DIALECT_POSTGRES;
    if (c->allowed.n == 0 || !supported)
        return;
    put(o, " CHECK (");
    put_name(o, c->name);
    put(o, " IN (");
    for (size_t i = 0; i < c->allowed.n; i++) {
        if (i > 0)
            put(o, ", ");
        put_quoted(o, c->allowed.items[i], '\'', false);
    }
    put(o, "))");
}

static void put_column(struct output *o, const struct dm_relational_schema *s,
                       const struct dm_relational_column *c)
{
    put(o, "    ");
    put_name(o, c->name);
    put(o, " ");
    put_type(o, s, c);
    if (c->required)
        put(o, " NOT NULL");
    put_check(o, c);
    char *comment = column_comment(s, c);
    if (comment != NULL && o->dialect != DM_DIALECT_POSTGRES)
        put_comment(o, comment);
    free(comment);
}

static void put_constraints(struct output *o, const struct dm_relational_schema *s)
{
    const char *not_enforced = o->dialect == DM_DIALECT_BIGQUERY ? " NOT ENFORCED" : "";
    if (s->key.n > 0) {
        put(o, ",\n    PRIMARY KEY ");
        put_names(o, &s->key);
        put(o, "%s", not_enforced);
    }
    for (size_t i = 0; i < s->n_relationships; i++) {
        const struct dm_relationship *r = &s->relationships[i];
        put(o, ",\n    ");
        if (r->name != NULL && is_plain(r->name)) { /* one that was not made of columns and target */
            put(o, "CONSTRAINT ");
            put_name(o, r->name);
            put(o, " ");
        }
        put(o, "FOREIGN KEY ");
        put_names(o, &r->columns);
        put(o, " REFERENCES ");
        put_table(o, r->target);
        if (r->target_columns.n > 0) {
            put(o, " ");
            put_names(o, &r->target_columns);
        }
        put(o, "%s", not_enforced);
    }
}

static void put_postgres_comments(struct output *o, const struct dm_relational_schema *s)
{
    if (s->description != NULL) {
        put(o, "COMMENT ON TABLE ");
        put_table(o, s->name);
        put(o, " IS ");
        put_quoted(o, s->description, '\'', false);
        put(o, ";\n");
    }
    for (size_t i = 0; i < s->n_columns; i++) {
        char *comment = column_comment(s, &s->columns[i]);
        if (comment == NULL)
            continue;
        put(o, "COMMENT ON COLUMN ");
        put_table(o, s->name);
        put(o, ".");
        put_name(o, s->columns[i].name);
        put(o, " IS ");
        put_quoted(o, comment, '\'', false);
        put(o, ";\n");
        free(comment);
    }
}

static void put_table_comment(struct output *o, const struct dm_relational_schema *s)
{
    if (s->description == NULL || o->dialect == DM_DIALECT_POSTGRES)
        return;
    if (o->dialect == DM_DIALECT_MYSQL || o->dialect == DM_DIALECT_SNOWFLAKE) {
        put(o, " COMMENT=");
        put_quoted(o, s->description, '\'', o->dialect == DM_DIALECT_MYSQL);
    } else {
        put(o, "\n");
        put_comment(o, s->description);
    }
}

enum dm_status dm_schema_print_ddl(const struct dm_relational_schema *s, enum dm_ddl_dialect dialect,
                                   struct dm_buffer *out, struct dm_error *err)
{
    struct output o = {
        .b = out, .err = err, .dialect = dialect == DM_DIALECT_AUTO ? DM_DIALECT_POSTGRES : dialect};
    put(&o, "CREATE TABLE ");
    put_table(&o, s->name);
    put(&o, " (\n");
    for (size_t i = 0; i < s->n_columns; i++) {
        if (i > 0)
            put(&o, ",\n");
        put_column(&o, s, &s->columns[i]);
    }
    put_constraints(&o, s);
    put(&o, "\n)");
    put_table_comment(&o, s);
    put(&o, ";\n");
    if (o.dialect == DM_DIALECT_POSTGRES)
        put_postgres_comments(&o, s);
    return o.status;
}

/* ---- Mermaid ---- */

/* Mermaid's attribute words have no spaces, and of signs - _ ( ) [ ] only. */
static void put_word(struct output *o, const char *text)
{
    for (; *text != '\0'; text++) {
        bool fine = (*text >= 'a' && *text <= 'z') || (*text >= 'A' && *text <= 'Z') ||
                    (*text >= '0' && *text <= '9') || strchr("_-()[]", *text) != NULL ||
                    (unsigned char)*text >= 0x80;
        put(o, "%c", fine ? *text : '_');
    }
}

static void put_type_word(struct output *o, struct dm_type type)
{
    char text[48];
    struct dm_type scalar = type.id == DM_LIST ? dm_type_element(type) : type;
    if (scalar.id == DM_DECIMAL)
        put(o, "decimal(%u_%u)", scalar.precision, scalar.scale);
    else
        put_word(o, dm_type_words_yaml(scalar, text, sizeof text));
    if (type.id == DM_LIST)
        put(o, "[]");
}

/* In quotes; what is inside may not be a quote. */
static void put_label(struct output *o, const char *text)
{
    put(o, "\"");
    for (; *text != '\0'; text++)
        put(o, "%c", *text == '"' || *text == '\n' ? '\'' : *text);
    put(o, "\"");
}

static void put_entity(struct output *o, const struct dm_relational_schema *s)
{
    put(o, "    ");
    put_label(o, s->name);
    put(o, " {\n");
    for (size_t i = 0; i < s->n_columns; i++) {
        const struct dm_relational_column *c = &s->columns[i];
        bool key = dm_names_find(&s->key, c->name) >= 0, foreign = false;
        for (size_t k = 0; k < s->n_relationships; k++)
            foreign = foreign || dm_names_find(&s->relationships[k].columns, c->name) >= 0;
        put(o, "        ");
        put_type_word(o, c->type);
        put(o, " ");
        put_word(o, c->name);
        put(o, "%s", key && foreign ? " PK, FK" : key ? " PK" : foreign ? " FK" : "");
        if (s->version != NULL && strcmp(s->version, c->name) == 0)
            put(o, " \"version\"");
        else if (s->timestamp != NULL && strcmp(s->timestamp, c->name) == 0)
            put(o, " \"timestamp\"");
        else if (!c->required)
            put(o, " \"optional\"");
        put(o, "\n");
    }
    put(o, "    }\n");
}

/* From the child's side: how many children a parent has, and whether a child must have one. */
static const char *arrow(enum dm_cardinality c)
{
    switch (c) {
    case DM_ONE_TO_ONE: return "|o--||";
    case DM_ONE_TO_ZERO: return "|o--o|";
    case DM_MANY_TO_ONE: return "}o--||";
    case DM_MANY_TO_ZERO: return "}o--o|";
    }
    return "}o--||";
}

enum dm_status dm_schemas_print_mermaid(const struct dm_relational_schemas *list, struct dm_buffer *out,
                                        struct dm_error *err)
{
    struct output o = {.b = out, .err = err};
    put(&o, "erDiagram\n");
    for (size_t i = 0; i < list->n; i++)
        put_entity(&o, list->items[i]);
    for (size_t i = 0; i < list->n; i++) {
        const struct dm_relational_schema *s = list->items[i];
        for (size_t k = 0; k < s->n_relationships; k++) {
            const struct dm_relationship *r = &s->relationships[k];
            if (dm_relational_schemas_find(list, r->target) == NULL)
                continue;
            put(&o, "    ");
            put_label(&o, s->name);
            put(&o, " %s ", arrow(r->cardinality));
            put_label(&o, r->target);
            put(&o, " : ");
            put_label(&o, r->forward_name != NULL ? r->forward_name : r->name != NULL ? r->name : "");
            put(&o, "\n");
        }
    }
    return o.status;
}
