/* CREATE TABLE and the constraints that ALTER TABLE adds: columns, keys, foreign keys, comments. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/memory.h"
#include "registry/ddl_parser.h"

/* ---- looking up ---- */

int dm_ddl_find_column(const struct dm_relational_schema *s, const char *name)
{
    int at = dm_relational_schema_find(s, name);
    for (size_t i = 0; i < s->n_columns && at < 0; i++)
        if (strcasecmp(s->columns[i].name, name) == 0)
            at = (int)i;
    return at;
}

static char *full_name(const struct dm_ddl_parser *p, const char *table)
{
    if (strchr(table, '.') != NULL)
        return dm_xstrdup(table);
    return dm_xasprintf("%s.%s", p->o->namespace != NULL ? p->o->namespace : "default", table);
}

struct dm_relational_schema *dm_ddl_find_table(const struct dm_ddl_parser *p, const char *name)
{
    char *full = full_name(p, name);
    struct dm_relational_schema *found = NULL;
    for (size_t i = p->first; i < p->out->n && found == NULL; i++)
        if (strcasecmp(p->out->items[i]->name, full) == 0)
            found = p->out->items[i];
    free(full);
    return found;
}

/* ---- comments ---- */

static bool is_word_end(char c)
{
    return c == '\0' || c == ' ' || c == ',' || c == ';' || c == '\n';
}

static void take_annotation(struct dm_relational_schema *s, int column, const char *word, size_t n)
{
    char *text = dm_xstrndup(word, n);
    char *value = strchr(text, '=');
    if (value != NULL)
        *value++ = '\0';
    const char *name = value != NULL ? value : column >= 0 ? s->columns[column].name : NULL;
    char **role = strcmp(text, "version") == 0     ? &s->version
                  : strcmp(text, "timestamp") == 0 ? &s->timestamp
                                                   : NULL;
    if (role != NULL && name != NULL) {
        int at = dm_ddl_find_column(s, name);
        free(*role);
        *role = dm_xstrdup(at >= 0 ? s->columns[at].name : name);
        if (role == &s->timestamp)
            s->behavior = DM_BEHAVIOR_TIME_SERIES;
        if (at >= 0)
            s->columns[at].required = true;
    } else if (strcmp(text, "time-series") == 0) {
        s->behavior = DM_BEHAVIOR_TIME_SERIES;
    } else if (strcmp(text, "renamed_from") == 0 && value != NULL && column >= 0) {
        free(s->columns[column].renamed_from);
        s->columns[column].renamed_from = dm_xstrdup(value);
    }
    free(text);
}

void dm_ddl_take_comment(struct dm_relational_schema *s, int column, const char *comment)
{
    static const char mark[] = "datamirror:";
    char *rest = dm_xalloc(strlen(comment) + 1);
    size_t n = 0;
    for (const char *c = comment; *c != '\0';) {
        if (strncmp(c, mark, sizeof mark - 1) != 0) {
            rest[n++] = *c++;
            continue;
        }
        c += sizeof mark - 1;
        size_t length = 0;
        while (!is_word_end(c[length]))
            length++;
        take_annotation(s, column, c, length);
        c += length;
        while (*c != '\0' && is_word_end(*c))
            c++;
    }
    while (n > 0 && is_word_end(rest[n - 1]))
        n--;
    rest[n] = '\0';
    char **description = column >= 0 ? &s->columns[column].description : &s->description;
    if (n > 0) {
        free(*description);
        *description = dm_xstrdup(rest);
    }
    free(rest);
}

static bool is_text(const struct dm_ddl_parser *p)
{
    return p->token.kind == DM_DDL_STRING || (p->token.kind == DM_DDL_QUOTED && p->token.sign == '"');
}

/* COMMENT [=] 'text', the present word being COMMENT. */
static void read_comment(struct dm_ddl_parser *p, struct dm_relational_schema *s, int column)
{
    dm_ddl_advance(p);
    (void)dm_ddl_accept_sign(p, '=');
    if (!is_text(p))
        return;
    char *text = dm_ddl_text(&p->token);
    dm_ddl_take_comment(s, column, text);
    free(text);
    dm_ddl_advance(p);
}

