#include "source/sqlite/unique_index_sql.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/memory.h"

/* After a quoted name, string or comment that starts at `p`; `p` itself when none does; NULL when it does
 * not end. */
static const char *skip_opaque(const char *p)
{
    if (p[0] == '-' && p[1] == '-') {
        const char *end = strchr(p, '\n');
        return end != NULL ? end + 1 : p + strlen(p);
    }
    if (p[0] == '/' && p[1] == '*') {
        const char *end = strstr(p + 2, "*/");
        return end != NULL ? end + 2 : NULL;
    }
    char close = *p == '[' ? ']' : *p;
    if (*p != '\'' && *p != '"' && *p != '`' && *p != '[')
        return p;
    for (p++; *p != '\0'; p++) {
        if (*p != close)
            continue;
        if (close == ']' || p[1] != close)
            return p + 1;
        p++;
    }
    return NULL;
}

static char *trimmed(const char *from, const char *to)
{
    while (from < to && isspace((unsigned char)*from))
        from++;
    while (to > from && isspace((unsigned char)to[-1]))
        to--;
    return dm_xstrndup(from, (size_t)(to - from));
}

/* Takes a word off the end, and the space before it. */
static void cut_word(char *text, const char *word)
{
    size_t n = strlen(text), w = strlen(word);
    if (n <= w || strcasecmp(text + n - w, word) != 0 || !isspace((unsigned char)text[n - w - 1]))
        return;
    n -= w;
    while (n > 0 && isspace((unsigned char)text[n - 1]))
        n--;
    text[n] = '\0';
}

static void add_term(struct dm_index_sql *out, const char *from, const char *to)
{
    out->terms = dm_xrealloc(out->terms, out->n + 1, sizeof *out->terms);
    char *term = trimmed(from, to);
    cut_word(term, "ASC");
    cut_word(term, "DESC");
    out->terms[out->n++] = term;
}

/* The list that opens at `p`; answers after its closing parenthesis, or NULL. */
static const char *split_list(const char *p, struct dm_index_sql *out)
{
    int depth = 0;
    const char *start = p + 1;
    while (*p != '\0') {
        const char *next = skip_opaque(p);
        if (next == NULL)
            return NULL;
        if (next != p) {
            p = next;
            continue;
        }
        if (*p == '(')
            depth++;
        if (*p == ')' && --depth == 0) {
            add_term(out, start, p);
            return p + 1;
        }
        if (*p == ',' && depth == 1) {
            add_term(out, start, p);
            start = p + 1;
        }
        p++;
    }
    return NULL;
}

bool dm_index_sql_split(const char *sql, struct dm_index_sql *out)
{
    *out = (struct dm_index_sql){0};
    const char *p = sql;
    while (p != NULL && *p != '\0' && *p != '(') {
        const char *next = skip_opaque(p);
        p = next == p ? p + 1 : next;
    }
    p = p != NULL && *p == '(' ? split_list(p, out) : NULL;
    if (p == NULL) {
        dm_index_sql_release(out);
        return false;
    }
    while (isspace((unsigned char)*p) || (*p == '-' && p[1] == '-') || (*p == '/' && p[1] == '*')) {
        const char *next = skip_opaque(p);
        if (next == NULL)
            break;
        p = next == p ? p + 1 : next;
    }
    if (strncasecmp(p, "WHERE", 5) == 0)
        out->where = trimmed(p + 5, p + strlen(p));
    return true;
}

void dm_index_sql_release(struct dm_index_sql *s)
{
    for (size_t i = 0; i < s->n; i++)
        free(s->terms[i]);
    free(s->terms);
    free(s->where);
    *s = (struct dm_index_sql){0};
}
