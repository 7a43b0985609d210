#include "mirror/intake/sql_token.h"

#include <ctype.h>
#include <string.h>

#include "base/memory.h"

static char look(const struct dm_sql_scan *s, size_t ahead)
{
    return s->n - s->at > ahead ? s->text[s->at + ahead] : '\0';
}

static void step(struct dm_sql_scan *s)
{
    s->line += s->text[s->at] == '\n';
    s->at++;
}

static bool is_word_start(char c)
{
    return isalpha((unsigned char)c) || c == '_' || (unsigned char)c >= 0x80;
}

static bool is_word_part(char c)
{
    return is_word_start(c) || isdigit((unsigned char)c) || c == '$';
}

/* Block comments nest. False: the text ended inside. */
static bool skip_block(struct dm_sql_scan *s)
{
    size_t depth = 0;
    do {
        if (look(s, 0) == '/' && look(s, 1) == '*') {
            depth++;
            s->at += 2;
        } else if (look(s, 0) == '*' && look(s, 1) == '/') {
            depth--;
            s->at += 2;
        } else {
            step(s);
        }
    } while (depth > 0 && s->at < s->n);
    return depth == 0;
}

static bool skip_blank(struct dm_sql_scan *s)
{
    while (s->at < s->n) {
        char c = look(s, 0);
        if (isspace((unsigned char)c)) {
            step(s);
        } else if (c == '-' && look(s, 1) == '-') {
            while (s->at < s->n && look(s, 0) != '\n')
                s->at++;
        } else if (c == '/' && look(s, 1) == '*') {
            if (!skip_block(s))
                return false;
        } else {
            break;
        }
    }
    return true;
}

/* Stands at the opening quote. */
static void skip_quoted(struct dm_sql_scan *s, bool backslash, struct dm_sql_token *t)
{
    char quote = look(s, 0);
    step(s);
    t->open = true;
    while (s->at < s->n && t->open) {
        if (backslash && look(s, 0) == '\\' && s->n - s->at > 1) {
            step(s);
        } else if (look(s, 0) == quote) {
            if (look(s, 1) == quote)
                step(s);
            else
                t->open = false;
        }
        step(s);
    }
}

/* $tag$ … $tag$; false: it is none. */
static bool skip_dollar(struct dm_sql_scan *s, struct dm_sql_token *t)
{
    size_t n = 1;
    while (is_word_part(look(s, n)) && look(s, n) != '$')
        n++;
    if (look(s, n) != '$' || isdigit((unsigned char)look(s, 1)))
        return false;
    const char *tag = s->text + s->at;
    s->at += ++n;
    t->kind = DM_SQL_STRING;
    t->open = true;
    while (s->at < s->n) {
        if (s->n - s->at >= n && memcmp(s->text + s->at, tag, n) == 0) {
            s->at += n;
            t->open = false;
            break;
        }
        step(s);
    }
    return true;
}

static void scan_token(struct dm_sql_scan *s, struct dm_sql_token *t)
{
    char c = look(s, 0);
    if ((c == 'e' || c == 'E') && look(s, 1) == '\'') {
        s->at++;
        t->kind = DM_SQL_STRING;
        skip_quoted(s, true, t);
    } else if (c == '\'' || c == '"') {
        t->kind = c == '"' ? DM_SQL_QUOTED : DM_SQL_STRING;
        skip_quoted(s, false, t);
    } else if (is_word_start(c)) {
        t->kind = DM_SQL_WORD;
        while (is_word_part(look(s, 0)))
            s->at++;
    } else if (c != '$' || !skip_dollar(s, t)) {
        t->kind = DM_SQL_SIGN;
        t->sign = c;
        step(s);
        while (isdigit((unsigned char)c) &&
               is_word_part(look(s, 0))) /* 1e5, 0x1F: not a word behind a sign */
            s->at++;
    }
}

struct dm_sql_token dm_sql_token_next(struct dm_sql_scan *s)
{
    bool closed = skip_blank(s);
    struct dm_sql_token t = {.at = s->at, .line = s->line, .open = !closed};
    if (s->at >= s->n)
        return t;
    scan_token(s, &t);
    t.n = s->at - t.at;
    return t;
}

bool dm_sql_token_is(const struct dm_sql_scan *s, const struct dm_sql_token *t, const char *word)
{
    return t->kind == DM_SQL_WORD && strlen(word) == t->n && strncasecmp(s->text + t->at, word, t->n) == 0;
}

char *dm_sql_token_name(const struct dm_sql_scan *s, const struct dm_sql_token *t)
{
    const char *text = s->text + t->at;
    if (t->kind != DM_SQL_QUOTED)
        return dm_xstrndup(text, t->n);
    char *out = dm_xalloc(t->n + 1);
    size_t n = 0;
    for (size_t i = 1; i + 1 < t->n; i++) {
        out[n++] = text[i];
        i += text[i] == '"';
    }
    out[n] = '\0';
    return out;
}