/* OPTIONS(description = "…", …), the present word being OPTIONS. */
static void read_options(struct dm_ddl_parser *p, struct dm_relational_schema *s, int column)
{
    size_t depth = 0;
    dm_ddl_advance(p);
    while (p->token.kind != DM_DDL_END && !dm_ddl_sign(p, ';')) {
        if (dm_ddl_sign(p, '('))
            depth++;
        else if (dm_ddl_sign(p, ')'))
            depth -= depth > 0;
        else if (dm_ddl_word(p, "description") && depth == 1) {
            read_comment(p, s, column);
            continue;
        }
        if (depth == 0) {
            (void)dm_ddl_accept_sign(p, ')');
            return;
        }
        dm_ddl_advance(p);
    }
}

/* ---- keys ---- */

/* To the end of an element of a list: a comma or the closing parenthesis. */
static void skip_element(struct dm_ddl_parser *p)
{
    while (p->token.kind != DM_DDL_END && !dm_ddl_sign(p, ',') && !dm_ddl_sign(p, ')') &&
           !dm_ddl_sign(p, ';'))
        if (dm_ddl_sign(p, '('))
            dm_ddl_skip_group(p);
        else
            dm_ddl_advance(p);
}

/* (a, b(10) DESC): names of columns; sizes and directions are passed over. */
static enum dm_status read_columns(struct dm_ddl_parser *p, struct dm_names *out, struct dm_error *err)
{
    if (!dm_ddl_accept_sign(p, '('))
        return dm_ddl_fail(p, p->token.line, err, NULL, "a list of columns in parentheses is expected");
    for (;;) {
        char *name = NULL;
        if (dm_ddl_read_name(p, "a column", &name, err) != DM_OK)
            return DM_FAIL;
        dm_names_add(out, name);
        free(name);
        skip_element(p);
        if (dm_ddl_accept_sign(p, ')'))
            return DM_OK;
        if (!dm_ddl_accept_sign(p, ','))
            return dm_ddl_fail(p, p->token.line, err, NULL, "the list of columns is not closed");
    }
}

static enum dm_status set_key(struct dm_ddl_parser *p, struct dm_relational_schema *s,
                              struct dm_names *take_columns, size_t line, struct dm_error *err)
{
    enum dm_status status = DM_OK;
    if (s->key.n > 0)
        status = dm_ddl_fail(p, line, err, "keep one of the two", "table %s has two primary keys", s->name);
    for (size_t i = 0; i < take_columns->n && status == DM_OK; i++)
        dm_names_add(&s->key, take_columns->items[i]);
    dm_names_release(take_columns);
    return status;
}

/* Behind REFERENCES: table [(columns)]; the actions that follow are passed over by the caller. */
static enum dm_status read_references(struct dm_ddl_parser *p, struct dm_relational_schema *s,
                                      const struct dm_names *columns, const char *name, struct dm_error *err)
{
    char *target = NULL;
    size_t line = p->token.line;
    if (dm_ddl_read_table_name(p, &target, err) != DM_OK)
        return DM_FAIL;
    struct dm_relationship *r = dm_relational_schema_relate(s, target);
    free(target);
    r->line = line;
    for (size_t i = 0; i < columns->n; i++)
        dm_names_add(&r->columns, columns->items[i]);
    for (size_t i = 0; name != NULL && i < s->n_relationships; i++)
        if (s->relationships[i].name != NULL && strcmp(s->relationships[i].name, name) == 0)
            name = NULL; /* constraint names need not be unique everywhere */
    r->name = dm_xstrdup(name);
    return dm_ddl_sign(p, '(') ? read_columns(p, &r->target_columns, err) : DM_OK;
}

/* At PRIMARY, FOREIGN, UNIQUE, CHECK … of a table (behind CONSTRAINT name). */
static enum dm_status read_table_constraint(struct dm_ddl_parser *p, struct dm_relational_schema *s,
                                            const char *name, struct dm_error *err)
{
    struct dm_names columns = {0};
    size_t line = p->token.line;
    enum dm_status status = DM_OK;
    if (dm_ddl_accept(p, "primary")) {
        (void)dm_ddl_accept(p, "key");
        while (p->token.kind == DM_DDL_WORD) /* CLUSTERED, USING BTREE, an index name */
            dm_ddl_advance(p);
        status = read_columns(p, &columns, err);
        if (status == DM_OK)
            status = set_key(p, s, &columns, line, err);
    } else if (dm_ddl_accept(p, "foreign")) {
        (void)dm_ddl_accept(p, "key");
        if (!dm_ddl_sign(p, '(') && dm_ddl_is_name(p)) /* MySQL: the name of the index */
            dm_ddl_advance(p);
        status = read_columns(p, &columns, err);
        if (status == DM_OK && !dm_ddl_accept(p, "references"))
            status = dm_ddl_fail(p, line, err, NULL, "the foreign key has no REFERENCES");
        if (status == DM_OK)
            status = read_references(p, s, &columns, name, err);
    }
    dm_names_release(&columns);
    if (status == DM_OK)
        skip_element(p);
    return status;
}

