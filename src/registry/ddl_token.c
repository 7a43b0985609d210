#include "registry/ddl_token.h"

#include <ctype.h>
#include <string.h>

#include "base/memory.h"

static bool at_end(const struct dm_ddl_lexer *l)
{
    return l->text >= l->end;
}

/* The character `ahead` of the present one; NUL behind the end. */
static char look(const struct dm_ddl_lexer *l, size_t ahead)
{
    return (size_t)(l->end - l->text) > ahead ? l->text[ahead] : '\0';
}

static void step(struct dm_ddl_lexer *l)
{
    l->line += *l->text == '\n';
    l->text++;
}

static void skip_line(struct dm_ddl_lexer *l)
{
    while (!at_end(l) && *l->text != '\n')
        l->text++;
}

/* Block comments nest in PostgreSQL; elsewhere a second opening inside one is rare enough to be read the same way. */
static void skip_block(struct dm_ddl_lexer *l)
{
    size_t depth = 0;
    do {
        if (look(l, 0) == '/' && look(l, 1) == '*') {
            depth++;
            l->text += 2;
        } else if (look(l, 0) == '*' && look(l, 1) == '/') {
            depth--;
            l->text += 2;
        } else {
            step(l);
        }
    } while (depth > 0 && !at_end(l));
}

static void skip_blank(struct dm_ddl_lexer *l, bool *line_start)
{
    while (!at_end(l)) {
        char c = *l->text;
        if (c == '\n')
            *line_start = true;
        if (isspace((unsigned char)c))
            step(l);
        else if (c == '-' && look(l, 1) == '-')
            skip_line(l);
        else if (c == '#' || (c == '\\' && *line_start)) /* MySQL's comments; psql's commands */
            skip_line(l);
        else if (c == '/' && look(l, 1) == '*')
            skip_block(l);
        else
            return;
    }
}

/* A string or quoted name; the lexer stands at the opening quote. */
static struct dm_ddl_token quoted(struct dm_ddl_lexer *l, char close, bool string, bool escapes)
{
    struct dm_ddl_token t = {.kind = string ? DM_DDL_STRING : DM_DDL_QUOTED,
                             .sign = *l->text,
                             .line = l->line,
                             .escapes = escapes,
                             .open = true};
    step(l);
    t.text = l->text;
    while (!at_end(l)) {
        if (escapes && *l->text == '\\' && l->text + 1 < l->end) {
            step(l);
        } else if (*l->text == close) {
            if (look(l, 1) != close) {
                t.open = false;
                break;
            }
            step(l); /* doubled: part of the text */
        }
        step(l);
    }
    t.n = (size_t)(l->text - t.text);
    if (!t.open)
        step(l);
    return t;
}

/* '''…''' or """…""" of BigQuery. */
static struct dm_ddl_token triple(struct dm_ddl_lexer *l)
{
    char quote = *l->text;
    struct dm_ddl_token t = {
        .kind = DM_DDL_STRING, .sign = quote, .line = l->line, .escapes = true, .open = true};
    l->text += 3;
    t.text = l->text;
    while (!at_end(l)) {
        if (*l->text == quote && look(l, 1) == quote && look(l, 2) == quote) {
            t.open = false;
            break;
        }
        step(l);
    }
    t.n = (size_t)(l->text - t.text);
    if (!t.open)
        l->text += 3;
    return t;
}

static bool is_word_start(char c)
{
    return isalpha((unsigned char)c) || c == '_' || (unsigned char)c >= 0x80;
}

static bool is_word_part(char c)
{
    return is_word_start(c) || isdigit((unsigned char)c) || c == '$';
}

/* $tag$ … $tag$ of PostgreSQL; false: it is none. */
static bool dollar_string(struct dm_ddl_lexer *l, struct dm_ddl_token *t)
{
    size_t n = 1;
    while (is_word_part(look(l, n)) && look(l, n) != '$')
        n++;
    if (look(l, n) != '$' || isdigit((unsigned char)look(l, 1)))
        return false;
    n++;
    const char *tag = l->text;
    *t = (struct dm_ddl_token){.kind = DM_DDL_STRING, .sign = '$', .line = l->line, .open = true};
    l->text += n;
    t->text = l->text;
    while (!at_end(l)) {
        if ((size_t)(l->end - l->text) >= n && memcmp(l->text, tag, n) == 0) {
            t->open = false;
            break;
        }
        step(l);
    }
    t->n = (size_t)(l->text - t->text);
    if (!t->open)
        l->text += n;
    return true;
}

