/* Passwords out of connection strings, before they are shown. When in doubt, more is hidden rather than less. */
#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "config/config.h"

struct sink {
    char *out;
    size_t size;
    size_t n;
    const char *with; /* stands for each secret */
    bool replaced;
};

static void put(struct sink *s, const char *from, const char *to)
{
    for (; from < to && s->n + 1 < s->size; from++)
        s->out[s->n++] = *from;
}

static void put_replacement(struct sink *s)
{
    put(s, s->with, s->with + strlen(s->with));
    s->replaced = true;
}

/* password=, sslpassword=, and any other name that ends so. */
static bool names_secret(const char *name, const char *end)
{
    static const char word[] = "password";
    size_t n = sizeof word - 1;
    if (memchr(name, '%', (size_t)(end - name)) != NULL)
        return true; /* an escaped name could be anything */
    return (size_t)(end - name) >= n && strncasecmp(end - n, word, n) == 0;
}

/* scheme://user:password@host/db?name=value&… */
static void redact_url(const char *url, const char *authority, struct sink *s)
{
    const char *end = url + strlen(url);
    const char *rest = authority;
    const char *at = strrchr(authority, '@'); /* the last one: a password may hold an unescaped @, / or ? */
    const char *colon = strchr(authority, ':');
    if (at != NULL && colon != NULL && colon < at) {
        put(s, url, colon + 1);
        put_replacement(s);
        rest = at;
    } else {
        put(s, url, authority);
    }
    const char *query = strchr(rest, '?');
    if (query == NULL) {
        put(s, rest, end);
        return;
    }
    put(s, rest, query + 1);
    for (const char *c = query + 1; c < end;) {
        const char *next = strchr(c, '&');
        if (next == NULL)
            next = end;
        const char *equals = memchr(c, '=', (size_t)(next - c));
        if (equals != NULL && names_secret(c, equals)) {
            put(s, c, equals + 1);
            put_replacement(s);
        } else {
            put(s, c, next);
        }
        if (next < end)
            put(s, next, next + 1);
        c = next + (next < end);
    }
}

static const char *skip_space(const char *c)
{
    while (isspace((unsigned char)*c))
        c++;
    return c;
}

/* One value of a keyword string: 'quoted with \' inside', or up to the next space. Returns its end. */
static const char *skip_value(const char *c)
{
    bool quoted = *c == '\'';
    if (quoted)
        c++;
    while (*c != '\0' && (quoted ? *c != '\'' : !isspace((unsigned char)*c)))
        c += c[0] == '\\' && c[1] != '\0' ? 2 : 1;
    return quoted && *c == '\'' ? c + 1 : c;
}

/* host=db user = me password='a b' */
static void redact_keywords(const char *text, struct sink *s)
{
    for (const char *c = text; *c != '\0';) {
        const char *name = skip_space(c);
        const char *name_end = name;
        while (*name_end != '\0' && *name_end != '=' && !isspace((unsigned char)*name_end))
            name_end++;
        const char *equals = skip_space(name_end);
        if (*equals != '=') {
            put(s, c, equals);
            c = equals;
            continue;
        }
        const char *value = skip_space(equals + 1);
        const char *value_end = skip_value(value);
        if (names_secret(name, name_end)) {
            bool quoted = *value == '\''; /* the quotes stay, so that any other text fits between them */
            put(s, c, value + quoted);
            put_replacement(s);
            put(s, value, value + quoted);
        } else {
            put(s, c, value_end);
        }
        c = value_end;
    }
}

bool dm_url_replace_secrets(const char *url, const char *with, char *out, size_t size)
{
    struct sink s = {.out = out, .size = size, .with = with};
    if (size == 0)
        return false;
    const char *scheme = strstr(url, "://");
    const char *equals = strchr(url, '=');
    if (scheme != NULL && (equals == NULL || scheme < equals))
        redact_url(url, scheme + 3, &s);
    else
        redact_keywords(url, &s);
    out[s.n] = '\0';
    return s.replaced;
}

const char *dm_url_redact(const char *url, char *out, size_t size)
{
    (void)dm_url_replace_secrets(url, "***", out, size);
    return out;
}