/* ---- columns ---- */

static enum dm_status column_reference(struct dm_ddl_parser *p, struct dm_relational_schema *s, size_t column,
                                       struct dm_error *err)
{
    struct dm_names columns = {0};
    dm_names_add(&columns, s->columns[column].name);
    enum dm_status status = read_references(p, s, &columns, NULL, err);
    dm_names_release(&columns);
    return status;
}

/* CHECK (status IN ('A', 'B')) says what an enum says. The present token is the parenthesis; what follows is passed over by the caller if this is
 * anything else. */
static void read_check(const struct dm_ddl_parser *p, struct dm_relational_column *c)
{
    struct dm_ddl_parser ahead = *p; /* a look ahead: nothing of it stays */
    struct dm_names values = {0};
    struct dm_error ignored = {0};
    char *name = NULL;
    ahead.notes = NULL;
    dm_ddl_advance(&ahead);
    bool same = dm_ddl_is_name(&ahead) && dm_ddl_read_name(&ahead, "a column", &name, &ignored) == DM_OK &&
                strcasecmp(name, c->name) == 0;
    if (same && dm_ddl_accept(&ahead, "in") && dm_ddl_read_strings(&ahead, &values, &ignored) == DM_OK &&
        dm_ddl_sign(&ahead, ')') && c->type.id == DM_STRING && c->allowed.n == 0) {
        c->allowed = values;
        values = (struct dm_names){0};
    }
    dm_names_release(&values);
    free(name);
}

/* One constraint or property behind the type; what is not known is passed over word by word. */
static enum dm_status read_property(struct dm_ddl_parser *p, struct dm_relational_schema *s, size_t column,
                                    struct dm_error *err)
{
    size_t line = p->token.line;
    struct dm_ddl_token next = dm_ddl_peek(p);
    if (dm_ddl_word(p, "not") && dm_ddl_is(&next, "null")) {
        dm_ddl_advance(p);
        dm_ddl_advance(p);
        s->columns[column].required = true;
    } else if (dm_ddl_word(p, "primary") && dm_ddl_is(&next, "key")) {
        struct dm_names columns = {0};
        dm_ddl_advance(p);
        dm_ddl_advance(p);
        dm_names_add(&columns, s->columns[column].name);
        return set_key(p, s, &columns, line, err);
    } else if (dm_ddl_accept(p, "references")) {
        return column_reference(p, s, column, err);
    } else if (dm_ddl_word(p, "foreign") &&
               dm_ddl_is(&next, "key")) { /* Snowflake: FOREIGN KEY REFERENCES … */
        dm_ddl_advance(p);
        dm_ddl_advance(p);
    } else if (dm_ddl_word(p, "comment")) {
        read_comment(p, s, (int)column);
    } else if (dm_ddl_word(p, "options")) {
        read_options(p, s, (int)column);
    } else if (dm_ddl_accept(p, "constraint")) {
        if (dm_ddl_is_name(p))
            dm_ddl_advance(p);
    } else if (dm_ddl_accept(p, "default")) {
        if (dm_ddl_sign(p, '('))
            dm_ddl_skip_group(p);
        else
            dm_ddl_advance(p);
    } else if (dm_ddl_word(p, "check") && next.kind == DM_DDL_SIGN && next.sign == '(') {
        dm_ddl_advance(p);
        read_check(p, &s->columns[column]);
        dm_ddl_skip_group(p);
    } else if (dm_ddl_sign(p, '(')) {
        dm_ddl_skip_group(p);
    } else {
        dm_ddl_advance(p);
    }
    return DM_OK;
}