static struct dm_ddl_token word(struct dm_ddl_lexer *l)
{
    struct dm_ddl_token t = {.kind = DM_DDL_WORD, .text = l->text, .line = l->line};
    /* E'…' has escapes, r"…" and b'…' are strings, too. */
    if (strchr("eErRbBnNxX", *l->text) != NULL &&
        (look(l, 1) == '\'' || (look(l, 1) == '"' && l->backslash))) {
        bool escapes =
            *l->text == 'e' || *l->text == 'E' || (l->backslash && *l->text != 'r' && *l->text != 'R');
        l->text++;
        return quoted(l, *l->text, true, escapes);
    }
    while (!at_end(l) && is_word_part(*l->text))
        l->text++;
    t.n = (size_t)(l->text - t.text);
    return t;
}

static struct dm_ddl_token number(struct dm_ddl_lexer *l)
{
    struct dm_ddl_token t = {.kind = DM_DDL_NUMBER, .text = l->text, .line = l->line};
    while (!at_end(l) && (isalnum((unsigned char)*l->text) || *l->text == '.'))
        l->text++;
    t.n = (size_t)(l->text - t.text);
    return t;
}

struct dm_ddl_token dm_ddl_next(struct dm_ddl_lexer *l)
{
    bool line_start = false;
    skip_blank(l, &line_start);
    if (at_end(l))
        return (struct dm_ddl_token){.kind = DM_DDL_END, .text = l->end, .line = l->line};
    char c = *l->text;
    if ((c == '\'' || c == '"') && l->backslash && look(l, 1) == c && look(l, 2) == c)
        return triple(l);
    if (c == '\'')
        return quoted(l, '\'', true, l->backslash);
    if (c == '"')
        return quoted(l, '"', false, l->backslash);
    if (c == '`')
        return quoted(l, '`', false, false);
    if (c == '[' && is_word_start(look(l, 1))) /* SQL Server's names; an array bound is a number or nothing */
        return quoted(l, ']', false, false);
    struct dm_ddl_token t;
    if (c == '$' && dollar_string(l, &t))
        return t;
    if (is_word_start(c))
        return word(l);
    if (isdigit((unsigned char)c))
        return number(l);
    t = (struct dm_ddl_token){.kind = DM_DDL_SIGN, .text = l->text, .n = 1, .line = l->line, .sign = c};
    l->text++;
    return t;
}

bool dm_ddl_is(const struct dm_ddl_token *t, const char *word_text)
{
    if (t->kind != DM_DDL_WORD || strlen(word_text) != t->n)
        return false;
    for (size_t i = 0; i < t->n; i++)
        if (tolower((unsigned char)t->text[i]) != word_text[i])
            return false;
    return true;
}

char *dm_ddl_text(const struct dm_ddl_token *t)
{
    char *out = dm_xalloc(t->n + 1);
    size_t n = 0;
    bool quotes = t->kind == DM_DDL_STRING || t->kind == DM_DDL_QUOTED;
    char close = t->sign == '[' ? ']' : t->sign;
    for (size_t i = 0; i < t->n; i++) {
        char c = t->text[i];
        if (quotes && t->escapes && c == '\\' && i + 1 < t->n) {
            c = t->text[++i];
            c = c == 'n' ? '\n' : c == 't' ? '\t' : c == 'r' ? '\r' : c;
        } else if (quotes && c == close && i + 1 < t->n && t->text[i + 1] == close) {
            i++;
        }
        out[n++] = c;
    }
    out[n] = '\0';
    return out;
}

void dm_ddl_skip_past_line(struct dm_ddl_lexer *l, const char *line)
{
    size_t n = strlen(line);
    while (!at_end(l)) {
        skip_line(l);
        if (at_end(l))
            return;
        step(l);
        if ((size_t)(l->end - l->text) >= n && memcmp(l->text, line, n) == 0 &&
            (look(l, n) == '\n' || look(l, n) == '\r' || look(l, n) == '\0')) {
            l->text += n;
            return;
        }
    }
}