static enum dm_status read_column(struct dm_ddl_parser *p, struct dm_relational_schema *s,
                                  struct dm_error *err)
{
    char *name = NULL;
    size_t line = p->token.line;
    if (dm_ddl_read_name(p, "a column's name", &name, err) != DM_OK)
        return DM_FAIL;
    struct dm_ddl_type type = {0};
    enum dm_status status = DM_OK;
    if (s->n_columns >= DM_SCHEMA_COLUMNS_MAX)
        status = dm_ddl_fail(p, line, err, NULL, "table %s has more than %d columns", s->name,
                             DM_SCHEMA_COLUMNS_MAX);
    if (status == DM_OK)
        status = dm_ddl_read_type(p, name, &type, err);
    size_t column = s->n_columns;
    if (status == DM_OK) {
        struct dm_relational_column *c = dm_relational_schema_add(s, name, type.type);
        c->line = line;
        c->max_length = type.max_length;
        c->allowed = type.allowed;
        type.allowed = (struct dm_names){0};
    }
    dm_ddl_type_release(&type);
    free(name);
    while (status == DM_OK && p->token.kind != DM_DDL_END && !dm_ddl_sign(p, ',') && !dm_ddl_sign(p, ')') &&
           !dm_ddl_sign(p, ';'))
        status = read_property(p, s, column, err);
    return status;
}

/* KEY name (a, b) of MySQL is no column, but `key STRING(10)` is one. */
static bool is_index(const struct dm_ddl_parser *p)
{
    if (!dm_ddl_word(p, "key") && !dm_ddl_word(p, "index") && !dm_ddl_word(p, "fulltext") &&
        !dm_ddl_word(p, "spatial"))
        return false;
    struct dm_ddl_lexer ahead = p->lexer;
    struct dm_ddl_token t = dm_ddl_next(&ahead);
    if (dm_ddl_is(&t, "key") || dm_ddl_is(&t, "index"))
        return true;
    if (t.kind == DM_DDL_SIGN)
        return t.sign == '(';
    for (int i = 0; i < 3 && (t.kind == DM_DDL_WORD || t.kind == DM_DDL_QUOTED); i++) /* name [USING BTREE] */
        t = dm_ddl_next(&ahead);
    if (t.kind != DM_DDL_SIGN || t.sign != '(')
        return false;
    t = dm_ddl_next(&ahead);
    return t.kind != DM_DDL_NUMBER;
}

static bool is_constraint(const struct dm_ddl_parser *p)
{
    struct dm_ddl_token next = dm_ddl_peek(p);
    bool group = next.kind == DM_DDL_SIGN && next.sign == '(';
    return ((dm_ddl_word(p, "primary") || dm_ddl_word(p, "foreign")) && dm_ddl_is(&next, "key")) ||
           (dm_ddl_word(p, "unique") && (group || next.kind == DM_DDL_WORD || next.kind == DM_DDL_QUOTED)) ||
           ((dm_ddl_word(p, "check") || dm_ddl_word(p, "exclude")) && (group || dm_ddl_is(&next, "using")));
}

static enum dm_status read_element(struct dm_ddl_parser *p, struct dm_relational_schema *s,
                                   struct dm_error *err)
{
    struct dm_ddl_token next = dm_ddl_peek(p);
    if (is_index(p)) {
        skip_element(p);
        return DM_OK;
    }
    if (dm_ddl_word(p, "like") || (dm_ddl_word(p, "period") && dm_ddl_is(&next, "for"))) {
        dm_ddl_note(p, "%s: %.*s in the table's body is passed over", s->name, (int)p->token.n,
                    p->token.text);
        skip_element(p);
        return DM_OK;
    }
    if (dm_ddl_word(p, "constraint")) {
        char *name = NULL;
        dm_ddl_advance(p);
        if (!is_constraint(p) && dm_ddl_read_name(p, "a constraint's name", &name, err) != DM_OK)
            return DM_FAIL;
        enum dm_status status = read_table_constraint(p, s, name, err);
        free(name);
        return status;
    }
    return is_constraint(p) ? read_table_constraint(p, s, NULL, err) : read_column(p, s, err);
}

static enum dm_status read_body(struct dm_ddl_parser *p, struct dm_relational_schema *s, struct dm_error *err)
{
    while (!dm_ddl_accept_sign(p, ')')) {
        if (p->token.kind == DM_DDL_END || dm_ddl_sign(p, ';'))
            return dm_ddl_fail(p, p->token.line, err, "is a ) missing?", "the body of table %s is not closed",
                               s->name);
        if (dm_ddl_accept_sign(p, ','))
            continue; /* also a trailing one, which Snowflake and BigQuery allow */
        if (read_element(p, s, err) != DM_OK)
            return DM_FAIL;
    }
    return DM_OK;
}

/* Behind the body: COMMENT and OPTIONS say something, the rest is how the table is stored there. */
static void read_table_options(struct dm_ddl_parser *p, struct dm_relational_schema *s)
{
    while (p->token.kind != DM_DDL_END && !dm_ddl_sign(p, ';')) {
        if (dm_ddl_word(p, "comment"))
            read_comment(p, s, -1);
        else if (dm_ddl_word(p, "options"))
            read_options(p, s, -1);
        else if (dm_ddl_word(p, "inherits")) {
            dm_ddl_note(p, "%s: INHERITS is passed over: write the inherited columns into the table",
                        s->name);
            dm_ddl_advance(p);
        } else if (dm_ddl_sign(p, '('))
            dm_ddl_skip_group(p);
        else
            dm_ddl_advance(p);
    }
}

/* Keys and foreign keys in the spelling of the columns; key columns are never null. */
static void settle(struct dm_relational_schema *s)
{
    for (size_t i = 0; i < s->key.n; i++) {
        int at = dm_ddl_find_column(s, s->key.items[i]);
        if (at < 0)
            continue;
        s->columns[at].required = true;
        free(s->key.items[i]);
        s->key.items[i] = dm_xstrdup(s->columns[at].name);
    }
    for (size_t k = 0; k < s->n_relationships; k++)
        for (size_t i = 0; i < s->relationships[k].columns.n; i++) {
            char **name = &s->relationships[k].columns.items[i];
            int at = dm_ddl_find_column(s, *name);
            if (at < 0)
                continue;
            free(*name);
            *name = dm_xstrdup(s->columns[at].name);
        }
}

enum dm_status dm_ddl_create_table(struct dm_ddl_parser *p, struct dm_error *err)
{
    size_t line = p->token.line;
    char *table = NULL;
    if (dm_ddl_accept(p, "if")) {
        (void)dm_ddl_accept(p, "not");
        (void)dm_ddl_accept(p, "exists");
    }
    if (dm_ddl_read_table_name(p, &table, err) != DM_OK)
        return DM_FAIL;
    if (dm_ddl_accept(p, "cluster")) { /* Snowflake's GET_DDL puts it in front of the body */
        (void)dm_ddl_accept(p, "by");
        if (dm_ddl_sign(p, '('))
            dm_ddl_skip_group(p);
    }
    if (!dm_ddl_accept_sign(p, '(')) {
        dm_ddl_note(
            p, "line %zu: table %s is passed over: it has no list of columns (AS, LIKE, CLONE, PARTITION OF)",
            line, table);
        free(table);
        return DM_OK;
    }
    char *name = full_name(p, table);
    free(table);
    struct dm_relational_schema *s = dm_relational_schema_new(name);
    free(name);
    s->file = dm_xstrdup(p->o->file);
    s->line = line;
    s->partial = true;
    enum dm_status status = read_body(p, s, err);
    if (status == DM_OK && p->out->n - p->first >= DM_SCHEMAS_MAX)
        status = dm_ddl_fail(p, line, err, "split it", "more than %d tables", DM_SCHEMAS_MAX);
    if (status != DM_OK) {
        dm_relational_schema_free(s);
        return status;
    }
    read_table_options(p, s);
    settle(s);
    dm_relational_schemas_add(p->out, s);
    return DM_OK;
}

enum dm_status dm_ddl_alter_table(struct dm_ddl_parser *p, struct dm_error *err)
{
    size_t line = p->token.line;
    char *table = NULL, *name = NULL;
    if (dm_ddl_accept(p, "if"))
        (void)dm_ddl_accept(p, "exists");
    (void)dm_ddl_accept(p, "only");
    if (dm_ddl_read_table_name(p, &table, err) != DM_OK)
        return DM_FAIL;
    struct dm_relational_schema *s = dm_ddl_find_table(p, table);
    free(table);
    enum dm_status status = DM_OK;
    while (s != NULL && status == DM_OK && dm_ddl_accept(p, "add")) {
        if (dm_ddl_accept(p, "constraint") && !is_constraint(p))
            status = dm_ddl_read_name(p, "a constraint's name", &name, err);
        if (status == DM_OK && is_constraint(p))
            status = read_table_constraint(p, s, name, err);
        else if (status == DM_OK)
            break;
        free(name);
        name = NULL;
        settle(s);
        if (!dm_ddl_accept_sign(p, ','))
            return status;
    }
    free(name);
    if (status == DM_OK && s != NULL)
        dm_ddl_note(p, "line %zu: ALTER TABLE %s is passed over, except for the keys that it adds", line,
                    s->name);
    return status;
}
